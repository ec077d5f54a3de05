"""The three products of a dense layer, and its bias."""

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
