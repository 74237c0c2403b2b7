/* SPDX-License-Identifier: Apache-2.0
 *
 * Workloads about processes: starting and ending them, their memory, trees of them.
 */
#include "bench.h"

#include <stdatomic.h>
#include <stdlib.h>

/* What handlers that do all in init() have for handle(). */
static void no_message(mote_self *self, mote_term message, void *state) {
    (void)self;
    (void)message;
    (void)state;
    fail("a message for a process that takes none", MOTE_OK);
}

/* Start-up and end of the program itself, to be timed from outside. */
void run_boot(mote_self *self, const struct bench *bench) {
    (void)self;
    (void)bench;
    out(0, "ns", "boot");
}

/* ---------------------------------------------------------------------------------------------------- spawn */

/* Told Parent: sends it d and ends. */
static void once_body(mote_self *self, mote_term arg) {
    mote_pid parent;
    sure(mote_pid_get(arg, &parent));
    sure(mote_send(self, parent, "d"));
}

static void once_init(mote_self *self, mote_term arg, void *state) {
    (void)state;
    once_body(self, arg);
    done(self);
}

static const mote_handler once_handler = {.name = "once", .init = once_init, .handle = no_message};
static const struct kind once_kind = {once_body, &once_handler};

static void spawn_each(mote_self *self, bool handler, int64_t count) {
    mote_term me = mote_pid_term(mote_self_pid(self));
    while (count-- > 0) {
        start(self, handler, &once_kind, me);
        sure(mote_receive_match(self, -1, "d"));
    }
}

static void spawn_batch(mote_self *self, bool handler, int64_t count) {
    mote_term me = mote_pid_term(mote_self_pid(self));
    for (int64_t k = 0; k < count; k++) start(self, handler, &once_kind, me);
    wait_done(self, count);
}

void run_spawn(mote_self *self, const struct bench *bench) {
    int64_t count = bench->number[0], batches = count / 1000;
    spawn_each(self, bench->handler, 1000);
    int64_t t0 = now_ns();
    spawn_each(self, bench->handler, count);
    int64_t t1 = now_ns();
    out((double)(t1 - t0) / (double)count, "ns", "spawn.seq");
    int64_t t2 = now_ns();
    for (int64_t k = 0; k < batches; k++) spawn_batch(self, bench->handler, 1000);
    int64_t t3 = now_ns();
    out((double)(t3 - t2) / (double)(batches * 1000), "ns", "spawn.batch1000");
}

void run_spawn_flood(mote_self *self, const struct bench *bench) {
    int64_t count = bench->number[0], t0 = now_ns();
    spawn_batch(self, bench->handler, count);
    out((double)(now_ns() - t0) / (double)count, "ns", "spawn.flood");
}

/* --------------------------------------------------------------------------------------------------- skynet */

/* Told {Parent, First, Size}: sums First ... First + Size - 1 by ten children, and sends {sum, Sum}. */
struct sky {
    mote_pid parent;
    int64_t first, size, left, sum;
};

/* Gives false for a leaf, which has nothing to wait for. */
static bool sky_begin(mote_self *self, struct sky *s, bool handler, mote_term arg);

static void sky_report(mote_self *self, const struct sky *s) {
    sure(mote_send(self, s->parent, "{sum, ?}", s->sum));
}

static void sky_body(mote_self *self, mote_term arg) {
    struct sky s;
    if (sky_begin(self, &s, false, arg))
        for (int64_t part; s.left > 0; s.left--, s.sum += part) sure(mote_receive_match(self, -1, "{sum, ?}", &part));
    sky_report(self, &s);
}

static void sky_init(mote_self *self, mote_term arg, void *state) {
    if (sky_begin(self, state, true, arg)) return;
    sky_report(self, state);
    done(self);
}

static void sky_handle(mote_self *self, mote_term message, void *state) {
    struct sky *s = state;
    int64_t part;
    expect(mote_match(message, "{sum, ?}", &part), "skynet: a message it does not know");
    s->sum += part;
    if (--s->left > 0) return;
    sky_report(self, s);
    done(self);
}

static const mote_handler sky_handler = {.name = "sky", .state_size = sizeof(struct sky), .init = sky_init, .handle = sky_handle};
static const struct kind sky_kind = {sky_body, &sky_handler};

