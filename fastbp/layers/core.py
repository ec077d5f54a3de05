"""Dense and activation layers, and those of a function of the user's own."""

from __future__ import annotations

import operator
import sys
from typing import TYPE_CHECKING, cast

from .. import initializers
from ..checks import as_shape
from ..kernels import names_called
from ..kernels.table import TABLE
from ..naming import foreign, own_name
from ..registry import check_row, row_of
from .base import Layer, ParameterSpec, features

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..constraints import Constraint
    from ..initializers import Initializer
    from ..kernels.table import Row
    from ..program import Buffer, Program
    from ..regularizers import Regularizer
    from .base import Backward

__all__ = ["ACTIVATIONS", "GLU", "Activation", "CustomLayer", "Dense", "PReLU"]

#: The activations of the table.
ACTIVATIONS = tuple(name for name, row in TABLE.items() if row.family == "activation")


class _OfRow(Layer):
    """What layers share that a row of the table computes, which a function of the user's own may have made."""

    #: The row's family, and the attribute that says what users call it.
    _called: tuple[str, str]
    row_name: str

    @property
    def row(self) -> Row:
        """The row of the table."""
        return TABLE[self.row_name]

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_expressions": self._expressions().get("expressions")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        own = dict(state)
        expressions = own.pop("_expressions")
        super().__setstate__(own)
        family, attribute = self._called
        self.row_name = row_of(family, getattr(self, attribute), expressions, self.row_name)

    def _check_readable(self) -> None:
        """Raise ValueError where a file would stand for another function."""
        super()._check_readable()
        check_row(self.row)

    def _expressions(self) -> dict[str, Any]:
        """Return what a file needs of a function of the user's own."""
        kernels = self.row.kernels.values()
        return {"expressions": [k.expression for k in kernels]} if any(k.code for k in kernels) else {}

    @property
    def _elementwise(self) -> bool:
        """Whether it takes each element by itself; else, as a softmax, the last axis."""
        return self.row.kernels[f"{self.row_name}_forward"].elementwise


class Activation(_OfRow):
    """An activation function as a layer.

    Parameters
    ----------
    activation : str, optional
        A row of the table, `fastbp.layers.ACTIVATIONS`: "relu", "tanh", "gelu" ...; also in the spelling of Keras and
        PyTorch, as "linear" (identity) and "swish" (silu). By default the identity. "softmax" and "log_softmax" are
        over the last axis.
    input_shape : int or tuple of int, optional
    name : str, optional
    expressions : tuple of str, optional
        Of a function of your own, as `fastbp.custom.activation` writes them.
    activity_regularizer : str or Regularizer, optional
        A penalty on the output, see `fastbp.regularizers.Regularizer.emit_activity`.
    **attributes : float
        Those of the row: ``alpha`` of "leaky_relu", "elu" and "celu", ``beta`` of "softplus", ``threshold`` of
        "hard_shrink" and "soft_shrink".

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.Dense(4, input_shape=2), fastbp.Activation("leaky_relu", alpha=0.2)])
    >>> model.layers[1].activation, model.layers[1].attributes
    ('leaky_relu', {'alpha': 0.2})
    """

    _called = "activation", "activation"

    def __init__(
        self,
        activation: str | None,
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
        expressions: tuple[str, str] | None = None,
        activity_regularizer: str | Regularizer | None = None,
        **attributes: float,
    ) -> None:
        super().__init__(input_shape, name)
        self.activity_regularizer = get_regularizer(activity_regularizer)
        if not isinstance(activation, str | None):
            hint = foreign("activation", activation, ACTIVATIONS)
            if isinstance(activation, int):
                hint = "; sizes of inputs are input_shape=, where PyTorch's Linear has them first"
            raise TypeError(f"activation is {activation!r}; it must be a name, an Activation or None{hint}")
        known_names = names_called("activation")
        own: Any = "identity" if activation is None else own_name("activation", activation, known_names)[0]
        self.row_name = row_of("activation", own, expressions)
        self.activation: str = own
        row = self.row
        known = row.attributes
        for attribute, value in attributes.items():
            if attribute not in known:
                allowed = f"; it has {', '.join(known)}" if known else "; it has none"
                raise TypeError(f"activation {activation!r} has no attribute {attribute!r}{allowed}")
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
                raise ValueError(f"{attribute} is {value!r}; it must be a finite number")
            row.check(attribute, attribute, value)
        self.attributes: dict[str, Any] = {**known, **{k: float(v) for k, v in attributes.items()}}

    @property
    def passes_on(self) -> bool:
        """Whether it is the identity."""
        return self.activation == "identity"

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and the same shape."""
        if not self._elementwise:
            features(f"{self.name}: {self.activation}", input_shape)
        return [], input_shape

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add ``y = f(x)``."""
        if self.activation == "identity":
            return x, lambda dy, need_dx: dy
        row, shape = self.row, x.shape if self._elementwise else x.matrix().shape
        rows = x.reshaped(shape)
        y = program.call(f"{row.name}_forward", rows, layer=self.name, **self.attributes)

        def backward(dy, need_dx):
            saved = {"x": rows, "y": y}
            inputs = [dy.reshaped(shape), *[saved[name] for name in row.saved]]
            dx = program.call(f"{row.name}_backward", *inputs, layer=self.name, **self.attributes)
            return dx.reshaped(x.shape)

        return y.reshaped(x.shape), backward

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {**self.choice(), **configs(self, "activity_regularizer"), **super().get_config()}

    def choice(self) -> dict[str, Any]:
        """Return which function this is, as plain data.

        Returns
        -------
        dict of str to object

        Examples
        --------
        >>> import fastbp
        >>> fastbp.Activation("leaky_relu", alpha=0.2).choice()
        {'activation': 'leaky_relu', 'alpha': 0.2}
        """
        return {"activation": self.activation, **self._expressions(), **self.attributes}


