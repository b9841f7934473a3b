// The list: urgent rows above the rest, newest first, folded where the server says so, kept up to date by the stream.

import { call } from "./api.js";
import { el, fill } from "./dom.js";
import { t, word } from "./words.js";

const PAGE = 50;
const MOST = 500; // rows kept on the page; more are a click away
const OPEN = ["new", "seen"];
const SEVERITY = { info: 0, minor: 1, major: 2, critical: 3 };

export class Feed {
  constructor({ sites, onOpen }) {
    this.sites = sites;
    this.onOpen = onOpen;
    this.rows = new Map();
    this.unfolded = new Set();
    this.filters = { state: "open", min_severity: "minor", scenario: "", site: "", q: "" };
    this.cursor = null;
    this.last = null; // of the rows that pages brought; with a cursor, what stands below it has not been read
    this.selected = null;
    this.held = null; // the precedence that the selected row keeps until another is chosen
    this.days = sites.days();
    this.fresh = new Set();
    this.list = el("div", { class: "rows", role: "list", id: "rows" });
    this.listing = 0;
  }

  // Reads the first page; resolves with the seq that the stream goes on from, or null when a later call overtook it.
  async load() {
    const turn = ++this.listing;
    const page = await call("GET", "/incidents", { query: { ...this.query(), limit: PAGE } });
    if (turn !== this.listing) return null;
    this.rows.clear();
    this.add(page);
    return page.seq;
  }

  async more() {
    const turn = this.listing;
    const page = await call("GET", "/incidents", { query: { ...this.query(), limit: PAGE, cursor: this.cursor } });
    if (turn === this.listing) this.add(page);
  }

  add(page) {
    for (const row of page.incidents) this.rows.set(row.incident_id, row);
    this.cursor = page.cursor;
    this.last = page.incidents.at(-1) ?? null;
    this.draw();
  }

  query() {
    const { state, ...rest } = this.filters;
    return { ...rest, state: state === "open" ? OPEN : state, order: "urgent" };
  }

  // Whether the server's list would hold the row. Search is left to the server: a live row that may not match is looked
  // up by the next listing.
  matches(row) {
    const { state, min_severity, scenario, site, q } = this.filters;
    const states = state === "open" ? OPEN : [state];
    return (
      (state === "" || states.includes(row.state)) &&
      SEVERITY[row.severity] >= SEVERITY[min_severity || "info"] &&
      (scenario === "" || row.scenario === scenario) &&
      (site === "" || row.site_id === site) &&
      (q === "" || `${row.number} ${row.place} ${row.device ?? ""}`.toLowerCase().includes(q.toLowerCase()))
    );
  }

  take(change) {
    const row = change.incident;
    const known = this.rows.get(row.incident_id);
    if (known && known.version > row.version) return;
    const unread = !known && this.isUnread(row, change.kind === "opened");
    if (this.matches(row) || row.incident_id === this.selected) {
      if (!unread && (!known || row.precedence < known.precedence)) this.fresh.add(row.incident_id);
      if (!unread) this.rows.set(row.incident_id, row);
    } else {
      this.rows.delete(row.incident_id);
    }
    this.draw();
  }

  // Whether a page that has not been read will bring the row.
  isUnread(row, isNew) {
    if (this.cursor === null || this.last === null) return false;
    if (row.precedence !== this.last.precedence) return row.precedence > this.last.precedence;
    return !isNew && row.opened_ms < this.last.opened_ms;
  }

  // The row that is worked on does not sink when it is handled, so that the next key goes to its neighbour.
  standing(row) {
    if (row.incident_id !== this.selected || this.held === null) return row;
    return { ...row, precedence: Math.min(this.held, row.precedence) };
  }

  sorted() {
    return [...this.rows.values()].sort((a, b) => inOrder(this.standing(a), this.standing(b))).slice(0, MOST);
  }

  // Draws anew when a day has begun at a site: what was today's is yesterday's now.
  checkDay() {
    if (this.days !== this.sites.days()) this.draw();
  }

  // Rows and folds in order; a fold stands where its first row would.
  items() {
    const items = [];
    const folds = new Map();
    for (const row of this.sorted()) {
      const group = row.fold_group;
      if (!group || this.unfolded.has(group) || row.incident_id === this.selected) {
        items.push({ row });
      } else if (folds.has(group)) {
        folds.get(group).count += 1;
      } else {
        const fold = { group, count: 1 };
        folds.set(group, fold);
        items.push(fold);
      }
    }
    return items;
  }

