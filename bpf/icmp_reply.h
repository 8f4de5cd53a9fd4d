/* SPDX-License-Identifier: GPL-2.0-only */
/* Errors that we answer ourselves: time exceeded and packet too big, made in place around the packet as its sender
 * sent it (RFC 792, RFC 1191, RFC 4443), and sent back the way it came. */
#pragma once
#include "csum.h"
#include "verdict.h"

/* Types, RFC 792 and RFC 4443. */
#define ICMP_UNREACHABLE 3
#define ICMP_FRAGMENTATION_NEEDED 4
#define ICMP_EXCEEDED 11
#define ICMP6_UNREACHABLE 1
#define ICMP6_TOO_BIG 2
#define ICMP6_EXCEEDED 3
#define ICMP6_PROBLEM 4

struct icmp_header {
	__u8 type;
	__u8 code;
	__sum16 checksum;
	__be32 word; /* the MTU: whole in ICMPv6, in the low half in ICMP (RFC 1191) */
};

#define QUOTE_V4                                                                                                       \
	48 /* RFC 792 asks for 8 bytes behind the header; SCTP's tag and first chunk help (RFC 1812 §4.3.2.3) */
#define QUOTE_V6 88

static __always_inline __u16 sum_words(ctx_t *ctx, __u32 at, __u32 bytes)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < 64; i++) {
		__u16 *word;

		if (i * 2 >= bytes)
			break;
		word = AT(ctx, at + i * 2, 2);
		if (!word)
			break;
		sum += *word;
	}
	return fold(sum);
}

static __always_inline void swap_macs(struct ethhdr *eth)
{
	__u8 mac[6];

	__builtin_memcpy(mac, eth->h_dest, 6);
	__builtin_memcpy(eth->h_dest, eth->h_source, 6);
	__builtin_memcpy(eth->h_source, mac, 6);
}

/* Cuts the quote, makes room before it and moves the Ethernet header in front. */
static __always_inline struct ethhdr *make_room(ctx_t *ctx, const struct packet *p, __u32 quote, __u32 room)
{
	struct ethhdr *eth = DATA(ctx), kept;

	if (p->l3 != sizeof(*eth) || (void *)(eth + 1) > DATA_END(ctx))
		return NULL; /* tagged frames: the error is counted, not sent */
	kept = *eth;
	if (hook_set_length(ctx, p->l3 + quote) || hook_grow_head(ctx, room))
		return NULL;
	eth = DATA(ctx);
	if ((void *)(eth + 1) > DATA_END(ctx))
		return NULL;
	*eth = kept;
	swap_macs(eth);
	return eth;
}

__noinline int icmp_v4(ctx_t *ctx, const struct packet *p, __u32 type_code, __u32 mtu)
{
	struct icmp_header *icmp;
	struct iphdr *ip, *quoted;
	__u32 quote;

	if (!p)
		return 0;
	quote = p->end - p->l3 < QUOTE_V4 ? (p->end - p->l3) & ~1 : QUOTE_V4; /* sums are of whole words */
	ip = AT(ctx, p->l3, sizeof(*ip));
	if (!ip || !make_room(ctx, p, quote, sizeof(*ip) + sizeof(*icmp)))
		return 0;
	ip = AT(ctx, p->l3, sizeof(*ip) * 2 + sizeof(*icmp));
	if (!ip)
		return 0;
	icmp = (void *)(ip + 1);
	quoted = (void *)(icmp + 1);
	*ip = (struct iphdr){ .version = 4,
			      .ihl = 5,
			      .tot_len = bpf_htons(sizeof(*ip) + sizeof(*icmp) + quote),
			      .ttl = 64,
			      .protocol = IPPROTO_ICMP,
			      .saddr = quoted->daddr,
			      .daddr = quoted->saddr };
	*icmp = (struct icmp_header){ .type = type_code >> 8, .code = (__u8)type_code, .word = bpf_htonl(mtu) };
	ip->check = (__sum16)~sum_words(ctx, p->l3, sizeof(*ip));
	icmp = AT(ctx, p->l3 + sizeof(*ip), sizeof(*icmp));
	if (icmp)
		icmp->checksum = (__sum16)~sum_words(ctx, p->l3 + sizeof(*ip), sizeof(*icmp) + quote);
	return 1;
}

__noinline int icmp_v6(ctx_t *ctx, const struct packet *p, __u32 type_code, __u32 mtu)
{
	struct ipv6hdr *ip, *quoted;
	struct icmp_header *icmp;
	__u32 quote;
	__u64 sum;

	if (!p)
		return 0;
	quote = p->end - p->l3 < QUOTE_V6 ? (p->end - p->l3) & ~1 : QUOTE_V6;
	ip = AT(ctx, p->l3, sizeof(*ip));
	if (!ip || !make_room(ctx, p, quote, sizeof(*ip) + sizeof(*icmp)))
		return 0;
	ip = AT(ctx, p->l3, sizeof(*ip) * 2 + sizeof(*icmp));
	if (!ip)
		return 0;
	icmp = (void *)(ip + 1);
	quoted = (void *)(icmp + 1);
	*ip = (struct ipv6hdr){ .version = 6,
				.payload_len = bpf_htons(sizeof(*icmp) + quote),
				.nexthdr = IPPROTO_ICMPV6_,
				.hop_limit = 64,
				.saddr = quoted->daddr,
				.daddr = quoted->saddr };
	*icmp = (struct icmp_header){ .type = type_code >> 8, .code = (__u8)type_code, .word = bpf_htonl(mtu) };
	sum = (__u64)sum_words(ctx, p->l3 + 8, 32) + bpf_htons(sizeof(*icmp) + quote) + bpf_htons(IPPROTO_ICMPV6_) +
	      sum_words(ctx, p->l3 + sizeof(*ip), sizeof(*icmp) + quote);
	icmp = AT(ctx, p->l3 + sizeof(*ip), sizeof(*icmp));
	if (icmp)
		icmp->checksum = (__sum16)~fold(sum);
	return 1;
}

__noinline int icmp_reply(ctx_t *ctx, const struct packet *p, enum reason reason, __u32 type_code, __u32 mtu)
{
	if (!p)
		return VERDICT_DROP;
	count(reason, p->end - p->l3);
	if (p->protocol == IPPROTO_ICMP ||
	    p->protocol == IPPROTO_ICMPV6_) /* an error about an error, RFC 1122 §3.2.2 */
		return VERDICT_DROP;
	if (!allowed(LIMITED_ICMP, ICMP_PER_SECOND)) {
		count(REASON_ICMP_LIMIT, 0);
		return VERDICT_DROP;
	}
	if (p->family == 4 ? !icmp_v4(ctx, p, type_code, mtu) : !icmp_v6(ctx, p, type_code, mtu))
		return VERDICT_DROP;
	return hook_reflect(ctx);
}

static __always_inline int icmp_time_exceeded(ctx_t *ctx, const struct packet *p)
{
	return icmp_reply(ctx, p, REASON_TTL, p->family == 4 ? ICMP_EXCEEDED << 8 : ICMP6_EXCEEDED << 8, 0);
}

static __always_inline int icmp_too_big(ctx_t *ctx, const struct packet *p, __u32 mtu)
{
	return icmp_reply(ctx, p, REASON_TOO_BIG,
			  p->family == 4 ? ICMP_UNREACHABLE << 8 | ICMP_FRAGMENTATION_NEEDED : ICMP6_TOO_BIG << 8, mtu);
}
