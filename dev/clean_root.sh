#!/usr/bin/env bash
# Runs the first line of the README in a clean Debian or Ubuntu root that packages make: clean_root.sh [SUITE [ARGUMENT…]]
#
# It needs root, mmdebstrap and the network, and takes about 20 minutes; without arguments of `run`, SUITE is smoke.
# RELEASE  such as trixie or noble; bookworm by default
# MIRROR   of packages; Debian's by default
# ROOT     folder to make, and to keep; a temporary one by default
set -euo pipefail

suite=${1:-smoke}
[ $# = 0 ] || shift
here=$(cd "$(dirname "$0")/.." && pwd)
line=$(grep -m 1 -e 'nox -s perf' "$here/README.md")
packages=$(sed -n 's/.*sudo apt-get install \([a-z0-9 -]*\)`.*/\1/p' "$here/README.md" | head -n 1)
if [ -z "${ROOT:-}" ]; then
  ROOT=$(mktemp -d)
  trap 'rm -rf --one-file-system "$ROOT"' EXIT
fi

include=$(tr ' ' , <<< "$packages"),ca-certificates
mmdebstrap --variant=minbase --include="$include" "${RELEASE:-bookworm}" "$ROOT" "${MIRROR:-http://deb.debian.org/debian}"
git clone --quiet "$here" "$ROOT/milo-perf"
cp /etc/resolv.conf "$ROOT/etc/"
# shellcheck disable=SC2016 # the inner shell expands these
unshare --mount --pid --fork --kill-child bash -euc '
  mount -t proc proc "$1/proc"
  mount --rbind /dev "$1/dev"
  mount -t sysfs sys "$1/sys"
  exec chroot "$1" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin bash -exc "cd /milo-perf && $2"
' - "$ROOT" "ls /usr/lib/python3*/EXTERNALLY-MANAGED; python3 -m pipeline doctor || true; $line -- --suite $suite $*"
