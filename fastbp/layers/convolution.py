"""Layers of convolution, of images (height, width, channels) and of sequences (steps, channels).

Rules of ``padding`` are Keras':

- "valid": no zeros, and what does not fit at the end is left out;
- "same": as many zeros as give ``ceil(size / stride)`` positions, of an odd number the smaller half before. PyTorch,
  which has "same" without strides only, does the same there; its ``padding=1`` with a stride of 2 is
  ``padding=1`` here too, and has other zeros than "same", which of an even size puts none before;
- "causal" of a sequence: zeros before it alone, so that no output sees what comes later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import constraints, initializers, regularizers
from ..checks import integer
from .base import Layer, ParameterSpec
from .core import configs, emit_dense, get_activation
from .windows import Window, as_images, as_pairs, each, resolved, spatial

if TYPE_CHECKING:
    from typing import Any

    from ..constraints import Constraint
    from ..initializers import Initializer
    from ..program import Buffer, Program
    from ..regularizers import Regularizer
    from .base import Backward
    from .core import Activation

__all__ = [
    "Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D",
    "SeparableConv2D",
]  # fmt: skip


class _Convolution(Layer):
    """What all layers of convolution share: a window, an activation and a bias."""

    axes = 2
    words: tuple[str, ...] = ("valid", "same")
    #: What regularizers and constraints are of, and of which parameters.
    kinds: dict[str, str] = {"kernel": "w", "bias": "b"}

    def __init__(
        self,
        kernel_size: Any,
        strides: Any,
        padding: Any,
        dilation_rate: Any,
        activation: str | Activation | dict[str, Any] | None,
        use_bias: bool,
        given: dict[str, Any],
        activity_regularizer: str | Regularizer | None,
        input_shape: int | tuple[int, ...] | None,
        name: str | None,
    ) -> None:
        super().__init__(input_shape, name)
        self.kernel_size = each("kernel_size", kernel_size, self.axes)
        self.strides = each("strides", strides, self.axes)
        self.padding = as_pairs("padding", padding, self.axes, self.words)
        self.dilation_rate = each("dilation_rate", dilation_rate, self.axes)
        self.activation = get_activation(activation)
        self.use_bias = bool(use_bias)
        makers: Any = {"initializer": initializers, "regularizer": regularizers, "constraint": constraints}
        self._chosen = tuple(given)
        for argument, value in given.items():
            setattr(self, argument, makers[argument.rpartition("_")[2]].get(value))
        self.activity_regularizer = regularizers.get(activity_regularizer)

    def _window(self, sizes: tuple[int, ...]) -> Window:
        whole = Window(self.kernel_size, self.strides, ((0, 0),) * self.axes, self.dilation_rate)
        return whole._replace(padding=resolved(self.padding, sizes, whole.reaches, self.strides))

    def _spec(self, kind: str, shape: tuple[int, ...]) -> ParameterSpec:
        own = {key: getattr(self, f"{kind}_{key}") for key in ("initializer", "regularizer", "constraint")}
        return ParameterSpec(self.kinds[kind], shape, **own)

    def _with_bias(
        self, specs: list[ParameterSpec], shape: tuple[int, ...]
    ) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        self.activation.name = f"{self.name}.{self.activation.activation}"
        return [*specs, *([self._spec("bias", shape[-1:])] if self.use_bias else [])], shape

    def _activated(
        self, program: Program, z: Buffer, shape: tuple[Any, ...], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Any]:
        """Return the activation of z in a shape, and what makes dz, in the shape of z, of dy and adds db."""
        y, activation_backward = self.activation.emit(program, z, {}, {})

        def backward(dy: Buffer) -> Buffer:
            dz: Any = activation_backward(dy.reshaped(z.shape), True)
            if "b" in gradients:
                program.call("bias_backward", dz.matrix(), layer=self.name, into={"db": gradients["b"]})
            return dz.reshaped(z.shape)

        return y.reshaped(shape), backward

    def _biased(self, program: Program, z: Buffer, weights: dict[str, Buffer]) -> Buffer:
        if not self.use_bias:
            return z
        y: Buffer = program.call("bias_forward", z.matrix(), weights["b"], layer=self.name)
        return y.reshaped(z.shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        choice = self.activation.choice()
        padding: Any = self.padding
        if not isinstance(padding, str):
            padding = [list(pair) for pair in padding] if self.axes > 1 else list(padding[0])
        initial = {name: getattr(self, name).get_config() for name in self._chosen if name.endswith("_initializer")}
        others = [name for name in self._chosen if name not in initial]
        return {
            "kernel_size": list(self.kernel_size),
            "strides": list(self.strides),
            "padding": padding,
            "dilation_rate": list(self.dilation_rate),
            "activation": choice if len(choice) > 1 else self.activation.activation,
            "use_bias": self.use_bias,
            **initial,
            **configs(self, *others, "activity_regularizer"),
            **super().get_config(),
        }


class _Filters(_Convolution):
    """A convolution whose filters see all channels, or those of a group."""

    parameters = ("w", "b")

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, ...],
        strides: int | tuple[int, ...] = 1,
        padding: str | int | tuple[Any, ...] = "valid",
        activation: str | Activation | dict[str, Any] | None = None,
        dilation_rate: int | tuple[int, ...] = 1,
        groups: int = 1,
        use_bias: bool = True,
        kernel_initializer: str | Initializer = "glorot_uniform",
        bias_initializer: str | Initializer = "zeros",
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
        kernel_regularizer: str | Regularizer | None = None,
        bias_regularizer: str | Regularizer | None = None,
        kernel_constraint: str | Constraint | None = None,
        bias_constraint: str | Constraint | None = None,
        activity_regularizer: str | Regularizer | None = None,
    ) -> None:
        given = {
            "kernel_initializer": kernel_initializer,
            "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer,
            "bias_regularizer": bias_regularizer,
            "kernel_constraint": kernel_constraint,
            "bias_constraint": bias_constraint,
        }
        super().__init__(
            kernel_size, strides, padding, dilation_rate, activation, use_bias, given, activity_regularizer,
            input_shape, name,
        )  # fmt: skip
        self.filters, self.groups = integer("filters", filters, 1), integer("groups", groups, 1)
        if self.filters % self.groups:
            raise ValueError(f"groups is {groups}; it must divide the {filters} filters")

    @property
    def _is_dense(self) -> bool:
        """Whether each position is a dense layer's row."""
        window = *self.kernel_size, *self.strides, self.groups
        return {*window} == {1} and (isinstance(self.padding, str) or not any(map(sum, self.padding)))

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return `w`, `b` and the output shape, whose channels are the filters."""
        what = f"{self.name}: {type(self).__name__}"
        sizes, channels = spatial(what, input_shape, self.axes), input_shape[-1]
        if channels % self.groups:
            whole = f"{channels} channels of rows of shape {input_shape}"
            raise ValueError(f"{what}: groups is {self.groups}; it must divide the {whole}")
        positions = self._window(sizes).fitted(what, input_shape)
        w = self._spec("kernel", (*self.kernel_size, channels // self.groups, self.filters))
        return self._with_bias([w], (*positions, self.filters))

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add the convolution and the activation; what sees one cell alone is a dense layer."""
        _, shape = self.build(x.shape[1:])
        w, b, gradient = weights["w"], weights.get("b"), gradients.get("w")
        if self._is_dense:
            w = w.matrix()
            into = None if gradient is None else gradient.reshaped(w.shape)
            z, window_backward = emit_dense(program, self.name, x, w, b, into)
        else:
            z, window_backward = self._emit_window(program, x, w, b, gradient)
        y, activation_backward = self._activated(program, z, (x.shape[0], *shape), gradients)
        return y, lambda dy, need_dx: window_backward(activation_backward(dy), need_dx)

    def _emit_window(
        self, program: Program, x: Buffer, weights: Buffer, b: Buffer | None, gradient: Buffer | None
    ) -> tuple[Buffer, Backward]:
        images, w = as_images(x), as_kernel(weights)
        window = self._window(x.shape[1:-1])
        options: dict[str, Any] = {"layer": self.name, **window.attributes(), "groups": self.groups}
        arrays = (images, w) if b is None else (images, w, b)
        z = program.call("convolve" if b is None else "convolve_bias", *arrays, **options)

        def backward(dz, need_dx):
            if gradient is not None:
                kernel = {"kernel_height": w.shape[0], "kernel_width": w.shape[1]}
                program.call("convolve_dw", images, dz, into={"dw": gradient.reshaped(w.shape)}, **options, **kernel)
            if not need_dx:
                return None
            size = {"input_height": images.shape[1], "input_width": images.shape[2]}
            return program.call("convolve_dx", dz, w, **options, **size).reshaped(x.shape)

        return z, backward

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"filters": self.filters, "groups": self.groups, **super().get_config()}


