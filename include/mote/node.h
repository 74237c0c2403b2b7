/* SPDX-License-Identifier: Apache-2.0
 * This program as a node of a cluster: with other mote nodes and with Erlang's, by Erlang's distribution protocol. Processes of all of them send to each other, link and
 * monitor each other as those of one node do.
 *
 * Off until mote_node_start(). A pid of another node is a mote_pid that refers to the term it was read from: it is valid as long as that is; copy the term (mote_term_copy()) to keep it. The functions of
 * mote.h that take a mote_pid or a term as receiver take it; {Name, Node} too. Nothing here trusts what a peer says: docs/design/dist.md.
 */
#ifndef MOTE_NODE_H
#define MOTE_NODE_H

#include <mote/mote.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a peer may do, besides sending messages, linking, monitoring. */
enum {
    MOTE_RIGHT_EXIT = 1,  /* end processes by exit/2 that it is not linked with */
    MOTE_RIGHT_SPAWN = 2, /* start exported functions (mote_export()) */
    MOTE_RIGHT_RPC = 4    /* call exported functions by rpc and erpc */
};

/* Zero everywhere but `name` is the default. Borrowed during the call. */
typedef struct mote_node_options {
    const char *name;         /* alive@host: printable ASCII, unlike all others in the cluster */
    const char *cookie;       /* the secret that all nodes share, 1 to 255 printable characters. NULL: that of `cookie_file` */
    const char *cookie_file;  /* NULL: MOTE_COOKIE_FILE of the environment, or ~/.erlang.cookie, which is made when it is missing */
    const char *address;      /* where to listen; NULL: 127.0.0.1. Others need `insecure`: without TLS everybody on the way can read and take over */
    uint16_t port;            /* 0: any that is free */
    uint16_t epmd_port;       /* 0: ERL_EPMD_PORT of the environment, or 4369. Where no port mapper runs, this node becomes one */
    bool no_epmd;             /* neither asks nor serves: peers are told where it is, see mote_node_at() */
    bool visible;             /* in nodes() of Erlang's visible nodes; default: hidden */
    bool insecure;
    unsigned rights;          /* of every peer: MOTE_RIGHT_... */
    uint32_t tick_ms;         /* after so long in silence a peer is given up; 0: 60000, as Erlang's net_ticktime */
} mote_node_options;

/* Makes the runtime a node, which listens and is registered when this returns. Waits: some milliseconds, up to 10 s for a port mapper that does not answer. MOTE_EARG: an option that cannot be; MOTE_ENAME: the
 * name is none, or another node on this host has it; MOTE_EBUSY: it is a node already; MOTE_EOS: the system refuses (errno); MOTE_ESELF; MOTE_ENOMEM. `why` (may be NULL; `size` bytes) gets it in words. */
MOTE_API MOTE_MUST mote_err mote_node_start(mote_self *self, const mote_node_options *options, char *why, size_t size);

/* This node's name, as an atom (nonode@nohost: it is none), its creation, and the port it listens at; may be NULL. */
MOTE_API mote_atom mote_node_name(mote_self *self, uint32_t *creation, uint16_t *port);

/* Where a node listens that no port mapper knows: an IP address. MOTE_EARG, MOTE_ENOMEM, MOTE_ENOPROC: this is no node. */
MOTE_API MOTE_MUST mote_err mote_node_at(mote_self *self, mote_atom node, const char *address, uint16_t port);

/* A cookie for one peer. As erlang:set_cookie/2. */
MOTE_API MOTE_MUST mote_err mote_node_cookie(mote_self *self, mote_atom node, const char *cookie);

/* Connects to a node, unless it is connected: nobody needs to, whoever sends there does. Waits up to timeout_ms (-1: 15 s). MOTE_ENOPROC: it cannot be, the log says why; MOTE_TIMEOUT. */
MOTE_API MOTE_MUST mote_err mote_node_connect(mote_self *self, mote_atom node, int64_t timeout_ms);

/* The same without waiting, for handlers: {mote_node, Ref, true | false} comes once. Gives `ref`. */
MOTE_API MOTE_MUST mote_err mote_node_connect_start(mote_self *self, mote_atom node, mote_ref *ref);

/* Ends the connection, if there is one; links and monitors across it tell `noconnection`. MOTE_ENOPROC: there is none. */
MOTE_API MOTE_MUST mote_err mote_node_disconnect(mote_self *self, mote_atom node);

/* The nodes that are connected: up to `capacity` into `nodes`, how many there are into `count`. `hidden`: those that are, too. As erlang:nodes/1. */
MOTE_API MOTE_MUST mote_err mote_nodes(mote_self *self, bool hidden, mote_atom *nodes, size_t capacity, size_t *count);

/* {nodedown, Node} comes once, when the connection to a node ends, or cannot be made; each call counts (`on`: one more, else one fewer). As erlang:monitor_node/2. */
MOTE_API MOTE_MUST mote_err mote_node_monitor(mote_self *self, mote_atom node, bool on);

/* {nodeup, Node} and {nodedown, Node} come for every node, until the process ends, or `on` is false. As net_kernel:monitor_nodes/1. */
MOTE_API MOTE_MUST mote_err mote_nodes_monitor(mote_self *self, bool on);

#ifdef __cplusplus
}
#endif

#endif
