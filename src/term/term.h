/* SPDX-License-Identifier: Apache-2.0
 * Terms inside: how a 64-bit word and the words it points to are laid out, and what the process layer needs of them.
 *
 * Any thread; terms are immutable once built. Functions never recurse on a term's depth.
 * I1 the low 3 bits are the tag: 0 boxed, 1 small integer (61 bits, signed), 2 atom, 3 local pid, 4 local reference, 5 cons, 6 nil,
 *    7 header (never a term). Word 0 is no term. Pointers are 8-aligned.
 * I2 a boxed object is a header word (kind in bits 3-7, number of words that follow from bit 8) and those words: first its
 *    tagged words (MT_TAGGED), then raw ones. A cons is two tagged words without header. So a run of whole objects can be
 *    walked word by word from its start: a *fragment* is such a run, with its root object first.
 * I3 a counted thing (atom of the counted range, shared binary) is counted once for each place it stands in a fragment.
 */
#ifndef MT_TERM_TERM_H
#define MT_TERM_TERM_H

#include <mote/host.h>

#include "base/atomic.h"
#include "base/os.h"
#include "mote/mote.h"

enum mt_tag { MT_BOXED, MT_SMALL, MT_ATOM, MT_PID, MT_REF, MT_CONS, MT_NIL_TAG, MT_HEADER };

enum mt_kind {
    MT_TUPLE,      /* elements */
    MT_MAP,        /* n keys in map-key order, then their n values */
    MT_FUN,        /* module, function (atoms), arity (small) */
    MT_FLOAT,      /* raw double */
    MT_BIG,        /* raw limbs, least significant first, no leading zero limb; does not fit a small */
    MT_BIG_NEG,    /* the same, negative */
    MT_BIN,        /* raw: number of bits, then the bytes, zero-padded */
    MT_TEXT,       /* the same, valid UTF-8 */
    MT_BIN_SHARED, /* raw: number of bits, first bit, struct mt_bin * (counted) */
    MT_TEXT_SHARED,
    MT_PID_FAR,  /* node (atom), raw: id (low half) and serial (high half), creation */
    MT_PORT_FAR, /* node (atom), raw: id, creation */
    MT_REF_FAR,  /* node (atom), raw: creation (low half) and number of 32-bit words (high half), then those words in pairs, the
                    first in the low half; an unused half is 0 */
    MT_OPAQUE,   /* another runtime's closure: raw external format, kept as it came: number of bytes, bytes */
    MT_HOST      /* raw: an object of the host's, its mote_host_kind (counted, see host.h) */
};

#define MT_SMALL_MAX ((int64_t)(((uint64_t)1 << 60) - 1))
#define MT_SMALL_MIN (-MT_SMALL_MAX - 1)
#define MT_BIN_INLINE_MAX 64u     /* bytes; larger ones are shared */
#define MT_BIG_BYTES_MAX 524288u  /* as Erlang */
#define MT_BIG_READ_MAX 1048576u  /* releases before 26 may send more than they are sent */
#define MT_NIL_WORD 6u

/* Local pids: index of the slot in the process table, worker, serial of the slot's use. A worker of the node is a number below MT_WORKERS_MAX
 * and, above it, its incarnation. Local references name their worker's number in the highest bits of what is counted. */
#define MT_PID_INDEX_BITS 26
#define MT_PID_WORKER_BITS 8
#define MT_PID_SERIAL_BITS 27
#define MT_WORKER_BITS 6
#define MT_WORKERS_MAX (1u << MT_WORKER_BITS)
#define MT_REF_COUNTER_BITS 53

