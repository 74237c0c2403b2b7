/* SPDX-License-Identifier: Apache-2.0
 * Pools: functions for workers to run, workers to hold, queues that are full, time limits, and workers that end. */
#include <mote/pool.h>
#include <mote/server.h>

#include "live.h"

static atomic_int running, running_max, ran;

static mote_term square(mote_self *self, mote_term arg) {
    int n, now = atomic_fetch_add(&running, 1) + 1, max = atomic_load(&running_max);
    while (now > max && !atomic_compare_exchange_weak(&running_max, &max, now))
        ;
    CHECK(mote_match(arg, "?", &n));
    CHECK_OK(mote_yield(self));
    atomic_fetch_sub(&running, 1);
    atomic_fetch_add(&ran, 1);
    return mote_int_make(mote_scratch(self), n * n);
}
static mote_term dies(mote_self *self, mote_term arg) { mote_exit(self, arg); }
static mote_term nothing(mote_self *self, mote_term arg) {
    (void)self, (void)arg;
    return MOTE_TERM_NONE;
}
/* Tells its pid and waits for a message of the test. */
static mote_term holds(mote_self *self, mote_term arg) {
    CHECK_OK(mote_send(self, arg, "{holding, ?}", mote_self_pid(self)));
    CHECK_OK(mote_receive_match(self, -1, "go"));
    return atom("held");
}

static mote_term number(mote_self *self, int n) { return mote_int_make(mote_scratch(self), n); }
static mote_pid start(mote_self *self, mote_pool_options options) {
    mote_pid pool;
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    CHECK_OK(mote_pool_start_link(self, &options, &pool, NULL));
    return pool;
}
static void stop(mote_self *self, mote_pid pool) {
    mote_runtime_info info;
    mote_process_info me;
    mote_term m;
    CHECK_OK(mote_pool_stop(self, pool, atom("shutdown"), PATIENCE_MS));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'EXIT', ^, shutdown}", pool));
    WAIT_UNTIL(self, mote_runtime_info_get(self, &info) == MOTE_OK && info.processes == 1);
    CHECK_OK(mote_process_info_get(self, mote_self_pid(self), 0, &me));
    CHECK(me.monitors == 0 && me.aliases == 0);
    CHECK_INT(mote_receive(self, 0, &m), MOTE_TIMEOUT);
}
static mote_pool_count count_of(mote_self *self, mote_pid pool) {
    mote_pool_count count;
    CHECK_OK(mote_pool_count_workers(self, pool, &count));
    return count;
}

/* ---------------------------------------------------------------------------------------------------- functions */

static int functions(mote_self *self, void *context) {
    mote_pid pool = start(self, (mote_pool_options){.name = "pool", .workers = 3});
    mote_term result;
    mote_ref jobs[1000];
    int n = scaled(1000);
    (void)context;
    for (int round = 0; round < scaled(10); round++) {
        for (int i = 0; i < n; i++) CHECK_OK(mote_pool_submit(self, "pool", square, number(self, i), &jobs[i]));
        for (int k = 0; k < n; k++) {
            int i = round % 2 ? n - 1 - k : k;
            CHECK_OK(mote_pool_await(self, pool, jobs[i], PATIENCE_MS, &result));
            CHECK(mote_match(result, "^", i * i));
        }
    }
    CHECK_OK(mote_pool_run(self, pool, square, number(self, 12), PATIENCE_MS, &result));
    CHECK_TERM(result, "144");
    CHECK(atomic_load(&running_max) <= 3 && (n < 100 || atomic_load(&running_max) > 1));
    WAIT_UNTIL(self, count_of(self, pool).idle == 3);
    CHECK(count_of(self, pool).restarts == 0);
    stop(self, pool);
    return 0;
}
ONE_AND_TWO(jobs, functions)

