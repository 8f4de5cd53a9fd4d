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

static __always_inline int rewrite_v4(ctx_t *ctx, const struct packet *p, __be32 source, __be32 destination)
{
	struct iphdr *ip = AT(ctx, p->l3, sizeof(*ip));
	__u16 *lifetime;
	__u64 difference;

	if (!ip)
		return 0;
	lifetime = (__u16 *)&ip->ttl;
	difference = (__u64)(__u32)~ip->saddr + source + (__u32)~ip->daddr + destination + (__u16) ~*lifetime;
	ip->ttl--;
	difference += *lifetime;
	ip->saddr = source;
	ip->daddr = destination;
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
	return p->family == 4 ? rewrite_v4(ctx, p, to->source.word[3], to->destination.word[3]) :
				rewrite_v6(ctx, p, to);
}

/* Ports of an SCTP packet; a checksum of 0 is unfinished, or RFC 9653's, and stays. */
static __always_inline int rewrite_sctp_ports(ctx_t *ctx, const struct packet *p, __be16 sport, __be16 dport)
{
	struct sctphdr *sctp = AT(ctx, p->l4, sizeof(*sctp));
	__u32 was, now = ports_word(sport, dport);

	if (!sctp)
		return 0;
	was = ports_word(sctp->sport, sctp->dport);
	if (was == now)
		return 1;
	if (sctp->checksum)
		sctp->checksum ^= crc_change(p->end - p->l4, was ^ now);
	sctp->sport = sport;
	sctp->dport = dport;
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
	if (!rewrite_ip(ctx, p, &w->ends) || !rewrite_sctp_ports(ctx, p, w->ends.sport, w->ends.dport))
		return drop(ctx, p, REASON_IMPOSSIBLE);
	return leave(ctx, p, &w->out);
}

__noinline int resolve_v4(ctx_t *ctx, __be32 from, __be32 to, struct way_out *out)
{
	struct address source = mapped(from), destination = mapped(to);

	return nexthop_resolve(ctx, &source, &destination, out);
}

__noinline int note_fragment_v4(ctx_t *ctx, const struct packet *p, __be32 source, __be32 destination)
{
	struct rewrite to = { .source = mapped(source), .destination = mapped(destination) };

	return note_fragment(ctx, p, &to);
}

/* The same for the hot path: IPv4 addresses stay in registers, and the stack stays small. */
static __always_inline int send_narrow(ctx_t *ctx, const struct packet *p, const struct narrow *to)
{
	struct address via = mapped(to->destination);
	struct nexthop *slot = nexthop_slot(&via);
	struct way_out out;
	int verdict, route = ROUTE_FOUND;

	if (!slot || !nexthop_cached(slot, &via, &out))
		route = resolve_v4(ctx, to->source, to->destination, &out);
	verdict = may_leave(ctx, p, route, &out);
	if (verdict != GO_ON)
		return verdict;
	if (p->fragment && !ports_stay(p, to->sport, to->dport))
		return drop(ctx, p, REASON_FRAGMENT_PORTS);
	if (p->fragment)
		note_fragment_v4(ctx, p, to->source, to->destination);
	if (!rewrite_v4(ctx, p, to->source, to->destination) || !rewrite_sctp_ports(ctx, p, to->sport, to->dport))
		return drop(ctx, p, REASON_IMPOSSIBLE);
	return leave(ctx, p, &out);
}
