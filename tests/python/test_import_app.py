# SPDX-License-Identifier: MIT
"""APP_MODULE: what it may be, and what is said about what it may not be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from saola.errors import AppImportError
from saola.util import import_app

MODULE = """
def application(environ, start_response): return [b'application']
def other(environ, start_response): return [b'other']
def factory(*args, **kwargs):
    return lambda environ, start_response: [args, kwargs]
def one(argument): return application
def broken(): raise TypeError('from inside')
def nested(): return one()
nothing = None
number = 5
def gives_none(): return None
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some_app.py").write_text(MODULE)
    (tmp_path / "bad_syntax.py").write_text("def\n")
    (tmp_path / "fails.py").write_text("raise RuntimeError('no')\n")
    (tmp_path / "missing_import.py").write_text("import no_such_module\n")
    monkeypatch.chdir(tmp_path)
    for name in ("some_app", "bad_syntax", "fails", "missing_import"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("some_app", [b"application"]),
        ("some_app:application", [b"application"]),
        ("some_app:other", [b"other"]),
        ("some_app:factory()", [(), {}]),
        ("some_app:factory(1, 'a:b', x=[2])", [(1, "a:b"), {"x": [2]}]),
        ("some_app: factory(-1)".replace(" ", ""), [(-1,), {}]),
        ("some_app:one({'a': None})", [b"application"]),
    ],
)
def test_it_is_found(name: str, body: list[object]) -> None:
    assert import_app(name)({}, None) == body


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("", "Failed to parse '' as an attribute name or function call."),
        ("a b", "Failed to parse 'a b' as an attribute name or function call."),
        ("a.b", "Failed to parse 'a.b' as an attribute name or function call."),
        ("a[0]", "Failed to parse 'a[0]' as an attribute name or function call."),
        ("a\0", "Failed to parse 'a\\x00' as an attribute name or function call."),
        ("a.b()", "Function reference must be a simple name: 'a.b()'"),
        ("a()()", "Function reference must be a simple name: 'a()()'"),
        ("factory(x)", "Failed to parse arguments as literal values: 'factory(x)'"),
        ("factory(*[1])", "Failed to parse arguments as literal values: 'factory(*[1])'"),
        ("factory(**{})", "Failed to parse arguments as literal values: 'factory(**{})'"),
        ("factory({[]: 1})", "Failed to parse arguments as literal values: 'factory({[]: 1})'"),
        ("no_such", "Failed to find attribute 'no_such' in 'some_app'."),
        ("one()", "TypeError: one() missing 1 required positional argument: 'argument'"),
        ("nothing", "Failed to find application object: 'nothing'"),
        ("gives_none()", "Failed to find application object: 'gives_none()'"),
        ("number", "Application object must be callable."),
    ],
)
def test_it_is_not_there(wanted: str, text: str) -> None:
    with pytest.raises(AppImportError) as caught:
        import_app(f"some_app:{wanted}")
    assert str(caught.value).splitlines()[0] == text


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("no_such_module_at_all", ModuleNotFoundError, "No module named 'no_such_module_at_all'"),
        ("missing_import", ModuleNotFoundError, "No module named 'no_such_module'"),
        ("fails", RuntimeError, "no"),
        ("bad_syntax", SyntaxError, ""),
        ("some_app:broken()", TypeError, "from inside"),
        ("some_app:nested()", TypeError, "missing 1 required positional argument"),
        ("some_app.py", ImportError, "did you mean 'some_app:application'?"),
        ("some_app.py:other", ImportError, "did you mean 'some_app:other'?"),
    ],
)
def test_the_application_s_own_errors_pass_through(
    name: str, kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind) as caught:
        import_app(name)
    assert text in str(caught.value)


# What is there instead. ---------------------------------------------------------------------------


def told(name: str, kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        import_app(name)
    return str(caught.value)


def test_the_callables_of_the_module(tmp_path: Path) -> None:
    text = told("some_app:aplication", AppImportError)
    assert text == (
        "Failed to find attribute 'aplication' in 'some_app'.\n"
        f"'some_app' is {tmp_path / 'some_app.py'}, whose callables are application, other, "
        "factory, one, broken, nested, gives_none. Did you mean 'some_app:application'?"
    )


def test_what_is_imported_is_not_offered(tmp_path: Path) -> None:
    (tmp_path / "imports_app.py").write_text(
        "from os.path import join\nfrom some_app import other\nclass _Hidden: pass\n"
        "import functools\nwsgi = functools.partial(other)\n"
    )
    text = told("imports_app", AppImportError)
    assert text.endswith("whose callables are wsgi. Did you mean 'imports_app:wsgi'?")


def test_what_cannot_be_asked_is_not_offered(tmp_path: Path) -> None:
    (tmp_path / "proxy_app.py").write_text(
        "class _Proxy:\n"
        "    def __call__(self): ...\n"
        "    def __getattr__(self, name): raise RuntimeError('no request')\n"
        "request = _Proxy()\n"
        "def app(environ, start_response): ...\n"
    )
    text = told("proxy_app", AppImportError)
    assert text.endswith("whose callables are app. Did you mean 'proxy_app:app'?")


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("def create_app(): ...\ndef helper(): ...", "Did you mean 'hint_app:create_app()'?"),
        ("def app(): ...\ndef create_app(): ...", "Did you mean 'hint_app:app'?"),
        ("def whatever(): ...", "Did you mean 'hint_app:whatever'?"),
        ("def one(): ...\ndef two(): ...", "whose callables are one, two."),
        ("\n".join(f"def f{i:02}(): ..." for i in range(13)), "f08, f09 and 3 more."),
    ],
)
def test_hints(tmp_path: Path, source: str, hint: str) -> None:
    (tmp_path / "hint_app.py").write_text(source)
    sys.modules.pop("hint_app", None)
    assert told("hint_app:main", AppImportError).endswith(hint)


def test_a_module_without_callables(tmp_path: Path) -> None:
    (tmp_path / "data_app.py").write_text("number = 5\n")
    text = told("data_app", AppImportError)
    assert text.endswith(
        f"'data_app' is {tmp_path / 'data_app.py'}, which has no callable of its own."
    )


def test_a_module_with_a_name_like_it(tmp_path: Path) -> None:
    text = told("some_ap:other", ModuleNotFoundError)
    first, where, here, there = text.splitlines()
    assert first == "No module named 'some_ap'"
    assert where.startswith(f"Looked for 'some_ap' in {tmp_path}, ")
    assert here == f"The directory is {tmp_path}."
    assert there == "There is some_app."


def test_a_module_of_a_package(tmp_path: Path) -> None:
    (tmp_path / "some_package").mkdir()
    (tmp_path / "some_package" / "__init__.py").touch()
    (tmp_path / "some_package" / "wsgi.py").touch()
    text = told("some_package.wsgy", ModuleNotFoundError)
    assert text.splitlines()[0] == "No module named 'some_package.wsgy'"
    assert f"Looked for 'wsgy' in {tmp_path / 'some_package'}." in text
    assert "There is some_package.wsgi." in text
    text = told("some_pakage.wsgi", ModuleNotFoundError)
    assert "There is some_package.wsgi." in text


def test_what_the_module_imports_is_its_own_affair() -> None:
    text = told("missing_import", ModuleNotFoundError)
    assert text == "No module named 'no_such_module'"
