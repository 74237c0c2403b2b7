/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>

#include "check.h"
#include "sched/poll.h"

#define MS UINT64_C(1000000)
#define BOTH (MOTE_READ | MOTE_WRITE)
#define EVENTS 64u

static struct mt_poll *poller;
static struct mt_poll_event events[EVENTS];

static void start(void) {
    CHECK_OK(mt_poll_new(&poller));
    CHECK(mt_poll_enter(poller));
    CHECK(!mt_poll_enter(poller)); /* one at a time */
    CHECK_INT(mt_poll_armed(poller), 0);
}
static void stop(void) {
    mt_poll_leave(poller);
    CHECK(mt_poll_enter(poller));
    mt_poll_leave(poller);
    mt_poll_free(poller);
}
static void pair(int fd[2]) {
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0);
}
static void put(int fd) {
    CHECK(write(fd, "x", 1) == 1);
}
static void get(int fd) {
    char c;
    CHECK(read(fd, &c, 1) == 1);
}
static size_t run(uint64_t timeout_ns) {
    return mt_poll_run(poller, timeout_ns, events, EVENTS);
}

static void readable(void) {
    int fd[2];
    start(), pair(fd);
    CHECK_OK(mt_poll_arm(poller, fd[0], MOTE_READ, 7, 100));
    CHECK_INT(mt_poll_armed(poller), 1);
    CHECK_INT(run(0), 0);
    put(fd[1]);
    CHECK_INT(run(MT_NEVER), 1);
    CHECK(events[0].owner == 7 && events[0].ticket == 100 && events[0].events == MOTE_READ);
    CHECK_INT(mt_poll_armed(poller), 0);
    CHECK_INT(run(MS), 0); /* once */
    CHECK_INT(mt_poll_disarm(poller, 100), MOTE_NOMATCH);
    CHECK_OK(mt_poll_arm(poller, fd[0], MOTE_READ, 8, 101)); /* again: it is still readable */
    CHECK_INT(run(MT_NEVER), 1);
    CHECK(events[0].owner == 8 && events[0].ticket == 101);
    stop(), close(fd[0]), close(fd[1]);
}

static void writable(void) {
    int fd[2];
    start(), pair(fd);
    CHECK_OK(mt_poll_arm(poller, fd[0], MOTE_WRITE, 1, 1));
    CHECK_INT(run(MT_NEVER), 1);
    CHECK_INT(events[0].events, MOTE_WRITE);
    put(fd[1]);
    CHECK_OK(mt_poll_arm(poller, fd[0], BOTH, 1, 2));
    CHECK_INT(run(MT_NEVER), 1);
    CHECK_INT(events[0].events, BOTH);
    char full[4096] = {0};
    while (write(fd[0], full, sizeof full) > 0)
        ;
    CHECK_OK(mt_poll_arm(poller, fd[0], MOTE_WRITE, 1, 3));
    CHECK_INT(run(5 * MS), 0);
    while (read(fd[1], full, sizeof full) > 0)
        ;
    CHECK_INT(run(MT_NEVER), 1);
    CHECK(events[0].ticket == 3 && events[0].events == MOTE_WRITE);
    stop(), close(fd[0]), close(fd[1]);
}

static void timeouts(void) {
    int fd[2];
    start(), pair(fd);
    CHECK_OK(mt_poll_arm(poller, fd[0], MOTE_READ, 1, 1));
    uint64_t before = mt_os_now_ns();
    CHECK_INT(run(20 * MS), 0);
    CHECK(mt_os_now_ns() - before >= 20 * MS);
    before = mt_os_now_ns();
    for (unsigned i = 0; i < 100; i++) CHECK_INT(run(100000), 0);
    CHECK(mt_os_now_ns() - before >= 10 * MS);
    stop(), close(fd[0]), close(fd[1]);
}

