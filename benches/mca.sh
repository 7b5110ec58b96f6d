#!/usr/bin/env bash
# Predicts the cycles of the Arm kernels' inner loops with llvm-mca: no board needed. Prints the table of
# docs/arm-kernels.md, where the columns and the peaks are explained. `test-arm.sh` installs the compiler; llvm-mca is in
# Debian's llvm-22, or name one in LLVM_MCA.
set -euo pipefail
cd "$(dirname "$0")/.."
mca=${LLVM_MCA:-llvm-mca-22}
target=aarch64-unknown-linux-gnu
iterations=1000
command -v "$mca" >/dev/null || { echo "no $mca: apt-get install llvm-22, or set LLVM_MCA" >&2; exit 1; }
rustup target list --installed 2>/dev/null | grep -qx "$target" || export RUSTC=/usr/bin/rustc
export CARGO_TARGET_DIR=target/arm
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT

cargo rustc -q --release --locked -p easel-kernels --lib --target "$target" -- \
    --emit "asm=$work/kernels.s" -C codegen-units=1
# One file a loop, named by its mark; the second, .alone, has its vector arithmetic only.
awk -v work="$work" '
    /LLVM-MCA-BEGIN/ { file = work "/" $NF ".s"; if (seen[file]++) { print "two loops are marked " $NF > "/dev/stderr"; exit 1 } next }
    /LLVM-MCA-END/ { file = "" }
    file { print > file }
' "$work/kernels.s"
for kernel in neon neon-dot neon-i8mm neon-f32; do
    [ -s "$work/$kernel.s" ] || { echo "no loop is marked $kernel" >&2; exit 1; }
    grep -E '^\s*(sdot|smmla|smull|smlal|sadalp|fmla)\s' "$work/$kernel.s" > "$work/$kernel.alone.s"
done

cycles() { # loop, core and further options
    "$mca" -mtriple=aarch64 -mattr=+dotprod,+i8mm -iterations=$iterations -mcpu="${@:2}" "$1" 2>/dev/null |
        awk -v n=$iterations '/^Total Cycles:/ { print $3 / n }'
}

row() { # kernel, peak MAC/cycle, core and further options
    local loop=$work/$1
    local macs; macs=$(awk '
        $1 == "sdot" { n += 16 } $1 == "smmla" { n += 32 } $1 == "smull" || $1 == "smlal" { n += 8 } $1 == "fmla" { n += 4 }
        END { print n }' "$loop.s")
    awk -v kernel="$1" -v core="$3" -v macs="$macs" -v peak="$2" \
        -v all="$(cycles "$loop.s" "${@:3}")" -v alone="$(cycles "$loop.alone.s" "${@:3}")" 'BEGIN {
            printf "| %-9s | %-11s | %4d | %5.1f | %5.1f | %5.2f | %5.2f | %3.0f %% | %3.0f %% |\n",
                kernel, core, macs, all, alone, macs / all, peak, 100 * macs / all / peak, 100 * macs / alone / peak }'
}

"$mca" --version | grep 'LLVM version' | sed 's/^ *//'
echo
echo "| kernel    | core        | MACs | cycles | alone | MAC/cycle | peak | of peak | alone |"
echo "|-----------|-------------|-----:|-------:|------:|----------:|-----:|--------:|------:|"
row neon 5.333 cortex-a53
row neon 5.333 cortex-a55
row neon 8 cortex-a72
row neon 8 neoverse-n1 -dispatch=4
row neon-dot 16 cortex-a55
row neon-dot 32 cortex-a76
row neon-dot 32 neoverse-n1 -dispatch=4
row neon-i8mm 64 neoverse-n2
row neon-f32 4 cortex-a53
row neon-f32 4 cortex-a72
row neon-f32 8 neoverse-n1 -dispatch=4
