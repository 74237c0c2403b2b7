/* SPDX-License-Identifier: Apache-2.0
 *
 * Workloads about messages: round trips, rings, floods, selective receive.
 */
#include "bench.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------ pingpong */

enum { WARM_UP = 10000, SAME = 0, CROSS = 1 };

/* The one that pings: told {Echo, Parent, N}, it warms up, times N round trips and sends {t, Ns}. */
struct pinger {
    mote_pid echo, parent;
    int64_t count, left, t0; /* t0: 0 while it warms up */
};

static void pinger_get(struct pinger *p, mote_term arg) {
    expect(mote_match(arg, "{?, ?, ?}", &p->echo, &p->parent, &p->count), "pinger: bad argument");
}

static void pinger_report(mote_self *self, const struct pinger *p) {
    int64_t took = now_ns() - p->t0;
    sure(mote_send(self, p->echo, "stop"));
    sure(mote_send(self, p->parent, "{t, ?}", took));
}

static void pinger_body(mote_self *self, mote_term arg) {
    struct pinger p;
    pinger_get(&p, arg);
    ping(self, p.echo, WARM_UP);
    p.t0 = now_ns();
    ping(self, p.echo, p.count);
    pinger_report(self, &p);
}

static void pinger_init(mote_self *self, mote_term arg, void *state) {
    struct pinger *p = state;
    pinger_get(p, arg);
    p->left = WARM_UP;
    sure(mote_send(self, p->echo, "{?, x}", mote_self_pid(self)));
}

static void pinger_handle(mote_self *self, mote_term message, void *state) {
    struct pinger *p = state;
    expect(mote_match(message, "x"), "pinger: a message it does not know");
    if (--p->left == 0) {
        if (p->t0 != 0) {
            pinger_report(self, p);
            done(self);
        }
        p->left = p->count;
        p->t0 = now_ns();
    }
    sure(mote_send(self, p->echo, "{?, x}", mote_self_pid(self)));
}

static const mote_handler pinger_handler = {.name = "pinger", .state_size = sizeof(struct pinger), .init = pinger_init, .handle = pinger_handle};
static const struct kind pinger_kind = {pinger_body, &pinger_handler};

/* An echo in an OS thread of its own: the API pins nobody to a scheduler, so this is how two processes are kept apart. */
struct apart {
    mote_runtime *runtime;
    mote_pid parent;
    pthread_t thread;
};

static void *apart_thread(void *context) {
    const struct apart *a = context;
    mote_self *self;
    sure(mote_attach(a->runtime, &self));
    sure(mote_send(self, a->parent, "{echo, ?}", mote_self_pid(self)));
    echo_kind.body(self, MOTE_TERM_NIL);
    sure(mote_detach(self));
    return NULL;
}

static void apart_join(void *context) {
    struct apart *a = context;
    pthread_join(a->thread, NULL);
}

static mote_pid apart_start(mote_self *self, struct apart *a) {
    a->runtime = mote_runtime_of(self);
    a->parent = mote_self_pid(self);
    expect(pthread_create(&a->thread, NULL, apart_thread, a) == 0, "pingpong: no thread");
    mote_pid echo;
    sure(mote_receive_match(self, -1, "{echo, ?}", &echo));
    return echo;
}

void run_pingpong(mote_self *self, const struct bench *bench) {
    bool cross = bench->number[0] == CROSS;
    int64_t count = bench->number[1], took;
    struct apart apart;
    mote_pid echo = cross ? apart_start(self, &apart) : start(self, bench->handler, &echo_kind, MOTE_TERM_NIL);
    mote_term arg;
    sure(mote_build(mote_scratch(self), &arg, "{?, ?, ?}", echo, mote_self_pid(self), count));
    start(self, bench->handler, &pinger_kind, arg);
    sure(mote_receive_match(self, -1, "{t, ?}", &took));
    if (cross) sure(mote_blocking(self, apart_join, &apart));
    out((double)took / (double)count, "ns", "pingpong.%s", bench->text[0]);
}

