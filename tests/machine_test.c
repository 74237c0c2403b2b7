/* SPDX-License-Identifier: Apache-2.0
 * State machines: each kind of event, of step and of action; the order of postponed, inserted and new events; timeouts. */
#include <mote/machine.h>

#include "live.h"

/* Much of what ends here ends with an error, on purpose. */
static void quiet(void *context, mote_log_level level, const char *text) { (void)context, (void)level, (void)text; }
#undef RUN
#define RUN(count, body) run_with((mote_options){.schedulers = (count), .log = quiet}, body)

/* --------------------------------------------------------------------------------------- a machine that obeys */

/* Its casts are scripts, lists of what to do; it tells its owner of each event. */
enum { RED, GREEN, BLUE, STATES };

struct lamp {
    mote_pid owner;
    int entered;
};

static const char *const kinds[] = {"call", "cast", "info", "internal", "timeout", "state_timeout", "named_timeout", "enter"};

static void tell(mote_self *self, struct lamp *lamp, int state, const mote_event *e) {
    mote_term content = mote_term_type(e->content) == MOTE_NONE ? MOTE_TERM_NIL : e->content;
    CHECK_OK(mote_send(self, lamp->owner, "{?, ?, ?}", state, atom(kinds[e->kind]), content));
}

/* Does one thing; true: `step` says where it goes. */
static bool obey(mote_self *self, mote_machine *machine, const mote_event *e, mote_term command, mote_step *step) {
    mote_term a, b;
    int n, state;
    if (mote_match(command, "{next, ?}", &state)) return *step = mote_step_next(state), true;
    if (mote_match(command, "repeat")) return *step = mote_step_repeat(), true;
    if (mote_match(command, "{stop, ?}", &a)) return *step = mote_step_stop(a), true;
    if (mote_match(command, "ignore")) return *step = mote_step_ignore(), true;
    if (mote_match(command, "{refuse, ?}", &a)) return *step = mote_step_refuse(a), true;
    if (mote_match(command, "crash")) mote_error(self, command);
    if (mote_match(command, "{postpone_unless, ?}", &state)) {
        if (state != mote_machine_state_get(machine)) CHECK_OK(mote_machine_postpone(machine));
    } else if (mote_match(command, "{insert, ?}", &a)) {
        CHECK_OK(mote_machine_next_event(machine, MOTE_EVENT_INTERNAL, a));
    } else if (mote_match(command, "{insert_cast, ?}", &a)) {
        CHECK_OK(mote_machine_next_event(machine, MOTE_EVENT_CAST, a));
    } else if (mote_match(command, "{insert_info, ?}", &a)) {
        CHECK_OK(mote_machine_next_event(machine, MOTE_EVENT_INFO, a));
    } else if (mote_match(command, "{timeout, ?, ?}", &n, &a)) {
        CHECK_OK(mote_machine_timeout(machine, n, a));
    } else if (mote_match(command, "{state_timeout, ?, ?}", &n, &a)) {
        CHECK_OK(mote_machine_state_timeout(machine, n, a));
    } else if (mote_match(command, "{named_timeout, ?, ?, ?}", &b, &n, &a)) {
        CHECK_OK(mote_machine_named_timeout(machine, b, n, a));
    } else if (mote_match(command, "{reply, ?}", &a)) {
        CHECK_OK(mote_reply(self, e->from, "?", a));
    } else if (mote_match(command, "{trap, ?}", &n)) {
        CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, n, NULL));
    }
    return false;
}

static mote_step obey_all(mote_self *self, mote_machine *machine, const mote_event *e, mote_term script) {
    mote_step step = mote_step_keep();
    mote_term head;
    while (mote_list_get(script, &head, &script) == MOTE_OK)
        if (obey(self, machine, e, head, &step)) break;
    return step;
}

static mote_step any_state(mote_self *self, mote_machine *machine, const mote_event *e, void *data) {
    struct lamp *lamp = data;
    int state = mote_machine_state_get(machine);
    if (e->kind == MOTE_EVENT_ENTER) {
        lamp->entered++;
        CHECK_INT(mote_machine_postpone(machine), MOTE_ECONTEXT);
        CHECK_INT(mote_machine_next_event(machine, MOTE_EVENT_INTERNAL, MOTE_TERM_NIL), MOTE_ECONTEXT);
        CHECK_OK(mote_send(self, lamp->owner, "{?, enter, ?}", state, e->old_state));
        return mote_step_keep();
    }
    tell(self, lamp, state, e);
    return obey_all(self, machine, e, e->content);
}

