/* SPDX-License-Identifier: GPL-2.0-only */
/* Parameters of INIT and INIT ACK: read once to decide, then edited in place. Nothing is ever moved: a surplus address
 * becomes a zeroed PAD (RFC 4820) of its own length, a missing sibling is appended. */
#pragma once
#include "out.h"
#include "paths.h"

struct scan {
	ctx_t *ctx;
	struct handshake *into;
	__u32 at;
	__u32 end;
	__u8 stated; /* Supported Address Types was there */
	__u8 families;
	__u8 reason;
};

static __always_inline void remember(struct scan *scan, const struct address *address)
{
	struct handshake *h = scan->into;
	__u32 at = h->clients;

	if (find_address(&h->client, at, address) >= 0)
		return;
	if (at >= MAX_ADDRESSES) {
		scan->reason = REASON_TOO_MANY_ADDRESSES;
		return;
	}
	h->client.at[at & (MAX_ADDRESSES - 1)] = *address;
	h->clients = at + 1;
}

static __always_inline void scan_types(struct scan *scan, __u32 length)
{
	scan->stated = 1;
	for (__u32 i = 0; i < 4; i++) {
		__be16 *type = AT(scan->ctx, scan->at + 4 + i * 2, 2);

		if (!type || 4 + i * 2 + 2 > length)
			break;
		scan->families |= *type == bpf_htons(PARAMETER_IPV4) ? FAMILY_V4 :
				  *type == bpf_htons(PARAMETER_IPV6) ? FAMILY_V6 :
								       0;
	}
}

static long scan_parameter(__u32 i, struct scan *scan)
{
	struct parameter *parameter = AT(scan->ctx, scan->at, sizeof(*parameter));
	__u32 type, length;

	scan->reason = REASON_INIT_MALFORMED;
	if (!parameter)
		return 1;
	type = bpf_ntohs(parameter->type);
	length = bpf_ntohs(parameter->length);
	if (length < sizeof(*parameter) || scan->at + length > scan->end)
		return 1;
	if (type == PARAMETER_IPV4) {
		__be32 *v4 = AT(scan->ctx, scan->at + 4, 4);
		struct address address;

		if (length != 8 || !v4)
			return 1;
		address = mapped(*v4);
		scan->reason = REASON_NONE;
		remember(scan, &address);
	} else if (type == PARAMETER_IPV6) {
		struct address *v6 = AT(scan->ctx, scan->at + 4, 16), address;

		if (length != 20 || !v6)
			return 1;
		address = *v6;
		scan->reason = REASON_NONE;
		remember(scan, &address);
	} else {
		scan->reason = type == PARAMETER_HOST_NAME ? REASON_HOST_NAME : REASON_NONE;
		if (type == PARAMETER_ADDRESS_TYPES)
			scan_types(scan, length);
	}
	scan->at += (length + 3) & ~3;
	return scan->reason || scan->at >= scan->end;
}

/* Reads the parameters between two offsets into w->handshake's client list. Returns a reason. */
__noinline int scan_parameters(ctx_t *ctx, struct work *w, __u32 at, __u32 end)
{
	struct scan scan = { .ctx = ctx, .at = at, .end = end };
	struct handshake *h;

	if (!w)
		return REASON_IMPOSSIBLE;
	h = &w->handshake;
	scan.into = h;
	if (at < end)
		bpf_loop(MAX_PARAMETERS, scan_parameter, &scan, 0);
	if (!scan.reason && scan.at < end)
		return REASON_INIT_MALFORMED;
	h->families = scan.families;
	for (__u32 i = 0; i < MAX_ADDRESSES; i++)
		if (!scan.stated && i < h->clients)
			h->families |= is_v4(&h->client.at[i]) ? FAMILY_V4 : FAMILY_V6;
	return scan.reason;
}

static __always_inline const struct addresses *own_of(const struct order *order)
{
	const struct service *service = service_of(order->number);
	const struct endpoint *endpoint = endpoint_of(order->number);

	if (order->own == OWN_VIPS && service)
		return &service->vip;
	if (order->own == OWN_SOURCES && endpoint)
		return &endpoint->source;
	return NULL;
}

static __always_inline __u32 parameter_word(__u32 type, __u32 length)
{
	return bpf_htons(type) | (__u32)bpf_htons(length) << 16;
}

/* Writes a word of the packet and accounts for it in the checksum. */
__noinline int put_word(ctx_t *ctx, struct work *w, __u32 at, __u32 to)
{
	__u32 *word = AT(ctx, at, 4);

	if (!word || !w || *word == to)
		return 0;
	w->edit.sum ^= crc_change(w->edit.last - at, *word ^ to);
	*word = to;
	return 1;
}

__noinline int put_pad(ctx_t *ctx, struct work *w, __u32 length)
{
	__u32 at;

	if (!w)
		return 0;
	at = w->edit.at;
	put_word(ctx, w, at, parameter_word(PARAMETER_PAD, length));
	for (__u32 i = 1; i < 8; i++)
		if (i * 4 < length)
			put_word(ctx, w, at + i * 4, 0);
	return 1;
}

