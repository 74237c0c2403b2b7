/* SPDX-License-Identifier: Apache-2.0
 * The public functions of processes and runtimes: arguments are checked here, the work is done below. What they promise stands in mote.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proc/far.h"
#include "proc/receive.h"
#include "proc/send.h"
#include "term/pattern.h"

#define TIME_MAX_MS ((int64_t)1 << 47)
#define MAIN_STACK ((size_t)1 << 20)
#define EX_SOFTWARE 70
#define COST_TIMER 5 /* reductions */
#define COST_SIGNAL 4

/* NULL, or a thread whose runtime has stopped. */
static inline mote_err check_self(const mote_self *self) {
    if (mt_unlikely(!self)) return MOTE_ESELF;
    const struct mt_proc *p = (const struct mt_proc *)(const void *)self;
    if (mt_likely(mt_task_kind(&p->task) != MT_THREAD)) return MOTE_OK;
    const mote_runtime *rt = (const mote_runtime *)(const void *)p->task.sched->cluster;
    return atomic_load_explicit(&rt->stopped, memory_order_acquire) ? MOTE_ESTOPPED : MOTE_OK;
}

/* The same, and that it may wait here. */
static inline mote_err check_waits(const mote_self *self, int64_t timeout_ms) {
    mote_err err = check_self(self);
    if (mt_unlikely(err)) return err;
    const struct mt_proc *p = (const struct mt_proc *)(const void *)self;
    bool waits = mt_task_kind(&p->task) != MT_HANDLER || (timeout_ms == 0 && (p->flags & MT_PF_HOSTED));
    if (mt_unlikely(!waits || (p->flags & MT_PF_ENDING))) return MOTE_ECONTEXT;
    return mt_unlikely(timeout_ms < -1 || timeout_ms > TIME_MAX_MS) ? MOTE_EARG : MOTE_OK;
}

/* A call that has cost little, or failed: whoever repeats it for ever gets to the end of its turn too, and hears that it shall end. */
static __attribute__((noinline)) mote_err paid(mote_self *self, mote_err err) {
    struct mt_proc *p = mt_self(self);
    if (mt_unlikely(!p)) return err;
    p->task.budget--;
    mt_pay(p);
    return err;
}

/* -------------------------------------------------------------------------------------------------- runtime */

mote_err mote_runtime_start(const mote_options *options, mote_runtime **runtime) {
    return runtime ? mt_runtime_start(options, runtime) : MOTE_EARG;
}

mote_err mote_runtime_stop(mote_runtime *runtime, int64_t drain_ms) {
    if (!runtime || drain_ms < -1 || drain_ms > TIME_MAX_MS) return MOTE_EARG;
    return mt_runtime_stop(runtime, drain_ms);
}

struct first {
    int (*main)(mote_self *self, void *context);
    void *context;
    struct mt_proc *process;
    int code;
    bool returned;
    _Atomic uint32_t alone; /* the thread that started it is no process any more */
    _Atomic uint32_t ended;
};

static void first_ended(void *context) {
    struct first *f = context;
    if (!f->returned && mt_is_planned(f->process->arg)) { /* others have a death certificate */
        char reason[300];
        mote_term_print((mote_term){f->process->arg}, reason, sizeof reason);
        mt_log(mt_runtime(f->process), MOTE_LOG_ERROR, "the first process ended before its function returned: %s", reason);
    }
    atomic_store(&f->ended, 1);
    mt_os_futex_wake(&f->ended, 1);
}

static void first_process(mote_self *self, mote_term arg) {
    struct first *f;
    uint64_t address = 0;
    if (mote_uint_get(arg, &address)) return;
    f = (struct first *)(uintptr_t)address;
    f->process = mt_self(self);
    atomic_store(&mt_runtime(f->process)->leader, mt_proc_pid(f->process));
    f->code = 1;
    while (!atomic_load(&f->alone)) mt_os_futex_wait(&f->alone, 0, MT_NEVER);
    if (mote_cleanup_add(self, first_ended, f)) {
        first_ended(f);
        return;
    }
    f->code = f->main(self, f->context);
    f->returned = true;
}

/* This thread is a process for a moment, which does not count against processes_max. */
static mote_err run_first(mote_runtime *rt, struct first *f) {
    mote_self *self;
    atomic_fetch_add(&rt->room, 1);
    mote_err err = mote_attach(rt, &self);
    if (err) return err;
    /* A stack of its own is there when mote_spawn_opt() returns: the process does begin. */
    size_t stack_size = rt->options.stack_size == MAIN_STACK ? MAIN_STACK + mt_os_page_size() : MAIN_STACK;
    mote_spawn_options options = {.body = first_process, .name = "main", .stack_size = stack_size};
    err = mote_spawn_opt(self, &options, mote_uint_make(mote_scratch(self), (uint64_t)(uintptr_t)f), NULL);
    mote_detach(self);
    atomic_fetch_sub(&rt->room, 1);
    atomic_store(&f->alone, 1);
    mt_os_futex_wake(&f->alone, 1);
    while (!err && !atomic_load(&f->ended)) mt_os_futex_wait(&f->ended, 0, MT_NEVER);
    return err;
}

int mote_run(const mote_options *options, int (*main)(mote_self *self, void *context), void *context) {
    mote_runtime *rt = NULL;
    struct first f = {.main = main, .context = context};
    mote_err err = main ? mote_runtime_start(options, &rt) : MOTE_EARG;
    if (!err) {
        err = run_first(rt, &f);
        mote_runtime_stop(rt, 0);
    }
    if (!err) return f.code;
    char text[300];
    snprintf(text, sizeof text, "mote: mote_run cannot start: %s: %s\n", mote_err_name(err), mote_err_text(err));
    mt_os_log(text);
    return EX_SOFTWARE;
}

mote_err mote_attach(mote_runtime *runtime, mote_self **self) {
    struct mt_proc *p;
    if (!runtime || !self) return MOTE_EARG;
    mote_err err = mt_attach(runtime, &p);
    if (!err) *self = mt_as_self(p);
    return err;
}

mote_err mote_detach(mote_self *self) {
    if (!self) return MOTE_ESELF;
    return mt_task_kind(&mt_self(self)->task) == MT_THREAD ? mt_detach(mt_self(self)) : MOTE_ECONTEXT;
}

mote_runtime *mote_runtime_of(mote_self *self) {
    return self ? mt_runtime(mt_self(self)) : NULL;
}

/* ------------------------------------------------------------------------------------------------ processes */

mote_err mote_spawn_opt(mote_self *self, const mote_spawn_options *options, mote_term arg, mote_pid *pid) {
    mote_err err = check_self(self);
    if (err) return err;
    return options ? mt_spawn(mt_self(self), options, arg, pid) : paid(self, MOTE_EARG);
}

mote_err mote_export(mote_self *self, mote_atom module, mote_atom function, mote_body body) {
    mote_err err = check_self(self);
    bool atoms = mt_tag(module.word) == MT_ATOM && mt_tag(function.word) == MT_ATOM;
    if (!err && (!body || !atoms || mt_atom_counted(module.word) || mt_atom_counted(function.word))) err = MOTE_EARG;
    const struct mt_export export = {.module = module.word, .function = function.word, .arity = 1, .body = body};
    return err ? err : mt_export(mt_runtime(mt_self(self)), &export);
}

/* The body of a process whose function does not exist; `arg` is its name. */
static void undefined(mote_self *self, mote_term arg) {
    char name[600] = "?";
    mote_atom module, function;
    unsigned arity;
    if (!mote_function_get(arg, &module, &function, &arity))
        snprintf(name, sizeof name, "%s:%s/%u", mote_atom_name(module, NULL), mote_atom_name(function, NULL), arity);
    mote_error_at(self, name, 0, (mote_term){MT_WORD_OF(undef)});
}

