/* SPDX-License-Identifier: Apache-2.0
 * Handshakes: with what a node of OTP 25 has said, and of both our sides with each other. */
#include "dist/handshake.h"

#include "check.h"
#include "hex.h"

#define SECOND ((uint64_t)1000000000)

static mote_bytes text(const char *s) { return (mote_bytes){s, strlen(s)}; }

/* ------------------------------------------------------------------------------------------------ nodes */

static size_t cookie(void *context, mote_bytes peer, char to[MT_COOKIE_MAX]) {
    const char *of = context;
    CHECK(peer.size > 0 && strlen(of) <= MT_COOKIE_MAX);
    memcpy(to, of, strlen(of));
    return strlen(of);
}

/* A node with a cookie. */
static struct mt_shake_self node(const char *name, uint32_t creation, char *its_cookie) {
    struct mt_shake_self self = {.name = text(name), .creation = creation, .flags = MT_FLAGS_OFFERED | MT_FLAG_PUBLISHED, .prefix = 2, .cookie = cookie, .context = its_cookie};
    CHECK_OK(mt_challenges_new(&self.challenges));
    return self;
}

static void end(struct mt_shake_self *self) { mt_challenges_free(self->challenges); }

static char secret[] = "secret";

/* A message with its prefix. */
static mote_bytes framed(mote_bytes message) {
    static uint8_t places[4][4096];
    static unsigned turn;
    uint8_t *p = places[turn++ % 4];
    p[0] = (uint8_t)(message.size >> 8), p[1] = (uint8_t)message.size;
    memcpy(p + 2, message.data, message.size);
    return (mote_bytes){p, message.size + 2};
}

/* Feeds a message, byte by byte; all of it is consumed unless the handshake ends. */
static enum mt_shake_step feed(struct mt_shake *shake, mote_bytes message) {
    mote_bytes bytes = framed(message);
    size_t used = 0;
    for (size_t n = 0; n < bytes.size; n++) {
        CHECK_INT(shake->step, MT_SHAKE_WAITS);
        mt_shake_feed(shake, (const uint8_t *)bytes.data + n, 1, 0, &used);
        CHECK_INT(used, 1);
        if (shake->step == MT_SHAKE_OVER) break;
    }
    return shake->step;
}

static enum mt_shake_step feed_text(struct mt_shake *shake, const char *message) { return feed(shake, text(message)); }

/* The next message that is to be written. */
static mote_bytes said(struct mt_shake *shake) {
    mote_bytes out = mt_shake_out(shake);
    const uint8_t *p = out.data;
    CHECK(out.size >= 2 && out.size == 2u + ((size_t)p[0] << 8 | p[1]));
    return (mote_bytes){p + 2, out.size - 2};
}

static void check_over(const struct mt_shake *shake, enum mt_verdict verdict) {
    CHECK_INT(shake->step, MT_SHAKE_OVER);
    CHECK_STR(mt_verdict_text(shake->verdict), mt_verdict_text(verdict));
    CHECK(mt_shake_due(shake) == MT_NEVER);
}

/* ------------------------------------------------------------------------------------------------ as recorded */

#define THEIR_NAME "4e0000000d07df7fbc11223344000d766563403132372e302e302e31"
#define CHALLENGE_25 "4e0000000d07df7fbd663485d46b036c6e000c7431403132372e302e302e31"
#define REPLY_25 "72939a8b221de8a7525d6cab542a275e3d0b1419f1"
#define ACK_25 "6104b52f6b6c28774eef304dd1af26eff1"

static char lab_cookie[] = "labcookie1234567890";

static void dials_as_recorded(void) {
    struct mt_shake_self self = node("vec@127.0.0.1", 0x11223344, lab_cookie);
    struct mt_shake s;
    self.flags = MT_FLAGS_OFFERED;
    size_t atoms = mote_atom_count();
    mt_shake_dial(&s, &self, text("t1@127.0.0.1"), 0);
    check_bytes(said(&s), hex(THEIR_NAME));
    CHECK_INT(feed_text(&s, "sok"), MT_SHAKE_WAITS);
    CHECK_INT(feed(&s, hex(CHALLENGE_25)), MT_SHAKE_WAITS);
    mote_bytes reply = said(&s), recorded = hex(REPLY_25);
    check_bytes((mote_bytes){(const uint8_t *)reply.data + 5, 16}, (mote_bytes){(const uint8_t *)recorded.data + 5, 16});
    s.challenge = 0x939a8b22; /* ours of then */
    CHECK_INT(feed(&s, hex(ACK_25)), MT_SHAKE_UP);
    CHECK(s.flags == MT_FLAGS_OFFERED && s.peer_creation == 0x6b036c6e);
    CHECK_INT(mote_atom_count(), atoms); /* S1 */
    end(&self);
}

