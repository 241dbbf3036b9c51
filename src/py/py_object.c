/* SPDX-License-Identifier: MIT */
#include "py/py_object.h"

#include <errno.h>

PyObject *
py_attribute_from(const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *attribute = module ? PyObject_GetAttrString(module, name) : NULL;

    Py_XDECREF(module);
    return attribute;
}

int
py_done(PyObject *result)
{
    Py_XDECREF(result);
    return result ? 0 : -ECANCELED;
}

int
py_method_call(PyObject *object, const char *name)
{
    return py_done(PyObject_CallMethod(object, name, NULL));
}

int
py_set_number(PyObject *object, const char *name, long long value)
{
    PyObject *number = PyLong_FromLongLong(value);
    int rc = number ? PyObject_SetAttrString(object, name, number) : -1;
    Py_XDECREF(number);
    return rc < 0 ? -ECANCELED : 0;
}
