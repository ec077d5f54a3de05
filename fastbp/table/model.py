"""A net together with the preparation of its data: a model that takes rows as they are."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from ..checks import check_kind
from ..feeds import is_feed
from ..layers import Activation
from ..losses import HingeEmbedding
from ..model import WHOLE, Model, Sequential
from ..results import Evaluation
from .preparation import Preparation

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from typing import Any

    from ..callbacks import History

__all__ = ["PreparedModel"]

#: What a net has that neither takes nor returns rows.
_SAME = (
    "backend", "batch_losses", "build", "built", "compile", "count_params", "dtype", "fit_seed", "get_layer",
    "get_weights", "heads", "history", "input_shape", "layers", "load_weights", "logged", "loss_function", "metadata",
    "metric_names", "metrics", "name", "numerics", "optimizer", "program", "save_weights", "seed", "set_weights",
    "snapshot",
)  # fmt: skip


def encoded(targets: np.ndarray, classes: list[Any] | None, loss: Any, outputs: int) -> np.ndarray:
    """Return targets of a preparation as a loss takes them.

    Parameters
    ----------
    targets : ndarray
        As from `Preparation.transform_target`.
    classes : list or None
    loss : Loss or None
    outputs : int
        How many the net has.

    Returns
    -------
    ndarray
    """
    if classes is None or loss is None:
        return targets
    if isinstance(loss, HingeEmbedding):
        raise ValueError(f"loss is {loss!r}, which takes distances, small ones for 1; classes take a cross-entropy")
    signs = loss.targets == "signs"
    if outputs == 1 and (signs or loss.link == "sigmoid"):
        if len(classes) != 2:
            raise ValueError(f"loss is {loss!r} on one output, for two classes; there are {len(classes)}")
        wide = targets[:, None]
    else:
        if outputs != len(classes):
            what = f"the net has {outputs} output{'s' * (outputs != 1)}"
            raise ValueError(f"{what}; with {type(loss).__name__} it must have one for each of {len(classes)} classes")
        if loss.targets == "labels":
            return targets
        wide = np.eye(len(classes))[targets]
    return 2 * wide - 1 if signs else wide


def decoded(outputs: Any, preparation: Preparation, net: Model) -> np.ndarray:
    """Return what outputs of a net stand for.

    Parameters
    ----------
    outputs : ndarray
    preparation : Preparation
    net : Model

    Returns
    -------
    ndarray
        Numbers in the target's unit; probabilities, or margins and scores of a loss that knows none.
    """
    if preparation.classes is None:
        return preparation.inverse_target(outputs)
    loss = net.loss_function
    if loss is None:
        raise RuntimeError("the model is not compiled; its loss says how outputs become probabilities")
    if loss.link is None and not loss.takes_probabilities:
        return np.asarray(outputs)
    return np.asarray(loss.probabilities(outputs, net.backend, net.numerics))


def chosen(predicted: np.ndarray) -> np.ndarray:
    """Return the numbers of the classes that probabilities or margins are for: one margin of two is for the second."""
    return predicted.argmax(axis=1) if predicted.shape[1] > 1 else (predicted[:, 0] > 0).astype(np.int64)


class _Batches:
    """An iterable of batches of raw rows, as the net takes them; it begins anew whenever the user's does."""

    def __init__(self, batches: Any, prepare: Callable[[Any], Any]) -> None:
        self._batches, self._prepare = batches, prepare

    def __iter__(self) -> Iterator[Any]:
        return map(self._prepare, self._batches)


