/* SPDX-License-Identifier: Apache-2.0
 * Memory faults: where stack overflows show up.
 *
 * Process-wide, because a signal's handler is: users are counted, the handler that was there before is put back by the last and called
 * for every fault that is not ours. I1 the handler runs on the thread's alternate stack and calls only async-signal-safe code.
 */
#ifndef MT_BASE_SEGV_H
#define MT_BASE_SEGV_H

#include "mote/mote.h"

/* Looks at a fault; returns when it is not its own (else it aborts or jumps away). */
typedef void (*mt_segv_fn)(const void *address);

/* Installs the handler for SIGSEGV and SIGBUS, or counts one more user of it (all with the same `fn`). MOTE_EOS. */
mote_err mt_segv_start(mt_segv_fn fn);
void mt_segv_stop(void);
/* Gives the calling thread an alternate signal stack, unless it has one; to be given back at its end. NULL: none was made. */
void *mt_segv_thread_begin(void);
void mt_segv_thread_end(void *stack);

#endif
