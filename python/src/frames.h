/* SPDX-License-Identifier: Apache-2.0
 * The part of CPython's thread state that belongs to a flow of Python frames, for functions that run on stacks of their own: what it is differs with
 * each version, so the versions it is known for are listed here, and only here. mp_frames_swap() is called with the GIL, on the thread of `ts`, with
 * no frame in between; the state of tracing stays the thread's. Not listed (3.14: addresses of C stacks are checked): MP_OWN_STACKS is 0.
 */
#ifndef MP_FRAMES_H
#define MP_FRAMES_H

#include "mp.h"

#if PY_VERSION_HEX >= 0x03090000 && PY_VERSION_HEX < 0x030E0000 && !defined(Py_GIL_DISABLED)
#define MP_OWN_STACKS 1
#else
#define MP_OWN_STACKS 0
#endif
#define MP_HAS_CHUNKS (PY_VERSION_HEX >= 0x030B0000)                               /* frames in chunks of memory */
#define MP_HAS_CFRAME (PY_VERSION_HEX >= 0x030A0000 && PY_VERSION_HEX < 0x030D0000)

struct mp_frames {
    PyObject *context;
    _PyErr_StackItem *exc_info;
    _PyErr_StackItem exc_state;
#if PY_VERSION_HEX < 0x030B0000
    struct _frame *frame;
    int depth;
#elif PY_VERSION_HEX < 0x030C0000
    int used, headroom;
#else
    int used, c_left;
#endif
#if MP_HAS_CFRAME
#if PY_VERSION_HEX < 0x030B0000
    CFrame *cframe;
#else
    _PyCFrame *cframe;
#endif
#endif
#if PY_VERSION_HEX >= 0x030D0000
    struct _PyInterpreterFrame *current;
    PyObject *delete_later;
#elif PY_VERSION_HEX >= 0x030C0000
    int nesting;
#else
    int nesting;
#endif
#if MP_HAS_CHUNKS
    _PyStackChunk *chunk;
    PyObject **top, **limit;
#endif
};

static inline void mp_frames_save(PyThreadState *ts, struct mp_frames *f) {
    f->context = ts->context;
    f->exc_info = ts->exc_info;
    f->exc_state = ts->exc_state;
#if PY_VERSION_HEX < 0x030B0000
    f->frame = (struct _frame *)ts->frame;
    f->depth = ts->recursion_depth;
#elif PY_VERSION_HEX < 0x030C0000
    f->used = ts->recursion_limit - ts->recursion_remaining;
    f->headroom = ts->recursion_headroom;
#else
    f->used = ts->py_recursion_limit - ts->py_recursion_remaining;
    f->c_left = ts->c_recursion_remaining;
#endif
#if MP_HAS_CFRAME
    f->cframe = ts->cframe;
#endif
#if PY_VERSION_HEX >= 0x030D0000
    f->current = ts->current_frame;
    f->delete_later = ts->delete_later;
#elif PY_VERSION_HEX >= 0x030C0000
    f->nesting = ts->trash.delete_nesting;
#else
    f->nesting = ts->trash_delete_nesting;
#endif
#if MP_HAS_CHUNKS
    f->chunk = ts->datastack_chunk;
    f->top = ts->datastack_top;
    f->limit = ts->datastack_limit;
#endif
}

/* The same again, of a state from which others have run, and ended, since it was loaded: what they leave behind. */
static inline void mp_frames_save_rest(PyThreadState *ts, struct mp_frames *f) {
    f->context = ts->context;
#if MP_HAS_CHUNKS
    f->chunk = ts->datastack_chunk;
    f->top = ts->datastack_top;
    f->limit = ts->datastack_limit;
#endif
}

static inline void mp_frames_load(PyThreadState *ts, const struct mp_frames *f) {
    ts->context = f->context;
    ts->context_ver++;
    ts->exc_state = f->exc_state;
    ts->exc_info = f->exc_info;
#if PY_VERSION_HEX < 0x030B0000
    ts->frame = (PyFrameObject *)f->frame;
    ts->recursion_depth = f->depth;
#elif PY_VERSION_HEX < 0x030C0000
    ts->recursion_remaining = ts->recursion_limit - f->used;
    ts->recursion_headroom = f->headroom;
#else
    ts->py_recursion_remaining = ts->py_recursion_limit - f->used;
    ts->c_recursion_remaining = f->c_left;
#endif
#if MP_HAS_CFRAME
#if PY_VERSION_HEX < 0x030C0000
    int tracing = ts->cframe->use_tracing;
    ts->cframe = f->cframe;
    ts->cframe->use_tracing = (uint8_t)tracing;
#else
    ts->cframe = f->cframe;
#endif
#endif
#if PY_VERSION_HEX >= 0x030D0000
    ts->current_frame = f->current;
    ts->delete_later = f->delete_later;
#elif PY_VERSION_HEX >= 0x030C0000
    ts->trash.delete_nesting = f->nesting;
#else
    ts->trash_delete_nesting = f->nesting;
#endif
#if MP_HAS_CHUNKS
    ts->datastack_chunk = f->chunk;
    ts->datastack_top = f->top;
    ts->datastack_limit = f->limit;
#endif
}

