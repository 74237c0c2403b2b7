/* SPDX-License-Identifier: Apache-2.0
 * What goes to another node: signals as control messages, encoded in the thread of who sends. */
#include <string.h>

#include "dist/branch.h"

#define BORROWED_FROM 4096u /* bytes of a payload that is not copied again */
_Static_assert(MT_LEFT_MIN >= MT_FRAME_PIECE, "a part of a payload");

/* A payload that is given as it is: in parts, what was written and binaries by turns. */
struct given {
    mote_writer writer;
    struct mt_left left;
    mote_bytes parts[2 * MT_LEFT_MAX + 1];
};

static void fini(struct given *g) {
    mt_left_drop(&g->left);
    mote_writer_fini(&g->writer);
}

static void let_go(void *context) {
    fini(context);
    mt_os_free(context);
}

/* A binary's bytes go by themselves. */
static bool leave(void *context, mote_term binary, size_t at) {
    struct given *g = context;
    const uint64_t *p = mt_ptr(binary.word);
    const struct mt_bits bits = mt_bits_of(binary.word);
    if (bits.first || mt_header_kind(*p) != MT_BIN_SHARED) return false;
    struct mt_bin *bin = (struct mt_bin *)(uintptr_t)p[3];
    if (!mt_left_add(&g->left, at, (mote_bytes){bits.data, (size_t)(bits.count / 8)}, bin)) return false;
    mt_bin_hold(bin);
    return true;
}

/* Gives what has been written into `first` memory of its own, with all that is left out. NULL: out of memory. */
static struct given *keep(const struct given *first) {
    struct given *g = mt_os_alloc(sizeof *g);
    const mote_bytes bytes = mote_writer_bytes(&first->writer);
    if (!g) return NULL;
    *g = *first;
    if (first->writer.own) return g;
    mote_writer_init(&g->writer, first->writer.form, NULL, 0, MT_MESSAGE_MAX);
    if (mote_raw_write(&g->writer, bytes.data, bytes.size)) return g;
    mt_os_free(g);
    return NULL;
}

/* Where the parts begin and end, now that all is written. */
static void divide(struct given *g) {
    const uint8_t *from = g->writer.data;
    for (size_t i = 0; i < g->left.count; i++) {
        g->parts[2 * i] = (mote_bytes){from, (size_t)(g->writer.data + g->left.at[i] - from)};
        g->parts[2 * i + 1] = g->left.bytes[i];
        from = g->writer.data + g->left.at[i];
    }
    g->parts[2 * g->left.count] = (mote_bytes){from, (size_t)(g->writer.next - from)};
}

/* ------------------------------------------------------------------------------------------------- putting */

static void say_lost(const struct mt_link *l, mote_err err) {
    const char *why = err == MOTE_ETERM ? "it holds what only mote's nodes know, or what only its own process does" : mote_err_text(err);
    mt_log(l->dist->runtime, MOTE_LOG_ERROR, "a signal to %s is lost: %s", mote_atom_name((mote_atom){l->node}, NULL), why);
}

/* The connection's process looks, if it rests. */
static void wake(struct mt_link *l, struct mt_sched *s) {
    struct mt_sig *sig = NULL;
    mt_fence(); /* it says so before it looks at the queue for the last time */
    if (!atomic_load_explicit(&l->rests, memory_order_relaxed) || !atomic_exchange(&l->rests, 0)) return;
    uint64_t process = atomic_load_explicit(&l->waker, memory_order_relaxed);
    if (!mt_sig_of_term(&s->cache, (mote_term){MT_WORD_OF(ok)}, 0, NULL, &sig)) mt_deliver(s, process, sig);
    else atomic_store(&l->rests, 1);
}

