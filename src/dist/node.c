/* SPDX-License-Identifier: Apache-2.0
 * The public functions of node.h, and the beginning and end of a node. */
#include "dist/branch.h"

#include <limits.h>
#include <mote/global.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 15000
#define LISTENERS_FEW 16u /* are not worth looking at */
#define RIGHTS ((unsigned)(MOTE_RIGHT_EXIT | MOTE_RIGHT_SPAWN | MOTE_RIGHT_RPC | MOTE_RIGHT_SYSTEM))

static void free_facts(struct mt_peer_facts *f);

struct mt_dist *mt_dist_of(const mote_runtime *rt) {
    const struct mt_net *net = mt_far_net_of(rt);
    return net ? net->context : NULL;
}

static mote_err dist_of(mote_self *self, struct mt_dist **dist) {
    if (!self) return MOTE_ESELF;
    *dist = mt_dist_of(mt_runtime(mt_self(self)));
    return *dist ? MOTE_OK : MOTE_ENOPROC;
}

/* ---------------------------------------------------------------------------------------------- beginning */

static size_t cookie_for(void *context, mote_bytes peer, char cookie[MT_COOKIE_MAX]) {
    struct mt_dist *d = context;
    const char *found = d->cookie;
    size_t size;
    mt_lock_take(&d->mu);
    for (const struct mt_peer_facts *f = d->facts; f; f = f->next) {
        const char *name = mote_atom_name((mote_atom){f->node}, &size);
        if (f->cookie[0] && size == peer.size && memcmp(name, peer.data, size) == 0) found = f->cookie;
    }
    size = strlen(found);
    memcpy(cookie, found, size);
    mt_lock_drop(&d->mu);
    return size;
}

/* What has the net process dial a node. NULL: no memory. */
static struct mt_sig *order_of(struct mt_dist *d, struct mt_sched *s, uint64_t node) {
    struct mt_sig *sig = NULL;
    mote_arena *arena = mote_arena_new(0);
    mote_term term;
    if (arena && !mote_build(arena, &term, "{dial, ?, ?}", (mote_atom){node}, (uint64_t)(uintptr_t)d) && mt_sig_of_term(&s->cache, term, 0, NULL, &sig)) sig = NULL;
    mote_arena_free(arena);
    return sig;
}

/* Opens a link for a node that something is for, and has the net process dial it. */
static bool dial(void *context, struct mt_sched *s, uint64_t node) {
    struct mt_dist *d = context;
    mote_name name = mt_name_of_atom(node);
    struct mt_link *link;
    if (!mt_node_name_fits((mote_bytes){name.data, name.size})) return false;
    struct mt_sig *order = d->is_branch ? NULL : order_of(d, s, node); /* of a worker's the hub hears by what is sent */
    mote_err err = order || d->is_branch ? mt_link_new(d, s, node, NULL, &link) : MOTE_ENOMEM;
    if (err == MOTE_OK && order) mt_deliver(s, atomic_load_explicit(&d->process, memory_order_relaxed), order);
    else if (order) mt_sig_free(&s->cache, order);
    if (err && err != MOTE_EBUSY) mt_log(d->runtime, MOTE_LOG_ERROR, "no connection to %s is tried: %s", name.data, mote_err_text(err));
    return !err || err == MOTE_EBUSY;
}

static mote_err wrong(char *why, size_t size, mote_err err, const char *text) {
    if (size) snprintf(why, size, "%s", text);
    return err;
}

/* Where it listens: if nobody says so on loopback, at the very address in its name if that is of it. */
static const char *address_of(const mote_node_options *o) {
    const char *at = o->name ? strchr(o->name, '@') : NULL;
    return o->address ? o->address : at && mt_net_is_loopback(at + 1) ? at + 1 : "127.0.0.1";
}

