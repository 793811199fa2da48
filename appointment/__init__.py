"""The appointment service: who meets whom and when; nobody is double-booked."""
