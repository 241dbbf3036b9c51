/* SPDX-License-Identifier: MIT */
#include "py/py_arbiter.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "config/config.h"
#include "log/log.h"
#include "net/listener.h"
#include "proc/arbiter.h"
#include "proc/manage.h"
#include "proc/privileges.h"
#include "proc/signals.h"
#include "proc/spawn.h"
#include "py/module.h"
#include "py/py_compat.h"
#include "py/py_config.h"
#include "py/py_log.h"
#include "py/py_stacks.h"
#include "py/py_worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* One per run, on its stack. The exception that the core calls "held by the host" is the one that
 * is raised at the time: every callback returns with it, and the core does nothing of Python's
 * until it has returned or asked for a report. */
struct py_arbiter {
    struct arbiter core;
    PyObject *module;   /* borrowed */
    PyObject *object;   /* borrowed: the saola.arbiter.Arbiter */
    PyObject *cfg;      /* owned: has core.cfg */
    PyObject *next_cfg; /* owned: while a reload is in progress */
    /* Owned: a set of the names of those methods that are not saola.arbiter.Arbiter's own. */
    PyObject *overridden;
};

/* --- small things --- */

/* Drops the result of a call: 0, or -ECANCELED with the exception. */
static int
done(PyObject *result)
{
    Py_XDECREF(result);
    return result ? 0 : -ECANCELED;
}

/* For callbacks that cannot fail for the core: the log gets the exception. */
static void
done_or_log(PyObject *result, const char *what)
{
    if (done(result) < 0) {
        py_log_exception(what);
    }
}

static int
set_number(PyObject *object, const char *name, long long value)
{
    PyObject *number = PyLong_FromLongLong(value);
    int rc = number ? PyObject_SetAttrString(object, name, number) : -1;
    Py_XDECREF(number);
    return rc < 0 ? -ECANCELED : 0;
}