static void accepts_as_recorded(void) {
    struct mt_shake_self self = node("t1@127.0.0.1", 0x6b036c6e, lab_cookie);
    struct mt_shake s;
    size_t atoms = mote_atom_count();
    mt_shake_accept(&s, &self, 0);
    CHECK_INT(feed(&s, hex(THEIR_NAME)), MT_SHAKE_NAMED);
    CHECK(s.peer_size == 13 && memcmp(s.peer, "vec@127.0.0.1", 13) == 0 && s.peer_creation == 0x11223344);
    CHECK_INT(mt_shake_decide(&s, MT_SHAKE_STRANGER, 0), MT_SHAKE_WAITS);
    mote_bytes out = mt_shake_out(&s);
    const uint8_t *p = out.data;
    check_bytes((mote_bytes){p, 5}, (mote_bytes){"\0\3sok", 5});
    mote_bytes recorded = hex(CHALLENGE_25);
    memcpy((uint8_t *)(uintptr_t)recorded.data + 9, p + 5 + 2 + 9, 4); /* but for the challenge */
    check_bytes((mote_bytes){p + 7, out.size - 7}, recorded);
    s.challenge = 0x663485d4;
    CHECK_INT(feed(&s, hex(REPLY_25)), MT_SHAKE_PROVEN);
    CHECK_INT(mt_shake_admit(&s, true), MT_SHAKE_UP);
    check_bytes(said(&s), hex(ACK_25));
    CHECK(s.flags == MT_FLAGS_OFFERED);
    CHECK_INT(mote_atom_count(), atoms);
    end(&self);
}

