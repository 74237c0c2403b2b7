/* SPDX-License-Identifier: Apache-2.0
 * Magazines and their depot: see slab.h.
 *
 * A span starts with its header, blocks follow; they are cut off on demand, so that pages are touched when they are needed.
 * D1 every block that was cut is with a user, in a cache, or in its class's `full` or `loose`, once.
 * D2 a magazine in `full` has MT_MAGAZINE blocks, `loose` has fewer. D3 a span is in `spans`; in `fresh` too while cut < capacity.
 * D4 locks do not nest; what is done under one is at most MT_MAGAZINE steps. */
#include "base/slab.h"

#include <string.h>

#include "base/lock.h"

#define SPAN_HEADER 64u
#define REGION ((size_t)2 << 20) /* of large pools: what a large page holds */
#define SMALL_SPANS 64u          /* so many of a depot come one by one, for small programs */

struct span { /* MT_SHARED */
    struct span *next, *prev; /* lock: the class's; all spans of the class */
    struct span *fresh_next;  /* lock: the class's */
    uint32_t class;           /* const */
    _Atomic uint32_t cut;     /* atomic: relaxed, blocks cut so far; changes under the class's lock, read by mt_depot_trim() */
    uint32_t counted;         /* owner: mt_depot_trim(): of its blocks, so many are in the depot; 0 outside of it */
    bool doomed;              /* owner: mt_depot_trim() */
    struct span *trim_next;   /* owner: mt_depot_trim() */
};
_Static_assert(sizeof(struct span) <= SPAN_HEADER, "the header's place");
_Static_assert(SPAN_HEADER % 16 == 0, "blocks are 16-aligned");

/* The first block of a full magazine. */
struct magazine {
    struct mt_block block;
    struct magazine *next; /* in `full` */
};
_Static_assert(sizeof(struct magazine) <= 16, "fits the smallest block");

struct class_depot { /* MT_SHARED */
    _Alignas(64) struct mt_lock lock;
    struct magazine *full;  /* lock: lock */
    struct mt_block *loose; /* lock: lock */
    uint32_t loose_count;   /* lock: lock */
    size_t free;            /* lock: lock; blocks in full and loose */
    size_t free_min;        /* lock: lock; the least that `free` has been since mt_depot_unneeded_bytes() */
    struct span *spans;     /* lock: lock */
    struct span *fresh;     /* lock: lock */
};

struct mt_depot { /* MT_SHARED */
    struct class_depot of[MT_SLAB_CLASSES];
    _Atomic uint32_t caches; /* atomic: relaxed, caches not yet finished */
    _Atomic bool trimming;   /* atomic: acquire and release, one mt_depot_trim() at a time */
    struct mt_lock lock;
    uint32_t small_spans;    /* lock: lock; made one by one */
    char *region, *end;      /* lock: lock; what is left of a region that spans are cut from */
};

static size_t block_size(uint32_t class) {
    MT_ASSERT(class > 0 && class < MT_SLAB_CLASSES);
    return (size_t)class * 16;
}

static uint32_t span_capacity(uint32_t class) {
    return (uint32_t)((MT_SPAN - SPAN_HEADER) / block_size(class));
}

static struct span *span_of(const void *block) {
    return (struct span *)((uintptr_t)block & ~(uintptr_t)(MT_SPAN - 1));
}

static uint32_t span_cut(struct span *span) {
    return atomic_load_explicit(&span->cut, memory_order_relaxed);
}

/* ------------------------------------------------------------------------------------------------- spans */

/* Bytes aligned to as many, a power of two; NULL when out of memory. Neighbours are usually aligned because the last one was. */
static void *map_aligned(size_t size) {
    char *p = mt_os_map(size);
    if (!p || ((uintptr_t)p & (size - 1)) == 0) return p;
    mt_os_unmap(p, size);
    p = mt_os_map(2 * size);
    if (!p) return NULL;
    size_t head = (size_t)(-(uintptr_t)p & (size - 1));
    if (head) mt_os_unmap(p, head);
    mt_os_unmap(p + head + size, size - head);
    return p + head;
}

