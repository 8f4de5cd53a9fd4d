/* SPDX-License-Identifier: GPL-2.0-only */
/* Sizes and protocol numbers. Each size may be overridden with -D and says why it is that size. */
#pragma once

/* Addresses of a client, a service or an endpoint: 3GPP cores use two, SCTP hosts bound to the wildcard list more. */
#ifndef MAX_ADDRESSES
#define MAX_ADDRESSES 8
#endif

/* Linear probes in an open-addressed table: at load 0.5 one key in 3,000 finds no slot among 16. */
#ifndef PROBES
#define PROBES 16
#endif

/* Likewise in the table of VIPs, which has no overflow: at load 0.5 the longest of thirty runs took 49. */
#ifndef VIP_PROBES
#define VIP_PROBES 128
#endif

/* Of these, looked at without a function call: a cache line or two. */
#define VIP_NEAR 4

/* VIPs changed in one call of the control program: a few tenths of a millisecond of one CPU. */
#define VIP_BATCH 4096

/* Handshakes that share a hash bucket: eight words of eight bytes are one cache line. */
#define PENDING_WAYS 8

/* INIT ACKs of one handshake: each retransmitted INIT draws another tag. */
#define MAX_CANDIDATES 4

/* Parameters of an INIT or INIT ACK: 8 addresses, 8 known options and as many unknown ones, with room. */
#ifndef MAX_PARAMETERS
#define MAX_PARAMETERS 48
#endif

/* Control chunks looked at before the first DATA chunk (RFC 9260 §6.10 puts them first). */
#ifndef MAX_CHUNKS
#define MAX_CHUNKS 8
#endif

/* Source ports tried before an INIT is refused: at half-used port space one INIT in 2^16 fails. */
#ifndef PORT_TRIES
#define PORT_TRIES 16
#endif

/* Largest packet edited in place; one checksum line for each multiple of four. */
#ifndef MAX_PACKET
#define MAX_PACKET 9216
#endif
#define CHECKSUM_LINES (MAX_PACKET / 4 + 1)

/* Endpoints compared by a least-connections pick. */
#define MAX_LEAST 1024

/* ICMP errors that we make ourselves, for each CPU and second. */
#define ICMP_PER_SECOND 1000

/* Refusals reported to user space, for each CPU and second; all of them are counted. */
#define EVENTS_PER_SECOND 200

/* Offsets into a packet stay below this power of two, which bounds them for the verifier. */
#define OFFSET_MASK 0x3fff

/* Chunk types, RFC 9260 §3.2; ASCONF RFC 5061; I-DATA RFC 8260. */
#define CHUNK_DATA 0
#define CHUNK_INIT 1
#define CHUNK_INIT_ACK 2
#define CHUNK_ABORT 6
#define CHUNK_SHUTDOWN 7
#define CHUNK_SHUTDOWN_ACK 8
#define CHUNK_COOKIE_ECHO 10
#define CHUNK_COOKIE_ACK 11
#define CHUNK_SHUTDOWN_COMPLETE 14
#define CHUNK_I_DATA 64
#define CHUNK_ASCONF_ACK 0x80
#define CHUNK_PAD 0x84
#define CHUNK_ASCONF 0xc1
#define CHUNK_FLAG_T 1

/* Parameters, RFC 9260 §3.3.2; PAD RFC 4820; Set Primary RFC 5061; Zero Checksum RFC 9653. */
#define PARAMETER_IPV4 5
#define PARAMETER_IPV6 6
#define PARAMETER_HOST_NAME 11
#define PARAMETER_ADDRESS_TYPES 12
#define PARAMETER_ZERO_CHECKSUM 0x8001
#define PARAMETER_PAD 0x8005
#define PARAMETER_EXTENSIONS 0x8008
#define PARAMETER_SET_PRIMARY 0xc004

enum mode { MODE_DNAT, MODE_ONEARM, MODE_FULLNAT, MODE_DSR };
enum pick { PICK_RING, PICK_COUNTER, PICK_RANDOM, PICK_LEAST, PICK_SOURCE };
enum refusal { REFUSE_DROP, REFUSE_ABORT };
enum state { STATE_FREE, STATE_OPENING, STATE_ESTABLISHED, STATE_SHUTDOWN, STATE_ABORTED };