static bool sky_begin(mote_self *self, struct sky *s, bool handler, mote_term arg) {
    expect(mote_match(arg, "{?, ?, ?}", &s->parent, &s->first, &s->size), "skynet: bad argument");
    int64_t part = s->size / 10;
    s->left = s->size == 1 ? 0 : 10;
    s->sum = s->size == 1 ? s->first : 0;
    for (int64_t k = 0; k < s->left; k++) {
        mote_term child;
        sure(mote_build(mote_scratch(self), &child, "{?, ?, ?}", mote_self_pid(self), s->first + k * part, part));
        start(self, handler, &sky_kind, child);
    }
    return s->left > 0;
}

void run_skynet(mote_self *self, const struct bench *bench) {
    int64_t leaves = bench->number[0], sum, t0 = now_ns();
    mote_term arg;
    sure(mote_build(mote_scratch(self), &arg, "{?, 0, ?}", mote_self_pid(self), leaves));
    start(self, bench->handler, &sky_kind, arg);
    sure(mote_receive_match(self, -1, "{sum, ?}", &sum));
    int64_t t1 = now_ns();
    expect(sum == leaves * (leaves - 1) / 2, "skynet: wrong sum");
    out((double)(t1 - t0) / 1e6, "ms", "skynet");
}

/* --------------------------------------------------------------------------------------------------- memory */

/* What the processes that wait are told, by address, so that their argument takes no memory. They count themselves
 * in: spawning alone says nothing of what a process costs, they must have run and be waiting. */
struct crowd {
    mote_pid parent;
    _Atomic int64_t waiting; /* relaxed */
};

static struct crowd *crowd_get(mote_term arg) {
    uint64_t address;
    sure(mote_uint_get(arg, &address));
    return (struct crowd *)(uintptr_t)address;
}

static void waiter_body(mote_self *self, mote_term arg) {
    struct crowd *crowd = crowd_get(arg);
    atomic_fetch_add_explicit(&crowd->waiting, 1, memory_order_relaxed);
    sure(mote_receive_match(self, -1, "stop"));
    sure(mote_send(self, crowd->parent, "d"));
}

static void waiter_init(mote_self *self, mote_term arg, void *state) {
    (void)self;
    struct crowd **crowd = state;
    *crowd = crowd_get(arg);
    atomic_fetch_add_explicit(&(*crowd)->waiting, 1, memory_order_relaxed);
}

static void waiter_handle(mote_self *self, mote_term message, void *state) {
    struct crowd **crowd = state;
    expect(mote_match(message, "stop"), "memory: a message it does not know");
    sure(mote_send(self, (*crowd)->parent, "d"));
    done(self);
}

static const mote_handler waiter_handler = {.name = "waiter", .state_size = sizeof(struct crowd *), .init = waiter_init, .handle = waiter_handle};
static const struct kind waiter_kind = {waiter_body, &waiter_handler};

/* Starts `count` of them and returns when all wait. */
static void crowd_start(mote_self *self, struct crowd *crowd, bool handler, int64_t count, mote_pid *pids) {
    crowd->parent = mote_self_pid(self);
    atomic_init(&crowd->waiting, 0);
    mote_term arg = mote_uint_make(mote_scratch(self), (uint64_t)(uintptr_t)crowd);
    for (int64_t k = 0; k < count; k++) pids[k] = start(self, handler, &waiter_kind, arg);
    while (atomic_load_explicit(&crowd->waiting, memory_order_relaxed) < count) sure(mote_yield(self));
}

static void crowd_stop(mote_self *self, const mote_pid *pids, int64_t count) {
    for (int64_t k = 0; k < count; k++) sure(mote_send(self, pids[k], "stop"));
    wait_done(self, count);
}

/* The array of pids counts as memory of the processes, as the list does in bench.erl. */
void run_memory(mote_self *self, const struct bench *bench) {
    int64_t count = bench->number[0], before = resident_bytes();
    struct crowd crowd;
    mote_pid *pids = take((size_t)count, sizeof *pids);
    int64_t t0 = now_ns();
    crowd_start(self, &crowd, bench->handler, count, pids);
    int64_t t1 = now_ns();
    sure(mote_sleep(self, 300));
    out((double)(resident_bytes() - before) / (double)count, "bytes", "memory.idle");
    out((double)(t1 - t0) / (double)count, "ns", "memory.spawn");
    int64_t t2 = now_ns();
    crowd_stop(self, pids, count);
    out((double)(now_ns() - t2) / (double)count, "ns", "memory.wake_exit");
    free(pids);
}

/* Erlang's hibernation gives up the stack; what has none in mote is a handler. */
void run_memory_hib(mote_self *self, const struct bench *bench) {
    int64_t count = bench->number[0], before = resident_bytes();
    struct crowd crowd;
    mote_pid *pids = take((size_t)count, sizeof *pids);
    crowd_start(self, &crowd, true, count, pids);
    sure(mote_sleep(self, 300));
    out((double)(resident_bytes() - before) / (double)count, "bytes", "memory.idle_hib");
    crowd_stop(self, pids, count);
    free(pids);
}

