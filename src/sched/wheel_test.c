/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "sched/wheel.h"

#define TICK ((uint64_t)1 << MT_TICK_SHIFT)
#define SECOND UINT64_C(1000000000)
#define DAY (86400 * SECOND)

static struct mt_wheel wheel;

static uint64_t random_next(uint64_t *x) {
    *x ^= *x << 13, *x ^= *x >> 7, *x ^= *x << 17;
    return *x;
}
static uint64_t tick_up(uint64_t ns) {
    return ns / TICK + (ns % TICK != 0);
}

/* -------------------------------------------------------------------------------------------- against a model */

#define TIMERS 3000u

/* All that the wheel promises, kept as a plain array. */
struct model {
    struct mt_timer timer;
    uint64_t tick; /* at which it is due */
    uint64_t order; /* of adding */
    bool in;
};
static struct model model[TIMERS];
static uint64_t now, order_next, wheel_tick;
static size_t model_count;

static uint64_t random_delay(uint64_t *x) {
    switch (random_next(x) % 10) {
    case 0: return 0;
    case 1: return random_next(x) % TICK;
    case 2: return random_next(x) % (64 * TICK);
    case 3: return random_next(x) % SECOND;
    case 4: return random_next(x) % (60 * SECOND);
    case 5: return random_next(x) % (3600 * SECOND);
    case 6: return random_next(x) % (30 * DAY);
    case 7: return random_next(x) % (20000 * DAY);
    case 8: return random_next(x) % 64 * TICK;                       /* exactly on ticks */
    default: return TICK << random_next(x) % 40;                     /* on the borders of slots */
    }
}
static void model_add(uint64_t *x) {
    struct model *m = &model[random_next(x) % TIMERS];
    if (m->in) return;
    uint64_t deadline = now + random_delay(x);
    if (random_next(x) % 20 == 0) deadline = now > SECOND ? now - random_next(x) % SECOND : 0; /* in the past */
    m->tick = tick_up(deadline);
    if (m->tick < wheel_tick) m->tick = wheel_tick;
    m->order = order_next++;
    m->in = true;
    model_count++;
    mt_wheel_add(&wheel, &m->timer, deadline);
    CHECK(m->timer.prev && m->timer.deadline_ns == deadline);
}
static void model_remove(uint64_t *x) {
    struct model *m = &model[random_next(x) % TIMERS];
    mt_wheel_remove(&wheel, &m->timer);
    CHECK(m->timer.prev == NULL);
    model_count -= m->in;
    m->in = false;
}
/* The next deadline's tick by looking at all; UINT64_MAX: none. */
static uint64_t model_next(void) {
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < TIMERS; i++)
        if (model[i].in && model[i].tick < next) next = model[i].tick;
    return next;
}
/* Takes out what is due at `now`, `max` at a time, and compares. */
static void model_expire(size_t max) {
    uint64_t last_tick = 0, last_order = 0, due = now / TICK;
    size_t given;
    do {
        given = 0;
        struct mt_timer *next;
        for (struct mt_timer *t = mt_wheel_expire(&wheel, now, max); t; t = next, given++) {
            struct model *m = (struct model *)(void *)t;
            next = t->next;
            CHECK(m->in && t->prev == NULL);
            CHECK(m->timer.deadline_ns <= now); /* never early */
            CHECK(m->tick <= due);
            CHECK(m->tick > last_tick || (m->tick == last_tick && m->order >= last_order)); /* I3 */
            last_tick = m->tick, last_order = m->order;
            m->in = false;
            model_count--;
        }
        CHECK(given <= max);
    } while (given == max);
    wheel_tick = due > wheel_tick ? due : wheel_tick;
    CHECK(model_next() > due); /* nothing is late */
    CHECK_INT(wheel.count, model_count);
}
static void model_check_next(void) {
    uint64_t next = model_next(), said = mt_wheel_next_ns(&wheel);
    if (next == UINT64_MAX) CHECK(said == MT_NEVER);
    else CHECK(said / TICK <= next && said / TICK >= wheel_tick);
}
static void random_run(uint64_t seed, uint64_t start, unsigned steps) {
    uint64_t x = seed * 2654435761u + 88172645463325252u;
    memset(model, 0, sizeof model);
    model_count = 0;
    now = start;
    wheel_tick = now / TICK;
    mt_wheel_init(&wheel, now);
    for (unsigned i = 0; i < steps; i++) {
        unsigned adds = (unsigned)(random_next(&x) % 50), removes = (unsigned)(random_next(&x) % 40);
        while (adds--) model_add(&x);
        while (removes--) model_remove(&x);
        model_check_next();
        uint64_t step = random_delay(&x);
        if (random_next(&x) % 4 == 0) { /* exactly to where it says that there is something to do */
            uint64_t next = mt_wheel_next_ns(&wheel);
            if (next != MT_NEVER && next > now) step = next - now;
        }
        if (now + step > start + 30000 * DAY) step %= SECOND;
        now += step;
        model_expire(random_next(&x) % 3 ? 1000000 : 1 + random_next(&x) % 5);
    }
}
static void against_a_model(void) {
    for (uint64_t seed = 0; seed < 40; seed++) random_run(seed, seed % 4 ? seed * 977 * DAY + seed : 0, 1500);
}

/* ------------------------------------------------------------------------------------------------- single laws */

