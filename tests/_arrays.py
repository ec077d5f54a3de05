"""What the kernel tests share: operands that are hard on a kernel, guarded buffers, comparison of bits.

All of it follows from the table: a new row is tested without a line here.
"""

import ctypes
import functools
import importlib.util
import inspect
import itertools
import math
import os
import warnings
import zlib

import numpy as np
import pytest

from fastbp.kernels import load, primitives_address
from fastbp.kernels.arrays import dtype_of
from fastbp.kernels.table import KERNELS
from fastbp.kernels.threads import MISSING

if MISSING is None:
    from fastbp.kernels import cython_ext
    from fastbp.kernels.primitives import call, capsule_address

DTYPES = ("float32", "float64")

#: The compiled backends under test: those that are here, or that FASTBP_TEST_BACKENDS names.
HERE = () if MISSING is not None else ("numba", "cython") if importlib.util.find_spec("numba") else ("cython",)
BACKENDS = tuple(filter(None, os.environ.get("FASTBP_TEST_BACKENDS", ",".join(HERE)).split(",")))
if unknown := set(BACKENDS) - {"numba", "cython"}:
    raise ValueError(f"FASTBP_TEST_BACKENDS names {', '.join(unknown)}; it may name numba and cython")

#: The same with every CPU level that runs here, or those that FASTBP_TEST_LEVELS names: "cython-v2", "cython-v3" ...
LEVELS = tuple(filter(None, os.environ.get("FASTBP_TEST_LEVELS", "").split(",")))
LEVELS = LEVELS or (cython_ext.levels() if MISSING is None else ())
BUILDS = tuple(
    build for name in BACKENDS
    for build in ([f"cython-{level}" for level in LEVELS] if name == "cython" else [name])
)


def told(call):
    """Return what a call warns of."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        call()
    assert all(warning.category is UserWarning for warning in said)
    return [str(warning.message) for warning in said]


#: What random operands, moments and damages follow from; .ci/run takes a new one, and pytest's header says which.
SEED = int(os.environ.get("FASTBP_TEST_SEED", "0"))

#: For tests of what the extension modules do.
needs_modules = pytest.mark.skipif(MISSING is not None, reason=f"the extension modules are missing: {MISSING}")

#: Around the widths of SIMD registers and their unrollings, a kernel's block and a buffer of NumPy.
LENGTHS = (
    0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129,
    1000, 1023, 1024, 1025, 2049, 8192, 8193, 20000,
)  # fmt: skip
PAIRS = (
    (0, 0), (0, 3), (3, 0), (1, 1), (1, 2), (2, 1), (1, 7), (5, 1), (3, 8), (4, 9), (7, 3), (8, 2), (2, 16), (3, 17),
    (16, 10), (33, 10), (103, 10), (9, 33), (3, 64), (2, 65), (2, 127), (3, 129), (33, 100), (1, 1023), (1, 1024),
    (2, 1025), (1, 2049), (129, 1), (1500, 1), (1025, 2), (700, 3), (1, 8193), (8193, 1), (20000, 1), (9000, 2),
    (2, 9000),
)  # fmt: skip
TRIPLES = (
    *itertools.product((0, 1, 2, 5, 17), repeat=3),
    (1, 64, 64), (64, 1, 64), (64, 64, 1), (33, 65, 127), (8, 784, 10), (64, 128, 10), (3, 1025, 2), (129, 130, 131),
)  # fmt: skip
QUADRUPLES = (
    *itertools.product((0, 1, 3), repeat=4),
    (1, 1, 129, 129), (9, 4, 33, 17), (64, 3, 20, 65), (5, 100, 1, 8), (5, 100, 8, 1), (700, 2, 9, 4),
)  # fmt: skip
QUINTUPLES = (
    *itertools.product((0, 1, 3), repeat=5),
    (3, 1, 129, 129, 2), (64, 3, 20, 65, 1), (700, 2, 9, 4, 3),
)  # fmt: skip
#: By the number of a kernel's dimensions, but for those that follow from others. Operands of fixed size meet more
#: values by being drawn more often.
SIZES = ([()] * 100, [(n,) for n in LENGTHS], PAIRS, TRIPLES, QUADRUPLES, QUINTUPLES)

#: "edges" stay in an operand's domain, "hostile" values need not, and may be infinite or NaN; "mixed" has edges
#: in some operands only.
KINDS = ("ordinary", "zeros", "edges", "mixed", "hostile")


def bits(array):
    """Return the array's bits as integers; NaN is one value whatever its sign and payload."""
    array = np.asarray(array)
    if array.dtype.kind != "f":
        return array
    return np.where(np.isnan(array), array.dtype.type(np.nan), array).view(f"i{array.itemsize}")


