/* SPDX-License-Identifier: Apache-2.0
 * The switch where there is no assembly for the processor: swapcontext(). It costs two system calls, as it changes the signal mask.
 *
 * The sp of a stopped stack is the address of a ucontext_t upon it. That of a new one stands at the stack's top, with the stack below.
 */
#ifndef MT_SCHED_SWITCH_UCONTEXT_H
#define MT_SCHED_SWITCH_UCONTEXT_H

#include <stdint.h>
#include <ucontext.h>

#include "base/os.h"

#define MT_UCONTEXT_STACK ((size_t)8192) /* what makecontext() is told: it needs the upper end alone */

/* `top` is 16-aligned. */
static inline void *mt_raw_prepare(char *top, void (*entry)(void)) {
    ucontext_t *new = (ucontext_t *)(void *)(top - (sizeof *new + 63) / 64 * 64);
    int err = getcontext(new);
    MT_ASSERT(err == 0);
    new->uc_link = NULL;
    new->uc_stack.ss_sp = (char *)new - MT_UCONTEXT_STACK;
    new->uc_stack.ss_size = MT_UCONTEXT_STACK;
    makecontext(new, entry, 0);
    return new;
}

/* Not inlined: a ucontext_t is large, and the frames of callers that do not come here often should be small. */
static __attribute__((noinline, unused)) void mt_raw_switch(void **save_sp, void *to_sp) {
    ucontext_t here;
    *save_sp = &here;
    int err = swapcontext(&here, to_sp);
    MT_ASSERT(err == 0);
}

#endif
