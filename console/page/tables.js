// The two other views: devices, and how Linli itself is.

import { call } from "./api.js";
import { el, fill } from "./dom.js";
import { t } from "./words.js";

const ORDER = { offline: 0, silent: 1, unhealthy: 2, never_heard: 3, online: 4 };

export async function showDevices(pane, sites) {
  const { devices } = await call("GET", "/devices");
  devices.sort((a, b) => ORDER[a.state] - ORDER[b.state] || a.name.localeCompare(b.name));
  const rows = devices.map((device) =>
    el(
      "tr",
      {},
      el("td", {}, el("span", { class: `dot ${device.state}` }), [device.state_text, ...device.notices.map((notice) => `${notice.text} (${notice.detail})`)].join("; ")),
      el("td", {}, el("strong", {}, device.name)),
      el("td", {}, device.device_class_text),
      el("td", {}, device.place),
      el("td", {}, device.site_name),
      el("td", {}, device.last_heard ? sites.time(device.site_id, device.last_heard, { day: true }) : "—"),
    ),
  );
  const names = [t("state"), t("name"), t("type"), t("place"), t("site"), t("last_heard")];
  fill(pane, el("h2", {}, t("devices")), table(names, rows));
}

export async function showHealth(pane, sites) {
  const health = await call("GET", "/health");
  const alarms = (health.alarms || []).map((alarm) =>
    el(
      "tr",
      {},
      el("td", {}, el("strong", {}, alarm.text)),
      el("td", { class: "code" }, alarm.subject),
      el("td", { class: "code" }, alarm.detail),
      el("td", {}, String(alarm.times)),
      el("td", {}, sites.common(alarm.first_ms)),
    ),
  );
  const figures = Object.entries(health.figures || {}).map(([name, value]) =>
    el("tr", {}, el("td", { class: "code" }, name), el("td", {}, String(Math.round(value * 100) / 100))),
  );
  fill(
    pane,
    el("h2", {}, t("alarms")),
    alarms.length
      ? table([t("type"), t("number"), "", t("times"), t("since")], alarms)
      : el("p", { class: `notice ${health.status}` }, health.status === "ok" ? t("no_alarms") : t("alarms")),
    figures.length ? table(["", ""], figures) : null,
  );
}

function table(names, rows) {
  return el(
    "div",
    { class: "table-box" },
    el("table", {}, el("thead", {}, el("tr", {}, names.map((name) => el("th", {}, name)))), el("tbody", {}, rows)),
  );
}
