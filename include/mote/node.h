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
    MOTE_RIGHT_EXIT = 1,  /* end processes by exit/2 that the one who does it has not linked itself with (link/1, spawn_link) */
    MOTE_RIGHT_SPAWN = 2, /* start exported functions: mote_export(), mote_export_function() */
    MOTE_RIGHT_RPC = 4,   /* call exported functions by rpc and erpc */
    MOTE_RIGHT_SYSTEM = 8 /* link with processes that are protected (MOTE_REACH; supervisors and pools are), and with MOTE_RIGHT_EXIT end them */
};

/* Zero everywhere but `name` is the default. Borrowed during the call. */
typedef struct mote_node_options {
    const char *name;         /* alive@host: printable ASCII, unlike all others in the cluster */
    const char *cookie;       /* the secret that all nodes share, 1 to 255 printable characters. NULL: that of `cookie_file` */
    const char *cookie_file;  /* NULL: MOTE_COOKIE_FILE of the environment, or ~/.erlang.cookie, which is made when it is missing */
    const char *tls;          /* a folder with ca.pem (who vouches for all nodes), cert.pem, key.pem and maybe crl.pem (certificates that are taken back): connections are TLS, both ways, and nothing else. NULL: plain TCP */
    const char *address;      /* where to listen, IPv4 or IPv6 (:: is both); NULL: the loopback address in its name, else 127.0.0.1. Others need `tls` or `insecure`: without TLS everybody on the way can read and take over */
    uint16_t port;            /* 0: any that is free */
    uint16_t epmd_port;       /* 0: ERL_EPMD_PORT of the environment, or 4369. Where no port mapper runs, this node becomes one, on loopback if that is `address`, else at all addresses */
    bool no_epmd;             /* neither asks nor serves: peers are told where it is, see mote_node_at() */
    bool visible;             /* in nodes() of Erlang's visible nodes; default: hidden */
    bool insecure;
    bool global_names;        /* takes part in Erlang's global, see global.h: for visible nodes */
    unsigned rights;          /* of every peer that mote_node_rights() does not name: MOTE_RIGHT_... */
    uint32_t tick_ms;         /* after so long in silence a peer is given up; 0: 60000, as Erlang's net_ticktime */
    uint32_t processes_max;   /* that one peer may have running here by spawn, rpc and erpc; 0: 1000. By spawn it starts 1000 at once and 200 a second at most */
    uint32_t atoms_max;       /* that messages of one peer have made here, and that are still there; 0: 65536. With one more of these its connection ends */
    uint32_t relations_max;   /* links and monitors that its processes have begun with ours; 0: 1000000 */
    size_t message_max;       /* bytes of a message of its; 0: 256 MiB, which is the most there can be */
    size_t queue_max;         /* bytes that may wait for a peer that has taken nothing for 10 s; 0: 64 MiB */
    uint32_t call_ms;         /* what a peer calls is ended (timeout) after so long; 0: 60000; UINT32_MAX: never */
} mote_node_options;

/* Makes the runtime a node, as `options` say (NULL: as `mote run` has said to this program, in MOTE_NODE_NAME, _TLS, _ADDRESS, _PORT, _VISIBLE, _NO_EPMD, _RIGHTS (a number), _CONNECT (names with blanks between, which are connected before
 * this returns) of the environment), which listens and is registered when this returns. Waits: some milliseconds, up to 10 s for a port mapper that does not answer. MOTE_EARG: an option that cannot be; MOTE_ENAME: the
 * name is none, or another node on this host has it; MOTE_EBUSY: it is a node already; MOTE_ECONTEXT: it is a worker, see mote_node_join(); MOTE_EOS: the system refuses (errno); MOTE_ENOPROC: one of _CONNECT cannot be connected; MOTE_ESELF; MOTE_ENOMEM. `why` (may be NULL; `size` bytes) gets it in words. */
MOTE_API MOTE_MUST mote_err mote_node_start(mote_self *self, const mote_node_options *options, char *why, size_t size);

