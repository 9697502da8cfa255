"""A checkpoint with code of its own, that does to clips what CED's does. The tests copy its files
beside weights; transformers runs them from there."""