/* A flow without a frame, on a C stack of `stack` bytes; `head` (`size` bytes, or NULL) becomes its first chunk. `own` is filled where the
 * version wants a C frame on the flow's own stack. */
struct mp_own_frame {
#if PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x030D0000
    _PyCFrame cframe;
#elif MP_HAS_CFRAME
    CFrame cframe;
#else
    char none;
#endif
};

#if PY_VERSION_HEX >= 0x030D0000
#define MP_C_DEPTH Py_C_RECURSION_LIMIT
#elif PY_VERSION_HEX >= 0x030C0000
#define MP_C_DEPTH C_RECURSION_LIMIT
#endif
/* Bytes of stack that CPython's own limits of recursion need at most before 3.12, where one limit counts Python's and C's calls; with less the limit
 * is lower. From 3.12 on C's calls have a limit of their own, far beyond any stack: sorted() with a key that sorts takes 5.6 KB a level. */
#define MP_STACK_HEAD ((size_t)65536 + 1024) /* the first KiB shares a page with the stack's first */
#define MP_STACK_FOR_ALL ((size_t)4 << 20)
#define MP_STACK_PER_CALL ((size_t)6 << 10)
#define MP_STACK_LEAST 65536 /* what mote's own walks over values nested to their limit need, and some calls around them */
#define MP_STACK_DEFAULT (MP_STACK_FOR_ALL + MP_STACK_HEAD)
#define MP_STACK_MOST ((size_t)1 << 30) /* the core's limit */
/* The core's size of a stack of so many bytes (0: its default). */
static inline size_t mp_stack_size(Py_ssize_t bytes) {
    size_t whole = (size_t)bytes + MP_STACK_HEAD;
    return !bytes ? 0 : (size_t)bytes <= MP_STACK_MOST && whole > MP_STACK_MOST ? MP_STACK_MOST : whole;
}

static inline void mp_frames_begin(PyThreadState *ts, struct mp_own_frame *own, size_t stack, void *head, size_t size) {
    struct mp_frames f;
    memset(&f, 0, sizeof f);
    f.exc_info = &ts->exc_state;
#if PY_VERSION_HEX < 0x030C0000
    size_t part = stack < MP_STACK_FOR_ALL ? stack : MP_STACK_FOR_ALL;
#endif
#if PY_VERSION_HEX < 0x030B0000
    int limit = Py_GetRecursionLimit();
    f.depth = limit - (int)((size_t)limit * part / MP_STACK_FOR_ALL);
#elif PY_VERSION_HEX < 0x030C0000
    f.used = ts->recursion_limit - (int)((size_t)ts->recursion_limit * part / MP_STACK_FOR_ALL);
    f.headroom = 0;
#else
    f.c_left = (int)(stack / MP_STACK_PER_CALL < MP_C_DEPTH ? stack / MP_STACK_PER_CALL : MP_C_DEPTH);
#endif
#if MP_HAS_CFRAME
    own->cframe = *ts->cframe;
    own->cframe.previous = &ts->root_cframe;
#if PY_VERSION_HEX >= 0x030B0000
    own->cframe.current_frame = NULL;
#endif
    f.cframe = &own->cframe;
#else
    (void)own;
#endif
#if MP_HAS_CHUNKS
    if (head) {
        _PyStackChunk *chunk = head;
        chunk->previous = NULL;
        chunk->size = size;
        chunk->top = 0;
        f.chunk = chunk;
        f.top = &chunk->data[1]; /* so the first chunk is never popped */
        f.limit = (PyObject **)(void *)((char *)head + size);
    }
#else
    (void)head, (void)size;
#endif
    mp_frames_load(ts, &f);
}

/* Gives up the frames that stand on the thread, as they stand: what they hold is lost. `bare`: its state before the first. */
static inline void mp_frames_drop(PyThreadState *ts, const struct mp_frames *bare) {
    struct mp_frames f = *bare;
#if MP_HAS_CHUNKS
    PyObjectArenaAllocator allocator;
    PyObject_GetArenaAllocator(&allocator);
    _PyStackChunk *chunk = ts->datastack_chunk;
    for (_PyStackChunk *previous; chunk && chunk->previous; chunk = previous) {
        previous = chunk->previous;
        allocator.free(allocator.ctx, chunk, chunk->size);
    }
    f.chunk = chunk; /* the thread's first stays */
    f.top = chunk ? &chunk->data[1] : NULL;
    f.limit = chunk ? (PyObject **)(void *)((char *)chunk + chunk->size) : NULL;
#endif
    mp_frames_load(ts, &f);
#if MP_HAS_CFRAME && PY_VERSION_HEX >= 0x030B0000
    ts->cframe->current_frame = NULL;
#endif
}

/* After a flow's last frame: gives back what it has. `head` as above. */
static inline void mp_frames_end(PyThreadState *ts, void *head) {
    Py_CLEAR(ts->context);
#if MP_HAS_CHUNKS
    PyObjectArenaAllocator allocator;
    PyObject_GetArenaAllocator(&allocator);
    for (_PyStackChunk *chunk = ts->datastack_chunk, *previous; chunk; chunk = previous) {
        previous = chunk->previous;
        if ((void *)chunk != head) allocator.free(allocator.ctx, chunk, chunk->size);
    }
#else
    (void)head;
#endif
}

#endif
