import numpy as np
from numba import njit

import fastbp
import fastbp.kernels.numba_jit  # tells Numba of the kernels
from fastbp import kernels


@njit
def epoch(x, y, w1, b1, w2, b2, lr, batch):
    """Train for one epoch by gradient descent, in place; return the mean loss."""
    total = 0.0
    for k in range(0, len(x), batch):
        rows, labels = x[k : k + batch], y[k : k + batch]
        h = kernels.tanh_forward(kernels.dense(rows, w1, b1))
        p, _, loss = kernels.sparse_softmax_cross_entropy_forward(kernels.dense(h, w2, b2), labels)
        dz = kernels.sparse_softmax_cross_entropy_backward(p, labels)
        db2, dw2, dh = kernels.dense_backward(h, dz, w2)
        db1, dw1 = kernels.dense_backward(rows, kernels.tanh_backward(dh, h), w1)[:2]
        w1 -= lr * dw1
        b1 -= lr * db1
        w2 -= lr * dw2
        b2 -= lr * db2
        total += loss * len(rows)
    return total / len(x)


x, y = fastbp.datasets.load_digits()
model = fastbp.Sequential([fastbp.Dense(32, activation="tanh"), fastbp.Dense(10)], input_shape=64, seed=0)
model.compile(fastbp.optimizers.SGD(lr=0.5), "sparse_categorical_crossentropy")
weights = model.get_weights()
for _ in range(5):
    print(f"loss {epoch(x, y, *weights, np.float32(0.5), 32):.3f}")

model.fit(x, y, batch_size=32, epochs=5, shuffle=False, verbose=0)
print("the bits of fit:", all((a == b).all() for a, b in zip(weights, model.get_weights(), strict=True)))
