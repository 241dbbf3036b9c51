/* SPDX-License-Identifier: MIT */
#include "py/py_worker.h"

#include "base/clock.h"
#include "base/mem.h"
#include "config/config.h"
#include "log/log.h"
#include "net/listener.h"
#include "proc/arbiter.h"
#include "proc/signals.h"
#include "proc/slot.h"
#include "proc/spawn.h"
#include "proc/worker.h"
#include "proc/worker_signals.h"
#include "py/module.h"
#include "py/py_compat.h"
#include "py/py_exit.h"
#include "py/py_log.h"
#include "py/py_object.h"
#include "py/py_steer.h"
#include "py/py_text.h"
#include "py/wsgi.h"
#include "py/wsgi_log_access.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* One per process; the module's state points at it while it runs. */
struct py_worker {
    struct worker core;
    struct wsgi_app *app;
    PyObject *object; /* saola.workers.base.Worker; borrowed */
    /* Owned: what this server calls itself. */
    PyObject *server;
    PyObject *server_software;
    bool booted;
};

static void
call_application(void *context, struct request *request)
{
    struct py_worker *worker = context;
    wsgi_app_call(worker->app, request);
}

/* --- the application --- */

/* SERVER_NAME and SERVER_PORT of a listener, as text. */
struct local_name {
    char host[INET6_ADDRSTRLEN];
    char port[8];
};

static int
local_name_from(const struct listener *listener, struct local_name *name)
{
    struct sockaddr_storage address;
    memset(&address, 0, sizeof(address));
    socklen_t size = sizeof(address);
    const void *ip = NULL;
    in_port_t port = 0;
    if (getsockname(listener->fd, (struct sockaddr *)&address, &size) < 0) {
        return -errno;
    }
    if (address.ss_family == AF_INET) {
        const struct sockaddr_in *in4 = (const struct sockaddr_in *)&address;
        ip = &in4->sin_addr;
        port = in4->sin_port;
    } else {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address;
        ip = &in6->sin6_addr;
        port = in6->sin6_port;
    }
    if (inet_ntop(address.ss_family, ip, name->host, sizeof(name->host)) == NULL) {
        return -errno;
    }
    snprintf(name->port, sizeof(name->port), "%u", ntohs(port));
    return 0;
}

static int
describe_listeners(const struct worker_start *start, struct wsgi_listener *out,
                   struct local_name *names)
{
    for (size_t i = 0; i < start->listener_count; i++) {
        const struct listener *listener = &start->listeners[i];
        if (listener->family == AF_UNIX) {
            out[i] = (struct wsgi_listener){.server_name = listener->path, .is_unix = true};
            continue;
        }
        int rc = local_name_from(listener, &names[i]);
        if (rc < 0) {
            PyErr_Format(PyExc_OSError, "cannot tell the address of listener %s: %s",
                         listener->name, strerror(-rc));
            return -1;
        }
        out[i] = (struct wsgi_listener){.server_name = names[i].host, .server_port = names[i].port};
    }
    return 0;
}

static struct wsgi_app *
app_new(PyObject *module, PyObject *callable, struct py_worker *worker)
{
    const struct worker_start *start = worker->core.start;
    const struct config *cfg = start->cfg;
    struct wsgi_app *app = NULL;
    struct wsgi_listener *listeners = mem_array(start->listener_count, sizeof(*listeners));
    struct local_name *names = mem_array(start->listener_count, sizeof(*names));
    struct wsgi_options options = {
        .listeners = listeners,
        .n_listeners = (unsigned)start->listener_count,
        .script_name = getenv("SCRIPT_NAME"),
        .server_software = PyUnicode_AsUTF8(worker->server_software),
        .multiprocess = cfg->workers > 1,
        .sendfile = cfg->sendfile,
        .deadline = &worker->core.executor.deadline,
        .worker = worker->object,
        .pre_request = cfg->pre_request,
        .post_request = cfg->post_request,
    };
    if (describe_listeners(start, listeners, names) == 0) {
        app = wsgi_app_new(module, callable, &options);
    }
    free(names);
    free(listeners);
    return app;
}

