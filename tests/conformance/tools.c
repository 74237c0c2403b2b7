/* SPDX-License-Identifier: Apache-2.0
 * What the scenarios share: conf.erl's tools in C. */
#include "conf.h"

#include <stdarg.h>

/* --------------------------------------------------------------------------------------------------- words */

__attribute__((format(printf, 2, 0))) static void add(struct out *out, const char *format, va_list args) {
    int n = vsnprintf(out->text + out->size, sizeof out->text - out->size, format, args);
    CHECK(n >= 0 && (size_t)n < sizeof out->text - out->size);
    out->size += (size_t)n;
}
__attribute__((format(printf, 2, 3))) static void more(struct out *out, const char *format, ...) {
    va_list args;
    va_start(args, format);
    add(out, format, args);
    va_end(args);
}
void put(struct out *out, const char *format, ...) {
    va_list args;
    if (out->size) more(out, ",");
    va_start(args, format);
    add(out, format, args);
    va_end(args);
}

static void more_term(struct out *out, mote_term term);

static void more_tuple(struct out *out, mote_term term) {
    size_t n = 0;
    mote_term element;
    CHECK_OK(mote_tuple_size(term, &n));
    for (size_t i = 0; i < n; i++) {
        CHECK_OK(mote_tuple_get(term, i, &element));
        if (i) more(out, ":");
        more_term(out, element);
    }
}
static void more_list(struct out *out, mote_term term) {
    mote_term head;
    for (bool first = true; mote_list_get(term, &head, &term) == MOTE_OK; first = false) {
        if (!first) more(out, ",");
        more_term(out, head);
    }
}

static void more_term(struct out *out, mote_term term) {
    mote_bytes bytes;
    mote_atom name;
    int64_t n = 0;
    switch (mote_term_type(term)) {
    case MOTE_TUPLE: more_tuple(out, term); return;
    case MOTE_LIST: more_list(out, term); return;
    case MOTE_NIL: more(out, "none"); return;
    case MOTE_PID: more(out, "PID"); return;
    case MOTE_REFERENCE: more(out, "REF"); return;
    case MOTE_ATOM:
        CHECK_OK(mote_atom_get(term, &name));
        more(out, "%s", mote_atom_name(name, NULL));
        return;
    case MOTE_INTEGER:
        CHECK_OK(mote_int_get(term, &n));
        more(out, "%lld", (long long)n);
        return;
    case MOTE_BINARY:
    case MOTE_TEXT:
        CHECK_OK(mote_bytes_get(term, &bytes));
        more(out, "%.*s", (int)bytes.size, (const char *)bytes.data);
        return;
    default: more(out, "other"); return;
    }
}

void put_term(struct out *out, mote_term term) {
    put(out, "%s", "");
    more_term(out, term);
}
void put_bool(struct out *out, bool value) { put(out, "%s", value ? "true" : "false"); }
void put_violations(struct out *out, int n) { put(out, "violations:%d", n); }

static const char *raised(mote_err err) {
    switch (err) {
    case MOTE_EARG:
    case MOTE_ETERM:
    case MOTE_ENAME:
    case MOTE_EBUSY:
    case MOTE_ERANGE: return "badarg";
    case MOTE_ENOPROC: return "noproc";
    default: return mote_err_name(err);
    }
}
void put_returned(struct out *out, mote_err err) { put(out, "%s", err ? raised(err) : "true"); }
void put_raised(struct out *out, mote_err err) { put(out, "%s", err ? raised(err) : "no_error"); }

/* conf.erl's r2/1: what a reason starts with, two atoms, or {nocatch, Anything}. */
static void more_reason(struct out *out, mote_term reason) {
    mote_term first, second = MOTE_TERM_NONE;
    mote_type type = mote_term_type(reason);
    size_t n;
    bool tuple = mote_tuple_size(reason, &n) == MOTE_OK && n >= 2 && mote_tuple_get(reason, 0, &first) == MOTE_OK &&
                 mote_tuple_get(reason, 1, &second) == MOTE_OK && mote_term_type(first) == MOTE_ATOM;
    if (type == MOTE_ATOM || type == MOTE_INTEGER) more_term(out, reason);
    else if (!tuple) more(out, "other");
    else if (n == 2 && (is(first, "nocatch") || mote_term_type(second) == MOTE_ATOM)) more_tuple(out, reason);
    else more_term(out, first);
}
void put_reason(struct out *out, mote_term reason) {
    mote_term what;
    bool error = mote_match(reason, "{error, ?, {_, _}}", &what);
    put(out, "%s", error ? "error:" : "");
    more_reason(out, error ? what : reason);
}

