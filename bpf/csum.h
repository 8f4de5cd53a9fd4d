/* SPDX-License-Identifier: GPL-2.0-only */
/* Checksum arithmetic. SCTP's CRC32c is linear: a word that changes d bytes before the end changes the sum by a product
 * that depends on d and the change alone, so an edit costs the same at any length and keeps a damaged packet damaged. */
#pragma once
#include "access.h"

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)((sum & 0xffff) + (sum >> 16));
}

/* RFC 1624: the sum after old words became new ones; difference is the sum of ~old and new. */
static __always_inline __sum16 csum_update(__sum16 check, __u64 difference)
{
	return (__sum16)~fold((__u64)(__u16)~check + difference);
}

static __always_inline __u64 address_difference(const struct address *old, const struct address *new)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < 4; i++)
		sum += (__u64)(__u32)~old->word[i] + new->word[i];
	return sum;
}

static __always_inline __u32 crc_product(const struct checksum_line *line, __u32 change)
{
	__u32 sum = 0;

#pragma unroll
	for (__u32 i = 0; i < 8; i++)
		sum ^= line->product[i][(change >> 4 * i) & 15];
	return sum;
}

/* Change of the checksum when the word at this many bytes before the packet's end changes; 0 beyond the lines. */
static __always_inline __u32 crc_change(__u32 distance, __u32 change)
{
	__u32 index = distance / 4;
	struct checksum_line *line = bpf_map_lookup_elem(&checksum_lines, &index);

	return line ? crc_product(line, change) : 0;
}

/* The raw sum after one more word (read little-endian) at the end. */
static __always_inline __u32 crc_append(__u32 sum, __u32 word)
{
	return crc_change(4, sum ^ word);
}
