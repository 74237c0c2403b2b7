/* SPDX-License-Identifier: Apache-2.0
 * The atom table: names to words and back.
 *
 * The one table of the OS process, on purpose: an atom's word is the same in every runtime, and what a call site compiled is
 * static. Looking up by index takes no lock: chunk, entry, atom. Looking up by name is a hash table under lock ATOM that
 * grows by one bucket at a time (linear hashing), so that no insertion is long.
 *
 * A1 an atom in the table has refs >= 1: the 1 -> 0 step, removal and finding by name all happen under the lock.
 * A2 entry[index] of a live atom points to it; that of a free counted index is odd: (next free index) << 1 | 1.
 * A3 permanent atoms hold one count that nobody gives back. So does, once (`pinned`), a counted one that was made permanent.
 * A4 buckets = (level + split), level a power of two, split < level: buckets below `split` are told apart by one more bit.
 * A5 a purse's `held` is the number of atoms that point to it, and one for its owner.
 */
#include <string.h>

#include "base/lock.h"
#include "term/term.h"

#define CHUNK_BITS 10
#define CHUNK ((uint64_t)1 << CHUNK_BITS)
#define PERMANENT_CHUNKS (MT_ATOM_PERMANENT_MAX >> CHUNK_BITS)
#define COUNTED_MAX ((uint64_t)1 << 24)
#define CHUNKS (PERMANENT_CHUNKS + (COUNTED_MAX >> CHUNK_BITS))
#define CHARS_MAX 255u
#define NO_INDEX UINT32_MAX

struct atom {
    const char *name;      /* const: behind this struct, or static; ends in 0 */
    uint64_t hash;         /* const after once */
    struct atom *chain;    /* lock: mu */
    _Atomic uint64_t refs; /* atomic: up relaxed, down release, acquire at 0 (A1) */
    uint32_t index;        /* const */
    uint16_t size;         /* const: bytes */
    bool pinned;           /* lock: mu (A3) */
    struct mt_purse *purse; /* lock: mu: who pays for it; NULL: nobody (A5) */
};

struct mt_purse { /* MT_SHARED */
    _Atomic uint32_t held; /* atomic: relaxed; changes under mu */
    uint32_t max;          /* const */
    _Atomic bool refused;  /* atomic: relaxed */
};

static _Thread_local struct mt_purse *payer;

struct chunk {
    _Atomic uintptr_t entry[CHUNK]; /* atomic: release by intern() and recycle(), acquire by find() (A2) */
};

static struct atom predefined[] = {
#define X(atom_name) {.name = #atom_name, .refs = 1, .index = MT_ATOM_##atom_name, .size = sizeof #atom_name - 1, .pinned = true},
    MT_ATOMS(X)
#undef X
    {.name = "nonode@nohost", .refs = 1, .index = MT_ATOM_nonode_at_nohost, .size = sizeof "nonode@nohost" - 1, .pinned = true},
};
_Static_assert(sizeof predefined / sizeof *predefined == MT_ATOM_FIRST_FREE && MT_ATOM_FIRST_FREE < CHUNK, "one chunk holds them");

static struct chunk first_chunk;
static struct atom *first_buckets[CHUNK];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static struct {
    struct mt_lock mu;                      /* const after once */
    struct chunk *_Atomic chunks[CHUNKS];   /* atomic: release by slot_of(), acquire by find(); never changes once set */
    struct atom **buckets[CHUNKS * 2];      /* lock: mu; segments of CHUNK buckets */
    uint64_t level, split;                  /* lock: mu (A4) */
    uint64_t permanent_next, counted_next;  /* lock: mu; indexes never used so far */
    uint32_t free;                          /* lock: mu; the free list's first counted index, less the permanent range */
    _Atomic uint64_t count;                 /* atomic: relaxed; changes under mu */
    _Atomic uint64_t users;                 /* atomic: relaxed */
} table;

/* -------------------------------------------------------------------------------------------- by name */

static uint64_t name_hash(const char *name, size_t size) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++) h = (h ^ (uint8_t)name[i]) * UINT64_C(0x100000001b3);
    return (h ^ h >> 32) * UINT64_C(0x9e3779b97f4a7c15);
}

static struct atom **bucket_at(uint64_t i) {
    MT_ASSERT(i < table.level + table.split);
    return &table.buckets[i >> CHUNK_BITS][i & (CHUNK - 1)];
}

static struct atom **bucket_of(uint64_t hash) {
    uint64_t i = hash & (table.level - 1);
    return bucket_at(i < table.split ? hash & (2 * table.level - 1) : i);
}

