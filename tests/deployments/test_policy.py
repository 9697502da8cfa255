"""The IAM policy of the S3 page is enough for a run, and each of its lines is needed.

moto judges each request by the user's policy, in a process of its own: it does so for all or none.
"""

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import httpx
import pytest

from tests.conftest import REGION
from tests.deployments.conftest import Machine, free_port, wait_for
from tests.flows.conftest import DEMO, DEMO_MODEL

pytestmark = [pytest.mark.long, pytest.mark.server]

PAGE = Path(__file__).parents[2] / "deployments" / "s3.md"
MANIFEST = "manifests/1.jsonl"
ROOT_KEYS = {"aws_access_key_id": "root", "aws_secret_access_key": "root-secret"}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A moto server that judges nothing yet."""
    port = free_port()
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "moto.server", "-p", str(port)]
        server = subprocess.Popen(command, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    wait_for(lambda: _answers(url))
    yield url
    server.terminate()
    server.wait()


def _answers(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"{url}/moto-api/").is_success
    return False


def _policy() -> dict[str, Any]:
    policy: dict[str, Any] = json.loads(re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.S)[0])
    return policy


def _lines(policy: dict[str, Any]) -> list[tuple[int, str]]:
    """Each action of each statement."""
    found = []
    for number, statement in enumerate(policy["Statement"]):
        actions = statement["Action"]
        found += [(number, one) for one in ([actions] if isinstance(actions, str) else actions)]
    return found


def _without(policy: dict[str, Any], number: int, action: str) -> dict[str, Any]:
    less = copy.deepcopy(policy)
    statement = less["Statement"][number]
    actions = statement["Action"]
    if isinstance(actions, str) or actions == [action]:
        del less["Statement"][number]
    else:
        actions.remove(action)
    return less


def _tag(machine: Machine, endpoint: str, policy: dict[str, Any]) -> tuple[int, list[str], str]:
    """Run as a user with this policy: a manifest with an old ledger that is mended by the run.

    Returns:
        exit status, the keys below ``manifests/`` after it, and the log.
    """
    _judge(endpoint, after=10_000)
    where = {"endpoint_url": endpoint, "region_name": REGION}
    resource = boto3.Session(**ROOT_KEYS).resource("s3", **where)
    bucket = resource.create_bucket(Bucket="bucket")
    bucket.objects.all().delete()
    video = DEMO / "videos" / "beeps.mp4"
    bucket.put_object(Key="clips/beeps.mp4", Body=video.read_bytes())
    sample = {"videos": ["s3://bucket/clips/beeps.mp4"]}
    bucket.put_object(Key=MANIFEST, Body=json.dumps(sample).encode() + b"\n")
    bucket.put_object(Key=f"{MANIFEST}.failures", Body=b"")
    iam = boto3.Session(**ROOT_KEYS).client("iam", **where)
    user = f"tagger-{uuid4().hex[:8]}"
    iam.create_user(UserName=user)
    iam.put_user_policy(UserName=user, PolicyName="tagger", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=user)["AccessKey"]
    _judge(endpoint, after=0)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "flows.tag", "s3://bucket/manifests/*.jsonl"),
            *("--hf-ast", DEMO_MODEL, "--cache", "s3://bucket/cache"),
        ],
        env=machine.environment
        | {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            "AWS_DEFAULT_REGION": REGION,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    _judge(endpoint, after=10_000)
    keys = [found.key for found in bucket.objects.filter(Prefix="manifests/")]
    return done.returncode, keys, done.stdout + done.stderr


def _judge(endpoint: str, *, after: int) -> None:
    """Let so many requests pass, then ask the policies."""
    httpx.post(f"{endpoint}/moto-api/reset-auth", content=str(after)).raise_for_status()


def test_the_policy_is_enough(machine: Machine, endpoint: str) -> None:
    status, keys, log = _tag(machine, endpoint, _policy())
    assert status == 0, log
    assert keys == [MANIFEST]  # the ledger is gone
    assert "denied" not in log.lower()


@pytest.mark.parametrize(("number", "action"), _lines(_policy()))
def test_each_line_is_needed(machine: Machine, endpoint: str, number: int, action: str) -> None:
    status, keys, _ = _tag(machine, endpoint, _without(_policy(), number, action))
    assert status != 0 or keys != [MANIFEST]
