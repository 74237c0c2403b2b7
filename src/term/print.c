/* SPDX-License-Identifier: Apache-2.0
 * Terms written as io_lib:format("~0p") writes them in OTP 25, in UTF-8. Where Erlang's own text depends on the node, and for
 * what Erlang has not:
 *   maps      in the order of their keys (as Erlang's up to 32 pairs; its order of larger ones is of no meaning)
 *   text      <<"x">> when it is ASCII, else <<"é"/utf8>> as ~0tp writes that binary; unprintable characters: as bytes
 *   far ones  <node.Id.Serial.Creation>, #Ref<node.Highest. ... .Lowest.Creation>, #Port<node.Id.Creation>
 *   closures  #Fun<module.Index.Uniq>, which cannot be read
 *
 * Compounds begun stand on a stack that grows with memory; what is deeper than memory allows is written as "...". */
#include <gmp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "term/scan.h"

#define FRAMES_INSIDE 16u
#define LIMBS_GMP_MAX 128u /* above, GMP needs more stack than a process has */
#define LIMB_10_19 UINT64_C(10000000000000000000)
#define DIGITS_10_19 19u
#define DOUBLE_DIGITS 17

/* A compound of which `done` of `count` words are written. Of lists only the rest is kept. */
struct frame {
    const uint64_t *words; /* a tuple's elements; a map's keys, then values */
    uint64_t rest;         /* a list's tail; 0 once it is written */
    uint32_t done;
    uint32_t count;
    enum mt_form form;
};

struct print {
    char *text;
    size_t size;
    size_t length; /* of all that was written, whether or not it had room */
    struct frame *frames;
    size_t count;
    size_t capacity;
    struct frame inside[FRAMES_INSIDE];
};

static void put(struct print *o, const char *text, size_t size) {
    if (o->length < o->size) {
        size_t room = o->size - o->length;
        memcpy(o->text + o->length, text, size < room ? size : room);
    }
    o->length += size;
}

static void put_text(struct print *o, const char *text) { put(o, text, strlen(text)); }

static void put_byte(struct print *o, char c) { put(o, &c, 1); }

static void put_uint(struct print *o, uint64_t v) {
    char text[24];
    put(o, text, (size_t)snprintf(text, sizeof text, "%" PRIu64, v));
}

static void put_char(struct print *o, uint32_t c) {
    uint8_t utf8[4];
    put(o, (const char *)utf8, mt_utf8_put(c, utf8));
}

/* ------------------------------------------------------------------------------------------- characters */

static bool control_named(uint32_t c) { return (c >= '\b' && c <= '\r') || c == 27; }
/* io_lib:printable_latin1_list, printable_unicode_list */
static bool printable_latin1(uint32_t c) { return (c >= ' ' && c <= '~') || (c >= 0xa0 && c <= 0xff) || control_named(c); }
static bool printable_unicode(uint32_t c) {
    return printable_latin1(c) || (c > 0xff && c <= 0xd7ff) || (c >= 0xe000 && c <= 0xfffd) || c >= 0x10000;
}

/* A character between quotes; those beyond `plain_max` are escaped. */
static void put_quoted(struct print *o, uint32_t c, char quote, uint32_t plain_max) {
    static const char names[] = "btnvfr"; /* from \b on */
    char text[16];
    int n = 0;
    if (c == (uint8_t)quote || c == '\\') n = snprintf(text, sizeof text, "\\%c", (char)c);
    else if (c >= '\b' && c <= '\r') n = snprintf(text, sizeof text, "\\%c", names[c - '\b']);
    else if (c == 27) n = snprintf(text, sizeof text, "\\e");
    else if (c == 127) n = snprintf(text, sizeof text, "\\d");
    else if (c < ' ' || (c > 127 && c < 0xa0)) n = snprintf(text, sizeof text, "\\%03o", (unsigned)c);
    else if (c > plain_max) n = snprintf(text, sizeof text, "\\x{%X}", (unsigned)c);
    if (n) put(o, text, (size_t)n);
    else put_char(o, c);
}

