/* SPDX-License-Identifier: Apache-2.0 */
#include "dist/bonds.h"

#include <string.h>

#include "term/term.h"

mote_err mt_bonds_init(struct mt_bonds *bonds) { return mt_hash_init(&bonds->hash); }

void mt_bonds_fini(struct mt_bonds *bonds) {
    if (!bonds->hash.buckets) return;
    for (struct mt_node *node; (node = mt_hash_pop(&bonds->hash));) mt_os_free(node);
    mt_hash_fini(&bonds->hash);
}

static uint64_t mix(uint64_t h, uint64_t bits) {
    h = (h ^ bits) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

static uint64_t key_of(const struct mt_bond *t) {
    uint64_t h = t->kind;
    if (t->kind == MT_BOND_LINK) return mix(mix(mix(h, t->pid), (uint64_t)t->peer.serial << 32 | t->peer.id), t->peer.creation);
    for (size_t i = 0; i < t->ref.count; i++) h = mix(h, t->ref.words[i]);
    return h;
}

static bool is_same(const struct mt_bond *a, const struct mt_bond *b) {
    if (a->kind != b->kind) return false;
    if (a->kind != MT_BOND_LINK) return a->ref.count == b->ref.count && memcmp(a->ref.words, b->ref.words, a->ref.count * sizeof *a->ref.words) == 0;
    return a->pid == b->pid && a->peer.id == b->peer.id && a->peer.serial == b->peer.serial && a->peer.creation == b->peer.creation;
}

/* Where the one that is known by the same is; its link is NULL: there is none. */
static struct mt_node **find(const struct mt_bonds *bonds, const struct mt_bond *like) {
    const uint64_t key = key_of(like);
    struct mt_node **at = mt_hash_find(&bonds->hash, key);
    while (*at && !((*at)->key == key && is_same((struct mt_bond *)(void *)*at, like))) at = &(*at)->next;
    return at;
}

static mote_err bind(struct mt_bonds *bonds, const struct mt_bond *what) {
    if (*find(bonds, what)) return MOTE_OK;
    if (bonds->hash.count >= MT_BONDS_MAX) return MOTE_ELIMIT;
    struct mt_bond *t = mt_os_alloc(sizeof *t + what->name.size);
    if (!t) return MOTE_ENOMEM;
    *t = *what;
    t->node.key = key_of(t);
    t->name.data = (const char *)(t + 1);
    if (t->name.size) memcpy(t + 1, what->name.data, t->name.size);
    mt_hash_insert(&bonds->hash, &t->node);
    return MOTE_OK;
}

static void unbind(struct mt_bonds *bonds, const struct mt_bond *what) {
    struct mt_node **at = find(bonds, what);
    if (*at) mt_os_free(mt_hash_remove(&bonds->hash, at));
}

/* A monitor: who has made it, of the two sides? */
static mote_err follow_monitor(struct mt_bonds *bonds, struct mt_bond *like, const struct mt_control *c, bool of_peer) {
    like->kind = of_peer ? MT_BOND_WATCHED : MT_BOND_WATCHES;
    if (c->named) like->name = c->name;
    if (c->op == MT_CONTROL_MONITOR || c->op == MT_CONTROL_SPAWN_REPLY) return bind(bonds, like);
    unbind(bonds, like);
    return MOTE_OK;
}

mote_err mt_bonds_follow(struct mt_bonds *bonds, const struct mt_control *c, uint64_t pid, bool coming) {
    struct mt_bond like = {.pid = pid, .peer = coming ? c->from : c->to, .ref = c->ref};
    switch (c->op) {
    case MT_CONTROL_LINK: return bind(bonds, &like);
    case MT_CONTROL_SPAWN_REPLY:
        if (!coming || c->named) return MOTE_OK;
        mote_err err = c->flags & 1 ? bind(bonds, &like) : MOTE_OK;
        return !err && (c->flags & 2) ? follow_monitor(bonds, &like, c, false) : err;
    case MT_CONTROL_UNLINK:
    case MT_CONTROL_EXIT: unbind(bonds, &like); break;
    case MT_CONTROL_MONITOR:
    case MT_CONTROL_DEMONITOR: return follow_monitor(bonds, &like, c, coming);
    case MT_CONTROL_DOWN: return follow_monitor(bonds, &like, c, !coming);
    default: break;
    }
    return MOTE_OK;
}

uint64_t mt_bonds_watched(const struct mt_bonds *bonds, const struct mt_far_ref *ref) {
    const struct mt_bond *t = (const struct mt_bond *)(void *)*find(bonds, &(struct mt_bond){.kind = MT_BOND_WATCHED, .ref = *ref});
    return t ? t->pid : 0;
}

struct mt_bond *mt_bonds_take(struct mt_bonds *bonds, unsigned worker) {
    struct mt_bond *taken = NULL, *kept = NULL;
    for (struct mt_bond *t; (t = (struct mt_bond *)(void *)mt_hash_pop(&bonds->hash));) {
        struct mt_bond **list = mt_pid_worker(t->pid) == worker ? &taken : &kept;
        t->next = *list;
        *list = t;
    }
    for (struct mt_bond *t; (t = kept);) {
        kept = t->next;
        mt_hash_insert(&bonds->hash, &t->node);
    }
    return taken;
}
