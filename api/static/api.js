// The server's API as promises: one way to ask, the key that goes with it, and what went wrong as a Problem.

const KEY = "understudy-key";

// An error as the API tells it (RFC 9457), or what the browser knows where nothing was told: status 0.
export class Problem extends Error {
  constructor({ status, code, detail, requestId = "", wait = null }) {
    super(detail);
    Object.assign(this, { status, code, requestId, wait });
  }
}

export const dropped = () =>
  new Problem({ status: 0, code: "connection", detail: "The connection to the server broke off. Does it still run?" });

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
  headers: () => (key.get() ? { Authorization: `Bearer ${key.get()}` } : {}),
};

let whenRefused = async () => false;

// `ask` is called for a 401 with the reason; where it resolves to true there is a new key and the request goes again.
export const onRefused = (ask) => (whenRefused = ask);

// The response of a request that succeeded. Throws Problem; an AbortError stays one.
export async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...options.headers, ...key.headers() }, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw dropped();
  }
  if (response.ok) return response;
  const problem = problemOf(response.status, await response.text(), response.headers);
  if (problem.status === 401 && (await whenRefused(problem))) return request(path, options);
  throw problem;
}

export function problemOf(status, body, headers) {
  let told = {};
  try {
    told = JSON.parse(body) ?? {};
  } catch {
    // a proxy's page, or nothing
  }
  const seconds = Number.parseInt(headers.get("Retry-After") ?? "", 10);
  return new Problem({
    status,
    code: told.code ?? "",
    detail: told.detail ?? `The server answered with status ${status}.`,
    requestId: told.request_id ?? "",
    wait: Number.isNaN(seconds) ? null : seconds,
  });
}

export const json = async (path, options) => (await request(path, options)).json();

export const post = (path, body, signal) =>
  request(path, {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "Content-Type": "application/json" },
    signal,
  });

// Each part of an id keeps its slashes apart from its words: '#', '%', '?' and blanks are escaped.
export const documentPath = (domain, id) =>
  `/v1/domains/${encodeURIComponent(domain)}/documents/${id.split("/").map(encodeURIComponent).join("/")}`;

// Whether something is there for this caller: a refusal is an answer too, and asks for no key.
export async function allowed(path) {
  try {
    const response = await fetch(path, { headers: key.headers(), cache: "no-store" });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}
