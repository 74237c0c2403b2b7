/* SPDX-License-Identifier: Apache-2.0
 * The life of a cluster: a handler that knows who is wanted and dials, a process for each place where it looks for nodes, and their callers; and calls to groups.
 *
 * C1 who is wanted and not connected is being dialled, or has a timer. C2 bit 0 of `wants` is for who was named, bit 1 + i for what place i has found last; with none of them a node is dropped as
 * soon as it is not connected. */
#include <mote/cluster.h>
#include <mote/group.h>
#include <mote/node.h>
#include <string.h>

#include "lib/ask.h"
#include "lib/gen.h"
#include "lib/index.h"
#include "lib/store.h"

#define WANTED_MAX 1024u
#define WAITERS_MAX 1000u
#define PLACES_MAX 32u
#define LOOK_MS 5000u
#define RETRY_MS 100u
#define RETRY_MS_MAX 10000u
#define CONNECT_MS 15000
#define NAME_MAX_BYTES 255u

struct wanted {
    struct mt_index_node node;
    struct wanted *before, *after;
    struct mt_stored name;
    uint64_t wants;       /* C2 */
    bool up, dialling;
    unsigned failures;    /* in a row */
    uint64_t up_ms;       /* since when */
    mote_ref ref;         /* dialling: of the attempt; else of the timer, 0: none */
};

struct waiter {
    struct waiter *next;
    struct mt_stored from;
    uint64_t count, number;
};

struct cluster {
    mote_self *self;
    struct mt_index index;
    struct wanted *first;
    size_t count, up;
    struct waiter *waiters;
    size_t waiting;
    uint64_t number;
    mote_ref token;       /* of what the places have found: nobody else says whom to dial */
    uint32_t retry_ms, retry_ms_max;
};

/* What the process is started with; sealed. Texts follow as terms. */
struct plan {
    uint32_t look_ms, retry_ms, retry_ms_max;
};

/* -------------------------------------------------------------------------------------------- who is wanted */

static struct wanted *find(struct cluster *c, mote_term name) {
    struct mt_index_node *node = mt_index_first(&c->index, mote_term_hash(name));
    while (node && !mote_term_same(((struct wanted *)(void *)node)->name.term, name)) node = mt_index_next(node);
    return (struct wanted *)(void *)node;
}

static mote_atom atom_of(mote_term term) {
    mote_atom atom = {0};
    return mote_atom_get(term, &atom) ? (mote_atom){0} : atom;
}

static uint64_t now_ms(const struct cluster *c) { return mt_now_ms(c->self); }

/* A quarter more or less. */
static uint64_t jittered(mote_self *self, uint64_t ms) {
    uint64_t half = ms / 2, mine = mote_term_hash(mote_atom_term(mote_node_name(self, NULL, NULL))); /* other nodes' pauses are others */
    return ms - half / 2 + mt_index_hash(mote_ref_make(self).word ^ mt_index_hash(mine + mt_now_ms(self))) % (half + 1);
}

static uint64_t pause_ms(const struct cluster *c, const struct wanted *w) {
    uint64_t ms = c->retry_ms;
    for (unsigned i = 0; i < w->failures && ms < c->retry_ms_max; i++) ms *= 2;
    return ms < c->retry_ms_max ? ms : c->retry_ms_max;
}

static void drop(struct cluster *c, struct wanted *w) {
    if (!w->dialling && w->ref.word) (void)mote_timer_cancel(c->self, w->ref, NULL);
    mt_index_remove(&c->index, &w->node);
    *(w->before ? &w->before->after : &c->first) = w->after;
    if (w->after) w->after->before = w->before;
    if (w->up) c->up--;
    c->count--;
    mt_stored_drop(&w->name);
    mote_dealloc(c->self, w);
}

/* It is not connected: later again. */
static void rest(struct cluster *c, struct wanted *w) {
    uint64_t ms = jittered(c->self, pause_ms(c, w));
    w->dialling = false;
    if (w->failures < 30) w->failures++;
    mote_must(c->self, mote_send_after(c->self, (int64_t)ms, mote_self_pid(c->self), &w->ref, "{'$retry', ?}", w->name.term)); /* C1 */
}

