"""Predicting a list of inputs, each into a folder of its own; every one stands alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gasp.config.settings import PredictSettings
from gasp.errors import InputError, OutputError
from gasp.naming import printable
from gasp.pipeline.predictor import Predictor
from gasp.results.folder import ResultFolder
from gasp.results.output_settings import OutputSettings
from gasp.runs.folders import check_output, choose_folders
from gasp.runs.run import RunSummary, run
from gasp.video import open_source
from gasp.work.journal import Journal
from gasp.work.progress import Report, silent

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InputResult:
    """How predicting one input went: the ``summary``, or the ``error`` in words."""

    source: str
    summary: RunSummary | None = None
    error: str | None = None

    def plain(self) -> dict[str, Any]:
        """Plain values for JSON."""
        if self.summary is None:
            return {"source": self.source, "error": self.error}
        return self.summary.plain()


def predict_inputs(
    inputs: Sequence[str],
    out: Path,
    settings: PredictSettings,
    outputs: OutputSettings,
    *,
    overwrite: bool = False,
    report: Report = silent,
    said: Callable[[InputResult], None] = lambda result: None,
    cancel: Callable[[], bool] | None = None,
) -> list[InputResult]:
    """Predicts one input after another; one that fails is named, the others are still done.

    Args:
        inputs: Paths of videos, images, and folders of images.
        out: The folder in which each gets a folder.
        settings: Of the pipeline.
        outputs: Which results are written.
        overwrite: Begin anew, and replace what is in the way.
        report: Is told of progress.
        said: Is told of each input that is over.
        cancel: Is asked whether to stop.

    Returns:
        How each went. What failed is also written to ``failed.jsonl`` in ``out``, and struck out there when it is done.
    """
    predictor = Predictor.load(settings)
    check_output(out)
    journal = Journal(out)
    results = []
    for path, name in zip(inputs, choose_folders(inputs, out), strict=True):
        shown = printable(path)
        try:
            summary = predict_input(
                path, out / name, predictor, outputs, overwrite=overwrite, report=report, cancel=cancel
            )
        except (InputError, OutputError) as error:
            log.error("%s", error)
            results.append(InputResult(shown, error=str(error)))
            _note(journal, shown, str(error))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"stopped; what was done of {shown} is in {out / name}, and the same command goes on after the last "
                "whole piece"
            ) from None
        else:
            results.append(InputResult(shown, summary))
            _note(journal, shown, None)
        said(results[-1])
    return results


def predict_input(
    path: str | Path,
    folder: Path,
    predictor: Predictor,
    outputs: OutputSettings,
    *,
    overwrite: bool = False,
    report: Report = silent,
    cancel: Callable[[], bool] | None = None,
) -> RunSummary:
    """Predicts one input into ``folder``. Raises :class:`~gasp.errors.GaspError`."""
    with open_source(Path(path)) as source:
        return run(
            source,
            predictor,
            outputs.create(predictor.settings.every),
            ResultFolder(folder, about_run(predictor, outputs)),
            decisive={"outputs": asdict(outputs)},
            overwrite=overwrite,
            report=report,
            cancel=cancel,
        )


def about_run(predictor: Predictor, outputs: OutputSettings) -> dict[str, Any]:
    """What the manifest of a run says of settings, outputs, cues and weights."""
    return {
        "settings": predictor.settings.model_dump(mode="json"),
        "outputs": asdict(outputs),
        "cues": predictor.statements(),
        "contributions": predictor.contributions(),
        "weights": predictor.weights(),
    }


def _note(journal: Journal, name: str, reason: str | None) -> None:
    """Writes down how it went; that this fails must not hide how it went."""
    try:
        if reason is None:
            journal.done(name)
        else:
            journal.failed(name, reason)
    except OutputError as error:
        log.warning("%s", error)
