/* SPDX-License-Identifier: Apache-2.0
 * See handshake.h. */
#include "dist/handshake.h"

#include <mote/external.h>
#include <string.h>

/* The message that is expected, and what to do with it. */
enum { NAME, INSISTENCE, REPLY, STATUS, CHALLENGE, ACK, NOTHING };

#define INVENTED 13u /* characters of 5 bits that stand before the @ of an invented name */

static mote_bytes peer_of(const struct mt_shake *s) { return (mote_bytes){s->peer, s->peer_size}; }

static bool same(mote_bytes bytes, const char *text, size_t size) { return bytes.size == size && memcmp(bytes.data, text, size) == 0; }

/* Printable ASCII; how many @ are in it, and none at an end. -1: it is not that. */
static int printable(mote_bytes name) {
    const uint8_t *p = name.data;
    int ats = 0;
    for (size_t i = 0; i < name.size; i++) {
        if (p[i] < 0x21 || p[i] > 0x7e || (p[i] == '@' && (i == 0 || i + 1 == name.size))) return -1;
        ats += p[i] == '@';
    }
    return ats;
}

bool mt_node_goes_first(mote_bytes a, mote_bytes b) {
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order ? order > 0 : a.size > b.size;
}

bool mt_node_name_fits(mote_bytes name) { return name.size <= MT_NODE_NAME_MAX && printable(name) == 1; }

/* ------------------------------------------------------------------------------------------------ steps */

static enum mt_shake_step step(struct mt_shake *s, enum mt_shake_step to) { return s->step = to; }

static enum mt_shake_step over(struct mt_shake *s, enum mt_verdict why) {
    s->verdict = why;
    s->expects = NOTHING;
    return step(s, MT_SHAKE_OVER);
}

static enum mt_shake_step expect(struct mt_shake *s, unsigned message) {
    s->expects = message;
    return step(s, MT_SHAKE_WAITS);
}

/* ------------------------------------------------------------------------------------------------ writing */

/* Room for a message; its prefix is written. */
static uint8_t *put(struct mt_shake *s, size_t size) {
    uint8_t *p = s->out + s->out_size;
    MT_ASSERT(s->out_size + s->self->prefix + size <= sizeof s->out);
    if (s->self->prefix == 2) mote_put16_(p, size);
    else mote_put32_(p, size);
    s->out_size += s->self->prefix + size;
    return p + s->self->prefix;
}

static void put_status(struct mt_shake *s, const char *status) {
    uint8_t *p = put(s, 1 + strlen(status));
    p[0] = 's';
    memcpy(p + 1, status, strlen(status));
}

/* The name that we have made for it. */
static void put_named(struct mt_shake *s) {
    static const char head[] = "snamed:";
    uint8_t *p = put(s, sizeof head - 1 + 2 + s->peer_size + 4);
    memcpy(p, head, sizeof head - 1);
    p += sizeof head - 1;
    mote_put16_(p, s->peer_size);
    memcpy(p + 2, s->peer, s->peer_size);
    mote_put32_(p + 2 + s->peer_size, s->peer_creation);
}

static void put_name(struct mt_shake *s) {
    bool nameless = s->creation == 0;
    uint8_t *p = put(s, 15 + s->name_size);
    p[0] = 'N';
    mote_put64_(p + 1, s->self->flags | (nameless ? MT_FLAG_NAME_ME : 0));
    mote_put32_(p + 9, s->creation);
    mote_put16_(p + 13, s->name_size);
    memcpy(p + 15, s->name, s->name_size);
}

static void put_challenge(struct mt_shake *s, uint64_t now_ns) {
    uint64_t flags = s->nameless ? (s->self->flags | MT_FLAG_NAME_ME) & ~MT_FLAG_PUBLISHED : s->self->flags;
    uint8_t *p = put(s, 19 + s->name_size);
    s->challenge = mt_challenges_issue(s->self->challenges, now_ns);
    p[0] = 'N';
    mote_put64_(p + 1, flags);
    mote_put32_(p + 9, s->challenge);
    mote_put32_(p + 13, s->creation);
    mote_put16_(p + 17, s->name_size);
    memcpy(p + 19, s->name, s->name_size);
}

/* The digest of a challenge with the cookie for the peer. */
static enum mt_verdict digest(struct mt_shake *s, uint32_t challenge, uint8_t to[MT_DIGEST_BYTES]) {
    char cookie[MT_COOKIE_MAX];
    size_t size = s->self->cookie(s->self->context, peer_of(s), cookie);
    MT_ASSERT(size <= sizeof cookie);
    if (size == 0) return MT_NO_NO_COOKIE;
    bool done = mt_digest((mote_bytes){cookie, size}, challenge, to);
    mt_digest_wipe(cookie, sizeof cookie);
    return done ? MT_FINE : MT_NO_DIGEST;
}

