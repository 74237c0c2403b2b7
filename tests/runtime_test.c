/* SPDX-License-Identifier: Apache-2.0
 * Runtimes: several at once, started and stopped without a trace, drained, with attached threads, reports, stack overflows. */
#define _GNU_SOURCE
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

#include "live.h"

static mote_runtime *started(mote_options options) {
    mote_runtime *rt;
    options.chaos_seed = chaos_seed();
    CHECK_OK(mote_runtime_start(&options, &rt));
    return rt;
}
static mote_self *attached(mote_runtime *rt) {
    mote_self *self;
    CHECK_OK(mote_attach(rt, &self));
    return self;
}

static void waits(mote_self *self, mote_term arg) {
    (void)arg;
    CHECK_OK(mote_receive_match(self, -1, "stop"));
}
static void ignore(mote_self *self, mote_term message, void *state) { (void)self, (void)message, (void)state; }
static const mote_handler idle = {.name = "idle", .handle = ignore};

/* ----------------------------------------------------------------------------------------------------- several */

static void adds(mote_self *self, mote_term arg) {
    mote_pid from;
    (void)arg;
    for (int n;;) {
        CHECK_OK(mote_receive_match(self, -1, "{?, ?}", &from, &n));
        CHECK_OK(mote_send(self, from, "{sum, ?}", n + 1));
    }
}

/* One thread attached to several runtimes at once, and processes with the same pids in each. */
static void several(void) {
    enum { N = 5 };
    mote_runtime *rts[N];
    mote_self *selves[N];
    mote_pid pids[N];
    for (unsigned i = 0; i < N; i++) {
        rts[i] = started((mote_options){.schedulers = 1 + i % 2});
        selves[i] = attached(rts[i]);
        CHECK(mote_runtime_of(selves[i]) == rts[i]);
        CHECK_OK(mote_spawn(selves[i], adds, MOTE_TERM_NIL, &pids[i]));
    }
    for (int k = 0; k < scaled(2000); k++) {
        int i = k % N, sum;
        CHECK_OK(mote_send(selves[i], pids[i], "{?, ?}", mote_self_pid(selves[i]), k));
        CHECK_OK(mote_receive_match(selves[i], PATIENCE_MS, "{sum, ?}", &sum));
        CHECK_INT(sum, k + 1);
    }
    for (int i = N; i-- > 0;) {
        CHECK_OK(mote_detach(selves[i]));
        CHECK_INT(mote_runtime_stop(rts[i], 0), MOTE_TIMEOUT);
    }
}

/* A runtime within a process of another. */
static int inner(mote_self *self, void *context) {
    CHECK_OK(mote_send(self, mote_self_pid(self), "{inner, ?}", 1));
    CHECK_OK(mote_receive_match(self, 0, "{inner, 1}"));
    CHECK(mote_runtime_of(self) != context);
    return 7;
}
static int outer(mote_self *self, void *context) {
    (void)context;
    CHECK_INT(mote_run(&(mote_options){.schedulers = 2}, inner, mote_runtime_of(self)), 7);
    mote_runtime *rt = started((mote_options){.schedulers = 1});
    mote_self *there = attached(rt);
    CHECK_OK(mote_spawn_handler(there, &idle, MOTE_TERM_NIL, NULL));
    CHECK_OK(mote_detach(there));
    CHECK_INT(mote_runtime_stop(rt, 0), MOTE_TIMEOUT);
    return 0;
}
static void nested(void) { RUN(2, outer); }

/* ------------------------------------------------------------------------------------------------- no trace */

static int entries(const char *path) {
    DIR *dir = opendir(path);
    int n = 0;
    CHECK(dir);
    while (readdir(dir)) n++;
    closedir(dir);
    return n;
}
static long resident_kb(void) {
    long pages = 0, rss = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f && fscanf(f, "%ld %ld", &pages, &rss) == 2);
    fclose(f);
    return rss * (sysconf(_SC_PAGESIZE) / 1024);
}

