"""Losses: a value for the batch and the gradient of it. The attribute `mean` (1 or 0) comes first."""

from math import inf, sqrt

from .common import (
    BLOCK,
    EXP,
    INDEX_ERROR,
    LOG,
    NOT_FINITE,
    OK,
    below_one,
    clip,
    divide_rows,
    helper,
    integers,
    offset,
    real,
    rows_per_block,
    stack,
    subtract_max,
    sum_rows,
    total,
    unary,
)
from .matmul import product


@helper
def divisor(attributes, count):
    return float(count) if attributes[0] != 0 else 1.0


@helper
def reduced(value, attributes, count):
    return value / real(value, divisor(attributes, count))


@helper
def labels_ok(labels, batch, n):
    ok = True
    for i in range(batch):
        ok &= (0 <= labels[i]) & (labels[i] < n)
    return ok


def sparse_categorical_cross_entropy_forward(buffers, sizes, attributes, primitives):
    y_pred, labels, sample_loss = buffers[0], integers(buffers[1]), buffers[2]
    lower, upper = real(y_pred, attributes[1]), below_one(y_pred, attributes[1])
    batch, n = sizes[0], sizes[1]
    if not labels_ok(labels, batch, n):
        return INDEX_ERROR
    for i in range(batch):
        sample_loss[i] = clip(y_pred[i * n + labels[i]], lower, upper)
    unary(primitives, LOG, sample_loss, sample_loss, batch)
    for i in range(batch):
        sample_loss[i] = -sample_loss[i]
    buffers[3][0] = reduced(total(primitives, sample_loss, batch), attributes, batch)
    return OK


def sparse_categorical_cross_entropy_backward(buffers, sizes, attributes, primitives):
    y_pred, labels, dy_pred = buffers[0], integers(buffers[1]), buffers[2]
    lower, upper = real(y_pred, attributes[1]), below_one(y_pred, attributes[1])
    batch, n = sizes[0], sizes[1]
    factor = real(dy_pred, -1 / divisor(attributes, batch))
    if not labels_ok(labels, batch, n):
        return INDEX_ERROR
    for i in range(batch * n):
        dy_pred[i] = real(dy_pred, 0)
    for i in range(batch):
        at = i * n + labels[i]
        dy_pred[at] = factor / clip(y_pred[at], lower, upper)
    return OK


@helper
def softmax_losses(logits, labels, p, sample_loss, batch, n, primitives):
    # probabilities and the loss of each row
    s, log_s = stack(p, BLOCK), stack(p, BLOCK)
    step = rows_per_block(batch, n)
    for start in range(0, batch, step):
        rows = min(step, batch - start)
        block = offset(p, start * n)
        subtract_max(offset(logits, start * n), block, rows, n)
        for i in range(rows):
            sample_loss[start + i] = block[i * n + labels[start + i]]
        unary(primitives, EXP, block, block, rows * n)
        sum_rows(primitives, block, s, rows, n)
        unary(primitives, LOG, s, log_s, rows)
        divide_rows(block, s, rows, n)
        for i in range(rows):
            sample_loss[start + i] = log_s[i] - sample_loss[start + i]


@helper
def softmax_gradients(p, labels, dlogits, batch, n, factor):
    one = real(dlogits, 1)
    for i in range(batch):
        at = i * n
        hit = p[at + labels[i]] - one  # read before it may be overwritten
        for j in range(at, at + n):
            dlogits[j] = p[j] * factor
        dlogits[at + labels[i]] = hit * factor


def sparse_softmax_cross_entropy_forward(buffers, sizes, attributes, primitives):
    logits, labels, p, sample_loss = buffers[0], integers(buffers[1]), buffers[2], buffers[3]
    batch, n = sizes[0], sizes[1]
    if not labels_ok(labels, batch, n):
        return INDEX_ERROR
    softmax_losses(logits, labels, p, sample_loss, batch, n, primitives)
    buffers[4][0] = reduced(total(primitives, sample_loss, batch), attributes, batch)
    return OK


def sparse_softmax_cross_entropy_backward(buffers, sizes, attributes, primitives):
    p, labels, dlogits = buffers[0], integers(buffers[1]), buffers[2]
    batch, n = sizes[0], sizes[1]
    if not labels_ok(labels, batch, n):
        return INDEX_ERROR
    softmax_gradients(p, labels, dlogits, batch, n, real(dlogits, 1 / divisor(attributes, batch)))
    return OK


def sparse_softmax_cross_entropy_and_gradient(buffers, sizes, attributes, primitives):
    logits, labels, sample_loss, dlogits = buffers[0], integers(buffers[1]), buffers[2], buffers[4]
    batch, n = sizes[0], sizes[1]
    if not labels_ok(labels, batch, n):
        return INDEX_ERROR
    softmax_losses(logits, labels, dlogits, sample_loss, batch, n, primitives)
    softmax_gradients(dlogits, labels, dlogits, batch, n, real(dlogits, 1 / divisor(attributes, batch)))
    buffers[3][0] = reduced(total(primitives, sample_loss, batch), attributes, batch)
    return OK


