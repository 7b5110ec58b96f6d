#!/usr/bin/env bash
# Unpacks Debian's own kernel into target/guest, for the test that boots it. Says what to install if a tool is missing.
set -euo pipefail
cd "$(dirname "$0")/../../.."
missing=()
command -v qemu-system-x86_64 >/dev/null || missing+=(qemu-system-x86)
[ -x /bin/busybox ] && /bin/busybox --list | grep -qx insmod || missing+=(busybox-static)
command -v dpkg-deb >/dev/null || missing+=(dpkg)
if [ ${#missing[@]} -gt 0 ]; then
    echo "missing: apt-get install -y --no-install-recommends ${missing[*]}" >&2
    exit 1
fi
mkdir -p target/guest
cd target/guest
[ -e kernel ] && exit 0
# The package of the day: the name without a version depends on it.
package=$(apt-cache depends linux-image-amd64 | awk '/Depends:/ {print $2; exit}')
[ -n "$package" ] || { echo "apt knows no linux-image-amd64: apt-get update" >&2; exit 1; }
rm -rf unpacked ./*.deb
apt-get download -q "$package" >&2 || { echo "no $package: apt-get update, and try again" >&2; exit 1; }
dpkg-deb -x ./*.deb unpacked
rm ./*.deb
mv unpacked kernel
