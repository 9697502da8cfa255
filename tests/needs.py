"""What tests need of the machine. Without it they skip; where ``REQUIRE_ALL`` is set they fail.

A skip hides that something was not tested, so CI (``.ci/run``) sets ``REQUIRE_ALL``.
"""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

# Debian keeps PostgreSQL's programs where no shell finds them.
_MORE_FOLDERS = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)


def program(*names: str) -> str:
    """Return the path of the first of these programs that is installed.

    Args:
        names: one program under its several names.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_MORE_FOLDERS])
    for name in names:
        if found := shutil.which(name, path=path):
            return found
    missing(f"{names[0]} is not installed")


def root() -> None:
    """Require the rights of root, for tests that give files to other users."""
    if os.geteuid() != 0:
        missing("only root may do this")


def missing(reason: str) -> NoReturn:
    """Skip the test, or fail it where everything must be there."""
    if os.environ.get("REQUIRE_ALL"):
        pytest.fail(f"{reason}, and REQUIRE_ALL is set", pytrace=False)
    pytest.skip(reason)
