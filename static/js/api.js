// Calls to /v1 with the session cookie: CSRF header in, a readable error out.

export function csrfToken() {
  const name = document.body.dataset.csrfCookie;
  const pair = document.cookie.split("; ").find((entry) => entry.startsWith(`${name}=`));
  return pair ? decodeURIComponent(pair.slice(name.length + 1)) : "";
}

export class Problem extends Error {
  constructor(detail, { status = 0, code = "", traceId = "" } = {}) {
    super(detail);
    this.status = status;
    this.code = code;
    this.traceId = traceId;
  }
}

// The refusal that a failed response carries (RFC 9457), or a sentence of our own when it has none.
export async function problemOf(response) {
  const type = response.headers.get("Content-Type") || "";
  if (type.includes("json")) {
    const body = await response.json().catch(() => ({}));
    const fields = (body.errors || []).map((error) => error.detail).filter(Boolean).join(" ");
    return new Problem([body.detail || body.title, fields].filter(Boolean).join(" ") || `The server answered ${response.status}.`, {
      status: response.status,
      code: body.code,
      traceId: body.trace_id,
    });
  }
  const known = { 401: "Your session has ended. Sign in again.", 413: "That is larger than this server accepts.", 429: "Too many requests. Wait a moment and try again." };
  return new Problem(known[response.status] || `The server answered ${response.status}.`, { status: response.status });
}

export async function call(method, path, { json, body, signal, accept = "application/json" } = {}) {
  const headers = { Accept: accept };
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  if (json !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, body: json === undefined ? body : JSON.stringify(json), signal, credentials: "same-origin", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The server cannot be reached. Check your connection and try again.");
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

export async function callJson(method, path, options) {
  const response = await call(method, path, options);
  return response.status === 204 ? null : response.json();
}
