/* SPDX-License-Identifier: Apache-2.0
 * How a worker sleeps and is woken by others: a word in shared memory and an event.
 *
 * The word lies on the board (board.h), or wherever all can see it. mt_doorbell_ring() from anywhere; the others by the sleeper.
 * D1 who gives the sleeper something publishes it, fences, and looks at the word; who goes to sleep sets the word, fences, and looks at everything that
 *    others could have published. So one of them sees the other.
 * D2 only who clears the word writes to the event: once for each sleep.
 * D3 the event is cleared while no sleep is announced: between that and the next sleep everything is looked at again.
 * D4 a worker can die between the two steps of D2. So who tells of a death writes to the events of all, whatever their words say.
 * D5 the word names the sleeper's life (its peer number), since all lives of a worker share it: who only knows one that has died leaves the word as it is. He would write to the event of the dead, and
 *    nobody would wake the living.
 * A worker that writes nonsense here can keep another from sleeping, or from waking until something else wakes it: no more.
 */
#ifndef MT_WORKER_DOORBELL_H
#define MT_WORKER_DOORBELL_H

#include "base/atomic.h"
#include "base/os_fd.h"

struct mt_doorbell { /* MT_SHARED */
    _Alignas(128) _Atomic uint32_t sleeps; /* atomic: D1: not 0: sleeps or is about to; D5: its peer number + 1 */
};

/* After something was published for the sleeper, this life of it: wakes it by its event if it sleeps; whether it did. Never waits. */
static inline bool mt_doorbell_ring(struct mt_doorbell *bell, uint32_t peer, int event) {
    uint32_t sleeper = peer + 1;
    mt_fence(); /* D1 */
    if (mt_likely(atomic_load_explicit(&bell->sleeps, memory_order_relaxed) != sleeper)) return false;
    if (!atomic_compare_exchange_strong_explicit(&bell->sleeps, &sleeper, 0, memory_order_acq_rel, memory_order_relaxed)) return false; /* D2 */
    mt_os_event_write(event);
    return true;
}

/* Announces sleep, by one's own peer number. Then the caller looks at everything once more: it sleeps in its poller, where its event is, only if nothing is there. */
static inline void mt_doorbell_sleep(struct mt_doorbell *bell, uint32_t peer) {
    atomic_store_explicit(&bell->sleeps, peer + 1, memory_order_relaxed);
    mt_fence(); /* D1 */
}

/* Takes the announcement back, whether it slept or not. `reported`: the poller says that the event can be read, and it is cleared (one that was rung
 * without being waited for stays, and makes a later sleep a short one). */
static inline void mt_doorbell_wake(struct mt_doorbell *bell, int event, bool reported) {
    atomic_store_explicit(&bell->sleeps, 0, memory_order_relaxed);
    if (reported) mt_os_event_clear(event); /* D3 */
}

#endif
