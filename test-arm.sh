#!/usr/bin/env bash
# The kernels' tests on emulated 64-bit Arm CPUs, on a Debian 12 machine with cargo. A family of kernels that should run
# on a CPU and does not is a failure, not a skip.
set -euo pipefail
cd "$(dirname "$0")"
target=aarch64-unknown-linux-gnu
begun=$SECONDS

packages=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static)
if rustup target list --installed 2>/dev/null | grep -qx "$target"; then
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

# Linked statically: an emulator that mixes the C library of the cross compiler with one of the system hangs at the first
# thread. A folder of its own: this may be another compiler than the rest is built with.
export CARGO_TARGET_DIR=target/arm
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static"
tests=(cargo test --release --locked -p easel-kernels --lib --target "$target")
"${tests[@]}" --no-run
echo "built in $((SECONDS - begun)) s"

on() { # CPU, the families that it must have
    echo; echo "== $1: $2"
    EASEL_EXPECT=$2 CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -cpu $1" "${tests[@]}" -q
}
on cortex-a53 "reference neon"
on cortex-a76 "reference neon neon-dot"
on max,pauth-impdef=on "reference neon neon-dot neon-i8mm"

echo; echo "ARM PASSED in $((SECONDS - begun)) s"
