"""The live driver: equal results, every frame accounted for, and what it does when it cannot keep up."""

from __future__ import annotations

import asyncio
import threading
import time
from itertools import pairwise

import numpy as np
import pytest

import gasp
from gasp.config.settings import PredictSettings
from gasp.errors import InputError
from gasp.pipeline import live as live_module
from gasp.pipeline.live import Live, LiveSettings, _Level
from gasp.pipeline.live_statistics import Statistics
from gasp.pipeline.pipeline import Pipeline
from gasp.pipeline.predict import predict_source
from gasp.pipeline.predictor import Predictor
from gasp.video import open_source
from gasp.video.live import Pulled, Pushed
from helpers.streams import picture

SMALL = {"device": "cpu", "batch": 1, "threads": 1}


@pytest.fixture(scope="module")
def predictor():
    return Predictor.load(PredictSettings.read(SMALL))


def pictures(count, width=160, height=96):
    return [picture(k, width, height) for k in range(count)]


def test_results_are_those_of_the_file_driver(predictor):
    tone = np.sin(np.arange(16000) * 0.05).astype(np.float32)
    plain = Predictor(predictor.settings.model_copy(update={"why": 0.0}), predictor.networks)
    source = open_source(pictures(12), sound=(tone, 16000))
    expected = list(predict_source(source, plain.begin(source)))
    got = list(Live(Pulled(open_source(pictures(12), sound=(tone, 16000))), plain))
    assert [result.prediction.index for result in got] == list(range(12))
    for result, one in zip(got, expected, strict=True):
        np.testing.assert_allclose(result.prediction.saliency, one.saliency, atol=1e-5)
        assert result.prediction.time == one.time
        assert [face.track_id for face in result.prediction.faces] == [face.track_id for face in one.faces]
        assert result.level == 0
        assert set(result.ages.values()) == {0}


def test_contributions_come_when_a_spread_look_is_over(predictor):
    got = [result.prediction for result in Live(Pulled(open_source(pictures(24))), predictor)]
    there = [one.why is not None for one in got]
    assert not there[0]
    assert all(there[20:])
    last = got[-1].contributions
    whole = last.baseline + last.maps.sum(0)
    density = got[-1].saliency / got[-1].saliency.sum()
    np.testing.assert_allclose(whole, density, atol=1e-5)


def test_every_frame_is_accounted_for(predictor):
    feed = Pushed(fps=50)
    live = Live(feed, predictor)

    def push():
        for k in range(40):
            feed.push(picture(k))
            time.sleep(0.004)
        feed.end()

    threading.Thread(target=push).start()
    results = list(live)
    counts = live.counts
    assert counts.received == 40
    assert counts.results == len(results)
    assert counts.dropped > 0
    assert counts.received == counts.results + counts.dropped + counts.failed
    assert counts.waiting == 0
    sequences = [result.sequence for result in results]
    assert sequences == sorted(set(sequences))
    for result in results:
        latency = result.latency
        assert latency.total >= latency.looking
        assert latency.total == pytest.approx(latency.waiting + latency.looking + latency.computing, abs=0.05)


def test_time_never_goes_back(predictor):
    feed = Pushed(policy="every")

    def push():
        for k, t in enumerate((0.0, 0.04, 0.03, 0.03, -5.0, 0.2)):
            feed.push(picture(k), time_s=t)
        feed.end()

    threading.Thread(target=push).start()
    times = [result.prediction.time for result in Live(feed, predictor)]
    assert len(times) == 6
    assert all(later > earlier for earlier, later in pairwise(times))


def test_pictures_of_another_size(predictor):
    source = Pulled(open_source(pictures(3)))
    mixed = iter([*pictures(4), *pictures(4, 200, 120), *pictures(3)])
    feed = Pushed(policy="every")

    def push():
        for one in mixed:
            feed.push(one)
        feed.end()

    threading.Thread(target=push).start()
    live = Live(feed, predictor)
    shapes = [result.prediction.image.shape[:2] for result in live]
    assert shapes == [(96, 160)] * 4 + [(120, 200)] * 4 + [(96, 160)] * 3
    source.close()


