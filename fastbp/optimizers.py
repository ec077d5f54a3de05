"""Optimizers: their state and the calls that update all parameters at once."""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from .checks import as_numbers, check_kind, integer, number
from .kernels.arrays import dtype_of
from .kernels.table import KERNELS, TABLE
from .naming import elsewhere
from .registry import Registered, make, name_of, restore
from .turns import put_values

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import ArrayLike

    from .kernels.table import Operand
    from .program import Buffer, Program
    from .schedules import InverseTimeDecay, Rate

    State = dict[str, tuple[tuple[int, ...], str, float]]
    Group = tuple[Buffer, Buffer, Sequence[Buffer], Buffer]

__all__ = [
    "ASGD",
    "SGD",
    "AMSGrad",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Nadam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "get",
]

_MOST = 2**63 - 1  # updates that can be counted
_AHEAD = 256  # rates that are computed at a time where steps are taken one by one
#: What is around an update if nothing is said.
_AROUND: dict[str, Any] = {
    "gradient_accumulation_steps": 1,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
}


class Optimizer(Registered, kind="optimizer"):
    """A rule that updates the parameters from their gradients.

    Parameters
    ----------
    lr : float or Schedule or callable
        The learning rate, positive. Assigning to ``optimizer.lr`` takes effect at the next step. A
        `fastbp.schedules.Schedule`, or any function of the step number, gives the rate of every step, from 0 on;
        it may come to 0. Within an epoch of `fit` another schedule takes effect with the next epoch.
    clipvalue : float, optional
        Each element of the gradients is clipped to [-clipvalue, clipvalue] first: PyTorch's ``clip_grad_value_``.
    clipnorm : float, optional
        The gradient of each parameter is scaled down to this Euclidean norm where it is longer.
    global_clipnorm : float, optional
        So are all gradients together: PyTorch's ``clip_grad_norm_`` (which divides by the norm plus 1e-6).
    gradient_accumulation_steps : int, optional
        After how many batches there is an update: from the gradient that the loss over all their rows has. 1 by
        default.
    use_ema : bool
        Whether a moving average of the parameters is kept, with which ``predict(x, weights="ema")`` computes.
    ema_momentum : float
        What of the average each update keeps, in [0, 1).
    ema_overwrite_frequency : int, optional
        After how many updates the average takes the place of the parameters, again and again; by default never.

    Notes
    -----
    Of batches 1 .. k with gradients ``dw_i`` of the data's loss over ``n_i`` rows, accumulation makes
    ``(n_1 * dw_1 + ... + n_k * dw_k) / (n_1 + ... + n_k)``, added in this order: each product and sum is rounded to the
    model's dtype. Where a loss ignores a label, ``n_i`` are the labels that count; of losses that are sums over rows
    all ``n_i`` are 1, and nothing is divided. To that the penalties of layers are added, once, before it is clipped.
    `iterations` and schedules count updates; moving averages of `BatchNorm` change with every batch. The end of an
    epoch of `fit` makes an update of what is there. Keras has the mean of the k gradients, whatever their rows, and
    leaves the rest of an epoch to the next one.

    After each update, and the constraints of layers, ``ema = ema_momentum * ema + (1 - ema_momentum) * w``; the first
    update begins with w, as in Keras. The parameters of layers that are not trained stay as they are in the average.
    Keras has the average take the place of the parameters at the end of `fit`, too, and counts batches where gradients
    are accumulated.

    An optimizer belongs to the model that was compiled with it and holds that model's state. A copy of it
    (``copy.deepcopy``, ``pickle``) belongs to none, and a model that is compiled with it goes on with that state.

    Examples
    --------
    >>> from fastbp.schedules import CosineDecay
    >>> optimizer = Adam(lr=CosineDecay(0.01, decay_steps=1000))
    >>> optimizer.lr
    0.01
    >>> optimizer.iterations = 500
    >>> optimizer.lr
    0.005
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.Dense(1)], input_shape=2)
    >>> model.compile(Adam(gradient_accumulation_steps=4, use_ema=True), "mse")
    >>> history = model.fit(np.ones((60, 2)), np.ones(60), batch_size=10, verbose=0)  # 6 batches: 4, and 2 at the end
    >>> model.optimizer.iterations, model.predict(np.ones((5, 2)), weights="ema").shape
    (2, (5, 1))
    """

    def __init__(
        self,
        lr: float | Rate,
        clipvalue: float | None = None,
        clipnorm: float | None = None,
        global_clipnorm: float | None = None,
        gradient_accumulation_steps: int | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
    ) -> None:
        given = {"clipvalue": clipvalue, "clipnorm": clipnorm, "global_clipnorm": global_clipnorm}
        self.clipping = {
            name: number(name, value, 0, math.inf, closed_low=False)
            for name, value in given.items()
            if value is not None
        }
        if len(self.clipping) > 1:
            raise ValueError(f"{' and '.join(self.clipping)} are given; give one of them")
        check_kind("use_ema", use_ema, (bool, np.bool_), "True or False")
        every, steps = ema_overwrite_frequency, gradient_accumulation_steps
        steps = 1 if steps is None else steps
        self._around: dict[str, Any] = {
            "gradient_accumulation_steps": integer("gradient_accumulation_steps", steps, 1, _MOST),
            "use_ema": bool(use_ema),
            "ema_momentum": number("ema_momentum", ema_momentum, 0, 1),
            "ema_overwrite_frequency": None if every is None else integer("ema_overwrite_frequency", every, 1, 2**53),
        }
        if every is not None and not use_ema:
            raise ValueError(f"ema_overwrite_frequency is {every} and use_ema is False; there is no average to write")
        # arrays of one, so that compiled programs use the same memory
        self._lr = np.empty(1)
        self._iterations = np.zeros(1, np.int64)
        self.lr = lr
        self._owner: weakref.ref[object] | None = None
        self._state: dict[str, np.ndarray] = {}

    @property
    def lr(self) -> float:
        """The learning rate of the next step; see `schedule` for the rule behind it."""
        if self._schedule is not None:
            self.prepare()
        return self._lr.item()

    @lr.setter
    def lr(self, value: float | Rate) -> None:
        value = self._rule(value)
        if callable(value):
            _schedules().check_first("lr", value)
            self._schedule: Rate | None = value
        else:
            self._lr[0] = number("lr", value, 0, math.inf, closed_low=False)
            self._schedule = None
        self._ahead: tuple[int, np.ndarray] = 0, np.empty(0)

    def _rule(self, value: float | Rate) -> float | Rate:
        """Return the learning rate, or its rule, of what a user gives for it."""
        return value

    @property
    def gradient_accumulation_steps(self) -> int:
        """How many batches make an update."""
        steps: int = self._around["gradient_accumulation_steps"]
        return steps

    @property
    def use_ema(self) -> bool:
        """Whether a moving average of the parameters is kept."""
        return bool(self._around["use_ema"])

    @property
    def ema_momentum(self) -> float:
        """What of the average each update keeps."""
        return float(self._around["ema_momentum"])

    @property
    def ema_overwrite_frequency(self) -> int | None:
        """After how many updates the average takes the place of the parameters; None for never."""
        frequency: int | None = self._around["ema_overwrite_frequency"]
        return frequency

    @property
    def averages(self) -> np.ndarray | None:
        """The moving average of all parameters, flat, as programs change it; None before the first update."""
        known = self.use_ema and self._state and self._state["ema_count"][0] > 0
        return self._state["ema"] if known else None

    @property
    def schedule(self) -> Rate | None:
        """What gives the learning rate of every step, or None where it is a number."""
        return self._schedule

    @property
    def iterations(self) -> int:
        """The number of updates made: a schedule and Adam's bias correction continue from it.

        It is right at any moment, in a callback and in a signal's handler too. Setting it sets all that follows from
        it: the powers of Adam's betas.
        """
        return int(self._iterations[0])

    @iterations.setter
    def iterations(self, value: int) -> None:
        n = integer("iterations", value, 0)
        if n > _MOST:
            raise ValueError(f"iterations is {n}; it must be at most {_MOST}")
        put_values([(self._iterations, np.array([n])), *self._powers(self._state, n)])

    @property
    def counter(self) -> np.ndarray:
        """`iterations` as the array of one that programs count in."""
        return self._iterations

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The state and the learning rate, "lr", as programs read and change them."""
        return {**self._state, "lr": self._lr}

    def _advance_attributes(self) -> dict[str, Any]:
        """Return the attributes of the row that counts the powers."""
        known = self.attributes()
        return {name: known[name] for name in TABLE[self.advance or ""].attributes if name in known}

    def _powers(self, state: dict[str, np.ndarray], n: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the state that depends on the number of updates alone, each with its values after n of them."""
        counted = self._counted
        if counted is None or counted.name not in state:
            return []
        power = np.ones_like(state[counted.name])
        if n:
            from .kernels.numpy_ref import get as reference

            advance: Any = reference(f"{self.advance}_advance")
            options = self._advance_attributes()
            for _ in range(n):
                before, power = power, advance(power, **options)
                if (before == power).all():
                    break  # all have come to 0, or as near as they get
        return [(state[counted.name], power)]

    @property
    def _counted(self) -> Operand | None:
        """What the row that counts the powers counts in."""
        return None if self.advance is None else KERNELS[f"{self.advance}_advance"].operands[0]

    @property
    def accumulated(self) -> tuple[np.ndarray, int] | None:
        """How many batches there were since the last update, as an array of one, and of how many one is made.

        None where each batch makes one.
        """
        steps = self.gradient_accumulation_steps
        return (self._state["accumulated_batches"], steps) if steps > 1 and self._state else None

    def rates(self, steps: int) -> np.ndarray | None:
        """Return the learning rates of the next `steps` steps, or None where it is a number.

        Where several steps make an update, they have the same.

        Parameters
        ----------
        steps : int

        Returns
        -------
        ndarray of float64, shape (steps,), or None

        Examples
        --------
        >>> from fastbp.schedules import StepDecay
        >>> optimizer = SGD(lr=StepDecay(0.4, step_size=2, gamma=0.5))
        >>> optimizer.rates(4)
        array([0.4, 0.4, 0.2, 0.2])
        """
        if self._schedule is None:
            return None
        updates, count, together = None, steps, self.gradient_accumulation_steps
        if together > 1 and steps:
            waiting = 0 if self.accumulated is None else self.accumulated[0].item()
            updates = (waiting + np.arange(steps)) // together
            count = updates[-1] + 1
        numbers = np.arange(self.iterations, self.iterations + count, dtype=np.float64)
        rates: np.ndarray = _schedules().rates_of(self._schedule, numbers)
        return rates if updates is None else rates[updates]

    def prepare(self) -> None:
        """Put the learning rate of the next step where the program reads it.

        Examples
        --------
        >>> optimizer = SGD(lr=lambda step: 1 / (1 + step))
        >>> optimizer.iterations = 3
        >>> optimizer.prepare()
        >>> optimizer.arrays["lr"]
        array([0.25])
        """
        if self._schedule is None:
            return
        n = self.iterations  # once: another thread may be training
        if not isinstance(self._schedule, Registered):
            # a function of the user's, and no schedule, is asked for no step that may never come
            rate = self._schedule(n)
        else:
            start, rates = self._ahead
            if not start <= n < start + len(rates):
                start, rates = self._ahead = n, self._schedule(np.arange(n, n + _AHEAD))
            rate = float(rates[n - start])
        self._lr[0] = number(f"the learning rate of step {n}", rate, 0, math.inf)

    #: The row of the table, the arrays of the parameters' size that it keeps, and the row that counts its powers.
    row: str
    slots: tuple[str, ...] = ()
    advance: str | None = None
    #: Arguments of the constructor that the row has as attributes of these names.
    options: tuple[str, ...] = ()

    @property
    def decay_apart(self) -> float:
        """The decay of the weights of two dimensions or more that `emit_decay` adds; 0 where there is none."""
        return 0.0

    def attributes(self) -> dict[str, Any]:
        """Return the row's attributes.

        Returns
        -------
        dict of str to float

        Examples
        --------
        >>> Adam(beta1=0.8).attributes()
        {'beta1': 0.8, 'beta2': 0.999, 'eps': 1e-08}
        """
        return {name: float(getattr(self, name)) for name in self.options}

    def state(self, n: int) -> State:
        """Return the initial state for n parameters.

        Parameters
        ----------
        n : int

        Returns
        -------
        dict of str to (shape, dtype, float)
            Shape, element type ("real" or "f8") and initial value.

        Examples
        --------
        >>> Adam().state(100)
        {'m': ((100,), 'real', 0.0), 'v': ((100,), 'real', 0.0), 'power': ((2,), 'f8', 1.0)}
        """
        state: State = {name: ((n,), "real", 0.0) for name in self.slots}
        counted = self._counted
        if counted is None:
            return state
        return {**state, counted.name: (tuple(map(int, counted.dims)), "f8", 1.0)}

    def whole_state(self, n: int) -> State:
        """Return `state`, and what accumulation and moving averages keep besides.

        Parameters
        ----------
        n : int

        Returns
        -------
        dict of str to (shape, dtype, float)
            As of `state`; "i8" are integers.

        Examples
        --------
        >>> SGD(use_ema=True).whole_state(100)
        {'ema': ((100,), 'real', 0.0), 'ema_count': ((2,), 'f8', 0.0)}
        >>> list(SGD(gradient_accumulation_steps=4).whole_state(100))
        ['accumulated', 'accumulated_rows', 'accumulated_batches']
        """
        state = dict(self.state(n))
        if self.gradient_accumulation_steps > 1:
            state["accumulated"] = (n,), "real", 0.0
            state["accumulated_rows"] = (1,), "f8", 0.0
            state["accumulated_batches"] = (1,), "i8", 0.0
        if self.use_ema:
            state["ema"] = (n,), "real", 0.0
            state["ema_count"] = (2,), "f8", 0.0
        return state

    def emit_clipping(self, program: Program, gradients: Sequence[Buffer], dw: Buffer) -> None:
        """Add the clipping of the gradients to a program.

        Parameters
        ----------
        program : Program
        gradients : list of Buffer
            Of each parameter.
        dw : Buffer
            All of them, flat.

        Examples
        --------
        >>> from fastbp.program import Program
        >>> program = Program("float32")
        >>> dw = program.buffer("gradients", (100,), role="gradient")
        >>> SGD(clipvalue=1.0).emit_clipping(program, [dw], dw)
        >>> program.calls
        [clip_value(gradients[100]) -> gradients[100]]
        """
        for name, limit in self.clipping.items():
            for gradient in gradients if name == "clipnorm" else [dw]:
                options: dict[str, Any] = {"layer": "optimizer", "limit": limit}
                if name == "clipvalue":
                    program.call("clip_value", gradient, **options)
                else:
                    squares = program.call("clip_norm_squares", gradient, **options)
                    program.call("clip_norm_rescale", gradient, squares, **options)

    def emit_decay(self, program: Program, spans: Sequence[tuple[Buffer, Buffer]]) -> None:
        """Add the decay of some weights to a program, of an optimizer whose update is to leave others out.

        Parameters
        ----------
        program : Program
        spans : list of (w, lr)
            Weights, flat, and their learning rate.

        Examples
        --------
        >>> from fastbp.program import Program
        >>> program = Program("float32")
        >>> w, lr = program.buffer("w", (100,), role="parameter"), program.buffer("lr", (1,), "f8", role="state")
        >>> AdamW(decay_biases=False).emit_decay(program, [(w, lr)])
        >>> program.calls
        [decay_weights(w[100], lr[1]) -> w[100]]
        """
        for w, lr in spans:
            program.call("decay_weights", w, lr, layer="optimizer", weight_decay=self.decay_apart)

    def emit(self, program: Program, groups: Sequence[Group], state: dict[str, Buffer]) -> None:
        """Add the update of all parameters to a program.

        Parameters
        ----------
        program : Program
        groups : list of (w, dw, slots, lr)
            Parameters and their gradients, flat, their parts of the state, and their learning rate.
        state : dict of str to Buffer
            What all groups share is taken from here.

        Examples
        --------
        >>> from fastbp.program import Program
        >>> program = Program("float32")
        >>> w, dw = program.buffer("w", (100,), role="parameter"), program.buffer("dw", (100,), role="gradient")
        >>> SGD().emit(program, [(w, dw, [], program.buffer("lr", (1,), "f8", role="state"))], {})
        >>> program.calls
        [sgd_update(w[100], dw[100], lr[1]) -> w[100]]
        """
        known = self.attributes()
        shared = {name: buffer for name, buffer in state.items() if name not in self.slots}
        if self._counted is not None:
            options = self._advance_attributes()
            program.call(f"{self.advance}_advance", shared[self._counted.name], layer="optimizer", **options)
        for w, dw, slots, lr in groups:
            program.call(f"{self.row}_update", w, dw, *slots, *shared.values(), lr, layer="optimizer", **known)

    def emit_averages(self, program: Program, spans: Sequence[tuple[Buffer, Buffer, bool]], count: Buffer) -> None:
        """Add the moving averages of parameters to a program.

        Parameters
        ----------
        program : Program
        spans : list of (w, ema, bool)
            Parameters and their averages, flat, and whether they are trained.
        count : Buffer
            The updates that the averages have seen, and those since they last took the place of the parameters.

        Examples
        --------
        >>> from fastbp.program import Program
        >>> program = Program("float32")
        >>> w, ema = program.buffer("w", (100,), role="parameter"), program.buffer("ema", (100,), role="state")
        >>> SGD(use_ema=True).emit_averages(program, [(w, ema, True)], program.buffer("count", (2,), "f8", "state"))
        >>> program.calls[0]
        ema_update(w[100], ema[100], count[2]) -> ema[100]
        """
        options: dict[str, Any] = {"layer": "optimizer", "frequency": float(self.ema_overwrite_frequency or 0)}
        for w, ema, trained in spans:
            if trained:
                self._emit_average(program, w, ema, count, options)
            else:  # it is taken over with the first update
                program.call("ema_update", w, ema, count, momentum=1.0, **options)
        program.call("ema_advance", count, momentum=self.ema_momentum, **options)
        for w, ema, trained in spans:
            if trained and self.ema_overwrite_frequency is not None:
                program.call("ema_overwrite", w, ema, count, momentum=self.ema_momentum, **options)

    def _emit_average(
        self, program: Program, w: Buffer, ema: Buffer, count: Buffer, options: dict[str, Any]
    ) -> None:
        program.call("ema_update", w, ema, count, momentum=self.ema_momentum, **options)

    def attached(self, owner: object, state: dict[str, np.ndarray]) -> list[tuple[Any, str, Any]]:
        """Return what to set (`put_attributes`) to make `state` this optimizer's own, which may have state already.

        Parameters
        ----------
        owner : Sequential
            The model.
        state : dict of str to ndarray
            New arrays, as `state` describes them, that the programs are to update; empty while the number of
            parameters is not known. An optimizer that has updated this model, or is a copy, goes on from where it was,
            one whose model is gone begins anew.

        Returns
        -------
        list of (object, str, object)

        Raises
        ------
        ValueError
            If the optimizer belongs to another model, or is a copy of one with another number of parameters.

        Examples
        --------
        >>> import fastbp
        >>> optimizer = SGD()
        >>> model = fastbp.Sequential([fastbp.Dense(1)], input_shape=2)
        >>> [name for _, name, _ in optimizer.attached(model, {})]
        ['_owner', '_state', '_iterations']
        """
        current = self._owner() if self._owner is not None else None
        if current is not None and current is not owner:
            raise ValueError("this optimizer belongs to another model; make one for each model")
        goes_on = self._owner is None or current is owner
        kept = self._state if goes_on else {}
        iterations = self._iterations if goes_on else np.zeros(1, np.int64)
        if kept and state:
            for name, array in kept.items():
                if array.shape != state[name].shape:
                    raise ValueError(
                        f"this optimizer is a copy whose {name} has shape {array.shape}; for this model it must have "
                        f"{state[name].shape}. Call its reset() first, and it begins anew"
                    )
                state[name][...] = array
        else:
            put_values(self._powers(state, int(iterations[0])))
        names = ("_owner", weakref.ref(owner)), ("_state", state or kept), ("_iterations", iterations)
        return [(self, name, value) for name, value in names]

    def reset(self) -> None:
        """Begin anew: no update was made, and the state is the initial one. The learning rate, or its rule, stays.

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(1)], input_shape=2)
        >>> model.compile(SGD(momentum=0.9), "mse")
        >>> loss = model.train_on_batch([[0, 1]], [1])
        >>> model.optimizer.reset()
        >>> model.optimizer.iterations, model.optimizer.get_state()["velocity"]
        (0, array([0., 0., 0.], dtype=float32))
        """
        if self._owner is None:
            self._state = {}  # of a copy: the next model's size decides
        initial = {name: value for name, (_, _, value) in self.whole_state(1).items()}
        pairs = [(array, np.full_like(array, initial[name])) for name, array in self._state.items()]
        put_values([*pairs, (self._iterations, np.zeros_like(self._iterations))])

    def __getstate__(self) -> dict[str, Any]:
        model: Any = None if self._owner is None else self._owner()
        engine = None if model is None else model.current_engine
        state = {**vars(self), "_owner": None}
        # the model may have another one by now
        return {**state, "_state": (engine,)} if engine is not None and engine.setup.optimizer is self else state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if isinstance(self._state, tuple):
            self._state = dict(self._state[0]["optimizer"])
            self._iterations = self._state.pop("step")
        # programs write into these two: never into a file that was mapped for reading, as joblib may
        self._lr = np.array(self._lr)
        self._iterations = np.array(self._iterations).reshape(1)

    def __copy__(self) -> Optimizer:
        from copy import deepcopy

        return deepcopy(self)  # two optimizers cannot share a state

    def get_state(self) -> dict[str, np.ndarray]:
        """Return copies of the state arrays by name, and `iterations` as ``"step"``.

        Returns
        -------
        dict of str to ndarray

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(1)], input_shape=2)
        >>> model.compile(SGD(momentum=0.9), "mse")
        >>> loss = model.train_on_batch([[0, 1]], [1])
        >>> state = model.optimizer.get_state()
        >>> state["velocity"].shape, int(state["step"])
        ((3,), 1)
        """
        return {**{name: array.copy() for name, array in self._state.items()}, "step": np.array(self.iterations)}

    def set_state(self, state: Mapping[str, ArrayLike]) -> None:
        """Set the state arrays.

        Parameters
        ----------
        state : dict of str to ndarray
            As `get_state` returns them. Without ``"step"`` that is left as it is.

        Raises
        ------
        ValueError
            If an array is missing, unknown or of another shape or dtype; nothing is changed then.

        Examples
        --------
        >>> import fastbp
        >>> models = [fastbp.Sequential([fastbp.Dense(1)], input_shape=2) for _ in range(2)]
        >>> for model in models:
        ...     model.compile(SGD(momentum=0.9), "mse")
        >>> loss = models[0].train_on_batch([[0, 1]], [1])
        >>> models[1].optimizer.set_state(models[0].optimizer.get_state())
        >>> models[1].optimizer.iterations
        1
        """
        check_kind("state", state, Mapping, "a dict of arrays")
        values, step = _checked_state(state, {name: (a.shape, a.dtype) for name, a in self._state.items()})
        pairs = [(self._state[name], value) for name, value in values.items()]
        put_values(pairs if step is None else [*pairs, (self._iterations, step.reshape(1))])

    def check_state(self, state: Mapping[str, ArrayLike], n: int, dtype: str) -> None:
        """Raise ValueError unless `set_state` would take a state, of a model of n parameters.

        Parameters
        ----------
        state : dict of str to ndarray
        n : int
        dtype : {"float32", "float64"}
            Of the parameters.

        Examples
        --------
        >>> import numpy as np
        >>> SGD(momentum=0.9).check_state({"velocity": np.zeros(3, "float32")}, 3, "float32")
        """
        wanted = {
            name: (shape, dtype_of(kind, np.dtype(dtype))) for name, (shape, kind, _) in self.whole_state(n).items()
        }
        _checked_state(state, wanted)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments: plain data, but for a schedule.

        Returns
        -------
        dict of str to object

        Examples
        --------
        >>> Adam(lr=0.01, clipnorm=1.0).get_config()
        {'lr': 0.01, 'clipnorm': 1.0, 'beta1': 0.9, 'beta2': 0.999, 'eps': 1e-08}
        """
        own = {name: getattr(self, name) for name in self.options}
        around = {name: value for name, value in self._around.items() if value != _AROUND[name]}
        return {"lr": self.lr if self._schedule is None else self._schedule, **self.clipping, **around, **own}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


def _checked_state(
    state: Mapping[str, ArrayLike], want: dict[str, tuple[tuple[int, ...], np.dtype]]
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Return the arrays of a state, and the number of updates, if they are as wanted."""
    arrays = {name: as_numbers(f"state {name!r}", value) for name, value in state.items()}
    step = arrays.pop("step", None)
    if set(arrays) != set(want):
        raise ValueError(f"state has {sorted(state)}; it must have {sorted([*want, 'step'])}")
    if step is not None and (step.shape != () or step.dtype.kind != "i" or step < 0):
        raise ValueError(f"state 'step' is {step!r}; it must be an integer of at least 0")
    for name, array in arrays.items():
        shape, dtype = want[name]
        if array.shape != shape or array.dtype != dtype:
            raise ValueError(f"state {name!r} is {array.dtype} {array.shape}; it must be {dtype} {shape}")
        if dtype.kind == "i" and (array < 0).any():
            raise ValueError(f"state {name!r} is {array.tolist()}; it must be at least 0")
    return arrays, step


