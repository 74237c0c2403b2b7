/* SPDX-License-Identifier: Apache-2.0
 * The server's half: see epmd.h. */
#include <mote/external.h>
#include <stdio.h>
#include <string.h>

#include "dist/epmd.h"

enum { ALIVE = 120, PORT = 122, NAMES = 110, KILL = 107, PORT_ANSWER = 119, ALIVE_ANSWER = 118, ALIVE_ANSWER_OLD = 121 };

#define ALIVE_HEAD 11u   /* of a request to register, up to the name */
#define NO_CREATION 99u  /* told with a refusal, as the old epmd does */
#define LINE_MAX_BYTES (5u + 255 + 9 + 5 + 1)
#define SAY_MAX (4 + MT_EPMD_REGISTERED * LINE_MAX_BYTES)

/* What a node has registered. */
struct node {
    struct mt_epmd_node is;
    size_t extra;
    uint8_t bytes[]; /* name, extra */
};

struct mt_epmd_open {
    struct mt_epmd_open *before, *after; /* in the list of those that are not registered, by age */
    struct node *node;                   /* registered; NULL: not, so it is in the list */
    void *socket;
    uint64_t late_ns;
    size_t come; /* bytes of the request, with its size */
    bool local;
    bool answered;
    uint8_t request[2 + MT_EPMD_REQUEST_MAX];
};

/* A name's last creation (P3). */
struct memory {
    char *name;
    size_t size;
    uint32_t creation;
    uint64_t used; /* when, counted in registrations */
};

struct mt_epmd {
    struct mt_epmd_open *oldest, *newest; /* not registered */
    struct mt_epmd_open *registered[MT_EPMD_REGISTERED];
    size_t registered_count, open_count;
    struct memory remembered[MT_EPMD_REMEMBERED];
    size_t remembered_count;
    uint64_t registrations;
    uint16_t port;
    uint8_t say[SAY_MAX];
};

mote_err mt_epmd_new(uint16_t port, struct mt_epmd **epmd) {
    struct mt_epmd *e = mt_os_alloc_zero(sizeof *e);
    if (!e) return MOTE_ENOMEM;
    e->port = port;
    *epmd = e;
    return MOTE_OK;
}

void mt_epmd_free(struct mt_epmd *epmd) {
    if (!epmd) return;
    while (epmd->oldest) mt_epmd_close(epmd, epmd->oldest);
    while (epmd->registered_count > 0) mt_epmd_close(epmd, epmd->registered[0]);
    for (size_t i = 0; i < epmd->remembered_count; i++) mt_os_free(epmd->remembered[i].name);
    mt_os_free(epmd);
}

/* ------------------------------------------------------------------------------------------------ connections */

static void list_out(struct mt_epmd *e, struct mt_epmd_open *o) {
    *(o->before ? &o->before->after : &e->oldest) = o->after;
    *(o->after ? &o->after->before : &e->newest) = o->before;
    o->before = o->after = NULL;
}

static void list_in(struct mt_epmd *e, struct mt_epmd_open *o) {
    o->before = e->newest;
    *(e->newest ? &e->newest->after : &e->oldest) = o;
    e->newest = o;
}

struct mt_epmd_open *mt_epmd_open(struct mt_epmd *epmd, void *socket, bool local, uint64_t now_ns, void **evicted) {
    *evicted = NULL;
    struct mt_epmd_open *o = mt_os_alloc_zero(sizeof *o);
    if (!o) return NULL;
    if (epmd->open_count == MT_EPMD_OPEN) {
        MT_ASSERT(epmd->oldest); /* P6: fewer may be registered than may be open */
        *evicted = epmd->oldest->socket;
        mt_epmd_close(epmd, epmd->oldest);
    }
    o->socket = socket;
    o->local = local;
    o->late_ns = now_ns + MT_EPMD_LATE_NS;
    list_in(epmd, o);
    epmd->open_count++;
    return o;
}

/* Sets the name free (P2). */
static void unregister(struct mt_epmd *e, struct mt_epmd_open *o) {
    size_t i = 0;
    while (e->registered[i] != o) i++;
    e->registered[i] = e->registered[--e->registered_count];
    mt_os_free(o->node);
    o->node = NULL;
    list_in(e, o);
    if (o->before) o->late_ns = o->before->late_ns; /* the list is by age */
}

