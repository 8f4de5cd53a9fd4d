/* SPDX-License-Identifier: GPL-2.0-only */
/* ICMP errors about packets that we translated: inside and out they become what the sender of the packet would have
 * seen without us (path MTU discovery depends on it). RFC 792, RFC 4443, RFC 5508 §4.2 as for any NAT. */
#pragma once
#include "flow.h"

#define NOT_OURS (-101)

/* The quoted packet, as far as every router quotes it: addresses, ports, tag. */
struct quote {
	__u32 l3; /* offsets from data */
	__u32 l4;
	__be16 sport;
	__be16 dport;
	__u32 tag; /* of SCTP */
	__u32 protocol;
	struct address source;
	struct address destination;
};

static __always_inline int is_error(__u32 family, __u32 type)
{
	if (family == 4)
		return type == ICMP_UNREACHABLE || type == ICMP_EXCEEDED || type == 12;
	return type >= ICMP6_UNREACHABLE && type <= ICMP6_PROBLEM;
}

static __always_inline int parse_quote(ctx_t *ctx, const struct packet *p, struct quote *quote)
{
	struct sctphdr *sctp;

	quote->l3 = p->l4 + sizeof(struct icmp_header);
	if (p->family == 4) {
		struct iphdr *ip = AT(ctx, quote->l3, sizeof(*ip));

		if (!ip || ip->version != 4 || ip->ihl < 5 || ip->frag_off & bpf_htons(0x1fff))
			return 0;
		quote->protocol = ip->protocol;
		quote->source = mapped(ip->saddr);
		quote->destination = mapped(ip->daddr);
		quote->l4 = quote->l3 + ip->ihl * 4;
	} else {
		struct ipv6hdr *ip = AT(ctx, quote->l3, sizeof(*ip));

		if (!ip || ip->version != 6)
			return 0;
		quote->protocol = ip->nexthdr;
		__builtin_memcpy(&quote->source, &ip->saddr, sizeof(quote->source));
		__builtin_memcpy(&quote->destination, &ip->daddr, sizeof(quote->destination));
		quote->l4 = quote->l3 + sizeof(*ip);
	}
	sctp = AT(ctx, quote->l4, 8); /* all that RFC 792 promises */
	if (!sctp || quote->l4 + 8 > p->end)
		return 0;
	quote->sport = sctp->sport;
	quote->dport = sctp->dport;
	quote->tag = sctp->tag;
	return 1;
}

/* Sum of ~old and new words, for everything inside the ICMP message that changes. */
static __always_inline __u64 rewrite_quote_v4(ctx_t *ctx, const struct quote *quote, const struct rewrite *to)
{
	struct iphdr *ip = AT(ctx, quote->l3, sizeof(*ip));
	__u64 changed, header;
	__sum16 was;

	if (!ip)
		return 0;
	changed = (__u64)(__u32)~ip->saddr + to->source.word[3] + (__u32)~ip->daddr + to->destination.word[3];
	was = ip->check;
	ip->saddr = to->source.word[3];
	ip->daddr = to->destination.word[3];
	ip->check = csum_update(was, changed);
	header = (__u64)(__u16)~was + ip->check;
	return changed + header;
}

static __always_inline __u64 rewrite_quote_v6(ctx_t *ctx, const struct quote *quote, const struct rewrite *to)
{
	struct ipv6hdr *ip = AT(ctx, quote->l3, sizeof(*ip));

	if (!ip)
		return 0;
	__builtin_memcpy(&ip->saddr, &to->source, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, &to->destination, sizeof(ip->daddr));
	return address_difference(&quote->source, &to->source) +
	       address_difference(&quote->destination, &to->destination);
}

static __always_inline __u64 rewrite_quote_ports(ctx_t *ctx, const struct quote *quote, const struct rewrite *to)
{
	struct sctphdr *sctp = AT(ctx, quote->l4, 8);
	__u64 changed;

	if (!sctp)
		return 0;
	changed = (__u64)(__u16)~sctp->sport + to->sport + (__u16)~sctp->dport + to->dport;
	sctp->sport = to->sport;
	sctp->dport = to->dport;
	return changed;
}

/* The quote first, then the ICMP checksum over it; ICMPv6's covers the outer addresses too. */
__noinline int rewrite_error(ctx_t *ctx, struct work *w, const struct quote *quote)
{
	struct icmp_header *icmp;
	struct address source, destination;
	__u64 changed;

	if (!w || !quote)
		return 0;
	load_addresses(ctx, &w->packet, &source, &destination);
	changed = w->packet.family == 4 ? rewrite_quote_v4(ctx, quote, &w->quoted) :
					  rewrite_quote_v6(ctx, quote, &w->quoted);
	changed += rewrite_quote_ports(ctx, quote, &w->quoted);
	if (w->packet.family == 6)
		changed += address_difference(&source, &w->ends.source) +
			   address_difference(&destination, &w->ends.destination);
	icmp = AT(ctx, w->packet.l4, sizeof(*icmp));
	if (!icmp)
		return 0;
	icmp->checksum = csum_update(icmp->checksum, changed);
	return rewrite_ip(ctx, &w->packet, &w->ends);
}

