"""List the manifests that a pattern matches."""

import logging
from typing import NamedTuple

from tasks.errors import ConfigurationError, FailureKind, StorageError
from tasks.manifests import FORMATS, format_of, is_manifest
from tasks.manifests.ledger import LEDGER_SUFFIX
from tasks.shown import counted, shown_url, some
from tasks.storage import absolute, is_there, list_files, name, parent, relative

log = logging.getLogger(__name__)

_TABLES = {extension.removeprefix(".") for extension in FORMATS} | {
    "arrow", "avro", "feather", "jl", "jsonlines", "orc", "parq", "pq", "tab", "xls", "xlsx",
}  # fmt: skip
"""Extensions of tables, in the formats that can be read and in others."""

_EXAMPLES = 3


class Found(NamedTuple):
    """A manifest that was found.

    Attributes:
        url: where it is.
        path: its path below the folder or glob that the user named, which a copy keeps. It includes
            the folders ``column=value`` above, since they hold the values of a column.
    """

    url: str
    path: str


def list_manifests(pattern: str) -> list[Found]:
    """List the manifests that a file name, a folder (at any depth) or a glob matches, sorted.

    In a folder or glob, a manifest has one of the known extensions, and its path below has no
    hidden part: so ledgers and temporary files are left out. Tables in a format that cannot be read
    are passed over, and the log names them. Listings are never cached.

    Raises:
        ConfigurationError: nothing matches, or the store refuses to list.
    """
    url = absolute(pattern)
    if url.endswith(LEDGER_SUFFIX):
        raise ConfigurationError(f"{shown_url(url)} is a failure ledger, not a manifest.")
    try:
        root, files = list_files(url)
    except StorageError as error:
        reason = {
            FailureKind.MISSING: "there is no such file, folder or bucket",
            FailureKind.FORBIDDEN: f"access is refused ({error.reason})",
        }.get(error.kind, error.reason)
        raise ConfigurationError(f"{shown_url(url)} cannot be listed: {reason}.") from error
    if files == [url]:
        format_of(url)
    manifests = [file for file in files if is_manifest(file)]
    others = [file for file in files if not is_manifest(file) and _is_table(file)]
    if not manifests:
        instead = _instead(files, others)
        raise ConfigurationError(f"There is no manifest at {shown_url(url)}{instead}.")
    if others:
        log.warning("passed over at %s: %s", shown_url(url), _unreadable(others))
    base = above_partitions(root)
    return [Found(file, relative(file, base)) for file in manifests]


def table_of(folder: str) -> str | None:
    """Return "Delta", "Hudi" or "Iceberg" if the Parquet files below a folder are part of a table.

    The log of the table stores the size of each file, and readers expect the footer there: if one
    file is replaced, the whole table can no longer be read.

    Args:
        folder: the one above the partitions.
    """
    if is_there(f"{folder}/_delta_log"):
        return "Delta"
    if is_there(f"{folder}/.hoodie"):
        return "Hudi"
    # Iceberg may have folders of its own between data/ and a file.
    above, data, _ = f"{folder}/".rpartition("/data/")
    metadata = f"{above}/metadata"
    if data and is_there(metadata):
        files = list_files(metadata).files
        return "Iceberg" if any(file.endswith(".metadata.json") for file in files) else None
    return None


def has_summary(folder: str) -> bool:
    """Tell whether this folder has a ``_metadata`` file: copies of the footers of all files below.

    Few readers use it; they do not see what has changed in the files since.
    """
    try:
        return is_there(f"{folder}/_metadata")
    except StorageError:  # only a line in the log depends on it
        return False


def above_partitions(folder: str) -> str:
    """Return the folder without its partitions: ``a/day=1/hour=2`` -> ``a``."""
    while "=" in name(folder):
        folder = parent(folder)
    return folder


def _is_table(file: str) -> bool:
    """Tell whether a name is a table's, compressed or not: ``a.pq``, ``a.jsonl.xz``."""
    return not file.endswith(LEDGER_SUFFIX) and not _TABLES.isdisjoint(
        name(file).lower().split(".")[1:][-2:]
    )


def _unreadable(files: list[str]) -> str:
    examples = some([shown_url(name(file)) for file in files], _EXAMPLES)
    return f"{counted(len(files), 'file')} in a format that cannot be read ({examples})"


def _instead(files: list[str], tables: list[str]) -> str:
    """Describe the files that were found instead of a manifest."""
    if tables:
        return f", only {_unreadable(tables)}"
    if files:
        return ", only other files; README.md says how to list videos in a manifest"
    return ""