static inline unsigned mt_tag(uint64_t w) { return (unsigned)(w & 7); }
static inline bool mt_is_pointer(uint64_t w) { return (w & 7) == MT_BOXED || (w & 7) == MT_CONS; }
static inline uint64_t *mt_ptr(uint64_t w) { return (uint64_t *)(uintptr_t)(w & ~(uint64_t)7); }
static inline uint64_t mt_header(enum mt_kind kind, uint64_t words) { return words << 8 | (uint64_t)kind << 3 | MT_HEADER; }
static inline enum mt_kind mt_header_kind(uint64_t h) { return (enum mt_kind)(h >> 3 & 31); }
static inline uint64_t mt_header_words(uint64_t h) { return h >> 8; }
static inline uint64_t mt_small(int64_t v) { return (uint64_t)v << 3 | MT_SMALL; }
static inline int64_t mt_small_value(uint64_t w) { return (int64_t)w >> 3; }
static inline bool mt_small_fits(int64_t v) { return v >= MT_SMALL_MIN && v <= MT_SMALL_MAX; }
static inline uint64_t mt_boxed(const uint64_t *p) { return (uint64_t)(uintptr_t)p; }
static inline uint64_t mt_cons(const uint64_t *p) { return (uint64_t)(uintptr_t)p | MT_CONS; }
static inline uint64_t mt_pid_word(uint64_t index, uint64_t worker, uint64_t serial) {
    return ((serial << MT_PID_WORKER_BITS | worker) << MT_PID_INDEX_BITS | index) << 3 | MT_PID;
}
/* Worker and incarnation, where they stand in a pid. */
#define MT_PID_WORKER_MASK ((((uint64_t)1 << MT_PID_WORKER_BITS) - 1) << (3 + MT_PID_INDEX_BITS))
static inline unsigned mt_pid_worker(uint64_t w) { return (unsigned)((w & MT_PID_WORKER_MASK) >> (3 + MT_PID_INDEX_BITS)); }
/* The worker that no worker is: it has the words for processes of other nodes (proc/remote.h). */
#define MT_REMOTE (MT_WORKERS_MAX - 1)
static inline bool mt_is_remote(uint64_t w) { return mt_tag(w) == MT_PID && mt_pid_worker(w) % MT_WORKERS_MAX == MT_REMOTE; }
static inline unsigned mt_ref_worker(uint64_t w) { return (unsigned)(w >> (3 + MT_REF_COUNTER_BITS)) & (MT_WORKERS_MAX - 1); }
static inline uint64_t mt_pid_index(uint64_t w) { return w >> 3 & (((uint64_t)1 << MT_PID_INDEX_BITS) - 1); }
static inline uint64_t mt_pid_serial(uint64_t w) { return w >> (3 + MT_PID_INDEX_BITS + MT_PID_WORKER_BITS); }

/* How many of an object's words are tagged. */
static inline uint64_t mt_tagged_words(uint64_t header) {
    enum mt_kind kind = mt_header_kind(header);
    if (kind <= MT_FUN) return mt_header_words(header);
    return kind >= MT_PID_FAR && kind <= MT_REF_FAR ? 1 : 0;
}

/* ------------------------------------------------------------------------------------ shared binaries (bin.c) */

struct mt_bin {
    _Atomic uint64_t refs;                         /* atomic: relaxed up, release down, acquire at 0 */
    size_t size;                                   /* const: bytes */
    const uint8_t *data;                           /* const: points behind this struct, or outside */
    void (*release)(void *data, void *context);    /* const: NULL when data lies behind */
    void *context;                                 /* const */
};
/* A binary of one reference with room for `size` bytes behind it, to be filled before anyone else sees it. Gives; NULL: memory. */
struct mt_bin *mt_bin_new(size_t size);
static inline void mt_bin_hold(struct mt_bin *bin) { atomic_fetch_add_explicit(&bin->refs, 1, memory_order_relaxed); }
/* Gives up one reference; the last one frees and calls `release`. */
void mt_bin_drop(struct mt_bin *bin);

/* A host's object, at its header. */
#define MT_HOST_WORDS 3u
#define MT_HOST_HEADER mt_header(MT_HOST, MT_HOST_WORDS - 1)
static inline const mote_host_kind *mt_host_kind(const uint64_t *at) { return (const mote_host_kind *)(uintptr_t)at[2]; }
static inline mote_term mt_host_put(uint64_t *at, const mote_host_kind *kind, void *object) {
    at[0] = MT_HOST_HEADER;
    at[1] = (uint64_t)(uintptr_t)object;
    at[2] = (uint64_t)(uintptr_t)kind;
    return (mote_term){mt_boxed(at)};
}
static inline void mt_host_hold(const uint64_t *at) { mt_host_kind(at)->hold((void *)(uintptr_t)at[1]); }
static inline void mt_host_drop(const uint64_t *at) { mt_host_kind(at)->drop((void *)(uintptr_t)at[1]); }

