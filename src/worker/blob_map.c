/* SPDX-License-Identifier: Apache-2.0
 * A reader's side of blobs: see blobs.h. */
#include <string.h>

#include "base/hash.h"
#include "base/lock.h"
#include "worker/blobs.h"

#define AWAITED_INLINE 2u

/* How often a blob was passed on to a peer whose hold the owner has not said to have counted: B3. */
struct awaited {
    mt_peer peer;
    uint32_t count; /* never 0 */
};

struct use {
    struct mt_blob_use public;
    struct mt_node node; /* key: page */
    uint32_t serial;
    uint32_t holds;      /* the owner counts for us, or will */
    bool open;           /* somebody here may still write to it */
    size_t users;
    uint32_t awaited_count, awaited_room;
    struct awaited *awaited;
    struct awaited few[AWAITED_INLINE];
    struct use *next_unused; /* of those that have just become unused, or of m->released */
};

struct mt_blob_map { /* MT_SHARED */
    struct mt_lock mu;
    mt_peer self, owner;    /* const */
    int fd;                 /* const */
    char *base;             /* const */
    size_t bytes;           /* const */
    size_t page_size;       /* const */
    void *context;          /* owner: the caller, before others have the map */
    struct mt_hash uses;    /* lock: mu */
    struct use *released;   /* lock: mu: no longer in `uses`: mt_blob_map_released() */
    uint32_t ended_before[MT_PEER_WORKERS]; /* lock: mu: incarnations of each worker below this have ended: mt_blob_map_ended() */
    bool owner_died;        /* lock: mu */
    bool closed;            /* lock: mu: freed with the last use */
};

static struct use *of_node(struct mt_node *node) { return (struct use *)(void *)((char *)node - offsetof(struct use, node)); }
static struct use *of_public(struct mt_blob_use *public) { return (struct use *)(void *)public; }

mote_err mt_blob_map_new(mt_peer self, mt_peer owner, int fd, struct mt_blob_map **map) {
    size_t bytes, page = mt_os_page_size();
    if (mt_os_memory_size(fd, &bytes) || bytes % page || bytes / page > UINT32_MAX) return MOTE_EARG;
    struct mt_blob_map *m = mt_os_alloc_zero(sizeof *m);
    if (!m) return MOTE_ENOMEM;
    *m = (struct mt_blob_map){.self = self, .owner = owner, .fd = fd, .bytes = bytes, .page_size = page};
    if (mt_hash_init(&m->uses)) goto fail;
    m->base = mt_os_memory_map(fd, bytes, self == owner);
    if (!m->base) goto fail;
    mt_lock_init(&m->mu, MT_RANK_BLOBS);
    *map = m;
    return MOTE_OK;
fail:
    mt_hash_fini(&m->uses);
    mt_os_free(m);
    return MOTE_ENOMEM;
}

mt_peer mt_blob_map_owner(const struct mt_blob_map *map) { return map->owner; }
void **mt_blob_map_context(struct mt_blob_map *map) { return &map->context; }

static void free_map(struct mt_blob_map *m) {
    mt_hash_fini(&m->uses);
    mt_lock_fini(&m->mu);
    mt_os_unmap(m->base, m->bytes);
    mt_os_close(m->fd);
    mt_os_free(m);
}

/* Whether a handle can be: all of it lies in the file. B5 */
static bool is_possible(const struct mt_blob_map *m, const struct mt_blob_handle *h) {
    uint64_t pages = m->bytes / m->page_size;
    if (h->owner != m->owner || !h->size || h->page >= pages) return false;
    uint64_t room = (pages - h->page) * m->page_size;
    return h->size < room && room - h->size > MOTE_BLOB_GAP; /* and a zero byte */
}

static struct use *find_use(struct mt_blob_map *m, uint32_t page) {
    struct mt_node *node = *mt_hash_find(&m->uses, page);
    return node ? of_node(node) : NULL;
}

static struct use *make_use(struct mt_blob_map *m, const struct mt_blob_handle *h) {
    struct use *u = mt_os_alloc_zero(sizeof *u);
    if (!u) return NULL;
    u->public.blob.data = m->base + h->page * m->page_size + MOTE_BLOB_GAP;
    u->public.blob.size = h->size;
    u->public.map = m;
    u->node.key = h->page;
    u->serial = h->serial;
    u->awaited = u->few;
    u->awaited_room = AWAITED_INLINE;
    mt_hash_insert(&m->uses, &u->node);
    return u;
}

static void free_use(struct use *u) {
    if (u->awaited != u->few) mt_os_free(u->awaited);
    mt_os_free(u);
}

static bool is_unused(const struct use *u) { return !u->users && !u->awaited_count; }

static struct mt_blob_note note_of(const struct use *u, enum mt_blob_note_kind kind, uint32_t count) {
    return (struct mt_blob_note){.kind = kind, .page = (uint32_t)u->node.key, .serial = u->serial, .count = count};
}

