/* SPDX-License-Identifier: Apache-2.0
 * The net process: listens, dials, keeps the node's name with the port mapper. And what tells of nodes. */
#include <stdio.h>
#include <string.h>

#include "dist/branch.h"

#define AGAIN_MS 500 /* at most, before the port mapper is asked for again: all its nodes do so at once */

struct net {
    mote_self *self;
    struct mt_dist *dist;
    mote_ref listens, registered; /* armed descriptors; word 0: not */
    int epmd;                     /* the registration; -1: there is none */
    int spare;                    /* a descriptor for turning those away for whom there is none; -1: it is lost for now */
};

/* --------------------------------------------------------------------------------------------- who listens */

/* Whether this one is told, and the message; once: it is taken out. */
static bool is_told(const struct mt_listener *l, uint64_t node, bool up, bool was_up) {
    if (mt_told_always(l->kind)) return up || was_up;
    return l->node == node && (l->kind == MT_TOLD_REF || !up);
}

void mt_tell_one(struct mt_sched *s, const struct mt_listener *l, uint64_t node, bool up) {
    if (mt_is_far(mt_runtime_of_sched(s), l->pid)) {
        mt_branch_tell(mt_runtime_of_sched(s), l, node, up);
        return;
    }
    mote_arena *arena = mote_arena_new(0);
    mote_term term = MOTE_TERM_NONE;
    struct mt_sig *sig;
    mote_err err = MOTE_ENOMEM;
    if (arena && l->kind == MT_TOLD_REF) err = mote_build(arena, &term, "{mote_node, ?, ?}", (mote_ref){l->ref}, up);
    else if (arena && l->kind == MT_TOLD_NUMBERED) err = mote_build(arena, &term, "{?, ?, ?}", mote_atom_make(up ? "nodeup" : "nodedown"), (mote_atom){node}, l->ref);
    else if (arena && up) err = mote_build(arena, &term, "{nodeup, ?}", (mote_atom){node});
    else if (arena) err = mote_build(arena, &term, "{nodedown, ?}", (mote_atom){node});
    if (!err && !mt_sig_of_term(&s->cache, term, 0, NULL, &sig)) mt_deliver(s, l->pid, sig);
    mote_arena_free(arena);
}

/* Takes those out that have ended: with a worker (its number and incarnation), or (0) by themselves. */
static struct mt_listener *take_out_locked(struct mt_dist *dist, unsigned worker) {
    struct mt_listener *over = NULL;
    for (struct mt_listener **at = &dist->listeners, *l; (l = *at);) {
        if (worker ? mt_pid_worker(l->pid) != worker : !mt_has_ended(dist->runtime, l->pid)) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        l->next = over;
        over = l;
        dist->listening--;
    }
    return over;
}

struct mt_listener *mt_listeners_over_locked(struct mt_dist *dist) { return take_out_locked(dist, 0); }

void mt_unlisten_worker(struct mt_dist *dist, unsigned worker) {
    mt_lock_take(&dist->mu);
    struct mt_listener *gone = take_out_locked(dist, worker);
    mt_lock_drop(&dist->mu);
    mt_listeners_free(gone);
}

void mt_listeners_free(struct mt_listener *list) {
    for (struct mt_listener *l = list, *next; l; l = next) {
        next = l->next;
        if (!mt_told_always(l->kind)) mt_atom_drop(l->node);
        mt_os_free(l);
    }
}

struct mt_listener *mt_told_locked(struct mt_dist *dist, const struct mt_link *link, bool up, bool was_up) {
    struct mt_listener *told = NULL;
    for (struct mt_listener **at = &dist->listeners, *l; (l = *at);) {
        if (!is_told(l, link->node, up, was_up)) {
            at = &l->next;
            continue;
        }
        bool stays = mt_told_always(l->kind);
        struct mt_listener *copy = stays ? mt_os_alloc(sizeof *copy) : l;
        if (stays) at = &l->next;
        else *at = l->next, dist->listening--;
        if (!copy) continue;
        if (stays) *copy = *l;
        if (l->kind == MT_TOLD_NUMBERED) copy->ref = mt_connection_id(link);
        copy->next = told;
        told = copy;
    }
    return told;
}

void mt_tell(struct mt_sched *s, struct mt_listener *told, uint64_t node, bool up) {
    for (struct mt_listener *l = told, *next; l; l = next) {
        next = l->next;
        mt_tell_one(s, l, node, up);
        if (!mt_told_always(l->kind)) mt_atom_drop(l->node);
        mt_os_free(l);
    }
}

/* ------------------------------------------------------------------------------------------------ connections */

static void spawn_conn(struct net *n, mote_term arg) {
    const mote_spawn_options options = {.body = mt_conn_process, .name = "connection", .stack_size = 131072, .reach = MOTE_REACH_NONE};
    mote_pid pid = {0};
    mote_atom node;
    uint64_t knock;
    int fd;
    mote_err err = mote_spawn_opt(n->self, &options, arg, &pid);
    if (!err) return;
    if (err != MOTE_ESTOPPED) mt_log(n->dist->runtime, MOTE_LOG_ERROR, "a connection is given up: %s", mote_err_text(err)); /* else all of it ends */
    struct mt_link *link = mote_match(arg, "{dial, ?, _}", &node) ? mt_claim_dial(n->self, n->dist, node.word) : NULL;
    if (link) mt_link_end(n->self, link);
    else if (mote_match(arg, "{accept, ?, ?, _}", &fd, &knock)) mt_shaken(n->dist, (struct mt_knock *)(uintptr_t)knock, fd);
}

