/* SPDX-License-Identifier: Apache-2.0
 * Erlang's conformance scenarios on this API. conf.erl is what they are ported from: the same ids, rounds, races and words.
 *
 * A scenario is one function. It runs in a process of its own and puts its result, word by word, as conf.erl's r/1 writes it. A call that
 * must work stands in mote_must(), a state that must hold in mote_assert(): if not, the line says harness_died.
 */
#ifndef MT_TESTS_CONFORMANCE_CONF_H
#define MT_TESTS_CONFORMANCE_CONF_H

#include "live.h"

/* The result of a scenario: words with commas between them. */
struct out {
    size_t size;
    char text[500];
};
typedef void scenario(mote_self *self, struct out *out);

struct conf {
    const char *id;
    scenario *run;
};
#define CONF(letter, number, run) {#letter #number, run}

/* The groups; each ends in a zero entry. */
extern const struct conf conf_order[], conf_exits[], conf_links[], conf_monitors[], conf_names[], conf_ends[], conf_timers[],
    conf_aliases[], conf_mailbox[], conf_limits[], conf_calls[], conf_supervisors[], conf_nodes[];

/* Runs what was chosen. The first process, of a node, which the group L needs; and of the other node: `context` is its name and its cookie. */
int run_all(mote_self *self, void *context);
int run_nodes(mote_self *self, void *context);
int run_peer(mote_self *self, void *context);


#define NODE "nonode@nohost"                 /* this node's name */
#define LIMIT_MS (under_tool() ? 60000 : 30000) /* of a receive inside a scenario; a scenario has 7.5 times as much */

/* ThreadSanitizer takes a millisecond for a stack and bears 8000 at once: where processes are very many, they are handlers then. */
#if defined(__SANITIZE_THREAD__)
#define FEW_STACKS true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FEW_STACKS true
#endif
#endif
#ifndef FEW_STACKS
#define FEW_STACKS false
#endif

/* Words. */
__attribute__((format(printf, 2, 3))) void put(struct out *out, const char *format, ...);
void put_term(struct out *out, mote_term term);
void put_bool(struct out *out, bool value);
/* What Erlang's function returns or raises: true, badarg, noproc. */
void put_returned(struct out *out, mote_err err);
/* What is raised, or no_error. */
void put_raised(struct out *out, mote_err err);
void put_violations(struct out *out, int n);
/* An exit reason as conf.erl's reason/1 has it: {error, What, Place} is error:What. */
void put_reason(struct out *out, mote_term reason);
/* An exit message of `from`: EXIT:Reason; any other term as it is. */
void put_exit(struct out *out, mote_pid from, mote_term message);
/* All messages in the mailbox, none if there is none. */
void put_rest(mote_self *self, struct out *out);

/* conf.erl's n/1: CONF_N is thousandths of the rounds. */
int rounds(int n);

/* Workers. With two, whatever a process starts is in the worker that it is not in itself, so that all signals between the two cross; what one party would send
 * to itself the other worker sends. A scenario of which nothing has crossed is a fault, unless its reason stands in main.c. With one worker these are the plain calls. */
bool across(void);
unsigned crossed(void); /* how often something did, since this was asked */
/* Runs the first process, in worker 0; the program's exit code. */
int run_across(const mote_options *options, mote_body body);
/* mote_spawn_opt(): body or handler, link, monitor, and for a body stack_size, mailbox_max, policy. */
mote_pid launch(mote_self *self, const mote_spawn_options *options, mote_term arg);
/* In the caller's own worker: for one of two parties that the caller starts. */
mote_pid start_here(mote_self *self, mote_body body, mote_term arg);
mote_pid idle_here(mote_self *self);
mote_pid dead_here(mote_self *self);
/* Sends to oneself, or through an alias of one's own: it is there when this returns. Receives. */
mote_err say(mote_self *self, mote_term to, mote_term message);
/* mote_send_after() to oneself. */
mote_err say_after(mote_self *self, int64_t ms, mote_ref *timer, mote_term message);
/* mote_register(), which knows its own worker's processes only. Receives. */
mote_err name_it(mote_self *self, const char *name, mote_pid pid);
/* What the other worker has sent until now is here. Receives. */
void hear(mote_self *self);
/* How many there are in the node, and whether this is one. Receives. */
size_t processes(mote_self *self, mote_pid pid, bool *found);

/* Processes. */
mote_pid start(mote_self *self, mote_body body, mote_term arg);
mote_pid start_linked(mote_self *self, mote_body body, mote_term arg);
mote_pid start_monitored(mote_self *self, mote_body body, mote_term arg, mote_ref *monitor);
void forever(mote_self *self, mote_term arg); /* body: waits for what never comes */
mote_pid idle(mote_self *self);
mote_pid dead(mote_self *self);
void ends(mote_self *self, mote_term arg);          /* body: returns */
void exits_with(mote_self *self, mote_term arg);    /* body: exit(Arg) */
void errors_with(mote_self *self, mote_term arg);   /* body: error(Arg) */
void obeys(mote_self *self, mote_term arg);         /* body: receive go -> exit(Arg) end */
/* One of very many: it ends at once, or stays until it is told to end. `monitor` may be NULL. */
mote_pid start_light(mote_self *self, bool stays, mote_ref *monitor);
void signal_exit(mote_self *self, mote_pid pid, const char *reason);
bool is_alive(mote_self *self, mote_pid pid);
void trap(mote_self *self);

/* Messages; what they give is borrowed until the next receive. */
mote_term msg_within(mote_self *self, int64_t ms);  /* the atom nothing after ms */
mote_term msg(mote_self *self);
int count_rest(mote_self *self);
mote_term down(mote_self *self, mote_ref monitor);  /* the reason, or no_down */
mote_term gone(mote_self *self, mote_pid pid);
/* Runs a body in a process that does not trap, and puts its exit reason. */
void put_die(mote_self *self, struct out *out, mote_body body, mote_term arg);
bool is(mote_term term, const char *name); /* an atom */
void pause_ms(mote_self *self, int64_t ms); /* receive after Ms -> ok end */
void settle(mote_self *self);
/* The same, and first so many messages come. */
void settle_with(mote_self *self, size_t messages);
void tell(mote_self *self, mote_pid pid, const char *name); /* an atom */

/* Time spent computing: n steps, or microseconds. Other processes run meanwhile, as in Erlang. */
void spin_for(mote_self *self, int n);
void busy_us(mote_self *self, int64_t us);

/* A race counts only if both outcomes were seen, each in at least one round of a hundred. */
struct race {
    int rounds, first, violations;
    int64_t us[4]; /* how long sweep() takes between two workers: longer after a round that was not `first` */
};
void race_round(struct race *race, bool first, bool holds);
void put_race(struct out *out, const struct race *race);
/* A peer that ends with `reason` on go; in odd rounds it polls, so that it runs on another core already. */
mote_pid racer(mote_self *self, int round, const char *reason);
/* In half of the rounds: waits until the peer has applied what was sent to it. Else the next message lands behind that, which may
 * end the turn. */
void let_see(mote_self *self, mote_pid peer, int round);
void sweep(mote_self *self, const struct race *race); /* a little time, another in each round */

/* A term in the scratch arena: valid until the next receive. */
#define TERM(self, text, ...)                                                               \
    (__extension__({                                                                        \
        mote_term term_ = MOTE_TERM_NONE;                                                   \
        mote_must(self, mote_build(mote_scratch(self), &term_, text, __VA_ARGS__));         \
        term_;                                                                              \
    }))

#endif
