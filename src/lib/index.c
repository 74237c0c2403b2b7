/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/index.h"

#define BUCKETS_FIRST 8u

void mt_index_init(struct mt_index *index, mote_self *self) { *index = (struct mt_index){.self = self}; }

void mt_index_fini(struct mt_index *index) {
    mote_dealloc(index->self, index->buckets);
    *index = (struct mt_index){.self = index->self};
}

static struct mt_index_node **chain(const struct mt_index *index, uint64_t hash) {
    struct mt_index *i = (struct mt_index *)(uintptr_t)index; /* who looks does not change it */
    return index->buckets ? &index->buckets[mt_index_hash(hash) & index->mask] : &i->lone;
}

static void link_in(struct mt_index *index, struct mt_index_node *entry) {
    struct mt_index_node **at = chain(index, entry->hash);
    entry->next = *at;
    *at = entry;
}

static void grow(struct mt_index *index) {
    size_t before = index->buckets ? index->mask + 1 : 0, size = before ? 2 * before : BUCKETS_FIRST;
    struct mt_index_node **old = index->buckets, *lone = index->lone, **buckets = mote_alloc(index->self, size * sizeof(void *));
    if (!buckets) return;
    index->buckets = buckets;
    index->mask = size - 1;
    index->lone = NULL;
    for (size_t i = 0; i <= before; i++)
        for (struct mt_index_node *e = i < before ? old[i] : lone, *next; e; e = next) {
            next = e->next;
            link_in(index, e);
        }
    mote_dealloc(index->self, old);
}

void mt_index_put(struct mt_index *index, struct mt_index_node *entry, uint64_t hash) {
    if (index->count > index->mask) grow(index);
    entry->hash = hash;
    link_in(index, entry);
    index->count++;
}

void mt_index_remove(struct mt_index *index, struct mt_index_node *entry) {
    struct mt_index_node **at = chain(index, entry->hash);
    while (*at != entry) at = &(*at)->next; /* X1: it is there */
    *at = entry->next;
    entry->next = NULL;
    index->count--;
}

static struct mt_index_node *same_hash(struct mt_index_node *entry, uint64_t hash) {
    while (entry && entry->hash != hash) entry = entry->next;
    return entry;
}

struct mt_index_node *mt_index_first(const struct mt_index *index, uint64_t hash) { return same_hash(*chain(index, hash), hash); }

struct mt_index_node *mt_index_next(const struct mt_index_node *entry) { return same_hash(entry->next, entry->hash); }

struct mt_index_node *mt_index_some(const struct mt_index *index, bool (*wanted)(void *context, struct mt_index_node *node), void *context) {
    for (size_t i = 0; i <= index->mask; i++)
        for (struct mt_index_node *node = index->buckets ? index->buckets[i] : index->lone; node; node = node->next)
            if (wanted(context, node)) return node;
    return NULL;
}