static void rise(struct cluster *c, struct wanted *w) {
    if (!w->dialling && w->ref.word) (void)mote_timer_cancel(c->self, w->ref, NULL);
    w->dialling = false;
    w->ref.word = 0;
    if (w->up) return;
    w->up = true;
    w->up_ms = now_ms(c);
    c->up++;
}

static void dial(struct cluster *c, struct wanted *w) {
    const mote_atom node = atom_of(w->name.term);
    if (mote_peer_info_get(c->self, node, NULL) == MOTE_OK) {
        rise(c, w);
        return;
    }
    w->dialling = mote_node_connect_start(c->self, node, &w->ref) == MOTE_OK;
    if (!w->dialling) rest(c, w);
}

static mote_err want(struct cluster *c, mote_term name, uint64_t bit) {
    struct wanted *w = find(c, name);
    if (name.word == mote_atom_term(mote_node_name(c->self, NULL, NULL)).word) return MOTE_OK;
    if (!w) {
        if (c->count == WANTED_MAX) return MOTE_ELIMIT;
        if (!(w = mote_alloc(c->self, sizeof *w))) return MOTE_ENOMEM;
        *w = (struct wanted){.after = c->first};
        if (mt_store(&w->name, name)) {
            mote_dealloc(c->self, w);
            return MOTE_ENOMEM;
        }
        if (w->after) w->after->before = w;
        c->first = w;
        c->count++;
        mt_index_put(&c->index, &w->node, mote_term_hash(name));
        w->wants = bit;
        dial(c, w);
    }
    w->wants |= bit;
    return MOTE_OK;
}

static void want_no_more(struct cluster *c, struct wanted *w, uint64_t bit) {
    w->wants &= ~bit;
    if (!w->wants && !w->up) drop(c, w); /* C2 */
}

/* What a place has found, instead of what it had found before. */
static void found(struct cluster *c, uint64_t place, mote_term names) {
    const uint64_t bit = (uint64_t)2 << place;
    mote_term name;
    for (struct wanted *w = c->first; w; w = w->after) w->wants &= ~bit;
    while (mote_list_get(names, &name, &names) == MOTE_OK)
        if (mote_term_type(name) == MOTE_ATOM) (void)!want(c, name, bit); /* too many: those that come first */
    for (struct wanted *w = c->first, *after; w; w = after) {
        after = w->after;
        want_no_more(c, w, 0);
    }
}

/* ------------------------------------------------------------------------------------------------ who waits */

static void answer(struct cluster *c, mote_term from, mote_err err, mote_term term) {
    if (mote_reply(c->self, from, "{?, ?}", (int)err, term) == MOTE_ENOMEM) mote_exit(c->self, mote_to_name("system_limit")); /* who asks hears of the end */
}

/* Answers those for whom there are enough; `late`: and that one. */
static void release(struct cluster *c, uint64_t late) {
    for (struct waiter **at = &c->waiters, *w; (w = *at);) {
        if (w->count > c->up && w->number != late) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        c->waiting--;
        answer(c, w->from.term, w->count > c->up ? MOTE_TIMEOUT : MOTE_OK, MOTE_TERM_NIL);
        mt_stored_drop(&w->from);
        mote_dealloc(c->self, w);
    }
}

static mote_err wait_for(struct cluster *c, mote_term from, uint64_t count, int64_t timeout_ms) {
    if (c->waiting == WAITERS_MAX) return MOTE_ELIMIT;
    struct waiter *w = mote_alloc(c->self, sizeof *w);
    if (!w) return MOTE_ENOMEM;
    *w = (struct waiter){.next = c->waiters, .count = count, .number = ++c->number};
    mote_err err = mt_store(&w->from, from);
    if (!err && timeout_ms >= 0 && (err = mote_send_after(c->self, timeout_ms, mote_self_pid(c->self), NULL, "{'$late', ?}", w->number))) mt_stored_drop(&w->from);
    if (err) {
        mote_dealloc(c->self, w);
        return err;
    }
    c->waiters = w;
    c->waiting++;
    return MOTE_OK;
}

