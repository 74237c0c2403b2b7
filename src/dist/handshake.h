/* SPDX-License-Identifier: Apache-2.0
 * The handshake of two nodes, version 6 of Erlang's, from either side, without its socket: fed with bytes, it gives bytes, and asks what it cannot know.
 *
 * One thread at a time. Nothing waits or allocates; `cookie` is called back. A step (below) says what has to be done before it goes on.
 * S1 until a peer has proved that it has the cookie, nothing of what it says is kept but in this struct: no atom, no memory. What is kept of a message are
 *    MT_SHAKE_KEPT bytes; one of more than MT_SHAKE_MESSAGE_MAX ends the handshake before it is read.
 * S2 a message may take MT_SHAKE_STEP_NS, the whole MT_SHAKE_NS, however slowly bytes drip.
 * S3 challenges are fresh and random; one that we have given out ourselves is never answered (challenges.h). Digests are compared in constant time. Whoever
 *    is wrong is told nothing: the socket closes.
 * S4 names are 3 to 255 printable ASCII characters with one @, and never our own. A peer that was dialled answers in the name it was dialled by.
 * S5 an unproved peer changes nothing: a connection that it claims to replace ends only after MT_SHAKE_PROVEN. Of several that claim one name the first
 *    to prove it is admitted. Only our own attempt to dial it is compared by names: the greater name's goes on.
 * S6 bytes behind the fields that are known are passed over in the messages that may grow; bytes behind the last message are not consumed.
 */
#ifndef MT_DIST_HANDSHAKE_H
#define MT_DIST_HANDSHAKE_H

#include "dist/challenges.h"
#include "dist/digest.h"
#include "dist/flags.h"
#include "dist/verdict.h"

#define MT_NODE_NAME_MAX 255u
#define MT_SHAKE_MESSAGE_MAX 2048u
#define MT_SHAKE_KEPT 512u
#define MT_SHAKE_STEP_NS ((uint64_t)7000000000)
#define MT_SHAKE_NS ((uint64_t)15000000000)

/* Who we are, for all handshakes: borrowed until they end. */
struct mt_shake_self {
    mote_bytes name;    /* alive@host; of a node that is given its name by whom it dials: its host alone */
    uint32_t creation;  /* 4 or more; without a name: 0 */
    uint64_t flags;     /* MT_FLAGS_OURS, and PUBLISHED of a node that is not hidden */
    size_t prefix;      /* bytes of a message's size: 2 on a socket, 4 within TLS */
    struct mt_challenges *challenges;
    size_t (*cookie)(void *context, mote_bytes peer, char cookie[MT_COOKIE_MAX]); /* the cookie for a peer: its size; 0: there is none. Must not wait */
    void *context;
};

enum mt_shake_step {
    MT_SHAKE_WAITS,  /* for bytes */
    MT_SHAKE_NAMED,  /* accepting: it says who it is, `peer`: mt_shake_decide() */
    MT_SHAKE_LINKED, /* dialling: it has a connection to us already: mt_shake_insist() */
    MT_SHAKE_PROVEN, /* accepting: it has the cookie: mt_shake_admit() */
    MT_SHAKE_UP,     /* the connection is made */
    MT_SHAKE_OVER    /* it is not: `verdict`. Close, once what mt_shake_out() gives is written */
};

/* What a node is to us when it says its name. */
enum mt_shake_known {
    MT_SHAKE_STRANGER,
    MT_SHAKE_DIALLED, /* we are dialling it */
    MT_SHAKE_IS_UP,   /* we have a connection to it */
    MT_SHAKE_BARRED   /* it may not connect */
};

struct mt_shake {
    /* To be read. Of the peer: what it says, which is true when the connection is made. */
    enum mt_shake_step step;
    enum mt_verdict verdict;      /* MT_SHAKE_OVER */
    bool dialling;
    bool nameless;                /* accepting: it has asked for a name, and `peer` and `peer_creation` are what it gets */
    uint64_t flags;               /* that hold (flags.h) */
    uint32_t creation;            /* our own; of a node without a name: what it got */
    uint32_t peer_creation;
    size_t name_size, peer_size;
    char name[MT_NODE_NAME_MAX];  /* our own; of a node without one: what it got */
    char peer[MT_NODE_NAME_MAX];

    /* Its own. */
    const struct mt_shake_self *self;
    uint64_t theirs;              /* flags as the peer says them */
    uint64_t began_ns, step_ns;
    uint32_t challenge;           /* ours */
    unsigned expects;
    size_t head, size, come;      /* bytes of the prefix, which is `size` when it is whole; of the message */
    uint8_t in[MT_SHAKE_KEPT];
    size_t out_size;
    uint8_t out[2 * 300];
};

/* Whether that is a node's name (S4). Borrows. */
bool mt_node_name_fits(mote_bytes name);
/* Whether who is named `a` goes before who is named `b` when each dials the other (S5). */
bool mt_node_goes_first(mote_bytes a, mote_bytes b);

/* Begin. `peer` fits; copied. */
void mt_shake_dial(struct mt_shake *shake, const struct mt_shake_self *self, mote_bytes peer, uint64_t now_ns);
void mt_shake_accept(struct mt_shake *shake, const struct mt_shake_self *self, uint64_t now_ns);

/* Bytes have come (none is allowed). Consumes *used of them and gives the step; to be called again with the others once what the step wants is done. */
enum mt_shake_step mt_shake_feed(struct mt_shake *shake, const void *data, size_t size, uint64_t now_ns, size_t *used);
/* What is to be written, which is then regarded as written; borrowed until the next call. */
mote_bytes mt_shake_out(struct mt_shake *shake);

/* Answers to steps; each gives the next. MT_SHAKE_NAMED: what the peer is to us. If we dial it: MT_SHAKE_OVER (MT_NO_OURS_FIRST) when our attempt goes on,
 * else ours has to be given up. */
enum mt_shake_step mt_shake_decide(struct mt_shake *shake, enum mt_shake_known known, uint64_t now_ns);
/* MT_SHAKE_LINKED: whether this attempt is wanted still, so that the other connection, which we do not know, ends. */
enum mt_shake_step mt_shake_insist(struct mt_shake *shake, bool wanted);
/* MT_SHAKE_PROVEN: whether it has this name now: no other was faster, and a connection that it had has ended, with all that follows. */
enum mt_shake_step mt_shake_admit(struct mt_shake *shake, bool admitted);

/* When it is late (S2), and: it is. */
uint64_t mt_shake_due(const struct mt_shake *shake);
enum mt_shake_step mt_shake_late(struct mt_shake *shake, uint64_t now_ns);

/* Why it is over, in words, cut to `size` bytes. Gives `to`. */
char *mt_shake_print(const struct mt_shake *shake, char *to, size_t size);

#endif
