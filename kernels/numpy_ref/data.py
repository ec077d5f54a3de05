"""Moving rows: the batches of an epoch are gathered by index."""


def _check_index(index, rows):
    # NumPy would take -1 for the last row
    if index.size and not (0 <= index.min() and index.max() < rows):
        raise IndexError(f"row numbers must be in 0 .. {rows - 1}")


def gather(source, index):
    _check_index(index, len(source))
    return source[index]


def gather_labels(source, index):
    _check_index(index, len(source))
    return source[index]
