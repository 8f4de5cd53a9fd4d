/* SPDX-License-Identifier: GPL-2.0-only */
/* Birth and death of conversations: the record, its two entries, its aliases and the port it holds. */
#pragma once
#include "paths.h"

static __always_inline struct conversation *conversation_of(__u32 number)
{
	return bpf_map_lookup_elem(&conversations, &number);
}

static __always_inline __u64 forward_key(const struct conversation *c)
{
	if (c->protocol != IPPROTO_SCTP_)
		return flow_key(&c->client.at[0], &c->vip.at[0], (__u32)c->client_port | (__u32)c->service_port << 16,
				c->protocol);
	return ports_key(c->client_port, c->service_port, c->server_tag);
}

static __always_inline __u64 reverse_key(const struct conversation *c)
{
	if (c->protocol != IPPROTO_SCTP_)
		return flow_key(&c->client.at[1], &c->vip.at[1], (__u32)c->server_port | (__u32)c->our_port << 16,
				c->protocol);
	return ports_key(c->server_port, c->our_port, c->client_tag);
}

/* As an endpoint's or router's packet names the other direction: T bit, ICMP quote. */
static __always_inline __u64 forward_alias(const struct conversation *c)
{
	return mix(ports_key(c->our_port, c->server_port, c->server_tag));
}

static __always_inline __u64 reverse_alias(const struct conversation *c)
{
	return mix(ports_key(c->service_port, c->client_port, c->client_tag));
}

static __always_inline void tell(const struct conversation *c, __u32 number, __u32 type, __u32 reason, __u32 path)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return;
	*event = (struct event){ .time = bpf_jiffies64(),
				 .type = type,
				 .reason = reason,
				 .protocol = c->protocol,
				 .service = c->service,
				 .endpoint = c->endpoint,
				 .conversation = number,
				 .client_tag = c->client_tag,
				 .server_tag = c->server_tag,
				 .sport = c->client_port,
				 .dport = c->service_port };
	event->source = *nth(&c->client, PAIR_CLIENT(path));
	event->destination = *nth(&c->vip, PAIR_VIP(path));
	bpf_ringbuf_submit(event, 0);
}

static __always_inline int is_wide(const struct conversation *c, const struct endpoint *endpoint)
{
	int wide = c->vips > 2 || c->clients > 2 || endpoint->addresses > 2;

	for (__u32 i = 0; i < 2; i++)
		wide |= (i < c->vips && !is_v4(&c->vip.at[i])) || (i < c->clients && !is_v4(&c->client.at[i])) ||
			(i < endpoint->addresses && !is_v4(&endpoint->address.at[i]));
	return wide;
}

static __always_inline void fill_entry(struct entry *entry, const struct conversation *c,
				       const struct endpoint *endpoint, __u32 number)
{
	__builtin_memset(entry, 0, sizeof(*entry));
	entry->last = (__u32)bpf_jiffies64();
	entry->conversation = number;
	entry->endpoint = c->endpoint;
	entry->flags = c->mode << ENTRY_MODE_SHIFT | (c->single ? ENTRY_SINGLE : 0);
	if (is_wide(c, endpoint)) {
		entry->flags |= ENTRY_WIDE;
		return;
	}
	for (__u32 i = 0; i < 2; i++) {
		entry->vip[i] = c->vip.at[i < c->vips ? i : 0].word[3];
		entry->client[i] = c->client.at[i < c->clients ? i : 0].word[3];
		entry->server[i] = endpoint->address.at[i < endpoint->addresses ? i : 0].word[3];
		entry->pairs |= (PAIR_CLIENT(c->pairs.at[i]) | PAIR_VIP(c->pairs.at[i]) << 1) << 2 * i;
	}
}

/* This CPU's w->entry into the table, or the overflow map when the probes are full. It is fetched here: before kernel 6.2 a
 * map's value may not be an argument. */
