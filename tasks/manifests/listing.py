"""Lists the manifests that a pattern matches."""

import logging
from typing import NamedTuple

from tasks.errors import ConfigurationError, FailureKind, StorageError
from tasks.manifests import FORMATS, format_of, is_manifest
from tasks.manifests.ledger import LEDGER_SUFFIX
from tasks.shown import shown_url
from tasks.storage import absolute, is_there, list_files, name, parent, relative

log = logging.getLogger(__name__)

_TABLES = {extension.removeprefix(".") for extension in FORMATS} | {
    "arrow", "avro", "feather", "jl", "jsonlines", "orc", "parq", "pq", "tab", "xls", "xlsx",
}  # fmt: skip
"""How tables are named, in the formats that can be read and in others."""

_EXAMPLES = 3


class Found(NamedTuple):
    """A manifest that was found.

    Attributes:
        url: where it is.
        path: the part of it below the folder or glob that was named: what a copy is named. Folders
            named ``column=value`` above are a part of it too, since they hold a column's values.
    """

    url: str
    path: str


def list_manifests(pattern: str) -> list[Found]:
    """List the manifests that a file name, a folder (at any depth) or a glob matches, sorted.

    A folder or glob gives what has a manifest's extension and no hidden part below the folder it
    starts from, so neither ledgers nor temporary files. What looks like a manifest in a format that
    cannot be read is passed over with a line in the log. Always asks the store.

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
        raise ConfigurationError(f"There is no manifest at {shown_url(url)}{_but(files, others)}.")
    if others:
        log.warning("passed over at %s: %s", shown_url(url), _told(others))
    base = above_partitions(root)
    return [Found(file, relative(file, base)) for file in manifests]


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
        files = list_files(metadata).files
        return "Iceberg" if any(file.endswith(".metadata.json") for file in files) else None
    return None


def has_summary(folder: str) -> bool:
    """Tell whether this folder has a ``_metadata``: the footers of all Parquet files below, copied.

    Few readers ask for it. Those that do see the files as they were.
    """
    try:
        return is_there(f"{folder}/_metadata")
    except StorageError:  # it is only asked for a line in the log
        return False


def above_partitions(folder: str) -> str:
    """Return the folder in which the partitions (``day=1/hour=2``) of this one begin."""
    while "=" in name(folder):
        folder = parent(folder)
    return folder


def _is_table(file: str) -> bool:
    """Tell whether the name is that of a table, compressed or not: ``a.pq``, ``a.jsonl.xz``."""
    return not file.endswith(LEDGER_SUFFIX) and not _TABLES.isdisjoint(
        name(file).lower().split(".")[1:][-2:]
    )


def _told(files: list[str]) -> str:
    more = f" and {len(files) - _EXAMPLES:,} more" if len(files) > _EXAMPLES else ""
    examples = ", ".join(shown_url(name(file)) for file in files[:_EXAMPLES])
    return f"{len(files):,} in a format that cannot be read ({examples}{more})"


def _but(files: list[str], tables: list[str]) -> str:
    """Say what is there instead of a manifest."""
    if tables:
        return f", only {_told(tables)}"
    if files:
        return ", only other files; README.md says how to list videos in a manifest"
    return ""
