"""The doctor service: who the doctors are, and when they can be booked."""
