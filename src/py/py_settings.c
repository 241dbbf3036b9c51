/* SPDX-License-Identifier: MIT */
#include "py/py_settings.h"

#include "base/macros.h"
#include "config/setting.h"
#include "py/py_config_value.h"

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
    static const char *const statuses[] = {
        [SETTING_STATUS_SUPPORTED] = "supported",
        [SETTING_STATUS_DORMANT] = "dormant",
        [SETTING_STATUS_LATER] = "later",
    };

    return Py_BuildValue("{ss ss ss ss sN sz sN sz sz si sN ss sN ss}", "name", setting->name,
                         "type", types[setting->type], "section", setting->section, "cli",
                         clis[setting->cli], "flags", words_new(setting->flags), "metavar",
                         setting->metavar, "default", config_initial_new(&setting->initial),
                         "default_from", setting->initial_from, "hook_class", setting->hook_class,
                         "hook_arity", setting->hook_arity, "reloadable",
                         PyBool_FromLong(setting->reloadable), "status", statuses[setting->status],
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
py_settings_add(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
