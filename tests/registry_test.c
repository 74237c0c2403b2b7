/* SPDX-License-Identifier: Apache-2.0
 * Registries: keys of all kinds, unique and duplicate, listeners, patterns, and that the dead are never found. */
#include <mote/registry.h>
#include <mote/server.h>
#include <mote/supervisor.h>

#include "live.h"

/* A process that registers what it is told to, and tells back. Its argument: {Test, Registry}. */
static void member(mote_self *self, mote_term arg) {
    mote_pid test, registry, holder = mote_self_pid(NULL);
    mote_term m, key, value;
    CHECK(mote_match(arg, "{?, ?}", &test, &registry));
    for (;;) {
        CHECK_OK(mote_receive(self, -1, &m));
        if (mote_match(m, "stop")) return;
        if (mote_match(m, "{register, ?, ?}", &key, &value)) {
            mote_err err = mote_registry_register(self, registry, key, value, &holder);
            CHECK_OK(mote_send(self, test, "{done, ?, ?}", (int)err, holder));
        } else if (mote_match(m, "{unregister, ?}", &key)) {
            mote_err err = mote_registry_unregister(self, registry, key);
            CHECK_OK(mote_send(self, test, "{done, ?, ?}", (int)err, holder));
        }
    }
}

static mote_pid start_member(mote_self *self, mote_pid registry) {
    mote_term arg;
    mote_pid pid;
    CHECK_OK(mote_build(mote_scratch(self), &arg, "{?, ?}", mote_self_pid(self), registry));
    CHECK_OK(mote_spawn(self, member, arg, &pid));
    return pid;
}
static mote_err let_register(mote_self *self, mote_pid member_pid, const char *key, const char *value) {
    int err;
    CHECK_OK(mote_send(self, member_pid, "{register, ?, ?}", mote_atom_make(key), mote_atom_make(value)));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{done, ?, _}", &err));
    return (mote_err)err;
}
static mote_err let_unregister(mote_self *self, mote_pid member_pid, const char *key) {
    int err;
    CHECK_OK(mote_send(self, member_pid, "{unregister, ?}", mote_atom_make(key)));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{done, ?, _}", &err));
    return (mote_err)err;
}
static void end(mote_self *self, mote_pid pid) {
    mote_ref ref;
    mote_term m;
    CHECK_OK(mote_monitor(self, pid, &ref));
    CHECK_OK(mote_exit_send(self, pid, atom("shutdown")));
    CHECK_OK(mote_receive_ref(self, PATIENCE_MS, ref, &m));
}
static mote_pid start(mote_self *self, bool duplicate) {
    mote_pid registry;
    CHECK_OK(mote_registry_start_link(self, &(mote_registry_options){.name = "r", .duplicate = duplicate}, &registry));
    return registry;
}
static void stop(mote_self *self, mote_pid registry) {
    CHECK_OK(mote_unlink(self, registry));
    end(self, registry);
}

static int one_each(mote_self *self, void *context) {
    mote_pid r = start(self, false), a = start_member(self, r), b = start_member(self, r), pid, holder;
    mote_term list;
    size_t count;
    (void)context;
    CHECK_OK(let_register(self, a, "k", "v"));
    CHECK_INT(let_register(self, b, "k", "w"), MOTE_EBUSY);
    CHECK_INT(mote_registry_register(self, "r", "k", MOTE_TERM_NIL, &holder), MOTE_EBUSY);
    CHECK(holder.word == a.word);
    CHECK_OK(mote_registry_whereis(self, "r", "k", &pid));
    CHECK(pid.word == a.word);
    CHECK_OK(mote_registry_lookup(self, r, "k", &list));
    CHECK(mote_match(list, "[{^, v}]", a));
    CHECK_INT(let_unregister(self, b, "k"), MOTE_NOMATCH);
    CHECK_OK(let_unregister(self, a, "k"));
    CHECK_INT(mote_registry_whereis(self, r, "k", &pid), MOTE_NOMATCH);
    CHECK_OK(mote_registry_lookup(self, r, "k", &list));
    CHECK_TERM(list, "[]");
    CHECK_OK(let_register(self, b, "k", "w"));
    CHECK_OK(let_register(self, b, "l", "w"));
    CHECK_OK(mote_registry_keys(self, r, b, &list));
    CHECK_TERM(list, "[k,l]");
    CHECK_OK(mote_registry_keys(self, r, a, &list));
    CHECK_TERM(list, "[]");
    CHECK_OK(mote_registry_count(self, r, &count));
    CHECK_INT(count, 2);
    end(self, a), end(self, b), stop(self, r);
    return 0;
}
ONE_AND_TWO(unique, one_each)

