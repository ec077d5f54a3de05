"""``fastbp train``: from files to a model that is saved before anything else is done with it."""

import os
import sys

import numpy as np

from .. import __version__
from ..checks import check_name, integer
from .compare import compare
from .config import write_config
from .data import hashes, load, load_digits, weights_of, without_missing_targets
from .fitting import job_of, task_of
from .images import NETS, OF_TABLES, Images, load_images
from .scores import folded, told
from .splits import divide, folds

__all__ = ["tell_scores", "train"]

#: Options that say where files are and what is shown: nothing of the model depends on them.
_ASIDE = {"compare", "config", "data", "history", "json", "output", "plot", "provenance", "quiet", "run"}
_ASIDE |= {"write_config"}
#: A regression of so few different whole numbers may be meant for classes, and classes of more for a regression.
_FEW = 20
#: Columns of arrays have no names of their own; more than these are not listed.
_LISTED = 20


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


def _draw(path, figure, history):
    from matplotlib import rc_context

    from ..io import replacing
    from ..plotting import STYLE

    with rc_context(STYLE):
        history.plot(ax=figure.subplots())
    with replacing(path) as file:
        figure.savefig(file, format=os.path.splitext(path)[1][1:].lower())


def _check_options(args):
    """Refuse what does not go together."""
    for name in ("seed", "split_seed"):
        if getattr(args, name) < 0:
            raise ValueError(f"{name.replace('_', '-')} is {getattr(args, name)}; it must be at least 0")
    if args.split_by is not None and args.split_last:
        raise ValueError("--split-by and --split-last divide the rows in two ways; take one of them")
    if args.folds is not None:
        integer("folds", args.folds, 2)
    check_name("net", args.net, NETS)
    for name in OF_TABLES if not args.data else ():
        value = getattr(args, name)
        if value is not None:
            taken = [text for text in (value if isinstance(value, list) else []) if os.path.isfile(str(text))]
            where = f"; {taken[0]!r} is one, name it before the options" if taken else ""
            raise ValueError(f"--{name.replace('_', '-')} is for a table, and there is no file{where}")


def train(args, output):
    """Do what the options say.

    Parameters
    ----------
    args : argparse.Namespace
    output : Output

    Returns
    -------
    int
        0, or 1 if a bit differed from NumPy's.
    """
    output.as_json = args.json
    paths = {"output": args.output, "history": args.history}
    if args.data:
        paths["the description of the data"] = f"{os.path.splitext(args.output)[0]}.data.json"
    if args.plot is not None:
        paths["plot"] = args.plot
    if args.write_config is not None:
        paths["write-config"] = args.write_config
    figure = None if args.plot is None else _figure(args.plot)
    _check_outputs(paths, [*args.data, *([args.config] if args.config else [])])
    _check_options(args)

    args.layers = NETS[args.net] if args.layers is None else args.layers
    data, without = without_missing_targets(_loaded(args), args.drop_missing_targets)
    digests = hashes(args.data) if args.provenance else []
    if args.weights_column is not None:
        data.weights = weights_of(data, args.weights_column)
    task = task_of(args, data)
    rows, test_rows = _divided(args, data, task)
    test = data.test or data.rows(test_rows)
    job = job_of(args, data.rows(rows), test, task.task)
    net = job.make(args.backend, args.numerics)
    _tell_data(args, output, data, job, task, without)
    (_tell_images if isinstance(data, Images) else _tell_columns)(output, job)
    _tell_network(args, output, job, net)
    if args.folds is not None:
        _cross_validate(args, output, data, rows, task)
    history = job.fit(net, verbose=0 if args.quiet or args.json else 1)

    # before all that may be interrupted, such as the comparison, or find no reader
    model = job.model(net)
    net.metadata = _metadata(args, data, job, model, digests)
    _save(args, paths, model, history, figure)
    tell_scores(output, job.task, job.scores(net), "test ")
    _tell_gradients(output, net)
    output.facts["files"] = list(paths.values())
    output.say(f"wrote          {', '.join(paths.values())}")
    if output.closed or not args.compare:
        return 0
    return 0 if compare(job.make, net, job.x, job.targets, args.epochs, job.options, output) else 1


def _loaded(args):
    """Return the rows of the files, or the digits."""
    if args.net == "dense":
        return load(args) if args.data else load_digits()
    if not args.data:
        raise ValueError(f"net is {args.net!r}, and there is no file; the digits that come with fastbp are too small")
    data = load_images(args)
    if data.files is not None and args.task == "auto":
        args.task = "classification"  # folders have been made for them
    return data


def _labels(data, task):
    """Return the classes of rows as numbers, or None for a regression."""
    return task.transform_target(data.targets) if task.task == "classification" else None


def _groups(args, data, rows=slice(None)):
    return None if args.split_by is None else data.column("--split-by", args.split_by).iloc[rows].tolist()


