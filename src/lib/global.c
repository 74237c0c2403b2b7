/* SPDX-License-Identifier: Apache-2.0
 * The server of global names: a handler with the names, the locks that others have set here, and what each visible node has told; its locker (locker.h) does what has to wait.
 *
 * With the others it speaks as OTP's global does, version 8: docs/design/dist.md has the messages. They come as {'$global', Node, Message} (dist/service.c): from a visible node that has proved that name. So:
 * G1 what a node says of itself is true, and it speaks of no other but where the protocol has it so. G2 this node does one thing at a time that needs the lock of all, {global, Requester}; whoever wants to
 * begin another is refused, and comes again. G3 who is told names, or to take them away, is known, or is exchanging them with us under that lock. G4 a process that a conflict costs its name is ended here when
 * that is its way, whatever rights others have. G5 nothing is waited for without end: who does not go on is disconnected after EXCHANGE_MS.
 * G6 who is not known any more has no names here, from that step on: what an exchange finds in common the others of a cluster are not told. */
#include <mote/external.h>
#include <mote/global.h>
#include <mote/node.h>
#include <string.h>

#include "lib/ask.h"
#include "lib/locker.h"
#include "lib/names.h"

#define SERVER "mote_global" /* as dist/service.c knows it */
#define VERSION 8
#define NODES_MAX 1024u
#define JOBS_MAX 10000u
#define BATCH_MAX 100u       /* jobs for which the lock is kept */
#define WAITERS_MAX 1000u
#define LOST_MAX 256u
#define LOST_A_SECOND 100u   /* of which one node may tell */
#define RESTARTS_MAX 100u
#define JOB_MS 30000u
#define EXCHANGE_MS 30000u
#define BEGIN_MS 2000u       /* how long the node with the greater name has to begin */
#define AGAIN_MS 200u        /* how long a node that has called an exchange off has to go on with it, as OTP's sometimes does */
#define KNOWN_MS 2000u       /* how long who says that we are in one cluster may be unknown: others are to tell us */
#define LOST_MS 500u         /* after which the others are told of a lost node: not when it is we who end, or when it is there again */

/* Where an exchange of names with a node stands. */
enum phase {
    APART,     /* there is none: it is known, or takes no part */
    CALLED,    /* it has been told our tag */
    MET,       /* we know its tag, and its locker */
    LOCKING,   /* our locker sets the lock */
    LOCKED,    /* it has; we wait for theirs */
    EXCHANGING /* both have */
};

struct peer {
    struct peer *next;
    struct mt_stored name;
    mote_atom node;       /* in the name's memory */
    bool up;              /* connected, and visible */
    uint64_t connection_id; /* up */
    bool known, synced;   /* it has our names and we have its; the same, or it has none */
    bool parted;          /* it was known, until we have told it to go */
    enum phase phase;
    int64_t tag;          /* ours, of this exchange */
    bool agreed;          /* its locker has set the lock */
    unsigned restarts, tries;
    uint64_t due_ms;      /* MET: when we begin */
    uint64_t again_ms;    /* it has called our tag off: when we call it by another; 0: it has not */
    uint64_t strange_ms;  /* it says that it has our names, and we do not know it: when it is parted from; 0: never */
    mote_ref dial;        /* known, not up: of the attempt to connect */
    uint64_t lost_ms;     /* when a second began, and of how many lost connections it has told in it */
    unsigned lost;
    struct mt_stored his_tag, his_locker, names, resolved, ops; /* what it has sent: names, {Resolved, Known}; what we have found: {Ops, Resolved} */
};

/* What processes of here want of names, in order. */
enum wish { REGISTER, REPLACE, UNREGISTER };
struct job {
    struct job *next;
    enum wish wish;
    struct mt_stored from, key, pid, method;
    uint64_t late_ms;
};

struct waiter {
    struct waiter *next;
    struct mt_stored from;
};

/* G2: who has the lock of all here, or is about to. */
enum doing { NOTHING, MEETING, NAMING };
struct turn {
    enum doing doing;
    struct peer *peer;      /* MEETING; NULL: it has come to nothing */
    bool held;              /* the lock is set */
    uint64_t ticket;        /* what the locker is doing for it; 0: nothing */
    uint64_t since_ms;
    unsigned count;         /* NAMING: jobs done */
    uint64_t epoch;         /* of the known nodes, at its begin */
    struct mt_stored lock, nodes;
};

struct server {
    mote_self *self;
    mote_term own; /* this node's name */
    mote_pid locker;
    mote_ref token; /* of orders to it */
    bool listens;
    struct mt_names names;
    struct mt_locks locks;
    struct peer *peers;
    size_t count;
    struct turn turn;
    uint64_t tickets, epoch;
    int64_t tags, losses, life;
    struct job *jobs, **jobs_end;
    size_t job_count;
    uint64_t jobs_due_ms;
    unsigned job_tries;
    struct waiter *waiters;
    size_t waiting;
    struct mt_stored lost[LOST_MAX]; /* {A, B, Life, Number}: what was told of lost connections, oldest at lost_at */
    size_t lost_at;
    mote_ref alarm;
};

static mote_arena *arena(const struct server *s) { return mote_scratch(s->self); }
static uint64_t now_ms(const struct server *s) { return mt_now_ms(s->self); }
static uint64_t at_random(const struct server *s, uint64_t below) { return mt_index_hash(mote_ref_make(s->self).word ^ mt_index_hash((uint64_t)s->life ^ now_ms(s))) % below; }
static uint64_t pause_ms(const struct server *s, unsigned tries) { return 10 + at_random(s, tries > 4 ? 1000 : (uint64_t)50 << tries); }

/* The node that a pid is of. */
static mote_term node_of(const struct server *s, mote_term pid) {
    mote_far far;
    return mote_far_get(pid, &far) ? mote_atom_term(far.node) : s->own;
}

/* A name as other nodes have it, for which text is a binary. NONE: it has no such form, or is too long, or there is no memory. */
static mote_term known_as(const struct server *s, mote_term name, size_t bytes_max) {
    mote_type type = mote_term_type(name);
    mote_term known = name;
    mote_writer w;
    if (!mt_term_fits(name, bytes_max)) return MOTE_TERM_NONE;
    if (type != MOTE_TEXT && type != MOTE_TUPLE && type != MOTE_LIST && type != MOTE_MAP) return name;
    mote_writer_init(&w, MOTE_FORM_ERLANG, NULL, 0, bytes_max);
    mote_err err = mote_term_encode(name, NULL, &w);
    if (!err) err = mote_term_decode(arena(s), mote_writer_bytes(&w).data, mote_writer_bytes(&w).size, NULL, &known, NULL);
    mote_writer_fini(&w);
    return err ? MOTE_TERM_NONE : known;
}

/* ------------------------------------------------------------------------------------------------- nodes */

static struct peer *find(const struct server *s, mote_term node) {
    struct peer *p = s->peers;
    while (p && p->name.term.word != node.word) p = p->next;
    return p;
}

static struct peer *need(struct server *s, mote_term node) {
    struct peer *p = find(s, node);
    if (p || mote_term_type(node) != MOTE_ATOM || s->count == NODES_MAX || !(p = mote_alloc(s->self, sizeof *p))) return p;
    *p = (struct peer){.next = s->peers};
    if (mt_store(&p->name, node) || mote_atom_get(p->name.term, &p->node)) {
        mote_dealloc(s->self, p);
        return NULL;
    }
    s->peers = p;
    s->count++;
    return p;
}

static void forget_exchange(struct peer *p) {
    struct mt_stored *terms[] = {&p->his_tag, &p->his_locker, &p->names, &p->resolved, &p->ops};
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++) {
        mt_stored_drop(terms[i]);
        *terms[i] = (struct mt_stored){0};
    }
    p->phase = APART;
    p->agreed = false;
}

