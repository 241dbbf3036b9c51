/* SPDX-License-Identifier: MIT */
/*
 * A request's way through Python:
 *
 *     pre_request -> environ -> application -> body -> access log -> close() -> post_request
 *
 * as in Gunicorn. Functions that return int give 0, or -1 with an exception raised; where the
 * exception ends, in call_fail(), it is logged and answered.
 */
#include "py/wsgi.h"

#include "base/clock.h"
#include "base/mem.h"
#include "http/errors.h"
#include "log/log.h"
#include "py/client_socket.h"
#include "py/errors_stream.h"
#include "py/input.h"
#include "py/module.h"
#include "py/py_compat.h"
#include "py/py_object.h"
#include "py/request_object.h"
#include "py/request_timeout.h"
#include "py/wsgi_body.h"
#include "py/wsgi_call.h"
#include "py/wsgi_handle.h"
#include "py/wsgi_log.h"
#include "py/wsgi_log_access.h"
#include "py/wsgi_lookup.h"

#include <string.h>
#include <time.h>

enum {
    STATUS_FAILED = 500,
    STATUS_TIMEOUT = 503,
    POST_REQUEST_PARAMETERS = 4,
    PROBLEM_MAX_BYTES = 4096
};

/* --- the end of a response --- */

static void
call_log_lookups(struct wsgi_call *call)
{
    if (response_wants_lookup(call->request)) {
        wsgi_lookup(call);
    }
}

static void
call_finish(struct wsgi_call *call)
{
    call->answered = true;
    if (call->taken) {
        return;
    }
    call_log_lookups(call);
    response_finish(call->request);
    wsgi_log_access(call);
    if (call->request->response.dropped_body) {
        wsgi_log_dropped_body(call->request);
    }
}

/* An exception that only says that the peer has gone: from write(), or from a socket that the
 * application has taken over. Otherwise it speaks of a connection of the application's own. */
static bool
is_disconnect(const struct wsgi_call *call, PyObject *exception)
{
    return (call->lost || call->taken) && wsgi_disconnect_name(exception) != NULL;
}

/* Answers and logs the raised exception, and clears it. */
static void
call_fail(struct wsgi_call *call)
{
    PyObject *exception = py_raised_take();

    call->answered = true;
    if (call->taken && PyErr_GivenExceptionMatches(exception, PyExc_StopIteration)) {
        Py_DECREF(exception); /* how websocket libraries leave once they have the socket */
        return;
    }
    if (is_disconnect(call, exception)) {
        log_debug("Ignoring %s", wsgi_disconnect_name(exception));
        Py_DECREF(exception);
        if (call->taken) {
            return;
        }
        if (call->iterating) {
            call_finish(call);
        } else {
            response_abort(call->request);
        }
        return;
    }
    int status = request_timeout_matches(call->app, exception) ? STATUS_TIMEOUT : STATUS_FAILED;
    wsgi_log_failure(call->request, exception);
    if (call->taken) {
        return;
    }
    if (!call->request->response.sent) {
        call->request->response.status = status; /* the access log line comes first */
    }
    call_log_lookups(call);
    response_fail(call->request, status, SPAN(""));
    wsgi_log_access(call);
}

/* --- the application --- */

static void
result_close(struct wsgi_call *call, PyObject *result)
{
    PyObject *close = NULL;

    if (PyList_CheckExact(result) || PyTuple_CheckExact(result)) {
        return;
    }
    int r = py_attr_get(result, call->app->name_close, &close);
    if (r > 0) {
        request_timeout_open(call);
        PyObject *closed = PyObject_CallNoArgs(close);
        request_timeout_close(call);
        Py_DECREF(close);
        Py_XDECREF(closed);
        r = closed ? 0 : -1;
    }
    if (r < 0) {
        wsgi_log_failure(call->request, py_raised_take());
    }
}

