/* SPDX-License-Identifier: Apache-2.0
 * A worker that is or was there has a *berth*. The newest of each number is in `open`; those that died stand in `dead` until nothing of theirs can be under way (G4). */
#include "worker/freight.h"

#include <string.h>

#define WARM_MAX ((size_t)256 << 20)  /* bytes of free blobs that keep their memory, for a second */
#define BYTES_MIN ((size_t)256 << 20) /* address space for our blobs: with less there are none */
#define LOAD_FIRST 4u
#define TAKEN_FIRST 16u

enum { NOTE = MT_FREIGHT_RECORD, ENDED };

struct record {
    uint32_t kind;
    mt_peer peer; /* ENDED */
    struct mt_blob_note note;
};

struct berth {
    struct berth *next; /* dead */
    mt_peer peer;
    struct mt_blob_map *map; /* NULL: its blobs are not mapped */
    uint64_t ended;          /* by worker: who has said ENDED of it */
    uint64_t awaited;        /* dead: who has not yet */
};

/* A big binary of a message. */
struct piece {
    struct mt_blob_handle handle;
    struct mt_blob_use *use; /* what was found: held until the message is gone. NULL: made for the message */
    bool passed;             /* another's, to a third */
};
struct load {
    mt_peer to;
    uint32_t count, room;
    struct piece of[];
};

struct taken {
    const void *place;
    mote_blob *blob;
};

struct mt_freight { /* MT_SHARED */
    _Atomic(mote_runtime *) rt; /* atomic: seq_cst: NULL once it ends */
    _Atomic uint32_t users;  /* atomic: seq_cst: who may be using it, see send_record() */
    struct mt_board *board;  /* const */
    mt_peer self;            /* const */
    struct mt_blobs *blobs;  /* const */
    struct mt_blob_map *own; /* const */
    struct mt_freighter freighter; /* const */
    struct mt_lock mu;
    struct berth *open[MT_PEER_WORKERS]; /* lock: mu */
    struct berth *dead;      /* lock: mu */
    uint64_t up;             /* lock: mu: by worker: who is there */
    mt_peer from;            /* owner: the postman: whose record is being taken */
    struct taken *taken;     /* owner: the postman */
    size_t taken_count, taken_room; /* owner: the postman */
};

static struct mt_blob_use *use_of(mote_blob *blob) { return (struct mt_blob_use *)(void *)blob; }
static uint64_t bit_of(mt_peer peer) { return UINT64_C(1) << mt_peer_worker(peer); }

/* ------------------------------------------------------------------------------------------------- notes */

/* To a worker that lives, or nobody. */
static void send_record(struct mt_freight *f, mt_peer to, struct record *r) {
    atomic_fetch_add(&f->users, 1);
    mote_runtime *rt = atomic_load(&f->rt);
    if (rt) (void)mt_far_put(rt, to & 255, false, r, sizeof *r);
    atomic_fetch_sub(&f->users, 1);
}

/* Blobs are dropped by whom it pleases, also while the runtime ends: after this nobody uses it. */
static void over(void *context) {
    struct mt_freight *f = context;
    atomic_store(&f->rt, NULL);
    while (atomic_load(&f->users)) mt_cpu_relax(); /* no longer than a put() takes */
}


static void tell(struct mt_freight *f, mt_peer to, const struct mt_blob_note *note) {
    struct mt_blob_note none;
    if (note->kind == MT_BLOB_NONE) return;
    if (to == f->self)
        (void)mt_blobs_apply(f->blobs, note, f->self, &none); /* what has come home is let go */
    else
        send_record(f, to, &(struct record){.kind = NOTE, .note = *note});
}

/* ------------------------------------------------------------------------------------------------- berths */

static struct berth *berth_locked(struct mt_freight *f, mt_peer peer) {
    struct berth *b = f->open[mt_peer_worker(peer)];
    if (b && b->peer == peer) return b;
    for (b = f->dead; b && b->peer != peer;) b = b->next;
    return b;
}

/* The map of a worker's blobs, which stays while the caller is the postman; NULL. */
static struct mt_blob_map *map_of(struct mt_freight *f, mt_peer owner) {
    if (owner == f->self) return f->own;
    mt_lock_take(&f->mu);
    struct berth *b = berth_locked(f, owner);
    struct mt_blob_map *map = b ? b->map : NULL;
    mt_lock_drop(&f->mu);
    return map;
}

static void free_berth(struct berth *b) {
    if (b->map) mt_blob_map_close(b->map);
    mt_os_free(b);
}

