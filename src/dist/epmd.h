/* SPDX-License-Identifier: Apache-2.0
 * The port mapper's protocol, without sockets: what a client asks and is answered, and the table of our own server.
 *
 * Any thread for the client's half. A server is used by one thread at a time; it knows nothing of the node but its own table. Nothing waits.
 * P1 a port that epmd tells is a hint: who listens there has to prove who it is (handshake.h).
 * P2 a node is registered as long as its connection is open and silent; a byte on it, or its end, sets the name free. A name has one owner.
 * P3 a node that registers again gets another creation: one more than the last, never 0 to 3. The last MT_EPMD_REMEMBERED names are remembered.
 * P4 names have 1 to 255 of [A-Za-z0-9_.~-]; port 0 is refused: nobody can put a line of his own into a list.
 * P5 only who is on this host registers. Nobody stops the server, or is told more than names and ports.
 * P6 a request has MT_EPMD_REQUEST_MAX bytes and MT_EPMD_LATE_NS at most. When MT_EPMD_OPEN connections are open, the oldest that is not registered gives way.
 */
#ifndef MT_DIST_EPMD_H
#define MT_DIST_EPMD_H

#include "dist/verdict.h"

#define MT_EPMD_PORT 4369
#define MT_EPMD_ASK_MAX 272u        /* bytes of a request of ours */
#define MT_EPMD_ANSWER_MAX 4096u    /* bytes that an answer to a look-up may have */
#define MT_EPMD_NAMES_MAX 65536u    /* and a list */
#define MT_EPMD_REQUEST_MAX 2048u
#define MT_EPMD_EXTRA_MAX 1020u
#define MT_EPMD_OPEN 256u
#define MT_EPMD_REGISTERED 128u
#define MT_EPMD_REMEMBERED 1000u
#define MT_EPMD_LATE_NS ((uint64_t)10000000000)

/* A node as epmd knows it. */
struct mt_epmd_node {
    mote_bytes name; /* without its host */
    uint16_t port;
    uint16_t highest, lowest; /* versions of the protocol */
    uint8_t type;             /* 'M', or 'H': hidden */
    uint8_t protocol;         /* 0: TCP */
};

/* ------------------------------------------------------------------------------------------------ the client's half */

/* Whether this can be the first half of a node's name (P4). Borrows. */
bool mt_epmd_name_fits(mote_bytes name);

/* Write a request into `to`, of MT_EPMD_ASK_MAX bytes; how many bytes it has. The name fits; borrows it. */
size_t mt_epmd_ask_alive(uint8_t *to, mote_bytes name, uint16_t port, bool hidden);
size_t mt_epmd_ask_port(uint8_t *to, mote_bytes name);
size_t mt_epmd_ask_names(uint8_t *to);

/* Read an answer of which `come` has come so far (borrowed). MT_MORE; MT_NO_TAKEN, _UNKNOWN, _OTHER_NAME, _PORT, _OLD, _TOO_LONG, _GARBLED. What is given
 * is untouched unless MT_FINE, and lies in `come`. */
enum mt_verdict mt_epmd_alive_answer(mote_bytes come, uint32_t *creation);
enum mt_verdict mt_epmd_port_answer(mote_bytes come, mote_bytes asked, struct mt_epmd_node *node);
/* The list, once epmd has closed: `port` is where it was asked. Calls `each` (may be NULL) for every node, its name and port alone; lines that are not as
 * they should be, of names that nobody should have, are passed over. */
enum mt_verdict mt_epmd_names_answer(mote_bytes come, uint16_t port, void (*each)(void *context, const struct mt_epmd_node *node), void *context);

/* ------------------------------------------------------------------------------------------------ the server's half */

struct mt_epmd;
struct mt_epmd_open; /* a connection */

/* A server that says it is at `port`. Gives. MOTE_ENOMEM. */
mote_err mt_epmd_new(uint16_t port, struct mt_epmd **epmd);
/* With all connections. Takes; NULL is allowed. */
void mt_epmd_free(struct mt_epmd *epmd);

/* A connection was accepted; `socket` is what the caller knows it by, `local` whether it comes from this host (its source is a loopback address, or the address
 * that it has reached). NULL: out of memory. *evicted gets what gives way (P6), which is gone and has to be closed; else NULL. */
struct mt_epmd_open *mt_epmd_open(struct mt_epmd *epmd, void *socket, bool local, uint64_t now_ns, void **evicted);
/* It is closed. Takes. */
void mt_epmd_close(struct mt_epmd *epmd, struct mt_epmd_open *open);

/* What to do: send `bytes` (borrowed until the next call for this server), then close, if so. */
struct mt_epmd_say {
    mote_bytes bytes;
    bool close;
};
/* Bytes have come on it. After one that closes nothing more is fed. */
struct mt_epmd_say mt_epmd_feed(struct mt_epmd *epmd, struct mt_epmd_open *open, const void *data, size_t size);

/* The socket of one that was late at `now_ns`, which is gone and has to be closed; NULL: none is. */
void *mt_epmd_late(struct mt_epmd *epmd, uint64_t now_ns);
/* When the next will be late; MT_NEVER: none. */
uint64_t mt_epmd_due(const struct mt_epmd *epmd);

#endif