void mt_epmd_close(struct mt_epmd *epmd, struct mt_epmd_open *open) {
    if (open->node) unregister(epmd, open);
    list_out(epmd, open);
    epmd->open_count--;
    mt_os_free(open);
}

void *mt_epmd_late(struct mt_epmd *epmd, uint64_t now_ns) {
    struct mt_epmd_open *o = epmd->oldest;
    if (!o || o->late_ns > now_ns) return NULL;
    void *socket = o->socket;
    mt_epmd_close(epmd, o);
    return socket;
}

uint64_t mt_epmd_due(const struct mt_epmd *epmd) { return epmd->oldest ? epmd->oldest->late_ns : MT_NEVER; }

/* ------------------------------------------------------------------------------------------------ names */

static bool same(mote_bytes a, mote_bytes b) { return a.size == b.size && memcmp(a.data, b.data, a.size) == 0; }

static struct node *find(const struct mt_epmd *e, mote_bytes name) {
    for (size_t i = 0; i < e->registered_count; i++)
        if (same(e->registered[i]->node->is.name, name)) return e->registered[i]->node;
    return NULL;
}

/* Where a name's creation is kept: its own place, a new one, or that of the name not used for longest. NULL: out of memory. */
static struct memory *remember(struct mt_epmd *e, mote_bytes name) {
    struct memory *place = &e->remembered[0];
    for (size_t i = 0; i < e->remembered_count; i++) {
        struct memory *m = &e->remembered[i];
        if (same((mote_bytes){m->name, m->size}, name)) return m;
        if (m->used < place->used) place = m;
    }
    char *copy = mt_os_alloc(name.size);
    if (!copy) return NULL;
    memcpy(copy, name.data, name.size);
    if (e->remembered_count < MT_EPMD_REMEMBERED) place = &e->remembered[e->remembered_count++];
    mt_os_free(place->name);
    *place = (struct memory){.name = copy, .size = name.size, .creation = (uint32_t)mt_os_random()};
    return place;
}

/* P3. 0: out of memory. */
static uint32_t next_creation(struct mt_epmd *e, mote_bytes name) {
    struct memory *m = remember(e, name);
    if (!m) return 0;
    m->used = ++e->registrations;
    if (++m->creation < 4) m->creation = 4;
    return m->creation;
}

/* ------------------------------------------------------------------------------------------------ requests */

static struct mt_epmd_say say(const struct mt_epmd *e, size_t size, bool close) {
    MT_ASSERT(size <= SAY_MAX);
    return (struct mt_epmd_say){{e->say, size}, close};
}

static struct mt_epmd_say say_registered(struct mt_epmd *e, bool old, uint32_t creation) {
    bool done = creation != 0;
    e->say[0] = old ? ALIVE_ANSWER_OLD : ALIVE_ANSWER;
    e->say[1] = !done;
    if (old) mote_put16_(e->say + 2, done ? 1 + creation % 3 : NO_CREATION);
    else mote_put32_(e->say + 2, done ? creation : NO_CREATION);
    return say(e, old ? 4 : 6, !done);
}

/* The connection becomes the node's (P2). 0: it cannot. */
static uint32_t register_node(struct mt_epmd *e, struct mt_epmd_open *o, const struct mt_epmd_node *is, mote_bytes extra) {
    if (e->registered_count == MT_EPMD_REGISTERED || find(e, is->name)) return 0;
    struct node *node = mt_os_alloc(sizeof *node + is->name.size + extra.size);
    uint32_t creation = node ? next_creation(e, is->name) : 0;
    if (!creation) {
        mt_os_free(node);
        return 0;
    }
    node->is = *is;
    node->is.name.data = node->bytes;
    node->extra = extra.size;
    memcpy(node->bytes, is->name.data, is->name.size);
    if (extra.size) memcpy(node->bytes + is->name.size, extra.data, extra.size);
    o->node = node;
    list_out(e, o);
    e->registered[e->registered_count++] = o;
    return creation;
}

