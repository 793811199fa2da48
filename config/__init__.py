"""From environment to running process. Names no patient, doctor or appointment."""

__version__ = "0.1.0"
