/* SPDX-License-Identifier: MIT */
#include "py/request_object.h"

#include <string.h>

static PyObject *
latin1_from(struct span text)
{
    return PyUnicode_DecodeLatin1(text.n > 0 ? text.p : "", (Py_ssize_t)text.n, NULL);
}

static PyObject *
part_from(const struct request *request, struct h1_part part)
{
    return latin1_from(h1_part_span(request->base, part));
}

/* A name in upper case. */
static PyObject *
name_from(struct span name)
{
    PyObject *text = PyUnicode_New((Py_ssize_t)name.n, 127);

    for (size_t i = 0; text && i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        PyUnicode_1BYTE_DATA(text)[i] = (unsigned char)(c - 'a') < 26 ? c - 32 : c;
    }
    return text;
}

/* [("HOST", "example.org"), ...] in the order received. */
static PyObject *
headers_from(const struct request *request)
{
    PyObject *list = PyList_New(request->head.count);

    for (uint32_t i = 0; list && i < request->head.count; i++) {
        const struct h1_header *header = &request->head.items[i];
        /* "N" takes the references, and passes on the exception of a NULL. */
        PyObject *pair = Py_BuildValue("(NN)", name_from(h1_header_name(request->base, header)),
                                       latin1_from(h1_header_value(request->base, header)));
        if (!pair) {
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, i, pair);
    }
    return list;
}

/* The trailers of a chunked body, in the same form. */
static PyObject *
trailers_from(const struct request *request)
{
    struct span rest = buf_span(&request->trailers);
    PyObject *list = PyList_New(0);

    while (list && rest.n > 0) { /* "Name: value\r\n", as h1_chunked writes them */
        size_t line = (size_t)((const char *)memchr(rest.p, '\r', rest.n) - rest.p);
        size_t name = (size_t)((const char *)memchr(rest.p, ':', line) - rest.p);
        PyObject *pair = Py_BuildValue("(NN)", name_from(span_of(rest.p, name)),
                                       latin1_from(span_of(rest.p + name + 2, line - name - 2)));
        if (!pair || PyList_Append(list, pair) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(pair);
        rest = span_of(rest.p + line + 2, rest.n - line - 2);
    }
    return list;
}

/* (address, port), or "" for a unix socket, as socket.getpeername() has it. */
static PyObject *
peer_from(const struct request *request)
{
    struct span peer = request_peer(request);

    if (peer.n == 0) {
        return PyUnicode_New(0, 0);
    }
    return Py_BuildValue("(Ni)", latin1_from(peer), (int)request_peer_port(request));
}

PyObject *
request_object_new(struct wsgi_call *call)
{
    const struct request *request = call->request;
    const struct h1_head *head = &request->head;
    PyObject *arguments = Py_BuildValue(
        "(NNNNN(ii)NsNONI)", part_from(request, head->method), part_from(request, head->target),
        part_from(request, head->path), part_from(request, head->query),
        part_from(request, head->fragment), head->version_major, head->version_minor,
        headers_from(request), request->https ? "https" : "http", peer_from(request),
        call->handles[WSGI_INPUT], trailers_from(request), (unsigned)request->number);
    PyObject *object = arguments ? PyObject_CallObject(call->app->make_request, arguments) : NULL;

    Py_XDECREF(arguments);
    return object;
}

int
request_object_amend(struct wsgi_call *call)
{
    PyObject *close = PyObject_CallMethod(call->hook_request, "_amend", "O", call->environ);
    int r = close ? PyObject_IsTrue(close) : -1;

    if (r > 0) {
        call->request->head.keep_alive = false;
    }
    Py_XDECREF(close);
    return r < 0 ? -1 : 0;
}

PyObject *
response_object_new(struct wsgi_call *call)
{
    const struct response *response = &call->request->response;

    if (!response->started || call->taken) {
        return Py_NewRef(Py_None);
    }
    return PyObject_CallFunction(
        call->app->make_response, "OOOOLLOO", call->hook_request,
        call->status ? call->status : Py_None, call->headers ? call->headers : Py_None,
        call->app->worker ? call->app->worker : Py_None,
        (long long)(response->framing == FRAMING_LENGTH ? response->length : -1),
        (long long)response->body_bytes, response->framing == FRAMING_CHUNKED ? Py_True : Py_False,
        response->close ? Py_True : Py_False);
}