mote_err mote_spawn_exported(mote_self *self, mote_term function, const mote_spawn_options *options, mote_term arg, mote_pid *pid) {
    mote_spawn_options how = options ? *options : (mote_spawn_options){0};
    mote_atom module, name;
    unsigned arity;
    mote_err err = check_self(self);
    if (err || how.body || how.handler) return err ? err : MOTE_EARG;
    if (mote_function_get(function, &module, &name, &arity) || arity != 1) return MOTE_ETERM;
    const struct mt_export *export = mt_exported(mt_runtime(mt_self(self)), module.word, name.word, 1);
    how.body = export ? export->body : NULL;
    if (how.body) return mt_spawn(mt_self(self), &how, arg, pid);
    if (!arg.word) return MOTE_ETERM;
    how.body = undefined;
    return mt_spawn(mt_self(self), &how, function, pid);
}

mote_err mote_spawn(mote_self *self, mote_body body, mote_term arg, mote_pid *pid) {
    mote_spawn_options options = {.body = body};
    mote_err err = check_self(self);
    return err ? err : mt_spawn(mt_self(self), &options, arg, pid);
}

mote_err mote_spawn_handler(mote_self *self, const mote_handler *handler, mote_term arg, mote_pid *pid) {
    mote_spawn_options options = {.handler = handler};
    mote_err err = check_self(self);
    return err ? err : mt_spawn(mt_self(self), &options, arg, pid);
}

mote_pid mote_self_pid(mote_self *self) {
    return (mote_pid){self ? mt_proc_pid(mt_self(self)) : mt_pid_word(0, 0, 0)};
}

mote_ref mote_ref_make(mote_self *self) {
    struct mt_proc *p = mt_self(self);
    if (!p) return (mote_ref){0};
    p->mark = mt_ref_next(p->task.sched);
    p->mark_at = p->queue_end;
    return (mote_ref){p->mark};
}

static __attribute__((noreturn)) void misuse(const char *what) {
    char text[300];
    snprintf(text, sizeof text, "mote: mote_exit: %s. The program ends.\n", what);
    mt_os_log(text);
    abort();
}

void mote_exit(mote_self *self, mote_term reason) {
    struct mt_proc *p = mt_self(self);
    struct mt_reason why = {MT_WORD_OF(system_limit), NULL};
    if (!p) misuse("called outside a process (self is NULL)");
    if (mt_task_kind(&p->task) == MT_THREAD) misuse("called in an attached thread; use mote_detach()");
    if (p->flags & MT_PF_ENDING) misuse("called by a clean-up or stop callback of a process that ends already");
    if (p->flags & MT_PF_EXITING) mt_end_by_signal(p); /* its reason goes before */
    if (mt_reason_of(reason, p->current, &why) == MOTE_ETERM) why.word = MT_WORD_OF(badarg);
    mt_end(p, why);
}

void mote_error_at(mote_self *self, const char *file, int line, mote_term what) {
    mote_term reason = MOTE_TERM_NONE;
    mote_arena *arena = mote_scratch(self);
    if (arena && mote_build(arena, &reason, "{error, ?, {?, ?}}", what, file ? file : "?", line)) reason = mote_atom_term((mote_atom){MT_WORD_OF(error)});
    mote_exit(self, reason.word ? reason : (mote_term){MT_WORD_OF(error)});
}

void mote_assertion_failed(mote_self *self, const char *file, int line, const char *condition) {
    mote_term what = {MT_WORD_OF(assertion_failed)};
    mote_arena *arena = mote_scratch(self);
    if (arena && mote_build(arena, &what, "{assertion_failed, ?}", condition ? condition : "?")) what.word = MT_WORD_OF(assertion_failed);
    mote_error_at(self, file, line, what);
}

void mote_check_at(mote_self *self, const char *file, int line, mote_err err) {
    mote_term what = {MT_WORD_OF(mote_error)};
    mote_arena *arena;
    if (!err) return;
    arena = mote_scratch(self);
    if (arena && mote_build(arena, &what, "{mote_error, ?, ?}", mote_err_name(err), mote_err_text(err))) what.word = MT_WORD_OF(mote_error);
    mote_error_at(self, file, line, what);
}

/* A pid, or a name's; anything else is no process. */
static mote_err process_of(struct mt_proc *p, mote_term to, uint64_t *pid) {
    uint64_t alias;
    if (mt_tag(to.word) == MT_REF) return MOTE_ETERM;
    return mt_resolve(mt_runtime(p), to.word, pid, &alias);
}

static mote_err exit_signal(struct mt_proc *p, mote_term reason, struct mt_sig **sig) {
    struct mt_reason why;
    mote_err err = mt_reason_of(reason, p->current, &why);
    if (err) return err;
    err = mt_exit_new(mt_cache_of(p), mt_proc_pid(p), &why, sig);
    mt_reason_drop(&why);
    return err;
}

mote_err (mote_exit_send)(mote_self *self, mote_term to, mote_term reason) {
    struct mt_sig *sig;
    uint64_t pid;
    mote_err err = check_self(self);
    if (err) return err;
    struct mt_proc *p = mt_self(self);
    if ((err = process_of(p, to, &pid)) || (err = exit_signal(p, reason, &sig))) return paid(self, err);
    mt_deliver(p->task.sched, pid, sig);
    p->task.budget -= COST_SIGNAL;
    mt_pay(p);
    if (pid == mt_proc_pid(p) && !(p->flags & MT_PF_ENDING)) {
        while (mt_fetch(p)) continue;
        mt_end_if_exiting(p);
    }
    return MOTE_OK;
}

/* A handler returns, to be resumed; a body gives way, and stands still as long as a receiver's policy says. */
static mote_err hosted_yield(struct mt_proc *p) {
    if (mt_task_kind(&p->task) == MT_HANDLER) {
        p->flags |= MT_PF_AGAIN;
        return MOTE_OK;
    }
    if (p->flags & MT_PF_ENDING) return MOTE_OK;
    mt_give_way(p);
    for (;;) {
        mt_fetch(p);
        if (p->flags & MT_PF_EXITING) return MOTE_EEXIT;
        if (!mt_suspended(p)) return MOTE_OK;
        mote_err err = mt_wait(p, MT_NEVER);
        if (err) return err;
    }
}

mote_err mote_yield(mote_self *self) {
    mote_err err = check_self(self);
    if (err) return err;
    struct mt_proc *p = mt_self(self);
    if (p->flags & MT_PF_HOSTED) return hosted_yield(p);
    mt_turn_over(p);
    return MOTE_OK;
}

mote_err mote_reductions(mote_self *self, uint32_t reductions) {
    mote_err err = check_self(self);
    if (err) return err;
    struct mt_proc *p = mt_self(self);
    p->task.budget -= reductions < 1u << 30 ? (int32_t)reductions : 1 << 30;
    if (p->task.budget < -(1 << 30)) p->task.budget = 0;
    if (p->task.budget <= 0) mt_turn_over(p);
    return MOTE_OK;
}

mote_err mote_sleep(mote_self *self, int64_t ms) {
    mote_err err = check_waits(self, ms);
    if (!err && ms < 0) err = MOTE_EARG;
    if (err) return err;
    struct mt_proc *p = mt_self(self);
    uint64_t deadline = mt_deadline(ms);
    for (;;) {
        mt_fetch(p);
        mt_end_if_exiting(p);
        err = mt_wait(p, deadline);
        if (err) return err == MOTE_TIMEOUT ? MOTE_OK : err;
    }
}

