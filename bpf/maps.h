/* SPDX-License-Identifier: GPL-2.0-only */
/* Every map is pinned by its name and outlives the daemon; sizes are set before loading. */
#pragma once
#include <bpf/bpf_helpers.h>
#include "types.h"

#define ARRAY(NAME, VALUE, ENTRIES)                                                                                    \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                                      \
		__uint(map_flags, BPF_F_MMAPABLE);                                                                     \
		__type(key, __u32);                                                                                    \
		__type(value, VALUE);                                                                                  \
		__uint(max_entries, ENTRIES);                                                                          \
	} NAME SEC(".maps")

#define HASH(NAME, KEY, VALUE, ENTRIES)                                                                                \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_HASH);                                                                       \
		__uint(map_flags, BPF_F_NO_PREALLOC);                                                                  \
		__type(key, KEY);                                                                                      \
		__type(value, VALUE);                                                                                  \
		__uint(max_entries, ENTRIES);                                                                          \
	} NAME SEC(".maps")

/* Both directions of every conversation, open addressed. */
ARRAY(table, struct entry, 1 << 18);
/* What else must be found, open addressed. */
ARRAY(index_table, struct index_slot, 1 << 18);
/* What clients dial, open addressed. */
ARRAY(vips, struct vip_slot, 1 << 19);
ARRAY(conversations, struct conversation, 1 << 16);
/* Handshakes in progress: the ways of bucket b are handshakes 8b to 8b+7. */
ARRAY(buckets, struct bucket, 1 << 12);
ARRAY(handshakes, struct handshake, 1 << 15);

ARRAY(services, struct service, 1 << 17);
ARRAY(service_totals, struct totals, 1 << 17);
ARRAY(endpoints, struct endpoint, 1 << 13);
ARRAY(endpoint_totals, struct totals, 1 << 13);
HASH(members, struct member_key, __u32, 1 << 16);
HASH(vlans, __u32, struct vlan, 1 << 12);

ARRAY(nexthops, struct nexthop, 1 << 12);
ARRAY(control, struct control, 1);
ARRAY(meta, struct meta, 1);
ARRAY(checksum_lines, struct checksum_line, CHECKSUM_LINES);

/* Conversations that no table slot was free for, and clients that share a tag and ports (dnat). */
struct overflow_key {
	__u64 key;
	struct address client; /* zero: the probes were full */
};
HASH(overflow, struct overflow_key, struct entry, 1 << 12);

/* What later fragments of a packet become. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct fragment_key);
	__type(value, struct fragment_value);
	__uint(max_entries, 1 << 12);
} fragments SEC(".maps");

/* Numbers of unused conversations. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__type(value, __u32);
	__uint(max_entries, 1 << 16);
} unused SEC(".maps");

/* Sources that a restricted service accepts. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct source_key);
	__type(value, __u32);
	__uint(max_entries, 1 << 17);
} sources SEC(".maps");

/* Slot 0 of a ring is its length, the others are endpoints; a ring is replaced whole. */
struct ring {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__type(key, __u32);
	__uint(max_entries, 1 << 12);
	__array(values, struct ring);
} rings SEC(".maps");
/* Where the next round-robin pick of a ring goes. */
ARRAY(ring_turns, __u32, 1 << 12);

/* By enum reason. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct counter);
	__uint(max_entries, REASON_COUNT);
} drops SEC(".maps");

/* Tokens of what is limited in rate, for each CPU. */
struct bucket_of_tokens {
	__u32 second; /* jiffies of the last refill */
	__u32 left;
};
enum limited { LIMITED_ICMP, LIMITED_EVENTS, LIMITED_COUNT };
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct bucket_of_tokens);
	__uint(max_entries, LIMITED_COUNT);
} tokens SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

/* Set once before loading; equal for every program that shares the maps. */
const volatile __u64 seed = 0x9e3779b97f4a7c15; /* odd */
const volatile __u32 table_bits = 18;
const volatile __u32 index_bits = 18;
const volatile __u32 vip_bits = 19;
const volatile __u32 pending_bits = 12;
const volatile __u32 nexthop_mask = (1 << 12) - 1;
const volatile __u32 hz = 250;