static void drop_peer(struct server *s, struct peer *p) {
    struct peer **at = &s->peers;
    while (*at != p) at = &(*at)->next;
    *at = p->next;
    s->count--;
    forget_exchange(p);
    mt_stored_drop(&p->name);
    mote_dealloc(s->self, p);
}

/* Sends to another's server, if it is connected. False: it has not been sent. */
static bool say(struct server *s, const struct peer *p, mote_err built, mote_term message) {
    mote_term to;
    return !built && p->up && !mote_build(arena(s), &to, "{global_name_server, ?}", p->node) && mote_send_opt(s->self, to, message, MOTE_SEND_NOCONNECT) == MOTE_OK;
}

/* Answers another node's call, if it is still connected. */
static void reply_there(struct server *s, mote_term from, mote_term reply) {
    mote_term to, tag, alias, m;
    if (!mote_match(from, "{?, ?}", &to, &tag)) return;
    if (mote_match(tag, "[alias|?]", &alias) && mote_term_type(alias) == MOTE_REFERENCE) to = alias;
    if (!mote_build(arena(s), &m, "{?, ?}", tag, reply)) (void)mote_send_opt(s->self, to, m, MOTE_SEND_NOCONNECT);
}

/* Keeps a term in place of another. */
static void keep(struct server *s, struct mt_stored *stored, mote_term term) {
    mt_stored_drop(stored);
    *stored = (struct mt_stored){0};
    mote_must(s->self, mt_store(stored, term));
}

static void say_in_sync(struct server *s, struct peer *p) {
    mote_term m;
    mote_err err = mote_build(arena(s), &m, "{'$gen_cast', {in_sync, ?, true}}", s->own);
    (void)say(s, p, err, m);
}

/* The other nodes that are known, as a list; `versions`: {Node, Version}. */
static mote_term known_nodes(const struct server *s, bool versions) {
    mote_term list = MOTE_TERM_NIL, one;
    for (const struct peer *p = s->peers; p && list.word; p = p->next) {
        if (!p->known || !p->up) continue;
        one = p->name.term;
        if (versions && mote_build(arena(s), &one, "{?, ?}", p->node, VERSION)) one = MOTE_TERM_NONE;
        list = mote_cons_make(arena(s), one, list);
    }
    return list;
}

/* --------------------------------------------------------------------------------------- the lock of all (G2) */

static void order(struct server *s, uint64_t ticket, mote_err built, mote_term steps) {
    if (!built) built = mote_send(s->self, s->locker, "{?, ?, ?}", s->token, ticket, steps);
    mote_must(s->self, built); /* without it all would stand still */
}

/* Has the locker set it: at the greatest node, then at ours and `extra` (NONE: nobody), then at all that are known, as OTP's lockers do, so that two that want it meet at the first. */
static void take_turn(struct server *s, enum doing doing, struct peer *peer, mote_term requester, mote_term extra) {
    mote_term lock = MOTE_TERM_NONE, steps = MOTE_TERM_NIL, boss = s->own, first = MOTE_TERM_NIL, rest = MOTE_TERM_NIL, all;
    struct turn *t = &s->turn;
    for (const struct peer *p = s->peers; p; p = p->next)
        if (p->known && p->up && mote_term_compare(p->name.term, boss) > 0) boss = p->name.term;
    if (!mote_term_same(boss, s->own)) first = mote_cons_make(arena(s), s->own, first);
    if (extra.word) first = mote_cons_make(arena(s), extra, first);
    all = mote_cons_make(arena(s), boss, first);
    for (const struct peer *p = s->peers; p && all.word && rest.word; p = p->next) {
        if (!p->known || !p->up || p->name.term.word == boss.word) continue;
        rest = mote_cons_make(arena(s), p->name.term, rest);
        all = mote_cons_make(arena(s), p->name.term, all);
    }
    mote_err err = all.word && rest.word ? mote_build(arena(s), &lock, "{global, ?}", requester) : MOTE_ENOMEM;
    if (!err) err = mote_build(arena(s), &steps, "[{set, ?, [?]}, {set, ?, ?}, {set, ?, ?}]", lock, boss, lock, first, lock, rest);
    mote_must(s->self, err);
    *t = (struct turn){.doing = doing, .peer = peer, .ticket = ++s->tickets, .since_ms = now_ms(s), .epoch = s->epoch};
    keep(s, &t->lock, lock);
    keep(s, &t->nodes, all);
    order(s, t->ticket, MOTE_OK, steps);
}

static void clear_turn(struct server *s) {
    mt_stored_drop(&s->turn.lock);
    mt_stored_drop(&s->turn.nodes);
    s->turn = (struct turn){0};
}

/* Gives it back, once the locker has told `message` (NONE: nothing) to `nodes`. */
static void end_turn(struct server *s, mote_term message, mote_term nodes) {
    struct turn *t = &s->turn;
    mote_term steps;
    if (t->held) {
        mote_err err = message.word ? mote_build(arena(s), &steps, "[{tell, ?, ?}, {del, ?, ?}]", message, nodes, t->lock.term, t->nodes.term)
                                    : mote_build(arena(s), &steps, "[{del, ?, ?}]", t->lock.term, t->nodes.term);
        order(s, 0, err, steps);
    }
    clear_turn(s);
}

/* ---------------------------------------------------------------------------------------- who meets whom */

/* Says a new tag of ours to it. */
static void call(struct server *s, struct peer *p) {
    mote_term m;
    p->tag = ++s->tags;
    p->again_ms = 0;
    mote_err err = mote_build(arena(s), &m, "{'$gen_cast', {init_connect, {?, ?}, ?, {locker, no_longer_a_pid, #{}, ?}}}", VERSION, p->tag, s->own, s->locker);
    (void)say(s, p, err, m);
}

static void begin_exchange(struct server *s, struct peer *p) {
    forget_exchange(p);
    p->phase = CALLED;
    call(s, p);
}

/* The exchange with a node comes to nothing; what the locker is doing for it is undone when it is done. */
static void leave_exchange(struct server *s, struct peer *p) {
    struct turn *t = &s->turn;
    if (t->doing == MEETING && t->peer == p) {
        t->peer = NULL;
        if (!t->ticket) end_turn(s, MOTE_TERM_NONE, MOTE_TERM_NIL);
    }
    forget_exchange(p);
}

/* It has called the exchange off, and says a new tag of its own. It may go on with ours, and says so; or it waits for another. */
static void call_off(struct server *s, struct peer *p) {
    leave_exchange(s, p);
    p->phase = CALLED;
    if (!p->again_ms) p->again_ms = now_ms(s) + AGAIN_MS;
}

/* Those that have not gone on are called again; when the next is due. */
static uint64_t call_again(struct server *s, uint64_t now) {
    uint64_t next = UINT64_MAX;
    for (struct peer *p = s->peers; p; p = p->next) {
        if (p->phase == APART) p->again_ms = 0; /* it has come to an end in another way */
        if (p->again_ms && p->again_ms <= now) {
            p->again_ms = 0;
            if (p->restarts++ < RESTARTS_MAX) call(s, p); /* its own tag holds */
        }
        if (p->again_ms && p->again_ms < next) next = p->again_ms;
    }
    return next;
}

/* Back to where it knows our tag and we its: later again. */
static void meet_later(struct server *s, struct peer *p) {
    p->phase = MET;
    p->agreed = false;
    p->due_ms = now_ms(s) + pause_ms(s, p->tries++);
}

static void say_lock_set(struct server *s, struct peer *p, bool set) {
    mote_term m;
    mote_err err = mote_build(arena(s), &m, "{'$gen_cast', {lock_set, ?, ?, ?, ?}}", s->locker, set, known_nodes(s, false), p->his_tag.term);
    (void)say(s, p, err, m);
}

