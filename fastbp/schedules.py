"""Learning rates that change with the number of steps taken, the same bits on every machine.

A schedule is a function of the step number. `fit` asks for the float64 rates of an epoch at once and the runner
advances one each step, so a schedule costs no return to Python.

Only + - * / and sqrt are used, which IEEE 754 defines to the last bit, and every element by itself: a rate is the
same number alone or in an array, on every CPU. Powers are products of repeated squares, and of repeated square
roots for the fraction of an exponent (relative error below 1e-14); a cosine is a Taylor polynomial on a reduced
range (error below 1e-15).
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, overload

import numpy as np

from .checks import as_array, check_name, integer, number, retold
from .naming import elsewhere
from .registry import Registered, name_of, restore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from numpy.typing import ArrayLike

    Rate = Callable[[int], float]

__all__ = [
    "Constant",
    "CosineDecay",
    "CosineDecayRestarts",
    "Cyclic",
    "Delayed",
    "ExponentialDecay",
    "InverseTimeDecay",
    "Joined",
    "MultiStepDecay",
    "OneCycle",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "Schedule",
    "StepDecay",
    "WarmUp",
]

# (-1)**k pi**(2 k) / (2 k)! and (-1)**k pi**(2 k + 1) / (2 k + 1)!: cos(pi u) and sin(pi u) / u in u**2
_COS = (
    1.0, -4.934802200544679, 4.0587121264167685, -1.3352627688545895, 0.2353306303588932, -0.02580689139001406,
    0.0019295743094039231, -0.0001046381049248457, 4.303069587032947e-06, -1.3878952462213771e-07,
)  # fmt: skip
_SIN = (
    3.141592653589793, -5.16771278004997, 2.5501640398773455, -0.5992645293207921, 0.08214588661112823,
    -0.0073704309457143504, 0.00046630280576761255, -2.1915353447830217e-05, 7.952054001475513e-07,
    -2.2948428997269873e-08,
)  # fmt: skip


def _poly(c: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    y = np.full_like(x, c[-1])
    for value in c[-2::-1]:
        y = y * x + value
    return y


def _cospi(t: np.ndarray) -> np.ndarray:
    """Return cos(pi t) for t in [0, 1]; every subtraction from 1/2 or 1 is exact where it is used."""
    near, far = np.minimum(t, 0.25), np.minimum(1 - np.maximum(t, 0.75), 0.25)
    middle = 0.5 - np.clip(t, 0.25, 0.75)
    y = middle * _poly(_SIN, middle * middle)
    y = np.where(t < 0.25, _poly(_COS, near * near), y)
    return np.where(t > 0.75, -_poly(_COS, far * far), y)


def _power(base: ArrayLike, exponent: ArrayLike) -> np.ndarray:
    """Return base**exponent, base in [0, 1] and exponent at least 0, by squaring and by square roots."""
    # not broadcast: the squares and roots of a single base are single numbers
    factor: Any = np.asarray(base, np.float64)
    exponent = np.asarray(exponent, np.float64)
    whole = np.floor(exponent)
    rest = exponent - whole
    root, y = factor, np.ones(np.broadcast_shapes(factor.shape, exponent.shape))
    with np.errstate(under="ignore"):
        while whole.any():
            half = np.floor(whole * 0.5)
            y = y * np.where(whole - 2 * half == 1, factor, 1.0)
            whole, factor = half, factor * factor
        while rest.any():
            root, rest = np.sqrt(root), rest * 2
            bit = rest >= 1
            y, rest = y * np.where(bit, root, 1.0), rest - bit
    return y


def _between(start: Any, end: Any, t: np.ndarray) -> np.ndarray:
    """Return what lies between two rates on half a period of a cosine; both ends are exact."""
    wave = 0.5 * (1 + _cospi(t))
    return np.where(wave == 1, start, end + (start - end) * wave)


class Schedule(Registered, kind="schedule"):
    """A learning rate for every step.

    A subclass defines `rates`. Its arguments are not to be changed later.

    Examples
    --------
    >>> class Halves(Schedule):
    ...     def rates(self, steps):
    ...         return 1 / (2 + steps)
    >>> Halves()(0), Halves()([0, 2])
    (0.5, array([0.5 , 0.25]))
    """

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Return the rates of an array of step numbers.

        Parameters
        ----------
        steps : ndarray of float64
            Whole numbers from 0.

        Returns
        -------
        ndarray of float64

        Examples
        --------
        >>> import numpy as np
        >>> ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5).rates(np.array([0.0, 10.0, 20.0]))
        array([0.1  , 0.05 , 0.025])
        """
        raise NotImplementedError

    @overload
    def __call__(self, step: int) -> float: ...
    @overload
    def __call__(self, step: ArrayLike) -> Any: ...
    def __call__(self, step):
        """Return the rate of a step, or of an array of steps; the first step is 0.

        Parameters
        ----------
        step : int or array_like of int

        Returns
        -------
        float or ndarray of float64

        Examples
        --------
        >>> schedule = ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)
        >>> schedule(10), schedule([0, 10, 20])
        (0.05, array([0.1  , 0.05 , 0.025]))
        """
        steps = as_array("step", step)
        if steps.dtype.kind not in "iuf" or not ((steps >= 0) & (steps < 2.0**53) & (np.floor(steps) == steps)).all():
            raise ValueError(f"step is {step!r}; it must be whole numbers from 0 below 2**53")
        rates = np.broadcast_to(self.rates(steps.astype(np.float64)), steps.shape)
        return rates.copy() if steps.ndim else float(rates)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments.

        Returns
        -------
        dict of str to object

        Examples
        --------
        >>> Constant(0.1).get_config()
        {'lr': 0.1}
        """
        return dict(vars(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


def _rate(name: str, value: Any, zero: bool = False) -> float:
    return number(name, value, 0, math.inf, closed_low=zero)


def _increasing(name: str, steps: Iterable[int], first: int) -> list[int]:
    """Return steps of which each is behind the one before."""
    try:
        found = [integer(f"{name}[{i}]", step, first) for i, step in enumerate(steps)]
    except TypeError as error:
        raise TypeError(f"{name} is {steps!r}; it must be increasing integers ({error})") from None
    if not found or any(a >= b for a, b in itertools.pairwise(found)):
        raise ValueError(f"{name} is {found}; it must be increasing integers, at least one")
    return found


def _rule(name: str, schedule: float | Rate) -> Rate:
    """Return a schedule, of a number a constant one."""
    rule = schedule if callable(schedule) else Constant(_rate(name, schedule))
    check_first(name, rule)
    return rule


def _later(schedule: Rate, steps: np.ndarray, start: int) -> np.ndarray:
    """Return the rates of a schedule that begins at a step; before it, its first one."""
    return rates_of(schedule, np.maximum(steps - start, 0).reshape(-1)).reshape(steps.shape)


class Constant(Schedule):
    """The same rate at every step.

    Parameters
    ----------
    lr : float

    Examples
    --------
    >>> Constant(0.1)(7)
    0.1
    """

    def __init__(self, lr: float) -> None:
        self.lr = _rate("lr", lr)

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Return the rates of an array of step numbers."""
        return np.full(steps.shape, self.lr)


