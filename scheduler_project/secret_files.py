"""Secrets that are generated once and kept in a file that only its owner reads."""

from __future__ import annotations

import contextlib
import os
import secrets
import string
import tempfile
from pathlib import Path

ALPHABET = string.ascii_letters + string.digits


def read_or_create(path: Path, *, length: int) -> str:
    """Return the secret in the file; write a new one of that many characters first if there is none.

    Several processes may do so at once: the file appears complete, and all get the same.
    """
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write("".join(secrets.choice(ALPHABET) for _ in range(length)) + "\n")
        with contextlib.suppress(FileExistsError):  # another process was first
            os.link(draft, path)
    finally:
        os.unlink(draft)
    return path.read_text().strip()
