/* SPDX-License-Identifier: Apache-2.0
 * A hierarchical timer wheel: set and cancel in O(1), the next deadline from bitmaps.
 *
 * Not thread-safe: the caller serialises (lock WHEEL). Times are ns of mt_os_now_ns().
 * I1 a tick is 2^MT_TICK_SHIFT ns; a timer is handed out at the first mt_wheel_expire() whose time is not before its deadline,
 *    rounded up to a tick: never early. I2 a timer is in one wheel or none (`prev` NULL). I3 timers come out ordered by tick, those of
 *    one tick in the order in which they were added (a deadline in the past counts as the wheel's present tick).
 * I4 a timer's level is that of the highest digit (base MT_WHEEL_SLOTS) in which its tick differs from the wheel's, its slot there is
 *    that digit, which is the larger one: so whatever stands on a lower level comes first, and nothing wraps around.
 */
#ifndef MT_SCHED_WHEEL_H
#define MT_SCHED_WHEEL_H

#include "base/os.h"

#define MT_TICK_SHIFT 16 /* 65.5 us */
#define MT_WHEEL_BITS 6
#define MT_WHEEL_SLOTS (1 << MT_WHEEL_BITS)
#define MT_WHEEL_LEVELS 8

struct mt_timer {
    struct mt_timer *next;  /* in a slot's list, or in the list of expired ones */
    struct mt_timer **prev; /* what points here; NULL when in no wheel */
    uint64_t deadline_ns;
    uint16_t slot;          /* level * MT_WHEEL_SLOTS + slot, to clear the bitmap when its list runs empty */
};

struct mt_wheel {
    uint64_t tick;                                            /* all before it have expired */
    uint64_t used[MT_WHEEL_LEVELS];                           /* bitmaps of slots that hold timers */
    struct mt_timer *slots[MT_WHEEL_LEVELS * MT_WHEEL_SLOTS]; /* lists, in the order of adding */
    struct mt_timer **ends[MT_WHEEL_LEVELS * MT_WHEEL_SLOTS]; /* where the next one is linked; nothing when the list is empty */
    size_t count;
};

/* `wheel` must not move while it holds timers. */
void mt_wheel_init(struct mt_wheel *wheel, uint64_t now_ns);
/* Puts a timer in; borrows it until it is handed out or removed. Deadlines in the past expire at the next call; the last tick of the
 * clock's range (584 years), and so MT_NEVER, never comes. */
void mt_wheel_add(struct mt_wheel *wheel, struct mt_timer *timer, uint64_t deadline_ns);
/* Takes it out; nothing when it is in no wheel. */
void mt_wheel_remove(struct mt_wheel *wheel, struct mt_timer *timer);
/* Takes out up to `max` timers due at `now_ns`, linked by `next` in order of ticks; NULL when none is. Call again while it gives
 * `max`. A time before an earlier call's gives none. */
struct mt_timer *mt_wheel_expire(struct mt_wheel *wheel, uint64_t now_ns, size_t max);
/* A time before which nothing expires (the next deadline, or an earlier cascade); MT_NEVER when empty. O(levels). */
uint64_t mt_wheel_next_ns(const struct mt_wheel *wheel);

#endif