  draw() {
    this.days = this.sites.days();
    const items = this.items();
    const nodes = items.map((item) => (item.row ? this.rowNode(item.row) : this.foldNode(item)));
    if (!nodes.length) {
      nodes.push(el("div", { class: "empty" }, el("strong", {}, t("none")), el("p", {}, t("none_hint"))));
    }
    if (this.cursor !== null) nodes.push(el("button", { class: "more", onclick: () => this.more() }, t("more")));
    const top = this.list.scrollTop;
    fill(this.list, nodes);
    this.list.scrollTop = top;
    this.fresh.clear();
  }

  rowNode(row) {
    const id = row.incident_id;
    const classes = ["row", `sev-${row.severity}`, `st-${row.state}`];
    if (id === this.selected) classes.push("selected");
    if (this.fresh.has(id)) classes.push("fresh");
    return el(
      "a",
      {
        class: classes.join(" "),
        href: `#/${id}`,
        role: "listitem",
        "aria-current": id === this.selected ? "true" : null,
        dataset: { id },
        onclick: (event) => {
          event.preventDefault();
          this.onOpen(id);
        },
      },
      el(
        "span",
        { class: "row-top" },
        el("span", { class: `badge sev-${row.severity}` }, row.severity_text),
        el("strong", { class: "row-title" }, row.scenario_text),
        this.sites.time(row.site_id, row.onset),
      ),
      el("span", { class: "row-sentence" }, row.sentence),
      el(
        "span",
        { class: "row-tags" },
        this.sites.several && el("span", { class: "tag site" }, row.site_name),
        el("span", { class: `state st-${row.state}` }, row.state_text),
        row.ongoing && OPEN.includes(row.state) && el("span", { class: "tag live" }, t("ongoing")),
        !row.verified && el("span", { class: "tag warn" }, t("unverified")),
        row.recurs_of && el("span", { class: "tag" }, t("recurs")),
        row.origin !== "live" && el("span", { class: "tag" }, row.origin_text),
        el("span", { class: "row-number" }, row.number),
      ),
    );
  }

  foldNode({ group, count }) {
    const open = () => {
      this.unfolded.add(group);
      this.draw();
    };
    return el("button", { class: "fold", onclick: open }, t("folded", { count }));
  }

  select(id) {
    const left = this.rows.get(this.selected);
    if (id !== this.selected) this.held = this.rows.get(id)?.precedence ?? null;
    this.selected = id;
    if (left && left.incident_id !== id && !this.matches(left)) this.rows.delete(left.incident_id);
    this.draw();
    const node = this.list.querySelector(".selected");
    if (node) node.scrollIntoView({ block: "nearest" });
  }

  // The id of the row `step` below the selected one (above: negative), or null.
  neighbour(step) {
    const ids = this.items().filter((item) => item.row).map((item) => item.row.incident_id);
    if (!ids.length) return null;
    const at = ids.indexOf(this.selected);
    return ids[Math.max(0, Math.min(ids.length - 1, at < 0 ? 0 : at + step))];
  }

  filterBar(rules, onChange) {
    const set = (name) => (event) => {
      this.filters[name] = event.target.value;
      onChange();
    };
    const select = (name, options) =>
      el(
        "select",
        { id: `filter-${name}`, "aria-label": options[0][1], onchange: set(name) },
        options.map(([value, text]) => el("option", { value, selected: value === this.filters[name] }, text)),
      );
    let typing = 0;
    const search = el("input", {
      id: "search",
      type: "search",
      placeholder: t("search"),
      "aria-label": t("search"),
      value: this.filters.q,
      maxlength: "200",
      oninput: (event) => {
        clearTimeout(typing);
        typing = setTimeout(() => set("q")(event), 250);
      },
    });
    return el(
      "div",
      { class: "filters" },
      search,
      select("state", [["open", t("open_states")], ["", t("all_states")], ...["new", "seen", "handled", "false_alarm", "withdrawn"].map((s) => [s, word("state", s)])]),
      select("min_severity", [["info", t("all_severities")], ["minor", `≥ ${word("severity", "minor")}`], ["major", `≥ ${word("severity", "major")}`], ["critical", word("severity", "critical")]]),
      select("scenario", [["", t("all_scenarios")], ...rules.map((rule) => [rule.name, rule.title])]),
      this.sites.several && select("site", [["", t("all_sites")], ...this.sites.list.map((s) => [s.site_id, s.name])]),
    );
  }
}

// As the server orders them: by precedence, then newest opened first.
function inOrder(a, b) {
  return a.precedence - b.precedence || b.opened_ms - a.opened_ms || (a.number < b.number ? 1 : a.number > b.number ? -1 : 0);
}
