# SPDX-License-Identifier: MIT
"""Whether logs can be had as the settings want them, asked before a reload changes anything."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from saola import _core, _logconfig, glogging
from saola.instrument.statsd import Statsd

if TYPE_CHECKING:
    from saola.config import Config


def check(cfg: Config) -> None:
    """RuntimeError if not, as far as that can be told beforehand: what a class of the user's opens,
    and what handlers of a logging configuration do, is seen when they are made. Nothing changes,
    but that log files exist afterwards."""
    if getattr(cfg.logger_class, "setup", None) not in (glogging.Logger.setup, Statsd.setup):
        return
    if cfg.syslog:
        glogging.syslog_options(cfg)
    _core.access_log_check(glogging.set_or_default(cfg, "access_log_format"))
    for path in (cfg.errorlog, cfg.accesslog):
        if path not in (None, "-"):
            _require_writable(path)
    if not cfg.logconfig_dict:
        _require_readable(cfg)


def _require_writable(path: str) -> None:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
    try:
        # Who reads a FIFO would notice.
        if not os.path.exists(path) or os.path.isfile(path) or os.path.isdir(path):
            os.close(os.open(path, flags, 0o666))
    except OSError as error:
        raise glogging.not_writable(path, error) from None


def _require_readable(cfg: Config) -> None:
    """The file of a logging configuration."""
    if cfg.logconfig_json:
        if os.path.exists(cfg.logconfig_json):
            _logconfig.read_json(cfg.logconfig_json)
    elif cfg.logconfig:
        _logconfig.require_ini(cfg.logconfig)
