/* SPDX-License-Identifier: Apache-2.0
 * A scope of process groups: a handler with three rosters, what scopes of its name on other nodes have told, and its callers.
 *
 * With the others it speaks as OTP's pg does: {discover, Pid} to {Scope, Node} and {'$gen_cast', {sync, Pid, Groups}} back; {join, Pid, Group, Member}, {leave, Pid, Member, Groups}. OTP's ends when it
 * is sent anything else, and when a process leaves a group that it knows nothing of. So: W1 a change is told only to a peer that has all that was before it, else it is sent a sync. */
#include <mote/external.h>
#include <mote/group.h>
#include <mote/node.h>

#include "lib/ask.h"
#include "lib/peers.h"
#include "lib/roster.h"

struct scope {
    mote_self *self;
    struct mt_stored name;     /* [] or an atom */
    bool listens;              /* nodes that come are told to us */
    struct mt_roster members;  /* under their groups, as known_as() has them; the value is the group as it was given */
    struct mt_roster watchers; /* under the groups they watch, so too; the value is {their reference, the group as it was given} */
    struct mt_roster all;      /* watchers of the scope, under [] */
    struct mt_peers peers;     /* members on other nodes */
};

struct answer {
    mote_err err;
    mote_term term;
};

static struct answer plain(mote_err err) { return (struct answer){err, MOTE_TERM_NIL}; }
static struct answer term_of(mote_term term) { return term.word ? (struct answer){MOTE_OK, term} : plain(MOTE_ENOMEM); }
static mote_arena *arena(const struct scope *s) { return mote_scratch(s->self); }

/* A group's name as it comes back from other nodes, for which text is a binary; what has no such form is left as it is. */
static mote_term known_as(const struct scope *s, mote_term group) {
    mote_type type = mote_term_type(group);
    mote_term known = group;
    mote_bytes bytes;
    mote_writer w;
    if (type == MOTE_TEXT) return mote_bytes_get(group, &bytes) ? group : mote_binary_make(arena(s), bytes.data, bytes.size);
    if (type != MOTE_TUPLE && type != MOTE_LIST && type != MOTE_MAP) return group;
    mote_writer_init(&w, MOTE_FORM_ERLANG, NULL, 0, SIZE_MAX / 4);
    mote_err err = mote_term_encode(group, NULL, &w);
    if (!err) err = mote_term_decode(arena(s), mote_writer_bytes(&w).data, mote_writer_bytes(&w).size, NULL, &known, NULL);
    mote_writer_fini(&w);
    return err == MOTE_ENOMEM ? MOTE_TERM_NONE : err ? group : known;
}

/* ------------------------------------------------------------------------------------------------ other nodes */

/* Sends to another node, if it is connected: who is gone is not to be dialled for that. False: it has not been sent. */
static bool send_there(struct scope *s, mote_term to, mote_err built, mote_term message) {
    return !built && mote_send_opt(s->self, to, message, MOTE_SEND_NOCONNECT) == MOTE_OK;
}

/* Not a C node, which has no groups, and may take it for the answer to what it has asked. */
static void discover(struct scope *s, mote_atom node) {
    mote_term to, message;
    mote_peer_info peer;
    if (mote_peer_info_get(s->self, node, &peer) || !peer.monitors || mote_build(arena(s), &to, "{?, ?}", s->name.term, node)) return;
    mote_err err = mote_build(arena(s), &message, "{discover, ?}", mote_self_pid(s->self));
    (void)send_there(s, to, err, message);
}

/* From the time on when this is a node: looks who is there, and listens who comes. */
static void look_around(struct scope *s) {
    size_t count = 0, room = 0;
    mote_atom *nodes = NULL;
    if (s->listens || mote_term_type(s->name.term) != MOTE_ATOM || mote_nodes_monitor(s->self, true)) return;
    s->listens = true;
    while (!mote_nodes(s->self, true, nodes, room, &count) && count > room) {
        mote_dealloc(s->self, nodes);
        room = count + 16;
        if (!(nodes = mote_alloc(s->self, room * sizeof *nodes))) return;
    }
    for (size_t i = 0; i < count && i < room; i++) discover(s, nodes[i]);
    mote_dealloc(s->self, nodes);
}

