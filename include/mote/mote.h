/* SPDX-License-Identifier: Apache-2.0
 *
 * mote: Erlang's way of being concurrent for C. Processes that cost next to nothing, share nothing and talk by
 * asynchronous messages, on every core. This is the one public header.
 *
 * Words used below. Ownership: `takes`, `gives`, `borrows` (valid until ...), `copies`, `shares` (counted).
 * `self` is the calling process; it is passed explicitly and must never be used by another process or thread.
 * "May switch": other processes may run before the call returns, and the process may continue on another thread:
 * hold no lock across it, and do not keep the address of errno or of thread-local data. "Waits" implies it.
 * A function that fails returns a mote_err, leaves its out-parameters untouched and has no effect, unless it says so.
 */
#ifndef MOTE_MOTE_H
#define MOTE_MOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MOTE_API __attribute__((visibility("default")))
#define MOTE_MUST __attribute__((warn_unused_result))
#define MOTE_NORETURN __attribute__((noreturn))
#else
#define MOTE_API
#define MOTE_MUST
#define MOTE_NORETURN
#endif

#define MOTE_VERSION "0.1.0"

/* ------------------------------------------------------------------------------------------------ errors */

/* Error codes. MOTE_OK is 0; names and texts are given by mote_err_name() and mote_err_text(). */
typedef enum mote_err {
    MOTE_OK = 0,
    MOTE_TIMEOUT,
    MOTE_NOMATCH,
    MOTE_ENOMEM,
    MOTE_ETERM,
    MOTE_ERANGE,
    MOTE_EPATTERN,
    MOTE_EHOLE,
    MOTE_ESYNTAX,
    MOTE_ESELF,
    MOTE_ECONTEXT,
    MOTE_ENOPROC,
    MOTE_ESTOPPED,
    MOTE_EFULL,
    MOTE_ELIMIT,
    MOTE_EARG,
    MOTE_EBUSY,
    MOTE_EOS,
    MOTE_ENAME,
    MOTE_EEXIT,
    MOTE_ECALL
} mote_err;

/* The code's name, "MOTE_ENOMEM" for MOTE_ENOMEM; "MOTE_?" for a number that is no code. Static text. */
MOTE_API const char *mote_err_name(mote_err err);

/* One sentence: what was wrong and what to do. Static text. */
MOTE_API const char *mote_err_text(mote_err err);

/* The version of the library that is loaded, as MOTE_VERSION is that of the header. Static text. */
MOTE_API const char *mote_version(void);

/* ------------------------------------------------------------------------------------------------- terms */

/* An immutable value, as in Erlang: one tagged word. Compare with mote_term_same(), never by its word. */
typedef struct mote_term {
    uint64_t word;
} mote_term;

/* A process identifier: also a term. Never reused; a stale one reaches nobody. */
typedef struct mote_pid {
    uint64_t word;
} mote_pid;

/* A unique reference: also a term. */
typedef struct mote_ref {
    uint64_t word;
} mote_ref;

/* A name that is its own value: also a term. */
typedef struct mote_atom {
    uint64_t word;
} mote_atom;

/* Bytes of a binary: borrowed from the term they were taken from. As a value in a hole they are copied. */
typedef struct mote_bytes {
    const void *data;
    size_t size; /* bytes */
} mote_bytes;

/* Where compound terms are built: grows as needed up to its maximum, never moves what it gave out. */
typedef struct mote_arena mote_arena;

typedef enum mote_type {
    MOTE_NONE, /* no term: what a constructor gives when it fails */
    MOTE_INTEGER,
    MOTE_FLOAT,
    MOTE_ATOM,
    MOTE_REFERENCE,
    MOTE_FUNCTION,
    MOTE_PORT,
    MOTE_PID,
    MOTE_TUPLE,
    MOTE_MAP,
    MOTE_NIL,
    MOTE_LIST, /* a cons cell: a list that is not empty */
    MOTE_BINARY,
    MOTE_BITSTRING, /* a binary whose size is no multiple of 8 bits */
    MOTE_TEXT
} mote_type;

/* No term, and the empty list. */
#define MOTE_TERM_NONE ((mote_term){0})
#define MOTE_TERM_NIL ((mote_term){6})

/* Makes an arena that may grow to bytes_max (0: no limit but memory). Gives it; NULL when out of memory. Any thread. */
MOTE_API mote_arena *mote_arena_new(size_t bytes_max);

/* Frees an arena and every term in it. Takes `arena`; NULL is allowed. */
MOTE_API void mote_arena_free(mote_arena *arena);

/* Drops every term in the arena and keeps it for reuse. */
MOTE_API void mote_arena_reset(mote_arena *arena);

/* Constructors. Each gives a term that lives in `arena` (immediates do not need one); elements are shared with terms of
 * the same arena, so terms put in must live at least as long as the arena. MOTE_TERM_NONE when memory or the arena's
 * maximum is exhausted, when an element is MOTE_TERM_NONE, or as said. They never wait. */

/* An integer from a signed value. */
MOTE_API mote_term mote_int_make(mote_arena *arena, int64_t value);

/* An integer from an unsigned value. */
MOTE_API mote_term mote_uint_make(mote_arena *arena, uint64_t value);

/* An integer of any size from its magnitude, `size` bytes, least significant first; copies. None beyond 512 KiB. */
MOTE_API mote_term mote_big_make(mote_arena *arena, bool negative, const void *magnitude, size_t size);

/* A float. None for NaN and infinities, which Erlang's terms do not have. */
MOTE_API mote_term mote_float_make(mote_arena *arena, double value);

/* The atom of that name (UTF-8, at most 255 characters): permanent, meant for names written in programs.
 * MOTE_TERM_NONE's word when the name is invalid or memory is out. Any thread. */
MOTE_API mote_atom mote_atom_make(const char *name);

/* The atom of a name that comes from outside (UTF-8, `size` bytes): counted, and released with the arena and the
 * messages that carry it. None when the name is invalid or longer than 255 characters. */
MOTE_API mote_term mote_atom_make_counted(mote_arena *arena, const char *name, size_t size);

/* Keeps a counted atom alive beyond the message or arena it came from, until mote_atom_drop(). Shares. */
MOTE_API mote_atom mote_atom_hold(mote_atom atom);

/* Gives up what mote_atom_hold() took. */
MOTE_API void mote_atom_drop(mote_atom atom);

/* How many atoms exist in this OS process: permanent and counted. */
MOTE_API size_t mote_atom_count(void);

/* A binary; copies `size` bytes. Over 64 bytes they are kept once and counted, however many messages carry them. */
MOTE_API mote_term mote_binary_make(mote_arena *arena, const void *data, size_t size);

/* A binary over memory that is not copied. Takes `data` on success: `release(data, context)` is called once, on any
 * thread, when the last term that refers to it is gone; it must not wait. On failure `data` stays the caller's. */
MOTE_API mote_term mote_binary_share(mote_arena *arena, const void *data, size_t size,
                                     void (*release)(void *data, void *context), void *context);

/* A part of a binary or bitstring, from byte `offset`, `size` bytes long; shares large ones. None when out of range. */
MOTE_API mote_term mote_binary_part(mote_arena *arena, mote_term binary, size_t offset, size_t size);

/* A bitstring of `bits` bits, most significant first, in (bits + 7) / 8 bytes; copies. */
MOTE_API mote_term mote_bitstring_make(mote_arena *arena, const void *data, size_t bits);

/* Text (UTF-8, checked): a binary for Erlang, a string for Python. None when it is not UTF-8. */
MOTE_API mote_term mote_text_make(mote_arena *arena, const char *utf8, size_t size);

/* A tuple of `count` elements (at most 2^24 - 1). */
MOTE_API mote_term mote_tuple_make(mote_arena *arena, size_t count, const mote_term *elements);

