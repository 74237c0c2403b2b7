/* SPDX-License-Identifier: Apache-2.0
 * How processes end: clean-ups, then the inbox is closed and what is in it answered, then everything is given back (law L5). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proc/proc.h"

static void run_cleanups(struct mt_proc *p, uint64_t reason) {
    struct mt_cache *cache = mt_cache_of(p);
    while (p->more && p->more->cleanups) {
        struct mt_cleanup *c = p->more->cleanups;
        p->more->cleanups = c->next;
        c->fn(c->context);
        mt_cache_free(cache, c, sizeof *c);
    }
    const mote_handler *h = mt_task_kind(&p->task) == MT_HANDLER ? p->code.handler : NULL;
    if (h && h->stop && p->task.started) h->stop(mt_as_self(p), (mote_term){reason}, p->task.stack);
}

/* A signal the process will not see: what it had of it is undone, then it is as with one that never reached it. */
static void discard(struct mt_proc *p, struct mt_sig *sig) {
    if (mt_is_message(sig) && (p->flags & MT_PF_BOUNDED)) atomic_fetch_sub_explicit(&p->count, 1, memory_order_relaxed);
    if (sig->kind >= MT_SIG_LINK && sig->kind <= MT_SIG_DEMONITOR) { /* who asked in time gets the real reason */
        mt_relation_apply(p, sig);
        return;
    }
    if (sig->kind == MT_SIG_FD) mt_fd_forget(p, sig);
    if (sig->kind == MT_SIG_TIMEOUT) p->flags &= ~(uint32_t)MT_PF_ARMED;
    mt_bury_letter(p->task.sched, mt_proc_pid(p), sig);
}

static void discard_all(struct mt_proc *p, struct mt_sig *oldest) {
    for (struct mt_sig *sig = oldest, *next; sig; sig = next) {
        next = sig->next;
        discard(p, sig);
    }
}

static struct mt_sig *reverse(struct mt_sig *newest) {
    struct mt_sig *oldest = NULL;
    while (newest) {
        struct mt_sig *older = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = older;
    }
    return oldest;
}

static void empty_more(struct mt_proc *p) {
    struct mt_cache *cache = mt_cache_of(p);
    if (!p->more) return;
    discard_all(p, p->more->suspended);
    p->more->suspended = NULL;
    mt_fd_close(p);
    for (struct mt_owned *o = p->more->owned, *next; o; o = next) {
        next = o->next;
        mt_cache_free(cache, o, sizeof *o + o->size);
    }
    p->more->owned = NULL;
}

void mt_free_arg(struct mt_proc *p) {
    for (struct mt_sig *sig = p->arg_sig, *next; sig; sig = next) {
        next = sig->next;
        mt_sig_free(mt_cache_of(p), sig);
    }
    p->arg_sig = NULL;
}

static void discard_pending(struct mt_proc *p) {
    if (!mt_has_pending(p)) return;
    struct mt_sig *oldest = *mt_pending(p);
    *mt_pending(p) = NULL;
    discard_all(p, oldest);
}

/* L5: the name is free and the table entry closed before anybody is told. */
void mt_close(struct mt_proc *p, struct mt_reason reason) {
    struct mt_cache *cache;
    p->flags |= MT_PF_ENDING;
    p->arg = reason.word;
    mt_certify(p, reason.word); /* first: a clean-up of the first process lets the runtime stop */
    run_cleanups(p, reason.word);
    cache = mt_cache_of(p);
    if (p->more && p->more->ending) p->more->ending(p, p->more->ending_context, &reason);
    empty_more(p);
    mt_name_end(p);
    uint64_t low = mt_pair_swap_low(&p->inbox, MT_IN_CLOSED);
    MT_ASSERT(!(low & (MT_IN_CLOSED | MT_IN_WAITING)));
    discard_all(p, p->queue);
    discard_pending(p);
    discard_all(p, reverse((struct mt_sig *)(uintptr_t)(low & ~(uint64_t)MT_IN_STATE)));
    p->queue = NULL;
    if (p->flags & MT_PF_ARMED) mt_alarm_cancel(p->task.sched, p->alarm, NULL);
    mt_drop_current(p);
    mt_free_arg(p);
    if (mt_task_kind(&p->task) == MT_HANDLER && p->task.stack) {
        mt_cache_free(cache, p->task.stack, p->code.handler->state_size);
        p->task.stack = NULL;
    }
    mt_relations_end(p, &reason);
}

