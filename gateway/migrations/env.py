"""Run by alembic, in its own way: the module itself does the work."""

from config.migration import run
from gateway.models import GatewayBase

run(GatewayBase.metadata)
