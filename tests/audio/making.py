"""Media of every container and codec that can be encoded here: the corpus of the suites."""

import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from av.codec import Codec
from av.codec.codec import UnknownCodecError

from tests import needs
from tests.audio.media import Planar, melody, write_media


@dataclass(frozen=True)
class Container:
    """A container as a muxer writes it.

    Attributes:
        name: for people, and the suffix where there is none of its own.
        muxer: FFmpeg's name.
        codecs: of sound, by FFmpeg's names of encoders; the first is the most usual one.
        pictures: the codec of its pictures; None where it holds sound only.
        options: for the muxer.
        rate: at which sound is encoded, in Hz, where the codec has none of its own.
        sound_alone: whether it may do without pictures.
    """

    name: str
    muxer: str
    codecs: tuple[str, ...]
    pictures: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    rate: int = 48_000
    sound_alone: bool = True

    def rate_of(self, codec: str) -> int:
        """The sampling rate in Hz at which sound is encoded with ``codec``."""
        return RATES.get(codec, self.rate)


def _container(
    name: str,
    muxer: str,
    codecs: str,
    pictures: str | None = None,
    rate: int = 48_000,
    sound_alone: bool = True,
    **options: str,
) -> Container:
    return Container(name, muxer, tuple(codecs.split()), pictures, options, rate, sound_alone)


_PCM_WAV = "pcm_s16le pcm_u8 pcm_s24le pcm_s32le pcm_f32le pcm_f64le pcm_alaw pcm_mulaw"
_PCM_BE = "pcm_s16be pcm_s8 pcm_s24be pcm_s32be pcm_f32be pcm_f64be pcm_alaw pcm_mulaw"
_RIFF = f"{_PCM_WAV} mp3 mp2 ac3 eac3 flac adpcm_ms adpcm_ima_wav adpcm_yamaha g722 g726"
_FRAGMENTS = "frag_keyframe+empty_moov+default_base_moof"

CONTAINERS = [
    _container(
        "mp4", "mp4", "aac mp3 mp2 ac3 eac3 alac flac libopus vorbis dca pcm_s16le", "mpeg4"
    ),
    _container("index-first-mp4", "mp4", "aac alac libopus", "libx264", movflags="faststart"),
    _container("fragmented-mp4", "mp4", "aac flac libopus", "mpeg4", movflags=_FRAGMENTS),
    _container("dash-mp4", "mp4", "aac", "mpeg4", movflags=f"{_FRAGMENTS}+dash+global_sidx"),
    _container("mov", "mov", f"pcm_s16be aac alac adpcm_ima_qt libgsm {_PCM_WAV}", "mjpeg"),
    _container("m4a", "ipod", "aac alac ac3"),
    _container("m4b", "ipod", "aac"),
    _container("3gp", "3gp", "libopencore_amrnb aac", "mpeg4"),
    _container("3g2", "3g2", "aac libopencore_amrnb", "mpeg4"),
    _container("ismv", "ismv", "aac alac", "libx264"),
    _container("f4v", "f4v", "aac mp3", "libx264"),
    _container(
        "mkv",
        "matroska",
        "aac mp3 mp2 ac3 eac3 alac flac libopus vorbis libvorbis wavpack tta truehd mlp dca "
        "real_144 pcm_s16le pcm_s24be pcm_f32le pcm_f64le",
        "mpeg4",
    ),
    _container("live-mkv", "matroska", "aac", "mpeg4", live="1"),
    _container("mka", "matroska", "vorbis flac"),
    _container("webm", "webm", "libopus vorbis libvorbis", "libvpx"),
    _container("live-webm", "webm", "libopus", "libvpx", live="1"),
    _container("avi", "avi", f"mp3 aac {_RIFF}", "mpeg4"),
    _container("ts", "mpegts", "aac mp2 mp3 ac3 eac3 libopus dca s302m", "mpeg2video"),
    _container("m2ts", "mpegts", "ac3 pcm_bluray", "libx264", mpegts_m2ts_mode="1"),
    _container("radio-ts", "mpegts", "mp2 aac"),
    _container("mpg", "mpeg", "mp2 mp3 ac3 dca pcm_dvd", "mpeg1video"),
    _container("vob", "vob", "ac3 mp2 pcm_dvd", "mpeg2video"),
    _container("dvd", "dvd", "ac3 mp2", "mpeg2video"),
    _container("svcd", "svcd", "mp2", "mpeg2video"),
    _container(
        "flv",
        "flv",
        "aac mp3 nellymoser adpcm_swf pcm_s16le pcm_u8 pcm_alaw",
        "flv",
        rate=44_100,
    ),
    _container("wmv", "asf", "wmav2 wmav1 mp3 ac3 aac pcm_s16le", "wmv2"),
    _container("wtv", "wtv", "mp2 ac3", "mpeg2video"),
    _container("ogv", "ogv", "vorbis libopus flac libvorbis libspeex", "libvpx"),
    _container("opus", "opus", "libopus"),
    _container("oga", "oga", "vorbis flac libspeex"),
    _container("nut", "nut", f"aac vorbis wavpack pcm_u16le {_PCM_WAV}", "mpeg4"),
    _container("rm", "rm", "ac3 real_144 aac", "rv10"),
    _container("swf", "swf", "mp3", "flv", rate=44_100),
    _container("mxf", "mxf", "pcm_s16le pcm_s24le", "mpeg2video", sound_alone=False),
    _container("roq", "roq", "roq_dpcm", "roqvideo"),
    _container("wav", "wav", _RIFF),
    _container("rf64", "wav", "pcm_s16le pcm_f32le", rf64="always"),
    _container("w64", "w64", _PCM_WAV),
    _container("aiff", "aiff", _PCM_BE),
    _container("au", "au", f"{_PCM_BE} g722"),
    _container("caf", "caf", f"alac flac mp3 ac3 adpcm_ima_qt {_PCM_BE}"),
    _container("voc", "voc", "pcm_s16le pcm_u8 pcm_alaw pcm_mulaw"),
    _container("ircam", "ircam", "pcm_s16le pcm_s32le pcm_f32le"),
    _container("sox", "sox", "pcm_s32le"),
    _container("ast", "ast", "pcm_s16be_planar"),
    _container("mmf", "mmf", "adpcm_yamaha"),
    _container("flac", "flac", "flac"),
    _container("mp3", "mp3", "mp3"),
    _container("mp2", "mp2", "mp2"),
    _container("adts", "adts", "aac"),
    _container("latm", "latm", "aac"),
    _container("ac3", "ac3", "ac3"),
    _container("eac3", "eac3", "eac3"),
    _container("dts", "dts", "dca"),
    _container("wv", "wv", "wavpack"),
    _container("tta", "tta", "tta"),
    _container("amr", "amr", "libopencore_amrnb"),
    _container("adx", "adx", "adpcm_adx"),
    _container("spdif", "spdif", "ac3"),
]

