/* SPDX-License-Identifier: Apache-2.0
 * The process of one connection: it dials or is dialled, shakes hands, and then reads and writes until the end. */
#include <stdio.h>
#include <string.h>

#include "dist/node.h"

#define READ_BYTES 65536u
#define BEHIND_BYTES 1024u /* that are read with the rest of a piece, which has a place of its own: the next frame's head, and small ones before it */
#define SHAKE_BYTES 1024u
#define ADDRESSES_MAX 8u /* of a host, that are tried */
#define HEADER_BYTES ((size_t)1 << 19) /* more than the header of a frame can have */
#define WRITE_BYTES 131072u /* that are taken from the queue before the socket has them */
#define WRITE_TURN 262144u  /* that are written before what has come is looked at */
#define DENSE_BYTES 4096u   /* that go or come at once: there is more to come, */
#define SPIN_NS 20000u      /* so it looks a little longer before it waits */
#define TICK_ANSWER_NS 900000000u
#define REDUCTIONS_A_FRAME 20
#define REST_BYTES ((uint64_t)4 << 20) /* that are read of a connection that is replaced */

struct conn {
    mote_self *self;
    struct mt_dist *dist;
    struct mt_link *link; /* NULL: not admitted yet */
    int fd;
    struct mt_tls_conn *tls; /* NULL: plain TCP, or it has not begun */
    struct mt_knock *knock; /* accepting: until it is proved; NULL: not (any more) */
    char from[MT_NET_ADDRESS];
    bool armed;
    bool drained;         /* nothing was left to be read when it was armed: its event will tell of more */
    mote_ref watch;       /* armed: of the descriptor */
    int watched;          /* armed: events */
    bool stuck;           /* the socket has not taken all */
    bool closing;         /* it was told to */
    bool replaced;        /* by another of the same peer, which waits for its end */
    uint64_t node;        /* an atom, held: of the peer that is dialled, or was proved; 0: not yet */
    struct mt_attempt attempt; /* accepting */
    uint64_t read, written; /* bytes */
    struct mt_frames_in *in;
    mote_writer out;      /* taken, and not yet written from `sent` on */
    size_t sent;
    struct mt_ticker ticker;
    size_t hoard;         /* bytes of messages that have begun, as counted in `dist` */
    bool heard;           /* something has come, and was not answered by a sign of life */
    uint64_t tick_ns, took_ns; /* of the next tick; when the socket took something last */
    struct mt_shake shake;
    uint8_t first[SHAKE_BYTES]; /* of the handshake, and what came with its end */
    uint8_t *buffer;      /* READ_BYTES, of those that are up: who waits to be proved has little */
};

static void say(struct conn *c, mote_log_level level, const char *what, const char *why) {
    mt_log(c->dist->runtime, level, "%s %.*s: %s", what, (int)c->shake.peer_size, c->shake.peer, why);
}

/* ------------------------------------------------------------------------------------------------ waiting */

/* Waits for the descriptor, messages, or the deadline, and takes what has come. */
static void rest(struct conn *c, int events, uint64_t deadline_ns) {
    mote_term message, ref;
    uint64_t now = mt_os_now_ns();
    if (c->armed && c->watched != events) {
        (void)mote_fd_disarm(c->self, c->watch);
        c->armed = false;
    }
    if (!c->armed && events) {
        c->armed = mote_fd_arm(c->self, c->fd, events, &c->watch) == MOTE_OK;
        c->watched = events;
        if (!c->armed) c->closing = true;
    }
    int64_t ms = deadline_ns <= now ? 0 : deadline_ns - now > UINT64_C(3600000000000) ? 3600000 : (int64_t)((deadline_ns - now) / 1000000 + 1);
    for (mote_err err = mote_receive(c->self, ms, &message); !err; err = mote_receive(c->self, 0, &message)) {
        if (mote_match(message, "{mote_fd, ?, _}", &ref) && c->armed && ref.word == c->watch.word) c->armed = false;
        else if (mote_match(message, "close")) c->closing = true;
        else if (mote_match(message, "give_way")) c->closing = c->replaced = true;
    }
}

