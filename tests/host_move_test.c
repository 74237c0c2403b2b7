/* SPDX-License-Identifier: Apache-2.0
 * mote_host_send(), mote_host_take() and mote_host_next(): what is sent as one object goes from hand to hand; nobody holds or drops it on the way. */
#include <mote/host.h>

#include "live.h"

static void quiet(void *context, mote_log_level level, const char *text) { (void)context, (void)level, (void)text; }

/* The object, which counts who refers to it, and has counted everybody who ever did. */
static struct {
    _Atomic int held, ever;
} thing;
static void hold(void *object) {
    CHECK(object == &thing);
    atomic_fetch_add(&thing.ever, 1);
    CHECK(atomic_fetch_add(&thing.held, 1) >= 0);
}
static void drop(void *object) {
    CHECK(object == &thing);
    CHECK(atomic_fetch_sub(&thing.held, 1) > 0);
}
static const mote_host_kind kind = {.name = "Thing", .hold = hold, .drop = drop};
static const mote_host_kind other_kind = {.name = "Other", .hold = hold, .drop = drop};

static int held(void) { return atomic_load(&thing.held); }
static mote_term boxed(mote_host_box *box) { return mote_host_box_term(box, &kind, &thing); }

/* With one and with two schedulers; when the runtime has stopped, nobody refers to the object. */
#define BOTH(name, body)                                                                                                     \
    static void name(void) { run_with((mote_options){.schedulers = 1, .log = quiet}, body), CHECK_INT(held(), 0); }     \
    static void name##_2(void) { run_with((mote_options){.schedulers = 2, .log = quiet}, body), CHECK_INT(held(), 0); }

static mote_err give(mote_self *self, mote_term to) {
    hold(&thing);
    return mote_host_send(self, to, &kind, &thing);
}
/* Sends it to this process, and takes it. */
static void move(mote_self *self, mote_term to) {
    mote_term m;
    int ever = atomic_load(&thing.ever);
    CHECK_OK(give(self, to));
    CHECK_INT(held(), 1);
    CHECK_OK(mote_receive(self, 0, &m));
    CHECK(mote_host_object(m, &kind) == &thing && !mote_host_take(self, &other_kind));
    CHECK(mote_host_take(self, &kind) == &thing);
    CHECK(!mote_message(self).word && !mote_host_take(self, &kind));
    CHECK_INT(held(), 1);
    CHECK_INT(atomic_load(&thing.ever), ever + 1);
    drop(&thing);
}

static int destinations(mote_self *self, void *context) {
    mote_pid me = mote_self_pid(self);
    mote_ref alias, once;
    (void)context;
    CHECK(!mote_host_take(self, &kind) && !mote_host_take(NULL, &kind)); /* there is no message */
    CHECK_OK(mote_register(self, "mover", me));
    CHECK_OK(mote_alias(self, 0, &alias));
    CHECK_OK(mote_alias(self, MOTE_ALIAS_REPLY, &once));
    move(self, mote_pid_term(me)), move(self, atom("mover")), move(self, mote_ref_term(alias)), move(self, mote_ref_term(once));
    return 0;
}
BOTH(moved, destinations)

/* The hold is given up, too, when nobody gets it. */
static int in_vain(mote_self *self, void *context) {
    mote_ref alias;
    mote_term m;
    (void)context;
    CHECK_INT(give(NULL, mote_pid_term(mote_self_pid(self))), MOTE_ESELF);
    CHECK_INT(give(self, atom("nobody")), MOTE_ENAME);
    CHECK_INT(give(self, MOTE_TERM_NIL), MOTE_ETERM);
    CHECK_OK(give(self, mote_pid_term(one_dead(self))));
    CHECK_OK(give(self, mote_ref_term(mote_ref_make(self)))); /* no alias */
    CHECK_INT(held(), 0);
    CHECK_OK(mote_alias(self, 0, &alias));
    CHECK_OK(give(self, mote_ref_term(alias)));
    CHECK_OK(mote_unalias(self, alias));
    CHECK_INT(mote_receive(self, 0, &m), MOTE_TIMEOUT);
    CHECK_INT(held(), 0);
    CHECK_OK(give(self, mote_pid_term(mote_self_pid(self)))); /* the runtime's end drops it */
    return 0;
}
BOTH(moved_in_vain, in_vain)

static int full(mote_self *self, void *context) {
    mote_pid pid;
    (void)context;
    CHECK_OK(mote_spawn_opt(self, &(mote_spawn_options){.body = never_ends, .mailbox_max = 1, .policy = MOTE_DROP}, MOTE_TERM_NIL, &pid));
    CHECK_OK(give(self, mote_pid_term(pid)));
    CHECK_INT(give(self, mote_pid_term(pid)), MOTE_EFULL);
    CHECK_INT(held(), 1);
    return 0;
}
BOTH(moved_to_the_full, full)

/* Boxes that were copied are taken as well, but not what is a part of a message. */
static int copies(mote_self *self, void *context) {
    mote_pid me = mote_self_pid(self);
    mote_host_box box;
    mote_term m;
    (void)context;
    CHECK_OK(mote_send(self, me, "{?}", boxed(&box)));
    CHECK_OK(mote_receive(self, 0, &m));
    CHECK(!mote_host_take(self, &kind) && mote_message(self).word == m.word && held() == 1);
    CHECK_OK(mote_send_term(self, me, boxed(&box)));
    CHECK_OK(mote_send(self, me, "?", boxed(&box)));
    for (int i = 0; i < 2; i++) {
        CHECK_OK(mote_receive(self, 0, &m));
        CHECK(mote_host_take(self, &kind) == &thing && held() == 2 - i);
        drop(&thing);
    }
    CHECK_OK(give(self, mote_pid_term(me)));
    CHECK_OK(mote_receive(self, 0, &m));
    CHECK_OK(mote_forward(self, mote_pid_term(me)));
    CHECK_OK(mote_receive(self, 0, &m));
    CHECK(mote_host_take(self, &kind) == &thing && held() == 1);
    drop(&thing);
    return 0;
}
BOTH(copies_taken, copies)

