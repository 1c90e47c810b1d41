#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Makes a signed RAUC bundle with one raw image for the slot class "rootfs": for tests, the demo and people
# who try things out.  The keys come from certs/make-test-pki.sh.
set -euo pipefail

usage() {
    cat << EOT
usage: ${0##*/} --pki DIR --version VERSION --image FILE --output FILE [OPTION...]

  --pki DIR            where certs/make-test-pki.sh put the keys
  --version VERSION    the version that the manifest names
  --image FILE         the image of the root file system, installed byte for byte
  --output FILE        the bundle; an older file of that name is replaced
  --compatible NAME    the device that it is for (default rauc-ocpp-demo)
  --signer WHO         good (default), foreign (a CA that the device does not know) or expired
  --format FORMAT      plain (default), verity (needs a device mapper on the device), crypt (the same, encrypted
                       for the key "device") or casync (the image lies in chunks in a store beside the bundle, called
                       as that with .castr in place of .raucb)
  --adaptive           with an index of the image's blocks: what the device has already is not fetched (the image's
                       size must be a multiple of 4096)
  --damaged            break the signature after signing
EOT
}

fail() {
    echo "${0##*/}: $1" >&2
    exit "${2:-1}"
}

pki="" version="" image="" output="" compatible=rauc-ocpp-demo signer=good format=plain damaged="" adaptive=""
while [ $# -gt 0 ]; do
    case $1 in
    --damaged) damaged=yes && shift && continue ;;
    --adaptive) adaptive=yes && shift && continue ;;
    --help) usage && exit 0 ;;
    --pki | --version | --image | --output | --compatible | --signer | --format) ;;
    *) fail "unknown option $1, see --help" 2 ;;
    esac
    [ $# -ge 2 ] || fail "$1 needs a value" 2
    # A manifest is a list of lines: a value must not be able to add one.
    case $2 in "" | *$'\n'*) fail "$1: empty value or line break" 2 ;; esac
    printf -v "${1#--}" %s "$2"
    shift 2
done
for needed in pki version image output; do
    [ -n "${!needed}" ] || fail "--$needed is missing, see --help" 2
done
case $signer in
good) key=signer ;;
foreign | expired) key=$signer ;;
*) fail "--signer $signer: not one of good, foreign, expired" 2 ;;
esac
case $format in
plain | verity | crypt) store="" manifest_format=$format ;;
casync)
    store=${output%.raucb}.castr manifest_format=plain
    [ "$store" != "$output.castr" ] || fail "--output $output: a casync bundle is called .raucb" 2
    ;;
*) fail "--format $format: not one of plain, verity, crypt, casync" 2 ;;
esac
[ -f "$image" ] || fail "--image $image: no such file" 2

# Beside the output, so that the finished bundle appears there in one step.
work=$(mktemp -d "$(dirname "$output")/.bundle.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/content"
cp --reflink=auto "$image" "$work/content/rootfs.img"
cat > "$work/content/manifest.raucm" << EOT
[update]
compatible=$compatible
version=$version

[bundle]
format=$manifest_format

[image.rootfs]
filename=rootfs.img
${adaptive:+adaptive=block-hash-index}
EOT

# No keyring: RAUC would check its own signature at once and refuse the expired signer.
if ! rauc --cert="$pki/$key.crt" --key="$pki/$key.key" bundle "$work/content" "$work/bundle" \
    > "$work/log" 2>&1; then
    cat "$work/log" >&2
    fail "rauc could not make the bundle"
fi

# Converting, RAUC checks what it reads, so here it needs a keyring.
if [ -n "$store" ]; then
    if ! rauc --cert="$pki/$key.crt" --key="$pki/$key.key" --keyring="$pki/rauc-ca.crt" \
        convert "$work/bundle" "$work/converted.raucb" > "$work/log" 2>&1; then
        cat "$work/log" >&2
        fail "rauc could not convert the bundle"
    fi
    mv -T "$work/converted.raucb" "$work/bundle"
fi

if [ "$format" = crypt ]; then
    if ! rauc --keyring="$pki/rauc-ca.crt" encrypt --to="$pki/device.crt" "$work/bundle" "$work/encrypted" \
        > "$work/log" 2>&1; then
        cat "$work/log" >&2
        fail "rauc could not encrypt the bundle"
    fi
    mv -T "$work/encrypted" "$work/bundle"
fi

# A bundle ends with the CMS signature and, in the last 8 bytes, its length.  The signature ends with the RSA
# value, 256 bytes: one changed byte in the middle of it leaves the structure valid and the signature wrong.
if [ -n "$damaged" ]; then
    offset=$(($(stat -c %s "$work/bundle") - 8 - 128))
    byte=$(od -An -tu1 -j "$offset" -N 1 "$work/bundle")
    printf -v flipped '\\x%02x' $((byte ^ 255))
    printf '%b' "$flipped" | dd of="$work/bundle" bs=1 seek="$offset" conv=notrunc status=none
fi
chmod 644 "$work/bundle"
if [ -n "$store" ]; then
    rm -rf "$store"
    mv -T "$work/converted.castr" "$store"
fi
mv -T "$work/bundle" "$output"