mote_err mt_net_wait(mote_self *self, int fd, int events, uint64_t deadline_ns) {
    uint64_t now = mt_os_now_ns();
    return mote_fd_wait(self, fd, events, deadline_ns <= now ? 0 : (int64_t)((deadline_ns - now) / 1000000 + 1), NULL);
}

mote_err mt_net_connect(mote_self *self, const char *address, uint16_t port, uint64_t deadline_ns, int *fd) {
    mote_err err = mt_net_dial(address, port, fd);
    if (err) return err;
    err = mt_net_wait(self, *fd, MOTE_WRITE, deadline_ns);
    if (!err) err = mt_net_dialled(*fd);
    if (!err) return MOTE_OK;
    mt_os_close(*fd);
    *fd = -1;
    return err;
}

static void hang_up(struct conn *c) {
    if (c->armed) (void)mote_fd_disarm(c->self, c->watch);
    mt_tls_close(c->tls);
    c->tls = NULL;
    if (c->fd >= 0) mt_os_close(c->fd);
    c->armed = false;
    c->fd = -1;
}

/* ------------------------------------------------------------------------------------------------ TLS */

static mote_err net_read(struct conn *c, void *to, size_t size, size_t *got) { return c->tls ? mt_tls_read(c->tls, to, size, got) : mt_net_read(c->fd, to, size, got); }

static mote_err net_write(struct conn *c, const void *from, size_t size, size_t *done) { return c->tls ? mt_tls_write(c->tls, from, size, done) : mt_net_write(c->fd, from, size, done); }

/* A step of its handshake, or a look at its certificate, on a thread for what takes long. */
struct tls_step {
    struct mt_tls_conn *tls;
    mote_err err;
};
static void look_tls(void *context) {
    struct tls_step *s = context;
    s->err = mt_tls_look(s->tls);
}
static void step_tls(void *context) {
    struct tls_step *s = context;
    s->err = mt_tls_shake(s->tls);
}

/* Waits until the socket is ready, however many messages come. False: it is late, or not wanted any more. */
static bool is_ready(struct conn *c, int events, uint64_t deadline_ns) {
    do rest(c, events, deadline_ns);
    while (c->armed && !c->closing && mt_os_now_ns() < deadline_ns);
    return !c->armed && !c->closing;
}

/* TLS before anything else, where the node has it, within the time of the handshake's first step. Who dials computes first; for the other there is nothing to do before something has come. False: it has come to nothing; mt_tls_why() may
 * say why. */
static bool secure(struct conn *c) {
    mote_bytes dialled = {c->shake.peer, c->shake.dialling ? c->shake.peer_size : 0};
    if (!c->dist->tls) return true;
    if (mt_tls_open(c->dist->tls, c->fd, dialled, &c->tls)) return false;
    struct tls_step s = {c->tls, MOTE_TIMEOUT};
    while (s.err == MOTE_TIMEOUT && is_ready(c, mt_tls_events(c->tls), mt_shake_due(&c->shake)))
        if (mote_blocking(c->self, step_tls, &s)) return false;
    if (s.err == MOTE_TIMEOUT) (void)mt_shake_late(&c->shake, mt_os_now_ns());
    return !s.err;
}

#define WHY_BYTES 300u

/* Why a connection has ended before it was up, in words that last longer than it; an empty text: nobody has said. */
static void why_not(struct conn *c, char why[WHY_BYTES]) {
    *why = 0;
    if (c->shake.verdict) (void)mt_shake_print(&c->shake, why, WHY_BYTES);
    else if (c->tls) snprintf(why, WHY_BYTES, "%s", mt_tls_why(c->tls));
}

/* ------------------------------------------------------------------------------------------------ handshake */