/* Where a pid stands in Erlang's order of pids, which does not begin with those of the own node. */
static uint64_t number_of(const struct server *s, mote_term pid) {
    mote_far far;
    uint8_t b[64];
    mote_pid own;
    mote_writer w;
    uint64_t number = 0;
    if (mote_far_get(pid, &far)) return (uint64_t)far.words[1] << 32 | far.words[0];
    mote_writer_init(&w, MOTE_FORM_ERLANG, b, sizeof b, sizeof b);
    mote_must(s->self, mote_pid_get(pid, &own) || !mote_pid_write_as(&w, own, (mote_bytes){"n", 1}, 1) ? MOTE_ETERM : MOTE_OK);
    const uint8_t *end = (const uint8_t *)mote_writer_bytes(&w).data + mote_writer_bytes(&w).size; /* of id, serial and creation */
    for (int i = 0; i < 4; i++) number = number << 8 | end[i - 8];
    for (int i = 0; i < 4; i++) number = number << 8 | end[i - 12];
    mote_writer_fini(&w);
    return number;
}

static bool is_before(const struct server *s, mote_term a, mote_term b) {
    uint64_t m = number_of(s, a), n = number_of(s, b);
    return m != n ? m < n : mote_term_compare(node_of(s, a), node_of(s, b)) < 0;
}

/* Both lockers as the lock's requester has them: sorted. */
static void begin_meeting(struct server *s, struct peer *p, bool agreed) {
    const mote_term ours = mote_pid_term(s->locker), his = p->his_locker.term;
    bool first = is_before(s, ours, his);
    mote_term both;
    mote_must(s->self, mote_build(arena(s), &both, "[?, ?]", first ? ours : his, first ? his : ours));
    p->phase = LOCKING;
    p->agreed = agreed;
    take_turn(s, MEETING, p, both, agreed ? MOTE_TERM_NONE : p->name.term);
}

/* Whether the connection is there of which its state is. */
static bool is_up(const struct server *s, const struct peer *p) {
    mote_peer_info info;
    return p->up && mote_peer_info_get(s->self, p->node, &info) == MOTE_OK && info.connection_id == p->connection_id;
}

/* It is there: names are exchanged with it, unless others have told it of us. `id`: of its connection (0: that which is there); when that has ended already what is told next is another's. */
static void node_up(struct server *s, mote_atom node, uint64_t id) {
    mote_peer_info info;
    if (mote_peer_info_get(s->self, node, &info) || (id && info.connection_id != id) || !info.visible || !info.monitors) return; /* a C node has no names */
    struct peer *p = need(s, mote_atom_term(node));
    if (!p || p->up) return;
    p->up = true;
    p->connection_id = info.connection_id;
    p->restarts = p->tries = 0;
    if (p->known) say_in_sync(s, p);
    else begin_exchange(s, p);
}

/* From the time on when this is a node: looks who is there, and listens who comes. */
static void look_around(struct server *s) {
    size_t count = 0, room = 0;
    mote_atom *nodes = NULL;
    if (s->listens || mote_connections_monitor(s->self, true)) return;
    s->listens = true;
    s->own = mote_atom_term(mote_node_name(s->self, NULL, NULL));
    while (!mote_nodes(s->self, false, nodes, room, &count) && count > room) {
        mote_dealloc(s->self, nodes);
        room = count + 16;
        if (!(nodes = mote_alloc(s->self, room * sizeof *nodes))) return;
    }
    for (size_t i = 0; i < count && i < room; i++) node_up(s, nodes[i], 0);
    mote_dealloc(s->self, nodes);
}

/* A node that others know is known to us, too, and connected with. */
static void add_known(struct server *s, mote_term node) {
    struct peer *p = mote_term_same(node, s->own) ? NULL : need(s, node);
    if (!p || p->known) return;
    leave_exchange(s, p);
    p->known = p->synced = true;
    s->epoch++;
    if (p->up) say_in_sync(s, p);
    else if (mote_node_connect_start(s->self, p->node, &p->dial)) drop_peer(s, p);
}

static void add_all_known(struct server *s, mote_term nodes) {
    mote_term one, node;
    while (mote_list_get(nodes, &one, &nodes) == MOTE_OK) add_known(s, mote_match(one, "{?, _}", &node) ? node : one);
}

/* ------------------------------------------------------------------------------------------- conflicts */

/* What a name's method is: one of global's, or (-1) another's. Erlang's own default comes as a closure of global without variables. */
static int conflict_of(mote_term method) {
    static const char *const names[] = {"random_exit_name", "random_notify_name", "notify_all_name"};
    mote_atom module, function;
    unsigned arity;
    uint8_t b[300] = {0};
    mote_writer w;
    if (mote_function_get(method, &module, &function, &arity) == MOTE_OK) {
        for (int i = 0; i < 3; i++)
            if (arity == 3 && module.word == mote_atom_make("global").word && function.word == mote_atom_make(names[i]).word) return i;
        return -1;
    }
    if (mote_term_type(method) != MOTE_FUNCTION) return -1;
    mote_writer_init(&w, MOTE_FORM_ERLANG, b, sizeof b, sizeof b);
    bool fits = mote_term_encode(method, NULL, &w) == MOTE_OK;
    mote_writer_fini(&w);
    const uint8_t *c = b + (b[0] == 131); /* after the form's version: tag, size (4), arity, unique (16), index (4), variables (4), module */
    static const uint8_t module_global[] = {119, 6, 'g', 'l', 'o', 'b', 'a', 'l'};
    return fits && c[0] == 112 && c[5] == 3 && !(c[26] | c[27] | c[28] | c[29]) && memcmp(c + 30, module_global, sizeof module_global) == 0 ? MOTE_CONFLICT_EXIT : -1;
}

static mote_err method_of(mote_arena *a, int conflict, mote_term *method) {
    static const char *const names[] = {"random_exit_name", "random_notify_name", "notify_all_name"};
    if (conflict < 0 || conflict > 2) return MOTE_EARG;
    *method = mote_function_make(a, mote_atom_make("global"), mote_atom_make(names[conflict]), 3);
    return method->word ? MOTE_OK : MOTE_ENOMEM;
}

/* Who keeps a name by one of global's methods; the other is told, or ends. */
static mote_term decide(struct server *s, int conflict, mote_term name, mote_term his, mote_term ours) {
    bool his_stays = mote_term_compare(node_of(s, his), node_of(s, ours)) < 0;
    const mote_term stays = his_stays ? his : ours, goes = his_stays ? ours : his;
    if (conflict == MOTE_CONFLICT_EXIT) (void)mote_exit_send(s->self, goes, mote_to_name("kill"));
    if (conflict == MOTE_CONFLICT_NOTIFY) (void)mote_send(s->self, goes, "{global_name_conflict, ?}", name);
    if (conflict != MOTE_CONFLICT_NOTIFY_ALL) return stays;
    (void)mote_send(s->self, stays, "{global_name_conflict, ?, ?}", name, goes);
    (void)mote_send(s->self, goes, "{global_name_conflict, ?, ?}", name, stays);
    return mote_to_name("none");
}

/* Another node's resolver asks, since a process of ours has the name there: its rpc, see dist/serve.c. */
static mote_term decide_for(struct server *s, mote_term method, mote_term name, mote_term his, mote_term ours) {
    const struct mt_name *n = mt_names_find(&s->names, name);
    int conflict = conflict_of(method);
    if (!n || conflict < 0 || !(mote_term_same(n->pid.term, ours) || mote_term_same(n->pid.term, his))) return mote_to_name("none");
    return decide(s, conflict, name, his, ours);
}

/* ---------------------------------------------------------------------------------------- changes of names */

/* Whether a pid's node is there, or about to be: nobody else is connected for a name. */
static bool may_have(const struct server *s, mote_term pid) {
    mote_far far;
    if (!mote_far_get(pid, &far) || mote_peer_info_get(s->self, far.node, NULL) == MOTE_OK) return true;
    const struct peer *p = find(s, mote_atom_term(far.node));
    return p && p->known && !p->up;
}

