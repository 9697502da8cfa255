"""What leaves holds no secret and nothing that acts on a screen."""

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.errors import Failure, FailureKind, ManifestError, StorageError, VideoError
from tasks.shown import shown, shown_url

SECRET = "hunter2"
# A secret between whatever characters passwords, keys and signatures have.
ODD = st.text("abcXYZ012/@:?#+=&%~!$()*,;._-")
SECRETS = st.builds(lambda before, after: f"{before}{SECRET}{after}", ODD, ODD)
SCHEMES = st.sampled_from(["s3", "https", "ftp", "sftp", "az", "simplecache::https"])
NAMES = st.text("abc019-", min_size=1)


@settings(max_examples=10 * settings().max_examples)
@given(SCHEMES, NAMES, SECRETS, NAMES)
@example("s3", "key", f"{SECRET}a://b", "a")
@example("https", "me", f"a://?{SECRET}", "a")
def test_user_and_password_go(scheme: str, user: str, secret: str, name: str) -> None:
    for url in (
        f"{scheme}://{user}:{secret}@host/{name}.mp4",
        f"{scheme}://{SECRET}@host/{name}.mp4",
        f"{user}:x{secret}@host/{name}.mp4",  # with "//" first it would be a URL
    ):
        assert SECRET not in shown_url(url)
        assert SECRET not in shown(f"cannot read '{url}': refused")
        assert SECRET not in str(ManifestError(url, f"is odd ({url})", 3))
        assert SECRET not in Failure(url, FailureKind.MISSING, f"no file {url}").reason


@settings(max_examples=10 * settings().max_examples)
@given(SCHEMES, SECRETS, NAMES, st.sampled_from("?#"))
def test_what_follows_the_path_goes(scheme: str, secret: str, name: str, mark: str) -> None:
    url = f"{scheme}://host/{name} {name}.mp4{mark}X-Amz-Signature={secret}"
    assert SECRET not in shown_url(url)
    assert shown_url(url).startswith(f"{scheme}://host/{name} {name}.mp4") or "@" in secret
    assert SECRET not in shown(f"GET {url.replace(' ', '%20')}")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://me:pw@h/a.mp4?X-Amz-Signature=abc&b", "https://h/a.mp4?..."),
        ("https://h/a.mp4#token=abc", "https://h/a.mp4#..."),
        ("s3://KEY:SEC/RET+@b/v.mp4", "s3://b/v.mp4"),
        ("KEY:SEC/RET@b/v.mp4", "b/v.mp4"),
        ("https://token@h/a.mp4", "https://h/a.mp4"),
        ("zip://a.mp4::https://h/x.zip?sig=abc", "zip://a.mp4::https://h/x.zip?..."),
    ],
)
def test_what_is_left(url: str, expected: str) -> None:
    assert shown_url(url) == shown(url) == expected


@pytest.mark.parametrize(
    "name",
    ["/data/what? me: you@home #1=2.mp4", "/data/a?b=c.mp4", "s3://b/a::b.mp4", "s3://b/a@b.mp4",
     "https://www.h.com/@user/video/1", "http://h:9000/b/ü 漢.mp4", "zip://a.mp4::s3://b/x.zip"],
)  # fmt: skip
def test_honest_names_stay(name: str) -> None:
    assert shown_url(name) == name


@given(st.text(st.characters(exclude_categories=())))
def test_nothing_acts_on_a_screen(text: str) -> None:
    for said in (shown(text), shown_url(text), str(StorageError(FailureKind.MISSING, text)),
                 VideoError("corrupt", text).reason, str(ManifestError(text, text))):  # fmt: skip
        assert not {unicodedata.category(char) for char in said} & {"Cc", "Cs", "Zl", "Zp"}
        assert not {unicodedata.bidirectional(char) for char in said} & {
            "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"
        }  # fmt: skip


@settings(max_examples=10 * settings().max_examples)
@given(st.text("abc:/@?#= \x1b'"))
def test_once_is_enough(text: str) -> None:
    assert shown(shown(text)) == shown(text)
    assert shown_url(shown_url(text)) == shown_url(text)