static bool write_all(struct conn *c, mote_bytes bytes, uint64_t deadline_ns) {
    const uint8_t *p = bytes.data;
    for (size_t done; bytes.size; p += done, bytes.size -= done) {
        mote_err err = net_write(c, p, bytes.size, &done);
        if (err == MOTE_TIMEOUT) done = 0, rest(c, MOTE_WRITE, deadline_ns);
        if ((err && err != MOTE_TIMEOUT) || c->closing || mt_os_now_ns() > deadline_ns) return false;
    }
    return true;
}

/* What is to be written now. */
static bool flush(struct conn *c) { return write_all(c, mt_shake_out(&c->shake), mt_shake_due(&c->shake)); }

/* Its place among those that are not proved is free. */
static void knock_is_over(struct conn *c) {
    if (c->knock) mt_shaken(c->dist, c->knock, -1);
    c->knock = NULL;
}

/* It says who it is: no atom is made of that (Q4). */
static enum mt_shake_step decide(struct conn *c) {
    c->attempt = (struct mt_attempt){.name = c->shake.peer, .name_size = c->shake.peer_size, .creation = c->shake.peer_creation, .process = mote_self_pid(c->self).word};
    if (c->tls && !mt_tls_speaks_for(c->tls, (mote_bytes){c->shake.peer, c->shake.peer_size})) { /* before anything reacts to the name */
        enum mt_shake_step over = mt_shake_decide(&c->shake, MT_SHAKE_BARRED, mt_os_now_ns());
        c->shake.verdict = MT_NO_CERTIFICATE;
        return over;
    }
    return mt_shake_decide(&c->shake, mt_attempt_begin(c->dist, &c->attempt), mt_os_now_ns());
}

/* It is proved. It gets the link, at once or when it is known what becomes of another attempt or of the connection that it replaces. */
static bool admit(struct conn *c) {
    uint64_t deadline = mt_os_now_ns() + MT_SHAKE_STEP_NS;
    knock_is_over(c);
    c->node = mt_atom_intern(c->shake.peer, c->shake.peer_size, false, NULL);
    while (c->node && !c->closing && mt_os_now_ns() < deadline) {
        enum mt_claim claim = mt_claim(c->self, c->dist, &c->attempt, c->node, &c->link);
        if (claim != MT_CLAIM_WAITS) return claim == MT_CLAIM_OURS;
        rest(c, 0, deadline);
    }
    return false;
}

static enum mt_shake_step answer(struct conn *c, enum mt_shake_step step) {
    switch (step) {
    case MT_SHAKE_NAMED: return decide(c);
    case MT_SHAKE_LINKED: return mt_shake_insist(&c->shake, mt_claim_is_ours(c->self, c->dist, c->node));
    case MT_SHAKE_PROVEN: return mt_shake_admit(&c->shake, admit(c));
    default: return step;
    }
}

/* Feeds the handshake with what is in the buffer, and answers what it asks. *left: what is behind it, moved to the buffer's beginning. */
static enum mt_shake_step feed_shake(struct conn *c, size_t got, size_t *left) {
    enum mt_shake_step step;
    size_t at = 0, used;
    do {
        step = answer(c, mt_shake_feed(&c->shake, c->first + at, got - at, mt_os_now_ns(), &used));
        at += used;
        if (c->shake.dialling && !mt_claim_is_ours(c->self, c->dist, c->node)) return MT_SHAKE_OVER; /* who proves himself means it: dist.md */
        if (!flush(c)) return MT_SHAKE_OVER;
    } while (step == MT_SHAKE_WAITS && at < got);
    *left = got - at;
    memmove(c->first, c->first + at, *left);
    return step;
}

static enum mt_shake_step read_on(struct conn *c, size_t *left) {
    size_t got = 0;
    mote_err err = net_read(c, c->first, sizeof c->first, &got);
    if (!err) return feed_shake(c, got, left);
    if (err != MOTE_TIMEOUT) return MT_SHAKE_OVER;
    rest(c, MOTE_READ, mt_shake_due(&c->shake));
    if (c->closing) return MT_SHAKE_OVER; /* it was taken over, or is not wanted any more */
    return mt_os_now_ns() > mt_shake_due(&c->shake) ? mt_shake_late(&c->shake, mt_os_now_ns()) : MT_SHAKE_WAITS;
}

