"""Alerts for the nightly run: it failed, it died, it did not start.

    TAG_VIDEOS_ALERT_URL=https://... python deployments/alerts.py

The address gets a POST with ``{"text": ...}``, which Slack, Mattermost and others take; the server
keeps it as a secret. Run it again to change the address.
"""

import os
import sys
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Literal
from uuid import UUID

from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ActionTypes, ChangeFlowRunState, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.types import SecretDict

ADDRESS = "TAG_VIDEOS_ALERT_URL"
BLOCK = "tag-videos-alerts"

_ENDED = {"Completed", "Partial", "Cancelled"}
_ENDED_BADLY = {"Failed", "TooManyFailures", "Misconfigured", "Unfinished", "Crashed", "TimedOut"}
_NIGHTLY = {"prefect.resource.role": "deployment", "prefect.resource.name": "nightly"}
# Workers send a heartbeat for each run every 30 s: PREFECT_FLOWS_HEARTBEAT_FREQUENCY.
_SILENCE = timedelta(seconds=120)


def automations(block: UUID) -> list[AutomationCore]:
    """Return all alerts; they notify through the block with this id."""

    def alert(name: str, body: str, trigger: EventTrigger) -> AutomationCore:
        tell = SendNotification(block_document_id=block, subject=name, body=body)
        return _automation(name, trigger, tell)

    run = "{{ flow_run.name }}: {{ flow_run.state.name }}. {{ flow_run.state.message or '' }}"
    return [
        alert(
            "tag-videos: the nightly run failed or is late",
            run,
            _trigger(Posture.Reactive, expect=_ENDED_BADLY | {"Late"}),
        ),
        alert(
            "tag-videos: no nightly run for 25 hours",
            "Is its schedule paused, or no worker running?",
            _trigger(Posture.Proactive, expect={"Running"}, within=timedelta(hours=25)),
        ),
        # Nobody reports the end of a run whose machine has gone.
        _automation(
            "tag-videos: runs without a sign of life are crashed",
            _trigger(
                Posture.Proactive,
                after={"heartbeat"},
                expect={"heartbeat"} | _ENDED | _ENDED_BADLY,
                within=_SILENCE,
                related={},
            ),
            ChangeFlowRunState(
                name=None,
                state=StateType.CRASHED,
                message=f"No sign of life for {_SILENCE.seconds} s.",
                force=False,
            ),
        ),
    ]


def _automation(name: str, trigger: EventTrigger, action: ActionTypes) -> AutomationCore:
    return AutomationCore(name=name, trigger=trigger, actions=[action])


def _trigger(
    posture: Literal[Posture.Reactive, Posture.Proactive],
    expect: Collection[str],
    *,
    after: Collection[str] = (),
    within: timedelta = timedelta(0),
    related: Mapping[str, str] = _NIGHTLY,
) -> EventTrigger:
    return EventTrigger(
        posture=posture,
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=ResourceSpecification(dict(related)),
        after={f"prefect.flow-run.{name}" for name in after},
        expect={f"prefect.flow-run.{name}" for name in expect},
        for_each={"prefect.resource.id"} if after or not within else set(),
        threshold=1,
        within=within,
    )


def main() -> int:
    """Make the alerts anew."""
    address = os.environ.get(ADDRESS)
    if not address:
        print(f"Set {ADDRESS} to where the alerts go.", file=sys.stderr)
        return 2
    block = CustomWebhookNotificationBlock(
        name=BLOCK,
        url="{{address}}",
        json_data={"text": "{{subject}}\n{{body}}"},
        headers=None,
        cookies=None,
        secrets=SecretDict({"address": address}),
    )
    block_id = block.save(BLOCK, overwrite=True)
    assert isinstance(block_id, UUID)
    with get_client(sync_client=True) as client:
        for automation in automations(block_id):
            for former in client.read_automations_by_name(automation.name):
                client.delete_automation(former.id)
            client.create_automation(automation)
    return 0


if __name__ == "__main__":
    sys.exit(main())
