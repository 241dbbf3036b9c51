/* SPDX-License-Identifier: MIT */
/*
 * request_timeout, seen from Python: the exception that ends a late request, and
 * environ["saola.extend_deadline"]. Needs the GIL.
 */
#ifndef SAOLA_PY_REQUEST_TIMEOUT_H
#define SAOLA_PY_REQUEST_TIMEOUT_H

#include "py/wsgi_call.h"

PyTypeObject *extend_deadline_type_new(PyObject *module);

/* What environ has if requests have no deadline: checks its argument and does nothing. */
PyObject *extend_nothing_new(void);

/* Sets up what `app` needs. 0, or -1 with an exception. */
int request_timeout_init(struct wsgi_app *app, struct deadline *deadline);
void request_timeout_fini(struct wsgi_app *app);

/* The call begins and ends; in between, request_timeout_raise() has an effect only from `open` to
 * `close`: while the application's own code runs. */
static inline void
request_timeout_begin(const struct wsgi_call *call)
{
    if (call->app->deadline) {
        deadline_begin(call->app->deadline, clock_mono_ns());
    }
}

static inline void
request_timeout_end(const struct wsgi_call *call)
{
    if (call->app->deadline) {
        deadline_end(call->app->deadline);
    }
}

static inline void
request_timeout_open(struct wsgi_call *call)
{
    call->app->interruptible = call;
}

static inline void
request_timeout_close(const struct wsgi_call *call)
{
    call->app->interruptible = NULL;
}

/* In the handler of the signal, which may come late: raises saola.RequestTimeout and returns -1 if
 * the request that runs now is past its deadline; otherwise 0. */
int request_timeout_raise(const struct wsgi_app *app);

/* Whether this is the exception that the above has raised. */
static inline bool
request_timeout_matches(const struct wsgi_app *app, PyObject *exception)
{
    return app->timeout_type && PyErr_GivenExceptionMatches(exception, app->timeout_type);
}

#endif
