"""The table: one row for each op, and all that its readers need to know of it.

A row names the op, its family (the module that holds its kernels in each backend), its kernels with
their operands, the NumPy expression that defines each, its attributes, domain and source. Tests, the
backends' loaders, the layers and losses, the documentation and the benchmark ids are all derived from
it. The module needs the standard library only, so that the table of any commit can be read.

Operands are written as in a signature: ``"dy[n], y[n] -> dx[n]"``. A letter or word in brackets is a
dimension; equal names are equal lengths. Where every operand with an n is a lone ``[n]``, the kernel is
elementwise and takes arrays of any one shape. The element type is the program's (float32 or float64)
unless ``:i8`` (int64) or ``:f8`` (float64) follows. An operand on both sides is updated in place. A kernel's
buffers are its operands in the order in which their names first appear, its sizes the dimensions
likewise.
"""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


__all__ = ["FAMILIES", "KERNELS", "ROWS", "STATUS", "Kernel", "Operand", "Row", "suggest"]

#: What a kernel's return value means (``abi.h``).
STATUS = {1: "an index or label is out of range", 2: "the loss is not finite"}

_OPERAND = re.compile(r"(\w+)\[([\w,]*)\](?::(\w+))?")


class Operand:
    """One operand of a kernel: its name, its dimensions and its element type.

    Attributes
    ----------
    name : str
    dims : tuple of str or int
        Names of dimensions, or fixed lengths; empty for a scalar.
    dtype : {"real", "i8", "f8"}
        "real" is the dtype of the program.
    """

    __slots__ = ("dims", "dtype", "name")

    def __init__(self, name: str, dims: tuple[str | int, ...], dtype: str) -> None:
        self.name, self.dims, self.dtype = name, dims, dtype

    def __repr__(self) -> str:
        tail = "" if self.dtype == "real" else f":{self.dtype}"
        return f"{self.name}[{','.join(map(str, self.dims))}]{tail}"


def _operands(text: str) -> tuple[Operand, ...]:
    found = []
    for name, dims, dtype in _OPERAND.findall(text):
        dims = tuple(int(d) if d.isdigit() else d for d in dims.split(",") if d)
        found.append(Operand(name, dims, dtype or "real"))
    return tuple(found)