/* ---------------------------------------------------------------------------------------------- receive and take */

static void next_is(mote_self *self, const char *want) {
    void *object = self;
    CHECK_OK(mote_host_next(self, &kind, &object));
    CHECK(want ? !object : object == &thing);
    if (want) CHECK_TERM(mote_message(self), want);
    else drop(&thing);
}
static void next_is_none(mote_self *self, mote_err want) {
    void *object = self;
    CHECK_INT(mote_host_next(self, &kind, &object), want);
    CHECK(object == self);
}

static int nexts(mote_self *self, void *context) {
    mote_pid me = mote_self_pid(self);
    mote_ref alias;
    void *object;
    (void)context;
    next_is_none(self, MOTE_TIMEOUT);
    CHECK_INT(mote_host_next(NULL, &kind, &object), MOTE_ESELF);
    CHECK_INT(mote_host_next(self, &kind, NULL), MOTE_EARG);
    for (int i = 0; i < 3000; i++) { /* more than a turn has reductions */
        CHECK_OK(give(self, mote_pid_term(me)));
        CHECK_OK(mote_send(self, me, "{a, b}"));
    }
    for (int i = 0; i < 3000; i++) next_is(self, NULL), next_is(self, "{a,b}");
    next_is_none(self, MOTE_TIMEOUT);
    CHECK_INT(mote_message(self).word, 0);
    CHECK_OK(mote_alias(self, 0, &alias));
    CHECK_OK(give(self, mote_ref_term(alias)));
    CHECK(mote_scratch(self)); /* it has something to free besides */
    next_is(self, NULL);
    CHECK_OK(give(self, mote_pid_term(me)));
    CHECK_OK(mote_host_next(self, &other_kind, &object));
    CHECK(!object && mote_host_take(self, &kind) == &thing);
    drop(&thing);
    return 0;
}
BOTH(nexts_taken, nexts)

/* What is taken makes room. */
static void fills(mote_self *self, mote_term arg) {
    mote_term me = self_term(self);
    (void)arg;
    for (int i = 0; i < 100; i++) {
        CHECK_OK(give(self, me));
        CHECK_OK(give(self, me));
        CHECK_INT(give(self, me), MOTE_EFULL);
        next_is(self, NULL);
        CHECK_OK(give(self, me));
        next_is(self, NULL), next_is(self, NULL), next_is_none(self, MOTE_TIMEOUT);
    }
}
static int limited(mote_self *self, void *context) {
    mote_ref ref;
    (void)context;
    CHECK_OK(mote_spawn_opt(self, &(mote_spawn_options){.body = fills, .mailbox_max = 2, .policy = MOTE_DROP, .monitor = &ref}, MOTE_TERM_NIL, NULL));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', ^, process, _, normal}", ref));
    return 0;
}
BOTH(nexts_within_a_limit, limited)

/* A hosted process is told of its end, also with messages left. */
static void is_told(mote_self *self, mote_term arg) {
    (void)arg;
    CHECK_OK(mote_host_wait(self, -1));
    next_is(self, NULL);
    CHECK_INT(mote_host_wait(self, -1), MOTE_EEXIT);
    next_is_none(self, MOTE_EEXIT);
}
static int told(mote_self *self, void *context) {
    mote_pid pid;
    mote_ref ref;
    (void)context;
    CHECK_OK(mote_spawn_opt(self, &(mote_spawn_options){.body = is_told, .hosted = true, .monitor = &ref}, MOTE_TERM_NIL, &pid));
    CHECK_OK(give(self, mote_pid_term(pid)));
    WAIT_UNTIL(self, held() == 0);
    CHECK_OK(mote_exit_send(self, pid, atom("enough")));
    CHECK_OK(give(self, mote_pid_term(pid)));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', ^, process, ^, enough}", ref, pid));
    return 0;
}
BOTH(nexts_until_the_end, told)

/* A handler is handed its messages. */
static void is_handed(mote_self *self, mote_term message, void *state) {
    (void)state;
    CHECK(mote_host_object(message, &kind) == &thing);
    next_is_none(self, MOTE_ECONTEXT);
    mote_exit(self, atom("done"));
}
static int handed(mote_self *self, void *context) {
    static const mote_handler handler = {.name = "handed", .handle = is_handed};
    mote_pid pid;
    mote_ref ref;
    (void)context;
    CHECK_OK(mote_spawn_opt(self, &(mote_spawn_options){.handler = &handler, .monitor = &ref}, MOTE_TERM_NIL, &pid));
    CHECK_OK(give(self, mote_pid_term(pid)));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', ^, process, ^, done}", ref, pid));
    return 0;
}
BOTH(nexts_of_no_handler, handed)

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){TEST_ONE_AND_TWO(moved), TEST_ONE_AND_TWO(moved_in_vain), TEST_ONE_AND_TWO(moved_to_the_full),
                                                        TEST_ONE_AND_TWO(copies_taken), TEST_ONE_AND_TWO(nexts_taken), TEST_ONE_AND_TWO(nexts_within_a_limit),
                                                        TEST_ONE_AND_TWO(nexts_until_the_end), TEST_ONE_AND_TWO(nexts_of_no_handler), {0}});
}
