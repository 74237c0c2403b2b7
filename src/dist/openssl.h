/* SPDX-License-Identifier: Apache-2.0
 * OpenSSL 3's functions, loaded when a node uses TLS: who does not needs none of it. Their types are those of its headers, so a call is checked as if it were linked.
 *
 * Any thread. Loading takes below a millisecond once the library is there; nothing is ever unloaded.
 * O1 a function is called through the table alone; so are OpenSSL's macros, by the function that they stand for. O2 what OpenSSL has to say of a failure is kept by thread: it is read in the call in
 *    which it has come (mt_openssl_why()), before a process could go on elsewhere.
 */
#ifndef MT_DIST_OPENSSL_H
#define MT_DIST_OPENSSL_H

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/os.h"

struct mt_openssl {
#define X(name) __typeof__(&name) name;
#include "dist/openssl.def"
#undef X
};

/* Fills the table. False: the library is not on this machine (Debian: libssl3), or is another than it was built for. */
bool mt_openssl_load(struct mt_openssl *openssl);
/* What the last failure on this thread was, in OpenSSL's words; and it is forgotten. Borrowed, static. */
const char *mt_openssl_why(const struct mt_openssl *openssl);

/* The first certificate, the private key in a text (PEM). Gives. NULL: there is none, or a key has a passphrase, which nobody is asked for; the failure is kept (O2). */
X509 *mt_openssl_certificate_of(const struct mt_openssl *openssl, mote_bytes text);
EVP_PKEY *mt_openssl_key_of(const struct mt_openssl *openssl, mote_bytes text);
/* The same of files; a key is in a regular one of the caller's own that nobody else may read. MOTE_ENOPROC: there is none; MOTE_EARG: others may read it; MOTE_ETERM: it is no
 * key, or one with a passphrase; MOTE_EOS. */
X509 *mt_openssl_certificate(const struct mt_openssl *openssl, const char *path);
mote_err mt_openssl_key(const struct mt_openssl *openssl, const char *path, EVP_PKEY **key);

#endif
