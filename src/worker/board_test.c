/* SPDX-License-Identifier: Apache-2.0
 * The board: names among processes and their limits, doorbells. */
#include "worker/board.h"

#include <fcntl.h>
#include <stdio.h>

#include "check.h"

#define PID(worker, n) ((uint64_t)(n) << 8 | (worker))
#define TOOL (MT_TSAN || MT_ASAN || getenv("MOTE_TEST_UNDER"))

static struct mt_board *board_new(void) {
    struct mt_board *board;
    CHECK_OK(mt_board_new(&board));
    return board;
}

static struct mt_board *other_view(struct mt_board *board) {
    struct mt_board *other;
    CHECK_OK(mt_board_open(fcntl(mt_board_fd(board), F_DUPFD_CLOEXEC, 3), &other));
    return other;
}

#define REGISTER(board, name, pid) mt_board_register(board, name, strlen(name), pid)
#define UNREGISTER(board, name, pid) mt_board_unregister(board, name, strlen(name), pid)
#define WHEREIS(board, name) mt_board_whereis(board, name, strlen(name))

static void names_are_seen_by_all(void) {
    struct mt_board *a = board_new(), *b = other_view(a);
    CHECK_INT(WHEREIS(b, "one"), 0);
    CHECK_OK(REGISTER(a, "one", 11));
    CHECK_OK(REGISTER(b, "two", 22));
    CHECK_OK(REGISTER(b, "a name of more than eight bytes", 33));
    CHECK(WHEREIS(a, "one") == 11 && WHEREIS(b, "one") == 11 && WHEREIS(a, "two") == 22 && WHEREIS(a, "on") == 0 && WHEREIS(a, "ones") == 0);
    CHECK(WHEREIS(a, "a name of more than eight bytes") == 33 && WHEREIS(a, "a name of more than eight bytez") == 0);
    CHECK_INT(REGISTER(b, "one", 12), MOTE_EBUSY);
    CHECK_INT(UNREGISTER(b, "one", 12), MOTE_ENAME);
    CHECK_INT(UNREGISTER(b, "three", 12), MOTE_ENAME);
    CHECK_OK(UNREGISTER(b, "one", 11));
    CHECK_INT(UNREGISTER(a, "one", 11), MOTE_ENAME);
    CHECK_INT(WHEREIS(a, "one"), 0);
    CHECK_OK(REGISTER(a, "one", 12));
    CHECK_INT(WHEREIS(b, "one"), 12);
    mt_board_free(a);
    CHECK_INT(WHEREIS(b, "two"), 22);
    mt_board_free(b);
}

static void names_have_limits(void) {
    struct mt_board *board = board_new();
    char name[MT_BOARD_NAME_MAX + 1];
    memset(name, 'x', sizeof name);
    CHECK_INT(mt_board_register(board, name, 0, 1), MOTE_ENAME);
    CHECK_INT(mt_board_register(board, name, sizeof name, 1), MOTE_ENAME);
    CHECK_INT(mt_board_unregister(board, name, sizeof name, 1), MOTE_ENAME);
    CHECK_INT(mt_board_whereis(board, name, sizeof name), 0);
    for (size_t size = 1; size <= MT_BOARD_NAME_MAX; size++) CHECK_OK(mt_board_register(board, name, size, size));
    for (size_t size = 1; size <= MT_BOARD_NAME_MAX; size++) CHECK_INT(mt_board_whereis(board, name, size), size);
    CHECK_OK(mt_board_register(board, "nul\0in it", 9, 9));
    CHECK(mt_board_whereis(board, "nul\0in it", 9) == 9 && mt_board_whereis(board, "nul", 3) == 0);
    mt_board_free(board);
}

/* The sum of all pids that are listed. */
static uint64_t list(struct mt_board *board, size_t *count) {
    char name[MT_BOARD_NAME_MAX], want[32];
    size_t cursor = 0, size;
    uint64_t pid, sum = 0;
    for (*count = 0; mt_board_next(board, &cursor, name, &size, &pid); ++*count) {
        snprintf(want, sizeof want, "name %llu", (unsigned long long)(pid >> 8));
        CHECK(size == strlen(want) && memcmp(name, want, size) == 0);
        sum += pid;
    }
    return sum;
}

