/* SPDX-License-Identifier: Apache-2.0
 * The reader of Erlang terms: values are pushed, a closing bracket makes one of those above its opening one.
 *
 * P1 values from frames[i].base on belong to frame i or to those inside it. P2 in a map's frame keys and values take turns. */
#include <gmp.h>
#include <math.h>
#include <string.h>

#include "term/scan.h"

#define TUPLE_MAX (((size_t)1 << 24) - 1)
#define PADDING_MAX ((uint64_t)1 << 27) /* bits that sizes like :1000 may make of one text: hostile texts stay small */
#define DIGITS_WORD_10 19u              /* of a limb */
#define GMP_DIGITS_MAX 2048u            /* above, GMP needs more stack than a process has */

_Static_assert(GMP_NUMB_BITS == 64 && sizeof(mp_limb_t) == sizeof(uint64_t), "limbs are words");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "limbs are read as bytes, least significant first");
_Static_assert(sizeof(mote_term) == sizeof(uint64_t), "terms are words");

static bool no_memory(struct mt_parse *p) {
    MT_ASSERT(p->scan.err == MOTE_OK);
    p->scan.err = MOTE_ENOMEM;
    return false;
}

static bool wrong(struct mt_parse *p, const char *why) { return mt_scan_wrong(&p->scan, p->token.at, why); }

static bool advance(struct mt_parse *p) { return mt_scan_next(&p->scan, &p->token); }

static bool at_mark(const struct mt_parse *p, uint32_t mark) { return p->token.kind == MT_TOKEN_MARK && p->token.mark == mark; }

/* Moves behind a mark that must stand here. */
static bool expect(struct mt_parse *p, uint32_t mark, const char *why) {
    if (!at_mark(p, mark)) return wrong(p, why);
    return advance(p);
}

/* ------------------------------------------------------------------------------------------------- stacks */

/* Room for `more` items above `count`; the new capacity, or 0. */
static size_t grown(void **items, size_t count, size_t capacity, size_t more, size_t item_size) {
    size_t want = capacity ? capacity * 2 : 32;
    while (want < count + more) want *= 2;
    if (want > SIZE_MAX / 2 / item_size) return 0;
    void *now = mt_os_realloc(*items, want * item_size);
    if (!now) return 0;
    *items = now;
    return want;
}

static bool reserve(struct mt_parse *p, size_t more) {
    if (mt_likely(p->values_count + more <= p->values_capacity)) return true;
    void *values = p->values;
    size_t capacity = grown(&values, p->values_count, p->values_capacity, more, sizeof *p->values);
    if (!capacity) return no_memory(p);
    p->values = values;
    p->values_capacity = capacity;
    return true;
}

static bool push(struct mt_parse *p, uint64_t word) {
    if (!word) return p->scan.err ? false : no_memory(p);
    if (!reserve(p, 1)) return false;
    p->values[p->values_count++].word = word;
    return true;
}

static bool open_frame(struct mt_parse *p, enum mt_form form, size_t at) {
    if (p->depth_max && p->frames_count == p->depth_max) return mt_scan_wrong(&p->scan, at, "this is nested deeper than 64 levels");
    if (p->frames_count == p->frames_capacity) {
        void *frames = p->frames;
        size_t capacity = grown(&frames, p->frames_count, p->frames_capacity, 1, sizeof *p->frames);
        if (!capacity) return no_memory(p);
        p->frames = frames;
        p->frames_capacity = capacity;
    }
    p->frames[p->frames_count++] = (struct mt_frame){p->values_count, at, form};
    return true;
}

/* --------------------------------------------------------------------------------------------- compounds */

/* Keys and values by turns become keys, then values, above the others. */
static uint64_t make_map(struct mt_parse *p, size_t count, const mote_term *values) {
    if (count == 0) return mote_map_make(p->arena, 0, NULL, NULL).word;
    size_t base = (size_t)(values - p->values), pairs = count / 2;
    MT_ASSERT(count % 2 == 0); /* P2 */
    if (!reserve(p, count)) return 0;
    const mote_term *from = p->values + base;
    mote_term *keys = p->values + p->values_count;
    for (size_t i = 0; i < pairs; i++) {
        keys[i] = from[2 * i];
        keys[pairs + i] = from[2 * i + 1];
    }
    return mote_map_make(p->arena, pairs, keys, keys + pairs).word;
}

uint64_t mt_parse_make(struct mt_parse *p, enum mt_form form, size_t count, const mote_term *values) {
    switch (form) {
    case MT_FORM_TUPLE: return mote_tuple_make(p->arena, count, values).word;
    case MT_FORM_MAP: return make_map(p, count, values);
    default: MT_ASSERT(count > 0); return mote_list_make(p->arena, count - 1, values, values[count - 1]).word;
    }
}

