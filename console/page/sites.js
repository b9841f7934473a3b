// The sites that the reader sees, and how their time is told: site time with its offset is what people see, and the
// browser's own time stands beside it only where its clock reads otherwise.

import { el } from "./dom.js";
import { t } from "./words.js";

export class Sites {
  constructor(sites) {
    this.list = sites;
    this.zones = new Map(sites.map((site) => [site.site_id, site.time_zone]));
  }

  get several() {
    return this.list.length > 1;
  }

  // The zone that all sites share, or null.
  get zone() {
    const zones = new Set(this.zones.values());
    return zones.size === 1 ? [...zones][0] : null;
  }

  // A moment of a site in short; the day is left out when it is today there, unless it is asked for.
  time(siteId, iso, { day = false } = {}) {
    const today = iso.slice(0, 10) === this.today(siteId, offsetOf(iso));
    const shown = today && !day ? iso.slice(11, 19) : `${iso.slice(5, 10)} ${iso.slice(11, 19)}`;
    return el(
      "time",
      { datetime: iso, title: this.exact(siteId, iso) },
      `${shown} `,
      el("small", { class: "offset" }, offsetOf(iso)),
      own(iso, (mine) => (mine.slice(0, 10) === iso.slice(0, 10) ? "" : `${mine.slice(5, 10)} `) + mine.slice(11, 19)),
    );
  }

  // The whole of a moment as one text: to the millisecond, with offset and zone.
  exact(siteId, iso) {
    const zone = this.zones.get(siteId);
    const text = `${whole(iso)} (UTC${offsetOf(iso)}${zone ? `, ${zone}` : ""})`;
    const mine = browserTime(Date.parse(iso));
    return sameClock(iso, mine) ? text : `${text} · ${t("own_time", { time: `${whole(mine)} (UTC${offsetOf(mine)})` })}`;
  }

  // A moment of no site: in the zone that all sites share, else in the browser's time, which then says so.
  common(atMs) {
    if (this.zone !== null) {
      const { day, clock } = partsIn(this.zone, atMs);
      return `${day} ${clock} (${this.zone})`;
    }
    const mine = browserTime(atMs);
    return t("own_time", { time: `${mine.slice(0, 10)} ${mine.slice(11, 19)} (UTC${offsetOf(mine)})` });
  }

  // The day that it is now at every site: another text when a day begins at one of them.
  days() {
    return this.list.map((site) => this.today(site.site_id, "+00:00")).join();
  }

  // The day that it is now at a site; by `offset` where the browser does not know the site's zone.
  today(siteId, offset) {
    const now = Date.now();
    try {
      return partsIn(this.zones.get(siteId) ?? "?", now).day;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return shifted(now, minutesOf(offset)).slice(0, 10);
    }
  }
}

// Year, month and day, and the clock, as a zone reads them. RangeError: there is no such zone.
function partsIn(zone, atMs) {
  const two = "2-digit";
  const format = new Intl.DateTimeFormat("en-GB", {
    timeZone: zone, calendar: "gregory", numberingSystem: "latn", hourCycle: "h23",
    year: "numeric", month: two, day: two, hour: two, minute: two, second: two,
  });
  const part = Object.fromEntries(format.formatToParts(atMs).map(({ type, value }) => [type, value]));
  return { day: `${part.year}-${part.month}-${part.day}`, clock: `${part.hour}:${part.minute}:${part.second}` };
}

// A label with the browser's time, or null where the browser's clock reads the same.
function own(iso, short) {
  const mine = browserTime(Date.parse(iso));
  return sameClock(iso, mine) ? null : el("small", { class: "own-time" }, t("own_time", { time: short(mine) }));
}

// ISO 8601 in the browser's zone, as the API writes it for a site.
function browserTime(atMs) {
  const minutes = -new Date(atMs).getTimezoneOffset();
  const size = Math.abs(minutes);
  const two = (number) => String(number).padStart(2, "0");
  return `${shifted(atMs, minutes)}${minutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

function shifted(atMs, minutes) {
  return new Date(atMs + minutes * 60_000).toISOString().slice(0, 23);
}

function sameClock(iso, other) {
  return offsetOf(iso) === offsetOf(other);
}

function offsetOf(iso) {
  return iso.slice(23);
}

function minutesOf(offset) {
  const [hours, minutes] = offset.slice(1).split(":").map(Number);
  return (offset[0] === "-" ? -1 : 1) * (hours * 60 + minutes);
}

function whole(iso) {
  return `${iso.slice(0, 10)} ${iso.slice(11, 23)}`;
}
