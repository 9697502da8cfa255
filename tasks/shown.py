"""Make text fit to be shown in logs, pages, ledgers and terminals: without secrets, and without
characters that act on a screen."""

import re
from collections.abc import Sequence

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
# A local path, perhaps in quotes: its "?", "#" and "@" are part of a name.
_LOCAL = re.compile(r"[\"'(\[{<]*/")
# Control characters (C0, C1), line separators, marks that change the direction of text or are
# invisible, and halves of surrogate pairs.
_ACTING = re.compile(
    "[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


def shown(text: str) -> str:
    """Make a sentence fit to be shown, with the URLs in it.

    A URL is taken to end at the next space: use :func:`shown_url` for text that is known to be one.
    """
    return re.sub("[^ ]+", lambda word: _redacted(word[0]), _escaped(text))


def shown_url(url: str) -> str:
    """Make a path or URL fit to be shown: without user, password, and what follows "?" or "#"."""
    return _redacted(_escaped(url))


def counted(number: int, noun: str) -> str:
    """Return ``1 sample``, ``2,000 samples``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def some(texts: Sequence[str], limit: int) -> str:
    """Return at most ``limit`` texts, and how many more there are: ``a, b and 3 more``."""
    more = f" and {len(texts) - limit:,} more" if len(texts) > limit else ""
    return ", ".join(texts[:limit]) + more


def is_unicode(text: str) -> bool:
    """Tell whether text has no half of a surrogate pair, which stands for a byte that is not UTF-8:
    no store, database or JSON takes it."""
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def _redacted(word: str) -> str:
    scheme = _SCHEME.search(word)
    if scheme is None:
        if _LOCAL.match(word):
            return word
        word = re.sub(r"^[^/:@]+:.*@", "", word, flags=re.DOTALL)  # KEY:SECRET@bucket
        return re.sub(r"\?.*=.*", "?...", word, flags=re.DOTALL)
    start, rest = word[: scheme.end()], word[scheme.end() :]
    path = re.split("[?#]", rest, maxsplit=1)[0]
    query = rest[len(path) :]
    # A password may hold any of "/@?#:", even "://", so whatever looks like one goes up to the last
    # "@". What looks like a scheme may be a part of it: KEY:SEC://RET@bucket.
    before = ":" in word[: scheme.start()].replace("::", "")
    if "@" in rest and (before or re.match("[^/]*[:@]", path)):
        start = "" if before else start
        if "@" in query:
            return f"{start}..."
        path = path.rpartition("@")[2]
    return f"{start}{path}{query and query[0] + '...'}"


def _escaped(text: str) -> str:
    return _ACTING.sub(lambda char: char[0].encode("unicode_escape").decode(), text)
