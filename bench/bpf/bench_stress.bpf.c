// SPDX-License-Identifier: GPL-2.0-only
/* Hits on associations that both CPUs are making and ending, each translated packet checked where it is. */
#include <linux/bpf.h>

int telco_xdp(struct xdp_md *ctx) __attribute__((always_inline));
#include "xdp.bpf.c"
#include "generate.h"

/* Of one worker: which associations it hits, and what became of the packets. */
struct strain {
	__u64 count;
	__u32 first;
	__u32 range;
	__u64 translated;
	__u64 refused; /* no such association, just now */
	__u64 wrong;   /* translated into something else: an error whatever happens meanwhile */
};
ARRAY(strains, struct strain, 2);

/* The packet of association i is as its translation must have left it. */
static __always_inline int is_right(ctx_t *ctx, __u32 i, __u32 reverse)
{
	struct sender *to = sender_of((i & 15) << 1 | (reverse ^ 1));
	void *data = DATA(ctx);
	__u32 ports;

	if (!to || data + V4_HEADERS > DATA_END(ctx))
		return 0;
	ports = reverse ? (__u32)to->dport | (__u32)port_of(i) << 16 : (__u32)port_of(i) | (__u32)to->sport << 16;
	return *(__u32 *)(data + 26) == to->destination.word[3] && *(__u32 *)(data + 30) == to->source.word[3] &&
	       *(__u32 *)(data + 34) == ports;
}

static __always_inline int strain_on(ctx_t *ctx, __u32 worker)
{
	struct strain *strain = bpf_map_lookup_elem(&strains, &worker);
	__u32 drawn, i, reverse;

	if (!strain || !strain->range)
		return XDP_ABORTED;
	drawn = scatter(++strain->count);
	i = strain->first + (drawn >> 1) % strain->range;
	reverse = drawn & 1;
	if (!generate_of(DATA(ctx), DATA_END(ctx), i, reverse))
		return XDP_ABORTED;
	if (telco_xdp(ctx) != XDP_TX)
		strain->refused++;
	else if (is_right(ctx, i, reverse))
		strain->translated++;
	else
		strain->wrong++;
	return XDP_TX;
}

SEC("xdp")
int bench_strain_0(struct xdp_md *ctx)
{
	return strain_on(ctx, 0);
}

SEC("xdp")
int bench_strain_1(struct xdp_md *ctx)
{
	return strain_on(ctx, 1);
}
