/* SPDX-License-Identifier: Apache-2.0
 * Tasks. One reference, an alias that takes one message, is the first element of all that a task's end says: {Ref, Result}, or its DOWN with
 * the reference as tag, {Ref, Monitor, process, Pid, Reason}.
 *
 * K1 a task that has a result takes its link back before it ends: who traps exits does not hear of the end of a task that went well.
 * K2 after a task is done with, alias and monitor are gone and none of its messages is in the mailbox. */
#include <mote/task.h>
#include <string.h>

#include "lib/index.h"
#include "lib/store.h"

static void run(mote_self *self, mote_term arg) {
    uint64_t address;
    mote_term inner;
    mote_ref ref;
    mote_pid owner;
    mote_task_function function;
    mote_assert(self, mote_match(arg, "{?, ?, ?, ?}", &address, &owner, &ref, &inner));
    memcpy(&function, &address, sizeof function);
    mote_must(self, mote_send(self, ref, "{?, ?}", ref, function(self, inner)));
    mote_must(self, mote_unlink(self, owner)); /* K1 */
}

static mote_err start(mote_self *self, mote_task_function function, mote_term arg, bool link, mote_task *task) {
    mote_task t = {.linked = link};
    mote_term all;
    uint64_t address = 0;
    if (!self) return MOTE_ESELF;
    if (!function || !task) return MOTE_EARG;
    memcpy(&address, &function, sizeof function);
    mote_err err = mote_alias(self, MOTE_ALIAS_REPLY, &t.ref);
    if (err) return err;
    const mote_spawn_options options = {
        .body = run, .name = "task", .link = link, .monitor = &t.monitor, .monitoring.tag = mote_ref_term(t.ref)};
    err = mote_build(mote_scratch(self), &all, "{?, ?, ?, ?}", address, mote_self_pid(self), t.ref, arg);
    if (!err) err = mote_spawn_opt(self, &options, all, &t.pid);
    if (err) {
        (void)mote_unalias(self, t.ref);
        return err;
    }
    *task = t;
    return MOTE_OK;
}

mote_err mote_task_async(mote_self *self, mote_task_function function, mote_term arg, mote_task *task) {
    return start(self, function, arg, true, task);
}

mote_err mote_task_async_nolink(mote_self *self, mote_task_function function, mote_term arg, mote_task *task) {
    return start(self, function, arg, false, task);
}

/* -------------------------------------------------------------------------------------------------- answers */

/* Takes a message of the task apart. */
static mote_err take_apart(const mote_task *task, mote_term message, mote_term *result) {
    if (mote_match(message, "{^, ?}", task->ref, result)) return MOTE_OK;
    if (mote_match(message, "{^, ^, process, _, ?}", task->ref, task->monitor, result)) return MOTE_ENOPROC;
    return MOTE_NOMATCH;
}

/* The task has said one of its two words: no other comes (K2). */
static mote_err settle(mote_self *self, const mote_task *task, mote_err err) {
    mote_err gone = mote_demonitor(self, task->monitor, true, NULL);
    if (err == MOTE_ENOPROC) (void)mote_unalias(self, task->ref);
    return gone ? gone : err;
}

mote_err mote_task_answer(mote_self *self, const mote_task *task, mote_term message, mote_term *result) {
    if (!self) return MOTE_ESELF;
    if (!task || !result) return MOTE_EARG;
    mote_err err = take_apart(task, message, result);
    if (err == MOTE_ENOPROC && task->linked) (void)mote_unlink(self, task->pid);
    return err == MOTE_NOMATCH ? err : settle(self, task, err);
}

static bool is_exit(mote_term message, void *context) {
    const mote_pid *pid = context;
    return mote_match(message, "{'EXIT', ^, _}", *pid);
}

static bool traps(mote_self *self) {
    int64_t trap = 0;
    if (mote_flag_set(self, MOTE_TRAP_EXIT, 1, &trap)) return false;
    if (!trap) (void)mote_flag_set(self, MOTE_TRAP_EXIT, 0, NULL);
    return trap;
}

/* Takes the exit message of a task that failed. To look for it drops the message in hand, its DOWN, which so goes to the mailbox once more. */
static mote_err take_exit(mote_self *self, const mote_task *task, mote_term *down) {
    mote_term message;
    mote_pid pid = task->pid;
    mote_err err = mote_unlink(self, pid);
    if (err || !traps(self)) return err;
    if ((err = mote_send_term(self, mote_self_pid(self), *down))) return err;
    err = mote_receive_if(self, 0, is_exit, &pid, &message);
    return err && err != MOTE_TIMEOUT ? err : mote_receive_ref(self, 0, task->ref, down);
}

static mote_err finish(mote_self *self, const mote_task *task, mote_term message, mote_term *result) {
    mote_err failed, err = settle(self, task, take_apart(task, message, result));
    if (err != MOTE_ENOPROC || !task->linked) return err;
    if ((failed = take_exit(self, task, &message))) return failed;
    return take_apart(task, message, result);
}

/* Ends a task of which nothing is wanted any more. */
static mote_err discard(mote_self *self, const mote_task *task) {
    mote_term message;
    if (task->linked) (void)mote_unlink(self, task->pid);
    (void)mote_exit_send(self, task->pid, mote_to_name("kill"));
    (void)mote_demonitor(self, task->monitor, true, NULL);
    (void)mote_unalias(self, task->ref);
    mote_err err = mote_receive_ref(self, 0, task->ref, &message);
    return err == MOTE_TIMEOUT ? MOTE_OK : err;
}