static mote_err check(struct mt_dist *d, const mote_node_options *o, char *why, size_t size) {
    size_t n = o->name ? strlen(o->name) : 0;
    const char *address = address_of(o);
    if (!n || !mt_node_name_fits((mote_bytes){o->name, n}) || !mt_epmd_name_fits((mote_bytes){o->name, (size_t)(strchr(o->name, '@') - o->name)}))
        return wrong(why, size, MOTE_ENAME, "a node's name is alive@host, of printable ASCII, 255 characters at most");
    if (!mt_net_is_address(address)) return wrong(why, size, MOTE_EARG, "the address to listen at has to be an IP address");
    if (!mt_net_is_loopback(address) && !o->insecure && !o->tls)
        return wrong(why, size, MOTE_EARG, "without TLS a node listens on loopback alone: everybody on the way could read and take over; `tls` protects, `insecure` allows it");
    if (o->global_names && !o->visible) return wrong(why, size, MOTE_EARG, "global names are for visible nodes");
    if (o->rights & ~RIGHTS) return wrong(why, size, MOTE_EARG, "rights are a sum of MOTE_RIGHT_...");
    if (o->cookie && (!o->cookie[0] || strlen(o->cookie) > MT_COOKIE_MAX)) return wrong(why, size, MOTE_EARG, "a cookie has 1 to 255 characters");
    if (!mt_digest_there()) return wrong(why, size, MOTE_EOS, "OpenSSL's libcrypto is not there (Debian: libssl3)");
    d->beyond = !mt_net_is_loopback(address);
    memcpy(d->name, o->name, n + 1);
    d->alive_size = (size_t)(strchr(o->name, '@') - o->name);
    d->options = *o;
    d->options.tick_ms = o->tick_ms ? o->tick_ms : MT_TICK_MS;
    d->options.processes_max = o->processes_max ? o->processes_max : MT_SERVED_MAX;
    d->options.call_ms = o->call_ms ? o->call_ms : MT_CALL_MS;
    d->options.atoms_max = o->atoms_max ? o->atoms_max : MT_ATOMS_MAX;
    d->options.relations_max = o->relations_max ? o->relations_max : MT_RELATIONS_MAX;
    d->options.message_max = o->message_max && o->message_max < MT_MESSAGE_MAX ? o->message_max : MT_MESSAGE_MAX;
    d->options.queue_max = o->queue_max ? o->queue_max : MT_LINK_MAX;
    d->port = o->port;
    const char *set = getenv("ERL_EPMD_PORT");
    long port = o->epmd_port ? o->epmd_port : set ? strtol(set, NULL, 10) : MT_EPMD_PORT;
    if (port <= 0 || port > 65535) return wrong(why, size, MOTE_EARG, "ERL_EPMD_PORT is no port");
    d->epmd_port = (uint16_t)port;
    if (o->cookie) memcpy(d->cookie, o->cookie, strlen(o->cookie) + 1);
    mote_err err = o->cookie ? MOTE_OK : mt_cookie_read(o->cookie_file, d->cookie, why, size);
    if (err || !mt_cookie_is_weak(d->cookie)) return err;
    if (!mt_net_is_loopback(address) && !o->tls) return wrong(why, size, MOTE_EARG, "this cookie is too weak to listen anywhere but on loopback without TLS: take 20 characters or more, best those that mote makes when there is no file");
    mt_log(d->runtime, MOTE_LOG_WARNING, "the cookie is weak: who hears one handshake finds it; take 20 characters or more, best those that mote makes when there is no file");
    return MOTE_OK;
}

static void free_dist(struct mt_dist *d) {
    if (!d) return;
    for (struct mt_link *l; (l = d->links); mt_link_free(l)) d->links = l->next;
    for (struct mt_link *l; (l = d->over); mt_link_free(l)) d->over = l->next;
    for (struct mt_peer_facts *f; (f = d->facts);) {
        d->facts = f->next;
        free_facts(f);
    }
    mt_listeners_free(d->listeners);
    for (struct mt_knock *k; (k = d->guard.first); mt_os_free(k)) mt_guard_leave(&d->guard, k); /* whose process has not begun */
    if (d->listener >= 0) mt_os_close(d->listener);
    mt_challenges_free(d->shake.challenges);
    mt_tls_free(d->tls);
    mt_lock_fini(&d->mu);
    mt_digest_wipe(d, sizeof *d);
    mt_os_free(d);
}

