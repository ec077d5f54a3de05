"""The estimators: what all of them share, perceptrons with scikit-learn's arguments, and models of the user's."""

from __future__ import annotations

import copy
import inspect
import math
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from .. import losses, optimizers, regularizers
from .._minimize import minimize
from ..callbacks import Callback
from ..checks import check_identifier, check_kind, check_name, integer, number, seeded
from ..data import dtype_name
from ..kernels.caller import warn
from ..layers import Activation, BatchNorm, Dense, Dropout
from ..model import Model, Sequential
from ..schedules import Schedule
from ..table import Preparation
from .rows import Labels, SparseBatches, is_sparse, outputs_of, sample_weights, say_sparse, strata, taken_by

if TYPE_CHECKING:
    from typing import Any, Self

    from ..losses import Loss

__all__ = ["MLPClassifier", "MLPRegressor", "ModelClassifier", "ModelRegressor"]

#: scikit-learn's names of activations, in fastbp's.
_ACTIVATIONS = {"logistic": "sigmoid"}
_RATES = ("constant", "invscaling", "adaptive")


def _loss_of(loss: Any) -> Loss:
    """Return a loss of one's own from an object or a name: a mean is over the sum of the weights, as scikit-learn's."""
    check_kind("loss", loss, (str, losses.Loss), "a name or a fastbp loss")
    own: Loss = copy.deepcopy(losses.get(loss))
    if own.outputs is not None or own.rows_per_sample > 1 or own.targets == "groups" or own.of_pairs:
        raise ValueError(f"loss is {loss!r}; it must be one of an output and its target")
    if own.reduction == "mean":
        own.reduction = "mean_with_sample_weight"
    return own


def _outputs_for(loss: Loss, targets: int) -> int:
    """Return how many outputs a loss wants for so many numbers a row."""
    if taken_by(loss) is not None or loss.targets == "binary":
        raise ValueError(f"loss is {loss!r}, which takes classes; it must be one of numbers, such as 'mse' or 'huber'")
    return 2 * targets if loss.targets == "means" else targets


def _first_classes(estimator: Any, y: Any, classes: Any) -> Any:
    """Return the classes that `partial_fit` was given; the first call must have them, but for several labels a row."""
    if "model_" in vars(estimator):
        if classes is not None and not np.array_equal(estimator.classes_, np.unique(classes)):
            what = f"it is not the same as on last call to partial_fit, was: {estimator.classes_!r}"
            raise ValueError(f"`classes={classes!r}` {what}")
    elif classes is None and not type_of_target(y).startswith("multilabel"):
        raise ValueError("classes must be passed on the first call to partial_fit.")
    return classes


