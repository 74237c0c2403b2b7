/* SPDX-License-Identifier: Apache-2.0
 * A channel's two ends in one program, over one memory file: what is put is taken, whole and in order, whatever its size. */
#include "worker/channel.h"

#include <pthread.h>

#include "base/os_fd.h"
#include "live.h"

struct ends {
    struct mt_channel *first, *second;
    struct mt_doorbell bells[2];
    int events[2];
    int fd;
};

static void open_ends(struct ends *e) {
    memset(e, 0, sizeof *e);
    for (int i = 0; i < 2; i++) CHECK_OK(mt_os_event_new(&e->events[i]));
    CHECK_OK(mt_os_memory_new("test", mt_channel_bytes(), &e->fd));
    CHECK_OK(mt_channel_new(e->fd, true, &e->bells[1], 0, e->events[1], &e->first));
    CHECK_OK(mt_channel_new(e->fd, false, &e->bells[0], 0, e->events[0], &e->second));
}

static void close_ends(struct ends *e) {
    mt_channel_free(e->first);
    mt_channel_free(e->second);
    for (int i = 0; i < 2; i++) mt_os_close(e->events[i]);
    mt_os_close(e->fd);
}

/* What the second end expects: records of a size that follows from their number. */
struct expected {
    uint64_t number;
    size_t (*size_of)(uint64_t number);
    mote_err answer;
};

static void fill(char *bytes, uint64_t number, size_t size) {
    for (size_t i = 0; i < size; i++) bytes[i] = (char)(number * 31 + i * 7);
}

static mote_err check_record(void *context, const void *record, size_t size) {
    struct expected *x = context;
    const char *bytes = record;
    CHECK_INT(size, x->size_of(x->number));
    for (size_t i = 0; i < size; i += 1 + i / 64) CHECK(bytes[i] == (char)(x->number * 31 + i * 7));
    x->number++;
    return x->answer;
}

static size_t small(uint64_t number) { return number % 200; }
static size_t mixed(uint64_t number) { return number % 50 == 49 ? 300000 + number * 1000 : number % 7 == 6 ? 60000 + number % 8000 : number % 1000; }

static void put(struct mt_channel *c, uint64_t number, size_t size) {
    char *bytes = malloc(size + 1);
    fill(bytes, number, size);
    (void)mt_channel_put(c, bytes, size);
    free(bytes);
}

static void all_arrive(size_t (*size_of)(uint64_t), uint64_t n) {
    struct ends e;
    struct expected x = {0, size_of, MOTE_OK};
    const struct mt_channel_sink sink = {check_record, &x};
    open_ends(&e);
    for (uint64_t i = 0; i < n; i++) {
        put(e.first, i, size_of(i));
        if (i % 3 == 0) CHECK(mt_channel_take(e.second, &sink) >= 0);
        if (i % 5 == 0) (void)mt_channel_flush(e.first);
    }
    while (!mt_channel_rests(e.second) || !mt_channel_rests(e.first) || x.number < n) {
        CHECK(mt_channel_take(e.second, &sink) >= 0);
        (void)mt_channel_flush(e.first);
    }
    CHECK_INT(x.number, n);
    close_ends(&e);
}
static void in_order(void) { all_arrive(small, (uint64_t)scaled(100000)); }
static void of_any_size(void) { all_arrive(mixed, 500); }

static size_t hundred(uint64_t number) { return (void)number, 100; }

/* Who puts too much is told so, once it is; and told when it has gone. */
static void crowds(void) {
    struct ends e;
    struct expected x = {0, hundred, MOTE_OK};
    const struct mt_channel_sink sink = {check_record, &x};
    char bytes[100];
    uint64_t n = 0;
    open_ends(&e);
    for (bool room = true; room; n++) {
        fill(bytes, n, sizeof bytes);
        room = mt_channel_put(e.first, bytes, sizeof bytes);
        CHECK(n < 100000);
    }
    CHECK(mt_channel_crowded(e.first) && n > MT_CHANNEL_CROWD / 100);
    CHECK(!mt_channel_flush(e.first));
    bool drained = false;
    while (x.number < n) {
        CHECK(mt_channel_take(e.second, &sink) > 0);
        drained |= mt_channel_flush(e.first);
    }
    CHECK(drained && !mt_channel_crowded(e.first));
    close_ends(&e);
}

/* Who leaves something waiting is woken when there is room. */
static void wakes_for_room(void) {
    struct ends e;
    struct expected x = {0, hundred, MOTE_OK};
    const struct mt_channel_sink sink = {check_record, &x};
    open_ends(&e);
    for (uint64_t i = 0; i < 5000; i++) put(e.first, i, 100);
    CHECK(mt_channel_rests(e.first));
    mt_doorbell_sleep(&e.bells[0], 0);
    for (int i = 0; i < 100 && atomic_load(&e.bells[0].sleeps); i++) CHECK(mt_channel_take(e.second, &sink) > 0);
    CHECK(mt_os_event_clear(e.events[0]));
    CHECK(!mt_channel_rests(e.first));
    close_ends(&e);
}

