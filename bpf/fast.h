/* SPDX-License-Identifier: GPL-2.0-only */
/* What nearly every packet is, in one piece: untagged, without options or extension headers, of an association, with
 * data or a lone acknowledgement, and a live way out. One bounds check, offsets that the compiler knows, nothing copied.
 * Whatever else it is goes on, untouched, the complete way, which knows every rule. */
#pragma once
#include "established.h"

/* Neither opens nor ends an association: DATA, perhaps behind a SACK, or one acknowledgement or heartbeat alone. */
static __always_inline int is_plain(ctx_t *ctx, const struct chunk *chunk, __u32 at, __u32 end)
{
	__u32 type = chunk->type, next = at + ((bpf_ntohs(chunk->length) + 3) & ~3);
	struct chunk *second;

	if (type == CHUNK_DATA || type == CHUNK_I_DATA)
		return 1;
	if (type <= CHUNK_INIT_ACK || type >= CHUNK_ABORT || bpf_ntohs(chunk->length) < sizeof(*chunk))
		return 0;
	if (next == end)
		return 1;
	second = AT(ctx, next, sizeof(*second));
	return second && next + sizeof(*second) <= end && second->type == CHUNK_DATA;
}

/* The two MAC addresses of a way out, and its interface. */
struct fast_out {
	__u64 low;
	__u32 high;
	__u32 ifindex;
};

/* A current next hop that wants no tag and takes the packet whole. */
static __always_inline int fast_nexthop(const struct address *via, __u32 length, struct fast_out *out)
{
	struct nexthop *slot = nexthop_slot(via);
	__u64 version;

	if (!slot)
		return 0;
	version = READ_ONCE(slot->version);
	if (version >> 32 != generation() || version & 1 || !same(&slot->to, via) || slot->vlan || length > slot->mtu)
		return 0;
	out->low = *(__u64 *)slot->macs;
	out->high = *(__u32 *)(slot->macs + 8);
	out->ifindex = slot->ifindex;
	return READ_ONCE(slot->version) == version;
}

static __always_inline int fast_leave(ctx_t *ctx, struct ethhdr *eth, const struct fast_out *out)
{
	*(__u64 *)eth = out->low;
	*(__u32 *)((void *)eth + 8) = out->high;
	return hook_transmit(ctx, out->ifindex);
}

/* Its association's entry, where that has IPv4 paths or (wide) all of them in the conversation. */
static __always_inline struct entry *fast_entry(const struct sctphdr *sctp, __u32 wide)
{
	struct entry *entry;

	if (!sctp->sport)
		return NULL;
	entry = table_find(ports_key(sctp->sport, sctp->dport, sctp->tag));
	if (!entry || (entry->flags & (ENTRY_WIDE | ENTRY_FLOW)) != wide ||
	    entry->flags >> ENTRY_MODE_SHIFT == MODE_DSR)
		return NULL;
	return entry;
}
