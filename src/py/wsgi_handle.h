/* SPDX-License-Identifier: MIT */
/*
 * The handles of a call: the objects through which the application reaches it. Each points at the
 * call and is detached when the call ends, so one that the application keeps raises an error and
 * never sees another request. One that nobody kept is used again for the next call.
 */
#ifndef SAOLA_PY_WSGI_HANDLE_H
#define SAOLA_PY_WSGI_HANDLE_H

#include "py/wsgi_call.h"

struct wsgi_handle {
    PyObject_HEAD
    vectorcallfunc vectorcall; /* of the types that can be called */
    struct wsgi_call *call;    /* NULL: the request is over */
};

/* The call of a handle, or NULL with an exception: the request is over. */
struct wsgi_call *wsgi_handle_call(PyObject *handle);

/* The same for those that give the response: it must not be complete either. */
struct wsgi_call *wsgi_handle_open_call(PyObject *handle);

void wsgi_handle_dealloc(PyObject *handle);

/* Gives a call its handles, one of each kind. 0, or -1 with an exception: what it has got so far is
 * to be detached and recycled all the same. */
int wsgi_handles_attach(struct wsgi_call *call);
void wsgi_handles_detach(struct wsgi_call *call);

/* Drops the handles, detached before; those that nobody else has are kept for the next call. */
void wsgi_handles_recycle(struct wsgi_call *call);

#endif
