/* SPDX-License-Identifier: Apache-2.0
 * A compiled pattern: a template for building (pattern_build.c) and a program for matching (pattern_match.c), both made from
 * the text once (pattern.c).
 *
 * Constant once made, but for `reported`; any thread.
 * I1 the template is one fragment, root object first; its pointers are byte offsets from its start, and hold tags. Every hole
 *    stands at one place in it, where it holds nil, or nowhere (its key came again later).
 * I2 the program's operands are words at base[from][index]; base[0] is the root, base[d] an object d levels down.
 * I3 a bad pattern has neither; it stands at its site so that it is compiled and reported once.
 */
#ifndef MT_TERM_PATTERN_H
#define MT_TERM_PATTERN_H

#include "term/term.h"

#define MT_HOLES_MAX 16u
#define MT_DEPTH_MAX 64u
#define MT_NOWHERE UINT32_MAX
#define MT_QUICK_WORDS 16u /* of a template that mt_pattern_quick() copies */

enum mt_op_code {
    MT_OP_WORD,   /* the word itself: an immediate */
    MT_OP_SAME,   /* =:= to `word` */
    MT_OP_BYTES,  /* `word` is a tuple: a binary, and perhaps the text of the same bytes; =:= to either */
    MT_OP_BIND,   /* ? */
    MT_OP_PIN,    /* ^ */
    MT_OP_TUPLE,  /* the header is `word`; base[to] becomes its elements */
    MT_OP_CONS,   /* base[to] becomes its head and tail */
    MT_OP_MAP,    /* a map; its header is `word`, unless that is 0 */
    MT_OP_FIND,   /* of a map: base[to] becomes the value of key `word` */
    MT_OP_LOOK,   /* the same with either of a tuple's keys, as MT_OP_BYTES */
    MT_OP_FETCH,  /* the same with the argument of ^ as key */
    MT_OP_SEARCH, /* the same with the first key for which the next `word` ops, with base[to], hold */
};

struct mt_op {
    uint8_t code;
    uint8_t from;
    uint8_t to;
    uint8_t hole;
    uint32_t index;
    uint64_t word;
};

struct mt_slot {
    uint32_t at;   /* its word of the template, or MT_NOWHERE */
    uint32_t text; /* its byte in the text */
    bool pin;
    bool in_key; /* of a map: can be built, and looked up when it is ^ */
};

enum mt_root { MT_ROOT_OBJECT, MT_ROOT_CONST, MT_ROOT_HOLE };

struct mt_pattern {
    struct mt_pattern *next; /* const once listed: all patterns of this program */
    const mote_site *site;   /* const: borrowed for ever */
    _Atomic bool reported;   /* atomic: relaxed */
    bool bad;                /* const, as all below */
    const char *why;         /* bad: what is wrong */
    uint32_t why_at;         /* and where */
    bool plain;              /* the template is copied and holes filled in, nothing else */
    bool quick;              /* that and pointers, in few words, or it is one hole: see mt_pattern_quick() */
    bool flat;               /* the program is one tuple of immediates and holes */
    bool word;               /* the program is one immediate */
    bool counted;            /* the template holds counts */
    enum mt_root root;
    uint64_t root_word; /* tag of the object, or the constant */
    uint32_t any_at;    /* byte of the first _, or MT_NOWHERE */
    uint32_t holes;
    uint32_t binds;     /* bit i: hole i is ? */
    uint32_t bad_binds; /* those of them that stand in keys */
    uint32_t words;     /* of the template */
    uint32_t relocs_count;
    uint32_t maps_count;
    uint32_t ops_count;
    uint32_t ops_capacity;
    uint64_t *words_at; /* the template */
    uint32_t *relocs;   /* its words that are pointers */
    uint32_t *maps;     /* its maps whose keys have holes: to be put in order, inner ones first */
    struct mt_op *ops;
    mote_arena *arena; /* constants of ops */
    struct mt_slot slots[MT_HOLES_MAX];
};

