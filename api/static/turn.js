// One question and what comes of it, as it comes: passages found, provisional words, the checked answer, or a refusal.

import { copy, curl, markdown } from "/page/copying.js";
import { el, handOver, milliseconds, pagesOf, percent, plural, quoted, say, slice } from "/page/text.js";

const BASIS = {
  model: "In the model’s own words; every claim was checked against the words cited.",
  span: "A sentence of the documents; the model chose the marked words in it.",
  quote: "The documents’ sentence that speaks most to the question.",
  option: "Of the given options, the one that the passages speak for.",
  computed: "Computed from the numbers cited, not by the model.",
  none: "",
};

// A passage or a citation as a place in a document that can be opened.
const placeOf = (found) => ({
  document_id: found.document_id,
  title: found.title,
  start: found.char_start ?? found.start,
  end: found.char_end ?? found.end,
  quote: found.quote ?? found.text,
  text_sha256: found.text_sha256,
  focus: found.focus ?? null,
  pages: pagesOf(found.boxes),
});

export class Turn {
  // open(places, at): show one of the places in its document.
  constructor(question, body, { open }) {
    this.question = question;
    this.body = body;
    this.open = open;
    this.answer = null;
    this.progress = el("p", { class: "progress" }, "Searching the documents");
    this.content = el("div", { class: "content" });
    this.element = el("article", { class: "turn busy" }, el("h2", {}, question), this.progress, this.content);
    say("Searching the documents.");
  }

  // --- while it is made ---

  retrieved({ passages }) {
    const said = `${plural(passages.length, "passage")} found, reading`;
    this.progress.textContent = said;
    say(`${said}.`);
    this.draft = el("p", { class: "draft", "aria-hidden": "true" });
    this.content.replaceChildren(this.draft, this.#passages(passages, "Found"));
  }

  token({ text }) {
    if (!this.draft) return;
    if (!this.draft.textContent) this.progress.textContent = "Writing; not checked yet";
    this.draft.append(text);
  }

  // --- how it ends ---

  done(answer) {
    this.answer = answer;
    this.#settle();
    this.element.classList.toggle("abstained", answer.abstained);
    const parts = answer.abstained ? this.#abstention(answer) : this.#checked(answer);
    this.content.replaceChildren(...parts.filter(Boolean), this.#tools(answer));
    const sources = plural(answer.citations.length, "citation");
    say(answer.abstained ? `${answer.text} ${sentence(answer.reason)}` : `${answer.text} ${sources}.`);
  }

  stopped() {
    this.#settle();
    this.element.classList.add("ended");
    this.content.replaceChildren(el("p", { class: "note" }, "Stopped before there was a checked answer."));
    say("Stopped.");
  }

  // retry(): ask again; wait: seconds until that makes sense, counted down here and then done.
  failed(problem, retry) {
    this.#settle();
    this.element.classList.add("ended");
    const [title, again] = explain(problem);
    const buttons = el("div", { class: "buttons" });
    this.content.replaceChildren(
      el(
        "div",
        { class: "problem" },
        el("h3", {}, title),
        el("p", {}, sentence(problem.message)),
        problem.requestId && el("p", { class: "small" }, `Request ${problem.requestId}, as in the server’s log`),
        buttons,
      ),
    );
    say(`${title}. ${sentence(problem.message)}`);
    if (!again) return;
    const button = el("button", { type: "button", click: () => this.#again(retry) }, "Try again");
    buttons.append(button);
    if (problem.wait) this.#count(problem.wait, button, buttons, retry);
  }

  #count(seconds, button, buttons, retry) {
    const until = Date.now() + seconds * 1000;
    const leave = el("button", { type: "button", class: "quiet", click: () => this.#keep(button, leave) }, "Do not");
    buttons.append(leave);
    const tick = () => {
      const left = Math.ceil((until - Date.now()) / 1000);
      if (left <= 0) return this.#again(retry);
      button.textContent = `Trying again in ${left} s`;
    };
    tick();
    this.timer = setInterval(tick, 250);
  }

  #keep(button, leave) {
    clearInterval(this.timer);
    leave.remove();
    button.textContent = "Try again";
    button.focus();
  }

  #again(retry) {
    clearInterval(this.timer);
    handOver(this.element);
    this.element.remove();
    retry();
  }

  // Nothing of it happens any more.
  leave() {
    clearInterval(this.timer);
  }

  #settle() {
    handOver(this.content);
    this.element.classList.remove("busy");
    this.progress.remove();
  }

  // --- the parts of an answer ---

  #checked(answer) {
    const places = answer.citations.map(placeOf);
    const sources = answer.citations.map((citation, at) =>
      el(
        "li",
        {},
        el(
          "button",
          { type: "button", class: "source", click: () => this.open(places, at) },
          el("span", { class: "number" }, `${at + 1}`),
          el(
            "span",
            {},
            el("cite", {}, [citation.title, places[at].pages].filter(Boolean).join(", ")),
            el("q", {}, ...quoted(citation.quote, citation.char_start, citation.focus)),
          ),
        ),
      ),
    );
    return [
      el("p", { class: "answer" }, ...this.#marked(answer, places)),
      this.#verdict(answer),
      answer.warning && el("p", { class: "note" }, `The confidence is a guess here: ${answer.warning}`),
      answer.options.length > 0 && options(answer.options),
      el("ol", { class: "sources", "aria-label": "Citations" }, ...sources),
    ];
  }

  // The answer's words with the deciding ones stronger and each claim followed by the number of its citation.
  #marked(answer, places) {
    const cuts = answer.citations.map((citation, at) => {
      const from = answer.text.indexOf(citation.claim);
      return { at, end: from < 0 ? answer.text.length : from + citation.claim.length };
    });
    cuts.sort((a, b) => a.end - b.end || a.at - b.at);
    const parts = [];
    let begun = 0;
    for (const { at, end } of cuts) {
      const words = stressed(answer.text.slice(begun, end), answer.citations[at]);
      const label = `Citation ${at + 1}, ${answer.citations[at].title}`;
      const open = () => this.open(places, at);
      const number = el("button", { type: "button", class: "cite", "aria-label": label, click: open }, `${at + 1}`);
      parts.push(...together(words, number));
      begun = end;
    }
    return [...parts, answer.text.slice(begun)];
  }

  #verdict({ confidence, basis }) {
    const sure =
      confidence !== null &&
      el(
        "span",
        { class: "confidence" },
        bar(confidence),
        `${percent(confidence)} likely right`,
      );
    return el("p", { class: "verdict" }, sure, el("span", {}, BASIS[basis] ?? ""));
  }

