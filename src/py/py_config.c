/* SPDX-License-Identifier: MIT */
/*
 * A value goes in as it comes from a configuration file or from argparse: value_fill() describes it
 * as a struct config_value that borrows from it, config_set() checks and copies it. Hooks and
 * classes stay Python objects: held[] owns them, the struct carries their addresses.
 */
#include "py/py_config.h"

#include "config/config.h"
#include "config/setting.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct config_object {
    PyObject_HEAD
    struct config *cfg;             /* owned */
    PyObject *held[SETTINGS_COUNT]; /* owned; NULL but for the objects that cfg carries */
};

static const char *const source_names[] = {
    [CONFIG_DEFAULT] = "default",           [CONFIG_ENVIRONMENT] = "environment",
    [CONFIG_FRAMEWORK] = "framework",       [CONFIG_FILE] = "file",
    [CONFIG_CMD_ARGS_ENV] = "cmd_args_env", [CONFIG_COMMAND_LINE] = "command_line",
};

static PyObject *
string_new(const char *string)
{
    if (string == NULL) {
        Py_RETURN_NONE;
    }
    return PyUnicode_DecodeUTF8(string, (Py_ssize_t)strlen(string), "surrogateescape");
}

/* --- errors ------------------------------------------------------------------------------- */

/* Raises what `error` of config_set() stands for; takes `text`. */
static void
raise_error(int error, char *text)
{
    PyObject *errors = NULL;
    PyObject *type = NULL;
    PyObject *message = string_new(text);

    free(text);
    if (error == -EINVAL || error == -EPROTOTYPE) {
        type = Py_NewRef(error == -EINVAL ? PyExc_ValueError : PyExc_TypeError);
    } else {
        errors = PyImport_ImportModule("saola.errors");
        type = errors != NULL ? PyObject_GetAttrString(errors, "ConfigError") : NULL;
    }
    if (message != NULL && type != NULL) {
        PyErr_SetObject(type, message);
    }
    Py_XDECREF(type);
    Py_XDECREF(errors);
    Py_XDECREF(message);
}

/* The setting of that name, or -1 and AttributeError. */
static int
find_setting(PyObject *name)
{
    const char *utf8 = PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    int id = utf8 != NULL ? config_lookup(utf8) : -ENOENT;

    if (id >= 0) {
        return id;
    }
    PyErr_Clear();
    PyErr_Format(PyExc_AttributeError, "No configuration setting for: %S", name);
    return -1;
}

/* --- values on their way in --------------------------------------------------------------- */

/* A config_value with what it borrows from. */
struct incoming {
    struct config_value value;
    PyObject *keep; /* owned list of the objects that hold the bytes */
    const char **items;
    struct config_pair *pairs;
};

static int
incoming_init(struct incoming *in)
{
    *in = (struct incoming){.keep = PyList_New(0)};
    return in->keep != NULL ? 0 : -1;
}

static void
incoming_fini(struct incoming *in)
{
    Py_CLEAR(in->keep);
    PyMem_Free((void *)in->items);
    PyMem_Free(in->pairs);
}

/* The bytes of a str, valid as long as `in`. */
static const char *
incoming_bytes(struct incoming *in, PyObject *string)
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
incoming_text(struct incoming *in, PyObject *value, bool carried)
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
fill_list(struct incoming *in, PyObject *value)
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
fill_dict(struct incoming *in, PyObject *dict, enum setting_type type)
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
fill_object(struct incoming *in, PyObject *value, enum setting_type type)
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
fill_int(struct incoming *in, PyObject *value, enum setting_type type)
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

/* Describes `value` for the setting. A list has to be given as one only where the command line
 * collects it too; the other lists are written with commas. */
static int
value_fill(struct incoming *in, PyObject *value, const struct setting *setting)
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

/* --- values on their way out -------------------------------------------------------------- */

static PyObject *
list_new(const struct config_list *list)
{
    PyObject *result = PyList_New((Py_ssize_t)list->count);

    for (size_t i = 0; result != NULL && i < list->count; i++) {
        PyObject *item = string_new(list->items[i]);
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
        PyObject *value = string_new(pairs[i].value);
        if (value == NULL || PyDict_SetItemString(result, pairs[i].name, value) < 0) {
            Py_CLEAR(result);
        }
        Py_XDECREF(value);
    }
    return result;
}

