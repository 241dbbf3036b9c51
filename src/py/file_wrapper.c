/* SPDX-License-Identifier: MIT */
#include "py/file_wrapper.h"

#include "py/py_compat.h"

#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEFAULT_BLOCK_BYTES = 8192 };

struct file_wrapper {
    PyObject_HEAD
    PyObject *filelike;
    PyObject *blksize;
    PyObject *close; /* NULL: the file has none */
};

static int
wrapper_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct file_wrapper *wrapper = (struct file_wrapper *)self;

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(wrapper->filelike);
    Py_VISIT(wrapper->blksize);
    Py_VISIT(wrapper->close);
    return 0;
}

static int
wrapper_clear(PyObject *self)
{
    struct file_wrapper *wrapper = (struct file_wrapper *)self;

    Py_CLEAR(wrapper->filelike);
    Py_CLEAR(wrapper->blksize);
    Py_CLEAR(wrapper->close);
    return 0;
}

static void
wrapper_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    wrapper_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static int
wrapper_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {(char *)"filelike", (char *)"blksize", NULL};
    struct file_wrapper *wrapper = (struct file_wrapper *)self;
    PyObject *filelike;
    PyObject *blksize = NULL;
    PyObject *close = NULL;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:FileWrapper", names, &filelike, &blksize)) {
        return -1;
    }
    PyObject *name = PyUnicode_InternFromString("close");
    if (!name || py_attr_get(filelike, name, &close) < 0) {
        Py_XDECREF(name);
        return -1;
    }
    Py_DECREF(name);
    blksize = blksize ? Py_NewRef(blksize) : PyLong_FromLong(DEFAULT_BLOCK_BYTES);
    if (!blksize) {
        Py_XDECREF(close);
        return -1;
    }
    Py_XSETREF(wrapper->filelike, Py_NewRef(filelike));
    Py_XSETREF(wrapper->blksize, blksize);
    Py_XSETREF(wrapper->close, close);
    return 0;
}

/* The next block; NULL without an exception at the end. */
static PyObject *
wrapper_next(PyObject *self)
{
    struct file_wrapper *wrapper = (struct file_wrapper *)self;

    if (!wrapper->filelike) {
        PyErr_SetString(PyExc_ValueError, "FileWrapper() was not initialised");
        return NULL;
    }
    PyObject *block = PyObject_CallMethod(wrapper->filelike, "read", "O", wrapper->blksize);
    if (!block) {
        return NULL;
    }
    int more = PyObject_IsTrue(block);
    if (more <= 0) {
        Py_CLEAR(block);
    }
    return block;
}

/* wrapper[i], whatever i is: the older protocol of iteration, which Gunicorn's has. */
static PyObject *
wrapper_item(PyObject *self, PyObject *Py_UNUSED(key))
{
    PyObject *block = wrapper_next(self);

    if (!block && !PyErr_Occurred()) {
        PyErr_SetNone(PyExc_IndexError);
    }
    return block;
}

PyTypeObject *
file_wrapper_type_new(PyObject *module)
{
    PyMemberDef members[] = {
        {"filelike", PY_MEMBER_OBJECT, offsetof(struct file_wrapper, filelike), 0, NULL},
        {"blksize", PY_MEMBER_OBJECT, offsetof(struct file_wrapper, blksize), 0, NULL},
        {"close", PY_MEMBER_OBJECT_OR_ATTRIBUTE_ERROR, offsetof(struct file_wrapper, close), 0,
         NULL},
        {0},
    };
    PyType_Slot slots[] = {
        {Py_tp_doc,
         (void *)"FileWrapper(filelike, blksize=8192)\n--\n\nSends a file as a response."},
        {Py_tp_new, PyType_GenericNew},
        {Py_tp_init, wrapper_init},
        {Py_tp_dealloc, wrapper_dealloc},
        {Py_tp_traverse, wrapper_traverse},
        {Py_tp_clear, wrapper_clear},
        {Py_tp_members, members},
        {Py_tp_iter, PyObject_SelfIter},
        {Py_tp_iternext, wrapper_next},
        {Py_mp_subscript, wrapper_item},
        {0, NULL},
    };
    PyType_Spec spec = {
        .name = "saola._core.FileWrapper",
        .basicsize = sizeof(struct file_wrapper),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
        .slots = slots,
    };
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
}

/* The descriptor that a file-like object reads from: -1 if it has none, or if what it gives is not
 * what the descriptor holds (gzip.GzipFile and its relatives have a fileno() too). Exceptions of
 * the file are none of ours. */
static int
reads_from(PyObject *filelike)
{
    PyObject *io = PyImport_ImportModule("io");
    PyObject *base = io ? PyObject_GetAttrString(io, "BufferedIOBase") : NULL;
    PyObject *reader = io ? PyObject_GetAttrString(io, "BufferedReader") : NULL;
    PyObject *random = io ? PyObject_GetAttrString(io, "BufferedRandom") : NULL;
    PyObject *number = NULL;
    int fd = -1;

    if (!base || !reader || !random) {
        goto out;
    }
    if (PyObject_IsInstance(filelike, base) == 1 && PyObject_IsInstance(filelike, reader) != 1 &&
        PyObject_IsInstance(filelike, random) != 1) {
        goto out;
    }
    number = PyObject_CallMethod(filelike, "fileno", NULL);
    if (number && PyLong_Check(number)) {
        long value = PyLong_AsLong(number);
        fd = value >= 0 && value <= INT_MAX ? (int)value : -1;
    }
out:
    PyErr_Clear();
    Py_XDECREF(number);
    Py_XDECREF(random);
    Py_XDECREF(reader);
    Py_XDECREF(base);
    Py_XDECREF(io);
    return fd;
}

/* Where Python would read next, -1 if it does not say. */
static int64_t
python_position(PyObject *filelike)
{
    PyObject *position = PyObject_CallMethod(filelike, "tell", NULL);
    int64_t offset = position && PyLong_Check(position) ? PyLong_AsLongLong(position) : -1;

    PyErr_Clear();
    Py_XDECREF(position);
    return offset;
}

int
file_wrapper_range(PyObject *self, struct file_range *ret_range)
{
    PyObject *filelike = ((struct file_wrapper *)self)->filelike;
    struct stat status;

    if (!filelike) {
        return 0;
    }
    PyErr_Clear();
    Py_INCREF(filelike); /* its methods might drop the wrapper's reference */
    int fd = reads_from(filelike);
    int64_t position = fd >= 0 ? python_position(filelike) : -1;
    Py_DECREF(filelike);
    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        return 0;
    }
    /* What Python has read ahead is behind the descriptor's offset: only Python can give it. */
    off_t offset = lseek(fd, 0, SEEK_CUR);
    if (offset < 0 || (position >= 0 && position != offset)) {
        return 0;
    }
    *ret_range = (struct file_range){
        .fd = fd,
        .offset = offset,
        .length = status.st_size > offset ? status.st_size - offset : 0,
    };
    return 1;
}