static mote_err put_early_locked(struct mt_link *l, uint64_t sender, mote_bytes control, const mote_bytes *parts, size_t count) {
    size_t size = 0;
    for (size_t i = 0; i < count; i++) size += parts[i].size;
    struct mt_early *e = mt_os_alloc(sizeof *e + control.size + size);
    if (!e) return MOTE_ENOMEM;
    *e = (struct mt_early){.sender = sender, .control = control.size, .payload = size};
    uint8_t *to = (uint8_t *)memcpy(e->bytes, control.data, control.size) + control.size;
    for (size_t i = 0; i < count; to += parts[i++].size)
        if (parts[i].size) memcpy(to, parts[i].data, parts[i].size);
    *l->early_end = e;
    l->early_end = &e->next;
    l->early_bytes += sizeof *e + control.size + size;
    return MOTE_OK;
}

static mote_err put_locked(struct mt_link *l, uint64_t sender, mote_bytes control, mote_bytes payload, struct given *given) {
    const bool divided = given && given->left.count;
    const mote_bytes *parts = divided ? given->parts : &payload;
    const size_t count = divided ? 2 * given->left.count + 1 : 1;
    if (l->over) return MOTE_ESTOPPED;
    if (!l->out) return put_early_locked(l, sender, control, parts, count);
    if (divided) return mt_frames_out_put_parts(l->out, sender, control, parts, count, let_go, given);
    return mt_frames_out_put(l->out, sender, control, payload, given ? let_go : NULL, given);
}

/* Puts a message that is written by `flags`. `given` (may be NULL) has the payload, and is taken. MOTE_NOMATCH: it is up since, by other flags; nothing is taken. */
static mote_err put(struct mt_link *l, struct mt_sched *s, uint64_t sender, uint64_t flags, mote_bytes control, mote_bytes payload, struct given *given) {
    mt_lock_take(&l->mu);
    if (l->out && l->flags != flags) {
        mt_lock_drop(&l->mu);
        return MOTE_NOMATCH;
    }
    mote_err err = put_locked(l, sender, control, payload, given);
    bool up = l->out != NULL;
    size_t bytes = up ? mt_frames_out_bytes(l->out) : l->early_bytes;
    if (bytes > MT_LINK_CROWD) l->crowded = true;
    atomic_store_explicit(&l->waiting, bytes, memory_order_relaxed);
    mt_lock_drop(&l->mu);
    if (given && (err || !up)) let_go(given);
    if (err == MOTE_ENOMEM || err == MOTE_ELIMIT) say_lost(l, err);
    if (up && !err) wake(l, s);
    return err;
}

/* The flags by which control messages are written: until it is up, as for a node of mote's. */
static uint64_t flags_of(const struct mt_link *l) {
    uint64_t flags = atomic_load_explicit(&l->up_flags, memory_order_relaxed);
    return flags ? flags : MT_FLAGS_OURS;
}

static mote_form form_of(const struct mt_link *l) { return atomic_load_explicit(&l->untyped, memory_order_relaxed) ? MOTE_FORM_ERLANG : MOTE_FORM_NODES; }

mote_err mt_link_plain(const struct mt_link *l, mote_bytes payload, uint64_t flags, mote_writer *to) {
    const struct mt_dist *d = l->dist;
    const mote_external_options form = {.form = MOTE_FORM_NODES, .node = {d->net.name}, .creation = d->net.creation, .ref_key = &d->net.ref_key};
    mote_term term;
    if (flags & MT_FLAG_TYPES || !payload.size) return mote_raw_write(to, payload.data, payload.size) ? MOTE_OK : to->err;
    mote_arena *arena = mote_arena_new(0);
    mote_err err = arena ? mote_term_decode(arena, payload.data, payload.size, &form, &term, NULL) : MOTE_ENOMEM;
    if (!err) err = mote_term_encode(term, &form, to);
    mote_arena_free(arena);
    if (err) say_lost(l, err);
    return err;
}

static bool put_plain(struct mt_link *l, struct mt_sched *s, uint64_t sender, struct mt_control *c, struct given *given);

