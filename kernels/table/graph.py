"""What merges, takes apart and turns around the tensors of a graph.

Most of these are linear: the gradient of one is another of them. A sum over an axis is repeated on the way back,
columns that were put side by side are taken apart, and axes that were exchanged are exchanged again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .row import Bound, Row

if TYPE_CHECKING:
    import numpy as np

    from ..words import sigmoid

_MOVES = "it moves parts of arrays"
_COUNT = Bound("a whole number, not negative", lambda value: value >= 0 and value == int(value))

SUBTRACT = Row("subtract", "graph", source="a residual, a difference of two towers")


@SUBTRACT.kernel("a[n], b[n] -> y[n]", inplace=["y=a", "y=b"], split="n")
def subtract(a, b):
    return a - b


MULTIPLY = Row("multiply", "graph", note="also its own gradient: da is dy * b, db is dy * a", source="a gate")


@MULTIPLY.kernel("a[n], b[n] -> y[n]", inplace=["y=a", "y=b"], split="n")
def multiply(a, b):
    return a * b


GATED_LINEAR = Row(
    "gated_linear",
    "graph",
    domain={"gate": "probability"},
    saved=["x", "gate"],
    note="each row of x holds n values and then n numbers whose sigmoids are their gates",
    source="Dauphin et al. 2017, ICML, eq. 1",
)


@GATED_LINEAR.kernel("x[batch,2,n] -> gate[batch,n], y[batch,n]", split="batch")
def gated_linear_forward(x):
    gate = sigmoid(x[:, 1])
    return gate, x[:, 0] * gate


@GATED_LINEAR.kernel("dy[batch,n], x[batch,2,n], gate[batch,n] -> dx[batch,2,n]", inplace=["dx=x"], split="batch")
def gated_linear_backward(dy, x, gate):
    return np.stack([dy * gate, dy * (x[:, 0] * (gate * (1 - gate)))], axis=1)


ADD_SCALED = Row("add_scaled", "graph", attributes={"factor": 0.5}, source="the sum of weighted losses")


@ADD_SCALED.kernel("a[n], b[n] -> y[n]", inplace=["y=a", "y=b"], split="n")
def add_scaled(a, b, factor):
    return a + factor * b


SCALE_BY = Row("scale_by", "graph", attributes={"factor": 3.0}, note="also its own gradient", source="a number times x")


@SCALE_BY.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def scale_by(x, factor):
    return x * factor


ADDED_LOSS = Row(
    "added_loss",
    "graph",
    attributes={"factor": 0.5},
    note="the mean over all elements of x times the factor; the gradient is the same for all of them",
    source="Keras' add_loss, of a tensor of any shape",
)


@ADDED_LOSS.kernel("x[n] -> elements[n], loss[]", work=["elements"])
def added_loss(x, factor):
    elements = factor * x
    return elements.sum() / x.size


@ADDED_LOSS.kernel("x[n] -> dx[n]")
def added_loss_gradient(x, factor):
    f = factor / x.size
    return np.where(x > 0, x.dtype.type(f), f)


DIVIDE_BY = Row(
    "divide_by", "graph", attributes={"divisor": 3.0}, note="also its own gradient", source="a mean: a sum over a count"
)


@DIVIDE_BY.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def divide_by(x, divisor):
    return x / divisor


SHIFT_BY = Row("shift_by", "graph", attributes={"offset": 3.0}, source="x and a number")


@SHIFT_BY.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def shift_by(x, offset):
    return x + offset


MAXIMUM = Row(
    "maximum",
    "graph",
    saved=["a", "b"],
    note=(
        "of equal numbers the first operand is taken, and takes the gradient: PyTorch halves it, and which of two "
        "zeros numpy.maximum returns depends on the CPU. A NaN is passed on and takes the gradient, of two the first"
    ),
    source="Goodfellow et al. 2013, ICML, Maxout networks",
)


@MAXIMUM.kernel("a[n], b[n] -> y[n]", inplace=["y=a", "y=b"], split="n")
def maximum_forward(a, b):
    return np.where((a >= b) | (a != a), a, b)


@MAXIMUM.kernel("dy[n], a[n], b[n] -> da[n], db[n]", inplace=["da=dy", "da=a", "db=b"], split="n")
def maximum_backward(dy, a, b):
    first = (a >= b) | (a != a)
    return np.where(first, dy, 0), np.where(first, 0, dy)


MINIMUM = Row(
    "minimum",
    "graph",
    saved=["a", "b"],
    note=(
        "of equal numbers the first operand is taken, and takes the gradient: PyTorch halves it, and which of two "
        "zeros numpy.minimum returns depends on the CPU. A NaN is passed on and takes the gradient, of two the first"
    ),
    source="the maximum of the negatives, negated",
)


@MINIMUM.kernel("a[n], b[n] -> y[n]", inplace=["y=a", "y=b"], split="n")
def minimum_forward(a, b):
    return np.where((a <= b) | (a != a), a, b)


@MINIMUM.kernel("dy[n], a[n], b[n] -> da[n], db[n]", inplace=["da=dy", "da=a", "db=b"], split="n")
def minimum_backward(dy, a, b):
    first = (a <= b) | (a != a)
    return np.where(first, dy, 0), np.where(first, 0, dy)


CONCATENATE = Row(
    "concatenate",
    "graph",
    lengths={
        "pq": lambda p, q: p + q,
        "pqr": lambda p, q, r: p + q + r,
        "pqrs": lambda p, q, r, s: p + q + r + s,
    },
    note="rows of two, three or four matrices one behind the other; the gradient of each are `columns` of dy",
    source="Ronneberger, Fischer & Brox 2015, MICCAI, section 2",
)


@CONCATENATE.kernel("a[batch,p], b[batch,q] -> y[batch,pq]", split="batch", by_hand=_MOVES)
def concatenate_2(a, b):
    return np.concatenate([a, b], axis=1)


@CONCATENATE.kernel("a[batch,p], b[batch,q], c[batch,r] -> y[batch,pqr]", split="batch", by_hand=_MOVES)
def concatenate_3(a, b, c):
    return np.concatenate([a, b, c], axis=1)


@CONCATENATE.kernel("a[batch,p], b[batch,q], c[batch,r], d[batch,s] -> y[batch,pqrs]", split="batch", by_hand=_MOVES)
def concatenate_4(a, b, c, d):
    return np.concatenate([a, b, c, d], axis=1)


COLUMNS = Row(
    "columns",
    "graph",
    attributes={"before": 1.0, "after": 0.0},
    bounds={"before": _COUNT, "after": _COUNT},
    lengths={
        "k": lambda n, before, after: n - int(before) - int(after),
        "n": lambda k, before, after: k + int(before) + int(after),
    },
    note="before and after are how many columns are left out at either end, where the gradient is 0",
    source="x[:, before:n - after]",
)


@COLUMNS.kernel("x[batch,n] -> y[batch,k]", split="batch", by_hand=_MOVES)
def columns_forward(x, before, after):
    return x[:, int(before) : x.shape[1] - int(after)]


@COLUMNS.kernel("dy[batch,k] -> dx[batch,n]", split="batch", by_hand=_MOVES)
def columns_backward(dy, before, after):
    dx = np.zeros((dy.shape[0], int(before) + dy.shape[1] + int(after)), dy.dtype)
    dx[:, int(before) : int(before) + dy.shape[1]] = dy
    return dx


SUM_AXIS = Row(
    "sum_axis",
    "graph",
    note=(
        "in the order of the other sums: the terms of one column (n is 1) as the sum of a row, those of several "
        "columns one after the other. The gradient is `repeat`"
    ),
    source="numpy.sum",
)


@SUM_AXIS.kernel("x[m,k,n] -> y[m,n]", split="m", by_hand="it has three dimensions")
def sum_axis(x):
    return x[:, :, 0].sum(axis=1)[:, None] if x.shape[2] == 1 else x.sum(axis=1)


REPEAT = Row(
    "repeat",
    "graph",
    attributes={"times": 3.0},
    bounds={"times": _COUNT},
    lengths={"k": lambda times: int(times)},
    note="the gradient is `sum_axis`",
    source="Keras' RepeatVector; the broadcasting of an axis of length 1",
)


@REPEAT.kernel("x[m,n] -> y[m,k,n]", split="m", by_hand=_MOVES)
def repeat(x, times):
    return np.broadcast_to(x[:, None], (x.shape[0], int(times), x.shape[1]))


MAX_AXIS = Row(
    "max_axis",
    "graph",
    saved=["x", "y"],
    note="of equal numbers the first is taken, and takes the gradient; a NaN is passed on, of several the first",
    source="numpy.argmax",
)


@MAX_AXIS.kernel("x[m,k,n] -> y[m,n]", split="m", by_hand="it has three dimensions")
def max_axis_forward(x):
    return np.take_along_axis(x, x.argmax(axis=1)[:, None], axis=1)[:, 0]


@MAX_AXIS.kernel("dy[m,n], x[m,k,n], y[m,n] -> dx[m,k,n]", split="m", by_hand="it has three dimensions")
def max_axis_backward(dy, x, y):
    first = ((x == y[:, None]) | (x != x)).argmax(axis=1)
    dx = np.zeros(x.shape, x.dtype)
    rows, columns = np.ogrid[: x.shape[0], : x.shape[2]]
    dx[rows, first, columns] = dy
    return dx


SWAP_AXES = Row("swap_axes", "graph", note="also its own gradient, with p and q exchanged", source="numpy.swapaxes")


@SWAP_AXES.kernel("x[m,p,q,n] -> y[m,q,p,n]", split="m", by_hand=_MOVES)
def swap_axes(x):
    return x.swapaxes(1, 2)


BATCHED_NN = Row("batched_nn", "graph", source="numpy.matmul of stacks: the product of each pair, y = a @ b")


@BATCHED_NN.kernel(
    "a[batch,m,k], b[batch,k,n] -> y[batch,m,n]", cost=lambda batch, m, k, n: batch * m * k * n, by_hand="products"
)
def batched_nn(a, b):
    return a @ b


BATCHED_NT = Row("batched_nt", "graph", source="numpy.matmul of stacks: the product of each pair, y = a @ b.T")


@BATCHED_NT.kernel(
    "a[batch,m,k], b[batch,n,k] -> y[batch,m,n]", cost=lambda batch, m, k, n: batch * m * k * n, by_hand="products"
)
def batched_nt(a, b):
    return a @ b.swapaxes(1, 2)


BATCHED_TN = Row("batched_tn", "graph", source="numpy.matmul of stacks: the product of each pair, y = a.T @ b")


@BATCHED_TN.kernel(
    "a[batch,k,m], b[batch,k,n] -> y[batch,m,n]", cost=lambda batch, m, k, n: batch * m * k * n, by_hand="products"
)
def batched_tn(a, b):
    return a.swapaxes(1, 2) @ b
