/* SPDX-License-Identifier: GPL-2.0-only */
/* The hot path of IPv4 associations with one or two addresses a side: all that it needs is in the entry. */
#pragma once
#include "fast.h"

struct fast_v4 {
	__be32 source; /* after translation */
	__be32 destination;
	__u32 path;
};

/* Client to endpoint while the path's own endpoint address is live. */
static __always_inline int forward_v4(const struct entry *entry, __be32 source, __be32 destination, struct fast_v4 *to)
{
	__u32 mode = entry->flags >> ENTRY_MODE_SHIFT, single = entry->flags & ENTRY_SINGLE;
	__u32 client = source != entry->client[0], vip = destination != entry->vip[0], server, k;
	struct endpoint *endpoint = endpoint_of(entry->endpoint);

	if ((client && source != entry->client[1]) || (vip && destination != entry->vip[1]) || !endpoint)
		return 0;
	k = single ? 0 : vip;
	server = entry->server[1] == entry->server[0] ? 0 : k;
	if (!single && !(endpoint->live >> server & 1))
		return 0;
	to->source = k ? entry->vip[1] : entry->vip[0];
	if (mode == MODE_DNAT) {
		k = client;
		to->source = source;
	} else if (mode == MODE_ONEARM) {
		to->source = endpoint->source.at[server & 1].word[3];
		k = to->source != endpoint->source.at[0].word[3];
	}
	to->destination = server ? entry->server[1] : entry->server[0];
	to->path = vip;
	return (entry->pairs >> 2 * k & 3) == (client | vip << 1);
}

/* Endpoint to client, by the pair whose packet last left by the source that this one arrives at. */
static __always_inline int reverse_v4(const struct entry *entry, __be32 source, __be32 destination, struct fast_v4 *to)
{
	__u32 mode = entry->flags >> ENTRY_MODE_SHIFT, k, pair, client;
	const __be32 *ours = mode == MODE_DNAT ? entry->client : entry->vip;
	__be32 first = ours[0], second = ours[1];

	if (mode == MODE_ONEARM) {
		struct endpoint *endpoint = endpoint_of(entry->endpoint);

		if (!endpoint)
			return 0;
		first = endpoint->source.at[0].word[3];
		second = endpoint->source.at[1].word[3];
	}
	k = destination != first;
	if ((source != entry->server[0] && source != entry->server[1]) || (k && destination != second))
		return 0;
	pair = entry->pairs >> 2 * k & 3;
	client = mode == MODE_DNAT ? k : pair & 1;
	to->path = pair >> 1;
	to->source = to->path ? entry->vip[1] : entry->vip[0];
	to->destination = client ? entry->client[1] : entry->client[0];
	return 1;
}

#define FAST_V4 (sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct sctphdr))

static __always_inline int fast_v4(ctx_t *ctx)
{
	struct ethhdr *eth = DATA(ctx);
	struct iphdr *ip = (void *)(eth + 1);
	struct sctphdr *sctp = (void *)(ip + 1);
	struct chunk *chunk = (void *)(sctp + 1);
	struct fast_out out;
	struct fast_v4 to;
	struct address via;
	struct entry *entry;
	__u32 length, end;
	__u64 key;

	if ((void *)(chunk + 1) > DATA_END(ctx) || eth->h_proto != bpf_htons(ETH_P_IP) || *(__u8 *)ip != 0x45 ||
	    ip->protocol != IPPROTO_SCTP_ || ip->frag_off & bpf_htons(0x3fff) || ip->ttl <= 1 || hook_tagged(ctx))
		return GO_ON;
	length = bpf_ntohs(ip->tot_len);
	end = sizeof(*eth) + length;
	if (length & 3 || end < FAST_V4 + sizeof(*chunk) || end > hook_length(ctx) || end > MAX_PACKET ||
	    !is_plain(ctx, chunk, FAST_V4, end))
		return GO_ON;
	key = ports_key(sctp->sport, sctp->dport, sctp->tag);
	entry = fast_entry(sctp, 0);
	if (!entry || !(entry->flags & ENTRY_REVERSE ? reverse_v4(entry, ip->saddr, ip->daddr, &to) :
						       forward_v4(entry, ip->saddr, ip->daddr, &to)))
		return GO_ON;
	via = mapped(to.destination);
	if (!fast_nexthop(&via, length, &out) || READ_ONCE(entry->key) != key)
		return GO_ON;
	count_hit(entry, length, to.path);
	rewrite_v4(ip, to.source, to.destination);
	rewrite_ports(sctp, length - sizeof(*ip), ports_word(entry->sport, entry->dport));
	return fast_leave(ctx, eth, &out);
}
