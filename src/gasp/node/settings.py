"""Where a node is reached, by whom, and how much it takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gasp.errors import UsageError
from gasp.messages.zeromq import check_address, is_local
from gasp.node.protocol import ADDRESS, LIMIT_MIB


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """``address``: where the node is reached. ``keys``: folder of CURVE keys (:mod:`gasp.node.keys`), needed where
    others than programs on this machine can reach it. ``limit``: bytes of the largest message. ``clients``: how many at
    once. ``idle``: seconds of silence after which a client is forgotten."""

    address: str = ADDRESS
    keys: Path | None = None
    limit: int = LIMIT_MIB * 2**20
    clients: int = 8
    idle: float = 60.0

    def check(self) -> None:
        """Raises :class:`UsageError` where the node would be open to everybody."""
        check_address(self.address)
        if self.keys is None and not is_local(self.address):
            raise UsageError(
                f"{self.address} can be reached from other machines, which needs keys: make them with "
                "gasp node --make-keys FOLDER and add --keys FOLDER; or serve tcp://127.0.0.1:5577"
            )