static mote_step in_green(mote_self *self, mote_machine *machine, const mote_event *e, void *data) {
    CHECK_INT(mote_machine_state_get(machine), GREEN);
    return any_state(self, machine, e, data);
}

/* Entered, it sets a timeout of its own. */
static mote_step in_blue(mote_self *self, mote_machine *machine, const mote_event *e, void *data) {
    CHECK_INT(mote_machine_state_get(machine), BLUE);
    if (e->kind == MOTE_EVENT_ENTER) CHECK_OK(mote_machine_state_timeout(machine, 1, atom("dark")));
    return any_state(self, machine, e, data);
}

/* Begins with {Owner, Script}. */
static mote_step lamp_init(mote_self *self, mote_machine *machine, mote_term arg, void *data) {
    mote_event none = {.kind = MOTE_EVENT_INFO};
    mote_term script;
    CHECK(mote_match(arg, "{?, ?}", &((struct lamp *)data)->owner, &script));
    CHECK_INT(mote_machine_postpone(machine), MOTE_ECONTEXT);
    CHECK_INT(mote_machine_next_event(machine, MOTE_EVENT_CALL, MOTE_TERM_NIL), MOTE_EARG);
    CHECK_INT(mote_machine_next_event(machine, MOTE_EVENT_TIMEOUT, MOTE_TERM_NIL), MOTE_EARG);
    CHECK_INT(mote_machine_timeout(machine, -2, MOTE_TERM_NIL), MOTE_EARG);
    CHECK_INT(mote_machine_named_timeout(machine, MOTE_TERM_NONE, 0, MOTE_TERM_NIL), MOTE_EARG);
    return obey_all(self, machine, &none, script);
}

static void lamp_terminate(mote_self *self, mote_term reason, int state, void *data) {
    CHECK_OK(mote_send(self, ((struct lamp *)data)->owner, "{terminate, ?, ?}", state, reason));
}
static mote_term lamp_format(mote_self *self, mote_arena *arena, int state, void *data) {
    (void)self, (void)state;
    return mote_int_make(arena, ((struct lamp *)data)->entered);
}
static mote_err lamp_replace(mote_self *self, mote_term term, void *data) {
    (void)self;
    return mote_match(term, "?", &((struct lamp *)data)->entered) ? MOTE_OK : MOTE_EARG;
}
static mote_err lamp_upgrade(mote_self *self, mote_term old_version, mote_term extra, int *state, void *data) {
    (void)self, (void)data;
    CHECK_TERM(old_version, "1");
    return mote_match(extra, "?", state) ? MOTE_OK : MOTE_EARG;
}

static const mote_machine_state lamp_states[STATES] = {
    [RED] = {.name = "red"}, [GREEN] = {.name = "green", .handle = in_green}, [BLUE] = {.name = "blue", .handle = in_blue, .enter = true}};
static const mote_machine_module lamp_module = {.name = "lamp",
                                                .data_size = sizeof(struct lamp),
                                                .states = lamp_states,
                                                .state_count = STATES,
                                                .handle_event = any_state,
                                                .init = lamp_init,
                                                .terminate = lamp_terminate,
                                                .format = lamp_format,
                                                .replace = lamp_replace,
                                                .upgrade = lamp_upgrade};
/* The same without a table, with enter calls everywhere. */
static const mote_machine_module plain_module = {.name = "plain",
                                                 .data_size = sizeof(struct lamp),
                                                 .handle_event = any_state,
                                                 .enter = true,
                                                 .init = lamp_init,
                                                 .terminate = lamp_terminate};

static mote_err start(mote_self *self, const mote_machine_module *module, const char *script, mote_pid *pid, mote_term *reason) {
    mote_term parsed, arg;
    CHECK_OK(mote_term_parse(mote_scratch(self), script, strlen(script), &parsed, NULL));
    CHECK_OK(mote_build(mote_scratch(self), &arg, "{?, ?}", mote_self_pid(self), parsed));
    return mote_machine_start(self, module, arg, NULL, pid, reason);
}
static mote_pid start_lamp(mote_self *self, const char *script) {
    mote_pid pid;
    CHECK_OK(start(self, &lamp_module, script, &pid, NULL));
    return pid;
}

