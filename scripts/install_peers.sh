#!/usr/bin/env bash
# Installs the programs the tests and benchmarks run against, written by others: Debian's packages, where apt
# and root are there. Says what is missing otherwise; the tests that need it are then skipped (failed with
# CI=true). Quick and silent where everything is installed.
set -euo pipefail

# A program of each package, and the package.
peers=(
    storescp:dcmtk
    Orthanc:orthanc
    gdcmscu:libgdcm-tools
    tshark:tshark
    dciodvfy:dicom3tools
    chromium:chromium
    postgres:postgresql
)

PATH=$PATH:/usr/sbin
for folder in /usr/lib/postgresql/*/bin; do PATH=$PATH:$folder; done
missing=()
for peer in "${peers[@]}"; do
    command -v "${peer%%:*}" >/dev/null || missing+=("${peer##*:}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
    echo "not installed: ${missing[*]} (needs apt-get and root); tests against them are skipped" >&2
    exit 0
fi

echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# Packages that are services must not start: the tests start their own, on ports of their own.
export RUNLEVEL=1
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p /etc/postgresql-common
    echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt=(apt-get -qq -o DPkg::Lock::Timeout=300)
if ! { "${apt[@]}" update && "${apt[@]}" install --yes --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    cat "$log" >&2
    echo "could not install ${missing[*]}" >&2
    [ "${CI:-}" = true ] && exit 1
fi
exit 0
