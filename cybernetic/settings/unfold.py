from typing import Any

UNFOLD: dict[str, Any] = {"SITE_TITLE": "Cybernetic", "SITE_HEADER": "Cybernetic"}
