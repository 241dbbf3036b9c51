/* SPDX-License-Identifier: MIT */
#include "py/py_config_value.h"

#include "base/macros.h"
#include "config/setting.h"
#include "py/py_text.h"

/* --- values on their way in --- */

void
config_incoming_fini(struct config_incoming *in)
{
    Py_CLEAR(in->keep);
    PyMem_Free((void *)in->items);
    PyMem_Free(in->pairs);
}

/* The bytes of a str, valid as long as `in`. */
static const char *
incoming_bytes(struct config_incoming *in, PyObject *string)
{
    char *bytes = NULL;
    PyObject *encoded = PyUnicode_AsEncodedString(string, "utf-8", "surrogateescape");

    if (encoded == NULL) {
        return NULL;
    }
    if (PyBytes_AsStringAndSize(encoded, &bytes, NULL) < 0 ||
        PyList_Append(in->keep, encoded) < 0) {
        bytes = NULL;
    }
    Py_DECREF(encoded);
    return bytes;
}

/* str() of the value, or for one that is to be carried its name as --print-config shows it. */
static const char *
incoming_text(struct config_incoming *in, PyObject *value, bool carried)
{
    const char *text = NULL;
    PyObject *string = NULL;
    PyObject *name = carried ? PyObject_GetAttrString(value, "__qualname__") : NULL;

    if (carried && name == NULL) {
        PyErr_Clear();
    }
    string = name != NULL ? PyUnicode_FromFormat("<%S()>", name) : PyObject_Str(value);
    if (string != NULL) {
        text = incoming_bytes(in, string);
    }
    Py_XDECREF(string);
    Py_XDECREF(name);
    return text;
}

static int
fill_list(struct config_incoming *in, PyObject *value)
{
    PyObject *sequence = PySequence_Fast(value, "not iterable");
    Py_ssize_t count = sequence != NULL ? PySequence_Fast_GET_SIZE(sequence) : 0;
    int rc = -1;

    in->items = PyMem_Calloc((size_t)count + 1, sizeof(in->items[0]));
    if (sequence == NULL || in->items == NULL || PyList_Append(in->keep, sequence) < 0) {
        goto out;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PySequence_Fast_GET_ITEM(sequence, i);
        if (!PyUnicode_Check(item)) {
            PyErr_Format(PyExc_TypeError, "Not a string: %S", item);
            goto out;
        }
        in->items[i] = incoming_bytes(in, item);
        if (in->items[i] == NULL) {
            goto out;
        }
    }
    in->value.kind = CONFIG_VALUE_LIST;
    in->value.items = in->items;
    in->value.count = (size_t)count;
    rc = 0;
out:
    Py_XDECREF(sequence);
    return rc;
}

static int
fill_dict(struct config_incoming *in, PyObject *dict, enum setting_type type)
{
    Py_ssize_t position = 0;
    size_t count = 0;
    PyObject *name = NULL;
    PyObject *value = NULL;

    in->value.kind = CONFIG_VALUE_DICT;
    in->value.object = type == SETTING_TYPE_ANY ? dict : NULL;
    in->value.count = (size_t)PyDict_Size(dict);
    in->value.text = incoming_text(in, dict, false);
    in->pairs = PyMem_Calloc(in->value.count + 1, sizeof(in->pairs[0]));
    if (in->pairs == NULL || in->value.text == NULL) {
        return -1;
    }
    while (PyDict_Next(dict, &position, &name, &value)) {
        if (!PyUnicode_Check(name) || !PyUnicode_Check(value)) {
            return 0;
        }
        in->pairs[count].name = incoming_bytes(in, name);
        in->pairs[count].value = incoming_bytes(in, value);
        if (in->pairs[count].name == NULL || in->pairs[count].value == NULL) {
            return -1;
        }
        count++;
    }
    in->value.pairs = in->pairs;
    return 0;
}

static int
fill_object(struct config_incoming *in, PyObject *value, enum setting_type type)
{
    bool carried = (type == SETTING_TYPE_HOOK && PyCallable_Check(value)) ||
                   (type == SETTING_TYPE_CLASS && PyType_Check(value));

    if (type == SETTING_TYPE_HOOK && !carried) {
        PyErr_Format(PyExc_TypeError, "Value is not callable: %S", value);
        return -1;
    }
    in->value.kind = CONFIG_VALUE_OBJECT;
    in->value.object = carried ? value : NULL;
    in->value.text = incoming_text(in, value, carried);
    return in->value.text != NULL ? 0 : -1;
}

