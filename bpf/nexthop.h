/* SPDX-License-Identifier: GPL-2.0-only */
/* Where a packet leaves: the kernel's answer, cached by destination until the daemon raises the generation. */
#pragma once
#include "verdict.h"
#include "work.h"

static __always_inline int hook_redirect_neighbour(ctx_t *ctx, __u32 ifindex, const struct address *gateway);

#define AF_INET_ 2
#define AF_INET6_ 10
#define MTU_MAX 0xffff

enum route { ROUTE_FOUND, ROUTE_UNRESOLVED, ROUTE_NONE };

static __always_inline __u32 generation(void)
{
	__u32 zero = 0;
	struct control *c = bpf_map_lookup_elem(&control, &zero);

	return c ? READ_ONCE(c->generation) : 0;
}

static __always_inline struct nexthop *nexthop_slot(const struct address *to)
{
	__u64 word = (to->half[1] ^ to->half[0] * 31) * seed;
	__u32 index = (__u32)(word >> 52) & nexthop_mask; /* only the top bits depend on the last octet */

	return bpf_map_lookup_elem(&nexthops, &index);
}

/* Copies a current cache line; false when it is stale, another's, or being written. */
static __always_inline int nexthop_cached(const struct nexthop *slot, const struct address *to, struct way_out *out)
{
	__u64 version = READ_ONCE(slot->version);

	if (version >> 32 != generation() || version & 1 || !same(&slot->to, to))
		return 0;
	out->ifindex = slot->ifindex;
	out->mtu = slot->mtu;
	out->vlan = slot->vlan;
	__builtin_memcpy(out->macs, slot->macs, sizeof(out->macs));
	return READ_ONCE(slot->version) == version;
}

static __always_inline void nexthop_store(struct nexthop *slot, const struct address *to, const struct way_out *out)
{
	__u64 version = READ_ONCE(slot->version);
	__u64 next = (__u64)generation() << 32 | (__u32)((__u32)version + 2);

	if (version & 1 || __sync_val_compare_and_swap(&slot->version, version, version | 1) != version)
		return; /* another CPU is at it */
	slot->to = *to;
	slot->ifindex = out->ifindex;
	slot->mtu = out->mtu;
	slot->vlan = out->vlan;
	__builtin_memcpy(slot->macs, out->macs, sizeof(slot->macs));
	(void)__sync_lock_test_and_set(&slot->version, next);
}

__noinline int nexthop_resolve(ctx_t *ctx, const struct address *from, const struct address *to, struct way_out *out)
{
	struct bpf_fib_lookup fib = { .ifindex = hook_ifindex(ctx), .tot_len = 1, .l4_protocol = IPPROTO_SCTP_ };
	struct nexthop *slot;
	struct vlan *vlan;
	__u32 leaves;
	long found;

	if (!from || !to || !out)
		return ROUTE_NONE;
	slot = nexthop_slot(to);
	if (is_v4(to)) {
		fib.family = AF_INET_;
		fib.ipv4_src = from->word[3];
		fib.ipv4_dst = to->word[3];
	} else {
		fib.family = AF_INET6_;
		__builtin_memcpy(fib.ipv6_src, from, sizeof(fib.ipv6_src));
		__builtin_memcpy(fib.ipv6_dst, to, sizeof(fib.ipv6_dst));
	}
	found = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	if (found != BPF_FIB_LKUP_RET_SUCCESS && found != BPF_FIB_LKUP_RET_NO_NEIGH)
		return ROUTE_NONE;
	*out = (struct way_out){ .ifindex = fib.ifindex, .mtu = fib.mtu_result > MTU_MAX ? MTU_MAX : fib.mtu_result };
	if (found == BPF_FIB_LKUP_RET_NO_NEIGH) {
		out->vlan = VLAN_UNRESOLVED;
		out->mtu = MTU_MAX; /* the kernel did not get as far as telling */
		if (is_v4(to))
			out->gateway = mapped(fib.ipv4_dst);
		else
			__builtin_memcpy(&out->gateway, fib.ipv6_dst, sizeof(out->gateway));
		return ROUTE_UNRESOLVED;
	}
	__builtin_memcpy(out->macs, fib.dmac, 6);
	__builtin_memcpy(out->macs + 6, fib.smac, 6);
	leaves = out->ifindex;
	vlan = bpf_map_lookup_elem(&vlans, &leaves);
	if (vlan) {
		out->ifindex = vlan->parent;
		out->vlan = VLAN_PRESENT | vlan->vid;
	}
	if (slot)
		nexthop_store(slot, to, out);
	return ROUTE_FOUND;
}

static __always_inline int nexthop_find(ctx_t *ctx, const struct address *from, const struct address *to,
					struct way_out *out)
{
	struct nexthop *slot = nexthop_slot(to);

	if (slot && nexthop_cached(slot, to, out))
		return ROUTE_FOUND;
	return nexthop_resolve(ctx, from, to, out);
}
