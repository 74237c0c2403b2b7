/* SPDX-License-Identifier: Apache-2.0
 * A million processes end at once, monitored by one or linked with one; and one ends whom a million monitor, or are linked with. Everyone is
 * told exactly once. Two others, who talk with each other meanwhile, wait at most ROUND_TRIP_MS for an answer; time in which other programs had the
 * processors does not count. Sanitizers and MOTE_TEST_UNDER (valgrind, qemu) get fewer, and their times are not judged.
 */
#include "live.h"
#include "proc/proc.h"

#define ROUND_TRIP_MS 100

static long count(void) { return getenv("MOTE_TEST_UNDER") ? 300 : SANITIZED ? 10000 : 1000000; }

static struct {
    long n;
    mote_pid *pids;
    unsigned char *told;       /* of each process, by whoever is told */
    atomic_long total;
    atomic_long watching;
    atomic_ullong longest_ns;  /* from when a question is due until the answer */
    atomic_bool quiet;         /* the two others may stop */
} g;

static void silent(void *context, mote_log_level level, const char *text) { (void)context, (void)level, (void)text; }

static void tell(long i) {
    CHECK(i >= 0 && i < g.n);
    CHECK_INT(g.told[i]++, 0);
    atomic_fetch_add(&g.total, 1);
}

/* ------------------------------------------------------------------------------------------------ the two others */

static void pong(mote_self *self, mote_term arg) {
    mote_pid from;
    (void)arg;
    while (mote_receive_match(self, -1, "{ping, ?}", &from) == MOTE_OK) CHECK_OK(mote_send(self, from, "pong"));
}
/* How long the schedulers have been ready and not given a processor, all in all. */
static uint64_t starved_ns(mote_self *self) {
    struct mt_cluster *c = &mt_runtime(mt_self(self))->cluster;
    uint64_t sum = 0;
    for (unsigned i = 0; i < c->count; i++) sum += mt_os_thread_times(atomic_load(&c->scheds[i]->thread_id)).starved_ns;
    return sum;
}
static void ping(mote_self *self, mote_term arg) {
    mote_pid other;
    (void)arg;
    CHECK_OK(mote_spawn_link(self, pong, MOTE_TERM_NIL, &other));
    while (!atomic_load(&g.quiet)) { /* once a millisecond: without a pause they would have nearly all of one scheduler's time */
        uint64_t start = now_ns() + 1000000, starved = starved_ns(self);
        CHECK_OK(mote_sleep(self, 1));
        CHECK_OK(mote_send(self, other, "{ping, ?}", mote_self_pid(self)));
        CHECK_OK(mote_receive_match(self, -1, "pong"));
        uint64_t took = now_ns() - start;
        starved = starved_ns(self) - starved;
        took = took > starved ? took - starved : 1;
        if (took > atomic_load(&g.longest_ns)) atomic_store(&g.longest_ns, took);
    }
    mote_exit(self, atom("shutdown"));
}
/* The longest round trip since this was asked before. */
static double longest_ms(void) { return (double)atomic_exchange(&g.longest_ns, 0) / 1e6; }

/* -------------------------------------------------------------------------------------------------- the million */

struct one {
    long number;
    bool watches;
};

/* Its number; a pid as second: to be monitored. */
static void one_init(mote_self *self, mote_term arg, void *state) {
    struct one *one = state;
    mote_pid target;
    mote_ref ref;
    if (mote_match(arg, "?", &one->number)) return;
    CHECK(mote_match(arg, "{?, ?}", &one->number, &target));
    CHECK_OK(mote_monitor(self, target, &ref));
    one->watches = true;
    atomic_fetch_add(&g.watching, 1);
}
static void one_handle(mote_self *self, mote_term message, void *state) {
    const struct one *one = state;
    if (mote_match(message, "stop")) mote_exit(self, mote_int_make(NULL, one->number));
    CHECK(one->watches && mote_match(message, "{'DOWN', _, process, _, shutdown}"));
    tell(one->number);
}
/* Those linked with one that ends are told by their end. */
static void one_stop(mote_self *self, mote_term reason, void *state) {
    (void)self;
    if (mote_match(reason, "{shutdown, told}")) tell(((const struct one *)state)->number);
}
static const mote_handler one_of_many = {.name = "one of many", .state_size = sizeof(struct one), .init = one_init, .handle = one_handle, .stop = one_stop};

static void stop_all(mote_self *self, mote_term arg) {
    (void)arg;
    for (long i = 0; i < g.n; i++) CHECK_OK(mote_send(self, g.pids[i], "stop"));
}
static void waits(mote_self *self, mote_term arg) {
    mote_term reason;
    (void)arg;
    CHECK_OK(mote_receive_match(self, -1, "{stop, ?}", &reason));
    mote_exit(self, reason);
}

/* ------------------------------------------------------------------------------------------------ who is told what */

/* Starts them; the caller monitors each, the number is the tag, or is linked with each, the number is the reason. */
static void start_all(mote_self *self, bool link) {
    mote_ref ref;
    mote_spawn_options o = {.handler = &one_of_many, .link = link, .monitor = link ? NULL : &ref};
    for (long i = 0; i < g.n; i++) {
        o.monitoring.tag = mote_int_make(NULL, i);
        CHECK_OK(mote_spawn_opt(self, &o, mote_int_make(NULL, i), &g.pids[i]));
    }
}

