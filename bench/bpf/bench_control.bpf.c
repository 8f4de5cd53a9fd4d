// SPDX-License-Identifier: GPL-2.0-only
/* Associations by the hundred thousand, made and ended by the datapath's own functions. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "conversation.h"
#include "senders.h"

/* Never set: makes the compiler record these types for user space. */
const volatile struct bench_names {
	struct sender sender;
	struct turn turn;
	struct entry entry;
} bench_names;

/* Makes associations first to first + count of senders' pairs. */
struct establish {
	__u32 first;
	__u32 count;
	__u32 reserve; /* ports too, as a handshake does */
	__u32 made;    /* result */
	__u32 reason;  /* result: of the last that failed */
};

static long establish_one(__u32 i, struct establish *args)
{
	__u32 number = args->first + i;
	struct sender *client = sender_of((number & 15) << 1), *server = sender_of((number & 15) << 1 | 1);
	struct work *w = this_work();
	struct handshake *h;
	struct endpoint *endpoint;
	struct dialled to = {};
	int reason;

	if (!client || !server || !w)
		return 1;
	h = &w->handshake;
	__builtin_memset(h, 0, sizeof(*h));
	if (!dial(&client->destination, (__u32)client->dport | IPPROTO_SCTP_ << 16, &to))
		return 1;
	h->service = to.number;
	for (__u32 e = 0; e < 64; e++) {
		endpoint = endpoint_of(e);
		if (endpoint && endpoint->addresses && same(&endpoint->address.at[0], &server->source))
			h->endpoint = e;
	}
	h->mode = MODE_FULLNAT;
	h->client_tag = client_tag_of(number);
	h->clients = 1;
	h->client.at[0] = client->source;
	h->client_port = port_of(number);
	h->our_port = h->client_port;
	h->service_port = client->dport;
	h->server_port = server->sport;
	if (args->reserve) {
		h->our_port = port_reserve(h->endpoint + 1, h->server_port, h->client_port, h->client_tag);
		h->domain = h->endpoint + 1;
	}
	reason = h->our_port == h->client_port ? promote(h, 0, server_tag_of(number)) : REASON_PORTS_EXHAUSTED;
	if (reason && h->domain && h->our_port)
		port_release(h->domain, h->server_port, h->our_port);
	if (reason)
		args->reason = reason;
	else
		args->made++;
	return 0;
}

SEC("syscall")
int establish(struct establish *args)
{
	struct establish local = *args;

	bpf_loop(local.count, establish_one, &local, 0);
	args->made = local.made;
	args->reason = local.reason;
	return 0;
}

/* Ends associations first to first + count, by what their clients' packets find. */
struct demolish {
	__u32 first;
	__u32 count;
	__u32 ended; /* result */
};

static long demolish_one(__u32 i, struct demolish *args)
{
	__u32 number = args->first + i;
	struct sender *client = sender_of((number & 15) << 1);
	struct overflow_key key = {};
	struct entry *entry;

	if (!client)
		return 1;
	key.key = ports_key(port_of(number), client->dport, server_tag_of(number));
	entry = table_find(key.key);
	if (!entry)
		entry = bpf_map_lookup_elem(&overflow, &key);
	if (entry)
		args->ended += destroy(entry->conversation, CHUNK_ABORT);
	return 0;
}

SEC("syscall")
int demolish(struct demolish *args)
{
	struct demolish local = *args;

	bpf_loop(local.count, demolish_one, &local, 0);
	args->ended = local.ended;
	return 0;
}

/* Makes and ends a few associations again and again, without asking who else does. */
struct clash {
	__u32 first;
	__u32 range;
	__u32 count;
	__u32 made; /* results */
	__u32 ended;
};

static long clash_one(__u32 i, struct clash *args)
{
	struct establish make = { .first = args->first + i % args->range };
	struct demolish end = { .first = args->first + scatter(i + args->count) % args->range };

	establish_one(0, &make);
	demolish_one(0, &end);
	args->made += make.made;
	args->ended += end.ended;
	return 0;
}

SEC("syscall")
int clash(struct clash *args)
{
	struct clash local = *args;

	if (!local.range)
		return 0;
	bpf_loop(local.count, clash_one, &local, 0);
	args->made = local.made;
	args->ended = local.ended;
	return 0;
}

/* Takes every number out of the queue of unused conversations; each may be in it once, and only if it is free. */
struct drain {
	__u32 most;
	__u32 drained; /* result */
	__u32 wrong;   /* result */
};
#define DRAINED 0xdead

static long drain_one(__u32 i, struct drain *args)
{
	struct conversation *c;
	__u32 number;

	if (bpf_map_pop_elem(&unused, &number))
		return 1;
	args->drained++;
	c = conversation_of(number);
	if (!c || c->state != STATE_FREE)
		args->wrong++;
	if (c && c->state == STATE_FREE)
		c->state = DRAINED;
	return 0;
}

SEC("syscall")
int drain(struct drain *args)
{
	struct drain local = *args;

	bpf_loop(local.most, drain_one, &local, 0);
	args->drained = local.drained;
	args->wrong = local.wrong;
	return 0;
}

/* Forgets every handshake in progress. */
struct forget {
	__u32 buckets;
	__u32 forgotten; /* result */
};

static long forget_one(__u32 i, struct forget *args)
{
	struct bucket *bucket = bucket_of(i);

	if (!bucket)
		return 1;
	for (__u32 way = 0; way < PENDING_WAYS; way++)
		if (bucket->way[way])
			args->forgotten += handshake_free(i * PENDING_WAYS + way);
	return 0;
}

SEC("syscall")
int forget(struct forget *args)
{
	struct forget local = *args;

	bpf_loop(local.buckets, forget_one, &local, 0);
	args->forgotten = local.forgotten;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
