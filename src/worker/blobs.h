/* SPDX-License-Identifier: Apache-2.0
 * Big binaries that are written once and read by all workers: blobs. Each worker has one memory file for its own, and maps those of the others.
 *
 * Any thread: a lock (BLOBS) guards each struct, for O(1) and a call about memory; mt_blobs_forget() and mt_blobs_trim() take longer. There are no counts
 * in shared memory: the owner keeps them (B1), and is told by *notes*, plain structs that the caller carries in the rings.
 * B1 the owner counts the holds of each peer on each blob. One is counted before what carries the handle to that peer is published.
 * B2 who has dropped its last use of a blob gives all its holds of it back by one note.
 * B3 who passes another's blob on keeps its own holds until the owner has said that the receiver's is counted. The receiver tells the owner when it has
 *    taken the handle (HOLD), before anything else of that blob. To the owner itself nothing is told: the handle comes before the release, in one ring.
 * B4 who has read the ring of a worker that died to its end says so to each of the others. The owner forgets the holds of the dead when it and all the others
 *    have: until then a handle that the dead passed on may be under way. Who awaits that the dead's hold is counted awaits it until the *owner* has said so.
 * B5 notes and handles come from outside: what cannot be gives an error and changes nothing. What a blob contains may change under the reader if its
 *    owner is evil; nothing else of the reader's can.
 * B6 a blob begins MOTE_BLOB_GAP bytes behind the start of a page; a zero byte follows its data. The pages are its own, so a reader may write into the first 64 bytes: it maps
 *    privately, that page becomes its own, and is given up with the last use. (The owner writes into the gap itself, and others see what they never look at.)
 */
#ifndef MT_WORKER_BLOBS_H
#define MT_WORKER_BLOBS_H

#include <mote/worker.h>

#include "base/os_fd.h"

/* A worker in one of its lives: the incarnation number * 64 + the worker. Those of one worker only grow. */
#define MT_PEER_WORKERS 64u
typedef uint32_t mt_peer;
static inline unsigned mt_peer_worker(mt_peer peer) { return peer % MT_PEER_WORKERS; }

/* What travels in messages. */
struct mt_blob_handle {
    uint64_t size;
    uint32_t page; /* where it begins */
    uint32_t serial;
    mt_peer owner;
    uint32_t zero;
};

enum mt_blob_note_kind {
    MT_BLOB_NONE,
    MT_BLOB_HOLD,    /* to the owner: the sender has got it from `peer`, and holds it `count` times more: 1, or 0 when it had no memory to take it: B3 */
    MT_BLOB_COUNTED, /* from the owner to that `peer`: the hold of `peer` (now who told) is counted */
    MT_BLOB_RELEASE  /* to the owner: the sender gives `count` holds back: B2 */
};
struct mt_blob_note {
    uint32_t kind;
    uint32_t page, serial;
    uint32_t count;
    mt_peer peer;
    uint32_t zero;
};

/* ------------------------------------------------------------------------------------------------ the owner */

struct mt_blobs;

/* Memory for blobs of up to `bytes_max` (address space; rounded up to pages). Of what is free up to `warm_max` bytes keep their memory, for a second (mt_blobs_trim()).
 * Gives. MOTE_EOS, MOTE_ENOMEM. */
mote_err mt_blobs_new(mt_peer self, size_t bytes_max, size_t warm_max, struct mt_blobs **blobs);
/* Unmaps it all. Takes. Readers keep what they have mapped. */
void mt_blobs_free(struct mt_blobs *blobs);
/* The descriptor for readers: it can be read, and the memory cannot be given back through it. Borrowed until mt_blobs_free(). */
int mt_blobs_fd(const struct mt_blobs *blobs);

/* A new blob of `size` bytes (1 or more) with one hold, the owner's own. Its handle, and where its data goes: to be written before anyone gets the handle, and never after;
 * borrowed until the last hold is gone. The zero byte behind it is written. MOTE_ENOMEM: no room; MOTE_ELIMIT: too large. */
mote_err mt_blobs_make(struct mt_blobs *blobs, size_t size, struct mt_blob_handle *handle, void **data);
/* A map of one's own, by which one reads what has come home. Gives. MOTE_EOS, MOTE_ENOMEM. */
struct mt_blob_map;
mote_err mt_blobs_map(struct mt_blobs *blobs, struct mt_blob_map **map);
/* Counts one hold of `peer`, itself included: before the handle is sent to it, or when the own handle has come back from another worker. MOTE_NOMATCH: not a
 * blob of ours; MOTE_ENOPROC: the peer is forgotten; MOTE_ENOMEM. */
mote_err mt_blobs_hold(struct mt_blobs *blobs, const struct mt_blob_handle *handle, mt_peer peer);
/* Takes one back: of oneself, or of a peer to whom the handle was not sent after all. */
void mt_blobs_drop(struct mt_blobs *blobs, const struct mt_blob_handle *handle, mt_peer peer);
/* Where a blob's data lies here; NULL: not a blob of ours. Valid while it is held. */
void *mt_blobs_data(struct mt_blobs *blobs, const struct mt_blob_handle *handle);
/* Applies a note of MT_BLOB_HOLD or MT_BLOB_RELEASE that came from `from`. `answer` is to be sent to the peer that the note names if that lives, unless its
 * kind is MT_BLOB_NONE. MOTE_NOMATCH: no such blob: whoever made the handle up, it may have been another than who sent this; MOTE_EARG: no such note. */
