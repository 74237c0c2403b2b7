/* SPDX-License-Identifier: Apache-2.0
 * What the scopes of process groups on other nodes tell of their members: who they are, and who of their node is in which group.
 *
 * Only the process that owns it may use it. All it is given comes from other nodes: what has not the form it should have, and what is unknown, is ignored; nothing recurses.
 * E1 a peer is a process of another node, monitored; a node has one at a time, the last that was added. E2 its members are of its node and creation. E3 a peer has at most
 * MT_PEER_JOINS_MAX joins, and the names of their groups together MT_PEER_BYTES_MAX bytes, each MT_PEER_NAME_MAX; what is beyond that is ignored. E4 a group has at least one pair, and a pair was joined
 * at least once. E5 all changes of members are told, in order; `told` must not change the table.
 */
#ifndef MT_LIB_PEERS_H
#define MT_LIB_PEERS_H

#include "lib/index.h"
#include "lib/store.h"

#define MT_PEER_JOINS_MAX 100000u
#define MT_PEER_BYTES_MAX ((size_t)16 << 20)
#define MT_PEER_NAME_MAX 1024u /* in external form */

struct mt_peer {
    struct mt_index_node node;
    struct mt_peer *before, *after;
    struct mt_stored pid;
    mote_atom home;        /* its node, in the pid's memory */
    uint32_t creation;
    mote_ref monitor;
    bool knows;            /* the user's */
    size_t joins, bytes;   /* E3 */
    struct mt_pair *first;
};

/* A group of which members are known, by its name. */
struct mt_away {
    struct mt_index_node node;
    struct mt_stored key;
    struct mt_away *before, *after;
    struct mt_pair *first;
};

struct mt_peers {
    mote_self *self;
    struct mt_index peers, groups, pairs;
    struct mt_peer *first;
    struct mt_away *first_group;
    void (*told)(void *context, const char *what, mote_term group, mote_term pids); /* "join" or "leave"; borrows */
    void *context;
};

/* Makes an empty one. Borrows `context`. */
void mt_peers_init(struct mt_peers *peers, mote_self *self, void (*told)(void *context, const char *what, mote_term group, mote_term pids), void *context);
/* Drops what does not belong to the process, at its end. */
void mt_peers_fini(struct mt_peers *peers);

/* The peer of a pid; NULL: there is none. */
struct mt_peer *mt_peers_find(const struct mt_peers *peers, mote_term pid);
/* A new one, which is monitored; another of its node goes. NULL: it is no process of another node, or there is no memory. Connects to its node, unless it is connected. */
struct mt_peer *mt_peers_add(struct mt_peers *peers, mote_term pid);
/* It is gone, and its members with it. Takes. */
void mt_peers_remove(struct mt_peers *peers, struct mt_peer *peer);
/* All of a node, if there are any. */
void mt_peers_remove_node(struct mt_peers *peers, mote_atom node);

/* It says: `pids` (one, or a list) have joined a group; have left each of these groups, as often as they stand there; or: these, {Group, Pids}, are all that there are. */
void mt_peers_join(struct mt_peers *peers, struct mt_peer *peer, mote_term group, mote_term pids);
void mt_peers_leave(struct mt_peers *peers, struct mt_peer *peer, mote_term pids, mote_term groups);
void mt_peers_sync(struct mt_peers *peers, struct mt_peer *peer, mote_term groups);

/* The group of a name; NULL: nobody there is in it. */
struct mt_away *mt_peers_group(const struct mt_peers *peers, mote_term name);
/* Its members, as often as they joined, in front of `tail`; the list is in mote_scratch(). MOTE_TERM_NONE: no memory. `group` may be NULL. */
mote_term mt_peers_members(const struct mt_peers *peers, const struct mt_away *group, mote_term tail);

#endif