void *mote_alloc(mote_self *self, size_t size) {
    struct mt_proc *p = mt_self(self);
    if (!p || size > SIZE_MAX / 2 || mt_more(p)) return NULL;
    struct mt_owned *o = mt_cache_alloc(mt_cache_of(p), sizeof *o + size);
    if (!o) return NULL;
    memset(o, 0, sizeof *o + size);
    o->size = size;
    o->next = p->more->owned;
    if (o->next) o->next->prev = o;
    p->more->owned = o;
    p->more->owned_bytes += sizeof *o + size;
    return o + 1;
}

void mote_dealloc(mote_self *self, void *memory) {
    struct mt_proc *p = mt_self(self);
    if (!p || !memory) return;
    struct mt_owned *o = (struct mt_owned *)memory - 1;
    if (o->next) o->next->prev = o->prev;
    if (o->prev)
        o->prev->next = o->next;
    else
        p->more->owned = o->next;
    p->more->owned_bytes -= sizeof *o + o->size;
    mt_cache_free(mt_cache_of(p), o, sizeof *o + o->size);
}

mote_err mote_cleanup_add(mote_self *self, void (*cleanup)(void *context), void *context) {
    mote_err err = check_self(self);
    if (err || !cleanup) return err ? err : MOTE_EARG;
    struct mt_proc *p = mt_self(self);
    if (p->flags & MT_PF_ENDING) return MOTE_ECONTEXT;
    struct mt_cleanup *c = mt_more(p) ? NULL : mt_cache_alloc(mt_cache_of(p), sizeof *c);
    if (!c) return MOTE_ENOMEM;
    *c = (struct mt_cleanup){p->more->cleanups, cleanup, context};
    p->more->cleanups = c;
    return MOTE_OK;
}

mote_err mote_cleanup_remove(mote_self *self, void (*cleanup)(void *context), void *context) {
    mote_err err = check_self(self);
    if (err) return err;
    struct mt_proc *p = mt_self(self);
    if (!p->more) return MOTE_NOMATCH;
    for (struct mt_cleanup **at = &((struct mt_more *)p->more)->cleanups, *c; (c = *at); at = &c->next) {
        if (c->fn != cleanup || c->context != context) continue;
        *at = c->next;
        mt_cache_free(mt_cache_of(p), c, sizeof *c);
        return MOTE_OK;
    }
    return MOTE_NOMATCH;
}

mote_arena *mote_scratch(mote_self *self) {
    struct mt_proc *p = mt_self(self);
    if (!p || p->scratch) return p ? p->scratch : NULL;
    struct mt_sched *s = p->task.sched;
    p->scratch = s->spare_arena ? s->spare_arena : mote_arena_new(0);
    s->spare_arena = NULL;
    return p->scratch;
}

mote_err mote_blocking(mote_self *self, void (*call)(void *context), void *context) {
    mote_err err = check_waits(self, -1);
    if (!err && !call) err = MOTE_EARG;
    return err ? err : mt_blocking(mt_self(self), call, context);
}

mote_err mote_blocking_start(mote_self *self, void (*call)(void *context), void *context, mote_ref *ref) {
    mote_err err = check_self(self);
    if (!err && (!call || !ref)) err = MOTE_EARG;
    return paid(self, err ? err : mt_blocking_start(mt_self(self), call, context, &ref->word));
}

/* ------------------------------------------------------------------------------------------------- messages */

/* To whom mt_resolve() has found. */
static mote_err send_resolved(struct mt_proc *p, uint64_t pid, uint64_t alias, mote_term message, uint8_t flags) {
    struct mt_sig *sig;
    mote_err err;
    if (mt_unlikely((err = mt_sig_of_term(mt_cache_of(p), message, alias != 0, p->current, &sig)))) return paid(mt_as_self(p), err);
    if (alias) sig->flags |= flags;
    mt_address(sig, alias);
    return mt_send(p, pid, sig);
}

/* What is sent and is no immediate, or not to a pid. */
static __attribute__((noinline)) mote_err send_any(struct mt_proc *p, mote_term to, mote_term message, uint8_t flags) {
    uint64_t pid, alias;
    mote_err err = mt_resolve(mt_runtime(p), to.word, &pid, &alias);
    return mt_unlikely(err) ? paid(mt_as_self(p), err) : send_resolved(p, pid, alias, message, flags);
}

static inline bool is_immediate(mote_term term) {
    return term.word && !mt_is_pointer(term.word) && (mt_tag(term.word) != MT_ATOM || !mt_atom_counted(term.word));
}

static inline mote_err send_term(mote_self *self, mote_term to, mote_term message, uint8_t flags) {
    mote_err err = check_self(self);
    if (mt_unlikely(err)) return err;
    struct mt_proc *p = mt_self(self);
    if (mt_tag(to.word) != MT_PID || !is_immediate(message)) return send_any(p, to, message, flags);
    struct mt_sig *sig = mt_sig_new(mt_cache_of(p), MT_SIG_MESSAGE, 0);
    if (mt_unlikely(!sig)) return paid(self, MOTE_ENOMEM);
    sig->root = message.word;
    return mt_send_inline(p, to.word, sig);
}

mote_err (mote_send_term)(mote_self *self, mote_term to, mote_term message) { return send_term(self, to, message, 0); }
mote_err (mote_send_priority)(mote_self *self, mote_term to, mote_term message) {
    return send_term(self, to, message, MT_SIG_PRIORITY);
}

/* Whether what the sender does not want to happen would. */
static mote_err is_in_the_way(struct mt_proc *p, uint64_t pid, unsigned options) {
    bool stands;
    if (mt_is_far(mt_runtime(p), pid)) {
        enum mt_far_way way = mt_far_way_to(p, pid);
        if (way == MT_FAR_NO_WAY && options & MOTE_SEND_NOCONNECT) return MOTE_ENOPROC;
        stands = way == MT_FAR_NARROW;
    } else {
        stands = mt_send_would_stand(p, pid);
    }
    return stands && options & MOTE_SEND_NOSUSPEND ? MOTE_EFULL : MOTE_OK;
}

mote_err (mote_send_opt)(mote_self *self, mote_term to, mote_term message, unsigned options) {
    uint64_t pid, alias;
    mote_err err = check_self(self);
    if (err) return err;
    struct mt_proc *p = mt_self(self);
    if (options & ~(unsigned)(MOTE_SEND_NOSUSPEND | MOTE_SEND_NOCONNECT | MOTE_SEND_PRIORITY)) err = MOTE_EARG;
    if (err || (err = mt_resolve(mt_runtime(p), to.word, &pid, &alias)) || (err = is_in_the_way(p, pid, options))) return paid(self, err);
    if (options & MOTE_SEND_NOSUSPEND) p->flags |= MT_PF_HURRIES; /* it may have got full since */
    err = send_resolved(p, pid, alias, message, options & MOTE_SEND_PRIORITY ? MT_SIG_PRIORITY : 0);
    p->flags &= ~(unsigned)MT_PF_HURRIES;
    return err;
}

static __attribute__((noinline)) void free_unused(struct mt_cache *cache, struct mt_sig *sig) { mt_sig_free(cache, sig); }

/* The signal that a quick site builds; NULL: it is not so quick. */
static inline struct mt_sig *sig_of_quick(struct mt_cache *cache, const mote_site *site, size_t count, const mote_arg *args, size_t extra) {
    const struct mt_pattern *pattern = mt_site_compiled(site);
    if (mt_unlikely(!pattern || !pattern->quick || count != pattern->holes)) return NULL;
    if (count && !mt_arg_immediate(&args[count - 1])) return NULL; /* what a message carries stands last in most */
    size_t words = pattern->words + extra;
    if (words > MT_QUICK_WORDS + 1) __builtin_unreachable();
    struct mt_sig *sig = mt_sig_new(cache, MT_SIG_MESSAGE, words);
    if (mt_unlikely(!sig) || mt_likely((sig->root = mt_pattern_quick(pattern, args, sig->heap)) != 0)) return sig;
    free_unused(cache, sig);
    return NULL;
}

