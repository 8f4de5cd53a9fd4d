/* SPDX-License-Identifier: GPL-2.0-only */
/* The way out: hop limit, MTU, rewritten headers, link layer. A packet is untouched until nothing can refuse it. */
#pragma once
#include "csum.h"
#include "icmp_reply.h"
#include "nexthop.h"

static __always_inline struct work *take_work(ctx_t *ctx, const struct packet *p)
{
	struct work *w = this_work();

	if (!w)
		return NULL;
	w->packet = *p;
	load_addresses(ctx, p, &w->ends.source, &w->ends.destination);
	w->ends.sport = p->sport;
	w->ends.dport = p->dport;
	return w;
}

/* Where the packet may go and whether it fits; GO_ON, or a verdict. */
static __always_inline int way_out(ctx_t *ctx, const struct packet *p, const struct address *from,
				   const struct address *via, struct way_out *out)
{
	int route = nexthop_find(ctx, from, via, out);

	if (route == ROUTE_NONE)
		return drop(ctx, p, REASON_NO_ROUTE);
	if (route == ROUTE_UNRESOLVED && !HOOK_RESOLVES)
		return VERDICT_PASS; /* untranslated, to the tc program of this interface */
	if (p->ttl <= 1)
		return icmp_time_exceeded(ctx, p);
	if (p->end - p->l3 > out->mtu && !hook_segmented(ctx))
		return icmp_too_big(ctx, p, out->mtu);
	return GO_ON;
}

static __always_inline int rewrite_v4(ctx_t *ctx, const struct packet *p, const struct rewrite *to)
{
	struct iphdr *ip = AT(ctx, p->l3, sizeof(*ip));
	__u16 *lifetime;
	__u64 difference;

	if (!ip)
		return 0;
	lifetime = (__u16 *)&ip->ttl;
	difference = (__u64)(__u32)~ip->saddr + to->source.word[3] + (__u32)~ip->daddr + to->destination.word[3] +
		     (__u16) ~*lifetime;
	ip->ttl--;
	difference += *lifetime;
	ip->saddr = to->source.word[3];
	ip->daddr = to->destination.word[3];
	ip->check = csum_update(ip->check, difference);
	return 1;
}

static __always_inline int rewrite_v6(ctx_t *ctx, const struct packet *p, const struct rewrite *to)
{
	struct ipv6hdr *ip = AT(ctx, p->l3, sizeof(*ip));

	if (!ip)
		return 0;
	ip->hop_limit--;
	__builtin_memcpy(&ip->saddr, &to->source, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, &to->destination, sizeof(ip->daddr));
	return 1;
}

static __always_inline int rewrite_ip(ctx_t *ctx, const struct packet *p, const struct rewrite *to)
{
	return p->family == 4 ? rewrite_v4(ctx, p, to) : rewrite_v6(ctx, p, to);
}

/* Ports of an SCTP packet; a checksum of 0 is unfinished, or RFC 9653's, and stays. */
static __always_inline int rewrite_sctp_ports(ctx_t *ctx, const struct packet *p, const struct rewrite *to)
{
	struct sctphdr *sctp = AT(ctx, p->l4, sizeof(*sctp));
	__u32 was, now = (__u32)to->sport | (__u32)to->dport << 16;

	if (!sctp)
		return 0;
	was = (__u32)sctp->sport | (__u32)sctp->dport << 16;
	if (was == now)
		return 1;
	if (sctp->checksum)
		sctp->checksum ^= crc_change(p->end - p->l4, was ^ now);
	sctp->sport = to->sport;
	sctp->dport = to->dport;
	return 1;
}

/* Link layer and transmission of a rewritten packet. */
static __always_inline int leave(ctx_t *ctx, const struct packet *p, const struct way_out *out)
{
	struct ethhdr *eth;

	if (out->vlan == VLAN_UNRESOLVED)
		return hook_redirect_neighbour(ctx, out->ifindex, &out->gateway);
	if (hook_vlan(ctx, p->l3, out->vlan))
		return drop(ctx, p, REASON_RESIZE);
	eth = DATA(ctx);
	if ((void *)(eth + 1) > DATA_END(ctx))
		return drop(ctx, p, REASON_IMPOSSIBLE);
	__builtin_memcpy(eth, out->macs, sizeof(out->macs));
	return hook_transmit(ctx, out->ifindex);
}

/* What the first fragment becomes, for those that follow it. */
__noinline int note_fragment(ctx_t *ctx, const struct packet *p, const struct rewrite *to)
{
	struct work *w = this_work();
	struct fragment_value value;

	if (!p || !to || !w)
		return 0;
	w->fragment.id = p->fragment_id;
	w->fragment.protocol = p->protocol;
	load_addresses(ctx, p, &w->fragment.source, &w->fragment.destination);
	value = (struct fragment_value){ .source = to->source,
					 .destination = to->destination,
					 .seen = (__u32)bpf_jiffies64() };
	return !bpf_map_update_elem(&fragments, &w->fragment, &value, BPF_ANY);
}

/* An SCTP packet with nothing but headers to change. */
static __always_inline int send_sctp(ctx_t *ctx, const struct packet *p, const struct rewrite *to,
				     const struct address *via)
{
	struct way_out out;
	int verdict = way_out(ctx, p, &to->source, via, &out);

	if (verdict != GO_ON)
		return verdict;
	if (p->fragment) {
		if (((__u32)to->sport | (__u32)to->dport << 16) != ((__u32)p->sport | (__u32)p->dport << 16))
			return drop(ctx, p, REASON_FRAGMENT_PORTS);
		note_fragment(ctx, p, to);
	}
	if (!rewrite_ip(ctx, p, to) || !rewrite_sctp_ports(ctx, p, to))
		return drop(ctx, p, REASON_IMPOSSIBLE);
	return leave(ctx, p, &out);
}
