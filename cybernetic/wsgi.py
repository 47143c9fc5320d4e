"""Django alone, for WSGI workers behind a proxy."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cybernetic.settings.dev")

application = get_wsgi_application()
