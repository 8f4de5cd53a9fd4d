/* SPDX-License-Identifier: GPL-2.0-only */
/* Which addresses a packet gets. Source k is what the endpoint sees of the client: VIP k in fullnat, our address that
 * faces endpoint address k in onearm, the client's own in dnat. */
#pragma once
#include "pending.h"

#define PAIR(client, vip) ((client) | (vip) << 4)
#define PAIR_CLIENT(pair) ((pair)&7)
#define PAIR_VIP(pair) ((pair) >> 4 & 7)

static __always_inline const struct address *nth(const struct addresses *list, __u32 i)
{
	return &list->at[i & (MAX_ADDRESSES - 1)];
}

/* Of the endpoint's addresses from `first` on: the first live one of the family, else the first of the family; -1. */
__noinline int live_server(__u32 number, __u32 first, __u32 family)
{
	const struct endpoint *endpoint = endpoint_of(number);
	int dead = -1;

	if (!endpoint)
		return -1;
	for (__u32 i = 0; i < MAX_ADDRESSES; i++) {
		__u32 at = first + i;

		if (i >= endpoint->addresses)
			break;
		if (at >= endpoint->addresses)
			at -= endpoint->addresses;
		at &= MAX_ADDRESSES - 1;
		if (family_of(&endpoint->address.at[at]) != family)
			continue;
		if (endpoint->live >> at & 1)
			return at;
		if (dead < 0)
			dead = at;
	}
	return dead;
}

/* The endpoint's address for the path of one VIP: `first` while that is live and of the family; -1: none. */
static __always_inline int server_for(const struct endpoint *endpoint, __u32 number, __u32 first, __u32 family)
{
	first &= MAX_ADDRESSES - 1;
	if (endpoint->live >> first & 1 && family_of(&endpoint->address.at[first]) == family)
		return first;
	return live_server(number, first, family);
}

/* From client address `from` by VIP `to` and w->parties to w->path: GO_ON, or the reason it cannot pass. */
static __always_inline int path_from(const struct addresses *vip, const struct endpoint *endpoint, struct work *w,
				     int from, int to)
{
	__u32 family = family_of(&w->ends.source), first = 0;
	struct path *path = &w->path;
	int server;

	if (!w->parties.single && endpoint->addresses)
		first = (__u32)to % endpoint->addresses;
	server = w->parties.single ? 0 : server_for(endpoint, w->parties.endpoint, first, family);
	if (server < 0)
		return REASON_NO_PATH;
	path->client = from;
	path->vip = to;
	path->server = server;
	path->to = *nth(&endpoint->address, server);
	path->source = from;
	path->from = w->ends.source;
	if (w->parties.mode == MODE_ONEARM) {
		path->from = *nth(&endpoint->source, server);
		path->source = find_address(&endpoint->source, endpoint->addresses, &path->from);
	} else if (w->parties.mode == MODE_FULLNAT) {
		path->source = w->parties.single ? 0 : to;
		if (server != (int)first && server < w->parties.vips && family_of(nth(vip, server)) == family)
			path->source = server;
		path->from = *nth(vip, path->source);
	}
	path->source &= MAX_ADDRESSES - 1;
	return family_of(&path->from) == family && family_of(&path->to) == family ? GO_ON : REASON_NO_PATH;
}

/* Client to endpoint, from w->parties and w->ends to w->path: GO_ON, or the reason it cannot pass. */
__noinline int forward_path(const struct addresses *vip, const struct addresses *client, struct work *w)
{
	const struct endpoint *endpoint;
	int from, to;

	if (!vip || !client || !w)
		return REASON_IMPOSSIBLE;
	endpoint = endpoint_of(w->parties.endpoint);
	from = find_address(client, w->parties.clients, &w->ends.source);
	if (from < 0)
		return REASON_FOREIGN_SOURCE;
	to = find_address(vip, w->parties.vips, &w->ends.destination);
	if (to < 0 || !endpoint)
		return REASON_FOREIGN_DESTINATION;
	return path_from(vip, endpoint, w, from, to);
}

static __always_inline int first_of_family(const struct addresses *list, __u32 count, __u32 family)
{
	for (__u32 i = 0; i < MAX_ADDRESSES; i++)
		if (i < count && family_of(&list->at[i]) == family)
			return i;
	return -1;
}

/* Which of our sources a packet from the endpoint arrives at, or -1. */
static __always_inline int arrived_at(const struct addresses *vip, const struct addresses *client,
				      const struct endpoint *endpoint, const struct work *w)
{
	if (w->parties.mode == MODE_DNAT)
		return find_address(client, w->parties.clients, &w->ends.destination);
	if (w->parties.mode == MODE_ONEARM)
		return find_address(&endpoint->source, endpoint->addresses, &w->ends.destination);
	return find_address(vip, w->parties.vips, &w->ends.destination);
}

/* Endpoint to client: by the pair whose packet last left by the source that this one arrives at. */
__noinline int reverse_path(const struct addresses *vip, const struct addresses *client, const struct pairs *pairs,
			    struct work *w)
{
	const struct endpoint *endpoint;
	struct path *path;
	__u32 family, pair;
	int server, at, to, from;

	if (!vip || !client || !pairs || !w)
		return REASON_IMPOSSIBLE;
	endpoint = endpoint_of(w->parties.endpoint);
	if (!endpoint)
		return REASON_IMPOSSIBLE;
	family = family_of(&w->ends.source);
	server = find_address(&endpoint->address, endpoint->addresses, &w->ends.source);
	if (server < 0)
		return REASON_FOREIGN_SOURCE;
	at = arrived_at(vip, client, endpoint, w);
	if (at < 0)
		return REASON_FOREIGN_DESTINATION;
	pair = pairs->at[at & (MAX_ADDRESSES - 1)];
	to = w->parties.mode == MODE_DNAT ? at : (int)PAIR_CLIENT(pair);
	from = PAIR_VIP(pair);
	if (family_of(nth(client, to)) != family)
		to = first_of_family(client, w->parties.clients, family);
	if (family_of(nth(vip, from)) != family)
		from = first_of_family(vip, w->parties.vips, family);
	if (to < 0 || from < 0)
		return REASON_NO_PATH;
	path = &w->path;
	path->client = to;
	path->vip = from;
	path->server = server;
	path->source = at;
	path->from = *nth(vip, from);
	path->to = *nth(client, to);
	return GO_ON;
}
