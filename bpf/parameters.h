/* SPDX-License-Identifier: GPL-2.0-only */
/* Parameters of INIT and INIT ACK: read once to decide, then edited in place. Nothing is ever moved: a surplus address
 * becomes a zeroed PAD (RFC 4820) of its own length, a missing sibling is appended. */
#pragma once
#include "out.h"
#include "paths.h"

/* Puts an address on the client's list, once. Returns a reason. */
static __always_inline int remember(struct handshake *h, const struct address *address)
{
	__u32 at = h->clients, known;

	if (index_of(&h->client, at, address, &known))
		return REASON_NONE;
	if (at >= MAX_ADDRESSES)
		return REASON_TOO_MANY_ADDRESSES;
	h->client.at[at & (MAX_ADDRESSES - 1)] = *address;
	h->clients = at + 1;
	return REASON_NONE;
}

static __always_inline int scan_v4(ctx_t *ctx, struct handshake *h, __u32 at, __u32 length)
{
	__be32 *v4 = AT(ctx, at + 4, 4);
	struct address address;

	if (length != 8 || !v4)
		return REASON_INIT_MALFORMED;
	address = mapped(*v4);
	return remember(h, &address);
}

__noinline int scan_v6(ctx_t *ctx, struct work *w, __u32 at, __u32 length)
{
	struct address *v6 = AT(ctx, at + 4, 16), address;

	if (length != 20 || !v6 || !w)
		return REASON_INIT_MALFORMED;
	address = *v6;
	return remember(&w->handshake, &address);
}

/* Supported Address Types, as enum families. */
static __always_inline __u8 scan_types(ctx_t *ctx, __u32 at, __u32 length)
{
	__u8 families = FAMILY_STATED;

	for (__u32 i = 0; i < 4; i++) {
		__be16 *type = AT(ctx, at + 4 + i * 2, 2);

		if (!type || 4 + i * 2 + 2 > length)
			break;
		families |= *type == bpf_htons(PARAMETER_IPV4) ? FAMILY_V4 :
			    *type == bpf_htons(PARAMETER_IPV6) ? FAMILY_V6 :
								 0;
	}
	return families;
}

/* Reads the parameters between two offsets into w->handshake's client list. Returns a reason. */
static __always_inline int scan_parameters(ctx_t *ctx, struct work *w, __u32 at, __u32 end)
{
	struct handshake *h = &w->handshake;
	int reason = REASON_NONE;

	for (__u32 i = 0; i < MAX_PARAMETERS && at < end; i++) {
		struct parameter *parameter = AT(ctx, at, sizeof(*parameter));
		__u32 length;

		if (!parameter)
			return REASON_INIT_MALFORMED;
		length = bpf_ntohs(parameter->length);
		if (length < sizeof(*parameter) || at + length > end)
			return REASON_INIT_MALFORMED;
		if (parameter->type == bpf_htons(PARAMETER_IPV4))
			reason = scan_v4(ctx, h, at, length);
		else if (parameter->type == bpf_htons(PARAMETER_IPV6))
			reason = scan_v6(ctx, w, at, length);
		else if (parameter->type == bpf_htons(PARAMETER_ADDRESS_TYPES))
			h->families |= scan_types(ctx, at, length);
		else if (parameter->type == bpf_htons(PARAMETER_HOST_NAME))
			reason = REASON_HOST_NAME;
		if (reason)
			return reason;
		at += (length + 3) & ~3;
	}
	return at < end ? REASON_INIT_MALFORMED : REASON_NONE;
}