def as_kernel(w: Buffer) -> Buffer:
    """Return weights as kernels of images have them: those for sequences have height 1.

    Examples
    --------
    >>> from fastbp.program import Program
    >>> as_kernel(Program("float32").buffer("w", (5, 3, 8)))
    w[1, 5, 3, 8]
    """
    return w if len(w.shape) == 4 else w.reshaped((1, *w.shape))


class Conv2D(_Filters):
    """A convolution of images [1]_: each filter is a small window of weights, which moves over the image.

    ``y[i, j, o] = activation(sum(w[p, q, c, o] * x[i * s + p * d - top, j * s + q * d - left, c]) + b[o])`` with s the
    strides and d the dilation. Images are (height, width, channels), channels last.

    Parameters
    ----------
    filters : int
        The number of channels of the output.
    kernel_size : int or (int, int)
        Height and width of the window.
    strides : int or (int, int)
        How far it moves.
    padding : {"valid", "same"}, int, (int, int) or ((int, int), (int, int))
        The zeros around an image: none; as many as give ``ceil(size / stride)`` positions, of an odd number the
        smaller half before, as in Keras; so many on all sides; for height and width; or ((top, bottom), (left,
        right)).
    activation : str or Activation, optional
        By default the identity.
    dilation_rate : int or (int, int)
        How far apart the cells of a window are. Unlike in Keras there may be strides too.
    groups : int
        Channels and filters are cut into as many parts, each a layer of its own. It must divide both.
    use_bias : bool
    kernel_initializer, bias_initializer : str or Initializer
        For `w` and `b`. As in Keras n_in is ``kh * kw * channels / groups``, and n_out ``kh * kw * filters``.
    input_shape : tuple of int, optional
        (height, width, channels), for the first layer of a model.
    name : str, optional
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
    kernel_constraint, bias_constraint : str or Constraint, optional
        "max_norm" is of the weights of each filter: Keras' ``MaxNorm(axis=[0, 1, 2])``.
    activity_regularizer : str or Regularizer, optional
        As of a `Dense`.

    Attributes
    ----------
    w : ndarray, shape (kh, kw, channels / groups, filters)
        As in Keras; of PyTorch's weights it is ``weight.transpose(2, 3, 1, 0)``.
    b : ndarray, shape (filters,)
    dw, db : ndarray
        dLoss/dw and dLoss/db of the last backward pass.

    Notes
    -----
    As in all libraries of neural nets no kernel is turned around. Zeros around an image take part in the products, so
    that a weight that is infinite or NaN shows at the border too. A window of 1 x 1 that sees each cell is computed by
    the calls of a `Dense` layer.

    References
    ----------
    .. [1] LeCun et al. 1989, Neural Computation 1(4)

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.Conv2D(1, (1, 2), use_bias=False)], input_shape=(1, 4, 1))
    >>> model.layers[0].w = np.reshape([-1, 1], (1, 2, 1, 1))  # how much brighter the cell on the right is
    >>> model.predict(np.reshape([1, 1, 5, 3], (1, 1, 4, 1))).ravel()
    array([ 0.,  4., -2.], dtype=float32)
    >>> model = fastbp.Sequential([fastbp.Conv2D(6, 5, padding="same", activation="relu")], input_shape=(28, 28, 1))
    >>> model.layers[0].w.shape, model.layout.output_shape
    ((5, 5, 1, 6), (28, 28, 6))
    """


