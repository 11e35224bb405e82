from __future__ import annotations

from gasp.demo import clip_path
from gasp.video import open_source


def test_clip_is_small_and_has_pictures_and_sound() -> None:
    clip = clip_path()
    assert clip.stat().st_size <= 1.5e6
    with open_source(clip) as source:
        assert (source.width, source.height, source.fps) == (640, 360, 25)
        assert 12 <= (source.duration or 0) <= 16
        sound = source.read_sound(16000)
    assert sound is not None
    assert abs(sound.samples).max() > 0.1


def test_origin_is_stated() -> None:
    text = (clip_path().parent / "README.txt").read_text(encoding="utf-8")
    for word in ("public domain", "NASA", "U.S. Navy", "eSpeak NG"):
        assert word in text
