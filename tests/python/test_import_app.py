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
