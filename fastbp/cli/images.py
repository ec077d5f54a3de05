"""Images: arrays and folders of files, the net that tells them apart, and the model that the command makes of it."""

import math
import os

import numpy as np

from ..layers import Conv2D, Dense, Flatten, MaxPooling2D
from ..table import Preparation
from ..table.columns import moments
from ..table.model import decoded, encoded
from .data import Data, are_arrays, arrays_of, files_in, finite

__all__ = ["NETS", "OF_TABLES", "ImageModel", "Images", "check_size", "knowing", "lenet", "load_images", "scale_of"]

#: What `--net` takes, with the sizes of the hidden layers that `--layers` changes.
NETS = {"dense": [256], "lenet": [120, 84]}
#: The fewest pixels of a side that are left to see after two convolutions and two pools.
_SMALLEST = 16
#: Options that say what columns are.
OF_TABLES = ("target", "drop", "only", "split_by", "weights_column", "columns", "missing", "separator", "decimal",
             "thousands", "encoding", "header")  # fmt: skip
#: How files of images end; others may lie beside the folders of classes.
_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
#: Pillow's words for pixels of 8 bits that are grey, and for others that become red, green and blue.
_GREY, _COLOURED = ("1", "L"), ("P", "PA", "RGB", "RGBA", "RGBX", "LA", "CMYK", "YCbCr", "LAB", "HSV")


class Images(Data):
    """Images with what is to be predicted of them.

    Attributes
    ----------
    table : ndarray, shape (images, height, width, channels)
    files : list of str or None
        The file of each image, where they are files.
    """

    def __init__(self, table, y=None, files=None, test=None):
        super().__init__(table, y, test=test)
        self.files = files

    def rows(self, places):
        """Return the images at some places, or where an array of bool says so."""
        files = None if self.files is None else np.asarray(self.files, object)[places].tolist()
        return Images(self.table[places], None if self.y is None else self.y[places], files)

    def place(self, row):
        """Return what messages call an image: its file, where it is one."""
        return f"image {row}" if self.files is None else self.files[row]


def load_images(args, labelled=True, channels=None):
    """Return the images of the files that are asked for.

    Parameters
    ----------
    args : argparse.Namespace
    labelled : bool
        Whether it must be known what they show.
    channels : int, optional
        Of files: 1 reads them as grey, 3 as red, green and blue. By default they are grey where all are.

    Returns
    -------
    Images
        Whole numbers from 0 to 255 as uint8.
    """
    paths = args.data
    for name in OF_TABLES:
        if getattr(args, name, None) is not None:
            raise ValueError(f"--{name.replace('_', '-')} is for a table, and {' '.join(paths)} is taken for images")
    if are_arrays(paths, labelled):
        arrays = arrays_of(paths, labelled)
        return _together(*(_of_arrays(arrays, suffix) for suffix in ("", "_test") if f"x{suffix}" in arrays))
    if not labelled:
        files = [file for path in paths for file in (files_in(path) if os.path.isdir(path) else [path])]
        if not files:
            raise ValueError(f"{' '.join(paths)} has no images")
        return Images(_pixels(files, channels), files=files)
    if len(paths) != 1 or not os.path.isdir(paths[0]):
        kinds = "one .npz file, two .npy files (x and y) or a folder of images by class"
        raise ValueError(f"the images are {' '.join(paths)}; they must be {kinds}")
    names = _folders_in(paths[0])
    if names == ["test", "train"]:
        return _together(*(_of_classes(os.path.join(paths[0], name), channels) for name in ("train", "test")))
    return _of_classes(paths[0], channels)


def _together(data, test=None):
    """Return images with those that are there to test on, if these have the same size."""
    if test is not None and data.table.shape[1:] != test.table.shape[1:]:
        sizes = f"{test.place(0)} has {_size(test.table)} to test on, and {data.place(0)} {_size(data.table)}"
        raise ValueError(f"{sizes} to train on (height x width x channels); all images must have one size")
    data.test = test
    return data


