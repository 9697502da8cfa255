"""The temporary Prefect server, which Prefect starts for a run if no server is named."""

import os

from prefect.context import refresh_global_settings_context
from prefect.settings import get_current_settings

# The first start migrates its database; Prefect gives up after 20 s by default.
START_SECONDS = 300


def allow_time_to_start() -> None:
    """Give a temporary server minutes to start, unless the user's settings have a limit.

    The flow may be called from any folder, so that a settings file in this one may not be read.
    """
    if "startup_timeout_seconds" in get_current_settings().server.ephemeral.model_fields_set:
        return
    os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = str(START_SECONDS)
    refresh_global_settings_context()