/* The name, registered, and the net process. */
static mote_err begin(mote_self *self, struct mt_dist *d, char *why, size_t size) {
    const mote_spawn_options options = {.body = mt_net_process, .name = "net", .stack_size = 131072, .reach = MOTE_REACH_NONE};
    uint32_t creation = (uint32_t)mt_os_random() | 4, secret[4];
    int epmd = -1;
    mote_pid pid;
    mote_term arg;
    mote_err err = d->options.no_epmd ? MOTE_OK : mt_epmd_register(self, d, &epmd, &creation, why, size);
    if (err) return err;
    mote_arena *arena = mote_arena_new(0);
    d->net.creation = d->shake.creation = creation;
    for (unsigned i = 0; i < 2; i++) memcpy(&secret[2 * i], &(uint64_t){mt_os_random()}, sizeof(uint64_t));
    mote_ref_key_make(&d->net.ref_key, secret);
    mt_digest_wipe(secret, sizeof secret);
    err = arena ? mote_build(arena, &arg, "{?, ?}", (uint64_t)(uintptr_t)d, epmd) : MOTE_ENOMEM;
    if (!err) err = mt_far_net(d->runtime, &d->net);
    if (!err) err = mt_observe(d);
    if (!err && d->options.global_names) err = mote_global_start(self, NULL); /* before anybody can connect */
    if (!err && (err = mote_spawn_opt(self, &options, arg, &pid)) == MOTE_OK) atomic_store(&d->process, pid.word);
    const mote_spawn_options leads = {.body = mt_leader_process, .name = "group leader", .reach = MOTE_REACH_PROTECTED};
    if (!err && (err = mote_spawn_opt(self, &leads, MOTE_TERM_NIL, &pid)) == MOTE_OK) atomic_store(&d->leader, pid.word);
    if (!err) err = mt_branch_begin(d->runtime);
    mote_arena_free(arena);
    if (err && size) snprintf(why, size, "%s", err == MOTE_EBUSY ? "it is a node already" : mote_err_text(err));
    return err;
}

static mote_err make(mote_self *self, struct mt_dist *d, const mote_node_options *o, char *why, size_t size) {
    mote_err err = check(d, o, why, size);
    if (err) return err;
    if (o->tls && (err = mt_tls_new(o->tls, (mote_bytes){d->name, strlen(d->name)}, &d->tls, why, size))) return err;
    if ((err = mt_net_listen(address_of(o), &d->port, &d->listener))) {
        if (size) snprintf(why, size, "cannot listen at port %u: %s", o->port, err == MOTE_EBUSY ? "another program does" : mote_err_text(err));
        return err;
    }
    if ((err = mt_challenges_new(&d->shake.challenges))) return err;
    if (!(d->net.name = mt_atom_intern(d->name, strlen(d->name), true, &err))) return err;
    d->net.context = d;
    d->net.dial = dial;
    d->net.over = (void (*)(void *))free_dist;
    d->shake.name = (mote_bytes){d->name, strlen(d->name)};
    d->shake.flags = MT_FLAGS_OURS | (o->visible ? MT_FLAG_PUBLISHED : 0);
    d->shake.prefix = d->tls ? 4 : 2;
    d->shake.cookie = cookie_for;
    d->shake.context = d;
    return begin(self, d, why, size);
}

/* What `mote run` says to a program that is not Python's. */
static mote_node_options of_environment(void) {
    const char *port = getenv("MOTE_NODE_PORT"), *rights = getenv("MOTE_NODE_RIGHTS");
    return (mote_node_options){.name = getenv("MOTE_NODE_NAME"), .tls = getenv("MOTE_NODE_TLS"), .address = getenv("MOTE_NODE_ADDRESS"), .port = port ? (uint16_t)strtoul(port, NULL, 10) : 0,
                               .visible = getenv("MOTE_NODE_VISIBLE") != NULL, .no_epmd = getenv("MOTE_NODE_NO_EPMD") != NULL, .rights = rights ? (unsigned)strtoul(rights, NULL, 10) : 0};
}

