"""Trains the demo model from nothing but synthesised sound.

Read in this order: ``sound`` (units and primitives) and ``channel`` (what a recording does to a
sound); ``voice``, ``speech`` and ``singing``; ``score``, ``composer``, ``drums`` and
``instruments``; ``tones`` and ``noises``; ``features`` and ``bank`` (log-mel spectrograms on
disk); ``labels`` and ``scenes`` (random mixes); ``network`` and ``train``.
"""