class _Estimator(BaseEstimator):
    """Features in, a trained `model_` out."""

    dtype: Any
    preparation: Any

    def _target_options(self) -> dict[str, Any]:
        """Return what scikit-learn is to look for in y."""
        return {"multi_output": True}

    def _taken(self, X: Any, y: Any, first: bool) -> tuple[Any, Any]:
        """Return features and targets as scikit-learn's checks leave them; the first ones decide the dtype."""
        kinds: list[Any] = [np.float64, np.float32]
        if not first or self.dtype is not None:
            kinds = [np.dtype(dtype_name(self.dtype) if first else self.model_.dtype)]
        if first:
            self.__dict__.pop("preparation_", None)
        if self.preparation is None:
            X, y = validate_data(self, X, y, accept_sparse="csr", dtype=kinds, reset=first, **self._target_options())
        else:
            X, y = self._prepared(X, y, first)
            X = X.astype(kinds[0], copy=False)
        if is_sparse(X):
            say_sparse()
        if y.ndim == 2 and y.shape[1] == 1 and not hasattr(y, "toarray"):
            y = column_or_1d(y, warn=True)
        return X, y

    def _prepared(self, X: Any, y: Any, first: bool) -> tuple[np.ndarray, Any]:
        """Return the features of raw rows, and targets; what there is to learn of the first rows is learnt."""
        check_kind("preparation", self.preparation, Preparation, "a fastbp.table.Preparation")
        options = self.preparation.get_config()["options"]
        if options["target"] is not None:
            what = "an estimator has y apart: leave it away"
            raise ValueError(f"preparation has the target {options['target']!r}; {what}")
        y = check_array(y, accept_sparse="csr", ensure_2d=False, dtype=None, input_name="y")
        if first:
            classes = isinstance(self, ClassifierMixin) and y.ndim == 1
            options["task"] = "classification" if classes else "regression"
            goal = y.toarray() if is_sparse(y) else y
            if classes and len({*y.tolist()}) == 1:  # as the first rows of partial_fit may be; the columns matter here
                options["task"], goal = "regression", np.zeros(len(y))
            self.preparation_ = Preparation(**options).fit(X, goal)
            for text in self.preparation_.warnings:
                warn(text)
            # the names of columns and their number
            shaped = X if hasattr(X, "shape") else np.empty((1, len(self.preparation_.columns)))
            validate_data(self, shaped, reset=True, skip_check_array=True)
        X = self.preparation_.transform(X)
        check_consistent_length(X, y)
        return X, y

    def _outputs(self, X: Any) -> np.ndarray:
        """Return the outputs of the model for features that nobody has looked at yet."""
        check_is_fitted(self)
        if "preparation_" in vars(self):
            return outputs_of(self.model_, self.preparation_.transform(X))
        X = validate_data(self, X, accept_sparse="csr", dtype=np.dtype(self.model_.dtype), reset=False)
        return outputs_of(self.model_, X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _knows_probabilities(estimator: Any) -> bool:
    loss = estimator.model_.loss_function if hasattr(estimator, "model_") else estimator._loss_or_none()
    if loss is not None and loss.link is None:
        raise AttributeError(f"loss is {loss!r}, which knows no probabilities")
    return True


class _Classifier(ClassifierMixin, _Estimator):
    """An estimator of classes, or of several labels a row."""

    def _loss_or_none(self) -> Loss | None:
        """Return the loss that was asked for, or None where the labels decide."""
        raise NotImplementedError

    def _taken_labels(self, X: Any, y: Any, first: bool, again: bool, classes: Any = None) -> tuple[Any, Any]:
        """Return features and labels; set what they are, or refuse others than were there before.

        Parameters
        ----------
        X, y : array_like
        first : bool
            Whether the model is yet to be made.
        again : bool
            Whether the classes must be the very ones of the first time, and not some of them.
        classes : array_like, optional
            All there will be.
        """
        X, y = self._taken(X, y, first)
        if first:
            self._labels = Labels.of(y, classes)
            self.classes_ = self._labels.classes
        elif self._labels.several and (y.ndim != 2 or y.shape[1] != len(self.classes_)):
            raise ValueError(f"y has shape {y.shape}; it must have {len(self.classes_)} columns, as it had before")
        same = self._labels.several or (first and classes is None)
        found = self._labels if same else Labels.of(y)
        if again and not first and not np.array_equal(found.classes, self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {found.classes}"
            )
        others = np.setdiff1d(found.classes, self.classes_)
        if len(others):
            what = f"`self.classes_` has {self.classes_}. 'y' has {found.classes}."
            raise ValueError(f"`y` has classes not in `self.classes_`. {what}")
        return X, y

    def _weights(self, sample_weight: Any, y: Any, rows: int, incremental: bool = False) -> np.ndarray | None:
        """Return the weights of rows and of their classes."""
        class_weight: Any = self.class_weight
        if incremental and isinstance(class_weight, str):
            raise ValueError(
                f"class_weight is {class_weight!r}, which counts all rows, and partial_fit has some; give a dict"
            )
        if class_weight is not None and self._labels.several and hasattr(y, "toarray"):
            y = y.toarray()
        return sample_weights(sample_weight, class_weight, y, rows)

    def predict(self, X: Any) -> np.ndarray:
        """Return the class of each row.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (rows, features)

        Returns
        -------
        ndarray, shape (rows,) or (rows, labels)
            Of several labels a row 0 and 1.

        Examples
        --------
        >>> from fastbp.sklearn import MLPClassifier
        >>> X, y = [[0.0], [0.1], [0.9], [1.0]] * 10, ["low", "low", "high", "high"] * 10
        >>> model = MLPClassifier((10,), solver="lbfgs", random_state=0).fit(X, y)
        >>> model.predict([[0.05], [0.95]])
        array(['low', 'high'], dtype='<U4')
        """
        outputs = self._outputs(X)
        return self._labels.predicted(outputs, self.model_.loss_function)

    @available_if(_knows_probabilities)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of every class for each row; there only where the loss knows probabilities.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (rows, features)

        Returns
        -------
        ndarray, shape (rows, classes)
            In the order of ``classes_``; of several labels a row the probability of each.

        Examples
        --------
        >>> from fastbp.sklearn import MLPClassifier
        >>> X, y = [[0.0], [0.1], [0.9], [1.0]] * 10, ["low", "low", "high", "high"] * 10
        >>> model = MLPClassifier((10,), solver="lbfgs", random_state=0).fit(X, y)
        >>> model.classes_.tolist(), model.predict_proba([[0.05], [0.95]]).round(1).tolist()
        (['high', 'low'], [[0.0, 1.0], [1.0, 0.0]])
        """
        outputs = self._outputs(X)
        return self._labels.probabilities(outputs, self.model_)

    @available_if(_knows_probabilities)
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithm of `predict_proba`.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (rows, features)

        Returns
        -------
        ndarray, shape (rows, classes)
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class _Regressor(RegressorMixin, _Estimator):
    """An estimator of numbers, one or several a row."""

    _targets: int

    def _target_options(self) -> dict[str, Any]:
        return {"multi_output": True, "y_numeric": True}

    def _numbers(self, y: Any, first: bool) -> np.ndarray:
        """Return targets as a matrix; their number is set, or must be what it was."""
        wide: np.ndarray = np.asarray(y).reshape(len(y), -1)
        if not first and wide.shape[1] != self._targets:
            raise ValueError(f"y has {wide.shape[1]} targets a row; it must have {self._targets}, as it had before")
        self._targets = wide.shape[1]
        return self.preparation_.transform_target(wide) if self._scales() else wide

    def _scales(self) -> bool:
        """Whether a preparation scales the targets: counts stay what they are."""
        counts = self.loss == "poisson" or isinstance(self.loss, losses.Poisson)
        return "preparation_" in vars(self) and not counts

    def _predicted(self, outputs: np.ndarray) -> np.ndarray:
        """Return the numbers that outputs stand for."""
        found = outputs[:, : self._targets]  # a GaussianNLL has variances behind the means
        if getattr(self.model_.loss_function, "log_input", False):
            found = np.exp(found)
        return found

    def predict(self, X: Any) -> np.ndarray:
        """Return the numbers of each row.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (rows, features)

        Returns
        -------
        ndarray, shape (rows,) or (rows, targets)

        Examples
        --------
        >>> from fastbp.sklearn import MLPRegressor
        >>> X, y = [[0.0], [0.5], [1.0]] * 10, [1.0, 2.0, 3.0] * 10
        >>> model = MLPRegressor(hidden_layer_sizes=(10,), solver="lbfgs", random_state=0).fit(X, y)
        >>> model.predict([[0.0], [1.0]]).round(1)
        array([1., 3.])
        """
        found = self._predicted(self._outputs(X))
        if self._scales():
            found = self.preparation_.inverse_target(found)
        return found[:, 0] if self._targets == 1 else found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class _Epochs(Callback):
    """What happens between the epochs of a fit: the curve, and when to stop."""

    def __init__(self, estimator: Any, rows: int, score: Any, offset: float) -> None:
        self.estimator, self.rows, self.score, self.offset = estimator, rows, score, offset
        self.sgd = estimator.solver == "sgd"
        self.best: list[np.ndarray] | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Note the loss and stop where it gets no better, as scikit-learn does."""
        own, loss = self.estimator, logs["loss"] + self.offset
        if own.n_outputs_ > 1:
            loss = own._reported(loss, self.rows)
        own.n_iter_ += 1
        own.t_ += self.rows
        own.loss_ = loss
        own.loss_curve_.append(loss)
        if own.verbose:
            print(f"Iteration {own.n_iter_}, loss = {loss:.8f}")
        if self.score is None:
            worse = loss > own.best_loss_ - own.tol
            own.best_loss_ = min(own.best_loss_, loss)
        else:
            worse = self._validate(own)
        own._no_improvement_count = own._no_improvement_count + 1 if worse else 0
        if self.sgd and own.learning_rate == "invscaling":
            self._change(own.learning_rate_init / (own.t_ + 1) ** own.power_t)
        if own._no_improvement_count > own.n_iter_no_change:
            self._stop(own)

    def _change(self, lr: float) -> None:
        """Change the learning rate of SGD; scikit-learn's velocity has the old one inside, and keeps it."""
        optimizer = self.model.optimizer
        state = optimizer.get_state()
        if "velocity" in state:
            state["velocity"] *= optimizer.lr / lr
            optimizer.set_state(state)
        optimizer.lr = lr

    def _validate(self, own: Any) -> bool:
        value = self.score()
        own.validation_scores_.append(value)
        if own.verbose:
            print(f"Validation score: {value:f}")
        worse: bool = value < own.best_validation_score_ + own.tol
        if value > own.best_validation_score_:
            own.best_validation_score_ = value
            self.best = self.model.get_weights()
        return worse

    def _stop(self, own: Any) -> None:
        what = "Training loss" if self.score is None else "Validation score"
        text = f"{what} did not improve more than tol={own.tol:f} for {own.n_iter_no_change} consecutive epochs."
        lr = self.model.optimizer.lr
        if self.sgd and own.learning_rate == "adaptive" and lr > 1e-6:
            self._change(lr / 5)
            own._no_improvement_count = 0
            text += f" Setting learning rate to {lr / 5:f}"
        else:
            self.model.stop_training = True
            text += " Stopping."
        if own.verbose:
            print(text)


class _Perceptron(_Estimator):
    """What both have in common."""

    def _check(self, incremental: bool) -> None:
        """Raise an error that names the first parameter that cannot be."""
        for units in self._hidden():
            integer("hidden_layer_sizes", units, 1)
        if isinstance(self.solver, str):
            optimizers.get("sgd" if self.solver == "lbfgs" else self.solver)
        else:
            check_kind("solver", self.solver, optimizers.Optimizer, "a name or a fastbp optimizer")
        number("alpha", self.alpha, 0, math.inf)
        if self.batch_size != "auto":
            integer("batch_size", self.batch_size, 1)
        if not isinstance(self.learning_rate, Schedule):
            check_name("learning_rate", self.learning_rate, _RATES)
        number("learning_rate_init", self.learning_rate_init, 0, math.inf, closed_low=False)
        number("power_t", self.power_t, 0, math.inf)
        if self.solver == "adam":
            number("beta_1", self.beta_1, 0, 1)
            number("beta_2", self.beta_2, 0, 1)
            number("epsilon", self.epsilon, 0, math.inf, closed_low=False)
        integer("max_iter", self.max_iter, 1)
        number("tol", self.tol, 0, math.inf)
        number("validation_fraction", self.validation_fraction, 0, 1, closed_low=not self.early_stopping)
        if self.n_iter_no_change != np.inf:
            integer("n_iter_no_change", self.n_iter_no_change, 1)
        integer("max_fun", self.max_fun, 1)
        for rate in self._dropouts():
            number("dropout", rate, 0, 1)
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        if "model_" in vars(self) and (incremental or self.warm_start):
            built = [layer.units for layer in _dense(self.model_)[:-1]]
            if built != self._hidden():
                goes = "partial_fit goes" if incremental else "warm_start=True goes"
                raise ValueError(
                    f"hidden_layer_sizes is {self.hidden_layer_sizes!r}; {goes} on with the model, whose are {built}"
                )

    def _hidden(self) -> list[Any]:
        sizes: Any = self.hidden_layer_sizes
        return [*sizes] if hasattr(sizes, "__iter__") else [sizes]

    def _dropouts(self) -> list[Any]:
        """Return the rate behind each hidden layer."""
        count, dropout = len(self._hidden()), self.dropout
        if not hasattr(dropout, "__iter__"):
            return [dropout] * count
        rates = [*dropout]
        if len(rates) != count:
            raise ValueError(f"dropout has {len(rates)} rates; there are {count} hidden layers")
        return rates

    def _activation(self) -> Any:
        activation = self.activation
        return _ACTIVATIONS.get(activation, activation) if isinstance(activation, str) else activation

    def _optimizer(self) -> Any:
        """Return a new optimizer; where a method of SciPy trains, one that is never used."""
        solver = self.solver
        if not isinstance(solver, str):
            return copy.deepcopy(solver)
        lr: Any = self.learning_rate if isinstance(self.learning_rate, Schedule) else self.learning_rate_init
        if solver == "adam":
            return optimizers.Adam(lr, self.beta_1, self.beta_2, self.epsilon)
        if solver == "sgd":
            return optimizers.SGD(lr, self.momentum, bool(self.nesterovs_momentum and self.momentum > 0))
        if solver == "lbfgs":
            return optimizers.SGD()
        own = optimizers.get(solver)
        own.lr = lr
        return own

    def _built(self, features: int, outputs: int, end: str) -> Sequential:
        """Return a new model, without its weights."""
        penalty = regularizers.L2PerRow(self.alpha / 2) if self.alpha else None
        activation = self._activation()
        layers: list[Any] = []
        for units, rate in zip(self._hidden(), self._dropouts(), strict=True):
            own = copy.deepcopy(activation)
            layers.append(Dense(units, None if self.batch_norm else own, kernel_regularizer=penalty))
            if self.batch_norm:
                layers += [BatchNorm(), own if isinstance(own, Activation) else Activation(own)]
            if rate:
                layers.append(Dropout(rate))
        layers.append(Dense(outputs, end, kernel_regularizer=penalty))
        # the weights are drawn later, and dropout's numbers by the seed of each fit
        return Sequential(layers, input_shape=features, seed=0)

    def _drawn(self, model: Sequential, rng: Any) -> None:
        """Draw weights and biases as scikit-learn draws them."""
        factor = 2.0 if self.activation == "logistic" else 6.0
        for layer in _dense(model):
            bound = math.sqrt(factor / sum(layer.w.shape))
            layer.w = rng.uniform(-bound, bound, layer.w.shape)
            layer.b = rng.uniform(-bound, bound, layer.b.shape)

    def _begin(
        self, features: int, outputs: int, dtype: Any, out_activation: str, loss: Loss, factor: float, rng: Any
    ) -> None:
        """Make a new model, and set what begins with it."""
        model = self._built(features, outputs, losses.last_activation_for(loss))
        self._compile(model, np.dtype(dtype).name, loss, factor)
        self._drawn(model, rng)
        self.model_ = model
        self.n_iter_ = self.t_ = 0
        self.n_outputs_ = outputs
        self.n_layers_ = len(self._hidden()) + 2
        self.out_activation_ = out_activation
        self._no_improvement_count = 0
        if self.solver != "lbfgs":
            self.loss_curve_: list[float] = []
            early = self.early_stopping
            self.validation_scores_: list[float] | None = [] if early else None
            self.best_validation_score_ = -np.inf if early else None
            self.best_loss_ = None if early else np.inf

    def _compile(self, model: Sequential, dtype: str, loss: Loss, factor: float) -> None:
        model.compile(self._optimizer(), loss, dtype=dtype, numerics=self.numerics, loss_weights=factor)

    def _reported(self, loss: float, rows: int) -> float:
        """Return the loss that scikit-learn reports for that of an epoch over some rows."""
        return loss

    def _train(self, X: Any, y: np.ndarray, weight: np.ndarray | None, rng: Any, incremental: bool) -> Self:
        """Train the model, which is there; return the estimator."""
        early = self.early_stopping and self.solver != "lbfgs"
        try:
            if self.solver == "lbfgs":
                self._minimize(X, y, weight)
            else:
                self._step(X, y, weight, rng, incremental, early)
        except FloatingPointError as error:
            what = "Solver produced non-finite parameter weights. The input data may contain large values and"
            raise ValueError(f"{what} need to be preprocessed: {error}") from error
        return self

    def _minimize(self, X: Any, y: np.ndarray, weight: np.ndarray | None) -> None:
        X = X.toarray() if is_sparse(X) else X
        options = {"maxfun": self.max_fun, "maxiter": self.max_iter, "gtol": self.tol}
        result = minimize(self.model_, X, y, "L-BFGS-B", weight, options=options)
        self.n_iter_ = min(int(result.nit), self.max_iter)
        self.loss_ = self._reported(float(result.fun) + self._offset(y, weight), len(y))
        if not result.success:
            text = f"lbfgs ended after {self.n_iter_} iterations: {result.message}"
            warn(f"{text}; more of them (max_iter), or features of one scale, may help", ConvergenceWarning)

    def _offset(self, y: np.ndarray, weight: np.ndarray | None) -> float:
        """Return what scikit-learn's loss has beside the one that is minimised."""
        return 0.0

    def _step(
        self, X: Any, y: np.ndarray, weight: np.ndarray | None, rng: Any, incremental: bool, early: bool
    ) -> None:
        score = None
        if early:
            X, y, weight, score = self._held_out(X, y, weight, rng)
        rows = X.shape[0]
        batch = self._batch(rows)
        if self.batch_size != "auto" and batch < self.batch_size:
            warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
        # every call of partial_fit and every warm start has shuffles of its own
        seed = (int(rng.randint(2**31 - 1)) + self.t_) % 2**31
        epochs = 1 if incremental else self.max_iter
        self.n_iter_ = 0
        between = _Epochs(self, rows, score, self._offset(y, weight))
        if early:  # of a warm start those of before may stay the best
            between.best = self.model_.get_weights()
        given: list[Any] = [] if self.callbacks is None else self.callbacks
        given = [*given] if hasattr(given, "__iter__") else [given]
        options: dict[str, Any] = {"epochs": epochs, "seed": seed, "verbose": 0, "callbacks": [*given, between]}
        try:
            if is_sparse(X):
                shuffles = seed if self.shuffle else None
                self.model_.fit(SparseBatches(X, y, weight, batch, shuffles, self.numerics), **options)
            else:
                self.model_.fit(X, y, batch, shuffle=self.shuffle, sample_weight=weight, **options)
        except KeyboardInterrupt:
            warn("Training interrupted by user.")
        if not incremental and self.n_iter_ == self.max_iter and not self.model_.stop_training:
            text = f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't"
            warn(f"{text} converged yet.", ConvergenceWarning)
        if between.best is not None:
            self.model_.set_weights(between.best)

    def _batch(self, rows: int) -> int:
        """Return how many rows a batch has."""
        size: Any = self.batch_size
        return min(200 if size == "auto" else size, rows)

    def _held_out(self, X: Any, y: np.ndarray, weight: np.ndarray | None, rng: Any) -> tuple[Any, ...]:
        """Return what is trained on, and a function for the score of what is not."""
        given = [X, y] if weight is None else [X, y, weight]
        held = math.ceil(len(y) * self.validation_fraction)
        stratify = self._strata(y, min(held, len(y) - held))
        parts = train_test_split(*given, random_state=rng, test_size=self.validation_fraction, stratify=stratify)
        X_val, y_val = parts[1], parts[3]
        if X_val.shape[0] < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        weight_val = None if weight is None else parts[5]
        wanted = self._as_predicted(y_val)

        def score() -> float:
            outputs = outputs_of(self.model_, X_val)
            if not np.isfinite(outputs).all():
                return math.nan
            return self._validation_score(wanted, outputs, weight_val)

        return parts[0], parts[2], None if weight is None else parts[4], score

    def _of_model(self, name: str) -> list[np.ndarray]:
        if "model_" not in vars(self):
            raise AttributeError(f"{type(self).__name__} has {name} once it is fitted")
        return [layer.w if name == "coefs_" else layer.b for layer in _dense(self.model_)]

    @property
    def coefs_(self) -> list[np.ndarray]:
        """The weights of each layer, of shape (inputs, outputs): views, which may be written to."""
        return self._of_model("coefs_")

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """The biases of each layer."""
        return self._of_model("intercepts_")


def _dense(model: Any) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, Dense)]


