// SPDX-License-Identifier: GPL-2.0-only
/* The datapath as an XDP program. What it cannot resolve it passes, untouched, to the tc program of the interface. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

typedef struct xdp_md ctx_t;
#define VERDICT_PASS XDP_PASS
#define VERDICT_DROP XDP_DROP
#define HOOK_RESOLVES 0

static __always_inline __u32 hook_ifindex(ctx_t *ctx)
{
	return ctx->ingress_ifindex;
}

static __always_inline int hook_segmented(ctx_t *ctx)
{
	return 0;
}

static __always_inline __u32 hook_length(ctx_t *ctx)
{
	return ctx->data_end - ctx->data;
}

static __always_inline int hook_tagged(ctx_t *ctx)
{
	return 0;
}

static __always_inline int hook_set_length(ctx_t *ctx, __u32 length)
{
	int delta = (int)length - (int)hook_length(ctx);

	return delta ? (int)bpf_xdp_adjust_tail(ctx, delta) : 0;
}

static __always_inline int hook_grow_head(ctx_t *ctx, __u32 room)
{
	return (int)bpf_xdp_adjust_head(ctx, -(int)room);
}

static __always_inline int hook_transmit(ctx_t *ctx, __u32 ifindex)
{
	return ifindex == ctx->ingress_ifindex ? XDP_TX : (int)bpf_redirect(ifindex, 0);
}

static __always_inline int hook_reflect(ctx_t *ctx)
{
	return XDP_TX;
}

static __always_inline int hook_vlan(ctx_t *ctx, __u32 l3, __u16 vlan);

static __always_inline int hook_transport_checksum(ctx_t *ctx, __u32 at, __u64 changed, __u32 was, __u32 now,
						   __u32 udp);

#include "core.h"

/* The frame carries the whole checksum; UDP's 0 means none (RFC 768). */
static __always_inline int hook_transport_checksum(ctx_t *ctx, __u32 at, __u64 changed, __u32 was, __u32 now, __u32 udp)
{
	__sum16 *sum = AT(ctx, at, sizeof(*sum));

	if (!sum)
		return 0;
	if (udp && !*sum)
		return 1;
	*sum = csum_update(*sum, changed + (__u32)~was + now);
	if (udp && !*sum)
		*sum = 0xffff;
	return 1;
}
#include "xdp_vlan.h"

static __always_inline int hook_redirect_neighbour(ctx_t *ctx, __u32 ifindex, const struct address *gateway)
{
	return XDP_ABORTED;
}

SEC("xdp")
int telco_xdp(struct xdp_md *ctx)
{
	return balance(ctx);
}

char LICENSE[] SEC("license") = "GPL";
