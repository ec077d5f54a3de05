"""Callbacks of `fit`, the history and the progress bar."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from typing import Any

__all__ = ["Callback", "History", "ProgressBar"]


class Callback:
    """Called by `fit`; override what you need. Hook names are Keras'.

    Attributes
    ----------
    model : Sequential
    params : dict
        ``epochs``, ``steps`` (batches an epoch), ``rows`` and ``batch_size``.
    """

    # set by fit
    model: Any = None
    params: Any = None

    def on_train_begin(self) -> None:
        """Before the first epoch."""

    def on_train_end(self) -> None:
        """After the last epoch, also when training was stopped."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Before an epoch, counted from 0."""

    def on_progress(self, epoch: int, step: int) -> None:
        """Now and then within a long epoch: `step` batches are done."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """After an epoch; `logs` holds its loss and metrics. Set ``self.model.stop_training = True`` to stop."""


class History(Callback):
    """What `fit` returns: losses and metrics of every epoch.

    Attributes
    ----------
    history : dict of str to list of float
    epoch : list of int
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Note the epoch."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the history as JSON, atomically."""
        from .io import save_history

        save_history(path, self.history)

    def plot(self, ax: Any = None) -> Any:
        """Draw the loss of every epoch, and of the validation data if there was any.

        Parameters
        ----------
        ax : matplotlib axes, optional

        Returns
        -------
        matplotlib axes
        """
        if ax is None:
            try:
                from matplotlib import pyplot as plt
            except ImportError as error:
                raise ImportError("History.plot needs matplotlib: pip install 'fastbp[plot]'") from error
            ax = plt.subplots()[1]
        for name in ("loss", "val_loss"):
            if name in self.history:
                ax.plot([e + 1 for e in self.epoch], self.history[name], label=name)
        ax.set(xlabel="epoch", ylabel="loss")
        ax.legend()
        return ax


class ProgressBar(Callback):
    """A bar on standard error, with loss and metrics of the last epoch; tqdm's where it is installed."""

    def on_train_begin(self) -> None:
        """Open the bar."""
        total = self.params["epochs"] * self.params["steps"]
        try:
            from tqdm import tqdm

            self._bar = tqdm(total=total, unit="batch", file=sys.stderr, mininterval=0.1)
        except ImportError:
            self._bar = None

    def on_progress(self, epoch: int, step: int) -> None:
        """Move the bar within an epoch."""
        if self._bar is not None:
            self._bar.update(epoch * self.params["steps"] + step - self._bar.n)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Move the bar to the end of the epoch and show its losses."""
        text = "  ".join(f"{name} {value:.4f}" for name, value in logs.items())
        label = f"epoch {epoch + 1}/{self.params['epochs']}"
        if self._bar is None:
            print(f"{label}  {text}", file=sys.stderr)
        else:
            self._bar.set_description(label, refresh=False)
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update((epoch + 1) * self.params["steps"] - self._bar.n)

    def on_train_end(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
