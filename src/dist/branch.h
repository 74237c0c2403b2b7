/* SPDX-License-Identifier: Apache-2.0
 * Processes of all workers and other nodes. The hub has the connections; a worker has a *branch*: a struct mt_dist and links like the hub's, whose control messages go to the hub as records.
 *
 * What goes: the worker encodes (carry.c), the hub puts it into the link, by the sending process as key (N3). What comes: the hub finds whose it is (take.c) and passes the bytes on; the worker takes them
 * as the hub would. Both by the gate of far.h: any thread, nothing waits.
 * V1 what the hub says of a node, and what comes from it, it says in one order to each worker: up, signals, lost; what is said to all under dist->mu. V2 each end of a link has a *number*, higher than those before. A worker's
 *    link has that of the last that its worker had heard of when the link began; the hub drops what comes by a link that is older than the last end of that node's: whoever sent it is told `noconnection`.
 * V3 the hub knows what a peer has to be told when a worker is lost (bonds.h). V4 it alone decides what a peer may do, before it passes anything on. V5 what a worker says is checked; what no worker would say is refused.
 */
#ifndef MT_DIST_BRANCH_H
#define MT_DIST_BRANCH_H

#include "dist/node.h"

/* Sets the gate of a runtime; in the hub, workers are greeted from then on. MOTE_ENOMEM. */
mote_err mt_branch_begin(mote_runtime *rt);

/* ------------------------------------------------------------------------------------------------- in a worker */

/* Puts a control message of a process, whose payload is in these parts; large ones are shared with the hub, not copied, if they are blobs. Borrows. False: it is lost, which is logged. */
bool mt_branch_put(struct mt_link *link, uint64_t sender, struct mt_control *c, const mote_bytes *parts, size_t count);
/* Whether too much waits for the node: here for the hub, or there. */
bool mt_branch_crowded(struct mt_link *link);
/* Has the hub tell a process of nodes, or not any more. MOTE_ENOMEM. */
mote_err mt_branch_listen(struct mt_dist *dist, const struct mt_listener *what, bool on);
/* The hub's mote_node_disconnect(), mote_node_at(), mote_node_cookie(): `text` is the address, or the cookie. MOTE_ENOMEM. */
enum mt_branch_asks { MT_BRANCH_DISCONNECT = 16, MT_BRANCH_AT, MT_BRANCH_COOKIE };
mote_err mt_branch_ask(struct mt_dist *dist, enum mt_branch_asks what, uint64_t node, const char *text, uint16_t port);

/* --------------------------------------------------------------------------------------------------- in the hub */

enum mt_branch_gave {
    MT_BRANCH_GAVE,
    MT_BRANCH_ABSENT, /* the worker is not there: its processes have ended */
    MT_BRANCH_FULL    /* what would have to be known of it cannot be */
};
/* A message of a peer's for a worker's process: as it was read, and came. Borrows. */
enum mt_branch_gave mt_branch_give(struct mt_link *link, const struct mt_control *c, const struct mt_frame *frame, uint64_t pid);
/* Whose a reference is that the peer monitors by; 0: of no worker's process. */
uint64_t mt_branch_watched(struct mt_link *link, const struct mt_far_ref *ref);
/* All workers hear that a link is up, or has ended; under dist->mu, in the step in which it does. */
void mt_branch_up_locked(const struct mt_link *link);
void mt_branch_lost_locked(struct mt_link *link);
/* One of a worker's processes hears of a node: there its host makes of the message what it makes of those of here. */
void mt_branch_tell(mote_runtime *rt, const struct mt_listener *listener, uint64_t node, bool up);
/* What waited for the link has gone. */
void mt_branch_drained(struct mt_link *link);
/* What a worker has for a link (its carrier's pass()). */
void mt_branch_pass(void *link, struct mt_sched *s, const void *what);

#endif
