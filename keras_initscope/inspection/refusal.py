"""The error of a look.

Owns its name.
"""

from __future__ import annotations


class InspectionError(ValueError):
    """What was asked for cannot be looked at; the message says why and what can."""
