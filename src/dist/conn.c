/* SPDX-License-Identifier: Apache-2.0
 * The process of one connection: it dials or is dialled, shakes hands, and then reads and writes until the end. */
#include <stdio.h>
#include <string.h>

#include "dist/node.h"

#define READ_BYTES 65536u
#define WRITE_BYTES 131072u /* that are taken from the queue before the socket has them */
#define SPIN_NS 20000u
#define REDUCTIONS_A_FRAME 20

struct conn {
    mote_self *self;
    struct mt_dist *dist;
    struct mt_link *link; /* NULL: not admitted yet */
    int fd;
    char from[MT_NET_ADDRESS];
    bool armed;
    mote_ref watch;       /* armed: of the descriptor */
    int watched;          /* armed: events */
    bool closing;         /* it was told to */
    uint64_t counted;     /* an atom: of whose link `theirs` counts this attempt; 0: none */
    uint64_t read, written; /* bytes */
    struct mt_frames_in *in;
    mote_writer out;      /* taken, and not yet written from `sent` on */
    size_t sent;
    struct mt_ticker ticker;
    uint64_t tick_ns, took_ns; /* of the next tick; when the socket took something last */
    struct mt_shake shake;
    uint8_t buffer[READ_BYTES];
};

static struct mt_sched *sched_of(mote_self *self) { return mt_self(self)->task.sched; }

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
    }
}

mote_err mt_net_wait(mote_self *self, int fd, int events, uint64_t deadline_ns) {
    uint64_t now = mt_os_now_ns();
    return mote_fd_wait(self, fd, events, deadline_ns <= now ? 0 : (int64_t)((deadline_ns - now) / 1000000 + 1), NULL);
}

/* ------------------------------------------------------------------------------------------------ handshake */

static bool write_all(struct conn *c, mote_bytes bytes, uint64_t deadline_ns) {
    const uint8_t *p = bytes.data;
    for (size_t done; bytes.size; p += done, bytes.size -= done) {
        mote_err err = mt_net_write(c->fd, p, bytes.size, &done);
        if (err == MOTE_TIMEOUT) done = 0, err = mt_net_wait(c->self, c->fd, MOTE_WRITE, deadline_ns);
        if (err) return false;
    }
    return true;
}

/* What is to be written now. */
static bool flush(struct conn *c) { return write_all(c, mt_shake_out(&c->shake), mt_shake_due(&c->shake)); }

static uint64_t atom_of_peer(const struct conn *c) { return mt_atom_intern(c->shake.peer, c->shake.peer_size, false, NULL); }

/* What the peer is to us when it says its name: Q4. */
static enum mt_shake_known known(struct conn *c) {
    enum mt_shake_known is = MT_SHAKE_STRANGER;
    if (!mt_atom_exists(c->shake.peer, c->shake.peer_size)) return is;
    uint64_t atom = atom_of_peer(c);
    if (!atom) return is;
    mt_lock_take(&c->dist->mu);
    const struct mt_link *link = mt_link_find_locked(c->dist, atom);
    if (link) is = link->up ? MT_SHAKE_IS_UP : MT_SHAKE_DIALLED;
    mt_lock_drop(&c->dist->mu);
    mt_atom_drop(atom);
    return is;
}

/* Whether our own attempt to dial the peer goes before its (as S5 says of names). */
static bool ours_goes_first(const struct conn *c) {
    size_t own = strlen(c->dist->name), n = own < c->shake.peer_size ? own : c->shake.peer_size;
    int order = memcmp(c->dist->name, c->shake.peer, n);
    return order ? order > 0 : own > c->shake.peer_size;
}

/* The one who is proved gets the link: that which our dialling has made, unless that goes first (*refused), or a new one when the old has ended. */
static struct mt_link *claim(struct conn *c, uint64_t node, uint64_t *old, bool *refused) {
    struct mt_link *link;
    *old = 0;
    mt_lock_take(&c->dist->mu);
    link = mt_link_find_locked(c->dist, node);
    *refused = link && !link->up && ours_goes_first(c);
    if (link && link->up) {
        *old = link->process;
        link = NULL;
    } else if (*refused) {
        link = NULL;
    } else if (link) {
        *old = link->process;
        link->process = mote_self_pid(c->self).word;
        atomic_store_explicit(&link->waker, link->process, memory_order_relaxed);
    }
    mt_lock_drop(&c->dist->mu);
    return link;
}

