/* SPDX-License-Identifier: Apache-2.0
 * This program as one of several that make a node: its *workers*, OS processes on one machine that share memory. A process of one may be spoken to,
 * linked and monitored from all. For an interpreter that can use one core only; a C program uses all cores with one runtime.
 *
 * The caller starts the programs, and gets descriptors from one to the other; see docs/design/workers.md. A worker is named by its *peer* number: its number
 * (0 to 62; 0 is the hub, which starts the others and outlives them) plus 64 times its incarnation. Descriptors are closed on exec.
 */
#ifndef MOTE_WORKER_H
#define MOTE_WORKER_H

#include <mote/mote.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mote_worker mote_worker;

/* Makes the runtime of a process, started with this `worker` in its options, a member of a node. `board`: the descriptor of the node's board, taken on success; -1: the hub
 * makes it. Starts a process that delivers what comes. Gives `worker`, to be used by one thread at a time. MOTE_ESELF, MOTE_EARG (no board; a number that is not the
 * runtime's), MOTE_EBUSY (it is one already), MOTE_EOS, MOTE_ENOMEM. */
MOTE_API MOTE_MUST mote_err mote_worker_new(mote_self *self, unsigned peer, int board, mote_worker **worker);

/* The descriptors that others need: the board's, the event that wakes this worker, and its big binaries. Borrowed until the worker is freed. */
MOTE_API int mote_worker_board(const mote_worker *worker);
MOTE_API int mote_worker_event(const mote_worker *worker);
MOTE_API int mote_worker_blobs(const mote_worker *worker);

/* A new memory file for a pair of workers. Gives. MOTE_EOS. */
MOTE_API MOTE_MUST mote_err mote_worker_channel(int *fd);

/* Another worker is there: `channel` is the pair's memory file, `event` and `blobs` (-1: its big binaries are copied) are that worker's. From now on processes reach each other.
 * Takes the descriptors on success. MOTE_EARG (a wrong file or number), MOTE_EBUSY (the incarnation before has not been lost), MOTE_EOS, MOTE_ENOMEM. */
MOTE_API MOTE_MUST mote_err mote_worker_open(mote_worker *worker, unsigned peer, int channel, int event, int blobs);

/* Another worker has ended; `reason` is what links and monitors tell of its processes. What it has sent before is delivered first; that happens soon, in a process. The hub,
 * which knows, says so in each worker. MOTE_EARG (it is not there), MOTE_ETERM, MOTE_ENOMEM. */
MOTE_API MOTE_MUST mote_err mote_worker_lost(mote_worker *worker, mote_self *self, unsigned peer, mote_term reason);

/* Whether a worker (by its number, this one or another) sleeps for want of something to do. A hint. */
MOTE_API bool mote_worker_idle(const mote_worker *worker, unsigned number);

/* The number of the worker that a local pid is of, without the incarnation. */
MOTE_API unsigned mote_worker_number(mote_pid pid);

/* A worker that has sent what no worker would: nothing more is taken from it, it should be ended. 0: there is none. */
MOTE_API unsigned mote_worker_cut(mote_worker *worker);

/* Sends what waits for room in the channels, as far as there is some; whether nothing waits any more. A worker that ends in order calls it until then, once its runtime has been
 * stopped: what is in a channel is delivered also when the sender has gone. */
MOTE_API bool mote_worker_flush(mote_worker *worker);

/* ------------------------------------------------------------------------------------------- big binaries */

#define MOTE_BLOB_MIN ((size_t)32768) /* bytes: smaller binaries are copied into messages */
#define MOTE_BLOB_GAP 64u

/* A big binary in memory that all workers can read; it is freed when nobody in any of them has it any more. A message that holds just its bytes takes it there without a
 * copy. MOTE_BLOB_GAP bytes before `data`, 64-aligned, are the caller's to write into: others do not see that. A 0 byte follows. */
typedef struct mote_blob {
    void *data;
    size_t size;
    void *host; /* NULL at first, and once nobody here has the blob any more: the caller's, guarded by him */
} mote_blob;

/* Memory of `size` bytes (1 or more), to be written by the caller, and nobody after mote_blob_seal(): before that it is copied when it is sent. Gives a use. MOTE_EARG, MOTE_ELIMIT
 * (larger than the machine's memory), MOTE_ENOMEM. Never waits. */
MOTE_API MOTE_MUST mote_err mote_blob_make(mote_worker *worker, size_t size, mote_blob **blob);
MOTE_API void mote_blob_seal(mote_blob *blob);

/* One use more, or one fewer: of any worker's, from any thread, also when this worker's membership has ended. Takes. Never waits. */
MOTE_API void mote_blob_hold(mote_blob *blob);
MOTE_API void mote_blob_drop(mote_blob *blob);

typedef struct mote_blob_stats {
    size_t live, live_bytes; /* of this worker's own: that anybody has */
    size_t held;             /* of all workers that live, in use here */
    uint64_t made;           /* own ones, since the start */
} mote_blob_stats;

/* Figures; they change while they are read. */
MOTE_API void mote_worker_blob_stats(mote_worker *worker, mote_blob_stats *stats);

/* Ends the membership; the runtime has been stopped. Takes `worker`; NULL is allowed. */
MOTE_API void mote_worker_free(mote_worker *worker);

#ifdef __cplusplus
}
#endif

#endif
