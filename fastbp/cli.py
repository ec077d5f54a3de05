"""The command ``fastbp``: train a network from a shell and see what it did."""

import math
import os
import sys
import time

import numpy as np

from .kernels.arrays import same_bits

__all__ = ["main"]

#: Seconds that NumPy may train for the comparison.
_BUDGET = 3.0
#: Integers of at most so many different values are taken for classes.
_MOST_CLASSES = 100


def main(argv=None):
    """Run the command ``fastbp``.

    Parameters
    ----------
    argv : list of str, optional
        The arguments; those of the process if None.

    Returns
    -------
    int
        The exit status: 0; 1 if a bit differed from NumPy's; 2 for bad input, which one line on stderr
        explains, and nothing is written then; 130 after Ctrl-C.

    Examples
    --------
    >>> main(["train", "--epochs", "many"])
    2
    """
    try:
        args = _parse(sys.argv[1:] if argv is None else argv)
        return args.run(args)
    except SystemExit as end:  # argparse has shown the help or the version
        return end.code
    except KeyboardInterrupt:
        print("fastbp: interrupted", file=sys.stderr)
        return 130
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        print(f"fastbp: {error.strerror or error}{where}", file=sys.stderr)
    except (ArithmeticError, ImportError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        print(f"fastbp: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
    return 2


def _parse(argv):
    import argparse

    from . import __version__
    from .checks import suggest

    class Parser(argparse.ArgumentParser):
        def error(self, message):
            raise ValueError(message)

    def sizes(text):
        try:
            return [int(size) for size in text.split(",")] if text else []
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not sizes with commas between, such as 128,64") from None

    def show_help(args):
        parser.print_help()
        return 0

    parser = Parser(prog="fastbp", description="Backpropagation at the machine's speed, with NumPy's bits.")
    parser.add_argument("--version", action="version", version=f"fastbp {__version__}")
    parser.set_defaults(run=show_help)
    commands = parser.add_subparsers(title="commands", metavar="{train,versions}")
    versions = commands.add_parser("versions", help="show CPU, BLAS, backends and threads")
    versions.set_defaults(run=_versions)
    train = commands.add_parser("train", help="train a network of dense layers and compare it with NumPy, bit for bit")
    train.set_defaults(run=_train)

    add = train.add_argument_group("data").add_argument
    add(
        "data",
        nargs="*",
        help="an .npz file with x and y (and x_test, y_test if they are apart), two .npy files (x "
        "and y) or a .csv file with a header; without any, the handwritten digits that come with fastbp",
    )
    add("--target", metavar="NAME", help="the column of a .csv file to predict (default: the last)")
    add(
        "--task",
        choices=["auto", "classification", "regression"],
        default="auto",
        help=f"auto takes text, bool and integers of at most {_MOST_CLASSES} values for classes (default: %(default)s)",
    )
    add("--test-size", type=float, default=0.2, metavar="SHARE", help="of the rows, kept apart (default: %(default)s)")
    add(
        "--standardize",
        action=argparse.BooleanOptionalAction,
        help="scale features, and the target of a regression, to mean 0 and variance 1 over the training rows "
        "(default: on for your data, off for the digits)",
    )

    add = train.add_argument_group("network").add_argument
    add("--layers", type=sizes, default="256", metavar="N,N", help="sizes of the hidden layers (default: %(default)s)")
    add("--activation", default="relu", metavar="NAME", help="of the hidden layers (default: %(default)s)")
    add(
        "--loss",
        metavar="NAME",
        help="(default: sparse_categorical_crossentropy for classes, mean_squared_error for a regression)",
    )

    add = train.add_argument_group("training").add_argument
    add("--optimizer", default="adam", metavar="NAME", help="adam or sgd (default: %(default)s)")
    add("--lr", type=float, metavar="RATE", help="learning rate (default: the optimizer's)")
    add("--epochs", type=int, default=50, metavar="N", help="how often every row is seen (default: %(default)s)")
    add("--batch-size", type=int, default=32, metavar="N", help="rows of a step (default: %(default)s)")
    add("--seed", type=int, default=0, metavar="N", help="of the weights and of the shuffling (default: %(default)s)")
    add("--backend", metavar="NAME", help="cython, numba or numpy (default: cython)")
    add("--dtype", default="float32", metavar="NAME", help="float32 or float64 (default: %(default)s)")
    add(
        "--numerics",
        default="numpy",
        metavar="NAME",
        help="numpy: NumPy's bits; portable: the same bits on every CPU, and faster (default: %(default)s)",
    )

    add = train.add_argument_group("output").add_argument
    add("--output", default="model.npz", metavar="FILE", help="the trained model (default: %(default)s)")
    add("--history", default="history.json", metavar="FILE", help="loss and accuracy by epoch (default: %(default)s)")
    add(
        "--plot",
        nargs="?",
        const="loss.png",
        metavar="FILE.png",
        help="also draw the loss by epoch (without a name: loss.png); needs matplotlib",
    )
    add("--quiet", action="store_true", help="no progress bar")

    args, unknown = parser.parse_known_args(argv)
    if unknown:
        options = [f"--{name.replace('_', '-')}" for name in vars(args) if name not in ("data", "run")]
        raise ValueError(f"there is no option {unknown[0]!r}{suggest(unknown[0], options)}")
    return args


def _versions(args):
    from . import show_versions

    show_versions()
    return 0


# ------------------------------------------------------------------------------------------- data


def _load(paths, target):
    """Return the user's arrays by name: x and y, perhaps x_test and y_test; of a .csv file also names of columns."""
    kinds = [os.path.splitext(path)[1].lower() for path in paths]
    if target is not None and kinds != [".csv"]:
        raise ValueError(f"target is {target!r}; it is for one .csv file only")
    if kinds == [".csv"]:
        return _load_csv(paths[0], target)
    if kinds == [".npy", ".npy"]:
        return {"x": _load_numpy(paths[0]), "y": _load_numpy(paths[1])}
    if kinds == [".npz"]:
        arrays = _load_numpy(paths[0])
        wanted = ("x", "y", "x_test", "y_test") if {"x_test", "y_test"} & arrays.keys() else ("x", "y")
        for name in wanted:
            if name not in arrays:
                raise ValueError(f"{paths[0]} has no array {name!r}; it has {', '.join(arrays) or 'none'}")
        return {name: arrays[name] for name in wanted}
    raise ValueError(
        f"data is {' '.join(paths)}; it must be one .npz file, two .npy files (x and y) or one .csv file with a header"
    )


def _load_numpy(path):
    """Return the array of a .npy file, or the dict of arrays of a .npz file."""
    with open(path, "rb") as file:
        what, way = "", "astype(str)"
        try:
            loaded = np.load(file, allow_pickle=False)
            if os.path.splitext(path)[1].lower() != ".npz":
                return np.asarray(loaded)
            arrays = {}
            for name in loaded.files:
                what, way = f"array {name!r} of ", f"{name}.astype(str)"
                arrays[name] = np.asarray(loaded[name])
            return arrays
        except Exception as error:  # damage makes NumPy and zipfile raise almost anything
            # NumPy pickles what is of dtype object, such as text labels from a data frame
            hint = f"; {way} makes text of objects, which needs no pickle" if "allow_pickle" in str(error) else ""
            raise ValueError(f"{what}{path} cannot be read as an array file: {error}{hint}") from error


def _load_csv(path, target):
    import csv

    from .checks import suggest

    with open(path, newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file)
        try:
            names = [name.strip() for name in next(lines, [])]
            if len(names) < 2:
                raise ValueError(f"{path}: line 1 must be a header of two columns or more, with commas between")
            if len(set(names)) < len(names):
                raise ValueError(f"{path}: two columns of the header have one name")
            if all(_finite(name) is not None for name in names):
                raise ValueError(f"{path}: line 1 holds numbers; it must be a header with the names of the columns")
            if target is not None and target not in names:
                raise ValueError(f"target is {target!r}; {path} has no such column{suggest(target, names)}")
            at = len(names) - 1 if target is None else names.index(target)
            target = names.pop(at)
            x, y = [], []
            for fields in lines:
                place = f"{path}, line {lines.line_num}"
                if not fields:  # an empty line
                    continue
                if len(fields) != len(names) + 1:
                    raise ValueError(f"{place}: there are {len(fields)} fields; the header has {len(names) + 1}")
                label = fields.pop(at).strip()
                row = [_finite(field) for field in fields]
                if None in row:
                    i = row.index(None)
                    raise ValueError(f"{place}: column {names[i]!r} is {fields[i]!r}; it must be a finite number")
                if not label:
                    raise ValueError(f"{place}: column {target!r} is empty")
                x.append(np.array(row))
                y.append(label)
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not text in UTF-8: {error}") from None
        except csv.Error as error:
            raise ValueError(f"{path}, line {lines.line_num}: {error}") from None
    if not x:
        raise ValueError(f"{path} has a header and no rows")
    labels = np.array(y)
    for kind in (np.int64, np.float64):
        try:
            labels = labels.astype(kind)
            break
        except (ValueError, OverflowError):
            continue
    return {"x": np.array(x), "y": labels, "features": names, "target": target}


def _finite(text):
    """Return the finite number that a text says, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _looks_like_classes(y):
    if y.dtype.kind in "iu" and y.shape == (y.size,):
        return len(np.unique(y)) <= min(_MOST_CLASSES, len(y) // 2)
    return y.dtype.kind in "bUS"


def _checked(arrays, suffix):
    """Return x of shape (rows, n_in) and y of shape (rows,) or (rows, n_out), or say what is wrong with them."""
    x, y = arrays["x" + suffix], arrays["y" + suffix]
    if x.dtype.kind not in "biuf" or x.ndim == 0 or x.size == 0:
        raise ValueError(f"x{suffix} is {x.dtype} of shape {x.shape}; it must hold numbers in rows")
    if y.dtype.kind not in "biufUS" or y.ndim not in (1, 2):
        raise ValueError(f"y{suffix} is {y.dtype} of shape {y.shape}; it must be labels (rows,) or numbers (rows, n)")
    if len(x) != len(y):
        raise ValueError(f"x{suffix} has {len(x)} rows and y{suffix} has {len(y)}; they must have equally many")
    x, y = x.reshape(len(x), -1), y[:, 0] if y.shape[1:] == (1,) else y
    for name, array in (("x", x), ("y", y)):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            at = np.argwhere(~np.isfinite(array))[0].tolist()
            raise ValueError(f"{name}{suffix}{at} is {array[tuple(at)]}; it must be finite")
    return x, y


def _moments(array):
    """Return mean and standard deviation of each column; 1 for the deviation of a constant one."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, scale = array.mean(axis=0, dtype=np.float64), array.std(axis=0, dtype=np.float64)
    if not (np.isfinite(mean).all() and np.isfinite(scale).all()):
        raise ValueError("a column is too large to be scaled to variance 1")
    return mean, np.where(scale > 1e-12 * np.abs(mean), scale, 1)  # less is rounding


def _prepare(arrays, task, test_size, standardize):
    """Return x, x_test, y, y_test and a note.

    y holds class numbers, or numbers for a regression. The note is what it takes to prepare other rows and to read
    predictions: task, classes, mean and scale of the features, target_mean and target_scale.
    """
    from .datasets import train_test_split

    x, y = _checked(arrays, "")
    if task == "auto":
        task = "classification" if _looks_like_classes(y) else "regression"
    classify = task == "classification"
    if classify and y.ndim != 1:
        raise ValueError(f"y has shape {y.shape}; classes are one label a row (of a one-hot y, y.argmax(axis=1))")
    if not classify and y.dtype.kind in "US":
        raise ValueError(f"task is 'regression' and y is text ({y.flat[0].item()!r}); a regression takes numbers")
    if "x_test" in arrays:
        x_test, y_test = _checked(arrays, "_test")
        if x.shape[1:] + y.shape[1:] != x_test.shape[1:] + y_test.shape[1:]:
            raise ValueError(f"x_test {x_test.shape} and y_test {y_test.shape} do not fit x {x.shape} and y {y.shape}")
    else:
        x, x_test, y, y_test = train_test_split(x, y, test_size, stratify=classify)
    note = {"task": task, "features": arrays.get("features"), "target": arrays.get("target"), "classes": None}
    if classify:
        classes, y = np.unique(y, return_inverse=True)
        unknown = ~np.isin(y_test, classes)
        if unknown.any():
            raise ValueError(f"y_test has the label {y_test[unknown][0].item()!r}, which y has not")
        if len(classes) < 2:
            raise ValueError(f"y has one class only, {classes[0].item()!r}; there is nothing to learn")
        y_test = np.searchsorted(classes, y_test)
        note["classes"] = classes.astype(str).tolist() if classes.dtype.kind == "S" else classes.tolist()
    if standardize:
        mean, scale = _moments(x)
        x, x_test = (x - mean) / scale, (x_test - mean) / scale
        note.update(mean=mean.tolist(), scale=scale.tolist())
        if not classify:
            mean, scale = _moments(y)
            y, y_test = (y - mean) / scale, (y_test - mean) / scale
            note.update(target_mean=mean.tolist(), target_scale=scale.tolist())
    return x, x_test, y, y_test, note


def _encode(y, loss, classes):
    """Return targets as the loss takes them."""
    if classes is None:
        if loss.link is not None:
            raise ValueError(f"loss is {loss!r}, which is for classes; a regression takes mean_squared_error")
        return y.reshape(len(y), -1)
    if loss.targets == "groups":
        raise ValueError(f"loss is {loss!r}, which makes embeddings and no classes; take a cross-entropy")
    if loss.targets == "labels":
        return y
    if loss.link == "sigmoid":
        if len(classes) != 2:
            raise ValueError(f"loss is {loss!r}, which takes two classes; y has {len(classes)}")
        return y[:, None]
    return np.eye(len(classes))[y]


# ---------------------------------------------------------------------------------------- training


def _check_outputs(paths, inputs):
    """Check the output paths before training, so that nothing is trained that cannot be written."""
    seen = {os.path.realpath(path): "an input" for path in inputs}
    for name, path in paths.items():
        folder = os.path.dirname(os.path.realpath(path))
        if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
            raise ValueError(f"{name} is {path!r}; {folder} is not a directory to write in")
        if os.path.exists(path) and not os.path.isfile(path):
            raise ValueError(f"{name} is {path!r}, which is not a regular file")
        if os.path.realpath(path) in seen:
            raise ValueError(f"{name} is {path!r}, which is {seen[os.path.realpath(path)]}, too")
        seen[os.path.realpath(path)] = name


def _figure(path):
    """Return an empty matplotlib figure that needs no display, once it is clear that `path` can be drawn."""
    if os.path.splitext(path)[1].lower() not in (".png", ".pdf", ".svg"):
        raise ValueError(f"plot is {path!r}; its name must end in .png, .pdf or .svg")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("--plot needs matplotlib: pip install matplotlib") from None
    return Figure(figsize=(6, 4), layout="constrained")


def _train(args):
    import fastbp

    from .datasets import load_digits
    from .io import replacing, save_history, save_json

    stem = os.path.splitext(args.output)[0]
    paths = {"output": args.output, "history": args.history}
    if args.data:
        paths["the description of the data"] = f"{stem}.data.json"
    if args.plot is not None:
        paths["plot"] = args.plot
        figure = _figure(args.plot)
    _check_outputs(paths, args.data)
    if args.seed < 0:
        raise ValueError(f"seed is {args.seed}; it must be at least 0")

    arrays = _load(args.data, args.target) if args.data or args.target else dict(zip("xy", load_digits(), strict=True))
    standardize = bool(args.data) if args.standardize is None else args.standardize
    x, x_test, y, y_test, note = _prepare(arrays, args.task, args.test_size, standardize)
    classes = note["classes"]
    name = args.loss or ("mean_squared_error" if classes is None else "sparse_categorical_crossentropy")
    loss = fastbp.losses.get(name)
    targets, targets_test = _encode(y, loss, classes), _encode(y_test, loss, classes)
    units = len(classes) if loss.targets == "labels" else targets.shape[1]

    def make(backend, numerics=args.numerics):
        layers = [fastbp.Dense(size, activation=args.activation) for size in args.layers] + [fastbp.Dense(units)]
        model = fastbp.Sequential(layers, input_shape=x.shape[1], seed=args.seed)
        optimizer = fastbp.optimizers.get(args.optimizer)
        if args.lr is not None:
            optimizer.lr = args.lr
        model.compile(optimizer, loss, ["accuracy"] if loss.link else [], backend, args.dtype, numerics)
        return model

    model = make(args.backend)
    sizes = "-".join(str(size) for size in (x.shape[1], *args.layers, units))
    print(
        f"data           {' '.join(args.data) or 'the handwritten digits'}: {len(x)} rows to train on, {len(x_test)} "
        f"to test, {note['task']}" + (f" of {len(classes)} classes" if classes else "")
    )
    print(
        f"network        {sizes}, {args.activation}, {name}, {args.optimizer}, {model.backend}, {args.dtype}"
        + (", portable numerics" if args.numerics == "portable" else "")
    )
    sys.stdout.flush()
    options = {"batch_size": args.batch_size, "seed": args.seed}
    history = model.fit(
        x,
        targets,
        epochs=args.epochs,
        validation_data=(x_test, targets_test),
        verbose=0 if args.quiet else 1,
        **options,
    )
    _report_test(model, x_test, y_test, targets_test, classes)
    _report_gradients(model)
    equal = _compare(make, model, x, targets, args.epochs, options)

    if args.plot is not None:
        from matplotlib import rc_context

        from .plotting import STYLE

        with rc_context(STYLE):
            history.plot(ax=figure.subplots())
        with replacing(args.plot) as file:
            figure.savefig(file, format=os.path.splitext(args.plot)[1][1:].lower())
    model.save(args.output)
    save_history(args.history, history.history)
    if args.data:
        save_json(paths["the description of the data"], note)
    print(f"wrote          {', '.join(paths.values())}")
    return 0 if equal else 1


def _report_test(model, x, y, targets, classes):
    found = model.evaluate(x, targets)
    if classes is None:
        targets = targets.astype(np.float64)
        error, spread = ((targets - model.predict(x)) ** 2).sum(), ((targets - targets.mean(axis=0)) ** 2).sum()
        score = f", R2 {1 - error / spread:.4f}" if spread > 0 else ""
        print(f"test loss      {found['loss']:.6g}{score}")
        return
    accuracy = found.get("accuracy")
    if accuracy is None:
        accuracy = (model.predict(x).argmax(axis=1) == y).mean()
    print(f"test accuracy  {100 * accuracy:.2f} %, loss {found['loss']:.4f}")


def _report_gradients(model):
    """Print the norms of each layer's weights, and of its gradients in the last batch."""
    print(f"\n{'layer':<14} {'shape':>12} {'||w||':>10} {'||b||':>10} {'||dw||':>10} {'||db||':>10}")
    for layer in model.layers:
        norms = [np.linalg.norm(array.astype(np.float64)) for array in (layer.w, layer.b, layer.dw, layer.db)]
        print(f"{layer.name:<14} {'x'.join(map(str, layer.w.shape)):>12}", *(f"{norm:10.4g}" for norm in norms))
    print()


def _timed_fit(model, x, y, epochs, options):
    """Train; return the seconds a step took, without what is done once."""
    _ = model.program  # compiles it
    start = time.perf_counter()
    model.fit(x, y, epochs=epochs, verbose=0, **options)
    return (time.perf_counter() - start) / len(model.batch_losses)


def _compare(make, model, x, y, epochs, options):
    """Repeat the training, or as much of it as a budget of time allows, with NumPy; report times and bits.

    Returns
    -------
    bool
        Whether losses, weights and the optimizer's state are those of the definition, bit for bit.
    """
    from .kernels.backend import REFERENCE

    if model.backend == REFERENCE:
        print("NumPy          is the backend; there is nothing to compare")
        return True
    portable = model.numerics == "portable"
    rows, some = _affordable(make(REFERENCE), x, y, epochs, options)
    ours, reference = make(model.backend), make(REFERENCE)
    plain = make(REFERENCE, "numpy") if portable else reference
    trained = [ours, reference, plain] if portable else [ours, reference]
    seconds = {id(m): _timed_fit(m, x[:rows], y[:rows], some, options) for m in trained}
    steps = len(ours.batch_losses)
    mine, numpys = 1e6 * seconds[id(ours)], 1e6 * seconds[id(plain)]
    print(f"time a step    {mine:.1f} us, NumPy {numpys:.1f} us: {numpys / mine:.1f} times as fast, over {steps} steps")
    pairs = [(ours, reference)]
    if rows == len(x) and some == epochs:
        pairs.append((model, reference))
    different = sorted({name for pair in pairs for name in _differences(*pair)})
    whose = "the portable definition's" if portable else "NumPy's"
    if different:
        print(f"bits           NOT all equal to {whose} after {steps} steps; different: {', '.join(different)}")
    else:
        print(f"bits           every bit of losses, weights and optimizer state equals {whose} after {steps} steps")
    return not different


def _affordable(probe, x, y, epochs, options):
    """Return how many rows and epochs a model can train on within the budget."""
    batch = min(options["batch_size"], len(x))
    some = min(len(x), 5 * batch)
    steps = _BUDGET / min(_timed_fit(probe, x[:some], y[:some], 1, options) for _ in range(2))
    rows = min(len(x), max(1, int(steps)) * batch)
    return rows, max(1, min(epochs, int(steps * batch / rows)))


def _differences(a, b):
    """Return the names of what differs, in any bit, between two trained models."""
    found = []
    for name, arrays in {
        "losses": ([a.batch_losses], [b.batch_losses]),
        "weights": (a.get_weights(), b.get_weights()),
        "optimizer state": (a.optimizer.get_state().values(), b.optimizer.get_state().values()),
    }.items():
        if not all(map(same_bits, *arrays)):
            found.append(name)
    return found
