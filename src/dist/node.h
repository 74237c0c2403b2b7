/* SPDX-License-Identifier: Apache-2.0
 * This runtime as a node: its links to others, and the processes that serve them.
 *
 * The *net* process (net.c) listens, starts a process for each connection (conn.c), and keeps the registration with the port mapper. Whoever signals does it in his own thread (carry.c).
 * Q1 a *link* is there from the first signal for a node, or the proof of one that dials us, until its connection has ended and all relations across it are told; a node has one at a time. Its place
 *    (far.h) is open for just as long. Q2 what is put before it is up waits in `early`, in order. Q3 `out` is written to by anybody under the link's lock; only the connection's
 *    process takes frames from it, and only it reads. Q4 before the cookie is proved no atom is made of a name (handshake.h, S1). Q5 pids that a peer sends as its own have its node and its creation;
 *    those that it sends as ours have our name and creation, or are dead. Q6 a monitor from outside is known here by a reference of ours (`watches`), as relations know them by one word.
 * Q7 a link changes its state under dist->mu: until it is TAKEN by whoever claims it, from then on by its process alone. An attempt of a peer's gets it only if none has come up since it said its name.
 * Q8 pids are guessed: a message to a process of ours proves nothing. What has an address in it is looked at as if a peer had sent it.
 */
#ifndef MT_DIST_NODE_H
#define MT_DIST_NODE_H

#include <mote/node.h>
#include <string.h>

#include "base/hash.h"
#include "base/os_net.h"
#include "dist/control.h"
#include "dist/epmd.h"
#include "dist/frame.h"
#include "dist/guard.h"
#include "dist/handshake.h"
#include "dist/tls.h"
#include "dist/bonds.h"
#include "proc/far.h"

#define MT_LINK_CROWD ((size_t)1 << 20)  /* bytes that may wait before senders stand still */
#define MT_LINK_STALL_NS ((uint64_t)30000000000) /* without the peer taking anything, while so much waits: the connection is given up */
#define MT_LINK_MAX ((size_t)64 << 20)   /* with that it is sooner */
#define MT_LINK_FULL_NS ((uint64_t)10000000000)
#define MT_RELATIONS_MAX 1000000u        /* links and monitors that one peer may have begun */
#define MT_ATOMS_MAX 65536u
#define MT_TICK_MS 60000u
#define MT_HOARD_MAX ((uint64_t)1 << 30) /* bytes of messages that have begun, of all connections */
#define MT_SERVED_MAX 1000u              /* processes that one peer may have started here */
#define MT_STARTS_A_SECOND 200u          /* and how many of them by spawn, for long */
#define MT_STARTS_AT_ONCE 1000u
#define MT_CALL_MS 60000u
#define MT_REFUSED_NS UINT64_C(1000000000) /* between two lines of the log about refusals to a peer */

/* A message that waits for its link to be up. */
struct mt_early {
    struct mt_early *next;
    uint64_t sender;
    size_t control, payload; /* bytes */
    uint8_t bytes[];
};

/* A monitor of a peer's process, on one of ours. */
struct mt_watch {
    struct mt_node by_own; /* key: our reference; first */
    struct mt_node by_ref; /* key: hash of its own */
    uint32_t words[5], count;
    uint64_t pid;          /* whom it watches; 0: the name that follows in a signal */
};

/* A link that a process of the peer's has begun with one of ours. */
struct mt_tie {
    struct mt_node node; /* key: of all that follows */
    uint64_t own;
    uint32_t id, serial, creation; /* the peer's */
};

/* Where a link is between its first signal and its end (claim.c, Q7). */
enum mt_link_state {
    MT_LINK_DIALLING, /* our own attempt goes on, or is about to: its process, or none yet */
    MT_LINK_YIELDING, /* it has come to nothing: whoever else proves himself gets the link */
    MT_LINK_TAKEN,    /* both have proved themselves: its process is about to make it rise */
    MT_LINK_UP,
    MT_LINK_ENDING    /* its place is closed, and who listens is being told: there may be another of its node already, which does not rise before this has gone */
};

