/* SPDX-License-Identifier: Apache-2.0
 * The registry's process, a handler, and its callers. */
#include <mote/registry.h>

#include "lib/ask.h"
#include "lib/roster.h"

#define PATTERN_DEPTH_MAX 64

struct registry {
    mote_self *self;
    bool duplicate;
    struct mt_roster entries;
    struct mt_roster listeners; /* all under [] */
};

struct answer {
    mote_err err;
    mote_term term;
};

static struct answer plain(mote_err err) { return (struct answer){err, MOTE_TERM_NIL}; }
static struct answer list_of(mote_term list) { return list.word ? (struct answer){MOTE_OK, list} : plain(MOTE_ENOMEM); }

/* A tuple of the process's arena; none when memory is out. */
#define TUPLE(r, text, ...) tuple(r, MOTE_SITE(text), MOTE_ARGS(__VA_ARGS__))
static mote_term tuple(const struct registry *r, mote_site *site, size_t count, const mote_arg *args) {
    mote_term term;
    return mote_build_site(mote_scratch(r->self), &term, site, count, args) ? MOTE_TERM_NONE : term;
}

/* ------------------------------------------------------------------------------------------------ listeners */

static void tell(struct registry *r, mote_term what) {
    struct mt_roster_slot *slot = mt_roster_slot(&r->listeners, MOTE_TERM_NIL);
    for (struct mt_roster_entry *e = slot ? slot->first : NULL; e; e = e->after) (void)mote_send_term(r->self, mote_pid_term(e->owner->pid), what);
}

static void tell_registered(struct registry *r, mote_term key, mote_pid pid, mote_term value) {
    if (r->listeners.count) tell(r, TUPLE(r, "{register, ?, ?, ?, ?}", mote_self_pid(r->self), key, pid, value));
}

static void remove_entry(struct registry *r, struct mt_roster_entry *e) {
    if (r->listeners.count) tell(r, TUPLE(r, "{unregister, ?, ?, ?}", mote_self_pid(r->self), e->slot->key.term, e->owner->pid));
    mt_roster_remove(&r->entries, e);
}

/* Removes what belongs to a process that has ended. */
static void bury(struct registry *r, struct mt_roster_owner *owner) {
    for (bool more = true; more;) {
        more = owner->first != owner->last;
        remove_entry(r, owner->first);
    }
}

/* The entries under a key whose processes live; NULL: none. */
static struct mt_roster_slot *living(struct registry *r, mote_term key) {
    for (;;) {
        struct mt_roster_slot *slot = mt_roster_slot(&r->entries, key);
        struct mt_roster_entry *e = slot ? slot->first : NULL;
        while (e && !mt_roster_dead(&r->entries, e->owner->pid)) e = e->after;
        if (!e) return slot;
        bury(r, e->owner);
    }
}

/* ------------------------------------------------------------------------------------------------- requests */

static struct answer do_register(struct registry *r, mote_term key, mote_pid pid, mote_term value) {
    struct mt_roster_slot *slot = living(r, key);
    if (slot && !r->duplicate) return (struct answer){MOTE_EBUSY, mote_pid_term(slot->first->owner->pid)};
    mote_err err = mt_roster_add(&r->entries, key, pid, value);
    if (!err) tell_registered(r, key, pid, value);
    return plain(err);
}

static struct answer do_unregister(struct registry *r, mote_term key, mote_pid pid) {
    struct mt_roster_slot *slot = mt_roster_slot(&r->entries, key);
    mote_err err = MOTE_NOMATCH;
    for (struct mt_roster_entry *e = slot ? slot->first : NULL, *after; e; e = after) {
        after = e->after;
        if (e->owner->pid.word != pid.word) continue;
        err = MOTE_OK;
        remove_entry(r, e);
    }
    return plain(err);
}

static struct answer do_lookup(struct registry *r, mote_term key) {
    struct mt_roster_slot *slot = living(r, key);
    mote_term list = MOTE_TERM_NIL;
    for (struct mt_roster_entry *e = slot ? slot->last : NULL; e; e = e->before)
        list = mote_cons_make(mote_scratch(r->self), TUPLE(r, "{?, ?}", e->owner->pid, e->value.term), list);
    return list_of(list);
}

static struct answer do_whereis(struct registry *r, mote_term key) {
    struct mt_roster_slot *slot = living(r, key);
    return slot ? (struct answer){MOTE_OK, mote_pid_term(slot->first->owner->pid)} : plain(MOTE_NOMATCH);
}

static struct answer do_keys(struct registry *r, mote_pid pid) {
    struct mt_roster_owner *owner = mt_roster_owner(&r->entries, pid);
    mote_term list = MOTE_TERM_NIL;
    if (!owner || mt_roster_dead(&r->entries, pid)) return plain(MOTE_OK);
    for (struct mt_roster_entry *e = owner->last; e; e = e->own_before) list = mote_cons_make(mote_scratch(r->self), e->slot->key.term, list);
    return list_of(list);
}

static bool anything(mote_term pattern) { return mote_match(pattern, "'_'"); }

