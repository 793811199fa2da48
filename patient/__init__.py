"""The patient service: who the patients are."""
