"""Losses: which rows of the table compute them, and what targets they take."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .data import number
from .kernels.table import ROWS, suggest
from .names import check_name, named

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    import numpy as np
    from numpy.typing import ArrayLike

    from .kernels.table import Row
    from .program import Buffer, Program

__all__ = [
    "BinaryCrossEntropy",
    "BinaryFocalCrossEntropy",
    "CategoricalCrossEntropy",
    "CustomLoss",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Poisson",
    "SparseCategoricalCrossEntropy",
    "SquaredHinge",
    "get",
]


class Loss:
    """A loss over a batch.

    Parameters
    ----------
    reduction : {"mean", "sum"}
        Over what the classes say.
    """

    #: What y_true holds: "real" numbers of the shape of y_pred, "signs" (-1 and 1) likewise, or integer "labels" of
    #: shape (batch,).
    targets = "real"
    #: The activation whose output is a probability for this loss, where it has a form on logits.
    link: str | None = None
    from_logits: bool | None = False

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in ("mean", "sum"):
            hint = suggest(reduction, ("mean", "sum"))
            raise ValueError(f"reduction is {reduction!r}; it must be 'mean' or 'sum'{hint}")
        self.reduction = reduction

    #: The name of the row, where there is one only.
    row_name: str

    @property
    def row(self) -> Row:
        """The row of the table."""
        return ROWS[self.row_name]

    def attributes(self) -> dict[str, float]:
        """Return the row's attributes."""
        own = {k: float(v) for k, v in self.get_config().items() if k in self.row.attributes}
        return {"mean": float(self.reduction == "mean"), **own}

    def resolve(self, last_activation: str | None) -> Loss:
        """Return the loss for a model whose last activation is known: decides `from_logits` where it is None."""
        return self

    def emit(self, program: Program, y_pred: Buffer, y_true: Buffer) -> tuple[Buffer, Callable[[], Buffer]]:
        """Add the loss of a batch to a program.

        Returns
        -------
        loss : Buffer
            The scalar.
        backward : callable
            ``backward()`` adds the gradient and returns dy_pred.
        """
        row = self.row
        forward, backward_kernel = row.kernels.values()
        options: dict[str, Any] = self.attributes()
        loss = program.buffer("loss", (), role="result")
        outputs = program.call(forward.name, y_pred, y_true, layer="loss", into={"loss": loss}, **options)
        known = dict(zip((o.name for o in forward.inputs), (y_pred, y_true), strict=True))
        known.update(zip((o.name for o in forward.outputs), outputs, strict=True))

        def backward():
            inputs = [known[o.name] for o in backward_kernel.inputs]
            return program.call(backward_kernel.name, *inputs, layer="loss", **options)

        return loss, backward

    def __call__(self, y_true: ArrayLike, y_pred: ArrayLike, backend: str = "cython") -> np.floating:
        """Return the loss of arrays, as a NumPy scalar.

        Parameters
        ----------
        y_true, y_pred : array_like
        backend : {"cython", "numba", "numpy"}
        """
        return self._kernel("forward", y_true, y_pred, backend)[-1]

    def gradient(self, y_true: ArrayLike, y_pred: ArrayLike, backend: str = "cython") -> np.ndarray:
        """Return dLoss/dy_pred of arrays."""
        row = self.row
        known = {"y_true": y_true, "y_pred": y_pred, "logits": y_pred}
        if "probabilities" in row.saved:
            known["probabilities"] = self._kernel("forward", y_true, y_pred, backend)[0]
        return self._kernel("backward", None, None, backend, [known[name] for name in row.saved])

    def _kernel(
        self,
        direction: str,
        y_true: ArrayLike | None,
        y_pred: ArrayLike | None,
        backend: str,
        inputs: Sequence[Any] | None = None,
    ) -> Any:
        from . import kernels

        function = getattr(kernels, f"{self.row.name}_{direction}")
        inputs = (y_pred, y_true) if inputs is None else inputs
        return function(*inputs, backend=backend, **self.attributes())

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"reduction": self.reduction}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


class MeanSquaredError(Loss):
    """``mean((y_pred - y_true)**2)`` over all elements of the batch.

    Parameters
    ----------
    reduction : {"mean", "sum"}

    Examples
    --------
    >>> loss = MeanSquaredError()
    >>> round(float(loss([8.0, 7.0, 3.0], [10.0, 5.0, 3.0])), 2)
    2.67
    >>> loss.gradient([8.0, 7.0, 3.0], [10.0, 5.0, 3.0])
    array([ 1.33333333, -1.33333333,  0.        ])
    """

    row_name = "mean_squared_error"


class MeanAbsoluteError(Loss):
    """``mean(|y_pred - y_true|)`` over all elements of the batch; the derivative at 0 is 0.

    Parameters
    ----------
    reduction : {"mean", "sum"}

    Examples
    --------
    >>> float(MeanAbsoluteError()([8.0, 7.0, 3.0], [10.0, 5.0, 6.0])) * 3
    7.0
    """

    row_name = "mean_absolute_error"