static bool shake_hands(struct conn *c, size_t *left) {
    enum mt_shake_step step = MT_SHAKE_WAITS;
    *left = 0;
    if (!secure(c) || !flush(c)) return false;
    while (step == MT_SHAKE_WAITS) step = read_on(c, left);
    return step == MT_SHAKE_UP;
}

/* ------------------------------------------------------------------------------------------------- dialling */

static bool dial_at(struct conn *c, const char *address, uint16_t port) {
    return mt_net_connect(c->self, address, port, mt_os_now_ns() + MT_SHAKE_STEP_NS, &c->fd) == MOTE_OK;
}

/* The addresses of a node's host, and where it listens; port 0: its port mapper is to be asked. */
struct places {
    char host[MT_NODE_NAME_MAX + 1];
    char addresses[ADDRESSES_MAX][MT_NET_ADDRESS];
    size_t count;
    uint16_t port;
    mote_err err;
};
static void look_up(void *context) {
    struct places *p = context;
    p->err = mt_net_resolve_all(p->host, p->addresses, ADDRESSES_MAX, &p->count);
}

/* Why it cannot be looked for; NULL: it can. */
static const char *find(struct conn *c, struct places *p) {
    const char *at = memchr(c->shake.peer, '@', c->shake.peer_size);
    *p = (struct places){.count = 1};
    memcpy(p->host, at + 1, c->shake.peer_size - (size_t)(at - c->shake.peer) - 1);
    mt_lock_take(&c->dist->mu);
    const struct mt_peer_facts *f = c->dist->facts;
    while (f && f->node != c->node) f = f->next;
    if (f && f->port) {
        p->port = f->port;
        memcpy(p->addresses[0], f->address, MT_NET_ADDRESS);
    }
    mt_lock_drop(&c->dist->mu);
    if (p->port) return NULL;
    if (c->dist->options.no_epmd) return "no port mapper is used, and nobody has told where it listens: mote_node_at()";
    if (mt_net_is_address(p->host)) snprintf(p->addresses[0], MT_NET_ADDRESS, "%.63s", p->host);
    else if (mote_blocking(c->self, look_up, p) || p->err || !p->count) return "its host has no address";
    return NULL;
}

/* Connects to the first of its addresses at which it is found. NULL: it has; else why not at the last one. */
static const char *reach(struct conn *c, const struct places *p) {
    const mote_bytes alive = {c->shake.peer, c->shake.peer_size - strlen(p->host) - 1};
    const char *why = NULL;
    for (size_t i = 0; i < p->count; i++) {
        uint16_t port = p->port;
        enum mt_verdict v = port ? MT_FINE : mt_epmd_find(c->self, c->dist, p->addresses[i], alive, &port);
        if (!v && dial_at(c, p->addresses[i], port)) return NULL;
        why = v ? mt_verdict_text(v) : "nobody listens where it should";
    }
    return why;
}

/* The handshake's name for the peer is set before there is one. `why`, for the log: why not; empty: that is not told. */
static bool dial(struct conn *c, size_t *left, char why[WHY_BYTES]) {
    struct places places;
    mote_name name = mt_name_of_atom(c->node);
    if (!mt_node_name_fits((mote_bytes){name.data, name.size})) return false;
    mt_shake_dial(&c->shake, &c->dist->shake, (mote_bytes){name.data, name.size}, mt_os_now_ns());
    const char *not_found = find(c, &places);
    if (!not_found) not_found = reach(c, &places);
    if (not_found) {
        snprintf(why, WHY_BYTES, "%s", not_found);
        return false;
    }
    mt_shake_dial(&c->shake, &c->dist->shake, (mote_bytes){name.data, name.size}, mt_os_now_ns());
    if (shake_hands(c, left)) return true;
    if (c->shake.verdict == MT_NO_THEIRS_FIRST || c->shake.verdict == MT_NO_LINKED) return false;
    why_not(c, why);
    if (!*why) snprintf(why, WHY_BYTES, "it has closed the connection: has it another cookie, or %sTLS? Its log says why", c->dist->tls ? "no " : "");
    return false;
}

