"""Open and replace manifests; errors of storage become errors that name the manifest."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tasks import storage
from tasks.errors import (
    FailureKind,
    ManifestChanged,
    ManifestError,
    StorageError,
    TransientError,
)
from tasks.manifests import ManifestFormat, format_of, needs_random_access
from tasks.shown import shown_url
from tasks.storage import Identity


class OpenManifest(NamedTuple):
    """An open manifest: its format, its bytes, and the identity of this content."""

    format: ManifestFormat
    stream: BinaryIO
    identity: Identity


@contextmanager
def open_manifest(url: str) -> Iterator[OpenManifest]:
    """Open a manifest with its format; errors of the format in the block name the manifest.

    Raises:
        ManifestError: the store or the format refuses it.
        TransientError: the store did not answer.
        ConfigurationError: no format has this extension.
    """
    layout = format_of(url)
    try:
        stream, identity = storage.open_for_reading(url, seekable=needs_random_access(url))
        with stream:
            yield OpenManifest(layout, stream, identity)
    except ManifestError as error:
        raise ManifestError(error.url or url, error.reason, error.line) from error
    except OSError as error:  # from the disk that the new version is written to
        raise _named(url, storage.storage_error(error)) from error
    except StorageError as error:
        raise _named(url, error) from error


@contextmanager
def writing(url: str) -> Iterator[None]:
    """Name the manifest or ledger in errors that storage raises in the block.

    Raises:
        ManifestChanged: the content is no longer the expected one.
        ManifestError: the store refuses.
        TransientError: the store did not answer.
    """
    try:
        yield
    except StorageError as error:
        if error.kind is FailureKind.CHANGED:
            raise ManifestChanged(f"{shown_url(url)} {error.reason}.") from error
        raise _named(url, error, "cannot be written: ") from error


def replace(url: str, file: Path, expected: Identity | None, keep: int = 0) -> None:
    """Replace the content of ``url`` in one step, if it is still ``expected``: its first ``keep``
    bytes stay, and ``file`` follows them. Raises as :func:`writing`."""
    with writing(url):
        storage.replace(url, file, expected, keep)


def _named(url: str, error: StorageError, what: str = "") -> ManifestError | TransientError:
    if error.is_transient:
        return TransientError(f"{shown_url(url)}: {error.reason}")
    return ManifestError(url, what + error.reason)
