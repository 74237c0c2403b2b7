/* SPDX-License-Identifier: Apache-2.0
 * What OS processes of one node share: memory files, events, descriptors sent over sockets, and programs that are started.
 *
 * Any thread. Everything that can fail passes a fault point of os.h; on failure errno says why.
 * I1 every descriptor made or received here is closed on exec; a started program gets those it is given, and no other of ours.
 * I2 a memory file has a size that nobody can change any more before its descriptor is handed out; who gets one maps none that could
 *    still change (mt_os_memory_size()): else a page beyond its end would be a fault.
 * I3 no memory of this program is copied to start another (no fork).
 */
#ifndef MT_BASE_OS_FD_H
#define MT_BASE_OS_FD_H

#include <sys/types.h>

#include "base/os.h"

#define MT_FDS_MAX 128u /* descriptors in one message */

void mt_os_close(int fd);

/* A memory file of `size` bytes, zeroed and without memory until it is touched, whose size is sealed. `name` is for /proc alone. Gives the
 * descriptor. MOTE_EOS. */
mote_err mt_os_memory_new(const char *name, size_t size, int *fd);
/* A descriptor of the same file that can be mapped privately and for reading only. (The seal that the kernel has for this would forbid its owner to give
 * memory back.) Gives. MOTE_EOS: also where there is no /proc. */
mote_err mt_os_memory_reader(int fd, int *reader);
/* Size of a memory file whose size is sealed; MOTE_EARG for any other file: I2. */
mote_err mt_os_memory_size(int fd, size_t *size);
/* Another descriptor of the same. Gives. MOTE_EOS. */
mote_err mt_os_dup(int fd, int *copy);
/* Maps whole pages of a file from its start, readable and writable: `shared` with the others, or as a private copy that is made page by page when
 * written. Takes no memory at first. Borrows fd. NULL on failure; mt_os_unmap() undoes it. */
void *mt_os_memory_map(int fd, size_t size, bool shared);
/* Gives the file's memory there back; it reads as zero. Whole pages. Whether it did. */
bool mt_os_memory_punch(int fd, size_t offset, size_t size);

/* Reads a secret's file: a regular one of the caller's own that nobody else may read, not through a symbolic link at its end unless `follows`, of `room` bytes at most; *size gets how many. MOTE_ENOPROC:
 * there is none; MOTE_EARG: it is not so, or larger; MOTE_EOS. */
mote_err mt_os_secret_read(const char *path, bool follows, char *to, size_t room, size_t *size);
/* Makes it, readable for its owner alone. MOTE_EBUSY: it is there; MOTE_EOS. */
mote_err mt_os_secret_make(const char *path, const char *text, size_t size);
/* The same of any file, which is found through links, and made with permissions of its own; and of one in the place of another, which is there until the new one is whole. */
mote_err mt_os_file_read(const char *path, char *to, size_t room, size_t *size);
mote_err mt_os_file_make(const char *path, const char *text, size_t size, unsigned mode);
mote_err mt_os_file_replace(const char *path, const char *text, size_t size, unsigned mode);
/* Whether anything is there. */
bool mt_os_file_there(const char *path);
/* Makes a folder for its owner alone. MOTE_EBUSY: something is there; MOTE_EOS. */
mote_err mt_os_folder_make(const char *path);

/* An event for mt_os_event_write(), non-blocking. Gives. MOTE_EOS. */
mote_err mt_os_event_new(int *fd);
/* Takes what has been written; whether there was anything. */
bool mt_os_event_clear(int fd);

/* Two ends of a socket that keeps messages apart; non-blocking. Gives both. MOTE_EOS. */
mote_err mt_os_socket_pair(int ends[2]);
/* Sends one message of 1 to some thousand bytes with `count` descriptors, which it borrows. MOTE_TIMEOUT: there is no room now; MOTE_ESTOPPED: the other end is
 * closed; MOTE_EOS. No signal. */
mote_err mt_os_fds_send(int socket, const void *data, size_t size, const int *fds, size_t count);
/* Receives one. Gives the descriptors. MOTE_TIMEOUT: there is none now; MOTE_ESTOPPED: the other end is closed; MOTE_ERANGE: larger than the room, or
 * with more descriptors than asked for (all of them are closed); MOTE_EOS. */
mote_err mt_os_fds_receive(int socket, void *data, size_t room, size_t *size, int *fds, size_t fds_room, size_t *count);

/* A program: found by path. Its descriptors are 0, 1, 2 as here, and 3, 4 ... those of `fds`. All are borrowed until the call returns. */
struct mt_os_program {
    const char *path;
    char *const *argv; /* ends with NULL */
    char *const *environment; /* ends with NULL; NULL: as here */
    const int *fds;
    size_t fd_count; /* <= MT_FDS_MAX */
};
/* Starts it with no signal blocked or ignored. Gives the pid, which is to be waited for, and a descriptor that is readable once it has ended. MOTE_EOS: it cannot be
 * started (also: no such program). Blocks until its memory is its own. */
mote_err mt_os_program_start(const struct mt_os_program *program, pid_t *pid, int *process);
/* A descriptor for a process that lives or has not been waited for. Gives. MOTE_EOS. */
mote_err mt_os_process_open(pid_t pid, int *process);
/* Sends it a signal; one that has ended gets none. */
void mt_os_process_kill(int process, int signal);

/* How a process ended. */
struct mt_os_end {
    bool known;  /* false: somebody else has waited for it */
    bool dumped; /* with a core dump */
    int signal;  /* that ended it, or 0 */
    int code;    /* of its exit, when signal is 0 */
};
/* Waits for a child's end, which frees its pid. MOTE_TIMEOUT: it lives, and `blocks` is false. MOTE_EOS. */
mote_err mt_os_process_wait(int process, bool blocks, struct mt_os_end *end);

#endif
