/* SPDX-License-Identifier: MIT */
/*
 * Texts of the configuration between Python and C. They come from command lines, files and the
 * environment, and need not be UTF-8: bytes that are not are surrogates in Python, and themselves
 * in C.
 *
 * All functions need the GIL.
 */
#ifndef SAOLA_PY_PY_TEXT_H
#define SAOLA_PY_PY_TEXT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* For "O&": a str as new bytes at `address`, a PyObject *that is NULL before; None as NULL. */
int py_text_convert(PyObject *text, void *address);
/* What the bytes hold; NULL, or an empty text, for NULL. */
const char *py_text_or_null(PyObject *bytes);
const char *py_text_or_empty(PyObject *bytes);

/* New str, or None for NULL: the way back. NULL with an exception. */
PyObject *py_text_new(const char *text);

/* Raises the exception with a text for the user, in which bytes that are not UTF-8 are \xNN. */
void py_text_raise(PyObject *type, const char *text);

#endif
