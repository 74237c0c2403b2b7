/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/peers.h"

#include <mote/external.h>

/* A process in a group. */
struct mt_pair {
    struct mt_index_node node;
    struct mt_away *group;
    struct mt_peer *peer;
    struct mt_pair *before, *after;         /* of the group */
    struct mt_pair *own_before, *own_after; /* of the peer */
    uint32_t words[2];                      /* the pid's */
    uint32_t times, kept;                   /* joined; while a sync is taken: of these, how often it has been named */
    size_t bytes;                           /* of the group's name */
};

void mt_peers_init(struct mt_peers *peers, mote_self *self, void (*told)(void *context, const char *what, mote_term group, mote_term pids), void *context) {
    *peers = (struct mt_peers){.self = self, .told = told, .context = context};
    mt_index_init(&peers->peers, self);
    mt_index_init(&peers->groups, self);
    mt_index_init(&peers->pairs, self);
}

void mt_peers_fini(struct mt_peers *peers) {
    for (struct mt_peer *p = peers->first; p; p = p->after) mt_stored_drop(&p->pid);
    for (struct mt_away *g = peers->first_group; g; g = g->after) mt_stored_drop(&g->key);
    peers->first = NULL;
    peers->first_group = NULL;
}

static mote_arena *arena(const struct mt_peers *peers) { return mote_scratch(peers->self); }

/* ---------------------------------------------------------------------------------------------------- groups */

struct mt_away *mt_peers_group(const struct mt_peers *peers, mote_term name) {
    struct mt_index_node *node = mt_index_first(&peers->groups, mote_term_hash(name));
    while (node && !mote_term_same(((struct mt_away *)(void *)node)->key.term, name)) node = mt_index_next(node);
    return (struct mt_away *)(void *)node;
}

static void drop_group(struct mt_peers *peers, struct mt_away *group) {
    mt_index_remove(&peers->groups, &group->node);
    *(group->before ? &group->before->after : &peers->first_group) = group->after;
    if (group->after) group->after->before = group->before;
    mt_stored_drop(&group->key);
    mote_dealloc(peers->self, group);
}

static struct mt_away *need_group(struct mt_peers *peers, mote_term name) {
    struct mt_away *group = mt_peers_group(peers, name);
    if (group || !(group = mote_alloc(peers->self, sizeof *group))) return group;
    *group = (struct mt_away){.after = peers->first_group};
    if (mt_store(&group->key, name)) {
        mote_dealloc(peers->self, group);
        return NULL;
    }
    mt_index_put(&peers->groups, &group->node, mote_term_hash(name));
    if (group->after) group->after->before = group;
    return peers->first_group = group;
}

/* Bytes of a group's name; 0: it is too long, or has no form. */
static size_t name_bytes(mote_term name) {
    uint8_t bytes[MT_PEER_NAME_MAX];
    mote_writer w;
    mote_writer_init(&w, MOTE_FORM_ERLANG, bytes, sizeof bytes, sizeof bytes);
    size_t size = mote_term_encode(name, NULL, &w) == MOTE_OK ? mote_writer_bytes(&w).size : 0;
    mote_writer_fini(&w);
    return size;
}

/* ----------------------------------------------------------------------------------------------------- pairs */

static mote_term pid_of(const struct mt_peers *peers, const struct mt_pair *pair) {
    const struct mt_peer *p = pair->peer;
    const mote_far far = {.node = p->home, .creation = p->creation, .count = 2, .words = {pair->words[0], pair->words[1]}};
    mote_far_box box;
    return mote_term_copy(arena(peers), mote_pid_term(mote_far_pid_make(&box, &far)));
}

mote_term mt_peers_members(const struct mt_peers *peers, const struct mt_away *group, mote_term tail) {
    for (const struct mt_pair *pair = group ? group->first : NULL; pair && tail.word; pair = pair->after) {
        mote_term pid = pid_of(peers, pair);
        for (uint32_t i = 0; i < pair->times; i++) tail = pid.word ? mote_cons_make(arena(peers), pid, tail) : MOTE_TERM_NONE;
    }
    return tail;
}

static uint64_t pair_hash(const struct mt_away *group, const uint32_t words[2]) {
    return mt_index_hash((uint64_t)(uintptr_t)group ^ mt_index_hash((uint64_t)words[0] << 32 | words[1]));
}

static struct mt_pair *find_pair(const struct mt_peers *peers, const struct mt_peer *peer, const struct mt_away *group, const mote_far *far) {
    struct mt_index_node *node = group ? mt_index_first(&peers->pairs, pair_hash(group, far->words)) : NULL;
    for (; node; node = mt_index_next(node)) {
        struct mt_pair *pair = (struct mt_pair *)(void *)node;
        if (pair->group == group && pair->peer == peer && pair->words[0] == far->words[0] && pair->words[1] == far->words[1]) return pair;
    }
    return NULL;
}

