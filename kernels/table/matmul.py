"""The three products of a dense layer, its bias, and its backward pass as one kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .row import Row

if TYPE_CHECKING:
    import numpy as np

_BACKPROP = "Rumelhart, Hinton & Williams 1986, Nature 323, eq. 4-7"

MATMUL_NN = Row("matmul_nn", "matmul", source="the forward product of a dense layer, y = x @ w")


@MATMUL_NN.kernel("a[m,k], b[k,n] -> y[m,n]", cost=lambda m, k, n: m * k * n, by_hand="a product")
def matmul_nn(a, b):
    return a @ b


MATMUL_NT = Row("matmul_nt", "matmul", source="the gradient of a dense layer's input, dx = dy @ w.T")


@MATMUL_NT.kernel("a[m,k], b[n,k] -> y[m,n]", cost=lambda m, k, n: m * k * n, by_hand="a product")
def matmul_nt(a, b):
    return a @ b.T


MATMUL_TN = Row("matmul_tn", "matmul", source="the gradient of a dense layer's weights, dw = x.T @ dy")


@MATMUL_TN.kernel("a[k,m], b[k,n] -> y[m,n]", cost=lambda m, k, n: m * k * n, by_hand="a product")
def matmul_tn(a, b):
    return a.T @ b


BIAS = Row("bias", "matmul", source=_BACKPROP)


@BIAS.kernel("x[batch,n], b[n] -> y[batch,n]", inplace=["y=x"], split="batch")
def bias_forward(x, b):
    return x + b


@BIAS.kernel("dy[batch,n] -> db[n]")
def bias_backward(dy):
    return dy.sum(axis=0)


DENSE = Row(
    "dense",
    "matmul",
    attributes={"relu": 0.0},
    note="product, bias and relu in one pass: in portable numerics at the end of each tile of the product",
    source=_BACKPROP,
)


@DENSE.kernel("x[batch,k], w[k,n], b[n] -> y[batch,n]", cost=lambda batch, k, n: batch * k * n, by_hand="a product")
def dense(x, w, b, relu):
    y = x @ w + b
    return np.maximum(y, 0) if relu else y


DENSE_ADD = Row(
    "dense_add",
    "matmul",
    attributes={"relu": 0.0},
    note="a dense layer and an addition behind it; of the second kernel h is what is added to, as a gradient reads it",
    source="He et al. 2016, CVPR, eq. 1",
)


@DENSE_ADD.kernel(
    "x[batch,k], w[k,n], b[n], c[batch,n] -> y[batch,n]", cost=lambda batch, k, n: batch * k * n, by_hand="a product"
)
def dense_add(x, w, b, c, relu):
    h = x @ w + b
    return (np.maximum(h, 0) if relu else h) + c


@DENSE_ADD.kernel(
    "x[batch,k], w[k,n], b[n], c[batch,n] -> h[batch,n], y[batch,n]",
    cost=lambda batch, k, n: batch * k * n,
    by_hand="a product",
)
def dense_add_both(x, w, b, c, relu):
    z = x @ w + b
    h = np.maximum(z, 0) if relu else z
    return h, h + c


MATMUL_NT_ADD = Row("matmul_nt_add", "matmul", source="the gradient of a dense layer's input, and of its other uses")


@MATMUL_NT_ADD.kernel("a[m,k], b[n,k], c[m,n] -> y[m,n]", cost=lambda m, k, n: m * k * n, by_hand="a product")
def matmul_nt_add(a, b, c):
    return a @ b.T + c


DENSE_BACKWARD = Row(
    "dense_backward",
    "matmul",
    attributes={"relu": 0.0},
    note="all gradients of a dense layer; with relu, x is what a relu returned, and dx the gradient of its input",
    source=_BACKPROP,
)


@DENSE_BACKWARD.kernel(
    "x[batch,k], dy[batch,n], w[k,n] -> db[n], dw[k,n], dx[batch,k]",
    cost=lambda batch, k, n: 2 * batch * k * n,
    by_hand="products",
)
def dense_backward(x, dy, w, relu):
    dx = dy @ w.T
    return dy.sum(axis=0), x.T @ dy, np.where(x > 0, dx, 0) if relu else dx


DENSE_PAIR_BACKWARD = Row(
    "dense_pair_backward",
    "matmul",
    note="the gradients of two dense layers with a relu between them; h is what it returned",
    source=_BACKPROP,
)


@DENSE_PAIR_BACKWARD.kernel(
    "x[batch,m], h[batch,k], dy[batch,n], w[k,n] -> db[n], dw[k,n], dh[batch,k], db_before[k], dw_before[m,k]",
    work=["dh"],
    cost=lambda batch, m, k, n: batch * k * (2 * n + m),
    by_hand="products",
)
def dense_pair_backward(x, h, dy, w):
    dh = np.where(h > 0, dy @ w.T, 0)
    return dy.sum(axis=0), h.T @ dy, dh.sum(axis=0), x.T @ dh