/* The bits of a binary, text or bitstring wherever they lie: `count` of them from bit `first` (0-7) of data[0] on. */
struct mt_bits {
    const uint8_t *data;
    uint64_t first;
    uint64_t count;
};
static inline bool mt_is_bits(uint64_t w) {
    return w && mt_tag(w) == MT_BOXED && mt_header_kind(*mt_ptr(w)) >= MT_BIN && mt_header_kind(*mt_ptr(w)) <= MT_TEXT_SHARED;
}
/* The bits of a term for which mt_is_bits(); borrowed from it. */
struct mt_bits mt_bits_of(uint64_t word);
/* The 8 bits from bit 8 * i on, zero-padded behind the last. i < (count + 7) / 8. */
uint8_t mt_bits_byte(const struct mt_bits *bits, uint64_t i);
/* Copies all of them, left-aligned and zero-padded, into (count + 7) / 8 bytes. */
void mt_bits_copy(const struct mt_bits *bits, uint8_t *to);
/* Whether `size` bytes are UTF-8 (shortest forms, no surrogates); `chars` (may be NULL) gets the number of code points. */
bool mt_utf8_valid(const void *data, size_t size, size_t *chars);
/* Writes a code point as UTF-8 (up to 4 bytes); gives their number. */
size_t mt_utf8_put(uint32_t c, uint8_t *to);

/* ---------------------------------------------------------------------------------------- order (compare.c) */

/* The order of a map's keys: as mote_term_compare(), but every integer comes before every float, at any depth; 0 when =:=. */
int mt_term_compare_keys(uint64_t a, uint64_t b);
/* Where a key (=:=) stands in a map, or would have to be inserted; whether it is there. O(log size). */
bool mt_map_find(uint64_t map, uint64_t key, size_t *index);
/* Puts the keys of a map under construction in order, and the values, which stand behind them, with them. *twice: a key (=:=) stands there twice; then
 * they stay as they were. MOTE_ENOMEM (make.c). */
mote_err mt_map_sort(uint64_t *keys, size_t count, bool *twice);

/* ------------------------------------------------------------------------------------------- atoms (atom.c) */

/* Atom words: tag, then index; indexes below MT_ATOM_PERMANENT_MAX are never released and never counted. */
#define MT_ATOM_PERMANENT_MAX ((uint64_t)1 << 20)
static inline bool mt_atom_counted(uint64_t w) { return (w >> 3) >= MT_ATOM_PERMANENT_MAX; }
/* The atom of a name; permanent, or with one count that the caller owns. 0: MOTE_EARG (invalid name), MOTE_ENOMEM, MOTE_ELIMIT
 * (2^24 counted atoms) in *err (may be NULL). A permanent request may give a word of the counted range, held for ever. */
uint64_t mt_atom_intern(const char *name, size_t size, bool permanent, mote_err *err);
/* Who *pays* for atoms: so many that were made for him may be there at once. Those that he finds, and those that became permanent, cost nothing. Gives; `max` 0 is none at all. NULL: memory. */
struct mt_purse;
struct mt_purse *mt_purse_new(uint32_t max);
/* Its owner gives it up: the atoms stay. Takes; NULL is allowed. */
void mt_purse_drop(struct mt_purse *purse);
/* Atoms that it pays for now. */
uint32_t mt_purse_held(const struct mt_purse *purse);
/* The counted atoms that this thread makes from now on are paid by it, until it is NULL: one too many is MOTE_ELIMIT. Whoever sets it does not switch stacks until then. Borrows. */
void mt_atom_payer(struct mt_purse *purse);
/* Whether one was too many for it since this was asked last. */
bool mt_purse_refused(struct mt_purse *purse);
/* Whether there is an atom of that name now. */
bool mt_atom_exists(const char *name, size_t size);
void mt_atom_hold(uint64_t word);
void mt_atom_drop(uint64_t word);
/* Erlang's order of atoms: by code points. */
int mt_atom_compare(uint64_t a, uint64_t b);
/* The name's hash, the same everywhere. */
uint64_t mt_atom_hash(uint64_t word);
/* A user of the table that may outlive exit() (a runtime): while there is one, the table is not freed at the program's end. */
void mt_atom_table_hold(void);
void mt_atom_table_drop(void);

