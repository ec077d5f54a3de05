"""Your own activations and losses: a NumPy expression becomes a row like any other, without a compiler.

The function is called once with objects that write down what is done to them. Its derivative follows by the chain
rule, operation by operation. Both are pointwise kernels: the numpy backend evaluates the expression, the
compiled ones run the same operations block by block.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .checks import check_identifier
from .kernels import add_foreign_row
from .layers import Activation
from .losses import CustomLoss

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["activation", "loss"]

_UFUNCS = {
    np.add: "{} + {}", np.subtract: "{} - {}", np.multiply: "{} * {}", np.divide: "{} / {}", np.negative: "-{}",
    np.less: "{} < {}", np.less_equal: "{} <= {}", np.greater: "{} > {}", np.greater_equal: "{} >= {}",
    np.equal: "{} == {}", np.not_equal: "{} != {}", np.bitwise_and: "{} & {}", np.bitwise_or: "{} | {}",
    np.logical_and: "{} & {}", np.logical_or: "{} | {}", np.absolute: "np.abs({})", np.sqrt: "np.sqrt({})",
    np.exp: "np.exp({})", np.expm1: "np.expm1({})", np.log: "np.log({})", np.log1p: "np.log1p({})",
    np.tanh: "np.tanh({})", np.square: "{0} * {0}", np.reciprocal: "1.0 / {}", np.maximum: "np.maximum({}, {})",
    np.minimum: "np.minimum({}, {})",
}  # fmt: skip
_WHERE = "np.where({}, {}, {})"
#: Since NumPy 2.1 or so numpy.clip leaves -0 at a bound of 0 as it is; before, it returned the bound.
_CLIP_KEEPS_ZEROS = bool(np.signbit(np.clip(np.array([-0.0]), 0, 1))[0])
_COMPARISONS = {np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal}
_LOGICAL = {np.bitwise_and, np.bitwise_or, np.logical_and, np.logical_or}
_HELP = (
    "A function may use + - * / **2, comparisons, & and |, numpy.where, clip, maximum and minimum with a number, abs, "
    "sqrt, square, exp, expm1, log, log1p, tanh"
)


class _Tape:
    """The statements of a traced function, and the derivative of each result."""

    def __init__(self, variable: str) -> None:
        self.variable, self.statements = variable, list[str]()
        # slopes of what depends on the variable; what is missing has slope 0
        self.slopes: dict[str, _Traced | float] = {variable: 1.0}
        self.deriving = False

    def add(self, pattern: str, *args: Any, condition: bool = False) -> Any:
        name = f"t{len(self.statements) + 1}"
        texts = [a.name if isinstance(a, _Traced) else repr(float(a)) for a in args]
        if pattern == _WHERE and not any(isinstance(a, _Traced) for a in args[1:]):
            # of two Python numbers numpy.where would make float64
            texts[1:] = [f"{self.variable}.dtype.type({t})" for t in texts[1:]]
        self.statements.append(f"{name} = " + pattern.format(*(f"({t})" if t[0] == "-" else t for t in texts)))
        return _Traced(self, name, condition)

    def derive(self, y: _Traced, slope: Callable[[], Any]) -> None:
        """Note the slope of a result; what computes it has no slope of its own."""
        if not self.deriving:
            self.deriving = True
            value = slope()
            self.deriving = False
            if not isinstance(value, float) or value:
                self.slopes[y.name] = value

    def slope(self, x: Any) -> Any:
        return self.slopes.get(x.name, 0.0) if isinstance(x, _Traced) else 0.0


def _times(a: Any, b: Any) -> Any:
    if isinstance(a, float) and a in (0.0, 1.0):
        return b if a else 0.0
    if isinstance(b, float) and b in (0.0, 1.0):
        return a if b else 0.0
    return a * b


def _plus(a: Any, b: Any) -> Any:
    return b if isinstance(a, float) and a == 0 else a if isinstance(b, float) and b == 0 else a + b


def _minus(a: Any) -> Any:
    return 0.0 if isinstance(a, float) and a == 0 else -a


def _derivative(ufunc: np.ufunc, y: Any, a: Any, b: Any, da: Any, db: Any) -> Any:
    """Return dy for ``y = ufunc(a, b)``, by the chain rule."""
    if ufunc in (np.add, np.subtract):
        return _plus(da, db if ufunc is np.add else _minus(db))
    if ufunc is np.multiply:
        return _plus(_times(da, b), _times(a, db))
    if ufunc is np.divide:
        top = _plus(da, _minus(_times(y, db)))
        return 0.0 if isinstance(top, float) and top == 0 else top / b
    if ufunc in (np.maximum, np.minimum):  # of two equal numbers the constant counts: slope 0
        return 0.0 if isinstance(da, float) and da == 0 else np.where(a > b if ufunc is np.maximum else a < b, da, 0.0)
    if isinstance(da, float) and da == 0:
        return 0.0
    rules: dict[Any, Callable[[], Any]] = {
        np.negative: lambda: _minus(da),
        np.absolute: lambda: np.where(a > 0, da, np.where(a < 0, _minus(da), 0.0)),
        np.sqrt: lambda: da / (2 * y),
        np.square: lambda: _times(2 * a, da),
        np.reciprocal: lambda: _minus(_times(y * y, da)),
        np.exp: lambda: _times(y, da),
        np.expm1: lambda: _times(y + 1, da),
        np.log: lambda: da / a,
        np.log1p: lambda: da / (1 + a),
        np.tanh: lambda: _times(1 - y * y, da),
    }
    return rules[ufunc]()


class _Traced(np.lib.mixins.NDArrayOperatorsMixin):
    """Stands for an array and writes down what is done to it."""

    __slots__ = ("condition", "name", "tape")

    def __init__(self, tape: _Tape, name: str, condition: bool = False) -> None:
        # a condition is a comparison, or some of them joined: NumPy computes with it by other rules
        self.tape, self.name, self.condition = tape, name, condition

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if ufunc not in _UFUNCS or method != "__call__" or options:
            raise TypeError(f"numpy.{ufunc.__name__} cannot be traced. {_HELP}")
        if ufunc not in _LOGICAL and any(isinstance(x, _Traced) and not x.condition for x in inputs):
            inputs = tuple(x.as_number() if isinstance(x, _Traced) and x.condition else x for x in inputs)
        args = [_asked(ufunc.__name__, x) if ufunc in _LOGICAL else _operand(x) for x in inputs]
        if ufunc in (np.maximum, np.minimum):
            args.sort(key=lambda x: isinstance(x, float))
            if not isinstance(args[1], float):
                raise TypeError(f"numpy.{ufunc.__name__} of two arrays cannot be traced; write numpy.where. {_HELP}")
        tape = self.tape
        if ufunc in (np.maximum, np.minimum) and args[0] is inputs[1] and args[1] == 0:  # of zeros the second counts
            y = args[0]._bounded(args[1], "{} < {}" if ufunc is np.maximum else "{} > {}")
        else:
            y = tape.add(_UFUNCS[ufunc], *args, condition=ufunc in _COMPARISONS | _LOGICAL)
        if not y.condition:
            a, b = args[0], args[-1]
            tape.derive(y, lambda: _derivative(ufunc, y, a, b, tape.slope(a), tape.slope(b)))
        return y

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        if function is np.where and len(args) == 3 and not kwargs:
            condition, a, b = _asked("where", args[0]), _operand(args[1]), _operand(args[2])
            tape = self.tape
            y = tape.add(_WHERE, condition, a, b)
            # each branch has its own derivative: what the other one does there, be it NaN, is left out
            da, db = tape.slope(a), tape.slope(b)
            equal = isinstance(da, float) and isinstance(db, float) and da == db
            tape.derive(y, lambda: da if equal else tape.add(_WHERE, condition, da, db))
            return y
        if function is np.clip and len(args) == 3 and not kwargs:
            return self.clip(args[1], args[2])
        raise TypeError(f"numpy.{function.__name__} cannot be traced. {_HELP}")

    def as_number(self) -> _Traced:
        """Return 1 where a condition holds, else 0: what it is beside an array."""
        return self.tape.add(_WHERE, self, 1.0, 0.0)

    def clip(self, low: float, high: float) -> _Traced:
        """Return ``numpy.clip(x, low, high)`` for numbers."""
        bounds = [_operand(low), _operand(high)]
        if not all(isinstance(x, float) for x in bounds):
            raise TypeError(f"numpy.clip takes numbers as bounds here. {_HELP}")
        if 0 in bounds and _CLIP_KEEPS_ZEROS:
            y = self._bounded(bounds[0], "{} < {}")._bounded(bounds[1], "{} > {}")
        else:
            y = self.tape.add("clip({}, {}, {})", self, *bounds)
        slope = self.tape.slope(self)
        if not isinstance(slope, float) or slope:
            self.tape.derive(y, lambda: np.where((self > bounds[0]) & (self < bounds[1]), slope, 0.0))
        return y

    def _bounded(self, bound: float, beyond: str) -> _Traced:
        return self.tape.add(_WHERE, self.tape.add(beyond, self, bound, condition=True), bound, self)

    def __pow__(self, exponent: Any) -> Any:
        # NumPy has loops of its own for these exponents, which are exact; pow is not
        if exponent == 2:
            return np.square(self)
        if exponent == 0.5:
            return np.sqrt(self)
        raise TypeError(f"** {exponent!r} cannot be traced; write the product, x * x * x for x**3. {_HELP}")

    def __bool__(self) -> bool:
        raise TypeError("the function branches on values; write numpy.where(condition, a, b) in place of if")

    def __getattr__(self, name: str) -> Any:
        raise TypeError(f"the attribute {name!r} of an argument cannot be traced. {_HELP}")


def _asked(name: str, x: Any) -> _Traced:
    if not (isinstance(x, _Traced) and x.condition):
        raise TypeError(f"the condition of numpy.{name} must be a comparison of the function's arguments")
    return x


def _operand(x: Any) -> Any:
    if isinstance(x, _Traced):
        if x.condition:
            raise TypeError("a comparison is used as a number; write numpy.where(condition, 1.0, 0.0)")
        return x
    if isinstance(x, (np.generic, np.ndarray, bool)) or not isinstance(x, (int, float)):
        kind = type(x).__name__
        raise TypeError(f"a constant of the function is a {kind}; it must be a Python number, which keeps the dtype")
    if not math.isfinite(x):
        raise ValueError(f"a constant of the function is {x}; it must be finite")
    return float(x)


def _trace(function: Callable[..., Any], *names: str) -> tuple[_Tape, Any]:
    tape = _Tape(names[0])
    y = function(*(_Traced(tape, name) for name in names))
    if not isinstance(y, _Traced):
        raise TypeError(f"the function returned {y!r}; it must return an expression of its arguments")
    return tape, _operand(y)


def _text(value: Any) -> str:
    return value.name if isinstance(value, _Traced) else repr(float(value))


def _name(function: Callable[..., Any], name: str | None) -> str:
    name = getattr(function, "__name__", "") if name is None else name
    check_identifier("name", name, ". Functions without a name of their own need one")
    return name


def activation(
    function: Callable[[Any], Any], name: str | None = None, derivative: Callable[[Any], Any] | None = None
) -> Activation:
    """Return an activation made of a NumPy expression, or of Numba functions.

    Parameters
    ----------
    function : callable
        ``function(x)`` of one array, element by element. It is called once, with an object that stands for x.
        With `derivative` a function of one number, compiled by ``numba.njit``: it may branch and loop as it likes.
    name : str, optional
        By default the function's own. ``Dense(8, activation=name)`` works from then on.
    derivative : callable, optional
        ``derivative(x)`` of one number, compiled by ``numba.njit``.

    Returns
    -------
    Activation

    Raises
    ------
    TypeError
        If the function does what cannot be traced; the message names it.
    ValueError
        If the name is taken by another function.

    Notes
    -----
    The derivative follows by the chain rule from the operations. Where the function has a kink, numpy.where takes
    the derivative of the branch that it takes, numpy.abs has 0 at 0, and numpy.maximum, minimum and clip have 0 at
    their bounds: a smooth function that is made of two such kinks has a wrong slope in that one point. numpy.where of
    two numbers keeps the dtype of x here. A model file holds the expression, so that it can be loaded without the
    function. Compiled kernels run it block by block, operation by operation: 1.1 to 1.5 times the time of one written
    for it where exp and its like prevail, some 2 to 6 times where there is only arithmetic.

    Numba functions run in all backends, with the same bits, in numerics "numpy" only: what Numba makes of exp may
    differ between machines. A model file holds the name alone; make the same call before it is loaded.

    Examples
    --------
    >>> import numpy as np
    >>> import fastbp
    >>> bent = fastbp.custom.activation(lambda x: (np.sqrt(x * x + 1) - 1) / 2 + x, "bent_identity")
    >>> model = fastbp.Sequential([fastbp.Dense(8, activation=bent, input_shape=3), fastbp.Dense(1)])
    >>> fastbp.kernels.bent_identity_backward(np.ones(2), np.array([0.0, 1.0]))
    array([1.        , 1.35355339])
    """
    name = _name(function, name)
    if derivative is not None:
        add_foreign_row(name, "activation", function, derivative)
        return Activation(name)
    tape, y = _trace(function, "x")
    before = tape.statements.copy()
    slope = tape.slope(y)
    forward = "; ".join([*before, f"y = {y.name}"])
    backward = "; ".join([*tape.statements, f"dx = dy * {_text(slope)}"])
    return Activation(name, expressions=(forward, backward))


def loss(
    function: Callable[[Any, Any], Any],
    name: str | None = None,
    reduction: str = "mean",
    derivative: Callable[[Any, Any], Any] | None = None,
) -> CustomLoss:
    """Return a loss made of a NumPy expression of each element, or of Numba functions, whose mean or sum is the loss.

    Parameters
    ----------
    function : callable
        ``function(y_true, y_pred)`` of two arrays, element by element, as in Keras. With `derivative` of two numbers,
        compiled by ``numba.njit``; see `activation`.
    name : str, optional
        By default the function's own.
    reduction : {"mean", "sum"}
        Over all elements of the batch.
    derivative : callable, optional
        ``derivative(y_true, y_pred)`` by y_pred, of two numbers, compiled by ``numba.njit``.

    Returns
    -------
    CustomLoss

    Raises
    ------
    TypeError
        If the function does what cannot be traced; the message names it.
    ValueError
        If the name is taken by another function.

    Examples
    --------
    >>> import numpy as np
    >>> import fastbp
    >>> quartic = fastbp.custom.loss(lambda y_true, y_pred: (y_pred - y_true)**2 * (y_pred - y_true)**2, "quartic")
    >>> float(quartic([0.0, 0.0], [1.0, 2.0])), quartic.gradient([0.0, 0.0], [1.0, 2.0])
    (8.5, array([ 2., 16.]))
    """
    name = _name(function, name)
    if derivative is not None:
        add_foreign_row(name, "loss", function, derivative)
        return CustomLoss(name, None, reduction)
    tape, y = _trace(lambda y_pred, y_true: function(y_true, y_pred), "y_pred", "y_true")
    before, slope = tape.statements.copy(), tape.slope(y)
    share = "(1 / (y_pred.size if mean else 1))"
    value = "; ".join([*before, f"elements = {y.name}", "loss = elements.sum() / (y_pred.size if mean else 1)"])
    gradient = "; ".join([*tape.statements, f"dy_pred = {_text(slope)} * {share}"])
    return CustomLoss(name, (value, gradient), reduction)