def _of_arrays(arrays, suffix):
    """Return the images of arrays with their labels, if there are some, or say what is wrong with them."""
    x, y = arrays["x" + suffix], arrays.get("y" + suffix)
    if x.dtype.kind not in "biuf" or x.ndim not in (3, 4) or x.size == 0:
        must = "it must hold images: (n, height, width) or (n, height, width, channels)"
        raise ValueError(f"x{suffix} is {x.dtype} of shape {x.shape}; {must}")
    images = finite(f"x{suffix}", x if x.ndim == 4 else x[..., None])
    if x.dtype.kind != "f" and x.min() >= 0 and x.max() <= 255:
        images = images.astype(np.uint8)
    if y is None:
        return Images(images)
    if y.dtype.kind not in "biufUS" or y.ndim not in (1, 2):
        must = "it must be labels (n,) or numbers (n, m)"
        raise ValueError(f"y{suffix} is {y.dtype} of shape {y.shape}; {must}")
    if len(x) != len(y):
        raise ValueError(f"x{suffix} has {len(x)} images and y{suffix} has {len(y)} rows; they must be equally many")
    return Images(images, finite(f"y{suffix}", y[:, 0] if y.shape[1:] == (1,) else y))


def _size(images):
    """Return height, width and channels of images as messages have them: "28x28x1"."""
    return "x".join(map(str, images.shape[1:]))


def check_size(net, shape, what):
    """Refuse images that are too small for a net.

    Parameters
    ----------
    net : str
    shape : tuple of int
        (height, width, channels).
    what : str
        Where they come from.
    """
    if min(shape[:2]) >= _SMALLEST:
        return
    height, width, channels = shape
    hint = ""
    if height <= 4 and min(width, channels) >= _SMALLEST:
        hint = "; channels come last, and x.transpose(0, 2, 3, 1) puts them there"
    need = f"{net} needs images of at least {_SMALLEST}x{_SMALLEST} pixels"
    raise ValueError(f"{need}; those of {what} have {height}x{width}, and {channels} channels{hint}")


# ------------------------------------------------------------------------------------------ folders


def _folders_in(folder):
    found = [entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith(".")]
    return sorted(found)


def _of_classes(folder, channels):
    """Return the images of a folder that has one for each class."""
    names = _folders_in(folder)
    if not names:
        raise ValueError(f"{folder} has no folders; it must have one for each class, with its images")
    loose = [name for name in sorted(os.listdir(folder)) if name.lower().endswith(_ENDINGS)]
    if loose:
        path = os.path.join(folder, loose[0])
        raise ValueError(f"{path} is in no folder of a class; there may be no images beside these")
    files, labels = [], []
    for name in names:
        inside = files_in(os.path.join(folder, name))
        if not inside:
            raise ValueError(f"{os.path.join(folder, name)} has no images; each folder stands for a class")
        files += inside
        labels += [name] * len(inside)
    return Images(_pixels(files, channels), np.array(labels), files)


