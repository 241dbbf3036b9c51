/* SPDX-License-Identifier: MIT */
#include "py/py_stacks.h"

#include "proc/signals.h"
#include "proc/spawn.h"
#include "proc/stacks_answer.h"
#include "proc/worker_signals.h"
#include "py/py_log.h"

#include <errno.h>
#include <signal.h>

/* 0, or -1 with an exception. */
static int
call(PyObject *faulthandler, const char *name, const struct worker_start *start)
{
    PyObject *function = PyObject_GetAttrString(faulthandler, name);
    PyObject *args =
        strcmp(name, "register") == 0 ? Py_BuildValue("(i)", signals_stacks()) : PyTuple_New(0);
    PyObject *keywords =
        Py_BuildValue("{s:i,s:O}", "file", start->stacks_fd, "all_threads", Py_True);
    PyObject *result =
        function && args && keywords ? PyObject_Call(function, args, keywords) : NULL;

    Py_XDECREF(result);
    Py_XDECREF(keywords);
    Py_XDECREF(args);
    Py_XDECREF(function);
    return result ? 0 : -1;
}

/* By PYTHONFAULTHANDLER, -X faulthandler or their own call: 1, 0, or -1 with an exception. */
static int
is_enabled_by_user(PyObject *faulthandler)
{
    PyObject *enabled = PyObject_CallMethod(faulthandler, "is_enabled", NULL);
    int rc = enabled ? PyObject_IsTrue(enabled) : -1;
    Py_XDECREF(enabled);
    return rc;
}

static int
install(const struct worker_start *start)
{
    PyObject *faulthandler = PyImport_ImportModule("faulthandler");
    int rc = faulthandler ? call(faulthandler, "register", start) : -1;
    int enabled = rc == 0 ? is_enabled_by_user(faulthandler) : -1;

    if (rc == 0) {
        worker_signals_adopt_stacks();
    }
    rc = enabled == 0 ? call(faulthandler, "enable", start) : enabled;
    Py_XDECREF(faulthandler);
    return rc < 0 ? -1 : 0;
}

void
py_stacks_install(const struct worker_start *start)
{
    if (start->stacks_fd >= 0 && install(start) < 0) {
        py_log_exception("Stacks of this worker will be unknown");
    }
    worker_signals_watch();
}

/* --- functions of the module --- */

static PyObject *
stacks_signal(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLong(signals_stacks());
}

static PyObject *
stacks_name(PyObject *Py_UNUSED(module), PyObject *args)
{
    char name[STACKS_NAME_MAX];
    int pid;
    int key;
    if (!PyArg_ParseTuple(args, "ii:stacks_name", &pid, &key)) {
        return NULL;
    }
    size_t n = stacks_answer_name(name, pid, key);
    return PyBytes_FromStringAndSize(name, (Py_ssize_t)n);
}

static PyObject *
stacks_ask_server(PyObject *Py_UNUSED(module), PyObject *args)
{
    int pid;
    union sigval value;
    if (!PyArg_ParseTuple(args, "ii:stacks_ask", &pid, &value.sival_int)) {
        return NULL;
    }
    if (sigqueue(pid, signals_stacks(), value) < 0) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(stacks_signal_doc, "stacks_signal()\n--\n\n"
                                "The number of the signal that asks for stacks.");
PyDoc_STRVAR(stacks_name_doc, "stacks_name(pid, key)\n--\n\n"
                              "The abstract name of the socket on which `pid` waits for stacks.");
PyDoc_STRVAR(stacks_ask_doc, "stacks_ask(pid, key)\n--\n\n"
                             "Ask the arbiter `pid` for the stacks of its workers.");

static PyMethodDef methods[] = {
    {"stacks_signal", stacks_signal, METH_NOARGS, stacks_signal_doc},
    {"stacks_name", stacks_name, METH_VARARGS, stacks_name_doc},
    {"stacks_ask", stacks_ask_server, METH_VARARGS, stacks_ask_doc},
    {NULL, NULL, 0, NULL},
};

int
py_stacks_add(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
