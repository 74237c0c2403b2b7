/* SPDX-License-Identifier: Apache-2.0
 * What an operator asks a node for, as the functions of module erlang of that name: peers that may call functions (MOTE_RIGHT_RPC) call these, too. They tell; nothing is changed by them. */
#include <string.h>

#include "dist/node.h"

#define INFO_MS 5000 /* until a process that does not answer counts as one of which nothing is known */
#define ROOM_FIRST 256u

static mote_term own_name(mote_self *self, size_t count, const mote_term *args, void *context) {
    (void)self, (void)count, (void)args;
    return (mote_term){((const struct mt_dist *)context)->net.name};
}

/* Whether a word stays what it is while it is in our hands: a name from outside ends with who has it. */
static bool is_kept(uint64_t word) { return mt_tag(word) != MT_ATOM || !mt_atom_counted(word); }

enum kind { PROCESSES, NAMES, NODES };

static mote_err list(mote_self *self, enum kind kind, uint64_t *words, size_t room, size_t *n) {
    switch (kind) {
    case PROCESSES: return mote_process_list(self, (mote_pid *)words, room, n);
    case NAMES: return mote_registered(self, (mote_atom *)words, room, n);
    case NODES: break;
    }
    return mote_nodes(self, false, (mote_atom *)words, room, n);
}

/* A list of all there are, which may be more each time. */
static mote_term all_of(mote_self *self, enum kind kind) {
    size_t room = ROOM_FIRST, n = 0;
    mote_term all = MOTE_TERM_NIL;
    uint64_t *words = NULL;
    mote_err err = MOTE_OK;
    do {
        room = n > room ? 2 * n : room;
        uint64_t *more = mt_os_realloc(words, room * sizeof *words);
        if (!more) break;
        words = more;
        err = list(self, kind, words, room, &n);
    } while (!err && n > room);
    if (!words || err || n > room) all = MOTE_TERM_NONE;
    for (size_t i = 0; all.word && i < n; i++)
        if (is_kept(words[i])) all = mote_cons_make(mote_scratch(self), (mote_term){words[i]}, all);
    mt_os_free(words);
    return all;
}

static mote_term processes(mote_self *self, size_t count, const mote_term *args, void *context) {
    (void)count, (void)args, (void)context;
    return all_of(self, PROCESSES);
}

static mote_term registered(mote_self *self, size_t count, const mote_term *args, void *context) {
    (void)count, (void)args, (void)context;
    return all_of(self, NAMES);
}

static mote_term nodes(mote_self *self, size_t count, const mote_term *args, void *context) {
    (void)count, (void)args, (void)context;
    return all_of(self, NODES);
}

static mote_term atom(const char *name) { return mote_atom_term(mote_atom_make(name)); }

static mote_term whereis(mote_self *self, size_t count, const mote_term *args, void *context) {
    mote_pid pid;
    (void)count, (void)context;
    if (mote_term_type(args[0]) != MOTE_ATOM) mote_error(self, atom("badarg"));
    return mote_whereis(self, args[0], &pid) ? atom("undefined") : mote_pid_term(pid);
}

/* The items there are, in the order in which they are given. */
static const char *const items[] = {"registered_name", "status", "message_queue_len", "trap_exit", "group_leader", "memory", "reductions", "label"};
enum { ITEMS = sizeof items / sizeof *items };

static mote_term value_of(mote_self *self, const mote_process_info *info, unsigned item) {
    static const char *const states[] = {"runnable", "running", "waiting", "suspended"};
    mote_arena *arena = mote_scratch(self);
    switch (item) {
    case 0: return info->registered.word && is_kept(info->registered.word) ? mote_atom_term(info->registered) : MOTE_TERM_NIL;
    case 1: return atom(states[info->state]);
    case 2: return mote_int_make(arena, (int64_t)info->mailbox);
    case 3: return atom(info->trap_exit ? "true" : "false");
    case 4: return mote_pid_term(info->group_leader);
    case 5: return mote_int_make(arena, (int64_t)info->memory);
    case 6: return mote_int_make(arena, (int64_t)info->reductions);
    default: return mote_text_make(arena, info->name, strlen(info->name));
    }
}

static mote_term pair_of(mote_self *self, const mote_process_info *info, unsigned item) {
    const mote_term both[] = {atom(items[item]), value_of(self, info, item)};
    return both[0].word && both[1].word ? mote_tuple_make(mote_scratch(self), 2, both) : MOTE_TERM_NONE;
}

static unsigned item_of(mote_self *self, mote_term name) {
    for (unsigned i = 0; i < ITEMS; i++)
        if (mote_term_same(name, atom(items[i]))) return i;
    mote_error(self, atom("badarg"));
}

/* One item gives {Item, Value}, a list of items a list of such; as erlang:process_info/2, which leaves a name out that there is not when all are asked for. */
static mote_term process_info(mote_self *self, size_t count, const mote_term *args, void *context) {
    mote_process_info info;
    mote_pid pid;
    mote_term pairs = MOTE_TERM_NIL, head, rest = count > 1 ? args[1] : MOTE_TERM_NIL;
    unsigned wanted[64], n = 0;
    (void)context;
    if (!mote_match(args[0], "?", &pid) || mt_is_remote(pid.word)) mote_error(self, atom("badarg"));
    const bool one = count > 1 && mote_term_type(rest) == MOTE_ATOM;
    if (one) wanted[n++] = item_of(self, rest);
    while (!one && n < 64 && mote_list_get(rest, &head, &rest) == MOTE_OK) wanted[n++] = item_of(self, head);
    if (!one && mote_term_type(rest) != MOTE_NIL) mote_error(self, atom("badarg"));
    if (mote_process_info_get(self, pid, INFO_MS, &info)) return atom("undefined");
    if (one) return pair_of(self, &info, wanted[0]);
    for (unsigned i = 0; count == 1 && i < ITEMS; i++)
        if (i || info.registered.word) wanted[n++] = i;
    while (n > 0 && pairs.word) {
        const mote_term pair = pair_of(self, &info, wanted[--n]);
        pairs = pair.word ? mote_cons_make(mote_scratch(self), pair, pairs) : MOTE_TERM_NONE;
    }
    return pairs;
}

mote_err mt_observe(struct mt_dist *d) {
    static const struct {
        const char *name;
        uint32_t arity;
        mote_term (*call)(mote_self *self, size_t count, const mote_term *args, void *context);
    } functions[] = {{"node", 0, own_name}, {"nodes", 0, nodes}, {"processes", 0, processes}, {"registered", 0, registered}, {"whereis", 1, whereis}, {"process_info", 1, process_info}, {"process_info", 2, process_info}};
    mote_err err = MOTE_OK;
    for (size_t i = 0; !err && i < sizeof functions / sizeof *functions; i++) {
        const struct mt_export export = {.module = mote_atom_make("erlang").word, .function = mote_atom_make(functions[i].name).word, .arity = functions[i].arity, .call = functions[i].call, .context = d};
        err = export.module && export.function ? mt_export(d->runtime, &export) : MOTE_ENOMEM;
        if (err == MOTE_EBUSY) err = MOTE_OK; /* the program has its own */
    }
    return err;
}
