# SPDX-License-Identifier: MIT
"""Finding the application that MODULE[:OBJECT] names, and saying what is there if it is not."""

from __future__ import annotations

import ast
import difflib
import importlib
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from saola.errors import AppImportError

#: How many names an error lists.
SHOWN = 10
#: What applications are mostly called, and the functions that make them.
USUAL = ("application", "app", "wsgi", "wsgi_app", "create_app()", "make_app()")


def import_app(module: str) -> Any:
    """The application that MODULE[:OBJECT] names.

    OBJECT is a name, `application` unless given, or a call of one with literal arguments.
    AppImportError says that it is not there; whatever else the module raises passes through.
    """
    module, _, wanted = module.partition(":") if ":" in module else (module, "", "application")
    namespace = _import_module(module, wanted)
    name, call = _parse_object(wanted)
    try:
        app = getattr(namespace, name)
    except AttributeError:
        text = f"Failed to find attribute {name!r} in {module!r}."
        raise AppImportError(text + _what_is_in(namespace, name)) from None
    if call is not None:
        app = _call_factory(app, *call)
    if app is None:
        raise AppImportError(f"Failed to find application object: {wanted!r}")
    if not callable(app):
        raise AppImportError("Application object must be callable.")
    return app


# Modules. -----------------------------------------------------------------------------------------


def _import_module(module: str, wanted: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if module.endswith(".py") and os.path.exists(module):
            suggestion = f"{module[:-3]}:{wanted}"
            text = f"Failed to find application, did you mean '{suggestion}'?"
            raise ImportError(text) from None
        if isinstance(error, ModuleNotFoundError) and _is_part(error.name, module):
            # The module itself is not there, or a package above it: not one that it imports.
            text = f"{error}\n{_what_is_near(module, error.name or module)}"
            raise ModuleNotFoundError(text, name=error.name, path=error.path) from None
        raise


def _is_part(name: str | None, module: str) -> bool:
    return name is not None and (module == name or module.startswith(name + "."))


def _what_is_near(module: str, missing: str) -> str:
    """Where a module was looked for, and what is there that has a name like it."""
    parent, _, name = missing.rpartition(".")
    where = getattr(sys.modules.get(parent), "__path__", sys.path) if parent else sys.path
    folders = [os.path.abspath(folder) for folder in dict.fromkeys(where)]
    lines = [f"Looked for {name!r} in {_listed(folders)}.", f"The directory is {os.getcwd()}."]
    there = sorted({found.name for found in pkgutil.iter_modules(folders)})
    close = difflib.get_close_matches(name, there, n=3, cutoff=0.7)
    if close:
        meant = [module.replace(missing, f"{parent}.{found}".lstrip("."), 1) for found in close]
        lines.append(f"There is {_listed(meant)}.")
    elif os.path.isdir(name):
        lines.append(f"There is a directory {name!r}: the module in it is {name}.MODULE.")
    return "\n".join(lines)


# Objects. -----------------------------------------------------------------------------------------


def _what_is_in(module: ModuleType, name: str) -> str:
    """Which callables the module has that may be what was meant: its own, and known objects."""
    found = [other for other, value in vars(module).items() if _may_be_app(module, other, value)]
    file = getattr(module, "__file__", None) or "no file"
    text = f"\n{module.__name__!r} is {file}"
    if not found:
        return f"{text}, which has no callable of its own."
    text = f"{text}, whose callables are {_listed(found)}."
    meant = _likely(name, found)
    return text if meant is None else f"{text} Did you mean '{module.__name__}:{meant}'?"


def _likely(name: str, found: list[str]) -> str | None:
    """The name that was mistyped, or one that applications usually have."""
    close = difflib.get_close_matches(name, found, n=1, cutoff=0.75)
    usual = [name for name in USUAL if name.removesuffix("()") in found]
    alone = found if len(found) == 1 else []
    return next(iter([*close, *usual, *alone]), None)


def _may_be_app(module: ModuleType, name: str, value: Any) -> bool:
    if name.startswith("_") or not callable(value):
        return False
    try:
        if isinstance(value, type) or hasattr(value, "__code__"):
            return getattr(value, "__module__", None) == module.__name__
    except Exception:
        return False  # a proxy of what is not there now, such as Flask's request
    return True  # an object that can be called, such as those of frameworks


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
    return ", ".join(shown[:SHOWN]) + more


_Call = tuple[list[Any], dict[str, Any]]


def _parse_object(wanted: str) -> tuple[str, _Call | None]:
    """Its name, and the arguments if it is a call."""
    neither = f"Failed to parse {wanted!r} as an attribute name or function call."
    try:
        expression = ast.parse(wanted, mode="eval").body
    except (SyntaxError, ValueError):
        raise AppImportError(neither) from None
    if isinstance(expression, ast.Name):
        return expression.id, None
    if not isinstance(expression, ast.Call):
        raise AppImportError(neither)
    if not isinstance(expression.func, ast.Name):
        raise AppImportError(f"Function reference must be a simple name: {wanted!r}")
    try:
        return expression.func.id, _literal_arguments(expression)
    except (TypeError, ValueError):
        text = f"Failed to parse arguments as literal values: {wanted!r}"
        raise AppImportError(text) from None


def _literal_arguments(call: ast.Call) -> _Call:
    keywords: dict[str, Any] = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            raise ValueError("** is not a literal argument")
        keywords[keyword.arg] = ast.literal_eval(keyword.value)
    return [ast.literal_eval(argument) for argument in call.args], keywords


def _call_factory(factory: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    try:
        return factory(*args, **kwargs)
    except TypeError as error:
        # Raised here and not in a frame below: the factory does not take these arguments.
        frame = error.__traceback__
        if frame is not None and frame.tb_next is None:
            line = "".join(traceback.format_exception_only(type(error), error)).strip()
            raise AppImportError(line) from None
        raise
