# SPDX-License-Identifier: MIT
# After "WSGI" of Sentry's documentation for Python: one client per worker, around the application.
# Events end in a file instead of at Sentry's.
import json

import sentry_sdk
from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware


def before_send(event, hint):
    with open("events.txt", "a") as file:
        file.write(json.dumps(event["exception"]["values"][0]["type"]) + "\n")


def post_fork(server, worker):
    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", before_send=before_send)


def post_worker_init(worker):
    worker.wsgi = SentryWsgiMiddleware(worker.wsgi)
