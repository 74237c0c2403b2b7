/* SPDX-License-Identifier: Apache-2.0
 * Rings: records come out as they went in, at every place of the ring; what cannot be cuts it. */
#include "worker/ring.h"

#include <poll.h>

#include "check.h"
#include "worker/doorbell.h"

#define CAPACITY 4096u
#define RECORD_MAX MT_RING_RECORD_MAX(CAPACITY)

static char memory[sizeof(struct mt_ring_shared) + CAPACITY] __attribute__((aligned(128)));

static void set_up(struct mt_ring_out *out, struct mt_ring_in *in) {
    memset(memory, 0, sizeof memory);
    mt_ring_init(memory, CAPACITY);
    mt_ring_attach_out(out, memory, CAPACITY);
    mt_ring_attach_in(in, memory, CAPACITY);
}

static char letter(size_t n, size_t i) { return (char)(n * 31 + i); }

/* Writes the n-th record; whether there was room. */
static bool put(struct mt_ring_out *out, size_t n, size_t size, size_t room) {
    char *p = mt_ring_reserve(out, room);
    if (!p) return false;
    for (size_t i = 0; i < size; i++) p[i] = letter(n, i);
    mt_ring_commit(out, size);
    return true;
}

static void check_got(struct mt_ring_in *in, size_t n, size_t size) {
    char got[RECORD_MAX];
    size_t came = 0;
    CHECK_INT(mt_ring_next(in, &came), MT_RING_RECORD);
    CHECK_INT(came, size);
    CHECK(mt_ring_read(in, got, came) && mt_ring_left(in) == 0);
    for (size_t i = 0; i < size; i++) CHECK(got[i] == letter(n, i));
}

static void check_empty(struct mt_ring_in *in) {
    size_t size = 0;
    CHECK_INT(mt_ring_next(in, &size), MT_RING_EMPTY);
}

static void records_come_as_they_went(void) {
    struct mt_ring_out out;
    struct mt_ring_in in;
    set_up(&out, &in);
    check_empty(&in);
    CHECK(!mt_ring_publish(&out));
    for (size_t n = 0; n < 20000; n++) { /* all sizes at all places */
        size_t size = n % (RECORD_MAX + 1);
        CHECK(put(&out, n, size, n % 3 ? size : RECORD_MAX));
        check_empty(&in); /* not published */
        CHECK(mt_ring_publish(&out));
        check_got(&in, n, size);
        check_empty(&in);
    }
}

static void several_are_published_at_once(void) {
    struct mt_ring_out out;
    struct mt_ring_in in;
    size_t written = 0, read = 0;
    set_up(&out, &in);
    for (unsigned round = 0; round < 3000; round++) {
        size_t before = written;
        while (put(&out, written, written % 100, written % 100)) written++;
        CHECK(written - read > CAPACITY / 108 / 2);
        CHECK(mt_ring_publish(&out) == (written > before) && !mt_ring_publish(&out));
        for (size_t some = (written - read) * (round % 4) / 3; some; some--, read++) check_got(&in, read, read % 100);
        mt_ring_release(&in);
    }
    for (; read < written; read++) check_got(&in, read, read % 100);
    check_empty(&in);
    CHECK(written > 50000);
}

static void records_are_read_in_parts(void) {
    struct mt_ring_out out;
    struct mt_ring_in in;
    char got[40] = "";
    size_t size;
    set_up(&out, &in);
    for (size_t n = 0; n < 1000; n++) {
        CHECK(put(&out, n, 30, 30) && put(&out, n, 20, 100));
        mt_ring_publish(&out);
        CHECK_INT(mt_ring_next(&in, &size), MT_RING_RECORD);
        CHECK(mt_ring_read(&in, got, 10) && mt_ring_left(&in) == 20 && !mt_ring_read(&in, got + 10, 21));
        CHECK(!mt_ring_release(&in)); /* the present record stays */
        CHECK(mt_ring_read(&in, got + 10, 5) && got[9] == letter(n, 9) && got[14] == letter(n, 14));
        check_got(&in, n, 20); /* the rest is passed over */
        CHECK(mt_ring_read(&in, got, 0) && !mt_ring_read(&in, got, 1));
    }
}

static void what_is_not_committed_is_forgotten(void) {
    struct mt_ring_out out;
    struct mt_ring_in in;
    set_up(&out, &in);
    for (size_t n = 0; n < 1000; n++) {
        CHECK(mt_ring_reserve(&out, n % RECORD_MAX));
        mt_ring_publish(&out); /* a padding at most */
        check_empty(&in);
        CHECK(put(&out, n, n % 200, RECORD_MAX) && mt_ring_publish(&out));
        check_got(&in, n, n % 200);
    }
}

