/* SPDX-License-Identifier: Apache-2.0
 * The board: see board.h.
 *
 * Entries lie in the order they were made; a bucket has the number of an entry, or 0. Names with the same bucket follow in the next ones (open
 * addressing), where each looks in the same order and stops at the first free one: so a name is put in once, by whoever comes first. */
#include "worker/board.h"

#include <string.h>

#define BUCKETS (2 * MT_BOARD_NAMES)
#define PROBES_MAX 512u /* a run of used buckets this long does not come about by chance */
#define MAGIC UINT64_C(0x315f6472616f626d)
#define SPARE_NONE UINT32_MAX

struct entry { /* MT_SHARED */
    _Atomic uint64_t pid;  /* atomic: acquire and release: N2; 0: nobody's */
    uint64_t hash;         /* const once in a bucket */
    uint32_t at, size;     /* const once in a bucket: in `letters` */
};

struct board_memory { /* MT_SHARED */
    uint64_t magic, seed;              /* const, written before the board is sent */
    _Atomic uint64_t entry_count;      /* atomic: relaxed: entries handed out; may exceed the limit */
    _Atomic uint64_t letter_count;     /* atomic: relaxed: the same of letters */
    struct mt_doorbell bells[MT_BOARD_WORKERS];
    _Atomic uint32_t buckets[BUCKETS]; /* atomic: release and acquire: number of the entry + 1, N1 */
    struct entry entries[MT_BOARD_NAMES];
    char letters[MT_BOARD_LETTERS];    /* const once their entry is in a bucket */
    _Atomic uint32_t maps[MT_BOARD_WORKERS][MT_BOARD_WORKERS]; /* atomic: relaxed: by worker and owner: the owner's peer number + 1 */
};

struct mt_board { /* MT_SHARED */
    struct board_memory *m;   /* const */
    size_t bytes;             /* const */
    uint64_t seed;            /* const: copied from m, N3 */
    int fd;                   /* const */
    _Atomic uint32_t spare;   /* atomic: acquire and release: an entry of ours that is in no bucket; SPARE_NONE */
};

/* A name that is looked for. */
struct key {
    const char *name;
    size_t size;
    uint64_t hash;
};

static size_t bytes_of_board(void) {
    size_t page = mt_os_page_size();
    return (sizeof(struct board_memory) + page - 1) / page * page;
}

/* -------------------------------------------------------------------------------------------- the board itself */

static mote_err map_board(int fd, struct mt_board **board) {
    struct mt_board *b = mt_os_alloc_zero(sizeof *b);
    if (!b) return MOTE_ENOMEM;
    b->fd = fd;
    b->bytes = bytes_of_board();
    b->m = mt_os_memory_map(fd, b->bytes, true);
    atomic_init(&b->spare, SPARE_NONE);
    if (!b->m) {
        mt_os_free(b);
        return MOTE_ENOMEM;
    }
    *board = b;
    return MOTE_OK;
}

mote_err mt_board_new(struct mt_board **board) {
    int fd;
    mote_err err = mt_os_memory_new("mote board", bytes_of_board(), &fd);
    if (err) return err;
    err = map_board(fd, board);
    if (err) {
        mt_os_close(fd);
        return err;
    }
    (*board)->seed = (*board)->m->seed = mt_os_random();
    (*board)->m->magic = MAGIC;
    return MOTE_OK;
}

mote_err mt_board_open(int fd, struct mt_board **board) {
    size_t size;
    struct mt_board *b;
    if (mt_os_memory_size(fd, &size) || size != bytes_of_board()) return MOTE_EARG;
    mote_err err = map_board(fd, &b);
    if (err) return err;
    if (b->m->magic != MAGIC) {
        mt_os_unmap(b->m, b->bytes);
        mt_os_free(b);
        return MOTE_EARG;
    }
    b->seed = b->m->seed;
    *board = b;
    return MOTE_OK;
}

void mt_board_free(struct mt_board *board) {
    mt_os_unmap(board->m, board->bytes);
    mt_os_close(board->fd);
    mt_os_free(board);
}

int mt_board_fd(const struct mt_board *board) { return board->fd; }

struct mt_doorbell *mt_board_doorbell(struct mt_board *board, unsigned worker) {
    MT_ASSERT(worker < MT_BOARD_WORKERS);
    return &board->m->bells[worker];
}

