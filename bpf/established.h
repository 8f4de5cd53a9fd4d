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
		if (chunk->type == CHUNK_DATA || chunk->type == CHUNK_I_DATA)
			break;
		length = bpf_ntohs(chunk->length);
		if (length < sizeof(*chunk) || at + length > p->end)
			return p->fragment ? effects : effects | EFFECT_MALFORMED;
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

static __always_inline void count_hit(struct entry *entry, __u32 length, __u32 path)
{
	__u32 now = (__u32)bpf_jiffies64();

	__sync_fetch_and_add(&entry->packets[path & 1], 1);
	__sync_fetch_and_add(&entry->bytes, length);
	if (entry->last != now)
		entry->last = now;
}

/* Either direction, from the conversation's whole lists. */
__noinline int conversation_path(struct entry *entry, struct work *w)
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
	return GO_ON;
}

/* A wide entry counts all packets as of its first path; by path, the conversation does. */
static __always_inline void count_path(const struct entry *entry, __u32 vip)
{
	struct conversation *c = conversation_of(entry->conversation);

	if (c && entry->flags & ENTRY_WIDE)
		c->path_packets[entry->flags & ENTRY_REVERSE][vip & (MAX_ADDRESSES - 1)]++;
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
	struct conversation *c;
	struct entry *entry;

	if (!w)
		return NULL;
	w->rare = (struct overflow_key){ .key = ports_key(w->packet.sport, w->packet.dport, w->packet.tag) };
	entry = bpf_map_lookup_elem(&overflow, &w->rare);
	if (entry)
		return entry;
	w->rare.client = w->ends.destination;
	entry = bpf_map_lookup_elem(&overflow, &w->rare);
	c = entry ? conversation_of(entry->conversation) : NULL;
	return c ? placed(c, w->rare.key, NO_SLOT) : entry; /* one entry counts for all of the client's addresses */
}

/* In dnat two clients may have chosen the same tag and ports: the second one's answers are in the overflow map. */
static __always_inline int is_shared(const struct entry *entry)
{
	return entry->flags & ENTRY_REVERSE && entry->flags >> ENTRY_MODE_SHIFT == MODE_DNAT;
}

/* A hit, with every rule that there is. */
__noinline int established(ctx_t *ctx, const struct packet *p, struct entry *entry)
{
	struct work *w;
	__u32 effects = 0, dsr;
	int reason, verdict;

	if (!p || !entry)
		return VERDICT_DROP;
	w = take_work(ctx, p);
	if (!w)
		return VERDICT_DROP;
	reason = entry->flags & ENTRY_FLOW ? REASON_OOTB : conversation_path(entry, w);
	if ((reason == REASON_FOREIGN_DESTINATION || reason == REASON_FOREIGN_SOURCE) && is_shared(entry)) {
		struct entry *other = overflowed();

		if (other) {
			entry = other;
			reason = conversation_path(entry, w);
		}
	}
	if (reason == GO_ON)
		reason = READ_ONCE(entry->key) == ports_key(p->sport, p->dport, p->tag) ? judge(ctx, p, &effects) :
											  REASON_OOTB;
	if (reason)
		return drop(ctx, p, reason);
	if (effects)
		apply_effects(entry->conversation, effects, p->chunk & 0xff);
	dsr = entry->flags >> ENTRY_MODE_SHIFT == MODE_DSR;
	if (!dsr) {
		w->ends.source = w->path.from;
		w->ends.destination = w->path.to;
		w->ends.sport = entry->sport;
		w->ends.dport = entry->dport;
	}
	verdict = send_work(ctx, w);
	if (verdict != VERDICT_PASS) { /* what XDP passes the tc program counts */
		count_hit(entry, w->packet.end - w->packet.l3, entry->flags & ENTRY_WIDE ? 0 : w->path.vip);
		count_path(entry, w->path.vip);
	}
	return verdict;
}
