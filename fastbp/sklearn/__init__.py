"""Estimators for scikit-learn: its perceptrons, and any model of fastbp's.

>>> from fastbp.sklearn import MLPClassifier
>>> from sklearn.datasets import load_iris
>>> X, y = load_iris(return_X_y=True)
>>> model = MLPClassifier((50,), max_iter=300, random_state=0, learning_rate_init=0.01).fit(X, y)
>>> bool(model.score(X, y) > 0.95)
True
"""

try:
    from sklearn.utils.validation import validate_data as _needed  # noqa: F401
except ImportError as error:
    raise ImportError(f"fastbp.sklearn needs scikit-learn 1.6 or newer ({error}): pip install scikit-learn") from error

from .estimators import MLPClassifier, MLPRegressor, ModelClassifier, ModelRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "ModelClassifier", "ModelRegressor"]
