/* SPDX-License-Identifier: MIT */
/*
 * Where CPython 3.10 to 3.13 differ: one name for each, and the only file that asks for a version.
 * All functions need the GIL.
 */
#ifndef SAOLA_PY_PY_COMPAT_H
#define SAOLA_PY_PY_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>

#if PY_VERSION_HEX < 0x030C0000
#include <structmember.h>
#define PY_MEMBER_SSIZE T_PYSSIZET
#define PY_MEMBER_OBJECT T_OBJECT
#define PY_MEMBER_OBJECT_OR_ATTRIBUTE_ERROR T_OBJECT_EX
#define PY_MEMBER_READONLY READONLY
#else
#define PY_MEMBER_SSIZE Py_T_PYSSIZET
#define PY_MEMBER_OBJECT _Py_T_OBJECT
#define PY_MEMBER_OBJECT_OR_ATTRIBUTE_ERROR Py_T_OBJECT_EX
#define PY_MEMBER_READONLY Py_READONLY
#endif

/* Takes the raised exception: a new reference with its traceback attached, or NULL if there is
 * none. */
static inline PyObject *
py_raised_take(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type;
    PyObject *value;
    PyObject *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    if (!type) {
        return NULL;
    }
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback) {
        PyException_SetTraceback(value, traceback);
    }
    Py_XDECREF(traceback);
    Py_DECREF(type);
    return value;
#endif
}

/* Raises `exception` again; takes the reference. */
static inline void
py_raised_put(PyObject *exception)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(exception);
#else
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(exception)), exception,
                  PyException_GetTraceback(exception));
#endif
}

/* A str whose characters are all below 256: its bytes are Latin-1 text. False for a wider one, and
 * with MemoryError raised for a legacy string that cannot be brought into its final form. */
static inline bool
py_str_is_latin1(PyObject *str)
{
#if PY_VERSION_HEX < 0x030C0000
    if (PyUnicode_READY(str) < 0) {
        return false;
    }
#endif
    return PyUnicode_KIND(str) == PyUnicode_1BYTE_KIND;
}

/* The value of `key` in a dict: 1 and a new reference, 0 and NULL if there is none, -1 with an
 * exception. */
static inline int
py_dict_get(PyObject *dict, PyObject *key, PyObject **ret_value)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyDict_GetItemRef(dict, key, ret_value);
#else
    *ret_value = Py_XNewRef(PyDict_GetItemWithError(dict, key));
    return *ret_value ? 1 : PyErr_Occurred() ? -1 : 0;
#endif
}

/* An attribute that may be missing: as py_dict_get(). */
static inline int
py_attr_get(PyObject *object, PyObject *name, PyObject **ret_value)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyObject_GetOptionalAttr(object, name, ret_value);
#else
    *ret_value = PyObject_GetAttr(object, name);
    if (*ret_value) {
        return 1;
    }
    if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return -1;
    }
    PyErr_Clear();
    return 0;
#endif
}

#endif
