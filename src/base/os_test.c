/* SPDX-License-Identifier: Apache-2.0
 * What the operating system is asked for. */
#define _GNU_SOURCE
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>

#include "base/atomic.h"
#include "check.h"

#define MIB ((size_t)1 << 20)
#define MS UINT64_C(1000000)
#define TOOLS (MT_TSAN || MT_ASAN || getenv("MOTE_TEST_UNDER")) /* their own memory hides ours */

/* ------------------------------------------------------------------------------------------------ memory */

static void blocks(void) {
    char *p = mt_os_alloc_zero(1000);
    CHECK(p);
    for (int i = 0; i < 1000; i++) CHECK(p[i] == 0);
    memset(p, 7, 1000);
    CHECK(p = mt_os_realloc(p, 100000));
    CHECK(p[0] == 7 && p[999] == 7);
    mt_os_free(p);
    for (size_t align = 1; align <= 65536; align *= 2) {
        CHECK(p = mt_os_alloc_aligned(align, 24));
        CHECK(((uintptr_t)p & (align - 1)) == 0);
        mt_os_free(p);
    }
    CHECK(p = mt_os_realloc(NULL, 10));
    mt_os_free(p);
}

static void maps(void) {
    size_t size = 64 * MIB, page = mt_os_page_size(), before = mt_os_rss();
    CHECK(before > 0);
    char *p = mt_os_map(size);
    CHECK(p && ((uintptr_t)p & (page - 1)) == 0);
    CHECK(TOOLS || mt_os_rss() < before + 8 * MIB);
    for (size_t i = 0; i < size; i += page) CHECK(p[i] == 0);
    memset(p, 1, size);
    CHECK(mt_os_rss() > before + 56 * MIB);
    mt_os_decommit(p + page, size - page);
    CHECK(TOOLS || mt_os_rss() < before + 8 * MIB);
    CHECK(p[0] == 1 && p[page] == 0 && p[size - 1] == 0);
    mt_os_unmap(p, size);
}

static void populates(void) {
    size_t size = 8 * MIB, page = mt_os_page_size();
    char *p = mt_os_map(size);
    CHECK(p);
    mt_os_populate(p + 100, size - 100 - page); /* on any kernel: the bytes are as they were */
    for (size_t i = 0; i < size; i += page) CHECK(p[i] == 0);
    p[7] = 1;
    mt_os_populate(p, page);
    CHECK(p[7] == 1);
    mt_os_unmap(p, size);
}

static void maps_more_than_there_is(void) {
    char *p = mt_os_map(TOOLS ? MIB : (size_t)1 << 40); /* not counted against limits */
    CHECK(p);
    p[0] = 1;
    mt_os_unmap(p, TOOLS ? MIB : (size_t)1 << 40);
    CHECK(TOOLS || !mt_os_map((size_t)1 << 60));
}

/* Whether the system itself may read the byte: the way to look at many guards without a signal. */
static bool readable(const char *p) {
    int ends[2];
    CHECK_OK(pipe(ends));
    ssize_t n = write(ends[1], p, 1);
    CHECK(n == 1 || errno == EFAULT);
    close(ends[0]);
    close(ends[1]);
    return n == 1;
}

/* Many at once, of different sizes; what lies between them stays. */
static void spans(void) {
    enum { SPANS = 150 };
    size_t page = mt_os_page_size(), stride = 4 * page;
    struct mt_os_span of[SPANS];
    char *p = mt_os_map(stride * SPANS);
    CHECK(p);
    memset(p, 1, stride * SPANS);
    for (size_t i = 0; i < SPANS; i++) of[i] = (struct mt_os_span){p + i * stride, (1 + i % 3) * page};
    size_t before = mt_os_rss();
    mt_os_decommit_spans(of, 0);
    CHECK(p[0] == 1);
    mt_os_decommit_spans(of, SPANS);
    CHECK(TOOLS || mt_os_rss() <= before - SPANS * page);
    for (size_t i = 0; i < SPANS; i++) {
        size_t size = of[i].size;
        char *at = of[i].p;
        CHECK(at[0] == 0 && at[size - 1] == 0 && at[size] == 1 && at[stride - 1] == 1);
    }
    mt_os_unmap(p, stride * SPANS);
}

