"""Passes: they make a program quicker, most of them by making it shorter, and move no bit.

A pass takes a program and the buffers that somebody looks at from outside; the compiler runs those it is given, by
default `PASSES`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from ..kernels.table import KERNELS
from .ir import Buffer, Call

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from .ir import CallList

    Pass = Callable[[CallList, Container[Buffer]], None]

__all__ = [
    "PASSES", "fuse_add", "fuse_norm", "fuse_relu", "join_loss", "mask_pooled", "remake_normal", "share_calls",
    "sweep_backward",
]  # fmt: skip

# for which layers fewer passes pay: how many outputs they have at most, bytes a row of their inputs, and how many
# inputs the layer before (portable/sweep.h)
_OUTPUTS, _BYTES, _INPUTS = 4, 512, 4
# bytes a row of the batch, from which normalised numbers are not kept for the backward pass
_KEPT = 1 << 19


def _replaceable(program: CallList) -> Callable[[Buffer], bool]:
    """Return whether another buffer of the same contents does as well: the program's own, all of it, and no view."""
    viewed = {buffer.parent for buffer in program.buffers}
    return lambda b: b.root.parent is None and b.root not in viewed and b.role in ("temporary", "result")


def _uses(program: CallList) -> dict[Buffer, list[int]]:
    """Return the numbers of the calls that name a buffer, once for each time."""
    uses: dict[Buffer, list[int]] = defaultdict(list)
    for i, call in enumerate(program.calls):
        for buffer in call.buffers:
            uses[buffer.root].append(i)
    return uses


def fuse_relu(program: CallList, kept: Container[Buffer]) -> None:
    """Let `dense` and `convolve_bias` apply the relu that follows them, where nobody else reads what lies between."""
    own, uses = _replaceable(program), _uses(program)
    names: dict[Buffer, Buffer] = {}
    gone = set()
    for i, call in enumerate(program.calls):
        if call.kernel.name not in ("dense", "convolve_bias") or call.attributes["relu"]:
            continue
        z = call.buffers[-1].root
        at, *others = uses[z][1:] or [i]
        following = program.calls[at]
        inside = z.role == "temporary" and own(z) and z not in kept and not others
        if inside and following.kernel.name == "relu_forward" and own(y := following.buffers[-1].root):
            call.attributes["relu"] = 1.0
            names[y] = z
            gone.add(at)
    program.drop(gone, names)


def share_calls(program: CallList, kept: Container[Buffer]) -> None:
    """Make what several metrics, or groups of parameters, need of one kernel and the same operands only once."""
    alike = Counter([(call.kernel, call.layer) for call in program.calls])
    if len(alike) == len(program.calls):
        return
    writers: dict[Buffer, int] = {}
    for call in program.calls:
        for buffer in call.writes:
            writers[buffer.owner] = writers.get(buffer.owner, 0) + 1
    own = _replaceable(program)
    changing = {b for b, n in writers.items() if n > 1 or b.role not in ("temporary", "result", "input")}
    known: dict[object, tuple[Buffer, ...]] = {}
    names: dict[Buffer, Buffer] = {}
    gone = set()
    for i, call in enumerate(program.calls):
        if alike[call.kernel, call.layer] == 1:
            continue
        inputs, outputs = call.reads, call.writes
        steady = not any(b.owner in changing for b in call.buffers)
        if not (steady and outputs and all(map(own, outputs))):
            continue
        operands = tuple([(names.get(b.root, b.root), b.shape) for b in inputs])
        first = known.setdefault((call.kernel, call.layer, operands, tuple(call.attributes.items())), outputs)
        if first is not outputs:
            names.update(zip(outputs, first, strict=True))
            gone.add(i)
    program.drop(gone, names)


def _inside(program: CallList, kept: Container[Buffer]) -> Callable[..., bool]:
    """Return whether nobody but some calls, by their numbers, sees a buffer."""
    own, uses = _replaceable(program), _uses(program)
    return lambda b, *users: b.role == "temporary" and own(b) and b.root not in kept and uses[b.root] == [*users]


def join_loss(program: CallList, kept: Container[Buffer]) -> None:
    """Let one call make the loss of a few outputs and its gradient, where the loss has a kernel for both.

    In portable numerics only: in the others that kernel makes one after the other.
    """
    if program.numerics != "portable":
        return
    own, inside, calls = _replaceable(program), _inside(program, kept), program.calls
    gone = set()
    for i, call in enumerate(calls):
        row = call.kernel.row
        both = row.kernels.get(f"{row.name}_and_gradient")
        if both is None or call.kernel.name != f"{row.name}_forward" or call.buffers[0].shape[1] > _OUTPUTS:
            continue
        forward, follows = call.named(), f"{row.name}_backward"
        for j in range(i + 1, len(calls)):
            if calls[j].kernel.name != follows or calls[j].attributes != call.attributes:
                continue
            backward = calls[j].named()
            named = {**forward, **backward}
            operands = tuple([named.pop(o.name) for o in both.operands])
            same = all(backward[name] is forward[name] for name in backward.keys() & forward.keys())
            # what the gradient alone reads is not made any more, and the gradient is made earlier
            free = own(operands[-1]) and operands[-1].root not in kept
            if same and free and all(inside(b, i, j) for b in named.values()):
                calls[i] = Call(both, operands, call.attributes, call.phase, call.layer)
                gone.add(j)
    program.drop(gone, {})


