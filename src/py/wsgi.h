/* SPDX-License-Identifier: MIT */
/*
 * WSGI (PEP 3333): calls an application for a request and gives its response to the engine.
 *
 * A wsgi_app belongs to the worker that made it. Everything here needs the GIL; wsgi_app_call()
 * also wants the loop's lock not to be held. It may run in several Python threads at once.
 */
#ifndef SAOLA_PY_WSGI_H
#define SAOLA_PY_WSGI_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/macros.h"

#include <stdbool.h>

struct deadline;
struct request;
struct wsgi_app;

/* What environ says about the listener that a request came through. */
struct wsgi_listener {
    const char *server_name; /* the local address; the path of a unix socket */
    const char *server_port; /* decimal digits; not used for a unix socket */
    bool is_unix;            /* name and port come from Host, and there is no REMOTE_PORT */
};

/* Everything is copied, or referenced anew. */
struct wsgi_options {
    const struct wsgi_listener *listeners; /* in the order of request_listener() */
    unsigned n_listeners;                  /* at least 1 */
    const char *script_name;               /* SCRIPT_NAME unless the request has one; or NULL */
    const char *server_software;           /* "saola/0.1.0" */
    bool multithread;
    bool multiprocess;
    bool sendfile;             /* the setting: wsgi.file_wrapper may use sendfile(2) */
    struct deadline *deadline; /* of requests; kept; NULL or off: they have none */
    PyObject *worker;          /* what hooks get as the worker; NULL: None */
    PyObject *pre_request;     /* hook; NULL or None: not set */
    PyObject *post_request;    /* hook, called with 4 arguments; NULL or None: not set */
};

/* Creates the types; called once per module object (saola._core). 0, or -1 with an exception. */
int py_wsgi_add(PyObject *module);

/* New, or NULL with an exception. `module` is saola._core. */
struct wsgi_app *wsgi_app_new(PyObject *module, PyObject *callable,
                              const struct wsgi_options *options) NODISCARD;
void wsgi_app_free(struct wsgi_app *app); /* NULL is ignored */

/* In a child that the application has forked: the process ends when the application, or the
 * iterator of its body, returns to the server. */
void wsgi_app_forked(struct wsgi_app *app);

/* Raises saola.RequestTimeout and returns -1 if the application is running for a request that is
 * past its deadline; otherwise 0. */
int wsgi_app_interrupt(struct wsgi_app *app);

/* Runs the application for the request, to its end: hooks, environ, the call, the body, close(),
 * request_done(). Whatever goes wrong is logged and answered here; no exception is left set. */
void wsgi_app_call(struct wsgi_app *app, struct request *request);

#endif
