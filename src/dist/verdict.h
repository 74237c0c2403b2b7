/* SPDX-License-Identifier: Apache-2.0
 * How reading what another node sends ends: well, for now, or with a reason that ends its channel and nothing else (law L7).
 *
 * Any thread. The peer is never told a reason: it sees a closed socket. A reason is a number, so that they can be counted.
 */
#ifndef MT_DIST_VERDICT_H
#define MT_DIST_VERDICT_H

#include "base/os.h"

enum mt_verdict {
    MT_FINE,
    MT_MORE, /* not all of it has come */
#define X(name, text) MT_NO_##name,
#include "dist/verdict.def"
#undef X
    MT_VERDICTS
};

/* How a term that could not be read ends it: without memory only that is lost. */
static inline enum mt_verdict mt_term_verdict(mote_err err) {
    return err == MOTE_OK || err == MOTE_ENOMEM ? MT_FINE : err == MOTE_ELIMIT ? MT_NO_LARGE : MT_NO_TERM;
}

/* The verdict's text; static. */
const char *mt_verdict_text(enum mt_verdict verdict);

/* Writes "what `name`: text" with what is not printable ASCII escaped, cut to `size` bytes with the 0 at its end. Borrows. Gives `to`. */
char *mt_verdict_print(enum mt_verdict verdict, const char *what, mote_bytes name, char *to, size_t size);

#endif
