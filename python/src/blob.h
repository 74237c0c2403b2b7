/* SPDX-License-Identifier: Apache-2.0
 * Big binaries between workers, as Python sees them: SharedBytes and Buffer. All of it by who has the GIL. */
#ifndef MP_BLOB_H
#define MP_BLOB_H

#include "mp.h"

#include <mote/host.h>

/* A message from another worker that is being read: the context of mp_unblob(). */
struct mp_letter {
    struct mp_state *st;
    const mote_host_blobs *blobs;
};
/* The bytes that a handle stands for: mp_codec.unblob. Gives; NULL: error set. */
PyObject *mp_unblob(void *context, const void *handle, size_t size);

bool mp_is_buffer(const struct mp_state *st, PyObject *v);
/* Nobody can write to a Buffer from now on, unless somebody still may: false. */
bool mp_buffer_seal(PyObject *v);
/* Whether it is memory that stays as it is: bytes, SharedBytes, a sealed Buffer. */
bool mp_is_fixed(const struct mp_state *st, PyObject *v);

extern PyMethodDef mp_blob_methods[];
/* Makes the types. -1: error set. */
int mp_blob_init(struct mp_state *st);

#endif