/* Whether a pattern is nested at most so deep: fits() follows it by recursion. */
static bool shallow(mote_term pattern, int depth) {
    size_t size;
    mote_term part;
    if (depth == 0) return false;
    if (mote_tuple_size(pattern, &size) == MOTE_OK) {
        for (size_t i = 0; i < size; i++)
            if (mote_tuple_get(pattern, i, &part) || !shallow(part, depth - 1)) return false;
    } else if (mote_map_size(pattern, &size) == MOTE_OK) {
        for (size_t i = 0; i < size; i++)
            if (mote_map_at(pattern, i, NULL, &part) || !shallow(part, depth - 1)) return false;
    } else {
        while (mote_list_get(pattern, &part, &pattern) == MOTE_OK)
            if (!shallow(part, depth - 1)) return false;
    }
    return true;
}

static bool fits(mote_term pattern, mote_term term);

static bool tuple_fits(mote_term pattern, mote_term term, size_t size) {
    size_t size_of_term;
    mote_term a, b;
    if (mote_tuple_size(term, &size_of_term) || size_of_term != size) return false;
    for (size_t i = 0; i < size; i++)
        if (mote_tuple_get(pattern, i, &a) || mote_tuple_get(term, i, &b) || !fits(a, b)) return false;
    return true;
}

static bool map_fits(mote_term pattern, mote_term term, size_t size) {
    mote_term key, a, b;
    for (size_t i = 0; i < size; i++)
        if (mote_map_at(pattern, i, &key, &a) || mote_map_get(term, key, &b) || !fits(a, b)) return false;
    return mote_term_type(term) == MOTE_MAP;
}

static bool fits(mote_term pattern, mote_term term) {
    size_t size;
    mote_term a, b;
    if (mote_tuple_size(pattern, &size) == MOTE_OK) return tuple_fits(pattern, term, size);
    if (mote_map_size(pattern, &size) == MOTE_OK) return map_fits(pattern, term, size);
    while (mote_list_get(pattern, &a, &pattern) == MOTE_OK)
        if (mote_list_get(term, &b, &term) || !fits(a, b)) return false;
    return anything(pattern) || mote_term_same(pattern, term); /* no list, or what ends one */
}

static struct answer do_select(struct registry *r, mote_term pattern) {
    mote_term list = MOTE_TERM_NIL;
    if (!shallow(pattern, PATTERN_DEPTH_MAX)) return plain(MOTE_ELIMIT);
    for (struct mt_roster_slot *slot = r->entries.last; slot; slot = slot->before)
        for (struct mt_roster_entry *e = slot->last; e; e = e->before) {
            mote_term parts[] = {slot->key.term, mote_pid_term(e->owner->pid), e->value.term}, a[3];
            bool all = anything(pattern) || mote_match(pattern, "{?, ?, ?}", &a[0], &a[1], &a[2]);
            for (int i = 0; i < 3 && all && !anything(pattern); i++) all = fits(a[i], parts[i]);
            if (!all || mt_roster_dead(&r->entries, e->owner->pid)) continue;
            list = mote_cons_make(mote_scratch(r->self), mote_tuple_make(mote_scratch(r->self), 3, parts), list);
        }
    return list_of(list);
}

static struct answer do_listen(struct registry *r, mote_pid pid, bool on) {
    struct mt_roster_owner *owner = mt_roster_owner(&r->listeners, pid);
    if (on && !owner) return plain(mt_roster_add(&r->listeners, MOTE_TERM_NIL, pid, MOTE_TERM_NIL));
    if (!on && owner) mt_roster_leave(&r->listeners, owner);
    return plain(MOTE_OK);
}

static struct answer serve(struct registry *r, mote_term request) {
    mote_term key, value;
    mote_pid pid;
    bool on;
    if (mote_match(request, "{lookup, ?}", &key)) return do_lookup(r, key);
    if (mote_match(request, "{whereis, ?}", &key)) return do_whereis(r, key);
    if (mote_match(request, "{register, ?, ?, ?}", &key, &pid, &value)) return do_register(r, key, pid, value);
    if (mote_match(request, "{unregister, ?, ?}", &key, &pid)) return do_unregister(r, key, pid);
    if (mote_match(request, "{keys, ?}", &pid)) return do_keys(r, pid);
    if (mote_match(request, "{select, ?}", &value)) return do_select(r, value);
    if (mote_match(request, "count")) return (struct answer){MOTE_OK, mote_uint_make(mote_scratch(r->self), r->entries.count)};
    if (mote_match(request, "{listen, ?, ?}", &pid, &on)) return do_listen(r, pid, on);
    return plain(MOTE_EARG);
}