/* The signal that a site builds. */
static mote_err sig_of_site(struct mt_proc *p, mote_site *site, size_t count, const mote_arg *args, size_t extra, struct mt_sig **sig) {
    const struct mt_pattern *pattern;
    if ((*sig = sig_of_quick(mt_cache_of(p), site, count, args, extra))) return MOTE_OK;
    mote_err err = mt_site_pattern(site, &pattern);
    return mt_unlikely(err) ? err : mt_sig_of_pattern(mt_cache_of(p), pattern, count, args, extra, sig);
}

static __attribute__((noinline)) mote_err send_site_any(struct mt_proc *p, mote_term to, mote_site *site, size_t count, const mote_arg *args) {
    struct mt_sig *sig;
    uint64_t pid, alias;
    mote_err err = mt_resolve(mt_runtime(p), to.word, &pid, &alias);
    if (err || (err = sig_of_site(p, site, count, args, alias != 0, &sig))) return paid(mt_as_self(p), err);
    mt_address(sig, alias);
    return mt_send(p, pid, sig);
}

mote_err mote_send_site(mote_self *self, mote_term to, mote_site *site, size_t count, const mote_arg *args) {
    mote_err err = check_self(self);
    if (mt_unlikely(err)) return err;
    struct mt_proc *p = mt_self(self);
    struct mt_sig *sig = mt_likely(mt_tag(to.word) == MT_PID) ? sig_of_quick(mt_cache_of(p), site, count, args, 0) : NULL;
    return mt_likely(sig != NULL) ? mt_send_inline(p, to.word, sig) : send_site_any(p, to, site, count, args);
}

mote_err (mote_forward)(mote_self *self, mote_term to) {
    uint64_t pid, alias;
    mote_err err = check_self(self);
    if (err) return err;
    struct mt_proc *p = mt_self(self);
    struct mt_sig *sig = p->current;
    if (!sig) return paid(self, MOTE_EARG);
    if ((err = mt_resolve(mt_runtime(p), to.word, &pid, &alias))) return paid(self, err);
    if (alias) { /* there is no room for the alias's word in it */
        err = send_term(self, to, (mote_term){sig->root}, 0);
        if (!err || err == MOTE_EFULL) mt_drop_current(p);
        return err;
    }
    sig->flags &= (uint8_t)~(MT_SIG_UNSENT | MT_SIG_PRIORITY); /* it counts as a message of this process now */
    p->current = NULL;
    return mt_send(p, pid, sig);
}

mote_term mote_message(mote_self *self) {
    struct mt_proc *p = mt_self(self);
    return (mote_term){p && p->current ? p->current->root : 0};
}

mote_err mote_receive(mote_self *self, int64_t timeout_ms, mote_term *message) {
    mote_err err = check_waits(self, timeout_ms);
    if (mt_unlikely(err)) return err;
    if (mt_unlikely(!message)) return MOTE_EARG;
    return mt_receive(mt_self(self), timeout_ms, message);
}

struct wanted_by_user {
    bool (*wanted)(mote_term message, void *context);
    void *context;
};

static inline bool ask_user(void *context, mote_term message) {
    struct wanted_by_user *w = context;
    return w->wanted(message, w->context);
}

mote_err mote_receive_if(mote_self *self, int64_t timeout_ms, bool (*wanted)(mote_term message, void *context), void *context,
                         mote_term *message) {
    mote_err err = check_waits(self, timeout_ms);
    if (!err && (!wanted || !message)) err = MOTE_EARG;
    if (err) return err;
    struct wanted_by_user w = {wanted, context};
    err = mt_receive_wanted(mt_self(self), timeout_ms, 0, ask_user, &w);
    if (!err) message->word = mt_self(self)->current->root;
    return err;
}

/* What mote_receive_ref() takes. */
static inline bool is_about(void *context, mote_term message) {
    uint64_t ref = *(const uint64_t *)context;
    const uint64_t *t = message.word && mt_tag(message.word) == MT_BOXED ? mt_ptr(message.word) : NULL;
    if (!t || mt_header_kind(t[0]) != MT_TUPLE || !mt_header_words(t[0])) return false;
    if (t[1] == ref || (mt_header_words(t[0]) > 1 && t[2] == ref)) return true;
    return mt_tag(t[1]) == MT_CONS && mt_ptr(t[1])[0] == MT_WORD_OF(alias) && mt_ptr(t[1])[1] == ref;
}

mote_err mote_receive_ref(mote_self *self, int64_t timeout_ms, mote_ref ref, mote_term *message) {
    mote_err err = check_waits(self, timeout_ms);
    if (!err && !message) err = MOTE_EARG;
    if (err) return err;
    struct mt_proc *p = mt_self(self);
    uint64_t mark = p->mark == ref.word ? ref.word : 0;
    err = mt_receive_wanted(p, timeout_ms, mark, is_about, &ref.word);
    if (!err) message->word = p->current->root;
    return err;
}

struct wanted_by_pattern {
    const struct mt_pattern *pattern;
    const mote_arg *args;
};

static inline bool ask_pattern(void *context, mote_term message) {
    struct wanted_by_pattern *w = context;
    return mt_pattern_match_quick(w->pattern, message, w->args);
}

static __attribute__((noinline)) mote_err receive_first(mote_self *self, int64_t timeout_ms, mote_site *site, size_t count, const mote_arg *args) {
    const struct mt_pattern *pattern;
    mote_err err = mt_site_pattern(site, &pattern);
    return err ? err : mote_receive_site(self, timeout_ms, site, count, args);
}

mote_err mote_receive_site(mote_self *self, int64_t timeout_ms, mote_site *site, size_t count, const mote_arg *args) {
    struct wanted_by_pattern w = {mt_site_compiled(site), args};
    mote_err err = check_waits(self, timeout_ms);
    if (mt_unlikely(err)) return err;
    if (mt_unlikely(!w.pattern)) return receive_first(self, timeout_ms, site, count, args);
    if (mt_unlikely((err = mt_pattern_check_quick(w.pattern, count, args)))) return err;
    struct mt_proc *p = mt_self(self);
    uint64_t mark = count && p->mark && mt_pattern_pins(w.pattern, args, (mote_ref){p->mark}) ? p->mark : 0;
    return mt_receive_wanted(p, timeout_ms, mark, ask_pattern, &w);
}

/* --------------------------------------------------------------------------------------- timers, descriptors */

/* Where a timer goes: a name is kept, to be looked up when it fires. */
static mote_err timer_target(struct mt_proc *p, mote_term to, uint64_t *pid, uint64_t *alias, uint8_t *flags) {
    *alias = 0;
    *flags = MT_SIG_UNSENT;
    *pid = to.word;
    if (mt_likely(mt_tag(to.word) == MT_PID)) return MOTE_OK;
    if (mt_tag(to.word) != MT_ATOM) return mt_resolve(mt_runtime(p), to.word, pid, alias);
    if (mt_atom_counted(to.word)) mt_atom_hold(to.word);
    *flags |= MT_SIG_NAMED;
    return MOTE_OK;
}

static void drop_target(mote_term to) {
    if (mt_tag(to.word) == MT_ATOM && mt_atom_counted(to.word)) mt_atom_drop(to.word);
}

static mote_err start_timer(struct mt_proc *p, int64_t ms, mote_term to, uint64_t pid, struct mt_sig *sig, mote_ref *timer) {
    uint64_t ref;
    mote_err err = mt_alarm_start(p->task.sched, mt_deadline(ms), pid, sig, &ref);
    if (err) {
        mt_sig_free(mt_cache_of(p), sig);
        drop_target(to);
    }
    if (!err && timer) timer->word = ref;
    if ((p->task.budget -= COST_TIMER) <= 0) mt_turn_over(p);
    return err;
}