static void who_needs_room_is_told(void) {
    struct mt_ring_out out;
    struct mt_ring_in in;
    size_t written = 0, read = 0;
    set_up(&out, &in);
    CHECK(mt_ring_wants_room(&out, RECORD_MAX)); /* there is room */
    for (unsigned round = 0; round < 100; round++) {
        while (put(&out, written, 100, 100)) written++;
        mt_ring_publish(&out);
        CHECK(!mt_ring_wants_room(&out, 100) && !mt_ring_wants_room(&out, RECORD_MAX));
        bool told = false;
        for (; !told; read++) {
            CHECK(read < written);
            check_got(&in, read, 100);
            told = mt_ring_release(&in);
        }
        CHECK((written - read) * 112 <= CAPACITY / 2 && read > 0); /* half of it is free, which is enough: R6 */
        CHECK(mt_ring_wants_room(&out, RECORD_MAX) && !mt_ring_release(&in));
        CHECK(mt_ring_reserve(&out, RECORD_MAX));
    }
}

/* ------------------------------------------------------------------------------------ what cannot be (R2) */

static struct mt_ring_shared *shared(void) { return (struct mt_ring_shared *)(void *)memory; }
static uint64_t *word(size_t at) { return (uint64_t *)(void *)(memory + sizeof(struct mt_ring_shared) + at); }

/* Two records are there, the first has been taken; then `spoil` writes. The consumer gets a record that can be, or the ring is cut for good. */
static enum mt_ring_got spoilt(uint64_t tail, uint64_t header) {
    struct mt_ring_out out;
    struct mt_ring_in in;
    size_t size;
    set_up(&out, &in);
    CHECK(put(&out, 1, 24, 24) && put(&out, 2, 24, 24));
    mt_ring_publish(&out);
    if (tail == 64) *word(32) = header;
    check_got(&in, 1, 24);
    if (tail != 64) {
        check_got(&in, 2, 24);
        *word(64) = header;
        atomic_store(&shared()->tail, tail);
    }
    enum mt_ring_got got = mt_ring_next(&in, &size);
    if (got != MT_RING_CUT) return got;
    set_up(&out, &(struct mt_ring_in){0}); /* all is well again, but not for this end */
    CHECK(put(&out, 1, 24, 24) && mt_ring_publish(&out));
    for (int i = 0; i < 3; i++) CHECK_INT(mt_ring_next(&in, &size), MT_RING_CUT);
    CHECK(in.cut);
    return got;
}

static void a_consumer_believes_nothing(void) {
    const uint64_t pad = MT_RING_PADDING;
    CHECK_INT(spoilt(64, 24), MT_RING_RECORD);
    CHECK_INT(spoilt(64, 17), MT_RING_RECORD);
    CHECK_INT(spoilt(64, 25), MT_RING_CUT); /* beyond what is published */
    CHECK_INT(spoilt(64, UINT64_MAX), MT_RING_CUT);
    CHECK_INT(spoilt(64, pad | 24), MT_RING_CUT); /* padding not to the end */
    CHECK_INT(spoilt(64, (uint64_t)1 << 32 | 24), MT_RING_CUT);
    CHECK_INT(spoilt(0, 8), MT_RING_CUT);                /* backwards */
    CHECK_INT(spoilt(56, 8), MT_RING_CUT);
    CHECK_INT(spoilt(96, 24), MT_RING_RECORD);
    CHECK_INT(spoilt(97, 24), MT_RING_CUT);
    CHECK_INT(spoilt(64 + CAPACITY, RECORD_MAX), MT_RING_RECORD);
    CHECK_INT(spoilt(64 + CAPACITY, RECORD_MAX + 1), MT_RING_CUT); /* larger than any record */
    CHECK_INT(spoilt(72 + CAPACITY, 24), MT_RING_CUT);
    CHECK_INT(spoilt(UINT64_MAX - 7, 24), MT_RING_CUT);
    CHECK_INT(spoilt(CAPACITY, pad | (CAPACITY - 64 - 8)), MT_RING_EMPTY);       /* padding and nothing behind it */
    CHECK_INT(spoilt(CAPACITY + 64, pad | (CAPACITY - 64 - 8)), MT_RING_RECORD); /* what lies at the start now */
    CHECK_INT(spoilt(CAPACITY - 8, pad | (CAPACITY - 64 - 8)), MT_RING_CUT);
    CHECK_INT(spoilt(CAPACITY, pad | (CAPACITY - 64)), MT_RING_CUT);
}

