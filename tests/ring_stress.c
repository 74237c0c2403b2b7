/* SPDX-License-Identifier: Apache-2.0
 * A ring and its doorbells between two OS processes, one of which is killed at a random moment, again and again: records of random sizes arrive whole,
 * in order, none twice; the survivor is never stuck. At the end, how long records of three words take.
 *
 *   ring_stress [RECORDS] [SEED]       MOTE_TEST_SEED overrides SEED
 * Sanitizers get a hundredth of the records, valgrind and qemu (MOTE_TEST_UNDER) fewer still.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "check.h"
#include "worker/doorbell.h"
#include "worker/ring.h"

#define CAPACITY ((size_t)1 << 16)
#define RECORD_MAX MT_RING_RECORD_MAX(CAPACITY)
#define SPINS 2000 /* before sleeping */
#define BATCH 64u
#define LIFE_NS_MAX 20000000u
#define WORDS 3

enum { PRODUCER, CONSUMER };

struct shared {
    struct mt_doorbell bells[2];
    _Atomic bool dead[2];         /* said by the parent */
    _Atomic uint64_t next;        /* the consumer has had all records before it */
    struct mt_ring_shared ring;   /* and its bytes */
};

static struct {
    struct shared *shared;
    int events[2];
    uint64_t until, kills[2], sessions, seed;
    bool words; /* all records have WORDS words, and nobody is killed */
} g;

static uint64_t next_random(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    return (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
}

/* The n-th record's size: most are small, some as large as can be. */
static size_t size_of(uint64_t n, uint64_t *bits) {
    *bits = n + g.seed;
    if (g.words) return WORDS * 8;
    uint64_t r = next_random(bits);
    return r % 512 == 0 ? (r >> 16) % (RECORD_MAX + 1) : r % 64 == 0 ? (r >> 16) % 2048 : (r >> 16) % 100;
}

/* Fills or checks a record in whole words, the last one cut. */
static bool each_word(char *p, size_t size, uint64_t bits, bool fill) {
    bool same = true;
    uint64_t first = g.words ? bits : next_random(&bits);
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = first + i, there = word;
        size_t some = size - i < 8 ? size - i : 8;
        memcpy(fill ? p + i : (char *)&there, fill ? (char *)&word : p + i, some);
        same &= there == word;
    }
    return same;
}

static void sleep_or_spin(int who, bool (*ready)(void *), void *arg) {
    for (int i = 0; i < SPINS; i++, mt_cpu_relax())
        if (ready(arg)) return;
    mt_doorbell_sleep(&g.shared->bells[who], 0);
    struct pollfd event = {g.events[who], POLLIN, 0};
    int reported = 0;
    while (!ready(arg) && !atomic_load(&g.shared->dead[!who]) && reported < 1) reported = poll(&event, 1, -1);
    mt_doorbell_wake(&g.shared->bells[who], g.events[who], reported == 1);
}

/* ------------------------------------------------------------------------------------------- the two processes */

static bool has_room(void *out) { return mt_ring_wants_room(out, RECORD_MAX); }

static void publish(struct mt_ring_out *out) {
    if (mt_ring_publish(out)) mt_doorbell_ring(&g.shared->bells[CONSUMER], 0, g.events[CONSUMER]);
}

static void produce(void) {
    struct mt_ring_out out;
    mt_ring_attach_out(&out, &g.shared->ring, CAPACITY);
    unsigned unpublished = 0;
    for (uint64_t n = atomic_load(&g.shared->next), bits; n < g.until;) {
        size_t size = size_of(n, &bits);
        char *p = mt_ring_reserve(&out, size);
        CHECK(!out.cut);
        if (p) {
            each_word(p, size, bits, true);
            mt_ring_commit(&out, size);
            n++;
            if (++unpublished < BATCH) continue;
        }
        publish(&out);
        unpublished = 0;
        if (!p) sleep_or_spin(PRODUCER, has_room, &out);
        if (atomic_load(&g.shared->dead[CONSUMER])) return;
    }
    publish(&out);
}

static bool take_some(struct mt_ring_in *in, uint64_t *n) {
    char record[RECORD_MAX];
    enum mt_ring_got got = MT_RING_EMPTY;
    size_t size;
    uint64_t bits, first = *n;
    for (unsigned i = 0; i < BATCH && (got = mt_ring_next(in, &size)) == MT_RING_RECORD; i++, ++*n) {
        CHECK(*n < g.until && size == size_of(*n, &bits));
        CHECK(mt_ring_read(in, record, size) && each_word(record, size, bits, false));
    }
    CHECK(got != MT_RING_CUT);
    atomic_store_explicit(&g.shared->next, *n, memory_order_release);
    if (mt_ring_release(in)) mt_doorbell_ring(&g.shared->bells[PRODUCER], 0, g.events[PRODUCER]);
    return *n != first;
}