/* What hooks read from the arbiter object. */
static int
update_attributes(const struct py_arbiter *py)
{
    const struct arbiter *a = &py->core;
    const struct {
        const char *name;
        long long value;
    } attributes[] = {
        {"_num_workers", a->target},
        {"worker_age", a->last_age},
        {"master_pid", a->predecessor_pid},
        {"reexec_pid", a->successor_pid},
    };
    for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
        int rc = set_number(py->object, attributes[i].name, attributes[i].value);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* --- hooks --- */

static PyObject *
hook_function(const struct config *cfg, enum arbiter_hook hook)
{
    switch (hook) {
    case HOOK_ON_STARTING:
        return cfg->on_starting;
    case HOOK_ON_RELOAD:
        return cfg->on_reload;
    case HOOK_WHEN_READY:
        return cfg->when_ready;
    case HOOK_PRE_FORK:
        return cfg->pre_fork;
    case HOOK_CHILD_EXIT:
        return cfg->child_exit;
    case HOOK_PRE_EXEC:
        return cfg->pre_exec;
    case HOOK_NWORKERS_CHANGED:
        return cfg->nworkers_changed;
    case HOOK_ON_EXIT:
        return cfg->on_exit;
    }
    return NULL;
}

static int
forget_pid(const struct py_arbiter *py, const struct child *child)
{
    return done(PyObject_CallMethod(py->object, "_worker_gone", "i", (int)child->pid));
}

static int
call_hook(void *context, enum arbiter_hook hook, struct child *child)
{
    struct py_arbiter *py = context;
    PyObject *function = hook_function(py->core.cfg, hook);

    if (hook == HOOK_CHILD_EXIT && forget_pid(py, child) < 0) {
        return -ECANCELED;
    }
    if (!function) {
        return 0;
    }
    if (update_attributes(py) < 0) {
        return -ECANCELED;
    }
    PyObject *worker = child ? child->object : NULL;
    return done(PyObject_CallFunctionObjArgs(function, py->object, worker, NULL));
}

static int
nworkers_changed(void *context, int64_t now, int64_t old)
{
    struct py_arbiter *py = context;
    PyObject *function = hook_function(py->core.cfg, HOOK_NWORKERS_CHANGED);

    if (!function) {
        return 0;
    }
    if (update_attributes(py) < 0) {
        return -ECANCELED;
    }
    if (old < 0) {
        return done(PyObject_CallFunction(function, "OLO", py->object, (long long)now, Py_None));
    }
    return done(PyObject_CallFunction(function, "OLL", py->object, (long long)now, (long long)old));
}

/* The exit code of a SystemExit, as the interpreter would make it. */
static int
system_exit_code(PyObject *exception)
{
    PyObject *code = PyObject_GetAttrString(exception, "code");
    int result = 1;

    if (code == Py_None) {
        result = 0;
    } else if (code && PyLong_Check(code)) {
        result = (int)(PyLong_AsLong(code) & 0xff);
    } else if (code) {
        PySys_FormatStderr("%S\n", code);
    }
    Py_XDECREF(code);
    PyErr_Clear();
    return result;
}

/* The exit code of a HaltServer, whose reason the log is to show; 0: it is something else. */
static int
halt_code(struct arbiter *a)
{
    PyObject *exception = py_raised_take();
    PyObject *code = PyObject_GetAttrString(exception, "exit_status");
    PyObject *reason = code ? PyObject_GetAttrString(exception, "reason") : NULL;
    const char *text = reason && PyUnicode_Check(reason) ? PyUnicode_AsUTF8(reason) : NULL;
    long number = text && PyLong_Check(code) ? PyLong_AsLong(code) : 0;

    PyErr_Clear();
    if (number != 0) {
        free(a->reason);
        a->reason = mem_strdup(text);
    }
    Py_XDECREF(reason);
    Py_XDECREF(code);
    py_raised_put(exception);
    return (int)(number & 0xff);
}

/* Takes the raised exception. */
static int
report_as(const char *text, int code)
{
    if (PyErr_ExceptionMatches(PyExc_SystemExit)) {
        PyObject *exception = py_raised_take();
        code = system_exit_code(exception);
        Py_XDECREF(exception);
        return code;
    }
    py_log_exception(text);
    return code;
}

static int
report(void *context)
{
    struct py_arbiter *py = context;
    int code = halt_code(&py->core);
    if (code != 0) {
        PyErr_Clear();
        return code;
    }
    return report_as("Unhandled exception in main loop", EXIT_UNHANDLED);
}

/* --- configuration --- */

static int
preload(void *context)
{
    struct py_arbiter *py = context;
    return done(PyObject_CallMethod(py->object, "_preload", NULL));
}

static int
reload(void *context, const struct config **ret_cfg)
{
    struct py_arbiter *py = context;
    PyObject *cfg = PyObject_CallMethod(py->object, "_reload", NULL);
    const struct config *core = cfg && cfg != Py_None ? py_config_get(cfg) : NULL;

    if (!core) {
        if (PyErr_Occurred()) {
            py_log_exception("Reading the configuration failed");
        }
        Py_XDECREF(cfg);
        return -EINVAL;
    }
    py->next_cfg = cfg;
    *ret_cfg = core;
    return 0;
}

static void
reload_done(void *context, bool accepted)
{
    struct py_arbiter *py = context;

    done_or_log(PyObject_CallMethod(py->object, "_reload_done", "O", accepted ? Py_True : Py_False),
                "Exchanging the configuration failed");
    if (accepted) {
        Py_SETREF(py->cfg, Py_NewRef(py->next_cfg));
    }
    Py_CLEAR(py->next_cfg);
}

static void
reopen_logs(void *context)
{
    struct py_arbiter *py = context;
    PyObject *log = PyObject_GetAttrString(py->object, "log");
    PyObject *result = log ? PyObject_CallMethod(log, "reopen_files", NULL) : NULL;

    Py_XDECREF(log);
    done_or_log(result, "Reopening the log files failed");
}

static void
unset_env(void *context, const char *name)
{
    struct py_arbiter *py = context;
    done_or_log(PyObject_CallMethod(py->object, "_unset_env", "s", name),
                "Changing the environment failed");
}

static void
set_title(void *context, const char *title)
{
    struct py_arbiter *py = context;
    done_or_log(
        PyObject_CallMethod(py->object, "_set_title", "N", PyUnicode_DecodeFSDefault(title)),
        "Setting the title of the process failed");
}

static PyObject *
listeners_new(const struct arbiter *a)
{
    PyObject *list = PyList_New((Py_ssize_t)a->listener_count);

    for (size_t i = 0; list && i < a->listener_count; i++) {
        PyObject *item = Py_BuildValue("(is)", a->listeners[i].fd, a->listeners[i].name);
        if (!item) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
        }
    }
    return list;
}