static void the_dead_are_cleared(void) {
    struct mt_board *board = board_new();
    char name[32];
    size_t count, many = TOOL ? 300 : 30000;
    uint64_t sum = 0;
    for (size_t n = 1; n <= many; n++) {
        snprintf(name, sizeof name, "name %zu", n);
        CHECK_OK(REGISTER(board, name, PID(n % 3, n)));
        sum += PID(n % 3, n);
    }
    CHECK(list(board, &count) == sum && count == many);
    CHECK_INT(mt_board_clear(board, 255, 1), many / 3);
    CHECK_INT(mt_board_clear(board, 255, 1), 0);
    list(board, &count);
    CHECK_INT(count, many - many / 3);
    CHECK(WHEREIS(board, "name 1") == 0 && WHEREIS(board, "name 2") == PID(2, 2));
    CHECK_OK(REGISTER(board, "name 1", PID(5, 1)));
    mt_board_free(board);
}

/* A name taken and given up again takes nothing; new names do, up to the limits. */
static void there_is_an_end(void) {
    char name[MT_BOARD_NAME_MAX];
    size_t n = 0;
    mote_err err = MOTE_OK;
    if (TOOL) return; /* would take them minutes */
    struct mt_board *board = board_new();
    for (int i = 0; i < 2000000; i++) {
        CHECK_OK(REGISTER(board, "again", 7));
        CHECK_OK(UNREGISTER(board, "again", 7));
    }
    memset(name, 'l', sizeof name);
    for (; !err; n += !err) {
        memcpy(name, &n, sizeof n);
        err = mt_board_register(board, name, sizeof name, n + 1);
    }
    CHECK(err == MOTE_ELIMIT && n >= MT_BOARD_LETTERS / 1024 - 1 && n <= MT_BOARD_LETTERS / 1020);
    CHECK_OK(REGISTER(board, "again", 7)); /* an old name is no matter */
    mt_board_free(board);
    board = board_new();
    for (n = 0, err = MOTE_OK; !err; n += !err) err = mt_board_register(board, (char *)&n, sizeof n, n + 1);
    CHECK(err == MOTE_ELIMIT && n == MT_BOARD_NAMES);
    for (size_t i = 0; i < MT_BOARD_NAMES; i += 1000) CHECK_INT(mt_board_whereis(board, (char *)&i, sizeof i), i + 1);
    mt_board_free(board);
}

/* ----------------------------------------------------------------------------------------- several at once */

#define RACERS 4u
#define RACES (TOOL ? 200u : 5000u)

static struct {
    struct mt_board *board;
    _Atomic uint32_t arrived, won[RACERS], wrong;
} race;

/* All take the same names at the same time; each is had by one, who gives it up again. */
static void *run_race(void *arg) {
    unsigned me = (unsigned)(uintptr_t)arg;
    struct mt_board *board = other_view(race.board);
    char name[32];
    for (unsigned n = 0; n < RACES; n++) {
        snprintf(name, sizeof name, "race %u", n);
        atomic_fetch_add(&race.arrived, 1);
        while (atomic_load(&race.arrived) < RACERS * (2 * n + 1)) mt_os_thread_yield();
        bool won = REGISTER(board, name, PID(me, 1)) == MOTE_OK;
        atomic_fetch_add(&race.won[me], won);
        atomic_fetch_add(&race.arrived, 1);
        while (atomic_load(&race.arrived) < RACERS * (2 * n + 2)) mt_os_thread_yield();
        if ((WHEREIS(board, name) == PID(me, 1)) != won) atomic_fetch_add(&race.wrong, 1);
    }
    for (unsigned n = 0; n < RACES; n++) {
        snprintf(name, sizeof name, "race %u", n);
        if (WHEREIS(board, name) == PID(me, 1)) CHECK_OK(UNREGISTER(board, name, PID(me, 1)));
    }
    mt_board_free(board);
    return NULL;
}