class StepDecay(Schedule):
    """``lr * gamma**(step // step_size)``: PyTorch's StepLR [1]_, counted in steps of the optimizer.

    Parameters
    ----------
    lr : float
    step_size : int
    gamma : float
        In (0, 1].

    References
    ----------
    .. [1] https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.StepLR.html

    Examples
    --------
    >>> StepDecay(1.0, step_size=10, gamma=0.5)([0, 9, 10, 20])
    array([1.  , 1.  , 0.5 , 0.25])
    """

    def __init__(self, lr: float, step_size: int, gamma: float = 0.1) -> None:
        self.lr = _rate("lr", lr)
        self.step_size = integer("step_size", step_size, 1)
        self.gamma = number("gamma", gamma, 0, 1, closed_low=False, closed_high=True)

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Return the rates of an array of step numbers."""
        return self.lr * _power(self.gamma, np.floor(steps / self.step_size))


class MultiStepDecay(Schedule):
    """``lr * gamma**k``, k milestones having been reached: PyTorch's MultiStepLR [1]_, counted in steps.

    Parameters
    ----------
    lr : float
    milestones : iterable of int
        Steps, increasing.
    gamma : float
        In (0, 1].

    References
    ----------
    .. [1] https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.MultiStepLR.html

    Examples
    --------
    >>> MultiStepDecay(1.0, [10, 15], gamma=0.5)([9, 10, 14, 15])
    array([1.  , 0.5 , 0.5 , 0.25])
    """

    def __init__(self, lr: float, milestones: Iterable[int], gamma: float = 0.1) -> None:
        self.lr = _rate("lr", lr)
        self.milestones = _increasing("milestones", milestones, 1)
        self.gamma = number("gamma", gamma, 0, 1, closed_low=False, closed_high=True)

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Return the rates of an array of step numbers."""
        return self.lr * _power(self.gamma, np.searchsorted(self.milestones, steps, side="right"))


