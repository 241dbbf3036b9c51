/* SPDX-License-Identifier: MIT */
#include "py/py_arbiter_child.h"

#include "config/config.h"
#include "log/log.h"
#include "proc/privileges.h"
#include "py/module.h"
#include "py/py_arbiter_call.h"
#include "py/py_compat.h"
#include "py/py_exit.h"
#include "py/py_log.h"
#include "py/py_stacks.h"
#include "py/py_text.h"
#include "py/py_worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* --- in the arbiter --- */

pid_t
py_arbiter_fork(void *context)
{
    (void)context;
    PyOS_BeforeFork();
    pid_t pid = fork();
    int err = errno;
    if (pid == 0) {
        PyOS_AfterFork_Child();
    } else {
        PyOS_AfterFork_Parent();
    }
    errno = err;
    return pid;
}

int
py_arbiter_child_new(void *context, struct child *child)
{
    struct py_arbiter *py = context;
    child->object = PyObject_CallMethod(py->object, "_new_worker", "I", (unsigned)child->age);
    return child->object ? 0 : -ECANCELED;
}

void
py_arbiter_child_forked(void *context, struct child *child)
{
    struct py_arbiter *py = context;
    PyObject *worker = child->object;
    py_done_or_log(PyObject_CallMethod(py->object, "_worker_forked", "Oi", worker, (int)child->pid),
                   "Registering a worker failed");
}

void
py_arbiter_child_free(void *context, struct child *child)
{
    struct py_arbiter *py = context;
    PyObject *worker = child->object;
    PyObject *raised = py_raised_take(); /* of its hook: the core has not asked for a report yet */

    child->object = NULL;
    if (child->pid != 0 && py_arbiter_forget(py, child) < 0) {
        py_log_exception("Forgetting a worker failed");
    }
    Py_XDECREF(worker);
    if (raised) {
        py_raised_put(raised);
    }
}

/* --- in the worker --- */

static int
call_worker_hook(const struct py_arbiter *py, PyObject *function, PyObject *worker)
{
    if (!function) {
        return 0;
    }
    return py_done(PyObject_CallFunctionObjArgs(function, py->object, worker, NULL));
}

static int
drop_privileges(const struct config *cfg)
{
    char *error = NULL;
    int rc = privileges_drop((uid_t)cfg->user, (gid_t)cfg->group, cfg->initgroups, &error);
    if (rc < 0) {
        py_text_raise(PyExc_OSError, error);
        free(error);
        return -ECANCELED;
    }
    return 0;
}

/* Up to the point at which the worker can load the application. */
static int
begin_worker(const struct py_arbiter *py, PyObject *worker)
{
    int rc = py_set_number(worker, "pid", getpid());
    if (rc == 0) {
        rc = call_worker_hook(py, py->core.cfg->post_fork, worker);
    }
    return rc == 0 ? drop_privileges(py->core.cfg) : rc;
}

/* What is left is short, and finalizing the interpreter puts handlers back to their defaults: a
 * second TERM must not cut functions of atexit off. KILL still helps. */
static void
block_stop_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGQUIT);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

void
py_arbiter_run_worker(void *context, struct child *child, const struct worker_start *start)
{
    struct py_arbiter *py = context;
    PyObject *worker = child->object;
    int code = 0;

    module_state_get(py->module)->arbiter = NULL; /* this process is none */
    py_stacks_install(start);
    if (begin_worker(py, worker) < 0) {
        code = py_exit_code("Exception in worker process", EXIT_WORKER_BOOT_ERROR);
    } else {
        code = py_worker_run(py->module, start, worker);
    }
    /* worker.nr, for worker_exit. */
    if (py_set_number(worker, "_requests",
                      (long long)metric_read(&start->slot->metrics.requests))) {
        PyErr_Clear();
    }
    block_stop_signals();
    log_info("Worker exiting (pid: %d)", (int)getpid());
    if (call_worker_hook(py, py->core.cfg->worker_exit, worker) < 0) {
        py_log_exception_at(LOG_LEVEL_WARNING, "Exception during worker exit:");
    }
    /* As sys.exit() would, but without unwinding the arbiter's frames: functions of atexit run,
     * threads are waited for, files are flushed. */
    Py_Exit(code);
}
