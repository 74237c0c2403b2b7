/* SPDX-License-Identifier: Apache-2.0
 * Readiness of descriptors over epoll: see poll.h.
 *
 * A watch is in both tables until it is disarmed or given out; the kernel knows it by its ticket, so what it says of one that has gone is
 * dropped. It is disabled there by its event (EPOLLONESHOT), and the descriptor stays in the set: to arm it again is one call, and a copy that
 * outlives it there reports nothing. */
#define _GNU_SOURCE /* ppoll */
#include "sched/poll.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/os_fd.h"

#define BUCKETS_MIN 64u
#define FDS_MIN 64u
#define BATCH 64u
#define NS_PER_S UINT64_C(1000000000)
#define ALL (MOTE_READ | MOTE_WRITE)
#define WAKE UINT64_MAX /* in place of a ticket: mt_poll_wake() */

struct watch {
    struct watch *next_bucket;
    int fd;
    int events;
    uint64_t owner;
    uint64_t ticket;
};

/* What is known of a descriptor's number. */
struct place {
    struct watch *watch;
    bool known; /* it was in the kernel's set, and is there unless it was closed */
};

struct mt_poll { /* MT_SHARED */
    int set;                    /* const: epoll's */
    int event;                  /* const: of mt_poll_wake(), edge-triggered: nobody reads it */
    bool coarse;                /* owner: the poller: the kernel does not wait for nanoseconds */
    _Atomic bool role;          /* atomic: acquire in mt_poll_enter(), release in mt_poll_leave() */
    _Atomic bool wake;          /* atomic: seq_cst: the running or next mt_poll_run() shall return */
    _Atomic unsigned armed;     /* atomic: relaxed, changed under mu: watches in the tables */
    struct mt_lock mu;
    struct watch **buckets;     /* lock: mu: by ticket */
    size_t bucket_count;        /* lock: mu: a power of two */
    struct place *places;       /* lock: mu: by descriptor */
    size_t place_count;         /* lock: mu */
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

static bool places_reserve_locked(struct mt_poll *p, size_t fd) {
    size_t count = p->place_count;
    if (fd < count) return true;
    while (count <= fd) count *= 2;
    struct place *grown = mt_os_realloc(p->places, count * sizeof *grown);
    if (!grown) return false;
    for (size_t i = p->place_count; i < count; i++) grown[i] = (struct place){0};
    p->places = grown;
    p->place_count = count;
    return true;
}

static void table_add_locked(struct mt_poll *p, struct watch *w) {
    unsigned armed = atomic_load_explicit(&p->armed, memory_order_relaxed);
    if (armed >= p->bucket_count) buckets_grow_locked(p);
    struct watch **bucket = bucket_of(p->buckets, p->bucket_count, w->ticket);
    MT_ASSERT(!p->places[w->fd].watch);
    w->next_bucket = *bucket;
    *bucket = w;
    p->places[w->fd].watch = w;
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
    MT_ASSERT(armed > 0 && p->places[w->fd].watch == w);
    while (*at != w) at = &(*at)->next_bucket;
    *at = w->next_bucket;
    p->places[w->fd].watch = NULL;
    atomic_store_explicit(&p->armed, armed - 1, memory_order_relaxed);
}

/* ---------------------------------------------------------------------------------------------------- the kernel */

/* A descriptor that it does not have yet becomes non-blocking. */
static int add(struct mt_poll *p, int fd, struct epoll_event *e) {
    int yes = 1;
    if (epoll_ctl(p->set, EPOLL_CTL_ADD, fd, e)) return errno == EEXIST ? epoll_ctl(p->set, EPOLL_CTL_MOD, fd, e) : -1;
    if (!ioctl(fd, FIONBIO, &yes)) return 0;
    int why = errno;
    epoll_ctl(p->set, EPOLL_CTL_DEL, fd, e);
    errno = why;
    return -1;
}

/* Gives it a watch. */
static mote_err enable_locked(struct mt_poll *p, const struct watch *w) {
    struct place *place = &p->places[w->fd];
    struct epoll_event e = {.events = EPOLLONESHOT | (w->events & MOTE_READ ? EPOLLIN : 0u) | (w->events & MOTE_WRITE ? EPOLLOUT : 0u), .data.u64 = w->ticket};
    bool done = place->known && epoll_ctl(p->set, EPOLL_CTL_MOD, w->fd, &e) == 0;
    place->known = done || add(p, w->fd, &e) == 0; /* it was closed meanwhile, and is another's */
    return place->known ? MOTE_OK : errno == ENOMEM ? MOTE_ENOMEM : MOTE_EOS;
}

/* When the descriptor is closed next and was inherited or duplicated, nobody could take it out of the set any more, and it would report. */
static void forget_locked(struct mt_poll *p, int fd) {
    struct epoll_event unused = {0};
    int err = epoll_ctl(p->set, EPOLL_CTL_DEL, fd, &unused);
    MT_ASSERT(err == 0 || errno == ENOENT || errno == EBADF || errno == EPERM);
    p->places[fd].known = false;
}

/* What an event means: an error is everything, a hang-up all that was asked for. */
static int events_of(const struct watch *w, uint32_t got) {
    if (got & EPOLLERR) return ALL;
    if (got & EPOLLHUP) return w->events;
    return (got & EPOLLIN ? MOTE_READ : 0) | (got & EPOLLOUT ? MOTE_WRITE : 0);
}

/* Gives out what has fired and was not disarmed meanwhile; how many. */
static size_t give_out(struct mt_poll *p, const struct epoll_event *got, size_t count, struct mt_poll_event *events) {
    size_t n = 0;
    if (count == 0 || (count == 1 && got->data.u64 == WAKE)) return 0;
    mt_lock_take(&p->mu);
    for (size_t i = 0; i < count; i++) {
        struct watch *w = got[i].data.u64 == WAKE ? NULL : table_find_locked(p, got[i].data.u64);
        if (!w) continue;
        events[n++] = (struct mt_poll_event){w->owner, w->ticket, events_of(w, got[i].events)};
        table_remove_locked(p, w);
        mt_os_free(w);
    }
    mt_lock_drop(&p->mu);
    return n;
}

/* epoll_wait() counts in milliseconds. */
static int wait_ns(struct mt_poll *p, struct epoll_event *got, int max, uint64_t ns) {
    struct timespec limit = {(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};
    struct pollfd set = {p->set, POLLIN, 0};
    int n = p->coarse ? -1 : (int)syscall(SYS_epoll_pwait2, p->set, got, max, &limit, NULL, (size_t)0);
    if (n >= 0 || (!p->coarse && errno != ENOSYS && errno != EPERM)) return n;
    p->coarse = true; /* before Linux 5.11, or in a sandbox that does not know it */
    n = ppoll(&set, 1, &limit, NULL);
    return n > 0 ? epoll_wait(p->set, got, max, 0) : n;
}

/* Waits for the kernel's events, for at most `ns`, and gives them out. */
static size_t look(struct mt_poll *p, uint64_t ns, struct mt_poll_event *events, size_t max) {
    struct epoll_event got[BATCH];
    int most = (int)(max < BATCH ? max : BATCH);
    int n = ns && ns != MT_NEVER ? wait_ns(p, got, most, ns) : epoll_wait(p->set, got, most, ns ? -1 : 0);
    MT_ASSERT(n >= 0 || errno == EINTR || errno == ENOMEM);
    return give_out(p, got, n > 0 ? (size_t)n : 0, events);
}

/* ------------------------------------------------------------------------------------------------------ contract */

/* The parts that the system gives. */
static mote_err open_set(struct mt_poll *p) {
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.u64 = WAKE};
    p->set = epoll_create1(EPOLL_CLOEXEC);
    if (p->set < 0) return MOTE_EOS;
    mote_err err = mt_os_event_new(&p->event);
    if (!err && epoll_ctl(p->set, EPOLL_CTL_ADD, p->event, &e) == 0) return MOTE_OK;
    if (!err) mt_os_close(p->event);
    mt_os_close(p->set);
    return MOTE_EOS;
}

mote_err mt_poll_new(struct mt_poll **poll) {
    mote_err err = MOTE_ENOMEM;
    struct mt_poll *p = mt_os_alloc_zero(sizeof *p);
    if (!p) return err;
    p->bucket_count = BUCKETS_MIN;
    p->place_count = FDS_MIN;
    p->buckets = mt_os_alloc_zero(BUCKETS_MIN * sizeof *p->buckets);
    p->places = mt_os_alloc_zero(FDS_MIN * sizeof *p->places);
    if (!p->buckets || !p->places) goto fail;
    err = open_set(p);
    if (err) goto fail;
    mt_lock_init(&p->mu, MT_RANK_POLL);
    *poll = p;
    return MOTE_OK;
fail:
    mt_os_free(p->buckets);
    mt_os_free(p->places);
    mt_os_free(p);
    return err;
}

void mt_poll_free(struct mt_poll *poll) {
    MT_ASSERT(!atomic_load_explicit(&poll->role, memory_order_acquire));
    for (size_t fd = 0; fd < poll->place_count; fd++) mt_os_free(poll->places[fd].watch);
    mt_os_close(poll->event);
    mt_os_close(poll->set);
    mt_lock_fini(&poll->mu);
    mt_os_free(poll->buckets);
    mt_os_free(poll->places);
    mt_os_free(poll);
}

mote_err mt_poll_arm(struct mt_poll *poll, int fd, int events, uint64_t owner, uint64_t ticket) {
    MT_ASSERT(events && !(events & ~ALL) && ticket != WAKE);
    struct watch *w = mt_os_alloc(sizeof *w);
    if (!w) return MOTE_ENOMEM;
    *w = (struct watch){.fd = fd, .events = events, .owner = owner, .ticket = ticket};
    mt_lock_take(&poll->mu);
    MT_CHECK(!table_find_locked(poll, ticket));
    mote_err err = fd < 0 ? (errno = EBADF, MOTE_EOS) : !places_reserve_locked(poll, (size_t)fd) ? MOTE_ENOMEM : poll->places[fd].watch ? MOTE_EBUSY : MOTE_OK;
    if (!err) err = enable_locked(poll, w);
    if (!err) table_add_locked(poll, w);
    mt_lock_drop(&poll->mu);
    if (err) mt_os_free(w);
    return err;
}

mote_err mt_poll_disarm(struct mt_poll *poll, uint64_t ticket) {
    mt_lock_take(&poll->mu);
    struct watch *w = table_find_locked(poll, ticket);
    if (w) {
        table_remove_locked(poll, w);
        forget_locked(poll, w->fd);
    }
    mt_lock_drop(&poll->mu);
    mt_os_free(w);
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

/* Whether it was woken; asked before it sleeps, since who wakes it later writes the event. */
static bool woken(struct mt_poll *p) { return atomic_load_explicit(&p->wake, memory_order_relaxed) && atomic_exchange(&p->wake, false); }

size_t mt_poll_run(struct mt_poll *poll, uint64_t timeout_ns, struct mt_poll_event *events, size_t max) {
    uint64_t now = timeout_ns && timeout_ns != MT_NEVER ? mt_os_now_ns() : 0;
    uint64_t deadline = timeout_ns < MT_NEVER - now ? now + timeout_ns : MT_NEVER;
    MT_ASSERT(max > 0 && atomic_load_explicit(&poll->role, memory_order_relaxed));
    for (;;) {
        bool last = woken(poll) || !timeout_ns;
        size_t n = look(poll, last ? 0 : deadline == MT_NEVER ? MT_NEVER : deadline > now ? deadline - now : 0, events, max);
        if (n || last) return n;
        if (deadline != MT_NEVER && (now = mt_os_now_ns()) >= deadline) timeout_ns = 0; /* what fires now counts */
    }
}

size_t mt_poll_run_within(struct mt_poll *poll, uint64_t timeout_ns, struct mt_poll_event *events, size_t max,
                          void (*wait)(void *context, int fd, uint64_t timeout_ns), void *context) {
    MT_ASSERT(max > 0 && atomic_load_explicit(&poll->role, memory_order_relaxed));
    size_t n = look(poll, 0, events, max);
    if (woken(poll) || n) return n;
    wait(context, poll->set, timeout_ns);
    n = look(poll, 0, events, max);
    atomic_store(&poll->wake, false);
    return n;
}

void mt_poll_wake(struct mt_poll *poll) {
    if (!atomic_exchange(&poll->wake, true)) mt_os_event_write(poll->event);
}
