/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "check.h"
#include "sched/stack.h"
#include "sched/switch.h"

#define SIZE ((size_t)65536)

static size_t page;

/* MT_TEST_EMULATED: under qemu-user limits and resident memory are those of the emulator. */
static bool emulated(void) {
    const char *under = getenv("MOTE_TEST_UNDER");
    return getenv("MT_TEST_EMULATED") != NULL || (under && strcmp(under, "qemu") == 0);
}

static uint64_t random_next(uint64_t *x) {
    *x ^= *x << 13, *x ^= *x >> 7, *x ^= *x << 17;
    return *x;
}

/* Bytes of address space. */
static size_t address_space(void) {
    size_t pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f && fscanf(f, "%zu", &pages) == 1);
    fclose(f);
    return pages * mt_os_page_size();
}
static bool resident(const char *p) {
    unsigned char in = 0;
    CHECK(mincore((void *)(uintptr_t)(p - (uintptr_t)p % page), page, &in) == 0);
    return in & 1;
}
static size_t count_resident(char **tops, size_t count) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++) n += resident(tops[i] - 1);
    return n;
}

static void take_and_give(void) {
    struct mt_stacks *stacks = mt_stacks_new(SIZE);
    struct mt_stack_cache cache;
    mt_stack_cache_init(&cache, stacks);
    CHECK_INT(mt_stacks_size(stacks), SIZE);
    char *a = mt_stack_take(&cache), *b = mt_stack_take(&cache);
    CHECK(a && b && a != b);
    CHECK((uintptr_t)a % 16 == 0 && (uintptr_t)b % 16 == 0);
    CHECK((size_t)labs(a - b) == SIZE + page); /* I1 */
    memset(a - SIZE, 1, SIZE);
    memset(b - SIZE, 2, SIZE);
    CHECK(a[-1] == 1 && a[-(ptrdiff_t)SIZE] == 1);
    mt_stack_give(&cache, a);
    CHECK(mt_stack_take(&cache) == a); /* newest first */
    CHECK(a[-1] == 1);                 /* an idle one keeps its pages */
    mt_stack_give(&cache, a);
    mt_stack_give(&cache, b);
    CHECK(mt_stack_take(&cache) == b);
    mt_stack_give(&cache, b);
    mt_stack_cache_fini(&cache);
    mt_stacks_free(stacks);
}

static void strides(void) {
    static const size_t pages[] = {1, 2, 3, 4, 7, 15, 16, 31, 255, 1024};
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        struct mt_stacks *stacks = mt_stacks_new(pages[i] * page);
        struct mt_stack_cache cache;
        mt_stack_cache_init(&cache, stacks);
        char *a = mt_stack_take(&cache), *b = mt_stack_take(&cache);
        size_t stride = (size_t)labs(a - b);
        CHECK((stride & (stride - 1)) != 0 && stride > pages[i] * page && stride <= (pages[i] + 2) * page);
        char *low = a - pages[i] * page, *lower = b - pages[i] * page;
        *low = *lower = 1;
        CHECK(mt_stacks_is_guard(stacks, low - 1) && mt_stacks_is_guard(stacks, low - page));
        CHECK(!mt_stacks_is_guard(stacks, low) && !mt_stacks_is_guard(stacks, a - 1));
        mt_stack_give(&cache, a);
        mt_stack_give(&cache, b);
        mt_stack_cache_fini(&cache);
        mt_stacks_free(stacks);
    }
}

/* ------------------------------------------------------------------------------------------------------ overflow */

static struct mt_stacks *overflow_stacks;
static struct mt_context overflow_main, overflow_context;
static int overflow_pipe[2];