def assert_same_bits(got, want, what=""):
    """Assert that two arrays have one dtype, one shape and the same bits."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.dtype == want.dtype, f"{what}: dtype {got.dtype}, expected {want.dtype}"
    assert got.shape == want.shape, f"{what}: shape {got.shape}, expected {want.shape}"
    if got.tobytes() == want.tobytes():  # quicker
        return
    differ = np.asarray(bits(got) != bits(want))
    if differ.any():
        at = tuple(np.argwhere(differ)[0])
        raise AssertionError(
            f"{what}: {np.count_nonzero(differ)} of {differ.size} differ, the first at {tuple(map(int, at))}: "
            f"{got[at]!r}, expected {want[at]!r}"
        )


class Primitive(ctypes.Structure):
    """One entry of the primitives, as abi.h has it."""

    _fields_ = (("loop", ctypes.c_void_p), ("data", ctypes.c_void_p))


class Guarded:
    """A copy of an array, or an unwritten array, between canary words.

    Parameters
    ----------
    array : ndarray
        What to hold; None for an output, which then starts as canary words.
    shape, dtype
        Of the output.
    offset : int
        Items by which the array is moved away from a round address.
    """

    CANARY, BYTES = 0xA5, 256

    def __init__(self, array=None, shape=None, dtype=None, offset=0):
        if array is not None:
            shape, dtype = array.shape, array.dtype
        dtype = np.dtype(dtype)
        nbytes = math.prod(shape) * dtype.itemsize
        start = self.BYTES + offset * dtype.itemsize
        self._block = np.full(start + nbytes + self.BYTES, self.CANARY, np.uint8)
        self._around = (self._block[:start], self._block[start + nbytes :])
        self.array = self._block[start : start + nbytes].view(dtype).reshape(shape)
        if array is not None:
            self.fill(array)

    def fill(self, array=None):
        """Write an array, or the canary words of an output that is unwritten."""
        if array is None:
            self.array.reshape(-1).view(np.uint8)[...] = self.CANARY
        else:
            self.array[...] = array

    @property
    def intact(self):
        """Whether nothing was written before or behind the array."""
        return all(not part.tobytes().strip(bytes([self.CANARY])) for part in self._around)


@functools.cache
def edge_values(dtype):
    """Return finite values at which some function or format changes its mind, of both signs."""
    info, real = np.finfo(dtype), np.dtype(dtype).type
    # exp: the last finite, the first subnormal and the first zero result
    turning = np.array([np.log(info.max), -np.log(info.tiny), -np.log(info.smallest_subnormal)], dtype)
    positive = [
        0, info.smallest_subnormal, 3 * info.smallest_subnormal, np.nextafter(info.tiny, real(0)), info.tiny,
        1e-15, 1e-7, info.eps / 2, info.eps, 1 / 3, 0.5, np.nextafter(real(1), real(0)), 1,
        np.nextafter(real(1), real(2)), 2, 9, 17.5, 19.0625, np.sqrt(info.max),
        np.nextafter(info.max, real(0)), info.max,
        *turning, *np.nextafter(turning, real(0)), *np.nextafter(turning, real(np.inf)),
    ]  # fmt: skip
    return frozen(np.concatenate([np.array(positive, dtype), -np.array(positive, dtype)]))


@functools.cache
def probability_values(dtype):
    """Return probabilities at the ends and around the bounds to which losses clip them."""
    info, one = np.finfo(dtype), np.dtype(dtype).type(1)
    bounds = np.array([1e-15, 1e-7, 1 - 1e-7, 1 - 1e-15], dtype)
    values = [
        0, info.smallest_subnormal, info.tiny, info.eps, 0.5, np.nextafter(one, 0 * one), one,
        *bounds, *np.nextafter(bounds, 0 * one), *np.minimum(np.nextafter(bounds, 2 * one), one),
    ]  # fmt: skip
    return frozen(np.array(values, dtype))


def frozen(array):
    """Return an array, from now on read-only."""
    array.flags.writeable = False
    return array


def _pick(rng, values, shape):
    return np.asarray(values)[rng.integers(len(values), size=shape)]


def _stray(values):
    return np.concatenate([values, np.array([np.inf, -np.inf, np.nan, -np.nan, -0.0, -0.5, 0.5, 1.5], values.dtype)])


def _zeros(rng, shape, dtype):
    # some rows of one sign: a sum of -0 alone, or a maximum among both
    return np.where(rng.random(shape) < _pick(rng, (0.0, 0.5, 1.0), (*shape[:1], *(1,) * (len(shape) - 1))), -0.0, 0.0)


def _real(rng, shape, dtype, kind):
    if kind == "ordinary":
        return 3 * rng.standard_normal(shape)
    if kind == "zeros":
        return _zeros(rng, shape, dtype)
    return _pick(rng, edge_values(dtype) if kind == "edges" else _stray(edge_values(dtype)), shape)


def _probability(rng, shape, dtype, kind):
    if kind == "ordinary":
        return rng.random(shape)
    values = probability_values(dtype)
    return _pick(rng, _stray(values) if kind == "hostile" else values, shape)


def _binary(rng, shape, dtype, kind):
    values = np.array([0, 1], dtype)
    return _pick(rng, _stray(values) if kind == "hostile" else values, shape)


def _sign(rng, shape, dtype, kind):
    values = np.array([-1, 1], dtype)
    return _pick(rng, _stray(values) if kind == "hostile" else values, shape)


def _one_hot(rng, shape, dtype, kind):
    if kind == "hostile":
        return _real(rng, shape, dtype, kind)
    rows = np.zeros(shape)
    if shape[1]:
        rows[np.arange(shape[0]), _integers(rng, shape[:1], shape[1], kind)] = 1
    if kind == "ordinary":
        # targets may be soft, and need not sum to one
        return np.where(rng.random((shape[0], 1)) < 0.5, rng.random(shape), rows)
    if kind == "edges":
        # nothing at all, half, smoothed
        rows = rows * _pick(rng, (0.0, 0.5, 1.0), (shape[0], 1)) + _pick(rng, (0.0, 0.125), (shape[0], 1))
    return rows


def _integers(rng, shape, stop, kind):
    if stop == 0:
        return np.zeros(shape, np.int64)
    return _pick(rng, (0, stop - 1), shape) if kind in ("edges", "hostile") else rng.integers(stop, size=shape)


def _row_numbers(rng, shape, stop, dtype, kind):
    values = _integers(rng, shape, stop, kind).astype(dtype)
    if kind == "hostile" and values.size and rng.integers(2):
        # one that is none, somewhere
        stray = np.array([-1, stop, 0.5, -0.5, stop - 0.5, 1e30, np.inf, -np.inf, np.nan], dtype)
        values[tuple(map(rng.integers, shape))] = _pick(rng, stray, ())
    return values


def _groups(rng, shape, kind):
    # at least two groups and a pair where there are three rows; or one group, or many; of any numbers
    (rows,) = shape
    count = {"ordinary": 2 + rng.integers(1 + rows // 4), "zeros": 1}.get(kind, _pick(rng, (1, 2, max(rows, 1)), ()))
    names = _pick(rng, (-(2**63), -7, 0), ()) + np.arange(count) * _pick(rng, (1, 2**40), ())
    return names[rng.permutation(np.arange(rows) % count)]


def _nonnegative(rng, shape, dtype, kind):
    values = _real(rng, shape, dtype, kind)
    return values if kind == "hostile" else np.abs(values)


def _power(rng, shape, dtype, kind):
    if kind == "ordinary":
        return rng.random(shape)
    return _pick(rng, [5e-324, 1e-300, 0.9, 0.999, np.nextafter(1, 0)] + [0.0, 1.0] * (kind == "hostile"), shape)


def _rate(rng, shape, dtype, kind):
    if kind == "ordinary":
        return 10 ** rng.uniform(-4, 0, shape)
    return _pick(rng, [0.0, 1e-320, 1e-42, 1e-8, 1.0, 1e30] + [1e39, np.inf, np.nan] * (kind == "hostile"), shape)


def _uniform(rng, shape, dtype, kind):
    # multiples of the spacing, beside the bounds of rates and branches
    if kind == "ordinary":
        return rng.random(shape, dtype)
    spacing = np.finfo(dtype).eps / 2
    at = np.array([0, np.exp(-25), 2.0**-37, 0.075, 0.25, 0.5, 0.5**0.5, 0.925, 1])
    steps = np.floor(at[:, None] / spacing) + np.arange(-1, 2)
    values = (np.clip(steps, 0, 1 / spacing - 1).ravel() * spacing).astype(dtype)
    return _pick(rng, _stray(values) if kind == "hostile" else values, shape)


def _generator(rng, shape, kind):
    # the words of a state of PCG64; of its last two the first is 0 or 1, the second has 32 bits
    words = rng.integers(1 << 64, size=shape, dtype=np.uint64)
    if kind != "ordinary":
        words = _pick(rng, np.array([0, 1, 1 << 63, (1 << 64) - 1], np.uint64), shape)
    words[4:] = rng.integers(2), _pick(rng, (0, 1, (1 << 32) - 1, rng.integers(1 << 32)), ())
    return words.view(np.int64)


def _sorted(rng, shape, dtype, kind):
    values = _real(rng, shape, dtype, kind).astype(dtype)
    # equal ones in both arrays, now and then
    values = np.where(rng.random(shape) < 0.3, np.rint(values), values)
    return np.sort(np.where(np.isnan(values), 0, values))


_DOMAINS = {
    "sorted": _sorted,
    "probability": _probability,
    "binary": _binary,
    "sign": _sign,
    "one_hot": _one_hot,
    "nonnegative": _nonnegative,
    "power": _power,
    "uniform": _uniform,
    "finite": _real,
}


def operands(kernel, sizes, dtype, kind, rng):
    """Return a kernel's inputs by name, each of the given kind within its domain, as read-only arrays."""
    found, whole = {}, kind
    for operand in kernel.inputs:
        kind = _pick(rng, ("ordinary", "edges"), ()).item() if whole == "mixed" else whole
        shape = tuple(sizes[d] if isinstance(d, str) else d for d in operand.dims)
        domain = kernel.row.domain.get(operand.name)
        if domain == "generator":
            array = _generator(rng, shape, kind)
        elif operand.dtype == "u1":
            # a cell of a small window, or of none
            stop = 256 if domain != "cell" or kind == "hostile" else 10
            array = np.array(_integers(rng, shape, stop, kind), np.uint8)
        elif operand.dtype == "i8":
            # labels count the columns, indexes the rows; labels that are only moved are any numbers
            stop = {"label": "n", "compared": "n", "index": "rows"}.get(domain)
            array = np.array(_integers(rng, shape, sizes[stop] if stop else 1 << 40, kind), np.int64)
            if domain == "group":
                array = np.array(_groups(rng, shape, kind), np.int64)
        elif domain == "index":
            array = _row_numbers(rng, shape, sizes["rows"], dtype, kind)
        else:
            real = np.dtype(dtype if operand.dtype == "real" else np.float64)
            make = _DOMAINS[domain] if domain else _real if operand.dtype == "real" else _rate
            array = np.ascontiguousarray(make(rng, shape, real, kind), real).reshape(shape)
        found[operand.name] = frozen(array)
    return found


