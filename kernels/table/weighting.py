"""What weighs the samples of a loss, and what goes between arrays and one number for each row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .row import Row

if TYPE_CHECKING:
    import numpy as np

WEIGH_SAMPLES = Row("weigh_samples", "weighting", source="weights of samples, one number each")


@WEIGH_SAMPLES.kernel("x[batch], weight[batch,1] -> y[batch]", inplace=["y=x"], split="batch")
def weigh_samples(x, weight):
    return x * weight[:, 0]


WEIGH_ROWS = Row("weigh_rows", "weighting", source="weights of samples that have a row of numbers each")


@WEIGH_ROWS.kernel("x[batch,n], weight[batch,1] -> y[batch,n]", inplace=["y=x"], split="batch")
def weigh_rows(x, weight):
    return x * weight


REDUCE_LOSS = Row(
    "reduce_loss",
    "weighting",
    attributes={"mean": 1.0, "others": 0.0},
    note="others is how many elements a row has besides the first, where the mean is one over rows",
    source="the loss of weighted samples",
)


@REDUCE_LOSS.kernel("elements[n] -> loss[]")
def reduce_loss(elements, mean, others):
    return elements.sum() / (elements.size / (1 + others) if mean else 1)


WEIGHTED_MEAN = Row(
    "weighted_mean",
    "weighting",
    domain={"weight": "nonnegative", "total": "nonnegative"},
    note="weights whose mean over the batch is 1, for a mean over their sum; those of a batch that are all 0 stay 0",
    source="Keras' reduction mean_with_sample_weight; numpy.average",
)


@WEIGHTED_MEAN.kernel("weight[n] -> total[]")
def weighted_mean_total(weight):
    return weight.sum() / 1


@WEIGHTED_MEAN.kernel("weight[n], total[] -> share[n]")
def weighted_mean_share(weight, total):
    return weight * (weight.size / np.where(total > 0, total, 1))


@WEIGHTED_MEAN.kernel("total[] -> rows[1]:f8", by_hand="a number of the program becomes a double")
def weighted_mean_rows(total):
    return np.array([total], np.float64)


IGNORE_LABEL = Row(
    "ignore_label",
    "weighting",
    attributes={"mean": 1.0, "ignored": 255.0},
    note="rows of the ignored label weigh 0, the others so much that a mean over the batch is one over them",
    source="PyTorch's ignore_index",
)


@IGNORE_LABEL.kernel(
    "y_pred[batch,n], y_true[batch]:i8 -> kept[batch]:i8, weight[batch,1]", by_hand="it counts integers"
)
def ignore_label(y_pred, y_true, mean, ignored):
    counted = y_true != int(ignored)
    kept = np.where(counted, y_true, 0)
    count = max(int(np.count_nonzero(counted)), 1)
    return kept, counted[:, None].astype(y_pred.dtype) * y_pred.dtype.type(len(y_true) / count if mean else 1)


@IGNORE_LABEL.kernel("y_true[batch]:i8, rows[1]:f8 -> rows[1]:f8", by_hand="it counts integers")
def ignore_label_rows(y_true, rows, mean, ignored):
    return np.array([rows[0] - np.count_nonzero(y_true == int(ignored))])


SHARE_WEIGHTS = Row(
    "share_weights",
    "weighting",
    domain={"x": "nonnegative", "total": "nonnegative"},
    note="total is the sum of what each row weighs: times this, a mean over the batch is one over the sum of weights",
    source="PyTorch's CrossEntropyLoss(weight)",
)


@SHARE_WEIGHTS.kernel("x[batch,n], total[] -> y[batch,n]", inplace=["y=x"])
def share_weights(x, total):
    # of no weight at all it is 0
    return x * (len(x) / np.maximum(total, 1e-30))



ADD = Row(
    "add", "weighting", source="a loss and its penalty; the gradients of all uses of a parameter or an output"
)


@ADD.kernel("a[n], b[n] -> y[n]", inplace=["y=a", "y=b"], split="n")
def add(a, b):
    return a + b


SPREAD_ROWS = Row(
    "spread_rows",
    "weighting",
    note="like gives the length only",
    source="numpy.broadcast_to over the last axis, for arrays that a function of one's own takes side by side",
)


@SPREAD_ROWS.kernel("like[batch,n], x[batch,1] -> y[batch,n]", split="batch")
def spread_rows(like, x):
    return np.where(like == like, x, x)


ROW_SUMS = Row("row_sums", "weighting", source="the gradient by what spread_rows spread")


@ROW_SUMS.kernel("x[batch,n] -> y[batch,1]", split="batch")
def row_sums(x):
    return x.sum(axis=1, keepdims=True)
