"""What is done with each video of stored frames: metrics, and videos of its maps."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gasp.config.presets2021 import PROCESSED
from gasp.datasets.grouped import CAPTURED, GroupedVideo, picture_name
from gasp.errors import InputError
from gasp.published.metric_table import VideoTable
from gasp.published.plan import CuePlan, DrawingPlan, GaspPlan, InferencePlan
from gasp.published.predictor import CuePredictor, GaspPredictor, Predicted, open_cue, open_gasp
from gasp.published.truth import StoredTruth
from gasp.published.videos import VideoWriters, colour, draw_map
from gasp.video.grouped import GroupedSource, read_or_black
from gasp.work.progress import Progress, Report


@dataclass(frozen=True)
class FrameWork:
    """A plan for stored frames, with its networks loaded."""

    plan: InferencePlan
    model: GaspPlan | CuePlan
    predictor: GaspPredictor | CuePredictor
    root: Path
    report: Report

    @classmethod
    def open(cls, plan: InferencePlan, root: Path, report: Report) -> FrameWork:
        """Loads the networks. Raises :class:`~gasp.errors.GaspError` when that cannot be done."""
        model = plan.model
        assert model is not None
        predictor: GaspPredictor | CuePredictor
        if isinstance(model, GaspPlan):
            predictor = open_gasp(model, plan.name, plan.device, root)
        else:
            predictor = open_cue(model, plan.device, sound=False)
        return cls(plan, model, predictor, root, report)

    def run(self, video: GroupedVideo, fps: float) -> str:
        """Metrics and videos of one video; what was done."""
        label = f"{video.dataset}/{video.name}"
        problem = video.problem()
        if problem is not None:
            raise InputError(f"{video.folder} {problem}; it looks half-written")
        table = self._table(video)
        with ExitStack() as stack:
            writers = self._writers(video, fps, stack)
            source = GroupedSource(video.folder, fps)
            frames = stack.enter_context(closing(self.predictor.predict(source)))
            for frame in frames:
                self.report(Progress(label, frame.index + 1, video.frames, unit="frames"))
                number = video.numbers[frame.index]
                if number % self.plan.stride:
                    continue
                if table is not None:
                    table.add(number, frame.saliency, frame.gates)
                if writers is not None:
                    writers.write(self._pictures(video, number, frame))
        if table is None or self.plan.metrics is None:
            return f"{label}: {video.frames} frames"
        return table.finish(self.plan.metrics, self.root, label)

    def _table(self, video: GroupedVideo) -> VideoTable | None:
        metrics = self.plan.metrics
        if metrics is None:
            return None
        return VideoTable(StoredTruth(video, metrics, self.root, self.model.window or 1), metrics.names)

    def _writers(self, video: GroupedVideo, fps: float, stack: ExitStack) -> VideoWriters | None:
        if self.plan.videos is None:
            return None
        folder = self.root / PROCESSED / "Videos" / video.dataset / video.name
        height, width = self.plan.size
        return stack.enter_context(VideoWriters(folder, self.model.shown, fps, (width, height)))

    def _pictures(
        self, video: GroupedVideo, number: int, predicted: Predicted
    ) -> dict[str, NDArray[np.uint8]]:
        """The pictures that the plan shows."""
        drawing = self.plan.videos
        assert isinstance(drawing, DrawingPlan)

        def stored(name: str) -> NDArray[np.uint8]:
            image = predicted.images.get(name)
            return read_or_black(video.path(number, name)) if image is None else image

        frame = stored(CAPTURED)
        own = picture_name("gasp" if isinstance(self.model, GaspPlan) else self.model.cue)
        drawn = {}
        for name in self.model.shown:
            image = colour(predicted.saliency, drawing.colours) if name == own else stored(name)
            drawn[name] = draw_map(image, frame, overlay=drawing.overlay and name != CAPTURED)
        return drawn
