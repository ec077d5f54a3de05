"""The libraries for nets of images, each in its own best plain way; see `images.py` and `libraries.py`.

All but onnxruntime, which predicts alone, get the batches of the first epoch ready made, in the layout that they like.
Padding is the same on both sides everywhere.
"""

import math
import os

import numpy as np

from ..images import EPS, MOMENTUM, positions
from .libraries import Jax, Peer, Torch

__all__ = ["IMAGE_PEERS", "KEPT"]

#: Freed memory stays with the process: else glibc gives it back, and the next step faults it in again.
KEPT = {
    "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "17179869184", "MALLOC_TOP_PAD_": "67108864",
}  # fmt: skip


class _Words:
    """What the words of all libraries share: they take parameters and statistics in order."""

    def __init__(self, parameters, statistics=()):
        self.parameters, self.statistics = iter(parameters), iter(statistics)

    def conv(self, x, filters, k, stride=1, padding=None, norm=False, relu=True):
        y = self.convolve(x, next(self.parameters), k, stride, k // 2 if padding is None else padding)
        y = self.norm(y) if norm else y + next(self.parameters)
        return self.relu(y) if relu else y

    def depthwise(self, x, k, stride=1):
        return self.relu(self.norm(self.by_channel(x, next(self.parameters), k, stride)))

    def dense(self, x, units, relu=True):
        y = x @ next(self.parameters) + next(self.parameters)
        return self.relu(y) if relu else y

    def add(self, x, y):
        return self.relu(x + y)


class _TorchWords(_Words):
    def __init__(self, torch, parameters, statistics):
        super().__init__(parameters, statistics)
        self.torch, self.functional, self.relu = torch, torch.nn.functional, torch.nn.functional.relu

    def conv(self, x, filters, k, stride=1, padding=None, norm=False, relu=True):
        w, b = next(self.parameters), None if norm else next(self.parameters)
        y = self.functional.conv2d(x, w, b, stride, k // 2 if padding is None else padding)
        y = self.norm(y) if norm else y
        return self.relu(y) if relu else y

    def by_channel(self, x, w, k, stride):
        return self.functional.conv2d(x, w, None, stride, k // 2, 1, x.shape[1])

    def norm(self, y):
        gamma, beta = next(self.parameters), next(self.parameters)
        mean, variance = next(self.statistics), next(self.statistics)
        return self.functional.batch_norm(y, mean, variance, gamma, beta, True, 1 - MOMENTUM, EPS)

    def dense(self, x, units, relu=True):
        y = self.functional.linear(x, next(self.parameters), next(self.parameters))
        return self.relu(y) if relu else y

    def pool(self, x):
        return self.functional.max_pool2d(x, 2)

    def flatten(self, x):
        # channels last, as they lie: nothing is copied
        return x.permute(0, 2, 3, 1).reshape(len(x), -1)

    def average(self, x):
        return x.mean((2, 3))


class TorchImages(Torch):
    """PyTorch: eager, channels last, fused Adam."""

    label = "torch, eager, channels last"

    def convert(self, x, y):
        return self._last(x), self.torch.from_numpy(y)

    def _last(self, x):
        return self.torch.from_numpy(x).permute(0, 3, 1, 2)

    def prepare(self):
        super().prepare()
        torch, make = self.torch, self.task.make

        def forward(parameters, statistics, x):
            return make(_TorchWords(torch, parameters, statistics), x)

        def loss(parameters, statistics, x, y):
            return torch.nn.functional.cross_entropy(forward(parameters, statistics, x), y)

        self.forward, self.loss = self.compile(forward), self.compile(loss)

    def compile(self, function):
        """Return the function as it is to be called."""
        return function

    def reset(self):
        torch, self.parameters = self.torch, []
        for p in self.start:
            if p.ndim == 4:
                # (kh, kw, c, o) to (o, c, kh, kw), of a depthwise layer (kh, kw, c, 1) to (c, 1, kh, kw)
                t = torch.from_numpy(p.transpose((3, 2, 0, 1) if p.shape[3] > 1 else (2, 3, 0, 1)).copy())
                t = t.contiguous(memory_format=torch.channels_last)
            else:
                t = torch.from_numpy(p.T.copy())
            self.parameters.append(t.requires_grad_())
        self.statistics = [torch.from_numpy(p) for p in self.task.statistics]
        self.optimizer = torch.optim.Adam(self.parameters, lr=1e-3, fused=True)

    def step(self, x, y):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.parameters, self.statistics, x, y)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def predictor(self, rows):
        parameters = [p.detach() for p in self.parameters]

        def predict(x):
            with self.torch.inference_mode():
                return self.forward(parameters, self.statistics, self._last(x)).numpy()

        return predict


class TorchImagesKept(TorchImages):
    """The same with its memory kept between steps."""

    label, environment = "torch, eager, channels last, memory kept", KEPT


class TorchImagesCompile(TorchImages):
    """PyTorch: forward and backward compiled, channels last, fused Adam, its memory kept between steps."""

    label, environment = "torch.compile, channels last, memory kept", KEPT

    def compile(self, function):
        self.torch._dynamo.reset()
        return self.torch.compile(function, fullgraph=True, dynamic=False)


class _TensorFlowWords(_Words):
    def __init__(self, tf, parameters, statistics):
        super().__init__(parameters, statistics)
        self.tf, self.relu = tf, tf.nn.relu

    def _padding(self, x, k, stride, padding):
        # SAME pads unevenly where the stride is 2
        if padding == 0:
            return x, "VALID"
        if stride == 1:
            return x, "SAME"
        return self.tf.pad(x, [[0, 0], [padding] * 2, [padding] * 2, [0, 0]]), "VALID"

    def convolve(self, x, w, k, stride, padding):
        x, padding = self._padding(x, k, stride, padding)
        return self.tf.nn.conv2d(x, w, stride, padding)

    def by_channel(self, x, w, k, stride):
        x, padding = self._padding(x, k, stride, k // 2)
        return self.tf.nn.depthwise_conv2d(x, w, [1, stride, stride, 1], padding)

    def norm(self, y):
        gamma, beta = next(self.parameters), next(self.parameters)
        y, *found = self.tf.compat.v1.nn.fused_batch_norm(y, gamma, beta, epsilon=EPS, is_training=True)
        for value in found:
            moving = next(self.statistics)
            moving.assign(MOMENTUM * moving + (1 - MOMENTUM) * value)
        return y

    def pool(self, x):
        return self.tf.nn.max_pool2d(x, 2, 2, "VALID")

    def flatten(self, x):
        return self.tf.reshape(x, (x.shape[0], math.prod(x.shape[1:])))

    def average(self, x):
        return self.tf.reduce_mean(x, (1, 2))


class TensorFlow(Peer):
    """TensorFlow: a whole step, with its own Adam, one tf.function."""

    label, packages = "TensorFlow, tf.function", ("tensorflow",)

    def convert(self, x, y):
        return self.tf.constant(x), self.tf.constant(y.astype(np.int32))

    def prepare(self):
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(int(os.environ["OMP_NUM_THREADS"]))
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self.tf, make = tf, self.task.make
        self.parameters = [tf.Variable(p) for p in self.start]
        self.moments = [[tf.Variable(tf.zeros_like(p)) for p in self.parameters] for _ in range(2)]
        self.powers = [tf.Variable(0.9), tf.Variable(0.999)]
        self.statistics = [tf.Variable(p) for p in self.task.statistics]

        def forward(x):
            return make(_TensorFlowWords(tf, self.parameters, self.statistics), x)

        def train_step(x, y):
            with tf.GradientTape() as tape:
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=forward(x))
                loss = tf.reduce_mean(losses)
            gradients = tape.gradient(loss, self.parameters)
            power1, power2 = self.powers
            # its kernel adds eps to a root that is not corrected yet
            eps = 1e-8 * tf.sqrt(1 - power2)
            for p, m, v, g in zip(self.parameters, *self.moments, gradients, strict=True):
                tf.raw_ops.ResourceApplyAdam(
                    var=p.handle, m=m.handle, v=v.handle, beta1_power=power1, beta2_power=power2, lr=1e-3,
                    beta1=0.9, beta2=0.999, epsilon=eps, grad=g,
                )  # fmt: skip
            power1.assign(power1 * 0.9)
            power2.assign(power2 * 0.999)
            return loss

        self.forward, self.train_step = forward, tf.function(train_step)

    def reset(self):
        start = self.start + self.task.statistics
        for variable, value in zip(self.parameters + self.statistics, start, strict=True):
            variable.assign(value)
        for m, v in zip(*self.moments, strict=True):
            m.assign(self.tf.zeros_like(m))
            v.assign(self.tf.zeros_like(v))
        for power, value in zip(self.powers, (0.9, 0.999), strict=True):
            power.assign(value)

    def step(self, x, y):
        return float(self.train_step(x, y).numpy())

    def predictor(self, rows):
        tf = self.tf
        signature = [tf.TensorSpec((rows, *self.task.shape), tf.float32)]
        forward = tf.function(self.forward, input_signature=signature).get_concrete_function()
        return lambda x: forward(tf.constant(x)).numpy()


class _JaxWords(_Words):
    def __init__(self, jax, parameters, statistics):
        super().__init__(parameters, statistics)
        self.jax, self.relu, self.found = jax, jax.nn.relu, []

    def convolve(self, x, w, k, stride, padding):
        return self.jax.lax.conv_general_dilated(
            x, w, (stride, stride), [(padding, padding)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def by_channel(self, x, w, k, stride):
        # shifted products: the gradients of its own convolution in groups take several times as long
        x, n = self.jax.numpy.pad(x, ((0, 0), (k // 2,) * 2, (k // 2,) * 2, (0, 0))), x.shape[1]
        return sum(x[:, i : i + n : stride, j : j + n : stride] * w[i, j, :, 0] for i in range(k) for j in range(k))

    def norm(self, y):
        gamma, beta = next(self.parameters), next(self.parameters)
        mean = y.mean((0, 1, 2))
        variance = y.var((0, 1, 2))
        for value in (mean, variance):
            self.found.append(MOMENTUM * next(self.statistics) + (1 - MOMENTUM) * value)
        return (y - mean) * (self.jax.lax.rsqrt(variance + EPS) * gamma) + beta

    def pool(self, x):
        maximum = self.jax.numpy.maximum
        rows = maximum(x[:, ::2], x[:, 1::2])
        return maximum(rows[:, :, ::2], rows[:, :, 1::2])

    def flatten(self, x):
        return x.reshape(len(x), -1)

    def average(self, x):
        return x.mean((1, 2))


class JaxImages(Jax):
    """JAX: one jitted step a call, state donated."""

    label = "JAX, jit"

    def grouped(self):
        return self.start

    def model(self, parameters, statistics, x):
        words = _JaxWords(self.jax, parameters, statistics)
        return self.task.make(words, x), words.found

    def reset(self):
        super().reset()
        self.state = (*self.state[:-1], [self.jnp.array(p) for p in self.task.statistics])


class _OnnxWords:
    """The words for a graph of onnx, channels first, without batch norm."""

    def __init__(self, parameters):
        self.given, self.nodes, self.arrays, self.last = iter(parameters), [], [], None

    def _node(self, kind, x, *arrays, **attributes):
        from onnx import helper, numpy_helper

        y, names = f"y{len(self.nodes)}", [f"w{len(self.arrays) + k}" for k in range(len(arrays))]
        made = map(numpy_helper.from_array, map(np.ascontiguousarray, arrays), names)
        self.arrays += made
        self.nodes.append(helper.make_node(kind, [x[0], *names], [y], **attributes))
        return y

    def _finish(self, y, shape, relu):
        return (self._node("Relu", (y,)) if relu else y), shape

    def conv(self, x, filters, k, stride=1, padding=None, norm=False, relu=True):
        padding = k // 2 if padding is None else padding
        w, b = next(self.given).transpose(3, 2, 0, 1), next(self.given)
        y = self._node("Conv", x, w, b, kernel_shape=[k, k], strides=[stride] * 2, pads=[padding] * 4)
        height, width = (positions(n, k, stride, padding) for n in x[1][:2])
        return self._finish(y, (height, width, filters), relu)

    def pool(self, x):
        h, w, c = x[1]
        return self._node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), (h // 2, w // 2, c)

    def flatten(self, x):
        self.last = x[1]
        return self._node("Flatten", x), (math.prod(x[1]),)

    def dense(self, x, units, relu=True):
        w, b = next(self.given), next(self.given)
        if self.last is not None:
            # the flattened pixels come by channel
            w = w.reshape(*self.last, units).transpose(2, 0, 1, 3).reshape(-1, units)
            self.last = None
        return self._finish(self._node("Gemm", x, w, b), (units,), relu)


class Onnxruntime(Peer):
    """onnxruntime: predictions of bound arrays."""

    label, packages, trains = "onnxruntime, IOBinding", ("onnx", "onnxruntime"), False

    def reset(self):
        """There is nothing to begin again."""

    def predictor(self, rows):
        import onnx
        import onnxruntime
        from onnx import helper

        (h, w, c), words = self.task.shape, _OnnxWords(self.start)
        try:
            last, (units,) = self.task.make(words, ("x", self.task.shape))
        except (AttributeError, StopIteration):
            return None
        ends = [("x", ["rows", c, h, w]), (last, ["rows", units])]
        ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in ends]
        graph = helper.make_graph(words.nodes, "net", ends[:1], ends[1:], words.arrays)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
        options.inter_op_num_threads = 1
        text = model.SerializeToString()
        session = onnxruntime.InferenceSession(text, options, providers=["CPUExecutionProvider"])
        bound = {}

        def bind(x):
            first = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
            binding, y = session.io_binding(), np.empty((rows, units), np.float32)
            binding.bind_input("x", "cpu", 0, np.float32, first.shape, first.ctypes.data)
            binding.bind_output(last, "cpu", 0, np.float32, y.shape, y.ctypes.data)
            # the array itself too: its id is its key
            bound[id(x)] = binding, y, first, x

        def predict(x):
            if id(x) not in bound:
                bind(x)
            binding, y, *_ = bound[id(x)]
            session.run_with_iobinding(binding)
            return y

        return predict


#: By the name that ``--peers`` takes.
IMAGE_PEERS = {
    "tensorflow": TensorFlow,
    "torch_compile_images": TorchImagesCompile,
    "torch_images_kept": TorchImagesKept,
    "torch_images": TorchImages,
    "jax_images": JaxImages,
    "onnxruntime": Onnxruntime,
}
