/* SPDX-License-Identifier: MIT */
/*
 * wsgi.errors: a text stream for the application's error messages, with write, writelines and
 * flush. What is written goes to the error log's file or stderr as it is, at once; callable from
 * any Python thread. Needs the GIL.
 */
#ifndef SAOLA_PY_ERRORS_STREAM_H
#define SAOLA_PY_ERRORS_STREAM_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* A new heap type, or NULL with an exception. */
PyTypeObject *errors_type_new(PyObject *module);

/* A new stream. */
PyObject *errors_stream_new(PyTypeObject *type);

#endif