static void
call_application(struct wsgi_call *call)
{
    PyObject *arguments[3] = {NULL, call->environ, call->handles[WSGI_START_RESPONSE]};
    request_timeout_open(call);
    PyObject *result = PyObject_Vectorcall(call->app->callable, arguments + 1,
                                           2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    wsgi_call_end_if_forked(call);
    if (!result) {
        request_timeout_close(call);
        call_fail(call);
        return;
    }
    call->iterating = true;
    int r = wsgi_call_send_body(call, result);
    request_timeout_close(call);
    if (r == 0 && !call->started && !call->taken) {
        PyErr_SetString(PyExc_RuntimeError, "the application did not call start_response()");
        r = -1;
    }
    if (r < 0) {
        call_fail(call);
    } else {
        call_finish(call);
    }
    result_close(call, result);
    Py_DECREF(result);
}

/* --- before and after --- */

/* Runs the hook, or writes the line that stands in for it. */
static int
call_pre_request(struct wsgi_call *call)
{
    struct wsgi_app *app = call->app;

    if (app->pre_request || app->post_request || app->log_route->access) {
        call->hook_request = request_object_new(call);
        if (!call->hook_request) {
            return -1;
        }
    }
    if (!app->pre_request) {
        wsgi_log_request(call->request);
        return 0;
    }
    PyObject *result = PyObject_CallFunctionObjArgs(
        app->pre_request, app->worker ? app->worker : Py_None, call->hook_request, NULL);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

static void
call_post_request(struct wsgi_call *call)
{
    struct wsgi_app *app = call->app;
    PyObject *env = call->environ ? Py_NewRef(call->environ) : PyDict_New();
    PyObject *response = call->environ ? response_object_new(call) : Py_NewRef(Py_None);
    PyObject *request = call->hook_request ? call->hook_request : Py_None;
    PyObject *arguments[POST_REQUEST_PARAMETERS] = {app->worker ? app->worker : Py_None, request,
                                                    env, response};
    PyObject *result = NULL;

    if (env && response) {
        result = PyObject_Vectorcall(app->post_request, arguments, POST_REQUEST_PARAMETERS, NULL);
    }
    if (!result) {
        wsgi_log_raised("Exception in post_request hook");
    }
    Py_XDECREF(result);
    Py_XDECREF(response);
    Py_XDECREF(env);
}

/* The path does not lie under SCRIPT_NAME: says so to the peer and in the log. */
static void
call_refuse(struct wsgi_call *call, PyObject *script_name)
{
    const struct request *request = call->request;
    struct buf detail;
    struct buf text;

    buf_init(&detail, PROBLEM_MAX_BYTES);
    buf_init(&text, PROBLEM_MAX_BYTES);
    (void)!buf_printf(&detail, "Request path ");
    http_quote(h1_part_span(request->base, request->head.path), &detail);
    (void)!buf_printf(&detail, " does not start with SCRIPT_NAME ");
    http_quote(span_of((const char *)PyUnicode_1BYTE_DATA(script_name),
                       (size_t)PyUnicode_GET_LENGTH(script_name)),
               &detail);
    http_error_text(HTTP_ERR_SCRIPT_NAME, buf_span(&detail), &text);
    wsgi_log_refused(request, buf_span(&text));
    response_fail(call->request, http_error_info(HTTP_ERR_SCRIPT_NAME)->status, buf_span(&text));
    wsgi_log_access(call);
    buf_fini(&text);
    buf_fini(&detail);
}

/* 0; 1: the request has been answered; -1 with an exception. */
static int
call_make_environ(struct wsgi_call *call)
{
    struct environ_factory *factory = &call->app->environments;
    const struct environ_objects objects = {
        .input = call->handles[WSGI_INPUT],
        .early_hints = call->handles[WSGI_EARLY_HINTS],
        .socket = call->handles[WSGI_SOCKET],
        .extend_deadline = call->handles[WSGI_EXTEND_DEADLINE],
    };
    int r = 0;

    PyObject *script_name = environ_script_name(factory, call->request);
    if (!script_name) {
        return -1;
    }
    if (environ_path_is_under(call->request, script_name)) {
        call->environ = environ_new(factory, call->request, script_name, &objects);
        r = call->environ ? 0 : -1;
    } else {
        call_refuse(call, script_name);
        r = 1;
    }
    Py_DECREF(script_name);
    return r;
}

static void
call_run(struct wsgi_call *call)
{
    int r = call_pre_request(call);

    if (r == 0) {
        r = call_make_environ(call);
    }
    if (r == 0 && call->app->pre_request) {
        r = request_object_amend(call);
    }
    if (r == 0) {
        call_application(call);
    } else if (r < 0) {
        call_fail(call);
    }
    if (call->app->post_request) {
        call_post_request(call);
    }
}

/* Waits for threads of the application that are still reading or writing: they hold pointers into
 * the request. An application that answers before its own threads are through is rare enough to
 * be served by polling. */
static void
call_settle(const struct wsgi_call *call)
{
    static const struct timespec pause = {.tv_nsec = NS_PER_MS};

    while (call->reading || call->writing) {
        Py_BEGIN_ALLOW_THREADS
        nanosleep(&pause, NULL);
        Py_END_ALLOW_THREADS
    }
}

void
wsgi_app_call(struct wsgi_app *app, struct request *request)
{
    struct wsgi_call call = {.app = app, .request = request};

    call.keep_head = app->post_request || app->log_route->access || response_wants_lookup(request);
    request_timeout_begin(&call);
    if (wsgi_handles_attach(&call) == 0) {
        call_run(&call);
    } else {
        call_fail(&call);
    }
    call_settle(&call);
    request_timeout_end(&call);
    wsgi_handles_detach(&call);
    if (call.taken) {
        response_abort(request);
    }
    request_done(request);

    free(call.lines.data);
    Py_CLEAR(call.hook_request);
    Py_CLEAR(call.status);
    Py_CLEAR(call.headers);
    Py_CLEAR(call.lookup_text);
    Py_CLEAR(call.environ);
    wsgi_handles_recycle(&call);
}

/* --- the application's object --- */

static PyObject *
hook_or_null(PyObject *hook)
{
    return hook && hook != Py_None ? Py_NewRef(hook) : NULL;
}

static int
hooks_init(struct wsgi_app *app, const struct wsgi_options *options)
{
    app->worker = Py_XNewRef(options->worker);
    app->pre_request = hook_or_null(options->pre_request);
    app->post_request = hook_or_null(options->post_request);
    app->make_request = py_attribute_from("saola.http.message", "Request");
    app->make_response = py_attribute_from("saola.http.wsgi", "Response");
    return app->make_request && app->make_response ? 0 : -1;
}

struct wsgi_app *
wsgi_app_new(PyObject *module, PyObject *callable, const struct wsgi_options *options)
{
    struct wsgi_app *app = mem_zalloc(sizeof(*app));
    PyObject *errors = NULL;
    int r = -1;

    app->module = Py_NewRef(module);
    app->types = &module_state_get(module)->wsgi;
    app->log_route = &module_state_get(module)->log_route;
    app->callable = Py_NewRef(callable);
    app->sendfile = options->sendfile;
    app->name_close = PyUnicode_InternFromString("close");
    errors = errors_stream_new(app->types->errors);
    if (!app->name_close || !errors || hooks_init(app, options) < 0 ||
        request_timeout_init(app, options->deadline) < 0) {
        goto out;
    }
    r = environ_factory_init(&app->environments, options, errors,
                             (PyObject *)app->types->file_wrapper);
out:
    Py_XDECREF(errors);
    if (r < 0) {
        wsgi_app_free(app);
        app = NULL;
    }
    return app;
}

void
wsgi_app_free(struct wsgi_app *app)
{
    if (!app) {
        return;
    }
    environ_factory_fini(&app->environments);
    for (int kind = 0; kind < WSGI_HANDLE_KINDS; kind++) {
        Py_CLEAR(app->spare[kind]);
    }
    request_timeout_fini(app);
    Py_CLEAR(app->name_close);
    Py_CLEAR(app->make_response);
    Py_CLEAR(app->make_request);
    Py_CLEAR(app->post_request);
    Py_CLEAR(app->pre_request);
    Py_CLEAR(app->worker);
    Py_CLEAR(app->callable);
    Py_CLEAR(app->module);
    free(app);
}

int
wsgi_app_interrupt(struct wsgi_app *app)
{
    return request_timeout_raise(app);
}

void
wsgi_app_forked(struct wsgi_app *app)
{
    app->forked = true;
}
