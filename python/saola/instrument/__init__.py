# SPDX-License-Identifier: MIT
"""Where metrics go."""