/* ------------------------------------------------------------------------------------------------- messages */

static mote_term map_of_all(struct cluster *c) {
    mote_term *keys = mote_alloc(c->self, (2 * c->count + 1) * sizeof *keys), map;
    size_t i = 0;
    if (!keys) return MOTE_TERM_NONE;
    for (struct wanted *w = c->first; w; w = w->after, i++) {
        keys[i] = w->name.term;
        keys[c->count + i] = mote_to_name(w->up ? "true" : "false");
    }
    map = mote_map_make(mote_scratch(c->self), c->count, keys, keys + c->count);
    mote_dealloc(c->self, keys);
    return map;
}

static void asked(struct cluster *c, mote_term from, mote_term request) {
    mote_term name, term = MOTE_TERM_NIL;
    uint64_t count;
    int64_t timeout_ms;
    mote_err err = MOTE_EARG;
    if (mote_match(request, "{want, ?}", &name)) {
        err = atom_of(name).word ? want(c, name, 1) : MOTE_ENAME;
    } else if (mote_match(request, "{forget, ?}", &name)) {
        struct wanted *w = find(c, name);
        err = w && w->wants & 1 ? MOTE_OK : MOTE_NOMATCH;
        if (!err) want_no_more(c, w, 1);
    } else if (mote_match(request, "nodes")) {
        err = (term = map_of_all(c)).word ? MOTE_OK : MOTE_ENOMEM;
    } else if (mote_match(request, "{wait, ?, ?}", &count, &timeout_ms)) {
        if (count > c->up && !(err = wait_for(c, from, count, timeout_ms))) return; /* answered when it has come */
        if (count <= c->up) err = MOTE_OK;
    }
    answer(c, from, err, term.word ? term : MOTE_TERM_NIL);
}

/* An attempt has ended. */
static void dialled(struct cluster *c, mote_ref ref, bool up) {
    struct wanted *w = c->first;
    while (w && !(w->dialling && w->ref.word == ref.word)) w = w->after;
    if (w && up) rise(c, w);
    else if (w) rest(c, w);
}

static void gone(struct cluster *c, struct wanted *w) {
    if (!w->up) return; /* an attempt of ours has failed, which we are told */
    w->up = false;
    c->up--;
    if (now_ms(c) - w->up_ms > pause_ms(c, w)) w->failures = 0;
    if (!w->wants) drop(c, w);
    else rest(c, w);
}

static void handle(mote_self *self, mote_term m, void *state) {
    struct cluster *c = state;
    mote_term from, request, name;
    struct wanted *w;
    mote_ref ref;
    uint64_t n;
    bool up;
    (void)self;
    if (mote_match(m, "{'$gen_call', ?, ?}", &from, &request)) asked(c, from, request);
    else if (mote_match(m, "{mote_node, ?, ?}", &ref, &up)) dialled(c, ref, up);
    else if (mote_match(m, "{nodeup, ?}", &name) && (w = find(c, name))) rise(c, w);
    else if (mote_match(m, "{nodedown, ?}", &name) && (w = find(c, name))) gone(c, w);
    else if (mote_match(m, "{'$retry', ?}", &name) && (w = find(c, name)) && !w->up && !w->dialling) dial(c, w);
    else if (mote_match(m, "{'$found', ^, ?, ?}", c->token, &n, &name) && n < PLACES_MAX) found(c, n, name);
    else if (mote_match(m, "{'$late', ?}", &n)) release(c, n);
    release(c, 0);
}

/* -------------------------------------------------------------------------------------------------- looking */

/* alive@host as an atom, one of `arena`. */
static mote_term node_of(mote_arena *arena, mote_bytes alive, mote_bytes host) {
    char name[NAME_MAX_BYTES];
    if (!alive.size || !host.size || alive.size + 1 + host.size > sizeof name) return MOTE_TERM_NONE;
    memcpy(name, alive.data, alive.size);
    name[alive.size] = '@';
    memcpy(name + alive.size + 1, host.data, host.size);
    return mote_atom_make_counted(arena, name, alive.size + 1 + host.size);
}

