/* SPDX-License-Identifier: Apache-2.0
 * Two workers: two runtimes in this program, which talk as two OS processes of a node do, through shared memory.
 *
 * A process starts another in the other worker: one that waits there already (from a *stock*) is linked or monitored, and then told what it is. So spawn_link means here
 * what it means in one worker, and nobody waits. In each worker a server fills the stock, and does what only its worker can, or what the other one shall do. */
#include <mote/worker.h>
#include <pthread.h>

#include "conf.h"

#define STOCK 32
#define STATE_BYTES 64

struct stock {
    pthread_mutex_t mu;
    mote_pid pids[STOCK]; /* lock: mu */
    int count;            /* lock: mu */
    bool asked;           /* lock: mu */
};

/* A worker. */
struct side {
    mote_runtime *runtime;
    mote_self *self; /* the main thread's */
    mote_worker *worker;
    mote_pid server;
    struct stock stocks[2]; /* with a stack; handlers */
};
static struct side sides[2];
static bool are_two;
static atomic_uint crossings;

bool across(void) { return are_two; }
unsigned crossed(void) { return atomic_exchange(&crossings, 0); }

static unsigned number_of(mote_self *self) { return mote_worker_number(mote_self_pid(self)); }
static struct side *other_side(mote_self *self) { return &sides[!number_of(self)]; }

/* ------------------------------------------------------------------------------------------------ the stock */

/* What has been told: a body or handler, whose starter must be of the other worker, and its argument. */
static uint64_t told(mote_self *self, mote_term message, mote_term *arg) {
    mote_pid starter;
    uint64_t word;
    mote_assert(self, mote_match(message, "{'$begin', ?, ?, ?}", &word, &starter, arg));
    mote_assert(self, mote_worker_number(starter) == !number_of(self));
    return word;
}

/* body: one of the stock. */
static void waits_for_body(mote_self *self, mote_term arg) {
    (void)arg;
    mote_arena *arena = NULL;
    mote_must(self, mote_receive_match(self, -1, "{'$begin', _, _, _}"));
    mote_body body = (mote_body)(uintptr_t)told(self, mote_message(self), &arg);
    if (mote_term_type(arg) != MOTE_NIL) {
        mote_assert(self, (arena = mote_arena_new(0)) != NULL);
        mote_must(self, mote_cleanup_add(self, free_arena, arena));
        arg = mote_term_copy(arena, arg);
    }
    body(self, arg);
}

/* The same as a handler; its state has that of the other behind it. */
struct handling {
    const mote_handler *handler;
    unsigned char state[STATE_BYTES];
};
static void handles(mote_self *self, mote_term message, void *state) {
    struct handling *h = state;
    if (h->handler) {
        h->handler->handle(self, message, h->state);
        return;
    }
    mote_term arg;
    h->handler = (const mote_handler *)(uintptr_t)told(self, message, &arg);
    if (h->handler->init) h->handler->init(self, arg, h->state);
}
static const mote_handler granted = {.name = "granted", .state_size = sizeof(struct handling), .handle = handles};

static void fill(mote_self *self, struct stock *stock, const mote_spawn_options *options) {
    for (bool full = false; !full;) {
        mote_pid pid = {0};
        mote_must(self, mote_spawn_opt(self, options, MOTE_TERM_NIL, &pid));
        pthread_mutex_lock(&stock->mu);
        stock->pids[stock->count++] = pid;
        full = stock->count == STOCK;
        if (full) stock->asked = false;
        pthread_mutex_unlock(&stock->mu);
    }
}
/* `asked` is false only when a stock is full, so the one that was asked for is never so. */
static void fill_asked(mote_self *self, struct side *side) {
    static const mote_spawn_options options[2] = {{.body = waits_for_body}, {.handler = &granted}};
    for (int i = 0; i < 2; i++) {
        pthread_mutex_lock(&side->stocks[i].mu);
        bool asked = side->stocks[i].asked;
        pthread_mutex_unlock(&side->stocks[i].mu);
        if (asked) fill(self, &side->stocks[i], &options[i]);
    }
}

/* Does not receive: what the caller has borrowed stays valid. */
static mote_pid take(mote_self *self, const struct side *side, struct stock *stock) {
    for (;;) {
        pthread_mutex_lock(&stock->mu);
        bool found = stock->count > 0, ask = stock->count <= STOCK / 2 && !stock->asked;
        mote_pid pid = found ? stock->pids[--stock->count] : (mote_pid){0};
        if (ask) stock->asked = true;
        pthread_mutex_unlock(&stock->mu);
        if (ask) tell(self, side->server, "fill");
        if (found) return pid;
        mote_must(self, mote_yield(self));
    }
}

