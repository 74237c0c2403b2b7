/* SPDX-License-Identifier: Apache-2.0
 * Sending: the part of send.c that is inlined where a message has just been made.
 *
 * Owner of the sending process only. Included by send.c and api.c.
 */
#ifndef MT_PROC_SEND_H
#define MT_PROC_SEND_H

#include "proc/proc.h"

static inline bool mt_is_bounded(struct mt_proc *p) {
    return atomic_load_explicit(&p->inbox.low, memory_order_relaxed) & MT_IN_BOUNDED;
}

/* Whether a message to a process of here would make the sender stand still. */
bool mt_send_would_stand(struct mt_proc *self, uint64_t pid);

/* As mt_send(), to a mailbox that has a limit. */
mote_err mt_send_bounded(struct mt_proc *self, struct mt_proc *p, uint64_t pid, struct mt_sig *sig);

/* As mt_send(), to a pid that no slot here can be of: another worker's, or nobody's. */
void mt_send_away(struct mt_proc *self, uint64_t pid, struct mt_sig *sig);

/* As mt_send(). */
static inline __attribute__((always_inline)) mote_err mt_send_inline(struct mt_proc *self, uint64_t pid, struct mt_sig *sig) {
    struct mt_sched *s = self->task.sched;
    struct mt_proc *p = mt_table_find(mt_runtime_of_sched(s), pid);
    int32_t cost = 1;
    mt_count(&s->sent, 1);
    if (mt_unlikely(!p)) {
        mt_send_away(self, pid, sig);
        return MOTE_OK;
    }
    if (mt_unlikely(mt_is_bounded(p))) return mt_send_bounded(self, p, pid, sig);
    enum mt_push pushed = mt_push(p, mt_pid_serial(pid), sig);
    if (pushed == MT_PUSH_WOKE)
        mt_sched_wake(s, &p->task);
    else if (pushed == MT_PUSH_QUEUED)
        cost = MT_COST_QUEUED;
    else if (mt_unlikely(pushed == MT_PUSH_DEAD))
        mt_bury_letter(s, pid, sig);
    if (mt_unlikely((self->task.budget -= cost) <= 0)) mt_turn_over(self);
    return MOTE_OK;
}

#endif
