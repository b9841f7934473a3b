// A line above every view while nothing is judged: whoever looks at a quiet page must not take it for a quiet night.

import { call } from "./api.js";
import { el } from "./dom.js";
import { t } from "./words.js";

const LOOK_EVERY_MS = 5000;

export class Judging {
  constructor(sites) {
    this.sites = sites;
    this.banner = el("p", { class: "banner", id: "nothing-judged", role: "alert", hidden: true });
    this.looks = setInterval(() => this.look(), LOOK_EVERY_MS);
    this.look();
  }

  stop() {
    clearInterval(this.looks);
  }

  // An answer that fails says nothing about the rules: what stands stays, and the page says the failure elsewhere.
  async look() {
    const health = await call("GET", "/health").catch(() => null);
    if (health === null) return;
    const since = health.nothing_judged_since_ms;
    this.banner.hidden = since === null;
    this.banner.textContent = since === null ? "" : t("nothing_judged", { time: this.sites.common(since) });
  }
}