@helper
def rival(x, t, n):
    # the argmax of (1 - t) * x
    one, best = real(x, 1), 0
    largest = (one - t[0]) * x[0]
    for j in range(1, n):
        if largest != largest:
            break
        value = (one - t[j]) * x[j]
        if value > largest or value != value:
            best, largest = j, value
    return best


def categorical_hinge_backward(buffers, sizes, attributes, primitives):
    y_pred, y_true, sample_loss, dy_pred = buffers[0], buffers[1], buffers[2], buffers[3]
    batch, n = sizes[0], sizes[1]
    factor, zero, one = real(y_pred, 1 / divisor(attributes, batch)), real(y_pred, 0), real(y_pred, 1)
    if n == 0:
        return OK
    for i in range(batch):
        at = i * n
        hit = at + rival(offset(y_pred, at), offset(y_true, at), n)
        active = sample_loss[i] > zero
        for j in range(at, at + n):
            dy_pred[j] = (-y_true[j] if active else zero) * factor
        if active:
            dy_pred[hit] = (-y_true[hit] + (one - y_true[hit])) * factor
    return OK


def multi_label_margin_forward(buffers, sizes, attributes, primitives):
    y_pred, y_true, elements, sample_loss = buffers[0], buffers[1], buffers[2], buffers[3]
    batch, n = sizes[0], sizes[1]
    zero, half, one = real(y_pred, 0), real(y_pred, 0.5), real(y_pred, 1)
    for i in range(batch):
        row = range(i * n, (i + 1) * n)
        for k in row:
            elements[k] = zero
        for j in row:
            if y_true[j] > half:
                for k in row:
                    if not y_true[k] > half:
                        m = one - (y_pred[j] - y_pred[k])
                        elements[k] += zero if m <= zero else m  # NaN stays
        sample_loss[i] = total(primitives, offset(elements, i * n), n) / real(y_pred, max(n, 1))
    buffers[4][0] = reduced(total(primitives, sample_loss, batch), attributes, batch)
    return OK


def multi_label_margin_backward(buffers, sizes, attributes, primitives):
    y_pred, y_true, dy_pred = buffers[0], buffers[1], buffers[2]
    batch, n = sizes[0], sizes[1]
    zero, half, one = real(y_pred, 0), real(y_pred, 0.5), real(y_pred, 1)
    factor = real(y_pred, 1 / (max(n, 1) * divisor(attributes, batch)))
    for i in range(batch):
        row = range(i * n, (i + 1) * n)
        for k in row:
            dy_pred[k] = zero
        for j in row:
            if y_true[j] > half:
                for k in row:
                    if not y_true[k] > half and one - (y_pred[j] - y_pred[k]) > zero:
                        dy_pred[k] += one
                        dy_pred[j] -= one
        for k in row:
            dy_pred[k] *= factor
    return OK