/* Makes the runtime of a worker (worker.h) one of its hub's node: from then on processes here speak with other nodes as those of the hub do, over its connections, and what follows works here, too. Before
 * mote_worker_open() of the hub, which then says what the node is. MOTE_ESELF, MOTE_EARG (it is the hub itself, or no worker), MOTE_ENOMEM. */
MOTE_API MOTE_MUST mote_err mote_node_join(mote_self *self);

/* This node's name, as an atom (nonode@nohost: it is none), its creation, and the port it listens at; may be NULL. */
MOTE_API mote_atom mote_node_name(mote_self *self, uint32_t *creation, uint16_t *port);

/* Where a node listens that no port mapper knows: an IP address. MOTE_EARG, MOTE_ENOMEM, MOTE_ENOPROC: this is no node. */
MOTE_API MOTE_MUST mote_err mote_node_at(mote_self *self, mote_atom node, const char *address, uint16_t port);

/* A cookie for one peer. As erlang:set_cookie/2. */
MOTE_API MOTE_MUST mote_err mote_node_cookie(mote_self *self, mote_atom node, const char *cookie);

/* What one peer may do, instead of the options' `rights`: a sum of MOTE_RIGHT_... It is known by the name that it has proved. Holds from its next signal on; nothing that it has is taken away. What is refused
 * is logged, once a second for each peer. MOTE_EARG, MOTE_ENOMEM, MOTE_ENOPROC: this is no node. */
MOTE_API MOTE_MUST mote_err mote_node_rights(mote_self *self, mote_atom node, unsigned rights);

/* Connects to a node, unless it is connected: nobody needs to, whoever sends there does. Waits up to timeout_ms (-1: 15 s). MOTE_ENOPROC: it cannot be, the log says why; MOTE_TIMEOUT. */
MOTE_API MOTE_MUST mote_err mote_node_connect(mote_self *self, mote_atom node, int64_t timeout_ms);

/* The same without waiting, for handlers: {mote_node, Ref, true | false} comes once. Gives `ref`. */
MOTE_API MOTE_MUST mote_err mote_node_connect_start(mote_self *self, mote_atom node, mote_ref *ref);

/* Ends the connection, if there is one; links and monitors across it tell `noconnection`. MOTE_ENOPROC: there is none. */
MOTE_API MOTE_MUST mote_err mote_node_disconnect(mote_self *self, mote_atom node);

/* The nodes that are connected: up to `capacity` into `nodes`, how many there are into `count`. `hidden`: those that are, too. As erlang:nodes/1. */
MOTE_API MOTE_MUST mote_err mote_nodes(mote_self *self, bool hidden, mote_atom *nodes, size_t capacity, size_t *count);

typedef struct mote_peer_info {
    bool visible;  /* both sides have said so */
    bool monitors; /* it knows monitors of names: a C node, as Erlang's erl_call, does not, and expects nothing but what it has asked for */
    uint64_t connection_id; /* a later connection to the node has a greater one: mote_connections_monitor() */
} mote_peer_info;

/* What is known of a node that is connected now; `info` may be NULL. MOTE_NOMATCH: it is not; MOTE_ENOPROC: this is no node. Never waits. */
MOTE_API MOTE_MUST mote_err mote_peer_info_get(mote_self *self, mote_atom node, mote_peer_info *info);

/* {nodedown, Node} comes once, when the connection to a node ends, or cannot be made; each call counts (`on`: one more, else one fewer). As erlang:monitor_node/2. */
MOTE_API MOTE_MUST mote_err mote_node_monitor(mote_self *self, mote_atom node, bool on);

/* {nodeup, Node} and {nodedown, Node} come for every node, until the process ends, or `on` is false. As net_kernel:monitor_nodes/1. */
MOTE_API MOTE_MUST mote_err mote_nodes_monitor(mote_self *self, bool on);

/* The same with the connection's id, as in mote_peer_info: {nodeup, Node, Id} and {nodedown, Node, Id}, for who has to know which one has ended: when that is read there may be another already.
 * As net_kernel:monitor_nodes/2 with connection_id. */
MOTE_API MOTE_MUST mote_err mote_connections_monitor(mote_self *self, bool on);

/* ------------------------------------------------------------------------------------------ finding nodes */

