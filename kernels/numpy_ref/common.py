"""What a definition needs that is one function in portable numerics and an expression in NumPy's."""

import numpy as np


def sigmoid(x):
    # a method of portable arrays alone; importing their class here would load it for every reference
    return x.sigmoid() if hasattr(x, "sigmoid") else 1 / (1 + np.exp(-x))