/* ------------------------------------------------------------------------------------------------- payload */

static mote_term bytes_of_x(mote_arena *arena, int64_t size) {
    char *data = take((size_t)size, 1);
    memset(data, 'x', (size_t)size);
    mote_term binary = mote_binary_make(arena, data, (size_t)size);
    free(data);
    return binary;
}

static mote_term list_of_numbers(mote_arena *arena, int64_t size) {
    mote_term list = MOTE_TERM_NIL;
    for (int64_t n = size; n > 0; n--) list = mote_cons_make(arena, mote_int_make(arena, n), list);
    return list;
}

static mote_term map_of_tuples(mote_arena *arena, int64_t size) {
    mote_term *keys = take((size_t)size, sizeof *keys), *values = take((size_t)size, sizeof *values);
    for (int64_t k = 0; k < size; k++) {
        keys[k] = mote_int_make(arena, k + 1);
        sure(mote_build(arena, &values[k], "{?, ?, <<\"abc\">>}", k + 1, k + 2));
    }
    mote_term map = mote_map_make(arena, (size_t)size, keys, values);
    free(keys);
    free(values);
    return map;
}

static void ping_with(mote_self *self, mote_pid echo, mote_term x, int64_t count) {
    mote_pid me = mote_self_pid(self);
    mote_term answer;
    while (count-- > 0) {
        sure(mote_send(self, echo, "{?, ?}", me, x));
        sure(mote_receive(self, -1, &answer));
    }
}

void run_payload(mote_self *self, const struct bench *bench) {
    static mote_term (*const make[])(mote_arena *, int64_t) = {bytes_of_x, list_of_numbers, map_of_tuples};
    int64_t size = bench->number[1], count = bench->number[2];
    mote_arena *arena = mote_arena_new(0);
    expect(arena != NULL, "out of memory");
    mote_term x = make[bench->number[0]](arena, size);
    mote_pid echo = start(self, false, &echo_kind, MOTE_TERM_NIL);
    ping_with(self, echo, x, 1000);
    int64_t t0 = now_ns();
    ping_with(self, echo, x, count);
    int64_t t1 = now_ns();
    sure(mote_send(self, echo, "stop"));
    mote_arena_free(arena);
    out((double)(t1 - t0) / (double)count, "ns", "payload.%s%s", bench->text[0], bench->text[1]);
}

/* ---------------------------------------------------------------------------------------------------- ring */

/* Told {Next, Parent}; the first of the ring is told Parent and learns its neighbour by {next, Pid}. */
struct link {
    mote_pid next, parent;
    bool ready;
};

static void link_get(struct link *l, mote_term arg) {
    l->ready = mote_match(arg, "{?, ?}", &l->next, &l->parent);
    if (!l->ready) sure(mote_pid_get(arg, &l->parent));
}

static void link_pass(mote_self *self, const struct link *l, mote_term message) {
    int64_t hops;
    sure(mote_int_get(message, &hops));
    if (hops == 0)
        sure(mote_send(self, l->parent, "done"));
    else
        sure(mote_send(self, l->next, "?", hops - 1));
}

static void link_body(mote_self *self, mote_term arg) {
    struct link l;
    mote_term message;
    link_get(&l, arg);
    if (!l.ready) sure(mote_receive_match(self, -1, "{next, ?}", &l.next));
    for (;;) {
        sure(mote_receive(self, -1, &message));
        link_pass(self, &l, message);
    }
}

static void link_init(mote_self *self, mote_term arg, void *state) {
    (void)self;
    link_get(state, arg);
}

static void link_handle(mote_self *self, mote_term message, void *state) {
    struct link *l = state;
    if (l->ready)
        link_pass(self, l, message);
    else
        expect(l->ready = mote_match(message, "{next, ?}", &l->next), "ring: the first message names no neighbour");
}

