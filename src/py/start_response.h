/* SPDX-License-Identifier: MIT */
/*
 * What an application calls to answer: start_response, the write() that it returns, and
 * wsgi.early_hints (103, RFC 8297). Handles (see py/wsgi_call.h); they need the GIL.
 *
 * A mistake of the application (a header that would break the head, say) is raised where it was
 * made; nothing of that head is sent.
 */
#ifndef SAOLA_PY_START_RESPONSE_H
#define SAOLA_PY_START_RESPONSE_H

#include "py/wsgi_handle.h"

/* New heap types, or NULL with an exception; and what their handles do when they are called. */
PyTypeObject *start_response_type_new(PyObject *module);
PyTypeObject *write_type_new(PyObject *module);
PyTypeObject *early_hints_type_new(PyObject *module);

PyObject *start_response_call(PyObject *self, PyObject *const *args, size_t n_args,
                              PyObject *names);
PyObject *write_call(PyObject *self, PyObject *const *args, size_t n_args, PyObject *names);
PyObject *early_hints_call(PyObject *self, PyObject *const *args, size_t n_args, PyObject *names);

#endif