def _divided(args, data, task):
    """Return the places of the rows to train on, and of those to test on."""
    if data.test is not None:
        if args.split_last:
            raise ValueError("--split-last chooses rows to test on, and the file has x_test and y_test")
        return slice(None), None
    groups = _groups(args, data)
    return divide(len(data), _labels(data, task), args.test_size, args.split_seed, groups, args.split_last)


def _cross_validate(args, output, data, rows, task):
    """Train and test on parts of the rows of the training; tell the scores."""
    rows = np.arange(len(data))[rows]
    part = data.rows(rows)
    groups = _groups(args, data, rows)
    found = []
    for train, test in folds(len(part), _labels(part, task), args.folds, args.split_seed, groups, args.split_last):
        job = job_of(args, part.rows(train), part.rows(test), task.task)
        net = job.make(args.backend, args.numerics)
        job.fit(net, verbose=0)
        found.append(job.scores(net))
    over = folded(found)
    output.facts["folds"] = {"scores": found, **over}
    mean, spread = over["mean"], over["spread"]
    output.say(f"{args.folds} folds".ljust(15) + told(task.task, mean, spread))
    output.say("  baseline".ljust(15) + told(task.task, mean["baseline"], spread["baseline"]))


# ---------------------------------------------------------------------------------------- the files


def _metadata(args, data, job, model, digests):
    """Return what a model file says of how it came about: no names of files, machines or people."""
    found = {"images": model.metadata} if isinstance(data, Images) else {"reading": _reading(args, data)}
    if not args.provenance:
        return found
    versions = {"fastbp": __version__, "numpy": np.__version__, "python": ".".join(map(str, sys.version_info[:3]))}
    if hasattr(data.table, "iloc"):
        import pandas

        versions["pandas"] = pandas.__version__
    options = {name: value for name, value in sorted(vars(args).items()) if name not in _ASIDE}
    return {
        **found,
        "options": _typed(options),
        "versions": versions,
        "data": digests or "the handwritten digits that come with fastbp",
        "rows": {"train": len(job.x), "test": len(job.x_test)},
    }


def _reading(args, data):
    """Return how a table was read, as far as other tables are to be read so."""
    source = getattr(data.table, "attrs", {}).get("source", {})
    columns = [[name, kind] for name, kind in args.columns or []]
    columns += [[name, "drop"] for name in source.get("left_out") or []]
    reading = {"missing": list(args.missing or []), "header": args.header, "columns": columns}
    # what a few rows may not show
    marks = {name: source[name] for name in ("decimal", "dates", "units") if source.get(name)}
    return {**reading, **marks}


def _typed(options):
    """Return options as plain data, columns as they are typed."""
    columns = options.get("columns")
    return {**options, "columns": None if columns is None else [f"{name}:{kind}" for name, kind in columns]}


def _save(args, paths, model, history, figure):
    from ..io import save_history, save_json

    model.save(args.output)
    save_history(args.history, history.history)
    preparation = model.preparation
    if args.data:
        save_json(
            paths["the description of the data"],
            {
                "task": preparation.task,
                "target": preparation.target,
                "classes": preparation.classes,
                "features": preparation.features,
                "preparation": preparation.get_config(),
            },
        )
    if args.write_config is not None:
        own = {"config", "json", "quiet", "run", "write_config"}
        options = {name.replace("_", "-"): value for name, value in _typed(vars(args)).items() if name not in own}
        write_config(args.write_config, options)
    if figure is not None:
        _draw(args.plot, figure, history)


# ------------------------------------------------------------------------------------ what is said


def _tell_data(args, output, data, job, task, without):
    preparation = job.preparation
    named = " ".join(args.data) or "the handwritten digits"
    classes = f" of {len(preparation.classes)} classes" if preparation.classes else ""
    rows = f"{len(job.x)} rows to train on, {len(job.x_test)} to test"
    output.say(f"data           {named}: {rows}, {preparation.task}{classes}")
    source = getattr(data.table, "attrs", {}).get("source", {})
    notes = _notes_of(source)
    if notes:
        output.say(f"read           {notes}")
    if without:
        output.say(f"left out       {without} rows without a target")
    output.facts["data"] = {
        "train": len(job.x), "test": len(job.x_test), "without a target": without, "source": source,
        "task": preparation.task, "target": preparation.target, "classes": preparation.classes,
    }  # fmt: skip
    hint = _hint(args, data, task)
    if hint:
        output.say(f"note           {hint}")
    output.facts["warnings"] = [*([hint] if hint else []), *preparation.warnings, *job.unseen]


