"""``python -m fastbp`` is the command ``fastbp``."""

import sys

from .cli import main

sys.exit(main())
