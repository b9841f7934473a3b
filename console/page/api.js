// Talks to /api/v1: JSON with the language of the page, and the live stream with resume.

let language = null;

// No answer came at all.
export class Unreachable extends Error {}

export class ApiError extends Error {
  constructor(status, body) {
    super(body.message || String(status));
    this.status = status;
    this.said = Boolean(body.message); // else something between answered, such as a proxy
    this.code = body.code || "unavailable";
    this.first = body.first || null;
    this.incident = body.incident || null;
  }
}

export function setLanguage(value) {
  language = value;
}

export async function call(method, path, { query = {}, body = null } = {}) {
  const url = new URL(`/api/v1${path}`, location.origin);
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== "") url.searchParams.append(name, one);
    }
  }
  if (language) url.searchParams.set("lang", language);
  const headers = { "X-Linli-Request": "1" };
  if (body !== null) headers["Content-Type"] = "application/json";
  const answer = await fetch(url, { method, headers, body: body === null ? null : JSON.stringify(body) }).catch((error) => {
    throw new Unreachable(String(error));
  });
  if (answer.status === 204) return null;
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new ApiError(answer.status, data);
  return data;
}

export function evidenceUrl(sha256, incidentId) {
  return `/api/v1/evidence/${sha256}?incident=${encodeURIComponent(incidentId)}`;
}

// The stream from `after` on. EventSource resumes by itself with Last-Event-ID; a beat keeps `lastSeen` fresh, so that a
// connection that hangs without closing is noticed and opened anew.
export class Live {
  constructor({ onIncident, onResync, onState }) {
    this.handlers = { onIncident, onResync, onState };
    this.seq = 0;
    this.source = null;
    this.watch = setInterval(() => this.check(), 5000);
  }

  start(after) {
    this.seq = after;
    this.open();
  }

  stop() {
    clearInterval(this.watch);
    if (this.source) this.source.close();
    this.source = null;
  }

  open() {
    if (this.source) this.source.close();
    const url = new URL("/api/v1/stream", location.origin);
    url.searchParams.set("after", this.seq);
    if (language) url.searchParams.set("lang", language);
    const source = new EventSource(url);
    this.source = source;
    this.lastSeen = Date.now();
    source.onopen = () => this.seen(true);
    source.onerror = () => this.handlers.onState(false);
    source.addEventListener("beat", (event) => this.take(event));
    source.addEventListener("resync", (event) => {
      this.take(event);
      this.handlers.onResync();
    });
    source.addEventListener("incident", (event) => {
      this.take(event);
      this.handlers.onIncident(JSON.parse(event.data));
    });
  }

  take(event) {
    this.seq = Number(event.lastEventId) || this.seq;
    this.seen(true);
  }

  seen(connected) {
    this.lastSeen = Date.now();
    this.handlers.onState(connected);
  }

  check() {
    const closed = !this.source || this.source.readyState === EventSource.CLOSED;
    if (closed || Date.now() - this.lastSeen > 45000) {
      this.handlers.onState(false);
      this.open();
    }
  }
}