static void drop_pair(struct mt_peers *peers, struct mt_pair *pair) {
    struct mt_away *group = pair->group;
    struct mt_peer *peer = pair->peer;
    mt_index_remove(&peers->pairs, &pair->node);
    *(pair->before ? &pair->before->after : &group->first) = pair->after;
    if (pair->after) pair->after->before = pair->before;
    *(pair->own_before ? &pair->own_before->own_after : &peer->first) = pair->own_after;
    if (pair->own_after) pair->own_after->own_before = pair->own_before;
    peer->joins -= pair->times;
    peer->bytes -= pair->bytes;
    mote_dealloc(peers->self, pair);
    if (!group->first) drop_group(peers, group); /* E4 */
}

static struct mt_pair *new_pair(struct mt_peers *peers, struct mt_peer *peer, mote_term name, const mote_far *far) {
    size_t bytes = name_bytes(name);
    if (!bytes || peer->bytes + bytes > MT_PEER_BYTES_MAX) return NULL; /* E3 */
    struct mt_pair *pair = mote_alloc(peers->self, sizeof *pair);
    struct mt_away *group = pair ? need_group(peers, name) : NULL;
    if (!group) {
        mote_dealloc(peers->self, pair);
        return NULL;
    }
    *pair = (struct mt_pair){.group = group, .peer = peer, .after = group->first, .own_after = peer->first, .words = {far->words[0], far->words[1]}, .bytes = bytes};
    if (group->first) group->first->before = pair;
    if (peer->first) peer->first->own_before = pair;
    group->first = peer->first = pair;
    peer->bytes += bytes;
    mt_index_put(&peers->pairs, &pair->node, pair_hash(group, pair->words));
    return pair;
}

/* Whether it may be a member of the peer's (E2). */
static bool is_of(const struct mt_peer *peer, mote_term pid, mote_far *far) {
    return mote_term_type(pid) == MOTE_PID && mote_far_get(pid, far) && far->node.word == peer->home.word && far->creation == peer->creation;
}

/* The next of one term, or of a list of them; false: there is none (any more). What is neither ends it. */
static bool next(mote_term *rest, mote_term *one) {
    if (mote_term_type(*rest) == MOTE_LIST) return mote_list_get(*rest, one, rest) == MOTE_OK;
    *one = *rest;
    *rest = MOTE_TERM_NIL;
    return mote_term_type(*one) == MOTE_PID;
}

static void tell(struct mt_peers *peers, const char *what, mote_term group, mote_term pids) {
    if (mote_term_type(pids) == MOTE_LIST) peers->told(peers->context, what, group, pids);
}

/* One has joined once more; it is put in front of those who have. */
static struct mt_pair *join_one(struct mt_peers *peers, struct mt_peer *peer, mote_term name, mote_term pid, mote_term *joined) {
    mote_far far;
    if (!is_of(peer, pid, &far) || peer->joins == MT_PEER_JOINS_MAX) return NULL;
    struct mt_pair *pair = find_pair(peers, peer, mt_peers_group(peers, name), &far);
    if (!pair && !(pair = new_pair(peers, peer, name, &far))) return NULL;
    pair->times++;
    peer->joins++;
    *joined = mote_cons_make(arena(peers), pid, *joined);
    return pair;
}

void mt_peers_join(struct mt_peers *peers, struct mt_peer *peer, mote_term group, mote_term pids) {
    mote_term joined = MOTE_TERM_NIL, pid;
    while (next(&pids, &pid)) (void)join_one(peers, peer, group, pid, &joined);
    tell(peers, "join", group, joined);
}

static void leave_group(struct mt_peers *peers, struct mt_peer *peer, mote_term name, mote_term pids) {
    mote_term left = MOTE_TERM_NIL, pid;
    mote_far far;
    while (next(&pids, &pid)) {
        struct mt_pair *pair = is_of(peer, pid, &far) ? find_pair(peers, peer, mt_peers_group(peers, name), &far) : NULL;
        if (!pair) continue;
        pair->times--;
        peer->joins--;
        if (!pair->times) drop_pair(peers, pair);
        left = mote_cons_make(arena(peers), pid, left);
    }
    tell(peers, "leave", name, left);
}

void mt_peers_leave(struct mt_peers *peers, struct mt_peer *peer, mote_term pids, mote_term groups) {
    mote_term group;
    while (mote_list_get(groups, &group, &groups) == MOTE_OK) leave_group(peers, peer, group, pids);
}

/* One that a sync names: it has been there as often, or has joined. */
static void keep(struct mt_peers *peers, struct mt_peer *peer, mote_term name, mote_term pid, mote_term *joined) {
    mote_far far;
    struct mt_pair *pair = is_of(peer, pid, &far) ? find_pair(peers, peer, mt_peers_group(peers, name), &far) : NULL;
    if (!pair || pair->kept == pair->times) pair = join_one(peers, peer, name, pid, joined);
    if (pair) pair->kept++;
}

