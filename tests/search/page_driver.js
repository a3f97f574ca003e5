// SPDX-License-Identifier: Apache-2.0
// Runs a search's page in a small stand-in for a browser's document and clicks through it.
// Usage: node page_driver.js PAGE; prints what it found as JSON.
"use strict";
const fs = require("fs");
const vm = require("vm");
const html = fs.readFileSync(process.argv[2], "utf8");
const SVG = "http://www.w3.org/2000/svg";

class Element {
  constructor(name, namespace) {
    this.name = name;
    this.namespaceURI = namespace;
    this.children = [];
    this.attributes = {};
    this.listeners = {};
    this.style = {};
    this.text = "";
    this.value = "";
  }
  get firstChild() { return this.children[0] || null; }
  set textContent(text) { this.text = String(text); this.children = []; }
  get textContent() { return this.text + this.children.map((c) => c.textContent).join(""); }
  setAttribute(key, value) { this.attributes[key] = String(value); }
  appendChild(child) { this.children.push(child); return child; }
  removeChild(child) { this.children.splice(this.children.indexOf(child), 1); }
  addEventListener(kind, call) { this.listeners[kind] = call; }
  fire(kind, event) { this.listeners[kind](Object.assign({ pageX: 1, pageY: 2 }, event)); }
  select() { this.selected = true; }
  all(test) {
    const own = test(this) ? [this] : [];
    return own.concat(...this.children.map((child) => child.all(test)));
  }
  querySelector(name) { return this.all((one) => one.name === name)[0]; }
}

const byId = {};
for (const [, name, id] of html.matchAll(/<(\w+)[^>]*\sid="([\w-]+)"/g)) {
  byId[id] = new Element(name, "html");
  if (name === "table") ["thead", "tbody"].forEach((n) => {
    byId[id].appendChild(new Element(n, "html")); });
}
const inner = html.match(/<script type="application\/json" id="data">([\s\S]*?)<\/script>/)[1];
byId.data.text = inner;
const script = html.match(/<script>([\s\S]*?)<\/script>\s*<\/body>/)[1];
let copied = null;
const document = {
  getElementById: (id) => byId[id],
  createElement: (name) => new Element(name, "html"),
  createElementNS: (namespace, name) => new Element(name, namespace),
  execCommand: () => { copied = byId.scheme.value; },
};
vm.runInNewContext(script, { document, navigator: {}, console });

const data = JSON.parse(inner);
const has = (name, kind) => (one) =>
  one.name === name && (!kind || (one.attributes.class || "").split(" ").includes(kind));
const rows = () => byId.table.querySelector("tbody").children;
const dots = (kind) => byId.charts.all(has("circle", kind)).length;
const found = { front: data.front.length, solutions: data.solutions.length };
found.charts = byId.charts.children.length;
found.svg = byId.charts.all(has("svg")).every((one) => one.namespaceURI === SVG);
found.rows = rows().length;
found.shades = new Set(byId.table.all(has("td", "bits")).map((one) => one.attributes.style)).size;
found.frontDots = dots("front");
found.otherDots = dots("dot");
found.first = byId.scheme.value === data.front[data.knee].scheme;
rows()[0].fire("click");
found.row = byId.scheme.value === data.front[0].scheme;
const last = data.front.length - 1;
const dot = byId.charts.all(has("circle", "front"))[last];
dot.fire("mousemove");
found.tip = byId.tip.textContent;
dot.fire("click");
found.dot = byId.scheme.value === data.front[last].scheme;
found.chosen = byId.chosen.textContent;
byId.copy.fire("click");
found.copied = copied === data.front[last].scheme;
const box = byId.filters.all(has("input"))[0];
box.value = String(data.front[0].values[data.values[0].name]);
box.fire("input");
found.filteredRows = rows().length;
box.value = "";
box.fire("input");
found.unfilteredRows = rows().length;
found.volume = byId.volume.all(has("path")).length;
found.genes = byId.alone.querySelector("tbody").children.length;
found.hidden = byId["alone-title"].style.display === "none";
console.log(JSON.stringify(found));
