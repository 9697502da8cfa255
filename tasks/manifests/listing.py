"""Which manifests a pattern stands for."""

from tasks.errors import ConfigurationError, FailureKind, StorageError
from tasks.manifests import format_of, is_manifest
from tasks.manifests.ledger import LEDGER_SUFFIX
from tasks.shown import shown_url
from tasks.storage import absolute, is_there, list_files, name, parent


def list_manifests(pattern: str) -> list[str]:
    """List the manifests that a file name, a folder (at any depth) or a glob stands for, sorted.

    A folder or glob gives what has a manifest's extension and no hidden part below the folder it
    starts from, so neither ledgers nor temporary files. Always asks the store.

    Raises:
        ConfigurationError: nothing matches, or the store refuses to list.
    """
    url = absolute(pattern)
    if url.endswith(LEDGER_SUFFIX):
        raise ConfigurationError(f"{shown_url(url)} is a failure ledger, not a manifest.")
    try:
        files = list_files(url)
    except StorageError as error:
        raise ConfigurationError(f"{shown_url(url)} cannot be listed: {_why(error)}.") from error
    if files == [url]:
        format_of(url)
        return files
    manifests = [file for file in files if is_manifest(file)]
    if not manifests:
        raise ConfigurationError(f"There is no manifest at {shown_url(url)}.")
    return manifests


def table_of(folder: str) -> str | None:
    """Name the kind of table whose Parquet files this folder holds, above its partitions, if it
    is one.

    The log of such a table knows how large each file is, and readers look for the footer there:
    with one file replaced, the whole table can no longer be read.
    """
    if is_there(f"{folder}/_delta_log"):
        return "Delta"
    if is_there(f"{folder}/.hoodie"):
        return "Hudi"
    # Iceberg may have folders of its own between data/ and a file.
    above, data, _ = f"{folder}/".rpartition("/data/")
    metadata = f"{above}/metadata"
    if data and is_there(metadata):
        files = list_files(metadata)
        return "Iceberg" if any(file.endswith(".metadata.json") for file in files) else None
    return None


def above_partitions(folder: str) -> str:
    """The folder in which the partitions (``day=1/hour=2``) of this one begin."""
    while "=" in name(folder):
        folder = parent(folder)
    return folder


def _why(error: StorageError) -> str:
    return {
        FailureKind.MISSING: "there is no such file, folder or bucket",
        FailureKind.FORBIDDEN: f"access is refused ({error.reason})",
    }.get(error.kind, error.reason)
