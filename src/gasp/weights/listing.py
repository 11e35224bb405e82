"""What is published, what ships with the package, and what of it is on this computer."""

from __future__ import annotations

from typing import Any

from gasp.weights.catalogue import ENTRIES
from gasp.weights.download import find_downloaded
from gasp.weights.shipped import packaged, packaged_names, read_metadata


def everything() -> dict[str, Any]:
    """All that is known of published and packaged weights, as plain values."""
    published = [
        entry.to_dict() | {"downloaded": str(path) if (path := find_downloaded(entry)) else None}
        for entry in ENTRIES
    ]
    shipped = [{"name": name, **read_metadata(packaged(name))} for name in packaged_names()]
    return {"published": published, "packaged": shipped}
