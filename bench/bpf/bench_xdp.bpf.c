// SPDX-License-Identifier: GPL-2.0-only
/* The shipped XDP program behind generators, and the floor that it is compared with. */
#include <linux/bpf.h>

int telco_xdp(struct xdp_md *ctx) __attribute__((always_inline));
#include "xdp.bpf.c"
#include "generate.h"

/* The least that a forwarder does: send the frame back where it came from. */
SEC("xdp")
int bench_floor(struct xdp_md *ctx)
{
	struct ethhdr *eth = DATA(ctx);
	__u8 mac[6];

	if ((void *)(eth + 1) > DATA_END(ctx))
		return XDP_DROP;
	__builtin_memcpy(mac, eth->h_dest, 6);
	__builtin_memcpy(eth->h_dest, eth->h_source, 6);
	__builtin_memcpy(eth->h_source, mac, 6);
	return XDP_TX;
}

SEC("xdp")
int bench_v4(struct xdp_md *ctx)
{
	return generate_v4(DATA(ctx), DATA_END(ctx)) ? telco_xdp(ctx) : XDP_ABORTED;
}

SEC("xdp")
int bench_v6(struct xdp_md *ctx)
{
	return generate_v6(DATA(ctx), DATA_END(ctx)) ? telco_xdp(ctx) : XDP_ABORTED;
}

SEC("xdp")
int bench_many(struct xdp_md *ctx)
{
	return generate_many(DATA(ctx), DATA_END(ctx)) ? telco_xdp(ctx) : XDP_ABORTED;
}

SEC("xdp")
int bench_init(struct xdp_md *ctx)
{
	return generate_init(DATA(ctx), DATA_END(ctx)) ? telco_xdp(ctx) : XDP_ABORTED;
}

/* What the generators alone cost. */
SEC("xdp")
int bench_generate(struct xdp_md *ctx)
{
	return generate_v4(DATA(ctx), DATA_END(ctx)) ? XDP_TX : XDP_ABORTED;
}

SEC("xdp")
int bench_generate_many(struct xdp_md *ctx)
{
	return generate_many(DATA(ctx), DATA_END(ctx)) ? XDP_TX : XDP_ABORTED;
}

SEC("xdp")
int bench_generate_init(struct xdp_md *ctx)
{
	return generate_init(DATA(ctx), DATA_END(ctx)) ? XDP_TX : XDP_ABORTED;
}
