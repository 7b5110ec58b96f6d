#!/usr/bin/env bash
# Everything that must hold, on a Debian 12 machine with cargo. Stops at the first stage that fails and names it.
set -euo pipefail
cd "$(dirname "$0")"
stage=start; begun=$SECONDS; stage_begun=$SECONDS; skipped=""
trap 'echo; echo "FAILED in stage: $stage (after $((SECONDS - begun)) s)"' ERR
section() { echo; echo "== $1 [previous stage: $((SECONDS - stage_begun)) s, total: $((SECONDS - begun)) s]"; stage=$1; stage_begun=$SECONDS; }

section "system packages"
missing=()
for package in mosquitto mosquitto-clients; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
[ -e /usr/share/fonts/truetype/noto/NotoColorEmoji.ttf ] || missing+=(fonts-noto-color-emoji)
command -v qemu-system-x86_64 >/dev/null || missing+=(qemu-system-x86)
/bin/busybox --list 2>/dev/null | grep -qx insmod || missing+=(busybox-static)
if [ ${#missing[@]} -gt 0 ]; then
    echo "installing from Debian: ${missing[*]}"
    sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -q; $sudo apt-get install -qy --no-install-recommends "${missing[@]}"
fi

section "rustfmt"
cargo fmt --all --check

section "clippy"   # --release: Cargo keeps one profile's dependencies, not two
cargo clippy --release --workspace --all-targets --locked -- -D warnings

section "cargo deny"
command -v cargo-deny >/dev/null || cargo install cargo-deny --version 0.20.2 --locked
cargo deny --locked --workspace check licenses bans sources
if timeout 60 git ls-remote -q https://github.com/RustSec/advisory-db HEAD >/dev/null 2>&1; then
    cargo deny --locked --workspace check advisories
else
    echo "SKIPPED: advisories (the RustSec database cannot be reached from here)"; skipped=" (advisories not checked)"
fi

# Compiled beside what Python does in the next stages, which leaves a core to it.
build_log=$(mktemp)
cargo test --release --workspace --locked --no-run > "$build_log" 2>&1 &
build=$!
trap 'kill "$build" 2>/dev/null || true; rm -f "$build_log"' EXIT

section "python environment"
want=$(sha256sum model-export/pyproject.toml)
if [ "$(cat .venv/.pyproject-hash 2>/dev/null)" != "$want" ]; then
    python3 -m venv --clear .venv
    .venv/bin/pip install -q -e 'model-export[test]'
    echo "$want" > .venv/.pyproject-hash
fi
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2}

section "python tests"
.venv/bin/python -m pytest -q model-export benches/boards

section "test models"
.venv/bin/python -m easel_export.goldens.pipelines

section "rust build"   # begun above
wait "$build" || { cat "$build_log"; false; }

section "rust tests"
cargo test --release --workspace --locked

section "arm, emulated"   # with its own build of tract
./test-arm.sh

section "docs"
RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps --locked

echo; echo "ALL PASSED in $((SECONDS - begun)) s$skipped"
