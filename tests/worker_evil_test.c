/* SPDX-License-Identifier: Apache-2.0
 * An evil worker: it writes random and chosen values into every word that workers share, while the other side works. Nothing crashes, no call takes for
 * ever; a ring is cut. Under the sanitizers this shows that what is read is checked before it is used. The evil one is a process, so that all
 * it does is to write into memory that it maps.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "base/atomic.h"
#include "check.h"
#include "worker/blobs.h"
#include "worker/board.h"
#include "worker/channel.h"
#include "worker/ring.h"

#define CAPACITY 1024u
#define RECORD_MAX MT_RING_RECORD_MAX(CAPACITY)
#define MIB ((size_t)1 << 20)
#define ENOUGH 20u
#define ROUNDS (getenv("MOTE_TEST_UNDER") ? 200u : MT_ASAN || MT_TSAN ? 5000u : 50000u)

static uint64_t seed;

static uint64_t next_random(void) {
    uint64_t z = (seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    return (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
}

/* A value that is likely to hurt: small ones, sizes, powers of two and their neighbours, or any. */
static uint64_t evil_value(void) {
    uint64_t r = next_random(), bit = (uint64_t)1 << (r >> 8) % 64;
    switch (r % 8) {
    case 0: return (r >> 16) % 32;
    case 1: return bit;
    case 2: return bit - 1;
    case 3: return -bit;
    case 4: return (r >> 16) % (4 * CAPACITY);
    case 5: return (r >> 16) % CAPACITY & ~UINT64_C(7);
    case 6: return MT_RING_PADDING | (r >> 16) % CAPACITY;
    default: return next_random();
    }
}

/* What is written to. */
struct target {
    _Atomic uint64_t *words;
    size_t count;
    size_t heads; /* so many at the beginning are written as often as all others together */
};

/* The evil process, until it is killed. It never ends without that. */
static pid_t begin_evil(const struct target *target) {
    uint64_t from = next_random();
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (seed = from;;) {
        size_t at = next_random() % 2 ? next_random() % target->heads : next_random() % target->count;
        atomic_store_explicit(&target->words[at], evil_value(), memory_order_relaxed);
    }
}

