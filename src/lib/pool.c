/* SPDX-License-Identifier: Apache-2.0
 * Pools: one process that knows which workers are idle and who waits, and its callers.
 *
 * W1 nobody waits while a worker is idle. W2 a worker that is not idle has a caller: of a job (its reference names the reply), or one who
 *    holds it and is watched. W3 a function's address reaches a worker only in a seal. */
#include <mote/external.h>
#include <mote/pool.h>
#include <string.h>

#include "lib/ask.h"
#include "lib/index.h"
#include "lib/store.h"

#define WORKERS 4
#define QUEUE_MAX 1024
#define INTENSITY 10
#define PERIOD_S 5
#define STOP_MS 5000

struct worker {
    struct mt_index_node node; /* under its pid */
    struct worker *next;       /* idle: the next one */
    mote_pid pid;
    bool idle;
    bool held;     /* checked out */
    mote_pid caller;
    mote_ref ref;     /* of the caller's request */
    mote_ref monitor; /* of its holder */
};

struct waiting {
    struct waiting *before, *after;
    struct mt_index_node node; /* under its reference */
    mote_pid caller;
    mote_ref ref;
    struct mt_stored job; /* {job, From, Function, Arg}; nothing: it wants a worker */
};

struct plan {
    mote_pool_options options; /* but name and arg */
    mote_pid parent;
};

struct pool {
    mote_self *self;
    struct plan plan;
    mote_term arg; /* of the workers */
    struct mt_index workers, queue;
    struct worker *idle;
    struct waiting *first, *last;
    struct mt_window window;
    uint64_t restarts;
    size_t missing; /* workers that could not be started yet */
    mote_arena *arena;
};

static bool runs_functions(const struct pool *p) {
    const mote_child_spec *w = &p->plan.options.worker;
    return !w->start && !w->body && !w->handler;
}

/* ------------------------------------------------------------------------------------------- the built-in worker */

static void work(mote_self *self, mote_term arg) {
    mote_pid pool;
    mote_term from, sealed, inner;
    mote_task_function function;
    mote_arena *arena = mt_own_arena(self); /* a job is kept here: its function may receive */
    mote_must(self, mote_pid_get(arg, &pool));
    for (;;) {
        mote_must(self, mote_receive_match(self, -1, "{job, ?, ?, ?}", &from, &sealed, &inner));
        mote_must(self, mt_unseal(sealed, &function, sizeof function)); /* W3 */
        mote_must(self, arena ? MOTE_OK : MOTE_ENOMEM);
        mote_arena_reset(arena);
        from = mote_term_copy(arena, from);
        inner = mote_term_copy(arena, inner);
        mote_must(self, from.word && inner.word ? MOTE_OK : MOTE_ENOMEM);
        mote_must(self, mote_reply(self, from, "{0, ?}", function(self, inner)));
        mote_must(self, mote_send(self, pool, "{done, ?}", mote_self_pid(self)));
    }
}

/* -------------------------------------------------------------------------------------------------- workers */

static struct worker *find(const struct pool *p, mote_pid pid) {
    struct mt_index_node *node = mt_index_first(&p->workers, mt_index_hash(pid.word));
    while (node && ((struct worker *)(void *)node)->pid.word != pid.word) node = mt_index_next(node);
    return (struct worker *)(void *)node;
}

static struct waiting *find_waiting(const struct pool *p, mote_ref ref) {
    struct mt_index_node *node = mt_index_first(&p->queue, mt_index_hash(ref.word));
    struct waiting *q = node ? (struct waiting *)(void *)((char *)node - offsetof(struct waiting, node)) : NULL;
    return q && q->ref.word == ref.word ? q : NULL;
}

static void answer(struct pool *p, mote_ref ref, mote_err code, mote_term term) {
    mote_err err = mote_send(p->self, ref, "{[alias|?], {?, ?}}", ref, (int)code, term);
    if (err == MOTE_ENOMEM) mote_must(p->self, err); /* who waits hears of this end */
}

