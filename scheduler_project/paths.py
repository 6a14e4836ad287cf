"""Where things lie: the code, and what a running product keeps."""

from __future__ import annotations

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(os.environ.get("VAR_DIR", "").strip() or BASE_DIR / "var").absolute()
"""Everything that the product without configuration keeps: database, embedded Redis, keys."""