static void nothing(void *context) { (void)context; }
static int fds[2];
static void waits_for_fd(mote_self *self, mote_term arg) {
    (void)arg;
    CHECK(mote_fd_wait(self, fds[0], MOTE_READ, -1, NULL) == MOTE_EBUSY);
}
static void sleeps(mote_self *self, mote_term arg) {
    (void)arg;
    CHECK_OK(mote_sleep(self, 1000000));
}
static void calls(mote_self *self, mote_term arg) {
    (void)arg;
    for (;;) CHECK_OK(mote_blocking(self, nothing, NULL));
}
static void computes(mote_self *self, mote_term arg) {
    (void)arg;
    for (;;) CHECK_OK(mote_reductions(self, 100));
}
static void floods(mote_self *self, mote_term arg) {
    for (;;) CHECK_OK(mote_send(self, pid_of(arg), "{flood, [many, messages, 1.5]}"));
}
static void breeds(mote_self *self, mote_term arg) {
    for (;;) {
        mote_err err = mote_spawn(self, waits, arg, NULL);
        CHECK(err == MOTE_OK || err == MOTE_ESTOPPED || err == MOTE_ELIMIT);
        if (err == MOTE_ELIMIT) CHECK_OK(mote_yield(self));
    }
}

/* Processes of every kind, in the midst of everything. */
static void populate(mote_self *self, bool breeding) {
    static const mote_body bodies[] = {waits, waits_for_fd, sleeps, calls, computes};
    mote_spawn_options bounded = {.body = waits, .mailbox_max = 4, .name = "bounded"};
    mote_pid pid;
    mote_ref timer;
    for (int i = 0; i < 5; i++) CHECK_OK(mote_spawn(self, bodies[i], MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_spawn_opt(self, &bounded, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_spawn(self, floods, mote_pid_term(pid), NULL));
    bounded = (mote_spawn_options){.handler = &idle, .mailbox_max = 4, .priority = MOTE_HIGH};
    CHECK_OK(mote_spawn_opt(self, &bounded, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_spawn(self, floods, mote_pid_term(pid), NULL));
    bounded = (mote_spawn_options){.body = computes, .stack_size = 100000, .priority = MOTE_LOW};
    CHECK_OK(mote_spawn_opt(self, &bounded, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_send_after(self, 100000, pid, &timer, "{never, [comes]}"));
    CHECK_OK(mote_send_after(self, 0, pid, NULL, "soon"));
    if (breeding) CHECK_OK(mote_spawn(self, breeds, MOTE_TERM_NIL, NULL));
}

static void once(int i) {
    mote_runtime *rt = started((mote_options){.schedulers = 1 + (unsigned)i % 3, .processes_max = 500});
    if (i % 3) {
        mote_self *self = attached(rt);
        populate(self, i % 3 == 1);
        CHECK_OK(mote_detach(self));
    }
    CHECK_INT(mote_runtime_stop(rt, 0), i % 3 ? MOTE_TIMEOUT : MOTE_OK);
}

/* How many entries there are, once they are no more than `most`: a thread that has been joined is seen for a moment still. */
static int threads_left(int most) {
    int n;
    for (uint64_t since = now_ns(); (n = entries("/proc/self/task")) > most && ms_since(since) < PATIENCE_MS;) (void)!poll(NULL, 0, 1);
    return n;
}
/* How many there are for a while. */
static int threads_that_stay(void) {
    int n = -1;
    for (int last = 0; n != last; (void)!poll(NULL, 0, 200)) last = n, n = entries("/proc/self/task");
    return n;
}

static void without_a_trace(void) {
    int count = scaled(200), threads = 0, descriptors = 0;
    long kb = 0;
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    for (int i = 0; i < count; i++) {
        once(i);
        if (i != count / 4) continue;
        threads = under_tool() ? threads_that_stay() : threads_left(3); /* ".", ".." and this one */
        descriptors = entries("/proc/self/fd");
        kb = resident_kb();
    }
    CHECK_INT(threads_left(threads), threads);
    CHECK_INT(entries("/proc/self/fd"), descriptors);
    CHECK(under_tool() || resident_kb() < kb + 4000);
}

/* Who repeats a call for ever, though it fails or costs next to nothing, holds no scheduler: others get on, and it can be ended. */
static mote_err spawns_too_many(mote_self *self) { return mote_spawn(self, waits, MOTE_TERM_NIL, NULL); }
static mote_err spawns_nothing(mote_self *self) { return mote_spawn_opt(self, NULL, MOTE_TERM_NIL, NULL); }
static mote_err sends_to_nobody(mote_self *self) { return mote_send(self, "nobody", "hello"); }
static mote_err sends_nonsense(mote_self *self) { return mote_send_term(self, mote_self_pid(self), MOTE_TERM_NONE); }
static mote_err forwards_nothing(mote_self *self) { return mote_forward(self, mote_self_pid(self)); }
static mote_err seeks(mote_self *self) { return mote_whereis(self, "nobody", &(mote_pid){0}); }
static mote_err unregisters(mote_self *self) { return mote_unregister(self, "nobody"); }
static mote_err reads_timer(mote_self *self) { return mote_timer_read(self, (mote_ref){0}, &(int64_t){0}); }
static mote_err cancels_timer(mote_self *self) { return mote_timer_cancel(self, (mote_ref){0}, NULL); }
static mote_err unaliases(mote_self *self) { return mote_unalias(self, (mote_ref){0}); }
static mote_err asks_alive(mote_self *self) { return mote_is_alive(self, mote_self_pid(self), &(bool){0}); }
static mote_err asks_runtime(mote_self *self) { return mote_runtime_info_get(self, &(mote_runtime_info){0}); }
static mote_err links_nonsense(mote_self *self) { return mote_link(self, (mote_pid){0}); }
static mote_err disarms(mote_self *self) { return mote_fd_disarm(self, (mote_ref){0}); }
static mote_err polls(mote_self *self) {
    mote_term message;
    return mote_receive(self, 0, &message);
}
static mote_err (*const stubborn_calls[])(mote_self *self) = {
    spawns_nothing, sends_to_nobody, sends_nonsense, forwards_nothing, seeks,          unregisters, reads_timer,
    cancels_timer,   unaliases,      asks_alive,      asks_runtime,   links_nonsense,   disarms,    polls, spawns_too_many,
};
enum { STUBBORN = sizeof stubborn_calls / sizeof *stubborn_calls };
static void stubborn(mote_self *self, mote_term arg) {
    int64_t which;
    CHECK_OK(mote_int_get(arg, &which));
    for (;;) (void)stubborn_calls[which](self);
}
static int among_stubborn(mote_self *self, void *context) {
    mote_pid pid;
    mote_process_info info;
    (void)context;
    for (int i = 0; i < STUBBORN; i++) {
        CHECK_OK(mote_spawn(self, stubborn, mote_int_make(NULL, i), &pid));
        for (int k = 0; k < 3; k++) CHECK_OK(mote_yield(self));
        CHECK_OK(mote_process_info_get(self, pid, PATIENCE_MS, &info)); /* it answers */
    }
    return 0;
}
static void holds_nothing(void) { CHECK_INT(mote_run(&(mote_options){.schedulers = 1, .processes_max = 500}, among_stubborn, NULL), 0); }

/* The same while threads come and go, spawn and send. */
struct visitors {
    mote_runtime *rt;
    atomic_int ready, visits;
};
static void *visits(void *context) {
    struct visitors *v = context;
    mote_self *self;
    mote_pid pid;
    mote_ref ref;
    CHECK_OK(mote_attach(v->rt, &self));
    CHECK_OK(mote_spawn(self, waits, MOTE_TERM_NIL, &pid));
    atomic_fetch_add(&v->ready, 1);
    for (mote_err err = MOTE_OK; !err;) {
        if ((err = mote_spawn(self, waits, self_term(self), &pid))) break;
        if ((err = mote_send(self, pid, "stop"))) break;
        if ((err = mote_send_after(self, 1, pid, NULL, "late"))) break;
        if ((err = mote_blocking_start(self, nothing, NULL, &ref))) break;
        if ((err = mote_yield(self))) break;
        atomic_fetch_add(&v->visits, 1);
    }
    CHECK_INT(mote_send(self, pid, "late"), MOTE_ESTOPPED);
    CHECK_OK(mote_detach(self));
    return NULL;
}
static void stopped_while_used(void) {
    for (int round = 0; round < scaled(100); round++) {
        enum { THREADS = 3 };
        struct visitors v = {.rt = started((mote_options){.schedulers = 2})};
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++) CHECK_INT(pthread_create(&threads[i], NULL, visits, &v), 0);
        while (atomic_load(&v.ready) < THREADS) sched_yield();
        mote_err err = mote_runtime_stop(v.rt, 0);
        CHECK(err == MOTE_OK || err == MOTE_TIMEOUT);
        for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    }
}

/* ----------------------------------------------------------------------------------------------------- drain */

static atomic_int worked;
static void works(mote_self *self, mote_term arg) {
    (void)arg;
    for (int i = 0; i < 5; i++) CHECK_OK(mote_sleep(self, 1));
    atomic_fetch_add(&worked, 1);
}
static void drained(void) {
    mote_runtime *rt = started((mote_options){.schedulers = 2});
    mote_self *self = attached(rt);
    for (int i = 0; i < 100; i++) CHECK_OK(mote_spawn(self, works, MOTE_TERM_NIL, NULL));
    CHECK_OK(mote_detach(self));
    CHECK_OK(mote_runtime_stop(rt, -1));
    CHECK_INT(atomic_load(&worked), 100);
    CHECK_OK(mote_runtime_stop(started((mote_options){.schedulers = 1}), PATIENCE_MS)); /* nothing to wait for */
}
static void not_drained(void) {
    mote_runtime *rt = started((mote_options){.schedulers = 2});
    mote_self *self = attached(rt);
    CHECK_OK(mote_spawn(self, waits, MOTE_TERM_NIL, NULL));
    CHECK_OK(mote_detach(self));
    uint64_t start = now_ns();
    CHECK_INT(mote_runtime_stop(rt, 30), MOTE_TIMEOUT);
    CHECK(now_ns() - start >= 30000000);
}

/* --------------------------------------------------------------------------------------------------- threads */

struct late {
    mote_runtime *rt;
    atomic_int ready;
    int kind;
};
static bool never(mote_term message, void *context) { return (void)message, (void)context, false; }
static void *is_stopped(void *context) {
    struct late *late = context;
    mote_self *self = attached(late->rt);
    mote_process_info info;
    mote_pid pid;
    mote_term m;
    mote_err err = MOTE_OK;
    int kind = atomic_fetch_add(&late->ready, 1) % 5;
    CHECK_OK(mote_spawn(self, computes, MOTE_TERM_NIL, &pid));
    atomic_fetch_add(&late->ready, 1000);
    if (kind == 0) err = mote_receive(self, -1, &m);
    if (kind == 1) err = mote_receive_if(self, 1000000, never, NULL, &m);
    if (kind == 2) err = mote_receive_match(self, -1, "never");
    if (kind == 3) err = mote_fd_wait(self, fds[0], MOTE_READ, -1, NULL);
    if (kind == 4) err = mote_sleep(self, 1000000);
    CHECK(err == MOTE_ESTOPPED || (kind == 3 && err == MOTE_EBUSY));
    if (kind != 3) CHECK_INT(mote_process_info_get(self, pid, -1, &info), MOTE_ESTOPPED);
    CHECK(mote_runtime_of(self) == late->rt);
    CHECK_OK(mote_detach(self));
    return NULL;
}
static void stopped_threads(void) {
    enum { N = 15 };
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    for (int round = 0; round < scaled(20); round++) {
        struct late late = {.rt = started((mote_options){.schedulers = 2})};
        pthread_t threads[N];
        for (int i = 0; i < N; i++) CHECK_INT(pthread_create(&threads[i], NULL, is_stopped, &late), 0);
        while (atomic_load(&late.ready) < N * 1001) sched_yield();
        CHECK_INT(mote_runtime_stop(late.rt, round % 3), MOTE_TIMEOUT);
        for (int i = 0; i < N; i++) pthread_join(threads[i], NULL);
    }
}

static void *asks(void *context) {
    mote_self *self = attached(*(mote_runtime **)context);
    mote_pid pid;
    CHECK_OK(mote_spawn(self, adds, MOTE_TERM_NIL, &pid));
    for (int k = 0; k < scaled(500); k++) {
        int sum;
        CHECK_OK(mote_send(self, pid, "{?, ?}", mote_self_pid(self), k));
        CHECK_OK(mote_receive_match(self, k % 2 ? -1 : PATIENCE_MS, "{sum, ?}", &sum));
        CHECK_INT(sum, k + 1);
    }
    CHECK_OK(mote_exit_send(self, pid, atom("kill")));
    CHECK_OK(mote_exit_send(self, mote_self_pid(self), atom("kill"))); /* a thread is not ended by signals */
    CHECK_INT(mote_receive_match(self, 1, "never"), MOTE_TIMEOUT);
    CHECK_OK(mote_detach(self));
    return NULL;
}
static void many_threads(void) {
    enum { N = 20 };
    mote_runtime *rt = started((mote_options){.schedulers = 2});
    pthread_t threads[N];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) CHECK_INT(pthread_create(&threads[i], NULL, asks, &rt), 0);
        for (int i = 0; i < N; i++) pthread_join(threads[i], NULL);
    }
    CHECK_OK(mote_runtime_stop(rt, -1));
}

/* Attached threads count among the processes, and their clean-ups run. */
static void set_one(void *context) { *(int *)context = 1; }
static void thread_is_process(void) {
    mote_runtime *rt = started((mote_options){.schedulers = 1});
    mote_runtime_info ri;
    mote_process_info info;
    size_t count;
    int cleaned = 0, called = 0;
    mote_self *self = attached(rt);
    CHECK_OK(mote_runtime_info_get(self, &ri));
    CHECK(ri.processes == 1 && ri.schedulers == 1);
    CHECK_OK(mote_process_list(self, NULL, 0, &count));
    CHECK_INT(count, 1);
    CHECK_OK(mote_process_info_get(self, mote_self_pid(self), 0, &info));
    CHECK_INT(info.state, MOTE_STATE_RUNNING);
    CHECK_OK(mote_blocking(self, set_one, &called));
    CHECK_INT(called, 1);
    CHECK_OK(mote_cleanup_add(self, set_one, &cleaned));
    CHECK(mote_alloc(self, 1000));
    CHECK_OK(mote_send(self, mote_self_pid(self), "unread"));
    CHECK_OK(mote_detach(self));
    CHECK_INT(cleaned, 1);
    CHECK_OK(mote_runtime_stop(rt, -1));
}

/* ------------------------------------------------------------------------------------------ mote_run, the log */

struct logged {
    pthread_mutex_t mu;
    char text[4000];
    mote_log_level level;
    atomic_int count;
};
static void write_down(void *context, mote_log_level level, const char *text) {
    struct logged *l = context;
    pthread_mutex_lock(&l->mu);
    strncat(l->text, text, sizeof l->text - strlen(l->text) - 1);
    l->level = level;
    pthread_mutex_unlock(&l->mu);
    atomic_fetch_add(&l->count, 1);
}

static int returns(mote_self *self, void *context) {
    CHECK_OK(mote_spawn(self, waits, MOTE_TERM_NIL, NULL));
    return *(int *)context;
}
static int exits(mote_self *self, void *context) {
    mote_exit(self, atom(context));
    return 0;
}
static int is_killed(mote_self *self, void *context) {
    mote_term m;
    (void)context;
    CHECK_OK(mote_exit_send(self, mote_self_pid(self), atom("kill")));
    return (int)mote_receive(self, -1, &m);
}
static void exit_codes(void) {
    static struct logged l = {.mu = PTHREAD_MUTEX_INITIALIZER};
    mote_options options = {.schedulers = 1, .log = write_down, .log_context = &l, .chaos_seed = chaos_seed()};
    for (int code = 0; code < 256; code += 51) CHECK_INT(mote_run(&options, returns, &code), code);
    CHECK_INT(atomic_load(&l.count), 0);
    CHECK_INT(mote_run(&options, exits, "my_reason"), 1);
    CHECK(atomic_load(&l.count) == 1 && l.level == MOTE_LOG_ERROR && strstr(l.text, "my_reason") && !strchr(l.text, '\n'));
    l.text[0] = 0;
    CHECK_INT(mote_run(&options, is_killed, NULL), 1);
    CHECK(atomic_load(&l.count) == 2 && strstr(l.text, "killed"));
    options.schedulers = 1000;
    CHECK_INT(mote_run(&options, returns, NULL), 70);
}

static int count_schedulers(mote_self *self, void *context) {
    mote_runtime_info ri;
    (void)context;
    CHECK_OK(mote_runtime_info_get(self, &ri));
    return (int)ri.schedulers;
}
static void environment(void) {
    cpu_set_t set;
    CHECK_INT(sched_getaffinity(0, sizeof set, &set), 0);
    setenv("MOTE_SCHEDULERS", "3", 1);
    CHECK_INT(mote_run(NULL, count_schedulers, NULL), 3);
    CHECK_INT(mote_run(&(mote_options){.schedulers = 2}, count_schedulers, NULL), 2);
    setenv("MOTE_SCHEDULERS", "many", 1);
    CHECK_INT(mote_run(NULL, count_schedulers, NULL), CPU_COUNT(&set));
    setenv("MOTE_SCHEDULERS", "1000000", 1);
    CHECK_INT(mote_run(NULL, count_schedulers, NULL), CPU_COUNT(&set));
    unsetenv("MOTE_SCHEDULERS");
    CHECK_INT(mote_run(NULL, count_schedulers, NULL), CPU_COUNT(&set));
}

/* ---------------------------------------------------------------------------------------------- the watchdog */

static struct logged report = {.mu = PTHREAD_MUTEX_INITIALIZER};
static atomic_int behind_ran, seen_after_ms;
static void runs_behind(mote_self *self, mote_term arg) {
    (void)self, (void)arg;
    atomic_fetch_add(&behind_ran, 1);
}
static void hogs(mote_self *self, mote_term arg) {
    (void)arg;
    uint64_t start = now_ns();
    for (int i = 0; i < 10; i++) CHECK_OK(mote_spawn(self, runs_behind, MOTE_TERM_NIL, NULL));
    while (atomic_load(&report.count) == 0 || atomic_load(&behind_ran) < 10) {
        CHECK(ms_since(start) < PATIENCE_MS);
        sched_yield();
    }
    atomic_store(&seen_after_ms, (int)ms_since(start));
}
static int hog(mote_self *self, void *context) {
    mote_spawn_options options = {.body = hogs, .name = "the_hog"};
    mote_pid pid;
    (void)context;
    CHECK_OK(mote_spawn_opt(self, &options, MOTE_TERM_NIL, &pid));
    WAIT_UNTIL(self, atomic_load(&seen_after_ms));
    wait_gone(self, pid);
    return 0;
}
static void watchdog(void) {
    run_with((mote_options){.schedulers = 2, .log = write_down, .log_context = &report}, hog);
    CHECK(strstr(report.text, "the_hog") && report.level == MOTE_LOG_WARNING);
    CHECK_INT(atomic_load(&report.count), 1);
    CHECK(atomic_load(&seen_after_ms) >= 100);
}
/* With one scheduler, too, it is reported. */
static void hogs_alone(mote_self *self, mote_term arg) {
    (void)self, (void)arg;
    for (uint64_t start = now_ns(); atomic_load(&report.count) == 0; sched_yield()) CHECK(ms_since(start) < PATIENCE_MS);
}
static int hog_alone(mote_self *self, void *context) {
    mote_spawn_options options = {.body = hogs_alone, .name = "alone"};
    mote_pid pid;
    (void)context;
    CHECK_OK(mote_spawn_opt(self, &options, MOTE_TERM_NIL, &pid));
    wait_gone(self, pid);
    return 0;
}
static void watchdog_1(void) {
    run_with((mote_options){.schedulers = 1, .log = write_down, .log_context = &report}, hog_alone);
    CHECK(strstr(report.text, "alone"));
}

/* --------------------------------------------------------------------------------------------- stack overflow */

__attribute__((noinline, no_sanitize("address", "thread", "undefined"))) static int deep(volatile int *below, int n) {
    volatile int here[64];
    here[n % 64] = *below + n;
    return n == 0 ? here[0] : deep(here, n - 1) + here[1];
}
static void dives(mote_self *self, mote_term arg) {
    int64_t n;
    volatile int zero = 0;
    CHECK_OK(mote_int_get(arg, &n));
    zero = deep(&zero, (int)n);
    CHECK_OK(mote_send(self, mote_self_pid(self), "came_up"));
}
static int dive_main(mote_self *self, void *context) {
    mote_spawn_options options = {.body = dives, .name = "the_diver"};
    mote_term m;
    (void)context;
    CHECK_OK(mote_spawn_opt(self, &options, mote_int_make(NULL, 1000000), NULL));
    CHECK_OK(mote_receive(self, -1, &m));
    return 0;
}
static void aborts(void) {
    char text[4000] = "";
    int pair[2], status = 0;
    size_t size = 0;
    ssize_t n;
    CHECK_INT(pipe(pair), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pair[1], STDERR_FILENO);
        close(pair[0]), close(pair[1]);
        mote_run(&(mote_options){.schedulers = 2}, dive_main, NULL);
        _exit(0);
    }
    close(pair[1]);
    while ((n = read(pair[0], text + size, sizeof text - 1 - size)) > 0) size += (size_t)n;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    CHECK(strstr(text, "stack overflow") && strstr(text, "the_diver"));
}

