"""Paths and URLs as text, and the file system that each belongs to."""

import os
import posixpath
import re
from urllib.parse import unquote

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem

from tasks.errors import FailureKind, StorageError
from tasks.shown import is_unicode
from tasks.storage.failures import translated

# fsspec chains file systems by "::", but a name may also contain that (s3://b/a::b.mp4). So only a
# URL that begins with a cache, or with a member of an archive, is read as a chain.
_URL = re.compile(
    r"(?P<head>(?:(?:simplecache|filecache|blockcache|cached)::)*"
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*)://)?)(?P<path>.*)",
    re.DOTALL,
)
_ARCHIVES = frozenset({"zip", "tar", "libarchive", "reference", "dir"})
_LOCAL = re.compile(r"(?:file|local)://")
_LOCALHOST = re.compile(r"file://localhost(?=/)")

# Stores that fsspec only reads from, or writes to in a way that no web server expects.
_READ_ONLY = frozenset({"http", "https", "data", "zip", "tar", "libarchive", "reference", "github",
                        "gist", "git"})  # fmt: skip
_SCHEME = re.compile(r"(?:^|::)([A-Za-z][A-Za-z0-9+.\-]*)://")


def is_remote(path_or_url: str) -> bool:
    """Tell whether this is a URL of a store (``file://`` and plain paths are local)."""
    return bool(_split(path_or_url)[0]) and not _LOCAL.match(path_or_url)


def absolute(path_or_url: str) -> str:
    """Return one spelling for each file: local paths absolute and without ``file://``, URLs as
    given."""
    if is_remote(path_or_url):
        return path_or_url
    return os.path.abspath(_local(path_or_url))  # noqa: PTH100 - Path.resolve would follow links


def join(base: str, path: str) -> str:
    """Return the URL that a path names: absolute paths and URLs as they are, others below
    ``base``.

    Relative paths may climb (``../videos/a.mp4``) and object keys may not, so ``..`` is resolved
    here, never above the bucket.
    """
    if is_remote(path):
        return path
    if path.startswith("/") or _LOCAL.match(path):
        return absolute(path)
    if not is_remote(base):
        return posixpath.normpath(posixpath.join(_local(base), path))
    head, folder, tail = _split(base)
    parts = folder.removesuffix("/").split("/") if folder else []
    root = 0 if tail else 1  # an archive has no bucket
    for part in path.split("/"):
        if part == "..":
            parts = parts[:root] + parts[root:-1]
        elif part != ".":  # "" stays: s3://b/a//c is another key than s3://b/a/c
            parts.append(part)
    return f"{head}{'/'.join(parts)}{tail}"


def parent(url: str) -> str:
    """Return the folder of a file: ``s3://b/a/x.jsonl`` -> ``s3://b/a``."""
    head, path, tail = _split(url)
    return f"{head}{path.rpartition('/')[0]}{tail}" or "/"


def name(url: str) -> str:
    """Return the last part of a path or URL."""
    return _split(url)[1].rstrip("/").rpartition("/")[2]


def below(folder: str, path: str) -> str:
    """Return the URL of a relative path in ``folder``; unlike :func:`join`, never one outside it
    (object keys may contain ``..``, ``//`` or ``://``)."""
    head, base, tail = _split(folder)
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return f"{head}{'/'.join([base.rstrip('/'), *parts])}{tail}"


def relative(url: str, folder: str) -> str:
    """Return the path of a file relative to one of its folders, for :func:`below`."""
    return _split(url)[1].removeprefix(_split(folder)[1])


def with_path(url: str, path: str) -> str:
    """Return ``url`` with the path of another file in the same file system."""
    head, _, tail = _split(url)
    return f"{head}{path.lstrip('/')}{tail}" if head else path


def read_only_scheme(url: str) -> str | None:
    """Return the scheme in a URL whose store can only be read; None if there is none."""
    return next((scheme for scheme in _SCHEME.findall(url) if scheme in _READ_ONLY), None)


@translated()
def resolve(url: str) -> tuple[AbstractFileSystem, str]:
    """Return the file system of a path or URL, and the path in it. Listings are never cached.

    Raises:
        StorageError: no installed package speaks this protocol, or the URL is malformed.
    """
    if not is_unicode(url):
        raise StorageError(FailureKind.UNREADABLE, "its name, or that of a folder, is not UTF-8")
    if not is_remote(url):
        # Not by url_to_fs: it treats "::" and "~" in a file's name as syntax.
        return LocalFileSystem(), absolute(url)
    head, _, tail = _split(url)
    if tail or "::" in head:
        fs, path = url_to_fs(url)
    else:
        store = fsspec.get_filesystem_class(head.removesuffix("://"))
        fs, path = store(**store._get_kwargs_from_urls(url)), store._strip_protocol(url)
    if hasattr(fs.dircache, "use_listings_cache"):
        # A cached listing hides the files of last night and gives old identities. Set here
        # since not every file system takes it as an argument (sftp hands it to paramiko).
        fs.dircache.use_listings_cache = False
        fs.dircache.clear()
    return fs, path


def is_s3(fs: AbstractFileSystem) -> bool:
    """Tell whether a store speaks the S3 protocol, without the import of s3fs."""
    return hasattr(fs, "call_s3")


def _split(url: str) -> tuple[str, str, str]:
    """Split a URL into the text before its path, the path, and the rest of a chain:
    ``zip://a/b.mp4::s3://c/d.zip`` -> ``zip://``, ``a/b.mp4``, ``::s3://c/d.zip``."""
    match = _URL.fullmatch(url)
    assert match is not None  # it matches any text
    path, tail = match["path"], ""
    if match["scheme"] in _ARCHIVES:
        path, chain, rest = path.partition("::")
        tail = chain + rest
    return match["head"], path, tail


def _local(path_or_url: str) -> str:
    """Return the path of a local file. Only ``file://`` is a URL, so percent-encoded."""
    if path_or_url.startswith("file://"):
        path = _LOCALHOST.sub("", path_or_url, count=1).removeprefix("file://")
        return unquote(path, errors="surrogateescape")
    return path_or_url.removeprefix("local://")
