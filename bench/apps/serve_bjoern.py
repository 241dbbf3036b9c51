# SPDX-License-Identifier: MIT
"""bjoern has no command of its own: serve_bjoern.py PORT MODULE:APP"""

from __future__ import annotations

import importlib
import sys

import bjoern

port, target = sys.argv[1:]
module, _, name = target.partition(":")
app = getattr(importlib.import_module(module), name)
bjoern.run(app, "127.0.0.1", int(port), listen_backlog=4096)
