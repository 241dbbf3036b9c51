# SPDX-License-Identifier: MIT
"""Gunicorn's parser. Not there yet."""

from saola._later import later

raise later(__name__)
