/* SPDX-License-Identifier: Apache-2.0
 * Delivery. A bounded mailbox's `count` goes up before a message is pushed and down when the push finds the receiver dead, when the
 * message is taken, or dropped at the end: it is conserved, never reset, so that late senders to a reused slot do no harm. (When a
 * chunk's memory is given back it is 0 anew, and a sender late by that much leaves it one too low: hence signed.) */
#include "proc/far.h"
#include "proc/send.h"

void mt_resume_sender(struct mt_sched *s, struct mt_sig *suspend) {
    suspend->kind = MT_SIG_RESUME;
    mt_deliver(s, suspend->heap[0], suspend);
}

void mt_bury_letter(struct mt_sched *s, uint64_t dead, struct mt_sig *sig) {
    if (mt_unlikely(mt_is_far(mt_runtime_of_sched(s), dead)) && mt_far_send(s, dead, sig) != MT_FAR_ABSENT) return;
    if (mt_is_message(sig) && !(sig->flags & MT_SIG_UNSENT)) mt_count(&s->dead, 1);
    if (sig->kind == MT_SIG_INFO)
        mt_info_answer(s, NULL, sig);
    else if (sig->kind == MT_SIG_SUSPEND)
        mt_resume_sender(s, sig);
    else
        mt_relation_bury(s, dead, sig);
}

/* `counts`: it has its place in the receiver's `count`, to be given back when that is dead. */
static bool push_or_bury(struct mt_sched *s, struct mt_proc *p, uint64_t pid, struct mt_sig *sig, bool counts) {
    enum mt_push pushed = mt_push(p, mt_pid_serial(pid), sig);
    if (mt_likely(pushed != MT_PUSH_DEAD)) {
        if (pushed == MT_PUSH_WOKE) mt_sched_wake(s, &p->task);
        return true;
    }
    if (counts) atomic_fetch_sub_explicit(&p->count, 1, memory_order_relaxed);
    mt_bury_letter(s, pid, sig);
    return false;
}

bool mt_deliver(struct mt_sched *s, uint64_t pid, struct mt_sig *sig) {
    struct mt_proc *p = mt_table_find(mt_runtime_of_sched(s), pid);
    if (mt_unlikely(!p)) {
        mt_bury_letter(s, pid, sig);
        return false;
    }
    bool counts = mt_is_message(sig) && mt_is_bounded(p);
    if (counts) atomic_fetch_add_explicit(&p->count, 1, memory_order_relaxed);
    return push_or_bury(s, p, pid, sig, counts);
}

/* More than half of its own mailbox is full: senders may stand still for it, so it must not stand still itself, or a circle of them would
 * stand for ever. The same half decides when they go on, see mt_resume_senders(). */
static bool is_awaited(struct mt_proc *p) {
    if (!(p->flags & MT_PF_BOUNDED)) return false;
    return atomic_load_explicit(&p->count, memory_order_relaxed) > mt_mailbox_max(p) / 2;
}

bool mt_suspended(struct mt_proc *p) {
    return p->suspensions && !is_awaited(p);
}

/* Whether it may stand still. Not if it has filled more mailboxes than can be counted in one turn. */
static bool may_stand(struct mt_proc *self) {
    return mt_task_kind(&self->task) != MT_THREAD && !(self->flags & (MT_PF_ENDING | MT_PF_HURRIES)) && !is_awaited(self) && self->suspensions < UINT16_MAX;
}

/* Asks the receiver to say when there is room again. */
static bool ask_to_resume(struct mt_proc *self, uint64_t pid) {
    struct mt_sig *sig = mt_sig_new(mt_cache_of(self), MT_SIG_SUSPEND, 1);
    if (!sig) return false; /* no memory to wait with: the message is delivered all the same */
    sig->root = 0;
    sig->heap[0] = mt_proc_pid(self);
    self->suspensions++;
    mt_deliver(self->task.sched, pid, sig);
    return true;
}