/* -------------------------------------------------------------------------------------------------- nqueens */

/* A process per partial board down to row `depth`, plain recursion below. Told {Parent, N, Depth, Row, Columns, Left,
 * Right}; sends {q, Solutions}. */
struct board {
    mote_pid parent;
    int64_t n, depth, row, columns, left, right;
    int64_t waiting, sum;
};

static int64_t queens(int64_t all, int64_t rows, int64_t columns, int64_t left, int64_t right) {
    int64_t sum = 0;
    if (rows == 0) return 1;
    for (int64_t spare = all & ~(columns | left | right); spare != 0; spare &= spare - 1) {
        int64_t bit = spare & -spare;
        sum += queens(all, rows - 1, columns | bit, ((left | bit) << 1) & all, (right | bit) >> 1);
    }
    return sum;
}

static bool board_begin(mote_self *self, struct board *b, bool handler, mote_term arg);

static void board_report(mote_self *self, const struct board *b) {
    sure(mote_send(self, b->parent, "{q, ?}", b->sum));
}

static void board_body(mote_self *self, mote_term arg) {
    struct board b;
    if (board_begin(self, &b, false, arg))
        for (int64_t part; b.waiting > 0; b.waiting--, b.sum += part) sure(mote_receive_match(self, -1, "{q, ?}", &part));
    board_report(self, &b);
}

static void board_init(mote_self *self, mote_term arg, void *state) {
    if (board_begin(self, state, true, arg)) return;
    board_report(self, state);
    done(self);
}

static void board_handle(mote_self *self, mote_term message, void *state) {
    struct board *b = state;
    int64_t part;
    expect(mote_match(message, "{q, ?}", &part), "nqueens: a message it does not know");
    b->sum += part;
    if (--b->waiting > 0) return;
    board_report(self, b);
    done(self);
}

static const mote_handler board_handler = {.name = "board", .state_size = sizeof(struct board), .init = board_init, .handle = board_handle};
static const struct kind board_kind = {board_body, &board_handler};

static void board_child(mote_self *self, const struct board *b, bool handler, int64_t bit) {
    mote_term arg;
    sure(mote_build(mote_scratch(self), &arg, "{?, ?, ?, ?, ?, ?, ?}", mote_self_pid(self), b->n, b->depth, b->row + 1,
                    b->columns | bit, (b->left | bit) << 1, (b->right | bit) >> 1));
    start(self, handler, &board_kind, arg);
}

/* Gives false when the sum is known already: at full depth, and where no queen fits. */
static bool board_begin(mote_self *self, struct board *b, bool handler, mote_term arg) {
    expect(mote_match(arg, "{?, ?, ?, ?, ?, ?, ?}", &b->parent, &b->n, &b->depth, &b->row, &b->columns, &b->left, &b->right),
           "nqueens: bad argument");
    int64_t all = ((int64_t)1 << b->n) - 1;
    b->waiting = b->sum = 0;
    if (b->row == b->depth) {
        b->sum = queens(all, b->n - b->row, b->columns, b->left, b->right);
        return false;
    }
    for (int64_t spare = all & ~(b->columns | b->left | b->right); spare != 0; spare &= spare - 1, b->waiting++)
        board_child(self, b, handler, spare & -spare);
    return b->waiting > 0;
}

void run_nqueens(mote_self *self, const struct bench *bench) {
    static const int64_t solutions[] = {1, 0, 0, 2, 10, 4, 40, 92, 352, 724, 2680, 14200, 73712, 365596};
    int64_t n = bench->number[0], depth = bench->number[1], found, t0 = now_ns();
    mote_term arg;
    sure(mote_build(mote_scratch(self), &arg, "{?, ?, ?, 0, 0, 0, 0}", mote_self_pid(self), n, depth));
    start(self, bench->handler, &board_kind, arg);
    sure(mote_receive_match(self, -1, "{q, ?}", &found));
    int64_t t1 = now_ns();
    expect(found == solutions[n - 1], "nqueens: wrong number of solutions");
    out((double)(t1 - t0) / 1e6, "ms", "nqueens.%s.d%s", bench->text[0], bench->text[1]);
}

/* ------------------------------------------------------------------------------------------------ chameneos */

