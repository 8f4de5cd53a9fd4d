/* SPDX-License-Identifier: GPL-2.0-only */
/* TCP and UDP: a flow is a tuple with one path. It is found by a hash of the tuple, which its entry repeats. */
#pragma once
#include "fragment.h"
#include "ours.h"
#include "sctp.h"

#define IPPROTO_TCP_ 6
#define IPPROTO_UDP_ 17
#define TCP_CHECKSUM 16 /* offsets into the header */
#define UDP_CHECKSUM 6
#define TCP_FIN 1
#define TCP_SYN 2
#define TCP_RST 4
#define TCP_ACK 16

struct tcp_header {
	__be16 sport;
	__be16 dport;
	__be32 sequence;
	__be32 acknowledged;
	__u8 offset;
	__u8 flags;
	__be16 window;
	__sum16 checksum;
	__be16 urgent;
};

static __always_inline int is_balanced(__u32 protocol)
{
	return protocol == IPPROTO_SCTP_ || protocol == IPPROTO_TCP_ || protocol == IPPROTO_UDP_;
}

/* Ports, and the TCP flags in p->chunk. */
static __always_inline int parse_flow(ctx_t *ctx, struct packet *p)
{
	__u32 size = p->protocol == IPPROTO_TCP_ ? sizeof(struct tcp_header) : 8;
	struct tcp_header *tcp = AT(ctx, p->l4, 8);

	if (!tcp || p->l4 + size > p->end)
		return REASON_TRANSPORT_LENGTH;
	p->sport = tcp->sport;
	p->dport = tcp->dport;
	if (p->protocol == IPPROTO_TCP_) {
		tcp = AT(ctx, p->l4, sizeof(*tcp));
		if (!tcp)
			return REASON_TRANSPORT_LENGTH;
		p->chunk = tcp->flags;
	}
	return p->sport && p->dport ? REASON_NONE : REASON_ZERO_PORT;
}

/* Everything that changes in a TCP or UDP packet. */
__noinline int rewrite_flow(ctx_t *ctx, const struct packet *p, const struct rewrite *to)
{
	__u32 udp, was, now, at;
	__be16 *ports;
	__u64 changed;
	struct address source = {}, destination = {};

	if (!p || !to)
		return 0;
	udp = p->protocol == IPPROTO_UDP_;
	at = p->l4 + (udp ? UDP_CHECKSUM : TCP_CHECKSUM);
	was = ports_word(p->sport, p->dport);
	now = ports_word(to->sport, to->dport);
	load_addresses(ctx, p, &source, &destination);
	changed = address_difference(&source, &to->source) + address_difference(&destination, &to->destination);
	if (!rewrite_ip(ctx, p, to) || !hook_transport_checksum(ctx, at, changed, was, now, udp))
		return 0;
	ports = AT(ctx, p->l4, 4);
	if (!ports)
		return 0;
	ports[0] = to->sport;
	ports[1] = to->dport;
	return 1;
}

static __always_inline int send_flow(ctx_t *ctx, const struct packet *p, const struct rewrite *to, struct way_out *out)
{
	int verdict = way_out(ctx, p, &to->source, &to->destination, out);

	if (verdict != GO_ON)
		return verdict;
	if (p->fragment)
		note_fragment(ctx, p, to);
	if (!rewrite_flow(ctx, p, to))
		return drop(ctx, p, REASON_IMPOSSIBLE);
	return leave(ctx, p, out);
}

/* What FIN and RST do, RFC 9293 §3.6, §3.10.7: the flow stays for its shutdown timeout. */
__noinline int flow_closes(__u32 number, __u32 flags, __u32 reverse)
{
	struct conversation *c = conversation_of(number);
	__u32 to = STATE_ESTABLISHED;

	if (!c)
		return 0;
	if (flags & TCP_FIN)
		c->fins |= 1 << (reverse & 1);
	if (c->fins == 3)
		to = STATE_SHUTDOWN;
	if (flags & TCP_RST)
		to = STATE_ABORTED;
	return __sync_val_compare_and_swap(&c->state, STATE_ESTABLISHED, to) == STATE_ESTABLISHED;
}