static void digests_as_erlang_makes_them(void) {
    static const struct {
        const char *cookie;
        uint32_t challenge;
        const char *digest;
    } rows[] = {
        {"secret", 0, "175ec77a7f63082590987d0d8b051aff"},
        {"secret", UINT32_MAX, "5dfd181e69aa587cc812eb333e6536b6"},
        {"labcookie1234567890", 1507507928, "e18d012a9c1ffd60e60301312b1bd630"},
    };
    uint8_t got[MT_DIGEST_BYTES], other[MT_DIGEST_BYTES];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK(mt_digest(text(rows[i].cookie), rows[i].challenge, got));
        check_bytes((mote_bytes){got, sizeof got}, hex(rows[i].digest));
    }
    memcpy(other, got, sizeof other);
    CHECK(mt_digest_same(got, other));
    for (size_t i = 0; i < 8 * sizeof other; i++) {
        other[i / 8] ^= (uint8_t)(1 << i % 8);
        CHECK(!mt_digest_same(got, other));
        other[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    char longest[MT_COOKIE_MAX];
    memset(longest, 'c', sizeof longest);
    CHECK(mt_digest((mote_bytes){longest, sizeof longest}, UINT32_MAX, got));
}

/* ------------------------------------------------------------------------------------------------ with each other */

/* What a side does at its steps. */
struct side {
    struct mt_shake shake;
    enum mt_shake_known known; /* what the other is to it */
    bool insists, admits;
};

static void act(struct side *side) {
    switch (side->shake.step) {
    case MT_SHAKE_NAMED: mt_shake_decide(&side->shake, side->known, 0); break;
    case MT_SHAKE_LINKED: mt_shake_insist(&side->shake, side->insists); break;
    case MT_SHAKE_PROVEN: mt_shake_admit(&side->shake, side->admits); break;
    default: break;
    }
}

/* Carries what one has to say to the other, `piece` bytes at a time; whether there was anything. */
static bool carry(struct side *from, struct side *to, size_t piece) {
    uint8_t copy[1024];
    mote_bytes out = mt_shake_out(&from->shake);
    CHECK(out.size <= sizeof copy);
    memcpy(copy, out.data, out.size);
    size_t at = 0, used = 0;
    while (at < out.size && to->shake.step != MT_SHAKE_UP && to->shake.step != MT_SHAKE_OVER) {
        mt_shake_feed(&to->shake, copy + at, out.size - at < piece ? out.size - at : piece, 0, &used);
        at += used;
        act(to);
    }
    return out.size > 0;
}

static void shake_hands(struct side *a, const struct mt_shake_self *dialler, struct side *b, const struct mt_shake_self *acceptor, size_t piece) {
    mt_shake_dial(&a->shake, dialler, acceptor->name, 0);
    mt_shake_accept(&b->shake, acceptor, 0);
    while (carry(a, b, piece) || carry(b, a, piece)) {}
}

static void mote_and_mote(void) {
    struct mt_shake_self left = node("left@127.0.0.1", 5, secret), right = node("right@127.0.0.1", UINT32_MAX, secret);
    for (size_t prefix = 2; prefix <= 4; prefix += 2) {
        for (size_t piece = 1; piece < 400; piece += 1 + piece / 8) {
            struct side a = {.insists = true}, b = {.admits = true, .known = piece % 2 ? MT_SHAKE_STRANGER : MT_SHAKE_IS_UP};
            left.prefix = right.prefix = prefix;
            left.flags = MT_FLAGS_OFFERED | (piece % 3 ? MT_FLAG_PUBLISHED : 0);
            shake_hands(&a, &left, &b, &right, piece);
            CHECK(a.shake.step == MT_SHAKE_UP && b.shake.step == MT_SHAKE_UP);
            CHECK(a.shake.flags == left.flags && b.shake.flags == left.flags && !a.shake.nameless && !b.shake.nameless);
            CHECK(a.shake.peer_creation == UINT32_MAX && b.shake.peer_creation == 5);
            CHECK(b.shake.peer_size == left.name.size && memcmp(b.shake.peer, "left@127.0.0.1", left.name.size) == 0);
        }
    }
    end(&left), end(&right);
}

/* What comes behind the last message is the first frame's. */
static void bytes_behind_are_not_consumed(void) {
    struct mt_shake_self self = node("t1@127.0.0.1", 0x6b036c6e, lab_cookie);
    struct mt_shake s;
    uint8_t both[100];
    size_t used = 0;
    mt_shake_accept(&s, &self, 0);
    feed(&s, hex(THEIR_NAME));
    mt_shake_decide(&s, MT_SHAKE_STRANGER, 0);
    s.challenge = 0x663485d4;
    mote_bytes reply = framed(hex(REPLY_25));
    memcpy(both, reply.data, reply.size);
    memset(both + reply.size, 0, 4);
    CHECK_INT(mt_shake_feed(&s, both, reply.size + 4, 0, &used), MT_SHAKE_PROVEN);
    CHECK_INT(used, reply.size);
    CHECK_INT(mt_shake_feed(&s, both + used, 4, 0, &used), MT_SHAKE_PROVEN);
    CHECK_INT(used, 0);
    end(&self);
}

static void cookies_that_differ(void) {
    static char other[] = "secreT", none[] = "";
    struct mt_shake_self left = node("left@h", 5, secret), wrong = node("right@h", 6, other), bare = node("right@h", 6, none);
    struct side a = {0}, b = {.admits = true};
    shake_hands(&a, &left, &b, &wrong, 7);
    check_over(&b.shake, MT_NO_COOKIE);
    CHECK(a.shake.step == MT_SHAKE_WAITS && mt_shake_out(&b.shake).size == 0); /* S3: nothing is told */
    shake_hands(&a, &left, &b, &bare, 7);
    check_over(&b.shake, MT_NO_NO_COOKIE);
    shake_hands(&a, &bare, &b, &left, 7);
    check_over(&a.shake, MT_NO_NO_COOKIE);
    CHECK_INT(mt_shake_out(&a.shake).size, 0);
    char to[200];
    CHECK_STR(mt_shake_print(&a.shake, to, sizeof to), "connecting to `left@h`: there is no cookie for this node: set one");
    end(&left), end(&wrong), end(&bare);
}

/* A peer that has the dialler's name, but not the cookie, and answers. */
static void an_ack_that_is_wrong(void) {
    struct mt_shake_self self = node("vec@127.0.0.1", 0x11223344, lab_cookie);
    struct mt_shake s;
    mt_shake_dial(&s, &self, text("t1@127.0.0.1"), 0);
    feed_text(&s, "sok");
    feed(&s, hex(CHALLENGE_25));
    feed(&s, hex(ACK_25)); /* to another challenge */
    check_over(&s, MT_NO_COOKIE);
    end(&self);
}

/* ------------------------------------------------------------------------------------------------ who is who */

static void both_dial_at_once(void) {
    struct mt_shake_self small = node("a@h", 5, secret), great = node("b@h", 6, secret), longer = node("a@ha", 7, secret);
    struct side a = {0}, b = {.admits = true, .known = MT_SHAKE_DIALLED};
    shake_hands(&a, &small, &b, &great, 100); /* the greater one's own goes on */
    check_over(&b.shake, MT_NO_OURS_FIRST);
    check_over(&a.shake, MT_NO_THEIRS_FIRST);
    shake_hands(&a, &great, &b, &small, 100);
    CHECK(a.shake.step == MT_SHAKE_UP && b.shake.step == MT_SHAKE_UP);
    shake_hands(&a, &small, &b, &longer, 100);
    check_over(&a.shake, MT_NO_THEIRS_FIRST);
    shake_hands(&a, &longer, &b, &small, 100);
    CHECK(a.shake.step == MT_SHAKE_UP && b.shake.step == MT_SHAKE_UP);
    end(&small), end(&great), end(&longer);
}

static void connected_already(void) {
    struct mt_shake_self left = node("left@h", 5, secret), right = node("right@h", 6, secret);
    struct side a = {.insists = false}, b = {.admits = true, .known = MT_SHAKE_IS_UP};
    shake_hands(&a, &left, &b, &right, 100);
    check_over(&a.shake, MT_NO_LINKED);
    check_over(&b.shake, MT_NO_LINKED);
    a.insists = true, b.admits = false;
    shake_hands(&a, &left, &b, &right, 100);
    CHECK_INT(a.shake.step, MT_SHAKE_WAITS); /* another was faster: no ack */
    check_over(&b.shake, MT_NO_LINKED);
    CHECK_INT(mt_shake_out(&b.shake).size, 0);
    b.known = MT_SHAKE_BARRED;
    shake_hands(&a, &left, &b, &right, 100);
    check_over(&a.shake, MT_NO_REFUSED);
    check_over(&b.shake, MT_NO_NOT_ALLOWED);
    char to[200];
    CHECK_STR(mt_shake_print(&b.shake, to, sizeof to), "connection from `left@h`: it may not connect: it is not on the list of those that may");
    end(&left), end(&right);
}

static void who_has_no_name_gets_one(void) {
    struct mt_shake_self left = node("127.0.0.1", 0, secret), right = node("right@127.0.0.1", 6, secret);
    struct side a = {0}, b = {.admits = true};
    shake_hands(&a, &left, &b, &right, 3);
    CHECK(a.shake.step == MT_SHAKE_UP && b.shake.step == MT_SHAKE_UP && b.shake.nameless);
    CHECK(a.shake.creation >= 4 && a.shake.creation == b.shake.peer_creation);
    CHECK(a.shake.name_size == b.shake.peer_size && memcmp(a.shake.name, b.shake.peer, b.shake.peer_size) == 0);
    CHECK(mt_node_name_fits((mote_bytes){a.shake.name, a.shake.name_size}) && memcmp(a.shake.name + a.shake.name_size - 10, "@127.0.0.1", 10) == 0);
    CHECK(a.shake.flags == MT_FLAGS_OFFERED && b.shake.flags == MT_FLAGS_OFFERED); /* hidden */
    struct side again = {.admits = true};
    shake_hands(&a, &left, &again, &right, 3);
    CHECK(memcmp(again.shake.peer, b.shake.peer, b.shake.peer_size) != 0);
    b.known = MT_SHAKE_BARRED;
    shake_hands(&a, &left, &b, &right, 3);
    check_over(&a.shake, MT_NO_REFUSED);
    end(&left), end(&right);
}

/* erl echoes what it has been asked for, or its dialler fails. */
static void a_name_that_was_asked_for_shows_in_the_flags(void) {
    struct mt_shake_self right = node("right@h", 6, secret);
    struct mt_shake s;
    mt_shake_accept(&s, &right, 0);
    CHECK_INT(feed(&s, hex("4e0000000f07df7fbd000000000001" "68")), MT_SHAKE_NAMED);
    mt_shake_decide(&s, MT_SHAKE_STRANGER, 0);
    mote_bytes out = mt_shake_out(&s);
    const uint8_t *p = out.data, *challenge = p + 2 + p[1] + 2;
    CHECK(memcmp(p + 2, "snamed:", 7) == 0 && challenge[0] == 'N');
    CHECK(memcmp(challenge + 1, "\0\0\0\x0f\x07\xdf\x7f\xbc", 8) == 0);
    end(&right);
}

/* ------------------------------------------------------------------------------------------------ what is refused */

static void refuses_to_accept(void) {
    static const struct {
        const char *message;
        enum mt_verdict verdict;
    } rows[] = {
        {"6e000500000000766563", MT_NO_OLD_SHAKE},
        {"4e", MT_NO_GARBLED},
        {"00", MT_NO_GARBLED},
        {"73747275", MT_NO_GARBLED},
        {"72939a8b221de8a7525d6cab542a275e3d0b1419f1", MT_NO_GARBLED},
        {"4e0000000d07df7fbc11223344000e766563403132372e302e302e31", MT_NO_GARBLED}, /* one byte short */
        {"4e0000000d07df7fbc112233440000", MT_NO_NAME},
        {"4e0000000d07df7fbc112233440003766563", MT_NO_NAME},         /* vec */
        {"4e0000000d07df7fbc11223344000340" "6263", MT_NO_NAME},      /* @bc */
        {"4e0000000d07df7fbc112233440003626340", MT_NO_NAME},         /* bc@ */
        {"4e0000000d07df7fbc11223344000561406240" "63", MT_NO_NAME},  /* two @ */
        {"4e0000000d07df7fbc112233440003614020", MT_NO_NAME},         /* a space */
        {"4e0000000d07df7fbc112233440004614062" "0a", MT_NO_NAME},
        {"4e0000000d07df7fbc1122334400046140c3a9", MT_NO_NAME},
        {"4e0000000d07df7fbc1122334400046140" "6200", MT_NO_NAME},
        {"4e0000000d07df7fbc11223344000c7431403132372e302e302e31", MT_NO_SELF},
        {"4e0000000f07df7fbc00000000000d766563403132372e302e302e31", MT_NO_NAME}, /* asks for a name, and has one */
        {"4e0000000f07df7fbc000000000000", MT_NO_NAME},
        {"4e000000000000000011223344000361" "4062", MT_NO_FLAGS},
    };
    struct mt_shake_self self = node("t1@127.0.0.1", 0x6b036c6e, lab_cookie);
    struct mt_shake s;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        mt_shake_accept(&s, &self, 0);
        feed(&s, hex(rows[i].message));
        check_over(&s, rows[i].verdict);
        mote_bytes out = mt_shake_out(&s);
        check_bytes(out, rows[i].verdict == MT_NO_FLAGS ? (mote_bytes){"\0\014snot_allowed", 14} : (mote_bytes){"", 0});
    }
    static const char *const replies[] = {"72939a8b221de8a7525d6cab542a275e3d0b1419", "72939a8b221de8a7525d6cab542a275e3d0b1419f1f1", "6104b52f6b6c28774eef304dd1af26eff1"};
    for (size_t i = 0; i < 3; i++) {
        mt_shake_accept(&s, &self, 0);
        feed(&s, hex(THEIR_NAME));
        mt_shake_decide(&s, MT_SHAKE_STRANGER, 0);
        feed(&s, hex(replies[i]));
        check_over(&s, MT_NO_GARBLED);
    }
    end(&self);
}

