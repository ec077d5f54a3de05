"""Layers of several inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..checks import as_list
from .base import Layer
from .shape import as_axis, place_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..program import Buffer, Program
    from .base import ParameterSpec

__all__ = ["Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract"]

#: Up to so many matrices one kernel puts side by side.
_TOGETHER = 4
#: What is added to a sum of squares before the root.
_EPS = 1e-12
#: How stacks are multiplied, by whether the summed axis comes first in either; then the gradients of both, of what.
_PRODUCTS = {
    (False, False): ("nt", ("nn", "yb"), ("tn", "ya")),
    (False, True): ("nn", ("nt", "yb"), ("tn", "ay")),
    (True, True): ("tn", ("nt", "by"), ("nn", "ay")),
}


class _Several(Layer):
    """What layers of several inputs share."""

    _takes_lists = True

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name)

    #: How many inputs there are at least, and at most.
    _least, _most = 2, 1 << 30

    def _shapes(self, input_shapes: Any) -> list[tuple[int, ...]]:
        """Return the shapes of the inputs, or raise an error: they are too few or too many."""
        what = f"{self.name or type(self).__name__}: {type(self).__name__}"
        count = "two inputs" if self._most == 2 else "two inputs or more"
        if not isinstance(input_shapes, list):
            raise ValueError(f"{what} takes a list of {count}; it is given one, of shape {input_shapes}")
        if not self._least <= len(input_shapes) <= self._most:
            raise ValueError(f"{what} takes a list of {count}; it is given {len(input_shapes)}")
        return input_shapes

    def _disagree(self, a: tuple[int, ...], b: tuple[int, ...], must: str) -> ValueError:
        """Return an error that names two shapes."""
        return ValueError(f"{self.name or type(self).__name__}: {type(self).__name__} of rows of {a} and {b}; {must}")


class _Elementwise(_Several):
    """What layers of elements share: the inputs have one shape, or a last axis of 1, which is spread."""

    def build(self, input_shapes: Any) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and the shape of the inputs."""
        shapes = self._shapes(input_shapes)
        widest = max(shapes, key=lambda shape: shape[-1:])
        for shape in shapes:
            if len(shape) != len(widest) or shape[:-1] != widest[:-1] or shape[-1:] not in (widest[-1:], (1,)):
                must = "the shapes must be equal, but for a last axis of 1"
                raise self._disagree(shapes[0], shape if shape != shapes[0] else widest, must)
        return [], widest

    def emit(
        self, program: Program, xs: Any, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Any]:
        """Add the calls of one pair of inputs after the other."""
        widest = max(xs, key=lambda x: x.shape[-1:])
        y, of_elements = self._merged(program, [self._spread(program, x, widest) for x in xs])

        def backward(dy, need):
            found = of_elements(dy, need)
            return [d and self._gathered(program, d, x) for d, x in zip(found, xs, strict=True)]

        return y, backward

    def _merged(self, program: Program, xs: list[Buffer]) -> tuple[Buffer, Any]:
        """Add the forward calls, of inputs of one shape; return y and what adds the backward calls."""
        raise NotImplementedError

    def _kernel(self, program: Program, kernel: str, *inputs: Buffer, **attributes: Any) -> Any:
        """Add a call of this layer's."""
        return program.call(kernel, *inputs, layer=self.name or "", **attributes)

    def _spread(self, program: Program, x: Buffer, widest: Buffer) -> Buffer:
        if x.shape[-1:] == widest.shape[-1:]:
            return x
        return self._kernel(program, "repeat", x.matrix(), times=widest.shape[-1]).reshaped(widest.shape)

    def _gathered(self, program: Program, dy: Buffer, x: Buffer) -> Buffer:
        if x.shape[-1:] == dy.shape[-1:]:
            return dy
        return self._kernel(program, "sum_axis", dy.reshaped((*dy.matrix().shape, 1))).reshaped(x.shape)

    def _sum(self, program: Program, xs: list[Buffer]) -> Buffer:
        y, *others = xs
        for x in others:
            y = self._kernel(program, "add", y, x)
        return y


class Add(_Elementwise):
    """The sum of two inputs or more, one after the other: ``y = (a + b) + c``.

    The inputs have one shape; of those whose last axis is 1 that number is added to all of the others' last axis.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import fastbp
    >>> x = fastbp.Input(2)
    >>> model = fastbp.Model(x, fastbp.layers.Add()([x, 2 * x]))  # or x + 2 * x
    >>> model.predict([[1, 2]])
    array([[3., 6.]], dtype=float32)
    """

    def _merged(self, program: Program, xs: list[Buffer]) -> tuple[Buffer, Any]:
        """Add ``y = (a + b) + c``."""
        return self._sum(program, xs), lambda dy, need: [dy if needed else None for needed in need]


