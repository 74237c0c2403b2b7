/* SPDX-License-Identifier: Apache-2.0
 * Links: from the first signal for a node to the last that its end tells. */
#include <string.h>

#include "dist/branch.h"

#define TAKE_BYTES 4096u /* of small frames, in one hold of the lock */

/* --------------------------------------------------------------------------------------------- identifiers */

mote_name mt_name_of_atom(uint64_t atom) {
    mote_name name = {0};
    name.data = mote_atom_name((mote_atom){atom}, &name.size);
    return name;
}

struct mt_far_pid mt_far_pid_of(const struct mt_dist *dist, uint64_t pid) {
    return (struct mt_far_pid){mt_name_of_atom(dist->net.name), (uint32_t)(pid >> 3), (uint32_t)(pid >> 35), dist->net.creation};
}

struct mt_far_ref mt_far_ref_of(const struct mt_dist *dist, uint64_t ref) {
    struct mt_far_ref far = {.node = mt_name_of_atom(dist->net.name), .creation = dist->net.creation, .count = 3};
    mote_ref_as_far((mote_ref){ref}, &dist->net.ref_key, far.words);
    return far;
}

static bool is_ours(const struct mt_dist *dist, const mote_name *node, uint32_t creation) {
    const mote_bytes own = dist->shake.name;
    return creation == dist->net.creation && node->size == own.size && memcmp(node->data, own.data, own.size) == 0;
}

uint64_t mt_own_pid(const struct mt_dist *dist, const struct mt_far_pid *pid) {
    mote_pid own;
    return is_ours(dist, &pid->node, pid->creation) && mote_pid_of_far(pid->id, pid->serial, &own) ? own.word : 0;
}

uint64_t mt_own_ref(const struct mt_dist *dist, const struct mt_far_ref *ref) {
    mote_ref own;
    return is_ours(dist, &ref->node, ref->creation) && mote_ref_of_far(ref->words, ref->count, &dist->net.ref_key, &own) ? own.word : 0;
}

uint64_t mt_peer_pid(struct mt_link *link, const struct mt_far_pid *pid) {
    const struct mt_remote_id id = {.node = link->node, .kind = MT_REMOTE_PID, .creation = pid->creation, .count = 2, .words = {pid->id, pid->serial}};
    return mt_far_word_of(link->dist->runtime, &id);
}

/* -------------------------------------------------------------------------------------------------- links */

struct mt_link *mt_link_find_locked(struct mt_dist *dist, uint64_t node) {
    struct mt_link *link = dist->links;
    while (link && (link->node != node || link->state == MT_LINK_ENDING)) link = link->next;
    return link;
}

void mt_link_free(struct mt_link *link) {
    for (struct mt_early *e; (e = link->early); mt_os_free(e)) link->early = e->next;
    for (struct mt_node *node; (node = mt_hash_pop(&link->watches));) mt_os_free(node);
    for (struct mt_node *node; (node = mt_hash_pop(&link->ties));) mt_os_free(node);
    mt_hash_fini(&link->watches);
    mt_hash_fini(&link->refs);
    mt_hash_fini(&link->ties);
    mt_bonds_fini(&link->bonds);
    mt_frames_out_free(link->out);
    mt_atom_drop(link->node);
    mt_lock_fini(&link->mu);
    mt_os_free(link);
}

static mote_err make(struct mt_dist *dist, uint64_t node, struct mt_link **link) {
    struct mt_link *l = mt_os_alloc_zero(sizeof *l);
    if (!l) return MOTE_ENOMEM;
    l->dist = dist;
    l->node = node;
    l->early_end = &l->early;
    mt_atom_hold(node);
    mt_lock_init(&l->mu, MT_RANK_LINK);
    mote_err err = mt_hash_init(&l->watches);
    if (!err) err = mt_hash_init(&l->refs);
    if (!err) err = mt_hash_init(&l->ties);
    if (!err && !dist->is_branch) err = mt_bonds_init(&l->bonds);
    if (!err && dist->is_branch && !(l->purse = mt_facts_purse(dist, node))) err = MOTE_ENOMEM;
    l->flags = dist->is_branch ? MT_FLAGS_OURS : 0; /* by which the hub and its workers write */
    if (err) mt_link_free(l);
    else *link = l;
    return err;
}

struct mt_link *mt_link_await(struct mt_dist *dist, uint64_t node) {
    struct mt_link *l;
    for (bool open = false; !open; mt_cpu_relax()) { /* no longer than mt_far_node_open() takes */
        mt_lock_take(&dist->mu);
        l = mt_link_find_locked(dist, node);
        open = !l || l->place;
        mt_lock_drop(&dist->mu);
    }
    return l;
}