/* ------------------------------------------------------------------------------------------------- atoms */

static uint32_t name_char(const char *name, size_t size, size_t *at) {
    uint32_t c = 0;
    bool good = mt_utf8_next((const uint8_t *)name, size, at, &c);
    MT_ASSERT(good);
    return c;
}

/* io_lib:quote_atom */
static bool plain_atom(const char *name, size_t size) {
    size_t at = 0;
    if (size == 0 || mt_scan_reserved(name, size) || !mt_scan_lower(name_char(name, size, &at))) return false;
    while (at < size)
        if (!mt_scan_name(name_char(name, size, &at))) return false;
    return true;
}

static void put_name(struct print *o, const char *name, size_t size) {
    if (plain_atom(name, size)) {
        put(o, name, size);
        return;
    }
    put_byte(o, '\'');
    for (size_t at = 0; at < size;) put_quoted(o, name_char(name, size, &at), '\'', 0xff);
    put_byte(o, '\'');
}

static void put_atom(struct print *o, uint64_t word) {
    size_t size;
    const char *name = mote_atom_name((mote_atom){word}, &size);
    put_name(o, name, size);
}

/* A name in fun m:f/1, which erlang:fun_to_list() writes by rules of its own. Those not of ASCII it garbles: they go as atoms. */
static void put_fun_name(struct print *o, uint64_t word) {
    size_t size;
    const char *name = mote_atom_name((mote_atom){word}, &size);
    bool plain = size > 0 && name[0] >= 'a' && name[0] <= 'z', ascii = true;
    for (size_t i = 0; i < size; i++) {
        uint8_t c = (uint8_t)name[i];
        ascii &= c < 0x80;
        plain &= c < 0x80 && c != '@' && mt_scan_name(c);
    }
    if (!ascii) {
        put_name(o, name, size);
        return;
    }
    if (!plain) put_byte(o, '\'');
    for (size_t i = 0; i < size; i++) {
        if (name[i] == 27) put_text(o, "\\033");
        else if (name[i] == 127) put_byte(o, name[i]);
        else put_quoted(o, (uint8_t)name[i], '\'', 0xff);
    }
    if (!plain) put_byte(o, '\'');
}

static void put_fun(struct print *o, const uint64_t *words) {
    put_text(o, "fun ");
    put_fun_name(o, words[1]);
    put_byte(o, ':');
    put_fun_name(o, words[2]);
    put_byte(o, '/');
    put_uint(o, (uint64_t)mt_small_value(words[3]));
}

/* ------------------------------------------------------------------------------------------------ numbers */

static void put_small(struct print *o, int64_t v) {
    char text[24];
    put(o, text, (size_t)snprintf(text, sizeof text, "%" PRId64, v));
}

/* The decimal digits of limbs, which are destroyed, into `to`, which ends at `end`; gives the first. O(n^2). */
static uint8_t *digits_of(mp_limb_t *limbs, size_t count, uint8_t *to, uint8_t *end) {
    if (count <= LIMBS_GMP_MAX) {
        size_t n = mpn_get_str(to, 10, limbs, (mp_size_t)count);
        uint8_t *first = to;
        MT_ASSERT(n <= (size_t)(end - to));
        memmove(end - n, first, n);
        return end - n;
    }
    while (count > 0) {
        uint64_t part = mpn_divrem_1(limbs, 0, limbs, (mp_size_t)count, LIMB_10_19);
        for (unsigned i = 0; i < DIGITS_10_19; i++, part /= 10) *--end = (uint8_t)(part % 10);
        while (count > 0 && limbs[count - 1] == 0) count--;
    }
    MT_ASSERT(end >= to);
    return end;
}

