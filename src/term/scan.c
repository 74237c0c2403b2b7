/* SPDX-License-Identifier: Apache-2.0
 * Erlang's tokens. As erl_scan of OTP 25, but that U+FFFE and U+FFFF may be written (an atom may have them in its name). */
#include "term/scan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLOAT_BYTES_INSIDE 64u
#define EXPONENT_BYTES 24u
#define EXPONENT_MAX ((uint64_t)1 << 60) /* beyond it a float is 0 or too large, whatever its digits */

bool mt_scan_wrong(struct mt_scan *scan, size_t wrong, const char *why) {
    MT_ASSERT(scan->err == MOTE_OK); /* I1 */
    MT_ASSERT(wrong <= scan->size);
    scan->err = MOTE_ESYNTAX;
    scan->wrong = wrong;
    scan->why = why;
    return false;
}

/* ------------------------------------------------------------------------------------------------- UTF-8 */

bool mt_utf8_next(const uint8_t *text, size_t size, size_t *at, uint32_t *c) {
    MT_ASSERT(*at < size);
    const uint8_t *p = text + *at;
    size_t left = size - *at, more = p[0] < 0x80 ? 0 : p[0] < 0xe0 ? 1 : p[0] < 0xf0 ? 2 : 3;
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    if ((p[0] >= 0x80 && p[0] < 0xc2) || p[0] > 0xf4 || more >= left) return false;
    uint32_t v = more == 0 ? p[0] : p[0] & (0x3fu >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((p[i] & 0xc0) != 0x80) return false;
        v = v << 6 | (p[i] & 0x3fu);
    }
    if (v < least[more] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff)) return false;
    *c = v;
    *at += more + 1;
    return true;
}

size_t mt_utf8_put(uint32_t c, uint8_t *to) {
    MT_ASSERT(c <= 0x10ffff);
    if (c < 0x80) {
        to[0] = (uint8_t)c;
        return 1;
    }
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    size_t more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    for (size_t i = more; i > 0; i--, c >>= 6) to[i] = (uint8_t)(0x80 | (c & 0x3f));
    to[0] = (uint8_t)(lead[more] | c);
    return more + 1;
}

/* --------------------------------------------------------------------------------------- classes of characters */

static bool digit(uint32_t c) { return c >= '0' && c <= '9'; }
static bool space(uint32_t c) { return c <= ' ' || (c >= 0x80 && c <= 0xa0); }
static bool upper(uint32_t c) { return (c >= 'A' && c <= 'Z') || c == '_' || (c >= 0xc0 && c <= 0xde && c != 0xd7); }
bool mt_scan_lower(uint32_t c) { return (c >= 'a' && c <= 'z') || (c >= 0xdf && c <= 0xff && c != 0xf7); }
bool mt_scan_name(uint32_t c) { return mt_scan_lower(c) || upper(c) || digit(c) || c == '@'; }

/* The value of a digit in bases up to 36; 36 when it is none. */
static unsigned digit_value(uint32_t c) {
    if (digit(c)) return c - '0';
    if (c >= 'a' && c <= 'z') return c - 'a' + 10;
    if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
    return 36;
}

bool mt_scan_reserved(const char *name, size_t size) {
    static const char words[][8] = {"after", "and", "andalso", "band", "begin", "bnot", "bor",     "bsl", "bsr",
                                    "bxor",  "case", "catch",  "cond", "div",   "end",  "fun",     "if",  "let",
                                    "not",   "of",  "or",      "orelse", "receive", "rem", "try", "when", "xor"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strlen(words[i]) == size && memcmp(words[i], name, size) == 0) return true;
    return false;
}

/* --------------------------------------------------------------------------------------------- quoted text */

static uint32_t peek(const struct mt_scan *s, size_t at) { return at < s->size ? s->text[at] : 0x110000u; }

/* \x41 or \x{41}: *at is behind the x. */
static bool hex_escape(const struct mt_scan *s, size_t *at, uint32_t *c) {
    bool braces = peek(s, *at) == '{';
    size_t i = *at + braces, first = i;
    uint32_t v = 0;
    for (; (braces || i < first + 2) && digit_value(peek(s, i)) < 16; i++) {
        v = v * 16 + digit_value(peek(s, i));
        if (v > 0x10ffff) return false;
    }
    if (i == first || (!braces && i != first + 2) || (braces && peek(s, i) != '}')) return false;
    *at = i + braces;
    *c = v;
    return v < 0xd800 || v > 0xdfff;
}

