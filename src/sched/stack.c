/* SPDX-License-Identifier: Apache-2.0
 * Stacks of straight-line processes: see stack.h.
 *
 * A slot is, from its low end: a spare page where the stride would be a power of two, the guard page, the stack. A free stack is hot (in a
 * scheduler's cache), warm (in the runtime's list, with its pages) or cold (a bit in its slab: it has no pages, or never had). All system
 * calls but for the list's memory are made without the lock: what they work on is counted as in use meanwhile. Stacks become cold in
 * mt_stacks_tidy() alone, when nobody has needed them for a while: who ends does not wait for it, and who starts finds pages.
 *
 * S1 in each slab: cold_count + warm_count + stacks in use or hot == MT_STACK_SLAB; a slab is idle when the last of these is 0.
 * S2 by_address is sorted; no slab before first_cold has a cold stack. S3 a slab's record never goes away before mt_stacks_free(). */
#include "sched/stack.h"

#include <string.h>

#include "base/atomic.h"

#if MT_ASAN
#include <sanitizer/asan_interface.h>
#endif
#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif

#define HALF (MT_STACK_CACHE_MAX / 2) /* how many go between a cache and the runtime at a time */
#define CHUNK 256u                    /* records of slabs that are made together */
#define CHUNKS_MAX 256u               /* with CHUNK and MT_STACK_SLAB: 33 million stacks */
#define BITS (MT_STACK_SLAB / 64)
#define CANARY_BELOW 192u /* bytes under and over a stack's low end that stay zero while it has not overflowed */
#define CANARY_ABOVE 64u
_Static_assert(MT_STACK_SLAB % 64 == 0, "cold stacks are a bitmap");

struct slab {               /* MT_SHARED */
    _Atomic(char *) base;   /* atomic: release in slab_insert(), acquire in mt_stacks_is_guard(); NULL: the record is free */
    struct slab *next_free; /* lock: mu: free records */
    uint64_t cold[BITS];    /* lock: mu: cold slots */
    uint32_t cold_count;    /* lock: mu */
    uint32_t warm_count;    /* lock: mu */
    uint32_t guarded;       /* lock: mu: slots with a guard, from the first on */
    unsigned *names;        /* lock: mu: what valgrind calls its stacks, or NULL */
};

struct warm {
    char *top;
    struct slab *slab;
};

struct mt_stacks { /* MT_SHARED */
    size_t size;   /* const: bytes usable per stack */
    size_t stride; /* const */
    size_t page;   /* const */
    struct mt_lock mu;
    struct warm *warm;                         /* lock: mu: newest last; the oldest is warm[warm_first] */
    size_t warm_first, warm_count, warm_room;  /* lock: mu */
    size_t warm_min, warm_spare;               /* lock: mu: the fewest since mt_stacks_age(), and how many that found to be too many */
    struct slab **by_address;                  /* lock: mu */
    size_t slab_count, slab_max;               /* lock: mu */
    size_t first_cold;                         /* lock: mu */
    size_t idle_count;                         /* lock: mu: idle slabs */
    size_t idle_min, idle_spare;               /* lock: mu: as of warm ones */
    struct slab *free_records;                 /* lock: mu */
    _Atomic(struct slab *) chunks[CHUNKS_MAX]; /* atomic: release in records_more(), acquire in mt_stacks_is_guard() */
    _Atomic size_t unguarded;                  /* atomic: relaxed, slots without a guard */
};

/* What stands above the top of a stack of its own mapping. */
struct single {
    _Alignas(64) size_t mapped; /* bytes of the mapping, which ends with this struct */
    size_t guarded;             /* 0 or 1 */
    unsigned name;              /* valgrind's */
};

/* ------------------------------------------------------------------------------------------------------ tools */

/* Frames of a process that ended in the middle of them are poisoned: whoever has the memory next shall not see that. */
#if MT_ASAN
static inline void forget_frames(char *top, size_t size) {
    __asan_unpoison_memory_region(top - size, size);
}
#else
static inline void forget_frames(char *top, size_t size) {
    (void)top, (void)size;
}
#endif

