#!/usr/bin/env bash
# The library on emulated 64-bit Arm CPUs, on a Debian 12 machine with cargo: kernels, unit tests, and the default model beside this machine.
# A family of kernels that should run on a CPU and does not is a failure, not a skip.
#
#   ./test-arm.sh           what each landing has to pass
#   ./test-arm.sh release   and, before a release, whole pictures beside diffusers', and threads
set -euo pipefail
cd "$(dirname "$0")"
target=aarch64-unknown-linux-gnu
begun=$SECONDS; stage=start; stage_begun=$SECONDS
trap 'echo; echo "FAILED in stage: $stage (after $((SECONDS - begun)) s)"' ERR
section() { echo; echo "== $1 [previous stage: $((SECONDS - stage_begun)) s]"; stage=$1; stage_begun=$SECONDS; }
case ${1-landing} in landing | release) what=${1-landing} ;; *) echo "test-arm.sh: $1: give release or nothing" >&2; exit 2 ;; esac

packages=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static)
has_target() { rustup target list --installed 2>/dev/null | grep -qx "$target"; }
has_target || ! command -v rustup >/dev/null || timeout 300 rustup target add "$target" || true
if has_target; then
    echo "compiler: rustup's, with its Arm target"
else
    # Debian has a compiler of its own, whose Arm standard library comes as a package.
    echo "compiler: Debian's (rustup has no $target here)"
    export RUSTC=/usr/bin/rustc
    packages+=(rustc-web libstd-rust-web-dev:arm64)
fi
missing=()
for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "installing from Debian: ${missing[*]}"
    sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo dpkg --add-architecture arm64
    $sudo apt-get update -q; $sudo apt-get install -qy --no-install-recommends "${missing[@]}"
fi

# Linked statically: an emulator that takes the loader of one C library and the rest of another hangs at the first thread, see
# docs/arm-kernels.md. A folder of its own: this may be another compiler than the rest is built with.
native=${CARGO_TARGET_DIR:-target}
export CARGO_TARGET_DIR=target/arm
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static"
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
# One set of packages for all that follows, so that nothing is built twice.
section "build"
built=$(cargo test --profile emulated --locked --target "$target" -p easel-kernels -p easel \
    --lib --test schedulers --test tokenizer --test pipeline --no-run 2>&1 | tee >(cat >&2))
# A program of the library alone: the appliance would bring as many dependencies again.
cargo build --profile emulated --locked --target "$target" -p easel-kernels -p easel --example paint_list --example import
env -u RUSTC CARGO_TARGET_DIR="$native" cargo build --release --workspace --locked --example paint_list --example import
program() { # what cargo said it built: "unittests src/lib.rs (target/arm/…/easel_kernels-0123)"
    local file; file=$(grep -oE "\(target/arm/[^)]*/deps/$1-[0-9a-f]+\)" <<< "$built" | tr -d '()' | head -n 1)
    [ -x "$file" ] || { echo "cargo did not say where $1 is" >&2; exit 1; }
    realpath "$file"
}

run() { # CPU, folder to run in, program and its arguments
    (cd "$2" && exec timeout 900 qemu-aarch64-static -cpu "$1" "${@:3}")
}
a53=cortex-a53 a76=cortex-a76 newest=max,pauth-impdef=on

kernels=$(program easel_kernels)
test_kernels() { # CPU, families; one test is left out: the emulator does not free a program's pages when it is asked to
    EASEL_EXPECT=$2 run "$1" kernels "$kernels" -q --skip the_program_goes_on_with_fewer_pages
}
section "kernels: $a53"; test_kernels $a53 "reference neon"
section "kernels: $a76"; test_kernels $a76 "reference neon neon-dot"
section "kernels: max"; test_kernels $newest "reference neon neon-dot neon-i8mm"

# What depends on the CPU is in the kernels; so each of the rest runs on one, all three in turn.
# The decoder's own tests decode too many pictures for an emulator; the whole pictures below go through it, too.
section "unit tests: $a76"; run $a76 . "$(program easel)" -q --skip autoencoder::tests
section "schedulers and tokenizer: $a76"
run $a76 . "$(program schedulers)" -q
run $a76 . "$(program tokenizer)" -q

paint_list=$(realpath "$CARGO_TARGET_DIR/$target/emulated/examples/paint_list")
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
line() { # picture, steps and guidance
    echo "{\"prompt\": \"three red apples on a blue background\", \"seed\": 7, \"out\": \"$1\", \"steps\": $2, \"guidance\": ${3-2}}"
}
on() { # CPU, kernels, picture, steps, threads, model, guidance
    line "$3" "$4" "${7-2}" | EASEL_KERNEL=$2 run "$1" . "$paint_list" "${6-models/pocket}" "$5"
}
section "the default model: three CPUs and this machine"
line "$work/here.png" 10 | EASEL_KERNEL=reference "$native/release/examples/paint_list" models/pocket
on $a53 neon "$work/a53.png" 10 1
on $a76 neon-dot "$work/a76.png" 10 1
on $newest neon-i8mm "$work/max.png" 10 1
for cpu in a53 a76 max; do python3 tests/psnr.py "$work/here.png" "$work/$cpu.png" 45; done
# The same arithmetic but for the instructions of int8 products, whose sums are exact: the same picture, bit for bit.
cmp "$work/a76.png" "$work/max.png"; echo "a76 and max: equal"

# Small ones with random weights, which ./test.sh makes. Strong guidance would show every rounding of int8, here as there: kernels of one
# machine differ by 44 dB with a guidance of 7. With floats all machines paint the same.
section "transformers: three CPUs and this machine"
for kind in tiny-sd3 tiny-pixart; do
    model=test-models/$kind/int8; picture=$work/$kind
    line "$picture.png" 4 4 | EASEL_KERNEL=reference "$native/release/examples/paint_list" "$model"
    on $a53 neon "$picture-a53.png" 4 1 "$model" 4
    on $a76 neon-dot "$picture-a76.png" 4 1 "$model" 4
    on $newest neon-i8mm "$picture-max.png" 4 1 "$model" 4
    for cpu in a53 a76 max; do python3 tests/psnr.py "$picture.png" "$picture-$cpu.png" 45; done
    line "$picture-floats.png" 4 4 | "$native/release/examples/paint_list" "test-models/$kind/fp32"
    on $a76 neon-dot "$picture-floats-a76.png" 4 1 "test-models/$kind/fp32" 4
    python3 tests/psnr.py "$picture-floats.png" "$picture-floats-a76.png" 60
done

section "import: $a53"
for kind in tiny-sdxl tiny-sd3; do
    # Whatever machine it is imported on, a model is the same, byte for byte.
    "$native/release/examples/import" "test-models/$kind/checkpoint" "$work/$kind-here"
    run $a53 . "$(realpath "$CARGO_TARGET_DIR/$target/emulated/examples/import")" "test-models/$kind/checkpoint" "$work/$kind-there"
    cmp "$work/$kind-here/SHA256SUMS" "$work/$kind-there/SHA256SUMS"; echo "$kind: equal"
done

passed() { echo; echo "ARM PASSED in $((SECONDS - begun)) s"; }
if [ "$what" = landing ]; then passed; exit; fi

section "pictures beside diffusers': max"; run $newest . "$(program pipeline)" -q

section "threads"
on $a76 neon-dot "$work/alone.png" 1 1
for threads in 2 3 4 2 3 4 2 3 4 4; do
    on $a76 neon-dot "$work/together.png" 1 $threads
    cmp "$work/alone.png" "$work/together.png"
done
echo "ten pictures on 2 to 4 threads: equal to that of one, none hung"

passed