/* ---------------------------------------------------------------------------------------------------- up */

/* What is kept of messages that have begun is so much now; false: of all connections it is more than may be, and this one asks for it. */
static bool count_hoard(struct conn *c, size_t bytes) {
    if (bytes == c->hoard) return true;
    mt_lock_take(&c->dist->mu);
    c->dist->hoard += bytes - c->hoard;
    bool fits = bytes < c->hoard || c->dist->hoard <= MT_HOARD_MAX;
    mt_lock_drop(&c->dist->mu);
    c->hoard = bytes;
    return fits;
}

/* Feeds what has come to `in`, and delivers what comes out. */
static enum mt_verdict feed(struct conn *c, const uint8_t *data, size_t size) {
    struct mt_frame frame;
    size_t used = 0;
    c->read += size;
    c->heard = c->heard || size > 0;
    for (; size; data += used, size -= used) {
        enum mt_verdict v = mt_frames_in_feed(c->in, data, size, &used, &frame);
        if (v == MT_MORE) return count_hoard(c, mt_frames_in_bytes(c->in)) ? MT_FINE : MT_NO_HOARD;
        if (!v && !frame.tick) v = mt_link_deliver(c->self, c->link, c->in, &frame, NULL);
        if (v) return v;
        mt_self(c->self)->task.budget -= REDUCTIONS_A_FRAME;
    }
    return MT_FINE;
}

/* Reads once, unless its watch will say when. False: it is over. */
static bool read_some(struct conn *c, enum mt_verdict *why) {
    size_t got, room = 0, most = READ_BYTES;
    if (c->drained && c->armed) return true;
    uint8_t *piece = mt_frames_in_room(c->in, &room);
    if (piece) most = room + (c->tls ? 0 : BEHIND_BYTES);
    mote_err err = piece && !c->tls ? mt_net_read_both(c->fd, piece, room, c->buffer, BEHIND_BYTES, &got) : net_read(c, piece ? piece : c->buffer, most, &got);
    c->drained = err == MOTE_TIMEOUT || (!err && !c->tls && got < most);
    if (err) return err == MOTE_TIMEOUT;
    size_t direct = got < room ? got : room;
    *why = direct ? feed(c, piece, direct) : MT_FINE;
    if (!*why && got > direct) *why = feed(c, c->buffer, got - direct);
    return !*why;
}

/* Takes frames and writes them, as far as the socket goes, for a turn. */
static bool write_some(struct conn *c, enum mt_verdict *why) {
    const uint64_t before = c->written;
    while (c->written - before < WRITE_TURN) {
        mote_bytes all = mote_writer_bytes(&c->out);
        while (all.size - c->sent < WRITE_BYTES && !*why) {
            enum mt_verdict v = mt_link_take(c->self, c->link, &c->out);
            all = mote_writer_bytes(&c->out);
            if (v == MT_MORE) break;
            if (v) *why = v;
        }
        if (*why) return false;
        if (all.size == c->sent) {
            mote_writer_fini(&c->out);
            mote_writer_init(&c->out, MOTE_FORM_ERLANG, NULL, 0, SIZE_MAX / 4);
            c->sent = 0;
            return true;
        }
        size_t done;
        mote_err err = net_write(c, (const uint8_t *)all.data + c->sent, all.size - c->sent, &done);
        c->stuck = err == MOTE_TIMEOUT;
        if (err) return c->stuck;
        c->took_ns = mt_os_now_ns();
        c->written += done;
        c->sent += done;
        if (c->sent < all.size) continue;
        c->out.next = c->out.data; /* all of it: its memory is used again */
        c->sent = 0;
    }
    return true;
}

