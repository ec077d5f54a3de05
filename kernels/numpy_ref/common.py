"""What a definition needs that is one function in portable numerics and an expression in NumPy's."""

import numpy as np

from ..portable.array import PortableArray


def sigmoid(x):
    return x.sigmoid() if isinstance(x, PortableArray) else 1 / (1 + np.exp(-x))
