"""Losses: which rows of the table compute them, and what targets they take."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, cast

import numpy as np

from .checks import as_expressions, as_numbers, integer, number, suggest, weights_of
from .kernels.table import KERNELS, TABLE
from .naming import elsewhere, value_of
from .registry import Registered, check_row, make, restore, row_of

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike, DTypeLike

    from .kernels.table import Kernel, Row
    from .program import Buffer, Program

__all__ = [
    "NLL",
    "BinaryCrossEntropy",
    "BinaryFocalCrossEntropy",
    "CategoricalCrossEntropy",
    "CategoricalFocalCrossEntropy",
    "CategoricalHinge",
    "Contrastive",
    "CosineEmbedding",
    "CosineSimilarity",
    "CustomLoss",
    "Dice",
    "GaussianNLL",
    "Hinge",
    "HingeEmbedding",
    "Huber",
    "JointLoss",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MarginRanking",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "MultiLabelMargin",
    "MultiMargin",
    "Poisson",
    "SmoothL1",
    "SoftMargin",
    "SparseCategoricalCrossEntropy",
    "SquaredHinge",
    "TripletMargin",
    "TripletSemiHard",
    "get",
]


#: Of losses without probabilities, by their targets: what to do instead.
_WITHOUT_LINK = {
    "signs": "the outputs are margins: np.sign(model.predict(x)) makes the classes -1 and 1",
    "one_hot": "the outputs are scores: model.predict(x).argmax(axis=-1) makes classes",
}
#: Activations each of whose outputs is a probability; a softmax's are a distribution besides.
_PROBABILITIES = ("sigmoid", "hard_sigmoid", "softmax")


_REDUCTIONS = ("mean", "sum", "none", "mean_with_sample_weight")


class Loss(Registered, kind="loss"):
    """A loss over a batch.

    Parameters
    ----------
    reduction : {"mean", "sum", "none", "mean_with_sample_weight"}
        Over what the classes say. "none" gives the loss of each sample, for calls on arrays: of a loss over elements
        the mean over the sample's row, as in Keras. Keras' "mean_with_sample_weight" divides by the sum of the
        weights of the batch, where samples have weights; the mean over an epoch counts each batch by its rows.

    Notes
    -----
    The last axis of y_pred is a sample's row: outputs (batch, t, n) are batch * t samples, each with a target, or
    label, of its own, and a mean is over all of them, as in Keras. Weights of samples multiply their losses; a "mean"
    is still one over the number of samples.

    Examples
    --------
    >>> import fastbp
    >>> loss = fastbp.losses.Huber(delta=0.5)
    >>> isinstance(loss, fastbp.losses.Loss), loss.targets
    (True, 'real')
    >>> float(loss([0.0, 0.0], [0.5, 1.0])), loss.gradient([0.0, 0.0], [0.5, 1.0])
    (0.25, array([0.25, 0.25]))
    """

    #: What y_true holds: "real" numbers of the shape of y_pred; "signs" (-1 and 1), "binary" numbers (0 and 1) or
    #: "one_hot" rows (0, but for a single 1) likewise; "means" of fewer columns than y_pred has; integer "labels" 0 to
    #: n - 1, one for each row of the last axis; or any integers likewise, where equal ones stand for "groups".
    targets = "real"
    #: How many rows in succession are one sample: neither batches nor shuffling part them.
    rows_per_sample = 1
    #: Whether an output tells how far apart, or how alike, a pair is.
    of_pairs = False
    #: The activation whose output is a probability for this loss, where it has a form on logits.
    link: str | None = None
    from_logits: bool | None = False
    #: A label whose rows do not count.
    ignore_index: int | None = None
    #: What classes weigh in the loss, and in what its mean is over: by label, those that are left out 1, or of all.
    class_weight: dict[int, float] | list[float] | None = None
    #: Of a loss that takes several outputs of a model together: how many, or what they are called; see `JointLoss`.
    outputs: list[int | None] | dict[str, int | None] | None = None

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in _REDUCTIONS:
            reduction = value_of("reduction", reduction)
        if reduction not in _REDUCTIONS:
            hint = suggest(reduction, _REDUCTIONS)
            allowed = "'mean', 'sum', 'none' or 'mean_with_sample_weight'"
            raise ValueError(f"reduction is {reduction!r}; it must be {allowed}{hint}")
        self.reduction = reduction

    #: The name of the row, where there is one only.
    row_name: str
    #: Arguments of the constructor that the row has as attributes of these names.
    options: tuple[str, ...] = ()

    @property
    def row(self) -> Row:
        """The row of the table."""
        return TABLE[self.row_name]

    def attributes(self) -> dict[str, Any]:
        """Return the row's attributes.

        Returns
        -------
        dict of str to float

        Examples
        --------
        >>> Huber(delta=0.5).attributes()
        {'mean': 1.0, 'delta': 0.5}
        """
        own = {name: float(getattr(self, name)) for name in self.options}
        return {"mean": float(self.averages), **own}

    @property
    def averages(self) -> bool:
        """Whether the loss of a batch is a mean, and not a sum."""
        return self.reduction in ("mean", "mean_with_sample_weight")

    def shares(self, program: Program, weight: Buffer) -> tuple[Buffer, Buffer | None]:
        """Add what the reduction makes of the weights of a batch: for a mean over their sum, weights with the mean 1.

        Parameters
        ----------
        program : Program
        weight : Buffer
            Of each sample, shape (samples, 1).

        Returns
        -------
        weight : Buffer
            As `emit` takes it.
        total : Buffer or None
            The scalar that was divided by.

        Examples
        --------
        >>> from fastbp.program import BATCH, Program
        >>> program = Program("float32")
        >>> weight = program.buffer("weight", (BATCH, 1))
        >>> MeanSquaredError().shares(program, weight)
        (weight[batch, 1], None)
        >>> share, total = MeanSquaredError("mean_with_sample_weight").shares(program, weight)
        >>> [call.kernel.name for call in program.calls]
        ['weighted_mean_total', 'weighted_mean_share']
        """
        if self.reduction != "mean_with_sample_weight":
            return weight, None
        total = program.call("weighted_mean_total", weight, layer="loss")
        return program.call("weighted_mean_share", weight, total, layer="loss"), total

    def for_activation(self, last_activation: str | None) -> Loss:
        """Return the loss for a model whose last activation is known: decides `from_logits` where it is None.

        Parameters
        ----------
        last_activation : str or None
            Of the model.

        Returns
        -------
        Loss

        Raises
        ------
        ValueError
            If the loss does not go with that activation.

        Examples
        --------
        >>> [BinaryCrossEntropy().for_activation(name).from_logits for name in ("identity", "sigmoid")]
        [True, False]
        """
        return self

    @property
    def _probable(self) -> tuple[str, ...]:
        """The activations after which a model's outputs are the probabilities that the loss may take."""
        return ("softmax",) if self.link == "softmax" else _PROBABILITIES

    def doubt(self, last_activation: str | None) -> str | None:
        """Return why a model's outputs cannot be what the loss takes them for, or None.

        Parameters
        ----------
        last_activation : str or None
            Of the model, for a loss that `resolve` returned.

        Returns
        -------
        str or None

        Examples
        --------
        >>> print(BinaryCrossEntropy(from_logits=True).doubt("tanh"))
        None
        >>> print(BinaryCrossEntropy(from_logits=True).doubt("sigmoid"))
        BinaryCrossEntropy takes logits, but the outputs are a sigmoid's: leave away from_logits=True or the sigmoid
        """
        row = TABLE.get(last_activation or "")
        # what an activation of the user's own yields is not known
        if row is None or any(kernel.code or kernel.foreign for kernel in row.kernels.values()):
            return None
        name, given = type(self).__name__, "linear" if row.name == "identity" else f"a {row.name}'s"
        end = f"end the model with activation={self.link or 'softmax'!r}"
        if self.from_logits and row.name in _PROBABILITIES:
            away = f"leave away from_logits=True or the {row.name}"
            remedy = away if row.name in self._probable else f"{end} or None"
            return f"{name} takes logits, but the outputs are {given}: {remedy}"
        if self.takes_probabilities and row.name not in self._probable:
            either = self.link and "from_logits" in self.get_config()
            remedy = f"leave away from_logits=False or {end}" if either else end
            return f"{name} takes probabilities, but the outputs are {given}: {remedy}"
        return None

    @property
    def takes_probabilities(self) -> bool:
        """Whether the outputs must be probabilities already."""
        return not self.from_logits and self.row.domain.get("y_pred") == "probability"

    #: What to do where y_pred is not in the domain that the row gives it, for `complain`.
    remedy = "end with an activation whose values are such"

    def complain(self, y_pred: np.ndarray) -> str | None:
        """Return which element of y_pred the loss is not defined for, and what to do; None where it is for all.

        Parameters
        ----------
        y_pred : ndarray

        Returns
        -------
        str or None

        Examples
        --------
        >>> print(Poisson().complain(np.array([2.0, -0.5])))
        y_pred[1] is -0.5, Poisson takes numbers from 0 on: end with activation='softplus' or set log_input=True
        """
        domain = self.row.domain.get("y_pred")
        if domain == "nonnegative":
            bad, takes = y_pred < 0, "numbers from 0 on"
        elif domain == "probability":
            bad, takes = (y_pred < 0) | (y_pred > 1), "numbers in 0 .. 1"
        else:
            return None
        if not bad.any():
            return None
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        where = f"y_pred[{', '.join(map(str, at))}] is {y_pred[at]}"
        return f"{where}, {type(self).__name__} takes {takes}: {self.remedy}"

    def link_of(self, what: str) -> str:
        """Return the activation that makes probabilities of outputs, or refuse where the loss knows of none.

        Parameters
        ----------
        what : str
            What needs them, for the message.

        Returns
        -------
        {"sigmoid", "softmax"}

        Raises
        ------
        ValueError
            The message says what the outputs are instead.

        Examples
        --------
        >>> BinaryCrossEntropy().link_of("predict_proba"), SparseCategoricalCrossEntropy().link_of("predict_proba")
        ('sigmoid', 'softmax')
        """
        link = self.link or ("softmax" if self.takes_probabilities else None)
        if link is None:
            name, instead = type(self).__name__, "model.predict(x) returns the outputs"
            instead = instead if self.of_pairs else _WITHOUT_LINK.get(self.targets, instead)
            raise ValueError(f"{what} needs a loss on probabilities, such as a cross-entropy; of {name} {instead}")
        return link

    def probabilities(self, y_pred: ArrayLike, backend: str | None = None, numerics: str = "numpy") -> np.ndarray:
        """Return the probabilities that a model's outputs stand for: of logits the sigmoid or the softmax.

        Parameters
        ----------
        y_pred : array_like, shape (..., n)
        backend : {"cython", "numba", "numpy"}, optional
        numerics : {"numpy", "portable"}

        Returns
        -------
        ndarray, shape (..., n), or (..., 2) where a sigmoid's n is 1: of class 0 and of class 1

        Raises
        ------
        ValueError
            If the loss knows of none.

        Examples
        --------
        >>> BinaryCrossEntropy(from_logits=True).probabilities([[0.0], [-800.0]])
        array([[0.5, 0.5],
               [1. , 0. ]])
        >>> SparseCategoricalCrossEntropy(from_logits=True).probabilities([[0.0, 0.0, 0.0, 0.0]])
        array([[0.25, 0.25, 0.25, 0.25]])
        """
        from . import kernels

        link, y = self.link_of("probabilities"), as_numbers("y_pred", y_pred)
        if self.from_logits:
            options: dict[str, Any] = {"backend": backend, "numerics": numerics}
            if link == "sigmoid":
                y = kernels.sigmoid_forward(y, **options)
            else:
                y = kernels.softmax_forward(y.reshape(-1, y.shape[-1]), **options).reshape(y.shape)
        return np.concatenate([1 - y, y], axis=-1) if link == "sigmoid" and y.shape[-1] == 1 else y

    def classes(self, y_pred: ArrayLike) -> np.ndarray:
        """Return the classes that a model's outputs stand for, as the metric "accuracy" counts them.

        Parameters
        ----------
        y_pred : array_like, shape (..., n)

        Returns
        -------
        ndarray of int64, shape (...), or (..., n) of 0 and 1 where a sigmoid's n is more than 1
            The largest output; of a sigmoid whether the probability is over 0.5.

        Raises
        ------
        ValueError
            If the loss knows of none.

        Examples
        --------
        >>> CategoricalCrossEntropy(from_logits=True).classes([[0.1, 0.9], [3.0, -1.0]])
        array([1, 0])
        >>> BinaryCrossEntropy(from_logits=False).classes([[0.2, 0.8, 0.6]])
        array([[0, 1, 1]])
        """
        link, y = self.link_of("classes"), as_numbers("y_pred", y_pred)
        if link == "softmax":
            return y.argmax(axis=-1).astype(np.int64)
        found = (y > (0 if self.from_logits else 0.5)).astype(np.int64)
        return found[..., 0] if found.shape[-1] == 1 else found

    @property
    def of_samples(self) -> bool:
        """Whether the loss is a sum over samples, which may weigh differently."""
        return self.row.sample is not None

    @property
    def takes_integers(self) -> bool:
        """Whether y_true holds one integer for each row of the last axis."""
        return self.targets in ("labels", "groups")

    @property
    def counts_all(self) -> bool:
        """Whether a mean is over the number of all rows: no label is ignored, and no class has a weight."""
        return self.ignore_index is None and self.class_weight is None

    def counting(self, y_true: np.ndarray) -> np.ndarray | None:
        """Return which targets count in the loss, or how much each does, or None where all do alike.

        Parameters
        ----------
        y_true : ndarray
            As the loss takes them.

        Returns
        -------
        ndarray of bool or float64, an element for each row of the last axis of the outputs, or None

        Examples
        --------
        >>> import numpy as np
        >>> SparseCategoricalCrossEntropy(ignore_index=-1).counting(np.array([0, -1, 2]))
        array([ True, False,  True])
        """
        counted = None if self.ignore_index is None else y_true != self.ignore_index
        if self.class_weight is None:
            return counted
        if not self.takes_integers:
            return self._weights_of_rows(y_true)
        labels = y_true if counted is None else np.where(counted, y_true, 0)
        # of a dict the classes that it leaves out weigh 1, however many there are
        known = max(self.class_weight, default=0) + 1 if isinstance(self.class_weight, dict) else 0
        n = max(known, int(labels.max(initial=0)) + 1) if known else len(self.class_weight)
        each = self.weights_of_classes(n)
        return each[labels] if counted is None else each[labels] * counted

    def _weights_of_rows(self, y_true: np.ndarray) -> np.ndarray:
        """Return what each row of targets counts, of a loss with weights of classes."""
        weights: np.ndarray = y_true @ self.weights_of_classes(y_true.shape[-1])
        return weights

    def weights_of_classes(self, n: int) -> np.ndarray:
        """Return what each of n classes weighs, of a loss that has a `class_weight`.

        Parameters
        ----------
        n : int

        Returns
        -------
        ndarray of float64, shape (n,)

        Raises
        ------
        ValueError
            If there are more weights than classes, or of a list less.

        Examples
        --------
        >>> SparseCategoricalCrossEntropy(class_weight={2: 0.5}).weights_of_classes(3)
        array([1. , 1. , 0.5])
        """
        given = self.class_weight
        if not isinstance(given, dict):
            if given is None or len(given) != n:
                has = 0 if given is None else len(given)
                raise ValueError(f"class_weight has {has} weights; the outputs are of {n} classes")
            return np.array(given)
        beyond = [label for label in given if label >= n]
        if beyond:
            raise ValueError(f"class_weight has a weight for class {beyond[0]}; the classes are 0 .. {n - 1}")
        weights = np.ones(n)
        weights[list(given)] = list(given.values())
        return weights

    def check_groups(self, name: str, y_true: np.ndarray) -> None:
        """Raise ValueError if the groups of the rows are not as the loss needs them.

        Parameters
        ----------
        name : str
            What messages call the targets.
        y_true : ndarray of int64, shape (rows,)

        Examples
        --------
        >>> import numpy as np
        >>> TripletSemiHard().check_groups("y", np.array([0, 1, 0, 1]))
        """

    def target_shape(self, output_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one row of targets, for outputs of a shape.

        Parameters
        ----------
        output_shape : tuple of int
            Of one row of the model's output.

        Returns
        -------
        tuple of int

        Raises
        ------
        ValueError
            If the loss takes no such outputs.

        Examples
        --------
        >>> MeanSquaredError().target_shape((6,)), GaussianNLL().target_shape((6,))
        ((6,), (3,))
        >>> SparseCategoricalCrossEntropy().target_shape((6,)), SparseCategoricalCrossEntropy().target_shape((5, 6))
        ((), (5,))
        """
        if self.targets == "groups" and len(output_shape) != 1:
            raise ValueError(f"{self!r} takes rows of one dimension, got outputs of shape {output_shape}")
        if self.class_weight is not None:
            self.weights_of_classes(output_shape[-1])
        return output_shape[:-1] if self.takes_integers else output_shape

    def emit(
        self, program: Program, y_pred: Buffer, y_true: Buffer, weight: Buffer | None = None
    ) -> tuple[Buffer, Callable[[], Buffer]]:
        """Add the loss of a batch to a program.

        Parameters
        ----------
        program : Program
        y_pred, y_true : Buffer
            Each row of the last axis as a row: (samples, n), and labels (samples,).
        weight : Buffer, optional
            Of each sample, shape (samples, 1).

        Returns
        -------
        loss : Buffer
            The scalar.
        backward : callable
            ``backward()`` adds the gradient and returns dy_pred.

        Examples
        --------
        >>> from fastbp.program import BATCH, Program
        >>> program = Program("float32")
        >>> y_pred, y_true = program.buffer("y_pred", (BATCH, 3)), program.buffer("y_true", (BATCH, 3))
        >>> loss, backward = MeanSquaredError().emit(program, y_pred, y_true)
        >>> backward(), [call.kernel.name for call in program.calls]
        (loss.dy_pred[batch, 3], ['mean_squared_error_forward', 'mean_squared_error_backward'])
        """
        y_true, weight = self._selected(program, y_pred, y_true, weight)
        known = self._forward(program, y_pred, y_true)
        loss = known["loss"]
        if weight is not None:
            weighed = self._times(program, known[self.row.sample or ""], weight)
            # a mean over rows divides by fewer
            others = prod(weighed.shape[1:]) - 1 if self.row.mean_over == "rows" else 0
            loss = program.call("reduce_loss", weighed, layer="loss", mean=float(self.averages), others=others)
        return loss, lambda: self._backward(program, known, weight)

    def _selected(
        self, program: Program, y_pred: Buffer, y_true: Buffer, weight: Buffer | None
    ) -> tuple[Buffer, Buffer | None]:
        """Return targets and weights as the kernels are to have them."""
        return y_true, weight

    def _one_hot(
        self, program: Program, y_pred: Buffer, y_true: Buffer, weight: Buffer | None, smoothing: float = 0.0
    ) -> tuple[Buffer, Buffer | None]:
        """Return labels as one-hot rows, smoothed or not, and weights of samples that are 0 where one is ignored."""

        def rows(smoothing: float) -> Buffer:
            made: Buffer = program.call("smooth_one_hot", y_pred, y_true, layer="loss", smoothing=smoothing)
            return made if weighing is None else self._times(program, made, weighing)

        weighing: Any = None
        if self.ignore_index is not None:
            y_true, counted = self._without_ignored(program, y_pred, y_true)
            if self.class_weight is None:
                weight = counted if weight is None else self._times(program, counted, weight)
            else:  # a row of zeros has no class, and no weight
                weighing = counted
        targets = rows(smoothing)
        if self.class_weight is not None:
            targets = self._of_weighted_classes(program, rows(0.0) if smoothing else targets, targets)
        return targets, weight

    def _without_ignored(self, program: Program, y_pred: Buffer, y_true: Buffer) -> tuple[Buffer, Buffer]:
        """Return labels of classes, and what each row weighs: 0 where its label is ignored."""
        # the mean over weights of classes is made later
        mean = self.averages and self.class_weight is None
        options: dict[str, Any] = {"mean": float(mean), "ignored": float(cast("int", self.ignore_index))}
        kept, counted = program.call("ignore_label", y_pred, y_true, layer="loss", **options)
        return kept, counted

    def _of_weighted_classes(self, program: Program, y_true: Buffer, targets: Buffer) -> Buffer:
        """Return rows of targets times the weights of the classes, over the mean weight of the true ones for a mean."""
        each = program.constant("class_weight", self.weights_of_classes(targets.shape[-1]))
        weighed: Buffer = program.call("scale_forward", targets, each, layer="loss")
        if not self.averages:
            return weighed
        own = weighed if targets is y_true else program.call("scale_forward", y_true, each, layer="loss")
        options: dict[str, Any] = {"mean": 0.0, "others": 0.0}
        total = program.call("reduce_loss", own, layer="loss", **options)
        shared: Buffer = program.call("share_weights", weighed, total, layer="loss")
        return shared

    def _forward(self, program: Program, y_pred: Buffer, y_true: Buffer) -> dict[str, Buffer]:
        """Add the forward call; return its operands by name."""
        forward = self.row.kernels[f"{self.row.name}_forward"]
        inputs = (y_pred, y_true)[: len(forward.inputs)]
        results = program.call(forward.name, *inputs, layer="loss", **self.attributes())
        return dict(zip((o.name for o in (*forward.inputs, *forward.results)), (*inputs, *results), strict=True))

    def _gradient(self, program: Program, known: dict[str, Buffer]) -> Buffer:
        """Add the backward call; return dy_pred."""
        backward = self.row.kernels[f"{self.row.name}_backward"]
        inputs = [known[o.name] for o in backward.inputs]
        dy: Buffer = program.call(backward.name, *inputs, layer="loss", **self.attributes())
        return dy

    def _backward(self, program: Program, known: dict[str, Buffer], weight: Buffer | None) -> Buffer:
        dy = self._gradient(program, known)
        return dy if weight is None else self._of_each(lambda one: self._times(program, one, weight), dy)

    @staticmethod
    def _of_each(change: Callable[[Any], Any], dy: Any) -> Any:
        """Return dy_pred changed; of a loss of several outputs that of each."""
        return change(dy)

    @staticmethod
    def _times(program: Program, x: Buffer, weight: Buffer) -> Buffer:
        kernel = "weigh_rows" if len(x.shape) == 2 else "weigh_samples"
        if weight.shape[1:] != (1,):  # each element has a weight
            kernel = "multiply"
        result: Buffer = program.call(kernel, x, weight, layer="loss")
        return result

    def __call__(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        backend: str | None = None,
        sample_weight: ArrayLike | None = None,
        numerics: str = "numpy",
    ) -> Any:
        """Return the loss of arrays, in Keras' order: ``loss(y_true, y_pred)``.

        The kernels and `emit` have the other one: ``kernels.mean_squared_error_forward(y_pred, y_true)``.

        Parameters
        ----------
        y_true, y_pred : array_like
        backend : {"cython", "numba", "numpy"}, optional
        sample_weight : array_like, optional
            Of shape (batch,), or of y_pred's without the last axis.
        numerics : {"numpy", "portable"}

        Returns
        -------
        NumPy scalar, or ndarray of y_pred's shape without the last axis with the reduction "none"

        Examples
        --------
        >>> y_true, y_pred = [[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [3.0, 5.0]]
        >>> float(MeanSquaredError()(y_true, y_pred))
        1.25
        >>> MeanSquaredError(reduction="none")(y_true, y_pred)
        array([2. , 0.5])
        >>> float(MeanSquaredError()(y_true, y_pred, sample_weight=[0, 1]))
        0.25
        """
        if sample_weight is None:
            value = self._direct.value(y_pred, y_true, backend=backend, numerics=numerics)
            if value is not NotImplemented:
                return value
        return self._of_arrays(y_true, y_pred, backend, sample_weight, numerics)[0]

    def gradient(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        backend: str | None = None,
        sample_weight: ArrayLike | None = None,
        numerics: str = "numpy",
    ) -> np.ndarray:
        """Return dLoss/dy_pred of arrays; with the reduction "none" each row is that of its own sample's loss.

        The order is Keras', as for a call; the kernels and `emit` take y_pred first.

        Parameters
        ----------
        y_true, y_pred : array_like
        backend : {"cython", "numba", "numpy"}
        sample_weight : array_like, optional
            As for a call.
        numerics : {"numpy", "portable"}

        Returns
        -------
        ndarray, shape of y_pred

        Examples
        --------
        >>> MeanSquaredError().gradient([[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [3.0, 5.0]])
        array([[ 0. , -1. ],
               [ 0. ,  0.5]])
        """
        if sample_weight is None:
            gradient: Any = self._direct.gradient(y_pred, y_true, backend=backend, numerics=numerics)
            if gradient is not NotImplemented:
                return gradient
        return self._of_arrays(y_true, y_pred, backend, sample_weight, numerics)[1]()

    @cached_property
    def _direct(self) -> _Direct:
        """The calls for arrays that the kernels can take as they are."""
        return _direct_of(self)

    def __setattr__(self, name: str, value: Any) -> None:
        # what the calls are made with may follow from it
        self.__dict__.pop("_direct", None)
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_direct"}

    def _of_arrays(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        backend: str | None,
        sample_weight: ArrayLike | None,
        numerics: str,
    ) -> tuple[Any, Callable[[], Any]]:
        """Return the loss and a function for the gradient: what `emit` adds to a program, done at once."""
        y: Any = as_numbers("y_pred", y_pred)
        t: Any = as_numbers("y_true", y_true)
        # float32 where all is
        narrow = y.dtype == np.float32 and (self.takes_integers or t.dtype == np.float32)
        y = y.astype(np.float32 if narrow else np.float64, copy=False)
        program: Any = _Arrays(backend, numerics, y.dtype)
        t = t if self.takes_integers else t.astype(y.dtype, copy=False)
        # of one axis, or none, each element is a sample
        shape, samples, weight = y.shape, y.shape[:-1] or y.shape, None
        if not self.of_samples and (sample_weight is not None or self.reduction == "none"):
            raise ValueError(f"{self!r} is no sum over samples: it supports neither weights nor the reduction 'none'")
        if sample_weight is not None:
            weight = weights_of("sample_weight", sample_weight, samples).astype(y.dtype).reshape(-1, 1)
            weight = self.shares(program, weight)[0]  # type: ignore[arg-type, assignment]
        if y.ndim > 2:
            wanted = (*shape[:1], *self.target_shape(shape[1:]))
            if t.shape != wanted:
                raise ValueError(f"y_true has shape {t.shape}, y_pred {shape}; y_true must be {wanted}")
            y, t = y.reshape(-1, shape[-1]), t.reshape(-1, *wanted[len(samples) :])
        loss, backward = self._of_rows(program, y, t, weight)
        return loss.reshape(samples) if self.reduction == "none" else loss, lambda: backward().reshape(shape)

    def _of_rows(self, program: Any, y: Any, t: Any, weight: Any) -> tuple[Any, Callable[[], Any]]:
        """Return the loss of samples with rows of one dimension, and a function for the gradient."""
        if self.reduction != "none":
            return self.emit(program, y, t, weight)
        t, weight = self._selected(program, y, t, weight)
        known = self._forward(program, y, t)
        losses: Any = known[self.row.sample or ""]
        if weight is not None:
            losses = self._times(program, losses, weight)
        if losses.ndim < 2:
            return losses, lambda: self._backward(program, known, weight)
        if self.row.mean_over == "rows":
            return program.over_rows(np.sum, losses), lambda: self._backward(program, known, weight)
        n = losses.shape[1]
        return program.over_rows(np.mean, losses), lambda: self._of_each(
            lambda dy: dy / n, self._backward(program, known, weight)
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data.

        Returns
        -------
        dict of str to object

        Examples
        --------
        >>> Huber(delta=0.5).get_config()
        {'delta': 0.5, 'reduction': 'mean'}
        """
        return {**{name: getattr(self, name) for name in self.options}, "reduction": self.reduction}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


def _reshaped(x: Any, shape: tuple[Any, ...]) -> Any:
    """Return an array or a buffer in another shape: the same memory."""
    return x.reshape(shape) if isinstance(x, np.ndarray) else x.reshaped(shape)


class _Arrays:
    """Stands for a program where there are arrays: a call is made at once."""

    def __init__(self, backend: str | None, numerics: str, dtype: DTypeLike) -> None:
        self.backend, self.numerics, self.dtype = backend, numerics, dtype

    def constant(self, name: str, array: np.ndarray) -> np.ndarray:
        return array.astype(self.dtype)

    def call(self, name: str, *inputs: Any, layer: str = "", **attributes: float) -> Any:
        from . import kernels

        return getattr(kernels, name)(*inputs, backend=self.backend, numerics=self.numerics, **attributes)

    def over_rows(self, function: Callable[..., Any], x: np.ndarray) -> Any:
        """Return the sum or the mean of each row."""
        from .kernels.portable.array import portable

        return (portable(function) if self.numerics == "portable" else function)(x, axis=1)


class _Noted:
    """Stands for a program, y_pred and y_true being anything: notes which calls are made."""

    def __init__(self) -> None:
        self.calls: list[tuple[Kernel, tuple[Any, ...], tuple[Any, ...], dict[str, float]]] = []

    def call(self, name: str, *inputs: Any, layer: str = "", **attributes: float) -> Any:
        results = tuple(object() for _ in KERNELS[name].results)
        self.calls.append((KERNELS[name], inputs, results, attributes))
        return results if len(results) > 1 else results[0]


def _not_usual(y_pred: Any, y_true: Any, *, backend: str | None, numerics: str) -> Any:
    return NotImplemented


class _Direct:
    """A loss of arrays that its kernels can take as they are; of others, and of other losses, it is NotImplemented."""

    def __init__(self, value: Callable[..., Any] = _not_usual, gradient: Callable[..., Any] = _not_usual) -> None:
        self.value, self.gradient = value, gradient


def _direct_of(loss: Loss) -> _Direct:
    noted, y_pred, y_true = _Noted(), object(), object()
    # what a user's class makes of its attributes may change without notice
    if loss.reduction == "none" or loss.outputs is not None or type(loss).__module__ != __name__:
        return _Direct()
    try:
        value, backward = loss.emit(cast("Any", noted), cast("Any", y_pred), cast("Any", y_true))
        backward()
        (first, inputs, results, attributes), (second, saved, _, same) = noted.calls
    except (AttributeError, ValueError):  # it asks for a shape, or makes more calls
        return _Direct()
    if inputs != (y_pred, y_true):
        return _Direct()
    from .kernels.functions import entry_of

    names = {y_pred: "y_pred", y_true: "y_true", **{r: o.name for r, o in zip(results, first.results, strict=True)}}
    read = [names[result] for result in results if result in saved]
    value_of = entry_of(first, attributes, wanted=[names[value]])
    saved_of = entry_of(first, attributes, wanted=read)
    gradient_of = entry_of(second, same)
    if value_of is None or saved_of is None or gradient_of is None or not {*saved} <= {*names}:
        return _Direct()
    if saved == (y_pred, y_true):
        return _Direct(value_of, gradient_of)
    # written out: to unpack arguments would take as long as the kernel
    namespace: dict[str, Any] = {"saved_of": saved_of, "gradient_of": gradient_of}
    exec(_GRADIENT.format(read=", ".join(read), saved=", ".join(names[one] for one in saved)), namespace)
    return _Direct(value_of, namespace["gradient"])


_GRADIENT = """
def gradient(y_pred, y_true, *, backend, numerics):
    found = saved_of(y_pred, y_true, backend=backend, numerics=numerics)
    if found is NotImplemented:
        return found
    {read} = found
    return gradient_of({saved}, backend=backend, numerics=numerics)
"""


class MeanSquaredError(Loss, names=("mean_squared_error", "mse")):
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


class MeanAbsoluteError(Loss, names=("mean_absolute_error", "mae")):
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


class MeanAbsolutePercentageError(Loss, names=("mean_absolute_percentage_error", "mape")):
    """``mean(100 * |y_pred - y_true| / max(|y_true|, eps))`` over all elements: in percent, as in Keras.

    Parameters
    ----------
    eps : float
        Positive. Keras' 1e-7.
    reduction : {"mean", "sum"}

    Notes
    -----
    The derivative at a difference of 0 is 0. `fastbp.metrics.mean_absolute_percentage_error` is scikit-learn's: a
    share.

    Examples
    --------
    >>> float(MeanAbsolutePercentageError()([2.0, 4.0], [1.0, 5.0]))
    37.5
    """

    row_name, options = "mean_absolute_percentage_error", ("eps",)

    def __init__(self, eps: float = 1e-7, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.eps = number("eps", eps, 0, math.inf, closed_low=False)


class MeanSquaredLogarithmicError(Loss, names=("mean_squared_logarithmic_error", "msle")):
    """``mean((log(1 + y_pred) - log(1 + y_true))**2)`` over all elements, of numbers from 0 on.

    Parameters
    ----------
    eps : float
        Not negative. What is less, also below 0, counts as eps, and has a derivative of 0: Keras' 1e-7.
    reduction : {"mean", "sum"}

    Examples
    --------
    >>> round(float(MeanSquaredLogarithmicError(eps=0)([0.0, 3.0], [1.0, 3.0])), 6)
    0.240227
    """

    row_name, options = "mean_squared_logarithmic_error", ("eps",)

    def __init__(self, eps: float = 1e-7, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.eps = number("eps", eps, 0, math.inf)



class Huber(Loss, names=("huber",)):
    """Half the square of the difference up to `delta`, ``delta * (|d| - delta / 2)`` beyond, mean over all elements.

    Parameters
    ----------
    delta : float
        Positive.
    reduction : {"mean", "sum"}

    Notes
    -----
    As in Keras and PyTorch's ``HuberLoss``; `SmoothL1` is this divided by delta.

    Examples
    --------
    >>> float(Huber(delta=1.0)([0.0, 0.0], [0.5, 3.0]))
    1.3125
    """

    row_name, options = "huber", ("delta",)

    def __init__(self, delta: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.delta = number("delta", delta, 0, math.inf, closed_low=False)


class SmoothL1(Loss, names=("smooth_l1",)):
    """Half the square of the difference over `beta` up to it, ``|d| - beta / 2`` beyond, mean over all elements [1]_.

    Parameters
    ----------
    beta : float
        Positive; with 0 it would be `MeanAbsoluteError`.
    reduction : {"mean", "sum"}

    References
    ----------
    .. [1] Girshick 2015, ICCV

    Examples
    --------
    >>> float(SmoothL1(beta=2.0)([0.0, 0.0], [1.0, 3.0]))
    1.125
    """

    row_name, options = "smooth_l1", ("beta",)

    def __init__(self, beta: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.beta = number("beta", beta, 0, math.inf, closed_low=False)



class LogCosh(Loss, names=("log_cosh",)):
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


class Hinge(Loss, names=("hinge",)):
    """``mean(max(1 - y_true * y_pred, 0))`` over all elements; y_true holds -1 and 1.

    Parameters
    ----------
    reduction : {"mean", "sum"}

    Notes
    -----
    Targets 0 and 1 are refused by `Model.fit`: ``2 * y - 1`` makes signs of them. The derivative at a
    margin of 1 is 0.

    Examples
    --------
    >>> float(Hinge()([1.0, -1.0], [0.5, 0.5]))
    1.0
    """

    targets = "signs"
    row_name = "hinge"


class SquaredHinge(Hinge, names=("squared_hinge",)):
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


class SoftMargin(Loss, names=("soft_margin",)):
    """``mean(log(1 + exp(-y_true * y_pred)))`` over all elements; y_true holds -1 and 1.

    Parameters
    ----------
    reduction : {"mean", "sum"}

    Notes
    -----
    It is the binary cross-entropy of logits, with -1 in the place of 0.

    Examples
    --------
    >>> round(float(SoftMargin()([1.0, -1.0], [2.0, 0.0])), 6)
    0.410038
    """

    targets = "signs"
    row_name = "soft_margin"


class MultiMargin(Loss, names=("multi_margin",)):
    """``mean(sum(max(margin - y_pred[label] + y_pred, 0)**p) / n)`` of integer labels, over the other classes [1]_.

    Parameters
    ----------
    margin : float
    p : {1, 2}
    reduction : {"mean", "sum"}

    Notes
    -----
    PyTorch's ``MultiMarginLoss``, whose ``weight`` is ``fit(class_weight=...)``: its mean is over the number of rows. n
    is the number of all classes. The derivative where the margin is just kept is 0.

    References
    ----------
    .. [1] Weston & Watkins 1999, ESANN

    Examples
    --------
    >>> float(MultiMargin()([0], [[0.5, 0.0, 2.0, -3.0]]))
    0.75
    """

    targets = "labels"
    row_name, options = "multi_margin", ("margin",)

    def __init__(self, margin: float = 1.0, p: int = 1, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin, self.p = number("margin", margin, -math.inf, math.inf), integer("p", p, 1, 2)

    def attributes(self) -> dict[str, Any]:
        """Return the row's attributes."""
        return {**super().attributes(), "squared": float(self.p == 2)}

    def _selected(
        self, program: Program, y_pred: Buffer, y_true: Buffer, weight: Buffer | None
    ) -> tuple[Buffer, Buffer | None]:
        return self._one_hot(program, y_pred, y_true, weight)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"p": self.p, **super().get_config()}


class MultiLabelMargin(Loss, names=("multi_label_margin",)):
    """The hinges ``max(1 - (y_pred[j] - y_pred[k]), 0)`` of all classes j of a row and k that are none, over n.

    y_true holds 0 and 1 for each of the n classes; the mean is over rows.

    Parameters
    ----------
    reduction : {"mean", "sum"}

    Notes
    -----
    PyTorch's ``MultiLabelMarginLoss``, whose targets are lists of labels with -1 behind them. The derivative at a
    margin of 1 is 0.

    Examples
    --------
    >>> float(MultiLabelMargin()([[1.0, 0.0, 0.0, 1.0]], [[0.1, 0.2, 0.4, 0.8]]))
    0.85
    """

    targets = "binary"
    row_name = "multi_label_margin"



class CategoricalHinge(Loss, names=("categorical_hinge",)):
    """``mean(max(1 + max((1 - y_true) * y_pred) - sum(y_true * y_pred), 0))`` of one-hot rows, the mean over rows.

    Parameters
    ----------
    reduction : {"mean", "sum"}

    Notes
    -----
    Keras' definition, to the letter: in the inner maximum the true class counts with 0, so that other outputs push only
    where they are positive. PyTorch's ``MultiMarginLoss``, which is `MultiMargin`, takes labels and is another
    function: the sum of the hinges of all other classes over their number. Of equal largest outputs the first
    has the slope; the derivative at a margin of 1 is 0. ``np.eye(n)[labels]`` makes one-hot rows of labels.

    Examples
    --------
    >>> float(CategoricalHinge()([[0.0, 1.0, 0.0]], [[0.5, 1.0, -2.0]]))
    0.5
    """

    targets = "one_hot"
    row_name = "categorical_hinge"


class CosineSimilarity(Loss, names=("cosine_similarity",)):
    """Minus the cosine of the angle between the rows of y_true and y_pred, the mean over rows: -1 where all agree.

    Parameters
    ----------
    eps : float
        Positive. A smaller norm counts as eps: the cosine with a zero vector is 0.
    reduction : {"mean", "sum"}

    Notes
    -----
    The sign is Keras', eps the one of PyTorch's ``cosine_similarity``. `CosineEmbedding` and `Contrastive` are for
    pairs that belong together or do not. Below eps the loss is linear in y_pred, so that its gradient at a zero vector
    is ``-y_true / (norm(y_true) * eps)``, which points the right way and is large: a layer in front that can put out
    zeros for all units, such as relu, is better left away. It is the derivative of the loss as it is defined;
    PyTorch's below eps, but for the zero vector itself, is that of a norm without eps.

    Examples
    --------
    >>> round(float(CosineSimilarity()([[0.0, 1.0], [1.0, 1.0]], [[0.0, 3.0], [1.0, 0.0]])), 6)
    -0.853553
    """

    row_name, options = "cosine_similarity", ("eps",)

    def __init__(self, eps: float = 1e-8, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.eps = number("eps", eps, 0, math.inf, closed_low=False)


class Contrastive(Loss, names=("contrastive",)):
    """``mean(y_true * y_pred**2 + (1 - y_true) * max(margin - y_pred, 0)**2)``, y_pred being distances of pairs [1]_.

    Pairs that belong together (y_true is 1) are drawn together, others (y_true is 0) pushed apart up to the margin.

    Parameters
    ----------
    margin : float
        Positive.
    reduction : {"mean", "sum"}
        Over all elements.

    Notes
    -----
    As TensorFlow Addons' ``ContrastiveLoss``. The paper has half of this, and its Y is 1 for pairs that do not belong
    together. `CosineEmbedding` and `HingeEmbedding` are other functions: neither squares.

    References
    ----------
    .. [1] Hadsell, Chopra & LeCun 2006, CVPR, eq. 4

    Examples
    --------
    >>> float(Contrastive()([1.0, 0.0, 0.0], [0.5, 0.5, 2.0])) * 3
    0.5
    """

    targets = "binary"
    row_name, options = "contrastive", ("margin",)

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = number("margin", margin, 0, math.inf, closed_low=False)


class CosineEmbedding(Loss, names=("cosine_embedding",)):
    """``mean(1 - y_pred)`` of pairs that belong together, ``mean(max(y_pred - margin, 0))`` of others, y_pred a cosine.

    y_true holds 1 for pairs that belong together, and -1. ``Dot(-1, normalize=True)`` makes the cosines of two outputs.

    Parameters
    ----------
    margin : float
        In [-1, 1].
    reduction : {"mean", "sum"}
        Over all elements.

    Notes
    -----
    PyTorch's ``CosineEmbeddingLoss`` makes the cosines itself, of two inputs. The derivative at the margin is 0.

    Examples
    --------
    >>> float(CosineEmbedding(margin=0.5)([1.0, -1.0, -1.0], [0.25, 0.75, 0.0])) * 3
    1.0
    """

    targets = "signs"
    of_pairs = True
    row_name, options = "cosine_embedding", ("margin",)

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = number("margin", margin, -1, 1, closed_high=True)


class HingeEmbedding(Loss, names=("hinge_embedding",)):
    """``mean(y_pred)`` of pairs that belong together, ``mean(max(margin - y_pred, 0))`` of others, y_pred a distance.

    y_true holds 1 for pairs that belong together, and -1.

    Parameters
    ----------
    margin : float
        Positive.
    reduction : {"mean", "sum"}
        Over all elements.

    Notes
    -----
    PyTorch's ``HingeEmbeddingLoss``; `Contrastive` squares both terms. The derivative at the margin is 0.

    Examples
    --------
    >>> float(HingeEmbedding()([1.0, -1.0, -1.0], [0.5, 0.5, 2.0])) * 3
    1.0
    """

    targets = "signs"
    of_pairs = True
    row_name, options = "hinge_embedding", ("margin",)

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = number("margin", margin, 0, math.inf, closed_low=False)


class MarginRanking(Loss, names=("margin_ranking",)):
    """``mean(max(margin - y_true * y_pred, 0))``, y_pred being the difference of the scores of a pair [1]_.

    y_true holds 1 where the first of both is to have the higher score, and -1 where the second one is.
    ``Subtract()([first, second])`` makes the differences of two outputs.

    Parameters
    ----------
    margin : float
        Not negative.
    reduction : {"mean", "sum"}
        Over all elements.

    Notes
    -----
    PyTorch's ``MarginRankingLoss`` takes both scores; with a margin of 1 it is `Hinge`. The derivative where the margin
    is just kept is 0.

    References
    ----------
    .. [1] Herbrich, Graepel & Obermayer 1999, ICANN

    Examples
    --------
    >>> float(MarginRanking(margin=0.5)([1.0, -1.0], [0.25, 0.25]))
    0.5
    """

    targets = "signs"
    of_pairs = True
    row_name, options = "margin_ranking", ("margin",)

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = number("margin", margin, 0, math.inf)



class TripletMargin(Loss, names=("triplet_margin",)):
    """``mean(max(d(anchor, positive) - d(anchor, negative) + margin, 0))`` over triplets of rows [1]_.

    ``d(a, b)`` is the Euclidean distance ``norm(a - b + eps)``. Anchor and positive belong together, the negative does
    not. Called on arrays the loss takes three of them. In a model the rows come in threes: anchor, positive, negative,
    the next anchor and so on; targets are integers that are equal for anchor and positive and another for the
    negative. `Model.fit` shuffles whole triplets, and batch_size must be a multiple of 3.

    Parameters
    ----------
    margin : float
        Positive.
    eps : float
        Not negative. It is added to each difference, as in PyTorch.
    reduction : {"mean", "sum"}
        Over triplets.

    Notes
    -----
    PyTorch's ``TripletMarginLoss`` with ``p=2`` and without ``swap``; Keras has none. The derivative of a distance of 0
    is 0, and so is that of the loss where the margin is just kept.

    References
    ----------
    .. [1] Balntas et al. 2016, BMVC

    Examples
    --------
    >>> loss = TripletMargin(eps=0)
    >>> float(loss([[0.0, 0.0]], [[3.0, 4.0]], [[0.0, 5.5]]))
    0.5
    >>> anchor, positive, negative = loss.gradient([[0.0, 0.0]], [[3.0, 4.0]], [[0.0, 5.5]])
    >>> positive, negative
    (array([[0.6, 0.8]]), array([[ 0., -1.]]))
    """

    targets = "groups"
    rows_per_sample = 3
    row_name, options = "triplet_margin", ("margin", "eps")

    def __init__(self, margin: float = 1.0, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = number("margin", margin, 0, math.inf, closed_low=False)
        self.eps = number("eps", eps, 0, math.inf)

    def check_groups(self, name: str, y_true: np.ndarray) -> None:
        """Raise ValueError unless rows come in threes of two groups: anchor, positive, negative."""
        threes = f"{self!r} takes rows in threes: anchor, positive, negative"
        if len(y_true) % 3:
            raise ValueError(f"{name} has {len(y_true)} rows; {threes}")
        anchor, positive, negative = y_true.reshape(-1, 3).T
        bad = (anchor != positive) | (anchor == negative)
        if bad.any():
            k = 3 * int(bad.argmax())
            found = f"{name}[{k}:{k + 3}] is {y_true[k : k + 3]}"
            raise ValueError(f"{found}; {threes}, and the first two of them must be equal, the third another")

    def __call__(  # type: ignore[override]
        self,
        anchor: ArrayLike,
        positive: ArrayLike,
        negative: ArrayLike,
        backend: str | None = None,
        numerics: str = "numpy",
    ) -> np.floating:
        """Return the loss of three arrays of one shape.

        Parameters
        ----------
        anchor, positive, negative : array_like, shape (triplets, n)
        backend : {"cython", "numba", "numpy"}
        numerics : {"numpy", "portable"}

        Returns
        -------
        NumPy scalar
        """
        return super().__call__((), self._rows(anchor, positive, negative), backend, numerics=numerics)

    def gradient(  # type: ignore[override]
        self,
        anchor: ArrayLike,
        positive: ArrayLike,
        negative: ArrayLike,
        backend: str | None = None,
        numerics: str = "numpy",
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return dLoss/danchor, dLoss/dpositive and dLoss/dnegative of three arrays of one shape.

        Parameters
        ----------
        anchor, positive, negative : array_like, shape (triplets, n)
        backend : {"cython", "numba", "numpy"}
        numerics : {"numpy", "portable"}

        Returns
        -------
        danchor, dpositive, dnegative : ndarray, shape (triplets, n)
        """
        found = super().gradient((), self._rows(anchor, positive, negative), backend, numerics=numerics)
        return found[::3].copy(), found[1::3].copy(), found[2::3].copy()

    @staticmethod
    def _rows(*parts: ArrayLike) -> np.ndarray:
        names = "anchor", "positive", "negative"
        arrays = [as_numbers(name, part) for name, part in zip(names, parts, strict=True)]
        if len({array.shape for array in arrays}) > 1 or arrays[0].ndim != 2:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in zip(names, arrays, strict=True))
            raise ValueError(f"the shapes are {shapes}; they must be one and the same (triplets, n)")
        return np.stack(arrays, axis=1).reshape(-1, arrays[0].shape[1])


class TripletSemiHard(Loss, names=("triplet_semi_hard",)):
    """``mean(max(d(anchor, positive) - d(anchor, negative) + margin, 0))`` over triplets found in the batch [1]_.

    y_pred holds embeddings, mostly of length 1, y_true an integer for each row that is equal where rows belong
    together. Every two rows of one group are an anchor and a positive, both ways round. Their negative is
    semi-hard: of the rows of other groups the nearest to the anchor that is farther from it than the positive is; where
    there is none, the farthest. Of equally distant rows it is the first.

    Parameters
    ----------
    margin : float
        Positive.
    squared : bool
        Whether d is the square of the Euclidean distance, as in the paper, or the distance, as in TensorFlow Addons.
    reduction : {"mean", "sum"}
        Over the triplets of the batch; 0 where there are none.

    Notes
    -----
    TensorFlow Addons' ``TripletSemiHardLoss``; the gradient is that one's, too: through the rows that were chosen, and
    0 through a distance of 0. But an anchor without a negative in the batch makes no triplet here, where there its
    negative is at distance 0. Squares of distances are ``|a|**2 + |b|**2 - 2 a @ b``: beside long embeddings a small
    distance is lost in rounding. The value depends on which rows share a batch, so that `fit` and `evaluate` mean
    different triplets. PyTorch has no such loss.

    References
    ----------
    .. [1] Schroff, Kalenichenko & Philbin 2015, CVPR, section 3.2

    Examples
    --------
    The two of group 7 are 3 apart. From the first of them 4 is the nearest that is farther away; from the second none
    is, and 5 is the farthest: ``(3 - 4 + 2) + (3 - 2 + 2)``.

    >>> loss = TripletSemiHard(margin=2.0, reduction="sum")
    >>> float(loss([7, 7, -1, 8], [[0.0], [3.0], [4.0], [5.0]]))
    4.0
    """

    targets = "groups"
    row_name, options = "triplet_semi_hard", ("margin", "squared")

    def __init__(self, margin: float = 1.0, squared: bool = False, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin, self.squared = number("margin", margin, 0, math.inf, closed_low=False), bool(squared)


class Poisson(Loss, names=("poisson",)):
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

    remedy = "end with activation='softplus' or set log_input=True"

    def __init__(self, log_input: bool = False, eps: float = 1e-7, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.log_input, self.eps = bool(log_input), number("eps", eps, 0, math.inf, closed_low=False)
        self.row_name, self.options = ("poisson_log", ()) if self.log_input else ("poisson", ("eps",))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"log_input": self.log_input, "eps": self.eps, **super().get_config()}


class GaussianNLL(Loss, names=("gaussian_nll",)):
    """The negative log-likelihood of normal distributions: ``mean((log(v) + (y_true - m)**2 / v) / 2)`` [1]_.

    The outputs of a model are the means m and the logarithms of the variances v: the first half of the last axis are
    the means, the second half the log variances. Targets have half as many columns as the output.

    Parameters
    ----------
    reduction : {"mean", "sum"}
        Over all elements of y_true.

    Notes
    -----
    PyTorch's ``GaussianNLLLoss`` takes the variance as a third argument, which one output cannot give, and it must be
    positive: a log variance may be any number, so that the last layer needs no activation. What PyTorch's eps is
    for, a variance near 0, does not occur either; a log variance below -709 (float32: -88) overflows. As there, the
    constant ``log(2 pi) / 2`` is left out. Keras has no such loss.

    References
    ----------
    .. [1] Nix & Weigend 1994, ICNN

    Examples
    --------
    Two rows of one mean and one log variance each:

    >>> loss = GaussianNLL()
    >>> float(loss([[1.0], [2.0]], [[1.0, 0.5], [4.0, 0.0]]))
    1.125
    >>> loss.gradient([[1.0], [2.0]], [[1.0, 0.5], [4.0, 0.0]])
    array([[ 0.  ,  0.25],
           [ 1.  , -0.75]])
    """

    targets = "means"
    row_name = "gaussian_nll"

    def target_shape(self, output_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return half as many columns as the outputs have."""
        *positions, n = output_shape
        if n % 2:
            what = f"outputs of shape {output_shape}" if positions else f"{n} outputs"
            raise ValueError(f"the model has {what}; GaussianNLL takes 2 n in a row, n means and then n log variances")
        return (*positions, n // 2)

    def _forward(self, program: Program, y_pred: Buffer, y_true: Buffer) -> dict[str, Buffer]:
        # the row takes the halves as a dimension
        return super()._forward(program, _reshaped(y_pred, (y_pred.shape[0], 2, y_true.shape[1])), y_true)

    def _gradient(self, program: Program, known: dict[str, Buffer]) -> Buffer:
        dy = super()._gradient(program, known)
        return _reshaped(dy, (dy.shape[0], 2 * dy.shape[2]))

    def _of_arrays(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        backend: str | None,
        sample_weight: ArrayLike | None,
        numerics: str,
    ) -> tuple[Any, Callable[[], Any]]:
        shapes = np.shape(y_true), np.shape(y_pred)
        if len(shapes[1]) < 2 or shapes[1][-1] % 2:
            raise ValueError(f"y_pred has shape {shapes[1]}; it must be (rows, 2 n): n means, then n log variances")
        if shapes[0] != (*shapes[1][:-1], shapes[1][-1] // 2):
            raise ValueError(f"y_true has shape {shapes[0]}; it must be {(*shapes[1][:-1], shapes[1][-1] // 2)}")
        return super()._of_arrays(y_true, y_pred, backend, sample_weight, numerics)


class BinaryFocalCrossEntropy(Loss, names=("binary_focal_crossentropy", "binary_focal_cross_entropy")):
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
    options = "gamma", "alpha"

    def __init__(self, gamma: float = 2.0, alpha: float = 0.25, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.gamma = number("gamma", gamma, 0, math.inf)
        self.alpha = number("alpha", alpha, 0, 1, closed_high=True)

    def for_activation(self, last_activation: str | None) -> Loss:
        """Return the loss; it refuses a model whose outputs are probabilities."""
        if last_activation in _PROBABILITIES:
            remedy = f"leave the model's last {last_activation} away"
            raise ValueError(f"loss BinaryFocalCrossEntropy takes logits; {remedy}")
        return self


class _CrossEntropy(Loss):
    on_probabilities: str
    on_logits: str

    def __init__(
        self,
        from_logits: bool | None = None,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
        class_weight: Any = None,
    ) -> None:
        super().__init__(reduction)
        if class_weight is not None:
            self.class_weight = as_class_weight(class_weight)
        if from_logits not in (True, False, None):
            raise ValueError(f"from_logits is {from_logits!r}; it must be True, False or None")
        self.from_logits = from_logits
        self.label_smoothing = number("label_smoothing", label_smoothing, 0, 1, closed_high=True)

    @property
    def row(self) -> Row:
        """The row of the table."""
        return TABLE[self.on_logits if self.from_logits else self.on_probabilities]

    def for_activation(self, last_activation: str | None) -> Loss:
        """Return the loss with `from_logits` decided by the model's last activation."""
        if self.from_logits is not None:
            return self
        return type(self)(**{**self.get_config(), "from_logits": last_activation not in self._probable})

    def _selected(
        self, program: Program, y_pred: Buffer, y_true: Buffer, weight: Buffer | None
    ) -> tuple[Buffer, Buffer | None]:
        """Return the targets smoothed and times the weights of their classes."""
        targets = self._smoothed(program, y_pred, y_true) if self.label_smoothing else y_true
        if self.class_weight is not None:
            targets = self._of_weighted_classes(program, y_true, targets)
        return targets, weight

    def _smoothed(self, program: Program, y_pred: Buffer, y_true: Buffer) -> Buffer:
        options: dict[str, Any] = {"smoothing": self.label_smoothing, "share": 1 / y_pred.shape[-1]}
        smoothed: Buffer = program.call("smooth_labels", y_true, layer="loss", **options)
        return smoothed

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        own = {} if self.class_weight is None else {"class_weight": _as_saved(self.class_weight)}
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing, **super().get_config(), **own}


class BinaryCrossEntropy(_CrossEntropy, names=("binary_crossentropy", "binary_cross_entropy")):
    """``-mean(y * log(p) + (1 - y) * log(1 - p))`` over all elements of the batch.

    Parameters
    ----------
    from_logits : bool, optional
        Whether y_pred is a logit (the sigmoid is then part of the loss) or a probability. None lets the
        model decide: a probability after a sigmoid, hard_sigmoid or softmax, else a logit. On arrays None means a
        probability.
    label_smoothing : float
        In [0, 1]: targets become ``y * (1 - label_smoothing) + label_smoothing / 2`` first.
    pos_weight : float
        Positive: what ``y * log(p)`` is multiplied by, so that positives, where they are rare, count as often as
        negatives. One number for all outputs, where PyTorch's ``BCEWithLogitsLoss`` also takes one for each.
    reduction : {"mean", "sum"}
    class_weight : dict of int to float or list of float, optional
        What an element counts whose target is 0, and one whose target is 1, for all outputs: a mean is over the sum of
        these weights, of a batch and of an epoch. `pos_weight` leaves the mean over the number of elements.

    Notes
    -----
    Probabilities are clipped to [1e-15, 1 - 1e-15]. In float32 the upper bound is 1 - 2**-24, the
    largest number below one, so that a sure and wrong prediction costs 16.6, not 34.5. PyTorch bounds the
    logarithm at -100 instead, Keras clips to [1e-7, 1 - 1e-7].

    Examples
    --------
    >>> round(float(BinaryCrossEntropy()([1.0, 0.0], [0.9, 0.2])), 6)
    0.164252
    >>> round(float(BinaryCrossEntropy(from_logits=True, pos_weight=3.0)([1.0, 0.0], [0.0, 0.0])), 6)
    1.386294
    >>> round(float(BinaryCrossEntropy(class_weight={1: 3.0})([1.0, 0.0], [0.5, 0.5])), 6)
    0.693147
    """

    link = "sigmoid"
    on_probabilities, on_logits = "binary_cross_entropy", "sigmoid_cross_entropy"

    def __init__(
        self,
        from_logits: bool | None = None,
        label_smoothing: float = 0.0,
        pos_weight: float = 1.0,
        reduction: str = "mean",
        class_weight: Any = None,
    ) -> None:
        super().__init__(from_logits, label_smoothing, reduction, class_weight)
        self.pos_weight = number("pos_weight", pos_weight, 0, math.inf, closed_low=False)
        if self.pos_weight != 1:
            self.on_probabilities = "weighted_binary_cross_entropy"
            self.on_logits = "weighted_sigmoid_cross_entropy"
            self.options = ("pos_weight",)

    def target_shape(self, output_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the outputs."""
        if self.class_weight is not None:
            self.weights_of_classes(2)
        return output_shape

    def _weights_of_rows(self, y_true: np.ndarray) -> np.ndarray:
        zero, one = self.weights_of_classes(2).tolist()
        weights: np.ndarray = (zero + (one - zero) * y_true.astype(np.float64)).sum(axis=-1)
        return weights

    def _selected(
        self, program: Program, y_pred: Buffer, y_true: Buffer, weight: Buffer | None
    ) -> tuple[Buffer, Buffer | None]:
        """Return the targets smoothed, and what each element weighs."""
        targets = self._smoothed(program, y_pred, y_true) if self.label_smoothing else y_true
        if self.class_weight is None:
            return targets, weight
        zero, one = self.weights_of_classes(2).tolist()
        each = program.call("scale_by", y_true, layer="loss", factor=one - zero)
        each = program.call("shift_by", each, layer="loss", offset=zero)
        if self.reduction == "mean":
            shape = each.shape
            options: dict[str, Any] = {"mean": 0.0, "others": 0.0}
            total = program.call("reduce_loss", each, layer="loss", **options)
            column = _reshaped(each, (prod(shape), 1))
            each = _reshaped(program.call("share_weights", column, total, layer="loss"), shape)
        return targets, each if weight is None else self._times(program, each, weight)

    def _smoothed(self, program: Program, y_pred: Buffer, y_true: Buffer) -> Buffer:
        options: dict[str, Any] = {"smoothing": self.label_smoothing, "share": 0.5}
        smoothed: Buffer = program.call("smooth_labels", y_true, layer="loss", **options)
        return smoothed

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"pos_weight": self.pos_weight, **super().get_config()}


class CategoricalCrossEntropy(_CrossEntropy, names=("categorical_crossentropy", "categorical_cross_entropy")):
    """``-mean(sum(y * log(p)))`` of one-hot targets, the mean over the rows of the batch.

    Parameters
    ----------
    from_logits : bool, optional
        Whether y_pred are logits (softmax is then part of the loss) or probabilities. None lets the model
        decide: probabilities after a softmax, else logits. On arrays None means probabilities.
    label_smoothing : float
        In [0, 1]: targets of n classes become ``y * (1 - label_smoothing) + label_smoothing / n`` first [1]_, as in
        Keras and PyTorch.
    reduction : {"mean", "sum"}
    class_weight : dict of int to float or list of float, optional
        As for `SparseCategoricalCrossEntropy`.

    Notes
    -----
    Probabilities are clipped as for `BinaryCrossEntropy`, not divided by their sum first, which Keras does.
    With `class_weight` the loss is that of `SparseCategoricalCrossEntropy` for the same classes; PyTorch's, of rows of
    probabilities, is a mean over the number of rows.

    References
    ----------
    .. [1] Szegedy et al. 2016, CVPR, section 7

    Examples
    --------
    >>> round(float(CategoricalCrossEntropy()([[0.0, 1.0]], [[0.2, 0.8]])), 6)
    0.223144
    >>> round(float(CategoricalCrossEntropy(label_smoothing=0.1)([[0.0, 1.0]], [[0.2, 0.8]])), 6)
    0.292458
    """

    link = "softmax"
    on_probabilities, on_logits = "categorical_cross_entropy", "softmax_cross_entropy"


class SparseCategoricalCrossEntropy(
    _CrossEntropy, names=("sparse_categorical_crossentropy", "sparse_categorical_cross_entropy")
):
    """Categorical cross-entropy of integer labels, ``-mean(log(p[label]))``.

    Parameters
    ----------
    from_logits : bool, optional
        As for `CategoricalCrossEntropy`.
    label_smoothing : float
        In [0, 1]: where it is not 0 the loss is `CategoricalCrossEntropy` of smoothed one-hot rows, as in PyTorch's
        ``CrossEntropyLoss``; Keras' sparse loss has no smoothing.
    reduction : {"mean", "sum"}
    ignore_index : int, optional
        A label, of a class or not, whose rows count neither in the loss nor in the number of rows of its mean, as in
        PyTorch, and like Keras' ``ignore_class``. If all rows are ignored the loss is 0, where PyTorch has NaN.
    class_weight : dict of int to float or list of float, optional
        What a row of each class counts, as PyTorch's ``weight``: a mean is ``sum(w[y] * loss) / sum(w[y])``, of a batch
        and of an epoch; it does not go with `gradient_accumulation_steps`. Classes that a dict leaves out weigh 1. A
        mean with ``fit(class_weight=...)`` is over the number of rows instead, as in Keras.

    Examples
    --------
    >>> round(float(SparseCategoricalCrossEntropy(from_logits=True)([1], [[0.0, 0.0]])), 6)
    0.693147
    >>> loss = SparseCategoricalCrossEntropy(from_logits=True, ignore_index=-1)
    >>> round(float(loss([1, -1], [[0.0, 0.0], [5.0, 0.0]])), 6)
    0.693147
    >>> loss = SparseCategoricalCrossEntropy(class_weight={0: 3.0})
    >>> round(float(loss([0, 1], [[0.5, 0.5], [0.5, 0.5]])), 6)  # (3 * log(2) + log(2)) / (3 + 1)
    0.693147
    """

    targets = "labels"
    link = "softmax"
    on_probabilities, on_logits = "sparse_categorical_cross_entropy", "sparse_softmax_cross_entropy"

    def __init__(
        self,
        from_logits: bool | None = None,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
        ignore_index: int | None = None,
        class_weight: Any = None,
    ) -> None:
        super().__init__(from_logits, label_smoothing, reduction, class_weight)
        self.ignore_index = _as_ignored(ignore_index)
        if self.label_smoothing or self.class_weight is not None:
            self.on_probabilities = CategoricalCrossEntropy.on_probabilities
            self.on_logits = CategoricalCrossEntropy.on_logits

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        own = {} if self.ignore_index is None else {"ignore_index": self.ignore_index}
        return {**super().get_config(), **own}

    def _selected(
        self, program: Program, y_pred: Buffer, y_true: Buffer, weight: Buffer | None
    ) -> tuple[Buffer, Buffer | None]:
        """Return labels, or rows where they are smoothed or weigh, and weights that are 0 where a label is ignored."""
        if self.label_smoothing or self.class_weight is not None:
            return self._one_hot(program, y_pred, y_true, weight, self.label_smoothing)
        if self.ignore_index is not None:
            y_true, counted = self._without_ignored(program, y_pred, y_true)
            weight = counted if weight is None else self._times(program, counted, weight)
        return y_true, weight


class CategoricalFocalCrossEntropy(
    _CrossEntropy, names=("categorical_focal_crossentropy", "categorical_focal_cross_entropy")
):
    """Categorical cross-entropy with less weight for what is easy [1]_.

    ``-mean(sum(alpha * (1 - p)**gamma * y * log(p)))``, the mean over the rows of the batch.

    Parameters
    ----------
    from_logits : bool, optional
        As for `CategoricalCrossEntropy`.
    label_smoothing : float
        Likewise.
    alpha : float or list of float
        Not negative: for all classes, or of each.
    gamma : float
        Not negative; 0 is the plain cross-entropy times alpha.
    reduction : {"mean", "sum"}

    Notes
    -----
    Keras' ``CategoricalFocalCrossentropy``, which divides probabilities by their sum first; they are clipped as for
    `BinaryCrossEntropy`.

    References
    ----------
    .. [1] Lin et al. 2017, ICCV, eq. 5

    Examples
    --------
    >>> round(float(CategoricalFocalCrossEntropy()([[0.0, 1.0]], [[0.5, 0.5]])), 6)
    0.043322
    """

    link = "softmax"
    on_probabilities, on_logits = "categorical_focal", "softmax_focal"
    options = ("gamma",)

    def __init__(
        self,
        from_logits: bool | None = None,
        label_smoothing: float = 0.0,
        alpha: float | list[float] = 0.25,
        gamma: float = 2.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__(from_logits, label_smoothing, reduction)
        self.gamma = number("gamma", gamma, 0, math.inf)
        self.alpha = _numbers("alpha", alpha) if np.ndim(cast("Any", alpha)) else number("alpha", alpha, 0, math.inf)

    def attributes(self) -> dict[str, Any]:
        """Return the row's attributes."""
        # those of the classes are in the targets, of which the loss is a sum
        return {**super().attributes(), "alpha": 1.0 if isinstance(self.alpha, list) else self.alpha}

    def target_shape(self, output_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the outputs."""
        if isinstance(self.alpha, list) and len(self.alpha) != output_shape[-1]:
            raise ValueError(f"alpha has {len(self.alpha)} numbers; the outputs are of {output_shape[-1]} classes")
        return super().target_shape(output_shape)

    def _selected(
        self, program: Program, y_pred: Buffer, y_true: Buffer, weight: Buffer | None
    ) -> tuple[Buffer, Buffer | None]:
        targets, weight = super()._selected(program, y_pred, y_true, weight)
        if isinstance(self.alpha, list):
            self.target_shape(targets.shape[1:])
            targets = program.call(
                "scale_forward", targets, program.constant("alpha", np.array(self.alpha)), layer="loss"
            )
        return targets, weight

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"alpha": self.alpha, **super().get_config()}


class NLL(Loss, names=("nll",)):
    """``-mean(y_pred[label])`` of integer labels, y_pred being logarithms of probabilities, as of a log_softmax.

    Parameters
    ----------
    reduction : {"mean", "sum"}
    ignore_index, class_weight : object, optional
        As for `SparseCategoricalCrossEntropy`, which takes the logits themselves and does both in one.

    Notes
    -----
    PyTorch's ``NLLLoss``, which ignores the label -100 unless it is told otherwise.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(NLL()([1, 0], np.log([[0.2, 0.8], [0.5, 0.5]]))), 6)
    0.458145
    """

    targets = "labels"
    # the softmax of logarithms of probabilities are these
    link, from_logits = "softmax", True
    row_name = "nll"

    def __init__(self, reduction: str = "mean", ignore_index: int | None = None, class_weight: Any = None) -> None:
        super().__init__(reduction)
        self.ignore_index = _as_ignored(ignore_index)
        if class_weight is not None:
            self.class_weight = as_class_weight(class_weight)

    def doubt(self, last_activation: str | None) -> str | None:
        """Return why a model's outputs cannot be logarithms of probabilities, or None."""
        row = TABLE.get(last_activation or "")
        if row is None or row.name == "log_softmax" or any(k.code or k.foreign for k in row.kernels.values()):
            return None
        given = "linear" if row.name == "identity" else f"a {row.name}'s"
        remedy = "end the model with activation='log_softmax', or of logits take SparseCategoricalCrossEntropy()"
        return f"NLL takes logarithms of probabilities, but the outputs are {given}: {remedy}"

    def _selected(
        self, program: Program, y_pred: Buffer, y_true: Buffer, weight: Buffer | None
    ) -> tuple[Buffer, Buffer | None]:
        return self._one_hot(program, y_pred, y_true, weight)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        own = {"ignore_index": self.ignore_index, "class_weight": _as_saved(self.class_weight)}
        return {**super().get_config(), **{name: value for name, value in own.items() if value is not None}}


class Dice(Loss, names=("dice",)):
    """``mean(1 - (2 * sum(y_true * y_pred) + eps) / (sum(y_true) + sum(y_pred) + eps))``, sums over rows [1]_.

    y_pred are probabilities, y_true 0 and 1 or probabilities, as of the masks of a segmentation.

    Parameters
    ----------
    eps : float
        Positive: the loss of a row in which both are empty is 0.
    reduction : {"mean", "sum"}
        Over rows.

    Notes
    -----
    Keras' ``Dice(axis=-1)``; its default sums over all of a batch, so that the value depends on the batches. A mask is
    one row: ``Flatten()`` makes one of an image.

    References
    ----------
    .. [1] Milletari, Navab & Ahmadi 2016, 3DV

    Examples
    --------
    >>> round(float(Dice()([[1.0, 1.0, 0.0, 0.0]], [[1.0, 0.0, 0.0, 0.0]])), 6)
    0.333333
    """

    link = "sigmoid"
    row_name, options = "dice", ("eps",)

    def __init__(self, eps: float = 1e-7, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.eps = number("eps", eps, 0, math.inf, closed_low=False)



class KLDivergence(Loss, names=("kl_divergence",)):
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

    Examples
    --------
    >>> import fastbp
    >>> loss = fastbp.custom.loss(lambda y_true, y_pred: (y_pred - y_true) ** 2 * 3, "triple")
    >>> type(loss).__name__, float(loss([0.0, 0.0], [1.0, 2.0]))
    ('CustomLoss', 7.5)
    """

    def __init__(self, name: str, expressions: tuple[str, str] | None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.expressions = None if expressions is None else as_expressions(expressions)
        self.row_name = row_of("loss", name, self.expressions)

    def __setstate__(self, state: dict[str, Any]) -> None:
        called = state["called"]
        vars(self).update({name: value for name, value in state.items() if name != "called"})
        self.row_name = row_of("loss", called, self.expressions, self.row_name)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "called": self.row.called}

    def _check_readable(self) -> None:
        """Raise ValueError where a file would stand for another function."""
        super()._check_readable()
        check_row(self.row)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        own = None if self.expressions is None else list(self.expressions)
        return {"name": self.row.called, "expressions": own, **super().get_config()}


class JointLoss(CustomLoss):
    """A loss of several outputs together, made of a NumPy expression; `fastbp.custom.loss` makes one.

    y_true and y_pred of a call are lists, or dicts, as `outputs` is; a target that the expression does not read may be
    None, or missing in a dict. So is what `gradient` returns. `emit` takes lists of buffers, (samples, n) or
    (samples, 1), in the order of `outputs`, and its ``backward()`` returns such a list of dy_pred; `target_shape` takes
    and returns a list or a dict, with None for a target that is not read.

    Parameters
    ----------
    name : str
    expressions : tuple of str
        Of the value and of the gradients.
    outputs : int, list or dict of str to (int or None)
        The last axis of each: 1, or None for the length that the others share. A number is so many times None.
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> import fastbp
    >>> def apart(y_true, y_pred):
    ...     return (y_pred[0] - y_true[0]) ** 2 + 3 * (y_pred[1] - y_pred[0]) ** 2
    >>> loss = fastbp.custom.loss(apart, outputs=2)
    >>> float(loss([[[1.0]], None], [[[2.0]], [[4.0]]])), loss.gradient([[[1.0]], None], [[[2.0]], [[4.0]]])
    (13.0, [array([[-10.]]), array([[12.]])])
    """

    outputs: list[int | None] | dict[str, int | None]

    def __init__(
        self,
        name: str,
        expressions: tuple[str, str],
        outputs: int | list[int | None] | dict[str, int | None],
        reduction: str = "mean",
    ) -> None:
        outputs = as_outputs(outputs)
        super().__init__(name, as_expressions(expressions), reduction)
        self.outputs = outputs
        results = self.row.kernels[f"{self.row_name}_backward"].results
        if {o.name for o in results} != {f"d{pred}" for pred, _ in self._operands}:
            raise ValueError(f"outputs is {outputs!r}; the expressions of {name!r} are of others")

    @property
    def _operands(self) -> list[tuple[str, str | None]]:
        """What the kernels call each output and its target, None where that is not read."""
        read = {o.name for o in self.row.kernels[f"{self.row_name}_forward"].inputs}
        return [(pred, true if true in read else None) for pred, true in operands_of_outputs(self.outputs)]

    def _listed(self, name: str, values: Any) -> list[Any]:
        """Return what belongs to each output, given as a list or, where the outputs are one, as a dict."""
        count, names = len(self.outputs), [*self.outputs] if isinstance(self.outputs, dict) else []
        what = f"a {type(values).__name__}"
        if isinstance(values, (list, tuple)):
            if len(values) == count:
                return list(values)
            what = f"{len(values)} of them"
        elif names and isinstance(values, dict):
            if values.keys() <= {*names}:
                return [values.get(name) for name in names]
            what = f"of {', '.join(map(str, values))}"
        must = f"a dict of {', '.join(map(str, names))}" if names else f"a list of {count}, one for each output"
        raise ValueError(f"{name} is {what}; it must be {must}")

    def _named(self, values: list[Any]) -> Any:
        """Return a list in the form of the outputs."""
        return dict(zip(self.outputs, values, strict=True)) if isinstance(self.outputs, dict) else values

    def _keys(self, name: str) -> list[str]:
        """Return what messages call each of them."""
        keys: Any = self.outputs if isinstance(self.outputs, dict) else range(len(self.outputs))
        return [f"{name}[{key!r}]" for key in keys]

    def target_shape(self, output_shape: Any) -> Any:
        """Return the shape of one row of each target, None where it is not read, for outputs of these shapes.

        Parameters
        ----------
        output_shape : list or dict of tuple of int
            Of one row of each output.

        Returns
        -------
        list or dict of (tuple of int or None)

        Raises
        ------
        ValueError
            If the loss takes no such outputs.

        Examples
        --------
        >>> import fastbp
        >>> loss = fastbp.custom.loss(lambda t, y: (y[0] - t[0]) ** 2 * y[1], "weighed_squares", outputs=[None, 1])
        >>> loss.target_shape([(6,), (1,)])
        [(6,), None]
        """
        shapes = self._listed("output_shape", output_shape)
        widths = list(self.outputs.values() if isinstance(self.outputs, dict) else self.outputs)
        first = next((k for k, width in enumerate(widths) if width is None), 0)
        keys = self._keys("y_pred")
        for key, shape, width in zip(keys, shapes, widths, strict=True):
            wanted = (*shapes[first][:-1], 1) if width == 1 else shapes[first]
            if not shape or shape != wanted:
                there = f", {keys[first]} of {shapes[first]}" if shape != shapes[first] else ""
                raise ValueError(f"{self.row.called}: {key} has rows of shape {shape}{there}; it must be {wanted}")
        read = [true is not None for _, true in self._operands]
        return self._named([shape if of else None for shape, of in zip(shapes, read, strict=True)])

    def _forward(self, program: Program, y_pred: Any, y_true: Any) -> dict[str, Buffer]:
        """Add the forward call; return its operands by name."""
        known: dict[str, Any] = {}
        parts = zip(self._operands, self._listed("y_pred", y_pred), self._listed("y_true", y_true), strict=True)
        for (pred, true), y, t in parts:
            known |= {pred: y} if true is None else {pred: y, true: t}
        for name, (_, true) in zip(self._keys("y_true"), self._operands, strict=True):
            if true is not None and known[true] is None:
                raise ValueError(f"{name} is None; {self.row.called} reads it")
        forward = self.row.kernels[f"{self.row_name}_forward"]
        inputs = [known[o.name] for o in forward.inputs]
        results = program.call(forward.name, *inputs, layer="loss", **self.attributes())
        return {**known, **dict(zip((o.name for o in forward.results), results, strict=True))}

    def _gradient(self, program: Program, known: dict[str, Buffer]) -> Any:
        """Add the backward call; return dy_pred of each output."""
        backward = self.row.kernels[f"{self.row_name}_backward"]
        inputs = [known[o.name] for o in backward.inputs]
        made = program.call(backward.name, *inputs, layer="loss", **self.attributes())
        found = dict(zip((o.name for o in backward.results), made if isinstance(made, tuple) else (made,), strict=True))
        return [found[f"d{pred}"] for pred, _ in self._operands]

    @staticmethod
    def _of_each(change: Callable[[Any], Any], dy: Any) -> Any:
        return [change(one) for one in dy]

    def _of_arrays(
        self, y_true: Any, y_pred: Any, backend: str | None, sample_weight: ArrayLike | None, numerics: str
    ) -> tuple[Any, Callable[[], Any]]:
        """Return the loss and a function for the gradients."""
        ys = [as_numbers(*pair) for pair in zip(self._keys("y_pred"), self._listed("y_pred", y_pred), strict=True)]
        keys, given = self._keys("y_true"), self._listed("y_true", y_true)
        ts: list[Any] = [
            None if true is None or t is None else as_numbers(key, t)
            for key, t, (_, true) in zip(keys, given, self._operands, strict=True)
        ]
        for key, y in zip(self._keys("y_pred"), ys, strict=True):
            if y.ndim < 2 or y.shape[:-1] != ys[0].shape[:-1]:
                first = f", {self._keys('y_pred')[0]} {ys[0].shape}" if y.ndim > 1 else ""
                raise ValueError(f"{key} has shape {y.shape}{first}; all must be (rows, n) or (rows, 1)")
        self.target_shape([y.shape[1:] for y in ys])
        for key, y, t in zip(keys, ys, ts, strict=True):
            if t is not None and t.shape != y.shape:
                raise ValueError(f"{key} has shape {t.shape}; it must be {y.shape}, that of its output")
        samples = ys[0].shape[:-1]
        narrow = all(array.dtype == np.float32 for array in (*ys, *ts) if array is not None)
        real = np.float32 if narrow else np.float64

        def rows(arrays: list[Any]) -> list[Any]:
            return [None if a is None else a.astype(real, copy=False).reshape(-1, a.shape[-1]) for a in arrays]

        weight = None
        if sample_weight is not None:
            weight = weights_of("sample_weight", sample_weight, samples).astype(real).reshape(-1, 1)
        loss, backward = self._of_rows(_Arrays(backend, numerics, real), rows(ys), rows(ts), weight)

        def gradients() -> Any:
            return self._named([dy.reshape(y.shape) for dy, y in zip(backward(), ys, strict=True)])

        return loss.reshape(samples) if self.reduction == "none" else loss, gradients

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {**super().get_config(), "outputs": self.outputs}


def _numbers(name: str, values: Any) -> list[float]:
    """Return a list of numbers that are not negative."""
    return [number(f"{name}[{k}]", value, 0, math.inf) for k, value in enumerate(as_numbers(name, values).tolist())]


def _as_ignored(ignore_index: Any) -> int | None:
    # a label is an integer that a float64, as attributes are, holds
    return None if ignore_index is None else integer("ignore_index", ignore_index, -(2**53), 2**53)


def as_class_weight(class_weight: Any) -> dict[int, float] | list[float]:
    """Return what a loss has as `class_weight`, of a dict by label or of a list of a number for each class.

    Examples
    --------
    >>> as_class_weight({2: 0.5, "0": 3}), as_class_weight([1, 2])
    ({2: 0.5, 0: 3.0}, [1.0, 2.0])
    """
    if isinstance(class_weight, str):
        counted = "fit(class_weight='balanced') counts them"
        raise ValueError(f"class_weight is {class_weight!r}; a loss does not know the rows: give weights, or {counted}")
    if not isinstance(class_weight, Mapping):
        if np.ndim(class_weight) != 1 or not len(class_weight):
            raise ValueError(f"class_weight is {class_weight!r}; it must be a dict of weights by class or a list")
        return _numbers("class_weight", class_weight)
    # JSON has text for keys
    labels = {key: int(key) if isinstance(key, str) and key.isdigit() else key for key in class_weight}
    return {
        integer("a class of class_weight", labels[key], 0): number(f"class_weight[{key!r}]", value, 0, math.inf)
        for key, value in class_weight.items()
    }



def _as_saved(class_weight: Any) -> Any:
    """Return weights of classes as JSON has them: keys are text."""
    return {str(k): w for k, w in class_weight.items()} if isinstance(class_weight, dict) else class_weight


def as_outputs(outputs: Any) -> list[int | None] | dict[str, int | None]:
    """Return what a `JointLoss` has as `outputs`, of what may be given for it.

    Examples
    --------
    >>> as_outputs(2), as_outputs({"policy": None, "value": 1})
    ([None, None], {'policy': None, 'value': 1})
    """
    must = "it must be a number of outputs, or a list or a dict with the last axis of each, 1 or None"
    if not isinstance(outputs, (list, tuple, dict)):
        try:
            outputs = [None] * integer("outputs", outputs, 1)
        except TypeError:
            raise TypeError(f"outputs is {outputs!r}; {must}") from None
    widths = [*(outputs.values() if isinstance(outputs, dict) else outputs)]
    if isinstance(outputs, dict) and not all(isinstance(key, str) for key in outputs):
        raise TypeError(f"outputs is {outputs!r}; the keys must be names")
    if not widths or any(width is not None and (isinstance(width, bool) or width != 1) for width in widths):
        raise ValueError(f"outputs is {outputs!r}; {must}")
    return dict(outputs) if isinstance(outputs, dict) else widths


def operands_of_outputs(outputs: list[int | None] | dict[str, int | None]) -> list[tuple[str, str]]:
    """Return what kernels call each output and its target, for `as_outputs`.

    Examples
    --------
    >>> operands_of_outputs([None, 1])
    [('y_pred1', 'y_true1'), ('y_pred2_row', 'y_true2_row')]
    """
    widths = [*(outputs.values() if isinstance(outputs, dict) else outputs)]
    # where all have one number for each row, they are arrays of one shape
    ends = ["_row" if width == 1 and None in widths else "" for width in widths]
    return [(f"y_pred{k}{end}", f"y_true{k}{end}") for k, end in enumerate(ends, 1)]


def last_activation_for(loss: Loss) -> str:
    """Return what a model ends with whose outputs a loss is to take: logits where it can, else what it has in place.

    Parameters
    ----------
    loss : Loss

    Returns
    -------
    str

    Examples
    --------
    >>> [last_activation_for(loss) for loss in (BinaryCrossEntropy(), BinaryCrossEntropy(from_logits=False), NLL())]
    ['identity', 'sigmoid', 'log_softmax']
    """
    if loss.link is None:
        return "identity"
    ends = "identity", loss.link, "log_softmax"
    return next(end for end in ends if loss.for_activation(end).doubt(end) is None)


def get(loss: Loss | str) -> Loss:
    """Return a loss from an object, or from its name.

    Parameters
    ----------
    loss : Loss or str

    Returns
    -------
    Loss

    Raises
    ------
    ValueError
        If there is none of that name.

    Examples
    --------
    >>> get("mse")
    MeanSquaredError(reduction='mean')
    """
    return make(Loss, loss)


def from_config(kind: str, config: dict[str, Any]) -> Loss:
    """Return a loss from its class name and `Loss.get_config`."""
    return restore(Loss, kind, config)


def __getattr__(name: str) -> Any:
    return elsewhere(__name__, name)
