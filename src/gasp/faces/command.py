"""A face detector that is a program of its own, in any language, here or on another machine."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from gasp.faces.detector import clip_detections
from gasp.faces.face import Box, Detection
from gasp.messages.connecting import connector
from gasp.messages.conversation import Conversation
from gasp.messages.link import ProgramError
from gasp.messages.message import Message

log = logging.getLogger(__name__)

LONGEST = 1280
"""Pixels of the longer side of pictures that are sent, unless a size is given."""


class CommandFaceDetector:
    """Sends pictures to a program and takes its boxes: see docs/external.md for what is said.

    A program that fails costs the pictures that it was just given; it is started again with the next ones, up to
    ``restarts`` times. The other arguments are those of :class:`gasp.cues.command.CommandCue`.

    Raises :class:`~gasp.errors.UsageError` when there is no such program, or the address is none.
    """

    def __init__(
        self,
        command: Sequence[str] | None = None,
        *,
        address: str | None = None,
        size: tuple[int, int] | None = None,
        timeout: float = 2.0,
        start_timeout: float = 20.0,
        restarts: int = 3,
    ) -> None:
        self._connect = connector("face detector", command, address)
        self._size = size
        self._timeout, self._start_timeout = timeout, start_timeout
        self._starts_left = restarts + 1
        self._conversation: Conversation | None = None
        self._number = 0

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """Faces of each RGB uint8 (H, W, 3) picture, best first, boxes in its pixels and within it.

        Raises:
            ProgramError: The program failed, or did so too often.
        """
        if not images:
            return []
        conversation = self._conversation or self._greet(images[0])
        try:
            for image in images:
                conversation.ask(self._number, partial(self._tell, image, self._number))
                self._number += 1
            return [self._read(conversation.answer(), image) for image in images]
        except ProgramError:
            self.close()
            if not self._starts_left:
                log.warning("the face detector failed too often; there are no faces from now on")
            raise

    def close(self) -> None:
        """Ends the program."""
        if self._conversation is not None:
            self._conversation.close()
            self._conversation = None

    def _greet(self, first: NDArray[np.uint8]) -> Conversation:
        if not self._starts_left:
            raise ProgramError("given up", "it failed too often")
        self._starts_left -= 1
        width, height = self._sent_size(first)
        hello = {"kind": "detector", "name": "face detector", "width": width, "height": height}
        self._conversation = Conversation(
            self._connect(), hello, timeout=self._timeout, start_timeout=self._start_timeout
        )
        return self._conversation

    def _sent_size(self, image: NDArray[np.uint8]) -> tuple[int, int]:
        height, width = image.shape[:2]
        scale = min(1.0, LONGEST / max(height, width))
        return self._size or (max(1, round(scale * width)), max(1, round(scale * height)))

    def _tell(self, image: NDArray[np.uint8], number: int) -> Message:
        size = self._sent_size(image)
        same = size == (image.shape[1], image.shape[0])
        sent = image if same else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        return Message("frame", {"number": number}, {"image": sent})

    def _read(self, message: Message, image: NDArray[np.uint8]) -> list[Detection]:
        boxes, scores = (message.arrays.get(name) for name in ("boxes", "scores"))
        if not (
            isinstance(boxes, np.ndarray)
            and isinstance(scores, np.ndarray)
            and boxes.dtype == scores.dtype == np.float32
            and boxes.shape == (scores.size, 4)
            and scores.ndim == 1
        ):
            raise ProgramError("wrong answer", "its result needs float32 boxes (n, 4) and scores (n,)")
        height, width = image.shape[:2]
        sent_width, sent_height = self._sent_size(image)
        scale = (width / sent_width, height / sent_height) * 2
        found = [
            Detection(Box(*(float(v) for v in box * scale)), float(np.clip(score, 0, 1)))
            for box, score in zip(boxes, scores, strict=True)
        ]
        return clip_detections(found, height, width)
