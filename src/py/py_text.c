/* SPDX-License-Identifier: MIT */
#include "py/py_text.h"

#include <string.h>

int
py_text_convert(PyObject *text, void *address)
{
    PyObject **bytes = address;
    if (text == NULL) {
        Py_CLEAR(*bytes); /* a later argument was wrong */
        return 1;
    }
    if (text == Py_None) {
        *bytes = NULL;
        return Py_CLEANUP_SUPPORTED;
    }
    if (!PyUnicode_Check(text)) {
        PyErr_Format(PyExc_TypeError, "a str is expected, not %.100s", Py_TYPE(text)->tp_name);
        return 0;
    }
    *bytes = PyUnicode_AsEncodedString(text, "utf-8", "surrogateescape");
    return *bytes ? Py_CLEANUP_SUPPORTED : 0;
}

const char *
py_text_or_null(PyObject *bytes)
{
    return bytes ? PyBytes_AS_STRING(bytes) : NULL;
}

const char *
py_text_or_empty(PyObject *bytes)
{
    return bytes ? PyBytes_AS_STRING(bytes) : "";
}

PyObject *
py_text_new(const char *text)
{
    if (!text) {
        Py_RETURN_NONE;
    }
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "surrogateescape");
}

void
py_text_raise(PyObject *type, const char *text)
{
    PyObject *message = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "backslashreplace");
    if (message) {
        PyErr_SetObject(type, message);
        Py_DECREF(message);
    }
}
