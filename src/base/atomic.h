/* SPDX-License-Identifier: Apache-2.0
 * Atomics beyond <stdatomic.h>: a pair of words that is compared and swapped as one.
 *
 * Any thread. mt_pair_cas() is full-barrier. `low` may also be changed alone, by mt_pair_swap_low() and
 * mt_pair_cas_low(), while `high` cannot change (only the owner of the pair changes `high`, and only while `low` says closed).
 * I1 a pair is 16-aligned. I2 high changes only through mt_pair_set(), when every CAS by others must fail.
 */
#ifndef MT_BASE_ATOMIC_H
#define MT_BASE_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#if defined(__SANITIZE_THREAD__)
#define MT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MT_TSAN 1
#endif
#endif
#ifndef MT_TSAN
#define MT_TSAN 0
#endif

#if defined(__SANITIZE_ADDRESS__)
#define MT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MT_ASAN 1
#endif
#endif
#ifndef MT_ASAN
#define MT_ASAN 0
#endif

#if MT_TSAN
#define MT_FENCE_() ((void)0)
#else
#define MT_FENCE_() atomic_thread_fence(memory_order_seq_cst)
#endif

#define mt_likely(x) __builtin_expect(!!(x), 1)
#define mt_unlikely(x) __builtin_expect(!!(x), 0)

struct mt_pair {
    _Alignas(16) _Atomic uint64_t low; /* atomic */
    _Atomic uint64_t high;             /* atomic */
};

_Static_assert(sizeof(struct mt_pair) == 16, "one line of 16 bytes: I1");

/* Replaces `low` by `new_low` if both words are as given; whether it did. Full barrier. */
static inline bool mt_pair_cas(struct mt_pair *pair, uint64_t low, uint64_t high, uint64_t new_low);
/* Replaces low, whatever it is; gives the old one. Only the owner, while high is fixed. Acquire and release. */
static inline uint64_t mt_pair_swap_low(struct mt_pair *pair, uint64_t new_low);
/* Replaces low if it is `low`; whether it did. Only the owner, while high is fixed. Acquire and release. */
static inline bool mt_pair_cas_low(struct mt_pair *pair, uint64_t low, uint64_t new_low);
/* Replaces both words: I2. Only the owner, while `low` is a value that no CAS by others expects. Release. */
static inline void mt_pair_set(struct mt_pair *pair, uint64_t low, uint64_t high);

#if MT_TSAN
/* The sanitizer's runtime keeps 16-byte atomics apart from 8-byte ones: every change goes through the 16-byte one there. */
static inline bool mt_pair_replace(struct mt_pair *pair, uint64_t low, uint64_t high, uint64_t new_low, uint64_t new_high) {
    unsigned __int128 old = ((unsigned __int128)high << 64) | low, now = ((unsigned __int128)new_high << 64) | new_low;
    return __sync_bool_compare_and_swap((unsigned __int128 *)(void *)pair, old, now);
}

static inline bool mt_pair_cas(struct mt_pair *pair, uint64_t low, uint64_t high, uint64_t new_low) {
    return mt_pair_replace(pair, low, high, new_low, high);
}

static inline uint64_t mt_pair_swap_low(struct mt_pair *pair, uint64_t new_low) {
    uint64_t high = atomic_load_explicit(&pair->high, memory_order_relaxed), low;
    do
        low = atomic_load_explicit(&pair->low, memory_order_relaxed);
    while (!mt_pair_cas(pair, low, high, new_low));
    return low;
}

static inline bool mt_pair_cas_low(struct mt_pair *pair, uint64_t low, uint64_t new_low) {
    return mt_pair_cas(pair, low, atomic_load_explicit(&pair->high, memory_order_relaxed), new_low);
}

static inline void mt_pair_set(struct mt_pair *pair, uint64_t low, uint64_t high) {
    uint64_t low_old, high_old;
    do {
        low_old = atomic_load_explicit(&pair->low, memory_order_relaxed);
        high_old = atomic_load_explicit(&pair->high, memory_order_relaxed);
    } while (!mt_pair_replace(pair, low_old, high_old, low, high));
}
#else
#if defined(__x86_64__)
static inline bool mt_pair_cas(struct mt_pair *pair, uint64_t low, uint64_t high, uint64_t new_low) {
    bool done;
    uint64_t high_seen = high;
    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(done), "+m"(*pair), "+a"(low), "+d"(high_seen)
                     : "b"(new_low), "c"(high)
                     : "memory");
    return done;
}
#elif defined(__aarch64__)
/* What was loaded is one value only if a store of the pair succeeds: so a mismatch stores it back. */
static inline bool mt_pair_cas(struct mt_pair *pair, uint64_t low, uint64_t high, uint64_t new_low) {
    uint64_t seen_low, seen_high;
    uint32_t failed;
    __asm__ volatile("1: ldaxp %0, %1, %3\n cmp %0, %4\n ccmp %1, %5, #0, eq\n b.ne 2f\n"
                     " stlxp %w2, %6, %5, %3\n cbnz %w2, 1b\n b 3f\n"
                     "2: stlxp %w2, %0, %1, %3\n cbnz %w2, 1b\n3: dmb ish\n"
                     : "=&r"(seen_low), "=&r"(seen_high), "=&r"(failed), "+Q"(*pair)
                     : "r"(low), "r"(high), "r"(new_low)
                     : "memory", "cc");
    return seen_low == low && seen_high == high;
}
#else
#error "mote needs a 16-byte compare-and-swap: add it for this processor in base/atomic.h"
#endif

static inline uint64_t mt_pair_swap_low(struct mt_pair *pair, uint64_t new_low) {
    return atomic_exchange_explicit(&pair->low, new_low, memory_order_acq_rel);
}

static inline bool mt_pair_cas_low(struct mt_pair *pair, uint64_t low, uint64_t new_low) {
    return atomic_compare_exchange_strong_explicit(&pair->low, &low, new_low, memory_order_acq_rel, memory_order_relaxed);
}

/* Between the stores the pair is {closed, new high}: no CAS by others expects it. */
static inline void mt_pair_set(struct mt_pair *pair, uint64_t low, uint64_t high) {
    atomic_store_explicit(&pair->high, high, memory_order_release);
    atomic_store_explicit(&pair->low, low, memory_order_release);
}
#endif

/* A full barrier, which orders earlier stores before later loads. (gcc's ThreadSanitizer knows no fences: an exchange is one as well.) */
static inline void mt_fence(void) {
    _Atomic int here = 0;
    if (MT_TSAN)
        atomic_exchange(&here, 1);
    else
        MT_FENCE_();
}

/* A hint that a line will be written: it is brought here from other cores at once, not first for reading. (Where there is no such instruction, as on
 * Intel's before 2014, it does nothing.) */
static inline void mt_prefetch_write(const void *p) {
#if defined(__x86_64__)
    __asm__ volatile("prefetchw (%0)" : : "r"(p));
#else
    __builtin_prefetch(p, 1);
#endif
}

/* A hint to the processor that this is a spin loop. */
static inline void mt_cpu_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#endif
}

#endif
