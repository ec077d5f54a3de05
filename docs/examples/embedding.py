"""The handwritten digits as points: a net learns to put equal digits close together, and nearest neighbours judge it.

Run ``python docs/examples/embedding.py``; it fails if the mean test accuracy is below the claim.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import fastbp
from fastbp.datasets import load_digits

CLAIM = 0.98
HIDDEN, WIDTH, BATCH, EPOCHS, LR, MARGIN = 256, 8, 128, 60, 0.003, 1.0


def nearest_neighbour(points, labels, others):
    """Return for each of the others the label of the nearest point."""
    squares = (points**2).sum(axis=1)
    # the square of its own length is the same for all points
    return labels[(squares - 2 * others @ points.T).argmin(axis=1)]


def train(x, y, seed):
    """Train a net on semi-hard triplets of each batch: anchor, positive, and a negative that is just farther away."""
    model = fastbp.Sequential([fastbp.Dense(HIDDEN, activation="relu"), fastbp.Dense(WIDTH)], seed=seed)
    steps = EPOCHS * -(-len(x) // BATCH)
    model.compile(
        optimizer=fastbp.optimizers.Adam(lr=fastbp.schedules.CosineDecay(LR, steps)),
        loss=fastbp.losses.TripletSemiHard(margin=MARGIN),
        numerics="portable",  # the same figures on every machine
    )
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, seed=seed, verbose=0)
    return model


def draw(path, pixels, points, labels):
    """Draw the test digits on the two principal axes of their pixels and of their embeddings."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    for ax, rows, what in zip(figure.subplots(1, 2), (pixels, points), ("pixels", "numbers"), strict=True):
        centred = rows - rows.mean(axis=0)
        _, _, axes = np.linalg.svd(centred, full_matrices=False)
        for digit in range(10):
            a, b = (centred[labels == digit] @ axes[:2].T).T
            ax.scatter(a, b, s=8, color=f"C{digit}")
            ax.annotate(str(digit), (np.median(a), np.median(b)), weight="bold", ha="center", va="center")
        ax.set(title=f"{rows.shape[1]} {what}, two principal axes", xticks=[], yticks=[])
    figure.savefig(path)


def main(arguments=None):
    """Train, judge and draw; return the test accuracy of each seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="how many, of weights and shuffles")
    parser.add_argument("--picture", default=Path(__file__).with_suffix(".png"), help="where to write it")
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"--seeds is {options.seeds}; it must be at least 1")
    x_train, x_test, y_train, y_test = load_digits(split=True)
    mean, std = x_train.mean(axis=0), np.sqrt(x_train.var(axis=0).mean())
    x_train, x_test = (x_train - mean) / std, (x_test - mean) / std

    print(f"64-{HIDDEN}-{WIDTH}, relu, Adam, semi-hard triplets, {EPOCHS} epochs; seeds: {options.seeds}")
    models = [train(x_train, y_train, seed) for seed in range(options.seeds)]
    points = [(model.predict(x_train), model.predict(x_test)) for model in models]
    accuracies = np.array([(nearest_neighbour(known, y_train, new) == y_test).mean() for known, new in points])
    pixels = (nearest_neighbour(x_train, y_train, x_test) == y_test).mean()
    print(f"nearest neighbour among 64 pixels:  {100 * pixels:.2f} %")
    print(
        f"nearest neighbour among {WIDTH} numbers:  mean {100 * accuracies.mean():.2f} %, "
        f"worst {100 * accuracies.min():.2f} %"
    )
    draw(options.picture, x_test, points[0][1], y_test)
    print(f"wrote {options.picture}")
    if accuracies.mean() < CLAIM:
        sys.exit(f"the mean is below {100 * CLAIM:g} %")
    return accuracies


if __name__ == "__main__":
    main()