static mote_err enter(struct mt_link *l, const struct mt_attempt *attempt) {
    struct mt_dist *dist = l->dist;
    mt_lock_take(&dist->mu);
    mote_err err = mt_link_find_locked(dist, l->node) ? MOTE_EBUSY : attempt && attempt->overtaken ? MOTE_ESTOPPED : MOTE_OK;
    if (!err && !dist->is_branch && !(l->facts = mt_facts_locked(dist, l->node))) err = MOTE_ENOMEM;
    if (!err) {
        l->number = dist->ends;
        l->next = dist->links;
        dist->links = l;
        l->state = attempt ? MT_LINK_TAKEN : MT_LINK_DIALLING;
        l->process = attempt ? attempt->process : 0;
        atomic_store_explicit(&l->waker, l->process, memory_order_relaxed);
    }
    mt_lock_drop(&dist->mu);
    return err;
}

/* Its place, or it has not been. */
static mote_err open_place(struct mt_link *l, struct mt_sched *s) {
    struct mt_dist *dist = l->dist;
    struct mt_carrier carrier = mt_link_carrier;
    unsigned place = 0;
    carrier.context = l;
    mote_err err = mt_far_node_open(dist->runtime, l->node, &carrier, &place);
    struct mt_listener *told = NULL;
    mt_lock_take(&dist->mu);
    l->place = place;
    if (err) {
        mt_link_out_locked(&dist->links, l);
        told = mt_told_locked(dist, l, false, false);
    }
    mt_lock_drop(&dist->mu);
    if (err) mt_tell(s, told, l->node, false);
    return err;
}

mote_err mt_link_new(struct mt_dist *dist, struct mt_sched *s, uint64_t node, const struct mt_attempt *attempt, struct mt_link **link) {
    struct mt_link *l;
    mote_err err = make(dist, node, &l);
    if (err) return err;
    err = enter(l, attempt);
    if (err == MOTE_EBUSY) (void)mt_link_await(dist, node);
    if (!err) err = open_place(l, s);
    if (err) mt_link_free(l);
    else *link = l;
    return err;
}

/* Puts what has waited into `out`, which nobody else has yet. It is written for a node of mote's, and anew for who has other flags. */
static bool put_early(const struct mt_link *l, struct mt_frames_out *out, uint64_t flags, const struct mt_early *e) {
    mote_bytes control = {e->bytes, e->control}, payload = {e->bytes + e->control, e->payload};
    struct mt_control c;
    mote_writer w, plain;
    bool follows, done = true;
    if ((flags & ~MT_FLAG_PUBLISHED) == MT_FLAGS_OURS) return mt_frames_out_put(out, e->sender, control, payload, NULL, NULL) == MOTE_OK;
    if (mt_control_read(control, payload, MT_FLAGS_OFFERED, l->dist->shake.name, &c)) return true;
    mote_writer_init(&w, MOTE_FORM_ERLANG, NULL, 0, MT_MESSAGE_MAX);
    mote_writer_init(&plain, MOTE_FORM_ERLANG, NULL, 0, MT_MESSAGE_MAX);
    if (mt_link_plain(l, c.payload, flags, &plain)) done = c.op != MT_CONTROL_SPAWN; /* who waits for an answer gets one when the link ends */
    else if (c.payload = mote_writer_bytes(&plain), mt_control_write(&c, flags, &w, &follows)) done = c.op != MT_CONTROL_SPAWN;
    else done = mt_frames_out_put(out, e->sender, mote_writer_bytes(&w), follows ? c.payload : (mote_bytes){0}, NULL, NULL) == MOTE_OK;
    mote_writer_fini(&plain);
    mote_writer_fini(&w);
    return done;
}

/* Takes what has waited so far, in its order. Gives; NULL: nothing has, and from now on nothing will: it goes into `out`. */
static struct mt_early *take_early(struct mt_link *l, struct mt_frames_out *out, const struct mt_shake *shake) {
    mt_lock_take(&l->mu);
    struct mt_early *early = l->early;
    l->early = NULL;
    l->early_end = &l->early;
    if (!early) {
        l->flags = shake->flags;
        l->creation = shake->peer_creation;
        l->out = out;
        l->early_bytes = 0;
        atomic_store_explicit(&l->up_flags, shake->flags, memory_order_relaxed);
        atomic_store_explicit(&l->waiting, mt_frames_out_bytes(out), memory_order_relaxed);
    }
    mt_lock_drop(&l->mu);
    return early;
}