static void refuses_to_go_on_dialling(void) {
    static const struct {
        const char *status, *message; /* status as text; message NULL: not so far */
        enum mt_verdict verdict;
    } rows[] = {
        {"s", NULL, MT_NO_STATUS},
        {"sokk", NULL, MT_NO_STATUS},
        {"strue", NULL, MT_NO_STATUS},
        {"rok", NULL, MT_NO_GARBLED},
        {"snok", NULL, MT_NO_THEIRS_FIRST},
        {"snot_allowed", NULL, MT_NO_REFUSED},
        {"snamed:abcdefghij", NULL, MT_NO_STATUS}, /* not asked for */
        {"sok", "6e", MT_NO_OLD_SHAKE},
        {"sok", "4e0000000d07df7fbd663485d46b036c6e", MT_NO_GARBLED},
        {"sok", "4e0000000d07df7fbd663485d46b036c6e000d7431403132372e302e302e31", MT_NO_GARBLED},
        {"sok", "4e0000000d07df7fbd663485d46b036c6e000c7432403132372e302e302e31", MT_NO_OTHER_NAME},
        {"sok", "4e0000000d07df7fbd663485d46b036c6e000b7431403132372e302e302e31", MT_NO_OTHER_NAME},
        {"sok_simultaneous", "4e0000000000000000663485d46b036c6e000c7431403132372e302e302e31", MT_NO_FLAGS},
        {"sok", "6104b52f6b6c28774eef304dd1af26eff1", MT_NO_GARBLED},
    };
    struct mt_shake_self self = node("vec@127.0.0.1", 0x11223344, lab_cookie);
    struct mt_shake s;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        mt_shake_dial(&s, &self, text("t1@127.0.0.1"), 0);
        feed_text(&s, rows[i].status);
        if (rows[i].message) CHECK_INT(s.step, MT_SHAKE_WAITS), mt_shake_out(&s), feed(&s, hex(rows[i].message));
        check_over(&s, rows[i].verdict);
        if (rows[i].message) CHECK_INT(mt_shake_out(&s).size, 0);
    }
    end(&self);
}

