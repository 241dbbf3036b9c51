/* SPDX-License-Identifier: MIT */
#include "py/py_arbiter.h"

#include "base/fd.h"
#include "base/mem.h"
#include "log/log.h"
#include "py/module.h"
#include "py/py_arbiter_call.h"
#include "py/py_arbiter_host.h"
#include "py/py_compat.h"
#include "py/py_config.h"

#include <stdlib.h>

/* --- what was started --- */

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

/* --- the run --- */

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
    if (py_method_call(py->object, "start") < 0) {
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
    struct py_arbiter py = {.core = {.host = &py_arbiter_host}, .module = module};
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
