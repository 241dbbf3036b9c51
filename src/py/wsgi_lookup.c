/* SPDX-License-Identifier: MIT */
#include "py/wsgi_lookup.h"

#include "py/py_compat.h"

static const struct span nothing = {NULL, 0};

/* The text of a str, compared without case, as the names in an access log format are. */
static bool
key_matches(PyObject *key, struct span name)
{
    if (!PyUnicode_Check(key) || !py_str_is_latin1(key)) {
        return false;
    }
    return span_eq_nocase(
        span_of((const char *)PyUnicode_1BYTE_DATA(key), (size_t)PyUnicode_GET_LENGTH(key)), name);
}

/* str(value) in UTF-8; valid until the next lookup. */
static struct span
text_of(struct wsgi_call *call, PyObject *value)
{
    PyObject *text = PyObject_Str(value);
    PyObject *bytes = text ? PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace") : NULL;

    Py_XDECREF(text);
    Py_XSETREF(call->lookup_text, bytes);
    if (!bytes) {
        PyErr_Clear();
        return nothing;
    }
    return span_of(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
}

static struct span
lookup_environ(void *context, struct span name)
{
    struct wsgi_call *call = context;
    PyObject *found = NULL;
    PyObject *key;
    PyObject *value;
    Py_ssize_t at = 0;

    while (call->environ && PyDict_Next(call->environ, &at, &key, &value)) {
        if (key_matches(key, name)) {
            found = value;
        }
    }
    if (!found) {
        return nothing;
    }
    Py_INCREF(found);
    struct span text = text_of(call, found);
    Py_DECREF(found);
    return text;
}

/* The last of the fields with that name. */
static struct span
lookup_field(void *context, struct span name)
{
    struct wsgi_call *call = context;
    PyObject *found = NULL;

    for (Py_ssize_t i = 0; call->headers && i < PySequence_Fast_GET_SIZE(call->headers); i++) {
        PyObject *pair = PySequence_Fast_GET_ITEM(call->headers, i);
        if (PyTuple_Check(pair) && PyTuple_GET_SIZE(pair) == 2 &&
            key_matches(PyTuple_GET_ITEM(pair, 0), name)) {
            found = PyTuple_GET_ITEM(pair, 1);
        }
    }
    return found ? text_of(call, found) : nothing;
}

void
wsgi_lookup(struct wsgi_call *call)
{
    const struct response_lookup lookup = {
        .context = call,
        .environ = lookup_environ,
        .field = lookup_field,
    };
    PyObject *raised = py_raised_take();

    response_log(call->request, &lookup);
    if (raised) {
        py_raised_put(raised);
    }
}
