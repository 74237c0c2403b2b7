/* SPDX-License-Identifier: Apache-2.0
 * Who gets the link of a node when both dial, or one dials again: docs/design/dist.md says it for every order of events. */
#include <string.h>

#include "dist/branch.h"

/* -------------------------------------------------------------------------------------------------- names */

static bool is_named(const struct mt_attempt *a, uint64_t node) {
    const mote_name name = mt_name_of_atom(node);
    return a->name_size == name.size && memcmp(a->name, name.data, name.size) == 0;
}

/* Whether our own attempt to dial the peer goes before its. */
static bool ours_goes_first(const struct mt_dist *dist, const struct mt_attempt *a) {
    return mt_node_goes_first(dist->shake.name, (mote_bytes){a->name, a->name_size});
}

static void send_to(mote_self *self, uint64_t process, const char *what) {
    const mote_term term = mote_atom_term(mote_atom_make(what));
    if (process) (void)mote_send(self, (mote_pid){process}, "?", term);
}

/* ------------------------------------------------------------------------------------------ peers' attempts */

enum mt_shake_known mt_attempt_begin(struct mt_dist *dist, struct mt_attempt *a) {
    enum mt_shake_known is = MT_SHAKE_STRANGER;
    mt_lock_take(&dist->mu);
    MT_ASSERT(!a->listed);
    a->listed = true;
    a->next = dist->attempts;
    dist->attempts = a;
    for (const struct mt_link *link = dist->links; link; link = link->next) {
        if (!is_named(a, link->node)) continue;
        if (link->state == MT_LINK_DIALLING) is = MT_SHAKE_DIALLED;
        if (link->state != MT_LINK_TAKEN && link->state != MT_LINK_UP) continue;
        is = MT_SHAKE_IS_UP;
        a->replaces = link->process;
    }
    mt_lock_drop(&dist->mu);
    return is;
}

void mt_attempt_end(mote_self *self, struct mt_dist *dist, struct mt_attempt *a) {
    uint64_t process = 0;
    mt_lock_take(&dist->mu);
    for (struct mt_attempt **at = &dist->attempts; *at; at = &(*at)->next)
        if (*at == a) {
            *at = a->next;
            break;
        }
    for (const struct mt_link *link = dist->links; link && a->listed; link = link->next)
        if (link->state == MT_LINK_YIELDING && is_named(a, link->node)) process = link->process;
    a->listed = false;
    mt_lock_drop(&dist->mu);
    send_to(self, process, "look");
}

/* Has those look again who wait for what becomes of a node's link. Each alone: nothing is sent under a lock. */
static void wake_waiting(mote_self *self, struct mt_dist *dist, uint64_t node) {
    for (;;) {
        mt_lock_take(&dist->mu);
        struct mt_attempt *a = dist->attempts;
        while (a && !(a->waits && is_named(a, node))) a = a->next;
        uint64_t process = a ? a->process : 0;
        if (a) a->waits = false;
        mt_lock_drop(&dist->mu);
        if (!process) return;
        send_to(self, process, "look");
    }
}

static struct mt_link *ending_locked(struct mt_dist *dist, uint64_t node) {
    struct mt_link *link = dist->links;
    while (link && !(link->node == node && link->state == MT_LINK_ENDING)) link = link->next;
    return link;
}

static void take_locked(struct mt_link *link, uint64_t process, enum mt_link_state state) {
    link->process = process;
    link->state = state;
    atomic_store_explicit(&link->waker, process, memory_order_relaxed);
}

/* Decides about a proved attempt. *old: whose connection has to end first, or has ended. */
static enum mt_claim claim_locked(struct mt_dist *dist, const struct mt_attempt *a, uint64_t node, struct mt_link **link, uint64_t *old) {
    struct mt_link *l = mt_link_find_locked(dist, node);
    *old = 0;
    if (a->overtaken) return MT_CLAIM_REFUSED;
    if (ending_locked(dist, node)) return MT_CLAIM_WAITS;
    if (!l) return MT_CLAIM_FREE;
    bool replaces = l->process == a->replaces || (l->state == MT_LINK_UP && l->creation != a->creation);
    switch (l->state) {
    case MT_LINK_DIALLING:
        if (ours_goes_first(dist, a)) return MT_CLAIM_WAITS;
        break;
    case MT_LINK_YIELDING: break;
    case MT_LINK_UP:
        if (!replaces) return MT_CLAIM_REFUSED;
        *old = l->process;
        return MT_CLAIM_WAITS;
    case MT_LINK_TAKEN:
        if (replaces) *old = l->process;
        return MT_CLAIM_WAITS;
    case MT_LINK_ENDING: return MT_CLAIM_WAITS;
    }
    *old = l->process;
    take_locked(l, a->process, MT_LINK_TAKEN);
    *link = l;
    return MT_CLAIM_OURS;
}