/* And whom it is to be connected with. */
static mote_err connect_all(mote_self *self, char *why, size_t size) {
    const char *names = getenv("MOTE_NODE_CONNECT");
    char name[MT_NODE_NAME_MAX + 1];
    mote_err err = MOTE_OK;
    for (size_t n; names && !err && *(names += strspn(names, " ")); names += n) {
        n = strcspn(names, " ");
        snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : 0), names);
        err = mote_node_connect(self, mote_atom_make(name), -1);
        if (err && size) snprintf(why, size, "cannot connect to %s: %s", name, err == MOTE_ENOPROC ? "the log says why" : mote_err_text(err));
    }
    return err;
}

mote_err mote_node_start(mote_self *self, const mote_node_options *options, char *why, size_t size) {
    if (!self) return MOTE_ESELF;
    if (!why) size = 0;
    if (mt_own_worker(mt_runtime(mt_self(self)))) return wrong(why, size, MOTE_ECONTEXT, "a worker is of its hub's node: the hub starts it");
    if (!options) {
        const mote_node_options said = of_environment();
        if (!said.name) return wrong(why, size, MOTE_ENAME, "no name: `mote run` gives this program one, or its options");
        mote_err err = mote_node_start(self, &said, why, size);
        return err ? err : connect_all(self, why, size);
    }
    if (mt_dist_of(mt_runtime(mt_self(self)))) return wrong(why, size, MOTE_EBUSY, "it is a node already");
    struct mt_dist *d = mt_os_alloc_zero(sizeof *d);
    if (!d) return MOTE_ENOMEM;
    d->runtime = mt_runtime(mt_self(self));
    d->listener = -1;
    mt_lock_init(&d->mu, MT_RANK_DIST);
    mote_err err = make(self, d, options, why, size);
    if (err && mt_dist_of(d->runtime) != d) free_dist(d); /* once it is published it stays as long as the runtime */
    return err;
}

mote_err mt_dist_join(mote_runtime *rt, mote_bytes name, uint32_t creation, const mote_ref_key *key, uint16_t port, uint64_t process, struct mt_dist **dist) {
    mote_err err = MOTE_OK;
    if (name.size > MT_NODE_NAME_MAX || !mt_node_name_fits(name)) return MOTE_ENAME;
    struct mt_dist *d = mt_os_alloc_zero(sizeof *d);
    if (!d) return MOTE_ENOMEM;
    memcpy(d->name, name.data, name.size);
    d->runtime = rt;
    d->is_branch = true;
    d->listener = -1;
    d->port = port;
    d->options = (mote_node_options){.processes_max = MT_SERVED_MAX, .call_ms = MT_CALL_MS, .atoms_max = MT_ATOMS_MAX, .relations_max = MT_RELATIONS_MAX}; /* what a peer may the hub says with each message */
    d->shake.name = (mote_bytes){d->name, name.size};
    d->net = (struct mt_net){.context = d, .creation = creation, .ref_key = *key, .dial = dial, .over = (void (*)(void *))free_dist};
    atomic_init(&d->process, process);
    mt_lock_init(&d->mu, MT_RANK_DIST);
    if (!(d->net.name = mt_atom_intern(d->name, name.size, true, &err)) || (err = mt_far_net(rt, &d->net))) free_dist(d);
    else *dist = d;
    return err;
}

mote_err mote_node_join(mote_self *self) {
    if (!self) return MOTE_ESELF;
    mote_runtime *rt = mt_runtime(mt_self(self));
    return mt_own_worker(rt) ? mt_branch_begin(rt) : MOTE_EARG;
}

mote_atom mote_node_name(mote_self *self, uint32_t *creation, uint16_t *port) {
    struct mt_dist *d;
    bool is = dist_of(self, &d) == MOTE_OK;
    if (creation) *creation = is ? d->net.creation : 0;
    if (port) *port = is ? d->port : 0;
    return (mote_atom){is ? d->net.name : MT_NODE};
}

/* ------------------------------------------------------------------------------------------------- peers */