class SGD(Optimizer, names=("sgd",)):
    """Gradient descent, with momentum and Nesterov's variant.

    Without momentum ``w -= lr * dw``. With it ``velocity = momentum * velocity + dw`` and
    ``w -= lr * velocity``, or with Nesterov ``w -= lr * (dw + momentum * velocity)``: PyTorch's form.
    Keras multiplies by lr inside the velocity, which is the same as long as lr does not change.

    Parameters
    ----------
    lr : float
        Keras' 0.01; PyTorch has 0.001.
    momentum : float
        In [0, 1).
    nesterov : bool
        Needs a momentum.
    dampening : float
        In [0, 1]; needs a momentum, and not Nesterov's. Of each gradient but the first ``1 - dampening`` is added to
        the velocity, as in PyTorch: 1 - momentum makes a running mean of it.
    **common
        As for `Optimizer`.

    Examples
    --------
    >>> SGD(lr=0.5)
    SGD(lr=0.5, momentum=0.0, nesterov=False)
    """

    def __init__(
        self,
        lr: float | Rate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        dampening: float = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(lr, **common)
        self.momentum = number("momentum", momentum, 0, 1)
        self.nesterov = bool(nesterov)
        self.dampening = number("dampening", dampening, 0, 1, closed_high=True)
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov is True and momentum is 0; Nesterov's variant needs a momentum")
        if self.dampening and (self.momentum == 0 or self.nesterov):
            given = "nesterov is True" if self.nesterov else "momentum is 0"
            raise ValueError(f"dampening is {dampening!r} and {given}; it needs a momentum, without Nesterov's variant")
        if self.dampening:
            self.row, self.advance, self.options = "dampened", "dampened", ("momentum", "dampening")
        elif self.momentum:
            self.row, self.options = "momentum", ("momentum", "nesterov")
        else:
            self.row = "sgd"
        if self.momentum:
            self.slots = ("velocity",)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        config = {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}
        config.pop("dampening", None)
        return {**config, "dampening": self.dampening} if self.dampening else config


class Adam(Optimizer, names=("adam",)):
    """Adam [1]_: ``w -= lr * m_hat / (sqrt(v_hat) + eps)``.

    Computed in the order of the paper's section 2: with ``c = sqrt(1 - beta2**step)`` as
    ``w -= (lr * c / (1 - beta1**step)) * (m / (sqrt(v) + eps * c))``; the powers of beta are running products.

    Parameters
    ----------
    lr : float
    beta1, beta2 : float
        In [0, 1).
    eps : float
        Positive. PyTorch's 1e-8, added where PyTorch adds it. Keras adds its 1e-7 to ``sqrt(v)`` before v is corrected
        (the paper's epsilon hat): in the first steps that counts for more.
    **common
        As for `Optimizer`.

    References
    ----------
    .. [1] Kingma & Ba 2015, ICLR, algorithm 1

    Examples
    --------
    >>> Adam(lr=1e-3)
    Adam(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-08)
    """

    row, advance = "adam", "adam"
    slots: tuple[str, ...] = ("m", "v")
    options: tuple[str, ...] = ("beta1", "beta2", "eps")

    def __init__(
        self,
        lr: float | Rate = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        **common: Any,
    ) -> None:
        super().__init__(lr, **common)
        self.beta1 = number("beta1", beta1, 0, 1)
        self.beta2 = number("beta2", beta2, 0, 1)
        self.eps = number("eps", eps, 0, math.inf, closed_low=False)


class _Decaying(Optimizer):
    """What optimizers share whose row has the decay of weights in it."""

    weight_decay: float
    decay_biases: bool

    def _decay(self, weight_decay: float, decay_biases: bool) -> None:
        self.weight_decay = number("weight_decay", weight_decay, 0, math.inf)
        check_kind("decay_biases", decay_biases, (bool, np.bool_), "True or False")
        self.decay_biases = bool(decay_biases)

    @property
    def decay_apart(self) -> float:
        """The decay of the weights of two dimensions or more that `emit_decay` adds; 0 where the update has it."""
        return 0.0 if self.decay_biases else self.weight_decay

    def attributes(self) -> dict[str, Any]:
        """Return the row's attributes."""
        known = super().attributes()
        return known if self.decay_biases else {**known, "weight_decay": 0.0}

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {**super().get_config(), **({} if self.decay_biases else {"decay_biases": False})}


class AdamW(_Decaying, Adam, names=("adamw",)):
    """Adam with decay of the weights apart from the gradient [1]_: ``w *= 1 - lr * weight_decay`` before the step.

    Parameters
    ----------
    lr, beta1, beta2, eps : float
        As for `Adam`.
    weight_decay : float
        Not negative. All parameters decay, biases too, as in PyTorch.
    decay_biases : bool
        False leaves out all parameters of fewer than two dimensions: biases, and the gammas and betas of
        normalisations. Keras' ``exclude_from_weight_decay``, PyTorch's groups of parameters.
    **common
        As for `Optimizer`.

    References
    ----------
    .. [1] Loshchilov & Hutter 2019, ICLR, algorithm 2

    Examples
    --------
    >>> AdamW(lr=1e-3).weight_decay
    0.01
    """

    row, options = "adamw", (*Adam.options, "weight_decay")

    def __init__(
        self,
        lr: float | Rate = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        decay_biases: bool = True,
        **common: Any,
    ) -> None:
        super().__init__(lr, beta1, beta2, eps, **common)
        self._decay(weight_decay, decay_biases)


class AMSGrad(_Decaying, Adam, names=("amsgrad",)):
    """Adam whose denominator is the largest ``v`` so far [1]_, with Adam's bias correction.

    Parameters
    ----------
    lr, beta1, beta2, eps : float
        As for `Adam`.
    weight_decay : float
        Not negative: decay apart from the gradient, as of `AdamW`; PyTorch's and Keras' ``AdamW(amsgrad=True)``.
    decay_biases : bool
        As for `AdamW`.
    **common
        As for `Optimizer`.

    Notes
    -----
    The largest ``v`` is one before the correction, and is divided by ``1 - beta2**step``, as in PyTorch and Keras.
    Keras' eps stands elsewhere, see `Adam`.

    References
    ----------
    .. [1] Reddi, Kale & Kumar 2018, ICLR, algorithm 2

    Examples
    --------
    >>> AMSGrad()
    AMSGrad(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-08, weight_decay=0.0)
    """

    row, slots, options = "amsgrad", ("m", "v", "v_max"), (*Adam.options, "weight_decay")

    def __init__(
        self,
        lr: float | Rate = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decay_biases: bool = True,
        **common: Any,
    ) -> None:
        super().__init__(lr, beta1, beta2, eps, **common)
        self._decay(weight_decay, decay_biases)


class Adamax(Adam, names=("adamax",)):
    """Adam with the infinity norm [1]_: ``u = max(beta2 * u, |dw| + eps)``, ``w -= lr / (1 - beta1**step) * m / u``.

    Parameters
    ----------
    lr, beta1, beta2, eps : float
        As for `Adam`. eps is added to the gradient's size, as in PyTorch; Keras adds it to u. Keras' lr is 0.001.
    **common
        As for `Optimizer`.

    References
    ----------
    .. [1] Kingma & Ba 2015, ICLR, algorithm 2

    Examples
    --------
    >>> Adamax().lr
    0.002
    """

    row, slots = "adamax", ("m", "u")

    def __init__(
        self,
        lr: float | Rate = 2e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        **common: Any,
    ) -> None:
        super().__init__(lr, beta1, beta2, eps, **common)


class Nadam(Adam, names=("nadam",)):
    """Adam with Nesterov's momentum [1]_, and a momentum that grows from half of beta1 to beta1.

    The momentum of a step, counted from 1, is ``beta1 * (1 - 0.96**(momentum_decay * step) / 2)``.

    Parameters
    ----------
    lr, beta1, beta2, eps : float
        As for `Adam`, PyTorch's. Keras has 0.001 and 1e-7, and adds eps where it is added here.
    momentum_decay : float
        Not negative. PyTorch's 0.004, with which the momentum grows over some thousand steps; 1 is Keras', with which
        it takes a hundred.
    **common
        As for `Optimizer`.

    References
    ----------
    .. [1] Dozat 2016, ICLR workshop

    Examples
    --------
    >>> Nadam()
    Nadam(lr=0.002, beta1=0.9, beta2=0.999, eps=1e-08, momentum_decay=0.004)
    >>> keras = Nadam(lr=0.001, eps=1e-7, momentum_decay=1)
    """

    row, advance = "nadam", "nadam"

    def __init__(
        self,
        lr: float | Rate = 2e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        momentum_decay: float = 0.004,
        **common: Any,
    ) -> None:
        super().__init__(lr, beta1, beta2, eps, **common)
        self.momentum_decay = number("momentum_decay", momentum_decay, 0, math.inf)

    def attributes(self) -> dict[str, Any]:
        """Return the row's attributes."""
        import decimal

        # rounded once, and so the same on every machine, which a power of floats is not
        with decimal.localcontext(prec=40):
            decay = float(decimal.Decimal("0.96") ** decimal.Decimal(self.momentum_decay))
        return {**super().attributes(), "decay": decay}

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {**super().get_config(), "momentum_decay": self.momentum_decay}


class RAdam(Adam, names=("radam",)):
    """Adam that is rectified [1]_: gradient descent with a momentum as long as ``v`` is of too few gradients.

    With ``m_hat = m / (1 - beta1**t)`` at step t, counted from 1, ``longest = 2 / (1 - beta2) - 1`` and ``length =
    longest - 2 * t * beta2**t / (1 - beta2**t)``: once length is above 5, ``w -= lr * r * m_hat * sqrt(1 - beta2**t)
    / (sqrt(v) + eps)``, ``r**2 = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)``;
    before that ``w -= lr * m_hat``.

    Parameters
    ----------
    lr, beta1, beta2, eps : float
        As for `Adam`. eps is added to ``sqrt(v)`` before that is corrected, as in PyTorch; the paper has none.
    **common
        As for `Optimizer`.

    Notes
    -----
    The paper begins above a length of 4, its authors' code and PyTorch above 5: with a beta2 of 0.999, at step 6.

    References
    ----------
    .. [1] Liu et al. 2020, ICLR, algorithm 2

    Examples
    --------
    >>> RAdam()
    RAdam(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-08)
    """

    row, advance = "radam", "radam"


class Adagrad(Optimizer, names=("adagrad",)):
    """Adagrad [1]_: ``v += dw**2``, ``w -= lr * dw / (sqrt(v) + eps)``.

    Parameters
    ----------
    lr : float
    eps : float
        Positive.
    **common
        As for `Optimizer`.

    Notes
    -----
    ``v`` starts at 0 and eps is added to its root, as in PyTorch. Keras starts it at 0.1, has the root of ``v + eps``
    with an eps of 1e-7, and an lr of 0.001.

    References
    ----------
    .. [1] Duchi, Hazan & Singer 2011, JMLR 12

    Examples
    --------
    >>> Adagrad()
    Adagrad(lr=0.01, eps=1e-10)
    """

    row, slots, options = "adagrad", ("v",), ("eps",)

    def __init__(self, lr: float | Rate = 0.01, eps: float = 1e-10, **common: Any) -> None:
        super().__init__(lr, **common)
        self.eps = number("eps", eps, 0, math.inf, closed_low=False)


class Adadelta(Optimizer, names=("adadelta",)):
    """Adadelta [1]_: ``w -= lr * sqrt(d + eps) / sqrt(v + eps) * dw``, d and v running means of squares.

    Parameters
    ----------
    lr : float
        1, as in the paper and PyTorch; Keras has 0.001.
    rho : float
        In [0, 1).
    eps : float
        Positive.
    **common
        As for `Optimizer`.

    References
    ----------
    .. [1] Zeiler 2012, arXiv:1212.5701, algorithm 1

    Examples
    --------
    >>> Adadelta()
    Adadelta(lr=1.0, rho=0.9, eps=1e-06)
    """

    row, slots, options = "adadelta", ("v", "d"), ("rho", "eps")

    def __init__(self, lr: float | Rate = 1.0, rho: float = 0.9, eps: float = 1e-6, **common: Any) -> None:
        super().__init__(lr, **common)
        self.rho = number("rho", rho, 0, 1)
        self.eps = number("eps", eps, 0, math.inf, closed_low=False)


class RMSprop(Optimizer, names=("rmsprop",)):
    """RMSprop [1]_: ``v = rho * v + (1 - rho) * dw**2``, ``w -= lr * dw / (sqrt(v) + eps)``.

    Parameters
    ----------
    lr : float
        Keras' 0.001; PyTorch has 0.01.
    rho : float
        In [0, 1). Keras' 0.9; PyTorch has 0.99 and calls it alpha.
    momentum : float
        In [0, 1): ``velocity = momentum * velocity + dw / (sqrt(v) + eps)`` takes the place of the quotient.
    eps : float
        Positive; outside the root, as in PyTorch, which has 1e-8. Keras adds it to v.
    centered : bool
        Whether the running mean of the gradient, squared, is subtracted from v. Of a gradient that stays the same for
        hundreds of steps nothing is left: the steps grow and may become NaN, as in PyTorch.
    **common
        As for `Optimizer`.

    References
    ----------
    .. [1] Tieleman & Hinton 2012, lecture 6.5

    Examples
    --------
    >>> RMSprop().rho
    0.9
    """

    row, slots = "rmsprop", ("v", "velocity", "g")
    options = "rho", "momentum", "eps", "centered"

    def __init__(
        self,
        lr: float | Rate = 1e-3,
        rho: float = 0.9,
        momentum: float = 0.0,
        eps: float = 1e-7,
        centered: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(lr, **common)
        self.rho = number("rho", rho, 0, 1)
        self.momentum = number("momentum", momentum, 0, 1)
        self.eps = number("eps", eps, 0, math.inf, closed_low=False)
        self.centered = bool(centered)


class Rprop(Optimizer, names=("rprop",)):
    """Resilient backpropagation [1]_: each parameter has a step size of its own, of gradients the signs count alone.

    A step size grows where the gradient keeps its sign, and shrinks where it turns; then the parameter waits for a
    step, as in the variant of [2]_ that PyTorch has. It is for gradients of all rows: ``fit(x, y, batch_size=None)``.

    Parameters
    ----------
    lr : float
        The first step size. From the first update on it does not count: no schedule is taken.
    shrink, grow : float
        By what step sizes are multiplied, in (0, 1) and above 1. PyTorch's ``etas``.
    min_step, max_step : float
        Where they end. PyTorch's ``step_sizes``.
    **common
        As for `Optimizer`.

    References
    ----------
    .. [1] Riedmiller & Braun 1993, IEEE International Conference on Neural Networks
    .. [2] Igel & Huesken 2000, Neural Computation, section 2.1

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.Dense(1)], input_shape=2, seed=0)
    >>> model.compile(Rprop(lr=0.1), "mse")
    >>> x, y = [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [1.0, 2.0, 3.0]
    >>> model.fit(x, y, batch_size=None, epochs=50, verbose=0).history["loss"][-1] < 1e-3
    True
    """

    row, slots, options = "rprop", ("last", "step_size"), ("shrink", "grow", "min_step", "max_step")

    def __init__(
        self,
        lr: float = 0.01,
        shrink: float = 0.5,
        grow: float = 1.2,
        min_step: float = 1e-6,
        max_step: float = 50.0,
        **common: Any,
    ) -> None:
        super().__init__(lr, **common)
        self.shrink = number("shrink", shrink, 0, 1, closed_low=False)
        self.grow = number("grow", grow, 1, math.inf, closed_low=False)
        self.min_step = number("min_step", min_step, 0, math.inf, closed_low=False)
        self.max_step = number("max_step", max_step, self.min_step, math.inf)

    def _rule(self, value: float | Rate) -> float | Rate:
        if callable(value):
            raise TypeError(f"lr is {value!r}; it must be a number: of Rprop it is the first step size alone")
        return value


class ASGD(Optimizer, names=("asgd",)):
    """Averaged gradient descent [1]_: rates that fall slowly, and the average of the weights beside them.

    At step t, counted from 0, ``eta = lr / (1 + lambd * lr * t)**alpha``, ``w = (1 - lambd * eta) * w - eta * dw``. The
    average is w itself up to step `t0`, and from there on the mean of all w: ``predict(x, weights="ema")``,
    ``evaluate`` and ``get_weights`` take it, as they take the moving averages of other optimizers.

    Parameters
    ----------
    lr : float or Schedule or callable
        Of a number the rates follow as above, `fastbp.schedules.InverseTimeDecay` with a power, and so `lr` is the
        rate of the next step. Other rules are taken as they are.
    lambd : float
        Not negative: the decay of weights and rates.
    alpha : float
        Positive.
    t0 : float
        Not negative. PyTorch's 1e6 is later than most trainings end.
    **common
        As for `Optimizer`, but for ``use_ema`` and what belongs to it.

    Notes
    -----
    All of it is PyTorch's, whose average nothing reads. There a new `lr` takes effect a step later.

    References
    ----------
    .. [1] Polyak & Juditsky 1992, SIAM J. Control Optim. 30

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.Dense(1)], input_shape=2, seed=0)
    >>> model.compile(ASGD(lr=0.1, t0=20), "mse")
    >>> history = model.fit(np.eye(2), [1.0, 2.0], epochs=100, batch_size=1, seed=0, verbose=0)
    >>> model.evaluate(np.eye(2), [1.0, 2.0], weights="ema")["loss"] < 1e-3
    True
    """

    row, options = "asgd", ("lambd",)
    _falling: InverseTimeDecay | None = None  # what was made of a number

    def __init__(
        self,
        lr: float | Rate = 0.01,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        **common: Any,
    ) -> None:
        self.lambd = number("lambd", lambd, 0, math.inf)
        self.alpha = number("alpha", alpha, 0, math.inf, closed_low=False)
        self.t0 = number("t0", t0, 0, math.inf)
        given = [name for name in common if "ema" in name]
        if given:
            what = "it has an average of its own, which weights='ema' of predict takes"
            raise TypeError(f"ASGD is given {given[0]}; {what}")
        super().__init__(lr, use_ema=True, **common)

    def _rule(self, value: float | Rate) -> float | Rate:
        if callable(value):
            return value
        lr = number("lr", value, 0, math.inf, closed_low=False)
        rule: InverseTimeDecay = _schedules().InverseTimeDecay(lr, 1, self.lambd * lr, power=self.alpha)
        self._falling = rule
        return rule

    def _emit_average(
        self, program: Program, w: Buffer, ema: Buffer, count: Buffer, options: dict[str, Any]
    ) -> None:
        program.call("average_update", w, ema, count, layer="optimizer", start=self.t0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        config = super().get_config()
        del config["use_ema"]
        if self._falling is not None and config["lr"] is self._falling:
            config["lr"] = self._falling.lr
        return {**config, "alpha": self.alpha, "t0": self.t0}


class Lion(_Decaying, names=("lion",)):
    """Lion [1]_: ``w -= lr * sign(beta1 * m + (1 - beta1) * dw)``, with decay of the weights as in `AdamW`.

    Parameters
    ----------
    lr : float
    beta1, beta2 : float
        In [0, 1).
    weight_decay : float
        Not negative.
    decay_biases : bool
        As for `AdamW`.
    **common
        As for `Optimizer`.

    References
    ----------
    .. [1] Chen et al. 2023, NeurIPS, algorithm 2

    Examples
    --------
    >>> Lion()
    Lion(lr=0.0001, beta1=0.9, beta2=0.99, weight_decay=0.0)
    """

    row, slots, options = "lion", ("m",), ("beta1", "beta2", "weight_decay")

    def __init__(
        self,
        lr: float | Rate = 1e-4,
        beta1: float = 0.9,
        beta2: float = 0.99,
        weight_decay: float = 0.0,
        decay_biases: bool = True,
        **common: Any,
    ) -> None:
        super().__init__(lr, **common)
        self.beta1 = number("beta1", beta1, 0, 1)
        self.beta2 = number("beta2", beta2, 0, 1)
        self._decay(weight_decay, decay_biases)


@cache
def _schedules() -> Any:
    """Return the module of schedules, once: an import statement takes 3 us each time."""
    from . import schedules

    return schedules


def get(optimizer: Optimizer | str) -> Optimizer:
    """Return an optimizer from an object, or from its name.

    Parameters
    ----------
    optimizer : Optimizer or str

    Returns
    -------
    Optimizer

    Raises
    ------
    ValueError
        If there is none of that name.

    Examples
    --------
    >>> get("sgd")
    SGD(lr=0.01, momentum=0.0, nesterov=False)
    """
    return make(Optimizer, optimizer)


def to_config(optimizer: Optimizer) -> list[Any]:
    """Return an optimizer's class name and arguments as plain data; see `from_config`.

    Raises
    ------
    ValueError
        If its schedule is a function, which a file cannot hold.
    """
    config = optimizer.get_config()
    if callable(config["lr"]):
        config["lr"] = _schedules().to_config(config["lr"])
    return [name_of(type(optimizer)), config]


def from_config(kind: str, config: dict[str, Any]) -> Optimizer:
    """Return an optimizer from what `to_config` gave."""
    if isinstance(config.get("lr"), list):
        config = {**config, "lr": _schedules().from_config(*config["lr"])}
    return restore(Optimizer, kind, config)


def __getattr__(name: str) -> Any:
    return elsewhere(__name__, name)