enum mt_claim mt_claim(mote_self *self, struct mt_dist *dist, struct mt_attempt *a, uint64_t node, struct mt_link **link) {
    uint64_t old;
    enum mt_claim claim;
    do {
        mt_lock_take(&dist->mu);
        claim = claim_locked(dist, a, node, link, &old);
        a->waits = claim == MT_CLAIM_WAITS;
        mt_lock_drop(&dist->mu);
        send_to(self, old, "give_way");
        if (claim != MT_CLAIM_FREE) return claim;
        mote_err err = mt_link_new(dist, mt_self(self)->task.sched, node, a, link);
        claim = !err ? MT_CLAIM_OURS : err == MOTE_EBUSY ? MT_CLAIM_FREE : MT_CLAIM_REFUSED;
    } while (claim == MT_CLAIM_FREE); /* another has been faster */
    return claim;
}

/* --------------------------------------------------------------------------------------------- our attempts */

struct mt_link *mt_claim_dial(mote_self *self, struct mt_dist *dist, uint64_t node) {
    mt_lock_take(&dist->mu);
    struct mt_link *link = mt_link_find_locked(dist, node);
    if (link && (link->state != MT_LINK_DIALLING || link->process)) link = NULL;
    if (link) take_locked(link, mote_self_pid(self).word, MT_LINK_DIALLING);
    mt_lock_drop(&dist->mu);
    return link;
}

/* The link that a process has; NULL: it was taken over. */
static struct mt_link *own_locked(mote_self *self, struct mt_dist *dist, uint64_t node) {
    struct mt_link *link = mt_link_find_locked(dist, node);
    return link && link->process == mote_self_pid(self).word ? link : NULL;
}

bool mt_claim_is_ours(mote_self *self, struct mt_dist *dist, uint64_t node) {
    mt_lock_take(&dist->mu);
    bool ours = own_locked(self, dist, node) != NULL;
    mt_lock_drop(&dist->mu);
    return ours;
}

bool mt_claim_dialled(mote_self *self, struct mt_dist *dist, uint64_t node) {
    mt_lock_take(&dist->mu);
    struct mt_link *link = own_locked(self, dist, node);
    if (link) link->state = MT_LINK_TAKEN;
    mt_lock_drop(&dist->mu);
    return link != NULL;
}

enum mt_claim mt_claim_yield(mote_self *self, struct mt_dist *dist, uint64_t node) {
    mt_lock_take(&dist->mu);
    struct mt_link *link = own_locked(self, dist, node);
    if (link) link->state = MT_LINK_YIELDING;
    const struct mt_attempt *a = dist->attempts;
    while (a && !is_named(a, node)) a = a->next;
    mt_lock_drop(&dist->mu);
    if (link) wake_waiting(self, dist, node);
    return !link ? MT_CLAIM_REFUSED : a ? MT_CLAIM_WAITS : MT_CLAIM_FREE;
}

/* ---------------------------------------------------------------------------------------------- up and down */

bool mt_claim_is_ending(struct mt_dist *dist, uint64_t node) {
    mt_lock_take(&dist->mu);
    bool is = ending_locked(dist, node) != NULL;
    mt_lock_drop(&dist->mu);
    return is;
}

void mt_claim_up(mote_self *self, struct mt_link *link, bool hidden) {
    struct mt_dist *dist = link->dist;
    uint64_t node = link->node;
    mt_lock_take(&dist->mu);
    MT_ASSERT(link->state == MT_LINK_TAKEN && link->process == mote_self_pid(self).word);
    link->state = MT_LINK_UP;
    link->hidden = hidden;
    for (struct mt_attempt *a = dist->attempts; a; a = a->next)
        if (is_named(a, node) && a->creation == link->creation && a->replaces != link->process) a->overtaken = true;
    mt_branch_up_locked(link);
    struct mt_listener *told = mt_told_locked(dist, link, true, true);
    mt_lock_drop(&dist->mu);
    mt_tell(mt_self(self)->task.sched, told, node, true);
    wake_waiting(self, dist, node);
}

void mt_claim_gone(mote_self *self, struct mt_link *link) {
    struct mt_dist *dist = link->dist;
    mt_lock_take(&dist->mu);
    mt_link_out_locked(&dist->links, link);
    link->next = dist->over;
    dist->over = link;
    mt_lock_drop(&dist->mu);
    wake_waiting(self, dist, link->node);
}