static int several(mote_self *self, void *context) {
    mote_pid r = start(self, true), a = start_member(self, r), b = start_member(self, r);
    mote_term list;
    (void)context;
    CHECK_OK(let_register(self, a, "k", "v"));
    CHECK_OK(let_register(self, b, "k", "w"));
    CHECK_OK(let_register(self, a, "k", "x"));
    CHECK_OK(mote_registry_lookup(self, r, "k", &list));
    CHECK(mote_match(list, "[{^, v}, {^, w}, {^, x}]", a, b, a));
    CHECK_OK(mote_registry_keys(self, r, a, &list));
    CHECK_TERM(list, "[k,k]");
    CHECK_OK(let_unregister(self, a, "k"));
    CHECK_OK(mote_registry_lookup(self, r, "k", &list));
    CHECK(mote_match(list, "[{^, w}]", b));
    end(self, a), end(self, b), stop(self, r);
    return 0;
}
ONE_AND_TWO(duplicate, several)

/* A process that is watched very often tells one after the other; whoever has been told first knows of its end. */
static void end_slowly(mote_self *self, mote_pid pid, mote_pid r) {
    enum { WATCHES = 3000 };
    mote_ref ref;
    mote_pid found;
    for (int i = 0; i < WATCHES; i++) CHECK_OK(mote_monitor(self, pid, &ref));
    CHECK_OK(mote_exit_send(self, pid, atom("shutdown")));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', _, process, _, _}"));
    CHECK_INT(mote_registry_whereis(self, r, "k", &found), MOTE_NOMATCH);
    for (int i = 1; i < WATCHES; i++) CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', _, process, _, _}"));
}

/* Who knows that a process has ended does not find it, whether the registry knows or not; and its key is free. */
static int never_found(mote_self *self, void *context) {
    mote_pid r = start(self, false), pid, a;
    mote_term list;
    size_t count;
    (void)context;
    for (int i = 0; i < scaled(1000); i++) {
        a = start_member(self, r);
        CHECK_OK(let_register(self, a, "k", "v"));
        CHECK_OK(let_register(self, a, "l", "v"));
        if (i % 50) end(self, a);
        else end_slowly(self, a, r);
        if (i % 4 == 0) CHECK_INT(mote_registry_whereis(self, r, "k", &pid), MOTE_NOMATCH);
        if (i % 4 == 1) CHECK_OK(mote_registry_lookup(self, r, "k", &list));
        if (i % 4 == 1) CHECK_TERM(list, "[]");
        if (i % 4 == 2) CHECK_OK(mote_registry_keys(self, r, a, &list));
        if (i % 4 == 2) CHECK_TERM(list, "[]");
        CHECK_OK(mote_registry_register(self, r, "l", MOTE_TERM_NIL, NULL));
        CHECK_OK(mote_registry_unregister(self, r, "l"));
    }
    WAIT_UNTIL(self, mote_registry_count(self, r, &count) == MOTE_OK && count == 0);
    stop(self, r);
    return 0;
}
ONE_AND_TWO(deaths, never_found)

static int told(mote_self *self, void *context) {
    mote_pid r = start(self, false), a = start_member(self, r);
    mote_term m;
    (void)context;
    CHECK_OK(mote_registry_listen(self, r, true));
    CHECK_OK(mote_registry_listen(self, r, true)); /* changes nothing */
    CHECK_OK(let_register(self, a, "k", "v"));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{register, ^, k, ^, v}", r, a));
    CHECK_OK(let_unregister(self, a, "k"));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{unregister, ^, k, ^}", r, a));
    CHECK_OK(let_register(self, a, "l", "v"));
    CHECK_OK(let_register(self, a, "m", "v"));
    end(self, a);
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{unregister, ^, l, ^}", r, a));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{unregister, ^, m, ^}", r, a));
    CHECK_OK(mote_registry_listen(self, r, false));
    CHECK_OK(mote_registry_register(self, r, "n", MOTE_TERM_NIL, NULL));
    CHECK_OK(mote_registry_unregister(self, r, "n"));
    while (mote_receive_match(self, 0, "{register, ^, _, ^, _}", r, a) == MOTE_OK) /* those of l and m */
        ;
    CHECK_INT(mote_receive(self, 0, &m), MOTE_TIMEOUT);
    stop(self, r);
    return 0;
}
ONE_AND_TWO(listeners, told)

static void listener(mote_self *self, mote_term arg) { CHECK_OK(mote_registry_listen(self, arg, true)); }

