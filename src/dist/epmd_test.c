/* SPDX-License-Identifier: Apache-2.0
 * The port mapper's protocol. What a real epmd (of OTP 25) says was recorded. */
#include "dist/epmd.h"

#include "check.h"

#define SECOND ((uint64_t)1000000000)

static mote_bytes text(const char *s) { return (mote_bytes){s, strlen(s)}; }

/* ------------------------------------------------------------------------------------------------ the client */

static void names_that_fit(void) {
    static const char *const good[] = {"a", "rabbit", "a.b", "a_b-c~d", "0"}, *const bad[] = {"", "a b", "a\n", "a@b", "\xc3\xa9", "a/b", "a`", "a{"};
    char longest[257];
    memset(longest, 'x', sizeof longest);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) CHECK(mt_epmd_name_fits(text(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(!mt_epmd_name_fits(text(bad[i])));
    CHECK(mt_epmd_name_fits((mote_bytes){longest, 255}) && !mt_epmd_name_fits((mote_bytes){longest, 256}));
    CHECK(!mt_epmd_name_fits((mote_bytes){"a\0b", 3}));
}

/* What erl itself sends to register. */
static void asks_as_erlang_does(void) {
    uint8_t to[MT_EPMD_ASK_MAX];
    static const uint8_t alive[] = {0, 15, 120, 0xa1, 0x0f, 77, 0, 0, 6, 0, 5, 0, 2, 't', '1', 0, 0}, port[] = {0, 3, 122, 't', '1'}, names[] = {0, 1, 110};
    CHECK_INT(mt_epmd_ask_alive(to, text("t1"), 0xa10f, false), sizeof alive);
    CHECK(memcmp(to, alive, sizeof alive) == 0);
    CHECK_INT(mt_epmd_ask_alive(to, text("t1"), 0xa10f, true), sizeof alive);
    CHECK_INT(to[5], 72);
    CHECK_INT(mt_epmd_ask_port(to, text("t1")), sizeof port);
    CHECK(memcmp(to, port, sizeof port) == 0);
    CHECK_INT(mt_epmd_ask_names(to), sizeof names);
    CHECK(memcmp(to, names, sizeof names) == 0);
}

/* What the beginning of an answer says when the whole says that; the whole may be one with too much behind it. */
static bool early_fits(enum mt_verdict early, enum mt_verdict whole) {
    return early == MT_MORE || early == whole || (early == MT_FINE && whole == MT_NO_GARBLED);
}

static enum mt_verdict alive_answer(const char *bytes, size_t size, uint32_t *creation) {
    enum mt_verdict whole = mt_epmd_alive_answer((mote_bytes){bytes, size}, creation);
    uint32_t other;
    for (size_t n = 0; n < size; n++) CHECK(early_fits(mt_epmd_alive_answer((mote_bytes){bytes, n}, &other), whole));
    return whole;
}

static void reads_that_it_is_registered(void) {
    uint32_t creation = 7;
    CHECK_INT(alive_answer("v\1\0\0\0\x63", 6, &creation), MT_NO_TAKEN);
    CHECK_INT(alive_answer("y\1\0\x63", 4, &creation), MT_NO_TAKEN);
    CHECK_INT(alive_answer("w\0\0\0", 4, &creation), MT_NO_GARBLED);
    CHECK_INT(alive_answer("v\0\0\0\0\4\0", 7, &creation), MT_NO_GARBLED);
    CHECK_INT(creation, 7);
    CHECK_INT(alive_answer("v\0\x6b\x03\x6c\x68", 6, &creation), MT_FINE);
    CHECK_INT(creation, 0x6b036c68);
    CHECK_INT(alive_answer("y\0\0\2", 4, &creation), MT_FINE);
    CHECK_INT(creation, 2);
}

#define KNOWN "w\0\xa1\x0fM\0\0\6\0\5\0\2t1\0\0"

static enum mt_verdict port_answer(const char *bytes, size_t size, const char *asked) {
    struct mt_epmd_node node;
    enum mt_verdict whole = mt_epmd_port_answer((mote_bytes){bytes, size}, text(asked), &node);
    for (size_t n = 0; n < size; n++) CHECK(early_fits(mt_epmd_port_answer((mote_bytes){bytes, n}, text(asked), &node), whole));
    return whole;
}

static void reads_where_a_node_is(void) {
    struct mt_epmd_node node;
    CHECK_INT(mt_epmd_port_answer((mote_bytes){KNOWN, sizeof KNOWN - 1}, text("t1"), &node), MT_FINE);
    CHECK(node.port == 0xa10f && node.type == 'M' && node.protocol == 0 && node.highest == 6 && node.lowest == 5);
    CHECK_INT(port_answer(KNOWN, sizeof KNOWN - 1, "t1"), MT_FINE);
    CHECK_INT(port_answer(KNOWN, sizeof KNOWN - 1, "t2"), MT_NO_OTHER_NAME);
    CHECK_INT(port_answer(KNOWN "x", sizeof KNOWN, "t1"), MT_NO_GARBLED);
    CHECK_INT(port_answer("w\1", 2, "t1"), MT_NO_UNKNOWN);
    CHECK_INT(port_answer("v\0", 2, "t1"), MT_NO_GARBLED);
    CHECK_INT(port_answer("w\0\0\0M\0\0\6\0\5\0\2t1\0\0", sizeof KNOWN - 1, "t1"), MT_NO_PORT);
    CHECK_INT(port_answer("w\0\1\1M\0\0\4\0\3\0\2t1\0\0", sizeof KNOWN - 1, "t1"), MT_NO_OLD);
    CHECK_INT(port_answer("w\0\1\1M\1\0\6\0\5\0\2t1\0\0", sizeof KNOWN - 1, "t1"), MT_NO_OLD);
    CHECK_INT(port_answer("w\0\1\1M\0\0\6\0\5\0\0\0\0", 14, ""), MT_NO_GARBLED);
    CHECK_INT(port_answer("w\0\1\1M\0\0\6\0\5\1\0tt\0\0", 16, "t1"), MT_NO_GARBLED);
    CHECK_INT(port_answer("w\0\1\1M\0\0\6\0\5\0\2t1\xff\xff", 16, "t1"), MT_NO_TOO_LONG);
    CHECK_INT(port_answer("w\0\1\1M\0\0\6\0\5\0\2t1\0\2ab", 18, "t1"), MT_FINE);
}

static char seen[400];

static void see(void *context, const struct mt_epmd_node *node) {
    CHECK(context == seen);
    size_t at = strlen(seen);
    snprintf(seen + at, sizeof seen - at, "%.*s=%u ", (int)node->name.size, (const char *)node->name.data, node->port);
}

static void reads_lists(void) {
    static const char list[] = "\0\0\x11\x11name t1 at port 41231\nname evil\nname x at port 5\nname y at port 70000\nname z at port \nname q at port 9\nname cut at port 1";
    CHECK_INT(mt_epmd_names_answer((mote_bytes){list, sizeof list - 1}, 0x1111, see, seen), MT_FINE);
    CHECK_STR(seen, "t1=41231 x=5 q=9 ");
    CHECK_INT(mt_epmd_names_answer((mote_bytes){list, sizeof list - 1}, 0x1112, NULL, NULL), MT_NO_GARBLED);
    CHECK_INT(mt_epmd_names_answer((mote_bytes){list, 3}, 0x1111, NULL, NULL), MT_MORE);
    CHECK_INT(mt_epmd_names_answer((mote_bytes){list, 4}, 0x1111, see, seen), MT_FINE);
    CHECK_INT(mt_epmd_names_answer((mote_bytes){list, MT_EPMD_NAMES_MAX + 1}, 0x1111, NULL, NULL), MT_NO_TOO_LONG);
}

/* ------------------------------------------------------------------------------------------------ the server */

static struct mt_epmd *server(void) {
    struct mt_epmd *epmd = NULL;
    CHECK_OK(mt_epmd_new(0x1111, &epmd));
    return epmd;
}

static struct mt_epmd_open *open_at(struct mt_epmd *epmd, bool local, uint64_t now_ns) {
    static int socket;
    void *evicted = NULL;
    struct mt_epmd_open *open = mt_epmd_open(epmd, &socket, local, now_ns, &evicted);
    CHECK(open && !evicted);
    return open;
}

/* Asks on a connection of its own, byte by byte if so; what is said must be `want`, and closed as said. The connection, unless it was closed. */
static struct mt_epmd_open *ask(struct mt_epmd *epmd, bool local, const void *data, size_t size, const void *want, size_t want_size, bool close) {
    for (int by_byte = close; by_byte >= 0; by_byte--) {
        struct mt_epmd_open *open = open_at(epmd, local, 0);
        struct mt_epmd_say say = {{0}, false};
        size_t step = by_byte ? 1 : size;
        for (size_t n = 0; n < size && !say.close; n += step) {
            say = mt_epmd_feed(epmd, open, (const uint8_t *)data + n, step);
            CHECK(n + step == size || say.bytes.size == 0);
        }
        CHECK_INT(say.close, close);
        CHECK_INT(say.bytes.size, want_size);
        CHECK(want_size == 0 || !want || memcmp(say.bytes.data, want, want_size) == 0);
        if (!close) return open;
        mt_epmd_close(epmd, open);
    }
    return NULL;
}

/* Registers; the creation. 0: refused. */
static uint32_t alive(struct mt_epmd *epmd, const char *name, uint16_t port, struct mt_epmd_open **open) {
    uint8_t to[MT_EPMD_ASK_MAX];
    uint32_t creation = 0;
    size_t size = mt_epmd_ask_alive(to, text(name), port, false);
    *open = open_at(epmd, true, 0);
    struct mt_epmd_say say = mt_epmd_feed(epmd, *open, to, size);
    enum mt_verdict verdict = mt_epmd_alive_answer(say.bytes, &creation);
    CHECK(verdict == MT_FINE || verdict == MT_NO_TAKEN);
    CHECK_INT(say.close, verdict != MT_FINE);
    if (verdict != MT_FINE) mt_epmd_close(epmd, *open), *open = NULL;
    return creation;
}

static void registers_and_tells(void) {
    struct mt_epmd *epmd = server();
    struct mt_epmd_open *t1, *t2, *again;
    uint32_t creation = alive(epmd, "t1", 0xa10f, &t1);
    CHECK(creation >= 4 && alive(epmd, "t2", 9, &t2) >= 4);
    CHECK_INT(alive(epmd, "t1", 5, &again), 0); /* P2 */
    ask(epmd, false, "\0\3zt1", 5, KNOWN, sizeof KNOWN - 1, true);
    ask(epmd, false, "\0\4zt1\0", 6, KNOWN, sizeof KNOWN - 1, true);
    ask(epmd, false, "\0\3zt3", 5, "w\1", 2, true);
    static const char list[] = "\0\0\x11\x11name t1 at port 41231\nname t2 at port 9\n";
    ask(epmd, false, "\0\1n", 3, list, sizeof list - 1, true);
    mt_epmd_close(epmd, t1);
    ask(epmd, false, "\0\3zt1", 5, "w\1", 2, true);
    CHECK_INT(alive(epmd, "t1", 5, &again), creation + 1 >= 4 ? creation + 1 : 4); /* P3 */
    struct mt_epmd_say say = mt_epmd_feed(epmd, again, "x", 1);
    CHECK(say.close && say.bytes.size == 0); /* P2 */
    ask(epmd, false, "\0\3zt1", 5, "w\1", 2, true);
    CHECK(mt_epmd_due(epmd) != MT_NEVER && mt_epmd_late(epmd, MT_NEVER - 1)); /* nor does that one stay */
    CHECK(mt_epmd_due(epmd) == MT_NEVER);
    mt_epmd_free(epmd);
}

static void refuses_what_is_not_right(void) {
    struct mt_epmd *epmd = server();
    static const char no[] = "v\1\0\0\0\x63";
    static const char space[] = "\0\17x\0\1M\0\0\6\0\5\0\2a \0\0", zero[] = "\0\17x\0\0M\0\0\6\0\5\0\2ab\0\0", old[] = "\0\17x\0\0M\0\0\5\0\5\0\2ab\0\0";
    static const char lies[] = "\0\17x\0\1M\0\0\6\0\5\0\3ab\0\0", more[] = "\0\17x\0\1M\0\0\6\0\5\0\2ab\0\1", fits[] = "\0\17x\0\1M\0\0\6\0\5\0\2ab\0\0";
    ask(epmd, true, space, 17, no, 6, true); /* P4 */
    ask(epmd, true, zero, 17, no, 6, true);
    ask(epmd, true, old, 17, "y\1\0\x63", 4, true);
    ask(epmd, true, lies, 17, NULL, 0, true);
    ask(epmd, true, more, 17, NULL, 0, true);
    ask(epmd, false, fits, 17, NULL, 0, true); /* P5 */
    ask(epmd, true, "\0\1k", 3, "NO", 2, true);
    ask(epmd, false, "\0\1k", 3, NULL, 0, true);
    ask(epmd, true, "\0\1d", 3, NULL, 0, true);
    ask(epmd, true, "\0\2sx", 4, NULL, 0, true);
    ask(epmd, true, "\0\1z", 3, "w\1", 2, true);
    ask(epmd, true, "\0\1x", 3, NULL, 0, true);
    struct mt_epmd_open *open = open_at(epmd, true, 0);
    CHECK(mt_epmd_feed(epmd, open, "\0\0", 2).close);
    mt_epmd_close(epmd, open);
    open = open_at(epmd, true, 0);
    CHECK(mt_epmd_feed(epmd, open, "\x08\x01", 2).close); /* P6: 2049 */
    mt_epmd_close(epmd, open);
    open = open_at(epmd, true, 0);
    CHECK(mt_epmd_feed(epmd, open, "\0\1nn", 4).close); /* two in one go */
    mt_epmd_close(epmd, open);
    mt_epmd_close(epmd, ask(epmd, true, fits, 17, NULL, 6, false));
    mt_epmd_free(epmd);
}

/* A request with so many bytes that nobody has a use for. */
static bool with_extra(struct mt_epmd *epmd, size_t extra) {
    static uint8_t to[2 + MT_EPMD_REQUEST_MAX];
    size_t size = mt_epmd_ask_alive(to, text("ab"), 1, false);
    to[0] = (uint8_t)((size - 2 + extra) >> 8), to[1] = (uint8_t)(size - 2 + extra);
    to[size - 2] = (uint8_t)(extra >> 8), to[size - 1] = (uint8_t)extra;
    struct mt_epmd_open *open = open_at(epmd, true, 0);
    struct mt_epmd_say say = mt_epmd_feed(epmd, open, to, size + extra);
    uint32_t creation;
    bool good = mt_epmd_alive_answer(say.bytes, &creation) == MT_FINE;
    struct mt_epmd_node node;
    if (good) {
        struct mt_epmd_open *other = open_at(epmd, true, 0);
        say = mt_epmd_feed(epmd, other, "\0\3zab", 5);
        CHECK_INT(mt_epmd_port_answer(say.bytes, text("ab"), &node), MT_FINE);
        CHECK_INT(say.bytes.size, 12 + 2 + 2 + extra);
        mt_epmd_close(epmd, other);
    }
    mt_epmd_close(epmd, open);
    return good;
}

static void limits_what_comes_with_a_name(void) {
    struct mt_epmd *epmd = server();
    CHECK(with_extra(epmd, 1) && with_extra(epmd, MT_EPMD_EXTRA_MAX) && !with_extra(epmd, MT_EPMD_EXTRA_MAX + 1));
    mt_epmd_free(epmd);
}

static void many_register(void) {
    struct mt_epmd *epmd = server();
    struct mt_epmd_open *open[MT_EPMD_REGISTERED + 1];
    char name[256];
    for (unsigned i = 0; i <= MT_EPMD_REGISTERED; i++) {
        snprintf(name, sizeof name, "%0255u", i); /* the longest there may be */
        uint32_t creation = alive(epmd, name, 65535, &open[i]);
        CHECK((creation != 0) == (i < MT_EPMD_REGISTERED));
    }
    struct mt_epmd_open *list = open_at(epmd, false, 0);
    struct mt_epmd_say say = mt_epmd_feed(epmd, list, "\0\1n", 3);
    CHECK_INT(say.bytes.size, 4 + MT_EPMD_REGISTERED * (5u + 255 + 9 + 5 + 1));
    CHECK_INT(mt_epmd_names_answer(say.bytes, 0x1111, NULL, NULL), MT_FINE);
    mt_epmd_free(epmd);
}

/* P3: a name that has been used since is known, one of long ago may have another row of creations. */
static void remembers_creations(void) {
    struct mt_epmd *epmd = server();
    struct mt_epmd_open *open;
    char name[20];
    uint32_t first = alive(epmd, "kept", 1, &open);
    mt_epmd_close(epmd, open);
    for (unsigned i = 0; i < 3 * MT_EPMD_REMEMBERED; i++) {
        snprintf(name, sizeof name, "n%u", i);
        CHECK(alive(epmd, name, 1, &open) >= 4);
        mt_epmd_close(epmd, open);
        if (i % 500 != 0) continue;
        uint32_t next = alive(epmd, "kept", 1, &open);
        CHECK_INT(next, first + 1 >= 4 ? first + 1 : 4);
        first = next;
        mt_epmd_close(epmd, open);
    }
    mt_epmd_free(epmd);
}

static void the_oldest_gives_way(void) {
    struct mt_epmd *epmd = server();
    struct mt_epmd_open *node;
    static char sockets[MT_EPMD_OPEN + 2];
    void *evicted = NULL;
    CHECK(alive(epmd, "t1", 1, &node));
    for (size_t i = 0; i < MT_EPMD_OPEN + 1; i++) {
        CHECK(mt_epmd_open(epmd, &sockets[i], true, i, &evicted));
        CHECK(evicted == (i < MT_EPMD_OPEN - 1 ? NULL : &sockets[i - (MT_EPMD_OPEN - 1)]));
    }
    mt_epmd_free(epmd);
}

static void cuts_the_late(void) {
    struct mt_epmd *epmd = server();
    static char sockets[2];
    struct mt_epmd_open *node;
    void *evicted = NULL;
    CHECK(mt_epmd_due(epmd) == MT_NEVER && !mt_epmd_late(epmd, SECOND));
    CHECK(alive(epmd, "t1", 1, &node));
    CHECK(mt_epmd_due(epmd) == MT_NEVER); /* a node may be silent */
    struct mt_epmd_open *slow = mt_epmd_open(epmd, &sockets[0], true, SECOND, &evicted);
    CHECK(slow && mt_epmd_open(epmd, &sockets[1], true, 2 * SECOND, &evicted));
    CHECK(!mt_epmd_feed(epmd, slow, "\0", 1).close);
    CHECK_INT(mt_epmd_due(epmd), SECOND + MT_EPMD_LATE_NS);
    CHECK(!mt_epmd_late(epmd, SECOND + MT_EPMD_LATE_NS - 1));
    CHECK(mt_epmd_late(epmd, SECOND + MT_EPMD_LATE_NS) == &sockets[0]); /* a byte now and then does not help */
    CHECK(!mt_epmd_late(epmd, SECOND + MT_EPMD_LATE_NS));
    CHECK(mt_epmd_late(epmd, 2 * SECOND + MT_EPMD_LATE_NS) == &sockets[1]);
    mt_epmd_free(epmd);
}

/* Without memory a connection or a name is refused, and nothing else happens. */
static void memory_runs_out_anywhere(void) {
    for (uint64_t n = 1;; n++) {
        struct mt_epmd *epmd = NULL;
        void *evicted = NULL;
        static char socket;
        uint8_t to[MT_EPMD_ASK_MAX];
        uint32_t creation;
        size_t size = mt_epmd_ask_alive(to, text("t1"), 9, false);
        mt_os_fault_arm(n, true);
        mote_err err = mt_epmd_new(1, &epmd);
        struct mt_epmd_open *open = err ? NULL : mt_epmd_open(epmd, &socket, true, 0, &evicted);
        struct mt_epmd_say say = open ? mt_epmd_feed(epmd, open, to, size) : (struct mt_epmd_say){.close = false};
        uint64_t passed = mt_os_fault_count();
        mt_os_fault_arm(0, false);
        CHECK(err == MOTE_OK || err == MOTE_ENOMEM);
        bool there = open && mt_epmd_alive_answer(say.bytes, &creation) == MT_FINE;
        if (open) CHECK(there == !say.close && there == (passed < n));
        mt_epmd_free(epmd);
        if (passed < n) break;
    }
}

static void verdicts_in_words(void) {
    char to[100], longest[300];
    memset(longest, 'x', sizeof longest);
    CHECK_STR(mt_verdict_print(MT_NO_LATE, "node", text("a@b\n\x1b`"), to, sizeof to), "node `a@b\\x0a\\x1b\\x60`: it did not answer in time");
    mt_verdict_print(MT_NO_LATE, "node", (mote_bytes){longest, sizeof longest}, to, sizeof to);
    CHECK_INT(strlen(to), sizeof to - 1);
    for (int v = 0; v < MT_VERDICTS; v++) CHECK(strlen(mt_verdict_text((enum mt_verdict)v)) > 5);
}

int main(int argc, char **argv) {
    return check_main(argc, argv,
                      (struct check_test[]){TEST(names_that_fit), TEST(asks_as_erlang_does), TEST(reads_that_it_is_registered), TEST(reads_where_a_node_is),
                                            TEST(reads_lists), TEST(registers_and_tells), TEST(refuses_what_is_not_right), TEST(limits_what_comes_with_a_name),
                                            TEST(many_register), TEST(remembers_creations), TEST(the_oldest_gives_way), TEST(cuts_the_late),
                                            TEST(memory_runs_out_anywhere), TEST(verdicts_in_words), {0}});
}
