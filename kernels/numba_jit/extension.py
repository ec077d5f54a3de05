"""The functions of `fastbp.kernels` inside a user's own ``@njit`` functions.

>>> import numpy as np
>>> from numba import njit
>>> from fastbp import kernels
>>> import fastbp.kernels.numba_jit
>>> @njit
... def layer(x, w, b):
...     return kernels.relu_forward(kernels.bias_forward(kernels.matmul_nn(x, w), b))
>>> layer(np.ones((1, 2)), np.ones((2, 3)), np.array([0.0, -1.0, -3.0]))
array([[2., 1., 0.]])

They take arrays of float32 or float64 and return new ones, with the bits of the ordinary functions.
Their implementations are written from the rows of the table. A user's function may be cached on disk: it
refers to the primitives by a symbol, which every process links anew.
"""

import functools
import importlib
from inspect import Parameter, Signature
from inspect import signature as signature_of

import numpy as np
from llvmlite import binding, ir
from numba import from_dtype, njit, types
from numba.core import errors
from numba.extending import intrinsic, overload

from ..cython_ext import numpy_address
from ..dtypes import REALS
from ..operations import Status
from ..table import KERNELS
from .common import DIGEST, OPTIONS, PRIMITIVES, cached, helper, on_stack
from .functions import kernel_function

__all__ = ["register"]

_SYMBOL = "fastbp_primitives_{}"


class _Link:
    """Called to give the primitives their symbols; Numba keeps it with a cached function that refers to them."""

    def __call__(self):
        for dtype in REALS:
            binding.add_symbol(_SYMBOL.format(dtype), numpy_address(dtype))

    def __reduce__(self):
        return _load_link, (DIGEST,)


_link = _Link()


def _load_link(digest):
    if digest != DIGEST:
        # to Numba's cache a missing file: it compiles the function anew
        raise FileNotFoundError("the cached function was compiled with another version of fastbp")
    return _link


@intrinsic
def primitives(typingctx, pointer):
    """Return the primitives for the elements of a type of pointers."""
    dtype = str(pointer.instance_type.dtype)

    def codegen(context, builder, signature, values):
        llvm_type = context.get_value_type(PRIMITIVES)
        library = context.active_code_library
        if hasattr(library, "_reload_init"):
            library._reload_init.add(_link)
            name = _SYMBOL.format(dtype)
            variable = builder.module.globals.get(name) or ir.GlobalVariable(builder.module, llvm_type.pointee, name)
        else:
            # before Numba 0.63 nothing could be called on loading: Numba says that it does not cache the function
            variable = context.add_dynamic_addr(builder, numpy_address(dtype), info="fastbp's primitives")
        return builder.bitcast(variable, llvm_type)

    return PRIMITIVES(pointer), codegen


@intrinsic
def c_array(typingctx, items, element):
    """Return a pointer to the items of a tuple on the stack; of an array its address is stored."""

    def codegen(context, builder, signature, values):
        return on_stack(context, builder, items, values[0], element.instance_type)

    return types.CPointer(element.instance_type)(items, element), codegen


@helper
def run(kernel, arrays, sizes, attributes, pointer):
    # a function of its own: the caller's references keep the arrays alive until it returns
    return kernel(
        c_array(arrays, pointer), c_array(sizes, types.intp), c_array(attributes, types.float64), primitives(pointer)
    )


@functools.cache
def _dispatcher(kernel):
    return cached(njit, kernel_function(kernel.name))


def _any_shape(kernel, operand):
    """Whether a lone ``[n]`` stands for all elements of an array of any shape."""
    return operand.dims == kernel.dims == ("n",)


def _type_of(operand, real):
    return real if operand.dtype == "real" else from_dtype(np.dtype(operand.dtype))


def _real_type(kernel, given):
    """Return the real type of a call: that of its first real argument; raise where an argument does not fit."""
    reals = [getattr(given[o.name], "dtype", None) or given[o.name] for o in kernel.inputs if o.dtype == "real"]
    real = reals[0] if reals and str(reals[0]) in REALS else types.float64
    for operand in kernel.inputs:
        dtype, argument = _type_of(operand, real), given[operand.name]
        if isinstance(argument, types.Array):
            fits = _any_shape(kernel, operand) or argument.ndim == len(operand.dims)
            fits = fits and argument.dtype == dtype
        else:
            fits = not operand.dims and argument == dtype
        if not fits:
            raise errors.TypingError(f"{kernel.name}: {operand.name} is {argument}; it must be {operand!r} of {dtype}")
    return real


