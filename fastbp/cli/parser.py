"""The commands and their options: what is typed, what a file of options says, and what holds otherwise."""

import argparse
import os
import re

from ..checks import suggest
from ..table.grammar import KINDS

__all__ = ["parse"]


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are exceptions, and whose options are None until they are given.

    Attributes
    ----------
    defaults : dict of str to object
        By the names that options have in a namespace.
    flags : dict of str to list of str
        What is typed for each of them.
    """

    def __init__(self, *args, **options):
        self.defaults, self.flags = {}, {}
        super().__init__(*args, **options)

    def error(self, message):
        raise ValueError(message)

    def group(self, title, note=None):
        """Return the function that adds an option to a new group."""
        group = self.add_argument_group(title, note)

        def add(*names, completions=None, **settings):
            action = group.add_argument(*names, **settings)
            self.defaults[action.dest], self.flags[action.dest] = action.default, action.option_strings
            if completions is not None:
                vars(action)["completer"] = lambda **_: completions

        return add

    def parse_known_args(self, args=None, namespace=None):
        if namespace is None:
            namespace = argparse.Namespace(**dict.fromkeys(self.defaults))
        return super().parse_known_args(args, namespace)


class _More(argparse.Action):
    """An option that may be given several times, with several values each."""

    def __call__(self, parser, namespace, values, option_string=None):
        setattr(namespace, self.dest, [*(getattr(namespace, self.dest) or []), *values])


def _sizes(text):
    try:
        return [int(size) for size in text.split(",")] if text else []
    except ValueError:
        message = f"{text!r} is not sizes with commas or blanks between, such as 128,64"
        raise argparse.ArgumentTypeError(message) from None


def _column(text):
    for kind in KINDS:
        name = text.removesuffix(f":{kind}")
        if name not in ("", text):
            return name, kind
    raise argparse.ArgumentTypeError(f"{text!r} is not NAME:KIND; kinds are {', '.join(KINDS)}")


def _add_without_targets(add):
    add(
        "--drop-missing-targets",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="leave out rows without a target",
    )


def _add_reading(parser):
    """Add what it takes to read tables of text."""
    add = parser.group(
        "reading tables", "What is not given is seen in the file; `fastbp train` says what was found."
    )
    add("--separator", metavar="MARK", help="between cells: a character, or comma, semicolon, tab, pipe, blank")
    add("--decimal", metavar="MARK", help="of numbers: . or ,")
    add("--thousands", metavar="MARK", help="between groups of three digits: one of , . ' _ or a blank")
    add("--encoding", metavar="NAME", help="of text, such as latin-1 (default: utf-8)")
    add(
        "--header",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="whether line 1 has the names of the columns; without, they are column_1, column_2 ...",
    )
    add("--missing", nargs="+", action=_More, metavar="TEXT", help="is missing, as empty cells, NA, null and ? are")
    add(
        "--columns",
        nargs="+",
        type=_column,
        action=_More,
        metavar="NAME:KIND",
        help=f"what columns are: {', '.join(KINDS)}",
    )


def _names(registry):
    """Return the first name of each class that has names for users."""
    return sorted({cls.names[0] for cls in registry.named.values()})


def _add_train(commands):
    from ..kernels.backend import BACKENDS
    from ..layers.core import ACTIVATIONS
    from ..losses import Loss
    from ..optimizers import Optimizer
    from .images import NETS
    from .train import train

    activations, losses, optimizers = sorted(ACTIVATIONS), _names(Loss.registry), _names(Optimizer.registry)
    parser = commands.add_parser(
        "train",
        help="train a network on a table, arrays or images, and compare it with NumPy, bit for bit",
        epilog=f"Optimizers: {', '.join(optimizers)}. Activations: {', '.join(activations)}. Losses: "
        f"{', '.join(losses)}; a loss that does not fit the task is refused, and the message says why.",
    )
    parser.set_defaults(run=train)

    add = parser.group("data")
    add(
        "data",
        nargs="*",
        help="tables with the same columns (.csv, .tsv, .txt, .parquet, also compressed), an .npz file with x and y "
        "(and x_test, y_test if they are apart) or two .npy files (x and y); with --net lenet such arrays of images, "
        "or a folder of images by class; without any, the handwritten digits that come with fastbp",
    )
    add("--target", metavar="NAME", help="the column of a table to predict (default: the last)")
    add(
        "--task",
        choices=["auto", "classification", "regression"],
        default="auto",
        help="auto takes text, true and false, and integers of few values for classes (default: %(default)s)",
    )
    add("--drop", nargs="+", action=_More, metavar="NAME", help="columns to leave out")
    add("--only", nargs="+", action=_More, metavar="NAME", help="columns to take, and no others")
    add("--weights-column", metavar="NAME", help="how much each row counts in training; no feature")
    add(
        "--class-weight",
        choices=["balanced"],
        help="balanced: all classes count alike in training, however many rows they have",
    )
    add("--max-categories", type=int, default=50, metavar="N", help="of a text column (default: %(default)s)")
    _add_without_targets(add)
    add(
        "--standardize",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="scale features, and the target of a regression, to mean 0 and variance 1 over the training rows; all "
        "pixels of images alike (default: on for your data, off for the digits)",
    )
    add = parser.group("rows apart")
    add("--test-size", type=float, default=0.2, metavar="SHARE", help="of the rows, to test on (default: %(default)s)")
    add("--split-seed", type=int, default=0, metavar="N", help="which rows these are (default: %(default)s)")
    add("--split-by", metavar="NAME", help="rows that have one value in this column stay together; no feature")
    add(
        "--split-last",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="test on the last rows, as of a series in time",
    )
    add(
        "--folds",
        type=int,
        metavar="N",
        help="cross-validate on the training rows first: N trainings, each tested on other rows",
    )
    _add_reading(parser)

    add = parser.group("network")
    add("--net", default="dense", metavar="NAME", help="dense: layers of neurons; lenet: two convolutions with pools "
        "before them, for images of 16x16 pixels or more (default: %(default)s)", completions=list(NETS))  # fmt: skip
    add("--layers", type=_sizes, metavar="N", help="sizes of the hidden layers of neurons: 64 32 or 64,32 "
        "(default: 256, of lenet 120,84)")  # fmt: skip
    add("--activation", default="relu", metavar="NAME", help="of the hidden layers (default: %(default)s)",
        completions=activations)  # fmt: skip
    add(
        "--loss",
        metavar="NAME",
        help="(default: sparse_categorical_crossentropy for classes, mean_squared_error for a regression)",
        completions=losses,
    )

    add = parser.group("training")
    add("--optimizer", default="adam", metavar="NAME", help="(default: %(default)s)", completions=optimizers)
    add("--lr", type=float, metavar="RATE", help="learning rate (default: the optimizer's)")
    add("--epochs", type=int, default=50, metavar="N", help="how often every row is seen (default: %(default)s)")
    add("--batch-size", type=int, default=32, metavar="N", help="rows of a step (default: %(default)s)")
    add("--seed", type=int, default=0, metavar="N", help="of the weights and of the shuffling (default: %(default)s)")
    add("--backend", metavar="NAME", help="cython, numba or numpy (default: cython)", completions=list(BACKENDS))
    add("--dtype", default="float32", metavar="NAME", help="float32 or float64 (default: %(default)s)",
        completions=["float32", "float64"])  # fmt: skip
    add(
        "--numerics",
        default="portable",
        metavar="NAME",
        help="portable: the same bits on every CPU; numpy: NumPy's bits of this one (default: %(default)s)",
        completions=["portable", "numpy"],
    )

    add = parser.group("output")
    add("--output", default="model.npz", metavar="FILE", help="the trained model (default: %(default)s)")
    add("--history", default="history.json", metavar="FILE", help="loss and accuracy by epoch (default: %(default)s)")
    add(
        "--plot",
        nargs="?",
        const="loss.png",
        metavar="FILE.png",
        help="also draw the loss by epoch (without a name: loss.png); needs matplotlib",
    )
    add("--compare", action=argparse.BooleanOptionalAction, default=True, help="whether NumPy trains too, for the "
        "times and the bits (default: on)")  # fmt: skip
    add("--provenance", action=argparse.BooleanOptionalAction, default=True, help="whether the model file says which "
        "options, versions and data (by their SHA-256) made it (default: on)")  # fmt: skip
    add("--config", metavar="FILE.toml", help="options from a file; those that are typed come before them")
    add("--write-config", metavar="FILE.toml", help="also write the options of this run, for --config")
    add("--json", action="store_true", help="print one JSON document in place of text")
    add("--quiet", action="store_true", help="no progress bar")


def _add_use(commands):
    from .use import evaluate, info, predict

    model = {"metavar": "MODEL.npz", "help": "what `fastbp train` wrote"}
    parser = commands.add_parser(
        "predict",
        help="print predictions for the rows of a table, as CSV",
        description="Prints CSV with a header: the prediction of each row, in the order of the file, and of classes "
        "their probabilities. What was missing or never seen in training is counted on standard error.",
    )
    parser.set_defaults(run=predict)
    add = parser.group("what")
    add("model", **model)
    add("data", nargs="+", metavar="FILE", help="tables with the columns of the training, or an .npy or "
        ".npz file of x; images, and folders of them")  # fmt: skip
    _add_reading(parser)
    add = parser.group("output")
    add("--quiet", action="store_true", help="nothing on standard error but errors")

    parser = commands.add_parser("evaluate", help="score a model on the rows of a table, beside the trivial baseline")
    parser.set_defaults(run=evaluate)
    add = parser.group("what")
    add("model", **model)
    add("data", nargs="+", metavar="FILE", help="tables with the columns and the target of the training, or arrays as "
        "`fastbp train` takes them")  # fmt: skip
    _add_without_targets(add)
    _add_reading(parser)
    add = parser.group("output")
    add("--json", action="store_true", help="print one JSON document in place of text")
    add("--quiet", action="store_true", help="nothing on standard error but errors")

    parser = commands.add_parser("info", help="show what a model is, and what made it")
    parser.set_defaults(run=info)
    add = parser.group("what")
    add("model", **model)
    add("--json", action="store_true", help="print one JSON document in place of text")


def _versions(args, output):
    from .._show_versions import versions

    rows = versions()
    width = max(map(len, rows))
    output.say("\n".join(f"{name.ljust(width)}  {value}" for name, value in rows.items()))
    return 0


def _parsers():
    """Return the parser, and those of the commands by name."""
    from .. import __version__

    def show_help(args, output):
        parser.print_help()
        return 0

    parser = _Parser(prog="fastbp", description="Backpropagation at the machine's speed, with NumPy's bits.")
    parser.add_argument("--version", action="version", version=f"fastbp {__version__}")
    parser.set_defaults(run=show_help)
    names = "train,predict,evaluate,info,versions"
    commands = parser.add_subparsers(title="commands", metavar=f"{{{names}}}")
    _add_train(commands)
    _add_use(commands)
    versions = commands.add_parser("versions", help="show CPU, BLAS, backends and threads")
    versions.set_defaults(run=_versions)
    return parser, commands.choices


def _joined(argv):
    """Join the sizes behind ``--layers``, so that a file may follow them."""
    found, sizes = [], None
    for text in argv:
        if sizes is not None and re.fullmatch(r"\d[\d,]*", text):
            sizes.append(text)
            continue
        if sizes:
            found[-1] += f"={','.join(sizes)}"
        sizes = [] if text == "--layers" else None
        found.append(text)
    if sizes:
        found[-1] += f"={','.join(sizes)}"
    return found


def _typed(flag, value):
    """Return what would be typed for a value of a file."""
    if isinstance(value, bool):
        return [flag] if value else [flag.replace("--", "--no-", 1)]
    if isinstance(value, list):
        return [f"{flag}={','.join(map(str, value))}"] if flag == "--layers" else [f"{flag}={one}" for one in value]
    return [f"{flag}={value}"]


def _of_config(parser, path):
    """Return the options of a file, as a namespace."""
    from .config import read_config

    argv: list[str] = []
    for name, value in read_config(path).items():
        dest = name.replace("-", "_")
        if dest in ("config", "write_config"):
            raise ValueError(f"config is {path!r}, which has {name!r}; that is typed, and no option of a file")
        if dest not in parser.flags:
            known = [key.replace("_", "-") for key in parser.flags]
            raise ValueError(f"config is {path!r}, which has {name!r}; there is no such option{suggest(name, known)}")
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, (str, int, float)) for part in parts):
            raise ValueError(f"config is {path!r}, where {name} is {value!r}; it must be text, numbers or a list")
        if dest == "data":
            argv += map(str, parts)
            continue
        flag = parser.flags[dest][0]
        if value is False and f"--no-{flag[2:]}" not in parser.flags[dest]:
            continue
        argv += _typed(flag, value)
    try:
        return parser.parse_args(argv)
    except ValueError as error:
        raise ValueError(f"config is {path!r}: {error}") from None


def parse(argv):
    """Return what is typed as a namespace, with defaults for the rest.

    Parameters
    ----------
    argv : list of str

    Returns
    -------
    argparse.Namespace
        ``run(args, output)`` does it and returns the exit status.

    Raises
    ------
    ValueError
        In one line.
    """
    parser, commands = _parsers()
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)
    args, rest = parser.parse_known_args(_joined(argv))
    command = next((commands[text] for text in argv if text in commands), parser)
    for text in rest:
        if text.startswith("-") or "data" not in command.flags:
            flags = [flag for flags in command.flags.values() for flag in flags]
            raise ValueError(f"there is no option {text!r}{suggest(text, flags)}")
    if rest:
        # argparse takes files for such that stand together
        args.data = [*args.data, *rest]
    if getattr(args, "config", None) is not None:
        for name, value in vars(_of_config(command, args.config)).items():
            if getattr(args, name) in (None, []):
                setattr(args, name, value)
    for name, value in command.defaults.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    return args

