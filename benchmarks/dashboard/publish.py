"""Make the dashboard of all results: asv's pages, without a request to another host, and a first page before them."""

import shutil
from pathlib import Path

from ..history import asv
from . import page
from .vendor import vendor

_OVERVIEW = '<li><a href="index.html">Overview</a></li>'
_FIRST_BUTTON = '<li id="nav-li-" class="active">'


def publish(config_path="asv.conf.json"):
    """Write the dashboard into the configuration's `html_dir`.

    Parameters
    ----------
    config_path : str or Path
        asv's configuration.

    Returns
    -------
    Path
        The folder; its `index.html` is the first page. asv's own pages need a web server, be it ``asv preview``.

    Raises
    ------
    RuntimeError
        If asv or npm fails, or asv's pages are not as they were known.
    """
    from asv.config import Config

    config_path = Path(config_path).resolve()
    done = asv("--config", str(config_path), "publish", root=config_path.parent)
    if done.returncode:
        raise RuntimeError(f"asv publish ended with {done.returncode}")
    config = Config.load(str(config_path))
    for name in ("repo", "results_dir", "html_dir"):
        setattr(config, name, str(config_path.parent / getattr(config, name)))
    html = Path(config.html_dir)
    vendor(html)
    text = (html / "index.html").read_text()
    if _FIRST_BUTTON not in text:
        raise RuntimeError("this version of asv has another navigation than the one known here")
    (html / "asv.html").write_text(text.replace(_FIRST_BUTTON, f"{_OVERVIEW}\n\t{_FIRST_BUTTON}"))
    feed = html / "regressions.xml"
    feed.write_text(feed.read_text().replace("index.html#", "asv.html#"))
    shutil.copy(Path(__file__).with_name("dashboard.css"), html)
    page.write(config, html)
    return html
