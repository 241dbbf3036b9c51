# SPDX-License-Identifier: MIT
"""A Flask application that logs where the server does."""

from __future__ import annotations

import logging

import flask


def create_app(greeting: str) -> flask.Flask:
    app = flask.Flask(__name__)
    server = logging.getLogger("gunicorn.error")
    app.logger.handlers = server.handlers
    app.logger.setLevel(server.level)

    @app.route("/")
    def index() -> str:
        app.logger.info("greeting, over %s", flask.request.scheme)
        return greeting

    return app
