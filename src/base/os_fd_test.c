/* SPDX-License-Identifier: Apache-2.0
 * What OS processes share: memory files, events, sockets, programs. */
#define _GNU_SOURCE
#include "base/os_fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/atomic.h"
#include "check.h"

#define TOOL (getenv("MOTE_TEST_UNDER") != NULL) /* valgrind and qemu do not know descriptors of processes */

static int open_fds(void) {
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    CHECK(dir);
    while (readdir(dir)) count++;
    closedir(dir);
    return count;
}

static bool closed_on_exec(int fd) { return fcntl(fd, F_GETFD) & FD_CLOEXEC; }

/* ------------------------------------------------------------------------------------------ memory files */

static void a_memory_file_is_sealed(void) {
    size_t page = mt_os_page_size(), size = 0;
    int fd, before = open_fds();
    CHECK_OK(mt_os_memory_new("test", 8 * page, &fd));
    CHECK(closed_on_exec(fd));
    CHECK_OK(mt_os_memory_size(fd, &size));
    CHECK_INT(size, 8 * page);
    CHECK(ftruncate(fd, 0) == -1 && errno == EPERM);
    CHECK(ftruncate(fd, (off_t)(16 * page)) == -1 && errno == EPERM);
    char *a = mt_os_memory_map(fd, size, true), *b = mt_os_memory_map(fd, size, true);
    CHECK(a && b && a != b);
    a[5] = 7;
    CHECK(b[5] == 7);
    mt_os_unmap(a, size);
    mt_os_unmap(b, size);
    mt_os_close(fd);
    CHECK_INT(open_fds(), before);
}

static void a_private_map_is_a_copy(void) {
    size_t page = mt_os_page_size();
    int fd, reader;
    CHECK_OK(mt_os_memory_new("test", 2 * page, &fd));
    CHECK_OK(mt_os_memory_reader(fd, &reader));
    CHECK(closed_on_exec(reader));
    char *owner = mt_os_memory_map(fd, 2 * page, true), *mine = mt_os_memory_map(reader, 2 * page, false);
    CHECK(owner && mine);
    CHECK(!mt_os_memory_map(reader, 2 * page, true)); /* not to be written through */
    owner[0] = owner[page] = 1;
    mine[1] = 9;
    CHECK(owner[1] == 0 && mine[0] == 1 && mine[page] == 1);
    owner[0] = owner[page] = 2;
    CHECK(mine[0] == 1 && mine[page] == 2);
    mt_os_decommit(mine, page); /* the copy goes, the file is seen again */
    CHECK(mine[0] == 2 && mine[1] == 0);
    CHECK(!mt_os_memory_punch(reader, 0, page) && mt_os_memory_punch(fd, 0, page));
    CHECK(owner[0] == 0 && mine[0] == 0 && mine[page] == 2);
}

static void files_that_could_shrink_are_refused(void) {
    size_t page = mt_os_page_size(), size = 77;
    int fd = memfd_create("test", MFD_ALLOW_SEALING), ends[2];
    CHECK(fd >= 0);
    CHECK_OK(ftruncate(fd, (off_t)page));
    CHECK_INT(mt_os_memory_size(fd, &size), MOTE_EARG);
    CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK));
    CHECK_INT(mt_os_memory_size(fd, &size), MOTE_EARG);
    CHECK_OK(pipe(ends));
    CHECK_INT(mt_os_memory_size(ends[0], &size), MOTE_EARG);
    CHECK_INT(mt_os_memory_size(-1, &size), MOTE_EARG);
    CHECK_INT(size, 77);
    CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    CHECK_OK(mt_os_memory_size(fd, &size));
    CHECK_INT(size, page);
}

/* ------------------------------------------------------------------------------------- events and sockets */

