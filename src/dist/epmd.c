/* SPDX-License-Identifier: Apache-2.0
 * The client's half: see epmd.h. */
#include "dist/epmd.h"

#include <mote/external.h>
#include <string.h>

enum { ALIVE = 120, PORT = 122, NAMES = 110, PORT_ANSWER = 119, ALIVE_ANSWER = 118, ALIVE_ANSWER_OLD = 121 };

#define HIGHEST 6u
#define LOWEST 5u
#define PORT_HEAD 12u /* of its answer, up to the name */

bool mt_epmd_name_fits(mote_bytes name) {
    const uint8_t *p = name.data;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t low = p[i] | 0x20;
        bool fits = (low >= 'a' && low <= 'z') || (p[i] >= '0' && p[i] <= '9') || p[i] == '_' || p[i] == '.' || p[i] == '~' || p[i] == '-';
        if (!fits) return false;
    }
    return name.size >= 1 && name.size <= 255;
}

size_t mt_epmd_ask_alive(uint8_t *to, mote_bytes name, uint16_t port, bool hidden) {
    MT_ASSERT(mt_epmd_name_fits(name));
    mote_put16_(to, 13 + name.size);
    to[2] = ALIVE;
    mote_put16_(to + 3, port);
    to[5] = hidden ? 'H' : 'M';
    to[6] = 0;
    mote_put16_(to + 7, HIGHEST);
    mote_put16_(to + 9, LOWEST);
    mote_put16_(to + 11, name.size);
    memcpy(to + 13, name.data, name.size);
    mote_put16_(to + 13 + name.size, 0);
    return 15 + name.size;
}

size_t mt_epmd_ask_port(uint8_t *to, mote_bytes name) {
    MT_ASSERT(mt_epmd_name_fits(name));
    mote_put16_(to, 1 + name.size);
    to[2] = PORT;
    memcpy(to + 3, name.data, name.size);
    return 3 + name.size;
}

size_t mt_epmd_ask_names(uint8_t *to) {
    mote_put16_(to, 1);
    to[2] = NAMES;
    return 3;
}

enum mt_verdict mt_epmd_alive_answer(mote_bytes come, uint32_t *creation) {
    const uint8_t *p = come.data;
    if (come.size == 0) return MT_MORE;
    if (p[0] != ALIVE_ANSWER && p[0] != ALIVE_ANSWER_OLD) return MT_NO_GARBLED;
    size_t size = p[0] == ALIVE_ANSWER ? 6 : 4;
    if (come.size > size) return MT_NO_GARBLED;
    if (come.size >= 2 && p[1] != 0) return MT_NO_TAKEN;
    if (come.size < size) return MT_MORE;
    *creation = size == 6 ? mote_get32_(p + 2) : mote_get16_(p + 2);
    return MT_FINE;
}

/* The head is there: whether the node is the one that was asked for, and can be reached. */
static enum mt_verdict acceptable(const struct mt_epmd_node *node, mote_bytes asked) {
    if (node->name.size != asked.size || memcmp(node->name.data, asked.data, asked.size) != 0) return MT_NO_OTHER_NAME;
    if (node->port == 0) return MT_NO_PORT;
    return node->protocol == 0 && node->highest >= LOWEST && node->lowest <= HIGHEST ? MT_FINE : MT_NO_OLD;
}

enum mt_verdict mt_epmd_port_answer(mote_bytes come, mote_bytes asked, struct mt_epmd_node *node) {
    const uint8_t *p = come.data;
    if (come.size > MT_EPMD_ANSWER_MAX) return MT_NO_TOO_LONG;
    if (come.size >= 1 && p[0] != PORT_ANSWER) return MT_NO_GARBLED;
    if (come.size < 2) return MT_MORE;
    if (p[1] != 0) return MT_NO_UNKNOWN;
    if (come.size < PORT_HEAD) return MT_MORE;
    size_t name = mote_get16_(p + 10);
    if (name == 0 || name > 255) return MT_NO_GARBLED;
    if (come.size < PORT_HEAD + name + 2) return MT_MORE;
    size_t whole = PORT_HEAD + name + 2 + mote_get16_(p + PORT_HEAD + name);
    if (whole > MT_EPMD_ANSWER_MAX) return MT_NO_TOO_LONG;
    if (come.size != whole) return come.size < whole ? MT_MORE : MT_NO_GARBLED;
    struct mt_epmd_node found = {
        .name = {p + PORT_HEAD, name},
        .port = (uint16_t)mote_get16_(p + 2),
        .type = p[4],
        .protocol = p[5],
        .highest = (uint16_t)mote_get16_(p + 6),
        .lowest = (uint16_t)mote_get16_(p + 8),
    };
    enum mt_verdict verdict = acceptable(&found, asked);
    if (verdict == MT_FINE) *node = found;
    return verdict;
}

/* "name X at port N"; whether it is that. */
static bool read_line(mote_bytes line, struct mt_epmd_node *node) {
    static const char before[] = "name ", between[] = " at port ";
    const char *p = line.data, *end = p + line.size;
    size_t port = 0, name = 0;
    if (line.size < sizeof before - 1 || memcmp(p, before, sizeof before - 1) != 0) return false;
    p += sizeof before - 1;
    while (p + name < end && p[name] != ' ') name++;
    *node = (struct mt_epmd_node){.name = {p, name}};
    p += name;
    if (!mt_epmd_name_fits(node->name) || (size_t)(end - p) < sizeof between || memcmp(p, between, sizeof between - 1) != 0) return false;
    p += sizeof between - 1;
    if (end - p > 5) return false;
    for (; p < end; p++) {
        if (*p < '0' || *p > '9') return false;
        port = 10 * port + (size_t)(*p - '0');
    }
    node->port = (uint16_t)port;
    return port > 0 && port <= UINT16_MAX;
}

enum mt_verdict mt_epmd_names_answer(mote_bytes come, uint16_t port, void (*each)(void *context, const struct mt_epmd_node *node), void *context) {
    const uint8_t *p = come.data, *end = p + come.size;
    if (come.size > MT_EPMD_NAMES_MAX) return MT_NO_TOO_LONG;
    if (come.size < 4) return MT_MORE;
    if (mote_get32_(p) != port) return MT_NO_GARBLED;
    for (p += 4; p < end;) {
        const uint8_t *newline = memchr(p, '\n', (size_t)(end - p));
        struct mt_epmd_node node;
        if (!newline) break;
        if (read_line((mote_bytes){p, (size_t)(newline - p)}, &node) && each) each(context, &node);
        p = newline + 1;
    }
    return MT_FINE;
}
