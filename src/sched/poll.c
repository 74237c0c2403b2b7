/* SPDX-License-Identifier: Apache-2.0
 * Readiness of descriptors over libuv: see poll.h.
 *
 * A watch is in both tables until it is disarmed or given out (`gone`). From mt_poll_arm() on it is `wanted`: in the list of requests,
 * until the poller starts it; it comes there again when it is disarmed while libuv has it. The poller keeps those that fired in a list
 * until there is room in an event array. */
#define _GNU_SOURCE /* ppoll */
#include "sched/poll.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <uv.h>

#include "base/atomic.h"

#define BUCKETS_MIN 64u
#define FDS_MIN 64u
#define NS_PER_S UINT64_C(1000000000)
#define ALL (MOTE_READ | MOTE_WRITE)

struct watch { /* MT_SHARED */
    uv_poll_t handle;           /* owner: the poller; data points to the watch */
    struct watch *next_fired;   /* owner: the poller */
    int got;                    /* owner: the poller: events that came */
    bool started;               /* owner: the poller: libuv has the handle */
    bool closing, closed;       /* owner: the poller: libuv is to give the handle back, and has */
    bool done;                  /* owner: the poller: to be freed when closed */
    bool fired;                 /* owner: the poller: in the list of those that fired */
    int fd;                     /* const */
    int events;                 /* const */
    uint64_t owner;             /* const */
    uint64_t ticket;            /* const */
    struct watch *next_bucket;  /* lock: mu */
    struct watch *next_request; /* lock: mu */
    bool wanted;                /* lock: mu: in the list of requests */
    bool gone;                  /* lock: mu: disarmed or given out; in no table */
};

struct mt_poll { /* MT_SHARED */
    uv_loop_t loop;             /* owner: the poller */
    uv_async_t async;           /* const; uv_async_send() by any thread */
    int probe;                  /* const: an epoll set that is always empty: fd_check() */
    struct watch *fired;        /* owner: the poller: oldest first */
    struct watch **fired_end;   /* owner: the poller */
    _Atomic bool role;          /* atomic: acquire in mt_poll_enter(), release in mt_poll_leave() */
    _Atomic bool wake;          /* atomic: seq_cst: the running or next mt_poll_run() shall return */
    _Atomic unsigned armed;     /* atomic: relaxed, changed under mu: watches in the tables */
    struct mt_lock mu;
    struct watch *requests;     /* lock: mu: oldest first */
    struct watch **request_end; /* lock: mu */
    bool sleeping;              /* lock: mu: the poller waits, or is about to: send to it after adding a request */
    struct watch **buckets;     /* lock: mu: by ticket */
    size_t bucket_count;        /* lock: mu: a power of two */
    struct watch **by_fd;       /* lock: mu */
    size_t fd_count;            /* lock: mu */
};

/* -------------------------------------------------------------------------------------------------------- tables */

static struct watch **bucket_of(struct watch **buckets, size_t count, uint64_t ticket) {
    return &buckets[(ticket * UINT64_C(0x9e3779b97f4a7c15)) >> 32 & (count - 1)];
}

/* Doubles the buckets; when there is no memory chains get longer. */
static void buckets_grow_locked(struct mt_poll *p) {
    size_t count = p->bucket_count * 2;
    struct watch **buckets = mt_os_alloc_zero(count * sizeof *buckets), *next;
    if (!buckets) return;
    for (size_t i = 0; i < p->bucket_count; i++) {
        for (struct watch *w = p->buckets[i]; w; w = next) {
            struct watch **bucket = bucket_of(buckets, count, w->ticket);
            next = w->next_bucket;
            w->next_bucket = *bucket;
            *bucket = w;
        }
    }
    mt_os_free(p->buckets);
    p->buckets = buckets;
    p->bucket_count = count;
}

