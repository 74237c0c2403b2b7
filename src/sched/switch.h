/* SPDX-License-Identifier: Apache-2.0
 * Switching from one stack to another.
 *
 * A context belongs to one thread at a time. mt_context_switch() is inlined at each switch so that the compiler saves only
 * live registers (out of line costs 6 ns: the return predictor). Floating-point control words are not saved: a process must not
 * change them across a wait. errno is not saved here.
 * I1 a context is resumed exactly once per switch away from it. I2 nothing read before a switch from thread-local storage may be used
 * after it. I3 sanitizers are told of each switch (AddressSanitizer's fake stacks, ThreadSanitizer's fibers, valgrind's stacks).
 */
#ifndef MT_SCHED_SWITCH_H
#define MT_SCHED_SWITCH_H

#include <stddef.h>

#include "base/atomic.h"

struct mt_context {
    void *sp; /* where it stopped; NULL before it is prepared and while it runs */
#if MT_ASAN
    void *fake_stack;
    const void *bottom; /* lowest address of its stack, and its size */
    size_t size;
#endif
#if MT_TSAN
    void *fiber;
#endif
};

#if defined(MT_SWITCH_UCONTEXT)
#include "sched/switch_ucontext.h"
#elif defined(__x86_64__)
#include "sched/switch_x86_64.h"
#elif defined(__aarch64__)
#include "sched/switch_aarch64.h"
#else
#include "sched/switch_ucontext.h"
#endif
/* Each of these files gives:
 *   static inline void *mt_raw_prepare(char *top, void (*entry)(void));   the sp with which a new stack starts in entry()
 *   static inline void mt_raw_switch(void **save_sp, void *to_sp);       16-byte alignment at entry; entry never returns
 * and mt_context_* below are made of them. */

/* The thread's own stack as a context: to be switched away from. */
void mt_context_adopt(struct mt_context *context);
/* Ends what adopt or prepare made for the sanitizers: of an adopted one by its thread, otherwise not the running one. */
void mt_context_fini(struct mt_context *context);
/* Makes a context that starts in `entry` on the stack [top - size, top). `entry` must call mt_context_entered() first and must not
 * return. */
static inline void mt_context_prepare(struct mt_context *context, char *top, size_t size, void (*entry)(void));
/* Leaves `from` (the running one) for `to`. Returns when somebody switches back to `from`. `from_ends`: it never will. */
static inline __attribute__((always_inline)) void mt_context_switch(struct mt_context *from, struct mt_context *to,
                                                                    bool from_ends);
/* First thing on a new stack. */
static inline void mt_context_entered(struct mt_context *context);

#include "sched/switch_inline.h"

#endif
