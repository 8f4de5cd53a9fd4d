/* SPDX-License-Identifier: GPL-2.0-only */
/* Source ports towards endpoints. A server tells clients apart by our address and port, so that {server, its port,
 * our port} is held by one conversation at a time, whatever service and pool it came through. */
#pragma once
#include "service.h"

static __always_inline __u64 port_word(__u32 domain, __be16 server_port, __be16 our_port)
{
	return mix((__u64)domain << 32 | (__u64)server_port << 16 | our_port);
}

static __always_inline void port_release(__u32 domain, __be16 server_port, __be16 our_port)
{
	if (domain)
		index_erase(port_word(domain, server_port, our_port), INDEX_VALUE(INDEX_PORT, 1));
}

/* Takes a port that nobody holds at this server, unless its packets to this client would be taken for another's. */
static __always_inline int port_take(__u32 domain, __be16 server_port, __be16 port, __u32 client_tag)
{
	if (index_put(port_word(domain, server_port, port), INDEX_VALUE(INDEX_PORT, 1)) != INSERTED)
		return 0;
	if (!table_find(ports_key(server_port, port, client_tag)))
		return 1;
	port_release(domain, server_port, port);
	return 0;
}

__noinline int reverse_taken(__u32 client_tag, __u32 server_our_ports)
{
	return table_find((__u64)client_tag << 32 | server_our_ports) != NULL;
}

/* The client's own port where it is free, else another; 0: none found. In small functions, for the stack. */
__noinline __be16 port_search(__u32 domain, __u32 server_port, __u32 wanted, __u32 client_tag)
{
	__u64 turn = mix((__u64)client_tag << 32 | wanted);

	for (__u32 i = 0; i < PORT_TRIES; i++) {
		__u64 word = port_word(domain, server_port, wanted);

		if (index_insert(word, INDEX_VALUE(INDEX_PORT, 1)) == INSERTED) {
			if (!reverse_taken(client_tag, ports_word(server_port, wanted)))
				return wanted;
			index_delete(word, INDEX_VALUE(INDEX_PORT, 1));
		}
		turn = mix(turn + i);
		wanted = bpf_htons(1024 + (__u32)(turn >> 33) % 64512);
	}
	return 0;
}

/* As port_search(), with the likely case first and without a call. */
static __always_inline __be16 port_reserve(__u32 domain, __be16 server_port, __be16 wanted, __u32 client_tag)
{
	return port_take(domain, server_port, wanted, client_tag) ?
		       wanted :
		       port_search(domain, server_port, wanted, client_tag);
}