/* A listener that has ended takes no memory. */
static int listeners_gone(mote_self *self, void *context) {
    mote_pid r = start(self, false), pid;
    mote_process_info info;
    size_t memory = 0;
    (void)context;
    for (int i = 0; i < 100; i++) {
        CHECK_OK(mote_spawn(self, listener, mote_pid_term(r), &pid));
        wait_gone(self, pid);
        WAIT_UNTIL(self, mote_process_info_get(self, r, PATIENCE_MS, &info) == MOTE_OK && info.monitors == 0 && info.mailbox == 0);
        if (i == 10) memory = info.memory;
    }
    CHECK(info.memory < memory + 1000);
    stop(self, r);
    return 0;
}
ONE_AND_TWO(listeners_end, listeners_gone)

static mote_term parse(mote_arena *arena, const char *text) {
    mote_term term;
    CHECK_OK(mote_term_parse(arena, text, strlen(text), &term, NULL));
    return term;
}

static void selects(mote_self *self, mote_pid r, const char *pattern, size_t want) {
    mote_arena *arena = mote_arena_new(0);
    mote_term list;
    size_t length;
    CHECK_OK(mote_registry_select(self, r, parse(arena, pattern), &list));
    CHECK_OK(mote_list_length(list, &length));
    if (length != want) fprintf(stderr, "# pattern %s\n", pattern);
    CHECK_INT(length, want);
    mote_arena_free(arena);
}

static int patterns(mote_self *self, void *context) {
    mote_pid r = start(self, true);
    mote_arena *arena = mote_arena_new(0);
    const char *const keys[] = {"{user, 1}", "{user, 2}", "{user, 2.0}", "[a, b]", "[a, b, c]", "[a|b]", "#{x => 1, y => {2}}", "<<1:3>>", "[]"};
    mote_term list, deep = MOTE_TERM_NIL;
    (void)context;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        mote_term value = parse(arena, i % 2 ? "odd" : "{even, 1}");
        CHECK_OK(mote_registry_register(self, r, parse(arena, keys[i]), value, NULL));
    }
    selects(self, r, "'_'", 9);
    selects(self, r, "{'_', '_', '_'}", 9);
    selects(self, r, "{{user, '_'}, '_', '_'}", 3);
    selects(self, r, "{{user, 2}, '_', '_'}", 1);
    selects(self, r, "{{'_', '_'}, '_', odd}", 1);
    selects(self, r, "{{'_', '_'}, '_', {even, '_'}}", 2);
    selects(self, r, "{['_', b], '_', '_'}", 1);
    selects(self, r, "{[a|'_'], '_', '_'}", 3);
    selects(self, r, "{#{x => '_'}, '_', '_'}", 1);
    selects(self, r, "{#{y => {'_'}}, '_', '_'}", 1);
    selects(self, r, "{#{y => '_', z => '_'}, '_', '_'}", 0);
    selects(self, r, "{#{}, '_', '_'}", 1);
    selects(self, r, "{[], '_', '_'}", 1);
    selects(self, r, "nothing", 0);
    selects(self, r, "{'_', '_'}", 0);
    CHECK_OK(mote_registry_select(self, r, parse(arena, "{{user, 1}, '_', '_'}"), &list));
    CHECK(mote_match(list, "[{{user, 1}, ^, {even, 1}}]", mote_self_pid(self)));
    for (int i = 0; i < 70; i++) deep = mote_tuple_make(arena, 1, &deep);
    CHECK_INT(mote_registry_select(self, r, deep, &list), MOTE_ELIMIT);
    mote_arena_free(arena);
    stop(self, r);
    return 0;
}
static void select_by_pattern(void) { RUN(1, patterns); }

/* Many keys of compound terms: all are found, and all memory comes back. */
static int crowd(mote_self *self, void *context) {
    mote_pid r = start(self, false), pid;
    int n = scaled(20000);
    mote_term key, value;
    size_t count;
    (void)context;
    uint64_t begin = now_ns();
    for (int i = 0; i < n; i++) {
        CHECK_OK(mote_build(mote_scratch(self), &key, "{key, ?, <<\"abc\">>}", i));
        CHECK_OK(mote_build(mote_scratch(self), &value, "[?]", i));
        CHECK_OK(mote_registry_register(self, r, key, value, NULL));
    }
    int64_t registered = ms_since(begin);
    begin = now_ns();
    for (int i = 0; i < n; i++) {
        CHECK_OK(mote_build(mote_scratch(self), &key, "{key, ?, <<\"abc\">>}", i));
        CHECK_OK(mote_registry_whereis(self, r, key, &pid));
    }
    fprintf(stderr, "# %d keys: %" PRId64 " ms to register, %" PRId64 " ms to look up\n", n, registered, ms_since(begin));
    for (int i = 0; i < n; i += 2) {
        CHECK_OK(mote_build(mote_scratch(self), &key, "{key, ?, <<\"abc\">>}", i));
        CHECK_OK(mote_registry_unregister(self, r, key));
        CHECK_INT(mote_registry_whereis(self, r, mote_term_copy(mote_scratch(self), atom("no")), &pid), MOTE_NOMATCH);
    }
    CHECK_OK(mote_registry_count(self, r, &count));
    CHECK_INT(count, n / 2);
    stop(self, r);
    return 0;
}
ONE_AND_TWO(many, crowd)

