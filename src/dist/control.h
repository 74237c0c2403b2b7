/* SPDX-License-Identifier: Apache-2.0
 * Control messages: the signals of processes of different nodes as Erlang writes them, read and written.
 *
 * Any thread. Nothing waits or allocates but writers. Wire numbers are known in control.def alone: 29 of them are 15 signals.
 * K1 what is read is strict: a number, an arity or an element that the protocol does not have is refused, and with it the channel.
 * K2 what is read is the same signal whatever form it came in: a reason that stands within the tuple is its payload, trace tokens are dropped.
 * K3 what is written is the newest form that both sides have agreed on; a signal that they have not agreed on is neither written nor read.
 * K4 `from` of whatever changes a process, or asks for an answer, is a pid of the peer's: no node speaks for another. Senders of messages are only told. Whether
 *    `to` is alive, ours, or of an earlier life of ours is the reader's to find out.
 * K5 never written: the signals of old that later releases cut a connection for (4, 5).
 */
#ifndef MT_DIST_CONTROL_H
#define MT_DIST_CONTROL_H

#include <mote/external.h>

#include "dist/flags.h"
#include "dist/verdict.h"

/* Signals, the fields (below) that each has, and its payload. */
enum mt_control_op {
    MT_CONTROL_LINK,         /* from, to */
    MT_CONTROL_SEND,         /* from (`sender`: if told), to; the message */
    MT_CONTROL_SEND_NAMED,   /* from, name; the message */
    MT_CONTROL_SEND_ALIAS,   /* from, ref: the alias; the message */
    MT_CONTROL_EXIT,         /* from, to: over a link; the reason */
    MT_CONTROL_EXIT2,        /* from, to: exit/2; the reason */
    MT_CONTROL_GROUP_LEADER, /* leader, to */
    MT_CONTROL_MONITOR,      /* from, to or name, ref */
    MT_CONTROL_DEMONITOR,    /* from, to or name, ref */
    MT_CONTROL_DOWN,         /* from or name, to, ref; the reason */
    MT_CONTROL_SPAWN,        /* ref, from, leader, module, function, arity, options; the list of arguments */
    MT_CONTROL_SPAWN_REPLY,  /* ref, to, flags (1: linked, 2: monitored), from: the new process, or name: an error */
    MT_CONTROL_UNLINK,       /* id, from, to */
    MT_CONTROL_UNLINK_ACK,   /* id, from, to */
    MT_CONTROL_ALTACT,       /* flags, from, to, ref or name; the message, or reason */
    MT_CONTROL_OPS
};

#define MT_ALTACT_PRIORITY 1u
#define MT_ALTACT_TOKEN 2u
#define MT_ALTACT_ALIAS 4u /* to: ref */
#define MT_ALTACT_NAME 8u  /* to: name */
#define MT_ALTACT_EXIT 16u

/* Identifiers as they are written; names and bytes are borrowed. */
struct mt_far_pid {
    mote_name node;
    uint32_t id, serial, creation;
};
struct mt_far_ref {
    mote_name node;
    uint32_t creation;
    uint32_t words[5];
    size_t count; /* 1 to 5; ours: 3 */
};

struct mt_control {
    enum mt_control_op op;
    bool named;          /* `name` stands where a pid could */
    bool sender;         /* `from` of a SEND is there */
    uint8_t arity;
    uint32_t flags;
    uint64_t id;         /* 1 or more */
    struct mt_far_pid from, to, leader;
    struct mt_far_ref ref;
    mote_name name, module, function;
    mote_bytes options;  /* a term */
    mote_bytes payload;  /* a term; writing: needed only by the forms in which it stands within the tuple */
    bool typed;          /* writing: it is of MOTE_FORM_NODES, and not for those that do not know it */
};

/* Reads a message's control term, and what followed it, without the bytes 131; on a connection with `peer` and these flags. Borrows all, and so does *control.
 * MT_NO_CONTROL, _ARITY, _FIELD, _PAYLOAD, _NOT_AGREED, _FORGED; *control is untouched then. */
enum mt_verdict mt_control_read(mote_bytes term, mote_bytes payload, uint64_t flags, mote_bytes peer, struct mt_control *control);

/* Writes the control term (MOTE_FORM_ERLANG, no byte 131). *follows: the payload has to follow it, else it is within it, or there is none. MT_NO_NOT_AGREED: nothing is
 * written; MT_NO_MEMORY: the writer has failed. Borrows. */
enum mt_verdict mt_control_write(const struct mt_control *control, uint64_t flags, mote_writer *writer, bool *follows);

#endif
