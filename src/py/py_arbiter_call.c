/* SPDX-License-Identifier: MIT */
#include "py/py_arbiter_call.h"

#include "base/mem.h"
#include "config/config.h"
#include "py/py_compat.h"
#include "py/py_exit.h"
#include "py/py_log.h"

#include <errno.h>
#include <stdlib.h>

/* --- results and attributes --- */

void
py_done_or_log(PyObject *result, const char *what)
{
    if (py_done(result) < 0) {
        py_log_exception(what);
    }
}

int
py_arbiter_update(const struct py_arbiter *py)
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
        int rc = py_set_number(py->object, attributes[i].name, attributes[i].value);
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

int
py_arbiter_forget(const struct py_arbiter *py, const struct child *child)
{
    return py_done(PyObject_CallMethod(py->object, "_worker_gone", "i", (int)child->pid));
}

int
py_arbiter_call_hook(void *context, enum arbiter_hook hook, struct child *child)
{
    struct py_arbiter *py = context;
    PyObject *function = hook_function(py->core.cfg, hook);

    if (hook == HOOK_CHILD_EXIT && py_arbiter_forget(py, child) < 0) {
        return -ECANCELED;
    }
    if (!function) {
        return 0;
    }
    if (py_arbiter_update(py) < 0) {
        return -ECANCELED;
    }
    PyObject *worker = child ? child->object : NULL;
    return py_done(PyObject_CallFunctionObjArgs(function, py->object, worker, NULL));
}

int
py_arbiter_call_nworkers_changed(void *context, int64_t now, int64_t old)
{
    struct py_arbiter *py = context;
    PyObject *function = hook_function(py->core.cfg, HOOK_NWORKERS_CHANGED);

    if (!function) {
        return 0;
    }
    if (py_arbiter_update(py) < 0) {
        return -ECANCELED;
    }
    if (old < 0) {
        return py_done(PyObject_CallFunction(function, "OLO", py->object, (long long)now, Py_None));
    }
    return py_done(
        PyObject_CallFunction(function, "OLL", py->object, (long long)now, (long long)old));
}

/* --- exceptions --- */

/* Whether it is a HaltServer, whose exit code is wanted and whose reason the log is to show. */
static bool
is_halt(struct arbiter *a, int *ret_code)
{
    PyObject *exception = py_raised_take();
    PyObject *code = PyObject_GetAttrString(exception, "exit_status");
    PyObject *reason = code ? PyObject_GetAttrString(exception, "reason") : NULL;
    PyObject *text = reason && PyUnicode_Check(reason)
                         ? PyUnicode_AsEncodedString(reason, "utf-8", "backslashreplace")
                         : NULL;
    bool halt = (text || reason == Py_None) && PyLong_Check(code);

    if (halt) {
        *ret_code = (int)(PyLong_AsLong(code) & 0xff);
        free(a->reason);
        a->reason = text ? mem_strdup(PyBytes_AS_STRING(text)) : NULL;
    }
    PyErr_Clear();
    Py_XDECREF(text);
    Py_XDECREF(reason);
    Py_XDECREF(code);
    py_raised_put(exception);
    return halt;
}

int
py_arbiter_report(void *context)
{
    struct py_arbiter *py = context;
    int code = 0;
    if (is_halt(&py->core, &code)) {
        PyErr_Clear();
        return code;
    }
    return py_exit_code("Unhandled exception in main loop", EXIT_UNHANDLED);
}
