/* SPDX-License-Identifier: Apache-2.0
 * Tasks: results, failures, time limits, many at once, and that nothing of them is left. */
#include <mote/task.h>

#include "live.h"

static mote_term square(mote_self *self, mote_term arg) {
    int n;
    CHECK(mote_match(arg, "?", &n));
    return mote_int_make(mote_scratch(self), n * n);
}
static mote_term fails(mote_self *self, mote_term arg) { mote_exit(self, arg); }
static mote_term waits(mote_self *self, mote_term arg) {
    CHECK_OK(mote_receive_match(self, -1, "go"));
    return arg;
}
static mote_term stubborn(mote_self *self, mote_term arg) {
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    CHECK_OK(mote_receive_match(self, -1, "go"));
    return arg;
}
static mote_term obeys_with_result(mote_self *self, mote_term arg) {
    mote_pid test;
    CHECK(mote_match(arg, "?", &test));
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    CHECK_OK(mote_send(self, test, "ready"));
    CHECK_OK(mote_receive_match(self, -1, "{'EXIT', _, shutdown}"));
    return atom("so_far");
}
static mote_term nothing(mote_self *self, mote_term arg) {
    (void)self, (void)arg;
    return MOTE_TERM_NONE;
}

static mote_term number(mote_self *self, int n) { return mote_int_make(mote_scratch(self), n); }
static void trap(mote_self *self) { CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL)); }

/* Nothing of any task is left: no message, no process, no monitor, no alias, no link. */
static size_t processes(mote_self *self) {
    mote_runtime_info info;
    CHECK_OK(mote_runtime_info_get(self, &info));
    return info.processes;
}

static void all_gone(mote_self *self) {
    mote_runtime_info info;
    mote_process_info me;
    mote_term m;
    WAIT_UNTIL(self, mote_runtime_info_get(self, &info) == MOTE_OK && info.processes == 1);
    CHECK_OK(mote_process_info_get(self, mote_self_pid(self), 0, &me));
    CHECK(me.monitors == 0 && me.aliases == 0);
    WAIT_UNTIL(self, mote_process_info_get(self, mote_self_pid(self), 0, &me) == MOTE_OK && me.links == 0);
    CHECK_INT(mote_receive(self, 0, &m), MOTE_TIMEOUT);
}

static int good_ones(mote_self *self, void *context) {
    mote_task task;
    mote_term result;
    (void)context;
    for (int i = 0; i < scaled(2000); i++) {
        if (i == scaled(1000)) trap(self);
        CHECK_OK(i % 2 ? mote_task_async(self, square, number(self, i), &task) : mote_task_async_nolink(self, square, number(self, i), &task));
        CHECK_OK(mote_task_await(self, &task, PATIENCE_MS, &result));
        CHECK(mote_match(result, "^", i * i));
    }
    all_gone(self);
    return 0;
}
ONE_AND_TWO(results, good_ones)

static int failing(mote_self *self, void *context) {
    mote_task task;
    mote_term result, reason;
    (void)context;
    for (int i = 0; i < scaled(1000); i++) {
        if (i == scaled(500)) trap(self);
        bool link = i >= scaled(500) && i % 2;
        CHECK_OK(mote_build(mote_scratch(self), &reason, "{shutdown, ?}", i));
        CHECK_OK(link ? mote_task_async(self, fails, reason, &task) : mote_task_async_nolink(self, fails, reason, &task));
        if (i % 3 == 0) wait_gone(self, task.pid);
        CHECK_INT(mote_task_await(self, &task, PATIENCE_MS, &result), MOTE_ENOPROC);
        CHECK(mote_match(result, "{shutdown, ^}", i));
    }
    CHECK_OK(mote_task_async_nolink(self, nothing, MOTE_TERM_NIL, &task));
    CHECK_INT(mote_task_await(self, &task, PATIENCE_MS, &result), MOTE_ENOPROC);
    CHECK(mote_match(result, "{error, {mote_error, _, _}, _}"));
    all_gone(self);
    return 0;
}
ONE_AND_TWO(failures, failing)

static void has_task(mote_self *self, mote_term arg) {
    mote_task task;
    mote_term result;
    mote_pid test;
    CHECK(mote_match(arg, "?", &test));
    CHECK_OK(mote_task_async(self, waits, MOTE_TERM_NIL, &task));
    CHECK_OK(mote_send(self, test, "{task, ?}", task.pid));
    CHECK_INT(mote_task_await(self, &task, -1, &result), -1); /* it ends in here, with its task */
}

