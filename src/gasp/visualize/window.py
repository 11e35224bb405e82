"""A window on the screen that shows pictures as they come."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gasp.errors import InputError


class Window:
    """Shows RGB pictures in a window of its own thread; the newest one wins.

    ``width``, ``height``: of what is to be shown, as the window is now: draw no larger. ``on_key`` is told of keys
    ("space", "q" and so on), from the window's thread. ``closed``: whether the user has closed it.

    Raises:
        InputError: There is no display, or Python came without Tk.
    """

    def __init__(self, title: str, width: int, height: int, on_key: Callable[[str], None]) -> None:
        self.width, self.height = width, height
        self.closed = threading.Event()
        self._on_key = on_key
        self._pictures: queue.Queue[NDArray[np.uint8]] = queue.Queue(1)
        self._ready: queue.Queue[Exception | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, args=(title,), name="window", daemon=True)
        self._thread.start()
        problem = self._ready.get()
        if problem is not None:
            raise InputError(
                f"No window can be shown ({problem}); use --headless, or install Tk (python3-tk) and set DISPLAY."
            )

    def show(self, picture: NDArray[np.uint8]) -> None:
        """Show a picture, RGB uint8 (h, w, 3); one that is still waiting is left out."""
        with suppress(queue.Empty):
            self._pictures.get_nowait()
        self._pictures.put(picture)

    def close(self) -> None:
        """Close it."""
        self.closed.set()
        self._thread.join(2)

    def _run(self, title: str) -> None:
        try:
            import tkinter

            from PIL import ImageTk

            root = tkinter.Tk(className="gasp")
        except Exception as error:  # Tk raises its own kind, which cannot be imported where Tk is missing
            self._ready.put(error)
            return
        root.title(title)
        root.geometry(f"{self.width}x{self.height}")
        root.configure(background="black")
        label = tkinter.Label(root, borderwidth=0, background="black")
        label.pack(fill="both", expand=True)
        shown: list[Any] = []

        def resized(event: Any) -> None:
            if event.widget is root:
                self.width, self.height = max(1, event.width), max(1, event.height)

        def poll() -> None:
            if self.closed.is_set():
                root.destroy()
                return
            try:
                picture = self._pictures.get_nowait()
            except queue.Empty:
                pass
            else:
                image = ImageTk.PhotoImage(
                    Image.fromarray(fit(picture, self.width, self.height)), master=root
                )
                label.configure(image=image)
                shown[:] = [image]  # Tk keeps no reference of its own
            root.after(5, poll)

        root.bind("<Configure>", resized)
        root.bind("<Key>", lambda event: self._on_key(event.keysym))
        root.protocol("WM_DELETE_WINDOW", self.closed.set)
        self._ready.put(None)
        root.after(5, poll)
        root.mainloop()
        shown.clear()
        self.closed.set()


def fit(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """The picture as large as fits into ``width`` x ``height``, its shape kept."""
    rows, columns = picture.shape[:2]
    scale = min(width / columns, height / rows)
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    if size == (columns, rows):
        return picture
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)