def sweep_backward(program: CallList, kept: Container[Buffer]) -> None:
    """Let one call make all gradients of a narrow dense layer, and those of a first layer before it.

    In portable numerics only: in the others that call makes one product of a BLAS after the other.
    """
    if program.numerics != "portable":
        return
    own, inside, calls = _replaceable(program), _inside(program, kept), program.calls
    kernels = [call.kernel.name for call in calls]
    names: dict[Buffer, Buffer] = {}
    gone: set[int] = set()

    def are(first: int, *wanted: str) -> bool:
        return kernels[first : first + len(wanted)] == [*wanted]

    for i, name in enumerate(kernels):
        if name != "bias_backward" or not are(i, "bias_backward", "matmul_tn", "matmul_nt"):
            continue
        (dy, db), (x, dz, dw), (other, w, dx) = (call.buffers for call in calls[i : i + 3])
        if not dy == dz == other or dy.shape[1] > _OUTPUTS or x.shape[1] * program.itemsize(x) > _BYTES:
            continue
        operands: tuple[Buffer, ...] = (x, dy, w, db, dw, dx)
        kernel, relu, end = KERNELS["dense_backward"], 0.0, i + 3
        if are(end, "relu_backward"):
            d, y, dh = calls[end].buffers
            if d.root is dx.root and y.root is x.root and own(dh) and inside(dx, i + 2, end):
                names[dh.root], relu, end = dx.root, 1.0, end + 1
                if are(end, "bias_backward", "matmul_tn") and inside(dh, end - 1, end, end + 1):
                    (_, db_before), (before, dz, dw_before) = (call.buffers for call in calls[end : end + 2])
                    if dz.root is dh.root and dz.shape == dx.shape and before.shape[1] <= _INPUTS:
                        kernel, end = KERNELS["dense_pair_backward"], end + 2
                        operands = before, x, dy, w, db, dw, dx, db_before, dw_before
        attributes = dict.fromkeys(kernel.attributes, relu)
        calls[i] = Call(kernel, operands, attributes, calls[i].phase, calls[i].layer)
        gone.update(range(i + 1, end))
    program.drop(gone, names)


def fuse_add(program: CallList, kept: Container[Buffer]) -> None:
    """Let the product that makes the later operand of an addition add the other one to it.

    The kernels are `dense`, whose own output stays where others read it and the addition is the next call, and
    `matmul_nt`. The other operand is there before the product, and nobody changes it until the addition.
    """
    if not any(call.kernel.name == "add" for call in program.calls):
        return
    own, inside, calls = _replaceable(program), _inside(program, kept), program.calls
    writers: dict[Buffer, list[int]] = defaultdict(list)
    for i, call in enumerate(calls):
        for buffer in call.writes:
            writers[buffer.owner].append(i)
    gone: set[int] = set()
    for i, call in enumerate(calls):
        if call.kernel.name != "add":
            continue
        *operands, y = call.buffers
        z, c = sorted(operands, key=lambda b: writers[b.owner][:1], reverse=True)
        at = writers[z.owner]
        if len(at) != 1 or not own(y.root):
            continue
        (j,) = at
        product = calls[j]
        *inputs, made = product.buffers
        # what is written behind the product, or changed, or is made of it, would be another operand
        steady = not any(j <= k <= i for k in writers[c.owner])
        if product.phase != call.phase or made.root is not z.root or not steady:
            continue
        alone = inside(z, j, i)
        if product.kernel.name == "dense" and (alone or j + 1 == i):
            kernel = KERNELS["dense_add" if alone else "dense_add_both"]
        elif product.kernel.name == "matmul_nt" and alone:
            kernel = KERNELS["matmul_nt_add"]
        else:
            continue
        outputs = [*([] if alone else [made]), y.reshaped(made.shape)]
        calls[j] = Call(
            kernel, (*inputs, c.reshaped(made.shape), *outputs), product.attributes, product.phase, product.layer
        )
        gone.add(i)
    program.drop(gone, {})


