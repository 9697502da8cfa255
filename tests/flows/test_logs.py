"""What the modules of ``tasks`` log is seen in the log of the run."""

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from flows.logs import forward_logs

LOG = logging.getLogger("tasks.model.check")


def test_it_is_passed_on_from_every_thread(caplog: pytest.LogCaptureFixture) -> None:
    run = logging.getLogger("a run")
    run.setLevel(logging.DEBUG)
    with forward_logs(run), ThreadPoolExecutor(1) as thread:
        LOG.info("of %s", "s3://key:secret@bucket/model")
        thread.submit(LOG.warning, "from a thread").result()
        LOG.debug("of no interest")
    LOG.info("later")
    assert [(record.name, record.levelname, record.message) for record in caplog.records] == [
        ("a run", "INFO", "of s3://bucket/model"),
        ("a run", "WARNING", "from a thread"),
    ]
