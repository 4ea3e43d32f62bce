"""Results: what every engine returns, and what can be asked of it."""