/* A name is another's now, by a conflict (G4). Which side's method has decided is not said: a process of ours is ended when that is the way of both. */
static void insert(struct server *s, mote_term key, mote_term pid, mote_term method) {
    const struct mt_name *old = mt_names_find(&s->names, key);
    bool same = old && mote_term_same(old->pid.term, pid);
    if (old && !same && mote_term_type(pid) == MOTE_PID && !mote_far_get(old->pid.term, NULL) && conflict_of(old->method.term) == MOTE_CONFLICT_EXIT && conflict_of(method) == MOTE_CONFLICT_EXIT)
        (void)mote_exit_send(s->self, old->pid.term, mote_to_name("kill"));
    if (!same && may_have(s, pid)) (void)!mt_names_put(&s->names, key, pid, method); /* too many, too long: it is not known here */
}

/* {delete, Name} first, then {insert, {Name, Pid, Method}}. */
static void apply(struct server *s, mote_term ops) {
    mote_term op, rest, key, pid, method;
    for (rest = ops; mote_list_get(rest, &op, &rest) == MOTE_OK;) {
        struct mt_name *n = mote_match(op, "{delete, ?}", &key) ? mt_names_find(&s->names, key) : NULL;
        if (n) mt_names_remove(&s->names, n);
    }
    for (rest = ops; mote_list_get(rest, &op, &rest) == MOTE_OK;)
        if (mote_match(op, "{insert, {?, ?, ?}}", &key, &pid, &method)) insert(s, key, pid, method);
}

/* --------------------------------------------------------------------------------- names are exchanged (G3) */

/* Operations in front of `tail`, without what is none: others get nothing from us that they would not know. */
static mote_term sound(const struct server *s, mote_term ops, mote_term tail) {
    mote_term op, pid;
    while (mote_list_get(ops, &op, &ops) == MOTE_OK && tail.word)
        if (mote_match(op, "{delete, _}") || (mote_match(op, "{insert, {_, ?, _}}", &pid) && mote_term_type(pid) == MOTE_PID)) tail = mote_cons_make(arena(s), op, tail);
    return tail;
}

/* Both have done what they had to: the names of both are names of all. */
static void finish(struct server *s, struct peer *p) {
    mote_term ours, his, nodes, all, m, more = MOTE_TERM_NIL, one, rest, before = known_nodes(s, false);
    if (!mote_match(p->ops.term, "{?, _}", &ours) || !mote_match(p->resolved.term, "{?, ?}", &his, &nodes)) return;
    all = sound(s, his, sound(s, ours, MOTE_TERM_NIL));
    for (rest = nodes; mote_list_get(rest, &one, &rest) == MOTE_OK && more.word;)
        if (mote_match(one, "{?, _}", &m) && mote_term_type(m) == MOTE_ATOM) more = mote_cons_make(arena(s), one, more);
    mote_err err = all.word && before.word && more.word ? mote_build(arena(s), &more, "[{?, ?} | ?]", p->node, VERSION, more) : MOTE_ENOMEM;
    if (!err) err = mote_build(arena(s), &m, "{'$gen_cast', {new_nodes, ?, ?, [], ?, [{vsn, ?}, {lock, ?}]}}", s->own, all, more, VERSION, s->turn.lock.term);
    mote_must(s->self, err);
    p->known = p->synced = true;
    s->epoch++;
    s->turn.peer = NULL;
    add_all_known(s, nodes);
    apply(s, all);
    end_turn(s, m, before);
    forget_exchange(p);
    p->tries = 0;
}

static void resolved(struct server *s, struct peer *p, mote_term ops, mote_term results) {
    mote_term both, m;
    mote_err err = mote_build(arena(s), &both, "{?, ?}", ops, results);
    mote_must(s->self, err);
    keep(s, &p->ops, both);
    err = mote_build(arena(s), &m, "{'$gen_cast', {resolved, ?, ?, ?, unused, [], ?}}", s->own, results, known_nodes(s, true), p->his_tag.term);
    (void)say(s, p, err, m);
    if (p->resolved.term.word) finish(s, p);
}

/* What is found about its names: operations for us, and what it is to do. */
struct findings {
    mote_term ops, results;
    mote_term steps; /* for conflicts whose methods only others know */
};

static void decided(struct server *s, struct findings *f, const struct mt_name *ours, mote_term key, mote_term pid, mote_term method, mote_term winner) {
    mote_term op = MOTE_TERM_NONE;
    bool his = mote_term_same(winner, pid), own = mote_term_same(winner, ours->pid.term);
    mote_err err = his ? mote_build(arena(s), &op, "{insert, {?, ?, ?}}", key, pid, method) : own ? mote_build(arena(s), &op, "{insert, {?, ?, ?}}", key, ours->pid.term, ours->method.term) : mote_build(arena(s), &op, "{delete, ?}", key);
    mote_must(s->self, err);
    if (!own) f->ops = mote_cons_make(arena(s), op, f->ops);
    if (!his) f->results = mote_cons_make(arena(s), op, f->results);
}

/* One of its names: new, or a conflict, which the node with the smaller name resolves. */
static void look_at(struct server *s, struct peer *p, struct findings *f, mote_term key, mote_term pid, mote_term method) {
    const struct mt_name *ours = mt_names_living(&s->names, key);
    mote_term op;
    if (mote_term_type(pid) != MOTE_PID || (ours && mote_term_same(ours->pid.term, pid))) return;
    if (!ours) {
        mote_must(s->self, mote_build(arena(s), &op, "{insert, {?, ?, ?}}", key, pid, method));
        f->ops = mote_cons_make(arena(s), op, f->ops);
        return;
    }
    if (mote_term_compare(s->own, p->name.term) > 0) return;
    int conflict = conflict_of(ours->method.term);
    if (conflict >= 0) {
        decided(s, f, ours, key, pid, method, decide(s, conflict, key, pid, ours->pid.term));
        return;
    }
    const mote_term home = node_of(s, ours->pid.term);
    mote_must(s->self, mote_build(arena(s), &op, "{resolve, ?, ?, ?, ?, ?}", mote_term_same(home, s->own) ? p->name.term : home, ours->method.term, key, pid, ours->pid.term));
    f->steps = mote_cons_make(arena(s), op, f->steps);
}

/* Goes through its names; `results` (NONE: not asked yet) has what others have decided. */
static void resolve(struct server *s, struct peer *p) {
    struct findings f = {MOTE_TERM_NIL, MOTE_TERM_NIL, MOTE_TERM_NIL};
    mote_term names = p->names.term, one, key, pid, method, both;
    if (p->phase != EXCHANGING || !names.word || p->ops.term.word || s->turn.ticket) return;
    while (mote_list_get(names, &one, &names) == MOTE_OK)
        if (mote_match(one, "{?, ?, ?}", &key, &pid, &method)) look_at(s, p, &f, key, pid, method);
    if (f.steps.word == MOTE_TERM_NIL.word) {
        resolved(s, p, f.ops, f.results);
        return;
    }
    s->turn.ticket = ++s->tickets;
    order(s, s->turn.ticket, MOTE_OK, f.steps);
    mote_must(s->self, mote_build(arena(s), &both, "{?, ?}", f.ops, f.results));
    keep(s, &p->ops, both);
}

/* The method of one of its names. */
static mote_term method_in(mote_term names, mote_term key, mote_term *pid) {
    mote_term one, k, method;
    while (mote_list_get(names, &one, &names) == MOTE_OK)
        if (mote_match(one, "{?, ?, ?}", &k, pid, &method) && mote_term_same(k, key)) return method;
    return MOTE_TERM_NONE;
}