static void guards(void) {
    size_t page = mt_os_page_size(), stride = 17 * page, count = 200;
    char *p = mt_os_map(stride * count);
    CHECK(p);
    CHECK_INT(mt_os_guard(p, stride, 0), 0);
    CHECK_INT(mt_os_guard(p, stride, count), count);
    for (size_t i = 0; i < count; i++) {
        CHECK(!readable(p + i * stride) && !readable(p + i * stride + page - 1));
        CHECK(readable(p + i * stride + page) && readable(p + (i + 1) * stride - 1));
    }
    mt_os_decommit(p, stride * count); /* guards stay */
    CHECK(!readable(p) && readable(p + page));
    mt_os_guard_forget(count);
    mt_os_unmap(p, stride * count);
}

static int fault_of(volatile char *p) {
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL); /* sanitizers take it */
        *p = 1;
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void a_guard_faults(void) {
    size_t page = mt_os_page_size();
    char *p = mt_os_map(4 * page);
    CHECK(p);
    CHECK_INT(mt_os_guard(p + page, 2 * page, 1), 1);
    CHECK_INT(fault_of(p + page), SIGSEGV);
    CHECK_INT(fault_of(p + 2 * page - 1), SIGSEGV);
    CHECK_INT(fault_of(p), 0);
    CHECK_INT(fault_of(p + 2 * page), 0);
    mt_os_guard_forget(1);
    mt_os_unmap(p, 4 * page);
}

/* ---------------------------------------------------------------------------------------- time, machine */

static void clocks_and_random(void) {
    uint64_t last = mt_os_now_ns(), cpu = mt_os_cpu_ns(), bits = 0;
    for (int i = 0; i < 100000; i++) {
        uint64_t now = mt_os_now_ns();
        CHECK(now >= last);
        last = now;
    }
    CHECK(mt_os_cpu_ns() > cpu);
    for (int i = 0; i < 64; i++) {
        uint64_t a = mt_os_random();
        CHECK(a != mt_os_random());
        bits |= a;
    }
    CHECK(bits == UINT64_MAX);
}

static void cores_follow_affinity(void) {
    cpu_set_t set, one;
    unsigned cores = mt_os_cores();
    CHECK_OK(sched_getaffinity(0, sizeof set, &set));
    CHECK_INT(cores, CPU_COUNT(&set));
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &set)) CPU_SET(i, &one);
    CHECK_OK(sched_setaffinity(0, sizeof one, &one));
    CHECK_INT(mt_os_cores(), 1);
}

/* ----------------------------------------------------------------------------------------------- threads */

static void futex_waits_as_long_as_said(void) {
    _Atomic uint32_t word = 5;
    uint64_t best = MT_NEVER;
    for (int i = 0; i < 20; i++) {
        uint64_t start = mt_os_now_ns();
        mt_os_futex_wait(&word, 5, 5 * MS);
        uint64_t took = mt_os_now_ns() - start;
        CHECK(took >= 5 * MS);
        if (took < best) best = took;
    }
    CHECK(best < 1000 * MS);
    uint64_t start = mt_os_now_ns();
    mt_os_futex_wait(&word, 4, MT_NEVER); /* is not what was expected */
    mt_os_futex_wait(&word, 5, 0);
    CHECK(mt_os_now_ns() - start < 60000 * MS);
}

static _Atomic uint32_t go, arrived;

static void *wait_for_go(void *arg) {
    atomic_fetch_add(&arrived, 1);
    while (!atomic_load(&go)) mt_os_futex_wait(&go, 0, MT_NEVER);
    return arg;
}

