"""From the URL of a video to the mono clip that a model hears.

``decode`` (FFmpeg through PyAV) and ``downmix`` run in the child processes of ``pool``, so that a
file which crashes, hangs or eats the memory costs itself and nothing else. ``clip`` resamples in
the parent, where librosa is loaded once instead of once a process.
"""
