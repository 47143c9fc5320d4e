"""Behind TLS, on outside servers."""

from cybernetic.settings import env
from cybernetic.settings.base import *

SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
SECURE_HSTS_SECONDS = env.integer("CYBERNETIC_HSTS_SECONDS", 31_536_000, minimum=0)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
CSRF_TRUSTED_ORIGINS = list(env.words("CYBERNETIC_TRUSTED_ORIGINS"))
