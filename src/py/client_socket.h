/* SPDX-License-Identifier: MIT */
/*
 * gunicorn.socket: the connection of the request as a Python socket, for applications that speak
 * another protocol after the request head (websockets, say). A handle (see py/wsgi_call.h) that
 * costs nothing until it is used: questions about the connection (getpeername and the like) are
 * answered on the side; any other use takes the connection over from the engine, which sends
 * nothing more and leaves the rest to the application. Needs the GIL.
 */
#ifndef SAOLA_PY_CLIENT_SOCKET_H
#define SAOLA_PY_CLIENT_SOCKET_H

#include "py/wsgi_handle.h"

/* A new heap type, or NULL with an exception. */
PyTypeObject *client_socket_type_new(PyObject *module);

/* A new detached handle. */
PyObject *client_socket_new(PyTypeObject *type);

/* At the end of the request: closes what was opened to answer questions. */
void client_socket_detach(PyObject *self);

/* Nobody has used it, so it may serve another request. */
bool client_socket_is_fresh(PyObject *self);

#endif