/* Puts a control message; `given` as put(). */
static bool put_control(struct mt_link *l, struct mt_sched *s, uint64_t sender, struct mt_control *c, mote_bytes payload, struct given *given) {
    uint64_t first[64];
    mote_writer w;
    bool follows = false, taken = false;
    mote_err err = MOTE_NOMATCH;
    c->payload = payload;
    if (c->typed && form_of(l) == MOTE_FORM_ERLANG) return put_plain(l, s, sender, c, given);
    if (l->dist->is_branch) {
        bool done = mt_branch_put(l, sender, c, given && given->left.count ? given->parts : &payload, given ? 2 * given->left.count + 1 : 1);
        if (given) let_go(given);
        return done;
    }
    while (err == MOTE_NOMATCH) { /* a second time if the link has risen meanwhile */
        uint64_t flags = flags_of(l);
        if (c->typed && !(flags & MT_FLAG_TYPES)) return put_plain(l, s, sender, c, given);
        mote_writer_init(&w, MOTE_FORM_ERLANG, first, sizeof first, MT_MESSAGE_MAX);
        err = mt_control_write(c, flags, &w, &follows) == MT_FINE ? MOTE_OK : MOTE_EARG;
        if (!err) {
            err = put(l, s, sender, flags, mote_writer_bytes(&w), follows ? payload : (mote_bytes){0}, follows ? given : NULL);
            taken = follows && err != MOTE_NOMATCH;
        }
        mote_writer_fini(&w);
    }
    if (given && !taken) let_go(given);
    return !err;
}

/* The same for who does not know our types: it has been written before that was known. */
static bool put_plain(struct mt_link *l, struct mt_sched *s, uint64_t sender, struct mt_control *c, struct given *given) {
    uint64_t first[64];
    mote_writer plain, whole;
    mote_bytes bytes = c->payload;
    mote_writer_init(&whole, MOTE_FORM_NODES, NULL, 0, MT_MESSAGE_MAX);
    mote_writer_init(&plain, MOTE_FORM_ERLANG, first, sizeof first, MT_MESSAGE_MAX);
    if (given && given->left.count) {
        for (size_t i = 0; i < 2 * given->left.count + 1; i++) (void)!mote_raw_write(&whole, given->parts[i].data, given->parts[i].size);
        bytes = mote_writer_bytes(&whole);
    }
    mote_err err = whole.err ? whole.err : mt_link_plain(l, bytes, 0, &plain);
    c->typed = false;
    bool done = !err && put_control(l, s, sender, c, mote_writer_bytes(&plain), NULL);
    mote_writer_fini(&plain);
    mote_writer_fini(&whole);
    if (given) let_go(given);
    return done;
}

/* Erlang cuts the connection to who sends these to a process of an earlier life. */
static bool is_for_this_life(struct mt_link *l, enum mt_control_op op, uint32_t creation) {
    if (op != MT_CONTROL_EXIT && op != MT_CONTROL_UNLINK && op != MT_CONTROL_UNLINK_ACK) return true;
    mt_lock_take(&l->mu);
    bool is = !l->creation || creation == l->creation;
    mt_lock_drop(&l->mu);
    return is;
}

/* The same for a payload of which something was left out. Takes that. */
static bool put_left(struct mt_link *l, struct mt_sched *s, uint64_t sender, struct mt_control *c, mote_bytes payload, const struct mt_left *left) {
    struct given first = {.left = *left}, *given = NULL;
    mote_writer_init(&first.writer, c->typed ? MOTE_FORM_NODES : MOTE_FORM_ERLANG, NULL, 0, MT_MESSAGE_MAX);
    if (!mote_raw_write(&first.writer, payload.data, payload.size) || !(given = keep(&first))) {
        say_lost(l, MOTE_ENOMEM);
        fini(&first);
        return false;
    }
    divide(given);
    return put_control(l, s, sender, c, mote_writer_bytes(&given->writer), given);
}

