"""Access to files: every path of the project, local or remote, goes through this package.

It is the lowest layer: it knows neither videos nor manifests, and raises only StorageError.

Settings come from where each tool's user expects them: the AWS environment, profile and
``AWS_ENDPOINT_URL`` for S3, fsspec's configuration (``~/.config/fsspec``, ``FSSPEC_S3_ANON=true``
for public buckets) for every store. Nothing here takes, keeps or prints a credential.
"""

from tasks.storage.failures import storage_error, translated
from tasks.storage.listing import is_there, list_files, matcher
from tasks.storage.local import MAX_NAME_BYTES
from tasks.storage.paths import absolute, below, is_remote, join, name, parent, relative, resolve
from tasks.storage.reading import Identity, find, identify, open_for_reading
from tasks.storage.writing import (
    keeps_start,
    overwrite,
    remove,
    replace,
    require_writable,
    scratch,
)

__all__ = [
    "MAX_NAME_BYTES",
    "Identity",
    "absolute",
    "below",
    "find",
    "identify",
    "is_remote",
    "is_there",
    "join",
    "keeps_start",
    "list_files",
    "matcher",
    "name",
    "open_for_reading",
    "overwrite",
    "parent",
    "relative",
    "remove",
    "replace",
    "require_writable",
    "resolve",
    "scratch",
    "storage_error",
    "translated",
]
