"""What weighs the samples of a loss; more of it is written from the table (kernels/codegen/)."""

from .common import OK, doubles, integers, real


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


def ignore_label_rows(buffers, sizes, attributes, primitives):
    y_true, rows, ignored, count = integers(buffers[0]), doubles(buffers[1]), int(attributes[1]), 0
    for i in range(sizes[0]):
        count += y_true[i] == ignored
    rows[0] -= count
    return OK


def weighted_mean_rows(buffers, sizes, attributes, primitives):
    doubles(buffers[1])[0] = buffers[0][0]
    return OK