#if defined(VALGRIND_STACK_REGISTER)
static bool tool_runs(void) {
    return RUNNING_ON_VALGRIND != 0;
}
static unsigned tool_register(char *bottom, char *top) {
    return VALGRIND_STACK_REGISTER(bottom, top);
}
static void tool_forget(unsigned name) {
    VALGRIND_STACK_DEREGISTER(name);
}
#else
static bool tool_runs(void) {
    return false;
}
static unsigned tool_register(char *bottom, char *top) {
    (void)bottom, (void)top;
    return 0;
}
static void tool_forget(unsigned name) {
    (void)name;
}
#endif

static unsigned *names_new(const struct mt_stacks *s, char *base) {
    unsigned *names = tool_runs() ? mt_os_alloc(MT_STACK_SLAB * sizeof *names) : NULL;
    for (size_t i = 0; names && i < MT_STACK_SLAB; i++) {
        char *top = base + (i + 1) * s->stride;
        names[i] = tool_register(top - s->size, top);
    }
    return names;
}

static void names_free(unsigned *names) {
    for (size_t i = 0; names && i < MT_STACK_SLAB; i++) tool_forget(names[i]);
    mt_os_free(names);
}

static bool canary_intact(const char *bottom) {
    const char *low = bottom - (uintptr_t)bottom % sizeof(uint64_t) - CANARY_BELOW;
    const uint64_t *word = (const uint64_t *)(const void *)low;
    uint64_t seen = 0;
    for (size_t i = 0; i < (CANARY_BELOW + CANARY_ABOVE) / sizeof *word; i++) seen |= word[i];
    return seen == 0;
}

/* ------------------------------------------------------------------------------------------- records of slabs */

static size_t slab_bytes(const struct mt_stacks *s) {
    return s->stride * MT_STACK_SLAB;
}

static char *slab_base(const struct slab *slab) {
    return atomic_load_explicit(&slab->base, memory_order_relaxed);
}

static bool slab_idle(const struct slab *slab) {
    MT_ASSERT(slab->cold_count + slab->warm_count <= MT_STACK_SLAB); /* S1 */
    return slab->cold_count + slab->warm_count == MT_STACK_SLAB;
}

