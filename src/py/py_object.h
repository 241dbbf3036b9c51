/* SPDX-License-Identifier: MIT */
/*
 * What is often done with objects, in one call. Main thread or not: all functions need the GIL.
 * Those that return int give 0, or -ECANCELED with an exception.
 */
#ifndef SAOLA_PY_PY_OBJECT_H
#define SAOLA_PY_PY_OBJECT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/macros.h"

/* An attribute of a module, which is imported if need be: a new reference, or NULL with an
 * exception. */
PyObject *py_attribute_from(const char *module_name, const char *name);

/* Drops the result of a call. */
int py_done(PyObject *result) NODISCARD;

/* The same of a method without arguments. */
int py_method_call(PyObject *object, const char *name) NODISCARD;

int py_set_number(PyObject *object, const char *name, long long value) NODISCARD;

#endif
