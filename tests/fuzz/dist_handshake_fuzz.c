/* SPDX-License-Identifier: Apache-2.0
 * What must hold of any bytes that come in a handshake.
 *
 * The first byte chooses the role and the answers to steps, the second how many bytes come at once, four are our challenge (so that one that was recorded goes on to its
 * end), the others come from the peer. */
#include "dist/handshake.h"

#include "check.h"
#include "mote/mote.h"

enum { DIALS = 1, LONG_PREFIX = 2, KNOWN = 12, REFUSES = 16, NAMELESS = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t cookie(void *context, mote_bytes peer, char to[MT_COOKIE_MAX]) {
    static const char lab[] = "labcookie1234567890";
    (void)context;
    CHECK(peer.size > 0 && peer.size <= MT_NODE_NAME_MAX);
    memcpy(to, lab, sizeof lab - 1);
    return sizeof lab - 1;
}

static void act(struct mt_shake *s, unsigned choice) {
    mote_bytes peer = {s->peer, s->peer_size};
    if (s->step != MT_SHAKE_OVER && s->peer_size) CHECK(mt_node_name_fits(peer));
    switch (s->step) {
    case MT_SHAKE_NAMED: mt_shake_decide(s, (enum mt_shake_known)((choice & KNOWN) >> 2), 0); break;
    case MT_SHAKE_LINKED: mt_shake_insist(s, !(choice & REFUSES)); break;
    case MT_SHAKE_PROVEN: mt_shake_admit(s, !(choice & REFUSES)); break;
    default: break;
    }
}

/* Bytes to the end of the prefix, or of the message: then the challenge has to be put in. */
static size_t to_the_end(const struct mt_shake *s) { return s->head < s->self->prefix ? s->self->prefix - s->head : s->size - s->come; }

/* All of it, so many bytes at once at most; how many were consumed. */
static size_t run(struct mt_shake *s, const struct mt_shake_self *self, unsigned choice, uint32_t challenge, const uint8_t *p, size_t size, size_t at_once) {
    size_t at = 0, used = 0;
    if (choice & DIALS) mt_shake_dial(s, self, (mote_bytes){"probe@localhost", 15}, 0);
    else mt_shake_accept(s, self, 0);
    for (;;) {
        size_t chunk = size - at < at_once ? size - at : at_once, end = to_the_end(s);
        mt_shake_feed(s, p + at, chunk < end ? chunk : end, 0, &used);
        CHECK(used <= size - at && used <= at_once);
        at += used;
        bool asked = s->step == MT_SHAKE_NAMED || s->step == MT_SHAKE_LINKED || s->step == MT_SHAKE_PROVEN;
        act(s, choice);
        s->challenge = challenge;
        CHECK(mt_shake_out(s).size <= sizeof s->out);
        if (s->step == MT_SHAKE_UP || s->step == MT_SHAKE_OVER || (!asked && at == size)) return at;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct mt_challenges *challenges;
    if (size < 6) return 0;
    if (!challenges) CHECK_OK(mt_challenges_new(&challenges));
    unsigned choice = data[0];
    bool nameless = choice & DIALS && choice & NAMELESS;
    struct mt_shake_self self = {
        .name = nameless ? (mote_bytes){"localhost", 9} : (mote_bytes){"motepeer@localhost", 18},
        .creation = nameless ? 0 : 5,
        .flags = MT_FLAGS_OFFERED,
        .prefix = choice & LONG_PREFIX ? 4 : 2,
        .challenges = challenges,
        .cookie = cookie,
    };
    uint32_t challenge = (uint32_t)data[2] << 24 | (uint32_t)data[3] << 16 | (uint32_t)data[4] << 8 | data[5];
    struct mt_shake whole, split;
    char text[200];
    size_t atoms = mote_atom_count();
    size_t used = run(&whole, &self, choice, challenge, data + 6, size - 6, size);
    CHECK_INT(run(&split, &self, choice, challenge, data + 6, size - 6, 1u + data[1]), used);
    CHECK(whole.step == split.step && whole.verdict == split.verdict && whole.flags == split.flags); /* it does not matter how bytes come */
    CHECK((whole.step == MT_SHAKE_OVER) == (whole.verdict > MT_MORE));
    if (whole.step == MT_SHAKE_UP) CHECK(mt_flags_suffice(whole.flags) && mt_node_name_fits((mote_bytes){whole.name, whole.name_size}));
    for (const char *c = mt_shake_print(&whole, text, sizeof text); *c; c++) CHECK(*c >= ' ' && *c < 127);
    CHECK_INT(mote_atom_count(), atoms);
    return 0;
}
