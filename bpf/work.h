/* SPDX-License-Identifier: GPL-2.0-only */
/* What the slow paths put together. It is per CPU, not on the stack: their call chains would outgrow 512 bytes. */
#pragma once
#include "count.h"

struct way_out {
	__u32 ifindex;
	__u16 mtu;
	__u16 vlan; /* VLAN_UNRESOLVED: leaves by the kernel's neighbour code (tc only), towards gateway */
	union {
		__u8 macs[12];
		struct address gateway;
	};
};
#define VLAN_UNRESOLVED 0xffff

/* What becomes of the addresses and ports; before a path is chosen: the packet's own. */
struct rewrite {
	struct address source;
	struct address destination;
	__be16 sport;
	__be16 dport;
	__u32 pad;
};

struct dialled {
	__u32 number; /* of the service */
	__u32 vip;    /* index in its list */
	__u32 ours;   /* the destination is a VIP, if of another port */
};

/* The two sides of a conversation or handshake. */
struct parties {
	__u32 endpoint;
	__u8 vips;
	__u8 clients;
	__u8 mode;
	__u8 single;
};

/* The addresses chosen, by index and in full. */
struct path {
	__u8 client;
	__u8 vip;
	__u8 server;
	__u8 source; /* which of our sources: index into pairs */
	__u32 pad;
	struct address from;
	struct address to;
};

struct handshake_query {
	__u32 tag;
	__u32 service; /* of an INIT */
	__be16 sport;
	__be16 dport;
	__u32 reply; /* the packet comes from the endpoint */
};

enum own { OWN_NOTHING, OWN_VIPS, OWN_SOURCES };

/* How the parameters of an INIT or INIT ACK are to be edited. */
struct order {
	__u32 own;    /* enum own: the siblings to put in */
	__u32 number; /* of the service or endpoint that has them */
	__u32 owns;
	__u32 skipped;	/* bit for each sibling that is not to be put in */
	__u32 implied;	/* index of the sibling that the header carries */
	__u32 families; /* what may be appended */
	__u32 mtu;
	struct address header; /* the sender's own source address */
};

/* Where the editing stands. */
struct edit {
	__u32 last; /* end of the packet as it came */
	__u32 used; /* bit for each sibling that is in */
	__u32 at;   /* where the next word is appended */
	__u32 tail; /* raw checksum, over what has been appended */
};

struct work {
	struct packet packet;
	struct dialled dialled;
	struct parties parties;
	struct path path;
	struct rewrite ends;
	struct handshake_query query;
	struct order order;
	struct edit edit;
	struct way_out out;
	struct handshake handshake;
	__u32 number; /* of a handshake */
	struct pairs pairs;
	struct entry entry;
	struct rewrite quoted; /* what the packet inside an ICMP error becomes */
	struct fragment_key fragment;
	struct overflow_key rare;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct work);
	__uint(max_entries, 1);
} works SEC(".maps");

static __always_inline struct work *this_work(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&works, &zero);
}
