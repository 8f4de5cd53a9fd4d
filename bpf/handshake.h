/* SPDX-License-Identifier: GPL-2.0-only */
/* INIT and INIT ACK: RFC 9260 §5.1, §5.2. */
#pragma once
#include "abort.h"
#include "conversation.h"
#include "parameters.h"

/* The chunk stands alone, is whole, and names a tag (§3.3.2, §6.10). Returns a reason. */
static __always_inline int check_init(ctx_t *ctx, const struct packet *p)
{
	struct init_chunk *init = AT(ctx, p->l4 + sizeof(struct sctphdr), sizeof(*init));
	__u32 length;

	if (!init)
		return REASON_INIT_MALFORMED;
	length = bpf_ntohs(init->header.length);
	if (length < sizeof(*init) || !init->tag)
		return REASON_INIT_MALFORMED;
	length = ((length + 3) & ~3) + sizeof(struct sctphdr);
	if (length < p->end - p->l4)
		return REASON_INIT_BUNDLED;
	return length > p->end - p->l4 ? REASON_INIT_MALFORMED : REASON_NONE;
}

static __always_inline __u32 initiate_tag(ctx_t *ctx, const struct packet *p)
{
	struct init_chunk *init = AT(ctx, p->l4 + sizeof(struct sctphdr), sizeof(*init));

	return init ? init->tag : 0;
}

static __always_inline __u32 chunk_end(ctx_t *ctx, const struct packet *p)
{
	struct chunk *chunk = AT(ctx, p->l4 + sizeof(struct sctphdr), sizeof(*chunk));

	return chunk ? p->l4 + sizeof(struct sctphdr) + bpf_ntohs(chunk->length) : 0;
}

static __always_inline struct parties handshake_parties(const struct handshake *h, const struct service *service)
{
	return (struct parties){ .endpoint = h->endpoint,
				 .vips = service->vips,
				 .clients = h->clients,
				 .mode = h->mode,
				 .single = service->single };
}

static __always_inline struct parties conversation_parties(const struct conversation *c)
{
	return (struct parties){
		.endpoint = c->endpoint, .vips = c->vips, .clients = c->clients, .mode = c->mode, .single = c->single
	};
}

/* Either direction of a handshake, by the pair that the client used last: GO_ON, or the reason it cannot pass. */
static __always_inline int handshake_path(struct work *w, const struct handshake *h, const struct service *service,
					  __u32 reverse)
{
	w->parties = handshake_parties(h, service);
	for (__u32 i = 0; i < MAX_ADDRESSES; i++)
		w->pairs.at[i] = PAIR(h->from, h->vip);
	return reverse ? reverse_path(&service->vip, &h->client, &w->pairs, w) :
			 forward_path(&service->vip, &h->client, w);
}

/* The association that this INIT would restart, + 1: one of the client's port from whose address it really heard. */
static __always_inline __u32 restarted(const struct work *w)
{
	__u64 value = index_search(packet_peer(w), INDEX_PEER);
	struct conversation *c = conversation_of(INDEX_NUMBER(value));

	if (!value || !c || c->state < STATE_ESTABLISHED || c->service != w->dialled.number ||
	    c->client_port != w->packet.sport || c->service_port != w->packet.dport ||
	    find_address(&c->client, c->clients, &w->ends.source) < 0)
		return 0;
	return INDEX_NUMBER(value) + 1;
}

static __always_inline int may_keep(__u32 endpoint)
{
	const struct endpoint *e = endpoint_of(endpoint);

	return e && (e->admin == ENDPOINT_UP || e->admin == ENDPOINT_DRAINING) && e->live;
}

