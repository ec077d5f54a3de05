"""Your own activations and losses: a NumPy expression becomes a row like any other, without a compiler.

The function is called once with objects that write down what is done to them. Its derivative follows by the chain
rule, operation by operation. Both become kernels: the numpy backend evaluates the expression, cython runs the same
operations strip by strip, numba compiles them.
"""

from __future__ import annotations

import math
import sys
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from .checks import check_identifier, integer
from .kernels import add_foreign_row, add_row, words
from .layers import Activation, CustomLayer
from .losses import CustomLoss, JointLoss, as_outputs, operands_of_outputs
from .naming import spelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from numpy.typing import ArrayLike

__all__ = ["activation", "erf", "layer", "loss"]

_UFUNCS = {
    np.add: "{} + {}", np.subtract: "{} - {}", np.multiply: "{} * {}", np.divide: "{} / {}", np.negative: "-{}",
    np.less: "{} < {}", np.less_equal: "{} <= {}", np.greater: "{} > {}", np.greater_equal: "{} >= {}",
    np.equal: "{} == {}", np.not_equal: "{} != {}", np.bitwise_and: "{} & {}", np.bitwise_or: "{} | {}",
    np.logical_and: "{} & {}", np.logical_or: "{} | {}", np.absolute: "np.abs({})", np.sqrt: "np.sqrt({})",
    np.exp: "np.exp({})", np.expm1: "np.expm1({})", np.log: "np.log({})", np.log1p: "np.log1p({})",
    np.tanh: "np.tanh({})", np.square: "{0} * {0}", np.reciprocal: "1.0 / {}", np.maximum: "np.maximum({}, {})",
    np.minimum: "np.minimum({}, {})", np.power: "np.power({}, {})", np.sin: "np.sin({})", np.cos: "np.cos({})",
    np.arctan: "np.arctan({})", np.sinh: "np.sinh({})", np.cosh: "np.cosh({})",
}  # fmt: skip
_WHERE = "np.where({}, {}, {})"
#: Since NumPy 2.1 or so numpy.clip leaves -0 at a bound of 0 as it is; before, it returned the bound.
_CLIP_KEEPS_ZEROS = bool(np.signbit(np.clip(np.array([-0.0]), 0, 1))[0])
_COMPARISONS = {np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal}
_LOGICAL = {np.bitwise_and, np.bitwise_or, np.logical_and, np.logical_or}
_REDUCTIONS = {np.sum: "sum", np.mean: "mean", np.amax: "max", np.max: "max"}
_HELP = (
    "A function may use + - * / **, comparisons, & and |, numpy.where, clip, maximum, minimum, abs, sqrt, square, exp, "
    "expm1, log, log1p, sinh, cosh, tanh, sin, cos, arctan, fastbp.custom.erf, and over the last axis sum, mean and max"
)


