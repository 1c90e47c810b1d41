#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Makes what the guest of the streaming tests needs, once, below build/guest/, and prints the folder with it:
#
#   tree/       a Debian 13 userland with RAUC 1.13, which streams; Debian 12's does not
#   rauc        runs that RAUC inside the guest, with every other file where it is on the host
#   xstate.so   see xstate.c
#
# The folder's name is a hash of what it is made of; several processes may ask for it at the same time.
set -euo pipefail

readonly SUITE=trixie
readonly PACKAGES=rauc,dash,coreutils,mount,util-linux

here=$(cd "$(dirname "$0")" && pwd)
cache=$(realpath -m "$here/../../build/guest")
"$here/../../tools/install-packages.sh" guest >&2

{
    read -r mirror
    read -r proxy
} < <("$here/mirror.sh")

name=$(printf '%s\n' "$SUITE" "$PACKAGES" "$mirror" | cat - "$here/build.sh" "$here/xstate.c" | sha256sum | cut -c 1-16)
mkdir -p "$cache"
exec 9> "$cache/.lock"
flock 9
if [ -d "$cache/$name" ]; then
    echo "$cache/$name"
    exit 0
fi

work=$(mktemp -d "$cache/.new-XXXXXX")
trap 'rm -rf "$work"' EXIT
cc -O2 -Wall -Wextra -Werror -shared -fPIC -o "$work/xstate.so" "$here/xstate.c"
echo "making a Debian $SUITE tree with RAUC" >&2
options=(--variant=extract --include="$PACKAGES" --components=main)
for folder in doc man locale info; do
    options+=(--dpkgopt="path-exclude=/usr/share/$folder/*")
done
[ -z "$proxy" ] || options+=(--aptopt="Acquire::http::Proxy \"$proxy\"")
mmdebstrap --quiet "${options[@]}" "$SUITE" "$work/tree" "$mirror" >&2

# Only /usr is exchanged, in a mount namespace of its own: the bus, the slots, devices and users stay the guest's.
cat > "$work/rauc" << 'EOT'
#!/bin/sh
exec unshare -m sh -c 'mount --bind "$0/tree/usr" /usr && exec rauc "$@"' "${0%/*}" "$@"
EOT
chmod 755 "$work" "$work/rauc"
mv -T "$work" "$cache/$name"
trap - EXIT
echo "$cache/$name"
