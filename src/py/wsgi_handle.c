/* SPDX-License-Identifier: MIT */
#include "py/wsgi_handle.h"

#include "py/client_socket.h"
#include "py/start_response.h"

static const vectorcallfunc handle_functions[WSGI_HANDLE_KINDS] = {
    [WSGI_START_RESPONSE] = start_response_call,
    [WSGI_WRITE] = write_call,
    [WSGI_EARLY_HINTS] = early_hints_call,
};

struct wsgi_call *
wsgi_handle_call(PyObject *handle)
{
    struct wsgi_call *call = ((struct wsgi_handle *)handle)->call;

    if (!call) {
        PyErr_Format(PyExc_ValueError, "%.200s: the request is over", Py_TYPE(handle)->tp_name);
    }
    return call;
}

struct wsgi_call *
wsgi_handle_open_call(PyObject *handle)
{
    struct wsgi_call *call = wsgi_handle_call(handle);

    if (call && call->answered) {
        PyErr_Format(PyExc_RuntimeError, "%.200s: the response is complete",
                     Py_TYPE(handle)->tp_name);
        return NULL;
    }
    return call;
}

/* Detached. */
static PyObject *
handle_new(PyTypeObject *type, vectorcallfunc vectorcall)
{
    struct wsgi_handle *handle = PyObject_New(struct wsgi_handle, type);

    if (handle) {
        handle->vectorcall = vectorcall;
        handle->call = NULL;
    }
    return (PyObject *)handle;
}

void
wsgi_handle_dealloc(PyObject *handle)
{
    PyTypeObject *type = Py_TYPE(handle);

    type->tp_free(handle);
    Py_DECREF(type);
}

static int
count_kinds(const struct wsgi_app *app)
{
    return app->deadline ? WSGI_HANDLE_KINDS : WSGI_EXTEND_DEADLINE;
}

static PyObject *
handle_take(struct wsgi_app *app, enum wsgi_handle_kind kind)
{
    PyObject *handle = app->spare[kind];

    app->spare[kind] = NULL;
    if (handle) {
        return handle;
    }
    if (kind == WSGI_SOCKET) {
        return client_socket_new(app->types->handles[kind]);
    }
    return handle_new(app->types->handles[kind], handle_functions[kind]);
}

int
wsgi_handles_attach(struct wsgi_call *call)
{
    for (int kind = 0; kind < count_kinds(call->app); kind++) {
        PyObject *handle = handle_take(call->app, kind);
        if (!handle) {
            return -1;
        }
        ((struct wsgi_handle *)handle)->call = call;
        call->handles[kind] = handle;
    }
    return 0;
}

void
wsgi_handles_detach(struct wsgi_call *call)
{
    for (int kind = 0; kind < WSGI_HANDLE_KINDS; kind++) {
        if (call->handles[kind]) {
            ((struct wsgi_handle *)call->handles[kind])->call = NULL;
        }
    }
    if (call->handles[WSGI_SOCKET]) {
        client_socket_detach(call->handles[WSGI_SOCKET]);
    }
}

void
wsgi_handles_recycle(struct wsgi_call *call)
{
    for (int kind = 0; kind < WSGI_HANDLE_KINDS; kind++) {
        PyObject *handle = call->handles[kind];
        PyObject **spare = &call->app->spare[kind];

        if (handle && !*spare && Py_REFCNT(handle) == 1 &&
            (kind != WSGI_SOCKET || client_socket_is_fresh(handle))) {
            *spare = handle;
        } else {
            Py_XDECREF(handle);
        }
    }
}