__noinline int place(struct conversation *c, __u32 *slot)
{
	struct work *w = this_work();

	if (!w || !c || !slot)
		return 0;
	*slot = NO_SLOT;
	w->rare = (struct overflow_key){ .key = w->entry.key };
	if (table_find(w->entry.key))
		return 0;
	*slot = table_insert(&w->entry);
	return *slot != NO_SLOT || !bpf_map_update_elem(&overflow, &w->rare, &w->entry, BPF_NOEXIST);
}

/* In dnat another client may hold the reverse key: then w->entry goes under each of this one's addresses, or none. */
__noinline int place_shared(struct conversation *c)
{
	struct work *w = this_work();
	__u32 stored = 0;

	if (!w || !c || c->mode != MODE_DNAT)
		return 0;
	w->rare.key = w->entry.key;
	for (__u32 i = 0; i < MAX_ADDRESSES; i++) {
		if (i >= c->clients)
			break;
		w->rare.client = c->client.at[i];
		if (bpf_map_update_elem(&overflow, &w->rare, &w->entry, BPF_NOEXIST))
			break;
		stored++;
	}
	for (__u32 i = 0; i < MAX_ADDRESSES && stored < c->clients; i++) {
		if (i >= stored)
			return 0;
		w->rare.client = c->client.at[i];
		bpf_map_delete_elem(&overflow, &w->rare);
	}
	return stored == c->clients;
}

static __always_inline void bank(struct conversation *c, const struct entry *entry, __u32 reverse)
{
	__u32 service = c->service, endpoint = c->endpoint;
	struct totals *totals = bpf_map_lookup_elem(&service_totals, &service);
	__u64 packets = (__u64)entry->packets[0] + entry->packets[1]; /* path_packets tells the same by path */

	if (totals) {
		__sync_fetch_and_add(&totals->packets[reverse], packets);
		__sync_fetch_and_add(&totals->bytes[reverse], entry->bytes);
	}
	totals = bpf_map_lookup_elem(&endpoint_totals, &endpoint);
	if (totals) {
		__sync_fetch_and_add(&totals->packets[reverse], packets);
		__sync_fetch_and_add(&totals->bytes[reverse], entry->bytes);
	}
}

/* The entry of one direction, wherever it is. */
static __always_inline struct entry *placed(const struct conversation *c, __u64 word, __u32 slot)
{
	struct overflow_key key = { .key = word };
	struct entry *entry;

	if (slot != NO_SLOT)
		return table_slot(slot);
	entry = bpf_map_lookup_elem(&overflow, &key);
	if (entry)
		return entry;
	key.client = c->client.at[0];
	return bpf_map_lookup_elem(&overflow, &key);
}

__noinline int unplace(struct conversation *c, __u64 word, __u32 slot, __u32 reverse)
{
	struct overflow_key key = { .key = word };
	struct entry *entry;

	if (!c)
		return 0;
	reverse &= 1;
	if (slot != NO_SLOT) {
		entry = table_slot(slot);
		if (entry && entry->key == word) {
			bank(c, entry, reverse);
			table_delete(slot, word);
		}
		return 1;
	}
	entry = bpf_map_lookup_elem(&overflow, &key);
	if (entry)
		bank(c, entry, reverse);
	bpf_map_delete_elem(&overflow, &key);
	for (__u32 i = 0; i < MAX_ADDRESSES; i++) {
		if (i >= c->clients)
			break;
		key.client = c->client.at[i];
		bpf_map_delete_elem(&overflow, &key);
	}
	return 1;
}

static __always_inline void population(__u32 service, __u32 endpoint, int change)
{
	struct totals *totals = bpf_map_lookup_elem(&service_totals, &service);

	if (totals) {
		__sync_fetch_and_add(&totals->conversations, change);
		if (change > 0)
			__sync_fetch_and_add(&totals->created, 1);
	}
	totals = bpf_map_lookup_elem(&endpoint_totals, &endpoint);
	if (totals) {
		__sync_fetch_and_add(&totals->conversations, change);
		if (change > 0)
			__sync_fetch_and_add(&totals->created, 1);
	}
}

