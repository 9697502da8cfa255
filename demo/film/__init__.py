"""Makes the demo videos: what is said (``recital``), what is played (``tunes``), what is seen
(``lettering``, ``picture``) and how it is encoded (``encode``)."""
