/* SPDX-License-Identifier: Apache-2.0
 * What values.c has for encode.c and decode.c: they go through the same values by the same rules.
 *
 * With the GIL held, as all here. "Error set" is Python's.
 * V4 a way through a value has a struct mp_walk; what cannot be sent is noted in it once, and on the way back each container adds its step to the path.
 */
#ifndef MP_VALUES_H
#define MP_VALUES_H

#include "mp.h"

#define MP_DEPTH_MAX 200
#define MP_COPIES_MAX ((size_t)1 << 24) /* containers in one message: one that holds itself many times over would never end */
#define MP_NO_MEMORY "its memory is not to be had (a view that was released, or an array of objects)"
#define MP_NO_SUCH_FLOAT "Erlang has no NaN and no infinities; send an atom or None for it"
#define MP_NO_COMPLEX "Erlang has no complex numbers; send (x.real, x.imag)"
#define MP_NO_SET "outside Python a set is no kind of value (Erlang has several); send sorted(x) or a dict"
#define MP_SURROGATES "it holds lone surrogates, which UTF-8 has not; send x.encode(errors=\"surrogateescape\")"
#define MP_ONE_NUMBER "it is a single number of an array; send x.item()"
#define MP_NO_FORMAT "memoryview does not know the format of its elements; send its bytes, and say what they are"
#define MP_TOO_MUCH "it holds too much"

/* Interned while somebody holds it: `table` (of the state) has its address under `name`, and loses it in atom_dealloc(). */
struct mp_atom {
    PyUnicodeObject str;
    PyObject *name; /* the same letters, exact str */
    PyObject *table;
};

/* A way through a value. What cannot be sent is noted here, and its path while we go back; then mp_walk_end() tells. */
struct mp_walk {
    struct mp_state *st;
    mote_arena *arena;  /* of mp_to_term() */
    size_t depth;
    size_t containers;
    PyObject *known;    /* dict, address -> container that is shared as it is; NULL: none yet */
    PyObject *offender; /* what cannot be sent */
    PyObject *path;     /* list of str, innermost first */
    const char *why;    /* NULL: it is nested too deep */
};

/* Notes what cannot be sent. Borrows; `why` for ever. Gives NULL. */
void *mp_refuse(struct mp_walk *w, PyObject *v, const char *why);
/* Steps of the path, when something was noted: [i]; .name, or [i] without names; as it stands; [key]. */
void mp_at_index(struct mp_walk *w, Py_ssize_t i);
void mp_at_field(struct mp_walk *w, PyObject *names, Py_ssize_t i);
void mp_at_text(struct mp_walk *w, const char *text);
void mp_at_key(struct mp_walk *w, PyObject *key);
/* Turns what was noted into the error, unless one is set; frees what the walk has. */
void mp_walk_end(struct mp_walk *w);
/* What to send instead of a value of this type. Static text. */
const char *mp_advice(PyObject *v);

/* What message() wrote down of a class: (tag, names of its fields, its name), borrowed. NULL: not registered, or error set. */
PyObject *mp_message_info(struct mp_state *st, PyTypeObject *type);
/* Whether it is one of the NamedTuples of the Python layer, which are tuples to everybody else. */
bool mp_is_system_message(const struct mp_state *st, PyObject *v);
/* The fields of a message as a tuple. Gives; NULL: error set. */
PyObject *mp_message_fields(PyObject *v, PyObject *names);
/* An object of a registered class with these fields (an exact tuple, as many as the class has); none of its code runs. Gives; NULL: error set. */
PyObject *mp_message_make(PyTypeObject *type, PyObject *names, PyObject *fields);
/* The object of a registered class for a tuple that begins with its tag, else the tuple. Takes and gives; NULL: error set. */
PyObject *mp_tuple_as_message(struct mp_state *st, PyObject *tuple);

/* A view of the bytes with the format and shape of `b`. NULL without an error: memoryview knows no such format. Takes `bytes`. */
PyObject *mp_view_cast(PyObject *bytes, const Py_buffer *b);
/* The Term of a term: a copy; or the term itself with its arena, which is taken. Gives; NULL: error set. */
PyObject *mp_term_new(struct mp_state *st, mote_term term);
PyObject *mp_term_take(struct mp_state *st, mote_arena *arena, mote_term term);
mote_term mp_term_of(PyObject *term);
/* The object of Python's that a term, at this depth in others, has in bytes: C has passed it on as it came. Gives; NULL: no value here, or error set
 * (decode.c). */
PyObject *mp_from_opaque(struct mp_state *st, mote_term term, size_t depth);
/* The Atom of a name, an exact str (borrowed). Gives; NULL: error set. */
PyObject *mp_atom_of(struct mp_state *st, PyObject *name);
/* The magnitude of an int, least significant byte first, as bytes; and the int of one. Gives; NULL: error set. */
PyObject *mp_int_magnitude(PyObject *v);
PyObject *mp_int_of(const void *magnitude, size_t size, bool negative);

#endif