def attribute_variants(kernel):
    """Return the default attributes and, one at a time, a flag turned over or a number changed and zeroed."""
    variants = [dict(kernel.attributes)]
    for name, default in kernel.attributes.items():
        others = (1 - default,) if default in (0, 1) else (default**0.5, 0.0)
        variants += [{**kernel.attributes, name: other} for other in others]
    return variants


@functools.cache
def free_dims(kernel):
    """Return the dimensions of a kernel that do not follow from others and from attributes.

    Of those that follow from one another the one with the first rule does not.
    """
    rules = {dim: _arguments(rule) for dim, rule in kernel.row.lengths.items() if dim in kernel.dims}
    free = [dim for dim in kernel.dims if dim not in rules]
    while rules:
        known = {*kernel.attributes, *(dim for dim in kernel.dims if dim not in rules)}
        follow = [dim for dim, needs in rules.items() if needs <= known]
        if not follow:
            free.append(next(iter(rules)))
        for dim in follow or free[-1:]:
            del rules[dim]
    return sorted(free, key=kernel.dims.index)


@functools.cache
def _arguments(rule):
    return {*inspect.signature(rule).parameters}


def sizes_of(kernel, lengths, attributes=None):
    """Return a kernel's sizes in their order, or None where there are none.

    `lengths` are those of `free_dims`, by name or in their order: as many as there are.
    """
    free = free_dims(kernel)
    chosen = lengths if isinstance(lengths, dict) else dict(zip(free, lengths, strict=False))
    attributes = {**kernel.attributes, **(attributes or {})}
    known = {dim: chosen[dim] for dim in free}
    rules = {dim: rule for dim, rule in kernel.row.lengths.items() if dim in kernel.dims}
    for _ in rules:  # some must wait for others
        for dim, rule in rules.items():
            given = {**attributes, **known}
            if _arguments(rule) <= given.keys():
                length = int(rule(**{name: given[name] for name in _arguments(rule)}))
                if length < 0 or known.setdefault(dim, length) != length:
                    return None
    return {dim: known[dim] for dim in kernel.dims}


