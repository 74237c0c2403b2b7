/* SPDX-License-Identifier: Apache-2.0
 * Taking messages out of the queue: the parts of receive.c that are inlined where a receive is made, so that a process that comes back from a
 * switch returns through as few frames as can be (each costs a mispredicted return).
 *
 * Owner of the process only. Included by receive.c and api.c.
 */
#ifndef MT_PROC_RECEIVE_H
#define MT_PROC_RECEIVE_H

#include "proc/proc.h"

/* Whether exit signals can end it: not a thread, unless a host unwinds it. */
static inline bool mt_can_end(const struct mt_proc *p) { return mt_task_kind(&p->task) != MT_THREAD || (p->flags & MT_PF_HOSTED); }
/* The process has looked at every message, and wants none. */
static inline mote_err mt_seen_all(struct mt_proc *self) {
    self->flags &= ~(uint32_t)MT_PF_NEWS;
    return MOTE_TIMEOUT;
}
/* Half of a full mailbox has been read: those who waited for room may go on. */
void mt_resume_senders(struct mt_proc *self);
/* Sees to it that an alarm fires at `deadline_ns` or before: one that fires early is found out and set anew. So a receive that gets its
 * message in time costs no timer at all, after the first. MOTE_ENOMEM, MOTE_ELIMIT. */
mote_err mt_ensure_alarm(struct mt_proc *self, uint64_t deadline_ns);

/* Whether mt_fetch() would find nothing. */
static inline bool mt_inbox_empty(struct mt_proc *self) {
    uint64_t low = atomic_load_explicit(&self->inbox.low, memory_order_relaxed);
    return !(low & ~(uint64_t)(MT_IN_STATE & ~MT_IN_KILLED)) && !(self->relations & 1);
}

/* Unlinks the message that `at` points to. */
static inline struct mt_sig *mt_queue_unlink(struct mt_proc *self, struct mt_sig **at) {
    struct mt_sig *sig = *at;
    *at = sig->next;
    __builtin_prefetch(sig->next);
    if (self->queue_end == &sig->next) self->queue_end = at;
    if (self->mark_at == &sig->next) self->mark_at = at;
    self->queued--;
    return sig;
}

/* The same, and makes it the current one. */
static inline void mt_take(struct mt_proc *self, struct mt_sig **at) {
    self->current = mt_queue_unlink(self, at);
    if (mt_unlikely(self->flags & MT_PF_BOUNDED)) mt_resume_senders(self);
}

/* As mt_wait(), inlined for straight-line processes. `ahead`: the deadline is known to lie ahead. */
static inline __attribute__((always_inline)) mote_err mt_wait_inline(struct mt_proc *self, uint64_t deadline_ns, bool ahead) {
    if (mt_unlikely(mt_task_kind(&self->task) != MT_STRAIGHT)) return mt_wait(self, deadline_ns);
    if (mt_unlikely(mt_has_pending(self))) return MOTE_OK;
    if (deadline_ns != MT_NEVER) {
        if (!ahead && mt_os_now_ns() >= deadline_ns) return MOTE_TIMEOUT;
        mote_err err = mt_ensure_alarm(self, deadline_ns);
        if (mt_unlikely(err)) return err;
    }
    mt_sched_leave(self->task.sched, &self->task, MT_HOW_WAIT);
    mt_after(self->task.sched);
    return MOTE_OK;
}

/* Takes the first message that `wanted` wants into `current`; those before `mark` (0, or the newest reference) are not asked about. */
typedef bool mt_wanted(void *context, mote_term message);
static inline __attribute__((always_inline)) mote_err mt_receive_wanted(struct mt_proc *self, int64_t timeout_ms, uint64_t mark,
                                                                        mt_wanted wanted, void *context) {
    uint64_t deadline = timeout_ms < 0 ? MT_NEVER : 0;
    mt_drop_current(self);
    if (mt_unlikely(--self->task.budget <= 0)) mt_turn_over(self);
    if (mt_unlikely(self->flags & MT_PF_EXITING)) return mt_exiting(self);
    struct mt_sig **at = mark && mark == self->mark ? self->mark_at : &self->queue;
    for (mote_err err = MOTE_OK;;) {
        for (struct mt_sig *sig; (sig = *at); at = &sig->next) {
            if (!wanted(context, (mote_term){sig->root})) continue;
            mt_take(self, at);
            return MOTE_OK;
        }
        bool fetched = !mt_inbox_empty(self) && mt_fetch(self);
        if (mt_unlikely(self->flags & MT_PF_EXITING)) return mt_exiting(self);
        if (fetched) {
            if (mt_unlikely(self->task.budget <= 0)) mt_turn_over(self);
            continue;
        }
        if (mt_unlikely(err || timeout_ms == 0)) return err ? err : mt_seen_all(self);
        bool first = !deadline;
        if (first) deadline = mt_deadline(timeout_ms);
        err = mt_wait_inline(self, deadline, first);
    }
}

#endif
