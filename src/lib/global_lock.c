/* SPDX-License-Identifier: Apache-2.0
 * Locks of a process's own on the nodes of a cluster: see mote/global.h. It asks the servers of global names itself, since the lock is its own: they watch it. */
#include <mote/global.h>
#include <mote/node.h>
#include <stdlib.h>

#include "lib/ask.h"
#include "lib/locker.h"
#include "lib/names.h"

#define SERVER "mote_global" /* this node's */
#define TRIES_DOUBLED 7u     /* the pause between two attempts is up to 10 ms, doubled so often */

struct locking {
    mote_self *self;
    mote_arena *arena;
    mote_term own, lock; /* this node's name; {Resource, Requester} */
    mote_term *nodes;    /* of the process's memory: all that are to have it, by name, the greatest first */
    size_t count;
};

/* Who wants it, too, begins at the same node: one gets it everywhere, and the other nowhere. */
static int greater_first(const void *a, const void *b) { return mote_term_compare(*(const mote_term *)b, *(const mote_term *)a); }

static mote_err put(struct locking *l, mote_term nodes) {
    size_t length;
    mote_atom name;
    if (mote_list_length(nodes, &length)) return MOTE_EARG;
    if (!(l->nodes = mote_alloc(l->self, (length + 1) * sizeof *l->nodes))) return MOTE_ENOMEM;
    while (mote_list_get(nodes, &l->nodes[l->count], &nodes) == MOTE_OK)
        if (mote_atom_get(l->nodes[l->count++], &name)) return MOTE_EARG;
    qsort(l->nodes, l->count, sizeof *l->nodes, greater_first);
    return MOTE_OK;
}

/* Asks one node. MOTE_OK: it agrees, or is gone; MOTE_TIMEOUT: it does not, or is silent. */
static mote_err ask_one(const struct locking *l, const char *what, mote_term node) {
    mote_term request, to, reply;
    bool own = mote_term_same(node, l->own), yes = false;
    mote_err err = mote_build(l->arena, &request, "{?, ?}", mote_to_name(what), l->lock);
    if (!err) err = own ? mote_build(l->arena, &to, SERVER) : mote_build(l->arena, &to, "{global_name_server, ?}", node);
    if (!err) err = mote_call_term(l->self, to, MT_LOCKER_MS, request, &reply);
    if (err == MOTE_ENOPROC && !own) return MOTE_OK;
    if (err == MOTE_ENAME) return MOTE_ENOPROC;
    if (!err) yes = mote_match(reply, "true");
    return err || yes ? err : MOTE_TIMEOUT;
}

/* Nodes that are asked now agree, or none of those that have agreed keeps it. */
static mote_err ask_all(const struct locking *l) {
    mote_err err = MOTE_OK;
    size_t i = 0;
    while (i < l->count && !(err = ask_one(l, "set_lock", l->nodes[i]))) i++;
    for (size_t k = 0; err && k <= i; k++) (void)ask_one(l, "del_lock", l->nodes[k]); /* who was silent may have set it */
    return err;
}

static mote_err begin(struct locking *l, mote_self *self, mote_term resource, mote_term requester, mote_term nodes) {
    mote_term reply;
    *l = (struct locking){.self = self, .arena = mt_own_arena(self)};
    if (!l->arena) return MOTE_ENOMEM;
    l->own = mote_atom_term(mote_node_name(self, NULL, NULL));
    mote_err err = mote_build(l->arena, &l->lock, "{?, ?}", resource, requester.word ? requester : mote_pid_term(mote_self_pid(self)));
    if (err) return err;
    if (!mt_term_fits(l->lock, MT_LOCK_MAX)) return MOTE_ELIMIT;
    if (nodes.word != MOTE_TERM_NIL.word) return (nodes = mote_term_copy(l->arena, nodes)).word ? put(l, nodes) : MOTE_ENOMEM;
    err = mote_call(self, SERVER, -1, &reply, "nodes");
    err = mt_answer(err == MOTE_ENAME ? MOTE_ENOPROC : err, reply, &nodes);
    if (!err) err = (nodes = mote_term_copy(l->arena, nodes)).word ? put(l, nodes) : MOTE_ENOMEM;
    return err;
}

static mote_err end(struct locking *l, mote_err err) {
    mote_dealloc(l->self, l->nodes);
    mt_own_arena_free(l->self, l->arena);
    return err;
}

mote_err mote_global_set_lock(mote_self *self, mote_term resource, mote_term requester, mote_term nodes, int64_t timeout_ms) {
    struct locking l;
    if (!self) return MOTE_ESELF;
    const uint64_t start_ms = mt_now_ms(self);
    mote_err err = begin(&l, self, resource, requester, nodes);
    if (err) return end(&l, err);
    for (unsigned tries = 0; (err = ask_all(&l)) == MOTE_TIMEOUT; tries++) {
        const int64_t left_ms = mt_left_ms(self, start_ms, timeout_ms);
        const uint64_t most_ms = UINT64_C(10) << (tries < TRIES_DOUBLED ? tries : TRIES_DOUBLED);
        const int64_t pause_ms = 1 + (int64_t)(mt_index_hash(mote_ref_make(self).word) % most_ms);
        if (left_ms == 0) break;
        if ((err = mote_sleep(self, left_ms >= 0 && left_ms < pause_ms ? left_ms : pause_ms))) break;
    }
    return end(&l, err);
}

mote_err mote_global_del_lock(mote_self *self, mote_term resource, mote_term requester, mote_term nodes) {
    struct locking l;
    if (!self) return MOTE_ESELF;
    mote_err err = begin(&l, self, resource, requester, nodes);
    for (size_t i = 0; !err && i < l.count; i++) {
        err = ask_one(&l, "del_lock", l.nodes[i]);
        if (err == MOTE_TIMEOUT) err = MOTE_OK; /* it hears of it, or of our end */
    }
    return end(&l, err);
}