def configs(layer: Layer, *names: str) -> dict[str, Any]:
    """Return the configs of those regularizers and constraints that a layer has."""
    return {name: getattr(layer, name).get_config() for name in names if getattr(layer, name) is not None}


def get_activation(activation: str | Activation | dict[str, Any] | None) -> Activation:
    """Return an `Activation` from its name, an `Activation`, its `choice`, or None for the identity."""
    if isinstance(activation, Activation):
        if activation.activity_regularizer is not None:
            raise ValueError(
                f"activation is {activation!r}; its activity_regularizer must be None: it is an argument of the layer"
            )
        # each layer names its own in listings
        made = Activation(**activation.choice())
        made.row_name = activation.row_name  # of Numba functions there is the name alone, which another may have by now
        return made
    if isinstance(activation, dict) and "activation" in activation:
        return Activation(**activation)
    return Activation(cast("Any", activation))


def get_regularizer(given: str | Regularizer | None) -> Regularizer | None:
    """Return what `fastbp.regularizers.get` does, which is imported where one is given."""
    if given is None:
        return None
    from ..regularizers import get

    return get(given)


def get_constraint(given: str | Constraint | None) -> Constraint | None:
    """Return what `fastbp.constraints.get` does, which is imported where one is given."""
    if given is None:
        return None
    from ..constraints import get

    return get(given)


