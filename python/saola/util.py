# SPDX-License-Identifier: MIT
"""Finding the application, and small things that several modules need."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from saola.errors import AppImportError


def warn(message: str) -> None:
    """A message that cannot be overlooked, on stderr, before there is a log."""
    print("!!!", file=sys.stderr)
    for index, line in enumerate(message.splitlines()):
        print("!!! " + ("WARNING: " if index == 0 else "") + line, file=sys.stderr)
    print("!!!\n", file=sys.stderr)
    sys.stderr.flush()


def getcwd() -> str:
    """The current directory, by the name that $PWD gives it if it is the same one."""
    try:
        named, here = os.stat(os.environ["PWD"]), os.stat(os.getcwd())
        if (named.st_ino, named.st_dev) == (here.st_ino, here.st_dev):
            return os.environ["PWD"]
    except (KeyError, OSError):
        pass
    return os.getcwd()


#: Where the program was started: a reload and an upgrade begin there again, whatever `chdir` says.
START_DIRECTORY = getcwd()


def get_arity(function: Callable[..., Any]) -> int:
    """How many positional parameters it has, those with a default counted."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return sum(parameter.kind in positional for parameter in parameters)


def parse_address(address: str, default_port: str = "8000") -> str | int | tuple[str, int]:
    """A bind string: a path (unix:), a descriptor (fd://), or host and port."""
    for prefix in ("unix://", "unix:"):
        if address.startswith(prefix):
            return address[len(prefix) :]
    if address.startswith("fd://"):
        try:
            return int(address[5:])
        except ValueError:
            text = f"{address[5:]!r} is not a valid file descriptor."
            raise RuntimeError(text) from None
    address = address.removeprefix("tcp://")
    host, port = address, default_port
    if "[" in address and "]" in address:
        host, _, rest = address.partition("]")
        host = host[1:]
        port = rest[1:] if rest.startswith(":") else default_port
    elif ":" in address:
        host, port = address.split(":")[:2]
    elif not address:
        host = "0.0.0.0"
    try:
        return host.lower(), int(port)
    except ValueError:
        raise RuntimeError(f"{port!r} is not a valid port number.") from None


def import_app(module: str) -> Any:
    """The application that MODULE[:OBJECT] names.

    OBJECT is a name, `application` unless given, or a call of one with literal arguments.
    AppImportError says that it is not there; whatever else the module raises passes through.
    """
    module, _, wanted = module.partition(":") if ":" in module else (module, "", "application")
    try:
        namespace = importlib.import_module(module)
    except ImportError:
        if module.endswith(".py") and os.path.exists(module):
            suggestion = f"{module[:-3]}:{wanted}"
            text = f"Failed to find application, did you mean '{suggestion}'?"
            raise ImportError(text) from None
        raise

    name, call = _parse_object(wanted)
    try:
        app = getattr(namespace, name)
    except AttributeError:
        raise AppImportError(f"Failed to find attribute {name!r} in {module!r}.") from None
    if call is not None:
        app = _call_factory(app, *call)
    if app is None:
        raise AppImportError(f"Failed to find application object: {wanted!r}")
    if not callable(app):
        raise AppImportError("Application object must be callable.")
    return app


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
