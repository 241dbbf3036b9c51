/* SPDX-License-Identifier: MIT */
#include "py/start_response.h"

#include "py/py_compat.h"
#include "py/response_head.h"
#include "py/wsgi_body.h"

#include <errno.h>
#include <stddef.h>

enum { MAX_PARAMETERS = 3 };

/* The signature of a handle that can be called: names of its parameters, how many are required. */
struct signature {
    const char *function;
    const char *parameters[MAX_PARAMETERS + 1]; /* ends with NULL */
    Py_ssize_t required;
};

static const struct signature start_response_signature = {
    "start_response", {"status", "headers", "exc_info"}, 2};
static const struct signature write_signature = {"write", {"data"}, 1};
static const struct signature early_hints_signature = {"early_hints", {"headers"}, 1};

static PyObject **
parameter_find(const struct signature *signature, PyObject *name, PyObject **out)
{
    for (Py_ssize_t i = 0; i < MAX_PARAMETERS && signature->parameters[i]; i++) {
        if (PyUnicode_CompareWithASCIIString(name, signature->parameters[i]) == 0) {
            return &out[i];
        }
    }
    return NULL;
}

/* Spreads the arguments of a vectorcall over `out` (borrowed; NULL: not given). */
static int
arguments_take(const struct signature *signature, PyObject *const *args, size_t n_args_flags,
               PyObject *names, PyObject *out[MAX_PARAMETERS])
{
    Py_ssize_t n = PyVectorcall_NARGS(n_args_flags);
    Py_ssize_t max = 0;

    while (signature->parameters[max]) {
        max++;
    }
    for (Py_ssize_t i = 0; i < MAX_PARAMETERS; i++) {
        out[i] = i < n ? args[i] : NULL;
    }
    for (Py_ssize_t i = 0; n <= max && names && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        PyObject **slot = parameter_find(signature, name, out);
        if (!slot || *slot) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected or repeated argument %R",
                         signature->function, name);
            return -1;
        }
        *slot = args[n + i];
    }
    if (n > max || !out[signature->required - 1] || !out[0]) {
        PyErr_Format(PyExc_TypeError, "%s() takes %zd to %zd arguments", signature->function,
                     signature->required, max);
        return -1;
    }
    return 0;
}

/* exc_info after the head has gone: PEP 3333 wants it raised again, so that the application stops.
 */
static void
exc_info_raise(PyObject *exc_info)
{
    PyObject *type = PyTuple_GET_ITEM(exc_info, 0);
    PyObject *value = PyTuple_GET_ITEM(exc_info, 1);
    PyObject *traceback = PyTuple_GET_ITEM(exc_info, 2);

    if (PyExceptionInstance_Check(value)) {
        if (PyTraceBack_Check(traceback) && PyException_SetTraceback(value, traceback) < 0) {
            return;
        }
        PyErr_SetObject(PyExceptionInstance_Class(value), value);
    } else if (PyExceptionClass_Check(type)) {
        PyErr_SetObject(type, value == Py_None ? NULL : value);
    } else {
        PyErr_SetString(PyExc_TypeError, "exc_info is not what sys.exc_info() returns");
    }
}

/* Whether start_response may be called now: 0, or -1 with an exception. */
static int
restart_check(const struct wsgi_call *call, PyObject *exc_info)
{
    if (exc_info && exc_info != Py_None) {
        if (!PyTuple_Check(exc_info) || PyTuple_GET_SIZE(exc_info) != 3) {
            PyErr_SetString(PyExc_TypeError, "exc_info is not what sys.exc_info() returns");
            return -1;
        }
        if (call->request->response.sent) {
            exc_info_raise(exc_info);
            return -1;
        }
        return 0;
    }
    if (call->started) {
        PyErr_SetString(PyExc_AssertionError, "Response headers already set!");
        return -1;
    }
    return 0;
}