static void end_evil(pid_t pid) {
    int status;
    kill(pid, SIGKILL);
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void *shared(size_t size) {
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

/* -------------------------------------------------------------------------------------------------- rings */

static size_t ring_bytes(void) { return (mt_ring_bytes(CAPACITY) + 4095) / 4096 * 4096; }

/* Takes until the ring is cut or the patience is over; whether it was cut. */
static bool consume(struct mt_ring_in *in) {
    char record[RECORD_MAX];
    size_t size;
    for (unsigned i = 0; i < 200; i++) {
        enum mt_ring_got got = mt_ring_next(in, &size);
        if (got == MT_RING_CUT) return true;
        if (got == MT_RING_EMPTY) continue;
        CHECK(size <= RECORD_MAX && mt_ring_left(in) == size);
        CHECK(mt_ring_read(in, record, size) && !mt_ring_read(in, record, 1));
        mt_ring_release(in);
    }
    return false;
}

static bool produce(struct mt_ring_out *out) {
    for (unsigned i = 0; i < 200; i++) {
        size_t size = next_random() % (RECORD_MAX + 1);
        char *p = mt_ring_reserve(out, size);
        if (p) {
            memset(p, 1, size);
            mt_ring_commit(out, size);
        }
        mt_ring_publish(out);
        if (!p) mt_ring_wants_room(out, size);
        if (out->cut) return true;
    }
    return false;
}

/* Each with an end of its own on one memory: a ring is cut early or late, or escapes. */
static void rings_are_cut(void) {
    char *memory = shared(ring_bytes());
    struct target all = {(void *)memory, mt_ring_bytes(CAPACITY) / 8, (sizeof(struct mt_ring_shared) + 64) / 8};
    pid_t evil = begin_evil(&all);
    unsigned cut_in = 0, cut_out = 0;
    for (unsigned i = 0; i < ROUNDS || cut_in < ENOUGH || cut_out < ENOUGH; i++) {
        struct mt_ring_in in;
        struct mt_ring_out out;
        mt_ring_init(memory, CAPACITY);
        mt_ring_attach_in(&in, memory, CAPACITY);
        mt_ring_attach_out(&out, memory, CAPACITY);
        cut_in += consume(&in);
        mt_ring_init(memory, CAPACITY);
        cut_out += produce(&out);
    }
    end_evil(evil);
    munmap(memory, ring_bytes());
}

/* The same with every state that a ring can be in and every value, without another process: nothing depends on the moment. */
static void each_word_is_looked_at(void) {
    char *memory = shared(ring_bytes());
    struct target all = {(void *)memory, mt_ring_bytes(CAPACITY) / 8, sizeof(struct mt_ring_shared) / 8};
    unsigned cut = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct mt_ring_in in;
        struct mt_ring_out out;
        mt_ring_init(memory, CAPACITY);
        mt_ring_attach_in(&in, memory, CAPACITY);
        mt_ring_attach_out(&out, memory, CAPACITY);
        for (unsigned steps = (unsigned)(next_random() % 30); steps; steps--) {
            size_t size = next_random() % 200;
            if (mt_ring_reserve(&out, size)) mt_ring_commit(&out, size);
            mt_ring_publish(&out);
            if (next_random() % 2) mt_ring_next(&in, &size);
            mt_ring_release(&in);
        }
        for (unsigned writes = (unsigned)(next_random() % 4); writes; writes--) {
            size_t at = next_random() % 2 ? 16 * (next_random() % 3) : next_random() % all.count;
            atomic_store(&all.words[at], evil_value());
        }
        cut += consume(&in);
        cut += produce(&out);
    }
    CHECK(cut > ROUNDS / 10);
    munmap(memory, ring_bytes());
}

/* ----------------------------------------------------------------------------------------------- channels */

static mote_err take_any(void *context, const void *record, size_t size) {
    const char *bytes = record;
    for (size_t i = 0; i < size; i += 512) *(unsigned *)context += (unsigned char)bytes[i];
    return MOTE_OK;
}

/* Puts and takes until it is cut, whichever side that is seen on. Nothing of it waits, for a lock or for room. */
static bool use_channel(struct mt_channel *c, const char *bytes, size_t most) {
    unsigned sum = 0;
    const struct mt_channel_sink sink = {take_any, &sum};
    for (unsigned i = 0; i < 2000; i++) {
        mt_channel_put(c, bytes, next_random() % (i % 200 == 0 ? most : 1000));
        mt_channel_flush(c);
        mt_channel_rests(c);
        if (mt_channel_take(c, &sink) < 0) return true;
    }
    return false;
}

static void channels_are_cut(void) {
    size_t most = 300000, bytes = mt_channel_bytes();
    char *data = calloc(1, most);
    unsigned cut = 0;
    int event;
    struct mt_doorbell bell = {0};
    CHECK(data);
    CHECK_OK(mt_os_event_new(&event));
    for (unsigned i = 0; i < (ROUNDS > 1000 ? 60u : 3u) || cut < 3; i++) {
        struct mt_channel *c;
        int fd;
        CHECK_OK(mt_os_memory_new("evil", bytes, &fd));
        char *memory = mt_os_memory_map(fd, bytes, true);
        CHECK(memory);
        CHECK_OK(mt_channel_new(fd, i % 2, &bell, 0, event, &c));
        struct target all = {(void *)(memory + (i % 4 / 2) * bytes / 2), bytes / 16, 64}; /* one of the two rings */
        pid_t evil = begin_evil(&all);
        cut += use_channel(c, data, most);
        end_evil(evil);
        mt_channel_free(c);
        mt_os_unmap(memory, bytes);
        mt_os_close(fd);
    }
    mt_os_close(event);
    free(data);
}

/* -------------------------------------------------------------------------------------------------- board */

static void use_board(struct mt_board *board, unsigned i) {
    char name[MT_BOARD_NAME_MAX];
    size_t size = 1 + next_random() % 40, cursor = 0;
    uint64_t pid;
    memset(name, (int)('a' + i % 16), size);
    mote_err err = mt_board_register(board, name, size, 5);
    CHECK(err == MOTE_OK || err == MOTE_EBUSY || err == MOTE_ELIMIT);
    mt_board_whereis(board, name, size);
    err = mt_board_unregister(board, name, size, 5);
    CHECK(err == MOTE_OK || err == MOTE_ENAME);
    if (i % 512 == 0) mt_board_clear(board, 7, 5);
    for (int some = 0; some < 8 && mt_board_next(board, &cursor, name, &size, &pid); some++) CHECK(size && size <= MT_BOARD_NAME_MAX && pid);
}

/* `from` and `count`: words of the board that are written to; a header of it at least. */
static void board_is_spoilt(size_t from, size_t count) {
    struct mt_board *board;
    size_t bytes;
    int event;
    CHECK_OK(mt_board_new(&board));
    CHECK_OK(mt_os_event_new(&event));
    CHECK_OK(mt_os_memory_size(mt_board_fd(board), &bytes));
    char *memory = mt_os_memory_map(mt_board_fd(board), bytes, true);
    CHECK(memory);
    for (unsigned i = 0; i < 64; i++) use_board(board, i);
    struct target words = {(_Atomic uint64_t *)(void *)memory + from, count < bytes / 8 ? count : bytes / 8, count < 16 ? count : 16};
    pid_t evil = begin_evil(&words);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct mt_doorbell *bell = mt_board_doorbell(board, i % MT_BOARD_WORKERS);
        use_board(board, i);
        mt_doorbell_ring(bell, 0, event);
        mt_doorbell_sleep(bell, 0);
        mt_doorbell_wake(bell, event, true);
    }
    end_evil(evil);
    mt_os_close(event);
    mt_os_unmap(memory, bytes);
    mt_board_free(board);
}

