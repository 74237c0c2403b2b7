/* SPDX-License-Identifier: Apache-2.0
 * Calls: a monitor whose alias takes the reply, so that the reply, the end of the other side and giving up exclude each other.
 *
 * C1 what is about a call's reference reaches the mailbox at most once: the first reply closes alias and monitor, a DOWN closes both, and
 *    demonitoring closes both and takes a DOWN back. So after giving up only a reply that came before can be there. */
#include <string.h>

#include "lib/gen.h"

#define ARGS_MAX 16u
#define TIME_MAX_MS ((int64_t)1 << 47)

struct call {
    mote_term to; /* where the request goes: a name has been looked up */
    mote_ref ref;
    bool watched; /* by a monitor */
};

mote_err mt_gen_may_wait(mote_self *self, int64_t timeout_ms) {
    if (timeout_ms < -1 || timeout_ms > TIME_MAX_MS) return MOTE_EARG;
    return mt_may_wait(self);
}

/* MOTE_ENAME: nobody has the name. */
static mote_err open_call(mote_self *self, mote_term to, struct call *call) {
    static const mote_monitor_options with_alias = {.alias = MOTE_ALIAS_REPLY_DEMONITOR};
    mote_pid pid = mote_self_pid(NULL);
    mote_type type = mote_term_type(to);
    call->watched = type != MOTE_REFERENCE;
    call->to = to;
    if (!call->watched) return mote_alias(self, MOTE_ALIAS_REPLY, &call->ref);
    if (type == MOTE_ATOM) {
        mote_err err = mote_whereis(self, to, &pid);
        if (err) return err;
        call->to = mote_pid_term(pid);
    }
    if (call->to.word == mote_pid_term(mote_self_pid(self)).word) return MOTE_EBUSY;
    return mote_monitor_opt(self, call->to, &with_alias, &call->ref);
}

static mote_err send_request(mote_self *self, const struct call *call, mote_site *site, size_t count, const mote_arg *args) {
    mote_arg filled[ARGS_MAX];
    if (count < 2 || count > ARGS_MAX) return MOTE_EHOLE;
    memcpy(filled, args, count * sizeof *args);
    filled[0] = MOTE_ARG(mote_self_pid(self));
    filled[1] = MOTE_ARG(call->ref);
    return mote_send_site(self, call->to, site, count, filled);
}

mote_err mote_call_cancel(mote_self *self, mote_ref ref) {
    bool active = false;
    mote_err err = mote_demonitor(self, ref, true, &active);
    if (!err && !active) (void)mote_unalias(self, ref);
    return err;
}

mote_err mote_call_answer(mote_term message, mote_ref ref, mote_term *reply) {
    if (!reply) return MOTE_EARG;
    if (mote_match(message, "{[alias|^], ?}", ref, reply)) return MOTE_OK;
    return mote_match(message, "{'DOWN', ^, process, _, ?}", ref, reply) ? MOTE_ENOPROC : MOTE_NOMATCH;
}

/* What else is about the reference comes from who misuses it, and is dropped. */
static mote_err next_answer(mote_self *self, int64_t timeout_ms, mote_ref ref, mote_term *reply) {
    mote_term message;
    mote_err err;
    do {
        if ((err = mote_receive_ref(self, timeout_ms, ref, &message))) return err;
    } while ((err = mote_call_answer(message, ref, reply)) == MOTE_NOMATCH);
    return err;
}

mote_err mt_call_wait(mote_self *self, int64_t timeout_ms, mote_ref ref, mote_term *reply) {
    mote_err err = next_answer(self, timeout_ms, ref, reply);
    if (!err || err == MOTE_ENOPROC) return err;
    mote_call_cancel(self, ref);
    mote_err late = next_answer(self, 0, ref, reply); /* C1; one may have come since the receive gave up */
    return late == MOTE_OK ? late : err;
}

mote_err mote_call_site(mote_self *self, mote_term to, int64_t timeout_ms, mote_term *reply, mote_site *site, size_t count,
                        const mote_arg *args) {
    struct call call;
    mote_err err = mt_gen_may_wait(self, timeout_ms);
    if (!err && !reply) err = MOTE_EARG;
    if (err) return err;
    err = open_call(self, to, &call);
    if (err == MOTE_ENAME) {
        *reply = mote_to_name("noproc");
        return MOTE_ENOPROC;
    }
    if (err) return err;
    if ((err = send_request(self, &call, site, count, args))) {
        mote_call_cancel(self, call.ref);
        return err;
    }
    return mt_call_wait(self, timeout_ms, call.ref, reply);
}

mote_err mote_call_start_site(mote_self *self, mote_term to, mote_ref *ref, mote_site *site, size_t count, const mote_arg *args) {
    struct call call;
    if (!ref) return self ? MOTE_EARG : MOTE_ESELF;
    mote_err err = open_call(self, to, &call);
    if (err == MOTE_ENAME) return mote_monitor(self, to, ref); /* its DOWN is the answer */
    if (!err && (err = send_request(self, &call, site, count, args))) mote_call_cancel(self, call.ref);
    if (!err) *ref = call.ref;
    return err;
}

mote_err (mote_call_term)(mote_self *self, mote_term to, int64_t timeout_ms, mote_term request, mote_term *reply) {
    return mote_call(self, to, timeout_ms, reply, "?", request);
}

mote_err (mote_call_start_term)(mote_self *self, mote_term to, mote_term request, mote_ref *ref) {
    return mote_call_start(self, to, ref, "?", request);
}

mote_err (mote_cast_term)(mote_self *self, mote_term to, mote_term message) { return mote_cast(self, to, "?", message); }

/* ------------------------------------------------------------------------------------------------- replies */

/* A reply whose tag is no plain [alias|Ref]: what the site has built gets the tag as it came. */
static mote_err reply_otherwise(mote_self *self, mote_term from, mote_site *site, size_t count, mote_arg *args) {
    mote_term to, message, parts[2];
    mote_ref alias;
    mote_arena *scratch = mote_scratch(self);
    if (!mote_match(from, "{?, ?}", &to, &parts[0])) return MOTE_ETERM;
    if (!scratch) return MOTE_ENOMEM;
    args[0] = MOTE_ARG(false);
    mote_err err = mote_build_site(scratch, &message, site, count, args);
    if (!err) err = mote_tuple_get(message, 1, &parts[1]);
    if (err) return err;
    if (mote_match(parts[0], "[[alias|?]|_]", &alias)) to = mote_ref_term(alias);
    return mote_send_term(self, to, mote_tuple_make(scratch, 2, parts));
}

mote_err mote_reply_site(mote_self *self, mote_term from, mote_site *site, size_t count, const mote_arg *args) {
    mote_arg filled[ARGS_MAX];
    mote_ref alias;
    mote_err err;
    if (!self) return MOTE_ESELF;
    if (count < 1 || count > ARGS_MAX) return MOTE_EHOLE;
    memcpy(filled, args, count * sizeof *args);
    if (mote_match(from, "{_, [alias|?]}", &alias)) {
        filled[0] = MOTE_ARG(alias);
        err = mote_send_site(self, mote_ref_term(alias), site, count, filled);
    } else {
        err = reply_otherwise(self, from, site, count, filled);
    }
    return err == MOTE_ENAME ? MOTE_OK : err; /* as to the dead */
}

mote_err mote_reply_term(mote_self *self, mote_term from, mote_term reply) { return mote_reply(self, from, "?", reply); }
