/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/postman.h"

#define SPIN_NS 20000u

struct round {
    struct mote_worker *worker;
    struct mt_sched *sched;
    struct mt_line *line;
};

static mote_err deliver(void *context, const void *record, size_t size) {
    struct round *r = context;
    struct mt_freight *freight = r->worker->freight;
    if (mt_freight_is_record(record, size)) return mt_freight_take(freight, r->line->peer, record, size);
    mt_freight_begin(freight, r->line->peer);
    mote_err err = mt_far_take(r->sched, r->line->peer & 255, record, size);
    mt_freight_end(freight);
    return err;
}

static struct mt_line *line_of(struct mote_worker *w, unsigned i) { return atomic_load_explicit(&w->lines[i], memory_order_acquire); }
static unsigned end_of(struct mote_worker *w) { return atomic_load_explicit(&w->end, memory_order_acquire); }

/* Takes a batch from a line, and sends what waits for it. Whether there was anything. */
static bool serve(struct round *r) {
    const struct mt_channel_sink sink = {deliver, r};
    int n = mt_channel_take(r->line->channel, &sink);
    if (n < 0) atomic_store_explicit(&r->worker->cut, r->line->peer, memory_order_relaxed);
    if (mt_channel_flush(r->line->channel)) mt_far_drained(r->sched, r->line->peer & 255);
    return n > 0;
}

static bool serve_all(mote_self *self, struct mote_worker *w) {
    struct round r = {.worker = w, .sched = mt_self(self)->task.sched};
    bool any = false;
    for (unsigned i = 0; i < end_of(w); i++)
        if ((r.line = line_of(w, i)) && serve(&r)) any = true;
    return any;
}

/* Whether every line is at rest, asked after the doorbell was set. */
static bool all_rest(struct mote_worker *w) {
    for (unsigned i = 0; i < end_of(w); i++) {
        struct mt_line *line = line_of(w, i);
        if (line && !mt_channel_rests(line->channel)) return false;
    }
    return true;
}

/* The worker of a line has ended: its last records are delivered, then everybody is told. */
static void lose(mote_self *self, struct mote_worker *w, unsigned peer, mote_term reason) {
    struct round r = {.worker = w, .sched = mt_self(self)->task.sched, .line = line_of(w, peer % MT_WORKERS_MAX)};
    const struct mt_channel_sink sink = {deliver, &r};
    if (!r.line || r.line->peer != peer) return;
    while (mt_channel_take(r.line->channel, &sink) > 0) continue;
    mt_freight_lost(w->freight, peer);
    atomic_store(&w->lines[peer % MT_WORKERS_MAX], NULL); /* the next incarnation can be opened as soon as it is lost */
    while (mt_far_lost(r.sched, peer & 255, reason) == MOTE_ENOMEM) mote_must(self, mote_sleep(self, 10));
    while (mt_far_is_used(w->runtime, peer & 255)) mote_must(self, mote_yield(self));
    mt_line_free(r.line);
}

/* What the worker's own functions tell it; false: the doorbell's event is there. */
static bool obey(mote_self *self, struct mote_worker *w, mote_term message) {
    mote_term reason;
    uint64_t peer;
    if (mote_match(message, "{mote_fd, _, _}")) return false;
    if (mote_match(message, "{lost, ?, ?}", &peer, &reason)) lose(self, w, (unsigned)peer, reason);
    return true;
}

/* For how many ms nothing is to be trimmed; -1: for ever. */
static int64_t trims_in_ms(struct mote_worker *w) {
    uint64_t now = mt_os_now_ns(), next = mt_freight_trim(w->freight, now);
    return next == MT_NEVER ? -1 : next <= now ? 1 : (int64_t)((next - now) / 1000000 + 1);
}

/* Sleeps until the doorbell rings, or a message comes. `armed`: the event is watched. */
static void rest(mote_self *self, struct mote_worker *w, bool *armed) {
    struct mt_doorbell *bell = mt_board_doorbell(w->board, w->self % MT_WORKERS_MAX);
    mote_ref ref;
    mote_term message;
    bool reported = false;
    mt_doorbell_sleep(bell, w->self);
    if (all_rest(w)) {
        if (!*armed) mote_must(self, mote_fd_arm(self, w->event, MOTE_READ, &ref));
        mote_err err = mote_receive(self, trims_in_ms(w), &message);
        if (err != MOTE_TIMEOUT) mote_must(self, err);
        reported = !err && !obey(self, w, message);
        *armed = !reported;
    }
    mt_doorbell_wake(bell, w->event, reported);
}

/* Looking again is cheaper than to be woken, if there is a core for it. */
static bool looks_again(uint64_t *since_ns, uint64_t spin_ns, bool any) {
    uint64_t now = mt_os_now_ns();
    if (any) *since_ns = now;
    return any || now - *since_ns < spin_ns;
}

void mt_postman(mote_self *self, mote_term arg) {
    uint64_t word, since_ns = 0, spin_ns = mt_os_cores() > 1 ? SPIN_NS : 0;
    bool armed = false;
    mote_term message;
    mote_must(self, mote_uint_get(arg, &word));
    struct mote_worker *w = (struct mote_worker *)(uintptr_t)word;
    for (;;) {
        while (mote_receive(self, 0, &message) == MOTE_OK)
            if (!obey(self, w, message)) {
                armed = false;
                mt_os_event_clear(w->event); /* D3: no sleep is announced */
            }
        if (looks_again(&since_ns, spin_ns, serve_all(self, w)))
            mote_must(self, mote_yield(self));
        else
            rest(self, w, &armed);
    }
}
