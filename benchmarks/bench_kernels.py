"""Every kernel of the table, by backend and numerics, dtype and size.

The compiled kernels are called at their addresses by ``primitives.call``, which adds about 0.1 us; the numpy
backend's are Python functions that allocate their results. So the small size shows what a call costs, the
large one what an element costs.
"""

import importlib.util
import inspect
import sys
from functools import partial
from pathlib import Path

import numpy as np

from .common import BACKENDS, DTYPES, Benchmark, choice


def _kernels_module(name):
    # the working tree's, whatever commit is installed: asv numbers parameters, and a commit must not renumber them
    path = Path(__file__).resolve().parents[1] / "kernels" / name
    spec = importlib.util.spec_from_file_location(f"_fastbp_working_tree_{path.parent.name}", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


KERNELS = _kernels_module("table/__init__.py").KERNELS
#: What NumPy calls each elementary function that it has too.
UFUNCS = {f.name: f.ufunc for f in _kernels_module("operations.py").ELEMENTARY if f.ufunc and f.operands == 1}

#: Lengths by the table's dimensions, for a layer of the standard nets; a lone ``n`` is all of batch x n. Append only.
SIZES = {
    "32x16": {"batch": 32, "n": 16, "m": 32, "k": 4, "rows": 1024, "width": 16},
    "32x128": {"batch": 32, "n": 128, "m": 32, "k": 64, "rows": 1024, "width": 16},
    "256x1024": {"batch": 256, "n": 1024, "m": 256, "k": 784, "rows": 1024, "width": 16},
}
#: The same of stacks of matrices, and of what lies side by side: a layer's outputs in four parts.
STACKS = {
    "32x16": {"batch": 32, "m": 32, "n": 4, "k": 4, "p": 4, "q": 4, "r": 4, "s": 4},
    "32x128": {"batch": 32, "m": 32, "n": 16, "k": 8, "p": 8, "q": 8, "r": 8, "s": 8},
    "256x1024": {"batch": 256, "m": 256, "n": 64, "k": 16, "p": 16, "q": 16, "r": 16, "s": 16},
}
#: The same of images, which follow from these and from attributes: a layer of 3x3 cells.
IMAGES = {
    name: {"batch": batch, "height": side, "width": side, "kh": 3, "kw": 3, "oh": side - 2, "ow": side - 2,
           "c": c, "n": c, "o": 2 * c, "m": 2}
    for name, batch, side, c in (("32x16", 1, 12, 6), ("32x128", 16, 16, 16), ("256x1024", 16, 32, 32))
}  # fmt: skip
#: Attributes that are dimensions.
OF_DIMENSIONS = {"input_height": "height", "input_width": "width", "kernel_height": "kh", "kernel_width": "kw"}


def attributes_of(kernel, size):
    """Return the kernel's attributes: its own, but for those that are dimensions."""
    return {
        name: float(IMAGES[size][OF_DIMENSIONS[name]]) if name in OF_DIMENSIONS else value
        for name, value in kernel.attributes.items()
    }


def sizes_of(kernel, size):
    """Return the kernel's sizes by dimension."""
    lengths = SIZES[size]
    if kernel.row.family in ("convolution", "pooling"):
        known = {**attributes_of(kernel, size), **IMAGES[size]}
        for dim, rule in kernel.row.lengths.items():
            needs = inspect.signature(rule).parameters
            if dim in kernel.dims and known.keys() >= {*needs}:
                known[dim] = int(rule(**{name: known[name] for name in needs}))
        return {dim: known[dim] for dim in kernel.dims}
    if kernel.dims == ("n",):
        return {"n": lengths["batch"] * lengths["n"]}
    if kernel.row.family not in ("graph", "image"):
        return {dim: lengths[dim] for dim in kernel.dims}
    lengths = {**STACKS[size], **IMAGES[size]}
    shapes = [tuple(lengths.get(dim, dim) for dim in o.dims) for o in kernel.inputs]
    return kernel.sizes([*shapes, *[None] * (len(kernel.operands) - len(shapes))])


def operand(kernel, operand, sizes, dtype, rng):
    """Return an ordinary value of an input: within its domain, and not close to an edge of it."""
    shape = tuple(sizes[d] if isinstance(d, str) else d for d in operand.dims)
    domain = kernel.row.domain.get(operand.name)
    if operand.dtype == "u1":
        return rng.integers(0, 4 if domain == "cell" else 256, shape, np.uint8)
    if operand.dtype == "i8":
        stop = {"label": sizes.get("n"), "compared": sizes.get("n"), "index": sizes.get("rows")}.get(domain, 10)
        return rng.integers(0, stop, shape)
    make = {
        None: lambda: rng.standard_normal(shape),
        "finite": lambda: rng.standard_normal(shape),
        "probability": lambda: rng.uniform(0.01, 0.99, shape),
        "binary": lambda: rng.integers(0, 2, shape),
        "sign": lambda: 2 * rng.integers(0, 2, shape) - 1,
        "one_hot": lambda: np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])],
        "nonnegative": lambda: rng.random(shape),
        "uniform": lambda: rng.random(shape),
        "index": lambda: rng.integers(0, sizes["rows"], shape),
        "power": lambda: rng.uniform(0.1, 0.9, shape),
        "sorted": lambda: np.sort(rng.standard_normal(shape)),
    }[domain]
    # learning rates are the float64 operands without a domain: small, so that updates in place stay finite
    scale = 1e-6 if domain is None and operand.dtype == "f8" else 1
    return np.array(make() * scale, dtype if operand.dtype == "real" else np.float64).reshape(shape)


