"""Debian's Chromium, driven by Playwright, and what is asked of every page in it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
WAIT_MS = 40_000.0

# Texts whose contrast with what lies behind them is below WCAG AAA (7:1), by relative luminance.
_CONTRAST = """() => {
  const parse = (text) => (text.match(/[0-9.]+/g) || []).map(Number);
  const channel = (c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.99) return colour;
    }
    return [255, 255, 255];
  };
  const low = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const colour = parse(element.closest("svg") ? style.fill : style.color);
    const [a, b] = [luminance(colour), luminance(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 7) low.push(`${contrast.toFixed(2)} ${walk.currentNode.textContent.trim().slice(0, 40)}`);
  }
  return low;
}"""
# What a reader of the screen could not name, or could not follow.
_NAMELESS = """() => {
  const wrong = [];
  if (!document.documentElement.lang) wrong.push("html without lang");
  for (const e of document.querySelectorAll("img")) if (!e.alt) wrong.push("img without alt");
  for (const e of document.querySelectorAll("svg[role=img]")) if (!e.ariaLabel) wrong.push("svg without a label");
  for (const e of document.querySelectorAll("a, button")) {
    if (!e.textContent.trim() && !e.querySelector("img[alt]")) wrong.push(e.outerHTML);
  }
  for (const e of document.querySelectorAll("input:not([type=hidden])")) if (!e.labels.length) wrong.push(e.outerHTML);
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of ids) if (ids.filter((other) => other === id).length > 1) wrong.push(`twice: #${id}`);
  for (const e of document.querySelectorAll("[aria-labelledby]")) {
    if (!document.getElementById(e.getAttribute("aria-labelledby"))) wrong.push(e.outerHTML.slice(0, 80));
  }
  let last = 0;
  for (const e of document.querySelectorAll("h1, h2, h3")) {
    const level = Number(e.tagName[1]);
    if (level > last + 1) wrong.push(`h${level} under h${last}: ${e.textContent}`);
    last = level;
  }
  return wrong;
}"""
# What a finger would miss.
_SMALL = """() => [...document.querySelectorAll("a, button, input:not([type=hidden])")]
  .filter((e) => e.checkVisibility() && !e.classList.contains("skip"))
  .map((e) => [e.getBoundingClientRect(), e.textContent.trim() || e.id])
  .filter(([box]) => box.height < 44 || box.width < 44)
  .map(([box, name]) => `${Math.round(box.width)} x ${Math.round(box.height)} ${name}`)"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser; the test is skipped where it is not installed."""
    if not CHROMIUM.exists():
        pytest.skip("needs Debian's chromium: make system-packages")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, timeout=WAIT_MS * 2)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def page(browser: Browser, url: str, **context: Any) -> Iterator[Page]:
    """A page of a browser without a past. Nothing may be asked of elsewhere, be blocked or go wrong in it."""
    with browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context}) as opened:
        opened.set_default_timeout(WAIT_MS)
        opened.set_default_navigation_timeout(WAIT_MS * 2)
        wrong: list[str] = []
        shown = opened.new_page()
        shown.clock.install()  # runs as usual; `fast_forward` spares a wait
        shown.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        shown.on("console", lambda said: wrong.append(said.text) if _is_wrong(said.type, said.text) else None)
        shown.on("request", lambda asked: None if asked.url.startswith(url) else wrong.append(f"asked {asked.url}"))
        shown.goto(url, wait_until="domcontentloaded")
        yield shown
        assert not wrong


def _is_wrong(kind: str, text: str) -> bool:
    # A browser writes every answer that is no 2xx, and every lost connection, into its console: those are asked for.
    return kind in ("error", "warning") and "Failed to load resource" not in text


def live(shown: Page) -> Page:
    """Once its stream has begun."""
    shown.wait_for_selector(".pulse.live")
    return shown


def faults(shown: Page) -> list[str]:
    """What is wrong with the page as it is shown, for eyes, fingers and readers of the screen."""
    found: list[str] = [*shown.evaluate(_CONTRAST), *shown.evaluate(_NAMELESS), *shown.evaluate(_SMALL)]
    if shown.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append("wider than the screen")
    return found
