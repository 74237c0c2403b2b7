/* SPDX-License-Identifier: Apache-2.0
 * A hash table of nodes that lie in what they belong to, for one process's state: buckets double, their memory is the process's.
 *
 * Only the process that owns it may use it. It never fails: without memory for more buckets its chains grow.
 * X1 a node is in the chain that its hash gives, once. X2 `mask` + 1 buckets, a power of two; none before there is memory for them.
 */
#ifndef MT_LIB_INDEX_H
#define MT_LIB_INDEX_H

#include <mote/mote.h>

/* The head of every node. */
struct mt_index_node {
    struct mt_index_node *next;
    uint64_t hash;
};

struct mt_index {
    mote_self *self;
    struct mt_index_node **buckets; /* NULL: there is only `lone` */
    struct mt_index_node *lone;
    size_t mask;
    size_t count;
};

/* Makes an empty table of this process. */
void mt_index_init(struct mt_index *index, mote_self *self);
/* Gives the buckets back; the nodes are their owner's. */
void mt_index_fini(struct mt_index *index);
/* Puts a node in. Borrows it until it is taken out. Others may have the same hash. */
void mt_index_put(struct mt_index *index, struct mt_index_node *entry, uint64_t hash);
/* Takes out a node that is in. */
void mt_index_remove(struct mt_index *index, struct mt_index_node *entry);
/* The first node of that hash, and the next of the same hash; NULL: there is none. Valid until the table changes. */
struct mt_index_node *mt_index_first(const struct mt_index *index, uint64_t hash);
struct mt_index_node *mt_index_next(const struct mt_index_node *entry);
/* Any node for which `wanted` is true; NULL: none. It must not change the table. */
struct mt_index_node *mt_index_some(const struct mt_index *index, bool (*wanted)(void *context, struct mt_index_node *node), void *context);

/* A hash of a word: pids and references. */
static inline uint64_t mt_index_hash(uint64_t word) {
    word = (word ^ word >> 32) * 0x9e3779b97f4a7c15u;
    return word ^ word >> 29;
}

#endif
