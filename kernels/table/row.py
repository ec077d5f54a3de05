"""What a row says, and how a kernel's signature is read."""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeVar

    Function = TypeVar("Function", bound=Callable[..., Any])

_OPERAND = re.compile(r"(\w+)\[([\w,]*)\](?::(\w+))?")


class Operand:
    """One operand of a kernel: its name, its dimensions and its element type.

    Attributes
    ----------
    name : str
    dims : tuple of str or int
        Names of dimensions, or fixed lengths; empty for a scalar.
    dtype : {"real", "i8", "u1", "f8"}
        "real" is the dtype of the program.
    """

    __slots__ = ("dims", "dtype", "name")

    def __init__(self, name: str, dims: tuple[str | int, ...], dtype: str) -> None:
        self.name, self.dims, self.dtype = name, dims, dtype

    def __repr__(self) -> str:
        tail = "" if self.dtype == "real" else f":{self.dtype}"
        return f"{self.name}[{','.join(map(str, self.dims))}]{tail}"


def _operands(text: str) -> tuple[Operand, ...]:
    found = []
    for name, dims, dtype in _OPERAND.findall(text):
        dims = tuple(int(d) if d.isdigit() else d for d in dims.split(",") if d)
        found.append(Operand(name, dims, dtype or "real"))
    return tuple(found)


def _arguments(function: Callable[..., Any]) -> tuple[str, ...]:
    return function.__code__.co_varnames[: function.__code__.co_argcount]


def _told(names: Sequence[str], known: Mapping[str, Any]) -> str:
    numbers = {name: f"{known[name]:g}" if isinstance(known[name], float) else known[name] for name in names}
    return ", ".join(f"{name} is {value}" for name, value in numbers.items())


