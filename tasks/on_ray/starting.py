"""Wait at the start of a run for the first process with the model, and its answer."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from ray.exceptions import RayActorError

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
    lifeline: Lifeline,
    say: Callable[[str], None],
) -> Tagger:
    """Wait until one of the actors is up, which takes long when other runs use all GPUs.

    Args:
        actors: the actors, which Ray is starting.
        find: asks an actor for the model.
        lifeline: is told that the head answers.
        say: is called with a message if it takes long.

    Raises:
        ConfigurationError: there is no such model, or no process lives long enough to say so.
    """
    asked = {find(one): one for one in actors}
    started, said, deaths = time.monotonic(), False, 0
    while True:
        done, _ = wait(asked, timeout=1.0, return_when=FIRST_COMPLETED)
        lifeline.beat()
        for future in done:
            actor = asked.pop(future)
            try:
                return result(future)
            except RayActorError as error:  # Ray starts it again
                deaths += 1
                if deaths > _MAX_DEATHS:
                    why = shown(" ".join(str(error).split()))
                    raise ConfigurationError(
                        f"The processes with the model die as soon as Ray has started them: {why}"
                    ) from error
                time.sleep(_PAUSE_SECONDS)
                asked[find(actor)] = actor
        if not said and time.monotonic() - started > _SAY_AFTER_SECONDS:
            say("waiting until the cluster has a GPU or cores free for the model")
            said = True