static void on_fault(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    char answer = mt_stacks_is_guard(overflow_stacks, info->si_addr) ? 'y' : 'n';
    ssize_t n = write(overflow_pipe[1], &answer, 1);
    (void)n;
    struct sigaction dfl = {.sa_handler = SIG_DFL};
    sigaction(SIGSEGV, &dfl, NULL);
    sigaction(SIGBUS, &dfl, NULL);
}
static __attribute__((noinline)) unsigned recurse(unsigned depth) {
    volatile char frame[100];
    frame[depth % 100] = (char)depth;
    return depth == UINT32_MAX ? 0 : recurse(depth + 1) + (unsigned)frame[depth % 100];
}
static void overflow_entry(void) {
    mt_context_entered(&overflow_context);
    recurse(0);
    _exit(0);
}
static void overflow_child(void) {
    static char alternate[65536];
    struct mt_stack_cache cache;
    stack_t ss = {.ss_sp = alternate, .ss_size = sizeof alternate};
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    CHECK(sigaltstack(&ss, NULL) == 0);
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0 && sigaction(SIGBUS, &action, NULL) == 0);
    mt_stack_cache_init(&cache, overflow_stacks);
    for (unsigned i = 0; i < 5; i++) mt_stack_take(&cache);
    mt_context_adopt(&overflow_main);
    mt_context_prepare(&overflow_context, mt_stack_take(&cache), SIZE, overflow_entry);
    mt_context_switch(&overflow_main, &overflow_context, false);
}
static void overflow_hits_guard(void) {
    int status;
    char answer = 0;
    overflow_stacks = mt_stacks_new(SIZE);
    CHECK(pipe(overflow_pipe) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        overflow_child();
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS));
    CHECK(read(overflow_pipe[0], &answer, 1) == 1 && answer == 'y');
    mt_stacks_free(overflow_stacks);
    close(overflow_pipe[0]), close(overflow_pipe[1]);
}

/* ---------------------------------------------------------------------------------------- high-water mark, slabs */

/* As when nothing has been taken for a while. */
static void tidy(struct mt_stacks *stacks) {
    for (int i = 0; i < 2; i++) {
        mt_stacks_age(stacks);
        while (mt_stacks_tidy(stacks)) continue;
    }
}

static void beyond_the_mark(void) {
    enum { N = 4000 };
    struct mt_stacks *stacks = mt_stacks_new(SIZE);
    struct mt_stack_cache cache;
    mt_stack_cache_init(&cache, stacks);
    char **tops = calloc(N, sizeof *tops);
    for (size_t i = 0; i < N; i++) {
        tops[i] = mt_stack_take(&cache);
        CHECK(!resident(tops[i] - 1)); /* I2: a fresh one */
        tops[i][-1] = 1;
    }
    CHECK_INT(count_resident(tops, N), N);
    char *kept = mt_stack_take(&cache); /* keeps one slab in use */
    for (size_t i = 0; i < N - 512; i++) mt_stack_give(&cache, tops[i]);
    CHECK_INT(count_resident(tops, N), N); /* for a while they keep their pages */
    mt_stacks_age(stacks);
    CHECK(!mt_stacks_tidy(stacks)); /* they have just been given back */
    char *warm = mt_stack_take(&cache);
    CHECK(resident(warm - 1));
    mt_stack_give(&cache, warm);
    tidy(stacks);
    size_t left = 0; /* pages of free stacks, as far as their slabs still exist */
    for (size_t i = 0; i < N - 512; i++) {
        unsigned char in = 0;
        left += mincore(tops[i] - page, page, &in) == 0 && (in & 1);
    }
    CHECK(left <= MT_STACK_WARM_MAX + MT_STACK_CACHE_MAX);
    CHECK(getenv("MOTE_TEST_UNDER") || left >= MT_STACK_WARM_MAX / 2); /* qemu's kernel gives more back */
    for (size_t i = N - 512; i < N; i++) mt_stack_give(&cache, tops[i]);
    mt_stack_give(&cache, kept);
    mt_stack_cache_fini(&cache);
    mt_stacks_free(stacks);
    free(tops);
}