static int
listeners_changed(void *context)
{
    struct py_arbiter *py = context;
    PyObject *list = listeners_new(&py->core);

    if (!list) {
        return -ECANCELED;
    }
    return done(PyObject_CallMethod(py->object, "_set_listeners", "N", list));
}

/* --- methods that a subclass has overridden --- */

static bool
overrides(const struct py_arbiter *py, const char *method)
{
    PyObject *name = py->overridden ? PyUnicode_FromString(method) : NULL;
    int found = name ? PySet_Contains(py->overridden, name) : 0;

    Py_XDECREF(name);
    PyErr_Clear();
    return found > 0;
}

static int
call_override(const struct py_arbiter *py, const char *method)
{
    int rc = update_attributes(py);
    return rc < 0 ? rc : done(PyObject_CallMethod(py->object, method, NULL));
}

static int
act(void *context, int signal_number)
{
    struct py_arbiter *py = context;
    char method[32];

    snprintf(method, sizeof(method), "handle_%s", signals_short_name(signal_number));
    if (!overrides(py, method)) {
        return arbiter_act(&py->core, signal_number);
    }
    int rc = call_override(py, method);
    if (rc < 0 && PyErr_ExceptionMatches(PyExc_StopIteration)) { /* Gunicorn's way to stop */
        PyErr_Clear();
        arbiter_stop(&py->core, SIGTERM, 0, NULL);
        rc = 0;
    }
    return rc;
}

static int
manage(void *context)
{
    struct py_arbiter *py = context;

    if (overrides(py, "manage_workers")) {
        return call_override(py, "manage_workers");
    }
    manage_balance(&py->core, clock_mono_ns());
    return 0;
}

static int
spawn(void *context, int64_t now_ns)
{
    struct py_arbiter *py = context;

    if (overrides(py, "spawn_worker")) {
        return call_override(py, "spawn_worker");
    }
    return spawn_worker(&py->core, now_ns);
}

/* --- workers --- */

static pid_t
fork_interpreter(void *context)
{
    (void)context;
    PyOS_BeforeFork();
    pid_t pid = fork();
    int err = errno;
    if (pid == 0) {
        PyOS_AfterFork_Child();
    } else {
        PyOS_AfterFork_Parent();
    }
    errno = err;
    return pid;
}

static int
child_new(void *context, struct child *child)
{
    struct py_arbiter *py = context;
    child->object = PyObject_CallMethod(py->object, "_new_worker", "I", (unsigned)child->age);
    return child->object ? 0 : -ECANCELED;
}

static void
child_forked(void *context, struct child *child)
{
    struct py_arbiter *py = context;
    PyObject *worker = child->object;
    done_or_log(PyObject_CallMethod(py->object, "_worker_forked", "Oi", worker, (int)child->pid),
                "Registering a worker failed");
}

static void
child_free(void *context, struct child *child)
{
    struct py_arbiter *py = context;
    PyObject *worker = child->object;
    PyObject *raised = py_raised_take(); /* of its hook: the core has not asked for a report yet */

    child->object = NULL;
    if (child->pid != 0 && forget_pid(py, child) < 0) {
        py_log_exception("Forgetting a worker failed");
    }
    Py_XDECREF(worker);
    if (raised) {
        py_raised_put(raised);
    }
}

