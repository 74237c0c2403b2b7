/* SPDX-License-Identifier: Apache-2.0
 * Process groups: joining and leaving as often as one likes, deaths, and those who watch. */
#include <mote/group.h>
#include <mote/server.h>

#include "live.h"

static void idle(mote_self *self, mote_term arg) {
    (void)arg;
    CHECK_OK(mote_receive_match(self, -1, "stop"));
}
static mote_pid start_idle(mote_self *self) {
    mote_pid pid;
    CHECK_OK(mote_spawn(self, idle, MOTE_TERM_NIL, &pid));
    return pid;
}
static void end(mote_self *self, mote_pid pid) {
    mote_ref ref;
    mote_term m;
    CHECK_OK(mote_monitor(self, pid, &ref));
    CHECK_OK(mote_exit_send(self, pid, atom("shutdown")));
    CHECK_OK(mote_receive_ref(self, PATIENCE_MS, ref, &m));
}
static mote_pid start(mote_self *self) {
    mote_pid scope;
    CHECK_OK(mote_group_start_link(self, "scope", &scope));
    return scope;
}
static void stop(mote_self *self, mote_pid scope) {
    CHECK_OK(mote_unlink(self, scope));
    end(self, scope);
}

static int membership(mote_self *self, void *context) {
    mote_pid s = start(self), a = start_idle(self), b = start_idle(self);
    mote_term list;
    (void)context;
    CHECK_OK(mote_group_members(self, s, "g", &list));
    CHECK_TERM(list, "[]");
    CHECK_OK(mote_group_join(self, "scope", "g", a));
    CHECK_OK(mote_group_join(self, s, "g", b));
    CHECK_OK(mote_group_join(self, s, "g", a));
    CHECK_OK(mote_group_join(self, s, a, a)); /* any term is a group */
    CHECK_OK(mote_group_members(self, s, "g", &list));
    CHECK(mote_match(list, "[^, ^, ^]", a, b, a));
    CHECK_OK(mote_group_names(self, s, &list));
    CHECK(mote_match(list, "[g, ^]", a));
    CHECK_OK(mote_group_leave(self, s, "g", a));
    CHECK_OK(mote_group_members(self, s, "g", &list));
    CHECK(mote_match(list, "[^, ^]", b, a));
    CHECK_OK(mote_group_leave(self, s, "g", a));
    CHECK_INT(mote_group_leave(self, s, "g", a), MOTE_NOMATCH);
    CHECK_INT(mote_group_leave(self, s, "h", b), MOTE_NOMATCH);
    CHECK_OK(mote_group_leave(self, s, "g", b));
    CHECK_OK(mote_group_names(self, s, &list));
    CHECK(mote_match(list, "[^]", a));
    end(self, a);
    CHECK_OK(mote_group_names(self, s, &list));
    CHECK_TERM(list, "[]");
    end(self, b), stop(self, s);
    return 0;
}
ONE_AND_TWO(members, membership)

/* A process that is watched very often tells one after the other; whoever has been told first knows of its end. */
static void end_slowly(mote_self *self, mote_pid pid, mote_pid s) {
    enum { WATCHES = 3000 };
    mote_ref ref;
    mote_term list;
    for (int i = 0; i < WATCHES; i++) CHECK_OK(mote_monitor(self, pid, &ref));
    CHECK_OK(mote_exit_send(self, pid, atom("shutdown")));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', _, process, _, _}"));
    CHECK_OK(mote_group_members(self, s, "g", &list));
    CHECK_TERM(list, "[]");
    for (int i = 1; i < WATCHES; i++) CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', _, process, _, _}"));
}

static int never_found(mote_self *self, void *context) {
    mote_pid s = start(self), a;
    mote_term list;
    (void)context;
    for (int i = 0; i < scaled(1000); i++) {
        a = start_idle(self);
        for (int k = 0; k < 3; k++) CHECK_OK(mote_group_join(self, s, "g", a));
        CHECK_OK(mote_group_join(self, s, "h", a));
        if (i % 50) end(self, a);
        else end_slowly(self, a, s);
        CHECK_OK(i % 2 ? mote_group_members(self, s, "g", &list) : mote_group_names(self, s, &list));
        CHECK_TERM(list, "[]");
    }
    stop(self, s);
    return 0;
}
ONE_AND_TWO(deaths, never_found)