mote_err mote_task_yield(mote_self *self, const mote_task *task, int64_t timeout_ms, mote_term *result) {
    mote_term message;
    if (!self) return MOTE_ESELF;
    if (!task || !result) return MOTE_EARG;
    mote_err err = mote_receive_ref(self, timeout_ms, task->ref, &message);
    return err ? err : finish(self, task, message, result);
}

mote_err mote_task_await(mote_self *self, const mote_task *task, int64_t timeout_ms, mote_term *result) {
    mote_err err = mote_task_yield(self, task, timeout_ms, result);
    if (err != MOTE_TIMEOUT) return err;
    err = discard(self, task);
    return err ? err : MOTE_TIMEOUT;
}

mote_err mote_task_shutdown(mote_self *self, const mote_task *task, int64_t timeout_ms, mote_term *result) {
    mote_term ignored;
    if (!self) return MOTE_ESELF;
    if (!task) return MOTE_EARG;
    mote_err err = mt_may_wait(self);
    if (err) return err;
    if (task->linked) (void)mote_unlink(self, task->pid); /* it is not to end the caller */
    if ((err = mote_exit_send(self, task->pid, mote_to_name("shutdown")))) return err;
    err = mote_task_yield(self, task, timeout_ms, result ? result : &ignored);
    if (err != MOTE_TIMEOUT) return err;
    if ((err = mote_exit_send(self, task->pid, mote_to_name("kill")))) return err;
    return mote_task_yield(self, task, -1, result ? result : &ignored);
}

/* ------------------------------------------------------------------------------------------------- many at once */

struct waited {
    struct mt_index_node node; /* under its reference */
    const mote_task *task;
    size_t at;
};

struct many {
    struct mt_index index;
    struct waited *all;
    size_t left;
};

static struct waited *find(const struct many *m, mote_ref ref) {
    struct mt_index_node *node = mt_index_first(&m->index, mt_index_hash(ref.word));
    while (node && ((struct waited *)(void *)node)->task->ref.word != ref.word) node = mt_index_next(node);
    return (struct waited *)(void *)node;
}

static bool is_of_many(mote_term message, void *context) {
    mote_ref ref;
    return (mote_match(message, "{?, _}", &ref) || mote_match(message, "{?, _, process, _, _}", &ref)) && find(context, ref);
}

static mote_err begin(mote_self *self, struct many *m, const mote_task *tasks, size_t count, mote_err *errs) {
    mt_index_init(&m->index, self);
    m->left = count;
    if (!(m->all = mote_alloc(self, (count ? count : 1) * sizeof *m->all))) return MOTE_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        m->all[i].task = &tasks[i];
        m->all[i].at = i;
        errs[i] = MOTE_TIMEOUT;
        mt_index_put(&m->index, &m->all[i].node, mt_index_hash(tasks[i].ref.word));
    }
    return MOTE_OK;
}

/* Takes the answer of one. */
static mote_err take_one(mote_self *self, struct many *m, mote_term message, mote_arena *arena, mote_term *results, mote_err *errs) {
    mote_ref ref;
    mote_term result, head;
    mote_err err = mote_tuple_get(message, 0, &head);
    if (err || (err = mote_ref_get(head, &ref))) return err;
    struct waited *w = find(m, ref);
    err = finish(self, w->task, message, &result);
    if (err && err != MOTE_ENOPROC) return err;
    results[w->at] = mote_term_copy(arena, result);
    errs[w->at] = results[w->at].word ? err : MOTE_ENOMEM;
    mt_index_remove(&m->index, &w->node);
    m->left--;
    return results[w->at].word ? MOTE_OK : MOTE_ENOMEM;
}

static mote_err take_all(mote_self *self, struct many *m, int64_t timeout_ms, mote_arena *arena, mote_term *results, mote_err *errs) {
    uint64_t start = mt_now_ms(self);
    mote_err all = MOTE_OK;
    mote_term message;
    while (m->left) {
        mote_err err = mote_receive_if(self, mt_left_ms(self, start, timeout_ms), is_of_many, m, &message);
        if (err) return err;
        if ((err = take_one(self, m, message, arena, results, errs))) all = err;
        if (err && err != MOTE_ENOMEM) return err;
    }
    return all;
}

mote_err mote_task_await_many(mote_self *self, const mote_task *tasks, size_t count, int64_t timeout_ms, mote_arena *arena, mote_term *results,
                              mote_err *errs) {
    struct many m;
    if (!self) return MOTE_ESELF;
    if (count && (!tasks || !arena || !results || !errs)) return MOTE_EARG;
    mote_err err = mt_may_wait(self);
    if (err || (err = begin(self, &m, tasks, count, errs))) return err;
    err = take_all(self, &m, timeout_ms, arena, results, errs);
    for (size_t i = 0; i < count && m.left; i++) {
        if (errs[i] != MOTE_TIMEOUT) continue;
        mote_err failed = discard(self, &tasks[i]);
        results[i] = MOTE_TERM_NONE;
        if (failed) err = failed;
    }
    mt_index_fini(&m.index);
    mote_dealloc(self, m.all);
    return err;
}
