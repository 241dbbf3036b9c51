/* SPDX-License-Identifier: MIT */
/*
 * config_set() checks and copies the values; hooks and classes stay Python objects: held[] owns
 * them, the struct carries their addresses.
 */
#include "py/py_config.h"

#include "config/config.h"
#include "config/setting.h"
#include "py/py_config_value.h"
#include "py/py_object.h"
#include "py/py_text.h"

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

/* --- errors --- */

/* Raises what `error` of config_set() stands for; takes `text`. */
static void
raise_error(int error, char *text)
{
    PyObject *type = NULL;
    PyObject *message = py_text_new(text);

    free(text);
    if (error == -EINVAL || error == -EPROTOTYPE) {
        type = Py_NewRef(error == -EINVAL ? PyExc_ValueError : PyExc_TypeError);
    } else {
        type = py_attribute_from("saola.errors", "ConfigError");
    }
    if (message != NULL && type != NULL) {
        PyErr_SetObject(type, message);
    }
    Py_XDECREF(type);
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

/* --- the type --- */

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
    const struct config_object *self = (struct config_object *)object;
    int id = find_setting(name);

    if (id < 0) {
        return NULL;
    }
    return self->held[id] != NULL ? Py_NewRef(self->held[id]) : config_field_new(self->cfg, id);
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
    struct config_incoming in;
    char *error = NULL;
    int rc = config_incoming_init(&in, value, id);

    if (rc == 0) {
        rc = config_set(self->cfg, id, &in.value, origin, &error);
        if (rc < 0) {
            raise_error(rc, error);
        } else {
            Py_XSETREF(self->held[id], Py_XNewRef((PyObject *)in.value.object));
        }
    }
    config_incoming_fini(&in);
    return rc;
}

static PyObject *
config_object_store(PyObject *object, PyObject *args)
{
    PyObject *name = NULL;
    PyObject *value = NULL;
    const char *source_name = NULL;
    PyObject *where = NULL;

    if (!PyArg_ParseTuple(args, "OOsO&:store", &name, &value, &source_name, py_text_convert,
                          &where)) {
        return NULL;
    }
    int id = find_setting(name);
    int source = id >= 0 ? find_source(source_name) : -1;
    int rc = -1;
    if (source >= 0) {
        struct config_origin origin = {.source = (enum config_source)source,
                                       .where = py_text_or_null(where)};
        rc = store((struct config_object *)object, id, value, origin);
    }
    Py_XDECREF(where);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
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

/* The text that `text_of` has about a setting; None if it has none. */
static PyObject *
describe(PyObject *object, PyObject *name,
         char *(*text_of)(const struct config *cfg, enum setting_id id))
{
    int id = find_setting(name);

    if (id < 0) {
        return NULL;
    }
    char *text = text_of(((struct config_object *)object)->cfg, id);
    PyObject *result = py_text_new(text);
    free(text);
    return result;
}

static PyObject *
config_object_render(PyObject *object, PyObject *name)
{
    return describe(object, name, config_render);
}

static PyObject *
config_object_describe_origin(PyObject *object, PyObject *name)
{
    return describe(object, name, config_describe_origin);
}

static PyObject *
config_object_unsupported(PyObject *object, PyObject *name)
{
    return describe(object, name, config_unsupported);
}

static PyObject *
config_object_origin(PyObject *object, PyObject *name)
{
    int id = find_setting(name);

    if (id < 0) {
        return NULL;
    }
    const struct config *cfg = ((struct config_object *)object)->cfg;
    return Py_BuildValue("(sN)", source_names[cfg->origin[id].source],
                         py_text_new(cfg->origin[id].where));
}

static PyMethodDef config_object_methods[] = {
    {"get", config_object_get, METH_O, "The value of a setting; None for a hook that is not set."},
    {"store", config_object_store, METH_VARARGS, "Checks and stores: name, value, source, where."},
    {"read_environment", config_object_read_environment, METH_NOARGS,
     "Takes over the settings that the environment names."},
    {"render", config_object_render, METH_O, "The value of a setting as --print-config shows it."},
    {"origin", config_object_origin, METH_O, "Where the value came from: source, and what there."},
    {"describe_origin", config_object_describe_origin, METH_O, "The same in words."},
    {"unsupported", config_object_unsupported, METH_O,
     "What to say if the value switches on what is not there yet; None if it does not."},
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

int
py_config_add(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &config_object_spec, NULL);

    if (type == NULL) {
        return -1;
    }
    int rc = PyModule_AddObjectRef(module, "Config", type);
    Py_DECREF(type);
    return rc;
}
