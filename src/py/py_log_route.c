/* SPDX-License-Identifier: MIT */
#include "py/py_log_route.h"

#include "base/mem.h"
#include "log/log.h"
#include "py/py_compat.h"

#include <stdlib.h>
#include <string.h>

/* --- the route --- */

void
log_route_init(struct log_route *route)
{
    memset(route, 0, sizeof(*route));
    route->main = pthread_self();
    route->direct = true;
    pthread_mutex_init(&route->lock, NULL);
    list_init(&route->notes);
}

static struct log_note *
take_note(struct log_route *route)
{
    pthread_mutex_lock(&route->lock);
    struct list *node = list_first(&route->notes);
    if (node) {
        list_remove(node);
        route->n_notes--;
    }
    pthread_mutex_unlock(&route->lock);
    return node ? LIST_ENTRY(node, struct log_note, node) : NULL;
}

static void
drop_notes(struct log_route *route)
{
    struct log_note *note;

    while ((note = take_note(route)) != NULL) {
        note->release(note);
    }
}

void
log_route_fini(struct log_route *route)
{
    log_set_divert(NULL, NULL);
    drop_notes(route);
    pthread_mutex_destroy(&route->lock);
}

int
log_route_traverse(const struct log_route *route, visitproc visit, void *arg)
{
    Py_VISIT(route->message);
    Py_VISIT(route->exception);
    Py_VISIT(route->access);
    Py_VISIT(route->refused);
    return 0;
}

void
log_route_clear(struct log_route *route)
{
    log_set_divert(NULL, NULL);
    Py_CLEAR(route->message);
    Py_CLEAR(route->exception);
    Py_CLEAR(route->access);
    Py_CLEAR(route->refused);
}

void
log_route_set_direct(struct log_route *route, bool direct)
{
    route->direct = direct;
}

void
log_route_forked(struct log_route *route)
{
    pthread_mutex_init(&route->lock, NULL);
    drop_notes(route);
    route->main = pthread_self();
    route->direct = true;
}

bool
log_route_add(struct log_route *route, struct log_note *note)
{
    pthread_mutex_lock(&route->lock);
    bool room = route->n_notes < LOG_ROUTE_QUEUE_MAX;
    if (room) {
        list_append(&route->notes, &note->node);
        route->n_notes++;
    }
    pthread_mutex_unlock(&route->lock);
    return room;
}

void
log_route_drain(struct log_route *route)
{
    struct log_note *note;

    if (LIKELY(!route->message && !route->refused)) {
        return; /* nothing waits */
    }
    while ((note = take_note(route)) != NULL) {
        PyObject *function = Py_XNewRef(*note->function);
        if (function) {
            note->deliver(note, function);
        }
        Py_XDECREF(function);
        note->release(note);
    }
}

void
log_route_failed(PyObject *function)
{
    PyErr_WriteUnraisable(function);
}

/* --- messages --- */

struct message_note {
    struct log_note note;
    int level;
    bool has_metric;
    struct log_metric metric; /* its texts are constants */
    size_t n;
    char text[];
};

/* False, without an exception: the logger has raised one. */
static bool
call_message(PyObject *function, int level, struct span text, const struct log_metric *metric)
{
    PyObject *decoded = PyUnicode_DecodeUTF8(text.p, (Py_ssize_t)text.n, "backslashreplace");
    PyObject *result = NULL;

    if (decoded) {
        result = PyObject_CallFunction(function, "iOzzL", level, decoded,
                                       metric ? metric->name : NULL, metric ? metric->type : NULL,
                                       (long long)(metric ? metric->value : 0));
    }
    Py_XDECREF(decoded);
    if (!result) {
        log_route_failed(function);
    }
    Py_XDECREF(result);
    return result != NULL;
}

static void
deliver_message(struct log_note *base, PyObject *function)
{
    struct message_note *note = CONTAINER_OF(base, struct message_note, note);
    struct span text = span_of(note->text, note->n);

    if (!call_message(function, note->level, text, note->has_metric ? &note->metric : NULL)) {
        log_write_here(note->level, text);
    }
}

static void
release_message(struct log_note *base)
{
    free(CONTAINER_OF(base, struct message_note, note));
}

static bool
queue_message(struct log_route *route, int level, struct span message,
              const struct log_metric *metric)
{
    struct message_note *note = mem_alloc(sizeof(*note) + message.n);

    note->note = (struct log_note){
        .deliver = deliver_message, .release = release_message, .function = &route->message};
    note->level = level;
    note->has_metric = metric != NULL;
    if (metric) {
        note->metric = *metric;
    }
    note->n = message.n;
    memcpy(note->text, message.n > 0 ? message.p : "", message.n);
    if (log_route_add(route, &note->note)) {
        return true;
    }
    free(note);
    return false;
}

static bool
divert(void *context, int level, struct span message, const struct log_metric *metric)
{
    struct log_route *route = context;

    if (!route->direct || !pthread_equal(route->main, pthread_self()) || !PyGILState_Check()) {
        return queue_message(route, level, message, metric);
    }
    PyObject *raised = py_raised_take();
    log_route_drain(route);
    PyObject *function = Py_NewRef(route->message);
    bool taken = call_message(function, level, message, metric);
    Py_DECREF(function);
    if (raised) {
        py_raised_put(raised);
    }
    return taken;
}

static PyObject *
function_or_null(PyObject *function)
{
    return function == Py_None ? NULL : Py_NewRef(function);
}

void
log_route_set(struct log_route *route, PyObject *message, PyObject *exception, PyObject *access,
              PyObject *refused)
{
    log_set_divert(NULL, NULL);
    Py_XSETREF(route->message, function_or_null(message));
    Py_XSETREF(route->exception, function_or_null(exception));
    Py_XSETREF(route->access, function_or_null(access));
    Py_XSETREF(route->refused, function_or_null(refused));
    if (route->message) {
        log_set_divert(divert, route);
    }
}

/* --- exceptions --- */

/* Calls with the exception as the one that is being handled, as in the except clause that a logger
 * expects. */
static PyObject *
call_handling(PyObject *function, int level, PyObject *message, PyObject *exception)
{
    PyObject *type;
    PyObject *value;
    PyObject *traceback;

    PyErr_GetExcInfo(&type, &value, &traceback);
    PyErr_SetExcInfo(Py_NewRef((PyObject *)Py_TYPE(exception)), Py_NewRef(exception),
                     PyException_GetTraceback(exception));
    PyObject *result = PyObject_CallFunction(function, "iOO", level, message, exception);
    PyErr_SetExcInfo(type, value, traceback);
    return result;
}

bool
log_route_exception(struct log_route *route, int level, const char *message, PyObject *exception)
{
    PyObject *function = Py_XNewRef(route->exception);
    PyObject *text = NULL;
    PyObject *result = NULL;

    if (!function) {
        return false;
    }
    if (pthread_equal(route->main, pthread_self())) {
        log_route_drain(route);
    }
    text = PyUnicode_DecodeUTF8(message, (Py_ssize_t)strlen(message), "backslashreplace");
    if (text) {
        result = call_handling(function, level, text, exception);
    }
    if (!result) {
        log_route_failed(function);
    }
    bool taken = result == Py_True;
    Py_XDECREF(result);
    Py_XDECREF(text);
    Py_DECREF(function);
    return taken;
}
