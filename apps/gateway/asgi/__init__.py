"""The ASGI application: one edge around native streams and the bridge to Django."""
