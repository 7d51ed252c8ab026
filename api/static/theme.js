// Light or dark: as the system says, until the reader says otherwise.

import { by } from "/page/text.js";

const STORED = "understudy-theme";
const DARK = matchMedia("(prefers-color-scheme: dark)");

export function offerThemes() {
  const button = by("theme");
  const chosen = () => localStorage.getItem(STORED);
  const show = () => {
    const theme = chosen();
    if (theme) document.documentElement.dataset.theme = theme;
    button.setAttribute("aria-pressed", String((theme ?? (DARK.matches ? "dark" : "light")) === "dark"));
  };
  button.addEventListener("click", () => {
    localStorage.setItem(STORED, button.getAttribute("aria-pressed") === "true" ? "light" : "dark");
    show();
  });
  DARK.addEventListener("change", show);
  show();
}