static void put_big(struct print *o, const uint64_t *words, size_t count, bool minus) {
    size_t room = count * 20 + DIGITS_10_19;
    mp_limb_t *limbs = mt_os_alloc(count * sizeof *limbs + room);
    if (!limbs) {
        put_text(o, "...");
        return;
    }
    memcpy(limbs, words, count * sizeof *limbs);
    uint8_t *to = (uint8_t *)(limbs + count), *end = to + room;
    uint8_t *at = digits_of(limbs, count, to, end);
    while (*at == 0) at++;
    for (uint8_t *d = at; d < end; d++) *d = (uint8_t)(*d + '0');
    if (minus) put_byte(o, '-');
    put(o, (const char *)at, (size_t)(end - at));
    mt_os_free(limbs);
}

/* v > 0 rounded to n digits; v is about 0.ddd * 10^*place. No locale matters: the point is skipped. */
static void round_digits(double v, int n, char *digits, int *place) {
    char text[40];
    int found = 0;
    snprintf(text, sizeof text, "%.*e", n - 1, v);
    const char *at = text;
    for (; *at != 'e'; at++)
        if (*at >= '0' && *at <= '9') digits[found++] = *at;
    MT_ASSERT(found == n);
    digits[n] = 0;
    *place = atoi(at + 1) + 1;
}

static bool reads_as(double v, const char *digits, int place) {
    char text[40];
    snprintf(text, sizeof text, "%se%d", digits, place - (int)strlen(digits));
    return strtod(text, NULL) == v;
}

/* The next larger number of as many digits (perhaps with a last 0). */
static void next_digits(char *digits, int *place) {
    int i = (int)strlen(digits) - 1;
    for (; i >= 0 && digits[i] == '9'; i--) digits[i] = '0';
    if (i >= 0) {
        digits[i]++;
        return;
    }
    digits[0] = '1';
    ++*place;
}

/* The shortest digits that read as v > 0, and of these the closest. At a power of two the larger side is the wider one, so
 * the next number above may do where the closest one does not. */
static void shortest_digits(double v, char *digits, int *place) {
    bool subnormal = v < 2.2250738585072014e-308;
    for (int n = subnormal ? 1 : 15; n <= DOUBLE_DIGITS; n++) {
        round_digits(v, n, digits, place);
        if (reads_as(v, digits, *place)) break;
        MT_ASSERT(n < DOUBLE_DIGITS);
        next_digits(digits, place);
        if (reads_as(v, digits, *place)) break;
    }
    size_t size = strlen(digits);
    while (size > 1 && digits[size - 1] == '0') digits[--size] = 0;
}

static void put_exponential(struct print *o, const char *digits, int exponent) {
    put_byte(o, digits[0]);
    put_byte(o, '.');
    put_text(o, digits[1] ? digits + 1 : "0");
    put_byte(o, 'e');
    put_small(o, exponent);
}

static void put_zeros(struct print *o, int count) {
    while (count-- > 0) put_byte(o, '0');
}

/* io_lib_format:insert_decimal/3: as it stands or with an exponent, whatever is shorter; large ones always with one. */
static void put_digits(struct print *o, const char *digits, int place, bool large) {
    int size = (int)strlen(digits), exponent = place - 1;
    char text[16];
    int cost = snprintf(text, sizeof text, "%d", exponent) + 1 + (size == 1 ? 2 : 1);
    if (place > 0 && place < size && !large) {
        put(o, digits, (size_t)place);
        put_byte(o, '.');
        put_text(o, digits + place);
    } else if (place <= 0 && (place == 0 || 2 - place <= cost)) {
        put_text(o, "0.");
        put_zeros(o, -place);
        put_text(o, digits);
    } else if (place > 0 && place - size + 2 <= cost && !large) {
        put_text(o, digits);
        put_zeros(o, place - size);
        put_text(o, ".0");
    } else {
        put_exponential(o, digits, exponent);
    }
}

static void put_float(struct print *o, uint64_t raw) {
    char digits[DOUBLE_DIGITS + 1];
    double v;
    int place;
    memcpy(&v, &raw, sizeof v);
    if (raw >> 63) put_byte(o, '-');
    if (v < 0) v = -v;
    if (!(v > 0)) {
        put_text(o, "0.0");
        return;
    }
    shortest_digits(v, digits, &place);
    put_digits(o, digits, place, v >= 9007199254740992.0);
}

