/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>

#include "check.h"
#include "sched/stack.h"
#include "sched/switch.h"

#define SIZE ((size_t)65536)
#if MT_TSAN
#define MANY 300u
#elif MT_ASAN || defined(MT_SWITCH_UCONTEXT)
#define MANY 2000u
#else
#define MANY 10000u
#endif

static struct mt_context main_context;

/* Mapped by stack.c, which tells valgrind of them. */
static char *stack_new(void) {
    char *top = mt_stack_map(SIZE);
    CHECK(top);
    return top;
}
static void stack_free(char *top) {
    mt_stack_unmap(top, SIZE);
}
static uint64_t random_next(uint64_t *x) {
    *x ^= *x << 13, *x ^= *x >> 7, *x ^= *x << 17;
    return *x;
}

/* ------------------------------------------------------------------------------------------------ ping-pong */

static struct mt_context ping, pong;
static uint64_t ping_count;

static void ping_entry(void) {
    mt_context_entered(&ping);
    for (;;) {
        ping_count++;
        mt_context_switch(&ping, &pong, false);
    }
}
static void pong_entry(void) {
    mt_context_entered(&pong);
    while (ping_count < 100000) {
        CHECK(pong.sp == NULL && ping.sp != NULL); /* NULL while it runs */
        mt_context_switch(&pong, &ping, false);
    }
    mt_context_switch(&pong, &main_context, true);
    check_failed(__FILE__, __LINE__, "a context that ended goes on");
}
static void two_contexts(void) {
    char *a = stack_new(), *b = stack_new();
    mt_context_adopt(&main_context);
    mt_context_prepare(&ping, a, SIZE, ping_entry);
    mt_context_prepare(&pong, b, SIZE, pong_entry);
    mt_context_switch(&main_context, &ping, false);
    CHECK_INT(ping_count, 100000);
    mt_context_fini(&ping);
    mt_context_fini(&pong);
    mt_context_fini(&main_context);
    stack_free(a), stack_free(b);
}

/* ------------------------------------------------------------------- many contexts, whatever they keep in registers */

struct worker {
    struct mt_context context;
    char *top;
    uint64_t seed, sum;
    unsigned turns;
};
static struct worker *workers, *current;

/* Mixes arguments that live across the switch: integers, doubles, long doubles, and more of them than there are registers. */
static __attribute__((noinline)) uint64_t busy_switch(struct worker *w, uint64_t a, uint64_t b, uint64_t c, uint64_t d, double x,
                                                      double y, float z, long double l, uint64_t e, uint64_t f, uint64_t g) {
    uint64_t h = a ^ b, i = c ^ d, j = e ^ f, k = f ^ g, m = a + g, n = b * 3;
    double u = x * y, v = x - y;
    mt_context_switch(&w->context, &main_context, false);
    CHECK(u == x * y && v == x - y && h == (a ^ b) && i == (c ^ d) && j == (e ^ f) && k == (f ^ g));
    CHECK(m == a + g && n == b * 3 && (double)z == (double)(float)x && l == (long double)y * 2);
    return h + i + j + k + m + n + (uint64_t)u;
}

static void worker_entry(void) {
    struct worker *w = current;
    mt_context_entered(&w->context);
    uint64_t x = w->seed;
    for (;;) {
        uint64_t a = random_next(&x), b = random_next(&x);
        double d = (double)(a % 1000), e = (double)(b % 1000);
        w->sum += busy_switch(w, a, b, a + 1, b + 2, d, e, (float)d, (long double)e * 2, a + 3, b + 4, a - b);
        w->turns++;
    }
}

/* The same sums, computed without switches. */
static uint64_t worker_expected(uint64_t x, unsigned turns) {
    uint64_t sum = 0;
    for (unsigned t = 0; t < turns; t++) {
        uint64_t a = random_next(&x), b = random_next(&x), c = a + 1, d = b + 2, e = a + 3, f = b + 4, g = a - b;
        double u = (double)(a % 1000) * (double)(b % 1000);
        sum += (a ^ b) + (c ^ d) + (e ^ f) + (f ^ g) + (a + g) + b * 3 + (uint64_t)u;
    }
    return sum;
}

