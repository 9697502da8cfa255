"""Trains the demo model from nothing but synthesised sound.

Read in this order: ``sound`` (units and primitives), ``channel`` (what a recording does to a
sound), ``voice`` and ``speech``, ``composer`` and ``instruments`` (music), ``noises`` (the rest),
``bank`` (log-mel spectrograms), ``scenes`` (random mixes), ``network`` (the model).
"""
