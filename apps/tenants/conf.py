"""Constants of tenancy on the database side."""

TEMPLATE_SCHEMA = "tenant_template"
APP_ROLE = "cybernetic_app"
SYSTEM_ROLE = "cybernetic_system"
HOST_CACHE_S = 30.0
KEY_CACHE_S = 1.0

DEMO_SLUG = "demo"
DEMO_EMAIL = "operator@demo.localhost"
DEMO_HOSTS = ("localhost", "127.0.0.1", "[::1]")
