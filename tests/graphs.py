"""Small graphs of layers, each with what PyTorch would write for it: `GRAPHS`, which several test modules walk over.

A graph is a function that returns a model and its peer, ``peer(t, w, *xs)``: of PyTorch (`t`), of its weights by the
names that the model has for them, and of the inputs, it makes the outputs. Data follow from the model and its losses.
"""

import random
from typing import Any, NamedTuple

import numpy as np

import fastbp
from fastbp import Dense, Embedding, Flatten, Input, LayerNorm, Model, Sequential, stop_gradient
from fastbp import layers as L

SGD, MOMENTUM, ADAM = ("SGD", {"lr": 0.05}), ("SGD", {"lr": 0.02, "momentum": 0.9}), ("Adam", {"lr": 0.01, "eps": 1e-6})


class Case(NamedTuple):
    """A graph, and how it is trained."""

    name: str
    graph: Any  # returns a model and its peer
    loss: Any
    loss_weights: Any
    optimizer: tuple[str, dict[str, Any]]
    missing: Any  # by step, the output that has no targets

    def model(self, **options):
        """Return the model, compiled."""
        model, _ = self.graph()
        options = {"dtype": "float64", **options}
        model.compile(self.new_optimizer(), self.loss, loss_weights=self.loss_weights, **options)
        model.build()
        return model

    def new_optimizer(self):
        kind, arguments = self.optimizer
        return getattr(fastbp.optimizers, kind)(**arguments)

    def data(self, rows, seed=0, missing=None):
        """Return inputs and targets as the model takes them."""
        model, _ = self.graph()
        rng = np.random.default_rng(seed)
        graph = model.layout_for().graph
        inputs = [
            rng.integers(5, size=(rows, *port.shape)) if port.integers else rng.standard_normal((rows, *port.shape))
            for port in graph.ports
        ]
        names = [port.name for port in graph.results]
        targets = []
        for name, port in zip(names, graph.results, strict=True):
            loss = self.loss_of(name, names)
            if loss is None or name == missing:
                targets.append(None)
            elif loss == "sparse_categorical_crossentropy":
                targets.append(rng.integers(port.shape[-1], size=(rows, *port.shape[:-1])))
            elif loss in ("binary_crossentropy", "contrastive"):
                targets.append(rng.integers(2, size=(rows, *port.shape)).astype(float))
            else:
                targets.append(rng.standard_normal((rows, *port.shape)))
        return joined(model.inputs, inputs), joined(model.outputs, targets)

    def loss_of(self, name, names):
        """Return the loss of an output."""
        if isinstance(self.loss, dict):
            return self.loss.get(name)
        return self.loss[names.index(name)] if isinstance(self.loss, list) else self.loss

    def factor_of(self, name, names):
        """Return the factor of its loss."""
        if isinstance(self.loss_weights, dict):
            return self.loss_weights.get(name, 1.0)
        return self.loss_weights[names.index(name)] if isinstance(self.loss_weights, list) else 1.0


def joined(tensors, arrays):
    """Return arrays in the form of tensors: one, a list or a dict."""
    if isinstance(tensors, dict):
        return dict(zip(tensors, arrays, strict=True))
    return arrays if isinstance(tensors, list) else arrays[0]


def listed(value):
    """Return what is one, a list or a dict as a list."""
    return [*value.values()] if isinstance(value, dict) else value if isinstance(value, list) else [value]


GRAPHS: dict[str, Case] = {}


def case(loss="mse", loss_weights=None, optimizer=SGD, missing=None):
    """Add a graph."""

    def add(graph):
        name = graph.__name__
        GRAPHS[name] = Case(name, graph, loss, loss_weights, optimizer, missing or (lambda step: None))
        return graph

    return add


def dense(w, name, x):
    """Return what a `Dense` makes of PyTorch's tensors."""
    return x @ w[f"{name}.w"] + w[f"{name}.b"]


def norm(t, w, name, x):
    """Return what a `LayerNorm` makes of them."""
    return t.nn.functional.layer_norm(x, x.shape[-1:], w[f"{name}.gamma"], w[f"{name}.beta"], eps=1e-5)


