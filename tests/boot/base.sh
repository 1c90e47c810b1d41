#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Makes what all images of the boot tests' guest are made of, once, below build/boot/, and prints the folder with it:
#
#   tree/       a Debian 13 userland with systemd and RAUC 1.13, as far as a charger needs it
#   boot/       its kernel and an initial RAM disk, as they lie in each slot's /boot
#
# The folder's name is a hash of what it is made of.  As root: mmdebstrap configures the packages in a chroot.  Exit code 77: this
# host's mirror does not have that Debian.
set -euo pipefail

readonly SUITE=trixie
# The agent's libraries are named, too, but for those that only Debian 12 has (image.sh).
readonly PACKAGES=systemd,systemd-sysv,udev,dbus,rauc,rauc-service,kmod,busybox-static,qemu-guest-agent,libubootenv-tool,\
libglib2.0-0t64,libjansson4,libssl3t64,libsqlite3-0,libcurl4t64,libcap2,libdevmapper1.02.1
readonly KERNEL=linux-image-cloud-amd64
# ext4 and virtio-pci are part of that kernel; virtio_blk goes into the initial RAM disk.  initrd.sh loads most of these.
readonly MODULES="nbd dm_mod dm_verity loop squashfs virtio_net virtio_console virtio_rng i6300esb"

here=$(cd "$(dirname "$0")" && pwd)
cache=$(realpath -m "$here/../../build/boot")

{
    read -r mirror
    read -r proxy
} < <("$here/../guest/mirror.sh")

name=base-$(printf '%s\n' "$mirror" | cat - "$here/base.sh" "$here/initrd.sh" | sha256sum | cut -c 1-16)
mkdir -p "$cache"
exec 9> "$cache/.base.lock"
flock 9
if [ -d "$cache/$name" ]; then
    echo "$cache/$name"
    exit 0
fi

work=$(mktemp -d "$cache/.new-XXXXXX")
trap 'rm -rf "$work"' EXIT
tree=$work/tree
if ! /usr/lib/apt/apt-helper download-file "$mirror/dists/$SUITE/Release" "$work/Release" > /dev/null; then
    echo "$mirror has no $SUITE"
    exit 77
fi
mkdir "$work/download"

# Downloaded by the same apt, and unpacked only: of the kernel a few modules are wanted, of GRUB one program.
cat > "$work/download.sh" << EOT
#!/bin/sh
set -e
export APT_CONFIG="\$MMDEBSTRAP_APT_CONFIG"
kernel=\$(apt-cache depends $KERNEL | sed -n 's/.*Depends: \(linux-image-[^ ]*\)/\1/p' | head -n 1)
cd "$work/download"
apt-get -qq -o APT::Sandbox::User=root download "\$kernel" grub-common >&2
EOT
chmod 755 "$work/download.sh"

echo "making a Debian $SUITE tree with systemd and RAUC" >&2
options=(--variant=essential --include="$PACKAGES" --components=main --aptopt='APT::Install-Recommends "false"')
for folder in doc man locale info i18n zoneinfo bash-completion; do
    options+=(--dpkgopt="path-exclude=/usr/share/$folder/*")
done
options+=(--dpkgopt='path-exclude=/usr/lib/x86_64-linux-gnu/gconv/*' --dpkgopt='path-exclude=/usr/lib/udev/hwdb.d/*')
[ -z "$proxy" ] || options+=(--aptopt="Acquire::http::Proxy \"$proxy\"")
mmdebstrap --quiet "${options[@]}" --customize-hook="$work/download.sh" "$SUITE" "$tree" "$mirror" >&2

# What only the management of packages wants.
rm -rf "$tree"/usr/share/perl5 "$tree"/usr/lib/x86_64-linux-gnu/perl-base "$tree"/usr/bin/perl* "$tree"/var/lib/dpkg/info \
    "$tree"/var/cache/* "$tree"/var/lib/apt "$tree"/usr/lib/udev/hwdb*
rm -f "$tree"/etc/machine-id "$tree"/var/log/*.log

unpacked=$work/unpacked
for package in "$work"/download/*.deb; do
    dpkg-deb -x "$package" "$unpacked"
done
install -m 755 "$unpacked/usr/bin/grub-editenv" "$tree/usr/bin/"

version=$(basename "$unpacked"/boot/vmlinuz-*)
version=${version#vmlinuz-}
modules=$tree/usr/lib/modules/$version
mkdir -p "$work/boot" "$modules"
cp "$unpacked/boot/vmlinuz-$version" "$work/boot/vmlinuz"
[ -d "$unpacked/lib" ] || ln -s usr/lib "$unpacked/lib"
depmod -b "$unpacked" "$version"
# With those that it needs, decompressed, and stripped of the signature, too: each is slow in the guest.
copy_module() { # copy_module NAME FOLDER
    modprobe -d "$unpacked" -S "$version" --show-depends "$1" | while read -r what file _; do
        [ "$what" = insmod ] || continue
        cp "$file" "$2/"
        file=$2/${file##*/}
        case $file in *.xz) unxz -f "$file" ;; esac
        strip --strip-debug "${file%.xz}"
    done
}
for module in $MODULES; do
    copy_module "$module" "$modules"
done
cp "$(dirname "$(find "$unpacked" -name modules.builtin)")"/modules.builtin* "$modules/"
: > "$modules/modules.order"
depmod -b "$tree/usr" "$version" 2> /dev/null || depmod -b "$tree" "$version"

ram=$work/ram
mkdir -p "$ram/bin" "$ram/lib" "$ram/dev" "$ram/proc" "$ram/newroot"
cp "$tree/usr/bin/busybox" "$ram/bin/"
copy_module virtio_blk "$ram/lib"
install -m 755 "$here/initrd.sh" "$ram/init"
(cd "$ram" && find . | sort | cpio -o -H newc --quiet --reproducible) > "$work/boot/initrd"

rm -rf "$work/download" "$work/download.sh" "$unpacked" "$ram"
chmod 755 "$work"
mv -T "$work" "$cache/$name"
trap - EXIT
echo "$cache/$name"