class Huber(Loss):
    """Half the square of the difference up to `delta`, ``delta * (|d| - delta / 2)`` beyond, mean over all elements.

    Parameters
    ----------
    delta : float
        Positive.
    reduction : {"mean", "sum"}

    Notes
    -----
    As in Keras and PyTorch's ``HuberLoss``; PyTorch's ``SmoothL1Loss`` is this divided by delta.

    Examples
    --------
    >>> float(Huber(delta=1.0)([0.0, 0.0], [0.5, 3.0]))
    1.3125
    """

    row_name = "huber"

    def __init__(self, delta: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.delta = number("delta", delta, 0, math.inf, closed_low=False)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"delta": self.delta, **super().get_config()}


class LogCosh(Loss):
    """``mean(log(cosh(y_pred - y_true)))`` over all elements: a square near 0, a distance far away.

    Parameters
    ----------
    reduction : {"mean", "sum"}

    Examples
    --------
    >>> round(float(LogCosh()([0.0], [1.0])), 6)
    0.433781
    """

    row_name = "log_cosh"


class Hinge(Loss):
    """``mean(max(1 - y_true * y_pred, 0))`` over all elements; y_true holds -1 and 1.

    Parameters
    ----------
    reduction : {"mean", "sum"}

    Notes
    -----
    Targets 0 and 1 are refused by `Sequential.fit`: ``2 * y - 1`` makes signs of them. The derivative at a
    margin of 1 is 0.

    Examples
    --------
    >>> float(Hinge()([1.0, -1.0], [0.5, 0.5]))
    1.0
    """

    targets = "signs"
    row_name = "hinge"


class SquaredHinge(Hinge):
    """``mean(max(1 - y_true * y_pred, 0)**2)`` over all elements; y_true holds -1 and 1.

    Parameters
    ----------
    reduction : {"mean", "sum"}

    Examples
    --------
    >>> float(SquaredHinge()([1.0, -1.0], [0.5, 0.5]))
    1.25
    """

    row_name = "squared_hinge"


class Poisson(Loss):
    """The negative log-likelihood of counts: ``mean(y_pred - y_true * log(y_pred + eps))``, y_pred being the rate.

    Parameters
    ----------
    log_input : bool
        Whether y_pred is the logarithm of the rate instead: ``mean(exp(y_pred) - y_true * y_pred)``.
    eps : float
        Positive. Keras' 1e-7; PyTorch has 1e-8.
    reduction : {"mean", "sum"}

    Examples
    --------
    >>> round(float(Poisson()([2.0], [3.0])), 6)
    0.802775
    """

    def __init__(self, log_input: bool = False, eps: float = 1e-7, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.log_input, self.eps = bool(log_input), number("eps", eps, 0, math.inf, closed_low=False)
        self.row_name = "poisson_log" if self.log_input else "poisson"

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"log_input": self.log_input, "eps": self.eps, **super().get_config()}


class BinaryFocalCrossEntropy(Loss):
    """Binary cross-entropy on logits with less weight for what is easy [1]_: ``mean(a * (1 - p_t)**gamma * BCE)``.

    ``p_t`` is the probability given to the target, and ``a`` is alpha where the target is 1, else 1 - alpha.

    Parameters
    ----------
    gamma : float
        Not negative; 0 is the plain cross-entropy, weighted by alpha.
    alpha : float
        In [0, 1]; 0.5 weighs both alike. Keras has no such weights unless told to balance classes.
    reduction : {"mean", "sum"}

    References
    ----------
    .. [1] Lin et al. 2017, ICCV, eq. 5

    Examples
    --------
    >>> round(float(BinaryFocalCrossEntropy()([1.0, 0.0], [0.0, 0.0])), 6)
    0.086643
    """

    row_name, link, from_logits = "focal", "sigmoid", True

    def __init__(self, gamma: float = 2.0, alpha: float = 0.25, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.gamma = number("gamma", gamma, 0, math.inf)
        self.alpha = number("alpha", alpha, 0, 1, closed_high=True)

    def resolve(self, last_activation: str | None) -> Loss:
        """Return the loss; it refuses a model that ends with a sigmoid."""
        if last_activation == self.link:
            raise ValueError("loss BinaryFocalCrossEntropy takes logits; leave the model's last sigmoid away")
        return self

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"gamma": self.gamma, "alpha": self.alpha, **super().get_config()}


class _CrossEntropy(Loss):
    on_probabilities: str
    on_logits: str

    def __init__(self, from_logits: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        if from_logits not in (True, False, None):
            raise ValueError(f"from_logits is {from_logits!r}; it must be True, False or None")
        self.from_logits = from_logits

    @property
    def row(self) -> Row:
        """The row of the table."""
        return ROWS[self.on_logits if self.from_logits else self.on_probabilities]

    def resolve(self, last_activation: str | None) -> Loss:
        """Return the loss with `from_logits` decided by the model's last activation."""
        if self.from_logits is not None:
            return self
        return type(self)(from_logits=last_activation != self.link, reduction=self.reduction)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"from_logits": self.from_logits, **super().get_config()}