/* A list of `count` elements that ends in `tail`: MOTE_TERM_NIL for a proper one. */
MOTE_API mote_term mote_list_make(mote_arena *arena, size_t count, const mote_term *elements, mote_term tail);

/* One cons cell. */
MOTE_API mote_term mote_cons_make(mote_arena *arena, mote_term head, mote_term tail);

/* A map of `count` pairs; of equal keys (=:=) the last pair wins. */
MOTE_API mote_term mote_map_make(mote_arena *arena, size_t count, const mote_term *keys, const mote_term *values);

/* The map with `key` set to `value`; the old map is unchanged. O(size). None when `map` is no map. */
MOTE_API mote_term mote_map_put(mote_arena *arena, mote_term map, mote_term key, mote_term value);

/* The exported function module:function/arity (arity 0 to 255). */
MOTE_API mote_term mote_function_make(mote_arena *arena, mote_atom module, mote_atom function, unsigned arity);

/* Conversions that cannot fail: pids, references and atoms are terms. */
static inline mote_term mote_pid_term(mote_pid pid) {
    mote_term t = {pid.word};
    return t;
}
static inline mote_term mote_ref_term(mote_ref ref) {
    mote_term t = {ref.word};
    return t;
}
static inline mote_term mote_atom_term(mote_atom atom) {
    mote_term t = {atom.word};
    return t;
}

/* Accessors. They never wait and cannot run out of memory; what they give is borrowed from the term. Any thread. */

/* The term's type. */
MOTE_API mote_type mote_term_type(mote_term term);

/* A signed integer. MOTE_ETERM: no integer; MOTE_ERANGE: does not fit. */
MOTE_API MOTE_MUST mote_err mote_int_get(mote_term term, int64_t *value);

/* An unsigned integer. MOTE_ETERM: no integer; MOTE_ERANGE: negative or too large. */
MOTE_API MOTE_MUST mote_err mote_uint_get(mote_term term, uint64_t *value);

/* An integer of any size: its magnitude's bytes, least significant first, into `magnitude` (capacity bytes), the number
 * written into `size`. MOTE_ETERM: no integer; MOTE_ERANGE: capacity too small (then only `size` is set, as needed). */
MOTE_API MOTE_MUST mote_err mote_big_get(mote_term term, bool *negative, void *magnitude, size_t capacity, size_t *size);

/* A float, or an integer that a double holds exactly. MOTE_ETERM, MOTE_ERANGE. */
MOTE_API MOTE_MUST mote_err mote_float_get(mote_term term, double *value);

/* An atom. MOTE_ETERM. */
MOTE_API MOTE_MUST mote_err mote_atom_get(mote_term term, mote_atom *value);

/* An atom's name: UTF-8, ends in a zero byte; valid while the atom is. `size` (may be NULL) gets its bytes. */
MOTE_API const char *mote_atom_name(mote_atom atom, size_t *size);

/* A pid. MOTE_ETERM. */
MOTE_API MOTE_MUST mote_err mote_pid_get(mote_term term, mote_pid *value);

/* A reference. MOTE_ETERM. */
MOTE_API MOTE_MUST mote_err mote_ref_get(mote_term term, mote_ref *value);

/* The bytes of a binary or text. MOTE_ETERM: neither, or a bitstring that does not start and end on bytes. */
MOTE_API MOTE_MUST mote_err mote_bytes_get(mote_term term, mote_bytes *value);

/* Copies the bits of a binary, text or bitstring, left-aligned, into `data` (capacity bytes); `bits` gets their number.
 * MOTE_ETERM; MOTE_ERANGE: capacity too small (then only `bits` is set). */
MOTE_API MOTE_MUST mote_err mote_bits_get(mote_term term, void *data, size_t capacity, size_t *bits);

/* A tuple's size. MOTE_ETERM. */
MOTE_API MOTE_MUST mote_err mote_tuple_size(mote_term term, size_t *size);

/* A tuple's element; `index` counts from 0. MOTE_ETERM, MOTE_ERANGE. */
MOTE_API MOTE_MUST mote_err mote_tuple_get(mote_term term, size_t index, mote_term *element);

/* A cons cell's two halves; either pointer may be NULL. MOTE_ETERM: the empty list or no list. */
MOTE_API MOTE_MUST mote_err mote_list_get(mote_term term, mote_term *head, mote_term *tail);

/* A proper list's length. MOTE_ETERM: no list, or an improper one. O(length). */
MOTE_API MOTE_MUST mote_err mote_list_length(mote_term term, size_t *length);

/* A map's number of pairs. MOTE_ETERM. */
MOTE_API MOTE_MUST mote_err mote_map_size(mote_term term, size_t *size);

/* The value of a key (=:=). MOTE_ETERM: no map; MOTE_NOMATCH: no such key. O(log size). */
MOTE_API MOTE_MUST mote_err mote_map_get(mote_term map, mote_term key, mote_term *value);

/* The pair at `index`, in the order of keys; either pointer may be NULL. MOTE_ETERM, MOTE_ERANGE. */
MOTE_API MOTE_MUST mote_err mote_map_at(mote_term map, size_t index, mote_term *key, mote_term *value);

/* The parts of an exported function. MOTE_ETERM. */
MOTE_API MOTE_MUST mote_err mote_function_get(mote_term term, mote_atom *module, mote_atom *function, unsigned *arity);

/* Erlang's total order: number < atom < reference < fun < port < pid < tuple < map < nil < list < bitstring. Negative, 0
 * or positive; 0 when `==` holds (1 == 1.0). Text orders as the binary of its UTF-8, then after it. Never recurses. */
MOTE_API int mote_term_compare(mote_term a, mote_term b);

/* Erlang's `==`. */
MOTE_API bool mote_term_equal(mote_term a, mote_term b);

/* Erlang's `=:=`: as `==`, but integers and floats always differ. */
MOTE_API bool mote_term_same(mote_term a, mote_term b);

/* A hash: equal for terms that are `=:=`, the same on every machine and in every run for terms without pids, references
 * and ports. Not for keys chosen by an attacker. */
MOTE_API uint64_t mote_term_hash(mote_term term);

/* Copies a term, with all it refers to, into an arena. MOTE_TERM_NONE as constructors. */
MOTE_API mote_term mote_term_copy(mote_arena *arena, mote_term term);

/* Writes the term as Erlang would print it (~0p) into `text`, at most `size` bytes with the zero byte at the end. Gives the
 * length of the whole, as snprintf does. `text` may be NULL when `size` is 0. */
MOTE_API size_t mote_term_print(mote_term term, char *text, size_t size);

/* Reads one Erlang term from `text` (`size` bytes, UTF-8): everything mote_term_print() writes (pids and references too, as
 * <0.1.2> and #Ref<...>) and Erlang's other ways to write the same ("abc", $a, 16#ff, <<"x">>, comments). An atom in it is
 * counted. MOTE_ESYNTAX: `error_at` (may be NULL) gets the byte where it went wrong; MOTE_ENOMEM. */
MOTE_API MOTE_MUST mote_err mote_term_parse(mote_arena *arena, const char *text, size_t size, mote_term *term,
                                            size_t *error_at);

/* ------------------------------------------------------------------- terms written as Erlang, with holes */

