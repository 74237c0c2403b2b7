/* SPDX-License-Identifier: Apache-2.0
 * Pairs of words under four threads, used as a mailbox uses them. */
#include "base/atomic.h"

#include <pthread.h>

#include "base/os.h"
#include "check.h"

#define THREADS 4u
#define ROUNDS (MT_TSAN ? 20000u : 200000u)
#define HIGH UINT64_C(0xfedcba9876543210)

static struct mt_pair pair;

static void start_all(pthread_t *threads, void *(*run)(void *)) {
    for (uintptr_t i = 0; i < THREADS; i++) CHECK_OK(mt_os_thread_start(&threads[i], run, (void *)i, "test"));
}

static void join_all(const pthread_t *threads) {
    for (unsigned i = 0; i < THREADS; i++) mt_os_thread_join(threads[i]);
}

static void compares_both_words(void) {
    struct mt_pair p = {1, 2};
    CHECK(!mt_pair_cas(&p, 1, 3, 9));
    CHECK(!mt_pair_cas(&p, 3, 2, 9));
    CHECK(!mt_pair_cas(&p, 2, 1, 9));
    CHECK(atomic_load(&p.low) == 1 && atomic_load(&p.high) == 2);
    CHECK(mt_pair_cas(&p, 1, 2, UINT64_MAX));
    CHECK(atomic_load(&p.low) == UINT64_MAX && atomic_load(&p.high) == 2);
    CHECK(mt_pair_swap_low(&p, 7) == UINT64_MAX);
    CHECK(!mt_pair_cas_low(&p, 8, 9) && mt_pair_cas_low(&p, 7, 9));
    mt_pair_set(&p, 10, 11);
    CHECK(atomic_load(&p.low) == 10 && atomic_load(&p.high) == 11);
}

static void *count_up(void *arg) {
    (void)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t low;
        do
            low = atomic_load_explicit(&pair.low, memory_order_relaxed);
        while (!mt_pair_cas(&pair, low, HIGH, low + 1));
    }
    return NULL;
}

static void counts_exactly(void) {
    pthread_t threads[THREADS];
    mt_pair_set(&pair, 0, HIGH);
    start_all(threads, count_up);
    join_all(threads);
    CHECK_INT(atomic_load(&pair.low), THREADS * ROUNDS);
    CHECK(atomic_load(&pair.high) == HIGH);
}

/* A counted stack of few slots, index and tag in the low word: each slot is somewhere exactly once. */
static struct slot {
    _Atomic uint32_t next_index;
    _Atomic uint32_t holders;
    uint64_t value;
} slots[4];

static uint32_t pop_index(void) {
    for (;;) {
        uint64_t low = atomic_load_explicit(&pair.low, memory_order_acquire);
        uint32_t index = (uint32_t)low;
        if (!index) return 0;
        uint32_t next = atomic_load_explicit(&slots[index].next_index, memory_order_relaxed);
        if (mt_pair_cas(&pair, low, HIGH, ((low >> 32) + 1) << 32 | next)) return index;
    }
}

static void push_index(uint32_t index) {
    uint64_t low;
    do {
        low = atomic_load_explicit(&pair.low, memory_order_relaxed);
        atomic_store_explicit(&slots[index].next_index, (uint32_t)low, memory_order_relaxed);
    } while (!mt_pair_cas(&pair, low, HIGH, ((low >> 32) + 1) << 32 | index));
}

static void *pop_and_push(void *arg) {
    (void)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t index = pop_index();
        if (!index) continue;
        CHECK(atomic_fetch_add(&slots[index].holders, 1) == 0);
        slots[index].value++; /* not atomic: the stack hands it over */
        CHECK(atomic_fetch_sub(&slots[index].holders, 1) == 1);
        push_index(index);
    }
    return NULL;
}

static void stack_hands_over_once(void) {
    pthread_t threads[THREADS];
    unsigned found = 0;
    mt_pair_set(&pair, 0, HIGH);
    for (uint32_t i = 1; i <= 3; i++) push_index(i);
    start_all(threads, pop_and_push);
    join_all(threads);
    while (pop_index()) found++;
    CHECK_INT(found, 3);
}

/* The mailbox: senders push while the owner closes, empties and reopens under the next generation. */
#define CLOSED UINT64_C(1)
struct node {
    uint64_t next; /* the low word below it */
    uint64_t generation;
};
static _Atomic uint64_t pushed, refused;
static _Atomic bool stop;
static uint64_t popped;

static bool push_to(uint64_t generation, struct node *node) {
    node->generation = generation;
    for (;;) {
        uint64_t low = atomic_load_explicit(&pair.low, memory_order_acquire);
        if (low == CLOSED) return false;
        node->next = low;
        if (mt_pair_cas(&pair, low, generation, (uint64_t)(uintptr_t)node)) return true;
        if (atomic_load_explicit(&pair.high, memory_order_relaxed) != generation) return false;
    }
}

static void *sender(void *arg) {
    (void)arg;
    uint64_t generation = 1;
    for (unsigned i = 0; i < ROUNDS / 10; i++) {
        struct node *node = mt_os_alloc_zero(sizeof *node);
        CHECK(node);
        while (!push_to(generation, node)) {
            atomic_fetch_add_explicit(&refused, 1, memory_order_relaxed);
            generation = atomic_load_explicit(&pair.high, memory_order_relaxed);
            mt_os_thread_yield();
        }
        atomic_fetch_add_explicit(&pushed, 1, memory_order_relaxed);
    }
    return NULL;
}

static void empty(uint64_t low, uint64_t generation) {
    while (low) {
        struct node *node = (struct node *)(uintptr_t)low;
        CHECK(node->generation == generation);
        low = node->next;
        mt_os_free(node);
        popped++;
    }
}

static void *owner(void *arg) {
    (void)arg;
    for (uint64_t generation = 1; !atomic_load(&stop); generation++) {
        uint64_t low = mt_pair_swap_low(&pair, 0); /* as receive does */
        empty(low, generation);
        low = atomic_load_explicit(&pair.low, memory_order_acquire);
        while (!mt_pair_cas_low(&pair, low, CLOSED)) low = atomic_load_explicit(&pair.low, memory_order_acquire);
        empty(low, generation);
        mt_pair_set(&pair, 0, generation + 1);
        if (generation % 8 == 0) mt_os_thread_yield();
    }
    return NULL;
}

static void generations_do_not_mix(void) {
    pthread_t threads[THREADS], owning;
    mt_pair_set(&pair, 0, 1);
    CHECK_OK(mt_os_thread_start(&owning, owner, NULL, "owner"));
    start_all(threads, sender);
    join_all(threads);
    atomic_store(&stop, true);
    mt_os_thread_join(owning);
    empty(mt_pair_swap_low(&pair, 0), atomic_load(&pair.high));
    CHECK_INT(popped, atomic_load(&pushed));
    CHECK_INT(popped, THREADS * (ROUNDS / 10));
    printf("# %" PRIu64 " generations, %" PRIu64 " refused\n", atomic_load(&pair.high), atomic_load(&refused));
}

int main(int argc, char **argv) {
    return check_main(argc, argv,
                      (struct check_test[]){TEST(compares_both_words), TEST(counts_exactly), TEST(stack_hands_over_once),
                                            TEST(generations_do_not_mix), {0}});
}