/* A default of the table. */
static PyObject *
initial_new(const struct config_value *value)
{
    switch (value->kind) {
    case CONFIG_VALUE_BOOL:
        return PyBool_FromLong(value->boolean);
    case CONFIG_VALUE_INT:
        return PyLong_FromLongLong(value->integer);
    case CONFIG_VALUE_STR:
        return string_new(value->string);
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

static PyObject *
field_new(const struct config_object *self, enum setting_id id)
{
    const struct setting *setting = setting_get(id);
    const void *field = (const char *)self->cfg + setting->offset;

    if (self->held[id] != NULL) {
        return Py_NewRef(self->held[id]);
    }
    if (self->cfg->origin[id].none) {
        Py_RETURN_NONE;
    }
    switch (setting->type) {
    case SETTING_TYPE_INT:
        return PyLong_FromLongLong(*(const int64_t *)field);
    case SETTING_TYPE_BOOL:
        return PyBool_FromLong(*(const bool *)field);
    case SETTING_TYPE_STRING:
        return string_new(*(char *const *)field);
    case SETTING_TYPE_LIST:
        return list_new(field);
    case SETTING_TYPE_DICT: {
        const struct config_dict *dict = field;
        return dict_new(dict->items, dict->count);
    }
    case SETTING_TYPE_CLASS:
        return string_new(((const struct config_class *)field)->uri);
    case SETTING_TYPE_ANY:
        return PyDict_New();
    case SETTING_TYPE_HOOK:
        break;
    }
    Py_RETURN_NONE;
}

/* --- the type ----------------------------------------------------------------------------- */

static PyObject *
config_object_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    struct config_object *self = (struct config_object *)type->tp_alloc(type, 0);

    if (self != NULL) {
        self->cfg = config_new();
    }
    return (PyObject *)self;
}

static int
config_object_traverse(PyObject *object, visitproc visit, void *arg)
{
    struct config_object *self = (struct config_object *)object;

    Py_VISIT(Py_TYPE(object));
    for (int id = 0; id < SETTINGS_COUNT; id++) {
        Py_VISIT(self->held[id]);
    }
    return 0;
}

/* The struct must not carry the address of an object that is gone. */
static int
config_object_clear(PyObject *object)
{
    struct config_object *self = (struct config_object *)object;

    for (int id = 0; id < SETTINGS_COUNT; id++) {
        if (self->held[id] == NULL) {
            continue;
        }
        const struct setting *setting = setting_get(id);
        void *field = (char *)self->cfg + setting->offset;
        if (setting->type == SETTING_TYPE_CLASS) {
            ((struct config_class *)field)->object = NULL;
        } else {
            *(void **)field = NULL;
        }
        Py_CLEAR(self->held[id]);
    }
    return 0;
}

static void
config_object_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    struct config_object *self = (struct config_object *)object;

    PyObject_GC_UnTrack(object);
    config_object_clear(object);
    config_free(self->cfg);
    type->tp_free(object);
    Py_DECREF(type);
}

struct config *
py_config_get(PyObject *object)
{
    for (PyTypeObject *type = Py_TYPE(object); type != NULL; type = type->tp_base) {
        if (type->tp_dealloc == config_object_dealloc) {
            return ((struct config_object *)object)->cfg;
        }
    }
    PyErr_Format(PyExc_TypeError, "not a Config: %R", object);
    return NULL;
}

static PyObject *
config_object_get(PyObject *object, PyObject *name)
{
    int id = find_setting(name);

    return id >= 0 ? field_new((struct config_object *)object, id) : NULL;
}

static int
find_source(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(source_names); i++) {
        if (strcmp(name, source_names[i]) == 0) {
            return (int)i;
        }
    }
    PyErr_Format(PyExc_ValueError, "no such source of settings: %s", name);
    return -1;
}

static int
store(struct config_object *self, enum setting_id id, PyObject *value, struct config_origin origin)
{
    struct incoming in;
    char *error = NULL;
    int rc = incoming_init(&in);

    if (rc == 0) {
        rc = value_fill(&in, value, setting_get(id));
    }
    if (rc == 0) {
        rc = config_set(self->cfg, id, &in.value, origin, &error);
        if (rc < 0) {
            raise_error(rc, error);
        } else {
            Py_XSETREF(self->held[id], Py_XNewRef((PyObject *)in.value.object));
        }
    }
    incoming_fini(&in);
    return rc;
}

