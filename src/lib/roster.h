/* SPDX-License-Identifier: Apache-2.0
 * Who stands under which key: entries {key, process, value}, which leave with their process. For handlers that are asked about them.
 *
 * Only the process that owns it may use it. Terms in it are its own.
 * O1 a process with entries is monitored, once. O2 a slot has at least one entry; entries of a slot are in the order in which they came.
 * O3 who has learnt of a process's end finds none of its entries: they are looked at by mt_roster_dead() before they are given away.
 */
#ifndef MT_LIB_ROSTER_H
#define MT_LIB_ROSTER_H

#include "lib/index.h"
#include "lib/store.h"

struct mt_roster_entry {
    struct mt_roster_slot *slot;
    struct mt_roster_owner *owner;
    struct mt_roster_entry *before, *after;       /* in the slot */
    struct mt_roster_entry *own_before, *own_after; /* of the owner */
    struct mt_stored value;
};

struct mt_roster_slot {
    struct mt_index_node node;
    struct mt_stored key;
    struct mt_roster_slot *before, *after;
    struct mt_roster_entry *first, *last;
    size_t mark; /* the user's, 0 between calls */
};

struct mt_roster_owner {
    struct mt_index_node node;
    mote_pid pid;
    mote_ref monitor;
    struct mt_roster_entry *first, *last;
};

struct mt_roster {
    mote_self *self;
    struct mt_index slots, owners;
    struct mt_roster_slot *first, *last;
    size_t count; /* entries */
};

/* Makes an empty one. */
void mt_roster_init(struct mt_roster *roster, mote_self *self);
/* Drops what does not belong to the process, at its end. */
void mt_roster_fini(struct mt_roster *roster);

/* What stands under a key; the entries of a process; NULL: nothing. */
struct mt_roster_slot *mt_roster_slot(const struct mt_roster *roster, mote_term key);
struct mt_roster_owner *mt_roster_owner(const struct mt_roster *roster, mote_pid pid);

/* Adds an entry; copies `key` and `value`. MOTE_EARG: a process of another node; MOTE_ENOMEM. */
MOTE_MUST mote_err mt_roster_add(struct mt_roster *roster, mote_term key, mote_pid pid, mote_term value);
/* Removes an entry; its slot and its owner vanish with their last one. */
void mt_roster_remove(struct mt_roster *roster, struct mt_roster_entry *entry);
/* Removes all entries of a process. */
void mt_roster_leave(struct mt_roster *roster, struct mt_roster_owner *owner);
/* The owner that a DOWN of this monitor is about; NULL: none. */
struct mt_roster_owner *mt_roster_down(const struct mt_roster *roster, mote_pid pid, mote_ref monitor);
/* Whether a process is known to have ended, though its DOWN has not come. Never waits. */
bool mt_roster_dead(const struct mt_roster *roster, mote_pid pid);

#endif