/* Ends a use that nobody has and for which no answer is awaited. B2 */
static void end_if_unused(struct mt_blob_map *m, struct use *u, struct mt_blob_note *release) {
    if (!is_unused(u)) return;
    if (!m->owner_died) *release = note_of(u, MT_BLOB_RELEASE, u->holds);
    mt_hash_remove(&m->uses, mt_hash_find(&m->uses, u->node.key));
    free_use(u);
}

static mote_err take_locked(struct mt_blob_map *m, const struct mt_blob_handle *h, mt_peer from, struct mt_blob_use **use, struct mt_blob_note *note) {
    struct use *u = is_possible(m, h) ? find_use(m, h->page) : NULL;
    if (!is_possible(m, h) || (u && (u->serial != h->serial || u->public.blob.size != h->size || u->holds == UINT32_MAX))) return MOTE_EARG;
    if (!u) u = make_use(m, h);
    if (!m->owner_died) {
        *note = (struct mt_blob_note){.kind = MT_BLOB_HOLD, .page = h->page, .serial = h->serial, .count = u ? 1 : 0, .peer = from};
        if (from == m->owner) note->kind = u ? MT_BLOB_NONE : MT_BLOB_RELEASE; /* it has counted already: B1 */
        if (note->kind == MT_BLOB_RELEASE) note->count = 1;
    }
    if (!u) return MOTE_ENOMEM;
    u->holds++;
    u->users++;
    *use = &u->public;
    return MOTE_OK;
}

mote_err mt_blob_map_take(struct mt_blob_map *map, const struct mt_blob_handle *handle, mt_peer from, struct mt_blob_use **use, struct mt_blob_note *note) {
    *note = (struct mt_blob_note){.kind = MT_BLOB_NONE};
    MT_ASSERT(from != map->self || from == map->owner);
    mt_lock_take(&map->mu);
    MT_ASSERT(!map->closed);
    mote_err err = take_locked(map, handle, from, use, note);
    mt_lock_drop(&map->mu);
    return err;
}

void mt_blob_use_hold(struct mt_blob_map *map, struct mt_blob_use *use) {
    mt_lock_take(&map->mu);
    MT_ASSERT(of_public(use)->users);
    of_public(use)->users++;
    mt_lock_drop(&map->mu);
}

struct mt_blob_use *mt_blob_map_find(struct mt_blob_map *map, const void *data, size_t size) {
    size_t at = (size_t)((uintptr_t)data - (uintptr_t)map->base);
    if (at >= map->bytes || at % map->page_size != MOTE_BLOB_GAP) return NULL;
    mt_lock_take(&map->mu);
    struct use *u = find_use(map, (uint32_t)(at / map->page_size));
    bool found = u && u->users && !u->open && u->public.blob.size == size;
    if (found) u->users++;
    mt_lock_drop(&map->mu);
    return found ? &u->public : NULL;
}

void mt_blob_use_open(struct mt_blob_map *map, struct mt_blob_use *use, bool open) {
    mt_lock_take(&map->mu);
    of_public(use)->open = open;
    mt_lock_drop(&map->mu);
}

bool mt_blob_use_drop(struct mt_blob_map *map, struct mt_blob_use *use, struct mt_blob_note *release) {
    struct use *u = of_public(use);
    *release = (struct mt_blob_note){.kind = MT_BLOB_NONE};
    mt_lock_take(&map->mu);
    MT_ASSERT(u->users);
    if (!--u->users) {
        use->blob.host = NULL;
        mt_os_decommit((char *)use->blob.data - MOTE_BLOB_GAP, map->page_size); /* B6; before the owner can use the page anew */
        end_if_unused(map, u, release);
    }
    bool last = map->closed && !map->uses.count;
    mt_lock_drop(&map->mu);
    if (last) free_map(map);
    return last;
}

void mt_blob_use_handle(struct mt_blob_map *map, struct mt_blob_use *use, struct mt_blob_handle *handle) {
    const struct use *u = of_public(use); /* what is read here does not change while it is used */
    *handle = (struct mt_blob_handle){.size = use->blob.size, .page = (uint32_t)u->node.key, .serial = u->serial, .owner = map->owner};
}

static struct awaited *find_awaited(struct use *u, mt_peer peer) {
    for (uint32_t i = 0; i < u->awaited_count; i++)
        if (u->awaited[i].peer == peer) return &u->awaited[i];
    return NULL;
}

static bool grow_awaited(struct use *u) {
    uint32_t room = u->awaited_room * 2;
    struct awaited *more = mt_os_alloc(room * sizeof *more);
    if (!more) return false;
    memcpy(more, u->awaited, u->awaited_count * sizeof *more);
    if (u->awaited != u->few) mt_os_free(u->awaited);
    u->awaited = more;
    u->awaited_room = room;
    return true;
}

static mote_err await_locked(struct mt_blob_map *m, struct use *u, mt_peer peer) {
    MT_ASSERT(u->users);
    if (m->owner_died || peer / MT_PEER_WORKERS < m->ended_before[mt_peer_worker(peer)]) return MOTE_ENOPROC;
    struct awaited *a = find_awaited(u, peer);
    if (a && a->count == UINT32_MAX) return MOTE_ENOMEM;
    if (!a) {
        if (u->awaited_count == u->awaited_room && !grow_awaited(u)) return MOTE_ENOMEM;
        a = &u->awaited[u->awaited_count++];
        *a = (struct awaited){peer, 0};
    }
    a->count++;
    return MOTE_OK;
}

