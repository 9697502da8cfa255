"""Check before the first video that every machine of a cluster has what the run needs."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import ray
from ray import ObjectRef
from ray.exceptions import NodeDiedError, RayError, TaskUnschedulableError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tasks.cache import Cache
from tasks.errors import ConfigurationError
from tasks.on_ray.remote import Inspected, Work, code_fingerprint, inspect
from tasks.on_ray.waiting import Lifeline
from tasks.on_ray.watching import Machine, machines
from tasks.shown import shown, shown_url


def inspect_machines(
    there: Sequence[Machine], work: Work, cache: Cache | None, model: str, lifeline: Lifeline
) -> None:
    """Inspect all machines at the same time; one that is lost in the meantime is left out.

    Args:
        there: the machines of the cluster.
        work: the settings of the run.
        cache: the cache, which all machines must see.
        model: the checkpoint as the user names it.
        lifeline: tells whether it is worth waiting.

    Raises:
        ConfigurationError: one lacks what the run needs.
    """
    # num_cpus=0: a machine that is busy answers too.
    ask: Any = ray.remote(num_cpus=0, max_retries=0)(inspect)
    with cache.probe() if cache else nullcontext("") as probe:
        asked = []
        for machine in there:
            on_it = NodeAffinitySchedulingStrategy(machine.node, soft=False)
            asked.append(
                (machine, ask.options(scheduling_strategy=on_it).remote(work, probe, model))
            )
        answered = [(one, _answer(one, reference, lifeline)) for one, reference in asked]
    answers = [(machine, inspected) for machine, inspected in answered if inspected]
    for machine, inspected in answers:
        if inspected.code != code_fingerprint():
            raise ConfigurationError(
                f"The machine {machine.address} has another version of this package: install the"
                " same on every machine."
            )
        if cache and not inspected.sees_cache:
            raise ConfigurationError(
                f"The machine {machine.address} does not see the cache {shown_url(cache.url)}: name"
                " one that all machines share by --cache, or use --no-cache."
            )
    _require_one_model([one for one in answers if one[0].gpus] or answers, model)


def _answer(
    machine: Machine, reference: "ObjectRef[Inspected]", lifeline: Lifeline
) -> Inspected | None:
    """Wait for what a machine reports; None if it is lost."""
    try:
        return lifeline.wait(reference)
    except (NodeDiedError, TaskUnschedulableError):
        return None
    except (RayError, ImportError) as error:
        if machine.node not in {one.node for one in machines()}:
            return None
        said = shown(str(error).strip().splitlines()[-1])
        raise ConfigurationError(
            f"The machine {machine.address} cannot run this package ({said}): install it there as"
            " it is here."
        ) from error


def _require_one_model(answers: Sequence[tuple[Machine, Inspected]], model: str) -> None:
    """Require the same folder on each machine that tags; each downloads a model of the hub."""
    with_model = [(machine, one.model) for machine, one in answers if one.model]
    if not with_model and not Path(model).is_dir():
        return
    for machine, inspected in answers:
        if inspected.model is None:
            raise ConfigurationError(
                f"The model's folder {shown(model)} is not there on the machine {machine.address}."
            )
        if inspected.model != with_model[0][1]:
            raise ConfigurationError(
                f"The model in {shown(model)} on the machine {machine.address} differs from the"
                f" one on {with_model[0][0].address}."
            )