/* The kinds of arguments that holes take; made by the macros below, never by hand. */
typedef enum mote_arg_kind {
    MOTE_ARG_INT = 1, /* any signed integer */
    MOTE_ARG_UINT,
    MOTE_ARG_BOOL,
    MOTE_ARG_DOUBLE,
    MOTE_ARG_CSTR, /* zero-terminated UTF-8: becomes text */
    MOTE_ARG_TERM,
    MOTE_ARG_PID,
    MOTE_ARG_REF,
    MOTE_ARG_ATOM,
    MOTE_ARG_BYTES,
    MOTE_ARG_TO_INT, /* addresses: where ? in a match puts what it finds */
    MOTE_ARG_TO_LONG,
    MOTE_ARG_TO_LLONG,
    MOTE_ARG_TO_UINT,
    MOTE_ARG_TO_ULONG,
    MOTE_ARG_TO_ULLONG,
    MOTE_ARG_TO_BOOL,
    MOTE_ARG_TO_DOUBLE,
    MOTE_ARG_TO_TERM,
    MOTE_ARG_TO_PID,
    MOTE_ARG_TO_REF,
    MOTE_ARG_TO_ATOM,
    MOTE_ARG_TO_BYTES
} mote_arg_kind;

typedef struct mote_arg {
    union {
        int64_t i;
        uint64_t u;
        double d;
        const void *p;
        mote_bytes b;
    } as;
    mote_arg_kind kind;
} mote_arg;

/* One place in a program where a pattern stands: its text, and what it was compiled to at first use. */
typedef struct mote_site {
    const char *text;
    const char *file;
    int line;
    void *code; /* atomic; owned by the library */
} mote_site;

#ifndef __cplusplus

#define MOTE_ARG_MAKER_(name, type, kind_, field, conv)   \
    static inline mote_arg mote_arg_from_##name(type x) { \
        mote_arg a;                                       \
        a.kind = kind_;                                   \
        a.as.field = conv;                                \
        return a;                                         \
    }
MOTE_ARG_MAKER_(int, int64_t, MOTE_ARG_INT, i, x)
MOTE_ARG_MAKER_(uint, uint64_t, MOTE_ARG_UINT, u, x)
MOTE_ARG_MAKER_(bool, bool, MOTE_ARG_BOOL, i, x)
MOTE_ARG_MAKER_(double, double, MOTE_ARG_DOUBLE, d, x)
MOTE_ARG_MAKER_(cstr, const char *, MOTE_ARG_CSTR, p, x)
MOTE_ARG_MAKER_(term, mote_term, MOTE_ARG_TERM, u, x.word)
MOTE_ARG_MAKER_(pid, mote_pid, MOTE_ARG_PID, u, x.word)
MOTE_ARG_MAKER_(ref, mote_ref, MOTE_ARG_REF, u, x.word)
MOTE_ARG_MAKER_(atom, mote_atom, MOTE_ARG_ATOM, u, x.word)
MOTE_ARG_MAKER_(bytes, mote_bytes, MOTE_ARG_BYTES, b, x)
MOTE_ARG_MAKER_(to_int, int *, MOTE_ARG_TO_INT, p, x)
MOTE_ARG_MAKER_(to_long, long *, MOTE_ARG_TO_LONG, p, x)
MOTE_ARG_MAKER_(to_llong, long long *, MOTE_ARG_TO_LLONG, p, x)
MOTE_ARG_MAKER_(to_uint, unsigned *, MOTE_ARG_TO_UINT, p, x)
MOTE_ARG_MAKER_(to_ulong, unsigned long *, MOTE_ARG_TO_ULONG, p, x)
MOTE_ARG_MAKER_(to_ullong, unsigned long long *, MOTE_ARG_TO_ULLONG, p, x)
MOTE_ARG_MAKER_(to_bool, bool *, MOTE_ARG_TO_BOOL, p, x)
MOTE_ARG_MAKER_(to_double, double *, MOTE_ARG_TO_DOUBLE, p, x)
MOTE_ARG_MAKER_(to_term, mote_term *, MOTE_ARG_TO_TERM, p, x)
MOTE_ARG_MAKER_(to_pid, mote_pid *, MOTE_ARG_TO_PID, p, x)
MOTE_ARG_MAKER_(to_ref, mote_ref *, MOTE_ARG_TO_REF, p, x)
MOTE_ARG_MAKER_(to_atom, mote_atom *, MOTE_ARG_TO_ATOM, p, x)
MOTE_ARG_MAKER_(to_bytes, mote_bytes *, MOTE_ARG_TO_BYTES, p, x)

/* The C type decides; a type that no hole takes does not compile. */
#define MOTE_ARG(x)                                                                                            \
    _Generic((x), signed char: mote_arg_from_int, short: mote_arg_from_int, int: mote_arg_from_int,            \
        long: mote_arg_from_int, long long: mote_arg_from_int, unsigned char: mote_arg_from_uint,              \
        unsigned short: mote_arg_from_uint, unsigned: mote_arg_from_uint, unsigned long: mote_arg_from_uint,   \
        unsigned long long: mote_arg_from_uint, char: mote_arg_from_int, bool: mote_arg_from_bool,             \
        float: mote_arg_from_double, double: mote_arg_from_double, char *: mote_arg_from_cstr,                 \
        const char *: mote_arg_from_cstr, mote_term: mote_arg_from_term, mote_pid: mote_arg_from_pid,          \
        mote_ref: mote_arg_from_ref, mote_atom: mote_arg_from_atom, mote_bytes: mote_arg_from_bytes,           \
        int *: mote_arg_from_to_int, long *: mote_arg_from_to_long, long long *: mote_arg_from_to_llong,       \
        unsigned *: mote_arg_from_to_uint, unsigned long *: mote_arg_from_to_ulong,                            \
        unsigned long long *: mote_arg_from_to_ullong, bool *: mote_arg_from_to_bool,                          \
        double *: mote_arg_from_to_double, mote_term *: mote_arg_from_to_term,                                 \
        mote_pid *: mote_arg_from_to_pid, mote_ref *: mote_arg_from_to_ref, mote_atom *: mote_arg_from_to_atom, \
        mote_bytes *: mote_arg_from_to_bytes)(x)

#define MOTE_CAT2_(a, b) a##b
#define MOTE_CAT_(a, b) MOTE_CAT2_(a, b)
#define MOTE_NTH_(a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, n, ...) n
#define MOTE_COUNT_(...) \
    MOTE_NTH_(0 __VA_OPT__(, ) __VA_ARGS__, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0)
#define MOTE_A0() {{0}, MOTE_ARG_INT}
#define MOTE_A1(x) MOTE_ARG(x)
#define MOTE_A2(x, ...) MOTE_ARG(x), MOTE_A1(__VA_ARGS__)
#define MOTE_A3(x, ...) MOTE_ARG(x), MOTE_A2(__VA_ARGS__)
#define MOTE_A4(x, ...) MOTE_ARG(x), MOTE_A3(__VA_ARGS__)
#define MOTE_A5(x, ...) MOTE_ARG(x), MOTE_A4(__VA_ARGS__)
#define MOTE_A6(x, ...) MOTE_ARG(x), MOTE_A5(__VA_ARGS__)
#define MOTE_A7(x, ...) MOTE_ARG(x), MOTE_A6(__VA_ARGS__)
#define MOTE_A8(x, ...) MOTE_ARG(x), MOTE_A7(__VA_ARGS__)
#define MOTE_A9(x, ...) MOTE_ARG(x), MOTE_A8(__VA_ARGS__)
#define MOTE_A10(x, ...) MOTE_ARG(x), MOTE_A9(__VA_ARGS__)
#define MOTE_A11(x, ...) MOTE_ARG(x), MOTE_A10(__VA_ARGS__)
#define MOTE_A12(x, ...) MOTE_ARG(x), MOTE_A11(__VA_ARGS__)
#define MOTE_A13(x, ...) MOTE_ARG(x), MOTE_A12(__VA_ARGS__)
#define MOTE_A14(x, ...) MOTE_ARG(x), MOTE_A13(__VA_ARGS__)
#define MOTE_A15(x, ...) MOTE_ARG(x), MOTE_A14(__VA_ARGS__)
#define MOTE_A16(x, ...) MOTE_ARG(x), MOTE_A15(__VA_ARGS__)

