/* SPDX-License-Identifier: Apache-2.0
 * The port mapper's protocol over sockets: as its client, and as one of our own where none runs. */
#include <stdio.h>
#include <string.h>

#include "dist/node.h"

#define ANSWER_NS ((uint64_t)5000000000)
#define LOOPBACK "127.0.0.1"
#define LOOPBACK6 "::1"
#define EVERYWHERE "::" /* of IPv4, too */
#define EVERYWHERE4 "0.0.0.0"
#define LISTENERS 2
#define TRIES 5
#define RETRY_MS 20
#define LIST_BYTES ((size_t)1 << 20) /* of an answer that names nodes */

/* ------------------------------------------------------------------------------------------------ the client */

static mote_err dial(mote_self *self, const char *address, uint16_t port, int *fd) {
    return mt_net_connect(self, address, port, mt_os_now_ns() + ANSWER_NS, fd);
}

static mote_err write_all(mote_self *self, int fd, const uint8_t *p, size_t size) {
    uint64_t deadline = mt_os_now_ns() + ANSWER_NS;
    for (size_t done; size; p += done, size -= done) {
        mote_err err = mt_net_write(fd, p, size, &done);
        if (err == MOTE_TIMEOUT) done = 0, err = mt_net_wait(self, fd, MOTE_WRITE, deadline);
        if (err) return err;
    }
    return MOTE_OK;
}

/* Reads more behind what has come. */
static mote_err read_more(mote_self *self, int fd, uint8_t *to, size_t room, size_t *come, uint64_t deadline_ns) {
    size_t got = 0;
    mote_err err = *come < room ? mt_net_read(fd, to + *come, room - *come, &got) : MOTE_ELIMIT;
    if (err == MOTE_TIMEOUT) err = mt_net_wait(self, fd, MOTE_READ, deadline_ns);
    *come += got;
    return err;
}

enum mt_verdict mt_epmd_find(mote_self *self, struct mt_dist *dist, const char *address, mote_bytes alive, uint16_t *port) {
    uint8_t ask[MT_EPMD_ASK_MAX], answer[MT_EPMD_ANSWER_MAX];
    struct mt_epmd_node node;
    size_t come = 0;
    int fd;
    if (!mt_epmd_name_fits(alive)) return MT_NO_NAME;
    if (dial(self, address, dist->epmd_port, &fd)) return MT_NO_UNKNOWN;
    uint64_t deadline = mt_os_now_ns() + ANSWER_NS;
    enum mt_verdict v = MT_MORE;
    mote_err err = write_all(self, fd, ask, mt_epmd_ask_port(ask, alive));
    while (!err && v == MT_MORE) {
        err = read_more(self, fd, answer, sizeof answer, &come, deadline);
        v = mt_epmd_port_answer((mote_bytes){answer, come}, alive, &node);
    }
    mt_os_close(fd);
    if (v == MT_FINE) *port = node.port;
    return v == MT_MORE ? MT_NO_LATE : v;
}

mote_err mt_epmd_list(mote_self *self, uint16_t port, const char *address, void (*each)(void *context, const struct mt_epmd_node *node), void *context) {
    uint8_t ask[MT_EPMD_ASK_MAX];
    size_t come = 0;
    int fd;
    mote_err err = dial(self, address, port, &fd);
    if (err) return err;
    uint8_t *list = mote_alloc(self, LIST_BYTES);
    uint64_t deadline = mt_os_now_ns() + ANSWER_NS;
    err = list ? write_all(self, fd, ask, mt_epmd_ask_names(ask)) : MOTE_ENOMEM;
    while (!err) err = read_more(self, fd, list, LIST_BYTES, &come, deadline); /* until it closes */
    mt_os_close(fd);
    if (err == MOTE_ESTOPPED) err = mt_epmd_names_answer((mote_bytes){list, come}, port, each, context) ? MOTE_ETERM : MOTE_OK;
    mote_dealloc(self, list);
    return err;
}

