/* SPDX-License-Identifier: GPL-2.0-only */
/* A packet changes where it lies, and a test run repeats on what is left of it: these put back, before each repetition,
 * what the datapath will change, for one conversation or for one of many chosen by a counter. */
#pragma once
#include "senders.h"

/* Up to the last parameter that is edited. */
#define INIT_WORDS 15
struct init_frame {
	__u64 word[INIT_WORDS];
};
ARRAY(init_frames, struct init_frame, 1);

#define V4_HEADERS (14 + 20 + 12)
#define V6_HEADERS (14 + 40 + 12)
#define PUT(data, at, type, value) (*(type *)((data) + (at)) = (value))

static __always_inline int put_v4(void *data, const struct sender *from, __u32 ports, __u32 tag)
{
	PUT(data, 22, __u32, from->lifetime);
	PUT(data, 26, __u32, from->source.word[3]);
	PUT(data, 30, __u32, from->destination.word[3]);
	PUT(data, 34, __u32, ports);
	PUT(data, 38, __u32, tag);
	PUT(data, 42, __u32, from->checksum);
	return 1;
}

static __always_inline int generate_v4(void *data, void *end)
{
	struct sender *from = sender_of(0);

	if (!from || data + V4_HEADERS > end)
		return 0;
	return put_v4(data, from, (__u32)from->sport | (__u32)from->dport << 16, from->tag);
}

static __always_inline int generate_v6(void *data, void *end)
{
	struct sender *from = sender_of(0);

	if (!from || data + V6_HEADERS > end)
		return 0;
	PUT(data, 20, __u16, from->lifetime);
	PUT(data, 22, __u64, from->source.half[0]);
	PUT(data, 30, __u64, from->source.half[1]);
	PUT(data, 38, __u64, from->destination.half[0]);
	PUT(data, 46, __u64, from->destination.half[1]);
	PUT(data, 54, __u32, (__u32)from->sport | (__u32)from->dport << 16);
	PUT(data, 62, __u32, from->checksum);
	return 1;
}

/* DATA of association i, from its client or from its endpoint. */
static __always_inline int generate_of(void *data, void *end, __u32 i, __u32 reverse)
{
	struct sender *from = sender_of((i & 15) << 1 | reverse);

	if (!from || data + V4_HEADERS > end)
		return 0;
	if (reverse)
		return put_v4(data, from, (__u32)from->sport | (__u32)port_of(i) << 16, client_tag_of(i));
	return put_v4(data, from, (__u32)port_of(i) | (__u32)from->dport << 16, server_tag_of(i));
}

/* Either direction of one of many: every entry comes once before any comes again, at slots that follow no order. */
static __always_inline int generate_many(void *data, void *end)
{
	struct turn *turn = this_turn();
	__u32 entry;

	if (!turn)
		return 0;
	entry = (__u32)(turn->count++ * 0x9e3779b1) & turn->mask;
	return generate_of(data, end, entry >> 1, entry & 1);
}

/* A first INIT of a client that was not there before: another source address, port and tag each time. */
static __always_inline int generate_init(void *data, void *end)
{
	struct turn *turn = this_turn();
	struct init_frame *frame;
	__u32 zero = 0, drawn, source;
	__u64 difference;

	frame = bpf_map_lookup_elem(&init_frames, &zero);
	if (!turn || !frame || data + sizeof(*frame) > end)
		return 0;
	for (__u32 i = 0; i < INIT_WORDS; i++)
		PUT(data, 8 * i, __u64, frame->word[i]);
	drawn = scatter(++turn->count);
	source = *(__u32 *)(data + 26) ^ (drawn & 0xffff00) << 8;
	difference = (__u64)(__u32) ~*(__u32 *)(data + 26) + source;
	PUT(data, 26, __u32, source);
	PUT(data, 24, __u16, csum_update(*(__u16 *)(data + 24), difference));
	PUT(data, 34, __u16, bpf_htons(1024 + turn->count % 64000));
	PUT(data, 50, __u32, drawn);
	PUT(data, 70, __u32, source); /* the first address that the chunk lists */
	return 1;
}
