/* SPDX-License-Identifier: Apache-2.0
 * What must hold of any bytes that come after a handshake: frames, the atoms in their headers, pieces, control messages.
 *
 * The first byte chooses what was agreed on and the limits, the second how many bytes come at once, the others are frames. */
#include <mote/external.h>

#include "check.h"
#include "dist/control.h"
#include "dist/frame.h"

enum { NO_CACHE = 1, NO_PIECES = 2, SMALL = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char peer[] = "probe@localhost";

/* Of all that has come. */
struct sum {
    uint64_t hash, messages;
    enum mt_verdict verdict;
    struct mt_frames_out **again; /* made for the first message that can go; NULL: none shall */
};

static void add(struct sum *sum, mote_bytes bytes) {
    const uint8_t *p = bytes.data;
    for (size_t i = 0; i < bytes.size; i++) sum->hash = (sum->hash ^ p[i]) * UINT64_C(1099511628211);
    sum->hash = (sum->hash ^ bytes.size) * UINT64_C(1099511628211);
}

/* The bytes of the term that stands first; 0: there is none. */
static size_t one_term(mote_bytes bytes) {
    mote_reader r;
    mote_reader_init(&r, MOTE_FORM_ERLANG, bytes.data, bytes.size);
    return bytes.size && mote_reader_skip(&r, 1) ? (size_t)(r.next - r.data) : 0;
}

/* A control message that was read can be written, and is the same when it is read again. */
static void control(const struct mt_frame *frame, uint64_t flags) {
    struct mt_control c, again;
    mote_writer w;
    bool follows;
    if (mt_control_read(frame->control, frame->payload, flags, (mote_bytes){peer, sizeof peer - 1}, &c) != MT_FINE) return;
    mote_writer_init(&w, MOTE_FORM_ERLANG, NULL, 0, 1 << 24);
    CHECK_INT(mt_control_write(&c, flags, &w, &follows), MT_FINE);
    enum mt_verdict verdict = mt_control_read(mote_writer_bytes(&w), follows ? c.payload : (mote_bytes){NULL, 0}, flags, (mote_bytes){peer, sizeof peer - 1}, &again);
    CHECK(verdict == MT_FINE && again.op == c.op && again.id == c.id && again.flags == c.flags && again.arity == c.arity && again.named == c.named);
    CHECK(again.payload.size == c.payload.size && again.from.id == c.from.id && again.to.serial == c.to.serial && again.ref.count == c.ref.count);
    mote_writer_fini(&w);
}

static void message(struct sum *sum, const struct mt_frame *frame, uint64_t flags) {
    mote_term term;
    mote_arena *arena = mote_arena_new(0);
    size_t control_size = one_term(frame->control), payload_size = one_term(frame->payload);
    CHECK(arena);
    mote_err err = mote_term_decode(arena, frame->payload.data, frame->payload.size, NULL, &term, NULL);
    CHECK(err == MOTE_OK || err == MOTE_ESYNTAX || err == MOTE_ELIMIT);
    mote_arena_free(arena);
    control(frame, flags);
    bool whole = control_size == frame->control.size && payload_size == frame->payload.size;
    if (sum->again && whole) {
        if (!*sum->again) CHECK_OK(mt_frames_out_new(flags, sum->again));
        CHECK_OK(mt_frames_out_put(*sum->again, sum->messages % 3, frame->control, frame->payload, NULL, NULL));
    }
    sum->messages++;
    add(sum, frame->control), add(sum, frame->payload);
}

static struct sum run(const uint8_t *p, size_t size, size_t at_once, uint64_t flags, const struct mt_frame_limits *limits, struct mt_frames_out **again) {
    struct sum sum = {.again = again};
    struct mt_frames_in *in = NULL;
    CHECK_OK(mt_frames_in_new(flags, limits, &in));
    for (size_t at = 0, used = 0; at < size; at += used) {
        struct mt_frame frame;
        size_t some = size - at < at_once ? size - at : at_once, room = 0;
        uint8_t *place = at_once % 2 ? mt_frames_in_room(in, &room) : NULL;
        if (place && some > room) some = room;
        if (place) memcpy(place, p + at, some);
        sum.verdict = mt_frames_in_feed(in, place ? place : p + at, some, &used, &frame);
        CHECK(used <= size - at && mt_frames_in_bytes(in) <= limits->pieces_bytes + limits->frame_max + limits->message_max);
        if (sum.verdict == MT_FINE && !frame.tick) message(&sum, &frame, flags);
        if (sum.verdict != MT_FINE && sum.verdict != MT_MORE) break;
    }
    if (sum.verdict == MT_FINE) sum.verdict = MT_MORE;
    mt_frames_in_free(in);
    return sum;
}

/* What came goes, and comes once more. */
static void once_more(struct mt_frames_out *out, uint64_t flags, const struct mt_frame_limits *limits) {
    mote_writer w;
    mote_writer_init(&w, MOTE_FORM_ERLANG, NULL, 0, 1 << 26);
    uint64_t frames = 0;
    while (mt_frames_out_take(out, &w) == MT_FINE) frames++;
    mote_bytes wire = mote_writer_bytes(&w);
    struct mt_frame_limits wide = {.frame_max = limits->frame_max + (1 << 20), .message_max = (size_t)1 << 26, .pieces_bytes = (size_t)1 << 26};
    struct sum sum = run(wire.data, wire.size, wire.size, flags, &wide, NULL);
    CHECK(sum.verdict <= MT_MORE && sum.messages <= frames);
    mote_writer_fini(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    unsigned choice = data[0];
    uint64_t flags = MT_FLAGS_OFFERED | MT_FLAG_ALTACT_SIG;
    if (choice & NO_CACHE) flags &= ~MT_FLAG_ATOM_CACHE;
    if (choice & NO_PIECES) flags &= ~MT_FLAG_FRAGMENTS;
    struct mt_frame_limits limits = {.frame_max = choice & SMALL ? 300 : 1 << 16, .message_max = choice & SMALL ? 400 : 1 << 18, .pieces_bytes = choice & SMALL ? 9000 : 1 << 20,
                                     .pieces_open = choice & SMALL ? 3 : 100};
    struct mt_frames_out *again = NULL;
    size_t atoms = mote_atom_count();
    struct sum whole = run(data + 2, size - 2, size, flags, &limits, &again), split = run(data + 2, size - 2, 1u + data[1], flags, &limits, NULL);
    CHECK(whole.hash == split.hash && whole.messages == split.messages && whole.verdict == split.verdict); /* it does not matter how bytes come */
    if (again) once_more(again, flags, &limits);
    mt_frames_out_free(again);
    CHECK_INT(mote_atom_count(), atoms);
    return 0;
}