class PiecewiseConstantDecay(Schedule):
    """``values[k]``, k boundaries having been passed: Keras' schedule of that name [1]_.

    A boundary is the last step with the rate before it; of `MultiStepDecay` a milestone is the first with the next one.

    Parameters
    ----------
    boundaries : iterable of int
        Steps, increasing.
    values : iterable of float
        Rates, one more than boundaries. They may be 0.

    References
    ----------
    .. [1] https://keras.io/api/optimizers/learning_rate_schedules/piecewise_constant_decay

    Examples
    --------
    >>> PiecewiseConstantDecay([10, 15], [1.0, 0.5, 2.0])([0, 10, 11, 15, 16])
    array([1. , 1. , 0.5, 0.5, 2. ])
    """

    def __init__(self, boundaries: Iterable[int], values: Iterable[float]) -> None:
        self.boundaries = _increasing("boundaries", boundaries, 0)
        try:
            self.values = [_rate(f"values[{i}]", value, zero=True) for i, value in enumerate(values)]
        except TypeError as error:
            raise TypeError(f"values is {values!r}; it must be rates ({error})") from None
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(
                f"values is {self.values}, of {len(self.values)}; of {len(self.boundaries)} boundaries there must be "
                f"{len(self.boundaries) + 1}"
            )

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Return the rates of an array of step numbers."""
        return np.take(self.values, np.searchsorted(self.boundaries, steps, side="left"))


class ExponentialDecay(Schedule):
    """``lr * decay_rate**(step / decay_steps)``: Keras' schedule of that name [1]_.

    With ``decay_steps=1`` it is PyTorch's ExponentialLR, counted in steps.

    Parameters
    ----------
    lr : float
    decay_steps : int
    decay_rate : float
        In (0, 1].
    staircase : bool
        Take the integer part of ``step / decay_steps``.

    References
    ----------
    .. [1] https://keras.io/api/optimizers/learning_rate_schedules/exponential_decay

    Examples
    --------
    >>> ExponentialDecay(1.0, decay_steps=10, decay_rate=0.25)([0, 5, 10])
    array([1.  , 0.5 , 0.25])
    """

    def __init__(self, lr: float, decay_steps: int, decay_rate: float, staircase: bool = False) -> None:
        self.lr = _rate("lr", lr)
        self.decay_steps = integer("decay_steps", decay_steps, 1)
        self.decay_rate = number("decay_rate", decay_rate, 0, 1, closed_low=False, closed_high=True)
        self.staircase = bool(staircase)

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Return the rates of an array of step numbers."""
        t = steps / self.decay_steps
        return self.lr * _power(self.decay_rate, np.floor(t) if self.staircase else t)


