# SPDX-License-Identifier: MIT
"""fastpysgi's command cannot set its listen backlog: serve_fastpysgi.py PORT MODULE:APP"""

from __future__ import annotations

import importlib
import sys

import fastpysgi

port, target = sys.argv[1:]
module, _, name = target.partition(":")
app = getattr(importlib.import_module(module), name)
fastpysgi.server.backlog = 4096
fastpysgi.run(app, host="127.0.0.1", port=int(port), loglevel=fastpysgi.LL_FATAL_ERROR)