static void headers_of_boards_are_spoilt(void) { board_is_spoilt(0, 1024 + 16 + 64); } /* counts, bells, some buckets */

/* Where the entries are is the board's own affair: all words of its first 64 KiB behind the buckets are tried, and the letters. */
static void entries_of_boards_are_spoilt(void) {
    size_t buckets = ((size_t)MT_BOARD_NAMES * 2 * 4 + MT_BOARD_WORKERS * 128 + 128) / 8;
    board_is_spoilt(buckets - 16, 400);
}

/* Numbers in the buckets of names that are asked for: found by looking where a registration writes. */
static void buckets_of_boards_are_spoilt(void) {
    struct mt_board *board;
    size_t bytes, buckets = 0;
    CHECK_OK(mt_board_new(&board));
    CHECK_OK(mt_os_memory_size(mt_board_fd(board), &bytes));
    _Atomic uint32_t *words = mt_os_memory_map(mt_board_fd(board), bytes, true);
    CHECK(words);
    for (unsigned i = 0; i < ROUNDS / 100; i++) {
        use_board(board, i);
        for (size_t at = MT_BOARD_WORKERS * 32; at < MT_BOARD_WORKERS * 32 + 2 * (size_t)MT_BOARD_NAMES && i % 16 == 15 && i < 64; at++) {
            if (!atomic_load_explicit(&words[at], memory_order_relaxed)) continue;
            atomic_store(&words[at], (uint32_t)evil_value());
            buckets++;
        }
    }
    CHECK(buckets >= 16);
    mt_os_unmap(words, bytes);
    mt_board_free(board);
}

/* -------------------------------------------------------------------------------------------------- blobs */

