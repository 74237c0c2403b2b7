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
