#!/usr/bin/env bash
# Makes packages: `deb.sh arm64|armhf|amd64 ...`. Each ends as target/debian/easel_VERSION_ARCH.deb.
# EASEL_DEB_VERSION is another version, for tests of upgrades; EASEL_PROGRAM a program that is built already.
#
# By dpkg-deb alone: the program is built elsewhere, and what else goes in is a dozen files. The same tree makes the same
# package, byte for byte (SOURCE_DATE_EPOCH: the commit's).
set -euo pipefail
cd "$(dirname "$0")/../.."
files=firmware/packaging/debian
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
version=${EASEL_DEB_VERSION:-$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)}
umask 022

# Where each file goes, with its mode.
put() { install -D -m "$1" "$2" "$root/$3"; }
compressed() { mkdir -p "$root/$(dirname "$1")"; gzip -9n > "$root/$1"; chmod 644 "$root/$1"; }

fill() { # program
    put 755 "$1" usr/bin/easel
    (cd models/pocket && find . -type f) | while read -r file; do
        put 644 "models/pocket/$file" "usr/share/easel/models/pocket/$file"
    done
    (cd board-configs && find . -name '*.toml') | while read -r file; do
        put 644 "board-configs/$file" "usr/share/easel/board-configs/$file"
    done
    put 644 $files/board.toml usr/share/easel/board.toml
    put 644 $files/easel.service usr/lib/systemd/system/easel.service
    put 644 $files/easel.sysusers usr/lib/sysusers.d/easel.conf
    put 644 $files/easel.udev usr/lib/udev/rules.d/60-easel.rules
    put 644 $files/easel.polkit usr/share/polkit-1/rules.d/easel.rules
    for page in firmware/packaging/manual/*.1; do
        compressed "usr/share/man/man1/$(basename "$page").gz" < "$page"
    done
    put 644 firmware/packaging/manual/easel.bash usr/share/bash-completion/completions/easel
    put 644 firmware/packaging/manual/easel.zsh usr/share/zsh/vendor-completions/_easel
    put 644 firmware/packaging/manual/easel.fish usr/share/fish/vendor_completions.d/easel.fish
}

documents() {
    local doc=usr/share/doc/easel
    put 644 $files/copyright $doc/copyright
    python3 firmware/packaging/licences.py | compressed $doc/licences.gz
    compressed $doc/CHANGELOG.md.gz < CHANGELOG.md
    compressed $doc/changelog.gz <<END
easel ($version) stable; urgency=medium

  * What is new stands in /usr/share/doc/easel/CHANGELOG.md.gz.

 -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END
}
maintainer="The easel developers <easel-frame@users.noreply.github.com>"

control() { # architecture, program
    local glibc
    glibc=$(grep -a -o 'GLIBC_[0-9.]*' "$2" | sort -uV | tail -n 1)
    mkdir -p "$root/DEBIAN"
    cat > "$root/DEBIAN/control" <<END
Package: easel
Version: $version
Architecture: $1
Maintainer: $maintainer
Installed-Size: $(du -k -s --apparent-size --exclude=DEBIAN "$root" | cut -f 1)
Depends: libc6 (>= ${glibc#GLIBC_}), libgcc-s1 (>= 4.2), init-system-helpers (>= 1.54), systemd | systemd-standalone-sysusers | systemd-sysusers
Recommends: ca-certificates, mosquitto, polkitd
Suggests: mosquitto-clients
Section: graphics
Priority: optional
Homepage: https://github.com/easel-frame/easel
Description: picture frame that paints what it is told
 A prompt arrives over MQTT, from a button or from a playlist; a small diffusion
 model paints it on the board itself, step by step, on the screen that is
 attached: HDMI, DSI, SPI or electronic paper. Nothing leaves the house.
 .
 This package contains the program, the service that paints, a model of
 128x128 pixels, and configurations for the usual boards and panels.
END
    for script in preinst postinst prerm postrm; do put 755 "$files/$script" "DEBIAN/$script"; done
    (cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) > "$root/DEBIAN/md5sums"
}

for arch in "$@"; do
    program=${EASEL_PROGRAM:-target/cross/easel-$arch}
    # Without the time, which would have crates with C in them compiled anew at each commit.
    [ -n "${EASEL_PROGRAM:-}" ] || env -u SOURCE_DATE_EPOCH firmware/packaging/cross.sh "$arch"
    root=target/debian/$arch
    rm -rf "$root"
    fill "$program"
    documents
    control "$arch" "$program"
    package=target/debian/easel_${version}_$arch.deb
    find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group -Zxz --build "$root" "$package" >/dev/null
    rm -rf "$root"
    echo "$package: $(du -h --apparent-size "$package" | cut -f 1)"
done
[ $# -gt 0 ] || { echo "deb.sh: name an architecture: arm64, armhf or amd64" >&2; exit 2; }