/* One more handshake, for which another may have to give way. NULL: it may not be, or there is no memory. */
static struct mt_knock *may_shake(struct net *n, const char *from) {
    struct mt_knock *knock = mt_os_alloc_zero(sizeof *knock), *out = NULL;
    if (!knock) return NULL;
    memcpy(knock->from, from, sizeof knock->from);
    mt_lock_take(&n->dist->mu);
    bool may = mt_guard_enter(&n->dist->guard, knock, &out);
    uint64_t process = out ? out->process : 0;
    mt_lock_drop(&n->dist->mu);
    if (process) (void)mote_send(n->self, (mote_pid){process}, "close");
    if (may) return knock;
    mt_os_free(knock);
    return NULL;
}

void mt_shaken(struct mt_dist *dist, struct mt_knock *knock, int fd) {
    mt_lock_take(&dist->mu);
    mt_guard_leave(&dist->guard, knock);
    mt_lock_drop(&dist->mu);
    mt_os_free(knock);
    if (fd >= 0) mt_os_close(fd);
}

static void welcome(struct net *n, int fd, const char *from) {
    mote_arena *arena = mote_arena_new(0);
    mote_term arg = MOTE_TERM_NONE;
    struct mt_knock *knock = arena ? may_shake(n, from) : NULL;
    if (!knock) mt_os_close(fd); /* whoever is honest dials again */
    else if (mote_build(arena, &arg, "{accept, ?, ?, ?}", fd, (uint64_t)(uintptr_t)knock, (uint64_t)(uintptr_t)n->dist)) mt_shaken(n->dist, knock, fd);
    else spawn_conn(n, arg);
    mote_arena_free(arena);
}

/* Takes the next, or turns it away. */
static mote_err accept_one(struct net *n) {
    char from[MT_NET_ADDRESS];
    bool local;
    int fd;
    mote_err err = mt_net_accept(n->dist->listener, &fd, from, &local);
    if (!err) welcome(n, fd, from);
    if (err != MOTE_ELIMIT || (err = mt_net_turn_away(n->dist->listener, &n->spare, from))) return err;
    (void)mt_tell_refusal(n->dist, from, MT_NO_DESCRIPTOR, mt_verdict_text(MT_NO_DESCRIPTOR));
    return MOTE_OK;
}

static void accept_all(struct net *n) {
    mote_err err;
    if (n->spare < 0) (void)!mt_os_dup(n->dist->listener, &n->spare);
    while (!(err = accept_one(n))) continue;
    if (err == MOTE_ELIMIT) mote_must(n->self, mote_sleep(n->self, 50)); /* not even that one: others may end */
    if (mote_fd_arm(n->self, n->dist->listener, MOTE_READ, &n->listens)) n->listens.word = 0;
}

/* -------------------------------------------------------------------------------------------- the port mapper */

static void watch_epmd(struct net *n) {
    n->registered.word = 0;
    if (n->epmd >= 0 && mote_fd_arm(n->self, n->epmd, MOTE_READ, &n->registered)) n->registered.word = 0;
}

/* It has ended: the name is registered with the next. */
static void register_again(struct net *n) {
    uint32_t creation;
    char why[200];
    mt_os_close(n->epmd);
    n->epmd = -1;
    for (;;) {
        mote_must(n->self, mote_sleep(n->self, (int64_t)(mt_os_random() % AGAIN_MS)));
        mote_err err = mt_epmd_register(n->self, n->dist, &n->epmd, &creation, why, sizeof why);
        if (!err) break;
        mt_log(n->dist->runtime, MOTE_LOG_WARNING, "the port mapper does not know this node any more: %s", why);
        mote_must(n->self, mote_sleep(n->self, 2000));
    }
    watch_epmd(n);
}

/* ------------------------------------------------------------------------------------------------ the process */

static void obey(struct net *n, mote_term message) {
    mote_ref ref;
    uint64_t dist;
    if (mote_match(message, "{dial, _, ?}", &dist)) {
        if (dist == (uint64_t)(uintptr_t)n->dist) spawn_conn(n, message); /* Q8 */
    } else if (mote_match(message, "{mote_fd, ?, _}", &ref)) {
        if (ref.word == n->listens.word) accept_all(n);
        else if (ref.word == n->registered.word) register_again(n);
    }
}

static void clean_up(void *context) {
    struct net *n = context;
    if (n->epmd >= 0) mt_os_close(n->epmd);
    if (n->spare >= 0) mt_os_close(n->spare);
    mt_os_free(n);
}

void mt_net_process(mote_self *self, mote_term arg) {
    uint64_t dist;
    mote_term message;
    struct net *n = mt_os_alloc_zero(sizeof *n); /* not on this stack: it goes first */
    mote_must(self, n ? mote_cleanup_add(self, clean_up, n) : MOTE_ENOMEM);
    n->self = self;
    n->spare = -1;
    if (!mote_match(arg, "{?, ?}", &dist, &n->epmd)) MT_ASSERT(false);
    n->dist = (struct mt_dist *)(uintptr_t)dist;
    accept_all(n);
    watch_epmd(n);
    for (;;) {
        mote_must(self, mote_receive(self, -1, &message));
        obey(n, message);
    }
}
