/* SPDX-License-Identifier: GPL-2.0-only */
/* Which service a packet dials, who may, and which endpoint a new conversation gets. */
#pragma once
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

/* Exact port first, then the port ranges of that VIP from the longest prefix to the shortest. */
__noinline int dial(const struct address *to, __u32 port_protocol, struct dialled *found)
{
	struct vip_key key = { .port = (__be16)port_protocol, .protocol = port_protocol >> 16, .plen = 16 };
	struct vip_value *value, *lengths;
	struct service *service;

	if (!to || !found)
		return 0;
	key.address = *to;
	found->ours = 1;
	value = bpf_map_lookup_elem(&vips, &key);
	if (!value) {
		key.port = 0;
		key.plen = VIP_LENGTHS;
		lengths = bpf_map_lookup_elem(&vips, &key);
		found->ours = lengths != NULL;
		for (int plen = 15; plen >= 0 && !value; plen--) {
			if (!lengths || !(lengths->service >> plen & 1))
				continue;
			key.port = port_prefix((__be16)port_protocol, plen);
			key.plen = plen;
			value = bpf_map_lookup_elem(&vips, &key);
		}
		if (!value)
			return 0;
	}
	found->number = value->service;
	found->vip = value->vip & (MAX_ADDRESSES - 1);
	service = service_of(value->service);
	return service && service->active;
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
