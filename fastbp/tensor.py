"""Tensors: what a layer of a graph takes and returns before there are numbers."""

from __future__ import annotations

import math
import re
from itertools import count
from typing import TYPE_CHECKING
from weakref import WeakSet

from .checks import as_shape, number
from .naming import complete

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

__all__ = [
    "Input", "Node", "Part", "Tensor", "as_tensors", "check_called", "described", "nodes_between", "operators",
    "rebuilt",
]  # fmt: skip

_NAME = r"[A-Za-z][A-Za-z0-9_.-]*\Z"
_number = count()

#: What an operator on tensors adds to a graph, by the name of Python's method: a module of the layers says it.
operators: dict[str, Callable[..., Tensor]] = {}


def check_called(name: Any, what: str = "name is") -> None:
    """Raise ValueError unless something may be the name of a layer, of an input or of an output.

    Parameters
    ----------
    name : object
    what : str
        How the message begins, before the name.
    """
    if not re.match(_NAME, str(name)):
        raise ValueError(f"{what} {name!r}; it must begin with a letter and hold letters, digits, '_', '.' or '-'")


def _operator(name: str) -> Callable[..., Any]:
    def apply(self: Tensor, *operands: Any) -> Any:
        if not operators:
            complete("layer")
        return operators[name](self, *operands)

    apply.__name__ = name
    return apply


class Tensor:
    """An array that is not computed yet: the shape of one row, and what makes it.

    `Input` makes the first ones, and each call of a layer the next. Arithmetic with tensors, numbers and arrays, and
    slices of the last axis, are layers, too.

    Attributes
    ----------
    shape : tuple of int
        Of one row.
    dtype : str or None
        Of an input, what it was given.
    name : str or None
        Of an input.
    node : Node or None
        The use of a layer that makes it; None of an input.

    Examples
    --------
    >>> import fastbp
    >>> x = fastbp.Input(4)
    >>> h = fastbp.Dense(3, activation="relu")(x)
    >>> h, h.shape, h.node.layer.units
    (<Tensor (3,) of dense>, (3,), 3)
    """

    __slots__ = ("dtype", "name", "node", "shape")

    #: NumPy's arrays and numbers leave arithmetic with a tensor to it.
    __array_ufunc__ = None

    def __init__(
        self, shape: tuple[int, ...], dtype: str | None = None, name: str | None = None, node: Node | None = None
    ) -> None:
        self.shape, self.dtype, self.name, self.node = shape, dtype, name, node

    __add__, __radd__ = _operator("__add__"), _operator("__radd__")
    __sub__, __rsub__ = _operator("__sub__"), _operator("__rsub__")
    __mul__, __rmul__ = _operator("__mul__"), _operator("__rmul__")
    __truediv__, __neg__ = _operator("__truediv__"), _operator("__neg__")
    __getitem__ = _operator("__getitem__")

    def __iter__(self) -> Any:
        raise TypeError("a Tensor has no length to iterate over; t[..., :3] takes a part of its last axis")

    def __bool__(self) -> bool:
        raise TypeError("a Tensor has no values before the model computes: it is neither true nor false")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("a Tensor has no values before the model computes; fastbp.Model(inputs, outputs).predict does")

    def __repr__(self) -> str:
        of = self.node.layer.name if self.node is not None else f"input {self.name}" if self.name else "an input"
        return f"<Tensor {self.shape} of {of}>"