/* Without Supported Address Types: what it listed itself. */
static __always_inline __u8 usable_families(const struct handshake *h)
{
	__u8 families = h->families;

	for (__u32 i = 0; i < MAX_ADDRESSES; i++) {
		if (families & FAMILY_STATED || i >= h->clients)
			break;
		families |= is_v4(&h->client.at[i]) ? FAMILY_V4 : FAMILY_V6;
	}
	return families;
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

/* Writes a word of a packet that ends at `last`. Returns the change of the checksum. */
static __always_inline __u32 put_word(ctx_t *ctx, __u32 last, __u32 at, __u32 to)
{
	__u32 *word = AT(ctx, at, 4), change;

	if (!word)
		return 0;
	change = *word ^ to;
	*word = to;
	return change ? crc_change(last - at, change) : 0;
}

/* A parameter becomes PAD, zeroed. Returns the change of the checksum. */
__noinline __u32 put_pad(ctx_t *ctx, __u32 last, __u32 at, __u32 length)
{
	__u32 sum = put_word(ctx, last, at, parameter_word(PARAMETER_PAD, length));

	for (__u32 i = 1; i < 8; i++)
		if (i * 4 < length)
			sum ^= put_word(ctx, last, at + i * 4, 0);
	return sum;
}

/* The sibling for an address: the header's own for the header's address, else the next unused of its family; -1: none. */
static __always_inline int sibling(struct work *w, const struct addresses *own, const struct address *of)
{
	int four = is_v4(of);

	if (same(of, &w->order.header))
		return w->order.implied & (MAX_ADDRESSES - 1);
	for (__u32 i = 0; i < MAX_ADDRESSES; i++) {
		if (i >= w->order.owns)
			break;
		if (w->edit.used >> i & 1 || is_v4(&own->at[i]) != four)
			continue;
		w->edit.used |= 1 << i;
		return blurred(i, w->order.owns) & (MAX_ADDRESSES - 1);
	}
	return -1;
}

/* An address becomes its sibling, or PAD where there is none. Returns the change of the checksum. */
static __always_inline __u32 edit_v4(ctx_t *ctx, struct work *w, const struct addresses *own, __u32 at)
{
	__be32 *v4 = AT(ctx, at + 4, 4);
	struct address was;
	int to;

	if (!v4)
		return 0;
	was = mapped(*v4);
	to = sibling(w, own, &was);
	return to < 0 ? put_pad(ctx, w->edit.last, at, 8) : put_word(ctx, w->edit.last, at + 4, nth(own, to)->word[3]);
}

__noinline __u32 edit_v6(ctx_t *ctx, struct work *w, __u32 at)
{
	const struct addresses *own = w ? own_of(&w->order) : NULL;
	struct address was, *v6 = AT(ctx, at + 4, 16);
	__u32 sum = 0;
	int to;

	if (!v6 || !own || !w)
		return 0;
	was = *v6;
	to = sibling(w, own, &was);
	if (to < 0)
		return put_pad(ctx, w->edit.last, at, 20);
	for (__u32 i = 0; i < 4; i++)
		sum ^= put_word(ctx, w->edit.last, at + 4 + i * 4, nth(own, to)->word[i]);
	return sum;
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

/* ASCONF is authenticated, so that it cannot be translated: neither side shall offer it. Returns the checksum's change. */
__noinline __u32 edit_extensions(ctx_t *ctx, __u32 last, __u32 at, __u32 length)
{
	__u32 sum = 0;

	for (__u32 i = 4; i < 36; i += 4) {
		__u32 *word = AT(ctx, at + i, 4);

		if (!word || i >= length)
			break;
		sum ^= put_word(ctx, last, at + i, without_asconf(*word, length - i));
	}
	return sum;
}

static __always_inline int is_dropped(__be16 type)
{
	return type == bpf_htons(PARAMETER_SET_PRIMARY) || type == bpf_htons(PARAMETER_ZERO_CHECKSUM);
}

/* An address that has another length than an address: nobody reads on behind it. */
static __always_inline int is_misfit(__be16 type, __u32 length)
{
	return (type == bpf_htons(PARAMETER_IPV4) && length != 8) ||
	       (type == bpf_htons(PARAMETER_IPV6) && length != 20);
}

/* Every parameter of the chunk at an offset. Returns the change of the checksum. */
static __always_inline __u32 edit_all(ctx_t *ctx, struct work *w, __u32 chunk, __u32 length)
{
	const struct addresses *own = own_of(&w->order);
	__u32 at = chunk + sizeof(struct init_chunk), end = chunk + length, sum = 0;

	for (__u32 i = 0; i < MAX_PARAMETERS && at < end; i++) {
		struct parameter *parameter = AT(ctx, at, sizeof(*parameter));

		if (!parameter)
			break;
		length = bpf_ntohs(parameter->length);
		if (length < sizeof(*parameter) || at + length > end || is_misfit(parameter->type, length))
			break;
		if (parameter->type == bpf_htons(PARAMETER_IPV4) && own)
			sum ^= edit_v4(ctx, w, own, at);
		else if (parameter->type == bpf_htons(PARAMETER_IPV6) && own)
			sum ^= edit_v6(ctx, w, at);
		else if (is_dropped(parameter->type))
			sum ^= put_pad(ctx, w->edit.last, at, length);
		else if (parameter->type == bpf_htons(PARAMETER_EXTENSIONS))
			sum ^= edit_extensions(ctx, w->edit.last, at, length);
		at += (length + 3) & ~3;
	}
	return sum;
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

/* Writes a word behind the packet's end. */
static __always_inline void append_word(ctx_t *ctx, struct edit *edit, __u32 to)
{
	__u32 *word = AT(ctx, edit->at, 4);

	edit->at += 4;
	if (!word)
		return;
	*word = to;
	edit->tail = crc_append(edit->tail, to);
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
		append_word(ctx, &w->edit, v4 ? parameter_word(PARAMETER_IPV4, 8) : parameter_word(PARAMETER_IPV6, 20));
		for (__u32 word = v4 ? 3 : 0; word < 4; word++)
			append_word(ctx, &w->edit, own->at[i].word[word]);
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

/* The siblings that no parameter became, behind the others; the packet and its chunk grow. `sum`: the checksum's change so
 * far. Returns 1, 0 where nothing is missing or fits, -1 where the packet broke. */
__noinline int append_missing(ctx_t *ctx, struct work *w, __u32 chunk, __u32 sum)
{
	struct sctphdr *sctp;
	__u32 bytes = missing(w);

	if (!w || !bytes)
		return 0;
	if (hook_set_length(ctx, w->packet.end + bytes)) {
		count(REASON_RESIZE, 0);
		return 0;
	}
	sum ^= put_word(ctx, w->edit.last, chunk,
			(w->packet.chunk & 0xffff) | (__u32)bpf_htons(w->packet.end - chunk + bytes) << 16);
	sctp = AT(ctx, w->packet.l4, sizeof(*sctp));
	if (!sctp)
		return -1;
	w->edit.tail = ~(sctp->checksum ^ sum);
	w->edit.at = w->packet.end;
	if (!append_siblings(ctx, w) || !lengthen_ip(ctx, &w->packet, bytes))
		return -1;
	w->packet.end += bytes;
	sctp = AT(ctx, w->packet.l4, sizeof(*sctp));
	if (!sctp)
		return -1;
	if (sctp->checksum)
		sctp->checksum = ~w->edit.tail;
	return 1;
}

static __always_inline __u32 all_used(const struct work *w)
{
	__u32 all = (1U << (w->order.owns & 15)) - 1;

	return !w->order.own || (w->edit.used & all) == all;
}

/* Edits the chunk and its packet's checksum as w->order says; the packet may grow. Returns false if it could not. */
static __always_inline int edit_parameters(ctx_t *ctx, struct work *w)
{
	__u32 chunk = w->packet.l4 + sizeof(struct sctphdr), sum;
	struct chunk *header = AT(ctx, chunk, sizeof(*header));
	struct sctphdr *sctp;
	int grown;

	if (!header)
		return 0;
	w->edit = (struct edit){ .last = w->packet.end,
				 .used = 1 << (w->order.implied & (MAX_ADDRESSES - 1)) | w->order.skipped };
	sum = edit_all(ctx, w, chunk, bpf_ntohs(header->length));
	grown = all_used(w) ? 0 : append_missing(ctx, w, chunk, sum);
	if (grown)
		return grown > 0;
	sctp = AT(ctx, w->packet.l4, sizeof(*sctp));
	if (!sctp)
		return 0;
	if (sctp->checksum)
		sctp->checksum ^= sum;
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
