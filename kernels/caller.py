"""Warnings that point at the line of the user's that called fastbp, however deep the call is."""

from __future__ import annotations

import sys
import warnings

__all__ = ["warn"]


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the nearest line outside fastbp."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "fastbp":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
