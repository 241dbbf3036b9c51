/* SPDX-License-Identifier: MIT */
/*
 * Python's part in stacks: the worker's faulthandler, which writes them, and the functions of the
 * module that `saola --stacks` needs.
 */
#ifndef SAOLA_PY_PY_STACKS_H
#define SAOLA_PY_PY_STACKS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

struct worker_start;

int py_stacks_add(PyObject *module);

/* In a worker, before anything of the application's runs: directs faulthandler to the file of the
 * worker, for the signal that asks for stacks and, unless the user has enabled it already, for
 * crashes. A failure is logged. */
void py_stacks_install(const struct worker_start *start);

#endif