/* A record that is wrong cuts the channel: nothing more is taken from it. */
static void cut(void) {
    struct ends e;
    struct expected x = {0, hundred, MOTE_ETERM};
    const struct mt_channel_sink sink = {check_record, &x};
    open_ends(&e);
    for (uint64_t i = 0; i < 10; i++) put(e.first, i, 100);
    CHECK_INT(mt_channel_take(e.second, &sink), -1);
    CHECK_INT(mt_channel_take(e.second, &sink), -1);
    CHECK_INT(x.number, 1);
    CHECK(mt_channel_rests(e.second));
    close_ends(&e);
    int fd;
    struct mt_channel *c = NULL;
    CHECK_OK(mt_os_memory_new("small", 4096, &fd));
    CHECK_INT(mt_channel_new(fd, true, &e.bells[0], 0, -1, &c), MOTE_EARG);
    mt_os_close(fd);
}

/* Words of ours that no end would write, in the other's ring: a piece of nothing, sizes that cannot be. */
static mote_err nothing(void *context, const void *record, size_t size) { return (void)context, (void)record, (void)size, MOTE_OK; }

static void wrong_words(void) {
    static const uint64_t words[] = {3, 255, 2, 1, 1 | UINT64_MAX << 8, 1 | (uint64_t)100 << 8, 1 | ((uint64_t)1 << 40) << 8};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct ends e;
        struct mt_ring_out out;
        const struct mt_channel_sink sink = {nothing, NULL};
        open_ends(&e);
        void *memory = mt_os_memory_map(e.fd, mt_channel_bytes(), true);
        mt_ring_attach_out(&out, memory, MT_CHANNEL_RING);
        void *p = mt_ring_reserve(&out, 16);
        memcpy(p, &words[i], 8);
        mt_ring_commit(&out, 16);
        (void)mt_ring_publish(&out);
        CHECK_INT(mt_channel_take(e.second, &sink), -1);
        mt_os_unmap(memory, mt_channel_bytes());
        close_ends(&e);
    }
}

/* Several threads put, one takes: each one's stay in order. */
#define PUTTERS 3
struct putter {
    struct mt_channel *channel;
    uint32_t id, n;
};
static void *puts_many(void *context) {
    const struct putter *p = context;
    for (uint32_t i = 0; i < p->n; i++) (void)mt_channel_put(p->channel, &(uint32_t[2]){p->id, i}, 8);
    return NULL;
}
static mote_err counts(void *context, const void *record, size_t size) {
    uint32_t *seen = context, got[2];
    CHECK_INT(size, sizeof got);
    memcpy(got, record, sizeof got);
    CHECK(got[0] < PUTTERS && got[1] == seen[got[0]]);
    seen[got[0]]++;
    return MOTE_OK;
}

static void threads(void) {
    struct ends e;
    uint32_t seen[PUTTERS] = {0}, n = (uint32_t)scaled(100000);
    struct putter putters[PUTTERS];
    pthread_t ids[PUTTERS];
    const struct mt_channel_sink sink = {counts, seen};
    open_ends(&e);
    for (uint32_t i = 0; i < PUTTERS; i++) {
        putters[i] = (struct putter){e.first, i, n};
        CHECK_INT(pthread_create(&ids[i], NULL, puts_many, &putters[i]), 0);
    }
    for (uint64_t taken = 0; taken < (uint64_t)n * PUTTERS;) {
        int got = mt_channel_take(e.second, &sink);
        CHECK(got >= 0);
        taken += (uint64_t)got;
        if (got == 0) {
            (void)mt_channel_flush(e.first);
            mt_os_thread_yield();
        }
    }
    for (uint32_t i = 0; i < PUTTERS; i++) CHECK_INT(pthread_join(ids[i], NULL), 0);
    close_ends(&e);
}

/* The other side says that it has taken what was never there: what waits is lost, nobody waits for ever, and the postman is told. */
static void wrong_heads(void) {
    struct ends e;
    struct expected x = {.size_of = small};
    const struct mt_channel_sink sink = {check_record, &x};
    for (int when = 0; when < 3; when++) {
        open_ends(&e);
        struct mt_ring_shared *ring = mt_os_memory_map(e.fd, mt_channel_bytes(), true);
        CHECK(ring);
        if (when == 0) atomic_store(&ring->head, 9); /* no record ends there */
        for (uint64_t n = 0; n < 2000; n++) {
            put(e.first, n, 200);
            if (n == 1990 && when == 1) atomic_store(&ring->head, UINT64_MAX - 7);
        }
        if (when == 2) atomic_store(&ring->head, (uint64_t)1 << 40);
        put(e.first, 0, 300000);
        (void)mt_channel_flush(e.first);
        CHECK(!mt_channel_crowded(e.first) && !mt_channel_rests(e.first));
        CHECK_INT(mt_channel_take(e.first, &sink), -1);
        CHECK(mt_channel_rests(e.first) && mt_channel_put(e.first, "lost", 4));
        mt_os_unmap(ring, mt_channel_bytes());
        close_ends(&e);
    }
}

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){TEST(in_order), TEST(of_any_size), TEST(crowds), TEST(wakes_for_room), TEST(cut), TEST(wrong_words), TEST(wrong_heads), TEST(threads), {0}});
}