static bool fds_reserve_locked(struct mt_poll *p, size_t fd) {
    size_t count = p->fd_count;
    if (fd < count) return true;
    while (count <= fd) count *= 2;
    struct watch **grown = mt_os_realloc(p->by_fd, count * sizeof *grown);
    if (!grown) return false;
    for (size_t i = p->fd_count; i < count; i++) grown[i] = NULL;
    p->by_fd = grown;
    p->fd_count = count;
    return true;
}

static void table_add_locked(struct mt_poll *p, struct watch *w) {
    unsigned armed = atomic_load_explicit(&p->armed, memory_order_relaxed);
    if (armed >= p->bucket_count) buckets_grow_locked(p);
    struct watch **bucket = bucket_of(p->buckets, p->bucket_count, w->ticket);
    MT_ASSERT(p->by_fd[w->fd] == NULL);
    w->next_bucket = *bucket;
    *bucket = w;
    p->by_fd[w->fd] = w;
    atomic_store_explicit(&p->armed, armed + 1, memory_order_relaxed);
}

static struct watch *table_find_locked(struct mt_poll *p, uint64_t ticket) {
    struct watch *w = *bucket_of(p->buckets, p->bucket_count, ticket);
    while (w && w->ticket != ticket) w = w->next_bucket;
    return w;
}

/* Takes a watch out of the tables: it can no longer fire. */
static void table_remove_locked(struct mt_poll *p, struct watch *w) {
    struct watch **at = bucket_of(p->buckets, p->bucket_count, w->ticket);
    unsigned armed = atomic_load_explicit(&p->armed, memory_order_relaxed);
    MT_ASSERT(!w->gone && armed > 0);
    MT_ASSERT(p->by_fd[w->fd] == w);
    while (*at != w) at = &(*at)->next_bucket;
    *at = w->next_bucket;
    p->by_fd[w->fd] = NULL;
    w->gone = true;
    atomic_store_explicit(&p->armed, armed - 1, memory_order_relaxed);
}

/* Asks the poller to look at a watch; whether it has to be woken. */
static bool request_locked(struct mt_poll *p, struct watch *w) {
    bool asleep = p->sleeping;
    if (w->wanted) return false;
    w->wanted = true;
    w->next_request = NULL;
    *p->request_end = w;
    p->request_end = &w->next_request;
    p->sleeping = false;
    return asleep;
}

/* -------------------------------------------------------------------------------------------- the poller's work */

/* When libuv stops a watch that was disarmed, the number may be another thread's new descriptor by now: it takes that out of a set in
 * which it is not. ThreadSanitizer follows descriptors and shall not mind. */
#if MT_TSAN
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
#define stale_begin() AnnotateIgnoreReadsBegin(__FILE__, __LINE__)
#define stale_end() AnnotateIgnoreReadsEnd(__FILE__, __LINE__)
#else
#define stale_begin() ((void)0)
#define stale_end() ((void)0)
#endif

static void note_fired(struct mt_poll *p, struct watch *w, int got) {
    MT_ASSERT(!w->fired);
    w->fired = true;
    w->got = got;
    w->next_fired = NULL;
    *p->fired_end = w;
    p->fired_end = &w->next_fired;
}

static void on_closed(uv_handle_t *handle) {
    struct watch *w = handle->data;
    w->closed = true;
    if (w->done) mt_os_free(w);
}

static void watch_close(struct watch *w) {
    MT_ASSERT(w->started && !w->closing);
    w->closing = true;
    stale_begin();
    uv_close((uv_handle_t *)&w->handle, on_closed);
    stale_end();
}

static void on_ready(uv_poll_t *handle, int status, int events) {
    struct watch *w = handle->data;
    int got = status < 0 ? ALL : (events & UV_READABLE ? MOTE_READ : 0) | (events & UV_WRITABLE ? MOTE_WRITE : 0);
    watch_close(w); /* I1 */
    note_fired(handle->loop->data, w, got);
}

static void on_async(uv_async_t *async) {
    (void)async;
}

