"""What `Model.compile` warns of: a loss that does not go with the outputs of the layers."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .layers import Layer
    from .losses import Loss

__all__ = ["doubts_of_number", "doubts_of_outputs", "last_activation"]


def _activation(layer: Layer | None) -> str | None:
    """Return the activation that makes a layer's outputs, by its name."""
    found = getattr(layer, "activation", None)
    return getattr(found, "activation", found)


def last_activation(layers: Sequence[Layer]) -> str | None:
    """Return the activation that makes the outputs, as far as predictions go."""
    return _activation(next((layer for layer in reversed(layers) if not layer.passes_on), None))


def doubts_of_outputs(layers: Sequence[Layer], loss: Loss) -> list[str]:
    """Return what to warn of: outputs that are not what the loss takes."""
    doubt = loss.doubt(last_activation(layers))
    if doubt is not None:
        return [doubt]
    last = takewhile(lambda layer: layer.passes_on, reversed(layers))
    return [
        f"layer {layer.name} comes after the last activation: in training the outputs are no probabilities, "
        f"which {type(loss).__name__} takes; put it before the layer with the activation"
        for layer in last
        if layer.random and loss.link is not None and not loss.from_logits
    ]


def doubts_of_number(layers: Sequence[Layer], shapes: Sequence[tuple[int, ...]], loss: Loss) -> list[str]:
    """Return what to warn of in the number of outputs, and of units of a softmax: classes of which there is one.

    Parameters
    ----------
    layers : sequence of Layer
    shapes : sequence of tuple of int
        Of a row of each layer's output.
    loss : Loss

    Returns
    -------
    list of str
    """
    found = [
        f"layer {layer.name} is a {_activation(layer)} of one unit, which is always the same: "
        "use activation='sigmoid', or a unit for each class"
        for layer, shape in zip(layers, shapes, strict=True)
        if _activation(layer) in ("softmax", "log_softmax") and shape[-1:] == (1,)
    ]
    if not found and (loss.link == "softmax" or loss.targets == "one_hot") and shapes[-1][-1:] == (1,):
        found.append(
            f"the model has one output, and {type(loss).__name__} wants one for each class: "
            "for two classes take a loss on one output, such as 'binary_crossentropy'"
        )
    return found
