/* SPDX-License-Identifier: Apache-2.0
 * The test harness: each test runs in a child process of its own with a time limit, the results are TAP on stdout.
 *
 * Usage:  static void adds(void) { CHECK(1 + 1 == 2); }
 *         int main(int argc, char **argv) { return check_main(argc, argv, (struct check_test[]){TEST(adds), {0}}); }
 * A name as argument runs that test alone, in the same process (for debuggers). Any thread may CHECK.
 */
#ifndef MT_TESTS_CHECK_H
#define MT_TESTS_CHECK_H

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK_SECONDS_MAX 400u /* it ends what hangs; waits for what has to come last a minute at most */

struct check_test {
    const char *name;
    void (*run)(void);
    unsigned seconds_max; /* 0: CHECK_SECONDS_MAX */
};
#define TEST(name) {#name, name, 0}
#define TEST_SLOW(name, seconds) {#name, name, seconds}

__attribute__((noreturn, unused)) static void check_failed(const char *file, int line, const char *what) {
    char text[512];
    int n = snprintf(text, sizeof text, "# %s:%d: failed: %s\n", file, line, what);
    ssize_t ignored = write(STDERR_FILENO, text, n > 0 ? (size_t)n : 0);
    (void)ignored;
    abort();
}
#define CHECK(cond) ((cond) ? (void)0 : check_failed(__FILE__, __LINE__, #cond))
#define CHECK_OK(call) check_ok(__FILE__, __LINE__, #call, (int)(call))
#define CHECK_INT(got, want) check_int(__FILE__, __LINE__, #got, (int64_t)(got), (int64_t)(want))
#define CHECK_STR(got, want) check_str(__FILE__, __LINE__, #got, got, want)

__attribute__((unused)) static void check_ok(const char *file, int line, const char *what, int err) {
    char text[300];
    if (!err) return;
    snprintf(text, sizeof text, "%.200s gave error %d", what, err);
    check_failed(file, line, text);
}
__attribute__((unused)) static void check_int(const char *file, int line, const char *what, int64_t got, int64_t want) {
    char text[300];
    if (got == want) return;
    snprintf(text, sizeof text, "%.200s is %" PRId64 ", not %" PRId64, what, got, want);
    check_failed(file, line, text);
}
__attribute__((unused)) static void check_str(const char *file, int line, const char *what, const char *got, const char *want) {
    char text[400];
    if (got && want && strcmp(got, want) == 0) return;
    snprintf(text, sizeof text, "%.80s is `%.140s`, not `%.140s`", what, got ? got : "(null)", want ? want : "(null)");
    check_failed(file, line, text);
}

static inline int check_one(const struct check_test *t, unsigned n) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(t->seconds_max ? t->seconds_max : CHECK_SECONDS_MAX);
        t->run();
        exit(0); /* leak checkers report here */
    }
    int status = 0;
    while (pid > 0 && waitpid(pid, &status, 0) < 0)
        ;
    int failed = pid < 0 || status != 0;
    printf("%sok %u - %s", failed ? "not " : "", n, t->name);
    if (failed && WIFSIGNALED(status)) printf(" # signal %d%s", WTERMSIG(status), WTERMSIG(status) == SIGALRM ? ": too slow" : "");
    if (failed && WIFEXITED(status)) printf(" # exit %d", WEXITSTATUS(status));
    printf("\n");
    return failed;
}

__attribute__((unused)) static int check_main(int argc, char **argv, const struct check_test *tests) {
    unsigned n = 0, failed = 0;
    for (const struct check_test *t = tests; argc > 1 && t->name; t++)
        if (strcmp(t->name, argv[1]) == 0) return t->run(), 0;
    while (tests[n].name) n++;
    printf("1..%u\n", n);
    for (unsigned i = 0; i < n; i++) failed += (unsigned)check_one(&tests[i], i + 1);
    return failed ? 1 : 0;
}

#endif
