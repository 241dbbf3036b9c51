/* SPDX-License-Identifier: MIT */
/*
 * wsgi.input: the body of a request as a file-like object with read, readline, readlines and
 * iteration. A handle (see py/wsgi_call.h); the body is complete before the application runs, so
 * nothing here waits for the peer. Needs the GIL, which is released while a spooled body is read.
 */
#ifndef SAOLA_PY_INPUT_H
#define SAOLA_PY_INPUT_H

#include "py/wsgi_handle.h"

/* A new heap type, or NULL with an exception. */
PyTypeObject *input_type_new(PyObject *module);

#endif