/* The arguments as two of a call: their number and an array of at most 16. */
#define MOTE_ARGS(...)         \
    MOTE_COUNT_(__VA_ARGS__),  \
        (const mote_arg[]) {   \
            MOTE_CAT_(MOTE_A, MOTE_COUNT_(__VA_ARGS__))(__VA_ARGS__) \
        }

/* The site of a pattern: one for each place in the program; the text must be a string literal. */
#define MOTE_SITE(text) MOTE_SITE_ID_(text, MOTE_CAT_(mote_site_, __COUNTER__))
#define MOTE_SITE_ID_(text, id)                                   \
    (__extension__({                                              \
        static mote_site id = {"" text "", __FILE__, __LINE__, 0}; \
        &id;                                                      \
    }))

/* Builds a term in `arena`: mote_build(arena, &term, "{total, ?}", n). In the text, ? takes the next argument, whatever
 * its type; everything else is Erlang. MOTE_EPATTERN, MOTE_EHOLE, MOTE_ETERM (an argument is MOTE_TERM_NONE),
 * MOTE_ENOMEM. Reports a bad pattern to stderr with file and line, once per site. */
#define mote_build(arena, term, text, ...) mote_build_site(arena, term, MOTE_SITE(text), MOTE_ARGS(__VA_ARGS__))

/* Whether a term fits: mote_match(term, "{add, ?, ^, _}", &n, ref). ? binds the address given when the value fits its
 * type, ^ must be =:= to the argument, _ is anything; maps match when they have the keys written (#{size := ?}), `[?|?]`
 * takes a list apart, strings and numbers stand for themselves. False leaves all addresses untouched. What is bound is
 * borrowed from the term. A bad pattern is false, and reported as mote_build() does. */
#define mote_match(term, text, ...) (mote_match_site(term, MOTE_SITE(text), MOTE_ARGS(__VA_ARGS__)) == MOTE_OK)

#endif /* __cplusplus */

/* What the macros call; for languages that have no macros. `args` and `site->text` are borrowed for the call; `site` must
 * live as long as the program. mote_match_site gives MOTE_OK, MOTE_NOMATCH, MOTE_EPATTERN, MOTE_EHOLE or MOTE_ENOMEM. */
MOTE_API MOTE_MUST mote_err mote_build_site(mote_arena *arena, mote_term *term, mote_site *site, size_t count,
                                            const mote_arg *args);
MOTE_API MOTE_MUST mote_err mote_match_site(mote_term term, mote_site *site, size_t count, const mote_arg *args);

/* ----------------------------------------------------------------------------------------------- runtime */

/* A process as it sees itself; valid only inside it. */
typedef struct mote_self mote_self;

/* Schedulers, processes and all they need. Several may live in one OS process; they share only the names of atoms. */
typedef struct mote_runtime mote_runtime;

typedef enum mote_log_level { MOTE_LOG_ERROR, MOTE_LOG_WARNING, MOTE_LOG_INFO } mote_log_level;

/* How a runtime is made. Zero everywhere is the default. */
typedef struct mote_options {
    unsigned schedulers;    /* threads that run processes; 0: MOTE_SCHEDULERS of the environment, else one per core */
    size_t stack_size;      /* bytes of a straight-line process's stack; 0: 64 KiB; 16 KiB to 1 GiB */
    size_t processes_max;   /* alive at once; 0: 2^25. Above 64 per scheduler a few places may be held back by idle schedulers */
    unsigned blocking_max;  /* threads for mote_blocking(); 0: 64 */
    bool overflow_ends_process; /* a stack overflow ends the process that did it, not the program. Locks and memory that it
                                   held inside libraries are lost; meant for code that holds none. */
    uint64_t chaos_seed;    /* not 0: turns end early and run queues are mixed at random, for tests */
    void (*log)(void *context, mote_log_level level, const char *text); /* any thread; NULL: stderr */
    void *log_context;
    size_t stack_head;      /* bytes kept free above every straight-line process's stack, out of its size, for a host: see host.h */
    const struct mote_host_loop *host_loop; /* what a host does around the schedulers' work: see host.h; borrowed while the runtime lives */
    unsigned worker;        /* of a node of several: its number (0 to 62), and from bit 6 on how many came before it, modulo 4; 0 else. See worker.h */
} mote_options;

/* Starts a runtime. `options` (NULL: defaults) is copied. Gives `runtime`; end it with mote_runtime_stop().
 * MOTE_EARG, MOTE_ELIMIT (absurd sizes), MOTE_ENOMEM, MOTE_EOS (no threads, no descriptors). */
MOTE_API MOTE_MUST mote_err mote_runtime_start(const mote_options *options, mote_runtime **runtime);

/* Stops a runtime: waits up to `drain_ms` (-1: without limit) for all processes but attached threads to end by themselves,
 * then ends the rest as if killed, joins every thread and frees everything. Takes `runtime`. Call it from a thread that
 * is not attached to this runtime, and not from a process (MOTE_ECONTEXT). MOTE_TIMEOUT: stopped, but processes had
 * to be ended. Threads that are still attached get MOTE_ESTOPPED from every call; the last mote_detach() frees. */
MOTE_API mote_err mote_runtime_stop(mote_runtime *runtime, int64_t drain_ms);

/* Runs a program's main function as the first process of a runtime of its own, and gives what it returns when it returns,
 * having stopped the runtime (the other processes are ended). An abnormal end of `main` is logged and gives 1; a runtime
 * that cannot start is logged and gives 70. `options` may be NULL. Waits. */
MOTE_API int mote_run(const mote_options *options, int (*main)(mote_self *self, void *context), void *context);

/* Makes the calling OS thread a process of the runtime. Gives `self`, to be used by this thread only, until mote_detach().
 * Its waits block the thread; exit signals are ignored, because nobody can end a thread. MOTE_EBUSY (already attached to it), MOTE_ESTOPPED, MOTE_ELIMIT, MOTE_ENOMEM. */
MOTE_API MOTE_MUST mote_err mote_attach(mote_runtime *runtime, mote_self **self);

/* Ends the calling thread's process with reason normal. Takes `self`. MOTE_ESELF, MOTE_ECONTEXT (in a process). */
MOTE_API mote_err mote_detach(mote_self *self);

/* The runtime of a process. */
MOTE_API mote_runtime *mote_runtime_of(mote_self *self);

/* ---------------------------------------------------------------------------------------------- processes */

/* A straight-line process: runs on its own stack and ends when it returns (reason normal). `arg` is borrowed, valid while
 * the process lives. */
typedef void (*mote_body)(mote_self *self, mote_term arg);

/* A process without a stack: called once for each message. The callbacks must not wait; they end the process with
 * mote_exit(). `state` is `state_size` zeroed bytes that live and die with the process (NULL when the size is 0). */
typedef struct mote_handler {
    const char *name;  /* for reports; borrowed for ever */
    size_t state_size; /* bytes, at most 2^30 */
    void (*init)(mote_self *self, mote_term arg, void *state);       /* first turn; may be NULL; `arg` borrowed for the call */
    void (*handle)(mote_self *self, mote_term message, void *state); /* `message` borrowed for the call */
    void (*stop)(mote_self *self, mote_term reason, void *state);    /* however it ends, after the clean-ups; may be NULL; may send */
    void (*resume)(mote_self *self, void *state); /* instead of `handle`: for a host, see host.h */
} mote_handler;

typedef enum mote_priority { MOTE_NORMAL, MOTE_HIGH, MOTE_LOW } mote_priority;

/* What happens to a message that finds `mailbox_max` messages waiting. Control signals, and what a process has asked for itself ({mote_fd, ...}
 * and {mote_done, ...}), are never refused. */
