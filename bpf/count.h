/* SPDX-License-Identifier: GPL-2.0-only */
/* Counted reasons, rate limits, and whether somebody traces. */
#pragma once
#include "packet.h"

static __always_inline void count(enum reason reason, __u32 bytes)
{
	__u32 index = reason;
	struct counter *counter = bpf_map_lookup_elem(&drops, &index);

	if (counter) {
		counter->packets++;
		counter->bytes += bytes;
	}
}

static __always_inline int allowed(__u32 what, __u32 per_second)
{
	struct bucket_of_tokens *bucket = bpf_map_lookup_elem(&tokens, &what);
	__u32 now = (__u32)bpf_jiffies64();

	if (!bucket)
		return 0;
	if (now - bucket->second >= hz) {
		bucket->second = now;
		bucket->left = per_second;
	}
	if (!bucket->left)
		return 0;
	bucket->left--;
	return 1;
}

static __always_inline int tracing(void)
{
	__u32 zero = 0;
	struct control *c = bpf_map_lookup_elem(&control, &zero);

	return c && c->trace;
}