static bool admit(struct conn *c) {
    uint64_t node = atom_of_peer(c), old;
    bool refused = false;
    mote_err err = node ? MOTE_OK : MOTE_ENOMEM;
    uint64_t deadline = mt_os_now_ns() + MT_SHAKE_STEP_NS;
    for (; !err && !c->link && !refused && mt_os_now_ns() < deadline; mote_must(c->self, mote_yield(c->self))) {
        c->link = claim(c, node, &old, &refused);
        if (old) (void)mote_send(c->self, (mote_pid){old}, "close"); /* the old connection, or our own attempt, ends */
        if (c->link || old || refused) continue;
        err = mt_link_new(c->dist, node, &c->link);
        if (err == MOTE_EBUSY) err = MOTE_OK; /* one is just ending, or being made */
        if (c->link) {
            mt_lock_take(&c->dist->mu);
            c->link->process = mote_self_pid(c->self).word;
            atomic_store_explicit(&c->link->waker, c->link->process, memory_order_relaxed);
            mt_lock_drop(&c->dist->mu);
        }
    }
    if (node) mt_atom_drop(node);
    return c->link != NULL;
}

/* It says who it is. When we dial it and its attempt goes on, ours waits for how that ends before it gives up. */
static enum mt_shake_step decide(struct conn *c) {
    enum mt_shake_known is = known(c);
    enum mt_shake_step step = mt_shake_decide(&c->shake, is, mt_os_now_ns());
    if (is != MT_SHAKE_DIALLED || step == MT_SHAKE_OVER || !(c->counted = atom_of_peer(c))) return step;
    mt_lock_take(&c->dist->mu);
    struct mt_link *link = mt_link_find_locked(c->dist, c->counted);
    if (link) link->theirs++;
    mt_lock_drop(&c->dist->mu);
    return step;
}

/* It has ended, or taken the link over. */
static void uncount(struct conn *c) {
    if (!c->counted) return;
    mt_lock_take(&c->dist->mu);
    struct mt_link *link = mt_link_find_locked(c->dist, c->counted);
    if (link && link->theirs) link->theirs--;
    mt_lock_drop(&c->dist->mu);
    mt_atom_drop(c->counted);
    c->counted = 0;
}

static enum mt_shake_step answer(struct conn *c, enum mt_shake_step step) {
    switch (step) {
    case MT_SHAKE_NAMED: return decide(c);
    case MT_SHAKE_LINKED: return mt_shake_insist(&c->shake, true);
    case MT_SHAKE_PROVEN: return mt_shake_admit(&c->shake, admit(c));
    default: return step;
    }
}

/* Feeds the handshake with what is in the buffer, and answers what it asks. *left: what is behind it, moved to the buffer's beginning. */
static enum mt_shake_step feed_shake(struct conn *c, size_t got, size_t *left) {
    enum mt_shake_step step;
    size_t at = 0, used;
    do {
        step = answer(c, mt_shake_feed(&c->shake, c->buffer + at, got - at, mt_os_now_ns(), &used));
        at += used;
        if (!flush(c)) return MT_SHAKE_OVER;
    } while (step == MT_SHAKE_WAITS && at < got);
    *left = got - at;
    memmove(c->buffer, c->buffer + at, *left);
    return step;
}

static enum mt_shake_step read_on(struct conn *c, size_t *left) {
    size_t got = 0;
    mote_err err = mt_net_read(c->fd, c->buffer, sizeof c->buffer, &got);
    if (!err) return feed_shake(c, got, left);
    if (err != MOTE_TIMEOUT) return MT_SHAKE_OVER;
    err = mt_net_wait(c->self, c->fd, MOTE_READ, mt_shake_due(&c->shake));
    return err == MOTE_TIMEOUT ? mt_shake_late(&c->shake, mt_os_now_ns()) : err ? MT_SHAKE_OVER : MT_SHAKE_WAITS;
}

