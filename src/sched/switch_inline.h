/* SPDX-License-Identifier: Apache-2.0
 * The part of switch.h that is the same for all processors: what the sanitizers are told, and the switch itself.
 *
 * Included by switch.h alone. Contracts are there.
 */
#ifndef MT_SCHED_SWITCH_INLINE_H
#define MT_SCHED_SWITCH_INLINE_H

#include "base/os.h"

#if MT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if MT_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* AddressSanitizer's side of it: a new stack, a stack left (NULL: for ever, its fake stack goes), a stack reached. */
#if MT_ASAN
static inline void mt_asan_new(struct mt_context *context, char *top, size_t size) {
    context->fake_stack = NULL;
    context->bottom = top - size;
    context->size = size;
    __asan_unpoison_memory_region(top - size, size); /* frames of a process that ended in the middle of them */
}
static inline __attribute__((always_inline)) void mt_asan_leave(struct mt_context *from, struct mt_context *to) {
    __sanitizer_start_switch_fiber(from ? &from->fake_stack : NULL, to->bottom, to->size);
}
static inline __attribute__((always_inline)) void mt_asan_reach(struct mt_context *context) {
    __sanitizer_finish_switch_fiber(context->fake_stack, NULL, NULL);
}
#else
#define mt_asan_new(context, top, size) ((void)(context), (void)(top), (void)(size))
#define mt_asan_leave(from, to) ((void)0)
#define mt_asan_reach(context) ((void)(context))
#endif

/* ThreadSanitizer's: each stack is a fiber, and a switch orders what stands before it before what follows. */
#if MT_TSAN
static inline void mt_tsan_new(struct mt_context *context) {
    context->fiber = __tsan_create_fiber(0);
}
static inline __attribute__((always_inline)) void mt_tsan_leave(struct mt_context *to) {
    __tsan_switch_to_fiber(to->fiber, 0);
}
#else
#define mt_tsan_new(context) ((void)0)
#define mt_tsan_leave(to) ((void)0)
#endif

/* Tops of stacks are page-aligned, so the same frame of every stack would fall into the same few sets of the first-level
 * cache: stacks start up to 6 lines below their top, by their address. (7 is prime to the pages of nearly every stride.) */
static inline char *mt_context_colour(char *top) {
    return top - (uintptr_t)top / 4096 % 7 * 64;
}

static inline void mt_context_prepare(struct mt_context *context, char *top, size_t size, void (*entry)(void)) {
    MT_ASSERT((uintptr_t)top % 16 == 0);
    MT_ASSERT(size >= 4096 && entry);
    mt_asan_new(context, top, size);
    mt_tsan_new(context);
    context->sp = mt_raw_prepare(mt_context_colour(top), entry);
}

static inline __attribute__((always_inline)) void mt_context_switch(struct mt_context *from, struct mt_context *to,
                                                                    bool from_ends) {
    void *sp = to->sp;
    MT_ASSERT(sp); /* I1 */
    to->sp = NULL;
    (void)from_ends;
    mt_asan_leave(from_ends ? NULL : from, to);
    mt_tsan_leave(to);
    mt_raw_switch(&from->sp, sp);
    mt_asan_reach(from);
}

static inline void mt_context_entered(struct mt_context *context) {
    mt_asan_reach(context);
}

#endif
