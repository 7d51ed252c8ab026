"""What a page shows and says while something happens on it: scripts that write it down, to be read afterwards."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

WORDS = """() => {
  const answer = [...document.querySelectorAll('.answer')].at(-1).cloneNode(true);
  answer.querySelectorAll('button').forEach(button => button.remove());
  return answer.textContent;
}"""
"""The last answer's words without the numbers of its citations."""
HEAR = """() => {
  window.heard = [];
  for (const region of document.querySelectorAll('[role=status]'))
    new MutationObserver(() => region.textContent && window.heard.push(region.textContent))
      .observe(region, { childList: true, characterData: true, subtree: true });
}"""
"""Write down what the page's live regions are told, as a screen reader would say it."""
WATCH = """() => {
  window.seen = [];
  new MutationObserver(() => window.seen.push([
    document.querySelectorAll('.turn .found .source').length,
    document.querySelector('.draft')?.textContent ?? '',
    document.querySelector('.turn.busy .progress')?.textContent ?? '',
  ])).observe(document.getElementById('log'), { childList: true, characterData: true, subtree: true });
}"""
"""Write down, change by change, how many passages, which provisional words and what progress are shown."""
PROGRESS = """() => {
  const [bar, said] = [document.getElementById('upload-bar'), document.getElementById('upload-said')];
  window.steps = [];
  new MutationObserver(() => window.steps.push([said.textContent, bar.position]))
    .observe(said, { childList: true, characterData: true, subtree: true });
}"""
"""Write down each thing said of an upload, and how far its bar stood then: -1 for not known."""


def live(page: Page) -> list[str]:
    """What stands in the live regions that a screen reader can reach."""
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    nodes = {node["nodeId"]: node for node in tree}

    def words(node: dict[str, Any]) -> str:
        if node["role"]["value"] == "StaticText":
            return str(node["name"]["value"])
        return "".join(words(nodes[child]) for child in node.get("childIds", ()) if child in nodes)

    return [words(node) for node in tree if not node["ignored"] and node["role"]["value"] == "status"]
