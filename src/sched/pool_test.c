/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <pthread.h>
#include <sys/resource.h>

#include "base/atomic.h"
#include "check.h"
#include "sched/pool.h"

#define MS UINT64_C(1000000)

struct work {
    struct mt_job job; /* first */
    _Atomic unsigned runs, dones;
};

static struct mt_pool *pool;
static _Atomic unsigned running, running_max, done_count;
static _Atomic bool gate; /* jobs wait until it is open */

/* Lets others run until a condition holds; the test's time limit is the end of it. */
#define UNTIL(cond) \
    while (!(cond)) mt_os_thread_yield()

/* Threads of pools, by their name: sanitizers and emulators have some of their own. */
static unsigned threads(void) {
    unsigned n = 0;
    DIR *d = opendir("/proc/self/task");
    for (struct dirent *e; (e = readdir(d));) {
        char path[300], name[16] = {0};
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", e->d_name);
        FILE *f = e->d_name[0] != '.' ? fopen(path, "r") : NULL;
        if (f) n += fgets(name, sizeof name, f) && strcmp(name, "mote-pool\n") == 0;
        if (f) fclose(f);
    }
    closedir(d);
    return n;
}
/* Whether memory can be made scarce: sanitizers and emulators do not bear it. */
static bool can_limit(void) {
    return !MT_ASAN && !MT_TSAN && !getenv("MT_TEST_EMULATED") && !getenv("MOTE_TEST_UNDER");
}
static void run(void *context) {
    struct work *w = context;
    unsigned now = atomic_fetch_add(&running, 1) + 1, max = atomic_load(&running_max);
    while (now > max && !atomic_compare_exchange_weak(&running_max, &max, now))
        ;
    CHECK_INT(atomic_load(&w->dones), 0);
    atomic_fetch_add(&w->runs, 1);
    UNTIL(atomic_load(&gate));
    atomic_fetch_sub(&running, 1);
}
static void done(struct mt_job *job) {
    struct work *w = (struct work *)(void *)job;
    CHECK_INT(atomic_load(&w->runs), 1);
    atomic_fetch_add(&w->dones, 1);
    atomic_fetch_add(&done_count, 1);
}
static struct work *works(unsigned count) {
    struct work *w = calloc(count, sizeof *w);
    for (unsigned i = 0; i < count; i++) w[i].job = (struct mt_job){.run = run, .context = &w[i], .done = done};
    return w;
}
static void check_all(struct work *w, unsigned count) {
    for (unsigned i = 0; i < count; i++) CHECK(w[i].runs == 1 && w[i].dones == 1);
    free(w);
}

static void starts_no_thread(void) {
    pool = mt_pool_new(4, MT_NEVER);
    CHECK_INT(threads(), 0);
    CHECK_INT(mt_pool_busy(pool), 0);
    mt_pool_free(pool);
}

static void maximum(void) {
    struct work *w = works(100);
    pool = mt_pool_new(3, MT_NEVER);
    for (unsigned i = 0; i < 100; i++) CHECK_OK(mt_pool_run(pool, &w[i].job));
    CHECK_INT(mt_pool_busy(pool), 100);
    UNTIL(atomic_load(&running) == 3);
    for (unsigned i = 0; i < 100; i++) mt_os_thread_yield(), CHECK_INT(atomic_load(&running), 3);
    UNTIL(threads() == 3);
    atomic_store(&gate, true);
    UNTIL(mt_pool_busy(pool) == 0);
    CHECK_INT(atomic_load(&done_count), 100);
    CHECK_INT(atomic_load(&running_max), 3);
    mt_pool_free(pool);
    check_all(w, 100);
}

static void threads_are_reused(void) {
    struct work *w = works(200);
    atomic_store(&gate, true);
    pool = mt_pool_new(50, MT_NEVER);
    for (unsigned i = 0; i < 200; i++) {
        CHECK_OK(mt_pool_run(pool, &w[i].job));
        UNTIL(mt_pool_busy(pool) == 0);
        CHECK(threads() <= 2); /* it may not be back on the idle list yet */
    }
    mt_pool_free(pool);
    check_all(w, 200);
}

static void idle_threads_end(void) {
    struct work *w = works(20);
    pool = mt_pool_new(20, 5 * MS);
    for (unsigned i = 0; i < 20; i++) CHECK_OK(mt_pool_run(pool, &w[i].job));
    UNTIL(atomic_load(&running) == 20);
    UNTIL(threads() == 20);
    atomic_store(&gate, true);
    UNTIL(threads() == 0);
    check_all(w, 20);
    w = works(1); /* and start again */
    CHECK_OK(mt_pool_run(pool, &w->job));
    mt_pool_free(pool);
    UNTIL(threads() == 0); /* the kernel's list lags behind */
    check_all(w, 1);
}