static int
fill_int(struct config_incoming *in, PyObject *value, enum setting_type type)
{
    int overflow = 0;

    in->value.kind = CONFIG_VALUE_INT;
    in->value.integer = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow != 0 && type == SETTING_TYPE_INT) {
        PyErr_Format(PyExc_ValueError, "Value is too large: %S", value);
        return -1;
    }
    return overflow != 0 ? fill_object(in, value, type) : PyErr_Occurred() ? -1 : 0;
}

/* A list has to be given as one only where the command line collects it too; the other lists are
 * written with commas. */
static int
value_fill(struct config_incoming *in, PyObject *value, const struct setting *setting)
{
    enum setting_type type = setting->type;

    if (type == SETTING_TYPE_HOOK) {
        return fill_object(in, value, type);
    }
    if (value == Py_None) {
        in->value.kind = CONFIG_VALUE_NONE;
        return 0;
    }
    if (PyBool_Check(value)) {
        in->value.kind = CONFIG_VALUE_BOOL;
        in->value.boolean = value == Py_True;
        return 0;
    }
    if (PyLong_Check(value)) {
        return fill_int(in, value, type);
    }
    if (PyUnicode_Check(value)) {
        in->value.kind = CONFIG_VALUE_STR;
        in->value.string = incoming_bytes(in, value);
        return in->value.string != NULL ? 0 : -1;
    }
    if (setting->cli == SETTING_CLI_APPEND && Py_TYPE(value)->tp_iter != NULL) {
        return fill_list(in, value);
    }
    if (PyDict_Check(value)) {
        return fill_dict(in, value, type);
    }
    return fill_object(in, value, type);
}

int
config_incoming_init(struct config_incoming *in, PyObject *value, enum setting_id id)
{
    *in = (struct config_incoming){.keep = PyList_New(0)};
    return in->keep != NULL ? value_fill(in, value, setting_get(id)) : -1;
}

/* --- values on their way out --- */

static PyObject *
list_new(const struct config_list *list)
{
    PyObject *result = PyList_New((Py_ssize_t)list->count);

    for (size_t i = 0; result != NULL && i < list->count; i++) {
        PyObject *item = py_text_new(list->items[i]);
        if (item == NULL) {
            Py_CLEAR(result);
        } else {
            PyList_SET_ITEM(result, (Py_ssize_t)i, item);
        }
    }
    return result;
}

static PyObject *
dict_new(const struct config_pair *pairs, size_t count)
{
    PyObject *result = PyDict_New();

    for (size_t i = 0; result != NULL && i < count; i++) {
        PyObject *name = py_text_new(pairs[i].name);
        PyObject *value = py_text_new(pairs[i].value);
        if (name == NULL || value == NULL || PyDict_SetItem(result, name, value) < 0) {
            Py_CLEAR(result);
        }
        Py_XDECREF(value);
        Py_XDECREF(name);
    }
    return result;
}

PyObject *
config_initial_new(const struct config_value *value)
{
    switch (value->kind) {
    case CONFIG_VALUE_BOOL:
        return PyBool_FromLong(value->boolean);
    case CONFIG_VALUE_INT:
        return PyLong_FromLongLong(value->integer);
    case CONFIG_VALUE_STR:
        return py_text_new(value->string);
    case CONFIG_VALUE_LIST: {
        struct config_list list = {.items = (char **)value->items, .count = value->count};
        return list_new(&list);
    }
    case CONFIG_VALUE_DICT:
        return dict_new(value->pairs, value->count);
    case CONFIG_VALUE_NONE:
    case CONFIG_VALUE_OBJECT:
        break;
    }
    Py_RETURN_NONE;
}

PyObject *
config_field_new(const struct config *cfg, enum setting_id id)
{
    const struct setting *setting = setting_get(id);
    const void *field = (const char *)cfg + setting->offset;

    if (cfg->origin[id].none) {
        Py_RETURN_NONE;
    }
    switch (setting->type) {
    case SETTING_TYPE_INT:
        return PyLong_FromLongLong(*(const int64_t *)field);
    case SETTING_TYPE_BOOL:
        return PyBool_FromLong(*(const bool *)field);
    case SETTING_TYPE_STRING:
        return py_text_new(*(char *const *)field);
    case SETTING_TYPE_LIST:
        return list_new(field);
    case SETTING_TYPE_DICT: {
        const struct config_dict *dict = field;
        return dict_new(dict->items, dict->count);
    }
    case SETTING_TYPE_CLASS:
        return py_text_new(((const struct config_class *)field)->uri);
    case SETTING_TYPE_ANY:
        return PyDict_New();
    case SETTING_TYPE_HOOK:
        break;
    }
    Py_RETURN_NONE;
}
