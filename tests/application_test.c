/* SPDX-License-Identifier: Apache-2.0
 * Programs that are trees, run as programs: this one starts itself anew with the name of a scenario, talks to it by a pipe and by signals,
 * and looks at its exit code. */
#include <fcntl.h>
#include <mote/supervisor.h>
#include <sys/wait.h>

#include "live.h"

/* ------------------------------------------------------------------------------------------------ the program */

static void say(const char *text) {
    ssize_t n = write(STDOUT_FILENO, text, strlen(text));
    CHECK(n == (ssize_t)strlen(text));
}

/* Says that it runs and that it stops; the stubborn one only says so. */
static void leaf(mote_self *self, mote_term arg) {
    mote_term reason;
    char text[100];
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    mote_term_print(arg, text, sizeof text);
    say(text);
    do {
        CHECK_OK(mote_receive_match(self, -1, "{'EXIT', _, ?}", &reason));
        say(" -");
        say(text);
    } while (mote_match(arg, "stubborn"));
    mote_exit(self, reason);
}

/* Ends with its argument as soon as it runs. */
static void brief(mote_self *self, mote_term arg) { mote_exit(self, arg); }

static mote_err no_root(mote_self *self, mote_term arg, mote_pid *child) {
    (void)arg, (void)child;
    return mote_child_refuse(self, MOTE_EOS, atom("not_today"));
}
static mote_err bare_root(mote_self *self, mote_term arg, mote_pid *child) {
    (void)arg;
    return mote_spawn_link(self, leaf, atom("bare"), child);
}
static mote_err normal_root(mote_self *self, mote_term arg, mote_pid *child) {
    (void)arg;
    return mote_spawn_link(self, brief, atom("normal"), child);
}

static int program(const char *scenario) {
    mote_child_spec specs[] = {{.id = "a", .body = leaf, .arg = atom("a")}, {.id = "b", .body = leaf, .arg = atom("stubborn")}};
    mote_supervisor_options root = {.children = specs, .count = 2};
    mote_application app = {.root = &root};
    mote_options options = {.schedulers = 2, .blocking_max = 1, .chaos_seed = chaos_seed()};
    specs[1].shutdown_ms = MOTE_INFINITY;
    if (strcmp(scenario, "ordered") == 0) root.count = 1;
    if (strcmp(scenario, "too_long") == 0) app.stop_ms = 50;
    if (strcmp(scenario, "gives_up") == 0) specs[1] = (mote_child_spec){.id = "b", .body = brief, .arg = atom("x")};
    if (strcmp(scenario, "done") == 0) {
        root.auto_shutdown = MOTE_ANY_SIGNIFICANT;
        specs[1] = (mote_child_spec){.id = "b", .body = brief, .arg = atom("normal"), .restart = MOTE_TRANSIENT, .significant = true};
    }
    if (strcmp(scenario, "no_root") == 0) app = (mote_application){.start = no_root};
    if (strcmp(scenario, "bare") == 0) app = (mote_application){.start = bare_root};
    if (strcmp(scenario, "normal") == 0) app = (mote_application){.start = normal_root};
    if (strcmp(scenario, "wrong") == 0) app.start = no_root;
    int code = mote_application_run(&options, &app);
    say(" over"); /* the mask is as before, and nothing is pending */
    return code;
}

/* --------------------------------------------------------------------------------------------------- the tests */

struct run {
    pid_t pid;
    int out;
    char said[500];
    size_t size;
};

/* ThreadSanitizer sleeps a second in _exit(); in that time an idle thread of the blocking pool ends, and it tells of one that nobody has joined. */
static void end_without_delay(void) {
    const char *options = getenv("TSAN_OPTIONS");
    char text[400];
    snprintf(text, sizeof text, "%s%satexit_sleep_ms=0", options ? options : "", options ? ":" : "");
    setenv("TSAN_OPTIONS", text, 1);
}

static struct run start(const char *scenario) {
    struct run r = {.pid = -1};
    int ends[2];
    end_without_delay();
    CHECK(pipe(ends) == 0);
    if ((r.pid = fork()) == 0) {
        dup2(ends[1], STDOUT_FILENO);
        int quiet = open("/dev/null", O_WRONLY); /* what it logs is meant */
        dup2(quiet, STDERR_FILENO);
        execl("/proc/self/exe", "application_test", "--program", scenario, (char *)NULL);
        _exit(99);
    }
    CHECK(r.pid > 0);
    close(ends[1]);
    r.out = ends[0];
    return r;
}

/* Reads until the program has said this, or has ended. */
static bool hear(struct run *r, const char *want) {
    while (!want || !strstr(r->said, want)) {
        CHECK(r->size + 1 < sizeof r->said);
        ssize_t n = read(r->out, r->said + r->size, sizeof r->said - 1 - r->size);
        CHECK(n >= 0);
        if (n == 0) return false;
        r->size += (size_t)n;
    }
    return true;
}

/* All it said, and its code, when it has ended. */
static int end_of(struct run *r) {
    int status;
    hear(r, NULL);
    CHECK(waitpid(r->pid, &status, 0) == r->pid);
    close(r->out);
    if (!WIFEXITED(status)) fprintf(stderr, "# ended by signal %d after: %s\n", WTERMSIG(status), r->said);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void by_signal(int signal) {
    for (int i = 0; i < scaled(20); i++) {
        struct run r = start("ordered");
        CHECK(hear(&r, "a"));
        CHECK(kill(r.pid, signal) == 0);
        CHECK_INT(end_of(&r), 0);
        CHECK_STR(r.said, "a -a over");
    }
}
static void sigterm(void) { by_signal(SIGTERM); }
static void sigint(void) { by_signal(SIGINT); }

static void second_signal(void) {
    struct run r = start("stubborn");
    CHECK(hear(&r, "stubborn") && hear(&r, "a"));
    CHECK(kill(r.pid, SIGTERM) == 0);
    CHECK(hear(&r, "-stubborn"));
    CHECK(kill(r.pid, SIGINT) == 0);
    CHECK_INT(end_of(&r), 128 + SIGINT);
    CHECK(!strstr(r.said, "-a") && !strstr(r.said, "over")); /* the reverse order: a was not asked yet */
}

static void too_long(void) {
    struct run r = start("too_long");
    CHECK(hear(&r, "stubborn") && hear(&r, "a"));
    uint64_t since = now_ns();
    CHECK(kill(r.pid, SIGTERM) == 0);
    CHECK_INT(end_of(&r), 124);
    CHECK(ms_since(since) >= 50);
}

static void expect_end(const char *scenario, int code, const char *said) {
    struct run r = start(scenario);
    CHECK_INT(end_of(&r), code);
    CHECK(strstr(r.said, said) != NULL);
}
static void gives_up(void) { expect_end("gives_up", 1, "over"); }
static void done(void) { expect_end("done", 0, "over"); }
static void normal(void) { expect_end("normal", 0, "over"); }
static void no_start(void) { expect_end("no_root", 1, "over"); }
static void wrong(void) { expect_end("wrong", 1, "over"); }

static void bare(void) {
    struct run r = start("bare");
    CHECK(hear(&r, "bare"));
    CHECK(kill(r.pid, SIGINT) == 0);
    CHECK_INT(end_of(&r), 0);
    CHECK_STR(r.said, "bare -bare over");
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--program") == 0) return program(argv[2]);
    return check_main(argc, argv, (struct check_test[]){
        TEST(sigterm), TEST(sigint), TEST(second_signal), TEST(too_long), TEST(gives_up), TEST(done), TEST(normal), TEST(no_start),
        TEST(wrong), TEST(bare), {0}});
}
