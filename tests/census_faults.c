/* SPDX-License-Identifier: Apache-2.0
 *
 * Loaded into census by its test (LD_PRELOAD): a file's name says what happens to it.
 *   vanish-*  is removed just before it is opened: it was there when the walker saw it
 *   denied-*  cannot be opened (EACCES), even by root
 *   broken-*  fails (EIO) after its first ten bytes
 *   fatal-*   ends the program that opens it, unless that one's parent is the process in CENSUS_PARENT
 *   gate-*    waits in each read for a byte, or the end, of the descriptor in CENSUS_GATE
 */
#undef _FILE_OFFSET_BITS /* open() and open64() are to be two functions here */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

static int open_with(const char *path, int flags, mode_t mode) {
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    if (strncmp(name, "vanish-", 7) == 0) unlink(path);
    if (strncmp(name, "denied-", 7) == 0) {
        errno = EACCES;
        return -1;
    }
    const char *parent = getenv("CENSUS_PARENT");
    if (parent && strncmp(name, "fatal-", 6) == 0 && getppid() != atoi(parent)) _exit(7);
    return openat(AT_FDCWD, path, flags, mode);
}

EXPORTED int open(const char *path, int flags, ...);
EXPORTED int open64(const char *path, int flags, ...);
EXPORTED ssize_t read(int fd, void *buffer, size_t size);

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return open_with(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return open_with(path, flags, mode);
}

ssize_t read(int fd, void *buffer, size_t size) {
    ssize_t (*next)(int, void *, size_t);
    *(void **)&next = dlsym(RTLD_NEXT, "read");
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    const char *name = strrchr(path, '/');
    const char *gate = getenv("CENSUS_GATE");
    char token;
    if (name && gate && strncmp(name, "/gate-", 6) == 0 && next(atoi(gate), &token, 1) < 0) return -1;
    if (!name || strncmp(name, "/broken-", 8) != 0) return next(fd, buffer, size);
    if (lseek(fd, 0, SEEK_CUR) > 0) {
        errno = EIO;
        return -1;
    }
    return next(fd, buffer, size > 10 ? 10 : size);
}
