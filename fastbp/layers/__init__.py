"""Layers: shapes, parameters, and the calls that they add to a program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..checks import check_name
from .base import Layer, ParameterSpec, as_shape
from .core import ACTIVATIONS, Activation, Dense, PReLU
from .embedding import Embedding
from .norm import BatchNorm, LayerNorm, RMSNorm
from .random import AlphaDropout, Dropout, GaussianNoise
from .shape import Flatten, Reshape

if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "AlphaDropout",
    "BatchNorm",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianNoise",
    "Layer",
    "LayerNorm",
    "PReLU",
    "ParameterSpec",
    "RMSNorm",
    "Reshape",
    "as_shape",
    "from_config",
]

_CLASSES: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        Dense, Activation, PReLU, LayerNorm, RMSNorm, BatchNorm, Embedding, Flatten, Reshape, Dropout, AlphaDropout,
        GaussianNoise,
    )
}


def from_config(kind: str, config: dict[str, Any]) -> Layer:
    """Return a layer from its class name and `Layer.get_config`.

    Parameters
    ----------
    kind : str
        The name of the class.
    config : dict of str to object

    Returns
    -------
    Layer

    Raises
    ------
    ValueError
        If there is no such layer.

    Examples
    --------
    >>> from_config("Dense", {"units": 3, "activation": "relu"}).units
    3
    """
    check_name("layer", kind, _CLASSES)
    later = {name: config[name] for name in ("trainable", "lr_factor") if name in config}
    layer: Layer = _CLASSES[kind](**{name: value for name, value in config.items() if name not in later})
    for name, value in later.items():
        setattr(layer, name, value)
    return layer