static const mote_handler link_handler = {.name = "link", .state_size = sizeof(struct link), .init = link_init, .handle = link_handle};
static const struct kind link_kind = {link_body, &link_handler};

void run_ring(mote_self *self, const struct bench *bench) {
    int64_t size = bench->number[0], hops = bench->number[1];
    mote_pid me = mote_self_pid(self);
    mote_pid first = start(self, bench->handler, &link_kind, mote_pid_term(me)), last = first;
    for (int64_t k = 2; k <= size; k++) {
        mote_term arg;
        sure(mote_build(mote_scratch(self), &arg, "{?, ?}", last, me));
        last = start(self, bench->handler, &link_kind, arg);
        mote_arena_reset(mote_scratch(self));
    }
    sure(mote_send(self, first, "{next, ?}", last));
    sure(mote_send(self, first, "?", size * 2));
    sure(mote_receive_match(self, -1, "done"));
    int64_t t0 = now_ns();
    sure(mote_send(self, first, "?", hops));
    sure(mote_receive_match(self, -1, "done"));
    out((double)(now_ns() - t0) / (double)hops, "ns", "ring.%s", bench->text[0]);
}

/* ------------------------------------------------------------------------------------- fan-in and mailbox */

/* Told {Parent, N}: waits for go, takes N messages m and sends {t, Now}. As a handler it takes m before go too: a handler
 * has no way to leave messages in its mailbox. */
struct sink {
    mote_pid parent;
    int64_t left;
};

static void sink_get(struct sink *s, mote_term arg) {
    expect(mote_match(arg, "{?, ?}", &s->parent, &s->left), "sink: bad argument");
}

static void sink_body(mote_self *self, mote_term arg) {
    struct sink s;
    sink_get(&s, arg);
    sure(mote_receive_match(self, -1, "go"));
    count_in(self, s.left);
    sure(mote_send(self, s.parent, "{t, ?}", now_ns()));
}

static void sink_init(mote_self *self, mote_term arg, void *state) {
    (void)self;
    struct sink *s = state;
    sink_get(s, arg);
    s->left++; /* go counts too */
}

static void sink_handle(mote_self *self, mote_term message, void *state) {
    struct sink *s = state;
    expect(mote_match(message, "m") || mote_match(message, "go"), "sink: a message it does not know");
    if (--s->left > 0) return;
    sure(mote_send(self, s->parent, "{t, ?}", now_ns()));
    done(self);
}

static const mote_handler sink_handler = {.name = "sink", .state_size = sizeof(struct sink), .init = sink_init, .handle = sink_handle};
static const struct kind sink_kind = {sink_body, &sink_handler};

static mote_pid sink_start(mote_self *self, bool handler, int64_t count) {
    mote_term arg;
    sure(mote_build(mote_scratch(self), &arg, "{?, ?}", mote_self_pid(self), count));
    return start(self, handler, &sink_kind, arg);
}

/* Told {Sink, N}: waits for go and sends N messages m. Always on a stack: a handler would flood in one turn. */
static void source_body(mote_self *self, mote_term arg) {
    mote_pid sink;
    int64_t count;
    expect(mote_match(arg, "{?, ?}", &sink, &count), "source: bad argument");
    sure(mote_receive_match(self, -1, "go"));
    send_out(self, sink, count);
}

void run_fanin(mote_self *self, const struct bench *bench) {
    int64_t senders = bench->number[0], each = bench->number[1] / senders, t1;
    mote_pid sink = sink_start(self, bench->handler, each * senders), *sources = take((size_t)senders, sizeof *sources);
    mote_term arg;
    sure(mote_build(mote_scratch(self), &arg, "{?, ?}", sink, each));
    for (int64_t k = 0; k < senders; k++) sure(mote_spawn(self, source_body, arg, &sources[k]));
    int64_t t0 = now_ns();
    sure(mote_send(self, sink, "go"));
    for (int64_t k = 0; k < senders; k++) sure(mote_send(self, sources[k], "go"));
    sure(mote_receive_match(self, -1, "{t, ?}", &t1));
    free(sources);
    out((double)(t1 - t0) / (double)(each * senders), "ns", "fanin.%s.%s", bench->text[0], bench->text[2]);
}