class Kernel:
    """One function on raw buffers, as its row describes it.

    Attributes
    ----------
    name : str
        For example ``"relu_backward"``; also the function's name in every backend.
    row : Row
    signature : str
        ``"inputs -> outputs"``.
    function : callable or None
        The definition: of the inputs and the row's attributes, in order; it returns the `results`. ``np`` and the
        other names in it are those of the namespace in which the reference runs it (``words.py``).
    inputs, outputs : tuple of Operand
    results : tuple of Operand
        The outputs that hold something when the kernel is done: those that are not `work`.
    operands : tuple of Operand
        All operands, in the order of the kernel's buffers.
    dims : tuple of str
        The named dimensions, in the order of the kernel's sizes.
    elementwise : bool
        Whether ``[n]`` stands for all elements of an array of any shape.
    inplace : tuple of (str, str)
        Pairs (output, input) that may be one buffer.
    split : str or None
        The dimension that threads may share, as each of its parts is computed by itself: ``"n"`` where each element is,
        ``"batch"`` where each row is.
    work : tuple of str
        Outputs that are memory to work in: what they hold afterwards means nothing.
    by_hand : str
        Why the compiled backends have it written by hand; empty where it is written from the definition.
    expression : str
        Of a row that was added at run time: NumPy statements that assign every output. Else empty.
    code : tuple of float
        Of such a row: what the compiled backends' ``chain`` runs (``chain.py``). Else empty.
    foreign : Foreign or None
        Of a row that a user's own Numba functions make (``numba_jit/foreign.py``).
    """

    code: tuple[float, ...] = ()
    foreign: Any = None
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    operands: tuple[Operand, ...]
    results: tuple[Operand, ...]
    dims: tuple[str, ...]
    elementwise: bool

    def __init__(
        self,
        name: str,
        row: Row,
        signature: str,
        function: Callable[..., Any] | None = None,
        *,
        inplace: Sequence[str] = (),
        split: str | None = None,
        work: Sequence[str] = (),
        cost: Callable[..., float] | None = None,
        by_hand: str = "",
        expression: str = "",
    ) -> None:
        self.by_hand = by_hand
        self.name, self.row, self.signature, self.function = name, row, signature, function
        self.inplace = tuple(tuple(pair.split("=")) for pair in inplace)
        self.split, self.work, self._cost, self.expression = split, tuple(work), cost, expression

    def __getattr__(self, name: str) -> Any:
        # when first asked for: a script uses few of the rows
        if name not in ("inputs", "outputs", "operands", "dims", "elementwise", "results"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        before, _, after = self.signature.partition("->")
        self.inputs, self.outputs = _operands(before), _operands(after)
        first: dict[str, Operand] = {}
        for operand in self.inputs + self.outputs:
            first.setdefault(operand.name, operand)
        self.operands = tuple(first.values())
        self.dims = tuple(dict.fromkeys(d for o in self.operands for d in o.dims if isinstance(d, str)))
        self.elementwise = {o.dims for o in self.operands if "n" in o.dims} == {("n",)}
        self.results = tuple(o for o in self.outputs if o.name not in self.work)
        return vars(self)[name]

    @property
    def source(self) -> str:
        """The definition as a function's source; empty where there is none at hand."""
        if self.expression:
            import ast

            parameters = ", ".join([*(o.name for o in self.inputs), *self.attributes])
            body = [ast.unparse(statement) for statement in ast.parse(self.expression).body]
            body.append(f"return {', '.join(o.name for o in self.results)}")
            return f"def {self.name}({parameters}):\n" + "".join(
                f"    {line}\n" for line in "\n".join(body).split("\n")
            )
        import inspect

        try:
            text = inspect.getsource(self.function) if self.function else ""
        except OSError:
            return ""
        return text[text.find("def ") :]  # without the decorator

    def sizes(
        self, shapes: Sequence[tuple[int, ...] | None], attributes: Mapping[str, float] | None = None
    ) -> dict[str, int]:
        """Return the kernel's sizes for operands of given shapes.

        Parameters
        ----------
        shapes : sequence of tuple of int
            In the order of `operands`; None where a shape is not known yet.
        attributes : dict of str to float, optional
            Where the row has `lengths`: what they depend on; by default the row's own.

        Returns
        -------
        dict
            The length of each named dimension, in the order of the ABI.

        Raises
        ------
        ValueError
            If a shape does not fit its operand or two operands disagree; the message names them.

        Examples
        --------
        >>> from fastbp.kernels.table import KERNELS
        >>> KERNELS["matmul_nn"].sizes([(5, 3), (3, 4), None])
        {'m': 5, 'k': 3, 'n': 4}
        """
        found: dict[Any, int] = {}
        seen: dict[Any, str] = {}
        for operand, shape in zip(self.operands, shapes, strict=True):
            if shape is None:
                continue
            lengths = (prod(shape),) if self.elementwise and operand.dims == ("n",) else tuple(shape)
            if len(lengths) != len(operand.dims):
                raise ValueError(f"{self.name}: {operand.name} has shape {tuple(shape)}; it must be {operand!r}")
            for dim, length in zip(operand.dims, lengths, strict=True):
                if found.setdefault(dim, length if isinstance(dim, str) else dim) != length:
                    there = f"; {seen[dim]} says {dim} is {found[dim]}" if dim in seen else ""
                    raise ValueError(f"{self.name}: {operand!r} has shape {tuple(shape)}{there}")
                seen.setdefault(dim, operand.name)
        if self.row.lengths:
            found = self.completed(found, attributes, seen)
        return {dim: found[dim] for dim in self.dims if dim in found}

    def completed(
        self,
        sizes: Mapping[Any, int],
        attributes: Mapping[str, float] | None = None,
        seen: Mapping[Any, str] | None = None,
    ) -> dict[Any, int]:
        """Return sizes with those that follow from them.

        Parameters
        ----------
        sizes : dict of str to int
        attributes : dict of str to float, optional
            By default the row's own.
        seen : dict of str to str, optional
            Which operand says a size; for messages.

        Returns
        -------
        dict

        Raises
        ------
        ValueError
            If a size that is there already is another one.

        Examples
        --------
        >>> from fastbp.kernels.table import KERNELS
        >>> KERNELS["concatenate_2"].completed({"batch": 5, "p": 3, "q": 4})
        {'batch': 5, 'p': 3, 'q': 4, 'pq': 7}
        """
        found, attributes = dict(sizes), {**self.attributes, **(attributes or {})}
        for dim, rule in self.row.lengths.items():
            names, known = _arguments(rule), {**attributes, **found}
            if dim not in self.dims or not known.keys() >= {*names}:
                continue
            length = rule(*[known[name] for name in names])
            # attributes are doubles; a length that a run decides stays one
            length = int(length) if isinstance(length, float) else length
            if isinstance(length, int) and length < 0:
                raise ValueError(f"{self.name}: {dim} would be {length}, as {_told(names, known)}")
            if found.setdefault(dim, length) != length:
                who = (seen or {}).get(dim, "a shape")
                raise ValueError(
                    f"{self.name}: {who} says {dim} is {found[dim]}; it is {length}, as {_told(names, known)}"
                )
        return found

    def shape(self, operand: Operand, sizes: dict[str, int], like: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """Return the shape of an output: its dimensions in `sizes`; `like`, if given, for an elementwise ``[n]``.

        Parameters
        ----------
        operand : Operand
        sizes : dict of str to int
            As `sizes` returns them.
        like : tuple of int, optional
            The shape of the inputs.

        Returns
        -------
        tuple of int

        Examples
        --------
        >>> from fastbp.kernels.table import KERNELS
        >>> matmul = KERNELS["matmul_nn"]
        >>> matmul.shape(matmul.results[0], {"m": 5, "k": 3, "n": 4})
        (5, 4)
        """
        if self.elementwise and operand.dims == ("n",) and like is not None:
            return tuple(like)
        return tuple(sizes[d] if isinstance(d, str) else d for d in operand.dims)

    def cost(self, sizes: Mapping[str, int], attributes: Mapping[str, float] | None = None) -> int:
        """Return the number of multiplications and additions of pairs, where they outweigh the moving of operands.

        Parameters
        ----------
        sizes : dict of str to int
            As `sizes` returns them.
        attributes : dict of str to float, optional
            By default the row's own.

        Returns
        -------
        int
            0 where a kernel does little more than move its operands.

        Examples
        --------
        >>> from fastbp.kernels.table import KERNELS
        >>> KERNELS["matmul_nn"].cost({"m": 5, "k": 3, "n": 4}), KERNELS["relu_forward"].cost({"n": 60})
        (60, 0)
        """
        if self._cost is None:
            return 0
        known = {**self.attributes, **(attributes or {}), **sizes}
        return int(self._cost(**{name: known[name] for name in _arguments(self._cost)}))

    @property
    def attributes(self) -> dict[str, float]:
        """The row's attributes with their defaults, in the order of the ABI."""
        return self.row.attributes

    @property
    def updates(self) -> tuple[str, ...]:
        """Names of the operands that are read and written."""
        written = {o.name for o in self.outputs}
        return tuple(o.name for o in self.inputs if o.name in written)

    def __repr__(self) -> str:
        return f"{self.name}: {self.signature}"


class Bound(NamedTuple):
    """What an attribute may be.

    Attributes
    ----------
    words : str
        How messages say it, behind "it must be".
    holds : callable
        Whether it holds for a number.
    """

    words: str
    holds: Callable[[float], bool]


class Row:
    """One op of the table.

    Attributes
    ----------
    name, family : str
    called : str
        What users call it: its name, but rows made at run time may be called alike, see ``kernels.row_called``.
    kernels : dict
        The row's kernels by name, in the order in which a train step runs them.
    attributes : dict
        Hyper-parameters with defaults, in the order of the ABI.
    domain : dict
        What an operand may hold where not any real number will do: ``"probability"`` (0 to 1),
        ``"binary"`` (0 or 1), ``"sign"`` (-1 or 1), ``"one_hot"``, ``"label"`` (0 to n - 1, anything else is an error),
        ``"compared"`` (likewise, but anything else equals none of them), ``"index"`` (0 to rows - 1, anything else is
        an error), ``"group"`` (any integers: equal ones belong together), ``"power"`` (0 to 1, exclusive),
        ``"nonnegative"``, ``"finite"`` (anything else is an error), ``"generator"`` (a state of PCG64, see `uniform`),
        ``"uniform"`` (what it draws), ``"sorted"`` (ascending, none is NaN), ``"cell"`` (of a window, by its number;
        any other stands for none).
    bounds : dict of str to Bound
        What an attribute may be where not any number will do.
    kinks : tuple of float
        Inputs where the derivative is a convention; `note` states which.
    saved : tuple of str
        Names of the operands of forward that backward reads.
    mean_over : {"elements", "rows"} or None
        Of a loss: what its mean counts. None where it counts something else.
    sample : str or None
        Of a loss that is a sum over samples: the operand of forward that holds the loss of each.
    saturates : callable or None
        Of an activation that can saturate: its slope at an output y, as a share of the steepest.
    dies : bool
        Whether the slope of an activation is 0 wherever its output is 0.
    lengths : dict
        Dimensions that follow from others and from attributes: functions whose arguments are called like these.
    note, source : str
    """

    def __init__(
        self,
        name: str,
        family: str,
        *,
        attributes: dict[str, float] | None = None,
        domain: dict[str, str] | None = None,
        bounds: dict[str, Bound] | None = None,
        kinks: Sequence[float] = (),
        saved: Sequence[str] = (),
        mean_over: str | None = None,
        sample: str | None = None,
        saturates: Callable[[Any], Any] | None = None,
        dies: bool = False,
        lengths: dict[str, Callable[..., float]] | None = None,
        note: str = "",
        source: str,
        called: str | None = None,
    ) -> None:
        self.name, self.family, self.note, self.source = name, family, note, source
        self.called = called or name
        self.attributes, self.domain, self.bounds = attributes or {}, domain or {}, bounds or {}
        self.kinks, self.saved, self.lengths = tuple(kinks), tuple(saved), lengths or {}
        self.mean_over, self.sample, self.saturates, self.dies = mean_over, sample, saturates, dies
        self.kernels: dict[str, Kernel] = {}

    def kernel(
        self,
        signature: str,
        *,
        inplace: Sequence[str] = (),
        split: str | None = None,
        work: Sequence[str] = (),
        cost: Callable[..., float] | None = None,
        by_hand: str = "",
    ) -> Callable[[Function], Function]:
        """Return a decorator that adds a kernel: the function under it is its definition and gives its name.

        Parameters
        ----------
        signature : str
            ``"inputs -> outputs"``.
        inplace : sequence of str
            Pairs ``"output=input"`` that may be one buffer.
        split : str, optional
            The dimension that threads may share.
        work : sequence of str
            Outputs that the function does not return: memory to work in.
        cost : callable, optional
            The number of multiplications and additions of pairs, of sizes and attributes by name.
        by_hand : str, optional
            Why the compiled backends have it written by hand, in modules named after its family.

        Returns
        -------
        callable

        Examples
        --------
        >>> import numpy as np
        >>> from fastbp.kernels.table import Row
        >>> row = Row("cube", "activation", saved=["x"], source="-")
        >>> @row.kernel("x[n] -> y[n]", split="n")
        ... def cube_forward(x):
        ...     return x * x * x
        >>> row.kernels
        {'cube_forward': cube_forward: x[n] -> y[n]}
        """

        def add(function: Function) -> Function:
            name = function.__name__
            self.kernels[name] = Kernel(
                name, self, signature, function, inplace=inplace, split=split, work=work, cost=cost, by_hand=by_hand
            )
            return function

        return add

    def check(self, what: str, name: str, value: float) -> None:
        """Raise ValueError if an attribute is out of its bounds.

        Parameters
        ----------
        what : str
            How the message calls the attribute.
        name : str
            Of the attribute.
        value : float

        Examples
        --------
        >>> from fastbp.kernels.table import TABLE
        >>> TABLE["celu"].check("alpha", "alpha", 0.0)
        Traceback (most recent call last):
        ValueError: alpha is 0.0; it must be other than 0
        """
        bound = self.bounds.get(name)
        if bound is not None and not bound.holds(value):
            raise ValueError(f"{what} is {value!r}; it must be {bound.words}")

    @property
    def differentiable(self) -> bool:
        """Whether the row has a forward and a backward kernel."""
        return f"{self.name}_backward" in self.kernels

    def __repr__(self) -> str:
        return f"<row {self.name}: {', '.join(self.kernels)}>"