static bool has_records(void *in) {
    const struct mt_ring_in *of = in;
    return atomic_load_explicit(&of->shared->tail, memory_order_relaxed) != of->head;
}

static void consume(void) {
    struct mt_ring_in in;
    mt_ring_attach_in(&in, &g.shared->ring, CAPACITY);
    for (uint64_t n = atomic_load(&g.shared->next); n < g.until;) {
        bool dead = atomic_load(&g.shared->dead[PRODUCER]);
        if (take_some(&in, &n)) continue;
        if (dead) return; /* all that it published has been read */
        sleep_or_spin(CONSUMER, has_records, &in);
    }
}

/* -------------------------------------------------------------------------------------------------- the parent */

/* The calling process is killed at some moment soon, wherever it is then. */
static void die_soon(uint64_t random) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    timer_t timer;
    CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
    CHECK_OK(timer_settime(timer, 0, &(struct itimerspec){.it_value.tv_nsec = (long)(1000 + random % LIFE_NS_MAX)}, NULL));
}

static pid_t start(int who, uint64_t random, bool dies) {
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (dies) die_soon(random);
    who == PRODUCER ? produce() : consume();
    _exit(0);
}

/* Waits for both; the one that is killed is told to the other. Gives whether one was. */
static bool wait_for_both(const pid_t *pids) {
    bool killed = false;
    for (int left = 2; left; left--) {
        int status;
        pid_t pid = waitpid(-1, &status, 0);
        int who = pid == pids[CONSUMER];
        CHECK(pid == pids[who]);
        if (WIFEXITED(status)) CHECK_INT(WEXITSTATUS(status), 0);
        if (!WIFSIGNALED(status)) continue;
        CHECK_INT(WTERMSIG(status), SIGKILL);
        killed = true;
        g.kills[who]++;
        atomic_store(&g.shared->dead[who], true);
        mt_os_event_write(g.events[!who]);
    }
    return killed;
}

static uint64_t session(uint64_t from, uint64_t *random) {
    size_t page = mt_os_page_size(), bytes = (sizeof(struct shared) + CAPACITY + page - 1) / page * page;
    int fd;
    pid_t pids[2];
    CHECK_OK(mt_os_memory_new("ring", bytes, &fd));
    g.shared = mt_os_memory_map(fd, bytes, true);
    CHECK(g.shared);
    mt_ring_init(&g.shared->ring, CAPACITY);
    atomic_store(&g.shared->next, from);
    for (int i = 0; i < 2; i++) CHECK_OK(mt_os_event_new(&g.events[i]));
    unsigned dies = g.words ? 2 : (unsigned)(next_random(random) % 2);
    for (unsigned i = 0; i < 2; i++) pids[i] = start((int)i, next_random(random), i == dies);
    bool killed = wait_for_both(pids);
    uint64_t next = atomic_load(&g.shared->next);
    CHECK(killed || next == g.until);
    for (int i = 0; i < 2; i++) mt_os_close(g.events[i]);
    mt_os_unmap(g.shared, bytes);
    mt_os_close(fd);
    g.sessions++;
    return next;
}

int main(int argc, char **argv) {
    const char *seed = getenv("MOTE_TEST_SEED") ? getenv("MOTE_TEST_SEED") : argc > 2 ? argv[2] : "1";
    g.seed = strtoull(seed, NULL, 10);
    g.until = (argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000) / (getenv("MOTE_TEST_UNDER") ? 2000 : MT_ASAN || MT_TSAN ? 100 : 1);
    uint64_t random = g.seed, next = 0, all = g.until;
    printf("# seed %s (MOTE_TEST_SEED), %llu records\n1..1\n", seed, (unsigned long long)all);
    alarm(500);
    for (; next < all || !g.kills[0] || !g.kills[1]; next = session(next, &random))
        if (next == g.until) g.until += all; /* quicker than anybody was killed */
    g.until = all;
    printf("# %llu sessions, %llu producers and %llu consumers killed\n", (unsigned long long)g.sessions, (unsigned long long)g.kills[0],
           (unsigned long long)g.kills[1]);
    printf("%sok 1 - records arrive whole and in order, whoever is killed\n", g.kills[0] && g.kills[1] ? "" : "not ");
    g.words = true;
    uint64_t best_ns = UINT64_MAX;
    for (int i = 0; i < 10; i++) {
        uint64_t start_ns = mt_os_now_ns();
        session(0, &random);
        uint64_t took_ns = mt_os_now_ns() - start_ns;
        if (took_ns < best_ns) best_ns = took_ns;
    }
    printf("# records of three words: %.1f ns each, the best of ten times\n", (double)best_ns / (double)all);
    return g.kills[0] && g.kills[1] ? 0 : 1;
}
