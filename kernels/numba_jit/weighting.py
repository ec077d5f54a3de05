"""What weighs the samples of a loss; more of it is made from the table (kernels/pointwise.py)."""

from .common import OK, integers, real


def weigh_samples(buffers, sizes, attributes, primitives):
    x, weight, y = buffers[0], buffers[1], buffers[2]
    for i in range(sizes[0]):
        y[i] = x[i] * weight[i]
    return OK


def weigh_rows(buffers, sizes, attributes, primitives):
    x, weight, y = buffers[0], buffers[1], buffers[2]
    n = sizes[1]
    for i in range(sizes[0]):
        at = i * n
        for j in range(n):
            y[at + j] = x[at + j] * weight[i]
    return OK


def ignore_label(buffers, sizes, attributes, primitives):
    y_true, kept, weight = integers(buffers[1]), integers(buffers[2]), buffers[3]
    batch, ignored, count = sizes[0], int(attributes[1]), 0
    for i in range(batch):
        count += y_true[i] != ignored
    share = real(weight, batch / max(count, 1) if attributes[0] != 0 else 1.0)
    for i in range(batch):
        kept[i] = y_true[i] if y_true[i] != ignored else 0
        weight[i] = share if y_true[i] != ignored else real(weight, 0)
    return OK