typedef enum mote_policy {
    MOTE_SUSPEND, /* it is delivered, and the sender stands still until half of them are gone (not while more than half of the
                     sender's own mailbox is full: mutual floods do not lock up). Threads and timers are not suspended, nor is a sender
                     for whose wait there is no memory. */
    MOTE_DROP,    /* it is dropped and counted, and the sender is told: MOTE_EFULL */
    MOTE_END      /* the receiver ends with reason mailbox_full; without memory to tell it so, at the next message that is refused */
} mote_policy;

/* How long the alias of a monitor lives. */
typedef enum mote_alias_mode {
    MOTE_ALIAS_NONE,             /* the reference is no alias */
    MOTE_ALIAS_EXPLICIT_UNALIAS, /* until mote_unalias() */
    MOTE_ALIAS_DEMONITOR,        /* until the monitor is removed: by mote_demonitor() or by its DOWN */
    MOTE_ALIAS_REPLY_DEMONITOR   /* as that, and the first message through it removes alias and monitor */
} mote_alias_mode;

typedef struct mote_monitor_options {
    mote_alias_mode alias;
    mote_term tag;  /* instead of 'DOWN'; MOTE_TERM_NONE: 'DOWN'. Copied */
    bool priority;  /* the alias lets priority messages in */
} mote_monitor_options;

/* What processes of other nodes may do to one of ours (node.h). What it has linked or monitored itself reaches it in any case, and so do messages through an alias that it gave away. */
typedef enum mote_reach {
    MOTE_REACH_ALL,       /* what their nodes have a right to */
    MOTE_REACH_PROTECTED, /* links and exit signals do nothing, unless their node has MOTE_RIGHT_SYSTEM */
    MOTE_REACH_NONE       /* nothing: to them it is as one that has ended */
} mote_reach;

/* How a process is made: set `body` or `handler`; zero elsewhere is the default. */
typedef struct mote_spawn_options {
    mote_body body;
    const mote_handler *handler; /* borrowed for ever */
    const char *name;            /* for reports, at most 63 bytes; copied */
    size_t stack_size;           /* bytes; 0: the runtime's; for `body` only */
    size_t mailbox_max;          /* messages; 0: no limit */
    mote_policy policy;          /* when mailbox_max is reached */
    mote_priority priority;
    mote_reach reach;            /* what other nodes may do to it, see MOTE_REACH */
    bool link;                   /* linked with the caller from its first moment */
    mote_ref *monitor;           /* not NULL: monitored from its first moment; gives the reference */
    mote_monitor_options monitoring; /* of that monitor */
    bool hosted;                 /* a `body` of a host's: see host.h */
} mote_spawn_options;

/* Starts a straight-line process. Copies `arg`. Gives `pid` (may be NULL). Never waits.
 * MOTE_ESELF, MOTE_EARG, MOTE_ETERM, MOTE_ELIMIT (processes_max), MOTE_ENOMEM, MOTE_ESTOPPED. As Erlang's spawn. */
MOTE_API MOTE_MUST mote_err mote_spawn(mote_self *self, mote_body body, mote_term arg, mote_pid *pid);

/* Starts a handler process. As mote_spawn(); `handler` is borrowed for ever. */
MOTE_API MOTE_MUST mote_err mote_spawn_handler(mote_self *self, const mote_handler *handler, mote_term arg, mote_pid *pid);

/* Starts a process with options, which are copied. As mote_spawn(). */
MOTE_API MOTE_MUST mote_err mote_spawn_opt(mote_self *self, const mote_spawn_options *options, mote_term arg, mote_pid *pid);

/* Makes a straight-line body known in this runtime as the function module:function/1, for mote_spawn_exported(). MOTE_EBUSY: another body is.
 * MOTE_ESELF, MOTE_EARG, MOTE_ENOMEM. Permanent atoms only: those of mote_atom_make(). */
MOTE_API MOTE_MUST mote_err mote_export(mote_self *self, mote_atom module, mote_atom function, mote_body body);

/* Starts a process by the options (NULL: none; `body` and `handler` must not be set) in the body that was exported under `function`, a
 * fun module:function/1 (mote_function_make()). When there is none the process starts all the same, and ends at once with
 * {error, undef, {<<"module:function/1">>, 0}}. MOTE_ETERM: no such fun. Otherwise as mote_spawn_opt(). As erlang:spawn/3. */
MOTE_API MOTE_MUST mote_err mote_spawn_exported(mote_self *self, mote_term function, const mote_spawn_options *options, mote_term arg,
                                                mote_pid *pid);

/* The calling process's pid; a pid that names nobody for NULL. */
MOTE_API mote_pid mote_self_pid(mote_self *self);

/* A reference that nobody has seen before. A reply that carries it is found at once, however long the mailbox is. */
MOTE_API mote_ref mote_ref_make(mote_self *self);

/* Ends the calling process with a reason; copies it. Registered clean-ups run, C frames are dropped. As Erlang's exit/1.
 * In an attached thread it is an error to call it: it aborts the program with a message. */
MOTE_API MOTE_NORETURN void mote_exit(mote_self *self, mote_term reason);

/* Sends an exit signal to a pid or a name, as Erlang's exit/2: the receiver ends with `reason` (killed if it is the atom kill) when it next
 * waits or yields, a handler at the latest when its turn ends; a process that traps exits gets {'EXIT', Self, Reason} instead (not for kill); normal
 * is ignored by others than oneself. Sent to oneself it is applied before the call returns. Attached threads are not ended.
 * MOTE_ESELF, MOTE_ETERM (neither pid nor name), MOTE_ENAME, MOTE_ENOMEM. A dead pid is no error. */
MOTE_API mote_err mote_exit_send(mote_self *self, mote_term to, mote_term reason);

/* Lets other processes run. A no-op in handlers. May switch. MOTE_ESELF. */
MOTE_API mote_err mote_yield(mote_self *self);

/* Counts `reductions` units of work (about 10 ns each) in a long computation, and yields when the turn is used up (a
 * handler's turn ends when it returns). May switch. */
MOTE_API mote_err mote_reductions(mote_self *self, uint32_t reductions);

/* Waits for `ms` milliseconds; never less. May switch. MOTE_ESELF, MOTE_ECONTEXT, MOTE_EARG,
 * MOTE_ENOMEM, MOTE_ESTOPPED. */
MOTE_API mote_err mote_sleep(mote_self *self, int64_t ms);

/* Memory that is released when the process ends, however it does: `size` zeroed bytes, 16-aligned. NULL when out of memory.
 * Gives it to the process; mote_dealloc() releases earlier. */
MOTE_API void *mote_alloc(mote_self *self, size_t size);

/* Releases memory of mote_alloc(). Takes `memory`; NULL is allowed. */
MOTE_API void mote_dealloc(mote_self *self, void *memory);

/* Registers `cleanup(context)` to run when the process ends, however it does; last registered first. It must not wait.
 * MOTE_ESELF, MOTE_EARG, MOTE_ENOMEM, MOTE_ECONTEXT (the process is ending). */
MOTE_API MOTE_MUST mote_err mote_cleanup_add(mote_self *self, void (*cleanup)(void *context), void *context);

/* Takes back the newest registration of this pair without running it. MOTE_NOMATCH: there is none. */
MOTE_API mote_err mote_cleanup_remove(mote_self *self, void (*cleanup)(void *context), void *context);

/* The process's own arena. Terms in it are valid until the process's next receive, or until its callback returns; a loop that builds much
 * without receiving may call mote_arena_reset() on it. NULL when out of memory, or `self` is NULL. */
MOTE_API mote_arena *mote_scratch(mote_self *self);

/* Runs `call(context)` on a thread of its own kind, where it may block or compute for long; the process waits. The process
 * cannot be ended meanwhile. May switch. MOTE_ESELF, MOTE_ECONTEXT, MOTE_EARG, MOTE_ENOMEM, MOTE_EOS. */