class Average(_Elementwise):
    """The mean of two inputs or more: their sum, one after the other, over how many there are.

    The inputs have one shape, or a last axis of 1; see `Add`.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import fastbp
    >>> a, b = fastbp.Input(2, name="a"), fastbp.Input(1, name="b")
    >>> model = fastbp.Model([a, b], fastbp.layers.Average()([a, b]))
    >>> model.predict([[[1, 2]], [[5]]])
    array([[3. , 3.5]], dtype=float32)
    """

    def _merged(self, program: Program, xs: list[Buffer]) -> tuple[Buffer, Any]:
        """Add ``y = ((a + b) + c) / 3``."""
        y = self._kernel(program, "divide_by", self._sum(program, xs), divisor=len(xs))

        def backward(dy, need):
            dx = self._kernel(program, "divide_by", dy, divisor=len(xs)) if any(need) else None
            return [dx if needed else None for needed in need]

        return y, backward


class Subtract(_Elementwise):
    """The difference of two inputs: ``y = a - b``.

    The inputs have one shape, or a last axis of 1; see `Add`.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import fastbp
    >>> a, b = fastbp.Input(2, name="a"), fastbp.Input(2, name="b")
    >>> model = fastbp.Model([a, b], fastbp.layers.Subtract()([a, b]))  # or a - b
    >>> model.predict([[[1, 2]], [[5, 1]]])
    array([[-4.,  1.]], dtype=float32)
    """

    _most = 2

    def _merged(self, program: Program, xs: list[Buffer]) -> tuple[Buffer, Any]:
        """Add ``y = a - b``."""
        y = self._kernel(program, "subtract", *xs)

        def backward(dy, need):
            return [dy if need[0] else None, self._kernel(program, "scale_by", dy, factor=-1) if need[1] else None]

        return y, backward


class Multiply(_Elementwise):
    """The product of two inputs or more, one after the other: ``y = (a * b) * c``.

    The inputs have one shape, or a last axis of 1; see `Add`.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import fastbp
    >>> x = fastbp.Input(2)
    >>> gate = fastbp.Dense(2, activation="sigmoid", kernel_initializer="zeros")(x)
    >>> model = fastbp.Model(x, fastbp.layers.Multiply()([x, gate]))  # or x * gate
    >>> model.predict([[1, 2]])
    array([[0.5, 1. ]], dtype=float32)
    """

    def _merged(self, program: Program, xs: list[Buffer]) -> tuple[Buffer, Any]:
        """Add ``y = (a * b) * c``."""
        products = xs[:1]
        for x in xs[1:]:
            products.append(self._kernel(program, "multiply", products[-1], x))

        def backward(dy, need):
            found: list[Any] = [None] * len(xs)
            for k in range(len(xs) - 1, 0, -1):
                if need[k]:
                    found[k] = self._kernel(program, "multiply", dy, products[k - 1])
                if not any(need[:k]):
                    return found
                dy = self._kernel(program, "multiply", dy, xs[k])
            found[0] = dy if need[0] else None
            return found

        return products[-1], backward


class _Extreme(_Elementwise):
    _row = ""

    def _merged(self, program: Program, xs: list[Buffer]) -> tuple[Buffer, Any]:
        """Add the larger, or the smaller, of one pair after the other."""
        found = xs[:1]
        for x in xs[1:]:
            found.append(self._kernel(program, f"{self._row}_forward", found[-1], x))

        def backward(dy, need):
            gradients: list[Any] = [None] * len(xs)
            for k in range(len(xs) - 1, 0, -1):
                if not any(need[: k + 1]):
                    return gradients
                dy, dx = self._kernel(program, f"{self._row}_backward", dy, found[k - 1], xs[k])
                gradients[k] = dx if need[k] else None
            gradients[0] = dy if need[0] else None
            return gradients

        return found[-1], backward


class Maximum(_Extreme):
    """The largest of two inputs or more, element by element: ``y = np.maximum(np.maximum(a, b), c)``.

    The inputs have one shape, or a last axis of 1; see `Add`. Of equal numbers the first input is taken, and it takes
    all of the gradient (PyTorch halves it). A NaN is passed on and takes the gradient.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import fastbp
    >>> a, b = fastbp.Input(2, name="a"), fastbp.Input(2, name="b")
    >>> model = fastbp.Model([a, b], fastbp.layers.Maximum()([a, b]))
    >>> model.predict([[[1, 2]], [[5, 1]]])
    array([[5., 2.]], dtype=float32)
    """

    _row = "maximum"


