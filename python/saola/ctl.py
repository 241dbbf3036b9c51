# SPDX-License-Identifier: MIT
"""The control socket and its client. Not there yet."""

from saola._later import later

raise later(__name__)