MOTE_API MOTE_MUST mote_err mote_blocking(mote_self *self, void (*call)(void *context), void *context);

/* The same for handlers: never waits; {mote_done, Ref} comes as a message when `call` has returned. `context` must live
 * until then: the process may have ended. Gives `ref`. MOTE_ESELF, MOTE_EARG, MOTE_ENOMEM, MOTE_EOS. */
MOTE_API MOTE_MUST mote_err mote_blocking_start(mote_self *self, void (*call)(void *context), void *context, mote_ref *ref);

/* ------------------------------------------------------------------------------------------ destinations */

/* Where a message may go, as a term: a pid, an alias (a reference), a name (an atom), or {Name, Node}. In C the macros take a
 * mote_pid, mote_ref, mote_atom, mote_term, or a string that is a name; in C++ convert with mote_pid_term() and the like. */
static inline mote_term mote_to_term(mote_term to) { return to; }
static inline mote_term mote_to_name(const char *name) { return mote_atom_term(mote_atom_make(name)); }
#ifndef __cplusplus
#define MOTE_TO(to)                                                                                                   \
    _Generic((to), mote_pid: mote_pid_term, mote_ref: mote_ref_term, mote_atom: mote_atom_term, mote_term: mote_to_term, \
        char *: mote_to_name, const char *: mote_to_name)(to)
#endif

/* ----------------------------------------------------------------------------------------------- messages */

/* Sends a copy of `message` to a pid, an alias or a name. Never waits for the receiver, but may switch when the turn is used up or when the receiver's
 * policy is to suspend. A dead pid, a closed alias and {Name, Node} without a holder are no error: MOTE_OK, as in Erlang.
 * MOTE_ENAME: nobody has the name. MOTE_ESELF, MOTE_ETERM, MOTE_ENOMEM, MOTE_EFULL, MOTE_ELIMIT. Signals from one process to another
 * arrive in the order sent, by whatever address. */
MOTE_API mote_err mote_send_term(mote_self *self, mote_term to, mote_term message);

/* The same, ahead of the ordinary messages in the mailbox (behind earlier priority messages) if `to` is an alias that was made with
 * MOTE_ALIAS_PRIORITY, so that the receiver has agreed to it; else as mote_send_term(). As the option priority of Erlang's send/3. */
MOTE_API mote_err mote_send_priority(mote_self *self, mote_term to, mote_term message);

enum {
    MOTE_SEND_NOSUSPEND = 1, /* not if that would suspend this process: MOTE_EFULL */
    MOTE_SEND_NOCONNECT = 2, /* not to a node that is not connected: MOTE_ENOPROC */
    MOTE_SEND_PRIORITY = 4   /* as mote_send_priority() */
};

/* Sends as mote_send_term(), unless what `options` (a sum of those above) excludes would happen: then nothing is sent. A process is suspended by a full mailbox of the policy MOTE_SUSPEND, and by a worker or node for
 * which too much waits. MOTE_EARG: other options. As erlang:send/3. */
MOTE_API mote_err mote_send_opt(mote_self *self, mote_term to, mote_term message, unsigned options);

/* Sends the current message on, whole, without copying it; it is then no longer valid here, also when
 * the receiver refuses it. MOTE_EARG: there is none.
 * Otherwise as mote_send_term(). */
MOTE_API mote_err mote_forward(mote_self *self, mote_term to);

/* The message last received: borrowed until the next receive. MOTE_TERM_NONE when there is none. */
MOTE_API mote_term mote_message(mote_self *self);

/* Takes the next message. `timeout_ms`: -1 waits for ever, 0 does not wait. Gives `message`, borrowed until the next
 * receive (of any kind). May switch. MOTE_TIMEOUT, MOTE_ESELF, MOTE_ECONTEXT (in a handler), MOTE_EARG, MOTE_ESTOPPED,
 * MOTE_ENOMEM (for the time limit). */
MOTE_API MOTE_MUST mote_err mote_receive(mote_self *self, int64_t timeout_ms, mote_term *message);

/* Takes the first message for which `wanted` is true, and leaves the others in their order. `wanted` must not call mote
 * functions that take `self`. Otherwise as mote_receive(). */
MOTE_API MOTE_MUST mote_err mote_receive_if(mote_self *self, int64_t timeout_ms, bool (*wanted)(mote_term message, void *context),
                                            void *context, mote_term *message);

/* Takes the first message that is about a reference: a tuple whose first or second element is `ref`, or whose first is [alias|ref]. So it is the
 * reply to a request or the DOWN of the monitor, whichever comes first. Messages older than the process's newest reference are not
 * looked at when that is `ref`: the cost does not depend on the backlog. Otherwise as mote_receive(). */
MOTE_API MOTE_MUST mote_err mote_receive_ref(mote_self *self, int64_t timeout_ms, mote_ref ref, mote_term *message);

#ifndef __cplusplus
/* Builds a message and sends it: mote_send(self, to, "{total, ?}", total). As mote_build() and mote_send_term(). */
#define mote_send(self, to, text, ...) mote_send_site(self, MOTE_TO(to), MOTE_SITE(text), MOTE_ARGS(__VA_ARGS__))

/* Takes the first message that fits the pattern: mote_receive_match(self, 5000, "{reply, ^, ?}", ref, &value). As
 * mote_match() and mote_receive(); a pattern with ^ of this process's newest reference does not look at older messages. */
#define mote_receive_match(self, timeout_ms, text, ...) \
    mote_receive_site(self, timeout_ms, MOTE_SITE(text), MOTE_ARGS(__VA_ARGS__))

/* Sends a message after `ms` milliseconds: mote_send_after(self, 1000, to, &timer, "{tick, ?}", n). Gives `timer` (may be
 * NULL). Never early. A name is looked up when the time has come. The timer lives on when this process ends, and is cancelled when
 * the receiver has ended. A mailbox that is full and drops (MOTE_DROP) refuses it too, which nobody is told.
 * MOTE_ESELF, MOTE_EARG (ms < 0 or over 2^47), and as mote_build(). */
#define mote_send_after(self, ms, to, timer, text, ...) \
    mote_send_after_site(self, ms, MOTE_TO(to), timer, MOTE_SITE(text), MOTE_ARGS(__VA_ARGS__))
#endif

/* What the macros call, as mote_build_site(). */
MOTE_API mote_err mote_send_site(mote_self *self, mote_term to, mote_site *site, size_t count, const mote_arg *args);
MOTE_API MOTE_MUST mote_err mote_receive_site(mote_self *self, int64_t timeout_ms, mote_site *site, size_t count,
                                              const mote_arg *args);
MOTE_API MOTE_MUST mote_err mote_send_after_site(mote_self *self, int64_t ms, mote_term to, mote_ref *timer, mote_site *site,
                                                 size_t count, const mote_arg *args);

/* ------------------------------------------------------------------------------- links, monitors, exit signals */

/* Exit signals and what becomes of them are Erlang's: a process that ends tells those linked to it and those who monitor it, with its reason.
 * Who gets an exit signal ends with the same reason, unless the reason is normal, or it traps exits: then {'EXIT', From, Reason} is a
 * message. kill sent with mote_exit_send() cannot be trapped and becomes killed; kill over a link is a reason like others.
 * Attached threads are not ended by exit signals; they see them when they trap. */

/* What a process may set of itself. */
typedef enum mote_flag {
    MOTE_TRAP_EXIT, /* 0 or 1; default 0 */
    MOTE_PRIORITY,  /* enum mote_priority */
    MOTE_REACH      /* mote_reach */
} mote_flag;


/* Sets a flag; gives what it was (`old` may be NULL). MOTE_ESELF, MOTE_EARG. As erlang:process_flag/2. */
MOTE_API mote_err mote_flag_set(mote_self *self, mote_flag flag, int64_t value, int64_t *old);

