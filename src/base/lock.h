/* SPDX-License-Identifier: Apache-2.0
 * Locks with ranks: a thread takes them in ascending rank only, and holds none across a callback, a switch or a send.
 *
 * Any thread. locks.def lists every lock with its rank. In debug builds (MT_DEBUG) order and holder are checked and
 * mt_lock_assert_none() aborts when the thread holds one; otherwise a lock is a plain mutex and the check is nothing.
 * I1 hold times are O(1): no OS call but memory under a lock.
 */
#ifndef MT_BASE_LOCK_H
#define MT_BASE_LOCK_H

#include <pthread.h>

enum mt_lock_rank {
#define X(name, rank, what) MT_RANK_##name = (rank),
#include "base/locks.def"
#undef X
};

struct mt_lock {
    pthread_mutex_t mu;
    int rank; /* const */
};

void mt_lock_init(struct mt_lock *lock, enum mt_lock_rank rank);
void mt_lock_fini(struct mt_lock *lock);
/* Takes the lock. Blocks, for O(1). */
void mt_lock_take(struct mt_lock *lock);
/* Takes it if it is free; whether it did. */
int mt_lock_try(struct mt_lock *lock);
void mt_lock_drop(struct mt_lock *lock);
/* Aborts in debug builds when the calling thread holds a lock. */
void mt_lock_assert_none(void);

#endif