bool mt_link_rise(mote_self *self, struct mt_link *link, const struct mt_shake *shake) {
    struct mt_frames_out *out;
    if (!(link->purse = mt_facts_purse(link->dist, link->node)) || mt_frames_out_new(shake->flags, &out)) return false;
    bool done = true;
    atomic_store_explicit(&link->untyped, !(shake->flags & MT_FLAG_TYPES), memory_order_relaxed);
    for (struct mt_early *early; (early = take_early(link, out, shake));)
        for (struct mt_early *e; (e = early); mt_os_free(e)) {
            done = put_early(link, out, shake->flags, e) && done;
            early = e->next;
        }
    mt_claim_up(self, link, !(shake->flags & MT_FLAG_PUBLISHED));
    return done;
}

size_t mt_link_waiting(struct mt_link *link) { return atomic_load_explicit(&link->waiting, memory_order_relaxed); }

bool mt_link_crowded(struct mt_link *link, uint64_t sender) {
    if (mt_link_waiting(link) <= MT_LINK_CROWD) return false;
    mt_lock_take(&link->mu);
    size_t bytes = link->out ? mt_frames_out_bytes(link->out) : link->early_bytes;
    bool crowded = bytes > MT_LINK_CROWD && (!link->out || !sender || mt_frames_out_hogs(link->out, sender, MT_LINK_CROWD));
    mt_lock_drop(&link->mu);
    return crowded;
}

enum mt_verdict mt_link_take(mote_self *self, struct mt_link *link, mote_writer *writer) {
    const size_t enough = mote_writer_bytes(writer).size + TAKE_BYTES;
    enum mt_verdict verdict;
    if (mt_link_waiting(link) == 0) return MT_MORE;
    mt_lock_take(&link->mu);
    do verdict = mt_frames_out_take(link->out, writer);
    while (!verdict && mote_writer_bytes(writer).size < enough);
    atomic_store_explicit(&link->waiting, mt_frames_out_bytes(link->out), memory_order_relaxed);
    bool drained = link->crowded && mt_frames_out_bytes(link->out) <= MT_LINK_CROWD / 2;
    if (drained) link->crowded = false;
    struct mt_message *over = mt_frames_out_over(link->out);
    mt_lock_drop(&link->mu);
    mt_frames_over_free(over);
    if (!drained) return verdict;
    mt_far_drained(mt_self(self)->task.sched, link->place);
    mt_branch_drained(link);
    return verdict;
}

void mt_link_out_locked(struct mt_link **list, struct mt_link *link) {
    while (*list && *list != link) list = &(*list)->next;
    if (*list) *list = link->next;
}

void mt_link_end(mote_self *self, struct mt_link *link) {
    struct mt_dist *dist = link->dist;
    struct mt_sched *s = mt_self(self)->task.sched;
    struct mt_hash notes;
    mt_lock_take(&link->mu);
    link->over = true;
    mt_lock_drop(&link->mu);
    while (mt_hash_init(&notes)) mote_must(self, mote_sleep(self, 10));
    mt_lock_take(&dist->mu); /* in one step: who finds no link from here on finds no place, and who listens is told, or of the next */
    bool was_up = link->state == MT_LINK_UP;
    link->state = MT_LINK_ENDING;
    mt_far_close(dist->runtime, link->place, &notes);
    mt_branch_lost_locked(link);
    struct mt_listener *told = mt_told_locked(dist, link, false, was_up);
    mt_lock_drop(&dist->mu);
    mt_far_tell(s, link->place, &notes, (mote_term){MT_WORD_OF(noconnection)});
    mt_tell(s, told, link->node, false);
    mt_claim_gone(self, link);
    while (mt_far_is_used(dist->runtime, link->place)) mote_must(self, mote_yield(self));
    mt_facts_tidy(dist, link->node);
    mt_lock_take(&dist->mu);
    mt_link_out_locked(&dist->over, link);
    mt_lock_drop(&dist->mu);
    mt_link_free(link);
}

/* ------------------------------------------------------------------------------------------------ watches */

