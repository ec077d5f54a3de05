"""Metrics: counts of hits, exact by nature."""

from .common import OK, helper, integers, offset, real


@helper
def argmax(x, n):
    # the first of equals; the first NaN wins, as in numpy.argmax
    best = 0
    for j in range(1, n):
        if x[best] != x[best]:
            break
        if x[j] > x[best] or x[j] != x[j]:
            best = j
    return best


def sparse_categorical_accuracy(buffers, sizes, attributes, primitives):
    y_pred, labels = buffers[0], integers(buffers[1])
    batch, n = sizes[0], sizes[1]
    hits = 0
    for i in range(batch):
        hits += argmax(offset(y_pred, i * n), n) == labels[i]
    integers(buffers[2])[0] = hits
    return OK


def categorical_accuracy(buffers, sizes, attributes, primitives):
    y_pred, y_true = buffers[0], buffers[1]
    batch, n = sizes[0], sizes[1]
    hits = 0
    for i in range(batch):
        hits += argmax(offset(y_pred, i * n), n) == argmax(offset(y_true, i * n), n)
    integers(buffers[2])[0] = hits
    return OK


def binary_accuracy(buffers, sizes, attributes, primitives):
    y_pred, y_true = buffers[0], buffers[1]
    threshold, half = real(y_pred, attributes[0]), real(y_pred, 0.5)
    hits = 0
    for i in range(sizes[0]):
        hits += (y_pred[i] > threshold) == (y_true[i] > half)
    integers(buffers[2])[0] = hits
    return OK
