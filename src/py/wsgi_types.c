/* SPDX-License-Identifier: MIT */
#include "py/wsgi_types.h"

#include "py/client_socket.h"
#include "py/errors_stream.h"
#include "py/file_wrapper.h"
#include "py/input.h"
#include "py/module.h"
#include "py/request_timeout.h"
#include "py/start_response.h"
#include "py/wsgi.h"

int
py_wsgi_add(PyObject *module)
{
    struct wsgi_types *types = &module_state_get(module)->wsgi;
    PyTypeObject **handles = types->handles;

    if (!(handles[WSGI_INPUT] = input_type_new(module)) ||
        !(handles[WSGI_START_RESPONSE] = start_response_type_new(module)) ||
        !(handles[WSGI_WRITE] = write_type_new(module)) ||
        !(handles[WSGI_EARLY_HINTS] = early_hints_type_new(module)) ||
        !(handles[WSGI_SOCKET] = client_socket_type_new(module)) ||
        !(handles[WSGI_EXTEND_DEADLINE] = extend_deadline_type_new(module)) ||
        !(types->file_wrapper = file_wrapper_type_new(module)) ||
        !(types->errors = errors_type_new(module))) {
        return -1;
    }
    return PyModule_AddType(module, types->file_wrapper);
}

int
wsgi_types_traverse(struct wsgi_types *types, visitproc visit, void *arg)
{
    for (int kind = 0; kind < WSGI_HANDLE_KINDS; kind++) {
        Py_VISIT(types->handles[kind]);
    }
    Py_VISIT(types->file_wrapper);
    Py_VISIT(types->errors);
    return 0;
}

void
wsgi_types_clear(struct wsgi_types *types)
{
    for (int kind = 0; kind < WSGI_HANDLE_KINDS; kind++) {
        Py_CLEAR(types->handles[kind]);
    }
    Py_CLEAR(types->file_wrapper);
    Py_CLEAR(types->errors);
}