class _Tape:
    """The statements of a traced function, and the derivatives of each result.

    They go forward, by the variables and by each number of a row as if it were given; `gradients` puts them together.
    """

    def __init__(self, variables: Sequence[str]) -> None:
        self.variables, self.statements = {name: self.argument(name) for name in variables}, list[str]()
        # by the name of a result, its slopes by what it depends on; what is missing has slope 0
        self.slopes: dict[str, dict[str, Any]] = {name: {name: 1.0} for name in self.variables}
        self.reductions: list[tuple[str, _Traced, _Traced]] = []  # how, of what, and the result
        self.deriving = False

    def argument(self, name: str) -> _Traced:
        """Return what stands for an argument; such as ``y_pred2_row`` have one number for each row."""
        return _Traced(self, name, extent="row" if name.endswith("_row") else "full")

    def add(self, pattern: str, *args: Any, condition: bool = False, extent: str | None = None) -> Any:
        name = f"t{len(self.statements) + 1}"
        texts = [a.name if isinstance(a, _Traced) else repr(float(a)) for a in args]
        if pattern == _WHERE and not any(isinstance(a, _Traced) for a in args[1:]):
            # of two Python numbers numpy.where would make float64
            texts[1:] = [f"{self.like.name}.dtype.type({t})" for t in texts[1:]]
        extent = extent or self._extent(*args)
        self.statements.append(f"{name} = " + pattern.format(*(f"({t})" if t[0] == "-" else t for t in texts)))
        return _Traced(self, name, condition, extent)

    @property
    def like(self) -> _Traced:
        """A variable that is an array, not one number for each row."""
        return next(x for x in self.variables.values() if x.extent == "full")

    def _extent(self, *args: Any) -> str:
        extents = {a.extent for a in args if isinstance(a, _Traced)}
        if len(extents) > 1 and "sample" in extents and not self.deriving:
            raise TypeError("a sum, mean or max of the last axis meets an array; it must be taken with keepdims=True")
        return "full" if "full" in extents else min(extents, default="full")

    def derive(self, y: _Traced, operands: Sequence[Any], rule: Callable[..., Any]) -> None:
        """Note the slopes of a result, each by a rule from those of operands; what computes them has no slopes."""
        if self.deriving:
            return
        self.deriving = True
        slopes = [self.slopes.get(x.name, {}) if isinstance(x, _Traced) else {} for x in operands]
        found = {by: rule(*(slope.get(by, 0.0) for slope in slopes)) for by in dict.fromkeys(chain(*slopes))}
        self.deriving = False
        self.slopes[y.name] = {by: value for by, value in found.items() if not _is(value, 0.0)}

    def apply(self, ufunc: np.ufunc, a: Any, b: Any = None) -> Any:
        """Return what a function makes of its operands."""
        operands = (a,) if ufunc.nin == 1 else (a, b)
        y = self.add(_UFUNCS[ufunc], *operands, condition=ufunc in _COMPARISONS | _LOGICAL)
        if not y.condition:
            self.derive(y, (a, b), lambda da, db: _derivative(ufunc, y, a, b, da, db))
        return y

    def reduce(self, method: str, x: _Traced, keepdims: bool) -> _Traced:
        """Return the sum, mean or maximum of each row."""
        y = self.add(f"{{}}.{method}(axis=-1, keepdims=True)", x, extent="row" if keepdims else "sample")
        if method == "max":
            y = self.add("{} + {}", y, 0.0)  # which zero it is would be NumPy's choice
        if not self.deriving and self.slopes.get(x.name):
            self.slopes[y.name] = {y.name: 1.0}
            self.reductions.append((method, x, y))
        return y

    def gradients(self, y: _Traced, dy: _Traced | None) -> list[_Traced]:
        """Return the gradient by each variable, where `dy` is that by y; None where it is 1."""
        self.deriving = True
        upstream = 1.0 if dy is None else dy
        found: dict[str, Any] = {}
        for result, factor in self._above(y, upstream, found):
            for by, slope in self.slopes.get(result.name, {}).items():
                share = _times(factor, slope)
                of_row = by not in self.variables or self.variables[by].extent != "full"
                if of_row and result.extent == "full":
                    share = self.filled(share).sum(axis=-1, keepdims=True)
                found[by] = _plus(found.get(by, 0.0), share)
        return [self.filled(found.get(name, 0.0), x) for name, x in self.variables.items()]

    def _above(self, y: _Traced, upstream: Any, found: dict[str, Any]) -> Iterator[tuple[_Traced, Any]]:
        """Yield the results that have slopes, the last one first, with the gradient by each."""
        yield y, upstream
        for method, x, reduced in reversed(self.reductions):
            above = found.get(reduced.name, 0.0)
            if _is(above, 0.0):
                continue
            if method == "mean":
                above = self.filled(above) if isinstance(above, float) else above
                above = self.add(f"{{}} / {self.like.name}.shape[-1]", above)
            elif method == "max":  # each of several largest ones has a part
                largest = x == reduced
                above = np.where(largest, above / largest.as_number().sum(axis=-1, keepdims=True), 0.0)
            yield x, above

    def filled(self, value: Any, like: _Traced | None = None) -> _Traced:
        """Return an array of the shape of a variable, by default of one that is an array."""
        x = self.like if like is None else like
        if isinstance(value, _Traced) and x.extent in (value.extent, "row"):
            return value
        return np.where(x == x, value, value)


def _is(value: Any, number: float) -> bool:
    return isinstance(value, float) and value == number


def _times(a: Any, b: Any) -> Any:
    if _is(a, 0.0) or _is(b, 0.0):
        return 0.0
    return b if _is(a, 1.0) else a if _is(b, 1.0) else a * b


