"""Regularizers: penalties on the size of weights, added to the loss."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .checks import number
from .naming import elsewhere
from .registry import Registered, make, name_of

if TYPE_CHECKING:
    from typing import Any

    from .program import Buffer, Program

__all__ = ["L1", "L1L2", "L2", "L2PerRow", "Regularizer", "get"]


class Regularizer(Registered, kind="regularizer"):
    """The penalty ``l1 * sum(|w|) + l2 * sum(w**2)``: Keras' `L1L2`.

    As the ``activity_regularizer`` of a layer it is one on the layer's output, over the rows of the batch; a subclass
    with calls of its own has `emit` and `emit_gradient` for parameters, `emit_activity` and `emit_activity_gradient`
    for outputs. PyTorch's ``weight_decay=d`` of SGD is an l2 of d / 2. The derivative of ``|w|`` at 0 is 0.

    Examples
    --------
    >>> import fastbp
    >>> layer = fastbp.Dense(1, kernel_regularizer=fastbp.regularizers.L2(0.1), use_bias=False)
    >>> model = fastbp.Sequential([layer], input_shape=2)
    >>> model.compile("sgd", "mse")
    >>> layer.w = [[1], [2]]
    >>> loss = model.evaluate([[0, 0]], [0])["loss"]  # no error, so the penalty: 0.1 * (1 + 4)
    >>> round(loss, 6)
    0.5
    """

    l1 = 0.0
    l2 = 0.0
    #: Whether `emit` and `emit_gradient` read ``program.rows``: what the batch counts for.
    per_row = False

    def emit(self, program: Program, w: Buffer, loss: Buffer, layer: str) -> Buffer:
        """Add the penalty on `w` to a loss; return the sum.

        Parameters
        ----------
        program : Program
        w : Buffer
            A parameter.
        loss : Buffer
            The scalar.
        layer : str
            The name of the layer that owns the calls, for listings.

        Returns
        -------
        Buffer

        Examples
        --------
        >>> from fastbp.program import Program
        >>> program = Program("float32")
        >>> w, loss = program.buffer("w", (4, 3), role="parameter"), program.buffer("loss", ())
        >>> total = L2(1e-4).emit(program, w, loss, "dense_1")
        >>> [call.kernel.name for call in program.calls]
        ['l1_l2_penalty', 'add']
        """
        penalty = program.call("l1_l2_penalty", w, layer=layer, l1=self.l1, l2=self.l2)
        return program.call("add", loss, penalty, layer=layer)

    def emit_gradient(self, program: Program, w: Buffer, dw: Buffer, layer: str) -> None:
        """Add the derivative of the penalty to `dw`.

        Parameters
        ----------
        program : Program
        w, dw : Buffer
            A parameter and its gradient.
        layer : str
            The name of the layer that owns the calls, for listings.

        Examples
        --------
        >>> from fastbp.program import Program
        >>> program = Program("float32")
        >>> w, dw = program.buffer("w", (4, 3), role="parameter"), program.buffer("dw", (4, 3), role="gradient")
        >>> L2(1e-4).emit_gradient(program, w, dw, "dense_1")
        >>> program.calls
        [l1_l2_gradient(w[4, 3], dw[4, 3]) -> dw[4, 3]]
        """
        program.call("l1_l2_gradient", w, dw, layer=layer, l1=self.l1, l2=self.l2)

    def emit_activity(self, program: Program, y: Buffer, loss: Buffer, layer: str) -> Buffer:
        """Add the penalty on a layer's output to a loss; return the sum.

        It is ``loss + (l1 * abs(y) + l2 * (y * y)).sum() / len(y)``, in this order: as in Keras the penalty is divided
        by the number of rows of the batch, so that it weighs the same in batches of any length. A row of several
        dimensions counts once.

        Parameters
        ----------
        program : Program
        y : Buffer
            The output, of any shape (batch, ...).
        loss : Buffer
            The scalar.
        layer : str
            The name of the layer that owns the calls, for listings.

        Returns
        -------
        Buffer

        Raises
        ------
        NotImplementedError
            If a class has an `emit` of its own and no `emit_activity`.

        Examples
        --------
        >>> from fastbp.program import BATCH, Program
        >>> program = Program("float32")
        >>> y, loss = program.buffer("y", (BATCH, 5, 3)), program.buffer("loss", ())
        >>> total = L1(1e-4).emit_activity(program, y, loss, "dense_1")
        >>> [call.kernel.name for call in program.calls]
        ['activity_penalty', 'add']
        """
        if type(self).emit is not Regularizer.emit and type(self).emit_activity is Regularizer.emit_activity:
            raise NotImplementedError(f"{type(self).__name__} has no emit_activity: it is for parameters only")
        penalty = program.call("activity_penalty", y.matrix(1), layer=layer, l1=self.l1, l2=self.l2)
        return program.call("add", loss, penalty, layer=layer)

    def emit_activity_gradient(self, program: Program, y: Buffer, dy: Buffer | None, layer: str) -> Buffer:
        """Add the gradient of the penalty on a layer's output to that of all else; return the sum.

        It is ``dy + (l1 * sign(y) + 2 * l2 * y) / len(y)``, where the sign of 0 is 0.

        Parameters
        ----------
        program : Program
        y : Buffer
            The output, of any shape (batch, ...).
        dy : Buffer or None
            dLoss/dy of what follows the layer, which stays as it is; None where nothing does.
        layer : str
            The name of the layer that owns the calls, for listings.

        Returns
        -------
        Buffer, shape of y

        Examples
        --------
        >>> from fastbp.program import BATCH, Program
        >>> program = Program("float32")
        >>> y, dy = program.buffer("y", (BATCH, 3)), program.buffer("dy", (BATCH, 3))
        >>> total = L1(1e-4).emit_activity_gradient(program, y, dy, "dense_1")
        >>> [call.kernel.name for call in program.calls]
        ['activity_gradient', 'add']
        """
        slope = program.call("activity_gradient", y.matrix(1), layer=layer, l1=self.l1, l2=self.l2).reshaped(y.shape)
        total: Buffer = slope if dy is None else program.call("add", dy, slope, layer=layer)
        return total

    def get_config(self) -> list[Any]:
        """Return what `get` needs to make the same object again: its name and its arguments.

        Returns
        -------
        list

        Examples
        --------
        >>> L2(1e-4).get_config()
        ['L2', {'l2': 0.0001}]
        """
        return [name_of(type(self)), dict(vars(self))]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"


class L1(Regularizer, names=("l1",)):
    """``l1 * sum(|w|)``: many weights become 0.

    Parameters
    ----------
    l1 : float
        Not negative.

    Examples
    --------
    >>> import fastbp
    >>> fastbp.Dense(3, kernel_regularizer=L1(1e-4)).kernel_regularizer
    L1(l1=0.0001)
    """

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = number("l1", l1, 0, math.inf)


class L2(Regularizer, names=("l2",)):
    """``l2 * sum(w**2)``: large weights become smaller.

    Parameters
    ----------
    l2 : float
        Not negative.

    Examples
    --------
    >>> get("l2")
    L2(l2=0.01)
    """

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = number("l2", l2, 0, math.inf)


class L1L2(Regularizer, names=("l1_l2",)):
    """``l1 * sum(|w|) + l2 * sum(w**2)``, the elastic net.

    Parameters
    ----------
    l1, l2 : float
        Not negative.

    Examples
    --------
    >>> L1L2(l1=1e-5, l2=1e-4)
    L1L2(l1=1e-05, l2=0.0001)
    """

    def __init__(self, l1: float = 0.01, l2: float = 0.01) -> None:
        self.l1, self.l2 = number("l1", l1, 0, math.inf), number("l2", l2, 0, math.inf)


class L2PerRow(Regularizer, names=("l2_per_row",)):
    """``l2 * sum(w**2) / rows``, with the rows of the batch: a prior that counts once for the whole of the data.

    Parameters
    ----------
    l2 : float
        Not negative. Half of scikit-learn's ``alpha``.

    Notes
    -----
    Where samples have weights and the loss's reduction is "mean_with_sample_weight", the sum of the batch's weights
    stands for its rows. What `evaluate` adds depends on how many rows it takes at a time.

    Examples
    --------
    >>> import fastbp
    >>> layer = fastbp.Dense(1, kernel_regularizer=L2PerRow(0.1), use_bias=False)
    >>> model = fastbp.Sequential([layer], input_shape=2)
    >>> model.compile("sgd", "mse")
    >>> layer.w = [[1], [2]]
    >>> [round(model.evaluate([[0, 0]] * rows, [0] * rows)["loss"], 6) for rows in (1, 2, 5)]
    [0.5, 0.25, 0.1]
    """

    per_row = True

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = number("l2", l2, 0, math.inf)

    def emit(self, program: Program, w: Buffer, loss: Buffer, layer: str) -> Buffer:
        """Add the penalty on `w` to a loss; return the sum."""
        penalty = program.call("l2_per_row_penalty", w, program.rows, layer=layer, l2=self.l2)
        return program.call("add", loss, penalty, layer=layer)

    def emit_gradient(self, program: Program, w: Buffer, dw: Buffer, layer: str) -> None:
        """Add the derivative of the penalty to `dw`."""
        program.call("l2_per_row_gradient", w, dw, program.rows, layer=layer, l2=self.l2)


def get(regularizer: Regularizer | str | list[Any] | None) -> Regularizer | None:
    """Return a regularizer from an object, its name or its `get_config`; None stays None.

    Parameters
    ----------
    regularizer : Regularizer, str, list or None

    Returns
    -------
    Regularizer or None

    Examples
    --------
    >>> get("l2"), get(L1(1e-3)), get(None)
    (L2(l2=0.01), L1(l1=0.001), None)
    """
    return None if regularizer is None else make(Regularizer, regularizer)


def __getattr__(name: str) -> Any:
    return elsewhere(__name__, name)