static void check_next(const char *file, int line, mote_self *self, const char *want) {
    mote_term m = MOTE_TERM_NONE;
    if (mote_receive(self, PATIENCE_MS, &m)) printf("# nothing came, wanted %s\n", want);
    check_term(file, line, m, want);
}
#define CHECK_NEXT(self, want) check_next(__FILE__, __LINE__, self, want)

static void check_empty(mote_self *self) {
    mote_term m;
    mote_err err = mote_receive(self, 0, &m);
    if (!err) CHECK_TERM(m, "an empty mailbox");
    CHECK_INT(err, MOTE_TIMEOUT);
}

static void stop_lamp(mote_self *self, mote_pid pid, const char *want) {
    CHECK_OK(mote_server_stop(self, pid, atom("normal"), PATIENCE_MS));
    CHECK_NEXT(self, want);
    check_empty(self);
}

/* --------------------------------------------------------------------------------------------------- events */

static int all_kinds(mote_self *self, void *context) {
    mote_pid pid = start_lamp(self, "[{insert, first}, {next, 0}]");
    mote_term reply;
    (void)context;
    CHECK_NEXT(self, "{0,internal,first}");
    CHECK_OK(mote_call(self, pid, PATIENCE_MS, &reply, "[{reply, {yes, 1}}]"));
    CHECK_TERM(reply, "{yes,1}");
    CHECK_OK(mote_call(self, pid, PATIENCE_MS, &reply, "[{reply, green}, {next, 1}]"));
    CHECK_OK(mote_cast(self, pid, "a_cast"));
    CHECK_OK(mote_send(self, pid, "{a, message}"));
    CHECK_OK(mote_cast(self, pid, "[{insert, i}, {insert_cast, c}, {insert_info, m}]"));
    CHECK_NEXT(self, "{0,call,[{reply,{yes,1}}]}");
    CHECK_NEXT(self, "{0,call,[{reply,green},{next,1}]}");
    CHECK_NEXT(self, "{1,cast,a_cast}");
    CHECK_NEXT(self, "{1,info,{a,message}}");
    CHECK_NEXT(self, "{1,cast,[{insert,i},{insert_cast,c},{insert_info,m}]}");
    CHECK_NEXT(self, "{1,internal,i}");
    CHECK_NEXT(self, "{1,cast,c}");
    CHECK_NEXT(self, "{1,info,m}");
    stop_lamp(self, pid, "{terminate,1,normal}");
    return 0;
}
ONE_AND_TWO(events, all_kinds)

/* Without a table of states: numbers, enter calls, repeats. */
static int enter_calls(mote_self *self, void *context) {
    mote_pid pid;
    mote_term state;
    (void)context;
    CHECK_OK(start(self, &plain_module, "[{insert, x}, {next, -5}]", &pid, NULL));
    CHECK_NEXT(self, "{-5,enter,-5}");
    CHECK_NEXT(self, "{-5,internal,x}");
    CHECK_OK(mote_cast(self, pid, "[{next, 1000}]"));
    CHECK_NEXT(self, "{-5,cast,[{next,1000}]}");
    CHECK_NEXT(self, "{1000,enter,-5}");
    CHECK_OK(mote_cast(self, pid, "[{next, 1000}]"));
    CHECK_OK(mote_cast(self, pid, "[repeat]"));
    CHECK_NEXT(self, "{1000,cast,[{next,1000}]}");
    CHECK_NEXT(self, "{1000,cast,[repeat]}");
    CHECK_NEXT(self, "{1000,enter,1000}");
    CHECK_OK(mote_server_get_state(self, pid, PATIENCE_MS, &state));
    CHECK(mote_match(state, "{1000, _}"));
    stop_lamp(self, pid, "{terminate,1000,normal}");
    /* In the table only blue has one, and it ends by the timeout that the enter call has set. */
    pid = start_lamp(self, "[{next, 0}]");
    CHECK_OK(mote_cast(self, pid, "[{next, 2}]"));
    CHECK_NEXT(self, "{0,cast,[{next,2}]}");
    CHECK_NEXT(self, "{2,enter,0}");
    CHECK_NEXT(self, "{2,state_timeout,dark}");
    stop_lamp(self, pid, "{terminate,2,normal}");
    return 0;
}
ONE_AND_TWO(entering, enter_calls)

/* -------------------------------------------------------------------------------------------------- postponing */

