"""The nets of images that benchmarks train: each written once, as a function of the words of a library.

A library's words take and return what stands for images in it. `Shapes` has them for shapes alone, and so makes the
initial parameters and counts the products; `Fastbp` makes a model of them; `peers/image_libraries.py` has the others.
"""

import math

import numpy as np

from .common import Task, choice

#: Of batch norm, everywhere: PyTorch's, whose momentum 0.1 is this one's complement.
MOMENTUM, EPS = 0.9, 1e-5
CLASSES = 10


def lenet(net, x):
    """LeNet-5: LeCun et al. 1998, with relu and the maximum of each pool."""
    for filters in (6, 16):
        x = net.pool(net.conv(x, filters, 5, padding=0))
    return net.dense(net.dense(net.dense(net.flatten(x), 120), 84), CLASSES, relu=False)


def vgg(net, x):
    """Four convolutions of 3x3 in two pairs, with a pool behind each pair: Simonyan & Zisserman 2015, small."""
    for filters in (32, 64):
        x = net.pool(net.conv(net.conv(x, filters, 3), filters, 3))
    return net.dense(net.dense(net.flatten(x), 128), CLASSES, relu=False)


def resnet(net, x):
    """ResNet-20 with batch norm: He et al. 2016, section 4.2, with a 1x1 convolution where the size changes."""
    x, c = net.conv(x, 16, 3, norm=True), 16
    for filters in (16, 32, 64):
        for block in range(3):
            stride = 2 if filters > 16 and block == 0 else 1
            y = net.conv(x, filters, 3, stride, norm=True)
            y = net.conv(y, filters, 3, norm=True, relu=False)
            x = net.add(y, x if c == filters else net.conv(x, filters, 1, stride, norm=True, relu=False))
            c = filters
    return net.dense(net.average(x), CLASSES, relu=False)


def separable(net, x):
    """Four depthwise convolutions of 3x3, a 1x1 behind each, batch norm behind all: Howard et al. 2017, small."""
    x = net.conv(x, 32, 3, norm=True)
    for filters, stride in ((64, 1), (128, 2), (128, 1), (256, 2)):
        x = net.conv(net.depthwise(x, 3, stride), filters, 1, norm=True)
    return net.dense(net.average(x), CLASSES, relu=False)


# the net, the shape of its images, batches of an epoch
_NETS = {
    "LeNet-5 b64": (lenet, (28, 28, 1), 32),
    "small VGG b16": (vgg, (32, 32, 3), 8),
    "ResNet-20 b32": (resnet, (32, 32, 3), 4),
    "separable net b32": (separable, (32, 32, 3), 4),
}  # fmt: skip
#: Their names, as asv's parameters: append only.
IMAGE_NETS = tuple(_NETS)
#: Images of a large array that is predicted.
ARRAY_IMAGES = 256


def positions(size, k, stride, padding):
    """Return the height or width of what a convolution makes."""
    return (size + 2 * padding - k) // stride + 1


