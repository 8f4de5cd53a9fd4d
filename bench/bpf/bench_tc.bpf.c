// SPDX-License-Identifier: GPL-2.0-only
/* The shipped tc program behind a generator, and its floor. */
#include <linux/bpf.h>

int telco_tc(struct __sk_buff *ctx) __attribute__((always_inline));
#include "tc.bpf.c"
#include "generate.h"

SEC("tc")
int bench_tc_floor(struct __sk_buff *ctx)
{
	struct ethhdr *eth = DATA(ctx);
	__u8 mac[6];

	if ((void *)(eth + 1) > DATA_END(ctx))
		return TC_ACT_SHOT;
	__builtin_memcpy(mac, eth->h_dest, 6);
	__builtin_memcpy(eth->h_dest, eth->h_source, 6);
	__builtin_memcpy(eth->h_source, mac, 6);
	return bpf_redirect(ctx->ifindex, 0);
}

SEC("tc")
int bench_tc_v4(struct __sk_buff *ctx)
{
	return generate_v4(DATA(ctx), DATA_END(ctx)) ? telco_tc(ctx) : TC_ACT_SHOT;
}
