/* SPDX-License-Identifier: Apache-2.0
 * K: calls. */
#include <mote/server.h>

#include "conf.h"

/* The reason with which Erlang's call exits. */
static void put_called(struct out *out, mote_err err, mote_term reply) {
    if (err == MOTE_ENOPROC) put_reason(out, reply);
    else put(out, "%s", err == MOTE_TIMEOUT ? "timeout" : err == MOTE_EBUSY ? "calling_self" : err ? mote_err_name(err) : "no_error");
}

static void nobody_there(mote_self *self, struct out *out) {
    mote_term reply = MOTE_TERM_NONE;
    mote_err err = mote_call(self, dead(self), LIMIT_MS, &reply, "x");
    put_called(out, err, reply);
    err = mote_call(self, "conf_nobody", LIMIT_MS, &reply, "x");
    put_called(out, err, reply);
}

/* Replies when it is told that the caller has given up: no timing decides how late that is. */
static void replies_late(mote_self *self, mote_term arg) {
    mote_term from = MOTE_TERM_NONE;
    mote_arena *arena = mote_arena_new(0);
    mote_assert(self, arena);
    mote_must(self, mote_receive_match(self, -1, "{'$gen_call', ?, _}", &from));
    from = mote_term_copy(arena, from);
    mote_must(self, mote_receive_match(self, -1, "late"));
    mote_must(self, mote_reply(self, from, "late"));
    mote_arena_free(arena);
    tell(self, pid_of(arg), "replied");
    forever(self, arg);
}
static void too_late(mote_self *self, struct out *out) {
    mote_term reply = MOTE_TERM_NONE;
    mote_pid server = start(self, replies_late, self_term(self));
    mote_err err = mote_call(self, server, 5, &reply, "x");
    put_called(out, err, reply);
    tell(self, server, "late");
    mote_must(self, mote_receive_match(self, LIMIT_MS, "replied"));
    put(out, "%d", count_rest(self));
}

static void crashes(mote_self *self, mote_term arg) {
    (void)arg;
    mote_must(self, mote_receive_match(self, -1, "{'$gen_call', _, _}"));
    mote_exit(self, atom("crashed"));
}
static void server_dies(mote_self *self, struct out *out) {
    mote_term reply = MOTE_TERM_NONE;
    mote_pid server = start(self, crashes, MOTE_TERM_NIL);
    mote_err err = mote_call(self, server, LIMIT_MS, &reply, "x");
    put_called(out, err, reply);
    put(out, "%d", count_rest(self));
}

static void to_oneself(mote_self *self, struct out *out) {
    mote_term reply = MOTE_TERM_NONE;
    mote_err err = mote_call(self, mote_self_pid(self), LIMIT_MS, &reply, "x");
    put_called(out, err, reply);
}

const struct conf conf_calls[] = {
    CONF(K, 01, nobody_there), CONF(K, 02, too_late), CONF(K, 03, server_dies), CONF(K, 04, to_oneself), {0},
};