struct mt_link { /* MT_SHARED */
    struct mt_dist *dist;         /* const */
    uint64_t node;                /* const: an atom, held */
    unsigned place;               /* lock: dist->mu: const from then on; 0: it is about to be opened */
    struct mt_link *next;         /* lock: dist->mu */
    uint64_t process;             /* lock: dist->mu: of its connection; 0: there is none yet */
    enum mt_link_state state;     /* lock: dist->mu */
    bool hidden;                  /* lock: dist->mu */
    struct mt_lock mu;
    struct mt_frames_out *out;    /* lock: mu: NULL until it is up */
    struct mt_early *early, **early_end; /* lock: mu */
    size_t early_bytes;           /* lock: mu */
    uint64_t flags;               /* lock: mu: const once it is up; a worker's says only whether MT_FLAG_TYPES holds */
    _Atomic uint64_t up_flags;    /* atomic: relaxed: the same once it is up; 0: it is not, or nobody has seen it */
    _Atomic size_t waiting;       /* atomic: relaxed, changed under mu; seq_cst fences pair it with `rests`: bytes that wait to be written */
    _Atomic bool untyped;         /* atomic: relaxed: the peer does not know MOTE_FORM_NODES; false: it does, or nobody knows yet */
    uint32_t creation;            /* lock: mu: const once it is up: the peer's */
    bool crowded, over;           /* lock: mu: somebody was told so; nothing is put any more */
    struct mt_hash watches, refs; /* lock: mu: struct mt_watch, by both keys */
    struct mt_hash ties;          /* lock: mu: struct mt_tie */
    struct mt_purse *purse;       /* const once it is up: pays for atoms that are made of what comes; its peer's */
    struct mt_bonds bonds;        /* lock: mu: of the workers' processes; the hub's */
    struct mt_peer_facts *facts;  /* const: the hub's */
    uint64_t number;              /* const: of the last end that was known when it began: V2 of branch.h */
    uint64_t crowders;            /* lock: dist->mu: workers (a bit each) that have been told that it is crowded */
    _Atomic uint32_t rests;       /* atomic: seq_cst: the process waits, or is about to: who puts something and takes this back wakes it */
    _Atomic uint64_t waker;       /* atomic: relaxed: as `process`, for wakes */
};

/* An attempt of a peer's to connect, from its name to the link or the end; in its connection's memory. */
struct mt_attempt { /* MT_SHARED */
    struct mt_attempt *next;      /* lock: dist->mu */
    const char *name;             /* const while it is listed, as are its size, creation and process */
    size_t name_size;             /* const */
    uint32_t creation;            /* const */
    uint64_t process;             /* const */
    uint64_t replaces;            /* const: of the connection that there was when it said its name: it insists on another; 0: there was none */
    bool listed;                  /* lock: dist->mu */
    bool overtaken;               /* lock: dist->mu: another came up since */
    bool waits;                   /* lock: dist->mu: proved; it is to look again when the link changes */
};

/* What is known of a node besides a link. */
struct mt_peer_facts {
    struct mt_peer_facts *next;
    uint64_t node; /* an atom, held */
    char address[MT_NET_ADDRESS];
    uint16_t port; /* 0: the port mapper is asked */
    char cookie[MT_COOKIE_MAX + 1];
    bool has_rights;
    unsigned rights;
    struct mt_purse *purse; /* NULL: it was never connected */
    uint32_t running, starts; /* processes that it has started; how many more it may at once */
    uint64_t refilled_ns;     /* when `starts` was raised */
    uint64_t told_ns;         /* when a refusal was logged last, and how many have not been since */
    uint32_t missed;
    _Atomic uint64_t ended; /* the number of the last end of its links (V2 of branch.h) */
};

/* Who is told of nodes: {nodedown, Node} once; or of all, always; or {mote_node, Ref, true | false} once; or of all connections with their numbers. */
enum mt_told { MT_TOLD_DOWN, MT_TOLD_ALL, MT_TOLD_REF, MT_TOLD_NUMBERED };
struct mt_listener {
    struct mt_listener *next;
    enum mt_told kind;
    uint64_t node, pid, ref;
};

