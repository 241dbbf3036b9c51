/* SPDX-License-Identifier: MIT */
#include "py/py_log.h"

#include "py/module.h"
#include "py/py_worker.h"

#include "http/access_log_format.h"
#include "log/file.h"
#include "log/log.h"
#include "py/py_compat.h"

#include <stdlib.h>
#include <unistd.h>

/* --- exceptions ---------------------------------------------------------------------------- */

/* The lines that Python would print, as a new str; NULL with an exception. */
static PyObject *
traceback_new(PyObject *exception)
{
    PyObject *result = NULL;
    PyObject *empty = NULL;
    PyObject *lines = NULL;
    PyObject *module = PyImport_ImportModule("traceback");

    if (!module) {
        goto fail;
    }
    lines = PyObject_CallMethod(module, "format_exception", "O", exception);
    if (!lines) {
        goto fail;
    }
    empty = PyUnicode_FromStringAndSize(NULL, 0);
    if (!empty) {
        goto fail;
    }
    result = PyUnicode_Join(empty, lines);
fail:
    Py_XDECREF(empty);
    Py_XDECREF(lines);
    Py_XDECREF(module);
    return result;
}

/* Whatever the text contains, lone surrogates included: new bytes, or NULL with an exception. */
static PyObject *
encode_new(PyObject *text)
{
    return PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
}

/* The message as it is logged: new bytes, or NULL with an exception. */
static PyObject *
message_new(const char *message, PyObject *exception)
{
    PyObject *bytes = NULL;
    PyObject *text = NULL;
    PyObject *traceback = traceback_new(exception);

    if (!traceback) {
        goto fail;
    }
    text = PyUnicode_FromFormat("%s\n%U", message, traceback);
    if (!text) {
        goto fail;
    }
    bytes = encode_new(text);
fail:
    Py_XDECREF(text);
    Py_XDECREF(traceback);
    return bytes;
}

