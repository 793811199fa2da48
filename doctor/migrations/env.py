"""Run by alembic, in its own way: the module itself does the work."""

from config.migration import run
from doctor.models import DoctorBase

run(DoctorBase.metadata)