/* A span's memory out of the region; NULL: nothing is left of it. */
static void *cut_region(struct mt_depot *depot) {
    char *p = NULL;
    mt_lock_take(&depot->lock);
    if (depot->region != depot->end) {
        p = depot->region;
        depot->region += MT_SPAN;
    }
    mt_lock_drop(&depot->lock);
    return p;
}

/* Another region, of one large page if the kernel has them: fewer faults, and fewer misses when millions of blocks are in use. */
static bool add_region(struct mt_depot *depot) {
    char *p = map_aligned(REGION);
    if (!p) return false;
    mt_os_large_pages(p, REGION);
    mt_lock_take(&depot->lock);
    bool wanted = depot->region == depot->end; /* else somebody else has added one */
    if (wanted) {
        depot->region = p;
        depot->end = p + REGION;
    }
    mt_lock_drop(&depot->lock);
    if (!wanted) mt_os_unmap(p, REGION);
    return true;
}

static bool is_small(struct mt_depot *depot) {
    mt_lock_take(&depot->lock);
    bool small = depot->small_spans < SMALL_SPANS;
    depot->small_spans += small;
    mt_lock_drop(&depot->lock);
    return small;
}

static void *span_memory(struct mt_depot *depot) {
    void *p = NULL;
    if (is_small(depot)) return map_aligned(MT_SPAN);
    while (!(p = cut_region(depot)) && add_region(depot)) continue;
    return p ? p : map_aligned(MT_SPAN);
}

static struct span *span_new(struct mt_depot *depot, uint32_t class) {
    struct span *span = span_memory(depot);
    if (!span) return NULL;
    MT_ASSERT(span_of(span) == span); /* I1 */
    span->class = class; /* the rest is zero */
    return span;
}

static void span_link_locked(struct class_depot *d, struct span *span) {
    MT_ASSERT(!span->next && !span->prev && !span->fresh_next);
    span->next = d->spans;
    if (d->spans) d->spans->prev = span;
    d->spans = span;
    span->fresh_next = d->fresh;
    d->fresh = span;
}

/* Forgets a span none of whose blocks is in use. O(1) but for the few that are fresh. */
static void span_unlink_locked(struct class_depot *d, struct span *span) {
    struct span **at = &d->fresh;
    if (span->prev) MT_ASSERT(span->prev->next == span);
    *(span->prev ? &span->prev->next : &d->spans) = span->next;
    if (span->next) span->next->prev = span->prev;
    if (span_cut(span) == span_capacity(span->class)) return;
    while (*at && *at != span) at = &(*at)->fresh_next;
    MT_ASSERT(*at); /* D3 */
    *at = span->fresh_next;
}

/* Reserves up to a magazine's blocks of a fresh span; the first one and how many, or 0 when nothing is fresh. */
static uint32_t cut_locked(struct class_depot *d, char **first) {
    struct span *span = d->fresh;
    if (!span) return 0;
    uint32_t cut = span_cut(span), capacity = span_capacity(span->class);
    MT_ASSERT(cut < capacity); /* D3 */
    uint32_t count = capacity - cut < MT_MAGAZINE ? capacity - cut : MT_MAGAZINE;
    *first = (char *)span + SPAN_HEADER + cut * block_size(span->class);
    atomic_store_explicit(&span->cut, cut + count, memory_order_relaxed);
    if (cut + count == capacity) {
        d->fresh = span->fresh_next;
        span->fresh_next = NULL;
    }
    return count;
}

/* Chains blocks that lie side by side. */
static struct mt_block *chain(char *first, uint32_t count, size_t size) {
    MT_ASSERT(count);
    for (uint32_t i = 0; i < count; i++) {
        struct mt_block *b = (struct mt_block *)(void *)(first + i * size);
        b->next = i + 1 < count ? (struct mt_block *)(void *)(first + (i + 1) * size) : NULL;
    }
    return (struct mt_block *)(void *)first;
}

/* ------------------------------------------------------------------------------------------------- depot */

