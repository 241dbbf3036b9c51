/* SPDX-License-Identifier: MIT */
/*
 * The Python types of the WSGI bridge: part of the module's state, made by py_wsgi_add(). Needs the
 * GIL.
 */
#ifndef SAOLA_PY_WSGI_TYPES_H
#define SAOLA_PY_WSGI_TYPES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* What Python holds for a request in progress: see py/wsgi_call.h. */
enum wsgi_handle_kind {
    WSGI_INPUT,
    WSGI_START_RESPONSE,
    WSGI_WRITE,
    WSGI_EARLY_HINTS,
    WSGI_SOCKET,
    WSGI_EXTEND_DEADLINE, /* last: only while requests have deadlines */
    WSGI_HANDLE_KINDS,
};

struct wsgi_types {
    PyTypeObject *handles[WSGI_HANDLE_KINDS];
    PyTypeObject *file_wrapper;
    PyTypeObject *errors;
};

int wsgi_types_traverse(struct wsgi_types *types, visitproc visit, void *arg);
void wsgi_types_clear(struct wsgi_types *types);

#endif
