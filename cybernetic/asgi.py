"""Everything on one port: `uvicorn cybernetic.asgi:application`."""

from cybernetic.wsgi import application as wsgi_application  # first: it sets Django up

# isort: split
from apps.gateway.asgi.application import build_application

application = build_application(wsgi_application)