struct mt_dist { /* MT_SHARED */
    struct mt_net net;            /* const */
    mote_runtime *runtime;        /* const */
    bool is_branch;               /* const: a worker's: connections are the hub's, see branch.h */
    char name[MT_NODE_NAME_MAX + 1]; /* const */
    size_t alive_size;            /* const: of the part before the @ */
    char cookie[MT_COOKIE_MAX + 1]; /* const; wiped at the end */
    mote_node_options options;    /* const: numbers and flags; its texts are not there any more */
    struct mt_shake_self shake;   /* const */
    struct mt_tls *tls;           /* const: NULL: plain TCP */
    int listener;                 /* const: descriptor */
    uint16_t port, epmd_port;     /* const */
    bool beyond;                  /* const: it listens not on loopback alone; so does the port mapper that it becomes */
    _Atomic uint64_t process;     /* atomic: relaxed: net.c's */
    _Atomic uint64_t leader;      /* atomic: relaxed: leader.c's, in a worker its hub's; 0: there is none yet */
    struct mt_lock mu;
    struct mt_link *links;        /* lock: mu */
    struct mt_link *over;         /* lock: mu; in nobody's way any more, but somebody may be about to put something into one: what ends a link waits for him, and may be ended with the runtime meanwhile */
    uint64_t ends;                /* lock: mu: of links, so far; in a worker: that it has heard of */
    struct mt_peer_facts *facts;  /* lock: mu */
    struct mt_listener *listeners; /* lock: mu */
    unsigned listening, look_at;  /* lock: mu: how many those are; with how many those of processes that have ended are taken out */
    struct mt_attempt *attempts;  /* lock: mu */
    struct mt_guard guard;        /* lock: mu */
    uint64_t hoard;               /* lock: mu: bytes of messages that have begun, of all connections */
};

/* What is known of a node, made when there is nothing. NULL: memory. */
struct mt_peer_facts *mt_facts_locked(struct mt_dist *dist, uint64_t node);

/* What pays for the atoms of a node's messages, made when there is nothing; its facts'. NULL: memory. */
struct mt_purse *mt_facts_purse(struct mt_dist *dist, uint64_t node);
/* It is connected no more: what is known of it alone by that is forgotten, so that many names do not add up. */
void mt_facts_tidy(struct mt_dist *dist, uint64_t node);

/* The node of a runtime; NULL: it is none. */
struct mt_dist *mt_dist_of(const mote_runtime *rt);
/* Makes a worker's of what the hub has said of the node. Borrows the name, copies the key. Gives, to the runtime. MOTE_ENAME, MOTE_ENOMEM. */
mote_err mt_dist_join(mote_runtime *rt, mote_bytes name, uint32_t creation, const mote_ref_key *key, uint16_t port, uint64_t process, struct mt_dist **dist);

/* ------------------------------------------------------------------------------------------------ links (link.c) */

/* The link of a node that has not begun to end, which its caller keeps for as long as it holds dist->mu, or runs its process; NULL. */
struct mt_link *mt_link_find_locked(struct mt_dist *dist, uint64_t node);
/* The same, once its place is open. The connection's process, or in a worker who takes records: nobody else ends it. */
struct mt_link *mt_link_await(struct mt_dist *dist, uint64_t node);
/* A new link, and its place: of a peer's attempt, which has proved itself, or (NULL) to be dialled. MOTE_EBUSY: there is one, whose place is open; MOTE_ESTOPPED: the attempt was overtaken;
 * MOTE_ELIMIT, MOTE_ENOMEM. Any thread. */
mote_err mt_link_new(struct mt_dist *dist, struct mt_sched *s, uint64_t node, const struct mt_attempt *attempt, struct mt_link **link);
/* Its connection is there: what waits may go, and who waits is told. False: no memory. The connection's process. */
bool mt_link_rise(mote_self *self, struct mt_link *link, const struct mt_shake *shake);
/* Its connection has ended, or cannot be made: relations are told, and who listens. Waits until nobody uses it. Takes. The connection's process. */
void mt_link_end(mote_self *self, struct mt_link *link);
/* Frees one that is left when the runtime is: nobody is there any more. Takes. */
void mt_link_free(struct mt_link *link);
/* Takes a link out of a list, if it is there. Under dist->mu. */
void mt_link_out_locked(struct mt_link **list, struct mt_link *link);
/* Bytes that wait to be written. */
size_t mt_link_waiting(struct mt_link *link);
/* Whether more than MT_LINK_CROWD do, and more of them than its share are this sender's (0: anybody's). */
bool mt_link_crowded(struct mt_link *link, uint64_t sender);
/* The next frame, or as many small ones as one hold of the lock is worth; as mt_frames_out_take(), and MT_MORE too if those were the last. Tells who stood still. The connection's process. */
enum mt_verdict mt_link_take(mote_self *self, struct mt_link *link, mote_writer *writer);

/* --------------------------------------------------------------------------------- who gets a link (claim.c)
 * Each of these is one step under dist->mu. */