static struct span
bytes_span(PyObject *bytes)
{
    return span_of(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
}

void
py_log_exception_at(int level, const char *message)
{
    PyObject *exception = py_raised_take();

    if (!exception) {
        log_printf(level, "%s", message);
        return;
    }
    if (log_enabled(level)) {
        PyObject *bytes = message_new(message, exception);

        if (bytes) {
            log_write(level, bytes_span(bytes));
            Py_DECREF(bytes);
        } else {
            PyErr_Clear();
            log_printf(level, "%s\n%s, and its traceback cannot be formatted", message,
                       Py_TYPE(exception)->tp_name);
        }
    }
    Py_DECREF(exception);
}

void
py_log_exception(const char *message)
{
    py_log_exception_at(LOG_LEVEL_ERROR, message);
}

/* --- functions of the module --------------------------------------------------------------- */

/* Raises RuntimeError: its text is what the user sees. Takes `text`. */
static void
raise_text(char *text)
{
    PyErr_SetString(PyExc_RuntimeError, text);
    free(text);
}

static PyObject *
core_log(PyObject *Py_UNUSED(module), PyObject *args)
{
    int level;
    PyObject *text;

    if (!PyArg_ParseTuple(args, "iU:log", &level, &text)) {
        return NULL;
    }
    PyObject *bytes = encode_new(text);
    if (!bytes) {
        return NULL;
    }
    struct span message = bytes_span(bytes);
    Py_BEGIN_ALLOW_THREADS;
    log_write(level, message);
    Py_END_ALLOW_THREADS;
    Py_DECREF(bytes);
    Py_RETURN_NONE;
}

static PyObject *
core_log_raw(PyObject *Py_UNUSED(module), PyObject *text)
{
    if (!PyUnicode_Check(text)) {
        PyErr_SetString(PyExc_TypeError, "log_raw() takes a str");
        return NULL;
    }
    PyObject *bytes = encode_new(text);
    if (!bytes) {
        return NULL;
    }
    struct span lines = bytes_span(bytes);
    Py_BEGIN_ALLOW_THREADS;
    log_raw(lines);
    Py_END_ALLOW_THREADS;
    Py_DECREF(bytes);
    Py_RETURN_NONE;
}

static PyObject *
core_log_open(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *path;
    const char *level;
    long uid = -1;
    long gid = -1;

    if (!PyArg_ParseTuple(args, "zs|ll:log_open", &path, &level, &uid, &gid)) {
        return NULL;
    }
    int rc = log_open(path);
    if (rc < 0) {
        raise_text(log_file_error(path, rc));
        return NULL;
    }
    log_chown((uid_t)uid, (gid_t)gid);
    log_set_level(log_level_from(level));
    Py_RETURN_NONE;
}

static PyObject *
core_log_reopen(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    (void)log_reopen(); /* a failure is in the log */
    Py_RETURN_NONE;
}

/* Opens the log with what was compiled; the format is the module's from then on. */
static int
open_access_log(struct module_state *state, const char *path, struct access_log_format *format)
{
    int rc = access_log_open(&state->access_log, path, format);
    if (rc < 0) {
        access_log_format_free(format);
        return rc;
    }
    access_log_format_free(state->access_format);
    state->access_format = format;
    return 0;
}

/* Opened by the arbiter, before any worker has dropped its privileges; workers inherit it. */
static PyObject *
core_access_log_open(PyObject *module, PyObject *args)
{
    struct module_state *state = module_state_get(module);
    const char *path;
    const char *text;
    long uid = -1;
    long gid = -1;

    if (!PyArg_ParseTuple(args, "zs|ll:access_log_open", &path, &text, &uid, &gid)) {
        return NULL;
    }
    struct access_log_format *format;
    char *error;
    if (access_log_compile(text, &format, &error) < 0) {
        raise_text(error);
        return NULL;
    }
    int rc = open_access_log(state, path, format);
    if (rc < 0) {
        raise_text(log_file_error(path, rc));
        return NULL;
    }
    log_file_chown(&state->access_log.file, (uid_t)uid, (gid_t)gid);
    Py_RETURN_NONE;
}

static PyObject *
core_access_log_reopen(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    struct module_state *state = module_state_get(module);
    if (state->worker) {
        py_worker_reopen_access_log(state->worker);
    } else {
        access_log_reopen(&state->access_log);
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(log_doc, "log(level, text)\n--\n\n"
                      "Write a message to the error log, unless its level is filtered.");
PyDoc_STRVAR(log_raw_doc, "log_raw(text)\n--\n\n"
                          "Write to the error log in one piece, as it is.");
PyDoc_STRVAR(log_open_doc, "log_open(path, level, uid=-1, gid=-1)\n--\n\n"
                           "Direct the error log to a file of that owner, or to stderr ('-').");
PyDoc_STRVAR(log_reopen_doc, "log_reopen()\n--\n\n"
                             "Open the file of the error log anew.");
PyDoc_STRVAR(
    access_log_open_doc,
    "access_log_open(path, format, uid=-1, gid=-1)\n--\n\n"
    "Direct the access log of this process and its children to a file of that owner, to stdout "
    "('-') or nowhere (None). RuntimeError if it cannot be written, or if the format is wrong.");
PyDoc_STRVAR(access_log_reopen_doc, "access_log_reopen()\n--\n\n"
                                    "Open the file of the access log anew.");

static PyMethodDef functions[] = {
    {"log", core_log, METH_VARARGS, log_doc},
    {"log_raw", core_log_raw, METH_O, log_raw_doc},
    {"log_open", core_log_open, METH_VARARGS, log_open_doc},
    {"log_reopen", core_log_reopen, METH_NOARGS, log_reopen_doc},
    {"access_log_open", core_access_log_open, METH_VARARGS, access_log_open_doc},
    {"access_log_reopen", core_access_log_reopen, METH_NOARGS, access_log_reopen_doc},
    {NULL, NULL, 0, NULL},
};

int
py_log_add(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
