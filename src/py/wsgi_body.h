/* SPDX-License-Identifier: MIT */
/*
 * The body of a response on its way from the application to the peer. Main thread, GIL held; it is
 * released while a peer that is far behind is waited for.
 */
#ifndef SAOLA_PY_WSGI_BODY_H
#define SAOLA_PY_WSGI_BODY_H

#include "py/wsgi_call.h"

#include <stdbool.h>

/* Gives a chunk of the body to the peer and waits, without the GIL, for one that is far behind. 0;
 * 1: the connection is lost, which is no error of the application; -1 with an exception. */
int wsgi_call_write(struct wsgi_call *call, PyObject *chunk, bool last);

/* What the application has returned, chunk by chunk, or as a file. As wsgi_call_write(): 1 means
 * that the rest of the body is of no use. */
int wsgi_call_send_body(struct wsgi_call *call, PyObject *result);

/* A child that the application has forked must not go on as a second worker on the same sockets. It
 * ends as a script would: with the code of SystemExit, or a traceback. */
void wsgi_call_end_if_forked(const struct wsgi_call *call);

#endif
