/* SPDX-License-Identifier: GPL-2.0-only */
/* VLAN tags in the frame itself: make the frame carry exactly the tag that the way out wants. */
#pragma once
#include "parse.h"

static __noinline int retag(ctx_t *ctx, __u32 l3, __u32 vlan)
{
	struct ethhdr *eth = DATA(ctx);
	int want = sizeof(*eth) + (vlan ? sizeof(struct vlan_header) : 0);
	struct vlan_header *tag = AT(ctx, l3 - 2, 2);
	__be16 type;

	if (!tag)
		return -1;
	type = tag->tci; /* the two bytes before the IP header */
	if (want != (int)l3 && bpf_xdp_adjust_head(ctx, (int)l3 - want))
		return -1;
	eth = DATA(ctx);
	if ((void *)(eth + 1) + sizeof(*tag) > DATA_END(ctx))
		return -1;
	eth->h_proto = vlan ? bpf_htons(ETH_P_8021Q) : type;
	if (vlan) {
		tag = (void *)(eth + 1);
		tag->tci = bpf_htons(vlan & 0xfff);
		tag->type = type;
	}
	return 0;
}

static __always_inline int hook_vlan(ctx_t *ctx, __u32 l3, __u16 vlan)
{
	if (!vlan && l3 == sizeof(struct ethhdr))
		return 0;
	return retag(ctx, l3, vlan);
}