/* Without room for the addresses it is left. */
static mote_err map_blobs(struct mt_freight *f, struct berth *b, int fd) {
    int own;
    mote_err err = mt_os_dup(fd, &own);
    if (err || !(err = mt_blob_map_new(f->self, b->peer, own, &b->map))) return err;
    mt_os_close(own);
    return err == MOTE_ENOMEM ? MOTE_OK : err;
}

mote_err mt_freight_open(struct mt_freight *f, mt_peer peer, int fd) {
    struct berth *b = mt_os_alloc_zero(sizeof *b);
    if (!b) return MOTE_ENOMEM;
    b->peer = peer;
    mote_err err = fd < 0 ? MOTE_OK : map_blobs(f, b, fd);
    if (err) {
        mt_os_free(b);
        return err;
    }
    if (b->map) *mt_blob_map_context(b->map) = f;
    mt_lock_take(&f->mu);
    MT_ASSERT(!f->open[mt_peer_worker(peer)]);
    f->open[mt_peer_worker(peer)] = b;
    f->up |= bit_of(peer);
    mt_lock_drop(&f->mu);
    return MOTE_OK;
}

void mt_freight_announce(struct mt_freight *f, mt_peer peer) {
    if (map_of(f, peer)) mt_board_maps_set(f->board, mt_peer_worker(f->self), peer);
}

/* Takes the berth of one that is there out. */
static struct berth *close_locked(struct mt_freight *f, mt_peer peer) {
    struct berth *b = f->open[mt_peer_worker(peer)];
    MT_ASSERT(b && b->peer == peer);
    f->open[mt_peer_worker(peer)] = NULL;
    f->up &= ~bit_of(peer);
    return b;
}

void mt_freight_shut(struct mt_freight *f, mt_peer peer) {
    mt_lock_take(&f->mu);
    struct berth *b = close_locked(f, peer);
    mt_lock_drop(&f->mu);
    free_berth(b);
}

void mt_freight_losing(struct mt_freight *f, mt_peer peer) {
    mt_lock_take(&f->mu);
    struct berth *b = f->open[mt_peer_worker(peer)];
    if (b && b->peer == peer) {
        (void)close_locked(f, peer);
        b->awaited = (f->up | bit_of(f->self)) & ~b->ended;
        b->next = f->dead;
        f->dead = b;
    }
    mt_lock_drop(&f->mu);
}


/* Worker `who` has read the ring of the dead one to its end. What is over then is taken out of the list, and given. */
static struct berth *ended_locked(struct mt_freight *f, mt_peer dead, uint64_t who) {
    for (struct berth **at = &f->dead, *b; (b = *at); at = &b->next) {
        if (b->peer != dead) continue;
        b->awaited &= ~who;
        if (b->awaited) return NULL;
        *at = b->next;
        return b;
    }
    return NULL;
}

/* G4 */
static void bury(struct mt_freight *f, struct berth *b) {
    if (!b) return;
    mt_blobs_forget(f->blobs, b->peer);
    free_berth(b);
}

/* One that awaits nothing of a worker any more that died. NULL: there is none. */
static struct berth *without_locked(struct mt_freight *f, mt_peer gone) {
    for (struct berth **at = &f->dead, *b; (b = *at); at = &b->next) {
        if (b->peer == gone || !(b->awaited & bit_of(gone))) continue;
        b->awaited &= ~bit_of(gone);
        if (b->awaited) continue;
        *at = b->next;
        return b;
    }
    return NULL;
}

void mt_freight_lost(struct mt_freight *f, mt_peer peer) {
    struct mt_blob_map *map = map_of(f, peer);
    struct record r = {.kind = ENDED, .peer = peer};
    struct berth *b;
    if (map) mt_blob_map_owner_died(map);
    mt_lock_take(&f->mu);
    uint64_t up = f->up;
    mt_peer peers[MT_PEER_WORKERS];
    for (unsigned i = 0; i < MT_PEER_WORKERS; i++) peers[i] = f->open[i] ? f->open[i]->peer : 0;
    mt_lock_drop(&f->mu);
    for (unsigned i = 0; i < MT_PEER_WORKERS; i++)
        if (up >> i & 1) send_record(f, peers[i], &r);
    do {
        mt_lock_take(&f->mu);
        b = without_locked(f, peer);
        mt_lock_drop(&f->mu);
        bury(f, b);
    } while (b);
    mt_lock_take(&f->mu);
    b = ended_locked(f, peer, bit_of(f->self));
    mt_lock_drop(&f->mu);
    bury(f, b);
}