/* The watchdog says `inspecting`, then looks whether the process is still open; we have closed it and then look whether it inspects. */
void mt_free_more(mote_runtime *rt, struct mt_cache *cache, struct mt_proc *p) {
    struct mt_more *more = p->more;
    while (mt_unlikely(atomic_load(&rt->inspecting))) mt_cpu_relax(); /* also for the slot's other fields, which are reused next */
    if (!more) return;
    p->more = NULL;
    mt_cache_free(cache, more, sizeof *more);
}

static void report_overflow(struct mt_proc *p, size_t size, const char *then) {
    char who[128], text[400];
    mt_proc_describe(p, who, sizeof who);
    snprintf(text, sizeof text,
             "mote: stack overflow in process %s: its stack of %zu KiB is used up. Give it more (stack_size), or use less of it. %s\n", who,
             size >> 10, then);
    mt_os_log(text);
}

/* Where the kernel has no light guards and the map limit is used up, an overflow is found out at the end: memory beside is damaged. */
static __attribute__((cold, noreturn)) void overflowed_unseen(struct mt_proc *p) {
    report_overflow(p, mt_task_stack_size(&p->task), "It had no guard page; the program ends.");
    abort();
}

static void give_stack(struct mt_sched *s, struct mt_proc *p) {
    if (p->task.started) mt_context_fini(&p->task.context);
    if (p->task.stack && p->task.own_stack) mt_stack_unmap(p->task.stack, p->more->stack_size);
    if (p->task.stack && !p->task.own_stack && !mt_stack_give(&s->stacks, p->task.stack)) overflowed_unseen(p);
    p->task.stack = NULL;
}

/* A process that has ended and has many to tell of it does so in turns, like a handler. */
static const mote_handler telling = {.name = "(ended)"};
#define TELL_MAX 500u

void mt_bury(struct mt_sched *s, struct mt_proc *p) {
    p->task.sched = s;
    if (mt_task_kind(&p->task) == MT_STRAIGHT) give_stack(s, p);
    if (!mt_relations_tell(s, p, TELL_MAX)) {
        mt_task_set_kind(&p->task, MT_HANDLER);
        p->task.started = 1;
        p->code.handler = &telling;
        p->flags |= MT_PF_TELLING;
        mt_sched_push(s, &p->task);
        return;
    }
    mt_free_more(mt_runtime_of_sched(s), &s->cache, p);
    mt_table_give(mt_runtime_of_sched(s), p);
    mt_runtime_ended(mt_runtime_of_sched(s), s);
}

void mt_end(struct mt_proc *self, struct mt_reason reason) {
    mt_close(self, reason);
    struct mt_sched *s = self->task.sched;
    if (mt_task_kind(&self->task) == MT_STRAIGHT) {
        mt_sched_leave(s, &self->task, MT_HOW_END);
        __builtin_unreachable();
    }
    mt_bury(s, self);
    longjmp(s->restart, 1);
}

void mt_end_if_exiting(struct mt_proc *self) {
    if ((self->flags & (MT_PF_EXITING | MT_PF_ENDING | MT_PF_HOSTED)) == MT_PF_EXITING) mt_end_by_signal(self);
}

mote_err mt_exiting(struct mt_proc *self) {
    mt_end_if_exiting(self);
    self->flags &= ~(uint32_t)MT_PF_NEWS; /* it has been told */
    return MOTE_EEXIT;
}

struct mt_reason mt_signal_reason(struct mt_proc *self) {
    struct mt_sig *sig = self->arg_sig; /* the newest: the exit signal, if `arg` came with one */
    bool held = sig && (sig->flags & MT_SIG_SHARED) && (sig->kind == MT_SIG_EXIT || sig->kind == MT_SIG_LINK_EXIT) && sig->root == self->arg;
    return held ? mt_exit_reason_of(sig) : (struct mt_reason){self->arg, NULL};
}

