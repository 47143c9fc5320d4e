"""Security headers of every response."""

# Pages load only their own files: no inline script or style, no eval, no foreign origin.
PAGES_CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# django-unfold uses Alpine, which compiles strings, and inline styles.
ADMIN_CSP = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
API_CSP = "default-src 'none'; frame-ancestors 'none'"
HSTS = "max-age=31536000; includeSubDomains"

_COMMON = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)


def policy_for(path: str) -> str:
    """The content security policy of a path: admin, API, or page."""
    if path == "/admin" or path.startswith("/admin/"):
        return ADMIN_CSP
    return API_CSP if is_api(path) else PAGES_CSP


def is_api(path: str) -> bool:
    """Whether a path answers machines: problems are JSON there and nothing is cached."""
    return path.startswith(("/v1/", "/health/"))


def with_security_headers(
    headers: list[tuple[bytes, bytes]], *, path: str, scheme: str, trace_id: str
) -> list[tuple[bytes, bytes]]:
    """A response's headers with ours added; a policy that the view set itself stands."""
    present = {name.lower() for name, _ in headers}
    ours: list[tuple[bytes, bytes]] = [(b"x-request-id", trace_id.encode("ascii")), *_COMMON]
    ours.append((b"content-security-policy", policy_for(path).encode("ascii")))
    if is_api(path):
        ours.append((b"cache-control", b"no-store"))
    if scheme == "https":
        ours.append((b"strict-transport-security", HSTS.encode("ascii")))
    return [*headers, *((name, value) for name, value in ours if name not in present)]