/* An endpoint for w->handshake: its number, or NO_SLOT. The lines of its client and port are asked for together. */
static __always_inline __u32 propose_endpoint(struct work *w)
{
	const struct handshake *h = &w->handshake;
	__u32 number = pick_endpoint(h->service, &w->ends.source, ports_word(w->packet.sport, w->packet.dport));
	const struct endpoint *endpoint = endpoint_of(number);
	__be16 port;

	index_touch(packet_peer(w));
	touch_handshake(w->query.tag);
	if (!endpoint || keeps_port(h->mode))
		return number;
	port = server_port(endpoint, w->packet.dport);
	index_touch(port_word(endpoint->domain, port, h->client_port));
	touch(table_slot(table_home(ports_key(port, h->client_port, h->client_tag), table_bits)));
	return number;
}

/* The endpoint of w->handshake: that of the association it restarts, unless that is ending, else the one proposed.
 * Returns a reason. */
static __always_inline int assign_endpoint(struct work *w, const struct conversation *old, __u32 number)
{
	struct handshake *h = &w->handshake;
	struct endpoint *endpoint;

	if (old && old->state == STATE_ESTABLISHED && may_keep(old->endpoint))
		number = old->endpoint;
	endpoint = endpoint_of(number);
	if (number == NO_SLOT || !endpoint)
		return REASON_NO_ENDPOINT;
	h->endpoint = number;
	h->server_port = server_port(endpoint, w->packet.dport);
	h->our_port = w->packet.sport;
	return REASON_NONE;
}

/* Endpoint and ports, and what is held of them. Returns a reason. */
static __always_inline int assign(struct work *w, __u32 proposed)
{
	struct handshake *h = &w->handshake;
	struct conversation *old = h->restart ? conversation_of(h->restart - 1) : NULL;
	struct endpoint *endpoint;
	int reason = assign_endpoint(w, old, proposed);

	endpoint = endpoint_of(h->endpoint);
	if (reason || !endpoint || keeps_port(h->mode))
		return reason;
	if (old && old->endpoint == h->endpoint && old->server_port == h->server_port) {
		h->our_port = old->our_port; /* lent by the association that it restarts */
		return REASON_NONE;
	}
	h->our_port = port_reserve(endpoint->domain, h->server_port, h->client_port, h->client_tag);
	if (!h->our_port)
		return REASON_PORTS_EXHAUSTED;
	h->domain = endpoint->domain;
	return REASON_NONE;
}

__noinline int index_clients(const struct handshake *h, __u32 number)
{
	if (!h)
		return 0;
	for (__u32 i = 0; i < MAX_ADDRESSES; i++)
		if (i < h->clients)
			index_replace(handshake_peer(h, i), INDEX_VALUE(INDEX_DSR, number));
	return 1;
}

/* No more than there is: of most clients two lines. */
static __always_inline void store_handshake(struct handshake *to, const struct handshake *from)
{
	__builtin_memcpy(to, from, __builtin_offsetof(struct handshake, client));
	for (__u32 i = 0; i < MAX_ADDRESSES; i++) {
		if (i >= from->clients)
			break;
		to->client.at[i] = from->client.at[i];
	}
}

/* A place for w->handshake: its number in w->number. Returns a reason. */
static __always_inline int open_handshake(struct work *w)
{
	__u32 proposed = propose_endpoint(w);
	struct handshake *stored;
	int reason;

	w->handshake.restart = restarted(w);
	if (!handshake_claim(w))
		return REASON_PENDING_FULL;
	stored = handshake_of(w->number);
	reason = stored ? assign(w, proposed) : REASON_IMPOSSIBLE;
	if (reason || !stored) {
		handshake_free(w->number);
		return reason;
	}
	store_handshake(stored, &w->handshake);
	if (stored->mode == MODE_DSR)
		index_clients(stored, w->number);
	return REASON_NONE;
}

