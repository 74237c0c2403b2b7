/* SPDX-License-Identifier: Apache-2.0
 * The owner's side of blobs: see blobs.h.
 *
 * The pages of the file up to `frontier` are divided into runs: blobs, warm ones (free, with memory) and cold ones (free, punched). Sizes are rounded
 * up to eight for each power of two, and a warm run is used for its own size only: so it is taken and given back whole. Cold ones are joined with
 * their cold neighbours, and cut. All of this is in private memory. */
#include "worker/blobs.h"

#include <string.h>

#include "base/lock.h"

#define PAGES_MAX ((size_t)1 << 31)
#define CLASSES 256u
#define COLD_BINS 32u
#define COLD_TRIES 16u
#define WARM_NS UINT64_C(1000000000)
#define HOLDS_INLINE 4u

enum run_state { LIVE, WARM, COLD };

struct hold {
    mt_peer peer;
    uint64_t count; /* never 0 */
};

struct run {
    uint32_t page, pages;
    uint32_t class; /* of its size; 0: none, it is never warm */
    enum run_state state;
    struct run *next, *prev;       /* free: in its class or bin, newest first */
    struct run *younger, *older;   /* warm: by age */
    uint64_t freed_ns;             /* warm */
    /* a blob's */
    uint64_t size;
    uint32_t serial;
    uint32_t hold_count, hold_room;
    bool stuck; /* a hold could not be written down for want of memory: it stays for ever */
    struct hold *holds;
    struct hold few[HOLDS_INLINE];
};

struct mt_blobs { /* MT_SHARED */
    struct mt_lock mu;
    mt_peer self;                 /* const */
    int fd, reader;               /* const */
    char *base;                   /* const */
    size_t page_size, page_max;   /* const */
    size_t warm_max;              /* const */
    struct run **runs;            /* lock: mu: by first and by last page */
    size_t frontier;              /* lock: mu: pages from here on were never used, or are cold */
    struct run *warm[CLASSES];    /* lock: mu */
    struct run *cold[COLD_BINS];  /* lock: mu: by the logarithm of their pages */
    struct run *oldest, *newest;  /* lock: mu: warm ones */
    uint32_t serial;              /* lock: mu */
    uint32_t dead_before[MT_PEER_WORKERS]; /* lock: mu: incarnations of each worker below this have died */
    struct mt_blobs_info info;    /* lock: mu */
};

static size_t log2_of(size_t n) { return (size_t)(63 - __builtin_clzll(n)); }

static size_t bytes_of(const struct mt_blobs *b, const struct run *r) { return (size_t)r->pages * b->page_size; }

/* -------------------------------------------------------------------------------------------------- runs */

static void note_run(struct mt_blobs *b, struct run *r) {
    b->runs[r->page] = r;
    b->runs[r->page + r->pages - 1] = r;
}

/* Before it changes its bounds: no entry may name a run that is no more. */
static void unnote_run(struct mt_blobs *b, const struct run *r) {
    b->runs[r->page] = NULL;
    b->runs[r->page + r->pages - 1] = NULL;
}

static struct run **list_of(struct mt_blobs *b, const struct run *r) {
    return r->state == WARM ? &b->warm[r->class] : &b->cold[log2_of(r->pages)];
}

static void link_run(struct mt_blobs *b, struct run *r) {
    struct run **list = list_of(b, r);
    r->prev = NULL;
    r->next = *list;
    if (*list) (*list)->prev = r;
    *list = r;
}

static void unlink_run(struct mt_blobs *b, struct run *r) {
    if (r->prev)
        r->prev->next = r->next;
    else
        *list_of(b, r) = r->next;
    if (r->next) r->next->prev = r->prev;
}

static struct run *run_new(uint32_t page, uint32_t pages) {
    struct run *r = mt_os_alloc_zero(sizeof *r);
    if (!r) return NULL;
    r->page = page;
    r->pages = pages;
    r->holds = r->few;
    r->hold_room = HOLDS_INLINE;
    return r;
}

