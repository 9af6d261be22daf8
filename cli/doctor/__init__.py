"""`allocations doctor`: what this machine lacks for `allocations up`, or what a production environment lacks."""

from cli.doctor.command import doctor

__all__ = ["doctor"]
