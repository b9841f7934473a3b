// The page: login, then the live feed beside one incident. No build step, no markup strings, no inline script.

import { ApiError, call, Live } from "./api.js";
import { Detail } from "./detail.js";
import { el, fill, toast } from "./dom.js";
import { Feed } from "./feed.js";
import { Judging } from "./judging.js";
import { showLogin } from "./login.js";
import { Sites } from "./sites.js";
import { showDevices, showHealth } from "./tables.js";
import { showTrouble, whatIsWrong } from "./trouble.js";
import { loadWords, switchLanguage, t } from "./words.js";

const root = document.getElementById("root");
let desk = null;

class Desk {
  constructor(session, sites, rules) {
    this.session = session;
    this.sites = sites;
    this.rules = rules;
    this.feed = new Feed({ sites, onOpen: (id) => this.go(id) });
    this.detail = new Detail({
      sites,
      mayViewEvidence: session.may_view_evidence,
      onChanged: (row) => this.feed.take({ incident: row }),
      onBack: () => this.go(""),
    });
    this.live = new Live({
      onIncident: (change) => this.take(change),
      onResync: () => this.list(),
      onState: (connected) => this.showState(connected),
    });
    this.judging = new Judging(sites);
    this.lamp = el("span", { class: "lamp", id: "lamp" }, t("live"));
    this.table = el("section", { class: "table-view", hidden: true });
    this.days = setInterval(() => this.feed.checkDay(), 5000);
    this.draw();
  }

  end() {
    this.live.stop();
    this.judging.stop();
    clearInterval(this.days);
    desk = null;
  }

  draw() {
    const tab = (view, text) => el("a", { href: view ? `#/${view}` : "#/", class: "tab", dataset: { view } }, text);
    const keys = el("p", { class: "keys" }, t("keys_hint"));
    fill(
      root,
      el("a", { class: "skip", href: "#rows" }, t("skip")),
      el(
        "header",
        { class: "bar" },
        el("img", { src: "/page/icon.svg", alt: "", width: "28", height: "28" }),
        el("strong", { class: "brand" }, t("brand")),
        el("nav", {}, tab("", t("feed")), tab("devices", t("devices")), this.session.may_view_health && tab("health", t("health"))),
        this.lamp,
        el("span", { class: "who" }, this.session.name),
        el("button", { class: "link", id: "language", onclick: () => this.language() }, t("language")),
        el("button", { class: "link", id: "log-out", onclick: () => this.leave() }, t("log_out")),
      ),
      this.judging.banner,
      el(
        "main",
        { class: "desk" },
        el("section", { class: "feed" }, this.feed.filterBar(this.rules, () => this.list()), this.feed.list, keys),
        this.detail.pane,
        this.table,
      ),
    );
  }

  async start() {
    await this.load();
    await this.route();
  }

  // Lists anew and lets the stream go on from exactly there.
  async load() {
    const seq = await this.feed.load();
    if (seq !== null) this.live.start(seq);
  }

  async list() {
    await this.guard(() => this.load());
  }

  take(change) {
    this.feed.take(change);
    this.detail.changed(change);
    const row = change.incident;
    if (change.kind === "opened" && row.severity === "critical" && this.feed.selected !== row.incident_id) {
      const site = this.sites.several ? `${row.site_name} · ` : "";
      toast(`${row.severity_text} · ${site}${row.sentence}`, "critical", () => this.go(row.incident_id));
    }
  }

  showState(connected) {
    this.lamp.classList.toggle("off", !connected);
    this.lamp.textContent = t(connected ? "live" : "reconnecting");
    if (!connected) this.checkSession();
  }

  async checkSession() {
    await this.guard(() => call("GET", "/session"), { quiet: true });
  }

  go(id) {
    location.hash = `#/${id}`;
  }

  async route() {
    const id = location.hash.slice(2);
    const isTable = id === "devices" || id === "health";
    this.table.hidden = !isTable;
    document.body.classList.toggle("show-table", isTable);
    document.body.classList.toggle("show-detail", Boolean(id) && !isTable);
    for (const tab of document.querySelectorAll(".tab")) {
      const active = isTable ? tab.dataset.view === id : tab.dataset.view === "";
      tab.setAttribute("aria-current", active ? "page" : "false");
    }
    await this.guard(async () => {
      if (id === "devices") await showDevices(this.table, this.sites);
      else if (id === "health") await showHealth(this.table, this.sites);
      else if (id) {
        this.feed.select(id);
        if (this.detail.id !== id) await this.detail.open(id);
      } else {
        this.feed.select(null);
        this.detail.clear();
      }
    });
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.body.classList.contains("show-table")) return;
    const typing = event.target.matches("input, textarea, select");
    if (event.key === "Escape") {
      if (typing) event.target.blur();
      if (!this.detail.cancel() && !typing) this.go("");
      return;
    }
    if (typing) return;
    const actions = { s: "see", h: "handle", f: "mark_false" };
    const steps = { j: 1, k: -1 };
    if (event.key in steps) {
      const id = this.feed.neighbour(steps[event.key]);
      if (id) {
        this.feed.select(id); // at once: the next key may come before the address has changed
        this.detail.open(id);
        this.go(id);
      }
    } else if (event.key in actions) {
      this.detail.ask(actions[event.key]);
    } else if (event.key === "Enter" && event.target === document.body) {
      const id = this.feed.neighbour(0);
      if (id) this.go(id);
      this.detail.pane.focus();
    } else {
      return;
    }
    event.preventDefault();
  }

  async language() {
    await this.guard(async () => {
      await switchLanguage();
      this.end();
      await begin(this.session);
    });
  }

  async leave() {
    this.end();
    await call("DELETE", "/session").catch(() => null);
    location.hash = "";
    await begin();
  }

  async guard(work, { quiet = false } = {}) {
    try {
      await work();
    } catch (error) {
      if (isLoggedOut(error)) {
        this.end();
        await begin();
      } else if (!quiet) {
        toast(whatIsWrong(error), "error");
      }
    }
  }
}

function isLoggedOut(error) {
  return error instanceof ApiError && error.status === 401;
}

async function open(session) {
  const [list, rules] = await Promise.all([call("GET", "/sites"), call("GET", "/rules")]);
  const sites = new Sites(list);
  desk = new Desk(session, sites, rules);
  await desk.start();
}

// Shows the feed to who is logged in; only who is not is asked for a password. Anything else is said, to be tried again.
async function begin(session = null) {
  try {
    await open(session ?? (await call("GET", "/session")));
  } catch (error) {
    if (desk) desk.end();
    if (isLoggedOut(error)) showLogin(root, begin);
    else showTrouble(root, error, () => begin());
  }
}

async function boot() {
  try {
    await loadWords();
  } catch (error) {
    showTrouble(root, error, boot);
    return;
  }
  await begin();
}

window.addEventListener("hashchange", () => desk && desk.route());
window.addEventListener("keydown", (event) => desk && desk.key(event));
await boot();