static void one_of_several_wins(void) {
    pthread_t threads[RACERS];
    uint32_t sum = 0;
    size_t count;
    race.board = board_new();
    for (uintptr_t i = 0; i < RACERS; i++) CHECK_OK(mt_os_thread_start(&threads[i], run_race, (void *)i, "race"));
    for (unsigned i = 0; i < RACERS; i++) mt_os_thread_join(threads[i]);
    for (unsigned i = 0; i < RACERS; i++) sum += atomic_load(&race.won[i]);
    CHECK_INT(sum, RACES);
    CHECK_INT(atomic_load(&race.wrong), 0);
    list(race.board, &count);
    CHECK_INT(count, 0);
    mt_board_free(race.board);
}

/* ----------------------------------------------------------------------------------------------- the board */

static void other_files_are_refused(void) {
    struct mt_board *board = NULL;
    int fd;
    CHECK_OK(mt_os_memory_new("small", mt_os_page_size(), &fd));
    CHECK_INT(mt_board_open(fd, &board), MOTE_EARG);
    mt_os_close(fd);
    struct mt_board *good = board_new();
    size_t size;
    CHECK_OK(mt_os_memory_size(mt_board_fd(good), &size));
    CHECK_OK(mt_os_memory_new("no magic", size, &fd));
    CHECK_INT(mt_board_open(fd, &board), MOTE_EARG);
    mt_os_close(fd);
    CHECK_INT(mt_board_open(-1, &board), MOTE_EARG);
    CHECK(!board);
    mt_board_free(good);
}

static void a_bell_rings_once(void) {
    struct mt_board *board = board_new(), *other = other_view(board);
    struct mt_doorbell *mine = mt_board_doorbell(board, 63), *theirs = mt_board_doorbell(other, 63);
    int event;
    CHECK_OK(mt_os_event_new(&event));
    CHECK(!mt_doorbell_ring(theirs, 0, event) && !mt_os_event_clear(event));
    mt_doorbell_sleep(mine, 0);
    CHECK(mt_doorbell_ring(theirs, 0, event) && !mt_doorbell_ring(theirs, 0, event));
    mt_doorbell_wake(mine, event, true);
    CHECK(!mt_os_event_clear(event));
    mt_doorbell_sleep(mine, 0);
    mt_doorbell_wake(mine, event, false);
    CHECK(!mt_doorbell_ring(theirs, 0, event) && !mt_os_event_clear(event));
    mt_doorbell_sleep(mine, 64 + 63); /* D5: who knows its life before leaves it asleep */
    CHECK(!mt_doorbell_ring(theirs, 63, event) && !mt_doorbell_ring(theirs, 2 * 64 + 63, event) && !mt_os_event_clear(event));
    CHECK(mt_doorbell_ring(theirs, 64 + 63, event) && mt_os_event_clear(event));
    CHECK(mt_board_doorbell(board, 0) != mt_board_doorbell(board, 1));
    mt_board_free(board);
    mt_board_free(other);
}

#ifdef MT_FAULTS
static void boards_can_fail(void) {
    struct mt_board *board = NULL, *good = board_new();
    size_t blocks, mapped, blocks_after, mapped_after;
    mt_os_fault_live(&blocks, &mapped);
    for (int which = 0; which < 2; which++) {
        mote_err err = MOTE_EOS;
        for (uint64_t nth = 1; err; nth++) {
            int fd = which ? fcntl(mt_board_fd(good), F_DUPFD_CLOEXEC, 3) : -1;
            mt_os_fault_arm(nth, false);
            err = which ? mt_board_open(fd, &board) : mt_board_new(&board);
            mt_os_fault_arm(0, false);
            CHECK(err == MOTE_OK || err == MOTE_EOS || err == MOTE_ENOMEM);
            if (err && which) mt_os_close(fd);
            if (!err) mt_board_free(board);
            mt_os_fault_live(&blocks_after, &mapped_after);
            CHECK(blocks == blocks_after && mapped == mapped_after && (err || nth > 1));
        }
    }
    mt_board_free(good);
}
#else
static void boards_can_fail(void) {}
#endif

int main(int argc, char **argv) {
    return check_main(argc, argv,
                      (struct check_test[]){TEST(names_are_seen_by_all), TEST(names_have_limits), TEST(the_dead_are_cleared), TEST(there_is_an_end),
                                            TEST(one_of_several_wins), TEST(other_files_are_refused), TEST(a_bell_rings_once), TEST(boards_can_fail), {0}});
}
