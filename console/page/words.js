// The words of the page, in the language chosen; all of them come from the server's catalogues.

import { call, setLanguage } from "./api.js";

const KEY = "linli-language";
let texts = {};
export let language = "zh-CN";

export function t(key, values = {}) {
  return word("ui", key, values);
}

export function word(group, code, values = {}) {
  const text = texts[`${group}.${code}`];
  if (text === undefined) return code;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

export async function loadWords(wanted = localStorage.getItem(KEY)) {
  setLanguage(wanted);
  const catalogue = await call("GET", "/catalogue");
  texts = catalogue.texts;
  language = catalogue.language;
  setLanguage(language);
  document.documentElement.lang = language;
  document.title = t("title");
}

export async function switchLanguage() {
  const next = language === "zh-CN" ? "en" : "zh-CN";
  localStorage.setItem(KEY, next);
  await loadWords(next);
}

// "2026-11-23T10:13:20.000+08:00" is site time already: it is cut, never converted to the browser's zone.
export function clock(iso) {
  return iso.slice(11, 19);
}

export function dayAndClock(iso) {
  return `${iso.slice(5, 10)} ${iso.slice(11, 19)}`;
}

export function exact(iso) {
  return `${iso.slice(0, 10)} ${iso.slice(11, 23)} (UTC${iso.slice(23)})`;
}
