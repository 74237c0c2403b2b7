/* SPDX-License-Identifier: Apache-2.0
 * Signals to and from the processes of the node's other workers: as records, which a carrier takes there.
 *
 * Any thread of the runtime that may send. A carrier is its worker's for one incarnation; its context lives until mt_far_is_used() was false after that, or as long as the runtime.
 * F1 what is sent to a far pid is with its carrier before the send returns, so the order of sends is the order of records; mt_far_take() delivers them
 *    in the order they are given to it. F2 a process is noted with a worker before a signal about a relation with it is sent, or delivered; who is noted
 *    when the worker is lost gets a LOST signal, and finds in its own relations what has ended. So each is told once, and nobody looks through all
 *    processes. F3 what a record says is checked: a wrong one is refused, and does nothing.
 */
#ifndef MT_PROC_FAR_H
#define MT_PROC_FAR_H

#include "proc/proc.h"

struct mt_carrier {
    /* Puts a record behind those before it; copies it. False: it is taken, but too many wait: who sent it shall stand still until
     * mt_far_drained(). Never blocks. */
    bool (*put)(void *context, const void *record, size_t size);
    bool (*crowded)(void *context); /* whether put() would say false */
    void *context;
};

/* The other worker (number and incarnation) is there: signals go to it. MOTE_EARG (a number that is none, or this runtime's own), MOTE_EBUSY (an
 * incarnation before it has not been lost), MOTE_ENOMEM. */
mote_err mt_far_open(mote_runtime *rt, unsigned worker, const struct mt_carrier *carrier);

/* Sends a signal to a far pid. Takes it, if the pid's worker is there (without memory it is lost, and logged). */
enum mt_far_sent {
    MT_FAR_ABSENT, /* it is the caller's */
    MT_FAR_TAKEN,
    MT_FAR_CROWDED /* too much waits for that worker: who sends messages shall stand still, see mt_far_stand() */
};
enum mt_far_sent mt_far_send(struct mt_sched *s, uint64_t pid, struct mt_sig *sig);

/* The same for a message that is encoded already, from a process; `alias`: 0, or the alias it is sent to. Owner. */
enum mt_far_sent mt_far_send_encoded(struct mt_proc *self, uint64_t pid, uint64_t alias, const void *term, size_t size);

/* Counts the process among those that wait for the carrier of a far pid's worker, as one suspension; false: nothing waits there any more. Owner. */
bool mt_far_stand(struct mt_proc *self, uint64_t pid);

/* What answers a question that has come from afar: `info` NULL: the process has ended. */
void mt_far_answer(struct mt_sched *s, uint64_t asker, uint64_t id, const mote_process_info *info);

/* Delivers a record that has come from a worker. MOTE_ETERM: it is none, and had no effect; MOTE_ENOMEM: it is lost. */
mote_err mt_far_take(struct mt_sched *s, unsigned worker, const void *record, size_t size);

/* The worker has ended, for `reason`; all its records have been taken. From now on it is as if its processes had ended. MOTE_ETERM, MOTE_ENOMEM (nothing
 * has changed). */
mote_err mt_far_lost(struct mt_sched *s, unsigned worker, mote_term reason);

/* Whether somebody may be in the carrier of a worker. Once it has been lost and this was false, its carrier can be freed. */
bool mt_far_is_used(const mote_runtime *rt, unsigned worker);

/* What waited at the carrier has gone: who stood still for it goes on. */
void mt_far_drained(struct mt_sched *s, unsigned worker);

/* Notes that a process has a relation with a far pid, F2; false: its worker is not there, or there is no memory. */
bool mt_far_note(struct mt_sched *s, uint64_t local, uint64_t far);

/* The process ends: forgets its notes. */
void mt_far_forget(struct mt_proc *p);

void mt_far_free(mote_runtime *rt);

#endif
