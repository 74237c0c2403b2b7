/* SPDX-License-Identifier: Apache-2.0
 * Locks with ranks: see lock.h. */
#include "base/lock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/os.h"

#ifdef MT_DEBUG
enum {
#define X(name, rank, what) LOCK_##name,
#include "base/locks.def"
#undef X
    LOCK_COUNT
};

/* The locks this thread holds, by ascending rank. No stack switch happens while it holds one (L8), so thread-local storage
 * is safe here. I1 ranks differ, so there are at most LOCK_COUNT. */
static _Thread_local struct {
    const struct mt_lock *lock[LOCK_COUNT];
    unsigned count;
} held;

static const char *rank_name(int rank) {
    switch (rank) {
#define X(name, rank, what) \
    case rank: return #name;
#include "base/locks.def"
#undef X
    default: return "?";
    }
}

__attribute__((noreturn, cold)) static void broken(const char *what, const struct mt_lock *lock, const struct mt_lock *other) {
    char text[160];
    snprintf(text, sizeof text, "mote: %s: lock %s (rank %d) while holding %s (rank %d)\n", what, rank_name(lock->rank), lock->rank,
             other ? rank_name(other->rank) : "none", other ? other->rank : 0);
    mt_os_log(text);
    abort();
}

static const struct mt_lock *newest(void) {
    return held.count ? held.lock[held.count - 1] : NULL;
}

static void check_order(const struct mt_lock *lock) {
    const struct mt_lock *top = newest();
    if (top && top->rank >= lock->rank) broken("locks out of order", lock, top);
}

static void note_take(const struct mt_lock *lock) {
    MT_ASSERT(held.count < LOCK_COUNT); /* I1 */
    held.lock[held.count++] = lock;
}

static void note_drop(const struct mt_lock *lock) {
    unsigned at = held.count;
    while (at && held.lock[at - 1] != lock) at--;
    if (!at) broken("dropped by a thread that does not hold it", lock, newest());
    for (; at < held.count; at++) held.lock[at - 1] = held.lock[at];
    held.count--;
}

void mt_lock_assert_none(void) {
    const struct mt_lock *top = newest();
    if (top) broken("no lock may be held here", top, top);
}
#else
static inline void check_order(const struct mt_lock *lock) {
    (void)lock;
}

static inline void note_take(const struct mt_lock *lock) {
    (void)lock;
}

static inline void note_drop(const struct mt_lock *lock) {
    (void)lock;
}

void mt_lock_assert_none(void) {}
#endif

void mt_lock_init(struct mt_lock *lock, enum mt_lock_rank rank) {
    int err = pthread_mutex_init(&lock->mu, NULL);
    MT_ASSERT(!err);
    MT_ASSERT(rank > 0);
    lock->rank = (int)rank;
}

void mt_lock_fini(struct mt_lock *lock) {
    int err = pthread_mutex_destroy(&lock->mu);
    MT_ASSERT(!err);
    lock->rank = 0;
}

void mt_lock_take(struct mt_lock *lock) {
    MT_ASSERT(lock->rank); /* initialised */
    check_order(lock);
    int err = pthread_mutex_lock(&lock->mu);
    MT_ASSERT(!err);
    note_take(lock);
}

int mt_lock_try(struct mt_lock *lock) {
    MT_ASSERT(lock->rank);
    check_order(lock);
    int err = pthread_mutex_trylock(&lock->mu);
    MT_ASSERT(!err || err == EBUSY);
    if (err) return 0;
    note_take(lock);
    return 1;
}

void mt_lock_drop(struct mt_lock *lock) {
    note_drop(lock);
    int err = pthread_mutex_unlock(&lock->mu);
    MT_ASSERT(!err);
}
