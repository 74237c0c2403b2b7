/* SPDX-License-Identifier: Apache-2.0
 * Certificates: made for nodes, and asked whom they are for.
 *
 * Any thread; nothing is kept. Making one takes some milliseconds; those of files read and write them.
 * C1 a certificate is for the names in its subjectAltName alone, never for its subject's. Names of hosts and addresses are those a node may have behind its @; an address may be there as a name, too, as Erlang wants it. A URI erlnode:alive@host
 *    is a node, and a certificate with such is for these nodes only. C2 keys are of the curve P-256; they are written readable for their owner alone, and wiped here. C3 a certificate is never in the place
 *    of another unless that was asked for.
 */
#ifndef MT_DIST_CERT_H
#define MT_DIST_CERT_H

#include "dist/openssl.h"

#define MT_PEM_MAX 4096u          /* a certificate or a key as text */
#define MT_CERT_AUTHORITY_DAYS 3650u
#define MT_CERT_HOST_MAX 255u

/* What a certificate is to be. Borrowed. */
struct mt_cert_wish {
    const char *subject;     /* 64 bytes at most: for people */
    const char *names;       /* as OpenSSL writes them: DNS:a.example,IP:10.0.0.1,URI:erlnode:x@a.example; NULL: none */
    const char *usage;       /* its extended key usage: "serverAuth,clientAuth"; NULL: none is said */
    bool authority;          /* it is for making others */
    int from_s, until_s;     /* from now on */
};

/* A certificate and its key as text, with a 0 at their ends. */
struct mt_cert_pair {
    char certificate[MT_PEM_MAX], key[MT_PEM_MAX];
};

/* Makes one; `issuer` NULL: it vouches for itself. Copies into *pair, whose key the caller wipes. MOTE_EARG: the wish makes no sense to OpenSSL, or the issuer is none; MOTE_ENOMEM. */
mote_err mt_cert_issue(const struct mt_openssl *openssl, const struct mt_cert_wish *wish, const struct mt_cert_pair *issuer, struct mt_cert_pair *pair);

/* Whether a certificate is for a node, alive@host, by its host and (C1) its name. Borrows. */
bool mt_cert_speaks_for(const struct mt_openssl *openssl, X509 *certificate, mote_bytes node);

#endif
