"""Layers that normalise each row, or each column of a batch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .. import initializers
from ..checks import integer, number
from .base import Layer, ParameterSpec, features

if TYPE_CHECKING:
    from typing import Any

    from ..program import Buffer, Program
    from .base import Backward

__all__ = ["BatchNorm", "GroupNorm", "LayerNorm", "RMSNorm"]


def _check_no_size(name: str, value: Any) -> None:
    """Raise ValueError where the first argument is PyTorch's first, a size."""
    if isinstance(value, (tuple, list)) or (isinstance(value, int) and value > 1):
        raise ValueError(f"{name} is {value!r}; it must be a number, and no size: how many features there are is seen")


class _RowNorm(Layer):
    row: str
    scale: str

    def __init__(self, eps: float, input_shape: int | tuple[int, ...] | None = None, name: str | None = None) -> None:
        super().__init__(input_shape, name)
        _check_no_size("eps", eps)
        self.eps = number("eps", eps, 0, math.inf, closed_low=False)

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return the parameters and the same shape."""
        n = features(f"{self.name}: {type(self).__name__}", input_shape)
        initial = {"gamma": initializers.Ones(), "beta": initializers.Zeros()}
        return [ParameterSpec(name, (n,), initial[name]) for name in self.parameters], input_shape

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add the normalisation, and the scale and shift."""
        normal, inverse = program.call(f"{self.row}_forward", x.matrix(), layer=self.name, eps=self.eps)
        y = program.call(f"{self.scale}_forward", normal, *weights.values(), layer=self.name)

        def backward(dy, need_dx):
            if not gradients and not need_dx:
                return None
            into = {f"d{name}": gradient for name, gradient in gradients.items()}
            dnormal, *_ = program.call(
                f"{self.scale}_backward", dy.matrix(), normal, weights["gamma"], layer=self.name, into=into
            )
            if not need_dx:
                return None
            dx = program.call(f"{self.row}_backward", dnormal, normal, inverse, layer=self.name, eps=self.eps)
            return dx.reshaped(x.shape)

        return y.reshaped(x.shape), backward

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"eps": self.eps, **super().get_config()}


class LayerNorm(_RowNorm):
    """Each row less its mean, over its standard deviation, then scaled and shifted [1]_.

    ``y = (x - mean(x)) / sqrt(var(x) + eps) * gamma + beta``, mean and variance (of n, not n - 1) over the row, of
    rows of several dimensions over the last.

    Parameters
    ----------
    eps : float
        Positive. PyTorch's 1e-5; Keras has 1e-3.
    input_shape : int or tuple of int, optional
    name : str, optional

    Attributes
    ----------
    gamma, beta : ndarray, shape (n,)
        They begin as ones and zeros. `dgamma` and `dbeta` are their gradients.

    References
    ----------
    .. [1] Ba, Kiros & Hinton 2016, arXiv:1607.06450, eq. 3 and 4

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.LayerNorm(input_shape=2)])
    >>> model.predict([[1.0, 3.0]]).round(3)
    array([[-1.,  1.]], dtype=float32)
    """

    parameters = ("gamma", "beta")
    row, scale = "layer_norm", "affine"

    def __init__(
        self, eps: float = 1e-5, input_shape: int | tuple[int, ...] | None = None, name: str | None = None
    ) -> None:
        super().__init__(eps, input_shape, name)


class RMSNorm(_RowNorm):
    """Each row over the root of its mean square, then scaled [1]_: ``y = x / sqrt(mean(x**2) + eps) * gamma``.

    Of rows of several dimensions the mean is over the last.

    Parameters
    ----------
    eps : float
        Positive.
    input_shape : int or tuple of int, optional
    name : str, optional

    Attributes
    ----------
    gamma : ndarray, shape (n,)
        It begins as ones. `dgamma` is its gradient.

    References
    ----------
    .. [1] Zhang & Sennrich 2019, NeurIPS, eq. 4

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.RMSNorm(input_shape=2)])
    >>> model.predict([[3.0, 4.0]]).round(3)
    array([[0.849, 1.131]], dtype=float32)
    """

    parameters = ("gamma",)
    row, scale = "rms_norm", "scale"

    def __init__(
        self, eps: float = 1e-6, input_shape: int | tuple[int, ...] | None = None, name: str | None = None
    ) -> None:
        super().__init__(eps, input_shape, name)


