"""Run the flow from the command line: check the options, start the run, show its result."""

import json
import logging
import threading
from http import HTTPStatus
from typing import Any, cast

import httpx
from prefect import State
from prefect.client.orchestration import get_client
from prefect.exceptions import ParameterTypeError, PrefectHTTPStatusError
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    temporary_settings,
)
from rich.console import Console

from flows.executors import require_ray
from flows.outcome import DRY_RUN, Facts, Misconfigured, RunFailed, TooManyFailures, Unfinished
from flows.saying import refuse, say
from flows.show.terminal import show
from flows.summary import Summary
from flows.tag import tag_videos
from flows.temporary import START_SECONDS
from tasks.errors import ConfigurationError, TaggingError
from tasks.model import CheckpointId
from tasks.model.misspelt import require_checkpoint
from tasks.plan import find_manifests
from tasks.shown import shown

DONE, INCOMPLETE, TOO_MANY, UNFINISHED = 0, 1, 3, 4


def run(options: dict[str, Any], as_json: bool) -> int:
    """Run the flow with these parameters; return the exit status of the command."""
    if refusal := _server_refusal():
        return refuse_run(refusal, as_json)
    if PREFECT_API_URL.value():
        return _show_result(_run(options), as_json)
    # Mistakes in the options are reported before a server starts. If one is running, the run
    # reports them, so that they are recorded there.
    if (state := _misspelt(options)) is not None:
        return _show_result(state, as_json)
    say("Starting a temporary Prefect server; set PREFECT_API_URL to use one that is running.")
    if not options.get("dry_run") and not options.get("ray"):
        # Not a daemon: a process that ends while one is inside PyTorch may abort.
        threading.Thread(target=_import_model, name="import torch").start()
    settings = {
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: START_SECONDS,
        PREFECT_SERVER_ANALYTICS_ENABLED: False,
    }
    with temporary_settings(settings):
        return _show_result(_run(options), as_json)


def refuse_run(sentence: str, as_json: bool) -> int:
    """Say why there is no run, also as JSON when that was asked for; return the exit status."""
    return _show_result(Misconfigured(sentence, Summary().as_dict()).state(), as_json)


def _server_refusal() -> str | None:
    """Say why the server that PREFECT_API_URL names cannot be used; None when it answers."""
    if not (url := PREFECT_API_URL.value()):
        return None
    try:
        with get_client(sync_client=True) as client:
            client.read_flows(limit=1)
    except (httpx.HTTPError, PrefectHTTPStatusError, ValueError) as error:
        answer = error.response if isinstance(error, httpx.HTTPStatusError) else None
        if answer is not None and answer.status_code == HTTPStatus.UNAUTHORIZED:
            return shown(
                f"The Prefect server at {url} asks for a password: set PREFECT_API_AUTH_STRING to"
                " its user:password."
            )
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return shown(
            f"No Prefect server answers at {url} ({reason}). Start it, or unset"
            " PREFECT_API_URL to use a temporary one."
        )
    return None


def _misspelt(options: dict[str, Any]) -> State[Facts] | None:
    """Return the final state of a run whose manifests, model or cluster cannot exist, as far as a
    quick check can tell; else None."""
    logging.disable(logging.WARNING)  # the run will list the manifests again, and warn
    try:
        if "ray" in options:
            require_ray(options["ray"])
        find_manifests(options["manifests"], options.get("output"), options.get("video_root"))
        if model := options.get("hf_ast"):
            require_checkpoint(CheckpointId(model, options.get("revision")))
    except ConfigurationError as error:
        return Misconfigured(str(error), Summary().as_dict()).state()
    except (TaggingError, OSError):
        pass  # the run tries again, and reports what is wrong
    finally:
        logging.disable(logging.NOTSET)
    return None


def _import_model() -> None:
    """Import what the model needs, while this process waits for the server."""
    import tasks.model.loading  # noqa: F401


def _run(parameters: dict[str, Any]) -> State[Facts]:
    return cast("State[Facts]", tag_videos(**parameters, return_state=True))


def _show_result(state: State[Facts], as_json: bool) -> int:
    """Print the result of the run, and return the exit status."""
    result = state.result(raise_on_failure=False)
    match result:
        case ParameterTypeError():
            return refuse_run(" ".join(str(result).split()), as_json)
        case RunFailed():
            facts = result.facts
        case dict():
            facts = result
        case _:  # the exception that stopped the run
            say(f"error: {state.message}")
            facts = Summary().as_dict() if as_json else {}
    if facts and as_json:
        print(json.dumps({"state": state.name, "message": state.message} | facts), flush=True)
    elif facts and state.name != Misconfigured.__name__:
        if state.name != DRY_RUN:
            show(Summary.from_dict(facts), Console())
        print(f"{state.name}: {state.message}", flush=True)
    match result:
        case TooManyFailures():
            return TOO_MANY
        case Unfinished():
            return UNFINISHED
        case Misconfigured():
            return refuse(str(result))
    done = state.name in ("Completed", DRY_RUN) and not facts.get("problems")
    return DONE if done else INCOMPLETE