/* Atoms every runtime needs: words fixed at compile time; atom.c interns them first, in this order. */
#define MT_ATOMS(X)                                                                                                     \
    X(true) X(false) X(undefined) X(normal) X(kill) X(killed) X(noproc) X(error) X(ok) X(mailbox_full) X(system_limit)  \
    X(mote_done) X(mote_fd) X(stack_overflow) X(shutdown) X(timeout) X(noconnection) X(nonode) X(badarg) X(EXIT) X(DOWN) X(process)   \
    X(alias) X(undef) X(assertion_failed) X(mote_error) X(mote_death) X(spawn_reply) X(notsup)
enum mt_atom_index {
#define X(name) MT_ATOM_##name,
    MT_ATOMS(X)
#undef X
    MT_ATOM_nonode_at_nohost, /* 'nonode@nohost', which is no name in C */
        MT_ATOM_FIRST_FREE
};
#define MT_WORD_OF(name) ((uint64_t)MT_ATOM_##name << 3 | MT_ATOM)

/* -------------------------------------------------------------------------------- copying (copy.c), fragments */

/* The words a copy of `term` takes as a fragment: 0 for an immediate, but 2 for a counted atom: its fragment is a tuple of one
 * that holds the count, while the term is the atom itself. Shared structure is counted as often as it is met.
 * MOTE_ENOMEM (explicit stack), MOTE_ETERM (MOTE_TERM_NONE), MOTE_ELIMIT (over 2^32 - 1 words). */
mote_err mt_term_size(mote_term term, size_t *words);
/* Copies into `to`, which has room for exactly the words of mt_term_size(); the root object comes first. Counts what is
 * counted; sets *counted when there is any (else leaves it). Cannot fail. Gives the copy. */
mote_term mt_term_copy_to(mote_term term, uint64_t *to, bool *counted);
/* Releases what is counted in a fragment. */
void mt_fragment_drop(const uint64_t *words, size_t count);

/* ----------------------------------------------------------------------------------------------- arenas (arena.c) */

/* Room for `words` words; must be filled with whole objects before the next call. NULL: memory or the arena's limit. */
uint64_t *mt_arena_words(mote_arena *arena, size_t words);
/* Where the arena stands, and back to it: what was built since is dropped (its counts given back). */
struct mt_arena_mark { void *chunk; size_t used; };
struct mt_arena_mark mt_arena_mark(mote_arena *arena);
void mt_arena_rewind(mote_arena *arena, struct mt_arena_mark mark);
/* Notes that counted things stand in the arena from now on. */
void mt_arena_note_counted(mote_arena *arena);
/* Bytes in use, for process_info. */
size_t mt_arena_bytes(const mote_arena *arena);

/* ------------------------------------------------------------------------------------------ patterns (pattern.c) */

struct mt_pattern;
/* The site's compiled pattern; compiles at first use (any thread; one wins). Reports a bad pattern to stderr with file and
 * line, once. MOTE_EPATTERN, MOTE_ENOMEM. */
mote_err mt_site_pattern(mote_site *site, const struct mt_pattern **pattern);
/* For building: checks number and kinds of arguments and gives the words of the fragment. Holes ? and ^ both take values.
 * MOTE_EPATTERN (number of arguments, or _ in it), MOTE_EHOLE, MOTE_ETERM, MOTE_ENOMEM, MOTE_ELIMIT. */
mote_err mt_pattern_size(const struct mt_pattern *pattern, size_t count, const mote_arg *args, size_t *words);
/* Builds into `to` (exactly those words, root first). MOTE_ENOMEM for a large binary: then `to` holds nothing counted. */
mote_err mt_pattern_fill(const struct mt_pattern *pattern, const mote_arg *args, uint64_t *to, bool *counted, mote_term *term);
/* For matching: checks number and kinds of arguments: addresses for ?, values for ^. MOTE_EPATTERN, MOTE_EHOLE. */
mote_err mt_pattern_check(const struct mt_pattern *pattern, size_t count, const mote_arg *args);
/* Matches after mt_pattern_check() was MOTE_OK; binds all or nothing. */
bool mt_pattern_match(const struct mt_pattern *pattern, mote_term term, const mote_arg *args);
/* Whether every term that matches must contain this reference at a ^. */
bool mt_pattern_pins(const struct mt_pattern *pattern, const mote_arg *args, mote_ref ref);

#endif