/* Links this process with another: when one ends, the other is told. A second link, and one with oneself, change nothing. When the other
 * has ended: MOTE_ENOPROC, or, in a process that traps exits, MOTE_OK and {'EXIT', Pid, noproc} in its mailbox.
 * MOTE_ESELF, MOTE_ETERM (no pid), MOTE_ENOMEM. As erlang:link/1. */
MOTE_API mote_err mote_link(mote_self *self, mote_pid pid);

/* Takes a link back: nothing about it arrives after this, except an {'EXIT', ...} that is in the mailbox already. No link is no error.
 * MOTE_ESELF, MOTE_ETERM, MOTE_ENOMEM. As erlang:unlink/1. */
MOTE_API mote_err mote_unlink(mote_self *self, mote_pid pid);

/* Starts a straight-line process that is linked from its first moment. As mote_spawn() and mote_link(). */
MOTE_API MOTE_MUST mote_err mote_spawn_link(mote_self *self, mote_body body, mote_term arg, mote_pid *pid);

/* Starts a straight-line process that is monitored from its first moment: its reason is never noproc. Gives `ref`. As mote_spawn() and
 * mote_monitor(). */
MOTE_API MOTE_MUST mote_err mote_spawn_monitor(mote_self *self, mote_body body, mote_term arg, mote_pid *pid, mote_ref *ref);

/* Monitors a process by pid or by name: when it ends, {'DOWN', Ref, process, Pid, Reason} arrives once, with {Name, Node} instead of Pid
 * if it was named. Reason noproc: it had ended, or nobody has the name. Gives `ref`. Monitors stack; one of oneself never fires.
 * MOTE_ESELF, MOTE_ETERM (neither pid nor name), MOTE_ENOMEM. As erlang:monitor/2. */
MOTE_API MOTE_MUST mote_err mote_monitor(mote_self *self, mote_term process, mote_ref *ref);

/* The same with options (copied; NULL: none). As erlang:monitor/3. */
MOTE_API MOTE_MUST mote_err mote_monitor_opt(mote_self *self, mote_term process, const mote_monitor_options *options, mote_ref *ref);

/* Removes a monitor of this process: no DOWN arrives after this; one that is in the mailbox stays unless `flush`. Gives whether the
 * monitor was there (`active`, may be NULL): false when its DOWN had come, or for any other reference. MOTE_ESELF, MOTE_ENOMEM.
 * As erlang:demonitor/2. */
MOTE_API mote_err mote_demonitor(mote_self *self, mote_ref ref, bool flush, bool *active);

/* An alias: a reference through which messages reach this process until mote_unalias(). `flags`: a sum of those below.
 * Gives `alias`. MOTE_ESELF, MOTE_EARG, MOTE_ENOMEM. As erlang:alias/1. */
enum {
    MOTE_ALIAS_REPLY = 1,   /* the first message through it closes it */
    MOTE_ALIAS_PRIORITY = 2 /* messages of mote_send_priority() go ahead of others */
};
MOTE_API MOTE_MUST mote_err mote_alias(mote_self *self, unsigned flags, mote_ref *alias);

/* Closes an alias of this process: what is sent to it from now on is dropped. MOTE_NOMATCH: it is none, or closed. MOTE_ESELF.
 * As erlang:unalias/1. */
MOTE_API mote_err mote_unalias(mote_self *self, mote_ref alias);

/* Whether a process has not ended. It sees everything this process has sent to it before: after mote_exit_send(self, pid, kill) it is not
 * alive. May switch. MOTE_ESELF, MOTE_ECONTEXT (in a handler, when only waiting could tell), MOTE_EARG, MOTE_ENOMEM, MOTE_ESTOPPED.
 * As erlang:is_process_alive/1. */
MOTE_API MOTE_MUST mote_err mote_is_alive(mote_self *self, mote_pid pid, bool *alive);

/* Ends the calling process because of a bug that was found: the reason is {error, What, {File, Line}} and stands in the death
 * certificate. `what` is copied. Use the macros below. */
MOTE_API MOTE_NORETURN void mote_error_at(mote_self *self, const char *file, int line, mote_term what);

/* Ends the calling process with reason {error, {assertion_failed, Condition}, {File, Line}}. Use mote_assert(). */
MOTE_API MOTE_NORETURN void mote_assertion_failed(mote_self *self, const char *file, int line, const char *condition);

/* Ends the calling process with reason {error, {mote_error, Code, Text}, {File, Line}} unless `err` is MOTE_OK. Use mote_must(). */
MOTE_API void mote_check_at(mote_self *self, const char *file, int line, mote_err err);

#ifndef __cplusplus
/* Ends this process with {error, What, {File, Line}}: mote_error(self, atom). As mote_error_at(). */
#define mote_error(self, what) mote_error_at(self, __FILE__, __LINE__, what)

/* Ends this process (never the program) when the condition does not hold. As mote_assertion_failed(). */
#define mote_assert(self, condition) ((condition) ? (void)0 : mote_assertion_failed(self, __FILE__, __LINE__, #condition))

/* Ends this process when a call fails: mote_must(self, mote_send(...)). As mote_check_at(). */
#define mote_must(self, err) mote_check_at(self, __FILE__, __LINE__, err)
#endif

/* Makes this process forget its stack, and go on in `body` with a copy of `arg` when a message comes (at once if there is one): it needs no more
 * memory than a handler meanwhile. Does not return, except with an error: MOTE_ESELF, MOTE_ECONTEXT (no straight-line process, or
 * ending), MOTE_EARG, MOTE_ETERM, MOTE_ENOMEM. As erlang:hibernate/3. */
MOTE_API mote_err mote_hibernate(mote_self *self, mote_body body, mote_term arg);

/* ------------------------------------------------------------------------------------------------- names */

/* Gives a process a name, which stands for it wherever a destination is taken, until it ends. MOTE_EBUSY: the name is taken, or the process has a
 * name; MOTE_ENOPROC: it has ended; MOTE_ENAME: no atom, or undefined. MOTE_ESELF, MOTE_ENOMEM. As erlang:register/2. */
MOTE_API MOTE_MUST mote_err mote_register(mote_self *self, mote_term name, mote_pid pid);

/* The same, and other nodes do not reach it by this name: to them it is a name that nobody has. It is so in the worker that registers it: on a node with several, register it in the first. */
MOTE_API MOTE_MUST mote_err mote_register_here(mote_self *self, mote_term name, mote_pid pid);

/* Takes a name away. MOTE_ENAME: nobody has it. MOTE_ESELF. As erlang:unregister/1. */
MOTE_API mote_err mote_unregister(mote_self *self, mote_term name);

/* Who has a name. MOTE_ENAME: nobody. MOTE_ESELF, MOTE_EARG. As erlang:whereis/1. */
MOTE_API MOTE_MUST mote_err mote_whereis(mote_self *self, mote_term name, mote_pid *pid);

/* All names: up to `capacity` into `names`, their number into `count` (may exceed capacity). Names that were made from outside text are
 * valid while their holder has them. MOTE_ESELF, MOTE_EARG. As erlang:registered/0. */
MOTE_API MOTE_MUST mote_err mote_registered(mote_self *self, mote_atom *names, size_t capacity, size_t *count);

/* The group leader: inherited by the processes this one starts; a pid that names nobody when none was ever set. MOTE_ESELF, MOTE_EARG.
 * As erlang:group_leader/0. */
MOTE_API MOTE_MUST mote_err mote_group_leader(mote_self *self, mote_pid *leader);

/* Sets the group leader of a process, by a signal to it. A dead `pid` is no error. MOTE_ESELF, MOTE_ETERM, MOTE_ENOMEM.
 * As erlang:group_leader/2. */
MOTE_API mote_err mote_group_leader_set(mote_self *self, mote_pid leader, mote_pid pid);

