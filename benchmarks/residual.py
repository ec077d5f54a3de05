"""A train step of a residual net beside that of the same chain without additions: ``python -m benchmarks.residual``.

Eight layers of 64 with relu, to each of which its input is added, and one of 10; batches of 32, Adam, float32, one
thread. The residual net is timed as it is and without the pass that joins additions to products. A turn is twenty
steps, so that the nets do not find each other's data in the caches, and the fastest of many turns counts: a neighbour
on the machine makes steps slower, never faster.
"""

import argparse

import numpy as np

import fastbp
from fastbp.backends import make_executor
from fastbp.compiler import compile_training
from fastbp.program.passes import PASSES, fuse_add

from .common import NUMERICS, alternate

WIDTH, DEPTH, OUTPUTS, BATCH = 64, 8, 10, 32
STEPS = 20  # of a turn


def step_of(residual, numerics, passes=PASSES):
    """Return a function that makes the train steps of a turn."""
    x = h = fastbp.Input(WIDTH)
    for _ in range(DEPTH):
        y = fastbp.Dense(WIDTH, activation="relu")(h)
        h = y + h if residual else y
    model = fastbp.Model(x, fastbp.Dense(OUTPUTS)(h), seed=0)
    model.compile("adam", "sparse_categorical_crossentropy", numerics=numerics)
    engine = model.engine()
    network = compile_training(
        engine.layout, model.heads, model.optimizer, model.dtype, numerics, passes=passes, stop_on_nan=False
    )
    executor = make_executor(network.program, "cython", engine.shared, BATCH)
    rng = np.random.default_rng(0)
    executor.bind(network.inputs[0], rng.normal(size=(BATCH, WIDTH)).astype(model.dtype))
    executor.bind(network.objectives[0].y_true, rng.integers(OUTPUTS, size=BATCH))
    span = network.program.start, len(network.program.calls)

    def turn():
        for _ in range(STEPS):
            executor.run(span, BATCH)

    return turn


def main(arguments=None):
    """Print the fastest steps and their ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.residual", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=300, help="turns of each side")
    options = parser.parse_args(arguments)
    fastbp.set_num_threads(1)
    for numerics in NUMERICS:
        jobs = {
            "chain": step_of(False, numerics),
            "residual": step_of(True, numerics),
            "residual, additions by themselves": step_of(True, numerics, [p for p in PASSES if p is not fuse_add]),
        }
        seconds = {name: times.min() for name, times in alternate(jobs, options.rounds).items()}
        for name, best in seconds.items():
            print(f"{numerics:10}{name:36}{1e6 * best / STEPS:8.2f} us{best / seconds['chain']:8.3f}")


if __name__ == "__main__":
    main()
