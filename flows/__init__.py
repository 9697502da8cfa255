"""The Prefect flow and its command line."""

import os

from prefect.context import refresh_global_settings_context
from prefect.settings import get_current_settings

# The first start of a temporary server migrates its database: more than Prefect's 20 s on a slow
# disk. The flow may be called from any folder, so no settings file of this one can say so.
if "startup_timeout_seconds" not in get_current_settings().server.ephemeral.model_fields_set:
    os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "300"
    refresh_global_settings_context()