static __always_inline __u64 conversation_peer(const struct conversation *c, __u32 i)
{
	return peer_key(&c->client.at[i & (MAX_ADDRESSES - 1)], ports_word(c->client_port, c->service_port),
			c->service);
}

/* Ends a conversation once, whoever asks; how: the chunk type that ended it, or 255 for silence. */
__noinline int destroy(__u32 number, __u32 how)
{
	struct conversation *c = conversation_of(number);
	__u32 was;

	if (!c)
		return 0;
	was = READ_ONCE(c->state);
	if (was < STATE_ESTABLISHED || __sync_val_compare_and_swap(&c->state, was, STATE_OPENING) != was)
		return 0;
	unplace(c, forward_key(c), c->forward, 0);
	if (c->mode != MODE_DSR)
		unplace(c, reverse_key(c), c->reverse, 1);
	if (c->translated) {
		index_delete(forward_alias(c), INDEX_VALUE(INDEX_ALIAS, number));
		index_delete(reverse_alias(c), INDEX_VALUE(INDEX_ALIAS, number));
	}
	for (__u32 i = 0; i < MAX_ADDRESSES; i++)
		if (c->sent >> i & 1)
			index_delete(conversation_peer(c, i), INDEX_VALUE(INDEX_PEER, number));
	port_release(c->domain, c->server_port, c->our_port);
	population(c->service, c->endpoint, -1);
	tell(c, number, EVENT_DEATH, how, c->pairs.at[0]);
	WRITE_ONCE(c->state, STATE_FREE);
	bpf_map_push_elem(&unused, &number, 0);
	return 1;
}

/* Remembers that a client address has really sent, so that its restart is known for one: of the newest association. */
__noinline int note_sent(struct conversation *c, __u32 number, __u32 client)
{
	if (!c)
		return 0;
	client &= MAX_ADDRESSES - 1;
	c->sent |= 1 << client;
	index_replace(conversation_peer(c, client), INDEX_VALUE(INDEX_PEER, number));
	return 1;
}

/* The pair of our source k changed: the endpoint's packets to k go there from now on. */
__noinline int note_pair(__u32 number, __u32 k, __u32 pair)
{
	struct conversation *c = conversation_of(number);
	struct entry *forward, *reverse;
	__u8 bits = PAIR_CLIENT(pair) | PAIR_VIP(pair) << 1;

	if (!c)
		return 0;
	k &= MAX_ADDRESSES - 1;
	c->pairs.at[k] = pair;
	if (!(c->sent >> PAIR_CLIENT(pair) & 1)) {
		note_sent(c, number, PAIR_CLIENT(pair));
		tell(c, number, EVENT_PATH, 0, pair);
	}
	if (k > 1)
		return 1;
	forward = table_slot(c->forward);
	reverse = table_slot(c->reverse);
	if (forward && forward->conversation == number && !(forward->flags & ENTRY_WIDE))
		forward->pairs = (forward->pairs & ~(3 << 2 * k)) | bits << 2 * k;
	if (reverse && reverse->conversation == number && !(reverse->flags & ENTRY_WIDE))
		reverse->pairs = (reverse->pairs & ~(3 << 2 * k)) | bits << 2 * k;
	return 1;
}

__noinline int enter(struct conversation *c, __u32 number)
{
	struct work *w = this_work();
	const struct endpoint *endpoint;
	struct entry *entry;

	if (!c || !w)
		return 0;
	entry = &w->entry;
	endpoint = endpoint_of(c->endpoint);
	if (!endpoint)
		return 0;
	fill_entry(entry, c, endpoint, number);
	c->reverse = NO_SLOT;
	entry->key = forward_key(c);
	entry->sport = c->our_port;
	entry->dport = c->server_port;
	if (!place(c, &c->forward))
		return 0;
	if (c->mode == MODE_DSR)
		return 1;
	entry->flags |= ENTRY_REVERSE;
	entry->key = reverse_key(c);
	entry->sport = c->service_port;
	entry->dport = c->client_port;
	if (!place(c, &c->reverse) && !place_shared(c)) {
		unplace(c, forward_key(c), c->forward, 0);
		return 0;
	}
	if (c->translated) {
		index_insert(forward_alias(c), INDEX_VALUE(INDEX_ALIAS, number));
		index_insert(reverse_alias(c), INDEX_VALUE(INDEX_ALIAS, number));
	}
	return 1;
}

