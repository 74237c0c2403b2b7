/* SPDX-License-Identifier: Apache-2.0
 * The life of a cluster: a process that looks for nodes and keeps this one (node.h) connected with them. And calls to the members of a group (group.h), wherever they are.
 *
 * A node is *wanted* when it was named, when a DNS name has its address, or when the port mapper of a host knows its name. Who is wanted and not connected is dialled at once; when that fails, or the
 * connection ends, again after 0.1 s, then 0.2 s, 0.4 s and so on to 10 s, each a quarter longer or shorter at random, so that not all come at the same moment; after a connection that lasted longer than its
 * pause would be it begins with 0.1 s. What is looked for is looked for again and again: who is not found any more is wanted until its connection ends. 1024 nodes are wanted at most.
 *
 * `cluster` is a pid or a name, in any form that MOTE_TO() takes; without one: MOTE_ENOPROC. Who asks it waits: MOTE_ECONTEXT in handlers. Other nodes do not reach it (MOTE_REACH_NONE).
 */
#ifndef MOTE_CLUSTER_H
#define MOTE_CLUSTER_H

#include <mote/mote.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whom to look for. NULL and 0 are none, or the default. Borrowed during the call. Arrays end with NULL; 32 places of `dns` and `hosts` together at most. */
typedef struct mote_cluster_options {
    const char *const *nodes; /* alive@host */
    const char *const *dns;   /* alive@name: for each address that the name has, alive@address; as for the pods of a headless service of Kubernetes */
    const char *const *hosts; /* the nodes that the port mapper of a host knows, as name@host */
    const char *prefix;       /* of those, the ones whose names begin so; NULL: all */
    uint32_t look_ms;         /* how often `dns` and `hosts` are asked; 0: 5000 */
    uint32_t retry_ms;        /* the first pause before a node is dialled again; 0: 100 */
    uint32_t retry_ms_max;    /* the longest; 0: 10000 */
} mote_cluster_options;

/* Starts the process, linked with the caller. Never waits for nodes. Gives `cluster`. MOTE_ENOPROC: this is no node; MOTE_EARG: an option that cannot be; as mote_spawn(). */
MOTE_API MOTE_MUST mote_err mote_cluster_start_link(mote_self *self, const mote_cluster_options *options, mote_pid *cluster);

/* Wants a node from now on, and waits until it is connected, up to timeout_ms (-1: 15 s). MOTE_ENOPROC: it cannot be now, or there is no such cluster; MOTE_TIMEOUT: either way it is tried again. MOTE_ENAME:
 * that is no node's name; MOTE_ELIMIT: too many are wanted. */
MOTE_API MOTE_MUST mote_err mote_cluster_connect(mote_self *self, mote_term cluster, mote_atom node, int64_t timeout_ms);

/* Wants a node no more that mote_cluster_connect() or `nodes` has named. A connection that there is stays. MOTE_NOMATCH: it was not wanted. */
MOTE_API MOTE_MUST mote_err mote_cluster_forget(mote_self *self, mote_term cluster, mote_atom node);

/* The nodes that are wanted, as a map: Node => true, it is connected, or false. */
MOTE_API MOTE_MUST mote_err mote_cluster_nodes(mote_self *self, mote_term cluster, mote_term *nodes);

/* Waits until so many of the nodes that are wanted are connected, up to timeout_ms (-1: for ever). MOTE_TIMEOUT; MOTE_ELIMIT: 1000 wait already. */
MOTE_API MOTE_MUST mote_err mote_cluster_wait(mote_self *self, mote_term cluster, size_t count, int64_t timeout_ms);

/* ------------------------------------------------------------------------------------------- calls to groups */

/* Calls (server.h) one of a group's members, any of them at random; those that are gone already (noproc) are passed over. Gives `reply`, borrowed until the next receive, and `pid` (may be NULL), as long.
 * MOTE_NOMATCH: the group has no member that is there; MOTE_ENOPROC: it has ended before it answered, and `reply` is the reason, or there is no such scope. As mote_call_term(). */
MOTE_API MOTE_MUST mote_err mote_group_call_any(mote_self *self, mote_term scope, mote_term group, int64_t timeout_ms, mote_term request, mote_term *reply, mote_pid *pid);

/* Calls all members at once, each once, however often it has joined. Gives `replies`, a list of {Pid, ok, Reply} and {Pid, error, Reason}, in the order of the members; a Reason is `timeout`, or that of its end. Copied into
 * `arena`, which the caller owns. As mote_group_members() and mote_call_start_term(). */
MOTE_API MOTE_MUST mote_err mote_group_call_all(mote_self *self, mote_term scope, mote_term group, int64_t timeout_ms, mote_term request, mote_arena *arena, mote_term *replies);

#ifndef __cplusplus
/* The functions take a cluster, a scope and a group in any form. */
#define mote_cluster_connect(self, cluster, node, timeout_ms) (mote_cluster_connect)(self, MOTE_TO(cluster), node, timeout_ms)
#define mote_cluster_forget(self, cluster, node) (mote_cluster_forget)(self, MOTE_TO(cluster), node)
#define mote_cluster_nodes(self, cluster, nodes) (mote_cluster_nodes)(self, MOTE_TO(cluster), nodes)
#define mote_cluster_wait(self, cluster, count, timeout_ms) (mote_cluster_wait)(self, MOTE_TO(cluster), count, timeout_ms)
#define mote_group_call_any(self, scope, group, timeout_ms, request, reply, pid) (mote_group_call_any)(self, MOTE_TO(scope), MOTE_TO(group), timeout_ms, request, reply, pid)
#define mote_group_call_all(self, scope, group, timeout_ms, request, arena, replies) (mote_group_call_all)(self, MOTE_TO(scope), MOTE_TO(group), timeout_ms, request, arena, replies)
#endif

#ifdef __cplusplus
}
#endif
#endif