/* One bucket more, when there are more atoms than buckets: splits the next one. Out of memory only makes chains longer. */
static void split_bucket(void) {
    uint64_t added = table.level + table.split;
    if (atomic_load_explicit(&table.count, memory_order_relaxed) <= added || added >= CHUNKS * 2 * CHUNK) return;
    struct atom ***segment = &table.buckets[added >> CHUNK_BITS];
    if (!*segment && !(*segment = mt_os_alloc_zero(CHUNK * sizeof **segment))) return;
    struct atom *chain = *bucket_at(table.split);
    *bucket_at(table.split) = NULL;
    if (++table.split == table.level) table.level *= 2, table.split = 0;
    for (struct atom *next; chain; chain = next) {
        struct atom **to = bucket_of(chain->hash);
        next = chain->chain;
        chain->chain = *to;
        *to = chain;
    }
}

static void link_name(struct atom *atom) {
    struct atom **bucket = bucket_of(atom->hash);
    atom->chain = *bucket;
    *bucket = atom;
    atomic_fetch_add_explicit(&table.count, 1, memory_order_relaxed);
    split_bucket();
}

static void unlink_name(struct atom *atom) {
    struct atom **at = bucket_of(atom->hash);
    while (*at != atom) {
        MT_ASSERT(*at != NULL); /* A1 */
        at = &(*at)->chain;
    }
    *at = atom->chain;
    atomic_fetch_sub_explicit(&table.count, 1, memory_order_relaxed);
}

static struct atom *find_name(const char *name, size_t size, uint64_t hash) {
    for (struct atom *atom = *bucket_of(hash); atom; atom = atom->chain)
        if (atom->hash == hash && atom->size == size && memcmp(atom->name, name, size) == 0) return atom;
    return NULL;
}

static void table_init(void) {
    mt_lock_init(&table.mu, MT_RANK_ATOM);
    table.buckets[0] = first_buckets;
    table.level = CHUNK;
    table.permanent_next = MT_ATOM_FIRST_FREE;
    table.free = NO_INDEX;
    for (uint64_t i = 0; i < MT_ATOM_FIRST_FREE; i++) {
        MT_ASSERT(predefined[i].index == i);
        predefined[i].hash = name_hash(predefined[i].name, predefined[i].size);
        atomic_init(&first_chunk.entry[i], (uintptr_t)&predefined[i]);
        link_name(&predefined[i]);
    }
    atomic_store_explicit(&table.chunks[0], &first_chunk, memory_order_release);
}

static void ready(void) {
    int err = pthread_once(&once, table_init);
    MT_ASSERT(err == 0);
}

/* ------------------------------------------------------------------------------------------- by index */

static struct atom *find(uint64_t word) {
    MT_ASSERT(mt_tag(word) == MT_ATOM);
    uint64_t index = word >> 3;
    if (index < MT_ATOM_FIRST_FREE) return &predefined[index];
    MT_ASSERT(index < MT_ATOM_PERMANENT_MAX + COUNTED_MAX);
    struct chunk *chunk = atomic_load_explicit(&table.chunks[index >> CHUNK_BITS], memory_order_acquire);
    MT_ASSERT(chunk != NULL);
    uintptr_t entry = atomic_load_explicit(&chunk->entry[index & (CHUNK - 1)], memory_order_acquire);
    MT_ASSERT(entry != 0 && (entry & 1) == 0); /* A2: else the word outlived its atom */
    return (struct atom *)entry;
}

/* The entry of an index, its chunk made when it is the first; NULL: memory. */
static _Atomic uintptr_t *slot_of(uint64_t index) {
    struct chunk *_Atomic *at = &table.chunks[index >> CHUNK_BITS];
    struct chunk *chunk = atomic_load_explicit(at, memory_order_relaxed);
    if (!chunk) {
        if (!(chunk = mt_os_alloc_zero(sizeof *chunk))) return NULL;
        atomic_store_explicit(at, chunk, memory_order_release);
    }
    return &chunk->entry[index & (CHUNK - 1)];
}

/* Takes an index that is free, and its slot. */
static mote_err take_index(bool permanent, uint32_t *index, _Atomic uintptr_t **slot) {
    if (permanent && table.permanent_next < MT_ATOM_PERMANENT_MAX) {
        if (!(*slot = slot_of(table.permanent_next))) return MOTE_ENOMEM;
        *index = (uint32_t)table.permanent_next++;
        return MOTE_OK;
    }
    if (table.free != NO_INDEX) {
        *index = table.free + (uint32_t)MT_ATOM_PERMANENT_MAX;
        *slot = slot_of(*index);
        uintptr_t entry = atomic_load_explicit(*slot, memory_order_relaxed);
        MT_ASSERT(entry & 1); /* A2 */
        table.free = (uint32_t)(entry >> 1);
        return MOTE_OK;
    }
    if (table.counted_next == COUNTED_MAX) return MOTE_ELIMIT;
    if (!(*slot = slot_of(MT_ATOM_PERMANENT_MAX + table.counted_next))) return MOTE_ENOMEM;
    *index = (uint32_t)(MT_ATOM_PERMANENT_MAX + table.counted_next++);
    return MOTE_OK;
}