static mote_err check_timer(const mote_self *self, int64_t ms) {
    mote_err err = check_self(self);
    return !err && (ms < 0 || ms > TIME_MAX_MS) ? MOTE_EARG : err;
}

mote_err mote_send_after_site(mote_self *self, int64_t ms, mote_term to, mote_ref *timer, mote_site *site, size_t count,
                              const mote_arg *args) {
    struct mt_sig *sig;
    uint64_t pid, alias;
    uint8_t flags;
    mote_err err = check_timer(self, ms);
    if (err) return err;
    struct mt_proc *p = mt_self(self);
    if ((err = timer_target(p, to, &pid, &alias, &flags))) return err;
    if ((err = sig_of_site(p, site, count, args, alias != 0, &sig))) {
        drop_target(to);
        return paid(self, err);
    }
    sig->flags |= flags;
    mt_address(sig, alias);
    return start_timer(p, ms, to, pid, sig, timer);
}

mote_err (mote_exit_after)(mote_self *self, int64_t ms, mote_term to, mote_term reason, mote_ref *timer) {
    struct mt_sig *sig;
    uint64_t pid, alias;
    uint8_t flags;
    mote_err err = check_timer(self, ms);
    if (err || mt_tag(to.word) == MT_REF) return err ? err : MOTE_ETERM;
    struct mt_proc *p = mt_self(self);
    if ((err = timer_target(p, to, &pid, &alias, &flags))) return err;
    if ((err = exit_signal(p, reason, &sig))) {
        drop_target(to);
        return paid(self, err);
    }
    sig->flags |= flags;
    return start_timer(p, ms, to, pid, sig, timer);
}

static int64_t to_ms(uint64_t ns) { return (int64_t)((ns + 999999) / 1000000); }

mote_err mote_timer_cancel(mote_self *self, mote_ref timer, int64_t *left_ms) {
    uint64_t left_ns = 0;
    mote_err err = check_self(self);
    if (err || (err = mt_alarm_cancel(mt_self(self)->task.sched, timer.word, &left_ns))) return paid(self, err);
    if (left_ms) *left_ms = to_ms(left_ns);
    return MOTE_OK;
}

mote_err mote_timer_read(mote_self *self, mote_ref timer, int64_t *left_ms) {
    uint64_t left_ns = 0;
    mote_err err = check_self(self);
    if (!err && !left_ms) err = MOTE_EARG;
    if (!err && !(err = mt_alarm_read(mt_self(self)->task.sched, timer.word, &left_ns))) *left_ms = to_ms(left_ns);
    return paid(self, err);
}

mote_err mote_fd_wait(mote_self *self, int fd, int events, int64_t timeout_ms, int *ready) {
    mote_err err = check_waits(self, timeout_ms ? timeout_ms : -1); /* it waits for an event on its way, whatever the limit */
    return err ? err : mt_fd_wait(mt_self(self), fd, events, timeout_ms, ready);
}

mote_err mote_fd_arm(mote_self *self, int fd, int events, mote_ref *ref) {
    mote_err err = check_self(self);
    if (!err && (mt_self(self)->flags & MT_PF_ENDING)) err = MOTE_ECONTEXT;
    if (!err && !ref) err = MOTE_EARG;
    return paid(self, err ? err : mt_fd_arm(mt_self(self), fd, events, &ref->word));
}

mote_err mote_fd_disarm(mote_self *self, mote_ref ref) {
    mote_err err = check_self(self);
    return paid(self, err ? err : mt_fd_disarm(mt_self(self), ref.word));
}

/* ----------------------------------------------------------------------------------------------- inspection */

mote_err mote_process_info_get(mote_self *self, mote_pid pid, int64_t timeout_ms, mote_process_info *info) {
    mote_err err = check_self(self);
    if (err) return err;
    struct mt_proc *p = mt_self(self);
    if (pid.word != mt_proc_pid(p)) err = check_waits(self, timeout_ms);
    if (!err && !info) err = MOTE_EARG;
    return paid(self, err ? err : mt_info(p, pid.word, timeout_ms, info));
}

mote_err mote_process_list(mote_self *self, mote_pid *pids, size_t capacity, size_t *count) {
    mote_err err = check_self(self);
    if (!err && (!count || (capacity && !pids))) err = MOTE_EARG;
    return paid(self, err ? err : mt_list(mt_runtime(mt_self(self)), pids, capacity, count));
}

mote_err mote_runtime_info_get(mote_self *self, mote_runtime_info *info) {
    mote_err err = check_self(self);
    if (!err && !info) err = MOTE_EARG;
    if (!err) mt_runtime_figures(mt_runtime(mt_self(self)), info);
    return paid(self, err);
}

mote_err mote_scheduler_info_get(mote_self *self, unsigned index, mote_scheduler_info *info) {
    mote_err err = check_self(self);
    if (err || !info) return err ? err : MOTE_EARG;
    struct mt_cluster *c = &mt_runtime(mt_self(self))->cluster;
    if (index >= c->count) return MOTE_ERANGE;
    struct mt_sched *s = c->scheds[index];
    uint64_t now = mt_os_now_ns(), up = now - c->started_ns, since = atomic_load_explicit(&s->asleep_since_ns, memory_order_relaxed);
    uint64_t idle = atomic_load_explicit(&s->idle_ns, memory_order_relaxed) + (since && now > since ? now - since : 0);
    info->busy_ns = up > idle ? up - idle : 0;
    info->turns = atomic_load_explicit(&s->turns, memory_order_relaxed);
    info->steals = atomic_load_explicit(&s->steals, memory_order_relaxed);
    info->parks = atomic_load_explicit(&s->parks, memory_order_relaxed);
    return MOTE_OK;
}

/* ---------------------------------------------------------------------------- links, monitors, names, aliases */

mote_err mote_flag_set(mote_self *self, mote_flag flag, int64_t value, int64_t *old) {
    mote_err err = check_self(self);
    if (err) return err;
    struct mt_proc *p = mt_self(self);
    if (flag == MOTE_TRAP_EXIT && (value == 0 || value == 1)) {
        if (old) *old = (p->flags & MT_PF_TRAPS) != 0;
        p->flags = value ? p->flags | MT_PF_TRAPS : p->flags & ~(uint32_t)MT_PF_TRAPS;
        return MOTE_OK;
    }
    if (flag == MOTE_PRIORITY && value >= MOTE_NORMAL && value <= MOTE_LOW) {
        if (old) *old = p->task.priority;
        p->task.priority = (uint8_t)value;
        if (value != MOTE_NORMAL) atomic_store_explicit(&p->task.sched->cluster->priorities, true, memory_order_relaxed);
        return MOTE_OK;
    }
    if (flag == MOTE_REACH && value >= MOTE_REACH_ALL && value <= MOTE_REACH_NONE) {
        int before = (int)mt_reach_set(p, (mote_reach)value);
        if (old) *old = before;
        return MOTE_OK;
    }
    return MOTE_EARG;
}

/* A pid that a user gives: *word is what relations and signals know it by. */
static mote_err check_pid(mote_self *self, mote_pid pid, uint64_t *word) {
    mote_err err = check_self(self);
    bool own;
    *word = pid.word;
    if (err || mt_likely(mt_tag(pid.word) == MT_PID)) return err;
    if (mote_term_type((mote_term){pid.word}) != MOTE_PID) return MOTE_ETERM;
    *word = mt_far_word(mt_runtime(mt_self(self)), pid.word, &own);
    return *word || own ? MOTE_OK : MOTE_ENOMEM;
}

