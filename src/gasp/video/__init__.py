"""Pictures and sound in, videos out. Times are seconds on the clock of the source's container."""

from gasp.video.frames import Frame
from gasp.video.reader import open_source
from gasp.video.sound import Sound, SoundStream, read_sound
from gasp.video.source import VideoSource

__all__ = ["Frame", "Sound", "SoundStream", "VideoSource", "open_source", "read_sound"]