/* One more, or one fewer, for a purse (NULL is allowed). Lock ATOM. */
static bool pay_locked(struct mt_purse *purse) {
    if (!purse) return true;
    bool fits = atomic_load_explicit(&purse->held, memory_order_relaxed) - 1 < purse->max;
    if (fits) atomic_fetch_add_explicit(&purse->held, 1, memory_order_relaxed);
    else atomic_store_explicit(&purse->refused, true, memory_order_relaxed);
    return fits;
}
static void pay_back_locked(struct mt_purse *purse) {
    if (purse && atomic_fetch_sub_explicit(&purse->held, 1, memory_order_relaxed) == 1) mt_os_free(purse);
}

/* Makes an atom that is not in the table, with one count. */
static mote_err add(const char *name, size_t size, uint64_t hash, bool permanent, struct atom **made) {
    _Atomic uintptr_t *slot;
    struct atom *atom = mt_os_alloc(sizeof *atom + size + 1);
    if (!atom) return MOTE_ENOMEM;
    atom->purse = permanent ? NULL : payer;
    bool paid = pay_locked(atom->purse);
    mote_err err = paid ? take_index(permanent, &atom->index, &slot) : MOTE_ELIMIT;
    if (err) {
        if (paid) pay_back_locked(atom->purse);
        mt_os_free(atom);
        return err;
    }
    char *copy = (char *)(atom + 1);
    if (size) memcpy(copy, name, size);
    copy[size] = 0;
    atom->name = copy;
    atom->hash = hash;
    atom->size = (uint16_t)size;
    atom->pinned = permanent;
    atomic_init(&atom->refs, 1);
    link_name(atom);
    atomic_store_explicit(slot, (uintptr_t)atom, memory_order_release);
    *made = atom;
    return MOTE_OK;
}

/* Counts one that is in the table: for the caller, or once for ever. */
static void count_one(struct atom *atom, bool permanent) {
    bool once_more = permanent ? !atom->pinned : atom->index >= MT_ATOM_PERMANENT_MAX;
    if (once_more) {
        uint64_t old = atomic_fetch_add_explicit(&atom->refs, 1, memory_order_relaxed);
        MT_ASSERT(old > 0); /* A1 */
    }
    if (!permanent || atom->pinned) return;
    atom->pinned = true;
    pay_back_locked(atom->purse);
    atom->purse = NULL;
}

static mote_err intern(const char *name, size_t size, bool permanent, uint64_t *word) {
    size_t chars;
    if (size > 4 * CHARS_MAX || !mt_utf8_valid(name, size, &chars) || chars > CHARS_MAX) return MOTE_EARG;
    ready();
    uint64_t hash = name_hash(name, size);
    mote_err err = MOTE_OK;
    mt_lock_take(&table.mu);
    struct atom *atom = find_name(name, size, hash);
    if (atom)
        count_one(atom, permanent);
    else
        err = add(name, size, hash, permanent, &atom);
    if (!err) *word = (uint64_t)atom->index << 3 | MT_ATOM;
    mt_lock_drop(&table.mu);
    return err;
}

uint64_t mt_atom_intern(const char *name, size_t size, bool permanent, mote_err *err) {
    MT_ASSERT(name != NULL || size == 0);
    uint64_t word = 0;
    mote_err result = intern(name, size, permanent, &word);
    MT_ASSERT((word == 0) == (result != MOTE_OK));
    if (result && err) *err = result;
    return word;
}

bool mt_atom_exists(const char *name, size_t size) {
    ready();
    uint64_t hash = name_hash(name, size);
    mt_lock_take(&table.mu);
    bool exists = find_name(name, size, hash) != NULL;
    mt_lock_drop(&table.mu);
    return exists;
}

/* ------------------------------------------------------------------------------------------- counting */

void mt_atom_hold(uint64_t word) {
    if (!mt_atom_counted(word)) return;
    uint64_t old = atomic_fetch_add_explicit(&find(word)->refs, 1, memory_order_relaxed);
    MT_ASSERT(old > 0); /* A1 */
}

/* Takes an atom without counts out of the table; its index is free. Lock ATOM. */
static void recycle_locked(struct atom *atom) {
    MT_ASSERT(!atom->pinned && atom->index >= MT_ATOM_PERMANENT_MAX); /* A3 */
    unlink_name(atom);
    atomic_store_explicit(slot_of(atom->index), (uintptr_t)table.free << 1 | 1, memory_order_release);
    table.free = atom->index - (uint32_t)MT_ATOM_PERMANENT_MAX;
    pay_back_locked(atom->purse);
}

