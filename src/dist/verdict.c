/* SPDX-License-Identifier: Apache-2.0 */
#include "dist/verdict.h"

#include <string.h>

#define NAME_MAX_SHOWN 255u

const char *mt_verdict_text(enum mt_verdict verdict) {
    static const char *const texts[MT_VERDICTS] = {
        [MT_FINE] = "no error",
        [MT_MORE] = "not all has come",
#define X(name, text) [MT_NO_##name] = text,
#include "dist/verdict.def"
#undef X
    };
    MT_ASSERT(verdict < MT_VERDICTS);
    return texts[verdict];
}

struct line {
    char *at, *end;
};

static void put(struct line *line, const char *text, size_t size) {
    size_t room = (size_t)(line->end - line->at);
    if (size > room) size = room;
    memcpy(line->at, text, size);
    line->at += size;
}

static void put_escaped(struct line *line, mote_bytes name) {
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = name.data;
    size_t shown = name.size < NAME_MAX_SHOWN ? name.size : NAME_MAX_SHOWN;
    for (size_t i = 0; i < shown; i++) {
        char escaped[4] = {'\\', 'x', digits[p[i] >> 4], digits[p[i] & 15]}, plain = (char)p[i];
        bool print = p[i] >= 0x20 && p[i] < 0x7f && p[i] != '\\' && p[i] != '`';
        put(line, print ? &plain : escaped, print ? 1 : sizeof escaped);
    }
    if (shown < name.size) put(line, "...", 3);
}

char *mt_verdict_print(enum mt_verdict verdict, const char *what, mote_bytes name, char *to, size_t size) {
    MT_ASSERT(size > 0);
    struct line line = {to, to + size - 1};
    put(&line, what, strlen(what));
    put(&line, " `", 2);
    put_escaped(&line, name);
    put(&line, "`: ", 3);
    put(&line, mt_verdict_text(verdict), strlen(mt_verdict_text(verdict)));
    *line.at = 0;
    return to;
}
