// SPDX-License-Identifier: GPL-2.0-only
/* Both ends of a wire: a generator of live frames, and a sink that counts those which arrive translated. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

struct sink {
	__be32 source; /* what a translated packet has */
	__be32 destination;
	__u64 translated;
	__u64 other;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct sink);
	__uint(max_entries, 1);
} sinks SEC(".maps");

/* Ethernet, IPv4 and SCTP headers of what is sent. A live frame comes back as its last receiver left it. */
#define HEADER_WORDS 6
struct header {
	__u64 word[HEADER_WORDS];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct header);
	__uint(max_entries, 1);
} headers SEC(".maps");

SEC("xdp")
int bench_emit(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 zero = 0;
	struct header *header = bpf_map_lookup_elem(&headers, &zero);

	if (!header || data + sizeof(*header) > end)
		return XDP_DROP;
	for (__u32 i = 0; i < HEADER_WORDS; i++)
		((__u64 *)data)[i] = header->word[i];
	return XDP_TX;
}

SEC("xdp")
int bench_sink(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);
	__u32 zero = 0;
	struct sink *sink = bpf_map_lookup_elem(&sinks, &zero);

	if (!sink || (void *)(ip + 1) > end || ((struct ethhdr *)data)->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	if (ip->protocol != 132)
		return XDP_PASS;
	if (ip->saddr == sink->source && ip->daddr == sink->destination)
		__sync_fetch_and_add(&sink->translated, 1);
	else
		__sync_fetch_and_add(&sink->other, 1);
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