/* INIT of a handshake: on the path of its VIP, with our siblings for the client's addresses. */
__noinline int send_init(ctx_t *ctx, struct work *w)
{
	struct handshake *h = w ? handshake_of(w->number) : NULL;
	struct service *service;
	struct endpoint *endpoint;
	int reason, from;

	if (!h || !w)
		return VERDICT_DROP;
	service = service_of(h->service);
	endpoint = endpoint_of(h->endpoint);
	if (!service || !endpoint)
		return drop(ctx, &w->packet, REASON_IMPOSSIBLE);
	w->parties = handshake_parties(h, service);
	from = same(&h->client.at[0], &w->ends.source) ? 0 : find_address(&h->client, h->clients, &w->ends.source);
	reason = from < 0 ? REASON_FOREIGN_SOURCE : path_from(&service->vip, endpoint, w, from, w->dialled.vip);
	if (reason != GO_ON)
		return drop(ctx, &w->packet, reason);
	h->from = w->path.client;
	h->vip = w->path.vip;
	if (h->mode == MODE_DSR)
		return send_work(ctx, w);
	w->order = (struct order){ .header = w->ends.source, .families = h->families, .implied = w->path.source };
	if (h->mode == MODE_FULLNAT) {
		w->order.own = OWN_VIPS;
		w->order.number = h->service;
		w->order.owns = service->single ? 1 : service->vips;
	} else if (h->mode == MODE_ONEARM) {
		w->order.own = OWN_SOURCES;
		w->order.number = h->endpoint;
		w->order.owns = service->single ? 1 : endpoint->addresses;
		w->order.skipped = ~endpoint->listed;
	}
	w->ends.source = w->path.from;
	w->ends.destination = w->path.to;
	w->ends.sport = h->our_port;
	w->ends.dport = h->server_port;
	return send_edited(ctx, w);
}

/* Counts and reports an INIT that we cannot serve, and answers ABORT where the service or the RFC says so. */
static __always_inline int turn_away(ctx_t *ctx, struct work *w, int reason)
{
	const struct service *service = service_of(w->dialled.number);

	refuse(ctx, &w->packet, reason, w->dialled.number);
	if (reason == REASON_NO_ENDPOINT ? service && service->no_endpoint == REFUSE_DROP :
					   reason != REASON_HOST_NAME && reason != REASON_TOO_MANY_ADDRESSES)
		return VERDICT_DROP;
	return abort_reply(ctx, &w->packet, w->query.tag, 0);
}

/* A first INIT, as far as its handshake. Returns a reason. */
static __always_inline int begin(ctx_t *ctx, struct work *w, const struct service *service)
{
	const struct packet *p = &w->packet;
	struct handshake *h = &w->handshake;
	int reason;

	__builtin_memset(h, 0, __builtin_offsetof(struct handshake, client));
	h->client_tag = w->query.tag;
	h->service = w->dialled.number;
	h->clients = 1;
	h->mode = service->mode;
	h->client_port = p->sport;
	h->service_port = p->dport;
	h->created = (__u32)bpf_jiffies64();
	h->client.at[0] = w->ends.source;
	reason = scan_parameters(ctx, w, p->l4 + sizeof(struct sctphdr) + sizeof(struct init_chunk), chunk_end(ctx, p));
	if (reason)
		return reason;
	h->families = usable_families(h);
	return open_handshake(w);
}

/* A retransmission keeps its endpoint, unless that one died without an answer. */
static __always_inline int still_good(__u32 number)
{
	const struct handshake *h = handshake_of(number);

	return h && (h->candidates || may_keep(h->endpoint));
}

/* Who may not dial this service. Returns a reason. */
static __always_inline int unwelcome(const struct work *w, const struct service *service)
{
	if (!source_allowed(service, w->dialled.number, &w->ends.source))
		return REASON_SOURCE_NOT_ALLOWED;
	return is_member(service->pool, &w->ends.source) ? REASON_ENDPOINT_INIT : REASON_NONE;
}

