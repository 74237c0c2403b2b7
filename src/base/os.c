/* SPDX-License-Identifier: Apache-2.0
 * The operating system: see os.h. Linux. */
#define _GNU_SOURCE
#include "base/os.h"

#include "base/os_fd.h"

#ifndef __linux__
#error "mote runs on Linux: write this file's functions for your system"
#endif

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef MT_GUARD_ADVICE /* a test sets it to an advice that no kernel knows */
#define MT_GUARD_ADVICE 102 /* MADV_GUARD_INSTALL, Linux 6.13 */
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
_Static_assert(sizeof(long) == 8 && sizeof(time_t) == 8, "64-bit Linux only");

#define NS_PER_S UINT64_C(1000000000)
#define ADVICE_NONSENSE 0x7fff   /* an advice that no kernel knows */
#define BATCH 64u          /* spans per system call */
#define MAPS_DEFAULT 65530u      /* the kernel's map limit where it cannot be read */
#define LOG_BYTES_MAX 4096u      /* one atomic write to a pipe */

enum guard_kind { GUARD_UNKNOWN, GUARD_LIGHT, GUARD_PROTECT };

/* What is true of the whole program: the kernel's abilities, the map budget, the armed fault. The only globals of mote. */
static struct {
    _Atomic int guard_kind;         /* atomic: relaxed, set once, by decide_guards() */
    _Atomic size_t guards_max;      /* atomic: relaxed, 0: not read yet */
    _Atomic size_t guards;          /* atomic: relaxed, page protections in use <= guards_max */
    _Atomic uint64_t fault_nth;     /* atomic: release in mt_os_fault_arm(), acquire in mt_os_fault() */
    _Atomic uint64_t fault_calls;   /* atomic: relaxed */
    _Atomic bool fault_sticky;      /* atomic: relaxed, published by fault_nth */
    _Atomic size_t live_blocks;     /* atomic: relaxed, counted with MT_FAULTS only, as the next */
    _Atomic size_t live_mapped;     /* atomic: relaxed */
} os;

/* ------------------------------------------------------------------------------------------------ faults */

#ifdef MT_FAULTS
void mt_os_fault_arm(uint64_t nth, bool sticky) {
    atomic_store_explicit(&os.fault_nth, 0, memory_order_relaxed);
    if (!nth) return; /* the count stays readable */
    atomic_store_explicit(&os.fault_sticky, sticky, memory_order_relaxed);
    atomic_store_explicit(&os.fault_calls, 0, memory_order_relaxed);
    atomic_store_explicit(&os.fault_nth, nth, memory_order_release);
}

uint64_t mt_os_fault_count(void) {
    return atomic_load_explicit(&os.fault_calls, memory_order_relaxed);
}

void mt_os_fault_live(size_t *blocks, size_t *mapped) {
    *blocks = atomic_load_explicit(&os.live_blocks, memory_order_relaxed);
    *mapped = atomic_load_explicit(&os.live_mapped, memory_order_relaxed);
}

static void count_blocks(size_t more, size_t fewer) {
    atomic_fetch_add_explicit(&os.live_blocks, more - fewer, memory_order_relaxed);
}

static void count_mapped(size_t more, size_t fewer) {
    atomic_fetch_add_explicit(&os.live_mapped, more - fewer, memory_order_relaxed);
}

static bool faulty(void) {
    uint64_t nth = atomic_load_explicit(&os.fault_nth, memory_order_acquire);
    if (!nth) return false;
    uint64_t call = atomic_fetch_add_explicit(&os.fault_calls, 1, memory_order_relaxed) + 1;
    return call == nth || (call > nth && atomic_load_explicit(&os.fault_sticky, memory_order_relaxed));
}
#else
void mt_os_fault_arm(uint64_t nth, bool sticky) {
    (void)nth, (void)sticky;
}

uint64_t mt_os_fault_count(void) {
    return 0;
}

void mt_os_fault_live(size_t *blocks, size_t *mapped) {
    *blocks = *mapped = 0;
}

static inline void count_blocks(size_t more, size_t fewer) {
    (void)more, (void)fewer;
}

static inline void count_mapped(size_t more, size_t fewer) {
    (void)more, (void)fewer;
}

