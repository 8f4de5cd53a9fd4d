/* SPDX-License-Identifier: GPL-2.0-only */
/* ABORT or SHUTDOWN COMPLETE in answer to a packet, made in place and sent back the way it came (RFC 9260 §8.4). */
#pragma once
#include "out.h"

#define ABORT_BYTES (sizeof(struct sctphdr) + sizeof(struct chunk))

static __always_inline int swap_ends(ctx_t *ctx, const struct packet *p)
{
	if (p->family == 4) {
		struct iphdr *ip = AT(ctx, p->l3, sizeof(*ip));
		__be32 source;

		if (!ip)
			return 0;
		source = ip->saddr;
		ip->saddr = ip->daddr;
		ip->daddr = source;
		ip->tot_len = bpf_htons(p->l4 - p->l3 + ABORT_BYTES);
		ip->frag_off = 0;
		ip->ttl = 64;
		ip->check = 0;
		ip->check = (__sum16)~sum_words(ctx, p->l3, p->l4 - p->l3);
	} else {
		struct ipv6hdr *ip = AT(ctx, p->l3, sizeof(*ip));
		struct in6_addr source;

		if (!ip)
			return 0;
		source = ip->saddr;
		ip->saddr = ip->daddr;
		ip->daddr = source;
		ip->payload_len = bpf_htons(p->l4 - p->l3 - sizeof(*ip) + ABORT_BYTES);
		ip->hop_limit = 64;
	}
	return 1;
}

/* type_flags: of the one chunk that is all the answer. */
__noinline int chunk_reply(ctx_t *ctx, const struct packet *p, __u32 tag, __u32 type_flags)
{
	struct ethhdr *eth = DATA(ctx);
	struct sctphdr *sctp;
	__u32 sum = 0xffffffff, *words;

	if (!p || (void *)(eth + 1) > DATA_END(ctx))
		return VERDICT_DROP;
	swap_macs(eth);
	if (hook_set_length(ctx, p->l4 + ABORT_BYTES) || !swap_ends(ctx, p))
		return VERDICT_DROP;
	sctp = AT(ctx, p->l4, ABORT_BYTES);
	if (!sctp)
		return VERDICT_DROP;
	sctp->sport = p->dport;
	sctp->dport = p->sport;
	sctp->tag = tag;
	sctp->checksum = 0;
	words = (void *)sctp;
	words[3] = type_flags | (__u32)bpf_htons(sizeof(struct chunk)) << 16;
	for (__u32 i = 0; i < 4; i++) {
		words = AT(ctx, p->l4 + i * 4, 4);
		if (!words)
			return VERDICT_DROP;
		sum = crc_append(sum, *words);
	}
	sctp = AT(ctx, p->l4, sizeof(*sctp));
	if (!sctp)
		return VERDICT_DROP;
	sctp->checksum = ~sum;
	return hook_reflect(ctx);
}

static __always_inline int abort_reply(ctx_t *ctx, const struct packet *p, __u32 tag, __u32 flags)
{
	return chunk_reply(ctx, p, tag, CHUNK_ABORT | flags << 8);
}