def _steps(estimator: Any) -> bool:
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit is only available for stochastic optimizers. lbfgs is not stochastic.")
    return True


class MLPClassifier(_Classifier, _Perceptron):
    """scikit-learn's ``MLPClassifier``, trained by fastbp.

    Arguments, their defaults and what they mean are scikit-learn's [1]_, and so are the attributes. Two classes have
    one logistic output, more of them a softmax, several labels a row (a matrix of 0 and 1) a logistic output each.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int
        How many units each hidden layer has.
    activation : {"relu", "identity", "logistic", "tanh"} or str or Activation
        Of the hidden layers. Any of fastbp's.
    solver : {"adam", "sgd", "lbfgs"} or str or Optimizer
        Any of fastbp's optimizers, by its name, with `learning_rate_init`, or as an object. "lbfgs" is
        `fastbp.minimize`, and looks at all rows at once.
    alpha : float
        ``alpha / 2 * sum(w**2)`` is added to the loss, divided by the rows of the batch, or the sum of their weights.
        Biases are left out.
    batch_size : int or "auto"
        "auto" is ``min(200, rows)``.
    learning_rate : {"constant", "invscaling", "adaptive"} or Schedule
        The first three count for the solver "sgd" only, as in scikit-learn. A schedule takes the place of
        `learning_rate_init`.
    learning_rate_init, power_t : float
    max_iter : int
        Epochs, or iterations of "lbfgs".
    shuffle : bool
    random_state : int, RandomState or None
    tol : float
    verbose : bool
    warm_start : bool
    momentum : float
    nesterovs_momentum : bool
    early_stopping : bool
        Whether a part of the rows is held out, and training stops by its accuracy. The part is stratified by class.
    validation_fraction : float
    beta_1, beta_2, epsilon : float
        Of Adam. fastbp adds `epsilon` where the paper's algorithm 1 does; scikit-learn's is larger in the first steps.
    n_iter_no_change : int
    max_fun : int
    loss : "log_loss" or str or Loss
        One of fastbp's that takes classes: cross-entropies, "binary_focal_crossentropy", "hinge",
        "categorical_hinge"... Where it knows no probabilities there is no `predict_proba`.
    dropout : float or sequence of float
        The rate behind each hidden layer.
    batch_norm : bool
        Whether each hidden layer normalises its batch before the activation.
    class_weight : dict or "balanced", optional
        As scikit-learn has it elsewhere: by class, multiplied with `sample_weight`.
    callbacks : Callback or sequence of Callback, optional
        fastbp's, called in each epoch of `fit`.
    dtype : {"float32", "float64"}, optional
        By default that of the features: float32 stays float32, all else is float64.
    numerics : {"portable", "numpy"}
        As of `Model.compile`: the same bits on every CPU, or those of NumPy.
    preparation : fastbp.table.Preparation, optional
        Then X are raw rows, as of a data frame with text, dates and gaps, whose columns are found by their names: what
        becomes of them is learnt from the rows of the first `fit`.

    Attributes
    ----------
    model_ : Sequential
        What was trained.
    preparation_ : fastbp.table.Preparation
        What was learnt of raw rows, where there is a `preparation`.
    classes_ : ndarray
    loss_, best_loss_ : float
    loss_curve_ : list of float
    validation_scores_ : list of float or None
    best_validation_score_ : float or None
    coefs_, intercepts_ : list of ndarray
        Views of the model's weights.
    n_iter_, t_, n_layers_, n_outputs_, n_features_in_ : int
    feature_names_in_ : ndarray of str
    out_activation_ : {"logistic", "softmax"}

    References
    ----------
    .. [1] https://scikit-learn.org/stable/modules/generated/sklearn.neural_network.MLPClassifier.html

    Examples
    --------
    >>> from fastbp.sklearn import MLPClassifier
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> pipeline = make_pipeline(StandardScaler(), MLPClassifier(max_iter=400, random_state=0, dropout=0.1))
    >>> bool(cross_val_score(pipeline, X, y).mean() > 0.93)
    True
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: Any = "log_loss",
        dropout: Any = 0.0,
        batch_norm: bool = False,
        class_weight: Any = None,
        callbacks: Any = None,
        dtype: Any = None,
        numerics: str = "portable",
        preparation: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.loss = loss
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.class_weight = class_weight
        self.callbacks = callbacks
        self.dtype = dtype
        self.numerics = numerics
        self.preparation = preparation

    def _loss_or_none(self) -> Loss | None:
        return None if self.loss == "log_loss" else _loss_of(self.loss)

    def _loss(self) -> tuple[Loss, float]:
        """Return the loss, and its factor."""
        own = self._loss_or_none()
        if own is not None:
            return own, 1.0
        n, mean = len(self.classes_), "mean_with_sample_weight"
        if self._labels.several:
            # scikit-learn adds those of the labels up
            return losses.BinaryCrossEntropy(True, reduction=mean), float(n)
        if n > 2:
            return losses.SparseCategoricalCrossEntropy(True, reduction=mean), 1.0
        return losses.BinaryCrossEntropy(True, reduction=mean), 1.0

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train, from the beginning unless ``warm_start`` is True.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (rows, features)
        y : array_like, shape (rows,) or (rows, labels)
            Classes, or of several labels a row 0 and 1.
        sample_weight : array_like, shape (rows,), optional

        Returns
        -------
        MLPClassifier
            The estimator itself.

        Examples
        --------
        >>> from fastbp.sklearn import MLPClassifier
        >>> X, y = [[0.0], [0.1], [0.9], [1.0]] * 10, [0, 0, 1, 1] * 10
        >>> MLPClassifier((10,), solver="lbfgs", random_state=0).fit(X, y).score(X, y)
        1.0
        """
        return self._fit(X, y, sample_weight, incremental=False)

    @available_if(_steps)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train for one epoch more, on rows that need not be those of before.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (rows, features)
        y : array_like, shape (rows,) or (rows, labels)
        sample_weight : array_like, shape (rows,), optional
        classes : array_like, optional
            All classes there will be: needed by the first call, unless rows have several labels.

        Returns
        -------
        MLPClassifier
            The estimator itself.

        Examples
        --------
        >>> from fastbp.sklearn import MLPClassifier
        >>> model = MLPClassifier((10,), random_state=0)
        >>> for X, y in ([[0.0], [0.1]], [0, 0]), ([[0.9], [1.0]], [1, 1]):
        ...     model = model.partial_fit(X, y, classes=[0, 1])
        >>> model.t_, len(model.loss_curve_)
        (4, 2)
        """
        return self._fit(X, y, sample_weight, incremental=True, classes=_first_classes(self, y, classes))

    def _fit(self, X: Any, y: Any, sample_weight: Any, incremental: bool, classes: Any = None) -> Self:
        self._check(incremental)
        first = "model_" not in vars(self) or not (self.warm_start or incremental)
        X, y = self._taken_labels(X, y, first, self.warm_start and not incremental, classes)
        weight = self._weights(sample_weight, y, X.shape[0], incremental)
        rng, (loss, factor) = check_random_state(self.random_state), self._loss()
        if first:
            outputs = self._labels.outputs(loss)
            link = "softmax" if outputs > 1 and not self._labels.several else "logistic"
            self._begin(X.shape[1], outputs, X.dtype, link if loss.link else "identity", loss, factor, rng)
        elif not incremental:
            self._compile(self.model_, self.model_.dtype, loss, factor)
        return self._train(X, self._labels.encoded(y, loss, X.dtype), weight, rng, incremental)

    def _strata(self, y: np.ndarray, rows: int) -> Any:
        return strata(self._labels, y, rows)

    def _as_predicted(self, y: np.ndarray) -> np.ndarray:
        return self._labels.decoded(y)

    def _validation_score(self, wanted: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
        found = self._labels.predicted(outputs, self.model_.loss_function)
        return float(accuracy_score(wanted, found, sample_weight=weight))


class MLPRegressor(_Regressor, _Perceptron):
    """scikit-learn's ``MLPRegressor``, trained by fastbp.

    Parameters
    ----------
    loss : {"squared_error", "poisson"} or str or Loss
        Half the squared error, or half the Poisson deviance with the exponential for an output; or one of fastbp's:
        "mae", "huber", ``fastbp.losses.GaussianNLL()`` (of which `predict` returns the means) ...
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t : object
        As for `MLPClassifier`.
    max_iter, shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum : object
        As for `MLPClassifier`.
    early_stopping : bool
        Whether a part of the rows is held out, and training stops by the R2 score of it.
    validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change, max_fun : object
        As for `MLPClassifier`.
    dropout, batch_norm, callbacks, dtype, numerics : object
        As for `MLPClassifier`.
    preparation : fastbp.table.Preparation, optional
        As for `MLPClassifier`. It scales the targets, too, unless they are counts (`loss` "poisson"): losses are those
        of scaled targets, and predictions are in the unit of y.

    Attributes
    ----------
    model_ : Sequential
        What was trained.
    preparation_ : fastbp.table.Preparation
        What was learnt of raw rows, where there is a `preparation`.
    loss_, best_loss_ : float
        Of several targets half the mean over them, as scikit-learn has it, whose gradient, and ours, is that of half
        their sum.
    loss_curve_ : list of float
    validation_scores_ : list of float or None
    best_validation_score_ : float or None
    coefs_, intercepts_ : list of ndarray
        Views of the model's weights.
    n_iter_, t_, n_layers_, n_outputs_, n_features_in_ : int
    feature_names_in_ : ndarray of str
    out_activation_ : {"identity", "exp"}

    Examples
    --------
    >>> from fastbp.sklearn import MLPRegressor
    >>> from sklearn.datasets import make_friedman1
    >>> X, y = make_friedman1(400, random_state=0)
    >>> model = MLPRegressor(hidden_layer_sizes=(50, 50), learning_rate_init=0.01, max_iter=300, random_state=0)
    >>> bool(model.fit(X[:300], y[:300]).score(X[300:], y[300:]) > 0.8)
    True
    """

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: Any = 0.0,
        batch_norm: bool = False,
        callbacks: Any = None,
        dtype: Any = None,
        numerics: str = "portable",
        preparation: Any = None,
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.callbacks = callbacks
        self.dtype = dtype
        self.numerics = numerics
        self.preparation = preparation

    def _loss(self, targets: int) -> tuple[Loss, float]:
        """Return the loss, and its factor: scikit-learn adds gradients of several targets up."""
        mean = "mean_with_sample_weight"
        if self.loss == "squared_error":
            return losses.MeanSquaredError(mean), targets / 2
        if self.loss == "poisson":
            return losses.Poisson(log_input=True, reduction=mean), float(targets)
        return _loss_of(self.loss), 1.0

    def _reported(self, loss: float, rows: int) -> float:
        """Return the loss that scikit-learn reports: of several targets half the mean of the squares, and penalties."""
        if self.loss != "squared_error" or self._targets == 1:
            return loss
        steps = 1 if self.solver == "lbfgs" else -(-rows // self._batch(rows))
        penalty = sum(0.5 * self.alpha * float((w * w).sum()) for w in self.coefs_) * steps / rows
        return (loss - penalty) / self._targets + penalty

    def _offset(self, y: np.ndarray, weight: np.ndarray | None) -> float:
        if self.loss != "poisson":
            return 0.0
        from scipy.special import xlogy

        return float(np.average((xlogy(y, y) - y).sum(axis=1), weights=weight))

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train, from the beginning unless ``warm_start`` is True.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (rows, features)
        y : array_like, shape (rows,) or (rows, targets)
        sample_weight : array_like, shape (rows,), optional

        Returns
        -------
        MLPRegressor
            The estimator itself.

        Examples
        --------
        >>> from fastbp.sklearn import MLPRegressor
        >>> X, y = [[0.0], [0.5], [1.0]] * 10, [1.0, 2.0, 3.0] * 10
        >>> bool(MLPRegressor(hidden_layer_sizes=(10,), solver="lbfgs", random_state=0).fit(X, y).score(X, y) > 0.99)
        True
        """
        return self._fit(X, y, sample_weight, incremental=False)

    @available_if(_steps)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one epoch more, on rows that need not be those of before.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (rows, features)
        y : array_like, shape (rows,) or (rows, targets)
        sample_weight : array_like, shape (rows,), optional

        Returns
        -------
        MLPRegressor
            The estimator itself.

        Examples
        --------
        >>> from fastbp.sklearn import MLPRegressor
        >>> model = MLPRegressor(random_state=0)
        >>> for X, y in ([[0.0], [0.5]], [1.0, 2.0]), ([[1.0], [1.5]], [3.0, 4.0]):
        ...     model = model.partial_fit(X, y)
        >>> model.t_, len(model.loss_curve_)
        (4, 2)
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def _fit(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> Self:
        self._check(incremental)
        first = "model_" not in vars(self) or not (self.warm_start or incremental)
        X, y = self._taken(X, y, first)
        weight, y = sample_weights(sample_weight, None, y, X.shape[0]), self._numbers(y, first).astype(X.dtype)
        rng, (loss, factor) = check_random_state(self.random_state), self._loss(y.shape[1])
        if first:
            out = "exp" if self.loss == "poisson" else "identity"
            self._begin(X.shape[1], _outputs_for(loss, y.shape[1]), X.dtype, out, loss, factor, rng)
        elif not incremental:
            self._compile(self.model_, self.model_.dtype, loss, factor)
        return self._train(X, y, weight, rng, incremental)

    def _strata(self, y: np.ndarray, rows: int) -> Any:
        return None

    def _as_predicted(self, y: np.ndarray) -> np.ndarray:
        return y

    def _validation_score(self, wanted: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
        return float(r2_score(wanted, self._predicted(outputs), sample_weight=weight))


def _defaults(build: Any) -> dict[str, Any]:
    """Return the parameters of build, behind the numbers of features and outputs, that have defaults."""
    if not callable(build):
        return {}
    parameters = [*inspect.signature(build).parameters.items()][2:]
    return {name: p.default for name, p in parameters if p.default is not p.empty}


class _Built(_Estimator):
    """What both have in common."""

    def __init__(
        self,
        build: Any,
        optimizer: Any,
        loss: Any,
        metrics: Any,
        epochs: int,
        batch_size: int | str,
        shuffle: bool,
        validation_split: float,
        callbacks: Any,
        verbose: Any,
        warm_start: bool,
        random_state: Any,
        dtype: Any,
        numerics: str,
        backend: str | None,
        preparation: Any,
        parameters: dict[str, Any],
    ) -> None:
        self.build = build
        self.optimizer = optimizer
        self.loss = loss
        self.metrics = metrics
        self.epochs = epochs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.validation_split = validation_split
        self.callbacks = callbacks
        self.verbose = verbose
        self.warm_start = warm_start
        self.random_state = random_state
        self.dtype = dtype
        self.numerics = numerics
        self.backend = backend
        self.preparation = preparation
        defaults = _defaults(build)
        for name, value in parameters.items():
            check_identifier("a parameter of build", name)
            if name.startswith("_") or name.endswith("_") or "__" in name or hasattr(type(self), name):
                what = "it must not begin or end with an underscore, hold two of them or be a method's"
                raise ValueError(f"build has the parameter {name!r}; {what}")
            # build's own defaults are no attributes: scikit-learn allows none but the arguments of the signature
            if name not in defaults or defaults[name] is not value:
                setattr(self, name, value)

    def _parameters(self) -> dict[str, Any]:
        """Return those of build: what was given, and its defaults."""
        own = {name for name, p in inspect.signature(type(self)).parameters.items() if p.kind != p.VAR_KEYWORD}
        found = {name: value for name, value in vars(self).items() if name not in own and name.strip("_") == name}
        return {name: value for name, value in _defaults(self.build).items() if name not in own} | found

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters of the estimator and of `build`.

        Parameters
        ----------
        deep : bool

        Returns
        -------
        dict of str to object

        Examples
        --------
        >>> import fastbp
        >>> from fastbp.sklearn import ModelRegressor
        >>> def build(n_features_in, n_outputs, units):
        ...     return fastbp.Sequential([fastbp.Dense(units), fastbp.Dense(n_outputs)], input_shape=n_features_in)
        >>> model = ModelRegressor(build, units=8, epochs=3)
        >>> model.get_params()["units"], model.set_params(units=9).units
        (8, 9)
        """
        found: dict[str, Any] = {**super().get_params(deep), **self._parameters()}
        return dict(sorted(found.items()))

    def _begin(self, features: int, outputs: int, dtype: str, loss: Loss, rng: Any) -> None:
        """Let the user's function build a model, and compile it."""
        if not callable(self.build):
            raise TypeError(f"build is {self.build!r}; it must be a function that returns a model")
        with seeded(lambda: int(rng.randint(2**31 - 1))):
            model: Any = self.build(features, outputs, **self._parameters())
            check_kind("what build returned", model, Model, "a fastbp.Model")
            if model.optimizer is not None:
                raise ValueError("build returned a compiled model; the estimator compiles it")
            self._compile(model, dtype, loss)
            model.build(features)
        found = model.layout.output_shape
        if found != (outputs,):
            raise ValueError(f"build returned a model with outputs of shape {found}; they must be ({outputs},)")
        self.model_, self.n_outputs_ = model, outputs
        self.history_: dict[str, list[float]] = {}

    def _compile(self, model: Model, dtype: str, loss: Loss) -> None:
        given = self.optimizer
        own = copy.deepcopy(given) if isinstance(given, optimizers.Optimizer) else given
        model.compile(own, loss, self.metrics, self.backend, dtype, self.numerics)

    def _train(self, X: Any, y: np.ndarray, weight: np.ndarray | None, rng: Any, incremental: bool) -> Self:
        """Train the model for its epochs, or for one; return the estimator."""
        epochs = integer("epochs", self.epochs, 1)
        batch = min(200, X.shape[0]) if self.batch_size == "auto" else integer("batch_size", self.batch_size, 1)
        options: dict[str, Any] = {
            "epochs": 1 if incremental else epochs, "seed": int(rng.randint(2**31 - 1)), "verbose": self.verbose,
            "callbacks": self.callbacks,
        }  # fmt: skip
        if is_sparse(X):
            if self.validation_split:
                raise ValueError(f"validation_split is {self.validation_split} and X is sparse; give X.toarray()")
            seed = options["seed"] if self.shuffle else None
            history = self.model_.fit(SparseBatches(X, y, weight, batch, seed, self.numerics), **options)
        else:
            split = 0.0 if incremental else self.validation_split
            history = self.model_.fit(
                X, y, batch, shuffle=self.shuffle, sample_weight=weight, validation_split=split, **options
            )
        for name, values in history.history.items():
            self.history_.setdefault(name, []).extend(values)
        return self


class ModelClassifier(_Classifier, _Built):
    """A classifier that is a model of yours: ``build(n_features_in, n_outputs, **parameters)`` returns it.

    Parameters
    ----------
    build : callable
        Returns a model that is not compiled. A pickle needs a function of a module. ``n_outputs`` is 1 for two
        classes, else their number, or that of the labels of a row. The outputs are logits: no activation at the end
        is the usual.
    optimizer : str or Optimizer
        As of `Model.compile`.
    loss : "auto" or str or Loss
        "auto" is "binary_crossentropy" for two classes and for several labels a row, else
        "sparse_categorical_crossentropy". A loss that takes class numbers has an output for each of two classes, too.
    metrics : list of Metric or str
        As of `Model.compile`; they are in ``history_``.
    epochs : int
    batch_size : int or "auto"
        "auto" is ``min(200, rows)``, as in `MLPClassifier`.
    shuffle : bool
    class_weight : dict or "balanced", optional
        By class, as scikit-learn has it elsewhere, multiplied with `sample_weight`.
    validation_split : float
        The part of the rows, from the end, that each epoch is evaluated on: ``history_["val_loss"]``.
    callbacks : Callback or list of Callback, optional
    verbose : {0, 1, 2}
    warm_start : bool
        Whether `fit` goes on with the model that is there.
    random_state : int, RandomState or None
        Of the initial weights, unless `build` gave the model a seed, of shuffles and of layers that draw.
    dtype : {"float32", "float64"}, optional
        By default that of the features: float32 stays float32, all else is float64.
    numerics, backend : str
        As of `Model.compile`.
    preparation : fastbp.table.Preparation, optional
        Then X are raw rows, as of a data frame with text, dates and gaps, whose columns are found by their names: what
        becomes of them is learnt from the rows of the first `fit`.
    **parameters
        What `build` takes besides. They, and its defaults, are parameters of the estimator, which `get_params` returns
        and a search sets.

    Attributes
    ----------
    model_ : Model
    preparation_ : fastbp.table.Preparation
    classes_ : ndarray
    history_ : dict of str to list of float
        Of all epochs since the model was built.
    n_features_in_, n_outputs_ : int

    Examples
    --------
    >>> import fastbp
    >>> from fastbp.sklearn import ModelClassifier
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.model_selection import GridSearchCV
    >>> def build(n_features_in, n_outputs, units=16):
    ...     layers = [fastbp.LayerNorm(), fastbp.Dense(units, "gelu"), fastbp.Dense(n_outputs)]
    ...     return fastbp.Sequential(layers, input_shape=n_features_in)
    >>> X, y = load_wine(return_X_y=True)
    >>> model = ModelClassifier(build, units=16, epochs=20, random_state=0)
    >>> search = GridSearchCV(model, {"units": [8, 16], "batch_size": [16, 32]}).fit(X, y)
    >>> sorted(search.best_params_), search.best_estimator_.classes_
    (['batch_size', 'units'], array([0, 1, 2]))
    """

    def __init__(
        self,
        build: Any,
        *,
        optimizer: Any = "adam",
        loss: Any = "auto",
        metrics: Any = (),
        epochs: int = 200,
        batch_size: int | str = "auto",
        shuffle: bool = True,
        class_weight: Any = None,
        validation_split: float = 0.0,
        callbacks: Any = None,
        verbose: Any = 0,
        warm_start: bool = False,
        random_state: Any = None,
        dtype: Any = None,
        numerics: str = "portable",
        backend: str | None = None,
        preparation: Any = None,
        **parameters: Any,
    ) -> None:
        self.class_weight = class_weight
        super().__init__(
            build, optimizer, loss, metrics, epochs, batch_size, shuffle, validation_split, callbacks, verbose,
            warm_start, random_state, dtype, numerics, backend, preparation, parameters,
        )  # fmt: skip

    def _loss_or_none(self) -> Loss | None:
        return None if isinstance(self.loss, str) and self.loss == "auto" else _loss_of(self.loss)

    def _loss(self) -> Loss:
        own = self._loss_or_none()
        if own is not None:
            return own
        several = len(self.classes_) > 2 and not self._labels.several
        return _loss_of("sparse_categorical_crossentropy" if several else "binary_crossentropy")

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Build a model and train it; with ``warm_start`` go on with the one that is there.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (rows, features)
        y : array_like, shape (rows,) or (rows, labels)
        sample_weight : array_like, shape (rows,), optional

        Returns
        -------
        ModelClassifier
            The estimator itself.

        Examples
        --------
        >>> import fastbp
        >>> from fastbp.sklearn import ModelClassifier
        >>> def build(n_features_in, n_outputs):
        ...     return fastbp.Sequential([fastbp.Dense(8, "tanh"), fastbp.Dense(n_outputs)], input_shape=n_features_in)
        >>> X, y = [[0.0], [0.1], [0.9], [1.0]] * 10, [0, 0, 1, 1] * 10
        >>> ModelClassifier(build, optimizer=fastbp.optimizers.Adam(0.1), random_state=0).fit(X, y).score(X, y)
        1.0
        """
        return self._fit(X, y, sample_weight, incremental=False)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train for one epoch more, on rows that need not be those of before.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (rows, features)
        y : array_like, shape (rows,) or (rows, labels)
        sample_weight : array_like, shape (rows,), optional
        classes : array_like, optional
            All classes there will be: needed by the first call, unless rows have several labels.

        Returns
        -------
        ModelClassifier
            The estimator itself.

        Examples
        --------
        >>> import fastbp
        >>> from fastbp.sklearn import ModelClassifier
        >>> def build(n_features_in, n_outputs):
        ...     return fastbp.Sequential([fastbp.Dense(8, "tanh"), fastbp.Dense(n_outputs)], input_shape=n_features_in)
        >>> X, y = [[0.0], [0.1], [0.9], [1.0]] * 10, [0, 0, 1, 1] * 10
        >>> model = ModelClassifier(build).partial_fit(X, y, classes=[0, 1]).partial_fit(X, y)
        >>> len(model.history_["loss"])
        2
        """
        return self._fit(X, y, sample_weight, incremental=True, classes=_first_classes(self, y, classes))

    def _fit(self, X: Any, y: Any, sample_weight: Any, incremental: bool, classes: Any = None) -> Self:
        first = "model_" not in vars(self) or not (self.warm_start or incremental)
        X, y = self._taken_labels(X, y, first, self.warm_start and not incremental, classes)
        weight = self._weights(sample_weight, y, X.shape[0], incremental)
        rng, loss = check_random_state(self.random_state), self._loss()
        if first:
            self._begin(X.shape[1], self._labels.outputs(loss), X.dtype.name, loss, rng)
        elif not incremental:
            self._compile(self.model_, self.model_.dtype, loss)
        return self._train(X, self._labels.encoded(y, loss, X.dtype), weight, rng, incremental)


class ModelRegressor(_Regressor, _Built):
    """A regressor that is a model of yours: ``build(n_features_in, n_outputs, **parameters)`` returns it.

    Parameters
    ----------
    build : callable
        Returns a model that is not compiled. ``n_outputs`` is the number of targets a row, or what `loss` wants for
        them: `fastbp.losses.GaussianNLL` twice as many.
    optimizer : str or Optimizer
        As of `Model.compile`.
    loss : str or Loss
        As of `Model.compile`.
    metrics, epochs, batch_size, shuffle, validation_split, callbacks, verbose, warm_start, random_state : object
        As for `ModelClassifier`.
    dtype, numerics, backend : object
        As for `ModelClassifier`.
    preparation : fastbp.table.Preparation, optional
        As for `MLPRegressor`.
    **parameters
        What `build` takes besides.

    Attributes
    ----------
    model_ : Model
    preparation_ : fastbp.table.Preparation
    history_ : dict of str to list of float
    n_features_in_, n_outputs_ : int

    Examples
    --------
    >>> import fastbp
    >>> from fastbp.sklearn import ModelRegressor
    >>> from sklearn.datasets import make_friedman1
    >>> def build(n_features_in, n_outputs, units):
    ...     return fastbp.Sequential([fastbp.Dense(units, "tanh"), fastbp.Dense(n_outputs)], input_shape=n_features_in)
    >>> X, y = make_friedman1(300, random_state=0)
    >>> model = ModelRegressor(build, units=30, optimizer=fastbp.optimizers.Adam(0.05), random_state=0)
    >>> bool(model.fit(X, y).score(X, y) > 0.85), model.get_params()["units"]
    (True, 30)
    """

    def __init__(
        self,
        build: Any,
        *,
        optimizer: Any = "adam",
        loss: Any = "mse",
        metrics: Any = (),
        epochs: int = 200,
        batch_size: int | str = "auto",
        shuffle: bool = True,
        validation_split: float = 0.0,
        callbacks: Any = None,
        verbose: Any = 0,
        warm_start: bool = False,
        random_state: Any = None,
        dtype: Any = None,
        numerics: str = "portable",
        backend: str | None = None,
        preparation: Any = None,
        **parameters: Any,
    ) -> None:
        super().__init__(
            build, optimizer, loss, metrics, epochs, batch_size, shuffle, validation_split, callbacks, verbose,
            warm_start, random_state, dtype, numerics, backend, preparation, parameters,
        )  # fmt: skip

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Build a model and train it; with ``warm_start`` go on with the one that is there.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (rows, features)
        y : array_like, shape (rows,) or (rows, targets)
        sample_weight : array_like, shape (rows,), optional

        Returns
        -------
        ModelRegressor
            The estimator itself.

        Examples
        --------
        >>> import fastbp
        >>> from fastbp.sklearn import ModelRegressor
        >>> def build(n_features_in, n_outputs):
        ...     return fastbp.Sequential([fastbp.Dense(8, "tanh"), fastbp.Dense(n_outputs)], input_shape=n_features_in)
        >>> X, y = [[0.0], [0.1], [0.9], [1.0]] * 10, [0, 0, 1, 1] * 10
        >>> model = ModelRegressor(build, optimizer=fastbp.optimizers.Adam(0.1), random_state=0).fit(X, y)
        >>> bool(model.score(X, y) > 0.95)
        True
        """
        return self._fit(X, y, sample_weight, incremental=False)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one epoch more, on rows that need not be those of before.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (rows, features)
        y : array_like, shape (rows,) or (rows, targets)
        sample_weight : array_like, shape (rows,), optional

        Returns
        -------
        ModelRegressor
            The estimator itself.

        Examples
        --------
        >>> import fastbp
        >>> from fastbp.sklearn import ModelRegressor
        >>> def build(n_features_in, n_outputs):
        ...     return fastbp.Sequential([fastbp.Dense(8, "tanh"), fastbp.Dense(n_outputs)], input_shape=n_features_in)
        >>> X, y = [[0.0], [0.1], [0.9], [1.0]] * 10, [0, 0, 1, 1] * 10
        >>> model = ModelRegressor(build).partial_fit(X, y).partial_fit(X, y)
        >>> len(model.history_["loss"])
        2
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def _fit(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> Self:
        first = "model_" not in vars(self) or not (self.warm_start or incremental)
        X, y = self._taken(X, y, first)
        weight, y = sample_weights(sample_weight, None, y, X.shape[0]), self._numbers(y, first).astype(X.dtype)
        rng, loss = check_random_state(self.random_state), _loss_of(self.loss)
        if first:
            self._begin(X.shape[1], _outputs_for(loss, y.shape[1]), X.dtype.name, loss, rng)
        elif not incremental:
            self._compile(self.model_, self.model_.dtype, loss)
        return self._train(X, y, weight, rng, incremental)
