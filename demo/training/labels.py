"""What the network is taught to name, and what the model keeps of that."""

LABELS = ("Speech", "Music", "Silence", "Noise", "Sine wave", "Beep, bleep")
"""What the finished model tells apart: names of AudioSet's ontology."""
NEGATIVES = ("Rain", "Applause", "Bell", "Dog", "Engine")
"""Taught as labels so that they are not taken for speech or music, then left out."""
LABEL_OF_KIND = {
    "speech": "Speech",
    "music": "Music",
    "noise": "Noise",
    "sine": "Sine wave",
    "beep": "Beep, bleep",
    "rain": "Rain",
    "applause": "Applause",
    "bell": "Bell",
    "dog": "Dog",
    "engine": "Engine",
}
"""Impacts have no label at all."""
COLUMN = {label: index for index, label in enumerate(LABELS + NEGATIVES)}
