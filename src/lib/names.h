/* SPDX-License-Identifier: Apache-2.0
 * Global names as a node knows them, and locks: who has which, until he ends. For the name server (global.c).
 *
 * Only the process that owns a table may use it. Keys and pids come from other nodes, too.
 * K1 a name is of one process, which is monitored for it. K2 a name is at most MT_NAME_MAX bytes in Erlang's external form, how its conflicts are resolved at most MT_METHOD_MAX; there are at most
 * MT_NAMES_MAX. K3 a lock {Resource, Requester} has at least one holder, each once and monitored; of a resource there is one. K4 it is at most MT_LOCK_MAX bytes; all have MT_HOLDERS_MAX holders.
 */
#ifndef MT_LIB_NAMES_H
#define MT_LIB_NAMES_H

#include "lib/index.h"
#include "lib/store.h"

#define MT_NAMES_MAX 100000u
#define MT_NAME_MAX 1024u
#define MT_METHOD_MAX 4096u
#define MT_LOCK_MAX 4096u
#define MT_HOLDERS_MAX 10000u

struct mt_name {
    struct mt_index_node by_key; /* first */
    struct mt_index_node by_ref;
    struct mt_name *before, *after;
    struct mt_stored key, pid, method;
    mote_ref monitor;
};

struct mt_names {
    mote_self *self;
    struct mt_index keys, refs;
    struct mt_name *first;
};

struct mt_lock_held {
    struct mt_index_node by_resource; /* first */
    struct mt_lock_held *before, *after;
    struct mt_stored resource, requester;
    struct mt_holder *holders;
};

struct mt_locks {
    mote_self *self;
    struct mt_index resources, refs; /* of struct mt_lock_held; of their holders */
    struct mt_lock_held *first;
};

/* Whether a term has a form for other nodes of at most so many bytes (at most 4096). */
bool mt_term_fits(mote_term term, size_t bytes_max);

/* Makes an empty table; drops what does not belong to the process, at its end. */
void mt_names_init(struct mt_names *names, mote_self *self);
void mt_names_fini(struct mt_names *names);
/* Who has a name; NULL: nobody. */
struct mt_name *mt_names_find(const struct mt_names *names, mote_term key);
/* The same, and who is known to have ended loses it. */
struct mt_name *mt_names_living(struct mt_names *names, mote_term key);
/* Gives a name to a process, whoever has it. Copies. MOTE_ELIMIT (K2); MOTE_EARG: no pid; MOTE_ENOMEM. After an error all is as it was. */
MOTE_MUST mote_err mt_names_put(struct mt_names *names, mote_term key, mote_term pid, mote_term method);
/* Takes it away. Takes. */
void mt_names_remove(struct mt_names *names, struct mt_name *name);
/* Takes all names of a node's processes away. */
void mt_names_part(struct mt_names *names, mote_atom node);
/* A DOWN of this monitor: its name is gone. False: it is none's. */
bool mt_names_down(struct mt_names *names, mote_ref monitor);

void mt_locks_init(struct mt_locks *locks, mote_self *self);
void mt_locks_fini(struct mt_locks *locks);
/* A process sets a lock, {Resource, Requester}; false: another requester has the resource, or it cannot be (K4, memory). */
bool mt_locks_set(struct mt_locks *locks, mote_term lock, mote_term pid);
/* It holds it no longer, if it did. */
void mt_locks_drop(struct mt_locks *locks, mote_term lock, mote_term pid);
/* A DOWN of this monitor: he holds it no longer. False: it is no holder's. */
bool mt_locks_down(struct mt_locks *locks, mote_ref monitor);

#endif
