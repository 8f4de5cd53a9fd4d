/* SPDX-License-Identifier: GPL-2.0-only */
/* Bytes of the packet. The hook (xdp.bpf.c, tc.bpf.c) defines ctx_t, its verdicts and the hook_ functions before it
 * includes the core. */
#pragma once
#include "packet.h"

#define DATA(ctx) ((void *)(long)(ctx)->data)
#define DATA_END(ctx) ((void *)(long)(ctx)->data_end)
#define barrier_of(x) asm volatile("" : "+r"(x))

/* An access of SIZE bytes at a variable offset, or NULL. */
#define AT(ctx, offset, size)                                                                                          \
	({                                                                                                             \
		__u32 offset_ = (offset);                                                                              \
		void *at_;                                                                                             \
		barrier_of(offset_);                                                                                   \
		offset_ &= OFFSET_MASK;                                                                                \
		at_ = DATA(ctx) + offset_;                                                                             \
		at_ + (size) > DATA_END(ctx) ? NULL : at_;                                                             \
	})

static __always_inline void load_addresses(ctx_t *ctx, const struct packet *p, struct address *source,
					   struct address *destination)
{
	if (p->family == 4) {
		struct iphdr *ip = AT(ctx, p->l3, sizeof(*ip));

		if (ip) {
			*source = mapped(ip->saddr);
			*destination = mapped(ip->daddr);
		}
	} else {
		struct ipv6hdr *ip = AT(ctx, p->l3, sizeof(*ip));

		if (ip) {
			__builtin_memcpy(source, &ip->saddr, sizeof(*source));
			__builtin_memcpy(destination, &ip->daddr, sizeof(*destination));
		}
	}
}
