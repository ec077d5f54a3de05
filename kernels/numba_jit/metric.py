"""Metrics: counts, exact by nature, and sums of errors."""

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


@helper
def in_top(x, n, label, k):
    # whether fewer than k come before x[label] in a stable descending order with NaN at its end
    if not 0 <= label < n:
        return False
    p, ahead = x[label], 0
    if p != p:
        for j in range(n):
            ahead += x[j] == x[j] or j < label
    else:
        for j in range(n):
            ahead += x[j] > p or (x[j] == p and j < label)
    return ahead < k


def sparse_top_k_categorical_accuracy(buffers, sizes, attributes, primitives):
    y_pred, labels = buffers[0], integers(buffers[1])
    batch, n, k = sizes[0], sizes[1], int(attributes[0])
    hits = 0
    for i in range(batch):
        hits += in_top(offset(y_pred, i * n), n, labels[i], k)
    integers(buffers[2])[0] = hits
    return OK


def top_k_categorical_accuracy(buffers, sizes, attributes, primitives):
    y_pred, y_true = buffers[0], buffers[1]
    batch, n, k = sizes[0], sizes[1], int(attributes[0])
    hits = 0
    for i in range(batch):
        hits += in_top(offset(y_pred, i * n), n, argmax(offset(y_true, i * n), n), k)
    integers(buffers[2])[0] = hits
    return OK


def binary_confusion(buffers, sizes, attributes, primitives):
    y_pred, y_true, counts = buffers[0], buffers[1], integers(buffers[2])
    threshold, half = real(y_pred, attributes[0]), real(y_pred, 0.5)
    positive = actual = both = 0
    for i in range(sizes[0]):
        p, t = y_pred[i] > threshold, y_true[i] > half
        positive += p
        actual += t
        both += p & t
    counts[0] = sizes[0] - positive - actual + both
    counts[1] = positive - both
    counts[2] = actual - both
    counts[3] = both
    return OK


def sparse_confusion(buffers, sizes, attributes, primitives):
    y_pred, labels, cell = buffers[0], integers(buffers[1]), integers(buffers[2])
    batch, n = sizes[0], sizes[1]
    for i in range(batch):
        cell[i] = n * labels[i] + argmax(offset(y_pred, i * n), n)
    return OK


def categorical_confusion(buffers, sizes, attributes, primitives):
    y_pred, y_true, cell = buffers[0], buffers[1], integers(buffers[2])
    batch, n = sizes[0], sizes[1]
    for i in range(batch):
        cell[i] = n * argmax(offset(y_true, i * n), n) + argmax(offset(y_pred, i * n), n)
    return OK
