/* SPDX-License-Identifier: GPL-2.0-only */
/* parse → conversation → service → pick → create → rewrite → next hop → out, for every hook. */
#pragma once
#include "parse.h"
#include "fast_v4.h"
#include "fast_v6.h"
#include "icmp.h"

static __always_inline int balance_sctp(ctx_t *ctx, struct packet *p)
{
	__u32 size = p->end - p->l4;

	if (parse_sctp(ctx, p) != GO_ON || p->end < p->l4 + sizeof(struct sctphdr) + sizeof(struct chunk))
		return malformed(ctx, p, REASON_SCTP_LENGTH);
	if ((size & 3 && !p->fragment) || p->end > MAX_PACKET)
		return malformed(ctx, p, REASON_SCTP_LENGTH);
	if (!p->sport || !p->dport)
		return malformed(ctx, p, REASON_ZERO_PORT);
	return sctp(ctx, p);
}

/* XDP leaves it to the tc program, which may yet see what the first fragment had to wait for. */
__noinline int balance_fragment(ctx_t *ctx, const struct packet *p)
{
	int verdict = follow_first(ctx, p);

	if (verdict != GO_ON)
		return verdict;
	return HOOK_RESOLVES ? malformed(ctx, p, REASON_FRAGMENT) : VERDICT_PASS;
}

static __always_inline int balance_any(ctx_t *ctx)
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
	if (!is_balanced(p.protocol))
		return VERDICT_PASS;
	if (p.end > hook_length(ctx))
		return malformed(ctx, &p, REASON_IP_LENGTH);
	if (p.fragment == FRAGMENT_LATER)
		return balance_fragment(ctx, &p);
	return p.protocol == IPPROTO_SCTP_ ? balance_sctp(ctx, &p) : balance_flow(ctx, &p);
}

static __always_inline int balance(ctx_t *ctx)
{
	int verdict = fast_v4(ctx);

	if (verdict == GO_ON)
		verdict = fast_v6(ctx);
	return verdict == GO_ON ? balance_any(ctx) : verdict;
}