@case("binary_crossentropy", optimizer=ADAM)
def two_towers():
    """Shared weights, the similarity of what they make."""
    tower = Sequential([Dense(6, "tanh", name="a"), Dense(4, name="b")], name="tower")
    left, right = Input(5), Input(5)
    y = L.Dot(axes=1)([tower(left), tower(right)])

    def peer(t, w, left, right):
        p, q = (dense(w, "tower.b", t.tanh(dense(w, "tower.a", x))) for x in (left, right))
        return (p * q).sum(1, keepdim=True)

    return Model([left, right], y, seed=1), peer


@case(optimizer=ADAM)
def u_shape():
    """Down and up, with concatenations of what has the same width."""
    x = Input(8)
    a = Dense(6, "tanh", name="a")(x)
    b = Dense(4, "tanh", name="b")(a)
    c = Dense(2, "tanh", name="c")(b)
    d = Dense(4, "tanh", name="d")(L.Concatenate()([c, b]))
    e = Dense(6, "tanh", name="e")(L.Concatenate()([d, a]))
    y = Dense(8, name="y")(L.Concatenate()([e, x]))

    def peer(t, w, x):
        a = t.tanh(dense(w, "a", x))
        b = t.tanh(dense(w, "b", a))
        c = t.tanh(dense(w, "c", b))
        d = t.tanh(dense(w, "d", t.cat([c, b], 1)))
        e = t.tanh(dense(w, "e", t.cat([d, a], 1)))
        return dense(w, "y", t.cat([e, x], 1))

    return Model(x, y, seed=2), peer


@case({"policy": "sparse_categorical_crossentropy", "value": "mse"}, {"value": 0.5}, ADAM)
def actor_critic():
    """Two losses on what has a body in common."""
    x = Input(4)
    h = Dense(8, "tanh", name="body")(x)
    outputs = {"policy": Dense(3, name="p")(h), "value": Dense(1, name="v")(h)}

    def peer(t, w, x):
        h = t.tanh(dense(w, "body", x))
        return dense(w, "p", h), dense(w, "v", h)

    return Model(x, outputs, seed=3), peer


@case(optimizer=ADAM)
def wide_and_deep():
    """Integers beside numbers: an embedding, and a line that goes straight to the output."""
    ids, numbers = Input(3, dtype="int64", name="ids"), Input(2, name="numbers")
    words = Flatten()(Embedding(5, 2, name="words")(ids))
    deep = Dense(6, "relu", name="deep")(L.Concatenate()([words, numbers]))
    y = Dense(1, name="top")(deep) + Dense(1, name="wide")(numbers)

    def peer(t, w, ids, numbers):
        words = w["words.w"][ids].flatten(1)
        return dense(w, "top", t.relu(dense(w, "deep", t.cat([words, numbers], 1)))) + dense(w, "wide", numbers)

    return Model({"ids": ids, "numbers": numbers}, y, seed=4), peer


@case("contrastive", optimizer=("SGD", {"lr": 0.005}))
def siamese():
    """The squared distance of two embeddings by one model."""
    inner = Input(4)
    tower = Model(inner, Dense(3, name="b")(Dense(5, "tanh", name="a")(inner)), name="tower")
    left, right = Input(4), Input(4)
    apart = tower(left) - tower(right)
    y = L.Sum(axis=1, keepdims=True)(apart * apart)

    def peer(t, w, left, right):
        p, q = (dense(w, "tower.b", t.tanh(dense(w, "tower.a", x))) for x in (left, right))
        return ((p - q) ** 2).sum(1, keepdim=True)

    return Model([left, right], y, seed=5), peer


@case("sparse_categorical_crossentropy", optimizer=ADAM)
def residual():
    """Blocks whose input is added to what they make of it."""
    x = h = Input(6)
    for k in range(4):
        h = h + Dense(6, name=f"down{k}")(Dense(9, "relu", name=f"up{k}")(LayerNorm(name=f"norm{k}")(h)))
    y = Dense(3, name="y")(h)

    def peer(t, w, h):
        for k in range(4):
            h = h + dense(w, f"down{k}", t.relu(dense(w, f"up{k}", norm(t, w, f"norm{k}", h))))
        return dense(w, "y", h)

    return Model(x, y, seed=6), peer


