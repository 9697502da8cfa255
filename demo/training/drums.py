"""Drum synthesis: sines for the heads, noise for the wires and cymbals."""

from dataclasses import dataclass

import numpy as np

from training.score import Drum
from training.sound import SAMPLE_RATE, Signal, times

CYMBAL_MODES = (3012.0, 4150.0, 5222.0, 6100.0)
CYMBAL_DECAYS = {Drum.OPEN_HAT: 9.0, Drum.RIDE: 10.0, Drum.CRASH: 4.0}
"""1/s; that of a closed hi-hat belongs to the kit."""


@dataclass(frozen=True)
class DrumKit:
    """Tuning (Hz) and decay rates (1/s) of a kit."""

    kick_pitch: float
    kick_drop: float
    """By how many Hz the kick starts higher."""
    kick_decay: float
    snare_pitch: float
    snare_decay: float
    hat_decay: float
    tom_decay: float

    @classmethod
    def random(cls, rng: np.random.Generator) -> "DrumKit":
        """Acoustic or electronic."""
        return cls(
            kick_pitch=rng.uniform(40, 65),
            kick_drop=rng.uniform(80, 300),
            kick_decay=rng.uniform(6, 16),
            snare_pitch=rng.uniform(160, 260),
            snare_decay=rng.uniform(12, 40),
            hat_decay=rng.uniform(30, 90),
            tom_decay=rng.uniform(7, 16),
        )

    def strike(self, rng: np.random.Generator, drum: Drum, pitch: float) -> Signal:
        """One stroke; no two are quite the same. Only toms heed the pitch, a MIDI note."""
        time = times(int((1.2 if drum is Drum.CRASH else 0.5) * SAMPLE_RATE))
        noise = rng.standard_normal(len(time))
        if drum is Drum.KICK:
            return self.kick(time, noise)
        if drum is Drum.SNARE:
            return self.snare(time, noise)
        if drum is Drum.TOM:
            return self.tom(time, 60 + 9 * (pitch - 36))
        return self.cymbal(time, noise, drum)

    def kick(self, time: Signal, noise: Signal) -> Signal:
        """A falling sine and a click."""
        sweep = self.kick_pitch * time + self.kick_drop * (1 - np.exp(-30 * time)) / 30
        thump = np.sin(2 * np.pi * sweep) * np.exp(-self.kick_decay * time)
        return thump + 0.2 * noise * np.exp(-200 * time)

    def snare(self, time: Signal, noise: Signal) -> Signal:
        """Wires and a head."""
        wires = 0.6 * noise * np.exp(-self.snare_decay * time)
        return wires + 0.5 * np.sin(2 * np.pi * self.snare_pitch * time) * np.exp(-25 * time)

    def tom(self, time: Signal, frequency: float) -> Signal:
        """A sine that falls a little."""
        sweep = frequency * (time + 0.3 * (1 - np.exp(-20 * time)) / 20)
        return np.asarray(np.sin(2 * np.pi * sweep) * np.exp(-self.tom_decay * time))

    def cymbal(self, time: Signal, noise: Signal, drum: Drum) -> Signal:
        """High-passed noise that rings on, on large cymbals with modes of their own."""
        decay = self.hat_decay if drum is Drum.CLOSED_HAT else CYMBAL_DECAYS[drum]
        sizzle = 0.3 * np.diff(noise, append=0.0) * np.exp(-decay * time)
        if drum in (Drum.RIDE, Drum.CRASH):
            modes = np.sin(2 * np.pi * np.outer(CYMBAL_MODES, time)).sum(axis=0)
            sizzle += 0.1 * modes * np.exp(-8 * time)
        return np.asarray(sizzle)
