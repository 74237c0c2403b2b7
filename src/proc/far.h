/* SPDX-License-Identifier: Apache-2.0
 * Signals to and from processes elsewhere: of the node's other workers, as records, which a carrier takes there; of other nodes, as signals, which it takes as they are.
 *
 * Any thread of the runtime that may send. A carrier is its worker's for one incarnation; its context lives until mt_far_is_used() was false after that, or as long as the runtime.
 * F1 what is sent to a far pid is with its carrier before the send returns, so the order of sends is the order of records; mt_far_take() delivers them
 *    in the order they are given to it. F2 a process is noted with a worker before a signal about a relation with it is sent, or delivered; who is noted
 *    when the worker is lost gets a LOST signal, and finds in its own relations what has ended. So each is told once, and nobody looks through all
 *    processes. F3 what a record says is checked: a wrong one is refused, and does nothing. F5 each connection to a node has a number, higher than those before. Who relates to a process there is
 *    noted with the connection that takes his signal; a LOST tells of relations over its connection or an earlier one, and leaves later ones alone.
 */
#ifndef MT_PROC_FAR_H
#define MT_PROC_FAR_H

#include <mote/host.h>

#include "base/hash.h"
#include "proc/proc.h"
#include "proc/remote.h"

/* Where a process is: a worker's number and incarnation (below MT_PLACE_NODES), or a node that is, or was, connected. */
#define MT_PLACE_NODES 256u
#define MT_NODES_MAX 1024u

/* Binaries that are left out of an encoded message: each belongs behind the byte `at` of what was written. A message to a node has them as its load. */
#define MT_LEFT_MAX 8u
#define MT_LEFT_MIN ((size_t)65536) /* bytes: smaller ones are written */
struct mt_left {
    size_t count;
    struct mt_bin *bin[MT_LEFT_MAX]; /* held */
    mote_bytes bytes[MT_LEFT_MAX];   /* in it */
    size_t at[MT_LEFT_MAX];          /* they grow */
};
/* Leaves one out. Takes `bin`; false (there are MT_LEFT_MAX): nothing. */
static inline bool mt_left_add(struct mt_left *left, size_t at, mote_bytes bytes, struct mt_bin *bin) {
    if (left->count == MT_LEFT_MAX) return false;
    left->at[left->count] = at;
    left->bytes[left->count] = bytes;
    left->bin[left->count++] = bin;
    return true;
}
static inline void mt_left_drop(const struct mt_left *left) {
    for (size_t i = 0; i < left->count; i++) mt_bin_drop(left->bin[i]);
}

struct mt_carrier {
    /* Puts a record behind those before it; copies it. False: it is taken, but too many wait: who sent it shall stand still until
     * mt_far_drained(). Never blocks. */
    bool (*put)(void *context, const void *record, size_t size);
    /* Whether put() would say false, and so much of it is this process's (0: of anybody's) that it shall stand still. */
    bool (*crowded)(void *context, uint64_t sender);
    void *context;
    /* A node's has these instead of put(). A signal for one of its processes, or from a process a message that is encoded already, with what was left out of it (NULL: nothing; what it holds is taken). Take, borrow. Never block. */
    void (*signal)(void *context, struct mt_sched *s, const struct mt_remote_id *to, struct mt_sig *sig);
    void (*message)(void *context, struct mt_sched *s, uint64_t from, const struct mt_remote_id *to, mote_form form, mote_bytes term, const struct mt_left *left);
    /* In which form such a message is best: MOTE_FORM_NODES, also while nobody knows, or Erlang's. */
    mote_form (*form)(void *context);
    /* What the gate has for it, of its own kind: see mt_far_pass(). Borrows. */
    void (*pass)(void *context, struct mt_sched *s, const void *what);
};

/* This runtime as a node among others. */
struct mt_net {
    void *context;
    uint64_t name;     /* an atom */
    uint32_t creation;
    mote_ref_key ref_key; /* of its references, where they are written for other nodes; all its workers have the same */
    /* Something is for a node that has no place: opens one for it (mt_far_node_open()), where it waits to be connected; false: it will not be. Any thread; never blocks. */
    bool (*dial)(void *context, struct mt_sched *s, uint64_t node);
    void (*over)(void *context); /* the runtime is freed */
};

/* From now on this runtime has a name. Borrows it while the runtime lives. MOTE_EBUSY (it has one), MOTE_ENOMEM. */
mote_err mt_far_net(mote_runtime *rt, const struct mt_net *net);
/* The net, or NULL. */
const struct mt_net *mt_far_net_of(const mote_runtime *rt);