class CustomLayer(_OfRow):
    """A layer of a NumPy expression of its inputs; `fastbp.custom.layer` makes one.

    Parameters
    ----------
    function : str
        What the function is called.
    expressions : tuple of str, optional
        Of the value and of the gradients; by default those of the row that is in the table already.
    input_shape : int or tuple of int, optional
    name : str, optional

    Attributes
    ----------
    inputs : int
        How many there are. Of several, `build` and `emit` take lists, and ``backward(dy, need)`` of a list of bools
        returns one of gradients.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> layer = fastbp.custom.layer(lambda a, b: a * np.tanh(b), "gated")
    >>> type(layer).__name__, layer.function, layer.inputs
    ('CustomLayer', 'gated', 2)
    """

    _called = "layer", "function"
    _takes_lists = True

    def __init__(
        self,
        function: str,
        expressions: tuple[str, str] | None = None,
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(input_shape, name)
        self.row_name = row_of("layer", function, expressions)
        self.function = function

    @property
    def inputs(self) -> int:
        """How many inputs there are."""
        return len(self.row.kernels[f"{self.row_name}_forward"].inputs)

    def build(self, input_shape: Any) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and the output shape: that of the inputs, or without the last axis, or with one of 1.

        Parameters
        ----------
        input_shape : tuple of int, or list of tuple
            The shape of one row; of several inputs a list.

        Returns
        -------
        specs : list of ParameterSpec
        output_shape : tuple of int

        Raises
        ------
        ValueError
            If the shapes do not fit together, or their number does not fit the function.

        Examples
        --------
        >>> import fastbp
        >>> layer = fastbp.custom.layer(lambda a, b: (a * b).sum(axis=-1, keepdims=True), "product")
        >>> layer.build([(3,), (3,)])
        ([], (1,))
        """
        shapes = input_shape if isinstance(input_shape, list) else [input_shape]
        whose = f"{self.name}: {self.function}"
        if len(shapes) != self.inputs:
            way = "" if len(shapes) > 1 else "; call it with a list of tensors"
            raise ValueError(f"{whose} takes {self.inputs} inputs, got {len(shapes)}{way}")
        common = _common(shapes)
        for shape in shapes:
            if shape != common and (not common or shape != (*common[:-1], 1)):
                raise ValueError(
                    f"{whose} takes inputs of one shape, or with a last axis of 1, got {common} and {shape}"
                )
        if not self._elementwise:
            features(whose, common)
        (y,) = self.row.kernels[f"{self.row_name}_forward"].results
        return [], (*common[:-1], 1) if 1 in y.dims else common if "n" in y.dims else common[:-1]

    def emit(
        self, program: Program, x: Any, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add ``y = function(x)``, or of a list ``y = function(*x)``.

        Parameters
        ----------
        program : Program
        x : Buffer or list of Buffer
        weights, gradients : dict of str to Buffer
            There are none.

        Returns
        -------
        y : Buffer
        backward : callable
            ``backward(dy, need)``: of one input as every layer's, of a list a list of bool makes one of dx, in which
            there is None where it is not needed.

        Examples
        --------
        >>> import fastbp
        >>> from fastbp.program import BATCH, Program
        >>> program = Program("float32")
        >>> a, b = (program.buffer(name, (BATCH, 3), role="input") for name in "ab")
        >>> layer = fastbp.custom.layer(lambda a, b: a * b + b, "product_and_more")
        >>> y, backward = layer.emit(program, [a, b], {}, {})
        >>> len(backward(program.buffer("dy", y.shape), [True, True]))
        2
        """
        xs: list[Buffer] = list(x) if isinstance(x, (list, tuple)) else [x]
        common = _common([buffer.shape for buffer in xs])
        _, shape = self.build([buffer.shape[1:] for buffer in xs])
        of_rows = not self._elementwise or any(buffer.shape != common for buffer in xs)
        rows = [buffer.matrix() if of_rows else buffer for buffer in xs]
        like = next(m for m, buffer in zip(rows, xs, strict=True) if buffer.shape == common)
        arrays = [
            m if buffer.shape == common else program.call("spread_rows", like, m, layer=self.name)
            for m, buffer in zip(rows, xs, strict=True)
        ]
        forward, backward_kernel = self.row.kernels.values()
        y = program.call(forward.name, *arrays, layer=self.name)

        def backward(dy: Buffer, need: Any) -> Any:
            needed: list[bool] = list(need) if isinstance(need, (list, tuple)) else [need]
            found: dict[str, Buffer] = {}
            if any(needed):
                given = {"dy": dy.reshaped(y.shape), **{o.name: a for o, a in zip(forward.inputs, arrays, strict=True)}}
                made = program.call(
                    backward_kernel.name, *(given[o.name] for o in backward_kernel.inputs), layer=self.name
                )
                parts = made if isinstance(made, tuple) else (made,)
                found = {o.name[1:]: part for o, part in zip(backward_kernel.results, parts, strict=True)}
            dxs: list[Buffer | None] = []
            for operand, buffer, wanted in zip(forward.inputs, xs, needed, strict=True):
                dx = found[operand.name] if wanted else None
                if dx is not None and buffer.shape != common:
                    dx = program.call("row_sums", dx, layer=self.name)
                dxs.append(None if dx is None else dx.reshaped(buffer.shape))
            return dxs if isinstance(x, (list, tuple)) else dxs[0]

        return y.reshaped((*xs[0].shape[:1], *shape)), backward

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"function": self.function, **self._expressions(), **super().get_config()}


