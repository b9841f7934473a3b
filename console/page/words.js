// The words of the page, in the language chosen; all of them come from the server's catalogues.

import { call, setLanguage } from "./api.js";

const KEY = "linli-language";
// What has to be said when even the catalogue cannot be read, and so the language is not known.
const FIRST_TEXTS = {
  "ui.brand": "邻里 · Linli",
  "ui.unreachable": "无法连接服务器。 · The server cannot be reached.",
  "ui.trouble_status": "服务器返回错误 {status}。 · The server answers with error {status}.",
  "ui.trouble_page": "页面出错：{error} · The page has failed: {error}",
  "ui.trouble_hint": "请稍后重试。 · Try again in a moment.",
  "ui.try_again": "重试 · Try again",
};
let texts = FIRST_TEXTS;
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
  try {
    await loadWords(next);
  } catch (error) {
    setLanguage(language);
    throw error;
  }
  localStorage.setItem(KEY, next);
}
