/* SPDX-License-Identifier: GPL-2.0-only */
/* parse → conversation → service → pick → create → rewrite → next hop → out, for every hook. */
#pragma once
#include "parse.h"
#include "icmp.h"

/* Is this packet for a service of ours at all? Only then is a malformed one ours to drop. */
__noinline int ours(ctx_t *ctx, const struct packet *p)
{
	struct address source = {}, destination = {};
	struct dialled to = {};

	if (!p)
		return 0;
	load_addresses(ctx, p, &source, &destination);
	return dial(&destination, (__u32)p->dport | (__u32)p->protocol << 16, &to) || to.ours;
}

__noinline int malformed(ctx_t *ctx, const struct packet *p, enum reason reason)
{
	return p && ours(ctx, p) ? drop(ctx, p, reason) : VERDICT_PASS;
}

static __always_inline int balance_sctp(ctx_t *ctx, struct packet *p)
{
	__u32 size = p->end - p->l4;

	if (p->fragment == FRAGMENT_LATER)
		return malformed(ctx, p, REASON_FRAGMENT);
	if (parse_sctp(ctx, p) != GO_ON || p->end < p->l4 + sizeof(struct sctphdr) + sizeof(struct chunk))
		return malformed(ctx, p, REASON_SCTP_LENGTH);
	if ((size & 3 && !p->fragment) || p->end > MAX_PACKET)
		return malformed(ctx, p, REASON_SCTP_LENGTH);
	if (!p->sport || !p->dport)
		return malformed(ctx, p, REASON_ZERO_PORT);
	return sctp(ctx, p);
}

static __always_inline int balance(ctx_t *ctx)
{
	struct packet p = {};
	__be16 type = parse_ethernet(ctx, &p);
	int verdict;

	if (type == bpf_htons(ETH_P_IP))
		verdict = parse_v4(ctx, &p);
	else if (type == bpf_htons(ETH_P_IPV6))
		verdict = parse_v6(ctx, &p);
	else
		return VERDICT_PASS;
	if (verdict != GO_ON)
		return verdict;
	if (p.protocol == (p.family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6_))
		return balance_icmp(ctx, &p);
	if (p.protocol != IPPROTO_SCTP_)
		return VERDICT_PASS;
	if (p.end > hook_length(ctx))
		return malformed(ctx, &p, REASON_IP_LENGTH);
	return balance_sctp(ctx, &p);
}