/* Registers with the one that listens. */
static mote_err enrol(mote_self *self, struct mt_dist *dist, int fd, uint32_t *creation, enum mt_verdict *v) {
    uint8_t ask[MT_EPMD_ASK_MAX], answer[64];
    size_t come = 0, size = mt_epmd_ask_alive(ask, (mote_bytes){dist->name, dist->alive_size}, dist->port, !dist->options.visible);
    uint64_t deadline = mt_os_now_ns() + ANSWER_NS;
    mote_err err = write_all(self, fd, ask, size);
    *v = MT_MORE;
    while (!err && *v == MT_MORE) {
        err = read_more(self, fd, answer, sizeof answer, &come, deadline);
        *v = mt_epmd_alive_answer((mote_bytes){answer, come}, creation);
    }
    return *v == MT_FINE ? MOTE_OK : *v == MT_NO_TAKEN ? MOTE_ENAME : err ? err : MOTE_EOS;
}

/* ------------------------------------------------------------------------------------------------ our own */

struct socket {
    int fd;
    mote_ref ref;
    struct mt_epmd_open *open;
    struct socket *next;
};

struct server {
    mote_self *self;
    struct mt_epmd *epmd;
    int listeners[LISTENERS]; /* -1: there is none */
    int spare; /* a descriptor for turning those away for whom there is none; -1: it is lost for now */
    mote_ref listens[LISTENERS]; /* word 0: not armed */
    struct socket *sockets;
};

/* Closes a socket that the table does not know any more. */
static void close_socket(struct server *s, struct socket *socket) {
    struct socket **at = &s->sockets;
    while (*at != socket) at = &(*at)->next;
    *at = socket->next;
    if (socket->ref.word) (void)mote_fd_disarm(s->self, socket->ref);
    mt_os_close(socket->fd);
    mt_os_free(socket);
}

static void arm(struct server *s, struct socket *socket) {
    if (mote_fd_arm(s->self, socket->fd, MOTE_READ, &socket->ref) == MOTE_OK) return;
    socket->ref.word = 0;
    mt_epmd_close(s->epmd, socket->open);
    close_socket(s, socket);
}

static void take(struct server *s, int fd, bool local) {
    struct socket *socket = mt_os_alloc_zero(sizeof *socket);
    void *evicted = NULL;
    if (socket) socket->fd = fd;
    if (socket) socket->open = mt_epmd_open(s->epmd, socket, local, mt_os_now_ns(), &evicted);
    if (evicted) close_socket(s, evicted);
    if (!socket || !socket->open) {
        mt_os_free(socket);
        mt_os_close(fd);
        return;
    }
    socket->next = s->sockets;
    s->sockets = socket;
    arm(s, socket);
}

static void welcome(struct server *s, int which) {
    char from[MT_NET_ADDRESS];
    bool local;
    int fd;
    mote_err err;
    const int listener = s->listeners[which];
    if (s->spare < 0) (void)!mt_os_dup(listener, &s->spare);
    do {
        err = mt_net_accept(listener, &fd, from, &local);
        if (!err) take(s, fd, local);
        else if (err == MOTE_ELIMIT) err = mt_net_turn_away(listener, &s->spare, from); /* nodes tell of theirs */
    } while (!err);
    if (err == MOTE_ELIMIT) mote_must(s->self, mote_sleep(s->self, 50));
    if (mote_fd_arm(s->self, listener, MOTE_READ, &s->listens[which])) s->listens[which].word = 0;
}

/* Something has come on a socket, or its end. Answers are small: who does not take one at once does not get it. */
static void serve(struct server *s, struct socket *socket) {
    uint8_t bytes[MT_EPMD_REQUEST_MAX];
    size_t got, done;
    socket->ref.word = 0;
    mote_err err = mt_net_read(socket->fd, bytes, sizeof bytes, &got);
    if (err == MOTE_TIMEOUT) {
        arm(s, socket);
        return;
    }
    struct mt_epmd_say say = {.close = true};
    if (!err) say = mt_epmd_feed(s->epmd, socket->open, bytes, got);
    if (say.bytes.size) (void)mt_net_write(socket->fd, say.bytes.data, say.bytes.size, &done);
    if (!say.close) {
        arm(s, socket);
        return;
    }
    mt_epmd_close(s->epmd, socket->open);
    close_socket(s, socket);
}

static void close_all(const int listeners[LISTENERS]) {
    for (int i = 0; i < LISTENERS; i++)
        if (listeners[i] >= 0) mt_os_close(listeners[i]);
}

static void clean_up(void *context) {
    struct server *s = context;
    while (s->sockets) close_socket(s, s->sockets);
    mt_epmd_free(s->epmd);
    close_all(s->listeners);
    if (s->spare >= 0) mt_os_close(s->spare);
    mt_os_free(s);
}