void put_exit(struct out *out, mote_pid from, mote_term message) {
    mote_term reason;
    if (!mote_match(message, "{'EXIT', ^, ?}", from, &reason)) {
        put_term(out, message);
        return;
    }
    put(out, "EXIT:");
    more_reason(out, reason);
}

void put_rest(mote_self *self, struct out *out) {
    mote_term message;
    int n = 0;
    while (mote_receive(self, 0, &message) == MOTE_OK) {
        put_term(out, message);
        n++;
    }
    if (!n) put(out, "none");
}

int rounds(int n) {
    const char *thousandths = getenv("CONF_N");
    int64_t scaled_n = thousandths ? (int64_t)n * strtoll(thousandths, NULL, 10) / 1000 : n;
    return scaled_n < 20 ? 20 : (int)scaled_n;
}

/* ----------------------------------------------------------------------------------------------- processes */

mote_pid start(mote_self *self, mote_body body, mote_term arg) {
    return launch(self, &(mote_spawn_options){.body = body}, arg);
}
mote_pid start_here(mote_self *self, mote_body body, mote_term arg) {
    mote_pid pid = {0};
    mote_must(self, mote_spawn(self, body, arg, &pid));
    return pid;
}
mote_pid start_linked(mote_self *self, mote_body body, mote_term arg) {
    return launch(self, &(mote_spawn_options){.body = body, .link = true}, arg);
}
mote_pid start_monitored(mote_self *self, mote_body body, mote_term arg, mote_ref *monitor) {
    return launch(self, &(mote_spawn_options){.body = body, .monitor = monitor}, arg);
}

void forever(mote_self *self, mote_term arg) {
    (void)arg;
    mote_must(self, mote_receive_match(self, -1, "'a message that never comes'"));
}
void ends(mote_self *self, mote_term arg) { (void)self, (void)arg; }
void exits_with(mote_self *self, mote_term arg) { mote_exit(self, arg); }
void errors_with(mote_self *self, mote_term arg) { mote_error(self, arg); }
void obeys(mote_self *self, mote_term arg) {
    mote_must(self, mote_receive_match(self, -1, "go"));
    mote_exit(self, arg);
}

mote_pid idle(mote_self *self) { return start(self, forever, MOTE_TERM_NIL); }
mote_pid idle_here(mote_self *self) { return start_here(self, forever, MOTE_TERM_NIL); }
mote_pid dead_here(mote_self *self) {
    mote_pid pid = start_here(self, ends, MOTE_TERM_NIL);
    mote_assert(self, !is(gone(self, pid), "no_down"));
    return pid;
}
mote_pid dead(mote_self *self) {
    mote_ref monitor;
    mote_pid pid = start_monitored(self, ends, MOTE_TERM_NIL, &monitor);
    mote_assert(self, is(down(self, monitor), "normal"));
    return pid;
}

static void ends_in_init(mote_self *self, mote_term arg, void *state) {
    (void)arg, (void)state;
    mote_exit(self, atom("normal"));
}
static void ignores(mote_self *self, mote_term message, void *state) { (void)self, (void)message, (void)state; }
mote_pid start_light(mote_self *self, bool stays, mote_ref *monitor) {
    static const mote_handler stayer = {.name = "stayer", .handle = ignores};
    static const mote_handler ender = {.name = "ender", .init = ends_in_init, .handle = ignores};
    mote_spawn_options options = {.monitor = monitor};
    if (FEW_STACKS) options.handler = stays ? &stayer : &ender;
    else options.body = stays ? forever : ends;
    return launch(self, &options, MOTE_TERM_NIL);
}

void signal_exit(mote_self *self, mote_pid pid, const char *reason) { mote_must(self, mote_exit_send(self, pid, atom(reason))); }
bool is_alive(mote_self *self, mote_pid pid) {
    bool alive = false;
    mote_must(self, mote_is_alive(self, pid, &alive));
    return alive;
}
void trap(mote_self *self) { mote_must(self, mote_flag_set(self, MOTE_TRAP_EXIT, true, NULL)); }

/* ------------------------------------------------------------------------------------------------ messages */

