/* SPDX-License-Identifier: Apache-2.0
 * The timer wheel: see wheel.h. */
#include "sched/wheel.h"

#include <string.h>

#define TICK_LAST ((UINT64_C(1) << MT_WHEEL_BITS * MT_WHEEL_LEVELS) - 1)
_Static_assert(MT_WHEEL_SLOTS == 64, "a level's bitmap is a uint64_t");
_Static_assert(MT_TICK_SHIFT + MT_WHEEL_BITS * MT_WHEEL_LEVELS == 64, "the levels hold every time there is");

/* The first tick that is not before `deadline_ns`. */
static uint64_t tick_of(uint64_t deadline_ns) {
    uint64_t tick = deadline_ns >> MT_TICK_SHIFT;
    if (deadline_ns & ((UINT64_C(1) << MT_TICK_SHIFT) - 1)) tick++;
    return tick < TICK_LAST ? tick : TICK_LAST;
}

/* I4 */
static unsigned slot_of(uint64_t now, uint64_t tick) {
    MT_ASSERT(tick >= now);
    unsigned level = (unsigned)(63 - __builtin_clzll((tick ^ now) | 1)) / MT_WHEEL_BITS;
    unsigned digit = (unsigned)(tick >> level * MT_WHEEL_BITS) % MT_WHEEL_SLOTS;
    MT_ASSERT(level < MT_WHEEL_LEVELS);
    return level * MT_WHEEL_SLOTS + digit;
}

static uint64_t *bitmap_of(struct mt_wheel *wheel, unsigned slot) {
    return &wheel->used[slot / MT_WHEEL_SLOTS];
}
static uint64_t bit_of(unsigned slot) {
    return UINT64_C(1) << slot % MT_WHEEL_SLOTS;
}

static void place(struct mt_wheel *wheel, struct mt_timer *timer, uint64_t tick) {
    unsigned slot = slot_of(wheel->tick, tick < wheel->tick ? wheel->tick : tick);
    struct mt_timer **end = wheel->slots[slot] ? wheel->ends[slot] : &wheel->slots[slot];
    MT_ASSERT(*end == NULL);
    timer->slot = (uint16_t)slot;
    timer->next = NULL;
    timer->prev = end;
    *end = timer;
    wheel->ends[slot] = &timer->next;
    *bitmap_of(wheel, slot) |= bit_of(slot);
}

/* The lowest level that holds a timer; MT_WHEEL_LEVELS when none does. */
static unsigned level_first(const struct mt_wheel *wheel) {
    unsigned level = 0;
    while (level < MT_WHEEL_LEVELS && !wheel->used[level]) level++;
    return level;
}

/* The tick at which a level's first used slot begins. */
static uint64_t slot_begin(const struct mt_wheel *wheel, unsigned level) {
    unsigned shift = level * MT_WHEEL_BITS;
    uint64_t digit = (uint64_t)__builtin_ctzll(wheel->used[level]);
    uint64_t begin = (wheel->tick >> shift >> MT_WHEEL_BITS << MT_WHEEL_BITS | digit) << shift;
    MT_ASSERT(level ? begin > wheel->tick : begin >= wheel->tick); /* I4 */
    return begin;
}

/* Spreads the timers of a slot over the levels below, which are empty: the wheel has come to the slot's begin. */
static void cascade(struct mt_wheel *wheel, unsigned slot) {
    struct mt_timer *timer = wheel->slots[slot], *next;
    wheel->slots[slot] = NULL;
    *bitmap_of(wheel, slot) &= ~bit_of(slot);
    for (; timer; timer = next) {
        next = timer->next;
        if (next) __builtin_prefetch(next->next);
        place(wheel, timer, tick_of(timer->deadline_ns));
        MT_ASSERT(timer->slot < slot / MT_WHEEL_SLOTS * MT_WHEEL_SLOTS);
    }
}

/* Moves timers of a slot to **end, up to `max`, and *end behind them; gives how many. */
static size_t hand_out(struct mt_wheel *wheel, unsigned slot, struct mt_timer ***end, size_t max) {
    struct mt_timer *timer = wheel->slots[slot];
    size_t n = 0;
    for (; timer && n < max; timer = timer->next, n++) {
        timer->prev = NULL; /* I2 */
        **end = timer;
        *end = &timer->next;
    }
    **end = NULL;
    wheel->slots[slot] = timer;
    if (timer) timer->prev = &wheel->slots[slot];
    else *bitmap_of(wheel, slot) &= ~bit_of(slot);
    MT_ASSERT(n <= wheel->count);
    wheel->count -= n;
    return n;
}

void mt_wheel_init(struct mt_wheel *wheel, uint64_t now_ns) {
    memset(wheel, 0, sizeof *wheel);
    wheel->tick = now_ns >> MT_TICK_SHIFT;
}

void mt_wheel_add(struct mt_wheel *wheel, struct mt_timer *timer, uint64_t deadline_ns) {
    MT_ASSERT(timer->prev == NULL); /* I2 */
    timer->deadline_ns = deadline_ns;
    place(wheel, timer, tick_of(deadline_ns));
    wheel->count++;
}

void mt_wheel_remove(struct mt_wheel *wheel, struct mt_timer *timer) {
    unsigned slot = timer->slot;
    if (!timer->prev) return;
    MT_ASSERT(*timer->prev == timer && wheel->count > 0);
    *timer->prev = timer->next;
    if (timer->next) timer->next->prev = timer->prev;
    else wheel->ends[slot] = timer->prev;
    if (!wheel->slots[slot]) *bitmap_of(wheel, slot) &= ~bit_of(slot);
    timer->prev = NULL;
    wheel->count--;
}

struct mt_timer *mt_wheel_expire(struct mt_wheel *wheel, uint64_t now_ns, size_t max) {
    struct mt_timer *first = NULL, **end = &first;
    uint64_t due = now_ns >> MT_TICK_SHIFT;
    MT_ASSERT(max > 0);
    if (due >= TICK_LAST) due = TICK_LAST - 1;
    while (max && due >= wheel->tick) {
        unsigned level = level_first(wheel);
        uint64_t begin = level < MT_WHEEL_LEVELS ? slot_begin(wheel, level) : MT_NEVER;
        if (begin > due) { /* nothing is due; between the ticks nothing changes its level: I4 */
            wheel->tick = due;
            break;
        }
        wheel->tick = begin;
        unsigned slot = level * MT_WHEEL_SLOTS + (unsigned)(begin >> level * MT_WHEEL_BITS) % MT_WHEEL_SLOTS;
        if (level) cascade(wheel, slot);
        else max -= hand_out(wheel, slot, &end, max);
    }
    return first;
}

uint64_t mt_wheel_next_ns(const struct mt_wheel *wheel) {
    unsigned level = level_first(wheel);
    MT_ASSERT((wheel->count == 0) == (level == MT_WHEEL_LEVELS));
    if (level == MT_WHEEL_LEVELS) return MT_NEVER;
    uint64_t begin = slot_begin(wheel, level);
    return begin < TICK_LAST ? begin << MT_TICK_SHIFT : MT_NEVER;
}
