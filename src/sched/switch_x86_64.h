/* SPDX-License-Identifier: Apache-2.0
 * The switch for x86-64 (System V): inline assembly that clobbers everything, so that the compiler saves what is live and no more.
 *
 * A stopped stack holds, from sp upwards: where to go on, rbx, rbp, and 128 bytes that were the red zone of the function that stopped.
 * rbx and rbp are saved here because the compiler may use them as base and frame pointer and then cannot give them up.
 * It goes on with pop and jmp: a ret would be mispredicted each time, as the processor expects the return of the stack it has left.
 *
 * Shadow stacks (CET): pop and jmp leave the thread's shadow stack as it is, and the next ret of the other stack would fault. The
 * object must not be marked as fit for them, then the loader turns them off for the program; hence -fcf-protection=none in meson.build
 * and the #error here. Indirect branch tracking alone is served by endbr64.
 */
#ifndef MT_SCHED_SWITCH_X86_64_H
#define MT_SCHED_SWITCH_X86_64_H

#include <stdint.h>

#if defined(__CET__) && (__CET__ & 2)
#error "stack switching and shadow stacks exclude each other: compile with -fcf-protection=none, or with MT_SWITCH_UCONTEXT"
#endif
#if defined(__APX_F__)
#error "add r16 to r31 to the clobbers of mt_raw_switch()"
#endif
#if defined(__CET__) && (__CET__ & 1)
#define MT_SWITCH_LANDING "endbr64\n"
#else
#define MT_SWITCH_LANDING ""
#endif
#if defined(__AVX512F__)
#define MT_SWITCH_AVX512                                                                                                      \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28",    \
        "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define MT_SWITCH_AVX512
#endif

/* The entry finds the zero return address at which unwinders stop, a zero rbp at which frame walkers stop, and rsp + 8 aligned to 16
 * as after a call. `top` is 16-aligned. */
static inline void *mt_raw_prepare(char *top, void (*entry)(void)) {
    uintptr_t *sp = (uintptr_t *)(void *)top;
    *--sp = 0; /* return address */
    *--sp = 0; /* rbp */
    *--sp = 0; /* rbx */
    *--sp = (uintptr_t)entry;
    return sp;
}

static inline __attribute__((always_inline)) void mt_raw_switch(void **save_sp, void *to_sp) {
    __asm__ volatile("leaq 1f(%%rip), %%rax\n"
                     "leaq -128(%%rsp), %%rsp\n"
                     "pushq %%rbp\n"
                     "pushq %%rbx\n"
                     "pushq %%rax\n"
                     "movq %%rsp, (%%rdi)\n"
                     "movq %%rsi, %%rsp\n"
                     "popq %%rax\n"
                     "popq %%rbx\n"
                     "popq %%rbp\n"
                     "jmpq *%%rax\n"
                     "1: " MT_SWITCH_LANDING "leaq 128(%%rsp), %%rsp\n"
                     : "+D"(save_sp), "+S"(to_sp)
                     :
                     : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc", "xmm0", "xmm1",
                       "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                       "xmm15", "mm0", "mm1", "mm2", "mm3", "mm4", "mm5", "mm6", "mm7", "st", "st(1)", "st(2)", "st(3)", "st(4)",
                       "st(5)", "st(6)", "st(7)" MT_SWITCH_AVX512);
}

#endif