static void padding_does_not_go_round(void) {
    struct mt_ring_out out;
    struct mt_ring_in in;
    size_t size;
    set_up(&out, &in);
    *word(0) = MT_RING_PADDING | (CAPACITY - 8); /* all of the ring */
    atomic_store(&shared()->tail, CAPACITY);
    CHECK_INT(mt_ring_next(&in, &size), MT_RING_CUT);
}

static bool cut_by_head(uint64_t head) {
    struct mt_ring_out out;
    struct mt_ring_in in;
    size_t n = 0;
    set_up(&out, &in);
    while (put(&out, n, 100, 100)) n++;
    mt_ring_publish(&out);
    atomic_store(&shared()->head, head);
    bool room = mt_ring_reserve(&out, 100) != NULL;
    CHECK(!(room && out.cut) && (room || out.cut || head == 0));
    if (out.cut) {
        atomic_store(&shared()->head, 112); /* too late */
        CHECK(!mt_ring_reserve(&out, 0) && mt_ring_wants_room(&out, 0) && !mt_ring_reserve(&out, 0));
    }
    return out.cut;
}

static void a_producer_believes_nothing(void) {
    uint64_t all = CAPACITY / 112 * 112;
    CHECK(!cut_by_head(0) && !cut_by_head(112) && !cut_by_head(all));
    CHECK(cut_by_head(all + 8) && cut_by_head(113) && cut_by_head(UINT64_MAX - 7) && cut_by_head(UINT64_MAX) && cut_by_head((uint64_t)1 << 63));
}

/* ------------------------------------------------------------------------------------------- two threads */

#define MANY (MT_TSAN || getenv("MOTE_TEST_UNDER") ? 20000u : 2000000u)

static struct {
    struct mt_doorbell bells[2]; /* the producer's, the consumer's */
    int events[2];
    size_t many;
} pair;

static size_t size_of(size_t n) { return n % 7 == 0 ? n % RECORD_MAX : 24; }

/* Until the bell is rung, if `sleeps`; then awake. */
static void sleep_on(int who, bool sleeps) {
    struct pollfd readable = {pair.events[who], POLLIN, 0};
    while (sleeps && poll(&readable, 1, -1) < 1)
        ;
    mt_doorbell_wake(&pair.bells[who], pair.events[who], sleeps);
}

static void *produce(void *arg) {
    struct mt_ring_out *out = arg;
    for (size_t n = 0; n < pair.many;) {
        if (put(out, n, size_of(n), size_of(n))) {
            n++;
            if (n % 5) continue;
        }
        if (mt_ring_publish(out)) mt_doorbell_ring(&pair.bells[1], 0, pair.events[1]);
        mt_doorbell_sleep(&pair.bells[0], 0);
        sleep_on(0, !mt_ring_wants_room(out, RECORD_MAX));
    }
    if (mt_ring_publish(out)) mt_doorbell_ring(&pair.bells[1], 0, pair.events[1]);
    return NULL;
}

static void consume_all(struct mt_ring_in *in, size_t *n) {
    char got[RECORD_MAX];
    size_t size;
    for (enum mt_ring_got is; (is = mt_ring_next(in, &size)) != MT_RING_EMPTY; ++*n) {
        CHECK(is == MT_RING_RECORD && size == size_of(*n));
        CHECK(mt_ring_read(in, got, size));
        if (size) CHECK(got[0] == letter(*n, 0) && got[size / 2] == letter(*n, size / 2) && got[size - 1] == letter(*n, size - 1));
    }
    if (mt_ring_release(in)) mt_doorbell_ring(&pair.bells[0], 0, pair.events[0]);
}

static void two_threads_sleep_and_wake(void) {
    struct mt_ring_out out;
    struct mt_ring_in in;
    pthread_t producer;
    set_up(&out, &in);
    pair.many = MANY;
    for (int i = 0; i < 2; i++) CHECK_OK(mt_os_event_new(&pair.events[i]));
    CHECK_OK(mt_os_thread_start(&producer, produce, &out, "produces"));
    for (size_t n = 0; n < pair.many;) {
        consume_all(&in, &n);
        if (n == pair.many) break;
        mt_doorbell_sleep(&pair.bells[1], 0);
        size_t before = n;
        consume_all(&in, &n);
        sleep_on(1, n == before);
    }
    mt_os_thread_join(producer);
    check_empty(&in);
}

int main(int argc, char **argv) {
    return check_main(
        argc, argv,
        (struct check_test[]){TEST(records_come_as_they_went), TEST(several_are_published_at_once), TEST(records_are_read_in_parts),
                              TEST(what_is_not_committed_is_forgotten), TEST(who_needs_room_is_told), TEST(a_consumer_believes_nothing),
                              TEST(padding_does_not_go_round), TEST(a_producer_believes_nothing), TEST(two_threads_sleep_and_wake), {0}});
}
