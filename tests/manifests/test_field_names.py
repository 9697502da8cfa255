"""The names of fields: different ones, that a manifest can hold."""

import pytest

from tasks.errors import ConfigurationError
from tasks.manifests import Fields


@pytest.mark.parametrize(
    "names",
    [
        {"tags": "videos"},
        {"meta": "videos"},
        {"tags": "a", "meta": "a"},
        {"videos": "video_audio_tags"},
    ],
)
def test_fields_of_one_name_are_refused(names: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="need different names"):
        Fields(**names)


@pytest.mark.parametrize("names", [{"meta": ""}, {"tags": ""}, {"videos": ""}, {"scores": ""}])
def test_a_field_without_a_name_is_refused(names: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="has an empty name"):
        Fields(**names)


def test_a_field_whose_name_no_manifest_can_hold_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^The name of a field is not UTF-8: .*t\\udcffs"):
        Fields(tags="t\udcffs")