/* ----------------------------------------------------------------------------------------------- binaries */

/* Whether whole bytes are printable, as Latin-1 characters. */
static bool printable_bytes(const struct mt_bits *bits) {
    if (bits->count == 0 || bits->count % 8) return false;
    for (uint64_t i = 0; i < bits->count / 8; i++)
        if (!printable_latin1(mt_bits_byte(bits, i))) return false;
    return true;
}

/* Of text, which lies on bytes: whether all characters are printable; *ascii: and of ASCII. */
static bool printable_text(const struct mt_bits *bits, bool *ascii) {
    uint32_t c = 0;
    size_t at = 0, size = (size_t)(bits->count / 8);
    *ascii = true;
    MT_ASSERT(bits->first == 0 && bits->count % 8 == 0);
    while (at < size) {
        bool good = mt_utf8_next(bits->data, size, &at, &c);
        MT_ASSERT(good);
        if (!printable_unicode(c)) return false;
        *ascii &= c < 0x80;
    }
    return size > 0;
}

static void put_raw_bits(struct print *o, const struct mt_bits *bits) {
    unsigned rest = bits->count % 8;
    uint64_t whole = bits->count / 8;
    for (uint64_t i = 0; i < whole; i++) {
        if (i) put_byte(o, ',');
        put_uint(o, mt_bits_byte(bits, i));
    }
    if (!rest) return;
    if (whole) put_byte(o, ',');
    put_uint(o, (uint64_t)mt_bits_byte(bits, whole) >> (8 - rest));
    put_byte(o, ':');
    put_uint(o, rest);
}

static void put_bits(struct print *o, uint64_t word) {
    enum mt_kind kind = mt_header_kind(*mt_ptr(word));
    struct mt_bits bits = mt_bits_of(word);
    bool text = kind == MT_TEXT || kind == MT_TEXT_SHARED, ascii = true;
    bool printable = text ? printable_text(&bits, &ascii) : printable_bytes(&bits);
    put_text(o, printable ? "<<\"" : "<<");
    if (!printable) put_raw_bits(o, &bits);
    for (size_t at = 0; printable && at < bits.count / 8;) {
        uint32_t c = 0;
        if (!text) c = mt_bits_byte(&bits, at++);
        else if (!mt_utf8_next(bits.data, (size_t)(bits.count / 8), &at, &c)) break;
        put_quoted(o, c, '"', UINT32_MAX);
    }
    put_text(o, !printable ? ">>" : ascii ? "\">>" : "\"/utf8>>");
}

/* ------------------------------------------------------------------------------ pids, references, closures */

/* The opening, a node's name, and numbers by dots. */
static void put_far(struct print *o, const char *open, uint64_t node, size_t count, const uint64_t *parts) {
    put_text(o, open);
    put_atom(o, node);
    for (size_t i = 0; i < count; i++) {
        put_byte(o, '.');
        put_uint(o, parts[i]);
    }
    put_byte(o, '>');
}

static void put_local(struct print *o, const char *open, size_t count, const uint64_t *parts) {
    put_text(o, open);
    for (size_t i = 0; i < count; i++) {
        put_byte(o, '.');
        put_uint(o, parts[i]);
    }
    put_byte(o, '>');
}

static void put_pid(struct print *o, uint64_t word) {
    uint64_t index_bits = MT_PID_INDEX_BITS + MT_PID_WORKER_BITS;
    uint64_t index = word >> 3 & (((uint64_t)1 << index_bits) - 1);
    put_local(o, "<0", 2, (uint64_t[]){index, mt_pid_serial(word)});
}

/* Split as Erlang's are: 18 bits, 32 bits, the rest. */
static void put_ref(struct print *o, uint64_t word) {
    uint64_t v = word >> 3;
    put_local(o, "#Ref<0", 3, (uint64_t[]){v >> 50, v >> 18 & UINT32_MAX, v & ((1u << 18) - 1)});
}

