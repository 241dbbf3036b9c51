# SPDX-License-Identifier: MIT
# After airflow/www/gunicorn_config.py of Apache Airflow 2, which is named as
# python:airflow.www.gunicorn_config: Airflow watches for workers with this prefix in their titles.
import setproctitle

GUNICORN_WORKER_READY_PREFIX = "[ready] "


def post_worker_init(_):
    setproctitle.setproctitle(GUNICORN_WORKER_READY_PREFIX + setproctitle.getproctitle())


def on_starting(server):
    server.log.info("Looking for providers")
