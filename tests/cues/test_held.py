"""Cues that work on some frames only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp.config.settings import PredictSettings
from gasp.cues.cue import Cue, CueResult
from gasp.cues.held import HeldCue
from gasp.cues.observation import Observation
from gasp.pipeline.live import Live
from gasp.pipeline.pipeline import Pipeline
from gasp.pipeline.predictor import Predictor
from gasp.video import open_source
from gasp.video.frames import Frame
from gasp.video.live import Pulled
from helpers.streams import picture

BLANK = np.zeros((4, 4, 3), np.uint8)


class Numbers(Cue):
    """Draws the number of each frame, ``future`` frames late."""

    name = "numbers"
    needs_saliency = False

    def __init__(self, future=0):
        self.future = future
        self.seen = []
        self.waiting = []

    def push(self, observations):
        self.seen += observations
        self.waiting += observations
        count = max(0, len(self.waiting) - self.future)
        ready, self.waiting = self.waiting[:count], self.waiting[count:]
        return [CueResult(np.full((2, 2), one.number, np.uint8)) for one in ready]

    def finish(self):
        ready, self.waiting = self.waiting, []
        return [CueResult(np.full((2, 2), one.number, np.uint8)) for one in ready]


def observation(number, cut=False):
    sound = np.full(3, number, np.float32)
    return Observation(
        Frame(number, 0.1 * number, BLANK), BLANK, (1, 1), sound=sound, cut=cut, step=0.1, number=number
    )


@given(
    st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=40),
    st.integers(2, 5), st.integers(0, 3), st.integers(1, 4),
)  # fmt: skip
def test_every_frame_gets_the_latest_result(steps, every, future, batch):
    numbers, frames = -1, []
    for step, cut in steps:
        numbers += step
        frames.append(observation(numbers, cut))
    cue = Numbers(future)
    held = HeldCue(cue, every)
    held.begin(0.1)
    assert held.future == future * every
    results = []
    for first in range(0, len(frames), batch):
        results += held.push(frames[first : first + batch])
    results += held.finish()
    assert len(results) == len(frames)
    block, chosen, expected = None, None, []
    for one in frames:
        if one.number // every != block or one.cut:
            chosen = one.number
        block = one.number // every
        expected.append(chosen)
    assert [int(result.map[0, 0]) for result in results] == expected
    assert [result.age for result in results] == [
        one.number - k for one, k in zip(frames, expected, strict=True)
    ]
    # Nothing that is heard is lost, and no time.
    last = cue.seen[-1].number
    heard = np.concatenate([one.sound for one in cue.seen])
    np.testing.assert_array_equal(heard, np.concatenate([one.sound for one in frames if one.number <= last]))


def test_in_a_pipeline_and_live():
    cues = [{"name": "glance"}, {"name": "motion", "every": 3}]
    settings = PredictSettings.read({"pipeline": {"cues": cues}, "device": "cpu", "threads": 1, "why": 0})
    predictor = Predictor.load(settings)
    frames = [picture(k) for k in range(8)]
    pipeline = Pipeline(settings, predictor.networks)
    predictions = []
    for k, image in enumerate(frames):
        predictions += pipeline.step([Frame(k, 0.04 * k, image)], [None])
    predictions += pipeline.finish()
    assert [one.ages.get("motion", 0) for one in predictions] == [0, 1, 2, 0, 1, 2, 0, 1]
    np.testing.assert_array_equal(predictions[3].cues["motion"], predictions[5].cues["motion"])
    live = list(Live(Pulled(open_source(frames)), predictor))
    assert [one.ages["motion"] for one in live] == [0, 1, 2, 0, 1, 2, 0, 1]


def test_the_setting_is_checked():
    with pytest.raises(Exception, match="every"):
        PredictSettings.read({"pipeline": {"cues": [{"name": "motion", "every": 0}]}})