class Conv1D(_Filters):
    """A convolution of sequences (steps, channels): each filter is a window of weights, which moves along the steps.

    ``y[i, o] = activation(sum(w[p, c, o] * x[i * s + p * d - before, c]) + b[o])``.

    Parameters
    ----------
    filters : int
        The number of channels of the output.
    kernel_size : int
        The length of the window.
    strides : int
        How far it moves.
    padding : {"valid", "same", "causal"}, int or (int, int)
        As of `Conv2D`; "causal" has ``dilation_rate * (kernel_size - 1)`` zeros before the sequence and none behind, so
        that an output depends on no later step. Or so many zeros at both ends; or (before, behind).
    activation : str or Activation, optional
    dilation_rate : int
    groups : int
    use_bias : bool
    kernel_initializer, bias_initializer : str or Initializer
    input_shape : tuple of int, optional
        (steps, channels), for the first layer of a model.
    name : str, optional
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
    kernel_constraint, bias_constraint : str or Constraint, optional
    activity_regularizer : str or Regularizer, optional
        All of these as of `Conv2D`.

    Attributes
    ----------
    w : ndarray, shape (kernel_size, channels / groups, filters)
        As in Keras; of PyTorch's weights it is ``weight.transpose(2, 1, 0)``.
    b : ndarray, shape (filters,)
    dw, db : ndarray

    Notes
    -----
    It is computed as a `Conv2D` of images of height 1.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> layer = fastbp.Conv1D(1, 2, padding="causal", use_bias=False, kernel_initializer="ones")
    >>> model = fastbp.Sequential([layer], input_shape=(4, 1))
    >>> model.predict(np.reshape([1, 2, 3, 4], (1, 4, 1))).ravel()  # each number and the one before it
    array([1., 3., 5., 7.], dtype=float32)
    """

    axes, words = 1, ("valid", "same", "causal")