static int failing(mote_self *self, void *context) {
    mote_pid pool = start(self, (mote_pool_options){.workers = 2, .intensity = 1000000});
    mote_term result, reason;
    mote_ref jobs[200];
    (void)context;
    for (int i = 0; i < 200; i++) {
        CHECK_OK(mote_build(mote_scratch(self), &reason, "{shutdown, ?}", i));
        CHECK_OK(mote_pool_submit(self, pool, i % 3 ? square : dies, i % 3 ? number(self, i) : reason, &jobs[i]));
    }
    for (int i = 0; i < 200; i++) {
        CHECK_INT(mote_pool_await(self, pool, jobs[i], PATIENCE_MS, &result), i % 3 ? MOTE_OK : MOTE_ENOPROC);
        CHECK(i % 3 ? mote_match(result, "^", i * i) : mote_match(result, "{shutdown, ^}", i));
    }
    CHECK_INT(mote_pool_run(self, pool, nothing, MOTE_TERM_NIL, PATIENCE_MS, &result), MOTE_ENOPROC);
    WAIT_UNTIL(self, count_of(self, pool).idle == 2);
    CHECK_INT(count_of(self, pool).restarts, 68);
    stop(self, pool);
    return 0;
}
ONE_AND_TWO(failures, failing)

/* The queue has its limit; what is given up does not run. */
static int crowded(mote_self *self, void *context) {
    mote_pid pool = start(self, (mote_pool_options){.workers = 1, .queue_max = 2}), worker;
    mote_term result;
    mote_ref jobs[4];
    (void)context;
    atomic_store(&ran, 0);
    CHECK_OK(mote_pool_submit(self, pool, holds, self_term(self), &jobs[0]));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{holding, ?}", &worker));
    for (int i = 1; i < 4; i++) CHECK_OK(mote_pool_submit(self, pool, square, number(self, i), &jobs[i]));
    CHECK_INT(mote_pool_await(self, pool, jobs[3], PATIENCE_MS, &result), MOTE_EFULL);
    CHECK_INT(mote_pool_await(self, pool, jobs[1], 5, &result), MOTE_TIMEOUT);
    WAIT_UNTIL(self, count_of(self, pool).waiting == 1);
    CHECK_OK(mote_pool_submit(self, pool, square, number(self, 4), &jobs[3]));
    CHECK_OK(mote_send(self, worker, "go"));
    CHECK_OK(mote_pool_await(self, pool, jobs[0], PATIENCE_MS, &result));
    CHECK_TERM(result, "held");
    CHECK_OK(mote_pool_await(self, pool, jobs[2], PATIENCE_MS, &result));
    CHECK_OK(mote_pool_await(self, pool, jobs[3], PATIENCE_MS, &result));
    CHECK_TERM(result, "16");
    CHECK_INT(atomic_load(&ran), 2);
    stop(self, pool);
    return 0;
}
ONE_AND_TWO(queue, crowded)

/* The pool ends: all who wait are told, and the worker that does not stop is ended. */
static int pool_ends(mote_self *self, void *context) {
    mote_pid pool = start(self, (mote_pool_options){.workers = 1, .intensity = 1, .period_s = 3600}), worker;
    mote_term result;
    mote_ref jobs[3];
    (void)context;
    CHECK_OK(mote_pool_submit(self, pool, holds, self_term(self), &jobs[0]));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{holding, ?}", &worker));
    CHECK_OK(mote_pool_submit(self, pool, dies, atom("shutdown"), &jobs[1]));
    CHECK_OK(mote_pool_submit(self, pool, square, number(self, 1), &jobs[2]));
    CHECK_OK(mote_exit_send(self, worker, atom("shutdown")));
    CHECK_INT(mote_pool_await(self, pool, jobs[0], PATIENCE_MS, &result), MOTE_ENOPROC);
    CHECK_INT(mote_pool_await(self, pool, jobs[1], PATIENCE_MS, &result), MOTE_ENOPROC); /* the second end is too many */
    CHECK_INT(mote_pool_await(self, pool, jobs[2], PATIENCE_MS, &result), MOTE_ENOPROC);
    CHECK_TERM(result, "shutdown");
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'EXIT', ^, shutdown}", pool));
    CHECK_INT(mote_pool_run(self, pool, square, number(self, 1), -1, &result), MOTE_ENOPROC);
    return 0;
}
ONE_AND_TWO(gives_up, pool_ends)

/* A handler submits, and takes the answer as a message. */
struct asking {
    mote_ref job;
    mote_pid test;
};
static void ask(mote_self *self, mote_term message, void *state) {
    struct asking *a = state;
    mote_pid pool;
    mote_term result;
    if (mote_match(message, "{ask, ?, ?}", &pool, &a->test)) {
        CHECK_OK(mote_pool_submit(self, pool, square, number(self, 7), &a->job));
        CHECK_INT(mote_pool_run(self, pool, square, number(self, 7), -1, &result), MOTE_ECONTEXT);
    } else if (mote_pool_answer(message, a->job, &result) == MOTE_OK) {
        CHECK_OK(mote_send(self, a->test, "{answer, ?}", result));
        mote_exit(self, atom("normal"));
    }
}
static const mote_handler asker = {.name = "asker", .state_size = sizeof(struct asking), .handle = ask};

