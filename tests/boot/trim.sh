#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Takes away from a charger's root file system what a charger does not need, as the maker of a small device does: programs,
# the libraries that are left without a user, and what systemd and udev would start or look at by themselves.  It is what makes an
# emulated boot, and an emulated installation, short.
#
#   trim.sh TREE
set -euo pipefail

readonly PROGRAMS=" base64 busctl busybox cat dash date dbus-daemon dd fw_printenv fw_setenv grep grub-editenv kmod ls mkdir mktemp
 mount rauc rauc-ocpp-agent rm sh sleep sync systemctl touch true udevadm umount
 init modprobe qemu-ga reboot "
readonly SYSTEMD=" systemd systemd-executor systemd-journald systemd-logind systemd-shutdown systemd-udevd "
# Opened by name at run time.
readonly OPENED=" libcurl.so.4 libkmod.so.2 libmount.so.1 libblkid.so.1 libseccomp.so.2 libwebsockets-evlib_glib.so "
# udev comes with its sockets, at the first event of a device, and logind by D-Bus, when it is asked: not at each boot.
readonly UNITS=" dbus.service dbus.socket systemd-journald-dev-log.socket systemd-journald.socket systemd-journald.service
 systemd-udevd-control.socket systemd-udevd-kernel.socket "
readonly RULES=" 50-udev-default.rules 55-dm.rules 60-block.rules 99-systemd.rules "
# Pulled in by others than a .wants folder.
readonly MASKED="rauc-mark-good.service systemd-remount-fs.service systemd-udev-load-credentials.service modprobe@.service"

tree=$1
units=$tree/usr/lib/systemd/system
libraries=/usr/lib/x86_64-linux-gnu

keep() { # keep NAMES FILE...: removes the files whose names are not among them
    local names=$1 file
    shift
    for file in "$@"; do
        [ ! -d "$file" ] || [ -L "$file" ] || continue
        case $names in *[[:space:]]"${file##*/}"[[:space:]]*) ;; *) rm -f "$file" ;; esac
    done
}

keep "$PROGRAMS" "$tree"/usr/bin/* "$tree"/usr/sbin/*
keep "$SYSTEMD" "$tree"/usr/lib/systemd/* "$tree"/usr/lib/systemd/system-generators/*
keep "$UNITS" "$units"/*.wants/* "$tree"/etc/systemd/system/*.wants/*
# What keeps a service from harm costs an emulated machine much time; the agent keeps what its own unit asks for.
sed -i -E '/^(SystemCall|Restrict|Protect|Private|LockPersonality|MemoryDeny|NoNewPriv|IPAddress|DeviceAllow|Capability)/d' \
    "$units"/systemd-{journald,logind,udevd}.service
keep "$RULES" "$tree"/usr/lib/udev/rules.d/*
ln -sfT multi-user.target "$units/default.target"
for unit in $MASKED; do
    ln -sfT /dev/null "$tree/etc/systemd/system/$unit"
done

# Of the libraries those stay that somebody needs, under all their names.
uses() { # uses FILE: what the loader would load with it
    chroot "$tree" /lib64/ld-linux-x86-64.so.2 --list "${1#"$tree"}" 2> /dev/null | sed -n 's/.*=> \([^ ]*\) .*/\1/p' || :
}
needed=$({
    find "$tree"/usr/bin "$tree"/usr/sbin "$tree"/usr/lib/systemd -type f -perm /111 ! -name busybox
    for library in $OPENED; do echo "$tree$libraries/$library"; done
} | while read -r file; do
    echo "${file#"$tree"}"
    uses "$file"
done | sort -u)
names=" ld-linux-x86-64.so.2 "
for library in $needed; do
    names+="${library##*/} $(basename "$(realpath "$tree$library")") "
done
keep "$names" "$tree$libraries"/*.so "$tree$libraries"/*.so.*
rm -rf "$tree"/usr/lib/{apt,dpkg,locale,systemd/catalog} "$tree$libraries"/{engines-3,gconv,krb5,security,sasl2} "$tree"/usr/libexec \
    "$tree"/usr/share/{bug,common-licenses,debconf,keyrings,lintian,terminfo,zsh} "${tree:?}"/var/* "$tree"/etc/{apt,dpkg,init.d}
