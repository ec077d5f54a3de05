"""Losses: which rows of the table compute them, and what targets they take."""

from __future__ import annotations

import math
from math import prod
from typing import TYPE_CHECKING

from .data import integer, number
from .kernels.table import ROWS, suggest
from .names import check_name, named

if TYPE_CHECKING:
    from collections.abc import Callable
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
    reduction : {"mean", "sum", "none"}
        Over what the classes say. "none" gives the loss of each sample, for calls on arrays: of a loss over elements
        the mean over the sample's row, as in Keras.

    Notes
    -----
    Weights of samples multiply their losses; a mean is still one over the number of samples, as in Keras.
    """

    #: What y_true holds: "real" numbers of the shape of y_pred, "signs" (-1 and 1) likewise, or integer "labels" of
    #: shape (batch,).
    targets = "real"
    #: The activation whose output is a probability for this loss, where it has a form on logits.
    link: str | None = None
    from_logits: bool | None = False
    #: A label whose rows do not count.
    ignore_index: int | None = None

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in ("mean", "sum", "none"):
            hint = suggest(reduction, ("mean", "sum", "none"))
            raise ValueError(f"reduction is {reduction!r}; it must be 'mean', 'sum' or 'none'{hint}")
        self.reduction = reduction

    #: The name of the row, where there is one only.
    row_name: str

    @property
    def row(self) -> Row:
        """The row of the table."""
        return ROWS[self.row_name]

    def attributes(self) -> dict[str, Any]:
        """Return the row's attributes."""
        own = {k: float(v) for k, v in self.get_config().items() if k in self.row.attributes}
        return {"mean": float(self.reduction == "mean"), **own}

    def resolve(self, last_activation: str | None) -> Loss:
        """Return the loss for a model whose last activation is known: decides `from_logits` where it is None."""
        return self

    def emit(
        self, program: Program, y_pred: Buffer, y_true: Buffer, weight: Buffer | None = None
    ) -> tuple[Buffer, Callable[[], Buffer]]:
        """Add the loss of a batch to a program.

        Parameters
        ----------
        program : Program
        y_pred, y_true : Buffer
        weight : Buffer, optional
            Of each sample, shape (batch, 1).

        Returns
        -------
        loss : Buffer
            The scalar.
        backward : callable
            ``backward()`` adds the gradient and returns dy_pred.
        """
        y_true, weight = self._selected(program, y_pred, y_true, weight)
        known = self._forward(program, y_pred, y_true)
        loss = known["loss"]
        if weight is not None:
            weighed = self._times(program, self._losses(known), weight)
            # a mean over rows divides by fewer
            others = prod(weighed.shape[1:]) - 1 if self._over_rows else 0
            mean = float(self.reduction == "mean")
            loss = program.call("reduce_loss", weighed, layer="loss", mean=mean, others=others)
        return loss, lambda: self._backward(program, known, weight)

    def _selected(
        self, program: Program, y_pred: Buffer, y_true: Buffer, weight: Buffer | None
    ) -> tuple[Buffer, Buffer | None]:
        """Return targets and weights as the kernels are to have them."""
        return y_true, weight

    def _forward(self, program: Program, y_pred: Buffer, y_true: Buffer) -> dict[str, Buffer]:
        """Add the forward call; return its operands by name."""
        forward = self.row.kernels[f"{self.row.name}_forward"]
        outputs = program.call(forward.name, y_pred, y_true, layer="loss", **self.attributes())
        names = [o.name for o in (*forward.inputs, *forward.outputs)]
        return dict(zip(names, (y_pred, y_true, *outputs), strict=True))

    def _backward(self, program: Program, known: dict[str, Buffer], weight: Buffer | None) -> Buffer:
        """Add the gradient; return it."""
        backward = self.row.kernels[f"{self.row.name}_backward"]
        inputs = [known[o.name] for o in backward.inputs]
        dy: Buffer = program.call(backward.name, *inputs, layer="loss", **self.attributes())
        return dy if weight is None else self._times(program, dy, weight)

    @staticmethod
    def _losses(known: dict[str, Buffer]) -> Buffer:
        """Return what the forward call left of each sample."""
        return known["sample_loss" if "sample_loss" in known else "elements"]

    @staticmethod
    def _times(program: Program, x: Buffer, weight: Buffer) -> Buffer:
        if len(x.shape) > 2:
            raise ValueError("weights of samples need outputs of one dimension")
        result: Buffer = program.call("weigh_rows" if len(x.shape) == 2 else "weigh_samples", x, weight, layer="loss")
        return result

    @property
    def _over_rows(self) -> bool:
        """Whether the mean is one over rows: of distributions, not of elements."""
        forward = self.row.kernels[f"{self.row.name}_forward"]
        return any(o.name == "elements" and o.dims == ("batch", "n") for o in forward.outputs)

    def __call__(
        self, y_true: ArrayLike, y_pred: ArrayLike, backend: str = "cython", sample_weight: ArrayLike | None = None
    ) -> Any:
        """Return the loss of arrays.

        Parameters
        ----------
        y_true, y_pred : array_like
        backend : {"cython", "numba", "numpy"}
        sample_weight : array_like, shape (batch,), optional

        Returns
        -------
        NumPy scalar, or ndarray of shape (batch,) with the reduction "none"
        """
        return self._of_arrays(y_true, y_pred, backend, sample_weight)[0]

    def gradient(
        self, y_true: ArrayLike, y_pred: ArrayLike, backend: str = "cython", sample_weight: ArrayLike | None = None
    ) -> np.ndarray:
        """Return dLoss/dy_pred of arrays; with the reduction "none" each row is that of its own sample's loss."""
        gradient: np.ndarray = self._of_arrays(y_true, y_pred, backend, sample_weight)[1]()
        return gradient

    def _of_arrays(
        self, y_true: ArrayLike, y_pred: ArrayLike, backend: str, sample_weight: ArrayLike | None
    ) -> tuple[Any, Callable[[], Any]]:
        """Return the loss and a function for the gradient: what `emit` adds to a program, done at once."""
        import numpy as np

        program: Any = _Arrays(backend)
        y: Any = np.asarray(y_pred)
        y = y if y.dtype.kind == "f" else y.astype(np.float64)
        t: Any = np.asarray(y_true)
        weight: Any = None
        if sample_weight is not None:
            weight = np.asarray(sample_weight, y.dtype)
            if weight.shape not in ((len(y),), (len(y), 1)):
                raise ValueError(f"sample_weight has shape {weight.shape}; it must be ({len(y)},)")
            weight = weight.reshape(-1, 1)
        if self.reduction != "none":
            return self.emit(program, y, t, weight)
        t, weight = self._selected(program, y, t, weight)
        known = self._forward(program, y, t)
        losses: Any = self._losses(known)
        if weight is not None:
            losses = self._times(program, losses, weight)
        if losses.ndim == 1:
            return losses, lambda: self._backward(program, known, weight)
        axes = tuple(range(1, losses.ndim))
        if self._over_rows:
            return losses.sum(axes), lambda: self._backward(program, known, weight)
        return losses.mean(axes), lambda: self._backward(program, known, weight) / prod(losses.shape[1:])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"reduction": self.reduction}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


