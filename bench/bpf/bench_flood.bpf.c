// SPDX-License-Identifier: GPL-2.0-only
/* INITs from ever new sources, as live frames: each starts from a template, since a frame comes back as it was left. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define HALVES 37 /* of 16 bits: Ethernet, IPv4, SCTP, INIT, one address parameter */
#define AT_ID 9	  /* the places that differ, in halves */
#define AT_SOURCE 14
#define AT_PORT 17
#define AT_TAG 25

struct frame {
	__u16 half[HALVES];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct frame);
	__uint(max_entries, 1);
} frames SEC(".maps");

SEC("xdp")
int bench_flood(struct xdp_md *ctx)
{
	__u16 *data = (void *)(long)ctx->data;
	__u32 zero = 0, source = bpf_get_prandom_u32(), tag = bpf_get_prandom_u32();
	struct frame *frame = bpf_map_lookup_elem(&frames, &zero);

	if (!frame || (void *)(data + HALVES) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	for (__u32 i = 0; i < HALVES; i++)
		data[i] = frame->half[i];
	data[AT_SOURCE] = source;
	data[AT_ID] = ~source; /* the header's sum stays */
	data[AT_PORT] = source >> 16 | 1;
	data[AT_TAG] = tag;
	data[AT_TAG + 1] = tag >> 16 | 1;
	return XDP_TX;
}

char LICENSE[] SEC("license") = "GPL";