static void busy(void) {
    int fd[2];
    start(), pair(fd);
    CHECK_OK(mt_poll_arm(poller, fd[0], MOTE_READ, 1, 1));
    CHECK_INT(mt_poll_arm(poller, fd[0], MOTE_READ, 1, 2), MOTE_EBUSY); /* the poller has not seen the first */
    CHECK_INT(mt_poll_arm(poller, fd[0], MOTE_WRITE, 1, 3), MOTE_EBUSY);
    CHECK_INT(run(0), 0);
    CHECK_INT(mt_poll_arm(poller, fd[0], MOTE_READ, 1, 4), MOTE_EBUSY); /* and now it has */
    CHECK_INT(mt_poll_armed(poller), 1);
    CHECK_OK(mt_poll_disarm(poller, 1));
    CHECK_INT(mt_poll_disarm(poller, 1), MOTE_NOMATCH);
    CHECK_INT(mt_poll_disarm(poller, 2), MOTE_NOMATCH);
    CHECK_OK(mt_poll_arm(poller, fd[0], MOTE_WRITE, 1, 5)); /* before it has seen the disarming */
    CHECK_INT(run(MT_NEVER), 1);
    CHECK_INT(events[0].ticket, 5);
    stop(), close(fd[0]), close(fd[1]);
}

static void bad_descriptors(void) {
    int fd[2], file = open("/proc/self/exe", O_RDONLY), folder = open("/", O_RDONLY | O_DIRECTORY);
    start(), pair(fd);
    CHECK(file >= 0 && folder >= 0);
    CHECK_INT(mt_poll_arm(poller, -1, MOTE_READ, 1, 1), MOTE_EOS);
    CHECK_INT(mt_poll_arm(poller, 1000000, MOTE_READ, 1, 2), MOTE_EOS);
    CHECK_INT(errno, EBADF);
    CHECK_INT(mt_poll_arm(poller, file, MOTE_READ, 1, 3), MOTE_EOS);
    CHECK_INT(errno, EPERM);
    CHECK_INT(mt_poll_arm(poller, folder, MOTE_READ, 1, 4), MOTE_EOS);
    CHECK_INT(mt_poll_armed(poller), 0);
    close(fd[0]);
    CHECK_INT(mt_poll_arm(poller, fd[0], MOTE_READ, 1, 5), MOTE_EOS);
    int null = open("/dev/null", O_RDWR); /* no file, but of no use to the kernel either: always ready */
    CHECK_INT(mt_poll_arm(poller, null, MOTE_READ, 1, 6), MOTE_EOS);
    CHECK_INT(mt_poll_armed(poller), 0);
    stop(), close(fd[1]), close(file), close(folder), close(null);
}

static void hang_up(void) {
    int fd[2];
    start(), pair(fd);
    CHECK_OK(mt_poll_arm(poller, fd[0], MOTE_READ, 1, 1));
    CHECK_INT(run(0), 0);
    close(fd[1]);
    CHECK_INT(run(MT_NEVER), 1);
    CHECK(events[0].events & MOTE_READ);
    CHECK_OK(mt_poll_arm(poller, fd[0], BOTH, 1, 2));
    CHECK_INT(run(MT_NEVER), 1);
    CHECK_INT(events[0].events, BOTH);
    close(fd[0]);
    CHECK(pipe(fd) == 0);
    CHECK_OK(mt_poll_arm(poller, fd[1], MOTE_WRITE, 1, 3));
    CHECK_INT(run(MT_NEVER), 1);
    close(fd[0]);
    CHECK_OK(mt_poll_arm(poller, fd[1], MOTE_WRITE, 1, 4)); /* an error: nobody reads */
    CHECK_INT(run(MT_NEVER), 1);
    CHECK_INT(events[0].events, BOTH);
    stop(), close(fd[1]);
}

static void closed_meanwhile(void) {
    int fd[2], other[2];
    start(), pair(fd);
    CHECK_OK(mt_poll_arm(poller, fd[0], MOTE_READ, 1, 2));
    CHECK_INT(run(0), 0);
    close(fd[0]); /* against the rules. It does not fire, and may be disarmed */
    CHECK_INT(run(MS), 0);
    pair(other); /* has the same number */
    CHECK_INT(other[0], fd[0]);
    CHECK_INT(mt_poll_arm(poller, other[0], MOTE_READ, 1, 3), MOTE_EBUSY);
    CHECK_OK(mt_poll_disarm(poller, 2));
    CHECK_OK(mt_poll_arm(poller, other[0], MOTE_READ, 1, 4));
    CHECK_INT(run(0), 0);
    put(other[1]);
    CHECK_INT(run(MT_NEVER), 1);
    CHECK_INT(events[0].ticket, 4);
    stop(), close(fd[1]), close(other[0]), close(other[1]);
}