/* The sibling for an address: the header's own for the header's address, else the next unused of its family; -1: none. */
__noinline int sibling(struct work *w, const struct address *of)
{
	const struct addresses *own = w ? own_of(&w->order) : NULL;
	__u32 family;

	if (!own || !of || !w)
		return -1;
	family = family_of(of);
	if (same(of, &w->order.header))
		return w->order.implied & (MAX_ADDRESSES - 1);
	for (__u32 i = 0; i < MAX_ADDRESSES; i++) {
		if (i >= w->order.owns)
			break;
		if (w->edit.used >> i & 1 || family_of(&own->at[i]) != family)
			continue;
		w->edit.used |= 1 << i;
		return i;
	}
	return -1;
}

/* Returns true where there is no sibling, so that the parameter must become PAD. */
__noinline int edit_v4(ctx_t *ctx, struct work *w)
{
	const struct addresses *own;
	struct address was;
	__be32 *v4;
	int to;

	if (!w)
		return 0;
	v4 = AT(ctx, w->edit.at + 4, 4);
	if (!v4)
		return 0;
	was = mapped(*v4);
	to = sibling(w, &was);
	own = own_of(&w->order);
	if (to < 0 || !own)
		return 1;
	put_word(ctx, w, w->edit.at + 4, nth(own, to)->word[3]);
	return 0;
}

__noinline int edit_v6(ctx_t *ctx, struct work *w)
{
	const struct addresses *own;
	struct address was, *v6;
	int to;

	if (!w)
		return 0;
	v6 = AT(ctx, w->edit.at + 4, 16);
	if (!v6)
		return 0;
	was = *v6;
	to = sibling(w, &was);
	own = own_of(&w->order);
	if (to < 0 || !own)
		return 1;
	was = *nth(own, to);
	for (__u32 i = 0; i < 4; i++)
		put_word(ctx, w, w->edit.at + 4 + i * 4, was.word[i]);
	return 0;
}

/* The word with every ASCONF named in its first `bytes` bytes made PAD, which nobody minds. */
static __always_inline __u32 without_asconf(__u32 word, __u32 bytes)
{
	__u32 to = 0;

	for (__u32 i = 0; i < 4; i++) {
		__u32 type = word >> 8 * i & 0xff;

		if (i < bytes && (type == CHUNK_ASCONF || type == CHUNK_ASCONF_ACK))
			type = CHUNK_PAD;
		to |= type << 8 * i;
	}
	return to;
}

/* ASCONF is authenticated, so that it cannot be translated: neither side shall offer it. */
__noinline int edit_extensions(ctx_t *ctx, struct work *w, __u32 length)
{
	if (!w)
		return 0;
	for (__u32 i = 4; i < 36; i += 4) {
		__u32 *word = AT(ctx, w->edit.at + i, 4);

		if (!word || i >= length)
			break;
		put_word(ctx, w, w->edit.at + i, without_asconf(*word, length - i));
	}
	return 1;
}

struct editing {
	ctx_t *ctx;
	struct work *w;
};

static long edit_parameter(__u32 i, struct editing *e)
{
	struct edit *edit = &e->w->edit;
	struct parameter *parameter = AT(e->ctx, edit->at, sizeof(*parameter));
	__u32 type, length, pad;

	if (!parameter)
		return 1;
	type = bpf_ntohs(parameter->type);
	length = bpf_ntohs(parameter->length);
	if (length < sizeof(*parameter) || edit->at + length > edit->end || (type == PARAMETER_IPV4 && length != 8) ||
	    (type == PARAMETER_IPV6 && length != 20))
		return 1;
	pad = type == PARAMETER_SET_PRIMARY || type == PARAMETER_ZERO_CHECKSUM;
	if (type == PARAMETER_IPV4 && e->w->order.own)
		pad = edit_v4(e->ctx, e->w);
	else if (type == PARAMETER_IPV6 && e->w->order.own)
		pad = edit_v6(e->ctx, e->w);
	if (pad)
		put_pad(e->ctx, e->w, length);
	else if (type == PARAMETER_EXTENSIONS)
		edit_extensions(e->ctx, e->w, length);
	edit->at += (length + 3) & ~3;
	return edit->at >= edit->end;
}

/* Bytes that the unused siblings take, as far as they fit; those that do not are marked used. */
__noinline __u32 missing(struct work *w)
{
	const struct addresses *own = w ? own_of(&w->order) : NULL;
	__u32 bytes = 0, size;

	if (!own || !w)
		return 0;
	size = w->packet.end - w->packet.l3;
	for (__u32 i = 0; i < MAX_ADDRESSES; i++) {
		__u32 v4 = is_v4(&own->at[i]), more = v4 ? 8 : 20;

		if (i >= w->order.owns || w->edit.used >> i & 1)
			continue;
		if (!(w->order.families & (v4 ? FAMILY_V4 : FAMILY_V6)) || size + bytes + more > w->order.mtu)
			w->edit.used |= 1 << i;
		else
			bytes += more;
	}
	return bytes;
}