/* Whether this is the digest of our challenge (S3). */
static enum mt_verdict verify(struct mt_shake *s, const uint8_t *theirs) {
    uint8_t right[MT_DIGEST_BYTES];
    enum mt_verdict verdict = digest(s, s->challenge, right);
    return verdict != MT_FINE || mt_digest_same(right, theirs) ? verdict : MT_NO_COOKIE;
}

/* ------------------------------------------------------------------------------------------------ accepting */

/* A name for who has none: random, at its host, so that nobody else has it or has had it. */
static void invent(struct mt_shake *s, mote_bytes host) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint64_t bits = mt_os_random();
    for (size_t i = 0; i < INVENTED; i++, bits >>= 5) s->peer[i] = digits[bits & 31];
    s->peer[INVENTED] = '@';
    memcpy(s->peer + INVENTED + 1, host.data, host.size);
    s->peer_size = INVENTED + 1 + host.size;
    do
        s->peer_creation = (uint32_t)mt_os_random();
    while (s->peer_creation < 4);
}

/* Keeps what it says of itself. */
static enum mt_verdict take_name(struct mt_shake *s, mote_bytes name, uint32_t creation) {
    s->nameless = (s->theirs & MT_FLAG_NAME_ME) != 0;
    bool fits = s->nameless ? printable(name) == 0 && name.size >= 1 && name.size <= MT_NODE_NAME_MAX - INVENTED - 1 : mt_node_name_fits(name);
    s->peer_size = name.size < sizeof s->peer ? name.size : sizeof s->peer;
    memcpy(s->peer, name.data, s->peer_size); /* to be shown, if it does not fit */
    s->peer_creation = creation;
    if (!fits) return MT_NO_NAME;
    if (same(name, s->name, s->name_size)) return MT_NO_SELF;
    if (s->nameless) invent(s, name);
    return MT_FINE;
}

static enum mt_shake_step name_came(struct mt_shake *s, size_t size) {
    const uint8_t *p = s->in;
    if (p[0] == 'n') return over(s, MT_NO_OLD_SHAKE);
    if (p[0] != 'N' || size < 15 || mote_get16_(p + 13) > size - 15) return over(s, MT_NO_GARBLED);
    s->theirs = mote_get64_(p + 1);
    s->flags = mt_flags_agreed(s->self->flags, s->theirs);
    enum mt_verdict verdict = take_name(s, (mote_bytes){p + 15, mote_get16_(p + 13)}, mote_get32_(p + 9));
    if (verdict != MT_FINE) return over(s, verdict);
    if (s->nameless) s->flags &= ~MT_FLAG_PUBLISHED;
    if (mt_flags_suffice(s->flags)) return step(s, MT_SHAKE_NAMED);
    put_status(s, "not_allowed");
    return over(s, MT_NO_FLAGS);
}

enum mt_shake_step mt_shake_decide(struct mt_shake *shake, enum mt_shake_known known, uint64_t now_ns) {
    struct mt_shake *s = shake;
    MT_ASSERT(s->step == MT_SHAKE_NAMED);
    if (known == MT_SHAKE_BARRED || (s->nameless && known != MT_SHAKE_STRANGER)) {
        put_status(s, "not_allowed");
        return over(s, MT_NO_NOT_ALLOWED);
    }
    if (known == MT_SHAKE_DIALLED && mt_node_goes_first((mote_bytes){s->name, s->name_size}, (mote_bytes){s->peer, s->peer_size})) {
        put_status(s, "nok");
        return over(s, MT_NO_OURS_FIRST);
    }
    if (known == MT_SHAKE_IS_UP) {
        put_status(s, "alive");
        return expect(s, INSISTENCE);
    }
    if (s->nameless) put_named(s);
    else put_status(s, known == MT_SHAKE_DIALLED ? "ok_simultaneous" : "ok");
    put_challenge(s, now_ns);
    return expect(s, REPLY);
}

static enum mt_shake_step insistence_came(struct mt_shake *s, size_t size, uint64_t now_ns) {
    if (s->in[0] != 's') return over(s, MT_NO_GARBLED);
    if (!same((mote_bytes){s->in + 1, size - 1}, "true", 4)) return over(s, MT_NO_LINKED);
    put_challenge(s, now_ns);
    return expect(s, REPLY);
}

static enum mt_shake_step reply_came(struct mt_shake *s, size_t size) {
    if (s->in[0] != 'r' || size != 5 + MT_DIGEST_BYTES) return over(s, MT_NO_GARBLED);
    if (mote_get32_(s->in + 1) == s->challenge) return over(s, MT_NO_REFLECTED);
    enum mt_verdict verdict = verify(s, s->in + 5);
    if (verdict != MT_FINE) return over(s, verdict);
    return step(s, MT_SHAKE_PROVEN);
}

