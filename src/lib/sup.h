/* SPDX-License-Identifier: Apache-2.0
 * What the supervisor's process and those who talk to it have in common. C structs travel as binaries, the terms in them beside them, so
 * that a message owns all it says.
 *
 * Requests are Erlang's; wrapped as {mote, Request} they are answered by {Code, Answer}, and with C structs.
 */
#ifndef MT_LIB_SUP_H
#define MT_LIB_SUP_H

#include <mote/supervisor.h>

/* The argument of the process is {Plan, Name | [], [Child]}. */
struct mt_sup_plan {
    mote_supervisor_options options; /* but name and children */
    mote_pid parent;
    bool tells; /* {'$supervisor_done', Self} to the parent before its auto_shutdown */
};

/* A specification as {Bytes, Id, Arg}. MOTE_ENOMEM. */
MOTE_MUST mote_err mt_sup_pack(mote_arena *arena, const mote_child_spec *spec, mote_term *packed);
/* Takes it apart; the terms in `spec` are borrowed from it. MOTE_EARG: it is none. */
MOTE_MUST mote_err mt_sup_unpack(mote_term packed, mote_child_spec *spec);
/* The body of the process. */
void mt_supervise(mote_self *self, mote_term arg);

/* Starts a supervisor, as mote_supervisor_start_link(). */
MOTE_MUST mote_err mt_sup_start(mote_self *self, const mote_supervisor_options *options, bool tells, mote_pid *supervisor, mote_term *reason);

#endif