def _source(kernel, real, given):
    """Return the source of one kernel on arrays of given types."""
    parameters = [o.name for o in kernel.inputs] + [f"{name}={value!r}" for name, value in kernel.attributes.items()]
    like = next((o.name for o in kernel.inputs if _any_shape(kernel, o)), None)
    updates, lines = kernel.updates, []
    # fixed ones are known before any operand is seen
    lengths = {dim: str(dim) for o in kernel.operands for dim in o.dims if isinstance(dim, int)}
    for o in kernel.inputs:
        argument = given[o.name]
        if not isinstance(argument, types.Array):
            lines.append(f"{o.name} = np.full((), {o.name})")
        elif o.name in updates:
            lines.append(f"{o.name} = {o.name}.copy()")
        elif argument.layout != "C":
            lines.append(f"{o.name} = np.ascontiguousarray({o.name})")
        if _any_shape(kernel, o):
            lengths["n"] = f"{like}.size"
            unequal = [f"{o.name}.shape != {like}.shape"] if o.name != like else []
        else:
            found = [(d, f"{o.name}.shape[{k}]") for k, d in enumerate(o.dims)]
            for dim, length in found:
                lengths.setdefault(dim, length)
            unequal = [f"{length} != {lengths[dim]}" for dim, length in found if length != lengths[dim]]
        if unequal:
            message = f"{kernel.name}: the shape of {o.name} does not fit {kernel.signature}"
            lines += [f"if {' or '.join(unequal)}:", f"    raise ValueError({message!r})"]
    lines += _bounds(kernel)
    for dim, rule in kernel.row.lengths.items():
        needs = signature_of(rule).parameters
        if dim not in kernel.dims or not lengths.keys() | kernel.attributes.keys() >= {*needs}:
            continue
        length = f"length_{dim}({', '.join(lengths.get(name, name) for name in needs)})"
        if dim in lengths:
            message = f"{kernel.name}: {dim} does not follow from other lengths and attributes"
            lines += [f"if {lengths[dim]} != {length}:", f"    raise ValueError({message!r})"]
        lengths.setdefault(dim, length)
    for o in kernel.outputs:
        if o.name not in updates:
            shape = f"{like}.shape" if _any_shape(kernel, o) else f"({''.join(lengths[d] + ', ' for d in o.dims)})"
            lines.append(f"{o.name} = np.empty({shape}, np.{_type_of(o, real)})")
    packed = (
        [o.name for o in kernel.operands], [lengths[d] for d in kernel.dims], [f"1.0 * {n}" for n in kernel.attributes]
    )
    packed = ["(" + "".join(f"{item}, " for item in items) + ")" for items in packed]
    lines.append(f"status = run(kernel, {', '.join(packed)}, pointer)")
    for status in Status:
        if status:
            # Numba knows Python's own exceptions
            error, message = status.exception.__base__.__name__, f"{kernel.name}: {status.message}"
            lines += [f"if status == {int(status)}:", f"    raise {error}({message!r})"]
    lines.append("return " + ", ".join(o.name if o.dims else f"{o.name}[()]" for o in kernel.results))
    return "\n    ".join([f"def {kernel.name}({', '.join(parameters)}):", *lines])


def _bounds(kernel):
    """Return lines that check attributes of which lengths are made: memory depends on them."""
    needed = {name for rule in kernel.row.lengths.values() for name in signature_of(rule).parameters}
    lines = []
    for name, bound in kernel.row.bounds.items():
        if name in needed:
            message = f"{kernel.name}: {name} must be {bound.words}"
            lines += [f"if not bound_{name}({name}):", f"    raise ValueError({message!r})"]
    return lines


def _implementation(kernel, given):
    real = _real_type(kernel, given)
    namespace = {
        "__name__": __name__, "np": np, "run": run, "kernel": _dispatcher(kernel), "pointer": types.CPointer(real)
    }
    namespace |= {f"length_{dim}": helper(rule) for dim, rule in kernel.row.lengths.items()}
    namespace |= {f"bound_{name}": helper(bound.holds) for name, bound in kernel.row.bounds.items()}
    exec(_source(kernel, real, given), namespace)
    return namespace[kernel.name]


def _overload(kernel, function):
    kind = Parameter.POSITIONAL_OR_KEYWORD
    signature = Signature(
        [Parameter(o.name, kind) for o in kernel.inputs]
        + [Parameter(name, kind, default=value) for name, value in kernel.attributes.items()]
    )

    def typing(*args, **kwargs):
        return _implementation(kernel, signature.bind(*args, **kwargs).arguments)

    typing.__signature__ = signature
    overload(function, jit_options=OPTIONS)(typing)


@functools.cache
def register() -> None:
    """Make the functions of `fastbp.kernels` known to Numba; called when this package is imported."""
    functions = importlib.import_module("..", __package__)
    _link()
    for kernel in KERNELS.values():
        _overload(kernel, getattr(functions, kernel.name))
