"""Layers: shapes, parameters, and the calls that they add to a program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..names import check_name
from .base import Layer, ParameterSpec, as_shape
from .core import ACTIVATIONS, Activation, Dense

if TYPE_CHECKING:
    from typing import Any

__all__ = ["ACTIVATIONS", "Activation", "Dense", "Layer", "ParameterSpec", "as_shape", "from_config"]

_CLASSES = {"Dense": Dense, "Activation": Activation}


def from_config(kind: str, config: dict[str, Any]) -> Layer:
    """Return a layer from its class name and `Layer.get_config`."""
    check_name("layer", kind, _CLASSES)
    return _CLASSES[kind](**config)