def filled_sizes(kernel, lengths):
    """Return sizes with which no operand is empty: of these free lengths in their order, or of some that are drawn."""
    rng, free = np.random.default_rng(0), free_dims(kernel)
    lengths = (*lengths, *lengths)[: len(free)]
    while True:
        sizes = sizes_of(kernel, lengths)
        shapes = () if sizes is None else [kernel.shape(o, sizes) for o in kernel.operands if o.name not in kernel.work]
        if shapes and all(map(math.prod, shapes)) and kernel.cost(sizes) <= 1 << 22:
            return sizes
        lengths = rng.integers(1, 9, len(free), endpoint=True).tolist()


#: Of rows whose lengths follow from many attributes: how many shapes are drawn, and of which lengths.
DRAWN, SHORT = 40, (0, *(1, 2, 3) * 4, *(4, 5, 6, 7, 9, 17) * 2)


def _drawn(kernel, rng):
    """Yield free lengths and attributes within their bounds; of most of them no operand is empty."""
    found = 0
    while found < DRAWN:
        chosen = {dim: int(_pick(rng, SHORT, ())) for dim in free_dims(kernel)}
        attributes = dict(kernel.attributes)
        for name, default in attributes.items():
            bound = kernel.row.bounds.get(name)
            values = (0.0, 1.0) if bound is None else filter(bound.holds, (0.0, 1.0, 2.0, 3.0, 2 * default + 3))
            if rng.integers(2):
                attributes[name] = float(_pick(rng, list(values), ()))
        sizes = sizes_of(kernel, chosen, attributes)
        if sizes is not None:
            counts = [math.prod(kernel.shape(o, sizes)) for o in kernel.operands if o.name not in kernel.work]
            if max(counts) <= 1 << 12 and (min(counts) > 0 or found % 5 == 0):
                found += 1
                yield chosen, attributes


