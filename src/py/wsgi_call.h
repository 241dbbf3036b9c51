/* SPDX-License-Identifier: MIT */
/*
 * Shared by the parts of the WSGI bridge: the application, and a call of it.
 *
 * A call lives on the stack of wsgi_app_call(). The objects that the application gets for it
 * (start_response, wsgi.input and so on) are handles: see wsgi_handle.h. The GIL guards all of it.
 */
#ifndef SAOLA_PY_WSGI_CALL_H
#define SAOLA_PY_WSGI_CALL_H

#include "app/deadline.h"
#include "base/clock.h"
#include "http/request.h"
#include "py/environ.h"
#include "py/wsgi.h"
#include "py/wsgi_types.h"

/* Lines of a spooled body, read ahead. */
struct wsgi_lines {
    char *data; /* owned; NULL until needed */
    size_t off;
    size_t len;
};

struct wsgi_app {
    const struct wsgi_types *types; /* of the module, which `module` keeps */
    PyObject *module;               /* owned, as all objects here */
    PyObject *callable;
    PyObject *worker;                   /* or NULL */
    PyObject *pre_request;              /* or NULL */
    PyObject *post_request;             /* or NULL */
    PyObject *make_request;             /* saola.http.message.Request */
    PyObject *make_response;            /* saola.http.wsgi.Response */
    struct log_route *log_route;        /* of the module */
    PyObject *name_close;               /* "close" */
    PyObject *spare[WSGI_HANDLE_KINDS]; /* detached handles; NULL: make new ones */
    PyObject *timeout_type;             /* saola.RequestTimeout; NULL: off, as the next one */
    struct deadline *deadline;          /* of the request that runs; not owned */
    struct wsgi_call *interruptible;    /* which may be ended by it; NULL: none at the moment */
    struct environ_factory environments;
    bool sendfile;
    bool forked; /* this process is a child that the application has forked */
};

struct wsgi_call {
    struct wsgi_app *app;
    struct request *request;
    PyObject *environ;                    /* owned, as all objects here; NULL until made */
    PyObject *handles[WSGI_HANDLE_KINDS]; /* all of them, from the beginning to the end */
    PyObject *hook_request;               /* what the hooks see; or NULL */
    PyObject *status;                     /* of start_response, if somebody will ask for it */
    PyObject *headers;                    /* likewise: a list or tuple of pairs */
    PyObject *lookup_text;                /* what the last access log lookup points at */
    struct wsgi_lines lines;
    bool keep_head; /* status and headers are to be kept */
    bool started;   /* start_response was called, and the head is decided */
    bool lost;      /* the peer is gone */
    bool taken;     /* the application has taken over the connection */
    bool iterating; /* the application has returned */
    bool answered;  /* the response is complete, whatever became of it */
    bool reading;   /* a thread is in the core for this call, without the GIL: reading the body, */
    bool writing;   /* or waiting for the peer */
};

#endif