static mote_term pids_of(struct scope *s, const struct mt_roster_slot *slot, mote_term pids) {
    for (struct mt_roster_entry *e = slot ? slot->last : NULL; e && pids.word; e = e->before) pids = mote_cons_make(arena(s), mote_pid_term(e->owner->pid), pids);
    return pids;
}

/* All that a peer has to know. */
static void send_sync(struct scope *s, struct mt_peer *peer) {
    mote_term groups = MOTE_TERM_NIL, message = MOTE_TERM_NONE;
    for (struct mt_roster_slot *slot = s->members.last; slot && groups.word; slot = slot->before) {
        const mote_term pair[2] = {slot->key.term, pids_of(s, slot, MOTE_TERM_NIL)};
        groups = pair[1].word ? mote_cons_make(arena(s), mote_tuple_make(arena(s), 2, pair), groups) : MOTE_TERM_NONE;
    }
    mote_err err = groups.word ? mote_build(arena(s), &message, "{'$gen_cast', {sync, ?, ?}}", mote_self_pid(s->self), groups) : MOTE_ENOMEM;
    peer->knows = send_there(s, peer->pid.term, err, message);
}

/* A member has joined: tells all peers. `groups`: it has left these instead. */
static void spread(struct scope *s, mote_term group, mote_pid pid, mote_term groups) {
    const mote_pid me = mote_self_pid(s->self);
    mote_term message = MOTE_TERM_NONE;
    if (!s->peers.first) return;
    mote_err err = groups.word ? mote_build(arena(s), &message, "{leave, ?, ?, ?}", me, pid, groups) : mote_build(arena(s), &message, "{join, ?, ?, ?}", me, group, pid);
    for (struct mt_peer *p = s->peers.first; p; p = p->after) {
        if (p->knows) p->knows = send_there(s, p->pid.term, err, message); /* else it is gone, of which we are about to hear */
        else send_sync(s, p); /* W1 */
    }
}

/* The peer that has sent something, which is told all if it is new. NULL: it is none. */
static struct mt_peer *need_peer(struct scope *s, mote_term pid, bool *is_new) {
    struct mt_peer *peer = mt_peers_find(&s->peers, pid);
    mote_far far;
    *is_new = !peer;
    if (peer || mote_term_type(pid) != MOTE_PID || !mote_far_get(pid, &far) || mote_peer_info_get(s->self, far.node, NULL)) return peer;
    return mt_peers_add(&s->peers, pid);
}

static void discovered(struct scope *s, mote_term pid) {
    bool is_new;
    struct mt_peer *peer = need_peer(s, pid, &is_new);
    mote_term message;
    if (!peer) return;
    send_sync(s, peer);
    mote_err err = mote_build(arena(s), &message, "{discover, ?}", mote_self_pid(s->self));
    if (is_new) (void)send_there(s, peer->pid.term, err, message);
}

static void synced(struct scope *s, mote_term pid, mote_term groups) {
    bool is_new;
    struct mt_peer *peer = need_peer(s, pid, &is_new);
    if (!peer) return;
    mt_peers_sync(&s->peers, peer, groups);
    if (!peer->knows) send_sync(s, peer); /* it may have known us, and not discover us again */
}

static void peer_down(struct scope *s, struct mt_peer *peer, mote_term reason) {
    const mote_term home = mote_term_copy(arena(s), mote_atom_term(peer->home)); /* an atom that is counted may be gone with it */
    mote_atom node;
    mt_peers_remove(&s->peers, peer);
    if (mote_match(reason, "noconnection") && mote_atom_get(home, &node) == MOTE_OK) discover(s, node); /* if it is there again */
}

