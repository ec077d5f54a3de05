"""``fastbp predict``, ``evaluate`` and ``info``: what is done with a model that was trained."""

import contextlib
import csv
import io

from ..loading import load_model
from ..table import PreparedModel, TableError
from ..table.model import chosen
from .data import load, without_missing_targets
from .fitting import told_apart
from .images import ImageModel, Images
from .scores import scores_of
from .train import tell_scores

__all__ = ["evaluate", "info", "predict"]


def _model(path):
    """Return a model that takes rows as they are, or say that this file has none."""
    model = _of_images(path, load_model(path))
    if not isinstance(model, (PreparedModel, ImageModel)):
        raise ValueError(f"{path} holds a net and no preparation of rows; load_model of Python has it")
    return model


def _of_images(path, model):
    """Return a net of a file as a model of images, if it is one."""
    return model if isinstance(model, PreparedModel) else ImageModel.of(path, model) or model


def _load(args, model, labelled):
    """Return rows, read as those of the training were."""
    if isinstance(model, ImageModel):
        return model.load(args, labelled)
    preparation = model.preparation
    reading = _reading(args.model, model)
    args.missing = [*(args.missing or []), *reading.get("missing", [])]
    args.header = reading.get("header") if args.header is None else args.header
    args.like = reading
    args.target = preparation.target if labelled else None
    if preparation.target is not None:
        known = {column.name: column.kind for column in preparation.columns if column.kind != "left out"}
        args.takes = {*known}
        if labelled:
            label = preparation.classes[0] if preparation.classes else 0.0
            kinds = {str: "text", bool: "boolean"}
            known[args.target] = kinds.get(type(label), "number")
        kinds = {**known, **dict(reading.get("columns", [])), **dict(args.columns or [])}
        args.columns = list(kinds.items())
        if "drop" in kinds.values():
            # what the file of the training had besides, this one may have or not
            with contextlib.suppress(TableError):
                return load(args, labelled)
            args.columns = [(name, kind) for name, kind in kinds.items() if kind != "drop"]
    data = load(args, labelled)
    if data.target is not None and preparation.target is None:
        what = "the targets of its training were no column of a table"
        raise ValueError(f"{args.model} has no name of a target, for {what}; an .npz file of x and y has them")
    return data


def _reading(path, model):
    """Return how the table of the training was read, which metadata may say, or something else of that name."""
    reading = (model.net.metadata or {}).get("reading", {})
    kinds = {
        "missing": (list,), "columns": (list,), "dates": (dict,), "units": (dict,), "decimal": (str,),
        "header": (bool, type(None)),
    }  # fmt: skip
    right = isinstance(reading, dict) and all(isinstance(reading[name], kinds[name]) for name in kinds.keys() & reading)
    texts = [reading.get("missing", []), *reading.get("columns", [])] if right else []
    if not right or not all(isinstance(one, list) and all(isinstance(text, str) for text in one) for one in texts):
        raise ValueError(f"{path} has metadata of reading that are not `fastbp train`'s: {reading!r}")
    return reading


def predict(args, output):
    """Print predictions as CSV."""
    model = _model(args.model)
    data = _load(args, model, labelled=False)
    predicted, notes = told_apart(lambda: model.predict(data.table))
    preparation = model.preparation
    file = io.StringIO()
    lines = csv.writer(file, lineterminator="\n")
    if preparation.classes is None:
        n = predicted.shape[1]
        names, rows = ["prediction", *(f"prediction_{k}" for k in range(2, n + 1))], predicted.tolist()
    else:
        labels, loss = preparation.inverse_target(chosen(predicted)), model.loss_function
        names = [f"p_{label}" for label in preparation.classes]
        if loss.link is None and loss.targets != "real":  # margins, as of hinge losses
            names = [f"margin_{label}" for label in preparation.classes[-predicted.shape[1] :]]
        # the shortest text that says the same number of that precision
        numbers = predicted.astype(str).tolist()
        names = ["prediction", *names]
        rows = [[label, *row] for label, row in zip(labels.tolist(), numbers, strict=True)]
    if data.files is not None:
        names, rows = ["file", *names], [[file, *row] for file, row in zip(data.files, rows, strict=True)]
    lines.writerow(names)
    lines.writerows(rows)
    output.write(file.getvalue())
    _tell_notes(args, output, notes)
    return 0


