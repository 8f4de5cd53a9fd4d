/* SPDX-License-Identifier: GPL-2.0-only */
/* Later fragments carry no ports: they follow their first fragment (RFC 791 §3.2, RFC 8200 §4.5). One that comes before
 * it is dropped; whoever sent it sends again. */
#pragma once
#include "out.h"

#define FRAGMENT_SECONDS 30 /* Linux's net.ipv4.ipfrag_time: nobody reassembles later */

__noinline int follow_first(ctx_t *ctx, const struct packet *p)
{
	struct work *w = p ? take_work(ctx, p) : NULL; /* a map's key may not be an argument before kernel 6.2 */
	struct fragment_value *first;
	int verdict;

	if (!w)
		return GO_ON;
	w->fragment = (struct fragment_key){ .source = w->ends.source,
					     .destination = w->ends.destination,
					     .id = w->packet.fragment_id,
					     .protocol = w->packet.protocol };
	first = bpf_map_lookup_elem(&fragments, &w->fragment);
	if (!first || (__u32)bpf_jiffies64() - first->seen > FRAGMENT_SECONDS * hz)
		return GO_ON;
	w->ends.source = first->source;
	w->ends.destination = first->destination;
	verdict = way_out(ctx, &w->packet, &w->ends.source, &w->ends.destination, &w->out);
	if (verdict != GO_ON)
		return verdict;
	if (!rewrite_ip(ctx, &w->packet, &w->ends))
		return drop(ctx, &w->packet, REASON_IMPOSSIBLE);
	return leave(ctx, &w->packet, &w->out);
}
