/* SPDX-License-Identifier: Apache-2.0
 * The switch for 64-bit ARM: inline assembly that clobbers everything, so that the compiler saves what is live and no more.
 *
 * A stopped stack holds, from sp upwards: x29, x19, where to go on, and padding. x29 and x19 are saved here because the compiler may use
 * them as frame and base pointer. x18 is never touched: it belongs to the platform, or (Linux) to the compiler, which then must not keep
 * anything in it across the switch. Linux has no red zone, Apple's is 128 bytes.
 * It goes on with br and not ret, which would be mispredicted; through x16, so that it may land on a function's "bti c" too.
 * Guarded control stacks (GCS) cannot follow: the object must not be marked for them (-mbranch-protection without gcs).
 */
#ifndef MT_SCHED_SWITCH_AARCH64_H
#define MT_SCHED_SWITCH_AARCH64_H

#include <stdint.h>

#if defined(__ARM_FEATURE_GCS_DEFAULT)
#error "stack switching and guarded control stacks exclude each other: leave gcs out of -mbranch-protection"
#endif
#if defined(__APPLE__)
#define MT_SWITCH_FRAME "160"
#define MT_SWITCH_X18
#else
#define MT_SWITCH_FRAME "32"
#define MT_SWITCH_X18 , "x18"
#endif
#if defined(__ARM_FEATURE_SVE)
#define MT_SWITCH_SVE \
    , "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11", "p12", "p13", "p14", "p15"
#else
#define MT_SWITCH_SVE
#endif

/* The entry finds sp = top, and zero in x29 and x30, at which unwinders stop. `top` is 16-aligned. */
static inline void *mt_raw_prepare(char *top, void (*entry)(void)) {
    uintptr_t *sp = (uintptr_t *)(void *)top;
    *--sp = 0;
    *--sp = (uintptr_t)entry;
    *--sp = 0; /* x19 */
    *--sp = 0; /* x29 */
    return sp;
}

/* A new stack starts 32 bytes above its sp, one that stopped here ends its frame behind the label. */
static inline __attribute__((always_inline)) void mt_raw_switch(void **save_sp, void *to_sp) {
    register void **save __asm__("x0") = save_sp;
    register void *to __asm__("x1") = to_sp;
    __asm__ volatile("adr x16, 1f\n"
                     "stp x29, x19, [sp, #-" MT_SWITCH_FRAME "]!\n"
                     "str x16, [sp, #16]\n"
                     "mov x17, sp\n"
                     "str x17, [x0]\n"
                     "ldr x16, [x1, #16]\n"
                     "ldp x29, x19, [x1]\n"
                     "add sp, x1, #32\n"
                     "mov x30, xzr\n"
                     "br x16\n"
                     "1: hint #36\n" /* bti j */
                     "add sp, sp, #(" MT_SWITCH_FRAME " - 32)\n"
                     : "+r"(save), "+r"(to)
                     :
                     : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x20",
                       "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30", "memory", "cc", "v0", "v1", "v2", "v3", "v4",
                       "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20",
                       "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31" MT_SWITCH_X18 MT_SWITCH_SVE);
}

#endif