/* Secrets, and files that replace others: in a folder of the test's own. */
static void files_are_made_and_read(void) {
    char folder[] = "/tmp/mote-files-XXXXXX", path[64], link[64], other[64], text[8];
    size_t size = 0;
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/secret", folder);
    snprintf(link, sizeof link, "%s/link", folder);
    snprintf(other, sizeof other, "%s/folder", folder);
    CHECK(!mt_os_file_there(path));
    CHECK_INT(mt_os_secret_read(path, true, text, sizeof text, &size), MOTE_ENOPROC);
    CHECK_OK(mt_os_secret_make(path, "12345", 5));
    CHECK_INT(mt_os_secret_make(path, "67890", 5), MOTE_EBUSY);
    CHECK(mt_os_file_there(path));
    CHECK_OK(mt_os_secret_read(path, false, text, sizeof text, &size));
    CHECK(size == 5 && memcmp(text, "12345", 5) == 0);
    CHECK_INT(mt_os_secret_read(path, false, text, 4, &size), MOTE_EARG);
    CHECK_OK(symlink("secret", link));
    CHECK_INT(mt_os_secret_read(link, false, text, sizeof text, &size), MOTE_EARG);
    CHECK_OK(mt_os_secret_read(link, true, text, sizeof text, &size));
    CHECK_OK(mt_os_file_replace(path, "new", 3, 0444));
    CHECK_INT(mt_os_secret_read(path, false, text, sizeof text, &size), MOTE_EARG); /* everybody may read it */
    CHECK_OK(mt_os_file_read(link, text, sizeof text, &size));
    CHECK(size == 3 && memcmp(text, "new", 3) == 0);
    CHECK_OK(mt_os_folder_make(other));
    CHECK_INT(mt_os_folder_make(other), MOTE_EBUSY);
    CHECK_INT(mt_os_file_read(other, text, sizeof text, &size), MOTE_EARG);
    CHECK_INT(mt_os_file_replace(other, "x", 1, 0444), MOTE_EOS);
    CHECK(unlink(path) == 0 && unlink(link) == 0 && rmdir(other) == 0 && rmdir(folder) == 0); /* nothing else is left */
}

static void events_add_up(void) {
    int fd;
    CHECK_OK(mt_os_event_new(&fd));
    CHECK(closed_on_exec(fd) && !mt_os_event_clear(fd));
    mt_os_event_write(fd);
    mt_os_event_write(fd);
    CHECK(mt_os_event_clear(fd) && !mt_os_event_clear(fd));
}

static void descriptors_travel(void) {
    int ends[2], pair[2], fds[3] = {0}, before = open_fds();
    char text[10];
    size_t size, count;
    CHECK_OK(mt_os_socket_pair(ends));
    CHECK(closed_on_exec(ends[0]) && closed_on_exec(ends[1]));
    CHECK_INT(mt_os_fds_receive(ends[1], text, sizeof text, &size, fds, 3, &count), MOTE_TIMEOUT);
    CHECK_OK(pipe(pair));
    CHECK_OK(mt_os_fds_send(ends[0], "one", 3, pair, 2));
    CHECK_OK(mt_os_fds_send(ends[0], "three", 5, NULL, 0));
    CHECK_OK(mt_os_fds_receive(ends[1], text, sizeof text, &size, fds, 3, &count));
    CHECK(size == 3 && memcmp(text, "one", 3) == 0 && count == 2 && closed_on_exec(fds[0]) && closed_on_exec(fds[1]));
    CHECK(write(fds[1], "x", 1) == 1 && read(pair[0], text, 1) == 1 && text[0] == 'x');
    CHECK_OK(mt_os_fds_receive(ends[1], text, sizeof text, &size, fds + 2, 1, &count));
    CHECK(size == 5 && memcmp(text, "three", 5) == 0 && count == 0);
    for (int i = 0; i < 2; i++) close(fds[i]), close(pair[i]), mt_os_close(ends[i]);
    CHECK_INT(open_fds(), before);
}

static void too_much_is_refused(void) {
    int ends[2], many[MT_FDS_MAX], fds[4], before;
    char text[10];
    size_t size, count;
    CHECK_OK(mt_os_socket_pair(ends));
    for (size_t i = 0; i < MT_FDS_MAX; i++) many[i] = ends[0];
    before = open_fds();
    CHECK_OK(mt_os_fds_send(ends[0], "x", 1, many, 5));
    CHECK_OK(mt_os_fds_send(ends[0], "more than ten bytes", 19, many, 3));
    CHECK_OK(mt_os_fds_send(ends[0], "y", 1, many, MT_FDS_MAX));
    for (int i = 0; i < 3; i++) CHECK_INT(mt_os_fds_receive(ends[1], text, sizeof text, &size, fds, 4, &count), MOTE_ERANGE);
    CHECK_INT(open_fds(), before); /* none was kept */
}