/* Starts the response; `list` was made from `headers`. */
static int
head_start(struct wsgi_call *call, PyObject *status, const struct header_list *list)
{
    struct response_head head = {.fields = list->fields, .n_fields = list->n};
    size_t index = 0;

    if (status_text(status, &head.status) < 0) {
        return -1;
    }
    int r = call->taken ? 0 : response_start(call->request, &head, &index);
    if (r < 0) {
        response_fault_raise((enum response_fault) - r, status, list, index);
        return -1;
    }
    call->started = true;
    if (call->keep_head) {
        Py_XSETREF(call->status, Py_NewRef(status));
        Py_XSETREF(call->headers, Py_NewRef(list->items));
    }
    return 0;
}

PyObject *
start_response_call(PyObject *self, PyObject *const *args, size_t n_args, PyObject *names)
{
    PyObject *given[MAX_PARAMETERS];
    struct header_list list;
    PyObject *write = NULL;

    if (arguments_take(&start_response_signature, args, n_args, names, given) < 0) {
        return NULL;
    }
    /* The call is looked up after everything that can run Python code, which might end it. */
    if (header_list_init(&list, given[1], false) == 0) {
        struct wsgi_call *call = wsgi_handle_open_call(self);
        if (call && restart_check(call, given[2]) == 0 && head_start(call, given[0], &list) == 0) {
            write = Py_NewRef(call->handles[WSGI_WRITE]);
        }
    }
    header_list_fini(&list);
    return write;
}

PyObject *
write_call(PyObject *self, PyObject *const *args, size_t n_args, PyObject *names)
{
    PyObject *given[MAX_PARAMETERS];

    if (arguments_take(&write_signature, args, n_args, names, given) < 0) {
        return NULL;
    }
    struct wsgi_call *call = wsgi_handle_open_call(self);
    if (!call) {
        return NULL;
    }
    int r = wsgi_call_write(call, given[0], false);
    if (r > 0) {
        errno = EPIPE;
        PyErr_SetFromErrno(PyExc_OSError);
    }
    return r == 0 ? Py_NewRef(Py_None) : NULL;
}

PyObject *
early_hints_call(PyObject *self, PyObject *const *args, size_t n_args, PyObject *names)
{
    static const struct span status = {"103 Early Hints", sizeof("103 Early Hints") - 1};
    PyObject *given[MAX_PARAMETERS];
    struct header_list list;
    PyObject *result = NULL;
    size_t index = 0;

    if (arguments_take(&early_hints_signature, args, n_args, names, given) < 0) {
        return NULL;
    }
    if (header_list_init(&list, given[0], true) < 0) {
        goto out;
    }
    struct wsgi_call *call = wsgi_handle_open_call(self);
    if (!call) {
        goto out;
    }
    struct response_head head = {status, list.fields, list.n};
    int r = call->taken ? 0 : response_inform(call->request, &head, &index);
    if (r < 0) {
        response_fault_raise((enum response_fault) - r, Py_None, &list, index);
        goto out;
    }
    result = Py_NewRef(Py_None);
out:
    header_list_fini(&list);
    return result;
}

static PyTypeObject *
callable_type_new(PyObject *module, const char *name, const char *doc)
{
    PyMemberDef members[] = {
        {"__vectorcalloffset__", PY_MEMBER_SSIZE, offsetof(struct wsgi_handle, vectorcall),
         PY_MEMBER_READONLY, NULL},
        {0},
    };
    PyType_Slot slots[] = {
        {Py_tp_doc, (void *)doc},
        {Py_tp_dealloc, wsgi_handle_dealloc},
        {Py_tp_call, PyVectorcall_Call},
        {Py_tp_members, members},
        {0, NULL},
    };
    PyType_Spec spec = {
        .name = name,
        .basicsize = sizeof(struct wsgi_handle),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE |
                 Py_TPFLAGS_HAVE_VECTORCALL,
        .slots = slots,
    };
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
}

PyTypeObject *
start_response_type_new(PyObject *module)
{
    return callable_type_new(module, "saola._core.StartResponse",
                             "Begins the response: (status, headers, exc_info=None) -> write.");
}

PyTypeObject *
write_type_new(PyObject *module)
{
    return callable_type_new(module, "saola._core.Write",
                             "Sends a part of the body at once: (data) -> None.");
}

PyTypeObject *
early_hints_type_new(PyObject *module)
{
    return callable_type_new(module, "saola._core.EarlyHints",
                             "Sends a 103 response at once: ([(name, value)]) -> None.");
}