static bool shake_hands(struct conn *c, size_t *left) {
    enum mt_shake_step step = MT_SHAKE_WAITS;
    *left = 0;
    if (!flush(c)) return false;
    while (step == MT_SHAKE_WAITS) step = read_on(c, left);
    return step == MT_SHAKE_UP;
}

/* ------------------------------------------------------------------------------------------------- dialling */

static bool dial_at(struct conn *c, const char *address, uint16_t port) {
    uint64_t deadline = mt_os_now_ns() + MT_SHAKE_STEP_NS;
    if (mt_net_dial(address, port, &c->fd)) return false;
    if (mt_net_wait(c->self, c->fd, MOTE_WRITE, deadline) == MOTE_OK && mt_net_dialled(c->fd) == MOTE_OK) return true;
    mt_os_close(c->fd);
    c->fd = -1;
    return false;
}

struct lookup {
    const char *host;
    char *address;
    mote_err err;
};
static void look_up(void *context) {
    struct lookup *l = context;
    l->err = mt_net_resolve(l->host, l->address);
}

/* Where the node listens: as we were told, or as the port mapper of its host says. */
static bool find(struct conn *c, char address[MT_NET_ADDRESS], uint16_t *port) {
    char host[MT_NODE_NAME_MAX + 1] = "";
    const char *at = memchr(c->shake.peer, '@', c->shake.peer_size);
    size_t alive = (size_t)(at - c->shake.peer);
    mt_lock_take(&c->dist->mu);
    const struct mt_peer_facts *f = c->dist->facts;
    while (f && f->node != c->link->node) f = f->next;
    if (f && f->port) {
        *port = f->port;
        memcpy(address, f->address, MT_NET_ADDRESS);
    }
    mt_lock_drop(&c->dist->mu);
    if (f && *port) return true;
    memcpy(host, at + 1, c->shake.peer_size - alive - 1);
    struct lookup l = {host, address, MOTE_OK};
    if (mt_net_is_address(host)) snprintf(address, MT_NET_ADDRESS, "%.63s", host);
    else if (mote_blocking(c->self, look_up, &l) || l.err) {
        say(c, MOTE_LOG_WARNING, "cannot connect to", "its host has no address");
        return false;
    }
    if (c->dist->options.no_epmd) {
        say(c, MOTE_LOG_WARNING, "cannot connect to", "no port mapper is used, and nobody has told where it listens: mote_node_at()");
        return false;
    }
    enum mt_verdict v = mt_epmd_find(c->self, c->dist, address, (mote_bytes){c->shake.peer, alive}, port);
    if (v) say(c, MOTE_LOG_WARNING, "cannot connect to", mt_verdict_text(v));
    return v == MT_FINE;
}

/* The handshake's name for the peer is set before there is one. */
static bool dial(struct conn *c, size_t *left) {
    char address[MT_NET_ADDRESS];
    uint16_t port = 0;
    mote_name name = mt_name_of_atom(c->link->node);
    if (!mt_node_name_fits((mote_bytes){name.data, name.size})) return false;
    mt_shake_dial(&c->shake, &c->dist->shake, (mote_bytes){name.data, name.size}, mt_os_now_ns());
    if (!find(c, address, &port)) return false;
    if (!dial_at(c, address, port)) {
        say(c, MOTE_LOG_WARNING, "cannot connect to", "nobody listens where it should");
        return false;
    }
    mt_shake_dial(&c->shake, &c->dist->shake, (mote_bytes){name.data, name.size}, mt_os_now_ns());
    if (shake_hands(c, left)) return true;
    char why[200];
    if (c->shake.verdict != MT_NO_THEIRS_FIRST) say(c, MOTE_LOG_WARNING, "cannot connect to", c->shake.verdict ? mt_shake_print(&c->shake, why, sizeof why) : "it has closed the connection");
    return false;
}

/* ---------------------------------------------------------------------------------------------------- up */