void run_mailbox(mote_self *self, const struct bench *bench) {
    int64_t count = bench->number[0], t2;
    mote_pid sink = sink_start(self, bench->handler, count);
    int64_t t0 = now_ns();
    send_out(self, sink, count);
    int64_t t1 = now_ns();
    sure(mote_send(self, sink, "go"));
    sure(mote_receive_match(self, -1, "{t, ?}", &t2));
    out((double)(t1 - t0) / (double)count, "ns", "mailbox.send");
    out((double)(t2 - t0) / (double)count, "ns", "mailbox.total");
}

/* ----------------------------------------------------------------------------------------------------- big */

/* Told {Parent, Rounds}; then {go, Pids}: in each round it pings all others and waits for their pongs. */
struct peer {
    mote_pid me, parent;
    mote_pid *others; /* mote_alloc() */
    int64_t count, rounds, pongs;
};

static void peer_get(mote_self *self, struct peer *p, mote_term arg) {
    p->me = mote_self_pid(self);
    expect(mote_match(arg, "{?, ?}", &p->parent, &p->rounds), "big: bad argument");
}

static void peer_meet(mote_self *self, struct peer *p, mote_term all) {
    size_t length;
    sure(mote_list_length(all, &length));
    p->others = mote_alloc(self, length * sizeof *p->others);
    expect(p->others != NULL, "out of memory");
    p->count = 0;
    for (mote_term head; mote_list_get(all, &head, &all) == MOTE_OK;) {
        mote_pid pid;
        sure(mote_pid_get(head, &pid));
        if (pid.word != p->me.word) p->others[p->count++] = pid;
    }
}

static void peer_round(mote_self *self, struct peer *p) {
    p->pongs = p->count;
    for (int64_t k = 0; k < p->count; k++) sure(mote_send(self, p->others[k], "{ping, ?}", p->me));
}

/* Gives false for `stop`. */
static bool peer_take(mote_self *self, struct peer *p, mote_term message) {
    mote_pid from;
    if (mote_match(message, "pong")) {
        if (--p->pongs > 0) return true;
        if (--p->rounds > 0)
            peer_round(self, p);
        else
            sure(mote_send(self, p->parent, "d"));
    } else if (mote_match(message, "{ping, ?}", &from)) {
        sure(mote_send(self, from, "pong"));
    } else {
        expect(mote_match(message, "stop"), "big: a message it does not know");
        return false;
    }
    return true;
}

static void peer_body(mote_self *self, mote_term arg) {
    struct peer p;
    mote_term message;
    peer_get(self, &p, arg);
    sure(mote_receive_match(self, -1, "{go, ?}", &message));
    peer_meet(self, &p, message);
    peer_round(self, &p);
    do
        sure(mote_receive(self, -1, &message));
    while (peer_take(self, &p, message));
}

static void peer_init(mote_self *self, mote_term arg, void *state) {
    peer_get(self, state, arg);
}

static void peer_handle(mote_self *self, mote_term message, void *state) {
    struct peer *p = state;
    mote_term all;
    if (p->others == NULL && mote_match(message, "{go, ?}", &all)) {
        peer_meet(self, p, all);
        peer_round(self, p);
    } else if (!peer_take(self, p, message)) {
        done(self);
    }
}

static const mote_handler peer_handler = {.name = "peer", .state_size = sizeof(struct peer), .init = peer_init, .handle = peer_handle};
static const struct kind peer_kind = {peer_body, &peer_handler};

