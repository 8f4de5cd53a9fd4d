/* SPDX-License-Identifier: GPL-2.0-only */
/* Open-addressed tables in arrays: linear probes from a seeded hash, inserted and deleted by compare-and-swap.
 * A reader re-checks the key after it read the rest; a writer holds BUSY while it fills a slot. */
#pragma once
#include "maps.h"

/* Words no conversation has: their source port (the low 16 bits on the wire) is 0. */
#define KEY_FREE 0ULL
#define KEY_BUSY 0x10000ULL
#define KEY_TOMB 0x20000ULL

#define READ_ONCE(x) (*(volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

/* Asks for a cache line without waiting for it: in tables of megabytes a miss costs more than all that is done with it. */
static __always_inline void touch(const void *line)
{
	if (line)
		(void)READ_ONCE(*(const __u64 *)line);
}

static __always_inline __u32 table_home(__u64 key, __u32 bits)
{
	return (__u32)((key * seed) >> (64 - bits));
}

static __always_inline struct entry *table_slot(__u32 slot)
{
	return bpf_map_lookup_elem(&table, &slot);
}

static __always_inline struct entry *table_find(__u64 key)
{
	__u32 mask = (1U << table_bits) - 1, home = table_home(key, table_bits);

	for (__u32 i = 0; i < PROBES; i++) {
		struct entry *entry = table_slot((home + i) & mask);

		if (!entry || READ_ONCE(entry->key) == KEY_FREE)
			return NULL;
		if (READ_ONCE(entry->key) == key)
			return entry;
	}
	return NULL;
}

/* Writes all but the key, then publishes it. Returns the slot, or NO_SLOT. */
static __always_inline __u32 table_insert(const struct entry *from)
{
	__u32 mask = (1U << table_bits) - 1, home;

	if (!from)
		return NO_SLOT;
	home = table_home(from->key, table_bits);
	for (__u32 i = 0; i < PROBES; i++) {
		__u32 slot = (home + i) & mask;
		struct entry *entry = table_slot(slot);
		__u64 was;

		if (!entry)
			return NO_SLOT;
		was = READ_ONCE(entry->key);
		if (was != KEY_FREE && was != KEY_TOMB)
			continue;
		if (__sync_val_compare_and_swap(&entry->key, was, KEY_BUSY) != was)
			continue;
		__builtin_memcpy(&entry->bytes, &from->bytes, sizeof(*entry) - sizeof(entry->key));
		(void)__sync_lock_test_and_set(&entry->key, from->key);
		return slot;
	}
	return NO_SLOT;
}

static __always_inline int table_delete(__u32 slot, __u64 key)
{
	__u32 mask = (1U << table_bits) - 1;
	struct entry *entry = table_slot(slot & mask), *next = table_slot((slot + 1) & mask);
	__u64 to = next && READ_ONCE(next->key) == KEY_FREE ? KEY_FREE : KEY_TOMB;

	return entry && __sync_val_compare_and_swap(&entry->key, key, to) == key;
}

/* A bijection: different words never share a key. */
static __always_inline __u64 mix(__u64 word)
{
	word ^= seed;
	word *= 0xbf58476d1ce4e5b9ULL;
	word ^= word >> 29;
	word *= 0x94d049bb133111ebULL;
	word ^= word >> 32;
	return (__u16)word ? word : word | 1;
}

/* A flow's whole tuple, which its entry repeats. */
static __always_inline __u64 flow_key(const struct address *from, const struct address *to, __u32 ports, __u32 protocol)
{
	__u64 word = from->word[3] | (__u64)to->word[3] << 32;

	if (from->half[0])
		word = mix(mix(mix(from->half[0]) ^ from->half[1]) + to->half[0]) ^ to->half[1];
	return mix(mix(word) ^ ((__u64)protocol << 32 | ports));
}

