"""Optimizers: their state and the calls that update all parameters at once."""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING

import numpy as np

from .names import named

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import ArrayLike

    from .program import Buffer, Program

    State = dict[str, tuple[tuple[int, ...], str, float]]

__all__ = ["SGD", "Adam", "Optimizer", "get"]


def _number(name: str, value: Any, low: float, high: float, closed_low: bool = True) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {value!r}; it must be a number") from None
    inside = (low <= number if closed_low else low < number) and number < high
    if not inside or not math.isfinite(number):
        bracket = "[" if closed_low else "("
        raise ValueError(f"{name} is {value!r}; it must be in {bracket}{low:g}, {high:g})")
    return number


class Optimizer:
    """A rule that updates the parameters from their gradients.

    Parameters
    ----------
    lr : float
        The learning rate, positive. Assigning to ``optimizer.lr`` takes effect at the next step.

    Notes
    -----
    An optimizer belongs to the model that was compiled with it and holds that model's state.
    """

    def __init__(self, lr: float) -> None:
        self._lr = np.empty(1)
        self.lr = lr
        self._owner: weakref.ref[object] | None = None
        self._state: dict[str, np.ndarray] = {}

    @property
    def lr(self) -> float:
        """The learning rate."""
        return float(self._lr[0])

    @lr.setter
    def lr(self, value: float) -> None:
        # an array of one, so that compiled programs read the same memory
        self._lr[0] = _number("lr", value, 0, math.inf, closed_low=False)

    def state(self, n: int) -> State:
        """Return the initial state for n parameters.

        Returns
        -------
        dict of str to (shape, dtype, float)
            Shape, element type ("real" or "f8") and initial value.
        """
        return {}

    def emit(self, program: Program, w: Buffer, dw: Buffer, state: dict[str, Buffer], lr: Buffer) -> None:
        """Add the update of all parameters to a program.

        Parameters
        ----------
        program : Program
        w, dw : Buffer
            All parameters and all gradients, flat.
        state : dict of str to Buffer
        lr : Buffer
        """
        raise NotImplementedError

    def attach(self, owner: object, state: dict[str, np.ndarray]) -> None:
        """Make the state of `owner`'s parameters this optimizer's own."""
        current = self._owner() if self._owner is not None else None
        if current is not None and current is not owner:
            raise ValueError("this optimizer belongs to another model; make one for each model")
        self._owner, self._state = weakref.ref(owner), state

    def get_state(self) -> dict[str, np.ndarray]:
        """Return copies of the state arrays by name."""
        return {name: array.copy() for name, array in self._state.items()}

    def set_state(self, state: Mapping[str, ArrayLike]) -> None:
        """Set the state arrays.

        Parameters
        ----------
        state : dict of str to ndarray
            As `get_state` returns them.
        """
        if set(state) != set(self._state):
            raise ValueError(f"state has {sorted(state)}; it must have {sorted(self._state)}")
        arrays = {name: np.asarray(value) for name, value in state.items()}
        for name, value in arrays.items():
            if value.shape != self._state[name].shape or value.dtype != self._state[name].dtype:
                want = self._state[name]
                raise ValueError(f"state {name!r} is {value.dtype} {value.shape}; it must be {want.dtype} {want.shape}")
        for name, value in arrays.items():
            self._state[name][...] = value

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"lr": self.lr}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


class SGD(Optimizer):
    """Gradient descent, with momentum and Nesterov's variant.

    Without momentum ``w -= lr * dw``. With it ``velocity = momentum * velocity + dw`` and
    ``w -= lr * velocity``, or with Nesterov ``w -= lr * (dw + momentum * velocity)``: PyTorch's form.
    Keras multiplies by lr inside the velocity, which is the same as long as lr does not change.

    Parameters
    ----------
    lr : float
    momentum : float
        In [0, 1).
    nesterov : bool
        Needs a momentum.

    Examples
    --------
    >>> SGD(lr=0.5)
    SGD(lr=0.5, momentum=0.0, nesterov=False)
    """

    def __init__(self, lr: float = 0.01, momentum: float = 0.0, nesterov: bool = False) -> None:
        super().__init__(lr)
        self.momentum = _number("momentum", momentum, 0, 1)
        self.nesterov = bool(nesterov)
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov is True and momentum is 0; Nesterov's variant needs a momentum")

    def state(self, n: int) -> State:
        """Return the initial state for n parameters."""
        return {"velocity": ((n,), "real", 0.0)} if self.momentum else {}

    def emit(self, program: Program, w: Buffer, dw: Buffer, state: dict[str, Buffer], lr: Buffer) -> None:
        """Add the update of all parameters to a program."""
        if self.momentum:
            program.call(
                "momentum_update",
                w,
                dw,
                state["velocity"],
                lr,
                layer="optimizer",
                momentum=self.momentum,
                nesterov=float(self.nesterov),
            )
        else:
            program.call("sgd_update", w, dw, lr, layer="optimizer")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


class Adam(Optimizer):
    """Adam [1]_: ``w -= lr * m_hat / (sqrt(v_hat) + eps)``.

    Computed in the order of the paper's section 2: with ``c = sqrt(1 - beta2**step)`` as
    ``w -= (lr * c / (1 - beta1**step)) * (m / (sqrt(v) + eps * c))``; the powers of beta are running products.

    Parameters
    ----------
    lr : float
    beta1, beta2 : float
        In [0, 1).
    eps : float
        Positive.

    References
    ----------
    .. [1] Kingma & Ba 2015, ICLR, algorithm 1

    Examples
    --------
    >>> Adam(lr=1e-3)
    Adam(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-08)
    """

    def __init__(self, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> None:
        super().__init__(lr)
        self.beta1 = _number("beta1", beta1, 0, 1)
        self.beta2 = _number("beta2", beta2, 0, 1)
        self.eps = _number("eps", eps, 0, math.inf, closed_low=False)

    def state(self, n: int) -> State:
        """Return the initial state for n parameters."""
        return {"m": ((n,), "real", 0.0), "v": ((n,), "real", 0.0), "power": ((2,), "f8", 1.0)}

    def emit(self, program: Program, w: Buffer, dw: Buffer, state: dict[str, Buffer], lr: Buffer) -> None:
        """Add the update of all parameters to a program."""
        options: dict[str, Any] = {"beta1": self.beta1, "beta2": self.beta2, "eps": self.eps}
        program.call("adam_advance", state["power"], layer="optimizer", **options)
        program.call("adam_update", w, dw, state["m"], state["v"], state["power"], lr, layer="optimizer", **options)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {**super().get_config(), "beta1": self.beta1, "beta2": self.beta2, "eps": self.eps}


_CLASSES: dict[str, type[Any]] = {"sgd": SGD, "adam": Adam}


def get(optimizer: Optimizer | str) -> Optimizer:
    """Return an optimizer from an object, or from its name.

    Raises
    ------
    ValueError
        If there is none of that name.

    Examples
    --------
    >>> get("sgd")
    SGD(lr=0.01, momentum=0.0, nesterov=False)
    """
    return named("optimizer", optimizer, Optimizer, _CLASSES)


def from_config(kind: str, config: dict[str, Any]) -> Optimizer:
    """Return an optimizer from its class name and `Optimizer.get_config`."""
    return type(get(kind))(**config)
