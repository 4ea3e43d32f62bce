"""Engines: the same problem, integrated or sampled."""
