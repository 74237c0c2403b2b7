/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/roster.h"

#include <mote/external.h>

void mt_roster_init(struct mt_roster *roster, mote_self *self) {
    *roster = (struct mt_roster){.self = self};
    mt_index_init(&roster->slots, self);
    mt_index_init(&roster->owners, self);
}

void mt_roster_fini(struct mt_roster *roster) {
    for (struct mt_roster_slot *slot = roster->first; slot; slot = slot->after) {
        for (struct mt_roster_entry *e = slot->first; e; e = e->after) mt_stored_drop(&e->value);
        mt_stored_drop(&slot->key);
    }
    roster->first = roster->last = NULL;
}

struct mt_roster_slot *mt_roster_slot(const struct mt_roster *roster, mote_term key) {
    struct mt_index_node *node = mt_index_first(&roster->slots, mote_term_hash(key));
    while (node && !mote_term_same(((struct mt_roster_slot *)(void *)node)->key.term, key)) node = mt_index_next(node);
    return (struct mt_roster_slot *)(void *)node;
}

struct mt_roster_owner *mt_roster_owner(const struct mt_roster *roster, mote_pid pid) {
    struct mt_index_node *node = mt_index_first(&roster->owners, mt_index_hash(pid.word));
    while (node && ((struct mt_roster_owner *)(void *)node)->pid.word != pid.word) node = mt_index_next(node);
    return (struct mt_roster_owner *)(void *)node;
}

static void drop_slot(struct mt_roster *r, struct mt_roster_slot *slot) {
    mt_index_remove(&r->slots, &slot->node);
    *(slot->before ? &slot->before->after : &r->first) = slot->after;
    *(slot->after ? &slot->after->before : &r->last) = slot->before;
    mt_stored_drop(&slot->key);
    mote_dealloc(r->self, slot);
}

static void drop_owner(struct mt_roster *r, struct mt_roster_owner *owner) {
    (void)mote_demonitor(r->self, owner->monitor, true, NULL);
    mt_index_remove(&r->owners, &owner->node);
    mote_dealloc(r->self, owner);
}

static struct mt_roster_slot *need_slot(struct mt_roster *r, mote_term key) {
    struct mt_roster_slot *slot = mt_roster_slot(r, key);
    if (slot || !(slot = mote_alloc(r->self, sizeof *slot))) return slot;
    if (mt_store(&slot->key, key)) {
        mote_dealloc(r->self, slot);
        return NULL;
    }
    mt_index_put(&r->slots, &slot->node, mote_term_hash(key));
    slot->before = r->last;
    *(r->last ? &r->last->after : &r->first) = slot;
    r->last = slot;
    return slot;
}

static struct mt_roster_owner *need_owner(struct mt_roster *r, mote_pid pid) {
    struct mt_roster_owner *owner = mt_roster_owner(r, pid);
    if (owner || !(owner = mote_alloc(r->self, sizeof *owner))) return owner;
    if (mote_monitor(r->self, pid, &owner->monitor)) { /* O1 */
        mote_dealloc(r->self, owner);
        return NULL;
    }
    owner->pid = pid;
    mt_index_put(&r->owners, &owner->node, mt_index_hash(pid.word));
    return owner;
}

static void link_entry(struct mt_roster *r, struct mt_roster_entry *e) {
    struct mt_roster_slot *slot = e->slot;
    struct mt_roster_owner *owner = e->owner;
    e->before = slot->last;
    *(slot->last ? &slot->last->after : &slot->first) = e;
    slot->last = e;
    e->own_before = owner->last;
    *(owner->last ? &owner->last->own_after : &owner->first) = e;
    owner->last = e;
    r->count++;
}

mote_err mt_roster_add(struct mt_roster *roster, mote_term key, mote_pid pid, mote_term value) {
    if (mote_far_get(mote_pid_term(pid), NULL)) return MOTE_EARG; /* its word is the message's */
    struct mt_roster_entry *e = mote_alloc(roster->self, sizeof *e);
    struct mt_roster_slot *slot = e ? need_slot(roster, key) : NULL;
    struct mt_roster_owner *owner = slot ? need_owner(roster, pid) : NULL;
    if (owner && !mt_store(&e->value, value)) {
        e->slot = slot;
        e->owner = owner;
        link_entry(roster, e);
        return MOTE_OK;
    }
    if (owner && !owner->first) drop_owner(roster, owner);
    if (slot && !slot->first) drop_slot(roster, slot);
    mote_dealloc(roster->self, e);
    return MOTE_ENOMEM;
}

void mt_roster_remove(struct mt_roster *roster, struct mt_roster_entry *e) {
    struct mt_roster_slot *slot = e->slot;
    struct mt_roster_owner *owner = e->owner;
    *(e->before ? &e->before->after : &slot->first) = e->after;
    *(e->after ? &e->after->before : &slot->last) = e->before;
    *(e->own_before ? &e->own_before->own_after : &owner->first) = e->own_after;
    *(e->own_after ? &e->own_after->own_before : &owner->last) = e->own_before;
    mt_stored_drop(&e->value);
    mote_dealloc(roster->self, e);
    roster->count--;
    if (!slot->first) drop_slot(roster, slot); /* O2 */
    if (!owner->first) drop_owner(roster, owner);
}

void mt_roster_leave(struct mt_roster *roster, struct mt_roster_owner *owner) {
    for (bool more = true; more;) {
        more = owner->first != owner->last;
        mt_roster_remove(roster, owner->first);
    }
}

struct mt_roster_owner *mt_roster_down(const struct mt_roster *roster, mote_pid pid, mote_ref monitor) {
    struct mt_roster_owner *owner = mt_roster_owner(roster, pid);
    return owner && owner->monitor.word == monitor.word ? owner : NULL;
}

bool mt_roster_dead(const struct mt_roster *roster, mote_pid pid) {
    bool alive = true;
    mote_err err = mote_is_alive(roster->self, pid, &alive); /* a handler is not told while it would have to wait: then it lives */
    return !err && !alive;
}
