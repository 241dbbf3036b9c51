/* SPDX-License-Identifier: MIT */
/*
 * From the status and headers that an application gives to the struct response_head that the engine
 * wants: type checks, spans into the strings, and an exception for what the engine refuses. The
 * spans are valid as long as the struct and the objects it was made from. Needs the GIL.
 */
#ifndef SAOLA_PY_RESPONSE_HEAD_H
#define SAOLA_PY_RESPONSE_HEAD_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "http/response.h"

enum { HEADER_LIST_INLINE = 32 };

struct header_list {
    PyObject *items; /* owned: a list or tuple of pairs */
    struct response_field *fields;
    size_t n;
    struct response_field inline_fields[HEADER_LIST_INLINE];
};

/* Takes a list, or any iterable, of pairs. With `bytes_too`, bytes are as good as str. 0, or -1
 * with TypeError or ValueError; header_list_fini() in both cases. */
int header_list_init(struct header_list *list, PyObject *headers, bool bytes_too) NODISCARD;
void header_list_fini(struct header_list *list);

/* The text of a status, "200 OK". 0, or -1 with an exception. */
int status_text(PyObject *status, struct span *ret_text) NODISCARD;

/* Raises what response_start() or response_inform() said: `fault` is its negated result. */
void response_fault_raise(enum response_fault fault, PyObject *status,
                          const struct header_list *list, size_t index);

#endif
