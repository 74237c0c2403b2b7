/* SPDX-License-Identifier: Apache-2.0
 * What later CPythons have and earlier ones lack. */
#ifndef MP_COMPAT_H
#define MP_COMPAT_H

#include "mp.h"

#if PY_VERSION_HEX < 0x030A0000
static inline PyObject *Py_NewRef(PyObject *o) { return Py_INCREF(o), o; }
static inline PyObject *Py_XNewRef(PyObject *o) { return Py_XINCREF(o), o; }
#define Py_NewRef(o) Py_NewRef((PyObject *)(o))
#define Py_XNewRef(o) Py_XNewRef((PyObject *)(o))
typedef enum { PYGEN_RETURN = 0, PYGEN_ERROR = -1, PYGEN_NEXT = 1 } PySendResult;
#endif

/* The exception that is set, normalized, with its traceback; NULL: none. Clears it. Gives. */
static inline PyObject *mp_take_exception(void) {
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *e, *traceback;
    PyErr_Fetch(&type, &e, &traceback);
    if (!type) return NULL;
    PyErr_NormalizeException(&type, &e, &traceback);
    if (traceback && e) PyException_SetTraceback(e, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return e;
#endif
}

/* Sends None into a coroutine. */
static inline PySendResult mp_send_none(PyObject *coroutine, PyObject **result) {
#if PY_VERSION_HEX >= 0x030A0000
    return PyIter_Send(coroutine, Py_None, result);
#else
    *result = _PyGen_Send((PyGenObject *)coroutine, Py_None);
    if (*result) return PYGEN_NEXT;
    return _PyGen_FetchStopIterationValue(result) < 0 ? PYGEN_ERROR : PYGEN_RETURN;
#endif
}

/* Raises StopIteration(value), as an iterator's return. Takes `value`. From 3.12 on an `await` that does not wait ends in this way, each time: so one
 * exception is used again and again, as long as nobody else holds it. */
static inline void mp_stop_iteration(PyObject **reused, PyObject *value) {
    if (value == Py_None) {
        Py_DECREF(value); /* no exception at all says the same */
        return;
    }
#if PY_VERSION_HEX >= 0x030C0000
    PyStopIterationObject *e = (PyStopIterationObject *)*reused;
    if (!e || Py_REFCNT(e) != 1 || e->traceback || e->context) {
        PyObject *made = PyObject_CallNoArgs(PyExc_StopIteration);
        if (!made) {
            Py_DECREF(value);
            return;
        }
        Py_XSETREF(*reused, made);
        e = (PyStopIterationObject *)made;
    }
    Py_XSETREF(e->value, value);
    PyErr_SetRaisedException(Py_NewRef(e));
#else
    (void)reused;
    PyObject *e = PyObject_CallFunctionObjArgs(PyExc_StopIteration, value, NULL);
    Py_DECREF(value);
    if (e) PyErr_SetObject(PyExc_StopIteration, e);
    Py_XDECREF(e);
#endif
}

/* Lets go of the value that was given last. */
static inline void mp_stop_forget(PyObject *reused) {
#if PY_VERSION_HEX >= 0x030C0000
    if (reused && Py_REFCNT(reused) == 1) Py_CLEAR(((PyStopIterationObject *)reused)->value);
#else
    (void)reused;
#endif
}

#endif
