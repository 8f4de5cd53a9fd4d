#!/bin/sh
# Brings what telco-lb needs: system packages, and the virtual environment given as first argument. Quick and silent when
# all is there; then it neither asks the network nor needs root.
set -u
cd "$(dirname "$0")/.." || exit 1
venv=$1
clang=${CLANG:-clang-14}
format=${CLANG_FORMAT:-clang-format-14}
PATH=$PATH:/usr/sbin:/sbin

fail() { echo "set-up failed: $1" >&2; exit 1; }

# -- which Python ------------------------------------------------------------------------------------------------------
python=""
for candidate in ${PYTHON:-} python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
	path=$("$candidate" -c 'import sys; sys.version_info < (3, 11) or print(sys.executable)' 2>/dev/null) || continue
	[ -z "$path" ] || { python=$path; break; }
done
[ -n "$python" ] || fail "Python 3.11 or newer is needed, found $(python3 --version 2>&1 | tail -n 1) (PYTHON=… names another)"

# -- system packages: Debian's name of each, and what proves on any distribution that it is there ----------------------
missing="" lacking=""
need() { # PACKAGE COMMAND...
	package=$1
	shift
	"$@" >/dev/null 2>&1 || { missing="$missing $package"; lacking="$lacking $package ($(proof "$@"))"; }
}
proof() { for last in "$@"; do :; done; echo "$last"; }
library() { ldconfig -p | grep -qF "$1 "; }
python_has() { # of a Python elsewhere than in /usr these are its own parts, no packages
	case $1 in
	ensurepip) "$python" -c 'import ensurepip, venv' ;;
	Python.h) "$python" -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' ;;
	esac
}

need clang-14 command -v "$clang"
need llvm-14 command -v "$(echo "$clang" | sed 's/clang/llvm-strip/')"
need clang-format-14 command -v "$format"
need libbpf-dev test -e /usr/include/bpf/bpf_helpers.h
need libbpf1 library libbpf.so.1
need gcc command -v gcc
need libc6-dev test -e /usr/include/stdio.h
need libsctp-dev test -e /usr/include/netinet/sctp.h
need python3-dev python_has Python.h
need python3-venv python_has ensurepip
need iproute2 command -v ip
need iputils-ping command -v ping
need ethtool command -v ethtool
need nftables command -v nft
need kmod command -v modprobe
need procps command -v sysctl
[ "$(uname -m)" != x86_64 ] || need user-mode-linux command -v linux.uml # there is none elsewhere: no lab

unreachable='Could not resolve|Temporary failure|Could not connect|Network is unreachable|NewConnectionError|Failed to establish|timed out'
why() { # LOG: its network trouble, else its last error, in a few words
	if grep -qE "$unreachable" "$1"; then echo "no network, or no answer from the package server"
	else grep -E '^(E:|ERROR:|error:)' "$1" | head -n 1 | cut -c 1-200; fi
}

if [ -n "$missing" ]; then
	command -v apt-get >/dev/null ||
		fail "there is no apt-get here; install by your own package manager:$lacking (docs/operations.md, Other distributions)"
	[ "$(id -u)" = 0 ] || fail "root is needed once, to install the packages$missing"
	echo "installing Debian packages (a minute or two):$missing"
	log=$(mktemp)
	apt-get update -q >"$log" 2>&1 # a broken source that we do not need is no reason to stop
	# shellcheck disable=SC2086  # a list
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=120 $missing \
		>>"$log" 2>&1 ||
		fail "apt-get could not install$missing: $(why "$log") (whole log: $log)"
	rm -f "$log"
fi

# -- the virtual environment: made anew when the lock, the project file, the Python or the place has changed -----------
wanted=$({ cat requirements.lock pyproject.toml; "$python" -VV; echo "$PWD/$venv"; } | sha256sum)
[ "$(cat "$venv/.ready" 2>/dev/null)" != "$wanted" ] || exit 0
log=$(mktemp)
run() { # WHAT COMMAND...
	what=$1
	shift
	"$@" >"$log" 2>&1 || fail "$what: $(why "$log") (whole log: $log)"
}
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --no-input "$@"; }

echo "making the virtual environment in $venv and installing the locked packages (one to three minutes)"
run "python3 -m venv could not make $venv" "$python" -m venv --clear "$venv"
run "pip could not install the locked packages" pip install --retries 2 --require-hashes -r requirements.lock
run "pip could not install telco-lb itself" pip install --no-deps --no-build-isolation --no-index --editable .
rm -f "$log"
echo "$wanted" >"$venv/.ready"
