// What stands instead of the page when it cannot be shown: what is wrong, and a way to try again.

import { ApiError, Unreachable } from "./api.js";
import { el, fill } from "./dom.js";
import { t } from "./words.js";

export function showTrouble(root, error, again) {
  const button = el("button", { class: "primary wide", id: "again", onclick: retry }, t("try_again"));

  async function retry() {
    button.disabled = true;
    await again();
  }

  const card = el(
    "div",
    { class: "login-card", role: "alert", id: "trouble" },
    el("img", { src: "/page/icon.svg", alt: "", width: "56", height: "56" }),
    el("h1", {}, t("brand")),
    el("p", { class: "form-error" }, whatIsWrong(error)),
    el("p", { class: "muted" }, t("trouble_hint")),
    button,
  );
  fill(root, el("main", { class: "login" }, card));
  button.focus();
}

// One sentence about an error, in the reader's language.
export function whatIsWrong(error) {
  if (error instanceof Unreachable) return t("unreachable");
  if (error instanceof ApiError) return error.said ? error.message : t("trouble_status", { status: error.status });
  console.error(error);
  return t("trouble_page", { error: String(error) });
}