struct mt_peer_facts *mt_facts_locked(struct mt_dist *d, uint64_t node) {
    struct mt_peer_facts *f = d->facts;
    while (f && f->node != node) f = f->next;
    if (f || !(f = mt_os_alloc_zero(sizeof *f))) return f;
    mt_atom_hold(node);
    f->node = node;
    f->next = d->facts;
    d->facts = f;
    return f;
}

struct mt_purse *mt_facts_purse(struct mt_dist *d, uint64_t node) {
    mt_lock_take(&d->mu);
    struct mt_peer_facts *f = mt_facts_locked(d, node);
    if (f && !f->purse) f->purse = mt_purse_new(d->options.atoms_max);
    struct mt_purse *purse = f ? f->purse : NULL;
    mt_lock_drop(&d->mu);
    return purse;
}

static void free_facts(struct mt_peer_facts *f) {
    mt_atom_drop(f->node);
    mt_purse_drop(f->purse);
    mt_digest_wipe(f, sizeof *f);
    mt_os_free(f);
}

void mt_facts_tidy(struct mt_dist *d, uint64_t node) {
    mt_lock_take(&d->mu);
    struct mt_peer_facts **at = &d->facts, *f;
    while (*at && (*at)->node != node) at = &(*at)->next;
    f = *at;
    bool said = f && (f->port || f->cookie[0] || f->has_rights);
    bool counts = f && (f->running || atomic_load(&f->ended) || (f->purse && mt_purse_held(f->purse)));
    for (const struct mt_link *l = d->links; l && f; l = l->next) counts |= l->facts == f || l->node == node;
    if (said || counts) f = NULL;
    if (f) *at = f->next;
    mt_lock_drop(&d->mu);
    if (f) free_facts(f);
}

mote_err mote_node_rights(mote_self *self, mote_atom node, unsigned rights) {
    struct mt_dist *d;
    mote_err err = dist_of(self, &d);
    if (!err && (!node.word || rights & ~RIGHTS)) err = MOTE_EARG;
    if (err) return err;
    mt_lock_take(&d->mu);
    struct mt_peer_facts *f = mt_facts_locked(d, node.word);
    if (f) {
        f->has_rights = true;
        f->rights = rights;
    }
    mt_lock_drop(&d->mu);
    return f ? MOTE_OK : MOTE_ENOMEM;
}

mote_err mote_node_at(mote_self *self, mote_atom node, const char *address, uint16_t port) {
    struct mt_dist *d;
    mote_err err = dist_of(self, &d);
    if (!err && (!node.word || !address || !mt_net_is_address(address) || strlen(address) >= MT_NET_ADDRESS || !port)) err = MOTE_EARG;
    if (err) return err;
    if (d->is_branch) return mt_branch_ask(d, MT_BRANCH_AT, node.word, address, port);
    mt_lock_take(&d->mu);
    struct mt_peer_facts *f = mt_facts_locked(d, node.word);
    if (f) {
        memcpy(f->address, address, strlen(address) + 1);
        f->port = port;
    }
    mt_lock_drop(&d->mu);
    return f ? MOTE_OK : MOTE_ENOMEM;
}

/* Wakes all connections. Without memory they look with their next ticks. */
static void have_all_look(mote_self *self, struct mt_dist *d) {
    size_t count = 0;
    mt_lock_take(&d->mu);
    for (const struct mt_link *l = d->links; l; l = l->next) count++;
    uint64_t *processes = count ? mt_os_alloc(count * sizeof *processes) : NULL;
    count = 0;
    for (const struct mt_link *l = processes ? d->links : NULL; l; l = l->next)
        if (l->process) processes[count++] = l->process;
    mt_lock_drop(&d->mu);
    for (size_t i = 0; i < count; i++) (void)mote_send(self, (mote_pid){processes[i]}, "look");
    mt_os_free(processes);
}

mote_err mote_node_tls_reload(mote_self *self, char *why, size_t size) {
    struct mt_dist *d;
    mote_err err = dist_of(self, &d);
    if (!why) size = 0;
    if (!err && !d->tls) err = MOTE_ENOPROC;
    if (err) return wrong(why, size, err, "this is no node with TLS");
    err = mt_tls_reload(d->tls, why, size);
    if (!err) have_all_look(self, d);
    return err;
}