/* A peer has said its name: the attempt is listed until mt_attempt_end(), which may be called twice. What the peer is to us. Borrows `attempt`. */
enum mt_shake_known mt_attempt_begin(struct mt_dist *dist, struct mt_attempt *attempt);
void mt_attempt_end(mote_self *self, struct mt_dist *dist, struct mt_attempt *attempt);

enum mt_claim {
    MT_CLAIM_OURS,
    MT_CLAIM_FREE,    /* there is no link */
    MT_CLAIM_WAITS,   /* for what becomes of another: the process gets a message when it shall look again */
    MT_CLAIM_REFUSED
};
/* A peer's attempt is proved: the link is its process's (TAKEN), or not. Has who gives way close. */
enum mt_claim mt_claim(mote_self *self, struct mt_dist *dist, struct mt_attempt *attempt, uint64_t node, struct mt_link **link);
/* The calling process dials for a link that nobody dials for yet; NULL: there is none (any more). */
struct mt_link *mt_claim_dial(mote_self *self, struct mt_dist *dist, uint64_t node);
/* Whether the link of a node is the calling process's. */
bool mt_claim_is_ours(mote_self *self, struct mt_dist *dist, uint64_t node);
/* Its attempt has led to a connection: the link is TAKEN; false: another has it. */
bool mt_claim_dialled(mote_self *self, struct mt_dist *dist, uint64_t node);
/* Its attempt has not: WAITS: one of the peer's may take it over; FREE: there is none; REFUSED: one has. */
enum mt_claim mt_claim_yield(mote_self *self, struct mt_dist *dist, uint64_t node);
/* Whether a connection to the node has ended, and not all know. */
bool mt_claim_is_ending(struct mt_dist *dist, uint64_t node);
/* It is up: who listens is told, other attempts are overtaken. */
void mt_claim_up(mote_self *self, struct mt_link *link, bool hidden);
/* All who had to know that it ends do. */
void mt_claim_gone(mote_self *self, struct mt_link *link);

/* ------------------------------------------------------------------------------------------------ signals */

/* The carrier of a link (carry.c). */
extern const struct mt_carrier mt_link_carrier;
/* Puts a control message, its payload being a term (or 0), for a sender. False: it is lost, which is logged. Any thread. */
bool mt_link_put(struct mt_link *link, struct mt_sched *s, uint64_t sender, struct mt_control *control, uint64_t payload);
/* Writes a payload of MOTE_FORM_NODES for a peer with these flags. MOTE_ETERM: it has no form there; MOTE_ELIMIT, MOTE_ENOMEM: what fails is logged. */
mote_err mt_link_plain(const struct mt_link *link, mote_bytes payload, uint64_t flags, mote_writer *to);

/* Puts a control message that is whole but for what was left out of its payload (NULL: nothing), which is taken. False: it is lost. Any thread. */
bool mt_link_put_control(struct mt_link *link, struct mt_sched *s, uint64_t sender, struct mt_control *control, const struct mt_left *left);

/* A message has come (take.c), which is the last of `in`: delivers it. The connection's process; in a worker the postman: then `in` is NULL, and `found` is what the hub says (else NULL). */
struct mt_found {
    uint64_t named;  /* the process that it is for, by pid or by name */
    unsigned rights; /* of the peer */
};
enum mt_verdict mt_link_deliver(mote_self *self, struct mt_link *link, struct mt_frames_in *in, const struct mt_frame *frame, const struct mt_found *found);

/* What is the group leader of what this node starts elsewhere (leader.c). */
void mt_leader_process(mote_self *self, mote_term arg);

/* Exports what an operator asks a node for (observe.c): erlang:node/0, process_info/2 and the like. MOTE_ENOMEM. */
mote_err mt_observe(struct mt_dist *dist);

/* A message for a name that nobody has here, which may be one that every node answers (service.c). */
bool mt_is_service(const mote_name *name);
enum mt_verdict mt_service(mote_self *self, struct mt_link *link, const mote_name *name, mote_bytes payload);

/* Whether a name is this one. */
static inline bool mt_name_is(const mote_name *name, const char *text) { return name->size == strlen(text) && memcmp(name->data, text, name->size) == 0; }
/* {Tag, Answer} to who has called: to the alias that the tag may have, else to the pid. */
void mt_service_reply(mote_self *self, mote_arena *arena, mote_term to, mote_term tag, mote_term answer);

