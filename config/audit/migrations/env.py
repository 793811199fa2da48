"""Run by alembic, in its own way: the module itself does the work."""

from config.audit.models import AuditBase
from config.migration import run

run(AuditBase.metadata)
