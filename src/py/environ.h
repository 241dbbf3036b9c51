/* SPDX-License-Identifier: MIT */
/*
 * environ (PEP 3333): a new dictionary per request, copied from a template of its listener and
 * completed from the request head. Names are Python strings made once: those of well-known headers
 * by their number, others through a cache of bounded size. Needs the GIL.
 */
#ifndef SAOLA_PY_ENVIRON_H
#define SAOLA_PY_ENVIRON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/macros.h"
#include "http/header.h"
#include "http/request.h"

struct wsgi_options;

enum {
    ENVIRON_METHODS = 10,    /* enum http_method */
    ENVIRON_NAMES = 256,     /* header names remembered; a power of two */
    ENVIRON_NAME_BYTES = 55, /* longest name remembered */
};

/* Keys of an environ that every request sets or that the templates have. */
#define ENVIRON_KEYS(KEY)                          \
    KEY(ERRORS, "wsgi.errors")                     \
    KEY(VERSION, "wsgi.version")                   \
    KEY(MULTITHREAD, "wsgi.multithread")           \
    KEY(MULTIPROCESS, "wsgi.multiprocess")         \
    KEY(RUN_ONCE, "wsgi.run_once")                 \
    KEY(FILE_WRAPPER, "wsgi.file_wrapper")         \
    KEY(INPUT_TERMINATED, "wsgi.input_terminated") \
    KEY(SERVER_SOFTWARE, "SERVER_SOFTWARE")        \
    KEY(INPUT, "wsgi.input")                       \
    KEY(EARLY_HINTS, "wsgi.early_hints")           \
    KEY(SOCKET, "gunicorn.socket")                 \
    KEY(EXTEND_DEADLINE, "saola.extend_deadline")  \
    KEY(REQUEST_METHOD, "REQUEST_METHOD")          \
    KEY(QUERY_STRING, "QUERY_STRING")              \
    KEY(RAW_URI, "RAW_URI")                        \
    KEY(SERVER_PROTOCOL, "SERVER_PROTOCOL")        \
    KEY(URL_SCHEME, "wsgi.url_scheme")             \
    KEY(REMOTE_ADDR, "REMOTE_ADDR")                \
    KEY(REMOTE_PORT, "REMOTE_PORT")                \
    KEY(SERVER_NAME, "SERVER_NAME")                \
    KEY(SERVER_PORT, "SERVER_PORT")                \
    KEY(PATH_INFO, "PATH_INFO")                    \
    KEY(SCRIPT_NAME, "SCRIPT_NAME")

enum environ_key {
#define ENVIRON_KEY_(id, text) ENVIRON_##id,
    ENVIRON_KEYS(ENVIRON_KEY_)
#undef ENVIRON_KEY_
        ENVIRON_KEY_COUNT,
};

/* A name from the wire and the key it becomes. */
struct environ_name {
    PyObject *key; /* owned; NULL: empty */
    uint8_t n;
    char name[ENVIRON_NAME_BYTES];
};

struct environ_template {
    PyObject *dict; /* owned */
    bool is_unix;
};

struct environ_factory {
    struct environ_template *templates; /* owned array */
    unsigned n_templates;
    PyObject *script_name; /* owned, as all objects here; NULL: none */
    PyObject *empty;       /* "" */
    PyObject *http;        /* "http", "https", "HTTP/1.0", "HTTP/1.1" */
    PyObject *https;
    PyObject *http_1_0;
    PyObject *http_1_1;
    PyObject *peer; /* REMOTE_ADDR of the last request */
    PyObject *keys[ENVIRON_KEY_COUNT];
    PyObject *methods[ENVIRON_METHODS];
    PyObject *headers[HTTP_HEADER_COUNT];
    struct environ_name *names; /* owned array of ENVIRON_NAMES */
};

/* What differs from request to request and is not in its head. Borrowed. */
struct environ_objects {
    PyObject *input;
    PyObject *early_hints;
    PyObject *socket;
    PyObject *extend_deadline; /* NULL: as in the templates */
};

/* `errors` and `file_wrapper` go into the templates. 0, or -1 with an exception; then and later
 * environ_factory_fini() (which accepts a zeroed struct). */
int environ_factory_init(struct environ_factory *factory, const struct wsgi_options *options,
                         PyObject *errors, PyObject *file_wrapper) NODISCARD;
void environ_factory_fini(struct environ_factory *factory);

/* The SCRIPT_NAME that applies to the request: new reference, "" if there is none; NULL with an
 * exception. */
PyObject *environ_script_name(const struct environ_factory *factory, const struct request *request);

/* Whether the request's path lies under `script_name`, as it must. */
bool environ_path_is_under(const struct request *request, PyObject *script_name);

/* A new environ, or NULL with an exception. `script_name` is the above. */
PyObject *environ_new(struct environ_factory *factory, const struct request *request,
                      PyObject *script_name, const struct environ_objects *objects);

#endif
