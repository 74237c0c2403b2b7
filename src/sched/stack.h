/* SPDX-License-Identifier: Apache-2.0
 * Stacks of straight-line processes: cut from slabs of MT_STACK_SLAB slots, guarded, handed out newest first.
 *
 * struct mt_stacks belongs to a runtime (any thread, lock STACK), struct mt_stack_cache to one scheduler.
 * I1 a slot's stride is the stack's size plus one page (the guard, at its low end), or two: never a power of two. I2 a fresh stack has
 * one touched page at most, a free one keeps its pages. What nobody has needed for a while goes back, see mt_stacks_tidy(): pages of free
 * stacks beyond the high-water mark (MT_STACK_WARM_MAX of them in the runtime), I3 slabs without stacks in use or in a cache, beyond
 * MT_STACK_IDLE_MAX. Stacks of another size than the runtime's are mapped one by one.
 */
#ifndef MT_SCHED_STACK_H
#define MT_SCHED_STACK_H

#include "base/lock.h"
#include "base/os.h"

#define MT_STACK_SLAB 512u
#define MT_STACK_CACHE_MAX 128u /* hot stacks a scheduler keeps; half of them go back to the runtime when it is full */
#define MT_STACK_WARM_MAX 1024u  /* free stacks with pages that the runtime keeps besides, for however long */
#define MT_STACK_IDLE_MAX 3u     /* slabs: enough for those, so that a burst of as many need not map them again */

struct mt_stacks;

struct mt_stack_cache {
    struct mt_stacks *stacks;        /* const */
    char *hot[MT_STACK_CACHE_MAX];   /* owner: tops of free stacks, newest last */
    unsigned count;                  /* owner */
};

/* `size` bytes usable per stack, a multiple of the page size. Gives; NULL: memory. */
struct mt_stacks *mt_stacks_new(size_t size);
/* Unmaps everything; all stacks must have been given back. Takes. */
void mt_stacks_free(struct mt_stacks *stacks);
void mt_stack_cache_init(struct mt_stack_cache *cache, struct mt_stacks *stacks);
/* Gives the cache's stacks back to the runtime. */
void mt_stack_cache_fini(struct mt_stack_cache *cache);

/* The top (highest address, 16-aligned) of a free stack of the standard size; NULL: memory. Gives. Owner of the cache. */
char *mt_stack_take(struct mt_stack_cache *cache);
/* Takes a stack back. Owner of the cache, and not while running on it. False: it had no guard, and was overflowed. */
bool mt_stack_give(struct mt_stack_cache *cache, char *top);
/* What has been free since the last call of this is too much, as far as it goes beyond the marks: mt_stacks_tidy() gives it back. Any thread. */
void mt_stacks_age(struct mt_stacks *stacks);
/* Gives back the pages of up to MT_STACK_CACHE_MAX / 2 stacks, or a slab; whether there is more to do. Any thread. */
bool mt_stacks_tidy(struct mt_stacks *stacks);
/* A stack of its own mapping, for another size; NULL: memory. Any thread. */
char *mt_stack_map(size_t size);
void mt_stack_unmap(char *top, size_t size);
/* Gives the memory of such a stack back while nothing runs on it, but for its last page; it can be used again. */
void mt_stack_rest(char *top, size_t size);

/* Whether an address lies in the guard of one of these stacks or just below (for the fault handler: async-signal-safe,
 * lock-free). Standard stacks only. */
bool mt_stacks_is_guard(struct mt_stacks *stacks, const void *address);
/* Whether the lowest words of a stack, and those under it, are untouched, where it could not be guarded; true when it is guarded. Not
 * lock-free. */
bool mt_stack_intact(struct mt_stacks *stacks, char *top, size_t size);
size_t mt_stacks_size(const struct mt_stacks *stacks);

#endif
