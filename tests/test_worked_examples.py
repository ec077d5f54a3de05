"""Numbers that courses work out by hand."""

import itertools

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits

from fastbp import Dense, Sequential, kernels, losses, optimizers

every_backend = pytest.mark.parametrize("backend", ("numpy", *BACKENDS))

X, TARGET = [[0.05, 0.10]], [[0.01, 0.99]]
WEIGHTS = [[[0.15, 0.20], [0.25, 0.30]], [0.35, 0.35], [[0.40, 0.45], [0.50, 0.55]], [0.60, 0.60]]


def course(loss, backend, dtype="float64"):
    """Return the 2-2-2 sigmoid network of the course."""
    model = Sequential([Dense(2, activation="sigmoid"), Dense(2, activation="sigmoid")], input_shape=2)
    model.compile(optimizers.SGD(lr=0.5), loss, backend=backend, dtype=dtype)
    model.set_weights(WEIGHTS)
    return model


@every_backend
def test_course_network(backend):
    mean = losses.MeanSquaredError()
    # the course descends the sum of squares and reports their mean
    model = course(losses.MeanSquaredError(reduction="sum"), backend)
    before = model.predict(X)
    assert f"{mean(TARGET, before, backend=backend):.15f}" == "0.303658313630144"
    assert model.evaluate(X, TARGET)["loss"] == 2 * mean(TARGET, before)
    assert model.train_on_batch(X, TARGET) == 2 * mean(TARGET, before)
    assert f"{mean(TARGET, model.predict(X), backend=backend):.16f}" == "0.2677876722529537"
    assert [[f"{v:.8f}" for v in row] for row in model.layers[0].w.tolist()] == [
        ["0.14955242", "0.19943536"], ["0.24910483", "0.29887071"],
    ]  # fmt: skip


@every_backend
def test_course_network_by_hand(backend):
    model = course("mse", backend)
    y = model.forward(X)
    assert f"{model.loss(TARGET):.15f}" == "0.303658313630144"
    model.backward()
    # the course's formulas: delta = dL/dy * y * (1 - y), dw = outer(input, delta)
    first, second = model.layers
    delta = (y - TARGET) * (y * (1 - y))
    hidden = (delta @ np.array(WEIGHTS[2]).T) * (first.y * (1 - first.y))
    assert_same_bits(second.dw, first.y.T @ delta, "dw of the output")
    assert_same_bits(second.db, delta[0], "db of the output")
    assert_same_bits(first.dw, np.array(X).T @ hidden, "dw of the hidden layer")
    assert_same_bits(first.db, hidden[0], "db of the hidden layer")
    model.update()
    # the mean over two outputs halves the step of the sum
    step = (0.15 - 0.14955242) / 2
    assert f"{first.w[0, 0]:.7f}" == f"{0.15 - step:.7f}"


@every_backend
def test_course_network_converges(backend):
    model = course(losses.MeanSquaredError(reduction="sum"), backend)
    history = model.fit(X, TARGET, epochs=10_000, shuffle=False, verbose=0)
    loss = history.history["loss"]
    assert loss[-1] < 1e-4 < loss[0]
    assert all(a > b for a, b in itertools.pairwise(loss))


@every_backend
def test_mean_squared_error_of_three(backend):
    y_true, y_pred = [10.0, 5.0, 3.0], [8.0, 7.0, 3.0]
    loss = losses.MeanSquaredError()
    assert loss(y_true, y_pred, backend=backend) == 8 / 3
    assert f"{loss(y_true, y_pred, backend=backend):.2f}" == "2.67"
    elements, value = kernels.mean_squared_error_forward(y_pred, y_true, backend=backend)
    assert elements.tolist() == [4.0, 4.0, 0.0] and value == 8 / 3
    assert loss.gradient(y_true, y_pred, backend=backend).tolist() == [-4 / 3, 4 / 3, 0.0]
    assert losses.MeanSquaredError(reduction="sum")(y_true, y_pred, backend=backend) == 8


@every_backend
@pytest.mark.parametrize(("dtype", "cost"), [("float32", "16.6"), ("float64", "34.5")])
def test_sure_and_wrong_binary_prediction(backend, dtype, cost):
    loss = losses.BinaryCrossEntropy()
    value = loss(np.zeros((1, 1), dtype), np.ones((1, 1), dtype), backend=backend)
    assert value.dtype == dtype and f"{value:.1f}" == cost


@every_backend
def test_exclusive_or(backend):
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    y = np.array([0, 1, 1, 0])
    model = Sequential([Dense(8, activation="tanh"), Dense(2)], seed=0)
    model.compile(optimizers.Adam(lr=0.05), "sparse_categorical_crossentropy", metrics="accuracy", backend=backend)
    assert model.fit(x, y, batch_size=4, epochs=200, seed=0, verbose=0).history["accuracy"][-1] == 1
    assert model.predict(x).argmax(axis=1).tolist() == y.tolist()
