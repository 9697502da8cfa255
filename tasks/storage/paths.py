"""Paths and URLs as text, and the file system that each belongs to."""

import os
import posixpath
import re

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem

from tasks.storage.failures import translated

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
_CHAINED = re.compile(r"[A-Za-z0-9+.\-]+(?:://[^:]*)?::")
_LOCAL = re.compile(r"(?:file|local)://")


def is_remote(path_or_url: str) -> bool:
    """Whether this is a URL of a store (``file://`` and plain paths are local)."""
    url = _URL.match(path_or_url) or _CHAINED.match(path_or_url)
    return bool(url) and not _LOCAL.match(path_or_url)


def absolute(path_or_url: str) -> str:
    """One spelling for each place: local paths absolute and without ``file://``, URLs as given."""
    if is_remote(path_or_url):
        return path_or_url
    local = _LOCAL.sub("", path_or_url, count=1)
    return os.path.abspath(local)  # noqa: PTH100 - Path.resolve would follow links


def join(base: str, path: str) -> str:
    """The URL of a sample's path: absolute paths and URLs as they are, others below ``base``.

    Relative paths climb (``../videos/a.mp4``) and object keys do not, so ``..`` is worked out
    here, never above the bucket.
    """
    if is_remote(path):
        return path
    if path.startswith("/") or _LOCAL.match(path):
        return absolute(path)
    if not is_remote(base):
        return posixpath.normpath(posixpath.join(_LOCAL.sub("", base, count=1), path))
    scheme, _, place = base.rpartition("://")
    root, *folders = place.removesuffix("/").split("/")
    for part in path.split("/"):
        if part == "..":
            folders = folders[:-1]
        elif part != ".":  # "" stays: s3://b/a//c is another key than s3://b/a/c
            folders.append(part)
    return f"{scheme}://{'/'.join([root, *folders])}"


def parent(url: str) -> str:
    """The folder of a file: ``s3://b/a/x.jsonl`` -> ``s3://b/a``."""
    return url.rpartition("/")[0] or "/"


def name(url: str) -> str:
    """The last part of a path or URL."""
    return url.rstrip("/").rpartition("/")[2]


def resolve(url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a path or URL, and the path in it. Its listings are never cached.

    Raises:
        StorageError: no installed package speaks this protocol, or the URL is none.
    """
    if not is_remote(url):
        # Not by url_to_fs: it takes "::" and "~" in a file's name for syntax of its own.
        return LocalFileSystem(), absolute(url)
    with translated():
        if _CHAINED.match(url):
            fs, path = url_to_fs(url)
        else:
            store = fsspec.get_filesystem_class(url.partition("://")[0])
            fs, path = store(**store._get_kwargs_from_urls(url)), store._strip_protocol(url)
    if hasattr(fs.dircache, "use_listings_cache"):
        # A cached listing hides last night's new manifests and gives old identities. Set here
        # since not every file system takes it as an argument (sftp hands it to paramiko).
        fs.dircache.use_listings_cache = False
        fs.dircache.clear()
    return fs, path
