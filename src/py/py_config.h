/* SPDX-License-Identifier: MIT */
/*
 * saola._core.Config: struct config as a Python object. The object owns the struct and the Python
 * objects whose handles the struct carries (hooks, classes); both live as long as it does.
 * saola.config.Config is its only subclass that matters.
 *
 * All functions need the GIL; they fail with a Python exception set.
 */
#ifndef SAOLA_PY_PY_CONFIG_H
#define SAOLA_PY_PY_CONFIG_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

struct config;

/* Adds the type to the module. 0, or -1. */
int py_config_add(PyObject *module);

/* The struct inside a saola._core.Config: borrowed, valid while `object` lives. NULL and TypeError
 * if it is anything else. */
struct config *py_config_get(PyObject *object);

#endif
