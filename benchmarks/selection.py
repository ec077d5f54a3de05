"""Which points of the suite are run where: regular expressions for asv's ``--bench``, by name.

All points are some five thousand; a run over history takes what a reader looks at, a gate what a change can slow down.
"""

import re

from .common import SCRIPT

_KERNELS = "bench_kernels.Kernels.time_kernel"
_BACKENDS = ("numpy", "cython", "cython portable")
_HISTORY_KERNELS = (
    "matmul_nn", "matmul_nt", "matmul_tn", "dense", "relu_forward", "tanh_forward", "sigmoid_forward", "gelu_forward",
    "softmax_forward", "layer_norm_forward", "batch_norm_forward", "dropout_forward",
    "sparse_softmax_cross_entropy_forward", "adam_update", "clip_norm_squares",
)  # fmt: skip


def points(name, *values):
    """Return the expression for a benchmark's points.

    Parameters
    ----------
    name : str
        As asv prints it.
    *values
        For each parameter in turn a tuple of its values, or None for all; the parameters after the last are free.

    Examples
    --------
    >>> import re
    >>> expression = points("bench_training.Predict.time_one_row", None, ("numpy", "cython"))
    >>> bool(re.search(expression, "bench_training.Predict.time_one_row('4-16-3 b32', 'cython')"))
    True
    >>> bool(re.search(expression, "bench_training.Predict.time_one_row('4-16-3 b32', 'cython portable')"))
    False
    """
    if not values:
        return f"^{re.escape(name)}(\\(|$)"
    each = ["[^,]+" if v is None else "({})".format("|".join(re.escape(repr(x)) for x in v)) for v in values]
    return f"^{re.escape(name)}\\({', '.join(each)}[,)]"


def exactly(point):
    """Return the expression for one point, ``name(values)`` as asv writes it."""
    return f"^{re.escape(point)}$"


#: Expressions by name. "history": some 130 points, about a minute a commit. "steps": train steps alone, some seconds a
#: commit, for many commits. "gate": float32 kernels at one size and train steps, where a slower kernel shows. "all":
#: everything.
SELECTIONS = {
    "history": (
        points(_KERNELS, _HISTORY_KERNELS, ("numpy", "cython"), ("float32",), ("32x128",)),
        points(_KERNELS, ("matmul_nn", "tanh_forward"), ("cython portable",), ("float32",), ("32x128",)),
        points(_KERNELS, ("matmul_nn", "adam_update"), _BACKENDS, ("float32",), ("256x1024",)),
        points("bench_calls.Calls.track_ratio_to_numpy", None, _BACKENDS[1:]),
        points("bench_training.PlainNumpy.time_train_step"),
        points("bench_training.PlainNumpy.time_predict_one_row"),
        points("bench_training.PlainNumpy.time_predict_batch"),
        points("bench_training.TrainOnBatch.time_train_on_batch", None, _BACKENDS),
        points("bench_training.TrainOnBatch.time_train_on_batch", ("64-128-10 b32",), ("numba", "numba portable")),
        points("bench_training.Fit.track_ratio_to_numpy", ("64-128-10 b32", "784-256-128-10 b64"), _BACKENDS[1:]),
        points("bench_training.Fit.track_step_in_fit", ("64-128-10 b32", "784-256-128-10 b64"), _BACKENDS),
        points("bench_training.WeightedStep.time_weighted_step", ("64-128-10 b32",), _BACKENDS),
        points("bench_training.Predict.time_one_row", ("64-128-10 b32",), _BACKENDS),
        points("bench_training.Predict.time_batch", ("784-256-128-10 b64",), _BACKENDS),
        points("bench_training.Compile.time_compile", ("64-128-10 b32",), ("cython",)),
        points("bench_training.Calls.track_ratio_to_what_is_beside", None, ("cython portable",)),
        points("bench_training.Layers.time_train_on_batch", None, ("numpy", "cython")),
        points("bench_training.Images.time_train_on_batch"),
        points("bench_training.PredictImages.time_predict"),
        points("bench_scaling.Width.time_train_step", (16, 512), (SCRIPT, *_BACKENDS[1:])),
        points("bench_scaling.Batch.time_train_step", (1, 1024), (SCRIPT, *_BACKENDS[1:])),
        points("bench_scaling.Depth.time_train_step", (2, 32), (SCRIPT, *_BACKENDS[1:])),
        points("bench_scaling.Threads.time_train_step", (1, 2), ("784-1024-1024-10 b256",)),
        points("bench_startup.Import.timeraw_import_after_numpy"),
        points("bench_startup.Import.timeraw_import_numpy"),
        points("bench_startup.FirstStep.time_process", ("fastbp", "numpy")),
        points("bench_startup.FirstPrediction.time_process", ("64-128-10 b32",)),
        points("bench_startup.Memory.track_program_bytes"),
        points("bench_startup.Memory.peakmem_fit"),
        points("bench_startup.Memory.peakmem_numpy"),
    ),
    "steps": (
        points("bench_training.PlainNumpy.time_train_step"),
        points("bench_training.TrainOnBatch.time_train_on_batch", None, _BACKENDS[1:]),
    ),
    "gate": (
        points(_KERNELS, None, ("cython",), ("float32",), ("32x128",)),
        points(_KERNELS, ("matmul_nn", "dense"), ("cython portable",), ("float32",), ("32x128",)),
        points("bench_training.TrainOnBatch.time_train_on_batch", None, _BACKENDS[1:]),
        points("bench_training.Predict.time_one_row", ("64-128-10 b32",), _BACKENDS[1:]),
        points("bench_training.Images.time_train_on_batch", ("LeNet-5 b64", "ResNet-20 b32")),
        points("bench_training.PredictImages.time_predict"),
    ),
    "all": (".",),
}  # fmt: skip