static inline bool faulty(void) {
    return false;
}
#endif

bool mt_os_fault(void) {
    return faulty();
}

/* A fault point: gives true, and sets errno as the system would, when this call shall fail. */
static inline bool fails_with(int code) {
    if (!faulty()) return false;
    errno = code;
    return true;
}

/* --------------------------------------------------------------------------------------------------- log */

/* Length of the control character at p: C0, DEL, or C1 in UTF-8; 0 when it is none. */
static size_t control_size(const unsigned char *p) {
    if (p[0] < 0x20 || p[0] == 0x7f) return 1;
    if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f) return 2;
    return 0;
}

/* Copies `text` to `out` (capacity bytes), escaped and cut; gives the length. */
static size_t escape(char *out, size_t capacity, const char *text) {
    static const char hex[] = "0123456789abcdef";
    const unsigned char *p = (const unsigned char *)text;
    size_t n = 0;
    MT_ASSERT(capacity > 16);
    while (*p && n < capacity - 12) { /* room for two escapes and the mark of a cut */
        size_t control = p[0] == '\n' && !p[1] ? 0 : control_size(p);
        if (!control) out[n++] = (char)*p++;
        for (; control; control--, p++) {
            out[n++] = '\\';
            out[n++] = 'x';
            out[n++] = hex[*p >> 4];
            out[n++] = hex[*p & 15];
        }
    }
    if (*p) {
        memcpy(out + n, "...\n", 4);
        n += 4;
    }
    MT_ASSERT(n <= capacity);
    return n;
}

/* Writes once without the signal that a closed pipe raises. Whether it took the bytes is of no interest. */
static void write_quietly(int fd, const char *data, size_t size) {
    sigset_t pipe_set, mask_old, pending;
    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE);
    sigemptyset(&pending);
    sigpending(&pending);
    if (pthread_sigmask(SIG_BLOCK, &pipe_set, &mask_old)) return;
    ssize_t done = write(fd, data, size);
    if (done < 0 && errno == EPIPE && !sigismember(&pending, SIGPIPE)) {
        const struct timespec now = {0, 0};
        sigtimedwait(&pipe_set, NULL, &now);
    }
    pthread_sigmask(SIG_SETMASK, &mask_old, NULL);
}

void mt_os_log(const char *text) {
    char line[LOG_BYTES_MAX];
    int errno_old = errno;
    _Static_assert(LOG_BYTES_MAX <= PIPE_BUF, "larger writes to pipes may be torn");
    size_t n = escape(line, sizeof line, text);
    struct pollfd ready = {STDERR_FILENO, POLLOUT, 0};
    if (n && poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT)) write_quietly(STDERR_FILENO, line, n);
    errno = errno_old;
}

void mt_os_assert_failed(const char *cond, const char *file, int line) {
    char text[512];
    snprintf(text, sizeof text, "mote: %s:%d: does not hold: %.400s\n", file, line, cond);
    mt_os_log(text);
    abort();
}

/* ------------------------------------------------------------------------------------------------ memory */

static void *counted(void *p) {
    if (p) count_blocks(1, 0);
    return p;
}

void *mt_os_alloc(size_t size) {
    MT_ASSERT(size);
    return fails_with(ENOMEM) ? NULL : counted(malloc(size));
}

void *mt_os_alloc_zero(size_t size) {
    MT_ASSERT(size);
    return fails_with(ENOMEM) ? NULL : counted(calloc(1, size));
}

void *mt_os_alloc_aligned(size_t align, size_t size) {
    void *p = NULL;
    MT_ASSERT(size);
    MT_ASSERT(align && (align & (align - 1)) == 0);
    if (align < sizeof(void *)) align = sizeof(void *);
    if (fails_with(ENOMEM)) return NULL;
    return posix_memalign(&p, align, size) ? NULL : counted(p);
}

void *mt_os_realloc(void *old, size_t size) {
    MT_ASSERT(size);
    if (fails_with(ENOMEM)) return NULL;
    void *p = realloc(old, size);
    return old ? p : counted(p);
}

void mt_os_free(void *p) {
    if (p) count_blocks(0, 1);
    free(p);
}