/* Says what is wrong at byte `at` of the pattern's text (MT_NOWHERE: of it as a whole), on stderr, if nothing was said of it
 * before. Gives `err`. */
__attribute__((cold)) mote_err mt_pattern_report(const struct mt_pattern *pattern, mote_err err, uint32_t at, const char *what);
/* The same of an argument in the wrong place: MOTE_EHOLE. */
__attribute__((cold)) mote_err mt_pattern_report_hole(const struct mt_pattern *pattern, size_t hole, mote_arg_kind kind, bool matching);
/* The same of a number of arguments that is not that of holes: MOTE_EPATTERN. */
__attribute__((cold)) mote_err mt_pattern_report_count(const struct mt_pattern *pattern, size_t count);

/* The site's pattern, if it is compiled and good; else NULL: mt_site_pattern() knows more. */
static inline const struct mt_pattern *mt_site_compiled(const mote_site *site) {
    const struct mt_pattern *p = __atomic_load_n((struct mt_pattern *const *)(const void *)&site->code, __ATOMIC_ACQUIRE);
    return mt_likely(p && !p->bad) ? p : NULL;
}

/* The argument as an immediate that needs no count; 0 when it is none. Branches, likely ones first, beat a table here. */
static inline uint64_t mt_arg_immediate(const mote_arg *a) {
    uint64_t word = a->as.u;
    if (mt_likely(a->kind == MOTE_ARG_INT)) return mt_small_fits(a->as.i) ? mt_small(a->as.i) : 0;
    if (a->kind >= MOTE_ARG_TERM && a->kind <= MOTE_ARG_ATOM)
        return mt_is_pointer(word) || (mt_tag(word) == MT_ATOM && mt_atom_counted(word)) ? 0 : word;
    if (a->kind == MOTE_ARG_UINT) return word <= (uint64_t)MT_SMALL_MAX ? mt_small((int64_t)word) : 0;
    if (a->kind == MOTE_ARG_BOOL) return a->as.i ? MT_WORD_OF(true) : MT_WORD_OF(false);
    return 0;
}

/* mt_pattern_fill() for a quick pattern with as many arguments as holes: builds into `to`, of pattern->words words. Gives the root; 0: an
 * argument is no immediate, and what was written is void. */
static inline uint64_t mt_pattern_quick(const struct mt_pattern *pattern, const mote_arg *args, uint64_t *to) {
    uint32_t words = pattern->words;
    if (pattern->root == MT_ROOT_HOLE) return mt_arg_immediate(args);
    for (uint32_t i = 0; i < words; i++) to[i] = pattern->words_at[i];
    for (uint32_t i = 0; i < pattern->relocs_count; i++) to[pattern->relocs[i]] += mt_boxed(to);
    for (uint32_t i = 0; i < pattern->holes; i++) {
        uint64_t word = mt_arg_immediate(&args[i]);
        if (mt_unlikely(!word)) return 0;
        to[pattern->slots[i].at] = word;
    }
    return pattern->root_word + (words ? mt_boxed(to) : 0);
}

/* mt_pattern_match(), inlined for one immediate. */
static inline bool mt_pattern_match_quick(const struct mt_pattern *pattern, mote_term term, const mote_arg *args) {
    return pattern->word ? term.word == pattern->root_word : mt_pattern_match(pattern, term, args);
}

/* mt_pattern_check(), inlined for no holes. */
static inline mote_err mt_pattern_check_quick(const struct mt_pattern *pattern, size_t count, const mote_arg *args) {
    return mt_likely(count == 0 && pattern->holes == 0) ? MOTE_OK : mt_pattern_check(pattern, count, args);
}

static inline bool mt_arg_is_value(mote_arg_kind kind) { return kind >= MOTE_ARG_INT && kind <= MOTE_ARG_BYTES; }
static inline bool mt_arg_is_address(mote_arg_kind kind) { return kind >= MOTE_ARG_TO_INT && kind <= MOTE_ARG_TO_BYTES; }

#endif