class InverseTimeDecay(Schedule):
    """``lr / (1 + decay_rate * step / decay_steps)**power``: Keras' schedule of that name [1]_, with a power.

    Parameters
    ----------
    lr : float
    decay_steps : int
    decay_rate : float
        Not negative.
    staircase : bool
        Take the integer part of ``step / decay_steps``.
    power : float
        Positive; Keras has 1.

    References
    ----------
    .. [1] https://keras.io/api/optimizers/learning_rate_schedules/inverse_time_decay

    Examples
    --------
    >>> InverseTimeDecay(1.0, decay_steps=10, decay_rate=1.0)([0, 10, 30])
    array([1.  , 0.5 , 0.25])
    """

    def __init__(
        self, lr: float, decay_steps: int, decay_rate: float, staircase: bool = False, power: float = 1.0
    ) -> None:
        self.lr = _rate("lr", lr)
        self.decay_steps = integer("decay_steps", decay_steps, 1)
        self.decay_rate = _rate("decay_rate", decay_rate, zero=True)
        self.staircase = bool(staircase)
        self.power = _rate("power", power)

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Return the rates of an array of step numbers."""
        t = steps / self.decay_steps
        divisor = 1 + self.decay_rate * (np.floor(t) if self.staircase else t)
        return self.lr / divisor if self.power == 1 else self.lr * _power(1 / divisor, self.power)


class PolynomialDecay(Schedule):
    """``end_lr + (lr - end_lr) * (1 - step / decay_steps)**power``, then `end_lr`: Keras' schedule of that name [1]_.

    Parameters
    ----------
    lr : float
    decay_steps : int
    end_lr : float
        May be 0.
    power : float
        1 is a straight line.
    cycle : bool
        Instead of staying at `end_lr`, stretch `decay_steps` to the next multiple of it.

    References
    ----------
    .. [1] https://keras.io/api/optimizers/learning_rate_schedules/polynomial_decay

    Examples
    --------
    >>> PolynomialDecay(1.0, decay_steps=4, end_lr=0.5)([0, 1, 4, 9])
    array([1.   , 0.875, 0.5  , 0.5  ])
    """

    def __init__(
        self, lr: float, decay_steps: int, end_lr: float = 0.0001, power: float = 1.0, cycle: bool = False
    ) -> None:
        self.lr = _rate("lr", lr)
        self.decay_steps = integer("decay_steps", decay_steps, 1)
        self.end_lr = _rate("end_lr", end_lr, zero=True)
        self.power = _rate("power", power)
        self.cycle = bool(cycle)

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Return the rates of an array of step numbers."""
        length: Any = self.decay_steps
        if self.cycle:
            length = length * np.maximum(np.ceil(steps / length), 1)
        left = _power(1 - np.minimum(steps, length) / length, self.power)
        return np.where(left == 1, self.lr, self.end_lr + (self.lr - self.end_lr) * left)


class CosineDecay(Schedule):
    """``end + (lr - end) * (1 + cos(pi * step / decay_steps)) / 2``, then ``end = alpha * lr`` [1]_.

    Keras' schedule of that name; its warm-up is `WarmUp`. PyTorch's CosineAnnealingLR has
    ``alpha = eta_min / lr``, counted in epochs.

    Parameters
    ----------
    lr : float
    decay_steps : int
    alpha : float
        In [0, 1].

    References
    ----------
    .. [1] Loshchilov & Hutter 2017, ICLR, equation 5

    Examples
    --------
    >>> CosineDecay(1.0, decay_steps=100)([0, 50, 100, 150])
    array([1. , 0.5, 0. , 0. ])
    """

    def __init__(self, lr: float, decay_steps: int, alpha: float = 0.0) -> None:
        self.lr = _rate("lr", lr)
        self.decay_steps = integer("decay_steps", decay_steps, 1)
        self.alpha = number("alpha", alpha, 0, 1, closed_high=True)

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Return the rates of an array of step numbers."""
        return _between(self.lr, self.alpha * self.lr, np.minimum(steps / self.decay_steps, 1))


class CosineDecayRestarts(Schedule):
    """Cosine decay that starts again, SGDR [1]_: Keras' schedule of that name.

    Period i, from 0, has ``first_decay_steps * t_mul**i`` steps and begins at ``lr * m_mul**i``; each ends just
    above ``alpha * lr * m_mul**i``, in Keras at ``alpha * lr``. PyTorch's CosineAnnealingWarmRestarts has
    ``m_mul = 1``.

    Parameters
    ----------
    lr : float
    first_decay_steps : int
    t_mul : float
        At least 1.
    m_mul : float
        In (0, 1].
    alpha : float
        In [0, 1].

    References
    ----------
    .. [1] Loshchilov & Hutter 2017, ICLR, equation 5

    Examples
    --------
    >>> CosineDecayRestarts(1.0, first_decay_steps=10, t_mul=2.0, m_mul=0.5)([0, 5, 10, 20, 30])
    array([1.  , 0.5 , 0.5 , 0.25, 0.25])
    """

    def __init__(
        self, lr: float, first_decay_steps: int, t_mul: float = 2.0, m_mul: float = 1.0, alpha: float = 0.0
    ) -> None:
        self.lr = _rate("lr", lr)
        self.first_decay_steps = integer("first_decay_steps", first_decay_steps, 1)
        self.t_mul = number("t_mul", t_mul, 1, math.inf)
        self.m_mul = number("m_mul", m_mul, 0, 1, closed_low=False, closed_high=True)
        self.alpha = number("alpha", alpha, 0, 1, closed_high=True)

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Return the rates of an array of step numbers."""
        if self.t_mul == 1:
            period = np.floor(steps / self.first_decay_steps)
            t = steps / self.first_decay_steps - period
        else:
            starts, length = [0.0], float(self.first_decay_steps)
            while starts[-1] <= steps.max(initial=0):
                starts.append(starts[-1] + length)
                length *= self.t_mul
            period = np.searchsorted(starts, steps, side="right") - 1
            first, after = np.take(starts, period), np.take(starts, period + 1)
            t = (steps - first) / (after - first)
        height = self.lr * _power(self.m_mul, period)
        return _between(height, self.alpha * height, t)