class Node:
    """One use of a layer.

    Attributes
    ----------
    layer : Layer or Model
    inputs, outputs : tuple of Tensor
    many : bool
        Whether the layer was called with a list of tensors.
    several : bool
        Whether it returned a list.
    inner : (tuple of Tensor, tuple of Tensor) or None
        Of a layer that is made of others: the inputs and outputs that stand for those of this node within it.
    losses : tuple of (Tensor, float)
        What within it is added to the loss, see `Model.add_loss`.
    """

    __slots__ = ("inner", "inputs", "layer", "losses", "many", "number", "outputs", "several")

    def __init__(
        self,
        layer: Any,
        inputs: Sequence[Tensor],
        shapes: Sequence[tuple[int, ...]],
        many: bool,
        several: bool = False,
        inner: tuple[tuple[Tensor, ...], tuple[Tensor, ...]] | None = None,
        losses: Sequence[tuple[Tensor, float]] = (),
    ) -> None:
        self.layer, self.inputs, self.many, self.several, self.inner = layer, tuple(inputs), many, several, inner
        self.losses, self.number = tuple(losses), next(_number)
        self.outputs = tuple(Tensor(tuple(shape), node=self) for shape in shapes)

    @property
    def result(self) -> Tensor | list[Tensor]:
        """What the call of the layer returned."""
        return list(self.outputs) if self.several else self.outputs[0]


class Part:
    """What can be called with tensors, and be in models: a layer or a model.

    Attributes
    ----------
    owners : WeakSet of Model
        The models that it is in.
    nodes : list of Node
        Its uses.
    trainable : bool
        Whether training changes the parameters.
    lr_factor : float
        The learning rate of its parameters over the optimizer's.
    """

    def __init__(self) -> None:
        self.owners: WeakSet[Any] = WeakSet()
        self.nodes: list[Node] = []
        self._trainable, self._lr_factor = True, 1.0

    @property
    def _concerned(self) -> tuple[Any, ...]:
        """The models whose train steps depend on what this says."""
        return tuple(self.owners)

    @property
    def trainable(self) -> bool:
        """Whether training changes the parameters."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        self._tell()

    @property
    def lr_factor(self) -> float:
        """The learning rate of the parameters over the optimizer's, positive."""
        return self._lr_factor

    @lr_factor.setter
    def lr_factor(self, value: float) -> None:
        self._lr_factor = number("lr_factor", value, 0, math.inf, closed_low=False)
        self._tell()

    def _tell(self) -> None:
        for model in self._concerned:
            model.layers_changed()


def Input(shape: int | tuple[int, ...], *, dtype: Any = None, name: str | None = None) -> Tensor:
    """Return a tensor that stands for data of a model.

    Parameters
    ----------
    shape : int or tuple of int
        Of one row, without the batch.
    dtype : str, optional
        An integer type, such as "int64", says that the data are whole numbers, as those of an `Embedding` are: others
        are refused, and there is no gradient by them. Numbers are computed in the dtype of the model whatever this is.
    name : str, optional
        By which dicts of data and messages call it.

    Returns
    -------
    Tensor

    Raises
    ------
    TypeError, ValueError
        If the shape is none of positive integers, or the dtype none of numbers.

    Examples
    --------
    >>> import fastbp
    >>> x = fastbp.Input(4)
    >>> h = fastbp.Dense(4, activation="relu")(x)
    >>> model = fastbp.Model(x, fastbp.Dense(2)(h + x))
    >>> model.predict([[1.0, 2.0, 3.0, 4.0]]).shape
    (1, 2)
    """
    import numpy as np

    given = as_shape(shape, "shape")
    if given is None or not all(n > 0 for n in given):
        raise ValueError(f"shape is {shape!r}; it must be the shape of one row: positive integers")
    if dtype is not None:
        try:
            kind = np.dtype(dtype)
        except TypeError:
            kind = np.dtype(object)
        if kind.kind not in "iuf":
            raise ValueError(f"dtype is {dtype!r}; it must be an integer or a real type, such as 'int64', or None")
        dtype = kind.name
    if name is not None:
        check_called(name)
    return Tensor(given, dtype, name)


