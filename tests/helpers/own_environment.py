"""A fixture for tests of files from elsewhere; a ``conftest.py`` that imports it applies it to its folder."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the user's cache, mirror or proxy."""
    for name in ("GASP_MIRROR", "GASP_OFFLINE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GASP_CWD", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
