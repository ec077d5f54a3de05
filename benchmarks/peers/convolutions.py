"""Single layers of images beside oneDNN: ``python -m benchmarks.peers.convolutions ROUNDS`` prints them as JSON.

Convolution forward and its two gradients by fastbp's kernels in portable numerics and by PyTorch, channels last, which
hands them to oneDNN; one thread, in one process, in turns. Results are compared before anything is timed.
"""

import json
import sys
from functools import partial
from typing import NamedTuple

import numpy as np

from ..common import alternate
from ..images import positions

#: Seconds of a turn.
_TURN = 3e-3


class Layer(NamedTuple):
    """A layer and its batch; padding is the same on all sides."""

    size: int
    c: int
    o: int
    k: int
    batch: int
    stride: int = 1
    padding: int = 0
    depthwise: bool = False

    def __str__(self):
        kind = f"depthwise {self.k}x{self.k}" if self.depthwise else f"{self.k}x{self.k}"
        stride = f" stride {self.stride}" if self.stride > 1 else ""
        return f"{self.size}x{self.size}x{self.c} to {self.o}, {kind}{stride}, batch {self.batch}"

    @property
    def flops(self):
        products = self.k**2 * (1 if self.depthwise else self.c) * self.o
        return 2 * self.batch * positions(self.size, self.k, self.stride, self.padding) ** 2 * products


#: LeNet's, VGG's and 8x8x128, ResNet-20's, those of the separable net.
LAYERS = (
    Layer(28, 1, 6, 5, 64), Layer(12, 6, 16, 5, 64),
    Layer(32, 3, 32, 3, 16, 1, 1), Layer(32, 32, 32, 3, 16, 1, 1), Layer(16, 32, 64, 3, 16, 1, 1),
    Layer(16, 64, 64, 3, 16, 1, 1), Layer(8, 64, 128, 3, 16, 1, 1), Layer(8, 128, 128, 3, 16, 1, 1),
    Layer(16, 64, 64, 1, 16),
    Layer(32, 3, 16, 3, 32, 1, 1), Layer(32, 16, 16, 3, 32, 1, 1), Layer(32, 16, 32, 3, 32, 2, 1),
    Layer(32, 16, 32, 1, 32, 2), Layer(16, 32, 32, 3, 32, 1, 1), Layer(16, 32, 64, 3, 32, 2, 1),
    Layer(16, 32, 64, 1, 32, 2), Layer(8, 64, 64, 3, 32, 1, 1),
    Layer(32, 32, 64, 1, 32), Layer(16, 64, 128, 1, 32), Layer(16, 128, 128, 1, 32), Layer(8, 128, 256, 1, 32),
    Layer(16, 64, 64, 3, 16, 1, 1, True), Layer(32, 32, 32, 3, 32, 1, 1, True), Layer(32, 64, 64, 3, 32, 2, 1, True),
    Layer(16, 128, 128, 3, 32, 1, 1, True), Layer(16, 128, 128, 3, 32, 2, 1, True),
)  # fmt: skip


def aligned(array):
    """Return a copy that begins where a line of the cache does, as arrays of programs and of PyTorch do."""
    room = np.empty(array.size + 64, array.dtype)
    start = -room.ctypes.data % 64 // array.itemsize
    copy = room[start : start + array.size].reshape(array.shape)
    copy[...] = array
    return copy


def caller(name, arrays, attributes, numerics="portable"):
    """Return a function without arguments that calls a kernel once, and its last output.

    Parameters
    ----------
    name : str
    arrays : list of ndarray
        The kernel's inputs.
    attributes : dict of str to float
        Others are the kernel's own.
    numerics : str
    """
    from fastbp import kernels
    from fastbp.kernels.primitives import call

    kernel = kernels.KERNELS[name]
    function = kernels.load("cython", "float32", [name], numerics=numerics)[name]
    values = {**kernel.attributes, **{key: attributes[key] for key in kernel.attributes if key in attributes}}
    inputs = {o.name: array for o, array in zip(kernel.inputs, arrays, strict=True)}
    sizes = kernel.sizes([inputs[o.name].shape if o.name in inputs else None for o in kernel.operands], values)
    every = {o.name: aligned(np.zeros(kernel.shape(o, sizes, ()), np.float32)) for o in kernel.outputs} | inputs
    addresses = [every[o.name].ctypes.data for o in kernel.operands]
    table = kernels.primitives_address("float32", numerics=numerics, backend="cython")
    run = partial(call, function, table, addresses, list(sizes.values()), list(values.values()))
    if run() != 0:
        raise RuntimeError(f"{name} returned a status on ordinary operands")
    run.arrays = every  # they must outlive their addresses
    return run, every[kernel.outputs[-1].name]


