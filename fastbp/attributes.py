"""What Keras 3 and PyTorch call attributes of fastbp's classes, and names of `fastbp`: a part of `spellings.py`.

Classes have these from the beginning; the other spellings are read when somebody writes one.
"""

from __future__ import annotations

__all__ = ["ATTRIBUTES", "BOTH", "KERAS", "PYTORCH", "Attribute"]

BOTH, KERAS, PYTORCH = "Keras, PyTorch", "Keras", "PyTorch"


class Attribute:
    """An attribute or method of objects that others call otherwise, or have and fastbp has not.

    `of` is a class of fastbp's, whose subclasses have it too, or the package; `own` the attribute, to be read and set,
    or empty where there is none.
    """

    def __init__(self, of: str, theirs: str, library: str, own: str = "", advice: str = "") -> None:
        self.of, self.theirs, self.library, self.own, self.advice = of, theirs, library, own, advice


_PARAMETERS = "layer.w and layer.b are the parameters, get_weights() of the model returns copies of all"
_STEP = "model.update() is the step of the optimizer"

ATTRIBUTES = (
    Attribute("fastbp", "nn", PYTORCH, advice="layers stand in fastbp.layers, losses in fastbp.losses"),
    Attribute("fastbp", "from_numpy", PYTORCH, advice="arrays are NumPy's: leave it away"),
    Attribute("fastbp", "no_grad", PYTORCH, advice="leave it away: predict() computes no gradients"),
    Attribute("fastbp", "manual_seed", PYTORCH, advice="write Sequential(layers, seed=0) and fit(x, y, seed=0)"),
    Attribute("fastbp", "save", PYTORCH, advice="write model.save(path)"),
    Attribute("fastbp", "load", PYTORCH, advice="write fastbp.load_model(path)"),
    Attribute("fastbp", "models", KERAS, advice="write fastbp.Model, fastbp.Sequential and fastbp.load_model"),
    Attribute("fastbp", "activations", KERAS, advice="an activation is a name, such as 'relu', or fastbp.Activation"),
    Attribute("fastbp", "utils", BOTH, advice="one-hot rows are np.eye(n)[y], seeds Sequential(layers, seed=0) and "
              "fit(x, y, seed=0)"),
    Attribute("Model", "parameters", PYTORCH, advice=f"{_PARAMETERS}; compile() gives them to the optimizer"),
    Attribute("Model", "named_parameters", PYTORCH, advice=f"{_PARAMETERS}; layer.name is a layer's name"),
    Attribute("Model", "state_dict", PYTORCH, advice="get_weights() returns the parameters; save(path) writes all "
              "of the model"),
    Attribute("Model", "load_state_dict", PYTORCH, advice="set_weights(weights) sets them; w is (n_in, n_out), "
              "PyTorch's weight.T"),
    Attribute("Model", "train", PYTORCH, advice="leave it away: forward() is that of training, predict() and "
              "evaluate() are not"),
    Attribute("Model", "eval", PYTORCH, advice="leave it away: predict() and evaluate() are not of training, "
              "forward() is"),
    Attribute("Model", "zero_grad", PYTORCH, advice="leave it away: each backward() writes the gradients anew"),
    Attribute("Model", "to", PYTORCH, advice="leave it away: all is computed on the CPU; the dtype is "
              "compile(dtype='float64')"),
    Attribute("Model", "cuda", PYTORCH, advice="all is computed on the CPU"),
    Attribute("Model", "cpu", PYTORCH, advice="leave it away: all is computed on the CPU"),
    Attribute("Model", "double", PYTORCH, advice="write compile(dtype='float64')"),
    Attribute("Model", "apply", PYTORCH, advice="initial weights are a layer's: Dense(3, "
              "kernel_initializer='he_normal')"),
    Attribute("Model", "trainable_variables", KERAS, advice=_PARAMETERS),
    Attribute("Model", "trainable_weights", KERAS, advice=_PARAMETERS),
    Attribute("Model", "variables", KERAS, advice=_PARAMETERS),
    Attribute("Model", "weights", KERAS, advice=_PARAMETERS),
    Attribute("Model", "train_step", KERAS, advice="train_on_batch(x, y) is a step; forward, loss, backward and "
              "update are its parts"),
    Attribute("Model", "test_step", KERAS, advice="evaluate(x, y) takes any number of rows"),
    Attribute("Model", "predict_step", KERAS, advice="predict(x) takes any number of rows"),
    Attribute("Model", "fit_generator", KERAS, advice="fit() takes generators: fit(batches, steps_per_epoch=100)"),
    Attribute("Model", "evaluate_generator", KERAS, advice="evaluate() takes generators: evaluate(batches, "
              "steps=100)"),
    Attribute("Model", "predict_generator", KERAS, advice="predict() takes what can be iterated over"),
    Attribute("Model", "metrics_names", KERAS, advice="an evaluation has them: list(model.evaluate(x, y).keys())"),
    Attribute("Model", "to_json", KERAS, advice="get_config() is plain data"),
    Attribute("Layer", "get_weights", KERAS, advice=_PARAMETERS),
    Attribute("Layer", "set_weights", KERAS, advice="assign to layer.w and layer.b; set_weights() is the model's"),
    Attribute("Layer", "weights", KERAS, advice=_PARAMETERS),
    Attribute("Layer", "trainable_weights", KERAS, advice=_PARAMETERS),
    Attribute("Dense", "kernel", KERAS, "w"),
    Attribute("Dense", "bias", BOTH, "b"),
    Attribute("Dense", "weight", PYTORCH, advice="layer.w is weight.T, and layer.dw its gradient"),
    *(
        Attribute(name, theirs, library, own)
        for name in ("Conv1D", "Conv2D", "Conv1DTranspose", "Conv2DTranspose", "DepthwiseConv1D", "DepthwiseConv2D")
        for theirs, library, own in (("kernel", KERAS, "w"), ("bias", BOTH, "b"))
    ),
    *(
        Attribute(f"SeparableConv{n}D", theirs, KERAS, own)
        for n in (1, 2)
        for theirs, own in (("depthwise_kernel", "depthwise_w"), ("pointwise_kernel", "pointwise_w"), ("bias", "b"))
    ),
    *(
        Attribute(
            f"Conv{n}D{more}", "weight", PYTORCH,
            advice=f"layer.w is weight.transpose{axes}, and layer.dw its gradient",
        )
        for n, axes in ((1, (2, 1, 0)), (2, (2, 3, 1, 0)))
        for more in ("", "Transpose")
    ),
    Attribute("Optimizer", "learning_rate", KERAS, "lr"),
    Attribute("Optimizer", "apply_gradients", KERAS, advice=_STEP),
    Attribute("Optimizer", "exclude_from_weight_decay", KERAS, advice="AdamW(decay_biases=False), or AMSGrad or Lion, "
              "leaves out all parameters of fewer than two dimensions"),
    Attribute("Optimizer", "step", PYTORCH, advice=_STEP),
    Attribute("Optimizer", "finalize_variable_values", KERAS,
              advice="model.set_weights(model.get_weights(weights='ema')) takes the averages over"),
    Attribute("Optimizer", "zero_grad", PYTORCH, advice="leave it away: each backward() writes the gradients anew"),
    Attribute("Optimizer", "param_groups", PYTORCH, advice="optimizer.lr is the learning rate, layer.lr_factor the "
              "factor of a layer's"),
    Attribute("Optimizer", "state_dict", PYTORCH, advice="get_state() returns the state"),
    Attribute("Optimizer", "load_state_dict", PYTORCH, advice="set_state(state) sets the state"),
)  # fmt: skip
