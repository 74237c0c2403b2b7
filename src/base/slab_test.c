/* SPDX-License-Identifier: Apache-2.0
 * Magazines and the depot, in every build: with plain allocation there would be nothing to test. */
#undef MT_PLAIN_ALLOC
#include "base/slab.h"

#include <pthread.h>

#include "check.h"

#define THREADS 4u
#define TOOLS (MT_TSAN || MT_ASAN || getenv("MOTE_TEST_UNDER")) /* their own memory hides ours */
#define ROUNDS (TOOLS ? 60000u : 600000u)
#define MIB ((size_t)1 << 20)

static struct mt_depot *depot;
static struct mt_cache one;

static void begin(void) {
    depot = mt_depot_new();
    CHECK(depot);
    mt_cache_init(&one, depot);
}

/* When all blocks are back, every span must be whole: a lost or doubled block would keep it. */
static void end(void) {
    mt_cache_fini(&one);
    mt_depot_trim(depot, 0);
    CHECK_INT(mt_depot_free_bytes(depot), 0);
    mt_depot_free(depot);
}

/* ---------------------------------------------------------------------------------------------- contents */

/* Fills a block so that another user of any of its bytes is found out. */
static void fill(void *block, size_t size, uint32_t seed) {
    uint32_t *word = block;
    for (size_t i = 0; i < size / 4; i++) word[i] = seed * 2654435761u + (uint32_t)i;
    memset((char *)block + size / 4 * 4, (int)(seed & 0xff), size % 4);
}

static void check_filled(const void *block, size_t size, uint32_t seed) {
    const uint32_t *word = block;
    const unsigned char *byte = block;
    for (size_t i = 0; i < size / 4; i++) CHECK(word[i] == seed * 2654435761u + (uint32_t)i);
    for (size_t i = size / 4 * 4; i < size; i++) CHECK(byte[i] == (seed & 0xff));
}

static void all_sizes(void) {
    static void *blocks[700][3];
    begin();
    for (uint32_t size = 1; size < 700; size++)
        for (uint32_t i = 0; i < 3; i++) {
            void *p = blocks[size][i] = mt_cache_alloc(&one, size);
            CHECK(p && ((uintptr_t)p & 15) == 0);
            fill(p, size, size * 3 + i);
        }
    for (uint32_t size = 1; size < 700; size++)
        for (uint32_t i = 0; i < 3; i++) {
            check_filled(blocks[size][i], size, size * 3 + i);
            mt_cache_free(&one, blocks[size][i], size);
        }
    end();
}

static void newest_first(void) {
    begin();
    void *a = mt_cache_alloc(&one, 100), *b = mt_cache_alloc(&one, 100);
    CHECK(a != b);
    mt_cache_free(&one, a, 100);
    CHECK(mt_cache_alloc(&one, 112) == a); /* the same class */
    CHECK(mt_cache_alloc(&one, 113) != a);
    mt_cache_free(&one, a, 97);
    mt_cache_free(&one, b, 112);
    mt_cache_fini(&one);
    mt_depot_free(depot); /* a block is still out: it is void now */
}

/* --------------------------------------------------------------------------------------------- accounting */

static void counts_free_bytes(void) {
    static void *blocks[1000];
    begin();
    CHECK_INT(mt_depot_free_bytes(depot), 0);
    for (int i = 0; i < 1000; i++) blocks[i] = mt_cache_alloc(&one, 64);
    CHECK_INT(mt_depot_free_bytes(depot), 0);
    for (int i = 0; i < 1000; i++) mt_cache_free(&one, blocks[i], 64);
    size_t held = (1000 + 24) * 64 - mt_depot_free_bytes(depot); /* 1023 fit into a span: 15 magazines and 63 */
    CHECK(held <= 2 * MT_MAGAZINE * 64 + 64);                     /* I2 */
    mt_cache_fini(&one);
    CHECK_INT(mt_depot_free_bytes(depot), 1023 * 64);
    CHECK_INT(mt_depot_trim(depot, 0), MT_SPAN);
    CHECK_INT(mt_depot_free_bytes(depot), 0);
    mt_depot_free(depot);
}

