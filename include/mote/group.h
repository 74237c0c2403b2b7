/* SPDX-License-Identifier: Apache-2.0
 *
 * Process groups, as Erlang's pg: a process (a scope) keeps which processes are in which groups, named by any terms. A process may be in
 * many, and several times in one, and leaves with its end: who has learnt of that finds it no more.
 *
 * In a node (node.h) a scope that has a name is one with the scopes of that name on the nodes it is connected with: mote's, and Erlang's, whose pg is named pg by default. Each keeps the processes of its
 * own node, and tells the others who joins and leaves; a connection that ends takes the members behind it. Hidden connections count as visible ones do; Erlang's own nodes discover a hidden one only when
 * it does. What was started before the node was takes part from the next time on that it is asked or told something. To other nodes a text is a binary, so here, too, both name the same group. Of one node's
 * members 100,000 are known here, counted as often as they joined, and groups with names of up to 1024 bytes in Erlang's external form (together 16 MiB).
 *
 * Who calls these functions waits for the scope's answer: they are for straight-line processes and attached threads (MOTE_ECONTEXT
 * in handlers). `scope` is a pid or a name, in any form that MOTE_TO() takes; without one: MOTE_ENOPROC. Lists that are given are borrowed until the
 * next receive.
 */
#ifndef MOTE_GROUP_H
#define MOTE_GROUP_H

#include <mote/mote.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Starts a scope that is linked with the caller, and protected from other nodes (MOTE_REACH); `name` is registered, NULL: none. Gives `scope`. MOTE_EBUSY: the name is taken. As mote_spawn() and
 * mote_register(). */
MOTE_API MOTE_MUST mote_err mote_group_start_link(mote_self *self, const char *name, mote_pid *scope);

/* The same for the specification of a supervisor's child (its `start`); `arg` is the name, an atom, or [] for none. */
MOTE_API mote_err mote_group_start(mote_self *self, mote_term arg, mote_pid *scope);

/* Puts a process of this node into a group, once more if it is there already. Copies `group`. MOTE_EARG: it is of another; MOTE_ENOMEM. As pg:join/3. */
MOTE_API MOTE_MUST mote_err mote_group_join(mote_self *self, mote_term scope, mote_term group, mote_pid pid);

/* Takes it out again, once. MOTE_NOMATCH: it is not there. As pg:leave/3. */
MOTE_API MOTE_MUST mote_err mote_group_leave(mote_self *self, mote_term scope, mote_term group, mote_pid pid);

/* A group's processes, on all nodes, those of this first, as often as they joined: a list, empty when there is no such group. As pg:get_members/2. */
MOTE_API MOTE_MUST mote_err mote_group_members(mote_self *self, mote_term scope, mote_term group, mote_term *members);

/* The same, those of this node alone. As pg:get_local_members/2. */
MOTE_API MOTE_MUST mote_err mote_group_local_members(mote_self *self, mote_term scope, mote_term group, mote_term *members);

/* The groups that have members: a list. As pg:which_groups/1. */
MOTE_API MOTE_MUST mote_err mote_group_names(mote_self *self, mote_term scope, mote_term *groups);

/* From now on the caller is told of changes of a group: {Ref, join | leave, Group, Pids}. Gives `ref`, and the members it had before the first change
 * (`members` may be NULL). MOTE_ENOMEM. As pg:monitor/2. */
MOTE_API MOTE_MUST mote_err mote_group_monitor(mote_self *self, mote_term scope, mote_term group, mote_ref *ref, mote_term *members);

/* The same for all groups of the scope; `groups` (may be NULL) is a map of their members. As pg:monitor_scope/1. */
MOTE_API MOTE_MUST mote_err mote_group_monitor_scope(mote_self *self, mote_term scope, mote_ref *ref, mote_term *groups);

/* Ends that, and takes its messages out of the caller's mailbox. MOTE_NOMATCH: the reference is none of the caller's. As pg:demonitor/2. */
MOTE_API MOTE_MUST mote_err mote_group_demonitor(mote_self *self, mote_term scope, mote_ref ref);

#ifndef __cplusplus
/* The functions take a scope and a group in any form. */
#define mote_group_join(self, scope, group, pid) (mote_group_join)(self, MOTE_TO(scope), MOTE_TO(group), pid)
#define mote_group_leave(self, scope, group, pid) (mote_group_leave)(self, MOTE_TO(scope), MOTE_TO(group), pid)
#define mote_group_members(self, scope, group, members) (mote_group_members)(self, MOTE_TO(scope), MOTE_TO(group), members)
#define mote_group_local_members(self, scope, group, members) (mote_group_local_members)(self, MOTE_TO(scope), MOTE_TO(group), members)
#define mote_group_names(self, scope, groups) (mote_group_names)(self, MOTE_TO(scope), groups)
#define mote_group_monitor(self, scope, group, ref, members) (mote_group_monitor)(self, MOTE_TO(scope), MOTE_TO(group), ref, members)
#define mote_group_monitor_scope(self, scope, ref, groups) (mote_group_monitor_scope)(self, MOTE_TO(scope), ref, groups)
#define mote_group_demonitor(self, scope, ref) (mote_group_demonitor)(self, MOTE_TO(scope), ref)
#endif

#ifdef __cplusplus
}
#endif
#endif
