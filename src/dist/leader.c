/* SPDX-License-Identifier: Apache-2.0
 * The group leader of what this node has started elsewhere: what that prints comes to our standard output. Erlang's io protocol, as far as writing goes; whoever asks for more is told {error, enotsup}.
 *
 * Where Erlang would have us call io_lib, the few directives that programs print with are known here; what is not known of a format stands as it is written there. One request is 64 KiB of text at most, the rest of it is left out. What would
 * control a terminal is shown as ?. */
#include <stdio.h>
#include <string.h>

#include "dist/node.h"
#include "term/term.h"

#define TEXT_MAX 65536u
#define DEPTH_MAX 100u /* of lists in lists */

struct text {
    size_t size;
    char bytes[TEXT_MAX];
};

static void add(struct text *t, const void *bytes, size_t size) {
    const size_t room = TEXT_MAX - t->size, some = size < room ? size : room;
    if (some) memcpy(t->bytes + t->size, bytes, some);
    t->size += some;
}

static void add_character(struct text *t, int64_t c) {
    uint8_t utf8[4];
    if (c >= 0 && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff)) add(t, utf8, mt_utf8_put((uint32_t)c, utf8));
}

static void add_term(struct text *t, mote_term term) {
    t->size += mote_term_print(term, t->bytes + t->size, TEXT_MAX - t->size);
    if (t->size > TEXT_MAX) t->size = TEXT_MAX;
}

/* Characters as Erlang has them: integers, binaries, and lists of such. False: it is no such thing. */
static bool add_characters(struct text *t, mote_term term) {
    mote_term open[DEPTH_MAX], head;
    unsigned depth = 0;
    int64_t c;
    mote_bytes bytes;
    for (;;) {
        if (mote_int_get(term, &c) == MOTE_OK) add_character(t, c);
        else if (mote_bytes_get(term, &bytes) == MOTE_OK) add(t, bytes.data, bytes.size);
        else if (mote_list_get(term, &head, &term) == MOTE_OK) {
            if (depth == DEPTH_MAX) return false;
            open[depth++] = term;
            term = head;
            continue;
        } else if (mote_term_type(term) != MOTE_NIL) return false;
        if (depth == 0) return true;
        term = open[--depth];
    }
}

/* An argument that is to be written as text. */
static void add_string(struct text *t, mote_term term) {
    const size_t before = t->size;
    mote_atom name;
    size_t size;
    if (mote_atom_get(term, &name) == MOTE_OK) {
        const char *utf8 = mote_atom_name(name, &size);
        add(t, utf8, size);
    } else if (!add_characters(t, term)) {
        t->size = before;
        add_term(t, term);
    }
}

/* One directive, from behind its ~; what stands between that and its letter (widths) is passed over. */
static const char *directive(struct text *t, const char *p, const char *end, mote_term *args) {
    mote_term arg = MOTE_TERM_NONE;
    while (p < end && strchr("0123456789.-*t", *p)) p++;
    const char letter = p < end ? *p++ : '~';
    if (letter == 'n' || letter == '~') {
        add(t, letter == 'n' ? "\n" : "~", 1);
    } else if (mote_list_get(*args, &arg, args) == MOTE_OK) {
        if (letter == 's' || letter == 'c') add_string(t, arg);
        else if (letter != 'i') add_term(t, arg);
    }
    return p;
}

static bool add_format(struct text *t, struct text *written, mote_term format, mote_term args) {
    written->size = 0;
    add_string(written, format);
    const char *p = written->bytes, *end = p + written->size;
    while (p < end) {
        const char *tilde = memchr(p, '~', (size_t)(end - p));
        add(t, p, (size_t)((tilde ? tilde : end) - p));
        p = tilde ? directive(t, tilde + 1, end, &args) : end;
    }
    return true;
}

/* What a request has to be written; false: it is for more than writing. */
static bool is_put(mote_term request, struct text *t, struct text *format) {
    mote_term chars, function, args, first, rest;
    mote_atom name;
    t->size = 0;
    if (mote_match(request, "{put_chars, _, ?}", &chars) || mote_match(request, "{put_chars, ?}", &chars)) return add_characters(t, chars);
    if (!mote_match(request, "{put_chars, _, io_lib, ?, ?}", &function, &args) || mote_atom_get(function, &name) || mote_list_get(args, &first, &rest)) return false;
    const char *what = mote_atom_name(name, NULL);
    if (strcmp(what, "format") == 0 || strcmp(what, "fwrite") == 0) return mote_list_get(rest, &rest, &chars) == MOTE_OK && add_format(t, format, first, rest);
    add_term(t, first);
    return true;
}

static void write_out(void *context) {
    struct text *t = context;
    for (size_t i = 0; i < t->size; i++)
        if (((unsigned char)t->bytes[i] < 32 && t->bytes[i] != '\n' && t->bytes[i] != '\t') || t->bytes[i] == 127) t->bytes[i] = '?';
    fwrite(t->bytes, 1, t->size, stdout);
    fflush(stdout);
}

void mt_leader_process(mote_self *self, mote_term arg) {
    mote_term m, from, as, request;
    struct text *t = mt_os_alloc(2 * sizeof *t); /* what is to be written, and a format */
    (void)arg;
    if (t && mote_cleanup_add(self, mt_os_free, t)) {
        mt_os_free(t);
        t = NULL;
    }
    while (mote_receive(self, -1, &m) == MOTE_OK) {
        mote_term answer;
        if (!mote_match(m, "{io_request, ?, ?, ?}", &from, &as, &request)) continue;
        bool put = t && is_put(request, t, t + 1);
        if (put) put = mote_blocking(self, write_out, t) == MOTE_OK;
        mote_err err = put ? mote_build(mote_scratch(self), &answer, "{io_reply, ?, ok}", as) : mote_build(mote_scratch(self), &answer, "{io_reply, ?, {error, enotsup}}", as);
        if (!err) (void)(mote_send_term)(self, from, answer);
    }
}
