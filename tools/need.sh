#!/bin/sh
# The datapath and the lab need root and a kernel with BPF: one sentence instead of failing later.
fail() { echo "make $target needs $1" >&2; exit 1; }
target=$1
[ "$(id -u)" = 0 ] || fail "root (eBPF and network namespaces): run it as root or with sudo"
[ -e /proc/sys/kernel/unprivileged_bpf_disabled ] || fail "a kernel with BPF (CONFIG_BPF_SYSCALL): this one, $(uname -r), has none"