def _notes_of(source):
    """Return what was found in a file, in words."""
    names = {"\t": "tabs", ";": "semicolons", " ": "blanks", "|": "bars"}
    found = []
    separator = source.get("separator")
    if separator not in (None, ","):
        found.append(f"{names.get(separator, repr(separator))} between cells")
    if source.get("decimal") == ",":
        found.append("decimal commas")
    if source.get("encoding") not in (None, "utf-8", "utf-8-sig"):
        found.append(source["encoding"])
    found += [f"{unit} at the numbers of {name!r}" for name, unit in (source.get("units") or {}).items()]
    if source.get("left_out"):
        left = ", ".join(map(repr, source["left_out"]))
        found.append(f"left out the unnamed column {left}, which counts the rows or is empty")
    return ", ".join(found)


def _hint(args, data, task):
    """Return advice where numbers may be meant for classes."""
    if args.task != "auto":
        return None
    if task.classes is not None:
        n, numbers = len(task.classes), not isinstance(task.classes[0], (bool, str))
        what = f"the target has {n} different whole numbers, taken for classes"
        return f"{what}; --task regression takes them for numbers" if numbers and n > _FEW else None
    values = np.unique(data.targets)
    if len(values) > min(_FEW, len(data) // 2) or (values != np.rint(values)).any():
        return None
    shown = ", ".join(f"{value:g}" for value in values[:5]) + ", ..." * (len(values) > 5)
    return f"the target has only the numbers {shown}; --task classification takes them for classes"


def _tell_columns(output, job):
    """Print what becomes of each column; those of an array only where they are few."""
    preparation = job.preparation
    columns = preparation.columns
    output.facts["columns"] = [
        {
            "name": column.name, "kind": column.kind, "rule": column.rule, "features": list(column.features),
            "gaps": column.gaps, "note": column.note,
        }
        for column in columns
    ]  # fmt: skip
    if preparation.target is not None or len(columns) <= _LISTED:
        output.say(f"\n{_typed_in_shell(str(preparation))}\n")
    for text in (*preparation.warnings, *job.unseen):
        output.say(f"warning        {_typed_in_shell(text)}")


def _tell_images(output, job):
    """Print what the images are, and what becomes of their pixels."""
    height, width, channels = job.x.shape[1:]
    kind = "whole numbers" if job.x.dtype.kind != "f" else "fractions"
    text = f"{height}x{width} pixels, {channels} channel{'s' * (channels != 1)}, {kind}"
    output.say(f"images         {text}: (x - {job.mean:.6g}) / {job.scale:.6g}")
    output.facts["images"] = {"size": [height, width, channels], "mean": job.mean, "scale": job.scale}


def _typed_in_shell(text):
    """Return advice with the options as they are typed here."""
    return text.replace("max_categories=", "--max-categories ").replace(", drop it", ", --drop leaves it out")


def _tell_network(args, output, job, net):
    first = "x".join(map(str, job.x.shape[1:])) + ("" if args.net == "dense" else f"-{args.net}")
    sizes = "-".join(map(str, (first, *args.layers, job.units)))
    numerics = f", {args.numerics} numerics" if args.numerics == "portable" else ""
    name = job.loss.names[0]
    made = f"{args.activation}, {name}, {args.optimizer}, {net.backend}, {args.dtype}{numerics}"
    output.say(f"network        {sizes}, {made}")
    output.facts["network"] = {
        "net": args.net, "sizes": [*job.x.shape[1:], *args.layers, job.units], "activation": args.activation,
        "loss": name, "optimizer": args.optimizer, "backend": net.backend, "dtype": args.dtype,
        "numerics": args.numerics,
    }  # fmt: skip


def tell_scores(output, task, scores, what=""):
    """Print scores, and below them those of the trivial prediction.

    Parameters
    ----------
    output : Output
    task : {"classification", "regression"}
    scores : dict
        As from `scores_of`.
    what : str
        What the rows are, for the first word.
    """
    output.facts["scores"] = scores
    words, baseline = told(task, scores), scores["baseline"]
    if task == "classification":
        words, first = words.removeprefix("accuracy "), f"{what}accuracy"
        trivial = f"always {baseline['class']}, the most frequent class of the training"
    else:
        means = baseline["mean"] if isinstance(baseline["mean"], list) else [baseline["mean"]]
        first, trivial = f"{what}error", f"always {' '.join(f'{mean:.6g}' for mean in means)}, the mean of the training"
    output.say(first.ljust(15) + words)
    output.say("baseline".ljust(15) + f"{told(task, baseline).removeprefix('accuracy ')}: {trivial}")


def _tell_gradients(output, net):
    """Print the norms of each layer's weights, and of its gradients in the last batch."""
    output.say(f"\n{'layer':<14} {'shape':>12} {'||w||':>10} {'||b||':>10} {'||dw||':>10} {'||db||':>10}")
    for layer in filter(lambda layer: layer.parameters, net.layers):
        norms = [np.linalg.norm(array.astype(np.float64)) for array in (layer.w, layer.b, layer.dw, layer.db)]
        output.say(
            f"{layer.name:<14} {'x'.join(map(str, layer.w.shape)):>12} " + " ".join(f"{norm:10.4g}" for norm in norms)
        )
    output.say()
