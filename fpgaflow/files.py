"""Files that a killed process never leaves half written; archives of the same bytes wherever they are made."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path


def write_atomic(path: Path, content: bytes | str) -> None:
    """Writes aside, then renames: readers see the old file or the new one, never a part."""
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(aside).chmod(0o644)
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip of `files` by path, the same byte for byte wherever and whenever it is made."""
    buffer = io.BytesIO()
    # Stored, not deflated: compressed bytes differ between builds of zlib.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as bundle:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name)  # dated 1980-01-01
            entry.create_system = 3  # Unix, so that the permissions below count
            entry.external_attr = 0o100644 << 16
            bundle.writestr(entry, content)
    return buffer.getvalue()
