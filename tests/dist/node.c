/* SPDX-License-Identifier: Apache-2.0
 * A mote node for tests/dist_node.py: an Erlang node tells its processes what to do.
 *
 *   node NAME COOKIE RIGHTS TICK_MS visible|hidden [ATOMS RELATIONS MESSAGE PROCESSES] [tls=FOLDER]     prints `ready` once it is there; ends when its input does
 *   node [WORD ...]                                          started by `mote run`: the same, and prints its name and words before
 *   node cert FOLDER NAME                                    makes FOLDER/NAME to be such a folder
 *
 * The process `keeper` answers {From, new} with the pid of a servant, which obeys the commands below, in order; what it does not know it passes on to whom {watch, To} has
 * named, else it drops it: 'EXIT', 'DOWN', nodedown and answers. */
#include <mote/node.h>
#include <mote/server.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "live.h"

static void passes_on(mote_self *self, mote_term watcher, mote_term m) {
    if (mote_term_type(watcher) == MOTE_PID) CHECK_OK(mote_send(self, watcher, "{?, saw, ?}", mote_self_pid(self), m));
}

static void spam(mote_self *self, mote_term to, int count) {
    for (int i = 1; i <= count; i++) CHECK_OK(mote_send(self, to, "?", i));
}

/* The next `count` messages have to be 1, 2, ... */
static void collect(mote_self *self, mote_term from, int count) {
    mote_term m;
    int wrong = 0, n;
    for (int i = 1; i <= count; i++) {
        CHECK_OK(mote_receive(self, PATIENCE_MS, &m));
        if (!mote_match(m, "?", &n) || n != i) wrong++;
    }
    CHECK_OK(mote_send(self, from, "{?, wrong, ?}", mote_self_pid(self), wrong));
}

static void big(mote_self *self, mote_term from, int size) {
    mote_arena *arena = mote_arena_new(0);
    uint8_t *bytes = malloc((size_t)size);
    CHECK(arena && bytes);
    memset(bytes, 7, (size_t)size);
    CHECK_OK(mote_send(self, from, "{?, big, ?}", mote_self_pid(self), mote_binary_make(arena, bytes, (size_t)size)));
    free(bytes);
    mote_arena_free(arena);
}

static void call(mote_self *self, mote_term from, mote_term to, mote_term request) { /* `from` is a copy: what came is not there any more after the answer */
    mote_term reply = MOTE_TERM_NIL;
    mote_err err = mote_call_term(self, to, PATIENCE_MS, request, &reply);
    CHECK_OK(mote_send(self, from, "{?, ?, ?}", mote_self_pid(self), mote_atom_make(err == MOTE_OK ? "reply" : err == MOTE_ENOPROC ? "noproc" : "error"), reply));
}

static void relations(mote_self *self, mote_term m) {
    mote_term from, to, what;
    mote_atom node;
    unsigned rights;
    mote_pid pid;
    mote_ref ref;
    if (mote_match(m, "{?, link, ?}", &from, &pid)) {
        CHECK_OK(mote_link(self, pid));
        CHECK_OK(mote_send(self, from, "{?, linked}", mote_self_pid(self)));
    } else if (mote_match(m, "{?, unlink, ?}", &from, &pid)) {
        CHECK_OK(mote_unlink(self, pid));
        CHECK_OK(mote_send(self, from, "{?, unlinked}", mote_self_pid(self)));
    } else if (mote_match(m, "{?, monitor, ?}", &from, &to)) {
        CHECK_OK((mote_monitor)(self, to, &ref));
        CHECK_OK(mote_send(self, from, "{?, ?}", mote_self_pid(self), ref));
    } else if (mote_match(m, "{?, demonitor, ?}", &from, &ref)) {
        CHECK_OK(mote_demonitor(self, ref, true, NULL));
        CHECK_OK(mote_send(self, from, "{?, demonitored}", mote_self_pid(self)));
    } else if (mote_match(m, "{?, rights, ?, ?}", &from, &node, &rights)) {
        CHECK_OK(mote_node_rights(self, node, rights));
        CHECK_OK(mote_send(self, from, "{?, granted}", mote_self_pid(self)));
    } else if (mote_match(m, "{?, reach, ?}", &from, &rights)) {
        CHECK_OK(mote_flag_set(self, MOTE_REACH, rights, NULL));
        CHECK_OK(mote_send(self, from, "{?, reached}", mote_self_pid(self)));
    } else if (mote_match(m, "{?, here, ?}", &from, &node)) {
        CHECK_OK(mote_register_here(self, node, mote_self_pid(self)));
        CHECK_OK(mote_send(self, from, "{?, named}", mote_self_pid(self)));
    } else if (mote_match(m, "{exit, ?, ?}", &to, &what)) {
        CHECK_OK((mote_exit_send)(self, to, what));
    }
}

