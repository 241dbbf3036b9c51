/* SPDX-License-Identifier: MIT */
/*
 * settings_table(): the settings table as Python data. Needs the GIL; fails with a Python exception
 * set.
 */
#ifndef SAOLA_PY_PY_SETTINGS_H
#define SAOLA_PY_PY_SETTINGS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Adds the function to the module. 0, or -1. */
int py_settings_add(PyObject *module);

#endif
