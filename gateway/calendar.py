"""An appointment for calendar programs (iCalendar, RFC 5545).

Calendars are synced to third parties, so it says when and nothing else: not with whom, nor why.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from icalendar import Calendar, Event

from schemas.statuses import CANCELLED

MEDIA_TYPE = "text/calendar; charset=utf-8"
PROGRAM = "-//clinic-appointments//EN"
SUMMARY = "Appointment"
# What is told, and which member of the record tells it.
INSTANTS = {
    "DTSTAMP": "updatedAt",
    "CREATED": "createdAt",
    "LAST-MODIFIED": "updatedAt",
    "DTSTART": "date",
    "DTEND": "end",
}


def as_calendar(appointment: Mapping[str, Any], *, uid: str) -> bytes:
    """The same for the same version: its number tells calendars which one is newer.

    :param uid: by which a calendar finds the appointment again, for ever.
    """
    event = Event()
    event.add("UID", uid)
    event.add("SEQUENCE", appointment["version"] - 1)
    event.add("STATUS", "CANCELLED" if appointment["status"] == CANCELLED else "CONFIRMED")
    event.add("SUMMARY", SUMMARY)
    for name, member in INSTANTS.items():
        event.add(name, datetime.fromisoformat(appointment[member]))
    calendar = Calendar()
    calendar.add("PRODID", PROGRAM)
    calendar.add("VERSION", "2.0")
    calendar.add("METHOD", "PUBLISH")
    calendar.add_component(event)
    return calendar.to_ical()