static void many_contexts(void) {
    uint64_t x = 88172645463325252u;
    workers = calloc(MANY, sizeof *workers);
    mt_context_adopt(&main_context);
    for (unsigned i = 0; i < MANY; i++) {
        workers[i].top = stack_new();
        workers[i].seed = i * 2 + 1;
        mt_context_prepare(&workers[i].context, workers[i].top, SIZE, worker_entry);
    }
    for (unsigned n = 0; n < MANY * 20; n++) {
        current = &workers[random_next(&x) % MANY];
        mt_context_switch(&main_context, &current->context, false);
    }
    for (unsigned i = 0; i < MANY; i++) {
        CHECK_INT(workers[i].sum, worker_expected(workers[i].seed, workers[i].turns));
        mt_context_fini(&workers[i].context);
        stack_free(workers[i].top);
    }
    free(workers);
}

/* ------------------------------------------------------------------------------------- deep calls, red zone, alignment */

static struct worker deep;

static __attribute__((noinline)) unsigned descend(unsigned depth) {
    volatile unsigned char frame[64];
    for (unsigned i = 0; i < sizeof frame; i++) frame[i] = (unsigned char)(depth + i);
    unsigned below = 0;
    if (depth) below = descend(depth - 1);
    else mt_context_switch(&deep.context, &main_context, false);
    for (unsigned i = 0; i < sizeof frame; i++) CHECK(frame[i] == (unsigned char)(depth + i));
    return below + 1;
}

/* A leaf but for the switch: compilers keep these in the red zone. */
static __attribute__((noinline)) unsigned leaf(struct mt_context *from, struct mt_context *to, const unsigned *in) {
    volatile unsigned a[16];
    for (unsigned i = 0; i < 16; i++) a[i] = in[i];
    mt_context_switch(from, to, false);
    unsigned sum = 0;
    for (unsigned i = 0; i < 16; i++) sum += a[i];
    return sum;
}

static __attribute__((noinline)) void align_check(void) {
    _Alignas(16) volatile char local[16];
    local[0] = 1;
    CHECK((uintptr_t)local % 16 == 0);
    double d = 1.5;
    char text[64];
    snprintf(text, sizeof text, "%.3f %d", d, local[0]); /* libc saves vector registers with aligned moves */
    CHECK_STR(text, "1.500 1");
}

static void deep_entry(void) {
    mt_context_entered(&deep.context);
    CHECK((uintptr_t)__builtin_frame_address(0) % 16 == 0);
    align_check();
    unsigned in[16], want = 0;
    for (unsigned i = 0; i < 16; i++) want += in[i] = i * 7;
    for (unsigned turn = 0;; turn++) {
        CHECK_INT(descend(turn % 100), turn % 100 + 1);
        CHECK_INT(leaf(&deep.context, &main_context, in), want);
    }
}

static void deep_calls(void) {
    unsigned in[16], want = 0;
    for (unsigned i = 0; i < 16; i++) want += in[i] = i * 5 + 1;
    deep.top = stack_new();
    mt_context_adopt(&main_context);
    mt_context_prepare(&deep.context, deep.top, SIZE, deep_entry);
    for (unsigned i = 0; i < 1000; i++) CHECK_INT(leaf(&main_context, &deep.context, in), want);
    mt_context_fini(&deep.context);
    stack_free(deep.top);
}

/* --------------------------------------------------------- frames of unknown size: base pointers, and reuse of a stack */

static __attribute__((noinline)) void variable_frame(size_t size) {
    _Alignas(64) volatile char aligned[64];
    char *p = __builtin_alloca(size);
    memset(p, 7, size);
    aligned[0] = 9;
    mt_context_switch(&deep.context, &main_context, false);
    CHECK((uintptr_t)aligned % 64 == 0 && aligned[0] == 9);
    for (size_t i = 0; i < size; i++) CHECK(p[i] == 7);
}
static void variable_entry(void) {
    mt_context_entered(&deep.context);
    for (size_t i = 1; i < 10; i++) variable_frame(i * 100);
    mt_context_switch(&deep.context, &main_context, true);
}
static void variable_frames(void) {
    deep.top = stack_new();
    mt_context_adopt(&main_context);
    for (unsigned i = 0; i < 100; i++) {
        mt_context_prepare(&deep.context, deep.top, SIZE, variable_entry);
        for (unsigned n = 0; n < i % 11; n++) mt_context_switch(&main_context, &deep.context, false); /* 10: to its end */
        mt_context_fini(&deep.context);
    }
    stack_free(deep.top);
}

