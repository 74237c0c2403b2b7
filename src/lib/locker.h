/* SPDX-License-Identifier: Apache-2.0
 * The locker of a server of global names: a process that does what has to wait for other nodes, in the order in which it is told.
 *
 * It is told {Token, Ticket, [Step]}, and answers {'$done', Ticket, true | false, Results}: false: a lock was not to be had, then none is left of those that it has set for this. A node that is gone counts as one that agrees; one that does not answer
 * for MT_LOCKER_MS as one that does not. Steps: {set, Lock, Nodes}; {del, Lock, Nodes}; {call, Request, Nodes}; {tell, Message, Nodes}; {resolve, Node, Method, Name, His, Ours}: has another node decide who keeps a name; its result is {Name, His | Ours | none}.
 * Locks are its own: other nodes know it as the one who holds them, and may send to it; so orders have a token that the server alone knows.
 */
#ifndef MT_LIB_LOCKER_H
#define MT_LIB_LOCKER_H

#include <mote/mote.h>

#define MT_LOCKER_MS 5000

/* Its body; `arg`: {Server, Token}, the server being this node's. */
void mt_locker(mote_self *self, mote_term arg);

#endif
