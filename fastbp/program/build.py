"""Programs: how calls are added, and what can be asked of them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..checks import suggest
from ..kernels.table import KERNELS
from .ir import Buffer, Call, CallList, Length, ProgramError, Shape, sizes_of
from .plan import Plan, plan_arena
from .verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Protocol

    class Host(Protocol):
        """Who runs a program: an executor."""

        plan: Plan

        def run_program(self, check: str | None) -> None:
            """Run what follows the gathering once."""

        def profile(self, repeat: int) -> Any:
            """Time each call."""


__all__ = ["Program"]


def _place(buffer: Buffer) -> tuple[Any, ...]:
    """Return which part of which memory a buffer is."""
    return buffer.owner, buffer.root.offset, buffer.elements


class Program(CallList):
    """A flat list of kernel calls.

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
    training : bool
        Whether this is a train step: what some layers compute depends on it.
    rows : Buffer or None
        What the batch counts for, one float64, where a penalty asks: see `Regularizer.per_row`.
    deferred : list of callable
        See `later`.
    constants : list of (Buffer, ndarray)
        What some buffers hold from the start, see `constant`.
    executor
        Who runs it, once somebody does: an executor of ``fastbp.backends``.

    Examples
    --------
    >>> from fastbp.program import BATCH, Program
    >>> program = Program("float32")
    >>> x = program.buffer("x", (BATCH, 3), role="input")
    >>> y = program.call("relu_forward", x)
    >>> y.shape, program.calls
    ((batch, 3), [relu_forward(x[batch, 3]) -> .y[batch, 3]])
    """

    def __init__(self, dtype: str, numerics: str = "numpy") -> None:
        self.dtype, self.numerics = dtype, numerics
        self.buffers: list[Buffer] = []
        self.calls: list[Call] = []
        self.phase = "forward"
        self.training = False
        self.rows: Any = None  # a buffer, for those that ask
        self.deferred: list[Callable[[], None]] = []
        self.executor: Host | None = None
        self.constants: list[tuple[Buffer, Any]] = []
        self._gradients: set[tuple[Any, ...]] = set()  # the places of those that some call makes
        self._renaming = ("", "")

    # ------------------------------------------------------------------ building

    @contextmanager
    def renaming(self, own: str, name: str) -> Iterator[None]:
        """Let what is added meanwhile under a layer's own name have another one: that of this use of the layer.

        Parameters
        ----------
        own, name : str

        Yields
        ------
        None

        Examples
        --------
        >>> from fastbp.program import BATCH, Program
        >>> program = Program("float32")
        >>> with program.renaming("norm", "norm:2"):
        ...     y = program.call("relu_forward", program.buffer("x", (BATCH, 3)), layer="norm")
        >>> y
        norm:2.y[batch, 3]
        """
        before, self._renaming = self._renaming, ("", "") if own == name else (own, name)
        try:
            yield
        finally:
            self._renaming = before

    def _named(self, name: str) -> str:
        own, other = self._renaming
        if not own or f"{name}.".startswith(f"{other}."):
            return name
        return other + name[len(own) :] if f"{name}.".startswith(f"{own}.") else name

    def buffer(
        self,
        name: str,
        shape: Shape,
        dtype: str = "real",
        role: str = "temporary",
        parent: Buffer | None = None,
        offset: int | Length = 0,
    ) -> Buffer:
        """Add a buffer.

        Parameters
        ----------
        name : str
            By convention the layer's and the array's, "dense_1.z".
        shape : tuple of int or Length
        dtype : {"real", "i8", "u1", "f8"}
        role : str
            As of a `Buffer`.
        parent : Buffer, optional
            Of which this is a view; of a view of something it is one, too.
        offset : int or Length
            Where in `parent` it begins, in elements.

        Returns
        -------
        Buffer

        Examples
        --------
        >>> from fastbp.program import BATCH, Program
        >>> program = Program("float32")
        >>> both = program.buffer("both", (2 * BATCH, 3))
        >>> second = program.buffer("second", (BATCH, 3), parent=both, offset=3 * BATCH)
        >>> program.buffers, second.parent
        ([both[2*batch, 3], second[batch, 3]], both[2*batch, 3])
        """
        if parent is not None:
            parent = parent.root
            if parent.parent is not None:
                parent, offset = parent.parent, parent.offset + offset
        made = Buffer(len(self.buffers), self._named(name), shape, dtype, role, parent, offset)
        self.buffers.append(made)
        return made

    def constant(self, name: str, array: Any) -> Buffer:
        """Add a buffer that holds an array from the start, in the dtype of the program.

        Parameters
        ----------
        name : str
        array : ndarray

        Returns
        -------
        Buffer

        Examples
        --------
        >>> import numpy as np
        >>> from fastbp.program import BATCH, Program
        >>> program = Program("float32")
        >>> x, offset = program.buffer("x", (BATCH, 2), role="input"), program.constant("offset", np.array([0.5, 2]))
        >>> program.call("bias_forward", x, offset, layer="shifted")
        shifted.y[batch, 2]
        """
        buffer = self.buffer(name, array.shape, role="state")
        self.constants.append((buffer, array))
        return buffer

    def call(
        self, name: str, *inputs: Buffer, layer: str = "", into: dict[str, Buffer] | None = None, **attributes: float
    ) -> Any:
        """Add a call; outputs that are not given become temporaries.

        Parameters
        ----------
        name : str
            A kernel of the table.
        *inputs : Buffer
            In the order of the kernel's inputs.
        layer : str
            The name of the layer that adds the call; also the first part of new buffers' names.
        into : dict of str to Buffer, optional
            Buffers for outputs, by operand name. Operands that are updated in place need none. To a gradient that an
            earlier call made, itself or a whole that it is a part of, the output is added.
        **attributes
            The row's attributes, where not the defaults.

        Returns
        -------
        Buffer or tuple of Buffer
            The kernel's results.

        Raises
        ------
        ProgramError
            If the kernel has no such inputs, outputs or attributes.

        Examples
        --------
        >>> from fastbp.program import BATCH, Program
        >>> program = Program("float32")
        >>> x, w = program.buffer("x", (BATCH, 4), role="input"), program.buffer("w", (4, 3), role="parameter")
        >>> z = program.call("matmul_nn", x, w, layer="mine")
        >>> program.call("leaky_relu_forward", z, layer="mine", alpha=0.2)
        mine.y[batch, 3]
        """
        kernel, layer = KERNELS[name], self._named(layer)
        if len(inputs) != len(kernel.inputs):
            raise ProgramError(f"{name} takes {len(kernel.inputs)} inputs, got {len(inputs)}")
        known = kernel.attributes
        for attribute in attributes:
            if attribute not in known:
                raise ProgramError(f"{name} has no attribute {attribute!r}{suggest(attribute, known)}")
        given = {o.name: b for o, b in zip(kernel.inputs, inputs, strict=True)}
        made = [o.name for o in kernel.outputs if o.name not in given]
        more: dict[str, Buffer] = {}
        for output, target in (into or {}).items():
            if output not in made:
                what = ", ".join(made) or "nothing"
                raise ProgramError(f"{name} makes no {output!r}, which into has; it makes {what}")
            if self._made(target) and target.root not in {b.root for b in inputs}:
                more[output] = target
            else:
                given[output] = target
        chosen = {**known, **attributes}
        fixed = {**given, **more}
        shapes = tuple([fixed[o.name].shape if o.name in fixed else None for o in kernel.operands])
        sizes = sizes_of(kernel, shapes, chosen)
        if len(given) < len(kernel.operands):
            like = None
            if kernel.elementwise:
                like = next((given[o.name].shape for o in kernel.inputs if o.dims == ("n",)), None)
            for operand in kernel.outputs:
                if operand.name not in given:
                    shape = kernel.shape(operand, sizes, like)
                    given[operand.name] = self.buffer(f"{layer}.{operand.name}", shape, operand.dtype)
        buffers = tuple([given[o.name] for o in kernel.operands])
        for operand in kernel.outputs:
            buffer = given[operand.name]
            if buffer.owner.role == "gradient":
                self._gradients.add(_place(buffer))
        self.calls.append(Call(kernel, buffers, chosen, self.phase, layer))
        for output, target in more.items():
            given[output] = self.call("add", target, given[output], layer=layer, into={"y": target})
        results = tuple([given[o.name] for o in kernel.results])
        return results[0] if len(results) == 1 else results

    def _made(self, gradient: Buffer) -> bool:
        """Whether calls made a gradient already: itself, or the whole that it is a part of."""
        if gradient.owner.role != "gradient":
            return False
        return _place(gradient) in self._gradients or _place(gradient.owner) in self._gradients

    def later(self, function: Callable[[], None]) -> None:
        """Let a function add calls to the update phase: what changes a layer's statistics.

        From there on a step runs to its end, so that statistics and parameters change together or not at all.

        Parameters
        ----------
        function : callable
            Without arguments.

        Examples
        --------
        >>> from fastbp.program import Program
        >>> program = Program("float32")
        >>> mean, new = program.buffer("mean", (3,), role="state"), program.buffer("new", (3,))
        >>> program.later(lambda: program.call("add", mean, new, into={"y": mean}))
        >>> len(program.calls), len(program.deferred)
        (0, 1)
        """
        self.deferred.append(function)

    def find(self, name: str) -> Buffer:
        """Return the buffer of that name.

        Parameters
        ----------
        name : str

        Returns
        -------
        Buffer

        Raises
        ------
        KeyError
            If there is none.

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(3)], input_shape=4)
        >>> model.compile("sgd", "mse")
        >>> model.program.find("dense_1.dw")
        dense_1.dw[4, 3]
        """
        for buffer in self.buffers:
            if buffer.name == name:
                return buffer
        raise KeyError(f"no buffer {name!r}{suggest(name, [b.name for b in self.buffers])}")

    def span(self, first: str, last: str | None = None) -> tuple[int, int]:
        """Return the calls of phases `first` to `last` as a range (start, stop).

        Parameters
        ----------
        first : str
            A phase, see `Call`.
        last : str, optional
            By default `first`.

        Returns
        -------
        start, stop : int
            Both 0 where there are none.

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(3)], input_shape=4)
        >>> model.compile("sgd", "mse")
        >>> start, stop = model.program.span("forward")
        >>> model.program.calls[start:stop]
        [dense(x[batch, 4], dense_1.w[4, 3], dense_1.b[3]) -> dense_1.y[batch, 3]]
        """
        at = [i for i, call in enumerate(self.calls) if call.phase in (first, last or first)]
        return (at[0], at[-1] + 1) if at else (0, 0)

    @property
    def start(self) -> int:
        """The first call after the gathering: where a step on arrays of a batch begins."""
        return self.span("gather")[1]

    @property
    def commit(self) -> int:
        """The first call that writes parameters or state: from there on a step runs to its end."""
        return next((i for i, call in enumerate(self.calls) if call.phase in ("update", "apply")), len(self.calls))

    @property
    def apply(self) -> int:
        """The first call that a step leaves away where its gradient is accumulated, up to the last of an update."""
        return next((i for i, call in enumerate(self.calls) if call.phase == "apply"), len(self.calls))

    # ------------------------------------------------------------------ memory and rules

    def plan(self, batch: int, keep: bool = False) -> Plan:
        """Plan the arena for batches of up to `batch` rows.

        Two temporaries share memory if one is last read before the other is first written; an output
        takes its input's place where the kernel's row allows it and nobody reads the input later.

        Parameters
        ----------
        batch : int
        keep : bool
            Share nothing, so that every intermediate result can be looked at afterwards.

        Returns
        -------
        Plan

        Examples
        --------
        >>> from fastbp.program import BATCH, Program
        >>> program = Program("float32")
        >>> y = program.buffer("x", (BATCH, 3), role="input")
        >>> for _ in range(4):
        ...     y = program.call("relu_forward", y)
        >>> program.plan(batch=32).nbytes, program.plan(batch=32, keep=True).nbytes
        (384, 1536)
        """
        return plan_arena(self, batch, keep)

    def verify(self, plan: Plan | None = None) -> None:
        """Check the program without running it.

        What is read was written, all of it; a buffer is written once, and after that only updated by calls that read
        it; shapes and dtypes agree; no call writes what it also reads unless the kernel's row allows it; and (with
        `plan`) no two buffers that live at the same time share memory, whatever the batch up to that of the plan.

        Parameters
        ----------
        plan : Plan, optional

        Raises
        ------
        ProgramError
            The message names the call and the buffer.

        Examples
        --------
        >>> from fastbp.program import BATCH, Program
        >>> program = Program("float32")
        >>> y = program.call("relu_forward", program.buffer("x", (BATCH, 3)))
        >>> program.verify()
        Traceback (most recent call last):
        fastbp.program.ir.ProgramError: ...
        """
        verify(self, plan)

    # ------------------------------------------------------------------ looking and running

    def __str__(self) -> str:
        from .listing import listing

        return listing(self, self._plan_now)

    def _repr_html_(self) -> str:
        from .listing import as_html

        return as_html(self, self._plan_now)

    @property
    def _plan_now(self) -> Plan:
        """Return the plan of the executor; without one, that for a batch of one row."""
        return self.executor.plan if self.executor else self.plan(1)

    def run(self, check: str | None = None) -> None:
        """Run all calls after the gathering once, on the data that the executor holds.

        Parameters
        ----------
        check : {None, "numpy"}
            "numpy" runs every call on the reference as well and compares the bits.

        Raises
        ------
        AssertionError
            With ``check="numpy"``, at the first call whose bits differ; the message names it.

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(3)], input_shape=4, seed=0)
        >>> model.compile("sgd", "mse")
        >>> loss = model.train_on_batch([[1, 2, 3, 4]], [[1, 0, 0]])
        >>> model.program.run(check="numpy")
        """
        self._bound().run_program(check)

    def profile(self, repeat: int = 100) -> Any:
        """Time each call; parameters and optimizer state are left as they were.

        Parameters
        ----------
        repeat : int
            Times are medians of so many runs.

        Returns
        -------
        Profile
            Its rows are ``(call, seconds, bytes)``; `print` shows a table.

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(3)], input_shape=4, seed=0)
        >>> model.compile("sgd", "mse")
        >>> loss = model.train_on_batch([[1, 2, 3, 4]], [[1, 0, 0]])
        >>> profile = model.program.profile(repeat=3)
        >>> call, seconds, nbytes = profile.rows[0]
        >>> call.kernel.name, seconds > 0
        ('dense', True)
        """
        return self._bound().profile(repeat)

    def __getstate__(self) -> dict[str, Any]:
        # a copy is the list of calls: nobody runs it, and what was deferred has been added
        return {**vars(self), "executor": None, "deferred": []}

    def _bound(self) -> Host:
        if self.executor is None:
            raise RuntimeError("this program has no executor; compile a model, then use model.program")
        return self.executor
