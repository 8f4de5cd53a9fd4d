/* SPDX-License-Identifier: GPL-2.0-only */
/* From an SCTP packet to its association: by verification tag, then by handshake, then by what it dials. */
#pragma once
#include "established.h"

/* A packet of a handshake that is neither INIT nor INIT ACK. */
__noinline int relay(ctx_t *ctx, struct work *w, __u32 number, __u32 reverse)
{
	struct handshake *h = handshake_of(number);
	struct service *service;
	__u32 effects = 0;
	int reason, verdict;

	if (!h || !w)
		return VERDICT_DROP;
	service = service_of(h->service);
	reason = service ? judge(ctx, &w->packet, &effects) : REASON_IMPOSSIBLE;
	if (reason || !service)
		return drop(ctx, &w->packet, reason);
	reason = handshake_path(w, h, service, reverse);
	if (reason != GO_ON)
		return drop(ctx, &w->packet, reason);
	if (!reverse) {
		h->from = w->path.client;
		h->vip = w->path.vip;
	}
	w->ends.source = w->path.from;
	w->ends.destination = w->path.to;
	w->ends.sport = reverse ? h->service_port : h->our_port;
	w->ends.dport = reverse ? h->client_port : h->server_port;
	handshake_touch(number, h->client_tag, 0);
	verdict = send_work(ctx, w);
	if (effects & EFFECT_END && verdict != VERDICT_DROP && verdict != VERDICT_PASS)
		handshake_free(number);
	return verdict;
}

/* COOKIE ECHO names the candidate that the client took. */
static __always_inline void note_echo(struct handshake *h, __u32 tag)
{
	for (__u32 i = 0; i < MAX_CANDIDATES; i++)
		if (i < h->candidates && h->candidate[i] == tag)
			h->echoed = i + 1;
}

/* From a client in a handshake: its tag is a candidate's. GO_ON: of none. */
static __always_inline int from_candidate(ctx_t *ctx, struct work *w)
{
	struct handshake *h;
	__u64 value;

	if (!w)
		return VERDICT_DROP;
	value = index_find(mix(ports_key(w->packet.sport, w->packet.dport, w->packet.tag)), INDEX_CANDIDATE);
	h = handshake_of(INDEX_NUMBER(value));
	if (!value || !h)
		return GO_ON;
	if (!is_client(h, &w->ends.source))
		return drop(ctx, &w->packet, REASON_FOREIGN_SOURCE);
	if ((w->packet.chunk & 0xff) == CHUNK_COOKIE_ECHO)
		note_echo(h, w->packet.tag);
	return relay(ctx, w, INDEX_NUMBER(value), 0);
}

static __always_inline __u32 reply_handshake(struct work *w)
{
	w->query = (struct handshake_query){
		.tag = w->packet.tag, .sport = w->packet.sport, .dport = w->packet.dport, .reply = 1
	};
	handshake_find(w);
	return w->number;
}

/* COOKIE ACK: the handshake becomes an association, whose entry then carries the packet. Returns a reason. */
static __always_inline int confirm(__u32 number)
{
	struct handshake *h = handshake_of(number);

	if (!h || !h->echoed)
		return REASON_HANDSHAKE_ORDER;
	return promote(h, number, h->candidate[(h->echoed - 1) & (MAX_CANDIDATES - 1)]);
}

/* The conversation that a reflected tag or a quoted packet names, + 1; key: as the tag's own direction spells it. */
__noinline __u32 named(__u64 key)
{
	__u64 value = index_find(mix(key), INDEX_ALIAS);
	struct entry *entry;

	if (value)
		return INDEX_NUMBER(value) + 1;
	entry = table_find(key);
	return entry && !(entry->flags & ENTRY_FLOW) ? entry->conversation + 1 : 0;
}

