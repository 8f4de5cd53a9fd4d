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
		index_delete(port_word(domain, server_port, our_port), INDEX_VALUE(INDEX_PORT, 1));
}

/* Would the endpoint's packets to this client be taken for another's? */
__noinline int reverse_taken(__u32 client_tag, __u32 server_our_ports)
{
	__u64 key = (__u64)client_tag << 32 | server_our_ports;

	return table_find(key) != NULL;
}

/* The client's own port where it is free, else a free one; 0: none found. */
__noinline __be16 port_reserve(__u32 domain, __be16 server_port, __be16 wanted, __u32 client_tag)
{
	__u64 turn = mix((__u64)client_tag << 32 | wanted);
	__be16 port = wanted;

	for (__u32 i = 0; i < PORT_TRIES; i++) {
		if (index_insert(port_word(domain, server_port, port), INDEX_VALUE(INDEX_PORT, 1)) == INSERTED) {
			if (!reverse_taken(client_tag, (__u32)server_port | (__u32)port << 16))
				return port;
			port_release(domain, server_port, port);
		}
		turn = mix(turn + i);
		port = bpf_htons(1024 + (__u32)(turn >> 33) % 64512);
	}
	return 0;
}
