/* SPDX-License-Identifier: GPL-2.0-only */
/* Which service a packet dials, who may, and which endpoint a new conversation gets. */
#pragma once
#include "vips.h"
#include "work.h"

static __always_inline struct service *service_of(__u32 number)
{
	return bpf_map_lookup_elem(&services, &number);
}

static __always_inline struct endpoint *endpoint_of(__u32 number)
{
	return bpf_map_lookup_elem(&endpoints, &number);
}

static __always_inline __be16 port_prefix(__be16 port, __u32 plen)
{
	return bpf_htons(bpf_ntohs(port) & (__u16)(0xffff0000u >> plen));
}

static __always_inline int dialled(__u32 value, struct dialled *found)
{
	struct service *service;

	found->ours = 1;
	found->number = VIP_SERVICE(value);
	found->vip = value >> VIP_INDEX_SHIFT;
	service = service_of(found->number);
	return service && service->active;
}

/* What is not near its home, and the port ranges of a VIP from the longest prefix to the shortest. */
__noinline int dial_far(const struct address *to, __u32 port_protocol, struct dialled *found)
{
	__be16 port = (__be16)port_protocol;
	__u32 protocol = port_protocol >> 16, value, lengths;

	if (!to || !found)
		return 0;
	value = vip_search(to, VIP_WORD(port, protocol, 16));
	if (value != NO_SLOT)
		return dialled(value, found);
	lengths = vip_search(to, VIP_WORD(0, protocol, VIP_LENGTHS));
	found->ours = lengths != NO_SLOT;
	if (lengths == NO_SLOT)
		return 0;
	for (int plen = 15; plen >= 0; plen--) {
		if (!(lengths >> plen & 1))
			continue;
		value = vip_search(to, VIP_WORD(port_prefix(port, plen), protocol, plen));
		if (value != NO_SLOT)
			return dialled(value, found);
	}
	return 0;
}

/* Which service a packet to this address, port and protocol (in the upper half) dials; whether it takes new clients. */
static __always_inline int dial(const struct address *to, __u32 port_protocol, struct dialled *found)
{
	__u32 value = vip_find(to, port_protocol | VIP_WORD(0, 0, 16), VIP_NEAR);

	return value == NO_SLOT ? dial_far(to, port_protocol, found) : dialled(value, found);
}

static __always_inline int source_allowed(const struct service *service, __u32 number, const struct address *from)
{
	struct source_key key = { .prefixlen = 160, .service = number, .address = *from };

	return !service->restricted || bpf_map_lookup_elem(&sources, &key);
}

static __always_inline int is_member(__u32 pool, const struct address *address)
{
	struct member_key key = { .address = *address, .pool = pool };

	return bpf_map_lookup_elem(&members, &key) != NULL;
}

/* Where it listens for conversations that dial this port. */
static __always_inline __be16 server_port(const struct endpoint *endpoint, __be16 dialled_port)
{
	return endpoint->port ? endpoint->port : dialled_port;
}

/* In these modes the endpoint sees the client's own port, and no other is reserved. */
static __always_inline int keeps_port(__u32 mode)
{
	return mode == MODE_DNAT || mode == MODE_DSR;
}

/* May this endpoint take a new conversation of this family? */
static __always_inline int usable(const struct endpoint *endpoint)
{
	return endpoint && endpoint->admin == ENDPOINT_UP && endpoint->live;
}

struct least {
	void *ring;
	__u32 length;
	__u32 best;
	__u64 load;
	__u64 weight;
};

static long compare_least(__u32 i, struct least *least)
{
	__u32 at = i + 1, number, *slot = bpf_map_lookup_elem(least->ring, &at);
	struct endpoint *endpoint;
	struct totals *totals;

	if (!slot)
		return 1;
	number = *slot;
	endpoint = endpoint_of(number);
	totals = bpf_map_lookup_elem(&endpoint_totals, &number);
	if (!usable(endpoint) || !totals || !endpoint->weight)
		return 0;
	if (least->best == NO_SLOT || totals->conversations * least->weight < least->load * endpoint->weight) {
		least->best = number;
		least->load = totals->conversations;
		least->weight = endpoint->weight;
	}
	return 0;
}

static __always_inline __u32 turn_of(__u32 ring)
{
	__u32 *turn = bpf_map_lookup_elem(&ring_turns, &ring);

	return turn ? __sync_fetch_and_add(turn, 1) : 0;
}

static __always_inline __u32 least_loaded(void *ring, __u32 length)
{
	struct least least = { .ring = ring, .length = length, .best = NO_SLOT };

	bpf_loop(length < MAX_LEAST ? length : MAX_LEAST, compare_least, &least, 0);
	return least.best;
}

static __always_inline __u32 ring_position(const struct service *service, const struct address *from, __u32 ports)
{
	__u64 hash = mix(from->half[1] ^ from->half[0]);

	if (service->pick == PICK_COUNTER)
		return turn_of(service->ring);
	if (service->pick == PICK_RANDOM)
		return bpf_get_prandom_u32();
	return (__u32)(service->pick == PICK_SOURCE ? hash : mix(hash ^ ports)) >> 1;
}

/* An endpoint's number, or NO_SLOT. The ring holds live endpoints only; one that died a moment ago is stepped over. */
__noinline __u32 pick_endpoint(__u32 number, const struct address *from, __u32 ports)
{
	struct service *service = service_of(number);
	__u32 zero = 0, *length, *slot, at;
	void *ring;

	if (!service || !from)
		return NO_SLOT;
	number = service->ring;
	ring = bpf_map_lookup_elem(&rings, &number);
	if (!ring)
		return NO_SLOT;
	length = bpf_map_lookup_elem(ring, &zero);
	if (!length || !*length)
		return NO_SLOT;
	if (service->pick == PICK_LEAST)
		return least_loaded(ring, *length);
	at = ring_position(service, from, ports);
	for (__u32 i = 0; i < PROBES; i++) {
		__u32 index = (at + i) % *length + 1;

		slot = bpf_map_lookup_elem(ring, &index);
		if (slot && usable(endpoint_of(*slot)))
			return *slot;
	}
	return NO_SLOT;
}
