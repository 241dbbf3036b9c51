/* SPDX-License-Identifier: MIT */
#include "py/wsgi_body.h"

#include "py/file_wrapper.h"

/* Blocks until a peer that is far behind has caught up; signals are acted on meanwhile. As
 * wsgi_call_write(). */
static int
wait_for_peer(struct wsgi_call *call)
{
    struct request *request = call->request;
    int r;

    if (call->writing) {
        PyErr_SetString(PyExc_RuntimeError, "another thread is writing this response");
        return -1;
    }
    call->writing = true;
    do {
        Py_BEGIN_ALLOW_THREADS
        r = response_wait(request);
        Py_END_ALLOW_THREADS
    } while (r > 0 && PyErr_CheckSignals() == 0);
    call->writing = false;
    return r > 0 ? -1 : r;
}

/* Acts on the result of response_write() and its kin. */
static int
written(struct wsgi_call *call, int r)
{
    if (r > 0) {
        r = wait_for_peer(call);
        if (r < 0 && PyErr_Occurred()) {
            return -1;
        }
    }
    if (r < 0) {
        call->lost = true;
        return 1;
    }
    return 0;
}

int
wsgi_call_write(struct wsgi_call *call, PyObject *chunk, bool last)
{
    if (!PyBytes_Check(chunk)) {
        PyErr_Format(PyExc_TypeError, "the response body must consist of bytes, not %.200s",
                     Py_TYPE(chunk)->tp_name);
        return -1;
    }
    struct span bytes = span_of(PyBytes_AS_STRING(chunk), (size_t)PyBytes_GET_SIZE(chunk));
    if (bytes.n == 0 || call->taken || call->request->response.ended) {
        return 0;
    }
    if (!call->started) {
        PyErr_SetString(PyExc_RuntimeError,
                        "the application gave a response body before it called start_response()");
        return -1;
    }
    if (call->lost) {
        return 1;
    }
    return written(call, response_write(call->request, bytes, last));
}

/* As wsgi_call_write(): 1 means that the rest of the body is of no use. */
static int
send_sequence(struct wsgi_call *call, PyObject *chunks)
{
    int r = 0;

    /* The sequence may change while its items are written. */
    for (Py_ssize_t i = 0; r == 0 && i < PySequence_Fast_GET_SIZE(chunks); i++) {
        PyObject *chunk = Py_NewRef(PySequence_Fast_GET_ITEM(chunks, i));
        r = wsgi_call_write(call, chunk, i + 1 == PySequence_Fast_GET_SIZE(chunks));
        Py_DECREF(chunk);
    }
    return r;
}

void
wsgi_call_end_if_forked(const struct wsgi_call *call)
{
    if (LIKELY(!call->app->forked)) {
        return;
    }
    bool failed = PyErr_Occurred() != NULL;
    if (failed) {
        PyErr_Print();
    }
    Py_Exit(failed ? 1 : 0);
}

static int
send_iterable(struct wsgi_call *call, PyObject *iterable)
{
    PyObject *iterator = PyObject_GetIter(iterable);
    int r = iterator ? 0 : -1;

    while (r == 0) {
        PyObject *chunk = PyIter_Next(iterator);
        wsgi_call_end_if_forked(call);
        if (!chunk) {
            r = PyErr_Occurred() ? -1 : 0;
            break;
        }
        r = wsgi_call_write(call, chunk, false);
        Py_DECREF(chunk);
    }
    Py_XDECREF(iterator);
    return r;
}

/* Whether the engine can send the file: only as the whole body. */
static bool
can_send_file(const struct wsgi_call *call, PyObject *result)
{
    return call->app->sendfile && PyObject_TypeCheck(result, call->app->types->file_wrapper) &&
           call->started && !call->taken && call->request->response.body_bytes == 0 &&
           !call->request->response.dropped_body;
}

static int
send_file(struct wsgi_call *call, const struct file_range *range)
{
    const struct response *response = &call->request->response;
    int64_t length = range->length;

    if (response->framing == FRAMING_NONE) {
        return 0;
    }
    if (response->framing == FRAMING_LENGTH) {
        length = MIN_OF(length, response->length);
    }
    if (length == 0) {
        return 0;
    }
    return written(call, response_send_file(call->request, range->fd, range->offset, length));
}

int
wsgi_call_send_body(struct wsgi_call *call, PyObject *result)
{
    struct file_range range;

    if (PyList_CheckExact(result) || PyTuple_CheckExact(result)) {
        return send_sequence(call, result);
    }
    if (can_send_file(call, result) && file_wrapper_range(result, &range) > 0) {
        return send_file(call, &range);
    }
    return send_iterable(call, result);
}