static void put_far_ref(struct print *o, const uint64_t *words) {
    uint64_t parts[16];
    size_t count = words[2] >> 32;
    MT_ASSERT(count < sizeof parts / sizeof parts[0]);
    for (size_t i = 0; i < count; i++) parts[count - 1 - i] = words[3 + i / 2] >> (32 * (i % 2)) & UINT32_MAX;
    parts[count] = words[2] & UINT32_MAX;
    put_far(o, "#Ref<", words[1], count + 1, parts);
}

/* Reads a number of SMALL_INTEGER_EXT or INTEGER_EXT behind byte *at. */
static bool external_int(const uint8_t *p, size_t size, size_t *at, uint64_t *v) {
    size_t bytes = size > *at && p[*at] == 97 ? 1 : size > *at && p[*at] == 98 ? 4 : 0;
    if (!bytes || size - *at <= bytes) return false;
    *v = 0;
    for (size_t i = 1; i <= bytes; i++) *v = *v << 8 | p[*at + i];
    *at += bytes + 1;
    return true;
}

/* #Name<address> */
static void put_host(struct print *o, const uint64_t *p) {
    char text[80];
    snprintf(text, sizeof text, "#%.40s<%llx>", mt_host_kind(p)->name, (unsigned long long)p[1]);
    put_text(o, text);
}

/* NEW_FUN_EXT: its module, index and uniq as Erlang writes them. */
static void put_closure(struct print *o, const uint8_t *p, size_t size) {
    static const size_t head = 30; /* tag, size, arity, uniq, index, number of free variables */
    uint64_t index, uniq;
    size_t at = head + 2, name_size = 0;
    put_text(o, "#Fun<");
    if (size > at && p[0] == 112 && (p[head] == 119 || p[head] == 115)) name_size = p[head + 1];
    bool good = name_size && size - at > name_size && mt_utf8_valid(p + at, name_size, NULL);
    if (good) {
        put_name(o, (const char *)p + at, name_size);
        at += name_size;
    }
    if (good && external_int(p, size, &at, &index) && external_int(p, size, &at, &uniq)) {
        put_byte(o, '.');
        put_uint(o, index);
        put_byte(o, '.');
        put_uint(o, uniq);
    }
    put_byte(o, '>');
}

/* ---------------------------------------------------------------------------------------------- compounds */

static bool grow(struct print *o) {
    size_t want = o->capacity * 2;
    if (want > SIZE_MAX / 2 / sizeof *o->frames) return false;
    struct frame *frames = mt_os_realloc(o->frames == o->inside ? NULL : o->frames, want * sizeof *frames);
    if (!frames) return false;
    if (o->frames == o->inside) memcpy(frames, o->inside, sizeof o->inside);
    o->frames = frames;
    o->capacity = want;
    return true;
}

static void open_frame(struct print *o, const char *open, const struct frame *f) {
    if (o->count == o->capacity && !grow(o)) {
        put_text(o, "...");
        return;
    }
    put_text(o, open);
    o->frames[o->count++] = *f;
}

static bool printable_list(uint64_t word) {
    for (; mt_tag(word) == MT_CONS; word = mt_ptr(word)[1]) {
        uint64_t head = mt_ptr(word)[0];
        if (mt_tag(head) != MT_SMALL || mt_small_value(head) < 0 || mt_small_value(head) > 0xff) return false;
        if (!printable_latin1((uint32_t)mt_small_value(head))) return false;
    }
    return word == MT_NIL_WORD;
}

static void put_list(struct print *o, uint64_t word) {
    if (!printable_list(word)) {
        open_frame(o, "[", &(struct frame){.rest = word, .form = MT_FORM_LIST});
        return;
    }
    put_byte(o, '"');
    for (; word != MT_NIL_WORD; word = mt_ptr(word)[1]) put_quoted(o, (uint32_t)mt_small_value(mt_ptr(word)[0]), '"', 0xff);
    put_byte(o, '"');
}