static void futex_wakes(void) {
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) CHECK_OK(mt_os_thread_start(&threads[i], wait_for_go, NULL, "waits"));
    while (atomic_load(&arrived) < 3) mt_os_thread_yield();
    atomic_store(&go, 1);
    mt_os_futex_wake(&go, INT32_MAX);
    for (int i = 0; i < 3; i++) mt_os_thread_join(threads[i]);
}

static void *look_around(void *arg) {
    sigset_t set;
    char name[16] = "";
    pthread_sigmask(SIG_SETMASK, NULL, &set);
    const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
    const int blocked[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGPIPE, SIGALRM, SIGUSR1, SIGPROF, SIGWINCH};
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) CHECK(!sigismember(&set, open[i]));
    for (size_t i = 0; i < sizeof blocked / sizeof *blocked; i++) CHECK(sigismember(&set, blocked[i]));
    CHECK_OK(prctl(PR_GET_NAME, name));
    CHECK_STR(name, "mote a long nam");
    *(int *)arg = 42;
    return NULL;
}

static void threads_block_signals(void) {
    sigset_t before, after;
    pthread_t thread;
    int seen = 0;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    CHECK_OK(mt_os_thread_start(&thread, look_around, &seen, "mote a long name"));
    mt_os_thread_join(thread);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    CHECK_INT(seen, 42);
    for (int s = 1; s < 32; s++) CHECK(sigismember(&before, s) == sigismember(&after, s));
}

/* --------------------------------------------------------------------------------------------------- log */