enum mt_shake_step mt_shake_admit(struct mt_shake *shake, bool admitted) {
    uint8_t ack[MT_DIGEST_BYTES];
    MT_ASSERT(shake->step == MT_SHAKE_PROVEN);
    if (!admitted) return over(shake, MT_NO_LINKED);
    enum mt_verdict verdict = digest(shake, mote_get32_(shake->in + 1), ack); /* the reply is kept */
    if (verdict != MT_FINE) return over(shake, verdict);
    uint8_t *p = put(shake, 1 + MT_DIGEST_BYTES);
    p[0] = 'a';
    memcpy(p + 1, ack, MT_DIGEST_BYTES);
    shake->expects = NOTHING;
    return step(shake, MT_SHAKE_UP);
}

/* ------------------------------------------------------------------------------------------------ dialling */

/* The name that we have asked for. */
static enum mt_shake_step named(struct mt_shake *s, const uint8_t *p, size_t size) {
    if (s->creation != 0) return over(s, MT_NO_STATUS);
    if (size < 2 || size - 2 < (size_t)mote_get16_(p) + 4) return over(s, MT_NO_GARBLED);
    mote_bytes name = {p + 2, mote_get16_(p)};
    if (!mt_node_name_fits(name) || same(name, s->peer, s->peer_size)) return over(s, MT_NO_NAME);
    memcpy(s->name, name.data, name.size);
    s->name_size = name.size;
    s->creation = mote_get32_(p + 2 + name.size);
    return expect(s, CHALLENGE);
}

static enum mt_shake_step status_came(struct mt_shake *s, size_t size) {
    static const char by_name[] = "named:";
    mote_bytes status = {s->in + 1, size - 1};
    if (s->in[0] != 's') return over(s, MT_NO_GARBLED);
    if (status.size >= 6 && memcmp(status.data, by_name, 6) == 0) return named(s, s->in + 7, size - 7);
    if (same(status, "nok", 3)) return over(s, MT_NO_THEIRS_FIRST);
    if (same(status, "not_allowed", 11)) return over(s, MT_NO_REFUSED);
    if (s->creation == 0) return over(s, MT_NO_STATUS); /* who has no name is given one */
    if (same(status, "ok", 2) || same(status, "ok_simultaneous", 15)) return expect(s, CHALLENGE);
    return same(status, "alive", 5) ? step(s, MT_SHAKE_LINKED) : over(s, MT_NO_STATUS);
}

enum mt_shake_step mt_shake_insist(struct mt_shake *shake, bool wanted) {
    MT_ASSERT(shake->step == MT_SHAKE_LINKED);
    put_status(shake, wanted ? "true" : "false");
    return wanted ? expect(shake, CHALLENGE) : over(shake, MT_NO_LINKED);
}

static enum mt_shake_step challenge_came(struct mt_shake *s, size_t size, uint64_t now_ns) {
    const uint8_t *p = s->in;
    if (p[0] == 'n') return over(s, MT_NO_OLD_SHAKE);
    if (p[0] != 'N' || size < 19 || mote_get16_(p + 17) > size - 19) return over(s, MT_NO_GARBLED);
    if (!same((mote_bytes){p + 19, mote_get16_(p + 17)}, s->peer, s->peer_size)) return over(s, MT_NO_OTHER_NAME); /* S4 */
    s->theirs = mote_get64_(p + 1);
    s->flags = mt_flags_agreed(s->self->flags, s->theirs);
    s->peer_creation = mote_get32_(p + 13);
    if (s->self->creation == 0) s->flags &= ~MT_FLAG_PUBLISHED;
    if (!mt_flags_suffice(s->flags)) return over(s, MT_NO_FLAGS);
    uint32_t challenge = mote_get32_(p + 9);
    if (mt_challenges_issued(s->self->challenges, challenge, now_ns)) return over(s, MT_NO_REFLECTED); /* S3 */
    uint8_t reply[MT_DIGEST_BYTES];
    enum mt_verdict verdict = digest(s, challenge, reply);
    if (verdict != MT_FINE) return over(s, verdict);
    s->challenge = mt_challenges_issue(s->self->challenges, now_ns);
    uint8_t *to = put(s, 5 + MT_DIGEST_BYTES);
    to[0] = 'r';
    mote_put32_(to + 1, s->challenge);
    memcpy(to + 5, reply, MT_DIGEST_BYTES);
    return expect(s, ACK);
}