/* All that a place knows now, as names of nodes. `what` is alive@name of DNS, or a host; `prefix` is of a host's. */
static mote_err look(mote_self *self, bool dns, mote_bytes what, mote_bytes prefix, mote_term *nodes) {
    char host[NAME_MAX_BYTES + 1] = "";
    const char *at = dns ? memchr(what.data, '@', what.size) : NULL;
    size_t alive = at ? (size_t)(at - (const char *)what.data) : 0, skip = at ? alive + 1 : 0;
    mote_term list, one, name, node, out = MOTE_TERM_NIL;
    mote_bytes text;
    memcpy(host, (const char *)what.data + skip, what.size - skip);
    mote_err err = dns ? mote_net_addresses(self, host, &list) : mote_net_names(self, host, &list);
    mote_arena *arena = mote_scratch(self);
    while (!err && mote_list_get(list, &one, &list) == MOTE_OK) {
        if (!dns && !mote_match(one, "{?, _}", &name)) continue;
        if (mote_bytes_get(dns ? one : name, &text)) continue;
        if (!dns && (text.size < prefix.size || memcmp(text.data, prefix.data, prefix.size) != 0)) continue;
        node = dns ? node_of(arena, (mote_bytes){what.data, alive}, text) : node_of(arena, text, (mote_bytes){host, strlen(host)});
        if (node.word) out = mote_cons_make(arena, node, out);
        if (!out.word) err = MOTE_ENOMEM;
    }
    *nodes = out;
    return err;
}

/* Looks again and again, and tells; what cannot be found out now stays as it was. `arg`: {Cluster, Token, Place, IsDns, What, Prefix, Ms} */
static void seek(mote_self *self, mote_term arg) {
    mote_term to, nodes;
    mote_bytes what, prefix;
    uint64_t place, ms;
    mote_ref token;
    bool dns;
    if (!mote_match(arg, "{?, ?, ?, ?, ?, ?, ?}", &to, &token, &place, &dns, &what, &prefix, &ms)) return;
    for (;;) {
        if (look(self, dns, what, prefix, &nodes) == MOTE_OK) (void)mote_send(self, to, "{'$found', ?, ?, ?}", token, place, nodes);
        mote_must(self, mote_sleep(self, (int64_t)jittered(self, ms)));
    }
}

/* -------------------------------------------------------------------------------------------------- starting */

static void start_seekers(struct cluster *c, const struct plan *plan, mote_term places) {
    const mote_spawn_options options = {.body = seek, .name = "cluster_seeks", .link = true, .reach = MOTE_REACH_NONE};
    mote_term one, arg, dns, what, prefix;
    for (uint64_t i = 0; mote_list_get(places, &one, &places) == MOTE_OK; i++) {
        if (!mote_match(one, "{?, ?, ?}", &dns, &what, &prefix)) continue;
        mote_must(c->self, mote_build(mote_scratch(c->self), &arg, "{?, ?, ?, ?, ?, ?, ?}", mote_self_pid(c->self), c->token, i, dns, what, prefix, (uint64_t)plan->look_ms));
        mote_must(c->self, mote_spawn_opt(c->self, &options, arg, NULL));
    }
}

/* `arg`: {Plan, Nodes, Places} */
static void begin(mote_self *self, mote_term arg, void *state) {
    struct cluster *c = state;
    struct plan plan;
    mote_term sealed = MOTE_TERM_NIL, nodes, places = MOTE_TERM_NIL, one;
    if (!mote_match(arg, "{?, ?, ?}", &sealed, &nodes, &places)) nodes = MOTE_TERM_NIL;
    c->self = self;
    c->token = mote_ref_make(self);
    mt_index_init(&c->index, self);
    mote_must(self, mote_flag_set(self, MOTE_REACH, MOTE_REACH_NONE, NULL)); /* others have nothing to say here */
    mote_must(self, mt_unseal(sealed, &plan, sizeof plan));
    c->retry_ms = plan.retry_ms;
    c->retry_ms_max = plan.retry_ms_max;
    mote_must(self, mote_nodes_monitor(self, true));
    while (mote_list_get(nodes, &one, &nodes) == MOTE_OK) mote_must(self, want(c, one, 1));
    start_seekers(c, &plan, places);
}

