/* SPDX-License-Identifier: Apache-2.0
 * TLS 1.2 and 1.3 on a connection's socket, both sides with certificates of one authority.
 *
 * struct mt_tls is a node's and is used by any thread (the lock TLS); a connection by one thread at a time, of those that mt_os_thread_start() has started: in them a closed socket makes no signal.
 * Nothing waits; the steps of a handshake compute (a millisecond), which is for the pool of mote_blocking(). What comes from the peer is bounded by TLS itself: records of 16 KiB, and
 * MT_TLS_CERTIFICATES_MAX of certificates.
 * T1 both sides show a certificate that the file ca.pem vouches for, no other authority, that is valid now, not taken back by crl.pem if there is one, and not for another use. T2 who is dialled shows one for the node
 *    that was dialled; who dials, one for the node that it says it is (mt_tls_speaks_for(), asked before anything is done with that name). cert.h says what that means. T3 keys are exchanged afresh for each connection,
 *    and what is sent is encrypted and authenticated in one: no session is resumed, nothing renegotiated, compressed, or sent early. T4 there is no way back: who does not do all this is closed.
 * T5 a connection keeps the keys that it has begun with: new files are for those that begin after mt_tls_reload(). But the other's certificate has to hold as long as it lasts (mt_tls_look()): by ca.pem and crl.pem as they were
 *    read last, and by the clock. A list that is out of date keeps newcomers out, and ends only whom it names. T6 a connection ends before its mt_tls does.
 */
#ifndef MT_DIST_TLS_H
#define MT_DIST_TLS_H

#include "base/os.h"

#define MT_TLS_CERTIFICATES_MAX 32768u
#define MT_TLS_DEPTH_MAX 4 /* certificates between a peer's and the authority's */

struct mt_tls;
struct mt_tls_conn;

/* Reads ca.pem, cert.pem, key.pem and, if it is there, crl.pem of a folder. `node` (size 0: any) is who uses it, whom cert.pem has to be for, now. Copies both. Gives. MOTE_EARG: a file is missing or not as it has
 * to be; MOTE_EOS: it cannot be read, or there is no OpenSSL; MOTE_ENOMEM; `why` (`size` bytes, may be 0) gets it in words. */
mote_err mt_tls_new(const char *folder, mote_bytes node, struct mt_tls **tls, char *why, size_t size);
/* Takes; NULL is allowed. */
void mt_tls_free(struct mt_tls *tls);
/* Reads them again; when it fails, as above, all stays as it was. Connections that there are have to be looked at then. */
mote_err mt_tls_reload(struct mt_tls *tls, char *why, size_t size);

/* TLS on a connected socket, which is borrowed until mt_tls_close(). `dialled` (size 0: we are dialled): the node at the other end, which fits (mt_node_name_fits()). Gives. MOTE_ENOMEM. */
mote_err mt_tls_open(struct mt_tls *tls, int fd, mote_bytes dialled, struct mt_tls_conn **conn);
/* Tells the other that nothing follows, if it can be told. Takes; NULL is allowed. */
void mt_tls_close(struct mt_tls_conn *conn);
/* A step of the handshake. MOTE_OK: it is done; MOTE_TIMEOUT: when the socket is ready for mt_tls_events() it goes on; MOTE_ESTOPPED: it is over, mt_tls_why(). */
mote_err mt_tls_shake(struct mt_tls_conn *conn);
/* What the last step waits for: MOTE_READ or MOTE_WRITE. */
int mt_tls_events(const struct mt_tls_conn *conn);
/* Whether the other's certificate is for this node. Only after the handshake. Borrows. */
bool mt_tls_speaks_for(struct mt_tls_conn *conn, mote_bytes node);

/* Whether the other's certificate still holds (T5); computes as a step of the handshake does, and follows one that is done. MOTE_ESTOPPED: it does not, and the connection is over: mt_tls_why(). */
mote_err mt_tls_look(struct mt_tls_conn *conn);
/* Whether files were read since it was looked at, or the connection began. */
bool mt_tls_is_dated(const struct mt_tls_conn *conn);

/* As mt_net_read() and mt_net_write(). A read that gives MOTE_TIMEOUT has nothing left that has come; what a write has not taken is to be written next, unchanged, and may have grown. */
mote_err mt_tls_read(struct mt_tls_conn *conn, void *to, size_t size, size_t *done);
mote_err mt_tls_write(struct mt_tls_conn *conn, const void *from, size_t size, size_t *done);
/* Why it is over, to go on "...: "; empty: the other has closed it. Borrowed, as long as the connection. */
const char *mt_tls_why(const struct mt_tls_conn *conn);

#endif