class _Transpose(_Convolution):
    """What a convolution does to gradients, as a layer."""

    parameters = ("w", "b")

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, ...],
        strides: int | tuple[int, ...] = 1,
        padding: str | int | tuple[Any, ...] = "valid",
        output_padding: int | tuple[int, ...] | None = None,
        activation: str | Activation | dict[str, Any] | None = None,
        dilation_rate: int | tuple[int, ...] = 1,
        use_bias: bool = True,
        kernel_initializer: str | Initializer = "glorot_uniform",
        bias_initializer: str | Initializer = "zeros",
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
        kernel_regularizer: str | Regularizer | None = None,
        bias_regularizer: str | Regularizer | None = None,
        kernel_constraint: str | Constraint | None = None,
        bias_constraint: str | Constraint | None = None,
        activity_regularizer: str | Regularizer | None = None,
    ) -> None:
        given = {
            "kernel_initializer": kernel_initializer,
            "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer,
            "bias_regularizer": bias_regularizer,
            "kernel_constraint": kernel_constraint,
            "bias_constraint": bias_constraint,
        }
        super().__init__(
            kernel_size, strides, padding, dilation_rate, activation, use_bias, given, activity_regularizer,
            input_shape, name,
        )  # fmt: skip
        self.filters = integer("filters", filters, 1)
        self.output_padding = None if output_padding is None else each("output_padding", output_padding, self.axes, 0)
        for more, stride in zip(self.output_padding or (), self.strides, strict=False):
            if more >= stride:
                raise ValueError(f"output_padding is {output_padding!r}; it must be less than strides, {strides!r}")

    def _placed(self, sizes: tuple[int, ...]) -> tuple[Window, tuple[int, ...]]:
        """Return the window of the convolution that this transposes, and the size of what that is of: the output."""
        window = Window(self.kernel_size, self.strides, ((0, 0),) * self.axes, self.dilation_rate)
        pairs, lengths = [], []
        for k, (size, reach, stride) in enumerate(zip(sizes, window.reaches, self.strides, strict=True)):
            more = self.output_padding[k] if self.output_padding else None
            whole = (size - 1) * stride + reach
            if not isinstance(self.padding, str):
                before, behind = self.padding[k]
                length = whole - before - behind + (more or 0)
            elif self.padding == "valid":
                before = 0
                length = whole + (max(stride - reach, 0) if more is None else more)
            else:
                length = size * stride if more is None else whole - reach + reach % 2 + more
                # in Keras the larger half of what is around the output lies before it
                around = (stride - 2 if more is None else reach % 2 - 2 + more) + reach
                before = max(reach - 1 - (around + 1) // 2, 0)
            # what lies behind the last window's end is seen by none, and is what strides leave out
            pairs.append((before, max(whole - before - length, 0)))
            lengths.append(length)
        return window._replace(padding=tuple(pairs)), tuple(lengths)

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return `w`, `b` and the output shape, whose channels are the filters."""
        what = f"{self.name}: {type(self).__name__}"
        _, lengths = self._placed(spatial(what, input_shape, self.axes))
        if min(lengths) < 1:
            raise ValueError(f"{what}: padding is {self.padding}; it leaves nothing of rows of shape {input_shape}")
        w = self._spec("kernel", (*self.kernel_size, self.filters, input_shape[-1]))
        return self._with_bias([w], (*lengths, self.filters))

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add the gradient of a convolution's input, the bias and the activation."""
        _, shape = self.build(x.shape[1:])
        window, lengths = self._placed(x.shape[1:-1])
        options: dict[str, Any] = {"layer": self.name, **window.attributes()}
        images, w = as_images(x), as_kernel(weights["w"])
        size = {"input_height": lengths[0] if self.axes == 2 else 1, "input_width": lengths[-1]}
        z = self._biased(program, program.call("convolve_dx", images, w, **{**options, **size}), weights)
        y, activation_backward = self._activated(program, z, (x.shape[0], *shape), gradients)

        def backward(dy, need_dx):
            dz = activation_backward(dy)
            if "w" in gradients:
                kernel = {"kernel_height": w.shape[0], "kernel_width": w.shape[1]}
                into = {"dw": gradients["w"].reshaped(w.shape)}
                program.call("convolve_dw", dz, images, into=into, **options, **kernel)
            return program.call("convolve", dz, w, **options).reshaped(x.shape) if need_dx else None

        return y, backward

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        more = None if self.output_padding is None else list(self.output_padding)
        return {"filters": self.filters, "output_padding": more, **super().get_config()}


class Conv2DTranspose(_Transpose):
    """A transposed convolution of images [1]_: what a `Conv2D` does to the gradient of its input, as a layer.

    Each cell of x adds its share, a window of ``sum(x[i, j, c] * w[p, q, o, c])``, to the output, `strides` apart.

    Parameters
    ----------
    filters : int
        The number of channels of the output.
    kernel_size : int or (int, int)
        Height and width of the window.
    strides : int or (int, int)
        How many times as high and wide the output is.
    padding : {"valid", "same"}, int, (int, int) or ((int, int), (int, int))
        What is cut off the output. As in Keras nothing, for ``(n - 1) * stride + max(reach, stride)`` rows of n; or
        as much as leaves ``n * stride``. Given as numbers, as in PyTorch, ``(n - 1) * stride + reach - top - bottom``.
        The reach is ``dilation * (kernel_size - 1) + 1``.
    output_padding : int or (int, int), optional
        Rows and columns that are added at the end, less than the strides. As in Keras "same" leaves
        ``(n - 1) * stride + reach % 2 + output_padding`` with it, and "valid" ``(n - 1) * stride + reach +
        output_padding``.
    activation : str or Activation, optional
    dilation_rate : int or (int, int)
    use_bias : bool
    kernel_initializer, bias_initializer : str or Initializer
        As in Keras, n_in is ``kh * kw * filters`` here, and n_out ``kh * kw * channels``.
    input_shape : tuple of int, optional
        (height, width, channels), for the first layer of a model.
    name : str, optional
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
    kernel_constraint, bias_constraint : str or Constraint, optional
    activity_regularizer : str or Regularizer, optional
        All of these as of `Conv2D`; "max_norm" is of all weights of a channel of the input.

    Attributes
    ----------
    w : ndarray, shape (kh, kw, filters, channels)
        As in Keras; of PyTorch's weights it is ``weight.transpose(2, 3, 1, 0)``.
    b : ndarray, shape (filters,)
    dw, db : ndarray

    References
    ----------
    .. [1] Dumoulin & Visin 2016, arXiv:1603.07285, chapter 4

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> layer = fastbp.Conv2DTranspose(1, (1, 2), strides=(1, 2), kernel_initializer="ones")
    >>> model = fastbp.Sequential([layer], input_shape=(1, 3, 1))
    >>> model.predict(np.reshape([1, 2, 3], (1, 1, 3, 1))).ravel()
    array([1., 1., 2., 2., 3., 3.], dtype=float32)
    """


class Conv1DTranspose(_Transpose):
    """A transposed convolution of sequences: what a `Conv1D` does to the gradient of its input; see `Conv2DTranspose`.

    Parameters
    ----------
    filters : int
        The number of channels of the output.
    kernel_size : int
        The length of the window.
    strides : int
        How many times as long the output is.
    padding : {"valid", "same"}, int or (int, int)
        What is cut off the output.
    output_padding : int, optional
        Steps that are added at the end, less than the strides.
    activation : str or Activation, optional
    dilation_rate : int
    use_bias : bool
    kernel_initializer, bias_initializer : str or Initializer
    input_shape : tuple of int, optional
        (steps, channels), for the first layer of a model.
    name : str, optional
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
    kernel_constraint, bias_constraint : str or Constraint, optional
    activity_regularizer : str or Regularizer, optional
        All of these as of `Conv2DTranspose`.

    Attributes
    ----------
    w : ndarray, shape (kernel_size, filters, channels)
        As in Keras; of PyTorch's weights it is ``weight.transpose(2, 1, 0)``.
    b : ndarray, shape (filters,)
    dw, db : ndarray

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> layer = fastbp.layers.Conv1DTranspose(1, 3, strides=2, padding="same", kernel_initializer="ones")
    >>> model = fastbp.Sequential([layer], input_shape=(3, 1))
    >>> model.predict(np.reshape([1, 2, 3], (1, 3, 1))).ravel()
    array([1., 1., 3., 2., 5., 3.], dtype=float32)
    """

    axes = 1


class _Depthwise(_Convolution):
    """A convolution whose filters see one channel each."""

    parameters = ("w", "b")
    kinds = {"depthwise": "w", "bias": "b"}

    def __init__(
        self,
        kernel_size: int | tuple[int, ...],
        strides: int | tuple[int, ...] = 1,
        padding: str | int | tuple[Any, ...] = "valid",
        depth_multiplier: int = 1,
        activation: str | Activation | dict[str, Any] | None = None,
        dilation_rate: int | tuple[int, ...] = 1,
        use_bias: bool = True,
        depthwise_initializer: str | Initializer = "glorot_uniform",
        bias_initializer: str | Initializer = "zeros",
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
        depthwise_regularizer: str | Regularizer | None = None,
        bias_regularizer: str | Regularizer | None = None,
        depthwise_constraint: str | Constraint | None = None,
        bias_constraint: str | Constraint | None = None,
        activity_regularizer: str | Regularizer | None = None,
    ) -> None:
        given = {
            "depthwise_initializer": depthwise_initializer,
            "bias_initializer": bias_initializer,
            "depthwise_regularizer": depthwise_regularizer,
            "bias_regularizer": bias_regularizer,
            "depthwise_constraint": depthwise_constraint,
            "bias_constraint": bias_constraint,
        }
        super().__init__(
            kernel_size, strides, padding, dilation_rate, activation, use_bias, given, activity_regularizer,
            input_shape, name,
        )  # fmt: skip
        self.depth_multiplier = integer("depth_multiplier", depth_multiplier, 1)

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return `w`, `b` and the output shape, with `depth_multiplier` channels for each channel."""
        what = f"{self.name}: {type(self).__name__}"
        positions = self._window(spatial(what, input_shape, self.axes)).fitted(what, input_shape)
        channels, m = input_shape[-1], self.depth_multiplier
        w = self._spec("depthwise", (*self.kernel_size, channels, m))
        return self._with_bias([w], (*positions, channels * m))

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add the convolution of each channel, the bias and the activation."""
        _, shape = self.build(x.shape[1:])
        z, depthwise_backward = emit_depthwise(
            program, self.name, self._window(x.shape[1:-1]), x, weights["w"], gradients.get("w")
        )
        y, activation_backward = self._activated(
            program, self._biased(program, z, weights), (x.shape[0], *shape), gradients
        )
        return y, lambda dy, need_dx: depthwise_backward(activation_backward(dy), need_dx)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"depth_multiplier": self.depth_multiplier, **super().get_config()}


