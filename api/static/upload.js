// Documents brought in over HTTP: files sent with progress, then the job that reads them, followed until it ends.

import { allowed, documentPath, dropped, json, key, problemOf, request } from "/page/api.js";
import { by, el, plural, say } from "/page/text.js";

const [SOONEST, LATEST, SLOWER] = [100, 1000, 1.2]; // milliseconds between two looks: a short job ends soon
const UNFINISHED = ["queued", "running"];

export class Upload {
  // changed(domain): called when documents were brought in.
  constructor(changed) {
    this.changed = changed;
    this.dialog = by("upload");
    this.running = null;
    by("add").addEventListener("click", () => this.dialog.showModal());
    by("upload-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    by("upload-cancel").addEventListener("click", () => (this.running ? this.#cancel() : this.dialog.close()));
    this.dialog.addEventListener("cancel", (event) => {
      if (this.running) event.preventDefault();
    });
  }

  // The control is there where the caller may use it.
  async offer() {
    by("add").hidden = !(await allowed("/v1/jobs"));
  }

  suggest(domains, chosen) {
    by("domains").replaceChildren(...domains.map(({ name }) => el("option", { value: name })));
    if (!this.running) by("upload-domain").value = chosen;
  }

  async #send() {
    const domain = by("upload-domain").value;
    const body = new FormData();
    for (const file of by("upload-files").files) body.append("files", file, file.name);
    this.#begin();
    try {
      let job = await this.#transfer(documentPath(domain, "").replace(/\/$/, ""), body);
      this.running = { job: job.id };
      for (let wait = SOONEST; UNFINISHED.includes(job.state); wait = Math.min(LATEST, SLOWER * wait)) {
        this.#follow(job);
        await new Promise((resolve) => setTimeout(resolve, wait));
        job = await json(`/v1/jobs/${encodeURIComponent(job.id)}`);
      }
      this.#end(job);
      if (job.state === "done") this.changed(domain);
    } catch (problem) {
      this.#finish(problem.name === "AbortError" ? "Cancelled; nothing was sent." : problem.message);
    }
  }

  #transfer(url, body) {
    return new Promise((resolve, reject) => {
      const sending = new XMLHttpRequest();
      this.running = { sending };
      sending.open("POST", url);
      for (const [name, value] of Object.entries(key.headers())) sending.setRequestHeader(name, value);
      sending.upload.onprogress = ({ loaded, total }) => this.#progress(loaded, total, `Sending, ${size(loaded)} of ${size(total)}`);
      sending.onerror = () => reject(dropped());
      sending.onabort = () => reject(new DOMException("cancelled", "AbortError"));
      sending.onload = () => {
        if (sending.status === 202) return resolve(JSON.parse(sending.responseText));
        const headers = { get: (name) => sending.getResponseHeader(name) };
        return reject(problemOf(sending.status, sending.responseText, headers));
      };
      sending.send(body);
    });
  }

  async #cancel() {
    const { sending, job } = this.running;
    if (sending) return sending.abort();
    this.#tell("Cancelling");
    try {
      await request(`/v1/jobs/${encodeURIComponent(job)}`, { method: "DELETE" });
    } catch (problem) {
      this.#tell(problem.message);
    }
  }

  // --- what is shown ---

  #begin() {
    this.step = "";
    by("upload-send").disabled = true;
    by("upload-cancel").textContent = "Cancel";
    by("upload-progress").hidden = false;
    by("upload-unreadable").replaceChildren();
    this.#progress(0, 0, "Sending");
  }

  #progress(value, total, words) {
    const bar = by("upload-bar");
    bar.hidden = false;
    if (total) {
      bar.max = total;
      bar.value = value;
    } else bar.removeAttribute("value");
    // heard when a step begins and at each quarter of it: a screen reader would not come to an end with every number
    this.#tell(words, `${words.split(",")[0]} ${total && Math.floor((4 * value) / total)}`);
  }

  #tell(words, step = words) {
    by("upload-said").textContent = words;
    if (step !== this.step) say(words);
    this.step = step;
  }

  #follow(job) {
    if (job.state === "queued") return this.#progress(0, 0, "Waiting for its turn");
    // a long document ends late, and its passages tell meanwhile that it goes on
    const passages = job.chunks ? `, ${plural(job.chunks, "passage")}` : "";
    const words = `Reading, ${job.documents} of ${plural(job.total, "document")}${passages}`;
    return this.#progress(job.documents, job.total, words);
  }

  #end(job) {
    const counts = [
      [job.new, "new"],
      [job.changed, "changed"],
      [job.unchanged, "unchanged"],
      [job.unreadable.length, "unreadable"],
      [(job.partly ?? []).length, "partly read"],
    ];
    const said = counts.filter(([count]) => count).map(([count, word]) => `${count} ${word}`);
    const words = {
      done: `Done: ${said.join(", ") || "nothing to do"}.`,
      cancelled: "Cancelled; what was stored before is unchanged.",
      failed: `Failed: ${job.error}`,
    };
    const lacking = [...job.unreadable, ...(job.partly ?? [])];
    const refused = lacking.map(({ source, reason }) => el("li", {}, el("b", {}, source), ` ${reason}`));
    by("upload-unreadable").replaceChildren(...refused);
    this.#finish(words[job.state] ?? job.state);
  }

  #finish(words) {
    this.running = null;
    by("upload-bar").hidden = true;
    this.#tell(words);
    by("upload-send").disabled = false;
    by("upload-cancel").textContent = "Close";
  }
}

const size = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