class Minimum(_Extreme):
    """The smallest of two inputs or more, element by element: ``y = np.minimum(np.minimum(a, b), c)``.

    The inputs have one shape, or a last axis of 1; see `Add`. Of equal numbers the first input is taken, and it takes
    all of the gradient (PyTorch halves it). A NaN is passed on and takes the gradient.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import fastbp
    >>> a, b = fastbp.Input(2, name="a"), fastbp.Input(2, name="b")
    >>> model = fastbp.Model([a, b], fastbp.layers.Minimum()([a, b]))
    >>> model.predict([[[1, 2]], [[5, 1]]])
    array([[1., 1.]], dtype=float32)
    """

    _row = "minimum"


class Concatenate(_Several):
    """Two inputs or more, one behind the other: ``y = np.concatenate([a, b, c], axis)``.

    The shapes of the inputs are equal but for that axis.

    Parameters
    ----------
    axis : int
        As in Keras 0 is the batch, which there is no way along, 1 the first axis of a row and -1 the last.
    name : str, optional

    Examples
    --------
    >>> import fastbp
    >>> a, b = fastbp.Input(2, name="a"), fastbp.Input(1, name="b")
    >>> model = fastbp.Model([a, b], fastbp.layers.Concatenate()([a, b]))
    >>> model.predict([[[1, 2]], [[5]]])
    array([[1., 2., 5.]], dtype=float32)
    """

    def __init__(self, axis: int = -1, name: str | None = None) -> None:
        super().__init__(name)
        self.axis = as_axis("axis", axis)

    def build(self, input_shapes: Any) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and the shape of the inputs together."""
        first, *others = shapes = self._shapes(input_shapes)
        at = place_of(f"{self.name}: axis", self.axis, first)
        for shape in others:
            if len(shape) != len(first) or (*shape[:at], *shape[at + 1 :]) != (*first[:at], *first[at + 1 :]):
                raise self._disagree(first, shape, f"the shapes must be equal, but for axis {self.axis}")
        return [], (*first[:at], sum(shape[at] for shape in shapes), *first[at + 1 :])

    def emit(
        self, program: Program, xs: Any, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Any]:
        """Add what puts the inputs side by side, as matrices whose columns begin with the axis."""
        _, shape = self.build([x.shape[1:] for x in xs])
        at = 1 + place_of("axis", self.axis, shape)
        y, *others = parts = [x.matrix(at) for x in xs]
        while others:
            some, others = others[: _TOGETHER - 1], others[_TOGETHER - 1 :]
            y = program.call(f"concatenate_{1 + len(some)}", y, *some, layer=self.name or "")

        def backward(dy, need):
            rows, found, before, width = dy.matrix(at), [], 0, y.shape[1]
            for x, part, needed in zip(xs, parts, need, strict=True):
                after = width - before - part.shape[1]
                dx = None
                if needed:
                    edges = {"before": before, "after": after}
                    dx = program.call("columns_forward", rows, layer=self.name or "", **edges).reshaped(x.shape)
                found.append(dx)
                before += part.shape[1]
            return found

        return y.reshaped((xs[0].shape[0], *shape)), backward

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"axis": self.axis, **super().get_config()}


class Dot(_Several):
    """The products of two inputs, summed over an axis of each: of vectors their dot product, of matrices a product.

    Rows of shapes (k,) and (k,) become one number, of shape (1,); of (m, k) and (n, k) with ``axes=2`` a matrix (m, n),
    what is left of the first and then what is left of the second.

    Parameters
    ----------
    axes : int or tuple of int
        Over which axis, of both or of each; as in Keras 1 is the first axis of a row and -1 the last.
    normalize : bool
        Whether the vectors along the axes are brought to length 1 first, so that the products are cosines:
        ``x / sqrt(sum(x ** 2) + 1e-12)``.
    name : str, optional

    Examples
    --------
    >>> import fastbp
    >>> a, b = fastbp.Input(2, name="a"), fastbp.Input(2, name="b")
    >>> model = fastbp.Model([a, b], fastbp.layers.Dot(axes=1)([a, b]))
    >>> model.predict([[[1, 2]], [[5, 1]]])
    array([[7.]], dtype=float32)
    >>> queries, keys = fastbp.Input((5, 8)), fastbp.Input((7, 8))
    >>> fastbp.layers.Dot(axes=2)([queries, keys]).shape
    (5, 7)
    """

    _most = 2

    def __init__(self, axes: int | tuple[int, int], normalize: bool = False, name: str | None = None) -> None:
        super().__init__(name)
        if isinstance(axes, (tuple, list)):
            both = as_list("axes", axes, "integers")
            if len(both) != 2:
                raise ValueError(f"axes is {axes!r}; it must be an axis, or one for each of two inputs")
        else:
            both = [axes, axes]
        self.axes = tuple(as_axis("axes", axis) for axis in both)
        self.normalize = bool(normalize)

    def _summed(self, shapes: list[tuple[int, ...]]) -> list[int]:
        """Return over which axis of each row the sum is."""
        for shape in shapes:
            if not 1 <= len(shape) <= 2:
                raise ValueError(f"{self.name}: Dot takes rows of one or two dimensions, got shape {shape}")
        at = [place_of(f"{self.name}: axes", axis, shape) for axis, shape in zip(self.axes, shapes, strict=True)]
        if shapes[0][at[0]] != shapes[1][at[1]]:
            raise self._disagree(shapes[0], shapes[1], f"axes {self.axes} must be of one length")
        return at

    def build(self, input_shapes: Any) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and what the sum leaves of the first shape, then of the second."""
        shapes = self._shapes(input_shapes)
        left = [shape[:k] + shape[k + 1 :] for k, shape in zip(self._summed(shapes), shapes, strict=True)]
        return [], left[0] + left[1] or (1,)

    def emit(
        self, program: Program, xs: Any, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Any]:
        """Add the product of each pair of matrices."""
        _, shape = self.build([x.shape[1:] for x in xs])
        at = self._summed([x.shape[1:] for x in xs])
        # vectors are matrices of one row, or of one column
        first = [len(x.shape) == 3 and axis == 0 for x, axis in zip(xs, at, strict=True)]
        column = first[0] and len(xs[1].shape) == 2 and not self.normalize
        turned = first if self.normalize else [first[0] and not first[1] and not column, False]
        (a, to_a), (b, to_b) = [self._matrix(program, x, turn) for x, turn in zip(xs, turned, strict=True)]
        if column:
            b = b.reshaped((b.shape[0], b.shape[2], 1))
        firsts = first[0] and not turned[0], column or (first[1] and not turned[1])
        forward, *ways = _PRODUCTS[firsts]
        y = program.call(f"batched_{forward}", a, b, layer=self.name or "")

        def backward(dy, need):
            known = {"a": a, "b": b, "y": dy.reshaped(y.shape)}
            found = []
            for needed, (kernel, operands), to_x in zip(need, ways, (to_a, to_b), strict=True):
                inputs = [known[name] for name in operands]
                d = program.call(f"batched_{kernel}", *inputs, layer=self.name or "") if needed else None
                found.append(d and to_x(d))
            return found

        return y.reshaped((xs[0].shape[0], *shape)), backward

    def _matrix(self, program: Program, x: Buffer, turn: bool) -> tuple[Buffer, Callable[[Buffer], Buffer]]:
        """Return x as a stack of matrices, and what makes a gradient by them one by x."""
        options: dict[str, Any] = {"layer": self.name or ""}
        y = self._turned(program, x if len(x.shape) == 3 else x.reshaped((x.shape[0], 1, x.shape[1])), turn)
        if not self.normalize:
            return y, lambda dy: self._turned(program, dy, turn).reshaped(x.shape)
        n, flat = y.shape[2], y.matrix()
        normal, inverse = program.call("rms_norm_forward", flat, eps=_EPS / n, **options)
        length = n**-0.5

        def back(dy):
            d = program.call("scale_by", dy.matrix(), factor=length, **options)
            d = program.call("rms_norm_backward", d, normal, inverse, eps=_EPS / n, **options)
            return self._turned(program, d.reshaped(y.shape), turn).reshaped(x.shape)

        return program.call("scale_by", normal, factor=length, **options).reshaped(y.shape), back

    def _turned(self, program: Program, x: Buffer, turn: bool) -> Buffer:
        if not turn:
            return x
        y = program.call("swap_axes", x.reshaped((*x.shape, 1)), layer=self.name or "")
        return y.reshaped(y.shape[:3])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"axes": list(self.axes), "normalize": self.normalize, **super().get_config()}