static void leave_queue(struct pool *p, struct waiting *q) {
    *(q->before ? &q->before->after : &p->first) = q->after;
    *(q->after ? &q->after->before : &p->last) = q->before;
    mt_index_remove(&p->queue, &q->node);
    mt_stored_drop(&q->job);
    mote_dealloc(p->self, q);
}

/* Gives an idle worker, which is taken off the list, to a caller. `job` none: to hold. */
static void employ(struct pool *p, struct worker *w, mote_pid caller, mote_ref ref, mote_term job) {
    w->idle = false;
    w->caller = caller;
    w->ref = ref;
    w->held = !job.word;
    if (!w->held) {
        mote_must(p->self, mote_send_term(p->self, mote_pid_term(w->pid), job));
        return;
    }
    mote_must(p->self, mote_monitor(p->self, caller, &w->monitor)); /* W2 */
    answer(p, ref, MOTE_OK, mote_pid_term(w->pid));
}

/* A worker has nothing to do: for the one who waits longest, or for later. */
static void make_idle(struct pool *p, struct worker *w) {
    struct waiting *q = p->first;
    if (w->held) (void)mote_demonitor(p->self, w->monitor, true, NULL);
    w->held = false;
    if (q) {
        employ(p, w, q->caller, q->ref, q->job.term);
        leave_queue(p, q);
        return;
    }
    w->idle = true;
    w->next = p->idle;
    p->idle = w;
}

static void forget(struct pool *p, struct worker *w) {
    struct worker **at = &p->idle;
    if (w->held) (void)mote_demonitor(p->self, w->monitor, true, NULL);
    while (w->idle && *at != w) at = &(*at)->next;
    if (w->idle) *at = w->next;
    mt_index_remove(&p->workers, &w->node);
    mote_dealloc(p->self, w);
}

static mote_err launch(struct pool *p, mote_pid *pid) {
    const mote_child_spec *spec = &p->plan.options.worker;
    const mote_spawn_options options = {.body = runs_functions(p) ? work : spec->body, .handler = spec->handler, .link = true, .name = "worker"};
    if (spec->start) return spec->start(p->self, p->arg, pid);
    return mote_spawn_opt(p->self, &options, runs_functions(p) ? mote_pid_term(mote_self_pid(p->self)) : p->arg, pid);
}

static mote_err start_worker(struct pool *p) {
    struct worker *w = mote_alloc(p->self, sizeof *w);
    if (!w) return MOTE_ENOMEM;
    w->pid = mote_self_pid(NULL);
    mote_err err = launch(p, &w->pid);
    if (!err && w->pid.word == mote_self_pid(NULL).word) err = MOTE_ENOPROC;
    if (err) {
        mote_dealloc(p->self, w);
        return err;
    }
    mt_index_put(&p->workers, &w->node, mt_index_hash(w->pid.word));
    make_idle(p, w);
    return MOTE_OK;
}

/* ----------------------------------------------------------------------------------------------------- its end */

static void send_all(struct pool *p, mote_pid *pids, size_t count, const char *reason) {
    for (size_t i = 0; i < count; i++) mote_must(p->self, mote_exit_send(p->self, pids[i], mote_to_name(reason)));
}

static bool list_worker(void *context, struct mt_index_node *node) {
    mote_pid **next = context;
    *(*next)++ = ((struct worker *)(void *)node)->pid;
    return false;
}

static void stop_workers(struct pool *p) {
    size_t count = p->workers.count, left = count;
    mote_pid *pids = mote_alloc(p->self, (count + 1) * sizeof *pids), *next = pids;
    mote_ref ref;
    mote_term message;
    mote_must(p->self, pids ? MOTE_OK : MOTE_ENOMEM);
    (void)mt_index_some(&p->workers, list_worker, &next);
    for (size_t i = 0; i < count; i++) mote_must(p->self, mote_monitor(p->self, pids[i], &ref));
    send_all(p, pids, count, "shutdown");
    for (uint64_t start = mt_now_ms(p->self) + 1; left;) { /* 0: they have been killed */
        mote_err err = mote_receive(p->self, start ? mt_left_ms(p->self, start, STOP_MS) : -1, &message);
        if (err == MOTE_TIMEOUT) {
            send_all(p, pids, count, "kill");
            start = 0;
            continue;
        }
        mote_must(p->self, err);
        left -= mote_match(message, "{'DOWN', _, process, ?, _}", &pids[count]) && find(p, pids[count]);
    }
}