def _plus(a: Any, b: Any) -> Any:
    return b if _is(a, 0.0) else a if _is(b, 0.0) else a + b


def _minus(a: Any) -> Any:
    return 0.0 if _is(a, 0.0) else -a


def _over(a: Any, b: Any) -> Any:
    return 0.0 if _is(a, 0.0) else a / b


def _derivative(ufunc: np.ufunc, y: Any, a: Any, b: Any, da: Any, db: Any) -> Any:
    """Return dy for ``y = ufunc(a, b)``, by the chain rule."""
    rules: dict[Any, Callable[[], Any]] = {
        np.add: lambda: _plus(da, db),
        np.subtract: lambda: _plus(da, _minus(db)),
        np.multiply: lambda: _plus(_times(da, b), _times(a, db)),
        np.divide: lambda: _over(_plus(da, _minus(_times(y, db))), b),
        # of two equal numbers the constant counts: slope 0
        np.maximum: lambda: np.where(a > b, da, 0.0),
        np.minimum: lambda: np.where(a < b, da, 0.0),
        np.power: lambda: _times(_times(b, a ** (b - 1)) if b else 0.0, da),
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
        np.sin: lambda: _times(np.cos(a), da),
        np.cos: lambda: _times(-np.sin(a), da),
        np.arctan: lambda: da / (1 + a * a),
        np.sinh: lambda: _times(np.cosh(a), da),
        np.cosh: lambda: _times(np.sinh(a), da),
    }
    return rules[ufunc]()


