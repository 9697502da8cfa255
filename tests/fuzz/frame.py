"""The frame of the fuzz suites: how many mutants, which ones, and how to have one again.

``FUZZ`` is the number of mutants of each suite, ``FUZZ_FIRST`` the seed of the first one. A seed
gives the same mutant each time; a suite that fails says which seeds did.
"""

import os
import traceback
from collections.abc import Callable

import pytest

MAX_SHOWN = 20


def hunt(check: Callable[[int], str | None], default: int) -> None:
    """Check the mutant of each seed, and fail with all faults at once.

    Args:
        check: makes the mutant of a seed, tries it, and says what is wrong, or None. Whatever it
            raises is a fault, too.
        default: the number of mutants where ``FUZZ`` does not say.
    """
    first = int(os.environ.get("FUZZ_FIRST", "0"))
    count = int(os.environ.get("FUZZ", str(default)))
    faults = []
    for seed in range(first, first + count):
        fault = _fault(check, seed)
        if fault:
            faults.append(f"make fuzz FUZZ=1 FUZZ_FIRST={seed}  # {fault}")
    if faults:
        shown = "\n".join(faults[:MAX_SHOWN])
        pytest.fail(f"{len(faults)} of {count} mutants:\n{shown}", pytrace=False)


def _fault(check: Callable[[int], str | None], seed: int) -> str | None:
    try:
        return check(seed)
    except Exception:  # noqa: BLE001 - a fault of this mutant, shown with the others
        return traceback.format_exc()
