/* SPDX-License-Identifier: GPL-2.0-only */
/* From the frame to struct packet. Each parser takes the packet, checks its bounds and returns GO_ON, VERDICT_PASS for
 * what is not ours to judge, or a drop. */
#pragma once
#include "verdict.h"

struct vlan_header {
	__be16 tci;
	__be16 type;
};

static __always_inline __be16 parse_ethernet(ctx_t *ctx, struct packet *p)
{
	struct ethhdr *eth = DATA(ctx);
	__be16 type;

	if ((void *)(eth + 1) > DATA_END(ctx))
		return 0;
	type = eth->h_proto;
	p->l3 = sizeof(*eth);
	for (__u32 i = 0; i < 2; i++) {
		struct vlan_header *tag;

		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		tag = AT(ctx, p->l3, sizeof(*tag));
		if (!tag)
			return 0;
		type = tag->type;
		p->l3 += sizeof(*tag);
	}
	return type;
}

static __always_inline int parse_v4(ctx_t *ctx, struct packet *p)
{
	struct iphdr *ip = AT(ctx, p->l3, sizeof(*ip));
	__u16 fragment;

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return VERDICT_PASS;
	fragment = bpf_ntohs(ip->frag_off);
	p->family = 4;
	p->protocol = ip->protocol;
	p->ttl = ip->ttl;
	p->l4 = p->l3 + ip->ihl * 4;
	p->end = p->l3 + bpf_ntohs(ip->tot_len);
	p->fragment = fragment & 0x1fff ? FRAGMENT_LATER : fragment & 0x2000 ? FRAGMENT_FIRST : FRAGMENT_NONE;
	p->fragment_id = ip->id;
	return GO_ON;
}

struct fragment_header {
	__u8 next;
	__u8 reserved;
	__be16 offset;
	__be32 id;
};

/* IPv6 with at most a fragment header; other extension headers are the host's business. */
static __always_inline int parse_v6(ctx_t *ctx, struct packet *p)
{
	struct ipv6hdr *ip = AT(ctx, p->l3, sizeof(*ip));

	if (!ip || ip->version != 6)
		return VERDICT_PASS;
	p->family = 6;
	p->protocol = ip->nexthdr;
	p->ttl = ip->hop_limit;
	p->l4 = p->l3 + sizeof(*ip);
	p->end = p->l4 + bpf_ntohs(ip->payload_len);
	p->fragment = FRAGMENT_NONE;
	if (p->protocol == IPPROTO_FRAGMENT_) {
		struct fragment_header *fragment = AT(ctx, p->l4, sizeof(*fragment));

		if (!fragment)
			return VERDICT_PASS;
		p->protocol = fragment->next;
		p->fragment_id = fragment->id;
		p->fragment = bpf_ntohs(fragment->offset) & 0xfff8 ? FRAGMENT_LATER : FRAGMENT_FIRST;
		p->l4 += sizeof(*fragment);
	}
	return GO_ON;
}

/* The common header and the first chunk's head. */
static __always_inline int parse_sctp(ctx_t *ctx, struct packet *p)
{
	struct {
		struct sctphdr sctp;
		__u32 chunk;
	} *head = AT(ctx, p->l4, sizeof(*head));

	if (!head)
		return VERDICT_PASS;
	p->sport = head->sctp.sport;
	p->dport = head->sctp.dport;
	p->tag = head->sctp.tag;
	p->chunk = head->chunk;
	return GO_ON;
}
