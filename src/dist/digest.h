/* SPDX-License-Identifier: Apache-2.0
 * What proves that a node has the cookie: MD5 of the cookie and a challenge. MD5 is here for the protocol's sake alone; it protects from mistakes, not from attackers.
 *
 * Any thread. Nothing waits. The cookie's copies are wiped.
 */
#ifndef MT_DIST_DIGEST_H
#define MT_DIST_DIGEST_H

#include "base/os.h"

#define MT_DIGEST_BYTES 16u
#define MT_COOKIE_MAX 255u

/* Whether the library with MD5 is on this machine (Debian: libssl3). */
bool mt_digest_there(void);
/* The digest of a cookie (borrowed; MT_COOKIE_MAX bytes at most) and a challenge. False: the library has no MD5, or no memory. */
bool mt_digest(mote_bytes cookie, uint32_t challenge, uint8_t digest[MT_DIGEST_BYTES]);
/* Whether two are the same, in time that does not tell how much of them is. */
bool mt_digest_same(const uint8_t a[MT_DIGEST_BYTES], const uint8_t b[MT_DIGEST_BYTES]);
/* Wipes a secret. */
void mt_digest_wipe(void *secret, size_t size);

#endif