/* ------------------------------------------------------------------------------------------------ loading */

/* The map that an address may be in; NULL. Only who has a blob there asks, so it stays. */
static struct mt_blob_use *find_locked(struct mt_freight *f, const void *data, size_t size) {
    struct mt_blob_use *use = mt_blob_map_find(f->own, data, size);
    for (unsigned i = 0; i < MT_PEER_WORKERS && !use; i++)
        if (f->open[i] && f->open[i]->map) use = mt_blob_map_find(f->open[i]->map, data, size);
    return use;
}

static struct mt_blob_use *find(struct mt_freight *f, const void *data, size_t size) {
    if (((uintptr_t)data & (mt_os_page_size() - 1)) != MOTE_BLOB_GAP) return NULL;
    mt_lock_take(&f->mu);
    struct mt_blob_use *use = find_locked(f, data, size);
    mt_lock_drop(&f->mu);
    return use;
}

/* Room for one more piece. */
static bool grow(struct load **load, mt_peer to) {
    uint32_t room = *load ? 2 * (*load)->room : LOAD_FIRST;
    if (*load && (*load)->count < (*load)->room) return true;
    struct load *l = mt_os_realloc(*load, sizeof *l + room * sizeof l->of[0]);
    if (!l) return false;
    if (!*load) *l = (struct load){.to = to};
    l->room = room;
    *load = l;
    return true;
}

/* A blob that there is already. */
static bool load_found(struct mt_freight *f, mt_peer to, struct piece *p) {
    mt_peer owner = mt_blob_map_owner(p->use->map);
    mt_blob_use_handle(p->use->map, p->use, &p->handle);
    if (owner == to) return true;
    if (owner == f->self) return mt_blobs_hold(f->blobs, &p->handle, to) == MOTE_OK;
    p->passed = true;
    return mt_board_maps(f->board, mt_peer_worker(to), owner) && mt_blob_use_pass(p->use->map, p->use, to, &p->handle) == MOTE_OK; /* G1 */
}

static bool load_made(struct mt_freight *f, mt_peer to, const void *data, size_t size, struct piece *p) {
    void *at;
    *p = (struct piece){0};
    if (mt_blobs_make(f->blobs, size, &p->handle, &at)) return false;
    if (mt_blobs_hold(f->blobs, &p->handle, to) == MOTE_OK) {
        memcpy(at, data, size);
        return true;
    }
    mt_blobs_drop(f->blobs, &p->handle, f->self);
    return false;
}

static bool load_piece(struct mt_freight *f, mt_peer to, const void *data, size_t size, struct piece *p) {
    *p = (struct piece){.use = find(f, data, size)};
    if (!p->use) return load_made(f, to, data, size, p);
    if (load_found(f, to, p)) return true;
    mote_blob_drop(&p->use->blob);
    return load_made(f, to, data, size, p);
}

/* The worker that a pid names, if it is there and maps our blobs. */
static bool reader_of(struct mt_freight *f, unsigned worker, mt_peer *peer) {
    mt_lock_take(&f->mu);
    const struct berth *b = f->open[worker % MT_PEER_WORKERS];
    bool is = b && (b->peer & 255) == worker;
    if (is) *peer = b->peer;
    mt_lock_drop(&f->mu);
    return is && mt_board_maps(f->board, worker % MT_PEER_WORKERS, f->self);
}

static size_t load(void *context, unsigned worker, void **of, const void *data, size_t size, uint8_t *handle) {
    struct mt_freight *f = context;
    struct load *l = *of;
    mt_peer to;
    if (!reader_of(f, worker, &to) || (l && l->to != to)) return 0; /* another incarnation by now: the message will get nowhere */
    if (!grow(&l, to)) return 0;
    *of = l;
    if (!load_piece(f, to, data, size, &l->of[l->count])) return 0;
    memcpy(handle, &l->of[l->count++].handle, sizeof(struct mt_blob_handle));
    return sizeof(struct mt_blob_handle);
}

/* It will not be sent: what was counted for its receiver is not. */
static void undo(struct mt_freight *f, mt_peer to, const struct piece *p) {
    if (p->use && p->passed)
        mt_blob_use_unpass(p->use->map, p->use, to);
    else if (!p->use || mt_blob_map_owner(p->use->map) == f->self)
        mt_blobs_drop(f->blobs, &p->handle, to);
}

static void loaded(void *context, void *of, bool sent) {
    struct mt_freight *f = context;
    struct load *l = of;
    for (struct piece *p = l->of; p < l->of + l->count; p++) {
        if (!sent) undo(f, l->to, p);
        if (p->use)
            mote_blob_drop(&p->use->blob);
        else
            mt_blobs_drop(f->blobs, &p->handle, f->self);
    }
    mt_os_free(l);
}

