/* SPDX-License-Identifier: Apache-2.0
 * A hash table of nodes that lie in what they belong to. It grows by one bucket at a time (linear hashing, Litwin 1980), so no insertion
 * takes longer than others, and never fails: without memory it only gets slower.
 *
 * Not thread-safe: the owner, or under a lock.
 * I1 a node is in one bucket's list; the bucket is given by its key alone. I2 buckets >= MT_HASH_FIRST once there is a segment.
 * I3 segment 0 has MT_HASH_FIRST buckets, segment i > 0 as many as all before it.
 */
#ifndef MT_BASE_HASH_H
#define MT_BASE_HASH_H

#include "base/os.h"

#define MT_HASH_FIRST 16u
#define MT_HASH_SEGMENTS 28

/* The head of every node; `info` is the user's. */
struct mt_node {
    struct mt_node *next;
    uint64_t info;
    uint64_t key;
};

struct mt_hash {
    size_t count;   /* nodes */
    size_t buckets; /* in use */
    size_t cursor;  /* mt_hash_pop(): buckets before it are empty */
    struct mt_node **segments[MT_HASH_SEGMENTS];
};

/* Makes an empty table. MOTE_ENOMEM. */
mote_err mt_hash_init(struct mt_hash *hash);
/* Frees the buckets; the nodes are their owner's. */
void mt_hash_fini(struct mt_hash *hash);
/* Where the newest node of that key is linked: *where is NULL when there is none. Valid until the table changes. */
struct mt_node **mt_hash_find(const struct mt_hash *hash, uint64_t key);
/* Puts a node in. Borrows it until it is taken out. Other nodes may have the same key. */
void mt_hash_insert(struct mt_hash *hash, struct mt_node *node);
/* Takes the node at `where` out. Gives it. */
struct mt_node *mt_hash_remove(struct mt_hash *hash, struct mt_node **where);
/* Takes any node out; NULL when there is none. Nothing may be inserted between calls. */
struct mt_node *mt_hash_pop(struct mt_hash *hash);
/* Calls `visit` for each node; it must not change the table. */
void mt_hash_each(const struct mt_hash *hash, void (*visit)(void *context, struct mt_node *node), void *context);

#endif
