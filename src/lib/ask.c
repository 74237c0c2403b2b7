/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/ask.h"

mote_err mt_answer(mote_err err, mote_term reply, mote_term *term) {
    int code;
    if (err) {
        if (err == MOTE_ENOPROC) *term = reply;
        return err == MOTE_EBUSY ? MOTE_ENOPROC : err; /* nobody asks itself */
    }
    if (!mote_match(reply, "{?, ?}", &code, term)) return MOTE_ETERM;
    return (mote_err)code;
}

mote_err mt_start_named(mote_self *self, const mote_handler *handler, mote_term name, mote_term arg, mote_pid *pid) {
    const mote_spawn_options options = {.handler = handler, .link = true};
    mote_pid made;
    if (!self) return MOTE_ESELF;
    if (!pid) return MOTE_EARG;
    mote_err err = mote_spawn_opt(self, &options, arg, &made);
    if (err) return err;
    if (mote_term_type(name) == MOTE_ATOM && (err = mote_register(self, name, made))) {
        (void)mote_unlink(self, made);
        (void)mote_exit_send(self, made, mote_to_name("kill"));
        return err;
    }
    *pid = made;
    return MOTE_OK;
}

/* It has not come so far that it could say why. */
static void give_up(mote_self *self, mote_pid child, mote_ref ref) {
    (void)mote_unlink(self, child);
    (void)mote_exit_send(self, child, mote_to_name("kill"));
    (void)mote_demonitor(self, ref, true, NULL);
}

static mote_err await_start(mote_self *self, mote_ref ref, mote_term *reason) {
    mote_term message, why;
    int code = MOTE_ENOPROC;
    mote_err err = mote_receive_ref(self, -1, ref, &message);
    if (!err && mote_match(message, "{_, ?}", &code) && code) err = mote_receive_ref(self, -1, ref, &message); /* its DOWN comes next */
    if (err) return err;
    if (!code) return mote_demonitor(self, ref, true, NULL);
    if (reason && mote_match(message, "{'DOWN', _, _, _, ?}", &why)) *reason = why;
    return (mote_err)code;
}

mote_err mt_start(mote_self *self, mote_body body, const char *name, mote_term arg, mote_pid *pid, mote_ref *ref) {
    mote_pid child;
    mote_ref monitor;
    const mote_spawn_options options = {.body = body, .name = name, .link = true, .monitor = &monitor, .reach = MOTE_REACH_PROTECTED};
    mote_err err = mote_spawn_opt(self, &options, arg, &child);
    if (err) return err;
    if ((err = mote_send(self, child, "{'$start', ?}", monitor))) {
        give_up(self, child, monitor);
        return err;
    }
    *pid = child;
    *ref = monitor;
    return MOTE_OK;
}

mote_err mt_start_and_wait(mote_self *self, mote_body body, const char *name, mote_term arg, mote_pid *pid, mote_term *reason) {
    mote_ref ref;
    mote_pid child;
    mote_err err = mt_start(self, body, name, arg, &child, &ref);
    if (!err && !(err = await_start(self, ref, reason))) *pid = child;
    return err;
}
