/* SPDX-License-Identifier: GPL-2.0-only */
/* The hot path of IPv6: addresses come from the conversation and are compared in place. */
#pragma once
#include "fast.h"

struct fast_v6 {
	const struct address *source; /* after translation */
	const struct address *destination;
	__u32 path;
};

/* Client to endpoint while the path's own endpoint address is live. */
static __always_inline int forward_v6(const struct conversation *c, const struct endpoint *endpoint,
				      const struct address *source, const struct address *destination,
				      struct fast_v6 *to)
{
	__u32 client, vip, server, k;

	if (!index_of(&c->client, c->clients, source, &client) || !index_of(&c->vip, c->vips, destination, &vip))
		return 0;
	server = c->single ? 0 : vip;
	if (server >= endpoint->addresses || (!c->single && !(endpoint->live >> server & 1)))
		return 0;
	k = client;
	to->source = source;
	if (c->mode == MODE_ONEARM) {
		to->source = nth(&endpoint->source, server);
		if (!index_of(&endpoint->source, endpoint->addresses, to->source, &k))
			return 0;
	} else if (c->mode == MODE_FULLNAT) {
		k = c->single ? 0 : vip;
		to->source = nth(&c->vip, k);
	}
	to->destination = nth(&endpoint->address, server);
	to->path = vip;
	return c->pairs.at[k & (MAX_ADDRESSES - 1)] == PAIR(client, vip);
}

/* Which of our sources a packet from the endpoint arrives at. */
static __always_inline int source_v6(const struct conversation *c, const struct endpoint *endpoint,
				     const struct address *destination, __u32 *k)
{
	if (c->mode == MODE_DNAT)
		return index_of(&c->client, c->clients, destination, k);
	if (c->mode == MODE_ONEARM)
		return index_of(&endpoint->source, endpoint->addresses, destination, k);
	return index_of(&c->vip, c->vips, destination, k);
}

/* Endpoint to client, by the pair whose packet last left by the source that this one arrives at. */
static __always_inline int reverse_v6(const struct conversation *c, const struct endpoint *endpoint,
				      const struct address *source, const struct address *destination,
				      struct fast_v6 *to)
{
	__u32 k, pair, server;

	if (!index_of(&endpoint->address, endpoint->addresses, source, &server) ||
	    !source_v6(c, endpoint, destination, &k))
		return 0;
	pair = c->pairs.at[k];
	to->path = PAIR_VIP(pair);
	to->source = nth(&c->vip, to->path);
	to->destination = nth(&c->client, c->mode == MODE_DNAT ? k : PAIR_CLIENT(pair));
	return 1;
}

#define FAST_V6 (sizeof(struct ethhdr) + sizeof(struct ipv6hdr) + sizeof(struct sctphdr))

static __always_inline int fast_v6(ctx_t *ctx)
{
	struct ethhdr *eth = DATA(ctx);
	struct ipv6hdr *ip = (void *)(eth + 1);
	struct sctphdr *sctp = (void *)(ip + 1);
	struct chunk *chunk = (void *)(sctp + 1);
	struct address *source, *destination;
	struct conversation *c;
	struct endpoint *endpoint;
	struct fast_out out;
	struct fast_v6 to;
	struct entry *entry;
	__u32 length, end, reverse;
	__u64 key;

	if ((void *)(chunk + 1) > DATA_END(ctx) || eth->h_proto != bpf_htons(ETH_P_IPV6) || ip->version != 6 ||
	    ip->nexthdr != IPPROTO_SCTP_ || ip->hop_limit <= 1 || hook_tagged(ctx))
		return GO_ON;
	length = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	end = sizeof(*eth) + length;
	if (length & 3 || end < FAST_V6 + sizeof(*chunk) || end > hook_length(ctx) || end > MAX_PACKET ||
	    !is_plain(ctx, chunk, FAST_V6, end))
		return GO_ON;
	key = ports_key(sctp->sport, sctp->dport, sctp->tag);
	entry = fast_entry(sctp, ENTRY_WIDE);
	if (!entry)
		return GO_ON;
	c = conversation_of(entry->conversation);
	endpoint = endpoint_of(entry->endpoint);
	if (!c || !endpoint)
		return GO_ON;
	source = (struct address *)&ip->saddr;
	destination = (struct address *)&ip->daddr;
	reverse = entry->flags & ENTRY_REVERSE;
	if (!(reverse ? reverse_v6(c, endpoint, source, destination, &to) :
			forward_v6(c, endpoint, source, destination, &to)))
		return GO_ON;
	if (is_v4(to.source) || is_v4(to.destination) || !fast_nexthop(to.destination, length, &out) ||
	    READ_ONCE(entry->key) != key)
		return GO_ON;
	count_hit(entry, length, 0);
	c->path_packets[reverse & 1][to.path & (MAX_ADDRESSES - 1)]++;
	rewrite_v6(ip, to.source, to.destination);
	rewrite_ports(sctp, length - sizeof(*ip), ports_word(entry->sport, entry->dport));
	return fast_leave(ctx, eth, &out);
}