static bool waits_to_write(const struct conn *c) { return mote_writer_bytes(&c->out).size > c->sent; }

/* A sign of life, unless more than that waits. */
static void put_tick(struct conn *c, uint64_t now) {
    if (waits_to_write(c)) return;
    mote_raw_write(&c->out, "\0\0\0\0", MT_TICK_BYTES);
    c->took_ns = now;
}

bool mt_link_is_stuck(size_t waiting, size_t most, uint64_t for_ns) { return (waiting > most && for_ns > MT_LINK_FULL_NS) || (waiting > MT_LINK_CROWD && for_ns > MT_LINK_STALL_NS); }

/* Four times in the time after which silence is the end. */
static bool tick(struct conn *c, uint64_t now, enum mt_verdict *why) {
    size_t waiting = mt_link_waiting(c->link) + (waits_to_write(c) ? 1 : 0);
    *why = mt_frames_in_check(c->in, now);
    if (*why) return false;
    if (mt_link_is_stuck(waiting, c->dist->options.queue_max, now - c->took_ns)) *why = MT_NO_STUCK;
    if (now < c->tick_ns || *why) return !*why;
    c->tick_ns = now + (uint64_t)c->dist->options.tick_ms * 250000;
    switch (mt_tick(&c->ticker, c->read, c->written, waiting, c->link->hidden)) {
    case MT_TICK_REST: return true;
    case MT_TICK_DOWN: *why = MT_NO_TICKS; return false;
    case MT_TICK_SEND: break;
    }
    put_tick(c, now);
    return true;
}

/* Whether its certificate is still good: looked at with each tick that is due, and when the files were read again. */
static bool still_proved(struct conn *c, uint64_t now, enum mt_verdict *why) {
    struct tls_step s = {c->tls, MOTE_OK};
    if (!c->tls || (now < c->tick_ns && !mt_tls_is_dated(c->tls))) return true;
    if (mote_blocking(c->self, look_tls, &s)) return false;
    if (s.err) *why = MT_NO_CERTIFICATE_OVER;
    return !s.err;
}

/* A peer may count on hearing from us more often than by our own time: who gives a sign, or sends something for long, gets one, unless he has had something in the last second (so that two do not go on for ever). */
static void give_sign(struct conn *c, uint64_t now) {
    if (c->heard && now - c->took_ns >= TICK_ANSWER_NS) put_tick(c, now);
    c->heard = false;
}

/* It has not read all that there is, or not written all that it has taken. What the socket does not take yet waits for its event. */
static bool is_under_way(const struct conn *c) { return !c->drained || (waits_to_write(c) && !c->stuck); }

/* Whether there is nothing to be taken: who puts something from now on wakes it. While the socket takes nothing nobody has to. */
static bool may_rest(struct conn *c) {
    if (waits_to_write(c)) return true;
    atomic_store(&c->link->rests, 1);
    mt_fence();
    if (mt_link_waiting(c->link) == 0) return true;
    atomic_store_explicit(&c->link->rests, 0, memory_order_relaxed);
    return false;
}

/* A peer that has gone and dials again is heard of by that before the end of this is read, which stands behind what it had sent last: that is delivered. */
static void read_rest(struct conn *c, enum mt_verdict *why) {
    const uint64_t end = c->read + REST_BYTES;
    c->drained = false;
    while (!c->drained && c->read < end && read_some(c, why)) continue;
}