/* -------------------------------------------------------------------------------------------------------- migration */

#define MIGRATIONS 2000u

static struct mt_context thread_context[2], traveller;
static _Atomic unsigned whose_turn; /* which thread may resume the traveller; 2: nobody any more */
static unsigned trips[2];
static struct mt_context *resumed_from;

/* As a process: errno and thread-local data must be found anew after each switch. */
static __attribute__((noinline)) int *errno_address(void) {
    __asm__ volatile("");
    return &errno;
}
static void traveller_entry(void) {
    mt_context_entered(&traveller);
    int *last = NULL;
    for (unsigned i = 0; i < MIGRATIONS; i++) {
        CHECK(errno_address() != last);
        last = errno_address();
        trips[i % 2]++;
        mt_context_switch(&traveller, resumed_from, i == MIGRATIONS - 1);
    }
    check_failed(__FILE__, __LINE__, "a context that ended goes on");
}
static void *migrate(void *arg) {
    unsigned me = arg != NULL;
    mt_context_adopt(&thread_context[me]);
    for (unsigned i = 0; i < MIGRATIONS / 2; i++) {
        while (atomic_load_explicit(&whose_turn, memory_order_acquire) != me) sched_yield();
        resumed_from = &thread_context[me];
        mt_context_switch(&thread_context[me], &traveller, false);
        atomic_store_explicit(&whose_turn, 1 - me, memory_order_release); /* after the switch: the hook of the scheduler */
    }
    mt_context_fini(&thread_context[me]);
    return NULL;
}
static void migration(void) {
    pthread_t thread;
    char *top = stack_new();
    mt_context_prepare(&traveller, top, SIZE, traveller_entry);
    CHECK_INT(pthread_create(&thread, NULL, migrate, &whose_turn), 0);
    migrate(NULL);
    CHECK_INT(pthread_join(thread, NULL), 0);
    CHECK(trips[0] == MIGRATIONS / 2 && trips[1] == MIGRATIONS / 2);
    mt_context_fini(&traveller);
    stack_free(top);
}

/* --------------------------------------------------------------------------------------------------------- unwinding */

typedef int (*trace_fn)(void *context, void *arg);
extern int _Unwind_Backtrace(trace_fn trace, void *arg);

static struct mt_context unwinder;
static unsigned unwound;

static int count_frame(void *context, void *arg) {
    (void)context;
    ++*(unsigned *)arg;
    return 0;
}
static void unwind_entry(void) {
    mt_context_entered(&unwinder);
    _Unwind_Backtrace(count_frame, &unwound);
    mt_context_switch(&unwinder, &main_context, true);
}
/* The unwinder ends at the entry: it sees this frame (and perhaps one of no code), not garbage. */
static void unwinding_stops(void) {
    char *top = stack_new();
    mt_context_adopt(&main_context);
    mt_context_prepare(&unwinder, top, SIZE, unwind_entry);
    mt_context_switch(&main_context, &unwinder, false);
    CHECK(unwound >= 1 && unwound <= 3);
    mt_context_fini(&unwinder);
    stack_free(top);
}

/* I1: a context that runs, or has not been prepared, cannot be switched to. */
static void resumed_twice(void) {
    pid_t pid = fork();
    if (pid == 0) {
        struct mt_context never = {0};
        CHECK(freopen("/dev/null", "w", stderr));
        mt_context_adopt(&main_context);
        mt_context_switch(&main_context, &never, false);
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
}

int main(int argc, char **argv) {
    static const struct check_test tests[] = {TEST(two_contexts),    TEST(many_contexts), TEST(deep_calls),
                                              TEST(variable_frames), TEST(migration),     TEST(unwinding_stops),
                                              TEST(resumed_twice),   {0}};
    return check_main(argc, argv, tests);
}
