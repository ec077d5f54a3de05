"""Constraints: what parameters must be after each update."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .checks import number
from .naming import elsewhere
from .registry import Registered, make, name_of

if TYPE_CHECKING:
    from typing import Any

    from .program import Buffer, Program

__all__ = ["Constraint", "MaxNorm", "NonNeg", "get"]


class Constraint(Registered, kind="constraint"):
    """A condition that parameters are made to meet after each update.

    Examples
    --------
    >>> import fastbp
    >>> layer = fastbp.Dense(1, kernel_constraint=fastbp.constraints.NonNeg(), use_bias=False)
    >>> model = fastbp.Sequential([layer], input_shape=2)
    >>> model.compile(fastbp.optimizers.SGD(lr=1), "mse")
    >>> layer.w = [[1], [2]]
    >>> loss = model.train_on_batch([[1, 0]], [-9])  # pulls the first weight far below 0
    >>> layer.w.tolist()
    [[0.0], [2.0]]
    """

    def emit(self, program: Program, w: Buffer, layer: str) -> None:
        """Add the calls that change `w` in place.

        Parameters
        ----------
        program : Program
        w : Buffer
            A parameter.
        layer : str
            The name of the layer that owns the calls, for listings.

        Examples
        --------
        >>> from fastbp.program import Program
        >>> program = Program("float32")
        >>> NonNeg().emit(program, program.buffer("w", (4, 3), role="parameter"), "dense_1")
        >>> program.calls
        [non_negative(w[4, 3]) -> w[4, 3]]
        """
        raise NotImplementedError

    def get_config(self) -> list[Any]:
        """Return what `get` needs to make the same object again: its name and its arguments.

        Returns
        -------
        list

        Examples
        --------
        >>> MaxNorm(3).get_config()
        ['MaxNorm', {'max_value': 3.0}]
        """
        return [name_of(type(self)), dict(vars(self))]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"


class MaxNorm(Constraint, names=("max_norm",)):
    """The weights that lead to one unit, a column of `w`, are scaled down to a Euclidean norm of `max_value` [1]_.

    Of weights of a convolution, (kh, kw, channels, filters), they are all that stand before the last axis: Keras'
    ``axis=[0, 1, 2]``. A column that is short enough keeps its bits. Keras divides by the norm plus 1e-7.

    Parameters
    ----------
    max_value : float
        Positive.

    References
    ----------
    .. [1] Srivastava et al. 2014, JMLR 15, section 5.1

    Examples
    --------
    >>> MaxNorm(3)
    MaxNorm(max_value=3.0)
    """

    def __init__(self, max_value: float = 2.0) -> None:
        self.max_value = number("max_value", max_value, 0, math.inf, closed_low=False)

    def emit(self, program: Program, w: Buffer, layer: str) -> None:
        """Add the calls that change `w` in place."""
        if len(w.shape) == 1:  # a vector is one column, as in Keras
            w = program.buffer(f"{w.name}.column", (*w.shape, 1), role=w.role, parent=w.parent, offset=w.offset)
        program.call("max_norm", w.matrix(), layer=layer, limit=self.max_value)


class NonNeg(Constraint, names=("non_neg",)):
    """Negative parameters become 0: ``w = max(w, 0)``.

    Examples
    --------
    >>> import fastbp
    >>> fastbp.Dense(3, kernel_constraint="non_neg").kernel_constraint
    NonNeg()
    """

    def emit(self, program: Program, w: Buffer, layer: str) -> None:
        """Add the calls that change `w` in place."""
        program.call("non_negative", w, layer=layer)


def get(constraint: Constraint | str | list[Any] | None) -> Constraint | None:
    """Return a constraint from an object, its name or its `get_config`; None stays None.

    Parameters
    ----------
    constraint : Constraint, str, list or None

    Returns
    -------
    Constraint or None

    Examples
    --------
    >>> get("max_norm"), get(NonNeg()), get(None)
    (MaxNorm(max_value=2.0), NonNeg(), None)
    """
    return None if constraint is None else make(Constraint, constraint)


def __getattr__(name: str) -> Any:
    return elsewhere(__name__, name)