/* Makes stderr a pipe; gives the end to read from. */
static int capture(int flags) {
    int ends[2];
    CHECK_OK(pipe2(ends, flags));
    CHECK(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
    close(ends[1]);
    return ends[0];
}

static void check_logged(int from, const char *text, const char *want) {
    char got[100];
    mt_os_log(text);
    ssize_t n = read(from, got, sizeof got - 1);
    CHECK(n > 0);
    got[n] = 0;
    CHECK_STR(got, want);
}

static void log_escapes(void) {
    int from = capture(0);
    check_logged(from, "plain\n", "plain\n");
    check_logged(from, "no end", "no end");
    check_logged(from, "two\nlines\n", "two\\x0alines\n");
    check_logged(from, "\n\n", "\\x0a\n");
    check_logged(from, "\x1b[31mred\x7f\t\r\x01\n", "\\x1b[31mred\\x7f\\x09\\x0d\\x01\n");
    check_logged(from, "gr\xc3\xbc\xc3\x9f \xe2\x82\xac\n", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac\n");
    check_logged(from, "\xc2\x9b" "31m \xc2\xa0\xc2", "\\xc2\\x9b31m \xc2\xa0\xc2");
    errno = 77;
    mt_os_log("");
    CHECK_INT(errno, 77);
}

static void log_cuts(void) {
    char text[10001], got[10001];
    int from = capture(0);
    memset(text, 1, 10000);
    text[10000] = 0;
    mt_os_log(text);
    ssize_t n = read(from, got, sizeof got);
    CHECK(n > 4000 && n <= 4096);
    CHECK(memcmp(got, "\\x01\\x01", 8) == 0 && memcmp(got + n - 8, "\\x01...\n", 8) == 0);
}

static void fill_stderr(void) {
    char junk[4096] = {0};
    int flags = fcntl(STDERR_FILENO, F_GETFL);
    CHECK_OK(fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK));
    while (write(STDERR_FILENO, junk, sizeof junk) > 0)
        ;
    CHECK_OK(fcntl(STDERR_FILENO, F_SETFL, flags));
}

static void log_never_waits(void) {
    int from = capture(O_NONBLOCK);
    fill_stderr();
    mt_os_log("full\n");
    close(from);
    from = capture(0);
    fill_stderr();
    mt_os_log("full, and a write would wait\n");
    close(from);
}

static void log_survives_a_closed_pipe(void) {
    sigset_t pending;
    signal(SIGPIPE, SIG_DFL);
    close(capture(0));
    mt_os_log("nobody reads\n");
    sigpending(&pending);
    CHECK(!sigismember(&pending, SIGPIPE));
    close(STDERR_FILENO);
    mt_os_log("nothing is open\n");
}

static void a_failed_assert_says_where(void) {
    char text[512] = "";
    int from = capture(0), status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        MT_ASSERT(1 + 1 == 3);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    CHECK(read(from, text, sizeof text - 1) > 0);
    CHECK(strstr(text, "os_test.c:") && strstr(text, "1 + 1 == 3"));
}

/* ------------------------------------------------------------------------------------------------ faults */

#ifdef MT_FAULTS
static bool fails(void) {
    void *p = mt_os_alloc(8);
    mt_os_free(p);
    return !p;
}

static void the_nth_call_fails(void) {
    mt_os_fault_arm(3, false);
    CHECK(!fails() && !fails() && fails() && !fails());
    CHECK_INT(mt_os_fault_count(), 4);
    mt_os_fault_arm(2, true);
    CHECK(!fails() && fails() && fails());
    CHECK_INT(mt_os_fault_count(), 3);
    mt_os_fault_arm(0, false);
    CHECK(!fails());
    CHECK_INT(mt_os_fault_count(), 3);
}

static void every_call_can_fail(void) {
    size_t page = mt_os_page_size();
    pthread_t thread;
    int seen = 0;
    char *old = mt_os_alloc(8), *pages = mt_os_map(page);
    mt_os_fault_arm(1, true);
    CHECK(!mt_os_alloc(8) && !mt_os_alloc_zero(8) && !mt_os_alloc_aligned(16, 8) && !mt_os_realloc(old, 9));
    CHECK(!mt_os_map(page) && mt_os_guard(pages, page, 1) == 0 && mt_os_fault());
    CHECK_INT(mt_os_thread_start(&thread, look_around, &seen, "x"), MOTE_ENOMEM);
    mt_os_fault_arm(2, false);
    CHECK_INT(mt_os_thread_start(&thread, look_around, &seen, "x"), MOTE_EOS);
    CHECK_INT(errno, EAGAIN);
    mt_os_fault_arm(0, false);
    mt_os_free(old);
    mt_os_unmap(pages, page);
}

static _Atomic uint32_t failures;

static void *call_often(void *arg) {
    for (int i = 0; i < 10000; i++)
        if (fails()) atomic_fetch_add(&failures, 1);
    return arg;
}

static void one_thread_sees_it(void) {
    pthread_t threads[4];
    mt_os_fault_arm(20000, false); /* each start counts two */
    for (int i = 0; i < 4; i++) CHECK_OK(mt_os_thread_start(&threads[i], call_often, NULL, "calls"));
    for (int i = 0; i < 4; i++) mt_os_thread_join(threads[i]);
    CHECK_INT(atomic_load(&failures), 1);
    CHECK_INT(mt_os_fault_count(), 40008);
}
#else
static void the_nth_call_fails(void) {
    mt_os_fault_arm(1, true);
    CHECK(!mt_os_fault());
    CHECK_INT(mt_os_fault_count(), 0);
}

static void every_call_can_fail(void) {}

static void one_thread_sees_it(void) {}
#endif

int main(int argc, char **argv) {
    return check_main(
        argc, argv,
        (struct check_test[]){TEST(blocks), TEST(maps), TEST(populates), TEST(maps_more_than_there_is), TEST(spans), TEST(guards), TEST(a_guard_faults),
                              TEST(clocks_and_random), TEST(cores_follow_affinity), TEST(futex_waits_as_long_as_said),
                              TEST(futex_wakes), TEST(threads_block_signals), TEST(log_escapes), TEST(log_cuts),
                              TEST(log_never_waits), TEST(log_survives_a_closed_pipe), TEST(a_failed_assert_says_where),
                              TEST(the_nth_call_fails), TEST(every_call_can_fail), TEST(one_thread_sees_it), {0}});
}