static void run_free(struct run *r) {
    if (r->holds != r->few) mt_os_free(r->holds);
    mt_os_free(r);
}

/* Joins a cold run with cold neighbours; what ends at the frontier becomes part of what was never used. */
static void make_cold(struct mt_blobs *b, struct run *r) {
    struct run *before = r->page ? b->runs[r->page - 1] : NULL;
    struct run *after = r->page + r->pages < b->frontier ? b->runs[r->page + r->pages] : NULL;
    unnote_run(b, r);
    r->state = COLD;
    if (before && before->state == COLD) {
        unlink_run(b, before);
        unnote_run(b, before);
        r->page = before->page;
        r->pages += before->pages;
        run_free(before);
    }
    if (after && after->state == COLD) {
        unlink_run(b, after);
        unnote_run(b, after);
        r->pages += after->pages;
        run_free(after);
    }
    if (r->page + r->pages == b->frontier) {
        b->frontier = r->page;
        run_free(r);
        return;
    }
    note_run(b, r);
    link_run(b, r);
}

static void unlink_warm(struct mt_blobs *b, struct run *r) {
    unlink_run(b, r);
    *(r->older ? &r->older->younger : &b->oldest) = r->younger;
    *(r->younger ? &r->younger->older : &b->newest) = r->older;
    b->info.warm_bytes -= bytes_of(b, r);
}

static void make_warm(struct mt_blobs *b, struct run *r, uint64_t now_ns) {
    r->state = WARM;
    r->freed_ns = now_ns;
    r->younger = NULL;
    r->older = b->newest;
    *(b->newest ? &b->newest->younger : &b->oldest) = r;
    b->newest = r;
    b->info.warm_bytes += bytes_of(b, r);
    link_run(b, r);
}

/* Gives a run's memory back. */
static void punch(struct mt_blobs *b, struct run *r) {
    if (mt_os_memory_punch(b->fd, (size_t)r->page * b->page_size, bytes_of(b, r))) b->info.punched += bytes_of(b, r);
    make_cold(b, r);
}

static void punch_oldest(struct mt_blobs *b) {
    struct run *r = b->oldest;
    unlink_warm(b, r);
    punch(b, r);
}

/* Cuts a run that is in no list to `pages`; the rest is a cold run of its own. Without memory for that it stays whole. */
static void cut_run(struct mt_blobs *b, struct run *r, uint32_t pages) {
    struct run *rest = r->pages > pages ? run_new(r->page + pages, r->pages - pages) : NULL;
    if (!rest) return;
    r->pages = pages;
    rest->state = COLD;
    note_run(b, rest);
    link_run(b, rest);
}

static struct run *take_cold(struct mt_blobs *b, uint32_t pages) {
    unsigned tries = 0;
    for (size_t bin = log2_of(pages); bin < COLD_BINS; bin++) {
        for (struct run *r = b->cold[bin]; r && tries < COLD_TRIES; r = r->next, tries++) {
            if (r->pages < pages) continue;
            unlink_run(b, r);
            unnote_run(b, r);
            cut_run(b, r, pages);
            return r;
        }
        tries = 0;
    }
    return NULL;
}

static struct run *take_unused(struct mt_blobs *b, uint32_t pages) {
    if (pages > b->page_max - b->frontier) return NULL;
    struct run *r = run_new((uint32_t)b->frontier, pages);
    if (r) b->frontier += pages;
    return r;
}

/* Pages rounded up to their class, and its number. */
static uint32_t class_of(uint32_t *pages) {
    if (*pages <= 8) return *pages;
    uint32_t shift = (uint32_t)log2_of(*pages) - 3, part = (*pages + (1u << shift) - 1) >> shift;
    *pages = part << shift;
    return shift * 8 + part;
}

