# SPDX-License-Identifier: MIT
"""The gevent worker classes. Not there yet."""

from saola._later import later

raise later(__name__)
