/* SPDX-License-Identifier: GPL-2.0-only */
/* Handshakes in progress, found by the client's tag: INIT and INIT ACK both carry it. They live apart from
 * conversations, so that a flood of INITs costs nobody an established association. */
#pragma once
#include "ports.h"

#define WAY_ACKNOWLEDGED (1ULL << 31)
#define WAY_TIME 0x7fffffffULL
#define PENDING_SECONDS 65 /* cookie life 60 s, RTO.Max 60 s, RFC 9260 §16 */

static __always_inline __u32 bucket_home(__u32 tag)
{
	return table_home(((__u64)tag << 1 | 1) * 0xff51afd7ed558ccdULL, pending_bits);
}

static __always_inline struct handshake *handshake_of(__u32 number)
{
	return bpf_map_lookup_elem(&handshakes, &number);
}

static __always_inline struct bucket *bucket_of(__u32 number)
{
	return bpf_map_lookup_elem(&buckets, &number);
}

static __always_inline int way_live(__u64 way)
{
	return way && (((__u32)bpf_jiffies64() - (__u32)way) & WAY_TIME) < PENDING_SECONDS * hz;
}

static __always_inline __u64 way_word(__u32 tag, __u64 acknowledged)
{
	return (__u64)tag << 32 | acknowledged | ((__u32)bpf_jiffies64() & WAY_TIME);
}

static __always_inline int is_client(const struct handshake *h, const struct address *address)
{
	return find_address(&h->client, h->clients, address) >= 0;
}

static __always_inline int is_server(__u32 endpoint, const struct address *address)
{
	const struct endpoint *e = endpoint_of(endpoint);

	return e && find_address(&e->address, e->addresses, address) >= 0;
}

__noinline int handshake_matches(const struct handshake *h, const struct work *w)
{
	const struct handshake_query *q;

	if (!h || !w || h->client_tag != w->query.tag)
		return 0;
	q = &w->query;
	if (!q->reply)
		return h->client_port == q->sport && h->service_port == q->dport && h->service == q->service &&
		       is_client(h, &w->ends.source);
	return h->server_port == q->sport && h->our_port == q->dport && h->mode != MODE_DSR &&
	       is_server(h->endpoint, &w->ends.source) && (h->mode != MODE_DNAT || is_client(h, &w->ends.destination));
}

/* The live handshake that w->query asks for: its number in w->number. The verifier follows what is in memory as one
 * unknown, not as each of eight numbers. */
static __always_inline int handshake_find(struct work *w)
{
	__u32 home = bucket_home(w->query.tag);
	struct bucket *bucket = bucket_of(home);

	w->number = NO_SLOT;
	if (!bucket)
		return 0;
	for (__u32 i = 0; i < PENDING_WAYS; i++) {
		__u64 way = READ_ONCE(bucket->way[i]);

		if ((__u32)(way >> 32) != w->query.tag || !way_live(way) ||
		    !handshake_matches(handshake_of(home * PENDING_WAYS + i), w))
			continue;
		w->number = home * PENDING_WAYS + i;
		return 1;
	}
	return 0;
}

static __always_inline void handshake_touch(__u32 number, __u32 tag, __u64 acknowledged)
{
	struct bucket *bucket = bucket_of(number / PENDING_WAYS);
	__u64 *way, was;

	if (!bucket)
		return;
	way = &bucket->way[number & (PENDING_WAYS - 1)];
	was = READ_ONCE(*way);
	if ((__u32)(was >> 32) == tag)
		__sync_val_compare_and_swap(way, was, way_word(tag, acknowledged | (was & WAY_ACKNOWLEDGED)));
}

static __always_inline __u64 candidate_key(const struct handshake *h, __u32 tag)
{
	return mix(ports_key(h->client_port, h->service_port, tag));
}

/* ports: the client's and the service's */
static __always_inline __u64 peer_key(const struct address *client, __u32 ports, __u32 service)
{
	return mix(client->half[0] * 0xff51afd7ed558ccdULL ^ client->half[1] ^ mix((__u64)service << 32 | ports));
}