/* What other nodes and the distribution say. False: it is something else. */
static bool hear(struct scope *s, mote_term m) {
    mote_term pid, group, more;
    mote_atom node;
    if (mote_match(m, "{discover, ?}", &pid) || mote_match(m, "{discover, ?, _}", &pid)) {
        discovered(s, pid);
    } else if (mote_match(m, "{'$gen_cast', {sync, ?, ?}}", &pid, &more)) {
        synced(s, pid, more);
    } else if (mote_match(m, "{join, ?, ?, ?}", &pid, &group, &more)) {
        struct mt_peer *peer = mt_peers_find(&s->peers, pid);
        if (peer) mt_peers_join(&s->peers, peer, group, more);
    } else if (mote_match(m, "{leave, ?, ?, ?}", &pid, &more, &group)) {
        struct mt_peer *peer = mt_peers_find(&s->peers, pid);
        if (peer) mt_peers_leave(&s->peers, peer, more, group);
    } else if (mote_match(m, "{nodeup, ?}", &node)) {
        if (s->listens) mt_peers_remove_node(&s->peers, node), discover(s, node); /* what was of the connection before */
    } else {
        return false;
    }
    return true;
}

/* ------------------------------------------------------------------------------------------------- changes */

/* Tells those who watch the group, by the name that each has for it, and the scope. */
static void tell(struct scope *s, const char *what, mote_term known, mote_term group, mote_term pids) {
    const struct mt_roster_slot *slot = mt_roster_slot(&s->watchers, known), *all = mt_roster_slot(&s->all, MOTE_TERM_NIL);
    mote_term ref, given;
    for (struct mt_roster_entry *e = slot ? slot->first : NULL; e; e = e->after)
        if (mote_match(e->value.term, "{?, ?}", &ref, &given)) (void)mote_send(s->self, e->owner->pid, "{?, ?, ?, ?}", ref, mote_to_name(what), given, pids);
    for (struct mt_roster_entry *e = all ? all->first : NULL; e; e = e->after)
        if (mote_match(e->value.term, "{?, _}", &ref)) (void)mote_send(s->self, e->owner->pid, "{?, ?, ?, ?}", ref, mote_to_name(what), group, pids);
}

/* How the group was named by who joined here first; else as other nodes do. */
static mote_term given_as(const struct mt_roster_slot *slot, mote_term known) { return slot ? slot->first->value.term : known; }

static void told_by_peer(void *context, const char *what, mote_term group, mote_term pids) {
    struct scope *s = context;
    if (s->watchers.count || s->all.count) tell(s, what, group, given_as(mt_roster_slot(&s->members, group), group), pids);
}

/* The same of a process of this node, so many times. */
static void tell_own(struct scope *s, const char *what, mote_term known, mote_term group, mote_pid pid, size_t times) {
    mote_term pids = MOTE_TERM_NIL;
    if (!s->watchers.count && !s->all.count) return;
    while (times--) pids = mote_cons_make(arena(s), mote_pid_term(pid), pids);
    tell(s, what, known, group, pids);
}

/* A member has ended: it leaves each group once, as often as it had joined. */
static void bury(struct scope *s, struct mt_roster_owner *owner) {
    struct mt_roster_entry *e;
    const mote_pid pid = owner->pid;
    mote_term groups = MOTE_TERM_NIL;
    for (e = owner->first; e; e = e->own_after) e->slot->mark++;
    for (e = owner->first; e; e = e->own_after) {
        if (e->slot->mark) tell_own(s, "leave", e->slot->key.term, e->value.term, pid, e->slot->mark);
        e->slot->mark = 0;
    }
    for (e = s->peers.first ? owner->last : NULL; e && groups.word; e = e->own_before) groups = mote_cons_make(arena(s), mote_term_copy(arena(s), e->slot->key.term), groups);
    mt_roster_leave(&s->members, owner);
    if (groups.word) spread(s, MOTE_TERM_NIL, pid, groups);
    else for (struct mt_peer *p = s->peers.first; p; p = p->after) p->knows = false; /* no memory: later, all of it */
}

/* The members of a group that live here; NULL: none. */
static struct mt_roster_slot *living(struct scope *s, mote_term known) {
    for (;;) {
        struct mt_roster_slot *slot = mt_roster_slot(&s->members, known);
        struct mt_roster_entry *e = slot ? slot->first : NULL;
        while (e && !mt_roster_dead(&s->members, e->owner->pid)) e = e->after;
        if (!e) return slot;
        bury(s, e->owner);
    }
}

/* ------------------------------------------------------------------------------------------------- requests */

