"""Metrics that a program counts while it trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .names import check_name

if TYPE_CHECKING:
    from .losses import Loss
    from .program import Buffer, Program

__all__ = ["NAMES", "Metric", "resolve"]

#: The metrics that `compile` takes.
NAMES = ("accuracy",)


class Metric:
    """A count of hits, to be divided by the number of predictions.

    Attributes
    ----------
    name : str
        In the history.
    kernel : str
        A kernel of the table that writes ``hits``.
    attributes : dict
    per_row : int
        Predictions a row.
    """

    __slots__ = ("attributes", "kernel", "name", "per_row")

    def __init__(self, name: str, kernel: str, attributes: dict[str, float], per_row: int) -> None:
        self.name, self.kernel, self.attributes, self.per_row = name, kernel, attributes, per_row

    def emit(self, program: Program, y_pred: Buffer, y_true: Buffer) -> Buffer:
        """Add the count of a batch to a program; return its buffer."""
        hits = program.buffer(self.name, (), "i8", role="result")
        return program.call(self.kernel, y_pred, y_true, layer="metric", into={"hits": hits}, **self.attributes)


def resolve(name: str, loss: Loss, n_out: int) -> Metric:
    """Return the metric of that name for a loss and a number of outputs.

    Raises
    ------
    ValueError
        If there is none of that name, or it makes no sense for the loss.
    """
    check_name("metric", name, NAMES)
    if loss.targets == "labels":
        return Metric(name, "sparse_categorical_accuracy", {}, 1)
    if loss.link == "softmax":
        return Metric(name, "categorical_accuracy", {}, 1)
    if loss.link == "sigmoid":
        return Metric(name, "binary_accuracy", {"threshold": 0.0 if loss.from_logits else 0.5}, n_out)
    raise ValueError(f"metric 'accuracy' needs a cross-entropy loss, got {loss!r}")