/* After a random order of takes and gives no stack is out twice, and in the end the address space is back. */
static void random_order(void) {
    enum { N = 20000 };
    struct mt_stacks *stacks = mt_stacks_new(SIZE);
    struct mt_stack_cache caches[4];
    for (unsigned i = 0; i < 4; i++) mt_stack_cache_init(&caches[i], stacks);
    char **tops = calloc(N, sizeof *tops);
    uint64_t x = 88172645463325252u;
    size_t out = 0, space = address_space(), slab = (SIZE + page) * MT_STACK_SLAB;
    for (unsigned n = 0; n < 400000; n++) {
        bool growing = (n / 50000) % 2 == 0;
        struct mt_stack_cache *cache = &caches[random_next(&x) % 4];
        if (out < N && random_next(&x) % 10 < (growing ? 8 : 2)) {
            char *top = mt_stack_take(cache);
            CHECK(top && mt_stack_intact(stacks, top, SIZE));
            uint64_t *mark = (uint64_t *)(void *)(top - 64);
            CHECK(*mark != 0x5173); /* in use */
            *mark = 0x5173;
            tops[out++] = top;
        } else if (out) {
            size_t at = random_next(&x) % out;
            char *top = tops[at];
            CHECK(*(uint64_t *)(void *)(top - 64) == 0x5173);
            *(uint64_t *)(void *)(top - 64) = 0;
            tops[at] = tops[--out];
            mt_stack_give(cache, top);
        }
    }
    while (out) mt_stack_give(&caches[out % 4], tops[out - 1]), out--;
    for (unsigned i = 0; i < 4; i++) mt_stack_cache_fini(&caches[i]);
    tidy(stacks);
    CHECK(address_space() < space + slab * (MT_STACK_IDLE_MAX + 1) + (32 << 20));
    mt_stacks_free(stacks);
    free(tops);
}

/* ------------------------------------------------------------------------------------------------------- threads */

static struct mt_stacks *shared_stacks;

static void *churn(void *arg) {
    struct mt_stack_cache cache;
    char *mine[3000];
    uint64_t x = (uint64_t)(uintptr_t)arg * 2654435761u + 1;
    mt_stack_cache_init(&cache, shared_stacks);
    for (unsigned round = 0; round < 6; round++) {
        size_t n = 500 + random_next(&x) % 2500;
        for (size_t i = 0; i < n; i++) {
            mine[i] = mt_stack_take(&cache);
            CHECK(mine[i]);
            memset(mine[i] - 32, (int)i, 32);
        }
        for (size_t i = 0; i < n; i++) {
            CHECK(mine[i][-32] == (char)i && mine[i][-1] == (char)i);
            mt_stack_give(&cache, mine[i]);
        }
    }
    mt_stack_cache_fini(&cache);
    return NULL;
}
static void many_threads(void) {
    pthread_t threads[4];
    shared_stacks = mt_stacks_new(SIZE);
    for (uintptr_t i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, churn, (void *)i) == 0);
    for (unsigned i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    mt_stacks_free(shared_stacks);
}

/* ---------------------------------------------------------------------------------------------------- one by one */

static void other_sizes(void) {
    static const size_t sizes[] = {4096, 5000, 8192, 100000, 1 << 20, 64 << 20};
    struct mt_stacks *stacks = mt_stacks_new(SIZE);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *top = mt_stack_map(sizes[i]);
        CHECK(top && (uintptr_t)top % 16 == 0);
        CHECK(!resident(top - sizes[i]) || sizes[i] <= 2 * page);
        CHECK(mt_stack_intact(stacks, top, sizes[i]));
        top[-(ptrdiff_t)sizes[i]] = 1;
        top[-1] = 1;
        CHECK(mt_stack_intact(stacks, top, sizes[i])); /* guarded */
        mt_stack_unmap(top, sizes[i]);
    }
    CHECK(mt_stack_map(SIZE_MAX / 2 + 1) == NULL);
    CHECK(mt_stack_map(SIZE_MAX - 100) == NULL);
    mt_stacks_free(stacks);
}

/* Where there are no more guards, an overflow is seen afterwards. Needs fault points. */
static void without_guards(void) {
    struct mt_stacks *stacks = mt_stacks_new(SIZE);
    struct mt_stack_cache cache;
    mt_stack_cache_init(&cache, stacks);
    mt_os_fault_arm(2, false); /* the first call is mt_os_map() */
    char *top = mt_stack_take(&cache);
    mt_os_fault_arm(0, false);
    CHECK(top);
    bool faults = mt_os_fault_count() > 0;
    top[-1] = 1;
    CHECK(mt_stack_intact(stacks, top, SIZE));
    top[-(ptrdiff_t)SIZE] = 1;
    CHECK(mt_stack_intact(stacks, top, SIZE) == !faults);
    mt_stack_give(&cache, top);
    CHECK(mt_stack_take(&cache) == top && mt_stack_intact(stacks, top, SIZE)); /* its next user has no part in it */
    mt_os_fault_arm(2, false);
    char *single = mt_stack_map(10000);
    mt_os_fault_arm(0, false);
    CHECK(mt_stack_intact(stacks, single, 10000));
    single[-10000] = 1;
    CHECK(mt_stack_intact(stacks, single, 10000) == !faults);
    mt_stack_unmap(single, 10000);
    mt_stack_give(&cache, top);
    mt_stack_cache_fini(&cache);
    mt_stacks_free(stacks);
}