/* A run for that many pages, in no list; *warm: its memory is there. */
static struct run *take_run(struct mt_blobs *b, uint32_t pages, bool *warm) {
    uint32_t rounded = pages, class = class_of(&rounded);
    struct run *r = b->warm[class];
    MT_ASSERT(class < CLASSES);
    *warm = r != NULL;
    if (r) {
        unlink_warm(b, r);
        return r;
    }
    if (rounded > b->page_max) {
        rounded = pages;
        class = 0;
    }
    r = take_cold(b, rounded);
    if (!r) r = take_unused(b, rounded);
    if (!r) {
        while (b->oldest) punch_oldest(b);
        r = take_cold(b, rounded);
        if (!r) r = take_unused(b, rounded);
    }
    if (r) r->class = r->pages == rounded ? class : 0;
    return r;
}

/* ------------------------------------------------------------------------------------------------- holds */

static struct hold *find_hold(struct run *r, mt_peer peer) {
    for (uint32_t i = 0; i < r->hold_count; i++)
        if (r->holds[i].peer == peer) return &r->holds[i];
    return NULL;
}

static bool grow_holds(struct run *r) {
    uint32_t room = r->hold_room * 2;
    struct hold *more = mt_os_alloc(room * sizeof *more);
    if (!more) return false;
    memcpy(more, r->holds, r->hold_count * sizeof *more);
    if (r->holds != r->few) mt_os_free(r->holds);
    r->holds = more;
    r->hold_room = room;
    return true;
}

/* Adds one to a peer's count. False: no memory. */
static bool count_hold(struct run *r, mt_peer peer) {
    struct hold *h = find_hold(r, peer);
    if (!h) {
        if (r->hold_count == r->hold_room && !grow_holds(r)) return false;
        h = &r->holds[r->hold_count++];
        *h = (struct hold){peer, 0};
    }
    h->count++;
    return true;
}

/* Takes up to `count` of a peer's holds away: no more than it has. */
static void release(struct run *r, mt_peer peer, uint64_t count) {
    struct hold *h = find_hold(r, peer);
    if (!h) return;
    h->count -= count < h->count ? count : h->count;
    if (!h->count) *h = r->holds[--r->hold_count];
}

static bool is_dead(const struct mt_blobs *b, mt_peer peer) {
    return peer / MT_PEER_WORKERS < b->dead_before[mt_peer_worker(peer)];
}

/* Frees a blob if nobody holds it. */
static void free_if_unheld(struct mt_blobs *b, struct run *r) {
    if (r->hold_count || r->stuck) return;
    b->info.live--;
    b->info.live_bytes -= bytes_of(b, r);
    if (!r->class || bytes_of(b, r) > b->warm_max) {
        punch(b, r);
        return;
    }
    make_warm(b, r, mt_os_now_ns());
    while (b->info.warm_bytes > b->warm_max) punch_oldest(b);
}

static struct run *find_blob(struct mt_blobs *b, uint32_t page, uint32_t serial) {
    struct run *r = page < b->frontier ? b->runs[page] : NULL;
    return r && r->state == LIVE && r->page == page && r->serial == serial ? r : NULL;
}

static struct run *blob_of(struct mt_blobs *b, const struct mt_blob_handle *handle) {
    struct run *r = handle->owner == b->self ? find_blob(b, handle->page, handle->serial) : NULL;
    return r && r->size == handle->size ? r : NULL;
}

static char *data_of(const struct mt_blobs *b, const struct run *r) { return b->base + (size_t)r->page * b->page_size + MOTE_BLOB_GAP; }

/* -------------------------------------------------------------------------------------------- the functions */

static mote_err open_file(struct mt_blobs *b) {
    mote_err err = mt_os_memory_new("mote blobs", b->page_max * b->page_size, &b->fd);
    if (err) return err;
    err = mt_os_memory_reader(b->fd, &b->reader);
    if (!err) {
        b->base = mt_os_memory_map(b->fd, b->page_max * b->page_size, true);
        if (b->base) return MOTE_OK;
        mt_os_close(b->reader);
        err = MOTE_ENOMEM;
    }
    mt_os_close(b->fd);
    return err;
}

