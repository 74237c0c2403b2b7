/* SPDX-License-Identifier: Apache-2.0
 * Descriptors that OS processes share: see os_fd.h. Linux. */
#define _GNU_SOURCE
#include "base/os_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define WAIT_PIDFD ((idtype_t)3) /* P_PIDFD */
#define CHILD_FD_FIRST 3

extern char **environ;

/* A fault point: gives true, and sets errno as the system would, when this call shall fail. */
static bool fails_with(int code) {
    if (!mt_os_fault()) return false;
    errno = code;
    return true;
}

void mt_os_close(int fd) {
    int errno_old = errno;
    close(fd); /* after EINTR the descriptor is closed as well */
    errno = errno_old;
}

/* Keeps errno as the failure set it. */
static mote_err close_failed(int fd) {
    mt_os_close(fd);
    return MOTE_EOS;
}

/* ------------------------------------------------------------------------------------------ memory files */

mote_err mt_os_memory_new(const char *name, size_t size, int *fd) {
    MT_ASSERT(size && size % mt_os_page_size() == 0);
    if (fails_with(EMFILE)) return MOTE_EOS;
    int made = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (made < 0) return MOTE_EOS;
    if (fails_with(ENOMEM) || ftruncate(made, (off_t)size)) return close_failed(made);
    if (fcntl(made, F_ADD_SEALS, SEALS)) return close_failed(made);
    *fd = made;
    return MOTE_OK;
}

mote_err mt_os_memory_reader(int fd, int *reader) {
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fails_with(EMFILE)) return MOTE_EOS;
    int made = open(path, O_RDONLY | O_CLOEXEC);
    if (made < 0) return MOTE_EOS;
    *reader = made;
    return MOTE_OK;
}

mote_err mt_os_dup(int fd, int *copy) {
    int made = fails_with(EMFILE) ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (made < 0) return MOTE_EOS;
    *copy = made;
    return MOTE_OK;
}

mote_err mt_os_memory_size(int fd, size_t *size) {
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS) return MOTE_EARG; /* I2 */
    off_t end = lseek(fd, 0, SEEK_END);
    if (end <= 0) return MOTE_EARG;
    *size = (size_t)end;
    return MOTE_OK;
}

bool mt_os_memory_punch(int fd, size_t offset, size_t size) {
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size) == 0;
}

/* -------------------------------------------------------------------------------------------------- files */

static mote_err read_file(const char *path, int flags, bool secret, char *to, size_t room, size_t *size) {
    struct stat of;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);
    if (fd < 0) return errno == ENOENT ? MOTE_ENOPROC : errno == ELOOP ? MOTE_EARG : MOTE_EOS;
    mote_err err = fstat(fd, &of) ? MOTE_EOS : S_ISREG(of.st_mode) && (!secret || (of.st_uid == geteuid() && !(of.st_mode & 077))) ? MOTE_OK : MOTE_EARG;
    ssize_t n = err ? 0 : read(fd, to, room);
    char more;
    if (!err && (n < 0 || (n == (ssize_t)room && read(fd, &more, 1) != 0))) err = n < 0 ? MOTE_EOS : MOTE_EARG;
    mt_os_close(fd);
    if (!err) *size = (size_t)n;
    return err;
}

mote_err mt_os_secret_read(const char *path, bool follows, char *to, size_t room, size_t *size) { return read_file(path, follows ? 0 : O_NOFOLLOW, true, to, room, size); }

mote_err mt_os_file_read(const char *path, char *to, size_t room, size_t *size) { return read_file(path, 0, false, to, room, size); }

mote_err mt_os_file_make(const char *path, const char *text, size_t size, unsigned mode) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) return errno == EEXIST ? MOTE_EBUSY : MOTE_EOS;
    bool done = write(fd, text, size) == (ssize_t)size;
    if (!done) unlink(path);
    mt_os_close(fd);
    return done ? MOTE_OK : MOTE_EOS;
}

mote_err mt_os_secret_make(const char *path, const char *text, size_t size) { return mt_os_file_make(path, text, size, 0400); }

mote_err mt_os_file_replace(const char *path, const char *text, size_t size, unsigned mode) {
    char made[4096];
    int n = snprintf(made, sizeof made, "%s.new", path);
    if (n < 0 || n >= (int)sizeof made) return errno = ENAMETOOLONG, MOTE_EOS;
    unlink(made); /* of one that was killed */
    mote_err err = mt_os_file_make(made, text, size, mode);
    if (err || rename(made, path) == 0) return err;
    int code = errno;
    unlink(made);
    errno = code;
    return MOTE_EOS;
}

bool mt_os_file_there(const char *path) {
    struct stat of;
    return lstat(path, &of) == 0;
}

mote_err mt_os_folder_make(const char *path) { return mkdir(path, 0700) == 0 ? MOTE_OK : errno == EEXIST ? MOTE_EBUSY : MOTE_EOS; }

/* ------------------------------------------------------------------------------------------------ events */

mote_err mt_os_event_new(int *fd) {
    if (fails_with(EMFILE)) return MOTE_EOS;
    int made = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (made < 0) return MOTE_EOS;
    *fd = made;
    return MOTE_OK;
}

bool mt_os_event_clear(int fd) {
    uint64_t count = 0;
    ssize_t n;
    do
        n = read(fd, &count, sizeof count);
    while (n < 0 && errno == EINTR);
    return n == sizeof count;
}

/* ----------------------------------------------------------------------------------------------- sockets */

mote_err mt_os_socket_pair(int ends[2]) {
    int made[2];
    if (fails_with(EMFILE) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, made)) return MOTE_EOS;
    memcpy(ends, made, sizeof made);
    return MOTE_OK;
}