static void stop(mote_self *self, mote_term reason, void *state) {
    struct cluster *c = state;
    mote_err err = mote_nodes_monitor(self, false);
    (void)reason, (void)err;
    for (struct wanted *w = c->first; w; w = w->after) mt_stored_drop(&w->name);
    for (struct waiter *w = c->waiters; w; w = w->next) mt_stored_drop(&w->from);
}

static const mote_handler cluster_handler = {.name = "cluster", .state_size = sizeof(struct cluster), .init = begin, .handle = handle, .stop = stop};

static bool is_node(const char *text) {
    const char *at = strchr(text, '@');
    return at && at != text && at[1] && !strchr(at + 1, '@') && strlen(text) <= NAME_MAX_BYTES;
}

/* A list of the texts as {IsDns, What, Prefix}, in front of `tail`. None: no memory, or one that cannot be (*err). */
static mote_term places_of(mote_arena *arena, const char *const *texts, bool dns, const char *prefix, mote_term tail, mote_err *err) {
    size_t count = 0;
    while (texts && texts[count]) count++;
    while (count-- && tail.word) {
        const char *text = texts[count];
        mote_term one;
        if (dns ? !is_node(text) : !text[0] || strlen(text) > NAME_MAX_BYTES || strchr(text, '@')) *err = MOTE_EARG;
        const mote_term parts[3] = {mote_to_name(dns ? "true" : "false"), mote_binary_make(arena, text, strlen(text)), mote_binary_make(arena, prefix, strlen(prefix))};
        one = mote_tuple_make(arena, 3, parts);
        tail = mote_cons_make(arena, one, tail);
    }
    if (!tail.word && !*err) *err = MOTE_ENOMEM;
    return tail;
}

static mote_term nodes_of(mote_arena *arena, const char *const *nodes, mote_err *err) {
    mote_term list = MOTE_TERM_NIL;
    for (size_t i = 0; nodes && nodes[i] && list.word; i++) {
        if (!is_node(nodes[i])) *err = MOTE_EARG;
        list = mote_cons_make(arena, mote_atom_make_counted(arena, nodes[i], strlen(nodes[i])), list);
    }
    if (!list.word && !*err) *err = MOTE_ENOMEM;
    return list;
}

static mote_err arg_of(mote_arena *arena, const mote_cluster_options *o, mote_term *arg) {
    struct plan plan = {o->look_ms ? o->look_ms : LOOK_MS, o->retry_ms ? o->retry_ms : RETRY_MS, o->retry_ms_max ? o->retry_ms_max : RETRY_MS_MAX};
    mote_term sealed, places;
    size_t count, wanted;
    mote_err err = MOTE_OK;
    if (plan.retry_ms_max < plan.retry_ms) plan.retry_ms_max = plan.retry_ms;
    places = places_of(arena, o->hosts, false, o->prefix ? o->prefix : "", MOTE_TERM_NIL, &err);
    if (!err) places = places_of(arena, o->dns, true, "", places, &err);
    const mote_term nodes = nodes_of(arena, o->nodes, &err);
    if (!err && (mote_list_length(places, &count) || count > PLACES_MAX || mote_list_length(nodes, &wanted) || wanted > WANTED_MAX)) err = MOTE_EARG;
    if (!err) err = mt_seal(arena, &plan, sizeof plan, &sealed);
    return err ? err : mote_build(arena, arg, "{?, ?, ?}", sealed, nodes, places);
}

mote_err mote_cluster_start_link(mote_self *self, const mote_cluster_options *options, mote_pid *cluster) {
    static const mote_cluster_options none = {0};
    uint32_t creation;
    if (!self) return MOTE_ESELF;
    if (!cluster) return MOTE_EARG;
    (void)mote_node_name(self, &creation, NULL);
    if (!creation) return MOTE_ENOPROC;
    mote_arena *arena = mt_own_arena(self);
    mote_term arg;
    mote_err err = arena ? arg_of(arena, options ? options : &none, &arg) : MOTE_ENOMEM;
    if (!err) err = mt_start_named(self, &cluster_handler, MOTE_TERM_NIL, arg, cluster);
    mt_own_arena_free(self, arena);
    return err;
}

