/* SPDX-License-Identifier: Apache-2.0
 * A million handler processes, then a million straight-line processes, alive at once. Each answers a message. What they take of the machine's
 * memory while they wait stays within the targets, and comes back when they have ended. Sanitizers and MOTE_TEST_UNDER (valgrind, qemu) get
 * fewer, and their memory, which is not ours, is not judged.
 */
#include <mote/mote.h>
#include <time.h>

#include "base/atomic.h"
#include "base/os.h"
#include "check.h"

#define HANDLER_BYTES_MAX 256
#define STRAIGHT_BYTES_MAX 4352
#define SLACK_BYTES ((size_t)64 << 20) /* what a runtime may keep when all have ended, with a tenth of what it had */
#define MAPS_MAX 65530                 /* the kernel's default limit */
#define FALL_MS 120000

static long count(void) {
    if (getenv("MOTE_TEST_UNDER")) return 500;
    return MT_TSAN ? 500 : MT_ASAN ? 20000 : 1000000; /* ThreadSanitizer takes a MiB for each stack */
}

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static long maps(void) {
    FILE *file = fopen("/proc/self/maps", "r");
    long n = 0;
    if (!file) return 0;
    for (int c; (c = getc(file)) != EOF;) n += c == '\n';
    fclose(file);
    return n;
}

/* {answer, Pid} asks for an answer, stop ends the process. */
static void straight(mote_self *self, mote_term arg) {
    mote_pid from;
    (void)arg;
    CHECK_OK(mote_receive_match(self, -1, "{answer, ?}", &from));
    CHECK_OK(mote_send(self, from, "answer"));
    CHECK_OK(mote_receive_match(self, -1, "stop"));
}

static void handle(mote_self *self, mote_term message, void *state) {
    mote_pid from;
    (void)state;
    if (mote_match(message, "{answer, ?}", &from)) CHECK_OK(mote_send(self, from, "answer"));
    if (mote_match(message, "stop")) mote_exit(self, MOTE_TERM_NIL);
}
static const mote_handler handler = {.name = "one of many", .handle = handle};

/* Every one is asked; so many at a time that the questions themselves take little memory. */
static void ask_all(mote_self *self, const mote_pid *pids, long n) {
    mote_term got;
    for (long asked = 0, answered = 0; answered < n; answered++) {
        for (; asked < n && asked < answered + 1000; asked++) CHECK_OK(mote_send(self, pids[asked], "{answer, ?}", mote_self_pid(self)));
        CHECK_OK(mote_receive(self, 60000, &got));
    }
}

/* Waits until memory has come back: a runtime gives back in idle moments what it has not used for a second. */
static size_t fallen(mote_self *self, size_t start, size_t peak) {
    size_t limit = start + SLACK_BYTES + (peak - start) / 10, rss;
    for (long until = now_ms() + FALL_MS; (rss = mt_os_rss()) > limit && now_ms() < until;) CHECK_OK(mote_sleep(self, 100));
    return rss;
}

static size_t rss_after(size_t start) {
    size_t rss = mt_os_rss();
    return rss > start ? rss : start;
}

static void many(mote_self *self, bool handlers, size_t bytes_max) {
    long n = count(), began = now_ms();
    bool judged = n == 1000000;
    mote_runtime_info info;
    mote_pid *pids = mt_os_map((size_t)n * sizeof *pids + mt_os_page_size() - (size_t)n * sizeof *pids % mt_os_page_size());
    CHECK(pids);
    memset(pids, 1, (size_t)n * sizeof *pids); /* is not to be counted */
    size_t start = mt_os_rss();
    for (long i = 0; i < n; i++)
        CHECK_OK(handlers ? mote_spawn_handler(self, &handler, MOTE_TERM_NIL, &pids[i]) : mote_spawn(self, straight, MOTE_TERM_NIL, &pids[i]));
    ask_all(self, pids, n);
    CHECK_OK(mote_runtime_info_get(self, &info));
    CHECK(info.processes == (uint64_t)n + 1);
    size_t alive = rss_after(start), each = (alive - start) / (size_t)n;
    long lines = maps(), asked = now_ms();
    for (long i = 0; i < n; i++) CHECK_OK(mote_send(self, pids[i], "stop"));
    do {
        CHECK_OK(mote_runtime_info_get(self, &info));
        CHECK_OK(mote_sleep(self, 1));
    } while (info.processes > 1);
    size_t peak = rss_after(alive);
    long ended = now_ms();
    size_t left = judged ? fallen(self, start, peak) : mt_os_rss();
    printf("# %ld %s: %zu bytes each (RSS), at most %zu; %ld maps, at most %d; started and answered in %ld ms, ended in %ld ms\n", n,
           handlers ? "handlers" : "straight-line processes", each, bytes_max, lines, MAPS_MAX, asked - began, ended - asked);
    printf("# RSS %zu MiB before, %zu MiB with all alive, %zu MiB when all had ended, %zu MiB %ld ms later%s\n", start >> 20, alive >> 20, peak >> 20,
           left >> 20, now_ms() - ended, judged ? "" : "; scaled down: memory is not judged");
    fflush(stdout);
    CHECK(!judged || each <= bytes_max);
    CHECK(!judged || left <= start + SLACK_BYTES + (peak - start) / 10);
    CHECK(lines < MAPS_MAX);
}

static void run(bool handlers, size_t bytes_max) {
    mote_runtime *rt;
    mote_self *self;
    CHECK_OK(mote_runtime_start(NULL, &rt));
    CHECK_OK(mote_attach(rt, &self));
    many(self, handlers, bytes_max);
    CHECK_OK(mote_detach(self));
    CHECK_OK(mote_runtime_stop(rt, 10000));
}

static void handlers(void) { run(true, HANDLER_BYTES_MAX); }
static void straight_line(void) { run(false, STRAIGHT_BYTES_MAX); }

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){TEST_SLOW(handlers, 300), TEST_SLOW(straight_line, 300), {0}});
}
