/* SPDX-License-Identifier: Apache-2.0
 * Runtimes of one program that are nodes, for tests of what they do with each other.
 *
 * Each is attached to the thread that tests, which is its process `self`; `epmd_port` is theirs alone.
 */
#ifndef MT_TESTS_NODES_H
#define MT_TESTS_NODES_H

#include <mote/node.h>

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

/* A port of loopback that nobody listens at. */
static uint16_t free_port(void) {
    uint16_t port = 0;
    int fd;
    CHECK_OK(mt_net_listen("127.0.0.1", &port, &fd));
    mt_os_close(fd);
    return port;
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
