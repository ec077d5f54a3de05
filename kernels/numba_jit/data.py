"""Moving rows: the batches of an epoch are gathered by index, and so is an embedding."""

from .common import INDEX_ERROR, OK, helper, integers, octets, real


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


def gather_bytes(buffers, sizes, attributes, primitives):
    source, index, y = octets(buffers[0]), integers(buffers[1]), buffers[3]
    rows, n, batch = sizes[0], sizes[1], sizes[2]
    for i in range(batch):
        if not 0 <= index[i] < rows:
            return INDEX_ERROR
        start = index[i] * n
        for j in range(n):
            y[i * n + j] = real(y, source[start + j])
    return OK


def gather_labels(buffers, sizes, attributes, primitives):
    source, index, y = integers(buffers[0]), integers(buffers[1]), integers(buffers[2])
    rows, batch = sizes[0], sizes[1]
    for i in range(batch):
        if not 0 <= index[i] < rows:
            return INDEX_ERROR
        y[i] = source[index[i]]
    return OK


def gather_label_rows(buffers, sizes, attributes, primitives):
    source, index, y = integers(buffers[0]), integers(buffers[1]), integers(buffers[2])
    rows, n, batch = sizes[0], sizes[1], sizes[2]
    for i in range(batch):
        if not 0 <= index[i] < rows:
            return INDEX_ERROR
        start = index[i] * n
        for j in range(n):
            y[i * n + j] = source[start + j]
    return OK


@helper
def row_number(x, rows):
    # -1 if it is none; compared before the cast, which is undefined for what does not fit
    if not (x >= real(x, 0) and x < real(x, rows)):
        return -1
    k = int(x)
    return k if real(x, k) == x else -1


def embedding_forward(buffers, sizes, attributes, primitives):
    x, w, y = buffers[0], buffers[1], buffers[2]
    rows, width = sizes[2], sizes[3]
    for i in range(sizes[0] * sizes[1]):
        k = row_number(x[i], rows)
        if k < 0:
            return INDEX_ERROR
        for j in range(width):
            y[i * width + j] = w[k * width + j]
    return OK


def embedding_backward(buffers, sizes, attributes, primitives):
    dy, x, dw = buffers[0], buffers[1], buffers[3]
    width, rows = sizes[2], sizes[3]
    for i in range(rows * width):
        dw[i] = real(dw, 0)
    for i in range(sizes[0] * sizes[1]):
        k = row_number(x[i], rows)
        if k < 0:
            return INDEX_ERROR
        for j in range(width):
            dw[k * width + j] = dw[k * width + j] + dy[i * width + j]
    return OK
