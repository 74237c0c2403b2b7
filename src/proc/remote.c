/* SPDX-License-Identifier: Apache-2.0
 * An entry has an index, its place in the table for good, and a generation, which with the index makes its word. Entries that nobody holds stand in a queue, oldest first; one that
 * is held again leaves it when it comes to the front. */
#include "proc/remote.h"

#include <string.h>

#include <mote/external.h>

#include "base/hash.h"

#define CHUNK_BITS 16u
#define CHUNK ((size_t)1 << CHUNK_BITS)
#define CHUNKS (1u << (MT_PID_INDEX_BITS - CHUNK_BITS))
#define SERIAL_MAX (((uint64_t)1 << MT_PID_SERIAL_BITS) - 1)

struct entry {
    struct mt_node node;   /* key: the id's hash */
    struct mt_remote_id id; /* its atoms are held */
    uint64_t word;
    uint64_t holds;
    struct entry *next;    /* in the queue, or of the free ones */
    bool queued;
};

struct mt_remotes { /* MT_SHARED */
    struct mt_lock mu;
    uint64_t seed;              /* const */
    struct mt_hash known;       /* lock: mu */
    struct entry **chunks[CHUNKS]; /* lock: mu: by index */
    size_t made;                /* lock: mu: entries there are */
    size_t held;                /* lock: mu */
    struct entry *free;         /* lock: mu */
    struct entry *oldest, **newest; /* lock: mu: the queue */
    size_t queued;              /* lock: mu */
};

static struct entry *of_node(struct mt_node *node) { return (struct entry *)(void *)node; }

/* -------------------------------------------------------------------------------------------------- ids */

