/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/locker.h"

#include <mote/node.h>

#include "lib/store.h"

struct locker {
    mote_self *self;
    mote_term server, own; /* its pid, this node's name */
    mote_arena *arena;     /* of one order */
};

static mote_term server_of(const struct locker *l, mote_term node) {
    mote_term to;
    if (mote_term_same(node, l->own)) return l->server;
    return mote_build(l->arena, &to, "{global_name_server, ?}", node) ? MOTE_TERM_NONE : to;
}

/* What is awaited from a node. */
struct asked {
    mote_term node;
    mote_ref ref; /* 0: nothing any more */
    uint64_t connection_id; /* 0: this node's own */
};

struct waits {
    mote_self *self;
    struct asked *asked;
    size_t count, left;
    bool all; /* agree */
};

/* 0: there is none. */
static uint64_t connection_id_of(mote_self *self, mote_term node) {
    mote_peer_info info;
    mote_atom name;
    return mote_atom_get(node, &name) || mote_peer_info_get(self, name, &info) ? 0 : info.connection_id;
}

/* An answer, or the end of the connection by which it was asked for. */
static bool concerns(mote_term m, void *context) {
    struct waits *w = context;
    mote_term node, reply;
    mote_ref ref = {0};
    uint64_t id = 0;
    bool down = mote_match(m, "{nodedown, ?, ?}", &node, &id);
    if (!down && !mote_match(m, "{?, ?}", &ref, &reply)) return false;
    size_t left = w->left;
    for (size_t i = 0; i < w->count; i++) {
        struct asked *a = &w->asked[i];
        if (!a->ref.word || (down ? !mote_term_same(a->node, node) || a->connection_id > id : a->ref.word != ref.word)) continue;
        a->ref.word = 0;
        w->left--;
        if (!down && mote_match(reply, "false")) w->all = false;
    }
    return down || w->left < left;
}

/* Whether all agree to a request: nobody says false, or nothing. It connects nobody: who is gone is to stay so. */
static bool ask_all(const struct locker *l, mote_term request, mote_term nodes) {
    const uint64_t start = mt_now_ms(l->self);
    size_t count = 0;
    mote_term node, message;
    if (mote_list_length(nodes, &count) || !count) return true;
    struct waits w = {.self = l->self, .asked = mote_alloc(l->self, count * sizeof *w.asked), .all = true};
    if (!w.asked) return false;
    while (mote_list_get(nodes, &node, &nodes) == MOTE_OK) {
        const mote_ref ref = mote_ref_make(l->self);
        const uint64_t id = connection_id_of(l->self, node);
        const mote_term to = server_of(l, node);
        mote_err err = to.word ? mote_build(l->arena, &message, "{'$gen_call', {?, ?}, ?}", mote_self_pid(l->self), ref, request) : MOTE_ENOMEM;
        if (!err) err = mote_send_opt(l->self, to, message, MOTE_SEND_NOCONNECT);
        if (!err) w.asked[w.count++] = (struct asked){node, ref, id};
        else if (err != MOTE_ENOPROC) w.all = false;
    }
    w.left = w.count;
    while (w.left && mote_receive_if(l->self, mt_left_ms(l->self, start, MT_LOCKER_MS), concerns, &w, &message) == MOTE_OK)
        ;
    mote_dealloc(l->self, w.asked);
    return w.all && !w.left;
}

/* A lock that could not be had everywhere is had nowhere. */
static void undo(const struct locker *l, mote_term steps, mote_term last) {
    mote_term step, lock, nodes, request;
    while (mote_list_get(steps, &step, &steps) == MOTE_OK) {
        if (mote_match(step, "{set, ?, ?}", &lock, &nodes) && !mote_build(l->arena, &request, "{del_lock, ?}", lock)) (void)ask_all(l, request, nodes);
        if (step.word == last.word) return;
    }
}

static void tell_all(const struct locker *l, mote_term message, mote_term nodes) {
    mote_term node, to;
    while (mote_list_get(nodes, &node, &nodes) == MOTE_OK)
        if ((to = server_of(l, node)).word) (void)mote_send_opt(l->self, to, message, MOTE_SEND_NOCONNECT);
}

/* What another node says; none: it does not, or something else. */
static mote_term resolve(const struct locker *l, mote_atom node, mote_term method, mote_term name, mote_term his, mote_term ours) {
    mote_term args, said, winner = mote_to_name("none"), out;
    if (mote_build(l->arena, &args, "[?, ?, ?, ?]", method, name, his, ours)) return MOTE_TERM_NONE;
    mote_err err = mote_rpc_call(l->self, node, mote_atom_make("global"), mote_atom_make("resolve_it"), args, MT_LOCKER_MS, &said);
    if (!err && mote_term_same(said, his)) winner = his;
    if (!err && mote_term_same(said, ours)) winner = ours;
    return mote_build(l->arena, &out, "{?, ?}", name, winner) ? MOTE_TERM_NONE : out;
}

static bool step_over(const struct locker *l, mote_term steps, mote_term step, mote_term *results) {
    mote_term what, nodes, request, name, his, ours;
    mote_atom node;
    if (mote_match(step, "{set, ?, ?}", &what, &nodes)) {
        if (!mote_build(l->arena, &request, "{set_lock, ?}", what) && ask_all(l, request, nodes)) return true;
        undo(l, steps, step);
        return false;
    }
    if (mote_match(step, "{del, ?, ?}", &what, &nodes) && !mote_build(l->arena, &request, "{del_lock, ?}", what)) (void)ask_all(l, request, nodes);
    else if (mote_match(step, "{call, ?, ?}", &what, &nodes)) (void)ask_all(l, what, nodes);
    else if (mote_match(step, "{tell, ?, ?}", &what, &nodes)) tell_all(l, what, nodes);
    else if (mote_match(step, "{resolve, ?, ?, ?, ?, ?}", &node, &what, &name, &his, &ours)) *results = mote_cons_make(l->arena, resolve(l, node, what, name, his, ours), *results);
    return true;
}

static void obey(struct locker *l, uint64_t ticket, mote_term steps) {
    mote_term rest, step, results = MOTE_TERM_NIL;
    bool done = true;
    for (rest = steps; done && mote_list_get(rest, &step, &rest) == MOTE_OK;) done = step_over(l, steps, step, &results);
    mote_must(l->self, mote_send(l->self, l->server, "{'$done', ?, ?, ?}", ticket, done, results)); /* of a result that was not to be had, too: the server ends with this */
}

void mt_locker(mote_self *self, mote_term arg) {
    struct locker l = {.self = self, .arena = mt_own_arena(self)};
    mote_term m, steps;
    mote_ref token;
    uint64_t ticket;
    bool listens = false;
    mote_must(self, l.arena ? MOTE_OK : MOTE_ENOMEM);
    if (!mote_match(arg, "{?, ?}", &l.server, &token)) return;
    for (; mote_receive(self, -1, &m) == MOTE_OK; mote_arena_reset(l.arena)) {
        if (!mote_match(m, "{^, ?, ?}", token, &ticket, &steps)) continue; /* a late answer, or a stranger's */
        if (!listens) listens = mote_connections_monitor(self, true) == MOTE_OK; /* once this is a node */
        l.own = mote_atom_term(mote_node_name(self, NULL, NULL));
        steps = mote_term_copy(l.arena, steps); /* the answers come in the message's place */
        mote_must(self, steps.word ? MOTE_OK : MOTE_ENOMEM);
        obey(&l, ticket, steps);
    }
}
