"""Moving rows: the batches of an epoch are gathered by index."""

from .common import INDEX_ERROR, OK, integers


def gather(buffers, sizes, attributes, primitives):
    source, index, y = buffers[0], integers(buffers[1]), buffers[2]
    rows, n, batch = sizes[0], sizes[1], sizes[2]
    for i in range(batch):
        if not 0 <= index[i] < rows:
            return INDEX_ERROR
        start = index[i] * n
        for j in range(n):
            y[i * n + j] = source[start + j]
    return OK


def gather_labels(buffers, sizes, attributes, primitives):
    source, index, y = integers(buffers[0]), integers(buffers[1]), integers(buffers[2])
    rows, batch = sizes[0], sizes[1]
    for i in range(batch):
        if not 0 <= index[i] < rows:
            return INDEX_ERROR
        y[i] = source[index[i]]
    return OK