static uint64_t mix(uint64_t hash, uint64_t bits) {
    hash = (hash ^ bits) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t hash_of(const struct mt_remotes *r, const struct mt_remote_id *id) {
    uint64_t h = mix(mix(r->seed, id->node), id->name ^ (uint64_t)id->kind << 56);
    h = mix(h, (uint64_t)id->creation << 32 | id->count);
    for (uint32_t i = 0; i < 5; i++) h = mix(h, id->words[i]);
    return mix(h, r->seed);
}

static bool is_same(const struct mt_remote_id *a, const struct mt_remote_id *b) {
    return a->node == b->node && a->kind == b->kind && a->creation == b->creation && a->name == b->name && a->count == b->count &&
           memcmp(a->words, b->words, sizeof a->words) == 0;
}

bool mt_remote_id_of(uint64_t term, struct mt_remote_id *id) {
    const uint64_t *p = term && mt_tag(term) == MT_BOXED ? mt_ptr(term) : NULL;
    mote_far far;
    if (p && *p == mt_header(MT_TUPLE, 2)) {
        *id = (struct mt_remote_id){.node = p[2], .kind = MT_REMOTE_NAME, .name = p[1]};
        return mt_tag(p[1]) == MT_ATOM && mt_tag(p[2]) == MT_ATOM;
    }
    if (!mote_far_get((mote_term){term}, &far)) return false;
    enum mt_remote_kind kind = mote_term_type((mote_term){term}) == MOTE_PID ? MT_REMOTE_PID : MT_REMOTE_ALIAS;
    *id = (struct mt_remote_id){.node = far.node.word, .kind = kind, .creation = far.creation, .count = far.count};
    memcpy(id->words, far.words, sizeof id->words);
    return true;
}

/* An object of a node's: its name, which is counted for the place, then raw words for the caller to fill. */
static uint64_t *far_object(mote_arena *arena, enum mt_kind kind, uint64_t node, size_t raw) {
    uint64_t *p = mt_arena_words(arena, 2 + raw);
    if (!p) return NULL;
    p[0] = mt_header(kind, 1 + raw);
    p[1] = node;
    if (mt_atom_counted(node)) {
        mt_atom_hold(node);
        mt_arena_note_counted(arena);
    }
    return p;
}

static mote_term alias_term(mote_arena *arena, const struct mt_remote_id *id) {
    size_t pairs = (id->count + 1) / 2;
    uint64_t *p = far_object(arena, MT_REF_FAR, id->node, 1 + pairs);
    if (!p) return MOTE_TERM_NONE;
    p[2] = id->creation | (uint64_t)id->count << 32;
    for (size_t i = 0; i < pairs; i++) p[3 + i] = id->words[2 * i] | (2 * i + 1 < id->count ? (uint64_t)id->words[2 * i + 1] << 32 : 0);
    return (mote_term){mt_boxed(p)};
}

mote_term mt_remote_term(mote_arena *arena, const struct mt_remote_id *id) {
    if (id->kind == MT_REMOTE_NAME) return mote_tuple_make(arena, 2, (mote_term[]){{id->name}, {id->node}});
    if (id->kind == MT_REMOTE_ALIAS) return alias_term(arena, id);
    uint64_t *p = far_object(arena, MT_PID_FAR, id->node, 2);
    if (!p) return MOTE_TERM_NONE;
    p[2] = id->words[0] | (uint64_t)id->words[1] << 32;
    p[3] = id->creation;
    return (mote_term){mt_boxed(p)};
}

/* ------------------------------------------------------------------------------------------------- the table */

mote_err mt_remotes_new(struct mt_remotes **remotes) {
    struct mt_remotes *r = mt_os_alloc_zero(sizeof *r);
    if (!r || mt_hash_init(&r->known)) {
        mt_os_free(r);
        return MOTE_ENOMEM;
    }
    r->seed = mt_os_random();
    r->newest = &r->oldest;
    mt_lock_init(&r->mu, MT_RANK_REMOTE);
    *remotes = r;
    return MOTE_OK;
}

static struct entry **slot_locked(const struct mt_remotes *r, uint64_t index) {
    struct entry **chunk = r->chunks[index >> CHUNK_BITS];
    return chunk ? &chunk[index & (CHUNK - 1)] : NULL;
}

/* The entry of a word; NULL: it is forgotten. */
static struct entry *find_locked(const struct mt_remotes *r, uint64_t word) {
    uint64_t index = mt_pid_index(word);
    struct entry *e = index < r->made ? *slot_locked(r, index) : NULL;
    return e && e->word == word && e->node.key ? e : NULL;
}

static void let_atoms_go(const struct mt_remote_id *id) {
    mt_atom_drop(id->node);
    if (id->name) mt_atom_drop(id->name);
}

/* Y2 */
static void forget_locked(struct mt_remotes *r, struct entry *e) {
    struct mt_node **at = mt_hash_find(&r->known, e->node.key);
    while (*at != &e->node) at = &(*at)->next; /* of those of one key */
    mt_hash_remove(&r->known, at);
    let_atoms_go(&e->id);
    e->node.key = 0;
    e->next = r->free;
    r->free = e;
}

static struct entry *unqueue_locked(struct mt_remotes *r) {
    struct entry *e = r->oldest;
    if (!(r->oldest = e->next)) r->newest = &r->oldest;
    r->queued--;
    e->queued = false;
    return e;
}

static void queue_locked(struct mt_remotes *r, struct entry *e) {
    e->next = NULL;
    e->queued = true;
    *r->newest = e;
    r->newest = &e->next;
    r->queued++;
    while (r->queued > MT_REMOTE_SPARE) {
        struct entry *old = unqueue_locked(r);
        if (!old->holds) forget_locked(r, old);
    }
}

static struct entry *make_locked(struct mt_remotes *r) {
    if (r->made == (size_t)1 << MT_PID_INDEX_BITS) return NULL;
    struct entry ***chunk = &r->chunks[r->made >> CHUNK_BITS];
    if (!*chunk && !(*chunk = mt_os_alloc_zero(CHUNK * sizeof **chunk))) return NULL;
    struct entry *e = mt_os_alloc_zero(sizeof *e);
    if (!e) return NULL;
    e->word = mt_pid_word(r->made, MT_REMOTE, 0);
    (*chunk)[r->made++ & (CHUNK - 1)] = e;
    return e;
}

static struct entry *new_locked(struct mt_remotes *r, const struct mt_remote_id *id, uint64_t key) {
    struct entry *e = r->free;
    if (e) r->free = e->next;
    else if (!(e = make_locked(r))) return NULL;
    uint64_t serial = mt_pid_serial(e->word) == SERIAL_MAX ? 1 : mt_pid_serial(e->word) + 1;
    e->word = mt_pid_word(mt_pid_index(e->word), MT_REMOTE, serial);
    e->id = *id;
    e->holds = 0;
    e->node.key = key;
    mt_atom_hold(id->node);
    if (id->name) mt_atom_hold(id->name);
    mt_hash_insert(&r->known, &e->node);
    queue_locked(r, e);
    return e;
}

uint64_t mt_remote_word(struct mt_remotes *r, const struct mt_remote_id *id) {
    uint64_t key = hash_of(r, id) | 1;
    mt_lock_take(&r->mu);
    struct mt_node *node = *mt_hash_find(&r->known, key);
    while (node && !(node->key == key && is_same(&of_node(node)->id, id))) node = node->next;
    struct entry *e = node ? of_node(node) : new_locked(r, id, key);
    uint64_t word = e ? e->word : 0;
    mt_lock_drop(&r->mu);
    return word;
}

bool mt_remote_get(struct mt_remotes *r, uint64_t word, struct mt_remote_id *id) {
    mt_lock_take(&r->mu);
    const struct entry *e = find_locked(r, word);
    if (e) *id = e->id;
    mt_lock_drop(&r->mu);
    return e != NULL;
}

void mt_remote_hold(struct mt_remotes *r, uint64_t word) {
    mt_lock_take(&r->mu);
    struct entry *e = find_locked(r, word);
    if (e && !e->holds++) r->held++;
    mt_lock_drop(&r->mu);
}

void mt_remote_drop(struct mt_remotes *r, uint64_t word) {
    mt_lock_take(&r->mu);
    struct entry *e = find_locked(r, word);
    if (e && e->holds && !--e->holds) {
        r->held--;
        if (!e->queued) queue_locked(r, e);
    }
    mt_lock_drop(&r->mu);
}

void mt_remotes_info_get(struct mt_remotes *r, struct mt_remotes_info *info) {
    mt_lock_take(&r->mu);
    *info = (struct mt_remotes_info){r->known.count, r->held};
    mt_lock_drop(&r->mu);
}

void mt_remotes_free(struct mt_remotes *r) {
    if (!r) return;
    for (size_t i = 0; i < r->made; i++) {
        struct entry *e = *slot_locked(r, i);
        if (e->node.key) let_atoms_go(&e->id);
        mt_os_free(e);
    }
    for (size_t i = 0; i < CHUNKS; i++) mt_os_free(r->chunks[i]);
    mt_hash_fini(&r->known);
    mt_lock_fini(&r->mu);
    mt_os_free(r);
}