/* I3 */
static void watch_free(struct watch *w) {
    MT_ASSERT(!w->fired && !w->done);
    w->done = true;
    if (!w->started || w->closed) mt_os_free(w);
    else if (!w->closing) watch_close(w);
}

/* The kernel's part of a disarm must not wait for the poller: when the descriptor is closed next and was inherited or duplicated, nobody
 * could take it out of the epoll set any more, and it would report for ever. (libuv does the same later, in vain.) */
static void kernel_forget(struct mt_poll *p, int fd) {
    struct epoll_event unused = {0};
    int err = epoll_ctl(uv_backend_fd(&p->loop), EPOLL_CTL_DEL, fd, &unused);
    MT_ASSERT(err == 0 || errno == ENOENT || errno == EBADF || errno == EPERM);
}

/* Gives a watch to libuv; what goes wrong is reported as an event. */
static void watch_start(struct mt_poll *p, struct watch *w) {
    int events = (w->events & MOTE_READ ? UV_READABLE : 0) | (w->events & MOTE_WRITE ? UV_WRITABLE : 0);
    MT_ASSERT(!w->started);
    int err = uv_poll_init(&p->loop, &w->handle, w->fd);
    w->handle.data = w;
    w->started = err == 0;
    if (!err) err = uv_poll_start(&w->handle, events, on_ready);
    if (err) note_fired(p, w, ALL);
}

/* Starts what is to be started, after freeing what was disarmed: that may have been the same descriptor. I4 */
static void take_requests(struct mt_poll *p) {
    struct watch *list, *next, *starting = NULL;
    mt_lock_take(&p->mu);
    p->sleeping = false;
    list = p->requests;
    p->requests = NULL;
    p->request_end = &p->requests;
    for (struct watch *w = list; w; w = next) {
        next = w->next_request;
        w->wanted = false;
        if (!w->gone) {
            w->next_request = starting;
            starting = w;
        } else if (!w->fired) {
            watch_free(w);
        }
    }
    for (struct watch *w = starting; w; w = w->next_request) watch_start(p, w);
    if (starting) uv_run(&p->loop, UV_RUN_NOWAIT);
    mt_lock_drop(&p->mu);
}

/* Gives out what fired and was not disarmed meanwhile; how many. */
static size_t give_out(struct mt_poll *p, struct mt_poll_event *events, size_t max) {
    size_t n = 0;
    if (!p->fired) return 0;
    mt_lock_take(&p->mu);
    while (p->fired && n < max) {
        struct watch *w = p->fired;
        p->fired = w->next_fired;
        w->fired = false;
        if (!w->gone) {
            events[n++] = (struct mt_poll_event){w->owner, w->ticket, w->got};
            table_remove_locked(p, w);
        }
        if (!w->wanted) watch_free(w); /* otherwise the next take_requests() does */
    }
    if (!p->fired) p->fired_end = &p->fired;
    mt_lock_drop(&p->mu);
    return n;
}

/* Whether the poller may sleep: there is nothing to do, and who adds something will send to it. */
static bool may_sleep(struct mt_poll *p) {
    mt_lock_take(&p->mu);
    bool idle = !p->requests;
    p->sleeping = idle;
    mt_lock_drop(&p->mu);
    return idle;
}

/* Waits until libuv has something to do. libuv itself would count in milliseconds. */
static void sleep_until(struct mt_poll *p, uint64_t deadline_ns, uint64_t now_ns) {
    uint64_t left = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    struct timespec limit = {(time_t)(left / NS_PER_S), (long)(left % NS_PER_S)};
    struct pollfd backend = {uv_backend_fd(&p->loop), POLLIN, 0};
    int n = ppoll(&backend, 1, deadline_ns == MT_NEVER ? NULL : &limit, NULL);
    MT_ASSERT(n >= 0 || errno == EINTR || errno == ENOMEM);
}

/* ------------------------------------------------------------------------------------------------------ contract */