/* SYN on the tuple of a flow that has ended, or whose endpoint is gone: the client's port is in use again. */
static __always_inline int is_reopened(const struct packet *p, const struct entry *entry)
{
	struct conversation *c;

	if ((p->chunk & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN || entry->flags & ENTRY_REVERSE)
		return 0;
	c = conversation_of(entry->conversation);
	return c && (c->state > STATE_ESTABLISHED || !may_keep(c->endpoint));
}

/* The translation of an IPv6 flow, if its addresses are the packet's. */
__noinline int wide_flow(const struct entry *entry, struct rewrite *ends)
{
	const struct conversation *c;
	__u32 reverse;

	if (!entry || !ends)
		return 0;
	c = conversation_of(entry->conversation);
	if (!c)
		return 0;
	reverse = entry->flags & ENTRY_REVERSE;
	if (!same(reverse ? &c->client.at[1] : &c->client.at[0], &ends->source) ||
	    !same(reverse ? &c->vip.at[1] : &c->vip.at[0], &ends->destination) ||
	    ends->sport != (reverse ? c->server_port : c->client_port) ||
	    ends->dport != (reverse ? c->our_port : c->service_port))
		return 0;
	ends->source = reverse ? c->vip.at[0] : c->vip.at[1];
	ends->destination = reverse ? c->client.at[0] : c->client.at[1];
	ends->sport = entry->sport;
	ends->dport = entry->dport;
	return 1;
}

/* The flow's translation of w->ends in place: 1 if the entry is that tuple's. */
static __always_inline int translate(const struct entry *entry, __u32 family, __u32 protocol, struct rewrite *ends)
{
	if (!(entry->flags & ENTRY_FLOW) || (entry->flags & ENTRY_WIDE) != (family == 4 ? 0 : ENTRY_WIDE))
		return 0;
	if (entry->flags & ENTRY_WIDE)
		return wide_flow(entry, ends);
	if (entry->saddr != ends->source.word[3] || entry->daddr != ends->destination.word[3] ||
	    entry->ports != ports_word(ends->sport, ends->dport) || entry->protocol != protocol)
		return 0;
	ends->source.word[3] = entry->new_saddr;
	ends->destination.word[3] = entry->new_daddr;
	ends->sport = entry->sport;
	ends->dport = entry->dport;
	return 1;
}

static __always_inline struct entry *flow_find(__u64 key)
{
	struct overflow_key rare = { .key = key };
	struct entry *entry = table_find(key);

	return entry ? entry : bpf_map_lookup_elem(&overflow, &rare);
}

/* Which entries a new flow gets: its own tuple and the endpoint's answer to it. */
__noinline int enter_flow(struct conversation *c, __u32 number, struct work *w)
{
	struct entry *entry;

	if (!c || !w)
		return 0;
	entry = &w->entry;
	__builtin_memset(entry, 0, sizeof(*entry));
	entry->last = (__u32)bpf_jiffies64();
	entry->conversation = number;
	entry->endpoint = c->endpoint;
	entry->flags = c->mode << ENTRY_MODE_SHIFT | ENTRY_FLOW | (w->packet.family == 4 ? 0 : ENTRY_WIDE);
	entry->protocol = c->protocol;
	entry->key = forward_key(c);
	entry->saddr = c->client.at[0].word[3];
	entry->daddr = c->vip.at[0].word[3];
	entry->ports = ports_word(c->client_port, c->service_port);
	entry->new_saddr = c->vip.at[1].word[3];
	entry->new_daddr = c->client.at[1].word[3];
	entry->sport = c->our_port;
	entry->dport = c->server_port;
	if (!place(c, &c->forward))
		return 0;
	entry->flags |= ENTRY_REVERSE;
	entry->key = reverse_key(c);
	entry->saddr = c->client.at[1].word[3];
	entry->daddr = c->vip.at[1].word[3];
	entry->ports = ports_word(c->server_port, c->our_port);
	entry->new_saddr = c->vip.at[0].word[3];
	entry->new_daddr = c->client.at[0].word[3];
	entry->sport = c->service_port;
	entry->dport = c->client_port;
	if (place(c, &c->reverse))
		return 1;
	unplace(c, forward_key(c), c->forward, 0);
	return 0;
}

/* Where the flow goes: one live address of the endpoint, in the order of the VIPs. Returns a reason. */
__noinline int flow_path(struct conversation *c, const struct work *w, const struct service *service)
{
	const struct endpoint *endpoint;
	int server;

	if (!c || !w || !service)
		return REASON_IMPOSSIBLE;
	endpoint = endpoint_of(c->endpoint);
	if (!endpoint || !endpoint->addresses)
		return REASON_IMPOSSIBLE;
	server = live_server(c->endpoint, service->single ? 0 : w->dialled.vip % endpoint->addresses, w->packet.family);
	if (server < 0)
		return REASON_NO_PATH;
	c->server_port = server_port(endpoint, w->packet.dport);
	c->our_port = w->packet.sport;
	c->client.at[0] = w->ends.source;
	c->client.at[1] = *nth(&endpoint->address, server);
	c->vip.at[0] = w->ends.destination;
	c->vip.at[1] = c->mode == MODE_FULLNAT ? w->ends.destination : w->ends.source;
	return REASON_NONE;
}

/* A source port towards the endpoint; in dnat the client's stays, if no other flow of it is there. Returns a reason. */
static __always_inline int flow_port(struct conversation *c, const struct endpoint *endpoint)
{
	__u32 domain = endpoint->domain ^ (__u32)c->protocol << 24;

	if (c->mode != MODE_FULLNAT)
		return table_find(reverse_key(c)) ? REASON_PORTS_EXHAUSTED : REASON_NONE;
	c->our_port = port_search(domain, c->server_port, c->client_port, 0);
	if (!c->our_port)
		return REASON_PORTS_EXHAUSTED;
	c->domain = domain;
	return REASON_NONE;
}

/* A record for the flow of w, in both directions. Returns a reason. */
__noinline int open_flow(struct work *w, __u32 number, __u32 endpoint_number)
{
	struct conversation *c = conversation_of(number);
	struct endpoint *endpoint = endpoint_of(endpoint_number);
	struct service *service;
	int reason;

	if (!c || !endpoint || !w)
		return REASON_IMPOSSIBLE;
	service = service_of(w->dialled.number);
	if (!service)
		return REASON_IMPOSSIBLE;
	__builtin_memset(c, 0, __builtin_offsetof(struct conversation, vip));
	c->state = STATE_OPENING;
	c->service = w->dialled.number;
	c->endpoint = endpoint_number;
	c->mode = service->mode;
	c->protocol = w->packet.protocol;
	c->vips = 1;
	c->clients = 1;
	c->client_port = w->packet.sport;
	c->service_port = w->packet.dport;
	c->created = (__u32)bpf_jiffies64();
	reason = flow_path(c, w, service);
	if (!reason)
		reason = flow_port(c, endpoint);
	if (!reason && !enter_flow(c, number, w)) {
		port_release(c->domain, c->server_port, c->our_port);
		reason = REASON_TABLE_FULL;
	}
	if (reason)
		return reason;
	population(c->service, c->endpoint, 1);
	WRITE_ONCE(c->state, STATE_ESTABLISHED);
	tell(c, number, EVENT_BIRTH, 0, 0);
	return REASON_NONE;
}

/* An endpoint and a record. Returns a reason. */
static __always_inline int begin_flow(struct work *w)
{
	__u32 number, endpoint;
	int reason;

	if (!w)
		return REASON_IMPOSSIBLE;
	endpoint = pick_endpoint(w->dialled.number, &w->ends.source, ports_word(w->packet.sport, w->packet.dport));
	if (endpoint == NO_SLOT)
		return REASON_NO_ENDPOINT;
	if (bpf_map_pop_elem(&unused, &number))
		return REASON_TABLE_FULL;
	reason = open_flow(w, number, endpoint);
	if (reason) {
		struct conversation *c = conversation_of(number);

		if (c)
			c->state = STATE_FREE;
		bpf_map_push_elem(&unused, &number, 0);
	}
	return reason;
}

/* A packet of no flow: begins one, if it dials us and may. Its entry then translates it. */
__noinline int new_flow(ctx_t *ctx, struct work *w)
{
	const struct service *service;
	int reason;

	if (!w)
		return VERDICT_DROP;
	if (!dial(&w->ends.destination, (__u32)w->packet.dport | (__u32)w->packet.protocol << 16, &w->dialled))
		return w->dialled.ours ? drop(ctx, &w->packet, REASON_NO_SERVICE) : VERDICT_PASS;
	if (w->packet.protocol == IPPROTO_TCP_ &&
	    (w->packet.chunk & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) != TCP_SYN)
		return drop(ctx, &w->packet, REASON_NO_FLOW);
	service = service_of(w->dialled.number);
	reason = service ? unwelcome(w, service) : REASON_IMPOSSIBLE;
	if (!reason)
		reason = begin_flow(w);
	return reason ? refuse(ctx, &w->packet, reason, w->dialled.number) : GO_ON;
}

__noinline int flow(ctx_t *ctx, const struct packet *p)
{
	struct entry *entry;
	struct work *w;
	__u64 key;
	int verdict;

	if (!p)
		return VERDICT_DROP;
	w = take_work(ctx, p);
	if (!w)
		return VERDICT_DROP;
	key = flow_key(&w->ends.source, &w->ends.destination, ports_word(p->sport, p->dport), p->protocol);
	entry = flow_find(key);
	if (entry && is_reopened(p, entry)) {
		destroy(entry->conversation, 255);
		entry = NULL;
	}
	if (!entry) {
		verdict = new_flow(ctx, w);
		if (verdict != GO_ON)
			return verdict;
		entry = flow_find(key);
	}
	if (!entry || !translate(entry, p->family, p->protocol, &w->ends))
		return drop(ctx, p, REASON_NO_FLOW);
	if (p->chunk & (TCP_FIN | TCP_RST))
		flow_closes(entry->conversation, p->chunk, entry->flags & ENTRY_REVERSE);
	verdict = send_flow(ctx, p, &w->ends, &w->out);
	if (verdict != VERDICT_PASS) /* what XDP passes the tc program counts */
		count_hit(entry, p->end - p->l3, 0);
	return verdict;
}

static __always_inline int balance_flow(ctx_t *ctx, struct packet *p)
{
	int reason = parse_flow(ctx, p);

	return reason ? malformed(ctx, p, reason) : flow(ctx, p);
}
