"""The handwritten digits with a two-layer net: what helps is chosen on validation parts, the test part is used once.

Run ``python docs/examples/digits.py``; it fails if the mean test accuracy is below the claim.
"""

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import fastbp
from fastbp.datasets import load_digits, train_test_split
from fastbp.metrics import confusion_matrix

CLAIM = 0.98
HIDDEN, BATCH, LR, STEPS = 256, 32, 0.01, 3600


def shifted(x, y):
    """Return the images and, of each, copies shifted by half a pixel to the left, the right, the top and the bottom."""
    images = x.reshape(-1, 8, 8)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    neighbours = padded[:, 1:-1, 2:], padded[:, 1:-1, :-2], padded[:, 2:, 1:-1], padded[:, :-2, 1:-1]
    every = [images, *((images + neighbour) / 2 for neighbour in neighbours)]
    return np.concatenate(every).reshape(-1, 64), np.tile(y, len(every))


def train(x, y, x_held_out, y_held_out, copies, weight_decay, seed):
    """Train a model on x and y; return it with its outputs, its loss and its accuracy on what was held out."""
    if copies:
        x, y = shifted(x, y)
    # one deviation for all pixels: those in the corners hardly vary
    mean, std = x.mean(axis=0), np.sqrt(x.var(axis=0).mean())
    x, x_held_out = (x - mean) / std, (x_held_out - mean) / std
    model = fastbp.Sequential([fastbp.Dense(HIDDEN, activation="relu"), fastbp.Dense(10)], seed=seed)
    model.compile(
        optimizer=fastbp.optimizers.AdamW(lr=fastbp.schedules.CosineDecay(LR, STEPS), weight_decay=weight_decay),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        numerics="portable",  # the same figures on every machine
    )
    # equally many steps with and without the copies
    model.fit(x, y, batch_size=BATCH, epochs=round(STEPS * BATCH / len(x)), seed=seed, verbose=0)
    return model, model.predict(x_held_out), model.evaluate(x_held_out, y_held_out)


def draw(path, model, images, y_true, outputs):
    """Draw weights of the first layer, the digits that were hardest for all models, and who was taken for whom."""
    figure = Figure(figsize=(9, 3), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, width_ratios=[4, 3, 4])
    left.suptitle("weights of neurons")
    for ax, w in zip(left.subplots(3, 3).flat, model.layers[0].w.T, strict=False):
        ax.imshow(w.reshape(8, 8), cmap="coolwarm", vmin=-abs(w).max(), vmax=abs(w).max())
        ax.axis("off")
    middle.suptitle("hardest digits")
    probabilities = np.mean([fastbp.kernels.softmax_forward(y) for y in outputs], axis=0)
    of_truth = probabilities[np.arange(len(y_true)), y_true]
    for ax, row in zip(middle.subplots(2, 2).flat, np.argsort(of_truth), strict=False):
        ax.imshow(images[row].reshape(8, 8), cmap="gray_r")
        first = probabilities[row].argmax()
        ax.set_title(f"a {y_true[row]}: {probabilities[row, first]:.0%} for {first}", fontsize="small")
        ax.axis("off")
    mistakes = sum(confusion_matrix(y_true, y.argmax(axis=1)) for y in outputs) * (1 - np.eye(10, dtype=int))
    ax = right.subplots()
    ax.imshow(mistakes, cmap="Reds", vmax=2 * max(1, mistakes.max()))
    for true, predicted in zip(*mistakes.nonzero(), strict=True):
        ax.text(predicted, true, mistakes[true, predicted], ha="center", va="center")
    title = f"mistakes of {len(outputs)} models on {len(y_true)} digits"
    ax.set(title=title, xlabel="predicted", ylabel="true", xticks=range(10), yticks=range(10))
    figure.savefig(path)


def main(arguments=None):
    """Choose, train, test and draw; return the test accuracy of each seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="how many, of weights, shuffles and validation parts")
    parser.add_argument("--picture", default=Path(__file__).with_suffix(".png"), help="where to write it")
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"--seeds is {options.seeds}; it must be at least 1")
    x_train, x_test, y_train, y_test = load_digits(split=True)

    print(f"64-{HIDDEN}-10, relu, AdamW, {STEPS} steps; training rows held out for validation; seeds: {options.seeds}")
    print("shifted copies  weight decay  validation loss  validation accuracy")
    losses = {}
    for copies, weight_decay in itertools.product((0, 4), (0.0, 0.1, 1.0)):
        results = []
        for seed in range(options.seeds):
            x, x_held_out, y, y_held_out = train_test_split(x_train, y_train, seed=seed)
            results.append(train(x, y, x_held_out, y_held_out, copies, weight_decay, seed)[-1])
        loss, accuracy = (np.mean([result[name] for result in results]) for name in ("loss", "accuracy"))
        losses[copies, weight_decay] = loss
        print(f"{copies:14}  {weight_decay:12}  {loss:15.4f}  {100 * accuracy:17.2f} %")

    copies, weight_decay = min(losses, key=losses.get)
    print(f"the least validation loss: {copies} shifted copies, weight decay {weight_decay}; now on all training rows")
    runs = [train(x_train, y_train, x_test, y_test, copies, weight_decay, seed) for seed in range(options.seeds)]
    accuracies = np.array([result["accuracy"] for _, _, result in runs])
    print(f"test accuracy: mean {100 * accuracies.mean():.2f} %, worst {100 * accuracies.min():.2f} %")
    draw(options.picture, runs[0][0], x_test, y_test, [outputs for _, outputs, _ in runs])
    print(f"wrote {options.picture}")
    if accuracies.mean() < CLAIM:
        sys.exit(f"the mean is below {100 * CLAIM:g} %")
    return accuracies


if __name__ == "__main__":
    main()
