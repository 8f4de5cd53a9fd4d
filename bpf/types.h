/* SPDX-License-Identifier: GPL-2.0-only */
/* What the maps hold. User space reads the same layouts through BTF; multi-byte numbers are host order unless __be. */
#pragma once
#include <linux/bpf.h>
#include <linux/types.h>
#include "consts.h"
#include "reasons.h"

/* An IPv6 address, or an IPv4 one as ::ffff:a.b.c.d. */
struct address {
	union {
		__u8 byte[16];
		__be32 word[4];
		__u64 half[2];
	};
};

/* A side's addresses, in order. */
struct addresses {
	struct address at[MAX_ADDRESSES];
};

/* For each of our sources: client index | VIP index << 4 of the packet that last left by it. */
struct pairs {
	__u8 at[MAX_ADDRESSES];
};

enum entry_flag {
	ENTRY_REVERSE = 1,    /* endpoint to client */
	ENTRY_WIDE = 2,	      /* IPv6, or more than two addresses a side: paths are in the conversation */
	ENTRY_SINGLE = 4,     /* one source and one endpoint address, whatever path the client takes */
	ENTRY_FLOW = 8,	      /* TCP or UDP: the tuple is compared too */
	ENTRY_MODE_SHIFT = 6, /* enum mode in the two top bits */
};

/* One direction of a conversation: one cache line, all that an IPv4 packet on one of two paths needs.
 * key is {source port, destination port, verification tag} as on the wire. A missing second address repeats the first. */
struct entry {
	__u64 key;
	__u64 bytes;
	__u32 packets[2]; /* by path: index of the VIP */
	__u32 last;	  /* jiffies */
	__u32 conversation;
	__u16 endpoint;
	__u8 flags;
	__u8 pairs;   /* two bits for each of our sources: client index, VIP index << 1 */
	__be16 sport; /* ports after translation */
	__be16 dport;
	union {
		struct {
			__be32 vip[2];
			__be32 server[2];
			__be32 client[2];
		};
		struct { /* ENTRY_FLOW */
			__be32 saddr;
			__be32 daddr;
			__be32 new_saddr;
			__be32 new_daddr;
			__u32 ports; /* before translation, as on the wire */
			__u32 protocol;
		};
	};
};
_Static_assert(sizeof(struct entry) == 64, "an entry is one cache line");

/* A word that must be found: a reserved port, a candidate tag, a client's address, an alias. */
struct index_slot {
	__u64 key;
	__u64 value; /* enum index_kind << 56 | number */
};

enum index_kind { INDEX_PORT = 1, INDEX_CANDIDATE, INDEX_PEER, INDEX_ALIAS, INDEX_DSR };

/* Everything about an association or flow; touched on a hit only when its entries are wide. */
struct conversation {
	__u32 state; /* enum state */
	__u32 service;
	__u16 endpoint;
	__u8 mode;
	__u8 protocol;
	__u8 vips;
	__u8 clients;
	__u8 single;
	__u8 closed_by; /* chunk type that ended it */
	__u32 client_tag;
	__u32 server_tag;
	__be16 client_port;
	__be16 service_port;
	__be16 our_port; /* the client's port as the endpoint sees it */
	__be16 server_port;
	__u32 forward; /* slot of each direction's entry; NO_SLOT: none */
	__u32 reverse;
	__u32 created;	 /* jiffies */
	__u32 domain;	 /* port reservation to give back; 0: none */
	__u8 sent;	 /* bit for each client address that has really sent */
	__u8 translated; /* ports change: aliases exist */
	__u8 fins;	 /* bit for each direction that sent TCP FIN */
	__u8 pad;
	struct pairs pairs;
	__u32 path_packets[2][MAX_ADDRESSES]; /* of wide entries: by direction and VIP */
	struct addresses vip;		      /* of a flow: what it dials, and what the endpoint sees of the client */
	struct addresses client;	      /* of a flow: who dials, and the endpoint's address */
};

/* A handshake between INIT and COOKIE ACK: one cache line, and its client's addresses. */
struct handshake {
	__u32 client_tag;
	__u32 service;
	__u16 endpoint;
	__u8 clients;
	__u8 vip;	 /* index that the last INIT was sent to */
	__u8 from;	 /* index of the client address that sent it */
	__u8 candidates; /* INIT ACKs seen, modulo MAX_CANDIDATES in candidate[] */
	__u8 echoed;	 /* COOKIE ECHO seen: candidate index + 1 */
	__u8 mode;
	__be16 client_port;
	__be16 service_port;
	__be16 our_port;
	__be16 server_port;
	__u32 candidate[MAX_CANDIDATES];
	__u32 restart; /* conversation that this handshake would replace, + 1 */
	__u32 domain;  /* port reservation held by this handshake; 0: none or lent by restart */
	__u32 created; /* jiffies */
	__u8 families; /* enum families that the client can use */
	__u8 pad[11];
	struct addresses client;
};
_Static_assert(sizeof(struct handshake) == 192, "a handshake is three cache lines");