/* Waits for what has suspended it. */
static void stand_still(struct mt_proc *self) {
    if (mt_task_kind(&self->task) == MT_HANDLER || (self->flags & MT_PF_HOSTED)) {
        self->task.budget = 0; /* it stops after this callback, see mt_turn(), or in its next wait */
        return;
    }
    for (;;) {
        mt_fetch(self);
        mt_end_if_exiting(self);
        if (!mt_suspended(self)) return;
        if (mt_wait(self, MT_NEVER) == MOTE_ESTOPPED) return;
    }
}

/* The sender stands still until the receiver says that there is room again. */
static void suspend(struct mt_proc *self, uint64_t pid) {
    if (pid != mt_proc_pid(self) && may_stand(self) && ask_to_resume(self, pid)) stand_still(self);
}

void mt_stand_for(struct mt_proc *self, uint64_t pid) {
    bool stops = mt_task_kind(&self->task) == MT_HANDLER || (self->flags & MT_PF_HOSTED); /* others cannot stop where they fetch */
    if (stops && may_stand(self) && ask_to_resume(self, pid)) self->task.budget = 0;
}

bool mt_send_would_stand(struct mt_proc *self, uint64_t pid) {
    struct mt_proc *p = mt_table_find(mt_runtime(self), pid);
    if (!p || p == self || !mt_is_bounded(p)) return false;
    mote_policy policy = (mote_policy)(atomic_load_explicit(&p->count_max, memory_order_relaxed) >> 30);
    return policy == MOTE_SUSPEND && atomic_load_explicit(&p->count, memory_order_relaxed) >= mt_mailbox_max(p);
}

/* The mailbox is full and its policy says that its owner ends for it. */
static void end_receiver(struct mt_sched *s, uint64_t pid) {
    struct mt_reason full = {MT_WORD_OF(mailbox_full), NULL};
    struct mt_sig *sig;
    if (mt_exit_new(&s->cache, pid, &full, &sig)) return;
    mt_deliver(s, pid, sig);
}

/* Takes a place in a mailbox, unless it is full. */
static bool take_place(struct mt_proc *p, int32_t limit) {
    int32_t n = atomic_load_explicit(&p->count, memory_order_relaxed);
    do
        if (n >= limit) return false;
    while (!atomic_compare_exchange_weak_explicit(&p->count, &n, n + 1, memory_order_relaxed, memory_order_relaxed));
    return true;
}

/* A message to a mailbox that has a limit; `full`: its sender shall stand still. */
static mote_err to_bounded(struct mt_sched *s, struct mt_proc *p, uint64_t pid, struct mt_sig *sig, bool *full) {
    mote_policy policy = (mote_policy)(atomic_load_explicit(&p->count_max, memory_order_relaxed) >> 30);
    int32_t limit = mt_mailbox_max(p);
    if (policy == MOTE_SUSPEND) {
        int32_t before = atomic_fetch_add_explicit(&p->count, 1, memory_order_relaxed);
        *full = push_or_bury(s, p, pid, sig, true) && before >= limit;
        return MOTE_OK;
    }
    if (mt_serial(p) != mt_pid_serial(pid)) {
        mt_bury_letter(s, pid, sig);
        return MOTE_OK;
    }
    if (take_place(p, limit)) {
        push_or_bury(s, p, pid, sig, true);
        return MOTE_OK;
    }
    if (!(sig->flags & MT_SIG_UNSENT)) mt_count(&s->dropped, 1);
    mt_sig_free(&s->cache, sig);
    if (policy == MOTE_END) end_receiver(s, pid);
    if (policy == MOTE_DROP) atomic_fetch_add_explicit(&p->refused, 1, memory_order_relaxed);
    return policy == MOTE_DROP ? MOTE_EFULL : MOTE_OK;
}

