"""Everything on one port: `uvicorn cybernetic.asgi:application`."""

from apps.gateway.asgi.application import build_application
from cybernetic.wsgi import application as wsgi_application

application = build_application(wsgi_application)