/* One of this node's. */
static mote_err check_own_pid(mote_self *self, mote_pid pid) {
    mote_err err = check_self(self);
    return !err && mt_tag(pid.word) != MT_PID ? MOTE_ETERM : err;
}

mote_err mote_link(mote_self *self, mote_pid pid) {
    uint64_t word;
    mote_err err = check_pid(self, pid, &word);
    if (!err) err = mt_link(mt_self(self), word);
    return paid(self, err);
}

mote_err mote_unlink(mote_self *self, mote_pid pid) {
    uint64_t word;
    mote_err err = check_pid(self, pid, &word);
    if (!err) err = mt_unlink(mt_self(self), word);
    return paid(self, err);
}

mote_err mote_spawn_link(mote_self *self, mote_body body, mote_term arg, mote_pid *pid) {
    mote_spawn_options options = {.body = body, .link = true};
    mote_err err = check_self(self);
    return err ? err : mt_spawn(mt_self(self), &options, arg, pid);
}

mote_err mote_spawn_monitor(mote_self *self, mote_body body, mote_term arg, mote_pid *pid, mote_ref *ref) {
    mote_spawn_options options = {.body = body, .monitor = ref};
    mote_err err = check_self(self);
    if (!err && !ref) err = MOTE_EARG;
    return err ? err : mt_spawn(mt_self(self), &options, arg, pid);
}

mote_err (mote_monitor_opt)(mote_self *self, mote_term process, const mote_monitor_options *options, mote_ref *ref) {
    static const mote_monitor_options none;
    uint64_t pid = 0, name = 0;
    mote_err err = check_self(self);
    if (!err && (!ref || (options && options->alias > MOTE_ALIAS_REPLY_DEMONITOR))) err = MOTE_EARG;
    if (err) return err;
    struct mt_proc *p = mt_self(self);
    err = process_of(p, process, &pid);
    if (err == MOTE_ENAME) pid = 0; /* the DOWN says so */
    else if (err) return err;
    if (mt_tag(process.word) == MT_ATOM) name = process.word;
    if (mt_tag(process.word) == MT_BOXED && !mt_is_remote(pid)) name = mt_ptr(process.word)[1];
    return paid(self, mt_monitor(p, pid, name, options ? options : &none, &ref->word));
}

mote_err (mote_monitor)(mote_self *self, mote_term process, mote_ref *ref) { return (mote_monitor_opt)(self, process, NULL, ref); }

mote_err mote_demonitor(mote_self *self, mote_ref ref, bool flush, bool *active) {
    bool was;
    mote_err err = check_self(self);
    if (!err && !(err = mt_demonitor(mt_self(self), ref.word, flush, &was)) && active) *active = was;
    return paid(self, err);
}

mote_err mote_alias(mote_self *self, unsigned flags, mote_ref *alias) {
    mote_err err = check_self(self);
    if (!err && (!alias || flags > (MOTE_ALIAS_REPLY | MOTE_ALIAS_PRIORITY))) err = MOTE_EARG;
    return paid(self, err ? err : mt_alias(mt_self(self), flags, &alias->word));
}

mote_err mote_unalias(mote_self *self, mote_ref alias) {
    mote_err err = check_self(self);
    return paid(self, err ? err : mt_unalias(mt_self(self), alias.word));
}

mote_err mote_is_alive(mote_self *self, mote_pid pid, bool *alive) {
    mote_process_info info;
    mote_err err = check_self(self);
    if (!err && !alive) err = MOTE_EARG;
    if (err) return err;
    if (pid.word == mt_proc_pid(mt_self(self))) {
        *alive = true;
        return paid(self, MOTE_OK);
    }
    struct mt_proc *p = mt_table_find(mt_runtime(mt_self(self)), pid.word);
    uint64_t low = p ? atomic_load_explicit(&p->inbox.low, memory_order_acquire) : 0;
    bool same = p && atomic_load_explicit(&p->inbox.high, memory_order_acquire) == mt_pid_serial(pid.word);
    /* Gone; or it sleeps with nothing to look at: then it has seen all that was sent to it. */
    if (mt_is_far(mt_runtime(mt_self(self)), pid.word)) same = true; /* it has to be asked */
    if (!same || (low & MT_IN_CLOSED) || (low & ~(uint64_t)MT_IN_BOUNDED) == MT_IN_WAITING) {
        *alive = same && !(low & MT_IN_CLOSED);
        return paid(self, MOTE_OK);
    }
    err = mote_process_info_get(self, pid, -1, &info);
    if (err && err != MOTE_ENOPROC) return err;
    *alive = !err;
    return MOTE_OK;
}

mote_err mote_hibernate(mote_self *self, mote_body body, mote_term arg) {
    struct mt_sig *sig;
    mote_err err = check_self(self);
    if (err) return err;
    struct mt_proc *p = mt_self(self);
    if (mt_task_kind(&p->task) != MT_STRAIGHT || (p->flags & MT_PF_ENDING)) return MOTE_ECONTEXT;
    if (!body) return MOTE_EARG;
    if ((err = mt_sig_of_term(mt_cache_of(p), arg, 0, p->current, &sig))) return err;
    mt_drop_current(p);
    mt_free_arg(p);
    sig->next = NULL;
    p->arg_sig = sig;
    p->arg = sig->root;
    p->code.body = body;
    mt_hibernate(p);
}

mote_err (mote_register)(mote_self *self, mote_term name, mote_pid pid) {
    mote_err err = check_self(self);
    return paid(self, err ? err : mt_register(mt_runtime(mt_self(self)), name.word, pid.word, false));
}

mote_err (mote_register_here)(mote_self *self, mote_term name, mote_pid pid) {
    mote_err err = check_self(self);
    return paid(self, err ? err : mt_register(mt_runtime(mt_self(self)), name.word, pid.word, true));
}

mote_err (mote_unregister)(mote_self *self, mote_term name) {
    mote_err err = check_self(self);
    return paid(self, err ? err : mt_unregister(mt_runtime(mt_self(self)), name.word));
}

mote_err (mote_whereis)(mote_self *self, mote_term name, mote_pid *pid) {
    mote_err err = check_self(self);
    if (!err && !pid) err = MOTE_EARG;
    if (err) return err;
    uint64_t found = mt_whereis(mt_runtime(mt_self(self)), name.word);
    if (found) pid->word = found;
    return paid(self, found ? MOTE_OK : MOTE_ENAME);
}

mote_err mote_registered(mote_self *self, mote_atom *names, size_t capacity, size_t *count) {
    mote_err err = check_self(self);
    if (!err && (!count || (capacity && !names))) err = MOTE_EARG;
    return paid(self, err ? err : mt_registered(mt_runtime(mt_self(self)), names, capacity, count));
}

mote_err mote_group_leader(mote_self *self, mote_pid *leader) {
    mote_err err = check_self(self);
    if (!err && !leader) err = MOTE_EARG;
    if (err) return err;
    leader->word = mt_leader(mt_self(self));
    return MOTE_OK;
}

mote_err mote_group_leader_set(mote_self *self, mote_pid leader, mote_pid pid) {
    mote_err err = check_own_pid(self, pid);
    if (!err && mt_tag(leader.word) != MT_PID) err = MOTE_ETERM;
    if (err) return err;
    struct mt_proc *p = mt_self(self);
    struct mt_sig *sig = mt_sig_new(mt_cache_of(p), MT_SIG_GROUP_LEADER, 0);
    if (!sig) return paid(self, MOTE_ENOMEM);
    sig->root = leader.word;
    mt_deliver(p->task.sched, pid.word, sig);
    return paid(self, MOTE_OK);
}