/* Feeds what has come to `in`, and delivers what comes out. */
static enum mt_verdict feed(struct conn *c, const uint8_t *data, size_t size) {
    struct mt_frame frame;
    size_t used = 0;
    c->read += size;
    for (; size; data += used, size -= used) {
        enum mt_verdict v = mt_frames_in_feed(c->in, data, size, &used, &frame);
        if (v == MT_MORE) return MT_FINE;
        if (!v && !frame.tick) v = mt_link_deliver(c->self, c->link, frame.control, frame.payload);
        if (v) return v;
        mt_self(c->self)->task.budget -= REDUCTIONS_A_FRAME;
    }
    return MT_FINE;
}

/* Reads once. *any: something has come. False: it is over. */
static bool read_some(struct conn *c, bool *any, enum mt_verdict *why) {
    size_t got;
    mote_err err = mt_net_read(c->fd, c->buffer, sizeof c->buffer, &got);
    *any = !err;
    if (err == MOTE_TIMEOUT) return true;
    return !err && !(*why = feed(c, c->buffer, got));
}

/* Takes frames and writes them, as far as the socket goes. */
static bool write_some(struct conn *c, bool *any, enum mt_verdict *why) {
    *any = false;
    for (;;) {
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
        mote_err err = mt_net_write(c->fd, (const uint8_t *)all.data + c->sent, all.size - c->sent, &done);
        if (err) return err == MOTE_TIMEOUT;
        *any = true;
        c->took_ns = mt_os_now_ns();
        c->written += done;
        c->sent += done;
        if (c->sent < all.size) continue;
        c->out.next = c->out.data; /* all of it: its memory is used again */
        c->sent = 0;
    }
}

static bool waits_to_write(const struct conn *c) { return mote_writer_bytes(&c->out).size > c->sent; }

/* Four times in the time after which silence is the end. */
static bool tick(struct conn *c, uint64_t now, enum mt_verdict *why) {
    static const uint8_t nothing[MT_TICK_BYTES] = {0};
    size_t waiting = mt_link_waiting(c->link) + (waits_to_write(c) ? 1 : 0), done;
    *why = mt_frames_in_check(c->in, now);
    if (*why) return false;
    if (waiting > MT_LINK_MAX || (waiting > MT_LINK_CROWD && now - c->took_ns > MT_LINK_STALL_NS)) *why = MT_NO_TICKS;
    if (now < c->tick_ns || *why) return !*why;
    c->tick_ns = now + (uint64_t)c->dist->options.tick_ms * 250000;
    switch (mt_tick(&c->ticker, c->read, c->written, waiting, c->link->hidden)) {
    case MT_TICK_REST: return true;
    case MT_TICK_DOWN: *why = MT_NO_TICKS; return false;
    case MT_TICK_SEND: break;
    }
    if (!waits_to_write(c) && !mt_net_write(c->fd, nothing, sizeof nothing, &done)) c->written += done;
    return true;
}

/* Reads and writes while there is something; then looks a little longer; then waits. */
static void serve(struct conn *c, size_t left) {
    enum mt_verdict why = MT_FINE;
    uint64_t since = mt_os_now_ns();
    bool red = true, wrote = true, fine = !(why = feed(c, c->buffer, left));
    c->tick_ns = since + (uint64_t)c->dist->options.tick_ms * 250000;
    c->took_ns = since;
    while (fine && !c->closing) {
        atomic_store(&c->link->woken, 0); /* before the queue is looked at: who puts now wakes */
        fine = write_some(c, &wrote, &why) && read_some(c, &red, &why) && tick(c, mt_os_now_ns(), &why);
        uint64_t now = mt_os_now_ns();
        if (red || wrote) since = now;
        if (!fine) break;
        if (red || wrote || now - since < (mt_os_cores() > 1 ? SPIN_NS : 0)) mote_must(c->self, mote_yield(c->self));
        else if (!atomic_load(&c->link->woken)) rest(c, MOTE_READ | (waits_to_write(c) ? MOTE_WRITE : 0), c->tick_ns);
    }
    say(c, MOTE_LOG_INFO, "disconnected from", c->closing ? "as was asked for" : why ? mt_verdict_text(why) : "it has closed the connection");
}