/* Where in by_address the first slab above `address` is. */
static size_t position_locked(const struct mt_stacks *s, const char *address) {
    size_t low = 0, high = s->slab_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (slab_base(s->by_address[middle]) <= address) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* The slab of a stack, and its slot there. */
static struct slab *find_locked(const struct mt_stacks *s, const char *top, size_t *slot) {
    size_t position = position_locked(s, top - 1);
    MT_ASSERT(position > 0);
    struct slab *slab = s->by_address[position - 1];
    size_t offset = (size_t)(top - slab_base(slab));
    MT_ASSERT(offset > 0 && offset <= slab_bytes(s));
    MT_ASSERT(offset % s->stride == 0); /* no stack of ours */
    *slot = offset / s->stride - 1;
    return slab;
}

static bool records_more_locked(struct mt_stacks *s) {
    size_t at = 0;
    while (at < CHUNKS_MAX && atomic_load_explicit(&s->chunks[at], memory_order_relaxed)) at++;
    if (at == CHUNKS_MAX) return false;
    struct slab *records = mt_os_alloc_zero(CHUNK * sizeof *records);
    if (!records) return false;
    for (size_t i = CHUNK; i-- > 0;) {
        records[i].next_free = s->free_records;
        s->free_records = &records[i];
    }
    atomic_store_explicit(&s->chunks[at], records, memory_order_release);
    return true;
}

/* Room for one more slab. */
static bool reserve_locked(struct mt_stacks *s) {
    if (s->slab_count == s->slab_max) {
        size_t max = s->slab_max ? s->slab_max * 2 : 16;
        struct slab **grown = mt_os_realloc(s->by_address, max * sizeof *grown);
        if (!grown) return false;
        s->by_address = grown;
        s->slab_max = max;
    }
    return s->free_records || records_more_locked(s);
}

static bool slab_insert(struct mt_stacks *s, char *base, uint32_t guarded, unsigned *names) {
    mt_lock_take(&s->mu);
    bool reserved = reserve_locked(s);
    if (reserved) {
        struct slab *slab = s->free_records;
        size_t at = position_locked(s, base);
        s->free_records = slab->next_free;
        MT_ASSERT(slab_base(slab) == NULL && slab->warm_count == 0);
        memset(slab->cold, 0xff, sizeof slab->cold);
        slab->cold_count = MT_STACK_SLAB;
        slab->guarded = guarded;
        slab->names = names;
        memmove(&s->by_address[at + 1], &s->by_address[at], (s->slab_count - at) * sizeof *s->by_address);
        s->by_address[at] = slab;
        s->slab_count++;
        s->idle_count++;
        if (at < s->first_cold) s->first_cold = at; /* S2 */
        atomic_store_explicit(&slab->base, base, memory_order_release);
    }
    mt_lock_drop(&s->mu);
    return reserved;
}

/* ------------------------------------------------------------------------------------------- slabs come and go */

static void slab_unmap(struct mt_stacks *s, char *base, uint32_t guarded, unsigned *names) {
    names_free(names);
    mt_os_guard_forget(guarded);
    mt_os_unmap(base, slab_bytes(s));
}

static bool slab_map(struct mt_stacks *s) {
    char *base = mt_os_map(slab_bytes(s));
    if (!base) return false;
    size_t guarded = mt_os_guard(base + s->stride - s->size - s->page, s->stride, MT_STACK_SLAB);
    MT_ASSERT(guarded <= MT_STACK_SLAB);
    unsigned *names = names_new(s, base);
    atomic_fetch_add_explicit(&s->unguarded, MT_STACK_SLAB - guarded, memory_order_relaxed);
    if (slab_insert(s, base, (uint32_t)guarded, names)) return true;
    atomic_fetch_sub_explicit(&s->unguarded, MT_STACK_SLAB - guarded, memory_order_relaxed);
    slab_unmap(s, base, (uint32_t)guarded, names);
    return false;
}

/* Takes a slab's warm stacks off the list. */
static void drop_warm_locked(struct mt_stacks *s, struct slab *slab) {
    struct warm *warm = s->warm + s->warm_first;
    size_t kept = 0;
    if (slab->warm_count == 0) return;
    for (size_t i = 0; i < s->warm_count; i++)
        if (warm[i].slab != slab) warm[kept++] = warm[i];
    MT_ASSERT(s->warm_count - kept == slab->warm_count); /* S1 */
    s->warm_count = kept;
    slab->warm_count = 0;
}

/* Takes the record of the idle slab at by_address[at] out of use. */
static void detach_locked(struct mt_stacks *s, size_t at) {
    struct slab *slab = s->by_address[at];
    MT_ASSERT(slab_idle(slab) && s->idle_count > 0);
    drop_warm_locked(s, slab);
    s->slab_count--;
    s->idle_count--;
    memmove(&s->by_address[at], &s->by_address[at + 1], (s->slab_count - at) * sizeof *s->by_address);
    if (at < s->first_cold) s->first_cold--;
    atomic_store_explicit(&slab->base, NULL, memory_order_release);
    slab->next_free = s->free_records;
    s->free_records = slab;
}

/* Unmaps the idle slab with the highest address when there are more than may be; whether it did. I3 */
static bool trim(struct mt_stacks *s, size_t idle_max) {
    char *base = NULL;
    unsigned *names = NULL;
    uint32_t guarded = 0;
    mt_lock_take(&s->mu);
    if (s->idle_count > idle_max) {
        size_t at = s->slab_count;
        do
            MT_ASSERT(at > 0);
        while (!slab_idle(s->by_address[--at]));
        base = slab_base(s->by_address[at]);
        guarded = s->by_address[at]->guarded;
        names = s->by_address[at]->names;
        detach_locked(s, at);
    }
    mt_lock_drop(&s->mu);
    if (!base) return false;
    atomic_fetch_sub_explicit(&s->unguarded, MT_STACK_SLAB - guarded, memory_order_relaxed);
    slab_unmap(s, base, guarded, names);
    return true;
}

/* ------------------------------------------------------------------------------------------------ free stacks */

/* Room for one more at the list's end; false: memory. */
static bool warm_room_locked(struct mt_stacks *s) {
    size_t room = s->warm_room ? 2 * s->warm_room : 1024;
    if (s->warm_first + s->warm_count < s->warm_room) return true;
    if (s->warm_first > s->warm_room / 2) {
        memmove(s->warm, s->warm + s->warm_first, s->warm_count * sizeof *s->warm);
        s->warm_first = 0;
        return true;
    }
    struct warm *grown = mt_os_realloc(s->warm, room * sizeof *grown);
    if (!grown) return false;
    s->warm = grown;
    s->warm_room = room;
    return true;
}

/* Takes one off the list, from either end. */
static struct warm take_one_locked(struct mt_stacks *s, bool oldest) {
    struct warm warm = s->warm[s->warm_first + (oldest ? 0 : s->warm_count - 1)];
    MT_ASSERT(s->warm_count > 0 && warm.slab->warm_count > 0);
    if (oldest) s->warm_first++;
    if (--s->warm_count == 0) s->warm_first = 0;
    if (slab_idle(warm.slab)) s->idle_count--;
    warm.slab->warm_count--;
    return warm;
}

/* Up to `max` warm stacks, the newest last; gives how many. */
static unsigned take_warm_locked(struct mt_stacks *s, char **tops, unsigned max) {
    unsigned n = s->warm_count < max ? (unsigned)s->warm_count : max;
    for (unsigned i = n; i-- > 0;) tops[i] = take_one_locked(s, false).top;
    return n;
}

/* Up to `max` cold stacks of one slab, the one with the lowest address last. */
static unsigned take_bits_locked(struct mt_stacks *s, struct slab *slab, char **tops, unsigned max) {
    unsigned n = slab->cold_count < max ? slab->cold_count : max, left = n;
    if (n && slab_idle(slab)) s->idle_count--;
    for (size_t i = 0; left; i++) {
        MT_ASSERT(i < BITS); /* S1 */
        for (; left && slab->cold[i]; slab->cold[i] &= slab->cold[i] - 1) {
            size_t slot = i * 64 + (size_t)__builtin_ctzll(slab->cold[i]);
            tops[--left] = slab_base(slab) + (slot + 1) * s->stride;
        }
    }
    slab->cold_count -= n;
    return n;
}

/* From the slabs with the lowest addresses, so that others become idle. */
static unsigned take_cold_locked(struct mt_stacks *s, char **tops, unsigned max) {
    for (; s->first_cold < s->slab_count; s->first_cold++) {
        unsigned n = take_bits_locked(s, s->by_address[s->first_cold], tops, max);
        if (n) return n;
    }
    return 0;
}

static __attribute__((noinline)) bool refill(struct mt_stack_cache *cache) {
    struct mt_stacks *s = cache->stacks;
    MT_ASSERT(cache->count == 0);
    do {
        mt_lock_take(&s->mu);
        cache->count = take_warm_locked(s, cache->hot, HALF);
        if (!cache->count) cache->count = take_cold_locked(s, cache->hot, HALF);
        if (s->warm_count < s->warm_min) s->warm_min = s->warm_count;
        if (s->idle_count < s->idle_min) s->idle_min = s->idle_count;
        mt_lock_drop(&s->mu);
    } while (!cache->count && slab_map(s));
    return cache->count > 0;
}

/* Puts stacks on the warm list, oldest first. Gives how many found no room there: they are in `excess`, and still count as in use. */
static unsigned make_warm(struct mt_stacks *s, char **tops, unsigned count, struct warm *excess) {
    unsigned over = 0;
    size_t slot;
    mt_lock_take(&s->mu);
    for (unsigned i = 0; i < count; i++) {
        struct warm warm = {tops[i], find_locked(s, tops[i], &slot)};
        MT_ASSERT((warm.slab->cold[slot / 64] >> slot % 64 & 1) == 0); /* given back twice */
        if (mt_unlikely(!warm_room_locked(s))) {
            excess[over++] = warm;
            continue;
        }
        s->warm[s->warm_first + s->warm_count++] = warm;
        warm.slab->warm_count++;
        if (slab_idle(warm.slab)) s->idle_count++;
    }
    mt_lock_drop(&s->mu);
    return over;
}

static void sort_by_address(struct warm *of, unsigned count) {
    for (unsigned i = 1; i < count; i++) {
        struct warm moved = of[i];
        unsigned at = i;
        for (; at && of[at - 1].top > moved.top; at--) of[at] = of[at - 1];
        of[at] = moved;
    }
}

/* Gives the pages of up to HALF stacks back, neighbours together (a guard between them stays what it is). */
static void decommit(const struct mt_stacks *s, const struct warm *of, unsigned count) {
    struct mt_os_span spans[HALF];
    size_t n = 0;
    for (unsigned i = 0; i < count; i++) {
        bool neighbour = i && of[i].slab == of[i - 1].slab && of[i].top == of[i - 1].top + s->stride;
        if (!neighbour) spans[n++] = (struct mt_os_span){of[i].top - s->size, 0};
        spans[n - 1].size = (size_t)(of[i].top - (char *)spans[n - 1].p);
    }
    mt_os_decommit_spans(spans, n);
}

static void make_cold(struct mt_stacks *s, struct warm *of, unsigned count) {
    sort_by_address(of, count);
    decommit(s, of, count);
    mt_lock_take(&s->mu);
    for (unsigned i = 0; i < count; i++) {
        size_t slot = (size_t)(of[i].top - slab_base(of[i].slab)) / s->stride - 1, position;
        struct slab *slab = of[i].slab;
        MT_ASSERT(slot < MT_STACK_SLAB);
        MT_ASSERT((slab->cold[slot / 64] >> slot % 64 & 1) == 0);
        slab->cold[slot / 64] |= UINT64_C(1) << slot % 64;
        slab->cold_count++;
        if (slab_idle(slab)) s->idle_count++;
        if (i && of[i - 1].slab == slab) continue;
        position = position_locked(s, slab_base(slab)) - 1;
        if (position < s->first_cold) s->first_cold = position; /* S2 */
    }
    mt_lock_drop(&s->mu);
}

/* Gives the `count` oldest of a cache back to the runtime. */
static __attribute__((noinline)) void flush(struct mt_stack_cache *cache, unsigned count) {
    struct mt_stacks *s = cache->stacks;
    struct warm excess[HALF];
    MT_ASSERT(count <= HALF && count <= cache->count);
    unsigned over = make_warm(s, cache->hot, count, excess);
    cache->count -= count;
    memmove(cache->hot, cache->hot + count, cache->count * sizeof *cache->hot);
    if (over) make_cold(s, excess, over);
}

/* The list's memory, when most of it has no use any more. */
static void shrink_warm_locked(struct mt_stacks *s) {
    if (s->warm_room <= 8 * MT_STACK_WARM_MAX || s->warm_count > s->warm_room / 4) return;
    memmove(s->warm, s->warm + s->warm_first, s->warm_count * sizeof *s->warm);
    s->warm_first = 0;
    struct warm *smaller = mt_os_realloc(s->warm, s->warm_room / 2 * sizeof *smaller);
    if (!smaller) return;
    s->warm = smaller;
    s->warm_room /= 2;
}

/* ---------------------------------------------------------------------------------------------------- contract */

struct mt_stacks *mt_stacks_new(size_t size) {
    size_t page = mt_os_page_size(), stride = size + page;
    MT_ASSERT(size && size % page == 0 && size < SIZE_MAX / 2 / MT_STACK_SLAB);
    struct mt_stacks *s = mt_os_alloc_zero(sizeof *s);
    if (!s) return NULL;
    if ((stride & (stride - 1)) == 0) stride += page; /* I1 */
    s->size = size;
    s->stride = stride;
    s->page = page;
    mt_lock_init(&s->mu, MT_RANK_STACK);
    return s;
}

void mt_stacks_age(struct mt_stacks *s) {
    mt_lock_take(&s->mu);
    s->warm_spare = s->warm_min > MT_STACK_WARM_MAX ? s->warm_min - MT_STACK_WARM_MAX : 0;
    s->idle_spare = s->idle_min > MT_STACK_IDLE_MAX ? s->idle_min - MT_STACK_IDLE_MAX : 0;
    s->warm_min = s->warm_count;
    s->idle_min = s->idle_count;
    mt_lock_drop(&s->mu);
}

bool mt_stacks_tidy(struct mt_stacks *s) {
    struct warm cold[HALF];
    unsigned n = 0;
    mt_lock_take(&s->mu);
    for (; n < HALF && s->warm_spare && s->warm_count > MT_STACK_WARM_MAX; n++, s->warm_spare--) cold[n] = take_one_locked(s, true);
    if (n < HALF) s->warm_spare = 0;
    bool slabs = s->warm_spare == 0 && s->idle_spare > 0;
    if (slabs) s->idle_spare--;
    shrink_warm_locked(s);
    bool more = s->warm_spare || s->idle_spare;
    mt_lock_drop(&s->mu);
    if (n) make_cold(s, cold, n);
    if (slabs) trim(s, MT_STACK_IDLE_MAX);
    return more;
}

/* All stacks have been given back: those of the list go with their slabs. */
static void forget_warm(struct mt_stacks *s) {
    mt_lock_take(&s->mu);
    for (size_t i = 0; i < s->slab_count; i++) {
        s->by_address[i]->cold_count += s->by_address[i]->warm_count;
        s->by_address[i]->warm_count = 0;
    }
    s->warm_count = 0;
    mt_lock_drop(&s->mu);
}

void mt_stacks_free(struct mt_stacks *stacks) {
    forget_warm(stacks);
    while (trim(stacks, 0)) {
    }
    MT_ASSERT(stacks->slab_count == 0); /* all stacks have been given back */
    MT_ASSERT(atomic_load_explicit(&stacks->unguarded, memory_order_relaxed) == 0);
    for (size_t i = 0; i < CHUNKS_MAX; i++) mt_os_free(atomic_load_explicit(&stacks->chunks[i], memory_order_relaxed));
    mt_os_free(stacks->by_address);
    mt_os_free(stacks->warm);
    mt_lock_fini(&stacks->mu);
    mt_os_free(stacks);
}

void mt_stack_cache_init(struct mt_stack_cache *cache, struct mt_stacks *stacks) {
    MT_ASSERT(stacks);
    cache->stacks = stacks;
    cache->count = 0;
}

void mt_stack_cache_fini(struct mt_stack_cache *cache) {
    while (cache->count) flush(cache, cache->count < HALF ? cache->count : HALF);
    cache->stacks = NULL;
}

char *mt_stack_take(struct mt_stack_cache *cache) {
    if (mt_unlikely(!cache->count) && !refill(cache)) return NULL;
    return cache->hot[--cache->count];
}

__attribute__((unused)) static bool cache_holds(const struct mt_stack_cache *cache, const char *top) {
    for (unsigned i = 0; i < cache->count; i++)
        if (cache->hot[i] == top) return true;
    return false;
}

/* Where stacks have no guards, one that has overflowed must look fresh to its next user. */
static __attribute__((noinline)) bool give_unguarded(struct mt_stacks *s, char *top) {
    if (mt_stack_intact(s, top, s->size)) return true;
    memset(top - s->size - CANARY_BELOW, 0, CANARY_BELOW + CANARY_ABOVE);
    return false;
}

bool mt_stack_give(struct mt_stack_cache *cache, char *top) {
    struct mt_stacks *s = cache->stacks;
    MT_ASSERT(top && (uintptr_t)top % 16 == 0);
    MT_CHECK(!cache_holds(cache, top));
    forget_frames(top, s->size);
    bool intact = mt_likely(!atomic_load_explicit(&s->unguarded, memory_order_relaxed)) || give_unguarded(s, top);
    if (mt_unlikely(cache->count == MT_STACK_CACHE_MAX)) flush(cache, HALF);
    cache->hot[cache->count++] = top;
    return intact;
}

char *mt_stack_map(size_t size) {
    size_t page = mt_os_page_size(), over = sizeof(struct single);
    MT_ASSERT(size);
    if (size > SIZE_MAX / 4) return NULL;
    size_t mapped = page + (size + over + page - 1) / page * page;
    char *base = mt_os_map(mapped);
    if (!base) return NULL;
    struct single *single = (struct single *)(void *)(base + mapped - over);
    char *top = (char *)single;
    single->mapped = mapped;
    single->guarded = mt_os_guard(base, page, 1);
    single->name = tool_register(base + page, top);
    return top;
}

void mt_stack_unmap(char *top, size_t size) {
    MT_ASSERT(top && (uintptr_t)top % _Alignof(struct single) == 0);
    struct single single = *(struct single *)(void *)top;
    MT_ASSERT(single.mapped > size && single.guarded <= 1);
    forget_frames(top, size);
    tool_forget(single.name);
    mt_os_guard_forget(single.guarded);
    mt_os_unmap(top + sizeof single - single.mapped, single.mapped);
}

void mt_stack_rest(char *top, size_t size) {
    size_t page = mt_os_page_size();
    char *base = top + sizeof(struct single) - ((struct single *)(void *)top)->mapped + page, *end = (char *)((uintptr_t)top & ~(uintptr_t)(page - 1));
    forget_frames(top, size);
    if (end > base) mt_os_decommit(base, (size_t)(end - base));
}

bool mt_stacks_is_guard(struct mt_stacks *stacks, const void *address) {
    uintptr_t at = (uintptr_t)address;
    for (size_t c = 0; c < CHUNKS_MAX; c++) {
        struct slab *records = atomic_load_explicit(&stacks->chunks[c], memory_order_acquire);
        if (!records) return false;
        for (size_t i = 0; i < CHUNK; i++) {
            uintptr_t base = (uintptr_t)atomic_load_explicit(&records[i].base, memory_order_acquire);
            if (!base || at < base - stacks->page || at >= base + slab_bytes(stacks)) continue;
            if (at < base || (at - base) % stacks->stride < stacks->stride - stacks->size) return true;
        }
    }
    return false;
}

static bool is_guarded(struct mt_stacks *s, const char *top) {
    size_t slot;
    if (atomic_load_explicit(&s->unguarded, memory_order_relaxed) == 0) return true;
    mt_lock_take(&s->mu);
    size_t guarded = find_locked(s, top, &slot)->guarded;
    mt_lock_drop(&s->mu);
    return slot < guarded;
}

bool mt_stack_intact(struct mt_stacks *stacks, char *top, size_t size) {
    bool guarded = size == stacks->size ? is_guarded(stacks, top) : ((struct single *)(void *)top)->guarded == 1;
    return guarded || canary_intact(top - size);
}

size_t mt_stacks_size(const struct mt_stacks *stacks) {
    return stacks->size;
}