mote_err mt_blobs_apply(struct mt_blobs *blobs, const struct mt_blob_note *note, mt_peer from, struct mt_blob_note *answer);
/* Forgets a peer that died, as late as B4 says. O(blobs). */
void mt_blobs_forget(struct mt_blobs *blobs, mt_peer peer);
/* Gives memory back that has been free for a second. When it is to be called again, by mt_os_now_ns(); MT_NEVER: not before something is freed. */
uint64_t mt_blobs_trim(struct mt_blobs *blobs, uint64_t now_ns);

struct mt_blobs_info {
    size_t live, live_bytes;     /* blobs, bytes of their pages */
    size_t warm_bytes;           /* free with memory */
    uint64_t made, punched;      /* blobs, bytes, since the start */
};
void mt_blobs_info_get(struct mt_blobs *blobs, struct mt_blobs_info *info);

/* ------------------------------------------------------------------------------------------------- a reader */

/* A blob in use here: what the public header shows of it, and its map. */
struct mt_blob_use {
    mote_blob blob; /* const but for `host` */
    struct mt_blob_map *map; /* const */
};

/* Maps the blobs of `owner`: another's, or one's own by a descriptor that can be written, which need no copy of the gap's page. Takes fd on success. Gives. MOTE_EARG: its
 * size could change; MOTE_ENOMEM. */
mote_err mt_blob_map_new(mt_peer self, mt_peer owner, int fd, struct mt_blob_map **map);
/* Whose blobs, and what the caller keeps with the map (NULL at first). */
mt_peer mt_blob_map_owner(const struct mt_blob_map *map);
void **mt_blob_map_context(struct mt_blob_map *map);
/* Gives the mapping up: at once, or when the last use is dropped. No handle of that owner may come any more. Takes. */
void mt_blob_map_close(struct mt_blob_map *map);

/* Takes a handle that came from `from`, the owner or another: its use, which all that hold the blob here share, counted once more. `note` is to be sent to the owner (B3) before
 * anything else, unless its kind is MT_BLOB_NONE: also when this fails for MOTE_ENOMEM. MOTE_EARG: it cannot be (B5). */
mote_err mt_blob_map_take(struct mt_blob_map *map, const struct mt_blob_handle *handle, mt_peer from, struct mt_blob_use **use, struct mt_blob_note *note);
/* The use of the blob that is just these bytes, if it is one and may be sent, counted once more; NULL. */
struct mt_blob_use *mt_blob_map_find(struct mt_blob_map *map, const void *data, size_t size);
/* Whether somebody here may still write to it: then it is not found. */
void mt_blob_use_open(struct mt_blob_map *map, struct mt_blob_use *use, bool open);
/* One user more. */
void mt_blob_use_hold(struct mt_blob_map *map, struct mt_blob_use *use);
/* One fewer. With the last one the gap's page is given up, and `release` is a note to be sent to the owner: else its kind is MT_BLOB_NONE. Whether it was the last
 * of the whole mapping, which is freed then (mt_blob_map_close()). */
bool mt_blob_use_drop(struct mt_blob_map *map, struct mt_blob_use *use, struct mt_blob_note *release);
/* Passes the blob on to `to`, which is neither self nor the owner: its handle. MOTE_ENOPROC: the owner has died, or mt_blob_map_ended() has been said of
 * `to`; MOTE_ENOMEM. Copy the data then. */
mote_err mt_blob_use_pass(struct mt_blob_map *map, struct mt_blob_use *use, mt_peer to, struct mt_blob_handle *handle);
/* It was not passed on after all. */
void mt_blob_use_unpass(struct mt_blob_map *map, struct mt_blob_use *use, mt_peer to);
/* The handle, to send the blob back to its owner. */
void mt_blob_use_handle(struct mt_blob_map *map, struct mt_blob_use *use, struct mt_blob_handle *handle);
/* Applies a note of MT_BLOB_COUNTED from the owner; `release` is to be sent to it, unless its kind is MT_BLOB_NONE. MOTE_NOMATCH: nothing was awaited: the receiver may have
 * lied to the owner; MOTE_EARG: no such note. */
mote_err mt_blob_map_apply(struct mt_blob_map *map, const struct mt_blob_note *note, struct mt_blob_note *release);
/* The owner has said that it read the ring of `peer`, which died, to its end (B4). Then mt_blob_map_released() until it gives false; nothing is passed to `peer`
 * any more. O(blobs in use). */
void mt_blob_map_ended(struct mt_blob_map *map, mt_peer peer);
/* The next note to be sent to the owner for what mt_blob_map_ended() has ended. */
bool mt_blob_map_released(struct mt_blob_map *map, struct mt_blob_note *release);
/* The owner has died: nothing is told to it any more, and no answer awaited. What is in use stays so. */
void mt_blob_map_owner_died(struct mt_blob_map *map);
/* Blobs in use, or waiting for the owner's answer. */
size_t mt_blob_map_count(struct mt_blob_map *map);

#endif
