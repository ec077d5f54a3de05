"""What Keras 3 and PyTorch call what fastbp has: plain data, which the code, the tests and the pages of the docs read.

fastbp's own names are what is shown: in `repr`, files, messages and pages. Another spelling is resolved to one of them
only where it means the same on the same scale; where it does not, `advice` says what to write. A default need not be
the same: `DEFAULTS` has those that differ. `naming.py` does the resolving. Positional arguments are never
rearranged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .attributes import ATTRIBUTES, BOTH, KERAS, PYTORCH, Attribute

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = [
    "ANY_CASE",
    "ARGUMENTS",
    "ATTRIBUTES",
    "CLASSES",
    "DEFAULTS",
    "DIFFERENCES",
    "MODULES",
    "PLACES",
    "STRINGS",
    "Argument",
    "Attribute",
    "Class",
    "Default",
    "Difference",
    "String",
]


class Class(NamedTuple):
    """A class that others call otherwise, or have and fastbp has not."""

    kind: str  #: Of the registry, as in `MODULES`.
    theirs: str
    library: str
    own: str = ""  #: The class; empty where none means the same.
    given: Mapping[str, Any] = {}  #: Arguments with which it does.
    order: tuple[str, ...] = ()  #: Arguments that may be given by their place besides, where `given` is not empty.
    advice: str = ""


class Argument(NamedTuple):
    """An argument that others call otherwise, or have and fastbp has not."""

    of: str  #: A class of fastbp's, whose subclasses have it too; a name of `CLASSES`; or a method.
    theirs: str
    library: str
    own: str | tuple[str, ...] = ""  #: The argument, or several that a sequence is for; empty where there is none.
    values: Mapping[Any, Any] = {}  #: What its values are here, where they are spelled otherwise.
    neutral: tuple[Any, ...] = ()  #: Values that say what is so anyway: taken, though there is no such argument.
    advice: str = ""


class String(NamedTuple):
    """A value that is spelled otherwise."""

    kind: str
    theirs: str | None
    library: str
    own: str = ""
    advice: str = ""


class Default(NamedTuple):
    """A default that is another one elsewhere; None where it is the same there, or where there is no such argument."""

    of: str
    argument: str
    own: Any
    keras: Any = None
    pytorch: Any = None


class Difference(NamedTuple):
    """What has one name and is not one thing."""

    name: str
    here: str
    there: str


#: Where the classes of a kind stand in fastbp.
MODULES = {
    "callback": "callbacks",
    "constraint": "constraints",
    "initializer": "initializers",
    "layer": "layers",
    "loss": "losses",
    "metric": "metrics",
    "optimizer": "optimizers",
    "regularizer": "regularizers",
    "schedule": "schedules",
}
#: Modules that stand elsewhere.
PLACES = {"optimizers.schedules": "schedules", ".optim": "optimizers"}
#: Kinds whose names may be written in any case, as in Keras.
ANY_CASE = ("optimizer",)

_SHAPE = "the shape of a row is input_shape=, of a model or of its first layer"
_GRAPH = "a model is fastbp.Sequential([a, b]), or fastbp.Model(inputs, outputs), a graph that begins with fastbp.Input"
_STEPS = "PyTorch's schedules count epochs where step() is called once an epoch, those of fastbp count steps"

CLASSES = (
    # layers
    Class("layer", "BatchNormalization", KERAS, "BatchNorm"),
    Class("layer", "LayerNormalization", KERAS, "LayerNorm"),
    Class("layer", "RMSNormalization", KERAS, "RMSNorm"),
    Class("layer", "ReLU", BOTH, "Activation", {"activation": "relu"}),
    Class("layer", "LeakyReLU", BOTH, "Activation", {"activation": "leaky_relu"}, ("alpha",)),
    Class("layer", "ELU", BOTH, "Activation", {"activation": "elu"}, ("alpha",)),
    Class("layer", "Softmax", BOTH, "Activation", {"activation": "softmax"}),
    Class("layer", "Identity", BOTH, "Activation", {"activation": "identity"}),
    Class("layer", "CELU", PYTORCH, "Activation", {"activation": "celu"}, ("alpha",)),
    Class("layer", "GELU", PYTORCH, "Activation", {"activation": "gelu_exact"}),
    Class("layer", "Hardshrink", PYTORCH, "Activation", {"activation": "hard_shrink"}, ("threshold",)),
    Class("layer", "Hardsigmoid", PYTORCH, "Activation", {"activation": "hard_sigmoid"}),
    Class("layer", "Hardswish", PYTORCH, "Activation", {"activation": "hard_swish"}),
    Class("layer", "Hardtanh", PYTORCH, "Activation", {"activation": "hard_tanh"}),
    Class("layer", "LogSigmoid", PYTORCH, "Activation", {"activation": "log_sigmoid"}),
    Class("layer", "LogSoftmax", PYTORCH, "Activation", {"activation": "log_softmax"}),
    Class("layer", "Mish", PYTORCH, "Activation", {"activation": "mish"}),
    Class("layer", "ReLU6", PYTORCH, "Activation", {"activation": "relu6"}),
    Class("layer", "SELU", PYTORCH, "Activation", {"activation": "selu"}),
    Class("layer", "SiLU", PYTORCH, "Activation", {"activation": "silu"}),
    Class("layer", "Sigmoid", PYTORCH, "Activation", {"activation": "sigmoid"}),
    Class("layer", "Softplus", PYTORCH, "Activation", {"activation": "softplus"}, ("beta",)),
    Class("layer", "Softshrink", PYTORCH, "Activation", {"activation": "soft_shrink"}, ("threshold",)),
    Class("layer", "Softsign", PYTORCH, "Activation", {"activation": "softsign"}),
    Class("layer", "Tanh", PYTORCH, "Activation", {"activation": "tanh"}),
    Class("layer", "Tanhshrink", PYTORCH, "Activation", {"activation": "tanh_shrink"}),
    Class(
        "layer", "Linear", PYTORCH,
        advice="PyTorch's Linear(n_in, n_out) is Dense(n_out, input_shape=n_in), where only the first layer of a model "
        "needs n_in; it draws w and b from -n_in**-0.5 to n_in**-0.5, which RandomUniform does",
    ),
    Class(
        "layer", "BatchNorm1d", PYTORCH,
        advice="PyTorch's BatchNorm1d(n, momentum=0.1) is BatchNorm(momentum=0.9, eps=1e-5), 1 minus its momentum, and "
        "the number of columns is that of the data; its moving average is of variance * rows / (rows - 1)",
    ),
    Class("layer", "Unflatten", PYTORCH, advice="PyTorch's Unflatten(1, shape) of flat rows is Reshape(shape)"),
    Class(
        "layer", "ActivityRegularization", KERAS,
        advice="Keras' ActivityRegularization(l1, l2) is "
        "Activation('identity', activity_regularizer=fastbp.regularizers.L1L2(l1, l2))",
    ),
    Class(
        "layer", "Lambda", KERAS,
        advice="a layer of a NumPy expression is fastbp.custom.layer(lambda x: x * np.tanh(x), 'my_layer')",
    ),
    Class("layer", "InputLayer", KERAS, advice=f"{_SHAPE}; a graph begins with fastbp.Input(64)"),
    Class("layer", "Input", KERAS, advice=f"a graph begins with fastbp.Input(64); in a Sequential {_SHAPE}"),
    Class("layer", "Model", KERAS, advice=_GRAPH),
    Class(
        "layer", "Module", PYTORCH,
        advice=f"{_GRAPH}; PyTorch's forward(self, x) is call(self, x) of a subclass of fastbp.layers.Layer",
    ),
    Class("layer", "GroupNormalization", KERAS, "GroupNorm"),
    *(
        Class("layer", theirs.format(n), KERAS, own.format(n))
        for n in (1, 2)
        for theirs, own in (
            ("Convolution{}D", "Conv{}D"), ("Convolution{}DTranspose", "Conv{}DTranspose"),
            ("SeparableConvolution{}D", "SeparableConv{}D"), ("MaxPool{}D", "MaxPooling{}D"),
            ("AvgPool{}D", "AveragePooling{}D"), ("GlobalAvgPool{}D", "GlobalAveragePooling{}D"),
            ("GlobalMaxPool{}D", "GlobalMaxPooling{}D"),
        )
    ),
    *(
        Class("layer", name, library, advice="there are layers of images and of sequences, not of volumes")
        for library, names in (
            (KERAS, ("Conv3D", "Conv3DTranspose", "MaxPooling3D", "AveragePooling3D", "ZeroPadding3D", "UpSampling3D")),
            (PYTORCH, ("Conv3d", "ConvTranspose3d", "MaxPool3d", "AvgPool3d", "BatchNorm3d", "Dropout3d")),
        )
        for name in names
    ),
    *(Class("layer", f"MaxPool{n}d", PYTORCH, f"MaxPooling{n}D") for n in (1, 2)),
    *(Class("layer", f"Dropout{n}d", PYTORCH, f"SpatialDropout{n}D") for n in (1, 2)),
    *(
        Class("layer", theirs.format(n), PYTORCH, advice=advice.format(n=n, axes=axes))
        for n, axes in ((1, "(0, 2, 1)"), (2, "(0, 2, 3, 1)"))
        for theirs, advice in (
            ("Conv{}d", "PyTorch's Conv{n}d(n_in, n_out, k) is Conv{n}D(n_out, k) of channels last, x.transpose{axes}; "
             "only the first layer of a model needs input_shape="),
            ("ConvTranspose{}d", "PyTorch's ConvTranspose{n}d(n_in, n_out, k, padding=0) is "
             "Conv{n}DTranspose(n_out, k, padding=0) of channels last, x.transpose{axes}"),
            ("AvgPool{}d", "PyTorch's AvgPool{n}d(k) is AveragePooling{n}D(k); with a padding it counts the zeros "
             "around an image too, unless count_include_pad=False"),
            ("AdaptiveAvgPool{}d", "PyTorch's AdaptiveAvgPool{n}d(1) is GlobalAveragePooling{n}D(keepdims=True)"),
            ("AdaptiveMaxPool{}d", "PyTorch's AdaptiveMaxPool{n}d(1) is GlobalMaxPooling{n}D(keepdims=True)"),
            ("InstanceNorm{}d", "PyTorch's InstanceNorm{n}d(n, affine=True) is GroupNorm(n)"),
            ("ZeroPad{}d", "PyTorch's ZeroPad{n}d begins with the last axis: (left, right, top, bottom) is "
             "ZeroPadding2D(((top, bottom), (left, right))), and (left, right) is ZeroPadding1D((left, right))"),
        )
    ),
    Class(
        "layer", "Upsample", PYTORCH,
        advice="PyTorch's Upsample(scale_factor=2) is UpSampling2D(2), and with mode='bilinear' UpSampling2D(2, "
        "'bilinear'); of sequences it is UpSampling1D(2)",
    ),
    Class(
        "layer", "BatchNorm2d", PYTORCH,
        advice="PyTorch's BatchNorm2d(n, momentum=0.1) is BatchNorm(momentum=0.9, eps=1e-5) of channels last, 1 minus "
        "its momentum; its moving average is of variance * n / (n - 1)",
    ),
    *(Class("layer", name, BOTH, advice="there are no recurrent layers") for name in ("LSTM", "GRU")),
    Class("layer", "SimpleRNN", KERAS, advice="there are no recurrent layers"),
    Class("layer", "RNN", PYTORCH, advice="there are no recurrent layers"),
    Class("layer", "MultiHeadAttention", KERAS, advice="there is no attention"),
    Class("layer", "MultiheadAttention", PYTORCH, advice="there is no attention"),
    Class("layer", "Normalization", KERAS, advice="scale the data, x = (x - x.mean(axis=0)) / x.std(axis=0); BatchNorm "
          "does so with each batch"),
    Class(
        "layer", "CenterCrop", KERAS,
        advice="RandomCrop(height, width) takes the middle in predictions; x[:, top:bottom, left:right] is it too",
    ),
    *(
        Class(
            "layer", name, KERAS,
            advice="there are RandomFlip, RandomTranslation and RandomCrop, which move images by whole pixels",
        )
        for name in ("RandomRotation", "RandomZoom", "RandomShear")
    ),
    # losses
    Class("loss", "BinaryCrossentropy", KERAS, "BinaryCrossEntropy"),
    Class("loss", "BinaryFocalCrossentropy", KERAS, "BinaryFocalCrossEntropy"),
    Class("loss", "CategoricalCrossentropy", KERAS, "CategoricalCrossEntropy"),
    Class("loss", "CategoricalFocalCrossentropy", KERAS, "CategoricalFocalCrossEntropy"),
    Class("loss", "SparseCategoricalCrossentropy", KERAS, "SparseCategoricalCrossEntropy"),
    Class("loss", "MSELoss", PYTORCH, "MeanSquaredError"),
    Class("loss", "L1Loss", PYTORCH, "MeanAbsoluteError"),
    Class("loss", "HuberLoss", PYTORCH, "Huber"),
    Class("loss", "SmoothL1Loss", PYTORCH, "SmoothL1"),
    Class("loss", "BCELoss", PYTORCH, "BinaryCrossEntropy", {"from_logits": False}),
    Class("loss", "BCEWithLogitsLoss", PYTORCH, "BinaryCrossEntropy", {"from_logits": True}),
    Class("loss", "CrossEntropyLoss", PYTORCH, "SparseCategoricalCrossEntropy", {"from_logits": True}),
    Class("loss", "PoissonNLLLoss", PYTORCH, "Poisson", {"log_input": True}),
    Class("loss", "TripletMarginLoss", PYTORCH, "TripletMargin"),
    Class("loss", "NLLLoss", PYTORCH, "NLL"),
    Class("loss", "MultiMarginLoss", PYTORCH, "MultiMargin"),
    Class("loss", "SoftMarginLoss", PYTORCH, "SoftMargin"),
    Class("loss", "HingeEmbeddingLoss", PYTORCH, "HingeEmbedding"),
    Class(
        "loss", "MultiLabelSoftMarginLoss", PYTORCH,
        advice="it is BinaryCrossEntropy(from_logits=True), whose reduction 'sum' is over elements and not their means",
    ),
    Class(
        "loss", "MultiLabelMarginLoss", PYTORCH,
        advice="PyTorch's MultiLabelMarginLoss takes lists of labels: MultiLabelMargin() takes 0 or 1 for each class",
    ),
    Class(
        "loss", "MarginRankingLoss", PYTORCH,
        advice="PyTorch's MarginRankingLoss takes two scores: MarginRanking() takes their difference, as of "
        "Subtract()([first, second])",
    ),
    Class(
        "loss", "KLDivLoss", PYTORCH,
        advice="PyTorch's KLDivLoss takes the logarithm of y_pred, and its reduction 'mean' is over elements: "
        "KLDivergence() takes probabilities, as of a softmax, and is its reduction 'batchmean'",
    ),
    Class(
        "loss", "GaussianNLLLoss", PYTORCH,
        advice="PyTorch's GaussianNLLLoss takes the variance as a third argument: outputs for GaussianNLL() are n "
        "means and then n logarithms of variances",
    ),
    Class(
        "loss", "CosineEmbeddingLoss", PYTORCH,
        advice="PyTorch's CosineEmbeddingLoss takes two rows: CosineEmbedding() takes their cosine, as of "
        "Dot(-1, normalize=True)([first, second])",
    ),
    # optimizers
    Class("optimizer", "NAdam", PYTORCH, "Nadam"),
    Class("optimizer", "LBFGS", PYTORCH, advice="fastbp.minimize(model, x, y, method='L-BFGS-B') takes all rows"),
    # regularizers and constraints
    Class("regularizer", "l1", KERAS, "L1"),
    Class("regularizer", "l2", KERAS, "L2"),
    Class("regularizer", "l1_l2", KERAS, "L1L2"),
    Class("constraint", "max_norm", KERAS, "MaxNorm"),
    Class("constraint", "non_neg", KERAS, "NonNeg"),
    # callbacks
    Class("callback", "TensorBoard", KERAS, advice="CSVLogger writes a table, and history.plot() draws it"),
    Class("callback", "TerminateOnNaN", KERAS, advice="fit stops at a loss that is not finite, before its update"),
    Class("callback", "BackupAndRestore", KERAS, advice="write fit(checkpoint='run.npz'), which goes on from the file"),
    Class("callback", "ProgbarLogger", KERAS, "ProgressBar"),
    # initializers
    Class("initializer", "OrthogonalInitializer", KERAS, "Orthogonal"),
    Class(
        "initializer", "VarianceScaling", KERAS,
        advice="of scale 2 and 'fan_in' it is HeNormal or HeUniform, of 1 and 'fan_in' LecunNormal or LecunUniform, of "
        "1 and 'fan_avg' GlorotNormal or GlorotUniform; Keras cuts the ends of its normal ones off",
    ),
    # schedules
    Class("schedule", "LearningRateSchedule", KERAS, "Schedule"),
    Class(
        "schedule", "StepLR", PYTORCH,
        advice=f"{_STEPS}: StepLR(optimizer, k, gamma) is Adam(lr=StepDecay(lr, step_size=k * steps, gamma=gamma)) of "
        "as many steps an epoch",
    ),
    Class(
        "schedule", "MultiStepLR", PYTORCH,
        advice=f"{_STEPS}: MultiStepLR(optimizer, milestones) is Adam(lr=MultiStepDecay(lr, [m * steps for m in "
        "milestones])) of as many steps an epoch",
    ),
    Class(
        "schedule", "ExponentialLR", PYTORCH,
        advice=f"{_STEPS}: ExponentialLR(optimizer, gamma) is Adam(lr=ExponentialDecay(lr, steps, gamma, "
        "staircase=True)) of as many steps an epoch",
    ),
    Class(
        "schedule", "CosineAnnealingLR", PYTORCH,
        advice=f"{_STEPS}: CosineAnnealingLR(optimizer, T_max, eta_min) is Adam(lr=CosineDecay(lr, T_max * steps, "
        "alpha=eta_min / lr)) of as many steps an epoch, and stays at its end",
    ),
    Class(
        "schedule", "CosineAnnealingWarmRestarts", PYTORCH,
        advice=f"{_STEPS}: it is Adam(lr=CosineDecayRestarts(lr, T_0 * steps, t_mul=T_mult, alpha=eta_min / lr)) of as "
        "many steps an epoch",
    ),
    Class(
        "schedule", "PolynomialLR", PYTORCH,
        advice=f"{_STEPS}: PolynomialLR(optimizer, n, power) is SGD(lr=PolynomialDecay(lr, n * steps, 0.0, power)) of "
        "as many steps an epoch",
    ),
    Class(
        "schedule", "LinearLR", PYTORCH,
        advice=f"{_STEPS}: LinearLR(optimizer, factor, total_iters=n) is SGD(lr=WarmUp(lr, n * steps, factor * lr)) of "
        "as many steps an epoch",
    ),
    Class(
        "schedule", "ConstantLR", PYTORCH,
        advice=f"{_STEPS}: ConstantLR(optimizer, factor, n) is SGD(lr=Delayed(lr, n * steps, factor * lr)) of as many "
        "steps an epoch",
    ),
    Class(
        "schedule", "LambdaLR", PYTORCH,
        advice="LambdaLR(optimizer, f), where f is of epochs, is the callback LearningRateScheduler(lambda epoch: lr * "
        "f(epoch)); a function of steps is SGD(lr=lambda step: ...)",
    ),
    Class(
        "schedule", "CyclicLR", PYTORCH,
        advice="CyclicLR(optimizer, base_lr, max_lr, step_size_up) is SGD(lr=Cyclic(base_lr, max_lr, step_size_up)); "
        "the momentum is not scheduled: cycle_momentum=False",
    ),
    Class(
        "schedule", "SequentialLR", PYTORCH,
        advice=f"{_STEPS}: SequentialLR(optimizer, schedulers, milestones) is Adam(lr=Joined(schedules, [m * steps for "
        "m in milestones])) of as many steps an epoch",
    ),
    Class(
        "schedule", "OneCycleLR", PYTORCH,
        advice="OneCycleLR(optimizer, max_lr, total_steps) is SGD(lr=OneCycle(max_lr, total_steps)); the momentum is "
        "not scheduled: cycle_momentum=False",
    ),
)  # fmt: skip

_DECOUPLED = "Keras decays the weights apart from the gradient, which AdamW, AMSGrad and Lion do"
_COUPLED = (
    "PyTorch adds weight_decay * w to the gradient: that is kernel_regularizer=L2(weight_decay / 2), and "
    "bias_regularizer likewise, of each layer"
)
_UNDER_THE_ROOT = (
    "Keras adds epsilon to v under the root, here, as in PyTorch, eps is added to the root: where v is 0, "
    "eps=epsilon ** 0.5 is the same"
)
_HAT = (
    "Keras adds epsilon before v is corrected for its beginning, here, as in PyTorch, eps is added after that: "
    "eps=epsilon is the same once beta2**step is near 0, and smaller in the first steps"
)
_WITHOUT_ACTIVITY = (
    "AlphaDropout", "BatchNorm", "Dropout", "Flatten", "GaussianNoise", "GroupNorm", "LayerNorm", "PReLU", "RMSNorm",
    "RandomCrop", "RandomFlip", "RandomTranslation", "Rescaling", "Reshape",
)  # fmt: skip
_FILTERS = ("Conv1D", "Conv2D", "Conv1DTranspose", "Conv2DTranspose", "SeparableConv1D", "SeparableConv2D")
_CONVOLUTIONS = (*_FILTERS, "DepthwiseConv1D", "DepthwiseConv2D")
_POOLS = ("MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D")
_CHANNELS_LAST = (
    *_CONVOLUTIONS, *_POOLS, "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalMaxPooling1D",
    "GlobalMaxPooling2D", "ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D", "UpSampling2D",
    "SpatialDropout2D", "RandomCrop", "RandomFlip", "RandomTranslation",
)  # fmt: skip
_PLAN = "nothing need be said: what may lie in place does"

ARGUMENTS = (
    # layers
    Argument("Layer", "input_dim", KERAS, "input_shape"),
    Argument("Layer", "trainable", KERAS, neutral=(True,), advice="set it on the layer: layer.trainable = False"),
    Argument("Layer", "dtype", BOTH, neutral=(None,), advice="the model has one for all: compile(dtype='float64')"),
    Argument("Layer", "device", PYTORCH, neutral=(None, "cpu"), advice="all is computed on the CPU"),
    Argument("Layer", "inplace", PYTORCH, neutral=(False, True), advice=_PLAN),
    *(
        Argument(
            name, "activity_regularizer", KERAS, neutral=(None,),
            advice="write Activation('identity', activity_regularizer=...) behind the layer",
        )
        for name in _WITHOUT_ACTIVITY
    ),
    Argument("Dense", "bias", PYTORCH, "use_bias"),
    Argument("Dense", "in_features", PYTORCH, "input_shape"),
    Argument("Dense", "out_features", PYTORCH, "units"),
    Argument("Embedding", "num_embeddings", PYTORCH, "input_dim"),
    Argument("Embedding", "embedding_dim", PYTORCH, "output_dim"),
    Argument("Embedding", "padding_idx", PYTORCH, neutral=(None,), advice="every row is trained"),
    Argument("Embedding", "mask_zero", KERAS, neutral=(False,), advice="there are no masks"),
    Argument("Dropout", "p", PYTORCH, "rate"),
    Argument("AlphaDropout", "p", PYTORCH, "rate"),
    Argument(
        "Dropout", "noise_shape", KERAS, neutral=(None,),
        advice="each element is dropped by itself, and by SpatialDropout2D each channel of an image",
    ),
    Argument("AlphaDropout", "noise_shape", KERAS, neutral=(None,), advice="each element is dropped by itself"),
    Argument("Flatten", "start_dim", PYTORCH, neutral=(1,), advice="a row becomes one dimension; Reshape makes others"),
    Argument("Flatten", "end_dim", PYTORCH, neutral=(-1,), advice="a row becomes one dimension; Reshape makes others"),
    Argument("Flatten", "data_format", KERAS, neutral=(None, "channels_last"), advice="rows are in NumPy's order"),
    Argument(
        "RandomTranslation", "interpolation", KERAS, neutral=("nearest",), advice="images are moved by whole pixels"
    ),
    Argument("BatchNorm", "epsilon", KERAS, "eps"),
    Argument("BatchNorm", "axis", KERAS, neutral=(-1,), advice="the columns are the last axis"),
    Argument("BatchNorm", "num_features", PYTORCH, advice="leave it away: the number of columns is that of the data"),
    Argument("BatchNorm", "affine", PYTORCH, neutral=(True,), advice="affine=False is center=False, scale=False"),
    Argument("BatchNorm", "track_running_stats", PYTORCH, neutral=(True,), advice="moving averages are always kept"),
    Argument("LayerNorm", "epsilon", KERAS, "eps"),
    Argument("LayerNorm", "axis", KERAS, neutral=(-1,), advice="it is over the last axis"),
    Argument("LayerNorm", "center", KERAS, neutral=(True,), advice="there always is a beta"),
    Argument("LayerNorm", "scale", KERAS, neutral=(True,), advice="there always is a gamma"),
    Argument("LayerNorm", "bias", PYTORCH, neutral=(True,), advice="there always is a beta; RMSNorm has none"),
    Argument("LayerNorm", "normalized_shape", PYTORCH, advice="leave it away: it is over the last axis of the data"),
    Argument("LayerNorm", "elementwise_affine", PYTORCH, neutral=(True,), advice="there always are gamma and beta"),
    Argument("RMSNorm", "epsilon", KERAS, "eps"),
    Argument("RMSNorm", "axis", KERAS, neutral=(-1,), advice="it is over the last axis"),
    Argument("RMSNorm", "normalized_shape", PYTORCH, advice="leave it away: it is over the last axis of the data"),
    Argument("RMSNorm", "elementwise_affine", PYTORCH, neutral=(True,), advice="there always is a gamma"),
    Argument("Activation", "negative_slope", BOTH, "alpha"),
    Argument("Activation", "axis", KERAS, neutral=(-1,), advice="softmax is over the last axis"),
    Argument("Activation", "dim", PYTORCH, neutral=(-1,), advice="softmax is over the last axis, which is dim=-1"),
    Argument("ReLU", "max_value", KERAS, neutral=(None,), advice="max_value=6 is Activation('relu6')"),
    Argument("ReLU", "negative_slope", KERAS, neutral=(0.0,), advice="write Activation('leaky_relu', alpha=...)"),
    Argument("ReLU", "threshold", KERAS, neutral=(0.0,), advice="write fastbp.custom.activation"),
    Argument("GELU", "approximate", PYTORCH, "activation", values={"none": "gelu_exact", "tanh": "gelu"}),
    Argument("Hardtanh", "min_val", PYTORCH, neutral=(-1.0,), advice="write fastbp.custom.activation"),
    Argument("Hardtanh", "max_val", PYTORCH, neutral=(1.0,), advice="write fastbp.custom.activation"),
    Argument("Activation", "lambd", PYTORCH, "threshold"),
    Argument("Hardshrink", "lambd", PYTORCH, "threshold"),
    Argument("Softshrink", "lambd", PYTORCH, "threshold"),
    Argument("GLU", "dim", PYTORCH, neutral=(-1,), advice="it halves the last axis, which is dim=-1"),
    Argument("GLU", "axis", KERAS, neutral=(-1,), advice="it halves the last axis"),
    Argument("Softplus", "threshold", PYTORCH, neutral=(20.0,), advice="it needs none: exp cannot overflow"),
    Argument("PReLU", "init", PYTORCH, "alpha_initializer"),
    Argument(
        "PReLU", "num_parameters", PYTORCH,
        advice="leave it away: each element of a row has an alpha, of images with shared_axes=[1, 2] each channel",
    ),
    *(
        Argument(
            name, "data_format", KERAS, neutral=(None, "channels_last"),
            advice="channels are last: of images with channels first x.transpose(0, 2, 3, 1) are the data, of "
            "sequences x.transpose(0, 2, 1)",
        )
        for name in _CHANNELS_LAST
    ),
    *(Argument(name, "bias", PYTORCH, "use_bias") for name in _CONVOLUTIONS),
    *(Argument(name, "stride", PYTORCH, "strides") for name in (*_CONVOLUTIONS, *_POOLS)),
    *(Argument(name, "dilation", PYTORCH, "dilation_rate") for name in _CONVOLUTIONS),
    *(Argument(name, "out_channels", PYTORCH, "filters") for name in _FILTERS),
    *(
        Argument(name, "in_channels", PYTORCH, advice="leave it away: the number of channels is that of the data")
        for name in _CONVOLUTIONS
    ),
    *(
        Argument(name, "padding_mode", PYTORCH, neutral=("zeros",), advice="what is around an image are zeros")
        for name in ("Conv1D", "Conv2D")
    ),
    *(
        Argument(
            f"Conv{n}DTranspose", "groups", PYTORCH, neutral=(1,), advice="write a layer for each part, and Concatenate"
        )
        for n in (1, 2)
    ),
    *(Argument(name, "kernel_size", PYTORCH, "pool_size") for name in _POOLS),
    *(
        Argument(
            name, "ceil_mode", PYTORCH, neutral=(False,), advice="padding=((0, rows), (0, columns)) adds cells"
        )
        for name in _POOLS
    ),
    *(
        Argument(f"MaxPooling{n}D", theirs, PYTORCH, neutral=neutral, advice=advice)
        for n in (1, 2)
        for theirs, neutral, advice in (
            ("dilation", (1,), "windows are without gaps"), ("return_indices", (False,), "values alone are returned"),
        )
    ),
    *(
        Argument(f"AveragePooling{n}D", theirs, PYTORCH, neutral=neutral, advice=advice)
        for n in (1, 2)
        for theirs, neutral, advice in (
            ("count_include_pad", (False,), "cells outside of an image are not counted"),
            ("divisor_override", (None,), "the divisor is the number of cells: scale the output, layer(x) * factor"),
        )
    ),
    *(Argument(f"SpatialDropout{n}D", "p", PYTORCH, "rate") for n in (1, 2)),
    Argument("UpSampling1D", "scale_factor", PYTORCH, "size"),
    Argument("UpSampling2D", "scale_factor", PYTORCH, "size"),
    Argument("UpSampling2D", "mode", PYTORCH, "interpolation"),
    Argument("UpSampling2D", "align_corners", PYTORCH, neutral=(None, False), advice="corners are not aligned"),
    Argument("GroupNorm", "epsilon", KERAS, "eps"),
    Argument("GroupNorm", "axis", KERAS, neutral=(-1,), advice="channels are the last axis"),
    Argument("GroupNorm", "center", KERAS, neutral=(True,), advice="there always is a beta"),
    Argument("GroupNorm", "scale", KERAS, neutral=(True,), advice="there always is a gamma"),
    Argument("GroupNorm", "num_groups", PYTORCH, "groups"),
    Argument("GroupNorm", "num_channels", PYTORCH, advice="leave it away: the number of channels is that of the data"),
    Argument("GroupNorm", "affine", PYTORCH, neutral=(True,), advice="there always are gamma and beta"),
    # losses
    Argument("Loss", "axis", KERAS, neutral=(-1,), advice="the last axis is a sample's row"),
    Argument("Loss", "name", KERAS, neutral=(None,), advice="leave it away: a loss is called by its class"),
    Argument("Loss", "dtype", KERAS, neutral=(None,), advice="the model has one for all: compile(dtype='float64')"),
    Argument("Loss", "size_average", PYTORCH, neutral=(None,), advice="write reduction='mean' or 'sum'"),
    Argument("Loss", "reduce", PYTORCH, neutral=(None,), advice="write reduction='none'"),
    Argument(
        "Loss", "weight", PYTORCH, neutral=(None,),
        advice="weights of classes are fit(class_weight={0: 1.0, 1: 2.0}), whose mean is over the number of rows; "
        "PyTorch divides by the sum of the weights",
    ),
    Argument("SparseCategoricalCrossEntropy", "ignore_class", KERAS, "ignore_index"),
    Argument("SparseCategoricalCrossEntropy", "weight", PYTORCH, "class_weight"),
    Argument("NLL", "weight", PYTORCH, "class_weight"),
    Argument("Dice", "axis", KERAS, neutral=(-1,), advice="each row is one; Keras' None is of the whole batch"),
    Argument("BinaryFocalCrossEntropy", "from_logits", KERAS, neutral=(True,), advice="it takes logits only"),
    Argument(
        "BinaryFocalCrossEntropy", "apply_class_balancing", KERAS, neutral=(True,),
        advice="alpha always counts: alpha=0.5 is half of Keras' value without it",
    ),
    Argument("Poisson", "full", PYTORCH, neutral=(False,), advice="the constant of Stirling's formula is left out"),
    Argument("TripletMargin", "p", PYTORCH, neutral=(2,), advice="distances are Euclidean, p=2"),
    Argument("TripletMargin", "swap", PYTORCH, neutral=(False,), advice="the distance swap is not there"),
    # optimizers
    Argument("Optimizer", "learning_rate", KERAS, "lr"),
    Argument("Optimizer", "params", PYTORCH, advice="leave it away: compile() gives the optimizer its parameters"),
    Argument("Optimizer", "name", KERAS, neutral=(None,), advice="leave it away: an optimizer is called by its class"),
    Argument("Optimizer", "loss_scale_factor", KERAS, neutral=(None,), advice="there is no half precision"),
    Argument("Optimizer", "maximize", PYTORCH, neutral=(False,), advice="minimise the negative"),
    Argument("Optimizer", "foreach", PYTORCH, neutral=(None, False, True), advice="an update is one call"),
    Argument("Optimizer", "fused", PYTORCH, neutral=(None, False, True), advice="an update is one call"),
    Argument("Optimizer", "capturable", PYTORCH, neutral=(False,), advice="it is for GPUs"),
    Argument("Optimizer", "differentiable", PYTORCH, neutral=(False,), advice="there are no second derivatives"),
    Argument("Optimizer", "decay", KERAS, neutral=(0.0,), advice="write lr=InverseTimeDecay(lr, 1, decay)"),
    Argument("Optimizer", "weight_decay", BOTH, neutral=(None, 0.0), advice=f"{_COUPLED}; {_DECOUPLED}"),
    Argument("Adam", "beta_1", KERAS, "beta1"),
    Argument("Adam", "beta_2", KERAS, "beta2"),
    Argument("Adam", "betas", PYTORCH, ("beta1", "beta2")),
    Argument("Adam", "epsilon", KERAS, advice=_HAT),
    Argument("Adam", "amsgrad", BOTH, neutral=(False,), advice="amsgrad=True is the class AMSGrad, which takes "
             "weight_decay as AdamW does"),
    Argument("Adam", "decoupled_weight_decay", PYTORCH, neutral=(False,), advice="True is the class AdamW"),
    Argument("AMSGrad", "amsgrad", BOTH, neutral=(True,), advice="amsgrad=False is the class Adam"),
    Argument("Adamax", "epsilon", KERAS, advice="Keras adds epsilon to u, here, as in PyTorch, eps is added to |dw|"),
    Argument("Nadam", "epsilon", KERAS, "eps"),
    Argument("Lion", "beta_1", KERAS, "beta1"),
    Argument("Lion", "beta_2", KERAS, "beta2"),
    Argument("Adadelta", "epsilon", KERAS, "eps"),
    Argument("RAdam", "decoupled_weight_decay", PYTORCH, neutral=(False,), advice="its weights do not decay"),
    Argument("Rprop", "etas", PYTORCH, ("shrink", "grow")),
    Argument("Rprop", "step_sizes", PYTORCH, ("min_step", "max_step")),
    Argument("Adagrad", "epsilon", KERAS, advice=_UNDER_THE_ROOT),
    Argument("Adagrad", "lr_decay", PYTORCH, neutral=(0.0,), advice="write lr=InverseTimeDecay(lr, 1, lr_decay)"),
    Argument("Adagrad", "initial_accumulator_value", BOTH, neutral=(0.0,), advice="v begins at 0, as in PyTorch"),
    Argument("RMSprop", "alpha", PYTORCH, "rho"),
    Argument("RMSprop", "epsilon", KERAS, advice=_UNDER_THE_ROOT),
    # schedules
    Argument("Schedule", "initial_learning_rate", KERAS, "lr"),
    Argument("Schedule", "end_learning_rate", KERAS, "end_lr"),
    Argument("Schedule", "name", KERAS, neutral=(None,), advice="leave it away: a schedule is called by its class"),
    Argument(
        "CosineDecay", "warmup_target", KERAS, neutral=(None,),
        advice="write WarmUp(CosineDecay(warmup_target, decay_steps), warmup_steps, start_lr=initial_learning_rate)",
    ),
    Argument("CosineDecay", "warmup_steps", KERAS, neutral=(0,), advice="write WarmUp(CosineDecay(...), warmup_steps)"),
    # initializers and constraints
    Argument("Initializer", "seed", KERAS, neutral=(None,), advice="one seed is for all: Sequential(layers, seed=0)"),
    Argument("RandomNormal", "stddev", KERAS, "std"),
    Argument("TruncatedNormal", "stddev", KERAS, "std"),
    Argument("RandomUniform", "minval", KERAS, "low"),
    Argument("RandomUniform", "maxval", KERAS, "high"),
    Argument("RandomUniform", "a", PYTORCH, "low"),
    Argument("RandomUniform", "b", PYTORCH, "high"),
    Argument("Constant", "val", PYTORCH, "value"),
    Argument(
        "MaxNorm", "axis", KERAS, neutral=(0, [0, 1, 2]),
        advice="norms are over all axes but the last: of matrices axis 0, of a Conv2D [0, 1, 2]",
    ),
    # metrics
    Argument("Metric", "dtype", KERAS, neutral=(None,), advice="metrics are float64"),
    Argument("Precision", "thresholds", KERAS, "threshold"),
    Argument("AUC", "curve", KERAS, neutral=("ROC",), advice="curve='PR' is AveragePrecision()"),
    Argument("AUC", "num_thresholds", KERAS, advice="leave it away: the area is exact, of all thresholds"),
    Argument("AUC", "from_logits", KERAS, neutral=(False, True), advice="the order of the outputs counts alone"),
    # callbacks
    Argument("Callback", "verbose", KERAS, neutral=(0,), advice="leave it away: callbacks print nothing"),
    Argument("ModelCheckpoint", "save_weights_only", KERAS, neutral=(False,), advice="the file holds the whole model"),
    Argument("ModelCheckpoint", "save_freq", KERAS, neutral=("epoch",), advice="it is written after epochs"),
    Argument(
        "ReduceLROnPlateau", "threshold", PYTORCH,
        advice="PyTorch's threshold is a share of the best value unless threshold_mode='abs': then it is min_delta",
    ),
    # the model
    Argument("Model.compile", "lr", BOTH, advice="the optimizer has it: compile(Adam(lr=0.01), ...)"),
    Argument("Model.compile", "learning_rate", BOTH, advice="the optimizer has it: compile(Adam(lr=0.01), ...)"),
    Argument("Model.compile", "criterion", PYTORCH, "loss"),
    Argument("Model.compile", "run_eagerly", KERAS, neutral=(False, None), advice="forward, loss, backward and "
             "update are the steps one by one"),
    Argument("Model.compile", "steps_per_execution", KERAS, neutral=(1,), advice="an epoch is one call anyway"),
    Argument("Model.compile", "jit_compile", KERAS, neutral=("auto", None, False, True), advice="all is compiled"),
    Argument("Model.compile", "auto_scale_loss", KERAS, neutral=(True, False), advice="losses are not scaled"),
    Argument("Model.fit", "validation_batch_size", KERAS, neutral=(None,), advice="no result depends on it"),
    Argument("Model.save", "filepath", KERAS, "path"),
    Argument("Model.save", "overwrite", KERAS, neutral=(True,), advice="a file that is there is replaced"),
    Argument("Model.save_weights", "filepath", KERAS, "path"),
    Argument("Model.save_weights", "overwrite", KERAS, neutral=(True,), advice="a file that is there is replaced"),
    Argument("Model.load_weights", "filepath", KERAS, "path"),
    Argument("Model.load_weights", "skip_mismatch", KERAS, neutral=(False,), advice="all weights must fit"),
    Argument("load_model", "filepath", KERAS, "path"),
    Argument("load_model", "compile", KERAS, neutral=(True,), advice="a model that was compiled is so again"),
    Argument("load_model", "safe_mode", KERAS, neutral=(True,), advice="no file can run code"),
)  # fmt: skip

STRINGS = (
    String("activation", "linear", KERAS, "identity"),
    String("activation", "swish", KERAS, "silu"),
    String("activation", "hard_silu", KERAS, "hard_swish"),
    String("activation", "glu", BOTH, advice="it halves the last axis: write the layer GLU() after one of 2 n units"),
    String("activation", "hardshrink", PYTORCH, "hard_shrink"),
    String("activation", "hardsigmoid", PYTORCH, "hard_sigmoid"),
    String("activation", "hardswish", PYTORCH, "hard_swish"),
    String("activation", "hardtanh", PYTORCH, "hard_tanh"),
    String("activation", "logsigmoid", PYTORCH, "log_sigmoid"),
    String("activation", "softshrink", PYTORCH, "soft_shrink"),
    String("activation", "tanhshrink", PYTORCH, "tanh_shrink"),
    String("loss", "MSE", KERAS, "mean_squared_error"),
    String("loss", "MAE", KERAS, "mean_absolute_error"),
    String("loss", "BCE", KERAS, "binary_crossentropy"),
    String("loss", "bce", KERAS, "binary_crossentropy"),
    String("loss", "MAPE", KERAS, "mean_absolute_percentage_error"),
    String("loss", "MSLE", KERAS, "mean_squared_logarithmic_error"),
    String("loss", "KLD", KERAS, "kl_divergence"),
    String("loss", "kld", KERAS, "kl_divergence"),
    String("metric", "MSE", KERAS, "mean_squared_error"),
    String("metric", "MAE", KERAS, "mean_absolute_error"),
    String("metric", "MAPE", KERAS, "mean_absolute_percentage_error"),
    String("metric", "MSLE", KERAS, "mean_squared_logarithmic_error"),
    String("metric", "acc", KERAS, "accuracy"),
    String("reduction", "sum_over_batch_size", KERAS, "mean"),
    String("reduction", None, KERAS, "none"),
    String(
        "reduction", "batchmean", PYTORCH,
        advice="it is 'mean' of KLDivergence, whose mean is over rows",
    ),
    String("regularizer", "l1l2", KERAS, "l1_l2"),
    String("initializer", "zero", KERAS, "zeros"),
    String("initializer", "one", KERAS, "ones"),
    String("initializer", "zeros_", PYTORCH, "zeros"),
    String("initializer", "ones_", PYTORCH, "ones"),
    String("initializer", "orthogonal_", PYTORCH, "orthogonal"),
    String("initializer", "xavier_uniform", PYTORCH, "glorot_uniform"),
    String("initializer", "xavier_uniform_", PYTORCH, "glorot_uniform"),
    String("initializer", "xavier_normal", PYTORCH, "glorot_normal"),
    String("initializer", "xavier_normal_", PYTORCH, "glorot_normal"),
    String("initializer", "kaiming_uniform", PYTORCH, "he_uniform"),
    String("initializer", "kaiming_uniform_", PYTORCH, "he_uniform"),
    String("initializer", "kaiming_normal", PYTORCH, "he_normal"),
    String("initializer", "kaiming_normal_", PYTORCH, "he_normal"),
    String("initializer", "normal_", PYTORCH, advice="PyTorch's standard deviation is 1: RandomNormal(std=1.0)"),
    String("initializer", "uniform_", PYTORCH, advice="PyTorch's numbers are from 0 to 1: RandomUniform(0.0, 1.0)"),
    String(
        "initializer", "trunc_normal_", PYTORCH,
        advice="PyTorch cuts at -2 and 2 whatever the standard deviation: of 1 it is TruncatedNormal(std=1.0)",
    ),
    String(
        "initializer", "variance_scaling", KERAS,
        advice="of Keras' defaults it is LecunNormal, whose ends Keras cuts off",
    ),
)  # fmt: skip

#: Of Keras 3.15 and PyTorch 2.14.
DEFAULTS = (
    Default("SGD", "lr", 0.01, pytorch=0.001),
    Default("Adam", "eps", 1e-8, keras=1e-7),
    Default("AdamW", "eps", 1e-8, keras=1e-7),
    Default("AdamW", "weight_decay", 0.01, keras=0.004),
    Default("Adamax", "lr", 0.002, keras=0.001),
    Default("Adamax", "eps", 1e-8, keras=1e-7),
    Default("Nadam", "lr", 0.002, keras=0.001),
    Default("Nadam", "eps", 1e-8, keras=1e-7),
    Default("Adagrad", "lr", 0.01, keras=0.001),
    Default("Adagrad", "eps", 1e-10, keras=1e-7),
    Default("Adadelta", "lr", 1.0, keras=0.001),
    Default("Adadelta", "rho", 0.9, keras=0.95),
    Default("Adadelta", "eps", 1e-6, keras=1e-7),
    Default("RMSprop", "lr", 0.001, pytorch=0.01),
    Default("RMSprop", "rho", 0.9, pytorch=0.99),
    Default("RMSprop", "eps", 1e-7, pytorch=1e-8),
    Default("Lion", "lr", 1e-4, keras=0.001),
    Default("LayerNorm", "eps", 1e-5, keras=1e-3),
    Default("BatchNorm", "eps", 1e-3, pytorch=1e-5),
    Default("GroupNorm", "eps", 1e-5, keras=1e-3),
    Default("PReLU", "alpha_initializer", 0.25, keras="Zeros"),
    Default("Poisson", "log_input", False, pytorch=True),
    Default("Poisson", "eps", 1e-7, pytorch=1e-8),
    Default("SparseCategoricalCrossEntropy", "ignore_index", None, pytorch=-100),
    Default("NLL", "ignore_index", None, pytorch=-100),
    Default("L1L2", "l1", 0.01, keras=0.0),
    Default("L1L2", "l2", 0.01, keras=0.0),
)

DIFFERENCES = (
    Difference("the activation gelu", "the form with tanh", "Keras, PyTorch: gelu_exact by default"),
    Difference("the activation leaky_relu", "alpha is 0.01, as in PyTorch", "Keras: 0.2, the layer LeakyReLU 0.3"),
    Difference(
        "HeNormal, GlorotNormal, LecunNormal",
        "normal, as in PyTorch",
        "Keras: the ends are cut off at two standard deviations, with the same variance",
    ),
    Difference("Dense", "w begins as glorot_uniform, b as zeros, as in Keras",
               "PyTorch's Linear: w and b uniform, up to n_in**-0.5"),
    Difference("Conv2D, Conv1D", "w begins as glorot_uniform, b as zeros, as in Keras; channels last",
               "PyTorch: uniform, up to n_in**-0.5; channels first"),
    Difference("padding='same' with strides", "as many zeros as ceil(size / stride) positions need, the smaller half "
               "before, as in Keras", "PyTorch has it without strides only; padding=1 is padding=1 here too"),
    Difference("MaxPooling2D of a NaN", "NaN; of several the first has the gradient",
               "PyTorch: the last one has; Keras on TensorFlow: the largest number"),
    Difference("AveragePooling2D at borders", "the mean of the cells inside the image, as in Keras",
               "PyTorch: zeros around it count, unless count_include_pad=False"),
    Difference("w of SeparableConv2D", "pointwise_w is a matrix, (channels * depth_multiplier, filters)",
               "Keras: it has two axes of length 1 before these"),
    Difference("Embedding", "begins uniform, up to 0.05, as in Keras", "PyTorch: standard normal"),
    Difference(
        "the reduction sum of losses over elements",
        "over all elements, as in PyTorch",
        "Keras: over samples, of the means of their rows",
    ),
    Difference("class_weight of CategoricalCrossEntropy", "a mean over the weights of the rows' classes",
               "PyTorch's weight: of one-hot rows a mean over the number of rows"),
    Difference("Dice", "of each row", "Keras: of all rows of a batch together"),
    Difference("losses of arrays", "loss(y_true, y_pred), as in Keras", "PyTorch: loss(y_pred, y_true)"),
    Difference("the fifth argument of fit by its place", "shuffle", "Keras: verbose; write verbose=0"),
    Difference("the fourth argument of evaluate by its place", "sample_weight", "Keras: verbose; write verbose=0"),
    Difference("from_logits", "None, decided by the last activation", "Keras: False"),
    Difference("momentum of BatchNorm", "the share that stays, 0.99 as in Keras",
               "PyTorch: the share that is new, 0.1, which is 0.9 here"),
    Difference("BatchNorm in prediction", "the moving average of the variance of n, as in Keras", "PyTorch: of n - 1"),
    Difference("the growing momentum of Nadam", "momentum_decay is 0.004, as in PyTorch", "Keras: as with 1.0"),
    Difference("eps of RMSNorm", "1e-6, as in Keras", "PyTorch: the epsilon of the dtype, of float32 1.2e-7"),
    Difference("gradient_accumulation_steps", "batches count by their rows, the end of an epoch makes an update",
               "Keras: the mean of k batches, which an epoch does not part"),
    Difference("use_ema", "after constraints, for each update; the weights stay what they are",
               "Keras: before constraints, for each batch; the end of fit has the averages as weights"),
    Difference("eps of Adam", "after the correction of v, as in PyTorch", "Keras: before it"),
    Difference("eps of RMSprop, Adagrad", "outside the root, as in PyTorch", "Keras: under the root"),
    Difference("Precision, Recall, F1Score of classes", "the mean over classes",
               "Keras: of all outputs above 0.5 together, F1Score one for each class"),
    Difference("the metric cosine_similarity", "the mean of the loss of that name, -1 where all agree", "Keras: 1"),
    Difference("the metrics mape, mean_absolute_percentage_error", "in percent, as in Keras",
               "scikit-learn, and the function of that name: a share"),
    Difference("F1Score, FBetaScore of several labels", "of all outputs together, with multi_label=True their mean",
               "Keras: average=None, one for each output"),
    Difference("alpha of CosineDecayRestarts", "of the height of each period", "Keras: of the first one's"),
    Difference("AUC", "exact", "Keras: of 200 thresholds"),
)  # fmt: skip
