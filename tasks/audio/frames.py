"""The frames of one audio stream: a chain of generators from the container to a full window.

Files may be corrupt or malicious, so there are limits on what is read and decoded.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import cast

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer

from tasks.audio.statistics import Statistics
from tasks.audio.window import Window
from tasks.errors import FailureKind, VideoError

# DSD512 has the highest rate in use; the lowest that is used for speech is 4,000 Hz.
MIN_SAMPLING_RATE = 1_000
MAX_SAMPLING_RATE = 2_822_400
MAX_BROKEN_READS = 64
MAX_CORRUPT_PACKETS = 2_000

# Headers round, codecs pad, and the last picture may have no duration.
GRACE_SECONDS = 1.0


def packets_of(
    container: InputContainer, stream: AudioStream, window: Window, statistics: Statistics
) -> Iterator["av.Packet[AudioStream]"]:
    """Yield the packets of ``stream``; those of other streams only advance the position.

    Gives up a stream without sound when the other audio streams could have filled the window.
    """
    latest: dict[int, av.Packet[AudioStream]] = {}
    wanted = stream.index
    rivals = {other.index for other in container.streams.audio} - {wanted}
    patience = (window.seconds + GRACE_SECONDS) * len(rivals)
    for _ in range(MAX_BROKEN_READS):
        try:
            for packet in cast("Iterator[av.Packet[AudioStream]]", container.demux()):
                if not packet.size:
                    continue  # PyAV's flush packet: decoded() flushes the decoder itself
                number = packet.stream_index
                latest[number] = packet
                if number == wanted:
                    yield packet
                elif number in rivals and not statistics.frames:
                    patience -= (packet.duration or 0) * float(packet.time_base or 0)
                    if patience < 0:
                        return
            break
        except av.error.FFmpegError as error:
            statistics.add_error(error)  # skip what cannot be read, and go on
        except IndexError:
            break  # the end: PyAV's flush fails for a stream that appeared late
    start = (container.start_time or 0) / av.time_base
    statistics.last_pts = max(map(_end_seconds, latest.values()), default=start) - start


def time_of(packet: "av.Packet[AudioStream]") -> float | None:
    """Return the timestamp in seconds: the presentation time, or else the decoding time."""
    time = packet.dts if packet.pts is None else packet.pts
    return None if time is None else time * float(packet.time_base or 0)


def _end_seconds(packet: "av.Packet[AudioStream]") -> float:
    return (time_of(packet) or 0.0) + (packet.duration or 0) * float(packet.time_base or 0)


def decoded(
    packets: Iterable["av.Packet[AudioStream]"], stream: AudioStream, statistics: Statistics
) -> Iterator[av.AudioFrame]:
    """Yield the decoded frames, the decoder's last ones included; a corrupt packet is skipped."""
    for packet in chain(packets, [None]):
        if statistics.corrupt_packets >= MAX_CORRUPT_PACKETS:
            return
        try:
            frames = stream.decode(packet)
        except av.error.FFmpegError as error:
            statistics.add_error(error)
            continue
        for frame in frames:
            if frame.samples and frame.sample_rate:
                yield frame


def after_edits(frames: Iterable[av.AudioFrame]) -> Iterator[av.AudioFrame]:
    """Leave out the frames that the edit list puts before the start."""
    for frame in frames:
        if frame.time is None or frame.time + frame.samples / frame.sample_rate > 0:
            yield frame


def until_full(
    frames: Iterable[av.AudioFrame], seconds: float, statistics: Statistics
) -> Iterator[av.AudioFrame]:
    """Yield frames until they last ``seconds``: the cost does not grow with the video."""
    for frame in frames:
        if not MIN_SAMPLING_RATE <= frame.sample_rate <= MAX_SAMPLING_RATE:
            reason = f"claims a sampling rate of {frame.sample_rate:,} Hz"
            raise VideoError(FailureKind.CORRUPT, reason)
        yield frame
        statistics.add_frame(frame.time, frame.samples / frame.sample_rate)
        if statistics.decoded_seconds >= seconds:
            return