/* Postponed events come after a change of state: oldest first, before what is newer, after what is inserted. */
static int order(mote_self *self, void *context) {
    mote_pid pid = start_lamp(self, "[{next, 0}]");
    (void)context;
    CHECK_OK(mote_server_suspend(self, pid, PATIENCE_MS)); /* so that all are there at once */
    CHECK_OK(mote_cast(self, pid, "[{postpone_unless, 1}, a]"));
    CHECK_OK(mote_cast(self, pid, "[{postpone_unless, 1}, b]"));
    CHECK_OK(mote_cast(self, pid, "keep"));
    CHECK_OK(mote_cast(self, pid, "[{next, 0}]")); /* no change */
    CHECK_OK(mote_send(self, pid, "[{postpone_unless, 2}, c]"));
    CHECK_OK(mote_cast(self, pid, "[{insert, x}, {insert, y}, {next, 1}]"));
    CHECK_OK(mote_cast(self, pid, "newer"));
    CHECK_OK(mote_cast(self, pid, "[{next, 2}]"));
    CHECK_OK(mote_server_resume(self, pid, PATIENCE_MS));
    CHECK_NEXT(self, "{0,cast,[{postpone_unless,1},a]}");
    CHECK_NEXT(self, "{0,cast,[{postpone_unless,1},b]}");
    CHECK_NEXT(self, "{0,cast,keep}");
    CHECK_NEXT(self, "{0,cast,[{next,0}]}");
    CHECK_NEXT(self, "{0,info,[{postpone_unless,2},c]}");
    CHECK_NEXT(self, "{0,cast,[{insert,x},{insert,y},{next,1}]}");
    CHECK_NEXT(self, "{1,internal,x}");
    CHECK_NEXT(self, "{1,internal,y}");
    CHECK_NEXT(self, "{1,cast,[{postpone_unless,1},a]}");
    CHECK_NEXT(self, "{1,cast,[{postpone_unless,1},b]}");
    CHECK_NEXT(self, "{1,info,[{postpone_unless,2},c]}");
    CHECK_NEXT(self, "{1,cast,newer}");
    CHECK_NEXT(self, "{1,cast,[{next,2}]}");
    CHECK_NEXT(self, "{2,enter,1}");
    CHECK_NEXT(self, "{2,info,[{postpone_unless,2},c]}");
    CHECK_NEXT(self, "{2,state_timeout,dark}");
    /* Also before what was inserted earlier. */
    CHECK_OK(mote_cast(self, pid, "[{postpone_unless, 1}]"));
    CHECK_OK(mote_cast(self, pid, "[{insert, [{next, 1}]}, {insert, last}]"));
    CHECK_NEXT(self, "{2,cast,[{postpone_unless,1}]}");
    CHECK_NEXT(self, "{2,cast,[{insert,[{next,1}]},{insert,last}]}");
    CHECK_NEXT(self, "{2,internal,[{next,1}]}");
    CHECK_NEXT(self, "{1,cast,[{postpone_unless,1}]}");
    CHECK_NEXT(self, "{1,internal,last}");
    stop_lamp(self, pid, "{terminate,1,normal}");
    return 0;
}
ONE_AND_TWO(postpone_order, order)

/* An event that postpones and changes the state at once comes again in the new state; a call keeps its caller. */
static int postponed_calls(mote_self *self, void *context) {
    mote_pid pid = start_lamp(self, "[{next, 0}]");
    mote_term m, reply;
    mote_ref ref;
    (void)context;
    CHECK_OK(mote_call_start(self, pid, &ref, "[{postpone_unless, 1}, {reply, [long, ?]}]", 1.5));
    CHECK_NEXT(self, "{0,call,[{postpone_unless,1},{reply,[long,1.5]}]}");
    CHECK_OK(mote_receive_ref(self, PATIENCE_MS, ref, &m)); /* it replied, and is postponed all the same */
    CHECK_OK(mote_call_answer(m, ref, &reply));
    CHECK_TERM(reply, "[long,1.5]");
    CHECK_OK(mote_cast(self, pid, "[{postpone_unless, 1}, {next, 1}]"));
    CHECK_NEXT(self, "{0,cast,[{postpone_unless,1},{next,1}]}");
    CHECK_NEXT(self, "{1,call,[{postpone_unless,1},{reply,[long,1.5]}]}");
    CHECK_NEXT(self, "{1,cast,[{postpone_unless,1},{next,1}]}");
    stop_lamp(self, pid, "{terminate,1,normal}");
    return 0;
}
ONE_AND_TWO(postponed_call, postponed_calls)