/* Bytes of `runs`, in whole pages. */
static size_t bytes_of_runs(const struct mt_blobs *b) {
    size_t bytes = b->page_max * sizeof *b->runs;
    return (bytes + b->page_size - 1) / b->page_size * b->page_size;
}

mote_err mt_blobs_new(mt_peer self, size_t bytes_max, size_t warm_max, struct mt_blobs **blobs) {
    struct mt_blobs *b = mt_os_alloc_zero(sizeof *b);
    if (!b) return MOTE_ENOMEM;
    b->page_size = mt_os_page_size();
    b->page_max = (bytes_max + b->page_size - 1) / b->page_size;
    MT_ASSERT(b->page_max && b->page_max < PAGES_MAX);
    b->self = self;
    b->warm_max = warm_max;
    b->serial = (uint32_t)mt_os_random();
    b->runs = mt_os_map(bytes_of_runs(b)); /* sparse, as the file is */
    mote_err err = b->runs ? open_file(b) : MOTE_ENOMEM;
    if (err) {
        if (b->runs) mt_os_unmap(b->runs, bytes_of_runs(b));
        mt_os_free(b);
        return err;
    }
    mt_lock_init(&b->mu, MT_RANK_BLOBS);
    *blobs = b;
    return MOTE_OK;
}

void mt_blobs_free(struct mt_blobs *b) {
    for (size_t page = 0; page < b->frontier;) {
        struct run *r = b->runs[page];
        page += r->pages;
        run_free(r);
    }
    mt_lock_fini(&b->mu);
    mt_os_unmap(b->base, b->page_max * b->page_size);
    mt_os_unmap(b->runs, bytes_of_runs(b));
    mt_os_close(b->reader);
    mt_os_close(b->fd);
    mt_os_free(b);
}

int mt_blobs_fd(const struct mt_blobs *blobs) { return blobs->reader; }

mote_err mt_blobs_map(struct mt_blobs *b, struct mt_blob_map **map) {
    int fd;
    mote_err err = mt_os_dup(b->fd, &fd);
    if (!err && (err = mt_blob_map_new(b->self, b->self, fd, map))) mt_os_close(fd);
    return err;
}

static struct run *make_locked(struct mt_blobs *b, size_t size, uint32_t pages, bool *warm) {
    struct run *r = take_run(b, pages, warm);
    if (!r) return NULL;
    r->state = LIVE;
    r->size = size;
    r->serial = b->serial++;
    note_run(b, r);
    bool counted = count_hold(r, b->self);
    MT_ASSERT(counted && r->hold_count == 1);
    b->info.live++;
    b->info.live_bytes += bytes_of(b, r);
    b->info.made++;
    return r;
}

mote_err mt_blobs_make(struct mt_blobs *b, size_t size, struct mt_blob_handle *handle, void **data) {
    bool warm = false;
    MT_ASSERT(size);
    if (size > b->page_max * b->page_size - MOTE_BLOB_GAP - 1) return MOTE_ELIMIT;
    size_t pages = (size + MOTE_BLOB_GAP + b->page_size) / b->page_size;
    mt_lock_take(&b->mu);
    struct run *r = make_locked(b, size, (uint32_t)pages, &warm);
    if (r) *handle = (struct mt_blob_handle){.size = size, .page = r->page, .serial = r->serial, .owner = b->self};
    mt_lock_drop(&b->mu);
    if (!r) return MOTE_ENOMEM;
    char *at = data_of(b, r);
    if (!warm) mt_os_populate(at, size);
    at[size] = 0;
    *data = at;
    return MOTE_OK;
}

mote_err mt_blobs_hold(struct mt_blobs *b, const struct mt_blob_handle *handle, mt_peer peer) {
    mt_lock_take(&b->mu);
    struct run *r = blob_of(b, handle);
    mote_err err = !r ? MOTE_NOMATCH : is_dead(b, peer) ? MOTE_ENOPROC : count_hold(r, peer) ? MOTE_OK : MOTE_ENOMEM;
    mt_lock_drop(&b->mu);
    return err;
}

