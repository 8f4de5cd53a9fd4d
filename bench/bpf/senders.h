/* SPDX-License-Identifier: GPL-2.0-only */
/* Whose packets are generated: one conversation, or the associations 0 to many, whose tags and ports follow from their
 * numbers, so that generating a packet touches no memory of its own. */
#pragma once
#include "maps.h"
#include <bpf/bpf_endian.h>

/* What a translated packet no longer has: lifetime, addresses, ports, checksum. As on the wire. */
struct sender {
	__u32 lifetime; /* TTL, protocol, header checksum; IPv6: next header and hop limit are in its upper half */
	__u32 checksum;
	__be16 sport;
	__be16 dport;
	__be32 tag;
	struct address source;
	struct address destination;
	__u64 pad;
};
_Static_assert(sizeof(struct sender) == 56, "user space packs it");

#define SENDERS 32 /* a client and an endpoint for each of 16 pairs */
ARRAY(senders, struct sender, SENDERS);

/* Where the counter stands, and how many entries are to be hit: a power of two. */
struct turn {
	__u64 count;
	__u64 mask;
};
ARRAY(turns, struct turn, 1);

/* A bijection of 32 bits that leaves only 0 where it is (MurmurHash3's finaliser). */
static __always_inline __u32 scatter(__u32 x)
{
	x ^= x >> 16;
	x *= 0x85ebca6b;
	x ^= x >> 13;
	x *= 0xc2b2ae35;
	return x ^ x >> 16;
}

/* Association i of many: its tags, and a port that its endpoint (i modulo 16) sees from nobody else. */
static __always_inline __u32 client_tag_of(__u32 i)
{
	return scatter(2 * i + 1);
}

static __always_inline __u32 server_tag_of(__u32 i)
{
	return scatter(2 * i + 2);
}

static __always_inline __be16 port_of(__u32 i)
{
	return bpf_htons(1024 + (i >> 4) % 64000);
}

static __always_inline struct sender *sender_of(__u32 number)
{
	return bpf_map_lookup_elem(&senders, &number);
}

static __always_inline struct turn *this_turn(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&turns, &zero);
}