#define INDEX_VALUE(kind, number) ((__u64)(kind) << 56 | (number))
#define INDEX_NUMBER(value) ((__u32)(value))

static __always_inline struct index_slot *index_slot(__u32 slot)
{
	return bpf_map_lookup_elem(&index_table, &slot);
}

static __always_inline void index_touch(__u64 key)
{
	touch(index_slot(table_home(key, index_bits)));
}

static __always_inline __u64 index_search(__u64 key, __u32 kind)
{
	__u32 mask = (1U << index_bits) - 1, home = table_home(key, index_bits);

	for (__u32 i = 0; i < PROBES; i++) {
		struct index_slot *slot = index_slot((home + i) & mask);
		__u64 value;

		if (!slot || READ_ONCE(slot->key) == KEY_FREE)
			return 0;
		if (READ_ONCE(slot->key) != key)
			continue;
		value = READ_ONCE(slot->value);
		if (value >> 56 == kind && READ_ONCE(slot->key) == key)
			return value;
	}
	return 0;
}

/* The value stored under key and kind; 0: none. */
__noinline __u64 index_find(__u64 key, __u32 kind)
{
	return index_search(key, kind);
}

/* Deletes the slots of key that hold value. */
static __always_inline int index_erase(__u64 key, __u64 value)
{
	__u32 mask = (1U << index_bits) - 1, home = table_home(key, index_bits), found = 0;

	for (__u32 i = 0; i < PROBES; i++) {
		struct index_slot *slot = index_slot((home + i) & mask), *next;

		if (!slot || READ_ONCE(slot->key) == KEY_FREE)
			break;
		if (READ_ONCE(slot->key) != key || READ_ONCE(slot->value) != value)
			continue;
		next = index_slot((home + i + 1) & mask);
		found += __sync_val_compare_and_swap(&slot->key, key,
						     next && READ_ONCE(next->key) == KEY_FREE ? KEY_FREE : KEY_TOMB) ==
			 key;
	}
	return found;
}

__noinline int index_delete(__u64 key, __u64 value)
{
	return index_erase(key, value);
}

enum insertion { INSERTED, ALREADY_THERE, NO_ROOM };

/* One holder a key and kind: of two CPUs that insert at once, the one in the higher slot yields. */
static __always_inline int index_put(__u64 key, __u64 value)
{
	__u32 mask = (1U << index_bits) - 1, home = table_home(key, index_bits);
	__u32 at = PROBES;

	if (index_search(key, value >> 56))
		return ALREADY_THERE;
	for (__u32 i = 0; i < PROBES; i++) {
		struct index_slot *slot = index_slot((home + i) & mask);
		__u64 was;

		if (!slot)
			return NO_ROOM;
		was = READ_ONCE(slot->key);
		if (was != KEY_FREE && was != KEY_TOMB)
			continue;
		if (__sync_val_compare_and_swap(&slot->key, was, KEY_BUSY) != was)
			continue;
		slot->value = value;
		(void)__sync_lock_test_and_set(&slot->key, key);
		at = i;
		break;
	}
	if (at == PROBES)
		return NO_ROOM;
	for (__u32 i = 0; i < PROBES; i++) {
		struct index_slot *slot = index_slot((home + i) & mask);

		if (!slot || i >= at)
			break;
		if (READ_ONCE(slot->key) == key && READ_ONCE(slot->value) >> 56 == value >> 56) {
			slot = index_slot((home + at) & mask);
			if (slot)
				__sync_val_compare_and_swap(&slot->key, key, KEY_TOMB);
			return ALREADY_THERE;
		}
	}
	return INSERTED;
}

__noinline int index_insert(__u64 key, __u64 value)
{
	return index_put(key, value);
}

/* The newest holder of a key and kind. */
static __always_inline int index_replace(__u64 key, __u64 value)
{
	__u64 was = index_find(key, value >> 56);

	if (was && was != value)
		index_delete(key, was);
	return index_insert(key, value);
}