def fuse_norm(program: CallList, kept: Container[Buffer]) -> None:
    """Let normalisation by columns apply what follows it, a scale with a shift and a relu, and go back through that.

    In training the layer makes one call of the first three, whose backward kernel knows where relu was 0; in prediction
    nobody reads what lies between.
    """
    if not {call.kernel.name for call in program.calls} & {"normalize", "batch_norm_affine_forward"}:
        return
    own, inside, calls, uses = _replaceable(program), _inside(program, kept), program.calls, _uses(program)
    names: dict[Buffer, Buffer] = {}
    gone: set[int] = set()

    def relu_behind(i: int, z: Buffer) -> int | None:
        """Return the number of the relu that alone reads z, which call i makes."""
        j = next((k for k in uses[z.root] if k > i), i)
        fits = calls[j].kernel.name == "relu_forward" and inside(z, i, j) and own(calls[j].buffers[-1])
        return j if fits else None

    for i, call in enumerate(calls):
        if call.kernel.name == "normalize":
            x, mean, variance, normal, inverse = call.buffers
            j = next((k for k in uses[normal.root] if k > i), i)
            if calls[j].kernel.name != "affine_forward" or not inside(normal, i, j) or not inside(inverse, i):
                continue
            _, gamma, beta, z = calls[j].buffers
            attributes = {**KERNELS["normalize_affine"].attributes, "eps": call.attributes["eps"]}
            calls[j] = Call(
                KERNELS["normalize_affine"], (x, mean, variance, gamma, beta, z), attributes, call.phase, call.layer
            )
            gone.add(i)
            if (relu := relu_behind(j, z)) is not None:
                attributes["relu"] = 1.0
                names[calls[relu].buffers[-1].root] = z.root
                gone.add(relu)
        elif call.kernel.name == "batch_norm_affine_forward":
            z, inverse = call.named()["y"], call.named()["inverse"]
            back = next((k for k in uses[inverse.root] if calls[k].kernel.name == "batch_norm_affine_backward"), None)
            relu = relu_behind(i, z)
            if back is None or relu is None:
                continue
            y, (d, *others) = calls[relu].buffers[-1], calls[back].buffers
            at = uses[d.root][0]
            if calls[at].kernel.name != "relu_backward" or calls[at].buffers[1].root is not y.root:
                continue
            if not inside(d, at, back):
                continue
            call.attributes["relu"] = calls[back].attributes["relu"] = 1.0
            calls[back].buffers = (calls[at].buffers[0].reshaped(d.shape), *others)
            names[y.root] = z.root
            gone |= {relu, at}
    program.drop(gone, names)


def remake_normal(program: CallList, kept: Container[Buffer]) -> None:
    """Make normalised numbers again where the backward pass reads them, if all together would take much memory.

    They are made of what is kept anyway. A batch of them would leave the caches and come back, which takes longer than
    making them, and takes a third more memory.
    """
    if not any(call.kernel.name == "batch_norm_affine_forward" for call in program.calls):
        return
    own, uses, calls = _replaceable(program), _uses(program), program.calls
    found: list[tuple[int, Call, Buffer]] = []
    for call in calls:
        if call.kernel.name != "batch_norm_affine_forward":
            continue
        z = call.named()["y"].root
        first = next((k for k in uses[z] if calls[k].phase == "backward"), None)
        if first is not None and z.role == "temporary" and own(z) and z not in kept:
            found.append((first, call, z))
    if sum(z.size(1) * program.itemsize(z) for *_, z in found) < _KEPT:
        return
    for first, call, z in sorted(found, key=lambda it: it[0], reverse=True):
        again = Buffer(len(program.buffers), f"{call.layer}.again", z.shape, z.dtype, "temporary")
        program.buffers.append(again)
        for later in calls[first:]:
            later.buffers = tuple([again.reshaped(b.shape) if b.root is z else b for b in later.buffers])
        named = call.named()
        inputs = [named[name] for name in ("x", "mean", "variance", "gamma", "beta")]
        operands = *inputs, again.reshaped(named["y"].shape)
        calls.insert(first, Call(KERNELS["normalize_affine"], operands, call.attributes, "backward", call.layer))


def mask_pooled(program: CallList, kept: Container[Buffer]) -> None:
    """Go back through a relu behind the pooling that follows it, where there are fewer numbers.

    A window's largest number is positive where the relu passed the cell that it was taken from; else its gradient is 0
    either way.
    """
    if not any(call.kernel.name == "max_pool_dx" for call in program.calls):
        return
    inside, calls, uses = _inside(program, kept), program.calls, _uses(program)
    for i, call in enumerate(calls):
        if call.kernel.name != "relu_backward":
            continue
        d, y, dx = call.buffers
        back = next((k for k in uses[d.root] if k < i), i)
        pool = next((k for k in uses[y.root] if calls[k].kernel.name == "max_pool"), None)
        if pool is None or calls[back].kernel.name != "max_pool_dx" or not inside(d, back, i):
            continue
        (x, pooled, index), (dy, taken, images) = calls[pool].buffers, calls[back].buffers
        made = next((k for k in uses[dy.root] if k < back), back)
        if x.root is not y.root or taken.root is not index.root or not inside(dy, made, back):
            continue
        spread, masked = calls[back], (dy, pooled.reshaped(dy.shape), dy)
        calls[back] = Call(call.kernel, masked, call.attributes, call.phase, spread.layer)
        operands = dy, taken, dx.reshaped(images.shape)
        calls[i] = Call(spread.kernel, operands, spread.attributes, call.phase, call.layer)


#: In the order in which they run.
PASSES: tuple[Pass, ...] = (
    fuse_relu, fuse_norm, remake_normal, mask_pooled, share_calls, join_loss, sweep_backward, fuse_add,
)  # fmt: skip
