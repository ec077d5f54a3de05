"""The layer that looks rows up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import initializers, regularizers
from ..checks import integer
from ..frames import place
from .base import Layer, ParameterSpec

if TYPE_CHECKING:
    from typing import Any

    from ..initializers import Initializer
    from ..program import Buffer, Program
    from ..regularizers import Regularizer
    from .base import Backward

__all__ = ["Embedding"]


class Embedding(Layer):
    """Rows of a matrix, looked up by number: ``y = w[x]``.

    It takes the data of the model, whole numbers from 0 to ``input_dim - 1`` (of any dtype; the model holds them as
    its own, and float32 has all whole numbers up to 2**24). A row of shape ``(n,)`` becomes one of
    ``(n, output_dim)``, of which `Dense` takes each of the n positions by itself, after `Flatten` all together.

    Parameters
    ----------
    input_dim : int
        How many rows there are.
    output_dim : int
        Their length.
    embeddings_initializer : str or Initializer
        For `w`.
    input_shape : int or tuple of int, optional
    name : str, optional
    activity_regularizer : str or Regularizer, optional
        A penalty on the rows that are looked up, see `fastbp.regularizers.Regularizer.emit_activity`.

    Attributes
    ----------
    w : ndarray, shape (input_dim, output_dim)
        `dw` is its gradient, of the same shape: rows that no input names have the gradient 0, and the optimizer goes
        over them as well.

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.Embedding(1000, 8), fastbp.Flatten(), fastbp.Dense(2)], input_shape=5)
    >>> model.count_params()
    8082
    >>> model.predict([[3, 1, 4, 1, 5]]).shape
    (1, 2)
    """

    parameters = ("w",)

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: str | Initializer = "uniform",
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
        activity_regularizer: str | Regularizer | None = None,
    ) -> None:
        super().__init__(input_shape, name)
        self.input_dim, self.output_dim = integer("input_dim", input_dim, 1), integer("output_dim", output_dim, 1)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.activity_regularizer = regularizers.get(activity_regularizer)

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return `w` and the output shape, one dimension more."""
        spec = ParameterSpec("w", (self.input_dim, self.output_dim), self.embeddings_initializer)
        return [spec], (*input_shape, self.output_dim)

    def check_data(self, name: str, x: np.ndarray) -> bool:
        """Raise unless the inputs are row numbers."""
        wrong = ~((x >= 0) & (x < self.input_dim) & (x == np.trunc(x)))
        if wrong.any():
            at = tuple(np.argwhere(wrong)[0])
            what = f"{self.name} takes whole numbers in 0 .. {self.input_dim - 1}"
            raise ValueError(f"{place(name, at)} is {x[at]}; {what}")
        return False

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add ``y = w[x]``."""
        if program.dtype == "float32" and self.input_dim > 1 << 24:
            raise ValueError(f"{self.name}: input_dim is {self.input_dim}; float32 cannot count beyond 2**24 rows")
        numbers = x.matrix(1)
        y = program.call("embedding_forward", numbers, weights["w"], layer=self.name)

        def backward(dy, need_dx):
            if need_dx:
                raise ValueError(
                    f"{self.name}: row numbers have no gradient; no layer before it may have parameters, and there is "
                    f"no input_gradient. {self.name}.dy is the gradient of its output, after backward()"
                )
            if gradients:
                into = {"dw": gradients["w"]}
                dy = dy.reshaped(y.shape)
                program.call("embedding_backward", dy, numbers, weights["w"], layer=self.name, into=into)

        return y.reshaped((*x.shape, self.output_dim)), backward

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        activity = self.activity_regularizer
        return {
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": self.embeddings_initializer.get_config(),
            **({} if activity is None else {"activity_regularizer": activity.get_config()}),
            **super().get_config(),
        }