/* What load_wsgi() has loaded, or what post_worker_init has put in its place: tracers do that. */
static int
take_application(PyObject *module, struct py_worker *worker)
{
    PyObject *callable = PyObject_GetAttrString(worker->object, "wsgi");
    if (callable == NULL) {
        return -1;
    }
    worker->app = app_new(module, callable, worker);
    Py_DECREF(callable);
    return worker->app ? 0 : -1;
}

/* --- exceptions --- */

static bool
is_app_import_error(void)
{
    PyObject *exception = py_raised_take();
    PyObject *wanted = py_attribute_from("saola.errors", "AppImportError");
    bool matches = wanted && PyErr_GivenExceptionMatches(exception, wanted);
    Py_XDECREF(wanted);
    py_raised_put(exception);
    return matches;
}

/* What is wrong is the command line: the worker object tells the user. */
static void
tell_app_import_error(const struct py_worker *worker)
{
    PyObject *exception = py_raised_take();
    PyObject *result = PyObject_CallMethod(worker->object, "_tell_app_error", "O", exception);
    if (!result) {
        py_log_exception("Exception in worker process");
    }
    Py_XDECREF(result);
    Py_XDECREF(exception);
}

/* What the exception that is set means for the worker: tells the user, and returns the exit code.
 */
static int
exit_code_from_exception(const struct py_worker *worker)
{
    if (!worker->booted && is_app_import_error()) {
        tell_app_import_error(worker);
        return EXIT_APP_LOAD_ERROR;
    }
    return py_exit_code("Exception in worker process",
                        worker->booted ? EXIT_UNHANDLED : EXIT_WORKER_BOOT_ERROR);
}

/* --- life --- */

/* Errors of the core become exceptions, so that there is one way out. Frees the text. */
static int
raise_text(char *text, int rc)
{
    py_text_raise(PyExc_RuntimeError, text ? text : strerror(-rc));
    free(text);
    return -1;
}

/* Signals wake the loop through the descriptor that Python's own handler writes to. -1: none. */
static void
set_wakeup_fd(int fd)
{
    PyObject *signal = PyImport_ImportModule("signal");
    PyObject *before = signal ? PyObject_CallMethod(signal, "set_wakeup_fd", "i", fd) : NULL;
    if (before == NULL) {
        py_log_exception("Cannot be woken by signals, only interrupted");
    }
    Py_XDECREF(before);
    Py_XDECREF(signal);
}

/* The limit as it was drawn, for hooks. */
static int
set_max_requests(struct py_worker *worker)
{
    int64_t limit = worker->core.max_requests;
    return py_set_number(worker->object, "max_requests", limit > 0 ? limit : PY_SSIZE_T_MAX);
}

/* The names as they are after the configuration file has run: it may have changed them. */
static int
name_server(struct py_worker *worker)
{
    PyObject *identity = PyImport_ImportModule("saola._identity");
    /* One after the other: a signal handler may have raised in the first. */
    worker->server = identity ? PyObject_CallMethod(identity, "server", NULL) : NULL;
    worker->server_software =
        worker->server ? PyObject_CallMethod(identity, "server_software", NULL) : NULL;
    Py_XDECREF(identity);
    if (!worker->server_software) {
        return -1;
    }
    Py_ssize_t n = 0;
    const char *text = PyUnicode_AsUTF8AndSize(worker->server, &n);
    if (!text) {
        return -1;
    }
    worker_set_server_token(&worker->core, span_of(text, (size_t)n));
    return 0;
}

/* From now on the loop's lock may be held, and the standby thread there, when something is logged.
 */
static void
route_logs(struct py_worker *worker, struct log_route *route)
{
    if (route->access) {
        worker->core.server.observer = wsgi_log_observer(route);
    }
    log_route_set_direct(route, false);
}

