/* SPDX-License-Identifier: Apache-2.0
 * What libraries keep beyond a message: terms, each with memory of its own if it needs any, and the times of restarts.
 *
 * Only the process that owns it may use it. An arena is no memory of the process: who keeps terms drops them in a clean-up (mote_cleanup_add(),
 * or the stop of a handler).
 */
#ifndef MT_LIB_STORE_H
#define MT_LIB_STORE_H

#include <mote/mote.h>

struct mt_stored {
    mote_term term;
    mote_arena *arena; /* NULL: the term needs none */
};

/* Keeps a copy of a term. MOTE_ENOMEM; MOTE_ETERM for none. */
MOTE_MUST mote_err mt_store(struct mt_stored *stored, mote_term term);
/* The same, and none stays none. */
MOTE_MUST static inline mote_err mt_store_any(struct mt_stored *stored, mote_term term) {
    if (mote_term_type(term) != MOTE_NONE) return mt_store(stored, term);
    *stored = (struct mt_stored){0};
    return MOTE_OK;
}
/* Gives it up; what never was (all zero) is allowed. */
void mt_stored_drop(struct mt_stored *stored);

/* An arena that goes with the process, if it is not freed before: for who may be ended while it waits. NULL: out of memory. */
mote_arena *mt_own_arena(mote_self *self);
/* Frees it; NULL is allowed. */
void mt_own_arena_free(mote_self *self, mote_arena *arena);

/* A C struct as a term. It may hold pointers: what was not made by mt_seal() in this OS process is refused, since a binary from outside
 * cannot say at which address it will lie. MOTE_ENOMEM. */
MOTE_MUST mote_err mt_seal(mote_arena *arena, const void *data, size_t size, mote_term *sealed);
/* Copies it out. MOTE_EARG: no such struct, or forged. */
MOTE_MUST mote_err mt_unseal(mote_term sealed, void *data, size_t size);

/* Milliseconds since the runtime started. */
uint64_t mt_now_ms(mote_self *self);
/* What is left of a time limit that began at `start_ms`; -1 stays without limit. */
int64_t mt_left_ms(mote_self *self, uint64_t start_ms, int64_t timeout_ms);

/* MOTE_OK in a process that may wait; else what the wait would give. */
static inline mote_err mt_may_wait(mote_self *self) {
    mote_err err = mote_receive(self, -1, NULL); /* takes nothing: MOTE_EARG is about the NULL */
    return err == MOTE_EARG ? MOTE_OK : err;
}

/* Restarts within a sliding window: a ring of their times, oldest at `first`. */
struct mt_window {
    size_t limit;       /* allowed within the period */
    uint64_t period_ms;
    uint64_t *times;    /* of the process's memory */
    size_t capacity;    /* of times */
    size_t first;
    size_t count;
};

/* Counts a restart now; false: it is one too many, or memory is out. */
bool mt_window_add(struct mt_window *window, mote_self *self);

#endif
