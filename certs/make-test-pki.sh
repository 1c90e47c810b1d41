#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Makes every key and certificate that the tests and the demo need: make-test-pki.sh OUTDIR
#
# Throw-away keys for one machine, never for a charger in the field (README.md beside this file tells what
# that needs).  Does nothing when OUTDIR is complete; may run several times at once.
set -euo pipefail

if [ $# -ne 1 ] || [ -z "$1" ] || [ "${1#-}" != "$1" ]; then
    echo "usage: ${0##*/} OUTDIR" >&2
    exit 2
fi

# Fixed dates: a peer that judges by its build time or by a clock that was never set must find these
# certificates valid as well, and 32-bit clocks end in 2038.
readonly VALID_FROM=20200101000000Z VALID_TO=20370101000000Z EXPIRED_TO=20210101000000Z
readonly LOCAL_NAMES=DNS:localhost,IP:127.0.0.1,IP:::1

# RAUC's own signers are RSA: "damaged signature" then reads as it does with most bundles in the field.
readonly RSA=(-newkey rsa:2048) EC=(-newkey ec -pkeyopt ec_paramgen_curve:P-256)

readonly NAMES=(
    rauc-ca signer expired foreign-ca foreign device
    csms-ca csms csms-wronghost csms-expired csms-unknown-ca csms-unknown
    charge-point-ca charge-point manufacturer-root
)

complete() {
    local name
    for name in "${NAMES[@]}"; do
        [ -s "$1/$name.crt" ] && [ -s "$1/$name.key" ] || return 1
    done
}

if complete "$1"; then
    exit 0
fi
mkdir -p "$(dirname "$1")"
parent=$(cd "$(dirname "$1")" && pwd)
out=$parent/$(basename "$1")

# Whoever comes second waits, and then finds the work done.
exec 9< "$parent"
flock 9
if complete "$out"; then
    exit 0
fi

umask 077
work=$(mktemp -d "$parent/.pki.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir new

cat > ca.cnf << 'CNF'
[ca]
default_ca = test_ca
[test_ca]
database = index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any_name
unique_subject = no
copy_extensions = copy
[any_name]
organizationName = supplied
commonName = supplied
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[req]
distinguished_name = names
[names]
CNF
: > index

# OpenSSL writes its progress to stderr; it is of interest only when something fails.
quietly() {
    if ! "$@" > log 2>&1 < /dev/null; then
        cat log >&2
        echo "${0##*/}: failed: $*" >&2
        exit 1
    fi
}

sign() { # sign NAME SECTION END WHO-SIGNS...
    local name=$1 section=$2 end=$3
    shift 3
    quietly openssl ca -batch -notext -config ca.cnf -extensions "$section" \
        -startdate "$VALID_FROM" -enddate "$end" -in "$name.csr" -out "new/$name.crt" "$@"
}

request() { # request NAME COMMON-NAME OPTIONS...
    local name=$1 common_name=$2
    shift 2
    quietly openssl req -new -config ca.cnf -nodes -keyout "new/$name.key" -out "$name.csr" \
        -subj "/O=rauc-ocpp-agent test/CN=$common_name" "$@"
}

root() { # root NAME COMMON-NAME
    request "$1" "$2" "${EC[@]}"
    sign "$1" root "$VALID_TO" -selfsign -keyfile "new/$1.key"
}

leaf() { # leaf NAME COMMON-NAME CA END OPTIONS...
    local name=$1 common_name=$2 ca=$3 end=$4
    shift 4
    request "$name" "$common_name" "$@"
    sign "$name" leaf "$end" -cert "new/$ca.crt" -keyfile "new/$ca.key"
}

server() { # server NAME CA END SUBJECT-ALT-NAME
    leaf "$1" "$1" "$2" "$3" "${EC[@]}" -addext extendedKeyUsage=serverAuth -addext "subjectAltName=$4"
}

root rauc-ca "RAUC signer CA"
leaf signer "RAUC signer" rauc-ca "$VALID_TO" "${RSA[@]}"
leaf expired "Expired RAUC signer" rauc-ca "$EXPIRED_TO" "${RSA[@]}"
root foreign-ca "Foreign CA"
leaf foreign "Foreign signer" foreign-ca "$VALID_TO" "${RSA[@]}"

root device "Device, for encrypted bundles"

root csms-ca "CSMS root"
server csms csms-ca "$VALID_TO" "$LOCAL_NAMES"
server csms-wronghost csms-ca "$VALID_TO" DNS:other.example
server csms-expired csms-ca "$EXPIRED_TO" "$LOCAL_NAMES"
root csms-unknown-ca "Unknown root"
server csms-unknown csms-unknown-ca "$VALID_TO" "$LOCAL_NAMES"

root charge-point-ca "Charge point CA"
leaf charge-point CP001 charge-point-ca "$VALID_TO" "${EC[@]}" -addext extendedKeyUsage=clientAuth
root manufacturer-root "Manufacturer root"

chmod 755 new
chmod 644 new/*.crt
complete new
if [ -e "$out" ]; then
    mv -T "$out" old
fi
mv -T new "$out"