class GroupNorm(Layer):
    """Groups of channels of each row less their mean, over their standard deviation, then scaled and shifted [1]_.

    The last axis, the channels, is cut into groups; mean and variance (of n, not n - 1) are over all positions of a row
    and the channels of a group, so that no row depends on its batch. One group is a `LayerNorm` over all of an image,
    as many groups as channels are instance norm [2]_.

    Parameters
    ----------
    groups : int
        It must divide the number of channels.
    eps : float
        Positive. PyTorch's 1e-5, as of `LayerNorm`; Keras has 1e-3.
    input_shape : int or tuple of int, optional
    name : str, optional

    Attributes
    ----------
    gamma, beta : ndarray, shape (channels,)
        They begin as ones and zeros. `dgamma` and `dbeta` are their gradients.

    References
    ----------
    .. [1] Wu & He 2018, ECCV
    .. [2] Ulyanov, Vedaldi & Lempitsky 2016, arXiv:1607.08022

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.layers.GroupNorm(2)], input_shape=(2, 4))
    >>> model.predict([[[1, 3, 10, 20], [3, 1, 20, 10]]]).round(3)
    array([[[-1.,  1., -1.,  1.],
            [ 1., -1.,  1., -1.]]], dtype=float32)
    """

    parameters = ("gamma", "beta")

    def __init__(
        self,
        groups: int = 32,
        eps: float = 1e-5,
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(input_shape, name)
        _check_no_size("eps", eps)
        self.groups = integer("groups", groups, 1)
        self.eps = number("eps", eps, 0, math.inf, closed_low=False)

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return the parameters and the same shape."""
        n = features(f"{self.name}: GroupNorm", input_shape)
        if n % self.groups:
            whole = f"{n} channels of rows of shape {input_shape}"
            raise ValueError(f"{self.name}: groups is {self.groups}; it must divide the {whole}")
        gamma = ParameterSpec("gamma", (n,), initializers.Ones())
        beta = ParameterSpec("beta", (n,), initializers.Zeros())
        return [gamma, beta], input_shape

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add the normalisation of each group, for which its channels are moved together, and the scale and shift."""
        positions, groups, channels = math.prod(x.shape[1:-1]), self.groups, x.shape[-1]
        by_position = x.shape[0], positions, groups, channels // groups
        by_group = x.shape[0], groups, positions, channels // groups
        rows = x.shape[0] * groups, positions * (channels // groups)
        options: dict[str, Any] = {"layer": self.name, "eps": self.eps}
        apart = positions > 1 and groups > 1

        def moved(buffer: Buffer, shape: tuple[Any, ...]) -> Any:
            return program.call("swap_axes", buffer.reshaped(shape), layer=self.name) if apart else buffer

        normal, inverse = program.call("layer_norm_forward", moved(x, by_position).reshaped(rows), **options)
        scaled = moved(normal, by_group).reshaped(x.matrix().shape)
        y = program.call("affine_forward", scaled, weights["gamma"], weights["beta"], layer=self.name)

        def backward(dy, need_dx):
            if not gradients and not need_dx:
                return None
            into = {f"d{name}": gradient for name, gradient in gradients.items()}
            d, *_ = program.call("affine_backward", dy.matrix(), scaled, weights["gamma"], layer=self.name, into=into)
            if not need_dx:
                return None
            d = moved(d, by_position).reshaped(rows)
            dx = program.call("layer_norm_backward", d, normal, inverse, **options)
            return moved(dx, by_group).reshaped(x.shape)

        return y.reshaped(x.shape), backward

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"groups": self.groups, "eps": self.eps, **super().get_config()}


class BatchNorm(Layer):
    """Each column of a batch less its mean, over its standard deviation, then scaled and shifted [1]_.

    In training ``y = (x - mean) / sqrt(variance + eps) * gamma + beta``, with the mean and the variance (of the batch,
    not of one less) over its rows. After each step ``moving = moving * momentum + value * (1 - momentum)`` for both; in
    evaluation and prediction these moving averages take the place of the batch's own. So they do in training where
    `trainable` is False: then nothing of the layer changes, and the gradient is that of a fixed scale and shift.

    Of rows of several dimensions the last axis are the columns, as in Keras: mean and variance are over the batch and
    all other axes.

    Momentum, eps and the variance in the moving average are Keras'. PyTorch's momentum of 0.1 is 0.9 here, its eps is
    1e-5, and its moving average is of ``variance * rows / (rows - 1)``.

    Parameters
    ----------
    momentum : float
        In [0, 1).
    eps : float
        Positive.
    center, scale : bool
        Whether there is a `beta`, a `gamma`.
    input_shape : int or tuple of int, optional
    name : str, optional

    Attributes
    ----------
    gamma, beta : ndarray, shape (n,)
        They begin as ones and zeros. `dgamma` and `dbeta` are their gradients.
    moving_mean, moving_variance : ndarray, shape (n,)
        They begin as zeros and ones.

    Notes
    -----
    Of a single row of one dimension the variance is 0: it becomes beta, whatever it is, and passes no gradient on.
    `fit` has such a batch where the rows leave a remainder of 1; it warns then, as `train_on_batch` does.

    References
    ----------
    .. [1] Ioffe & Szegedy 2015, ICML, algorithm 1 and 2

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.BatchNorm(momentum=0.9)], input_shape=1)
    >>> model.compile("sgd", "mse", dtype="float64")
    >>> model.forward([[1.0], [3.0]]).round(3)
    array([[-1.],
           [ 1.]])
    >>> _ = model.train_on_batch([[1.0], [3.0]], [[-1.0], [1.0]])
    >>> model.layers[0].moving_mean.round(3), model.layers[0].moving_variance
    (array([0.2]), array([1.]))
    """

    parameters = ("gamma", "beta")
    statistics = ("moving_mean", "moving_variance")

    @property
    def least_rows(self) -> int:
        """Two numbers a column, unless the moving averages take the place of the batch's."""
        return 2 if self.trainable and self._per_row == 1 else 1

    def __init__(
        self,
        momentum: float = 0.99,
        eps: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(input_shape, name)
        _check_no_size("momentum", momentum)
        self.momentum, self.eps = number("momentum", momentum, 0, 1), number("eps", eps, 0, math.inf, closed_low=False)
        self.center, self.scale = bool(center), bool(scale)
        self._per_row = 1  # how many numbers of a column a row has

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return the parameters and the statistics, and the same shape."""
        n = features(f"{self.name}: BatchNorm", input_shape)
        self._per_row = math.prod(input_shape[:-1])
        ones, zeros = initializers.Ones(), initializers.Zeros()
        specs = [ParameterSpec("gamma", (n,), ones)] * self.scale
        specs += [ParameterSpec("beta", (n,), zeros)] * self.center
        for name, initial in zip(self.statistics, (zeros, ones), strict=True):
            specs.append(ParameterSpec(name, (n,), initial, trainable=False))
        return specs, input_shape

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add the normalisation, the scale and shift, and for the end of a train step the moving averages."""
        own = [weights[name] for name in self.parameters if name in weights]
        moving = [weights[name] for name in self.statistics]
        options: dict[str, Any] = {"layer": self.name, "eps": self.eps}
        use_batch_statistics = program.training and self.trainable
        rows = x.matrix()
        if use_batch_statistics and self.center and self.scale:
            return self._emit_at_once(program, x, weights, gradients)
        if use_batch_statistics:
            normal, inverse, *statistics = program.call("batch_norm_forward", rows, **options)
            program.later(lambda: self._average(program, moving, statistics))
        else:
            normal, inverse = program.call("normalize", rows, *moving, **options)
        row = ("affine" if self.center else "scale") if self.scale else "bias" if self.center else None
        y = program.call(f"{row}_forward", normal, *own, layer=self.name) if row else normal

        def backward(dy, need_dx):
            if not gradients and not need_dx:
                return None
            dy = dy.matrix()
            if row == "bias" and gradients:
                program.call("bias_backward", dy, layer=self.name, into={"db": gradients["beta"]})
            elif self.scale:
                into = {f"d{name}": gradient for name, gradient in gradients.items()}
                dy, *_ = program.call(f"{row}_backward", dy, normal, weights["gamma"], layer=self.name, into=into)
            if not need_dx:
                return None
            if use_batch_statistics:
                dx = program.call("batch_norm_backward", dy, normal, inverse, **options)
            else:
                dx = program.call("scale_forward", dy, inverse, layer=self.name)
            return dx.reshaped(x.shape)

        return y.reshaped(x.shape), backward

    def _emit_at_once(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add all of it as one call, where it has a scale and a shift: an array of images passes few times."""
        options: dict[str, Any] = {"layer": self.name, "eps": self.eps}
        rows, own = x.matrix(), [weights[name] for name in self.parameters]
        y, inverse, mean, variance = program.call("batch_norm_affine_forward", rows, *own, **options)
        program.later(lambda: self._average(program, [weights[name] for name in self.statistics], [mean, variance]))

        def backward(dy, need_dx):
            if not gradients and not need_dx:
                return None
            into = {f"d{name}": gradient for name, gradient in gradients.items()}
            dx, *_ = program.call(
                "batch_norm_affine_backward", dy.matrix(), rows, *own, inverse, mean, into=into, **options
            )
            return dx.reshaped(x.shape)

        return y.reshaped(x.shape), backward

    def _average(self, program: Program, moving: list[Buffer], values: list[Buffer]) -> None:
        for average, value in zip(moving, values, strict=True):
            program.call("moving_average", average, value, layer=self.name, momentum=self.momentum)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        own = {"momentum": self.momentum, "eps": self.eps, "center": self.center, "scale": self.scale}
        return {**own, **super().get_config()}
