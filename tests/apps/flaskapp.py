# SPDX-License-Identifier: MIT
"""A Flask application."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import flask
from flask import request

app = flask.Flask(__name__)
app.secret_key = "not secret: a test"


@app.route("/")
def index() -> str:
    return "Flask answers\n"


@app.route("/json", methods=["GET", "POST", "PUT"])
def json() -> Any:
    return {
        "method": request.method,
        "arguments": request.args.to_dict(flat=False),
        "form": request.form.to_dict(flat=False),
        "json": request.get_json(silent=True),
        "path": request.path,
        "url": request.url,
        "remote": request.remote_addr,
        "secure": request.is_secure,
        "cookies": request.cookies.to_dict(),
    }


@app.route("/names/<name>")
def names(name: str) -> str:
    return f"Hello, {name}"


@app.route("/upload", methods=["POST"])
def upload() -> Any:
    return {
        key: [file.filename, hashlib.sha256(file.read()).hexdigest()]
        for key, file in request.files.items()
    }


@app.route("/raw", methods=["POST"])
def raw() -> bytes:
    return request.get_data()


@app.route("/input", methods=["POST"])
def read_input() -> str:
    """Reads the stream itself, whatever the framing."""
    digest = hashlib.sha256()
    while chunk := request.stream.read(10_000):
        digest.update(chunk)
    return digest.hexdigest()


@app.route("/stream")
def stream() -> flask.Response:
    def rows() -> Iterator[str]:
        for number in range(500):
            yield f"row {number}\n"

    return flask.Response(rows(), mimetype="text/plain")


@app.route("/file")
def file() -> flask.Response:
    return flask.send_file(__file__, mimetype="text/x-python", conditional=True)


@app.route("/count")
def count() -> str:
    flask.session["count"] = flask.session.get("count", 0) + 1
    return str(flask.session["count"])


@app.route("/redirect")
def redirect() -> Any:
    return flask.redirect("/json?from=redirect")


@app.route("/abort/<int:status>")
def abort(status: int) -> str:
    flask.abort(status)


@app.route("/error")
def error() -> str:
    raise RuntimeError("raised by a view")


@app.route("/empty")
def empty() -> Any:
    return "", 204


@app.route("/headers")
def headers() -> Any:
    return "headers", 202, [("X-One", "1"), ("X-One", "2"), ("Cache-Control", "no-store")]
