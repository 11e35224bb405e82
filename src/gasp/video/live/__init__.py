"""Pictures as they happen: cameras, streams, screens, files at their own speed, frames pushed from Python."""

from gasp.video.live.addresses import Address, read_address
from gasp.video.live.capture import Capture, CaptureSettings, State
from gasp.video.live.feed import Captured, Feed, FeedEndedError, Pulled, Pushed
from gasp.video.live.mailbox import Policy

__all__ = [
    "Address",
    "Capture",
    "CaptureSettings",
    "Captured",
    "Feed",
    "FeedEndedError",
    "Policy",
    "Pulled",
    "Pushed",
    "State",
    "read_address",
]
