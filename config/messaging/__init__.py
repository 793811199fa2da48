"""Nameko extensions: calls with a deadline, and events that leave through an outbox."""
