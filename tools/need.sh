#!/bin/sh
# The datapath and the lab need root and a kernel with BPF and BTF: one sentence instead of failing later.
fail() { echo "make $target needs $1" >&2; exit 1; }
target=$1
[ "$(id -u)" = 0 ] || fail "root (eBPF and network namespaces): run it as root or with sudo"
[ -e /proc/sys/kernel/unprivileged_bpf_disabled ] || fail "a kernel with BPF (CONFIG_BPF_SYSCALL): this one, $(uname -r), has none"
[ -r /sys/kernel/btf/vmlinux ] || fail "a kernel with BTF (CONFIG_DEBUG_INFO_BTF): /sys/kernel/btf/vmlinux is missing"