/* A link carries both ways. */
static int linked(mote_self *self, void *context) {
    mote_pid owner, task;
    mote_ref ref;
    mote_term reason;
    (void)context;
    for (int i = 0; i < 2; i++) {
        CHECK_OK(mote_spawn_monitor(self, has_task, self_term(self), &owner, &ref));
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{task, ?}", &task));
        CHECK_OK(mote_exit_send(self, i ? task : owner, atom("shutdown")));
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', ^, _, _, ?}", ref, &reason));
        CHECK_TERM(reason, "shutdown");
        wait_gone(self, task);
    }
    all_gone(self);
    return 0;
}
ONE_AND_TWO(links, linked)

static int limits(mote_self *self, void *context) {
    mote_task task;
    mote_term result = MOTE_TERM_NIL;
    (void)context;
    CHECK_OK(mote_task_async(self, waits, atom("x"), &task));
    CHECK_INT(mote_task_yield(self, &task, 0, &result), MOTE_TIMEOUT);
    CHECK_INT(mote_task_yield(self, &task, 5, &result), MOTE_TIMEOUT);
    CHECK_OK(mote_send(self, task.pid, "go"));
    CHECK_OK(mote_task_yield(self, &task, PATIENCE_MS, &result));
    CHECK_TERM(result, "x");
    CHECK_OK(mote_task_async(self, stubborn, atom("x"), &task));
    CHECK_INT(mote_task_await(self, &task, 5, &result), MOTE_TIMEOUT);
    for (int i = 0; i < scaled(300); i++) { /* a result that comes at the last moment is given, or never seen */
        CHECK_OK(mote_task_async(self, square, number(self, 3), &task));
        mote_err err = mote_task_await(self, &task, i % 2, &result);
        CHECK(err == MOTE_OK || err == MOTE_TIMEOUT);
    }
    all_gone(self);
    return 0;
}
ONE_AND_TWO(time_limits, limits)

static int shut(mote_self *self, void *context) {
    mote_task task;
    mote_term result;
    (void)context;
    CHECK_OK(mote_task_async(self, waits, atom("x"), &task));
    CHECK_INT(mote_task_shutdown(self, &task, PATIENCE_MS, &result), MOTE_ENOPROC);
    CHECK_TERM(result, "shutdown");
    CHECK_OK(mote_task_async(self, obeys_with_result, self_term(self), &task));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "ready"));
    CHECK_OK(mote_task_shutdown(self, &task, PATIENCE_MS, &result));
    CHECK_TERM(result, "so_far");
    CHECK_OK(mote_task_async(self, stubborn, atom("x"), &task));
    wait_idle(self, task.pid);
    CHECK_INT(mote_task_shutdown(self, &task, 5, &result), MOTE_ENOPROC);
    CHECK_TERM(result, "killed");
    CHECK_OK(mote_task_async(self, square, number(self, 2), &task));
    wait_gone(self, task.pid);
    CHECK_OK(mote_task_shutdown(self, &task, 0, NULL));
    all_gone(self);
    return 0;
}
ONE_AND_TWO(shutdown, shut)

static mote_term now_and_then_fails(mote_self *self, mote_term arg) {
    int n;
    CHECK(mote_match(arg, "?", &n));
    if (n % 10 == 3) mote_exit(self, atom("shutdown"));
    if (n % 10 == 7) CHECK_OK(mote_receive_match(self, -1, "'a message that never comes'"));
    return mote_term_copy(mote_scratch(self), arg);
}

static int at_once(mote_self *self, void *context) {
    int n = scaled(2000);
    mote_task *tasks = calloc((size_t)n, sizeof *tasks);
    mote_term *results = calloc((size_t)n, sizeof *results), m;
    mote_err *errs = calloc((size_t)n, sizeof *errs);
    mote_arena *arena = mote_arena_new(0);
    (void)context;
    trap(self);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < n; i++) CHECK_OK(mote_send(self, mote_self_pid(self), "{junk, ?}", i));
        for (int i = 0; i < n; i++) {
            int arg = round ? i : i * 10;
            CHECK_OK(i % 2 ? mote_task_async(self, now_and_then_fails, number(self, arg), &tasks[i])
                           : mote_task_async_nolink(self, now_and_then_fails, number(self, arg), &tasks[i]));
        }
        if (round) WAIT_UNTIL(self, processes(self) == 1 + (size_t)(n / 10 + (n % 10 > 7))); /* those that have no answer */
        CHECK_INT(mote_task_await_many(self, tasks, (size_t)n, round ? 1000 : -1, arena, results, errs), round && n > 7 ? MOTE_TIMEOUT : MOTE_OK);
        for (int i = 0; i < n; i++) {
            mote_err want = !round ? MOTE_OK : i % 10 == 3 ? MOTE_ENOPROC : i % 10 == 7 ? MOTE_TIMEOUT : MOTE_OK;
            CHECK_INT(errs[i], want);
            if (want == MOTE_OK) CHECK(mote_match(results[i], "^", round ? i : i * 10));
            if (want == MOTE_ENOPROC) CHECK_TERM(results[i], "shutdown");
        }
        for (int i = 0; i < n; i++) CHECK_OK(mote_receive_match(self, 0, "{junk, ^}", i));
        CHECK_INT(mote_receive(self, 0, &m), MOTE_TIMEOUT);
    }
    CHECK_OK(mote_task_await_many(self, NULL, 0, 0, NULL, NULL, NULL));
    all_gone(self);
    mote_arena_free(arena);
    free(tasks), free(results), free(errs);
    return 0;
}
ONE_AND_TWO(many, at_once)