/* ------------------------------------------------------------------------------------------------ taking */

void mt_freight_begin(struct mt_freight *f, mt_peer peer) {
    MT_ASSERT(!f->taken_count);
    f->from = peer;
}

void mt_freight_end(struct mt_freight *f) {
    while (f->taken_count) mote_blob_drop(f->taken[--f->taken_count].blob);
}

static bool note_taken(struct mt_freight *f, const void *place, mote_blob *blob) {
    if (f->taken_count == f->taken_room) {
        size_t room = f->taken_room ? 2 * f->taken_room : TAKEN_FIRST;
        struct taken *more = mt_os_realloc(f->taken, room * sizeof *more);
        if (!more) return false;
        f->taken = more;
        f->taken_room = room;
    }
    f->taken[f->taken_count++] = (struct taken){place, blob};
    return true;
}

/* A handle that is read for the first time. */
static mote_err take_handle(struct mt_freight *f, const struct mt_blob_handle *h, mote_blob **blob) {
    struct mt_blob_map *map = map_of(f, h->owner);
    struct mt_blob_note note;
    struct mt_blob_use *use;
    if (!map) return MOTE_ETERM;
    if (map == f->own) {
        mote_err err = mt_blobs_hold(f->blobs, h, f->self); /* who sent it still holds it: the release is behind it in the ring */
        if (err) return err == MOTE_ENOMEM ? err : MOTE_ETERM;
    }
    mote_err err = mt_blob_map_take(map, h, map == f->own ? f->self : f->from, &use, &note);
    tell(f, h->owner, &note);
    if (err) return err == MOTE_ENOMEM ? err : MOTE_ETERM;
    *blob = &use->blob;
    return MOTE_OK;
}

/* Two uses of each: the reader's, and one until the record has been read. */
static mote_err unload(void *context, mote_bytes bytes, mote_blob **blob) {
    struct mt_freight *f = context;
    struct mt_blob_handle h;
    if (bytes.size != sizeof h) return MOTE_ETERM;
    for (size_t i = f->taken_count; i--;)
        if (f->taken[i].place == bytes.data) { /* G3 */
            mote_blob_hold(*blob = f->taken[i].blob);
            return MOTE_OK;
        }
    memcpy(&h, bytes.data, sizeof h);
    mote_err err = take_handle(f, &h, blob);
    if (!err && note_taken(f, bytes.data, *blob)) mote_blob_hold(*blob);
    return err; /* without memory to note it, it is not there for a second reading */
}

bool mt_freight_is_record(const void *record, size_t size) {
    uint32_t kind = 0;
    if (size >= sizeof kind) memcpy(&kind, record, sizeof kind);
    return kind >= MT_FREIGHT_RECORD;
}

/* `from` has read the ring of a worker that died to its end. */
static void take_ended(struct mt_freight *f, mt_peer from, mt_peer dead) {
    struct mt_blob_map *map = map_of(f, from);
    struct mt_blob_note note;
    if (map) {
        mt_blob_map_ended(map, dead);
        while (mt_blob_map_released(map, &note)) tell(f, from, &note);
    }
    mt_lock_take(&f->mu);
    struct berth *b = f->open[mt_peer_worker(dead)];
    if (b && b->peer == dead) b->ended |= bit_of(from); /* it knew before us */
    b = ended_locked(f, dead, bit_of(from));
    mt_lock_drop(&f->mu);
    bury(f, b);
}

/* What cannot be applied changes nothing: whoever made the handle up may be another. */
static mote_err take_note(struct mt_freight *f, mt_peer from, const struct mt_blob_note *note) {
    struct mt_blob_note answer = {.kind = MT_BLOB_NONE};
    struct mt_blob_map *map = note->kind == MT_BLOB_COUNTED ? map_of(f, from) : NULL;
    if (note->kind == MT_BLOB_COUNTED && !map) return MOTE_EARG;
    mote_err err = map ? mt_blob_map_apply(map, note, &answer) : mt_blobs_apply(f->blobs, note, from, &answer);
    if (!err) tell(f, map ? from : note->peer, &answer);
    return err == MOTE_NOMATCH ? MOTE_OK : err;
}

