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

/* Index of an address in the first `count` of a list, or -1. */
__noinline int find_address(const struct addresses *list, __u32 count, const struct address *address)
{
	if (!list || !address)
		return -1;
	for (__u32 i = 0; i < MAX_ADDRESSES; i++)
		if (i < count && same(&list->at[i], address))
			return i;
	return -1;
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

static __always_inline int handshake_matches(const struct handshake *h, const struct work *w)
{
	const struct handshake_query *q = &w->query;

	if (h->client_tag != q->tag)
		return 0;
	if (!q->reply)
		return h->client_port == q->sport && h->service_port == q->dport && h->service == q->service &&
		       is_client(h, &w->ends.source);
	return h->server_port == q->sport && h->our_port == q->dport && h->mode != MODE_DSR &&
	       is_server(h->endpoint, &w->ends.source) && (h->mode != MODE_DNAT || is_client(h, &w->ends.destination));
}

/* The number of the live handshake that w->query asks for, or NO_SLOT. */
__noinline __u32 handshake_find(const struct work *w)
{
	struct bucket *bucket;
	__u32 home;

	if (!w)
		return NO_SLOT;
	home = bucket_home(w->query.tag);
	bucket = bucket_of(home);
	if (!bucket)
		return NO_SLOT;
	for (__u32 i = 0; i < PENDING_WAYS; i++) {
		__u64 way = READ_ONCE(bucket->way[i]);
		struct handshake *h;

		if ((__u32)(way >> 32) != w->query.tag || !way_live(way))
			continue;
		h = handshake_of(home * PENDING_WAYS + i);
		if (h && handshake_matches(h, w))
			return home * PENDING_WAYS + i;
	}
	return NO_SLOT;
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

static __always_inline __u64 handshake_peer(const struct handshake *h, __u32 i)
{
	return peer_key(&h->client.at[i], ports_word(h->client_port, h->service_port), h->service);
}

/* Gives back what a handshake holds; its slot is the caller's. */
__noinline int handshake_disown(struct handshake *h, __u32 number)
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
	port_release(h->domain, h->server_port, h->our_port);
	h->candidates = 0;
	h->domain = 0;
	h->client_tag = 0;
	return 1;
}

/* A way for a new handshake: a free or expired one, else the oldest that no endpoint has answered; NO_SLOT: all live. */
__noinline __u32 handshake_claim(__u32 tag)
{
	__u32 home = bucket_home(tag), best = NO_SLOT, age = 0, now = (__u32)bpf_jiffies64();
	struct bucket *bucket = bucket_of(home);
	struct handshake *h;
	__u64 was = 0;

	if (!bucket)
		return NO_SLOT;
	for (__u32 i = 0; i < PENDING_WAYS; i++) {
		__u64 way = READ_ONCE(bucket->way[i]);
		__u32 old = ((now - (__u32)way) & WAY_TIME) + 1;

		if (!way_live(way))
			old = NO_SLOT;
		else if (way & WAY_ACKNOWLEDGED)
			continue;
		if (old > age) {
			best = i;
			age = old;
			was = way;
		}
	}
	if (best == NO_SLOT)
		return NO_SLOT;
	if (__sync_val_compare_and_swap(&bucket->way[best & (PENDING_WAYS - 1)], was, way_word(tag, 0)) != was)
		return NO_SLOT; /* another CPU took it; the client sends again */
	if (age != NO_SLOT)
		count(REASON_EVICTED, 0);
	best += home * PENDING_WAYS;
	h = handshake_of(best);
	if (h && was)
		handshake_disown(h, best);
	return best;
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
