"""From scores to one bounded statement."""