static void up(struct conn *c, size_t left) {
    if (mt_frames_in_new(c->shake.flags, NULL, &c->in) || !mt_link_rise(c->link, &c->shake)) {
        say(c, MOTE_LOG_ERROR, "cannot connect to", "out of memory");
        return;
    }
    say(c, MOTE_LOG_INFO, "connected to", c->link->hidden ? "hidden" : "visible");
    mt_node_tell(sched_of(c->self), c->dist, c->link->node, true, c->link->hidden);
    serve(c, left);
}

/* ------------------------------------------------------------------------------------------------ the process */

/* Our attempt has ended without a connection: unless the other's has taken the link over, all who waited are told. */
static bool is_ours(struct conn *c) {
    mt_lock_take(&c->dist->mu);
    bool ours = c->link->process == mote_self_pid(c->self).word;
    mt_lock_drop(&c->dist->mu);
    return ours;
}

/* Whether the peer's attempt may still take the link over. */
static bool theirs_may_come(struct conn *c) {
    if (c->shake.verdict == MT_NO_THEIRS_FIRST) return true;
    mt_lock_take(&c->dist->mu);
    bool may = c->link->theirs > 0;
    mt_lock_drop(&c->dist->mu);
    return may;
}

static void await_theirs(struct conn *c) {
    uint64_t deadline = mt_os_now_ns() + MT_SHAKE_STEP_NS;
    while (is_ours(c) && theirs_may_come(c) && mt_os_now_ns() < deadline) rest(c, 0, mt_os_now_ns() + 10000000);
}

static void run_dialler(struct conn *c) {
    size_t left;
    bool done = dial(c, &left);
    if (!done) await_theirs(c);
    if (!is_ours(c)) return;
    if (done) up(c, left);
    mt_link_end(c->self, c->link);
}

static void run_acceptor(struct conn *c) {
    size_t left;
    char why[200];
    mt_shake_accept(&c->shake, &c->dist->shake, mt_os_now_ns());
    bool done = shake_hands(c, &left);
    uncount(c);
    mt_lock_take(&c->dist->mu);
    c->dist->shaking--;
    mt_lock_drop(&c->dist->mu);
    if (done && c->link) up(c, left);
    else if (c->shake.verdict)
        mt_log(c->dist->runtime, MOTE_LOG_WARNING, "refused a connection from %s: %s", c->from, mt_shake_print(&c->shake, why, sizeof why));
    if (c->link) mt_link_end(c->self, c->link);
}

/* However it ends: with the runtime, too, which frees links that are left. */
static void clean_up(void *context) {
    struct conn *c = context;
    if (c->armed) (void)mote_fd_disarm(c->self, c->watch);
    if (c->fd >= 0) mt_os_close(c->fd);
    mt_frames_in_free(c->in);
    mote_writer_fini(&c->out);
    mt_os_free(c);
}

void mt_conn_process(mote_self *self, mote_term arg) {
    uint64_t link = 0, dist = 0;
    int fd = -1;
    mote_bytes from = {"", 0};
    struct conn *c = mt_os_alloc_zero(sizeof *c);
    bool dials = mote_match(arg, "{dial, ?}", &link);
    if (!dials && !mote_match(arg, "{accept, ?, ?, ?}", &fd, &from, &dist)) MT_ASSERT(false);
    if (c) {
        c->fd = fd;
        mote_writer_init(&c->out, MOTE_FORM_ERLANG, NULL, 0, SIZE_MAX / 4);
    }
    if (!c || mote_cleanup_add(self, clean_up, c)) {
        mt_os_free(c);
        mt_log(mt_runtime(mt_self(self)), MOTE_LOG_ERROR, "a connection is given up: out of memory");
        if (fd >= 0) mt_os_close(fd);
        if (dials) mt_link_end(self, (struct mt_link *)(uintptr_t)link);
        return;
    }
    c->self = self;
    c->link = dials ? (struct mt_link *)(uintptr_t)link : NULL;
    c->dist = dials ? c->link->dist : (struct mt_dist *)(uintptr_t)dist;
    snprintf(c->from, sizeof c->from, "%.*s", (int)from.size, (const char *)from.data);
    if (dials) run_dialler(c);
    else run_acceptor(c);
}