/* Many at once: in order, and others run meanwhile; what is left when it ends is given back. */
static int many(mote_self *self, void *context) {
    mote_pid pid = start_lamp(self, "[{next, 0}]");
    int n = scaled(20000), got;
    (void)context;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < n; i++) CHECK_OK(mote_cast(self, pid, "[{postpone_unless, ?}, ?]", !round, i));
        CHECK_OK(mote_cast(self, pid, "[{next, ?}]", !round));
        for (int i = n; i < 2 * n; i++) CHECK_OK(mote_cast(self, pid, "[{postpone_unless, ?}, ?]", !round, i));
        for (int i = 0; i < n; i++) {
            CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{^, cast, [_, ?]}", round, &got));
            CHECK_INT(got, i);
        }
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{_, cast, [{next, _}]}"));
        for (int i = 0, state; i < 2 * n; i++) {
            CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{?, cast, [_, ?]}", &state, &got));
            CHECK(got == i && state == !round);
        }
    }
    for (int i = 0; i < n; i++) CHECK_OK(mote_cast(self, pid, "[{postpone_unless, 7}, [?]]", i));
    CHECK_OK(mote_server_stop(self, pid, atom("normal"), PATIENCE_MS));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{terminate, 0, normal}"));
    return 0;
}
ONE_AND_TWO(postponed_many, many)

/* ---------------------------------------------------------------------------------------------------- timeouts */

static int fires(mote_self *self, void *context) {
    mote_pid pid = start_lamp(self, "[{state_timeout, 0, s}, {named_timeout, n, 0, [n]}, {timeout, 0, e}, {insert, i}, {next, 0}]");
    (void)context;
    CHECK_NEXT(self, "{0,internal,i}"); /* which cancels the timeout of events */
    CHECK_NEXT(self, "{0,state_timeout,s}");
    CHECK_NEXT(self, "{0,named_timeout,[n]}");
    CHECK_OK(mote_cast(self, pid, "[{timeout, 0, e}]"));
    CHECK_NEXT(self, "{0,cast,[{timeout,0,e}]}");
    CHECK_NEXT(self, "{0,timeout,e}");
    CHECK_OK(mote_cast(self, pid, "[{timeout, 1, {e, 1}}, {state_timeout, 1000, s}, {named_timeout, {a, 1}, 500, 1}]"));
    CHECK_NEXT(self, "{0,cast,[{timeout,1,{e,1}},{state_timeout,1000,s},{named_timeout,{a,1},500,1}]}");
    CHECK_NEXT(self, "{0,timeout,{e,1}}");
    CHECK_NEXT(self, "{0,named_timeout,1}");
    CHECK_NEXT(self, "{0,state_timeout,s}");
    stop_lamp(self, pid, "{terminate,0,normal}");
    return 0;
}
ONE_AND_TWO(timeouts, fires)

/* What comes of two scripts that are there at once, until the mark that the second sets: nothing but the casts themselves, and `want`. */
static void check_pair(mote_self *self, const char *first, const char *second, const char *want) {
    mote_pid pid = start_lamp(self, "[{next, 0}]");
    mote_term scripts[2], m, copy;
    char text[200];
    int casts = 0, wanted = 0;
    CHECK_OK(mote_server_suspend(self, pid, PATIENCE_MS));
    CHECK_OK(mote_term_parse(mote_scratch(self), first, strlen(first), &scripts[0], NULL));
    CHECK_OK(mote_term_parse(mote_scratch(self), second, strlen(second), &scripts[1], NULL));
    CHECK_OK(mote_cast_term(self, pid, scripts[0]));
    CHECK_OK(mote_cast(self, pid, "[{named_timeout, mark, 200, mark}|?]", scripts[1]));
    CHECK_OK(mote_server_resume(self, pid, PATIENCE_MS));
    for (;;) {
        CHECK_OK(mote_receive(self, PATIENCE_MS, &m));
        if (mote_match(m, "{_, named_timeout, mark}")) break;
        if (mote_match(m, "{_, cast, ?}", &copy)) {
            casts++;
            continue;
        }
        mote_term_print(m, text, sizeof text);
        CHECK_STR(text, want);
        wanted++;
    }
    CHECK_INT(casts, 2);
    CHECK_INT(wanted, want[0] != 0);
    CHECK_OK(mote_server_stop(self, pid, atom("normal"), PATIENCE_MS));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{terminate, _, normal}"));
    check_empty(self);
}

