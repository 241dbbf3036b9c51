/* SPDX-License-Identifier: MIT */
#include "py/py_log.h"

#include "py/module.h"
#include "py/py_worker.h"

#include "http/access_log_format.h"
#include "log/file.h"
#include "log/log.h"
#include "log/statsd.h"
#include "log/syslog.h"
#include "py/py_compat.h"
#include "py/py_text.h"

#include <stdlib.h>
#include <unistd.h>

/* --- exceptions --- */

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

/* The logger in Python has logged it. */
static bool
log_in_python(int level, const char *message, PyObject *exception)
{
    struct module_state *state = module_state_find();
    return state && log_route_exception(&state->log_route, level, message, exception);
}

void
py_log_exception_at(int level, const char *message)
{
    PyObject *exception = py_raised_take();

    if (!exception) {
        log_printf(level, "%s", message);
        return;
    }
    if (!log_in_python(level, message, exception) && log_enabled(level)) {
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

/* --- functions of the module --- */

/* Raises RuntimeError: its text is what the user sees. Takes `text`. */
static void
raise_text(char *text)
{
    py_text_raise(PyExc_RuntimeError, text);
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
    PyObject *path = NULL;
    PyObject *level = NULL;
    long uid = -1;
    long gid = -1;

    if (!PyArg_ParseTuple(args, "O&O&|ll:log_open", py_text_convert, &path, py_text_convert, &level,
                          &uid, &gid)) {
        return NULL;
    }
    int rc = log_open(py_text_or_null(path));
    if (rc < 0) {
        raise_text(log_file_error(py_text_or_null(path), rc));
    } else {
        log_chown((uid_t)uid, (gid_t)gid);
        log_set_level(log_level_from(py_text_or_empty(level)));
    }
    Py_XDECREF(path);
    Py_XDECREF(level);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
core_log_reopen(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    (void)log_reopen(); /* a failure is in the log */
    Py_RETURN_NONE;
}

/* Opens the log with what was compiled; the format is the module's from then on. */
static int
open_access_log(struct module_state *state, const char *path, struct access_log_format *format,
                bool to_syslog)
{
    int rc = access_log_open(&state->access_log, path, format, to_syslog);
    if (rc < 0) {
        access_log_format_free(format);
        return rc;
    }
    access_log_format_free(state->access_format);
    state->access_format = format;
    return 0;
}

/* What core_access_log_open() is asked for. */
static int
compile_and_open(struct module_state *state, const char *path, const char *text, bool to_syslog)
{
    struct access_log_format *format;
    char *error;
    if (access_log_compile(text, &format, &error) < 0) {
        raise_text(error);
        return -1;
    }
    int rc = open_access_log(state, path, format, to_syslog);
    if (rc < 0) {
        raise_text(log_file_error(path, rc));
        return -1;
    }
    return 0;
}

/* Opened by the arbiter, before any worker has dropped its privileges; workers inherit it. */
static PyObject *
core_access_log_open(PyObject *module, PyObject *args)
{
    struct module_state *state = module_state_get(module);
    PyObject *path = NULL;
    PyObject *text = NULL;
    long uid = -1;
    long gid = -1;
    int to_syslog = 0;

    if (!PyArg_ParseTuple(args, "O&O&|llp:access_log_open", py_text_convert, &path, py_text_convert,
                          &text, &uid, &gid, &to_syslog)) {
        return NULL;
    }
    int rc = compile_and_open(state, py_text_or_null(path), py_text_or_empty(text), to_syslog);
    Py_XDECREF(path);
    Py_XDECREF(text);
    if (rc < 0) {
        return NULL;
    }
    log_file_chown(&state->access_log.file, (uid_t)uid, (gid_t)gid);
    Py_RETURN_NONE;
}

static PyObject *
core_access_log_check(PyObject *Py_UNUSED(module), PyObject *text)
{
    struct access_log_format *format = NULL;
    PyObject *bytes = NULL;
    char *error = NULL;

    if (!py_text_convert(text, &bytes)) {
        return NULL;
    }
    int rc = access_log_compile(py_text_or_empty(bytes), &format, &error);
    Py_XDECREF(bytes);
    if (rc < 0) {
        raise_text(error);
        return NULL;
    }
    access_log_format_free(format);
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

/* --- where logs go --- */

static void
release(PyObject **texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        Py_CLEAR(texts[i]);
    }
}

static PyObject *
core_log_syslog_open(PyObject *Py_UNUSED(module), PyObject *args)
{
    struct syslog_options options = {0};
    PyObject *texts[3] = {NULL}; /* host, path, prefix */
    char *error = NULL;

    if (!PyArg_ParseTuple(args, "iO&IO&IO&:log_syslog_open", &options.type, py_text_convert,
                          &texts[0], &options.port, py_text_convert, &texts[1], &options.facility,
                          py_text_convert, &texts[2])) {
        return NULL;
    }
    options.host = py_text_or_null(texts[0]);
    options.path = py_text_or_null(texts[1]);
    options.prefix = py_text_or_empty(texts[2]);
    struct syslog *syslog = syslog_new(&options, &error);
    release(texts, ARRAY_LEN(texts));
    if (!syslog) {
        raise_text(error);
        return NULL;
    }
    log_set_syslog(syslog);
    Py_RETURN_NONE;
}

static PyObject *
core_log_syslog_connect(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    if (log_syslog()) {
        syslog_connect(log_syslog());
    }
    Py_RETURN_NONE;
}

static PyObject *
core_log_syslog_close(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    log_set_syslog(NULL);
    Py_RETURN_NONE;
}

static PyObject *
core_log_syslog(PyObject *Py_UNUSED(module), PyObject *args)
{
    int level;
    PyObject *text;

    if (!PyArg_ParseTuple(args, "iU:log_syslog", &level, &text)) {
        return NULL;
    }
    /* The prefix may have bytes that are not UTF-8: they are sent as the core sends them. */
    PyObject *bytes = PyUnicode_AsEncodedString(text, "utf-8", "surrogateescape");
    if (!bytes) {
        PyErr_Clear();
        bytes = encode_new(text);
    }
    if (!bytes) {
        return NULL;
    }
    if (log_syslog()) {
        syslog_send(log_syslog(), level, bytes_span(bytes));
    }
    Py_DECREF(bytes);
    Py_RETURN_NONE;
}

static PyObject *
core_log_statsd_open(PyObject *Py_UNUSED(module), PyObject *args)
{
    struct statsd_options options = {0};
    PyObject *texts[4] = {NULL}; /* host, path, prefix, tags */
    char *error = NULL;

    if (!PyArg_ParseTuple(args, "O&IO&O&O&:log_statsd_open", py_text_convert, &texts[0],
                          &options.port, py_text_convert, &texts[1], py_text_convert, &texts[2],
                          py_text_convert, &texts[3])) {
        return NULL;
    }
    options.host = py_text_or_null(texts[0]);
    options.path = py_text_or_null(texts[1]);
    options.prefix = py_text_or_empty(texts[2]);
    options.tags = py_text_or_empty(texts[3]);
    struct statsd *statsd = statsd_new(&options, &error);
    release(texts, ARRAY_LEN(texts));
    if (!statsd) {
        raise_text(error);
        return NULL;
    }
    log_set_statsd(statsd);
    Py_RETURN_NONE;
}

static PyObject *
core_log_statsd_close(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    log_set_statsd(NULL);
    Py_RETURN_NONE;
}

static PyObject *
core_log_fileno(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLong(log_fd());
}

static PyObject *
core_log_route(PyObject *module, PyObject *args)
{
    PyObject *message;
    PyObject *exception;
    PyObject *access;
    PyObject *refused;

    if (!PyArg_ParseTuple(args, "OOOO:log_route", &message, &exception, &access, &refused)) {
        return NULL;
    }
    log_route_set(&module_state_get(module)->log_route, message, exception, access, refused);
    Py_RETURN_NONE;
}

static PyObject *
core_log_set_level(PyObject *Py_UNUSED(module), PyObject *level)
{
    long number = PyLong_AsLong(level);

    if (number == -1 && PyErr_Occurred()) {
        return NULL;
    }
    log_set_level((enum log_level)number);
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
    "access_log_open(path, format, uid=-1, gid=-1, syslog=False)\n--\n\n"
    "Direct the access log of this process and its children to a file of that owner, to stdout "
    "('-') or to none (None), and to syslog. RuntimeError if it cannot be written, or if the "
    "format is wrong.");
PyDoc_STRVAR(access_log_check_doc, "access_log_check(format)\n--\n\n"
                                   "RuntimeError if the format is wrong.");
PyDoc_STRVAR(access_log_reopen_doc, "access_log_reopen()\n--\n\n"
                                    "Open the file of the access log anew.");

PyDoc_STRVAR(log_syslog_open_doc,
             "log_syslog_open(type, host, port, path, facility, prefix)\n--\n\n"
             "Send the logs to a syslog server too: host and port, or the path of a unix socket.");
PyDoc_STRVAR(log_syslog_connect_doc, "log_syslog_connect()\n--\n\n"
                                     "Connect to it, before the first message of a process.");
PyDoc_STRVAR(log_syslog_close_doc, "log_syslog_close()\n--\n\n"
                                   "Send no more messages to syslog.");
PyDoc_STRVAR(log_syslog_doc, "log_syslog(level, text)\n--\n\n"
                             "Send a message to syslog, as it is but for its priority.");
PyDoc_STRVAR(log_statsd_open_doc, "log_statsd_open(host, port, path, prefix, tags)\n--\n\n"
                                  "Send metrics to a StatsD server.");
PyDoc_STRVAR(log_statsd_close_doc, "log_statsd_close()\n--\n\n"
                                   "Send no more metrics.");
PyDoc_STRVAR(log_fileno_doc, "log_fileno()\n--\n\n"
                             "The descriptor of the error log.");
PyDoc_STRVAR(
    log_route_doc,
    "log_route(message, exception, access, refused)\n--\n\n"
    "Call these for what the core logs, instead of writing it; None keeps it in the core.");
PyDoc_STRVAR(log_set_level_doc, "log_set_level(level)\n--\n\n"
                                "Log messages of that level and above.");

static PyMethodDef functions[] = {
    {"log_syslog_open", core_log_syslog_open, METH_VARARGS, log_syslog_open_doc},
    {"log_syslog_connect", core_log_syslog_connect, METH_NOARGS, log_syslog_connect_doc},
    {"log_syslog_close", core_log_syslog_close, METH_NOARGS, log_syslog_close_doc},
    {"log_syslog", core_log_syslog, METH_VARARGS, log_syslog_doc},
    {"log_statsd_open", core_log_statsd_open, METH_VARARGS, log_statsd_open_doc},
    {"log_statsd_close", core_log_statsd_close, METH_NOARGS, log_statsd_close_doc},
    {"log_fileno", core_log_fileno, METH_NOARGS, log_fileno_doc},
    {"log_route", core_log_route, METH_VARARGS, log_route_doc},
    {"log_set_level", core_log_set_level, METH_O, log_set_level_doc},
    {"log", core_log, METH_VARARGS, log_doc},
    {"log_raw", core_log_raw, METH_O, log_raw_doc},
    {"log_open", core_log_open, METH_VARARGS, log_open_doc},
    {"log_reopen", core_log_reopen, METH_NOARGS, log_reopen_doc},
    {"access_log_open", core_access_log_open, METH_VARARGS, access_log_open_doc},
    {"access_log_check", core_access_log_check, METH_O, access_log_check_doc},
    {"access_log_reopen", core_access_log_reopen, METH_NOARGS, access_log_reopen_doc},
    {NULL, NULL, 0, NULL},
};

int
py_log_add(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
