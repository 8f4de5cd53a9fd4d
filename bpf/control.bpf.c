// SPDX-License-Identifier: GPL-2.0-only
/* What user space asks of the tables: it runs the datapath's own functions, so that both keep the same rules.
 * Arguments and results are the "packet" of an XDP program that is only test-run: syscall programs sleep, and before
 * kernel 6.3 what sleeps may not use a queue. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "conversation.h"

/* The program's arguments, or an end. */
#define ARGUMENTS(type, name)                                                                                          \
	struct type *name = (void *)(long)ctx->data;                                                                   \
	if ((void *)(name + 1) > (void *)(long)ctx->data_end)                                                          \
		return XDP_ABORTED;

/* Fills the queue of unused conversations and the checksum lines: once, when the maps are new. */
struct setup {
	__u32 conversations;
	__u32 lines;
};

/* Ends what has been silent for its timeout, in a slice of conversations and of handshakes. */
struct sweep {
	__u32 conversation;  /* first of the slice */
	__u32 conversations; /* how many */
	__u32 handshake;
	__u32 handshakes;
	__u32 live; /* results: conversations that stay */
	__u32 ended;
	__u32 pending;
	__u32 expired;
	__u64 jiffies;
};

/* Puts the first so many of vip_changes into the table of VIPs, or deletes them. */
struct change_vips {
	__u32 count;
	__u32 remove;
	__u32 changed; /* result: less than count if there was no room, or if one to delete was not there */
};

/* Ends one conversation. */
struct end {
	__u32 conversation;
	__u32 how;
	__u32 ended; /* result */
};

/* Never set: makes the compiler record these types for user space. */
const volatile struct names {
	enum mode mode;
	enum pick pick;
	enum refusal refusal;
	enum state state;
	enum reason reason;
	enum endpoint_admin admin;
	enum event_type event;
	enum entry_flag entry;
	enum index_kind index;
	enum layout layout;
	struct event event_record;
	struct setup setup;
	struct sweep sweep;
	struct change_vips change_vips;
	struct vip_slot vip_slot;
	struct end end;
} names;

/* Arguments of change_vips: many more than a packet holds. */
ARRAY(vip_changes, struct vip, VIP_BATCH);

static long put_unused(__u32 i, void *unused_ctx)
{
	return bpf_map_push_elem(&unused, &i, 0) != 0;
}

static __always_inline __u32 crc_bytes(__u32 sum, __u32 bytes)
{
	for (__u32 i = 0; i < bytes * 8; i++)
		sum = sum & 1 ? sum >> 1 ^ 0x82f63b78 : sum >> 1;
	return sum;
}

/* Line 0 leaves a word as it is; each further line is the one before it, four bytes on. */
static long put_line(__u32 i, void *unused_ctx)
{
	__u32 before = i - 1;
	struct checksum_line *line = bpf_map_lookup_elem(&checksum_lines, &i), *last;

	last = bpf_map_lookup_elem(&checksum_lines, &before);
	if (!line)
		return 1;
	for (__u32 nibble = 0; nibble < 8; nibble++) {
		__u32 bit[4];

		for (__u32 b = 0; b < 4; b++)
			bit[b] = last ? crc_bytes(last->product[nibble][1 << b], 4) : 1u << (nibble * 4 + b);
		for (__u32 y = 0; y < 16; y++)
			line->product[nibble][y] = (y & 1 ? bit[0] : 0) ^ (y & 2 ? bit[1] : 0) ^ (y & 4 ? bit[2] : 0) ^
						   (y & 8 ? bit[3] : 0);
	}
	return 0;
}

SEC("xdp")
int setup(struct xdp_md *ctx)
{
	ARGUMENTS(setup, args)
	bpf_loop(args->lines, put_line, NULL, 0);
	bpf_loop(args->conversations, put_unused, NULL, 0);
	return XDP_PASS;
}

static __always_inline __u32 idle_since(const struct conversation *c)
{
	struct entry *forward = placed(c, forward_key(c), c->forward);
	struct entry *reverse = placed(c, reverse_key(c), c->reverse);
	__u32 last = c->created;

	if (forward && (int)(forward->last - last) > 0)
		last = forward->last;
	if (reverse && (int)(reverse->last - last) > 0)
		last = reverse->last;
	return last;
}

/* Jiffies of silence after which it ends; a flow that the endpoint has never answered counts as pending. */
static __always_inline __u32 patience(const struct conversation *c, __u32 state)
{
	struct service *service = service_of(c->service);
	struct entry *reverse;

	if (!service)
		return 0;
	if (state != STATE_ESTABLISHED)
		return service->shutdown;
	if (c->protocol == IPPROTO_SCTP_)
		return service->established;
	reverse = table_slot(c->reverse);
	return reverse && !reverse->packets[0] ? service->pending : service->established;
}

static long sweep_conversation(__u32 i, struct sweep *sweep)
{
	__u32 number = sweep->conversation + i, state;
	struct conversation *c = conversation_of(number);

	if (!c)
		return 1;
	state = READ_ONCE(c->state);
	if (state < STATE_ESTABLISHED)
		return 0;
	if ((__u32)bpf_jiffies64() - idle_since(c) <= patience(c, state))
		sweep->live++;
	else
		sweep->ended += destroy(number, state == STATE_ESTABLISHED ? 255 : c->closed_by);
	return 0;
}

static long sweep_handshake(__u32 i, struct sweep *sweep)
{
	__u32 number = sweep->handshake + i;
	struct bucket *bucket = bucket_of(number / PENDING_WAYS);
	__u64 *way, was;

	if (!bucket)
		return 1;
	way = &bucket->way[number & (PENDING_WAYS - 1)];
	was = READ_ONCE(*way);
	if (!was)
		return 0;
	if (way_live(was)) {
		sweep->pending++;
		return 0;
	}
	if (__sync_val_compare_and_swap(way, was, way_word(0, WAY_ACKNOWLEDGED)) != was)
		return 0;
	sweep->expired += handshake_free(number);
	return 0;
}

SEC("xdp")
int sweep(struct xdp_md *ctx)
{
	ARGUMENTS(sweep, args)
	struct sweep slice = *args;

	bpf_loop(slice.conversations, sweep_conversation, &slice, 0);
	bpf_loop(slice.handshakes, sweep_handshake, &slice, 0);
	args->live = slice.live;
	args->ended = slice.ended;
	args->pending = slice.pending;
	args->expired = slice.expired;
	args->jiffies = bpf_jiffies64();
	return XDP_PASS;
}

static long change_vip(__u32 i, struct change_vips *args)
{
	struct vip *vip = bpf_map_lookup_elem(&vip_changes, &i);

	if (!vip || !(args->remove ? vip_delete(vip) : vip_put(vip)))
		return 1;
	args->changed++;
	return 0;
}

SEC("xdp")
int change_vips(struct xdp_md *ctx)
{
	ARGUMENTS(change_vips, args)
	struct change_vips batch = *args;

	bpf_loop(batch.count, change_vip, &batch, 0);
	args->changed = batch.changed;
	return XDP_PASS;
}

SEC("xdp")
int end(struct xdp_md *ctx)
{
	ARGUMENTS(end, args)
	args->ended = destroy(args->conversation, args->how);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
