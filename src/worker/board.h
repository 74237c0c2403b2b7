/* SPDX-License-Identifier: Apache-2.0
 * The board: a memory file that all workers of a node map. It has a doorbell for each, the node's names, and who maps whose blobs.
 *
 * Names from any thread of any worker: nobody waits for anybody, there is no lock. Each call is a bounded number of steps, whatever others write.
 * N1 a name's entry is written whole, then put into its bucket by one compare-and-swap. It stays there for ever: only its pid changes. So
 *    whoever dies at any point leaves the name registered, or not; at worst one entry nobody finds.
 * N2 to register is one compare-and-swap of 0 to the pid, to unregister one of the pid to 0. A worker registers its own processes only, so none is
 *    registered after its death, and the hub can clear them (mt_board_clear()) before it tells.
 * N3 what is read is checked before it is used, and used as it was read. Pids are words from outside: the caller checks them as those in messages.
 * N4 each worker says whose big binaries it maps, in a row of its own: who believes a wrong one sends it what it cannot read.
 * Limits: MT_BOARD_NAMES different names over the life of the node, MT_BOARD_LETTERS bytes for them, names up to MT_BOARD_NAME_MAX bytes. They take
 * memory when they are used.
 */
#ifndef MT_WORKER_BOARD_H
#define MT_WORKER_BOARD_H

#include "worker/doorbell.h"

#define MT_BOARD_WORKERS 64u
#define MT_BOARD_NAMES (1u << 20)
#define MT_BOARD_LETTERS ((size_t)1 << 26)
#define MT_BOARD_NAME_MAX 1020u /* 255 characters of UTF-8 */

struct mt_board;

/* Makes the board and maps it. Gives. MOTE_EOS, MOTE_ENOMEM. */
mote_err mt_board_new(struct mt_board **board);
/* Maps another's. Takes fd on success. Gives. MOTE_EARG: no board, or one whose size could change; MOTE_EOS, MOTE_ENOMEM. */
mote_err mt_board_open(int fd, struct mt_board **board);
/* Unmaps it. Takes. */
void mt_board_free(struct mt_board *board);
/* The descriptor to be sent to other workers. Borrowed until the board is freed. */
int mt_board_fd(const struct mt_board *board);
/* A worker's doorbell. Borrowed until the board is freed. */
struct mt_doorbell *mt_board_doorbell(struct mt_board *board, unsigned worker);

/* Gives a name to a pid (not 0). Copies the name. MOTE_EBUSY: it is taken; MOTE_ELIMIT: a limit above; MOTE_ENAME: no bytes or too many. */
mote_err mt_board_register(struct mt_board *board, const char *name, size_t size, uint64_t pid);
/* Takes it away, if it is this pid's. MOTE_ENAME: it is not. */
mote_err mt_board_unregister(struct mt_board *board, const char *name, size_t size, uint64_t pid);
/* Whose the name is; 0: nobody's. */
uint64_t mt_board_whereis(struct mt_board *board, const char *name, size_t size);
/* Takes the names of all pids away for which (pid & mask) == value: those of a worker that died. Gives how many. */
size_t mt_board_clear(struct mt_board *board, uint64_t mask, uint64_t value);
/* The next registered name from *cursor on, which begins at 0: copied, with its size and pid. False when there are no more. What is registered meanwhile may be
 * left out. */
bool mt_board_next(struct mt_board *board, size_t *cursor, char name[MT_BOARD_NAME_MAX], size_t *size, uint64_t *pid);


/* This worker maps the blobs of `owner` (a peer number), or of nobody but itself any more. */
void mt_board_maps_set(struct mt_board *board, unsigned worker, unsigned owner);
void mt_board_maps_clear(struct mt_board *board, unsigned worker);
/* Whether a worker has said so: N4. */
bool mt_board_maps(struct mt_board *board, unsigned worker, unsigned owner);

#endif