void run_big(mote_self *self, const struct bench *bench) {
    size_t count = (size_t)bench->number[0];
    int64_t rounds = bench->number[1];
    mote_term *peers = take(count, sizeof *peers), arg;
    sure(mote_build(mote_scratch(self), &arg, "{?, ?}", mote_self_pid(self), rounds));
    for (size_t k = 0; k < count; k++) peers[k] = mote_pid_term(start(self, bench->handler, &peer_kind, arg));
    mote_term all = mote_list_make(mote_scratch(self), count, peers, MOTE_TERM_NIL);
    int64_t t0 = now_ns();
    for (size_t k = 0; k < count; k++) sure(mote_send(self, (mote_pid){peers[k].word}, "{go, ?}", all));
    wait_done(self, (int64_t)count);
    int64_t t1 = now_ns();
    for (size_t k = 0; k < count; k++) sure(mote_send(self, (mote_pid){peers[k].word}, "stop"));
    free(peers);
    out((double)(t1 - t0) / ((double)count * (double)(count - 1) * (double)rounds), "ns", "big.%s", bench->text[0]);
}

/* ---------------------------------------------------------------------------------------- selective receive */

static void server_body(mote_self *self, mote_term arg) {
    (void)arg;
    mote_pid from;
    mote_term tag;
    for (;;) {
        sure(mote_receive_match(self, -1, "{req, ?, ?}", &from, &tag));
        sure(mote_send(self, from, "{rep, ?}", tag));
    }
}

static void call_marked(mote_self *self, mote_pid server, int64_t count) {
    mote_pid me = mote_self_pid(self);
    while (count-- > 0) {
        mote_ref tag = mote_ref_make(self);
        sure(mote_send(self, server, "{req, ?, ?}", me, tag));
        sure(mote_receive_match(self, -1, "{rep, ^}", tag));
    }
}

static void call_unmarked(mote_self *self, mote_pid server, int64_t count) {
    mote_pid me = mote_self_pid(self);
    for (; count > 0; count--) {
        sure(mote_send(self, server, "{req, ?, ?}", me, count));
        sure(mote_receive_match(self, -1, "{rep, ^}", count));
    }
}

void run_selrecv(mote_self *self, const struct bench *bench) {
    int64_t backlog = bench->number[0], count = bench->number[1], fewer = count / 100;
    mote_pid server, me = mote_self_pid(self);
    sure(mote_spawn(self, server_body, MOTE_TERM_NIL, &server));
    for (int64_t k = backlog; k > 0; k--) sure(mote_send(self, me, "{junk, ?}", k));
    call_marked(self, server, 100);
    int64_t t0 = now_ns();
    call_marked(self, server, count);
    int64_t t1 = now_ns();
    call_unmarked(self, server, 10);
    int64_t t2 = now_ns();
    call_unmarked(self, server, fewer);
    double unmarked = (double)(now_ns() - t2) / (double)fewer;
    out((double)(t1 - t0) / (double)count, "ns", "selrecv.marked.%s", bench->text[0]);
    out(unmarked, "ns", "selrecv.unmarked.%s", bench->text[0]);
    if (backlog > 0) out(unmarked / (double)backlog, "ns", "selrecv.scan_per_msg.%s", bench->text[0]);
}

/* --------------------------------------------------------------------------------------------- large binary */

/* Told {Parent, Size}: answers each {b, Binary} of that size with d. */
static void reader_body(mote_self *self, mote_term arg) {
    mote_pid parent;
    uint64_t size;
    mote_bytes bytes;
    expect(mote_match(arg, "{?, ?}", &parent, &size), "bigbin: bad argument");
    for (;;) {
        sure(mote_receive_match(self, -1, "{b, ?}", &bytes));
        expect(bytes.size == size, "bigbin: a binary of another size");
        sure(mote_send(self, parent, "d"));
    }
}

static void send_round(mote_self *self, const mote_pid *readers, int64_t count, mote_term binary) {
    for (int64_t k = 0; k < count; k++) sure(mote_send(self, readers[k], "{b, ?}", binary));
    wait_done(self, count);
}