/* The count seemed to be the last one: under the lock nobody finds the atom by its name meanwhile (A1). */
static void drop_last(struct atom *atom) {
    mt_lock_take(&table.mu);
    bool gone = atomic_fetch_sub_explicit(&atom->refs, 1, memory_order_acq_rel) == 1;
    if (gone) recycle_locked(atom);
    mt_lock_drop(&table.mu);
    if (gone) mt_os_free(atom);
}

void mt_atom_drop(uint64_t word) {
    if (!mt_atom_counted(word)) return;
    struct atom *atom = find(word);
    uint64_t refs = atomic_load_explicit(&atom->refs, memory_order_relaxed);
    MT_ASSERT(refs > 0);
    while (refs > 1)
        if (atomic_compare_exchange_weak_explicit(&atom->refs, &refs, refs - 1, memory_order_release, memory_order_relaxed)) return;
    drop_last(atom);
}

struct mt_purse *mt_purse_new(uint32_t max) {
    struct mt_purse *purse = mt_os_alloc(sizeof *purse);
    ready();
    if (purse) *purse = (struct mt_purse){.held = 1, .max = max, .refused = false};
    return purse;
}

void mt_purse_drop(struct mt_purse *purse) {
    if (!purse) return;
    mt_lock_take(&table.mu);
    pay_back_locked(purse);
    mt_lock_drop(&table.mu);
}

uint32_t mt_purse_held(const struct mt_purse *purse) { return atomic_load_explicit(&purse->held, memory_order_relaxed) - 1; }

bool mt_purse_refused(struct mt_purse *purse) {
    return atomic_load_explicit(&purse->refused, memory_order_relaxed) && atomic_exchange_explicit(&purse->refused, false, memory_order_relaxed);
}

void mt_atom_payer(struct mt_purse *purse) { payer = purse; }

void mt_atom_table_hold(void) { atomic_fetch_add_explicit(&table.users, 1, memory_order_relaxed); }

void mt_atom_table_drop(void) {
    uint64_t old = atomic_fetch_sub_explicit(&table.users, 1, memory_order_relaxed);
    MT_ASSERT(old > 0);
}

/* Frees the table at the program's end, unless threads of a runtime may still be reading it. */
__attribute__((destructor)) static void table_free(void) {
    if (atomic_load_explicit(&table.users, memory_order_relaxed) > 0) return;
    for (uint64_t c = 0; c < CHUNKS; c++) {
        struct chunk *chunk = atomic_load_explicit(&table.chunks[c], memory_order_acquire);
        if (!chunk) continue;
        for (uint64_t i = c ? 0 : MT_ATOM_FIRST_FREE; i < CHUNK; i++) {
            uintptr_t entry = atomic_load_explicit(&chunk->entry[i], memory_order_relaxed);
            if ((entry & 1) || !entry) continue;
            pay_back_locked(((struct atom *)entry)->purse);
            mt_os_free((void *)entry);
        }
        if (chunk != &first_chunk) mt_os_free(chunk);
        atomic_store_explicit(&table.chunks[c], NULL, memory_order_relaxed);
    }
    for (uint64_t s = 1; s < CHUNKS * 2 && table.buckets[s]; s++) mt_os_free(table.buckets[s]);
}

/* -------------------------------------------------------------------------------------------- reading */

int mt_atom_compare(uint64_t a, uint64_t b) {
    if (a == b) return 0;
    const struct atom *x = find(a), *y = find(b);
    /* The order of UTF-8's bytes is that of the code points. */
    int order = memcmp(x->name, y->name, x->size < y->size ? x->size : y->size);
    return order ? order : x->size - y->size;
}

uint64_t mt_atom_hash(uint64_t word) {
    ready();
    return find(word)->hash;
}

mote_atom mote_atom_make(const char *name) {
    mote_atom atom = {name ? mt_atom_intern(name, strlen(name), true, NULL) : 0};
    return atom;
}

mote_atom mote_atom_hold(mote_atom atom) {
    if (atom.word) mt_atom_hold(atom.word);
    return atom;
}

void mote_atom_drop(mote_atom atom) {
    if (atom.word) mt_atom_drop(atom.word);
}

size_t mote_atom_count(void) {
    ready();
    return atomic_load_explicit(&table.count, memory_order_relaxed);
}

const char *mote_atom_name(mote_atom atom, size_t *size) {
    static const struct atom none = {.name = ""};
    const struct atom *found = mt_tag(atom.word) == MT_ATOM ? find(atom.word) : &none;
    if (size) *size = found->size;
    return found->name;
}
