/* SPDX-License-Identifier: GPL-2.0-only */
/* Which malformed packets are ours to drop. */
#pragma once
#include "out.h"
#include "service.h"

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