size_t mt_os_page_size(void) {
    long size = sysconf(_SC_PAGESIZE);
    MT_ASSERT(size > 0);
    return (size_t)size;
}

static bool is_pages(const void *p, size_t size) {
    size_t mask = mt_os_page_size() - 1;
    return size && (((uintptr_t)p | size) & mask) == 0;
}

void *mt_os_map(size_t size) {
    MT_ASSERT(is_pages(NULL, size));
    if (fails_with(ENOMEM)) return NULL;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return NULL;
    count_mapped(size, 0);
    madvise(p, size, MADV_NOHUGEPAGE); /* refused by kernels that have no huge pages: as well */
    return p;
}

void *mt_os_memory_map(int fd, size_t size, bool shared) {
    MT_ASSERT(is_pages(NULL, size));
    if (fails_with(ENOMEM)) return NULL;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_NORESERVE, fd, 0);
    if (p == MAP_FAILED) return NULL;
    count_mapped(size, 0);
    return p;
}

void mt_os_unmap(void *p, size_t size) {
    MT_ASSERT(is_pages(p, size));
    count_mapped(0, size);
    if (munmap(p, size) == 0) return;
    MT_ASSERT(errno == ENOMEM); /* a hole would exceed the map limit: keep the addresses, give the memory back */
    mt_os_decommit(p, size);
}

void mt_os_populate(void *p, size_t size) {
    size_t head = (uintptr_t)p & (mt_os_page_size() - 1);
    madvise((char *)p - head, size + head, MADV_POPULATE_WRITE); /* refused before Linux 5.14: the pages come when they are touched */
}

void mt_os_large_pages(void *p, size_t size) { madvise(p, size, MADV_HUGEPAGE); }

void mt_os_decommit(void *p, size_t size) {
    MT_ASSERT(is_pages(p, size));
    int err = madvise(p, size, MADV_DONTNEED);
    if (err && errno == EINVAL) err = madvise(p, size, MADV_DONTNEED_LOCKED); /* under mlockall() */
    MT_ASSERT(!err);
}

/* On oneself: with one call for up to BATCH spans. Gives how many bytes were advised, from the first span on. */
static size_t advise_spans(const struct iovec *of, size_t count, int advice) {
    MT_ASSERT(count && count <= BATCH);
    int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (pidfd < 0) return 0;
    long done = syscall(SYS_process_madvise, pidfd, of, count, advice, 0);
    close(pidfd);
    return done > 0 ? (size_t)done : 0;
}

/* Up to BATCH spans; gives how many were done. */
static size_t decommit_batch(const struct mt_os_span *of, size_t count) {
    struct iovec spans[BATCH] = {{0}};
    size_t n = 0;
    for (size_t i = 0; i < count; i++) spans[i] = (struct iovec){of[i].p, of[i].size};
    size_t done = advise_spans(spans, count, MADV_DONTNEED);
    while (n < count && done >= of[n].size) done -= of[n++].size;
    return n;
}

void mt_os_decommit_spans(const struct mt_os_span *of, size_t count) {
    while (count) {
        size_t n = count > 1 ? decommit_batch(of, count < BATCH ? count : BATCH) : 0;
        if (!n) {
            mt_os_decommit(of->p, of->size);
            n = 1;
        }
        of += n;
        count -= n;
    }
}

/* ------------------------------------------------------------------------------------------------ guards */

/* A number that is all a small file in /proc holds, or the `field`-th (from 0); `otherwise` when it cannot be read. */
static size_t read_number(const char *path, unsigned field, size_t otherwise) {
    char text[128];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return otherwise;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) return otherwise;
    text[n] = 0;
    char *p = text;
    for (; field; field--) strtoul(p, &p, 10);
    char *end = p;
    size_t number = strtoul(p, &end, 10);
    return end == p ? otherwise : number;
}

/* As far as the kernel can do several per call (6.13 and later on oneself); gives how many. */
static size_t guard_batches(char *p, size_t stride, size_t count) {
    struct iovec pages[BATCH];
    size_t page = mt_os_page_size(), done = 0, n, asked;
    do {
        asked = count - done < BATCH ? count - done : BATCH;
        for (size_t i = 0; i < asked; i++) pages[i] = (struct iovec){p + (done + i) * stride, page};
        n = advise_spans(pages, asked, MT_GUARD_ADVICE) / page;
        done += n;
    } while (n == asked && done < count);
    MT_ASSERT(done <= count);
    return done;
}