/* What other nodes have decided: {Name, Pid | none}. */
static void resolved_elsewhere(struct server *s, struct peer *p, mote_term results) {
    struct findings f = {MOTE_TERM_NIL, MOTE_TERM_NIL, MOTE_TERM_NIL};
    mote_term one, key, winner, pid;
    if (!mote_match(p->ops.term, "{?, ?}", &f.ops, &f.results)) return;
    while (mote_list_get(results, &one, &results) == MOTE_OK) {
        const struct mt_name *ours = mote_match(one, "{?, ?}", &key, &winner) ? mt_names_find(&s->names, key) : NULL;
        const mote_term method = ours ? method_in(p->names.term, key, &pid) : MOTE_TERM_NONE;
        if (method.word) decided(s, &f, ours, key, pid, method, winner);
    }
    f.ops = mote_term_copy(arena(s), f.ops);
    f.results = mote_term_copy(arena(s), f.results);
    resolved(s, p, f.ops, f.results);
}

static void exchange(struct server *s, struct peer *p) {
    mote_term list = MOTE_TERM_NIL, one, m = MOTE_TERM_NIL;
    p->phase = EXCHANGING;
    for (const struct mt_name *n = s->names.first; n && list.word; n = n->after)
        list = mote_build(arena(s), &one, "{?, ?, ?}", n->key.term, n->pid.term, n->method.term) ? MOTE_TERM_NONE : mote_cons_make(arena(s), one, list);
    mote_err err = list.word ? mote_build(arena(s), &m, "{'$gen_cast', {exchange, ?, ?, [], ?}}", s->own, list, p->his_tag.term) : MOTE_ENOMEM;
    mote_must(s->self, err);
    (void)say(s, p, err, m);
    resolve(s, p);
}

/* ------------------------------------------------------------------------------------------- jobs of here */

static void drop_job(struct server *s) {
    struct job *j = s->jobs;
    if (!(s->jobs = j->next)) s->jobs_end = &s->jobs;
    s->job_count--;
    mt_stored_drop(&j->from);
    mt_stored_drop(&j->key);
    mt_stored_drop(&j->pid);
    mt_stored_drop(&j->method);
    mote_dealloc(s->self, j);
}

static void answer(struct server *s, mote_term from, mote_err err, mote_term term) {
    if (mote_reply(s->self, from, "{?, ?}", (int)err, term) == MOTE_ENOMEM) mote_must(s->self, MOTE_ENOMEM); /* a caller must not wait for ever: it hears of this end */
}

static void answer_job(struct server *s, mote_err err) {
    answer(s, s->jobs->from.term, err, MOTE_TERM_NIL);
    drop_job(s);
}

static mote_err add_job(struct server *s, enum wish wish, mote_term from, mote_term key, mote_term pid, mote_term method) {
    struct job *j = s->job_count < JOBS_MAX ? mote_alloc(s->self, sizeof *j) : NULL;
    if (!j) return s->job_count < JOBS_MAX ? MOTE_ENOMEM : MOTE_ELIMIT;
    *j = (struct job){.wish = wish, .late_ms = now_ms(s) + JOB_MS};
    if (mt_store(&j->from, from) || mt_store(&j->key, key) || mt_store(&j->pid, pid) || mt_store(&j->method, method)) {
        mt_stored_drop(&j->from);
        mt_stored_drop(&j->key);
        mt_stored_drop(&j->pid);
        mote_dealloc(s->self, j);
        return MOTE_ENOMEM;
    }
    *s->jobs_end = j;
    s->jobs_end = &j->next;
    s->job_count++;
    return MOTE_OK;
}

/* What is to be changed here, and the request that says it to others. MOTE_EBUSY: another has the name. */
static mote_err change(struct server *s, const struct job *j, mote_term *request) {
    struct mt_name *n = mt_names_living(&s->names, j->key.term);
    if (j->wish == REGISTER && n) return MOTE_EBUSY;
    if (j->wish != UNREGISTER) {
        mote_err err = mt_names_put(&s->names, j->key.term, j->pid.term, j->method.term);
        return err ? err : mote_build(arena(s), request, "{register, ?, ?, ?}", j->key.term, j->pid.term, j->method.term);
    }
    if (n) mt_names_remove(&s->names, n);
    return mote_build(arena(s), request, "{unregister, ?}", j->key.term);
}

/* With the lock: does what has been asked for, until others have to be told, or for long. */
static void do_jobs(struct server *s) {
    struct turn *t = &s->turn;
    mote_term request, steps = MOTE_TERM_NIL;
    while (s->jobs && t->epoch == s->epoch && t->count++ < BATCH_MAX) {
        mote_err err = change(s, s->jobs, &request);
        const mote_term nodes = known_nodes(s, false);
        if (!err && nodes.word != MOTE_TERM_NIL.word) {
            err = nodes.word ? mote_build(arena(s), &steps, "[{call, ?, ?}]", request, nodes) : MOTE_ENOMEM;
            t->ticket = ++s->tickets;
            order(s, t->ticket, err, steps);
            return;
        }
        answer_job(s, err);
    }
    end_turn(s, MOTE_TERM_NONE, MOTE_TERM_NIL);
    s->jobs_due_ms = now_ms(s) + pause_ms(s, 0); /* others are to get it, too */
}

/* The locker has set the lock, or could not. */
static void lock_done(struct server *s, bool held) {
    struct turn *t = &s->turn;
    struct peer *p = t->peer;
    t->held = held;
    if (t->doing == NAMING && held) {
        s->job_tries = 0;
        do_jobs(s);
    } else if (t->doing == NAMING || !p || !held) {
        bool naming = t->doing == NAMING;
        end_turn(s, MOTE_TERM_NONE, MOTE_TERM_NIL);
        if (naming) s->jobs_due_ms = now_ms(s) + pause_ms(s, s->job_tries++);
        if (p && p->agreed) say_lock_set(s, p, false);
        if (p) meet_later(s, p);
    } else {
        say_lock_set(s, p, true);
        if (p->agreed) exchange(s, p);
        else p->phase = LOCKED;
    }
}

static void locker_done(struct server *s, uint64_t ticket, bool done, mote_term results) {
    struct turn *t = &s->turn;
    if (!ticket || ticket != t->ticket) return;
    t->ticket = 0;
    if (!t->held) lock_done(s, done);
    else if (t->doing == NAMING) answer_job(s, MOTE_OK), do_jobs(s);
    else if (t->peer) resolved_elsewhere(s, t->peer, results);
    else end_turn(s, MOTE_TERM_NONE, MOTE_TERM_NIL);
}

/* Parts from those who take us for one of theirs and are none of ours, and meets them anew. When the next is due. */
static uint64_t part_from_strangers(struct server *s, uint64_t now) {
    uint64_t next = UINT64_MAX;
    mote_ref dial;
    for (struct peer *p = s->peers; p; p = p->next) {
        if (p->known || p->phase != APART) p->strange_ms = 0;
        if (p->strange_ms && p->strange_ms <= now) {
            p->strange_ms = 0;
            if (!mote_node_disconnect(s->self, p->node)) (void)!mote_node_connect_start(s->self, p->node, &dial);
        }
        if (p->strange_ms && p->strange_ms < next) next = p->strange_ms;
    }
    return next;
}