static MOTE_NORETURN void finish(struct pool *p, mote_term reason) {
    stop_workers(p);
    mote_exit(p->self, reason);
}

/* Starts what is missing; tries again later, as often as it may. */
static void replace(struct pool *p) {
    p->restarts++;
    if (!mt_window_add(&p->window, p->self)) finish(p, mote_to_name("shutdown"));
    if (start_worker(p) == MOTE_OK) p->missing--;
    else mote_must(p->self, mote_send(p->self, mote_self_pid(p->self), "'$replace'"));
}

static void worker_ended(struct pool *p, struct worker *w, mote_term reason) {
    if (!w->idle && !w->held) answer(p, w->ref, MOTE_ENOPROC, reason);
    forget(p, w);
    p->missing++;
    replace(p);
}

/* ------------------------------------------------------------------------------------------------- requests */

static void enqueue(struct pool *p, mote_pid caller, mote_ref ref, mote_term job) {
    size_t max = p->plan.options.queue_max ? p->plan.options.queue_max : QUEUE_MAX;
    struct waiting *q = p->queue.count < max ? mote_alloc(p->self, sizeof *q) : NULL;
    if (!q || (job.word && mt_store(&q->job, job))) {
        mote_dealloc(p->self, q);
        answer(p, ref, MOTE_EFULL, MOTE_TERM_NIL);
        return;
    }
    q->caller = caller;
    q->ref = ref;
    q->before = p->last;
    *(p->last ? &p->last->after : &p->first) = q;
    p->last = q;
    mt_index_put(&p->queue, &q->node, mt_index_hash(ref.word));
}

static void want(struct pool *p, mote_pid caller, mote_ref ref, mote_term job) {
    struct worker *w = p->idle;
    if (runs_functions(p) == !job.word) {
        answer(p, ref, MOTE_EARG, MOTE_TERM_NIL);
    } else if (w) {
        p->idle = w->next;
        employ(p, w, caller, ref, job);
    } else {
        enqueue(p, caller, ref, job);
    }
}

static void submit(struct pool *p, mote_term from, mote_pid caller, mote_ref ref, mote_term sealed, mote_term arg) {
    mote_task_function function;
    mote_term job;
    if (mt_unseal(sealed, &function, sizeof function)) answer(p, ref, MOTE_EARG, MOTE_TERM_NIL); /* no worker dies of it */
    else if (mote_build(p->arena, &job, "{job, ?, ?, ?}", from, sealed, arg)) answer(p, ref, MOTE_ENOMEM, MOTE_TERM_NIL);
    else want(p, caller, ref, job);
}

/* A worker that its holder gives back, or whose check-out came too late. */
static void checkin(struct pool *p, mote_pid caller, mote_pid pid) {
    struct worker *w = find(p, pid);
    if (w && w->held && w->caller.word == caller.word) make_idle(p, w);
}

static bool is_held(void *context, struct mt_index_node *node) {
    const mote_ref *ref = context;
    const struct worker *w = (struct worker *)(void *)node;
    return w->held && (w->ref.word == ref->word || w->monitor.word == ref->word);
}

/* The worker that is held under a reference: of the request, or of the monitor. Pools are small, and this is rare. */
static struct worker *find_held(const struct pool *p, mote_ref ref) {
    return (struct worker *)(void *)mt_index_some(&p->workers, is_held, &ref);
}