@case(optimizer=MOMENTUM)
def mixture():
    """Experts that a softmax weighs: each factor, a last axis of 1, is spread over its expert's outputs."""
    x = Input(5)
    gate = Dense(3, "softmax", name="gate")(x)
    y = L.Add()([gate[..., k : k + 1] * Dense(2, "tanh", name=f"expert{k}")(x) for k in range(3)])

    def peer(t, w, x):
        gate = t.softmax(dense(w, "gate", x), 1)
        return sum(gate[:, k : k + 1] * t.tanh(dense(w, f"expert{k}", x)) for k in range(3))

    return Model(x, y, seed=7), peer


class Tied(L.Layer):
    """An autoencoder whose second matrix is the first one transposed: a layer of a user's own, by kernels."""

    parameters = ("w", "b", "c")

    def __init__(self, units, input_shape=None, name=None):
        super().__init__(input_shape, name)
        self.units = units

    def build(self, input_shape):
        zeros, (n,) = fastbp.initializers.Zeros(), input_shape
        specs = [("w", (n, self.units), fastbp.initializers.GlorotUniform()), ("b", (self.units,), zeros)]
        return [L.ParameterSpec(*spec) for spec in (*specs, ("c", (n,), zeros))], input_shape

    def emit(self, program, x, weights, gradients):
        w, name = weights["w"], self.name
        h = program.call("tanh_forward", program.call("dense", x, w, weights["b"], layer=name), layer=name)
        y = program.call("bias_forward", program.call("matmul_nt", h, w, layer=name), weights["c"], layer=name)

        def backward(dy, need_dx):
            dh = program.call("matmul_nn", dy, w, layer=name)
            dz = program.call("tanh_backward", dh, h, layer=name)
            if gradients:
                program.call("bias_backward", dy, layer=name, into={"db": gradients["c"]})
                program.call("matmul_tn", dy, h, layer=name, into={"y": gradients["w"]})
                program.call("bias_backward", dz, layer=name, into={"db": gradients["b"]})
                program.call("matmul_tn", x, dz, layer=name, into={"y": gradients["w"]})
            return program.call("matmul_nt", dz, w, layer=name) if need_dx else None

        return y, backward

    def get_config(self):
        return {"units": self.units, **super().get_config()}


@case(optimizer=ADAM)
def tied():
    """An autoencoder with a tied weight, beside the line from its input."""
    x = Input(6)
    y = Tied(3, name="tied")(x) - x / 2

    def peer(t, w, x):
        h = t.tanh(x @ w["tied.w"] + w["tied.b"])
        return h @ w["tied.w"].T + w["tied.c"] - x / 2

    return Model(x, y, seed=8), peer


@case(["mse", "sparse_categorical_crossentropy", "mae"], [1.0, 0.3, 2.0], missing=lambda step: (
    [None, "b", "a", None, "c"][step % 5]
))  # fmt: skip
def multi_task():
    """Three tasks, whose targets are missing now and then."""
    x = Input(5)
    h = Dense(7, "tanh", name="body")(x)
    outputs = [Dense(2, name="a")(h), Dense(4, name="b")(h), Dense(1, name="c")(h)]

    def peer(t, w, x):
        h = t.tanh(dense(w, "body", x))
        return tuple(dense(w, name, h) for name in "abc")

    return Model(x, outputs, seed=9), peer


@case(optimizer=MOMENTUM)
def used_three_times():
    """One layer, three times in a row, and each time looked at."""
    x, layer = Input(4), Dense(4, "tanh", name="again")
    a = layer(x)
    b = layer(a)
    c = layer(b)
    y = L.Average()([a, b, c])

    def peer(t, w, x):
        a = t.tanh(dense(w, "again", x))
        b = t.tanh(dense(w, "again", a))
        c = t.tanh(dense(w, "again", b))
        return (a + b + c) / 3

    return Model(x, y, seed=10), peer