struct mt_depot *mt_depot_new(void) {
    struct mt_depot *depot = mt_os_alloc_aligned(_Alignof(struct mt_depot), sizeof *depot);
    if (!depot) return NULL;
    memset(depot, 0, sizeof *depot);
    mt_lock_init(&depot->lock, MT_RANK_DEPOT);
    for (uint32_t class = 0; class < MT_SLAB_CLASSES; class++) mt_lock_init(&depot->of[class].lock, MT_RANK_DEPOT);
    return depot;
}

void mt_depot_free(struct mt_depot *depot) {
    MT_ASSERT(atomic_load_explicit(&depot->caches, memory_order_acquire) == 0);
    MT_ASSERT(!atomic_load_explicit(&depot->trimming, memory_order_acquire));
    for (uint32_t class = 0; class < MT_SLAB_CLASSES; class++) {
        struct class_depot *d = &depot->of[class];
        for (struct span *span = d->spans, *next; span; span = next) {
            next = span->next;
            MT_ASSERT(span->class == class);
            mt_os_unmap(span, MT_SPAN);
        }
        mt_lock_fini(&d->lock);
    }
    if (depot->region != depot->end) mt_os_unmap(depot->region, (size_t)(depot->end - depot->region));
    mt_lock_fini(&depot->lock);
    mt_os_free(depot);
}

size_t mt_depot_free_bytes(struct mt_depot *depot) {
    size_t bytes = 0;
    for (uint32_t class = 1; class < MT_SLAB_CLASSES; class++) {
        struct class_depot *d = &depot->of[class];
        mt_lock_take(&d->lock);
        bytes += d->free * block_size(class);
        mt_lock_drop(&d->lock);
    }
    return bytes;
}

size_t mt_depot_unneeded_bytes(struct mt_depot *depot) {
    size_t bytes = 0;
    for (uint32_t class = 1; class < MT_SLAB_CLASSES; class++) {
        struct class_depot *d = &depot->of[class];
        mt_lock_take(&d->lock);
        bytes += d->free_min * block_size(class);
        d->free_min = d->free;
        mt_lock_drop(&d->lock);
    }
    return bytes;
}

/* Whether a magazine has that many blocks, all of the class: for MT_CHECK. */
__attribute__((unused)) static bool is_magazine(const struct mt_block *list, uint32_t class, uint32_t count) {
    uint32_t n = 0;
    for (; list && n <= count; list = list->next, n++)
        if (span_of(list)->class != class) return false;
    return !list && n == count;
}

static void put_full_locked(struct class_depot *d, struct mt_block *list) {
    struct magazine *m = (struct magazine *)list;
    m->next = d->full;
    d->full = m;
    d->free += MT_MAGAZINE;
}

/* Adds fewer blocks than a magazine has to those that were left over before. D2. */
static void put_loose_locked(struct class_depot *d, struct mt_block *list) {
    for (struct mt_block *next; list; list = next) {
        next = list->next;
        list->next = d->loose;
        d->loose = list;
        d->free++;
        if (++d->loose_count < MT_MAGAZINE) continue;
        d->free -= MT_MAGAZINE; /* counted one by one, now as a whole */
        put_full_locked(d, d->loose);
        d->loose = NULL;
        d->loose_count = 0;
    }
}

/* Takes a full magazine, else what is loose; gives the number of blocks, 0 when there are none. */
static uint32_t take_locked(struct class_depot *d, struct mt_block **list) {
    uint32_t count = MT_MAGAZINE;
    if (d->full) {
        *list = &d->full->block;
        d->full = d->full->next;
    } else {
        count = d->loose_count;
        *list = d->loose;
        d->loose = NULL;
        d->loose_count = 0;
    }
    MT_ASSERT(d->free >= count);
    d->free -= count;
    if (d->free < d->free_min) d->free_min = d->free;
    return count;
}

/* ------------------------------------------------------------------------------------------------ caches */

void mt_cache_init(struct mt_cache *cache, struct mt_depot *depot) {
    *cache = (struct mt_cache){.depot = depot};
    atomic_fetch_add_explicit(&depot->caches, 1, memory_order_relaxed);
}

