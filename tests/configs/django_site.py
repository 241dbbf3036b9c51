# SPDX-License-Identifier: MIT
# After the configuration file of github.com/meanother/project_promise, which follows the example in
# Gunicorn's repository: with names that are no settings, and a raw_env that is no list.
import os

command = "/srv/site/venv/bin/gunicorn"
pythonpath = os.environ["TEST_APPS"]
workers = 2
limit_request_field = 3200
limit_request_field_size = 0
errorlog = "-"
loglevel = "info"
accesslog = "-"
access_log_format = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
raw_env = "DJANGO_SETTINGS_MODULE=djangosite.settings"
redirect_stderr = True
autorestart = True


def post_fork(server, worker):
    server.log.info("Worker spawned (pid: %s)", worker.pid)


def post_worker_init(worker):
    worker.log.info("Worker initialized (pid: %s)", worker.pid)


def pre_fork(server, worker):
    pass


def pre_exec(server):
    server.log.info("Forked child, re-executing.")


def when_ready(server):
    server.log.info("Server is ready. Spawning workers")


def worker_int(worker):
    worker.log.info("worker received INT or QUIT signal")
    import sys
    import threading
    import traceback

    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        worker.log.info("# Thread: %s(%d)", names.get(ident, ""), ident)
        for file, line, name, _ in traceback.extract_stack(frame):
            worker.log.debug('File: "%s", line %d, in %s', file, line, name)


def worker_abort(worker):
    worker.log.info("worker received SIGABRT signal")