@case(optimizer=ADAM)
def nested():
    """A model in a model in a model, of two inputs and two outputs."""
    a, b = Input(3), Input(3)
    core = Model([a, b], [Dense(3, "tanh", name="sum")(a + b), Dense(3, "tanh", name="gap")(a - b)], name="core")
    c, d = Input(3), Input(3)
    p, q = core([c, d])
    shell = Model({"c": c, "d": d}, {"p": p, "q": Dense(3, name="turn")(q)}, name="shell")
    x, z = Input(3), Input(3)
    first = shell({"c": x, "d": z})
    second = shell({"d": first["p"], "c": first["q"]})
    y = second["p"] * second["q"]

    def peer(t, w, x, z):
        def shell(c, d):
            p, q = t.tanh(dense(w, "shell.core.sum", c + d)), t.tanh(dense(w, "shell.core.gap", c - d))
            return p, dense(w, "shell.turn", q)

        p, q = shell(x, z)
        p, q = shell(q, p)
        return p * q

    return Model([x, z], y, seed=11), peer


@case("sparse_categorical_crossentropy", optimizer=ADAM)
def chains_and_graphs():
    """A chain in a graph in a chain."""
    chain = Sequential([Dense(5, "tanh", name="a"), LayerNorm(name="norm")], name="chain")
    x = Input(5)
    graph = Model(x, chain(x) + x, name="graph")

    def peer(t, w, x):
        h = dense(w, "first", x)
        h = norm(t, w, "graph.chain.norm", t.tanh(dense(w, "graph.chain.a", h))) + h
        return dense(w, "last", t.relu(h))

    layers = [Dense(5, name="first"), graph, fastbp.Activation("relu"), Dense(3, name="last")]
    return Sequential(layers, input_shape=4, seed=12), peer


@case(optimizer=MOMENTUM)
def stopped():
    """A branch from which nothing is learned before it, as a gate beside one that learns."""
    x = Input(4)
    h = Dense(5, "tanh", name="h")(x)
    y = Dense(5, "sigmoid", name="gate")(stop_gradient(h)) * Dense(5, name="value")(h) + stop_gradient(h * h)

    def peer(t, w, x):
        h = t.tanh(dense(w, "h", x))
        return t.sigmoid(dense(w, "gate", h.detach())) * dense(w, "value", h) + (h * h).detach()

    return Model(x, y, seed=13), peer


@case(optimizer=SGD)
def gates():
    """Highway layers: numbers and tensors in arithmetic, a layer that is called in two of them."""
    x = h = Input(4)
    gate = Dense(4, "sigmoid", name="gate")
    for k in range(2):
        g = gate(h)
        h = g * Dense(4, "tanh", name=f"value{k}")(h) + (1 - g) * h
    y = 0.5 * h - 1 + -x / 4

    def peer(t, w, x):
        h = x
        for k in range(2):
            g = t.sigmoid(dense(w, "gate", h))
            h = g * t.tanh(dense(w, f"value{k}", h)) + (1 - g) * h
        return 0.5 * h - 1 + -x / 4

    return Model(x, y, seed=14), peer


@case("mae", optimizer=MOMENTUM)
def extremes():
    """The larger and the smaller of several."""
    x = Input(5)
    a, b, c = (Dense(4, name=name)(x) for name in "abc")
    y = L.Maximum()([a, b, c]) * L.Minimum()([a, L.Max(axis=1, keepdims=True)(b)])

    def peer(t, w, x):
        a, b, c = (dense(w, name, x) for name in "abc")
        return t.maximum(t.maximum(a, b), c) * t.minimum(a, b.max(1, keepdim=True).values)

    return Model(x, y, seed=15), peer


