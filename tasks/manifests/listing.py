"""Which manifests a pattern stands for."""

from tasks.errors import ConfigurationError, FailureKind, StorageError
from tasks.manifests import format_of, is_manifest
from tasks.manifests.ledger import LEDGER_SUFFIX
from tasks.shown import shown_url
from tasks.storage import absolute, list_files


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


def _why(error: StorageError) -> str:
    return {
        FailureKind.MISSING: "there is no such file, folder or bucket",
        FailureKind.FORBIDDEN: f"access is refused ({error.reason})",
    }.get(error.kind, error.reason)
