# SPDX-License-Identifier: MIT
"""Real applications: Django, Flask and Falcon, side by side with Gunicorn; wsgiref.validate."""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.cookiejar import CookieJar
from pathlib import Path

import pytest
from client import Headers, Response, build_request, chunked
from conftest import Serve
from server import APPS, GUNICORN, PATIENT, Server

MIB = 1 << 20
UPLOAD = random.Random(3).randbytes(MIB) * 20
BOUNDARY = "----boundary-of-the-test"


def multipart(files: dict[str, bytes], fields: dict[str, str]) -> tuple[str, bytes]:
    """Content-Type and body of a form."""
    parts = [
        f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode()
        for name, value in fields.items()
    ]
    parts += [
        f'Content-Disposition: form-data; name="{name}"; filename="{name}.bin"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n".encode()
        + value
        for name, value in files.items()
    ]
    mark = f"--{BOUNDARY}\r\n".encode()
    body = b"".join(mark + part + b"\r\n" for part in parts) + f"--{BOUNDARY}--\r\n".encode()
    return f"multipart/form-data; boundary={BOUNDARY}", body


@pytest.fixture(scope="session")
def django_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a database in which there is an administrator."""
    directory = tmp_path_factory.mktemp("django")
    env = os.environ | {
        "DJANGOSITE_DATA": str(directory),
        "DJANGO_SETTINGS_MODULE": "djangosite.settings",
        "DJANGO_SUPERUSER_PASSWORD": "secret",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(APPS), os.environ.get("PYTHONPATH")])),
    }
    for arguments in (
        ["migrate", "--verbosity=0"],
        ["createsuperuser", "--noinput", "--username=admin", "--email=a@example.com"],
    ):
        subprocess.run(
            [sys.executable, "-m", "django", *arguments],
            env=env,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return directory


def django_env(template: Path, directory: Path) -> dict[str, str]:
    shutil.copy(template / "db.sqlite3", directory)
    return {
        "DJANGOSITE_DATA": str(directory),
        "DJANGO_SETTINGS_MODULE": "djangosite.settings",
    }


# --- Django, as a browser sees it


@pytest.fixture(scope="module")
def django(
    serve_module: Serve, django_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Server:
    env = django_env(django_template, tmp_path_factory.mktemp("django-alone"))
    return serve_module("djangosite.wsgi", *PATIENT, env=env)


class Browser:
    """The standard library's client, with cookies."""

    def __init__(self, server: Server) -> None:
        host, port = server.tcp
        self.base = f"http://{host}:{port}"
        self.jar = CookieJar()
        self.opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(self.jar), urllib.request.ProxyHandler({})
        )

    def get(self, path: str) -> str:
        with self.opener.open(self.base + path, timeout=60) as response:
            text: str = response.read().decode()
            return text

    def post(self, path: str, **fields: str) -> str:
        (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(path))[:1]
        data = urllib.parse.urlencode(fields | {"csrfmiddlewaretoken": token}).encode()
        request = urllib.request.Request(self.base + path, data, {"Referer": self.base + path})
        with self.opener.open(request, timeout=60) as response:
            text: str = response.read().decode()
            return text


def test_django_admin_login_and_session(django: Server) -> None:
    browser = Browser(django)
    assert "Log in" in browser.get("/admin/")
    assert "Please enter the correct username" in browser.post(
        "/admin/login/?next=/admin/", username="admin", password="wrong"
    )
    assert "Site administration" in browser.post(
        "/admin/login/?next=/admin/", username="admin", password="secret"
    )
    assert {cookie.name for cookie in browser.jar} == {"csrftoken", "sessionid"}
    assert "was added successfully" in browser.post("/admin/auth/group/add/", name="editors")
    assert "editors" in browser.get("/admin/auth/group/")
    assert [browser.get("/count/") for _ in range(3)] == ["1", "2", "3"]
    assert "Log in" in Browser(django).get("/admin/")