/* -------------------------------------------------------------------------------------------------- names */

static uint64_t mix(uint64_t hash, uint64_t bits) {
    hash = (hash ^ bits) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static struct key key_of(const struct mt_board *b, const char *name, size_t size) {
    uint64_t hash = mix(b->seed, size), bits;
    size_t i = 0;
    for (; size - i >= 8; i += 8) {
        memcpy(&bits, name + i, 8);
        hash = mix(hash, bits);
    }
    bits = 0;
    memcpy(&bits, name + i, size - i);
    return (struct key){name, size, mix(mix(hash, bits), b->seed)};
}

/* An entry's letters; NULL when it says what cannot be. N3 */
static const char *letters_of(const struct board_memory *m, const struct entry *e, size_t *size) {
    uint64_t at = *(const volatile uint32_t *)&e->at, count = *(const volatile uint32_t *)&e->size;
    if (!count || count > MT_BOARD_NAME_MAX || at > MT_BOARD_LETTERS - count) return NULL;
    *size = count;
    return m->letters + at;
}

static bool is_of(const struct board_memory *m, const struct entry *e, const struct key *key) {
    size_t size;
    if (e->hash != key->hash) return false;
    const char *letters = letters_of(m, e, &size);
    return letters && size == key->size && memcmp(letters, key->name, size) == 0;
}

enum found { FOUND, FREE, NOWHERE };

/* Looks for a name from its `*probe`-th bucket on: its entry, or the first free bucket. */
static enum found look(struct board_memory *m, const struct key *key, unsigned *probe, struct entry **entry) {
    for (; *probe < PROBES_MAX; ++*probe) {
        uint32_t number = atomic_load_explicit(&m->buckets[(key->hash + *probe) % BUCKETS], memory_order_acquire);
        if (!number) return FREE;
        if (number > MT_BOARD_NAMES || !is_of(m, &m->entries[number - 1], key)) continue;
        *entry = &m->entries[number - 1];
        return FOUND;
    }
    return NOWHERE;
}

static struct entry *find(struct mt_board *b, const struct key *key) {
    struct entry *entry;
    unsigned probe = 0;
    return look(b->m, key, &probe, &entry) == FOUND ? entry : NULL;
}

/* The spare entry, if its room is large enough; else a new one. SPARE_NONE: a limit is reached. */
static uint32_t take_entry(struct mt_board *b, size_t size) {
    struct board_memory *m = b->m;
    uint32_t number = atomic_exchange_explicit(&b->spare, SPARE_NONE, memory_order_acq_rel);
    size_t room;
    if (number != SPARE_NONE && letters_of(m, &m->entries[number], &room) && room >= size) return number;
    uint64_t at = atomic_fetch_add_explicit(&m->letter_count, (size + 7) / 8 * 8, memory_order_relaxed);
    if (at > MT_BOARD_LETTERS - size) return SPARE_NONE;
    uint64_t next = atomic_fetch_add_explicit(&m->entry_count, 1, memory_order_relaxed);
    if (next >= MT_BOARD_NAMES) return SPARE_NONE;
    m->entries[next].at = (uint32_t)at;
    return (uint32_t)next;
}

/* Writes an entry that no bucket names yet. False: others have written nonsense there. */
static bool fill_entry(struct mt_board *b, uint32_t number, const struct key *key) {
    struct entry *e = &b->m->entries[number];
    uint64_t at = *(volatile uint32_t *)&e->at;
    if (at > MT_BOARD_LETTERS - key->size) return false;
    memcpy(b->m->letters + at, key->name, key->size);
    e->size = (uint32_t)key->size;
    e->hash = key->hash;
    atomic_store_explicit(&e->pid, 0, memory_order_relaxed);
    return true;
}

/* The name's entry, made if there is none; NULL: a limit. N1 */
static struct entry *find_or_make(struct mt_board *b, const struct key *key) {
    struct board_memory *m = b->m;
    struct entry *entry = NULL;
    uint32_t number = SPARE_NONE;
    unsigned probe = 0, tries = 0;
    for (enum found found; (found = look(m, key, &probe, &entry)) != FOUND;) {
        if (found == NOWHERE || tries++ > PROBES_MAX) return NULL;
        if (number == SPARE_NONE) number = take_entry(b, key->size);
        if (number == SPARE_NONE || !fill_entry(b, number, key)) return NULL;
        uint32_t none = 0;
        _Atomic uint32_t *bucket = &m->buckets[(key->hash + probe) % BUCKETS];
        if (atomic_compare_exchange_strong_explicit(bucket, &none, number + 1, memory_order_acq_rel, memory_order_relaxed)) return &m->entries[number];
        if (!none) return NULL; /* changed back meanwhile: nobody of ours does that */
    }
    if (number != SPARE_NONE) atomic_store_explicit(&b->spare, number, memory_order_release); /* another was first */
    return entry;
}

mote_err mt_board_register(struct mt_board *board, const char *name, size_t size, uint64_t pid) {
    uint64_t none = 0;
    MT_ASSERT(pid);
    if (!size || size > MT_BOARD_NAME_MAX) return MOTE_ENAME;
    struct key key = key_of(board, name, size);
    struct entry *e = find_or_make(board, &key);
    if (!e) return MOTE_ELIMIT;
    return atomic_compare_exchange_strong_explicit(&e->pid, &none, pid, memory_order_acq_rel, memory_order_relaxed) ? MOTE_OK : MOTE_EBUSY;
}

mote_err mt_board_unregister(struct mt_board *board, const char *name, size_t size, uint64_t pid) {
    MT_ASSERT(pid);
    if (!size || size > MT_BOARD_NAME_MAX) return MOTE_ENAME;
    struct key key = key_of(board, name, size);
    struct entry *e = find(board, &key);
    if (!e) return MOTE_ENAME;
    return atomic_compare_exchange_strong_explicit(&e->pid, &pid, 0, memory_order_acq_rel, memory_order_relaxed) ? MOTE_OK : MOTE_ENAME;
}

uint64_t mt_board_whereis(struct mt_board *board, const char *name, size_t size) {
    if (!size || size > MT_BOARD_NAME_MAX) return 0;
    struct key key = key_of(board, name, size);
    struct entry *e = find(board, &key);
    return e ? atomic_load_explicit(&e->pid, memory_order_acquire) : 0;
}

static size_t entries_of(struct board_memory *m) {
    uint64_t count = atomic_load_explicit(&m->entry_count, memory_order_relaxed);
    return count < MT_BOARD_NAMES ? count : MT_BOARD_NAMES;
}

size_t mt_board_clear(struct mt_board *board, uint64_t mask, uint64_t value) {
    size_t count = entries_of(board->m), cleared = 0;
    for (size_t i = 0; i < count; i++) {
        _Atomic uint64_t *pid = &board->m->entries[i].pid;
        uint64_t word = atomic_load_explicit(pid, memory_order_acquire);
        if (!word || (word & mask) != value) continue;
        if (atomic_compare_exchange_strong_explicit(pid, &word, 0, memory_order_acq_rel, memory_order_relaxed)) cleared++;
    }
    return cleared;
}

bool mt_board_next(struct mt_board *board, size_t *cursor, char name[MT_BOARD_NAME_MAX], size_t *size, uint64_t *pid) {
    size_t count = entries_of(board->m);
    while (*cursor < count) {
        struct entry *e = &board->m->entries[(*cursor)++];
        uint64_t word = atomic_load_explicit(&e->pid, memory_order_acquire);
        const char *letters = word ? letters_of(board->m, e, size) : NULL;
        if (!letters) continue;
        memcpy(name, letters, *size);
        *pid = word;
        return true;
    }
    return false;
}

/* ---------------------------------------------------------------------------------------------- blobs' readers */

void mt_board_maps_set(struct mt_board *board, unsigned worker, unsigned owner) {
    atomic_store_explicit(&board->m->maps[worker % MT_BOARD_WORKERS][owner % MT_BOARD_WORKERS], owner + 1, memory_order_relaxed);
}

void mt_board_maps_clear(struct mt_board *board, unsigned worker) {
    for (unsigned owner = 0; owner < MT_BOARD_WORKERS; owner++)
        atomic_store_explicit(&board->m->maps[worker % MT_BOARD_WORKERS][owner], 0, memory_order_relaxed);
}

bool mt_board_maps(struct mt_board *board, unsigned worker, unsigned owner) {
    return atomic_load_explicit(&board->m->maps[worker % MT_BOARD_WORKERS][owner % MT_BOARD_WORKERS], memory_order_relaxed) == owner + 1;
}