def triplet_margin_forward(buffers, sizes, attributes, primitives):
    y_pred, elements, length, sample_loss = buffers[0], buffers[1], buffers[2], buffers[3]
    batch, n = sizes[0], sizes[1]
    zero, margin, eps = real(y_pred, 0), real(y_pred, attributes[1]), real(y_pred, attributes[2])
    for i in range(batch):
        anchor, row = (i - i % 3) * n, i * n
        length[i] = sample_loss[i] = zero
        if i % 3 == 0 or batch // 3 == i // 3:
            for j in range(n):
                elements[row + j] = zero
            continue
        for j in range(n):
            d = y_pred[anchor + j] - y_pred[row + j] + eps
            elements[row + j] = d * d
        length[i] = sqrt(total(primitives, offset(elements, row), n))
        if i % 3 == 2:
            m = length[i - 1] - length[i] + margin
            sample_loss[i - 2] = zero if m <= zero else m  # NaN stays
    buffers[4][0] = reduced(total(primitives, sample_loss, batch), attributes, max(batch // 3, 1))
    return OK


def triplet_margin_backward(buffers, sizes, attributes, primitives):
    y_pred, length, sample_loss, dy_pred = buffers[0], buffers[1], buffers[2], buffers[3]
    batch, n = sizes[0], sizes[1]
    threes = batch // 3
    zero, eps = real(y_pred, 0), real(y_pred, attributes[2])
    factor = real(y_pred, 1 / divisor(attributes, max(threes, 1)))
    for i in range(0, 3 * threes, 3):
        near, far, active = length[i + 1], length[i + 2], sample_loss[i] > zero
        for j in range(i * n, (i + 1) * n):
            u = v = zero
            if active and near > zero:
                u = (y_pred[j] - y_pred[j + n] + eps) / near
            if active and far > zero:
                v = (y_pred[j] - y_pred[j + 2 * n] + eps) / far
            u, v = u * factor, v * factor
            dy_pred[j], dy_pred[j + n], dy_pred[j + 2 * n] = u - v, -u, v
    for j in range(3 * threes * n, batch * n):
        dy_pred[j] = zero
    return OK


@helper
def mine_triplets(row, labels, hinges, weights, a, batch, margin):
    # one anchor: the hinge of each pair, the weights of pairs and negatives; returns how many pairs there are
    zero, one, infinity = real(row, 0), real(row, 1), real(row, inf)
    count, far, unclear = 0, -1, False
    for j in range(batch):
        weights[j] = zero
        hinges[j] = -infinity
        if labels[j] != labels[a]:
            hinges[j] = row[j]
            if not unclear and (far < 0 or row[j] > row[far] or row[j] != row[j]):
                far, unclear = j, row[j] != row[j]
    # hinges holds the distances of the negatives, and weights the hinges of the pairs until all are known
    for p in range(batch if far >= 0 else 0):
        if p == a or labels[p] != labels[a]:
            continue
        count += 1
        nearest = infinity
        for j in range(batch):
            if hinges[j] > row[p] and hinges[j] < nearest:
                nearest = hinges[j]
        clear = not unclear and nearest < infinity
        m = row[p] - (nearest if clear else row[far]) + margin
        weights[p] = zero if m <= zero else m  # NaN stays
        if m > zero:
            chosen = far
            if clear:
                chosen = 0
                while hinges[chosen] != nearest:
                    chosen += 1
            weights[chosen] -= one
    for j in range(batch):
        hinges[j] = zero
        if labels[j] == labels[a]:
            hinges[j] = weights[j]
            weights[j] = one if weights[j] > zero else zero
    return count


def triplet_semi_hard_forward(buffers, sizes, attributes, primitives):
    y_pred, labels, pairwise, elements, pull = buffers[0], integers(buffers[1]), buffers[2], buffers[3], buffers[4]
    batch, n = sizes[0], sizes[1]
    zero, two, margin, squared = real(y_pred, 0), real(y_pred, 2), real(y_pred, attributes[1]), attributes[2] != 0
    product(y_pred, y_pred, pairwise, batch, n, batch, n, 1, 1, n, primitives)
    for i in range(batch):
        elements[i] = pairwise[i * batch + i]
    for i in range(batch):
        for j in range(batch):
            q = elements[i] + elements[j] - two * pairwise[i * batch + j]
            q = zero if q <= zero else q
            pairwise[i * batch + j] = q if squared else sqrt(q)
    count = 0
    for a in range(batch):
        at = a * batch
        count += mine_triplets(offset(pairwise, at), labels, offset(elements, at), offset(pull, at), a, batch, margin)
        for j in range(at, at + (0 if squared else batch)):
            pull[j] = pull[j] / pairwise[j] if pairwise[j] > zero else zero
    for i in range(batch):
        for j in range(i + 1):
            both = pull[i * batch + j] + pull[j * batch + i]
            pull[i * batch + j] = pull[j * batch + i] = both
    integers(buffers[5])[0] = count
    buffers[6][0] = reduced(total(primitives, elements, batch * batch), attributes, max(count, 1))
    return OK


def triplet_semi_hard_backward(buffers, sizes, attributes, primitives):
    y_pred, pull, count, dy_pred = buffers[0], buffers[1], integers(buffers[2])[0], buffers[3]
    batch, n = sizes[0], sizes[1]
    factor = real(y_pred, (2.0 if attributes[2] != 0 else 1.0) / divisor(attributes, max(count, 1)))
    product(pull, y_pred, dy_pred, batch, batch, n, batch, 1, n, 1, primitives)
    for i in range(batch):
        s = total(primitives, offset(pull, i * batch), batch)
        for j in range(i * n, i * n + n):
            dy_pred[j] = (s * y_pred[j] - dy_pred[j]) * factor
    return OK


def smooth_one_hot(buffers, sizes, attributes, primitives):
    labels, smoothed = integers(buffers[1]), buffers[2]
    batch, n = sizes[0], sizes[1]
    if not labels_ok(labels, batch, n):
        return INDEX_ERROR
    off = real(smoothed, attributes[0] * (1.0 / n))
    on = real(smoothed, 1 - attributes[0]) + off
    for i in range(batch * n):
        smoothed[i] = off
    for i in range(batch):
        smoothed[i * n + labels[i]] = on
    return OK


def check_finite(buffers, sizes, attributes, primitives):
    loss = buffers[0][0]
    if loss - loss != 0:
        return NOT_FINITE
    return OK
