/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "base/os_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 128

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    struct sockaddr_storage room;
};

static bool fails_with(int code) {
    if (!mt_os_fault()) return false;
    errno = code;
    return true;
}

/* ----------------------------------------------------------------------------------------------- addresses */

/* Of a text and a port; its size, 0: it is none. */
static socklen_t parse(const char *text, uint16_t port, union address *to) {
    memset(to, 0, sizeof *to);
    if (inet_pton(AF_INET, text, &to->four.sin_addr) == 1) {
        to->four.sin_family = AF_INET;
        to->four.sin_port = htons(port);
        return sizeof to->four;
    }
    if (inet_pton(AF_INET6, text, &to->six.sin6_addr) != 1) return 0;
    to->six.sin6_family = AF_INET6;
    to->six.sin6_port = htons(port);
    return sizeof to->six;
}

static uint16_t port_of(const union address *a) { return ntohs(a->any.sa_family == AF_INET ? a->four.sin_port : a->six.sin6_port); }

static void print(const union address *a, char text[MT_NET_ADDRESS]) {
    const void *bytes = a->any.sa_family == AF_INET ? (const void *)&a->four.sin_addr : (const void *)&a->six.sin6_addr;
    if (!inet_ntop(a->any.sa_family, bytes, text, MT_NET_ADDRESS)) text[0] = 0;
}

static bool is_loopback(const union address *a) {
    if (a->any.sa_family == AF_INET) return ntohl(a->four.sin_addr.s_addr) >> 24 == 127;
    const struct in6_addr *six = &a->six.sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
}

static bool is_same_host(const union address *a, const union address *b) {
    char x[MT_NET_ADDRESS], y[MT_NET_ADDRESS];
    print(a, x);
    print(b, y);
    return strcmp(x, y) == 0;
}

bool mt_net_is_address(const char *text) {
    union address a;
    return parse(text, 0, &a) != 0;
}

bool mt_net_is_loopback(const char *address) {
    union address a;
    return parse(address, 0, &a) != 0 && is_loopback(&a);
}

mote_err mt_net_resolve_all(const char *host, char (*addresses)[MT_NET_ADDRESS], size_t max, size_t *count) {
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    size_t n = 0;
    if (fails_with(EIO) || getaddrinfo(host, NULL, &hints, &found)) return MOTE_ENOPROC;
    for (const struct addrinfo *one = found; one && n < max; one = one->ai_next, n++) {
        union address a = {0};
        memcpy(&a, one->ai_addr, one->ai_addrlen < sizeof a ? one->ai_addrlen : sizeof a);
        print(&a, addresses[n]);
    }
    freeaddrinfo(found);
    *count = n;
    return MOTE_OK;
}

mote_err mt_net_resolve(const char *host, char address[MT_NET_ADDRESS]) {
    size_t count;
    return mt_net_resolve_all(host, (char (*)[MT_NET_ADDRESS])address, 1, &count);
}

/* ------------------------------------------------------------------------------------------------- sockets */

static mote_err new_socket(int family, int *fd) {
    int made = fails_with(EMFILE) ? -1 : socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made < 0) return MOTE_EOS;
    *fd = made;
    return MOTE_OK;
}

#define NEAR_BUFFER (256 << 10)

/* Within a machine nothing is under way for long, so what waits in the system's buffers (up to 10 MB, otherwise) only delays what comes behind it. */
static void set_up(int fd, bool near) {
    const int on = 1, bytes = NEAR_BUFFER;
    if (near) (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    if (near) (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

mote_err mt_net_listen(const char *address, uint16_t *port, int *fd) {
    union address a;
    const int on = 1;
    socklen_t size = parse(address, *port, &a);
    int made = -1;
    if (!size) return MOTE_EARG;
    mote_err err = new_socket(a.any.sa_family, &made);
    if (err) return err;
    const int off = 0;
    (void)setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a.any.sa_family == AF_INET6) (void)setsockopt(made, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off); /* whatever the system's default is */
    if (bind(made, &a.any, size) || listen(made, BACKLOG) || getsockname(made, &a.any, &size)) {
        err = errno == EADDRINUSE ? MOTE_EBUSY : MOTE_EOS;
        mt_os_close(made);
        return err;
    }
    *port = port_of(&a);
    *fd = made;
    return MOTE_OK;
}

mote_err mt_net_accept(int listener, int *fd, char from[MT_NET_ADDRESS], bool *local) {
    union address peer = {0}, own = {0};
    socklen_t size = sizeof peer, own_size = sizeof own;
    int made = accept4(listener, &peer.any, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (made < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) return MOTE_ELIMIT;
        return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED ? MOTE_TIMEOUT : MOTE_EOS;
    }
    print(&peer, from);
    *local = is_loopback(&peer) || (!getsockname(made, &own.any, &own_size) && is_same_host(&peer, &own));
    set_up(made, *local);
    *fd = made;
    return MOTE_OK;
}

mote_err mt_net_turn_away(int listener, int *spare, char from[MT_NET_ADDRESS]) {
    bool local;
    int fd;
    if (*spare < 0 && mt_os_dup(listener, spare)) return MOTE_ELIMIT;
    mt_os_close(*spare);
    *spare = -1;
    mote_err err = mt_net_accept(listener, &fd, from, &local);
    if (!err) mt_os_close(fd);
    if (mt_os_dup(listener, spare)) *spare = -1;
    return err;
}

mote_err mt_net_dial(const char *address, uint16_t port, int *fd) {
    union address a;
    socklen_t size = parse(address, port, &a);
    int made = -1;
    if (!size) return MOTE_EARG;
    mote_err err = new_socket(a.any.sa_family, &made);
    if (err) return err;
    set_up(made, is_loopback(&a));
    if (connect(made, &a.any, size) && errno != EINPROGRESS && errno != EINTR) {
        err = errno == ECONNREFUSED ? MOTE_ENOPROC : MOTE_EOS;
        mt_os_close(made);
        return err;
    }
    *fd = made;
    return MOTE_OK;
}

mote_err mt_net_dialled(int fd) {
    int code = 0;
    socklen_t size = sizeof code;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size)) return MOTE_EOS;
    errno = code;
    return code == 0 ? MOTE_OK : code == ECONNREFUSED ? MOTE_ENOPROC : MOTE_EOS;
}

/* What a call has given. */
static mote_err given(ssize_t n, size_t *done) {
    if (n > 0) {
        *done = (size_t)n;
        return MOTE_OK;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? MOTE_TIMEOUT : MOTE_ESTOPPED;
}

mote_err mt_net_read(int fd, void *to, size_t size, size_t *done) { return given(recv(fd, to, size, 0), done); }
mote_err mt_net_write(int fd, const void *from, size_t size, size_t *done) { return given(send(fd, from, size, MSG_NOSIGNAL), done); }

mote_err mt_net_read_both(int fd, void *to, size_t size, void *then, size_t then_size, size_t *done) {
    struct iovec places[2] = {{to, size}, {then, then_size}};
    struct msghdr message = {.msg_iov = places, .msg_iovlen = 2};
    return given(recvmsg(fd, &message, 0), done);
}