static enum mt_shake_step ack_came(struct mt_shake *s, size_t size) {
    if (s->in[0] != 'a' || size != 1 + MT_DIGEST_BYTES) return over(s, MT_NO_GARBLED);
    enum mt_verdict verdict = verify(s, s->in + 1);
    if (verdict != MT_FINE) return over(s, verdict);
    s->expects = NOTHING;
    return step(s, MT_SHAKE_UP);
}

/* ------------------------------------------------------------------------------------------------ both */

static void begin(struct mt_shake *s, const struct mt_shake_self *self, uint64_t now_ns) {
    MT_ASSERT(self->prefix == 2 || self->prefix == 4);
    MT_ASSERT(self->creation ? mt_node_name_fits(self->name) : printable(self->name) == 0 && self->name.size > 0);
    MT_ASSERT(self->name.size <= MT_NODE_NAME_MAX);
    *s = (struct mt_shake){.self = self, .creation = self->creation, .name_size = self->name.size, .began_ns = now_ns, .step_ns = now_ns};
    memcpy(s->name, self->name.data, self->name.size);
}

void mt_shake_dial(struct mt_shake *shake, const struct mt_shake_self *self, mote_bytes peer, uint64_t now_ns) {
    MT_ASSERT(mt_node_name_fits(peer));
    begin(shake, self, now_ns);
    shake->dialling = true;
    memcpy(shake->peer, peer.data, peer.size);
    shake->peer_size = peer.size;
    put_name(shake);
    expect(shake, STATUS);
}

void mt_shake_accept(struct mt_shake *shake, const struct mt_shake_self *self, uint64_t now_ns) {
    MT_ASSERT(self->creation >= 4); /* who has no name cannot be dialled */
    begin(shake, self, now_ns);
    expect(shake, NAME);
}

/* A message is whole, or all of it that is kept. */
static enum mt_shake_step message_came(struct mt_shake *s, uint64_t now_ns) {
    size_t size = s->size < MT_SHAKE_KEPT ? s->size : MT_SHAKE_KEPT;
    unsigned expects = s->expects;
    s->head = s->size = s->come = 0;
    s->step_ns = now_ns;
    switch (expects) {
    case NAME: return name_came(s, size);
    case INSISTENCE: return insistence_came(s, size, now_ns);
    case REPLY: return reply_came(s, size);
    case STATUS: return status_came(s, size);
    case CHALLENGE: return challenge_came(s, size, now_ns);
    default: MT_ASSERT(expects == ACK); return ack_came(s, size);
    }
}

/* Takes bytes up to a message's end; how many. */
static size_t take(struct mt_shake *s, const uint8_t *p, size_t size) {
    size_t used = 0;
    for (; s->head < s->self->prefix && used < size; s->head++) s->size = s->size << 8 | p[used++];
    if (s->head < s->self->prefix) return used;
    if (s->size == 0 || s->size > MT_SHAKE_MESSAGE_MAX) {
        over(s, s->size ? MT_NO_TOO_LONG : MT_NO_GARBLED);
        return used;
    }
    size_t more = s->size - s->come < size - used ? s->size - s->come : size - used;
    for (size_t i = 0; i < more && s->come + i < MT_SHAKE_KEPT; i++) s->in[s->come + i] = p[used + i];
    s->come += more;
    return used + more;
}

enum mt_shake_step mt_shake_feed(struct mt_shake *shake, const void *data, size_t size, uint64_t now_ns, size_t *used) {
    *used = 0;
    while (shake->step == MT_SHAKE_WAITS && *used < size) {
        *used += take(shake, (const uint8_t *)data + *used, size - *used);
        if (shake->step == MT_SHAKE_WAITS && shake->head == shake->self->prefix && shake->come == shake->size) message_came(shake, now_ns);
    }
    return shake->step;
}

mote_bytes mt_shake_out(struct mt_shake *shake) {
    mote_bytes out = {shake->out, shake->out_size};
    shake->out_size = 0;
    return out;
}

uint64_t mt_shake_due(const struct mt_shake *shake) {
    if (shake->step == MT_SHAKE_UP || shake->step == MT_SHAKE_OVER) return MT_NEVER;
    uint64_t whole = shake->began_ns + MT_SHAKE_NS, message = shake->step_ns + MT_SHAKE_STEP_NS;
    return whole < message ? whole : message;
}

enum mt_shake_step mt_shake_late(struct mt_shake *shake, uint64_t now_ns) {
    return now_ns >= mt_shake_due(shake) ? over(shake, MT_NO_LATE) : shake->step;
}

char *mt_shake_print(const struct mt_shake *shake, char *to, size_t size) {
    static const char nobody[] = "somebody";
    mote_bytes peer = shake->peer_size ? peer_of(shake) : (mote_bytes){nobody, sizeof nobody - 1};
    return mt_verdict_print(shake->verdict, shake->dialling ? "connecting to" : "connection from", peer, to, size);
}
