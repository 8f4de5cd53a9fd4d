/* SPDX-License-Identifier: GPL-2.0-only */
/* Who serves an address and port: an open-addressed table that every CPU reads and the control program alone writes. */
#pragma once
#include "table.h"

/* What identifies a VIP beside its address: port and protocol as dialled, and how many bits of the port count. */
#define VIP_WORD(port, protocol, plen) ((__u32)(port) | (__u32)(protocol) << 16 | (__u32)(plen) << 24)

/* Exact for IPv4. The address and word are compared too: equal hashes only share a chain. */
static __always_inline __u64 vip_hash(const struct address *address, __u32 word)
{
	return mix(address->half[0] * 0x9e3779b97f4a7c15ULL ^ address->half[1] ^ word);
}

static __always_inline __u32 vip_home(__u64 key)
{
	return (__u32)(key >> (64 - vip_bits));
}

static __always_inline struct vip_slot *vip_slot(__u32 slot)
{
	slot &= (1U << vip_bits) - 1;
	return bpf_map_lookup_elem(&vips, &slot);
}

static __always_inline __u32 vip_word(const struct vip *vip)
{
	return VIP_WORD(vip->port, vip->protocol, vip->plen);
}

static __always_inline int vip_is(const struct vip *vip, const struct address *address, __u32 word)
{
	return vip->address.half[1] == address->half[1] && vip->address.half[0] == address->half[0] &&
	       vip_word(vip) == word;
}

/* The value, or NO_SLOT. A slot that was written meanwhile has another key, or holds the same VIP again. */
static __always_inline __u32 vip_find(const struct address *address, __u32 word, __u32 probes)
{
	__u64 key = vip_hash(address, word);
	__u32 home = vip_home(key), value;

	for (__u32 i = 0; i < probes; i++) {
		struct vip_slot *slot = vip_slot(home + i);

		if (!slot || READ_ONCE(slot->key) == KEY_FREE)
			return NO_SLOT;
		if (READ_ONCE(slot->key) != key || !vip_is(&slot->vip, address, word))
			continue;
		value = READ_ONCE(slot->vip.value);
		if (READ_ONCE(slot->key) == key)
			return value;
	}
	return NO_SLOT;
}

__noinline __u32 vip_search(const struct address *address, __u32 word)
{
	return address ? vip_find(address, word, VIP_PROBES) : NO_SLOT;
}

/* Sets the value of a VIP, in place where it is there. Nobody reads a slot before its key is written. Returns whether
 * there was room. */
static __always_inline int vip_put(const struct vip *vip)
{
	__u64 key = vip_hash(&vip->address, vip_word(vip)), was;
	__u32 home = vip_home(key);
	struct vip_slot *room = NULL;

	for (__u32 i = 0; i < VIP_PROBES; i++) {
		struct vip_slot *slot = vip_slot(home + i);

		if (!slot)
			return 0;
		was = slot->key;
		if (was == key && vip_is(&slot->vip, &vip->address, vip_word(vip))) {
			WRITE_ONCE(slot->vip.value, vip->value);
			return 1;
		}
		if (!room && (was == KEY_FREE || was == KEY_TOMB))
			room = slot;
		if (was == KEY_FREE)
			break;
	}
	if (!room)
		return 0;
	room->vip = *vip;
	(void)__sync_lock_test_and_set(&room->key, key);
	return 1;
}

/* Empties a slot and the tombs before it, if no chain goes on behind them. */
static __always_inline void vip_clear(__u32 at)
{
	struct vip_slot *slot = vip_slot(at), *next = vip_slot(at + 1);

	if (!slot || !next)
		return;
	(void)__sync_lock_test_and_set(&slot->key, KEY_TOMB);
	if (next->key != KEY_FREE)
		return;
	for (__u32 i = 0; i < VIP_PROBES; i++) {
		slot = vip_slot(at - i);
		if (!slot || slot->key != KEY_TOMB)
			return;
		WRITE_ONCE(slot->key, KEY_FREE);
	}
}

/* Returns whether it was there. */
static __always_inline int vip_delete(const struct vip *vip)
{
	__u64 key = vip_hash(&vip->address, vip_word(vip));
	__u32 home = vip_home(key);

	for (__u32 i = 0; i < VIP_PROBES; i++) {
		struct vip_slot *slot = vip_slot(home + i);

		if (!slot || slot->key == KEY_FREE)
			return 0;
		if (slot->key == key && vip_is(&slot->vip, &vip->address, vip_word(vip))) {
			vip_clear(home + i);
			return 1;
		}
	}
	return 0;
}
