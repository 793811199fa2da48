"""The words of FHIR's AppointmentStatus that are used here. Standard library only."""

BOOKED, ARRIVED, FULFILLED = "booked", "arrived", "fulfilled"
CANCELLED, NOSHOW = "cancelled", "noshow"
STATUSES = (BOOKED, ARRIVED, FULFILLED, CANCELLED, NOSHOW)