def _common(shapes: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return the shape that the inputs have but for those that are spread over its last axis."""
    return next((shape for shape in shapes if shape and shape[-1] != 1), shapes[0])


def emit_dense(
    program: Program, name: str, x: Buffer, w: Buffer, b: Buffer | None, gradient: Buffer | None, dx: str = "dx"
) -> tuple[Buffer, Backward]:
    """Add the product of the last axis of x with w, and b if there is one; return it, and what adds its backward calls.

    These are the gradient of w, where it has a buffer, and that of x, which is called `dx`; that of b comes before.
    """
    rows = x.matrix()
    z = program.call("matmul_nn" if b is None else "dense", rows, w, *([] if b is None else [b]), layer=name)

    def backward(dz, need_dx):
        if gradient is not None:
            program.call("matmul_tn", rows, dz, layer=name, into={"y": gradient})
        if not need_dx:
            return None
        made = program.buffer(f"{name}.{dx}", rows.shape)
        return program.call("matmul_nt", dz, w, layer=name, into={"y": made}).reshaped(x.shape)

    return z, backward


class Dense(Layer):
    """A fully connected layer, ``y = activation(x @ w + b)``.

    The last axis are the features: a row of shape ``(t, n_in)`` becomes one of ``(t, n_out)``, with the same w and b in
    all t positions. `Flatten` before it connects all to all.

    Parameters
    ----------
    units : int
        The number of outputs, n_out.
    activation : str or Activation, optional
        By default the identity.
    use_bias : bool
    kernel_initializer, bias_initializer : str or Initializer
        For `w` and `b`.
    input_shape : int or tuple of int, optional
        The number of inputs, n_in, or the shape of a row, which ends with it, for the first layer of a model.
    name : str, optional
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
        A penalty that is added to the loss: "l1", "l2", ``fastbp.regularizers.L2(1e-4)`` ...
    kernel_constraint, bias_constraint : str or Constraint, optional
        What is made to hold after each update: "max_norm", "non_neg", ``fastbp.constraints.MaxNorm(3)`` ...
    activity_regularizer : str or Regularizer, optional
        A penalty on the output, behind the activation, over the rows of the batch; see
        `fastbp.regularizers.Regularizer.emit_activity`.

    Attributes
    ----------
    w : ndarray, shape (n_in, n_out)
    b : ndarray, shape (n_out,)
    dw, db : ndarray
        dLoss/dw and dLoss/db of the last backward pass. All four are views of the model's flat arrays;
        assigning to them copies.

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.Dense(3, activation="tanh", input_shape=2)])
    >>> model.layers[0].w.shape, model.layers[0].b
    ((2, 3), array([0., 0., 0.], dtype=float32))
    >>> model = fastbp.Sequential([fastbp.Dense(3)], input_shape=(5, 2))
    >>> model.layers[0].w.shape, model.layout.output_shape
    ((2, 3), (5, 3))
    """

    parameters = ("w", "b")

    def __init__(
        self,
        units: int,
        activation: str | Activation | dict[str, Any] | None = None,
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
        super().__init__(input_shape, name)
        try:
            self.units = operator.index(units)
        except TypeError:
            raise TypeError(f"units is {units!r}; it must be an integer") from None
        if self.units < 1:
            raise ValueError(f"units is {units!r}; it must be at least 1")
        self.activation = get_activation(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = get_regularizer(kernel_regularizer)
        self.bias_regularizer = get_regularizer(bias_regularizer)
        self.kernel_constraint = get_constraint(kernel_constraint)
        self.bias_constraint = get_constraint(bias_constraint)
        self.activity_regularizer = get_regularizer(activity_regularizer)

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return `w`, `b` and the output shape, whose last axis are the units."""
        n_in = features(f"{self.name}: Dense", input_shape)
        self.activation.name = f"{self.name}.{self.activation.activation}"
        of_w: dict[str, Any] = {"regularizer": self.kernel_regularizer, "constraint": self.kernel_constraint}
        specs = [ParameterSpec("w", (n_in, self.units), self.kernel_initializer, **of_w)]
        if self.use_bias:
            of_b: dict[str, Any] = {"regularizer": self.bias_regularizer, "constraint": self.bias_constraint}
            specs.append(ParameterSpec("b", (self.units,), self.bias_initializer, **of_b))
        return specs, (*input_shape[:-1], self.units)

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add ``y = activation(x @ w + b)``."""
        z, dense_backward = emit_dense(program, self.name, x, weights["w"], weights.get("b"), gradients.get("w"))
        y, activation_backward = self.activation.emit(program, z, {}, {})

        def backward(dy, need_dx):
            dz: Any = activation_backward(dy.matrix(), True)
            if "b" in gradients:
                program.call("bias_backward", dz, layer=self.name, into={"db": gradients["b"]})
            return dense_backward(dz, need_dx)

        return y.reshaped((*x.shape[:-1], self.units)), backward

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        choice = self.activation.choice()
        named = (
            "kernel_regularizer", "bias_regularizer", "kernel_constraint", "bias_constraint", "activity_regularizer",
        )  # fmt: skip
        return {
            "units": self.units,
            "activation": choice if len(choice) > 1 else self.activation.activation,
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer.get_config(),
            "bias_initializer": self.bias_initializer.get_config(),
            **configs(self, *named),
            **super().get_config(),
        }


class PReLU(Layer):
    """A relu whose slope below 0 is learned [1]_: ``y = x if x > 0 else alpha * x``, with an alpha for each input.

    Of rows of several dimensions each element has its own, as in Keras, or with `shared_axes` each channel.

    Parameters
    ----------
    alpha_initializer : float, str or Initializer
        For `alpha`. The paper's and PyTorch's 0.25; Keras has "zeros".
    input_shape : int or tuple of int, optional
    name : str, optional
    shared_axes : sequence of int, optional
        All axes of a row but the last, the channels, which count from 1: ``[1, 2]`` of images, as in Keras. Then there
        is one alpha for each channel, as in the paper and as PyTorch's ``PReLU(channels)`` has it.

    Attributes
    ----------
    alpha : ndarray
        Of the shape of one row; shared axes have length 1. `dalpha` is its gradient. The derivative of y by x at 0 is
        alpha.

    References
    ----------
    .. [1] He et al. 2015, ICCV, eq. 1

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.PReLU(input_shape=2)])
    >>> model.predict([[-2.0, 3.0]])
    array([[-0.5,  3. ]], dtype=float32)
    """

    parameters = ("alpha",)

    def __init__(
        self,
        alpha_initializer: float | str | Initializer = 0.25,
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
        shared_axes: tuple[int, ...] | list[int] | None = None,
    ) -> None:
        super().__init__(input_shape, name)
        if isinstance(alpha_initializer, (int, float)):
            alpha_initializer = initializers.Constant(alpha_initializer)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.shared_axes = as_shape(shared_axes, "shared_axes") or None

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return `alpha` and the same shape."""
        shape = input_shape
        if self.shared_axes is not None:
            if sorted(self.shared_axes) != [*range(1, len(input_shape))]:
                allowed = tuple(range(1, len(input_shape)))
                what = f"{self.name}: shared_axes is {self.shared_axes}; of rows of shape {input_shape} it must be"
                raise ValueError(f"{what} {allowed or None}, all axes but the last")
            shape = (1,) * len(self.shared_axes) + input_shape[-1:]
        return [ParameterSpec("alpha", shape, self.alpha_initializer)], input_shape

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add ``y = x if x > 0 else alpha * x``."""
        rows = x.matrix(1 if self.shared_axes is None else -1)
        n = rows.shape[1]
        alpha = weights["alpha"].reshaped((n,))
        y = program.call("prelu_forward", rows, alpha, layer=self.name)

        def backward(dy, need_dx):
            if not gradients and not need_dx:
                return None
            into = {f"d{name}": gradient.reshaped((n,)) for name, gradient in gradients.items()}
            dx, _ = program.call("prelu_backward", dy.reshaped(rows.shape), rows, alpha, layer=self.name, into=into)
            return dx.reshaped(x.shape)

        return y.reshaped(x.shape), backward

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        shared = {} if self.shared_axes is None else {"shared_axes": list(self.shared_axes)}
        return {"alpha_initializer": self.alpha_initializer.get_config(), **shared, **super().get_config()}


class GLU(Layer):
    """A gated linear unit [1]_: ``y = a * sigmoid(b)``, a and b the halves of the last axis.

    Parameters
    ----------
    input_shape : int or tuple of int, optional
    name : str, optional

    Notes
    -----
    The last axis must be even, and becomes half as long: of n outputs, the layer before has 2 n units. With another
    function in place of the sigmoid it is, of a tensor x, ``x[..., :n] * Activation("silu")(x[..., n:])``.

    References
    ----------
    .. [1] Dauphin et al. 2017, ICML, eq. 1

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.GLU(input_shape=4)])
    >>> model.predict([[2.0, 8.0, 0.0, 100.0]])
    array([[1., 8.]], dtype=float32)
    """

    def __init__(self, input_shape: int | tuple[int, ...] | None = None, name: str | None = None) -> None:
        super().__init__(input_shape, name)

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters, and the shape with half of the last axis."""
        n = features(self.name, input_shape)
        if n % 2:
            raise ValueError(f"{self.name}: the last axis of its input has length {n}; it must be even, to be halved")
        return [], (*input_shape[:-1], n // 2)

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add ``y = a * sigmoid(b)``."""
        rows, n = x.matrix().shape
        halves = x.reshaped((rows, 2, n // 2))
        gate, y = program.call("gated_linear_forward", halves, layer=self.name)

        def backward(dy, need_dx):
            if not need_dx:
                return None
            return program.call("gated_linear_backward", dy.matrix(), halves, gate, layer=self.name).reshaped(x.shape)

        return y.reshaped((*x.shape[:-1], n // 2)), backward
