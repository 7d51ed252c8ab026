// The page: a domain is chosen, questions are asked in turn, and everything else is handed to its own module.

import { guard } from "/page/access.js";
import { allowed, dropped, json, key, post, Problem, request } from "/page/api.js";
import { DocumentPanel } from "/page/document.js";
import { events } from "/page/stream.js";
import { by, el, handOver, plural, say } from "/page/text.js";
import { offerThemes } from "/page/theme.js";
import { Turn } from "/page/turn.js";
import { Upload } from "/page/upload.js";

const REMEMBERED = 8; // earlier turns that go along, so that a long talk stays under the server's limit on bodies

const page = { domains: [], domain: "", turns: [], running: null };
const panel = new DocumentPanel();
const upload = new Upload(async (domain) => {
  await listDomains();
  choose(domain);
});

// --- domains ---

async function listDomains() {
  try {
    page.domains = await json("/v1/domains");
  } catch (problem) {
    page.domains = [];
    notice(problem.message, problem.status === 403 ? null : start, problem.wait);
    return;
  }
  notice("");
  const chosen = by("domain").value; // by now: a choice that was made while the list was on its way is one
  const options = page.domains.map(({ name, title }) => el("option", { value: name }, title || name));
  by("domain").replaceChildren(...options);
  by("domain").disabled = !options.length;
  const kept = page.domains.some(({ name }) => name === chosen) ? chosen : firstAskable();
  by("domain").value = kept;
  describe();
}

const firstAskable = () => (page.domains.find(({ problem }) => !problem) ?? page.domains[0])?.name ?? "";

const current = () => page.domains.find(({ name }) => name === by("domain").value);

function choose(name) {
  if (page.domains.some((domain) => domain.name === name)) by("domain").value = name;
  describe();
}

function describe() {
  const domain = current();
  if (domain && domain.name !== page.domain) turnTo(domain);
  upload.suggest(page.domains, domain?.name ?? "");
  by("ask").disabled = !domain || Boolean(domain.problem);
  if (!domain) {
    const command = el("code", {}, "understudy ingest apply PATH --domain NAME");
    by("about").replaceChildren("No documents are stored yet. ", command, " brings some in.");
    return;
  }
  by("about").textContent = `${domain.title || domain.name}: ${plural(domain.documents, "document")}.`;
  notice(domain.problem ? `${domain.title || domain.name} cannot be asked now: ${domain.problem}` : "");
}

// Another domain's answers would mislead a follow-up: they stay to be read, and go along no more. However the domain was
// changed: by choice, by an upload, or because the one before is gone.
function turnTo(domain) {
  const first = !page.domain;
  page.domain = domain.name;
  page.turns = [];
  if (first) return;
  const words = `Asking ${domain.title || domain.name} now.`;
  const last = by("log").lastElementChild;
  if (last?.matches(".divider")) last.remove(); // of a domain that was passed by
  if (by("log").childElementCount) by("log").append(el("p", { class: "divider" }, words));
  say(words);
}

function notice(words, retry = null, wait = null) {
  const button = retry && el("button", { type: "button", click: retry }, "Try again");
  by("notice").replaceChildren(...(words ? [el("p", {}, words), button].filter(Boolean) : []));
  clearTimeout(page.waiting);
  if (retry && wait) page.waiting = setTimeout(retry, wait * 1000);
}

// --- asking ---

async function ask(question, attempt = 0) {
  const domain = by("domain").value;
  const earlier = page.turns
    .filter(({ answer }) => answer)
    .slice(-REMEMBERED)
    .map(({ question: asked, answer }) => ({ question: asked, answer: answer.text }));
  const body = earlier.length ? { domain, question, earlier } : { domain, question };
  const turn = new Turn(question, body, { open: (places, at) => panel.open(domain, places, at) });
  page.turns.push(turn);
  by("log").append(turn.element);
  turn.element.scrollIntoView({ block: "start" });
  const stopping = new AbortController();
  running({ stopping, turn });
  try {
    turn.done(await watch(turn, await post("/v1/answers/stream", body, stopping.signal)));
  } catch (error) {
    if (stopping.signal.aborted) turn.stopped();
    else {
      const problem = error instanceof Problem ? error : flaw(error);
      // A server that stays busy is asked thrice, then only when somebody says so.
      if (attempt >= 3) problem.wait = null;
      turn.failed(problem, () => {
        page.turns = page.turns.filter((other) => other !== turn);
        return ask(question, attempt + 1);
      });
    }
  } finally {
    if (page.running?.turn === turn) running(null);
  }
}

// A mistake of this page's own: told as one, and left for the browser's console.
function flaw(error) {
  reportError(error);
  return new Problem({ status: 500, code: "page", detail: `This page made a mistake: ${error.message}` });
}

async function watch(turn, response) {
  for await (const { name, data } of events(response.body)) {
    if (name === "retrieval") turn.retrieved(data);
    else if (name === "token") turn.token(data);
    else if (name === "done") return data.answer;
    else if (name === "error") throw new Problem({ ...data, requestId: data.request_id });
  }
  throw dropped();
}

function running(now) {
  page.running = now;
  for (const leaving of now ? ["ask", "new"] : ["stop"]) handOver(by(leaving));
  by("stop").hidden = !now;
  by("ask").hidden = Boolean(now);
  const empty = !by("log").childElementCount;
  by("welcome").hidden = !empty;
  by("new").hidden = empty || Boolean(now);
}

const stop = () => page.running?.stopping.abort();

function startAnew() {
  stop();
  for (const turn of page.turns) turn.leave();
  page.turns = [];
  by("log").replaceChildren();
  if (by("document").open) panel.close();
  running(null);
  by("question").focus();
}

function submit(event) {
  event?.preventDefault();
  const field = by("question");
  const question = field.value.trim();
  if (!question || page.running || by("ask").disabled) return;
  field.value = "";
  ask(question);
}

// --- the report, which a link alone cannot ask for where a key is needed ---

async function offerReport() {
  by("report").hidden = !(await allowed("/report"));
}

async function openReport(event) {
  if (!key.get()) return;
  event.preventDefault();
  try {
    const address = URL.createObjectURL(await (await request("/report")).blob());
    el("a", { href: address, download: "report.html" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
    say("The report was saved.");
  } catch (problem) {
    notice(problem.message);
  }
}

// --- all together ---

async function start() {
  await listDomains();
  await Promise.all([upload.offer(), offerReport()]);
}

by("composer").addEventListener("submit", submit);
by("stop").addEventListener("click", stop);
by("new").addEventListener("click", startAnew);
by("report").addEventListener("click", openReport);
by("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || document.querySelector("dialog:modal")) return;
  if (page.running) {
    stop();
    by("question").focus();
  } else if (by("document").open) panel.close();
});
by("domain").addEventListener("change", () => {
  stop();
  describe();
});
offerThemes();
guard(start);
start();
by("question").focus();
