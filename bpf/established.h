/* SPDX-License-Identifier: GPL-2.0-only */
/* A packet of an association that we know: the hot path. */
#pragma once
#include "handshake.h"

enum effect { EFFECT_SHUTDOWN = 1, EFFECT_END = 2, EFFECT_ASCONF = 4, EFFECT_MALFORMED = 8 };

/* What the control chunks before the first DATA chunk (RFC 9260 §6.10) do to the association. */
__noinline __u32 chunk_effects(ctx_t *ctx, const struct packet *p)
{
	__u32 at, effects = 0;

	if (!p)
		return EFFECT_MALFORMED;
	at = p->l4 + sizeof(struct sctphdr);

	for (__u32 i = 0; i < MAX_CHUNKS; i++) {
		struct chunk *chunk = AT(ctx, at, sizeof(*chunk));
		__u32 length;

		if (at + sizeof(*chunk) > p->end || !chunk)
			break;
		length = bpf_ntohs(chunk->length);
		if (length < sizeof(*chunk) || at + length > p->end)
			return p->fragment ? effects : effects | EFFECT_MALFORMED;
		if (chunk->type == CHUNK_DATA || chunk->type == CHUNK_I_DATA)
			break;
		if (chunk->type == CHUNK_SHUTDOWN || chunk->type == CHUNK_SHUTDOWN_ACK)
			effects |= EFFECT_SHUTDOWN;
		else if (chunk->type == CHUNK_ABORT || chunk->type == CHUNK_SHUTDOWN_COMPLETE)
			effects |= EFFECT_END;
		else if (chunk->type == CHUNK_ASCONF || chunk->type == CHUNK_ASCONF_ACK)
			effects |= EFFECT_ASCONF;
		at += (length + 3) & ~3;
	}
	return effects;
}

__noinline int apply_effects(__u32 number, __u32 effects, __u32 type)
{
	struct conversation *c = conversation_of(number);
	__u32 to = effects & EFFECT_END ? STATE_ABORTED : STATE_SHUTDOWN, was;

	if (!c)
		return 0;
	was = READ_ONCE(c->state);
	if (was < STATE_ESTABLISHED || was >= to)
		return 0;
	if (__sync_val_compare_and_swap(&c->state, was, to) == was)
		c->closed_by = type;
	return 1;
}

static __always_inline void count_hit(struct entry *entry, const struct packet *p, __u32 path)
{
	__u32 now = (__u32)bpf_jiffies64();

	__sync_fetch_and_add(&entry->packets[path & 1], 1);
	__sync_fetch_and_add(&entry->bytes, p->end - p->l3);
	if (entry->last != now)
		entry->last = now;
}

static __always_inline __u32 live_of(__u32 number)
{
	struct endpoint *endpoint = endpoint_of(number);

	return endpoint ? endpoint->live : 0;
}

/* Our source of path k; onearm keeps it with the endpoint. */
static __always_inline __be32 narrow_source(const struct entry *entry, __u32 mode, __u32 k, __u32 server, __be32 own)
{
	struct endpoint *endpoint;

	if (mode == MODE_FULLNAT)
		return k ? entry->vip[1] : entry->vip[0];
	if (mode != MODE_ONEARM)
		return own;
	endpoint = endpoint_of(entry->endpoint);
	return endpoint ? endpoint->source.at[server & 1].word[3] : 0;
}

/* Client to endpoint on one of two IPv4 paths. */
static __always_inline int narrow_forward(const struct entry *entry, __be32 source, __be32 destination,
					  struct narrow *to, __u32 *path)
{
	__u32 mode = entry->flags >> ENTRY_MODE_SHIFT, single = entry->flags & ENTRY_SINGLE;
	__u32 client = source != entry->client[0], vip = destination != entry->vip[0], first, server, k, live;
	__u32 pair = client | vip << 1;