/* The addresses of a host, by the system's resolver (DNS, the file of hosts): a list of texts in mote_scratch(), 1024 at most. Waits, for seconds if the resolver does, and holds nothing up meanwhile.
 * MOTE_ENOPROC: it has none; MOTE_EARG; as mote_blocking(). */
MOTE_API MOTE_MUST mote_err mote_net_addresses(mote_self *self, const char *host, mote_term *addresses);

/* The nodes that a host's port mapper knows: a list of {Name, Port} in mote_scratch(), the name a text without the host. Waits, up to 5 s for a port mapper that does not answer. MOTE_ENOPROC: none is there, the host
 * has no address, or this is no node; MOTE_TIMEOUT; MOTE_ETERM: what answers is none; MOTE_EARG, MOTE_ENOMEM. As net_adm:names/1. */
MOTE_API MOTE_MUST mote_err mote_net_names(mote_self *self, const char *host, mote_term *names);

/* ------------------------------------------------------------------------------- functions for other nodes */

/* What is exported to be called. In a process of its own, which may wait; gives its result, which has to live until it returns: in mote_scratch(self), in an argument, or an immediate. MOTE_TERM_NONE:
 * there was no memory for it. mote_exit() and mote_error() are what exit/1 and error/1 are to the caller. The arguments are borrowed while the process lives. */
typedef struct mote_function {
    mote_term (*call)(mote_self *self, size_t count, const mote_term *args, void *context);
    void *context; /* borrowed while the runtime lives */
    bool hosted;   /* as of mote_spawn_options */
} mote_function;

#define MOTE_ARITY_ANY 256u

/* Makes a function known as module:function/arity, or (MOTE_ARITY_ANY) with any number of arguments for which there is no other. Peers that have MOTE_RIGHT_RPC call it, those that have MOTE_RIGHT_SPAWN start
 * processes in it; so it is with a body that mote_export() makes known as module:function/1, whose result is ok. Nothing else can be called or started from another node; what is not exported is undef, as what
 * does not exist. MOTE_EBUSY: another one is exported so. MOTE_ESELF, MOTE_EARG, MOTE_ENOMEM. Permanent atoms only. */
MOTE_API MOTE_MUST mote_err mote_export_function(mote_self *self, mote_atom module, mote_atom function, unsigned arity, const mote_function *how);

/* ---------------------------------------------------------------------------------- processes on other nodes */

enum {
    MOTE_SPAWN_LINK = 1,    /* linked from its first moment */
    MOTE_SPAWN_MONITOR = 2, /* monitored from its first moment, by the reference of the request */
    MOTE_SPAWN_QUIET = 4    /* no message that it has started: only an error is told */
};

/* Asks a node to start a process in module:function with `args`, a list of at most 255, which is copied; on this node, too. Never waits. Once comes {spawn_reply, Ref, ok, Pid} or {spawn_reply, Ref, error, Reason}:
 * noconnection (the node cannot be reached), system_limit, denied (another mote node: it gives no right to), or what else it says; before anything that the process sends. A function that is not there is no error: the
 * process ends with {undef, Stack}. mote_demonitor() gives the request up: nothing is told any more, and a process that it has linked ends (noproc). `options`: a sum of those above. Gives `ref`. MOTE_ESELF, MOTE_EARG,
 * MOTE_ETERM (no such list), MOTE_ENOPROC (this is no node), MOTE_ENOMEM; of this node itself MOTE_ELIMIT. As erlang:spawn_request/5. */
MOTE_API MOTE_MUST mote_err mote_spawn_request(mote_self *self, mote_atom node, mote_atom module, mote_atom function, mote_term args, unsigned options, mote_ref *ref);

/* The same, and waits for the answer (-1: for ever; a node that cannot be reached is told in 15 s at most). Gives `pid`, borrowed until the next receive (copy its term to keep it), and `ref`, which is of the monitor if
 * there is one; both may be NULL. MOTE_TIMEOUT: the request is given up. MOTE_ENOPROC: no connection; MOTE_ELIMIT: it has as many processes as it may; MOTE_ECALL: it refuses; mote_message() is what it
 * says. MOTE_ECONTEXT (in a handler), and as above. As erlang:spawn/4, spawn_link/4, spawn_monitor/4. */