static struct mt_epmd_say alive(struct mt_epmd *e, struct mt_epmd_open *o, const uint8_t *p, size_t size) {
    if (!o->local || size < ALIVE_HEAD + 2) return say(e, 0, true); /* P5 */
    size_t name = mote_get16_(p + 9);
    if (name > size - ALIVE_HEAD - 2) return say(e, 0, true);
    size_t extra = mote_get16_(p + ALIVE_HEAD + name);
    if (extra != size - ALIVE_HEAD - 2 - name) return say(e, 0, true);
    struct mt_epmd_node is = {
        .name = {p + ALIVE_HEAD, name},
        .port = (uint16_t)mote_get16_(p + 1),
        .type = p[3],
        .protocol = p[4],
        .highest = (uint16_t)mote_get16_(p + 5),
        .lowest = (uint16_t)mote_get16_(p + 7),
    };
    bool fits = mt_epmd_name_fits(is.name) && is.port != 0 && extra <= MT_EPMD_EXTRA_MAX; /* P4 */
    uint32_t creation = fits ? register_node(e, o, &is, (mote_bytes){p + ALIVE_HEAD + name + 2, extra}) : 0;
    return say_registered(e, is.highest < 6, creation);
}

static struct mt_epmd_say look_up(struct mt_epmd *e, mote_bytes name) {
    const uint8_t *p = name.data;
    if (name.size > 0 && p[name.size - 1] == 0) name.size--;
    const struct node *node = find(e, name);
    uint8_t *to = e->say;
    to[0] = PORT_ANSWER;
    to[1] = !node;
    if (!node) return say(e, 2, true);
    mote_put16_(to + 2, node->is.port);
    to[4] = node->is.type;
    to[5] = node->is.protocol;
    mote_put16_(to + 6, node->is.highest);
    mote_put16_(to + 8, node->is.lowest);
    mote_put16_(to + 10, node->is.name.size);
    memcpy(to + 12, node->bytes, node->is.name.size);
    to += 12 + node->is.name.size;
    mote_put16_(to, node->extra);
    memcpy(to + 2, node->bytes + node->is.name.size, node->extra);
    return say(e, (size_t)(to + 2 + node->extra - e->say), true);
}

static struct mt_epmd_say names(struct mt_epmd *e) {
    size_t size = 4;
    mote_put32_(e->say, e->port);
    for (size_t i = 0; i < e->registered_count; i++) {
        const struct mt_epmd_node *is = &e->registered[i]->node->is;
        char line[LINE_MAX_BYTES + 1];
        int n = snprintf(line, sizeof line, "name %.*s at port %u\n", (int)is->name.size, (const char *)is->name.data, is->port);
        MT_ASSERT(n > 0 && (size_t)n < sizeof line);
        memcpy(e->say + size, line, (size_t)n);
        size += (size_t)n;
    }
    return say(e, size, true);
}

static struct mt_epmd_say request(struct mt_epmd *e, struct mt_epmd_open *o, const uint8_t *p, size_t size) {
    o->answered = true;
    switch (p[0]) {
    case ALIVE: return alive(e, o, p, size);
    case PORT: return look_up(e, (mote_bytes){p + 1, size - 1});
    case NAMES: return size == 1 ? names(e) : say(e, 0, true);
    case KILL: memcpy(e->say, "NO", 2); return say(e, o->local ? 2 : 0, true);
    default: return say(e, 0, true); /* what stops it or tells its insides, and what is no request */
    }
}

struct mt_epmd_say mt_epmd_feed(struct mt_epmd *epmd, struct mt_epmd_open *open, const void *data, size_t size) {
    struct mt_epmd_open *o = open;
    if (size == 0) return say(epmd, 0, false);
    if (o->node) unregister(epmd, o); /* P2 */
    if (o->answered) return say(epmd, 0, true);
    size_t room = sizeof o->request - o->come, taken = size < room ? size : room;
    memcpy(o->request + o->come, data, taken);
    o->come += taken;
    if (o->come < 2) return say(epmd, 0, false);
    size_t whole = 2 + mote_get16_(o->request);
    if (whole == 2 || whole > sizeof o->request) return say(epmd, 0, true);
    if (o->come < whole) return say(epmd, 0, false);
    if (o->come > whole || taken < size) return say(epmd, 0, true);
    return request(epmd, o, o->request + 2, whole - 2);
}
