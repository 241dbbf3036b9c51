# SPDX-License-Identifier: MIT
"""A Django project: admin, sessions on SQLite, static files, uploads, streams, files."""
