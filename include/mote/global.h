/* SPDX-License-Identifier: Apache-2.0
 * Names of processes that all nodes of a cluster know, as Erlang's global: any term names one process, on whichever node. Each node has all names, and forgets those of processes that have
 * ended and of nodes that are gone.
 *
 * For visible nodes (node.h) that have asked for it, mote_node_options.global_names: they are one with Erlang's nodes and with each other. As Erlang's they connect all with all, and when one of two connected nodes loses
 * a third, the other ends its connection to that one, too (OTP's prevent_overlapping_partitions): nobody is left with half a cluster. OTP 25 and later; older nodes get along, without names. To other nodes a text is a binary, so
 * here, too, both are the same name. 100,000 names are known, each at most 1024 bytes in Erlang's external form.
 *
 * When two clusters meet that both have a name, it stays with the process whose node's name is smaller, and the way of the name that is lost decides what becomes of the other.
 *
 * Locks are as Erlang's, too: whoever has one is alone with its resource, until he gives it back or ends, on whichever node.
 *
 * Who calls these functions waits for the answer: they are for straight-line processes and attached threads (MOTE_ECONTEXT in handlers). Without global names: MOTE_ENOPROC. A name may have any form that MOTE_TO() takes.
 */
#ifndef MOTE_GLOBAL_H
#define MOTE_GLOBAL_H

#include <mote/mote.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What becomes of two processes of one name. */
typedef enum mote_conflict {
    MOTE_CONFLICT_EXIT,      /* who loses the name is killed; as global:random_exit_name/3 */
    MOTE_CONFLICT_NOTIFY,    /* he is sent {global_name_conflict, Name}; as global:random_notify_name/3 */
    MOTE_CONFLICT_NOTIFY_ALL /* both lose it, and are sent {global_name_conflict, Name, OtherPid}; as global:notify_all_name/3 */
} mote_conflict;

/* Starts the server of global names, which mote_node_start() does when it is asked to. It is not linked. Gives `pid` (may be NULL). MOTE_EBUSY: there is one; and as mote_spawn(). */
MOTE_API MOTE_MUST mote_err mote_global_start(mote_self *self, mote_pid *pid);

/* Gives a name to a process of any node, on all nodes. Copies. MOTE_EBUSY: another has it; MOTE_TIMEOUT: in 30 s the others did not let it be; MOTE_EARG; MOTE_ELIMIT: the name is too long, or there are too many.
 * As global:register_name/3. */
MOTE_API MOTE_MUST mote_err mote_global_register(mote_self *self, mote_term name, mote_pid pid, mote_conflict conflict);

/* The same, whoever has the name now. As global:re_register_name/3. */
MOTE_API MOTE_MUST mote_err mote_global_reregister(mote_self *self, mote_term name, mote_pid pid, mote_conflict conflict);

/* Takes a name away, on all nodes; one that nobody has is no error. As global:unregister_name/1, and as mote_global_register(). */
MOTE_API MOTE_MUST mote_err mote_global_unregister(mote_self *self, mote_term name);

/* Who has a name. Gives `pid`, borrowed until the next receive (copy its term to keep it). MOTE_NOMATCH: nobody. As global:whereis_name/1. */
MOTE_API MOTE_MUST mote_err mote_global_whereis(mote_self *self, mote_term name, mote_pid *pid);

/* All names: a list, borrowed until the next receive. As global:registered_names/0. */
MOTE_API MOTE_MUST mote_err mote_global_names(mote_self *self, mote_term *names);

/* Sends to who has a name. MOTE_NOMATCH: nobody. As global:send/2, and as mote_send_term(). */
MOTE_API MOTE_MUST mote_err mote_global_send(mote_self *self, mote_term name, mote_term message);

/* Waits until names have been exchanged with all visible nodes that are connected; -1: for ever. MOTE_TIMEOUT. As global:sync/0. */
MOTE_API MOTE_MUST mote_err mote_global_sync(mote_self *self, int64_t timeout_ms);

/* Sets the lock {Resource, Requester} on nodes, for the calling process: nobody with another requester gets the resource there until it has taken it back, or has ended. Others may set the same lock, too, and each of them
 * takes it back. `requester` MOTE_TERM_NONE: the caller's pid, which nobody else names by chance; `nodes` is a list of names, MOTE_TERM_NIL: this one and all that are known. Those that are gone do not count; one that does not answer for 5 s has refused. Waits, and tries again
 * after pauses of 10 ms to 1.3 s at random; 0: once, -1: for ever. Both terms together have at most 4096 bytes in Erlang's external form (MOTE_ELIMIT). MOTE_TIMEOUT: somebody else has it; MOTE_EARG: no list of names. As global:set_lock/3. */
MOTE_API MOTE_MUST mote_err mote_global_set_lock(mote_self *self, mote_term resource, mote_term requester, mote_term nodes, int64_t timeout_ms);

/* Takes it back, if the caller has set it: with the same terms and nodes. Waits. As global:del_lock/2. */
MOTE_API mote_err mote_global_del_lock(mote_self *self, mote_term resource, mote_term requester, mote_term nodes);

#ifndef __cplusplus
/* The functions take a name in any form. */
#define mote_global_register(self, name, pid, conflict) (mote_global_register)(self, MOTE_TO(name), pid, conflict)
#define mote_global_reregister(self, name, pid, conflict) (mote_global_reregister)(self, MOTE_TO(name), pid, conflict)
#define mote_global_unregister(self, name) (mote_global_unregister)(self, MOTE_TO(name))
#define mote_global_whereis(self, name, pid) (mote_global_whereis)(self, MOTE_TO(name), pid)
#define mote_global_send(self, name, message) (mote_global_send)(self, MOTE_TO(name), message)
#endif

#ifdef __cplusplus
}
#endif
#endif