static size_t guard_light(char *p, size_t stride, size_t count) {
    size_t page = mt_os_page_size();
    size_t done = count >= BATCH / 8 ? guard_batches(p, stride, count) : 0;
    while (done < count && madvise(p + done * stride, page, MT_GUARD_ADVICE) == 0) done++;
    return done;
}

/* Page protections split a mapping in up to three, so a program may have few: a quarter of the map limit. */
static size_t guards_max(void) {
    size_t max = atomic_load_explicit(&os.guards_max, memory_order_relaxed);
    if (max) return max;
    max = read_number("/proc/sys/vm/max_map_count", 0, MAPS_DEFAULT) / 4;
    if (!max) max = 1;
    atomic_store_explicit(&os.guards_max, max, memory_order_relaxed);
    return max;
}

/* Takes up to `count` from the budget; gives how many. */
static size_t guard_budget(size_t count) {
    size_t max = guards_max(), used = atomic_load_explicit(&os.guards, memory_order_relaxed), take = 0;
    do {
        MT_ASSERT(used <= max);
        take = count < max - used ? count : max - used;
    } while (!atomic_compare_exchange_weak_explicit(&os.guards, &used, used + take, memory_order_relaxed, memory_order_relaxed));
    return take;
}

static size_t guard_protect(char *p, size_t stride, size_t count) {
    size_t page = mt_os_page_size(), take = guard_budget(count), done = 0;
    while (done < take && mprotect(p + done * stride, page, PROT_NONE) == 0) done++;
    if (done < take) mt_os_guard_forget(take - done);
    return done;
}

/* Finds out, once for the whole program, what the kernel can do, on the page at p. An emulator (qemu-user) takes every advice
 * and follows none: it takes nonsense too. The first thread's answer counts, so that the budget is exact: all guards are of
 * one kind. */
static int decide_guards(void *p) {
    int kind = GUARD_UNKNOWN, found = GUARD_LIGHT;
    if (madvise(p, mt_os_page_size(), ADVICE_NONSENSE) == 0) found = GUARD_PROTECT;
    if (madvise(p, mt_os_page_size(), MT_GUARD_ADVICE)) found = GUARD_PROTECT;
    bool first = atomic_compare_exchange_strong_explicit(&os.guard_kind, &kind, found, memory_order_relaxed, memory_order_relaxed);
    return first ? found : kind;
}

size_t mt_os_guard(void *p, size_t stride, size_t count) {
    if (!count) return 0;
    MT_ASSERT(is_pages(p, stride));
    if (fails_with(ENOMEM)) return 0;
    int kind = atomic_load_explicit(&os.guard_kind, memory_order_relaxed);
    if (kind == GUARD_UNKNOWN) kind = decide_guards(p);
    return kind == GUARD_LIGHT ? guard_light(p, stride, count) : guard_protect(p, stride, count);
}

void mt_os_guard_forget(size_t count) {
    if (atomic_load_explicit(&os.guard_kind, memory_order_relaxed) != GUARD_PROTECT) return;
    size_t used = atomic_fetch_sub_explicit(&os.guards, count, memory_order_relaxed);
    MT_ASSERT(used >= count);
}

/* ------------------------------------------------------------------------------------------ time, machine */

