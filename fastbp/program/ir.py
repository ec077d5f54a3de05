"""What a program is made of: lengths, buffers, and calls in their order."""

from __future__ import annotations

from functools import lru_cache
from math import gcd, prod
from operator import index
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ..kernels.dtypes import itemsize
from ..kernels.operations import Status

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Any

    from ..kernels.table import Kernel

__all__ = [
    "BATCH", "ROWS", "Buffer", "Call", "CallError", "CallList", "Length", "ProgramError", "Shape", "affine", "at",
    "may_lie", "places", "sizes_of",
]  # fmt: skip


class ProgramError(ValueError):
    """A program breaks a rule; the message names the call."""


class CallError(RuntimeError):
    """A call stopped the program.

    Attributes
    ----------
    call : Call
    status : int
        Why, as in ``kernels.operations.Status``.
    step : int
        Which batch of the run, from 0.
    """

    def __init__(self, call: Call, status: int, step: int = 0) -> None:
        super().__init__(f"{call.kernel.name} in step {step}: {Status(status).message}")
        self.call, self.status, self.step = call, status, step


class Length(NamedTuple):
    """A length that a run decides: ``fixed + per_row * n``, where n is a number of rows.

    Parameters
    ----------
    fixed, per_row : int
    of : {"batch", "rows"}
        Which rows: those of a batch, or those of the data set that batches are gathered from.

    Examples
    --------
    >>> 3 * BATCH, BATCH * 3 + 2
    (3*batch, 2+3*batch)
    >>> (3 * BATCH).at(10)
    30
    """

    fixed: int
    per_row: int
    of: str = "batch"

    def at(self, batch: int, rows: int = 0) -> int:
        """Return the length for given numbers of rows.

        Parameters
        ----------
        batch, rows : int
            Of a batch, of the data set.

        Returns
        -------
        int

        Examples
        --------
        >>> (3 * BATCH + 2).at(10), ROWS.at(10, rows=500)
        (32, 500)
        """
        return self.fixed + self.per_row * (batch if self.of == "batch" else rows)

    def __mul__(self, factor: Any) -> Any:
        if isinstance(factor, Length):
            raise ValueError(f"{self!r} * {factor!r} does not grow evenly with the rows")
        if not hasattr(factor, "__index__"):
            return NotImplemented
        n = index(factor)
        return Length(self.fixed * n, self.per_row * n, self.of) if n else 0

    def __rmul__(self, factor: Any) -> Any:
        return self * factor

    def __add__(self, other: Any) -> Any:
        if isinstance(other, Length):
            if other.of != self.of:
                raise ValueError(f"{self!r} + {other!r} is of two kinds of rows")
            per_row = self.per_row + other.per_row
            fixed = self.fixed + other.fixed
            return Length(fixed, per_row, self.of) if per_row else fixed
        return (
            Length(self.fixed + index(other), self.per_row, self.of) if hasattr(other, "__index__") else NotImplemented
        )

    def __radd__(self, other: Any) -> Any:
        return self + other

    def __sub__(self, other: Any) -> Any:
        return self + -1 * other

    def __repr__(self) -> str:
        rows = self.of if self.per_row == 1 else f"{self.per_row}*{self.of}"
        return f"{self.fixed}+{rows}" if self.fixed else rows


# NumPy's integers leave arithmetic with a length to it; else they would take it for an array
Length.__array_ufunc__ = None  # type: ignore[attr-defined]

#: The length that is known only when a batch arrives.
BATCH = Length(0, 1)
#: The number of rows of the data set that batches are gathered from.
ROWS = Length(0, 1, "rows")

Shape: TypeAlias = "Sequence[int | Length]"


def at(length: int | Length, batch: int, rows: int = 0) -> int:
    """Return a length as a number."""
    return length.at(batch, rows) if isinstance(length, Length) else length


def affine(length: int | Length, rows: int = 0) -> tuple[int, int]:
    """Return a length as (fixed, per row of a batch), for a number of rows of the data set."""
    if isinstance(length, Length) and length.of == "batch":
        return length.fixed, length.per_row
    return at(length, 0, rows), 0