def _shapes(kernel, rng):
    """Yield free lengths, attributes and kinds of values, all that are tried."""
    free = free_dims(kernel)
    if len({*kernel.attributes} & {*itertools.chain(*map(_arguments, kernel.row.lengths.values()))}) > 3:
        for k, drawn in enumerate(_drawn(kernel, rng)):
            yield *drawn, KINDS[k % len(KINDS)]
        return
    for lengths in SIZES[len(free)]:
        small = all(length <= 40 for length in lengths)
        for kind, attributes in itertools.product(KINDS, attribute_variants(kernel)[: None if small else 1]):
            yield dict(zip(free, lengths, strict=True)), attributes, kind


def cases(kernel, dtype):
    """Yield what to call a kernel with: (label, sizes, inputs, attributes)."""
    rng = np.random.default_rng([SEED, zlib.crc32(kernel.name.encode())])
    domains = kernel.row.domain.values()
    for chosen, attributes, kind in _shapes(kernel, rng):
        if ({"label", "compared"} & {*domains} and chosen["batch"] and not chosen["n"]) or (
            "index" in domains and chosen["batch"] and not chosen["rows"]
        ):
            continue  # no label and no index would be valid
        sizes = sizes_of(kernel, chosen, attributes)
        most = 0 if sizes is None else max((math.prod(kernel.shape(o, sizes)) for o in kernel.operands), default=0)
        # of pairs of rows there are too many
        if sizes is not None and most <= 1 << 17:
            label = f"{kernel.name} {sizes} {kind} {attributes}"
            yield label, sizes, operands(kernel, sizes, dtype, kind, rng), attributes


def output_dtype(operand, dtype):
    return dtype_of(operand.dtype, np.dtype(dtype))