void mt_deliver_timer(struct mt_sched *s, uint64_t pid, struct mt_sig *sig) {
    if (sig->flags & MT_SIG_NAMED) {
        uint64_t name = pid;
        sig->flags &= (uint8_t)~MT_SIG_NAMED;
        pid = mt_whereis(mt_runtime_of_sched(s), name);
        if (mt_atom_counted(name)) mt_atom_drop(name);
    }
    if (mt_is_message(sig))
        (void)mt_deliver_message(s, pid, sig);
    else
        mt_deliver(s, pid, sig);
}

bool mt_deliver_message(struct mt_sched *s, uint64_t pid, struct mt_sig *sig) {
    struct mt_proc *p = mt_table_find(mt_runtime_of_sched(s), pid);
    bool full = false;
    if (p && mt_is_bounded(p))
        (void)to_bounded(s, p, pid, sig, &full);
    else
        mt_deliver(s, pid, sig);
    return full;
}

mote_err mt_send_bounded(struct mt_proc *self, struct mt_proc *p, uint64_t pid, struct mt_sig *sig) {
    bool full = false;
    mote_err err = to_bounded(self->task.sched, p, pid, sig, &full);
    if (full) suspend(self, pid);
    if ((self->task.budget -= MT_COST_QUEUED) <= 0) mt_turn_over(self);
    return err;
}

void mt_send_away(struct mt_proc *self, uint64_t pid, struct mt_sig *sig) {
    struct mt_sched *s = self->task.sched;
    enum mt_far_sent sent = mt_is_far(mt_runtime_of_sched(s), pid) ? mt_far_send(s, pid, sig) : MT_FAR_ABSENT;
    if (sent == MT_FAR_ABSENT) mt_bury_letter(s, pid, sig);
    if (sent == MT_FAR_CROWDED && may_stand(self) && mt_far_stand(self, pid)) stand_still(self);
    if ((self->task.budget -= MT_COST_AWAY) <= 0) mt_turn_over(self);
}

void mt_send_encoded(struct mt_proc *self, mote_parcel *parcel, const void *term, size_t size) {
    uint64_t pid = parcel->pid;
    enum mt_far_sent sent = mt_far_send_encoded(self, parcel, term, size);
    if (sent == MT_FAR_ABSENT) mt_count(&self->task.sched->dead, 1);
    if (sent == MT_FAR_CROWDED && may_stand(self) && mt_far_stand(self, pid)) stand_still(self);
    if ((self->task.budget -= MT_COST_AWAY) <= 0) mt_turn_over(self);
}

mote_err mt_send(struct mt_proc *self, uint64_t pid, struct mt_sig *sig) { return mt_send_inline(self, pid, sig); }

#define BUDGET_CLAMP (1 << 30) /* so far below zero it goes at most, in a turn that does not end */

void mt_turn_over(struct mt_proc *self) {
    if (mt_task_kind(&self->task) != MT_HANDLER && !(self->flags & (MT_PF_ENDING | MT_PF_HOSTED))) {
        mt_give_way(self);
    } else if (mt_unlikely(self->task.budget < -BUDGET_CLAMP)) {
        self->task.budget += BUDGET_CLAMP;
        self->reductions += BUDGET_CLAMP;
    }
}

/* Inlined: see mt_sched_leave(). */
static inline __attribute__((always_inline)) void leave(struct mt_proc *self, enum mt_how how) {
    self->reductions += (uint64_t)(MT_TURN - self->task.budget);
    mt_sched_leave(self->task.sched, &self->task, how);
    mt_after(self->task.sched);
    mt_fetch(self);
    mt_end_if_exiting(self);
}

void mt_give_way(struct mt_proc *self) {
    if (mt_task_kind(&self->task) != MT_THREAD) {
        leave(self, MT_HOW_YIELD);
        return;
    }
    self->reductions += (uint64_t)(MT_TURN - self->task.budget);
    self->task.budget = MT_TURN;
    mt_os_thread_yield();
}

void mt_step_aside(struct mt_proc *self) {
    MT_ASSERT(mt_task_kind(&self->task) == MT_STRAIGHT);
    leave(self, MT_HOW_ASIDE);
}
