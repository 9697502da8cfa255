"""The command line of the flow: its options, and the checks that need no import of Prefect.

Prefect takes a second or two to import: code that needs it is in :mod:`flows.command`, so that the
first line appears at once.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from flows.saying import refuse, say
from tasks.model import DEFAULT_CHECKPOINT
from tasks.shown import is_unicode, shown, shown_url, some

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the flow as the command line says.

    Args:
        argv: the options; those of the process when None.

    Returns:
        0 when every sample is tagged; 1 when some are not, when the run failed, or when a dry run
        would refuse a manifest; 2 when the run could not start; 3 when more failed than
        ``--max-failure-rate`` allows; 4 when the Ray cluster was lost; 130 after Ctrl-C.
    """
    arguments = sys.argv[1:] if argv is None else argv
    as_json = "--json" in arguments
    try:
        options = vars(_parser().parse_args(_joined(arguments)))
    except _OptionError as error:
        return _refuse(str(error), as_json)
    del options["json"]
    if refusal := _text_refusal(options):
        return _refuse(refusal, as_json)
    say(f"Tagging the videos of {some(list(map(shown_url, options['manifests'])), 3)} ...")
    try:
        from flows.command import run

        return run(options, as_json)
    except KeyboardInterrupt:
        return INTERRUPTED


class _OptionError(Exception):
    """The options are wrong; the text says why."""


class _Parser(argparse.ArgumentParser):
    """Raises an exception for wrong options, and does not end the process."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        raise _OptionError(message)


def _refuse(sentence: str, as_json: bool) -> int:
    if not as_json:
        return refuse(sentence)
    from flows.command import refuse_run

    return refuse_run(sentence, as_json)


def _text_refusal(options: dict[str, Any]) -> str | None:
    """Return why an option is refused: a Prefect server takes only text that is UTF-8."""
    for name, value in options.items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and not is_unicode(text):
                return shown(f"The text of {name.replace('_', '-')} is not UTF-8: {text}")
    return None


def _parser() -> _Parser:
    """Build the parser; an option that is not given is left to the flow's own default."""
    parser = _Parser(
        prog="tag-videos",
        description="Tag the videos of manifests by their sound.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,  # --jso would be taken for --json by the parser alone
    )
    add = parser.add_argument
    add("manifests", nargs="+", metavar="MANIFEST", help="file, folder or glob; a path or URL")
    add("--hf-ast", metavar="ID_OR_FOLDER", help=f"the model (default {DEFAULT_CHECKPOINT})")
    add("--revision", metavar="REV", help="branch, tag or commit of a hub model")
    add(
        "--trust-remote-code", action="store_true", help="run Python code that comes with the model"
    )
    add(
        "--tag-field-name",
        type=_name,
        metavar="NAME",
        help="the field of the tags (default video_audio_tags)",
    )
    add("--meta-field", metavar="NAME", help="keep the tags in this dict field of the sample")
    add("--video-key", type=_name, metavar="NAME", help="field of the paths (default videos)")
    add("--video-root", metavar="URL", help="base of relative video paths (default: manifest's)")
    add("--output", metavar="URL", help="folder for the tagged copies (default: in place)")
    add("--channels", choices=["mix", "first"], help="mix all channels (default), or use the first")
    add(
        "--windows",
        type=_windows,
        metavar="start|N|all",
        help="which part of a video is classified (default start)",
    )
    add("--label-map", metavar="FILE", help="a group for each label, JSON or CSV, or audioset")
    add("--scores-field", metavar="NAME", help="a field for the best labels and their scores")
    add(
        "--top-k",
        type=_positive,
        metavar="N",
        help="how many labels the scores field holds (default 5)",
    )
    add(
        "--min-score",
        type=_share,
        metavar="X",
        help="lowest score in the scores field (default 0.1)",
    )
    add("--timeline-field", metavar="NAME", help="a field for the top label over time")
    add("--provenance-field", metavar="NAME", help="a field for what the tags were made with")
    add(
        "--aggregate",
        choices=["mean", "max"],
        help="how the windows' scores are joined (default mean)",
    )
    add("--batch-size", type=_batch, metavar="N", help="clips the model takes at a time, 1 to 1024")
    add("--device", type=_device, metavar="DEVICE", help="auto, cpu, cuda or cuda:N (default auto)")
    add("--dtype", choices=["auto", "float32", "bfloat16"], help="the model's (default auto)")
    add("--compile-model", action="store_true", help="compile the model when it is loaded")
    add("--cache", metavar="URL", help="where scores and audio are kept between runs")
    add("--keep", choices=["auto", "clips", "tags"], help="what the cache keeps of a video")
    add(
        "--cache-days",
        type=_positive,
        metavar="N",
        help="days until unused entries are removed (default 30)",
    )
    add("--no-cache", action="store_true", help="keep nothing between runs")
    again = "tag again what has tags; stale: only what was tagged with other settings"
    add("--retag", type=_retag, metavar="stale", help=again)
    add("--retry-failed", action="store_true", help="try failed videos again, even if unchanged")
    add("--dry-run", action="store_true", help="say what would be done, write nothing")
    add(
        "--max-failure-rate",
        type=_share,
        metavar="X",
        help="share of samples above which the run fails (default 0.1)",
    )
    add("--report", metavar="URL", help="folder (or .html) for a page to look at and listen to")
    add("--report-sound", choices=["on", "off"], help="off leaves out the sound")
    add("--ray", metavar="ADDRESS", help="work on a Ray cluster: local, auto or HOST:PORT")
    add("--json", action="store_true", default=False, help="the summary as the last line of stdout")
    return parser


def _joined(arguments: Sequence[str]) -> list[str]:
    """Join ``--retag`` and its ``stale`` into one argument, and give a bare ``--retag`` a value:
    argparse would take a manifest that follows as the value."""
    joined: list[str] = []
    for argument in arguments:
        if argument == "stale" and joined[-1:] == ["--retag=all"]:
            joined[-1] = "--retag=stale"
        else:
            joined.append("--retag=all" if argument == "--retag" else argument)
    return joined


def _retag(text: str) -> bool | str:
    if text not in ("all", "stale"):
        raise argparse.ArgumentTypeError("only stale may follow")
    return text == "all" or text


def _windows(text: str) -> str:
    if text not in ("start", "all") and not re.fullmatch("[1-9][0-9]{0,3}", text):
        raise argparse.ArgumentTypeError("must be start, all, or a number from 1 to 9999")
    return text


def _positive(text: str, limit: int = 999_999) -> int:
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= limit:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {limit}")
    return int(text)


def _batch(text: str) -> int:
    return _positive(text, limit=1_024)


def _name(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def _device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", text):
        raise argparse.ArgumentTypeError("must be auto, cpu, cuda or cuda:N")
    return text


def _share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError("must be a number between 0 and 1")
    return number
