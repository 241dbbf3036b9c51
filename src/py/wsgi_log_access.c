/* SPDX-License-Identifier: MIT */
#include "py/wsgi_log_access.h"

#include "base/clock.h"
#include "base/mem.h"
#include "py/py_compat.h"
#include "py/request_object.h"

#include <stdlib.h>
#include <string.h>

/* --- requests that the application has answered --- */

void
wsgi_log_access(struct wsgi_call *call)
{
    const struct request *request = call->request;
    PyObject *function = call->app->log_route->access;

    if (!function || !call->hook_request) {
        return;
    }
    PyObject *raised = py_raised_take();
    PyObject *response = response_object_new(call);
    PyObject *result = NULL;
    int64_t duration_ns = clock_mono_ns() - request->start_ns;

    Py_INCREF(function);
    if (response) {
        result = PyObject_CallFunction(function, "OOOiLL", call->hook_request,
                                       call->environ ? call->environ : Py_None, response,
                                       request->response.status, (long long)(duration_ns / 1000),
                                       (long long)(request->queue_ns / 1000));
    }
    if (!result) {
        log_route_failed(function);
    }
    Py_XDECREF(result);
    Py_XDECREF(response);
    Py_DECREF(function);
    if (raised) {
        py_raised_put(raised);
    }
}

/* --- those that the server has refused --- */

/* A copy of what is known of the request. */
struct refusal_note {
    struct log_note note;
    struct h1_head head; /* its fields in memory of its own */
    char *bytes;         /* owned */
    char peer[64];
    size_t peer_len;
    int status;
};

static PyObject *
text_from(struct span text)
{
    return PyUnicode_DecodeLatin1(text.n > 0 ? text.p : "", (Py_ssize_t)text.n, NULL);
}

static PyObject *
part_from(const struct refusal_note *note, struct h1_part part)
{
    return text_from(h1_part_span(note->bytes, part));
}

static PyObject *
fields_from(const struct refusal_note *note)
{
    PyObject *list = PyList_New(note->head.count);

    for (uint32_t i = 0; list && i < note->head.count; i++) {
        const struct h1_header *header = &note->head.items[i];
        PyObject *pair = Py_BuildValue("(NN)", text_from(h1_header_name(note->bytes, header)),
                                       text_from(h1_header_value(note->bytes, header)));
        if (!pair) {
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, i, pair);
    }
    return list;
}

static void
deliver(struct log_note *base, PyObject *function)
{
    const struct refusal_note *note = CONTAINER_OF(base, struct refusal_note, note);
    const struct h1_head *head = &note->head;
    PyObject *result = PyObject_CallFunction(
        function, "NNNN(ii)NNi", part_from(note, head->method), part_from(note, head->target),
        part_from(note, head->path), part_from(note, head->query), head->version_major,
        head->version_minor, fields_from(note), text_from(span_of(note->peer, note->peer_len)),
        note->status);

    if (!result) {
        log_route_failed(function);
    }
    Py_XDECREF(result);
}

static void
release(struct log_note *base)
{
    struct refusal_note *note = CONTAINER_OF(base, struct refusal_note, note);

    free(note->head.items);
    free(note->bytes);
    free(note);
}

static size_t
part_end(struct h1_part part)
{
    return (size_t)part.off + part.len;
}

/* How many bytes at the base of the request its head refers to. */
static size_t
bytes_used(const struct h1_head *head)
{
    size_t end = MAX_OF(part_end(head->method), part_end(head->target));
    end = MAX_OF(end, MAX_OF(part_end(head->path), part_end(head->query)));
    for (uint32_t i = 0; i < head->count; i++) {
        const struct h1_header *header = &head->items[i];
        end = MAX_OF(end, (size_t)header->name_off + header->name_len);
        end = MAX_OF(end, (size_t)header->value_off + header->value_len);
    }
    return end;
}

static void
refused(void *context, const struct request *request, int status)
{
    struct log_route *route = context;
    const struct h1_head *head = &request->head;
    struct refusal_note *note = mem_zalloc(sizeof(*note));
    struct span peer = request_peer(request);

    note->note =
        (struct log_note){.deliver = deliver, .release = release, .function = &route->refused};
    note->head = *head;
    note->head.items = mem_dup(head->items, head->count * sizeof(struct h1_header));
    note->bytes = mem_dup(request->base, bytes_used(head));
    note->peer_len = MIN_OF(peer.n, sizeof(note->peer));
    memcpy(note->peer, peer.p, note->peer_len);
    note->status = status;
    if (!log_route_add(route, &note->note)) {
        release(&note->note);
    }
}

struct http_observer
wsgi_log_observer(struct log_route *route)
{
    return (struct http_observer){.context = route, .refused = refused};
}