/* A timeout begins now, though no entry was hit. */
static __always_inline void begin_timeout(const struct conversation *c, __u32 number)
{
	struct entry *entry = table_slot(c->forward);

	if (entry && entry->conversation == number)
		entry->last = (__u32)bpf_jiffies64();
}

/* T bit: the sender has no association and reflects the tag that it was sent, RFC 9260 §8.5.1. */
__noinline int reflected(ctx_t *ctx, struct work *w)
{
	const struct packet *p;
	struct conversation *c;
	__u32 number, reverse;
	int reason;

	if (!w)
		return VERDICT_DROP;
	p = &w->packet;
	number = named(ports_key(p->dport, p->sport, p->tag)) - 1;
	c = conversation_of(number);
	if (!c || c->state < STATE_ESTABLISHED || c->mode == MODE_DSR) /* dsr: replies are not ours to judge */
		return GO_ON;
	reverse = c->server_tag == p->tag && c->server_port == p->sport && c->our_port == p->dport;
	if (!reverse && (c->client_tag != p->tag || c->client_port != p->sport || c->service_port != p->dport))
		return GO_ON;
	w->parties = conversation_parties(c);
	reason = reverse ? reverse_path(&c->vip, &c->client, &c->pairs, w) : forward_path(&c->vip, &c->client, w);
	if (reason != GO_ON)
		return drop(ctx, p, reason);
	w->ends.source = w->path.from;
	w->ends.destination = w->path.to;
	w->ends.sport = reverse ? c->service_port : c->our_port;
	w->ends.dport = reverse ? c->client_port : c->server_port;
	apply_effects(number, EFFECT_END, p->chunk & 0xff);
	begin_timeout(c, number);
	return send_work(ctx, w);
}

/* Of no association: RFC 9260 §8.4. Nothing that dials us is handed to the host's own stack. */
__noinline int out_of_the_blue(ctx_t *ctx, struct work *w)
{
	const struct service *service;
	__u32 type;

	if (!w)
		return VERDICT_DROP;
	type = w->packet.chunk & 0xff;
	if (!dial(&w->ends.destination, (__u32)w->packet.dport | IPPROTO_SCTP_ << 16, &w->dialled))
		return w->dialled.ours ? drop(ctx, &w->packet, REASON_OOTB) : VERDICT_PASS;
	if (!w->packet.tag)
		return drop(ctx, &w->packet, REASON_ZERO_TAG);
	drop(ctx, &w->packet, REASON_OOTB);
	service = service_of(w->dialled.number);
	if (!service || service->ootb != REFUSE_ABORT || type == CHUNK_COOKIE_ACK || w->packet.fragment ||
	    chunk_effects(ctx, &w->packet) & (EFFECT_END | EFFECT_MALFORMED))
		return VERDICT_DROP;
	if (type == CHUNK_SHUTDOWN_ACK)
		return chunk_reply(ctx, &w->packet, w->packet.tag, CHUNK_SHUTDOWN_COMPLETE | CHUNK_FLAG_T << 8);
	return abort_reply(ctx, &w->packet, w->packet.tag, CHUNK_FLAG_T);
}

/* dsr learns the endpoint's tag from the client's COOKIE ECHO: the answer never came by here. Returns a reason. */
__noinline int adopt_direct(struct work *w)
{
	const struct service *service;
	struct handshake *h;
	__u64 value;

	if (!w || !dial(&w->ends.destination, (__u32)w->packet.dport | IPPROTO_SCTP_ << 16, &w->dialled))
		return REASON_OOTB;
	service = service_of(w->dialled.number);
	value = index_find(packet_peer(w), INDEX_DSR);
	h = handshake_of(INDEX_NUMBER(value));
	if (!service || service->mode != MODE_DSR || !value || !h || h->client_port != w->packet.sport ||
	    h->service_port != w->packet.dport || !is_client(h, &w->ends.source))
		return REASON_OOTB;
	h->from = find_address(&h->client, h->clients, &w->ends.source) & (MAX_ADDRESSES - 1);
	return promote(h, INDEX_NUMBER(value), w->packet.tag);
}