/* A descriptor that lives on as a copy leaves nothing behind in the kernel's set. */
static void disarmed_and_closed_with_copies(void) {
    int fd[2];
    start(), pair(fd);
    int copy = dup(fd[0]);
    CHECK_OK(mt_poll_arm(poller, fd[0], MOTE_READ, 1, 1));
    CHECK_INT(run(0), 0);
    CHECK_OK(mt_poll_disarm(poller, 1));
    close(fd[0]);
    put(fd[1]);
    uint64_t cpu = mt_os_cpu_ns();
    CHECK_INT(run(100 * MS), 0);
    CHECK(mt_os_cpu_ns() - cpu < 60 * MS); /* it sleeps */
    stop(), close(copy), close(fd[1]);
}

/* Nor does one that has fired; its number may be another's when it is armed next. */
static void fired_and_closed_with_copies(void) {
    int fd[2], other[2];
    start(), pair(fd);
    int copy = dup(fd[0]);
    CHECK_OK(mt_poll_arm(poller, fd[0], MOTE_READ, 1, 1));
    put(fd[1]);
    CHECK_INT(run(MT_NEVER), 1);
    close(fd[0]);
    put(fd[1]);
    CHECK_INT(run(MS), 0);
    pair(other);
    CHECK_INT(other[0], fd[0]);
    CHECK_OK(mt_poll_arm(poller, other[0], MOTE_READ, 1, 2));
    CHECK_INT(run(MS), 0); /* what can be read there is not here */
    close(fd[1]);
    CHECK_INT(run(MS), 0);
    put(other[1]);
    CHECK_INT(run(MT_NEVER), 1);
    CHECK_INT(events[0].ticket, 2);
    stop(), close(copy), close(other[0]), close(other[1]);
}

/* It is non-blocking, also when its number was watched as another's. */
static void does_not_block(void) {
    int fd[2];
    char c;
    start();
    for (uint64_t i = 0; i < 3; i++) {
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
        CHECK_OK(mt_poll_arm(poller, fd[0], MOTE_READ, 1, i));
        CHECK(read(fd[0], &c, 1) == -1 && errno == EAGAIN);
        put(fd[1]);
        CHECK_INT(run(MT_NEVER), 1);
        close(fd[0]), close(fd[1]);
    }
    stop();
}

static void few_at_a_time(void) {
    enum { N = 10 };
    int fd[N][2];
    uint64_t seen = 0;
    start();
    for (uint64_t i = 0; i < N; i++) {
        pair(fd[i]), put(fd[i][1]);
        CHECK_OK(mt_poll_arm(poller, fd[i][0], MOTE_READ, 1, i));
    }
    CHECK_INT(mt_poll_run(poller, MT_NEVER, events, 3), 3);
    for (unsigned i = 0; i < 3; i++) seen |= UINT64_C(1) << events[i].ticket;
    CHECK_INT(mt_poll_armed(poller), N - 3);
    uint64_t taken = N;
    for (uint64_t i = 0; i < N; i++)
        if (!(seen >> i & 1) && taken == N) taken = i; /* ready, but not given out: may still be disarmed */
    CHECK_OK(mt_poll_disarm(poller, taken));
    CHECK_INT(mt_poll_run(poller, MT_NEVER, events, 3), 3);
    for (unsigned i = 0; i < 3; i++) seen |= UINT64_C(1) << events[i].ticket;
    CHECK_INT(mt_poll_run(poller, MT_NEVER, events, 10), 3);
    for (unsigned i = 0; i < 3; i++) seen |= UINT64_C(1) << events[i].ticket;
    CHECK_INT(seen, ((1 << N) - 1) ^ (1 << taken));
    CHECK_INT(run(0), 0);
    stop();
    for (unsigned i = 0; i < N; i++) close(fd[i][0]), close(fd[i][1]);
}

