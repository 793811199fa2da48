"""What gunicorn loads: ``gateway.wsgi:application``."""

from config.settings import KEYS, real_settings
from gateway.app import create_app

application = create_app(real_settings(keys=KEYS))
