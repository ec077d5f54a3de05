"""What arrays hold: their element types, and whether their bits are the same."""

from __future__ import annotations

import numpy as np

__all__ = ["dtype_of", "same_bits"]


def dtype_of(dtype: str, real: np.dtype) -> np.dtype:
    """Return the dtype of an operand ("real", "i8", "u1" or "f8") in a program of a real type."""
    return real if dtype == "real" else np.dtype(dtype)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays are the same to the bit, dtype and shape too; NaN equals NaN, whatever its payload."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind != "f":
        return np.array_equal(a, b)
    unsigned = f"u{a.itemsize}"
    return bool(((a.view(unsigned) == b.view(unsigned)) | ((a != a) & (b != b))).all())
