/* SPDX-License-Identifier: MIT */
#include "py/input.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>

enum { LINES_BYTES = 64 * 1024 };

/* The optional size argument of read() and readline(): SSIZE_MAX for None, a negative number or
 * none at all. */
static int
size_argument(PyObject *const *args, Py_ssize_t n_args, Py_ssize_t *ret_size)
{
    *ret_size = PY_SSIZE_T_MAX;
    if (n_args > 1) {
        PyErr_Format(PyExc_TypeError, "expected at most 1 argument, got %zd", n_args);
        return -1;
    }
    if (n_args == 0 || args[0] == Py_None) {
        return 0;
    }
    if (!PyIndex_Check(args[0])) {
        PyErr_Format(PyExc_TypeError, "size must be an integer or None, not %.200s",
                     Py_TYPE(args[0])->tp_name);
        return -1;
    }
    Py_ssize_t size = PyNumber_AsSsize_t(args[0], NULL);
    if (size == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (size >= 0) {
        *ret_size = size;
    }
    return 0;
}

static bool
body_is_spooled(const struct request *request)
{
    return request->body_bytes > 0 && !request->body;
}

/* Bytes that the application has not read yet, wherever they are. */
static int64_t
body_left(const struct wsgi_call *call)
{
    return request_body_left(call->request) + (int64_t)(call->lines.len - call->lines.off);
}

static ssize_t
read_spooled(struct wsgi_call *call, char *out, size_t n)
{
    struct request *request = call->request;
    ssize_t got;

    if (call->reading) {
        PyErr_SetString(PyExc_RuntimeError, "wsgi.input is being read by another thread");
        return -1;
    }
    call->reading = true;
    Py_BEGIN_ALLOW_THREADS
    got = request_body_read(request, out, n);
    Py_END_ALLOW_THREADS
    call->reading = false;
    if (got < 0) {
        errno = (int)-got;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return got;
}

/* Reads up to `n` bytes: fewer only at the end of the body. -1 with an exception. */
static ssize_t
body_read(struct wsgi_call *call, char *out, size_t n)
{
    struct wsgi_lines *lines = &call->lines;
    size_t done = MIN_OF(n, lines->len - lines->off);

    if (done > 0) {
        memcpy(out, lines->data + lines->off, done);
        lines->off += done;
    }
    while (done < n) {
        ssize_t got = body_is_spooled(call->request)
                          ? read_spooled(call, out + done, n - done)
                          : request_body_read(call->request, out + done, n - done);
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static PyObject *
bytes_read(struct wsgi_call *call, Py_ssize_t size)
{
    int64_t left = body_left(call);
    if (size > left) {
        size = (Py_ssize_t)left;
    }
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, size);
    if (!bytes || size == 0) {
        return bytes;
    }
    ssize_t got = body_read(call, PyBytes_AS_STRING(bytes), (size_t)size);
    if (got < 0) {
        Py_DECREF(bytes);
        return NULL;
    }
    if (got < size && _PyBytes_Resize(&bytes, got) < 0) {
        return NULL;
    }
    return bytes;
}

/* The bytes at hand for a search: some of those that come next, at least one unless the body is at
 * its end. 0, or -1 with an exception. */
static int
lines_peek(struct wsgi_call *call, struct span *ret_bytes)
{
    struct wsgi_lines *lines = &call->lines;

    if (!body_is_spooled(call->request)) {
        *ret_bytes = request_body_peek(call->request);
        return 0;
    }
    if (lines->off == lines->len) {
        if (!lines->data) {
            lines->data = mem_alloc(LINES_BYTES);
        }
        ssize_t got = read_spooled(call, lines->data, LINES_BYTES);
        if (got < 0) {
            return -1;
        }
        lines->off = 0;
        lines->len = (size_t)got;
    }
    *ret_bytes = span_of(lines->data + lines->off, lines->len - lines->off);
    return 0;
}

static int
append_bytes(PyObject **bytes, struct span tail)
{
    Py_ssize_t n = PyBytes_GET_SIZE(*bytes);

    if (_PyBytes_Resize(bytes, n + (Py_ssize_t)tail.n) < 0) {
        return -1;
    }
    memcpy(PyBytes_AS_STRING(*bytes) + n, tail.p, tail.n);
    return 0;
}

/* The next line with its line feed, cut at `size` bytes; empty at the end of the body. */
static PyObject *
line_read(struct wsgi_call *call, Py_ssize_t size)
{
    PyObject *line = NULL;
    bool ended = size == 0;

    while (!ended) {
        struct span bytes;
        if (lines_peek(call, &bytes) < 0) {
            goto fail;
        }
        Py_ssize_t room = size - (line ? PyBytes_GET_SIZE(line) : 0);
        if (bytes.n > (size_t)room) {
            bytes.n = (size_t)room;
        }
        if (bytes.n == 0) {
            break;
        }
        const char *feed = memchr(bytes.p, '\n', bytes.n);
        if (feed) {
            bytes.n = (size_t)(feed - bytes.p) + 1;
        }
        ended = feed || bytes.n == (size_t)room || body_left(call) == (int64_t)bytes.n;
        if (!line) {
            line = bytes_read(call, (Py_ssize_t)bytes.n);
            if (!line) {
                goto fail;
            }
            continue;
        }
        if (append_bytes(&line, bytes) < 0) {
            goto fail; /* it is NULL now */
        }
        call->lines.off += bytes.n; /* only a spooled body comes in pieces */
    }
    return line ? line : PyBytes_FromStringAndSize(NULL, 0);
fail:
    Py_XDECREF(line);
    return NULL;
}

static PyObject *
input_read(PyObject *self, PyObject *const *args, Py_ssize_t n_args)
{
    Py_ssize_t size;
    if (size_argument(args, n_args, &size) < 0) {
        return NULL;
    }
    struct wsgi_call *call = wsgi_handle_call(self);
    return call ? bytes_read(call, size) : NULL;
}

static PyObject *
input_readline(PyObject *self, PyObject *const *args, Py_ssize_t n_args)
{
    Py_ssize_t size;
    if (size_argument(args, n_args, &size) < 0) {
        return NULL;
    }
    struct wsgi_call *call = wsgi_handle_call(self);
    return call ? line_read(call, size) : NULL;
}

static PyObject *
input_next(PyObject *self)
{
    struct wsgi_call *call = wsgi_handle_call(self);
    if (!call) {
        return NULL;
    }
    PyObject *line = line_read(call, PY_SSIZE_T_MAX);
    if (line && PyBytes_GET_SIZE(line) == 0) {
        Py_CLEAR(line); /* the end: NULL without an exception */
    }
    return line;
}

/* The hint is ignored, as PEP 3333 allows. */
static PyObject *
input_readlines(PyObject *self, PyObject *const *args, Py_ssize_t n_args)
{
    Py_ssize_t hint;
    if (size_argument(args, n_args, &hint) < 0) {
        return NULL;
    }
    return PySequence_List(self);
}

static PyMethodDef input_methods[] = {
    {"read", (PyCFunction)(void (*)(void))input_read, METH_FASTCALL,
     "read([size])\n--\n\nUp to size bytes of the body; all that is left without a size."},
    {"readline", (PyCFunction)(void (*)(void))input_readline, METH_FASTCALL,
     "readline([size])\n--\n\nThe next line, cut at size bytes."},
    {"readlines", (PyCFunction)(void (*)(void))input_readlines, METH_FASTCALL,
     "readlines([hint])\n--\n\nA list of the lines that are left."},
    {0},
};

PyTypeObject *
input_type_new(PyObject *module)
{
    PyType_Slot slots[] = {
        {Py_tp_doc, (void *)"The body of a request."},
        {Py_tp_dealloc, wsgi_handle_dealloc},
        {Py_tp_methods, input_methods},
        {Py_tp_iter, PyObject_SelfIter},
        {Py_tp_iternext, input_next},
        {0, NULL},
    };
    PyType_Spec spec = {
        .name = "saola._core.Input",
        .basicsize = sizeof(struct wsgi_handle),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
        .slots = slots,
    };
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
}
