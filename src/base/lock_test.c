/* SPDX-License-Identifier: Apache-2.0
 * Locks, with the checks of debug builds whatever the build is. */
#ifndef MT_DEBUG
#define MT_DEBUG
#endif
#include "base/lock.c"
#include "check.h"

static struct mt_lock wheel, table, depot, depot_other;
static int shared;

static void init_all(void) {
    mt_lock_init(&wheel, MT_RANK_WHEEL);
    mt_lock_init(&table, MT_RANK_TABLE);
    mt_lock_init(&depot, MT_RANK_DEPOT);
    mt_lock_init(&depot_other, MT_RANK_DEPOT);
}

static void fini_all(void) {
    mt_lock_fini(&wheel);
    mt_lock_fini(&table);
    mt_lock_fini(&depot);
    mt_lock_fini(&depot_other);
}

/* Runs `breaks` in a child: it must abort and say all of the words. */
static void check_aborts(void (*breaks)(void), const char *word1, const char *word2) {
    char text[512] = "";
    int ends[2], status = 0;
    CHECK_OK(pipe(ends));
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        breaks();
        _exit(0);
    }
    close(ends[1]);
    CHECK(read(ends[0], text, sizeof text - 1) > 0);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    CHECK(strstr(text, word1) && strstr(text, word2));
}

static void *add(void *arg) {
    for (int i = 0; i < 20000; i++) {
        while (i % 3 == 0 && !mt_lock_try(&depot)) mt_os_thread_yield();
        if (i % 3) mt_lock_take(&depot);
        shared++;
        mt_lock_drop(&depot);
    }
    return arg;
}

static void excludes(void) {
    pthread_t threads[4];
    init_all();
    for (int i = 0; i < 4; i++) CHECK_OK(mt_os_thread_start(&threads[i], add, NULL, "lock"));
    for (int i = 0; i < 4; i++) mt_os_thread_join(threads[i]);
    CHECK_INT(shared, 4 * 20000);
    fini_all();
}

static void ascending_is_fine(void) {
    init_all();
    mt_lock_assert_none();
    mt_lock_take(&wheel);
    mt_lock_take(&table);
    CHECK(mt_lock_try(&depot));
    mt_lock_drop(&table); /* in any order */
    mt_lock_drop(&wheel);
    mt_lock_drop(&depot);
    mt_lock_take(&table);
    mt_lock_drop(&table);
    mt_lock_assert_none();
    fini_all();
}

static void *try_wheel(void *arg) {
    *(int *)arg = mt_lock_try(&wheel);
    return NULL;
}

static void try_does_not_wait(void) {
    pthread_t thread;
    int got = -1;
    init_all();
    mt_lock_take(&wheel);
    CHECK_OK(mt_os_thread_start(&thread, try_wheel, &got, "lock"));
    mt_os_thread_join(thread);
    CHECK_INT(got, 0);
    mt_lock_drop(&wheel);
    fini_all();
}

static void descend(void) {
    mt_lock_take(&table);
    mt_lock_take(&wheel);
}

static void descend_trying(void) {
    mt_lock_take(&depot);
    mt_lock_try(&table);
}

static void take_same_rank(void) {
    mt_lock_take(&depot);
    mt_lock_take(&depot_other);
}

static void take_twice(void) {
    mt_lock_take(&depot);
    mt_lock_take(&depot);
}

static void drop_unheld(void) {
    mt_lock_drop(&wheel);
}

static void hold_one(void) {
    mt_lock_take(&wheel);
    mt_lock_assert_none();
}

static void violations_abort(void) {
    init_all();
    check_aborts(descend, "WHEEL", "TABLE");
    check_aborts(descend_trying, "TABLE", "DEPOT");
    check_aborts(take_same_rank, "order", "DEPOT");
    check_aborts(take_twice, "order", "DEPOT");
    check_aborts(drop_unheld, "WHEEL", "does not hold");
    check_aborts(hold_one, "WHEEL", "no lock");
    fini_all();
}

int main(int argc, char **argv) {
    return check_main(
        argc, argv,
        (struct check_test[]){TEST(excludes), TEST(ascending_is_fine), TEST(try_does_not_wait), TEST(violations_abort), {0}});
}
