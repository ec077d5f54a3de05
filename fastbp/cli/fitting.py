"""One training of the command: what rows and targets become, the net, and how right it is on other rows."""

import warnings

import numpy as np

from .. import losses, optimizers
from ..layers import Dense, Rescaling
from ..model import Sequential
from ..table import Preparation, PreparedModel, TableError
from ..table.model import decoded, encoded
from .images import ImageModel, Images, check_size, knowing, lenet, scale_of
from .scores import scores_of

__all__ = ["ImageJob", "Job", "job_of", "task_of", "told_apart"]

#: So few classes may have a row each.
_FEW = 10
#: What outputs are for losses that know no probabilities, by their targets.
_INSTEAD = {
    "signs": "makes margins and no probabilities",
    "one_hot": "makes scores and no probabilities",
    "labels": "makes scores and no probabilities",
    "binary": "makes no probabilities of classes",
    "groups": "makes embeddings and no classes",
    "means": "takes a variance beside each output",
}


def told_apart(function):
    """Return what a function returns, and the texts of the warnings for users that it gives on the way."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        value = function()
    return value, [str(warning.message) for warning in seen if issubclass(warning.category, UserWarning)]


def task_of(args, data):
    """Return a preparation that has learnt the targets of all rows, and nothing else: its task and its classes."""
    target = data.target
    if target is None:
        task = Preparation(task=args.task).fit(np.zeros((len(data), 1)), data.y)
    else:
        # a column of which nothing can be learnt, under another name
        table = {f"not {target}": np.zeros(len(data)), target: data.table[target]}
        task = Preparation(target=target, task=args.task).fit(table)
    classes = task.classes or []
    n = len(classes)
    if n > _FEW and 2 * n > len(data):
        ways = [({"target": "NAME"}, "takes another column"), ({"task": "regression"}, "takes numbers")]
        what = f"the target has {n} different values in {len(data)} rows: as classes they cannot be learnt"
        raise TableError(what, *ways[: 1 if isinstance(classes[0], str) else 2])
    return task


def _loss_of(name, preparation, standardized):
    """Return the loss of a name and the activation that the net ends with, or refuse what does not fit the task."""
    classes = preparation.classes
    default = "mean_squared_error" if classes is None else "sparse_categorical_crossentropy"
    loss = losses.get(name or default)
    if loss.outputs is not None:
        raise ValueError(f"loss is {name!r}, which takes several outputs together; a table has one target")
    if classes is None:
        _check_regression(name, loss, standardized)
        return loss, "identity"
    if loss.link == "sigmoid" and len(classes) != 2:
        raise ValueError(f"loss is {name!r}, which takes two classes; y has {len(classes)}")
    if loss.link is not None:
        end = losses.last_activation_for(loss)
        if loss.link == "sigmoid" and not _teaches_both(loss.for_activation(end)):
            raise ValueError(f"loss is {name!r}, of which one output learns one class alone; take a cross-entropy")
        return loss, end
    if loss.targets != "real":
        raise ValueError(f"loss is {name!r}, which {_INSTEAD[loss.targets]}; take a cross-entropy")
    # of probabilities any loss of numbers is least where they are right
    return loss, "softmax"


def _teaches_both(loss):
    """Whether a loss of one output for two classes punishes what is wrong of either."""
    low, high = (-2.0, 2.0) if loss.from_logits else (0.1, 0.9)
    of_one = loss([[1.0]], [[low]]) - loss([[1.0]], [[high]])
    return loss([[0.0]], [[high]]) - loss([[0.0]], [[low]]) > 1e-3 * of_one


def _check_regression(name, loss, standardized):
    instead = "a regression takes mean_squared_error, mean_absolute_error or huber"
    if loss.link is not None or loss.takes_probabilities:
        raise ValueError(f"loss is {name!r}, which is for classes; {instead}")
    if loss.targets != "real":
        raise ValueError(f"loss is {name!r}, which {_INSTEAD[loss.targets]}; {instead}")
    domains = {loss.row.domain.get(of) for of in ("y_pred", "y_true")} - {None}
    if domains:
        raise ValueError(
            f"loss is {name!r}, which takes numbers from 0 on, such as counts; targets are standardised here, and "
            f"outputs have any sign: {instead}"
        )
    apart = loss([[1.0]], [[2.0]])
    if not apart > loss([[1.0]], [[1.0]]):
        raise ValueError(f"loss is {name!r}, for which 2 is as right as 1; {instead}")
    if standardized and not np.isclose(apart, loss([[3.0]], [[4.0]])):
        raise ValueError(
            f"loss is {name!r}, for which it counts how large targets are; they are standardised unless there is "
            f"--no-standardize: {instead}"
        )


class Job:
    """One training: the rows of a part of the data as a net takes them, beside those that it is tested on.

    Parameters
    ----------
    args : argparse.Namespace
    train, test : Data
    task : {"classification", "regression"}

    Attributes
    ----------
    preparation : Preparation
        Learnt from the rows of the training alone.
    x, targets, x_test, targets_test : ndarray
        As the net takes them.
    options : dict
        Of `fit`.
    unseen : list of str
        What the test rows had that those of the training had not, in words.
    """

    def __init__(self, args, train, test, task):
        self.args, self.task, self.test = args, task, test
        self.standardize = bool(args.data) if args.standardize is None else args.standardize
        self.preparation = self._learnt(train)
        self.loss, self.last = _loss_of(args.loss, self.preparation, self.standardize)
        self.units = 1 if self.loss.link == "sigmoid" else self.preparation.n_outputs
        self.x, self.targets = self._transformed(train), self._encoded(train)
        self.x_test, unseen = told_apart(lambda: self._transformed(test))
        self.unseen = [text.replace("x has", "the test rows have", 1) for text in unseen]
        self.targets_test = self._encoded(test)
        self.options = {"batch_size": args.batch_size, "seed": args.seed}
        if train.weights is not None:
            if not train.weights.any():
                raise ValueError(f"--weights-column is {args.weights_column!r}, where all weights are 0; no row counts")
            # 1 on average: the learning rate is for losses of that size
            self.options["sample_weight"] = train.weights / train.weights.mean()
        if args.class_weight is not None:
            if task != "classification":
                raise ValueError(f"--class-weight is {args.class_weight!r}; the task is a regression")
            self.options["class_weight"] = args.class_weight

    def _learnt(self, train):
        """Return a preparation that has learnt from the rows of the training."""
        args = self.args
        apart = [name for name in (args.split_by, args.weights_column) if name is not None]
        return Preparation(
            target=train.target,
            task=self.task,
            columns={name: kind.partition(":")[0] for name, kind in args.columns or [] if kind != "drop"},
            drop=[*(args.drop or []), *apart],
            only=args.only,
            max_categories=args.max_categories,
            standardize=self.standardize,
        ).fit(train.table, train.y)

    def _transformed(self, data):
        """Return rows as the net takes them."""
        return self.preparation.transform(data.table)

    def _encoded(self, data):
        """Return targets as the loss takes them."""
        targets = self.preparation.transform_target(data.targets)
        return encoded(targets, self.preparation.classes, self.loss, self.units)

    def make(self, backend, numerics):
        """Return a net that has learnt nothing yet."""
        args = self.args
        layers = [*self._hidden(), Dense(self.units, activation=self.last)]
        net = Sequential(layers, input_shape=self.x.shape[1:], seed=args.seed)
        optimizer = optimizers.get(args.optimizer)
        if args.lr is not None:
            optimizer.lr = args.lr
        metrics = ["accuracy"] if self.loss.link else []
        net.compile(optimizer, self.loss, metrics, backend, args.dtype, numerics)
        return net

    def _hidden(self):
        """Return the layers in front of the last one."""
        return [Dense(size, activation=self.args.activation) for size in self.args.layers]

    def fit(self, net, verbose):
        """Train a net; return its history."""
        test, epochs = (self.x_test, self.targets_test), self.args.epochs
        return net.fit(self.x, self.targets, epochs=epochs, validation_data=test, verbose=verbose, **self.options)

    def model(self, net):
        """Return the net as a model that takes rows as they are."""
        return PreparedModel(net, self.preparation)

    def scores(self, net):
        """Return the scores of the test rows."""
        loss = net.evaluate(self.x_test, self.targets_test, return_dict=True)["loss"]
        predicted = decoded(net.predict(self.x_test), self.preparation, net)
        return scores_of(self.preparation, predicted, self.test.targets, loss)


class ImageJob(Job):
    """One training on images: they go to the net as they are, and its first layer scales them.

    Attributes
    ----------
    mean, scale : float
        Of the pixels of the training; with ``--no-standardize`` 0 and 255 of bytes, else 0 and 1.
    """

    mean: float
    scale: float

    def _learnt(self, train):
        check_size(self.args.net, train.table.shape[1:], " ".join(self.args.data))
        largest = 255.0 if train.table.dtype == np.uint8 else 1.0
        self.mean, self.scale = scale_of(train.table) if self.standardize else (0.0, largest)
        # of a column of which nothing can be learnt
        learnt = Preparation(task=self.task, standardize=self.standardize).fit(np.zeros((len(train), 1)), train.y)
        return knowing(learnt.get_config()["goal"])

    def _transformed(self, data):
        return data.table

    def _hidden(self):
        scaled = Rescaling(1 / self.scale, offset=-self.mean / self.scale)
        return [scaled, *lenet(self.args.layers, self.args.activation)]

    def model(self, net):
        """Return the net as a model that takes images."""
        return ImageModel(net, self.preparation, self.x.dtype.kind != "f")


def job_of(args, train, test, task):
    """Return the training of rows of a table, or of images; see `Job`."""
    return (ImageJob if isinstance(train, Images) else Job)(args, train, test, task)