/* One message for each change, in order; the death of one who joined thrice is one. */
static int watching(mote_self *self, void *context) {
    mote_pid s = start(self), a = start_idle(self), b = start_idle(self);
    mote_ref ref, all;
    mote_term m, map;
    (void)context;
    CHECK_OK(mote_group_join(self, s, "g", a));
    CHECK_OK(mote_group_monitor(self, s, "g", &ref, &m));
    CHECK(mote_match(m, "[^]", a));
    CHECK_OK(mote_group_monitor_scope(self, s, &all, &map));
    CHECK(mote_match(map, "#{g := [^]}", a));
    CHECK_OK(mote_group_join(self, s, "g", b));
    CHECK_OK(mote_group_join(self, s, "g", b));
    CHECK_OK(mote_group_join(self, s, "h", b));
    CHECK_OK(mote_group_join(self, s, "g", b));
    CHECK_OK(mote_group_leave(self, s, "g", a));
    end(self, b);
    for (int i = 0; i < 3; i++) CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{^, join, g, [^]}", ref, b));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{^, leave, g, [^]}", ref, a));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{^, leave, g, [^, ^, ^]}", ref, b, b, b));
    const char *const wants[] = {"join g", "join g", "join h", "join g", "leave g", "leave g", "leave h"};
    for (size_t i = 0; i < 7; i++) {
        mote_term what, group;
        char text[50], parts[2][20];
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{^, ?, ?, _}", all, &what, &group));
        mote_term_print(what, parts[0], sizeof parts[0]);
        mote_term_print(group, parts[1], sizeof parts[1]);
        snprintf(text, sizeof text, "%s %s", parts[0], parts[1]);
        CHECK_STR(text, wants[i]);
    }
    CHECK_INT(mote_receive(self, 0, &m), MOTE_TIMEOUT);
    CHECK_OK(mote_group_join(self, s, "g", a));
    CHECK_OK(mote_group_demonitor(self, s, ref)); /* takes the message away */
    CHECK_INT(mote_group_demonitor(self, s, ref), MOTE_NOMATCH);
    CHECK_OK(mote_group_demonitor(self, s, all));
    CHECK_OK(mote_group_join(self, s, "g", a));
    CHECK_INT(mote_receive(self, 0, &m), MOTE_TIMEOUT);
    end(self, a), stop(self, s);
    return 0;
}
ONE_AND_TWO(watchers, watching)

static void watcher(mote_self *self, mote_term arg) {
    mote_pid test, scope;
    mote_ref ref;
    CHECK(mote_match(arg, "{?, ?}", &test, &scope));
    CHECK_OK(mote_group_monitor(self, scope, "g", &ref, NULL));
    CHECK_OK(mote_group_monitor_scope(self, scope, &ref, NULL));
    CHECK_OK(mote_group_join(self, scope, "g", mote_self_pid(self)));
    CHECK_OK(mote_send(self, test, "ready"));
    CHECK_OK(mote_receive_match(self, -1, "stop"));
}

/* A member that watches is gone from everywhere. */
static int watcher_ends(mote_self *self, void *context) {
    mote_pid s = start(self), pid;
    mote_term arg, list;
    mote_process_info info;
    size_t memory = 0;
    (void)context;
    for (int i = 0; i < 100; i++) {
        CHECK_OK(mote_build(mote_scratch(self), &arg, "{?, ?}", mote_self_pid(self), s));
        CHECK_OK(mote_spawn(self, watcher, arg, &pid));
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "ready"));
        end(self, pid);
        CHECK_OK(mote_group_members(self, s, "g", &list));
        CHECK_TERM(list, "[]");
        WAIT_UNTIL(self, mote_process_info_get(self, s, PATIENCE_MS, &info) == MOTE_OK && info.monitors == 0 && info.mailbox == 0);
        if (i == 10) memory = info.memory;
    }
    CHECK(info.memory < memory + 1000);
    stop(self, s);
    return 0;
}
ONE_AND_TWO(watchers_end, watcher_ends)

static int wrong(mote_self *self, void *context) {
    mote_pid s = start(self), other;
    mote_ref ref;
    mote_term reply;
    (void)context;
    CHECK_INT(mote_group_start_link(self, "scope", &other), MOTE_EBUSY);
    CHECK_INT(mote_group_start_link(NULL, NULL, &other), MOTE_ESELF);
    CHECK_INT(mote_group_start_link(self, NULL, NULL), MOTE_EARG);
    CHECK_OK(mote_group_start(self, MOTE_TERM_NIL, &other));
    stop(self, other);
    CHECK_INT(mote_group_members(self, s, "g", NULL), MOTE_EARG);
    CHECK_INT(mote_group_names(self, s, NULL), MOTE_EARG);
    CHECK_INT(mote_group_monitor(self, s, "g", NULL, NULL), MOTE_EARG);
    CHECK_INT(mote_group_monitor_scope(self, s, NULL, NULL), MOTE_EARG);
    CHECK_INT(mote_group_demonitor(self, s, mote_ref_make(self)), MOTE_NOMATCH);
    CHECK_OK(mote_call(self, s, -1, &reply, "nonsense"));
    CHECK(mote_match(reply, "{^, []}", (int)MOTE_EARG));
    static const char *const abroad[] = {"{join, g, <a@b.1.2.3>}", "{monitor, g, <a@b.1.2.3>, #Ref<a@b.1.2.3.4>}", "{monitor_scope, <a@b.1.2.3>, #Ref<a@b.1.2.3.4>}"};
    for (size_t i = 0; i < sizeof abroad / sizeof *abroad; i++) { /* of another node: it would have to be kept by what the message refers to */
        mote_term request;
        CHECK_OK(mote_term_parse(mote_scratch(self), abroad[i], strlen(abroad[i]), &request, NULL));
        CHECK_OK(mote_call(self, s, -1, &reply, "?", request));
        CHECK(mote_match(reply, "{^, []}", (int)MOTE_EARG));
    }
    CHECK_OK(mote_group_names(self, s, &reply));
    CHECK_TERM(reply, "[]");
    stop(self, s);
    CHECK_INT(mote_group_join(self, s, "g", s), MOTE_ENOPROC);
    CHECK_INT(mote_group_monitor(self, s, "g", &ref, NULL), MOTE_ENOPROC);
    return 0;
}
static void errors(void) { RUN(1, wrong); }

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){
        TEST_ONE_AND_TWO(members), TEST_ONE_AND_TWO(deaths), TEST_ONE_AND_TWO(watchers), TEST_ONE_AND_TWO(watchers_end), TEST(errors), {0}});
}