static void refuses_names_that_it_asked_for(void) {
    static const char *const bad[] = {"736e616d65643a", "736e616d65643a0003614062000000", "736e616d65643a000361" "4020" "00000005", "736e616d65643a00067240" "6e6f6465" "00000005"};
    static const enum mt_verdict why[] = {MT_NO_GARBLED, MT_NO_GARBLED, MT_NO_NAME, MT_NO_NAME};
    struct mt_shake_self self = node("h", 0, secret);
    struct mt_shake s;
    for (size_t i = 0; i < 4; i++) {
        mt_shake_dial(&s, &self, text("r@node"), 0);
        feed(&s, hex(bad[i]));
        check_over(&s, why[i]);
    }
    mt_shake_dial(&s, &self, text("r@node"), 0);
    feed_text(&s, "sok");
    check_over(&s, MT_NO_STATUS);
    mt_shake_dial(&s, &self, text("r@node"), 0);
    CHECK_INT(feed(&s, hex("736e616d65643a000361406200000005ffff")), MT_SHAKE_WAITS);
    CHECK(s.creation == 5 && s.name_size == 3 && memcmp(s.name, "a@b", 3) == 0);
    end(&self);
}

/* A node with these flags; the verdict about it. */
static enum mt_verdict verdict_of_flags(struct mt_shake_self *self, uint64_t flags) {
    uint8_t name[] = {'N', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 3, 'a', '@', 'b'};
    struct mt_shake s;
    for (int i = 0; i < 8; i++) name[1 + i] = (uint8_t)(flags >> (56 - 8 * i));
    mt_shake_accept(&s, self, 0);
    feed(&s, (mote_bytes){name, sizeof name});
    CHECK((s.step == MT_SHAKE_NAMED) == (s.verdict == MT_FINE));
    return s.verdict;
}