static void turn(struct server *s, mote_term message) {
    mote_ref ref;
    if (!mote_match(message, "{mote_fd, ?, _}", &ref)) return;
    for (int i = 0; i < LISTENERS; i++)
        if (ref.word == s->listens[i].word) welcome(s, i);
    struct socket *socket = s->sockets;
    while (socket && socket->ref.word != ref.word) socket = socket->next;
    if (socket) serve(s, socket);
}

static void serve_epmd(mote_self *self, mote_term arg) {
    mote_term message;
    int port = 0, listeners[LISTENERS];
    if (!mote_match(arg, "{?, ?, ?}", &listeners[0], &listeners[1], &port)) MT_ASSERT(false);
    struct server *s = mt_os_alloc_zero(sizeof *s); /* not on this stack: it goes first */
    if (!s || mt_epmd_new((uint16_t)port, &s->epmd) || mote_cleanup_add(self, clean_up, s)) {
        if (s) mt_epmd_free(s->epmd);
        mt_os_free(s);
        close_all(listeners);
        return;
    }
    s->self = self;
    memcpy(s->listeners, listeners, sizeof listeners);
    s->spare = -1;
    for (int i = 0; i < LISTENERS; i++)
        if (listeners[i] >= 0) welcome(s, i);
    for (;;) {
        uint64_t now = mt_os_now_ns(), due = mt_epmd_due(s->epmd);
        mote_err err = mote_receive(self, due == MT_NEVER ? -1 : due <= now ? 0 : (int64_t)((due - now) / 1000000 + 1), &message);
        for (void *late; (late = mt_epmd_late(s->epmd, mt_os_now_ns()));) close_socket(s, late);
        if (!err) turn(s, message);
        else if (err != MOTE_TIMEOUT) mote_must(self, err);
    }
}

/* Listens for this host's nodes alone, or (`beyond`) for all; at IPv6's addresses, too, where the system has them. */
static mote_err listen_at(bool beyond, uint16_t *port, int listeners[LISTENERS]) {
    mote_err err = mt_net_listen(beyond ? EVERYWHERE : LOOPBACK, port, &listeners[0]);
    if (beyond && err && err != MOTE_EBUSY) err = mt_net_listen(EVERYWHERE4, port, &listeners[0]);
    listeners[1] = -1;
    if (!err && !beyond && mt_net_listen(LOOPBACK6, port, &listeners[1])) listeners[1] = -1;
    return err;
}

/* Becomes the port mapper of this host. MOTE_EBUSY: another is. */
static mote_err become(mote_self *self, struct mt_dist *dist) {
    const mote_spawn_options options = {.body = serve_epmd, .name = "epmd", .stack_size = 131072, .reach = MOTE_REACH_NONE};
    uint16_t port = dist->epmd_port;
    mote_term arg;
    int listeners[LISTENERS];
    mote_err err = listen_at(dist->beyond, &port, listeners);
    if (err) return err;
    mote_arena *arena = mote_arena_new(0);
    err = arena ? mote_build(arena, &arg, "{?, ?, ?}", listeners[0], listeners[1], (int)port) : MOTE_ENOMEM;
    if (!err) err = mote_spawn_opt(self, &options, arg, NULL);
    if (err) close_all(listeners);
    mote_arena_free(arena);
    return err;
}

mote_err mt_epmd_register(mote_self *self, struct mt_dist *dist, int *fd, uint32_t *creation, char *why, size_t size) {
    enum mt_verdict v = MT_FINE;
    mote_err err = MOTE_EOS;
    for (int i = 0; i < TRIES; i++) {
        int made;
        err = dial(self, LOOPBACK, dist->epmd_port, &made);
        if (!err) {
            err = enrol(self, dist, made, creation, &v);
            if (!err) *fd = made;
            else mt_os_close(made);
            break;
        }
        if (err != MOTE_ENOPROC) break;
        err = become(self, dist);
        if (err && err != MOTE_EBUSY) break;
        if (err) (void)!mote_sleep(self, RETRY_MS); /* another has the port, and does not listen yet */
    }
    if (err && size) snprintf(why, size, "port mapper at %s:%u: %s", LOOPBACK, dist->epmd_port, v ? mt_verdict_text(v) : mote_err_text(err));
    return err;
}