/* From `start` on something ended; `starting`: the longest round trip before. */
static void report(const char *what, uint64_t start, double starting) {
    double longest = longest_ms();
    printf("# %ld %s: all told in %" PRId64 " ms; longest round trip of others %.1f ms, and %.1f ms while they were started\n", g.n, what,
           ms_since(start), longest, starting);
    fflush(stdout);
    CHECK(under_tool() || (longest > 0 && longest <= ROUND_TRIP_MS));
}
static void await_all(mote_self *self) {
    for (uint64_t since = now_ns(); atomic_load(&g.total) < g.n; CHECK(ms_since(since) < PATIENCE_MS)) CHECK_OK(mote_sleep(self, 1));
}

/* One is told of the end of all. */
static void all_end(mote_self *self, bool link) {
    long number = -1;
    start_all(self, link);
    double starting = longest_ms();
    uint64_t start = now_ns();
    CHECK_OK(mote_spawn(self, stop_all, MOTE_TERM_NIL, NULL));
    for (mote_term m; atomic_load(&g.total) < g.n; tell(number)) {
        CHECK_OK(mote_receive(self, PATIENCE_MS, &m));
        CHECK(link ? mote_match(m, "{'EXIT', _, ?}", &number) : mote_match(m, "{?, _, process, _, _}", &number));
    }
    report(link ? "linked with one end" : "monitored by one end", start, starting);
}
static int monitored(mote_self *self) { return all_end(self, false), 0; }
static int linked(mote_self *self) {
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    return all_end(self, true), 0;
}

/* All are told of the end of one. */
static int watching(mote_self *self) {
    mote_pid target;
    mote_arena *arena = mote_arena_new(0);
    CHECK_OK(mote_spawn(self, waits, MOTE_TERM_NIL, &target));
    for (long i = 0; i < g.n; i++) {
        mote_term arg;
        mote_arena_reset(arena);
        CHECK_OK(mote_build(arena, &arg, "{?, ?}", i, target));
        CHECK_OK(mote_spawn_handler(self, &one_of_many, arg, &g.pids[i]));
    }
    mote_arena_free(arena);
    for (uint64_t since = now_ns(); atomic_load(&g.watching) < g.n; CHECK(ms_since(since) < PATIENCE_MS)) CHECK_OK(mote_sleep(self, 1));
    double starting = longest_ms();
    uint64_t start = now_ns();
    CHECK_OK(mote_send(self, target, "{stop, shutdown}"));
    await_all(self);
    report("monitor one that ends", start, starting);
    CHECK_OK(mote_spawn(self, stop_all, MOTE_TERM_NIL, NULL));
    return 0;
}

/* One is linked with all, and ends: so do they. */
static void hub(mote_self *self, mote_term arg) {
    mote_term told;
    start_all(self, true);
    CHECK_OK(mote_send(self, pid_of(arg), "started"));
    CHECK_OK(mote_receive_match(self, -1, "stop"));
    CHECK_OK(mote_build(mote_scratch(self), &told, "{shutdown, told}"));
    mote_exit(self, told);
}
static int linked_end(mote_self *self) {
    mote_pid pid;
    CHECK_OK(mote_spawn(self, hub, self_term(self), &pid));
    CHECK_OK(mote_receive_match(self, -1, "started"));
    double starting = longest_ms();
    uint64_t start = now_ns();
    CHECK_OK(mote_send(self, pid, "stop"));
    await_all(self);
    report("linked with one that ends", start, starting);
    return 0;
}

/* ------------------------------------------------------------------------------------------------------ runs */

static size_t alive(mote_self *self) {
    mote_runtime_info info;
    CHECK_OK(mote_runtime_info_get(self, &info));
    return info.processes;
}

/* The scenario; then all but this process end, and nobody is told twice. */
static int whole(mote_self *self, void *context) {
    int (*scenario)(mote_self *self) = *(int (**)(mote_self *))context;
    mote_term m;
    g.n = count();
    g.pids = calloc((size_t)g.n, sizeof *g.pids);
    g.told = calloc((size_t)g.n, 1);
    CHECK(g.pids && g.told);
    CHECK_OK(mote_spawn(self, ping, MOTE_TERM_NIL, NULL));
    CHECK_INT(scenario(self), 0);
    atomic_store(&g.quiet, true);
    WAIT_UNTIL(self, alive(self) == 1);
    CHECK_INT(mote_receive(self, 0, &m), MOTE_TIMEOUT);
    CHECK_INT(atomic_load(&g.total), g.n);
    free(g.pids);
    free(g.told);
    return 0;
}
static void run(unsigned schedulers, int (*scenario)(mote_self *self)) {
    mote_options options = {.schedulers = schedulers, .log = silent, .chaos_seed = chaos_seed()};
    CHECK_INT(mote_run(&options, whole, &scenario), 0);
}
#define EACH(scenario)                                      \
    static void scenario##_1(void) { run(1, scenario); }    \
    static void scenario##_2(void) { run(2, scenario); }
EACH(monitored)
EACH(linked)
EACH(watching)
EACH(linked_end)

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){TEST(monitored_1), TEST(monitored_2), TEST(linked_1), TEST(linked_2), TEST(watching_1),
                                                        TEST(watching_2), TEST(linked_end_1), TEST(linked_end_2), {0}});
}
