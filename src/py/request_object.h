/* SPDX-License-Identifier: MIT */
/*
 * What the hooks pre_request and post_request see, and a logger in Python:
 * saola.http.message.Request and saola.http.wsgi.Response, Python objects that are made only if
 * such a hook or logger is set. They hold copies, so they may be kept. Needs the GIL.
 */
#ifndef SAOLA_PY_REQUEST_OBJECT_H
#define SAOLA_PY_REQUEST_OBJECT_H

#include "py/wsgi_call.h"

/* A new Request; NULL with an exception. */
PyObject *request_object_new(struct wsgi_call *call);

/* Brings into environ what pre_request has changed in the Request. 0, or -1 with an exception. */
int request_object_amend(struct wsgi_call *call) NODISCARD;

/* A new Response for what was sent, None if nothing was; NULL with an exception. */
PyObject *response_object_new(struct wsgi_call *call);

#endif