  #abstention(answer) {
    const unsure = answer.confidence !== null && ` The best answer found is ${percent(answer.confidence)} likely right.`;
    return [
      el("p", { class: "answer" }, answer.text),
      el("p", { class: "verdict" }, sentence(answer.reason), unsure),
      answer.warning && el("p", { class: "note" }, `The confidence is a guess here: ${answer.warning}`),
      answer.passages.length > 0 && this.#passages(answer.passages.slice(0, 3), "Closest passages"),
    ];
  }

  #passages(passages, title) {
    const places = passages.map(placeOf);
    const items = passages.map((passage, at) =>
      el(
        "li",
        {},
        el(
          "button",
          { type: "button", class: "source", click: () => this.open(places, at) },
          el("span", {}, el("cite", {}, passage.title), el("span", { class: "extract" }, passage.text)),
        ),
      ),
    );
    return el("section", { class: "found" }, el("h3", {}, title), el("ul", { class: "sources" }, ...items));
  }

  #tools(answer) {
    const copied = (text) => async (event) => {
      const button = event.currentTarget;
      const label = button.textContent;
      const words = await copy(text).then(
        () => "Copied",
        () => "Could not copy",
      );
      button.textContent = words;
      say(words);
      setTimeout(() => (button.textContent = label), 1500);
    };
    return el(
      "div",
      { class: "tools" },
      el("button", { type: "button", class: "quiet", click: copied(markdown(this.question, answer)) }, "Copy as Markdown"),
      el("button", { type: "button", class: "quiet", click: copied(curl(this.body)) }, "Copy as curl"),
      this.#trace(answer),
    );
  }

  #trace({ trace, passages, abstained }) {
    const total = trace.timings.reduce((sum, { milliseconds: spent }) => sum + spent, 0);
    const rows = trace.timings.map((timing) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, timing.stage),
        el("td", {}, bar(timing.milliseconds / total)),
        el("td", {}, milliseconds(timing.milliseconds)),
      ),
    );
    return el(
      "details",
      { class: "trace" },
      el("summary", {}, `How it came about · ${milliseconds(total)}`),
      trace.rewritten && el("p", {}, "Searched as: ", el("q", {}, trace.standalone_question)),
      el("table", {}, el("tbody", {}, ...rows)),
      el("p", { class: "small" }, `${trace.model} · ${plural(passages.length, "passage")} found · ` +
        `${plural(trace.prompt_tokens, "token")} read · generation ${trace.generation}`),
      !abstained && passages.length > 0 && this.#passages(passages, "Passages, best first"),
    );
  }
}

function stressed(text, { quote, char_start: start, focus }) {
  if (!focus) return [text];
  const words = slice(quote, focus[0] - start, focus[1] - start).replace(/\s+/gu, " "); // as the answer is set
  const at = words ? text.indexOf(words) : -1;
  return at < 0 ? [text] : [text.slice(0, at), el("strong", {}, words), text.slice(at + words.length)];
}

// A citation's number never begins a line of its own: it stays with the last word before it.
function together(words, number) {
  const last = words.at(-1);
  const cut = typeof last === "string" ? last.search(/\S*$/) : -1;
  if (cut < 0 || last.length - cut > 30) return [...words, number];
  return [...words.slice(0, -1), last.slice(0, cut), el("span", { class: "together" }, last.slice(cut), number)];
}

// The number stands beside it in words.
function bar(share) {
  const filled = el("span");
  filled.style.width = percent(share);
  return el("span", { class: "bar", "aria-hidden": "true" }, filled);
}

function options(scored) {
  const best = Math.max(...scored.map(({ score }) => score));
  const items = scored.map(({ option, score }) =>
    el("li", {}, score === best ? el("strong", {}, option) : option, ` ${score.toFixed(2)}`),
  );
  return el("ul", { class: "options", "aria-label": "Options" }, ...items);
}

const sentence = (text) => (text ? text[0].toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".") : "");

// A heading for a refusal, and whether asking again may help.
function explain({ status, code }) {
  if (status === 0) return ["No connection", true];
  if (status === 401) return ["A key is needed", true];
  if (status === 403) return ["This key may not do that", false];
  if (status === 404) return ["These documents are not here", false];
  if (status === 429) return ["Too many questions at once", true];
  if (code === "starting") return ["Still starting", true];
  if (code === "model_busy") return ["Busy", true];
  if (status >= 500) return ["Not answered this time", true];
  return ["This cannot be asked so", false];
}
