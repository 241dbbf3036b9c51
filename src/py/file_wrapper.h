/* SPDX-License-Identifier: MIT */
/*
 * wsgi.file_wrapper (PEP 3333): FileWrapper(filelike, blksize=8192), an iterable over what the file
 * gives; close() is the file's, if it has one. When the application returns one around a regular
 * file, the engine sends the file itself. Needs the GIL.
 */
#ifndef SAOLA_PY_FILE_WRAPPER_H
#define SAOLA_PY_FILE_WRAPPER_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/macros.h"

#include <stdint.h>

/* A new heap type, or NULL with an exception. */
PyTypeObject *file_wrapper_type_new(PyObject *module);

struct file_range {
    int fd; /* the file's own */
    int64_t offset;
    int64_t length; /* up to the end of the file */
};

/* What of a regular file reading through a wrapper would give: 1 and *ret_range. 0 if that cannot
 * be told or there is no such file: iterate. Leaves no exception. */
int file_wrapper_range(PyObject *self, struct file_range *ret_range) NODISCARD;

#endif