/* Reads and writes while there is something, then waits. What those say who have got something goes with the answers that wait already, in one write. */
static void serve(struct conn *c, size_t left) {
    enum mt_verdict why = MT_FINE;
    bool fine = !(why = feed(c, c->first, left));
    const uint64_t spin = mt_os_cores() > 1 ? SPIN_NS : 0;
    uint64_t now = c->took_ns = mt_os_now_ns(), dense_ns = 0;
    c->tick_ns = now + (uint64_t)c->dist->options.tick_ms * 250000;
    while (fine && !c->closing) {
        const uint64_t before = c->read + c->written;
        if (!write_some(c, &why) || !read_some(c, &why)) break;
        now = mt_os_now_ns();
        if (c->read + c->written - before >= DENSE_BYTES) dense_ns = now;
        if (!(fine = still_proved(c, now, &why) && tick(c, now, &why))) break;
        give_sign(c, now);
        if (is_under_way(c)) mote_must(c->self, mote_yield(c->self));
        else if ((now - dense_ns < spin && !waits_to_write(c)) || !may_rest(c)) mt_step_aside(mt_self(c->self));
        else rest(c, MOTE_READ | (waits_to_write(c) ? MOTE_WRITE : 0), c->tick_ns);
        atomic_store_explicit(&c->link->rests, 0, memory_order_relaxed);
    }
    if (fine && c->replaced) read_rest(c, &why);
    const char *told = why && why != MT_NO_CERTIFICATE_OVER ? mt_verdict_text(why) : c->tls ? mt_tls_why(c->tls) : ""; /* which says more */
    if (*told) say(c, MOTE_LOG_WARNING, "the connection is given up to", told); /* who listens is told of every end */
}

static void up(struct conn *c, size_t left) {
    while (mt_claim_is_ending(c->dist, c->node)) mote_must(c->self, mote_yield(c->self)); /* nobody hears of this one before he has heard of the end of that */
    const size_t most = c->dist->options.message_max;
    const struct mt_frame_limits limits = {.message_max = most, .frame_max = most + HEADER_BYTES < MT_FRAME_MAX ? most + HEADER_BYTES : MT_FRAME_MAX};
    if (!(c->buffer = mt_os_alloc(READ_BYTES)) || mt_frames_in_new(c->shake.flags, &limits, &c->in) || !mt_link_rise(c->self, c->link, &c->shake)) {
        say(c, MOTE_LOG_ERROR, "cannot connect to", "out of memory");
        return;
    }
    serve(c, left);
}

/* ------------------------------------------------------------------------------------------------ the process */

/* Our attempt has come to nothing: a peer's may take the link over, which is to come (who has refused ours has said so) or goes on. Whether it does. */
static bool is_taken_over(struct conn *c) {
    uint64_t deadline = mt_os_now_ns() + MT_SHAKE_STEP_NS;
    hang_up(c);
    for (;; rest(c, 0, deadline)) {
        enum mt_claim claim = mt_claim_yield(c->self, c->dist, c->node);
        if (claim == MT_CLAIM_REFUSED) return true;
        bool may_come = claim == MT_CLAIM_WAITS || c->shake.verdict == MT_NO_THEIRS_FIRST;
        if (!may_come || c->closing || mt_os_now_ns() >= deadline) return false;
    }
}

static void run_dialler(struct conn *c) {
    size_t left;
    char why[WHY_BYTES] = "";
    bool done = dial(c, &left, why);
    if (done ? !mt_claim_dialled(c->self, c->dist, c->node) : is_taken_over(c)) return;
    if (*why && !c->closing) say(c, MOTE_LOG_WARNING, "cannot connect to", why);
    if (done) up(c, left);
    mt_link_end(c->self, c->link);
}

bool mt_tell_refusal(struct mt_dist *dist, const char *from, enum mt_verdict verdict, const char *why) {
    char more[60] = "";
    struct mt_telling t;
    mt_lock_take(&dist->mu);
    bool late = mt_guard_refuses(&dist->guard, from, verdict == MT_NO_COOKIE, mt_os_now_ns(), &t);
    mt_lock_drop(&dist->mu);
    if (t.untold) snprintf(more, sizeof more, "; %u refusals before this were not told", t.untold);
    if (t.many) mt_log(dist->runtime, MOTE_LOG_WARNING, "%u more connections from %s with a wrong cookie: each is held up for a second%s", t.many, from, more);
    else if (t.told) mt_log(dist->runtime, MOTE_LOG_WARNING, "refused a connection from %s: %s%s", from, why, more);
    return late;
}