static PyObject *
config_object_store(PyObject *object, PyObject *args)
{
    PyObject *name = NULL;
    PyObject *value = NULL;
    const char *source_name = NULL;
    struct config_origin origin = {0};

    if (!PyArg_ParseTuple(args, "OOsz:store", &name, &value, &source_name, &origin.where)) {
        return NULL;
    }
    int id = find_setting(name);
    int source = id >= 0 ? find_source(source_name) : -1;
    if (source < 0) {
        return NULL;
    }
    origin.source = (enum config_source)source;
    if (store((struct config_object *)object, id, value, origin) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
config_object_read_environment(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    char *error = NULL;
    int rc = config_set_environment(((struct config_object *)object)->cfg, &error);

    if (rc < 0) {
        raise_error(rc, error);
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
config_object_render(PyObject *object, PyObject *name)
{
    int id = find_setting(name);

    if (id < 0) {
        return NULL;
    }
    char *text = config_render(((struct config_object *)object)->cfg, id);
    PyObject *result = string_new(text);
    free(text);
    return result;
}

static PyObject *
config_object_origin(PyObject *object, PyObject *name)
{
    int id = find_setting(name);

    if (id < 0) {
        return NULL;
    }
    const struct config *cfg = ((struct config_object *)object)->cfg;
    return Py_BuildValue("(sz)", source_names[cfg->origin[id].source], cfg->origin[id].where);
}

static PyMethodDef config_object_methods[] = {
    {"get", config_object_get, METH_O, "The value of a setting; None for a hook that is not set."},
    {"store", config_object_store, METH_VARARGS, "Checks and stores: name, value, source, where."},
    {"read_environment", config_object_read_environment, METH_NOARGS,
     "Takes over the settings that the environment names."},
    {"render", config_object_render, METH_O, "The value of a setting as --print-config shows it."},
    {"origin", config_object_origin, METH_O, "Where the value came from: source, and what there."},
    {NULL},
};

static PyType_Slot config_object_slots[] = {
    {Py_tp_doc, (void *)"The settings of a server."},
    {Py_tp_new, config_object_new},
    {Py_tp_traverse, config_object_traverse},
    {Py_tp_clear, config_object_clear},
    {Py_tp_dealloc, config_object_dealloc},
    {Py_tp_methods, config_object_methods},
    {0, NULL},
};

static PyType_Spec config_object_spec = {
    .name = "saola._core.Config",
    .basicsize = sizeof(struct config_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = config_object_slots,
};

/* --- the table ---------------------------------------------------------------------------- */

/* A tuple of what `string` has between its spaces. */
static PyObject *
words_new(const char *string)
{
    PyObject *whole = PyUnicode_FromString(string != NULL ? string : "");
    PyObject *words = whole != NULL ? PyUnicode_Split(whole, NULL, -1) : NULL;
    PyObject *result = words != NULL ? PyList_AsTuple(words) : NULL;

    Py_XDECREF(words);
    Py_XDECREF(whole);
    return result;
}

static PyObject *
setting_new(const struct setting *setting)
{
    static const char *const types[] = {
        [SETTING_TYPE_INT] = "int",     [SETTING_TYPE_BOOL] = "bool", [SETTING_TYPE_STRING] = "str",
        [SETTING_TYPE_LIST] = "list",   [SETTING_TYPE_DICT] = "dict", [SETTING_TYPE_HOOK] = "hook",
        [SETTING_TYPE_CLASS] = "class", [SETTING_TYPE_ANY] = "any",
    };
    static const char *const clis[] = {
        [SETTING_CLI_NONE] = "none",
        [SETTING_CLI_VALUE] = "value",
        [SETTING_CLI_INTEGER] = "integer",
        [SETTING_CLI_AUTO_INTEGER] = "auto_integer",
        [SETTING_CLI_APPEND] = "append",
        [SETTING_CLI_SWITCH_ON] = "switch_on",
        [SETTING_CLI_SWITCH_OFF] = "switch_off",
        [SETTING_CLI_OPTIONAL] = "optional",
    };

    return Py_BuildValue(
        "{ss ss ss ss sN sz sN sz sz si sN sN sN ss}", "name", setting->name, "type",
        types[setting->type], "section", setting->section, "cli", clis[setting->cli], "flags",
        words_new(setting->flags), "metavar", setting->metavar, "default",
        initial_new(&setting->initial), "default_from", setting->initial_from, "hook_class",
        setting->hook_class, "hook_arity", setting->hook_arity, "reloadable",
        PyBool_FromLong(setting->reloadable), "supported", PyBool_FromLong(setting->supported),
        "own", PyBool_FromLong(setting->own), "help", setting->help);
}

static PyObject *
settings_table(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    PyObject *result = PyList_New(SETTINGS_COUNT);

    for (int id = 0; result != NULL && id < SETTINGS_COUNT; id++) {
        PyObject *entry = setting_new(setting_get(id));
        if (entry == NULL) {
            Py_CLEAR(result);
        } else {
            PyList_SET_ITEM(result, id, entry);
        }
    }
    return result;
}

static PyMethodDef functions[] = {
    {"settings_table", settings_table, METH_NOARGS,
     "The settings table, a dictionary per setting."},
    {NULL},
};

int
py_config_add(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &config_object_spec, NULL);

    if (type == NULL) {
        return -1;
    }
    int rc = PyModule_AddObjectRef(module, "Config", type);
    Py_DECREF(type);
    return rc == 0 ? PyModule_AddFunctions(module, functions) : -1;
}