static void probe_close(int probe) {
    uv_fs_t req;
    uv_fs_close(NULL, &req, probe, NULL);
    uv_fs_req_cleanup(&req);
}

/* The parts that the system gives. */
static mote_err loop_init(struct mt_poll *p) {
    p->probe = epoll_create1(EPOLL_CLOEXEC);
    if (p->probe < 0) return MOTE_EOS;
    int err = uv_loop_init(&p->loop);
    if (err) goto no_loop;
    p->loop.data = p;
    err = uv_async_init(&p->loop, &p->async, on_async);
    if (!err) return MOTE_OK;
    uv_loop_close(&p->loop);
no_loop:
    probe_close(p->probe);
    errno = -err;
    return err == UV_ENOMEM ? MOTE_ENOMEM : MOTE_EOS;
}

mote_err mt_poll_new(struct mt_poll **poll) {
    mote_err err = MOTE_ENOMEM;
    struct mt_poll *p = mt_os_alloc_zero(sizeof *p);
    if (!p) return err;
    p->bucket_count = BUCKETS_MIN;
    p->fd_count = FDS_MIN;
    p->fired_end = &p->fired;
    p->request_end = &p->requests;
    p->buckets = mt_os_alloc_zero(BUCKETS_MIN * sizeof *p->buckets);
    p->by_fd = mt_os_alloc_zero(FDS_MIN * sizeof *p->by_fd);
    if (!p->buckets || !p->by_fd) goto fail;
    err = loop_init(p);
    if (err) goto fail;
    mt_lock_init(&p->mu, MT_RANK_POLL);
    *poll = p;
    return MOTE_OK;
fail:
    mt_os_free(p->buckets);
    mt_os_free(p->by_fd);
    mt_os_free(p);
    return err;
}

/* Disarms everything. */
static void drop_all(struct mt_poll *p) {
    mt_lock_take(&p->mu);
    for (size_t fd = 0; fd < p->fd_count; fd++) {
        struct watch *w = p->by_fd[fd];
        if (!w) continue;
        table_remove_locked(p, w);
        request_locked(p, w);
    }
    mt_lock_drop(&p->mu);
}

void mt_poll_free(struct mt_poll *poll) {
    struct mt_poll_event none;
    MT_ASSERT(!atomic_load_explicit(&poll->role, memory_order_acquire));
    drop_all(poll);
    while (poll->fired) {
        size_t n = give_out(poll, &none, 1);
        MT_ASSERT(n == 0);
    }
    take_requests(poll);
    uv_close((uv_handle_t *)&poll->async, NULL);
    int busy = uv_run(&poll->loop, UV_RUN_DEFAULT);
    MT_ASSERT(busy == 0 && mt_poll_armed(poll) == 0);
    busy = uv_loop_close(&poll->loop);
    MT_ASSERT(busy == 0);
    probe_close(poll->probe);
    mt_lock_fini(&poll->mu);
    mt_os_free(poll->buckets);
    mt_os_free(poll->by_fd);
    mt_os_free(poll);
}

/* Whether the kernel would watch a descriptor: tried out on a set of its own, as libuv would tell the poller only, or abort. */
static mote_err fd_check(const struct mt_poll *p, int fd) {
    struct epoll_event none = {0};
    int err = epoll_ctl(p->probe, EPOLL_CTL_ADD, fd, &none);
    if (err && errno != EEXIST) return errno == ENOMEM ? MOTE_ENOMEM : MOTE_EOS; /* EEXIST: another thread does the same */
    err = epoll_ctl(p->probe, EPOLL_CTL_DEL, fd, &none);
    MT_ASSERT(err == 0 || errno == ENOENT || errno == EBADF || errno == EPERM); /* closed or done by another thread meanwhile */
    return MOTE_OK;
}

