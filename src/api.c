/* SPDX-License-Identifier: Apache-2.0
 * The public functions of processes and runtimes: arguments are checked here, the work is done below. What they promise stands in mote.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proc/receive.h"
#include "term/pattern.h"

#define TIME_MAX_MS ((int64_t)1 << 47)
#define MAIN_STACK ((size_t)1 << 20)
#define EX_SOFTWARE 70
#define COST_TIMER 5 /* reductions */

/* NULL, or a thread whose runtime has stopped. */
static inline mote_err check_self(const mote_self *self) {
    if (mt_unlikely(!self)) return MOTE_ESELF;
    const struct mt_proc *p = (const struct mt_proc *)(const void *)self;
    if (mt_likely(p->task.kind != MT_THREAD)) return MOTE_OK;
    const mote_runtime *rt = (const mote_runtime *)(const void *)p->task.sched->cluster;
    return atomic_load_explicit(&rt->stopped, memory_order_acquire) ? MOTE_ESTOPPED : MOTE_OK;
}

/* The same, and that it may wait here. */
static inline mote_err check_waits(const mote_self *self, int64_t timeout_ms) {
    mote_err err = check_self(self);
    if (mt_unlikely(err)) return err;
    const struct mt_proc *p = (const struct mt_proc *)(const void *)self;
    if (mt_unlikely(p->task.kind == MT_HANDLER || (p->flags & MT_PF_ENDING))) return MOTE_ECONTEXT;
    return mt_unlikely(timeout_ms < -1 || timeout_ms > TIME_MAX_MS) ? MOTE_EARG : MOTE_OK;
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
    if (!f->returned) {
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
    return mt_self(self)->task.kind == MT_THREAD ? mt_detach(mt_self(self)) : MOTE_ECONTEXT;
}

mote_runtime *mote_runtime_of(mote_self *self) {
    return self ? mt_runtime(mt_self(self)) : NULL;
}

/* ------------------------------------------------------------------------------------------------ processes */

mote_err mote_spawn_opt(mote_self *self, const mote_spawn_options *options, mote_term arg, mote_pid *pid) {
    mote_err err = check_self(self);
    if (err) return err;
    return options ? mt_spawn(mt_self(self), options, arg, pid) : MOTE_EARG;
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
    struct mt_sig *holder = NULL;
    if (!p) misuse("called outside a process (self is NULL)");
    if (p->task.kind == MT_THREAD) misuse("called in an attached thread; use mote_detach()");
    if (p->flags & MT_PF_ENDING) misuse("called by a clean-up or stop callback of a process that ends already");
    mote_err err = mt_sig_of_term(mt_cache_of(p), MT_SIG_EXIT, reason, p->current, &holder);
    if (err) mt_end(p, err == MOTE_ETERM ? MT_WORD_OF(badarg) : MT_WORD_OF(system_limit), NULL);
    mt_end(p, holder->root, holder);
}

mote_err mote_exit_send(mote_self *self, mote_pid pid, mote_term reason) {
    struct mt_sig *sig;
    mote_err err = check_self(self);
    if (err) return err;
    struct mt_proc *p = mt_self(self);
    if ((err = mt_sig_of_term(mt_cache_of(p), MT_SIG_EXIT, reason, p->current, &sig))) return err;
    mt_deliver(p->task.sched, pid.word, sig);
    return MOTE_OK;
}

mote_err mote_yield(mote_self *self) {
    mote_err err = check_self(self);
    if (!err) mt_turn_over(mt_self(self));
    return err;
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
    mote_err err = check_waits(self, 0);
    if (!err && !call) err = MOTE_EARG;
    return err ? err : mt_blocking(mt_self(self), call, context);
}

mote_err mote_blocking_start(mote_self *self, void (*call)(void *context), void *context, mote_ref *ref) {
    mote_err err = check_self(self);
    if (!err && (!call || !ref)) err = MOTE_EARG;
    return err ? err : mt_blocking_start(mt_self(self), call, context, &ref->word);
}

/* ------------------------------------------------------------------------------------------------- messages */

mote_err mote_send_term(mote_self *self, mote_pid to, mote_term message) {
    struct mt_sig *sig;
    mote_err err = check_self(self);
    if (mt_unlikely(err)) return err;
    struct mt_proc *p = mt_self(self);
    if (mt_unlikely((err = mt_sig_of_term(mt_cache_of(p), MT_SIG_MESSAGE, message, p->current, &sig)))) return err;
    return mt_send(p, to.word, sig);
}

/* The signal that a site builds. */
static inline mote_err sig_of_site(struct mt_proc *p, mote_site *site, size_t count, const mote_arg *args, struct mt_sig **sig) {
    const struct mt_pattern *pattern;
    mote_err err = mt_site_pattern_quick(site, &pattern);
    if (mt_unlikely(err)) return err;
    if (!pattern->plain_word || count) return mt_sig_of_pattern(mt_cache_of(p), pattern, count, args, sig);
    *sig = mt_sig_new(mt_cache_of(p), MT_SIG_MESSAGE, 0);
    if (mt_unlikely(!*sig)) return MOTE_ENOMEM;
    (*sig)->root = pattern->ops->word;
    return MOTE_OK;
}

mote_err mote_send_site(mote_self *self, mote_pid to, mote_site *site, size_t count, const mote_arg *args) {
    struct mt_sig *sig;
    mote_err err = check_self(self);
    if (mt_unlikely(err || (err = sig_of_site(mt_self(self), site, count, args, &sig)))) return err;
    return mt_send(mt_self(self), to.word, sig);
}

mote_err mote_forward(mote_self *self, mote_pid to) {
    mote_err err = check_self(self);
    if (err) return err;
    struct mt_proc *p = mt_self(self);
    struct mt_sig *sig = p->current;
    if (!sig) return MOTE_EARG;
    sig->flags &= (uint8_t)~MT_SIG_UNSENT; /* it counts as a message of this process now */
    p->current = NULL;
    return mt_send(p, to.word, sig);
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

struct wanted_by_pattern {
    const struct mt_pattern *pattern;
    const mote_arg *args;
};

static inline bool ask_pattern(void *context, mote_term message) {
    struct wanted_by_pattern *w = context;
    return mt_pattern_match(w->pattern, message, w->args);
}

mote_err mote_receive_site(mote_self *self, int64_t timeout_ms, mote_site *site, size_t count, const mote_arg *args) {
    struct wanted_by_pattern w = {NULL, args};
    mote_err err = check_waits(self, timeout_ms);
    if (mt_unlikely(err || (err = mt_site_pattern_quick(site, &w.pattern)) || (err = mt_pattern_check(w.pattern, count, args)))) return err;
    struct mt_proc *p = mt_self(self);
    uint64_t mark = count && p->mark && mt_pattern_pins(w.pattern, args, (mote_ref){p->mark}) ? p->mark : 0;
    return mt_receive_wanted(p, timeout_ms, mark, ask_pattern, &w);
}

/* --------------------------------------------------------------------------------------- timers, descriptors */

static mote_err start_timer(struct mt_proc *p, int64_t ms, mote_pid to, struct mt_sig *sig, mote_ref *timer) {
    uint64_t ref;
    sig->flags |= MT_SIG_UNSENT;
    mote_err err = mt_alarm_start(p->task.sched, mt_deadline(ms), to.word, sig, &ref);
    if (err) mt_sig_free(mt_cache_of(p), sig);
    if (!err && timer) timer->word = ref;
    if ((p->task.budget -= COST_TIMER) <= 0) mt_turn_over(p);
    return err;
}

static mote_err check_timer(const mote_self *self, int64_t ms) {
    mote_err err = check_self(self);
    return !err && (ms < 0 || ms > TIME_MAX_MS) ? MOTE_EARG : err;
}

mote_err mote_send_after_site(mote_self *self, int64_t ms, mote_pid to, mote_ref *timer, mote_site *site, size_t count,
                              const mote_arg *args) {
    struct mt_sig *sig;
    mote_err err = check_timer(self, ms);
    if (err || (err = sig_of_site(mt_self(self), site, count, args, &sig))) return err;
    return start_timer(mt_self(self), ms, to, sig, timer);
}

mote_err mote_exit_after(mote_self *self, int64_t ms, mote_pid pid, mote_term reason, mote_ref *timer) {
    struct mt_sig *sig;
    mote_err err = check_timer(self, ms);
    if (err) return err;
    struct mt_proc *p = mt_self(self);
    if ((err = mt_sig_of_term(mt_cache_of(p), MT_SIG_EXIT, reason, p->current, &sig))) return err;
    return start_timer(p, ms, pid, sig, timer);
}

static int64_t to_ms(uint64_t ns) { return (int64_t)((ns + 999999) / 1000000); }

mote_err mote_timer_cancel(mote_self *self, mote_ref timer, int64_t *left_ms) {
    uint64_t left_ns = 0;
    mote_err err = check_self(self);
    if (err || (err = mt_alarm_cancel(mt_self(self)->task.sched, timer.word, &left_ns))) return err;
    if (left_ms) *left_ms = to_ms(left_ns);
    return MOTE_OK;
}

mote_err mote_timer_read(mote_self *self, mote_ref timer, int64_t *left_ms) {
    uint64_t left_ns = 0;
    mote_err err = check_self(self);
    if (!err && !left_ms) err = MOTE_EARG;
    if (err || (err = mt_alarm_read(mt_self(self)->task.sched, timer.word, &left_ns))) return err;
    *left_ms = to_ms(left_ns);
    return MOTE_OK;
}

mote_err mote_fd_wait(mote_self *self, int fd, int events, int64_t timeout_ms, int *ready) {
    mote_err err = check_waits(self, timeout_ms);
    return err ? err : mt_fd_wait(mt_self(self), fd, events, timeout_ms, ready);
}

mote_err mote_fd_arm(mote_self *self, int fd, int events, mote_ref *ref) {
    mote_err err = check_self(self);
    if (!err && (mt_self(self)->flags & MT_PF_ENDING)) err = MOTE_ECONTEXT;
    if (!err && !ref) err = MOTE_EARG;
    return err ? err : mt_fd_arm(mt_self(self), fd, events, &ref->word);
}

mote_err mote_fd_disarm(mote_self *self, mote_ref ref) {
    mote_err err = check_self(self);
    return err ? err : mt_fd_disarm(mt_self(self), ref.word);
}

/* ----------------------------------------------------------------------------------------------- inspection */

mote_err mote_process_info_get(mote_self *self, mote_pid pid, int64_t timeout_ms, mote_process_info *info) {
    mote_err err = check_self(self);
    if (err) return err;
    struct mt_proc *p = mt_self(self);
    if (pid.word != mt_proc_pid(p)) err = check_waits(self, timeout_ms);
    if (!err && !info) err = MOTE_EARG;
    return err ? err : mt_info(p, pid.word, timeout_ms, info);
}

mote_err mote_process_list(mote_self *self, mote_pid *pids, size_t capacity, size_t *count) {
    mote_err err = check_self(self);
    if (!err && (!count || (capacity && !pids))) err = MOTE_EARG;
    return err ? err : mt_list(mt_runtime(mt_self(self)), pids, capacity, count);
}

mote_err mote_runtime_info_get(mote_self *self, mote_runtime_info *info) {
    mote_err err = check_self(self);
    if (!err && !info) err = MOTE_EARG;
    if (!err) mt_runtime_figures(mt_runtime(mt_self(self)), info);
    return err;
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
