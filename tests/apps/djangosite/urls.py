# SPDX-License-Identifier: MIT
"""Routes and views."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator

from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotModified,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from djangosite.settings import HERE


def index(request: HttpRequest) -> HttpResponse:
    return HttpResponse("Django answers\n", content_type="text/plain")


def meta(request: HttpRequest) -> HttpResponse:
    names = (
        *("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH"),
        *("HTTP_HOST", "HTTP_COOKIE", "HTTP_X_SOME", "SCRIPT_NAME", "SERVER_PROTOCOL"),
        *("REMOTE_ADDR", "wsgi.url_scheme"),
    )
    found = {name: request.META.get(name) for name in names}
    return JsonResponse(found | {"uri": request.build_absolute_uri(), "get": dict(request.GET)})


@csrf_exempt
def upload(request: HttpRequest) -> HttpResponse:
    files = {}
    for name, file in request.FILES.items():
        digest = hashlib.sha256()
        for chunk in file.chunks():
            digest.update(chunk)
        files[name] = [file.name, file.size, file.content_type, digest.hexdigest()]
    return JsonResponse({"files": files, "fields": dict(request.POST)})


@csrf_exempt
def body(request: HttpRequest) -> HttpResponse:
    return HttpResponse(hashlib.sha256(request.body).hexdigest(), content_type="text/plain")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def rows() -> Iterator[str]:
        for number in range(1000):
            yield f"{number},{number * number}\r\n"

    return StreamingHttpResponse(rows(), content_type="text/csv")


def file(request: HttpRequest) -> FileResponse:
    return FileResponse((HERE / "urls.py").open("rb"))


def download(request: HttpRequest) -> FileResponse:
    return FileResponse(
        io.BytesIO(b"\0\1\2" * 50_000), as_attachment=True, filename="d\u00e9j\u00e0 vu.bin"
    )


def count(request: HttpRequest) -> HttpResponse:
    """A session that counts."""
    request.session["count"] = request.session.get("count", 0) + 1
    return HttpResponse(str(request.session["count"]), content_type="text/plain")


def cookies(request: HttpRequest) -> HttpResponse:
    response = HttpResponse(status=204)
    response.set_cookie("one", "1", max_age=60, httponly=True)
    response.set_cookie("two", "a b", samesite="Lax")
    response.delete_cookie("three")
    return response


def error(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("raised by a view")


def redirect(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect("/meta/?from=redirect")


def unmodified(request: HttpRequest) -> HttpResponseBase:
    return HttpResponseNotModified()


urlpatterns = [
    path("", index),
    path("meta/", meta),
    path("meta/<path:rest>", lambda request, rest: meta(request)),
    path("upload/", upload),
    path("body/", body),
    path("stream/", stream),
    path("file/", file),
    path("download/", download),
    path("count/", count),
    path("cookies/", cookies),
    path("error/", error),
    path("redirect/", redirect),
    path("unmodified/", unmodified),
    path("static/<path:path>", serve, {"insecure": True}),
    path("admin/", admin.site.urls),
]