/* Room for the descriptors of one message. */
union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(MT_FDS_MAX * sizeof(int))];
};

static mote_err error_of_socket(void) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return MOTE_TIMEOUT;
    return errno == EPIPE || errno == ECONNRESET ? MOTE_ESTOPPED : MOTE_EOS;
}

mote_err mt_os_fds_send(int socket, const void *data, size_t size, const int *fds, size_t count) {
    union control control = {0};
    struct iovec bytes = {(void *)(uintptr_t)data, size};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
    ssize_t n;
    MT_ASSERT(size && count <= MT_FDS_MAX); /* a message of no bytes could not be told from the end */
    if (count) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    }
    if (fails_with(ENOBUFS)) return MOTE_EOS;
    do
        n = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? error_of_socket() : MOTE_OK;
}

/* The descriptors of a message that came, up to MT_FDS_MAX. */
static size_t fds_of(struct msghdr *message, int *fds) {
    size_t count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        size_t more = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        MT_ASSERT(count + more <= MT_FDS_MAX);
        memcpy(fds + count, CMSG_DATA(c), more * sizeof(int));
        count += more;
    }
    return count;
}

mote_err mt_os_fds_receive(int socket, void *data, size_t room, size_t *size, int *fds, size_t fds_room, size_t *count) {
    union control control;
    struct iovec bytes = {data, room};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    int came[MT_FDS_MAX];
    ssize_t n;
    if (fails_with(ENOBUFS)) return MOTE_EOS;
    do
        n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0) return error_of_socket();
    size_t got = fds_of(&message, came);
    if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || got > fds_room) {
        while (got) mt_os_close(came[--got]);
        return MOTE_ERANGE;
    }
    if (n == 0) return MOTE_ESTOPPED;
    if (got) memcpy(fds, came, got * sizeof *fds);
    *count = got;
    *size = (size_t)n;
    return MOTE_OK;
}

/* ---------------------------------------------------------------------------------------------- programs */

/* Copies of the descriptors above all numbers that they are to have in the program. Gives how many were made. */
static size_t lift(const struct mt_os_program *program, int *lifted) {
    int above = CHILD_FD_FIRST + (int)program->fd_count;
    size_t n = 0;
    for (; n < program->fd_count; n++) {
        lifted[n] = fails_with(EMFILE) ? -1 : fcntl(program->fds[n], F_DUPFD_CLOEXEC, above);
        if (lifted[n] < 0) break;
    }
    return n;
}

/* Signals: none blocked, all as a new program has them. */
static int set_signals(posix_spawnattr_t *attributes) {
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int err = posix_spawnattr_setsigmask(attributes, &none);
    if (!err) err = posix_spawnattr_setsigdefault(attributes, &all);
    return err ? err : posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

static int start(const struct mt_os_program *program, const int *lifted, pid_t *pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int err = posix_spawn_file_actions_init(&actions);
    if (err) return err;
    err = posix_spawnattr_init(&attributes);
    if (err) {
        posix_spawn_file_actions_destroy(&actions);
        return err;
    }
    err = set_signals(&attributes);
    for (size_t i = 0; i < program->fd_count && !err; i++)
        err = posix_spawn_file_actions_adddup2(&actions, lifted[i], CHILD_FD_FIRST + (int)i);
    if (!err && mt_os_fault()) err = EAGAIN;
    char *const *environment = program->environment ? program->environment : environ;
    if (!err) err = posix_spawn(pid, program->path, &actions, &attributes, program->argv, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return err;
}

mote_err mt_os_program_start(const struct mt_os_program *program, pid_t *pid, int *process) {
    int lifted[MT_FDS_MAX], err = EMFILE;
    pid_t started = 0;
    MT_ASSERT(program->fd_count <= MT_FDS_MAX);
    size_t n = lift(program, lifted);
    if (n == program->fd_count) err = start(program, lifted, &started);
    while (n) mt_os_close(lifted[--n]);
    if (err) {
        errno = err;
        return MOTE_EOS;
    }
    if (mt_os_process_open(started, process)) { /* without it nobody could wait for the program: end it */
        err = errno;
        kill(started, SIGKILL);
        while (waitpid(started, NULL, 0) < 0 && errno == EINTR)
            ;
        errno = err;
        return MOTE_EOS;
    }
    *pid = started;
    return MOTE_OK;
}

mote_err mt_os_process_open(pid_t pid, int *process) {
    if (fails_with(EMFILE)) return MOTE_EOS;
    int made = (int)syscall(SYS_pidfd_open, pid, 0); /* close-on-exec always */
    if (made < 0) return MOTE_EOS;
    *process = made;
    return MOTE_OK;
}

void mt_os_process_kill(int process, int signal) { syscall(SYS_pidfd_send_signal, process, signal, NULL, 0); }

mote_err mt_os_process_wait(int process, bool blocks, struct mt_os_end *end) {
    siginfo_t info = {0};
    int err;
    do
        err = waitid(WAIT_PIDFD, (id_t)process, &info, WEXITED | (blocks ? 0 : WNOHANG));
    while (err && errno == EINTR);
    if (err && errno != ECHILD) return MOTE_EOS;
    if (!err && info.si_pid == 0) return MOTE_TIMEOUT;
    *end = (struct mt_os_end){.known = !err};
    if (err) return MOTE_OK;
    if (info.si_code == CLD_EXITED) {
        end->code = info.si_status;
    } else {
        end->signal = info.si_status;
        end->dumped = info.si_code == CLD_DUMPED;
    }
    return MOTE_OK;
}