static uint64_t clock_ns(clockid_t clock) {
    struct timespec t;
    int err = clock_gettime(clock, &t);
    MT_ASSERT(!err);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t mt_os_now_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t mt_os_cpu_ns(void) {
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t mt_os_random(void) {
    uint64_t bits = 0;
    ssize_t n;
    do
        n = getrandom(&bits, sizeof bits, 0);
    while (n < 0 && errno == EINTR);
    MT_ASSERT(n == sizeof bits);
    return bits;
}

unsigned mt_os_cores(void) {
    unsigned long mask[1024 / sizeof(long)] = {0}; /* 8192 cores, the most a kernel can be built for */
    long size = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
    unsigned cores = 0;
    for (size_t i = 0; size > 0 && i < (size_t)size / sizeof(long); i++) cores += (unsigned)__builtin_popcountl(mask[i]);
    return cores ? cores : 1;
}

mt_os_function *mt_os_symbol(const char *library, const char *name) {
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    mt_os_function *function = NULL;
    void *symbol = handle ? dlsym(handle, name) : NULL;
    memcpy(&function, &symbol, sizeof symbol); /* POSIX: a pointer to a function fits */
    if (handle) dlclose(handle);
    return function;
}

size_t mt_os_memory_total(void) {
    long pages = sysconf(_SC_PHYS_PAGES);
    return (pages > 0 ? (size_t)pages : 1) * mt_os_page_size();
}

size_t mt_os_rss(void) {
    return read_number("/proc/self/statm", 1, 0) * mt_os_page_size();
}

int mt_os_thread_id(void) {
    return (int)syscall(SYS_gettid);
}

struct mt_os_times mt_os_thread_times(int thread_id) {
    char path[64], text[128] = "";
    struct mt_os_times times = {0};
    snprintf(path, sizeof path, "/proc/self/task/%d/schedstat", thread_id);
    times.run_ns = read_number(path, 0, 0);
    times.starved_ns = read_number(path, 1, 0);
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread_id);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return times;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    const char *state = n > 0 ? strrchr(text, ')') : NULL;
    times.blocked = state && (state[2] == 'S' || state[2] == 'D');
    return times;
}

/* ----------------------------------------------------------------------------------------------- threads */

void mt_os_futex_wait(_Atomic uint32_t *word, uint32_t expect, uint64_t timeout_ns) {
    struct timespec limit = {(time_t)(timeout_ns / NS_PER_S), (long)(timeout_ns % NS_PER_S)};
    struct timespec *until = timeout_ns == MT_NEVER ? NULL : &limit;
    if (syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expect, until, NULL, 0) == 0) return;
    MT_ASSERT(errno == EAGAIN || errno == ETIMEDOUT || errno == EINTR);
}

void mt_os_futex_wake(_Atomic uint32_t *word, int count) {
    MT_ASSERT(count > 0);
    long woken = syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
    MT_ASSERT(woken >= 0);
}

void mt_os_event_write(int fd) {
    uint64_t one = 1;
    ssize_t n;
    do
        n = write(fd, &one, sizeof one);
    while (n < 0 && errno == EINTR);
}

/* What a new thread needs; it frees it. */
struct start {
    void *(*run)(void *);
    void *arg;
    char name[16];
};

static void *start_run(void *p) {
    struct start start = *(struct start *)p;
    mt_os_free(p);
    prctl(PR_SET_NAME, start.name);
    prctl(PR_SET_TIMERSLACK, 1000UL); /* ns; else sleeps end 50 us late */
    return start.run(start.arg);
}

/* All signals but those that the thread's own instructions raise: nobody else could take them. */
static void set_all_but_faults(sigset_t *set) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
    sigfillset(set);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(set, faults[i]);
}

mote_err mt_os_thread_start(pthread_t *thread, void *(*run)(void *), void *arg, const char *name) {
    sigset_t blocked, mask_old;
    pthread_t made;
    MT_ASSERT(thread && run && name);
    struct start *start = mt_os_alloc_zero(sizeof *start);
    if (!start) return MOTE_ENOMEM;
    *start = (struct start){.run = run, .arg = arg};
    strncpy(start->name, name, sizeof start->name - 1);
    set_all_but_faults(&blocked);
    int err = pthread_sigmask(SIG_SETMASK, &blocked, &mask_old);
    MT_ASSERT(!err);
    err = faulty() ? EAGAIN : pthread_create(&made, NULL, start_run, start);
    int restored = pthread_sigmask(SIG_SETMASK, &mask_old, NULL);
    MT_ASSERT(!restored);
    if (err) {
        mt_os_free(start);
        errno = err;
        return err == ENOMEM ? MOTE_ENOMEM : MOTE_EOS;
    }
    *thread = made;
    return MOTE_OK;
}

void mt_os_thread_join(pthread_t thread) {
    int err = pthread_join(thread, NULL);
    MT_ASSERT(!err);
}

void mt_os_thread_yield(void) {
    sched_yield();
}