/* Closes the innermost frame at its bracket. */
static bool close_frame(struct mt_parse *p) {
    MT_ASSERT(p->frames_count > 0);
    struct mt_frame f = p->frames[p->frames_count - 1];
    size_t count = p->values_count - f.base;
    if (f.form == MT_FORM_TUPLE && count > TUPLE_MAX)
        return mt_scan_wrong(&p->scan, f.at, "a tuple has at most 16777215 elements");
    uint64_t word = f.form == MT_FORM_PAREN ? p->values[f.base].word : p->make(p, f.form, count, p->values + f.base);
    p->values_count = f.base;
    p->frames_count--;
    return push(p, word) && advance(p);
}

/* ------------------------------------------------------------------------------------------------- atoms */

/* Counted atoms are held by the arena they are made in. 0: scan.err. */
static uint64_t atom(struct mt_parse *p, const struct mt_token *t) {
    uint8_t decoded[255 * 4];
    const uint8_t *name = p->scan.text + t->from;
    size_t size = t->to - t->from;
    if (t->escapes) {
        size = 0;
        for (size_t at = t->from; at < t->to;) size += mt_utf8_put(mt_scan_char(&p->scan, &at), decoded + size);
        name = decoded;
    }
    uint64_t word = p->permanent ? mt_atom_intern((const char *)name, size, true, NULL)
                                 : mote_atom_make_counted(p->arena, (const char *)name, size).word;
    if (!word) no_memory(p);
    return word;
}

/* A part of fun module:function/arity; reserved words need no quotes there, as print does not put them. */
static uint64_t fun_name(struct mt_parse *p) {
    if (p->token.kind != MT_TOKEN_ATOM && p->token.kind != MT_TOKEN_WORD) {
        wrong(p, "a function is written fun module:name/arity");
        return 0;
    }
    uint64_t word = atom(p, &p->token);
    return word && advance(p) ? word : 0;
}

static bool fun(struct mt_parse *p) {
    static const char why[] = "a function is written fun module:name/arity";
    uint64_t module, name;
    if (!advance(p) || !(module = fun_name(p)) || !expect(p, ':', why)) return false;
    if (!(name = fun_name(p)) || !expect(p, '/', why)) return false;
    if (p->token.kind != MT_TOKEN_INTEGER || p->token.integer > 255) return wrong(p, "an arity is 0 to 255");
    mote_term term = mote_function_make(p->arena, (mote_atom){module}, (mote_atom){name}, (unsigned)p->token.integer);
    return push(p, term.word) && advance(p);
}

/* ---------------------------------------------------------------------------------------------- integers */