/* All members of a group, those of here first. */
static mote_term members_of(struct scope *s, mote_term known) {
    const mote_term away = mt_peers_members(&s->peers, mt_peers_group(&s->peers, known), MOTE_TERM_NIL);
    return pids_of(s, living(s, known), away);
}

static struct answer join(struct scope *s, mote_term known, mote_term group, mote_pid pid) {
    mote_err err = mt_roster_add(&s->members, known, pid, group);
    if (err) return plain(err);
    tell_own(s, "join", known, group, pid, 1);
    spread(s, known, pid, MOTE_TERM_NONE);
    return plain(MOTE_OK);
}

static struct answer leave(struct scope *s, mote_term known, mote_term group, mote_pid pid) {
    struct mt_roster_slot *slot = mt_roster_slot(&s->members, known);
    struct mt_roster_owner *owner = mt_roster_owner(&s->members, pid);
    struct mt_roster_entry *e = slot && owner ? owner->first : NULL;
    const mote_term groups = mote_cons_make(arena(s), known, MOTE_TERM_NIL);
    while (e && e->slot != slot) e = e->own_after;
    if (!e || !groups.word) return plain(e ? MOTE_ENOMEM : MOTE_NOMATCH);
    mt_roster_remove(&s->members, e);
    tell_own(s, "leave", known, group, pid, 1);
    spread(s, MOTE_TERM_NIL, pid, groups);
    return plain(MOTE_OK);
}

/* Buries all that have ended without having been noticed. */
static void bury_all(struct scope *s) {
    struct mt_roster_slot *slot = s->members.first;
    while (slot) {
        struct mt_roster_entry *e = slot->first;
        while (e && !mt_roster_dead(&s->members, e->owner->pid)) e = e->after;
        if (e) bury(s, e->owner);
        slot = e ? s->members.first : slot->after; /* other groups may have vanished with it */
    }
}

static struct answer names(struct scope *s) {
    mote_term list = MOTE_TERM_NIL;
    bury_all(s);
    for (struct mt_away *group = s->peers.first_group; group && list.word; group = group->after)
        if (!mt_roster_slot(&s->members, group->key.term)) list = mote_cons_make(arena(s), group->key.term, list);
    for (struct mt_roster_slot *slot = s->members.last; slot && list.word; slot = slot->before) list = mote_cons_make(arena(s), slot->first->value.term, list);
    return term_of(list);
}

static mote_err add_watcher(struct scope *s, struct mt_roster *roster, mote_term known, mote_term group, mote_pid pid, mote_ref ref) {
    const mote_term pair[2] = {mote_ref_term(ref), group};
    return mt_roster_add(roster, known, pid, mote_tuple_make(arena(s), 2, pair)); /* without memory it is no term */
}

static struct answer watch(struct scope *s, mote_term known, mote_term group, mote_pid pid, mote_ref ref) {
    mote_err err = add_watcher(s, &s->watchers, known, group, pid, ref);
    return err ? plain(err) : term_of(members_of(s, known));
}

/* All groups with their members, as a map. */
static mote_term map_of_all(struct scope *s) {
    size_t count = s->members.slots.count + s->peers.groups.count, i = 0;
    mote_term *keys = mote_alloc(s->self, (2 * count + 1) * sizeof *keys), map = MOTE_TERM_NONE;
    if (!keys) return map;
    for (struct mt_roster_slot *slot = s->members.first; slot; slot = slot->after, i++) {
        keys[i] = slot->first->value.term;
        keys[count + i] = members_of(s, slot->key.term);
    }
    for (struct mt_away *group = s->peers.first_group; group; group = group->after) {
        if (mt_roster_slot(&s->members, group->key.term)) continue;
        keys[i] = group->key.term;
        keys[count + i++] = mt_peers_members(&s->peers, group, MOTE_TERM_NIL);
    }
    map = mote_map_make(arena(s), i, keys, keys + count);
    mote_dealloc(s->self, keys);
    return map;
}

static struct answer watch_all(struct scope *s, mote_pid pid, mote_ref ref) {
    mote_err err = add_watcher(s, &s->all, MOTE_TERM_NIL, MOTE_TERM_NIL, pid, ref);
    if (err) return plain(err);
    bury_all(s);
    return term_of(map_of_all(s));
}