/* Everything between the fork and the first request; the core is set up already. */
static int
boot(PyObject *module, struct py_worker *worker, const struct worker_start *start)
{
    if (set_max_requests(worker) < 0 || py_method_call(worker->object, "init_signals") < 0) {
        return -1;
    }
    worker_signals_watch();
    worker_signals_repeat();
    if (name_server(worker) < 0 || py_method_call(worker->object, "load_wsgi") < 0 ||
        PyObject_SetAttrString(worker->object, "booted", Py_True) < 0 ||
        py_method_call(worker->object, "post_worker_init") < 0 ||
        take_application(module, worker) < 0) {
        return -1;
    }
    route_logs(worker, &module_state_get(module)->log_route);
    worker_signals_watch(); /* the application may have handlers of its own */
    int rc = worker_serve(&worker->core);
    if (rc < 0) {
        return raise_text(mem_printf("cannot start serving: %s", strerror(-rc)), rc);
    }
    worker->booted = true;
    if (!worker_is_leaving(&worker->core)) {
        worker_start_ready(start);
    }
    return 0;
}

/* Turns until the worker has ended or an exception (of a signal handler) is set. */
static int
serve(struct py_worker *worker, struct log_route *route)
{
    bool more = true;
    do {
        int rc = 0;
        /* Before the wait too: the standby may have read the byte that should end it. */
        if (PyErr_CheckSignals() < 0) {
            return -1;
        }
        Py_BEGIN_ALLOW_THREADS
        rc = worker_wait(&worker->core);
        Py_END_ALLOW_THREADS
        if (PyErr_CheckSignals() < 0) {
            return -1;
        }
        if (rc < 0 && rc != -EINTR) {
            return raise_text(mem_printf("cannot wait for events: %s", strerror(-rc)), rc);
        }
        more = worker_turn(&worker->core);
        log_route_drain(route);
    } while (more);
    return 0;
}

/* ABRT ends the worker with status 1, also if its SystemExit came up in the application and was
 * logged as an error of the application's. */
static bool
was_aborted(const struct py_worker *worker)
{
    PyObject *aborted = PyObject_GetAttrString(worker->object, "aborted");
    int yes = aborted ? PyObject_IsTrue(aborted) : -1;
    Py_XDECREF(aborted);
    if (yes < 0) {
        PyErr_Clear();
    }
    return yes > 0;
}

/* The worker has left its loop, perhaps with an exception: why it ends is not to be interrupted by
 * a signal that tells it to end. */
static void
end_signals(const struct py_worker *worker)
{
    PyObject *exception = py_raised_take();
    if (py_method_call(worker->object, "end_signals") < 0) {
        py_log_exception("Exception in worker process");
    }
    if (exception) {
        py_raised_put(exception);
    }
}

int
py_worker_run(PyObject *module, const struct worker_start *start, PyObject *worker_object)
{
    struct module_state *state = module_state_get(module);
    struct py_worker *worker = mem_zalloc(sizeof(*worker));
    struct application application = {call_application, worker};
    char *error = NULL;
    int code = 0;
    worker->object = worker_object;
    int rc = worker_init(&worker->core, start, &application, &state->access_log, &error);
    if (rc < 0) {
        raise_text(error, rc);
        code = exit_code_from_exception(worker);
        free(worker);
        return code;
    }
    state->worker = worker;
    set_wakeup_fd(worker->core.loop.wake_fd);
    rc = boot(module, worker, start) < 0 || serve(worker, &state->log_route) < 0 ? -1 : 0;
    end_signals(worker);
    if (rc < 0) {
        code = exit_code_from_exception(worker);
    }
    if (code == 0 && was_aborted(worker)) {
        code = 1;
    }
    set_wakeup_fd(-1);
    state->worker = NULL;
    worker_fini(&worker->core);
    log_route_set_direct(&state->log_route, true);
    log_route_drain(&state->log_route);
    wsgi_app_free(worker->app);
    Py_XDECREF(worker->server);
    Py_XDECREF(worker->server_software);
    free(worker);
    return code;
}