/* Threads that give up just when they are given work. */
static void idling_races(void) {
    static const uint64_t idle[] = {0, 1, 20000, 100000};
    atomic_store(&gate, true);
    for (unsigned k = 0; k < 4; k++) {
        struct work *w = works(2000);
        pool = mt_pool_new(4, idle[k]);
        for (unsigned i = 0; i < 2000; i++) {
            CHECK_OK(mt_pool_run(pool, &w[i].job));
            if (i % 8 == 0) UNTIL(mt_pool_busy(pool) == 0);
        }
        mt_pool_free(pool);
        check_all(w, 2000);
    }
}

static void *open_gate(void *arg) {
    (void)arg;
    for (unsigned i = 0; i < 50; i++) mt_os_thread_yield();
    CHECK_INT(atomic_load(&done_count), 0);
    atomic_store(&gate, true);
    return NULL;
}
static void free_waits(void) {
    pthread_t thread;
    struct work *w = works(10);
    pool = mt_pool_new(2, MT_NEVER);
    for (unsigned i = 0; i < 10; i++) CHECK_OK(mt_pool_run(pool, &w[i].job));
    CHECK(pthread_create(&thread, NULL, open_gate, NULL) == 0);
    mt_pool_free(pool);
    CHECK_INT(atomic_load(&done_count), 10);
    CHECK(pthread_join(thread, NULL) == 0);
    check_all(w, 10);
}

#define SUBMITTERS 4u
#define EACH 3000u

static void *submit(void *arg) {
    struct work *w = arg;
    for (unsigned i = 0; i < EACH; i++) CHECK_OK(mt_pool_run(pool, &w[i].job));
    return NULL;
}
static void many_submitters(void) {
    pthread_t thread[SUBMITTERS];
    struct work *w = works(SUBMITTERS * EACH);
    atomic_store(&gate, true);
    pool = mt_pool_new(3, 50000);
    for (unsigned i = 0; i < SUBMITTERS; i++) CHECK(pthread_create(&thread[i], NULL, submit, &w[i * EACH]) == 0);
    for (unsigned i = 0; i < SUBMITTERS; i++) CHECK(pthread_join(thread[i], NULL) == 0);
    CHECK(mt_pool_busy(pool) <= SUBMITTERS * EACH);
    mt_pool_free(pool);
    CHECK(atomic_load(&running_max) <= 3);
    CHECK_INT(atomic_load(&done_count), SUBMITTERS * EACH);
    check_all(w, SUBMITTERS * EACH);
}

/* `done` takes the job: it may free it, or give it to the pool again. */
static _Atomic unsigned again;
static void done_again(struct mt_job *job) {
    if (atomic_fetch_add(&again, 1) < 100) CHECK_OK(mt_pool_run(pool, job));
    else free(job);
}
static void run_nothing(void *context) {
    (void)context;
}
static void job_from_a_job(void) {
    struct mt_job *job = calloc(1, sizeof *job);
    *job = (struct mt_job){.run = run_nothing, .done = done_again};
    pool = mt_pool_new(1, MT_NEVER);
    CHECK_OK(mt_pool_run(pool, job));
    UNTIL(atomic_load(&again) == 101);
    UNTIL(mt_pool_busy(pool) == 0);
    mt_pool_free(pool);
}

/* No thread: an error while there is none at all, otherwise the job waits for those that are there. */
static void no_threads(void) {
    struct rlimit limit;
    struct work *w = works(4);
    pool = mt_pool_new(4, MT_NEVER);
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    rlim_t before = limit.rlim_cur;
    CHECK_OK(mt_pool_run(pool, &w[0].job));
    UNTIL(atomic_load(&running) == 1);
    limit.rlim_cur = 1;
    if (!can_limit() || setrlimit(RLIMIT_AS, &limit) != 0) limit.rlim_cur = before;
    for (unsigned i = 1; i < 4; i++) CHECK_OK(mt_pool_run(pool, &w[i].job));
    if (limit.rlim_cur != before) CHECK_INT(atomic_load(&running), 1);
    limit.rlim_cur = before;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    atomic_store(&gate, true);
    mt_pool_free(pool);
    check_all(w, 4);
}
static void no_thread_at_all(void) {
    struct rlimit limit;
    if (!can_limit()) return;
    struct work *w = works(1);
    pool = mt_pool_new(4, MT_NEVER);
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 1;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    mote_err err = mt_pool_run(pool, &w->job);
    CHECK(err == MOTE_EOS || err == MOTE_ENOMEM);
    CHECK_INT(mt_pool_busy(pool), 0);
    limit.rlim_cur = before;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    atomic_store(&gate, true);
    CHECK_OK(mt_pool_run(pool, &w->job)); /* it stayed ours */
    mt_pool_free(pool);
    check_all(w, 1);
}

int main(int argc, char **argv) {
    static const struct check_test tests[] = {TEST(starts_no_thread), TEST(maximum),         TEST(threads_are_reused),
                                              TEST(idle_threads_end), TEST(idling_races),    TEST(free_waits),
                                              TEST(many_submitters),  TEST(job_from_a_job),  TEST(no_threads),
                                              TEST(no_thread_at_all), {0}};
    return check_main(argc, argv, tests);
}
