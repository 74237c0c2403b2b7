/* SPDX-License-Identifier: Apache-2.0
 * Erlang's text read: tokens (scan.c), and the reader that puts them together (parse.c), shared by mote_term_parse() and
 * by patterns.
 *
 * One thread: everything hangs off struct mt_parse. No recursion: nesting stands on stacks that grow with memory.
 * I1 a failure sets err, and for MOTE_ESYNTAX the byte (`wrong`) and what is wrong there (`why`, static text); nothing is
 *    read after it. I2 a token's bytes lie inside the text, and those of a quoted one are checked: decoding cannot fail.
 */
#ifndef MT_TERM_SCAN_H
#define MT_TERM_SCAN_H

#include "term/term.h"

enum mt_token_kind {
    MT_TOKEN_END,
    MT_TOKEN_MARK,
    MT_TOKEN_ATOM,
    MT_TOKEN_WORD, /* a reserved word */
    MT_TOKEN_VARIABLE,
    MT_TOKEN_STRING,
    MT_TOKEN_INTEGER, /* a character too */
    MT_TOKEN_BIG,
    MT_TOKEN_FLOAT
};

#define MT_MARK2(a, b) ((uint32_t)(a) << 8 | (uint32_t)(b)) /* => := << >> */

struct mt_token {
    enum mt_token_kind kind;
    uint32_t mark;    /* MARK: its byte, or MT_MARK2 of them */
    size_t at;        /* its first byte */
    size_t from;      /* what is between the quotes; BIG: the digits; else the whole token */
    size_t to;        /* the byte behind that */
    bool escapes;     /* ATOM, STRING: there are some */
    unsigned base;    /* BIG */
    uint64_t integer; /* INTEGER */
    double real;      /* FLOAT: finite, not negative */
};

struct mt_scan {
    const uint8_t *text; /* borrowed */
    size_t size;
    size_t at; /* the next byte */
    mote_err err;
    size_t wrong;
    const char *why;
};

/* Fails with MOTE_ESYNTAX at byte `wrong`; gives false. `why` is static text. */
bool mt_scan_wrong(struct mt_scan *scan, size_t wrong, const char *why);
/* Reads the next token; false: `scan` says why. */
bool mt_scan_next(struct mt_scan *scan, struct mt_token *token);
/* The character at byte *at of a quoted token, which is moved behind it. Escapes are resolved. *at < token->to. */
uint32_t mt_scan_char(const struct mt_scan *scan, size_t *at);
/* The code point at *at, which is moved behind it; false: not UTF-8. */
bool mt_utf8_next(const uint8_t *text, size_t size, size_t *at, uint32_t *c);
/* Whether a name is one of Erlang's reserved words. */
bool mt_scan_reserved(const char *name, size_t size);
/* Characters that an atom written without quotes may start with, and go on with. */
bool mt_scan_lower(uint32_t c);
bool mt_scan_name(uint32_t c);

/* --------------------------------------------------------------------------------------------- the reader */

enum mt_form { MT_FORM_TUPLE, MT_FORM_LIST, MT_FORM_TAIL, MT_FORM_MAP, MT_FORM_PAREN };

struct mt_frame {
    size_t base; /* its first value */
    size_t at;   /* the byte where it starts */
    enum mt_form form;
};

struct mt_parse {
    struct mt_scan scan;
    struct mt_token token; /* the one to be looked at */
    mote_arena *arena;     /* where terms are built; NULL: immediates only */
    bool permanent;        /* atoms are made permanent */
    size_t depth_max;      /* frames; 0: no limit */
    uint64_t padding;      /* bits of binaries that explicit sizes made */
    /* Makes a compound of values (a map: keys and values by turns; a list: elements and tail). 0: scan.err is set. */
    uint64_t (*make)(struct mt_parse *parse, enum mt_form form, size_t count, const mote_term *values);
    /* The word that stands for the hole ? ^ or _ at byte `at`; 0: scan.err is set. NULL: no holes. */
    uint64_t (*hole)(struct mt_parse *parse, uint32_t mark, size_t at);
    void *context; /* of `hole` and `make` */
    mote_term *values;
    size_t values_count;
    size_t values_capacity;
    struct mt_frame *frames;
    size_t frames_count;
    size_t frames_capacity;
};

/* Starts on a text, borrowed until mt_parse_fini(); fields that may be set afterwards: permanent to context. */
void mt_parse_init(struct mt_parse *parse, mote_arena *arena, const char *text, size_t size);
void mt_parse_fini(struct mt_parse *parse);
/* Reads the whole text, which must be one term and perhaps a full stop. False: scan.err. */
bool mt_parse_run(struct mt_parse *parse, uint64_t *word);
/* What `make` is at first: makes terms in the arena. */
uint64_t mt_parse_make(struct mt_parse *parse, enum mt_form form, size_t count, const mote_term *values);

#endif
