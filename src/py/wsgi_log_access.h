/* SPDX-License-Identifier: MIT */
/*
 * Requests on their way to the access log of a logger in Python (py/py_log_route.h).
 */
#ifndef SAOLA_PY_WSGI_LOG_ACCESS_H
#define SAOLA_PY_WSGI_LOG_ACCESS_H

#include "http/server.h"
#include "py/py_log_route.h"
#include "py/wsgi_call.h"

/* The response is complete, or has failed. Does nothing unless the route wants requests. GIL held;
 * leaves no exception, and keeps one that is set. */
void wsgi_log_access(struct wsgi_call *call);

/* What tells the route of the requests that the server itself refuses. */
struct http_observer wsgi_log_observer(struct log_route *route);

#endif