/* ------------------------------------------------------------------------------------------------ the servers */

/* The processes of this worker but for its stock. */
static size_t list(mote_self *self, mote_pid pid, bool *found) {
    size_t count = 0, capacity = 0;
    mote_must(self, mote_process_list(self, NULL, 0, &capacity));
    capacity += 1000; /* others may start meanwhile */
    mote_pid *pids = mote_alloc(self, capacity * sizeof *pids);
    mote_assert(self, pids);
    mote_must(self, mote_process_list(self, pids, capacity, &count));
    mote_assert(self, count <= capacity);
    for (size_t i = 0; i < count; i++) *found |= pids[i].word == pid.word;
    mote_dealloc(self, pids);
    for (int i = 0; i < 2 && are_two; i++) {
        struct stock *stock = &sides[number_of(self)].stocks[i];
        pthread_mutex_lock(&stock->mu);
        count -= (size_t)stock->count;
        pthread_mutex_unlock(&stock->mu);
    }
    return count;
}

static mote_pid make(mote_self *self, uint64_t stack_size, uint64_t mailbox_max, int policy) {
    mote_pid pid = {0};
    mote_spawn_options options = {.body = waits_for_body, .stack_size = stack_size, .mailbox_max = mailbox_max, .policy = (mote_policy)policy};
    mote_must(self, mote_spawn_opt(self, &options, MOTE_TERM_NIL, &pid));
    return pid;
}

/* What is asked is answered with {Ref, Answer}. */
static void answer(mote_self *self, mote_pid from, mote_ref ref, mote_term request) {
    mote_term to, message;
    mote_pid pid;
    mote_atom name;
    uint64_t stack_size, mailbox_max;
    int policy;
    bool found = false;
    if (mote_match(request, "{say, ?, ?}", &to, &message)) mote_must(self, mote_send(self, from, "{?, ?}", ref, (int)mote_send_term(self, to, message)));
    else if (mote_match(request, "{register, ?, ?}", &name, &pid)) mote_must(self, mote_send(self, from, "{?, ?}", ref, (int)mote_register(self, name, pid)));
    else if (mote_match(request, "{list, ?}", &pid)) mote_must(self, mote_send(self, from, "{?, {?, ?}}", ref, list(self, pid, &found), found));
    else if (mote_match(request, "{make, ?, ?, ?}", &stack_size, &mailbox_max, &policy))
        mote_must(self, mote_send(self, from, "{?, ?}", ref, make(self, stack_size, mailbox_max, policy)));
    else mote_assert(self, mote_match(request, "ping") && mote_send(self, from, "{?, ok}", ref) == MOTE_OK);
}

static void serve(mote_self *self, mote_term arg) {
    (void)arg;
    for (;;) {
        mote_term m, what;
        mote_pid from;
        mote_ref ref;
        mote_must(self, mote_receive(self, -1, &m));
        if (is(m, "fill")) fill_asked(self, &sides[number_of(self)]);
        else if (mote_match(m, "{relay, ?, ?}", &from, &what)) mote_must(self, mote_send_term(self, from, what));
        else if (mote_match(m, "{ask, ?, ?, ?}", &from, &ref, &what)) answer(self, from, ref, what);
        else mote_error(self, m);
    }
}

/* Asks the other worker's server; the answer is borrowed until the next receive. */
static mote_term ask(mote_self *self, mote_term request) {
    mote_ref ref = mote_ref_make(self);
    mote_term reply = MOTE_TERM_NONE;
    mote_must(self, mote_send(self, other_side(self)->server, "{ask, ?, ?, ?}", mote_self_pid(self), ref, request));
    mote_must(self, mote_receive_match(self, LIMIT_MS, "{^, ?}", ref, &reply));
    return reply;
}
static mote_err error_in(mote_self *self, mote_term reply) {
    int64_t err = 0;
    mote_must(self, mote_int_get(reply, &err));
    return (mote_err)err;
}

/* --------------------------------------------------------------------------------------------- what they are for */