	if (client && source != entry->client[1])
		return REASON_FOREIGN_SOURCE;
	if (vip && destination != entry->vip[1])
		return REASON_FOREIGN_DESTINATION;
	k = single ? 0 : vip;
	first = entry->server[1] == entry->server[0] ? 0 : k;
	server = first;
	live = live_of(entry->endpoint);
	if (!(live >> server & 1) && !single && entry->server[1] != entry->server[0] && live >> (server ^ 1) & 1)
		server ^= 1;
	if (server != first && entry->vip[1] != entry->vip[0])
		k = server;
	if (mode == MODE_DNAT)
		k = client;
	if (mode == MODE_ONEARM) {
		struct endpoint *endpoint = endpoint_of(entry->endpoint);

		k = server;
		if (k && endpoint && endpoint->source.at[1].word[3] == endpoint->source.at[0].word[3])
			k = 0;
	}
	to->source = narrow_source(entry, mode, k, server, source);
	to->destination = server ? entry->server[1] : entry->server[0];
	*path = vip;
	if ((entry->pairs >> 2 * k & 3) != pair)
		note_pair(entry->conversation, k, PAIR(client, vip));
	return GO_ON;
}

/* Endpoint to client on one of two IPv4 paths. */
static __always_inline int narrow_reverse(const struct entry *entry, __be32 source, __be32 destination,
					  struct narrow *to, __u32 *path)
{
	__u32 mode = entry->flags >> ENTRY_MODE_SHIFT, k, pair, client;

	if (source != entry->server[0] && source != entry->server[1])
		return REASON_FOREIGN_SOURCE;
	if (mode == MODE_DNAT) {
		k = destination != entry->client[0];
		if (k && destination != entry->client[1])
			return REASON_FOREIGN_DESTINATION;
	} else {
		k = destination != narrow_source(entry, mode, 0, 0, 0);
		if (k && destination != narrow_source(entry, mode, 1, 1, 0))
			return REASON_FOREIGN_DESTINATION;
	}
	pair = entry->pairs >> 2 * k & 3;
	client = mode == MODE_DNAT ? k : pair & 1;
	*path = pair >> 1;
	to->source = *path ? entry->vip[1] : entry->vip[0];
	to->destination = client ? entry->client[1] : entry->client[0];
	return GO_ON;
}

/* Either direction where addresses are IPv6 or more than two. */
__noinline int wide_path(struct entry *entry, struct work *w)
{
	struct conversation *c;
	__u32 reverse, k;
	int reason;

	if (!entry || !w)
		return REASON_IMPOSSIBLE;
	c = conversation_of(entry->conversation);
	if (!c)
		return REASON_IMPOSSIBLE;
	reverse = entry->flags & ENTRY_REVERSE;
	w->parties = conversation_parties(c);
	reason = reverse ? reverse_path(&c->vip, &c->client, &c->pairs, w) : forward_path(&c->vip, &c->client, w);
	if (reason != GO_ON)
		return reason;
	k = w->path.source & (MAX_ADDRESSES - 1);
	if (!reverse && c->pairs.at[k] != PAIR(w->path.client, w->path.vip))
		note_pair(entry->conversation, k, PAIR(w->path.client, w->path.vip));
	c->path_packets[reverse & 1][w->path.vip & (MAX_ADDRESSES - 1)]++;
	return GO_ON;
}

/* The packet's chunks allow it to pass: REASON_NONE, and what they do to the association in *effects. */
static __always_inline int judge(ctx_t *ctx, const struct packet *p, __u32 *effects)
{
	__u32 type = p->chunk & 0xff;

	*effects = 0;
	if (type == CHUNK_DATA || type == CHUNK_I_DATA)
		return REASON_NONE;
	*effects = chunk_effects(ctx, p);
	if (*effects & EFFECT_ASCONF)
		return REASON_ASCONF;
	return *effects & EFFECT_MALFORMED ? REASON_SCTP_LENGTH : REASON_NONE;
}