/* Where death certificates go besides the log: {mote_death, Certificate}, a map with the keys pid, name, registered (an atom, or undefined), reason,
 * where ({File, Line}, {signal, From}, {link, From} or exit), lived_ms, handler, messages (heads of the message in hand and of those unread,
 * oldest first, at most 8), mailbox (unread), links and monitors (told), missed (certificates suppressed before this one).
 * One is written for each process that ends for another reason than normal, shutdown or {shutdown, _}; at most 20 a second, the
 * rest are counted. `subscriber` with serial 0 (mote_self_pid(NULL)): nobody. MOTE_ESELF, MOTE_ETERM. */
MOTE_API mote_err mote_deaths_to(mote_self *self, mote_pid subscriber);

/* ------------------------------------------------------------------------------------ timers, descriptors */

/* Sends an exit signal after `ms` milliseconds. Gives `timer` (may be NULL). As mote_send_after() and mote_exit_send(). */
MOTE_API MOTE_MUST mote_err mote_exit_after(mote_self *self, int64_t ms, mote_term to, mote_term reason, mote_ref *timer);

/* Cancels a timer. MOTE_OK: it will never fire, `left_ms` (may be NULL) is what was left of it; MOTE_NOMATCH: it has fired,
 * was cancelled, its receiver has ended, or the reference is no timer. Any process of the runtime. As erlang:cancel_timer. */
MOTE_API mote_err mote_timer_cancel(mote_self *self, mote_ref timer, int64_t *left_ms);

/* What is left of a timer. MOTE_NOMATCH as above. */
MOTE_API MOTE_MUST mote_err mote_timer_read(mote_self *self, mote_ref timer, int64_t *left_ms);

enum { MOTE_READ = 1, MOTE_WRITE = 2 };

/* Waits until a descriptor can be read or written (`events`, a sum of MOTE_READ and MOTE_WRITE). Try the call first: this
 * is for EAGAIN. The descriptor becomes non-blocking. `ready` (may be NULL) gets the events; an error or hang-up counts as
 * all of them. May switch.
 * MOTE_TIMEOUT, MOTE_ESELF, MOTE_ECONTEXT, MOTE_EARG, MOTE_EBUSY, MOTE_EOS, MOTE_ENOMEM, MOTE_ESTOPPED. */
MOTE_API MOTE_MUST mote_err mote_fd_wait(mote_self *self, int fd, int events, int64_t timeout_ms, int *ready);

/* The same for handlers: never waits; {mote_fd, Ref, Events} comes once as a message. Gives `ref`.
 * MOTE_ESELF, MOTE_ECONTEXT (in a clean-up), MOTE_EARG, MOTE_EBUSY, MOTE_EOS, MOTE_ENOMEM. */
MOTE_API MOTE_MUST mote_err mote_fd_arm(mote_self *self, int fd, int events, mote_ref *ref);

/* Takes back mote_fd_arm(): no message comes after this, except one that is already in the mailbox. Call it before closing the
 * descriptor. MOTE_NOMATCH: nothing is armed under this reference. */
MOTE_API mote_err mote_fd_disarm(mote_self *self, mote_ref ref);

/* ---------------------------------------------------------------------------------------------- inspection */

typedef enum mote_state { MOTE_STATE_RUNNABLE, MOTE_STATE_RUNNING, MOTE_STATE_WAITING, MOTE_STATE_SUSPENDED } mote_state;

typedef struct mote_process_info {
    mote_pid pid;
    char name[64];         /* of the options or the handler; "" when there is none */
    mote_state state;      /* when the question arrived; RUNNING is the asker itself */
    bool handler;          /* no stack */
    mote_priority priority;
    size_t mailbox;        /* messages waiting */
    size_t mailbox_max;    /* 0: no limit */
    uint64_t dropped;      /* messages refused by MOTE_DROP, modulo 2^32 */
    uint64_t reductions;   /* since it started */
    size_t memory;         /* bytes: control block, stack in use, state, messages, arena, mote_alloc(); without what is shared */
    const void *function;  /* the address of its body, or of its handler's handle() */
    mote_atom registered;  /* its name; word 0: none. Valid while it has it */
    bool trap_exit;
    mote_pid group_leader;
    size_t links;
    size_t monitors;       /* processes it monitors */
    size_t monitored_by;
    size_t aliases;
    uint64_t lived_ms;
} mote_process_info;

/* What is known of a process. The question is a signal: it is answered after everything this process has sent before, and
 * only when the other process waits, yields or handles a message. May switch. MOTE_ENOPROC, MOTE_ESELF, MOTE_ECONTEXT (a
 * handler asking of another process), MOTE_TIMEOUT, MOTE_ENOMEM, MOTE_ESTOPPED. As erlang:process_info. */
MOTE_API MOTE_MUST mote_err mote_process_info_get(mote_self *self, mote_pid pid, int64_t timeout_ms, mote_process_info *info);

/* The processes alive: up to `capacity` pids into `pids`, their number into `count` (may exceed capacity). Those that start
 * or end meanwhile may be missing. MOTE_ESELF, MOTE_EARG. */
MOTE_API MOTE_MUST mote_err mote_process_list(mote_self *self, mote_pid *pids, size_t capacity, size_t *count);

typedef struct mote_runtime_info {
    unsigned schedulers;
    size_t processes;          /* alive now, attached threads included */
    uint64_t processes_started;
    uint64_t messages_sent;    /* by processes, approximate while they run */
    uint64_t messages_dropped; /* by mailbox policies */
    uint64_t messages_dead;    /* addressed to processes that had ended, or unread when their receiver ended */
    uint64_t uptime_ns;
} mote_runtime_info;

typedef struct mote_scheduler_info {
    uint64_t busy_ns; /* time not parked */
    uint64_t turns;   /* processes resumed */
    uint64_t steals;  /* processes taken from others */
    uint64_t parks;   /* times asleep */
} mote_scheduler_info;

/* Figures of the runtime; counters of schedulers are read while they run. MOTE_ESELF, MOTE_EARG. */
MOTE_API MOTE_MUST mote_err mote_runtime_info_get(mote_self *self, mote_runtime_info *info);

/* Figures of one scheduler, counted from 0. MOTE_ERANGE, MOTE_ESELF, MOTE_EARG. */
MOTE_API MOTE_MUST mote_err mote_scheduler_info_get(mote_self *self, unsigned index, mote_scheduler_info *info);

#ifndef __cplusplus
/* The functions that take a destination or a name take it in any form. */
#define mote_send_term(self, to, message) (mote_send_term)(self, MOTE_TO(to), message)
#define mote_send_priority(self, to, message) (mote_send_priority)(self, MOTE_TO(to), message)
#define mote_send_opt(self, to, message, options) (mote_send_opt)(self, MOTE_TO(to), message, options)
#define mote_forward(self, to) (mote_forward)(self, MOTE_TO(to))
#define mote_exit_send(self, to, reason) (mote_exit_send)(self, MOTE_TO(to), reason)
#define mote_exit_after(self, ms, to, reason, timer) (mote_exit_after)(self, ms, MOTE_TO(to), reason, timer)
#define mote_monitor(self, process, ref) (mote_monitor)(self, MOTE_TO(process), ref)
#define mote_monitor_opt(self, process, options, ref) (mote_monitor_opt)(self, MOTE_TO(process), options, ref)
#define mote_register(self, name, pid) (mote_register)(self, MOTE_TO(name), pid)
#define mote_register_here(self, name, pid) (mote_register_here)(self, MOTE_TO(name), pid)
#define mote_unregister(self, name) (mote_unregister)(self, MOTE_TO(name))
#define mote_whereis(self, name, pid) (mote_whereis)(self, MOTE_TO(name), pid)
#endif

#ifdef __cplusplus
}
#endif
#endif