class _Traced(np.lib.mixins.NDArrayOperatorsMixin):
    """Stands for an array and writes down what is done to it."""

    __slots__ = ("condition", "extent", "name", "tape")

    def __init__(self, tape: _Tape, name: str, condition: bool = False, extent: str = "full") -> None:
        # a condition is a comparison, or some of them joined: NumPy computes with it by other rules. The shape is
        # that of the arguments ("full"), has a last axis of 1 ("row"), or no last axis ("sample")
        self.tape, self.name, self.condition, self.extent = tape, name, condition, extent

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if ufunc.__name__ == "erf" and method == "__call__" and not options:  # SciPy's
            return erf(*inputs)
        if ufunc not in _UFUNCS or method != "__call__" or options:
            raise TypeError(f"numpy.{ufunc.__name__} cannot be traced. {_HELP}")
        if ufunc not in _LOGICAL and any(isinstance(x, _Traced) and not x.condition for x in inputs):
            inputs = tuple(x.as_number() if isinstance(x, _Traced) and x.condition else x for x in inputs)
        args = [_asked(ufunc.__name__, x) if ufunc in _LOGICAL else _operand(x) for x in inputs]
        if ufunc is np.divide and _is(args[1], 0.0):
            raise ValueError(f"the function divides by {args[1]}; a constant divisor must not be 0")
        if ufunc in (np.maximum, np.minimum):
            return self._extremum(ufunc, *args)
        if ufunc is np.power:
            return args[0] ** args[1] if isinstance(args[0], _Traced) else args[1].__rpow__(args[0])
        return self.tape.apply(ufunc, *args)

    def _extremum(self, ufunc: np.ufunc, a: Any, b: Any) -> Any:
        beyond = np.greater if ufunc is np.maximum else np.less
        if isinstance(a, _Traced) and isinstance(b, _Traced):
            return np.where(beyond(a, b) | (a != a), a, b)  # NaN stays, and of equal numbers the second counts
        x, bound = (a, b) if isinstance(a, _Traced) else (b, a)
        if x is a or bound != 0:
            return self.tape.apply(ufunc, x, bound)
        y = x._bounded(bound, "{} < {}" if ufunc is np.maximum else "{} > {}")  # of zeros the second counts
        self.tape.derive(y, [x], lambda slope: np.where(beyond(x, bound), slope, 0.0))
        return y

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        if function is np.where and len(args) == 3 and not kwargs:
            condition, a, b = _asked("where", args[0]), _operand(args[1]), _operand(args[2])
            y = self.tape.add(_WHERE, condition, a, b)
            # each branch has its own derivative: what the other one does there, be it NaN, is left out

            def slope(da: Any, db: Any) -> Any:
                return da if isinstance(da, float) and _is(db, da) else self.tape.add(_WHERE, condition, da, db)

            self.tape.derive(y, [a, b], slope)
            return y
        if function is np.clip and len(args) == 3 and not kwargs:
            return self.clip(args[1], args[2])
        if function in _REDUCTIONS and args[0] is self:
            return getattr(self, _REDUCTIONS[function])(*args[1:], **kwargs)
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
        self.tape.derive(y, [self], lambda slope: np.where((self > bounds[0]) & (self < bounds[1]), slope, 0.0))
        return y

    def _bounded(self, bound: float, beyond: str) -> _Traced:
        return self.tape.add(_WHERE, self.tape.add(beyond, self, bound, condition=True), bound, self)

    def sum(self, axis: int | None = None, *, keepdims: bool = False) -> _Traced:
        """Return ``numpy.sum`` over the last axis."""
        return self._reduced("sum", axis, keepdims)

    def mean(self, axis: int | None = None, *, keepdims: bool = False) -> _Traced:
        """Return ``numpy.mean`` over the last axis."""
        return self._reduced("mean", axis, keepdims)

    def max(self, axis: int | None = None, *, keepdims: bool = False) -> _Traced:
        """Return ``numpy.max`` over the last axis."""
        return self._reduced("max", axis, keepdims)

    def _reduced(self, method: str, axis: int | None, keepdims: bool) -> _Traced:
        _operand(self)
        if axis != -1 or self.extent != "full":
            given = f"axis={axis}" if self.extent == "full" else "one number for each row"
            raise TypeError(f"{method} is over {given}; it must be over axis=-1 of an array like the arguments")
        return self.tape.reduce(method, self, bool(keepdims))

    def __pow__(self, exponent: Any) -> Any:
        exponent = _operand(exponent)
        if not isinstance(exponent, float):
            raise TypeError(f"the exponent of ** is an array; it must be a number. {_HELP}")
        x = _operand(self)
        # NumPy's operator has loops of its own for these exponents, which are exact; pow is not
        exact = {2.0: np.square, 0.5: np.sqrt, -1.0: np.reciprocal}
        if exponent == 1:
            return x
        return exact[exponent](x) if exponent in exact else self.tape.apply(np.power, x, exponent)

    def __rpow__(self, base: Any) -> Any:
        raise TypeError(f"{base!r} ** of an array cannot be traced; write numpy.exp(x * a). {_HELP}")

    def __bool__(self) -> bool:
        raise TypeError("the function branches on values; write numpy.where(condition, a, b) in place of if")

    def __getitem__(self, index: Any) -> Any:
        raise TypeError(f"[{index!r}] of an argument cannot be traced. {_HELP}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__array"):
            raise TypeError(
                "an argument of the function is to become an array, which has no expression; neither has what a model "
                "makes of it: the gradient of a loss of gradients would need second derivatives, which there are not"
            )
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
    if not abs(x) <= sys.float_info.max:
        said = x if isinstance(x, float) else "an int beyond every float"
        raise ValueError(f"a constant of the function is {said}; it must be finite")
    return float(x)


def _trace(function: Callable[..., Any], variables: Sequence[str], others: Sequence[str] = ()) -> tuple[_Tape, Any]:
    """Return what a function does with arguments, by the first of which there are to be gradients."""
    tape = _Tape(variables)
    y = function(*tape.variables.values(), *map(tape.argument, others))
    if not isinstance(y, _Traced):
        raise TypeError(f"the function returned {y!r}; it must return an expression of its arguments")
    return tape, _operand(y)


def _name(function: Callable[..., Any], name: str | None) -> str:
    name = getattr(function, "__name__", "") if name is None else name
    check_identifier("name", name, ". Functions without a name of their own need one")
    return name