/* The mall, told the number of meetings: introduces every two that come, then sends all away. */
struct mall {
    mote_pid first;
    int64_t left, colour;
    bool waiting; /* `first`, of `colour`, is alone */
};

static void mall_take(mote_self *self, struct mall *m, mote_pid pid, int64_t colour) {
    if (m->left == 0) {
        sure(mote_send(self, pid, "stop"));
    } else if (m->waiting) {
        sure(mote_send(self, m->first, "{with, ?}", colour));
        sure(mote_send(self, pid, "{with, ?}", m->colour));
        m->waiting = false;
        m->left--;
    } else {
        m->first = pid;
        m->colour = colour;
        m->waiting = true;
    }
}

static void mall_body(mote_self *self, mote_term arg) {
    struct mall m = {.waiting = false};
    sure(mote_int_get(arg, &m.left));
    for (;;) {
        mote_pid pid;
        int64_t colour;
        sure(mote_receive_match(self, -1, "{meet, ?, ?}", &pid, &colour));
        mall_take(self, &m, pid, colour);
    }
}

static void mall_init(mote_self *self, mote_term arg, void *state) {
    (void)self;
    struct mall *m = state;
    sure(mote_int_get(arg, &m->left));
}

static void mall_handle(mote_self *self, mote_term message, void *state) {
    mote_pid pid;
    int64_t colour;
    expect(mote_match(message, "{meet, ?, ?}", &pid, &colour), "chameneos: a message the mall does not know");
    mall_take(self, state, pid, colour);
}

static const mote_handler mall_handler = {.name = "mall", .state_size = sizeof(struct mall), .init = mall_init, .handle = mall_handle};
static const struct kind mall_kind = {mall_body, &mall_handler};

/* A chameneos, told {Mall, Colour, Parent}: meets until it is sent away, then sends {met, Times}. */
struct chameneos {
    mote_pid mall, parent;
    int64_t colour, met;
};

static void chameneos_begin(mote_self *self, struct chameneos *c, mote_term arg) {
    expect(mote_match(arg, "{?, ?, ?}", &c->mall, &c->colour, &c->parent), "chameneos: bad argument");
    c->met = 0;
    sure(mote_send(self, c->mall, "{meet, ?, ?}", mote_self_pid(self), c->colour));
}

/* Gives false for `stop`. */
static bool chameneos_take(mote_self *self, struct chameneos *c, mote_term message) {
    int64_t other;
    if (!mote_match(message, "{with, ?}", &other)) {
        expect(mote_match(message, "stop"), "chameneos: a message it does not know");
        sure(mote_send(self, c->parent, "{met, ?}", c->met));
        return false;
    }
    if (other != c->colour) c->colour = 3 - c->colour - other;
    c->met++;
    sure(mote_send(self, c->mall, "{meet, ?, ?}", mote_self_pid(self), c->colour));
    return true;
}

static void chameneos_body(mote_self *self, mote_term arg) {
    struct chameneos c;
    mote_term message;
    chameneos_begin(self, &c, arg);
    do
        sure(mote_receive(self, -1, &message));
    while (chameneos_take(self, &c, message));
}

static void chameneos_init(mote_self *self, mote_term arg, void *state) {
    chameneos_begin(self, state, arg);
}

static void chameneos_handle(mote_self *self, mote_term message, void *state) {
    if (!chameneos_take(self, state, message)) done(self);
}

static const mote_handler chameneos_handler = {.name = "chameneos", .state_size = sizeof(struct chameneos), .init = chameneos_init, .handle = chameneos_handle};
static const struct kind chameneos_kind = {chameneos_body, &chameneos_handler};

void run_chameneos(mote_self *self, const struct bench *bench) {
    static const int colours[] = {0, 1, 2, 0, 1, 2, 0, 1};
    int64_t meetings = bench->number[0], total = 0, met;
    mote_pid mall = start(self, bench->handler, &mall_kind, mote_int_make(mote_scratch(self), meetings));
    int64_t t0 = now_ns();
    for (size_t k = 0; k < sizeof colours / sizeof *colours; k++) {
        mote_term arg;
        sure(mote_build(mote_scratch(self), &arg, "{?, ?, ?}", mall, colours[k], mote_self_pid(self)));
        start(self, bench->handler, &chameneos_kind, arg);
    }
    for (size_t k = 0; k < sizeof colours / sizeof *colours; k++, total += met)
        sure(mote_receive_match(self, -1, "{met, ?}", &met));
    int64_t t1 = now_ns();
    expect(total == 2 * meetings, "chameneos: wrong number of meetings");
    out((double)(t1 - t0) / (double)meetings, "ns", "chameneos");
}