def signature_of(kernel):
    """Return all that a caller must know of a kernel."""
    return kernel.signature, tuple(kernel.attributes)


def prepare(kernel, backend, dtype, size):
    """Return a function without arguments that calls the kernel once.

    Raises
    ------
    NotImplementedError
        If the installed fastbp lacks the kernel, the backend or the numerics, or its kernel of that name takes other
        operands: asv then skips the benchmark.
    """
    from fastbp import kernels

    name, options = choice(backend)
    installed = kernels.KERNELS.get(kernel.name)
    if installed is None or signature_of(installed) != signature_of(kernel):
        raise NotImplementedError(f"{'no' if installed is None else 'another'} kernel {kernel.name} is installed")
    try:
        function = kernels.load(name, dtype, [kernel.name], **options)[kernel.name]
    except (ImportError, TypeError, ValueError, NotImplementedError) as error:
        raise NotImplementedError(str(error)) from error
    rng, sizes = np.random.default_rng(0), sizes_of(kernel, size)
    arrays = {o.name: operand(kernel, o, sizes, dtype, rng) for o in kernel.inputs}
    attributes = attributes_of(kernel, size)
    if name == "numpy":
        return partial(function, *arrays.values(), **attributes)
    from fastbp.kernels.primitives import call

    for o in kernel.outputs:
        if o.name not in arrays:
            shape = tuple(sizes[d] if isinstance(d, str) else d for d in o.dims)
            arrays[o.name] = np.empty(shape, {"real": dtype}.get(o.dtype, o.dtype))
    addresses = [arrays[o.name].ctypes.data for o in kernel.operands]
    if options:
        options["backend"] = name  # each compiles portable primitives of its own
    primitives = kernels.primitives_address(dtype, **options)
    run = partial(call, function, primitives, addresses, list(sizes.values()), list(attributes.values()))
    if run() != 0:
        raise RuntimeError(f"{kernel.name} returned a status on ordinary operands")
    run.arrays = arrays  # they must outlive their addresses
    return run


class Kernels(Benchmark):
    """One call of one kernel."""

    params = [list(KERNELS), list(BACKENDS), list(DTYPES), list(SIZES)]
    param_names = ["kernel", "backend", "dtype", "size"]
    # thousands of points: each is short, and its spread small
    repeat, warmup_time, sample_time = (5, 15, 0.1), 0.01, 0.005

    def prepare(self, kernel, backend, dtype, size):
        self.run = prepare(KERNELS[kernel], backend, dtype, size)

    def time_kernel(self, kernel, backend, dtype, size):
        self.timer.run(self.run)

    # the column whose times the dashboard's ratios are to
    time_kernel.beside = "numpy"


class Elementary(Benchmark):
    """An elementary function of 2**16 numbers from 0.1 on, most of them below 10."""

    params = [list(UFUNCS), ["numpy", "cython portable", "numba portable"], list(DTYPES)]
    param_names = ["function", "backend", "dtype"]
    repeat, warmup_time = (5, 15, 0.1), 0.01

    def prepare(self, function, backend, dtype):
        x = 0.1 + 3 * np.abs(np.random.default_rng(0).standard_normal(2**16)).astype(dtype)
        y = np.empty_like(x)
        name, options = choice(backend)
        self.run = partial(getattr(np, UFUNCS[function]), x, out=y)
        if name == "numpy":
            return
        try:
            from fastbp import kernels
            from fastbp.kernels.primitives import evaluate

            self.run = partial(evaluate, kernels.primitives_address(dtype, backend=name, **options), function, x, out=y)
            self.run()
        except (ImportError, KeyError, TypeError, ValueError) as error:
            raise NotImplementedError(str(error)) from error

    def time_function(self, function, backend, dtype):
        self.timer.run(self.run)

    time_function.beside = "numpy"
