"""The one door to files: every path of the project, local or remote, goes through here.

Settings come from where each tool's user expects them: the AWS environment, profile and
``AWS_ENDPOINT_URL`` for S3, fsspec's configuration (``~/.config/fsspec``, ``FSSPEC_S3_ANON=true``
for public buckets) for every store. Nothing here takes, keeps or prints a credential.
"""

from tasks.storage.failures import describe, redact, storage_errors
from tasks.storage.files import (
    Identity,
    OpenManifest,
    identify,
    open_for_reading,
    open_manifest,
    overwrite,
    remove,
    replace,
    require_writable,
    scratch,
)
from tasks.storage.listing import LEDGER_SUFFIX, list_manifests
from tasks.storage.paths import absolute, is_remote, join, name, parent, resolve

__all__ = [
    "LEDGER_SUFFIX",
    "Identity",
    "OpenManifest",
    "absolute",
    "describe",
    "identify",
    "is_remote",
    "join",
    "list_manifests",
    "name",
    "open_for_reading",
    "open_manifest",
    "overwrite",
    "parent",
    "redact",
    "remove",
    "replace",
    "require_writable",
    "resolve",
    "scratch",
    "storage_errors",
]
