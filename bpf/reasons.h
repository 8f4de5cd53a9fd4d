/* SPDX-License-Identifier: GPL-2.0-only */
/* Why a packet went no further. The number is the metric label; append only. */
#pragma once

enum reason {
	REASON_NONE,
	REASON_IP_LENGTH,   /* the IP header promises more than the frame holds */
	REASON_SCTP_LENGTH, /* shorter than a chunk, not a multiple of four, or longer than MAX_PACKET */
	REASON_ZERO_PORT,
	REASON_ZERO_TAG,       /* verification tag 0 without INIT, RFC 9260 §8.5.1 */
	REASON_INIT_TAG,       /* INIT with a verification tag, §8.5.1 */
	REASON_INIT_BUNDLED,   /* INIT or INIT ACK beside another chunk, §6.10 */
	REASON_INIT_MALFORMED, /* a parameter runs past its chunk, or the initiate tag is 0 */
	REASON_TOO_MANY_ADDRESSES,
	REASON_HOST_NAME, /* Host Name Address, §3.3.2.1.4 */
	REASON_SOURCE_NOT_ALLOWED,
	REASON_ENDPOINT_INIT, /* an endpoint of the pool dialled its own service */
	REASON_NO_ENDPOINT,
	REASON_TABLE_FULL,
	REASON_PENDING_FULL,
	REASON_PORTS_EXHAUSTED,
	REASON_TAG_CLASH,	/* the endpoint drew a tag that another association uses with these ports */
	REASON_HANDSHAKE_ORDER, /* COOKIE ACK without COOKIE ECHO */
	REASON_OOTB,		/* out of the blue, §8.4 */
	REASON_FOREIGN_SOURCE,
	REASON_FOREIGN_DESTINATION,
	REASON_NO_PATH, /* no endpoint address of the packet's family */
	REASON_ASCONF,	/* cannot be translated, RFC 5061 */
	REASON_TTL,
	REASON_TOO_BIG,
	REASON_NO_ROUTE,
	REASON_FRAGMENT,	 /* its first fragment was not seen */
	REASON_FRAGMENT_PORTS,	 /* fragmented SCTP whose ports would change */
	REASON_NO_FLOW,		 /* TCP without SYN, and no flow */
	REASON_NO_SERVICE,	 /* a VIP, but no service on that port */
	REASON_EVICTED,		 /* counts pending handshakes replaced by newer ones; no packet */
	REASON_ICMP_LIMIT,	 /* an ICMP error that we did not send, to keep the rate */
	REASON_RESIZE,		 /* the driver refused a longer or shorter packet */
	REASON_IMPOSSIBLE,	 /* a state that cannot happen */
	REASON_TRANSPORT_LENGTH, /* TCP or UDP shorter than its header */
	REASON_COUNT,
};
