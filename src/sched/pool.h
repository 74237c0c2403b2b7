/* SPDX-License-Identifier: Apache-2.0
 * Threads for calls that block: started on demand up to a maximum, ended after idling.
 *
 * Any thread (lock POOL).
 * I1 a job runs exactly once: `run`, then `done`, on one pool thread, with no lock held. I2 mt_pool_stop() waits for all jobs.
 */
#ifndef MT_SCHED_POOL_H
#define MT_SCHED_POOL_H

#include "base/lock.h"
#include "base/os.h"

struct mt_pool;

struct mt_job {
    struct mt_job *next;              /* the pool's */
    void (*run)(void *context);       /* may block */
    void *context;
    void (*done)(struct mt_job *job); /* takes the job */
};

/* `threads_max` at least 1; idle threads end after `idle_ns`. Gives; NULL: memory. Starts no thread. */
struct mt_pool *mt_pool_new(unsigned threads_max, uint64_t idle_ns);
/* Accepts no more jobs, waits for those accepted so far and joins all threads. Once. Blocks. */
void mt_pool_stop(struct mt_pool *pool);
/* Stops it, if that was not done, and frees it. Takes. Blocks. */
void mt_pool_free(struct mt_pool *pool);
/* Accepts a job; takes it on success. MOTE_ESTOPPED after mt_pool_stop(); MOTE_EOS or MOTE_ENOMEM when there is no thread and none can be
 * started. Never blocks. */
mote_err mt_pool_run(struct mt_pool *pool, struct mt_job *job);
/* Jobs waiting or running (until `done` has returned). */
size_t mt_pool_busy(struct mt_pool *pool);

#endif
