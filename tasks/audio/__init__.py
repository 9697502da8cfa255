"""From the URL of a video to the mono clip that a model takes.

A child process of ``pool`` decodes (FFmpeg through PyAV), mixes to mono, resamples and serialises
the clip: a file that crashes, hangs or exhausts the memory fails without harm to others, and the
parent touches no sample.
"""
