# SPDX-License-Identifier: MIT
"""A Falcon application."""

from __future__ import annotations

import hashlib
import io

import falcon


class Index:
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        response.text = "Falcon answers\n"


class Things:
    def __init__(self) -> None:
        self.things: dict[str, object] = {}

    def on_get(self, request: falcon.Request, response: falcon.Response, name: str) -> None:
        if name not in self.things:
            raise falcon.HTTPNotFound(title="No such thing", description=name)
        response.media = self.things[name]

    def on_put(self, request: falcon.Request, response: falcon.Response, name: str) -> None:
        response.status = falcon.HTTP_200 if name in self.things else falcon.HTTP_201
        self.things[name] = request.get_media()

    def on_delete(self, request: falcon.Request, response: falcon.Response, name: str) -> None:
        self.things.pop(name, None)
        response.status = falcon.HTTP_204


class Body:
    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        digest = hashlib.sha256()
        while chunk := request.bounded_stream.read(65536):
            digest.update(chunk)
        response.text = digest.hexdigest()


class Stream:
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """A file-like object: goes through wsgi.file_wrapper."""
        data = b"streamed " * 20_000
        if request.get_param_as_bool("length"):
            response.set_stream(io.BytesIO(data), len(data))
        else:
            response.stream = io.BytesIO(data)


class Error:
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        raise falcon.HTTPServiceUnavailable(title="Later", retry_after=30)


app = falcon.App()
app.add_route("/", Index())
app.add_route("/things/{name}", Things())
app.add_route("/body", Body())
app.add_route("/stream", Stream())
app.add_route("/error", Error())