static void cancel(struct pool *p, mote_ref ref) {
    struct waiting *q = find_waiting(p, ref);
    struct worker *w = q ? NULL : find_held(p, ref);
    if (q) leave_queue(p, q);
    if (w) make_idle(p, w);
}

/* The holder has ended with the worker in an unknown state: another one takes its place. */
static void holder_ended(struct pool *p, mote_ref monitor) {
    struct worker *w = find_held(p, monitor);
    if (!w) return;
    mote_pid pid = w->pid;
    forget(p, w);
    mote_must(p->self, mote_unlink(p->self, pid));
    mote_must(p->self, mote_exit_send(p->self, pid, mote_to_name("kill")));
    if (start_worker(p)) p->missing++, replace(p);
}

static void call(struct pool *p, mote_term from, mote_term request) {
    mote_pid caller;
    mote_ref ref;
    mote_term sealed, arg;
    size_t idle = 0;
    if (!mote_match(from, "{?, [alias|?]}", &caller, &ref)) return;
    bool abroad = mote_far_get(mote_pid_term(caller), NULL) || mote_far_get(mote_ref_term(ref), NULL); /* their words are the message's */
    if (abroad && !mote_match(request, "count")) {
        answer(p, ref, MOTE_EARG, MOTE_TERM_NIL);
    } else if (mote_match(request, "{submit, ?, ?}", &sealed, &arg)) {
        submit(p, from, caller, ref, sealed, arg);
    } else if (mote_match(request, "checkout")) {
        want(p, caller, ref, MOTE_TERM_NONE);
    } else if (mote_match(request, "count")) {
        for (struct worker *w = p->idle; w; w = w->next) idle++;
        mote_must(p->self, mote_build(p->arena, &arg, "{?, ?, ?, ?}", p->workers.count, idle, p->queue.count, p->restarts));
        answer(p, ref, MOTE_OK, arg);
    } else {
        answer(p, ref, MOTE_EARG, MOTE_TERM_NIL);
    }
}

static void exit_came(struct pool *p, mote_pid from, mote_term reason) {
    struct worker *w = find(p, from);
    if (from.word == p->plan.parent.word) finish(p, reason);
    if (w) worker_ended(p, w, reason);
}

static void handle(struct pool *p, mote_term message) {
    mote_term a, b;
    mote_pid pid, caller;
    mote_ref ref;
    struct worker *w;
    if (mote_match(message, "{done, ?}", &pid)) {
        if ((w = find(p, pid)) && !w->idle) make_idle(p, w);
    } else if (mote_match(message, "{'$gen_call', ?, ?}", &a, &b)) {
        call(p, a, b);
    } else if (mote_match(message, "{'$gen_cast', {checkin, ?, ?}}", &caller, &pid)) {
        checkin(p, caller, pid);
    } else if (mote_match(message, "{'$gen_cast', {cancel, ?}}", &ref)) {
        cancel(p, ref);
    } else if (mote_match(message, "{'EXIT', ?, ?}", &pid, &a)) {
        exit_came(p, pid, a);
    } else if (mote_match(message, "{'DOWN', ?, process, _, _}", &ref)) {
        holder_ended(p, ref);
    } else if (mote_match(message, "'$replace'")) {
        replace(p);
    } else if (mote_match(message, "{system, _, {terminate, ?}}", &a)) {
        finish(p, a);
    }
}

/* ----------------------------------------------------------------------------------------------- the process */

static void release(void *context) {
    struct pool *p = context;
    for (struct waiting *q = p->first; q; q = q->after) mt_stored_drop(&q->job);
    mote_arena_free(p->arena);
}

static struct pool *prepare(mote_self *self, mote_term arg, mote_term *name) {
    mote_term sealed, inner;
    struct pool *p = mote_alloc(self, sizeof *p);
    if (!p || !mote_match(arg, "{?, ?, ?}", &sealed, name, &inner) || mt_unseal(sealed, &p->plan, sizeof p->plan)) return NULL;
    const mote_pool_options *o = &p->plan.options;
    p->self = self;
    p->arg = inner;
    p->window.limit = o->intensity ? (size_t)o->intensity : INTENSITY;
    p->window.period_ms = 1000u * (uint64_t)(o->period_s ? o->period_s : PERIOD_S);
    mt_index_init(&p->workers, self);
    mt_index_init(&p->queue, self);
    return (p->arena = mote_arena_new(0)) ? p : NULL;
}