/* A node has a place from now on; its name is an atom, which is held. MOTE_EBUSY (it has one that has not been lost), MOTE_ELIMIT (there are MT_NODES_MAX), MOTE_ENOMEM. */
mote_err mt_far_node_open(mote_runtime *rt, uint64_t node, const struct mt_carrier *carrier, unsigned *place);

/* Nodes and workers: the *gate* passes on what comes from a node for another worker, and back. Its records travel between workers as others, and begin with these four bytes. */
#define MT_FAR_GATE 65u
struct mt_gate {
    mote_err (*take)(mote_runtime *rt, struct mt_sched *s, unsigned worker, const void *record, size_t size); /* such a record has come: as mt_far_take() */
    void (*opened)(mote_runtime *rt, unsigned worker); /* it is there */
    void (*lost)(mote_runtime *rt, struct mt_sched *s, unsigned worker, mote_term reason); /* it is not any more; who was noted with it is told already */
};
/* From now on this runtime has it, and is told of workers that are there. Shares it for ever. Without it such records do nothing. MOTE_ENOMEM. */
mote_err mt_far_gate(mote_runtime *rt, const struct mt_gate *gate);
/* Has the carrier of a node's place take something; the node is dialled when it has none. False: it will not be. Any thread; never blocks. */
bool mt_far_pass(struct mt_sched *s, uint64_t node, const void *what);
/* Calls it with each node's carrier's context. */
void mt_far_each_node(const mote_runtime *rt, void (*call)(void *carrier, void *context), void *context);

/* The word for a term about another node (mt_remote_id_of()); 0: it is none, or there is no memory. *own: it is about this node. */
uint64_t mt_far_word(mote_runtime *rt, uint64_t term, bool *own);
/* The word of an id; 0: no memory. */
uint64_t mt_far_word_of(mote_runtime *rt, const struct mt_remote_id *id);
/* What a word of another node stands for. */
bool mt_far_id(const mote_runtime *rt, uint64_t word, struct mt_remote_id *id);
/* The term for a word that stands in a message: built, if it is of another node (MOTE_TERM_NONE: no memory; []: it is forgotten). */
mote_term mt_far_element(const mote_runtime *rt, mote_arena *arena, uint64_t word);
/* Holds such a word for a relation, gives it back. Others: nothing. */
void mt_far_hold(const mote_runtime *rt, uint64_t word);
void mt_far_drop(const mote_runtime *rt, uint64_t word);


/* How big binaries travel between workers: all of them have one. F4 a message's are its *load*, NULL until it has one, which is ended once, by loaded(). */
struct mt_freighter {
    void *context;
    /* A big binary of a message to that worker: puts a handle (255 bytes) and gives its size; 0: the bytes shall be written. Any thread. */
    size_t (*load)(void *context, unsigned worker, void **load, const void *data, size_t size, uint8_t *handle);
    /* The message has been given to the carrier, or will not be. */
    void (*loaded)(void *context, void *load, bool sent);
    /* Gives a use of what a handle in the record that is being taken stands for, as mote_host_blobs. The thread of mt_far_take(). */
    mote_err (*unload)(void *context, mote_bytes handle, mote_blob **blob);
    /* The runtime ends: it is not to be used any more. */
    void (*over)(void *context);
};

/* From now on big binaries travel so. Borrows it while the runtime lives. MOTE_ENOMEM. */
mote_err mt_far_freight(mote_runtime *rt, const struct mt_freighter *freighter);
/* It, or NULL: bytes are written. */
const struct mt_freighter *mt_far_freighter(const mote_runtime *rt);

/* Gives a record of the freighter's or the gate's to the worker (number and incarnation; `any`: whatever incarnation): false: it is not there. Any thread; never waits. */
bool mt_far_put(mote_runtime *rt, unsigned worker, bool any, const void *record, size_t size);
/* The same to all workers that are there. */
void mt_far_put_all(mote_runtime *rt, const void *record, size_t size);
/* Whether too much waits for a worker: who sends there shall stand still. */
bool mt_far_crowded(const mote_runtime *rt, unsigned worker);

/* The other worker (number and incarnation) is there: signals go to it. MOTE_EARG (a number that is none, or this runtime's own), MOTE_EBUSY (an
 * incarnation before it has not been lost), MOTE_ENOMEM. */
mote_err mt_far_open(mote_runtime *rt, unsigned worker, const struct mt_carrier *carrier);