/* --------------------------------------------------------------------------------------------------- callers */

static mote_err ask(mote_self *self, mote_term cluster, mote_term request, mote_term *term) {
    mote_term reply, none;
    mote_err err = mote_call_term(self, cluster, -1, request, &reply);
    return mt_answer(err, reply, term ? term : &none);
}

static mote_err ask_about(mote_self *self, mote_term cluster, const char *what, mote_atom node) {
    mote_term request;
    size_t size;
    if (!self) return MOTE_ESELF;
    const char *name = node.word ? mote_atom_name(node, &size) : NULL;
    if (!name || !is_node(name)) return MOTE_ENAME;
    mote_err err = mote_build(mote_scratch(self), &request, "{?, ?}", mote_to_name(what), node);
    return err ? err : ask(self, cluster, request, NULL);
}

mote_err (mote_cluster_connect)(mote_self *self, mote_term cluster, mote_atom node, int64_t timeout_ms) {
    mote_err err = ask_about(self, cluster, "want", node);
    if (err || node.word == mote_node_name(self, NULL, NULL).word) return err;
    return mote_node_connect(self, node, timeout_ms < 0 ? CONNECT_MS : timeout_ms);
}

mote_err (mote_cluster_forget)(mote_self *self, mote_term cluster, mote_atom node) { return ask_about(self, cluster, "forget", node); }

mote_err (mote_cluster_nodes)(mote_self *self, mote_term cluster, mote_term *nodes) {
    return nodes ? ask(self, cluster, mote_to_name("nodes"), nodes) : MOTE_EARG;
}

mote_err (mote_cluster_wait)(mote_self *self, mote_term cluster, size_t count, int64_t timeout_ms) {
    mote_term request;
    if (!self) return MOTE_ESELF;
    mote_err err = mote_build(mote_scratch(self), &request, "{wait, ?, ?}", (uint64_t)count, timeout_ms);
    return err ? err : ask(self, cluster, request, NULL);
}

/* ------------------------------------------------------------------------------------------- calls to groups */

/* A group's members, in an array of the process's memory, each once. Their terms are in `arena`. */
static mote_err members(mote_self *self, mote_arena *arena, mote_term scope, mote_term group, mote_term **pids, size_t *count) {
    mote_term list, pid;
    size_t length = 0, n = 0;
    mote_err err = (mote_group_members)(self, scope, group, &list);
    if (!err) err = mote_list_length(list, &length);
    if (err) return err;
    mote_term *all = mote_alloc(self, (length + 1) * sizeof *all);
    list = mote_term_copy(arena, list);
    if (!all || !list.word) {
        mote_dealloc(self, all);
        return MOTE_ENOMEM;
    }
    while (mote_list_get(list, &pid, &list) == MOTE_OK) all[n++] = pid;
    *pids = all;
    *count = n;
    return MOTE_OK;
}

static mote_err call_some(mote_self *self, mote_term *pids, size_t count, int64_t timeout_ms, mote_term request, mote_term *reply, mote_term *who) {
    const uint64_t start = mt_now_ms(self);
    mote_err err = MOTE_NOMATCH;
    while (count) {
        size_t i = mt_index_hash(mote_ref_make(self).word ^ start) % count;
        *who = pids[i];
        err = mote_call_term(self, pids[i], mt_left_ms(self, start, timeout_ms), request, reply);
        if (err != MOTE_ENOPROC || !mote_match(*reply, "noproc")) return err;
        pids[i] = pids[--count];
        err = MOTE_NOMATCH;
    }
    return err;
}