static void nodes(mote_self *self, mote_arena *arena, mote_term m) {
    mote_term from;
    mote_atom node, list[8];
    size_t hidden, all;
    if (mote_match(m, "{?, connect, ?}", &from, &node)) {
        from = mote_term_copy(arena, from);
        mote_err err = mote_node_connect(self, node, -1);
        CHECK_OK(mote_send(self, from, "{?, ?}", mote_self_pid(self), mote_atom_make(err ? "false" : "true")));
    } else if (mote_match(m, "{?, disconnect, ?}", &from, &node)) {
        CHECK_OK(mote_node_disconnect(self, node));
    } else if (mote_match(m, "{?, monitor_node, ?}", &from, &node)) {
        CHECK_OK(mote_node_monitor(self, node, true));
        CHECK_OK(mote_send(self, from, "{?, true}", mote_self_pid(self)));
    } else if (mote_match(m, "{?, nodes}", &from)) {
        CHECK_OK(mote_nodes(self, false, list, 8, &all));
        CHECK_OK(mote_nodes(self, true, list, 8, &hidden));
        CHECK_OK(mote_send(self, from, "{?, ?, ?}", mote_self_pid(self), (int)all, (int)hidden));
    } else if (mote_match(m, "{?, reload_tls}", &from)) {
        CHECK_OK(mote_node_tls_reload(self, NULL, 0));
        CHECK_OK(mote_send(self, from, "{?, reloaded}", mote_self_pid(self)));
    }
}

/* How many there are, as text, for who reads bytes. */
static void atoms(mote_self *self, mote_term from) {
    char text[40];
    int size = snprintf(text, sizeof text, "atoms=%zu.", mote_atom_count());
    CHECK_OK(mote_send(self, from, "{?, ?}", mote_self_pid(self), mote_binary_make(mote_scratch(self), text, (size_t)size)));
}

/* False: it is none of these. */
static bool obeys(mote_self *self, mote_arena *arena, mote_term m) {
    mote_term from, to, what;
    int n;
    if (mote_match(m, "{?, echo, ?}", &from, &what)) CHECK_OK(mote_send(self, from, "{?, ?}", mote_self_pid(self), what));
    else if (mote_match(m, "{'$gen_call', ?, ?}", &from, &what)) CHECK_OK(mote_reply(self, from, "{answer, ?}", what));
    else if (mote_match(m, "{?, send, ?, ?}", &from, &to, &what)) CHECK_OK((mote_send_term)(self, to, what));
    else if (mote_match(m, "{?, spam, ?}", &from, &n)) spam(self, from, n);
    else if (mote_match(m, "{?, collect, ?}", &from, &n)) collect(self, mote_term_copy(arena, from), n);
    else if (mote_match(m, "{?, big, ?}", &from, &n)) big(self, from, n);
    else if (mote_match(m, "{?, call, ?, ?}", &from, &to, &what)) call(self, mote_term_copy(arena, from), to, what);
    else if (mote_match(m, "{?, atoms}", &from)) atoms(self, from);
    else if (mote_match(m, "{die, ?}", &what)) mote_exit(self, what);
    else return false;
    return true;
}

static void dials(mote_self *self, mote_term watcher, mote_atom node) {
    mote_err err = mote_node_connect(self, node, -1);
    CHECK_OK(mote_send(self, watcher, "{?, dialled, ?}", mote_self_pid(self), mote_atom_make(err ? "false" : "true")));
}

