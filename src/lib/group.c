/* SPDX-License-Identifier: Apache-2.0
 * A scope of process groups: a handler with three rosters, and its callers. */
#include <mote/group.h>

#include "lib/ask.h"
#include "lib/roster.h"

struct scope {
    mote_self *self;
    struct mt_roster members;  /* under their groups */
    struct mt_roster watchers; /* under the groups they watch; the value is their reference */
    struct mt_roster all;      /* watchers of the scope, under [] */
};

struct answer {
    mote_err err;
    mote_term term;
};

static struct answer plain(mote_err err) { return (struct answer){err, MOTE_TERM_NIL}; }
static struct answer term_of(mote_term term) { return term.word ? (struct answer){MOTE_OK, term} : plain(MOTE_ENOMEM); }
static mote_arena *arena(const struct scope *s) { return mote_scratch(s->self); }

/* ------------------------------------------------------------------------------------------------- changes */

static void tell_slot(struct scope *s, struct mt_roster_slot *slot, mote_term what, mote_term group, mote_term pids) {
    for (struct mt_roster_entry *e = slot ? slot->first : NULL; e; e = e->after)
        (void)mote_send(s->self, e->owner->pid, "{?, ?, ?, ?}", e->value.term, what, group, pids);
}

/* Tells those who watch the group or the scope that a process has joined or left, so many times. */
static void tell(struct scope *s, const char *what, mote_term group, mote_pid pid, size_t times) {
    mote_term pids = MOTE_TERM_NIL;
    if (!s->watchers.count && !s->all.count) return;
    while (times--) pids = mote_cons_make(arena(s), mote_pid_term(pid), pids);
    tell_slot(s, mt_roster_slot(&s->watchers, group), mote_to_name(what), group, pids);
    tell_slot(s, mt_roster_slot(&s->all, MOTE_TERM_NIL), mote_to_name(what), group, pids);
}

/* A member has ended: it leaves each group once, as often as it had joined. */
static void bury(struct scope *s, struct mt_roster_owner *owner) {
    struct mt_roster_entry *e;
    for (e = owner->first; e; e = e->own_after) e->slot->mark++;
    for (e = owner->first; e; e = e->own_after) {
        if (e->slot->mark) tell(s, "leave", e->slot->key.term, owner->pid, e->slot->mark);
        e->slot->mark = 0;
    }
    mt_roster_leave(&s->members, owner);
}

/* The members of a group that live; NULL: none. */
static struct mt_roster_slot *living(struct scope *s, mote_term group) {
    for (;;) {
        struct mt_roster_slot *slot = mt_roster_slot(&s->members, group);
        struct mt_roster_entry *e = slot ? slot->first : NULL;
        while (e && !mt_roster_dead(&s->members, e->owner->pid)) e = e->after;
        if (!e) return slot;
        bury(s, e->owner);
    }
}

/* ------------------------------------------------------------------------------------------------- requests */

static mote_term pids_of(struct scope *s, const struct mt_roster_slot *slot) {
    mote_term pids = MOTE_TERM_NIL;
    for (struct mt_roster_entry *e = slot ? slot->last : NULL; e; e = e->before) pids = mote_cons_make(arena(s), mote_pid_term(e->owner->pid), pids);
    return pids;
}

static struct answer join(struct scope *s, mote_term group, mote_pid pid) {
    mote_err err = mt_roster_add(&s->members, group, pid, MOTE_TERM_NIL);
    if (!err) tell(s, "join", group, pid, 1);
    return plain(err);
}

static struct answer leave(struct scope *s, mote_term group, mote_pid pid) {
    struct mt_roster_slot *slot = mt_roster_slot(&s->members, group);
    struct mt_roster_owner *owner = mt_roster_owner(&s->members, pid);
    struct mt_roster_entry *e = slot && owner ? owner->first : NULL;
    while (e && e->slot != slot) e = e->own_after;
    if (!e) return plain(MOTE_NOMATCH);
    mt_roster_remove(&s->members, e);
    tell(s, "leave", group, pid, 1);
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
    for (struct mt_roster_slot *slot = s->members.last; slot; slot = slot->before) list = mote_cons_make(arena(s), slot->key.term, list);
    return term_of(list);
}

static struct answer watch(struct scope *s, mote_term group, mote_pid pid, mote_ref ref) {
    mote_err err = mt_roster_add(&s->watchers, group, pid, mote_ref_term(ref));
    return err ? plain(err) : term_of(pids_of(s, living(s, group)));
}

