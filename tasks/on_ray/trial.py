"""Connect to a Ray cluster once and end: ``python tasks/on_ray/trial.py ADDRESS``.

If no Ray answers, ``ray.init`` tries for minutes and then ends its process. So a child process
tries first, and its parent decides how long to wait.
"""

import logging
import sys

import ray


def main() -> int:
    """Connect; return 0, or print in one line why it failed and return 1."""
    try:
        ray.init(sys.argv[1], log_to_driver=False, logging_level=logging.ERROR)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - its parent reports it
        sys.stdout.write(" ".join(str(error).split()) or type(error).__name__)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