mote_err mote_deaths_to(mote_self *self, mote_pid subscriber) {
    mote_err err = check_own_pid(self, subscriber);
    if (!err) atomic_store_explicit(&mt_runtime(mt_self(self))->deaths_to, subscriber.word, memory_order_relaxed);
    return err;
}

/* -------------------------------------------------------------------------------------------------- hosting */

mote_err mote_host_attach(mote_runtime *runtime, mote_self **self) {
    mote_err err = mote_attach(runtime, self);
    if (!err) mt_set_hosted(mt_self(*self));
    return err;
}

mote_err mote_host_wait(mote_self *self, int64_t timeout_ms) {
    mote_err err = check_waits(self, timeout_ms);
    if (err) return err;
    struct mt_proc *p = mt_self(self);
    if (mt_task_kind(&p->task) == MT_HANDLER || !(p->flags & MT_PF_HOSTED)) return MOTE_ECONTEXT;
    uint64_t deadline = mt_likely(timeout_ms < 0) ? MT_NEVER : mt_deadline(timeout_ms);
    if (mt_unlikely(p->suspensions) && mt_suspended(p) && (err = hosted_yield(p))) return err;
    for (;;) { /* other signals and earlier alarms wake it too; a message may have been fetched by a call that was no receive */
        if (mt_unlikely(!mt_inbox_empty(p))) mt_fetch(p);
        if (mt_unlikely(p->flags & MT_PF_EXITING)) return MOTE_EEXIT;
        if (p->flags & MT_PF_NEWS) break;
        if (mt_unlikely((err = mt_wait_inline(p, deadline, false)))) return err;
    }
    p->flags &= ~(uint32_t)MT_PF_NEWS;
    return MOTE_OK;
}

mote_err mote_host_wake_after(mote_self *self, int64_t ms) {
    mote_err err = check_self(self);
    if (!err && (mt_task_kind(&mt_self(self)->task) != MT_HANDLER || !(mt_self(self)->flags & MT_PF_HOSTED))) err = MOTE_ECONTEXT;
    if (!err && (ms < 0 || ms > TIME_MAX_MS)) err = MOTE_EARG;
    return err ? err : mt_ensure_alarm(mt_self(self), mt_deadline(ms));
}

/* A host's question is the core's request. */
static struct mt_info_request *request_of(mote_host_question *question) { return (struct mt_info_request *)(void *)question; }

mote_err mote_host_ask(mote_self *self, mote_pid pid, mote_host_question **question) {
    struct mt_info_request *request;
    mote_err err = check_self(self);
    if (!err && (mt_self(self)->task.kind == MT_STRAIGHT || !(mt_self(self)->flags & MT_PF_HOSTED))) err = MOTE_ECONTEXT;
    if (!err && !question) err = MOTE_EARG;
    if (!err && !(err = mt_question_new(mt_self(self), pid.word, &request))) *question = (mote_host_question *)(void *)request;
    return paid(self, err);
}

mote_err mote_host_answer(mote_host_question *question, mote_process_info *info) {
    return question && info ? mt_question_answer(request_of(question), info) : MOTE_EARG;
}

void mote_host_question_drop(mote_host_question *question) {
    if (question) mt_question_drop(request_of(question));
}

/* A message that is one object, with the hold that it takes over, to an alias if there is room for one. NULL: memory. */
static inline struct mt_sig *sig_of_object(struct mt_cache *cache, const mote_host_kind *kind, void *object, uint64_t alias) {
    struct mt_sig *sig = mt_sig_new(cache, MT_SIG_MESSAGE, MT_HOST_WORDS + (alias != 0));
    if (mt_unlikely(!sig)) return NULL;
    sig->flags = MT_SIG_COUNTED;
    sig->root = mt_host_put(sig->heap, kind, object).word;
    mt_address(sig, alias);
    return sig;
}

static __attribute__((noinline)) mote_err not_sent(mote_self *self, const mote_host_kind *kind, void *object, mote_err err) {
    kind->drop(object);
    return paid(self, err);
}

/* An object that is sent elsewhere than to a pid. */
static __attribute__((noinline)) mote_err host_send_any(mote_self *self, mote_term to, const mote_host_kind *kind, void *object) {
    uint64_t pid, alias;
    struct mt_proc *p = mt_self(self);
    struct mt_sig *sig;
    mote_err err = mt_resolve(mt_runtime(p), to.word, &pid, &alias);
    if (err) return not_sent(self, kind, object, err);
    if (!(sig = sig_of_object(mt_cache_of(p), kind, object, alias))) return not_sent(self, kind, object, MOTE_ENOMEM);
    return mt_send(p, pid, sig);
}

mote_err mote_host_send(mote_self *self, mote_term to, const mote_host_kind *kind, void *object) {
    mote_err err = check_self(self);
    if (mt_unlikely(err)) return not_sent(self, kind, object, err);
    if (mt_unlikely(mt_tag(to.word) != MT_PID)) return host_send_any(self, to, kind, object);
    struct mt_proc *p = mt_self(self);
    struct mt_sig *sig = sig_of_object(mt_cache_of(p), kind, object, 0);
    return mt_likely(sig != NULL) ? mt_send_inline(p, to.word, sig) : not_sent(self, kind, object, MOTE_ENOMEM);
}

/* Whether a message is an object of this kind as a whole. Then it has its hold, and all else that may be in it is an alias. */
static inline bool is_object(const struct mt_sig *sig, const mote_host_kind *kind) {
    return sig->root == mt_boxed(sig->heap) && sig->heap[0] == MT_HOST_HEADER && mt_host_kind(sig->heap) == kind;
}

static inline void *object_in(const struct mt_sig *sig) { return (void *)(uintptr_t)sig->heap[1]; }
/* Frees a message whose object has been taken out. */
static inline void free_empty(struct mt_proc *p, struct mt_sig *sig) { mt_cache_free(mt_cache_of(p), sig, sizeof *sig + sig->words * 8u); }

void *mote_host_take(mote_self *self, const mote_host_kind *kind) {
    struct mt_proc *p = mt_self(self);
    struct mt_sig *sig = p ? p->current : NULL;
    if (!sig || !is_object(sig, kind)) return NULL;
    void *object = object_in(sig);
    p->current = NULL;
    mt_drop_scratch(p);
    free_empty(p, sig);
    return object;
}

/* Whatever comes next. */
static __attribute__((noinline)) mote_err next_any(struct mt_proc *p, const mote_host_kind *kind, void **object) {
    mote_term message;
    mote_err err = mt_receive(p, 0, &message);
    if (!err) *object = mote_host_take(mt_as_self(p), kind);
    return err;
}

mote_err mote_host_next(mote_self *self, const mote_host_kind *kind, void **object) {
    mote_err err = check_waits(self, 0);
    if (mt_unlikely(err)) return err;
    if (mt_unlikely(!object)) return MOTE_EARG;
    struct mt_proc *p = mt_self(self);
    struct mt_sig *sig = p->queue;
    bool plain = !p->current && !p->scratch && !(p->flags & (MT_PF_EXITING | MT_PF_BOUNDED)) && p->task.budget > 1; /* nothing else is to be done */
    bool none = !sig && mt_inbox_empty(p);
    if (mt_unlikely(!plain || !(none || (sig && is_object(sig, kind))))) return next_any(p, kind, object);
    p->task.budget--;
    if (none) return mt_seen_all(p);
    mt_queue_unlink(p, &p->queue);
    *object = object_in(sig);
    free_empty(p, sig);
    return MOTE_OK;
}

/* The pid behind a name or an alias; 0: nobody's. */
static __attribute__((noinline)) uint64_t pid_behind(mote_runtime *rt, uint64_t to) {
    uint64_t pid, alias;
    return mt_resolve(rt, to, &pid, &alias) ? 0 : pid;
}