/* Begins what can be begun, and sees to it that it is looked at again when something is due. */
static void go_on(struct server *s) {
    uint64_t now = now_ms(s), again = call_again(s, now), strange = part_from_strangers(s, now), next = UINT64_MAX;
    struct turn *t = &s->turn;
    while (s->jobs && t->doing != NAMING && s->jobs->late_ms <= now) answer_job(s, MOTE_TIMEOUT);
    if (t->doing == MEETING && t->peer && t->since_ms + EXCHANGE_MS <= now) (void)!mote_node_disconnect(s->self, t->peer->node); /* G5 */
    if (t->doing == NOTHING && s->jobs && s->jobs_due_ms <= now) take_turn(s, NAMING, NULL, mote_pid_term(s->locker), MOTE_TERM_NONE);
    for (struct peer *p = s->peers; p; p = p->next) {
        if (p->phase != MET || p->again_ms) continue;
        if (t->doing == NOTHING && p->due_ms <= now) begin_meeting(s, p, false);
        else if (p->due_ms < next) next = p->due_ms;
    }
    if (s->jobs && s->jobs_due_ms < next) next = s->jobs_due_ms;
    if (t->doing != NOTHING) next = t->peer ? t->since_ms + EXCHANGE_MS : UINT64_MAX;
    if (again < next) next = again;
    if (strange < next) next = strange;
    if (s->jobs && t->doing == MEETING && s->jobs->late_ms < next) next = s->jobs->late_ms;
    if (s->alarm.word) (void)mote_timer_cancel(s->self, s->alarm, NULL);
    s->alarm.word = 0;
    if (next != UINT64_MAX) mote_must(s->self, mote_send_after(s->self, next > now ? (int64_t)(next - now) : 1, mote_self_pid(s->self), &s->alarm, "'$go_on'"));
}

/* ------------------------------------------------------------------------------------------ lost connections */

/* Whether it was told before; else it is noted. */
static bool is_old(struct server *s, mote_term a, mote_term b, mote_term life, int64_t number) {
    mote_term one, l;
    int64_t n;
    mote_must(s->self, mote_build(arena(s), &one, "{?, ?, ?, ?}", a, b, life, number));
    for (size_t i = 0; i < LOST_MAX; i++) {
        if (!s->lost[i].term.word || !mote_match(s->lost[i].term, "{^, ^, ?, ?}", a, b, &l, &n)) continue;
        if (mote_term_same(l, life) && number <= n) return true;
        keep(s, &s->lost[i], one);
        return false;
    }
    keep(s, &s->lost[s->lost_at], one);
    s->lost_at = (s->lost_at + 1) % LOST_MAX;
    return false;
}

static void tell_lost(struct server *s, mote_term a, mote_term life, int64_t number, mote_term b) {
    mote_term m;
    mote_err err = mote_build(arena(s), &m, "{lost_connection, ?, ?, ?, ?}", a, life, number, b);
    for (struct peer *p = s->peers; p; p = p->next)
        if (p->known && p->name.term.word != a.word) (void)say(s, p, err, m);
}

/* It is not known any more (G6). */
static void forget_names(struct server *s, const struct peer *p) {
    s->epoch++;
    mt_names_part(&s->names, p->node);
}

/* A and B have lost each other: if we have one of them, it is not to be the other's half of a cluster. */
static void part_from(struct server *s, mote_term node) {
    struct peer *p = find(s, node);
    mote_term m;
    if (!p || !p->known) return;
    mote_err err = mote_build(arena(s), &m, "{remove_connection, ?}", s->own);
    (void)say(s, p, err, m);
    p->known = p->synced = false;
    p->parted = true;
    forget_names(s, p);
}

/* It parts from us: what it says from here on of others is nothing to us. */
static void removed(struct server *s, struct peer *p) {
    leave_exchange(s, p);
    p->known = p->synced = false;
    forget_names(s, p);
    (void)!mote_node_disconnect(s->self, p->node);
}

static bool tells_too_much(struct server *s, struct peer *p) {
    if (now_ms(s) - p->lost_ms >= 1000) p->lost_ms = now_ms(s), p->lost = 0;
    return p->lost++ >= LOST_A_SECOND;
}

static void hear_of_loss(struct server *s, struct peer *p, mote_term a, mote_term life, int64_t number, mote_term b) {
    if (mote_term_type(a) != MOTE_ATOM || mote_term_type(b) != MOTE_ATOM || mote_term_type(life) != MOTE_INTEGER || !mt_term_fits(life, 64)) return;
    if (tells_too_much(s, p) || is_old(s, a, b, life, number)) return;
    tell_lost(s, a, life, number, b);
    part_from(s, mote_term_same(b, s->own) ? a : b);
}

static void node_down(struct server *s, mote_atom node, uint64_t id) {
    struct peer *p = find(s, mote_atom_term(node));
    if (!p || !p->up || p->connection_id != id) return;
    p->up = false;
    leave_exchange(s, p);
    if (p->known) mote_must(s->self, mote_send_after(s->self, LOST_MS, mote_self_pid(s->self), NULL, "{'$lost', ?}", node));
    forget_names(s, p);
    drop_peer(s, p);
}

static void still_lost(struct server *s, mote_term node) {
    const struct peer *p = find(s, node);
    mote_term life = mote_int_make(arena(s), s->life);
    if (life.word && !(p && p->up)) tell_lost(s, s->own, life, ++s->losses, node);
}

/* ------------------------------------------------------------------------------------- what other nodes say */

/* It begins, or begins again. Our tag stays: if it has not got it, it takes our acknowledgement for a fault, and calls it off. A new one would make it begin again in its turn. */
static void met(struct server *s, struct peer *p, uint64_t version, mote_term tag, mote_term locker) {
    mote_term m;
    if (p->known || mote_term_type(locker) != MOTE_PID || !mote_term_same(node_of(s, locker), p->name.term) || !mt_term_fits(tag, 64)) return;
    if (version < VERSION) { /* it gets along */
        leave_exchange(s, p);
        p->synced = true;
        say_in_sync(s, p);
        return;
    }
    if (p->phase >= MET && mote_term_same(p->his_tag.term, tag)) return;
    if (p->phase != CALLED && p->restarts++ >= RESTARTS_MAX) return;
    bool called = p->phase != APART;
    leave_exchange(s, p);
    if (!called) call(s, p);
    p->phase = MET;
    p->synced = false;
    keep(s, &p->his_tag, tag);
    keep(s, &p->his_locker, locker);
    p->due_ms = now_ms(s) + (mote_term_compare(s->own, p->name.term) > 0 ? 0 : BEGIN_MS + at_random(s, BEGIN_MS));
    if (p->again_ms) return; /* it has called our tag off: it would do so again */
    mote_err err = mote_build(arena(s), &m, "{init_connect_ack, ?, ?, ?}", s->own, tag, p->tag);
    (void)say(s, p, err, m);
}

static void lock_set(struct server *s, struct peer *p, bool set) {
    if (p->phase == MET && set) {
        if (s->turn.doing == NOTHING) begin_meeting(s, p, true);
        else say_lock_set(s, p, false); /* G2 */
    } else if (p->phase == LOCKING && set) {
        p->agreed = true;
    } else if (p->phase == LOCKED && set) {
        p->agreed = true;
        exchange(s, p);
    } else if (p->phase == LOCKED) {
        end_turn(s, MOTE_TERM_NONE, MOTE_TERM_NIL);
        meet_later(s, p);
    }
}

/* `takes_part`: it knows us; else it has no names. */
static void in_sync(struct server *s, struct peer *p, bool takes_part) {
    if (!p->known) {
        leave_exchange(s, p);
        p->strange_ms = takes_part ? now_ms(s) + KNOWN_MS : 0;
    }
    p->synced = true;
}

/* Of an exchange: these have our tag. */
static bool hear_exchange(struct server *s, struct peer *p, mote_term m) {
    mote_term names, nodes, both;
    bool set, meets = p->phase >= LOCKING;
    size_t length;
    if (mote_match(m, "{lock_set, _, ?, _, ^}", &set, p->tag)) {
        lock_set(s, p, set);
    } else if (mote_match(m, "{exchange, ^, ?, _, ^}", p->node, &names, p->tag)) {
        if (meets && !p->names.term.word) keep(s, &p->names, names), resolve(s, p);
    } else if (mote_match(m, "{resolved, ^, ?, ?, _, _, ^}", p->node, &names, &nodes, p->tag)) {
        if (!meets || p->resolved.term.word || mote_list_length(names, &length) || mote_list_length(nodes, &length)) return true;
        mote_must(s->self, mote_build(arena(s), &both, "{?, ?}", names, nodes));
        keep(s, &p->resolved, both);
        if (p->ops.term.word && !s->turn.ticket) finish(s, p);
    } else {
        return false;
    }
    return true;
}

