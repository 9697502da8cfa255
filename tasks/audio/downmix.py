"""Mix many channels to one without losing what can be heard."""

import numpy as np
import numpy.typing as npt

from tasks.audio.window import Channels

# The weight of each channel in the sum of left and right, after ITU-R BS.775-4, annex 4, table 2: a
# front channel goes to one side (1), the centre to both by 1/sqrt 2 (sqrt 2 in all), a surround
# channel to one side by 1/sqrt 2, low-frequency effects to none.
_WEIGHTS = {"FL": 1.0, "FR": 1.0, "FC": 2**0.5, "LFE": 0.0, "LFE2": 0.0}
_SURROUND_WEIGHT = 0.5**0.5

# A mix this far below its loudest channel has cancelled itself out (antiphase stereo).
_CANCELLED = 10 ** (-10 / 10)


def to_mono(
    planar: npt.NDArray[np.float32], names: tuple[str, ...], channels: Channels
) -> npt.NDArray[np.float32]:
    """Return the mix of all channels, or the first alone, as the user requests."""
    return planar[0] if channels == "first" else downmix(planar, names)


def downmix(planar: npt.NDArray[np.float32], names: tuple[str, ...]) -> npt.NDArray[np.float32]:
    """Mix ``planar``, shape ``(channels, n)``, to mono, shape ``(n,)``.

    The weights are normalised to a sum of 1, so that the mix of samples in [-1, 1] stays there.
    Where the mix has 10 dB less energy than the loudest channel, that channel is taken instead:
    the mean of an antiphase pair is silence.

    Args:
        names: FFmpeg's short name of each channel (``FL``, ``LFE`` ...).
    """
    if len(planar) == 1:
        return planar.reshape(-1)
    mixed: npt.NDArray[np.float32] = weights(names) @ planar
    energies = [_energy(channel) for channel in planar]
    loudest = int(np.argmax(energies))
    if _energy(mixed) <= _CANCELLED * energies[loudest]:
        return np.ascontiguousarray(planar[loudest])
    return mixed


def weights(names: tuple[str, ...]) -> npt.NDArray[np.float32]:
    """Return the share of each channel in the mix; equal ones if all are low-frequency effects."""
    shares = np.array([_WEIGHTS.get(name, _SURROUND_WEIGHT) for name in names], np.float32)
    if not shares.any():
        shares = np.ones_like(shares)
    shares /= shares.sum()
    return shares


def _energy(channel: npt.NDArray[np.float32]) -> float:
    return float(np.dot(channel, channel))