/* An event cancels the timeout of events, a change of state that of the state, a new one the old one, -1 each; named ones stay. */
static int cancels(mote_self *self, void *context) {
    (void)context;
    check_pair(self, "[{timeout, 1, e}]", "[]", "");
    check_pair(self, "[{timeout, 1, e}]", "[{timeout, -1, e}]", "");
    check_pair(self, "[{timeout, 1, old}]", "[{timeout, 2, new}]", "{0,timeout,new}");
    check_pair(self, "[{timeout, 0, e}]", "[]", "{0,timeout,e}"); /* before the second, which is no event yet */
    check_pair(self, "[{timeout, 0, e}, {insert, x}]", "[{timeout, -1, e}]", "{0,internal,x}");
    check_pair(self, "[{state_timeout, 1, s}]", "[]", "{0,state_timeout,s}");
    check_pair(self, "[{state_timeout, 1, s}]", "[{next, 0}]", "{0,state_timeout,s}");
    check_pair(self, "[{state_timeout, 1, s}]", "[{next, 1}]", "");
    check_pair(self, "[{state_timeout, 1, s}]", "[{state_timeout, 2, new}, {next, 1}]", "{1,state_timeout,new}");
    check_pair(self, "[{state_timeout, 1, s}]", "[{state_timeout, -1, s}]", "");
    check_pair(self, "[{state_timeout, 1, old}]", "[{state_timeout, 2, new}]", "{0,state_timeout,new}");
    check_pair(self, "[{named_timeout, a, 1, x}]", "[{next, 1}]", "{1,named_timeout,x}");
    check_pair(self, "[{named_timeout, a, 1, x}]", "[{named_timeout, a, -1, x}]", "");
    check_pair(self, "[{named_timeout, {a}, 1, x}]", "[{named_timeout, {a}, 2, y}]", "{0,named_timeout,y}");
    check_pair(self, "[{named_timeout, 1, 1, x}]", "[{named_timeout, 1.0, -1, x}]", "{0,named_timeout,x}");
    return 0;
}
ONE_AND_TWO(cancelled, cancels)

/* A timer that has fired when it is cancelled is nobody's. */
static int stale(mote_self *self, void *context) {
    mote_pid pid = start_lamp(self, "[{next, 0}]");
    mote_term m;
    (void)context;
    for (int i = 0; i < scaled(60); i++) {
        uint64_t since;
        CHECK_OK(mote_cast(self, pid, "[{state_timeout, 3, s}, {named_timeout, a, 3, x}]"));
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{_, cast, _}"));
        CHECK_OK(mote_server_suspend(self, pid, PATIENCE_MS));
        CHECK_OK(mote_cast(self, pid, "[{named_timeout, a, 100000, y}, {next, 1}]"));
        since = now_ns();
        WAIT_UNTIL(self, ms_since(since) > 5);
        CHECK_OK(mote_server_resume(self, pid, PATIENCE_MS));
        do /* a timer may have been quicker than the cast */
            CHECK_OK(mote_receive(self, PATIENCE_MS, &m));
        while (mote_match(m, "{0, state_timeout, s}") || mote_match(m, "{0, named_timeout, x}"));
        CHECK(mote_match(m, "{0, cast, [_, {next, 1}]}"));
        CHECK_OK(mote_cast(self, pid, "[{next, 0}, {named_timeout, a, -1, y}]"));
        CHECK_NEXT(self, "{1,cast,[{next,0},{named_timeout,a,-1,y}]}");
        check_empty(self);
    }
    CHECK_OK(mote_server_stop(self, pid, atom("normal"), PATIENCE_MS));
    return 0;
}
ONE_AND_TWO(stale_timer, stale)

/* ---------------------------------------------------------------------------------------- starts, ends, system */