mote_err mt_freight_take(struct mt_freight *f, mt_peer peer, const void *record, size_t size) {
    struct record r;
    if (size != sizeof r) return MOTE_EARG;
    memcpy(&r, record, sizeof r);
    if (r.kind == NOTE) return take_note(f, peer, &r.note);
    if (r.kind != ENDED || r.peer == f->self || r.peer == peer) return MOTE_EARG;
    take_ended(f, peer, r.peer);
    return MOTE_OK;
}

/* ------------------------------------------------------------------------------------------------- public */

mote_err mt_freight_make(struct mt_freight *f, size_t size, mote_blob **blob) {
    struct mt_blob_handle handle;
    struct mt_blob_note none;
    struct mt_blob_use *use;
    void *data;
    mote_err err = mt_blobs_make(f->blobs, size, &handle, &data);
    if (!err && (err = mt_blob_map_take(f->own, &handle, f->self, &use, &none))) mt_blobs_drop(f->blobs, &handle, f->self);
    if (err) return err;
    mt_blob_use_open(f->own, use, true);
    *blob = &use->blob;
    return MOTE_OK;
}

void mote_blob_seal(mote_blob *blob) { mt_blob_use_open(use_of(blob)->map, use_of(blob), false); }
void mote_blob_hold(mote_blob *blob) { mt_blob_use_hold(use_of(blob)->map, use_of(blob)); }

void mote_blob_drop(mote_blob *blob) {
    struct mt_blob_map *map = use_of(blob)->map;
    struct mt_freight *f = *mt_blob_map_context(map); /* gone, maybe: then there is nothing to tell */
    mt_peer owner = mt_blob_map_owner(map);
    struct mt_blob_note note;
    (void)mt_blob_use_drop(map, use_of(blob), &note);
    if (note.kind != MT_BLOB_NONE) tell(f, owner, &note);
}

void mt_freight_stats(struct mt_freight *f, mote_blob_stats *stats) {
    struct mt_blobs_info info;
    mt_blobs_info_get(f->blobs, &info);
    *stats = (mote_blob_stats){.live = info.live, .live_bytes = info.live_bytes, .held = mt_blob_map_count(f->own), .made = info.made};
    mt_lock_take(&f->mu);
    for (unsigned i = 0; i < MT_PEER_WORKERS; i++)
        if (f->open[i] && f->open[i]->map) stats->held += mt_blob_map_count(f->open[i]->map);
    for (const struct berth *b = f->dead; b; b = b->next)
        if (b->map) stats->held += mt_blob_map_count(b->map);
    mt_lock_drop(&f->mu);
}

/* -------------------------------------------------------------------------------------------------- itself */

int mt_freight_fd(const struct mt_freight *f) { return mt_blobs_fd(f->blobs); }
uint64_t mt_freight_trim(struct mt_freight *f, uint64_t now_ns) { return mt_blobs_trim(f->blobs, now_ns); }

static mote_err make_blobs(struct mt_freight *f) {
    mote_err err = MOTE_ENOMEM;
    for (size_t bytes = mt_os_memory_total(); err == MOTE_ENOMEM && (bytes >= BYTES_MIN || bytes == mt_os_memory_total()); bytes /= 2)
        err = mt_blobs_new(f->self, bytes, WARM_MAX, &f->blobs); /* address space may be limited */
    return err ? err : mt_blobs_map(f->blobs, &f->own);
}

mote_err mt_freight_new(mote_runtime *rt, mt_peer self, struct mt_board *board, struct mt_freight **freight) {
    struct mt_freight *f = mt_os_alloc_zero(sizeof *f);
    if (!f) return MOTE_ENOMEM;
    f->rt = rt;
    f->board = board;
    f->self = self;
    f->freighter = (struct mt_freighter){f, load, loaded, unload, over};
    mt_lock_init(&f->mu, MT_RANK_FREIGHT);
    mt_board_maps_clear(board, mt_peer_worker(self)); /* an incarnation before has said so */
    mote_err err = make_blobs(f);
    if (!err) *mt_blob_map_context(f->own) = f;
    if (!err) err = mt_far_freight(rt, &f->freighter);
    if (err) mt_freight_free(f);
    else *freight = f;
    return err;
}

void mt_freight_free(struct mt_freight *f) {
    if (!f) return;
    for (struct berth *b; (b = f->dead); free_berth(b)) f->dead = b->next;
    for (unsigned i = 0; i < MT_PEER_WORKERS; i++)
        if (f->open[i]) free_berth(f->open[i]);
    if (f->own) mt_blob_map_close(f->own);
    if (f->blobs) mt_blobs_free(f->blobs);
    mt_os_free(f->taken);
    mt_lock_fini(&f->mu);
    mt_os_free(f);
}
