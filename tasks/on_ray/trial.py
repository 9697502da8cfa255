"""Connect to a Ray cluster once and end: ``python tasks/on_ray/trial.py ADDRESS``.

Where nothing answers as Ray does, ``ray.init`` tries for minutes and then ends its process. So a
child tries first, and its parent waits for as long as it likes.
"""

import logging
import sys

import ray


def main() -> int:
    """Print why it is not possible, in one line; 0 when it is."""
    try:
        ray.init(sys.argv[1], log_to_driver=False, logging_level=logging.ERROR)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - its parent says it
        sys.stdout.write(" ".join(str(error).split()) or type(error).__name__)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