static void flags_that_must_be(void) {
    struct mt_shake_self self = node("t1@h", 5, secret);
    uint64_t late = MT_FLAG_DIGEST | MT_FLAG_UNLINK_ID | MT_FLAG_V4_NC;
    CHECK_INT(verdict_of_flags(&self, MT_FLAGS_NEEDED), MT_FINE);
    CHECK_INT(verdict_of_flags(&self, late), MT_FINE); /* stands for the others */
    CHECK_INT(verdict_of_flags(&self, ~MT_FLAG_NAME_ME), MT_FINE); /* unknown ones do not matter */
    for (unsigned bit = 0; bit < 64; bit++) {
        if (MT_FLAGS_NEEDED >> bit & 1) CHECK_INT(verdict_of_flags(&self, MT_FLAGS_NEEDED & ~MT_FLAG(bit)), MT_NO_FLAGS);
        if (late >> bit & 1) CHECK_INT(verdict_of_flags(&self, late & ~MT_FLAG(bit)), MT_NO_FLAGS);
    }
    CHECK_INT(verdict_of_flags(&self, MT_FLAG(36) | MT_FLAG_UNLINK_ID | MT_FLAG_V4_NC), MT_NO_FLAGS); /* a misprint in Erlang's document */
    CHECK(mt_flags_agreed(~(uint64_t)0, MT_FLAGS_OFFERED) == MT_FLAGS_OFFERED && mt_flags_agreed(late, MT_FLAGS_NEEDED) == MT_FLAGS_NEEDED);
    end(&self);
}

static void sizes(void) {
    struct mt_shake_self self = node("t1@127.0.0.1", 5, secret);
    struct mt_shake s;
    size_t used = 0;
    static uint8_t big[2 + MT_SHAKE_MESSAGE_MAX];
    mote_bytes name = hex(THEIR_NAME);
    _Static_assert(sizeof(struct mt_shake) <= 4096, "S1");
    mt_shake_accept(&s, &self, 0);
    CHECK_INT(mt_shake_feed(&s, "\x08\x01", 2, 0, &used), MT_SHAKE_OVER); /* 2049, before a byte of it has come */
    check_over(&s, MT_NO_TOO_LONG);
    mt_shake_accept(&s, &self, 0);
    mt_shake_feed(&s, "\0\0", 2, 0, &used);
    check_over(&s, MT_NO_GARBLED);
    memcpy(big, name.data, name.size);
    mt_shake_accept(&s, &self, 0);
    CHECK_INT(feed(&s, (mote_bytes){big, MT_SHAKE_MESSAGE_MAX}), MT_SHAKE_NAMED); /* S6 */
    self.prefix = 4;
    mt_shake_accept(&s, &self, 0);
    mt_shake_feed(&s, "\x80\0\0\1", 4, 0, &used);
    check_over(&s, MT_NO_TOO_LONG);
    memset(big, 'x', sizeof big);
    CHECK(!mt_node_name_fits((mote_bytes){big, 10}));
    big[1] = '@';
    CHECK(mt_node_name_fits((mote_bytes){big, 255}) && !mt_node_name_fits((mote_bytes){big, 256}) && mt_node_name_fits((mote_bytes){big, 3}) &&
          !mt_node_name_fits((mote_bytes){big, 2}));
    end(&self);
}

static void the_longest_names(void) {
    static char left[256], right[256];
    memset(left, 'l', 255), memset(right, 'r', 255);
    left[100] = right[100] = '@';
    struct mt_shake_self l = node(left, 5, secret), r = node(right, 6, secret), no_name = node(left + 101, 0, secret);
    struct side a = {0}, b = {.admits = true};
    l.prefix = r.prefix = no_name.prefix = 4;
    shake_hands(&a, &l, &b, &r, 100);
    CHECK(a.shake.step == MT_SHAKE_UP && b.shake.step == MT_SHAKE_UP);
    shake_hands(&a, &no_name, &b, &r, 100);
    CHECK(a.shake.step == MT_SHAKE_UP && b.shake.step == MT_SHAKE_UP);
    char longest_host[242];
    memset(longest_host, 'h', 241), longest_host[241] = 0;
    struct mt_shake_self longest = node(longest_host, 0, secret);
    longest.prefix = 4;
    shake_hands(&a, &longest, &b, &r, 100);
    CHECK(a.shake.step == MT_SHAKE_UP && b.shake.step == MT_SHAKE_UP);
    CHECK_INT(a.shake.name_size, 255);
    end(&l), end(&r), end(&no_name), end(&longest);
}

