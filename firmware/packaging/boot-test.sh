#!/usr/bin/env bash
# Boots the card's image on an emulated board, with a broker outside; cuts its power while it paints, and boots it again.
# Then once more, with the board's own broker:
#     firmware/packaging/boot-test.sh [easel_VERSION_arm64.deb]
# Before a release, as root, on Debian 12 or newer. Makes the image with the package, or with the newest of target/debian.
# Prints how long it took; emulated time is none of a real board.
set -euo pipefail
cd "$(dirname "$0")/../.."
begun=$SECONDS
missing=()
for package in qemu-system-arm mosquitto mosquitto-clients mtools; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' $package 2>/dev/null)" = installed ] || missing+=($package)
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "installing from Debian: ${missing[*]}"
    apt-get update -q; apt-get install -qy --no-install-recommends "${missing[@]}"
fi
firmware/image/build.sh "$@"
echo "image: $((SECONDS - begun)) s"
cargo test --release --workspace --locked --test boot -- --ignored --nocapture --test-threads=1
echo "BOOT PASSED in $((SECONDS - begun)) s"