static void put_boxed(struct print *o, uint64_t word) {
    const uint64_t *p = mt_ptr(word);
    uint64_t words = mt_header_words(p[0]);
    switch (mt_header_kind(p[0])) {
    case MT_TUPLE: open_frame(o, "{", &(struct frame){.words = p + 1, .count = (uint32_t)words, .form = MT_FORM_TUPLE}); break;
    case MT_MAP: open_frame(o, "#{", &(struct frame){.words = p + 1, .count = (uint32_t)words, .form = MT_FORM_MAP}); break;
    case MT_FUN: put_fun(o, p); break;
    case MT_FLOAT: put_float(o, p[1]); break;
    case MT_BIG: put_big(o, p + 1, words, false); break;
    case MT_BIG_NEG: put_big(o, p + 1, words, true); break;
    case MT_BIN:
    case MT_TEXT:
    case MT_BIN_SHARED:
    case MT_TEXT_SHARED: put_bits(o, word); break;
    case MT_PID_FAR: put_far(o, "<", p[1], 3, (uint64_t[]){p[2] & UINT32_MAX, p[2] >> 32, p[3]}); break;
    case MT_PORT_FAR: put_far(o, "#Port<", p[1], 2, p + 2); break;
    case MT_REF_FAR: put_far_ref(o, p); break;
    case MT_HOST: put_host(o, p); break;
    case MT_OPAQUE: put_closure(o, (const uint8_t *)(p + 2), (size_t)p[1]); break;
    }
}

/* Writes a term, or opens a frame for it. */
static void put_value(struct print *o, uint64_t word) {
    switch ((enum mt_tag)mt_tag(word)) {
    case MT_BOXED: word ? put_boxed(o, word) : put_text(o, "<none>"); break;
    case MT_SMALL: put_small(o, mt_small_value(word)); break;
    case MT_ATOM: put_atom(o, word); break;
    case MT_PID: put_pid(o, word); break;
    case MT_REF: put_ref(o, word); break;
    case MT_CONS: put_list(o, word); break;
    case MT_NIL_TAG: put_text(o, "[]"); break;
    case MT_HEADER: MT_ASSERT(false); break; /* I1 */
    }
}

/* The next word of the list in frame f, or its end. */
static void step_list(struct print *o, struct frame *f) {
    uint64_t rest = f->rest;
    if (rest == MT_NIL_WORD || rest == 0) {
        put_byte(o, ']');
        o->count--;
        return;
    }
    bool cell = mt_tag(rest) == MT_CONS;
    if (f->done) put_byte(o, cell ? ',' : '|');
    f->done = 1;
    f->rest = cell ? mt_ptr(rest)[1] : 0;
    put_value(o, cell ? mt_ptr(rest)[0] : rest);
}

/* The next word of the innermost compound, or its end. */
static void step(struct print *o) {
    struct frame *f = &o->frames[o->count - 1];
    if (f->form == MT_FORM_LIST) {
        step_list(o, f);
        return;
    }
    if (f->done == f->count) {
        put_byte(o, '}');
        o->count--;
        return;
    }
    uint32_t i = f->done++;
    bool map = f->form == MT_FORM_MAP;
    if (i) put_text(o, map && i % 2 ? " => " : ",");
    put_value(o, f->words[map ? i / 2 + i % 2 * (f->count / 2) : i]);
}

size_t mote_term_print(mote_term term, char *text, size_t size) {
    struct print o;
    MT_ASSERT(text || size == 0);
    o.text = text;
    o.size = size;
    o.length = 0;
    o.frames = o.inside;
    o.count = 0;
    o.capacity = FRAMES_INSIDE;
    put_value(&o, term.word);
    while (o.count > 0) step(&o);
    if (o.frames != o.inside) mt_os_free(o.frames);
    if (size) text[o.length < size ? o.length : size - 1] = 0;
    return o.length;
}
