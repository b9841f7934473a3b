// One incident: what happened, why we say so, pictures, and what people did and can do.

import { ApiError, call, evidenceUrl } from "./api.js";
import { el, fill, toast } from "./dom.js";
import { whatIsWrong } from "./trouble.js";
import { t, word } from "./words.js";

const REASONS = ["mistaken_object", "permitted", "test_or_drill", "device_fault", "duplicate", "other"];

export class Detail {
  constructor({ sites, mayViewEvidence, onChanged, onBack }) {
    this.sites = sites;
    this.mayViewEvidence = mayViewEvidence;
    this.onChanged = onChanged;
    this.onBack = onBack;
    this.pane = el("section", { class: "detail", id: "detail", tabindex: "-1" });
    this.id = null;
    this.data = null;
    this.shown = null; // which pictures are on the page
    this.slots = null;
    this.asking = false;
    this.busy = false;
    this.wanted = null; // an action that waits
    this.clear();
  }

  clear() {
    this.id = null;
    this.slots = null;
    this.data = null;
    this.asking = false;
    fill(this.pane, el("div", { class: "empty" }, el("p", {}, t("pick")), el("p", { class: "keys" }, t("keys_hint"))));
  }

  async open(id) {
    if (id !== this.id) {
      this.data = null; // nothing can be done to the one before, although it is still shown until this one is here
      this.wanted = null;
      this.slots = null;
      this.asking = false;
      this.draft = { reason: "", comment: "" };
    }
    this.id = id;
    await this.reload();
    this.pane.scrollTop = 0;
  }

  async reload() {
    const id = this.id;
    if (id === null) return;
    try {
      const data = await call("GET", `/incidents/${id}`);
      if (id !== this.id) return;
      this.data = data;
      this.draw();
      this.askWanted();
    } catch (error) {
      if (id === this.id && error instanceof ApiError && error.status === 404) this.clear();
      toast(whatIsWrong(error), "error");
    }
  }

  // A change came over the stream: only what may have changed is read anew; players keep playing.
  async changed(change) {
    if (change.incident.incident_id === this.id && !this.busy) await this.reload();
  }

  draw() {
    const { incident } = this.data;
    if (!this.slots) this.makeSlots();
    const { head, actions, pictures, rest } = this.slots;
    fill(head, this.head(incident));
    fill(actions, this.actions(incident));
    const key = this.data.evidence.map((item) => `${item.sha256}/${item.state}`).join();
    if (key !== this.shown) fill(pictures, this.evidence()); // a player that leaves the page for a moment would stop
    this.shown = key;
    fill(rest, this.why(), this.facts(incident), this.history());
  }

  makeSlots() {
    const slot = () => el("div", { class: "slot" });
    this.slots = { head: slot(), actions: slot(), pictures: slot(), rest: slot() };
    this.shown = null;
    const back = el("button", { class: "back link", onclick: this.onBack }, `← ${t("back")}`);
    fill(this.pane, back, Object.values(this.slots));
  }

  head(incident) {
    return el(
      "header",
      { class: `detail-head sev-${incident.severity}` },
      el(
        "div",
        { class: "row-top" },
        el("span", { class: `badge sev-${incident.severity}` }, incident.severity_text),
        incident.life_safety && el("span", { class: "tag warn" }, t("life_safety")),
        !incident.verified && el("span", { class: "tag warn" }, t("unverified")),
        el("span", { class: `state st-${incident.state}` }, incident.state_text),
        el("span", { class: "row-number" }, incident.number),
      ),
      el("h2", {}, incident.scenario_text),
      el("p", { class: "lead" }, incident.sentence),
    );
  }

  actions(incident) {
    const can = (action) => incident.actions.includes(action);
    if (!incident.actions.length) return null;
    const button = (action, key, className) =>
      can(action) &&
      el(
        "button",
        { class: className, id: `do-${action}`, disabled: this.busy, onclick: () => this.ask(action) },
        word("action", action),
        el("kbd", {}, key),
      );
    return el(
      "div",
      { class: "actions" },
      el("div", { class: "action-buttons" }, button("handle", "h", "primary"), button("see", "s", ""), button("mark_false", "f", "")),
      this.asking && this.reasonForm(),
    );
  }

  // A key may be pressed before the incident is here, or while the last action is under way: then it waits for that.
  askWanted() {
    const action = this.wanted;
    this.wanted = null;
    if (action) this.ask(action);
  }

  ask(action) {
    if (this.id === null) return;
    if (this.data === null || this.busy) {
      this.wanted = action;
      return;
    }
    if (!this.data.incident.actions.includes(action)) return;
    if (action === "mark_false") {
      this.asking = true;
      this.draw();
      this.pane.querySelector("input[name=reason]").focus();
      return;
    }
    this.act({ action });
  }

