"""Layers that compute with a number or an array that stays as it is, and one that passes no gradient on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..checks import as_numbers, number
from .base import Layer

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from numpy.typing import ArrayLike

    from ..program import Buffer, Program
    from ..tensor import Tensor
    from .base import Backward, ParameterSpec

__all__ = ["Divide", "Rescaling", "Scale", "Shift", "StopGradient", "stop_gradient"]


class _Constant(Layer):
    """What `Scale` and `Shift` share: an operand that is a number, or an array for each row or each last axis."""

    _argument = ""

    def __init__(
        self, operand: ArrayLike, input_shape: int | tuple[int, ...] | None = None, name: str | None = None
    ) -> None:
        super().__init__(input_shape, name)
        self.number: float | None = None
        self.array: np.ndarray | None = None
        if np.ndim(operand):
            self.array = np.array(as_numbers(self._argument, operand), np.float64)
            if not np.isfinite(self.array).all():
                raise ValueError(f"{self._argument} has NaN or infinity in it; all of its numbers must be finite")
        else:
            self.number = number(self._argument, operand)

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and the same shape, if an array fits it."""
        shape = input_shape if self.array is None else self.array.shape
        if shape not in (input_shape, input_shape[-1:]):
            must = "it must have that shape, or that of their last axis"
            raise ValueError(f"{self.name}: {self._argument} of shape {shape} and rows of shape {input_shape}; {must}")
        return [], input_shape

    def _maker(self, program: Program, of_number: str, of_array: str) -> Callable[[Buffer], Buffer]:
        """Return what adds the call of one of two kernels: of a number, or of an array and rows that are as long."""
        array = self.array
        options: Any = {self._argument: self.number}
        if array is None:
            return lambda x: program.call(of_number, x, layer=self.name, **options)
        constant = program.constant(f"{self.name}.{self._argument}", array.reshape(-1))

        def make(x):
            rows = x.matrix(1) if array.shape == x.shape[1:] else x.matrix()
            return program.call(of_array, rows, constant, layer=self.name).reshaped(x.shape)

        return make

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        value = self.number if self.array is None else self.array.tolist()
        return {self._argument: value, **super().get_config()}

    def __repr__(self) -> str:
        if self.array is None:
            return super().__repr__()
        return f"{type(self).__name__}({self._argument}=<array of shape {self.array.shape}>, name={self.name!r})"


class Scale(_Constant):
    """Each row times a number, or times an array that stays as it is: ``y = x * factor``.

    Parameters
    ----------
    factor : float or array_like
        An array has the shape of a row, or that of its last axis.
    input_shape : int or tuple of int, optional
    name : str, optional

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.layers.Scale(-1), fastbp.layers.Scale([1, 10])], input_shape=2)
    >>> model.predict([[1, 2]])
    array([[ -1., -20.]], dtype=float32)
    """

    _argument = "factor"

    def __init__(
        self, factor: ArrayLike, input_shape: int | tuple[int, ...] | None = None, name: str | None = None
    ) -> None:
        super().__init__(factor, input_shape, name)

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add the product; that of dy is the gradient."""
        times = self._maker(program, "scale_by", "scale_forward")
        return times(x), lambda dy, need_dx: times(dy) if need_dx else None


class Shift(_Constant):
    """Each row and a number, or an array that stays as it is: ``y = x + offset``.

    Parameters
    ----------
    offset : float or array_like
        An array has the shape of a row, or that of its last axis.
    input_shape : int or tuple of int, optional
    name : str, optional

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.layers.Shift(-1), fastbp.layers.Shift([1, 10])], input_shape=2)
    >>> model.predict([[1, 2]])
    array([[ 1., 11.]], dtype=float32)
    """

    _argument = "offset"

    def __init__(
        self, offset: ArrayLike, input_shape: int | tuple[int, ...] | None = None, name: str | None = None
    ) -> None:
        super().__init__(offset, input_shape, name)

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add the sum; dy is the gradient."""
        return self._maker(program, "shift_by", "bias_forward")(x), lambda dy, need_dx: dy if need_dx else None