/* An entry that the table had no room for, or whose key another client holds there. */
static __always_inline struct entry *overflowed(void)
{
	struct work *w = this_work(); /* see place() */
	struct entry *entry;

	if (!w)
		return NULL;
	w->rare = (struct overflow_key){ .key = ports_key(w->packet.sport, w->packet.dport, w->packet.tag) };
	entry = bpf_map_lookup_elem(&overflow, &w->rare);
	if (entry)
		return entry;
	w->rare.client = w->ends.destination;
	return bpf_map_lookup_elem(&overflow, &w->rare);
}

/* In dnat two clients may have chosen the same tag and ports: the second one's answers are in the overflow map. */
static __always_inline int is_shared(const struct entry *entry)
{
	return entry->flags & ENTRY_REVERSE && entry->flags >> ENTRY_MODE_SHIFT == MODE_DNAT;
}

/* A hit whose paths are in the conversation, or which leaves its addresses alone (dsr). */
__noinline int established_wide(ctx_t *ctx, const struct packet *p, struct entry *entry)
{
	struct work *w;
	__u32 effects = 0, dsr;
	int reason;

	if (!p || !entry)
		return VERDICT_DROP;
	w = take_work(ctx, p);
	if (!w)
		return VERDICT_DROP;
	reason = entry->flags & ENTRY_FLOW ? REASON_OOTB : wide_path(entry, w);
	if (reason == REASON_FOREIGN_DESTINATION && is_shared(entry)) {
		entry = overflowed();
		reason = entry ? wide_path(entry, w) : reason;
	}
	if (!entry)
		return drop(ctx, p, reason);
	if (reason == GO_ON)
		reason = judge(ctx, p, &effects);
	if (reason)
		return drop(ctx, p, reason);
	count_hit(entry, p, 0);
	if (effects)
		apply_effects(entry->conversation, effects, p->chunk & 0xff);
	dsr = entry->flags >> ENTRY_MODE_SHIFT == MODE_DSR;
	if (!dsr) {
		w->ends.source = w->path.from;
		w->ends.destination = w->path.to;
		w->ends.sport = entry->sport;
		w->ends.dport = entry->dport;
	}
	return send_work(ctx, w);
}

/* A hit on one of two IPv4 paths. */
static __always_inline int established_narrow(ctx_t *ctx, const struct packet *p, struct entry *entry, __u64 key)
{
	struct narrow to = { .sport = entry->sport, .dport = entry->dport };
	struct iphdr *ip = AT(ctx, p->l3, sizeof(*ip));
	__u32 effects = 0, path = 0, number = entry->conversation;
	int reason;

	if (p->family != 4 || !ip)
		return drop(ctx, p, REASON_FOREIGN_SOURCE);
	if (entry->flags & ENTRY_REVERSE)
		reason = narrow_reverse(entry, ip->saddr, ip->daddr, &to, &path);
	else
		reason = narrow_forward(entry, ip->saddr, ip->daddr, &to, &path);
	if (reason == REASON_FOREIGN_DESTINATION && is_shared(entry))
		return established_wide(ctx, p, entry);
	if (reason == GO_ON)
		reason = READ_ONCE(entry->key) == key ? judge(ctx, p, &effects) : REASON_OOTB;
	if (reason)
		return drop(ctx, p, reason);
	count_hit(entry, p, path);
	if (effects)
		apply_effects(number, effects, p->chunk & 0xff);
	return send_narrow(ctx, p, &to);
}

static __always_inline int established(ctx_t *ctx, const struct packet *p, struct entry *entry, __u64 key)
{
	if (entry->flags & (ENTRY_WIDE | ENTRY_FLOW) || entry->flags >> ENTRY_MODE_SHIFT == MODE_DSR)
		return established_wide(ctx, p, entry);
	return established_narrow(ctx, p, entry, key);
}
