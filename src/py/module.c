/* SPDX-License-Identifier: MIT */
#include "py/module.h"

#include "base/macros.h"
#include "py/py_arbiter.h"
#include "py/py_config.h"
#include "py/py_log.h"
#include "py/py_settings.h"
#include "py/py_stacks.h"
#include "py/py_steer.h"
#include "py/py_worker.h"
#include "py/wsgi.h"

struct module_state *
module_state_get(PyObject *module)
{
    return PyModule_GetState(module);
}

static struct PyModuleDef module_def;

struct module_state *
module_state_find(void)
{
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *module = PyDict_GetItemString(modules, "saola._core");

    if (!module || !PyModule_Check(module) || PyModule_GetDef(module) != &module_def) {
        return NULL;
    }
    return module_state_get(module);
}

/* What the module is made of: each adds its types and functions. */
static int (*const parts[])(PyObject *module) = {
    py_config_add, py_settings_add, py_log_add,    py_wsgi_add,
    py_worker_add, py_arbiter_add,  py_stacks_add, py_steer_add,
};

static int
module_exec(PyObject *module)
{
    access_log_init(&module_state_get(module)->access_log);
    log_route_init(&module_state_get(module)->log_route);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i](module) < 0) {
            return -1;
        }
    }
    return PyModule_AddStringConstant(module, "__version__", SAOLA_VERSION);
}

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct module_state *state = module_state_get(module);
    int rc = log_route_traverse(&state->log_route, visit, arg);
    return rc ? rc : wsgi_types_traverse(&state->wsgi, visit, arg);
}

static int
module_clear(PyObject *module)
{
    log_route_clear(&module_state_get(module)->log_route);
    wsgi_types_clear(&module_state_get(module)->wsgi);
    return 0;
}

static void
module_free(void *module)
{
    struct module_state *state = module_state_get(module);
    module_clear(module);
    log_route_fini(&state->log_route);
    access_log_close(&state->access_log);
    access_log_format_free(state->access_format);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "saola._core",
    .m_doc = "The C core of the Saola application server.",
    .m_size = sizeof(struct module_state),
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC
PyInit__core(void)
{
    return PyModuleDef_Init(&module_def);
}