def as_tensors(what: str, given: Any) -> list[Tensor]:
    """Return one tensor, or several, as a list.

    Parameters
    ----------
    what : str
        What messages call who is given them.
    given : Tensor or list of Tensor

    Returns
    -------
    list of Tensor

    Raises
    ------
    TypeError, ValueError
        If something is no tensor, or there is none.

    Examples
    --------
    >>> as_tensors("h", Input(3))
    [<Tensor (3,) of an input>]
    """
    if isinstance(given, Tensor):
        return [given]
    if not isinstance(given, (list, tuple)):
        hint = "; data go to predict, fit and forward of a model" if hasattr(given, "__array__") else ""
        raise TypeError(f"{what} is given {type(given).__name__}; it takes a tensor, as fastbp.Input makes it{hint}")
    if not given:
        raise ValueError(f"{what} is given an empty list; it must hold tensors")
    for k, tensor in enumerate(given):
        if not isinstance(tensor, Tensor):
            kind = type(tensor).__name__
            raise TypeError(f"{what} is given {kind} at {k}; it takes tensors, as fastbp.Input makes them")
    return list(given)


def nodes_between(inputs: Sequence[Tensor], outputs: Sequence[Tensor], what: str) -> list[Node]:
    """Return the uses of layers that lead from some tensors to others, in the order in which they were made.

    That is a topological order: a tensor is made before what uses it.

    Parameters
    ----------
    inputs, outputs : sequence of Tensor
    what : str
        What messages call the whole.

    Returns
    -------
    list of Node

    Raises
    ------
    ValueError
        If an output depends on a tensor that is none of the inputs, or on no input at all; if an input leads nowhere.

    Examples
    --------
    >>> import fastbp
    >>> x = Input(3)
    >>> y = fastbp.Dense(2)(fastbp.Dense(4)(x))
    >>> [node.layer.units for node in nodes_between([x], [y], "the model")]
    [4, 2]
    """
    given, found, used = set(inputs), dict[Node, None](), set()
    waiting = list(outputs)
    while waiting:
        tensor = waiting.pop()
        node = tensor.node
        if tensor in given:
            used.add(tensor)
        elif node is None:
            raise ValueError(f"{what} depends on {tensor!r}, which is none of its inputs")
        elif node not in found:
            found[node] = None
            waiting += node.inputs
    for k, tensor in enumerate(inputs):
        if tensor not in used:
            raise ValueError(f"{what} does not use input {tensor.name or k}, {tensor!r}: no output depends on it")
    order = sorted(found, key=lambda node: node.number)
    reached = set(inputs)
    for node in order:
        # a constant would be a tensor without inputs, which there is not: all of a node's are reached
        reached.update(node.outputs)
    for k, tensor in enumerate(outputs):
        if tensor not in reached:
            raise ValueError(f"output {k} of {what}, {tensor!r}, does not depend on its inputs")
    return order


def described(inputs: Sequence[Tensor], outputs: Sequence[Tensor], layers: Sequence[Any]) -> dict[str, Any]:
    """Return a graph as plain data, from which `rebuilt` makes another one.

    Parameters
    ----------
    inputs, outputs : sequence of Tensor
    layers : sequence of Layer

    Returns
    -------
    dict of str to list
        Tensors are numbers: those of the inputs, then those that each node makes; layers are those of `layers`.
    """
    numbers = {tensor: k for k, tensor in enumerate(inputs)}
    nodes = []
    places = {layer: k for k, layer in enumerate(layers)}
    for node in nodes_between(inputs, outputs, "the model"):
        nodes.append([places[node.layer], [numbers[tensor] for tensor in node.inputs], node.many])
        for tensor in node.outputs:
            numbers[tensor] = len(numbers)
    return {
        "inputs": [[list(tensor.shape), tensor.dtype, tensor.name] for tensor in inputs],
        "nodes": nodes,
        "outputs": [numbers[tensor] for tensor in outputs],
    }


def rebuilt(graph: dict[str, Any], layers: Sequence[Any]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Return the inputs and outputs of a graph that `described` describes, of other layers like those."""
    tensors = [Tensor(tuple(shape), dtype, name) for shape, dtype, name in graph["inputs"]]
    inputs = tuple(tensors)
    for k, taken, many in graph["nodes"]:
        layer, xs = layers[k], [tensors[n] for n in taken]
        node = layer.node_of(xs if many else xs[0])
        layer.nodes.append(node)
        tensors += node.outputs
    return inputs, tuple(tensors[n] for n in graph["outputs"])