mote_err mt_poll_arm(struct mt_poll *poll, int fd, int events, uint64_t owner, uint64_t ticket) {
    bool asleep = false;
    MT_ASSERT(events && !(events & ~ALL));
    mote_err err = fd_check(poll, fd);
    if (err) return err;
    struct watch *w = mt_os_alloc_zero(sizeof *w);
    if (!w) return MOTE_ENOMEM;
    w->fd = fd;
    w->events = events;
    w->owner = owner;
    w->ticket = ticket;
    mt_lock_take(&poll->mu);
    MT_CHECK(!table_find_locked(poll, ticket));
    if (!fds_reserve_locked(poll, (size_t)fd)) err = MOTE_ENOMEM;
    else if (poll->by_fd[fd]) err = MOTE_EBUSY;
    if (!err) {
        table_add_locked(poll, w);
        asleep = request_locked(poll, w);
    }
    mt_lock_drop(&poll->mu);
    if (err) mt_os_free(w); /* nobody has seen it */
    if (asleep) uv_async_send(&poll->async);
    return err;
}

mote_err mt_poll_disarm(struct mt_poll *poll, uint64_t ticket) {
    bool asleep = false;
    mt_lock_take(&poll->mu);
    struct watch *w = table_find_locked(poll, ticket);
    if (w) {
        table_remove_locked(poll, w);
        if (!w->wanted) kernel_forget(poll, w->fd);
        asleep = request_locked(poll, w);
    }
    mt_lock_drop(&poll->mu);
    if (asleep) uv_async_send(&poll->async);
    return w ? MOTE_OK : MOTE_NOMATCH;
}

unsigned mt_poll_armed(const struct mt_poll *poll) {
    return atomic_load_explicit(&poll->armed, memory_order_relaxed);
}

bool mt_poll_enter(struct mt_poll *poll) {
    return !atomic_load_explicit(&poll->role, memory_order_relaxed) &&
           !atomic_exchange_explicit(&poll->role, true, memory_order_acquire);
}

void mt_poll_leave(struct mt_poll *poll) {
    MT_ASSERT(atomic_load_explicit(&poll->role, memory_order_relaxed));
    atomic_store_explicit(&poll->role, false, memory_order_release);
}

/* What libuv and the requests have ready. */
static size_t look(struct mt_poll *poll, struct mt_poll_event *events, size_t max) {
    uv_run(&poll->loop, UV_RUN_NOWAIT);
    take_requests(poll);
    return give_out(poll, events, max);
}

size_t mt_poll_run(struct mt_poll *poll, uint64_t timeout_ns, struct mt_poll_event *events, size_t max) {
    uint64_t now = timeout_ns && timeout_ns != MT_NEVER ? mt_os_now_ns() : 0;
    uint64_t deadline = timeout_ns < MT_NEVER - now ? now + timeout_ns : MT_NEVER;
    MT_ASSERT(max > 0 && atomic_load_explicit(&poll->role, memory_order_relaxed));
    for (;;) {
        size_t n = look(poll, events, max);
        if (atomic_exchange(&poll->wake, false) || n) return n;
        if (!timeout_ns || now >= deadline) return 0;
        if (!may_sleep(poll)) continue;
        sleep_until(poll, deadline, now);
        if (deadline != MT_NEVER) now = mt_os_now_ns();
    }
}

size_t mt_poll_run_within(struct mt_poll *poll, uint64_t timeout_ns, struct mt_poll_event *events, size_t max,
                          void (*wait)(void *context, int fd, uint64_t timeout_ns), void *context) {
    MT_ASSERT(max > 0 && atomic_load_explicit(&poll->role, memory_order_relaxed));
    size_t n = look(poll, events, max);
    if (atomic_exchange(&poll->wake, false) || n || !may_sleep(poll)) return n;
    wait(context, uv_backend_fd(&poll->loop), timeout_ns);
    n = look(poll, events, max);
    atomic_store(&poll->wake, false);
    return n;
}

void mt_poll_wake(struct mt_poll *poll) {
    atomic_store(&poll->wake, true);
    uv_async_send(&poll->async);
}