class WarmUp(Schedule):
    """A straight line from `start_lr` to a schedule's first rate, then that schedule from its beginning [1]_.

    ``start_lr + (schedule(0) - start_lr) * step / warmup_steps`` before `warmup_steps`, then
    ``schedule(step - warmup_steps)``: Keras' ``warmup_steps`` of CosineDecay, around anything.

    Parameters
    ----------
    schedule : float, Schedule or callable
    warmup_steps : int
    start_lr : float
        May be 0.

    References
    ----------
    .. [1] Goyal et al. 2017, arXiv:1706.02677, section 2.2

    Examples
    --------
    >>> WarmUp(CosineDecay(1.0, decay_steps=10), warmup_steps=4)([0, 1, 2, 4, 9])
    array([0.  , 0.25, 0.5 , 1.  , 0.5 ])
    """

    def __init__(self, schedule: float | Rate, warmup_steps: int, start_lr: float = 0.0) -> None:
        self.schedule = _rule("schedule", schedule)
        self.warmup_steps = integer("warmup_steps", warmup_steps, 1)
        self.start_lr = _rate("start_lr", start_lr, zero=True)

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Return the rates of an array of step numbers."""
        rise = np.minimum(steps / self.warmup_steps, 1)
        later = _later(self.schedule, steps, self.warmup_steps)
        return np.where(rise < 1, self.start_lr + (later - self.start_lr) * rise, later)


class Delayed(Schedule):
    """A rate that is held for some steps, then a schedule from its beginning.

    Parameters
    ----------
    schedule : float, Schedule or callable
    delay_steps : int
        How many.
    start_lr : float, optional
        What is held, and may be 0; by default the schedule's first rate.

    Examples
    --------
    >>> Delayed(CosineDecay(1.0, decay_steps=10), delay_steps=4)([0, 3, 4, 9, 14])
    array([1. , 1. , 1. , 0.5, 0. ])
    >>> Delayed(WarmUp(1.0, warmup_steps=4), delay_steps=3, start_lr=0.125)([0, 2, 3, 5])
    array([0.125, 0.125, 0.   , 0.5  ])
    """

    def __init__(self, schedule: float | Rate, delay_steps: int, start_lr: float | None = None) -> None:
        self.schedule = _rule("schedule", schedule)
        self.delay_steps = integer("delay_steps", delay_steps, 1)
        self.start_lr = None if start_lr is None else _rate("start_lr", start_lr, zero=True)

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Return the rates of an array of step numbers."""
        later = _later(self.schedule, steps, self.delay_steps)
        return later if self.start_lr is None else np.where(steps < self.delay_steps, self.start_lr, later)