__noinline int append_word(ctx_t *ctx, struct work *w, __u32 to)
{
	__u32 *word;

	if (!w)
		return 0;
	word = AT(ctx, w->edit.at, 4);
	w->edit.at += 4;
	if (!word)
		return 0;
	*word = to;
	w->edit.tail = crc_append(w->edit.tail, to);
	return 1;
}

__noinline int append_siblings(ctx_t *ctx, struct work *w)
{
	const struct addresses *own = w ? own_of(&w->order) : NULL;

	if (!own || !w)
		return 0;
	for (__u32 i = 0; i < MAX_ADDRESSES; i++) {
		__u32 v4 = is_v4(&own->at[i]);

		if (i >= w->order.owns || w->edit.used >> i & 1)
			continue;
		append_word(ctx, w, v4 ? parameter_word(PARAMETER_IPV4, 8) : parameter_word(PARAMETER_IPV6, 20));
		for (__u32 word = v4 ? 3 : 0; word < 4; word++)
			append_word(ctx, w, own->at[i].word[word]);
	}
	return 1;
}

static __always_inline int lengthen_ip(ctx_t *ctx, const struct packet *p, __u32 bytes)
{
	if (p->family == 4) {
		struct iphdr *ip = AT(ctx, p->l3, sizeof(*ip));
		__be16 was;

		if (!ip)
			return 0;
		was = ip->tot_len;
		ip->tot_len = bpf_htons(bpf_ntohs(was) + bytes);
		ip->check = csum_update(ip->check, (__u64)(__u16)~was + ip->tot_len);
	} else {
		struct ipv6hdr *ip = AT(ctx, p->l3, sizeof(*ip));

		if (!ip)
			return 0;
		ip->payload_len = bpf_htons(bpf_ntohs(ip->payload_len) + bytes);
	}
	return 1;
}

/* Every parameter, and how many bytes the missing siblings need. */
static __always_inline __u32 edit_all(ctx_t *ctx, struct work *w, __u32 chunk, __u32 length)
{
	struct editing editing = { .ctx = ctx, .w = w };

	w->edit = (struct edit){ .at = chunk + sizeof(struct init_chunk),
				 .end = chunk + length,
				 .last = w->packet.end,
				 .used = 1 << (w->order.implied & (MAX_ADDRESSES - 1)) };
	if (w->edit.at < w->edit.end)
		bpf_loop(MAX_PARAMETERS, edit_parameter, &editing, 0);
	return missing(w);
}

/* Edits the chunk and its packet's checksum as w->order says; the packet may grow. Returns false if it could not. */
static __always_inline int edit_parameters(ctx_t *ctx, struct work *w)
{
	__u32 chunk, bytes, unfinished;
	struct chunk *header;
	struct sctphdr *sctp;

	chunk = w->packet.l4 + sizeof(struct sctphdr);
	header = AT(ctx, chunk, sizeof(*header));
	if (!header)
		return 0;
	bytes = edit_all(ctx, w, chunk, bpf_ntohs(header->length));
	if (bytes && hook_set_length(ctx, w->packet.end + bytes)) {
		count(REASON_RESIZE, 0);
		bytes = 0;
	}
	if (bytes)
		put_word(ctx, w, chunk,
			 (w->packet.chunk & 0xffff) | (__u32)bpf_htons(w->packet.end - chunk + bytes) << 16);
	sctp = AT(ctx, w->packet.l4, sizeof(*sctp));
	if (!sctp)
		return 0;
	unfinished = !sctp->checksum;
	w->edit.tail = ~(sctp->checksum ^ w->edit.sum);
	w->edit.at = w->packet.end;
	if (bytes && (!append_siblings(ctx, w) || !lengthen_ip(ctx, &w->packet, bytes)))
		return 0;
	w->packet.end += bytes;
	sctp = AT(ctx, w->packet.l4, sizeof(*sctp));
	if (!sctp)
		return 0;
	if (!unfinished)
		sctp->checksum = ~w->edit.tail;
	return 1;
}

/* An INIT or INIT ACK on its way, to w->ends with w->order: headers, ports, parameters. */
__noinline int send_edited(ctx_t *ctx, struct work *w)
{
	int verdict;

	if (!w)
		return VERDICT_DROP;
	verdict = way_out(ctx, &w->packet, &w->ends.source, &w->ends.destination, &w->out);
	if (verdict != GO_ON)
		return verdict;
	if (w->packet.fragment)
		return drop(ctx, &w->packet, REASON_FRAGMENT_PORTS);
	w->order.mtu = w->out.mtu;
	if (!rewrite_ip(ctx, &w->packet, &w->ends) || !rewrite_sctp(ctx, &w->packet, &w->ends) ||
	    !edit_parameters(ctx, w))
		return drop(ctx, &w->packet, REASON_IMPOSSIBLE);
	return leave(ctx, &w->packet, &w->out);
}
