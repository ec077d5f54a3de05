"""What programs are made of, as JSON: to compare two states of the source after a change of structure.

``PYTHONPATH=A python tests/programs.py >a.json; PYTHONPATH=B python tests/programs.py >b.json; diff a.json b.json``
shows every call, buffer, place in the arena and number that the runner is given in which two checkouts A and B
differ: for the nets of the README's table and 50 random chains of layers, for each purpose a model has. The model
API is all that it uses, so that it runs on older commits too.
"""

import json
import random
import sys

import numpy as np

import fastbp
from fastbp import layers as L

PURPOSES = ("train", "train on", "steps", "evaluate", "predict")
NETS = ((4, (16, 3), 32), (64, (128, 10), 32), (784, (256, 128, 10), 64), (784, (1024, 1024, 10), 256))
ACTIVATIONS = (None, "relu", "tanh", "sigmoid", "gelu", "elu", "softmax", "leaky_relu", "silu", "log_softmax")
OPTIMIZERS = ("SGD", "Adam", "AdamW", "RMSprop", "Nadam", "Lion", "Adagrad")
LOSSES = (
    ("mse", ["mae"]), ("mae", []), ("huber", ["r2_score"]), ("sparse_categorical_crossentropy", ["accuracy"]),
    ("categorical_crossentropy", ["accuracy", "precision", "recall"]),
    ("binary_crossentropy", ["accuracy", "f1_score"]),
)  # fmt: skip


def readme_net(n_in, widths, dtype, numerics):
    layers = [fastbp.Dense(n, activation="relu") for n in widths[:-1]] + [fastbp.Dense(widths[-1])]
    model = fastbp.Sequential(layers, input_shape=n_in, seed=0)
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"], dtype=dtype, numerics=numerics)
    return model


def random_chain(seed):
    rng = random.Random(seed)
    layers = []
    for _ in range(rng.randrange(1, 7)):
        kind = rng.choice(("dense", "dense", "dense", "activation", "norm", "noise", "prelu"))
        if kind == "dense":
            options = {"use_bias": rng.random() < 0.8}
            if rng.random() < 0.3:
                options["kernel_regularizer"] = rng.choice(("l1", "l2"))
            if rng.random() < 0.2:
                options["kernel_constraint"] = rng.choice(("max_norm", "non_neg"))
            layers.append(L.Dense(rng.randrange(1, 40), activation=rng.choice(ACTIVATIONS), **options))
        elif kind == "activation":
            layers.append(L.Activation(rng.choice(ACTIVATIONS[1:])))
        elif kind == "norm":
            layers.append(rng.choice((L.LayerNorm, L.RMSNorm, L.BatchNorm))())
        elif kind == "noise":
            layers.append(rng.choice((L.Dropout, L.AlphaDropout))(0.3))
        else:
            layers.append(L.PReLU())
    loss, metrics = rng.choice(LOSSES)
    link = {"binary_crossentropy": "sigmoid", "categorical_crossentropy": "softmax"}.get(loss)
    layers.append(L.Dense(rng.randrange(2, 12), activation=link))
    model = fastbp.Sequential(layers, input_shape=rng.randrange(1, 30), seed=seed)
    if rng.random() < 0.3:
        layers[0].trainable = False
    if rng.random() < 0.3:
        layers[-1].lr_factor = 0.5
    numerics = rng.choice(("numpy", "portable"))
    dtype = rng.choice(("float32", "float64"))
    clip = rng.choice(({}, {"clipnorm": 1.0}, {"clipvalue": 0.5}))
    optimizer = getattr(fastbp.optimizers, rng.choice(OPTIMIZERS))(**clip)
    model.compile(optimizer, loss, metrics, dtype=dtype, numerics=numerics)
    return model


def given(weighted):
    """Return what a batch brings as `Engine.compile` takes it: a bool where models had one output."""
    kinds = getattr(fastbp.data, "Given", None)
    return weighted if kinds is None else (kinds.WEIGHTS,) if weighted else None


def described(program, batch):
    plan = program.plan(batch)
    program.verify(plan)
    kept = program.plan(batch, keep=True)
    program.verify(kept)

    def shown(buffer):
        place = [plan.offsets.get(buffer.root), kept.offsets.get(buffer.root)]
        return [repr(buffer), buffer.number, buffer.role, buffer.dtype, buffer.size(batch, 99), *place]

    return {
        "listing": str(program).splitlines(),
        "arena": [plan.nbytes, plan.unshared, kept.nbytes],
        "commit": program.commit,
        "calls": [
            {
                "kernel": call.kernel.name,
                "phase": call.phase,
                "layer": call.layer,
                "sizes": [list(size) for size in call.affine_sizes(99)],
                "attributes": [*call.kernel.code, *call.attributes.values()],
                "cost": [call.work(b) for b in (0, 1, 1024)],
                "buffers": [shown(b) for b in call.buffers],
            }
            for call in program.calls
        ],
    }


def main():
    found = {}
    models = {
        f"{net} {dtype} {numerics}": (readme_net(net[0], net[1], dtype, numerics), net[2])
        for net in NETS for dtype in ("float32", "float64") for numerics in ("numpy", "portable")
    }  # fmt: skip
    models |= {f"chain {seed}": (random_chain(seed), 1 + 7 * seed % 65) for seed in range(50)}
    for name, (model, batch) in models.items():
        for purpose in PURPOSES:
            for weighted in (False, True)[: 1 if purpose == "predict" else 2]:
                network = model.engine().compile(purpose, given(weighted))
                found[f"{name}, {purpose}, {weighted}"] = described(network.program, batch)
        model.predict(np.zeros((2, *model.layout.input_shape)))
    json.dump(found, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