def emit_depthwise(
    program: Program, name: str, window: Window, x: Buffer, weights: Buffer, gradient: Buffer | None
) -> tuple[Buffer, Backward]:
    """Add the convolution of each channel by itself; return it and what adds its backward calls."""
    options: dict[str, Any] = {"layer": name, **window.attributes()}
    images, w = as_images(x), as_kernel(weights)
    z = program.call("depthwise", images, w, **options)

    def backward(dz, need_dx):
        if gradient is not None:
            kernel = {"kernel_height": w.shape[0], "kernel_width": w.shape[1]}
            program.call("depthwise_dw", images, dz, into={"dw": gradient.reshaped(w.shape)}, **options, **kernel)
        if not need_dx:
            return None
        size = {"input_height": images.shape[1], "input_width": images.shape[2]}
        return program.call("depthwise_dx", dz, w, **options, **size).reshaped(x.shape)

    return z, backward


class DepthwiseConv2D(_Depthwise):
    """A convolution of images whose filters see one channel each [1]_: ``depth_multiplier`` of them for every channel.

    Output channel ``c * depth_multiplier + k`` is filter k of channel c, plus its bias. The terms of a window are added
    row by row.

    Parameters
    ----------
    kernel_size : int or (int, int)
        Height and width of the window.
    strides : int or (int, int)
    padding : {"valid", "same"}, int, (int, int) or ((int, int), (int, int))
        Both as of `Conv2D`.
    depth_multiplier : int
        How many filters there are for each channel.
    activation : str or Activation, optional
    dilation_rate : int or (int, int)
    use_bias : bool
    depthwise_initializer, bias_initializer : str or Initializer
        For `w` and `b`. As in Keras n_in is ``kh * kw * channels``, and n_out ``kh * kw * depth_multiplier``.
    input_shape : tuple of int, optional
        (height, width, channels), for the first layer of a model.
    name : str, optional
    depthwise_regularizer, bias_regularizer : str or Regularizer, optional
    depthwise_constraint, bias_constraint : str or Constraint, optional
    activity_regularizer : str or Regularizer, optional
        All of these as of `Conv2D`; "max_norm" is of all channels' weights together, for each of `depth_multiplier`.

    Attributes
    ----------
    w : ndarray, shape (kh, kw, channels, depth_multiplier)
        As in Keras; of PyTorch's weights with as many groups as channels it is
        ``weight.reshape(channels, depth_multiplier, kh, kw).transpose(2, 3, 0, 1)``.
    b : ndarray, shape (channels * depth_multiplier,)
    dw, db : ndarray

    References
    ----------
    .. [1] Sifre 2014, PhD thesis, section 6.2

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.DepthwiseConv2D(3, padding="same")], input_shape=(8, 8, 16))
    >>> model.layers[0].w.shape, model.count_params()
    ((3, 3, 16, 1), 160)
    """