/* Of the client and service of a packet that dials us. */
static __always_inline __u64 packet_peer(const struct work *w)
{
	return peer_key(&w->ends.source, ports_word(w->packet.sport, w->packet.dport), w->dialled.number);
}

static __always_inline __u64 handshake_peer(const struct handshake *h, __u32 i)
{
	return peer_key(&h->client.at[i], ports_word(h->client_port, h->service_port), h->service);
}

/* Takes the words back by which packets of a handshake were to be found. */
__noinline int forget_words(struct handshake *h, __u32 number)
{
	if (!h)
		return 0;
	for (__u32 i = 0; i < MAX_CANDIDATES; i++)
		if (i < h->candidates)
			index_delete(candidate_key(h, h->candidate[i]), INDEX_VALUE(INDEX_CANDIDATE, number));
	if (h->mode == MODE_DSR)
		for (__u32 i = 0; i < MAX_ADDRESSES; i++)
			if (i < h->clients)
				index_delete(handshake_peer(h, i), INDEX_VALUE(INDEX_DSR, number));
	return 1;
}

/* Gives back what a handshake holds; its slot is the caller's. */
static __always_inline void handshake_disown(struct handshake *h, __u32 number)
{
	if (h->candidates || h->mode == MODE_DSR)
		forget_words(h, number);
	port_release(h->domain, h->server_port, h->our_port);
	h->candidates = 0;
	h->domain = 0;
	h->client_tag = 0;
}

/* Which way of a bucket a new handshake takes: a free or expired one, else the oldest that no endpoint has answered;
 * PENDING_WAYS: none. */
static __always_inline __u32 weakest_way(const struct bucket *bucket, __u64 *was, __u32 *age)
{
	__u32 best = PENDING_WAYS, now = (__u32)bpf_jiffies64();

	for (__u32 i = 0; i < PENDING_WAYS; i++) {
		__u64 way = READ_ONCE(bucket->way[i]);
		__u32 old = ((now - (__u32)way) & WAY_TIME) + 1;

		if (!way_live(way))
			old = NO_SLOT;
		else if (way & WAY_ACKNOWLEDGED)
			continue;
		if (old > *age) {
			best = i;
			*age = old;
			*was = way;
		}
	}
	return best;
}

/* The lines that handshake_claim() will most likely write. */
static __always_inline void touch_handshake(__u32 tag)
{
	__u32 home = bucket_home(tag), age = 0;
	const struct bucket *bucket = bucket_of(home);
	const struct handshake *h;
	__u64 was;

	h = bucket ? handshake_of(home * PENDING_WAYS + weakest_way(bucket, &was, &age)) : NULL;
	if (!h)
		return;
	touch(h);
	touch(&h->client);
}

/* A place for a new handshake: its number in w->number. Returns false where all are live and answered. */
static __always_inline int handshake_claim(struct work *w)
{
	__u32 home = bucket_home(w->query.tag), best, age = 0;
	struct bucket *bucket = bucket_of(home);
	struct handshake *h;
	__u64 was = 0;

	if (!bucket)
		return 0;
	best = weakest_way(bucket, &was, &age);
	if (best >= PENDING_WAYS ||
	    __sync_val_compare_and_swap(&bucket->way[best & (PENDING_WAYS - 1)], was, way_word(w->query.tag, 0)) != was)
		return 0; /* where another CPU took it the client sends again */
	w->number = home * PENDING_WAYS + best;
	if (age != NO_SLOT)
		count(REASON_EVICTED, 0);
	h = handshake_of(w->number);
	if (h && was)
		handshake_disown(h, w->number);
	return 1;
}

__noinline int handshake_free(__u32 number)
{
	struct bucket *bucket = bucket_of(number / PENDING_WAYS);
	struct handshake *h = handshake_of(number);

	if (!bucket || !h)
		return 0;
	handshake_disown(h, number);
	bucket->way[number & (PENDING_WAYS - 1)] = 0;
	return 1;
}