/* A handler starts tasks and takes the answers as messages. */
struct counts {
    mote_task tasks[3];
    int answers;
};
static void ask(mote_self *self, mote_term arg, void *state) {
    struct counts *c = state;
    mote_term result;
    (void)arg;
    CHECK_OK(mote_task_async(self, square, number(self, 5), &c->tasks[0]));
    CHECK_OK(mote_task_async_nolink(self, square, number(self, 6), &c->tasks[1]));
    CHECK_OK(mote_task_async_nolink(self, fails, atom("shutdown"), &c->tasks[2]));
    CHECK_INT(mote_task_await(self, &c->tasks[0], 0, &result), MOTE_ECONTEXT);
    CHECK_INT(mote_task_shutdown(self, &c->tasks[0], 0, &result), MOTE_ECONTEXT);
}
static void answer(mote_self *self, mote_term message, void *state) {
    struct counts *c = state;
    mote_term result;
    for (int i = 0; i < 3; i++) {
        mote_err err = mote_task_answer(self, &c->tasks[i], message, &result);
        if (err == MOTE_NOMATCH) continue;
        CHECK_INT(err, i == 2 ? MOTE_ENOPROC : MOTE_OK);
        if (i < 2) CHECK(mote_match(result, "^", i ? 36 : 25));
        c->answers++;
    }
    if (c->answers == 3) mote_exit(self, atom("shutdown"));
}
static const mote_handler asker = {.name = "asker", .state_size = sizeof(struct counts), .init = ask, .handle = answer};

static int from_handler(mote_self *self, void *context) {
    mote_pid pid;
    (void)context;
    CHECK_OK(mote_spawn_handler(self, &asker, MOTE_TERM_NIL, &pid));
    wait_gone(self, pid);
    all_gone(self);
    return 0;
}
ONE_AND_TWO(handlers, from_handler)

static int wrong(mote_self *self, void *context) {
    mote_task task = {0};
    mote_term result;
    mote_err err;
    (void)context;
    CHECK_INT(mote_task_async(NULL, square, MOTE_TERM_NIL, &task), MOTE_ESELF);
    CHECK_INT(mote_task_async(self, NULL, MOTE_TERM_NIL, &task), MOTE_EARG);
    CHECK_INT(mote_task_async(self, square, MOTE_TERM_NIL, NULL), MOTE_EARG);
    CHECK_INT(mote_task_async_nolink(self, square, MOTE_TERM_NONE, &task), MOTE_ETERM);
    CHECK_INT(mote_task_await(NULL, &task, 0, &result), MOTE_ESELF);
    CHECK_INT(mote_task_await(self, NULL, 0, &result), MOTE_EARG);
    CHECK_INT(mote_task_yield(self, &task, 0, NULL), MOTE_EARG);
    CHECK_INT(mote_task_shutdown(self, NULL, 0, NULL), MOTE_EARG);
    CHECK_INT(mote_task_answer(self, &task, MOTE_TERM_NIL, &result), MOTE_NOMATCH);
    CHECK_INT(mote_task_answer(self, NULL, MOTE_TERM_NIL, &result), MOTE_EARG);
    CHECK_INT(mote_task_await_many(self, &task, 1, 0, NULL, &result, &err), MOTE_EARG);
    all_gone(self);
    return 0;
}
static void errors(void) { RUN(1, wrong); }

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){
        TEST_ONE_AND_TWO(results), TEST_ONE_AND_TWO(failures), TEST_ONE_AND_TWO(links), TEST_ONE_AND_TWO(time_limits),
        TEST_ONE_AND_TWO(shutdown), TEST_ONE_AND_TWO(many), TEST_ONE_AND_TWO(handlers), TEST(errors), {0}});
}
