/* SPDX-License-Identifier: Apache-2.0
 * This OS process as a worker: the channels to the others, and the *postman*, a process that takes what comes from them and delivers it.
 *
 * M1 one postman takes from all channels, so each channel's records are delivered in order. M2 it never waits for anything but the doorbell: while something comes it yields and
 *    looks again, then for SPIN_NS, and then it sleeps by the doorbell's rules (doorbell.h), but for what is to be trimmed. M3 a worker's loss is a message to it, so nobody else touches an
 *    incoming ring; it frees the channel when nobody can be sending any more (mt_far_is_used()).
 */
#ifndef MT_WORKER_POSTMAN_H
#define MT_WORKER_POSTMAN_H

#include <mote/worker.h>

#include "proc/far.h"
#include "worker/board.h"
#include "worker/channel.h"
#include "worker/freight.h"

struct mote_worker { /* MT_SHARED */
    mote_runtime *runtime;   /* const */
    struct mt_board *board;  /* const */
    unsigned self;           /* const: its peer number */
    int event;               /* const */
    struct mt_name_board names; /* const */
    struct mt_freight *freight; /* const */
    _Atomic uint64_t postman; /* atomic: relaxed: its pid */
    _Atomic uint32_t cut;    /* atomic: relaxed: see mote_worker_cut() */
    _Atomic uint32_t peers[MT_WORKERS_MAX]; /* atomic: of the lines that were opened last, + 1 */
    _Atomic uint32_t end;    /* atomic: release: no line is at or above it */
    _Atomic(struct mt_line *) lines[MT_WORKERS_MAX]; /* atomic: release; the postman alone takes one out, and frees it */
};

/* One other worker, in each incarnation anew. */
struct mt_line { /* MT_SHARED */
    unsigned peer;              /* const */
    struct mt_channel *channel; /* const */
    int event;                  /* const */
};
void mt_line_free(struct mt_line *line);

/* The postman's body; its argument is the worker's address. */
void mt_postman(mote_self *self, mote_term arg);

#endif
