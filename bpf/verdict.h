/* SPDX-License-Identifier: GPL-2.0-only */
/* Ends of a packet that goes no further. */
#pragma once
#include "access.h"
#include "count.h"

/* Reports a packet's fate where somebody listens, or a refusal within its rate. */
__noinline int report(ctx_t *ctx, const struct packet *p, __u32 type, __u32 reason, __u32 service)
{
	struct event *event;

	if (!p || (!(type == EVENT_REFUSAL && allowed(LIMITED_EVENTS, EVENTS_PER_SECOND)) && !tracing()))
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return 0;
	*event = (struct event){ .time = bpf_jiffies64(),
				 .type = type,
				 .reason = reason,
				 .protocol = p->protocol,
				 .service = service,
				 .endpoint = NO_SLOT,
				 .conversation = NO_SLOT,
				 .client_tag = p->tag,
				 .sport = p->sport,
				 .dport = p->dport };
	load_addresses(ctx, p, &event->source, &event->destination);
	bpf_ringbuf_submit(event, 0);
	return 1;
}

__noinline int drop(ctx_t *ctx, const struct packet *p, enum reason reason)
{
	if (!p)
		return VERDICT_DROP;
	count(reason, p->end - p->l3);
	if (tracing())
		report(ctx, p, EVENT_TRACE, reason, NO_SLOT);
	return VERDICT_DROP;
}

/* As drop, for what somebody will want to hear of: a client that could not be served. */
__noinline int refuse(ctx_t *ctx, const struct packet *p, enum reason reason, __u32 service)
{
	if (!p)
		return VERDICT_DROP;
	count(reason, p->end - p->l3);
	report(ctx, p, EVENT_REFUSAL, reason, service);
	return VERDICT_DROP;
}