/* The values of the digits of a BIG without underscores and leading zeros; gives their number. */
static size_t digit_values(const struct mt_scan *s, const struct mt_token *t, uint8_t *to) {
    size_t n = 0;
    for (size_t i = t->from; i < t->to; i++) {
        uint8_t c = s->text[i];
        if (c == '_' || (n == 0 && c == '0')) continue;
        to[n++] = (uint8_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return n;
}

/* As mpn_set_str(), but without GMP's need of stack for long ones: word by word, O(n^2). */
static size_t limbs_of_digits(mp_limb_t *limbs, const uint8_t *values, size_t n, unsigned base) {
    if (n <= GMP_DIGITS_MAX || (base & (base - 1)) == 0) return (size_t)mpn_set_str(limbs, values, n, (int)base);
    size_t size = 0, i = 0;
    while (i < n) {
        uint64_t scale = 1, part = 0;
        for (; i < n && scale <= UINT64_MAX / base; i++, scale *= base) part = part * base + values[i];
        uint64_t carry = size ? mpn_mul_1(limbs, limbs, (mp_size_t)size, scale) : 0;
        carry += size ? mpn_add_1(limbs, limbs, (mp_size_t)size, part) : part;
        if (carry) limbs[size++] = carry;
    }
    return size;
}

/* The limbs of a BIG. Gives a block, to be freed with mt_os_free(); NULL: scan.err. */
static mp_limb_t *limbs_of(struct mt_parse *p, const struct mt_token *t, size_t *count) {
    size_t text = t->to - t->from, bits = 64 - (size_t)__builtin_clzll(t->base - 1u);
    static const char large[] = "this integer is larger than 524288 bytes";
    if (text > (size_t)MT_BIG_BYTES_MAX * 16) {
        mt_scan_wrong(&p->scan, t->at, large);
        return NULL;
    }
    size_t room = text * bits / 64 + 2;
    mp_limb_t *limbs = mt_os_alloc(room * sizeof *limbs + text);
    if (!limbs) {
        no_memory(p);
        return NULL;
    }
    uint8_t *values = (uint8_t *)(limbs + room);
    size_t n = digit_values(&p->scan, t, values);
    /* log2(base) > bits - 1: whoever has more digits than this is too large; less work for the hostile */
    bool fits = n * (bits - 1) <= (size_t)MT_BIG_BYTES_MAX * 8 + 64;
    *count = fits ? limbs_of_digits(limbs, values, n, t->base) : 0;
    if (fits && *count * sizeof *limbs <= MT_BIG_BYTES_MAX) return limbs;
    mt_scan_wrong(&p->scan, t->at, large);
    mt_os_free(limbs);
    return NULL;
}

static bool integer(struct mt_parse *p, bool minus) {
    const struct mt_token *t = &p->token;
    if (t->kind == MT_TOKEN_INTEGER) {
        uint64_t v = t->integer;
        mote_term term = !minus               ? mote_uint_make(p->arena, v)
                         : v <= INT64_MAX     ? mote_int_make(p->arena, -(int64_t)v)
                                              : mote_big_make(p->arena, true, &v, sizeof v);
        return push(p, term.word) && advance(p);
    }
    size_t count;
    mp_limb_t *limbs = limbs_of(p, t, &count);
    if (!limbs) return false;
    uint64_t word = mote_big_make(p->arena, minus, limbs, count * sizeof *limbs).word;
    mt_os_free(limbs);
    return push(p, word) && advance(p);
}

static bool real(struct mt_parse *p, bool minus) {
    uint64_t word = mote_float_make(p->arena, minus ? -p->token.real : p->token.real).word;
    return push(p, word) && advance(p);
}

static bool signed_number(struct mt_parse *p) {
    bool minus = at_mark(p, '-');
    if (!advance(p)) return false;
    if (p->token.kind == MT_TOKEN_INTEGER || p->token.kind == MT_TOKEN_BIG) return integer(p, minus);
    if (p->token.kind == MT_TOKEN_FLOAT) return real(p, minus);
    return wrong(p, "a number must follow the sign");
}

/* ----------------------------------------------------------------------------------------------- strings */

/* "a" "b": the list of their characters. */
static bool string(struct mt_parse *p) {
    size_t base = p->values_count;
    do {
        struct mt_token t = p->token;
        if (!reserve(p, t.to - t.from)) return false;
        for (size_t at = t.from; at < t.to;) p->values[p->values_count++].word = mt_small(mt_scan_char(&p->scan, &at));
        if (!advance(p)) return false;
    } while (p->token.kind == MT_TOKEN_STRING);
    uint64_t word = mote_list_make(p->arena, p->values_count - base, p->values + base, MOTE_TERM_NIL).word;
    p->values_count = base;
    return push(p, word);
}

/* ---------------------------------------------------------------------------------------------- binaries */

enum bits_type { BITS_INTEGER, BITS_FLOAT, BITS_UTF8, BITS_UTF16, BITS_UTF32 };

struct segment {
    struct mt_token value; /* of several strings the first */
    bool minus;
    bool little;
    bool typed;
    bool sized;
    enum bits_type type;
    uint64_t size;
    uint64_t unit; /* 0: not given */
};

struct bits {
    uint8_t *data;
    size_t capacity;
    uint64_t count;
    bool text; /* all of it is strings as UTF-8 */
};

/* The low `n` <= 8 bits of a byte. */
static void put_bits(struct bits *b, unsigned n, unsigned byte) {
    unsigned used = b->count & 7;
    uint8_t *to = b->data + b->count / 8;
    byte = (byte << (8 - n)) & 0xff;
    if (used == 0) to[0] = 0;
    to[0] = (uint8_t)(to[0] | byte >> used);
    if (used + n > 8) to[1] = (uint8_t)(byte << (8 - used));
    b->count += n;
}

static bool bits_room(struct mt_parse *p, struct bits *b, uint64_t more) {
    size_t want = (size_t)((b->count + more) / 8 + 2);
    if (want <= b->capacity) return true;
    void *data = b->data;
    size_t capacity = grown(&data, 0, b->capacity, want, 1);
    if (!capacity) return no_memory(p);
    b->data = data;
    b->capacity = capacity;
    return true;
}

/* The low `size` bits of a number given by its bytes, least significant first; beyond them it goes on with `fill`. */
static bool put_integer(struct mt_parse *p, struct bits *b, const uint8_t *bytes, uint64_t count, uint8_t fill, uint64_t size,
                        bool little) {
    uint64_t whole = size / 8;
    unsigned rest = size % 8;
    if (!bits_room(p, b, size)) return false;
    for (uint64_t i = 0; little && i < whole; i++) put_bits(b, 8, i < count ? bytes[i] : fill);
    if (rest) put_bits(b, rest, whole < count ? bytes[whole] : fill);
    for (uint64_t i = whole; !little && i > 0; i--) put_bits(b, 8, i - 1 < count ? bytes[i - 1] : fill);
    return true;
}

static bool put_word(struct mt_parse *p, struct bits *b, uint64_t v, bool minus, uint64_t size, bool little) {
    if (minus) v = -v;
    return put_integer(p, b, (const uint8_t *)&v, sizeof v, minus && v ? 0xff : 0, size, little);
}

static bool put_big(struct mt_parse *p, struct bits *b, const struct segment *g, uint64_t size) {
    size_t count;
    mp_limb_t *limbs = limbs_of(p, &g->value, &count);
    if (!limbs) return false;
    if (g->minus) mpn_neg(limbs, limbs, (mp_size_t)count);
    bool done = put_integer(p, b, (const uint8_t *)limbs, count * sizeof *limbs, g->minus ? 0xff : 0, size, g->little);
    mt_os_free(limbs);
    return done;
}

/* Half precision, rounded to even; false: too large. */
static bool half_of(double v, uint64_t *half) {
    int e = 0;
    double a = v < 0 ? -v : v;
    if (a > 0) frexp(a, &e);
    if (e < -13) e = -13;
    double scaled = ldexp(a, 11 - e); /* 1024 to 2047 when normal */
    uint64_t m = scaled < 4096 ? (uint64_t)scaled : 4096;
    double left = scaled - (double)m;
    if (left > 0.5 || (left == 0.5 && (m & 1))) m++;
    uint64_t bits = m + ((uint64_t)(e + 13) << 10); /* a carry out of the mantissa moves the exponent on */
    *half = bits | (uint64_t)(__builtin_signbit(v) ? 1 : 0) << 15;
    return bits < 0x7c00;
}

static bool put_float(struct mt_parse *p, struct bits *b, const struct segment *g, uint64_t size) {
    double v = g->value.kind == MT_TOKEN_FLOAT ? g->value.real : (double)g->value.integer;
    uint64_t bits = 0;
    uint32_t bits32;
    if (g->minus) v = -v;
    float narrow = (float)v;
    memcpy(&bits32, &narrow, sizeof bits32);
    if (size == 64) memcpy(&bits, &v, sizeof bits);
    if (size == 32) bits = bits32;
    bool fits = size != 32 || (narrow - narrow == 0);
    if (size == 16) fits = half_of(v, &bits);
    if (!fits) return mt_scan_wrong(&p->scan, g->value.at, "this float is too large for its size");
    return put_word(p, b, bits, false, size, g->little);
}

static bool put_utf16(struct mt_parse *p, struct bits *b, uint32_t c, bool little) {
    if (c < 0x10000) return put_word(p, b, c, false, 16, little);
    return put_word(p, b, 0xd7c0 + (c >> 10), false, 16, little) && put_word(p, b, 0xdc00 + (c & 0x3ff), false, 16, little);
}

static bool put_char(struct mt_parse *p, struct bits *b, const struct segment *g, uint64_t c, uint64_t size) {
    uint8_t utf8[4];
    if (g->type == BITS_INTEGER) return put_word(p, b, c, g->minus, size, g->little);
    if (g->minus || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return mt_scan_wrong(&p->scan, g->value.at, "this is no character");
    if (g->type == BITS_UTF32) return put_word(p, b, c, false, 32, g->little);
    if (g->type == BITS_UTF16) return put_utf16(p, b, (uint32_t)c, g->little);
    size_t n = mt_utf8_put((uint32_t)c, utf8);
    return put_integer(p, b, utf8, n, 0, 8 * n, true);
}

/* All strings from g->value on, up to byte `end`. */
static bool put_strings(struct mt_parse *p, struct bits *b, const struct segment *g, size_t end, uint64_t size) {
    struct mt_scan s = p->scan;
    struct mt_token t = g->value;
    s.at = t.to + 1;
    while (t.kind == MT_TOKEN_STRING && t.at < end) {
        for (size_t at = t.from; at < t.to;)
            if (!put_char(p, b, g, mt_scan_char(&s, &at), size)) return false;
        bool good = mt_scan_next(&s, &t);
        MT_ASSERT(good);
    }
    return true;
}

/* What follows a / : types and a unit, by hyphens. */
static bool segment_type(struct mt_parse *p, struct segment *g) {
    static const char *const names[] = {"integer", "float", "utf8", "utf16", "utf32", "signed", "unsigned", "big", "little", "native"};
    static const size_t count = sizeof names / sizeof names[0];
    const char *text = (const char *)p->scan.text + p->token.at;
    size_t size = p->token.to - p->token.at, i = 0;
    if (p->token.kind != MT_TOKEN_ATOM) return wrong(p, "a type as in <<1:16/little>> must follow the /");
    if (size == 4 && memcmp(text, "unit", 4) == 0) {
        if (!advance(p) || !expect(p, ':', "a unit is written unit:8")) return false;
        if (p->token.kind != MT_TOKEN_INTEGER || p->token.integer < 1 || p->token.integer > 256)
            return wrong(p, "a unit is 1 to 256");
        g->unit = p->token.integer;
        return advance(p);
    }
    while (i < count && !(strlen(names[i]) == size && memcmp(names[i], text, size) == 0)) i++;
    if (i == count) return wrong(p, "this type of a segment is not known here");
    if (i <= BITS_UTF32 && g->typed && g->type != (enum bits_type)i) return wrong(p, "this segment has a type already");
    if (i <= BITS_UTF32) g->type = (enum bits_type)i;
    g->typed |= i <= BITS_UTF32;
    g->little |= i >= count - 2;
    return advance(p);
}

/* The value of a segment, its size and type; gives the byte where the value ends. */
static bool segment(struct mt_parse *p, struct segment *g, size_t *end) {
    g->minus = at_mark(p, '-');
    bool sign = g->minus || at_mark(p, '+');
    if (sign && !advance(p)) return false;
    g->value = p->token;
    bool text = p->token.kind == MT_TOKEN_STRING && !sign;
    if (!text && (p->token.kind < MT_TOKEN_INTEGER)) return wrong(p, "a segment is an integer, a float or a \"string\"");
    do {
        *end = p->scan.at;
        if (!advance(p)) return false;
    } while (text && p->token.kind == MT_TOKEN_STRING);
    g->sized = at_mark(p, ':');
    if (g->sized) {
        if (!advance(p)) return false;
        if (p->token.kind != MT_TOKEN_INTEGER) return wrong(p, "a size is an integer");
        g->size = p->token.integer;
        if (!advance(p)) return false;
    }
    if (!at_mark(p, '/')) return true;
    do
        if (!advance(p) || !segment_type(p, g)) return false;
    while (at_mark(p, '-'));
    return true;
}

/* The segment's size in bits; false when size, unit, type and value do not fit each other. */
static bool segment_size(struct mt_parse *p, const struct segment *g, uint64_t *size) {
    size_t at = g->value.at;
    enum mt_token_kind kind = g->value.kind;
    if (g->unit && !g->sized) return mt_scan_wrong(&p->scan, at, "a unit needs a size, as <<1:2/unit:8>>");
    if (g->type >= BITS_UTF8 && (g->sized || kind == MT_TOKEN_FLOAT || kind == MT_TOKEN_BIG))
        return mt_scan_wrong(&p->scan, at, "utf8, utf16 and utf32 take characters and no size");
    if (g->type == BITS_INTEGER && kind == MT_TOKEN_FLOAT) return mt_scan_wrong(&p->scan, at, "a float needs its type: <<1.0/float>>");
    if (g->type == BITS_FLOAT && (kind == MT_TOKEN_STRING || kind == MT_TOKEN_BIG))
        return mt_scan_wrong(&p->scan, at, "this is no float");
    uint64_t n = g->sized ? g->size : g->type == BITS_FLOAT ? 64 : 8;
    uint64_t chars = kind == MT_TOKEN_STRING ? g->value.to - g->value.from : 1, sum;
    if (__builtin_mul_overflow(n, g->unit ? g->unit : 1, &n) || __builtin_mul_overflow(n, chars, &sum) || sum > PADDING_MAX)
        return mt_scan_wrong(&p->scan, at, "this segment is too large");
    p->padding += g->sized ? sum : 0;
    if (p->padding > PADDING_MAX) return mt_scan_wrong(&p->scan, at, "the segments of this text are too large");
    if (g->type == BITS_FLOAT && n != 16 && n != 32 && n != 64) return mt_scan_wrong(&p->scan, at, "a float has 16, 32 or 64 bits");
    *size = n;
    return true;
}

static bool put_segment(struct mt_parse *p, struct bits *b) {
    struct segment g = {0};
    uint64_t size = 0;
    size_t end = 0;
    if (!segment(p, &g, &end) || !segment_size(p, &g, &size)) return false;
    b->text &= g.type == BITS_UTF8 && g.value.kind == MT_TOKEN_STRING;
    if (g.type == BITS_FLOAT) return put_float(p, b, &g, size);
    if (g.value.kind == MT_TOKEN_BIG) return put_big(p, b, &g, size);
    if (g.value.kind == MT_TOKEN_STRING) return put_strings(p, b, &g, end, size);
    return put_char(p, b, &g, g.value.integer, size);
}

/* <<1, 2:3, "abc"/utf8>>; all of it strings as UTF-8 makes text, as text is printed. */
static bool binary(struct mt_parse *p) {
    struct bits b = {.text = true};
    bool good = advance(p), empty = good && at_mark(p, MT_MARK2('>', '>'));
    while (good && !empty) {
        good = put_segment(p, &b);
        if (!good || !at_mark(p, ',')) break;
        good = advance(p);
    }
    if (good && !at_mark(p, MT_MARK2('>', '>'))) good = wrong(p, "a , or >> must stand here");
    if (good) {
        mote_term term = b.count % 8      ? mote_bitstring_make(p->arena, b.data, b.count)
                         : b.text && !empty ? mote_text_make(p->arena, (const char *)b.data, b.count / 8)
                                            : mote_binary_make(p->arena, b.data, b.count / 8);
        good = push(p, term.word) && advance(p);
    }
    mt_os_free(b.data);
    return good;
}

/* ------------------------------------------------------------------------------- pids, references, ports */

#define ID_PARTS_MAX 8u

/* The parts of <0.1.2>, #Ref<node.1.2.3> and the like. */
struct id {
    uint64_t node; /* atom, or 0: this one */
    uint64_t parts[ID_PARTS_MAX];
    size_t at[ID_PARTS_MAX];
    size_t count;
};

static bool id_number(struct mt_parse *p, struct id *id) {
    struct mt_scan *s = &p->scan;
    size_t first = s->at;
    uint64_t v = 0;
    for (; s->at < s->size && s->text[s->at] >= '0' && s->text[s->at] <= '9'; s->at++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)s->text[s->at] - '0', &v))
            return mt_scan_wrong(s, first, "this number is too large here");
    if (s->at == first) return mt_scan_wrong(s, first, "a number must stand here");
    id->at[id->count] = first;
    id->parts[id->count++] = v;
    return true;
}

/* The scanner stands behind the <. */
static bool id(struct mt_parse *p, struct id *id) {
    struct mt_scan *s = &p->scan;
    struct mt_token node;
    uint8_t c = s->at < s->size ? s->text[s->at] : '0';
    if (c < '0' || c > '9') {
        if (!mt_scan_next(s, &node)) return false;
        if (node.kind != MT_TOKEN_ATOM) return mt_scan_wrong(s, node.at, "a 0 or a node's name must stand here");
        if (!(id->node = atom(p, &node))) return false;
    } else if (!id_number(p, id)) {
        return false;
    }
    while (s->at < s->size && s->text[s->at] == '.' && id->count < ID_PARTS_MAX) {
        s->at++;
        if (!id_number(p, id)) return false;
    }
    if (s->at >= s->size || s->text[s->at] != '>') return mt_scan_wrong(s, s->at, "a . or > must stand here");
    s->at++;
    return true;
}

/* Checks that part i is at most max. */
static bool id_fits(struct mt_parse *p, const struct id *id, size_t i, uint64_t max) {
    return id->parts[i] <= max || mt_scan_wrong(&p->scan, id->at[i], "this number is too large here");
}

/* An object about another node: header, node, raw words. The node's count is one more than the arena's. 0: scan.err. */
static uint64_t far(struct mt_parse *p, enum mt_kind kind, uint64_t node, size_t count, const uint64_t *raw) {
    uint64_t *to = p->arena ? mt_arena_words(p->arena, count + 2) : NULL;
    if (!to) {
        no_memory(p);
        return 0;
    }
    to[0] = mt_header(kind, count + 1);
    to[1] = node;
    memcpy(to + 2, raw, count * sizeof *raw);
    if (mt_atom_counted(node)) {
        mt_atom_hold(node);
        mt_arena_note_counted(p->arena);
    }
    return mt_boxed(to);
}

static bool pid(struct mt_parse *p) {
    struct id d = {0};
    size_t at = p->token.at;
    if (!id(p, &d)) return false;
    if (d.count != 3) return mt_scan_wrong(&p->scan, at, "a pid is <0.1.2>, or <node.1.2.3> with the node's creation");
    if (d.node) {
        for (size_t i = 0; i < 3; i++)
            if (!id_fits(p, &d, i, UINT32_MAX)) return false;
        uint64_t raw[2] = {d.parts[0] | d.parts[1] << 32, d.parts[2]};
        return push(p, far(p, MT_PID_FAR, d.node, 2, raw)) && advance(p);
    }
    if (d.parts[0]) return mt_scan_wrong(&p->scan, d.at[0], "a pid of another node is written with that node's name");
    uint64_t index_max = ((uint64_t)1 << (MT_PID_INDEX_BITS + MT_PID_WORKER_BITS)) - 1;
    if (!id_fits(p, &d, 1, index_max) || !id_fits(p, &d, 2, ((uint64_t)1 << MT_PID_SERIAL_BITS) - 1)) return false;
    uint64_t index = d.parts[1] & (((uint64_t)1 << MT_PID_INDEX_BITS) - 1);
    return push(p, mt_pid_word(index, d.parts[1] >> MT_PID_INDEX_BITS, d.parts[2])) && advance(p);
}

/* Parts: highest word first, creation last. */
static bool far_ref(struct mt_parse *p, const struct id *d, size_t at) {
    size_t words = d->count - 1;
    uint64_t raw[1 + ID_PARTS_MAX / 2] = {0};
    if (d->count < 2 || words > 5) return mt_scan_wrong(&p->scan, at, "a reference of another node is #Ref<node.1.2.3.4>");
    for (size_t i = 0; i < d->count; i++)
        if (!id_fits(p, d, i, UINT32_MAX)) return false;
    raw[0] = d->parts[words] | (uint64_t)words << 32;
    for (size_t i = 0; i < words; i++) raw[1 + i / 2] |= d->parts[words - 1 - i] << (32 * (i % 2));
    return push(p, far(p, MT_REF_FAR, d->node, 1 + (words + 1) / 2, raw)) && advance(p);
}

static bool ref(struct mt_parse *p) {
    struct id d = {0};
    size_t at = p->token.at;
    if (!id(p, &d)) return false;
    if (d.node) return far_ref(p, &d, at);
    if (d.count != 4 || d.parts[0]) return mt_scan_wrong(&p->scan, at, "a reference is #Ref<0.1.2.3>");
    if (!id_fits(p, &d, 1, (1u << 11) - 1) || !id_fits(p, &d, 2, UINT32_MAX) || !id_fits(p, &d, 3, (1u << 18) - 1)) return false;
    uint64_t v = (d.parts[1] << 32 | d.parts[2]) << 18 | d.parts[3];
    return push(p, v << 3 | MT_REF) && advance(p);
}

static bool port(struct mt_parse *p) {
    struct id d = {0};
    size_t at = p->token.at;
    if (!id(p, &d)) return false;
    if (!d.node || d.count != 2) return mt_scan_wrong(&p->scan, at, "a port is #Port<node.1.2> with the node's creation");
    if (!id_fits(p, &d, 1, UINT32_MAX)) return false;
    return push(p, far(p, MT_PORT_FAR, d.node, 2, d.parts)) && advance(p);
}

/* ------------------------------------------------------------------------------------------------- values */

/* Moves behind `word` if the text goes on with it. */
static bool follows(struct mt_scan *s, const char *word) {
    size_t size = strlen(word);
    if (s->size - s->at < size || memcmp(s->text + s->at, word, size) != 0) return false;
    s->at += size;
    return true;
}

/* An opening bracket: of an empty compound or of a new frame (*opened). */
static bool open_form(struct mt_parse *p, enum mt_form form, uint32_t end, size_t at, bool *opened) {
    if (!advance(p)) return false;
    *opened = !at_mark(p, end) || form == MT_FORM_PAREN;
    if (*opened) return open_frame(p, form, at);
    const mote_term *none = p->values_count ? p->values + p->values_count : p->values;
    uint64_t word = form == MT_FORM_LIST ? MT_NIL_WORD : p->make(p, form, 0, none);
    return push(p, word) && advance(p);
}

static bool hash_value(struct mt_parse *p, bool *opened) {
    size_t at = p->token.at;
    if (follows(&p->scan, "Ref<")) return ref(p);
    if (follows(&p->scan, "Port<")) return port(p);
    if (!advance(p)) return false;
    if (!at_mark(p, '{')) return wrong(p, "a map #{...} or #Ref<...> must stand here");
    return open_form(p, MT_FORM_MAP, '}', at, opened);
}

static bool hole(struct mt_parse *p, uint32_t mark) {
    size_t at = p->token.at;
    if (!p->hole) return wrong(p, mark == '_' ? "a variable is no term" : "this does not belong here");
    return push(p, p->hole(p, mark, at)) && advance(p);
}

static bool mark_value(struct mt_parse *p, bool *opened) {
    switch (p->token.mark) {
    case '{': return open_form(p, MT_FORM_TUPLE, '}', p->token.at, opened);
    case '[': return open_form(p, MT_FORM_LIST, ']', p->token.at, opened);
    case '(': return open_form(p, MT_FORM_PAREN, ')', p->token.at, opened);
    case '#': return hash_value(p, opened);
    case '<': return pid(p);
    case MT_MARK2('<', '<'): return binary(p);
    case '-':
    case '+': return signed_number(p);
    case '?':
    case '^': return hole(p, p->token.mark);
    default: return wrong(p, "a term must stand here");
    }
}

/* Reads a value that stands for itself, or opens a frame. */
static bool value(struct mt_parse *p, bool *opened) {
    const struct mt_token *t = &p->token;
    *opened = false;
    switch (t->kind) {
    case MT_TOKEN_MARK: return mark_value(p, opened);
    case MT_TOKEN_ATOM: return push(p, atom(p, t)) && advance(p);
    case MT_TOKEN_INTEGER:
    case MT_TOKEN_BIG: return integer(p, false);
    case MT_TOKEN_FLOAT: return real(p, false);
    case MT_TOKEN_STRING: return string(p);
    case MT_TOKEN_WORD:
        if (t->to - t->at == 3 && memcmp(p->scan.text + t->at, "fun", 3) == 0) return fun(p);
        return wrong(p, "a reserved word of Erlang must be quoted to be an atom: 'end'");
    case MT_TOKEN_VARIABLE:
        if (t->to - t->at == 1 && p->scan.text[t->at] == '_') return hole(p, '_');
        return wrong(p, p->hole ? "a variable is no term: quote it to be an atom ('Name'), or write ?"
                                : "a variable is no term: quote it to be an atom ('Name')");
    case MT_TOKEN_END: return wrong(p, "the text ends where a term must stand");
    }
    MT_ASSERT(false);
    return false;
}

/* ------------------------------------------------------------------------------------------------- frames */

static bool list_goes_on(struct mt_parse *p, struct mt_frame *f) {
    if (at_mark(p, '|')) {
        f->form = MT_FORM_TAIL;
        return advance(p);
    }
    return expect(p, ',', "a , or | or ] must stand here");
}

static bool map_goes_on(struct mt_parse *p, const struct mt_frame *f) {
    if ((p->values_count - f->base) % 2 == 0) return expect(p, ',', "a , or } must stand here"); /* P2 */
    if (p->hole && at_mark(p, MT_MARK2(':', '='))) return advance(p);
    return expect(p, MT_MARK2('=', '>'), "a => must stand here");
}

/* Whether the innermost frame ends here. */
static bool frame_ends(const struct mt_parse *p, const struct mt_frame *f) {
    switch (f->form) {
    case MT_FORM_TUPLE: return at_mark(p, '}');
    case MT_FORM_MAP: return at_mark(p, '}') && (p->values_count - f->base) % 2 == 0;
    case MT_FORM_PAREN: return at_mark(p, ')');
    default: return at_mark(p, ']');
    }
}

/* After a value: closes the frames that end and moves to where the next value stands, or sets *done. */
static bool after_value(struct mt_parse *p, bool *done) {
    while (p->frames_count > 0) {
        struct mt_frame *f = &p->frames[p->frames_count - 1];
        if (frame_ends(p, f)) {
            if (f->form == MT_FORM_LIST && !push(p, MT_NIL_WORD)) return false;
            if (!close_frame(p)) return false;
            continue;
        }
        switch (f->form) {
        case MT_FORM_TUPLE: return expect(p, ',', "a , or } must stand here");
        case MT_FORM_LIST: return list_goes_on(p, f);
        case MT_FORM_MAP: return map_goes_on(p, f);
        case MT_FORM_TAIL: return wrong(p, "a ] must stand here");
        case MT_FORM_PAREN: return wrong(p, "a ) must stand here");
        }
    }
    *done = true;
    return true;
}

/* Behind the term: a full stop perhaps, and nothing else. */
static bool ends(struct mt_parse *p) {
    if (at_mark(p, '.') && !advance(p)) return false;
    return p->token.kind == MT_TOKEN_END || wrong(p, "the term ends before this");
}

void mt_parse_init(struct mt_parse *p, mote_arena *arena, const char *text, size_t size) {
    *p = (struct mt_parse){.scan = {.text = (const uint8_t *)text, .size = size}, .arena = arena, .make = mt_parse_make};
}

void mt_parse_fini(struct mt_parse *p) {
    mt_os_free(p->values);
    mt_os_free(p->frames);
}

bool mt_parse_run(struct mt_parse *p, uint64_t *word) {
    bool opened, done = false;
    if (!advance(p)) return false;
    while (!done)
        if (!value(p, &opened) || (!opened && !after_value(p, &done))) return false;
    MT_ASSERT(p->values_count == 1 && p->frames_count == 0);
    if (!ends(p)) return false;
    *word = p->values[0].word;
    return true;
}

mote_err mote_term_parse(mote_arena *arena, const char *text, size_t size, mote_term *term, size_t *error_at) {
    struct mt_parse p;
    struct mt_arena_mark mark = {0};
    uint64_t word;
    MT_ASSERT(text || size == 0);
    MT_ASSERT(term);
    if (arena) mark = mt_arena_mark(arena);
    mt_parse_init(&p, arena, text, size);
    if (mt_parse_run(&p, &word)) term->word = word;
    mt_parse_fini(&p);
    if (p.scan.err && arena) mt_arena_rewind(arena, mark);
    if (p.scan.err == MOTE_ESYNTAX && error_at) *error_at = p.scan.wrong;
    return p.scan.err;
}