class Joined(Schedule):
    """One schedule after the other, each from its beginning: PyTorch's SequentialLR [1]_, counted in steps.

    Parameters
    ----------
    schedules : iterable of float, Schedule or callable
    milestones : iterable of int
        The first step of each but the first schedule, increasing.

    References
    ----------
    .. [1] https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.SequentialLR.html

    Examples
    --------
    >>> Joined([0.25, CosineDecay(1.0, decay_steps=10), 0.125], milestones=[4, 14])([0, 4, 9, 13, 14])
    array([0.25      , 1.        , 0.5       , 0.02447174, 0.125     ])
    """

    def __init__(self, schedules: Iterable[float | Rate], milestones: Iterable[int]) -> None:
        try:
            self.schedules = [_rule(f"schedules[{i}]", schedule) for i, schedule in enumerate(schedules)]
        except TypeError as error:
            raise TypeError(f"schedules is {schedules!r}; it must be rates or schedules ({error})") from None
        self.milestones = _increasing("milestones", milestones, 1)
        if len(self.schedules) != len(self.milestones) + 1:
            raise ValueError(
                f"milestones is {self.milestones}, of {len(self.milestones)}; of {len(self.schedules)} schedules there "
                f"must be {len(self.schedules) - 1}"
            )

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Return the rates of an array of step numbers."""
        which = np.searchsorted(self.milestones, steps, side="right")
        found = np.empty(steps.shape)
        for k, (schedule, start) in enumerate(zip(self.schedules, [0, *self.milestones], strict=True)):
            found[which == k] = _later(schedule, steps[which == k], start)
        return found


class Cyclic(Schedule):
    """Up and down again and again, the policy of Smith [1]_: PyTorch's CyclicLR, counted in steps.

    Each cycle goes up from `lr` to its top in `step_size_up` steps and down again in `step_size_down`, on straight
    lines. The top is `max_lr`; with "triangular2" its height above `lr` is halved after each cycle, with "exp_range"
    it is multiplied by `gamma` after each step.

    Parameters
    ----------
    lr : float
        May be 0.
    max_lr : float
        At least `lr`.
    step_size_up : int
        The paper advises 2 to 10 epochs.
    step_size_down : int, optional
        By default `step_size_up`.
    mode : {"triangular", "triangular2", "exp_range"}
    gamma : float
        In (0, 1]; of "exp_range".

    References
    ----------
    .. [1] Smith 2017, WACV, section 3

    Examples
    --------
    >>> Cyclic(0.5, 1.0, step_size_up=4, mode="triangular2")([0, 2, 4, 6, 8, 12])
    array([0.5 , 0.75, 1.  , 0.75, 0.5 , 0.75])
    """

    def __init__(
        self,
        lr: float,
        max_lr: float,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
    ) -> None:
        self.lr = _rate("lr", lr, zero=True)
        self.max_lr = number("max_lr", max_lr, self.lr, math.inf)
        self.step_size_up = integer("step_size_up", step_size_up, 1)
        self.step_size_down = None if step_size_down is None else integer("step_size_down", step_size_down, 1)
        check_name("mode", mode, ("triangular", "triangular2", "exp_range"))
        self.mode = mode
        self.gamma = number("gamma", gamma, 0, 1, closed_low=False, closed_high=True)

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Return the rates of an array of step numbers."""
        up, down = self.step_size_up, self.step_size_down or self.step_size_up
        cycle = np.floor(steps / (up + down))
        at = steps - cycle * (up + down)
        share = np.where(at <= up, at / up, (up + down - at) / down)
        if self.mode != "triangular":
            share = share * (_power(0.5, cycle) if self.mode == "triangular2" else _power(self.gamma, steps))
        return np.where(share == 1, self.max_lr, self.lr + (self.max_lr - self.lr) * share)


