# SPDX-License-Identifier: MIT
"""What worker classes with greenlets have in common. Not there yet."""

from saola._later import later

raise later(__name__)