static bool unwatch_in(struct mt_roster *roster, mote_pid pid, mote_ref ref) {
    struct mt_roster_owner *owner = mt_roster_owner(roster, pid);
    struct mt_roster_entry *e = owner ? owner->first : NULL;
    while (e && !mote_match(e->value.term, "{^, _}", ref)) e = e->own_after;
    if (e) mt_roster_remove(roster, e);
    return e != NULL;
}

static struct answer serve(struct scope *s, mote_term request) {
    mote_term group, known = MOTE_TERM_NIL;
    mote_pid pid;
    mote_ref ref;
    if (mote_match(request, "{_, ?}", &group) || mote_match(request, "{_, ?, _}", &group) || mote_match(request, "{_, ?, _, _}", &group)) known = known_as(s, group);
    if (!known.word) return plain(MOTE_ENOMEM);
    if (mote_match(request, "{members, _}")) return term_of(members_of(s, known));
    if (mote_match(request, "{local_members, _}")) return term_of(pids_of(s, living(s, known), MOTE_TERM_NIL));
    if (mote_match(request, "{join, ?, ?}", &group, &pid)) return join(s, known, group, pid);
    if (mote_match(request, "{leave, ?, ?}", &group, &pid)) return leave(s, known, group, pid);
    if (mote_match(request, "names")) return names(s);
    if (mote_match(request, "{monitor, ?, ?, ?}", &group, &pid, &ref)) return watch(s, known, group, pid, ref);
    if (mote_match(request, "{monitor_scope, ?, ?}", &pid, &ref)) return watch_all(s, pid, ref);
    if (mote_match(request, "{demonitor, ?, ?}", &pid, &ref))
        return plain(unwatch_in(&s->watchers, pid, ref) || unwatch_in(&s->all, pid, ref) ? MOTE_OK : MOTE_NOMATCH);
    return plain(MOTE_EARG);
}

static void member_down(struct scope *s, mote_pid pid, mote_ref monitor, mote_term reason) {
    struct mt_roster_owner *owner;
    struct mt_peer *peer = mt_peers_find(&s->peers, mote_pid_term(pid));
    if (peer && peer->monitor.word == monitor.word) peer_down(s, peer, reason);
    if ((owner = mt_roster_down(&s->members, pid, monitor))) bury(s, owner);
    if ((owner = mt_roster_down(&s->watchers, pid, monitor))) mt_roster_leave(&s->watchers, owner);
    if ((owner = mt_roster_down(&s->all, pid, monitor))) mt_roster_leave(&s->all, owner);
}

static void handle(mote_self *self, mote_term message, void *state) {
    struct scope *s = state;
    mote_term from, request, reason;
    mote_ref monitor;
    mote_pid pid;
    look_around(s); /* until this is a node */
    if (mote_match(message, "{'$gen_call', ?, ?}", &from, &request)) {
        struct answer a = serve(s, request);
        mote_err err = mote_reply(self, from, "{?, ?}", (int)a.err, a.term);
        if (err == MOTE_ENOMEM) mote_must(self, err); /* a caller must not wait for ever: it hears of this end */
    } else if (mote_match(message, "{'DOWN', ?, process, ?, ?}", &monitor, &pid, &reason)) {
        member_down(s, pid, monitor, reason);
    } else {
        (void)hear(s, message);
    }
}

static void begin(mote_self *self, mote_term name, void *state) {
    struct scope *s = state;
    s->self = self;
    mote_must(self, mote_flag_set(self, MOTE_REACH, MOTE_REACH_PROTECTED, NULL));
    mote_must(self, mt_store(&s->name, name));
    mt_roster_init(&s->members, self);
    mt_roster_init(&s->watchers, self);
    mt_roster_init(&s->all, self);
    mt_peers_init(&s->peers, self, told_by_peer, s);
    look_around(s);
}