def _tell_notes(args, output, notes):
    for note in [] if args.quiet else notes:
        output.warn(note.replace("x has", f"{' '.join(args.data)} has", 1))


def evaluate(args, output):
    """Print scores beside those of the trivial prediction."""
    output.as_json = args.json
    model = _model(args.model)
    data, without = without_missing_targets(_load(args, model, labelled=True), args.drop_missing_targets)
    preparation = model.preparation
    _check_labels(data, preparation.classes)

    def found():
        targets = data.targets
        loss = model.evaluate(data.table, targets, return_dict=True)["loss"]
        return scores_of(preparation, model.predict(data.table), targets, loss)

    scores, notes = told_apart(found)
    output.say(f"data           {' '.join(args.data)}: {len(data)} rows")
    if without:
        output.say(f"left out       {without} rows without a target")
    output.facts["data"] = {"rows": len(data), "without a target": without, "unseen": preparation.unseen}
    tell_scores(output, preparation.task, scores)
    _tell_notes(args, output, list(dict.fromkeys(notes)))
    return 0


def _check_labels(data, classes):
    """Refuse targets that the training had not; of a table with their place in the file."""
    if classes is None or (data.target is None and not isinstance(data, Images)):
        return
    known = set(classes)
    for k, label in enumerate(data.targets.tolist()):
        if label not in known:
            shown = ", ".join(map(repr, classes[:10])) + ", ..." * (len(classes) > 10)
            column = f": column {data.target!r}, the target," * (data.target is not None)
            what = f"{data.place(k)}{column} is {label!r}"
            raise ValueError(f"{what}, which the training has not: {shown}")


def info(args, output):
    """Print what a model is, and what made it."""
    output.as_json = args.json
    model = _of_images(args.model, load_model(args.model))
    net = getattr(model, "net", model)
    metadata = net.metadata or {}
    preparation = getattr(model, "preparation", None)
    output.facts["model"] = {"layers": [type(layer).__name__ for layer in net.layers], "parameters": net.count_params()}
    output.say(str(model))
    if preparation is not None:
        output.facts["preparation"] = preparation.get_config()
    optimizer = net.optimizer
    if optimizer is not None:
        compiled = {
            "loss": repr(net.loss_function), "optimizer": repr(optimizer), "backend": net.backend, "dtype": net.dtype,
            "numerics": net.numerics, "updates": int(optimizer.iterations),
        }  # fmt: skip
        output.facts["compiled"] = compiled
        output.say()
        for name, value in compiled.items():
            output.say(f"{name:<14} {value}")
    output.facts["metadata"] = metadata
    for part, values in metadata.items():
        if part == "images" and isinstance(model, ImageModel):
            continue  # it has been told
        for line in _lines(part, values):
            output.say(line)
    return 0


def _lines(part, values):
    """Yield what a part of the metadata says, below an empty line."""
    files = isinstance(values, list) and all(isinstance(one, dict) and {"sha256", "bytes"} <= {*one} for one in values)
    if part == "data" and files:
        values = {"sha256": "\n".join(f"{one['sha256']}, {one['bytes']} bytes" for one in values)}
    if not isinstance(values, dict):
        values = {"is": values}
    told = {name.replace("_", "-"): _shown(value) for name, value in values.items()}
    told = {name: text for name, text in told.items() if text}
    width = max(map(len, told), default=0)
    if told:
        yield f"\n{part}"
    for name, text in told.items():
        for k, line in enumerate(text.split("\n")):
            yield f"  {'' if k else name:<{width}}  {line}"


def _shown(value):
    if isinstance(value, list):
        return " ".join(":".join(map(str, one)) if isinstance(one, list) else str(one) for one in value)
    return "" if value is None else str(value)
