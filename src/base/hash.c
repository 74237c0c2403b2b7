/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <string.h>

#include "base/atomic.h"

#define AHEAD 8u /* buckets whose nodes mt_hash_pop() fetches before it takes them */

static uint64_t mix(uint64_t key) {
    key *= 0x9e3779b97f4a7c15u;
    return key ^ key >> 32;
}

/* The bucket's list. I3 */
static struct mt_node **bucket(const struct mt_hash *hash, size_t index) {
    MT_ASSERT(index < hash->buckets);
    if (index < MT_HASH_FIRST) return &hash->segments[0][index];
    unsigned log = (unsigned)(63 - __builtin_clzll(index / MT_HASH_FIRST));
    size_t begin = (size_t)MT_HASH_FIRST << log;
    return &hash->segments[log + 1][index - begin];
}

/* I1: the largest power of two of buckets that are all there, and one that is partly there. */
static size_t index_of(const struct mt_hash *hash, uint64_t key) {
    size_t whole = (size_t)1 << (63 - __builtin_clzll(hash->buckets));
    size_t index = mix(key) & (2 * whole - 1);
    return index < hash->buckets ? index : index & (whole - 1);
}

mote_err mt_hash_init(struct mt_hash *hash) {
    memset(hash, 0, sizeof *hash);
    hash->segments[0] = mt_os_alloc_zero(MT_HASH_FIRST * sizeof(struct mt_node *));
    if (!hash->segments[0]) return MOTE_ENOMEM;
    hash->buckets = MT_HASH_FIRST;
    return MOTE_OK;
}

void mt_hash_fini(struct mt_hash *hash) {
    for (int i = 0; i < MT_HASH_SEGMENTS; i++) mt_os_free(hash->segments[i]);
    memset(hash, 0, sizeof *hash);
}

/* One bucket more, which takes over about half of another one's nodes. */
static void grow(struct mt_hash *hash) {
    size_t index = hash->buckets, whole = (size_t)1 << (63 - __builtin_clzll(index));
    unsigned segment = (unsigned)(63 - __builtin_clzll(index / MT_HASH_FIRST)) + 1;
    if (segment >= MT_HASH_SEGMENTS) return;
    if (!hash->segments[segment]) hash->segments[segment] = mt_os_alloc_zero(whole * sizeof(struct mt_node *));
    if (!hash->segments[segment]) return; /* no memory: longer lists */
    struct mt_node **from = bucket(hash, index & (whole - 1));
    hash->buckets++;
    struct mt_node **to = bucket(hash, index);
    while (*from) {
        struct mt_node *node = *from;
        if (index_of(hash, node->key) != index) {
            from = &node->next;
            continue;
        }
        *from = node->next;
        node->next = NULL;
        *to = node;
        to = &node->next;
    }
}

struct mt_node **mt_hash_find(const struct mt_hash *hash, uint64_t key) {
    struct mt_node **at = bucket(hash, index_of(hash, key));
    while (*at && (*at)->key != key) at = &(*at)->next;
    return at;
}

void mt_hash_insert(struct mt_hash *hash, struct mt_node *node) {
    if (hash->count >= hash->buckets) grow(hash);
    struct mt_node **at = bucket(hash, index_of(hash, node->key));
    node->next = *at;
    *at = node;
    hash->count++;
    hash->cursor = 0;
}

struct mt_node *mt_hash_remove(struct mt_hash *hash, struct mt_node **where) {
    struct mt_node *node = *where;
    MT_ASSERT(node && hash->count > 0);
    *where = node->next;
    hash->count--;
    return node;
}

struct mt_node *mt_hash_pop(struct mt_hash *hash) {
    while (hash->count && hash->cursor < hash->buckets) {
        struct mt_node **at = bucket(hash, hash->cursor);
        if (hash->cursor + AHEAD < hash->buckets) mt_prefetch_write(*bucket(hash, hash->cursor + AHEAD));
        if (*at) return mt_hash_remove(hash, at);
        hash->cursor++;
    }
    MT_ASSERT(hash->count == 0);
    return NULL;
}

void mt_hash_each(const struct mt_hash *hash, void (*visit)(void *context, struct mt_node *node), void *context) {
    for (size_t i = 0; i < hash->buckets; i++)
        for (struct mt_node *node = *bucket(hash, i), *next; node; node = next) {
            next = node->next;
            visit(context, node);
        }
}