class BinaryCrossEntropy(_CrossEntropy):
    """``-mean(y * log(p) + (1 - y) * log(1 - p))`` over all elements of the batch.

    Parameters
    ----------
    from_logits : bool, optional
        Whether y_pred is a logit (the sigmoid is then part of the loss) or a probability. None lets the
        model decide: a probability after a sigmoid, else a logit. On arrays None means a probability.
    reduction : {"mean", "sum"}

    Notes
    -----
    Probabilities are clipped to [1e-15, 1 - 1e-15]. In float32 the upper bound is 1 - 2**-24, the
    largest number below one, so that a sure and wrong prediction costs 16.6, not 34.5. PyTorch bounds the
    logarithm at -100 instead, Keras clips to [1e-7, 1 - 1e-7].

    Examples
    --------
    >>> round(float(BinaryCrossEntropy()([1.0, 0.0], [0.9, 0.2])), 6)
    0.164252
    """

    link = "sigmoid"
    on_probabilities, on_logits = "binary_cross_entropy", "sigmoid_cross_entropy"


class CategoricalCrossEntropy(_CrossEntropy):
    """``-mean(sum(y * log(p)))`` of one-hot targets, the mean over the rows of the batch.

    Parameters
    ----------
    from_logits : bool, optional
        Whether y_pred are logits (softmax is then part of the loss) or probabilities. None lets the model
        decide: probabilities after a softmax, else logits. On arrays None means probabilities.
    reduction : {"mean", "sum"}

    Notes
    -----
    Probabilities are clipped as for `BinaryCrossEntropy`, not divided by their sum first, which Keras does.

    Examples
    --------
    >>> round(float(CategoricalCrossEntropy()([[0.0, 1.0]], [[0.2, 0.8]])), 6)
    0.223144
    """

    link = "softmax"
    on_probabilities, on_logits = "categorical_cross_entropy", "softmax_cross_entropy"


class SparseCategoricalCrossEntropy(_CrossEntropy):
    """Categorical cross-entropy of integer labels, ``-mean(log(p[label]))``.

    Parameters
    ----------
    from_logits : bool, optional
        As for `CategoricalCrossEntropy`.
    reduction : {"mean", "sum"}

    Examples
    --------
    >>> round(float(SparseCategoricalCrossEntropy(from_logits=True)([1], [[0.0, 0.0]])), 6)
    0.693147
    """

    targets = "labels"
    link = "softmax"
    on_probabilities, on_logits = "sparse_categorical_cross_entropy", "sparse_softmax_cross_entropy"


class KLDivergence(Loss):
    """``mean(sum(y_true * log(y_true / y_pred)))`` of distributions, the mean over the rows of the batch.

    Parameters
    ----------
    reduction : {"mean", "sum"}

    Notes
    -----
    Both are clipped to [1e-15, 1 - 1e-15] (float32: at most 1 - 2**-24); Keras clips at 1e-7. PyTorch's ``KLDivLoss``
    takes the logarithm of y_pred, and needs ``reduction="batchmean"`` for this value.

    Examples
    --------
    >>> round(float(KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]])), 6)
    0.143841
    """

    row_name = "kl_divergence"


class CustomLoss(Loss):
    """A loss made of a NumPy expression; `fastbp.custom.loss` makes one.

    Parameters
    ----------
    name : str
    expressions : tuple of str
        Of the value and of the gradient.
    reduction : {"mean", "sum"}
    """

    def __init__(self, name: str, expressions: tuple[str, str], reduction: str = "mean") -> None:
        from .kernels import add_row

        super().__init__(reduction)
        self.row_name, self.expressions = name, (expressions[0], expressions[1])
        add_row(name, "loss", *self.expressions)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"name": self.row_name, "expressions": list(self.expressions), **super().get_config()}


_CLASSES = {
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "mae": MeanAbsoluteError,
    "huber": Huber,
    "log_cosh": LogCosh,
    "hinge": Hinge,
    "squared_hinge": SquaredHinge,
    "poisson": Poisson,
    "kl_divergence": KLDivergence,
    "binary_focal_crossentropy": BinaryFocalCrossEntropy,
    "binary_crossentropy": BinaryCrossEntropy,
    "categorical_crossentropy": CategoricalCrossEntropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossEntropy,
}


def get(loss: Loss | str) -> Loss:
    """Return a loss from an object, or from its name in Keras' spelling.

    Raises
    ------
    ValueError
        If there is none of that name.

    Examples
    --------
    >>> get("mse")
    MeanSquaredError(reduction='mean')
    """
    return named("loss", loss, Loss, _CLASSES)


def from_config(kind: str, config: dict[str, Any]) -> Loss:
    """Return a loss from its class name and `Loss.get_config`."""
    classes = {cls.__name__: cls for cls in (*_CLASSES.values(), CustomLoss)}
    check_name("loss", kind, classes)
    return classes[kind](**config)