/* INIT from a client: a verdict, or GO_ON to send it on as of the handshake w->number. */
__noinline int take_init(ctx_t *ctx, struct work *w)
{
	struct service *service;
	int reason;

	if (!w)
		return VERDICT_DROP;
	if (!dial(&w->ends.destination, (__u32)w->packet.dport | IPPROTO_SCTP_ << 16, &w->dialled))
		return w->dialled.ours ? drop(ctx, &w->packet, REASON_NO_SERVICE) : VERDICT_PASS;
	service = service_of(w->dialled.number);
	if (!service)
		return drop(ctx, &w->packet, REASON_IMPOSSIBLE);
	reason = w->packet.fragment ? REASON_FRAGMENT_PORTS :
		 w->packet.tag	    ? REASON_INIT_TAG :
				      check_init(ctx, &w->packet);
	if (reason)
		return drop(ctx, &w->packet, reason);
	reason = unwelcome(w, service);
	if (reason)
		return refuse(ctx, &w->packet, reason, w->dialled.number);
	w->query = (struct handshake_query){ .tag = initiate_tag(ctx, &w->packet),
					     .service = w->dialled.number,
					     .sport = w->packet.sport,
					     .dport = w->packet.dport };
	if (handshake_find(w)) {
		if (still_good(w->number)) {
			handshake_touch(w->number, w->query.tag, 0);
			return GO_ON;
		}
		handshake_free(w->number);
	}
	reason = begin(ctx, w, service);
	return reason ? turn_away(ctx, w, reason) : GO_ON;
}

/* The oldest but the one that the client took: first is 0, or 1 to keep candidate 0. */
static __always_inline void forget_candidate(struct handshake *h, __u32 number, __u32 first)
{
	__u32 gone = first ? h->candidate[1] : h->candidate[0];

	index_delete(candidate_key(h, gone), INDEX_VALUE(INDEX_CANDIDATE, number));
	for (__u32 i = 1; i < MAX_CANDIDATES; i++)
		if (i > first)
			h->candidate[i - 1] = h->candidate[i];
	h->echoed -= h->echoed > 1;
}

/* Remembers a tag that the endpoint offers; the client may answer any of the last four. Returns a reason. */
__noinline int add_candidate(__u32 number, __u32 tag)
{
	struct handshake *h = handshake_of(number);
	__u32 at;

	if (!h)
		return REASON_IMPOSSIBLE;
	at = h->candidates;
	for (__u32 i = 0; i < MAX_CANDIDATES; i++)
		if (i < at && h->candidate[i] == tag)
			return REASON_NONE;
	if (table_find(ports_key(h->client_port, h->service_port, tag)) ||
	    index_insert(candidate_key(h, tag), INDEX_VALUE(INDEX_CANDIDATE, number)) != INSERTED)
		return REASON_TAG_CLASH;
	if (at >= MAX_CANDIDATES) {
		forget_candidate(h, number, h->echoed == 1);
		at = MAX_CANDIDATES - 1;
	}
	h->candidate[at & (MAX_CANDIDATES - 1)] = tag;
	h->candidates = at + 1;
	return REASON_NONE;
}

/* INIT ACK from the endpoint of the handshake w->number. */
__noinline int take_init_ack(ctx_t *ctx, struct work *w)
{
	__u32 number = w ? w->number : NO_SLOT;
	struct handshake *h = handshake_of(number);
	struct service *service;
	int reason;

	if (!h || !w)
		return VERDICT_DROP;
	service = service_of(h->service);
	reason = check_init(ctx, &w->packet);
	if (!reason)
		reason = service ? add_candidate(number, initiate_tag(ctx, &w->packet)) : REASON_IMPOSSIBLE;
	if (reason || !service)
		return drop(ctx, &w->packet, reason);
	handshake_touch(number, h->client_tag, WAY_ACKNOWLEDGED);
	reason = handshake_path(w, h, service, 1);
	if (reason != GO_ON)
		return drop(ctx, &w->packet, reason);
	w->order = (struct order){ .own = OWN_VIPS,
				   .number = h->service,
				   .owns = service->vips,
				   .implied = w->path.vip,
				   .families = h->families,
				   .header = w->ends.source };
	w->ends.source = w->path.from;
	w->ends.destination = w->path.to;
	w->ends.sport = h->service_port;
	w->ends.dport = h->client_port;
	return send_edited(ctx, w);
}