class _Arrays:
    """Stands for a program where there are arrays: a call is made at once."""

    def __init__(self, backend: str) -> None:
        self.backend = backend

    def call(self, name: str, *inputs: Any, layer: str = "", **attributes: float) -> Any:
        from . import kernels

        return getattr(kernels, name)(*inputs, backend=self.backend, **attributes)


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
        return type(self)(**{**self.get_config(), "from_logits": last_activation != self.link})

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
    ignore_index : int, optional
        A label, of a class or not, whose rows count neither in the loss nor in the number of rows of its mean, as in
        PyTorch, and like Keras' ``ignore_class``. If all rows are ignored the loss is 0, where PyTorch has NaN.

    Examples
    --------
    >>> round(float(SparseCategoricalCrossEntropy(from_logits=True)([1], [[0.0, 0.0]])), 6)
    0.693147
    >>> loss = SparseCategoricalCrossEntropy(from_logits=True, ignore_index=-1)
    >>> round(float(loss([1, -1], [[0.0, 0.0], [5.0, 0.0]])), 6)
    0.693147
    """

    def __init__(
        self, from_logits: bool | None = None, reduction: str = "mean", ignore_index: int | None = None
    ) -> None:
        super().__init__(from_logits, reduction)
        # a label is an integer that a float64, as attributes are, holds
        self.ignore_index = None if ignore_index is None else integer("ignore_index", ignore_index, -(2**53))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        own = {} if self.ignore_index is None else {"ignore_index": self.ignore_index}
        return {**super().get_config(), **own}

    def _selected(
        self, program: Program, y_pred: Buffer, y_true: Buffer, weight: Buffer | None
    ) -> tuple[Buffer, Buffer | None]:
        """Return labels of classes, and weights that are 0 where the label is ignored."""
        if self.ignore_index is None:
            return y_true, weight
        options: dict[str, Any] = {"mean": float(self.reduction == "mean"), "ignored": float(self.ignore_index)}
        y_true, counted = program.call("ignore_label", y_pred, y_true, layer="loss", **options)
        return y_true, counted if weight is None else self._times(program, counted, weight)

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
    expressions : tuple of str or None
        Of the value and of the gradient; None for a row that is in the table already.
    reduction : {"mean", "sum"}
    """

    def __init__(self, name: str, expressions: tuple[str, str] | None, reduction: str = "mean") -> None:
        from .kernels import add_row

        super().__init__(reduction)
        self.row_name, self.expressions = name, None if expressions is None else (expressions[0], expressions[1])
        if self.expressions is not None:
            add_row(name, "loss", *self.expressions)
        check_name("loss", name, [row.name for row in ROWS.values() if row.family == "loss"])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        own = None if self.expressions is None else list(self.expressions)
        return {"name": self.row_name, "expressions": own, **super().get_config()}


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