mote_err (mote_group_call_any)(mote_self *self, mote_term scope, mote_term group, int64_t timeout_ms, mote_term request, mote_term *reply, mote_pid *pid) {
    mote_term *pids, who = MOTE_TERM_NONE, found;
    size_t count;
    if (!self || !reply) return self ? MOTE_EARG : MOTE_ESELF;
    mote_arena *arena = mt_own_arena(self);
    const mote_term copy = arena ? mote_term_copy(arena, request) : MOTE_TERM_NONE; /* it may lie in what the next wait takes away */
    mote_err err = copy.word ? members(self, arena, scope, group, &pids, &count) : MOTE_ENOMEM;
    if (!err) {
        err = call_some(self, pids, count, timeout_ms, copy, reply, &who);
        mote_dealloc(self, pids);
    }
    if (!err && pid) {
        found = mote_term_copy(mote_scratch(self), who);
        if (!found.word || mote_pid_get(found, pid)) err = MOTE_ENOMEM;
    }
    mt_own_arena_free(self, arena);
    return err;
}

/* What came of one call. */
static mote_term outcome(mote_arena *arena, mote_term pid, mote_err err, mote_term what) {
    mote_term out;
    mote_err built = err == MOTE_TIMEOUT ? mote_build(arena, &out, "{?, error, timeout}", pid) : mote_build(arena, &out, "{?, ?, ?}", pid, mote_to_name(err ? "error" : "ok"), what);
    return built ? MOTE_TERM_NONE : out;
}

/* The answers to calls that have been started, each as it comes. */
static mote_err collect(mote_self *self, mote_arena *arena, const mote_term *pids, const mote_ref *refs, size_t count, int64_t timeout_ms, mote_term *replies) {
    const uint64_t start = mt_now_ms(self);
    mote_term list = MOTE_TERM_NIL;
    for (size_t i = count; i--;) {
        mote_term reply = MOTE_TERM_NIL;
        mote_err err = refs[i].word ? mt_call_wait(self, mt_left_ms(self, start, timeout_ms), refs[i], &reply) : MOTE_ENOMEM;
        if (err && err != MOTE_TIMEOUT && err != MOTE_ENOPROC) {
            while (i--) (void)mote_call_cancel(self, refs[i]);
            return err;
        }
        list = mote_cons_make(arena, outcome(arena, pids[i], err, reply), list);
    }
    if (list.word) *replies = list;
    return list.word ? MOTE_OK : MOTE_ENOMEM;
}

/* Those that come again are left out. */
static size_t unique(const mote_term *pids, size_t count, mote_term *once, mote_self *self) {
    struct mt_index seen;
    struct mt_index_node *nodes = mote_alloc(self, (count + 1) * sizeof *nodes);
    size_t n = 0;
    mt_index_init(&seen, self);
    for (size_t i = 0; nodes && i < count; i++) {
        struct mt_index_node *known = mt_index_first(&seen, mote_term_hash(pids[i]));
        while (known && !mote_term_same(once[known - nodes], pids[i])) known = mt_index_next(known);
        if (known) continue;
        mt_index_put(&seen, &nodes[n], mote_term_hash(pids[i]));
        once[n++] = pids[i];
    }
    mt_index_fini(&seen);
    mote_dealloc(self, nodes);
    return n;
}

mote_err (mote_group_call_all)(mote_self *self, mote_term scope, mote_term group, int64_t timeout_ms, mote_term request, mote_arena *arena, mote_term *replies) {
    mote_term *pids;
    size_t count;
    if (!self || !arena || !replies) return self ? MOTE_EARG : MOTE_ESELF;
    const mote_term copy = mote_term_copy(arena, request);
    mote_err err = copy.word ? members(self, arena, scope, group, &pids, &count) : MOTE_ENOMEM;
    if (err) return err;
    mote_term *once = mote_alloc(self, (count + 1) * sizeof *once);
    mote_ref *refs = mote_alloc(self, (count + 1) * sizeof *refs);
    err = once && refs ? MOTE_OK : MOTE_ENOMEM;
    count = err ? 0 : unique(pids, count, once, self);
    for (size_t i = 0; i < count; i++)
        if (mote_call_start_term(self, once[i], copy, &refs[i])) refs[i].word = 0;
    if (!err) err = collect(self, arena, once, refs, count, timeout_ms, replies);
    mote_dealloc(self, refs);
    mote_dealloc(self, once);
    mote_dealloc(self, pids);
    return err;
}