/* A signal of a fault that somebody sends ends the program as well, though nothing faults again. */
static int sends_itself(mote_self *self, void *context) {
    (void)self, (void)context;
    kill(getpid(), SIGSEGV);
    while (pause()) continue;
    return 0;
}
static void sent_fault(void) {
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        mote_run(&(mote_options){.schedulers = 2}, sends_itself, NULL);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(SANITIZED || (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV)); /* sanitizers report it, and exit */
    CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
}

static atomic_int cleaned;
static void counts(void *context) {
    (void)context;
    atomic_fetch_add(&cleaned, 1);
}
static void dives_clean(mote_self *self, mote_term arg) {
    CHECK_OK(mote_cleanup_add(self, counts, NULL));
    CHECK(mote_alloc(self, 10000));
    dives(self, arg);
}
static int keep_diving(mote_self *self, void *context) {
    static const size_t sizes[] = {0, 16384, 300000, 1 << 20};
    mote_pid pid, other;
    int sum;
    (void)context;
    CHECK_OK(mote_spawn(self, adds, MOTE_TERM_NIL, &other));
    for (int i = 0; i < 40; i++) {
        mote_spawn_options options = {.body = dives_clean, .name = i % 2 ? "diver" : NULL, .stack_size = sizes[i % 4]};
        CHECK_OK(mote_spawn_opt(self, &options, mote_int_make(NULL, i % 5 == 4 ? 10 : 1000000), &pid));
        wait_gone(self, pid);
        CHECK_INT(atomic_load(&cleaned), i + 1);
        CHECK_OK(mote_send(self, other, "{?, ?}", mote_self_pid(self), i)); /* everything else goes on */
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{sum, ?}", &sum));
        CHECK_INT(sum, i + 1);
    }
    for (int i = 0; i < 40; i++) CHECK_OK(mote_spawn(self, dives_clean, mote_int_make(NULL, 1000000), NULL)); /* many at once */
    WAIT_UNTIL(self, atomic_load(&cleaned) == 80);
    return 0;
}
/* ThreadSanitizer does not bear that a signal handler is left for another stack. */
#if defined(__SANITIZE_THREAD__)
#define OVERFLOW_TESTS {"overflows_not_with_tsan", nothing_here, 0}
static void nothing_here(void) {}
#else
#define OVERFLOW_TESTS TEST(ends_process), TEST(ends_main)
#endif