class Kernel:
    """One function on raw buffers, as its row describes it.

    Attributes
    ----------
    name : str
        For example ``"relu_backward"``; also the function's name in every backend.
    row : Row
    signature : str
        ``"inputs -> outputs"``.
    inputs, outputs : tuple of Operand
    operands : tuple of Operand
        All operands, in the order of the kernel's buffers.
    dims : tuple of str
        The named dimensions, in the order of the kernel's sizes.
    elementwise : bool
        Whether ``[n]`` stands for all elements of an array of any shape.
    pointwise : bool
        Whether each element of the outputs depends on that element of the inputs alone, so that threads may
        share the array.
    expression : str
        NumPy statements that assign every output; ``np`` is NumPy, attributes go by their names.
    inplace : tuple of (str, str)
        Pairs (output, input) that may be one buffer.
    code : tuple of float
        Of a row that was added at run time: what the compiled backends' ``chain`` runs (``chain.py``). Else empty.
    foreign : Foreign or None
        Of a row that a user's own Numba functions make (``numba_jit/foreign.py``).
    """

    code: tuple[float, ...] = ()
    foreign: Any = None

    def __init__(self, name: str, row: Row, signature: str, expression: str, inplace: Iterable[str] = ()) -> None:
        self.name, self.row, self.signature, self.expression = name, row, signature, expression
        before, _, after = signature.partition("->")
        self.inputs, self.outputs = _operands(before), _operands(after)
        first: dict[str, Operand] = {}
        for operand in self.inputs + self.outputs:
            first.setdefault(operand.name, operand)
        self.operands = tuple(first.values())
        self.dims = tuple(dict.fromkeys(d for o in self.operands for d in o.dims if isinstance(d, str)))
        self.elementwise = all(o.dims == ("n",) for o in self.operands if "n" in o.dims)
        # a mean counts the elements
        arrays = {o.dims for o in self.outputs} == {("n",)}
        self.pointwise = self.elementwise and arrays and "mean" not in row.attributes
        self.split = "n" if self.pointwise else None
        self.inplace = tuple(tuple(pair.split("=")) for pair in inplace)

    def sizes(self, shapes: Sequence[tuple[int, ...] | None]) -> dict[str, int]:
        """Return the kernel's sizes for operands of given shapes.

        Parameters
        ----------
        shapes : sequence of tuple of int
            In the order of `operands`; None where a shape is not known yet.

        Returns
        -------
        dict
            The length of each named dimension, in the order of the ABI.

        Raises
        ------
        ValueError
            If a shape does not fit its operand or two operands disagree; the message names them.
        """
        found: dict[Any, int] = {}
        seen: dict[Any, str] = {}
        for operand, shape in zip(self.operands, shapes, strict=True):
            if shape is None:
                continue
            lengths = (prod(shape),) if self.elementwise and operand.dims == ("n",) else tuple(shape)
            if len(lengths) != len(operand.dims):
                raise ValueError(f"{self.name}: {operand.name} has shape {tuple(shape)}; it must be {operand!r}")
            for dim, length in zip(operand.dims, lengths, strict=True):
                if found.setdefault(dim, length if isinstance(dim, str) else dim) != length:
                    there = f"; {seen[dim]} says {dim} is {found[dim]}" if dim in seen else ""
                    raise ValueError(f"{self.name}: {operand!r} has shape {tuple(shape)}{there}")
                seen.setdefault(dim, operand.name)
        return {dim: found[dim] for dim in self.dims if dim in found}

    def shape(self, operand: Operand, sizes: dict[str, int], like: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """Return the shape of an output: its dimensions in `sizes`; `like`, if given, for an elementwise ``[n]``.

        Parameters
        ----------
        operand : Operand
        sizes : dict of str to int
            As `sizes` returns them.
        like : tuple of int, optional
            The shape of the inputs.

        Returns
        -------
        tuple of int
        """
        if self.elementwise and operand.dims == ("n",) and like is not None:
            return tuple(like)
        return tuple(sizes[d] if isinstance(d, str) else d for d in operand.dims)

    @property
    def attributes(self) -> dict[str, float]:
        """The row's attributes with their defaults, in the order of the ABI."""
        return self.row.attributes

    @property
    def updates(self) -> tuple[str, ...]:
        """Names of the operands that are read and written."""
        written = {o.name for o in self.outputs}
        return tuple(o.name for o in self.inputs if o.name in written)

    def __repr__(self) -> str:
        return f"{self.name}: {self.signature}"


class Row:
    """One op of the table.

    Attributes
    ----------
    name, family : str
    kernels : dict
        The row's kernels by name, in the order in which a train step runs them.
    attributes : dict
        Hyper-parameters with defaults, in the order of the ABI.
    domain : dict
        What an operand may hold where not any real number will do: ``"probability"`` (0 to 1),
        ``"binary"`` (0 or 1), ``"sign"`` (-1 or 1), ``"one_hot"``, ``"label"`` (0 to n - 1),
        ``"index"`` (0 to rows - 1), ``"group"`` (any integers: equal ones belong together), ``"power"`` (0 to 1,
        exclusive), ``"nonnegative"``, ``"generator"`` (a state of PCG64, see `uniform`), ``"uniform"`` (what it draws).
    kinks : tuple of float
        Inputs where the derivative is a convention; `note` states which.
    note, source : str
    """

    def __init__(
        self,
        name: str,
        family: str,
        attributes: dict[str, float],
        domain: dict[str, str],
        kinks: tuple[float, ...],
        note: str,
        source: str,
    ) -> None:
        self.name, self.family, self.attributes, self.domain = name, family, attributes, domain
        self.kinks, self.note, self.source = kinks, note, source
        self.kernels: dict[str, Kernel] = {}

    @property
    def differentiable(self) -> bool:
        """Whether the row has a forward and a backward kernel."""
        return f"{self.name}_backward" in self.kernels

    @property
    def saved(self) -> tuple[str, ...]:
        """Names of the operands of forward that backward reads."""
        backward = self.kernels[f"{self.name}_backward"]
        return tuple(o.name for o in backward.inputs if not o.name.startswith("d"))

    def __repr__(self) -> str:
        return f"<row {self.name}: {', '.join(self.kernels)}>"


#: The rows by name.
ROWS: dict[str, Row] = {}
#: The kernels of all rows by name.
KERNELS: dict[str, Kernel] = {}


def _row(
    name: str,
    family: str,
    *kernels: Any,
    attributes: dict[str, float] | None = None,
    domain: dict[str, str] | None = None,
    kinks: tuple[float, ...] = (),
    note: str = "",
    source: str,
) -> None:
    row = ROWS[name] = Row(name, family, attributes or {}, domain or {}, kinks, note, source)
    for suffix, signature, expression, *inplace in kernels:
        kernel = name + ("_" + suffix if suffix else "")
        row.kernels[kernel] = KERNELS[kernel] = Kernel(kernel, row, signature, expression, inplace)


def suggest(name: object, names: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest of `names`, or an empty string.

    Parameters
    ----------
    name : object
        What was written.
    names : iterable of str
        What may be.

    Returns
    -------
    str

    Examples
    --------
    >>> suggest("rellu", ["relu", "tanh"])
    "; did you mean 'relu'?"
    """
    import difflib  # only needed where something already went wrong

    near = difflib.get_close_matches(str(name).lower(), list(names), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


_BACKPROP = "Rumelhart, Hinton & Williams 1986, Nature 323, eq. 4-7"
_BISHOP = "Bishop 2006, Pattern Recognition and Machine Learning"
_CLIP = (
    "Probabilities are clipped to [1e-15, 1 - 1e-15]. float32 has no number between 1 - 2**-24 and 1, so "
    "its upper bound is 1 - 2**-24: a sure and wrong binary prediction costs 16.6 there, 34.5 in float64. "
    "The gradient is taken at the clipped probability, not zeroed, so that a saturated wrong output still learns."
)
_BOUNDED = "q = clip({0}, eps, below_one({0}, eps)); "
_ALPHA = "a = 1 / np.sqrt((1 - rate) * (1 + 3.09091329228798 * rate)); "


def _polynomial(x: str, *coefficients: float) -> str:
    """Return ``c[0] + c[1] * x + ...`` in Horner's form."""
    text = repr(coefficients[-1])
    for c in coefficients[-2::-1]:
        text = f"({text} * {x} + {c!r})"
    return text


# of PPND16: numerators and denominators for |u - 0.5| <= 0.425, for the tails, for the tails below exp(-25)
_A = (
    3.3871328727963665, 133.14166789178438, 1971.5909503065513, 13731.69376550946, 45921.95393154987,
    67265.7709270087, 33430.57558358813, 2509.0809287301227,
)
_B = (
    1.0, 42.31333070160091, 687.1870074920579, 5394.196021424751, 21213.794301586597, 39307.89580009271,
    28729.085735721943, 5226.495278852854,
)
_C = (
    1.4234371107496835, 4.630337846156546, 5.769497221460691, 3.6478483247632045, 1.2704582524523684,
    0.2417807251774506, 0.022723844989269184, 0.0007745450142783414,
)
_D = (
    1.0, 2.053191626637759, 1.6763848301838038, 0.6897673349851, 0.14810397642748008, 0.015198666563616457,
    0.0005475938084995345, 1.0507500716444169e-09,
)
_E = (
    6.657904643501103, 5.463784911164114, 1.7848265399172913, 0.29656057182850487, 0.026532189526576124,
    0.0012426609473880784, 2.7115555687434876e-05, 2.0103343992922881e-07,
)
_F = (
    1.0, 0.599832206555888, 0.1369298809227358, 0.014875361290850615, 0.0007868691311456133,
    1.8463183175100548e-05, 1.421511758316446e-07, 2.0442631033899397e-15,
)

# fmt: off
# ---------------------------------------------------------------------------------------- matmul
_row(
    "matmul_nn", "matmul",
    ("", "a[m,k], b[k,n] -> y[m,n]", "y = a @ b"),
    source="the forward product of a dense layer, y = x @ w",
)
_row(
    "matmul_nt", "matmul",
    ("", "a[m,k], b[n,k] -> y[m,n]", "y = a @ b.T"),
    source="the gradient of a dense layer's input, dx = dy @ w.T",
)
_row(
    "matmul_tn", "matmul",
    ("", "a[k,m], b[k,n] -> y[m,n]", "y = a.T @ b"),
    source="the gradient of a dense layer's weights, dw = x.T @ dy",
)
_row(
    "bias", "matmul",
    ("forward", "x[batch,n], b[n] -> y[batch,n]", "y = x + b", "y=x"),
    ("backward", "dy[batch,n] -> db[n]", "db = dy.sum(axis=0)"),
    source=_BACKPROP,
)
_row(
    "dense", "matmul",
    (
        "", "x[batch,k], w[k,n], b[n] -> y[batch,n]",
        "y = x @ w + b; y = np.maximum(y, 0) if relu else y",
    ),
    attributes={"relu": 0.0},
    note="product, bias and relu in one pass: in portable numerics at the end of each tile of the product",
    source=_BACKPROP,
)

# ------------------------------------------------------------------------------------ activation
_row(
    "identity", "activation",
    ("forward", "x[n] -> y[n]", "y = x", "y=x"),
    ("backward", "dy[n] -> dx[n]", "dx = dy", "dx=dy"),
    source="y = x",
)
_row(
    "sigmoid", "activation",
    ("forward", "x[n] -> y[n]", "y = sigmoid(x)", "y=x"),
    ("backward", "dy[n], y[n] -> dx[n]", "dx = dy * (y * (1 - y))", "dx=dy", "dx=y"),
    note="sigmoid(x) is 1 / (1 + exp(-x)), where exp may overflow to inf and the result is then 0, as it should be; "
    "in portable numerics it is one function of at most 1 ulp",
    source=_BISHOP + ", eq. 4.59 and 4.88",
)
_row(
    "relu", "activation",
    ("forward", "x[n] -> y[n]", "y = np.maximum(x, 0)", "y=x"),
    ("backward", "dy[n], y[n] -> dx[n]", "dx = np.where(y > 0, dy, 0)", "dx=dy", "dx=y"),
    kinks=(0.0,),
    note="the derivative at 0 is 0; a NaN input gives a NaN output and the gradient 0",
    source="Nair & Hinton 2010, ICML",
)
_row(
    "tanh", "activation",
    ("forward", "x[n] -> y[n]", "y = np.tanh(x)", "y=x"),
    ("backward", "dy[n], y[n] -> dx[n]", "dx = dy * (1 - y * y)", "dx=dy", "dx=y"),
    source=_BISHOP + ", eq. 5.59 and 5.60",
)
_row(
    "relu6", "activation",
    ("forward", "x[n] -> y[n]", "y = np.minimum(np.maximum(x, 0), 6)", "y=x"),
    ("backward", "dy[n], y[n] -> dx[n]", "dx = np.where((y > 0) & (y < 6), dy, 0)", "dx=dy", "dx=y"),
    kinks=(0.0, 6.0),
    note="the derivative at 0 and 6 is 0",
    source="Krizhevsky 2010, Convolutional Deep Belief Networks on CIFAR-10",
)
_row(
    "leaky_relu", "activation",
    ("forward", "x[n] -> y[n]", "y = np.where(x > 0, x, alpha * x)", "y=x"),
    ("backward", "dy[n], x[n] -> dx[n]", "dx = np.where(x > 0, dy, alpha * dy)", "dx=dy", "dx=x"),
    attributes={"alpha": 0.01},
    kinks=(0.0,),
    note="the derivative at 0 is alpha; PyTorch's alpha, Keras has 0.2",
    source="Maas, Hannun & Ng 2013, ICML workshop",
)
_row(
    "elu", "activation",
    ("forward", "x[n] -> y[n]", "y = np.where(x > 0, x, alpha * np.expm1(x))", "y=x"),
    ("backward", "dy[n], x[n], y[n] -> dx[n]", "dx = np.where(x > 0, dy, dy * (y + alpha))", "dx=dy", "dx=x", "dx=y"),
    attributes={"alpha": 1.0},
    kinks=(0.0,),
    note="the derivative at 0 is alpha",
    source="Clevert, Unterthiner & Hochreiter 2016, ICLR, eq. 15",
)
_row(
    "selu", "activation",
    (
        "forward", "x[n] -> y[n]",
        "y = np.where(x > 0, 1.0507009873554805 * x, 1.7580993408473766 * np.expm1(x))", "y=x",
    ),
    (
        "backward", "dy[n], x[n], y[n] -> dx[n]",
        "dx = np.where(x > 0, 1.0507009873554805 * dy, dy * (y + 1.7580993408473766))", "dx=dy", "dx=x", "dx=y",
    ),
    kinks=(0.0,),
    note="1.7580993408473766 is 1.0507009873554805 * 1.6732632423543772; the derivative at 0 is the left one",
    source="Klambauer et al. 2017, NeurIPS, eq. 2",
)
_row(
    "celu", "activation",
    ("forward", "x[n] -> y[n]", "y = np.where(x > 0, x, alpha * np.expm1(x / alpha))", "y=x"),
    (
        "backward", "dy[n], x[n], y[n] -> dx[n]",
        "dx = np.where(x > 0, dy, dy * (y / alpha + 1))", "dx=dy", "dx=x", "dx=y",
    ),
    attributes={"alpha": 1.0},
    note="as elu, but with a continuous derivative for every alpha",
    source="Barron 2017, arXiv:1704.07483, eq. 2",
)
_row(
    "hard_sigmoid", "activation",
    ("forward", "x[n] -> y[n]", "y = clip(x + 3, 0, 6) / 6", "y=x"),
    ("backward", "dy[n], x[n] -> dx[n]", "dx = np.where((x > -3) & (x < 3), dy / 6, 0)", "dx=dy", "dx=x"),
    kinks=(-3.0, 3.0),
    note="the derivative at -3 and 3 is 0",
    source="Howard et al. 2019, ICCV (MobileNetV3), section 5.2",
)
_row(
    "hard_tanh", "activation",
    ("forward", "x[n] -> y[n]", "y = clip(x, -1, 1)", "y=x"),
    ("backward", "dy[n], y[n] -> dx[n]", "dx = np.where((y > -1) & (y < 1), dy, 0)", "dx=dy", "dx=y"),
    kinks=(-1.0, 1.0),
    note="the derivative at -1 and 1 is 0",
    source="Collobert 2004, Large Scale Machine Learning, PhD thesis",
)
_row(
    "hard_swish", "activation",
    ("forward", "x[n] -> y[n]", "y = x * (clip(x + 3, 0, 6) / 6)", "y=x"),
    (
        "backward", "dy[n], x[n] -> dx[n]",
        "dx = np.where(x <= -3, 0, np.where(x >= 3, dy, dy * (x / 3 + 0.5)))", "dx=dy", "dx=x",
    ),
    kinks=(-3.0, 3.0),
    note="the derivative is 0 at -3 and 1 at 3",
    source="Howard et al. 2019, ICCV (MobileNetV3), section 5.2",
)
_row(
    "softplus", "activation",
    ("forward", "x[n] -> y[n]", "y = softplus(x)", "y=x"),
    ("backward", "dy[n], x[n] -> dx[n]", "dx = dy * sigmoid(x)", "dx=dy", "dx=x"),
    note="softplus(x) is max(x, 0) + log1p(exp(-abs(x))); in portable numerics it is one function of at most 1 ulp. "
    "PyTorch's is x beyond 20",
    source="Dugas et al. 2001, NIPS",
)
_row(
    "softsign", "activation",
    ("forward", "x[n] -> y[n]", "y = x / (1 + np.abs(x))", "y=x"),
    ("backward", "dy[n], x[n] -> dx[n]", "d = 1 + np.abs(x); dx = dy / (d * d)", "dx=dy", "dx=x"),
    source="Glorot & Bengio 2010, AISTATS",
)
_row(
    "gelu", "activation",
    (
        "forward", "x[n] -> y[n]",
        "t = np.tanh(0.7978845608028654 * (x + 0.044715 * (x * x * x))); y = 0.5 * x * (1 + t)", "y=x",
    ),
    (
        "backward", "dy[n], x[n] -> dx[n]",
        "z = x * x; t = np.tanh(0.7978845608028654 * (x + 0.044715 * (x * x * x))); "
        "slope = (1 - t * t) * (0.7978845608028654 * (1 + 0.134145 * z)); "
        "dx = dy * (0.5 * (1 + t) + 0.5 * x * slope)", "dx=dy", "dx=x",
    ),
    note="the form with tanh; 0.7978845608028654 is sqrt(2 / pi). PyTorch's and Keras' default is gelu_exact",
    source="Hendrycks & Gimpel 2016, arXiv:1606.08415, section 2",
)
_row(
    "gelu_exact", "activation",
    ("forward", "x[n] -> y[n]", "y = 0.5 * x * (1 + erf(0.7071067811865476 * x))", "y=x"),
    (
        "backward", "dy[n], x[n] -> dx[n]",
        "p = 0.5 * (1 + erf(0.7071067811865476 * x)); "
        "dx = dy * (p + x * (0.3989422804014327 * np.exp(-0.5 * (x * x))))", "dx=dy", "dx=x",
    ),
    note="x times the normal distribution function. NumPy has no erf: it is the portable one in both numerics",
    source="Hendrycks & Gimpel 2016, arXiv:1606.08415, eq. 1",
)
_row(
    "silu", "activation",
    ("forward", "x[n] -> y[n]", "y = x * sigmoid(x)", "y=x"),
    ("backward", "dy[n], x[n] -> dx[n]", "s = sigmoid(x); dx = dy * (s * (1 + x * (1 - s)))", "dx=dy", "dx=x"),
    note="also called swish",
    source="Elfwing, Uchibe & Doya 2018, Neural Networks 107, eq. 11",
)
_row(
    "mish", "activation",
    ("forward", "x[n] -> y[n]", "y = x * np.tanh(softplus(x))", "y=x"),
    (
        "backward", "dy[n], x[n] -> dx[n]",
        "t = np.tanh(softplus(x)); dx = dy * (t + x * (1 - t * t) * sigmoid(x))", "dx=dy", "dx=x",
    ),
    source="Misra 2020, BMVC",
)
_row(
    "softmax", "activation",
    (
        "forward", "x[batch,n] -> y[batch,n]",
        "e = np.exp(x - x.max(axis=1, keepdims=True)); y = e / e.sum(axis=1, keepdims=True)", "y=x",
    ),
    (
        "backward", "dy[batch,n], y[batch,n] -> scratch[batch,n], dx[batch,n]",
        "scratch = dy * y; dx = y * (dy - scratch.sum(axis=1, keepdims=True))", "dx=dy", "dx=y",
    ),
    note="over the last axis; the row's maximum is subtracted first, so that exp cannot overflow",
    source=_BISHOP + ", eq. 4.104 and 4.106",
)

_row(
    "log_softmax", "activation",
    (
        "forward", "x[batch,n] -> y[batch,n]",
        "z = x - x.max(axis=1, keepdims=True); y = z - np.log(np.exp(z).sum(axis=1, keepdims=True))",
    ),
    (
        "backward", "dy[batch,n], y[batch,n] -> dx[batch,n]",
        "dx = dy - np.exp(y) * dy.sum(axis=1, keepdims=True)", "dx=y",
    ),
    note="over the last axis; the row's maximum is subtracted first, so that exp cannot overflow",
    source=_BISHOP + ", eq. 4.104",
)

# ------------------------------------------------------------------------------------------ norm
_row(
    "layer_norm", "norm",
    (
        "forward", "x[batch,n] -> y[batch,n], inverse[batch]",
        "d = x - x.sum(axis=1, keepdims=True) / x.shape[1]; "
        "s = 1 / np.sqrt((d * d).sum(axis=1, keepdims=True) / x.shape[1] + eps); y = d * s; inverse = s[:, 0]",
    ),
    (
        "backward", "dy[batch,n], y[batch,n], inverse[batch] -> scratch[batch,n], dx[batch,n]",
        "scratch = dy * y; a = dy.sum(axis=1, keepdims=True) / y.shape[1]; "
        "b = scratch.sum(axis=1, keepdims=True) / y.shape[1]; dx = inverse[:, None] * ((dy - a) - y * b)",
        "dx=dy", "dx=y",
    ),
    attributes={"eps": 1e-5},
    domain={"inverse": "nonnegative"},
    note="each row less its mean, over its standard deviation (of n, not n - 1)",
    source="Ba, Kiros & Hinton 2016, arXiv:1607.06450, eq. 3",
)
_row(
    "rms_norm", "norm",
    (
        "forward", "x[batch,n] -> y[batch,n], inverse[batch]",
        "s = 1 / np.sqrt((x * x).sum(axis=1, keepdims=True) / x.shape[1] + eps); y = x * s; inverse = s[:, 0]",
    ),
    (
        "backward", "dy[batch,n], y[batch,n], inverse[batch] -> scratch[batch,n], dx[batch,n]",
        "scratch = dy * y; b = scratch.sum(axis=1, keepdims=True) / y.shape[1]; "
        "dx = inverse[:, None] * (dy - y * b)", "dx=dy", "dx=y",
    ),
    attributes={"eps": 1e-6},
    domain={"inverse": "nonnegative"},
    note="each row over the root of its mean square",
    source="Zhang & Sennrich 2019, NeurIPS, eq. 4",
)
_row(
    "batch_norm", "norm",
    (
        "forward", "x[batch,n] -> y[batch,n], inverse[n], mean[n], variance[n]",
        "mean = x.sum(axis=0) / len(x); d = x - mean; variance = (d * d).sum(axis=0) / len(x); "
        "inverse = 1 / np.sqrt(variance + eps); y = d * inverse",
    ),
    (
        "backward", "dy[batch,n], y[batch,n], inverse[n] -> dx[batch,n]",
        "a = dy.sum(axis=0) / len(y); b = (dy * y).sum(axis=0) / len(y); dx = inverse * ((dy - a) - y * b)",
    ),
    attributes={"eps": 1e-3},
    domain={"inverse": "nonnegative"},
    note="each column less its mean, over its standard deviation (of the batch, not one less). A single row becomes 0, "
    "and so does its gradient; of no rows mean, variance and inverse are NaN",
    source="Ioffe & Szegedy 2015, ICML, algorithm 1 and section 3",
)
_row(
    "normalize", "norm",
    (
        "", "x[batch,n], mean[n], variance[n] -> y[batch,n], inverse[n]",
        "inverse = 1 / np.sqrt(variance + eps); y = (x - mean) * inverse", "y=x",
    ),
    attributes={"eps": 1e-3},
    domain={"variance": "nonnegative"},
    note="batch_norm with a mean and a variance that are given, those of the training data; dx is dy * inverse",
    source="Ioffe & Szegedy 2015, ICML, algorithm 2",
)
_row(
    "moving_average", "norm",
    ("", "moving[n], value[n] -> moving[n]", "moving = moving * momentum + value * (1 - momentum)"),
    attributes={"momentum": 0.99},
    note="Keras' momentum and Keras' variance, that of the batch. PyTorch's momentum is 1 - 0.9, and its variance is "
    "multiplied by batch / (batch - 1) here",
    source="Keras' BatchNormalization",
)
_row(
    "affine", "norm",
    ("forward", "x[batch,n], gamma[n], beta[n] -> y[batch,n]", "y = x * gamma + beta", "y=x"),
    (
        "backward", "dy[batch,n], x[batch,n], gamma[n] -> scratch[batch,n], dx[batch,n], dgamma[n], dbeta[n]",
        "scratch = dy * x; dgamma = scratch.sum(axis=0); dbeta = dy.sum(axis=0); dx = dy * gamma", "dx=dy", "dx=x",
    ),
    note="a scale and a shift for each column",
    source="Ioffe & Szegedy 2015, ICML, algorithm 1",
)
_row(
    "scale", "norm",
    ("forward", "x[batch,n], gamma[n] -> y[batch,n]", "y = x * gamma", "y=x"),
    (
        "backward", "dy[batch,n], x[batch,n], gamma[n] -> scratch[batch,n], dx[batch,n], dgamma[n]",
        "scratch = dy * x; dgamma = scratch.sum(axis=0); dx = dy * gamma", "dx=dy", "dx=x",
    ),
    note="a scale for each column",
    source="Zhang & Sennrich 2019, NeurIPS, eq. 4",
)

_row(
    "prelu", "norm",
    ("forward", "x[batch,n], alpha[n] -> y[batch,n]", "y = np.where(x > 0, x, alpha * x)", "y=x"),
    (
        "backward", "dy[batch,n], x[batch,n], alpha[n] -> dx[batch,n], dalpha[n]",
        "dalpha = np.where(x > 0, 0, dy * x).sum(axis=0); dx = np.where(x > 0, dy, alpha * dy)",
    ),
    kinks=(0.0,),
    note="leaky_relu with a slope for each column, which is learned; the derivative at 0 is alpha",
    source="He et al. 2015, ICCV, eq. 1 and 11",
)

# ---------------------------------------------------------------------------------------- random
_row(
    "uniform", "random",
    (
        "", "x[n], generator[6]:i8 -> u[n], generator[6]:i8",
        "rng = pcg64(generator); u = rng.random(x.shape, x.dtype); generator = pcg64_state(rng)",
    ),
    domain={"generator": "generator"},
    note="u has the shape and dtype of x, whose numbers are not read. generator is the state of a numpy.random.PCG64 "
    "as the bits of six integers: the upper and lower half of state and of inc, has_uint32 and uinteger. u and the "
    "state afterwards are those of numpy.random.Generator.random: in float64 (next64 >> 11) * 2**-53, in float32 "
    "(next32 >> 8) * 2**-24, where next32 is the lower, then the upper half of a next64",
    source="O'Neill 2014, HMC-CS-2014-0905 (PCG-XSL-RR-128/64)",
)
_row(
    "keep_streams", "random",
    ("", "streams[n]:i8 -> kept[n]:i8", "kept = streams"),
    note="a step draws from a copy, which becomes the state with its update: an unfinished one has drawn nothing",
    source="kept = streams",
)
_row(
    "dropout", "random",
    ("forward", "x[n], u[n] -> y[n]", "y = np.where(u >= rate, x * (1 / (1 - rate)), 0)", "y=x", "y=u"),
    ("backward", "dy[n], u[n] -> dx[n]", "dx = np.where(u >= rate, dy * (1 / (1 - rate)), 0)", "dx=dy", "dx=u"),
    attributes={"rate": 0.5},
    domain={"u": "uniform"},
    note="what is dropped is 0, whatever x is; the rest is scaled, so that the expected value is x",
    source="Srivastava et al. 2014, JMLR 15, section 10 (the scale at training time)",
)
_row(
    "alpha_dropout", "random",
    (
        "forward", "x[n], u[n] -> y[n]",
        _ALPHA + "y = np.where(u >= rate, x * x.dtype.type(a) + x.dtype.type(1.7580993408473766 * rate * a), "
        "x.dtype.type(-1.7580993408473766 * (1 - rate) * a))", "y=x", "y=u",
    ),
    (
        "backward", "dy[n], u[n] -> dx[n]",
        _ALPHA + "dx = np.where(u >= rate, dy * dy.dtype.type(a), 0)", "dx=dy", "dx=u",
    ),
    attributes={"rate": 0.5},
    domain={"u": "uniform"},
    note="what is dropped becomes -1.7580993408473766, the limit of selu at -inf; then a scale and a shift give inputs "
    "of mean 0 and variance 1 back their mean and variance. 3.09091329228798 is the square of that limit",
    source="Klambauer et al. 2017, NeurIPS, section 2",
)
_row(
    "gaussian_noise", "random",
    (
        "", "x[n], u[n] -> y[n]",
        "q = u - 0.5; t = np.maximum(0.5 - np.abs(q), 0.5 * (1 - below_one(u, 0))); r = np.sqrt(-np.log(t)); "
        "s = 0.180625 - q * q; m = r - 1.6; f = r - 5; "
        f"a = np.where(r <= 5, {_polynomial('m', *_C)}, {_polynomial('f', *_E)}); "
        f"b = np.where(r <= 5, {_polynomial('m', *_D)}, {_polynomial('f', *_F)}); "
        f"z = np.where(np.abs(q) <= 0.425, q * {_polynomial('s', *_A)}, np.where(q < 0, -a, a)) "
        f"/ np.where(np.abs(q) <= 0.425, {_polynomial('s', *_B)}, b); y = x + stddev * z", "y=x", "y=u",
    ),
    attributes={"stddev": 1.0},
    domain={"u": "uniform"},
    note="with z = the standard normal quantile of u, within 7 ulp in float32 and 5 in float64. u = 0 counts as half "
    "of the smallest other u, so that abs(z) is at most 5.42 in float32 and 8.3 in float64. dx is dy",
    source="Wichura 1988, Applied Statistics 37, algorithm AS 241 (PPND16)",
)

# ------------------------------------------------------------------------------------------ loss
_row(
    "mean_squared_error", "loss",
    (
        "forward", "y_pred[n], y_true[n] -> elements[n], loss[]",
        "d = y_pred - y_true; elements = d * d; loss = elements.sum() / (y_pred.size if mean else 1)",
    ),
    (
        "backward", "y_pred[n], y_true[n] -> dy_pred[n]",
        "dy_pred = (y_pred - y_true) * (2 / (y_pred.size if mean else 1))", "dy_pred=y_pred",
    ),
    attributes={"mean": 1.0},
    note="mean over all elements of the batch, or with mean=0 their sum",
    source=_BISHOP + ", eq. 1.2 (there a half of the sum)",
)
_row(
    "mean_absolute_error", "loss",
    (
        "forward", "y_pred[n], y_true[n] -> elements[n], loss[]",
        "elements = np.abs(y_pred - y_true); loss = elements.sum() / (y_pred.size if mean else 1)",
    ),
    (
        "backward", "y_pred[n], y_true[n] -> dy_pred[n]",
        "d = y_pred - y_true; f = 1 / (y_pred.size if mean else 1); "
        "dy_pred = np.where(d > 0, f, np.where(d < 0, -f, d * f))", "dy_pred=y_pred",
    ),
    attributes={"mean": 1.0},
    note="the derivative at a difference of 0 is 0",
    source=_BISHOP + ", section 1.5.5",
)
_row(
    "huber", "loss",
    (
        "forward", "y_pred[n], y_true[n] -> elements[n], loss[]",
        "a = np.abs(y_pred - y_true); elements = np.where(a <= delta, 0.5 * (a * a), delta * (a - 0.5 * delta)); "
        "loss = elements.sum() / (y_pred.size if mean else 1)",
    ),
    (
        "backward", "y_pred[n], y_true[n] -> dy_pred[n]",
        "dy_pred = clip(y_pred - y_true, -delta, delta) * (1 / (y_pred.size if mean else 1))", "dy_pred=y_pred",
    ),
    attributes={"mean": 1.0, "delta": 1.0},
    note="half a square up to delta, delta times the distance beyond: Keras' and PyTorch's HuberLoss; PyTorch's "
    "SmoothL1Loss is this divided by delta",
    source="Huber 1964, Ann. Math. Stat. 35",
)
_row(
    "log_cosh", "loss",
    (
        "forward", "y_pred[n], y_true[n] -> elements[n], loss[]",
        "a = np.abs(y_pred - y_true); elements = a + np.log1p(np.exp(-2 * a)) - 0.6931471805599453; "
        "loss = elements.sum() / (y_pred.size if mean else 1)",
    ),
    (
        "backward", "y_pred[n], y_true[n] -> dy_pred[n]",
        "dy_pred = np.tanh(y_pred - y_true) * (1 / (y_pred.size if mean else 1))", "dy_pred=y_pred",
    ),
    attributes={"mean": 1.0},
    note="log(cosh(d)) = abs(d) + log(1 + exp(-2 abs(d))) - log(2), which cannot overflow; the rounding of the "
    "difference is some 1e-7 in float32 near 0",
    source="Keras' LogCosh",
)
_row(
    "hinge", "loss",
    (
        "forward", "y_pred[n], y_true[n] -> elements[n], loss[]",
        "elements = np.maximum(1 - y_true * y_pred, 0); loss = elements.sum() / (y_pred.size if mean else 1)",
    ),
    (
        "backward", "y_pred[n], y_true[n] -> dy_pred[n]",
        "f = -1 / (y_pred.size if mean else 1); dy_pred = np.where(y_true * y_pred < 1, y_true * f, 0)",
        "dy_pred=y_pred",
    ),
    attributes={"mean": 1.0},
    domain={"y_true": "sign"},
    note="targets are -1 and 1; the derivative at a margin of 1 is 0",
    source=_BISHOP + ", eq. 7.44",
)
_row(
    "squared_hinge", "loss",
    (
        "forward", "y_pred[n], y_true[n] -> elements[n], loss[]",
        "m = np.maximum(1 - y_true * y_pred, 0); elements = m * m; "
        "loss = elements.sum() / (y_pred.size if mean else 1)",
    ),
    (
        "backward", "y_pred[n], y_true[n] -> dy_pred[n]",
        "m = np.maximum(1 - y_true * y_pred, 0); dy_pred = m * y_true * (-2 / (y_pred.size if mean else 1))",
        "dy_pred=y_pred",
    ),
    attributes={"mean": 1.0},
    domain={"y_true": "sign"},
    note="targets are -1 and 1",
    source="Chang, Hsieh & Lin 2008, JMLR 9 (L2 loss)",
)
_row(
    "contrastive", "loss",
    (
        "forward", "y_pred[n], y_true[n] -> elements[n], loss[]",
        "m = np.maximum(margin - y_pred, 0); elements = y_true * (y_pred * y_pred) + (1 - y_true) * (m * m); "
        "loss = elements.sum() / (y_pred.size if mean else 1)",
    ),
    (
        "backward", "y_pred[n], y_true[n] -> dy_pred[n]",
        "m = np.maximum(margin - y_pred, 0); "
        "dy_pred = (y_true * y_pred - (1 - y_true) * m) * (2 / (y_pred.size if mean else 1))", "dy_pred=y_pred",
    ),
    attributes={"mean": 1.0, "margin": 1.0},
    domain={"y_true": "binary"},
    note="y_pred is the distance of a pair, y_true 1 where the two belong together",
    source="Hadsell, Chopra & LeCun 2006, CVPR, eq. 4 (there half of it, and Y = 1 - y_true)",
)
_row(
    "poisson", "loss",
    (
        "forward", "y_pred[n], y_true[n] -> elements[n], loss[]",
        "elements = y_pred - y_true * np.log(y_pred + eps); loss = elements.sum() / (y_pred.size if mean else 1)",
    ),
    (
        "backward", "y_pred[n], y_true[n] -> dy_pred[n]",
        "dy_pred = (1 - y_true / (y_pred + eps)) * (1 / (y_pred.size if mean else 1))", "dy_pred=y_pred",
    ),
    attributes={"mean": 1.0, "eps": 1e-7},
    domain={"y_pred": "nonnegative", "y_true": "nonnegative"},
    note="negative log-likelihood of counts without the term of y_true alone; y_pred is the rate",
    source="Keras' Poisson; PyTorch's PoissonNLLLoss(log_input=False, eps=1e-7)",
)
_row(
    "poisson_log", "loss",
    (
        "forward", "y_pred[n], y_true[n] -> elements[n], loss[]",
        "elements = np.exp(y_pred) - y_true * y_pred; loss = elements.sum() / (y_pred.size if mean else 1)",
    ),
    (
        "backward", "y_pred[n], y_true[n] -> dy_pred[n]",
        "dy_pred = (np.exp(y_pred) - y_true) * (1 / (y_pred.size if mean else 1))", "dy_pred=y_pred",
    ),
    attributes={"mean": 1.0},
    domain={"y_true": "nonnegative"},
    note="as poisson, y_pred being the logarithm of the rate",
    source="PyTorch's PoissonNLLLoss(log_input=True)",
)
_row(
    "gaussian_nll", "loss",
    (
        "forward", "y_pred[batch,2,n], y_true[batch,n] -> inverse[batch,n], elements[batch,n], loss[]",
        "d = y_pred[:, 0] - y_true; inverse = np.exp(-y_pred[:, 1]); "
        "elements = 0.5 * (y_pred[:, 1] + d * (d * inverse)); loss = elements.sum() / (y_true.size if mean else 1)",
    ),
    (
        "backward", "y_pred[batch,2,n], y_true[batch,n], inverse[batch,n] -> dy_pred[batch,2,n]",
        "d = y_pred[:, 0] - y_true; s = d * inverse; "
        "dy_pred = np.stack([s, 0.5 * (1 - d * s)], axis=1) * (1 / (y_true.size if mean else 1))", "dy_pred=y_pred",
    ),
    attributes={"mean": 1.0},
    domain={"inverse": "nonnegative"},
    note="each row of y_pred holds n means and then n logarithms of variances; the constant log(2 pi) / 2 is left out",
    source="Nix & Weigend 1994, ICNN; PyTorch's GaussianNLLLoss, which takes variances",
)
_row(
    "focal", "loss",
    (
        "forward", "logits[n], y_true[n] -> elements[n], loss[]",
        "u = softplus(logits); w = u - logits; m = y_true * u + (1 - y_true) * w; "
        "elements = np.exp(-gamma * m) * (u - y_true * logits) * (alpha * y_true + (1 - alpha) * (1 - y_true)); "
        "loss = elements.sum() / (logits.size if mean else 1)",
    ),
    (
        "backward", "logits[n], y_true[n] -> dlogits[n]",
        "u = softplus(logits); w = u - logits; p = sigmoid(logits); m = y_true * u + (1 - y_true) * w; "
        "slope = y_true * p - (1 - y_true) * (1 - p); "
        "d = (p - y_true) - gamma * (u - y_true * logits) * slope; "
        "dlogits = np.exp(-gamma * m) * d * (alpha * y_true + (1 - alpha) * (1 - y_true)) "
        "* (1 / (logits.size if mean else 1))", "dlogits=logits",
    ),
    attributes={"mean": 1.0, "gamma": 2.0, "alpha": 0.25},
    domain={"y_true": "binary"},
    note="(1 - p_t)**gamma times binary cross-entropy on logits, weighted by alpha where y_true is 1 and 1 - alpha "
    "where it is 0. (1 - p_t)**gamma is exp(-gamma m), m = -log(1 - p_t) a softplus",
    source="Lin et al. 2017, ICCV, eq. 5",
)
_row(
    "binary_cross_entropy", "loss",
    (
        "forward", "y_pred[n], y_true[n] -> elements[n], loss[]",
        _BOUNDED.format("y_pred") + "elements = -y_true * np.log(q) - (1 - y_true) * np.log(1 - q); "
        "loss = elements.sum() / (y_pred.size if mean else 1)",
    ),
    (
        "backward", "y_pred[n], y_true[n] -> dy_pred[n]",
        _BOUNDED.format("y_pred") + "dy_pred = (q - y_true) / (q * (1 - q)) * (1 / (y_pred.size if mean else 1))",
        "dy_pred=y_pred",
    ),
    attributes={"mean": 1.0, "eps": 1e-15},
    domain={"y_pred": "probability", "y_true": "binary"},
    note=_CLIP,
    source=_BISHOP + ", eq. 4.90",
)
_row(
    "sigmoid_cross_entropy", "loss",
    (
        "forward", "logits[n], y_true[n] -> elements[n], loss[]",
        "elements = np.maximum(logits, 0) - logits * y_true + np.log1p(np.exp(-np.abs(logits))); "
        "loss = elements.sum() / (logits.size if mean else 1)",
    ),
    (
        "backward", "logits[n], y_true[n] -> dlogits[n]",
        "dlogits = (sigmoid(logits) - y_true) * (1 / (logits.size if mean else 1))", "dlogits=logits",
    ),
    attributes={"mean": 1.0},
    domain={"y_true": "binary"},
    note="binary cross-entropy on logits; log1p of exp(-abs(z)) cannot overflow",
    source=_BISHOP + ", eq. 4.90 and 4.91; the stable form as in the TensorFlow documentation",
)
_row(
    "weighted_binary_cross_entropy", "loss",
    (
        "forward", "y_pred[n], y_true[n] -> elements[n], loss[]",
        _BOUNDED.format("y_pred") + "elements = -pos_weight * y_true * np.log(q) - (1 - y_true) * np.log(1 - q); "
        "loss = elements.sum() / (y_pred.size if mean else 1)",
    ),
    (
        "backward", "y_pred[n], y_true[n] -> dy_pred[n]",
        _BOUNDED.format("y_pred") + "dy_pred = ((1 - y_true) / (1 - q) - pos_weight * y_true / q) "
        "* (1 / (y_pred.size if mean else 1))", "dy_pred=y_pred",
    ),
    attributes={"mean": 1.0, "eps": 1e-15, "pos_weight": 2.0},
    domain={"y_pred": "probability", "y_true": "binary"},
    note="binary_cross_entropy with the term of y_true times pos_weight. " + _CLIP,
    source="the weight as in PyTorch's BCEWithLogitsLoss",
)
_row(
    "weighted_sigmoid_cross_entropy", "loss",
    (
        "forward", "logits[n], y_true[n] -> elements[n], loss[]",
        "t = np.log1p(np.exp(-np.abs(logits))); elements = (1 - y_true) * (np.maximum(logits, 0) + t) "
        "+ pos_weight * y_true * (np.maximum(-logits, 0) + t); loss = elements.sum() / (logits.size if mean else 1)",
    ),
    (
        "backward", "logits[n], y_true[n] -> dlogits[n]",
        "p = sigmoid(logits); dlogits = ((1 - y_true) * p - pos_weight * y_true * (1 - p)) "
        "* (1 / (logits.size if mean else 1))", "dlogits=logits",
    ),
    attributes={"mean": 1.0, "pos_weight": 2.0},
    domain={"y_true": "binary"},
    note="sigmoid_cross_entropy with the term of y_true times pos_weight: the softplus of the logit, and of its "
    "negative, cannot overflow",
    source="PyTorch's BCEWithLogitsLoss",
)
_row(
    "categorical_cross_entropy", "loss",
    (
        "forward", "y_pred[batch,n], y_true[batch,n] -> elements[batch,n], loss[]",
        _BOUNDED.format("y_pred") + "elements = -y_true * np.log(q); "
        "loss = elements.sum() / (len(y_pred) if mean else 1)",
    ),
    (
        "backward", "y_pred[batch,n], y_true[batch,n] -> dy_pred[batch,n]",
        _BOUNDED.format("y_pred") + "dy_pred = y_true / q * (-1 / (len(y_pred) if mean else 1))", "dy_pred=y_pred",
    ),
    attributes={"mean": 1.0, "eps": 1e-15},
    domain={"y_pred": "probability", "y_true": "one_hot"},
    note=_CLIP,
    source=_BISHOP + ", eq. 4.108",
)
_row(
    "kl_divergence", "loss",
    (
        "forward", "y_pred[batch,n], y_true[batch,n] -> elements[batch,n], loss[]",
        _BOUNDED.format("y_pred") + "t = clip(y_true, eps, below_one(y_true, eps)); "
        "elements = t * (np.log(t) - np.log(q)); loss = elements.sum() / (len(y_pred) if mean else 1)",
    ),
    (
        "backward", "y_pred[batch,n], y_true[batch,n] -> dy_pred[batch,n]",
        _BOUNDED.format("y_pred") + "t = clip(y_true, eps, below_one(y_true, eps)); "
        "dy_pred = t / q * (-1 / (len(y_pred) if mean else 1))", "dy_pred=y_pred",
    ),
    attributes={"mean": 1.0, "eps": 1e-15},
    domain={"y_pred": "probability", "y_true": "probability"},
    note="a sum over each row, the mean over rows: Keras' KLDivergence, PyTorch's KLDivLoss(reduction='batchmean') of "
    "log(y_pred). " + _CLIP,
    source="Kullback & Leibler 1951, Ann. Math. Stat. 22",
)
_row(
    "sparse_categorical_cross_entropy", "loss",
    (
        "forward", "y_pred[batch,n], y_true[batch]:i8 -> sample_loss[batch], loss[]",
        "p = y_pred[np.arange(len(y_true)), y_true]; " + _BOUNDED.format("p") + "sample_loss = -np.log(q); "
        "loss = sample_loss.sum() / (len(q) if mean else 1)",
    ),
    (
        "backward", "y_pred[batch,n], y_true[batch]:i8 -> dy_pred[batch,n]",
        "i = np.arange(len(y_true)); p = y_pred[i, y_true]; " + _BOUNDED.format("p")
        + "dy_pred = np.zeros_like(y_pred); dy_pred[i, y_true] = (-1 / (len(q) if mean else 1)) / q",
    ),
    attributes={"mean": 1.0, "eps": 1e-15},
    domain={"y_pred": "probability", "y_true": "label"},
    note=_CLIP,
    source=_BISHOP + ", eq. 4.108 with one-hot targets",
)
_row(
    "softmax_cross_entropy", "loss",
    (
        "forward",
        "logits[batch,n], y_true[batch,n] -> probabilities[batch,n], elements[batch,n], sample_loss[batch], loss[]",
        "z = logits - logits.max(axis=1, keepdims=True); e = np.exp(z); s = e.sum(axis=1, keepdims=True); "
        "probabilities = e / s; elements = y_true * (z - np.log(s)); sample_loss = -elements.sum(axis=1); "
        "loss = sample_loss.sum() / (len(z) if mean else 1)",
    ),
    (
        "backward", "probabilities[batch,n], y_true[batch,n] -> dlogits[batch,n]",
        "dlogits = (probabilities * y_true.sum(axis=1, keepdims=True) - y_true) * (1 / (len(y_true) if mean else 1))",
        "dlogits=probabilities",
    ),
    attributes={"mean": 1.0},
    domain={"y_true": "one_hot", "probabilities": "probability"},
    note="categorical cross-entropy on logits, softmax included; targets need not sum to one",
    source=_BISHOP + ", eq. 4.108 and 4.109",
)
_row(
    "sparse_softmax_cross_entropy", "loss",
    (
        "forward", "logits[batch,n], y_true[batch]:i8 -> probabilities[batch,n], sample_loss[batch], loss[]",
        "z = logits - logits.max(axis=1, keepdims=True); e = np.exp(z); s = e.sum(axis=1, keepdims=True); "
        "probabilities = e / s; sample_loss = np.log(s)[:, 0] - z[np.arange(len(z)), y_true]; "
        "loss = sample_loss.sum() / (len(z) if mean else 1)",
    ),
    (
        "backward", "probabilities[batch,n], y_true[batch]:i8 -> dlogits[batch,n]",
        "dlogits = probabilities.copy(); dlogits[np.arange(len(y_true)), y_true] -= 1; "
        "dlogits *= 1 / (len(y_true) if mean else 1)",
        "dlogits=probabilities",
    ),
    attributes={"mean": 1.0},
    domain={"y_true": "label", "probabilities": "probability"},
    note="sparse categorical cross-entropy on logits, softmax included",
    source=_BISHOP + ", eq. 4.108 and 4.109",
)
_row(
    "categorical_hinge", "loss",
    (
        "forward", "y_pred[batch,n], y_true[batch,n] -> elements[batch,n], sample_loss[batch], loss[]",
        "elements = y_true * y_pred; m = ((1 - y_true) * y_pred).max(axis=1) - elements.sum(axis=1) + 1; "
        "sample_loss = np.maximum(m, 0); loss = sample_loss.sum() / (len(m) if mean else 1)",
    ),
    (
        "backward", "y_pred[batch,n], y_true[batch,n], sample_loss[batch] -> dy_pred[batch,n]",
        "i = np.arange(len(y_true)); j = ((1 - y_true) * y_pred).argmax(axis=1); slope = -y_true; "
        "slope[i, j] += 1 - y_true[i, j]; "
        "dy_pred = np.where(sample_loss[:, None] > 0, slope, 0) * (1 / (len(y_true) if mean else 1))",
        "dy_pred=y_pred",
    ),
    attributes={"mean": 1.0},
    domain={"y_true": "one_hot"},
    note="how far the largest other output is from being 1 below the true one; the true one's place counts among the "
    "others with 0. Of equals the first has the slope; the derivative at a margin of 1 is 0",
    source="Keras' CategoricalHinge; Crammer & Singer 2001, JMLR 2",
)
_row(
    "cosine_similarity", "loss",
    (
        "forward",
        "y_pred[batch,n], y_true[batch,n] -> "
        "elements[batch,n], norm_pred[batch], norm_true[batch], sample_loss[batch], loss[]",
        "norm_pred = np.sqrt((y_pred * y_pred).sum(axis=1)); norm_true = np.sqrt((y_true * y_true).sum(axis=1)); "
        "elements = (y_pred / np.maximum(norm_pred, eps)[:, None]) * (y_true / np.maximum(norm_true, eps)[:, None]); "
        "sample_loss = -elements.sum(axis=1); loss = sample_loss.sum() / (len(y_pred) if mean else 1)",
    ),
    (
        "backward",
        "y_pred[batch,n], y_true[batch,n], norm_pred[batch], norm_true[batch], sample_loss[batch] -> dy_pred[batch,n]",
        "a = np.maximum(norm_pred, eps)[:, None]; b = np.maximum(norm_true, eps)[:, None]; "
        "s = np.where(norm_pred > eps, sample_loss, 0)[:, None]; "
        "dy_pred = (y_true / b + s * (y_pred / a)) / a * (-1 / (len(y_pred) if mean else 1))",
        "dy_pred=y_pred",
    ),
    attributes={"mean": 1.0, "eps": 1e-8},
    domain={"norm_pred": "nonnegative", "norm_true": "nonnegative"},
    note="minus the cosine of the angle between the rows; a norm below eps counts as eps, so that the cosine with a "
    "zero vector is 0, and the gradient there -y_true / (norm(y_true) eps)",
    source="Keras' CosineSimilarity; eps as in PyTorch's cosine_similarity",
)
_row(
    "triplet_margin", "loss",
    (
        "forward", "y_pred[batch,n] -> elements[batch,n], length[batch], sample_loss[batch], loss[]",
        "k = len(y_pred) // 3; anchor, positive, negative = (y_pred[i : 3 * k : 3] for i in range(3)); "
        "p = anchor - positive + eps; q = anchor - negative + eps; elements = np.zeros_like(y_pred); "
        "elements[1 : 3 * k : 3] = p * p; elements[2 : 3 * k : 3] = q * q; length = np.sqrt(elements.sum(axis=1)); "
        "sample_loss = np.zeros_like(length); "
        "sample_loss[: 3 * k : 3] = np.maximum(length[1 : 3 * k : 3] - length[2 : 3 * k : 3] + margin, 0); "
        "loss = sample_loss.sum() / (max(k, 1) if mean else 1)",
    ),
    (
        "backward", "y_pred[batch,n], length[batch], sample_loss[batch] -> dy_pred[batch,n]",
        "k = len(y_pred) // 3; anchor, positive, negative = (y_pred[i : 3 * k : 3] for i in range(3)); "
        "near = length[1 : 3 * k : 3, None]; far = length[2 : 3 * k : 3, None]; "
        "active = sample_loss[: 3 * k : 3, None] > 0; f = 1 / (max(k, 1) if mean else 1); "
        "u = np.where(active & (near > 0), (anchor - positive + eps) / near, 0) * f; "
        "v = np.where(active & (far > 0), (anchor - negative + eps) / far, 0) * f; dy_pred = np.zeros_like(y_pred); "
        "dy_pred[: 3 * k : 3] = u - v; dy_pred[1 : 3 * k : 3] = -u; dy_pred[2 : 3 * k : 3] = v",
    ),
    attributes={"mean": 1.0, "margin": 1.0, "eps": 1e-6},
    note="rows in threes: anchor, positive, negative, anchor ...; rows after the last whole three have no loss. length "
    "holds the distance to the anchor, sample_loss the loss of the three in the anchor's row. The derivative of a "
    "distance of 0 is 0, and so is that of the loss where the margin is just kept",
    source="Balntas et al. 2016, BMVC; eps as in PyTorch's TripletMarginLoss",
)
_row(
    "triplet_semi_hard", "loss",
    (
        "forward",
        "y_pred[batch,n], y_true[batch]:i8 -> "
        "pairwise[batch,batch], elements[batch,batch], pull[batch,batch], count[]:i8, loss[]",
        "products = y_pred @ y_pred.T; s = products.diagonal(); q = np.maximum(s[:, None] + s - 2 * products, 0); "
        "pairwise = q if squared else np.sqrt(q); r = np.arange(len(y_true)); other = y_true[:, None] != y_true; "
        "order = np.where(np.isnan(pairwise), -1, pairwise).argsort(axis=1, kind='stable'); "
        "fits = ~(np.take_along_axis(pairwise, order, 1)[:, None] <= pairwise[:, :, None]); "
        "fits &= np.take_along_axis(other, order, 1)[:, None]; "
        "semi_hard = np.take_along_axis(order, fits.argmax(axis=2), 1); "
        "farthest = np.where(other, pairwise, -1).argmax(axis=1)[:, None]; "
        "negative = np.where(fits.any(axis=2), semi_hard, farthest); "
        "triplets = ~other & (r[:, None] != r) & other.any(axis=1, keepdims=True); "
        "count = int(np.count_nonzero(triplets)); m = pairwise - np.take_along_axis(pairwise, negative, 1) + margin; "
        "elements = np.where(triplets, np.maximum(m, 0), 0); active = elements > 0; "
        "taken = np.bincount((len(r) * r[:, None] + negative)[active], minlength=len(r) * len(r)); "
        "weights = active - taken.reshape(active.shape).astype(y_pred.dtype); "
        "slope = weights if squared else np.where(pairwise > 0, weights / pairwise, 0); pull = slope + slope.T; "
        "loss = elements.sum() / (max(count, 1) if mean else 1)",
    ),
    (
        "backward", "y_pred[batch,n], pull[batch,batch], count[]:i8 -> dy_pred[batch,n]",
        "f = (2 if squared else 1) / (max(int(count), 1) if mean else 1); "
        "dy_pred = (pull.sum(axis=1, keepdims=True) * y_pred - pull @ y_pred) * f",
    ),
    attributes={"mean": 1.0, "margin": 1.0, "squared": 0.0},
    domain={"y_true": "group"},
    note="every pair of one group, anchor and positive, with the anchor's nearest negative beyond the positive, or "
    "where there is none its farthest; of equally distant ones the first. An anchor without a negative makes no "
    "triplet; NaN counts as nearest. pull sums what draws each pair together, over its distance: 0 where that is 0",
    source="Schroff, Kalenichenko & Philbin 2015, CVPR, section 3.2; TensorFlow Addons' TripletSemiHardLoss",
)
_row(
    "smooth_labels", "loss",
    ("", "y_true[n] -> smoothed[n]", "smoothed = y_true * (1 - smoothing) + smoothing * share"),
    attributes={"smoothing": 0.1, "share": 0.5},
    domain={"y_true": "binary"},
    note="targets less sure of themselves, before a cross-entropy: share is 1/2 for binary ones, 1 / n for n classes",
    source="Szegedy et al. 2016, CVPR, section 7",
)
_row(
    "smooth_one_hot", "loss",
    (
        "", "y_pred[batch,n], y_true[batch]:i8 -> smoothed[batch,n]",
        "smoothed = np.zeros_like(y_pred); smoothed[np.arange(len(y_true)), y_true] = 1 - smoothing; "
        "smoothed += smoothing * (1 / y_pred.shape[1])",
    ),
    attributes={"smoothing": 0.1},
    domain={"y_true": "label"},
    note="smooth_labels of labels as one-hot rows; of y_pred it reads the shape alone",
    source="Szegedy et al. 2016, CVPR, section 7",
)
_row(
    "check_finite", "loss",
    ("", "loss[] -> ", "assert np.isfinite(loss)"),
    note="stops the program before the update when the loss is NaN or infinite",
    source="-",
)

# ------------------------------------------------------------------------------------- optimizer
_row(
    "sgd", "optimizer",
    ("update", "w[n], dw[n], lr[1]:f8 -> w[n]", "w = w - w.dtype.type(lr[0]) * dw"),
    source="Robbins & Monro 1951, Ann. Math. Stat. 22",
)
_row(
    "momentum", "optimizer",
    (
        "update", "w[n], dw[n], velocity[n], lr[1]:f8 -> w[n], velocity[n]",
        "velocity = momentum * velocity + dw; "
        "w = w - w.dtype.type(lr[0]) * (dw + momentum * velocity if nesterov else velocity)",
    ),
    attributes={"momentum": 0.9, "nesterov": 0.0},
    note="PyTorch's form: the velocity is a sum of gradients, the learning rate enters at the end",
    source="Sutskever et al. 2013, ICML; Polyak 1964",
)
_row(
    "adam", "optimizer",
    (
        "advance", "power[2]:f8 -> power[2]:f8",
        "power = power * np.array([beta1, beta2])",
    ),
    (
        "update", "w[n], dw[n], m[n], v[n], power[2]:f8, lr[1]:f8 -> w[n], m[n], v[n]",
        "c = np.sqrt(1 - power[1]); rate = w.dtype.type(lr[0] * c / (1 - power[0])); "
        "m = beta1 * m + (1 - beta1) * dw; v = beta2 * v + (1 - beta2) * (dw * dw); "
        "w = w - rate * (m / (np.sqrt(v) + w.dtype.type(eps * c)))",
    ),
    attributes={"beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
    domain={"v": "nonnegative", "power": "power"},
    note="power holds beta1**step and beta2**step as running products; eps counts after the bias correction, "
    "as in the paper's algorithm 1",
    source="Kingma & Ba 2015, ICLR, algorithm 1 in the order of its section 2",
)
_row(
    "adamw", "optimizer",
    (
        "update", "w[n], dw[n], m[n], v[n], power[2]:f8, lr[1]:f8 -> w[n], m[n], v[n]",
        "c = np.sqrt(1 - power[1]); rate = w.dtype.type(lr[0] * c / (1 - power[0])); "
        "m = beta1 * m + (1 - beta1) * dw; v = beta2 * v + (1 - beta2) * (dw * dw); "
        "w = w * w.dtype.type(1 - lr[0] * weight_decay) - rate * (m / (np.sqrt(v) + w.dtype.type(eps * c)))",
    ),
    attributes={"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01},
    domain={"v": "nonnegative", "power": "power"},
    note="Adam with decay of the weights apart from the gradient; power as in Adam",
    source="Loshchilov & Hutter 2019, ICLR, algorithm 2",
)
_row(
    "amsgrad", "optimizer",
    (
        "update",
        "w[n], dw[n], m[n], v[n], v_max[n], power[2]:f8, lr[1]:f8 -> w[n], m[n], v[n], v_max[n]",
        "c = np.sqrt(1 - power[1]); rate = w.dtype.type(lr[0] * c / (1 - power[0])); "
        "m = beta1 * m + (1 - beta1) * dw; v = beta2 * v + (1 - beta2) * (dw * dw); "
        "v_max = np.where(v_max >= v, v_max, v); "
        "w = w - rate * (m / (np.sqrt(v_max) + w.dtype.type(eps * c)))",
    ),
    attributes={"beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
    domain={"v": "nonnegative", "v_max": "nonnegative", "power": "power"},
    note="Adam with the largest v so far; power as in Adam",
    source="Reddi, Kale & Kumar 2018, ICLR, algorithm 2, with Adam's bias correction as in PyTorch",
)
_row(
    "adamax", "optimizer",
    (
        "update", "w[n], dw[n], m[n], u[n], power[2]:f8, lr[1]:f8 -> w[n], m[n], u[n]",
        "m = beta1 * m + (1 - beta1) * dw; a = np.abs(dw) + eps; b = beta2 * u; u = np.where(b >= a, b, a); "
        "w = w - w.dtype.type(lr[0] / (1 - power[0])) * (m / u)",
    ),
    attributes={"beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
    domain={"u": "nonnegative", "power": "power"},
    note="eps is added to the gradient's size, as in PyTorch; power as in Adam",
    source="Kingma & Ba 2015, ICLR, algorithm 2",
)
_row(
    "nadam", "optimizer",
    (
        "advance", "power[3]:f8 -> power[3]:f8",
        "decayed = power[2] * decay; "
        "power = np.array([power[0] * (beta1 * (1 - 0.5 * decayed)), power[1] * beta2, decayed])",
    ),
    (
        "update", "w[n], dw[n], m[n], v[n], power[3]:f8, lr[1]:f8 -> w[n], m[n], v[n]",
        "mu = beta1 * (1 - 0.5 * power[2]); after = beta1 * (1 - 0.5 * (power[2] * decay)); "
        "c = np.sqrt(1 - power[1]); "
        "now = w.dtype.type(lr[0] * c * (1 - mu) / (1 - power[0])); "
        "ahead = w.dtype.type(lr[0] * c * after / (1 - power[0] * after)); "
        "m = beta1 * m + (1 - beta1) * dw; v = beta2 * v + (1 - beta2) * (dw * dw); "
        "w = w - (now * dw + ahead * m) / (np.sqrt(v) + w.dtype.type(eps * c))",
    ),
    attributes={"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "decay": 0.9998367253526753},
    domain={"v": "nonnegative", "power": "power"},
    note="power holds the product of the momenta beta1 (1 - decay**step / 2), beta2**step and decay**step as running "
    "products; decay is 0.96**0.004, as in PyTorch, where Keras has 0.96",
    source="Dozat 2016, ICLR workshop",
)
_row(
    "adagrad", "optimizer",
    (
        "update", "w[n], dw[n], v[n], lr[1]:f8 -> w[n], v[n]",
        "v = v + dw * dw; w = w - w.dtype.type(lr[0]) * (dw / (np.sqrt(v) + eps))",
    ),
    attributes={"eps": 1e-10},
    domain={"v": "nonnegative"},
    source="Duchi, Hazan & Singer 2011, JMLR 12",
)
_row(
    "adadelta", "optimizer",
    (
        "update", "w[n], dw[n], v[n], d[n], lr[1]:f8 -> w[n], v[n], d[n]",
        "v = rho * v + (1 - rho) * (dw * dw); step = np.sqrt(d + eps) / np.sqrt(v + eps) * dw; "
        "d = rho * d + (1 - rho) * (step * step); w = w - w.dtype.type(lr[0]) * step",
    ),
    attributes={"rho": 0.9, "eps": 1e-6},
    domain={"v": "nonnegative", "d": "nonnegative"},
    source="Zeiler 2012, arXiv:1212.5701, algorithm 1",
)
_row(
    "rmsprop", "optimizer",
    (
        "update", "w[n], dw[n], v[n], velocity[n], g[n], lr[1]:f8 -> w[n], v[n], velocity[n], g[n]",
        "v = rho * v + (1 - rho) * (dw * dw); g = rho * g + (1 - rho) * dw if centered else g; "
        "scale = np.sqrt(v - g * g) + eps if centered else np.sqrt(v) + eps; "
        "velocity = momentum * velocity + dw / scale; w = w - w.dtype.type(lr[0]) * velocity",
    ),
    attributes={"rho": 0.9, "momentum": 0.0, "eps": 1e-7, "centered": 0.0},
    domain={"v": "nonnegative"},
    note="eps is outside the root and the learning rate outside the velocity, as in PyTorch",
    source="Tieleman & Hinton 2012, lecture 6.5; centered: Graves 2013, arXiv:1308.0850, eq. 38-45",
)
_row(
    "lion", "optimizer",
    (
        "update", "w[n], dw[n], m[n], lr[1]:f8 -> w[n], m[n]",
        "c = beta1 * m + (1 - beta1) * dw; s = np.where(c > 0, 1, np.where(c < 0, -1, c)); "
        "m = beta2 * m + (1 - beta2) * dw; "
        "w = w * w.dtype.type(1 - lr[0] * weight_decay) - w.dtype.type(lr[0]) * s",
    ),
    attributes={"beta1": 0.9, "beta2": 0.99, "weight_decay": 0.0},
    source="Chen et al. 2023, NeurIPS, algorithm 2",
)

# ------------------------------------------------------------------------------------- weighting
_row(
    "weigh_samples", "weighting",
    ("", "x[batch], weight[batch,1] -> y[batch]", "y = x * weight[:, 0]", "y=x"),
    source="weights of samples, one number each",
)
_row(
    "weigh_rows", "weighting",
    ("", "x[batch,n], weight[batch,1] -> y[batch,n]", "y = x * weight", "y=x"),
    source="weights of samples that have a row of numbers each",
)
_row(
    "reduce_loss", "weighting",
    ("", "elements[n] -> loss[]", "loss = elements.sum() / (elements.size / (1 + others) if mean else 1)"),
    attributes={"mean": 1.0, "others": 0.0},
    note="others is how many elements a row has besides the first, where the mean is one over rows",
    source="the loss of weighted samples",
)
_row(
    "ignore_label", "weighting",
    (
        "", "y_pred[batch,n], y_true[batch]:i8 -> kept[batch]:i8, weight[batch,1]",
        "counted = y_true != int(ignored); kept = np.where(counted, y_true, 0); "
        "count = max(int(np.count_nonzero(counted)), 1); "
        "weight = counted[:, None].astype(y_pred.dtype) * y_pred.dtype.type(len(y_true) / count if mean else 1)",
    ),
    attributes={"mean": 1.0, "ignored": 255.0},
    note="rows of the ignored label weigh 0, the others so much that a mean over the batch is one over them",
    source="PyTorch's ignore_index",
)
_row(
    "add", "weighting",
    ("", "a[n], b[n] -> y[n]", "y = a + b", "y=a", "y=b"),
    source="a loss and its penalty; the gradients of all uses of a parameter or an output",
)

# ---------------------------------------------------------------------------------------- update
_row(
    "l1_l2", "update",
    ("penalty", "w[n] -> elements[n], loss[]", "elements = l1 * np.abs(w) + l2 * (w * w); loss = elements.sum() / 1"),
    (
        "gradient", "w[n], dw[n] -> dw[n]",
        "dw = dw + (np.where(w > 0, l1, np.where(w < 0, -l1, w * 0)) + 2 * l2 * w)",
    ),
    attributes={"l1": 0.01, "l2": 0.01},
    note="the derivative of abs(w) at 0 is 0",
    source="Tikhonov 1943; Tibshirani 1996, J. R. Stat. Soc. B 58; Keras' L1L2",
)
_row(
    "clip_value", "update",
    ("", "dw[n] -> dw[n]", "dw = clip(dw, -limit, limit)"),
    attributes={"limit": 0.5},
    source="Mikolov 2012, thesis, section 3.2.2",
)
_row(
    "clip_norm", "update",
    ("squares", "dw[n] -> elements[n], loss[]", "elements = dw * dw; loss = elements.sum() / 1"),
    ("rescale", "dw[n], squares[] -> dw[n]", "dw = dw * (limit / np.maximum(np.sqrt(squares), limit))"),
    attributes={"limit": 0.5},
    domain={"squares": "nonnegative"},
    note="a gradient that is short enough keeps its bits",
    source="Pascanu, Mikolov & Bengio 2013, ICML, algorithm 1",
)
_row(
    "max_norm", "update",
    (
        "", "w[m,n] -> squares[m,n], norm[n], w[m,n]",
        "squares = w * w; norm = np.sqrt(squares.sum(axis=0)); w = w * (limit / np.maximum(norm, limit))",
    ),
    attributes={"limit": 2.0},
    note="of each column, the weights that lead to one unit; Keras divides by norm + 1e-7",
    source="Srivastava et al. 2014, JMLR 15, section 5.1",
)
_row(
    "non_negative", "update",
    ("", "w[n] -> w[n]", "w = np.maximum(w, 0)"),
    source="Keras' NonNeg",
)
_row(
    "scale_rate", "update",
    ("", "lr[1]:f8 -> scaled[1]:f8", "scaled = lr * factor"),
    attributes={"factor": 0.5},
    source="a learning rate for each group of parameters",
)

# ------------------------------------------------------------------------------------------ data
_row(
    "gather", "data",
    ("", "source[rows,n], index[batch]:i8 -> y[batch,n]", "y = source[index]"),
    domain={"index": "index"},
    source="the rows of a mini-batch",
)
_row(
    "gather_labels", "data",
    ("", "source[rows]:i8, index[batch]:i8 -> y[batch]:i8", "y = source[index]"),
    domain={"index": "index"},
    source="the integer labels of a mini-batch",
)

_row(
    "embedding", "data",
    ("forward", "x[batch,n], w[rows,width] -> y[batch,n,width]", "y = w[indexes(x, len(w))]"),
    (
        "backward", "dy[batch,n,width], x[batch,n], w[rows,width] -> dw[rows,width]",
        "dw = np.zeros_like(w); np.add.at(dw, indexes(x, len(w)), dy)",
    ),
    domain={"x": "index"},
    note="x holds row numbers as reals, which must be whole; those of dy that share a row are added in their order",
    source="the rows of w that x names",
)

# ---------------------------------------------------------------------------------------- metric
_row(
    "sparse_categorical_accuracy", "metric",
    (
        "", "y_pred[batch,n], y_true[batch]:i8 -> hits[]:i8",
        "hits = np.count_nonzero(y_pred.argmax(axis=1) == y_true)",
    ),
    domain={"y_true": "label"},
    note="how many rows have their largest output at the label; of equals the first counts",
    source="-",
)
_row(
    "categorical_accuracy", "metric",
    (
        "", "y_pred[batch,n], y_true[batch,n] -> hits[]:i8",
        "hits = np.count_nonzero(y_pred.argmax(axis=1) == y_true.argmax(axis=1))",
    ),
    domain={"y_true": "one_hot"},
    source="-",
)
_row(
    "binary_accuracy", "metric",
    (
        "", "y_pred[n], y_true[n] -> hits[]:i8",
        "hits = np.count_nonzero((y_pred > threshold) == (y_true > 0.5))",
    ),
    attributes={"threshold": 0.5},
    domain={"y_true": "binary"},
    note="threshold 0.5 for probabilities, 0 for logits",
    source="-",
)
_row(
    "sparse_top_k_categorical_accuracy", "metric",
    (
        "", "y_pred[batch,n], y_true[batch]:i8 -> hits[]:i8",
        "order = (-y_pred).argsort(axis=1, kind='stable')[:, :int(k)]; "
        "hits = np.count_nonzero((order == y_true[:, None]).any(axis=1))",
    ),
    attributes={"k": 5.0},
    domain={"y_true": "label"},
    note="how many rows have the label's output among their k largest; of equals the first comes first, NaN comes last",
    source="-",
)
_row(
    "top_k_categorical_accuracy", "metric",
    (
        "", "y_pred[batch,n], y_true[batch,n] -> hits[]:i8",
        "order = (-y_pred).argsort(axis=1, kind='stable')[:, :int(k)]; "
        "hits = np.count_nonzero((order == y_true.argmax(axis=1)[:, None]).any(axis=1))",
    ),
    attributes={"k": 5.0},
    domain={"y_true": "one_hot"},
    source="-",
)
_row(
    "binary_confusion", "metric",
    (
        "", "y_pred[n], y_true[n] -> counts[2,2]:i8",
        "t = y_true > 0.5; p = y_pred > threshold; counts = np.array("
        "[[np.count_nonzero(~t & ~p), np.count_nonzero(~t & p)], [np.count_nonzero(t & ~p), np.count_nonzero(t & p)]])",
    ),
    attributes={"threshold": 0.5},
    domain={"y_true": "binary"},
    note="true negatives and false positives, false negatives and true positives",
    source="-",
)
_row(
    "sparse_confusion", "metric",
    (
        "", "y_pred[batch,n], y_true[batch]:i8 -> cell[batch]:i8",
        "cell = y_pred.shape[1] * y_true + y_pred.argmax(axis=1)",
    ),
    domain={"y_true": "label"},
    note="in which cell of the confusion matrix, counted row by row, each sample falls: a matrix of each batch would "
    "take n * n numbers",
    source="-",
)
_row(
    "categorical_confusion", "metric",
    (
        "", "y_pred[batch,n], y_true[batch,n] -> cell[batch]:i8",
        "cell = y_pred.shape[1] * y_true.argmax(axis=1) + y_pred.argmax(axis=1)",
    ),
    domain={"y_true": "one_hot"},
    source="-",
)

# fmt: on

#: Families in the order of the table: the names of the kernel modules in every backend.
FAMILIES = tuple(dict.fromkeys(row.family for row in ROWS.values()))