bool mt_link_put_control(struct mt_link *l, struct mt_sched *s, uint64_t sender, struct mt_control *c, const struct mt_left *left) {
    bool drops = !is_for_this_life(l, c->op, c->to.creation);
    if (drops && left) mt_left_drop(left);
    return drops || (left && left->count ? put_left(l, s, sender, c, c->payload, left) : put_control(l, s, sender, c, c->payload, NULL));
}

/* With `leave` large binaries may stay where they are. */
static bool encode(const struct mt_dist *d, uint64_t term, mote_writer *w, struct given *leaves) {
    const mote_external_options form = {.node = {d->net.name}, .creation = d->net.creation, .ref_key = &d->net.ref_key, .blob_min = MT_LEFT_MIN, .leave = leaves ? leave : NULL, .context = leaves};
    return mote_term_encode((mote_term){term}, &form, w) == MOTE_OK;
}

/* Puts a control message, its payload being a term; `leaves`: a message's, whose payload never stands within the tuple. */
static bool put_term(struct mt_link *l, struct mt_sched *s, uint64_t sender, struct mt_control *c, uint64_t payload, bool leaves) {
    uint64_t first[128];
    struct given g = {.left = {0}}, *given = NULL;
    mote_writer_init(&g.writer, form_of(l), first, sizeof first, MT_MESSAGE_MAX);
    c->typed = g.writer.form == MOTE_FORM_NODES;
    mote_err err = encode(l->dist, payload, &g.writer, leaves ? &g : NULL) ? MOTE_OK : g.writer.err;
    mote_bytes bytes = mote_writer_bytes(&g.writer);
    if (!err && (bytes.size > BORROWED_FROM || g.left.count) && !(given = keep(&g)) && g.left.count) err = MOTE_ENOMEM;
    if (err) {
        say_lost(l, err);
        fini(&g);
        return false;
    }
    if (given) {
        divide(given);
        bytes = mote_writer_bytes(&given->writer);
    }
    bool done = put_control(l, s, sender, c, bytes, given);
    if (!given) fini(&g);
    return done;
}

bool mt_link_put(struct mt_link *l, struct mt_sched *s, uint64_t sender, struct mt_control *c, uint64_t payload) {
    return payload ? put_term(l, s, sender, c, payload, false) : put_control(l, s, sender, c, (mote_bytes){0}, NULL);
}

/* ----------------------------------------------------------------------------------------------- signals */

static struct mt_far_pid far_of(const struct mt_remote_id *id) {
    return (struct mt_far_pid){mt_name_of_atom(id->node), id->words[0], id->words[1], id->creation};
}

/* Whom a control message is for: a pid, a name or an alias. */
static void address(struct mt_control *c, const struct mt_remote_id *to) {
    if (to->kind == MT_REMOTE_NAME) {
        c->named = true;
        c->name = mt_name_of_atom(to->name);
    } else if (to->kind == MT_REMOTE_PID) {
        c->to = far_of(to);
    } else {
        c->ref = (struct mt_far_ref){.node = mt_name_of_atom(to->node), .creation = to->creation, .count = to->count};
        memcpy(c->ref.words, to->words, sizeof to->words);
    }
}

/* The process that sends: an attached thread's is never the scheduler's current one. */
static uint64_t current_of(struct mt_sched *s) {
    struct mt_task *current = s->attached ? s->attached : atomic_load_explicit(&s->current, memory_order_relaxed);
    return current ? mt_proc_pid(mt_task_proc(current)) : 0;
}