/* Handles and notes with one field spoilt, or all: errors, or a use that can be read. The contents change while they are read. */
static void handles_are_spoilt(void) {
    struct mt_blobs *blobs;
    struct mt_blob_map *map;
    struct mt_blob_handle h;
    void *data;
    unsigned refused = 0, taken = 0;
    CHECK_OK(mt_blobs_new(0, MIB, MIB, &blobs));
    CHECK_OK(mt_blob_map_new(1, 0, fcntl(mt_blobs_fd(blobs), F_DUPFD_CLOEXEC, 3), &map));
    CHECK_OK(mt_blobs_make(blobs, 100000, &h, &data));
    struct target contents = {(void *)data, 100000 / 8, 64};
    pid_t evil = begin_evil(&contents);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct mt_blob_handle bad = h;
        struct mt_blob_use *use;
        struct mt_blob_note note;
        switch (next_random() % 4) {
        case 0: bad.size = evil_value(); break;
        case 1: bad.page = (uint32_t)evil_value(); break;
        case 2: bad.serial = (uint32_t)evil_value(); break;
        default: bad.owner = (mt_peer)evil_value();
        }
        mote_err err = mt_blob_map_take(map, &bad, (mt_peer)(next_random() % 2 ? 0 : 2), &use, &note);
        CHECK(err == MOTE_OK || err == MOTE_EARG);
        refused += err != MOTE_OK;
        if (err) continue;
        taken++;
        volatile const char *p = use->blob.data;
        for (size_t at = 0; at < use->blob.size; at += 1000) (void)p[at];
        (void)p[use->blob.size];
        memset((char *)use->blob.data - MOTE_BLOB_GAP, 1, MOTE_BLOB_GAP);
        mt_blob_use_drop(map, use, &note);
        mt_blobs_apply(blobs, &note, 1, &note);
    }
    end_evil(evil);
    CHECK(refused > ROUNDS / 10 && taken > ROUNDS / 100 && mt_blob_map_count(map) == 0);
    mt_blob_map_close(map);
    mt_blobs_free(blobs);
}

static void notes_are_spoilt(void) {
    struct mt_blobs *blobs;
    struct mt_blob_map *map;
    struct mt_blob_handle h[16], handle;
    struct mt_blob_use *use;
    struct mt_blob_note note, told;
    void *data;
    struct mt_blobs_info info;
    CHECK_OK(mt_blobs_new(0, 4 * MIB, MIB, &blobs));
    CHECK_OK(mt_blob_map_new(1, 0, fcntl(mt_blobs_fd(blobs), F_DUPFD_CLOEXEC, 3), &map));
    for (int i = 0; i < 16; i++) CHECK_OK(mt_blobs_make(blobs, 40000, &h[i], &data));
    CHECK_OK(mt_blob_map_take(map, &h[0], 0, &use, &note));
    CHECK_OK(mt_blob_use_pass(map, use, 2, &handle));
    for (unsigned i = 0; i < ROUNDS; i++) {
        note = (struct mt_blob_note){.kind = (uint32_t)next_random() % 5, .page = h[next_random() % 16].page, .serial = h[next_random() % 16].serial};
        note.count = (uint32_t)evil_value();
        note.peer = (mt_peer)evil_value();
        if (next_random() % 4 == 0) note.page = (uint32_t)evil_value();
        mt_blobs_apply(blobs, &note, (mt_peer)(1 + next_random() % 63), &told);
        if (i % 4 == 0) mt_blob_map_apply(map, &note, &told);
        mt_blobs_info_get(blobs, &info);
        CHECK_INT(info.live, 16); /* what others say takes nothing from the owner's own holds */
    }
    for (mt_peer peer = 1; peer < 64; peer++) mt_blobs_forget(blobs, peer);
    for (int i = 0; i < 16; i++) mt_blobs_drop(blobs, &h[i], 0);
    mt_blobs_info_get(blobs, &info);
    CHECK_INT(info.live, 0); /* and they keep nothing beyond their deaths */
    mt_blob_use_drop(map, use, &note);
    mt_blob_map_close(map);
    mt_blobs_free(blobs);
}

int main(int argc, char **argv) {
    const char *text = getenv("MOTE_TEST_SEED");
    seed = text ? strtoull(text, NULL, 10) : 1;
    printf("# seed %llu (MOTE_TEST_SEED)\n", (unsigned long long)seed);
    return check_main(argc, argv,
                      (struct check_test[]){TEST(rings_are_cut), TEST(each_word_is_looked_at), TEST(channels_are_cut), TEST(headers_of_boards_are_spoilt),
                                            TEST(entries_of_boards_are_spoilt), TEST(buckets_of_boards_are_spoilt), TEST(handles_are_spoilt),
                                            TEST(notes_are_spoilt), {0}});
}
