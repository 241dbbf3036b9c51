# SPDX-License-Identifier: MIT
"""A Flask application with one route, as small as Flask's own first example."""

from __future__ import annotations

from flask import Flask

app = Flask(__name__)


@app.route("/flask/<name>")
def greet(name: str) -> str:
    return f"Hello, {name}!"
