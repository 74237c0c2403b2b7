/* SPDX-License-Identifier: Apache-2.0
 *
 * Pools: a fixed number of workers for any number of callers, who wait in a queue of limited length. Either the workers run functions that
 * callers submit, or they are processes of the program (servers, say) that callers check out for themselves.
 *
 * `pool` is a pid or a name, in any form that MOTE_TO() takes; without one, and when it ends: MOTE_ENOPROC.
 */
#ifndef MOTE_POOL_H
#define MOTE_POOL_H

#include <mote/supervisor.h>
#include <mote/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How a pool is made. Zero everywhere is the default. */
typedef struct mote_pool_options {
    const char *name;  /* registered; NULL: none */
    size_t workers;    /* 0: 4 */
    size_t queue_max;  /* callers that wait; 0: 1024 */
    mote_child_spec worker; /* how a worker is started (start, body or handler, with arg); none of them: workers that run functions */
    int intensity;     /* workers replaced within the period; one more, and the pool ends with reason shutdown. 0: 10 */
    int period_s;      /* seconds; 0: 5 */
} mote_pool_options;

/* Starts a pool that is linked with the caller, its parent, and waits until its workers run. Copies the options. Gives `pool`. A worker fails to start: its
 * error, and `reason` (may be NULL) is {shutdown, Reason}, borrowed until the next receive. As mote_supervisor_start_link(). */
MOTE_API MOTE_MUST mote_err mote_pool_start_link(mote_self *self, const mote_pool_options *options, mote_pid *pool, mote_term *reason);

/* The same for the specification of a supervisor's child (its `start`, type MOTE_SUPERVISOR); `arg` is what mote_pool_arg() made of options
 * that live as long as the tree does. */
MOTE_API mote_err mote_pool_start(mote_self *self, mote_term arg, mote_pid *pool);
MOTE_API mote_term mote_pool_arg(mote_arena *arena, const mote_pool_options *options);

/* Gives a pool a function to run. Copies `arg`. Never waits: the result is asked for with mote_pool_await(), or comes as a message for
 * mote_pool_answer(). Gives `job`. As mote_call_start_term(). */
MOTE_API MOTE_MUST mote_err mote_pool_submit(mote_self *self, mote_term pool, mote_task_function function, mote_term arg, mote_ref *job);

/* Waits for a job's result, borrowed until the next receive. MOTE_EFULL: the queue was full; MOTE_ENOPROC: its worker (or the pool) ended meanwhile,
 * `result` is the reason; MOTE_EARG: the pool does not run functions; MOTE_TIMEOUT: the job is given up, and not begun if it waits. In each case it is
 * done with. May switch. MOTE_ESELF, MOTE_ECONTEXT, MOTE_ENOMEM, MOTE_ESTOPPED. */
MOTE_API MOTE_MUST mote_err mote_pool_await(mote_self *self, mote_term pool, mote_ref job, int64_t timeout_ms, mote_term *result);

/* Whether a message is the answer to a job: as mote_pool_await() would return, or MOTE_NOMATCH. `result` is borrowed from the message. */
MOTE_API MOTE_MUST mote_err mote_pool_answer(mote_term message, mote_ref job, mote_term *result);

/* mote_pool_submit() and mote_pool_await(). */
MOTE_API MOTE_MUST mote_err mote_pool_run(mote_self *self, mote_term pool, mote_task_function function, mote_term arg, int64_t timeout_ms,
                                          mote_term *result);

/* Takes a worker for the caller alone, until mote_pool_checkin(); one whose holder ends is replaced. Gives `worker`. MOTE_TIMEOUT: none
 * was free in time; MOTE_EFULL: the queue is full; MOTE_EARG: the workers run functions. May switch. Otherwise as mote_call_term(). */
MOTE_API MOTE_MUST mote_err mote_pool_checkout(mote_self *self, mote_term pool, int64_t timeout_ms, mote_pid *worker);

/* Gives a worker back. One that the caller does not hold is no error. As mote_cast_term(). */
MOTE_API mote_err mote_pool_checkin(mote_self *self, mote_term pool, mote_pid worker);

typedef struct mote_pool_count {
    size_t workers; /* that run: fewer than in the options while some are being replaced */
    size_t idle;
    size_t waiting; /* jobs and callers in the queue */
    uint64_t restarts;
} mote_pool_count;

/* Figures of a pool. As mote_call_term(). */
MOTE_API MOTE_MUST mote_err mote_pool_count_workers(mote_self *self, mote_term pool, mote_pool_count *count);

/* Ends a pool and its workers; who waits for it gets MOTE_ENOPROC. As mote_supervisor_stop(). */
MOTE_API MOTE_MUST mote_err mote_pool_stop(mote_self *self, mote_term pool, mote_term reason, int64_t timeout_ms);

#ifndef __cplusplus
/* The functions take a pool in any form. */
#define mote_pool_submit(self, pool, function, arg, job) (mote_pool_submit)(self, MOTE_TO(pool), function, arg, job)
#define mote_pool_await(self, pool, job, timeout_ms, result) (mote_pool_await)(self, MOTE_TO(pool), job, timeout_ms, result)
#define mote_pool_run(self, pool, function, arg, timeout_ms, result) (mote_pool_run)(self, MOTE_TO(pool), function, arg, timeout_ms, result)
#define mote_pool_checkout(self, pool, timeout_ms, worker) (mote_pool_checkout)(self, MOTE_TO(pool), timeout_ms, worker)
#define mote_pool_checkin(self, pool, worker) (mote_pool_checkin)(self, MOTE_TO(pool), worker)
#define mote_pool_count_workers(self, pool, count) (mote_pool_count_workers)(self, MOTE_TO(pool), count)
#define mote_pool_stop(self, pool, reason, timeout_ms) (mote_pool_stop)(self, MOTE_TO(pool), reason, timeout_ms)
#endif

#ifdef __cplusplus
}
#endif
#endif
