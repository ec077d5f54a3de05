"""Moving rows: the batches of an epoch are gathered by index, and so is an embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .row import Row

if TYPE_CHECKING:
    import numpy as np

_GATHERS = "it goes to the rows that an index names"

GATHER = Row(
    "gather",
    "data",
    domain={"index": "index"},
    source="the rows of a mini-batch",
)


@GATHER.kernel("source[rows,n], index[batch]:i8 -> y[batch,n]", split="batch", by_hand=_GATHERS)
def gather(source, index):
    return source[index]


GATHER_BYTES = Row(
    "gather_bytes",
    "data",
    domain={"index": "index"},
    note="each byte as the number 0 .. 255 that it is, in the dtype of like, which is not read",
    source="the rows of a mini-batch of images",
)


@GATHER_BYTES.kernel("source[rows,n]:u1, index[batch]:i8, like[] -> y[batch,n]", split="batch", by_hand=_GATHERS)
def gather_bytes(source, index, like):
    return source[index].astype(like.dtype)


GATHER_LABELS = Row(
    "gather_labels",
    "data",
    domain={"index": "index"},
    source="the integer labels of a mini-batch",
)


@GATHER_LABELS.kernel("source[rows]:i8, index[batch]:i8 -> y[batch]:i8", split="batch", by_hand=_GATHERS)
def gather_labels(source, index):
    return source[index]


GATHER_LABEL_ROWS = Row(
    "gather_label_rows",
    "data",
    domain={"index": "index"},
    source="the integer labels of a mini-batch whose rows have several",
)


@GATHER_LABEL_ROWS.kernel("source[rows,n]:i8, index[batch]:i8 -> y[batch,n]:i8", split="batch", by_hand=_GATHERS)
def gather_label_rows(source, index):
    return source[index]


EMBEDDING = Row(
    "embedding",
    "data",
    domain={"x": "index"},
    saved=["x", "w"],
    note="x holds row numbers as reals, which must be whole; those of dy that share a row are added in their order",
    source="the rows of w that x names",
)


@EMBEDDING.kernel("x[batch,n], w[rows,width] -> y[batch,n,width]", split="batch", by_hand=_GATHERS)
def embedding_forward(x, w):
    return w[x.astype(np.int64)]


@EMBEDDING.kernel("dy[batch,n,width], x[batch,n], w[rows,width] -> dw[rows,width]", by_hand=_GATHERS)
def embedding_backward(dy, x, w):
    dw = np.zeros_like(w)
    np.add.at(dw, x.astype(np.int64), dy)
    return dw