static void handle(mote_self *self, mote_term message, void *state) {
    struct registry *r = state;
    struct mt_roster_owner *owner;
    mote_term from, request;
    mote_ref monitor;
    mote_pid pid;
    if (mote_match(message, "{'$gen_call', ?, ?}", &from, &request)) {
        struct answer a = serve(r, request);
        mote_err err = mote_reply(self, from, "{?, ?}", (int)a.err, a.term);
        if (err == MOTE_ENOMEM) mote_must(self, err); /* a caller must not wait for ever: it hears of this end */
    } else if (mote_match(message, "{'DOWN', ?, process, ?, _}", &monitor, &pid)) {
        if ((owner = mt_roster_down(&r->entries, pid, monitor))) bury(r, owner);
        else if ((owner = mt_roster_down(&r->listeners, pid, monitor))) mt_roster_leave(&r->listeners, owner);
    }
}

static void begin(mote_self *self, mote_term arg, void *state) {
    struct registry *r = state;
    r->self = self;
    r->duplicate = mote_match(arg, "duplicate");
    mt_roster_init(&r->entries, self);
    mt_roster_init(&r->listeners, self);
}

static void stop(mote_self *self, mote_term reason, void *state) {
    struct registry *r = state;
    (void)self, (void)reason;
    mt_roster_fini(&r->entries);
    mt_roster_fini(&r->listeners);
}

static const mote_handler registry_handler = {
    .name = "registry", .state_size = sizeof(struct registry), .init = begin, .handle = handle, .stop = stop};

/* ---------------------------------------------------------------------------------------------------- callers */

mote_err mote_registry_start(mote_self *self, mote_term arg, mote_pid *registry) {
    mote_term name, kind;
    if (!mote_match(arg, "{?, ?}", &name, &kind) || !(mote_match(kind, "unique") || mote_match(kind, "duplicate"))) return MOTE_EARG;
    return mt_start_named(self, &registry_handler, name, kind, registry);
}

mote_err mote_registry_start_link(mote_self *self, const mote_registry_options *options, mote_pid *registry) {
    static const mote_registry_options defaults = {0};
    const mote_registry_options *o = options ? options : &defaults;
    mote_term name = o->name ? mote_to_name(o->name) : MOTE_TERM_NIL;
    return mt_start_named(self, &registry_handler, name, mote_to_name(o->duplicate ? "duplicate" : "unique"), registry);
}

mote_err (mote_registry_register)(mote_self *self, mote_term registry, mote_term key, mote_term value, mote_pid *holder) {
    mote_term reply, term;
    mote_pid pid;
    mote_err err = mote_call(self, registry, -1, &reply, "{register, ?, ?, ?}", key, mote_self_pid(self), value);
    err = mt_answer(err, reply, &term);
    if (err == MOTE_EBUSY && holder && mote_pid_get(term, &pid) == MOTE_OK) *holder = pid;
    return err;
}

mote_err (mote_registry_unregister)(mote_self *self, mote_term registry, mote_term key) {
    mote_term reply, term;
    mote_err err = mote_call(self, registry, -1, &reply, "{unregister, ?, ?}", key, mote_self_pid(self));
    return mt_answer(err, reply, &term);
}

static mote_err give(mote_err err, mote_term reply, mote_term *out) {
    mote_term term;
    err = mt_answer(err, reply, &term);
    if (!err) *out = term;
    return err;
}

mote_err (mote_registry_lookup)(mote_self *self, mote_term registry, mote_term key, mote_term *entries) {
    mote_term reply;
    if (!entries) return MOTE_EARG;
    mote_err err = mote_call(self, registry, -1, &reply, "{lookup, ?}", key);
    return give(err, reply, entries);
}

mote_err (mote_registry_whereis)(mote_self *self, mote_term registry, mote_term key, mote_pid *pid) {
    mote_term reply, term;
    if (!pid) return MOTE_EARG;
    mote_err err = mote_call(self, registry, -1, &reply, "{whereis, ?}", key);
    return (err = give(err, reply, &term)) ? err : mote_pid_get(term, pid);
}

mote_err (mote_registry_keys)(mote_self *self, mote_term registry, mote_pid pid, mote_term *keys) {
    mote_term reply;
    if (!keys) return MOTE_EARG;
    mote_err err = mote_call(self, registry, -1, &reply, "{keys, ?}", pid);
    return give(err, reply, keys);
}

mote_err (mote_registry_select)(mote_self *self, mote_term registry, mote_term pattern, mote_term *entries) {
    mote_term reply;
    if (!entries) return MOTE_EARG;
    mote_err err = mote_call(self, registry, -1, &reply, "{select, ?}", pattern);
    return give(err, reply, entries);
}

mote_err (mote_registry_count)(mote_self *self, mote_term registry, size_t *count) {
    mote_term reply, term;
    uint64_t n;
    if (!count) return MOTE_EARG;
    mote_err err = mote_call(self, registry, -1, &reply, "count");
    if ((err = give(err, reply, &term)) || (err = mote_uint_get(term, &n))) return err;
    *count = n;
    return MOTE_OK;
}

mote_err (mote_registry_listen)(mote_self *self, mote_term registry, bool on) {
    mote_term reply, term;
    mote_err err = mote_call(self, registry, -1, &reply, "{listen, ?, ?}", mote_self_pid(self), on);
    return mt_answer(err, reply, &term);
}
