"""Metrics: counts, exact by nature, and sums of errors."""

import numpy as np

from .common import INDEX_ERROR, OK, doubles, helper, integers, offset, real, stack

LANES = 32  # as in portable/array.py


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


@helper
def sum_of_lanes(lane):
    half = LANES // 2
    while half > 0:
        for i in range(half):
            lane[i] += lane[i + half]
        half //= 2
    return lane[0]


def error_sums(buffers, sizes, attributes, primitives):
    y_true, y_pred, absolute, squared = buffers[0], buffers[1], doubles(buffers[2]), doubles(buffers[3])
    a, s = stack(absolute, LANES), stack(squared, LANES)
    for lane in range(LANES):
        a[lane] = s[lane] = 0.0
    for i in range(sizes[0]):
        d = np.float64(y_true[i]) - np.float64(y_pred[i])
        a[i % LANES] += abs(d)
        s[i % LANES] += d * d
    absolute[0], squared[0] = sum_of_lanes(a), sum_of_lanes(s)
    return OK


def column_errors(buffers, sizes, attributes, primitives):
    y_true, y_pred, rows, n = buffers[0], buffers[1], sizes[0], sizes[1]
    squared, spread, mean = doubles(buffers[2]), doubles(buffers[3]), doubles(buffers[4])
    # a single column is summed by lanes, several are row by row
    lanes = LANES if n == 1 else 1
    a, b, c = stack(squared, LANES), stack(squared, LANES), stack(squared, LANES)
    for j in range(n):
        for lane in range(LANES):
            a[lane] = b[lane] = c[lane] = 0.0
        for i in range(rows):
            t = np.float64(y_true[i * n + j])
            d = t - np.float64(y_pred[i * n + j])
            a[i % lanes] += t
            b[i % lanes] += d * d
        mean[j] = sum_of_lanes(a) / rows
        for i in range(rows):
            d = np.float64(y_true[i * n + j]) - mean[j]
            c[i % lanes] += d * d
        squared[j], spread[j] = sum_of_lanes(b), sum_of_lanes(c)
    return OK


def confusion_counts(buffers, sizes, attributes, primitives):
    y_true, y_pred, counts = integers(buffers[0]), integers(buffers[1]), integers(buffers[2])
    classes = sizes[1]
    for i in range(sizes[0]):
        if not (0 <= y_true[i] < classes and 0 <= y_pred[i] < classes):
            return INDEX_ERROR
        counts[y_true[i] * classes + y_pred[i]] += 1
    return OK


def part_by_label(buffers, sizes, attributes, primitives):
    x, labels, parted, counts = buffers[0], integers(buffers[1]), buffers[2], integers(buffers[3])
    front, back, others = 0, sizes[0] - 1, 0
    for i in range(sizes[0]):
        others += not 0 <= labels[i] <= 1
        if labels[i] > 0:
            parted[front] = x[i]
            front += 1
        else:
            parted[back] = x[i]
            back -= 1
    counts[0], counts[1] = front, others
    return OK


def count_wins(buffers, sizes, attributes, primitives):
    positive, negative, twice = buffers[0], buffers[1], 0
    below = above = 0
    for i in range(sizes[0]):
        while below < sizes[1] and negative[below] < positive[i]:
            below += 1
        while above < sizes[1] and negative[above] <= positive[i]:
            above += 1
        twice += below + above
    integers(buffers[2])[0] = twice
    return OK