bool mote_host_takes(mote_self *self, mote_term to) {
    if (mt_unlikely(!self)) return false;
    uint64_t pid = mt_likely(mt_tag(to.word) == MT_PID) ? to.word : pid_behind(mt_runtime(mt_self(self)), to.word);
    struct mt_proc *p = mt_table_find(mt_runtime(mt_self(self)), pid);
    if (!p || !(atomic_load_explicit(&p->naming, memory_order_acquire) & MT_IS_HOSTED)) return false;
    return !(atomic_load_explicit(&p->inbox.low, memory_order_acquire) & MT_IN_CLOSED) && mt_serial(p) == mt_pid_serial(pid);
}

mote_atom mote_host_node(const mote_runtime *runtime, uint32_t *creation, const mote_ref_key **key) {
    const struct mt_net *net = runtime ? mt_far_net_of(runtime) : NULL;
    if (creation) *creation = net ? net->creation : 0;
    if (key) *key = net ? &net->ref_key : NULL;
    return (mote_atom){net ? net->name : 0};
}

bool mote_host_is_far(mote_self *self, mote_term to) {
    uint64_t pid, alias;
    return self && !mt_resolve(mt_runtime(mt_self(self)), to.word, &pid, &alias) && mt_is_far(mt_runtime(mt_self(self)), pid);
}

mote_err mote_host_in_the_way(mote_self *self, mote_term to, unsigned options) {
    uint64_t pid, alias;
    mote_err err = check_self(self);
    if (err || options & ~(unsigned)(MOTE_SEND_NOSUSPEND | MOTE_SEND_NOCONNECT)) return err ? err : MOTE_EARG;
    err = mt_resolve(mt_runtime(mt_self(self)), to.word, &pid, &alias);
    return err ? err : is_in_the_way(mt_self(self), pid, options);
}

mote_err mote_parcel_begin(mote_self *self, mote_term to, mote_parcel *parcel) {
    mote_err err = check_self(self);
    if (err || !parcel) return err ? err : MOTE_EARG;
    struct mt_proc *p = mt_self(self);
    *parcel = (mote_parcel){.self = self};
    if ((err = mt_resolve(mt_runtime(p), to.word, &parcel->pid, &parcel->alias))) return paid(self, err);
    parcel->form = mt_far_form(mt_runtime(p), parcel->pid);
    return mt_is_far(mt_runtime(p), parcel->pid) ? MOTE_OK : paid(self, MOTE_ENOPROC);
}

size_t mote_parcel_blob(mote_parcel *parcel, const void *data, size_t size, uint8_t *handle) {
    return mt_far_load(mt_runtime(mt_self(parcel->self)), parcel, data, size, handle);
}

bool mote_parcel_leave(mote_parcel *parcel, size_t at, const void *data, size_t size, void (*release)(void *data, void *context), void *context) {
    return mt_far_leave(parcel, at, (mote_bytes){data, size}, release, context);
}

void mote_parcel_drop(mote_parcel *parcel) { mt_far_unload(mt_runtime(mt_self(parcel->self)), parcel, false); }

void mote_host_send_encoded(mote_parcel *parcel, const void *term, size_t size) { mt_send_encoded(mt_self(parcel->self), parcel, term, size); }

mote_err mote_host_nudge(mote_self *self) {
    if (!self) return MOTE_ESELF;
    struct mt_proc *p = mt_self(self);
    if (p->task.kind != MT_HANDLER || !(p->flags & MT_PF_HOSTED)) return MOTE_ECONTEXT;
    for (uint64_t low; (low = atomic_load_explicit(&p->inbox.low, memory_order_relaxed)) & MT_IN_WAITING;)
        if (mt_pair_cas_low(&p->inbox, low, low & ~(uint64_t)MT_IN_WAITING)) mt_sched_push(p->task.sched, &p->task);
    return MOTE_OK;
}

mote_err mote_host_watch(mote_self *self, int fd) {
    mote_err err = check_self(self);
    if (err) return err;
    struct mt_proc *p = mt_self(self);
    if (p->task.kind != MT_THREAD || (p->flags & MT_PF_ENDING)) return MOTE_ECONTEXT;
    return fd < 0 ? MOTE_EARG : mt_watch(p, fd);
}

mote_err mote_host_unwatch(mote_self *self) {
    if (!self) return MOTE_ESELF;
    if (mt_self(self)->task.kind != MT_THREAD) return MOTE_ECONTEXT;
    mt_unwatch(mt_self(self));
    return MOTE_OK;
}

mote_err mote_host_receive(mote_self *self, mote_ref since, bool (*wanted)(mote_term message, void *context), void *context, mote_term *message) {
    mote_err err = check_waits(self, 0);
    if (!err && (!wanted || !message)) err = MOTE_EARG;
    if (err) return err;
    struct mt_proc *p = mt_self(self);
    struct wanted_by_user w = {wanted, context};
    err = mt_receive_wanted(p, 0, p->mark == since.word ? since.word : 0, ask_user, &w);
    if (!err) message->word = p->current->root;
    return err;
}

bool mote_host_exit_reason(mote_self *self, mote_term *reason) {
    struct mt_proc *p = mt_self(self);
    if (!p || !(p->flags & MT_PF_EXITING)) return false;
    if (reason) reason->word = p->arg;
    return true;
}

bool mote_host_look(mote_self *self) {
    struct mt_proc *p = mt_self(self);
    if (!p) return false;
    while (!(p->flags & MT_PF_EXITING) && mt_fetch(p)) continue;
    return p->flags & MT_PF_EXITING;
}

bool mote_host_ends(mote_self *self) { return self && mt_will_end(mt_self(self)); }

void mote_host_name(mote_self *self, char *name, size_t size) {
    struct mt_proc *p = mt_self(self);
    uint64_t registered = p ? mt_name_of(mt_runtime(p), mt_proc_pid(p)) : 0;
    size_t length = 0;
    if (!size) return;
    const char *text = registered ? mote_atom_name((mote_atom){registered}, &length) : p && p->more ? p->more->name : "";
    snprintf(name, size, "%s", text);
}

uint64_t mote_host_turn(mote_runtime *runtime, unsigned scheduler) {
    if (!runtime || scheduler >= runtime->cluster.count) return 0;
    return atomic_load_explicit(&runtime->cluster.scheds[scheduler]->turns, memory_order_relaxed);
}

void mote_host_told(mote_self *self) {
    if (self) mt_self(self)->flags |= MT_PF_TOLD;
}

bool mote_host_turn_over(mote_self *self) {
    struct mt_proc *p = mt_self(self);
    if (!p || p->task.budget <= 0) return p != NULL;
    if (mt_likely(!atomic_load_explicit(&p->task.sched->stuck, memory_order_relaxed))) return false;
    atomic_store_explicit(&p->task.sched->stuck, false, memory_order_relaxed); /* it gives way now */
    return true;
}

void *mote_host_context(mote_self *self) {
    const mote_host_loop *host = self ? mt_self(self)->task.sched->cluster->host : NULL;
    return host ? host->context : NULL;
}

void mote_host_message_drop(mote_self *self) {
    if (self) mt_drop_current(mt_self(self));
}

size_t mote_host_stack_size(mote_self *self) {
    struct mt_proc *p = mt_self(self);
    return p && mt_task_kind(&p->task) == MT_STRAIGHT ? mt_task_stack_size(&p->task) - p->task.sched->cluster->stack_head : 0;
}

void *mote_host_stack_head(mote_self *self) {
    struct mt_proc *p = mt_self(self);
    size_t head = p ? p->task.sched->cluster->stack_head : 0;
    return head && mt_task_kind(&p->task) == MT_STRAIGHT ? p->task.stack - head : NULL;
}