/* Field by field: a compound literal would be put together on the stack. */
static __always_inline void fill_conversation(struct conversation *c, const struct handshake *h,
					      const struct service *service)
{
	__builtin_memset(c, 0, __builtin_offsetof(struct conversation, vip));
	c->state = STATE_OPENING;
	c->service = h->service;
	c->endpoint = h->endpoint;
	c->mode = h->mode;
	c->protocol = IPPROTO_SCTP_;
	c->vips = service->vips;
	c->clients = h->clients;
	c->single = service->single;
	c->client_tag = h->client_tag;
	c->client_port = h->client_port;
	c->service_port = h->service_port;
	c->our_port = h->our_port;
	c->server_port = h->server_port;
	c->created = (__u32)bpf_jiffies64();
	c->domain = h->domain;
	__builtin_memcpy(&c->vip, &service->vip, sizeof(c->vip));
	__builtin_memcpy(&c->client, &h->client, sizeof(c->client));
}

/* What the handshake restarts dies; the port that it lent passes on. Its record may be another's by now. */
static __always_inline void supersede(struct handshake *h)
{
	struct conversation *old = conversation_of(h->restart - 1);

	if (!h->restart || !old || old->state < STATE_ESTABLISHED || (int)(old->created - h->created) > 0)
		return;
	if (!h->domain && old->our_port == h->our_port && old->endpoint == h->endpoint) {
		h->domain = old->domain;
		old->domain = 0;
	}
	destroy(h->restart - 1, CHUNK_INIT);
}

/* The association that was to pass on its port may have ended first: then the port is nobody's, or taken by now. */
static __always_inline int holds_port(struct handshake *h)
{
	const struct endpoint *endpoint = endpoint_of(h->endpoint);

	if (h->domain || keeps_port(h->mode))
		return 1;
	if (!endpoint || index_insert(port_word(endpoint->domain, h->server_port, h->our_port),
				      INDEX_VALUE(INDEX_PORT, 1)) != INSERTED)
		return 0;
	h->domain = endpoint->domain;
	return 1;
}

/* Makes a confirmed handshake an association. The handshake's port passes to it; what it restarts dies first. */
__noinline int promote(struct handshake *h, __u32 handshake, __u32 server_tag)
{
	struct service *service;
	struct conversation *c;
	__u32 number;

	if (!h)
		return REASON_IMPOSSIBLE;
	service = service_of(h->service);
	if (!service)
		return REASON_IMPOSSIBLE;
	supersede(h);
	if (!holds_port(h))
		return REASON_PORTS_EXHAUSTED;
	if (bpf_map_pop_elem(&unused, &number))
		return REASON_TABLE_FULL;
	c = conversation_of(number);
	if (!c)
		return REASON_IMPOSSIBLE;
	fill_conversation(c, h, service);
	c->server_tag = server_tag;
	c->translated = c->our_port != c->client_port || c->server_port != c->service_port;
	for (__u32 i = 0; i < MAX_ADDRESSES; i++) /* in dnat too: what another address sends first is then a change */
		c->pairs.at[i] = PAIR(h->from, h->vip);
	if (!enter(c, number)) {
		c->state = STATE_FREE;
		bpf_map_push_elem(&unused, &number, 0);
		return REASON_TABLE_FULL;
	}
	h->domain = 0;
	population(c->service, c->endpoint, 1);
	WRITE_ONCE(c->state, STATE_ESTABLISHED);
	note_sent(c, number, h->from);
	tell(c, number, EVENT_BIRTH, 0, PAIR(h->from, h->vip));
	handshake_free(handshake);
	return REASON_NONE;
}