  reasonForm() {
    const submit = (event) => {
      event.preventDefault();
      if (this.draft.reason) this.act({ action: "mark_false", ...this.draft });
    };
    return el(
      "form",
      { class: "reason", id: "reason-form", onsubmit: submit },
      el(
        "fieldset",
        {},
        el("legend", {}, t("reason")),
        REASONS.map((reason) =>
          el(
            "label",
            { class: "choice" },
            el("input", {
              type: "radio",
              name: "reason",
              value: reason,
              required: "",
              checked: this.draft.reason === reason,
              onchange: () => {
                this.draft.reason = reason;
              },
            }),
            word("reason", reason),
          ),
        ),
      ),
      el("textarea", {
        id: "comment",
        placeholder: t("comment"),
        "aria-label": t("comment"),
        maxlength: "2000",
        rows: "2",
        value: this.draft.comment,
        oninput: (event) => {
          this.draft.comment = event.target.value;
        },
      }),
      el(
        "div",
        { class: "action-buttons" },
        el("button", { class: "primary", type: "submit", id: "confirm-false" }, t("confirm")),
        el("button", { type: "button", onclick: () => this.cancel() }, t("cancel")),
      ),
    );
  }

  // Whether there was a question to take back.
  cancel() {
    if (!this.asking) return false;
    this.asking = false;
    this.draw();
    return true;
  }

  async act(command) {
    const { incident } = this.data;
    this.busy = true;
    try {
      const body = { version: incident.version, ...command };
      const row = await call("POST", `/incidents/${incident.incident_id}/actions`, { body });
      this.asking = false;
      if (this.id === row.incident_id) this.data = { ...this.data, incident: row };
      this.onChanged(row);
      toast(`${row.number} · ${row.state_text}`, "good");
    } catch (error) {
      this.wanted = null; // it was meant for what the page showed
      toast(whatIsWrong(error), "error");
      if (error.incident) {
        this.asking = false;
        this.onChanged(error.incident);
      }
    } finally {
      this.busy = false;
      await this.reload();
    }
  }

  evidence() {
    const { evidence } = this.data;
    const body = !this.mayViewEvidence
      ? el("p", { class: "muted" }, t("no_right_evidence"))
      : evidence.length
        ? el("div", { class: "media" }, evidence.map((item) => this.medium(item)))
        : el("p", { class: "muted" }, t("no_evidence"));
    const note = this.mayViewEvidence && evidence.length ? el("small", { class: "muted" }, t("view_logged")) : null;
    return el("section", {}, el("h3", {}, t("evidence"), " ", note), body);
  }

  medium(item) {
    const caption = el("figcaption", {}, `${item.kind_text} · ${item.state_text}`);
    if (item.state !== "present") {
      return el("figure", { class: `waiting ${item.state}` }, el("div", { class: "placeholder" }), caption);
    }
    const src = evidenceUrl(item.sha256, this.id);
    const shown =
      item.kind === "clip"
        ? el("video", { src, controls: true, muted: true, loop: true, playsInline: true, preload: "metadata" })
        : el("a", { href: src, target: "_blank", rel: "noopener" }, el("img", { src, alt: item.kind_text }));
    return el("figure", {}, shown, el("figcaption", {}, item.kind_text));
  }

  why() {
    const findings = [...this.data.findings].reverse();
    return el(
      "section",
      {},
      el("h3", {}, t("why")),
      findings.map((finding, at) =>
        el(
          "details",
          { class: "finding", open: at === 0 },
          el(
            "summary",
            {},
            el("span", {}, finding.phase_text),
            this.time(finding.decided),
            !finding.verified && el("span", { class: "tag warn" }, t("unverified")),
            el("span", { class: "muted" }, `${t("confidence")} ${Math.round(finding.confidence * 100)}%`),
          ),
          el("ul", {}, finding.facts.map((fact) => el("li", {}, fact.text))),
          finding.device && el("p", { class: "muted" }, `${t("device")} ${finding.device}`),
        ),
      ),
    );
  }

  facts(incident) {
    const { earlier } = this.data;
    const exact = (iso) => this.sites.exact(incident.site_id, iso);
    const line = (name, value) => value && [el("dt", {}, name), el("dd", {}, value)];
    return el(
      "section",
      {},
      el(
        "dl",
        { class: "facts" },
        line(t("site"), incident.site_name),
        line(t("place"), incident.place),
        line(t("device"), incident.device),
        line(t("onset"), exact(incident.onset)),
        line(t("last"), `${exact(incident.last)} · ${t(incident.ongoing ? "ongoing" : "ended")}`),
        earlier && [
          el("dt", {}, t("recurs")),
          el("dd", {}, el("a", { href: `#/${earlier.incident_id}` }, earlier.number), ` · ${earlier.state_text}`),
        ],
      ),
    );
  }

  time(iso) {
    return this.sites.time(this.data.incident.site_id, iso, { day: true });
  }

  history() {
    const steps = [...this.data.history].reverse();
    return el(
      "section",
      {},
      el("h3", {}, t("history")),
      steps.length
        ? el(
            "ol",
            { class: "history" },
            steps.map((step) =>
              el(
                "li",
                {},
                this.time(step.at),
                el("span", {}, el("strong", {}, step.actor), ` ${step.action_text}`),
                step.reason_text && el("span", { class: "tag" }, step.reason_text),
                step.comment && el("q", {}, step.comment),
              ),
            ),
          )
        : el("p", { class: "muted" }, t("no_history")),
    );
  }
}
