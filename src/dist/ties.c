/* SPDX-License-Identifier: Apache-2.0 */
#include "dist/ties.h"

#include <string.h>

#include "term/term.h"

mote_err mt_ties_init(struct mt_ties *ties) { return mt_hash_init(&ties->hash); }

void mt_ties_fini(struct mt_ties *ties) {
    if (!ties->hash.buckets) return;
    for (struct mt_node *node; (node = mt_hash_pop(&ties->hash));) mt_os_free(node);
    mt_hash_fini(&ties->hash);
}

static uint64_t mix(uint64_t h, uint64_t bits) {
    h = (h ^ bits) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

static uint64_t key_of(const struct mt_tie *t) {
    uint64_t h = t->kind;
    if (t->kind == MT_TIE_LINK) return mix(mix(mix(h, t->pid), (uint64_t)t->peer.serial << 32 | t->peer.id), t->peer.creation);
    for (size_t i = 0; i < t->ref.count; i++) h = mix(h, t->ref.words[i]);
    return h;
}

static bool is_same(const struct mt_tie *a, const struct mt_tie *b) {
    if (a->kind != b->kind) return false;
    if (a->kind != MT_TIE_LINK) return a->ref.count == b->ref.count && memcmp(a->ref.words, b->ref.words, a->ref.count * sizeof *a->ref.words) == 0;
    return a->pid == b->pid && a->peer.id == b->peer.id && a->peer.serial == b->peer.serial && a->peer.creation == b->peer.creation;
}

/* Where the one that is known by the same is; its link is NULL: there is none. */
static struct mt_node **find(const struct mt_ties *ties, const struct mt_tie *like) {
    struct mt_node **at = mt_hash_find(&ties->hash, key_of(like));
    while (*at && !((*at)->key == key_of(like) && is_same((struct mt_tie *)(void *)*at, like))) at = &(*at)->next;
    return at;
}

static mote_err tie(struct mt_ties *ties, const struct mt_tie *what) {
    if (*find(ties, what)) return MOTE_OK;
    if (ties->hash.count >= MT_TIES_MAX) return MOTE_ELIMIT;
    struct mt_tie *t = mt_os_alloc(sizeof *t + what->name.size);
    if (!t) return MOTE_ENOMEM;
    *t = *what;
    t->node.key = key_of(t);
    t->name.data = (const char *)(t + 1);
    if (t->name.size) memcpy(t + 1, what->name.data, t->name.size);
    mt_hash_insert(&ties->hash, &t->node);
    return MOTE_OK;
}

static void untie(struct mt_ties *ties, const struct mt_tie *what) {
    struct mt_node **at = find(ties, what);
    if (*at) mt_os_free(mt_hash_remove(&ties->hash, at));
}

/* A monitor: who has made it, of the two sides? */
static mote_err follow_monitor(struct mt_ties *ties, struct mt_tie *like, const struct mt_control *c, bool of_peer) {
    like->kind = of_peer ? MT_TIE_WATCHED : MT_TIE_WATCHES;
    if (c->named) like->name = c->name;
    if (c->op == MT_CONTROL_MONITOR || c->op == MT_CONTROL_SPAWN_REPLY) return tie(ties, like);
    untie(ties, like);
    return MOTE_OK;
}

mote_err mt_ties_follow(struct mt_ties *ties, const struct mt_control *c, uint64_t pid, bool coming) {
    struct mt_tie like = {.pid = pid, .peer = coming ? c->from : c->to, .ref = c->ref};
    switch (c->op) {
    case MT_CONTROL_LINK: return tie(ties, &like);
    case MT_CONTROL_SPAWN_REPLY:
        if (!coming || c->named) return MOTE_OK;
        mote_err err = c->flags & 1 ? tie(ties, &like) : MOTE_OK;
        return !err && (c->flags & 2) ? follow_monitor(ties, &like, c, false) : err;
    case MT_CONTROL_UNLINK:
    case MT_CONTROL_EXIT: untie(ties, &like); break;
    case MT_CONTROL_MONITOR:
    case MT_CONTROL_DEMONITOR: return follow_monitor(ties, &like, c, coming);
    case MT_CONTROL_DOWN: return follow_monitor(ties, &like, c, !coming);
    default: break;
    }
    return MOTE_OK;
}

uint64_t mt_ties_watched(const struct mt_ties *ties, const struct mt_far_ref *ref) {
    const struct mt_tie *t = (const struct mt_tie *)(void *)*find(ties, &(struct mt_tie){.kind = MT_TIE_WATCHED, .ref = *ref});
    return t ? t->pid : 0;
}

struct mt_tie *mt_ties_take(struct mt_ties *ties, unsigned worker) {
    struct mt_tie *taken = NULL, *kept = NULL;
    for (struct mt_tie *t; (t = (struct mt_tie *)(void *)mt_hash_pop(&ties->hash));) {
        struct mt_tie **list = mt_pid_worker(t->pid) == worker ? &taken : &kept;
        t->next = *list;
        *list = t;
    }
    for (struct mt_tie *t; (t = kept);) {
        kept = t->next;
        mt_hash_insert(&ties->hash, &t->node);
    }
    return taken;
}
