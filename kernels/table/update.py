"""What happens to gradients and parameters around the optimizer's step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .row import Row

if TYPE_CHECKING:
    import numpy as np

    from ..words import clip

L1_L2 = Row(
    "l1_l2",
    "update",
    attributes={"l1": 0.01, "l2": 0.01},
    note="the derivative of abs(w) at 0 is 0",
    source="Tikhonov 1943; Tibshirani 1996, J. R. Stat. Soc. B 58; Keras' L1L2",
)


@L1_L2.kernel("w[n] -> elements[n], loss[]", work=["elements"])
def l1_l2_penalty(w, l1, l2):
    elements = l1 * np.abs(w) + l2 * (w * w)
    return elements.sum() / 1


@L1_L2.kernel("w[n], dw[n] -> dw[n]", split="n")
def l1_l2_gradient(w, dw, l1, l2):
    return dw + (np.where(w > 0, l1, np.where(w < 0, -l1, w * 0)) + 2 * l2 * w)


ACTIVITY = Row(
    "activity",
    "update",
    attributes={"l1": 0.01, "l2": 0.01},
    note="the penalty on a layer's output over the rows of the batch; the derivative of abs(y) at 0 is 0",
    source="Keras' activity_regularizer",
)


@ACTIVITY.kernel("y[batch,n] -> elements[batch,n], loss[]", work=["elements"])
def activity_penalty(y, l1, l2):
    elements = l1 * np.abs(y) + l2 * (y * y)
    return elements.sum() / len(y)


@ACTIVITY.kernel("y[batch,n] -> dy[batch,n]")
def activity_gradient(y, l1, l2):
    return (np.where(y > 0, l1, np.where(y < 0, -l1, y * 0)) + 2 * l2 * y) / len(y)


L2_PER_ROW = Row(
    "l2_per_row",
    "update",
    attributes={"l2": 0.01},
    domain={"rows": "nonnegative"},
    note="rows is how many a batch counts for, such as the sum of its weights; a batch that counts for 0 counts for 1",
    source="scikit-learn's alpha, of which l2 is a half",
)


@L2_PER_ROW.kernel("w[n], rows[1]:f8 -> elements[n], loss[]", work=["elements"])
def l2_per_row_penalty(w, rows, l2):
    elements = w.dtype.type(l2 / (rows[0] if rows[0] else 1.0)) * (w * w)
    return elements.sum() / 1


@L2_PER_ROW.kernel("w[n], dw[n], rows[1]:f8 -> dw[n]", split="n")
def l2_per_row_gradient(w, dw, rows, l2):
    return dw + w.dtype.type(2 * l2 / (rows[0] if rows[0] else 1.0)) * w


CLIP_VALUE = Row(
    "clip_value",
    "update",
    attributes={"limit": 0.5},
    source="Mikolov 2012, thesis, section 3.2.2",
)


@CLIP_VALUE.kernel("dw[n] -> dw[n]", split="n")
def clip_value(dw, limit):
    return clip(dw, -limit, limit)


CLIP_NORM = Row(
    "clip_norm",
    "update",
    attributes={"limit": 0.5},
    domain={"squares": "nonnegative"},
    note="a gradient that is short enough keeps its bits",
    source="Pascanu, Mikolov & Bengio 2013, ICML, algorithm 1",
)


@CLIP_NORM.kernel("dw[n] -> elements[n], loss[]", work=["elements"])
def clip_norm_squares(dw, limit):
    elements = dw * dw
    return elements.sum() / 1


@CLIP_NORM.kernel("dw[n], squares[] -> dw[n]", split="n")
def clip_norm_rescale(dw, squares, limit):
    return dw * (limit / np.maximum(np.sqrt(squares), limit))


MAX_NORM = Row(
    "max_norm",
    "update",
    attributes={"limit": 2.0},
    note="of each column, the weights that lead to one unit; Keras divides by norm + 1e-7",
    source="Srivastava et al. 2014, JMLR 15, section 5.1",
)


@MAX_NORM.kernel("w[m,n] -> squares[m,n], norm[n], w[m,n]", work=["squares", "norm"])
def max_norm(w, limit):
    squares = w * w
    norm = np.sqrt(squares.sum(axis=0))
    return w * (limit / np.maximum(norm, limit))


NON_NEGATIVE = Row("non_negative", "update", source="Keras' NonNeg")


@NON_NEGATIVE.kernel("w[n] -> w[n]", split="n")
def non_negative(w):
    return np.maximum(w, 0)


SCALE_RATE = Row(
    "scale_rate",
    "update",
    attributes={"factor": 0.5},
    source="a learning rate for each group of parameters",
)


@SCALE_RATE.kernel("lr[1]:f8 -> scaled[1]:f8")
def scale_rate(lr, factor):
    return lr * factor


DECAY = Row(
    "decay",
    "update",
    attributes={"weight_decay": 0.01},
    note="before the update of an optimizer, of those weights that decay",
    source="Loshchilov & Hutter 2019, ICLR, algorithm 2",
)


@DECAY.kernel("w[n], lr[1]:f8 -> w[n]", split="n")
def decay_weights(w, lr, weight_decay):
    return w * w.dtype.type(1 - lr[0] * weight_decay)


ACCUMULATE = Row(
    "accumulate",
    "update",
    attributes={"fixed": 0.0, "each": 1.0},
    domain={"rows": "nonnegative", "seen": "nonnegative"},
    note=(
        "rows is what a batch counts for, seen the sum of that over the batches since the last update; 0 begins anew. "
        "Of a sum over rows each batch counts for 1 and total is the gradient, else it is divided by seen"
    ),
    source="Keras' gradient_accumulation_steps, with batches that count by their rows",
)


@ACCUMULATE.kernel("x[batch,n] -> rows[1]:f8")
def accumulate_rows(x, fixed, each):
    return np.array([fixed + each * len(x)])


@ACCUMULATE.kernel("dw[n], total[n], rows[1]:f8, seen[1]:f8 -> total[n]", split="n")
def accumulate_gradient(dw, total, rows, seen, fixed, each):
    part = dw.dtype.type(rows[0]) * dw
    return total + part if seen[0] else part


@ACCUMULATE.kernel("rows[1]:f8, seen[1]:f8 -> seen[1]:f8")
def accumulate_seen(rows, seen, fixed, each):
    return np.array([seen[0] + rows[0]])


@ACCUMULATE.kernel("total[n], seen[1]:f8 -> total[n]", split="n")
def accumulate_mean(total, seen, fixed, each):
    return total / total.dtype.type(seen[0] if seen[0] else 1.0)


@ACCUMULATE.kernel("seen[1]:f8 -> seen[1]:f8")
def accumulate_restart(seen, fixed, each):
    return np.array([0.0 * seen[0]])


EMA = Row(
    "ema",
    "update",
    attributes={"momentum": 0.99, "frequency": 0.0},
    domain={"count": "nonnegative"},
    note=(
        "count holds how many updates the average has seen, and how many since it last took the place of the weights; "
        "the first update's average is the weights"
    ),
    source="Polyak & Juditsky 1992, SIAM J. Control Optim. 30; Keras' use_ema",
)


@EMA.kernel("w[n], average[n], count[2]:f8 -> average[n]", split="n")
def ema_update(w, average, count, momentum, frequency):
    kept = momentum if count[0] else 0.0
    return kept * average + (1 - kept) * w


@EMA.kernel("count[2]:f8 -> count[2]:f8")
def ema_advance(count, momentum, frequency):
    return np.array([count[0] + 1, (count[1] if count[1] - frequency else 0.0) + 1])


@EMA.kernel("w[n], average[n], count[2]:f8 -> w[n]", split="n")
def ema_overwrite(w, average, count, momentum, frequency):
    return w if count[1] - frequency else average


AVERAGE = Row(
    "average",
    "update",
    attributes={"start": 1e6},
    domain={"count": "nonnegative"},
    note="of the weights after so many updates, before that the weights; count as in ema, whose advance counts",
    source="Polyak & Juditsky 1992, SIAM J. Control Optim. 30; PyTorch's ASGD",
)


@AVERAGE.kernel("w[n], average[n], count[2]:f8 -> average[n]", split="n")
def average_update(w, average, count, start):
    part = w.dtype.type(1 / (count[0] - start) if count[0] - start > 1 else 1)
    return average + part * (w - average) if count[0] - start > 1 else w