static uint64_t hash_of(const uint32_t *words, size_t count) {
    uint64_t h = count;
    for (size_t i = 0; i < count; i++) h = (h ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

static struct mt_watch *of_ref_node(struct mt_node *node) { return (struct mt_watch *)(void *)((char *)node - offsetof(struct mt_watch, by_ref)); }

/* Where the one of a reference of the peer's is linked; NULL: there is none. */
static struct mt_node **find_ref_locked(struct mt_link *l, const uint32_t *words, size_t count) {
    uint64_t key = hash_of(words, count);
    for (struct mt_node **at = mt_hash_find(&l->refs, key); *at && (*at)->key == key; at = &(*at)->next) {
        const struct mt_watch *w = of_ref_node(*at);
        if (w->count == count && memcmp(w->words, words, count * sizeof *words) == 0) return at;
    }
    return NULL;
}

static bool is_full_locked(const struct mt_link *l) { return l->watches.count + l->ties.count >= l->dist->options.relations_max; }

mote_err mt_watch_add(mote_self *self, struct mt_link *link, const struct mt_far_ref *ref, uint64_t pid, uint64_t *own) {
    struct mt_watch *w = mt_os_alloc_zero(sizeof *w);
    if (!w) return MOTE_ENOMEM;
    w->by_own.key = mt_ref_next(mt_self(self)->task.sched);
    w->by_ref.key = hash_of(ref->words, ref->count);
    w->count = (uint32_t)ref->count;
    memcpy(w->words, ref->words, sizeof w->words);
    w->pid = pid;
    mt_lock_take(&link->mu);
    mote_err err = find_ref_locked(link, ref->words, ref->count) ? MOTE_EBUSY : is_full_locked(link) ? MOTE_ELIMIT : MOTE_OK;
    if (!err) mt_hash_insert(&link->watches, &w->by_own);
    if (!err) mt_hash_insert(&link->refs, &w->by_ref);
    if (!err) *own = w->by_own.key;
    mt_lock_drop(&link->mu);
    if (err) mt_os_free(w);
    return err;
}

bool mt_watch_take(struct mt_link *link, uint64_t own, struct mt_far_ref *ref) {
    mt_lock_take(&link->mu);
    struct mt_node **at = mt_hash_find(&link->watches, own);
    struct mt_watch *w = *at ? (struct mt_watch *)(void *)mt_hash_remove(&link->watches, at) : NULL;
    if (w) mt_hash_remove(&link->refs, find_ref_locked(link, w->words, w->count));
    mt_lock_drop(&link->mu);
    if (!w) return false;
    *ref = (struct mt_far_ref){.node = mt_name_of_atom(link->node), .creation = link->creation, .count = w->count};
    memcpy(ref->words, w->words, sizeof w->words);
    mt_os_free(w);
    return true;
}

uint64_t mt_watch_forget(struct mt_link *link, const struct mt_far_ref *ref, uint64_t *pid) {
    uint64_t own = 0;
    mt_lock_take(&link->mu);
    struct mt_node **at = find_ref_locked(link, ref->words, ref->count);
    struct mt_watch *w = at ? of_ref_node(mt_hash_remove(&link->refs, at)) : NULL;
    if (w) {
        own = w->by_own.key;
        *pid = w->pid;
        mt_hash_remove(&link->watches, mt_hash_find(&link->watches, own));
    }
    mt_lock_drop(&link->mu);
    mt_os_free(w);
    return own;
}

/* --------------------------------------------------------------------------------------------------- ties */

static struct mt_tie tie_of(uint64_t own, const struct mt_far_pid *far) {
    uint64_t key = (own ^ ((uint64_t)far->serial << 32 | far->id)) * UINT64_C(0x9e3779b97f4a7c15);
    return (struct mt_tie){.node.key = key ^ key >> 32 ^ far->creation, .own = own, .id = far->id, .serial = far->serial, .creation = far->creation};
}

static struct mt_node **find_tie_locked(struct mt_link *l, const struct mt_tie *like) {
    for (struct mt_node **at = mt_hash_find(&l->ties, like->node.key); *at && (*at)->key == like->node.key; at = &(*at)->next) {
        const struct mt_tie *t = (const struct mt_tie *)(void *)*at;
        if (t->own == like->own && t->id == like->id && t->serial == like->serial && t->creation == like->creation) return at;
    }
    return NULL;
}

mote_err mt_tie_add(struct mt_link *link, uint64_t own, const struct mt_far_pid *far) {
    struct mt_tie *tie = mt_os_alloc(sizeof *tie);
    if (!tie) return MOTE_ENOMEM;
    *tie = tie_of(own, far);
    mt_lock_take(&link->mu);
    bool there = find_tie_locked(link, tie) != NULL, fits = !there && !is_full_locked(link);
    if (fits) mt_hash_insert(&link->ties, &tie->node);
    mt_lock_drop(&link->mu);
    if (!fits) mt_os_free(tie);
    return there || fits ? MOTE_OK : MOTE_ELIMIT;
}

bool mt_tie_is(struct mt_link *link, uint64_t own, const struct mt_far_pid *far) {
    const struct mt_tie like = tie_of(own, far);
    mt_lock_take(&link->mu);
    bool is = find_tie_locked(link, &like) != NULL;
    mt_lock_drop(&link->mu);
    return is;
}

void mt_tie_cut(struct mt_link *link, uint64_t own, const struct mt_far_pid *far) {
    const struct mt_tie like = tie_of(own, far);
    mt_lock_take(&link->mu);
    struct mt_node **at = link->ties.count ? find_tie_locked(link, &like) : NULL;
    struct mt_node *tie = at ? mt_hash_remove(&link->ties, at) : NULL;
    mt_lock_drop(&link->mu);
    mt_os_free(tie);
}