static int from_handler(mote_self *self, void *context) {
    mote_pid pool = start(self, (mote_pool_options){0}), pid;
    (void)context;
    CHECK_OK(mote_spawn_handler(self, &asker, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_send(self, pid, "{ask, ?, ?}", pool, mote_self_pid(self)));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{answer, 49}"));
    stop(self, pool);
    return 0;
}
ONE_AND_TWO(handlers, from_handler)

/* ---------------------------------------------------------------------------------------------------- to hold */

static void echo(mote_self *self, mote_term arg) {
    mote_term from, request;
    (void)arg;
    while (mote_receive_match(self, -1, "{'$gen_call', ?, ?}", &from, &request) == MOTE_OK) CHECK_OK(mote_reply_term(self, from, request));
}

static int held(mote_self *self, void *context) {
    mote_pid pool = start(self, (mote_pool_options){.workers = 2, .worker = {.body = echo}}), a, b, c;
    mote_term result;
    mote_ref job;
    (void)context;
    CHECK_OK(mote_pool_checkout(self, pool, PATIENCE_MS, &a));
    CHECK_OK(mote_pool_checkout(self, pool, PATIENCE_MS, &b));
    CHECK(a.word != b.word);
    CHECK_OK(mote_call(self, a, PATIENCE_MS, &result, "hello"));
    CHECK_TERM(result, "hello");
    for (int i = 0; i < 3; i++) CHECK_INT(mote_pool_checkout(self, pool, i, &c), MOTE_TIMEOUT);
    WAIT_UNTIL(self, count_of(self, pool).waiting == 0);
    CHECK_OK(mote_pool_checkin(self, pool, a));
    CHECK_OK(mote_pool_checkin(self, pool, a)); /* no error */
    CHECK_OK(mote_pool_checkout(self, pool, PATIENCE_MS, &c));
    CHECK(c.word == a.word);
    CHECK_OK(mote_exit_send(self, a, atom("shutdown"))); /* another one takes its place */
    CHECK_OK(mote_pool_checkout(self, pool, PATIENCE_MS, &c));
    CHECK(c.word != a.word && c.word != b.word);
    CHECK_OK(mote_pool_checkin(self, pool, b));
    CHECK_OK(mote_pool_checkin(self, pool, c));
    CHECK_INT(count_of(self, pool).idle, 2);
    static const char abroad[] = "{'$gen_call', {<a@b.1.2.3>, [alias|#Ref<a@b.1.2.3.4>]}, checkout}"; /* who asks has to be kept while it waits */
    CHECK_OK(mote_term_parse(mote_scratch(self), abroad, sizeof abroad - 1, &result, NULL));
    for (size_t i = 0; i < 20; i++) CHECK_OK((mote_send_term)(self, mote_pid_term(pool), result));
    CHECK(count_of(self, pool).idle == 2 && count_of(self, pool).waiting == 0);
    CHECK_OK(mote_pool_submit(self, pool, square, number(self, 1), &job));
    CHECK_INT(mote_pool_await(self, pool, job, PATIENCE_MS, &result), MOTE_EARG);
    stop(self, pool);
    pool = start(self, (mote_pool_options){0});
    CHECK_INT(mote_pool_checkout(self, pool, PATIENCE_MS, &a), MOTE_EARG);
    stop(self, pool);
    return 0;
}
ONE_AND_TWO(checkout, held)

static void holder(mote_self *self, mote_term arg) {
    mote_pid test, pool, worker;
    CHECK(mote_match(arg, "{?, ?}", &test, &pool));
    CHECK_OK(mote_pool_checkout(self, pool, -1, &worker));
    CHECK_OK(mote_send(self, test, "{got, ?}", worker));
    CHECK_OK(mote_receive_match(self, -1, "stop"));
}

/* Who ends with a worker in hand: nobody knows its state, so it is replaced. */
static int holder_ends(mote_self *self, void *context) {
    mote_pid pool = start(self, (mote_pool_options){.workers = 1, .worker = {.body = echo}}), pid, first, again;
    mote_term arg;
    (void)context;
    for (int i = 0; i < scaled(100); i++) {
        CHECK_OK(mote_build(mote_scratch(self), &arg, "{?, ?}", mote_self_pid(self), pool));
        CHECK_OK(mote_spawn(self, holder, arg, &pid));
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{got, ?}", &first));
        CHECK_OK(mote_send(self, pid, "stop"));
        CHECK_OK(mote_pool_checkout(self, pool, PATIENCE_MS, &again));
        CHECK(first.word != again.word);
        CHECK_OK(mote_pool_checkin(self, pool, again));
    }
    CHECK_INT(count_of(self, pool).restarts, 0);
    stop(self, pool);
    return 0;
}
ONE_AND_TWO(holders_end, holder_ends)

/* A worker that was given to one who had just stopped waiting comes back. */
static int too_late(mote_self *self, void *context) {
    mote_pid pool = start(self, (mote_pool_options){.workers = 1, .worker = {.body = echo}});
    mote_term m;
    mote_ref ref;
    (void)context;
    CHECK_OK(mote_call_start(self, pool, &ref, "checkout"));
    CHECK_INT(count_of(self, pool).idle, 0);
    CHECK_OK(mote_cast(self, pool, "{cancel, ?}", ref));
    CHECK_INT(count_of(self, pool).idle, 1);
    CHECK_OK(mote_receive_ref(self, 0, ref, &m)); /* the answer that nobody waited for */
    stop(self, pool);
    return 0;
}
ONE_AND_TWO(late, too_late)

static void borrower(mote_self *self, mote_term arg) {
    mote_pid test, pool, worker;
    CHECK(mote_match(arg, "{?, ?}", &test, &pool));
    for (int i = 0; i < scaled(300); i++) {
        mote_err err = mote_pool_checkout(self, pool, i % 3, &worker);
        CHECK(err == MOTE_OK || err == MOTE_TIMEOUT);
        if (err) continue;
        CHECK_INT(atomic_fetch_add(&running, 1), 0); /* it is the only one */
        CHECK_OK(mote_yield(self));
        atomic_fetch_sub(&running, 1);
        CHECK_OK(mote_pool_checkin(self, pool, worker));
    }
    CHECK_OK(mote_send(self, test, "done"));
}

/* One worker, wanted by many who do not wait long: never two hold it, and it is not lost. */
static int contended(mote_self *self, void *context) {
    mote_pid pool = start(self, (mote_pool_options){.workers = 1, .worker = {.body = echo}});
    mote_term arg;
    (void)context;
    for (int i = 0; i < 8; i++) {
        CHECK_OK(mote_build(mote_scratch(self), &arg, "{?, ?}", mote_self_pid(self), pool));
        CHECK_OK(mote_spawn(self, borrower, arg, NULL));
    }
    for (int i = 0; i < 8; i++) CHECK_OK(mote_receive_match(self, PATIENCE_MS, "done"));
    WAIT_UNTIL(self, count_of(self, pool).idle == 1);
    stop(self, pool);
    return 0;
}
ONE_AND_TWO(contention, contended)

/* ------------------------------------------------------------------------------------------------- starts, errors */

static atomic_int starts_left; /* until one fails */
static mote_err start_echo(mote_self *self, mote_term arg, mote_pid *child) {
    if (atomic_fetch_sub(&starts_left, 1) == 1) return mote_child_refuse(self, MOTE_EOS, atom("no_luck"));
    return mote_spawn_link(self, echo, arg, child);
}

static int starts(mote_self *self, void *context) {
    mote_pool_options options = {.name = "named", .workers = 3, .worker = {.start = start_echo}};
    mote_pid pool, worker;
    mote_term reason;
    mote_runtime_info info;
    (void)context;
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    atomic_store(&starts_left, 3);
    CHECK_INT(mote_pool_start_link(self, &options, &pool, &reason), MOTE_EOS);
    CHECK_TERM(reason, "{shutdown,no_luck}");
    WAIT_UNTIL(self, mote_runtime_info_get(self, &info) == MOTE_OK && info.processes == 1);
    pool = start(self, options);
    CHECK_INT(mote_pool_start_link(self, &options, &worker, &reason), MOTE_EBUSY);
    atomic_store(&starts_left, 1); /* the next replacement fails once */
    CHECK_OK(mote_pool_checkout(self, pool, PATIENCE_MS, &worker));
    CHECK_OK(mote_exit_send(self, worker, atom("shutdown")));
    WAIT_UNTIL(self, count_of(self, pool).restarts == 2 && count_of(self, pool).idle == 3);
    stop(self, pool);
    return 0;
}
ONE_AND_TWO(start_fails, starts)

static int in_tree(mote_self *self, void *context) {
    mote_arena *arena = mote_arena_new(0);
    mote_pool_options pool = {.name = "pool"};
    mote_child_spec spec = {.id = "pool", .start = mote_pool_start, .arg = mote_pool_arg(arena, &pool), .type = MOTE_SUPERVISOR};
    mote_supervisor_options options = {.children = &spec, .count = 1};
    mote_pid s, pid, now;
    mote_term result;
    (void)context;
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    CHECK_OK(mote_supervisor_start_link(self, &options, &s, NULL));
    CHECK_OK(mote_whereis(self, "pool", &pid));
    CHECK_OK(mote_exit_send(self, pid, atom("kill")));
    WAIT_UNTIL(self, mote_whereis(self, "pool", &now) == MOTE_OK && now.word != pid.word);
    CHECK_OK(mote_pool_run(self, "pool", square, number(self, 3), PATIENCE_MS, &result));
    CHECK_OK(mote_supervisor_stop(self, s, atom("shutdown"), PATIENCE_MS));
    mote_arena_free(arena);
    return 0;
}
ONE_AND_TWO(supervised, in_tree)

/* Addresses of functions are taken from nobody but mote_pool_submit(). */
static int wrong(mote_self *self, void *context) {
    mote_pid pool = start(self, (mote_pool_options){0}), other;
    mote_term result;
    mote_ref job;
    char zeros[200] = {0};
    (void)context;
    for (size_t size = 0; size < sizeof zeros; size++) {
        mote_bytes bytes = {zeros, size};
        CHECK_OK(mote_call_start(self, pool, &job, "{submit, ?, []}", bytes));
        CHECK_INT(mote_pool_await(self, pool, job, PATIENCE_MS, &result), MOTE_EARG);
    }
    CHECK_INT(count_of(self, pool).restarts, 0);
    CHECK_OK(mote_call_start(self, pool, &job, "nonsense"));
    CHECK_INT(mote_pool_await(self, pool, job, PATIENCE_MS, &result), MOTE_EARG);
    CHECK_INT(mote_pool_start_link(self, NULL, &other, NULL), MOTE_EARG);
    CHECK_INT(mote_pool_start_link(self, &(mote_pool_options){0}, NULL, NULL), MOTE_EARG);
    CHECK_INT(mote_pool_start_link(NULL, &(mote_pool_options){0}, &other, NULL), MOTE_ESELF);
    CHECK_INT(mote_pool_start_link(self, &(mote_pool_options){.worker = {.body = echo, .handler = &asker}}, &other, NULL), MOTE_EARG);
    CHECK_INT(mote_pool_start(self, MOTE_TERM_NIL, &other), MOTE_EARG);
    CHECK_INT(mote_pool_submit(self, pool, NULL, MOTE_TERM_NIL, &job), MOTE_EARG);
    CHECK_INT(mote_pool_checkout(self, pool, 0, NULL), MOTE_EARG);
    CHECK_INT(mote_pool_count_workers(self, pool, NULL), MOTE_EARG);
    CHECK_INT(mote_pool_answer(MOTE_TERM_NIL, job, &result), MOTE_NOMATCH);
    stop(self, pool);
    return 0;
}
static void errors(void) { RUN(1, wrong); }

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){
        TEST_ONE_AND_TWO(jobs), TEST_ONE_AND_TWO(failures), TEST_ONE_AND_TWO(queue), TEST_ONE_AND_TWO(gives_up),
        TEST_ONE_AND_TWO(handlers), TEST_ONE_AND_TWO(checkout), TEST_ONE_AND_TWO(holders_end), TEST_ONE_AND_TWO(contention), TEST_ONE_AND_TWO(late),
        TEST_ONE_AND_TWO(start_fails), TEST_ONE_AND_TWO(supervised), TEST(errors), {0}});
}
