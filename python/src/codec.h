/* SPDX-License-Identifier: Apache-2.0
 * What Python's objects are in MOTE_FORM_MOTE and MOTE_FORM_NODES besides what everybody has: the codes of its HOST and LIKE tokens. encode.c writes them, decode.c reads them.
 *
 * C1 what mp_share() may give another process arrives in MOTE_FORM_MOTE as the same value of the same type, and a Term as an equal one; other buffers
 *    arrive as read-only memoryviews, as there. C2 what stands in brackets is what everybody else sees; without, it is nothing to them.
 * C3 in MOTE_FORM_NODES messages of mote's own (DOWN and the like) are tuples: another node does not speak for this one. A message of a class that is not known is one, too.
 */
#ifndef MP_CODEC_H
#define MP_CODEC_H

#include "values.h"

enum mp_host_code {
    MP_HOST_SET = 1,    /* the elements */
    MP_HOST_FROZENSET,  /* the elements */
    MP_HOST_FLOAT,      /* one that is not finite: a binary of 8 bytes, as a float is written */
    MP_HOST_COMPLEX,    /* a binary of 16 bytes: two of these */
    MP_HOST_SURROGATES  /* a str with lone surrogates: a binary, UTF-8 but for these */
};

enum mp_like_code {
    MP_LIKE_ATOM = 1,    /* an Atom that is called as a constant is: [the atom] */
    MP_LIKE_TUPLE,       /* a tuple that begins with an Atom and is no message: [the tuple] */
    MP_LIKE_MESSAGE,     /* "module:Class" [the tuple of its tag and fields] */
    MP_LIKE_DOWN,        /* [the tuple] */
    MP_LIKE_EXIT_SIGNAL, /* [the tuple] */
    MP_LIKE_BYTEARRAY,   /* [the binary] */
    MP_LIKE_VIEW,        /* of bytes; or format, list of its sizes [the binary] */
    MP_LIKE_TERM,        /* a Term that would be read as another value: [the term] */
    MP_LIKE_NODE_UP,     /* [the tuple] */
    MP_LIKE_NODE_DOWN    /* [the tuple] */
};

#endif