/* ------------------------------------------------------------------------------- processes for peers (serve.c) */

/* A process for a function that is asked for, and who gets its result. */
enum mt_answer {
    MT_ANSWER_NONE, /* nobody: it is spawned */
    MT_ANSWER_CAST, /* nobody: it is called */
    MT_ANSWER_ERPC, /* who monitors it: {Tag, return, Result} is the reason of its end */
    MT_ANSWER_CALL, /* {Tag, Result} to `from`, as of a server */
    MT_ANSWER_REX   /* {rex, Result} to `from` */
};
struct mt_asked {
    uint64_t node;     /* who asks: an atom; 0: this node, which is not counted */
    enum mt_answer kind;
    mote_arena *arena; /* of all terms here */
    mote_term module, function, args, tag, from;
};
/* Starts it. Takes the arena. `first` (may be NULL) as born of mt_spawn_born(). MOTE_ETERM: the arguments are no list of at most 255; MOTE_ELIMIT: the peer has too many; and as mote_spawn(). */
mote_err mt_serve_start(mote_self *self, struct mt_dist *dist, const struct mt_asked *asked, mote_err (*first)(void *context, struct mt_proc *child), void *context);
/* A SPAWN has come: does it, or refuses, and answers. The connection's process. */
enum mt_verdict mt_serve_spawn(mote_self *self, struct mt_link *link, const struct mt_control *control, uint64_t from);
/* A call by rex: NULL, or why not. Its terms are copied; without tag or from they may be none. The connection's process. */
const char *mt_serve_rex(mote_self *self, struct mt_link *link, const struct mt_asked *asked);
/* The result of a call by rex, as `kind` has it; to nobody if it is none of rex's that are answered. */
void mt_service_answer(mote_self *self, mote_arena *arena, enum mt_answer kind, mote_term to, mote_term tag, mote_term result);
/* Whether a peer has one of these rights (MOTE_RIGHT_...). Any thread. */
bool mt_has_right(struct mt_dist *dist, uint64_t node, unsigned right);
unsigned mt_rights_of(struct mt_dist *dist, uint64_t node); /* all of them */
/* Logs that a peer may not do something, once in MT_REFUSED_NS. */
void mt_refused(struct mt_dist *dist, uint64_t node, const char *what, const char *why);

/* Identifiers, as they are written. `text` of names is borrowed from atoms. */
mote_name mt_name_of_atom(uint64_t atom);
struct mt_far_pid mt_far_pid_of(const struct mt_dist *dist, uint64_t pid);
struct mt_far_ref mt_far_ref_of(const struct mt_dist *dist, uint64_t ref);
/* The pid of ours that one stands for; 0: none, or dead. */
uint64_t mt_own_pid(const struct mt_dist *dist, const struct mt_far_pid *pid);
uint64_t mt_own_ref(const struct mt_dist *dist, const struct mt_far_ref *ref);
/* The word for one of the peer's processes. 0: memory. */
uint64_t mt_peer_pid(struct mt_link *link, const struct mt_far_pid *pid);

/* Monitors of the peer's (Q6). Gives our reference. MOTE_EBUSY: there is one of this reference; MOTE_ELIMIT: it has too many relations; MOTE_ENOMEM. */
mote_err mt_watch_add(mote_self *self, struct mt_link *link, const struct mt_far_ref *ref, uint64_t pid, uint64_t *own);
bool mt_watch_take(struct mt_link *link, uint64_t own, struct mt_far_ref *ref);         /* by ours: its own, and it is gone */
uint64_t mt_watch_forget(struct mt_link *link, const struct mt_far_ref *ref, uint64_t *pid); /* by its own: ours, 0: none */

/* Links that it has begun, to be counted. MOTE_ELIMIT, MOTE_ENOMEM; a second one is the first. One that is not there is no error. */
mote_err mt_tie_add(struct mt_link *link, uint64_t own, const struct mt_far_pid *far);
void mt_tie_cut(struct mt_link *link, uint64_t own, const struct mt_far_pid *far);
bool mt_tie_is(struct mt_link *link, uint64_t own, const struct mt_far_pid *far);

/* What is read of a message, whose atoms its peer pays for: as mt_far_term(), and the atom of a name, held; 0: none. When it has too many mt_link_deliver() ends the connection. */
mote_err mt_link_term(struct mt_link *link, mote_arena *arena, mote_bytes bytes, mote_term *term);
uint64_t mt_link_atom(struct mt_link *link, const mote_name *name);

