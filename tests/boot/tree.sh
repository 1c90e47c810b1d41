#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Makes a charger's root file system out of the base (base.sh): what is laid over it, the agent as `make install` puts it, and
# nothing else that a charger does not need (trim.sh).
set -euo pipefail

readonly LIBRARIES=/usr/lib/x86_64-linux-gnu

base=$1 pki=$2 build=$3 tree=$4
here=$(cd "$(dirname "$0")" && pwd)

cp -a "$base/tree" "$tree"
cp -a "$base/boot" "$tree/"
cp -aT "$here/guest" "$tree"
mkdir -p "$tree/loader" "$tree/data" "$tree/etc/rauc"
install -m 644 "$pki/rauc-ca.crt" "$tree/etc/rauc/keyring.pem"
ln -s /loader/rauc.conf "$tree/etc/rauc/system.conf"
ln -s /data/agent.conf.d "$tree/etc/rauc-ocpp-agent/agent.conf.d"
echo charger > "$tree/etc/hostname"
echo 6368617267657220756e646572207465 > "$tree/etc/machine-id"

make -s -C "$here/../.." install OUT="$build" DESTDIR="$tree" PREFIX=/usr
strip "$tree/usr/bin/rauc-ocpp-agent"
# The libraries that Debian 13 has under another name.  libwebsockets looks for its plugin by itself.
ldd "$tree/usr/bin/rauc-ocpp-agent" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | while read -r library; do
    [ -e "$tree$LIBRARIES/${library##*/}" ] || cp -L "$library" "$tree$LIBRARIES/"
done
cp "$LIBRARIES/libwebsockets-evlib_glib.so" "$tree$LIBRARIES/"
chroot "$tree" ldconfig
chroot "$tree" systemd-sysusers

"$here/trim.sh" "$tree"
wanted=$tree/etc/systemd/system/multi-user.target.wants
mkdir -p "$wanted"
ln -sf /etc/systemd/system/network.service /etc/systemd/system/qemu-guest-agent.service \
    /usr/lib/systemd/system/rauc-ocpp-agent.service "$wanted/"