/* Quoted as endpoint-bound: it was the client's packet; the error goes back to the client, from the VIP it dialled. */
static __always_inline int error_to_client(struct work *w, const struct conversation *c, const struct quote *quote)
{
	struct endpoint *endpoint = endpoint_of(c->endpoint);
	int server;

	/* the endpoint's address stands for its packets' source: the reverse path of an answer to the quote */
	w->ends.source = quote->destination;
	w->ends.destination = quote->source;
	server = endpoint ? find_address(&endpoint->address, endpoint->addresses, &quote->destination) : -1;
	if (server < 0 || reverse_path(&c->vip, &c->client, &c->pairs, w) != GO_ON)
		return 0;
	w->ends.source = w->path.from;
	w->ends.destination = w->path.to;
	w->quoted.source = w->path.to;
	w->quoted.destination = w->path.from;
	w->quoted.sport = c->client_port;
	w->quoted.dport = c->service_port;
	return 1;
}

/* Quoted as client-bound: it was the endpoint's packet; the error goes back to the endpoint. */
static __always_inline int error_to_endpoint(struct work *w, const struct conversation *c, const struct quote *quote)
{
	w->ends.source = quote->destination;
	w->ends.destination = quote->source;
	if (forward_path(&c->vip, &c->client, w) != GO_ON)
		return 0;
	w->ends.source = w->path.from;
	w->ends.destination = w->path.to;
	w->quoted.source = w->path.to;
	w->quoted.destination = w->path.from;
	w->quoted.sport = c->server_port;
	w->quoted.dport = c->our_port;
	return 1;
}

/* Of a flow: the error travels as the answer to the quoted packet would. GO_ON, a reason, or NOT_OURS. */
__noinline int error_of_flow(struct work *w, const struct quote *quote)
{
	struct entry *entry;

	if (!w || !quote)
		return NOT_OURS;
	w->ends = (struct rewrite){
		.source = quote->destination, .destination = quote->source, .sport = quote->dport, .dport = quote->sport
	};
	entry = flow_find(
		flow_key(&quote->destination, &quote->source, ports_word(quote->dport, quote->sport), quote->protocol));
	if (!entry || !translate(entry, w->packet.family, quote->protocol, &w->ends))
		return NOT_OURS;
	w->quoted = (struct rewrite){ .source = w->ends.destination,
				      .destination = w->ends.source,
				      .sport = w->ends.dport,
				      .dport = w->ends.sport };
	return GO_ON;
}

__noinline int error_of_association(struct work *w, const struct quote *quote)
{
	struct conversation *c;
	__u32 forward;

	if (!w || !quote)
		return NOT_OURS;
	c = conversation_of(named(ports_key(quote->sport, quote->dport, quote->tag)) - 1);
	if (!c || c->state < STATE_ESTABLISHED || c->mode == MODE_DSR) /* dsr: nothing was translated */
		return NOT_OURS;
	w->parties = conversation_parties(c);
	forward = c->server_tag == quote->tag && c->our_port == quote->sport && c->server_port == quote->dport;
	if (!forward &&
	    (c->client_tag != quote->tag || c->service_port != quote->sport || c->client_port != quote->dport))
		return NOT_OURS; /* a tag that came back: nobody waits for news of an ABORT */
	if (forward ? !error_to_client(w, c, quote) : !error_to_endpoint(w, c, quote))
		return REASON_FOREIGN_SOURCE;
	return GO_ON;
}

/* An error about a packet of ours; what is about none passes to the host. */
__noinline int icmp_error(ctx_t *ctx, const struct packet *p)
{
	struct quote quote = {};
	struct work *w;
	int outcome;

	if (!p || !parse_quote(ctx, p, &quote) || !is_balanced(quote.protocol))
		return VERDICT_PASS;
	w = take_work(ctx, p);
	if (!w)
		return VERDICT_PASS;
	outcome = quote.protocol == IPPROTO_SCTP_ ? error_of_association(w, &quote) : error_of_flow(w, &quote);
	if (outcome == NOT_OURS)
		return VERDICT_PASS;
	if (outcome != GO_ON)
		return drop(ctx, p, outcome);
	outcome = way_out(ctx, p, &w->ends.source, &w->ends.destination, &w->out);
	if (outcome != GO_ON)
		return outcome;
	if (!rewrite_error(ctx, w, &quote))
		return drop(ctx, p, REASON_IMPOSSIBLE);
	return leave(ctx, p, &w->out);
}

static __always_inline int balance_icmp(ctx_t *ctx, const struct packet *p)
{
	struct icmp_header *icmp = AT(ctx, p->l4, sizeof(*icmp));

	if (!icmp || p->fragment || p->end > hook_length(ctx) || !is_error(p->family, icmp->type))
		return VERDICT_PASS;
	return icmp_error(ctx, p);
}