void mt_blobs_drop(struct mt_blobs *b, const struct mt_blob_handle *handle, mt_peer peer) {
    mt_lock_take(&b->mu);
    struct run *r = blob_of(b, handle);
    if (!is_dead(b, peer)) {
        MT_ASSERT(r && find_hold(r, peer));
        release(r, peer, 1);
        free_if_unheld(b, r);
    }
    mt_lock_drop(&b->mu);
}

void *mt_blobs_data(struct mt_blobs *b, const struct mt_blob_handle *handle) {
    mt_lock_take(&b->mu);
    struct run *r = blob_of(b, handle);
    void *data = r ? data_of(b, r) : NULL;
    mt_lock_drop(&b->mu);
    return data;
}

static mote_err apply_locked(struct mt_blobs *b, const struct mt_blob_note *note, mt_peer from, struct mt_blob_note *answer) {
    bool holds = note->kind == MT_BLOB_HOLD;
    if (!holds && note->kind != MT_BLOB_RELEASE) return MOTE_EARG;
    if (holds ? note->count > 1 || note->peer == b->self || note->peer == from : !note->count) return MOTE_EARG;
    struct run *r = find_blob(b, note->page, note->serial);
    if (!r || is_dead(b, from)) return MOTE_NOMATCH;
    if (!holds) {
        release(r, from, note->count);
        free_if_unheld(b, r);
        return MOTE_OK;
    }
    if (note->count && !count_hold(r, from)) r->stuck = true;
    *answer = (struct mt_blob_note){.kind = MT_BLOB_COUNTED, .page = note->page, .serial = note->serial, .count = 1, .peer = from};
    return MOTE_OK;
}

mote_err mt_blobs_apply(struct mt_blobs *blobs, const struct mt_blob_note *note, mt_peer from, struct mt_blob_note *answer) {
    struct mt_blob_note told = {.kind = MT_BLOB_NONE}; /* note and answer may be one struct */
    mt_lock_take(&blobs->mu);
    mote_err err = apply_locked(blobs, note, from, &told);
    mt_lock_drop(&blobs->mu);
    *answer = told;
    return err;
}

static void forget_in(struct mt_blobs *b, struct run *r, mt_peer peer) {
    struct hold *h = find_hold(r, peer);
    if (!h) return;
    *h = r->holds[--r->hold_count];
    free_if_unheld(b, r);
}

/* Where the first blob from that page on begins. */
static size_t next_live(const struct mt_blobs *b, size_t page) {
    while (page < b->frontier && b->runs[page]->state != LIVE) page += b->runs[page]->pages;
    return page;
}

void mt_blobs_forget(struct mt_blobs *b, mt_peer peer) {
    unsigned worker = mt_peer_worker(peer);
    mt_lock_take(&b->mu);
    if (!is_dead(b, peer)) b->dead_before[worker] = peer / MT_PEER_WORKERS + 1;
    for (size_t page = next_live(b, 0), next; page < b->frontier; page = next) {
        struct run *r = b->runs[page];
        next = next_live(b, page + r->pages); /* freeing r joins it with free ones alone */
        forget_in(b, r, peer);
    }
    mt_lock_drop(&b->mu);
}

uint64_t mt_blobs_trim(struct mt_blobs *b, uint64_t now_ns) {
    mt_lock_take(&b->mu);
    while (b->oldest && b->oldest->freed_ns + WARM_NS <= now_ns) punch_oldest(b);
    uint64_t next = b->oldest ? b->oldest->freed_ns + WARM_NS : MT_NEVER;
    mt_lock_drop(&b->mu);
    return next;
}

void mt_blobs_info_get(struct mt_blobs *b, struct mt_blobs_info *info) {
    mt_lock_take(&b->mu);
    *info = b->info;
    mt_lock_drop(&b->mu);
}