mote_err mote_node_cookie(mote_self *self, mote_atom node, const char *cookie) {
    struct mt_dist *d;
    mote_err err = dist_of(self, &d);
    if (!err && (!node.word || !cookie || !cookie[0] || strlen(cookie) > MT_COOKIE_MAX)) err = MOTE_EARG;
    if (err) return err;
    if (d->is_branch) return mt_branch_ask(d, MT_BRANCH_COOKIE, node.word, cookie, 0);
    mt_lock_take(&d->mu);
    struct mt_peer_facts *f = mt_facts_locked(d, node.word);
    if (f) memcpy(f->cookie, cookie, strlen(cookie) + 1);
    mt_lock_drop(&d->mu);
    return f ? MOTE_OK : MOTE_ENOMEM;
}

/* --------------------------------------------------------------------------------------------- connecting */

static bool is_up_locked(struct mt_dist *d, uint64_t node) {
    const struct mt_link *link = mt_link_find_locked(d, node);
    return link && link->state == MT_LINK_UP;
}

/* One more who listens, NULL; or who asks for a connection that is up: he has his answer, and is given back. */
static mote_err enlist(struct mt_dist *d, const struct mt_listener *what, struct mt_listener **told) {
    struct mt_listener *l = mt_os_alloc(sizeof *l);
    if (!l) return MOTE_ENOMEM;
    *l = *what;
    if (!mt_told_always(l->kind)) mt_atom_hold(l->node);
    mt_lock_take(&d->mu);
    bool up = l->kind == MT_TOLD_REF && is_up_locked(d, l->node);
    struct mt_listener *over = NULL;
    if (!up && d->listening >= d->look_at) {
        over = mt_listeners_over_locked(d);
        d->look_at = 2 * d->listening + LISTENERS_FEW;
    }
    l->next = up ? NULL : d->listeners;
    if (!up) d->listeners = l, d->listening++;
    mt_lock_drop(&d->mu);
    mt_listeners_free(over);
    *told = up ? l : NULL;
    return MOTE_OK;
}

/* Takes one such out. NULL: there is none. */
static struct mt_listener *delist(struct mt_dist *d, const struct mt_listener *what) {
    struct mt_listener *found = NULL;
    mt_lock_take(&d->mu);
    for (struct mt_listener **at = &d->listeners, *l; (l = *at) && !found; at = &l->next) {
        if (l->kind != what->kind || l->pid != what->pid || l->node != what->node || (what->ref && l->ref != what->ref)) continue;
        found = l;
        *at = l->next;
        d->listening--;
        found->next = NULL;
        break;
    }
    mt_lock_drop(&d->mu);
    return found;
}

mote_err mt_listen(struct mt_dist *d, struct mt_sched *s, const struct mt_listener *what, bool on) {
    struct mt_listener *told = NULL;
    if (d->is_branch) return mt_branch_listen(d, what, on);
    mote_err err = on ? enlist(d, what, &told) : MOTE_OK;
    if (!on) mt_listeners_free(delist(d, what));
    if (err || !on || mt_told_always(what->kind)) return err;
    if (told) mt_tell(s, told, what->node, true);
    else if (!dial(d, s, what->node)) mt_tell(s, delist(d, what), what->node, false); /* else what becomes of it finds him in the list */
    return MOTE_OK;
}

mote_err mote_node_connect_start(mote_self *self, mote_atom node, mote_ref *ref) {
    struct mt_dist *d;
    mote_err err = dist_of(self, &d);
    if (!err && (!node.word || !ref || node.word == d->net.name)) err = MOTE_EARG;
    if (err) return err;
    *ref = mote_ref_make(self);
    return mt_listen(d, mt_self(self)->task.sched, &(struct mt_listener){.kind = MT_TOLD_REF, .node = node.word, .pid = mote_self_pid(self).word, .ref = ref->word}, true);
}