static void stop(mote_self *self, mote_term reason, void *state) {
    struct scope *s = state;
    (void)reason;
    if (s->listens) s->listens = mote_nodes_monitor(self, false) != MOTE_OK;
    mt_roster_fini(&s->members);
    mt_roster_fini(&s->watchers);
    mt_roster_fini(&s->all);
    mt_peers_fini(&s->peers);
    mt_stored_drop(&s->name);
}

static const mote_handler scope_handler = {.name = "groups", .state_size = sizeof(struct scope), .init = begin, .handle = handle, .stop = stop};

/* ---------------------------------------------------------------------------------------------------- callers */

mote_err mote_group_start(mote_self *self, mote_term arg, mote_pid *scope) {
    return mt_start_named(self, &scope_handler, arg, mote_term_type(arg) == MOTE_ATOM ? arg : MOTE_TERM_NIL, scope);
}

mote_err mote_group_start_link(mote_self *self, const char *name, mote_pid *scope) {
    return mote_group_start(self, name ? mote_to_name(name) : MOTE_TERM_NIL, scope);
}

mote_err (mote_group_join)(mote_self *self, mote_term scope, mote_term group, mote_pid pid) {
    mote_term reply, term;
    mote_err err = mote_call(self, scope, -1, &reply, "{join, ?, ?}", group, pid);
    return mt_answer(err, reply, &term);
}

mote_err (mote_group_leave)(mote_self *self, mote_term scope, mote_term group, mote_pid pid) {
    mote_term reply, term;
    mote_err err = mote_call(self, scope, -1, &reply, "{leave, ?, ?}", group, pid);
    return mt_answer(err, reply, &term);
}

/* A list of a group's members. */
static mote_err list(mote_self *self, mote_term scope, const char *what, mote_term group, mote_term *members) {
    mote_term reply, term;
    if (!members) return MOTE_EARG;
    mote_err err = mote_call(self, scope, -1, &reply, "{?, ?}", mote_to_name(what), group);
    if (!(err = mt_answer(err, reply, &term))) *members = term;
    return err;
}

mote_err (mote_group_members)(mote_self *self, mote_term scope, mote_term group, mote_term *members) { return list(self, scope, "members", group, members); }
mote_err (mote_group_local_members)(mote_self *self, mote_term scope, mote_term group, mote_term *members) { return list(self, scope, "local_members", group, members); }

mote_err (mote_group_names)(mote_self *self, mote_term scope, mote_term *groups) {
    mote_term reply, term;
    if (!groups) return MOTE_EARG;
    mote_err err = mote_call(self, scope, -1, &reply, "names");
    if (!(err = mt_answer(err, reply, &term))) *groups = term;
    return err;
}

mote_err (mote_group_monitor)(mote_self *self, mote_term scope, mote_term group, mote_ref *ref, mote_term *members) {
    mote_term reply, term;
    if (!self || !ref) return self ? MOTE_EARG : MOTE_ESELF;
    mote_ref made = mote_ref_make(self);
    mote_err err = mote_call(self, scope, -1, &reply, "{monitor, ?, ?, ?}", group, mote_self_pid(self), made);
    if ((err = mt_answer(err, reply, &term))) return err;
    *ref = made;
    if (members) *members = term;
    return MOTE_OK;
}

mote_err (mote_group_monitor_scope)(mote_self *self, mote_term scope, mote_ref *ref, mote_term *groups) {
    mote_term reply, term;
    if (!self || !ref) return self ? MOTE_EARG : MOTE_ESELF;
    mote_ref made = mote_ref_make(self);
    mote_err err = mote_call(self, scope, -1, &reply, "{monitor_scope, ?, ?}", mote_self_pid(self), made);
    if ((err = mt_answer(err, reply, &term))) return err;
    *ref = made;
    if (groups) *groups = term;
    return MOTE_OK;
}

mote_err (mote_group_demonitor)(mote_self *self, mote_term scope, mote_ref ref) {
    mote_term reply, term;
    mote_err err = mote_call(self, scope, -1, &reply, "{demonitor, ?, ?}", mote_self_pid(self), ref);
    if ((err = mt_answer(err, reply, &term))) return err;
    while (!(err = mote_receive_ref(self, 0, ref, &term)))
        ;
    return err == MOTE_TIMEOUT ? MOTE_OK : err;
}
