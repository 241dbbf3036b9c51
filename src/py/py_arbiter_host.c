/* SPDX-License-Identifier: MIT */
#include "py/py_arbiter_host.h"

#include "base/clock.h"
#include "net/listener.h"
#include "proc/manage.h"
#include "proc/signals.h"
#include "proc/spawn.h"
#include "py/py_arbiter_call.h"
#include "py/py_arbiter_child.h"
#include "py/py_config.h"
#include "py/py_log.h"
#include "py/py_text.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

/* --- configuration --- */

static int
preload(void *context)
{
    struct py_arbiter *py = context;
    return py_method_call(py->object, "_preload");
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

    py_done_or_log(
        PyObject_CallMethod(py->object, "_reload_done", "O", accepted ? Py_True : Py_False),
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
    py_done_or_log(result, "Reopening the log files failed");
}

static void
unset_env(void *context, const char *name)
{
    struct py_arbiter *py = context;
    py_done_or_log(PyObject_CallMethod(py->object, "_unset_env", "s", name),
                   "Changing the environment failed");
}

static void
set_title(void *context, const char *title)
{
    struct py_arbiter *py = context;
    py_done_or_log(PyObject_CallMethod(py->object, "_set_title", "N", py_text_new(title)),
                   "Setting the title of the process failed");
}

static PyObject *
listeners_new(const struct arbiter *a)
{
    PyObject *list = PyList_New((Py_ssize_t)a->listener_count);

    for (size_t i = 0; list && i < a->listener_count; i++) {
        PyObject *item =
            Py_BuildValue("(iN)", a->listeners[i].fd, py_text_new(a->listeners[i].name));
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
    return py_done(PyObject_CallMethod(py->object, "_set_listeners", "N", list));
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
    int rc = py_arbiter_update(py);
    return rc < 0 ? rc : py_method_call(py->object, method);
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

const struct arbiter_host py_arbiter_host = {
    .call_hook = py_arbiter_call_hook,
    .nworkers_changed = py_arbiter_call_nworkers_changed,
    .report = py_arbiter_report,
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
    .fork = py_arbiter_fork,
    .child_new = py_arbiter_child_new,
    .child_forked = py_arbiter_child_forked,
    .child_free = py_arbiter_child_free,
    .run_worker = py_arbiter_run_worker,
};
