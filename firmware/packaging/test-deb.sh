#!/usr/bin/env bash
# Installs, upgrades, removes and purges the package in a fresh Debian 12 of its architecture, emulated where it is another
# than this machine's, and paints there: `test-deb.sh [arm64|armhf|amd64]`, arm64 where none is named. As root, on Debian.
# EASEL_PROGRAM: a program that is built already.
set -euo pipefail
cd "$(dirname "$0")/../.."
arch=${1:-arm64}
begun=$SECONDS
root=$PWD/target/debian/root-$arch
stage=start
trap '[ $? = 0 ] || echo "test-deb.sh: FAILED in: $stage (after $((SECONDS - begun)) s)" >&2; umount -q "$root/proc" 2>/dev/null || true; rm -rf --one-file-system "$root"' EXIT
say() { stage=$1; echo "== $1"; }
fail() { echo "test-deb.sh: $stage: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "needs root, for a root folder with users of its own"
missing=()
for package in mmdebstrap lintian systemd qemu-user-static; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "installing from Debian: ${missing[*]}"
    apt-get update -q; apt-get install -qy --no-install-recommends "${missing[@]}"
fi

# Programs of another architecture run by themselves when the kernel knows an emulator for them; it need not be in the root
# folder.
if [ "$arch" != "$(dpkg --print-architecture)" ]; then
    case $arch in
        arm64) emulator=qemu-aarch64 ;;
        armhf) emulator=qemu-arm ;;
        *) fail "$arch is not known here" ;;
    esac
    folder=/proc/sys/fs/binfmt_misc
    [ -e $folder/register ] || mount -t binfmt_misc binfmt_misc $folder || fail "this kernel has no binfmt_misc"
    [ -e $folder/$emulator ] || cat /usr/lib/binfmt.d/$emulator.conf > $folder/register
fi

say "packages of two versions"
firmware/packaging/deb.sh "$arch"
export EASEL_PROGRAM=${EASEL_PROGRAM:-target/cross/easel-$arch}
old=$(ls -t target/debian/easel_*_"$arch".deb | head -n 1)
version=$(dpkg-deb -f "$old" Version)
EASEL_DEB_VERSION=$version+test firmware/packaging/deb.sh "$arch"
new=target/debian/easel_$version+test_$arch.deb

say "lintian"
lintian --fail-on error --suppress-tags initial-upload-closes-no-bugs "$old"

say "the service's unit"
systemd-analyze security --offline=yes --threshold=25 firmware/packaging/debian/easel.service | tail -n 1

say "a fresh Debian"
# Made once a week, from where this machine has its packages.
base=target/debian/root-$arch.tar
if [ -z "$(find "$base" -mtime -7 2>/dev/null)" ]; then
    apt-get indextargets --format 'deb $(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' 'Codename: bookworm' |
        sort -u > "$base.list"
    mmdebstrap --quiet --mode=root --format=tar --architectures="$arch" --variant=minbase --include=systemd,udev bookworm "$base.new" "$base.list"
    mv "$base.new" "$base"
    rm "$base.list"
fi
rm -rf --one-file-system "$root"
mkdir -p "$root"
tar -C "$root" -xf "$base" --numeric-owner
mount -t proc proc "$root/proc"
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"; chmod 755 "$root/usr/sbin/policy-rc.d"
in_root() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }
# A link leads elsewhere, seen from here: that it is there is enough.
is_there() { [ -e "$root$1" ] || [ -L "$root$1" ]; }
has() { is_there "$1" || fail "$1 is missing"; }
has_not() { ! is_there "$1" || fail "$1 is still there"; }
install_package() {
    cp "$1" "$root/tmp/easel.deb"
    in_root apt-get install -qy --no-install-recommends -o Dpkg::Use-Pty=0 /tmp/easel.deb > "$root/tmp/log" 2>&1 ||
        { cat "$root/tmp/log"; fail "apt-get does not install it"; }
    ! grep -i 'warning\|error\|fail' "$root/tmp/log" | grep -v 'apt does not have\|Download is performed' || fail "the installation complains"
}
enabled=/etc/systemd/system/multi-user.target.wants/easel.service

say "install"
install_package "$old"
in_root dpkg --verify easel
has $enabled
case $arch in arm64) board=generic-arm64 ;; *) board=simulator ;; esac
grep -qx "inherits = \"$board\"" "$root/etc/easel/board.toml" || fail "board.toml does not inherit $board"
[ "$(stat -c '%U %a' "$root/etc/easel/mqtt-password")" = "root 600" ] || fail "others can read the password"
groups=$(in_root id -nG easel)
for group in easel video render input gpio spi; do
    [[ " $groups " = *" $group "* ]] || fail "easel is not in the group $group: $groups"
done

say "doctor and paint"
in_root easel --version | grep -qx "easel $(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)"
in_root easel doctor --board /etc/easel/board.toml || [ $? = 1 ] || fail "board.toml cannot be used" # 1: no screen, no broker
printf 'inherits = ["panels/none", "%s"]\n[broker]\nenabled = false\n' "$board" > "$root/etc/easel/frame.toml"
in_root easel doctor --board /etc/easel/frame.toml
rm "$root/etc/easel/frame.toml"
paint() { in_root runuser -u easel -- easel paint "a red apple on a blue background" --steps 2 --seed 1 --threads 1 --cache off --quiet --out "/tmp/$1.png"; }
in_root install -d -o easel -m 700 /var/lib/easel
paint first
[ "$(head -c 8 "$root/tmp/first.png" | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ] || fail "no picture"

say "the unit in that Debian"
in_root systemd-analyze verify --man=no /usr/lib/systemd/system/easel.service

say "upgrade"
in_root runuser -u easel -- sh -c 'mkdir -p /var/lib/easel/history && echo kept > /var/lib/easel/history/picture'
echo '# mine' >> "$root/etc/easel/board.toml"
echo secret > "$root/etc/easel/mqtt-password"
in_root systemctl disable easel.service 2>/dev/null
install_package "$new"
[ "$(in_root dpkg-query -W -f '${Version}' easel)" = "$version+test" ] || fail "it is not the new version"
[ "$(tail -n 1 "$root/etc/easel/board.toml")" = "# mine" ] || fail "the configuration was changed"
[ "$(cat "$root/etc/easel/mqtt-password")" = secret ] || fail "the password was changed"
[ "$(cat "$root/var/lib/easel/history/picture")" = kept ] || fail "the history was changed"
has_not $enabled
paint second
cmp "$root/tmp/first.png" "$root/tmp/second.png" || fail "it paints another picture"

say "remove"
in_root apt-get remove -qy easel >/dev/null 2>&1
has_not /usr/bin/easel
has_not /usr/share/easel
has /etc/easel/board.toml
has /var/lib/easel/history/picture

say "install again"
install_package "$new"
[ "$(tail -n 1 "$root/etc/easel/board.toml")" = "# mine" ] || fail "the configuration was changed"

say "purge"
in_root apt-get purge -qy easel >/dev/null 2>&1
for path in /usr/bin/easel /usr/share/easel /etc/easel /var/lib/easel /var/cache/easel $enabled; do has_not "$path"; done
left=$(cd "$root" && find . -xdev -path ./proc -prune -o -path ./tmp -prune -o -name '*easel*' -print)
[ -z "$left" ] || fail "left behind: $left"

rm -f "$new"
echo "DEB PASSED ($arch) in $((SECONDS - begun)) s"
