// The key: asked for when the server wants one, kept in this tab, forgotten on request.

import { key, onRefused } from "/page/api.js";
import { by, handOver } from "/page/text.js";

// changed(): called when there is another key, or none.
export function guard(changed) {
  const dialog = by("key");
  const value = by("key-value");
  let asking = null;

  const show = () => (by("forget").hidden = !key.get());

  // One dialog for however many requests are refused at once; true where there is a new key.
  const ask = (problem) => {
    asking ??= new Promise((resolve) => {
      by("key-why").textContent = key.get() ? `The key was not accepted: ${problem.message}` : "This server answers those who have a key. Its operator makes them.";
      value.value = "";
      dialog.returnValue = "";
      dialog.addEventListener("close", () => resolve(dialog.returnValue === "use"), { once: true });
      dialog.showModal();
    }).then((given) => {
      if (given) key.set(value.value.trim());
      value.value = "";
      asking = null;
      show();
      if (given) changed();
      return given;
    });
    return asking;
  };

  by("key-cancel").addEventListener("click", () => dialog.close(""));
  by("forget").addEventListener("click", () => {
    key.forget();
    handOver(by("forget"));
    show();
    changed();
  });
  onRefused(ask);
  show();
}