def test_django_upload_of_20_mib(django: Server) -> None:
    kind, body = multipart({"big": UPLOAD}, {"note": "h\u00e9"})
    host, port = django.tcp
    connection = http.client.HTTPConnection(host, port, timeout=60)
    for _ in range(2):
        connection.request("POST", "/upload/", body, {"Content-Type": kind})
        answer = json.loads(connection.getresponse().read())
        assert answer["fields"] == {"note": ["h\u00e9"]}
        assert answer["files"]["big"][:2] == ["big.bin", len(UPLOAD)]
    connection.close()


def test_django_streams_and_files(django: Server) -> None:
    browser = Browser(django)
    assert browser.get("/stream/").splitlines()[-1] == "999,998001"
    assert browser.get("/file/") == (APPS / "djangosite" / "urls.py").read_text()
    assert "teal" in browser.get("/static/site.css")


# --- side by side


@dataclass
class Ask:
    """A request that both servers get."""

    target: str
    method: str = "GET"
    headers: Headers = ()
    body: bytes | None = None
    version: str = "1.1"
    without: Sequence[str] = ()  # cookies that are not sent
    form: dict[str, str] = field(default_factory=dict)  # sent with the CSRF token


class Session:
    """One keep-alive connection to a server, and the cookies it has set."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.connection = server.connect(timeout=60)
        self.cookies: dict[str, str] = {}

    def ask(self, ask: Ask) -> Response:
        headers = list(ask.headers)
        body = ask.body
        cookies = {key: value for key, value in self.cookies.items() if key not in ask.without}
        if ask.form:
            form = ask.form | {"csrfmiddlewaretoken": self.cookies["csrftoken"]}
            body = urllib.parse.urlencode(form).encode()
            headers.append(("Content-Type", "application/x-www-form-urlencoded"))
        if cookies:
            headers.append(("Cookie", "; ".join(f"{k}={v}" for k, v in cookies.items())))
        self.connection.send(
            build_request(
                ask.target,
                method=ask.method,
                headers=headers,
                body=body,
                version=ask.version,
                host="shop.example",
            )
        )
        response = self.connection.read_response(ask.method, ask.version)
        for cookie in response.all("Set-Cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        if response.closes:
            self.connection.expect_closed()
            self.connection = self.server.connect(timeout=60)
        return response


RANDOM = [
    (re.compile(r"(csrftoken|sessionid|session|messages)=[^;]+"), r"\1=..."),
    (re.compile(r"(?i)expires=[^;]+"), "expires=..."),
    (re.compile(r'(name="csrfmiddlewaretoken" value=")\w+'), r"\1..."),
    (re.compile(r'("HTTP_COOKIE": )"[^"]*"'), r"\1..."),
    (re.compile(r"\d\d?(:\d\d)? [ap]\.m\.|noon|midnight"), "time"),
    (re.compile(r'value="\d\d:\d\d:\d\d"'), 'value="time"'),
]


def neutral(text: str) -> str:
    for pattern, replacement in RANDOM:
        text = pattern.sub(replacement, text)
    return text


def shape(response: Response, unlike: set[str]) -> dict[str, object]:
    """What has to be the same on both servers."""
    headers = [
        (name, neutral(value)) for name, value in response.headers if name.lower() not in unlike
    ]
    body: str | bytes = response.body
    if b"csrf" in response.body or b"HTTP_COOKIE" in response.body or b" a.m." in response.body:
        body = neutral(response.body.decode())
    return {
        "status": (response.version, response.status, response.reason),
        "headers": headers,
        "framing": response.framing,
        "body": body,
        "trailers": response.trailers,
    }


# Headers that may differ: Date and Django's Expires are of another second. A response whose
# Set-Cookie carries random text differs in length when it is compressed, which these requests do
# not ask for.
UNLIKE = {"server", "date", "expires"}

STATIC = "/static/admin/css/base.css"
DJANGO = [
    Ask("/"),
    Ask("/", method="HEAD"),
    Ask("/", version="1.0"),
    Ask("/", version="1.0", headers=[("Connection", "keep-alive")]),
    Ask("/?a=1&b=%20", headers=[("Accept-Language", "en")]),
    Ask("/meta/?a=1&a=2&b=%C3%A9+", headers=[("X-Some", "thing")]),
    Ask("/meta/%C3%A9t%C3%A9/a%2Fb/"),
    Ask("/meta", headers=[("X-Forwarded-Proto", "https")]),
    Ask("/no/such/page"),
    Ask("/meta", method="POST", body=b"x"),
    Ask("/error/"),
    Ask("/redirect/"),
    Ask("/unmodified/"),
    Ask("/cookies/"),
    Ask("/stream/"),
    Ask("/stream/", method="HEAD"),
    Ask("/stream/", version="1.0"),
    Ask("/file/"),
    Ask("/file/", method="HEAD"),
    Ask("/file/", version="1.0"),
    Ask("/download/"),
    Ask(STATIC),
    Ask(STATIC, method="HEAD"),
    Ask(STATIC, headers=[("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT")]),
    Ask("/static/site.css"),
    Ask("/static/none.css"),
    Ask("/static/../settings.py"),
    Ask("/body/", method="POST", body=b"x" * 100_000),
    Ask(
        "/body/",
        method="POST",
        body=chunked([b"abc", b"d" * 5000]),
        headers=[("Transfer-Encoding", "chunked")],
    ),
    Ask("/body/", method="POST", body=b"", headers=[("Content-Type", "text/plain")]),
    Ask(
        "/upload/",
        method="POST",
        body=multipart({"big": UPLOAD, "small": b"1"}, {"a": "1"})[1],
        headers=[("Content-Type", multipart({}, {})[0])],
    ),
    Ask(
        "/upload/", method="POST", body=b"broken", headers=[("Content-Type", multipart({}, {})[0])]
    ),
    Ask("/admin/"),
    Ask("/admin/login/?next=/admin/"),
    Ask("/admin/login/?next=/admin/", method="POST", form={"username": "admin", "password": "x"}),
    Ask("/admin/login/", method="POST", body=b"no=token"),
    Ask(
        "/admin/login/?next=/admin/",
        method="POST",
        form={"username": "admin", "password": "secret", "next": "/admin/"},
    ),
    Ask("/admin/"),
    Ask("/admin/auth/user/"),
    Ask("/admin/auth/user/1/change/"),
    Ask("/admin/auth/group/add/", method="POST", form={"name": "writers"}),
    Ask("/admin/auth/group/"),
    Ask("/count/"),
    Ask("/count/"),
    Ask("/count/", without=["sessionid"]),
    Ask("/admin/logout/", method="POST", form={"x": "y"}),
    Ask("/admin/"),
]

FLASK = [
    Ask("/"),
    Ask("/", method="HEAD"),
    Ask("/", method="OPTIONS"),
    Ask("/", method="DELETE"),
    Ask("/json?a=1&a=2&b=%C3%A9"),
    Ask("/json", headers=[("X-Forwarded-Proto", "https")]),
    Ask(
        "/json",
        method="POST",
        body=b"a=1&b=%20",
        headers=[("Content-Type", "application/x-www-form-urlencoded")],
    ),
    Ask("/json", method="PUT", body=b'{"k": [1]}', headers=[("Content-Type", "application/json")]),
    Ask("/names/J%C3%BCrgen"),
    Ask("/names/a%2Fb"),
    Ask(
        "/upload",
        method="POST",
        body=multipart({"f": b"x" * MIB}, {})[1],
        headers=[("Content-Type", multipart({}, {})[0])],
    ),
    Ask("/raw", method="POST", body=bytes(range(256))),
    Ask(
        "/input",
        method="POST",
        body=chunked([b"a" * 100_000] * 12),
        headers=[("Transfer-Encoding", "chunked")],
    ),
    Ask("/stream"),
    Ask("/stream", version="1.0"),
    Ask("/stream", method="HEAD"),
    Ask("/file"),
    Ask("/file", method="HEAD"),
    Ask("/file", headers=[("Range", "bytes=10-99")]),
    Ask("/file", headers=[("Range", "bytes=-5")]),
    Ask("/file", headers=[("Range", "bytes=999999-")]),
    Ask("/file", headers=[("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT")]),
    Ask("/count"),
    Ask("/count"),
    Ask("/redirect"),
    Ask("/abort/404"),
    Ask("/abort/418"),
    Ask("/error"),
    Ask("/empty"),
    Ask("/headers"),
    Ask("/none"),
]

JSON = [("Content-Type", "application/json")]
FALCON = [
    Ask("/"),
    Ask("/", method="HEAD"),
    Ask("/", method="POST", body=b"x"),
    Ask("/", method="OPTIONS"),
    Ask("/none"),
    Ask("/things/one"),
    Ask("/things/one", method="PUT", body=b'{"a": "\xc3\xa9"}', headers=JSON),
    Ask("/things/one"),
    Ask("/things/one", method="PUT", body=b"broken", headers=JSON),
    Ask("/things/one", method="DELETE"),
    Ask("/things/one"),
    Ask("/body", method="POST", body=UPLOAD[: 3 * MIB]),
    Ask("/body", method="POST", body=b""),
    Ask("/stream"),
    Ask("/stream", version="1.0"),
    Ask("/stream?length=true"),
    Ask("/stream?length=true", method="HEAD"),
    Ask("/error"),
]


def compare(ours: Server, theirs: Server, asks: Sequence[Ask]) -> None:
    for server in (ours, theirs):
        server.allow("raised by a view")
    our_session, their_session = Session(ours), Session(theirs)
    for ask in asks:
        expected = shape(their_session.ask(ask), UNLIKE)
        found = shape(our_session.ask(ask), UNLIKE)
        assert found == expected, f"{ask.method} {ask.target} HTTP/{ask.version}"


def test_django_as_on_gunicorn(serve: Serve, django_template: Path, tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    ours = serve("djangosite.wsgi", *PATIENT, env=django_env(django_template, tmp_path / "ours"))
    theirs = serve(
        "djangosite.wsgi",
        *PATIENT,
        env=django_env(django_template, tmp_path / "theirs"),
        command=GUNICORN,
    )
    compare(ours, theirs, DJANGO)


@pytest.mark.parametrize(
    ("app", "asks"), [("flaskapp:app", FLASK), ("falconapp:app", FALCON)], ids=["flask", "falcon"]
)
def test_framework_as_on_gunicorn(serve: Serve, app: str, asks: Sequence[Ask]) -> None:
    compare(serve(app, *PATIENT), serve(app, *PATIENT, command=GUNICORN), asks)


# --- wsgiref.validate


@pytest.mark.parametrize(
    ("path", "method", "body", "expected"),
    [
        ("/list", "GET", None, b"a list"),
        ("/list", "HEAD", None, b""),
        ("/generator", "GET", None, b"a generator"),
        ("/generator", "HEAD", None, b""),
        ("/write", "GET", None, b"written, returned"),
        ("/exc-info", "GET", None, b"replaced"),
        ("/input", "POST", b"abcd\nefghijk\nl\nm\n", b"abc|d\n|efgh|ijk\n|l\n|m\n|"),
        ("/input", "GET", None, b"|||"),
        ("/errors", "GET", None, b"see the log"),
        ("/empty", "GET", None, b""),
    ],
)
def test_validated(
    validated: Server, path: str, method: str, body: bytes | None, expected: bytes
) -> None:
    for _ in range(2):
        response = validated.request(path, method=method, body=body)
        assert response.status in (200, 204, 503)
        assert response.body == expected


def test_validated_file(validated: Server) -> None:
    assert validated.request("/file").body == (APPS / "validated.py").read_bytes()


def test_validated_chunked_input(validated: Server) -> None:
    response = validated.request(
        "/input?q=1",
        method="POST",
        headers=[("Transfer-Encoding", "chunked"), ("Content-Type", "text/plain")],
        body=chunked([b"abcd\nefghijk\nl\nm\n"]),
    )
    assert response.body == b"abc|d\n|efgh|ijk\n|l\n|m\n|"


@pytest.fixture(scope="module")
def validated(serve_module: Serve) -> Server:
    return serve_module("validated:app")
