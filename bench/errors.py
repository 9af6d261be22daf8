"""What stands in the way of a measurement, in a sentence."""


class BenchError(Exception):
    """Nothing was measured, or what was measured does not count; the sentence says why."""