void mt_end_by_signal(struct mt_proc *self) { mt_end(self, mt_signal_reason(self)); }

void mt_hibernate(struct mt_proc *self) {
    self->flags |= MT_PF_HIBERNATING | MT_PF_HIBERNATED;
    mt_sched_leave(self->task.sched, &self->task, MT_HOW_END);
    __builtin_unreachable();
}

/* Off its stack: waits for a message, if there is none yet; then it begins anew. */
static void hibernate(struct mt_sched *s, struct mt_proc *p) {
    p->task.sched = s;
    p->flags &= ~(uint32_t)MT_PF_HIBERNATING;
    if (p->task.own_stack) {
        mt_context_fini(&p->task.context);
        mt_stack_rest(p->task.stack, p->more->stack_size);
    } else {
        give_stack(s, p);
    }
    memset(&p->task.context, 0, sizeof p->task.context);
    p->task.started = 0;
    while (!p->queue && !(p->flags & MT_PF_EXITING)) {
        if (mt_fetch(p)) continue;
        if (mt_fall_asleep(p)) return;
    }
    mt_sched_push(s, &p->task);
}

void mt_after_slow(struct mt_sched *s) {
    struct mt_proc *p = mt_task_proc(s->left);
    enum mt_how how = s->how;
    s->left = NULL;
    if (how == MT_HOW_END && (p->flags & MT_PF_HIBERNATING)) {
        hibernate(s, p);
        return;
    }
    if (how == MT_HOW_YIELD) {
        s->fresh_turns = MT_FRESH_TURNS;
        mt_sched_push(s, &p->task);
        return;
    }
    if (how == MT_HOW_ASIDE) {
        mt_sched_wake(s, &p->task);
        return;
    }
    if (how == MT_HOW_OVERFLOW) {
        p->task.sched = s;
        mt_close(p, (struct mt_reason){MT_WORD_OF(stack_overflow), NULL});
    }
    mt_bury(s, p);
}

/* The first function on a straight-line process's stack. */
void mt_entry(void) {
    struct mt_sched *s = mt_sched_here();
    struct mt_proc *p = mt_task_proc(atomic_load_explicit(&s->current, memory_order_relaxed));
    mt_context_entered(&p->task.context);
    mt_after(s);
    mt_fetch(p);
    if (mt_unlikely(p->flags & MT_PF_EXITING)) mt_end_by_signal(p);
    if (!p->queue && (p->flags & MT_PF_HIBERNATED)) mt_hibernate(p); /* woken by a signal that is no message */
    p->flags &= ~(uint32_t)MT_PF_HIBERNATED;
    p->code.body(mt_as_self(p), (mote_term){p->arg});
    if (mt_unlikely(p->flags & MT_PF_EXITING)) mt_end_by_signal(p);
    mt_end(p, (struct mt_reason){MT_WORD_OF(normal), NULL});
}

void mt_no_stack(struct mt_sched *s, struct mt_task *task) {
    struct mt_proc *p = mt_task_proc(task);
    char who[128];
    p->task.sched = s;
    mt_proc_describe(p, who, sizeof who);
    mt_log(mt_runtime_of_sched(s), MOTE_LOG_ERROR, "process %s ended before it began: no memory for its stack (system_limit)", who);
    mt_close(p, (struct mt_reason){MT_WORD_OF(system_limit), NULL});
    mt_bury(s, p);
}

/* In the handler of a memory fault, on the thread's signal stack. */
void mt_overflowed(const void *address) {
    struct mt_sched *s = mt_sched_here();
    struct mt_task *task = s && !s->outside ? atomic_load_explicit(&s->current, memory_order_relaxed) : NULL;
    if (!task || mt_task_kind(task) != MT_STRAIGHT || !task->started) return;
    size_t size = mt_task_stack_size(task);
    const char *low = task->stack - size, *at = address;
    if (at >= low || at < low - 16 * mt_os_page_size()) return;
    bool ends = mt_runtime_of_sched(s)->options.overflow_ends_process;
    report_overflow(mt_task_proc(task), size, ends ? "The process ends." : "The program ends.");
    if (!ends) abort();
    s->left = task;
    s->how = MT_HOW_OVERFLOW;
    longjmp(s->restart, 1);
}