static void ends_are_told(void) {
    int ends[2], fd;
    char text[10] = "";
    size_t size, count;
    mote_err err;
    CHECK_OK(mt_os_socket_pair(ends));
    while ((err = mt_os_fds_send(ends[0], text, sizeof text, NULL, 0)) == MOTE_OK)
        ;
    CHECK_INT(err, MOTE_TIMEOUT); /* it is full */
    CHECK_OK(mt_os_fds_receive(ends[1], text, sizeof text, &size, &fd, 1, &count));
    mt_os_close(ends[1]);
    CHECK_INT(mt_os_fds_send(ends[0], "x", 1, NULL, 0), MOTE_ESTOPPED);
    CHECK_OK(mt_os_socket_pair(ends));
    mt_os_close(ends[0]);
    CHECK_INT(mt_os_fds_receive(ends[1], text, sizeof text, &size, &fd, 1, &count), MOTE_ESTOPPED);
}

/* ---------------------------------------------------------------------------------------------- programs */

static struct mt_os_end run(const char *script, const int *fds, size_t count, char *const *environment) {
    char *argv[] = {"sh", "-c", (char *)(uintptr_t)script, "word", NULL};
    struct mt_os_program program = {"/bin/sh", argv, environment, fds, count};
    struct mt_os_end end = {0};
    pid_t pid = 0;
    int process;
    CHECK_OK(mt_os_program_start(&program, &pid, &process));
    CHECK(pid > 0 && closed_on_exec(process));
    struct pollfd readable = {process, POLLIN, 0};
    CHECK_INT(poll(&readable, 1, 60000), 1);
    CHECK_OK(mt_os_process_wait(process, false, &end));
    mt_os_close(process);
    CHECK(waitpid(pid, NULL, WNOHANG) == -1 && errno == ECHILD); /* it was waited for */
    return end;
}

static void programs_get_what_they_are_given(void) {
    char text[100] = "", script[200], *environment[] = {"GREETING=hello", NULL};
    int pair[2], other[2], before;
    if (TOOL) return;
    CHECK_OK(pipe2(pair, O_CLOEXEC));
    CHECK_OK(pipe2(other, O_CLOEXEC));
    int fds[2] = {pair[1], other[0]}; /* 3 and 4 there, whatever they are here */
    CHECK(write(other[1], "given\n", 6) == 6);
    signal(SIGPIPE, SIG_IGN);
    snprintf(script, sizeof script, "read line <&4; echo $GREETING $0 $line >&3; test ! -e /proc/$$/fd/%d && test ! -e /proc/$$/fd/%d && exit 7",
             fcntl(pair[0], F_DUPFD_CLOEXEC, 20), fcntl(pair[0], F_DUPFD_CLOEXEC, 20));
    before = open_fds();
    struct mt_os_end end = run(script, fds, 2, environment);
    CHECK(end.known && end.code == 7 && !end.signal);
    CHECK(read(pair[0], text, sizeof text - 1) > 0);
    CHECK_STR(text, "hello word given\n");
    CHECK_INT(open_fds(), before);
}

static void numbers_may_cross(void) {
    char text[10] = "";
    int pair[2];
    if (TOOL) return;
    CHECK_OK(pipe2(pair, O_CLOEXEC));
    int ends[2] = {fcntl(pair[0], F_DUPFD_CLOEXEC, 20), fcntl(pair[1], F_DUPFD_CLOEXEC, 20)};
    CHECK_INT(dup2(ends[0], 4), 4);
    CHECK_INT(dup2(ends[1], 3), 3);
    int fds[2] = {4, 3}; /* which become 3 and 4 */
    CHECK(run("echo crossed >&4; read line <&3; test $line = crossed", fds, 2, NULL).code == 0);
    CHECK(fcntl(3, F_GETFD) >= 0 && fcntl(4, F_GETFD) >= 0 && write(3, "x", 1) == 1 && read(4, text, 1) == 1);
}

