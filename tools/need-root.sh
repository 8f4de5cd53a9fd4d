#!/bin/sh
# The datapath and the lab need root: say so in one sentence instead of failing later.
[ "$(id -u)" = 0 ] || { echo "make $1 needs root (eBPF and network namespaces): run it as root or with sudo" >&2; exit 1; }