static void time_copy(mote_term binary) {
    mote_bytes bytes;
    mote_arena *arena = mote_arena_new(0);
    expect(arena != NULL, "out of memory");
    sure(mote_bytes_get(binary, &bytes));
    int64_t t0 = now_ns();
    mote_term copy = mote_binary_make(arena, bytes.data, bytes.size);
    int64_t t1 = now_ns();
    expect(mote_term_type(copy) == MOTE_BINARY, "out of memory");
    mote_arena_free(arena);
    out((double)bytes.size / (double)(t1 - t0), "GB/s", "bigbin.copy");
}

void run_bigbin(mote_self *self, const struct bench *bench) {
    int64_t count = bench->number[1];
    size_t size = (size_t)bench->number[0] << 20;
    mote_pid *readers = take((size_t)count, sizeof *readers);
    mote_arena *arena = mote_arena_new(0);
    char *data = take(size, 1);
    memset(data, 7, size);
    mote_term binary = mote_binary_make(arena, data, size), arg;
    free(data);
    sure(mote_build(mote_scratch(self), &arg, "{?, ?}", mote_self_pid(self), size));
    for (int64_t k = 0; k < count; k++) sure(mote_spawn(self, reader_body, arg, &readers[k]));
    for (int round = 0; round < 2; round++) send_round(self, readers, count, binary);
    int64_t t0 = now_ns();
    for (int round = 0; round < 100; round++) send_round(self, readers, count, binary);
    int64_t t1 = now_ns();
    out((double)(t1 - t0) / (100.0 * (double)count), "ns", "bigbin.%sMiB.send", bench->text[0]);
    time_copy(binary);
    mote_arena_free(arena);
    free(readers);
}

/* --------------------------------------------------------------------------------------------------- pairs */

/* Told {Parent, N}: starts an echo, waits for go, makes N round trips and sends d. */
struct pair {
    mote_pid parent, echo;
    int64_t left;
};

static void pair_get(mote_self *self, struct pair *p, bool handler, mote_term arg) {
    expect(mote_match(arg, "{?, ?}", &p->parent, &p->left), "pairs: bad argument");
    p->echo = start(self, handler, &echo_kind, MOTE_TERM_NIL);
}

static void pair_body(mote_self *self, mote_term arg) {
    struct pair p;
    pair_get(self, &p, false, arg);
    sure(mote_receive_match(self, -1, "go"));
    ping(self, p.echo, p.left);
    sure(mote_send(self, p.parent, "d"));
}

static void pair_init(mote_self *self, mote_term arg, void *state) {
    pair_get(self, state, true, arg);
}

static void pair_handle(mote_self *self, mote_term message, void *state) {
    struct pair *p = state;
    if (!mote_match(message, "x")) {
        expect(mote_match(message, "go"), "pairs: a message it does not know");
        p->left++; /* go starts the first round trip and ends none */
    }
    if (--p->left == 0) {
        sure(mote_send(self, p->parent, "d"));
        done(self);
    }
    sure(mote_send(self, p->echo, "{?, x}", mote_self_pid(self)));
}

static const mote_handler pair_handler = {.name = "pair", .state_size = sizeof(struct pair), .init = pair_init, .handle = pair_handle};
static const struct kind pair_kind = {pair_body, &pair_handler};

void run_pairs(mote_self *self, const struct bench *bench) {
    int64_t pairs = bench->number[0], count = bench->number[1];
    mote_pid *pids = take((size_t)pairs, sizeof *pids);
    mote_term arg;
    sure(mote_build(mote_scratch(self), &arg, "{?, ?}", mote_self_pid(self), count));
    for (int64_t k = 0; k < pairs; k++) pids[k] = start(self, bench->handler, &pair_kind, arg);
    int64_t t0 = now_ns();
    for (int64_t k = 0; k < pairs; k++) sure(mote_send(self, pids[k], "go"));
    wait_done(self, pairs);
    int64_t t1 = now_ns();
    free(pids);
    out((double)(t1 - t0) / ((double)pairs * (double)count), "ns", "pairs.%s", bench->text[0]);
}