def test_a_frame_that_fails_costs_itself(predictor, monkeypatch):
    real, calls = Pipeline.step, []

    def fails_once(self, *arguments):
        calls.append(1)
        if len(calls) == 4:
            raise ZeroDivisionError("broken")
        return real(self, *arguments)

    monkeypatch.setattr(Pipeline, "step", fails_once)
    live = Live(Pulled(open_source(pictures(8))), predictor)
    results = list(live)
    assert len(results) == 7
    assert live.counts == live_module.Counts(8, 7, 0, 1)


def test_an_error_while_looking_is_raised(predictor, monkeypatch):
    def broken(self, frames):
        raise InputError("the picture cannot be looked at")

    monkeypatch.setattr(Pipeline, "look", broken)
    with pytest.raises(InputError, match="looked at"):
        list(Live(Pulled(open_source(pictures(3))), predictor))


def test_what_was_seen_is_held_and_its_age_told(predictor):
    live = Live(Pulled(open_source(pictures(7))), predictor, LiveSettings(update=3))
    ages = [result.ages for result in live]
    assert [one["glance"] for one in ages] == [0, 1, 2, 0, 1, 2, 0]
    assert [one["detection"] for one in ages] == [0, 1, 2, 0, 1, 2, 0]
    assert {one["motion"] for one in ages} == {0}


@pytest.mark.parametrize("level", [1, 2, 3])
def test_levels_leave_work_out_and_take_it_up_again(predictor, level):
    live = Live(Pulled(open_source(pictures(30))), predictor)
    results = []
    live._level.value = level
    for result in live:
        results.append(result)
        if len(results) == 12:
            live._level.value = 0
    assert results[5].level == level
    assert {result.ages["glance"] for result in results[4:10]} == {0, 1}
    assert results[-1].level == 0
    assert {result.ages["glance"] for result in results[-5:]} == {0}
    for result in results:
        saliency = result.prediction.saliency
        assert saliency.shape == results[0].prediction.saliency.shape
        assert np.isfinite(saliency).all()
        assert saliency.max() == 1


def test_who_cannot_keep_up_still_learns_why(predictor):
    live = Live(Pulled(open_source(pictures(45))), predictor)
    live._level.value = 3
    assert list(live)[-1].prediction.why


def test_smaller_maps_say_much_the_same(predictor):
    def last(level):
        live = Live(Pulled(open_source(pictures(6))), predictor)
        live._level.value = level
        return list(live)[-1].prediction.saliency.ravel()

    assert np.corrcoef(last(0), last(2))[0, 1] > 0.8


def test_the_level_rises_when_late_and_falls_when_early():
    level = _Level(0.1)
    assert [level.note(0.2) for _ in range(5)] == [False] * 4 + [True]
    for _ in range(20):
        level.note(0.2)
    assert level.value == 3
    for _ in range(3 * 16 * _Level.EARLY):
        level.note(0.01)
    assert level.value == 0
    assert not level.note(0.09)  # neither late nor early
    never = _Level(0)
    assert not any(never.note(9) for _ in range(100))
    patient = _Level(0.1)
    for _ in range(100):
        patient.note(0.25, ahead=0.2)  # a cue that looks ahead is not late
    assert patient.value == 0


def test_stopping_from_another_thread(predictor):
    feed = Pushed()
    live = Live(feed, predictor)
    feed.push(picture(0))
    threading.Timer(0.5, live.stop).start()
    assert len(list(live)) == 1


def test_stream_in_three_ways():
    frames = pictures(4)
    with gasp.stream(frames, **SMALL) as plain:
        first = [prediction.index for prediction in plain]
    seen = []
    with gasp.stream(frames, **SMALL) as called:
        called.each(lambda prediction: seen.append(prediction.index))

    async def collect():
        return [prediction.index async for prediction in gasp.stream(frames, **SMALL)]

    assert first == seen == asyncio.run(collect()) == [0, 1, 2, 3]


def test_statistics(predictor):
    statistics = Statistics()
    for result in Live(Pulled(open_source(pictures(6))), predictor):
        statistics.note(result)
    plain = statistics.plain()
    assert plain["results"] == 6
    assert plain["levels"] == {0: 6}
    assert plain["results_per_second"] > 0
    spread = statistics.latency()
    assert 0 < spread.median <= spread.p95 <= spread.p99