static void free_with_pending(void) {
    int fd[4][2];
    start();
    for (uint64_t i = 0; i < 4; i++) pair(fd[i]);
    CHECK_OK(mt_poll_arm(poller, fd[0][0], MOTE_READ, 1, 0));
    CHECK_OK(mt_poll_arm(poller, fd[1][0], MOTE_READ, 1, 1));
    CHECK_OK(mt_poll_arm(poller, fd[2][0], MOTE_WRITE, 1, 2));
    CHECK_INT(mt_poll_run(poller, MT_NEVER, events, 1), 1);
    CHECK_OK(mt_poll_disarm(poller, 0));
    CHECK_OK(mt_poll_arm(poller, fd[0][0], BOTH, 1, 3));
    put(fd[1][1]);
    CHECK_INT(mt_poll_run(poller, MT_NEVER, events, 1), 1); /* one has fired and waits, others are in each other state */
    CHECK_OK(mt_poll_arm(poller, fd[3][0], BOTH, 1, 4));
    CHECK_OK(mt_poll_disarm(poller, 4));
    CHECK_OK(mt_poll_arm(poller, fd[3][0], BOTH, 1, 5));
    stop(); /* leak checkers look */
    for (unsigned i = 0; i < 4; i++) close(fd[i][0]), close(fd[i][1]);
}

static void keeps_no_descriptors(void) {
    int before = dup(0);
    CHECK(before >= 0 && close(before) == 0);
    for (unsigned i = 0; i < 10; i++) start(), stop();
    int after = dup(0);
    CHECK_INT(after, before);
    close(after);
}

/* ------------------------------------------------------------------------------------------------------ threads */