@case(["mse", "mse"], [0.25, 1.0], ADAM)
def averages():
    """Means of inputs, and along an axis."""
    x = Input((3, 4))
    h = Dense(5, "tanh", name="h")(x)
    mean = L.Mean(axis=1)(h)
    first = L.Average(name="both")([mean, L.Max(axis=1)(h), Dense(5, name="d")(mean)])

    def peer(t, w, x):
        h = t.tanh(dense(w, "h", x))
        mean = h.mean(1)
        return (mean + h.max(1).values + dense(w, "d", mean)) / 3, mean

    return Model(x, [first, mean], seed=16), peer


@case(optimizer=ADAM)
def attention():
    """Scores of every two positions by `Dot`, and what they weigh."""
    x = Input((4, 3))
    q, k, v = (Dense(5, use_bias=name == "v", name=name)(x) for name in "qkv")
    scores = fastbp.Activation("softmax")(L.Dot(axes=2)([q, k]) / 5**0.5)
    y = Dense(2, name="y")(L.Dot(axes=(2, 1))([scores, v]))

    def peer(t, w, x):
        q, k, v = x @ w["q.w"], x @ w["k.w"], dense(w, "v", x)
        return dense(w, "y", t.softmax(q @ k.mT / 5**0.5, 2) @ v)

    return Model(x, y, seed=17), peer


@case("cosine_similarity", optimizer=SGD)
def cosines():
    """Cosines with a few directions that are learned."""
    x = Input(4)
    a = Dense(6, name="a")(x)
    b = Dense(6, name="b")(x)
    y = Dense(3, name="y")(L.Concatenate()([a, L.Dot(axes=1, normalize=True)([a, b]), b]))

    def peer(t, w, x):
        a, b = dense(w, "a", x), dense(w, "b", x)
        p, q = (z / (z.square().sum(1, keepdim=True) + 1e-12).sqrt() for z in (a, b))
        return dense(w, "y", t.cat([a, (p * q).sum(1, keepdim=True), b], 1))

    return Model(x, y, seed=18), peer


@case(optimizer=ADAM)
def slices():
    """Parts of the last axis: a step of a gated cell."""
    x, c = Input(4), Input(3)
    z = Dense(12, name="z")(x)
    i, f, o = (fastbp.Activation("sigmoid")(z[..., k : k + 3]) for k in (0, 3, 6))
    g = fastbp.Activation("tanh")(z[..., 9:])
    new = f * c + i * g
    outputs = {"h": o * fastbp.Activation("tanh")(new), "c": new, "rest": z[..., -2:]}

    def peer(t, w, x, c):
        z = dense(w, "z", x)
        i, f, o, g = z.chunk(4, 1)
        new = t.sigmoid(f) * c + t.sigmoid(i) * t.tanh(g)
        return t.sigmoid(o) * t.tanh(new), new, z[:, -2:]

    return Model([x, c], outputs, seed=19), peer


@case(optimizer=ADAM)
def norms():
    """A normalisation in each branch, that of the batch in two places with the same parameters."""
    x, z, batch_norm = Input(4), Input(4), fastbp.BatchNorm(name="batch")
    y = LayerNorm(name="layer")(batch_norm(x) * 2 + batch_norm(z))
    y = Dense(2, name="y")(y * fastbp.layers.RMSNorm(name="rms")(z))

    def peer(t, w, x, z):
        def batch_norm(x):
            return t.nn.functional.batch_norm(x, None, None, w["batch.gamma"], w["batch.beta"], True, 0.0, 1e-3)

        rms = z / (z.square().mean(1, keepdim=True) + RMS_EPS).sqrt() * w["rms.gamma"]
        return dense(w, "y", norm(t, w, "layer", batch_norm(x) * 2 + batch_norm(z)) * rms)

    return Model([x, z], y, seed=20), peer


RMS_EPS = fastbp.layers.RMSNorm().eps


@case("sparse_categorical_crossentropy", optimizer=MOMENTUM)
def frozen():
    """A part that stays as it is, through which gradients go, and a layer at another rate."""
    x = Input(4)
    first = Dense(5, "tanh", name="first")
    body = Sequential([Dense(5, "tanh", name="a"), Dense(5, name="b")], name="body")
    last = Dense(3, name="last")
    y = last(body(first(x)) + body(L.Concatenate()([x, x[..., :1]])))
    body.trainable = False
    last.lr_factor = 0.5

    def peer(t, w, x):
        def body(x):
            return dense(w, "body.b", t.tanh(dense(w, "body.a", x)))

        return dense(w, "last", body(t.tanh(dense(w, "first", x))) + body(t.cat([x, x[:, :1]], 1)))

    return Model(x, y, seed=21), peer


