# SPDX-License-Identifier: MIT
# After "Multiprocess Mode" of the documentation of prometheus_client, and gunicorn.conf.py of
# github.com/simple-login/app, which empties the directory at the start.
import os as _os
import shutil as _shutil

from prometheus_client import multiprocess as _multiprocess

workers = 2


def on_starting(server):
    directory = _os.environ["PROMETHEUS_MULTIPROC_DIR"]
    _shutil.rmtree(directory, ignore_errors=True)
    _os.makedirs(directory)


def child_exit(server, worker):
    _multiprocess.mark_process_dead(worker.pid)


def on_exit(server):
    _shutil.rmtree(_os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
