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

/* May the packet go this way, and does it fit? GO_ON, or a verdict. */
static __always_inline int may_leave(ctx_t *ctx, const struct packet *p, int route, const struct way_out *out)
{
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

static __always_inline int way_out(ctx_t *ctx, const struct packet *p, const struct address *from,
				   const struct address *via, struct way_out *out)
{
	return may_leave(ctx, p, nexthop_find(ctx, from, via, out), out);
}

static __always_inline void rewrite_v4(struct iphdr *ip, __be32 source, __be32 destination)
{
	__u16 *lifetime = (__u16 *)&ip->ttl;
	__u64 difference = (__u64)(__u32)~ip->saddr + source + (__u32)~ip->daddr + destination + (__u16) ~*lifetime;

	ip->ttl--;
	difference += *lifetime;
	ip->saddr = source;
	ip->daddr = destination;
	ip->check = csum_update(ip->check, difference);
}

static __always_inline void rewrite_v6(struct ipv6hdr *ip, const struct address *source,
				       const struct address *destination)
{
	ip->hop_limit--;
	__builtin_memcpy(&ip->saddr, source, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, destination, sizeof(ip->daddr));
}

static __always_inline int rewrite_ip(ctx_t *ctx, const struct packet *p, const struct rewrite *to)
{
	if (p->family == 4) {
		struct iphdr *ip = AT(ctx, p->l3, sizeof(*ip));

		if (ip)
			rewrite_v4(ip, to->source.word[3], to->destination.word[3]);
		return ip != NULL;
	} else {
		struct ipv6hdr *ip = AT(ctx, p->l3, sizeof(*ip));

		if (ip)
			rewrite_v6(ip, &to->source, &to->destination);
		return ip != NULL;
	}
}

/* Ports of an SCTP packet of this length; a checksum of 0 is unfinished, or RFC 9653's, and stays. */
static __always_inline void rewrite_ports(struct sctphdr *sctp, __u32 length, __u32 ports)
{
	__u32 *word = (__u32 *)sctp;

	if (*word == ports)
		return;
	if (sctp->checksum)
		sctp->checksum ^= crc_change(length, *word ^ ports);
	*word = ports;
}

static __always_inline int rewrite_sctp(ctx_t *ctx, const struct packet *p, const struct rewrite *to)
{
	struct sctphdr *sctp = AT(ctx, p->l4, sizeof(*sctp));

	if (sctp)
		rewrite_ports(sctp, p->end - p->l4, ports_word(to->sport, to->dport));
	return sctp != NULL;
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

/* An SCTP fragment goes on if its ports stay: its checksum covers bytes that are not here. */
static __always_inline int ports_stay(const struct packet *p, __be16 sport, __be16 dport)
{
	return ports_word(sport, dport) == ports_word(p->sport, p->dport);
}

/* An SCTP packet of the slow path with nothing but headers to change: to w->ends, by the next hop of w->path. */
__noinline int send_work(ctx_t *ctx, struct work *w)
{
	const struct packet *p;
	int verdict;

	if (!w)
		return VERDICT_DROP;
	p = &w->packet;
	verdict = way_out(ctx, p, &w->ends.source, &w->path.to, &w->out);
	if (verdict != GO_ON)
		return verdict;
	if (p->fragment && !ports_stay(p, w->ends.sport, w->ends.dport))
		return drop(ctx, p, REASON_FRAGMENT_PORTS);
	if (p->fragment)
		note_fragment(ctx, p, &w->ends);
	if (!rewrite_ip(ctx, p, &w->ends) || !rewrite_sctp(ctx, p, &w->ends))
		return drop(ctx, p, REASON_IMPOSSIBLE);
	return leave(ctx, p, &w->out);
}
