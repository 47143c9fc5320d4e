"""Settings shared by every environment. Wiring only: each app reads its own options in its conf.py."""

import sys
from pathlib import Path
from typing import Any

from cybernetic.settings import env
from cybernetic.settings.unfold import UNFOLD  # noqa: F401  # read by django-unfold

BASE_DIR = Path(__file__).resolve().parent.parent.parent

# --- Process and paths ---------------------------------------------------------------------------------------------
DATA_DIR = env.path("CYBERNETIC_DATA_DIR", BASE_DIR / "var")
RUN_DIR = env.path("CYBERNETIC_RUN_DIR", DATA_DIR / "run")
PORT = env.integer("CYBERNETIC_PORT", 8000, minimum=1, maximum=65535)
BASE_URL = env.text("CYBERNETIC_BASE_URL", f"http://localhost:{PORT}")
SECRET_KEY = env.text("CYBERNETIC_SECRET_KEY")
DEBUG = False
ALLOWED_HOSTS = ["*"]  # the tenant middleware refuses hosts that no tenant registered
ROOT_URLCONF = "cybernetic.urls"
ASGI_APPLICATION = "cybernetic.asgi.application"
WSGI_APPLICATION = "cybernetic.wsgi.application"
VERSION = "0.1.0"

# --- Apps ----------------------------------------------------------------------------------------------------------
SHARED_APPS = [
    *(["daphne"] if sys.argv[1:2] == ["runserver"] else []),  # its imports cost every other process 25 MiB and 0.6 s
    "django_tenants",
    "apps.core",
    "apps.tenants",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "unfold",
    "unfold.contrib.filters",
    "rest_framework",
    "drf_spectacular",
    "django_htmx",
    "channels",
    "apps.gateway",
]
TENANT_APPS = [
    "apps.storage",
    "apps.intelligence",
    "apps.capabilities",
    "apps.vsm",
    "apps.content",
    "django.contrib.admin",
]
INSTALLED_APPS = [*SHARED_APPS, *TENANT_APPS]
TENANT_MODEL = "tenants.Tenant"
TENANT_DOMAIN_MODEL = "tenants.Domain"
AUTH_USER_MODEL = "tenants.User"
AUTHENTICATION_BACKENDS = ["apps.tenants.auth_backend.MembershipBackend"]
SESSION_ENGINE = "apps.tenants.session_store"
SESSION_COOKIE_NAME = "cybernetic_session"
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = "cybernetic_csrf"
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MIDDLEWARE = [
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "apps.gateway.middleware.TenantMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- Database: one database, two runtime roles; migrations run as the owner in processes of their own ------------------
DATABASE_ROLE = env.text("CYBERNETIC_DB_ROLE", "app")
DATABASE_OWNER_URL = env.text("DATABASE_OWNER_URL", "")
STATEMENT_TIMEOUT_MS = env.integer("DATABASE_STATEMENT_TIMEOUT_MS", 30_000, minimum=100)
POOL_SIZE = env.integer("DATABASE_POOL_SIZE", 10, minimum=1)


def _connection(name: str, *, pooled: bool) -> dict[str, Any]:
    from apps.core.postgres.pool import reset_connection  # noqa: PLC0415  # settings are read before apps exist

    settings = env.database(name, "postgresql:///cybernetic")
    timeouts = f"-c statement_timeout={STATEMENT_TIMEOUT_MS if pooled else 0} -c lock_timeout=10s"
    settings["ENGINE"] = "apps.core.postgres"
    settings["OPTIONS"] |= {"options": f"{timeouts} -c idle_in_transaction_session_timeout=60s", "connect_timeout": 5}
    settings["CONN_MAX_AGE"] = 0
    settings["CONN_HEALTH_CHECKS"] = True
    settings["DISABLE_SERVER_SIDE_CURSORS"] = True
    if pooled:
        settings["OPTIONS"]["pool"] = {
            "min_size": 0,
            "max_size": POOL_SIZE,
            "timeout": 3,
            "max_idle": 60,
            "reset": reset_connection,
        }
    return settings


if DATABASE_ROLE == "owner":
    DATABASES = {"default": _connection("DATABASE_OWNER_URL", pooled=False)}
    DATABASES["system"] = _connection("DATABASE_SYSTEM_URL", pooled=False)
else:
    DATABASES = {
        "default": _connection("DATABASE_APP_URL", pooled=True),
        "system": _connection("DATABASE_SYSTEM_URL", pooled=True),
    }
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter", "apps.core.tenancy.AliasRouter"]
ORIGINAL_BACKEND = "django.db.backends.postgresql"

# --- Valkey and the broker: they carry wake-ups, limits and caches; PostgreSQL holds the truth ---------------------------
REDIS_URL = env.text("REDIS_URL", "redis://localhost:6379/0")
CELERY_BROKER_URL = env.text("CELERY_BROKER_URL", "redis://localhost:6379/1")

# --- Content in, models ----------------------------------------------------------------------------------------------
EGRESS_ALLOW_CIDRS = env.networks("EGRESS_ALLOW_CIDRS")
EMBEDDING_MODEL = env.text("EMBEDDING_MODEL", "")
LLM_MODEL = env.text("LLM_MODEL", "")
LLM_API_BASE = env.text("LLM_API_BASE", "")
LLM_API_KEY = env.text("LLM_API_KEY", "")
LLM_TIMEOUT_S = env.number("LLM_TIMEOUT_S", 60)
LLM_MAX_OUTPUT_TOKENS = env.integer("LLM_MAX_OUTPUT_TOKENS", 800, minimum=1)

# --- HTTP ----------------------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
CSRF_FAILURE_VIEW = "apps.gateway.refusals.csrf_failure"
GATEWAY: dict[str, Any] = {
    "rate_per_minute": env.integer("CYBERNETIC_RATE_PER_MINUTE", 6000, minimum=1),
    "rate_burst": env.integer("CYBERNETIC_RATE_BURST", 2000, minimum=1),
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.core.api.authentication.ApiKeyAuthentication",
        "apps.core.api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["apps.core.api.permissions.IsMember"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["apps.core.api.parsers.StrictJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "apps.core.api.pagination.CursorPagination",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "apps.core.api.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Cybernetic API",
    "DESCRIPTION": "Content in, search and cited chat out, the viable-system loop live.",
    "VERSION": "v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": "/v1",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "apps.gateway.api.openapi.add_native_routes",
    ],
    "ENUM_NAME_OVERRIDES": {
        "JobStateEnum": "apps.core.models.JobState",
        "DocumentStatusEnum": "apps.content.models.Document.Status",
        "RunStatusEnum": "apps.content.models.IngestRun.Status",
        "EpisodeStatusEnum": "apps.vsm.models.EpisodeStatus",
        "SourceStateEnum": "apps.content.models.Source.State",
    },
}

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"tenant": {"()": "apps.core.logs.TenantFilter"}},
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s [%(tenant)s] %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["tenant"]}},
    "root": {"handlers": ["stderr"], "level": env.text("CYBERNETIC_LOG_LEVEL", "INFO")},
    "loggers": {"django.request": {"level": "ERROR"}, "httpx": {"level": "WARNING"}},
}