static mote_err start_all(struct pool *p, mote_term name, mote_term *reason) {
    size_t workers = p->plan.options.workers ? p->plan.options.workers : WORKERS;
    mote_err err = mote_term_type(name) == MOTE_ATOM ? mote_register(p->self, name, mote_self_pid(p->self)) : MOTE_OK;
    for (size_t i = 0; i < workers && !err; i++) err = start_worker(p);
    if (!err) return err;
    if (mote_receive_match(p->self, 0, "{'$child_refused', ?}", reason) == MOTE_OK) *reason = mote_term_copy(p->arena, *reason);
    else *reason = mote_to_name(mote_err_name(err));
    mote_must(p->self, mote_build(p->arena, reason, "{shutdown, ?}", *reason));
    return err;
}

static void run_pool(mote_self *self, mote_term arg) {
    mote_ref start;
    mote_term name, reason, message;
    mote_must(self, mote_receive_match(self, -1, "{'$start', ?}", &start));
    mote_must(self, mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    struct pool *p = prepare(self, arg, &name);
    mote_must(self, p ? mote_cleanup_add(self, release, p) : MOTE_ENOMEM);
    mote_err err = start_all(p, name, &reason);
    if (err) {
        stop_workers(p);
        mote_must(self, mote_unlink(self, p->plan.parent));
        mote_must(self, mote_send(self, p->plan.parent, "{?, ?}", start, (int)err));
        mote_exit(self, reason);
    }
    mote_must(self, mote_send(self, p->plan.parent, "{?, 0}", start));
    for (;;) {
        mote_must(self, mote_receive(self, -1, &message));
        mote_arena_reset(p->arena);
        if (!mote_match(message, "{'$gen_call', _, _}") && !mote_match(message, "{done, _}")) /* these wait for nobody */
            mote_must(self, (message = mote_term_copy(p->arena, message)).word ? MOTE_OK : MOTE_ENOMEM);
        handle(p, message);
    }
}

/* ---------------------------------------------------------------------------------------------------- callers */

static mote_err check(const mote_pool_options *o) {
    const mote_child_spec *w = &o->worker;
    if ((w->start != NULL) + (w->body != NULL) + (w->handler != NULL) > 1) return MOTE_EARG;
    return o->intensity < 0 || o->period_s < 0 || o->workers > 1u << 20 ? MOTE_EARG : MOTE_OK;
}

mote_err mote_pool_start_link(mote_self *self, const mote_pool_options *options, mote_pid *pool, mote_term *reason) {
    struct plan plan;
    mote_term sealed, arg, name, inner;
    mote_err err = self ? mt_may_wait(self) : MOTE_ESELF;
    if (!err && (!options || !pool)) err = MOTE_EARG;
    if (err || (err = check(options))) return err;
    memset(&plan, 0, sizeof plan);
    plan.options = *options;
    plan.parent = mote_self_pid(self);
    name = options->name ? mote_to_name(options->name) : MOTE_TERM_NIL;
    inner = options->worker.arg.word ? options->worker.arg : MOTE_TERM_NIL;
    if ((err = mt_seal(mote_scratch(self), &plan, sizeof plan, &sealed))) return err;
    if ((err = mote_build(mote_scratch(self), &arg, "{?, ?, ?}", sealed, name, inner))) return err;
    return mt_start_and_wait(self, run_pool, options->name ? options->name : "pool", arg, pool, reason);
}

mote_term mote_pool_arg(mote_arena *arena, const mote_pool_options *options) {
    mote_term sealed = MOTE_TERM_NONE;
    return mt_seal(arena, options, sizeof *options, &sealed) ? MOTE_TERM_NONE : sealed;
}

mote_err mote_pool_start(mote_self *self, mote_term arg, mote_pid *pool) {
    mote_pool_options options;
    mote_term reason = MOTE_TERM_NONE;
    mote_err err = mt_unseal(arg, &options, sizeof options);
    if (!err) err = mote_pool_start_link(self, &options, pool, &reason);
    return err && reason.word ? mote_child_refuse(self, err, reason) : err;
}

mote_err (mote_pool_submit)(mote_self *self, mote_term pool, mote_task_function function, mote_term arg, mote_ref *job) {
    mote_term sealed;
    if (!self || !function) return self ? MOTE_EARG : MOTE_ESELF;
    mote_err err = mt_seal(mote_scratch(self), &function, sizeof function, &sealed);
    return err ? err : mote_call_start(self, pool, job, "{submit, ?, ?}", sealed, arg);
}

mote_err mote_pool_answer(mote_term message, mote_ref job, mote_term *result) {
    mote_term reply;
    if (!result) return MOTE_EARG;
    mote_err err = mote_call_answer(message, job, &reply);
    return err == MOTE_NOMATCH ? err : mt_answer(err, reply, result);
}

mote_err (mote_pool_await)(mote_self *self, mote_term pool, mote_ref job, int64_t timeout_ms, mote_term *result) {
    mote_term message;
    if (!self || !result) return self ? MOTE_EARG : MOTE_ESELF;
    mote_err err = mote_receive_ref(self, timeout_ms, job, &message);
    if (!err) return mote_pool_answer(message, job, result);
    if (err != MOTE_TIMEOUT) return err;
    (void)mote_call_cancel(self, job);
    if (mote_receive_ref(self, 0, job, &message) == MOTE_OK) return mote_pool_answer(message, job, result); /* at the last moment */
    (void)mote_cast(self, pool, "{cancel, ?}", job);
    return MOTE_TIMEOUT;
}

mote_err (mote_pool_run)(mote_self *self, mote_term pool, mote_task_function function, mote_term arg, int64_t timeout_ms, mote_term *result) {
    mote_ref job;
    mote_err err = self ? mt_may_wait(self) : MOTE_ESELF;
    if (err || (err = mote_pool_submit(self, pool, function, arg, &job))) return err;
    return mote_pool_await(self, pool, job, timeout_ms, result);
}

mote_err (mote_pool_checkout)(mote_self *self, mote_term pool, int64_t timeout_ms, mote_pid *worker) {
    mote_ref ref;
    mote_term term;
    mote_err err = self ? mt_may_wait(self) : MOTE_ESELF;
    if (!err && !worker) err = MOTE_EARG;
    if (err || (err = mote_call_start(self, pool, &ref, "checkout"))) return err;
    if ((err = mote_pool_await(self, pool, ref, timeout_ms, &term))) return err;
    return mote_pid_get(term, worker);
}

mote_err (mote_pool_checkin)(mote_self *self, mote_term pool, mote_pid worker) {
    return mote_cast(self, pool, "{checkin, ?, ?}", mote_self_pid(self), worker);
}

mote_err (mote_pool_count_workers)(mote_self *self, mote_term pool, mote_pool_count *count) {
    mote_term reply, term;
    unsigned long workers, idle, waiting, restarts;
    if (!count) return MOTE_EARG;
    mote_err err = mote_call(self, pool, -1, &reply, "count");
    if ((err = mt_answer(err, reply, &term))) return err;
    if (!mote_match(term, "{?, ?, ?, ?}", &workers, &idle, &waiting, &restarts)) return MOTE_ETERM;
    *count = (mote_pool_count){workers, idle, waiting, restarts};
    return MOTE_OK;
}

mote_err (mote_pool_stop)(mote_self *self, mote_term pool, mote_term reason, int64_t timeout_ms) {
    return mote_server_stop(self, pool, reason, timeout_ms);
}
