// The document panel: a stored text with the cited words lit up. A panel beside the answer on a desk, a sheet on a phone.

import { documentPath, json } from "/page/api.js";
import { by, el, handOver, quoted, say, units } from "/page/text.js";

const NARROW = matchMedia("(max-width: 60rem)");

export class DocumentPanel {
  constructor() {
    this.panel = by("document");
    this.places = [];
    this.at = 0;
    this.asked = 0;
    by("document-close").addEventListener("click", () => this.close());
    by("document-previous").addEventListener("click", () => this.#go(this.at - 1));
    by("document-next").addEventListener("click", () => this.#go(this.at + 1));
    // As a sheet it is modal, and the browser's own way to close it is Escape, or going back.
    this.panel.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.close();
    });
    this.panel.addEventListener("close", () => document.body.classList.remove("reading"));
    NARROW.addEventListener("change", () => {
      if (!this.panel.open) return;
      this.panel.close();
      this.#show();
    });
  }

  // places: of one answer, walked by previous and next; the one at `at` is shown first.
  open(domain, places, at) {
    this.domain = domain;
    this.places = places;
    if (!this.panel.open) this.opener = document.activeElement;
    this.#show();
    this.#go(at);
    by("document-title").focus();
  }

  close() {
    const back = this.opener?.isConnected; // a passage goes when the answer comes
    if (!back) handOver(this.panel);
    this.panel.close();
    this.asked += 1;
    if (back) this.opener.focus();
  }

  #show() {
    if (this.panel.open) return;
    document.body.classList.add("reading");
    if (NARROW.matches) this.panel.showModal();
    else this.panel.show();
  }

  async #go(at) {
    this.at = at;
    const place = this.places[at];
    by("document-previous").disabled = at === 0;
    by("document-next").disabled = at === this.places.length - 1;
    // a button that is switched off loses the focus to nowhere
    if (document.activeElement?.disabled || document.activeElement === document.body) by("document-title").focus();
    this.panel.querySelector(".foot").hidden = this.places.length < 2;
    by("document-over").textContent = this.places.length > 1 ? `${at + 1} of ${this.places.length}` : "In the document";
    by("document-title").textContent = place.title;
    const characters = `characters ${place.start}–${place.end}`;
    by("document-id").textContent = [place.document_id, place.pages, characters].filter(Boolean).join(" · ");
    by("document-notice").textContent = "";
    by("document-text").replaceChildren(el("p", { class: "progress" }, "Loading"));
    const asked = (this.asked += 1);
    try {
      const found = await json(documentPath(this.domain, place.document_id));
      if (asked === this.asked) this.#text(found, place);
    } catch (problem) {
      if (asked === this.asked) this.#missing(problem, place);
    }
  }

  #text(found, place) {
    let [from, to] = units(found.text, place.start, place.end);
    if (found.text_sha256 !== place.text_sha256) {
      from = found.text.indexOf(place.quote);
      to = from + place.quote.length;
      this.#notice(
        from < 0
          ? "This document has changed since, and the cited words are no longer in it. They were:"
          : "This document has changed since the answer was given; the same words still stand in it.",
      );
      if (from < 0) {
        by("document-text").replaceChildren(el("blockquote", {}, place.quote), found.text);
        return;
      }
    }
    const mark = el("mark", {}, ...quoted(found.text.slice(from, to), place.start, place.focus));
    by("document-text").replaceChildren(found.text.slice(0, from), mark, found.text.slice(to));
    mark.scrollIntoView({ block: "center" });
    say(`${place.title}: ${mark.textContent}`);
  }

  #missing(problem, place) {
    this.#notice(
      problem.code === "unknown_document" ? "This document is no longer stored. The words were:" : problem.message,
    );
    by("document-text").replaceChildren(el("blockquote", {}, place.quote));
  }

  #notice(words) {
    by("document-notice").textContent = words;
  }
}