/* Has left as often as the sync did not name it. */
static void sift(struct mt_peers *peers, struct mt_pair *pair) {
    struct mt_peer *peer = pair->peer;
    const mote_term pid = pair->kept < pair->times ? pid_of(peers, pair) : MOTE_TERM_NIL;
    mote_term left = MOTE_TERM_NIL, group = MOTE_TERM_NIL;
    if (pair->kept < pair->times) group = mote_term_copy(arena(peers), pair->group->key.term);
    for (; pair->times > pair->kept; pair->times--, peer->joins--) left = mote_cons_make(arena(peers), pid, left);
    pair->kept = 0;
    if (!pair->times) drop_pair(peers, pair);
    tell(peers, "leave", group, left);
}

void mt_peers_sync(struct mt_peers *peers, struct mt_peer *peer, mote_term groups) {
    mote_term one, group, pids, pid;
    if (mote_term_type(groups) != MOTE_LIST && mote_term_type(groups) != MOTE_NIL) return;
    struct mt_pair *pair = peer->first, *after;
    while (mote_list_get(groups, &one, &groups) == MOTE_OK) {
        mote_term joined = MOTE_TERM_NIL;
        if (!mote_match(one, "{?, ?}", &group, &pids)) continue;
        while (next(&pids, &pid)) keep(peers, peer, group, pid, &joined);
        tell(peers, "join", group, joined);
    }
    for (struct mt_pair *made = peer->first; made != pair; made = made->own_after) made->kept = 0; /* new ones stand in front, and have all been named */
    for (; pair; pair = after) {
        after = pair->own_after;
        sift(peers, pair);
    }
}

/* ----------------------------------------------------------------------------------------------------- peers */

struct mt_peer *mt_peers_find(const struct mt_peers *peers, mote_term pid) {
    struct mt_index_node *node = mt_index_first(&peers->peers, mote_term_hash(pid));
    while (node && !mote_term_same(((struct mt_peer *)(void *)node)->pid.term, pid)) node = mt_index_next(node);
    return (struct mt_peer *)(void *)node;
}

static mote_err begin(struct mt_peers *peers, struct mt_peer *peer, mote_term pid) {
    mote_far far;
    mote_err err = mt_store(&peer->pid, pid);
    if (err) return err;
    (void)mote_far_get(peer->pid.term, &far);
    peer->home = far.node;
    peer->creation = far.creation;
    if ((err = (mote_monitor)(peers->self, peer->pid.term, &peer->monitor))) mt_stored_drop(&peer->pid);
    return err;
}

struct mt_peer *mt_peers_add(struct mt_peers *peers, mote_term pid) {
    mote_far far;
    if (mote_term_type(pid) != MOTE_PID || !mote_far_get(pid, &far)) return NULL;
    mt_peers_remove_node(peers, far.node); /* E1 */
    struct mt_peer *peer = mote_alloc(peers->self, sizeof *peer);
    if (!peer) return NULL;
    *peer = (struct mt_peer){.after = peers->first};
    if (begin(peers, peer, pid)) {
        mote_dealloc(peers->self, peer);
        return NULL;
    }
    if (peer->after) peer->after->before = peer;
    mt_index_put(&peers->peers, &peer->node, mote_term_hash(pid));
    return peers->first = peer;
}

/* All of a peer's members leave a group at once. */
static void clear_group(struct mt_peers *peers, struct mt_peer *peer, struct mt_away *group) {
    const mote_term name = mote_term_copy(arena(peers), group->key.term);
    mote_term left = MOTE_TERM_NIL;
    for (struct mt_pair *pair = group->first, *after; pair; pair = after) {
        after = pair->after; /* the group goes with its last pair */
        if (pair->peer != peer) continue;
        const mote_term pid = pid_of(peers, pair);
        for (uint32_t i = 0; i < pair->times; i++) left = mote_cons_make(arena(peers), pid, left);
        drop_pair(peers, pair);
    }
    tell(peers, "leave", name, left);
}

void mt_peers_remove(struct mt_peers *peers, struct mt_peer *peer) {
    while (peer->first) clear_group(peers, peer, peer->first->group);
    (void)mote_demonitor(peers->self, peer->monitor, true, NULL);
    mt_index_remove(&peers->peers, &peer->node);
    *(peer->before ? &peer->before->after : &peers->first) = peer->after;
    if (peer->after) peer->after->before = peer->before;
    mt_stored_drop(&peer->pid);
    mote_dealloc(peers->self, peer);
}

void mt_peers_remove_node(struct mt_peers *peers, mote_atom node) {
    for (struct mt_peer *p = peers->first, *after; p; p = after) {
        after = p->after;
        if (p->home.word == node.word) mt_peers_remove(peers, p);
    }
}