static void one_timer(uint64_t start, uint64_t deadline) {
    struct mt_timer t = {0};
    mt_wheel_init(&wheel, start);
    CHECK(mt_wheel_next_ns(&wheel) == MT_NEVER);
    mt_wheel_add(&wheel, &t, deadline);
    uint64_t due = tick_up(deadline) * TICK, hops = 0;
    for (;;) { /* as a scheduler does: sleep until it says, look */
        uint64_t next = mt_wheel_next_ns(&wheel);
        CHECK(next <= due || due < start);
        CHECK(++hops <= MT_WHEEL_LEVELS);
        if (next >= due) break;
        CHECK(mt_wheel_expire(&wheel, next, 10) == NULL);
    }
    if (due > start) CHECK(mt_wheel_expire(&wheel, due - 1, 10) == NULL);
    CHECK(mt_wheel_expire(&wheel, due > start ? due : start, 10) == &t);
    CHECK(t.next == NULL && t.prev == NULL && wheel.count == 0);
    CHECK(mt_wheel_next_ns(&wheel) == MT_NEVER);
}
static void far_deadlines(void) {
    for (unsigned bit = 0; bit < 62; bit++) {
        one_timer(0, UINT64_C(1) << bit);
        one_timer(12345, (UINT64_C(1) << bit) + 1);
        one_timer(987654321987654321u, 987654321987654321u + (UINT64_C(1) << bit));
        one_timer((UINT64_C(1) << bit) - 1, UINT64_C(1) << bit);
        one_timer(UINT64_C(1) << bit, 0);
    }
}
static void never(void) {
    struct mt_timer t = {0}, u = {0};
    mt_wheel_init(&wheel, 5 * SECOND);
    mt_wheel_add(&wheel, &t, MT_NEVER);
    mt_wheel_add(&wheel, &u, MT_NEVER - 1);
    CHECK(mt_wheel_expire(&wheel, MT_NEVER - TICK, 10) == NULL);
    CHECK(mt_wheel_next_ns(&wheel) == MT_NEVER);
    CHECK(mt_wheel_expire(&wheel, MT_NEVER, 10) == NULL);
    mt_wheel_remove(&wheel, &t);
    mt_wheel_remove(&wheel, &u);
    CHECK(wheel.count == 0 && mt_wheel_expire(&wheel, MT_NEVER, 10) == NULL);
}
static void past_at_once(void) {
    struct mt_timer t = {0};
    mt_wheel_init(&wheel, 100 * SECOND);
    CHECK(mt_wheel_expire(&wheel, 100 * SECOND, 1) == NULL);
    mt_wheel_add(&wheel, &t, 99 * SECOND);
    CHECK(mt_wheel_next_ns(&wheel) <= 100 * SECOND);
    CHECK(mt_wheel_expire(&wheel, 100 * SECOND, 1) == &t); /* at the same time as before */
}
static void time_goes_back(void) {
    struct mt_timer t = {0};
    mt_wheel_init(&wheel, 100 * SECOND);
    mt_wheel_add(&wheel, &t, 101 * SECOND);
    CHECK(mt_wheel_expire(&wheel, 100 * SECOND + SECOND / 2, 1) == NULL);
    CHECK(mt_wheel_expire(&wheel, 0, 1) == NULL);
    CHECK(mt_wheel_expire(&wheel, 102 * SECOND, 1) == &t);
}
static void in_order(void) {
    static struct mt_timer t[1000];
    memset(t, 0, sizeof t);
    mt_wheel_init(&wheel, 0);
    for (unsigned i = 0; i < 1000; i++) {
        mt_wheel_add(&wheel, &t[i], 3600 * SECOND);
        mt_wheel_expire(&wheel, i * 3 * SECOND, 1); /* some are on lower levels by then */
    }
    for (unsigned i = 0; i < 1000; i += 7) mt_wheel_remove(&wheel, &t[i]);
    unsigned i = 0;
    for (;;) {
        struct mt_timer *list = mt_wheel_expire(&wheel, 3601 * SECOND, 10);
        if (!list) break;
        for (; list; list = list->next) {
            if (i % 7 == 0) i++;
            CHECK(list == &t[i]);
            i++;
        }
    }
    CHECK_INT(i, 1000);
}
static void expired_is_out(void) {
    struct mt_timer t[3] = {{0}};
    mt_wheel_init(&wheel, 0);
    for (unsigned i = 0; i < 3; i++) mt_wheel_add(&wheel, &t[i], SECOND);
    struct mt_timer *list = mt_wheel_expire(&wheel, 2 * SECOND, 2);
    CHECK(list == &t[0] && list->next == &t[1] && t[1].next == NULL);
    mt_wheel_remove(&wheel, &t[1]); /* nothing */
    CHECK(wheel.count == 1);
    mt_wheel_remove(&wheel, &t[2]);
    CHECK(wheel.count == 0 && mt_wheel_expire(&wheel, 2 * SECOND, 2) == NULL);
}

int main(int argc, char **argv) {
    static const struct check_test tests[] = {TEST(against_a_model), TEST(far_deadlines),  TEST(never),
                                              TEST(past_at_once),    TEST(time_goes_back), TEST(in_order),
                                              TEST(expired_is_out),  {0}};
    return check_main(argc, argv, tests);
}
