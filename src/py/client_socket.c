/* SPDX-License-Identifier: MIT */
#include "py/client_socket.h"

#include "py/py_object.h"

#include <errno.h>
#include <unistd.h>

/* What can be asked without disturbing the engine. */
static const char *const questions[] = {
    "family", "type", "proto", "getpeername", "getsockname", "getsockopt", "getpeercert",
};

struct client_socket {
    struct wsgi_handle handle; /* first */
    PyObject *asked;           /* socket.socket over a duplicate, for questions; or NULL */
    PyObject *taken;           /* socket.socket that the application has taken over; or NULL */
};

/* A new socket.socket that owns `fd`, whatever happens. */
static PyObject *
socket_from(int fd)
{
    PyObject *type = py_attribute_from("socket", "socket");
    PyObject *arguments = type ? PyTuple_New(0) : NULL;
    PyObject *names = arguments ? Py_BuildValue("{si}", "fileno", fd) : NULL;
    PyObject *made = names ? PyObject_Call(type, arguments, names) : NULL;

    if (!made) {
        close(fd);
    }
    Py_XDECREF(names);
    Py_XDECREF(arguments);
    Py_XDECREF(type);
    return made;
}

static bool
is_question(PyObject *name)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(questions); i++) {
        if (PyUnicode_CompareWithASCIIString(name, questions[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* The descriptor as a socket, kept in `slot`; borrowed. */
static PyObject *
fill(PyObject **slot, int fd)
{
    if (fd < 0) {
        errno = -fd;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    *slot = socket_from(fd);
    return *slot;
}

/* The socket that answers for the attribute: borrowed, NULL with an exception. */
static PyObject *
socket_for(struct client_socket *self, PyObject *name)
{
    if (self->taken) {
        return self->taken;
    }
    struct wsgi_call *call = wsgi_handle_call((PyObject *)self);
    if (!call) {
        return NULL;
    }
    if (is_question(name)) {
        return self->asked ? self->asked : fill(&self->asked, request_dup_socket(call->request));
    }
    if (call->reading || call->writing || call->answered) {
        PyErr_SetString(PyExc_RuntimeError, "gunicorn.socket: the request is in use or over");
        return NULL;
    }
    int fd = request_take_socket(call->request);
    call->taken = fd >= 0;
    return fill(&self->taken, fd);
}

static PyObject *
client_socket_getattro(PyObject *self, PyObject *name)
{
    Py_ssize_t n = PyUnicode_GET_LENGTH(name);

    if (n > 4 && PyUnicode_READ_CHAR(name, 0) == '_' && PyUnicode_READ_CHAR(name, 1) == '_') {
        return PyObject_GenericGetAttr(self, name);
    }
    PyObject *real = socket_for((struct client_socket *)self, name);
    return real ? PyObject_GetAttr(real, name) : NULL;
}

/* isinstance(sock, socket.socket) holds, as it would for the real one. */
static PyObject *
client_socket_class(PyObject *Py_UNUSED(self), void *Py_UNUSED(closure))
{
    return py_attribute_from("socket", "socket");
}

static PyObject *
client_socket_enter(PyObject *self, PyObject *Py_UNUSED(none))
{
    return Py_NewRef(self);
}

static PyObject *
client_socket_exit(PyObject *self, PyObject *Py_UNUSED(args))
{
    return PyObject_CallMethod(self, "close", NULL);
}

static int
client_socket_traverse(PyObject *object, visitproc visit, void *arg)
{
    struct client_socket *self = (struct client_socket *)object;

    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->asked);
    Py_VISIT(self->taken);
    return 0;
}

static int
client_socket_clear(PyObject *object)
{
    struct client_socket *self = (struct client_socket *)object;

    Py_CLEAR(self->asked);
    Py_CLEAR(self->taken);
    return 0;
}

static void
client_socket_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    client_socket_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef client_socket_methods[] = {
    {"__enter__", client_socket_enter, METH_NOARGS, NULL},
    {"__exit__", client_socket_exit, METH_VARARGS, NULL},
    {0},
};

static PyGetSetDef client_socket_getset[] = {
    {"__class__", client_socket_class, NULL, NULL, NULL},
    {0},
};

PyTypeObject *
client_socket_type_new(PyObject *module)
{
    PyType_Slot slots[] = {
        {Py_tp_doc, (void *)"The connection of a request; using it takes it over."},
        {Py_tp_dealloc, client_socket_dealloc},
        {Py_tp_traverse, client_socket_traverse},
        {Py_tp_clear, client_socket_clear},
        {Py_tp_getattro, client_socket_getattro},
        {Py_tp_methods, client_socket_methods},
        {Py_tp_getset, client_socket_getset},
        {0, NULL},
    };
    PyType_Spec spec = {
        .name = "saola._core.socket",
        .basicsize = sizeof(struct client_socket),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
                 Py_TPFLAGS_IMMUTABLETYPE,
        .slots = slots,
    };
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
}

PyObject *
client_socket_new(PyTypeObject *type)
{
    struct client_socket *self = PyObject_GC_New(struct client_socket, type);

    if (self) {
        self->handle.vectorcall = NULL;
        self->handle.call = NULL;
        self->asked = NULL;
        self->taken = NULL;
        PyObject_GC_Track(self);
    }
    return (PyObject *)self;
}

bool
client_socket_is_fresh(PyObject *self)
{
    const struct client_socket *socket = (const struct client_socket *)self;
    return !socket->asked && !socket->taken;
}

/* The duplicate for questions would warn of having been left open. */
void
client_socket_detach(PyObject *self)
{
    PyObject *asked = ((struct client_socket *)self)->asked;
    PyObject *closed = asked ? PyObject_CallMethod(asked, "close", NULL) : NULL;

    if (asked && !closed) {
        PyErr_Clear();
    }
    Py_XDECREF(closed);
}
