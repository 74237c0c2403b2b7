/* SPDX-License-Identifier: Apache-2.0
 *
 * Tasks: a function that runs in a process of its own, while the caller does something else and then asks for its result. The function's
 * end by an error is an answer, too: its reason.
 */
#ifndef MOTE_TASK_H
#define MOTE_TASK_H

#include <mote/mote.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a task runs: gives its result, which is sent to the process that started it. `arg` is borrowed while it runs. */
typedef mote_term (*mote_task_function)(mote_self *self, mote_term arg);

/* A task, as the process that started it knows it; only that one may ask for the result, and gets it once. */
typedef struct mote_task {
    mote_pid pid;
    mote_ref ref;     /* of its messages */
    mote_ref monitor;
    bool linked;
} mote_task;

/* Starts a task that is linked with the caller: when it fails, so does the caller, unless that traps exits; and the other way round. Copies
 * `arg`. Gives `task`. Never waits. As mote_spawn(). */
MOTE_API MOTE_MUST mote_err mote_task_async(mote_self *self, mote_task_function function, mote_term arg, mote_task *task);

/* The same without a link. */
MOTE_API MOTE_MUST mote_err mote_task_async_nolink(mote_self *self, mote_task_function function, mote_term arg, mote_task *task);

/* Waits for the result, borrowed until the next receive. MOTE_ENOPROC: the task ended without one, `result` is the reason (and its exit message, if the
 * caller traps exits, has been taken). MOTE_TIMEOUT: it is ended, and nothing of it arrives any more. In each case the
 * task is done with. May switch. MOTE_ESELF, MOTE_ECONTEXT, MOTE_EARG, MOTE_ENOMEM, MOTE_ESTOPPED. */
MOTE_API MOTE_MUST mote_err mote_task_await(mote_self *self, const mote_task *task, int64_t timeout_ms, mote_term *result);

/* The same, but with MOTE_TIMEOUT the task goes on, and can be asked again. */
MOTE_API MOTE_MUST mote_err mote_task_yield(mote_self *self, const mote_task *task, int64_t timeout_ms, mote_term *result);

/* Waits for `count` tasks, at most `timeout_ms` for all of them: results[i] is a copy in `arena` of what mote_task_await() would give,
 * and errs[i] what it would return. MOTE_TIMEOUT: some had no result in time and were ended; MOTE_ENOMEM: some results could not be
 * copied. Otherwise as mote_task_await(). */
MOTE_API MOTE_MUST mote_err mote_task_await_many(mote_self *self, const mote_task *tasks, size_t count, int64_t timeout_ms, mote_arena *arena,
                                                 mote_term *results, mote_err *errs);

/* Ends a task with reason shutdown, and kills it when it has not ended after `timeout_ms`. MOTE_OK: it had a result all the same; MOTE_ENOPROC: it
 * has ended without, `result` (may be NULL) is the reason. It is done with. Otherwise as mote_task_await(). */
MOTE_API mote_err mote_task_shutdown(mote_self *self, const mote_task *task, int64_t timeout_ms, mote_term *result);

/* For handlers and others that receive messages of all kinds: whether `message` is about the task. MOTE_OK: `result` is its result;
 * MOTE_ENOPROC: it ended without, `result` is the reason; MOTE_NOMATCH: another message. Never waits; with the first two the task is done with.
 * MOTE_ESELF, MOTE_ENOMEM. */
MOTE_API MOTE_MUST mote_err mote_task_answer(mote_self *self, const mote_task *task, mote_term message, mote_term *result);

#ifdef __cplusplus
}
#endif
#endif
