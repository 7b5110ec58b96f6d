#!/usr/bin/env bash
# Makes target/image/easel.img, a card for Raspberry Pi 3, Zero 2 W and 4, of Debian's packages and easel's:
#     firmware/image/build.sh [easel_VERSION_arm64.deb]
# Without a package, the newest of target/debian. As root (or with sudo), on Debian 12 or newer; what is missing is
# installed, and said. No loop devices, no mounts: the parts are made as files and put one behind the other.
#
# The packages come from where this machine's apt takes its own; EASEL_MIRROR is another place, such as a snapshot's.
# Equal packages and the same commit give the same image, byte for byte. The system without easel is kept in target/image
# for the next time; --anew makes it again, with the packages of the day.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=firmware/image out=target/image
suite=bookworm
disk_id=ea5e1000
boot_mib=256 state_mib=128
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct -- $here)}
export LC_ALL=C TZ=UTC
umask 022

fail() { echo "build.sh: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "files of root's are made: run it with sudo"
anew=; [ "${1:-}" != --anew ] || { anew=yes; shift; }
package=${1:-$(ls -t target/debian/easel_*_arm64.deb 2>/dev/null | head -n 1)}
[ -f "$package" ] || fail "no package of easel for arm64: firmware/packaging/deb.sh arm64"

tools() {
    local missing=() need
    for need in mmdebstrap arch-test qemu-user-static squashfs-tools mtools dosfstools fdisk device-tree-compiler cpio zstd; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' $need 2>/dev/null)" = installed ] || missing+=($need)
    done
    if [ ${#missing[@]} -gt 0 ]; then
        echo "installing from Debian: ${missing[*]}"
        apt-get update -q; apt-get install -qy --no-install-recommends "${missing[@]}"
    fi
    # Programs for Arm are run by the emulator; where no service has told the kernel so, it is told here.
    arch-test arm64 >/dev/null && return
    local binfmt=/proc/sys/fs/binfmt_misc
    [ -e $binfmt/register ] || mount -t binfmt_misc binfmt_misc $binfmt
    [ -e $binfmt/qemu-aarch64 ] || cat /usr/lib/binfmt.d/qemu-aarch64.conf > $binfmt/register
    arch-test arm64 >/dev/null || fail "programs for arm64 do not run here: is qemu-user-static whole?"
}

# Lines of a sources.list for Debian's own places, as this machine's apt knows them.
sources() {
    local mirrors mirror release
    mirrors=${EASEL_MIRROR:-$(apt-get indextargets --format '$(SITE) $(ORIGIN)' 'Identifier: Packages' | awk '$2 == "Debian" {print $1}' | sort -u)}
    [ -n "$mirrors" ] || fail "apt knows no place of Debian's: set EASEL_MIRROR"
    for mirror in $mirrors; do
        case $mirror in
            *-security) echo "deb $mirror $suite-security main non-free-firmware" ;;
            *) for release in $suite $suite-updates; do echo "deb $mirror $release main non-free-firmware"; done ;;
        esac
    done
}

# What a new kernel starts, copies to a card and builds of ram disks, is left out. The one that raspi-firmware calls by name
# does nothing.
kernel_hooks='
    mkdir -p "$1/boot/firmware" "$1/etc/kernel/postinst.d"
    ln -s /bin/true "$1/etc/kernel/postinst.d/z50-raspi-firmware"'

# The system without easel, as a tar archive whose name tells what it was made of.
system() {
    local made_of
    made_of=$(cat $here/packages <(declare -f system; echo "$kernel_hooks") | sha256sum | cut -c 1-12)
    system=$out/system-$made_of.tar.zst
    [ -z "$anew" ] || rm -f "$system"
    [ -e "$system" ] && return
    rm -f $out/system-*
    sources | mmdebstrap --mode=root --architectures=arm64 --variant=minbase \
        --include="$(sed 's/#.*//' $here/packages | xargs | tr ' ' ,)" \
        --aptopt='Apt::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --dpkgopt='path-exclude=/etc/kernel/*.d/*' --essential-hook="$kernel_hooks" \
        $suite "$system.new.zst" -
    mv "$system.new.zst" "$system"
}

# The system with easel in it, and what a root that cannot be written needs.
fill() {
    rm -rf "$root"; mkdir -p "$root"
    tar -x --zstd --numeric-owner -C "$root" -f "$system"
    cp -r --no-preserve=ownership $here/files/. "$root/"
    install -m 644 "$package" "$root/tmp/easel.deb"
    chroot "$root" dpkg --install /tmp/easel.deb
    # Written by the set-up, at the first start.
    rm -rf "$root/tmp/easel.deb" "$root/etc/easel/board.toml" "$root/etc/easel/mqtt-password"
    mkdir -p "$root/state"
    ln -sf /run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
    echo easel > "$root/etc/hostname"
    chroot "$root" systemctl --quiet enable easel-setup.service systemd-networkd.service
    # The screen is the frame's; who needs a terminal has ssh. Upgrades are new images. A broker
    # is easel's to start.
    chroot "$root" systemctl --quiet mask getty@tty1.service serial-getty@.service console-getty.service \
        systemd-firstboot.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
        systemd-networkd-wait-online.service wpa_supplicant.service mosquitto.service
    chroot "$root" dpkg-query -W -f '${Package} ${Version} ${Architecture}\n' > $out/easel.packages
    # What no two machines, or no two builds, may have in common.
    : > "$root/etc/machine-id"
    rm -rf "$root"/etc/ssh/ssh_host_* "$root"/var/lib/dbus/machine-id "$root"/var/lib/systemd/random-seed \
        "$root"/var/log/* "$root"/var/cache/* "$root"/var/lib/apt/lists/* "$root"/tmp/* "$root"/run/* "$root"/etc/*- \
        "$root"/var/lib/dpkg/*-old "$root"/etc/kernel/postinst.d
    install -d "$root/var/log/journal"
}

# The initial ram disk: busybox, a few of the kernel's modules, and ramdisk/init. Debian's own takes a quarter of an hour to make
# under emulation, and five times the space.
make_ramdisk() { # kernel, file
    local disk=$out/ramdisk modules=$root/lib/modules/$1 name
    rm -rf "$disk"; mkdir -p "$disk/bin"
    cp "$root/bin/busybox" "$disk/bin/"
    install -m 755 $here/ramdisk/init "$disk/init"
    # modules.dep has what a module needs after it, the first to be loaded last.
    sed 's/#.*//' $here/ramdisk/modules | xargs -n 1 | while read -r name; do
        grep -E "/${name//[-_]/[-_]}\.ko:" "$modules/modules.dep" || grep -qE "/${name//[-_]/[-_]}\.ko" "$modules/modules.builtin" ||
            fail "the kernel has no module $name"
    done | awk '{ sub(":", ""); for (i = NF; i > 0; i--) if (!seen[$i]++) print $i }' > "$disk/order"
    (cd "$modules" && cp --parents $(cat "$OLDPWD/$disk/order") "$OLDPWD/$disk/")
    find "$disk" -depth -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    (cd "$disk" && find . -print0 | sort -z | cpio --quiet --null --create --format=newc --owner=0:0 --reproducible) | zstd -q -19 > "$2"
    rm -rf "$disk"
}

# The first partition: what the Raspberry Pi's own firmware reads, which knows FAT alone.
make_boot() {
    local files=$out/boot kernel tree
    kernel=$(basename "$root"/lib/modules/*)
    rm -rf $files; mkdir $files
    cp "$root"/usr/lib/raspi-firmware/{bootcode.bin,fixup*.dat,start*.elf} $files/
    cp "$root"/usr/lib/linux-image-"$kernel"/broadcom/bcm2{711,837}-rpi-*.dtb $files/
    mkdir $files/overlays
    dtc -q -@ -I dts -O dtb -o $files/overlays/easel-spi.dtbo $here/spi.dts
    for tree in $files/*.dtb; do
        fdtoverlay -i "$tree" -o /dev/null $files/overlays/easel-spi.dtbo || fail "$tree: spi.dts does not fit it"
    done
    cp "$root/boot/vmlinuz-$kernel" $files/vmlinuz
    make_ramdisk "$kernel" $files/initrd.img
    cp $here/boot/* $files/
    sed -i "s/@DISK@/$disk_id/" $files/cmdline.txt
    find $files -depth -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
    rm -f $out/boot.fat
    mkfs.vfat --invariant -i ${disk_id} -n EASEL -F 32 -C $out/boot.fat $((boot_mib << 10)) >/dev/null
    (cd $files && mcopy -s -m -i ../boot.fat -- * ::/)
    rm -rf $files
}

# The second: everything else, packed, and the third, which the first start makes.
make_image() {
    local mib=$((1 << 20)) root_mib
    rm -f $out/root.squashfs
    mksquashfs "$root" $out/root.squashfs -quiet -no-progress -noappend -no-xattrs -comp zstd -Xcompression-level 15 \
        -wildcards -e 'boot/vmlinuz*' 'boot/firmware/*' 'vmlinuz*' 'initrd.img*'
    root_mib=$((($(stat -c %s $out/root.squashfs) + mib - 1) / mib))
    rm -f $out/easel.img.new
    truncate -s $((4 + boot_mib + root_mib + state_mib))M $out/easel.img.new
    sfdisk --quiet $out/easel.img.new <<END
label: dos
label-id: 0x$disk_id
start=4MiB, size=${boot_mib}MiB, type=c, bootable
start=$((4 + boot_mib))MiB, size=${root_mib}MiB, type=83
start=$((4 + boot_mib + root_mib))MiB, size=${state_mib}MiB, type=83
END
    dd if=$out/boot.fat of=$out/easel.img.new bs=1M seek=4 conv=notrunc,sparse status=none
    dd if=$out/root.squashfs of=$out/easel.img.new bs=1M seek=$((4 + boot_mib)) conv=notrunc,sparse status=none
    rm $out/boot.fat $out/root.squashfs
    mv $out/easel.img.new $out/easel.img
}

tools
mkdir -p $out
root=$out/root
begun=$SECONDS
system
echo "the system: $system, $((SECONDS - begun)) s"
fill
make_boot
make_image
rm -rf "$root"
echo "$out/easel.img: $(du -m --apparent-size $out/easel.img | cut -f 1) MiB, sha256 $(sha256sum $out/easel.img | cut -d ' ' -f 1), $((SECONDS - begun)) s"
