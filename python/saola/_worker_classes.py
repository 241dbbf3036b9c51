# SPDX-License-Identifier: MIT
"""What the setting worker_class may be, and which of it there is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from saola.config import Config

#: By the last part of the names of their classes.
_CLASSES = {
    "SyncWorker": "sync",
    "ThreadWorker": "gthread",
    "GeventWorker": "gevent",
    "GeventPyWSGIWorker": "gevent_pywsgi",
    "EventletWorker": "eventlet",
    "ASGIWorker": "asgi",
    "TornadoWorker": "tornado",
    "AiohttpWorker": "gaiohttp",
}
KINDS = (*_CLASSES.values(), "gevent_wsgi", "aiohttp")
SUPPORTED = ("sync",)


def _find_kind(uri: str) -> str | None:
    """The kind of worker that a name stands for, None for none that is known here."""
    egg = re.fullmatch(r"egg:(?:gunicorn|saola)#(\w+)", uri)
    if egg is not None:
        uri = egg[1]
    dotted = re.fullmatch(r"(?:gunicorn|saola)\.workers\.\w+\.(\w+)", uri)
    return _CLASSES.get(dotted[1]) if dotted is not None else uri if uri in KINDS else None


def _is_elsewhere(uri: str) -> bool:
    """The name is not of this package: whether there is such a class is not known here."""
    return not re.match(r"egg:(gunicorn|saola)\b|(gunicorn|saola)\.", uri) and (
        "." in uri or uri.startswith("egg:")
    )


def worker_class_error(config: Config) -> str | None:
    """What to tell the user if there is no such worker class, or not yet."""
    value = config.get("worker_class")
    if isinstance(value, str):
        kind = _find_kind(value)
        if kind is None and not _is_elsewhere(value):
            return _unknown(config, value)
        if kind in SUPPORTED:
            return None
    else:
        from saola.workers.sync import SyncWorker

        if value is SyncWorker or value is None:
            return None
    shown, origin = config.render("worker_class"), config.describe_origin("worker_class")
    rest = "Remove it, or set it to sync."
    return f"worker_class = {shown} is not supported yet (from {origin}). {rest}"


def _unknown(config: Config, uri: str) -> str:
    later = ", ".join(kind for kind in KINDS if kind not in SUPPORTED)
    return (
        f"class uri {uri!r} invalid or not found: worker_class (from "
        f"{config.describe_origin('worker_class')}) can be {', '.join(SUPPORTED)}; "
        f"{later} are not supported yet"
    )


def worker_class_name(config: Config) -> str:
    value = config.get("worker_class")
    return value if isinstance(value, str) else str(value.__name__)


def load_worker_class(config: Config) -> Any:
    """The class itself."""
    value = config.get("worker_class")
    if not isinstance(value, str):
        return value
    if _find_kind(value) in SUPPORTED:
        from saola.workers.sync import SyncWorker

        return SyncWorker
    raise RuntimeError(worker_class_error(config))
