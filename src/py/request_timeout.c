/* SPDX-License-Identifier: MIT */
#include "py/request_timeout.h"

#include "py/py_object.h"
#include "py/wsgi_handle.h"
#include "py/wsgi_log.h"

#include <math.h>

enum { MESSAGE_MAX_BYTES = 80 };

/* --- the exception --- */

int
request_timeout_init(struct wsgi_app *app, struct deadline *deadline)
{
    if (!deadline || !deadline_is_on(deadline)) {
        return 0;
    }
    app->timeout_type = py_attribute_from("saola.errors", "RequestTimeout");
    if (!app->timeout_type) {
        return -1;
    }
    app->deadline = deadline;
    return 0;
}

void
request_timeout_fini(struct wsgi_app *app)
{
    Py_CLEAR(app->timeout_type);
}

int
request_timeout_raise(const struct wsgi_app *app)
{
    const struct wsgi_call *call = app->interruptible;
    int64_t now_ns = clock_mono_ns();

    if (!app->deadline || !call || !deadline_take(app->deadline, now_ns)) {
        return 0;
    }
    double seconds = (double)(now_ns - app->deadline->begun_ns) / (double)NS_PER_SEC;
    char message[MESSAGE_MAX_BYTES];
    PyOS_snprintf(message, sizeof(message), "the request has run for %.3f s", seconds);
    wsgi_log_timeout(call->request, seconds);
    PyErr_SetString(app->timeout_type, message);
    return -1;
}

/* --- environ["saola.extend_deadline"] --- */

static int
seconds_take(PyObject *args, PyObject *names, int64_t *ret_ns)
{
    static char *parameters[] = {(char *)"seconds", NULL};
    double seconds = 0;

    if (!PyArg_ParseTupleAndKeywords(args, names, "d:extend_deadline", parameters, &seconds)) {
        return -1;
    }
    if (!(seconds >= 0)) { /* nor is NaN */
        PyErr_SetString(PyExc_ValueError, "extend_deadline: not a number of seconds");
        return -1;
    }
    seconds = fmin(seconds, INT32_MAX);
    *ret_ns = (int64_t)(seconds * (double)NS_PER_SEC);
    return 0;
}

static PyObject *
extend_deadline_call(PyObject *self, PyObject *args, PyObject *names)
{
    int64_t duration_ns = 0;

    if (seconds_take(args, names, &duration_ns) < 0) {
        return NULL;
    }
    const struct wsgi_call *call = wsgi_handle_call(self);
    if (!call) {
        return NULL;
    }
    deadline_extend(call->app->deadline, clock_mono_ns(), duration_ns);
    Py_RETURN_NONE;
}

PyTypeObject *
extend_deadline_type_new(PyObject *module)
{
    PyType_Slot slots[] = {
        {Py_tp_doc, (void *)"Gives the request so much time from now on: (seconds) -> None."},
        {Py_tp_dealloc, wsgi_handle_dealloc},
        {Py_tp_call, extend_deadline_call},
        {0, NULL},
    };
    PyType_Spec spec = {
        .name = "saola._core.ExtendDeadline",
        .basicsize = sizeof(struct wsgi_handle),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
        .slots = slots,
    };
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
}

static PyObject *
extend_nothing(PyObject *self, PyObject *args, PyObject *names)
{
    int64_t duration_ns = 0;

    (void)self;
    if (seconds_take(args, names, &duration_ns) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
extend_nothing_new(void)
{
    static PyMethodDef method = {"extend_deadline", (PyCFunction)(void (*)(void))extend_nothing,
                                 METH_VARARGS | METH_KEYWORDS,
                                 "Requests have no deadline: does nothing. (seconds) -> None."};
    return PyCFunction_New(&method, NULL);
}
