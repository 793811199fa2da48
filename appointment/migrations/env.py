"""Run by alembic, in its own way: the module itself does the work."""

from appointment.models import AppointmentBase
from config.migration import run

run(AppointmentBase.metadata)
