/* SPDX-License-Identifier: Apache-2.0
 * Frames: how messages (a control term, and mostly a payload behind it) travel after the handshake: whole, in pieces, their atoms in a header.
 *
 * Each direction of a connection is used by one thread at a time, and knows nothing of the other. Nothing waits or calls back but `release`.
 * B1 a length is looked at before anything else, and memory grows with the bytes that have come, never by what is announced. B2 what is wrong ends the
 *    connection, as does what is more than its limit; nothing else. A frame that is wrong has no effect that matters then.
 * B3 messages come out plain: without references to atoms, as if there were no header; the terms in them are still to be read. No atom is made here.
 * B4 what is put for one sender is taken in that order, and a message in pieces is over before the next of its sender begins. Senders take turns, each with
 *    MT_FRAME_TURN bytes: 100 MB of one are no 100 MB for the others to wait for.
 * B5 a header is made when its frame is taken, so the atoms in it are known to the peer in the order in which frames are written. Who takes a frame
 *    writes it, or gives the connection up.
 * B6 fragments are numbered from 1 to 2^31 - 1, sequences from 1: other numbers harm some releases of Erlang.
 * B7 of the atoms sent before, up to 2,048 are known to the peer; the one that goes for another has not been used since the hand passed by, and is not in the
 *    message. An atom that is used once costs no atom that is used often.
 */
#ifndef MT_DIST_FRAME_H
#define MT_DIST_FRAME_H

#include <mote/external.h>

#include "dist/flags.h"
#include "dist/verdict.h"

#define MT_FRAME_MAX ((size_t)128 << 20)     /* bytes of a frame that comes */
#define MT_MESSAGE_MAX ((size_t)256 << 20)   /* of a message, either way */
#define MT_PIECES_OPEN 1024u                 /* messages of which some pieces have come */
#define MT_PIECES_BYTES ((size_t)512 << 20)  /* all that is kept of them */
#define MT_PIECES_EMPTY 1000u                /* empty pieces in a row */
#define MT_PIECES_STALL_NS ((uint64_t)120000000000)
#define MT_FRAME_STALL_NS ((uint64_t)60000000000)
#define MT_FRAME_STALL_BYTES 1024u
#define MT_FRAME_PIECE 65536u                /* what is larger goes in pieces of that size, as Erlang's */
#define MT_FRAME_TURN 65536u
#define MT_FRAME_SLOTS 2048u

/* ------------------------------------------------------------------------------------------------ coming */

/* Zero: the values above. */
struct mt_frame_limits {
    size_t frame_max, message_max, pieces_bytes;
    unsigned pieces_open;
};

struct mt_frame {
    bool tick;          /* nothing but a sign of life */
    mote_bytes control; /* a term */
    mote_bytes payload; /* a term, and whatever stands behind it, which is to be passed over; size 0: none */
};

struct mt_frames_in;

/* For a connection on which these flags hold. `limits` may be NULL; copied. Gives. MOTE_ENOMEM. */
mote_err mt_frames_in_new(uint64_t flags, const struct mt_frame_limits *limits, struct mt_frames_in **in);
/* Takes; NULL is allowed. */
void mt_frames_in_free(struct mt_frames_in *in);

/* Bytes have come (borrowed). Consumes *used of them. MT_FINE: *frame is there, borrowed from `in` and `data` until the next call, which gets the rest;
 * MT_MORE: all are consumed. Else the connection is over. */
enum mt_verdict mt_frames_in_feed(struct mt_frames_in *in, const void *data, size_t size, size_t *used, struct mt_frame *frame);

/* Where bytes that come next may be put before they are fed from there: *size of them, the rest of a piece that has begun, which are not copied then; NULL: nowhere. Borrowed until the next
 * call. */
uint8_t *mt_frames_in_room(struct mt_frames_in *in, size_t *size);

/* The memory in which the payload of the last message stands, if that is large and came in pieces, becomes a binary's; NULL: it cannot. To be called before the next feed. Gives. */
struct mt_bin *mt_frames_in_give(struct mt_frames_in *in);

/* Bytes that are kept, for limits of all connections together. */
size_t mt_frames_in_bytes(const struct mt_frames_in *in);

/* To be called now and then: MT_NO_STALLED when a frame has begun and does not go on, or many messages have; else MT_FINE. */
enum mt_verdict mt_frames_in_check(struct mt_frames_in *in, uint64_t now_ns);

/* ------------------------------------------------------------------------------------------------ going */

struct mt_frames_out;
struct mt_message;

mote_err mt_frames_out_new(uint64_t flags, struct mt_frames_out **out);
/* With all that has not been taken. Takes; NULL is allowed. */
void mt_frames_out_free(struct mt_frames_out *out);

/* Puts a message behind those of the same sender (any number; a process's word). The terms are whole, in Erlang's form, without a byte 131; payload.size 0: none. Copies, but a
 * payload for which there is a `release`: borrows it until `release`(context). MOTE_ELIMIT: larger than MT_MESSAGE_MAX; MOTE_ENOMEM; then `release` is not
 * called. */
MOTE_MUST mote_err mt_frames_out_put(struct mt_frames_out *out, uint64_t sender, mote_bytes control, mote_bytes payload, void (*release)(void *context),
                                     void *context);

/* The same of a payload in several parts, larger than MT_FRAME_PIECE altogether, which are borrowed, as is the array, until `release`(context). */
MOTE_MUST mote_err mt_frames_out_put_parts(struct mt_frames_out *out, uint64_t sender, mote_bytes control, const mote_bytes *parts, size_t count,
                                           void (*release)(void *context), void *context);

/* Bytes that wait, for whoever lets senders stand still. */
size_t mt_frames_out_bytes(const struct mt_frames_out *out);

/* Whether a sender has more than its share of `limit` bytes waiting: 1 KiB, or as much as all who have something waiting may have, if that is more. So who sends little
 * beside one who sends much need not wait for him. */
bool mt_frames_out_hogs(const struct mt_frames_out *out, uint64_t sender, size_t limit);

/* The messages that were taken whole since the last call and borrow something; and gives that back, which calls `release`: where no lock is held. Gives, takes; NULL: none. */
struct mt_message *mt_frames_out_over(struct mt_frames_out *out);
void mt_frames_over_free(struct mt_message *over);

/* Writes the next frame, of MT_FRAME_PIECE bytes and some more at most (unless a control term alone is larger). MT_MORE: none waits; MT_NO_MEMORY: the connection is over. */
enum mt_verdict mt_frames_out_take(struct mt_frames_out *out, mote_writer *writer);

/* ------------------------------------------------------------------------------------------------ signs of life */

/* Zeroed. */
struct mt_ticker {
    uint64_t read, written; /* as they were */
    unsigned silent;        /* times that nothing had come */
};
enum mt_tick { MT_TICK_REST, MT_TICK_SEND, MT_TICK_DOWN };

#define MT_TICK_BYTES 4u /* zeros */
#define MT_TICK_SILENT 4u

/* To be called four times in the time after which a silent peer is given up (60 s): what to do. `read`, `written`: bytes that have ever been; `waiting`: that
 * wait to be written; `hidden`: the connection is. */
enum mt_tick mt_tick(struct mt_ticker *ticker, uint64_t read, uint64_t written, size_t waiting, bool hidden);

#endif
