"""Pictures and sound in, videos out. Times are seconds on the clock of the source's container."""

from gasp.video.frames import Frame
from gasp.video.image_writers import GifWriter, ImageFolderWriter
from gasp.video.prefetch import prefetch
from gasp.video.reader import open_source
from gasp.video.sound import Sound, SoundStream, read_sound
from gasp.video.source import VideoSource
from gasp.video.writer import PictureWriter, VideoWriter

__all__ = [
    "Frame",
    "GifWriter",
    "ImageFolderWriter",
    "PictureWriter",
    "Sound",
    "SoundStream",
    "VideoSource",
    "VideoWriter",
    "open_source",
    "prefetch",
    "read_sound",
]