/* --- for signal handlers in Python --- */

void
py_worker_reopen_access_log(struct py_worker *worker)
{
    worker_reopen_access_log(&worker->core);
}

static PyObject *
worker_retire_method(PyObject *module, PyObject *unused)
{
    (void)unused;
    struct py_worker *worker = module_state_get(module)->worker;
    if (worker) {
        worker_retire(&worker->core);
    }
    Py_RETURN_NONE;
}

static PyObject *
worker_stop_method(PyObject *module, PyObject *unused)
{
    (void)unused;
    struct py_worker *worker = module_state_get(module)->worker;
    if (worker) {
        worker_stop(&worker->core);
    }
    Py_RETURN_NONE;
}

/* The handler of the signal that the loop's driver sends. */
static PyObject *
worker_deadline_method(PyObject *module, PyObject *unused)
{
    (void)unused;
    const struct py_worker *worker = module_state_get(module)->worker;
    if (worker && worker->app && wsgi_app_interrupt(worker->app) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
worker_requests_method(PyObject *module, PyObject *unused)
{
    (void)unused;
    const struct py_worker *worker = module_state_get(module)->worker;
    return PyLong_FromLongLong(worker ? worker->core.requests : 0);
}

static PyObject *
worker_beat_method(PyObject *module, PyObject *unused)
{
    (void)unused;
    const struct py_worker *worker = module_state_get(module)->worker;
    if (worker) {
        slot_heartbeat(worker->core.start->slot, clock_mono_ns());
    }
    Py_RETURN_NONE;
}

/* Of this worker, or, in the arbiter, of the one with that pid. */
static PyObject *
worker_heartbeat_method(PyObject *module, PyObject *args)
{
    const struct py_worker *worker = module_state_get(module)->worker;
    int pid = 0;
    if (!PyArg_ParseTuple(args, "i:worker_heartbeat", &pid)) {
        return NULL;
    }
    int64_t ns =
        worker ? slot_last_heartbeat(worker->core.start->slot) : py_steer_heartbeat(module, pid);
    return PyFloat_FromDouble((double)ns / (double)NS_PER_SEC);
}

static PyObject *
worker_forked_method(PyObject *module, PyObject *unused)
{
    (void)unused;
    struct module_state *state = module_state_get(module);
    struct py_worker *worker = state->worker;
    if (worker) {
        state->worker = NULL;
        worker_abandon(&worker->core);
        log_route_forked(&state->log_route);
        if (worker->app) {
            wsgi_app_forked(worker->app);
        }
    }
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"worker_retire", worker_retire_method, METH_NOARGS,
     "Finish what is in progress, then end: what TERM asks for."},
    {"worker_stop", worker_stop_method, METH_NOARGS, "End after the current turn of the loop."},
    {"worker_deadline", worker_deadline_method, METH_VARARGS,
     "Raises saola.RequestTimeout if the request that runs is late."},
    {"worker_requests", worker_requests_method, METH_NOARGS,
     "The number of requests that this worker has begun."},
    {"worker_beat", worker_beat_method, METH_NOARGS, "Show that this worker lives."},
    {"worker_heartbeat", worker_heartbeat_method, METH_VARARGS,
     "When the worker with that pid last showed that it lives, in seconds."},
    {"worker_forked", worker_forked_method, METH_NOARGS,
     "In a child that the application has forked: it is no worker."},
    {NULL, NULL, 0, NULL},
};

int
py_worker_add(PyObject *module)
{
    if (PyModule_AddIntConstant(module, "SIGNAL_DEADLINE", signals_deadline()) < 0) {
        return -1;
    }
    return PyModule_AddFunctions(module, methods);
}
