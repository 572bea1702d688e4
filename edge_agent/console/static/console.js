// Renews the page's panels from /live, counts on, and says so when the news stops. The page is whole without it.
"use strict";
(() => {
  const STALE_MS = 12000;
  const RETRY_MS = 3000;
  const body = document.body;
  const vehicle = body.dataset.vehicle;
  const at = (id) => document.getElementById(id);
  let heard = Date.now();
  let ahead = 0; // the booth's clock less the browser's, milliseconds
  let zone = 0; // the booth's zone less UTC, milliseconds
  let source = null;

  const clockText = (ms) => new Date(ms + zone).toISOString().slice(11, 19);

  function age(ms) {
    const s = Math.max(0, Math.floor(ms / 1000));
    const pad = (n) => String(n).padStart(2, "0");
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)}:${pad(s % 60)} min`;
    if (s < 172800) return `${Math.floor(s / 3600)}:${pad(Math.floor(s / 60) % 60)} h`;
    return `${Math.floor(s / 86400)} d`;
  }

  function count() {
    const now = Date.now() + ahead;
    for (const one of document.querySelectorAll("[data-since]")) {
      one.textContent = `(${age(now - Number(one.dataset.since))})`;
    }
  }

  function renew(id, html) {
    const panel = at(id);
    if (!panel) return;
    const focused = panel.contains(document.activeElement) ? document.activeElement.id : "";
    panel.innerHTML = html;
    if (focused && at(focused)) at(focused).focus({ preventScroll: true });
  }

  function pulse() {
    const stale = Date.now() - heard > STALE_MS;
    const banner = at("stale");
    if (stale && banner.hidden) {
      banner.textContent = banner.dataset.text.replace("{time}", clockText(heard + ahead));
    }
    banner.hidden = !stale;
    body.classList.toggle("stale", stale);
    if (!stale) at("clock").textContent = clockText(Date.now() + ahead);
    count();
  }

  function news(event) {
    const said = JSON.parse(event.data);
    heard = Date.now();
    ahead = said.now - heard;
    zone = said.zone;
    for (const id of Object.keys(said.panels)) renew(id, said.panels[id]);
    at("pulse-text").textContent = at("pulse").dataset.live;
    at("pulse").classList.add("live");
    pulse();
  }

  function open() {
    source = new EventSource(`/live?vehicle=${encodeURIComponent(vehicle)}`);
    source.addEventListener("news", news);
    source.addEventListener("error", () => {
      at("pulse").classList.remove("live");
      if (source.readyState !== EventSource.CLOSED) return; // it tries again by itself
      setTimeout(again, RETRY_MS);
    });
  }

  async function again() {
    try {
      const answer = await fetch("/session", { cache: "no-store" });
      if (answer.status === 401) {
        location.reload(); // to log in
        return;
      }
    } catch {
      // the booth cannot be reached: what is shown stays, and is marked as old
    }
    open();
  }

  const goes = { l: "lane", v: "last", e: "earlier-vehicles", d: "the-devices", h: "the-health" };
  const presses = { n: "switch-night", s: "switch-language" };
  document.addEventListener("keydown", (event) => {
    if (body.dataset.keys !== "on" || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.closest("input, textarea, select")) return;
    const key = event.key.toLowerCase();
    if (goes[key] && at(goes[key])) {
      event.preventDefault();
      at(goes[key]).focus();
      at(goes[key]).scrollIntoView({ block: "start" });
    } else if (key === "n") {
      const pressed = at("switch-night").getAttribute("aria-pressed") === "true";
      (pressed ? document.querySelector('[name=theme][value="day"]') : at(presses.n)).click();
    } else if (presses[key]) {
      at(presses[key]).click();
    }
  });

  open();
  setInterval(pulse, 1000);
  window.addEventListener("pagehide", () => source.close());
})();
