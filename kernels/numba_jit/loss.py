"""Losses: a value for the batch and the gradient of it. The attribute `mean` (1 or 0) comes first."""

from .activation import divide_rows, rows_per_block, subtract_max
from .common import (
    BLOCK,
    EXP,
    INDEX_ERROR,
    LOG,
    NOT_FINITE,
    OK,
    below_one,
    clip,
    helper,
    integers,
    offset,
    real,
    stack,
    sum_rows,
    total,
    unary,
)


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


def softmax_cross_entropy_forward(buffers, sizes, attributes, primitives):
    logits, y_true, p, elements, sample_loss = buffers[0], buffers[1], buffers[2], buffers[3], buffers[4]
    s, log_s = stack(p, BLOCK), stack(p, BLOCK)
    batch, n = sizes[0], sizes[1]
    step = rows_per_block(n)
    for start in range(0, batch if n > 0 else 0, step):
        rows = min(step, batch - start)
        at = start * n
        subtract_max(offset(logits, at), offset(elements, at), rows, n)
        unary(primitives, EXP, offset(elements, at), offset(p, at), rows * n)
        sum_rows(primitives, offset(p, at), s, rows, n)
        unary(primitives, LOG, s, log_s, rows)
        divide_rows(offset(p, at), s, rows, n)
        for i in range(rows):
            for j in range(at, at + n):
                elements[j] = y_true[j] * (elements[j] - log_s[i])
            at += n
    sum_rows(primitives, elements, sample_loss, batch, n)
    for i in range(batch):
        sample_loss[i] = -sample_loss[i]
    buffers[5][0] = reduced(total(primitives, sample_loss, batch), attributes, batch)
    return OK


def softmax_cross_entropy_backward(buffers, sizes, attributes, primitives):
    p, y_true, dlogits = buffers[0], buffers[1], buffers[2]
    batch, n = sizes[0], sizes[1]
    factor = real(dlogits, 1 / divisor(attributes, batch))
    for i in range(batch):
        at = i * n
        s = total(primitives, offset(y_true, at), n)
        for j in range(at, at + n):
            dlogits[j] = (p[j] * s - y_true[j]) * factor
    return OK


def sparse_softmax_cross_entropy_forward(buffers, sizes, attributes, primitives):
    logits, labels, p, sample_loss = buffers[0], integers(buffers[1]), buffers[2], buffers[3]
    s, log_s = stack(p, BLOCK), stack(p, BLOCK)
    batch, n = sizes[0], sizes[1]
    if not labels_ok(labels, batch, n):
        return INDEX_ERROR
    step = rows_per_block(n)
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
    buffers[4][0] = reduced(total(primitives, sample_loss, batch), attributes, batch)
    return OK


def sparse_softmax_cross_entropy_backward(buffers, sizes, attributes, primitives):
    p, labels, dlogits = buffers[0], integers(buffers[1]), buffers[2]
    batch, n = sizes[0], sizes[1]
    factor, one = real(dlogits, 1 / divisor(attributes, batch)), real(dlogits, 1)
    if not labels_ok(labels, batch, n):
        return INDEX_ERROR
    for i in range(batch):
        at = i * n
        hit = p[at + labels[i]] - one  # read before it may be overwritten
        for j in range(at, at + n):
            dlogits[j] = p[j] * factor
        dlogits[at + labels[i]] = hit * factor
    return OK


def check_finite(buffers, sizes, attributes, primitives):
    loss = buffers[0][0]
    if attributes[0] != 0 and loss - loss != 0:
        return NOT_FINITE
    return OK