def _polynomial(shape: Shape) -> tuple[int, list[Length]]:
    """Return what two shapes of equally many elements have in common: a factor and the lengths without one."""
    factor, lengths = 1, []
    for length in shape:
        if isinstance(length, Length):
            common = gcd(length.fixed, length.per_row)
            factor *= common
            lengths.append(Length(length.fixed // common, length.per_row // common, length.of))
        else:
            factor *= length
    return factor, sorted(lengths) if factor else []


class Buffer:
    """A named piece of memory with a shape.

    Attributes
    ----------
    number : int
        Its place in ``program.buffers``.
    name : str
    shape : tuple of int or Length
    dtype : {"real", "i8", "u1", "f8"}
    role : {"input", "parameter", "gradient", "state", "temporary", "result"}
        Inputs are bound or gathered; parameters, gradients and state outlive the program; temporaries
        share the arena; results may be bound to arrays of the caller's.
    parent, offset : Buffer or None, int or Length
        A view: in which buffer it lies, and where it begins there, in elements.
    root : Buffer
        Itself, or the buffer of which this is another shape (`reshaped`) or whose contents it has (`become`).
    owner : Buffer
        The buffer that has the memory: of a view its parent.
    """

    __slots__ = ("_name", "_others", "_role", "dtype", "number", "offset", "owner", "parent", "root", "shape")

    def __init__(
        self,
        number: int,
        name: str,
        shape: Shape,
        dtype: str,
        role: str,
        parent: Buffer | None = None,
        offset: int | Length = 0,
    ) -> None:
        self.number, self._name, self.dtype, self._role = number, name, dtype, role
        self.shape: tuple[Any, ...] = tuple(shape)
        self.parent, self.offset, self.root = parent, offset, self
        self.owner: Buffer = self if parent is None else parent
        self._others: list[Buffer] = []  # those that have this one as their root

    @property
    def name(self) -> str:
        """What listings call it."""
        return self.root._name

    @name.setter
    def name(self, name: str) -> None:
        self.root._name = name

    @property
    def role(self) -> str:
        """What the memory is for."""
        return self.root._role

    @role.setter
    def role(self, role: str) -> None:
        self.root._role = role

    def reshaped(self, shape: Shape) -> Buffer:
        """Return the same memory in another shape: a buffer of the same number, which no call needs to fill.

        Parameters
        ----------
        shape : tuple of int or Length

        Returns
        -------
        Buffer

        Raises
        ------
        ProgramError
            If the shape has another number of elements.

        Examples
        --------
        >>> from fastbp.program import BATCH, Program
        >>> x = Program("float32").buffer("x", (BATCH, 6))
        >>> x.reshaped((BATCH, 2, 3)), x.reshaped((2 * BATCH, 3))
        (x[batch, 2, 3], x[2*batch, 3])
        """
        if tuple(shape) == self.shape:
            return self
        other = Buffer(self.number, self.name, shape, self.dtype, self.role, self.parent, self.offset)
        if _polynomial(other.shape) != _polynomial(self.shape):
            raise ProgramError(f"{self!r} cannot be {other!r}")
        other.root, other.owner = self.root, self.owner
        self.root._others.append(other)
        return other

    def matrix(self, axis: int = -1) -> Buffer:
        """Return the same memory as a matrix, which is what kernels of rows take: the buffer itself if it is one.

        Parameters
        ----------
        axis : int
            From which axis on the columns are: -1 makes a row of each feature vector, 1 of each row of the batch.

        Returns
        -------
        Buffer

        Examples
        --------
        >>> from fastbp.program import BATCH, Program
        >>> x = Program("float32").buffer("x", (BATCH, 5, 3))
        >>> x.matrix(), x.matrix(1)
        (x[5*batch, 3], x[batch, 15])
        """
        return self.reshaped((prod(self.shape[:axis]), prod(self.shape[axis:])))

    def become(self, other: Buffer) -> None:
        """Stand for another buffer of the same contents: whoever holds this one reads that.

        Parameters
        ----------
        other : Buffer

        Examples
        --------
        >>> from fastbp.program import BATCH, Program
        >>> program = Program("float32")
        >>> x, copy = program.buffer("x", (BATCH, 6)), program.buffer("copy", (BATCH, 6))
        >>> copy.become(x)
        >>> copy.name, copy.number
        ('x', 0)
        """
        root = other.root
        for buffer in (self, *self._others):
            buffer.root, buffer.parent, buffer.offset, buffer.number = root, root.parent, root.offset, root.number
            buffer.owner = root.owner
            root._others.append(buffer)
        self._others = []

    def renumber(self, number: int) -> None:
        """Let this be another place in ``program.buffers``.

        Parameters
        ----------
        number : int

        Examples
        --------
        >>> from fastbp.program import BATCH, Program
        >>> x = Program("float32").buffer("x", (BATCH, 6))
        >>> x.renumber(3)
        >>> x.number
        3
        """
        for buffer in (self, *self._others):
            buffer.number = number

    @property
    def with_rows(self) -> bool:
        """Whether the shape has a length of the batch."""
        return self._has("batch")

    @property
    def of_data_set(self) -> bool:
        """Whether the shape has the number of rows of the data set."""
        return self._has("rows")

    def _has(self, of: str) -> bool:
        # asked for in every epoch, of shapes that are mostly empty or short
        for length in self.shape:  # noqa: SIM110 (a generator takes thrice the time)
            if length.__class__ is Length and length.of == of:
                return True
        return False

    @property
    def elements(self) -> Any:
        """How many elements there are, as an integer or a `Length`."""
        return prod(self.shape)

    def resolve(self, batch: int, rows: int = 0) -> tuple[int, ...]:
        """Return the shape for given lengths.

        Parameters
        ----------
        batch, rows : int
            The rows of a batch and of the data set.

        Returns
        -------
        tuple of int

        Examples
        --------
        >>> from fastbp.program import BATCH, Program
        >>> Program("float32").buffer("x", (BATCH, 6)).resolve(32)
        (32, 6)
        """
        return tuple([n if n.__class__ is int else at(n, batch, rows) for n in self.shape])

    def size(self, batch: int, rows: int = 0) -> int:
        """Return the number of elements for given lengths.

        Parameters
        ----------
        batch, rows : int
            The rows of a batch and of the data set.

        Returns
        -------
        int

        Examples
        --------
        >>> from fastbp.program import BATCH, Program
        >>> Program("float32").buffer("x", (BATCH, 6)).size(32)
        192
        """
        return prod(self.resolve(batch, rows))

    def __repr__(self) -> str:
        return f"{self.name}[{', '.join(map(str, self.shape))}]"


@lru_cache(maxsize=4096)
def _sizes(kernel: Kernel, shapes: tuple[Any, ...], attributes: tuple[tuple[str, float], ...]) -> dict[str, Any]:
    # the layers of a model, and its programs, repeat themselves
    return kernel.sizes(shapes, dict(attributes))


def sizes_of(kernel: Kernel, shapes: tuple[Any, ...], attributes: dict[str, float]) -> dict[str, Any]:
    """Return a kernel's sizes, as integers or `Length`; as `Kernel.sizes`."""
    return _sizes(kernel, shapes, tuple(attributes.items()) if kernel.row.lengths else ())


@lru_cache(maxsize=4096)
def _work(kernel: Kernel, shapes: tuple[Any, ...], attributes: tuple[tuple[str, float], ...], batch: int) -> int:
    moved = sum(prod([at(n, batch, 1) for n in shape]) for shape in shapes if ROWS not in shape)
    known = dict(attributes)
    sizes = {dim: at(n, batch) for dim, n in sizes_of(kernel, shapes, known).items()}
    return 10 + moved // 8 + kernel.cost(sizes, known) // 32


@lru_cache(maxsize=4096)
def _cost(kernel: Kernel, shapes: tuple[Any, ...], attributes: tuple[tuple[str, float], ...]) -> tuple[int, float]:
    few, many = (_work(kernel, shapes, attributes, batch) for batch in (0, 1024))
    return few, (many - few) / 1024


@lru_cache(maxsize=1024)
def places(kernel: Kernel) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return where the inputs and the outputs of a kernel are among its operands."""
    at = {o.name: k for k, o in enumerate(kernel.operands)}
    return tuple([at[o.name] for o in kernel.inputs]), tuple([at[o.name] for o in kernel.outputs])


class Call:
    """One kernel applied to buffers.

    Attributes
    ----------
    kernel : Kernel
    buffers : tuple of Buffer
        In the order of ``kernel.operands``.
    attributes : dict
    phase : {"gather", "forward", "loss", "backward", "update", "apply"}
        "apply" is what of an update waits for several batches, where gradients are accumulated.
    layer : str
        The name of the layer that added the call, for listings.
    """

    __slots__ = ("attributes", "buffers", "kernel", "layer", "phase")

    def __init__(
        self, kernel: Kernel, buffers: tuple[Buffer, ...], attributes: dict[str, float], phase: str, layer: str
    ) -> None:
        self.kernel, self.buffers, self.attributes = kernel, buffers, attributes
        self.phase, self.layer = phase, layer

    def named(self) -> dict[str, Buffer]:
        """Return the buffers by operand name.

        Returns
        -------
        dict of str to Buffer

        Examples
        --------
        >>> from fastbp.program import BATCH, Program
        >>> program = Program("float32")
        >>> y = program.call("relu_forward", program.buffer("z", (BATCH, 3)), layer="relu")
        >>> program.calls[0].named()
        {'x': z[batch, 3], 'y': relu.y[batch, 3]}
        """
        return {o.name: b for o, b in zip(self.kernel.operands, self.buffers, strict=True)}

    @property
    def reads(self) -> tuple[Buffer, ...]:
        """Buffers that are read, in the order of the kernel's inputs."""
        return tuple([self.buffers[k] for k in places(self.kernel)[0]])

    @property
    def writes(self) -> tuple[Buffer, ...]:
        """Buffers that are written, in the order of the kernel's outputs."""
        return tuple([self.buffers[k] for k in places(self.kernel)[1]])

    @property
    def results(self) -> tuple[Buffer, ...]:
        """Buffers that hold something afterwards: what is written, but for memory to work in."""
        named = self.named()
        return tuple([named[o.name] for o in self.kernel.results])

    @property
    def lengths(self) -> dict[str, Any]:
        """The kernel's sizes by dimension, as integers or `Length`.

        Raises
        ------
        ValueError
            If the buffers do not fit the kernel's operands.
        """
        return sizes_of(self.kernel, tuple([b.shape for b in self.buffers]), self.attributes)

    def sizes(self, batch: int, rows: int = 0) -> dict[str, int]:
        """Return the kernel's sizes for given lengths.

        Parameters
        ----------
        batch, rows : int
            The rows of a batch and of the data set.

        Returns
        -------
        dict of str to int

        Examples
        --------
        >>> from fastbp.program import BATCH, Program
        >>> program = Program("float32")
        >>> y = program.call("softmax_forward", program.buffer("x", (BATCH, 3)))
        >>> program.calls[0].sizes(32)
        {'batch': 32, 'n': 3}
        """
        return {dim: at(length, batch, rows) for dim, length in self.lengths.items()}

    def affine_sizes(self, rows: int = 0) -> list[tuple[int, int]]:
        """Return each size as ``(fixed, per_row)``: fixed + per_row * batch.

        Parameters
        ----------
        rows : int
            The rows of the data set.

        Returns
        -------
        list of (int, int)

        Examples
        --------
        >>> from fastbp.program import BATCH, Program
        >>> program = Program("float32")
        >>> y = program.call("softmax_forward", program.buffer("x", (BATCH, 3)))
        >>> program.calls[0].affine_sizes()
        [(0, 1), (3, 0)]
        """
        return [affine(n, rows) for n in self.lengths.values()]

    def work(self, batch: int) -> int:
        """Return a rough number of nanoseconds: what decides how often the runner looks at the clock.

        Parameters
        ----------
        batch : int
            The rows of a batch.

        Returns
        -------
        int

        Examples
        --------
        >>> from fastbp.program import BATCH, Program
        >>> program = Program("float32")
        >>> y = program.call("relu_forward", program.buffer("x", (BATCH, 64)))
        >>> program.calls[0].work(1) < program.calls[0].work(1000)
        True
        """
        return _work(self.kernel, tuple([b.shape for b in self.buffers]), tuple(self.attributes.items()), batch)

    @property
    def cost(self) -> tuple[int, float]:
        """What `work` is about: fixed, and per row of a batch."""
        return _cost(self.kernel, tuple([b.shape for b in self.buffers]), tuple(self.attributes.items()))

    def __repr__(self) -> str:
        operands = {o.name: repr(b) for o, b in zip(self.kernel.operands, self.buffers, strict=True)}
        inputs = ", ".join(operands[o.name] for o in self.kernel.inputs)
        return f"{self.kernel.name}({inputs}) -> {', '.join(operands[o.name] for o in self.kernel.outputs)}"


def may_lie(kernel: Kernel, named: dict[str, Buffer], output: str, source: Buffer) -> bool:
    """Whether an output of a call may lie where a buffer does: all of it, as each operand that is this buffer."""
    names = [name for name, buffer in named.items() if name != output and buffer.owner is source]
    whole = all(named[name].root is source for name in names)
    pairs = kernel.inplace
    return named[output].root.parent is None and whole and all((output, name) in pairs for name in names)


class CallList:
    """Calls in the order in which they run, and the buffers that they name.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        What "real" operands are.
    numerics : {"numpy", "portable"}
        Which bits the program promises.

    Attributes
    ----------
    buffers : list of Buffer
    calls : list of Call
    """

    def __init__(self, dtype: str, numerics: str = "numpy") -> None:
        self.dtype, self.numerics = dtype, numerics
        self.buffers: list[Buffer] = []
        self.calls: list[Call] = []

    def drop(self, calls: Collection[int], names: dict[Buffer, Buffer]) -> None:
        """Take calls out of the program, and let other buffers stand for what they made.

        Parameters
        ----------
        calls : collection of int
            By their numbers.
        names : dict of Buffer to Buffer
            For each buffer that goes the one that has the same contents.

        Examples
        --------
        >>> from fastbp.program import BATCH, Program
        >>> program = Program("float32")
        >>> x = program.buffer("x", (BATCH, 3), role="input")
        >>> y = program.call("relu_forward", program.call("identity_forward", x))
        >>> program.drop([0], {program.calls[0].writes[0]: x})
        >>> program.calls
        [relu_forward(x[batch, 3]) -> .y[batch, 3]]
        """
        if not calls:
            return
        self.calls = [call for i, call in enumerate(self.calls) if i not in calls]
        for call in self.calls:
            if not names.keys().isdisjoint(call.buffers):
                call.buffers = tuple([names[b].reshaped(b.shape) if b in names else b for b in call.buffers])
        if not names:
            return
        self.buffers = [b for b in self.buffers if b not in names]
        for old, new in names.items():
            if old.role == "result":
                new.role = "result"
            old.become(new)
        for number, buffer in enumerate(self.buffers):
            if buffer.number != number:
                buffer.renumber(number)

    def itemsize(self, buffer: Buffer) -> int:
        """Return the bytes of one element.

        Parameters
        ----------
        buffer : Buffer

        Returns
        -------
        int

        Examples
        --------
        >>> from fastbp.program import BATCH, Program
        >>> program = Program("float32")
        >>> labels = program.buffer("labels", (BATCH,), "i8")
        >>> program.itemsize(program.buffer("x", (BATCH, 3))), program.itemsize(labels)
        (4, 8)
        """
        return itemsize(buffer.dtype, self.dtype)

    def nbytes(self, buffer: Buffer, batch: int, rows: int = 0) -> int:
        """Return the bytes of a buffer for given lengths.

        Parameters
        ----------
        buffer : Buffer
        batch, rows : int
            The rows of a batch and of the data set.

        Returns
        -------
        int

        Examples
        --------
        >>> from fastbp.program import BATCH, Program
        >>> program = Program("float32")
        >>> program.nbytes(program.buffer("x", (BATCH, 3)), 32)
        384
        """
        return buffer.size(batch, rows) * self.itemsize(buffer)

    def role_bytes(self, role: str, batch: int) -> int:
        """Return the bytes of all buffers of one role, views not counted.

        Parameters
        ----------
        role : str
            As of a `Buffer`.
        batch : int
            The rows of a batch.

        Returns
        -------
        int

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(3)], input_shape=4)
        >>> model.compile("adam", "mse")
        >>> model.program.role_bytes("parameter", 32)  # 15 of 4 bytes
        60
        """
        return sum(self.nbytes(b, batch) for b in self.buffers if b.role == role and b.parent is None)
