"""What `make up` runs: embedded servers on this machine."""

from cybernetic.settings.base import *

SESSION_COOKIE_SECURE = False