static void give_back(struct mt_cache *cache, uint32_t class) {
    struct mt_magazines *m = &cache->of[class];
    struct class_depot *d = &cache->depot->of[class];
    MT_ASSERT(m->count <= MT_MAGAZINE); /* I2 */
    MT_CHECK(is_magazine(m->list, class, m->count));
    if (!m->list && !m->spare) return;
    mt_lock_take(&d->lock);
    if (m->spare) put_full_locked(d, m->spare);
    if (m->count == MT_MAGAZINE)
        put_full_locked(d, m->list);
    else
        put_loose_locked(d, m->list);
    mt_lock_drop(&d->lock);
}

void mt_cache_fini(struct mt_cache *cache) {
    struct mt_depot *depot = cache->depot;
    for (uint32_t class = 1; class < MT_SLAB_CLASSES; class++) give_back(cache, class);
    memset(cache, 0, sizeof *cache);
    uint32_t before = atomic_fetch_sub_explicit(&depot->caches, 1, memory_order_release);
    MT_ASSERT(before > 0);
}

/* The list is full: makes it the spare, and gives the old spare to the depot. The block begins a new one. */
void mt_cache_free_full(struct mt_cache *cache, struct mt_block *b, uint32_t class) {
    struct mt_magazines *m = &cache->of[class];
    struct class_depot *d = &cache->depot->of[class];
    MT_ASSERT(m->count == MT_MAGAZINE);
    MT_ASSERT(span_of(m->list)->class == class); /* I3: was freed with the size it was allocated with */
    MT_CHECK(is_magazine(m->list, class, MT_MAGAZINE));
    if (m->spare) {
        mt_lock_take(&d->lock);
        put_full_locked(d, m->spare);
        mt_lock_drop(&d->lock);
    }
    m->spare = m->list;
    b->next = NULL;
    m->list = b;
    m->count = 1;
}

/* Fetches blocks from the depot, else cuts new ones; gives their number, 0 when out of memory. Several threads may each bring a
 * span at once: all stay fresh until they are cut up. */
static uint32_t fetch(struct mt_depot *depot, uint32_t class, struct mt_block **list) {
    struct class_depot *d = &depot->of[class];
    char *first = NULL;
    mt_lock_take(&d->lock);
    uint32_t count = take_locked(d, list), cut = count ? 0 : cut_locked(d, &first);
    bool grows = d->spans;
    mt_lock_drop(&d->lock);
    if (count) return count;
    if (!cut) {
        struct span *span = span_new(depot, class);
        if (!span) return 0;
        if (grows) mt_os_populate(span, MT_SPAN); /* the first one is touched as it is needed, for small programs */
        mt_lock_take(&d->lock);
        span_link_locked(d, span);
        cut = cut_locked(d, &first);
        mt_lock_drop(&d->lock);
    }
    *list = chain(first, cut, block_size(class));
    return cut;
}

/* The list is empty: takes the spare, else from the depot. Gives a block of it, NULL when out of memory. */
void *mt_cache_refill(struct mt_cache *cache, uint32_t class) {
    struct mt_magazines *m = &cache->of[class];
    MT_ASSERT(class > 0 && class < MT_SLAB_CLASSES); /* size 0 is not allowed */
    MT_ASSERT(!m->list && m->count == 0);
    if (m->spare) {
        m->list = m->spare;
        m->spare = NULL;
        m->count = MT_MAGAZINE;
    } else {
        m->count = fetch(cache->depot, class, &m->list);
        if (!m->count) return NULL;
    }
    struct mt_block *b = m->list;
    MT_CHECK(is_magazine(b, class, m->count));
    m->list = b->next;
    m->count--;
    return b;
}

/* ------------------------------------------------------------------------------------------------ trimming */

/* What mt_depot_trim() has taken out of one class; it works on it without the lock. */
struct trim {
    struct class_depot *d;
    struct magazine *full;
    struct mt_block *loose;
    struct span *whole;  /* spans whose cut blocks were all here when they were counted */
    struct span *doomed; /* of these, the ones nobody can reach any more */
    struct magazine *kept, *kept_last; /* full magazines to be given back */
    uint32_t rest_count;               /* blocks in `rest` */
    struct mt_block *rest;             /* to be given back, fewer than a magazine */
    size_t kept_blocks;                /* in `kept` */
};