static void servant(mote_self *self, mote_term arg) {
    mote_term m, watcher = MOTE_TERM_NIL, from;
    mote_arena *arena = own_arena(self);
    (void)arg;
    mote_atom down = {0}, dialled = {0};
    while (!mote_receive(self, -1, &m)) {
        if (mote_match(m, "{?, dial_when_down, ?}", &from, &dialled)) continue;
        if (mote_match(m, "{'EXIT', _, _}") || mote_match(m, "{'DOWN', _, _, _, _}") || mote_match(m, "{nodedown, _}")) passes_on(self, watcher, m);
        if (mote_match(m, "{nodedown, ?}", &down) && down.word == dialled.word) dials(self, watcher, down), dialled.word = 0;
        else if (mote_match(m, "{?, watch}", &from)) watcher = mote_term_copy(arena, from);
        else if (mote_match(m, "trap")) CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
        else if (!obeys(self, arena, m)) relations(self, m), nodes(self, arena, m);
    }
}

static void keeper(mote_self *self, mote_term arg) {
    mote_term m, from;
    mote_atom name;
    mote_pid pid;
    (void)arg;
    while (!mote_receive(self, -1, &m)) {
        if (mote_match(m, "{?, new, ?}", &from, &name)) {
            CHECK_OK(mote_spawn(self, servant, MOTE_TERM_NIL, &pid));
            if (strcmp(mote_atom_name(name, NULL), "none") != 0) CHECK_OK(mote_register(self, name, pid));
            CHECK_OK(mote_send(self, from, "{servant, ?}", pid));
        } else if (mote_match(m, "{?, alive, ?}", &from, &pid)) {
            mote_process_info info;
            mote_err err = mote_process_info_get(self, pid, PATIENCE_MS, &info);
            CHECK_OK(mote_send(self, from, "{alive, ?}", mote_atom_make(err == MOTE_ENOPROC ? "false" : "true")));
        }
    }
}

static const char *tls; /* NULL: without */

/* For other nodes. */
static mote_term waits(mote_self *self, size_t count, const mote_term *args, void *context) {
    mote_term m;
    (void)count, (void)args, (void)context;
    CHECK_OK(mote_receive(self, -1, &m));
    return MOTE_TERM_NIL;
}

static int begin(mote_self *self, void *context) {
    char **argv = context, why[300] = "";
    const bool of_command = getenv("MOTE_NODE_NAME") != NULL;
    mote_node_options options = {0};
    if (!of_command) options = (mote_node_options){.name = argv[1], .cookie = argv[2], .rights = (unsigned)atoi(argv[3]), .tick_ms = (uint32_t)atoi(argv[4]), .visible = strcmp(argv[5], "visible") == 0, .tls = tls};
    if (!of_command && argv[6]) {
        options.atoms_max = (uint32_t)atoi(argv[6]);
        options.relations_max = (uint32_t)atoi(argv[7]);
        options.message_max = (size_t)atoi(argv[8]);
        options.processes_max = (uint32_t)atoi(argv[9]);
        CHECK_OK(mote_export_function(self, mote_atom_make("test"), mote_atom_make("wait"), 0, &(mote_function){.call = waits}));
    }
    if (mote_node_start(self, of_command ? NULL : &options, why, sizeof why)) {
        fprintf(stderr, "%s: %s\n", argv[0], why);
        return 1;
    }
    if (of_command) {
        printf("%s", mote_atom_name(mote_node_name(self, NULL, NULL), NULL));
        for (char **word = argv + 1; *word; word++) printf(" %s", *word);
        puts("");
    }
    return serve_until_input_ends(self, keeper);
}

static int makes_certificate(char **argv) {
    char why[300] = "";
    mote_err err = mote_cert_make(argv[2], argv[3], 0, false, why, sizeof why);
    if (err) fprintf(stderr, "%s\n", why);
    return err ? 1 : 0;
}

int main(int argc, char **argv) {
    if (strncmp(argv[argc - 1], "tls=", 4) == 0) {
        tls = argv[--argc] + 4;
        argv[argc] = NULL;
    }
    if (argc == 4 && strcmp(argv[1], "cert") == 0) return makes_certificate(argv);
    if (argc != 6 && argc != 10 && !getenv("MOTE_NODE_NAME")) {
        fputs("node NAME COOKIE RIGHTS TICK_MS visible|hidden [ATOMS RELATIONS MESSAGE PROCESSES] [tls=FOLDER]\n", stderr);
        return 2;
    }
    return mote_run(NULL, begin, argv);
}