static void *wake_later(void *arg) {
    (void)arg;
    mt_poll_wake(poller);
    return NULL;
}
static void on_signal(int number) {
    (void)number;
    mt_poll_wake(poller);
}
static void wake(void) {
    int fd[2];
    pthread_t thread;
    start(), pair(fd);
    CHECK_OK(mt_poll_arm(poller, fd[0], MOTE_READ, 1, 1));
    mt_poll_wake(poller);
    CHECK_INT(run(MT_NEVER), 0); /* or else the next one */
    CHECK_INT(run(MS), 0);
    for (unsigned i = 0; i < 200; i++) {
        CHECK(pthread_create(&thread, NULL, wake_later, NULL) == 0);
        CHECK_INT(run(MT_NEVER), 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    CHECK_INT(run(MT_NEVER), 0);
    stop(), close(fd[0]), close(fd[1]);
}

static int late_fd[2];
static void *arm_later(void *arg) {
    (void)arg;
    CHECK_OK(mt_poll_arm(poller, late_fd[0], MOTE_WRITE, 1, 77));
    return NULL;
}
static void armed_while_it_sleeps(void) {
    pthread_t thread;
    start(), pair(late_fd);
    for (unsigned i = 0; i < 100; i++) {
        CHECK(pthread_create(&thread, NULL, arm_later, NULL) == 0);
        CHECK_INT(run(MT_NEVER), 1);
        CHECK_INT(events[0].ticket, 77);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    stop(), close(late_fd[0]), close(late_fd[1]);
}

#define RACERS 4u
#define RACE_ROUNDS 5000u

static _Atomic unsigned fired[RACERS * RACE_ROUNDS]; /* by ticket */
static _Atomic unsigned racing;
static _Atomic uint64_t fired_count;

/* Arms, makes ready or not, disarms, closes and opens: each watch fires once or is disarmed, never both. */
static void *race(void *arg) {
    uint64_t me = (uint64_t)(uintptr_t)arg, x = me * 2654435761u + 88172645463325252u, disarmed = 0, n = 0;
    int fd[2];
    pair(fd);
    for (uint64_t i = 0; i < RACE_ROUNDS; i++) {
        uint64_t ticket = me * RACE_ROUNDS + i;
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        if (x % 3 == 0) put(fd[1]), n++;
        CHECK_OK(mt_poll_arm(poller, fd[0], x % 2 ? MOTE_READ : BOTH, me, ticket));
        if (x % 5 == 0) put(fd[1]), n++;
        for (unsigned spin = 0; spin < x % 300; spin++) __asm__ volatile("");
        if (x % 11 == 0) sched_yield();
        mote_err err = mt_poll_disarm(poller, ticket);
        if (!err) {
            CHECK_INT(atomic_load(&fired[ticket]), 0);
            atomic_store(&fired[ticket], 2);
            disarmed++;
        }
        for (; n; n--) get(fd[0]);
        if (x % 7 == 0) { /* the number is reused, maybe by another thread */
            close(fd[0]), close(fd[1]);
            pair(fd);
        }
    }
    close(fd[0]), close(fd[1]);
    atomic_fetch_sub(&racing, 1);
    mt_poll_wake(poller);
    return (void *)(uintptr_t)disarmed;
}
static void races(void) {
    pthread_t threads[RACERS];
    uint64_t disarmed = 0, given = 0;
    void *result;
    start();
    atomic_store(&racing, RACERS);
    for (uintptr_t i = 0; i < RACERS; i++) CHECK(pthread_create(&threads[i], NULL, race, (void *)i) == 0);
    while (atomic_load(&racing)) {
        size_t n = mt_poll_run(poller, MT_NEVER, events, 3);
        for (size_t i = 0; i < n; i++) CHECK_INT(atomic_exchange(&fired[events[i].ticket], 1), 0);
        given += n;
    }
    for (unsigned i = 0; i < RACERS; i++) {
        CHECK(pthread_join(threads[i], &result) == 0);
        disarmed += (uintptr_t)result;
    }
    CHECK_INT(run(0), 0);
    CHECK_INT(given + disarmed, RACERS * RACE_ROUNDS);
    CHECK_INT(mt_poll_armed(poller), 0);
    stop();
}

static void *take_turns(void *arg) {
    struct mt_poll_event mine[4];
    (void)arg;
    while (atomic_load(&fired_count) < 2000) {
        if (!mt_poll_enter(poller)) continue;
        size_t n = mt_poll_run(poller, 0, mine, 4);
        for (size_t i = 0; i < n; i++) atomic_fetch_add(&fired_count, 1);
        mt_poll_leave(poller);
        for (size_t i = 0; i < n; i++) CHECK_OK(mt_poll_arm(poller, (int)mine[i].owner, MOTE_WRITE, mine[i].owner, mine[i].ticket + 100));
    }
    return NULL;
}
static void role_wanders(void) {
    pthread_t threads[3];
    int fd[8][2];
    CHECK_OK(mt_poll_new(&poller));
    for (uint64_t i = 0; i < 8; i++) {
        pair(fd[i]);
        CHECK_OK(mt_poll_arm(poller, fd[i][0], MOTE_WRITE, (uint64_t)fd[i][0], i));
    }
    for (unsigned i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, take_turns, NULL) == 0);
    for (unsigned i = 0; i < 3; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_INT(mt_poll_armed(poller), 8);
    mt_poll_free(poller);
    for (unsigned i = 0; i < 8; i++) close(fd[i][0]), close(fd[i][1]);
}

static void many_watches(void) {
    enum { N = 400 };
    static int fd[N][2];
    start();
    for (uint64_t i = 0; i < N; i++) {
        pair(fd[i]);
        CHECK_OK(mt_poll_arm(poller, fd[i][0], MOTE_READ, i, i * 1024));
    }
    CHECK_INT(run(0), 0);
    CHECK_INT(mt_poll_armed(poller), N);
    for (uint64_t i = 0; i < N; i += 2) CHECK_OK(mt_poll_disarm(poller, i * 1024));
    for (uint64_t i = 0; i < N; i++) put(fd[i][1]);
    size_t got = 0;
    while (got < N / 2) {
        size_t n = run(MT_NEVER);
        for (size_t i = 0; i < n; i++) CHECK(events[i].owner % 2 == 1 && events[i].ticket == events[i].owner * 1024);
        got += n;
    }
    CHECK_INT(run(0), 0);
    stop();
    for (unsigned i = 0; i < N; i++) close(fd[i][0]), close(fd[i][1]);
}

int main(int argc, char **argv) {
    static const struct check_test tests[] = {TEST(readable),
                                              TEST(writable),
                                              TEST(timeouts),
                                              TEST(busy),
                                              TEST(bad_descriptors),
                                              TEST(hang_up),
                                              TEST(closed_meanwhile),
                                              TEST(disarmed_and_closed_with_copies),
                                              TEST(fired_and_closed_with_copies),
                                              TEST(does_not_block),
                                              TEST(few_at_a_time),
                                              TEST(free_with_pending),
                                              TEST(keeps_no_descriptors),
                                              TEST(wake),
                                              TEST(armed_while_it_sleeps),
                                              TEST(races),
                                              TEST(role_wanders),
                                              TEST(many_watches),
                                              {0}};
    signal(SIGPIPE, SIG_IGN);
    return check_main(argc, argv, tests);
}