static void hear_cast(struct server *s, struct peer *p, mote_term m) {
    mote_term tag, locker, ops, nodes;
    uint64_t version;
    bool takes_part;
    if (mote_match(m, "{init_connect, {?, ?}, ^, {locker, _, _, ?}}", &version, &tag, p->node, &locker)) met(s, p, version, tag, locker);
    else if (mote_match(m, "{in_sync, ^, ?}", p->node, &takes_part)) in_sync(s, p, takes_part);
    else if (mote_match(m, "{new_nodes, ^, ?, _, ?, _}", p->node, &ops, &nodes) && p->known) add_all_known(s, nodes), apply(s, ops); /* G3 */
    else (void)hear_exchange(s, p, m);
}

/* A lock, {Resource, Requester}, of a process anywhere. */
static bool set_lock(struct server *s, mote_term lock, mote_term caller) {
    const mote_term known = known_as(s, lock, MT_LOCK_MAX);
    return known.word && mt_locks_set(&s->locks, known, caller);
}
static void del_lock(struct server *s, mote_term lock, mote_term caller) {
    const mote_term known = known_as(s, lock, MT_LOCK_MAX);
    if (known.word) mt_locks_drop(&s->locks, known, caller);
}

/* The answer to what another node's server, or a process of its, calls; NONE: none is known. */
static mote_term serve_far(struct server *s, struct peer *p, mote_term caller, mote_term m) {
    mote_term what, pid, method;
    bool own = mote_term_type(caller) == MOTE_PID && mote_term_same(node_of(s, caller), p->name.term); /* G1 */
    struct mt_name *n;
    if (mote_match(m, "{set_lock, ?}", &what)) return mote_to_name(own && set_lock(s, what, caller) ? "true" : "false");
    if (mote_match(m, "{del_lock, ?}", &what)) return del_lock(s, what, caller), mote_to_name("true");
    if (mote_match(m, "{register, ?, ?, ?}", &what, &pid, &method)) return mote_to_name(p->known && may_have(s, pid) && mt_names_put(&s->names, what, pid, method) == MOTE_OK ? "yes" : "no");
    if (mote_match(m, "{unregister, ?}", &what)) {
        if (p->known && (n = mt_names_find(&s->names, what))) mt_names_remove(&s->names, n);
        return mote_to_name("ok");
    }
    if (mote_match(m, "{register_ext, _, _, _, _}")) return mote_to_name("yes");
    if (mote_match(m, "get_known")) return known_nodes(s, false);
    if (mote_match(m, "get_protocol_version")) return mote_int_make(NULL, VERSION);
    return MOTE_TERM_NIL;
}

static void hear(struct server *s, mote_term node, mote_term m) {
    struct peer *p = find(s, node);
    mote_term from, caller, a, b, life;
    int64_t number;
    if (!p || !is_up(s, p)) return; /* it has gone, and is not to be dialled for what it had asked */
    if (mote_match(m, "{'$gen_cast', ?}", &a)) hear_cast(s, p, a);
    else if (mote_match(m, "{'$gen_call', ?, ?}", &from, &a) && mote_match(from, "{?, _}", &caller)) reply_there(s, from, serve_far(s, p, caller, a));
    else if (mote_match(m, "{lost_connection, ?, ?, ?, ?}", &a, &life, &number, &b) && (p->known || p->parted)) hear_of_loss(s, p, a, life, number, b);
    else if (mote_match(m, "{remove_connection, ^}", p->node)) removed(s, p);
    else if (mote_match(m, "{cancel_connect, ^, ^}", p->node, p->tag) && !p->known) call_off(s, p);
    else if (mote_match(m, "{init_connect_ack, ^, ^, ^}", p->node, p->tag, p->his_tag.term) && p->phase >= MET) p->again_ms = 0;
}

/* ------------------------------------------------------------------------------------- what is asked here */

static mote_err wait_synced(struct server *s, mote_term from) {
    struct waiter *w = s->waiting < WAITERS_MAX ? mote_alloc(s->self, sizeof *w) : NULL;
    if (!w || mt_store(&w->from, from)) {
        mote_dealloc(s->self, w);
        return w ? MOTE_ENOMEM : MOTE_ELIMIT;
    }
    w->next = s->waiters;
    s->waiters = w;
    s->waiting++;
    return MOTE_OK;
}

/* Those who wait until names are exchanged with all. */
static void release(struct server *s) {
    struct waiter *w;
    for (const struct peer *p = s->peers; p; p = p->next)
        if (!p->synced || !p->up) return;
    while ((w = s->waiters)) {
        s->waiters = w->next;
        s->waiting--;
        answer(s, w->from.term, MOTE_OK, MOTE_TERM_NIL);
        mt_stored_drop(&w->from);
        mote_dealloc(s->self, w);
    }
}

static mote_term all_names(struct server *s) {
    mote_term list = MOTE_TERM_NIL;
    for (struct mt_name *n = s->names.first; n && list.word; n = n->after) list = mote_cons_make(arena(s), n->key.term, list);
    return list;
}

/* MOTE_ESTOPPED: it is answered later. */
static mote_err serve(struct server *s, mote_term from, mote_term m, mote_term *term) {
    mote_term key = MOTE_TERM_NIL, method, his, ours;
    int conflict;
    mote_pid pid;
    bool replace;
    mote_err err;
    *term = MOTE_TERM_NIL;
    if (mote_match(m, "{resolve, ?, ?, ?, ?}", &method, &key, &his, &ours)) return *term = decide_for(s, method, key, his, ours), MOTE_OK;
    if (mote_match(m, "{_, ?}", &key) || mote_match(m, "{register, ?, _, _, _}", &key)) key = known_as(s, key, MT_NAME_MAX);
    if (!key.word) return MOTE_ELIMIT;
    if (mote_match(m, "{whereis, _}")) {
        const struct mt_name *n = mt_names_living(&s->names, key);
        if (n) *term = n->pid.term;
        return n ? MOTE_OK : MOTE_NOMATCH;
    }
    if (mote_match(m, "nodes")) return (*term = mote_cons_make(arena(s), s->own, known_nodes(s, false))).word ? MOTE_OK : MOTE_ENOMEM;
    if (mote_match(m, "names")) return (*term = all_names(s)).word ? MOTE_OK : MOTE_ENOMEM;
    if (mote_match(m, "sync")) return (err = wait_synced(s, from)) ? err : MOTE_ESTOPPED;
    if (mote_match(m, "{unregister, _}")) return (err = add_job(s, UNREGISTER, from, key, MOTE_TERM_NIL, MOTE_TERM_NIL)) ? err : MOTE_ESTOPPED;
    if (!mote_match(m, "{register, _, ?, ?, ?}", &pid, &conflict, &replace)) return MOTE_EARG;
    if ((err = method_of(arena(s), conflict, &method))) return err;
    if (!replace && mt_names_living(&s->names, key)) return MOTE_EBUSY;
    return (err = add_job(s, replace ? REPLACE : REGISTER, from, key, mote_pid_term(pid), method)) ? err : MOTE_ESTOPPED;
}

/* Our locker, and who asks here. */
static void called(struct server *s, mote_term from, mote_term m) {
    mote_term what, caller, term;
    if (!mote_match(from, "{?, _}", &caller)) return;
    if (mote_match(m, "{set_lock, ?}", &what)) {
        (void)mote_reply(s->self, from, "?", set_lock(s, what, caller));
    } else if (mote_match(m, "{del_lock, ?}", &what)) {
        del_lock(s, what, caller);
        (void)mote_reply(s->self, from, "true");
    } else {
        mote_err err = serve(s, from, m, &term);
        if (err != MOTE_ESTOPPED) answer(s, from, term.word ? err : MOTE_ENOMEM, term.word ? term : MOTE_TERM_NIL);
    }
}

