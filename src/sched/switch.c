/* SPDX-License-Identifier: Apache-2.0
 * The parts of the switch that are not inlined: contexts of threads, and the sanitizers' records of contexts. */
#include "sched/switch.h"

/* The sanitizer tells the bounds of the stack that is left when a stack is reached: to learn those of this thread, it is
 * told of a switch to nowhere and back. */
#if MT_ASAN
static void asan_adopt(struct mt_context *context) {
    static const char nowhere[64];
    void *fake_stack = NULL;
    __sanitizer_start_switch_fiber(&fake_stack, nowhere, sizeof nowhere);
    __sanitizer_finish_switch_fiber(fake_stack, &context->bottom, &context->size);
    __sanitizer_start_switch_fiber(&fake_stack, context->bottom, context->size);
    __sanitizer_finish_switch_fiber(fake_stack, NULL, NULL);
    context->fake_stack = NULL;
}
#else
#define asan_adopt(context) ((void)0)
#endif

#if MT_TSAN
static void tsan_adopt(struct mt_context *context) {
    context->fiber = __tsan_get_current_fiber();
}
/* The running fiber is the thread's own: it goes with the thread. */
static void tsan_fini(struct mt_context *context) {
    if (context->fiber && context->fiber != __tsan_get_current_fiber()) __tsan_destroy_fiber(context->fiber);
    context->fiber = NULL;
}
#else
#define tsan_adopt(context) ((void)0)
#define tsan_fini(context) ((void)0)
#endif

void mt_context_adopt(struct mt_context *context) {
    context->sp = NULL;
    asan_adopt(context);
    tsan_adopt(context);
}

void mt_context_fini(struct mt_context *context) {
    tsan_fini(context);
    context->sp = NULL;
}
