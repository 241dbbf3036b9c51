/* SPDX-License-Identifier: MIT */
#include "py/errors_stream.h"

#include "log/log.h"

/* What UTF-8 cannot express (a lone surrogate) is written as an escape. */
static PyObject *
stream_write(PyObject *Py_UNUSED(self), PyObject *text)
{
    if (!PyUnicode_Check(text)) {
        PyErr_Format(PyExc_TypeError, "write() argument must be str, not %.200s",
                     Py_TYPE(text)->tp_name);
        return NULL;
    }
    PyObject *bytes = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
    if (!bytes) {
        return NULL;
    }
    if (PyBytes_GET_SIZE(bytes) > 0) {
        log_raw(span_of(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)));
    }
    Py_DECREF(bytes);
    return PyLong_FromSsize_t(PyUnicode_GET_LENGTH(text));
}

static PyObject *
stream_writelines(PyObject *self, PyObject *lines)
{
    PyObject *iterator = PyObject_GetIter(lines);
    PyObject *line;

    while (iterator && (line = PyIter_Next(iterator))) {
        PyObject *written = stream_write(self, line);
        Py_DECREF(line);
        if (!written) {
            break;
        }
        Py_DECREF(written);
    }
    Py_XDECREF(iterator);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

/* Nothing is held back. */
static PyObject *
stream_flush(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(none))
{
    return Py_NewRef(Py_None);
}

static PyObject *
stream_true(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(none))
{
    return Py_NewRef(Py_True);
}

static PyObject *
stream_false(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(none))
{
    return Py_NewRef(Py_False);
}

static PyMethodDef stream_methods[] = {
    {"write", stream_write, METH_O, "write(text)\n--\n\nAppends text to the error log."},
    {"writelines", stream_writelines, METH_O, "writelines(lines)\n--\n\nAppends each of them."},
    {"flush", stream_flush, METH_NOARGS, "flush()\n--\n\nDoes nothing: nothing is held back."},
    {"writable", stream_true, METH_NOARGS, "writable()\n--\n\nTrue."},
    {"readable", stream_false, METH_NOARGS, "readable()\n--\n\nFalse."},
    {"isatty", stream_false, METH_NOARGS, "isatty()\n--\n\nFalse."},
    {0},
};

static void
stream_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    type->tp_free(self);
    Py_DECREF(type);
}

PyTypeObject *
errors_type_new(PyObject *module)
{
    PyType_Slot slots[] = {
        {Py_tp_doc, (void *)"A text stream into the error log."},
        {Py_tp_dealloc, stream_dealloc},
        {Py_tp_methods, stream_methods},
        {0, NULL},
    };
    PyType_Spec spec = {
        .name = "saola._core.ErrorsStream",
        .basicsize = sizeof(PyObject),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
        .slots = slots,
    };
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
}

PyObject *
errors_stream_new(PyTypeObject *type)
{
    return (PyObject *)PyObject_New(PyObject, type);
}