mote_term msg_within(mote_self *self, int64_t ms) {
    mote_term message = MOTE_TERM_NONE;
    mote_err err = mote_receive(self, ms, &message);
    if (err == MOTE_TIMEOUT) return atom("nothing");
    mote_must(self, err);
    return message;
}
mote_term msg(mote_self *self) { return msg_within(self, LIMIT_MS); }

int count_rest(mote_self *self) {
    mote_term message;
    int n = 0;
    while (mote_receive(self, 0, &message) == MOTE_OK) n++;
    return n;
}

mote_term down(mote_self *self, mote_ref monitor) {
    mote_term reason = MOTE_TERM_NONE;
    mote_err err = mote_receive_match(self, LIMIT_MS, "{'DOWN', ^, _, _, ?}", monitor, &reason);
    if (err == MOTE_TIMEOUT) return atom("no_down");
    mote_must(self, err);
    return reason;
}
mote_term gone(mote_self *self, mote_pid pid) {
    mote_ref monitor = {0};
    mote_must(self, mote_monitor(self, pid, &monitor));
    return down(self, monitor);
}
void put_die(mote_self *self, struct out *out, mote_body body, mote_term arg) {
    mote_ref monitor;
    start_monitored(self, body, arg, &monitor);
    put_reason(out, down(self, monitor));
}

bool is(mote_term term, const char *name) { return mote_term_same(term, atom(name)); }
void pause_ms(mote_self *self, int64_t ms) {
    mote_assert(self, mote_receive_match(self, ms, "'a message that never comes'") == MOTE_TIMEOUT);
}
void settle(mote_self *self) {
    pause_ms(self, 30);
    hear(self);
}
void settle_with(mote_self *self, size_t messages) {
    mote_process_info info;
    do mote_must(self, mote_process_info_get(self, mote_self_pid(self), -1, &info));
    while (info.mailbox < messages && mote_receive_match(self, 1, "'a message that never comes'") == MOTE_TIMEOUT);
    settle(self);
}
void tell(mote_self *self, mote_pid pid, const char *name) { mote_must(self, mote_send_term(self, pid, atom(name))); }

/* --------------------------------------------------------------------------------------------------- races */

void spin_for(mote_self *self, int n) {
    while (n-- > 0) mote_must(self, mote_reductions(self, 1));
}
void busy_us(mote_self *self, int64_t us) {
    for (uint64_t since = now_ns(); now_ns() - since < (uint64_t)us * 1000;) mote_must(self, mote_reductions(self, 2));
}
void let_see(mote_self *self, mote_pid peer, int round) {
    if (round % 4 / 2) mote_assert(self, is_alive(self, peer));
}
/* Four turns at most; with a seed they have 16 reductions, not 2000. Between two workers as long as it takes for both outcomes. */
void sweep(mote_self *self, const struct race *race) {
    int round = race->rounds + 1;
    int64_t us = race->us[round % 4];
    if (!across()) spin_for(self, (int)((int64_t)round * 7919 % 8000) / (chaos_seed() ? 250 : 1));
    else if (us) busy_us(self, us);
}

void race_round(struct race *race, bool first, bool holds) {
    int64_t *us = &race->us[(race->rounds + 1) % 4];
    *us += first ? -(*us + 3) / 4 : *us < 100000 ? *us / 4 + 4 : 0;
    race->rounds++;
    race->first += first;
    race->violations += !holds;
}
void put_race(struct out *out, const struct race *race) {
    int fewer = race->first < race->rounds - race->first ? race->first : race->rounds - race->first;
    put(out, "violations:%d:%s", race->violations, fewer && fewer * 100 >= race->rounds ? "both" : "one_sided");
}

static void race_body(mote_self *self, mote_term arg) {
    mote_pid starter;
    mote_term reason;
    bool polls;
    mote_assert(self, mote_match(arg, "{?, ?, ?}", &starter, &polls, &reason));
    tell(self, starter, "ready");
    while (mote_receive_match(self, polls ? 0 : -1, "go") == MOTE_TIMEOUT)
        ;
    mote_exit(self, reason);
}
mote_pid racer(mote_self *self, int round, const char *reason) {
    mote_pid pid = start(self, race_body, TERM(self, "{?, ?, ?}", mote_self_pid(self), (bool)(round % 2), atom(reason)));
    mote_must(self, mote_receive_match(self, LIMIT_MS, "ready"));
    return pid;
}