class PreparedModel:
    """A net and the `Preparation` of its data: a model that takes rows as they are, everywhere.

    Targets are labels, or numbers in their unit, and so are predictions; scales and categories are those that the
    preparation has learnt. `save` writes both into one file, of which `load_model` makes such a model again.

    Parameters
    ----------
    net : Model or Sequential
        With one input, the features of the preparation, and one output, a class or a number each; compiled or not. It
        belongs to this model: callbacks, and the files that they write, have the preparation too.
    preparation : Preparation
        That has learnt from the rows of the training.

    Attributes
    ----------
    net : Model or Sequential
        Takes prepared arrays: ``model.net.predict(model.preparation.transform(rows))``. All that has no method here is
        done with it.
    preparation : Preparation
    history, optimizer, layers, metrics ...
        Those of the net.

    Notes
    -----
    A net for two classes may have one output, and a binary cross-entropy or a hinge loss; other losses take one output
    a class.
    What `fit` shows of a regression, its loss and metrics, is of standardised targets; `evaluate` returns metrics in
    the target's unit.

    Examples
    --------
    >>> import fastbp
    >>> table = {"mm": [195.0, 210.0, 188.0, 221.0], "sex": ["f", "m", "f", "m"], "kind": ["light", "heavy"] * 2}
    >>> preparation = fastbp.table.Preparation(target="kind").fit(table)
    >>> net = fastbp.Sequential([fastbp.Dense(8, activation="relu"), fastbp.Dense(preparation.n_outputs)], seed=0)
    >>> net.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], numerics="portable")
    >>> model = fastbp.table.PreparedModel(net, preparation)
    >>> history = model.fit(table, epochs=60, seed=0, verbose=0)
    >>> model.predict({"sex": ["m"], "mm": [215.0]}).shape, model.preparation.classes
    ((1, 2), ['heavy', 'light'])
    >>> model.predict_classes({"sex": ["m", "f"], "mm": [215.0, 190.0]}).tolist()
    ['heavy', 'light']
    """

    def __init__(self, net: Model, preparation: Preparation) -> None:
        check_kind("net", net, Model, "a fastbp model")
        check_kind("preparation", preparation, Preparation, "a fastbp.table.Preparation")
        if not net.single:
            raise ValueError(f"net is {net!r}, of several inputs or outputs; a preparation is for one of each")
        shape = net.input_shape
        n = preparation.n_features
        if shape is not None and tuple(shape) != (n,):
            raise ValueError(f"net takes rows of shape {tuple(shape)}; the preparation makes {n} features")
        self.net, self.preparation = net, preparation
        net.prepared = self

    def __getattr__(self, name: str) -> Any:
        if name in _SAME:
            return getattr(self.net, name)
        known = not name.startswith("_") and hasattr(Model, name)
        hint = "; model.net has, for prepared arrays" if known else ""
        raise AttributeError(f"a model with a preparation has no {name!r}{hint}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _SAME:
            setattr(self.net, name, value)
        else:
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *_SAME]

    @property
    def stop_training(self) -> bool:
        """Whether `fit` is to end; callbacks set it."""
        return self.net.stop_training

    @stop_training.setter
    def stop_training(self, value: bool) -> None:
        self.net.stop_training = value

    # ------------------------------------------------------------------ rows and targets

    def _pair(self, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and targets, which may be a column of the rows, as the net takes them."""
        y = self.preparation.split_off(x) if y is None else y
        rows, targets = self.preparation.transform(x), self._targets(y)
        if len(rows) != len(targets):
            raise ValueError(f"x has {len(rows)} rows and y has {len(targets)}; they must have equally many")
        return rows, targets

    def _targets(self, y: Any) -> np.ndarray:
        """Return targets as the loss of the net takes them."""
        loss, targets = self.net.loss_function, self.preparation.transform_target(y)
        outputs = 0 if loss is None or self.preparation.classes is None else self._outputs
        return encoded(targets, self.preparation.classes, loss, outputs)

    @property
    def _outputs(self) -> int:
        """How many outputs the net has."""
        return int(self.net.layout_for((self.preparation.n_features,)).graph.results[0].shape[-1])

    def _batch(self, item: Any) -> tuple[Any, ...]:
        """Return a batch of an iterable: of rows with their target, of rows and targets, perhaps with weights."""
        if not isinstance(item, (tuple, list)):
            return self._pair(item, None)
        x, y, *weight = item
        return (*self._pair(x, y), *weight)

    def _rows(self, item: Any) -> np.ndarray:
        """Return the inputs of a batch of an iterable: itself, or the first of a tuple."""
        return self.preparation.transform(item[0] if isinstance(item, tuple) else item)

    def _weights(self, class_weight: Any) -> Any:
        """Return weights of classes by their numbers."""
        classes = self.preparation.classes
        if class_weight is None or isinstance(class_weight, str) or classes is None:
            return class_weight
        check_kind("class_weight", class_weight, dict, "a dict of weights by label")
        numbers = {label: k for k, label in enumerate(classes)}
        for label in class_weight:
            if label not in numbers:
                raise ValueError(f"class_weight has {label!r}; the classes are {', '.join(map(repr, classes))}")
        return {numbers[label]: weight for label, weight in class_weight.items()}

    def fit(self, x: Any, y: Any = None, **options: Any) -> History:
        """Train the net for some epochs; see `Model.fit`.

        Parameters
        ----------
        x : data frame, dict of columns or array_like, shape (rows, columns), or iterable
            Rows as they are. An iterable yields batches of them, (x, y) or (x, y, sample_weight).
        y : array_like, shape (rows,) or (rows, n), optional
            Labels, or numbers in the target's unit; by default the column of the target of x.
        **options
            Of `Model.fit`. `validation_data` are rows as they are, a table with its target or (x, y), perhaps with
            weights; `class_weight` goes by labels.

        Returns
        -------
        History
            What is there of a regression is of standardised targets.

        Examples
        --------
        >>> import fastbp
        >>> rows, prices = [[30.0, "Bern"], [90.0, "Rome"], [50.0, "Rome"]], [900.0, 1500.0, 800.0]
        >>> preparation = fastbp.table.Preparation().fit(rows, prices)
        >>> net = fastbp.Sequential([fastbp.Dense(1)], seed=0)
        >>> net.compile("adam", "mse", metrics=["mae"])
        >>> model = fastbp.table.PreparedModel(net, preparation)
        >>> history = model.fit(rows, prices, epochs=300, seed=0, verbose=0)
        >>> history.history["loss"][-1] < history.history["loss"][0]
        True
        """
        validation = options.pop("validation_data", None)
        if validation is not None:
            if is_feed(validation, sequences=False):
                validation = _Batches(validation, self._batch)
            else:
                validation = self._batch(validation)
            options["validation_data"] = validation
        if "class_weight" in options:
            options["class_weight"] = self._weights(options["class_weight"])
        if y is None and is_feed(x, sequences=False):
            given: tuple[Any, ...] = (_Batches(x, self._batch),)
        else:
            given = self._pair(x, y)
        return self.net.fit(*given, **options)

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, **options: Any
    ) -> Any:
        """Run one train step on one batch of rows; see `Model.train_on_batch`.

        Parameters
        ----------
        x, y : table and targets
            As for `fit`.
        sample_weight : array_like, optional
        class_weight : dict of label to float or "balanced", optional
        **options
            Of `Model.train_on_batch`.

        Returns
        -------
        float, or Evaluation with ``return_metrics=True``
            Of a regression that of standardised targets.

        Examples
        --------
        >>> import fastbp
        >>> preparation = fastbp.table.Preparation().fit([[1.0], [2.0]], ["no", "yes"])
        >>> net = fastbp.Sequential([fastbp.Dense(2, kernel_initializer="zeros")])
        >>> net.compile("sgd", "sparse_categorical_crossentropy")
        >>> round(fastbp.table.PreparedModel(net, preparation).train_on_batch([[1.0]], ["yes"]), 3)
        0.693
        """
        return self.net.train_on_batch(*self._pair(x, y), sample_weight, self._weights(class_weight), **options)

    # ------------------------------------------------------------------ predictions

    def predict(self, x: Any, **options: Any) -> np.ndarray:
        """Return the probabilities of the classes, or numbers in the target's unit, for every row.

        Parameters
        ----------
        x : data frame, dict of columns or array_like, shape (rows, columns), or iterable
            Rows as they are, or an iterable of batches of them.
        **options
            Of `Model.predict`.

        Returns
        -------
        ndarray, shape (rows, classes) or (rows, n)
            Classes in the order of ``preparation.classes``; numbers are float64. Where the loss knows no
            probabilities, as hinge losses do not, the outputs of the net.

        Examples
        --------
        >>> import fastbp
        >>> preparation = fastbp.table.Preparation().fit([[1.0], [3.0]], [10.0, 30.0])
        >>> net = fastbp.Sequential([fastbp.Dense(1, kernel_initializer="ones")])
        >>> fastbp.table.PreparedModel(net, preparation).predict([[3.0], [4.0]]).tolist()
        [[30.0], [40.0]]
        """
        if is_feed(x, sequences=False):
            outputs = self.net.predict(_Batches(x, self._rows), **options)
        else:
            outputs = self.net.predict(self.preparation.transform(x), **options)
        return decoded(outputs, self.preparation, self.net)

    def predict_proba(self, x: Any, **options: Any) -> np.ndarray:
        """Return the probabilities of the classes, as `predict` does; a regression has none.

        Parameters
        ----------
        x : table or iterable
        **options
            Of `Model.predict`.

        Returns
        -------
        ndarray, shape (rows, classes)

        Raises
        ------
        ValueError
            Of a regression, and if the loss knows no probabilities.

        Examples
        --------
        >>> import fastbp
        >>> preparation = fastbp.table.Preparation().fit([[1.0], [2.0]], ["no", "yes"])
        >>> net = fastbp.Sequential([fastbp.Dense(2, kernel_initializer="zeros")])
        >>> net.compile("sgd", "sparse_categorical_crossentropy")
        >>> fastbp.table.PreparedModel(net, preparation).predict_proba([[1.5]]).tolist()
        [[0.5, 0.5]]
        """
        if self.preparation.classes is None:
            raise ValueError("predict_proba is for classes; the target is a number, which predict returns")
        self.net.loss_function.link_of("predict_proba")
        return self.predict(x, **options)

    def predict_classes(self, x: Any, **options: Any) -> np.ndarray:
        """Return the label of every row, as the metric "accuracy" counts it.

        Parameters
        ----------
        x : table or iterable
        **options
            Of `Model.predict`.

        Returns
        -------
        ndarray, shape (rows,)
            Labels: of text dtype object, else int64, float64 or bool.

        Raises
        ------
        ValueError
            Of a regression.

        Examples
        --------
        >>> import fastbp
        >>> preparation = fastbp.table.Preparation(task="classification").fit([[1.0], [2.0]], [3, 7])
        >>> net = fastbp.Sequential([fastbp.Dense(2, kernel_initializer="zeros")])
        >>> net.compile("sgd", "sparse_categorical_crossentropy")
        >>> fastbp.table.PreparedModel(net, preparation).predict_classes([[1.5], [2.5]])
        array([3, 3])
        """
        if self.preparation.classes is None:
            raise ValueError("predict_classes is for classes; the target is a number, which predict returns")
        return self.preparation.inverse_target(chosen(self.predict(x, **options)))

    def evaluate(self, x: Any, y: Any = None, *, return_dict: bool = False, **options: Any) -> Evaluation | Any:
        """Return the loss and the metrics of rows; metrics of a regression are in the target's unit.

        Parameters
        ----------
        x, y : table and targets
            As for `fit`.
        return_dict : bool
            Whether a plain dict is returned.
        **options
            Of `Model.evaluate`.

        Returns
        -------
        Evaluation
            The loss is the net's: of a regression that of standardised targets.

        Examples
        --------
        >>> import fastbp
        >>> preparation = fastbp.table.Preparation().fit([[1.0], [3.0]], [10.0, 30.0])
        >>> net = fastbp.Sequential([fastbp.Dense(1, kernel_initializer="ones")])
        >>> net.compile("sgd", "mse", metrics=["mae"])
        >>> fastbp.table.PreparedModel(net, preparation).evaluate([[1.0], [3.0]], [12.0, 30.0])
        Evaluation({'loss': 0.019999997690320015, 'mae': 1.0})
        """
        if y is None and is_feed(x, sequences=False):
            if self.preparation.classes is None and self.net.metrics:
                what = "metrics in the target's unit need all rows; model.net.evaluate takes prepared batches"
                raise ValueError(f"x is an iterable of batches: {what}")
            return self.net.evaluate(_Batches(x, self._batch), return_dict=return_dict, **options)
        rows, targets = self._pair(x, y)
        logs = dict(self.net.evaluate(rows, targets, return_dict=True, **options))
        if self.preparation.classes is None and self.net.metrics:
            outputs = self.preparation.inverse_target(self.net.predict(rows, weights=options.get("weights")))
            targets = self.preparation.inverse_target(targets)
            logs.update(self._in_unit(outputs, targets, options.get("sample_weight")))
        return logs if return_dict else Evaluation(logs)

    def _in_unit(self, outputs: np.ndarray, targets: np.ndarray, sample_weight: Any) -> dict[str, Any]:
        """Return the metrics of numbers in the target's unit: a model that does nothing has them as outputs."""
        judge = Sequential([Activation("identity")], input_shape=outputs.shape[1:])
        judge.compile("sgd", "mse", copy.deepcopy(self.net.metrics), self.net.backend, "float64", self.net.numerics)
        found = judge.evaluate(outputs, targets, sample_weight=sample_weight, return_dict=True)
        return {name: found[name] for name in self.net.metric_names}

    def test_on_batch(self, x: Any, y: Any = None, **options: Any) -> Evaluation | Any:
        """Return the loss and the metrics of rows, computed as one batch; see `evaluate`.

        Parameters
        ----------
        x, y : table and targets
        **options
            Of `evaluate`.

        Returns
        -------
        Evaluation

        Examples
        --------
        >>> import fastbp
        >>> preparation = fastbp.table.Preparation().fit([[1.0], [2.0]], ["no", "yes"])
        >>> net = fastbp.Sequential([fastbp.Dense(2, kernel_initializer="zeros")])
        >>> net.compile("sgd", "sparse_categorical_crossentropy")
        >>> round(float(fastbp.table.PreparedModel(net, preparation).test_on_batch([[1.5]], ["no"])), 3)
        0.693
        """
        return self.evaluate(x, y, batch_size=WHOLE, **options)

    # ------------------------------------------------------------------ files, copies and looks

    def get_config(self) -> dict[str, Any]:
        """Return net and preparation as plain data: what `save` writes beside the arrays.

        Returns
        -------
        dict of str to object

        Examples
        --------
        >>> import fastbp
        >>> preparation = fastbp.table.Preparation().fit([[1.0], [2.0]], ["no", "yes"])
        >>> model = fastbp.table.PreparedModel(fastbp.Sequential([fastbp.Dense(2)], input_shape=1), preparation)
        >>> model.get_config()["preparation"]["goal"]
        {'task': 'classification', 'classes': ['no', 'yes'], 'counts': [1, 1]}
        """
        return {**self.net.get_config(), "preparation": self.preparation.get_config()}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write net and preparation to one ``.npz`` file, atomically; see `Model.save`.

        Parameters
        ----------
        path : path-like

        Examples
        --------
        >>> import os, tempfile, fastbp
        >>> path = os.path.join(tempfile.mkdtemp(), "model.npz")
        >>> preparation = fastbp.table.Preparation().fit([[1.0], [2.0]], ["no", "yes"])
        >>> fastbp.table.PreparedModel(fastbp.Sequential([fastbp.Dense(2)]), preparation).save(path)
        >>> fastbp.load_model(path).preparation
        <Preparation: 1 column, 1 features, classification of 2 classes>
        """
        from ..io import save_arrays

        self.net.build((self.preparation.n_features,))
        config, arrays = self.net.contents()
        save_arrays(path, {**config, "preparation": self.preparation.get_config()}, arrays)

    def clone(self) -> PreparedModel:
        """Return a new model that is like this one, with the same weights; see `Model.clone`.

        Returns
        -------
        PreparedModel

        Examples
        --------
        >>> import fastbp
        >>> preparation = fastbp.table.Preparation().fit([[1.0], [2.0]], ["no", "yes"])
        >>> model = fastbp.table.PreparedModel(fastbp.Sequential([fastbp.Dense(2)]), preparation)
        >>> model.clone().net is model.net
        False
        """
        return type(self)(self.net.clone(), copy.deepcopy(self.preparation))

    def __getstate__(self) -> dict[str, Any]:
        return {"net": self.net, "preparation": self.preparation}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.net.prepared = self

    def __copy__(self) -> PreparedModel:
        return copy.deepcopy(self)  # a net belongs to one model

    def summary(self) -> None:
        """Print what becomes of the columns, and the table of layers.

        Examples
        --------
        >>> import fastbp
        >>> preparation = fastbp.table.Preparation(target="y").fit({"a": [1.0, 3.0], "y": ["no", "yes"]})
        >>> model = fastbp.table.PreparedModel(fastbp.Sequential([fastbp.Dense(2)], input_shape=1), preparation)
        >>> model.summary()
        column  kind    becomes      features  gaps  note
        a       number  (a - 2) / 1         1
        target: y, 2 classes: no, yes
        <BLANKLINE>
        layer    kind             output     parameters
        dense_1  Dense(identity)  (None, 2)           4
        4 parameters, 16 bytes in float32
        """
        print(self)

    def __str__(self) -> str:
        return f"{self.preparation}\n\n{self.net}"

    def _repr_html_(self) -> str:
        return self.preparation._repr_html_() + self.net._repr_html_()

    def __repr__(self) -> str:
        return f"<PreparedModel: {self.preparation!r}, {self.net!r}>"
