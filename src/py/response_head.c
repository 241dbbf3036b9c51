/* SPDX-License-Identifier: MIT */
#include "py/response_head.h"

#include "base/span.h"
#include "py/py_compat.h"

/* The bytes that a str stands for on the wire. `header` is the name of the field that the text
 * belongs to, for the message; NULL: the status. */
static int
str_text(PyObject *object, PyObject *header, struct span *ret_text)
{
    if (!PyUnicode_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%R is not a string", object);
        return -1;
    }
    if (py_str_is_latin1(object)) {
        *ret_text = span_of((const char *)PyUnicode_1BYTE_DATA(object),
                            (size_t)PyUnicode_GET_LENGTH(object));
        return 0;
    }
    if (PyErr_Occurred()) {
        return -1;
    }
    if (header) {
        PyErr_Format(PyExc_ValueError,
                     "invalid response header %R: %R has characters outside Latin-1", header,
                     object);
    } else {
        PyErr_Format(PyExc_ValueError,
                     "invalid response status %R: it has characters outside Latin-1", object);
    }
    return -1;
}

static int
pair_texts(PyObject *pair, bool bytes_too, struct response_field *ret_field)
{
    PyObject *name = PyTuple_GET_ITEM(pair, 0);
    struct span *texts[] = {&ret_field->name, &ret_field->value};

    for (Py_ssize_t i = 0; i < 2; i++) {
        PyObject *object = PyTuple_GET_ITEM(pair, i);
        if (bytes_too && PyBytes_Check(object)) {
            *texts[i] = span_of(PyBytes_AS_STRING(object), (size_t)PyBytes_GET_SIZE(object));
        } else if (str_text(object, name, texts[i]) < 0) {
            return -1;
        }
    }
    ret_field->value = span_trim(ret_field->value);
    return 0;
}

int
status_text(PyObject *status, struct span *ret_text)
{
    return str_text(status, NULL, ret_text);
}

static PyObject *
pair_from(PyObject *item)
{
    PyObject *pair = PySequence_Tuple(item);

    if (!pair) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError, "a header is a pair of name and value, not %R", item);
        }
        return NULL;
    }
    if (PyTuple_GET_SIZE(pair) != 2) {
        PyErr_Format(PyExc_ValueError, "a header is a pair of name and value, not %R", item);
        Py_CLEAR(pair);
    }
    return pair;
}

/* A list whose items are tuples of two, whatever iterables they were. */
static PyObject *
pairs_from(PyObject *headers)
{
    PyObject *pairs = PySequence_List(headers);

    for (Py_ssize_t i = 0; pairs && i < PyList_GET_SIZE(pairs); i++) {
        PyObject *pair = pair_from(PyList_GET_ITEM(pairs, i));
        if (!pair || PyList_SetItem(pairs, i, pair) < 0) {
            Py_CLEAR(pairs);
        }
    }
    return pairs;
}

static bool
all_are_pairs(PyObject *headers)
{
    if (!PyList_CheckExact(headers) && !PyTuple_CheckExact(headers)) {
        return false;
    }
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(headers); i++) {
        PyObject *item = PySequence_Fast_GET_ITEM(headers, i);
        if (!PyTuple_CheckExact(item) || PyTuple_GET_SIZE(item) != 2) {
            return false;
        }
    }
    return true;
}

int
header_list_init(struct header_list *list, PyObject *headers, bool bytes_too)
{
    list->fields = list->inline_fields;
    list->n = 0;
    list->items = all_are_pairs(headers) ? Py_NewRef(headers) : pairs_from(headers);
    if (!list->items) {
        return -1;
    }
    size_t n = (size_t)PySequence_Fast_GET_SIZE(list->items);
    if (n > HEADER_LIST_INLINE) {
        list->fields = PyMem_New(struct response_field, n);
        if (!list->fields) {
            PyErr_NoMemory();
            return -1;
        }
    }
    for (size_t i = 0; i < n; i++) {
        PyObject *pair = PySequence_Fast_GET_ITEM(list->items, (Py_ssize_t)i);
        if (pair_texts(pair, bytes_too, &list->fields[i]) < 0) {
            return -1;
        }
    }
    list->n = n;
    return 0;
}

void
header_list_fini(struct header_list *list)
{
    if (list->fields != list->inline_fields) {
        PyMem_Free(list->fields);
    }
    Py_CLEAR(list->items);
}

void
response_fault_raise(enum response_fault fault, PyObject *status, const struct header_list *list,
                     size_t index)
{
    if (fault == RESPONSE_BAD_STATUS) {
        PyErr_Format(PyExc_ValueError,
                     "invalid response status %R: three digits, a space and a reason are expected",
                     status);
        return;
    }
    PyObject *pair = PySequence_Fast_GET_ITEM(list->items, (Py_ssize_t)index);
    PyObject *name = PyTuple_GET_ITEM(pair, 0);
    PyObject *value = PyTuple_GET_ITEM(pair, 1);
    switch (fault) {
    case RESPONSE_BAD_NAME:
        PyErr_Format(PyExc_ValueError, "invalid response header name %R: it is not a token", name);
        break;
    case RESPONSE_BAD_VALUE:
        PyErr_Format(PyExc_ValueError,
                     "invalid value of response header %R: control characters in %R", name, value);
        break;
    case RESPONSE_BAD_LENGTH:
        PyErr_Format(PyExc_ValueError, "invalid response header %R: %R is no length", name, value);
        break;
    default:
        PyErr_Format(PyExc_SystemError, "unknown fault of the response: %d", (int)fault);
    }
}