# Each container with each of its codecs; only the first one of each in the quick run.
CASES = [
    pytest.param(
        container,
        codec,
        id=f"{codec}.{container.name}",
        marks=[pytest.mark.slow] if codec != container.codecs[0] else [],
    )
    for container in CONTAINERS
    for codec in container.codecs
]

# What a codec takes, where that is not 48 kHz, and not any number of channels.
RATES = {
    "libopencore_amrnb": 8_000,
    "nellymoser": 8_000,
    "real_144": 8_000,
    "g726": 8_000,
    "libgsm": 8_000,
    "g722": 16_000,
    "libspeex": 16_000,
    "roq_dpcm": 22_050,
    "adpcm_swf": 44_100,
    "adpcm_yamaha": 44_100,
}
CHANNELS = dict.fromkeys(
    ("libopencore_amrnb", "nellymoser", "real_144", "g726", "g722", "libgsm"), (1,)
) | dict.fromkeys(("vorbis", "s302m"), (2,))

BITS_A_SECOND = 64_000  # of each channel

# The same bytes each time, quickly.
_CODEC_OPTIONS = {
    "strict": "experimental",
    "flags": "+bitexact",
    "deadline": "realtime",
    "preset": "ultrafast",
    "threads": "1",
}


def container_named(name: str) -> Container:
    return next(container for container in CONTAINERS if container.name == name)


def sound_for(container: Container, codec: str = "", seconds: float = 1.0, seed: int = 0) -> Planar:
    """A melody at the rate that the codec takes, the same one on two channels where it can."""
    codec = codec or container.codecs[0]
    sound = melody(seconds, container.rate_of(codec), seed=seed)
    return np.repeat(sound, max(CHANNELS.get(codec, (2,))), axis=0)


def make(
    path: Path,
    container: Container,
    sound: Planar | None,
    codec: str = "",
    *,
    layout: str = "",
    rate: int = 0,
    pictures: bool = True,
    seconds: float | None = None,
    sound_starts: float = 0.0,
) -> Path:
    """Write ``sound``, shape ``(channels, n)``, into a container; the same bytes each time.

    What PyAV cannot encode FFmpeg's command line does; the test skips where there is none.

    Args:
        sound: None writes pictures only.
        codec: the encoder; by default the first of the container.
        rate: of ``sound`` in Hz; by default what the codec takes.
        pictures: whether to write pictures, too, where the container holds any.
        seconds: of pictures; by default as long as the sound.
        sound_starts: seconds of pictures before the first sound.
    """
    codec = codec or container.codecs[0]
    rate = rate or container.rate_of(codec)
    if sound is not None and not _in_pyav(codec):
        return _make_by_command_line(path, container, sound, codec, rate, pictures)
    channels = 1 if sound is None else len(sound)
    return write_media(
        path,
        sound,
        rate,
        codec,
        layout=layout,
        pictures=container.pictures if pictures else None,
        seconds=seconds,
        sound_starts=sound_starts,
        options={"fflags": "+bitexact", "strict": "experimental"} | container.options,
        muxer=container.muxer,
        codec_options=_CODEC_OPTIONS | {"b": str(BITS_A_SECOND * channels)},
        still=True,
    )


def _make_by_command_line(
    path: Path, container: Container, sound: Planar, codec: str, rate: int, pictures: bool
) -> Path:
    command = [needs.program("ffmpeg"), "-v", "error", "-y"]
    command += ["-f", "f32le", "-ar", str(rate), "-ac", str(len(sound)), "-i", "-"]
    if pictures and container.pictures:
        command += ["-f", "lavfi", "-i", f"testsrc=s=64x64:r=25:d={sound.shape[1] / rate}"]
        command += ["-c:v", container.pictures, "-deadline", "realtime"]
    command += ["-c:a", codec, "-strict", "experimental", "-fflags", "+bitexact"]
    for name, value in container.options.items():
        command += [f"-{name}", value]
    samples = np.ascontiguousarray(sound.T, "<f4").tobytes()
    subprocess.run(
        [*command, "-f", container.muxer, str(path)], input=samples, check=True, capture_output=True
    )
    return path


@cache
def _in_pyav(codec: str) -> bool:
    try:
        return Codec(codec, "w").is_encoder
    except UnknownCodecError:
        return False