static void a_cache_feeds_another(void) {
    struct mt_cache two;
    begin();
    mt_cache_init(&two, depot);
    for (int round = 0; round < 100; round++) {
        void *blocks[300];
        for (int i = 0; i < 300; i++) CHECK(blocks[i] = mt_cache_alloc(&one, 512));
        for (int i = 0; i < 300; i++) mt_cache_free(&two, blocks[i], 512);
    }
    mt_cache_fini(&two);
    mt_cache_fini(&one);
    CHECK(mt_depot_free_bytes(depot) <= 8 * MT_SPAN); /* blocks go round: memory does not grow */
    mt_cache_init(&one, depot);
    end();
}

/* -------------------------------------------------------------------------------------------------- trim */

#define BIG 100000
static void *big[BIG];

static void take_big(size_t size) {
    for (uint32_t i = 0; i < BIG; i++) {
        CHECK(big[i] = mt_cache_alloc(&one, size));
        fill(big[i], size, i);
    }
}

static void free_big(size_t size, uint32_t from, uint32_t step) {
    for (uint32_t i = from; i < BIG; i += step) {
        check_filled(big[i], size, i);
        mt_cache_free(&one, big[i], size);
    }
}

static void trim_returns_memory(void) {
    begin();
    take_big(256);
    size_t before = mt_os_rss();
    free_big(256, 0, 1);
    size_t held = mt_depot_free_bytes(depot);
    CHECK(held > 24 * MIB);
    size_t returned = mt_depot_trim(depot, 0);
    CHECK(returned > 23 * MIB && returned % MT_SPAN == 0);
    CHECK(mt_depot_free_bytes(depot) <= held - returned / MT_SPAN * 255 * 256);
    CHECK(TOOLS || mt_os_rss() + 22 * MIB < before);
    CHECK_INT(mt_depot_trim(depot, 0), 0);
    take_big(256); /* what is left is sound */
    free_big(256, 0, 1);
    end();
}

static void trim_keeps(void) {
    begin();
    take_big(256);
    free_big(256, 0, 1);
    CHECK_INT(mt_depot_trim(depot, SIZE_MAX), 0);
    mt_depot_trim(depot, 8 * MIB);
    CHECK(mt_depot_free_bytes(depot) >= 8 * MIB);
    CHECK(mt_depot_free_bytes(depot) < 8 * MIB + MT_SPAN);
    end();
}

static void trim_spares_spans_in_use(void) {
    begin();
    take_big(48);
    free_big(48, 0, 2);
    CHECK(mt_depot_trim(depot, 0) == 0); /* every span has blocks in use */
    free_big(48, 1, 2);
    CHECK(mt_depot_trim(depot, 0) > 4 * MIB);
    end();
}

static void unneeded_is_what_lay_idle(void) {
    begin();
    take_big(48);
    free_big(48, 0, 1);
    size_t free = mt_depot_free_bytes(depot);
    CHECK(free > 4 * MIB);
    CHECK_INT(mt_depot_unneeded_bytes(depot), 0); /* it has just become free */
    CHECK_INT(mt_depot_unneeded_bytes(depot), free);
    take_big(48);
    size_t left = mt_depot_free_bytes(depot);
    free_big(48, 0, 1);
    CHECK_INT(mt_depot_unneeded_bytes(depot), left); /* some was needed meanwhile */
    CHECK_INT(mt_depot_unneeded_bytes(depot), mt_depot_free_bytes(depot));
    end();
}

static void free_returns_memory(void) {
    size_t before = mt_os_rss();
    begin();
    take_big(512);
    CHECK(TOOLS || mt_os_rss() > before + 45 * MIB);
    mt_cache_fini(&one);
    mt_depot_free(depot);
    CHECK(TOOLS || mt_os_rss() < before + 8 * MIB);
}

