"""Options of the command in files: TOML, read by the standard library and written here."""

import json

__all__ = ["read_config", "write_config"]


def read_config(path):
    """Return what a TOML file says, as a dict.

    Raises
    ------
    ValueError
        If it is no such file: with the place.
    """
    import tomllib

    with open(path, "rb") as file:
        try:
            return tomllib.load(file)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"config is {path!r}, which is not TOML: {error}") from None


def write_config(path, options):
    """Write options as TOML to a file that replaces `path` in one step.

    Parameters
    ----------
    path : str
    options : dict
        Of text, numbers, booleans and lists of them; None is left out, for TOML has none.
    """
    from ..io import replacing

    lines = [f"{name} = {_value(value)}\n" for name, value in options.items() if value is not None]
    with replacing(path) as file:
        file.write("".join(lines).encode())


def _value(value):
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        # JSON's escapes are TOML's, but that this one need not be escaped there
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value).lower() if isinstance(value, bool) else repr(value)
