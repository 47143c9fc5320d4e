"""The test suite: the same code on servers of its own, which tests/conftest.py starts before Django is set up."""

import os

os.environ.setdefault("CYBERNETIC_SECRET_KEY", "test-secret-key-of-no-value-outside-the-suite")

from cybernetic.settings.base import *

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