/* No address space: an error, not an end; and what is there goes on. */
static void out_of_memory(void) {
    struct rlimit limit;
    if (emulated()) return;
    struct mt_stacks *stacks = mt_stacks_new(SIZE);
    struct mt_stack_cache cache;
    mt_stack_cache_init(&cache, stacks);
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = address_space() + 3 * (SIZE + page) * MT_STACK_SLAB;
    char **tops = calloc(10000, sizeof *tops);
    if (setrlimit(RLIMIT_AS, &limit) != 0) return;
    size_t n = 0;
    while (n < 10000 && (tops[n] = mt_stack_take(&cache))) n++;
    CHECK(n >= MT_STACK_SLAB && n <= 4 * MT_STACK_SLAB);
    CHECK(mt_stack_take(&cache) == NULL);
    mt_stack_give(&cache, tops[n - 1]);
    CHECK(mt_stack_take(&cache) == tops[n - 1]);
    limit.rlim_cur = before;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    while (n) mt_stack_give(&cache, tops[--n]);
    mt_stack_cache_fini(&cache);
    mt_stacks_free(stacks);
    free(tops);
}

/* ---------------------------------------------------------------------------------------------------- very many */

/* 100 000 stacks, or as many as MT_TEST_STACKS says (1 000 000 need 5 GB), in the order and reverse order of taking. */
static void very_many(void) {
    const char *wanted = getenv("MT_TEST_STACKS");
    size_t n = wanted ? (size_t)strtoull(wanted, NULL, 10) : getenv("MOTE_TEST_UNDER") ? 2000 : 100000;
    struct mt_stacks *stacks = mt_stacks_new(SIZE);
    struct mt_stack_cache cache;
    mt_stack_cache_init(&cache, stacks);
    char **tops = malloc(n * sizeof *tops);
    memset(tops, 0, n * sizeof *tops);
    size_t rss = mt_os_rss(), space = address_space();
    for (unsigned reverse = 0; reverse < 2; reverse++) {
        for (size_t i = 0; i < n; i++) {
            tops[i] = mt_stack_take(&cache);
            CHECK(tops[i]);
            tops[i][-1] = tops[i][-1000] = 1;
        }
        size_t used = mt_os_rss() - rss;
        CHECK(emulated() || used >= n * page);
        CHECK(emulated() || used < n * page + n * page / 50 + (4 << 20)); /* one page each, and 2 % */
        for (size_t i = 0; i < n; i++) mt_stack_give(&cache, tops[reverse ? n - 1 - i : i]);
        tidy(stacks);
        CHECK(emulated() || mt_os_rss() < rss + (MT_STACK_WARM_MAX + MT_STACK_CACHE_MAX) * page + n * 16 + (8 << 20));
        size_t idle = (MT_STACK_IDLE_MAX + 2) * (SIZE + page) * MT_STACK_SLAB;
        CHECK(emulated() || address_space() < space + idle + n * 16 + (32 << 20));
    }
    mt_stack_cache_fini(&cache);
    mt_stacks_free(stacks);
    CHECK(emulated() || address_space() < space + (64 << 20));
    free(tops);
}
#if MT_ASAN || MT_TSAN
#define VERY_MANY {"very_many_not_with_sanitizers", take_and_give, 0}
__attribute__((unused)) static void (*const unused)(void) = very_many;
#else
#define VERY_MANY TEST_SLOW(very_many, 300)
#endif

int main(int argc, char **argv) {
    static const struct check_test tests[] = {
        TEST(take_and_give), TEST(strides),     TEST(overflow_hits_guard), TEST(beyond_the_mark), TEST(random_order),
        TEST(many_threads),  TEST(other_sizes), TEST(out_of_memory),       TEST(without_guards),  VERY_MANY,
        {0}};
    page = mt_os_page_size();
    return check_main(argc, argv, tests);
}
