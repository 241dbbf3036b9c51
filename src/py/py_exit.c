/* SPDX-License-Identifier: MIT */
#include "py/py_exit.h"

#include "py/py_compat.h"
#include "py/py_log.h"

static int
system_exit_code(PyObject *exception)
{
    PyObject *code = PyObject_GetAttrString(exception, "code");
    int result = 1;

    if (code == Py_None) {
        result = 0;
    } else if (code && PyLong_Check(code)) {
        result = (int)(PyLong_AsLong(code) & 0xff);
    } else if (code) {
        PySys_FormatStderr("%S\n", code);
    }
    Py_XDECREF(code);
    PyErr_Clear();
    return result;
}

int
py_exit_code(const char *text, int code)
{
    if (PyErr_ExceptionMatches(PyExc_SystemExit)) {
        PyObject *exception = py_raised_take();
        code = system_exit_code(exception);
        Py_XDECREF(exception);
        return code;
    }
    py_log_exception(text);
    return code;
}