class Shapes:
    """The words for shapes: they make initial parameters, and count products.

    Parameters
    ----------
    rng : numpy.random.Generator

    Attributes
    ----------
    parameters : list of ndarray
        In the order of layers: w (kh, kw, c, o), of a depthwise layer (kh, kw, c, 1), of a dense one (n_in, n_out),
        then b, or gamma and beta.
    statistics : list of ndarray
        Mean and variance of each batch norm.
    products : list of int
        Multiply-adds of an image by each layer.
    """

    def __init__(self, rng):
        self.rng, self.parameters, self.statistics, self.products = rng, [], [], []

    def _layer(self, shape, fan, count, o, norm, relu=True):
        w = self.rng.standard_normal(shape) * math.sqrt((2 if relu else 1) / fan)
        parameters = [w, np.ones(o), np.zeros(o)] if norm else [w, np.zeros(o)]
        self.parameters += [p.astype(np.float32) for p in parameters]
        self.statistics += [np.zeros(o, np.float32), np.ones(o, np.float32)] if norm else []
        self.products.append(count * fan * o)

    def conv(self, x, filters, k, stride=1, padding=None, norm=False, relu=True):
        h, w, c = x
        h, w = (positions(n, k, stride, k // 2 if padding is None else padding) for n in (h, w))
        self._layer((k, k, c, filters), k * k * c, h * w, filters, norm, relu)
        return h, w, filters

    def depthwise(self, x, k, stride=1):
        h, w, c = x
        h, w = (positions(n, k, stride, k // 2) for n in (h, w))
        self._layer((k, k, c, 1), k * k, h * w, c, True)
        return h, w, c

    def dense(self, x, units, relu=True):
        self._layer((*x, units), *x, 1, units, False, relu)
        return (units,)

    def pool(self, x):
        return x[0] // 2, x[1] // 2, x[2]

    def flatten(self, x):
        return (math.prod(x),)

    def average(self, x):
        return x[2:]

    def add(self, x, y):
        return x


class Fastbp:
    """The words for fastbp: layers of tensors.

    Attributes
    ----------
    layers : list of (Layer, int, bool)
        Those with parameters, in the order of the parameters: how many, and whether statistics follow.
    """

    def __init__(self):
        import fastbp

        self.fastbp, self.layers = fastbp, []

    def _use(self, layer, x, parameters, norm=False):
        self.layers.append((layer, parameters, norm))
        return layer(x)

    def _finish(self, x, norm, relu):
        if norm:
            x = self._use(self.fastbp.BatchNorm(momentum=MOMENTUM, eps=EPS), x, 2, True)
        return self.fastbp.Activation("relu")(x) if relu else x

    def conv(self, x, filters, k, stride=1, padding=None, norm=False, relu=True):
        padding = k // 2 if padding is None else padding
        own = "relu" if relu and not norm else None
        layer = self.fastbp.Conv2D(filters, k, stride, padding, use_bias=not norm, activation=own)
        return self._finish(self._use(layer, x, 1 if norm else 2), norm, relu and norm)

    def depthwise(self, x, k, stride=1):
        layer = self.fastbp.DepthwiseConv2D(k, stride, k // 2, use_bias=False)
        return self._finish(self._use(layer, x, 1), True, True)

    def dense(self, x, units, relu=True):
        return self._use(self.fastbp.Dense(units, activation="relu" if relu else None), x, 2)

    def pool(self, x):
        return self.fastbp.MaxPooling2D()(x)

    def flatten(self, x):
        return self.fastbp.Flatten()(x)

    def average(self, x):
        return self.fastbp.GlobalAveragePooling2D()(x)

    def add(self, x, y):
        return self._finish(x + y, False, True)


class ImageTask(Task):
    """A net of images to train, with the same attributes as a `Task` of dense nets.

    Parameters
    ----------
    net : str
        Of `IMAGE_NETS`.
    """

    # Adam's first steps follow the sign of gradients, those of rounding too, and deep nets carry it on
    array_rows, validated = ARRAY_IMAGES, 3

    def __init__(self, net):
        self.net, self.batch = net, int(net.rpartition(" b")[2])
        self.make, self.shape, self.batches = _NETS[net]
        self.epochs, self.steps, self.seed = 1, self.batches, 7
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((self.batch * self.batches, *self.shape), dtype=np.float32)
        self.y = rng.integers(0, CLASSES, len(self.x))

    def _shapes(self, rng):
        shapes = Shapes(rng)
        self.make(shapes, self.shape)
        return shapes

    @property
    def products(self):
        return self._shapes(np.random.default_rng(0)).products

    @property
    def statistics(self):
        return self._shapes(np.random.default_rng(0)).statistics

    def initial_parameters(self, rng):
        return self._shapes(rng).parameters

    def weights(self, model, parameters):
        given, moving, found = iter(parameters), iter(self.statistics), {}
        for layer, count, norm in self.words.layers:
            found[layer] = [next(given) for _ in range(count)] + [next(moving) for _ in range(2 * norm)]
        return [array for layer in model.layers for array in found.get(layer, ())]

    def make_model(self, backend):
        """Return a compiled model; raises NotImplementedError if the installed fastbp lacks a layer or the backend."""
        self.words = words = Fastbp()
        fastbp = words.fastbp
        name, options = choice(backend)
        try:
            x = fastbp.Input(self.shape)
            model = fastbp.Model(x, self.make(words, x), seed=0)
            loss = fastbp.losses.SparseCategoricalCrossEntropy(from_logits=True)
            model.compile(optimizer=fastbp.optimizers.Adam(), loss=loss, backend=name, **options)
            assert model.program.calls  # asking for the program loads the kernels
        except (AttributeError, ImportError, TypeError, ValueError) as error:
            raise NotImplementedError(str(error)) from error
        return model


def task_of(net):
    """Return the task of a net of images, or of a dense one."""
    return ImageTask(net) if net in _NETS else Task(net)