@case(["mse", "mse", "mse"], [0.1, 1.0, 0.5], ADAM)
def supervised_within():
    """An output that others are made of, and the same tensor as two outputs with a loss each."""
    x = Input(4)
    a = Dense(3, "tanh", name="a")(x)
    b = Dense(3, name="b")(a)

    def peer(t, w, x):
        a = t.tanh(dense(w, "a", x))
        b = dense(w, "b", a)
        return a, b, a

    return Model(x, [a, b, a], seed=22), peer


@case(optimizer=ADAM)
def two_kinds_of_inputs():
    """A bag of words beside numbers; words and a category have one table."""
    table = Embedding(6, 3, name="table")
    words, kind, numbers = Input(4, dtype="int32"), Input(1, dtype="int64"), Input(2)
    bag = L.Mean(axis=1)(table(words))
    h = L.Concatenate(axis=1)([bag, Flatten()(table(kind)), numbers])
    y = Dense(2, name="y")(h)

    def peer(t, w, words, kind, numbers):
        table = w["table.w"]
        return dense(w, "y", t.cat([table[words].mean(1), table[kind][:, 0], numbers], 1))

    return Model([words, kind, numbers], y, seed=23), peer


class Bottleneck(L.Layer):
    """Two layers and the line past them: a layer of a user's own, of other layers."""

    def __init__(self, units, input_shape=None, name=None):
        super().__init__(input_shape, name)
        self.units, self.down, self.up = units, Dense(units, "tanh"), Dense(4)

    def call(self, x):
        return x + self.up(self.down(x))

    def get_config(self):
        return {"units": self.units, **super().get_config()}


@case(optimizer=MOMENTUM)
def composed():
    """A layer made of others, called twice, and another one."""
    x, block = Input(4), Bottleneck(2, name="block")
    y = Bottleneck(3, name="other")(block(block(x)))

    def peer(t, w, x):
        for name in ("block", "block", "other"):
            x = x + dense(w, f"{name}.up", t.tanh(dense(w, f"{name}.down", x)))
        return x

    return Model(x, y, seed=24), peer


@case(optimizer=ADAM)
def mixer():
    """Rows of two dimensions, mixed along both: `Permute`, `RepeatVector`, `Reshape`, a concatenation of axis 1."""
    x, z = Input((3, 4)), Input(4)
    h = L.Concatenate(axis=1)([x, L.RepeatVector(2)(z)])
    h = h + L.Permute((2, 1))(Dense(5, "tanh", name="along")(L.Permute((2, 1))(h)))
    y = Dense(2, name="y")(L.Reshape((2, 10))(h))

    def peer(t, w, x, z):
        h = t.cat([x, z[:, None].expand(-1, 2, -1)], 1)
        h = h + t.tanh(dense(w, "along", h.mT)).mT
        return dense(w, "y", h.reshape(-1, 2, 10))

    return Model([x, z], y, seed=25), peer


@case(optimizer=MOMENTUM)
def twice_itself():
    """A tensor that meets itself, and is used again later."""
    x = Input(3)
    h = Dense(3, "tanh", name="h")(x)
    d = Dense(3, name="d")(h + h)
    y = L.Multiply()([h, h, d]) + L.Add()([d, h, d])

    def peer(t, w, x):
        h = t.tanh(dense(w, "h", x))
        d = dense(w, "d", h + h)
        return h * h * d + (d + h + d)

    return Model(x, y, seed=26), peer


def convolved(t, w, name, x, **options):
    """Return what a `Conv2D` with a bias makes of images, channels last."""
    weight = w[f"{name}.w"].permute(3, 2, 0, 1)
    return t.nn.functional.conv2d(x.movedim(3, 1), weight, w[f"{name}.b"], **options).movedim(1, 3)


