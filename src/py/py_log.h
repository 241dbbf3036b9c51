/* SPDX-License-Identifier: MIT */
/*
 * The logs, for Python and for the bridge. py_log_add() gives the module what saola.glogging is
 * made of: log(), log_raw(), log_open(), log_route() and their like. Needs the GIL.
 */
#ifndef SAOLA_PY_PY_LOG_H
#define SAOLA_PY_PY_LOG_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

int py_log_add(PyObject *module);

/* Logs `message` and, below it, the traceback of the raised exception as Python prints it, all in
 * one write, or by the logger in Python if there is one; without a raised exception just the
 * message. The exception is gone afterwards. Never raises: if the traceback cannot be formatted,
 * the line says at least which exception it was. */
void py_log_exception(const char *message);               /* at level ERROR */
void py_log_exception_at(int level, const char *message); /* an enum log_level */

#endif