def _pixels(files, channels):
    """Return the pixels of files: grey where all are, or as many channels as are asked for."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise ImportError("files of images need Pillow: pip install pillow") from None
    found = []
    for path in files:
        try:
            with Image.open(path) as image:
                if image.mode not in (*_GREY, *_COLOURED):
                    raise ValueError(f"{path} has pixels of Pillow's mode {image.mode!r}; 8 bits a channel are taken")
                grey = image.mode in _GREY if channels not in (1, 3) else channels == 1
                # as a viewer turns it
                pixels = np.asarray(ImageOps.exif_transpose(image).convert("L" if grey else "RGB"))
        except UnidentifiedImageError:
            raise ValueError(f"{path} is no image that Pillow knows") from None
        except (SyntaxError, OSError) as error:
            if isinstance(error, OSError) and error.filename is not None:
                raise
            raise ValueError(f"{path} cannot be read as an image: {error}") from None
        found.append(pixels)
        if pixels.shape[:2] != found[0].shape[:2]:
            (height, width), (first_height, first_width) = pixels.shape[:2], found[0].shape[:2]
            sizes = f"{path} has {height}x{width} pixels, and {files[0]} {first_height}x{first_width}"
            raise ValueError(f"{sizes} (height x width); all images must have one size")
    if all(pixels.ndim == 2 for pixels in found):
        return np.stack(found)[..., None]
    return np.stack([np.stack([pixels] * 3, axis=2) if pixels.ndim == 2 else pixels for pixels in found])


# -------------------------------------------------------------------------------------------- model


def lenet(sizes, activation):
    """Return the layers of LeNet-5 up to the last one: two convolutions, each with a pool, then dense layers.

    Parameters
    ----------
    sizes : list of int
        Of the dense layers; 120 and 84 of LeCun et al. 1998, Proc. IEEE 86(11).
    activation : str

    Returns
    -------
    list of Layer
    """
    return [
        Conv2D(6, 5, activation=activation), MaxPooling2D(2), Conv2D(16, 5, activation=activation), MaxPooling2D(2),
        Flatten(), *(Dense(size, activation=activation) for size in sizes),
    ]  # fmt: skip


def scale_of(images):
    """Return the mean and the deviation of all pixels, the same on every machine.

    Parameters
    ----------
    images : ndarray

    Returns
    -------
    mean, scale : float
    """
    if images.dtype != np.uint8:
        return moments(images.ravel().astype(np.float64))[:2]
    counts = np.bincount(images.ravel(), minlength=256).tolist()
    n, total, squares = (sum(k**power * count for k, count in enumerate(counts)) for power in range(3))
    return total / n, math.sqrt(max(n * squares - total**2, 0)) / n or 1.0


class ImageModel:
    """A net that takes images, with what its outputs mean: a part of the metadata in its file.

    Parameters
    ----------
    net : Sequential
        Compiled.
    preparation : Preparation
        That knows the targets, and no column.
    of_bytes : bool
        Whether the images of the training were whole numbers.
    """

    def __init__(self, net, preparation, of_bytes):
        self.net, self.preparation, self.of_bytes = net, preparation, of_bytes
        self.loss_function = net.loss_function

    @classmethod
    def of(cls, path, net):
        """Return the model of a net that `fastbp train` wrote, or None where it takes no images."""
        metadata = (net.metadata or {}).get("images")
        if metadata is None:
            return None
        try:
            return cls(net, knowing(metadata["targets"]), bool(metadata["bytes"]))
        except (KeyError, TypeError, ValueError):
            text = f"{path} has metadata of images that are not `fastbp train`'s: {metadata!r}"
            raise ValueError(text) from None

    @property
    def metadata(self):
        """What a file needs besides the net."""
        return {"bytes": self.of_bytes, "targets": self.preparation.get_config()["goal"]}

    def load(self, args, labelled):
        """Return images of files, or say how they differ from those of the training."""
        *size, channels = self.net.input_shape
        data = load_images(args, labelled, channels)
        if data.table.shape[1:] != (*size, channels):
            named = args.data[0] if data.files is None else data.files[0]
            takes = "x".join(map(str, self.net.input_shape))
            text = f"{named} has {_size(data.table)}, and the images of the training had {takes}"
            raise ValueError(f"{text} (height x width x channels)")
        of_bytes = data.table.dtype.kind != "f"
        if of_bytes is not self.of_bytes:
            kinds = "whole numbers", "fractions"
            has, had = kinds if of_bytes else kinds[::-1]
            text = f"{args.data[0]} has {has} for pixels, and the training had {had}"
            raise ValueError(f"{text}; in an array x.astype makes the others, where the scale is the same")
        return data

    def predict(self, images):
        """Return probabilities or numbers, as of a `PreparedModel`."""
        return decoded(self.net.predict(images), self.preparation, self.net)

    def evaluate(self, images, targets, return_dict):
        """Return the loss of images, and the metrics."""
        numbers, units = self.preparation.transform_target(targets), self.net.layers[-1].units
        wide = encoded(numbers, self.preparation.classes, self.loss_function, units)
        return self.net.evaluate(images, wide, return_dict=return_dict)

    def save(self, path):
        """Write the net, and so the metadata."""
        self.net.save(path)

    def __str__(self):
        size, goal = "x".join(map(str, self.net.input_shape)), str(self.preparation).splitlines()[-1]
        return f"images: {size}, {'whole numbers' if self.of_bytes else 'fractions'}\n{goal}\n\n{self.net}"


def knowing(goal):
    """Return a preparation that knows targets alone.

    Parameters
    ----------
    goal : dict of str to object
        What `Preparation.get_config` has of them.
    """
    known = {"options": {"task": goal["task"]}, "named": False, "ignored": [], "columns": [], "warnings": []}
    return Preparation.from_config({**known, "goal": goal})
