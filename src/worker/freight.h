/* SPDX-License-Identifier: Apache-2.0
 * What messages between workers carry in big binaries: this worker's blobs, the maps of the others', and the notes about them (blobs.h).
 *
 * Messages are loaded, and blobs dropped, by any thread, under the lock FREIGHT; records are taken by the postman alone, and workers opened and given up by the one thread that
 * uses a mote_worker.
 * G1 the handle of a blob goes only to who has said on the board that it maps the owner's; others get the bytes.
 * G2 what a message carries is counted for its receiver before it is with the carrier; what was made for it alone is its receiver's after that.
 * G3 a handle is taken once, however often its record is read: it is known by its place, from mt_freight_begin() to mt_freight_end().
 * G4 of a worker that died the map stays, and so do its holds, until each worker that was there then has said (ENDED) that it has read that one's ring to its end, or has died too.
 */
#ifndef MT_WORKER_FREIGHT_H
#define MT_WORKER_FREIGHT_H

#include "proc/far.h"
#include "worker/blobs.h"
#include "worker/board.h"

struct mt_freight;

/* A record of ours, which is no signal. */
#define MT_FREIGHT_RECORD 128u /* head.kind of far.c from here on */

/* Makes the blobs of this worker, and offers them to the runtime's messages. Borrows the board. Gives. MOTE_EOS, MOTE_ENOMEM. */
mote_err mt_freight_new(mote_runtime *rt, mt_peer self, struct mt_board *board, struct mt_freight **freight);
/* The runtime has been stopped. What is in use stays so. Takes; NULL is allowed. */
void mt_freight_free(struct mt_freight *freight);
/* The descriptor of our blobs for others. Borrowed. */
int mt_freight_fd(const struct mt_freight *freight);

/* Another worker is about to be there: maps its blobs (fd, borrowed; -1: they are not). Nothing is taken from it before. MOTE_EARG: no such file; MOTE_EOS, MOTE_ENOMEM. */
mote_err mt_freight_open(struct mt_freight *freight, mt_peer peer, int fd);
/* It is not there after all. */
void mt_freight_shut(struct mt_freight *freight, mt_peer peer);
/* It is there: says so to those who could send us its blobs (G1). */
void mt_freight_announce(struct mt_freight *freight, mt_peer peer);
/* It has died: nothing more is loaded for it. Who is there now will say that it has read its ring to its end. Again: does nothing. */
void mt_freight_losing(struct mt_freight *freight, mt_peer peer);
/* Its ring has been read to its end here. The postman. */
void mt_freight_lost(struct mt_freight *freight, mt_peer peer);

/* A record from `peer` is being taken: see G3. The postman. */
void mt_freight_begin(struct mt_freight *freight, mt_peer peer);
void mt_freight_end(struct mt_freight *freight);
/* Whether a record is one of ours. Then mt_freight_take() applies it. MOTE_EARG: it is one that cannot be. */
bool mt_freight_is_record(const void *record, size_t size);
mote_err mt_freight_take(struct mt_freight *freight, mt_peer peer, const void *record, size_t size);
/* mt_blobs_trim() of our blobs. */
uint64_t mt_freight_trim(struct mt_freight *freight, uint64_t now_ns);

/* See mote_blob_make() and mote_worker_blob_stats(). */
mote_err mt_freight_make(struct mt_freight *freight, size_t size, mote_blob **blob);
void mt_freight_stats(struct mt_freight *freight, mote_blob_stats *stats);

#endif
