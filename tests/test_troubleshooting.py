"""The messages that the guide's page on troubles lists: each is what the mistake that it names really says."""

import re
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

from fastbp import Activation, BatchNorm, Callback, Dense, Dropout, Embedding, Sequential, layers, losses
from fastbp.optimizers import SGD

PAGE = Path(__file__).parent.parent / "docs" / "guide" / "troubleshooting.rst"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the tests lie outside a source tree")

X, Y = np.random.default_rng(0).normal(size=(40, 4)), np.arange(40) % 3
LABELS, HOT, PAIR = "sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy"


def net(*last, loss=LABELS, optimizer="adam", metrics=(), inputs=4):
    """Return a compiled model of four numbers, with a hidden layer and these behind it."""
    model = Sequential([Dense(8, activation="relu"), *(last or [Dense(3)])], input_shape=inputs, seed=0)
    model.compile(optimizer, loss, metrics=metrics)
    return model


def fit(model, x=X, y=Y, **options):
    return model.fit(x, y, seed=0, verbose=0, **options)


def changed(x, value):
    x = x.copy()
    x[2, 1] = value
    return x


def spoilt():
    model = net()
    model.layers[0].w[0, 0] = np.nan
    return model


def fit_in_fit():
    model = net()

    class Again(Callback):
        def on_epoch_end(self, epoch, logs):
            fit(model)

    fit(model, callbacks=[Again()])


def fit_in_a_thread():
    model, errors = net(), []

    class Start(Callback):
        def on_epoch_end(self, epoch, logs):
            thread = threading.Thread(target=lambda: errors.append(said(lambda: fit(model))))
            thread.start()
            thread.join()

    fit(model, callbacks=[Start()])
    raise RuntimeError(*errors[0])


def layers_twice():
    model = net()
    Sequential(model.layers)


MISTAKES = (
    layers_twice,
    lambda: Sequential([Dense(3)]).get_weights(),
    lambda: Dense(3).w,
    lambda: Sequential([Dense(3)]).fit(X, Y),
    lambda: net().add(Dense(3)),
    lambda: net().set_weights([X]),
    lambda: net().predict(X[0]),
    lambda: net().predict([[1, 2, 3, 4], [1, 2]]),
    lambda: fit(net(), X[:, :3]),
    lambda: fit(net(), y=Y[1:]),
    lambda: fit(net(), y=Y + 1),
    lambda: fit(net(), y=Y + 0.5),
    lambda: fit(net(), y=np.eye(3)[Y]),
    lambda: fit(net(loss=HOT)),
    lambda: fit(net(Dense(1), loss=PAIR)),
    lambda: fit(net(Dense(1), loss="hinge"), y=Y == 0),
    lambda: fit(net(), changed(X, np.nan)),
    lambda: fit(net(), changed(X, 1e300)),
    lambda: fit(net(), np.ma.masked_less(X, 0)),
    lambda: fit(spoilt()),
    lambda: fit(net(loss="mse", optimizer=SGD(lr=1e6)), 1e3 * X, np.eye(3)[Y], epochs=9),
    lambda: fit(net(optimizer=SGD(lr=1e20)), epochs=9),
    fit_in_fit,
    fit_in_a_thread,
    lambda: net(loss="mse", metrics=["accuracy"]),
    lambda: net(loss="msee"),
    lambda: net(Dense(1)),
    lambda: net(Dense(1, activation="softmax"), loss=PAIR),
    lambda: net(Dense(3, activation="softmax"), loss=losses.SparseCategoricalCrossEntropy(from_logits=True)),
    lambda: net(Dense(3), loss=losses.SparseCategoricalCrossEntropy(from_logits=False)),
    lambda: net(Dense(3), Activation("softmax"), Dropout(0.5)),
    lambda: fit(net(BatchNorm(), Dense(3)), batch_size=1),
    lambda: Sequential([Embedding(10, 2), layers.Flatten()], input_shape=4).predict(np.full((1, 4), 10)),
)


def said(mistake):
    """Return what a mistake is told: errors and warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            mistake()
        except Exception as error:
            return [str(error)]
    return [str(warning.message) for warning in caught]


def test_messages_are_what_is_said():
    listed = re.findall(r"^   \* - ``(.+)``$", PAGE.read_text().partition("   * - message\n")[2], re.MULTILINE)
    patterns = {text: re.compile(re.escape(text).replace(r"\.\.\.", ".*"), re.DOTALL) for text in listed}
    found = set()
    for mistake in MISTAKES:
        messages = said(mistake)
        matching = {text for text, pattern in patterns.items() if any(map(pattern.search, messages))}
        assert matching, messages
        found |= matching
    assert found == set(listed)
    plain = [re.sub("[^a-z0-9 ]", "", text.lower()).strip() for text in listed]
    assert plain == sorted(plain)