/* ABORT or SHUTDOWN COMPLETE with the T bit: its tag is not the receiver's, though with equal ports at both ends the
 * table may have an association under it, of packets that go the other way.
 */
static __always_inline int reflects(const struct packet *p)
{
	__u32 type = p->chunk & 0xff;

	return (type == CHUNK_ABORT || type == CHUNK_SHUTDOWN_COMPLETE) && p->chunk >> 8 & CHUNK_FLAG_T;
}

/* Not in the table, or not to be looked for there. */
__noinline int miss(ctx_t *ctx, struct work *w)
{
	struct entry *entry;
	__u32 type, number;
	int verdict;

	if (!w)
		return VERDICT_DROP;
	type = w->packet.chunk & 0xff;
	verdict = from_candidate(ctx, w);
	if (verdict != GO_ON)
		return verdict;
	number = reply_handshake(w);
	if (number != NO_SLOT)
		return relay(ctx, w, number, 1);
	if (reflects(&w->packet)) {
		verdict = reflected(ctx, w);
		if (verdict != GO_ON)
			return verdict;
	}
	entry = overflowed();
	if (!entry && (reflects(&w->packet) || (type == CHUNK_COOKIE_ECHO && !adopt_direct(w))))
		entry = table_find(ports_key(w->packet.sport, w->packet.dport, w->packet.tag));
	return entry ? established(ctx, &w->packet, entry) : out_of_the_blue(ctx, w);
}

/* INIT ACK belongs to a handshake, even where an older association has the same key. */
__noinline int answer_init(ctx_t *ctx, struct work *w)
{
	__u32 number;

	if (!w)
		return VERDICT_DROP;
	number = reply_handshake(w);
	return number == NO_SLOT ? out_of_the_blue(ctx, w) : GO_ON;
}

/* So does COOKIE ACK: the handshake becomes an association first. */
__noinline int answer_cookie(ctx_t *ctx, struct work *w)
{
	__u32 number;
	int reason;

	if (!w)
		return VERDICT_DROP;
	number = reply_handshake(w);
	reason = number == NO_SLOT ? REASON_NONE : confirm(number);
	return reason ? refuse(ctx, &w->packet, reason, NO_SLOT) : GO_ON;
}

/* Everything but a hit, from a packet that is still on the stack. */
__noinline int sctp_slow(ctx_t *ctx, const struct packet *p)
{
	struct entry *entry;
	struct work *w;
	__u32 type;
	int verdict;

	if (!p)
		return VERDICT_DROP;
	w = take_work(ctx, p);
	if (!w)
		return VERDICT_DROP;
	type = p->chunk & 0xff;
	if (type == CHUNK_INIT) {
		verdict = take_init(ctx, w);
		return verdict == GO_ON ? send_init(ctx, w) : verdict;
	}
	if (type == CHUNK_INIT_ACK) {
		verdict = answer_init(ctx, w);
		return verdict == GO_ON ? take_init_ack(ctx, w) : verdict;
	}
	if (type != CHUNK_COOKIE_ACK)
		return miss(ctx, w);
	verdict = answer_cookie(ctx, w);
	if (verdict != GO_ON)
		return verdict;
	entry = table_find(ports_key(p->sport, p->dport, p->tag));
	return entry ? established(ctx, p, entry) : miss(ctx, w);
}

static __always_inline int is_opening(__u32 type)
{
	return type == CHUNK_INIT || type == CHUNK_INIT_ACK || type == CHUNK_COOKIE_ACK;
}

static __always_inline int sctp(ctx_t *ctx, const struct packet *p)
{
	struct entry *entry = NULL;

	if (p->tag && !is_opening(p->chunk & 0xff) && !reflects(p))
		entry = table_find(ports_key(p->sport, p->dport, p->tag));
	return entry ? established(ctx, p, entry) : sctp_slow(ctx, p);
}
