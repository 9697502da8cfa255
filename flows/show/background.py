"""Collect what the page shows beside the summary: the run, its settings, examples."""

from collections.abc import Mapping
from functools import partial

from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL
from prefect.utilities.urls import url_for

from flows.show.examples import Example, Examples
from flows.show.report import Background
from tasks.extract import decoders
from tasks.labels import model_name
from tasks.shown import some
from tasks.tagger import Tagger

_MANIFESTS = 5


def background(tagger: Tagger | None, examples: Examples | None, with_sound: bool) -> Background:
    """Collect the background of a page, from within the run.

    Args:
        tagger: the model that tagged the videos; None if there was nothing to tag.
        examples: the examples that were picked.
        with_sound: whether the page may hold sound of the videos.
    """
    # A temporary server, and its pages, end with the run.
    run = url_for("flow-run", flow_run.id) if PREFECT_API_URL.value() else None
    if tagger is None:
        return Background(run, _parameters({}))
    model = {"model": model_name(tagger.checkpoint), "scores": tagger.checkpoint.activation}
    extract = partial(_extract, tagger) if with_sound else None
    return Background(run, model | _parameters(flow_run.parameters), examples, extract)


def _extract(tagger: Tagger, example: Example) -> bytes | None:
    """Extract only the window that scores highest for the tag."""
    extracted = decoders().extract(example.url, tagger.window, only_at=example.start)
    with extracted.clips as clips:
        return next((clip for _, clip in clips), None)


def _parameters(parameters: Mapping[str, object]) -> dict[str, object]:
    """Return the parameters that were given, as a person would write them."""
    given = {name: value for name, value in parameters.items() if value not in (None, "", [])}
    if isinstance(manifests := given.get("manifests"), list):
        given["manifests"] = some(list(map(str, manifests)), _MANIFESTS)
    return given