__attribute__((unused)) static void ends_process(void) { run_with((mote_options){.schedulers = 2, .overflow_ends_process = true}, keep_diving); }

static int main_dives(mote_self *self, void *context) {
    volatile int zero = 0;
    (void)self, (void)context;
    return deep(&zero, 100000000) ? 2 : 3;
}
__attribute__((unused)) static void ends_main(void) { CHECK_INT(mote_run(&(mote_options){.schedulers = 1, .overflow_ends_process = true}, main_dives, NULL), 1); }

/* A process with a stack of its own size gets it, up to near its end. */
static int uses_own(mote_self *self, void *context) {
    mote_spawn_options options = {.body = dives, .stack_size = (size_t)64 << 20};
    mote_pid pid;
    (void)context;
    CHECK_OK(mote_spawn_opt(self, &options, mote_int_make(NULL, 100000), &pid));
    wait_gone(self, pid);
    return 0;
}
static void own_stack(void) { RUN(1, uses_own); }

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    return check_main(argc, argv,
                      (struct check_test[]){TEST(several), TEST(nested), TEST(without_a_trace), TEST(holds_nothing), TEST(stopped_while_used), TEST(drained),
                                            TEST(not_drained), TEST(stopped_threads), TEST(many_threads), TEST(thread_is_process),
                                            TEST(exit_codes), TEST(environment), TEST(watchdog), TEST(watchdog_1), TEST(aborts), TEST(sent_fault),
                                            OVERFLOW_TESTS, TEST(own_stack), {0}});
}