/* Whether a peer is given up for whom `waiting` bytes wait, of which it has taken nothing for so long. */
bool mt_link_is_stuck(size_t waiting, size_t most, uint64_t for_ns);

/* -------------------------------------------------------------------------------------------------- processes */

/* net.c: its argument is the struct's address. */
void mt_net_process(mote_self *self, mote_term arg);
/* conn.c: {dial, Node, Dist} or {accept, Socket, Knock, Dist}: pointers as integers. */
void mt_conn_process(mote_self *self, mote_term arg);
/* Logs, as the guard has it, that one from that address was refused. Whether it is to hear of it later (U2: a wrong cookie). Any thread. */
bool mt_tell_refusal(struct mt_dist *dist, const char *from, enum mt_verdict verdict, const char *why);
/* A handshake that has come from outside is proved or over, or is not to begin: then `fd` is closed; -1: it goes on to be used. Takes `knock`. */
void mt_shaken(struct mt_dist *dist, struct mt_knock *knock, int fd);
/* epmd_net.c: registers the node: 0 and the creation, and the socket to be kept open. With the port mapper that there is, or one of our own, which it starts. Waits. */
mote_err mt_epmd_register(mote_self *self, struct mt_dist *dist, int *fd, uint32_t *creation, char *why, size_t size);
/* Asks the port mapper of a host for a node's port. Waits. */
enum mt_verdict mt_epmd_find(mote_self *self, struct mt_dist *dist, const char *address, mote_bytes alive, uint16_t *port);
/* Asks it for all nodes: `each` is called for them when the answer is whole. MOTE_ENOPROC, MOTE_TIMEOUT, ...; MOTE_ETERM: that is none. Waits. */
mote_err mt_epmd_list(mote_self *self, uint16_t port, const char *address, void (*each)(void *context, const struct mt_epmd_node *node), void *context);
/* Whether it falls to who tries words, or has heard one handshake: short, or of Erlang's generator, which has 36 bits. */
bool mt_cookie_is_weak(const char *cookie);
/* cookie.c: reads the cookie. MOTE_EOS, MOTE_EARG: `why` says it. */
mote_err mt_cookie_read(const char *file, char cookie[MT_COOKIE_MAX + 1], char *why, size_t size);

/* Waits until a descriptor is ready or a deadline; other messages stay in the mailbox. MOTE_TIMEOUT, MOTE_EOS, ... */
mote_err mt_net_wait(mote_self *self, int fd, int events, uint64_t deadline_ns);
/* Connects a socket, and waits for that. Gives, from where it waits on; *fd is -1 again if it comes to nothing. As mt_net_dial() and mt_net_dialled(); MOTE_TIMEOUT. */
mote_err mt_net_connect(mote_self *self, const char *address, uint16_t port, uint64_t deadline_ns, int *fd);

/* Takes those out whose processes have ended. Gives, to be freed by mt_listeners_free(). Under dist->mu. */
struct mt_listener *mt_listeners_over_locked(struct mt_dist *dist);
/* Takes; NULL is allowed. No lock may be held. */
void mt_listeners_free(struct mt_listener *list);

/* A process is told of nodes, or (not `on`) not any more; what can be said at once is. In a worker the hub does it. MOTE_ENOMEM. Any thread; never waits. */
mote_err mt_listen(struct mt_dist *dist, struct mt_sched *s, const struct mt_listener *what, bool on);
/* Those of a worker (number and incarnation) have ended. */
void mt_unlisten_worker(struct mt_dist *dist, unsigned worker);
/* Who is to be told that a link's node is there, or is not (`was_up`: it was); taken out of the list, if that is once. Under dist->mu. */
struct mt_listener *mt_told_locked(struct mt_dist *dist, const struct mt_link *link, bool up, bool was_up);
/* What others know a connection by: mote_peer_info. */
static inline uint64_t mt_connection_id(const struct mt_link *link) { return link->number + 1; }
static inline bool mt_told_always(enum mt_told kind) { return kind == MT_TOLD_ALL || kind == MT_TOLD_NUMBERED; }
/* Tells one. Borrows. */
void mt_tell_one(struct mt_sched *s, const struct mt_listener *listener, uint64_t node, bool up);
/* Tells them. Takes. No lock may be held. */
void mt_tell(struct mt_sched *s, struct mt_listener *told, uint64_t node, bool up);

#endif