static int starts(mote_self *self, void *context) {
    static const mote_machine_module bad = {.name = "bad", .handle_event = any_state};
    mote_pid pid = {7};
    mote_term reason = MOTE_TERM_NIL;
    size_t count;
    (void)context;
    CHECK_INT(start(self, &lamp_module, "[{stop, {no, 1}}]", &pid, &reason), MOTE_ENOPROC);
    CHECK_TERM(reason, "{no,1}");
    CHECK_INT(start(self, &lamp_module, "[{refuse, 1.5}]", &pid, &reason), MOTE_ENOPROC);
    CHECK_TERM(reason, "1.5");
    CHECK_INT(start(self, &lamp_module, "[crash]", &pid, &reason), MOTE_ENOPROC);
    CHECK(mote_match(reason, "{error, crash, _}"));
    CHECK_INT(start(self, &lamp_module, "[{timeout, 10, x}, {insert, [y]}]", &pid, &reason), MOTE_ENOPROC); /* no first state */
    CHECK(mote_match(reason, "{error, bad_return_value, _}"));
    CHECK_INT(start(self, &lamp_module, "[{next, 3}]", &pid, &reason), MOTE_ENOPROC); /* not in the table */
    CHECK_INT(pid.word, 7);
    CHECK_OK(start(self, &lamp_module, "[ignore]", &pid, &reason));
    CHECK_INT(pid.word, mote_self_pid(NULL).word);
    CHECK_INT(mote_machine_start(self, &bad, MOTE_TERM_NIL, NULL, &pid, NULL), MOTE_EARG);
    CHECK_INT(mote_machine_start_link(self, NULL, MOTE_TERM_NIL, NULL, &pid, NULL), MOTE_EARG);
    CHECK_INT(mote_machine_start_link(NULL, &lamp_module, MOTE_TERM_NIL, NULL, &pid, NULL), MOTE_ESELF);
    CHECK_INT(mote_machine_postpone(NULL), MOTE_EARG);
    CHECK_INT(mote_machine_next_event(NULL, MOTE_EVENT_INFO, MOTE_TERM_NIL), MOTE_EARG);
    CHECK_INT(mote_machine_state_timeout(NULL, 0, MOTE_TERM_NIL), MOTE_EARG);
    WAIT_UNTIL(self, (mote_process_list(self, NULL, 0, &count) == MOTE_OK && count == 1));
    check_empty(self);
    return 0;
}
ONE_AND_TWO(starting, starts)

static int ends(mote_self *self, void *context) {
    static const char *const scripts[] = {"[{stop, {a, 1}}]", "[crash]", "[{next, 3}]", "[ignore]", "[{insert, [{stop, {a, 1}}]}]"};
    static const char *const reasons[] = {"{a,1}", "{error, crash, _}", "{error, bad_state, _}", "{error, bad_return_value, _}", "{a,1}"};
    mote_term script, reply;
    mote_pid pid;
    (void)context;
    for (int i = 0; i < 20; i++) {
        int which = i % 5;
        pid = start_lamp(self, "[{next, 1}]");
        CHECK_OK(mote_cast(self, pid, "[{postpone_unless, 0}, {timeout, 100000, [x]}, {named_timeout, [n], 100000, [x]}]"));
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{1, cast, _}"));
        CHECK_OK(mote_term_parse(mote_scratch(self), scripts[which], strlen(scripts[which]), &script, NULL));
        if (i % 2) CHECK_OK(mote_server_suspend(self, pid, PATIENCE_MS));
        if (i % 2) CHECK_OK(mote_term_parse(mote_scratch(self), scripts[which], strlen(scripts[which]), &script, NULL));
        CHECK_OK(mote_cast_term(self, pid, script));
        if (i % 2) CHECK_OK(mote_server_resume(self, pid, PATIENCE_MS));
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{terminate, 1, ?}", &reply));
        if (which % 4 == 0) CHECK_TERM(reply, reasons[which]);
        if (which == 1) CHECK(mote_match(reply, "{error, crash, _}"));
        if (which == 2) CHECK(mote_match(reply, "{error, bad_state, _}"));
        if (which == 3) CHECK(mote_match(reply, "{error, bad_return_value, _}"));
        wait_gone(self, pid);
        while (mote_receive(self, 0, &reply) == MOTE_OK)
            ;
    }
    /* By an exit signal: no terminate. */
    pid = start_lamp(self, "[{next, 1}, {timeout, 100000, [x]}]");
    CHECK_OK(mote_exit_send(self, pid, atom("over")));
    wait_gone(self, pid);
    check_empty(self);
    return 0;
}
ONE_AND_TWO(ending, ends)

