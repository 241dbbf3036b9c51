# SPDX-License-Identifier: MIT
"""The tornado worker class. Not there yet."""

from saola._later import later

raise later(__name__)
