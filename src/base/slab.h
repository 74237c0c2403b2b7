/* SPDX-License-Identifier: Apache-2.0
 * Small blocks, fast: each scheduler has a cache of magazines (linked lists of MT_MAGAZINE blocks), a runtime has a depot
 * where caches swap full ones for empty ones. Block sizes are multiples of 16 up to MT_SLAB_MAX; larger ones are malloc's.
 *
 * A cache belongs to one thread at a time; the depot to all (lock DEPOT). A block may be freed into another cache of the
 * same depot than it came from. No header: free takes the size.
 * I1 blocks of one class are cut from spans of MT_SPAN bytes, aligned to MT_SPAN. I2 a cache keeps at most two magazines of
 * a class. I3 alloc and free of a size meet the same class. Built with MT_PLAIN_ALLOC (sanitizers, faults) every block is
 * malloc's own, so that tools see each one.
 */
#ifndef MT_BASE_SLAB_H
#define MT_BASE_SLAB_H

#include "base/atomic.h"
#include "base/os.h"

#define MT_SLAB_MAX 512u
#define MT_SLAB_CLASSES (MT_SLAB_MAX / 16 + 1)
#define MT_MAGAZINE 64u
#define MT_SPAN ((size_t)65536)

struct mt_depot;

struct mt_block {
    struct mt_block *next;
};

struct mt_magazines {
    struct mt_block *list;  /* owner: the magazine in use */
    struct mt_block *spare; /* owner: a full one, or NULL */
    uint32_t count;         /* owner: blocks in `list` */
};

struct mt_cache {
    struct mt_magazines of[MT_SLAB_CLASSES]; /* owner */
    struct mt_depot *depot;                  /* const */
};

/* Makes a depot. Gives; NULL when out of memory. */
struct mt_depot *mt_depot_new(void);
/* Frees it with all its spans; every cache must be finished and every block is void. Takes. */
void mt_depot_free(struct mt_depot *depot);
/* Gives spans whose blocks are all in the depot back to the system, beyond `keep` bytes of free blocks. Any thread. Gives the
 * bytes returned. O(blocks in the depot): for idle moments. */
size_t mt_depot_trim(struct mt_depot *depot, size_t keep);
/* Bytes of free blocks in the depot now. */
size_t mt_depot_free_bytes(struct mt_depot *depot);
/* Bytes of free blocks that nobody has needed since the last call of this (one thread at a time). */
size_t mt_depot_unneeded_bytes(struct mt_depot *depot);

void mt_cache_init(struct mt_cache *cache, struct mt_depot *depot);
/* Gives every block back to the depot. */
void mt_cache_fini(struct mt_cache *cache);

void *mt_cache_refill(struct mt_cache *cache, uint32_t class);
void mt_cache_free_full(struct mt_cache *cache, struct mt_block *b, uint32_t class);

/* A block of at least `size` bytes, 16-aligned, not zeroed; NULL when out of memory. Gives. Owner of the cache only. */
static inline void *mt_cache_alloc(struct mt_cache *cache, size_t size) {
#ifdef MT_PLAIN_ALLOC
    (void)cache;
    return mt_os_alloc(size);
#else
    if (mt_unlikely(size > MT_SLAB_MAX)) return mt_os_alloc(size);
    uint32_t class = (uint32_t)((size + 15) / 16);
    struct mt_magazines *m = &cache->of[class];
    struct mt_block *b = m->list;
    if (mt_unlikely(!b)) return mt_cache_refill(cache, class);
    m->list = b->next;
    m->count--;
    return b;
#endif
}

/* Frees a block of mt_cache_alloc(cache', size) of any cache of the same depot. Takes. Owner of the cache only. */
static inline void mt_cache_free(struct mt_cache *cache, void *p, size_t size) {
#ifdef MT_PLAIN_ALLOC
    (void)cache, (void)size;
    mt_os_free(p);
#else
    if (mt_unlikely(size > MT_SLAB_MAX)) {
        mt_os_free(p);
        return;
    }
    uint32_t class = (uint32_t)((size + 15) / 16);
    struct mt_magazines *m = &cache->of[class];
    struct mt_block *b = p;
    if (mt_unlikely(m->count == MT_MAGAZINE)) { /* last, so that what precedes needs no registers that survive calls */
        mt_cache_free_full(cache, b, class);
        return;
    }
    b->next = m->list;
    m->list = b;
    m->count++;
#endif
}

#endif