/* What stands behind a backslash at *at - 1. */
static bool escape(const struct mt_scan *s, size_t *at, uint32_t *c) {
    static const char names[] = "bdefnrstv", values[] = "\b\177\033\f\n\r \t\v";
    if (*at >= s->size || !mt_utf8_next(s->text, s->size, at, c)) return false;
    if (*c == 'x') return hex_escape(s, at, c);
    if (*c == '^') {
        if (*at >= s->size || !mt_utf8_next(s->text, s->size, at, c)) return false;
        *c &= 31;
        return true;
    }
    if (*c >= '0' && *c <= '7') {
        *c -= '0';
        for (unsigned i = 0; i < 2 && peek(s, *at) >= '0' && peek(s, *at) <= '7'; i++) *c = *c * 8 + s->text[(*at)++] - '0';
        return true;
    }
    const char *found = *c < 0x80 && *c ? strchr(names, (int)*c) : NULL;
    if (found) *c = (uint8_t)values[found - names];
    return true;
}

/* One character of quoted text; false leaves *at at what is wrong. */
static bool one_char(const struct mt_scan *s, size_t *at, uint32_t *c) {
    size_t next = *at;
    if (next >= s->size || !mt_utf8_next(s->text, s->size, &next, c)) return false;
    if (*c == '\\' && !escape(s, &next, c)) return false;
    *at = next;
    return true;
}

uint32_t mt_scan_char(const struct mt_scan *scan, size_t *at) {
    uint32_t c = 0;
    bool good = one_char(scan, at, &c);
    MT_ASSERT(good); /* I2 */
    return c;
}

static bool bad_char(struct mt_scan *s, size_t at) {
    if (s->text[at] == '\\') return mt_scan_wrong(s, at, "this escape is none of Erlang's");
    return mt_scan_wrong(s, at, "the text is not valid UTF-8 here");
}

static bool quoted(struct mt_scan *s, struct mt_token *t, uint8_t quote) {
    size_t at = s->at + 1, chars = 0;
    uint32_t c;
    t->from = at;
    for (; peek(s, at) != quote; chars++) {
        if (at >= s->size)
            return mt_scan_wrong(s, t->at, quote == '"' ? "this string is not closed by a \"" : "this atom is not closed by a '");
        t->escapes |= s->text[at] == '\\';
        if (!one_char(s, &at, &c)) return bad_char(s, at);
    }
    t->to = at;
    t->kind = quote == '"' ? MT_TOKEN_STRING : MT_TOKEN_ATOM;
    s->at = at + 1;
    if (quote == '\'' && chars > 255) return mt_scan_wrong(s, t->at, "an atom has at most 255 characters");
    return true;
}

/* $a */
static bool character(struct mt_scan *s, struct mt_token *t) {
    size_t at = s->at + 1;
    uint32_t c;
    if (at >= s->size) return mt_scan_wrong(s, t->at, "a character must follow the $");
    if (!one_char(s, &at, &c)) return bad_char(s, at);
    t->kind = MT_TOKEN_INTEGER;
    t->integer = c;
    t->to = s->at = at;
    return true;
}

/* ------------------------------------------------------------------------------------------- names, numbers */

static bool name(struct mt_scan *s, struct mt_token *t, uint32_t c) {
    size_t at = s->at, chars = 0;
    t->kind = upper(c) ? MT_TOKEN_VARIABLE : MT_TOKEN_ATOM;
    for (; at < s->size; chars++) {
        size_t next = at;
        if (!mt_utf8_next(s->text, s->size, &next, &c) || !mt_scan_name(c)) break;
        at = next;
    }
    t->to = s->at = at;
    if (t->kind == MT_TOKEN_ATOM && chars > 255) return mt_scan_wrong(s, t->at, "an atom has at most 255 characters");
    if (t->kind == MT_TOKEN_ATOM && mt_scan_reserved((const char *)s->text + t->at, at - t->at)) t->kind = MT_TOKEN_WORD;
    return true;
}

/* Digits of a base from *at on, one _ allowed between two; moves *at behind them. Whether the value is below 2^64. */
static bool digits(const struct mt_scan *s, unsigned base, size_t *at, uint64_t *value) {
    bool fits = true;
    for (*value = 0; digit_value(peek(s, *at)) < base; ++*at) {
        fits &= !__builtin_mul_overflow(*value, base, value);
        fits &= !__builtin_add_overflow(*value, digit_value(s->text[*at]), value);
        if (peek(s, *at + 1) == '_' && digit_value(peek(s, *at + 2)) < base) ++*at;
    }
    return fits;
}

static bool based(struct mt_scan *s, struct mt_token *t, uint64_t base, bool fits) {
    if (!fits || base < 2 || base > 36) return mt_scan_wrong(s, t->at, "the base of a number is 2 to 36");
    size_t at = ++s->at;
    fits = digits(s, (unsigned)base, &at, &t->integer);
    if (at == s->at) return mt_scan_wrong(s, at, "a digit of this base must follow the #");
    t->kind = fits ? MT_TOKEN_INTEGER : MT_TOKEN_BIG;
    t->base = (unsigned)base;
    t->from = s->at;
    t->to = s->at = at;
    return true;
}

