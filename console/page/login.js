// The login form.

import { call } from "./api.js";
import { el, fill } from "./dom.js";
import { whatIsWrong } from "./trouble.js";
import { switchLanguage, t } from "./words.js";

export function showLogin(root, onDone) {
  const message = el("p", { class: "form-error", role: "alert" });
  const name = el("input", { id: "name", name: "username", autocomplete: "username", required: "", maxlength: "40" });
  const password = el("input", {
    id: "password",
    name: "password",
    type: "password",
    autocomplete: "current-password",
    required: "",
    maxlength: "256",
  });
  const button = el("button", { class: "primary wide", type: "submit" }, t("log_in"));

  async function submit(event) {
    event.preventDefault();
    button.disabled = true;
    message.textContent = "";
    try {
      const session = await call("POST", "/session", { body: { name: name.value.trim(), password: password.value } });
      await onDone(session);
    } catch (error) {
      message.textContent = whatIsWrong(error);
      password.value = "";
      password.focus();
    } finally {
      button.disabled = false;
    }
  }

  const form = el(
    "form",
    { class: "login-card", onsubmit: submit },
    el("img", { src: "/page/icon.svg", alt: "", width: "56", height: "56" }),
    el("h1", {}, t("brand")),
    el("p", { class: "muted" }, t("tagline")),
    el("label", { for: "name" }, t("name")),
    name,
    el("label", { for: "password" }, t("password")),
    password,
    message,
    button,
    el(
      "button",
      {
        class: "link",
        type: "button",
        onclick: async () => {
          try {
            await switchLanguage();
            showLogin(root, onDone);
          } catch (error) {
            message.textContent = whatIsWrong(error);
          }
        },
      },
      t("language"),
    ),
  );
  fill(root, el("main", { class: "login" }, form));
  name.focus();
}