/* --- in the worker --- */

static int
call_worker_hook(const struct py_arbiter *py, PyObject *function, PyObject *worker)
{
    if (!function) {
        return 0;
    }
    return done(PyObject_CallFunctionObjArgs(function, py->object, worker, NULL));
}

static int
drop_privileges(const struct config *cfg)
{
    char *error = NULL;
    int rc = privileges_drop((uid_t)cfg->user, (gid_t)cfg->group, cfg->initgroups, &error);
    if (rc < 0) {
        PyErr_SetString(PyExc_OSError, error);
        free(error);
        return -ECANCELED;
    }
    return 0;
}

/* Up to the point at which the worker can load the application. */
static int
begin_worker(const struct py_arbiter *py, PyObject *worker)
{
    int rc = set_number(worker, "pid", getpid());
    if (rc == 0) {
        rc = call_worker_hook(py, py->core.cfg->post_fork, worker);
    }
    return rc == 0 ? drop_privileges(py->core.cfg) : rc;
}

/* What is left is short, and finalizing the interpreter puts handlers back to their defaults: a
 * second TERM must not cut functions of atexit off. KILL still helps. */
static void
block_stop_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGQUIT);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

NORETURN static void
run_worker(void *context, struct child *child, const struct worker_start *start)
{
    struct py_arbiter *py = context;
    PyObject *worker = child->object;
    int code = 0;

    module_state_get(py->module)->arbiter = NULL; /* this process is none */
    py_stacks_install(start);
    if (begin_worker(py, worker) < 0) {
        code = report_as("Exception in worker process", EXIT_WORKER_BOOT_ERROR);
    } else {
        code = py_worker_run(py->module, start, worker);
    }
    /* worker.nr, for worker_exit. */
    if (set_number(worker, "_requests", (long long)metric_read(&start->slot->metrics.requests))) {
        PyErr_Clear();
    }
    block_stop_signals();
    log_info("Worker exiting (pid: %d)", (int)getpid());
    if (call_worker_hook(py, py->core.cfg->worker_exit, worker) < 0) {
        py_log_exception_at(LOG_LEVEL_WARNING, "Exception during worker exit:");
    }
    /* As sys.exit() would, but without unwinding the arbiter's frames: functions of atexit run,
     * threads are waited for, files are flushed. */
    Py_Exit(code);
}

static const struct arbiter_host host = {
    .call_hook = call_hook,
    .nworkers_changed = nworkers_changed,
    .report = report,
    .preload = preload,
    .reload = reload,
    .reload_done = reload_done,
    .reopen_logs = reopen_logs,
    .unset_env = unset_env,
    .listeners_changed = listeners_changed,
    .set_title = set_title,
    .act = act,
    .manage = manage,
    .spawn = spawn,
    .fork = fork_interpreter,
    .child_new = child_new,
    .child_forked = child_forked,
    .child_free = child_free,
    .run_worker = run_worker,
};

/* --- the run --- */

static void
free_strings(char **strings)
{
    for (size_t i = 0; strings && strings[i]; i++) {
        free(strings[i]);
    }
    free(strings);
}

/* A path or argument as the system writes it: to be released with free(). NULL: exception. */
static char *
system_string(PyObject *object)
{
    PyObject *bytes = NULL;
    if (!PyUnicode_FSConverter(object, &bytes)) {
        return NULL;
    }
    char *result = mem_strdup(PyBytes_AS_STRING(bytes));
    Py_DECREF(bytes);
    return result;
}

/* NULL: exception. */
static char **
system_strings(PyObject *sequence)
{
    PyObject *fast = PySequence_Fast(sequence, "not a sequence of strings");
    if (!fast) {
        return NULL;
    }
    Py_ssize_t n = PySequence_Fast_GET_SIZE(fast);
    char **result = mem_array((size_t)n + 1, sizeof(*result));
    for (Py_ssize_t i = 0; i < n; i++) {
        result[i] = system_string(PySequence_Fast_GET_ITEM(fast, i));
        if (!result[i]) {
            free_strings(result);
            result = NULL;
            break;
        }
    }
    Py_DECREF(fast);
    return result;
}