class DepthwiseConv1D(_Depthwise):
    """A convolution of sequences whose filters see one channel each; see `DepthwiseConv2D`.

    Parameters
    ----------
    kernel_size : int
        The length of the window.
    strides : int
    padding : {"valid", "same", "causal"}, int or (int, int)
        Both as of `Conv1D`.
    depth_multiplier : int
        How many filters there are for each channel.
    activation : str or Activation, optional
    dilation_rate : int
    use_bias : bool
    depthwise_initializer, bias_initializer : str or Initializer
    input_shape : tuple of int, optional
        (steps, channels), for the first layer of a model.
    name : str, optional
    depthwise_regularizer, bias_regularizer : str or Regularizer, optional
    depthwise_constraint, bias_constraint : str or Constraint, optional
    activity_regularizer : str or Regularizer, optional
        All of these as of `DepthwiseConv2D`.

    Attributes
    ----------
    w : ndarray, shape (kernel_size, channels, depth_multiplier)
    b : ndarray, shape (channels * depth_multiplier,)
    dw, db : ndarray

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.layers.DepthwiseConv1D(5, depth_multiplier=2)], input_shape=(100, 3))
    >>> model.layout.output_shape
    (96, 6)
    """

    axes, words = 1, ("valid", "same", "causal")


class _Separable(_Convolution):
    """A depthwise convolution, and a dense layer on the channels of each position."""

    parameters = ("depthwise_w", "pointwise_w", "b")
    kinds = {"depthwise": "depthwise_w", "pointwise": "pointwise_w", "bias": "b"}

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, ...],
        strides: int | tuple[int, ...] = 1,
        padding: str | int | tuple[Any, ...] = "valid",
        depth_multiplier: int = 1,
        activation: str | Activation | dict[str, Any] | None = None,
        dilation_rate: int | tuple[int, ...] = 1,
        use_bias: bool = True,
        depthwise_initializer: str | Initializer = "glorot_uniform",
        pointwise_initializer: str | Initializer = "glorot_uniform",
        bias_initializer: str | Initializer = "zeros",
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
        depthwise_regularizer: str | Regularizer | None = None,
        pointwise_regularizer: str | Regularizer | None = None,
        bias_regularizer: str | Regularizer | None = None,
        depthwise_constraint: str | Constraint | None = None,
        pointwise_constraint: str | Constraint | None = None,
        bias_constraint: str | Constraint | None = None,
        activity_regularizer: str | Regularizer | None = None,
    ) -> None:
        given = {
            "depthwise_initializer": depthwise_initializer,
            "pointwise_initializer": pointwise_initializer,
            "bias_initializer": bias_initializer,
            "depthwise_regularizer": depthwise_regularizer,
            "pointwise_regularizer": pointwise_regularizer,
            "bias_regularizer": bias_regularizer,
            "depthwise_constraint": depthwise_constraint,
            "pointwise_constraint": pointwise_constraint,
            "bias_constraint": bias_constraint,
        }
        super().__init__(
            kernel_size, strides, padding, dilation_rate, activation, use_bias, given, activity_regularizer,
            input_shape, name,
        )  # fmt: skip
        self.filters = integer("filters", filters, 1)
        self.depth_multiplier = integer("depth_multiplier", depth_multiplier, 1)

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return the parameters and the output shape, whose channels are the filters."""
        what = f"{self.name}: {type(self).__name__}"
        positions = self._window(spatial(what, input_shape, self.axes)).fitted(what, input_shape)
        channels, m = input_shape[-1], self.depth_multiplier
        specs = [
            self._spec("depthwise", (*self.kernel_size, channels, m)),
            self._spec("pointwise", (channels * m, self.filters)),
        ]
        return self._with_bias(specs, (*positions, self.filters))

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add the convolution of each channel, the product that mixes the channels, and the activation."""
        _, shape = self.build(x.shape[1:])
        h, depthwise_backward = emit_depthwise(
            program, self.name, self._window(x.shape[1:-1]), x, weights["depthwise_w"], gradients.get("depthwise_w")
        )
        z, pointwise_backward = emit_dense(
            program, self.name, h, weights["pointwise_w"], weights.get("b"), gradients.get("pointwise_w"), "dh"
        )
        y, activation_backward = self._activated(program, z, (x.shape[0], *shape), gradients)

        def backward(dy, need_dx):
            dh = pointwise_backward(activation_backward(dy), need_dx or "depthwise_w" in gradients)
            return None if dh is None else depthwise_backward(dh, need_dx)

        return y, backward

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"filters": self.filters, "depth_multiplier": self.depth_multiplier, **super().get_config()}