/* All groups with their members, as a map. */
static mote_term map_of_all(struct scope *s) {
    size_t count = s->members.slots.count, i = 0;
    mote_term *keys = mote_alloc(s->self, (2 * count + 1) * sizeof *keys), map = MOTE_TERM_NONE;
    if (!keys) return map;
    for (struct mt_roster_slot *slot = s->members.first; slot; slot = slot->after) {
        keys[i] = slot->key.term;
        keys[count + i++] = pids_of(s, slot);
    }
    map = mote_map_make(arena(s), count, keys, keys + count);
    mote_dealloc(s->self, keys);
    return map;
}

static struct answer watch_all(struct scope *s, mote_pid pid, mote_ref ref) {
    mote_err err = mt_roster_add(&s->all, MOTE_TERM_NIL, pid, mote_ref_term(ref));
    if (err) return plain(err);
    bury_all(s);
    return term_of(map_of_all(s));
}

static bool unwatch_in(struct mt_roster *roster, mote_pid pid, mote_ref ref) {
    struct mt_roster_owner *owner = mt_roster_owner(roster, pid);
    struct mt_roster_entry *e = owner ? owner->first : NULL;
    while (e && e->value.term.word != mote_ref_term(ref).word) e = e->own_after;
    if (e) mt_roster_remove(roster, e);
    return e != NULL;
}

static struct answer serve(struct scope *s, mote_term request) {
    mote_term group;
    mote_pid pid;
    mote_ref ref;
    if (mote_match(request, "{members, ?}", &group)) return term_of(pids_of(s, living(s, group)));
    if (mote_match(request, "{join, ?, ?}", &group, &pid)) return join(s, group, pid);
    if (mote_match(request, "{leave, ?, ?}", &group, &pid)) return leave(s, group, pid);
    if (mote_match(request, "names")) return names(s);
    if (mote_match(request, "{monitor, ?, ?, ?}", &group, &pid, &ref)) return watch(s, group, pid, ref);
    if (mote_match(request, "{monitor_scope, ?, ?}", &pid, &ref)) return watch_all(s, pid, ref);
    if (mote_match(request, "{demonitor, ?, ?}", &pid, &ref))
        return plain(unwatch_in(&s->watchers, pid, ref) || unwatch_in(&s->all, pid, ref) ? MOTE_OK : MOTE_NOMATCH);
    return plain(MOTE_EARG);
}

static void member_down(struct scope *s, mote_pid pid, mote_ref monitor) {
    struct mt_roster_owner *owner;
    if ((owner = mt_roster_down(&s->members, pid, monitor))) bury(s, owner);
    if ((owner = mt_roster_down(&s->watchers, pid, monitor))) mt_roster_leave(&s->watchers, owner);
    if ((owner = mt_roster_down(&s->all, pid, monitor))) mt_roster_leave(&s->all, owner);
}

static void handle(mote_self *self, mote_term message, void *state) {
    mote_term from, request;
    mote_ref monitor;
    mote_pid pid;
    if (mote_match(message, "{'$gen_call', ?, ?}", &from, &request)) {
        struct answer a = serve(state, request);
        mote_err err = mote_reply(self, from, "{?, ?}", (int)a.err, a.term);
        if (err == MOTE_ENOMEM) mote_must(self, err); /* a caller must not wait for ever: it hears of this end */
    } else if (mote_match(message, "{'DOWN', ?, process, ?, _}", &monitor, &pid)) {
        member_down(state, pid, monitor);
    }
}

static void begin(mote_self *self, mote_term arg, void *state) {
    struct scope *s = state;
    (void)arg;
    s->self = self;
    mt_roster_init(&s->members, self);
    mt_roster_init(&s->watchers, self);
    mt_roster_init(&s->all, self);
}

static void stop(mote_self *self, mote_term reason, void *state) {
    struct scope *s = state;
    (void)self, (void)reason;
    mt_roster_fini(&s->members);
    mt_roster_fini(&s->watchers);
    mt_roster_fini(&s->all);
}

static const mote_handler scope_handler = {.name = "groups", .state_size = sizeof(struct scope), .init = begin, .handle = handle, .stop = stop};

/* ---------------------------------------------------------------------------------------------------- callers */

mote_err mote_group_start(mote_self *self, mote_term arg, mote_pid *scope) {
    return mt_start_named(self, &scope_handler, arg, MOTE_TERM_NIL, scope);
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

mote_err (mote_group_members)(mote_self *self, mote_term scope, mote_term group, mote_term *members) {
    mote_term reply, term;
    if (!members) return MOTE_EARG;
    mote_err err = mote_call(self, scope, -1, &reply, "{members, ?}", group);
    if (!(err = mt_answer(err, reply, &term))) *members = term;
    return err;
}

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