static int in_tree(mote_self *self, void *context) {
    mote_arena *arena = mote_arena_new(0);
    mote_child_spec spec = {.id = "names", .start = mote_registry_start, .arg = parse(arena, "{names, unique}")};
    mote_supervisor_options options = {.children = &spec, .count = 1};
    mote_pid s, before, now, pid;
    (void)context;
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    CHECK_OK(mote_supervisor_start_link(self, &options, &s, NULL));
    CHECK_OK(mote_registry_register(self, "names", "k", MOTE_TERM_NIL, NULL));
    CHECK_OK(mote_whereis(self, "names", &before));
    end(self, before);
    WAIT_UNTIL(self, mote_whereis(self, "names", &now) == MOTE_OK);
    CHECK_INT(mote_registry_whereis(self, "names", "k", &pid), MOTE_NOMATCH);
    CHECK_OK(mote_supervisor_stop(self, s, atom("shutdown"), PATIENCE_MS));
    CHECK_INT(mote_registry_whereis(self, "names", "k", &pid), MOTE_ENOPROC);
    mote_arena_free(arena);
    return 0;
}
ONE_AND_TWO(supervised, in_tree)

static int wrong(mote_self *self, void *context) {
    mote_pid r = start(self, false), other;
    mote_term reply;
    (void)context;
    CHECK_INT(mote_registry_start_link(self, &(mote_registry_options){.name = "r"}, &other), MOTE_EBUSY);
    CHECK_OK(mote_registry_start_link(self, NULL, &other));
    stop(self, other);
    CHECK_INT(mote_registry_start(self, MOTE_TERM_NIL, &other), MOTE_EARG);
    CHECK_INT(mote_registry_start_link(NULL, NULL, &other), MOTE_ESELF);
    CHECK_INT(mote_registry_start_link(self, NULL, NULL), MOTE_EARG);
    CHECK_INT(mote_registry_lookup(self, r, "k", NULL), MOTE_EARG);
    CHECK_INT(mote_registry_whereis(self, r, "k", NULL), MOTE_EARG);
    CHECK_INT(mote_registry_keys(self, r, r, NULL), MOTE_EARG);
    CHECK_INT(mote_registry_select(self, r, MOTE_TERM_NIL, NULL), MOTE_EARG);
    CHECK_INT(mote_registry_count(self, r, NULL), MOTE_EARG);
    CHECK_INT(mote_registry_register(self, r, "k", MOTE_TERM_NONE, NULL), MOTE_ETERM);
    CHECK_INT(mote_registry_register(NULL, mote_pid_term(r), atom("k"), MOTE_TERM_NIL, NULL), MOTE_ESELF);
    CHECK_OK(mote_call(self, r, -1, &reply, "nonsense"));
    CHECK(mote_match(reply, "{^, []}", (int)MOTE_EARG));
    CHECK_OK(mote_send(self, r, "nonsense"));
    static const char *const abroad[] = {"{register, k, <a@b.1.2.3>, v}", "{listen, <a@b.1.2.3>, true}"};
    for (size_t i = 0; i < sizeof abroad / sizeof *abroad; i++) { /* of another node: it would have to be kept by what the message refers to */
        mote_term request;
        CHECK_OK(mote_term_parse(mote_scratch(self), abroad[i], strlen(abroad[i]), &request, NULL));
        CHECK_OK(mote_call(self, r, -1, &reply, "?", request));
        CHECK(mote_match(reply, "{^, []}", (int)MOTE_EARG));
    }
    stop(self, r);
    CHECK_INT(mote_registry_listen(self, r, true), MOTE_ENOPROC);
    return 0;
}
static void errors(void) { RUN(1, wrong); }

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){
        TEST_ONE_AND_TWO(unique), TEST_ONE_AND_TWO(duplicate), TEST_ONE_AND_TWO(deaths), TEST_ONE_AND_TWO(listeners), TEST_ONE_AND_TWO(listeners_end),
        TEST(select_by_pattern), TEST_ONE_AND_TWO(many), TEST_ONE_AND_TWO(supervised), TEST(errors), {0}});
}