class OneCycle(Schedule):
    """Up and down once, the policy of Smith & Topin [1]_: PyTorch's OneCycleLR of two phases.

    From ``max_lr / div_factor`` to `max_lr` at step ``pct_start * total_steps - 1``, then down to
    ``max_lr / div_factor / final_div_factor`` at step ``total_steps - 1``, where it stays.

    Parameters
    ----------
    max_lr : float
    total_steps : int
        ``epochs * steps`` of `fit`.
    pct_start : float
        The part of the steps that goes up, in (0, 1).
    anneal_strategy : {"cos", "linear"}
    div_factor, final_div_factor : float
        Positive.

    References
    ----------
    .. [1] Smith & Topin 2019, arXiv:1708.07120

    Examples
    --------
    >>> OneCycle(1.0, total_steps=21, pct_start=11 / 21, div_factor=10, final_div_factor=1)([0, 5, 10, 20])
    array([0.1 , 0.55, 1.  , 0.1 ])
    """

    def __init__(
        self,
        max_lr: float,
        total_steps: int,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        self.max_lr = _rate("max_lr", max_lr)
        self.total_steps = integer("total_steps", total_steps, 2)
        self.pct_start = number("pct_start", pct_start, 0, 1, closed_low=False)
        check_name("anneal_strategy", anneal_strategy, ("cos", "linear"))
        self.anneal_strategy = anneal_strategy
        self.div_factor = _rate("div_factor", div_factor)
        self.final_div_factor = _rate("final_div_factor", final_div_factor)

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Return the rates of an array of step numbers."""
        last = self.total_steps - 1
        top = self.pct_start * self.total_steps - 1
        low = self.max_lr / self.div_factor
        # without a step that goes up the top is at the first one, or before it
        up = np.minimum(steps / top, 1) if top > 0 else np.ones(steps.shape)
        down = np.clip((steps - top) / (last - top), 0, 1)
        end = low / self.final_div_factor
        if self.anneal_strategy == "cos":
            return np.where(up < 1, _between(low, self.max_lr, up), _between(self.max_lr, end, down))
        rising, falling = low + (self.max_lr - low) * up, self.max_lr + (end - self.max_lr) * down
        return np.where(up < 1, rising, np.where(down < 1, falling, end))


def rates_of(schedule: Rate, steps: np.ndarray) -> np.ndarray:
    """Return the float64 rates of an array of step numbers: all at once from a `Schedule`, else one by one.

    Raises
    ------
    TypeError, ValueError
        If a rate is not a number from 0 on; the message names the step.
    """
    rates: Any
    if isinstance(schedule, Schedule):
        rates = np.asarray(schedule(steps), np.float64)
        if ((rates >= 0) & (rates < math.inf)).all():
            return rates
        rates = rates.tolist()
    else:
        rates = (schedule(int(step)) for step in steps)
    named = zip(steps, rates, strict=True)
    return np.array([_rate(f"the learning rate of step {int(step)}", rate, zero=True) for step, rate in named])


def check_first(name: str, schedule: Rate) -> None:
    """Raise an error that names an argument unless its first rate is a number from 0 on."""
    try:
        rates_of(schedule, np.zeros(1))
    except (TypeError, ValueError) as error:
        raise retold(error, f"{name} is {schedule!r}: {error}") from None


def to_config(schedule: Rate) -> list[Any]:
    """Return a schedule as plain data; see `from_config`.

    Raises
    ------
    ValueError
        If it is a function, which a file cannot hold.

    Examples
    --------
    >>> to_config(Constant(0.1))
    ['Constant', {'lr': 0.1}]
    """
    if not isinstance(schedule, Schedule):
        raise ValueError(f"lr is {schedule!r}; a file holds numbers and objects of Schedule only")
    config = schedule.get_config()
    return [name_of(type(schedule)), {k: _plain(v) for k, v in config.items()}]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return to_config(value) if callable(value) else value


def from_config(kind: str, config: dict[str, Any]) -> Schedule:
    """Return a schedule from what `to_config` gave.

    Examples
    --------
    >>> from_config("WarmUp", {"schedule": ["Constant", {"lr": 0.1}], "warmup_steps": 5})
    WarmUp(schedule=Constant(lr=0.1), warmup_steps=5, start_lr=0.0)
    """
    if "schedule" in config:
        config = {**config, "schedule": from_config(*config["schedule"])}
    if "schedules" in config:
        config = {**config, "schedules": [from_config(*one) for one in config["schedules"]]}
    return restore(Schedule, kind, config)


def __getattr__(name: str) -> Any:
    return elsewhere(__name__, name)