/* Who tries many cookies hears of it later; so does a node that was given a wrong one. */
static void refuse(struct conn *c, const char *why) {
    uint64_t until = mt_os_now_ns() + MT_FAILED_LATE_NS;
    bool late = mt_tell_refusal(c->dist, c->from, c->shake.verdict, why);
    while (late && !c->closing && mt_os_now_ns() < until) rest(c, 0, until);
}

static void run_acceptor(struct conn *c) {
    size_t left;
    char why[WHY_BYTES] = "";
    mt_shake_accept(&c->shake, &c->dist->shake, mt_os_now_ns());
    bool done = !c->closing && shake_hands(c, &left);
    mt_attempt_end(c->self, c->dist, &c->attempt);
    if (done && c->link) up(c, left);
    else if (c->shake.verdict != MT_NO_OURS_FIRST && c->shake.verdict != MT_NO_LINKED) why_not(c, why); /* two that dial each other are no news */
    if (*why) refuse(c, why);
    if (c->link) mt_link_end(c->self, c->link);
}

/* However it ends: with the runtime, too, which frees links that are left. */
static void clean_up(void *context) {
    struct conn *c = context;
    hang_up(c);
    mt_attempt_end(c->self, c->dist, &c->attempt);
    if (c->node) mt_atom_drop(c->node);
    knock_is_over(c);
    count_hoard(c, 0);
    mt_frames_in_free(c->in);
    mt_os_free(c->buffer);
    mote_writer_fini(&c->out);
    mt_os_free(c);
}

/* It is known as the one that gives way, if it has to; perhaps it has to already. */
static struct conn *with_knock(struct conn *c, struct mt_knock *knock) {
    c->knock = knock;
    if (!knock) return c;
    mt_lock_take(&c->dist->mu);
    knock->process = mote_self_pid(c->self).word;
    c->closing = knock->over;
    mt_lock_drop(&c->dist->mu);
    return c;
}

static struct conn *conn_new(mote_self *self, struct mt_dist *dist, int fd, struct mt_knock *knock) {
    struct conn *c = mt_os_alloc_zero(sizeof *c);
    if (!c) return NULL;
    c->self = self;
    c->dist = dist;
    c->fd = fd;
    mote_writer_init(&c->out, MOTE_FORM_ERLANG, NULL, 0, SIZE_MAX / 4);
    if (knock) memcpy(c->from, knock->from, sizeof c->from);
    if (mote_cleanup_add(self, clean_up, c) == MOTE_OK) return with_knock(c, knock);
    mt_os_free(c);
    return NULL;
}

void mt_conn_process(mote_self *self, mote_term arg) {
    uint64_t address = 0;
    int fd = -1;
    uint64_t word = 0;
    mote_atom node = {0};
    bool dials = mote_match(arg, "{dial, ?, ?}", &node, &address);
    if (!dials && !mote_match(arg, "{accept, ?, ?, ?}", &fd, &word, &address)) MT_ASSERT(false);
    struct mt_dist *dist = (struct mt_dist *)(uintptr_t)address;
    struct mt_knock *knock = (struct mt_knock *)(uintptr_t)word;
    struct mt_link *link = dials ? mt_claim_dial(self, dist, node.word) : NULL;
    if (dials && !link) return; /* the peer was faster */
    struct conn *c = conn_new(self, dist, fd, knock);
    if (!c) {
        mt_log(dist->runtime, MOTE_LOG_ERROR, "a connection is given up: out of memory");
        if (!dials) mt_shaken(dist, knock, fd);
        if (link) mt_link_end(self, link);
        return;
    }
    if (dials) mt_atom_hold(node.word);
    c->node = node.word;
    c->link = link;
    if (dials) run_dialler(c);
    else run_acceptor(c);
}