static void ends_of_programs_are_known(void) {
    char *argv[] = {"sh", "-c", "kill -9 $$", NULL}, *nothing[] = {"none", NULL}, *wait[] = {"sh", "-c", "read line", NULL};
    struct mt_os_program program = {"/bin/sh", wait, NULL, NULL, 0}, none = {"/nowhere/none", nothing, NULL, NULL, 0};
    struct mt_os_end end;
    pid_t pid;
    int process, pair[2], before = open_fds();
    if (TOOL) return;
    CHECK_INT(mt_os_program_start(&none, &pid, &process), MOTE_EOS);
    CHECK_INT(errno, ENOENT);
    CHECK_INT(open_fds(), before);
    CHECK_OK(pipe2(pair, O_CLOEXEC));
    CHECK(dup2(pair[0], 0) == 0);
    CHECK_OK(mt_os_program_start(&program, &pid, &process));
    CHECK_INT(mt_os_process_wait(process, false, &end), MOTE_TIMEOUT);
    mt_os_process_kill(process, SIGKILL);
    CHECK_OK(mt_os_process_wait(process, true, &end));
    CHECK(end.known && end.signal == SIGKILL && !end.dumped);
    CHECK_OK(mt_os_process_wait(process, true, &end)); /* again: somebody has waited for it */
    CHECK(!end.known);
    mt_os_process_kill(process, SIGKILL);
    program.argv = argv;
    CHECK_OK(mt_os_program_start(&program, &pid, &process));
    CHECK_OK(mt_os_process_wait(process, true, &end));
    CHECK(end.known && end.signal == SIGKILL);
}

/* ------------------------------------------------------------------------------------------------ faults */

#ifdef MT_FAULTS
/* Each call fails at each of its points, and leaves nothing open. */
static mote_err every_call(unsigned which) {
    char *argv[] = {"true", NULL};
    int fd = -1, ends[2] = {-1, -1}, in[1] = {0};
    struct mt_os_program program = {"/bin/true", argv, NULL, in, 1};
    pid_t pid;
    mote_err err;
    struct mt_os_end end;
    switch (which) {
    case 0: err = mt_os_memory_new("test", mt_os_page_size(), &fd); break;
    case 1: err = mt_os_event_new(&fd); break;
    case 2: err = mt_os_socket_pair(ends); break;
    case 3:
        err = mt_os_program_start(&program, &pid, &fd);
        if (!err) CHECK_OK(mt_os_process_wait(fd, true, &end));
        break;
    default: err = mt_os_process_open(getpid(), &fd);
    }
    if (fd >= 0) mt_os_close(fd);
    if (ends[0] >= 0) mt_os_close(ends[0]), mt_os_close(ends[1]);
    return err;
}

static void every_call_can_fail(void) {
    int before = open_fds();
    if (TOOL) return;
    for (unsigned which = 0; which < 5; which++) {
        uint64_t nth = 1;
        for (mote_err err = MOTE_EOS; err; nth++) {
            mt_os_fault_arm(nth, false);
            err = every_call(which);
            CHECK(err == MOTE_EOS || (err == MOTE_OK && nth > 1));
            CHECK((err == MOTE_OK) == (mt_os_fault_count() < nth));
        }
        mt_os_fault_arm(0, false);
        CHECK_INT(open_fds(), before);
        CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    }
}
#else
static void every_call_can_fail(void) {}
#endif

int main(int argc, char **argv) {
    return check_main(
        argc, argv,
        (struct check_test[]){TEST(a_memory_file_is_sealed), TEST(a_private_map_is_a_copy), TEST(files_that_could_shrink_are_refused), TEST(files_are_made_and_read), TEST(events_add_up),
                              TEST(descriptors_travel), TEST(too_much_is_refused), TEST(ends_are_told), TEST(programs_get_what_they_are_given),
                              TEST(numbers_may_cross), TEST(ends_of_programs_are_known), TEST(every_call_can_fail), {0}});
}
