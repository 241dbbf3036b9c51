# SPDX-License-Identifier: MIT
# As tracers tell people to (ddtrace, and "Working With Fork Process Models" of OpenTelemetry): what
# has threads begins after the fork, and the application is wrapped when it has been loaded.
import threading

finished = []


def export(event, log):
    while True:
        event.wait()
        event.clear()
        log.info("exported %s", finished.pop())


def post_fork(server, worker):
    server.log.info("Worker spawned (pid: %s)", worker.pid)
    worker.tracing = threading.Event()
    threading.Thread(target=export, args=(worker.tracing, worker.log), daemon=True).start()


def post_worker_init(worker):
    application = worker.wsgi

    def traced(environ, start_response):
        environ["tracing.worker"] = worker.pid
        return application(environ, start_response)

    worker.wsgi = traced


def post_request(worker, req, environ, resp):
    finished.append(f"{req.method} {req.path} {resp.status_code} {environ['tracing.worker']}")
    worker.tracing.set()
