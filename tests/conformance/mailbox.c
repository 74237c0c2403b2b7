/* SPDX-License-Identifier: Apache-2.0
 * I: the mailbox, and large binaries in it. */
#include "conf.h"

static void length_seen(mote_self *self, struct out *out) {
    int violations = 0, n = rounds(200);
    for (int i = 0; i < n; i++) {
        mote_process_info info = {0};
        mote_pid pid = idle(self);
        do mote_must(self, mote_process_info_get(self, pid, LIMIT_MS, &info));
        while (info.mailbox); /* it has been told what it is, if it is in another worker */
        for (int k = 1; k <= 50; k++) mote_must(self, mote_send(self, pid, "?", k));
        mote_must(self, mote_process_info_get(self, pid, LIMIT_MS, &info));
        signal_exit(self, pid, "kill");
        violations += info.mailbox != 50;
    }
    put_violations(out, violations);
}

static void timeout_takes_nothing(mote_self *self, struct out *out) {
    mote_must(self, say(self, self_term(self), atom("a")));
    mote_must(self, say(self, self_term(self), atom("b")));
    mote_assert(self, mote_receive_match(self, 5, "zz") == MOTE_TIMEOUT);
    put_rest(self, out);
}

/* Bytes that the OS says are in memory; 0 where it cannot be asked. */
static int64_t resident(void) {
    long long size, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%lld %lld", &size, &pages) != 2) pages = 0;
    if (f) fclose(f);
    return pages * (int64_t)sysconf(_SC_PAGESIZE);
}

/* A binary of `size` equal bytes. */
static mote_term binary_of(mote_self *self, mote_arena *arena, int byte, size_t size) {
    void *data = malloc(size);
    mote_assert(self, data);
    memset(data, byte, size);
    mote_term binary = mote_binary_make(arena, data, size);
    free(data);
    mote_assert(self, binary.word);
    return binary;
}
static bool all_bytes(mote_bytes bytes, char byte) {
    const char *p = bytes.data;
    for (size_t i = 0; i < bytes.size; i++)
        if (p[i] != byte) return false;
    return true;
}

static void sends_binary(mote_self *self, mote_term arg) {
    mote_must(self, mote_send_term(self, pid_of(arg), binary_of(self, mote_scratch(self), 'x', 1000000)));
}
static void outlives_sender(mote_self *self, struct out *out) {
    mote_ref monitor;
    mote_bytes bytes = {0};
    start_monitored(self, sends_binary, self_term(self), &monitor);
    down(self, monitor);
    mote_must(self, mote_bytes_get(msg(self), &bytes));
    put(out, "%zu:%s", bytes.size, all_bytes(bytes, 'x') ? "true" : "false");
}

/* Tells the size and the place of what it gets, and keeps it. */
static void keeps_binary(mote_self *self, mote_term arg) {
    mote_bytes bytes = {0};
    mote_must(self, mote_bytes_get(msg(self), &bytes));
    mote_must(self, mote_send(self, pid_of(arg), "{?, ?}", bytes.size, (uint64_t)(uintptr_t)bytes.data));
    mote_must(self, mote_receive_match(self, -1, "'a message that never comes'"));
}
static void fan_out(mote_self *self, struct out *out) {
    enum { N = 200 };
    mote_pid pids[N];
    uint64_t place, first = 0, sum = 0, size;
    bool shared = true;
    for (int i = 0; i < N; i++) pids[i] = start_here(self, keeps_binary, self_term(self));
    mote_term binary = binary_of(self, mote_scratch(self), 7, 1000000);
    int64_t before = resident();
    for (int i = 0; i < N; i++) mote_must(self, mote_send_term(self, pids[i], binary));
    for (int i = 0; i < N; i++) {
        mote_must(self, mote_receive_match(self, LIMIT_MS, "{?, ?}", &size, &place));
        if (!i) first = place;
        shared &= place == first;
        sum += size;
    }
    bool grown = !under_tool() && resident() - before >= 20000000;
    for (int i = 0; i < N; i++) signal_exit(self, pids[i], "kill");
    put(out, "%llu", (unsigned long long)sum);
    put_bool(out, shared && !grown);
}

/* Bytes of binaries that some term still refers to. */
static atomic_llong held;
static void release(void *data, void *context) {
    atomic_fetch_sub(&held, (long long)(uintptr_t)context);
    free(data);
}
static void holds_binary(mote_self *self, mote_term arg) {
    enum { SIZE = 50000000 };
    mote_arena *arena = mote_arena_new(0);
    void *data = malloc(SIZE);
    mote_assert(self, arena && data);
    mote_must(self, mote_cleanup_add(self, free_arena, arena));
    memset(data, 7, SIZE);
    mote_term binary = mote_binary_share(arena, data, SIZE, release, (void *)(uintptr_t)SIZE);
    mote_assert(self, binary.word);
    atomic_fetch_add(&held, SIZE);
    tell(self, pid_of(arg), "ready");
    mote_must(self, mote_receive_match(self, -1, "go"));
}
static void freed_with_holder(mote_self *self, struct out *out) {
    bool seen = !under_tool() && resident();
    int64_t before = resident(), held_before = atomic_load(&held);
    for (int64_t last = before + 2000000; last - before > 1000000; before = resident()) { /* what others have left goes back now and then */
        last = before;
        settle(self);
    }
    mote_pid pid = start(self, holds_binary, self_term(self));
    mote_must(self, mote_receive_match(self, LIMIT_MS, "ready"));
    int64_t full = resident(), held_full = atomic_load(&held);
    signal_exit(self, pid, "kill");
    gone(self, pid);
    bool freed = false;
    for (uint64_t since = now_ns(); !freed && ms_since(since) < LIMIT_MS; settle(self))
        freed = atomic_load(&held) - held_before < 5000000 && (!seen || resident() - before < 5000000);
    put_bool(out, held_full - held_before > 40000000 && (!seen || full - before > 40000000));
    put_bool(out, freed);
}

const struct conf conf_mailbox[] = {
    CONF(I, 01, length_seen), CONF(I, 02, timeout_takes_nothing), CONF(I, 03, outlives_sender), CONF(I, 04, fan_out),
    CONF(I, 05, freed_with_holder), {0},
};