enum families { FAMILY_V4 = 1, FAMILY_V6 = 2, FAMILY_STATED = 4 };

/* Eight handshakes of one hash: client tag << 32 | acknowledged << 31 | low 31 bits of jiffies. */
struct bucket {
	__u64 way[PENDING_WAYS];
};

struct service {
	__u64 name; /* hash, by which a restarted daemon knows the record again */
	__u8 active;
	__u8 mode;
	__u8 pick;
	__u8 vips;
	__u8 protocol;
	__u8 single;
	__u8 ootb;	  /* enum refusal */
	__u8 no_endpoint; /* enum refusal */
	__u8 idle_abort;
	__u8 restricted; /* allowed_sources applies */
	__u16 pad;
	__u32 ring;
	__u32 pool;
	__u32 established; /* idle timeouts in jiffies */
	__u32 shutdown;
	__u32 pending;
	struct addresses vip;
};

enum endpoint_admin { ENDPOINT_ABSENT, ENDPOINT_UP, ENDPOINT_DRAINING, ENDPOINT_DOWN };

struct endpoint {
	__u64 name; /* as in struct service */
	__u8 live;  /* bit for each address */
	__u8 admin;
	__u8 addresses;
	__u8 listed; /* bit for each source that an INIT may list: known, and not listed before */
	__be16 port; /* 0: the service's */
	__u16 pad2;
	__u32 weight;
	__u32 domain; /* one number for each server, whatever pools it is in */
	__u32 pool;
	__u32 pad3;
	struct addresses address;
	struct addresses source; /* our address that faces each of them (onearm) */
};

/* What the datapath counts for an endpoint or a service. */
struct totals {
	__u64 conversations; /* now */
	__u64 created;
	__u64 packets[2]; /* of ended conversations, by direction */
	__u64 bytes[2];
};

/* Who serves a VIP, protocol and port prefix. */
struct vip {
	struct address address;
	__be16 port; /* masked to plen bits */
	__u8 protocol;
	__u8 plen;   /* bits of port that count; VIP_LENGTHS: the value is a set of lengths */
	__u32 value; /* service and index in its list << VIP_INDEX_SHIFT; or bit for each plen in use */
};
#define VIP_LENGTHS 0xff
#define VIP_INDEX_SHIFT 29
#define VIP_SERVICE(value) ((value) & ((1U << VIP_INDEX_SHIFT) - 1))

struct vip_slot {
	__u64 key; /* hash of all but the value */
	struct vip vip;
};
_Static_assert(sizeof(struct vip_slot) == 32, "two slots are one cache line");

struct source_key { /* LPM: service and prefix */
	__u32 prefixlen;
	__u32 service;
	struct address address;
};

struct member_key { /* is this address an endpoint of this pool? */
	struct address address;
	__u32 pool;
	__u32 pad;
};

/* Of a fragmented packet: its fragments share these. */
struct fragment_key {
	struct address source;
	struct address destination;
	__u32 id;
	__u32 protocol;
};

struct fragment_value {
	struct address source;
	struct address destination;
	__u32 seen; /* jiffies */
	__u32 pad;
};

/* Where packets to an address leave. A direct-mapped cache of the kernel's route and neighbour. */
struct nexthop {
	__u64 version; /* generation << 32 | sequence; odd: being written */
	struct address to;
	__u32 ifindex;
	__u16 mtu;
	__u16 vlan;    /* VLAN_PRESENT | VID, or 0 */
	__u8 macs[12]; /* destination, source */
	__u8 pad[12];
	__u64 pad2;
};
_Static_assert(sizeof(struct nexthop) == 64, "a next hop is one cache line");
#define VLAN_PRESENT 0x8000

struct vlan {
	__u32 parent;
	__u16 vid;
	__u16 pad;
};

/* Written by the daemon through mmap, read by every packet. */
struct control {
	__u32 generation; /* of next hops: raised on a route, neighbour or link change */
	__u32 trace;	  /* report every decision */
};

/* Raised with every change to what a pinned map holds. */
enum layout { LAYOUT_VERSION = 2 };

struct meta {
	enum layout layout;
	__u32 table_bits;
	__u32 index_bits;
	__u32 pending_bits;
	__u32 conversations;
	__u32 pad;
	__u64 seed;
};

/* Nibble products of one distance: line[d / 4].product[i][y] is what y << 4i becomes after d more bytes. */
struct checksum_line {
	__u32 product[8][16];
};

struct counter {
	__u64 packets;
	__u64 bytes;
};

enum event_type { EVENT_BIRTH = 1, EVENT_DEATH, EVENT_PATH, EVENT_REFUSAL, EVENT_TRACE };

struct event {
	__u64 time; /* jiffies */
	__u8 type;
	__u8 reason; /* of a refusal; of a death: chunk type, or 255 when idle */
	__u8 protocol;
	__u8 reverse;
	__u32 service;
	__u32 endpoint;
	__u32 conversation;
	__u32 client_tag;
	__u32 server_tag;
	__be16 sport;
	__be16 dport;
	struct address source;
	struct address destination;
};

#define NO_SLOT 0xffffffff