/* ----------------------------------------------------------------------------------------------- threads */

/* A place where threads leave blocks for each other. */
struct parcel {
    void *block;
    uint32_t size, seed;
};
static struct {
    pthread_mutex_t mu;
    struct parcel places[256];
    _Atomic uint32_t working;
} exchange = {.mu = PTHREAD_MUTEX_INITIALIZER};

/* Leaves a parcel in a place, and takes what was there. */
static struct parcel swap(uint32_t place, struct parcel mine) {
    pthread_mutex_lock(&exchange.mu);
    struct parcel other = exchange.places[place % 256];
    exchange.places[place % 256] = mine;
    pthread_mutex_unlock(&exchange.mu);
    return other;
}

static void release(struct mt_cache *cache, struct parcel parcel) {
    if (!parcel.block) return;
    check_filled(parcel.block, parcel.size, parcel.seed);
    mt_cache_free(cache, parcel.block, parcel.size);
}

static void *exchange_blocks(void *arg) {
    struct mt_cache cache;
    uint32_t random = (uint32_t)(uintptr_t)arg * 2654435761u + 1;
    mt_cache_init(&cache, depot);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        random = random * 1664525u + 1013904223u;
        struct parcel mine = {NULL, (random >> 8) % 4 ? 64 : 1 + (random >> 10) % MT_SLAB_MAX, random};
        CHECK(mine.block = mt_cache_alloc(&cache, mine.size));
        fill(mine.block, mine.size, mine.seed);
        release(&cache, swap(random >> 20, mine));
        if (i % 5000 != 0) continue;
        mt_cache_fini(&cache); /* partial magazines */
        mt_cache_init(&cache, depot);
    }
    mt_cache_fini(&cache);
    atomic_fetch_sub(&exchange.working, 1);
    return NULL;
}

static void exchange_all(bool trimming) {
    pthread_t threads[THREADS];
    begin();
    atomic_store(&exchange.working, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++) CHECK_OK(mt_os_thread_start(&threads[i], exchange_blocks, (void *)i, "slab"));
    while (trimming && atomic_load(&exchange.working)) {
        mt_depot_trim(depot, 0);
        mt_os_thread_yield();
    }
    for (unsigned i = 0; i < THREADS; i++) mt_os_thread_join(threads[i]);
    for (uint32_t i = 0; i < 256; i++) release(&one, swap(i, (struct parcel){0}));
    end();
}

static void threads_exchange(void) {
    exchange_all(false);
}

static void threads_exchange_while_trimmed(void) {
    exchange_all(true);
}

/* ------------------------------------------------------------------------------------------------- faults */

#ifdef MT_FAULTS
static void out_of_memory(void) {
    void *blocks[64];
    begin();
    mt_os_fault_arm(1, true);
    CHECK(!mt_depot_new());
    CHECK(!mt_cache_alloc(&one, 512) && !mt_cache_alloc(&one, 513));
    mt_os_fault_arm(0, false);
    CHECK(blocks[0] = mt_cache_alloc(&one, 512));
    mt_os_fault_arm(1, true);
    for (int i = 1; i < 64; i++) CHECK(blocks[i] = mt_cache_alloc(&one, 512)); /* the magazine needs nobody */
    mt_os_fault_arm(0, false);
    for (int i = 0; i < 64; i++) mt_cache_free(&one, blocks[i], 512);
    end();
}
#else
static void out_of_memory(void) {}
#endif

int main(int argc, char **argv) {
    return check_main(argc, argv,
                      (struct check_test[]){TEST(all_sizes), TEST(newest_first), TEST(counts_free_bytes),
                                            TEST(a_cache_feeds_another), TEST(trim_returns_memory), TEST(trim_keeps),
                                            TEST(trim_spares_spans_in_use), TEST(unneeded_is_what_lay_idle), TEST(free_returns_memory), TEST(threads_exchange),
                                            TEST(threads_exchange_while_trimmed), TEST(out_of_memory), {0}});
}
