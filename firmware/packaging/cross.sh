#!/usr/bin/env bash
# Builds easel for boards: `cross.sh [arm64|armhf|amd64] ...`; arm64 and armhf where none is named. Each ends as
# target/cross/easel-ARCH: stripped, for every board of its kind (kernels are chosen when it starts), with the C library of
# Debian 12 or newer. The architecture of this machine is built as usual, others with rustup where it has or can fetch the
# target, else with Debian's compiler. What is missing is installed from Debian, and said. EASEL_COMPILER=debian or rustup
# insists on one.
set -euo pipefail
cd "$(dirname "$0")/../.."
newest_glibc=2.36 # Debian 12's
most_mb=25
out=target/cross

fail() { echo "cross.sh: $*" >&2; exit 1; }
installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Installs what is missing of the packages named.
need() {
    local missing=() package
    for package in "$@"; do installed "$package" || missing+=("$package"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || fail "needs these programs, by the names of Debian's packages: ${missing[*]}"
    echo "installing from Debian: ${missing[*]}"
    local sudo="" added=() arch; [ "$(id -u)" = 0 ] || sudo=sudo
    for package in "${missing[@]}"; do
        arch=${package#*:}
        [ "$arch" != "$package" ] && ! dpkg --print-foreign-architectures | grep -qx "$arch" || continue
        $sudo dpkg --add-architecture "$arch"
        added+=("$arch")
    done
    # Twice: a mirror that is being renewed has lists that do not fit each other for a while.
    if ! $sudo apt-get update -q && ! { sleep 20; $sudo apt-get update -q; }; then
        # With an architecture whose lists cannot be read, nothing else could be installed either.
        for arch in "${added[@]}"; do $sudo dpkg --remove-architecture "$arch"; done
        fail "the package lists cannot be read: try again later${added:+, or use rustup}"
    fi
    $sudo apt-get install -qy --no-install-recommends "${missing[@]}"
}

has_target() { rustup target list --installed 2>/dev/null | grep -qx "$1"; }

# Sets RUSTC, or leaves rustup's.
choose_compiler() { # architecture, target
    unset RUSTC
    if [ "${EASEL_COMPILER:-rustup}" = rustup ] && command -v rustup >/dev/null; then
        has_target "$2" || timeout 300 rustup target add "$2" || true
        if has_target "$2"; then echo "compiler: rustup's $(rustc --version), with its target $2"; return; fi
    fi
    [ "${EASEL_COMPILER:-debian}" = debian ] || fail "rustup has no target $2: rustup target add $2"
    # Debian has a compiler of its own, whose standard library for other processors comes as packages of theirs.
    need rustc-web "libstd-rust-web-dev:$1"
    export RUSTC=/usr/bin/rustc
    echo "compiler: Debian's $($RUSTC --version)"
}

# Leaves the program in $program, and the beginning of the tools' names in $tools.
build() { # architecture
    local target
    case $1 in
        "$(dpkg --print-architecture 2>/dev/null)") target="" tools="" ;;
        arm64) target=aarch64-unknown-linux-gnu tools=aarch64-linux-gnu ;;
        armhf) target=armv7-unknown-linux-gnueabihf tools=arm-linux-gnueabihf ;;
        *) fail "$1 cannot be built here: arm64 and armhf can" ;;
    esac
    if [ -z "$target" ]; then
        cargo build --profile board --locked --workspace --bin easel
        program=${CARGO_TARGET_DIR:-target}/board/easel
        return
    fi
    need "gcc-$tools" "libc6-dev-$1-cross"
    choose_compiler "$1" "$target"
    local name=${target//-/_}
    local -x "CARGO_TARGET_${name^^}_LINKER=$tools-gcc"
    cargo build --profile board --locked -p easel-firmware --bin easel --target "$target" --target-dir "$out"
    program=$out/$target/board/easel
    tools=$tools-
}

# Strips $program to its place, and checks that it is what boards need.
finish() { # architecture
    local built=$out/easel-$1 glibc bytes
    mkdir -p "$out"
    "${tools}strip" -o "$built.new" "$program"
    glibc=$("${tools}objdump" -T "$built.new" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
    glibc=${glibc#GLIBC_}
    [ "$(printf '%s\n' "$glibc" "$newest_glibc" | sort -V | tail -n 1)" = "$newest_glibc" ] ||
        fail "$1: needs glibc $glibc, boards may have $newest_glibc: build on Debian 12, or in a container of it"
    bytes=$(stat -c %s "$built.new")
    [ "$bytes" -le $((most_mb * 1000000)) ] || fail "$1: $bytes bytes, a program for boards has $most_mb MB at most"
    mv "$built.new" "$built"
    echo "$built: $(((bytes + 500000) / 1000000)) MB, glibc $glibc or newer, needs$("${tools}objdump" -p "$built" | awk '/NEEDED/ {printf " %s", $2}')"
}

[ $# -gt 0 ] || set -- arm64 armhf
for arch in "$@"; do
    echo "== $arch"
    build "$arch"
    finish "$arch"
done