/* The exponent at *at, if there is one; `shift` is added. False: no digits behind the e. */
static bool exponent(const struct mt_scan *s, size_t *at, int64_t *power) {
    uint64_t v = 0;
    if (peek(s, *at) != 'e' && peek(s, *at) != 'E') return true;
    bool minus = peek(s, ++*at) == '-';
    if (minus || peek(s, *at) == '+') ++*at;
    size_t first = *at;
    if (!digits(s, 10, at, &v) || v > EXPONENT_MAX) v = EXPONENT_MAX;
    *power = minus ? -(int64_t)v : (int64_t)v;
    return *at != first;
}

/* The digits from `from` to `to` without their point, times 10^power: so no locale matters. */
static double real_of(const struct mt_scan *s, size_t from, size_t to, int64_t power, char *buffer) {
    size_t n = 0;
    bool fraction = false;
    for (size_t i = from; i < to; i++) {
        if (s->text[i] == '.') fraction = true;
        if (!digit(s->text[i])) continue;
        buffer[n++] = (char)s->text[i];
        power -= fraction;
    }
    snprintf(buffer + n, EXPONENT_BYTES, "e%" PRId64, power);
    return strtod(buffer, NULL);
}

/* A float: its integer part ends at `at`, where the point is. */
static bool real(struct mt_scan *s, struct mt_token *t, size_t at) {
    uint64_t ignored;
    int64_t power = 0;
    char inside[FLOAT_BYTES_INSIDE], *buffer = inside;
    at++;
    digits(s, 10, &at, &ignored);
    size_t mantissa_end = at;
    if (!exponent(s, &at, &power)) return mt_scan_wrong(s, at, "a float's exponent needs a digit");
    size_t room = mantissa_end - t->at + EXPONENT_BYTES;
    if (room > sizeof inside) buffer = mt_os_alloc(room);
    if (!buffer) {
        s->err = MOTE_ENOMEM;
        return false;
    }
    t->kind = MT_TOKEN_FLOAT;
    t->real = real_of(s, t->at, mantissa_end, power, buffer);
    if (buffer != inside) mt_os_free(buffer);
    if (t->real > 1.7976931348623157e308) return mt_scan_wrong(s, t->at, "this float is too large");
    t->to = s->at = at;
    return true;
}

static bool number(struct mt_scan *s, struct mt_token *t) {
    size_t at = s->at;
    bool fits = digits(s, 10, &at, &t->integer);
    t->to = at;
    if (peek(s, at) == '.' && digit(peek(s, at + 1))) return real(s, t, at);
    if (peek(s, at) == '#') {
        s->at = at;
        return based(s, t, t->integer, fits);
    }
    t->kind = fits ? MT_TOKEN_INTEGER : MT_TOKEN_BIG;
    t->base = 10;
    s->at = at;
    return true;
}

/* ------------------------------------------------------------------------------------------------- tokens */

/* Moves behind blanks and comments; false: not UTF-8. */
static bool skip_blanks(struct mt_scan *s) {
    uint32_t c = 0;
    while (s->at < s->size) {
        size_t next = s->at;
        if (!mt_utf8_next(s->text, s->size, &next, &c)) return mt_scan_wrong(s, s->at, "the text is not valid UTF-8 here");
        if (c == '%')
            while (next < s->size && s->text[next] != '\n') next++;
        else if (!space(c))
            break;
        s->at = next;
    }
    return true;
}

static bool mark(struct mt_scan *s, struct mt_token *t, uint32_t c) {
    static const char two[][3] = {"=>", ":=", "<<", ">>"};
    t->kind = MT_TOKEN_MARK;
    t->mark = c;
    t->to = s->at + 1;
    for (unsigned i = 0; i < 4; i++)
        if (c == (uint8_t)two[i][0] && peek(s, s->at + 1) == (uint8_t)two[i][1]) {
            t->mark = MT_MARK2(two[i][0], two[i][1]);
            t->to = s->at + 2;
        }
    bool known = t->mark != c || (c < 0x80 && strchr("{}[](),|?^#/:-+.<>", (int)c));
    if (!known) return mt_scan_wrong(s, s->at, "this character does not belong here");
    s->at = t->to;
    return true;
}

bool mt_scan_next(struct mt_scan *scan, struct mt_token *token) {
    uint32_t c = 0;
    MT_ASSERT(scan->err == MOTE_OK); /* I1 */
    if (!skip_blanks(scan)) return false;
    *token = (struct mt_token){.kind = MT_TOKEN_END, .at = scan->at, .from = scan->at, .to = scan->at};
    if (scan->at == scan->size) return true;
    size_t next = scan->at;
    bool valid = mt_utf8_next(scan->text, scan->size, &next, &c);
    MT_ASSERT(valid && next > scan->at);
    if (c == '\'' || c == '"') return quoted(scan, token, (uint8_t)c);
    if (c == '$') return character(scan, token);
    if (digit(c)) return number(scan, token);
    if (mt_scan_lower(c) || upper(c)) return name(scan, token, c);
    return mark(scan, token, c);
}
