"""The plotting library: Vega, Vega-Lite and vega-embed (BSD-3-Clause) as one script out of vl-convert's package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fpgaflow.errors import MissingTool
from fpgaflow.files import write_atomic

_PACKAGE = "vl-convert-python"


def plot_library(cache: Path) -> str:
    """The script, fit to stand inside a <script> element. Made once, in two seconds, then kept in the folder `cache`.

    Raises:
        MissingTool: the package that carries the library is not installed.
    """
    try:
        kept = cache / f"vega-{version(_PACKAGE)}.js"
    except PackageNotFoundError:
        raise MissingTool(
            _PACKAGE, "is not installed: the report's plots come from it", f"pip install {_PACKAGE}"
        ) from None
    if kept.is_file():
        return kept.read_text(encoding="utf-8")
    import vl_convert

    bundle: Any = vl_convert.javascript_bundle  # its stub wants a snippet, which it does not need
    script = str(bundle()).replace("</script", r"<\/script").replace("<!--", r"<\!--")
    write_atomic(kept, script)
    return script