/* The head of a message: who sends it, and to whom. */
static struct mt_control message_to(const struct mt_link *l, uint64_t from, const struct mt_remote_id *to) {
    struct mt_control c = {.op = to->kind == MT_REMOTE_PID ? MT_CONTROL_SEND : to->kind == MT_REMOTE_NAME ? MT_CONTROL_SEND_NAMED : MT_CONTROL_SEND_ALIAS};
    if (!from) from = atomic_load_explicit(&l->dist->process, memory_order_relaxed); /* a timer's: the protocol wants somebody */
    c.sender = true;
    c.from = mt_far_pid_of(l->dist, from);
    address(&c, to);
    return c;
}

static void message(void *context, struct mt_sched *s, uint64_t from, const struct mt_remote_id *to, mote_form form, mote_bytes term, const struct mt_left *left) {
    struct mt_link *l = context;
    struct mt_control c = message_to(l, from, to);
    c.typed = form == MOTE_FORM_NODES;
    (void)(left ? put_left(l, s, from, &c, term, left) : put_control(l, s, from, &c, term, NULL));
}

/* What has ended, as its watcher asked for it. */
static void put_down(struct mt_link *l, struct mt_sched *s, const struct mt_remote_id *to, const struct mt_sig *sig) {
    struct mt_control c = {.op = MT_CONTROL_DOWN, .to = far_of(to)};
    uint64_t item = sig->heap[5];
    if (!mt_watch_take(l, sig->root, &c.ref)) return;
    if (mt_tag(item) == MT_BOXED) {
        c.named = true;
        c.name = mt_name_of_atom(mt_ptr(item)[1]);
    } else {
        c.from = mt_far_pid_of(l->dist, item);
    }
    const uint64_t sender = mt_tag(item) == MT_PID ? item : current_of(s);
    if (!mt_link_put(l, s, sender, &c, sig->heap[6])) (void)mt_link_put(l, s, sender, &c, MT_WORD_OF(system_limit)); /* who waits for it must not do so for ever */
}

/* What a process shall be started in, there. */
static void put_spawn(struct mt_link *l, struct mt_sched *s, const struct mt_sig *sig) {
    mote_term ref, me, module, function, args, options = MOTE_TERM_NIL;
    unsigned flags = 0;
    size_t arity = 0;
    uint64_t first[32];
    if (!mote_match((mote_term){sig->root}, "{?, ?, ?, ?, ?, ?}", &ref, &me, &module, &function, &args, &flags) || mote_list_length(args, &arity)) MT_ASSERT(false);
    struct mt_control c = {.op = MT_CONTROL_SPAWN, .arity = (uint8_t)arity, .ref = mt_far_ref_of(l->dist, ref.word), .from = mt_far_pid_of(l->dist, me.word)};
    const uint64_t leader = atomic_load_explicit(&l->dist->leader, memory_order_relaxed);
    c.leader = leader ? mt_far_pid_of(l->dist, leader) : c.from;
    c.module = mt_name_of_atom(module.word);
    c.function = mt_name_of_atom(function.word);
    mote_arena *arena = mote_arena_new(0);
    mote_writer w;
    mote_writer_init(&w, MOTE_FORM_ERLANG, first, sizeof first, MT_MESSAGE_MAX);
    if (arena && (flags & MT_STARTS_MONITORED)) options = mote_cons_make(arena, mote_atom_term(mote_atom_make("monitor")), options);
    if (arena && (flags & MT_STARTS_LINKED)) options = mote_cons_make(arena, mote_atom_term(mote_atom_make("link")), options);
    bool fits = arena && options.word && encode(l->dist, options.word, &w, NULL);
    c.options = mote_writer_bytes(&w);
    if (fits) fits = mt_link_put(l, s, me.word, &c, args.word);
    mote_writer_fini(&w);
    mote_arena_free(arena);
    if (fits) return;
    mt_lock_take(&l->mu);
    uint64_t error = l->over ? MT_WORD_OF(noconnection) : l->out && !(l->flags & MT_FLAG_SPAWN) ? MT_WORD_OF(notsup) : MT_WORD_OF(system_limit);
    mt_lock_drop(&l->mu);
    struct mt_sig *answer = mt_started_new(&s->cache, ref.word, l->node, 0, 0, error);
    if (answer) mt_deliver(s, me.word, answer);
}