def reference(kernel, inputs, attributes, numerics="numpy"):
    """Return the status and the results by name that the NumPy definition gives.

    The results are None where the definition itself cannot be evaluated: a mean or a maximum over nothing.
    """
    function = load("numpy", names=[kernel.name], numerics=numerics)[kernel.name]
    with np.errstate(all="ignore"):
        try:
            returned = function(*inputs.values(), **attributes)
        except IndexError:
            return 1, {}
        except FloatingPointError:
            return 2, {}
        except (ValueError, ZeroDivisionError):
            assert any(array.size == 0 for array in inputs.values())
            return 0, None
    returned = returned if isinstance(returned, tuple) else (returned,)
    return 0, {o.name: value for o, value in zip(kernel.results, returned, strict=True)}


def address(build, dtype, name):
    """Return the address of a kernel in one build."""
    backend, _, level = build.partition("-")
    if level:
        return capsule_address(cython_ext.capsules(dtype, at=level)[name])
    return load(backend, dtype, [name])[name]


def primitives(build, dtype, numerics):
    """Return the address of the primitives that the kernels of one build are given."""
    backend, _, level = build.partition("-")
    if level and numerics == "portable":
        return cython_ext.portable_address(dtype, at=level)
    return primitives_address(dtype, numerics, backend)


def run_builds(functions, kernel, dtype, sizes, inputs, attributes, shared=None, offset=0):
    """Run the definition and a kernel of several builds, in numerics "numpy", on the same guarded buffers.

    They must be the same: a BLAS may sum in another order where its operands are aligned otherwise.

    Parameters
    ----------
    functions : dict of str and int
        The kernel's address by build.
    shared : tuple of str, optional
        An output and the input whose buffer it uses.
    offset : int
        Items between the buffers and a round address; a different one for each buffer.

    Yields
    ------
    build : str
    want, got : tuple of int and dict
        The status and the results by name; see `reference`. The next build writes over those that were got.

    Raises
    ------
    AssertionError
        If the kernel writes beside a buffer or into an input.
    """
    buffers = guarded(kernel, dtype, sizes, inputs, shared, offset)
    views = {name: buffers[name].array.view() for name in inputs}
    for view in views.values():
        view.flags.writeable = False
    status, results = reference(kernel, views, attributes)
    # of its own: the definition may return an operand, whose buffer a kernel then writes
    want = status, results and {name: np.array(value) for name, value in results.items()}
    table = primitives_address(dtype)
    for build, function in functions.items():
        for name, buffer in buffers.items():
            buffer.fill(inputs.get(name))
        if shared:
            buffers[shared[1]].fill(inputs[shared[1]])
        try:
            got = run_guarded(function, table, kernel, sizes, inputs, attributes, buffers, shared)
        except AssertionError as error:
            raise AssertionError(f"{build}: {error}") from None
        yield build, want, got


def run_both(function, *arguments):
    """Run the definition and one kernel; see `run_builds`. Return what both gave."""
    ((_, want, got),) = run_builds({"": function}, *arguments)
    return want, got


def guarded(kernel, dtype, sizes, inputs, shared=None, offset=0):
    """Return guarded buffers for a kernel's operands by name, the inputs filled; see `run_builds`."""
    buffers = {}
    for k, operand in enumerate(kernel.operands):
        place = (offset + 3 * k) % 16
        if operand.name in inputs:
            buffers[operand.name] = Guarded(inputs[operand.name], offset=place)
        elif shared and operand.name == shared[0]:
            buffers[operand.name] = buffers[shared[1]]
        else:
            shape = kernel.shape(operand, sizes)
            buffers[operand.name] = Guarded(shape=shape, dtype=output_dtype(operand, dtype), offset=place)
    return buffers


def run_guarded(function, table, kernel, sizes, inputs, attributes, buffers, shared=None):
    """Run a compiled kernel on guarded buffers; return its status and the results by name."""
    status = call(
        function,
        table,
        [buffers[o.name].array.ctypes.data for o in kernel.operands],
        list(sizes.values()),
        list(attributes.values()),
    )
    for name, buffer in buffers.items():
        assert buffer.intact, f"the canary words around {name} were overwritten"
    written = {o.name for o in kernel.outputs} | ({shared[1]} if shared else set())
    for name, array in inputs.items():
        if name not in written:
            assert buffers[name].array.tobytes() == array.tobytes(), f"the input {name} was changed"
    return status, {o.name: buffers[o.name].array for o in kernel.results}


def kernels_with(*domains):
    """Return the kernels one of whose inputs has one of these domains, with that input."""
    return [
        (kernel, o) for kernel in KERNELS.values() for o in kernel.inputs if kernel.row.domain.get(o.name) in domains
    ]
