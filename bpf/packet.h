/* SPDX-License-Identifier: GPL-2.0-only */
/* A parsed packet: offsets and facts, valid until the packet is resized; and small arithmetic on addresses. */
#pragma once
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include "table.h"

/* Neither a verdict of any hook nor a reason. */
#define GO_ON (-100)
#define IPPROTO_SCTP_ 132
#define IPPROTO_ICMPV6_ 58
#define IPPROTO_FRAGMENT_ 44

struct packet {
	__u32 l3; /* offsets from data */
	__u32 l4;
	__u32 end;   /* of the IP packet */
	__u8 family; /* 4 or 6 */
	__u8 protocol;
	__u8 fragment; /* enum fragment */
	__u8 ttl;
	__be16 sport;
	__be16 dport;
	__u32 tag;   /* verification tag as on the wire */
	__u32 chunk; /* type and flags of the first chunk: type | flags << 8 */
	__u32 fragment_id;
};

enum fragment { FRAGMENT_NONE, FRAGMENT_FIRST, FRAGMENT_LATER };

struct sctphdr {
	__be16 sport;
	__be16 dport;
	__be32 tag;
	__le32 checksum;
};

struct chunk {
	__u8 type;
	__u8 flags;
	__be16 length;
};

struct init_chunk {
	struct chunk header;
	__be32 tag;
	__be32 window;
	__be16 outbound;
	__be16 inbound;
	__be32 tsn;
};

struct parameter {
	__be16 type;
	__be16 length;
};

static __always_inline struct address mapped(__be32 v4)
{
	return (struct address){ .word = { 0, 0, bpf_htonl(0xffff), v4 } };
}

static __always_inline int same(const struct address *a, const struct address *b)
{
	return a->half[0] == b->half[0] && a->half[1] == b->half[1];
}

static __always_inline int is_v4(const struct address *a)
{
	return !a->half[0] && a->word[2] == bpf_htonl(0xffff);
}

static __always_inline __u8 family_of(const struct address *a)
{
	return is_v4(a) ? 4 : 6;
}

/* The number itself, which the verifier no longer knows: one that a loop has found it would follow to the end for each of
 * its values. `unknown`: any number from memory. */
static __always_inline __u32 blurred(__u64 number, __u64 unknown)
{
	asm volatile("%0 += %1\n%0 -= %1" : "+r"(number) : "r"(unknown));
	return number;
}

/* Is an address among the first `count` of a list, and where? */
static __always_inline int index_of(const struct addresses *list, __u32 count, const struct address *address,
				    __u32 *index)
{
	for (__u32 i = 0; i < MAX_ADDRESSES; i++) {
		if (i >= count)
			break;
		if (!same(&list->at[i], address))
			continue;
		*index = blurred(i, count) & (MAX_ADDRESSES - 1);
		return 1;
	}
	return 0;
}

/* Index of an address in the first `count` of a list, or -1. */
__noinline int find_address(const struct addresses *list, __u32 count, const struct address *address)
{
	__u32 index;

	return list && address && index_of(list, count, address, &index) ? (int)index : -1;
}

static __always_inline __u32 ports_word(__be16 sport, __be16 dport)
{
	return (__u32)sport | (__u32)dport << 16;
}

static __always_inline __u64 ports_key(__be16 sport, __be16 dport, __u32 tag)
{
	return (__u64)sport | (__u64)dport << 16 | (__u64)tag << 32;
}