@case("sparse_categorical_crossentropy", optimizer=ADAM)
def images():
    """A residual block of convolutions, one of them twice, and the way down and up again."""
    x = Input((4, 4, 2))
    again = fastbp.Conv2D(2, 3, padding="same", activation="tanh", name="again")
    h = again(again(x)) + x
    low = fastbp.Conv2D(4, 2, strides=2, activation="tanh", name="down")(h)
    up = fastbp.Conv2DTranspose(3, 2, strides=2, name="up")(low)
    both = fastbp.Conv2D(3, 1, name="both")(L.Concatenate()([up, h]))
    y = Dense(3, name="y")(fastbp.GlobalAveragePooling2D()(both))

    def peer(t, w, x):
        h = x
        for _ in range(2):
            h = t.tanh(convolved(t, w, "again", h, padding=1))
        h = h + x
        low = t.tanh(convolved(t, w, "down", h, stride=2))
        weight = w["up.w"].permute(3, 2, 0, 1)
        up = t.nn.functional.conv_transpose2d(low.movedim(3, 1), weight, w["up.b"], stride=2).movedim(1, 3)
        both = convolved(t, w, "both", t.cat([up, h], 3))
        return dense(w, "y", both.mean((1, 2)))

    return Model(x, y, seed=27), peer


def random_graph(seed):
    """Return a model of layers that are put together at random, some of them shared, some nested."""
    rng = random.Random(seed)
    inputs = [Input(rng.choice((3, 4, (3, 4)))) for _ in range(rng.randrange(1, 4))]
    tensors, shared = [*inputs], []
    for _ in range(rng.randrange(4, 14)):
        x = rng.choice(tensors[-5:])
        tensors.append(random_use(rng, x, tensors, shared))
    # what nobody uses yet are outputs
    used = {tensor for t in tensors if t.node is not None for tensor in t.node.inputs}
    ends = [t for t in tensors if t not in used and t not in inputs] or [tensors[-1]]
    for x in inputs:
        if x not in used:
            ends.append(Dense(2)(x))
    if rng.random() < 0.3:
        # one that others are made of
        ends += [t for t in rng.sample(tensors, 1) if t not in ends and t.node is not None]
    rng.shuffle(ends)
    model = Model(inputs, ends, seed=seed)
    for layer in model.layers:
        if rng.random() < 0.1:
            layer.trainable = False
    return model


def random_use(rng, x, tensors, shared):
    """Return what some layer makes of a tensor, and of others where it takes several."""
    kind = rng.choice(("dense", "dense", "shared", "again", "merge", "merge", "arithmetic", "slice", "norm", "model"))
    alike = [t for t in tensors if t.shape == x.shape]
    if kind == "shared":
        fitting = [layer for layer in shared if layer.nodes[0].inputs[0].shape[-1] == x.shape[-1]]
        if fitting:
            return rng.choice(fitting)(x)
    if kind == "merge":
        layer = rng.choice((L.Add, L.Average, L.Subtract, L.Multiply, L.Maximum, L.Minimum, L.Concatenate))()
        return layer([x, *rng.choices(alike, k=1 if isinstance(layer, L.Subtract) else rng.randrange(1, 4))])
    if kind == "arithmetic":
        return rng.choice((lambda t: 2 * t, lambda t: 1 - t, lambda t: -t / 3, lambda t: t * t, lambda t: t + t))(x)
    if kind == "slice" and x.shape[-1] > 1:
        return x[..., rng.randrange(x.shape[-1]) :]
    if kind == "norm":
        return rng.choice((LayerNorm, L.RMSNorm))()(x)
    if kind == "model":
        inner = Input(x.shape)
        h = Dense(3, "tanh")(inner)
        part = Model(inner, rng.choice(([h, Dense(2)(h)], [Dense(3)(h) + h, inner])))
        return rng.choice(part(x))
    layer = Dense(rng.choice((3, 4)), rng.choice(("tanh", "sigmoid", None)))
    if kind != "dense":
        shared.append(layer)
    return layer(x)