/* A signal of a relation; its sender is the key by which order is kept. */
static void put_relation(struct mt_link *l, struct mt_sched *s, struct mt_control *c, const struct mt_remote_id *to, uint64_t from, uint64_t payload) {
    c->from = mt_far_pid_of(l->dist, from);
    address(c, to);
    if (is_for_this_life(l, c->op, to->creation)) (void)mt_link_put(l, s, from, c, payload);
}

/* A link is over from our side: it counts no more, if the peer has begun it. */
static void cut(struct mt_link *l, const struct mt_remote_id *to, uint64_t own) {
    const struct mt_far_pid far = far_of(to);
    mt_tie_cut(l, own, &far);
}

static void put_signal(struct mt_link *l, struct mt_sched *s, const struct mt_remote_id *to, const struct mt_sig *sig) {
    struct mt_control c = {.op = MT_CONTROL_LINK};
    switch ((enum mt_sig_kind)sig->kind) {
    case MT_SIG_EXIT:
    case MT_SIG_LINK_EXIT:
        c.op = sig->kind == MT_SIG_EXIT ? MT_CONTROL_EXIT2 : MT_CONTROL_EXIT;
        if (sig->kind == MT_SIG_LINK_EXIT) cut(l, to, mt_exit_from(sig));
        put_relation(l, s, &c, to, mt_exit_from(sig), sig->root);
        break;
    case MT_SIG_LINK: put_relation(l, s, &c, to, sig->root, 0); break;
    case MT_SIG_UNLINK:
    case MT_SIG_UNLINKED:
        c.op = sig->kind == MT_SIG_UNLINK ? MT_CONTROL_UNLINK : MT_CONTROL_UNLINK_ACK;
        c.id = sig->root;
        if (sig->kind == MT_SIG_UNLINK) cut(l, to, sig->heap[0]);
        put_relation(l, s, &c, to, sig->heap[0], 0);
        break;
    case MT_SIG_MONITOR:
        c.op = MT_CONTROL_MONITOR;
        c.ref = mt_far_ref_of(l->dist, sig->root);
        put_relation(l, s, &c, to, sig->heap[1], 0);
        break;
    case MT_SIG_DEMONITOR:
        c.op = MT_CONTROL_DEMONITOR;
        c.ref = mt_far_ref_of(l->dist, sig->root);
        put_relation(l, s, &c, to, sig->heap[1], 0); /* whoever ends is not the current process any more */
        break;
    case MT_SIG_GROUP_LEADER:
        c.op = MT_CONTROL_GROUP_LEADER;
        c.leader = mt_far_pid_of(l->dist, sig->root);
        put_relation(l, s, &c, to, current_of(s), 0);
        break;
    case MT_SIG_DOWN: put_down(l, s, to, sig); break;
    case MT_SIG_SPAWN: put_spawn(l, s, sig); break;
    default: break; /* nothing that another node knows */
    }
}

static void signal(void *context, struct mt_sched *s, const struct mt_remote_id *to, struct mt_sig *sig) {
    struct mt_link *l = context;
    if (mt_is_message(sig)) {
        uint64_t from = current_of(s);
        struct mt_control c = message_to(l, from, to);
        (void)put_term(l, s, from, &c, sig->root, true);
    } else {
        put_signal(l, s, to, sig);
    }
    mt_sig_free(&s->cache, sig);
}

static bool crowded(void *context, uint64_t sender) {
    struct mt_link *l = context;
    return l->dist->is_branch ? mt_branch_crowded(l) : mt_link_crowded(l, sender);
}

static mote_form form(void *context) { return form_of(context); }

const struct mt_carrier mt_link_carrier = {.crowded = crowded, .form = form, .signal = signal, .message = message, .pass = mt_branch_pass};
