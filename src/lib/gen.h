/* SPDX-License-Identifier: Apache-2.0
 * What servers and machines have in common: their start, their parent, system messages, suspension, and when terminate is called.
 * All of it runs in the process itself, but mt_gen_start() and mt_gen_may_wait(), which its clients call.
 *
 * G1 terminate is called at most once, and only in a process whose init has succeeded: when a callback says stop, when it is found that a
 *    callback ended the process, when the parent has ended, and when a system message says so.
 * G2 while there is a backlog every message goes behind it, so that the order holds.
 * G3 a term that outlives its message is a struct mt_stored; all of them are freed by the behaviour's `drop`, however the process ends. */
#ifndef MT_LIB_GEN_H
#define MT_LIB_GEN_H

#include <mote/server.h>

#include "lib/store.h"

struct mt_gen;

/* A message that waits for a suspension to end. */
struct mt_letter {
    struct mt_letter *next;
    struct mt_stored message;
};

/* A behaviour: how a server or a machine does what both do. */
struct mt_gen_kind {
    mote_handler handler;
    const char *(*name)(const void *module);
    size_t (*state_size)(const void *module);
    void (*begin)(mote_self *self, struct mt_gen *gen, mote_term arg);         /* calls init and mt_gen_started() */
    void (*message)(mote_self *self, struct mt_gen *gen, mote_term message);   /* any but system messages */
    void (*more)(mote_self *self, struct mt_gen *gen);                         /* goes on with what it keeps; may be NULL */
    void (*terminate)(mote_self *self, struct mt_gen *gen, mote_term reason);
    mote_term (*format)(mote_self *self, struct mt_gen *gen, mote_arena *arena);
    mote_err (*replace)(mote_self *self, struct mt_gen *gen, mote_term term);
    mote_err (*upgrade)(mote_self *self, struct mt_gen *gen, mote_term old_version, mote_term extra);
    void (*drop)(struct mt_gen *gen); /* G3; may be NULL */
};

enum mt_gen_phase {
    MT_GEN_INIT,     /* init has not returned */
    MT_GEN_IDLE,     /* in none of the module's functions that may change the state */
    MT_GEN_CALLBACK, /* in one */
    MT_GEN_OVER      /* terminate has been called */
};

/* First in the state of the handler process. */
struct mt_gen {
    const struct mt_gen_kind *kind;
    const void *module;
    void *state;
    mote_pid parent; /* names nobody: none */
    mote_pid starter;
    mote_ref start; /* what the starter waits for */
    struct mt_letter *backlog, **backlog_end;
    enum mt_gen_phase phase;
    bool suspended;
    bool woken; /* a message is under way for which the backlog is looked at again */
    bool counts;
    uint64_t messages_in, messages_out;
    uint64_t counts_since_ms, reductions_before;
};

/* MOTE_OK in a process or thread that may wait, for this long; else what the wait would give. */
MOTE_MUST mote_err mt_gen_may_wait(mote_self *self, int64_t timeout_ms);

/* Waits for the answer to a call and gives it up when the time is over, as mote_call_term(). */
MOTE_MUST mote_err mt_call_wait(mote_self *self, int64_t timeout_ms, mote_ref ref, mote_term *reply);

/* Starts a process of that kind and waits for its init, as mote_server_start() says. */
MOTE_MUST mote_err mt_gen_start(mote_self *self, const struct mt_gen_kind *kind, const void *module, mote_term arg,
                                const mote_server_options *options, bool link, mote_pid *pid, mote_term *reason);

/* What the handler's callbacks call: first turn, each message, the end. */
void mt_gen_begin(mote_self *self, struct mt_gen *gen, const struct mt_gen_kind *kind, mote_term arg);
void mt_gen_handle(mote_self *self, struct mt_gen *gen, mote_term message);
void mt_gen_ended(mote_self *self, struct mt_gen *gen, mote_term reason);

/* init has succeeded; or has not, and the process ends: for MOTE_NEXT_STOP, _IGNORE and _REFUSE. */
void mt_gen_started(mote_self *self, struct mt_gen *gen);
MOTE_NORETURN void mt_gen_not_started(mote_self *self, struct mt_gen *gen, mote_next_kind kind, mote_term reason);

/* Calls terminate (G1). */
void mt_gen_terminate(mote_self *self, struct mt_gen *gen, mote_term reason);
/* The same, and ends. */
MOTE_NORETURN void mt_gen_stop(mote_self *self, struct mt_gen *gen, mote_term reason);
/* A message came for which the module has no callback. */
MOTE_NORETURN void mt_gen_undef(mote_self *self, struct mt_gen *gen, const char *callback);
/* Answers, and counts it. A caller that cannot be reached is left to itself; without memory the process ends, so that the caller hears. */
void mt_gen_reply(mote_self *self, struct mt_gen *gen, mote_term from, mote_term reply);

/* After much work at once: ends the turn, if it is used up, and sends a message to oneself, after which the backlog and `more` go on. If
 * that cannot be sent the mailbox is full: any message will do. */
void mt_gen_go_on_later(mote_self *self, struct mt_gen *gen, unsigned done);

/* Whether messages must go by mt_gen_handle(). */
static inline bool mt_gen_busy(const struct mt_gen *gen) { return gen->suspended || gen->backlog; }

#endif