static void trim_detach(struct trim *t) {
    mt_lock_take(&t->d->lock);
    t->full = t->d->full;
    t->loose = t->d->loose;
    t->d->full = NULL;
    t->d->loose = NULL;
    t->d->loose_count = 0;
    t->d->free = t->d->free_min = 0;
    mt_lock_drop(&t->d->lock);
}

/* Each span learns how many of its blocks are here. Blocks that are cut meanwhile are not, so a span is found whole once. */
static void count_blocks(struct trim *t, const struct mt_block *list) {
    for (; list; list = list->next) {
        struct span *span = span_of(list);
        if (++span->counted != span_cut(span)) continue;
        span->trim_next = t->whole;
        t->whole = span;
    }
}

/* Dooms whole spans while their blocks fit into `spare` bytes; gives what is left of it. */
static size_t trim_doom(struct trim *t, size_t spare) {
    for (struct span *span = t->whole, *next; span; span = next) {
        next = span->trim_next;
        size_t bytes = span->counted * block_size(span->class);
        if (bytes > spare) continue;
        mt_lock_take(&t->d->lock);
        span->doomed = span->counted == span_cut(span); /* else somebody has cut more from it */
        if (span->doomed) span_unlink_locked(t->d, span);
        mt_lock_drop(&t->d->lock);
        if (!span->doomed) continue;
        spare -= bytes;
        span->trim_next = t->doomed;
        t->doomed = span;
    }
    return spare;
}

/* Packs the blocks of spans that stay into magazines. */
static void keep_blocks(struct trim *t, struct mt_block *list) {
    for (struct mt_block *next; list; list = next) {
        next = list->next;
        if (span_of(list)->doomed) continue;
        span_of(list)->counted = 0;
        list->next = t->rest;
        t->rest = list;
        if (++t->rest_count < MT_MAGAZINE) continue;
        struct magazine *m = (struct magazine *)t->rest;
        m->next = t->kept;
        t->kept = m;
        if (!t->kept_last) t->kept_last = m;
        t->kept_blocks += MT_MAGAZINE;
        t->rest = NULL;
        t->rest_count = 0;
    }
}

static void trim_attach(struct trim *t) {
    mt_lock_take(&t->d->lock);
    if (t->kept) {
        t->kept_last->next = t->d->full;
        t->d->full = t->kept;
        t->d->free += t->kept_blocks;
    }
    put_loose_locked(t->d, t->rest);
    mt_lock_drop(&t->d->lock);
}

static size_t trim_unmap(struct trim *t) {
    size_t bytes = 0;
    for (struct span *span = t->doomed, *next; span; span = next, bytes += MT_SPAN) {
        next = span->trim_next;
        mt_os_unmap(span, MT_SPAN);
    }
    return bytes;
}

/* Trims one class; gives the bytes returned, and takes the free bytes they held off `spare`. */
static size_t trim_class(struct class_depot *d, size_t *spare) {
    struct trim t = {.d = d};
    trim_detach(&t);
    for (struct magazine *m = t.full; m; m = m->next) count_blocks(&t, &m->block);
    count_blocks(&t, t.loose);
    *spare = trim_doom(&t, *spare);
    for (struct magazine *m = t.full, *next; m; m = next) {
        next = m->next;
        keep_blocks(&t, &m->block);
    }
    keep_blocks(&t, t.loose);
    trim_attach(&t);
    return trim_unmap(&t);
}

size_t mt_depot_trim(struct mt_depot *depot, size_t keep) {
    size_t free = mt_depot_free_bytes(depot), spare = free > keep ? free - keep : 0, bytes = 0;
    if (!spare || atomic_exchange_explicit(&depot->trimming, true, memory_order_acquire)) return 0;
    for (uint32_t class = 1; class < MT_SLAB_CLASSES; class++) bytes += trim_class(&depot->of[class], &spare);
    atomic_store_explicit(&depot->trimming, false, memory_order_release);
    return bytes;
}
