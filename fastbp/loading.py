"""Models of files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .checks import check_kind
from .kernels.caller import warn
from .model import makers
from .naming import spelled
from .registry import custom_classes
from .saving import reading, restored

if TYPE_CHECKING:
    import os
    from typing import Any

__all__ = ["load_model"]


@spelled
def load_model(path: str | os.PathLike[str], custom_objects: Mapping[str, type] | None = None) -> Any:
    """Return the model that `Model.save` wrote, with its optimizer's state.

    Parameters
    ----------
    path : path-like
    custom_objects : dict of str to type, optional
        Your own classes by their names, ``{"Scale": Scale}``, or by those of the file, ``{"__main__.Scale": Scale}``,
        where these have changed. A class that has been imported or defined is found by itself; nothing is imported
        because a file says so. A warning says what the file does not name.

    Returns
    -------
    Model, Sequential or table.PreparedModel
        The last one where the file has a preparation of data.

    Raises
    ------
    fastbp.io.FileFormatError
        If the file is damaged or is not such a model, or a class of yours is not defined here; the message says why.

    Examples
    --------
    >>> import os, tempfile, fastbp
    >>> path = os.path.join(tempfile.mkdtemp(), "model.npz")
    >>> model = fastbp.Sequential([fastbp.Dense(3)], input_shape=4, seed=0)
    >>> model.compile("adam", "mse")
    >>> loss = model.train_on_batch([[1, 2, 3, 4]], [[0, 0, 1]])
    >>> model.save(path)
    >>> loaded = fastbp.load_model(path)
    >>> loaded, loaded.optimizer.iterations
    (<Sequential: dense_1>, 1)
    """
    custom_objects = {} if custom_objects is None else custom_objects
    check_kind("custom_objects", custom_objects, Mapping, "a dict of classes by name")
    with custom_classes(custom_objects) as given:
        model, config = restored(path, makers())
    if "preparation" in config:
        from .table import Preparation, PreparedModel

        with reading(path):
            model = PreparedModel(model, Preparation.from_config(config["preparation"]))
    if given.unused:
        unused, others = (", ".join(map(repr, names)) for names in (given.unused, given.others))
        warn(f"custom_objects has {unused}, which the file does not name{f'; it names {others}' * bool(others)}")
    return model