/* Awaits one answer fewer of that peer, or none any more. */
static void await_fewer(struct use *u, struct awaited *a, uint32_t count) {
    a->count -= count;
    if (!a->count) *a = u->awaited[--u->awaited_count];
}

mote_err mt_blob_use_pass(struct mt_blob_map *map, struct mt_blob_use *use, mt_peer to, struct mt_blob_handle *handle) {
    MT_ASSERT(to != map->self && to != map->owner);
    mt_lock_take(&map->mu);
    mote_err err = await_locked(map, of_public(use), to);
    mt_lock_drop(&map->mu);
    if (!err) mt_blob_use_handle(map, use, handle);
    return err;
}

void mt_blob_use_unpass(struct mt_blob_map *map, struct mt_blob_use *use, mt_peer to) {
    mt_lock_take(&map->mu);
    struct awaited *a = find_awaited(of_public(use), to);
    if (a) await_fewer(of_public(use), a, 1); /* else the owner or `to` has ended */
    mt_lock_drop(&map->mu);
}

mote_err mt_blob_map_apply(struct mt_blob_map *map, const struct mt_blob_note *note, struct mt_blob_note *release) {
    struct mt_blob_note told = {.kind = MT_BLOB_NONE}; /* note and release may be one struct */
    if (note->kind != MT_BLOB_COUNTED) return MOTE_EARG;
    mt_lock_take(&map->mu);
    struct use *u = find_use(map, note->page);
    struct awaited *a = u && u->serial == note->serial ? find_awaited(u, note->peer) : NULL;
    if (a) {
        await_fewer(u, a, 1);
        end_if_unused(map, u, &told);
    }
    mt_lock_drop(&map->mu);
    *release = told;
    return a ? MOTE_OK : MOTE_NOMATCH;
}

/* --------------------------------------------------------------------------------------------------- ends */

struct ending {
    mt_peer peer; /* its answers are awaited no more; those of all peers when `all` */
    bool all;
    struct use *unused; /* what has become so by it */
};

static void stop_awaiting(void *context, struct mt_node *node) {
    struct use *u = of_node(node);
    struct ending *ending = context;
    struct awaited *a = find_awaited(u, ending->peer);
    if (!u->awaited_count || !(a || ending->all)) return;
    if (ending->all)
        u->awaited_count = 0;
    else
        await_fewer(u, a, a->count);
    if (!is_unused(u)) return;
    u->next_unused = ending->unused;
    ending->unused = u;
}

void mt_blob_map_ended(struct mt_blob_map *map, mt_peer peer) {
    struct ending ending = {.peer = peer};
    uint32_t *before = &map->ended_before[mt_peer_worker(peer)];
    mt_lock_take(&map->mu);
    if (*before <= peer / MT_PEER_WORKERS) *before = peer / MT_PEER_WORKERS + 1;
    mt_hash_each(&map->uses, stop_awaiting, &ending);
    for (struct use *u = ending.unused, *next; u; u = next) {
        next = u->next_unused;
        mt_hash_remove(&map->uses, mt_hash_find(&map->uses, u->node.key));
        u->next_unused = map->released;
        map->released = u;
    }
    mt_lock_drop(&map->mu);
}

bool mt_blob_map_released(struct mt_blob_map *map, struct mt_blob_note *release) {
    mt_lock_take(&map->mu);
    struct use *u = map->released;
    if (u) {
        map->released = u->next_unused;
        *release = note_of(u, MT_BLOB_RELEASE, u->holds);
    }
    mt_lock_drop(&map->mu);
    if (u) free_use(u);
    return u != NULL;
}

static void owner_died_locked(struct mt_blob_map *m) {
    struct ending ending = {.all = true};
    struct mt_blob_note none;
    m->owner_died = true;
    mt_hash_each(&m->uses, stop_awaiting, &ending);
    for (struct use *u = ending.unused, *next; u; u = next) {
        next = u->next_unused;
        end_if_unused(m, u, &none);
    }
    for (struct use *u; (u = m->released);) {
        m->released = u->next_unused;
        free_use(u);
    }
}

void mt_blob_map_owner_died(struct mt_blob_map *map) {
    mt_lock_take(&map->mu);
    owner_died_locked(map);
    mt_lock_drop(&map->mu);
}

void mt_blob_map_close(struct mt_blob_map *map) {
    mt_lock_take(&map->mu);
    owner_died_locked(map);
    map->closed = true;
    bool last = !map->uses.count;
    mt_lock_drop(&map->mu);
    if (last) free_map(map);
}

size_t mt_blob_map_count(struct mt_blob_map *map) {
    mt_lock_take(&map->mu);
    size_t count = map->uses.count;
    mt_lock_drop(&map->mu);
    return count;
}