class SeparableConv2D(_Separable):
    """A convolution of each channel of an image, then one of 1 x 1 that mixes the channels [1]_.

    A `DepthwiseConv2D` without a bias and a `Dense` layer of `filters` units at each position: few weights, and few
    products, for a large window and many channels.

    Parameters
    ----------
    filters : int
        The number of channels of the output.
    kernel_size : int or (int, int)
        Height and width of the window.
    strides : int or (int, int)
    padding : {"valid", "same"}, int, (int, int) or ((int, int), (int, int))
        Both as of `Conv2D`.
    depth_multiplier : int
        As of `DepthwiseConv2D`.
    activation : str or Activation, optional
        Behind both.
    dilation_rate : int or (int, int)
    use_bias : bool
    depthwise_initializer, pointwise_initializer, bias_initializer : str or Initializer
        For the three parameters.
    input_shape : tuple of int, optional
        (height, width, channels), for the first layer of a model.
    name : str, optional
    depthwise_regularizer, pointwise_regularizer, bias_regularizer : str or Regularizer, optional
    depthwise_constraint, pointwise_constraint, bias_constraint : str or Constraint, optional
    activity_regularizer : str or Regularizer, optional
        All of these as of `Conv2D`, and `depthwise_constraint` as of `DepthwiseConv2D`.

    Attributes
    ----------
    depthwise_w : ndarray, shape (kh, kw, channels, depth_multiplier)
        As in Keras.
    pointwise_w : ndarray, shape (channels * depth_multiplier, filters)
        Keras' has two axes of length 1 before these.
    b : ndarray, shape (filters,)
    ddepthwise_w, dpointwise_w, db : ndarray

    References
    ----------
    .. [1] Chollet 2017, CVPR

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.layers.SeparableConv2D(64, 3)], input_shape=(8, 8, 32))
    >>> model.count_params(), fastbp.Sequential([fastbp.Conv2D(64, 3)], input_shape=(8, 8, 32)).count_params()
    (2400, 18496)
    """