/* ------------------------------------------------------------------------------------------------ time, challenges */

static void who_is_late(void) {
    struct mt_shake_self self = node("t1@127.0.0.1", 5, secret);
    struct mt_shake s;
    size_t used = 0;
    uint64_t now = 100 * SECOND;
    mt_shake_accept(&s, &self, now);
    CHECK_INT(mt_shake_due(&s), now + MT_SHAKE_STEP_NS);
    mote_bytes name = framed(hex(THEIR_NAME));
    for (size_t n = 0; n + 1 < name.size; n++) mt_shake_feed(&s, (const uint8_t *)name.data + n, 1, now + n, &used);
    CHECK_INT(mt_shake_due(&s), now + MT_SHAKE_STEP_NS); /* drops do not help */
    now += 5 * SECOND;
    CHECK_INT(mt_shake_feed(&s, (const uint8_t *)name.data + name.size - 1, 1, now, &used), MT_SHAKE_NAMED);
    CHECK_INT(mt_shake_due(&s), now + MT_SHAKE_STEP_NS);
    mt_shake_decide(&s, MT_SHAKE_IS_UP, now);
    now += 5 * SECOND;
    mt_shake_feed(&s, "\0\5strue", 7, now, &used);
    CHECK_INT(mt_shake_due(&s), 100 * SECOND + MT_SHAKE_NS); /* S2: nor do messages */
    CHECK_INT(mt_shake_late(&s, 100 * SECOND + MT_SHAKE_NS - 1), MT_SHAKE_WAITS);
    CHECK_INT(mt_shake_late(&s, 100 * SECOND + MT_SHAKE_NS), MT_SHAKE_OVER);
    check_over(&s, MT_NO_LATE);
    CHECK_INT(mt_shake_feed(&s, "\0\5strue", 7, now, &used), MT_SHAKE_OVER);
    CHECK_INT(used, 0);
    end(&self);
}

/* Somebody without the cookie lets us dial him, and hands us the challenge that we gave him when he dialled us. */
static void our_own_challenge_is_not_answered(void) {
    struct mt_shake_self victim = node("victim@h", 5, secret);
    struct mt_shake in, out;
    mt_shake_accept(&in, &victim, 0);
    feed(&in, hex("4e0000000d07df7fbc112233440006" "6576696c4068")); /* evil@h */
    mt_shake_decide(&in, MT_SHAKE_DIALLED, 0);
    check_over(&in, MT_NO_OURS_FIRST); /* the first line of defence is the name; he takes another */
    mt_shake_accept(&in, &victim, 0);
    feed(&in, hex("4e0000000d07df7fbc112233440006" "6576696d4068"));
    mt_shake_decide(&in, MT_SHAKE_STRANGER, 0);
    mt_shake_out(&in);
    mt_shake_dial(&out, &victim, text("evil@h"), 0);
    mt_shake_out(&out);
    feed_text(&out, "sok");
    uint8_t message[] = "N\0\0\0\x0d\x07\xdf\x7f\xbc____\0\0\0\x09\0\6evil@h";
    for (int i = 0; i < 4; i++) message[9 + i] = (uint8_t)(in.challenge >> (24 - 8 * i));
    feed(&out, (mote_bytes){message, sizeof message - 1});
    check_over(&out, MT_NO_REFLECTED);
    CHECK_INT(mt_shake_out(&out).size, 0);
    uint8_t reply[21] = "r";
    for (int i = 0; i < 4; i++) reply[1 + i] = (uint8_t)(in.challenge >> (24 - 8 * i));
    feed(&in, (mote_bytes){reply, sizeof reply});
    check_over(&in, MT_NO_REFLECTED);
    end(&victim);
}

static void challenges_are_remembered(void) {
    struct mt_challenges *c = NULL;
    static uint32_t given[2 * MT_CHALLENGES];
    CHECK_OK(mt_challenges_new(&c));
    for (size_t i = 0; i < 2 * MT_CHALLENGES; i++) {
        given[i] = mt_challenges_issue(c, i);
        CHECK(mt_challenges_issued(c, given[i], i) && !mt_challenges_issued(c, ~given[i] ^ 0x5a5a5a5a, MT_CHALLENGE_NS + i));
    }
    size_t old = 0;
    for (size_t i = 0; i < 2 * MT_CHALLENGES; i++) {
        bool known = mt_challenges_issued(c, given[i], 2 * MT_CHALLENGES);
        if (i > MT_CHALLENGES) CHECK(known); /* H2 */
        else old += known;
    }
    CHECK(old < 20); /* one of those may have been drawn twice */
    CHECK(!mt_challenges_issued(c, given[2 * MT_CHALLENGES - 1], 2 * MT_CHALLENGES - 1 + MT_CHALLENGE_NS));
    CHECK(mt_challenges_issued(c, given[2 * MT_CHALLENGES - 1], 2 * MT_CHALLENGES - 2 + MT_CHALLENGE_NS));
    mt_challenges_free(c);
}

