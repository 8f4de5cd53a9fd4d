#!/bin/sh
# Installs what telco-lb needs on Debian 12 and makes the virtual environment given as first argument.
set -eu
venv=$1
packages="clang-14 clang-format-14 libbpf-dev libbpf1 bpftool gcc libc6-dev python3-dev python3-venv libsctp1 libsctp-dev
iproute2 ethtool nftables kmod user-mode-linux procps ca-certificates"

fail() { echo "set-up failed: $1" >&2; exit 1; }

missing=""
for package in $packages; do
	dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok' || missing="$missing $package"
done
if [ -n "$missing" ]; then
	command -v apt-get >/dev/null || fail "install these by hand, apt-get is not here:$missing (docs/operations.md)"
	[ "$(id -u)" = 0 ] || fail "root is needed once, to install:$missing"
	echo "installing Debian packages:$missing"
	log=$(mktemp)
	{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } \
		>"$log" 2>&1 || { tail -n 3 "$log" >&2; fail "apt-get could not install:$missing (whole log: $log)"; }
	rm -f "$log"
fi

python=$(command -v python3) || fail "python3 is missing"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or newer is needed, found $("$python" --version)"
echo "making the virtual environment in $venv (about a minute)"
"$python" -m venv --clear "$venv" || fail "python3 -m venv could not make $venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r requirements.lock ||
	fail "pip could not install the locked packages (requirements.lock)"
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . ||
	fail "pip could not install telco-lb itself"
touch "$venv/.ready"
