/* SPDX-License-Identifier: MIT */
#include "py/py_steer.h"

#include "base/clock.h"
#include "base/mem.h"
#include "proc/arbiter.h"
#include "proc/manage.h"
#include "proc/slot.h"
#include "proc/spawn.h"
#include "proc/title.h"
#include "py/module.h"
#include "py/py_text.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* NULL with an exception if none runs in this process. */
static struct arbiter *
running(PyObject *module)
{
    struct arbiter *a = module_state_get(module)->arbiter;
    if (!a) {
        PyErr_SetString(PyExc_RuntimeError, "no arbiter is running in this process");
    }
    return a;
}

/* None, or the exception: of the host if the core says so. */
static PyObject *
result_from(int rc)
{
    if (rc >= 0) {
        Py_RETURN_NONE;
    }
    if (rc != -ECANCELED) {
        errno = -rc;
        PyErr_SetFromErrno(PyExc_OSError);
    }
    return NULL;
}

int64_t
py_steer_heartbeat(PyObject *module, pid_t pid)
{
    const struct arbiter *a = module_state_get(module)->arbiter;
    const struct child *child = a ? child_find(a, pid) : NULL;
    return child ? slot_last_heartbeat(child->slot) : 0;
}

/* --- the run --- */

static PyObject *
steer_start(PyObject *module, PyObject *unused)
{
    (void)unused;
    struct arbiter *a = running(module);
    if (!a) {
        return NULL;
    }
    int rc = arbiter_start(a);
    if (rc < 0 && rc != -ECANCELED) {
        if (a->error) {
            py_text_raise(PyExc_RuntimeError, a->error);
        } else { /* the log has said it */
            PyObject *code = PyLong_FromLong(a->exit_code);
            if (code) {
                PyErr_SetObject(PyExc_SystemExit, code);
                Py_DECREF(code);
            }
        }
        return NULL;
    }
    return result_from(rc);
}

static PyObject *
steer_act(PyObject *module, PyObject *number)
{
    struct arbiter *a = running(module);
    long signal_number = a ? PyLong_AsLong(number) : -1;
    if (!a || PyErr_Occurred()) {
        return NULL;
    }
    return result_from(arbiter_act(a, (int)signal_number));
}

/* arbiter_halt(exit_status, reason) */
static PyObject *
steer_halt(PyObject *module, PyObject *args)
{
    struct arbiter *a = running(module);
    PyObject *reason = NULL;
    int status = 0;
    if (!a || !PyArg_ParseTuple(args, "iO&:arbiter_halt", &status, py_text_convert, &reason)) {
        return NULL;
    }
    arbiter_stop(a, SIGTERM, status, py_text_or_null(reason));
    Py_XDECREF(reason);
    Py_RETURN_NONE;
}

static PyObject *
steer_wakeup(PyObject *module, PyObject *unused)
{
    (void)unused;
    struct arbiter *a = running(module);
    if (!a) {
        return NULL;
    }
    (void)!write(a->notify_fds[1], "", 1); /* if it is full it wakes all the same */
    Py_RETURN_NONE;
}

/* --- workers --- */

static PyObject *
steer_manage(PyObject *module, PyObject *unused)
{
    (void)unused;
    struct arbiter *a = running(module);
    if (!a) {
        return NULL;
    }
    if (a->phase == ARBITER_RUNNING) {
        manage_balance(a, clock_mono_ns());
    }
    Py_RETURN_NONE;
}

static PyObject *
steer_set_workers(PyObject *module, PyObject *number)
{
    struct arbiter *a = running(module);
    long long target = a ? PyLong_AsLongLong(number) : -1;
    if (!a || PyErr_Occurred()) {
        return NULL;
    }
    if (target < 0) {
        PyErr_SetString(PyExc_ValueError, "fewer than no workers");
        return NULL;
    }
    return result_from(arbiter_set_target(a, target));
}

/* The pid of the new worker. */
static PyObject *
steer_spawn(PyObject *module, PyObject *unused)
{
    (void)unused;
    struct arbiter *a = running(module);
    if (!a) {
        return NULL;
    }
    int rc = spawn_worker(a, clock_mono_ns());
    if (rc < 0) {
        return result_from(rc);
    }
    return PyLong_FromLong(LIST_ENTRY(a->children.prev, struct child, node)->pid);
}

/* arbiter_kill(pid, signal): nothing if it is no worker any more. */
static PyObject *
steer_kill(PyObject *module, PyObject *args)
{
    struct arbiter *a = running(module);
    int pid = 0;
    int number = 0;
    if (!a || !PyArg_ParseTuple(args, "ii:arbiter_kill", &pid, &number)) {
        return NULL;
    }
    struct child *child = child_find(a, pid);
    if (child && number == SIGTERM && !child->leaving) {
        manage_retire(a, child, clock_mono_ns());
    } else if (child && kill(child->pid, number) < 0 && errno != ESRCH) {
        return result_from(-errno);
    }
    Py_RETURN_NONE;
}

static PyObject *
steer_kill_all(PyObject *module, PyObject *number)
{
    struct arbiter *a = running(module);
    long signal_number = a ? PyLong_AsLong(number) : -1;
    if (!a || PyErr_Occurred()) {
        return NULL;
    }
    manage_signal_all(a, (int)signal_number);
    Py_RETURN_NONE;
}

static PyObject *
steer_reap(PyObject *module, PyObject *unused)
{
    (void)unused;
    struct arbiter *a = running(module);
    if (!a) {
        return NULL;
    }
    manage_reap(a, clock_mono_ns());
    Py_RETURN_NONE;
}

static PyObject *
steer_murder(PyObject *module, PyObject *unused)
{
    (void)unused;
    struct arbiter *a = running(module);
    if (!a) {
        return NULL;
    }
    if (a->phase == ARBITER_RUNNING) {
        manage_punish(a, clock_mono_ns());
    }
    Py_RETURN_NONE;
}

/* --- any process --- */

static PyObject *
set_title(PyObject *module, PyObject *text)
{
    (void)module;
    const char *title = PyUnicode_AsUTF8(text);
    if (!title) {
        return NULL;
    }
    title_set("%s", title);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"arbiter_start", steer_start, METH_NOARGS, "Everything before the first worker is forked."},
    {"arbiter_act", steer_act, METH_O, "Do what a signal with that number asks for."},
    {"arbiter_halt", steer_halt, METH_VARARGS, "Begin to stop: exit status, reason or None."},
    {"arbiter_wakeup", steer_wakeup, METH_NOARGS, "Have the next turn of the loop come at once."},
    {"arbiter_manage", steer_manage, METH_NOARGS, "Start and retire workers as needed."},
    {"arbiter_set_workers", steer_set_workers, METH_O, "How many workers there shall be."},
    {"arbiter_spawn", steer_spawn, METH_NOARGS, "Fork a worker; returns its pid."},
    {"arbiter_kill", steer_kill, METH_VARARGS, "Send a worker a signal: pid, signal."},
    {"arbiter_kill_all", steer_kill_all, METH_O, "Send every worker a signal."},
    {"arbiter_reap", steer_reap, METH_NOARGS, "Bury the workers that have ended."},
    {"arbiter_murder", steer_murder, METH_NOARGS, "Kill the workers that are late."},
    {"set_title", set_title, METH_O, "Set the title of this process."},
    {NULL, NULL, 0, NULL},
};

int
py_steer_add(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
