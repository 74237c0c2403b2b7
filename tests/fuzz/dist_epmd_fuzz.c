/* SPDX-License-Identifier: Apache-2.0
 * What must hold of any bytes that come to a port mapper, or from one.
 *
 * The first byte chooses: an answer to a client's request, or a server whose connections get the others. A connection's bytes begin with how many there are. */
#include "dist/epmd.h"

#include "check.h"

enum { ALIVE_ANSWER, PORT_ANSWER, NAMES_ANSWER, SERVER };

#define CONNECTIONS 6u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void see(void *context, const struct mt_epmd_node *node) {
    size_t *seen = context;
    CHECK(mt_epmd_name_fits(node->name) && node->port != 0);
    ++*seen;
}

static void alive_answer(mote_bytes come) {
    uint32_t creation = 77;
    enum mt_verdict verdict = mt_epmd_alive_answer(come, &creation);
    CHECK(verdict == MT_FINE || creation == 77);
    if (verdict == MT_FINE) CHECK(come.size == 4 || come.size == 6);
}

static void port_answer(mote_bytes come) {
    struct mt_epmd_node node = {.port = 0};
    static const char asked[] = "t1";
    enum mt_verdict verdict = mt_epmd_port_answer(come, (mote_bytes){asked, 2}, &node);
    CHECK((verdict == MT_FINE) == (node.port != 0));
    if (verdict == MT_FINE) CHECK(node.name.size == 2 && memcmp(node.name.data, asked, 2) == 0 && node.highest >= 5);
}

static void names_answer(mote_bytes come) {
    size_t seen = 0;
    enum mt_verdict verdict = mt_epmd_names_answer(come, 0x1111, see, &seen);
    CHECK(verdict == MT_FINE || seen == 0);
    CHECK(seen <= come.size / 16);
}

/* A client that asks for the list gets one that it can read. */
static void lists(struct mt_epmd *epmd) {
    void *evicted;
    size_t seen = 0;
    struct mt_epmd_open *open = mt_epmd_open(epmd, &seen, false, 0, &evicted);
    CHECK(open);
    struct mt_epmd_say say = mt_epmd_feed(epmd, open, "\0\1n", 3);
    CHECK(say.close && mt_epmd_names_answer(say.bytes, 0x1111, see, &seen) == MT_FINE);
    size_t lines = 0;
    for (size_t i = 4; i < say.bytes.size; i++) lines += ((const char *)say.bytes.data)[i] == '\n';
    CHECK_INT(lines, seen); /* nobody has put a line of his own into it */
    mt_epmd_close(epmd, open);
}

static void server(const uint8_t *p, size_t size) {
    struct mt_epmd *epmd = NULL;
    struct mt_epmd_open *open[CONNECTIONS] = {NULL};
    static char socket;
    CHECK_OK(mt_epmd_new(0x1111, &epmd));
    while (size >= 2) {
        unsigned which = p[0] % CONNECTIONS;
        size_t chunk = p[1] < size - 2 ? p[1] : size - 2;
        void *evicted = NULL;
        if (!open[which]) CHECK((open[which] = mt_epmd_open(epmd, &socket, !(p[0] & 128), 0, &evicted)));
        CHECK(!evicted);
        struct mt_epmd_say say = mt_epmd_feed(epmd, open[which], p + 2, chunk);
        if (say.close || p[0] & 64) mt_epmd_close(epmd, open[which]), open[which] = NULL;
        p += 2 + chunk, size -= 2 + chunk;
    }
    lists(epmd);
    while (mt_epmd_late(epmd, MT_NEVER - 1)) {}
    CHECK(mt_epmd_due(epmd) == MT_NEVER);
    mt_epmd_free(epmd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    mote_bytes come = {data + 1, size - 1};
    switch (data[0] % 4) {
    case ALIVE_ANSWER: alive_answer(come); break;
    case PORT_ANSWER: port_answer(come); break;
    case NAMES_ANSWER: names_answer(come); break;
    default: server(data + 1, size - 1); break;
    }
    return 0;
}
