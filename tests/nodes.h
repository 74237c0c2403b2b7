/* SPDX-License-Identifier: Apache-2.0
 * Runtimes of one program that are nodes, for tests of what they do with each other.
 *
 * Each is attached to the thread that tests, which is its process `self`; `epmd_port` is theirs alone.
 */
#ifndef MT_TESTS_NODES_H
#define MT_TESTS_NODES_H

#include <arpa/inet.h>
#include <mote/node.h>
#include <sys/socket.h>

#include "base/os_net.h"
#include "live.h"

#define COOKIE "a cookie of these tests"

static struct node {
    mote_runtime *runtime; /* NULL: it is not there */
    mote_self *self;
    mote_atom name;
    mote_pid echo;
    _Atomic unsigned refused; /* lines of the log */
} nodes[4];
static uint16_t epmd_port;

/* A port of loopback that nobody listens at. It is held until the program ends, so that no other program is given it meanwhile; who names it can listen there. */
static uint16_t free_port(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    const int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
    CHECK(!bind(fd, (struct sockaddr *)&at, size) && !getsockname(fd, (struct sockaddr *)&at, &size));
    return ntohs(at.sin_port);
}

/* Starts a runtime and makes it a node of the tests' port mapper. Copies; `cookie` NULL: COOKIE. */
__attribute__((unused)) static mote_err enter(unsigned i, mote_options options, mote_node_options node, char *why, size_t size) {
    struct node *n = &nodes[i];
    options.chaos_seed = chaos_seed();
    if (!options.schedulers) options.schedulers = 1;
    if (!node.cookie) node.cookie = COOKIE;
    node.epmd_port = epmd_port;
    CHECK_OK(mote_runtime_start(&options, &n->runtime));
    CHECK_OK(mote_attach(n->runtime, &n->self));
    mote_err err = mote_node_start(n->self, &node, why, size);
    if (!err) n->name = mote_node_name(n->self, NULL, NULL);
    return err;
}

static void leave(unsigned i) {
    if (!nodes[i].runtime) return;
    CHECK_OK(mote_detach(nodes[i].self));
    (void)mote_runtime_stop(nodes[i].runtime, 0);
    nodes[i] = (struct node){0};
}
__attribute__((unused)) static void leave_all(void) {
    for (unsigned i = sizeof nodes / sizeof *nodes; i--;) leave(i);
}

/* What `who` gets next. */
__attribute__((unused)) static mote_term got(unsigned who) {
    mote_term m;
    CHECK_OK(mote_receive(nodes[who].self, PATIENCE_MS, &m));
    return m;
}

#endif
