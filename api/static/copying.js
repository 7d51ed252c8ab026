// An answer to take along: as Markdown with its citations, and as the curl command that asks for it again.

import { key } from "/page/api.js";
import { pagesOf } from "/page/text.js";

// What Markdown would read as more than words; a document's text is quoted, not obeyed.
const escaped = (text) => text.replace(/[\\`*_[\]<>#|!~&]/g, "\\$&").replace(/\s*\n\s*/g, " ");

export function markdown(question, answer) {
  const lines = [`**${escaped(question)}**`, "", escaped(answer.text)];
  if (answer.reason) lines.push("", `(${escaped(answer.reason)})`);
  answer.citations.forEach((citation, at) => {
    const characters = `characters ${citation.char_start}–${citation.char_end}`;
    const place = [escaped(citation.document_id), pagesOf(citation.boxes), characters].filter(Boolean).join(", ");
    lines.push("", `${at + 1}. ${escaped(citation.title)} (${place})`, `   > ${escaped(citation.quote)}`);
  });
  return lines.join("\n") + "\n";
}

// The key stays here: the command reads it from a variable.
export function curl(body) {
  const shell = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
  const authorization = key.get() ? ` -H "Authorization: Bearer $UNDERSTUDY_KEY"` : "";
  const url = `${location.origin}/v1/answers`;
  return `curl -s ${url} -H 'Content-Type: application/json'${authorization} -d ${shell(JSON.stringify(body))}\n`;
}

export async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // a page that came by plain HTTP from another machine has no clipboard of its own
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("the browser does not let this page copy");
}