static void parent(mote_self *self, mote_term arg) {
    mote_pid pid;
    mote_term machine_arg;
    CHECK_OK(mote_build(mote_scratch(self), &machine_arg, "{?, [{trap, 1}, {next, 1}]}", arg));
    CHECK_OK(mote_machine_start_link(self, &lamp_module, machine_arg, NULL, &pid, NULL));
    mote_exit(self, atom("parent_over"));
}
static int parents_end(mote_self *self, void *context) {
    (void)context;
    CHECK_OK(mote_spawn(self, parent, self_term(self), NULL));
    CHECK_NEXT(self, "{terminate,1,parent_over}");
    return 0;
}
ONE_AND_TWO(parents, parents_end)

static int system_messages(mote_self *self, void *context) {
    mote_server_options options = {.name = atom("the_lamp")};
    mote_term arg, m;
    mote_pid pid;
    (void)context;
    CHECK_OK(mote_build(mote_scratch(self), &arg, "{?, [{next, 1}]}", mote_self_pid(self)));
    CHECK_OK(mote_machine_start(self, &lamp_module, arg, &options, &pid, NULL));
    CHECK_OK(mote_server_get_state(self, "the_lamp", PATIENCE_MS, &m));
    CHECK_TERM(m, "{green,0}");
    CHECK_OK(mote_build(mote_scratch(self), &m, "{red, 5}"));
    CHECK_OK(mote_server_replace_state(self, "the_lamp", PATIENCE_MS, m));
    CHECK_OK(mote_server_get_state(self, "the_lamp", PATIENCE_MS, &m));
    CHECK_TERM(m, "{red,5}");
    CHECK_OK(mote_build(mote_scratch(self), &m, "{2, 6}"));
    CHECK_OK(mote_server_replace_state(self, "the_lamp", PATIENCE_MS, m));
    CHECK_OK(mote_build(mote_scratch(self), &m, "{3, 7}"));
    CHECK_INT(mote_server_replace_state(self, "the_lamp", PATIENCE_MS, m), MOTE_ETERM);
    CHECK_OK(mote_build(mote_scratch(self), &m, "{green, what}"));
    CHECK_INT(mote_server_replace_state(self, "the_lamp", PATIENCE_MS, m), MOTE_ETERM);
    CHECK_OK(mote_server_get_status(self, "the_lamp", PATIENCE_MS, &m));
    CHECK(mote_match(m, "{status, _, {module, lamp}, [_, running, _, _, [_, _, {data, [{_, {blue, 6}}]}]]}"));
    CHECK_OK(mote_server_upgrade(self, pid, PATIENCE_MS, mote_int_make(NULL, 1), mote_int_make(NULL, 0)));
    CHECK_OK(mote_server_get_state(self, pid, PATIENCE_MS, &m));
    CHECK_TERM(m, "{red,6}");
    CHECK_INT(mote_server_upgrade(self, pid, PATIENCE_MS, mote_int_make(NULL, 1), mote_int_make(NULL, 3)), MOTE_ETERM);
    CHECK_INT(mote_server_upgrade(self, pid, PATIENCE_MS, mote_int_make(NULL, 1), atom("x")), MOTE_ETERM);
    CHECK_OK(mote_server_statistics_set(self, pid, PATIENCE_MS, true));
    CHECK_OK(mote_cast(self, pid, "x"));
    CHECK_OK(mote_server_statistics(self, pid, PATIENCE_MS, &m));
    CHECK(mote_match(m, "[_, _, _, {messages_in, 1}, {messages_out, 0}]"));
    CHECK_NEXT(self, "{0,cast,x}");
    CHECK_OK(mote_process_info_get(self, pid, PATIENCE_MS, &(mote_process_info){0}));
    stop_lamp(self, pid, "{terminate,0,normal}");
    return 0;
}
ONE_AND_TWO(sys, system_messages)

int main(int argc, char **argv) {
    return check_main(argc, argv,
                      (struct check_test[]){TEST_ONE_AND_TWO(events), TEST_ONE_AND_TWO(entering), TEST_ONE_AND_TWO(postpone_order),
                                            TEST_ONE_AND_TWO(postponed_call), TEST_ONE_AND_TWO(postponed_many), TEST_ONE_AND_TWO(timeouts),
                                            TEST_ONE_AND_TWO(cancelled), TEST_ONE_AND_TWO(stale_timer), TEST_ONE_AND_TWO(starting),
                                            TEST_ONE_AND_TWO(ending), TEST_ONE_AND_TWO(parents), TEST_ONE_AND_TWO(sys), {0}});
}
