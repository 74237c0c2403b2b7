/* SPDX-License-Identifier: Apache-2.0
 * What the small libraries have in common: how their processes are started, and how they are asked. They answer {Code, Answer}.
 */
#ifndef MT_LIB_ASK_H
#define MT_LIB_ASK_H

#include <mote/server.h>

/* Takes an answer apart, after the call that brought it returned `err`. Gives the code; `term` is borrowed from the reply, and the reason of the
 * other's end with MOTE_ENOPROC. */
MOTE_MUST mote_err mt_answer(mote_err err, mote_term reply, mote_term *term);

/* Starts a handler that is linked with the caller, and registers its name (an atom; anything else: none). No process is left after an error. */
MOTE_MUST mote_err mt_start_named(mote_self *self, const mote_handler *handler, mote_term name, mote_term arg, mote_pid *pid);

/* Starts a straight-line process that is linked with the caller and monitored by it under `ref`; it says how that went: it gets {'$start', Ref} and
 * sends {Ref, Code}; before a code that is not 0 it takes its link back, and then it ends with the reason. No process is left after an error. */
MOTE_MUST mote_err mt_start(mote_self *self, mote_body body, const char *name, mote_term arg, mote_pid *pid, mote_ref *ref);

/* The same, and waits for that; `reason` is borrowed until the next receive. */
MOTE_MUST mote_err mt_start_and_wait(mote_self *self, mote_body body, const char *name, mote_term arg, mote_pid *pid, mote_term *reason);

#endif