mote_pid launch(mote_self *self, const mote_spawn_options *options, mote_term arg) {
    mote_pid pid = {0};
    if (!are_two) {
        mote_must(self, mote_spawn_opt(self, options, arg, &pid));
        return pid;
    }
    struct side *side = other_side(self);
    uint64_t what = options->body ? (uint64_t)(uintptr_t)options->body : (uint64_t)(uintptr_t)options->handler;
    mote_assert(self, options->body || options->handler->state_size <= STATE_BYTES);
    if (!options->stack_size && !options->mailbox_max) pid = take(self, side, &side->stocks[!options->body]);
    else mote_must(self, mote_pid_get(ask(self, TERM(self, "{make, ?, ?, ?}", options->stack_size, options->mailbox_max, (int)options->policy)), &pid));
    mote_assert(self, mote_worker_number(pid) == !number_of(self));
    if (options->link) mote_must(self, mote_link(self, pid));
    if (options->monitor) mote_must(self, mote_monitor_opt(self, pid, &options->monitoring, options->monitor));
    mote_must(self, mote_send(self, pid, "{'$begin', ?, ?, ?}", what, mote_self_pid(self), arg));
    atomic_fetch_add(&crossings, 1);
    return pid;
}

mote_err say(mote_self *self, mote_term to, mote_term message) {
    if (!are_two) return mote_send_term(self, to, message);
    atomic_fetch_add(&crossings, 1);
    return error_in(self, ask(self, TERM(self, "{say, ?, ?}", to, message)));
}
mote_err say_after(mote_self *self, int64_t ms, mote_ref *timer, mote_term message) {
    if (!are_two) return mote_send_after(self, ms, mote_self_pid(self), timer, "?", message);
    atomic_fetch_add(&crossings, 1);
    return mote_send_after(self, ms, other_side(self)->server, timer, "{relay, ?, ?}", mote_self_pid(self), message);
}
mote_err name_it(mote_self *self, const char *name, mote_pid pid) {
    if (mote_worker_number(pid) == number_of(self)) return mote_register(self, name, pid);
    return error_in(self, ask(self, TERM(self, "{register, ?, ?}", mote_atom_make(name), pid)));
}
void hear(mote_self *self) {
    if (are_two) mote_assert(self, is(ask(self, atom("ping")), "ok"));
}
size_t processes(mote_self *self, mote_pid pid, bool *found) {
    size_t there = 0;
    bool is_there = false;
    *found = false;
    size_t here = list(self, pid, found);
    if (are_two) mote_assert(self, mote_match(ask(self, TERM(self, "{list, ?}", pid)), "{?, ?}", &there, &is_there));
    *found |= is_there;
    return here + there;
}

/* ------------------------------------------------------------------------------------------- beginning and end */

static int copy_of(int fd) {
    int copy = dup(fd);
    CHECK(copy >= 0);
    return copy;
}

static void begin_side(struct side *side, const mote_options *options, unsigned number, int board) {
    mote_options mine = *options;
    mine.worker = number;
    CHECK_OK(mote_runtime_start(&mine, &side->runtime));
    CHECK_OK(mote_attach(side->runtime, &side->self));
    CHECK_OK(mote_worker_new(side->self, number, board, &side->worker));
    for (int i = 0; i < 2; i++) {
        CHECK_INT(pthread_mutex_init(&side->stocks[i].mu, NULL), 0);
        side->stocks[i].asked = true;
    }
    side->server = start_here(side->self, serve, MOTE_TERM_NIL);
    tell(side->self, side->server, "fill");
}

static void end_side(struct side *side) {
    CHECK_OK(mote_detach(side->self));
    (void)mote_runtime_stop(side->runtime, 0);
}

int run_across(const mote_options *options, mote_body body) {
    int channel;
    mote_ref monitor = {0};
    begin_side(&sides[0], options, 0, -1);
    begin_side(&sides[1], options, 1, copy_of(mote_worker_board(sides[0].worker)));
    CHECK_OK(mote_worker_channel(&channel));
    CHECK_OK(mote_worker_open(sides[1].worker, 0, copy_of(channel), copy_of(mote_worker_event(sides[0].worker)), copy_of(mote_worker_blobs(sides[0].worker))));
    CHECK_OK(mote_worker_open(sides[0].worker, 1, channel, copy_of(mote_worker_event(sides[1].worker)), copy_of(mote_worker_blobs(sides[1].worker))));
    are_two = true;
    CHECK_OK(mote_spawn_monitor(sides[0].self, body, MOTE_TERM_NIL, &(mote_pid){0}, &monitor));
    CHECK_OK(mote_receive_match(sides[0].self, -1, "{'DOWN', ^, _, _, _}", monitor));
    bool normal = mote_match(mote_message(sides[0].self), "{'DOWN', _, _, _, normal}") && !mote_worker_cut(sides[0].worker) && !mote_worker_cut(sides[1].worker);
    for (int i = 0; i < 2; i++) end_side(&sides[i]);
    for (int i = 0; i < 2; i++) mote_worker_free(sides[i].worker);
    return normal ? 0 : 1;
}
