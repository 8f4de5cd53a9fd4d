// SPDX-License-Identifier: GPL-2.0-only
/* The datapath as a tc program (TCX, or clsact before kernel 6.6): alone, or behind XDP for what that left untouched. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

typedef struct __sk_buff ctx_t;
#define VERDICT_PASS TC_ACT_UNSPEC
#define VERDICT_DROP TC_ACT_SHOT
#define HOOK_RESOLVES 1
/* Bytes that must be linear: any INIT, any header. */
#define LINEAR 1514

static __always_inline __u32 hook_ifindex(ctx_t *ctx)
{
	return ctx->ifindex;
}

static __always_inline int hook_segmented(ctx_t *ctx)
{
	return ctx->gso_size != 0;
}

static __always_inline __u32 hook_length(ctx_t *ctx)
{
	return ctx->len;
}

/* A VLAN tag that is not in the frame. */
static __always_inline int hook_tagged(ctx_t *ctx)
{
	return ctx->vlan_present;
}

static __always_inline int hook_set_length(ctx_t *ctx, __u32 length)
{
	return length == ctx->len ? 0 : (int)bpf_skb_change_tail(ctx, length, 0);
}

static __always_inline int hook_grow_head(ctx_t *ctx, __u32 room)
{
	return (int)bpf_skb_change_head(ctx, room, 0);
}

static __always_inline int hook_transmit(ctx_t *ctx, __u32 ifindex)
{
	return (int)bpf_redirect(ifindex, 0);
}

static __always_inline int hook_reflect(ctx_t *ctx)
{
	return (int)bpf_redirect(ctx->ifindex, 0);
}

/* The stack has taken the tag off the frame and keeps it beside; a second one is still inside. */
static __always_inline int hook_vlan(ctx_t *ctx, __u32 l3, __u16 vlan)
{
	if (l3 != 14)
		return -1;
	if (ctx->vlan_present && bpf_skb_vlan_pop(ctx))
		return -1;
	return vlan ? (int)bpf_skb_vlan_push(ctx, bpf_htons(0x8100), vlan & 0xfff) : 0;
}

static __always_inline int hook_transport_checksum(ctx_t *ctx, __u32 at, __u64 changed, __u32 was, __u32 now,
						   __u32 udp);

#include "core.h"

/* The kernel's own helpers, which know whether the checksum is finished; UDP's 0 means none (RFC 768). */
static __always_inline int hook_transport_checksum(ctx_t *ctx, __u32 at, __u64 changed, __u32 was, __u32 now, __u32 udp)
{
	__u64 flags = udp ? BPF_F_MARK_MANGLED_0 : 0;
	__u64 folded = (changed & 0xffffffff) + (changed >> 32);

	folded = (folded & 0xffffffff) + (folded >> 32);
	return !bpf_l4_csum_replace(ctx, at, 0, folded, BPF_F_PSEUDO_HDR | flags) &&
	       (was == now || !bpf_l4_csum_replace(ctx, at, was, now, sizeof(now) | flags));
}

static __always_inline int hook_redirect_neighbour(ctx_t *ctx, __u32 ifindex, const struct address *gateway)
{
	struct bpf_redir_neigh to = { .nh_family = is_v4(gateway) ? AF_INET_ : AF_INET6_ };

	if (is_v4(gateway))
		to.ipv4_nh = gateway->word[3];
	else
		__builtin_memcpy(to.ipv6_nh, gateway, sizeof(to.ipv6_nh));
	return (int)bpf_redirect_neigh(ifindex, &to, sizeof(to), 0);
}

SEC("tc")
int telco_tc(struct __sk_buff *ctx)
{
	__u32 want = ctx->len < LINEAR ? ctx->len : LINEAR;

	if (DATA(ctx) + want > DATA_END(ctx) && bpf_skb_pull_data(ctx, want))
		return VERDICT_PASS;
	return balance(ctx);
}

char LICENSE[] SEC("license") = "GPL";