/* Sends a signal to a far pid. Takes it, if the pid's worker is there (without memory it is lost, and logged). */
enum mt_far_sent {
    MT_FAR_ABSENT, /* it is the caller's */
    MT_FAR_TAKEN,
    MT_FAR_CROWDED /* too much waits for that worker: who sends messages shall stand still, see mt_far_stand() */
};
enum mt_far_sent mt_far_send(struct mt_sched *s, uint64_t pid, struct mt_sig *sig);

/* The same for a message that is encoded already, from a process. Owner. Takes what the parcel has. */
enum mt_far_sent mt_far_send_encoded(struct mt_proc *self, mote_parcel *parcel, const void *term, size_t size);

/* The load of a parcel: mote_parcel_blob(), and its end. */
size_t mt_far_load(mote_runtime *rt, mote_parcel *parcel, const void *data, size_t size, uint8_t *handle);
void mt_far_unload(mote_runtime *rt, mote_parcel *parcel, bool sent);
/* mote_parcel_leave(). */
bool mt_far_leave(mote_parcel *parcel, size_t at, mote_bytes bytes, void (*ends)(void *data, void *context), void *context);

/* Counts the process among those that wait for the carrier of a far pid's worker, as one suspension; false: nothing waits there any more. Owner. */
bool mt_far_stand(struct mt_proc *self, uint64_t pid);

/* What a message of the process to a far pid would meet now: no connection (nor is there one on its way); one that it would stand still for; nothing. */
enum mt_far_way { MT_FAR_NO_WAY, MT_FAR_NARROW, MT_FAR_OPEN };
enum mt_far_way mt_far_way_to(struct mt_proc *self, uint64_t pid);

/* The form in which a message to a far pid is encoded. */
mote_form mt_far_form(const mote_runtime *rt, uint64_t pid);

/* What answers a question that has come from afar: `info` NULL: the process has ended. */
void mt_far_answer(struct mt_sched *s, uint64_t asker, uint64_t id, const mote_process_info *info);

/* Delivers a record that has come from a worker. MOTE_ETERM: it is none, and had no effect; MOTE_ENOMEM: it is lost. */
mote_err mt_far_take(struct mt_sched *s, unsigned worker, const void *record, size_t size);

/* The worker, or the connection to a node, has ended, for `reason`; all that came from it has been taken. From now on it is as if its processes had ended. MOTE_ETERM, MOTE_ENOMEM (nothing
 * has changed). */
mote_err mt_far_lost(struct mt_sched *s, unsigned place, mote_term reason);

/* The same in two steps, which do not fail: the place is closed, and `notes`, initialized by the caller, has who is to be told; they are told, the reason being an atom. The first waits for no more than
 * the lock FAR, and may be a step of something larger. Gives, takes `notes`. */
void mt_far_close(const mote_runtime *rt, unsigned place, struct mt_hash *notes);
void mt_far_tell(struct mt_sched *s, unsigned place, struct mt_hash *notes, mote_term atom);

/* Delivers a message from another node to a pid, through an alias if that is not 0: a term of MOTE_FORM_NODES. Its large binaries refer to `block` (borrowed; may be NULL), if the bytes are its. MOTE_ETERM, MOTE_ELIMIT, MOTE_ESYNTAX, MOTE_ENAME: it is none; MOTE_ENOMEM. */
mote_err mt_far_message(struct mt_sched *s, uint64_t pid, uint64_t alias, mote_bytes term, struct mt_bin *block);
/* Reads such a term. As mote_term_decode(). */
mote_err mt_far_term(const mote_runtime *rt, mote_arena *arena, mote_bytes bytes, mote_term *term);

/* Whether somebody may be in the carrier of a worker. Once it has been lost and this was false, its carrier can be freed. */
bool mt_far_is_used(const mote_runtime *rt, unsigned place);

/* What waited at the carrier has gone: who stood still for it goes on. In a worker what waits for the hub holds up those that send to nodes: they go on, too. */
void mt_far_drained(struct mt_sched *s, unsigned place);

/* Notes that a process has a relation with a far pid, F2; false: its worker is not there, or there is no memory. */
bool mt_far_note(struct mt_sched *s, uint64_t local, uint64_t far);
/* The same, and sends the signal that makes the relation, F5. Takes it, unless MT_FAR_ABSENT: not noted, or nobody is there. *connection: its number, if it is a node's; else untouched. */
enum mt_far_sent mt_far_relate(struct mt_sched *s, uint64_t local, uint64_t far, struct mt_sig *sig, uint64_t *connection);

/* The process ends: forgets its notes. */
void mt_far_forget(struct mt_proc *p);

void mt_far_free(mote_runtime *rt);

#endif