/* START_CTX, as Gunicorn's configuration files know it: {0: program, "args": ..., "cwd": ...}. */
struct start_context {
    char **command;
    char *directory;
};

static int
start_context_init(struct start_context *context, PyObject *arbiter)
{
    PyObject *dict = PyObject_GetAttrString(arbiter, "START_CTX");
    PyObject *args = dict ? PyMapping_GetItemString(dict, "args") : NULL;
    PyObject *cwd = dict ? PyMapping_GetItemString(dict, "cwd") : NULL;

    *context = (struct start_context){NULL};
    if (args && cwd) {
        context->command = system_strings(args);
        context->directory = context->command ? system_string(cwd) : NULL;
    }
    Py_XDECREF(cwd);
    Py_XDECREF(args);
    Py_XDECREF(dict);
    return context->directory ? 0 : -1;
}

static void
start_context_fini(struct start_context *context)
{
    free_strings(context->command);
    free(context->directory);
}

/* Python's own signal handlers (SIGALRM, say) run between turns. */
static void
run_python_signals(struct arbiter *a)
{
    if (PyErr_CheckSignals() < 0) {
        arbiter_fail(a);
    }
}

/* The exit code, or -1 with an exception. */
static int
serve(const struct py_arbiter *py, struct arbiter *a)
{
    if (done(PyObject_CallMethod(py->object, "start", NULL)) < 0) {
        return -1;
    }
    while (arbiter_turn(a)) {
        Py_BEGIN_ALLOW_THREADS
        arbiter_wait(a);
        Py_END_ALLOW_THREADS
        run_python_signals(a);
        log_route_drain(&module_state_get(py->module)->log_route);
    }
    return a->exit_code;
}

static PyObject *
overridden_methods(PyObject *arbiter)
{
    return PyObject_CallMethod(arbiter, "_overridden", NULL);
}

static PyObject *
arbiter_run(PyObject *module, PyObject *args)
{
    struct py_arbiter py = {.core = {.host = &host}, .module = module};
    struct start_context start = {NULL};
    const struct config *cfg = NULL;
    int code = -1;

    if (!PyArg_ParseTuple(args, "Oss:arbiter_run", &py.object, &py.core.program,
                          &py.core.version)) {
        return NULL;
    }
    py.cfg = PyObject_GetAttrString(py.object, "cfg");
    cfg = py.cfg ? py_config_get(py.cfg) : NULL;
    py.overridden = cfg ? overridden_methods(py.object) : NULL;
    if (py.overridden && start_context_init(&start, py.object) == 0) {
        py.core.context = &py;
        py.core.command = start.command;
        py.core.start_directory = start.directory;
        /* Or descriptors of ours would take their numbers, and what is printed would go there. */
        if (fd_open_stdio() < 0) {
            log_warning("Standard input, output and error are closed, and so is /dev/null");
        }
        arbiter_init(&py.core, cfg);
        module_state_get(module)->arbiter = &py.core;
        code = serve(&py, &py.core);
        module_state_get(module)->arbiter = NULL;
        PyObject *raised = py_raised_take();
        arbiter_fini(&py.core);
        if (raised) {
            py_raised_put(raised);
        }
    }
    start_context_fini(&start);
    Py_XDECREF(py.overridden);
    Py_XDECREF(py.cfg);
    return code < 0 ? NULL : PyLong_FromLong(code);
}

static PyMethodDef methods[] = {
    {"arbiter_run", arbiter_run, METH_VARARGS,
     "Serves until the server ends: arbiter, program, version. Returns the exit code."},
    {NULL, NULL, 0, NULL},
};

int
py_arbiter_add(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