/* An attempt to connect has ended: without a connection, or when that is hidden, a node that others know is none of ours. */
static void dialled(struct server *s, mote_ref ref) {
    struct peer *p = s->peers;
    while (p && (p->up || p->dial.word != ref.word)) p = p->next;
    if (!p) return;
    node_up(s, p->node, 0);
    if (p->up) return;
    forget_names(s, p);
    drop_peer(s, p);
}

static void handle(mote_self *self, mote_term m, void *state) {
    struct server *s = state;
    mote_term from, request, node;
    mote_atom name;
    mote_ref monitor;
    uint64_t ticket, id;
    bool done;
    (void)self;
    look_around(s);
    if (mote_match(m, "{'$global', ?, ?}", &node, &request)) hear(s, node, request);
    else if (mote_match(m, "{'$gen_call', ?, ?}", &from, &request)) called(s, from, request);
    else if (mote_match(m, "{'DOWN', ?, process, _, _}", &monitor)) (void)(mt_names_down(&s->names, monitor) || mt_locks_down(&s->locks, monitor));
    else if (mote_match(m, "{nodeup, ?, ?}", &name, &id)) node_up(s, name, id);
    else if (mote_match(m, "{nodedown, ?, ?}", &name, &id)) node_down(s, name, id);
    else if (mote_match(m, "{'$done', ?, ?, ?}", &ticket, &done, &request)) locker_done(s, ticket, done, request);
    else if (mote_match(m, "{mote_node, ?, _}", &monitor)) dialled(s, monitor);
    else if (mote_match(m, "{'$lost', ?}", &node)) still_lost(s, node);
    go_on(s);
    release(s);
}

static void begin(mote_self *self, mote_term arg, void *state) {
    struct server *s = state;
    const mote_spawn_options options = {.body = mt_locker, .name = "locker", .link = true, .reach = MOTE_REACH_PROTECTED}; /* who holds locks is monitored */
    mote_term both;
    (void)arg;
    s->self = self;
    s->token = mote_ref_make(self);
    s->jobs_end = &s->jobs;
    s->own = mote_atom_term(mote_node_name(self, NULL, NULL));
    mt_names_init(&s->names, self);
    mt_locks_init(&s->locks, self);
    s->life = (int64_t)(mt_index_hash(mote_ref_make(self).word ^ mt_index_hash(mote_term_hash(s->own) + now_ms(s))) >> 6);
    mote_must(self, mote_build(mote_scratch(self), &both, "{?, ?}", mote_self_pid(self), s->token));
    mote_must(self, mote_spawn_opt(self, &options, both, &s->locker));
    look_around(s);
}

static void stop(mote_self *self, mote_term reason, void *state) {
    struct server *s = state;
    (void)self, (void)reason;
    if (s->listens) s->listens = mote_connections_monitor(s->self, false) != MOTE_OK;
    mt_names_fini(&s->names);
    mt_locks_fini(&s->locks);
    for (struct peer *p = s->peers; p; p = p->next) forget_exchange(p), mt_stored_drop(&p->name);
    while (s->jobs) drop_job(s);
    for (struct waiter *w = s->waiters; w; w = w->next) mt_stored_drop(&w->from);
    for (size_t i = 0; i < LOST_MAX; i++) mt_stored_drop(&s->lost[i]);
    clear_turn(s);
}

static const mote_handler names_handler = {.name = "global names", .state_size = sizeof(struct server), .init = begin, .handle = handle, .stop = stop};

/* ---------------------------------------------------------------------------------------------------- callers */

static mote_err ask(mote_self *self, mote_term request, mote_term *term) {
    mote_term reply;
    mote_err err = mote_call_term(self, mote_to_name(SERVER), -1, request, &reply);
    return mt_answer(err == MOTE_ENAME ? MOTE_ENOPROC : err, reply, term);
}

/* global:resolve_it/4 of other nodes. */
static mote_term resolve_it(mote_self *self, size_t count, const mote_term *args, void *context) {
    mote_term request, winner;
    (void)count, (void)context;
    if (mote_build(mote_scratch(self), &request, "{resolve, ?, ?, ?, ?}", args[0], args[1], args[2], args[3]) || ask(self, request, &winner)) return mote_to_name("none");
    return mote_term_copy(mote_scratch(self), winner);
}

mote_err mote_global_start(mote_self *self, mote_pid *pid) {
    static const mote_function function = {.call = resolve_it};
    const mote_spawn_options options = {.handler = &names_handler, .reach = MOTE_REACH_NONE};
    mote_pid made;
    if (!self) return MOTE_ESELF;
    mote_err err = mote_export_function(self, mote_atom_make("global"), mote_atom_make("resolve_it"), 4, &function);
    if (err && err != MOTE_EBUSY) return err; /* it is exported as long as the runtime lives */
    if ((err = mote_spawn_opt(self, &options, MOTE_TERM_NIL, &made))) return err;
    if ((err = mote_register(self, SERVER, made))) (void)mote_exit_send(self, made, mote_to_name("kill"));
    else if (pid) *pid = made;
    return err;
}

static mote_err give(mote_self *self, mote_term name, mote_pid pid, mote_conflict conflict, bool replace) {
    mote_term request, term;
    if (!self) return MOTE_ESELF;
    mote_err err = mote_build(mote_scratch(self), &request, "{register, ?, ?, ?, ?}", name, pid, (int)conflict, replace);
    return err ? err : ask(self, request, &term);
}

mote_err (mote_global_register)(mote_self *self, mote_term name, mote_pid pid, mote_conflict conflict) { return give(self, name, pid, conflict, false); }
mote_err (mote_global_reregister)(mote_self *self, mote_term name, mote_pid pid, mote_conflict conflict) { return give(self, name, pid, conflict, true); }

static mote_err ask_about(mote_self *self, const char *what, mote_term name, mote_term *term) {
    mote_term request;
    if (!self) return MOTE_ESELF;
    mote_err err = mote_build(mote_scratch(self), &request, "{?, ?}", mote_to_name(what), name);
    return err ? err : ask(self, request, term);
}

mote_err (mote_global_unregister)(mote_self *self, mote_term name) {
    mote_term term;
    return ask_about(self, "unregister", name, &term);
}

mote_err (mote_global_whereis)(mote_self *self, mote_term name, mote_pid *pid) {
    mote_term term;
    if (!pid) return MOTE_EARG;
    mote_err err = ask_about(self, "whereis", name, &term);
    return err ? err : mote_pid_get(term, pid);
}

mote_err mote_global_names(mote_self *self, mote_term *names) { return names ? ask(self, mote_to_name("names"), names) : MOTE_EARG; }

mote_err (mote_global_send)(mote_self *self, mote_term name, mote_term message) {
    mote_pid pid;
    if (!self) return MOTE_ESELF;
    mote_arena *own = mt_own_arena(self);
    message = own ? mote_term_copy(own, message) : MOTE_TERM_NONE; /* it may lie in what the answer takes the place of */
    mote_err err = message.word ? (mote_global_whereis)(self, name, &pid) : MOTE_ENOMEM;
    if (!err) err = mote_send_term(self, pid, message);
    mt_own_arena_free(self, own);
    return err;
}

mote_err mote_global_sync(mote_self *self, int64_t timeout_ms) {
    mote_term reply, term;
    mote_err err = mote_call(self, SERVER, timeout_ms, &reply, "sync");
    return mt_answer(err == MOTE_ENAME ? MOTE_ENOPROC : err, reply, &term);
}