def _ours(layer, x, w, b, dy):
    # a layer of 1x1 is a dense one on pixels, as in the layers
    if layer.k == layer.stride == 1:
        x, dy, w = x.reshape(-1, layer.c), dy.reshape(-1, layer.o), w.reshape(layer.c, layer.o)
        return {
            "forward": caller("dense", [x, w, b], {"relu": 0}), "dw": caller("matmul_tn", [x, dy], {}),
            "dx": caller("matmul_nt", [dy, w], {}),
        }  # fmt: skip
    attributes = {"stride_h": layer.stride, "stride_w": layer.stride, "input_height": layer.size}
    attributes |= {"input_width": layer.size, "kernel_height": layer.k, "kernel_width": layer.k}
    attributes |= dict.fromkeys(("top", "bottom", "left", "right"), layer.padding)
    kind = "depthwise" if layer.depthwise else "convolve"
    forward = (kind, [x, w]) if layer.depthwise else ("convolve_bias", [x, w, b])
    return {
        "forward": caller(*forward, attributes), "dw": caller(f"{kind}_dw", [x, dy], attributes),
        "dx": caller(f"{kind}_dx", [dy, w], attributes),
    }  # fmt: skip


def _theirs(layer, x, w, b, dy):
    import torch

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    x, dy = (torch.from_numpy(a).permute(0, 3, 1, 2) for a in (x, dy))
    w = torch.from_numpy(w.transpose((2, 3, 0, 1) if layer.depthwise else (3, 2, 0, 1)).copy())
    w = w.contiguous(memory_format=torch.channels_last)
    b, groups = None if layer.depthwise else torch.from_numpy(b), layer.c if layer.depthwise else 1
    stride, padding = [layer.stride] * 2, [layer.padding] * 2

    def backward(*mask):
        return torch.ops.aten.convolution_backward(
            dy, x, w, None, stride, padding, [1, 1], False, [0, 0], groups, [*mask, False]
        )

    return {
        "forward": lambda: torch.nn.functional.conv2d(x, w, b, stride, padding, 1, groups),
        "dw": lambda: backward(False, True)[1], "dx": lambda: backward(True, False)[0],
    }  # fmt: skip


def _often(job, count):
    for _ in range(count):
        job()


def measure(layer, rounds):
    """Return a record of each of a layer's calls.

    Returns
    -------
    list of dict
        "layer", "call", "flops", "us" and "oneDNN us" (the fastest turns), "ratio": ours over oneDNN's.
    """
    rng, n = np.random.default_rng(0), positions(layer.size, layer.k, layer.stride, layer.padding)
    x, dy = (layer.batch, layer.size, layer.size, layer.c), (layer.batch, n, n, layer.o)
    w, b = (layer.k, layer.k, layer.c, 1 if layer.depthwise else layer.o), (layer.o,)
    x, dy, w, b = (aligned(rng.standard_normal(shape, dtype=np.float32)) for shape in (x, dy, w, b))
    ours, theirs, found = _ours(layer, x, w, b, dy), _theirs(layer, x, w, b, dy), []
    for call, (run, result) in ours.items():
        if call == "dx" and layer.c in (1, 3):
            continue  # the first layer's is not asked for
        other = theirs[call]().numpy()
        if call == "dw":
            other = other.transpose((2, 3, 0, 1) if layer.depthwise else (2, 3, 1, 0))
        else:
            other = other.transpose(0, 2, 3, 1)
        if not np.allclose(result.reshape(other.shape), other, 1e-3, 1e-3 * np.abs(other).max()):
            raise RuntimeError(f"{layer}: {call} differs from PyTorch's")
        jobs = {"ours": run, "oneDNN": theirs[call]}
        taken = alternate(jobs, 5)
        jobs = {name: partial(_often, job, max(1, round(_TURN / taken[name].min()))) for name, job in jobs.items()}
        seconds = alternate(jobs, rounds)
        us = {name: float(seconds[name].min()) / jobs[name].args[1] * 1e6 for name in jobs}
        record = {"layer": str(layer), "call": call, "flops": layer.flops, "us": us["ours"], "oneDNN us": us["oneDNN"]}
        found.append({**record, "ratio": us["ours"] / us["oneDNN"]})
    return found


def main():
    """Measure all of them."""
    rounds = int(sys.argv[1])
    print(json.dumps([record for layer in LAYERS for record in measure(layer, rounds)]))


if __name__ == "__main__":
    main()
