/* SPDX-License-Identifier: Apache-2.0
 *
 * Workloads about time: timers, lateness, fairness beside processes that compute.
 */
#include "bench.h"

#include <stdlib.h>

/* -------------------------------------------------------------------------------------------------- timers */

static void call_in_time(mote_self *self, mote_pid echo, int64_t count) {
    mote_pid me = mote_self_pid(self);
    while (count-- > 0) {
        sure(mote_send(self, echo, "{?, x}", me));
        sure(mote_receive_match(self, 60000, "x"));
    }
}

void run_timers(mote_self *self, const struct bench *bench) {
    int64_t count = bench->number[0];
    mote_pid me = mote_self_pid(self);
    mote_ref *timers = take((size_t)count, sizeof *timers);
    int64_t t0 = now_ns();
    call_in_time(self, start(self, false, &echo_kind, MOTE_TERM_NIL), count);
    int64_t t1 = now_ns();
    out((double)(t1 - t0) / (double)count, "ns", "timer.recv_after_cancel");
    int64_t t2 = now_ns();
    for (int64_t k = 0; k < count; k++) sure(mote_send_after(self, 600000 + (k + 1) % 5000, me, &timers[k], "x"));
    int64_t t3 = now_ns();
    for (int64_t k = 0; k < count; k++) sure(mote_timer_cancel(self, timers[k], NULL));
    int64_t t4 = now_ns();
    free(timers);
    out((double)(t3 - t2) / (double)count, "ns", "timer.set");
    out((double)(t4 - t3) / (double)count, "ns", "timer.cancel");
}

/* Told {Parent, N}: takes N messages m and sends {t, Now}. */
static void collector_body(mote_self *self, mote_term arg) {
    mote_pid parent;
    int64_t count;
    expect(mote_match(arg, "{?, ?}", &parent, &count), "timers_fire: bad argument");
    count_in(self, count);
    sure(mote_send(self, parent, "{t, ?}", now_ns()));
}

/* The time that passes is bounded below by the last deadline; what counts is the processor time of each. */
void run_timers_fire(mote_self *self, const struct bench *bench) {
    int64_t count = bench->number[0], cpu = cpu_ns(), t0 = now_ns(), t1;
    mote_pid collector;
    mote_term arg;
    sure(mote_build(mote_scratch(self), &arg, "{?, ?}", mote_self_pid(self), count));
    sure(mote_spawn(self, collector_body, arg, &collector));
    for (int64_t k = 1; k <= count; k++) sure(mote_send_after(self, 1 + k % 1000, collector, NULL, "m"));
    sure(mote_receive_match(self, -1, "{t, ?}", &t1));
    out((double)(cpu_ns() - cpu) / (double)count, "ns", "timer.fire_cpu");
    out((double)(t1 - t0) / 1e6, "ms", "timer.fire_wall");
}

/* Told {Parent, Ms}: waits that long for what never comes, and sends d. */
static void sleeper_body(mote_self *self, mote_term arg) {
    mote_pid parent;
    int64_t ms;
    expect(mote_match(arg, "{?, ?}", &parent, &ms), "timers_procs: bad argument");
    expect(mote_receive_match(self, ms, "never") == MOTE_TIMEOUT, "timers_procs: no time-out");
    sure(mote_send(self, parent, "d"));
}

void run_timers_procs(mote_self *self, const struct bench *bench) {
    int64_t count = bench->number[0], cpu = cpu_ns(), t0 = now_ns();
    for (int64_t k = 1; k <= count; k++) {
        mote_term arg;
        sure(mote_build(mote_scratch(self), &arg, "{?, ?}", mote_self_pid(self), 1 + k % 1000));
        sure(mote_spawn(self, sleeper_body, arg, NULL));
        mote_arena_reset(mote_scratch(self));
    }
    wait_done(self, count);
    int64_t t1 = now_ns();
    out((double)(cpu_ns() - cpu) / (double)count, "ns", "timer.procs_cpu");
    out((double)(t1 - t0) / 1e6, "ms", "timer.procs_wall");
}

/* ------------------------------------------------------------------------------------- lateness and fairness */

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The value below which `percent` of the sorted values lie, in microseconds: the place that bench.erl takes. */
static double percentile_us(const int64_t *sorted, int64_t count, int64_t percent) {
    return (double)sorted[count * percent / 100 - 1] / 1000;
}

static void nap(mote_self *self) {
    expect(mote_receive_match(self, 1, "never") == MOTE_TIMEOUT, "no time-out");
}

/* How long `count` waits of 1 ms took; sorted. Gives an array for free(). */
static int64_t *naps(mote_self *self, int64_t count) {
    int64_t *took = take((size_t)count, sizeof *took);
    for (int64_t k = 0; k < count; k++) {
        int64_t t0 = now_ns();
        nap(self);
        took[k] = now_ns() - t0;
    }
    qsort(took, (size_t)count, sizeof *took, ascending);
    return took;
}

void run_late(mote_self *self, const struct bench *bench) {
    int64_t count = bench->number[0], *took = naps(self, count);
    out(percentile_us(took, count, 50), "us", "timer.sleep1ms_p50");
    out(percentile_us(took, count, 99), "us", "timer.sleep1ms_p99");
    free(took);
}

/* Computes for ever. C code is not preempted: like any long computation it says what it does, once in a microsecond. */
static void hog_body(mote_self *self, mote_term arg) {
    (void)arg;
    for (volatile uint32_t x = 0;;) {
        for (int k = 0; k < 200; k++) x = (x * 1103515245u + 12345u) & 0x7fffffffu;
        sure(mote_reductions(self, 100));
    }
}

static mote_pid *hogs_start(mote_self *self, int64_t count) {
    mote_pid *hogs = take((size_t)count, sizeof *hogs);
    for (int64_t k = 0; k < count; k++) sure(mote_spawn(self, hog_body, MOTE_TERM_NIL, &hogs[k]));
    return hogs;
}

static void hogs_stop(mote_self *self, mote_pid *hogs, int64_t count) {
    mote_term kill;
    sure(mote_build(mote_scratch(self), &kill, "kill"));
    for (int64_t k = 0; k < count; k++) sure(mote_exit_send(self, hogs[k], kill));
    free(hogs);
}

void run_fair(mote_self *self, const struct bench *bench) {
    int64_t hog_count = bench->number[0], count = bench->number[1], *took = take((size_t)count, sizeof *took);
    mote_pid *hogs = hogs_start(self, hog_count), echo = start(self, false, &echo_kind, MOTE_TERM_NIL);
    for (int64_t k = 0; k < count; k++) {
        int64_t t0 = now_ns();
        ping(self, echo, 1);
        took[k] = now_ns() - t0;
        nap(self);
    }
    hogs_stop(self, hogs, hog_count);
    qsort(took, (size_t)count, sizeof *took, ascending);
    out(percentile_us(took, count, 50), "us", "fair.h%s.p50", bench->text[0]);
    out(percentile_us(took, count, 99), "us", "fair.h%s.p99", bench->text[0]);
    free(took);
}

void run_lathog(mote_self *self, const struct bench *bench) {
    int64_t hog_count = bench->number[0], count = bench->number[1];
    mote_pid *hogs = hogs_start(self, hog_count);
    int64_t *took = naps(self, count);
    hogs_stop(self, hogs, hog_count);
    out(percentile_us(took, count, 50), "us", "timer.sleep1ms_h%s_p50", bench->text[0]);
    out(percentile_us(took, count, 99), "us", "timer.sleep1ms_h%s_p99", bench->text[0]);
    free(took);
}
