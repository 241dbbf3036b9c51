# SPDX-License-Identifier: MIT
"""Task workers. Not there yet."""

from saola._later import later

raise later(__name__)
