/* SPDX-License-Identifier: Apache-2.0
 * The operating system: the only place that calls it, and where faults are injected.
 *
 * Any thread unless said. Everything that can fail passes a fault point: tests make the n-th fail.
 * I1 time is monotonic; nothing here reads the wall clock. I2 no function here calls back or takes a lock of ours.
 */
#ifndef MT_BASE_OS_H
#define MT_BASE_OS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mote/mote.h"

#define MT_NEVER UINT64_MAX

/* Aborts with file, line and what did not hold. Always on. */
#define MT_ASSERT(cond) (__builtin_expect(!!(cond), 1) ? (void)0 : mt_os_assert_failed(#cond, __FILE__, __LINE__))
/* The same in debug builds only: walkers over whole structures. */
#ifdef MT_DEBUG
#define MT_CHECK(cond) MT_ASSERT(cond)
#else
#define MT_CHECK(cond) ((void)0)
#endif
__attribute__((noreturn, cold)) void mt_os_assert_failed(const char *cond, const char *file, int line);

/* Memory from malloc: NULL when out of it. Gives. Free with mt_os_free. `size` 0 is not allowed. Never blocks on us. */
void *mt_os_alloc(size_t size);
void *mt_os_alloc_zero(size_t size);
void *mt_os_alloc_aligned(size_t align, size_t size);
/* Grows or makes a block; NULL leaves `old` as it was. Takes `old` on success. */
void *mt_os_realloc(void *old, size_t size);
void mt_os_free(void *p);

/* Address space: zeroed, private, not counted against commit limits, no huge pages. NULL on failure. Sizes in bytes, pages. */
void *mt_os_map(size_t size);
void mt_os_unmap(void *p, size_t size);
/* Brings in the memory of the pages that the bytes lie on with one call, not one fault each. Only for speed: may do nothing. */
void mt_os_populate(void *p, size_t size);
/* Asks for large pages there, where the kernel has them. Only for speed: may do nothing. */
void mt_os_large_pages(void *p, size_t size);
/* Gives the pages' memory back; they read as zero afterwards. */
void mt_os_decommit(void *p, size_t size);
/* The same for several spans, in one call where the kernel can (Linux 6.13; 6.16 interrupts the other cores once for all of them). */
struct mt_os_span {
    void *p;
    size_t size;
};
void mt_os_decommit_spans(const struct mt_os_span *of, size_t count);
size_t mt_os_page_size(void);
/* Makes `count` pages at p, p + stride ... fault on access: light guards where the kernel has them, else page protections
 * while fewer than a fraction of the kernel's map limit are in use. Gives how many are guarded, from the first on. */
size_t mt_os_guard(void *p, size_t stride, size_t count);
/* Takes back the budget used by mt_os_guard() for pages about to be unmapped. */
void mt_os_guard_forget(size_t count);

/* Nanoseconds of the monotonic clock. */
uint64_t mt_os_now_ns(void);
/* 64 random bits from the system. */
uint64_t mt_os_random(void);
/* Cores this program may run on (affinity), at least 1. */
unsigned mt_os_cores(void);
/* A function of a shared library, which is loaded and stays so; NULL: there is none. To be called as what it is. */
typedef void mt_os_function(void);
mt_os_function *mt_os_symbol(const char *library, const char *name);
/* Bytes of the machine's memory. */
size_t mt_os_memory_total(void);
/* Bytes of this program's memory that are in RAM; 0 when unknown. */
size_t mt_os_rss(void);
/* The calling thread's number for mt_os_thread_times(). */
int mt_os_thread_id(void);
/* What a thread has done since it began, ns (0 when unknown): run; been ready to run without a processor. And whether it is blocked in the
 * system now. Reads files: for rare use. */
struct mt_os_times {
    uint64_t run_ns, starved_ns;
    bool blocked;
};
struct mt_os_times mt_os_thread_times(int thread_id);
/* CPU time used by the program, ns. */
uint64_t mt_os_cpu_ns(void);

/* Sleeps while *word == expect, at most until `timeout_ns` from now (MT_NEVER: no limit). May return early. Blocks. */
void mt_os_futex_wait(_Atomic uint32_t *word, uint32_t expect, uint64_t timeout_ns);
/* Wakes up to `count` sleepers. */
void mt_os_futex_wake(_Atomic uint32_t *word, int count);
/* Adds one to an eventfd. One whose count is full stays readable: nothing is lost. */
void mt_os_event_write(int fd);

/* A thread: all signals blocked except those of faults, named (15 bytes). MOTE_EOS, MOTE_ENOMEM. */
mote_err mt_os_thread_start(pthread_t *thread, void *(*run)(void *), void *arg, const char *name);
/* Waits for its end. Blocks. */
void mt_os_thread_join(pthread_t thread);
/* Lets another thread of the machine run. */
void mt_os_thread_yield(void);

/* The program's log of last resort: one write to stderr, control bytes escaped; drops the text when it cannot be written. */
void mt_os_log(const char *text);

/* Fault injection (built with MT_FAULTS): the `nth` call (1-based) of a function above that can fail does fail; all later
 * ones too when `sticky`. 0 disarms. Counting starts anew with each arming. */
void mt_os_fault_arm(uint64_t nth, bool sticky);
/* Calls counted since arming. */
uint64_t mt_os_fault_count(void);
/* Blocks that are allocated and bytes that are mapped by the functions above now, for tests that look for leaks (MT_FAULTS; else 0). */
void mt_os_fault_live(size_t *blocks, size_t *mapped);
/* Whether this call shall fail; used by os.c, os_fd.c and slab.h alone. */
bool mt_os_fault(void);

#endif
