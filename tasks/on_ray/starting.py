"""Wait at the start of a run for the first process with the model, and its answer."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from ray.exceptions import ActorUnavailableError, RayActorError

from tasks.errors import ConfigurationError
from tasks.on_ray.waiting import Lifeline, result
from tasks.shown import shown
from tasks.tagger import Tagger

_SAY_AFTER_SECONDS = 15.0
_PAUSE_SECONDS = 1.0
_MAX_DEATHS = 10


def first_answer(
    actors: Sequence[Any],
    find: Callable[[Any], Future[Tagger]],
    outdated: Callable[[], bool],
    lifeline: Lifeline,
    say: Callable[[str], None],
) -> Tagger | None:
    """Wait until one of the actors is up, which takes long when other runs use all GPUs.

    Args:
        actors: the actors, which Ray is starting.
        find: asks an actor for the model.
        outdated: tells whether the cluster has changed, so that other actors are needed.
        lifeline: tells whether it is worth waiting.
        say: is called with a message if it takes long.

    Returns:
        The answer; None if other actors are needed.

    Raises:
        ConfigurationError: there is no such model, or no process lives long enough to say so.
        ClusterLost: the head does not answer any more.
    """
    asked = {find(one): one for one in actors}
    started, said, deaths = time.monotonic(), False, 0
    while not outdated():
        done, _ = wait(asked, timeout=1.0, return_when=FIRST_COMPLETED)
        lifeline.require()
        for future in done:
            actor = asked.pop(future)
            try:
                return result(future)
            except RayActorError as error:  # Ray starts it again
                deaths += not isinstance(error, ActorUnavailableError)  # it is being started
                if deaths > _MAX_DEATHS:
                    why = shown(" ".join(str(error).split()))
                    raise ConfigurationError(
                        f"The processes with the model die as soon as Ray has started them: {why}"
                    ) from error
                time.sleep(_PAUSE_SECONDS)
                asked[find(actor)] = actor
        if not said and time.monotonic() - started > _SAY_AFTER_SECONDS:
            say("waiting for a process with the model: it is starting, or no GPU or cores are free")
            said = True
    return None