static void challenges_without_memory(void) {
    for (uint64_t n = 1;; n++) {
        struct mt_challenges *c = NULL;
        mt_os_fault_arm(n, false);
        mote_err err = mt_challenges_new(&c);
        uint64_t passed = mt_os_fault_count();
        mt_os_fault_arm(0, false);
        CHECK_INT(err, passed < n ? MOTE_OK : MOTE_ENOMEM);
        mt_challenges_free(c);
        if (passed < n) break;
    }
}

#define THREADS 4u
#define EACH 16000u

static struct {
    struct mt_challenges *challenges;
    uint32_t given[THREADS][EACH];
} crowd;

static void *issues(void *context) {
    uint32_t *given = context;
    for (size_t i = 0; i < EACH; i++) {
        given[i] = mt_challenges_issue(crowd.challenges, i);
        CHECK(mt_challenges_issued(crowd.challenges, given[i], i));
    }
    return NULL;
}

/* Fewer altogether than are remembered. */
static void challenges_of_many_threads(void) {
    pthread_t threads[THREADS];
    CHECK_OK(mt_challenges_new(&crowd.challenges));
    for (unsigned i = 0; i < THREADS; i++) CHECK_OK(mt_os_thread_start(&threads[i], issues, crowd.given[i], "issues"));
    for (unsigned i = 0; i < THREADS; i++) mt_os_thread_join(threads[i]);
    for (unsigned i = 0; i < THREADS; i++) CHECK(mt_challenges_issued(crowd.challenges, crowd.given[i][EACH - 1], EACH));
    mt_challenges_free(crowd.challenges);
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void challenges_differ(void) {
    struct mt_shake_self self = node("t1@127.0.0.1", 5, secret);
    static uint32_t given[2000];
    for (size_t i = 0; i < 2000; i++) {
        struct mt_shake s;
        mt_shake_accept(&s, &self, 0);
        feed(&s, hex(THEIR_NAME));
        mt_shake_decide(&s, MT_SHAKE_STRANGER, 0);
        given[i] = s.challenge;
    }
    qsort(given, 2000, sizeof *given, by_value);
    for (size_t i = 1; i < 2000; i++) CHECK(given[i] != given[i - 1]); /* H1 */
    CHECK(given[1000] > UINT32_MAX / 4 && given[1000] < UINT32_MAX / 4 * 3);
    end(&self);
}

static void bad_names_in_the_log(void) {
    struct mt_shake_self self = node("t1@127.0.0.1", 5, secret);
    struct mt_shake s;
    char to[200];
    mt_shake_accept(&s, &self, 0);
    feed(&s, hex("4e0000000d07df7fbc1122334400050a1b5b3140"));
    check_over(&s, MT_NO_NAME);
    CHECK_STR(mt_shake_print(&s, to, sizeof to), "connection from `\\x0a\\x1b[1@`: its name is none that a node may have");
    mt_shake_accept(&s, &self, 0);
    feed(&s, hex("00"));
    CHECK_STR(mt_shake_print(&s, to, sizeof to), "connection from `somebody`: what it sends is no message of this protocol");
    end(&self);
}

int main(int argc, char **argv) {
    return check_main(argc, argv,
                      (struct check_test[]){TEST(dials_as_recorded), TEST(accepts_as_recorded), TEST(digests_as_erlang_makes_them), TEST(mote_and_mote),
                                            TEST(bytes_behind_are_not_consumed), TEST(cookies_that_differ), TEST(an_ack_that_is_wrong), TEST(both_dial_at_once),
                                            TEST(connected_already), TEST(who_has_no_name_gets_one), TEST(a_name_that_was_asked_for_shows_in_the_flags),
                                            TEST(refuses_to_accept), TEST(refuses_to_go_on_dialling), TEST(refuses_names_that_it_asked_for),
                                            TEST(flags_that_must_be), TEST(sizes), TEST(the_longest_names), TEST(who_is_late),
                                            TEST(our_own_challenge_is_not_answered), TEST(challenges_are_remembered), TEST(challenges_without_memory), TEST(challenges_of_many_threads), TEST(challenges_differ),
                                            TEST(bad_names_in_the_log), {0}});
}