mote_err mote_node_connect(mote_self *self, mote_atom node, int64_t timeout_ms) {
    struct mt_dist *d;
    mote_ref ref;
    bool up = false;
    mote_err err = dist_of(self, &d);
    if (!err) err = mote_node_connect_start(self, node, &ref);
    if (err) return err;
    mote_term m;
    err = mote_receive_match(self, timeout_ms < 0 ? WAIT_MS : timeout_ms, "{mote_node, ^, ?}", ref, &up);
    (void)m;
    if (err == MOTE_TIMEOUT) (void)!mt_listen(d, mt_self(self)->task.sched, &(struct mt_listener){.kind = MT_TOLD_REF, .node = node.word, .pid = mote_self_pid(self).word, .ref = ref.word}, false);
    return err ? err : up ? MOTE_OK : MOTE_ENOPROC;
}

mote_err mote_node_disconnect(mote_self *self, mote_atom node) {
    struct mt_dist *d;
    mote_err err = dist_of(self, &d);
    if (err) return err;
    mt_lock_take(&d->mu);
    const struct mt_link *link = mt_link_find_locked(d, node.word);
    uint64_t process = link ? link->process : 0;
    bool asks = d->is_branch && link && link->state == MT_LINK_UP;
    mt_lock_drop(&d->mu);
    if (asks) return mt_branch_ask(d, MT_BRANCH_DISCONNECT, node.word, "", 0);
    return process ? mote_send(self, (mote_pid){process}, "close") : MOTE_ENOPROC;
}

mote_err mote_nodes(mote_self *self, bool hidden, mote_atom *nodes, size_t capacity, size_t *count) {
    struct mt_dist *d;
    size_t n = 0;
    if (!count || (capacity && !nodes)) return MOTE_EARG;
    mote_err err = dist_of(self, &d);
    if (err == MOTE_ENOPROC) *count = 0;
    if (err) return err == MOTE_ENOPROC ? MOTE_OK : err;
    mt_lock_take(&d->mu);
    for (const struct mt_link *link = d->links; link; link = link->next) {
        if (link->state != MT_LINK_UP || (link->hidden && !hidden)) continue;
        if (n < capacity) nodes[n].word = link->node;
        n++;
    }
    mt_lock_drop(&d->mu);
    *count = n;
    return MOTE_OK;
}

mote_err mote_peer_info_get(mote_self *self, mote_atom node, mote_peer_info *info) {
    struct mt_dist *d;
    mote_err err = dist_of(self, &d);
    if (err) return err;
    mt_lock_take(&d->mu);
    const struct mt_link *link = is_up_locked(d, node.word) ? mt_link_find_locked(d, node.word) : NULL;
    if (link && info) *info = (mote_peer_info){.visible = !link->hidden, .monitors = link->flags & MT_FLAG_MONITOR_NAME, .connection_id = mt_connection_id(link)}; /* the flags are const now */
    mt_lock_drop(&d->mu);
    return link ? MOTE_OK : MOTE_NOMATCH;
}

mote_err mote_node_monitor(mote_self *self, mote_atom node, bool on) {
    struct mt_dist *d;
    mote_err err = dist_of(self, &d);
    if (err || !node.word) return err ? err : MOTE_EARG;
    const struct mt_listener what = {.kind = MT_TOLD_DOWN, .node = node.word, .pid = mote_self_pid(self).word};
    return mt_listen(d, mt_self(self)->task.sched, &what, on);
}

static mote_err listen_to_all(mote_self *self, enum mt_told kind, bool on) {
    struct mt_dist *d;
    mote_err err = dist_of(self, &d);
    if (err) return err;
    const struct mt_listener what = {.kind = kind, .pid = mote_self_pid(self).word};
    return mt_listen(d, mt_self(self)->task.sched, &what, on);
}

mote_err mote_nodes_monitor(mote_self *self, bool on) { return listen_to_all(self, MT_TOLD_ALL, on); }

mote_err mote_connections_monitor(mote_self *self, bool on) { return listen_to_all(self, MT_TOLD_NUMBERED, on); }
