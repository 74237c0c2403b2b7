/* SPDX-License-Identifier: Apache-2.0
 * The path to one other worker: two rings in memory that both map, and what does not fit into ours.
 *
 * Sending from any thread, under the lock CHANNEL; taking by the postman (postman.h) alone.
 * C1 records are taken in the order they were put (law L1): while something waits in `pending`, everything goes behind it.
 * C2 a record larger than the ring takes travels in pieces, one behind the other; the other side gives it on when it is whole, and no larger than
 *    MT_CHANNEL_RECORD_MAX. C3 what comes is copied out of the ring before it is looked at; what is wrong cuts the channel, and nothing else. What
 *    waits for room in a ring whose other end is wrong is lost with it, and the postman is told by the next mt_channel_take().
 */
#ifndef MT_WORKER_CHANNEL_H
#define MT_WORKER_CHANNEL_H

#include "base/lock.h"
#include "worker/doorbell.h"
#include "worker/ring.h"

#define MT_CHANNEL_RING ((size_t)1 << 18)            /* bytes of each ring */
#define MT_CHANNEL_CROWD ((size_t)1 << 20)           /* bytes that may wait before senders stand still */
#define MT_CHANNEL_RECORD_MAX ((size_t)1 << 31)
#define MT_CHANNEL_BATCH 128u                        /* records taken at once */

struct mt_channel;

/* What is done with a record that has come; called by mt_channel_take() without a lock. Errors other than MOTE_ENOMEM cut the channel. */
struct mt_channel_sink {
    mote_err (*take)(void *context, const void *record, size_t size);
    void *context;
};

/* Bytes of the memory file that a pair of workers shares, in which both rings are. */
size_t mt_channel_bytes(void);

/* Our end over the memory file, fresh and zeroed, that both workers map; `first`: the worker of the lower number, which writes into the first ring. `bell`, `peer` (its number) and `event` are
 * the other's. Borrows all of them. Gives. MOTE_EARG: no such file; MOTE_ENOMEM. */
mote_err mt_channel_new(int fd, bool first, struct mt_doorbell *bell, uint32_t peer, int event, struct mt_channel **channel);
/* Unmaps it. Takes; NULL is allowed. */
void mt_channel_free(struct mt_channel *channel);

/* Puts a record behind those before it, and wakes the other worker. Copies. False: it is taken, but MT_CHANNEL_CROWD wait: see mt_carrier (far.h). Without
 * memory, or once the channel is cut, it is lost. */
bool mt_channel_put(struct mt_channel *channel, const void *record, size_t size);
/* Whether more than MT_CHANNEL_CROWD bytes wait. */
bool mt_channel_crowded(struct mt_channel *channel);

/* Moves what waits into the ring. True: it has been crowded and is no longer. */
bool mt_channel_flush(struct mt_channel *channel);

/* Whether something waits for room. Any thread. */
bool mt_channel_waits(struct mt_channel *channel);
/* Takes up to MT_CHANNEL_BATCH records, in order; how many. -1: the channel is cut. The postman. */
int mt_channel_take(struct mt_channel *channel, const struct mt_channel_sink *sink);
/* Before the postman sleeps, after its doorbell says so: whether there is nothing to take, nor room for what waits. */
bool mt_channel_rests(struct mt_channel *channel);

#endif