def erf(x: ArrayLike) -> Any:
    """Return the error function, which a function for `activation` or `loss` may call; NumPy has none.

    Parameters
    ----------
    x : array_like

    Returns
    -------
    ndarray
        Its bits are those of the kernels. ``scipy.special.erf`` of an argument is taken for this function.

    Examples
    --------
    >>> import fastbp
    >>> fastbp.custom.erf([0.0, 1.0])
    array([0.        , 0.84270079])
    >>> gelu = fastbp.custom.activation(lambda x: 0.5 * x * (1 + fastbp.custom.erf(x * 0.5**0.5)), "my_gelu")
    """
    if isinstance(x, _Traced):
        a = _operand(x)
        y = a.tape.add("erf({})", a)
        a.tape.derive(y, [a], lambda da: _times(2 / math.sqrt(math.pi) * np.exp(-np.square(a)), da))
        return y
    array = np.asarray(x)
    return words.erf(array if array.dtype in (np.float32, np.float64) else array.astype(np.float64))


@spelled
def activation(
    function: Callable[[Any], Any], name: str | None = None, derivative: Callable[[Any], Any] | None = None
) -> Activation:
    """Return an activation made of a NumPy expression, or of Numba functions.

    Parameters
    ----------
    function : callable
        ``function(x)`` of one array; see the notes. It is called once, with an object that stands for x.
        With `derivative` a function of one number, compiled by ``numba.njit``: it may branch and loop as it likes.
    name : str, optional
        By default the function's own. ``Dense(8, activation=name)`` works from then on. Called again with another
        function, as when a cell of a notebook is changed, it is that one's; what was made before keeps the older one,
        in files and copies, too.
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
        If the name is that of a row of fastbp's own, or of a loss of yours.

    Notes
    -----
    It may use what NumPy writes as ``+ - * / **`` (with a number as exponent), comparisons and ``&``, ``|`` of them;
    where, clip, maximum, minimum, abs, sqrt, square, reciprocal, exp, expm1, log, log1p, sinh, cosh, tanh, sin, cos,
    arctan and power; `erf` of this module; and sum, mean and max with ``axis=-1``, which beside arrays need
    ``keepdims=True``. Numbers must be Python's.

    The derivative follows by the chain rule from the operations. Where the function has a kink, numpy.where takes
    the derivative of the branch that it takes, numpy.abs has 0 at 0, and numpy.maximum, minimum and clip have 0 at
    their bounds: a smooth function that is made of two such kinks has a wrong slope in that one point. Of two equal
    numbers numpy.maximum and minimum take the second, its zero and its slope; several largest numbers of a row have
    equal parts of the slope of numpy.max. numpy.where of two numbers keeps the dtype of x here. A model file holds the
    expression, so that it can be loaded without the function.

    In the backend cython an accumulator machine runs the operations: 1.1 to 1.5 times the time of a kernel written for
    it where exp and its like prevail, 1 to 3 times in arithmetic, and up to 6 times where that is little more than a
    choice between two numbers. The backend numba compiles the expression, which is as fast as such a kernel; some
    tenths of a second the first time, it is read from Numba's cache on disk then. The bits are the same.

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
    tape, y = _trace(function, ["x"])
    if y.extent != "full":
        raise TypeError("the function returned one number for each row; it must return an array of the shape of x")
    forward = "; ".join([*tape.statements, f"y = {y.name}"])
    (dx,) = tape.gradients(y, _Traced(tape, "dy"))
    backward = "; ".join([*tape.statements, f"dx = {dx.name}"])
    add_row(name, "activation", forward, backward, newest=True)
    return Activation(name)


@spelled
def loss(
    function: Callable[[Any, Any], Any],
    name: str | None = None,
    reduction: str = "mean",
    derivative: Callable[[Any, Any], Any] | None = None,
    outputs: int | list[int | None] | dict[str, int | None] | None = None,
) -> CustomLoss:
    """Return a loss made of a NumPy expression, or of Numba functions, whose mean or sum is the loss.

    Parameters
    ----------
    function : callable
        ``function(y_true, y_pred)`` of two arrays, as in Keras, that returns the loss of each element, or of each row
        of the last axis. With `derivative` of two numbers, compiled by ``numba.njit``; see `activation`.
    name : str, optional
        By default the function's own.
    reduction : {"mean", "sum"}
        Over all elements of the batch, or over all rows.
    derivative : callable, optional
        ``derivative(y_true, y_pred)`` by y_pred, of two numbers, compiled by ``numba.njit``.
    outputs : int, list or dict, optional
        For a loss of several outputs of a model together: y_true and y_pred are lists then, or dicts, of that many
        arrays. A list or a dict has the last axis of each: 1, or None for the length that the others share. A number
        is so many times None. A target that the function does not read need not be there.

    Returns
    -------
    CustomLoss
        With `outputs` a `fastbp.losses.JointLoss`.

    Raises
    ------
    TypeError
        If the function does what cannot be traced; the message names it.
    ValueError
        If the name is that of a row of fastbp's own, or of an activation of yours; or if `outputs` is no such thing.

    Notes
    -----
    The loss is an expression of targets and outputs, and so is its gradient. One of gradients of the model, such as a
    gradient penalty, would need second derivatives, which there are not. An objective that is no such expression, and
    whose gradient by the outputs you have, goes to `Model.backward`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastbp
    >>> quartic = fastbp.custom.loss(lambda y_true, y_pred: (y_pred - y_true)**2 * (y_pred - y_true)**2, "quartic")
    >>> float(quartic([0.0, 0.0], [1.0, 2.0])), quartic.gradient([0.0, 0.0], [1.0, 2.0])
    (8.5, array([ 2., 16.]))
    >>> def cosine(y_true, y_pred):
    ...     lengths = np.sqrt((y_true**2).sum(axis=-1) * (y_pred**2).sum(axis=-1))
    ...     return 1 - (y_true * y_pred).sum(axis=-1) / lengths
    >>> float(fastbp.custom.loss(cosine)([[3.0, 4.0]], [[4.0, 3.0]]))
    0.040000000000000036
    >>> def actor_critic(y_true, y_pred):
    ...     surprise = y_true["value"] - y_pred["value"]
    ...     return surprise**2 - (y_true["policy"] * y_pred["policy"]).sum(axis=-1, keepdims=True)
    >>> both = fastbp.custom.loss(actor_critic, outputs={"policy": None, "value": 1})
    >>> y_true, y_pred = ({"policy": [[1.0, 0.0]], "value": [[v]]} for v in (2.0, 0.5))
    >>> float(both(y_true, y_pred)), both.gradient(y_true, y_pred)["value"]
    (1.25, array([[-3.]]))
    """
    name = _name(function, name)
    if outputs is not None:
        return _joint(function, name, reduction, derivative, as_outputs(outputs))
    if derivative is not None:
        add_foreign_row(name, "loss", function, derivative)
        return CustomLoss(name, None, reduction)
    tape, y = _trace(lambda y_pred, y_true: function(y_true, y_pred), ["y_pred"], ["y_true"])
    expressions = _of_loss(tape, y, ["y_pred"])
    add_row(name, "loss", *expressions, newest=True)
    return CustomLoss(name, expressions, reduction)


def _of_loss(tape: _Tape, y: _Traced, preds: Sequence[str]) -> tuple[str, str]:
    """Return the expressions of the loss of each element, or of each row, and of its gradients."""
    like = tape.like.name
    count, elements = (f"{like}.size", y.name) if y.extent == "full" else (f"len({like})", f"{y.name}[:, 0]")
    divisor = f"({count} if mean else 1)"
    value = "; ".join([*tape.statements, f"elements = {elements}", f"loss = elements.sum() / {divisor}"])
    slopes = tape.gradients(y, None)
    shares = [f"d{pred} = {slope.name} * (1 / {divisor})" for pred, slope in zip(preds, slopes, strict=True)]
    return value, "; ".join([*tape.statements, *shares])


def _joint(
    function: Callable[[Any, Any], Any],
    name: str,
    reduction: str,
    derivative: Any,
    outputs: list[int | None] | dict[str, int | None],
) -> JointLoss:
    """Return a loss of several outputs."""
    if derivative is not None:
        raise TypeError("a loss of several outputs is a NumPy expression; derivative must be None")
    preds, trues = zip(*operands_of_outputs(outputs), strict=True)

    def of_all(*args: Any) -> Any:
        given = args[len(preds) :], args[: len(preds)]
        return function(*(dict(zip(outputs, a, strict=True)) if isinstance(outputs, dict) else [*a] for a in given))

    expressions = _of_loss(*_trace(of_all, preds, trues), preds)
    JointLoss(name, expressions, outputs, reduction)  # what is wrong is said before the name stands for it
    add_row(name, "loss", *expressions, newest=True)
    return JointLoss(name, expressions, outputs, reduction)


@spelled
def layer(
    function: Callable[..., Any],
    name: str | None = None,
    derivative: Callable[..., Any] | None = None,
    inputs: int | None = None,
) -> CustomLayer:
    """Return a layer of one input or several, made of a NumPy expression, or of Numba functions.

    It is Keras' Lambda, with a gradient of its own and without a function in the file.

    Parameters
    ----------
    function : callable
        ``function(x)``, or ``function(a, b, ...)`` of several arrays, as for `activation`. What it returns has the
        shape of its arguments, or is one number for each row of the last axis. With `derivative` a function of as many
        numbers, compiled by ``numba.njit``.
    name : str, optional
        By default the function's own. As of `activation` it stands for the newest function.
    derivative : callable, optional
        Of the same numbers, compiled by ``numba.njit``: it returns the slope, or of several inputs a tuple of slopes.
    inputs : int, optional
        How many arguments there are, where the function does not say: as of ``lambda *x: ...``.

    Returns
    -------
    CustomLayer
        Where the function has several arguments, the layer takes a list of as many tensors. It has no parameters, so
        that it may be called any number of times.

    Raises
    ------
    TypeError
        If the function does what cannot be traced; the message names it.
    ValueError
        If the name is that of a row of fastbp's own, or of an activation or a loss of yours; or if more arrays are
        needed than the 16 that a kernel may have: two for each input, and some for sums.

    Notes
    -----
    What a function may do, and what its derivative is at kinks, is said in `activation`; the gradient by each input
    follows likewise. Inputs have one shape. One whose last axis is 1 is spread over that of the others first, as by
    ``numpy.broadcast_to``: sums over its last axis are of what it is then.

    Of a function that returns one number for each row the output has no last axis, or with ``keepdims=True`` one of 1.
    Such a layer makes what a model's ``add_loss`` takes.

    Its kernels are rows of the table as those of activations are: a layer of your own may call them in its ``emit``,
    ``program.call(f"{made.row.name}_forward", a, b)``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastbp
    >>> mix = fastbp.custom.layer(lambda a, b: a * np.tanh(b), "mix")
    >>> mix.inputs, mix.build([(8,), (1,)])[1]
    (2, (8,))
    >>> dx1, dx2 = fastbp.kernels.mix_backward(np.ones(2), np.array([1.0, 2.0]), np.zeros(2))
    >>> dx1, dx2
    (array([0., 0.]), array([1., 2.]))
    >>> distance = fastbp.custom.layer(lambda a, b: np.sqrt(((a - b) ** 2).sum(axis=-1)), "distance")
    >>> distance.build([(8,), (8,)])[1]
    ()
    """
    name = _name(function, name)
    count = _arguments(function) if inputs is None else integer("inputs", inputs, 1)
    variables = ["x"] if count == 1 else [f"x{k}" for k in range(1, count + 1)]
    if derivative is not None:
        add_foreign_row(name, "layer", function, derivative, variables)
        return CustomLayer(name)
    tape, y = _trace(function, variables)
    rows = {"full": "", "row": "[:, 0][:, None]", "sample": "[:, 0]"}[y.extent]
    forward = "; ".join([*tape.statements, f"y = {y.name}{rows}"])
    dy = _Traced(tape, "dy", extent=y.extent)
    if y.extent == "sample":
        dy = tape.add("{}[:, None]", dy, extent="row")
    slopes = tape.gradients(y, dy)
    assigned = [f"d{variable} = {slope.name}" for variable, slope in zip(variables, slopes, strict=True)]
    add_row(name, "layer", forward, "; ".join([*tape.statements, *assigned]), newest=True)
    return CustomLayer(name)


def _arguments(function: Callable[..., Any]) -> int:
    """Return how many arrays a function takes."""
    import inspect

    if not callable(function):
        raise TypeError(f"function is {function!r}; it must be a function of arrays")
    try:
        parameters = [*inspect.signature(function).parameters.values()]
    except ValueError:  # a ufunc of some NumPys
        parameters = []
    kinds = {p.kind for p in parameters}
    if not parameters or not kinds <= {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}:
        raise TypeError(f"{function!r} does not say how many arrays it takes; give inputs=")
    return sum(p.default is p.empty for p in parameters)