class SeparableConv1D(_Separable):
    """A convolution of each channel of a sequence, then a dense layer on the channels; see `SeparableConv2D`.

    Parameters
    ----------
    filters : int
        The number of channels of the output.
    kernel_size : int
        The length of the window.
    strides : int
    padding : {"valid", "same", "causal"}, int or (int, int)
        Both as of `Conv1D`.
    depth_multiplier : int
    activation : str or Activation, optional
    dilation_rate : int
    use_bias : bool
    depthwise_initializer, pointwise_initializer, bias_initializer : str or Initializer
    input_shape : tuple of int, optional
        (steps, channels), for the first layer of a model.
    name : str, optional
    depthwise_regularizer, pointwise_regularizer, bias_regularizer : str or Regularizer, optional
    depthwise_constraint, pointwise_constraint, bias_constraint : str or Constraint, optional
    activity_regularizer : str or Regularizer, optional
        All of these as of `SeparableConv2D`.

    Attributes
    ----------
    depthwise_w : ndarray, shape (kernel_size, channels, depth_multiplier)
    pointwise_w : ndarray, shape (channels * depth_multiplier, filters)
    b : ndarray, shape (filters,)
    ddepthwise_w, dpointwise_w, db : ndarray

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.layers.SeparableConv1D(8, 5)], input_shape=(100, 3))
    >>> model.layers[0].depthwise_w.shape, model.layers[0].pointwise_w.shape
    ((5, 3, 1), (3, 8))
    """

    axes, words = 1, ("valid", "same", "causal")