MOTE_API MOTE_MUST mote_err mote_spawn_at(mote_self *self, mote_atom node, mote_atom module, mote_atom function, mote_term args, unsigned options, int64_t timeout_ms, mote_pid *pid, mote_ref *ref);

/* Calls module:function with `args` (as above) on a node, this one, too, and waits for its result; `timeout_ms` -1: for ever. Gives `result`, borrowed until the next receive. MOTE_ECALL: there is none, and
 * `result` says why: {error, Reason, Stack}, {exit, Reason}, {throw, Term}, {signal, Reason} (its process was ended), {refused, Reason} (denied, system_limit ...). MOTE_ENOPROC: the node cannot be reached, or is lost (`result`: noconnection);
 * or this is no node. MOTE_TIMEOUT: what comes later is dropped; the function may go on. MOTE_ESELF, MOTE_EARG, MOTE_ETERM, MOTE_ECONTEXT, MOTE_ENOMEM. As erpc:call/5. */
MOTE_API MOTE_MUST mote_err mote_rpc_call(mote_self *self, mote_atom node, mote_atom module, mote_atom function, mote_term args, int64_t timeout_ms, mote_term *result);

/* The same without waiting, for handlers: one message about `ref` comes, which is for mote_rpc_result(). mote_demonitor() with `flush` gives it up. As erpc:send_request/4. */
MOTE_API MOTE_MUST mote_err mote_rpc_start(mote_self *self, mote_atom node, mote_atom module, mote_atom function, mote_term args, mote_ref *ref);

/* What a message says of a call: as mote_rpc_call(); `result` lives as long as the message and mote_scratch(). MOTE_NOMATCH: it is about something else. As erpc:check_response/2. */
MOTE_API MOTE_MUST mote_err mote_rpc_result(mote_self *self, mote_term message, mote_ref ref, mote_term *result);

/* Calls it, and nobody is told what comes of it. As erpc:cast/4. */
MOTE_API MOTE_MUST mote_err mote_rpc_cast(mote_self *self, mote_atom node, mote_atom module, mote_atom function, mote_term args);

/* ----------------------------------------------------------------------------------------- certificates (TLS) */

/* Reads the files of mote_node_options.tls again, for connections that are made from now on; of those that are there each whose peer's certificate does not hold by the new files (ca.pem has its authority no more, or crl.pem has it)
 * ends soon, which is logged. One ends also when its peer's certificate expires. Reads files. MOTE_EARG, MOTE_EOS: they will not do, and all is as before; `why` (may be NULL; `size`
 * bytes) gets it in words. MOTE_ENOPROC: this is no node, or one without TLS; MOTE_ESELF; MOTE_ENOMEM. */
MOTE_API MOTE_MUST mote_err mote_node_tls_reload(mote_self *self, char *why, size_t size);

/* Makes a certificate for a start. `folder` gets an authority, ca.pem and ca-key.pem, if it has none; who has ca-key.pem can make nodes. `folder`/`node` gets what mote_node_options.tls wants: ca.pem, cert.pem,
 * key.pem, for `days` (0: 365; 3650 at most). `node` is a host's name or an IP address (for all nodes with that behind their @) or alive@host (for this node alone). `renew`: in the place of those that are there. Keys are
 * readable for their owner alone. Any thread; writes files. MOTE_EBUSY: there is one; MOTE_EARG, MOTE_ENOPROC (half of an authority is missing), MOTE_EOS, MOTE_ENOMEM; `why` as above. */
MOTE_API MOTE_MUST mote_err mote_cert_make(const char *folder, const char *node, unsigned days, bool renew, char *why, size_t size);

/* Whom the first certificate of a file is for: copies a line for each host, address and node (erlnode:alive@host) into `names`, with a 0 at the end. Any thread; reads a file. MOTE_ELIMIT: they are more than
 * `names_size` bytes; MOTE_EOS: no certificate can be read there; MOTE_EARG; `why` as above. */
MOTE_API MOTE_MUST mote_err mote_cert_names(const char *file, char *names, size_t names_size, char *why, size_t size);

#ifdef __cplusplus
}
#endif

#endif
