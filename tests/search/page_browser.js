// SPDX-License-Identifier: Apache-2.0
// Put into a search's page behind its own script: clicks through it in a browser, and leaves what it
// found as JSON in an element "seen".
"use strict";
const all = (selector) => [...document.querySelectorAll(selector)];
const one = (selector) => document.querySelector(selector);
const found = { faults: window.faults };
const data = JSON.parse(one("#data").textContent);
const last = data.front[data.front.length - 1];
const middle = (element) => {
  element.scrollIntoView({ block: "center" });
  const box = element.getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
};
// What lies there, not what was meant: another element above it would be found.
const fire = (element, kind) => {
  const [clientX, clientY] = middle(element);
  const there = document.elementFromPoint(clientX, clientY);
  there.dispatchEvent(new MouseEvent(kind, { bubbles: true, clientX, clientY }));
  return there === element || element.contains(there);
};
const dotOf = (solution) => all("#charts svg:first-child circle.front").find((dot) => {
  dot.dispatchEvent(new MouseEvent("mousemove"));
  return one("#tip").textContent.startsWith(`solution ${solution.number}\n`);
});
found.wide = document.documentElement.scrollWidth <= window.innerWidth;
found.first = one("#scheme").value === data.front[data.knee].scheme;
found.rows = all("#table tbody tr").length;
found.dots = all("#charts svg:first-child circle.front").length;
const row = all("#table tbody tr")[0];
found.rowHit = fire(row.children[0], "click");
found.row = one("#scheme").value === data.front[0].scheme;
found.rowColour = getComputedStyle(one("#table tr.chosen td")).backgroundColor !==
  getComputedStyle(all("#table tbody tr:not(.chosen) td")[0]).backgroundColor;
const dot = dotOf(last);
found.dotHit = fire(dot, "mousemove");
const tip = one("#tip");
found.tip = tip.textContent;
found.tipShown = getComputedStyle(tip).display === "block" && tip.getBoundingClientRect().width > 0;
fire(dot, "click");
found.dot = one("#scheme").value === last.scheme;
dot.dispatchEvent(new MouseEvent("mouseout"));
found.tipGone = getComputedStyle(tip).display === "none";
const box = one("#filters input");
box.value = String(data.front[0].values[data.values[0].name]);
box.dispatchEvent(new Event("input"));
found.filtered = all("#table tbody tr").length;
box.value = "";
box.dispatchEvent(new Event("input"));
found.unfiltered = all("#table tbody tr").length;
all("#table tbody tr")[0].dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
found.key = one("#scheme").value === data.front[0].scheme;
one("#copy").click();
found.selected = one("#scheme").selectionEnd === one("#scheme").value.length;
found.volume = one("#volume path").getTotalLength() > 0;
const seen = document.createElement("pre");
seen.id = "seen";
seen.textContent = JSON.stringify(found);
document.body.appendChild(seen);
