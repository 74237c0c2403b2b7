/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/names.h"

#include <mote/external.h>
#include <stddef.h>

bool mt_term_fits(mote_term term, size_t bytes_max) {
    uint8_t bytes[4096];
    mote_writer w;
    if (bytes_max > sizeof bytes) bytes_max = sizeof bytes;
    mote_writer_init(&w, MOTE_FORM_ERLANG, bytes, bytes_max, bytes_max);
    bool fits = mote_term_encode(term, NULL, &w) == MOTE_OK;
    mote_writer_fini(&w);
    return fits;
}

static bool is_dead(mote_self *self, mote_term term) {
    mote_pid pid;
    bool alive = true;
    if (mote_far_get(term, NULL) || mote_pid_get(term, &pid)) return false; /* of another node's ends DOWN tells */
    return mote_is_alive(self, pid, &alive) == MOTE_OK && !alive;
}

/* ----------------------------------------------------------------------------------------------------- names */

static struct mt_name *of_ref(struct mt_index_node *node) { return node ? (struct mt_name *)(void *)((char *)node - offsetof(struct mt_name, by_ref)) : NULL; }

void mt_names_init(struct mt_names *names, mote_self *self) {
    *names = (struct mt_names){.self = self};
    mt_index_init(&names->keys, self);
    mt_index_init(&names->refs, self);
}

static void drop_terms(struct mt_name *n) {
    mt_stored_drop(&n->key);
    mt_stored_drop(&n->pid);
    mt_stored_drop(&n->method);
}

void mt_names_fini(struct mt_names *names) {
    for (struct mt_name *n = names->first; n; n = n->after) drop_terms(n);
    names->first = NULL;
}

struct mt_name *mt_names_find(const struct mt_names *names, mote_term key) {
    struct mt_index_node *node = mt_index_first(&names->keys, mote_term_hash(key));
    while (node && !mote_term_same(((struct mt_name *)(void *)node)->key.term, key)) node = mt_index_next(node);
    return (struct mt_name *)(void *)node;
}

struct mt_name *mt_names_living(struct mt_names *names, mote_term key) {
    struct mt_name *n = mt_names_find(names, key);
    if (!n || !is_dead(names->self, n->pid.term)) return n;
    mt_names_remove(names, n);
    return NULL;
}

/* Its monitor is gone, or does not matter. */
static void drop_name(struct mt_names *names, struct mt_name *n) {
    mt_index_remove(&names->keys, &n->by_key);
    mt_index_remove(&names->refs, &n->by_ref);
    *(n->before ? &n->before->after : &names->first) = n->after;
    if (n->after) n->after->before = n->before;
    drop_terms(n);
    mote_dealloc(names->self, n);
}

void mt_names_remove(struct mt_names *names, struct mt_name *n) {
    (void)mote_demonitor(names->self, n->monitor, true, NULL);
    drop_name(names, n);
}

mote_err mt_names_put(struct mt_names *names, mote_term key, mote_term pid, mote_term method) {
    struct mt_name *old = mt_names_find(names, key);
    if (mote_term_type(pid) != MOTE_PID) return MOTE_EARG;
    if (!mt_term_fits(key, MT_NAME_MAX) || !mt_term_fits(method, MT_METHOD_MAX) || (!old && names->keys.count >= MT_NAMES_MAX)) return MOTE_ELIMIT; /* K2 */
    struct mt_name *n = mote_alloc(names->self, sizeof *n);
    if (!n) return MOTE_ENOMEM;
    *n = (struct mt_name){.after = names->first};
    if (mt_store(&n->key, key) || mt_store(&n->pid, pid) || mt_store(&n->method, method) || mote_monitor(names->self, pid, &n->monitor)) {
        drop_terms(n);
        mote_dealloc(names->self, n);
        return MOTE_ENOMEM;
    }
    if (old) mt_names_remove(names, old);
    n->after = names->first;
    if (n->after) n->after->before = n;
    names->first = n;
    mt_index_put(&names->keys, &n->by_key, mote_term_hash(n->key.term));
    mt_index_put(&names->refs, &n->by_ref, mt_index_hash(n->monitor.word));
    return MOTE_OK;
}

void mt_names_part(struct mt_names *names, mote_atom node) {
    mote_far far;
    for (struct mt_name *n = names->first, *after; n; n = after) {
        after = n->after;
        if (mote_far_get(n->pid.term, &far) && far.node.word == node.word) mt_names_remove(names, n);
    }
}

bool mt_names_down(struct mt_names *names, mote_ref monitor) {
    struct mt_index_node *node = mt_index_first(&names->refs, mt_index_hash(monitor.word));
    while (node && of_ref(node)->monitor.word != monitor.word) node = mt_index_next(node);
    if (node) drop_name(names, of_ref(node));
    return node != NULL;
}

/* ----------------------------------------------------------------------------------------------------- locks */

struct mt_holder {
    struct mt_index_node by_ref; /* first */
    struct mt_holder *next;
    struct mt_lock_held *lock;
    struct mt_stored pid;
    mote_ref monitor;
};

void mt_locks_init(struct mt_locks *locks, mote_self *self) {
    *locks = (struct mt_locks){.self = self};
    mt_index_init(&locks->resources, self);
    mt_index_init(&locks->refs, self);
}

