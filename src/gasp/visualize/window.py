"""A window on the screen that shows pictures as they come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gasp.errors import InputError


class Window:
    """Shows RGB pictures in a window. All of it must be used from one thread, which calls :meth:`update` often.

    ``width``, ``height``: of what is to be shown, as the window is now: draw no larger. ``on_key`` is told of keys
    ("space", "q" and so on). ``closed``: whether the user has closed it.

    Raises:
        InputError: There is no display, or Python came without Tk.
    """

    def __init__(self, title: str, width: int, height: int, on_key: Callable[[str], None]) -> None:
        self.width, self.height = width, height
        self.closed = False
        try:
            import tkinter

            from PIL import ImageTk

            root = tkinter.Tk(className="gasp")
        except Exception as error:  # Tk raises its own kind, which cannot be imported where Tk is missing
            raise InputError(
                f"No window can be shown ({error}); use --headless, or install Tk (python3-tk) and set DISPLAY."
            ) from error
        self._root = root
        self._make_image = ImageTk.PhotoImage
        self._shown: Any = None
        root.title(title)
        root.geometry(f"{width}x{height}")
        root.configure(background="black")
        self._label = tkinter.Label(root, borderwidth=0, background="black")
        self._label.pack(fill="both", expand=True)
        root.bind("<Configure>", self._resize)
        root.bind("<Key>", lambda event: on_key(event.keysym))
        root.protocol("WM_DELETE_WINDOW", self.close)
        self.update()

    def show(self, picture: NDArray[np.uint8]) -> None:
        """Show a picture, RGB uint8 (h, w, 3)."""
        if self.closed:
            return
        image = Image.fromarray(fit(picture, self.width, self.height))
        self._shown = self._make_image(image, master=self._root)  # Tk keeps no reference of its own
        self._label.configure(image=self._shown)
        self.update()

    def update(self) -> None:
        """Let the window answer to the user."""
        if not self.closed:
            self._root.update()

    def close(self) -> None:
        """Close it."""
        if not self.closed:
            self.closed = True
            self._root.destroy()
            self._shown = None

    def _resize(self, event: Any) -> None:
        if event.widget is self._root:
            self.width, self.height = max(1, event.width), max(1, event.height)


def fit(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """The picture as large as fits into ``width`` x ``height``, its shape kept."""
    rows, columns = picture.shape[:2]
    scale = min(width / columns, height / rows)
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    if size == (columns, rows):
        return picture
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)