class Rescaling(Layer):
    """Each row times a number, and a number: ``y = x * scale + offset``. It makes small numbers of images' bytes.

    Where the offset is 0 nothing is added.

    Parameters
    ----------
    scale, offset : float
    input_shape : int or tuple of int, optional
    name : str, optional

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.Rescaling(1 / 127.5, offset=-1)], input_shape=(1, 2, 1))
    >>> model.predict(np.array([[[[0], [255]]]], "uint8")).reshape(-1)
    array([-1.,  1.], dtype=float32)
    """

    def __init__(
        self,
        scale: float,
        offset: float = 0.0,
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(input_shape, name)
        self.scale, self.offset = number("scale", scale), number("offset", offset)

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and the same shape."""
        return [], input_shape

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add the product and the sum; the product of dy is the gradient."""

        def times(z: Buffer) -> Buffer:
            return program.call("scale_by", z, layer=self.name, factor=self.scale)

        y = times(x)
        if self.offset:
            y = program.call("shift_by", y, layer=self.name, offset=self.offset)
        return y, lambda dy, need_dx: times(dy) if need_dx else None

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"scale": self.scale, "offset": self.offset, **super().get_config()}


class Divide(Layer):
    """Each row over a number: ``y = x / divisor``.

    Parameters
    ----------
    divisor : float
        Not 0.
    input_shape : int or tuple of int, optional
    name : str, optional

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.layers.Divide(4)], input_shape=2)
    >>> model.predict([[1, 2]])
    array([[0.25, 0.5 ]], dtype=float32)
    """

    def __init__(
        self, divisor: float, input_shape: int | tuple[int, ...] | None = None, name: str | None = None
    ) -> None:
        super().__init__(input_shape, name)
        self.divisor = number("divisor", divisor)
        if self.divisor == 0:
            raise ValueError(f"divisor is {divisor!r}; it must be other than 0")

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and the same shape."""
        return [], input_shape

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add the division; that of dy is the gradient."""

        def over(z: Buffer) -> Buffer:
            return program.call("divide_by", z, layer=self.name, divisor=self.divisor)

        return over(x), lambda dy, need_dx: over(dy) if need_dx else None

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"divisor": self.divisor, **super().get_config()}


class StopGradient(Layer):
    """The same numbers, ``y = x``, and no gradient: what lies before does not learn from what comes behind.

    Parameters
    ----------
    input_shape : int or tuple of int, optional
    name : str, optional

    Examples
    --------
    >>> import fastbp
    >>> x = fastbp.Input(2)
    >>> h = fastbp.Dense(3, name="before")(x)
    >>> model = fastbp.Model(x, fastbp.Dense(1, name="behind")(fastbp.layers.StopGradient()(h)))
    >>> model.compile("sgd", "mse")
    >>> "before" in [call.layer for call in model.program.calls if call.phase == "backward"]
    False
    """

    passes_on = True
    stops_gradient = True

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and the same shape."""
        return [], input_shape

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add no call."""
        return x, lambda dy, need_dx: None


def stop_gradient(tensor: Tensor) -> Tensor:
    """Return a tensor of the same numbers, through which no gradient goes.

    Parameters
    ----------
    tensor : Tensor

    Returns
    -------
    Tensor

    Examples
    --------
    >>> import fastbp
    >>> x = fastbp.Input(4)
    >>> h = fastbp.Dense(4, activation="tanh")(x)
    >>> model = fastbp.Model(x, fastbp.Dense(2)(fastbp.stop_gradient(h)))
    >>> model.compile("sgd", "mse")
    >>> before = model.layers[0].w.copy()
    >>> loss = model.train_on_batch([[1, 2, 3, 4]], [[1, 0]])
    >>> bool((model.layers[0].w == before).all())
    True
    """
    stopped: Tensor = StopGradient()(tensor)
    return stopped
