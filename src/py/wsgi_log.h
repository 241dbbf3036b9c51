/* SPDX-License-Identifier: MIT */
/*
 * What the WSGI bridge says in the error log, in Gunicorn's words. Needs the GIL.
 */
#ifndef SAOLA_PY_WSGI_LOG_H
#define SAOLA_PY_WSGI_LOG_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "http/request.h"

/* "Error handling request GET /x" with the traceback. Takes the reference. */
void wsgi_log_failure(const struct request *request, PyObject *exception);

/* Any other line with the traceback of the raised exception, which it clears. */
void wsgi_log_raised(const char *message);

/* "EPIPE", "ECONNRESET" or "ENOTCONN" if the exception is an OSError of that kind, else NULL. */
const char *wsgi_disconnect_name(PyObject *exception);

/* The application gave a body for a response that has none. */
void wsgi_log_dropped_body(const struct request *request);

/* The request's path does not begin with SCRIPT_NAME; `problem` is the text for the log. */
void wsgi_log_refused(const struct request *request, struct span problem);

/* "GET /x", for debuggers. */
void wsgi_log_request(const struct request *request);

/* The request has run for so long, which is beyond its deadline. */
void wsgi_log_timeout(const struct request *request, double seconds);

#endif