static void drop_lock_terms(struct mt_lock_held *l) {
    mt_stored_drop(&l->resource);
    mt_stored_drop(&l->requester);
}

void mt_locks_fini(struct mt_locks *locks) {
    for (struct mt_lock_held *l = locks->first; l; l = l->after) {
        for (struct mt_holder *h = l->holders; h; h = h->next) mt_stored_drop(&h->pid);
        drop_lock_terms(l);
    }
    locks->first = NULL;
}

static struct mt_lock_held *find(const struct mt_locks *locks, mote_term resource) {
    struct mt_index_node *node = mt_index_first(&locks->resources, mote_term_hash(resource));
    while (node && !mote_term_same(((struct mt_lock_held *)(void *)node)->resource.term, resource)) node = mt_index_next(node);
    return (struct mt_lock_held *)(void *)node;
}

static void forget(struct mt_locks *locks, struct mt_lock_held *l) {
    mt_index_remove(&locks->resources, &l->by_resource);
    *(l->before ? &l->before->after : &locks->first) = l->after;
    if (l->after) l->after->before = l->before;
    drop_lock_terms(l);
    mote_dealloc(locks->self, l);
}

static void release(struct mt_locks *locks, struct mt_holder *h) {
    struct mt_holder **at = &h->lock->holders;
    while (*at != h) at = &(*at)->next;
    *at = h->next;
    (void)mote_demonitor(locks->self, h->monitor, true, NULL);
    mt_index_remove(&locks->refs, &h->by_ref);
    mt_stored_drop(&h->pid);
    if (!h->lock->holders) forget(locks, h->lock); /* K3 */
    mote_dealloc(locks->self, h);
}

static struct mt_holder *holder(const struct mt_lock_held *l, mote_term pid) {
    struct mt_holder *h = l->holders;
    while (h && !mote_term_same(h->pid.term, pid)) h = h->next;
    return h;
}

static struct mt_lock_held *make(struct mt_locks *locks, mote_term resource, mote_term requester) {
    struct mt_lock_held *l = mote_alloc(locks->self, sizeof *l);
    if (!l) return NULL;
    *l = (struct mt_lock_held){.after = locks->first};
    if (mt_store(&l->resource, resource) || mt_store(&l->requester, requester)) {
        drop_lock_terms(l);
        mote_dealloc(locks->self, l);
        return NULL;
    }
    if (l->after) l->after->before = l;
    locks->first = l;
    mt_index_put(&locks->resources, &l->by_resource, mote_term_hash(l->resource.term));
    return l;
}

static bool hold(struct mt_locks *locks, struct mt_lock_held *l, mote_term pid) {
    struct mt_holder *h = locks->refs.count < MT_HOLDERS_MAX ? mote_alloc(locks->self, sizeof *h) : NULL;
    if (!h) return false;
    *h = (struct mt_holder){.lock = l, .next = l->holders};
    if (mt_store(&h->pid, pid) || mote_monitor(locks->self, pid, &h->monitor)) {
        mt_stored_drop(&h->pid);
        mote_dealloc(locks->self, h);
        return false;
    }
    l->holders = h;
    mt_index_put(&locks->refs, &h->by_ref, mt_index_hash(h->monitor.word));
    return true;
}

/* The lock of a resource, once all holders that are known to have ended hold it no longer. */
static struct mt_lock_held *living(struct mt_locks *locks, mote_term resource) {
    for (;;) {
        struct mt_lock_held *l = find(locks, resource);
        struct mt_holder *h = l ? l->holders : NULL;
        while (h && !is_dead(locks->self, h->pid.term)) h = h->next;
        if (!h) return l;
        release(locks, h);
    }
}

bool mt_locks_set(struct mt_locks *locks, mote_term lock, mote_term pid) {
    mote_term resource, requester;
    if (!mote_match(lock, "{?, ?}", &resource, &requester) || mote_term_type(pid) != MOTE_PID || !mt_term_fits(lock, MT_LOCK_MAX)) return false;
    struct mt_lock_held *l = living(locks, resource);
    if (l && !mote_term_same(l->requester.term, requester)) return false;
    if (l && holder(l, pid)) return true;
    if (!l && !(l = make(locks, resource, requester))) return false;
    bool holds = hold(locks, l, pid);
    if (!l->holders) forget(locks, l);
    return holds;
}

void mt_locks_drop(struct mt_locks *locks, mote_term lock, mote_term pid) {
    mote_term resource, requester;
    struct mt_lock_held *l = mote_match(lock, "{?, ?}", &resource, &requester) ? find(locks, resource) : NULL;
    struct mt_holder *h = l && mote_term_same(l->requester.term, requester) ? holder(l, pid) : NULL;
    if (h) release(locks, h);
}

bool mt_locks_down(struct mt_locks *locks, mote_ref monitor) {
    struct mt_index_node *node = mt_index_first(&locks->refs, mt_index_hash(monitor.word));
    while (node && ((struct mt_holder *)(void *)node)->monitor.word != monitor.word) node = mt_index_next(node);
    if (node) release(locks, (struct mt_holder *)(void *)node);
    return node != NULL;
}
